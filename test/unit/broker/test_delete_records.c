/* DeleteRecords: what it answers in every version and to every kind of request, and what readers
   find afterwards: fetches, waiting fetches, look-ups by time, restarts [KafkaApis, Partition;
   held against Kafka 4.4]. */
#include "broker/conn.h"
#include "harness.h"

#include <signal.h>
#include <sys/resource.h>

typedef struct delete_records_request_topic topic_t;
typedef struct delete_records_request_partition partition_t;
typedef struct delete_records_response_partition_result row_t;

static struct delete_records_request *request_of(struct harness *h, topic_t *topics, u32 count)
{
    struct delete_records_request *q = NEW(h, delete_records_request, 1);
    q->topics.items = topics;
    q->topics.count = count;
    q->timeout_ms = 30000;
    return q;
}

static struct delete_records_request *one_of(struct harness *h, const char *topic, i32 partition,
                                             i64 offset)
{
    topic_t *t = NEW(h, delete_records_request_topic, 1);
    t->name = text(topic);
    t->partitions.items = NEW(h, delete_records_request_partition, 1);
    t->partitions.count = 1;
    t->partitions.items[0] = (partition_t){.partition_index = partition, .offset = offset};
    return request_of(h, t, 1);
}

static const row_t *only_row(const struct delete_records_response *r)
{
    assert_int_equal(r->topics.count, 1);
    assert_int_equal(r->topics.items[0].partitions.count, 1);
    return &r->topics.items[0].partitions.items[0];
}

static void check(const struct delete_records_response *r, i16 kerr, i64 low_watermark)
{
    const row_t *row = only_row(r);
    assert_int_equal(row->error_code, kerr);
    assert_int_equal(row->low_watermark, low_watermark);
}

/* In the newest version, one partition. */
static void delete_to(struct client *c, const char *topic, i32 partition, i64 offset, i16 kerr,
                      i64 low_watermark)
{
    struct delete_records_response *r =
        CALL(c, delete_records, 2, one_of(c->h, topic, partition, offset));
    assert_true(slice_eq_cstr(r->topics.items[0].name, topic));
    assert_int_equal(only_row(r)->partition_index, partition);
    check(r, kerr, low_watermark);
}

static i64 list_one(struct client *c, const struct topic *t, i64 timestamp, i64 *found_time)
{
    struct list_offsets_request_partition wish = {.timestamp = timestamp,
                                                  .current_leader_epoch = -1};
    struct list_offsets_request_topic wanted = {.name = text(t->name),
                                                .partitions = {.items = &wish, .count = 1}};
    struct list_offsets_request q = {.replica_id = -1, .topics = {.items = &wanted, .count = 1}};
    struct list_offsets_response *r = CALL(c, list_offsets, 7, &q);
    const struct list_offsets_response_partition *row = &r->topics.items[0].partitions.items[0];
    assert_int_equal(row->error_code, KERR_NONE);
    if (found_time != NULL) {
        *found_time = row->timestamp;
    }
    return row->offset;
}

/* ---- what it answers ------------------------------------------------------------------------- */

static void in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 0; version <= version_max(API_delete_records); version++) {
        struct topic t = topic_make(c, "t", 2);
        produce_ok(c, &t, 1, batch_plain(&h, 10));
        produce_ok(c, &t, 1, batch_plain(&h, 10));
        static const struct {
            i32 partition;
            i64 offset;
            i16 kerr;
            i64 low_watermark;
        } rows[] = {
            {1, 21, KERR_OFFSET_OUT_OF_RANGE, -1},
            {1, -2, KERR_OFFSET_OUT_OF_RANGE, -1},
            {1, INT64_MIN, KERR_OFFSET_OUT_OF_RANGE, -1},
            {1, INT64_MAX, KERR_OFFSET_OUT_OF_RANGE, -1},
            {1, 0, KERR_NONE, 0},
            {1, 4, KERR_NONE, 4}, /* inside a batch */
            {1, 4, KERR_NONE, 4},
            {1, 2, KERR_NONE, 4}, /* below the start */
            {1, 10, KERR_NONE, 10},
            {1, -1, KERR_NONE, 20},
            {1, 20, KERR_NONE, 20},
            {0, -1, KERR_NONE, 0}, /* empty */
            {0, 1, KERR_OFFSET_OUT_OF_RANGE, -1},
            {2, -1, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1},
            {-1, -1, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1},
        };
        for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
            struct delete_records_response *r = CALL(
                c, delete_records, version, one_of(&h, "t", rows[i].partition, rows[i].offset));
            assert_true(slice_eq_cstr(r->topics.items[0].name, "t"));
            check(r, rows[i].kerr, rows[i].low_watermark);
        }
        topic_delete(c, &t);
    }
    harness_fini(&h);
}

static void what_may_not_be_deleted_from(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic compacted =
        topic_make_with(c, "compacted", 1, (const char *[]){"cleanup.policy=compact", NULL});
    struct topic both =
        topic_make_with(c, "both", 1, (const char *[]){"cleanup.policy=compact,delete", NULL});
    struct batch_builder_options o = batch_builder_plain();
    produce_ok(c, &compacted, 0, batch_with(&h, &o, 3, 10));
    produce_ok(c, &both, 0, batch_with(&h, &o, 3, 10));
    delete_to(c, "compacted", 0, 1, KERR_POLICY_VIOLATION, -1);
    delete_to(c, "compacted", 0, 99, KERR_POLICY_VIOLATION, -1);
    delete_to(c, "both", 0, 1, KERR_NONE, 1);
    delete_to(c, "absent", 0, 1, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1);
    delete_to(c, "__consumer_offsets", 0, 0, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1);
    struct slice key = text("group");
    struct find_coordinator_request find = {.coordinator_keys = {.items = &key, .count = 1}};
    CALL(c, find_coordinator, 4, &find); /* makes the internal topic */
    delete_to(c, "__consumer_offsets", 0, 0, KERR_INVALID_TOPIC_EXCEPTION, -1);
    delete_to(c, "__consumer_offsets", 99999, 0, KERR_UNKNOWN_TOPIC_OR_PARTITION, -1);
    assert_int_equal(CALL(c, delete_records, 2, request_of(&h, NULL, 0))->topics.count, 0);
    harness_fini(&h);
}

/* Topics and partitions named more than once: one row each, the last offset counts. */
static void named_twice(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic a = topic_make(c, "a", 2);
    struct topic b = topic_make(c, "b", 1);
    for (i32 i = 0; i < 2; i++) {
        produce_ok(c, &a, i, batch_plain(&h, 9));
    }
    produce_ok(c, &b, 0, batch_plain(&h, 9));
    partition_t first[] = {{0, 8}, {1, 1}, {0, 2}};
    partition_t second[] = {{0, 7}};
    partition_t third[] = {{1, 3}, {5, 0}};
    topic_t topics[] = {
        {.name = text("b"), .partitions = {.items = second, .count = 1}},
        {.name = text("a"), .partitions = {.items = first, .count = 3}},
        {.name = text("none")},
        {.name = text("a"), .partitions = {.items = third, .count = 2}},
    };
    struct delete_records_response *r =
        CALL(c, delete_records, 2, request_of(&h, topics, ARRAY_LEN(topics)));
    assert_int_equal(r->topics.count, 2);
    const struct delete_records_response_topic_result *of_a = &r->topics.items[0];
    assert_true(slice_eq_cstr(of_a->name, "a"));
    assert_int_equal(of_a->partitions.count, 3);
    static const row_t expected[] = {
        {0, 2, KERR_NONE}, {1, 3, KERR_NONE}, {5, -1, KERR_UNKNOWN_TOPIC_OR_PARTITION}};
    for (u32 i = 0; i < 3; i++) {
        assert_int_equal(of_a->partitions.items[i].partition_index, expected[i].partition_index);
        assert_int_equal(of_a->partitions.items[i].low_watermark, expected[i].low_watermark);
        assert_int_equal(of_a->partitions.items[i].error_code, expected[i].error_code);
    }
    assert_true(slice_eq_cstr(r->topics.items[1].name, "b"));
    assert_int_equal(r->topics.items[1].partitions.items[0].low_watermark, 7);
    assert_int_equal(list_one(c, &a, -2, NULL), 2);
    harness_fini(&h);
}

/* ---- what others do meanwhile ---------------------------------------------------------------- */

static void others_are_faster(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct client *other = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 10));
    /* Two at once: both hear where it starts when their own is done. */
    i32 further = client_send(c, API_delete_records, 2, one_of(&h, "t", 0, 7));
    i32 nearer = client_send(other, API_delete_records, 2, one_of(&h, "t", 0, 5));
    check(client_recv(c, API_delete_records, 2, further), KERR_NONE, 7);
    check(client_recv(other, API_delete_records, 2, nearer), KERR_NONE, 7);
    /* A client that goes away: what it asked for happens all the same. */
    client_send(other, API_delete_records, 2, one_of(&h, "t", 0, 8));
    client_close(other);
    for (u32 i = 0; i < 200 && list_one(c, &t, -2, NULL) != 8; i++) {
        harness_turn(&h);
    }
    assert_int_equal(list_one(c, &t, -2, NULL), 8);
    /* The topic goes, in the same slot of the metadata log. */
    other = client_open(&h);
    struct delete_topics_request_topic_state *gone = NEW(&h, delete_topics_request_topic_state, 1);
    gone->topic_id = t.id;
    struct delete_topics_request *q = NEW(&h, delete_topics_request, 1);
    q->topics.items = gone;
    q->topics.count = 1;
    i32 deletion = client_send(c, API_delete_topics, 6, q);
    i32 late = client_send(c, API_delete_records, 2, one_of(&h, "t", 0, 9));
    client_recv(c, API_delete_topics, 6, deletion);
    check(client_recv(c, API_delete_records, 2, late), KERR_UNKNOWN_TOPIC_OR_PARTITION, -1);
    harness_fini(&h);
}

static const struct fetch_response_partition_data *
edge(struct client *c, const struct topic *t, i64 offset, i16 kerr, u32 records, i64 log_start)
{
    const struct fetch_response_partition_data *row = fetch(c, t, 0, offset);
    assert_int_equal(row->error_code, kerr);
    assert_int_equal(records_count(row->records.bytes), records);
    assert_int_equal(row->log_start_offset, kerr == KERR_NONE ? log_start : -1); /* as Kafka */
    return row;
}

static void readers_at_the_edge(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (u32 i = 0; i < 4; i++) {
        produce_ok(c, &t, 0, batch_plain(&h, 5));
    }
    delete_to(c, "t", 0, 7, KERR_NONE, 7);
    for (u32 life = 0; life < 4; life++) {
        edge(c, &t, 0, KERR_OFFSET_OUT_OF_RANGE, 0, 7);
        edge(c, &t, 6, KERR_OFFSET_OUT_OF_RANGE, 0, 7);
        /* Batches as they are, also inside the run of a pack that the clean stop made. */
        const struct fetch_response_partition_data *row = edge(c, &t, 7, KERR_NONE, 15, 7);
        assert_int_equal(load_be64(row->records.bytes.ptr), 5);
        assert_int_equal(row->high_watermark, 20);
        edge(c, &t, 20, KERR_NONE, 0, 7);
        edge(c, &t, 21, KERR_OFFSET_OUT_OF_RANGE, 0, 7);
        assert_int_equal(list_one(c, &t, -2, NULL), 7);
        assert_int_equal(list_one(c, &t, -1, NULL), 20);
        assert_int_equal(list_one(c, &t, 0, NULL), 7); /* by time: never below the start */
        if (life == 3) {
            break;
        }
        (life == 1 ? harness_stop : harness_crash)(&h);
        harness_start(&h);
        c = client_open(&h);
    }
    delete_to(c, "t", 0, -1, KERR_NONE, 20);
    edge(c, &t, 19, KERR_OFFSET_OUT_OF_RANGE, 0, 20);
    edge(c, &t, 20, KERR_NONE, 0, 20);
    assert_int_equal(list_one(c, &t, 0, NULL), -1);
    assert_int_equal(list_one(c, &t, -3, NULL), -1);
    const struct produce_response_partition *appended = produce(c, &t, 0, batch_plain(&h, 1));
    assert_int_equal(appended->base_offset, 20);
    assert_int_equal(appended->log_start_offset, 20);
    edge(c, &t, 20, KERR_NONE, 1, 20);
    harness_fini(&h);
}

/* By time, where the deleted records have the largest timestamps, hot and cold. */
static void times_of_deleted_records(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_builder_plain();
    i64 now = harness_wall_ms(&h);
    const i64 times[][3] = {{90, 80, 99}, {10, 70, 95}, {20, 40, 30}, {60, 5, 60}, {50, 55, 1}};
    for (u32 i = 0; i < ARRAY_LEN(times); i++) {
        i64 absolute[3];
        for (u32 k = 0; k < 3; k++) {
            absolute[k] = now + times[i][k];
        }
        produce_ok(c, &t, 0, batch_timed(&h, &o, absolute, 3));
    }
    static const struct {
        i64 start;
        i64 largest; /* its offset */
    } steps[] = {{0, 2}, {1, 2}, {3, 5}, {4, 5}, {6, 9}, {10, 11}, {12, 13}, {14, 14}, {15, -1}};
    for (u32 i = 0; i < ARRAY_LEN(steps); i++) {
        i64 start = steps[i].start;
        delete_to(c, "t", 0, start, KERR_NONE, start);
        for (u32 cold = 0; cold < 2; cold++) {
            i64 time;
            assert_int_equal(list_one(c, &t, -3, &time), steps[i].largest);
            i64 largest = steps[i].largest;
            assert_int_equal(time, largest < 0 ? -1 : now + times[largest / 3][largest % 3]);
            for (i64 target = 0; target <= 100; target += 5) {
                i64 expected = start;
                while (expected < 15 && times[expected / 3][expected % 3] < target) {
                    expected++;
                }
                assert_int_equal(list_one(c, &t, now + target, NULL),
                                 expected < 15 ? expected : -1);
            }
            if (cold == 0) {
                harness_crash(&h);
                harness_start(&h);
                c = client_open(&h);
            }
        }
    }
    harness_fini(&h);
}

static void a_waiting_fetch_is_woken(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct client *admin = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 4));
    struct fetch_wish wish = {.offset = 2, .leader_epoch = -1, .last_fetched_epoch = -1};
    struct fetch_request *q = fetch_of(&h, &t, &wish, 1);
    q->max_wait_ms = 60000;
    q->min_bytes = 100000;
    i32 id = client_send(c, API_fetch, 12, q);
    client_expect_silence(c);
    delete_to(admin, "t", 0, 2, KERR_NONE, 2); /* still there */
    client_expect_silence(c);
    delete_to(admin, "t", 0, 3, KERR_NONE, 3);
    const struct fetch_response *r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_OFFSET_OUT_OF_RANGE);
    harness_fini(&h);
}

/* A producer whose records are all gone repeats its last batch. */
static void producers_stay(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_idempotent(producer_id_new(c), 0, 0);
    struct slice batch = batch_with(&h, &o, 3, 10);
    produce_ok(c, &t, 0, batch);
    delete_to(c, "t", 0, -1, KERR_NONE, 3);
    for (u32 life = 0; life < 2; life++) {
        assert_int_equal(produce_ok(c, &t, 0, batch), 0);
        assert_int_equal(high_watermark(c, &t, 0), 3);
        harness_crash(&h);
        harness_start(&h);
        c = client_open(&h);
    }
    harness_fini(&h);
}

/* The medium fails under the command: an error, no low watermark; the next start has the records.
 */
static void the_medium_fails(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 4));
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct delete_records_response *r = CALL(c, delete_records, 2, one_of(&h, "t", 0, 3));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    check(r, KERR_KAFKA_STORAGE_ERROR, -1);
    harness_crash(&h);
    harness_start(&h);
    c = client_open(&h);
    assert_int_equal(list_one(c, &t, -2, NULL), 0);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_version),
        cmocka_unit_test(what_may_not_be_deleted_from),
        cmocka_unit_test(named_twice),
        cmocka_unit_test(others_are_faster),
        cmocka_unit_test(readers_at_the_edge),
        cmocka_unit_test(times_of_deleted_records),
        cmocka_unit_test(a_waiting_fetch_is_woken),
        cmocka_unit_test(producers_stay),
        cmocka_unit_test(the_medium_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
