/* File operations by threads: the body shared with the ring; and io_work: off the loop, in threads
   that appear when needed, with every signal blocked; bells that other threads ring. */
#include "async_body.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    bool soon; /* somebody is about to wait for it */
    u32 entered;
};

static void pass_gate(void *arg)
{
    struct gate *g = arg;
    pthread_mutex_lock(&g->lock);
    g->entered++;
    while (!g->open) {
        pthread_cond_wait(&g->opened, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

static void work_that_has_not_begun_is_cancelled(void **state)
{
    enum { COUNT = THREADS_MAX + 4 };
    struct io *io = *state;
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    struct unit_op ops[COUNT];
    u32 threads = linux_of(io)->workers.count_max;
    assert_int_equal(linux_of(io)->workers.count, 0); /* none before the first */
    for (u32 i = 0; i < COUNT; i++) {
        ops[i] = unit_op();
        io_work(io, &ops[i].op, pass_gate, &gate);
    }
    assert_int_equal(linux_of(io)->workers.count, threads);
    io_cancel(io, &ops[COUNT - 1].op);
    assert_int_equal(ops[COUNT - 1].done_count, 0);
    assert_int_equal(unit_await(io, &ops[COUNT - 1]), -(i64)ERR_CANCELLED);
    open_gate(&gate);
    for (u32 i = 0; i < COUNT - 1; i++) {
        assert_int_equal(unit_await(io, &ops[i]), 0);
        io_cancel(io, &ops[i].op); /* over: nothing */
    }
    assert_int_equal(gate.entered, COUNT - 1);
}

static void work_that_runs_is_waited_for(void **state)
{
    struct io *io = *state;
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    struct unit_op op = unit_op();
    io_work(io, &op.op, pass_gate, &gate);
    u32 entered = 0;
    while (entered == 0) {
        pthread_mutex_lock(&gate.lock);
        entered = gate.entered;
        pthread_mutex_unlock(&gate.lock);
        io_turn(io, false);
    }
    io_cancel(io, &op.op); /* too late */
    io_turn(io, false);
    assert_int_equal(op.done_count, 0);
    open_gate(&gate);
    assert_int_equal(unit_await(io, &op), 0);
}

static void *opens_soon(void *arg)
{
    struct gate *g = arg;
    for (bool soon = false; !soon;) {
        pthread_mutex_lock(&g->lock);
        soon = g->soon;
        pthread_mutex_unlock(&g->lock);
    }
    open_gate(g);
    return NULL;
}

/* Who goes away has his work ended wherever it is: waiting for a thread, running, run, or run and
   about to be told. Its memory is free then, and done() never comes. */
static void work_is_ended_wherever_it_is(void **state)
{
    enum { COUNT = 2 * THREADS_MAX };
    struct io *io = *state;
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    struct unit_op *ops[COUNT];
    linux_of(io)->workers.count_max = THREADS_MAX;
    for (u32 i = 0; i < COUNT; i++) {
        ops[i] = mem_alloc(sizeof *ops[i]);
        *ops[i] = unit_op();
        io_work(io, &ops[i]->op, pass_gate, &gate);
    }
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, opens_soon, &gate), 0);
    for (u32 entered = 0; entered < THREADS_MAX;) {
        pthread_mutex_lock(&gate.lock);
        entered = gate.entered;
        pthread_mutex_unlock(&gate.lock);
    }
    for (u32 i = COUNT; i > 0; i--) { /* half of them have not begun, the first run */
        pthread_mutex_lock(&gate.lock);
        gate.soon = i <= THREADS_MAX;
        pthread_mutex_unlock(&gate.lock);
        io_work_end(io, &ops[i - 1]->op);
        assert_int_equal(ops[i - 1]->done_count, 0);
        mem_free(ops[i - 1]);
    }
    assert_int_equal(pthread_join(opener, NULL), 0);
    assert_int_equal(gate.entered, THREADS_MAX);
    assert_false(io_linux_busy(io));
}

struct thread_facts {
    pthread_t self;
    bool all_blocked;
    u64 sum;
};

static void look_around(void *arg)
{
    struct thread_facts *facts = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    facts->self = pthread_self();
    facts->all_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR2) == 1;
    for (u64 i = 0; i < 1000; i++) {
        facts->sum += i;
    }
}

static void work_is_off_the_loop_with_signals_blocked(void **state)
{
    struct io *io = *state;
    struct thread_facts facts = {0};
    struct unit_op op = unit_op();
    io_work(io, &op.op, look_around, &facts);
    assert_int_equal(op.done_count, 0);
    assert_int_equal(unit_await(io, &op), 0);
    assert_false(pthread_equal(facts.self, pthread_self()));
    assert_true(facts.all_blocked);
    assert_int_equal(facts.sum, 499500);
}

struct wish {
    u32 size, policy;
    u64 flags;
    i32 nice;
    u32 priority;
    u64 slice_ns, deadline, period;
};

static void look_at_wish(void *arg)
{
    assert_int_equal(syscall(SYS_sched_getattr, 0, arg, sizeof(struct wish), 0), 0);
}

/* Of the loop and a worker that both want the core the loop goes first. What the broker was started
   with, its nice value, stays. */
static void the_loop_wishes_for_less_than_a_worker(void **state)
{
    struct io *io = *state;
    struct wish loop = {0}, worker = {0};
    int nice_before = getpriority(PRIO_PROCESS, 0);
    struct unit_op op = unit_op();
    assert_int_equal(setpriority(PRIO_PROCESS, 0, MAX(nice_before, 3)), 0);
    io_work(io, &op.op, look_at_wish, &worker);
    unit_await(io, &op);
    look_at_wish(&loop);
    (void)setpriority(PRIO_PROCESS, 0, nice_before); /* without privileges it stays higher */
    assert_int_equal(worker.policy, SCHED_BATCH);
    assert_int_equal(worker.nice, MAX(nice_before, 3));
    assert_int_equal(loop.policy, SCHED_OTHER);
    if (worker.slice_ns != 0) { /* this kernel takes wishes */
        assert_int_equal(loop.slice_ns, 200 * 1000);
        assert_int_equal(worker.slice_ns, 100 * 1000 * 1000);
    }
}

/* One that is idle takes the next piece: one after the other never needs a second thread. */
static void an_idle_thread_is_used_again(void **state)
{
    struct io *io = *state;
    struct thread_facts facts = {0};
    for (u32 i = 0; i < 50; i++) {
        struct unit_op op = unit_op();
        io_work(io, &op.op, look_around, &facts);
        unit_await(io, &op);
        struct threads *w = &linux_of(io)->workers;
        for (u32 idle = 0; idle == 0;) { /* it says so a moment after the result is here */
            pthread_mutex_lock(&w->lock);
            idle = w->idle;
            pthread_mutex_unlock(&w->lock);
        }
    }
    assert_int_equal(linux_of(io)->workers.count, 1);
}

/* Without any thread the loop does the work: late, but once. */
static void without_threads_work_is_done_all_the_same(void **state)
{
    struct io *io = *state;
    struct threads *w = &linux_of(io)->workers;
    u32 count_max = w->count_max;
    w->count_max = 0;
    struct thread_facts facts = {0};
    struct unit_op op = unit_op();
    io_work(io, &op.op, look_around, &facts);
    assert_int_equal(op.done_count, 0);
    struct unit_op ended = unit_op();
    io_work(io, &ended.op, look_around, &facts);
    io_work_end(io, &ended.op); /* when it was to be told */
    assert_int_equal(unit_await(io, &op), 0);
    assert_int_equal(ended.done_count, 0);
    assert_true(pthread_equal(facts.self, pthread_self()));
    w->count_max = count_max;
}

static void a_thread_per_need_and_no_more(void **state)
{
    struct io *io = *state;
    struct io_linux *l = linux_of(io);
    struct io_file *f = body_file(io, 0);
    struct io_vec vec = unit_vec("x");
    struct unit_op ops[40];
    assert_int_equal(l->writer.count + l->files.count + l->workers.count, 0);
    for (u32 i = 0; i < 40; i++) {
        ops[i] = unit_op();
        io_file_writev(io, &ops[i].op, f, &vec, 1, i, i % 2 == 0);
    }
    for (u32 i = 0; i < 40; i++) {
        assert_int_equal(unit_await(io, &ops[i]), 1);
    }
    assert_int_equal(l->writer.count, 1);
    assert_in_range(l->files.count, 1, FILE_THREADS);
    assert_int_equal(l->workers.count, 0);
    io_file_close(io, f);
}

/* ---- bells ----------------------------------------------------------------------------------- */

struct ringer {
    struct io *io;
    struct io_bell bell;
    pthread_mutex_t lock;
    u32 asked; /* under the lock */
    u32 heard; /* of what was asked; the loop's */
    u32 times;
};

static void ringer_rang(struct io_bell *b)
{
    struct ringer *r = CONTAINER_OF(b, struct ringer, bell);
    pthread_mutex_lock(&r->lock);
    r->heard = r->asked;
    pthread_mutex_unlock(&r->lock);
    r->times++;
}

enum { RINGS = 2000 };
static void *ring_often(void *arg)
{
    struct ringer *r = arg;
    for (u32 i = 0; i < RINGS; i++) {
        pthread_mutex_lock(&r->lock);
        r->asked++;
        pthread_mutex_unlock(&r->lock);
        io_bell_ring(r->io, &r->bell);
    }
    return NULL;
}

/* Nothing that was asked before a ring is missed, however the rings fall together. */
static void a_bell_rung_by_threads_is_heard(void **state)
{
    struct ringer r = {.io = *state, .bell = {.rang = ringer_rang}};
    pthread_mutex_init(&r.lock, NULL);
    pthread_t threads[3];
    for (u32 i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ring_often, &r), 0);
    }
    TURN_UNTIL(r.io, r.heard == RINGS * ARRAY_LEN(threads));
    for (u32 i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    io_turn(r.io, false);
    assert_true(r.times >= 1 && r.times <= RINGS * ARRAY_LEN(threads));
    pthread_mutex_destroy(&r.lock);
}

static void a_bell_that_is_removed_is_not_heard(void **state)
{
    struct ringer r = {.io = *state, .bell = {.rang = ringer_rang}};
    pthread_mutex_init(&r.lock, NULL);
    io_bell_ring(r.io, &r.bell);
    io_bell_ring(r.io, &r.bell);
    io_bell_remove(r.io, &r.bell);
    io_bell_remove(r.io, &r.bell); /* twice is no harm */
    io_turn(r.io, false);
    assert_int_equal(r.times, 0);
    io_bell_ring(r.io, &r.bell); /* it may be used again */
    TURN_UNTIL(r.io, r.times == 1);
    pthread_mutex_destroy(&r.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASYNC_TESTS(setup_threads),
        cmocka_unit_test_setup_teardown(work_that_has_not_begun_is_cancelled, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(work_that_runs_is_waited_for, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(work_is_ended_wherever_it_is, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(work_is_off_the_loop_with_signals_blocked, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(the_loop_wishes_for_less_than_a_worker, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(an_idle_thread_is_used_again, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(without_threads_work_is_done_all_the_same, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(a_thread_per_need_and_no_more, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(a_bell_rung_by_threads_is_heard, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(a_bell_that_is_removed_is_not_heard, setup_threads,
                                        unit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
