/* Produce as a whole: versions, acks, rows that do not hurt each other, timestamps, order of
   appends when batches go to a worker or wait for memory [kafka-semantics.md 3]. Single batches are
   test_produce_batches.c, producers test_produce_idempotence.c. */
#include "broker/conn.h"
#include "harness.h"

static void in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    i64 next = 0;
    for (i16 version = 3; version <= 13; version++) {
        static const i16 acks[] = {-1, 1};
        for (u32 i = 0; i < ARRAY_LEN(acks); i++) {
            struct produce_response *r =
                CALL(c, produce, version, produce_of(&h, &t, 1, batch_plain(&h, 4), acks[i]));
            assert_int_equal(r->throttle_time_ms, 0);
            assert_int_equal(r->responses.count, 1);
            assert_true(version >= 13 ? uuid_eq(r->responses.items[0].topic_id, t.id)
                                      : slice_eq_cstr(r->responses.items[0].name, "t"));
            const struct produce_response_partition *row = produce_row(r, 0, 0);
            assert_int_equal(row->error_code, KERR_NONE);
            assert_int_equal(row->index, 1);
            assert_int_equal(row->base_offset, next);
            assert_int_equal(row->log_append_time_ms, -1);
            assert_int_equal(row->log_start_offset, version >= 5 ? 0 : -1);
            assert_int_equal(row->record_errors.count, 0);
            assert_null(row->error_message.ptr);
            assert_int_equal(row->current_leader.leader_id, -1);
            assert_int_equal(r->node_endpoints.count, 0);
            next += 4;
        }
        client_send(c, API_produce, version, produce_of(&h, &t, 1, batch_plain(&h, 4), 0));
        next += 4;
    }
    client_expect_alive(c); /* acks=0 has no answer: the next one is ApiVersions' */
    for (u32 i = 0; i < 50 && high_watermark(c, &t, 1) < next; i++) {
        harness_turn(&h);
    }
    assert_int_equal(high_watermark(c, &t, 1), next);
    assert_int_equal(high_watermark(c, &t, 0), 0);
    assert_int_equal(records_count(fetch(c, &t, 1, 0)->records.bytes), next);
    harness_fini(&h);
}

static void wrong_acks(void **state)
{
    static const i16 acks[] = {2, -2, 100, INT16_MIN};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (u32 i = 0; i < ARRAY_LEN(acks); i++) {
        for (i16 version = 3; version <= 13; version++) {
            struct produce_response *r =
                CALL(c, produce, version, produce_of(&h, &t, 0, batch_plain(&h, 1), acks[i]));
            assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_INVALID_REQUIRED_ACKS);
            assert_int_equal(produce_row(r, 0, 0)->base_offset, -1);
        }
    }
    assert_int_equal(high_watermark(c, &t, 0), 0);
    harness_fini(&h);
}

static void unknown_topics_and_partitions(void **state)
{
    static const i32 partitions[] = {-1, 2, INT32_MAX, INT32_MIN};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct topic absent = {.name = "absent", .id = {{1, 2, 3}}};
    struct topic nameless = {.name = ""};
    for (i16 version = 3; version <= 13; version++) {
        for (u32 i = 0; i < ARRAY_LEN(partitions); i++) {
            struct produce_response *r = CALL(
                c, produce, version, produce_of(&h, &t, partitions[i], batch_plain(&h, 1), -1));
            assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
            assert_int_equal(produce_row(r, 0, 0)->index, partitions[i]);
        }
        i16 expected = version >= 13 ? KERR_UNKNOWN_TOPIC_ID : KERR_UNKNOWN_TOPIC_OR_PARTITION;
        struct produce_response *r =
            CALL(c, produce, version, produce_of(&h, &absent, 0, batch_plain(&h, 1), -1));
        assert_int_equal(produce_row(r, 0, 0)->error_code, expected);
        r = CALL(c, produce, version, produce_of(&h, &nameless, 0, batch_plain(&h, 1), -1));
        assert_int_equal(produce_row(r, 0, 0)->error_code, expected);
    }
    harness_fini(&h);
}

static void unacknowledged_with_an_error_ends_the_connection(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *admin = client_open(&h);
    struct topic t = topic_make(admin, "t", 1);
    for (i16 version = 3; version <= 13; version += 5) {
        struct client *c = client_open(&h);
        i32 before =
            client_send(c, API_produce, version, produce_of(&h, &t, 0, batch_plain(&h, 1), 1));
        client_send(c, API_produce, version,
                    produce_of(&h, &t, 1, batch_plain(&h, 1), 0)); /* no such partition */
        client_send(c, API_produce, version,
                    produce_of(&h, &t, 0, batch_plain(&h, 1), 1)); /* never looked at */
        struct produce_response *r = client_recv(c, API_produce, version, before);
        assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_NONE);
        client_expect_end(c);
    }
    harness_turns(&h, 20);
    assert_int_equal(high_watermark(admin, &t, 0), 3);
    harness_fini(&h);
}

static void no_topics_and_no_partitions(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (i16 version = 3; version <= 13; version += 5) {
        struct produce_request *q = produce_of(&h, &t, 0, batch_plain(&h, 1), -1);
        q->topic_data.items[0].partition_data.count = 0;
        struct produce_response *r = CALL(c, produce, version, q);
        assert_int_equal(r->responses.count, 1);
        assert_int_equal(r->responses.items[0].partition_responses.count, 0);
        q->topic_data.count = 0;
        assert_int_equal(CALL(c, produce, version, q)->responses.count, 0);
        q->acks = 0;
        client_send(c, API_produce, version, q);
        client_expect_alive(c);
    }
    harness_fini(&h);
}

/* Good and bad rows of every kind in one request. */
static void bad_rows_do_not_hurt_good_ones(void **state)
{
    enum { ROWS = 8 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", ROWS - 1);
    struct topic other = topic_make(c, "other", 1);
    struct produce_request *q = produce_of(&h, &t, 0, batch_plain(&h, 1), -1);
    struct produce_request_partition_data rows[ROWS];
    i16 expected[ROWS] = {0};
    for (i32 i = 0; i < ROWS; i++) {
        struct slice batch = batch_plain(&h, 2);
        u8 *bytes = batch_copy(&h, batch);
        rows[i] = (struct produce_request_partition_data){
            .index = i, .records.bytes = slice_of(bytes, batch.len)};
    }
    ((u8 *)(uintptr_t)rows[1].records.bytes.ptr)[70] ^= 1;
    expected[1] = KERR_CORRUPT_MESSAGE;
    rows[3].records.bytes = (struct slice){0};
    expected[3] = KERR_INVALID_RECORD;
    ((u8 *)(uintptr_t)rows[5].records.bytes.ptr)[BATCH_AT_MAGIC] = 1;
    expected[5] = KERR_INVALID_RECORD;
    expected[7] = KERR_UNKNOWN_TOPIC_OR_PARTITION;
    struct produce_request_topic_data topics[3] = {q->topic_data.items[0], q->topic_data.items[0],
                                                   q->topic_data.items[0]};
    topics[0].partition_data.items = rows;
    topics[0].partition_data.count = ROWS;
    topics[1].name = text("absent");
    topics[1].partition_data.items = rows;
    topics[1].partition_data.count = 1;
    topics[2].name = text("other");
    topics[2].partition_data.items = rows;
    topics[2].partition_data.count = 1;
    q->topic_data.items = topics;
    q->topic_data.count = 3;
    struct produce_response *r = CALL(c, produce, 9, q);
    assert_int_equal(r->responses.count, 3);
    for (u32 i = 0; i < ROWS; i++) {
        assert_int_equal(produce_row(r, 0, i)->error_code, expected[i]);
        assert_int_equal(produce_row(r, 0, i)->base_offset, expected[i] == 0 ? 0 : -1);
        assert_int_equal(produce_row(r, 0, i)->log_append_time_ms, -1);
    }
    assert_int_equal(produce_row(r, 1, 0)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(produce_row(r, 2, 0)->error_code, KERR_NONE);
    for (i32 i = 0; i < ROWS - 1; i++) {
        assert_int_equal(high_watermark(c, &t, i), expected[i] == 0 ? 2 : 0);
    }
    assert_int_equal(high_watermark(c, &other, 0), 2);
    harness_fini(&h);
}

static void one_partition_twice(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 3);
    struct produce_request *q = produce_of(&h, &t, 0, batch_plain(&h, 1), -1);
    struct produce_request_partition_data rows[4];
    static const i32 indexes[] = {1, 0, 1, 2};
    for (u32 i = 0; i < 4; i++) {
        rows[i] = (struct produce_request_partition_data){.index = indexes[i],
                                                          .records.bytes = batch_plain(&h, 1)};
    }
    q->topic_data.items[0].partition_data.items = rows;
    q->topic_data.items[0].partition_data.count = 4;
    struct produce_response *r = CALL(c, produce, 9, q);
    assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_NONE);
    assert_int_equal(produce_row(r, 0, 1)->error_code, KERR_NONE);
    assert_int_equal(produce_row(r, 0, 2)->error_code, KERR_INVALID_REQUEST);
    assert_int_equal(produce_row(r, 0, 3)->error_code, KERR_NONE);
    assert_int_equal(high_watermark(c, &t, 1), 1);
    harness_fini(&h);
}

/* ---- timestamps
 * ------------------------------------------------------------------------------------------ */

static void log_append_time(void **state)
{
    static const char *const configs[] = {"message.timestamp.type=LogAppendTime", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make_with(c, "t", 1, configs);
    static const i64 times[] = {5, -1, INT64_MAX / 2};
    struct batch_builder_options o = batch_builder_plain();
    for (u32 codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        o.codec = (enum codec)codec;
        i64 before = harness_wall_ms(&h);
        const struct produce_response_partition *row =
            produce(c, &t, 0, batch_timed(&h, &o, times, 3));
        assert_int_equal(row->error_code, KERR_NONE);
        assert_in_range(row->log_append_time_ms, before, harness_wall_ms(&h));
        struct batch_view b;
        assert_int_equal(batch_view_parse(fetch(c, &t, 0, row->base_offset)->records.bytes, &b),
                         OK);
        assert_true(batch_crc_ok(&b));
        assert_int_equal(batch_timestamp_type(&b), TIMESTAMP_LOG_APPEND_TIME);
        assert_int_equal(b.max_timestamp, row->log_append_time_ms);
    }
    harness_fini(&h);
}

static void timestamps_out_of_range(void **state)
{
    static const char *const configs[] = {"message.timestamp.before.max.ms=1000000",
                                          "message.timestamp.after.max.ms=1000000", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic usual = topic_make(c, "usual", 1);
    struct topic narrow = topic_make_with(c, "narrow", 1, configs);
    i64 now = harness_wall_ms(&h);
    const struct {
        i64 time;
        i16 usual, narrow;
    } cases[] = {
        {now, KERR_NONE, KERR_NONE},
        {-1, KERR_NONE, KERR_NONE}, /* none at all */
        {now - 900000, KERR_NONE, KERR_NONE},
        {now - 1100000, KERR_NONE, KERR_INVALID_TIMESTAMP},
        {0, KERR_NONE, KERR_INVALID_TIMESTAMP},
        {now + 900000, KERR_NONE, KERR_NONE},
        {now + 1100000, KERR_NONE, KERR_INVALID_TIMESTAMP},
        {now + 3700000, KERR_INVALID_TIMESTAMP,
         KERR_INVALID_TIMESTAMP}, /* an hour ahead is usual */
        {9223372036854775807, KERR_INVALID_TIMESTAMP, KERR_INVALID_TIMESTAMP},
    };
    struct batch_builder_options o = batch_builder_plain();
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        i64 times[] = {now, cases[i].time, now};
        const struct produce_response_partition *row =
            produce(c, &usual, 0, batch_timed(&h, &o, times, 3));
        assert_int_equal(row->error_code, cases[i].usual);
        row = produce(c, &narrow, 0, batch_timed(&h, &o, times, 3));
        assert_int_equal(row->error_code, cases[i].narrow);
        if (cases[i].narrow != KERR_NONE) {
            assert_int_equal(row->record_errors.count, 1);
            assert_int_equal(row->record_errors.items[0].batch_index, 1);
            assert_non_null(row->error_message.ptr);
        }
    }
    harness_fini(&h);
}

static void the_true_largest_timestamp_is_stored(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    i64 now = harness_wall_ms(&h);
    i64 times[] = {now, now - 5, now + 7};
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_timed(&h, &o, times, 3);
    u8 *lying = batch_copy(&h, batch);
    store_be64(lying + BATCH_AT_MAX_TIMESTAMP, (u64)(now + 100));
    batch_seal(lying, batch.len);
    produce_ok(c, &t, 0, slice_of(lying, batch.len));
    struct batch_view b;
    assert_int_equal(batch_view_parse(fetch(c, &t, 0, 0)->records.bytes, &b), OK);
    assert_true(batch_crc_ok(&b));
    assert_int_equal(b.max_timestamp, now + 7);
    harness_fini(&h);
}

/* ---- order
 * --------------------------------------------------------------------------------------------------
 */

/* Large compressed batches are verified on a worker; what comes behind them on the connection is
 * appended behind them. */
static void a_worker_keeps_the_order(void **state)
{
    enum { ROUNDS = 12 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    i64 id = producer_id_new(c);
    struct batch_builder_options o = batch_idempotent(id, 0, 0);
    i32 ids[ROUNDS];
    i32 records = 0;
    i64 bases[ROUNDS];
    struct rng rng = unit_rng();
    for (u32 i = 0; i < ROUNDS; i++) {
        o.codec = i % 2 == 0 ? CODEC_LZ4 : CODEC_NONE;
        o.base_sequence = records;
        bases[i] = records;
        struct slice batch;
        if (i % 2 == 0) { /* hardly compressible, so that it is large */
            struct batch_builder b;
            batch_builder_init(&b, &o);
            u8 value[20000];
            for (u32 k = 0; k < 8; k++) {
                rng_fill(&rng, value, sizeof value);
                assert_int_equal(batch_builder_add(&b, harness_wall_ms(&h), (struct slice){0},
                                                   slice_of(value, sizeof value), NULL, 0),
                                 OK);
            }
            struct slice built;
            assert_int_equal(batch_builder_finish(&b, &built), OK);
            batch = arena_copy(&h.arena, built);
            batch_builder_fini(&b);
            assert_true(batch.len > 100000);
            records += 8;
        } else {
            batch = batch_with(&h, &o, 1, 10);
            records++;
        }
        ids[i] = client_send(c, API_produce, 9, produce_of(&h, &t, 0, batch, -1));
    }
    for (u32 i = 0; i < ROUNDS; i++) {
        struct produce_response *r = client_recv(c, API_produce, 9, ids[i]);
        assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_NONE);
        assert_int_equal(produce_row(r, 0, 0)->base_offset, bases[i]);
    }
    harness_fini(&h);
}

static struct slice batch_for_a_worker(struct harness *h)
{
    struct batch_builder_options o = batch_builder_plain();
    o.codec = CODEC_GZIP;
    o.level = 1;
    struct slice batch = batch_with(h, &o, 3800, 2000);
    assert_in_range(batch.len, 64 * 1024, 1000000);
    return batch;
}

/* Memory is short, but for receive buffers that are kept for the next crowd. */
static void free_receive_buffers_make_room_for_a_worker(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    struct slice batch = batch_for_a_worker(&h);
    harness_crowd(&h, 35);
    struct quota *root = &h.broker->memory.root;
    u64 more = root->cap - root->used - broker_decompress_bytes(h.broker) + MIB;
    assert_true(quota_charge(root, more));
    produce_ok(c, &t, 0, batch);
    assert_true(h.broker->receive_pool.free_count <= h.broker->receive_kept);
    quota_release(root, more);
    harness_fini(&h);
}

static void the_client_goes_while_a_worker_runs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *admin = client_open(&h);
    struct topic t = topic_make(admin, "t", 1);
    struct slice batch = batch_for_a_worker(&h);
    for (u32 turns = 0; turns < 6; turns++) {
        struct client *c = client_open(&h);
        client_send(c, API_produce, 9, produce_of(&h, &t, 0, batch, -1));
        harness_turns(&h, turns);
        client_reset(c);
        harness_turns(&h, 2);
    }
    for (u32 i = 0; i < 200 && !list_empty(&h.broker->jobs); i++) {
        harness_turn(&h);
    }
    client_expect_alive(admin);
    harness_fini(&h);
}

static void the_topic_goes_while_a_worker_runs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *admin = client_open(&h);
    struct client *c = client_open(&h);
    struct batch_builder_options o = batch_builder_plain();
    o.codec = CODEC_GZIP;
    o.level = 1;
    struct slice batch = batch_with(&h, &o, 2000, 2000);
    for (u32 turns = 0; turns < 6; turns++) {
        struct topic t = topic_make(admin, "t", 1);
        i32 id = client_send(c, API_produce, 13, produce_of(&h, &t, 0, batch, -1));
        harness_turns(&h, turns);
        topic_delete(admin, &t);
        i16 kerr = produce_row(client_recv(c, API_produce, 13, id), 0, 0)->error_code;
        assert_true(kerr == KERR_NONE || kerr == KERR_UNKNOWN_TOPIC_ID);
    }
    harness_fini(&h);
}

/* More in flight than the write-ahead log may hold in memory: producers wait, nothing is refused,
 * order is kept. */
static void more_than_memory_waits(void **state)
{
    enum { CLIENTS = 6, EACH = 12 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 32 * MIB;
    harness_start(&h);
    struct client *admin = client_open(&h);
    static const char *const configs[] = {"max.message.bytes=4000000", NULL};
    struct topic t = topic_make_with(admin, "t", CLIENTS, configs);
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_with(&h, &o, 10, 100000);
    struct client *clients[CLIENTS];
    i32 ids[CLIENTS][EACH];
    for (u32 i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(&h);
    }
    for (u32 k = 0; k < EACH; k++) {
        for (u32 i = 0; i < CLIENTS; i++) {
            ids[i][k] =
                client_send(clients[i], API_produce, 9, produce_of(&h, &t, (i32)i, batch, -1));
        }
    }
    for (u32 i = 0; i < CLIENTS; i++) {
        for (u32 k = 0; k < EACH; k++) {
            struct produce_response *r = client_recv(clients[i], API_produce, 9, ids[i][k]);
            assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_NONE);
            assert_int_equal(produce_row(r, 0, 0)->base_offset, k * 10);
        }
    }
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    harness_fini(&h);
}

/* One request that alone is larger than all the memory for batches. */
static void a_request_larger_than_the_log_s_memory(void **state)
{
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    size_t bytes = (size_t)h.broker->request_bytes_max - 1000;
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_with(&h, &o, 1, (u32)bytes);
    assert_int_equal(produce(c, &t, 0, batch)->error_code, KERR_MESSAGE_TOO_LARGE);
    static const char *const configs[] = {"max.message.bytes=100000000", NULL};
    struct topic wide = topic_make_with(c, "wide", 1, configs);
    assert_int_equal(produce(c, &wide, 0, batch)->error_code, KERR_NONE);
    assert_int_equal(high_watermark(c, &wide, 0), 1);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_version),
        cmocka_unit_test(wrong_acks),
        cmocka_unit_test(unknown_topics_and_partitions),
        cmocka_unit_test(unacknowledged_with_an_error_ends_the_connection),
        cmocka_unit_test(no_topics_and_no_partitions),
        cmocka_unit_test(bad_rows_do_not_hurt_good_ones),
        cmocka_unit_test(one_partition_twice),
        cmocka_unit_test(log_append_time),
        cmocka_unit_test(timestamps_out_of_range),
        cmocka_unit_test(the_true_largest_timestamp_is_stored),
        cmocka_unit_test(a_worker_keeps_the_order),
        cmocka_unit_test(free_receive_buffers_make_room_for_a_worker),
        cmocka_unit_test(the_client_goes_while_a_worker_runs),
        cmocka_unit_test(the_topic_goes_while_a_worker_runs),
        cmocka_unit_test(more_than_memory_waits),
        cmocka_unit_test(a_request_larger_than_the_log_s_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
