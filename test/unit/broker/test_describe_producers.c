/* DescribeProducers: the producers of partitions as their last batches left them, what is told of
   what is not there, and that the expired are not shown [KafkaApis, UnifiedLog; held against Kafka
   4.4]. */
#include "harness.h"

typedef struct describe_producers_response_partition row_t;

static const row_t *describe(struct client *c, const char *topic, i32 partition)
{
    struct describe_producers_request_topic t = {
        .name = text(topic), .partition_indexes = {.items = &partition, .count = 1}};
    struct describe_producers_request q = {.topics = {.items = &t, .count = 1}};
    struct describe_producers_response *r = CALL(c, describe_producers, 0, &q);
    assert_int_equal(r->topics.count, 1);
    assert_true(slice_eq_cstr(r->topics.items[0].name, topic));
    assert_int_equal(r->topics.items[0].partitions.count, 1);
    assert_int_equal(r->topics.items[0].partitions.items[0].partition_index, partition);
    return &r->topics.items[0].partitions.items[0];
}

static void check(const struct describe_producers_response_producer_state *s, i64 id, i32 epoch,
                  i32 sequence, i64 timestamp)
{
    assert_int_equal(s->producer_id, id);
    assert_int_equal(s->producer_epoch, epoch);
    assert_int_equal(s->last_sequence, sequence);
    assert_int_equal(s->last_timestamp, timestamp);
    assert_int_equal(s->coordinator_epoch, -1);
    assert_int_equal(s->current_txn_start_offset, -1);
}

static void as_their_last_batches_left_them(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    i64 ids[3];
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        ids[i] = producer_id_new(c);
    }
    assert_int_equal(describe(c, "t", 0)->active_producers.count, 0);
    produce_ok(c, &t, 0, batch_plain(&h, 3)); /* no producer id */
    i64 now = harness_wall_ms(&h);
    /* The largest timestamp of the last batch, though it is not the last record's, and an older
       batch had a larger one. */
    const i64 first[] = {now, now + 100};
    const i64 second[] = {now + 50, now + 60, now + 10};
    const i64 other[] = {now + 7};
    struct batch_builder_options o = batch_idempotent(ids[2], 0, 0);
    produce_ok(c, &t, 0, batch_timed(&h, &o, first, 2));
    o.base_sequence = 2;
    produce_ok(c, &t, 0, batch_timed(&h, &o, second, 3));
    o = batch_idempotent(ids[0], 0, 40);
    produce_ok(c, &t, 0, batch_timed(&h, &o, other, 1));
    o = batch_idempotent(ids[0], 1, 0);
    produce_ok(c, &t, 0, batch_timed(&h, &o, other, 1));
    o = batch_idempotent(ids[1], 5, INT32_MAX);
    produce_ok(c, &t, 1, batch_timed(&h, &o, first, 2));
    for (u32 life = 0; life < 2; life++) {
        const row_t *row = describe(c, "t", 0);
        assert_int_equal(row->error_code, KERR_NONE);
        assert_null(row->error_message.ptr);
        assert_int_equal(row->active_producers.count, 2);
        check(&row->active_producers.items[0], ids[0], 1, 0, now + 7);
        check(&row->active_producers.items[1], ids[2], 0, 4, now + 60);
        row = describe(c, "t", 1);
        assert_int_equal(row->active_producers.count, 1);
        check(&row->active_producers.items[0], ids[1], 5, 0, now + 100);
        harness_crash(&h);
        harness_start(&h);
        c = client_open(&h);
    }
    harness_fini(&h);
}

static void what_is_not_there(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    i32 indexes[] = {-1, 0, 1, 0};
    struct describe_producers_request_topic topics[] = {
        {.name = text("t"), .partition_indexes = {.items = indexes, .count = 4}},
        {.name = text("absent"), .partition_indexes = {.items = indexes, .count = 4}},
        {.name = text("no/name"), .partition_indexes = {.items = indexes, .count = 1}},
        {.name = text("t"), .partition_indexes = {.items = indexes, .count = 0}},
    };
    struct describe_producers_request q = {.topics = {.items = topics, .count = 4}};
    struct describe_producers_response *r = CALL(c, describe_producers, 0, &q);
    assert_int_equal(r->topics.count, 4);
    static const i16 expected[] = {KERR_UNKNOWN_TOPIC_OR_PARTITION, KERR_NONE,
                                   KERR_UNKNOWN_TOPIC_OR_PARTITION, KERR_NONE};
    for (u32 i = 0; i < 4; i++) {
        const row_t *row = &r->topics.items[0].partitions.items[i];
        assert_int_equal(row->partition_index, indexes[i]);
        assert_int_equal(row->error_code, expected[i]);
        assert_null(row->error_message.ptr);
        row = &r->topics.items[1].partitions.items[i];
        assert_int_equal(row->partition_index, indexes[i]);
        assert_int_equal(row->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
        assert_true(slice_eq_cstr(row->error_message,
                                  "This server does not host this topic-partition. (ODK-2107)"));
        assert_int_equal(row->active_producers.count, 0);
    }
    const row_t *row = &r->topics.items[2].partitions.items[0];
    assert_int_equal(row->error_code, KERR_INVALID_TOPIC_EXCEPTION);
    assert_true(row->error_message.len > 0);
    assert_int_equal(r->topics.items[3].partitions.count, 0);
    q.topics.count = 0;
    assert_int_equal(CALL(c, describe_producers, 0, &q)->topics.count, 0);
    harness_fini(&h);
}

static void the_expired_are_not_shown(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "producer.id.expiration.ms", "60000");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    i64 id = producer_id_new(c);
    struct batch_builder_options o = batch_idempotent(id, 0, 0);
    produce_ok(c, &t, 0, batch_with(&h, &o, 1, 10));
    harness_skip_ms(&h, 59000);
    assert_int_equal(describe(c, "t", 0)->active_producers.count, 1);
    harness_skip_ms(&h, 2000);
    assert_int_equal(describe(c, "t", 0)->active_producers.count, 0);
    harness_fini(&h);
}

/* More than one answer's arena block holds. */
static void a_thousand(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (i64 id = 1000; id > 0; id--) {
        struct batch_builder_options o = batch_idempotent(id * 7, 0, 0);
        produce_ok(c, &t, 0, batch_with(&h, &o, 1, 10));
    }
    const row_t *row = describe(c, "t", 0);
    assert_int_equal(row->active_producers.count, 1000);
    for (u32 i = 0; i < 1000; i++) {
        assert_int_equal(row->active_producers.items[i].producer_id, 7 * (i + 1));
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_their_last_batches_left_them),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(the_expired_are_not_shown),
        cmocka_unit_test(a_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
