/* OffsetForLeaderEpoch over restarts, each of which begins an epoch [kafka-semantics.md 4, KIP-320;
 * held against Kafka 4.4]. */
#include "harness.h"

typedef struct offset_for_leader_epoch_request_partition wish_t;
typedef struct offset_for_leader_epoch_response_end row_t;

static const row_t *ask(struct client *c, i16 version, const char *topic, i32 partition,
                        i32 current, i32 epoch)
{
    wish_t wish = {.partition = partition, .current_leader_epoch = current, .leader_epoch = epoch};
    struct offset_for_leader_epoch_request_topic t = {.topic = text(topic),
                                                      .partitions = {.items = &wish, .count = 1}};
    struct offset_for_leader_epoch_request q = {.replica_id = version >= 3 ? -1 : -2,
                                                .topics = {.items = &t, .count = 1}};
    struct offset_for_leader_epoch_response *r = CALL(c, offset_for_leader_epoch, version, &q);
    assert_int_equal(r->topics.count, 1);
    assert_int_equal(r->topics.items[0].partitions.count, 1);
    assert_int_equal(r->topics.items[0].partitions.items[0].partition, partition);
    return &r->topics.items[0].partitions.items[0];
}

static void check(const row_t *row, i16 kerr, i32 epoch, i64 end)
{
    if (row->error_code != kerr || row->leader_epoch != epoch || row->end_offset != end) {
        fail_msg("error %d epoch %d end %lld", row->error_code, row->leader_epoch,
                 (long long)row->end_offset);
    }
}

static void over_restarts(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (i16 version = 2; version <= 4; version++) {
        check(ask(c, version, "t", 0, -1, 0), KERR_NONE, 0, 0);
        check(ask(c, version, "t", 0, -1, -2), KERR_NONE, -2, 0); /* as Kafka: smaller than all */
    }
    produce_ok(c, &t, 0, batch_plain(&h, 4)); /* epoch 0: 0-3 */
    harness_stop(&h);
    harness_start(&h);
    harness_crash(&h); /* epoch 1: nothing */
    harness_start(&h);
    c = client_open(&h);
    produce_ok(c, &t, 0, batch_plain(&h, 3)); /* epoch 2: 4-6 */
    for (i16 version = 2; version <= 4; version++) {
        check(ask(c, version, "t", 0, -1, 0), KERR_NONE, 0, 4);
        check(ask(c, version, "t", 0, -1, 2), KERR_NONE, 2, 7);
        check(ask(c, version, "t", 0, -1, 3), KERR_NONE, -1, -1);
        check(ask(c, version, "t", 0, -1, INT32_MAX), KERR_NONE, -1, -1);
        check(ask(c, version, "t", 0, -1, -1), KERR_NONE, -1, -1);
        /* Epoch 1 has no batch: the answer is where it would end, under it or under the one before.
         */
        const row_t *row = ask(c, version, "t", 0, -1, 1);
        assert_int_equal(row->error_code, KERR_NONE);
        assert_true(row->leader_epoch == 0 || row->leader_epoch == 1);
        assert_int_equal(row->end_offset, 4);
    }
    harness_fini(&h);
}

static void errors(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    harness_stop(&h);
    harness_start(&h);
    c = client_open(&h);
    for (i16 version = 2; version <= 4; version++) {
        check(ask(c, version, "t", 1, -1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        check(ask(c, version, "t", -1, -1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        check(ask(c, version, "absent", 0, -1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        check(ask(c, version, "", 0, -1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        check(ask(c, version, "t", 0, 0, 0), KERR_FENCED_LEADER_EPOCH, -1, -1);
        check(ask(c, version, "t", 0, 2, 0), KERR_UNKNOWN_LEADER_EPOCH, -1, -1);
        check(ask(c, version, "t", 0, 1, 1), KERR_NONE, 1, 0);
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_restarts),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
