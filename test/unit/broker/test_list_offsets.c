/* ListOffsets: the special timestamps by version, look-up by time to the record in plain and
   compressed batches, hot and cold, and the epochs in the answers [kafka-semantics.md 4; held
   against Kafka 4.4]. */
#include "broker/conn.h"
#include "harness.h"

typedef struct list_offsets_request_partition wish_t;
typedef struct list_offsets_response_partition row_t;

static struct list_offsets_response *list(struct client *c, i16 version, const char *topic,
                                          wish_t *wishes, u32 count, i8 isolation)
{
    struct list_offsets_request_topic t = {.name = text(topic),
                                           .partitions = {.items = wishes, .count = count}};
    struct list_offsets_request q = {.replica_id = -1,
                                     .isolation_level = version >= 2 ? isolation : 0,
                                     .topics = {.items = &t, .count = 1}};
    struct list_offsets_response *r = CALL(c, list_offsets, version, &q);
    assert_int_equal(r->topics.count, 1);
    assert_int_equal(r->topics.items[0].partitions.count, count);
    assert_true(slice_eq_cstr(r->topics.items[0].name, topic));
    return r;
}

static const row_t *list_one(struct client *c, i16 version, const struct topic *t, i64 timestamp)
{
    wish_t wish = {.timestamp = timestamp, .current_leader_epoch = -1};
    return &list(c, version, t->name, &wish, 1, 0)->topics.items[0].partitions.items[0];
}

static void check(const row_t *row, i16 kerr, i64 timestamp, i64 offset, i32 epoch)
{
    if (row->error_code != kerr || row->timestamp != timestamp || row->offset != offset ||
        row->leader_epoch != epoch) {
        fail_msg("error %d time %lld offset %lld epoch %d", row->error_code,
                 (long long)row->timestamp, (long long)row->offset, row->leader_epoch);
    }
}

static void special_timestamps(void **state)
{
    static const struct {
        i64 timestamp;
        i16 from; /* first version that knows it */
        i64 empty_offset, offset;
        i32 empty_epoch, epoch;
    } cases[] = {
        {-1, 1, 0, 6, 0, 0},  {-2, 1, 0, 0, 0, 0},     {-3, 7, -1, 4, -1, 0},
        {-4, 8, 0, 0, 0, 0},  {-5, 9, -1, -1, -1, -1}, {-6, 11, -1, -1, -1, -1},
        {-7, 99, 0, 0, 0, 0}, {-99, 99, 0, 0, 0, 0},   {INT64_MIN, 99, 0, 0, 0, 0},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic empty = topic_make(c, "empty", 1);
    struct topic t = topic_make(c, "t", 1);
    i64 now = harness_wall_ms(&h);
    struct batch_builder_options o = batch_builder_plain();
    produce_ok(c, &t, 0, batch_timed(&h, &o, (i64[]){now, now + 1, now + 2}, 3));
    produce_ok(c, &t, 0,
               batch_timed(&h, &o, (i64[]){now + 1, now + 9, now + 9},
                           3)); /* the largest is the fifth: the first of equals */
    for (i16 version = 1; version <= 11; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            i32 epoch = version >= 4 ? cases[i].epoch : -1;
            i32 empty_epoch = version >= 4 ? cases[i].empty_epoch : -1;
            if (version < cases[i].from) {
                check(list_one(c, version, &t, cases[i].timestamp), KERR_UNSUPPORTED_VERSION, -1,
                      -1, -1);
                check(list_one(c, version, &empty, cases[i].timestamp), KERR_UNSUPPORTED_VERSION,
                      -1, -1, -1);
                continue;
            }
            i64 time = cases[i].timestamp == -3 ? now + 9 : -1;
            check(list_one(c, version, &t, cases[i].timestamp), KERR_NONE, time, cases[i].offset,
                  epoch);
            check(list_one(c, version, &empty, cases[i].timestamp), KERR_NONE, -1,
                  cases[i].empty_offset, empty_epoch);
        }
    }
    harness_fini(&h);
}

/* Every wanted time over batches of every kind, against the plain definition: the first record with
 * at least that time. */
static void by_time_to_the_record(void **state)
{
    static i64 times[200];
    struct rng rng = unit_rng();
    for (u32 codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        struct harness h;
        harness_up(&h);
        struct client *c = client_open(&h);
        struct topic t = topic_make(c, "t", 1);
        struct batch_builder_options o = batch_builder_plain();
        o.codec = (enum codec)codec;
        i64 base = harness_wall_ms(&h) - 1000;
        u32 count = 0;
        while (count + 10 < ARRAY_LEN(times)) {
            u32 records = (u32)rng_below(&rng, 9) + 1;
            for (u32 i = 0; i < records; i++) { /* nearly ascending, with gaps */
                times[count + i] = base + (count + i) * 3 + (i64)rng_below(&rng, 20);
            }
            assert_int_equal(produce_ok(c, &t, 0, batch_timed(&h, &o, times + count, records)),
                             count);
            count += records;
        }
        for (i64 wanted = base - 5; wanted < base + (i64)count * 3 + 30; wanted += 1) {
            u32 expected = 0;
            while (expected < count && times[expected] < wanted) {
                expected++;
            }
            const row_t *row = list_one(c, (i16)(1 + rng_below(&rng, 11)), &t, wanted);
            if (expected == count) {
                check(row, KERR_NONE, -1, -1, -1);
            } else {
                assert_int_equal(row->error_code, KERR_NONE);
                assert_int_equal(row->offset, expected);
                assert_int_equal(row->timestamp, times[expected]);
            }
        }
        check(list_one(c, 7, &t, 0), KERR_NONE, times[0], 0, 0);
        check(list_one(c, 7, &t, INT64_MAX), KERR_NONE, -1, -1, -1);
        harness_fini(&h);
    }
}

static void under_log_append_time(void **state)
{
    static const char *const configs[] = {"message.timestamp.type=LogAppendTime", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make_with(c, "t", 1, configs);
    const struct produce_response_partition *first = produce(c, &t, 0, batch_plain(&h, 3));
    harness_skip_ms(&h, 1000);
    const struct produce_response_partition *second = produce(c, &t, 0, batch_plain(&h, 3));
    assert_true(second->log_append_time_ms >= first->log_append_time_ms + 1000);
    check(list_one(c, 7, &t, first->log_append_time_ms), KERR_NONE, first->log_append_time_ms, 0,
          0);
    check(list_one(c, 7, &t, first->log_append_time_ms + 1), KERR_NONE, second->log_append_time_ms,
          3, 0);
    check(list_one(c, 7, &t, -3), KERR_NONE, second->log_append_time_ms, 3, 0);
    harness_fini(&h);
}

/* After a restart the batches are cold: the answer waits for the disk, and is the same. */
static void cold_batches_and_epochs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    i64 base = harness_wall_ms(&h);
    struct batch_builder_options o = batch_builder_plain();
    o.codec = CODEC_LZ4;
    for (i32 restart = 0; restart < 3; restart++) {
        for (i64 i = 0; i < 4; i++) {
            i64 at = base + restart * 100 + i * 10;
            produce_ok(c, &t, 1,
                       batch_timed(&h, &o, (i64[]){at, at + 1, at + 2, at + 3, at + 4}, 5));
        }
        (restart % 2 == 0 ? harness_crash : harness_stop)(&h);
        harness_start(&h);
        c = client_open(&h);
    }
    for (i32 epoch = 0; epoch < 3; epoch++) {
        for (i64 i = 0; i < 20; i++) {
            i64 at = base + epoch * 100 + i / 5 * 10 + i % 5;
            wish_t wishes[] = {{.partition_index = 0, .timestamp = at, .current_leader_epoch = -1},
                               {.partition_index = 1, .timestamp = at, .current_leader_epoch = -1},
                               {.partition_index = 0, .timestamp = -2, .current_leader_epoch = -1}};
            struct list_offsets_response *r = list(c, 8, "t", wishes, 2, 0);
            check(&r->topics.items[0].partitions.items[0], KERR_NONE, -1, -1, -1);
            check(&r->topics.items[0].partitions.items[1], KERR_NONE, at, epoch * 20 + i,
                  epoch); /* the record's epoch */
        }
    }
    wish_t latest[] = {{.partition_index = 1, .timestamp = -1, .current_leader_epoch = -1}};
    check(&list(c, 8, "t", latest, 1, 0)->topics.items[0].partitions.items[0], KERR_NONE, -1, 60,
          3); /* today's epoch */
    wish_t earliest[] = {{.partition_index = 1, .timestamp = -2, .current_leader_epoch = -1}};
    check(&list(c, 8, "t", earliest, 1, 0)->topics.items[0].partitions.items[0], KERR_NONE, -1, 0,
          0);
    wish_t largest[] = {{.partition_index = 1, .timestamp = -3, .current_leader_epoch = -1}};
    check(&list(c, 8, "t", largest, 1, 0)->topics.items[0].partitions.items[0], KERR_NONE,
          base + 234, 59, 2);
    /* The client goes while the disk is asked. */
    for (u32 turns = 0; turns < 4; turns++) {
        struct client *gone = client_open(&h);
        struct list_offsets_request_topic topic = {.name = text("t"),
                                                   .partitions = {.items = largest, .count = 1}};
        struct list_offsets_request q = {.replica_id = -1, .topics = {.items = &topic, .count = 1}};
        client_send(gone, API_list_offsets, 8, &q);
        harness_turns(&h, turns);
        client_reset(gone);
        harness_turns(&h, 5);
    }
    client_expect_alive(c);
    harness_fini(&h);
}

static void errors(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    produce_ok(c, &t, 0, batch_plain(&h, 3));
    for (i16 version = 1; version <= 11; version++) {
        wish_t wishes[] = {
            {.partition_index = 0, .timestamp = -1, .current_leader_epoch = -1},
            {.partition_index = 1, .timestamp = -1, .current_leader_epoch = -1},
            {.partition_index = 2, .timestamp = -1, .current_leader_epoch = -1},
            {.partition_index = -1, .timestamp = -1, .current_leader_epoch = -1},
            {.partition_index = 1, .timestamp = -2, .current_leader_epoch = -1},
        };
        struct list_offsets_response *r = list(c, version, "t", wishes, 5, 0);
        const row_t *rows = r->topics.items[0].partitions.items;
        check(&rows[0], KERR_NONE, -1, 3, version >= 4 ? 0 : -1);
        check(&rows[1], KERR_INVALID_REQUEST, -1, -1, -1); /* named twice */
        check(&rows[2], KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1);
        check(&rows[3], KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1);
        check(&rows[4], KERR_INVALID_REQUEST, -1, -1, -1);
        r = list(c, version, "absent", wishes, 1, 0);
        check(r->topics.items[0].partitions.items, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1);
        r = list(c, version, "", wishes, 1, 0);
        check(r->topics.items[0].partitions.items, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1);
        if (version >= 4) {
            wish_t ahead = {.timestamp = -1, .current_leader_epoch = 1};
            check(list(c, version, "t", &ahead, 1, 0)->topics.items[0].partitions.items,
                  KERR_UNKNOWN_LEADER_EPOCH, -1, -1, -1);
            wish_t right = {.timestamp = -1, .current_leader_epoch = 0};
            check(list(c, version, "t", &right, 1, 1)->topics.items[0].partitions.items, KERR_NONE,
                  -1, 3, 0);
        }
    }
    harness_stop(&h);
    harness_start(&h);
    c = client_open(&h);
    wish_t behind = {.timestamp = -1, .current_leader_epoch = 0};
    check(list(c, 7, "t", &behind, 1, 0)->topics.items[0].partitions.items,
          KERR_FENCED_LEADER_EPOCH, -1, -1, -1);
    harness_fini(&h);
}

/* A partition named twice is refused also when its topic stands there twice. */
static void a_topic_twice(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 3);
    topic_make(c, "u", 1);
    wish_t first[] = {{.partition_index = 0, .timestamp = -1, .current_leader_epoch = -1},
                      {.partition_index = 1, .timestamp = -1, .current_leader_epoch = -1}};
    wish_t other = {.partition_index = 0, .timestamp = -1, .current_leader_epoch = -1};
    wish_t again[] = {{.partition_index = 2, .timestamp = -1, .current_leader_epoch = -1},
                      {.partition_index = 1, .timestamp = -2, .current_leader_epoch = -1}};
    struct list_offsets_request_topic topics[] = {
        {.name = text("t"), .partitions = {.items = first, .count = 2}},
        {.name = text("u"), .partitions = {.items = &other, .count = 1}},
        {.name = text("t"), .partitions = {.items = again, .count = 2}}};
    struct list_offsets_request q = {.replica_id = -1, .topics = {.items = topics, .count = 3}};
    struct list_offsets_response *r = CALL(c, list_offsets, 7, &q);
    assert_int_equal(r->topics.items[0].partitions.items[0].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[0].partitions.items[1].error_code, KERR_INVALID_REQUEST);
    assert_int_equal(r->topics.items[1].partitions.items[0].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[2].partitions.items[0].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[2].partitions.items[1].error_code, KERR_INVALID_REQUEST);
    harness_fini(&h);
}

static void a_million_partitions(void **state)
{
    enum { COUNT = 1000000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 2048 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    wish_t *wishes = arena_array(&h.arena, COUNT, sizeof *wishes);
    for (i32 i = 0; i < COUNT; i++) {
        wishes[i] =
            (wish_t){.partition_index = i % 500000, .timestamp = -1, .current_leader_epoch = -1};
    }
    u64 before = io_clock_ns();
    struct list_offsets_response *r = list(c, 7, "t", wishes, COUNT, 0);
    assert_true(io_clock_ns() - before < 20ull * 1000 * 1000 * 1000);
    assert_int_equal(r->topics.items[0].partitions.items[0].error_code, KERR_INVALID_REQUEST);
    i16 last =
        r->topics.items[0].partitions.items[COUNT - 1].error_code; /* twice named, and unknown */
    assert_true(last == KERR_INVALID_REQUEST || last == KERR_UNKNOWN_TOPIC_OR_PARTITION);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_timestamps),
        cmocka_unit_test(by_time_to_the_record),
        cmocka_unit_test(under_log_append_time),
        cmocka_unit_test(cold_batches_and_epochs),
        cmocka_unit_test(errors),
        cmocka_unit_test(a_topic_twice),
        cmocka_unit_test(a_million_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
