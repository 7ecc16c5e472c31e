/* DescribeCluster and ListPartitionReassignments: one broker, at the address of this connection,
 * and nothing on the move. */
#include "harness.h"

static void in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    char cluster[23];
    uuid_print(cluster_id(broker_cluster(h.broker)), cluster);
    for (i16 version = 0; version <= 2; version++) {
        struct describe_cluster_request *q = NEW(&h, describe_cluster_request, 1);
        q->include_cluster_authorized_operations = true;
        q->include_fenced_brokers = version >= 2;
        struct describe_cluster_response *r = CALL(c, describe_cluster, version, q);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_null(r->error_message.ptr);
        assert_int_equal(r->endpoint_type, 1);
        assert_true(slice_eq_cstr(r->cluster_id, cluster));
        assert_int_equal(r->controller_id, BROKER_NODE_ID);
        assert_int_equal(r->brokers.count, 1);
        assert_int_equal(r->brokers.items[0].broker_id, BROKER_NODE_ID);
        assert_true(slice_eq_cstr(r->brokers.items[0].host, "127.0.0.1"));
        assert_int_equal(r->brokers.items[0].port, h.address.port);
        assert_null(r->brokers.items[0].rack.ptr);
        assert_false(r->brokers.items[0].is_fenced);
    }
    harness_fini(&h);
}

static void other_endpoints(void **state)
{
    static const struct {
        i8 type;
        i16 kerr;
    } cases[] = {{2, KERR_MISMATCHED_ENDPOINT_TYPE},
                 {0, KERR_UNSUPPORTED_ENDPOINT_TYPE},
                 {3, KERR_UNSUPPORTED_ENDPOINT_TYPE},
                 {-1, KERR_UNSUPPORTED_ENDPOINT_TYPE}};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 1; version <= 2; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            struct describe_cluster_request q = {.endpoint_type = cases[i].type};
            struct describe_cluster_response *r = CALL(c, describe_cluster, version, &q);
            assert_int_equal(r->error_code, cases[i].kerr);
            assert_non_null(r->error_message.ptr);
            assert_int_equal(r->brokers.count, 0);
        }
    }
    harness_fini(&h);
}

static void no_reassignments(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct list_partition_reassignments_request *q =
        NEW(&h, list_partition_reassignments_request, 1);
    q->topics.is_null = true;
    struct list_partition_reassignments_response *r = CALL(c, list_partition_reassignments, 0, q);
    assert_int_equal(r->error_code, KERR_NONE);
    assert_null(r->error_message.ptr);
    assert_int_equal(r->topics.count, 0);
    i32 partitions[] = {0, 1};
    struct list_partition_reassignments_request_topics topic = {
        .name = text(t.name), .partition_indexes = {.items = partitions, .count = 2}};
    q->topics.is_null = false;
    q->topics.items = &topic;
    q->topics.count = 1;
    assert_int_equal(CALL(c, list_partition_reassignments, 0, q)->topics.count, 0);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_version),
        cmocka_unit_test(other_endpoints),
        cmocka_unit_test(no_reassignments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
