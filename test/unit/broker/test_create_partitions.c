/* CreatePartitions: the count is the new total; every check; the new partitions work, the old keep
 * their records. */
#include "harness.h"

typedef struct create_partitions_request_topic row_t;
typedef struct create_partitions_request_assignment assignment_t;

static const struct create_partitions_response_topic_result *raise(struct client *c, i16 version,
                                                                   row_t row, bool validate_only)
{
    struct create_partitions_request q = {.topics = {.items = &row, .count = 1},
                                          .validate_only = validate_only};
    struct create_partitions_response *r = CALL(c, create_partitions, version, &q);
    assert_int_equal(r->results.count, 1);
    return &r->results.items[0];
}

static row_t row_of(const char *name, i32 count)
{
    return (row_t){.name = text(name), .count = count, .assignments = {.is_null = true}};
}

static void in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 3));
    for (i16 version = 0; version <= 3; version++) {
        i32 count = 2 + 3 * version;
        const struct create_partitions_response_topic_result *r =
            raise(c, version, row_of("t", count), true);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(produce(c, &t, count - 1, batch_plain(&h, 1))->error_code,
                         KERR_UNKNOWN_TOPIC_OR_PARTITION);
        r = raise(c, version, row_of("t", count), false);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_null(r->error_message.ptr);
        assert_true(slice_eq_cstr(r->name, "t"));
        assert_int_equal(produce_ok(c, &t, count - 1, batch_plain(&h, 1)), 0);
    }
    assert_int_equal(high_watermark(c, &t, 0), 3);
    for (u32 crash = 0; crash < 2; crash++) {
        (crash ? harness_crash : harness_stop)(&h);
        harness_start(&h);
        c = client_open(&h);
        assert_int_equal(high_watermark(c, &t, 0), 3);
        assert_int_equal(high_watermark(c, &t, 10), 1);
        assert_int_equal(high_watermark(c, &t, 9), 0);
    }
    harness_fini(&h);
}

static void refused(void **state)
{
    static const struct {
        const char *name;
        i32 count;
        i16 kerr;
    } cases[] = {
        {"t", 4, KERR_INVALID_PARTITIONS},
        {"t", 3, KERR_INVALID_PARTITIONS},
        {"t", 0, KERR_INVALID_PARTITIONS},
        {"t", -1, KERR_INVALID_PARTITIONS},
        {"t", INT32_MIN, KERR_INVALID_PARTITIONS},
        {"t", INT32_MAX, KERR_INVALID_PARTITIONS},
        {"absent", 8, KERR_UNKNOWN_TOPIC_OR_PARTITION},
        {"", 8, KERR_UNKNOWN_TOPIC_OR_PARTITION},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 4);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        const struct create_partitions_response_topic_result *r =
            raise(c, 3, row_of(cases[i].name, cases[i].count), i % 2 == 0);
        assert_int_equal(r->error_code, cases[i].kerr);
        assert_non_null(r->error_message.ptr);
    }
    row_t same[] = {row_of("t", 5), row_of("t", 6)};
    struct create_partitions_request q = {.topics = {.items = same, .count = 2}};
    struct create_partitions_response *r = CALL(c, create_partitions, 3, &q);
    assert_int_equal(r->results.items[0].error_code, KERR_INVALID_REQUEST);
    assert_int_equal(r->results.items[1].error_code, KERR_INVALID_REQUEST);
    harness_fini(&h);
}

static void assignments(void **state)
{
    static i32 self[] = {BROKER_NODE_ID, BROKER_NODE_ID};
    static i32 other[] = {BROKER_NODE_ID + 1};
    assignment_t one = {.broker_ids = {self, 1, false}};
    assignment_t twice = {.broker_ids = {self, 2, false}};
    assignment_t unknown = {.broker_ids = {other, 1, false}};
    assignment_t none = {0};
    const struct {
        assignment_t list[2];
        u32 count;
        i16 kerr;
    } cases[] = {
        {{one, one}, 2, KERR_NONE},
        {{one}, 1, KERR_INVALID_REPLICA_ASSIGNMENT}, /* two are added */
        {{{{0}}}, 0, KERR_INVALID_REPLICA_ASSIGNMENT},
        {{one, twice}, 2, KERR_INVALID_REPLICA_ASSIGNMENT},
        {{one, unknown}, 2, KERR_INVALID_REPLICA_ASSIGNMENT},
        {{one, none}, 2, KERR_INVALID_REPLICA_ASSIGNMENT},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        row_t row = row_of("t", 3);
        assignment_t list[2] = {cases[i].list[0], cases[i].list[1]};
        row.assignments.is_null = false;
        row.assignments.items = list;
        row.assignments.count = cases[i].count;
        assert_int_equal(raise(c, 3, row, true)->error_code, cases[i].kerr);
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_version),
        cmocka_unit_test(refused),
        cmocka_unit_test(assignments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
