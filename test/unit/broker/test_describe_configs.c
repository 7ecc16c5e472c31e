/* DescribeConfigs: every topic config of Kafka 4.4 with its type and default, own values, broker
   synonyms in order, asked keys, documentation, and the errors [kafka-semantics.md 9; redpanda#978,
   #4170, #2645]. */
#include "broker/config_rows.h"
#include "harness.h"

typedef struct describe_configs_request_resource resource_t;
typedef struct describe_configs_response_result result_t;
typedef struct describe_configs_response_resource_result config_t;

enum { TOPIC = 2, BROKER = 4 };

static const result_t *describe(struct client *c, i16 version, i8 type, const char *name,
                                struct slice *keys, u32 key_count)
{
    resource_t resource = {
        .resource_type = type,
        .resource_name = text(name),
        .configuration_keys = {.items = keys, .count = key_count, .is_null = keys == NULL}};
    struct describe_configs_request q = {.resources = {.items = &resource, .count = 1},
                                         .include_synonyms = version >= 1,
                                         .include_documentation = version >= 3};
    struct describe_configs_response *r = CALL(c, describe_configs, version, &q);
    assert_int_equal(r->results.count, 1);
    assert_int_equal(r->results.items[0].resource_type, type);
    assert_true(slice_eq_cstr(r->results.items[0].resource_name, name));
    return &r->results.items[0];
}

static const config_t *find(const result_t *r, const char *name)
{
    for (u32 i = 0; i < r->configs.count; i++) {
        if (slice_eq_cstr(r->configs.items[i].name, name)) {
            return &r->configs.items[i];
        }
    }
    return NULL;
}

enum { BOOLEAN = 1, STRING = 2, INT = 3, LONG = 5, DOUBLE = 6, LIST = 7 };
static const struct {
    const char *name;
    i8 type;
    const char *initial;
} kafka_topic_configs[] = {
    {"segment.bytes", INT, "1073741824"},
    {"segment.ms", LONG, "604800000"},
    {"segment.jitter.ms", LONG, "0"},
    {"segment.index.bytes", INT, "10485760"},
    {"flush.messages", LONG, "9223372036854775807"},
    {"flush.ms", LONG, "9223372036854775807"},
    {"retention.bytes", LONG, "-1"},
    {"retention.ms", LONG, "604800000"},
    {"max.message.bytes", INT, "1048588"},
    {"index.interval.bytes", INT, "4096"},
    {"delete.retention.ms", LONG, "86400000"},
    {"min.compaction.lag.ms", LONG, "0"},
    {"max.compaction.lag.ms", LONG, "9223372036854775807"},
    {"file.delete.delay.ms", LONG, "60000"},
    {"min.cleanable.dirty.ratio", DOUBLE, "0.5"},
    {"cleanup.policy", LIST, "delete"},
    {"unclean.leader.election.enable", BOOLEAN, "false"},
    {"min.insync.replicas", INT, "1"},
    {"compression.type", STRING, "producer"},
    {"compression.gzip.level", INT, "-1"},
    {"compression.lz4.level", INT, "9"},
    {"compression.zstd.level", INT, "3"},
    {"preallocate", BOOLEAN, "false"},
    {"message.timestamp.type", STRING, "CreateTime"},
    {"message.timestamp.before.max.ms", LONG, "9223372036854775807"},
    {"message.timestamp.after.max.ms", LONG, "3600000"},
    {"leader.replication.throttled.replicas", LIST, ""},
    {"follower.replication.throttled.replicas", LIST, ""},
    {"remote.storage.enable", BOOLEAN, "false"},
    {"local.retention.ms", LONG, "-2"},
    {"local.retention.bytes", LONG, "-2"},
    {"remote.log.copy.disable", BOOLEAN, "false"},
    {"remote.copy.lag.ms", LONG, "0"},
    {"remote.copy.lag.bytes", LONG, "-1"},
    {"remote.log.delete.on.disable", BOOLEAN, "false"},
    {"errors.deadletterqueue.group.enable", BOOLEAN, "false"},
};

static void every_topic_config(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    for (i16 version = 1; version <= 4; version++) {
        const result_t *r = describe(c, version, TOPIC, "t", NULL, 0);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->configs.count, ARRAY_LEN(kafka_topic_configs));
        for (u32 i = 0; i < ARRAY_LEN(kafka_topic_configs); i++) {
            const config_t *config = find(r, kafka_topic_configs[i].name);
            if (config == NULL || !slice_eq_cstr(config->value, kafka_topic_configs[i].initial)) {
                fail_msg("%s: missing or another default", kafka_topic_configs[i].name);
            }
            assert_false(config->read_only);
            assert_false(config->is_sensitive);
            assert_int_equal(config->config_source, CONFIG_SOURCE_DEFAULT);
            if (version >= 3) {
                assert_int_equal(config->config_type, kafka_topic_configs[i].type);
                assert_true(config->documentation.len > 10);
            }
            if (i > 0) { /* in order of name */
                assert_true(slice_cmp(r->configs.items[i - 1].name, r->configs.items[i].name) < 0);
            }
        }
    }
    harness_fini(&h);
}

static void own_values_and_synonyms(void **state)
{
    static const char *const configs[] = {"retention.ms=1234", "cleanup.policy=compact", NULL};
    struct harness h;
    harness_init(&h);
    harness_set(&h, "log.retention.hours", "2");
    harness_set(&h, "log.retention.minutes", "30");
    harness_set(&h, "message.max.bytes", "5000");
    harness_start(&h);
    struct client *c = client_open(&h);
    topic_make_with(c, "own", 1, configs);
    topic_make(c, "plain", 1);
    const config_t *retention = find(describe(c, 4, TOPIC, "own", NULL, 0), "retention.ms");
    assert_true(slice_eq_cstr(retention->value, "1234"));
    assert_int_equal(retention->config_source, CONFIG_SOURCE_TOPIC);
    assert_int_equal(retention->synonyms.count, 4);
    static const struct {
        const char *name, *value;
        i8 source;
    } synonyms[] = {{"retention.ms", "1234", CONFIG_SOURCE_TOPIC},
                    {"log.retention.minutes", "1800000", CONFIG_SOURCE_STATIC},
                    {"log.retention.hours", "7200000", CONFIG_SOURCE_STATIC},
                    {"log.retention.hours", "604800000", CONFIG_SOURCE_DEFAULT}};
    for (u32 i = 0; i < 4; i++) {
        assert_true(slice_eq_cstr(retention->synonyms.items[i].value, synonyms[i].value));
        assert_true(slice_eq_cstr(retention->synonyms.items[i].name, synonyms[i].name));
        assert_int_equal(retention->synonyms.items[i].source, synonyms[i].source);
    }
    /* Connect asks its topics for this one. */
    const config_t *policy = find(describe(c, 4, TOPIC, "own", NULL, 0), "cleanup.policy");
    assert_true(slice_eq_cstr(policy->value, "compact"));
    /* Without an own value the finest synonym that is set counts. */
    retention = find(describe(c, 4, TOPIC, "plain", NULL, 0), "retention.ms");
    assert_true(slice_eq_cstr(retention->value, "1800000"));
    assert_int_equal(retention->config_source, CONFIG_SOURCE_STATIC);
    const config_t *bytes = find(describe(c, 4, TOPIC, "plain", NULL, 0), "max.message.bytes");
    assert_true(slice_eq_cstr(bytes->value, "5000"));
    assert_int_equal(bytes->config_source, CONFIG_SOURCE_STATIC);
    harness_fini(&h);
}

static void every_broker_config(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "num.partitions", "7");
    harness_start(&h);
    struct client *c = client_open(&h);
    u32 expected = 0;
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        expected += config_rows[i].scope == CONFIG_SCOPE_BROKER;
    }
    for (i16 version = 1; version <= 4; version++) {
        const result_t *r = describe(c, version, BROKER, "1", NULL, 0);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->configs.count, expected);
        const config_t *partitions = find(r, "num.partitions");
        assert_true(slice_eq_cstr(partitions->value, "7"));
        assert_int_equal(partitions->config_source, CONFIG_SOURCE_STATIC);
        assert_int_equal(partitions->synonyms.count, 2);
        for (u32 i = 0; i < r->configs.count; i++) {
            const config_t *config = &r->configs.items[i];
            if (version >= 3) {
                assert_in_range(config->config_type, 1, 9);
                assert_true(config->documentation.len > 10);
            }
            if (config->is_sensitive) { /* no secret leaves, not as a synonym either */
                assert_null(config->value.ptr);
                for (u32 k = 0; k < config->synonyms.count; k++) {
                    assert_null(config->synonyms.items[k].value.ptr);
                }
            }
        }
        r = describe(c, version, BROKER, "", NULL,
                     0); /* what is dynamic for the whole cluster: nothing */
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->configs.count, 0);
    }
    harness_fini(&h);
}

static void only_the_asked_keys(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    struct slice keys[] = {text("retention.ms"), text("no.such.key"), text("cleanup.policy"),
                           text("retention.ms"), text("")};
    const result_t *r = describe(c, 4, TOPIC, "t", keys, 5);
    assert_int_equal(r->error_code, KERR_NONE);
    assert_int_equal(r->configs.count, 2);
    assert_non_null(find(r, "retention.ms"));
    assert_non_null(find(r, "cleanup.policy"));
    assert_int_equal(describe(c, 4, TOPIC, "t", keys + 1, 1)->configs.count, 0);
    r = describe(c, 4, TOPIC, "t", keys, 0); /* an empty list means all, as null does */
    assert_int_equal(r->configs.count, ARRAY_LEN(kafka_topic_configs));
    r = describe(c, 4, BROKER, "1", (struct slice[]){text("log.retention.hours")}, 1);
    assert_int_equal(r->configs.count, 1);
    harness_fini(&h);
}

static void errors(void **state)
{
    static const struct {
        i8 type;
        const char *name;
        i16 kerr;
    } cases[] = {
        {TOPIC, "absent", KERR_UNKNOWN_TOPIC_OR_PARTITION},
        {TOPIC, "", KERR_INVALID_TOPIC_EXCEPTION},
        {TOPIC, "a b", KERR_INVALID_TOPIC_EXCEPTION},
        {BROKER, "2", KERR_INVALID_REQUEST},
        {BROKER, "one", KERR_INVALID_REQUEST},
        {BROKER, "99999999999999999999", KERR_INVALID_REQUEST},
        {16, "", KERR_INVALID_REQUEST},
        {32, "", KERR_INVALID_REQUEST},
        {16, "x", KERR_NONE}, /* of client metrics there is nothing to configure yet */
        {0, "x", KERR_INVALID_REQUEST},
        {-1, "x", KERR_INVALID_REQUEST},
        {3, "x", KERR_INVALID_REQUEST},
        {99, "x", KERR_INVALID_REQUEST},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 1; version <= 4; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            const result_t *r = describe(c, version, cases[i].type, cases[i].name, NULL, 0);
            assert_int_equal(r->error_code, cases[i].kerr);
            assert_int_equal(r->configs.count, 0);
        }
    }
    harness_fini(&h);
}

static void half_a_million_keys(void **state)
{
    enum { COUNT = 500000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 1024 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct slice *keys = arena_array(&h.arena, COUNT, sizeof *keys);
    for (u32 i = 0; i < COUNT; i++) {
        keys[i] = text(i % 2 == 0 ? "m" : "num.partitions");
    }
    u64 before = io_clock_ns();
    assert_int_equal(describe(c, 4, BROKER, "1", keys, COUNT)->configs.count, 1);
    assert_true(io_clock_ns() - before < 5ull * 1000 * 1000 * 1000);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_topic_config),
        cmocka_unit_test(own_values_and_synonyms),
        cmocka_unit_test(every_broker_config),
        cmocka_unit_test(only_the_asked_keys),
        cmocka_unit_test(errors),
        cmocka_unit_test(half_a_million_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
