/* Values of configuration keys: types and bounds of every row, what Kafka takes and what not (asked
   of Kafka 4.4), suggestions for unknown keys, and topics' values from their own, the broker's and
   the default [reliability.md, catalogue 82, 101, 102]. */
#include "../unit.h"
#include "broker/config_rows.h"

static void check_topic(const char *key, struct slice value, bool good)
{
    struct config *c = config_create();
    char reason[512] = "";
    i16 kerr = topic_config_check(c, slice_cstr(key), value, reason, sizeof reason);
    if ((kerr == KERR_NONE) != good) {
        fail_msg("%s=%.*s: %d %s", key, (int)value.len, (const char *)value.ptr, kerr, reason);
    }
    assert_int_equal(strlen(reason) > 0, !good);
    config_destroy(c);
}

static void as_kafka_takes_them(void **state)
{
    static const struct {
        const char *key;
        struct slice value;
        bool good;
    } cases[] = {
        {"retention.ms", SLICE_LIT("1000"), true},
        {"retention.ms", SLICE_LIT(" 1000 "), true},
        {"retention.ms", SLICE_LIT("+5"), true},
        {"retention.ms", SLICE_LIT("-1"), true},
        {"retention.ms", SLICE_LIT("-2"), false},
        {"retention.ms", SLICE_LIT("5\0x"), false},
        {"retention.ms", SLICE_LIT("5\0"), true},
        {"retention.ms", SLICE_LIT("0x5"), false},
        {"retention.ms", SLICE_LIT("1e3"), false},
        {"retention.ms", SLICE_LIT(""), false},
        {"retention.ms", SLICE_LIT("9223372036854775807"), true},
        {"retention.ms", SLICE_LIT("9223372036854775808"), false},
        {"retention.ms", SLICE_LIT("12345678901234567890"), false},
        {"segment.bytes", SLICE_LIT("1048575"), false},
        {"segment.bytes", SLICE_LIT("1048576"), true},
        {"segment.bytes", SLICE_LIT("2147483648"), false},
        {"unclean.leader.election.enable", SLICE_LIT("TRUE"), true},
        {"unclean.leader.election.enable", SLICE_LIT(" True"), true},
        {"unclean.leader.election.enable", SLICE_LIT("False"), true},
        {"unclean.leader.election.enable", SLICE_LIT("yes"), false},
        {"unclean.leader.election.enable", SLICE_LIT(""), false},
        {"min.cleanable.dirty.ratio", SLICE_LIT(" 0.5"), true},
        {"min.cleanable.dirty.ratio", SLICE_LIT("5e-1"), true},
        {"min.cleanable.dirty.ratio", SLICE_LIT("0"), true},
        {"min.cleanable.dirty.ratio", SLICE_LIT("1"), true},
        {"min.cleanable.dirty.ratio", SLICE_LIT("1.01"), false},
        {"min.cleanable.dirty.ratio", SLICE_LIT("-0.1"), false},
        {"min.cleanable.dirty.ratio", SLICE_LIT("NaN"), false},
        {"min.cleanable.dirty.ratio", SLICE_LIT("inf"), false},
        {"cleanup.policy", SLICE_LIT(""), true},
        {"cleanup.policy", SLICE_LIT("compact, delete"), true},
        {"cleanup.policy", SLICE_LIT("compact,,delete"), false},
        {"cleanup.policy", SLICE_LIT("compact,compact"), true},
        {"cleanup.policy", SLICE_LIT("compact,"), false},
        {"cleanup.policy", SLICE_LIT(","), false},
        {"cleanup.policy", SLICE_LIT(" compact "), true},
        {"cleanup.policy", SLICE_LIT("COMPACT"), false},
        {"compression.type", SLICE_LIT(" zstd"), true},
        {"compression.type", SLICE_LIT("ZSTD"), false},
        {"compression.gzip.level", SLICE_LIT("0"), false},
        {"compression.gzip.level", SLICE_LIT("-1"), true},
        {"compression.gzip.level", SLICE_LIT("1"), true},
        {"compression.gzip.level", SLICE_LIT("9"), true},
        {"compression.gzip.level", SLICE_LIT("10"), false},
        {"compression.zstd.level", SLICE_LIT("-131072"), true},
        {"compression.zstd.level", SLICE_LIT("-131073"), false},
        {"compression.zstd.level", SLICE_LIT("23"), false},
        {"message.timestamp.type", SLICE_LIT("logappendtime"), false},
        {"max.message.bytes", SLICE_LIT("-1"), false},
        {"no.such.key", SLICE_LIT("1"), false},
        {"num.partitions", SLICE_LIT("1"), false}, /* the broker's, not a topic's */
        {"", SLICE_LIT("1"), false},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        check_topic(cases[i].key, cases[i].value, cases[i].good);
    }
}

/* Each row that tells bounds takes them and nothing beyond. */
static void every_bound(void **state)
{
    u32 checked = 0;
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        bool number = row->type == CONFIG_TYPE_INT || row->type == CONFIG_TYPE_LONG ||
                      row->type == CONFIG_TYPE_SHORT;
        long long low;
        const char *dots = strstr(row->valid, "..");
        bool at_least = sscanf(row->valid, ">= %lld", &low) == 1;
        if (!number || row->scope != CONFIG_SCOPE_TOPIC || (!at_least && dots == NULL)) {
            continue;
        }
        char text[32];
        if (!at_least) {
            low = strtoll(row->valid, NULL, 10);
            long long high = strtoll(dots + 2, NULL, 10);
            snprintf(text, sizeof text, "%lld", high);
            check_topic(row->key, slice_cstr(text), true);
            snprintf(text, sizeof text, "%lld", high + 1);
            check_topic(row->key, slice_cstr(text), false);
        }
        snprintf(text, sizeof text, "%lld", low);
        check_topic(row->key, slice_cstr(text), true);
        bool also_allowed = strstr(row->valid, " or ") != NULL;
        snprintf(text, sizeof text, "%lld", low - (also_allowed ? 3 : 1));
        check_topic(row->key, slice_cstr(text), false);
        checked++;
    }
    assert_true(checked > 15);
}

static void broker_keys(void **state)
{
    struct config *c = config_create();
    char reason[256];
    assert_int_equal(
        config_set(c, slice_cstr("num.partitions"), slice_cstr("7"), reason, sizeof reason), OK);
    assert_int_equal(config_i64(c, CONFIG_num_partitions), 7);
    assert_true(config_is_set(c, CONFIG_num_partitions));
    assert_int_equal(
        config_set(c, slice_cstr("num.partitions"), slice_cstr("9"), reason, sizeof reason), OK);
    assert_int_equal(config_i64(c, CONFIG_num_partitions), 9); /* the later one wins */
    assert_int_not_equal(
        config_set(c, slice_cstr("num.partitions"), slice_cstr("0"), reason, sizeof reason), OK);
    assert_non_null(strstr(reason, "num.partitions"));
    assert_int_equal(config_i64(c, CONFIG_num_partitions), 9);
    assert_int_equal(
        config_set(c, slice_cstr("num.partition"), slice_cstr("7"), reason, sizeof reason),
        ERR_NOT_FOUND);
    assert_non_null(strstr(reason, "did you mean num.partitions?"));
    assert_int_equal(
        config_set(c, slice_cstr("completely.different"), slice_cstr("7"), reason, sizeof reason),
        ERR_NOT_FOUND);
    assert_null(strstr(reason, "did you mean"));
    char longest[2000];
    memset(longest, 'k', sizeof longest);
    assert_int_equal(
        config_set(c, slice_of(longest, sizeof longest), slice_cstr("7"), reason, sizeof reason),
        ERR_NOT_FOUND);
    assert_int_not_equal(config_set(c, slice_cstr("num.partitions"),
                                    slice_of(longest, sizeof longest), reason, sizeof reason),
                         OK);
    config_destroy(c);
}

static void rows_make_sense(void **state)
{
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        assert_int_equal(config_row_find(row->scope, slice_cstr(row->key)), i); /* no key twice */
        assert_true(strlen(row->doc) > 10);
        const char *at = row->synonyms;
        struct slice name;
        i64 factor;
        while (config_synonym_next(&at, &name, &factor)) {
            assert_int_not_equal(row->scope, CONFIG_SCOPE_BROKER);
            assert_true(config_row_find(CONFIG_SCOPE_BROKER, name) >= 0);
            assert_true(factor >= 1);
        }
    }
}

static void what_counts_for_a_topic(void **state)
{
    struct config *c = config_create();
    char reason[256];
    struct meta_config own[] = {
        {slice_cstr("cleanup.policy"), slice_cstr(" compact,delete ")},
        {slice_cstr("message.timestamp.type"), slice_cstr(" LogAppendTime")}};
    struct meta_topic plain = {.name = slice_cstr("plain")};
    struct meta_topic special = {.name = slice_cstr("special"), .configs = own, .config_count = 2};
    struct topic_config t;
    topic_config_resolve(c, &plain, &t);
    assert_int_equal(t.retention_ms, 604800000);
    assert_int_equal(t.max_message_bytes, 1048588);
    assert_false(t.compacted);
    assert_true(t.delete_policy);
    assert_false(t.log_append_time);
    topic_config_resolve(c, &special, &t);
    assert_true(t.compacted);
    assert_true(t.delete_policy);
    assert_true(t.log_append_time);
    /* The finest of several synonyms counts, in the topic's unit. */
    assert_int_equal(
        config_set(c, slice_cstr("log.retention.hours"), slice_cstr("2"), reason, sizeof reason),
        OK);
    topic_config_resolve(c, &plain, &t);
    assert_int_equal(t.retention_ms, 7200000);
    assert_int_equal(
        config_set(c, slice_cstr("log.retention.minutes"), slice_cstr("3"), reason, sizeof reason),
        OK);
    topic_config_resolve(c, &plain, &t);
    assert_int_equal(t.retention_ms, 180000);
    assert_int_equal(
        config_set(c, slice_cstr("log.retention.ms"), slice_cstr("5"), reason, sizeof reason), OK);
    topic_config_resolve(c, &plain, &t);
    assert_int_equal(t.retention_ms, 5);
    config_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_kafka_takes_them),
        cmocka_unit_test(every_bound),
        cmocka_unit_test(broker_keys),
        cmocka_unit_test(rows_make_sense),
        cmocka_unit_test(what_counts_for_a_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
