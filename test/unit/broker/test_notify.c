/* What the service manager hears of a broker, on a socket that this test opens: ready, alive while
   the loop turns and only then, reloading, stopping; and that a manager that cannot be told is
   mentioned once and changes nothing. */
#include "harness.h"

#include "broker/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char path[64];
static int manager;

static void manager_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, sizeof path, "/tmp/odradek-notify-%d", (int)getpid());
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", path, 1);
}

static void manager_close(void)
{
    close(manager);
    unlink(path);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
}

/* The next message, or "". */
static const char *heard(void)
{
    static char lines[512];
    ssize_t got = recv(manager, lines, sizeof lines - 1, 0);
    lines[got > 0 ? got : 0] = '\0';
    return lines;
}

static void expect_status(const char *lines, const char *before)
{
    assert_non_null(strstr(lines, before));
    assert_ptr_equal(strstr(lines, before), lines);
    assert_non_null(strstr(lines, "\nSTATUS=Serving 127.0.0.1:"));
    assert_non_null(strstr(lines, " connections, "));
    assert_non_null(strstr(lines, " of 64 MiB of buffers in use"));
}

static void a_life_is_told(void **state)
{
    struct harness h;
    struct notify n = {0};
    harness_up(&h);
    manager_open();
    notify_ready(&n, h.io, h.broker);
    expect_status(heard(), "READY=1\n");
    notify_reloading(&n);
    const char *lines = heard();
    assert_ptr_equal(strstr(lines, "RELOADING=1\nMONOTONIC_USEC="), lines);
    notify_reloaded(&n);
    expect_status(heard(), "READY=1\n");
    /* Without WATCHDOG_USEC nothing is said, however long the loop turns. */
    harness_skip_ms(&h, 3600 * 1000);
    harness_turns(&h, 3);
    assert_string_equal(heard(), "");
    notify_stopping(&n);
    lines = heard();
    assert_ptr_equal(strstr(lines, "STOPPING=1\nSTATUS="), lines);
    notify_stop(&n);
    manager_close();
    harness_fini(&h);
}

static void the_watchdog_hears_a_loop_that_turns(void **state)
{
    struct harness h;
    struct notify n = {0};
    harness_up(&h);
    manager_open();
    setenv("WATCHDOG_USEC", "3600000000", 1);
    notify_ready(&n, h.io, h.broker);
    expect_status(heard(), "READY=1\n");
    struct client *c = client_open(&h);
    harness_turns(&h, 3);
    assert_string_equal(heard(), ""); /* half an hour is not over */
    for (int i = 0; i < 3; i++) {
        harness_skip_ms(&h, 1800 * 1000);
        expect_status(heard(), "WATCHDOG=1\n");
        assert_string_equal(heard(), "");
    }
    client_close(c);
    notify_stop(&n);
    harness_skip_ms(&h, 3600 * 1000);
    harness_turns(&h, 3);
    assert_string_equal(heard(), "");
    manager_close();
    harness_fini(&h);
}

struct stuck {
    struct io_hook hook;
    u64 until_ns;
};

static void stuck_run(struct io_hook *h)
{
    struct stuck *s = CONTAINER_OF(h, struct stuck, hook);
    if (s->until_ns == 0) {
        return;
    }
    while (heard()[0] != '\0') { /* what was said before it stuck */
    }
    while (io_clock_ns() < s->until_ns) {
        assert_string_equal(heard(), "");
    }
    s->until_ns = 0;
}

/* A hook that does not come back for ten times the watchdog's period. */
static void a_loop_that_is_stuck_gives_no_sign_of_life(void **state)
{
    struct harness h;
    struct notify n = {0};
    struct stuck stuck = {.hook.run = stuck_run};
    harness_up(&h);
    manager_open();
    setenv("WATCHDOG_USEC", "10000", 1);
    notify_ready(&n, h.io, h.broker);
    io_hook_add(h.io, &stuck.hook, IO_HOOK_CONN);
    stuck.until_ns = io_clock_ns() + 100 * 1000 * 1000;
    while (stuck.until_ns != 0) {
        harness_turn(&h);
    }
    harness_turn(&h); /* the sign is overdue, and given at once */
    expect_status(heard(), "WATCHDOG=1\n");
    io_hook_remove(&stuck.hook);
    notify_stop(&n);
    manager_close();
    harness_fini(&h);
}

static void a_manager_that_is_gone_is_mentioned_once(void **state)
{
    struct harness h;
    struct notify n = {0};
    harness_up(&h);
    manager_open();
    close(manager);
    setenv("WATCHDOG_USEC", "3600000000", 1);
    notify_ready(&n, h.io, h.broker);
    assert_true(harness_said("5006"));
    assert_true(n.told);
    harness_skip_ms(&h, 1800 * 1000);
    harness_turn(&h); /* it goes on trying: a manager may come back */
    notify_stopping(&n);
    notify_stop(&n);
    manager_close();
    harness_fini(&h);
}

static void without_a_manager_nothing_is_said(void **state)
{
    struct harness h;
    struct notify n = {0};
    harness_up(&h);
    notify_stop(&n); /* a broker that never got ready */
    notify_ready(&n, h.io, h.broker);
    notify_stopping(&n);
    notify_stop(&n);
    assert_false(n.told);
    assert_false(harness_said("5006"));
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_is_told),
        cmocka_unit_test(the_watchdog_hears_a_loop_that_turns),
        cmocka_unit_test(a_loop_that_is_stuck_gives_no_sign_of_life),
        cmocka_unit_test(a_manager_that_is_gone_is_mentioned_once),
        cmocka_unit_test(without_a_manager_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
