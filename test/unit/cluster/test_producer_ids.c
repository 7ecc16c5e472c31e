/* Producer ids: none is given twice, over restarts and crashes; only the first of a session has to
   wait; who waits is told once, of success or failure, unless he leaves. */
#include "fixture.h"

enum { IDS_MAX = 200000 };

static struct fixture f;
static bool given[IDS_MAX];

static int setup(void **state)
{
    (void)state;
    memset(given, 0, sizeof(given));
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

struct waiting {
    struct producer_id_waiter waiter;
    bool done;
    err_t result;
};
static void waiting_ready(struct producer_id_waiter *w, err_t result)
{
    struct waiting *waiting = CONTAINER_OF(w, struct waiting, waiter);
    assert_false(waiting->done);
    waiting->done = true;
    waiting->result = result;
}

static void mark(i64 id)
{
    assert_in_range(id, 0, IDS_MAX - 1);
    assert_false(given[id]);
    given[id] = true;
}

/* true: it had to wait. */
static bool take(void)
{
    struct waiting w = {.waiter = {.ready = waiting_ready}};
    i64 id = -1;
    err_t e = cluster_producer_id(f.cluster, &id, &w.waiter);
    bool waited = e == ERR_AGAIN;
    while (e == ERR_AGAIN) {
        turns_until(&f, &w.done);
        assert_int_equal(w.result, OK);
        w.done = false;
        e = cluster_producer_id(f.cluster, &id, &w.waiter);
    }
    assert_int_equal(e, OK);
    mark(id);
    return waited;
}

static void test_only_the_first_waits(void **state)
{
    (void)state;
    fixture_start(&f);
    u64 before = durable_writes();
    assert_true(take());
    for (u32 i = 1; i < 10000; i++) {
        assert_false(take());
        if (i % 100 == 0) {
            settle(&f); /* the refill has 200 ids of time */
        }
    }
    assert_true(durable_writes() - before <= 2 * 11);
}

static void test_never_twice(void **state)
{
    (void)state;
    fixture_start(&f);
    for (u32 life = 0; life < 25; life++) {
        u32 count = (u32)rng_below(&f.rng, 2500);
        for (u32 i = 0; i < count; i++) {
            take();
            turns(&f, i % 50 == 0);
        }
        if (rng_chance(&f.rng, 1, 3)) {
            fixture_stop(&f);
            fixture_start(&f);
        } else {
            fault_set(rng_chance(&f.rng, 1, 2) ? FAULT_LOSE : FAULT_KEEP,
                      (u32)rng_below(&f.rng, 2));
            turns(&f, 2);
            fixture_restart(&f);
        }
    }
}

static void test_waiters(void **state)
{
    (void)state;
    enum { WAITERS = 1500 };
    fixture_start(&f);
    struct waiting *w = mem_alloc(WAITERS * sizeof(*w));
    i64 id;
    for (u32 i = 0; i < WAITERS; i++) {
        w[i].waiter.ready = waiting_ready;
        assert_int_equal(cluster_producer_id(f.cluster, &id, &w[i].waiter), ERR_AGAIN);
    }
    cluster_producer_id_cancel(&w[7].waiter);
    cluster_producer_id_cancel(&w[7].waiter);
    turns_until(&f, &w[WAITERS - 1].done);
    u32 again = 0;
    for (u32 i = 0; i < WAITERS; i++) {
        assert_int_equal(w[i].done, i != 7);
        assert_int_equal(w[i].result, OK);
        w[i].done = false;
        err_t e = cluster_producer_id(f.cluster, &id, &w[i].waiter);
        if (e == OK) {
            mark(id);
        }
        again += e == ERR_AGAIN;
    }
    assert_int_equal(again, WAITERS - 1000);
    turns_until(&f, &w[WAITERS - 1].done);
    for (u32 i = 1000; i < WAITERS; i++) {
        assert_int_equal(cluster_producer_id(f.cluster, &id, &w[i].waiter), OK);
        mark(id);
    }
    mem_free(w);
}

static void test_failure(void **state)
{
    (void)state;
    fixture_start(&f);
    fault_set(FAULT_FAIL, 0);
    static struct waiting w[2];
    i64 id;
    for (u32 i = 0; i < 2; i++) {
        w[i] = (struct waiting){.waiter = {.ready = waiting_ready}};
        assert_int_equal(cluster_producer_id(f.cluster, &id, &w[i].waiter), ERR_AGAIN);
    }
    turns_until(&f, &w[1].done);
    assert_int_equal(w[0].result, ERR_IO);
    assert_int_equal(w[1].result, ERR_IO);
    assert_int_equal(f.fenced_calls, 1);
    fixture_restart(&f);
    assert_true(take());
}

/* The cluster goes, and with it the wait; cancelling is still allowed. */
static void test_destroyed_while_waiting(void **state)
{
    (void)state;
    fixture_start(&f);
    static struct waiting w;
    w = (struct waiting){.waiter = {.ready = waiting_ready}};
    i64 id;
    assert_int_equal(cluster_producer_id(f.cluster, &id, &w.waiter), ERR_AGAIN);
    fixture_crash(&f);
    cluster_producer_id_cancel(&w.waiter);
    assert_false(w.done);
    fixture_start(&f);
    assert_true(take());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_the_first_waits),
        TEST(test_never_twice),
        TEST(test_waiters),
        TEST(test_failure),
        TEST(test_destroyed_while_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
