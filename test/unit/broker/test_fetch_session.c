/* Fetch sessions (KIP-227): ids and epochs, what an incremental answer says and what it leaves out,
   that no partition starves, and the cap [kafka-semantics.md 4, catalogue 69]. */
#include "broker/conn.h"
#include "broker/fetch_session.h"
#include "harness.h"

static struct fetch_wish wish_at(i32 partition, i64 offset)
{
    return (struct fetch_wish){
        .partition = partition, .offset = offset, .leader_epoch = -1, .last_fetched_epoch = -1};
}

/* A fetch in a session; no wishes: only news are wanted. */
static struct fetch_request *request_of(struct harness *h, const struct topic *t,
                                        const struct fetch_wish *wishes, u32 count, i32 session,
                                        i32 epoch)
{
    struct fetch_request *q = fetch_of(h, t, wishes, count);
    q->session_id = session;
    q->session_epoch = epoch;
    if (count == 0) {
        q->topics.count = 0;
    }
    return q;
}

static struct fetch_response *ask(struct client *c, i16 version, const struct topic *t,
                                  const struct fetch_wish *wishes, u32 count, i32 session,
                                  i32 epoch)
{
    return CALL(c, fetch, version, request_of(c->h, t, wishes, count, session, epoch));
}

static u32 row_count(const struct fetch_response *r)
{
    u32 count = 0;
    for (u32 i = 0; i < r->responses.count; i++) {
        count += r->responses.items[i].partitions.count;
    }
    return count;
}

static void a_session_tells_only_news(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 3);
    for (i16 version = 7; version <= 18; version++) {
        i64 at = high_watermark(c, &t, 1);
        struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, at), wish_at(2, 0)};
        struct fetch_response *r = ask(c, version, &t, wishes, 3, 0, 0);
        i32 id = r->session_id;
        assert_int_equal(r->error_code, KERR_NONE);
        assert_true(id > 0);
        assert_int_equal(row_count(r), 3); /* the first answer says all */
        r = ask(c, version, &t, NULL, 0, id, 1);
        assert_int_equal(r->session_id, id);
        assert_int_equal(row_count(r), 0); /* nothing new */
        produce_ok(c, &t, 1, batch_plain(&h, 2));
        r = ask(c, version, &t, NULL, 0, id, 2);
        assert_int_equal(row_count(r), 1);
        assert_int_equal(fetch_row(r, 0, 0)->partition_index, 1);
        assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 2);
        /* The client has them and says from where on it wants more: no records, no news. */
        struct fetch_wish next = wish_at(1, at + 2);
        r = ask(c, version, &t, &next, 1, id, 3);
        assert_int_equal(row_count(r), 0);
        /* It does not say so: it gets them again. */
        struct fetch_wish again = wish_at(1, at);
        r = ask(c, version, &t, &again, 1, id, 4);
        assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 2);
        r = ask(c, version, &t, NULL, 0, id, 5);
        assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 2);
        /* Closed. */
        r = ask(c, version, &t, NULL, 0, id, -1);
        assert_int_equal(r->session_id, 0);
        assert_int_equal(r->error_code, KERR_NONE);
        r = ask(c, version, &t, NULL, 0, id, 6);
        assert_int_equal(r->error_code, KERR_FETCH_SESSION_ID_NOT_FOUND);
    }
    harness_fini(&h);
}

static void ids_and_epochs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0)};
    i32 id = ask(c, 12, &t, wishes, 2, 0, 0)->session_id;
    static const i32 wrong[] = {2, 3, INT32_MAX, -2, INT32_MIN};
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        struct fetch_response *r = ask(c, 12, &t, NULL, 0, id, wrong[i]);
        assert_int_equal(r->error_code, KERR_INVALID_FETCH_SESSION_EPOCH);
        assert_int_equal(r->session_id, 0);
        assert_int_equal(row_count(r), 0);
    }
    static const i32 unknown[] = {0, -1, INT32_MIN, INT32_MAX};
    for (u32 i = 0; i < ARRAY_LEN(unknown); i++) {
        if (unknown[i] != id) {
            assert_int_equal(ask(c, 12, &t, NULL, 0, unknown[i], 1)->error_code,
                             KERR_FETCH_SESSION_ID_NOT_FOUND);
        }
    }
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 1)->error_code,
                     KERR_NONE); /* none of that hurt it */
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 1)->error_code, KERR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 2)->error_code, KERR_NONE);

    /* Names and ids do not mix in a session. */
    assert_int_equal(ask(c, 13, &t, NULL, 0, id, 3)->error_code, KERR_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 3)->error_code, KERR_NONE);
    i32 by_id = ask(c, 16, &t, wishes, 2, 0, 0)->session_id;
    assert_int_equal(ask(c, 12, &t, NULL, 0, by_id, 1)->error_code,
                     KERR_FETCH_SESSION_TOPIC_ID_ERROR);

    /* Epoch 0 with an id closes that one and opens another. */
    struct fetch_response *r = ask(c, 12, &t, wishes, 1, id, 0);
    assert_true(r->session_id > 0 && r->session_id != id);
    assert_int_equal(row_count(r), 1);
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 4)->error_code, KERR_FETCH_SESSION_ID_NOT_FOUND);

    /* Epoch -1 with an id closes it, and serves what it names without a session. */
    r = ask(c, 12, &t, wishes, 2, r->session_id, -1);
    assert_int_equal(r->session_id, 0);
    assert_int_equal(row_count(r), 2);

    /* Any connection may go on with a session. */
    struct client *other = client_open(&h);
    assert_int_equal(ask(other, 16, &t, NULL, 0, by_id, 1)->error_code, KERR_NONE);
    harness_fini(&h);
}

static void the_epoch_wraps_to_one(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct fetch_wish wish = wish_at(0, 0);
    i32 id = ask(c, 12, &t, &wish, 1, 0, 0)->session_id;
    fetch_session_find(h.broker->fetch_sessions, id)->epoch = INT32_MAX;
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, INT32_MAX)->error_code, KERR_NONE);
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 1)->error_code, KERR_NONE);
    assert_int_equal(ask(c, 12, &t, NULL, 0, id, 2)->error_code, KERR_NONE);
    harness_fini(&h);
}

static void partitions_come_and_go(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 4);
    for (i32 i = 0; i < 4; i++) {
        produce_ok(c, &t, i, batch_plain(&h, 1));
    }
    for (i16 version = 12; version <= 13; version++) {
        struct fetch_wish first[] = {wish_at(0, 0), wish_at(1, 0)};
        i32 id = ask(c, version, &t, first, 2, 0, 0)->session_id;
        struct fetch_wish more[] = {wish_at(2, 0), wish_at(3, 1)};
        struct fetch_response *r = ask(c, version, &t, more, 2, id, 1);
        assert_int_equal(row_count(r), 4); /* 3 has no records for it, but is new */
        /* Forgotten, one of them never known. */
        struct fetch_request *q = request_of(&h, &t, NULL, 0, id, 2);
        i32 indexes[] = {0, 2, 77};
        struct fetch_request_forgotten_topic forgotten = {
            .topic = text(t.name), .topic_id = t.id, .partitions = {.items = indexes, .count = 3}};
        q->forgotten_topics_data.items = &forgotten;
        q->forgotten_topics_data.count = 1;
        r = CALL(c, fetch, version, q);
        assert_int_equal(row_count(r), 1);
        assert_int_equal(fetch_row(r, 0, 0)->partition_index, 1);
        /* Forgotten and wanted again in one request: wanted. */
        q = request_of(&h, &t, first, 1, id, 3);
        indexes[0] = 0;
        q->forgotten_topics_data.items = &forgotten;
        q->forgotten_topics_data.count = 1;
        r = CALL(c, fetch, version, q);
        assert_int_equal(row_count(r), 2);
        ask(c, version, &t, NULL, 0, id, -1);
    }
    harness_fini(&h);
}

/* Limits let one partition through at a time: each gets its turn. */
static void nobody_starves(void **state)
{
    enum { COUNT = 5 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", COUNT);
    struct fetch_wish wishes[COUNT];
    struct slice batch = batch_plain(&h, 1);
    for (i32 i = 0; i < COUNT; i++) {
        wishes[i] = wish_at(i, 0);
        for (u32 k = 0; k < 20; k++) {
            produce_ok(c, &t, i, batch);
        }
    }
    u32 served[COUNT] = {0};
    i64 next[COUNT] = {0};
    i32 id = 0;
    for (i32 epoch = 0; epoch < 3 * COUNT; epoch++) {
        struct fetch_request *q = request_of(&h, &t, wishes, COUNT, id, epoch);
        q->max_bytes = (i32)batch.len;
        struct fetch_response *r = CALL(c, fetch, 12, q);
        assert_int_equal(r->error_code, KERR_NONE);
        id = r->session_id;
        u32 with_records = 0;
        for (u32 i = 0; i < r->responses.count; i++) {
            for (u32 k = 0; k < r->responses.items[i].partitions.count; k++) {
                const struct fetch_response_partition_data *row = fetch_row(r, i, k);
                if (row->records.bytes.len > 0) {
                    with_records++;
                    served[row->partition_index]++;
                    next[row->partition_index]++;
                    wishes[row->partition_index].offset = next[row->partition_index];
                }
            }
        }
        assert_int_equal(with_records, 1);
    }
    for (u32 i = 0; i < COUNT; i++) {
        assert_int_equal(served[i], 3);
    }
    harness_fini(&h);
}

static void errors_are_always_told(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct fetch_wish wishes[] = {wish_at(0, 99), wish_at(1, 0), wish_at(7, 0)};
    i32 id = ask(c, 12, &t, wishes, 3, 0, 0)->session_id;
    for (i32 epoch = 1; epoch < 4; epoch++) {
        struct fetch_response *r = ask(c, 12, &t, NULL, 0, id, epoch);
        assert_int_equal(row_count(r), 2);
        assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_OFFSET_OUT_OF_RANGE);
        assert_int_equal(fetch_row(r, 0, 1)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    /* When an error is over, the partition is in the next answer, news or not. */
    struct fetch_wish good = wish_at(0, 0);
    struct fetch_response *r = ask(c, 12, &t, &good, 1, id, 4);
    assert_int_equal(row_count(r), 2);
    u32 good_rows = 0;
    for (u32 i = 0; i < 2; i++) {
        good_rows +=
            fetch_row(r, 0, i)->partition_index == 0 && fetch_row(r, 0, i)->error_code == KERR_NONE;
    }
    assert_int_equal(good_rows, 1);
    harness_fini(&h);
}

static void a_deleted_topic_in_a_session(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct client *admin = client_open(&h);
    for (i16 version = 12; version <= 13; version++) {
        struct topic t = topic_make(admin, "t", 1);
        struct topic other = topic_make(admin, "other", 1);
        struct fetch_wish wish = wish_at(0, 0);
        i32 id = ask(c, version, &t, &wish, 1, 0, 0)->session_id;
        ask(c, version, &other, &wish, 1, id, 1);
        struct fetch_request *q = request_of(&h, &t, NULL, 0, id, 2);
        q->max_wait_ms = 60000;
        i32 correlation = client_send(c, API_fetch, version, q);
        harness_turns(&h, 5);
        topic_delete(admin, &t);
        struct fetch_response *r = client_recv(c, API_fetch, version, correlation);
        assert_int_equal(row_count(r), 1);
        assert_int_equal(fetch_row(r, 0, 0)->error_code,
                         version >= 13 ? KERR_UNKNOWN_TOPIC_ID : KERR_UNKNOWN_TOPIC_OR_PARTITION);
        /* A topic of the same name is the wanted one by name, and not by id. */
        struct topic fresh = topic_make(admin, "t", 1);
        produce_ok(admin, &fresh, 0, batch_plain(&h, 1));
        r = ask(c, version, &t, NULL, 0, id, 3);
        assert_int_equal(fetch_row(r, 0, 0)->error_code,
                         version >= 13 ? KERR_UNKNOWN_TOPIC_ID : KERR_NONE);
        topic_delete(admin, &fresh);
        topic_delete(admin, &other);
    }
    harness_fini(&h);
}

static void waiting_in_a_session(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct client *producer = client_open(&h);
    struct topic t = topic_make(c, "t", 3);
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0), wish_at(2, 0)};
    i32 id = ask(c, 16, &t, wishes, 3, 0, 0)->session_id;
    for (i32 epoch = 1; epoch < 10; epoch++) {
        i32 p = epoch % 3;
        struct fetch_request *q = request_of(&h, &t, NULL, 0, id, epoch);
        if (epoch > 1) { /* what was served before is wanted from behind it */
            i32 last = (epoch - 1) % 3;
            struct fetch_wish moved = wish_at(last, high_watermark(producer, &t, last));
            q = request_of(&h, &t, &moved, 1, id, epoch);
        }
        q->max_wait_ms = 60000;
        i32 correlation = client_send(c, API_fetch, 16, q);
        client_expect_silence(c);
        produce_ok(producer, &t, p, batch_plain(&h, 1));
        struct fetch_response *r = client_recv(c, API_fetch, 16, correlation);
        assert_int_equal(row_count(r), 1);
        assert_int_equal(fetch_row(r, 0, 0)->partition_index, p);
    }
    /* The client goes while it waits; its next connection begins anew. */
    struct fetch_wish moved = wish_at(0, high_watermark(producer, &t, 0));
    struct fetch_request *q = request_of(&h, &t, &moved, 1, id, 10);
    q->max_wait_ms = 60000;
    client_send(c, API_fetch, 16, q);
    harness_turns(&h, 5);
    client_reset(c);
    harness_turns(&h, 5);
    c = client_open(&h);
    struct fetch_response *r = ask(c, 16, &t, wishes, 3, id, 0);
    assert_true(r->session_id > 0 && r->session_id != id);
    harness_fini(&h);
}

/* More sessions than there is room for: answered with id 0, which is always right, and in bounded
 * memory. */
static void the_cap(void **state)
{
    enum { TRIES = 20000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct fetch_wish wish = wish_at(0, 0);
    u32 with = 0;
    u32 without = 0;
    i32 first = 0;
    i32 last = 0;
    for (u32 i = 0; i < TRIES; i++) {
        struct fetch_response *r = ask(c, 12, &t, &wish, 1, 0, 0);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(row_count(r), 1);
        with += r->session_id != 0;
        without += r->session_id == 0;
        last = r->session_id != 0 ? r->session_id : last;
        first = first != 0 ? first : r->session_id;
    }
    assert_true(with >= 500);
    assert_true(without > 0);
    assert_true(h.broker->memory.root.used_max < h.memory_bytes);
    assert_int_equal(ask(c, 12, &t, NULL, 0, last, 1)->error_code, KERR_NONE);
    /* Two minutes later the idle ones make room, the oldest first and no more than it takes. */
    harness_skip_ms(&h, 121000);
    struct fetch_response *r = ask(c, 12, &t, &wish, 1, 0, 0);
    assert_true(r->session_id > 0);
    assert_int_equal(ask(c, 12, &t, NULL, 0, first, 1)->error_code,
                     KERR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(ask(c, 12, &t, NULL, 0, last, 2)->error_code, KERR_NONE);
    harness_fini(&h);
}

/* While there is room, idle sessions stay: a consumer may come back after an hour. */
static void idle_sessions_stay(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct fetch_wish wish = wish_at(0, 0);
    i32 session = ask(c, 12, &t, &wish, 1, 0, 0)->session_id;
    assert_true(session > 0);
    harness_skip_ms(&h, 60 * 60 * 1000); /* the connection is closed long before */
    c = client_open(&h);
    assert_true(ask(c, 12, &t, &wish, 1, 0, 0)->session_id > 0);
    assert_int_equal(ask(c, 12, &t, NULL, 0, session, 1)->error_code, KERR_NONE);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_tells_only_news),
        cmocka_unit_test(ids_and_epochs),
        cmocka_unit_test(the_epoch_wraps_to_one),
        cmocka_unit_test(partitions_come_and_go),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(errors_are_always_told),
        cmocka_unit_test(a_deleted_topic_in_a_session),
        cmocka_unit_test(waiting_in_a_session),
        cmocka_unit_test(the_cap),
        cmocka_unit_test(idle_sessions_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
