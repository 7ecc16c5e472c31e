/* wal.c: one slot per turn whatever the number of partitions; order when completions come out of
   order; nothing visible early; MARK, drain, no space, fencing. Proved on a home whose completions
   the test holds. */
#include "fixture.h"

struct test_waiter {
    struct log_waiter waiter;
    u32 calls;
    err_t result;
};

static void waiter_done(struct log_waiter *w, err_t result)
{
    struct test_waiter *t = CONTAINER_OF(w, struct test_waiter, waiter);
    t->calls++;
    t->result = result;
}

static void waiter_wait(struct fixture *f, struct test_waiter *t, u64 slot)
{
    *t = (struct test_waiter){.waiter = {.done = waiter_done}};
    log_wait(f->log, &t->waiter, slot);
}

static void a_turn_of_1000_partitions_is_one_slot(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (u32 i = 0; i < 1000; i++) {
        append_plain(&f, log_partition(f.log, 5000 - i, 0), 100);
    }
    assert_int_equal(f.writes, 0);
    settle(&f);
    assert_int_equal(f.writes, 1);
    for (u32 i = 0; i < 1000; i++) {
        assert_int_equal(high_watermark(log_partition(f.log, 5000 - i, 0)), 1);
    }
    fixture_stop(&f);
}

static void what_comes_during_a_write_is_the_next_slot(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct append_result first = append_plain(&f, p, 10);
    turn(&f);
    assert_int_equal(f.writes, 1);
    for (u32 i = 0; i < 50; i++) {
        struct append_result later = append_plain(&f, p, 10);
        assert_int_equal(later.slot, first.slot + 1);
        turn(&f);
    }
    assert_int_equal(f.writes, 1);
    assert_int_equal(high_watermark(p), 0);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(high_watermark(p), 1);
    assert_int_equal(f.writes, 2);
    fixture_complete(&f, 0, OK);
    settle(&f);
    assert_int_equal(high_watermark(p), 51);
    fixture_stop(&f);
}

/* Full slots go side by side; they count in order. */
static void completions_out_of_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_waiter w[6];
    for (u32 i = 0; i < 6; i++) {
        struct append_result r = append_plain(&f, p, 1500000);
        assert_int_equal(r.slot, i + 1);
        waiter_wait(&f, &w[i], r.slot);
    }
    turn(&f);
    assert_int_equal(f.held_count, 4);
    fixture_complete(&f, 3, OK);
    fixture_complete(&f, 1, OK);
    turns(&f, 2);
    assert_int_equal(high_watermark(p), 0);
    assert_int_equal(log_durable_slot(f.log), 1);
    assert_int_equal(w[0].calls + w[1].calls + w[3].calls, 0);
    assert_int_equal(f.held_count, 2); /* the fifth is not begun while the first is not durable */
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(f.held_count, 2); /* the third and the fifth; the sixth is not full */
    assert_int_equal(high_watermark(p), 2);
    assert_int_equal(log_durable_slot(f.log), 3);
    assert_int_equal(w[0].calls, 1);
    assert_int_equal(w[1].calls, 1);
    assert_int_equal(w[2].calls, 0);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(high_watermark(p), 4);
    assert_int_equal(w[3].calls, 1);
    while (f.held_count > 0) {
        fixture_complete(&f, 0, OK);
        turns(&f, 2);
    }
    settle(&f);
    assert_int_equal(w[5].calls, 1);
    assert_int_equal(w[5].result, OK);
    fixture_stop(&f);
}

static void waiting_for_what_is_durable_already(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct test_waiter w;
    waiter_wait(&f, &w, 0); /* the position of everything before this session */
    assert_int_equal(w.calls, 0);
    turn(&f);
    assert_int_equal(w.calls, 1);
    assert_true(log_durable_slot(f.log) > 0);
    struct append_result r = append_plain(&f, log_partition(f.log, 1, 0), 10);
    settle(&f);
    waiter_wait(&f, &w, r.slot);
    turn(&f);
    assert_int_equal(w.calls, 1);
    waiter_wait(&f, &w, r.slot);
    log_wait_cancel(&w.waiter);
    log_wait_cancel(&w.waiter);
    turn(&f);
    assert_int_equal(w.calls, 0);
    fixture_stop(&f);
}

/* All that is held, and what comes after it. */
static void held_complete(struct fixture *f)
{
    while (f->log->writing > 0) {
        if (f->held_count > 0) {
            fixture_complete(f, 0, OK);
        }
        turn(f);
    }
    settle(f);
}

/* K = 1 for slots that are not full, the cap for full ones. */
static void writes_in_flight(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    f.params.inflight_max = 3;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    turn(&f);
    append_plain(&f, p, 10);
    turn(&f);
    assert_int_equal(f.held_count, 1);
    for (u32 i = 0; i < 10; i++) {
        append_plain(&f, p, 1500000);
        turn(&f);
    }
    assert_int_equal(f.held_count, 3);
    held_complete(&f);
    assert_int_equal(f.most_in_flight, 3);
    assert_int_equal(high_watermark(p), 12);
    fixture_stop(&f);
}

/* Beside one write a slot goes that is large, though not full; beside two it waits. */
static void a_large_slot_goes_beside_one_write(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    turn(&f);
    append_plain(&f, p, LOG_SECOND_SLOT_BYTES / 2);
    turn(&f);
    assert_int_equal(f.held_count, 1);
    append_plain(&f, p, LOG_SECOND_SLOT_BYTES / 2);
    turn(&f);
    assert_int_equal(f.held_count, 2);
    append_plain(&f, p, LOG_SECOND_SLOT_BYTES);
    turn(&f);
    assert_int_equal(f.held_count, 2);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(f.held_count, 2);
    held_complete(&f);
    assert_int_equal(f.most_in_flight, 2);
    assert_int_equal(high_watermark(p), 4);
    fixture_stop(&f);
}

static void slow_writes_may_overlap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    turn(&f);
    advance_ms(&f, 10);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    append_plain(&f, p, 10);
    turn(&f);
    append_plain(&f, p, 10);
    turn(&f);
    append_plain(&f, p, 10);
    turn(&f);
    assert_int_equal(f.held_count, 2);
    fixture_complete(&f, 0, OK);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    fixture_complete(&f, 0, OK);
    settle(&f);
    assert_int_equal(high_watermark(p), 4);
    fixture_stop(&f);
}

/* A batch appended by somebody's hook, after ours, is written in the same turn. */
struct appending_hook {
    struct io_hook hook;
    struct fixture *f;
    u32 left;
};

static void append_in_hook(struct io_hook *h)
{
    struct appending_hook *a = CONTAINER_OF(h, struct appending_hook, hook);
    if (a->left > 0) {
        a->left--;
        append_plain(a->f, log_partition(a->f->log, 1, 0), 10);
    }
}

static void appends_from_hooks_do_not_sleep(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct appending_hook a = {.hook = {.run = append_in_hook}, .f = &f, .left = 1};
    io_hook_add(f.io, &a.hook, IO_HOOK_CONN);
    turn(&f);
    assert_int_equal(f.writes, 1);
    io_hook_remove(&a.hook);
    settle(&f);
    fixture_stop(&f);
}

/* ---- MARK and drain -------------------------------------------------------------------------- */

static void one_mark_when_traffic_ends(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    assert_int_equal(fixture_timers(&f), 0);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    settle(&f);
    assert_int_equal(f.writes, 1);
    advance_ms(&f, 600);
    append_plain(&f, p, 10);
    settle(&f);
    advance_ms(&f, 600); /* 1.2 s after the first, 0.6 s after the last */
    settle(&f);
    assert_int_equal(f.writes, 2);
    advance_ms(&f, 400);
    settle(&f);
    assert_int_equal(f.writes, 3);
    assert_true(f.log->last_is_mark);
    assert_int_equal(fixture_timers(&f), 0); /* idle: nothing will ever run */
    advance_ms(&f, 100000);
    settle(&f);
    assert_int_equal(f.writes, 3);
    append_plain(&f, p, 10);
    settle(&f);
    assert_int_equal(fixture_timers(&f), 1);
    fixture_stop(&f);
}

static void drained(void *user, err_t result)
{
    assert_int_equal(*(err_t *)user, ERR_MAX);
    *(err_t *)user = result;
}

static void drain_ends_with_a_mark(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    turn(&f);
    append_plain(&f, p, 10);
    err_t result = ERR_MAX;
    log_drain(f.log, drained, &result);
    const struct produced more = {.producer_id = -1, .base_sequence = -1, .records = 1};
    assert_int_equal(append(&f, p, &more).kerr, KERR_NOT_LEADER_OR_FOLLOWER);
    for (u32 i = 0; i < 3; i++) {
        turns(&f, 3);
        assert_int_equal(result, ERR_MAX);
        assert_int_equal(f.held_count, 1);
        fixture_complete(&f, 0, OK);
    }
    turns(&f, 3);
    assert_int_equal(result, OK);
    assert_int_equal(f.writes, 3);
    assert_int_equal(fixture_timers(&f), 0);
    f.hold = false;
    fixture_restart(&f);
    assert_int_equal(high_watermark(log_partition(f.log, 1, 1)), 2);
    fixture_stop(&f);
}

static void drain_of_an_unused_log_writes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    err_t result = ERR_MAX;
    log_drain(f.log, drained, &result);
    assert_int_equal(result, ERR_MAX);
    turns(&f, 2);
    assert_int_equal(result, OK);
    assert_int_equal(f.writes, 0);
    fixture_stop(&f);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void a_failed_write_fences(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_waiter w[5];
    for (u32 i = 0; i < 5; i++) {
        waiter_wait(&f, &w[i], append_plain(&f, p, 1500000).slot);
    }
    turn(&f);
    assert_int_equal(f.held_count, 4);
    fixture_complete(&f, 0, OK);
    fixture_complete(&f, 0, ERR_IO);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(f.fenced_calls, 1);
    assert_int_equal(f.fenced_why, ERR_IO);
    assert_int_equal(w[0].result, OK); /* durable in order: true whatever comes later */
    assert_int_equal(w[0].calls, 1);
    for (u32 i = 1; i < 5; i++) {
        assert_int_equal(w[i].calls, 1);
        assert_int_equal(w[i].result, ERR_IO);
    }
    assert_int_equal(high_watermark(p), 1);
    const struct produced more = {.producer_id = -1, .base_sequence = -1, .records = 1};
    assert_int_equal(append(&f, p, &more).kerr, KERR_KAFKA_STORAGE_ERROR);
    fixture_complete(&f, 0, ERR_IO);
    turns(&f, 3);
    assert_int_equal(f.fenced_calls, 1);
    err_t result = ERR_MAX;
    log_drain(f.log, drained, &result);
    turns(&f, 2);
    assert_int_equal(result, ERR_IO);
    fixture_stop(&f);
}

static void no_space_refuses_and_recovers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.no_space = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_waiter w[6];
    for (u32 i = 0; i < 6; i++) {
        waiter_wait(&f, &w[i], append_plain(&f, p, 1500000).slot);
    }
    turns(&f, 5);
    assert_int_equal(high_watermark(p), 0);
    const struct produced more = {.producer_id = -1, .base_sequence = -1, .records = 1};
    assert_int_equal(append(&f, p, &more).kerr, KERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(end_offset(p), 6);
    assert_true(log_room(f.log, 1000)); /* so that the refusal reaches the client */
    for (u32 i = 0; i < 20; i++) {
        advance_ms(&f, 100);
        turn(&f);
    }
    assert_int_equal(high_watermark(p), 0);
    assert_int_equal(f.fenced_calls, 0);
    f.no_space = false;
    advance_ms(&f, 300);
    settle(&f);
    assert_int_equal(high_watermark(p), 6);
    for (u32 i = 0; i < 6; i++) {
        assert_int_equal(w[i].calls, 1);
        assert_int_equal(w[i].result, OK);
    }
    append_plain(&f, p, 10);
    settle(&f);
    fixture_restart(&f);
    assert_int_equal(high_watermark(log_partition(f.log, 1, 1)), 7);
    fixture_stop(&f);
}

static void destroy_with_writes_in_flight(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_waiter w;
    for (u32 i = 0; i < 8; i++) {
        append_plain(&f, p, 1000000);
    }
    turn(&f);
    waiter_wait(&f, &w, append_plain(&f, p, 10).slot);
    assert_true(f.held_count > 0);
    f.hold = false;
    fixture_restart(&f); /* destroys it as it is */
    log_wait_cancel(&w.waiter);
    assert_int_equal(w.calls, 0);
    fixture_stop(&f);
}

/* The canary acknowledges at the cut: what a healthy log must never do. */
static void canary_acknowledges_early(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    f.params.canaries = LOG_CANARY_ACK_EARLY;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_waiter w;
    waiter_wait(&f, &w, append_plain(&f, p, 10).slot);
    turns(&f, 2);
    assert_int_equal(w.calls, 1);
    assert_int_equal(high_watermark(p), 1);
    assert_int_equal(f.held_count, 1);
    fixture_complete(&f, 0, OK);
    settle(&f);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_of_1000_partitions_is_one_slot),
        cmocka_unit_test(what_comes_during_a_write_is_the_next_slot),
        cmocka_unit_test(completions_out_of_order),
        cmocka_unit_test(waiting_for_what_is_durable_already),
        cmocka_unit_test(writes_in_flight),
        cmocka_unit_test(a_large_slot_goes_beside_one_write),
        cmocka_unit_test(slow_writes_may_overlap),
        cmocka_unit_test(appends_from_hooks_do_not_sleep),
        cmocka_unit_test(one_mark_when_traffic_ends),
        cmocka_unit_test(drain_ends_with_a_mark),
        cmocka_unit_test(drain_of_an_unused_log_writes_nothing),
        cmocka_unit_test(a_failed_write_fences),
        cmocka_unit_test(no_space_refuses_and_recovers),
        cmocka_unit_test(destroy_with_writes_in_flight),
        cmocka_unit_test(canary_acknowledges_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
