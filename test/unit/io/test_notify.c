/* The service manager is told what it should be: over a socket with a path and over one with an
   abstract name that this test opens, and every way in which nobody can be told has its error and
   waits for nothing. */
#include "io_unit.h"

#include <sys/socket.h>
#include <sys/un.h>

/* Opens a manager's socket and names it in the environment. */
static int manager_open(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(name);
    memcpy(address.sun_path, name, bytes);
    socklen_t len = sizeof address;
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
        len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect_told(int fd, const char *lines)
{
    char got[256] = {0};
    assert_int_equal(recv(fd, got, sizeof got - 1, 0), (ssize_t)strlen(lines));
    assert_string_equal(got, lines);
}

static void nobody_asks(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(io_notify("READY=1"), ERR_NOT_FOUND);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(io_notify("READY=1"), ERR_NOT_FOUND);
}

static void a_path_is_told(void **state)
{
    unit_open_dir();
    int fd = manager_open(unit_path("notify"));
    assert_int_equal(io_notify("READY=1\nSTATUS=a"), OK);
    assert_int_equal(io_notify("STOPPING=1"), OK);
    expect_told(fd, "READY=1\nSTATUS=a");
    expect_told(fd, "STOPPING=1");
    close(fd);
    assert_int_equal(io_notify("READY=1"), ERR_CLOSED); /* its name is left, nobody listens */
    unit_close_dir();
    assert_int_equal(io_notify("READY=1"), ERR_CLOSED); /* nor is the name */
}

static void an_abstract_name_is_told(void **state)
{
    char name[64];
    snprintf(name, sizeof name, "@odradek-notify-%d", (int)getpid());
    int fd = manager_open(name);
    assert_int_equal(io_notify("WATCHDOG=1"), OK);
    expect_told(fd, "WATCHDOG=1");
    close(fd);
    assert_int_equal(io_notify("WATCHDOG=1"), ERR_CLOSED);
}

static void a_name_that_is_none_is_refused(void **state)
{
    char longest[120];
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const char *names[] = {"relative", "/", "@", "vsock:2:1", longest};
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(io_notify("READY=1"), ERR_INVALID);
    }
}

/* A full socket does not hold up the loop. */
static void a_manager_that_does_not_read_is_not_waited_for(void **state)
{
    unit_open_dir();
    int fd = manager_open(unit_path("notify"));
    err_t e = OK;
    u32 sent = 0;
    while (e == OK) {
        e = io_notify("WATCHDOG=1");
        sent += e == OK;
        assert_true(sent < 1000000);
    }
    assert_int_equal(e, ERR_AGAIN);
    assert_true(sent > 0);
    expect_told(fd, "WATCHDOG=1");
    assert_int_equal(io_notify("WATCHDOG=1"), OK);
    close(fd);
    unit_close_dir();
}

static void the_watchdog_is_ours_or_none(void **state)
{
    char self[32];
    snprintf(self, sizeof self, "%d", (int)getpid());
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    assert_true(io_notify_watchdog_ns() == 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_true(io_notify_watchdog_ns() == 30000000000ull);
    setenv("WATCHDOG_PID", self, 1);
    assert_true(io_notify_watchdog_ns() == 30000000000ull);
    setenv("WATCHDOG_PID", "1", 1);
    assert_true(io_notify_watchdog_ns() == 0);
    unsetenv("WATCHDOG_PID");
    const char *wrong[] = {"", "-1", "5s", "soon", "99999999999999999999"};
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        setenv("WATCHDOG_USEC", wrong[i], 1);
        assert_true(io_notify_watchdog_ns() == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asks),
        cmocka_unit_test(a_path_is_told),
        cmocka_unit_test(an_abstract_name_is_told),
        cmocka_unit_test(a_name_that_is_none_is_refused),
        cmocka_unit_test(a_manager_that_does_not_read_is_not_waited_for),
        cmocka_unit_test(the_watchdog_is_ours_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
