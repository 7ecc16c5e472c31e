/* The loop shared by every implementation, over a fake one that only records: turns run in their
   order, timers by deadline, hooks by order, and none of them can stop a turn from ending. */
#include "../unit.h"
#include "io/io.h"

static char trace[256];
static u64 polled_deadline_ns;
static u64 fake_now_ns;

static void note(const char *what)
{
    size_t len = strlen(trace);
    snprintf(trace + len, sizeof(trace) - len, "%s ", what);
}

static void fake_poll(struct io *io, u64 deadline_ns)
{
    polled_deadline_ns = deadline_ns;
    io->now_ns = fake_now_ns;
    note("poll");
}
static void fake_submit(struct io *io)
{
    note("submit");
}
static void fake_destroy(struct io *io)
{
    note("destroy");
}
static const struct io_backend fake_backend = {
    .poll = fake_poll, .submit = fake_submit, .destroy = fake_destroy};

static void fake_init(struct io *io)
{
    io_init_base(io, &fake_backend);
    trace[0] = '\0';
    fake_now_ns = 0;
}

struct named_timer {
    struct io_timer timer;
    const char *name;
    struct io *io;
    u64 again_ns; /* start again with this deadline; 0: do not */
    struct named_timer *stops;
};

static void named_fired(struct io_timer *t)
{
    struct named_timer *n = CONTAINER_OF(t, struct named_timer, timer);
    note(n->name);
    if (n->again_ns != 0) {
        io_timer_start(n->io, t, n->again_ns);
    }
    if (n->stops != NULL) {
        io_timer_stop(n->io, &n->stops->timer);
    }
}

static struct named_timer timer_of(struct io *io, const char *name)
{
    return (struct named_timer){.timer = {.fired = named_fired}, .name = name, .io = io};
}

struct named_hook {
    struct io_hook hook;
    const char *name;
    struct io_hook *removes;
    struct io *io;
    struct io_hook *adds;
};

static void named_run(struct io_hook *h)
{
    struct named_hook *n = CONTAINER_OF(h, struct named_hook, hook);
    note(n->name);
    if (n->removes != NULL) {
        io_hook_remove(n->removes);
        n->removes = NULL;
    }
    if (n->adds != NULL) {
        io_hook_add(n->io, n->adds, IO_HOOK_LOG);
        n->adds = NULL;
    }
}

static void a_turn_polls_fires_hooks_and_submits(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_timer t = timer_of(&io, "timer");
    struct named_hook h = {.hook = {.run = named_run}, .name = "hook"};
    io_timer_start(&io, &t.timer, 5);
    io_hook_add(&io, &h.hook, IO_HOOK_LOG);
    fake_now_ns = 5;
    io_turn(&io, true);
    assert_string_equal(trace, "poll timer hook submit ");
    assert_int_equal(io_now_ns(&io), 5);
    io_destroy(&io);
}

static void timers_fire_by_deadline_then_by_start(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_timer a = timer_of(&io, "a");
    struct named_timer b = timer_of(&io, "b");
    struct named_timer c = timer_of(&io, "c");
    struct named_timer late = timer_of(&io, "late");
    io_timer_start(&io, &a.timer, 20);
    io_timer_start(&io, &b.timer, 10);
    io_timer_start(&io, &c.timer, 20);
    io_timer_start(&io, &late.timer, 31);
    fake_now_ns = 30;
    io_turn(&io, true);
    assert_string_equal(trace, "poll b a c submit ");
    io_turn(&io, true);
    assert_int_equal(polled_deadline_ns, 31); /* sleeps until the next one */
    io_timer_stop(&io, &late.timer);
    io_timer_stop(&io, &late.timer); /* not running: nothing */
    io_turn(&io, true);
    assert_int_equal(polled_deadline_ns, UINT64_MAX);
    io_turn(&io, false);
    assert_int_equal(polled_deadline_ns, 0);
    io_destroy(&io);
}

static void a_timer_that_starts_itself_in_the_past_does_not_hold_the_turn(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_timer again = timer_of(&io, "again");
    struct named_timer other = timer_of(&io, "other");
    again.again_ns = 1;
    io_timer_start(&io, &again.timer, 1);
    io_timer_start(&io, &other.timer, 2);
    fake_now_ns = 10;
    io_turn(&io, true);
    assert_string_equal(trace, "poll again other submit ");
    io_turn(&io, true);
    assert_string_equal(trace, "poll again other submit poll again submit ");
    io_destroy(&io); /* with a timer running */
}

static void a_timer_may_stop_another_that_is_due(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_timer a = timer_of(&io, "a");
    struct named_timer b = timer_of(&io, "b");
    a.stops = &b;
    io_timer_start(&io, &a.timer, 1);
    io_timer_start(&io, &b.timer, 2);
    fake_now_ns = 3;
    io_turn(&io, true);
    assert_string_equal(trace, "poll a submit ");
    io_destroy(&io);
}

static void starting_a_running_timer_moves_it(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_timer a = timer_of(&io, "a");
    io_timer_start(&io, &a.timer, 1);
    io_timer_start(&io, &a.timer, 50);
    fake_now_ns = 3;
    io_turn(&io, true);
    assert_string_equal(trace, "poll submit ");
    fake_now_ns = 50;
    io_turn(&io, true);
    assert_string_equal(trace, "poll submit poll a submit ");
    io_destroy(&io);
}

static void hooks_run_by_order_whatever_was_added_first(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_hook conn = {.hook = {.run = named_run}, .name = "conn"};
    struct named_hook log = {.hook = {.run = named_run}, .name = "log"};
    struct named_hook meta = {.hook = {.run = named_run}, .name = "meta"};
    struct named_hook log_2 = {.hook = {.run = named_run}, .name = "log_2"};
    io_hook_add(&io, &conn.hook, IO_HOOK_CONN);
    io_hook_add(&io, &log.hook, IO_HOOK_LOG);
    io_hook_add(&io, &meta.hook, IO_HOOK_META);
    io_hook_add(&io, &log_2.hook, IO_HOOK_LOG);
    io_turn(&io, true);
    io_turn(&io, true);
    assert_string_equal(trace, "poll log log_2 meta conn submit poll log log_2 meta conn submit ");
    io_destroy(&io);
}

static void a_hook_may_remove_itself_and_others_and_add(void **state)
{
    struct io io;
    fake_init(&io);
    struct named_hook a = {.hook = {.run = named_run}, .name = "a", .io = &io};
    struct named_hook b = {.hook = {.run = named_run}, .name = "b", .io = &io};
    struct named_hook c = {.hook = {.run = named_run}, .name = "c", .io = &io};
    struct named_hook d = {.hook = {.run = named_run}, .name = "d", .io = &io};
    io_hook_add(&io, &a.hook, IO_HOOK_LOG);
    io_hook_add(&io, &b.hook, IO_HOOK_META);
    io_hook_add(&io, &c.hook, IO_HOOK_CONN);
    a.removes = &b.hook;
    c.removes = &c.hook;
    a.adds = &d.hook;
    io_turn(&io, true);
    assert_string_equal(trace, "poll a c submit "); /* d begins with the next turn */
    io_turn(&io, true);
    assert_string_equal(trace, "poll a c submit poll a d submit ");
    io_destroy(&io);
}

static struct io *running;
static void stop_run(struct io_timer *t)
{
    note("stop");
    io_stop(running);
}

static void run_ends_after_the_turn_that_stops_it(void **state)
{
    struct io io;
    fake_init(&io);
    struct io_timer t = {.fired = stop_run};
    running = &io;
    for (int i = 0; i < 2; i++) { /* and can be run again */
        trace[0] = '\0';
        io_timer_start(&io, &t, 0);
        io_run(&io);
        assert_string_equal(trace, "poll stop submit ");
    }
    io_destroy(&io);
    assert_string_equal(trace, "poll stop submit destroy ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_polls_fires_hooks_and_submits),
        cmocka_unit_test(timers_fire_by_deadline_then_by_start),
        cmocka_unit_test(a_timer_that_starts_itself_in_the_past_does_not_hold_the_turn),
        cmocka_unit_test(a_timer_may_stop_another_that_is_due),
        cmocka_unit_test(starting_a_running_timer_moves_it),
        cmocka_unit_test(hooks_run_by_order_whatever_was_added_first),
        cmocka_unit_test(a_hook_may_remove_itself_and_others_and_add),
        cmocka_unit_test(run_ends_after_the_turn_that_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
