/* Idempotent producers: the five-batch window, every check of kafka-semantics.md 3 in its order,
   over restarts and crashes, and with duplicates that overtake the disk [catalogue 57, 58;
   KAFKA-5793, redpanda#3038]. */
#include "harness.h"

struct producer {
    struct client *c;
    const struct topic *t;
    i64 id;
};

static const struct produce_response_partition *send_at(struct producer *p, i16 epoch, i32 sequence,
                                                        u32 records)
{
    struct batch_builder_options o = batch_idempotent(p->id, epoch, sequence);
    return produce(p->c, p->t, 0, batch_with(p->c->h, &o, records, 20));
}

static i64 send_ok(struct producer *p, i16 epoch, i32 sequence, u32 records)
{
    const struct produce_response_partition *row = send_at(p, epoch, sequence, records);
    if (row->error_code != KERR_NONE) {
        fail_msg("sequence %d: error %d", sequence, row->error_code);
    }
    return row->base_offset;
}

static void send_refused(struct producer *p, i16 epoch, i32 sequence, u32 records, i16 kerr)
{
    const struct produce_response_partition *row = send_at(p, epoch, sequence, records);
    if (row->error_code != kerr) {
        fail_msg("sequence %d: error %d instead of %d", sequence, row->error_code, kerr);
    }
    assert_int_equal(row->base_offset, -1);
}

/* Seven batches of 3; the last five are known, and answered with what they got. */
static void window(struct producer *p, i32 sent)
{
    for (i32 i = 0; i < sent; i++) {
        i64 kept = sent - 5;
        if (i >= kept) {
            assert_int_equal(send_ok(p, 0, i * 3, 3), i * 3);
        } else {
            send_refused(p, 0, i * 3, 3, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
    }
    /* Only an exact repeat is a duplicate. */
    send_refused(p, 0, (sent - 1) * 3, 2, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    send_refused(p, 0, (sent - 1) * 3, 4, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    send_refused(p, 0, (sent - 1) * 3 + 1, 2, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(high_watermark(p->c, p->t, 0), sent * 3);
}

static void the_last_five_batches_are_known(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct producer p = {c, &t, producer_id_new(c)};
    i32 sent = 0;
    for (; sent < 7; sent++) {
        assert_int_equal(send_ok(&p, 0, sent * 3, 3), sent * 3);
    }
    window(&p, sent);
    /* Over a stop and over a crash, twice each, and it goes on where it was. */
    for (u32 round = 0; round < 4; round++) {
        (round % 2 == 0 ? harness_stop : harness_crash)(&h);
        harness_start(&h);
        p.c = client_open(&h);
        window(&p, sent);
        assert_int_equal(send_ok(&p, 0, sent * 3, 3), sent * 3);
        sent++;
        window(&p, sent);
    }
    harness_fini(&h);
}

static void gaps_and_epochs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct producer p = {c, &t, producer_id_new(c)};
    assert_int_equal(send_ok(&p, 3, 0, 10), 0);
    send_refused(&p, 3, 11, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER); /* one is missing */
    send_refused(&p, 3, 9, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);  /* one again */
    send_refused(
        &p, 2, 10, 1,
        KERR_INVALID_PRODUCER_EPOCH); /* not PRODUCER_FENCED: the client may abort and go on */
    send_refused(&p, 0, 0, 10, KERR_INVALID_PRODUCER_EPOCH);
    send_refused(&p, 4, 10, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER); /* a new epoch begins at 0 */
    assert_int_equal(send_ok(&p, 3, 10, 1), 10);
    assert_int_equal(send_ok(&p, 4, 0, 2), 11);
    send_refused(&p, 3, 11, 1, KERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(send_ok(&p, 4, 0, 2), 11); /* the duplicate, in its epoch */
    assert_int_equal(send_ok(&p, INT16_MAX, 0, 1), 13);
    send_refused(&p, 4, 2, 1, KERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(high_watermark(c, &t, 0), 14);
    harness_fini(&h);
}

static void a_producer_nobody_knows_begins_anywhere(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct producer p = {c, &t, producer_id_new(c)};
    assert_int_equal(send_ok(&p, 5, 1000, 2), 0);
    send_refused(&p, 5, 1000, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(send_ok(&p, 5, 1002, 1), 2);
    harness_fini(&h);
}

static void sequences_wrap(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct producer p = {c, &t, producer_id_new(c)};
    assert_int_equal(send_ok(&p, 0, INT32_MAX - 4, 3), 0); /* up to MAX - 2 */
    assert_int_equal(send_ok(&p, 0, INT32_MAX - 1, 4), 3); /* MAX - 1, MAX, 0, 1 */
    assert_int_equal(send_ok(&p, 0, INT32_MAX - 1, 4), 3); /* again */
    assert_int_equal(send_ok(&p, 0, 2, 1), 7);
    assert_int_equal(send_ok(&p, 0, 3, 1), 8);
    struct producer q = {c, &t, producer_id_new(c)};
    assert_int_equal(send_ok(&q, 0, INT32_MAX, 1), 9);
    harness_crash(&h);
    harness_start(&h);
    p.c = q.c = client_open(&h);
    assert_int_equal(send_ok(&q, 0, 0, 1), 10);
    assert_int_equal(send_ok(&p, 0, INT32_MAX - 1, 4), 3);
    assert_int_equal(send_ok(&p, 0, 4, 1), 11);
    harness_fini(&h);
}

/* Retries of batches that are not durable yet: answered when they are, with the same offsets, and
 * stored once. */
static void duplicates_in_flight(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *first = client_open(&h);
    struct client *second = client_open(&h);
    struct topic t = topic_make(first, "t", 1);
    i64 id = producer_id_new(first);
    for (i32 round = 0; round < 20; round++) {
        i32 ids[2][5];
        for (u32 copy = 0; copy < 2; copy++) {
            struct client *c = copy == 0 ? first : second;
            for (i32 i = 0; i < 5; i++) {
                struct batch_builder_options o = batch_idempotent(id, 0, round * 10 + i * 2);
                ids[copy][i] = client_send(c, API_produce, 11,
                                           produce_of(&h, &t, 0, batch_with(&h, &o, 2, 50), -1));
            }
            harness_turns(&h, (u32)round % 3);
        }
        for (u32 copy = 0; copy < 2; copy++) {
            struct client *c = copy == 0 ? first : second;
            for (i32 i = 0; i < 5; i++) {
                struct produce_response *r = client_recv(c, API_produce, 11, ids[copy][i]);
                assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_NONE);
                assert_int_equal(produce_row(r, 0, 0)->base_offset, round * 10 + i * 2);
            }
        }
        assert_int_equal(high_watermark(first, &t, 0), (round + 1) * 10);
    }
    harness_fini(&h);
}

static void duplicates_under_log_append_time(void **state)
{
    static const char *const configs[] = {"message.timestamp.type=LogAppendTime", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make_with(c, "t", 1, configs);
    struct producer p = {c, &t, producer_id_new(c)};
    i64 stored = send_at(&p, 0, 0, 2)->log_append_time_ms;
    harness_skip_ms(&h, 5000);
    const struct produce_response_partition *again = send_at(&p, 0, 0, 2);
    assert_int_equal(again->error_code, KERR_NONE);
    assert_int_equal(again->base_offset, 0);
    assert_int_equal(again->log_append_time_ms, stored);
    harness_fini(&h);
}

static void producers_are_kept_apart(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct topic u = topic_make(c, "u", 1);
    struct producer a = {c, &t, producer_id_new(c)};
    struct producer b = {c, &t, producer_id_new(c)};
    struct producer elsewhere = {c, &u, a.id};
    for (i32 i = 0; i < 8; i++) {
        send_ok(&a, 0, i, 1);
        send_ok(&b, 0, i, 1);
        assert_int_equal(send_ok(&elsewhere, 0, i, 1), i);
        produce_ok(c, &t, 0, batch_plain(&h, 1)); /* and somebody without an id */
    }
    assert_int_equal(send_ok(&a, 0, 3, 1), 9);
    assert_int_equal(send_ok(&b, 0, 3, 1), 10);
    send_refused(&a, 0, 2, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(high_watermark(c, &t, 0), 24);
    harness_fini(&h);
}

static void idle_producers_are_forgotten(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "producer.id.expiration.ms", "10000");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct producer p = {c, &t, producer_id_new(c)};
    send_ok(&p, 0, 0, 1);
    send_refused(&p, 0, 7, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    harness_skip_ms(&h, 5000);
    send_ok(&p, 0, 1, 1);
    harness_skip_ms(&h, 8000); /* less than 10 s since the last write */
    send_refused(&p, 0, 7, 1, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    harness_skip_ms(&h, 11000);
    send_ok(&p, 0, 7, 1); /* nobody knows it: it begins anywhere */
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_five_batches_are_known),
        cmocka_unit_test(gaps_and_epochs),
        cmocka_unit_test(a_producer_nobody_knows_begins_anywhere),
        cmocka_unit_test(sequences_wrap),
        cmocka_unit_test(duplicates_in_flight),
        cmocka_unit_test(duplicates_under_log_append_time),
        cmocka_unit_test(producers_are_kept_apart),
        cmocka_unit_test(idle_producers_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
