/* ElectLeaders: the one replica leads already; what is not there, and elections of an unknown
   type, are refused. */
#include "harness.h"

typedef struct elect_leaders_request_topic_partitions wish_t;

static i16 elect(struct client *c, i16 version, i8 type, const char *name, i32 partition)
{
    wish_t wish = {.topic = text(name), .partitions = {.items = &partition, .count = 1}};
    struct elect_leaders_request q = {.election_type = type,
                                      .topic_partitions = {.items = &wish, .count = 1},
                                      .timeout_ms = 1000};
    struct elect_leaders_response *r = CALL(c, elect_leaders, version, &q);
    assert_int_equal(r->replica_election_results.count, 1);
    const struct elect_leaders_response_partition_result *row =
        &r->replica_election_results.items[0].partition_result.items[0];
    assert_int_equal(row->partition_id, partition);
    return row->error_code;
}

static void elections(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 2);
    for (i16 version = 0; version <= 2; version++) {
        assert_int_equal(elect(c, version, 0, "t", 1), KERR_ELECTION_NOT_NEEDED);
        assert_int_equal(elect(c, version, 0, "t", 2), KERR_UNKNOWN_TOPIC_OR_PARTITION);
        assert_int_equal(elect(c, version, 0, "t", -1), KERR_UNKNOWN_TOPIC_OR_PARTITION);
        assert_int_equal(elect(c, version, 0, "absent", 0), KERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    assert_int_equal(elect(c, 1, 1, "t", 0), KERR_ELECTION_NOT_NEEDED); /* unclean */
    assert_int_equal(elect(c, 1, 2, "t", 0), KERR_INVALID_REQUEST);
    assert_int_equal(elect(c, 1, -1, "t", 0), KERR_INVALID_REQUEST);
    harness_fini(&h);
}

static void elections_for_all_and_for_none(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    struct elect_leaders_request q = {.topic_partitions = {.is_null = true}};
    struct elect_leaders_response *r = CALL(c, elect_leaders, 2, &q);
    assert_int_equal(r->error_code, KERR_NONE);
    assert_int_equal(r->replica_election_results.count, 0);
    q.election_type = 9;
    assert_int_equal(CALL(c, elect_leaders, 2, &q)->error_code, KERR_INVALID_REQUEST);
    q.topic_partitions.is_null = false; /* nothing is asked: nothing is wrong */
    assert_int_equal(CALL(c, elect_leaders, 2, &q)->error_code, KERR_NONE);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elections),
        cmocka_unit_test(elections_for_all_and_for_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
