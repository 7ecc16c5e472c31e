/* Answers made of log ranges: hot ones from memory, cold ones from the disk, mixed, larger than any
   buffer, and to readers that stall; what arrives is what was stored, byte by byte
   [architecture.md, One Fetch]. */
#include "broker/conn.h"
#include "harness.h"

enum { BATCHES = 120, VALUE = 30000 };

/* About 18 MB in a budget of 16 MiB: most of it can only be read from the disk. */
static void fill(struct client *c, const struct topic *t, i32 partition, u32 batches)
{
    struct batch_builder_options o = batch_builder_plain();
    for (u32 i = 0; i < batches; i++) {
        i64 base = produce_ok(c, t, partition, batch_with(c->h, &o, 5, VALUE + i));
        assert_int_equal(base, i * 5);
    }
}

/* Every record says which batch it is of, by its length. */
static void check_records(struct slice records, i64 *next)
{
    struct batch_view b;
    while (records.len > 0) {
        assert_int_equal(batch_view_next(&records, &b), OK);
        assert_true(batch_crc_ok(&b));
        assert_int_equal(b.base_offset, *next);
        struct record_iter it;
        assert_int_equal(record_iter_init(&it, &b, NULL, 0), OK);
        struct record record;
        while (record_iter_next(&it, &record)) {
            assert_int_equal(record.offset, (*next)++);
            assert_int_equal(record.value.len, VALUE + b.base_offset / 5);
        }
        assert_int_equal(it.err, OK);
    }
}

static struct fetch_request *want(struct harness *h, const struct topic *t, i32 partition,
                                  i64 offset, i32 bytes)
{
    struct fetch_wish wish = {.partition = partition,
                              .offset = offset,
                              .partition_max_bytes = bytes,
                              .leader_epoch = -1,
                              .last_fetched_epoch = -1};
    return fetch_of(h, t, &wish, 1);
}

static void read_all(struct client *c, const struct topic *t, i32 partition, i32 bytes, u32 batches)
{
    i64 next = 0;
    while (next < batches * 5) {
        struct fetch_response *r = CALL(c, fetch, 12, want(c->h, t, partition, next, bytes));
        assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_NONE);
        assert_true(fetch_row(r, 0, 0)->records.bytes.len > 0);
        check_records(fetch_row(r, 0, 0)->records.bytes, &next);
    }
    assert_int_equal(next, batches * 5);
}

static void cold_and_hot_in_steps_of_every_size(void **state)
{
    static const i32 steps[] = {1, 200000, 1 << 20, 5 << 20, 50 << 20};
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    fill(c, &t, 0, BATCHES);
    for (u32 restart = 0; restart < 2; restart++) {
        for (u32 i = 0; i < ARRAY_LEN(steps); i++) {
            read_all(c, &t, 0, steps[i], BATCHES);
        }
        assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
        harness_crash(&h);
        harness_start(&h);
        c = client_open(&h);
    }
    harness_fini(&h);
}

/* One answer of 18 MB to a reader that takes a little at a time, in a budget of 16 MiB. */
static void a_slow_reader_gets_all_of_it(void **state)
{
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *producer = client_open(&h);
    struct topic t = topic_make(producer, "t", 1);
    fill(producer, &t, 0, BATCHES);
    struct client *slow = client_open_narrow(&h);
    i32 id = client_send(slow, API_fetch, 12, want(&h, &t, 0, 0, 50 << 20));
    for (u32 i = 0; i < 5; i++) { /* stalls: the read buffer is given back, and read again */
        harness_turns(&h, 20);
        harness_skip_ms(&h, 1500);
        harness_skip_ms(&h, 1500);
        (void)client_has_frame(slow);
        produce_ok(producer, &t, 0, batch_plain(&h, 1)); /* others go on */
    }
    struct fetch_response *r = client_recv(slow, API_fetch, 12, id);
    i64 next = 0;
    check_records(fetch_row(r, 0, 0)->records.bytes, &next);
    assert_int_equal(next, BATCHES * 5);
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    harness_fini(&h);
}

static void stalled_readers_do_not_stop_the_others(void **state)
{
    enum { STALLED = 40 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    fill(c, &t, 0, BATCHES);
    for (u32 i = 0; i < STALLED; i++) {
        struct client *stalled = client_open_narrow(&h);
        client_send(stalled, API_fetch, 12, want(&h, &t, 0, i % 3 * 100, 50 << 20));
    }
    harness_turns(&h, 50);
    u64 before = io_clock_ns(); /* they give back what they hold, one after the other */
    read_all(c, &t, 0, 1 << 20, BATCHES);
    assert_true(io_clock_ns() - before < 8ull * 1000 * 1000 * 1000);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    harness_fini(&h);
}

/* Many partitions, hot and cold, in one answer, each from another offset inside a run; and many
   answers in a pipeline. */
static void many_ranges_in_one_answer(void **state)
{
    enum { PARTITIONS = 50 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 32 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", PARTITIONS);
    for (u32 restart = 0; restart < 2; restart++) {
        for (i32 p = 0; p < PARTITIONS; p++) {
            for (u32 i = 0; i < 6; i++) {
                produce_ok(c, &t, p, batch_plain(&h, 3));
            }
        }
        if (restart == 0) {
            harness_crash(&h);
            harness_start(&h);
            c = client_open(&h);
        }
    }
    struct fetch_wish wishes[PARTITIONS];
    for (i32 p = 0; p < PARTITIONS; p++) {
        wishes[p] = (struct fetch_wish){
            .partition = p, .offset = p % 5, .leader_epoch = -1, .last_fetched_epoch = -1};
    }
    i32 ids[10];
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        ids[i] = client_send(c, API_fetch, 12, fetch_of(&h, &t, wishes, PARTITIONS));
    }
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        struct fetch_response *r = client_recv(c, API_fetch, 12, ids[i]);
        for (u32 p = 0; p < PARTITIONS; p++) {
            struct slice records = fetch_row(r, 0, p)->records.bytes;
            u64 base = p % 5 - p % 5 % 3; /* of the batch that holds the offset */
            assert_int_equal(load_be64(records.ptr), base);
            assert_int_equal(records_count(records), 36 - base);
        }
    }
    harness_fini(&h);
}

/* The topic goes in the middle of its answer: what was promised still comes, or the connection
 * ends. */
static void the_topic_goes_in_the_middle(void **state)
{
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *admin = client_open(&h);
    for (u32 turns = 0; turns < 10; turns += 3) {
        struct topic t = topic_make(admin, "t", 1);
        fill(admin, &t, 0, 60);
        struct client *reader = client_open_narrow(&h);
        client_send(reader, API_fetch, 12, want(&h, &t, 0, 0, 50 << 20));
        harness_turns(&h, turns);
        topic_delete(admin, &t);
        for (u32 i = 0; i < 2000 && !reader->ended && !client_has_frame(reader); i++) {
            harness_turn(&h);
        }
        assert_true(reader->ended || client_has_frame(reader));
        client_close(reader);
        client_expect_alive(admin);
    }
    harness_fini(&h);
}

/* A fetch from inside a run that is not in memory waits for it to be read: when its client goes
   meanwhile nothing is left of it. */
static void the_reader_goes_while_a_run_is_read(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    for (u32 i = 0; i < 60; i++) {
        produce_ok(c, &t, (i32)(i % 2), batch_plain(&h, 3));
    }
    harness_crash(&h);
    harness_start(&h);
    bool waited = false;
    for (u32 turns = 0; turns < 6; turns++) {
        struct client *reader = client_open(&h);
        client_expect_alive(reader);
        client_send(reader, API_fetch, 12, want(&h, &t, (i32)(turns % 2), 31, 1 << 20));
        for (u32 i = 0; i < turns; i++) {
            harness_turn(&h);
            waited = waited || h.broker->loads_waiting > 0;
        }
        client_close(reader);
        for (u32 i = 0; i < 2000 && h.broker->conn_count > 0; i++) {
            harness_turn(&h);
        }
        assert_int_equal(h.broker->conn_count, 0);
        assert_int_equal(h.broker->loads_waiting, 0);
    }
    assert_true(waited);
    c = client_open(&h);
    struct slice records = fetch(c, &t, 1, 31)->records.bytes;
    assert_int_equal(load_be64(records.ptr), 30);
    assert_int_equal(records_count(records), 60);
    harness_fini(&h);
}

/* Beside small answers large ones share what may leave in a turn, and nobody is left out. */
static void large_answers_share_a_turn(void **state)
{
    enum { READERS = 3, LARGE_BATCHES = 24 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    fill(c, &t, 0, LARGE_BATCHES); /* in memory */
    struct client *readers[READERS];
    struct conn *conns[READERS];
    i32 ids[READERS];
    for (u32 i = 0; i < READERS; i++) {
        readers[i] = client_open(&h);
        client_expect_alive(readers[i]);
        conns[i] = CONTAINER_OF(h.broker->conns.head.prev, struct conn, node);
        conns[i]->bulk = true; /* as if it had read before */
        ids[i] = client_send(readers[i], API_fetch, 12, want(&h, &t, 0, 0, 50 << 20));
    }
    u32 turns_full = 0;
    u64 least_at_first_end = 0;
    for (u32 whole = 0; whole < READERS;) {
        h.broker->small_until_ns = UINT64_MAX; /* small ones are expected, however long it takes */
        u64 before[READERS];
        for (u32 i = 0; i < READERS; i++) {
            before[i] = conns[i]->answer_bytes;
        }
        harness_turn(&h);
        u64 left = 0;
        u64 least = UINT64_MAX;
        u32 whole_before = whole;
        whole = 0;
        for (u32 i = 0; i < READERS; i++) {
            left += MAX(conns[i]->answer_bytes, before[i]) - before[i];
            bool has_all = client_has_frame(readers[i]);
            whole += has_all;
            least = has_all ? least : MIN(least, conns[i]->answer_bytes);
        }
        assert_true(left <= CONN_BULK_TURN_BYTES);
        turns_full += left == CONN_BULK_TURN_BYTES;
        least_at_first_end = whole_before == 0 && whole > 0 ? least : least_at_first_end;
    }
    assert_true(turns_full > 0);
    assert_true(least_at_first_end > 0);
    for (u32 i = 0; i < READERS; i++) {
        struct fetch_response *r = client_recv(readers[i], API_fetch, 12, ids[i]);
        i64 next = 0;
        check_records(fetch_row(r, 0, 0)->records.bytes, &next);
        assert_int_equal(next, LARGE_BATCHES * 5);
        assert_true(conns[i]->bulk);
        client_expect_alive(readers[i]);
        assert_false(conns[i]->bulk); /* a small answer, and it is as before */
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_and_hot_in_steps_of_every_size),
        cmocka_unit_test(a_slow_reader_gets_all_of_it),
        cmocka_unit_test(stalled_readers_do_not_stop_the_others),
        cmocka_unit_test(many_ranges_in_one_answer),
        cmocka_unit_test(the_topic_goes_in_the_middle),
        cmocka_unit_test(the_reader_goes_while_a_run_is_read),
        cmocka_unit_test(large_answers_share_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
