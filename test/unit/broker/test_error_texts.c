/* The catalogue's codes in error messages: which error has which, behind the sentence, once; not
   where Kafka has no sentence; not for ever in one request. */
#include "harness.h"

enum { MANY = 200 };

static bool says(struct slice message, const char *word)
{
    return message.len > 0 && memmem(message.ptr, message.len, word, strlen(word)) != NULL;
}

static struct create_topics_response *
create(struct client *c, struct create_topics_request_creatable_topic *topics, u32 count)
{
    struct create_topics_request q = {.topics = {.items = topics, .count = count},
                                      .timeout_ms = 1000};
    return CALL(c, create_topics, 7, &q);
}

static void refusals_of_topics(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "there", 1);
    struct create_topics_request_creatable_topic_config odd = {.name = text("retention.ms"),
                                                               .value = text("x")};
    struct create_topics_request_creatable_topic topics[] = {
        {.name = text("there"), .num_partitions = 1, .replication_factor = 1},
        {.name = text("a/b"), .num_partitions = 1, .replication_factor = 1},
        {.name = text("none"), .num_partitions = 0, .replication_factor = 1},
        {.name = text("factor"), .num_partitions = 1, .replication_factor = 0},
        {.name = text("config"),
         .num_partitions = 1,
         .replication_factor = 1,
         .configs = {.items = &odd, .count = 1}},
        {.name = text("made"), .num_partitions = 1, .replication_factor = 1},
    };
    static const char *const codes[] = {"(ODK-2101)", "(ODK-2102)", "(ODK-2103)",
                                        "(ODK-2104)", "(ODK-2106)", NULL};
    struct create_topics_response *r = create(c, topics, ARRAY_LEN(topics));
    assert_int_equal(r->topics.count, ARRAY_LEN(topics));
    for (u32 i = 0; i < r->topics.count; i++) {
        struct slice message = r->topics.items[i].error_message;
        assert_int_equal(says(message, "ODK-"), codes[i] != NULL);
        if (codes[i] != NULL) {
            size_t len = strlen(codes[i]);
            assert_true(message.len > len + 8);
            assert_memory_equal(message.ptr + message.len - len, codes[i], len);
        }
    }

    struct describe_configs_request_resource resource = {.resource_type = 2,
                                                         .resource_name = text("quite-different"),
                                                         .configuration_keys = {.is_null = true}};
    struct describe_configs_request q = {.resources = {.items = &resource, .count = 1}};
    struct describe_configs_response *d = CALL(c, describe_configs, 4, &q);
    assert_int_equal(d->results.items[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(d->results.items[0].error_message.ptr); /* as in Kafka */
    harness_fini(&h);
}

static void refusals_of_groups(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct slice name = text("nobody");
    struct describe_groups_request q = {.groups = {.items = &name, .count = 1}};
    struct describe_groups_response *r = CALL(c, describe_groups, 6, &q);
    assert_int_equal(r->groups.items[0].error_code, KERR_GROUP_ID_NOT_FOUND);
    assert_true(says(r->groups.items[0].error_message, "Group nobody not found. (ODK-2002)"));
    harness_fini(&h);
}

/* One refused batch per kind, each with its sentence and code; values where the reason is one. */
static void refusals_of_records(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t =
        topic_make_with(c, "t", 1, (const char *const[]){"max.message.bytes=500", NULL});
    struct topic small = topic_make_with(
        c, "small", 1,
        (const char *const[]){"segment.bytes=1048576", "max.message.bytes=9000000", NULL});
    struct topic keyed =
        topic_make_with(c, "keyed", 1, (const char *const[]){"cleanup.policy=compact", NULL});
    struct topic own = {.name = "__consumer_offsets"}; /* made when it is first asked for */
    struct slice group = text("g");
    struct find_coordinator_request find = {.coordinator_keys = {.items = &group, .count = 1}};
    CALL(c, find_coordinator, 4, &find);
    i64 id = producer_id_new(c);
    struct batch_builder_options known = batch_idempotent(id, 1, 0);
    produce_ok(c, &t, 0, batch_with(&h, &known, 1, 10));

    struct slice good = batch_plain(&h, 1);
    u8 *corrupt = batch_copy(&h, good);
    corrupt[good.len - 1] ^= 1;
    u8 *odd_codec = batch_copy(&h, good);
    odd_codec[BATCH_AT_ATTRIBUTES + 1] = 7;
    batch_seal(odd_codec, good.len);
    u8 *offset = batch_copy(&h, good);
    offset[BATCH_AT_BASE_OFFSET + 7] = 1;
    u8 *transactional = batch_copy(&h, good);
    transactional[BATCH_AT_ATTRIBUTES + 1] = BATCH_ATTRIBUTE_TRANSACTIONAL;
    store_be64(transactional + BATCH_AT_PRODUCER_ID, (u64)id);
    store_be32(transactional + BATCH_AT_BASE_SEQUENCE, 0);
    batch_seal(transactional, good.len);
    struct batch_builder_options plain = batch_idempotent(-1, -1, -1);
    struct batch_builder_options skips = batch_idempotent(id, 1, 77);
    struct batch_builder_options older = batch_idempotent(id, 0, 1);
    i64 long_ago = 1;
    struct topic timed = topic_make_with(
        c, "timed", 1, (const char *const[]){"message.timestamp.before.max.ms=1000", NULL});
    const struct {
        const struct topic *topic;
        struct slice batch;
        const char *text;
    } cases[] = {
        {&t, slice_of(corrupt, good.len), "CRC (ODK-2201)"},
        {&t, slice_of(offset, good.len), "must be 0 (ODK-2202)"},
        {&t, batch_with(&h, &plain, 1, 600),
         "bytes, the topic's max.message.bytes is 500 (ODK-2203)"},
        {&small, batch_with(&h, &plain, 1, 1100000),
         "bytes, the topic's segment.bytes is 1048576 (ODK-2203)"},
        {&timed, batch_timed(&h, &plain, &long_ago, 1), "timestamp (ODK-2204)"},
        {&t, slice_of(odd_codec, good.len), "compression type (ODK-2205)"},
        {&t, batch_with(&h, &skips, 1, 10), "sequence 77 does not follow"},
        {&t, batch_with(&h, &skips, 1, 10), "epoch 1 (ODK-2207)"},
        {&t, batch_with(&h, &older, 1, 10), "a later epoch than 0 by now (ODK-2208)"},
        {&t, slice_of(transactional, good.len), "there are none here (ODK-2209)"},
        {&own, good, "only the broker appends to it (ODK-2211)"},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct produce_response *r =
            CALL(c, produce, 8, produce_of(&h, cases[i].topic, 0, cases[i].batch, -1));
        const struct produce_response_partition *row = produce_row(r, 0, 0);
        if (!says(row->error_message, cases[i].text)) {
            fail_msg("case %u, error %d: '%.*s' does not say '%s'", i, row->error_code,
                     (int)row->error_message.len, (const char *)row->error_message.ptr,
                     cases[i].text);
        }
    }

    /* The texts of the records have the code too; and a good partition beside it has no text. */
    const struct produce_response_partition *row =
        produce(c, &timed, 0, batch_timed(&h, &plain, &long_ago, 1));
    assert_int_equal(row->record_errors.count, 1);
    assert_true(says(row->record_errors.items[0].batch_index_error_message,
                     "the timestamp of the record is out of range (ODK-2204)"));
    assert_int_equal(produce(c, &keyed, 0, batch_plain(&h, 1))->error_code, KERR_NONE);
    struct produce_request *q = produce_of(&h, &t, 0, good, 7);
    row = produce_row(CALL(c, produce, 8, q), 0, 0);
    assert_true(says(row->error_message, "(ODK-2206)"));
    struct topic absent = {.name = "absent"};
    row = produce_row(CALL(c, produce, 8, produce_of(&h, &absent, 0, good, -1)), 0, 0);
    assert_int_equal(row->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(row->error_message.ptr); /* as in Kafka */
    harness_fini(&h);
}

static void refusals_of_the_cluster(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i8 type = 2; type <= 3; type++) {
        struct describe_cluster_request q = {.endpoint_type = type};
        struct describe_cluster_response *r = CALL(c, describe_cluster, 1, &q);
        assert_true(says(r->error_message, "(ODK-2115)"));
    }
    struct describe_user_scram_credentials_request_name user = {.name = text("anna")};
    struct describe_user_scram_credentials_request q = {.users = {.items = &user, .count = 1}};
    struct describe_user_scram_credentials_response *r =
        CALL(c, describe_user_scram_credentials, 0, &q);
    assert_true(says(r->results.items[0].error_message, "anna (ODK-2113)"));
    harness_fini(&h);
}

static void many_in_one_request(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct create_topics_request_creatable_topic *topics =
        harness_new(&h, &create_topics_request_creatable_topic_struct, MANY);
    for (u32 i = 0; i < MANY; i++) {
        topics[i].name = harness_printf(&h, "t/%u", i);
        topics[i].num_partitions = 1;
        topics[i].replication_factor = 1;
    }
    struct create_topics_response *r = create(c, topics, MANY);
    u32 told = 0;
    for (u32 i = 0; i < r->topics.count; i++) {
        assert_int_equal(r->topics.items[i].error_code, KERR_INVALID_TOPIC_EXCEPTION);
        told += says(r->topics.items[i].error_message, "ODK-2102");
    }
    assert_int_equal(r->topics.count, MANY);
    assert_int_equal(told, 64);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_of_topics),  cmocka_unit_test(refusals_of_groups),
        cmocka_unit_test(refusals_of_records), cmocka_unit_test(refusals_of_the_cluster),
        cmocka_unit_test(many_in_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
