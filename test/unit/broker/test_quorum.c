/* DescribeQuorum answers for the one partition there is, and for nothing asked beside it;
   UpdateFeatures refuses every change. */
#include "harness.h"

typedef struct describe_quorum_request_topic_data topic_t;
typedef struct describe_quorum_request_partition_data partition_t;

static void a_quorum_of_one(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    partition_t partitions[] = {{0}, {1}};
    topic_t topics[] = {
        {.topic_name = text("__cluster_metadata"), .partitions = {.items = partitions, .count = 1}},
        {.topic_name = text("other"), .partitions = {.items = partitions, .count = 1}}};
    struct describe_quorum_request q = {.topics = {.items = topics, .count = 1}};
    for (i16 version = 0; version <= 2; version++) {
        struct describe_quorum_response *r = CALL(c, describe_quorum, version, &q);
        assert_int_equal(r->error_code, KERR_NONE);
        const struct describe_quorum_response_partition_data *row =
            &r->topics.items[0].partitions.items[0];
        assert_int_equal(row->error_code, KERR_NONE);
        assert_int_equal(row->leader_id, BROKER_NODE_ID);
        assert_int_equal(row->current_voters.count, 1);
        assert_int_equal(row->current_voters.items[0].log_end_offset, row->high_watermark);
        assert_int_equal(r->nodes.count, version >= 2 ? 1 : 0);
    }
    q.topics.count = 2; /* together with another topic: neither */
    struct describe_quorum_response *r = CALL(c, describe_quorum, 2, &q);
    for (u32 i = 0; i < 2; i++) {
        assert_int_equal(r->topics.items[i].partitions.items[0].error_code,
                         KERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    q.topics.count = 1;
    topics[0].partitions.count = 2; /* nor with another partition */
    r = CALL(c, describe_quorum, 2, &q);
    for (u32 i = 0; i < 2; i++) {
        assert_int_equal(r->topics.items[0].partitions.items[i].error_code,
                         KERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    harness_fini(&h);
}

static void features_cannot_be_changed(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct update_features_request_feature_key update = {
        .feature = text("group.version"), .max_version_level = 1, .upgrade_type = 1};
    struct update_features_request q = {.feature_updates = {.items = &update, .count = 1},
                                        .timeout_ms = 1000};
    for (i16 version = 0; version <= 1; version++) {
        struct update_features_response *r = CALL(c, update_features, version, &q);
        assert_int_equal(r->results.count, 1);
        assert_int_equal(r->results.items[0].error_code, KERR_FEATURE_UPDATE_FAILED);
    }
    assert_int_equal(CALL(c, update_features, 2, &q)->error_code, KERR_FEATURE_UPDATE_FAILED);
    q.feature_updates.count = 0;
    assert_int_equal(CALL(c, update_features, 2, &q)->error_code, KERR_NONE);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quorum_of_one),
        cmocka_unit_test(features_cannot_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
