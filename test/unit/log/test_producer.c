/* producer.c: every check of kafka-semantics.md 3 in its order (catalogue cases 57 and 58),
   duplicates of batches that are not durable yet, and the window across a restart. */
#include "fixture.h"

static struct produced from(i64 id, i16 epoch, i32 sequence, u32 records)
{
    return (struct produced){.producer_id = id,
                             .producer_epoch = epoch,
                             .base_sequence = sequence,
                             .records = records,
                             .value_bytes = 20};
}

static void expect_stored(struct fixture *f, struct partition *p, struct produced what, u64 offset)
{
    struct append_result r = append(f, p, &what);
    assert_int_equal(r.kerr, KERR_NONE);
    assert_false(r.duplicate);
    assert_int_equal(r.base_offset, offset);
    assert_int_equal(r.log_append_time_ms, -1);
}

static void expect_repeat(struct fixture *f, struct partition *p, struct produced what, u64 offset)
{
    u64 end = end_offset(p);
    struct append_result r = append(f, p, &what);
    assert_int_equal(r.kerr, KERR_NONE);
    assert_true(r.duplicate);
    assert_int_equal(r.base_offset, offset);
    assert_int_equal(end_offset(p), end);
}

static void expect_error(struct fixture *f, struct partition *p, struct produced what, i16 kerr)
{
    u64 end = end_offset(p);
    assert_int_equal(append(f, p, &what).kerr, kerr);
    assert_int_equal(end_offset(p), end);
}

static void window_of_five(struct fixture *f, struct partition *p)
{
    expect_error(f, p, from(9, 0, 0, 2), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER); /* older than five */
    for (u32 i = 1; i < 6; i++) {
        expect_repeat(f, p, from(9, 0, (i32)(2 * i), 2), 2 * i);
    }
    expect_error(f, p, from(9, 0, 10, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER); /* not exact */
    expect_error(f, p, from(9, 0, 11, 2), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

static void repeats_get_the_old_offset(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 6; i++) {
        expect_stored(&f, p, from(9, 0, (i32)(2 * i), 2), 2 * i);
    }
    window_of_five(&f, p);
    settle(&f);
    window_of_five(&f, p);
    fixture_restart(&f);
    p = log_partition(f.log, 1, 1);
    window_of_five(&f, p);
    struct produced repeat = from(9, 0, 4, 2);
    assert_true(log_durable_slot(f.log) > append(&f, p, &repeat).slot);
    expect_stored(&f, p, from(9, 0, 12, 1), 12);
    expect_error(&f, p, from(9, 0, 2, 2), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    settle(&f);
    fixture_restart(&f);
    p = log_partition(f.log, 1, 2);
    expect_repeat(&f, p, from(9, 0, 12, 1), 12);
    expect_repeat(&f, p, from(9, 0, 4, 2), 4);
    fixture_stop(&f);
}

static void a_repeat_in_flight_waits_for_the_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct produced what = from(9, 0, 0, 1);
    struct append_result first = append(&f, p, &what);
    turn(&f);
    append_plain(&f, p, 10);
    struct append_result again = append(&f, p, &what);
    assert_true(again.duplicate);
    assert_int_equal(again.slot, first.slot);
    assert_false(log_durable_slot(f.log) > again.slot);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_true(log_durable_slot(f.log) > again.slot);
    fixture_complete(&f, 0, OK);
    settle(&f);
    fixture_stop(&f);
}

static void sequences(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    expect_stored(&f, p, from(1, 3, 77, 3), 0); /* nothing known: any sequence */
    expect_error(&f, p, from(1, 3, 81, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER); /* gap */
    expect_error(&f, p, from(1, 3, 79, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER); /* overlap */
    expect_stored(&f, p, from(1, 3, 80, 1), 3);
    expect_error(&f, p, from(1, 3, 0, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    /* Another partition and another producer know nothing of it. */
    expect_stored(&f, log_partition(f.log, 2, 0), from(1, 3, 5, 1), 0);
    expect_stored(&f, p, from(2, 0, 9, 1), 4);
    /* No producer id: no checks. */
    append_plain(&f, p, 10);
    expect_stored(&f, p, from(1, 3, 81, 1), 6);
    settle(&f);
    fixture_stop(&f);
}

static void sequences_wrap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    expect_stored(&f, p, from(1, 0, INT32_MAX - 1, 2), 0);
    expect_error(&f, p, from(1, 0, 1, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_stored(&f, p, from(1, 0, 0, 1), 2);
    expect_stored(&f, p, from(1, 0, 1, 1), 3);
    expect_repeat(&f, p, from(1, 0, INT32_MAX - 1, 2), 0);
    struct partition *q = log_partition(f.log, 2, 0);
    expect_stored(&f, q, from(1, 0, INT32_MAX, 3), 0); /* MAX, 0, 1 */
    expect_error(&f, q, from(1, 0, 0, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_stored(&f, q, from(1, 0, 2, 1), 3);
    settle(&f);
    fixture_restart(&f);
    q = log_partition(f.log, 2, 1);
    expect_repeat(&f, q, from(1, 0, INT32_MAX, 3), 0);
    expect_stored(&f, q, from(1, 0, 3, 1), 4);
    fixture_stop(&f);
}

static void epochs_of_producers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    expect_stored(&f, p, from(1, 4, 10, 1), 0);
    expect_error(&f, p, from(1, 3, 11, 1), KERR_INVALID_PRODUCER_EPOCH);
    expect_error(&f, p, from(1, 3, 10, 1), KERR_INVALID_PRODUCER_EPOCH); /* no repeat either */
    expect_error(&f, p, from(1, 5, 11, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_stored(&f, p, from(1, 5, 0, 1), 1);
    expect_error(&f, p, from(1, 4, 10, 1),
                 KERR_INVALID_PRODUCER_EPOCH); /* the window was the old epoch's */
    expect_repeat(&f, p, from(1, 5, 0, 1), 1);
    settle(&f);
    fixture_restart(&f);
    p = log_partition(f.log, 1, 1);
    expect_error(&f, p, from(1, 4, 10, 1), KERR_INVALID_PRODUCER_EPOCH);
    expect_repeat(&f, p, from(1, 5, 0, 1), 1);
    expect_stored(&f, p, from(1, 5, 1, 1), 2);
    fixture_stop(&f);
}

static void producers_expire(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.producer_expiry_ms = 10000;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    expect_stored(&f, p, from(1, 4, 10, 1), 0);
    advance_ms(&f, 9000);
    expect_error(&f, p, from(1, 4, 15, 1), KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    advance_ms(&f, 1000);
    expect_stored(&f, p, from(1, 2, 15, 1), 1); /* nothing known, an older epoch too */
    expect_stored(&f, p, from(1, 2, 16, 1), 2);
    expect_repeat(&f, p, from(1, 2, 15, 1), 1);
    /* The table does not grow for ever: after each expiry the dead make room. */
    u64 most = 0;
    for (i64 id = 100; id < 2000; id++) {
        append(&f, p, &(struct produced){.producer_id = id, .records = 1});
        if (id % 50 == 0) {
            advance_ms(&f, 10000);
        }
        struct log_stats stats;
        log_stats(f.log, &stats);
        most = MAX(most, stats.producers);
    }
    assert_true(most < 250);
    settle(&f);
    fixture_stop(&f);
}

/* After a restart the window is kept for a whole period, whatever the records' timestamps say. */
static void old_timestamps_do_not_expire_producers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.producer_expiry_ms = 10000;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    expect_stored(&f, p, from(1, 0, 0, 1), 0); /* fixture timestamps are in 1970 */
    settle(&f);
    fixture_restart(&f);
    p = log_partition(f.log, 1, 1);
    expect_repeat(&f, p, from(1, 0, 0, 1), 0);
    fixture_stop(&f);
}

static void repeats_under_log_append_time(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct produced what = from(1, 0, 0, 1);
    what.log_append_time = true;
    struct append_result first = append(&f, p, &what);
    assert_int_equal(first.log_append_time_ms, io_wall_ms(f.io));
    advance_ms(&f, 5000);
    struct append_result again = append(&f, p, &what);
    assert_true(again.duplicate);
    assert_int_equal(again.log_append_time_ms, first.log_append_time_ms);
    settle(&f);
    fixture_restart(&f);
    again = append(&f, log_partition(f.log, 1, 1), &what);
    assert_true(again.duplicate);
    assert_int_equal(again.log_append_time_ms, first.log_append_time_ms);
    fixture_stop(&f);
}

static void repeats_are_answered_while_full(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    expect_stored(&f, p, from(1, 0, 0, 1), 0);
    settle(&f);
    f.no_space = true;
    expect_stored(&f, p, from(1, 0, 1, 1), 1);
    turns(&f, 3);
    expect_repeat(&f, p, from(1, 0, 0, 1), 0);
    expect_error(&f, p, from(1, 0, 2, 1), KERR_KAFKA_STORAGE_ERROR);
    f.no_space = false;
    advance_ms(&f, 1000);
    settle(&f);
    expect_stored(&f, p, from(1, 0, 2, 1), 2);
    settle(&f);
    fixture_stop(&f);
}

static void canary_forgets_producers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.canaries = LOG_CANARY_FORGET_PRODUCERS;
    fixture_start(&f);
    expect_stored(&f, log_partition(f.log, 1, 0), from(1, 0, 0, 1), 0);
    settle(&f);
    fixture_restart(&f);
    expect_stored(&f, log_partition(f.log, 1, 1), from(1, 0, 0, 1), 1);
    fixture_stop(&f);
}

/* At the cap a new producer takes the place of the one that has been silent longest, if that is ten
   minutes; otherwise it is refused. One that keeps writing is never forgotten. */
static void producers_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct quota small; /* a budget that only producers use up */
    quota_init(&small, "producers", &f.quota, 1 * MIB);
    f.log->producer_pool.quota = &small;
    struct partition *p = log_partition(f.log, 1, 0);
    i64 id = 0;
    i16 kerr = KERR_NONE;
    for (; id < 1000000 && kerr == KERR_NONE; id++) {
        kerr = append(&f, p, &(struct produced){.producer_id = id, .records = 1}).kerr;
        if (id % 100 == 0) {
            settle(&f);
        }
    }
    assert_int_equal(kerr, KERR_KAFKA_STORAGE_ERROR);
    assert_true(f.log->no_memory_told_ns > 0);
    assert_true(id > 1000);
    assert_true(small.used_max <= 1 * MIB);
    struct log_stats stats;
    log_stats(f.log, &stats);
    u64 most = stats.producers;
    i32 sequence = 1;
    for (u32 minute = 0; minute < 20; minute++) {
        expect_stored(&f, p, from(5, 0, sequence, 1), end_offset(p)); /* this one goes on */
        sequence++;
        advance_ms(&f, 60000);
        settle(&f);
    }
    for (i64 n = 0; n < 500; n++) {
        expect_stored(&f, log_partition(f.log, 2, 0), from(2000000 + n, 0, 0, 1), (u64)n);
        settle(&f);
    }
    log_stats(f.log, &stats);
    assert_int_equal(stats.producers, most);
    expect_repeat(&f, p, from(5, 0, sequence - 1, 1), end_offset(p) - 1);
    expect_stored(&f, p, from(0, 7, 55, 1), end_offset(p)); /* forgotten: anything goes */
    settle(&f);
    fixture_stop(&f);
}

/* The latest batch of each that is remembered; an expired one is not. */
static void producers_are_listed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.producer_expiry_ms = 3600000;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    u32 cursor = 0;
    struct partition_producer got;
    assert_false(partition_producer_next(p, &cursor, &got));
    append_plain(&f, p, 10); /* without a producer */
    expect_stored(&f, p, from(9, 3, 0, 2), 1);
    expect_stored(&f, p, from(9, 3, 2, 5), 3);
    i64 last_of_9 = f.timestamp - 1;
    advance_ms(&f, 1800000);
    expect_stored(&f, p, from(1ll << 40, 0, 77, 1), 8);
    i64 last_of_large = f.timestamp - 1;
    expect_stored(&f, log_partition(f.log, 2, 0), from(5, 0, 0, 1), 0);
    for (u32 round = 0; round < 2; round++) {
        u32 seen_9 = 0;
        u32 seen_large = 0;
        cursor = 0;
        while (partition_producer_next(p, &cursor, &got)) {
            if (got.id == 9) {
                assert_int_equal(got.epoch, 3);
                assert_int_equal(got.last_sequence, 6);
                assert_int_equal(got.last_timestamp, last_of_9);
                seen_9++;
            } else {
                assert_int_equal(got.id, 1ll << 40);
                assert_int_equal(got.epoch, 0);
                assert_int_equal(got.last_sequence, 77);
                assert_int_equal(got.last_timestamp, last_of_large);
                seen_large++;
            }
        }
        assert_int_equal(seen_9, round == 0);
        assert_int_equal(seen_large, 1);
        settle(&f);
        if (round == 0) {
            partition_set_log_start(p, 9); /* they stay when all they wrote goes */
            expect_repeat(&f, p, from(9, 3, 2, 5), 3);
        }
        advance_ms(&f, 1800000); /* 9 expires */
    }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_get_the_old_offset),
        cmocka_unit_test(a_repeat_in_flight_waits_for_the_first),
        cmocka_unit_test(sequences),
        cmocka_unit_test(sequences_wrap),
        cmocka_unit_test(epochs_of_producers),
        cmocka_unit_test(producers_expire),
        cmocka_unit_test(old_timestamps_do_not_expire_producers),
        cmocka_unit_test(repeats_under_log_append_time),
        cmocka_unit_test(repeats_are_answered_while_full),
        cmocka_unit_test(canary_forgets_producers),
        cmocka_unit_test(producers_are_bounded),
        cmocka_unit_test(producers_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
