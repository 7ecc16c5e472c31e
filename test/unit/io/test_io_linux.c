/* The loop against the real kernel: sleeping until a timer, signals as events, chance, the choice
   of the file mode, and that an idle loop costs nothing. */
#include "io/io_linux.h"
#include "io_unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct counting_timer {
    struct io_timer timer;
    u32 fired_count;
};

static void count_fired(struct io_timer *t)
{
    CONTAINER_OF(t, struct counting_timer, timer)->fired_count++;
}

static void sleep_ends_at_the_deadline(void **state)
{
    struct io *io = *state;
    struct counting_timer t = {.timer = {.fired = count_fired}};
    for (u32 without_pwait2 = 0; without_pwait2 < 2; without_pwait2++) {
        linux_of(io)->no_pwait2 = without_pwait2 != 0;
        t.fired_count = 0;
        u64 deadline_ns = io_clock_ns() + 5000000;
        io_timer_start(io, &t.timer, deadline_ns);
        u32 turns = 0;
        while (t.fired_count == 0) {
            io_turn(io, true);
            turns++;
        }
        assert_true(io_now_ns(io) >= deadline_ns);
        assert_true(io_clock_ns() < deadline_ns + 2000000000); /* not wildly late */
        assert_in_range(turns, 1, 5);                          /* slept, did not spin */
    }
}

static void work_asked_for_before_the_first_turn_is_done(void **state)
{
    struct io *io = *state;
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("f"), IO_OPEN_WRITE | IO_OPEN_CREATE, &f), OK);
    struct io_vec vec = unit_vec("first");
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, &vec, 1, 0, true);
    assert_int_equal(unit_await(io, &write), 5); /* poll may not sleep on it */
    io_file_close(io, f);
}

static void chance_differs(void **state)
{
    struct io *io = *state;
    u8 a[64] = {0};
    u8 b[64] = {0};
    io_random(io, a, sizeof(a));
    io_random(io, b, sizeof(b));
    io_random(io, NULL, 0);
    assert_memory_not_equal(a, b, sizeof(a));
}

static enum io_signal signals_seen[8];
static u32 signals_count;
static void see_signal(void *user, enum io_signal s)
{
    assert_int_equal(*(int *)user, 5);
    signals_seen[signals_count++] = s;
}

static void signals_are_events(void **state)
{
    struct io *io = *state;
    int user = 5;
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    io_signals(io, see_signal, &user);
    static const struct {
        int number;
        enum io_signal signal;
    } rows[] = {{SIGTERM, IO_SIGNAL_STOP},
                {SIGINT, IO_SIGNAL_STOP},
                {SIGHUP, IO_SIGNAL_RELOAD},
                {SIGUSR1, IO_SIGNAL_STATS}};
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        signals_count = 0;
        kill(getpid(), rows[i].number);
        TURN_UNTIL(io, signals_count > 0);
        assert_int_equal(signals_count, 1);
        assert_int_equal(signals_seen[0], rows[i].signal);
    }
    kill(getpid(), SIGTERM); /* no turn sees these two, and they end nothing: neither now ... */
    io_destroy(io);
    kill(getpid(), SIGINT); /* ... nor after */
    assert_int_equal(signals_count, 1);
    *state = unit_create(IO_FILES_THREADS, false); /* for the teardown */
    sigset_t late;
    sigemptyset(&late);
    sigaddset(&late, SIGTERM);
    sigaddset(&late, SIGINT);
    int first = sigwaitinfo(&late, NULL);
    int second = sigwaitinfo(&late, NULL);
    assert_true((first == SIGTERM && second == SIGINT) || (first == SIGINT && second == SIGTERM));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    kill(getpid(), SIGPIPE); /* ignored: a peer that is gone ends nothing */
}

static void modes_have_names(void **state)
{
    struct io *io = unit_create(IO_FILES_THREADS, false);
    assert_string_equal(io_files_mode_name(io), "threads");
    io_destroy(io);
    io = unit_create(IO_FILES_AUTO, false);
    const char *name = io_files_mode_name(io);
    assert_true(strcmp(name, "threads") == 0 || strcmp(name, "io_uring") == 0);
    io_destroy(io);
}

/* The filter of many container hosts: one of the ring's system calls answers with an error. */
static int forbid(long number, u32 error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 77;
    }
    return 0;
}

static int durable_write_works(struct io *io)
{
    struct io_file *f = NULL;
    CHILD_CHECK(io_file_open(io, unit_path("s"), IO_OPEN_WRITE | IO_OPEN_CREATE, &f) == OK);
    struct io_vec vec = unit_vec("safe");
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, &vec, 1, 0, true);
    while (write.done_count == 0) {
        io_turn(io, true);
    }
    CHILD_CHECK(write.result == 4);
    io_file_close(io, f);
    return 0;
}

static int forbidden_falls_to_threads(long number, u32 error, err_t expected)
{
    int result = forbid(number, error);
    if (result != 0) {
        return result;
    }
    struct io *io = NULL;
    struct io_linux_params only_ring = {.files = IO_FILES_URING};
    CHILD_CHECK(io_linux_create(&only_ring, &io) == expected);
    struct io_linux_params automatic = {.files = IO_FILES_AUTO};
    CHILD_CHECK(io_linux_create(&automatic, &io) == OK);
    CHILD_CHECK(strcmp(io_files_mode_name(io), "threads") == 0);
    CHILD_CHECK(durable_write_works(io) == 0);
    io_destroy(io);
    return 0;
}
static int setup_forbidden(void)
{
    return forbidden_falls_to_threads(SYS_io_uring_setup, EPERM, ERR_DENIED);
}
static int setup_unknown(void)
{
    return forbidden_falls_to_threads(SYS_io_uring_setup, ENOSYS, ERR_UNSUPPORTED);
}
static int setup_out_of_memory(void)
{
    return forbidden_falls_to_threads(SYS_io_uring_setup, ENOMEM, ERR_NO_MEMORY);
}
static int enter_forbidden(void)
{
    return forbidden_falls_to_threads(SYS_io_uring_enter, EPERM, ERR_DENIED);
}

static void a_forbidden_ring_leaves_threads(void **state)
{
    unit_in_child(setup_forbidden);
    unit_in_child(setup_unknown);
    unit_in_child(setup_out_of_memory);
    unit_in_child(enter_forbidden);
}

/* A container filter may also forbid what is newer than itself. */
static int pwait2_forbidden(void)
{
    int result = forbid(SYS_epoll_pwait2, EPERM);
    if (result != 0) {
        return result;
    }
    struct io *io = NULL;
    struct io_linux_params automatic = {.files = IO_FILES_AUTO};
    CHILD_CHECK(io_linux_create(&automatic, &io) == OK);
    CHILD_CHECK(durable_write_works(io) == 0);
    io_destroy(io);
    return 0;
}

static void without_epoll_pwait2_it_sleeps_in_milliseconds(void **state)
{
    unit_in_child(pwait2_forbidden);
}

static void idle_costs_nothing(void **state)
{
    struct io *io = *state;
    struct counting_timer t = {.timer = {.fired = count_fired}};
    io_turn(io, false);
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    io_timer_start(io, &t.timer, io_clock_ns() + 300000000);
    u32 turns = 0;
    while (t.fired_count == 0) {
        io_turn(io, true);
        turns++;
    }
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(turns, 1, 3);
    i64 cpu_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
                 (after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    assert_true(cpu_us < 100000);
    struct io_linux *l = linux_of(io);
    assert_int_equal(l->writer.count + l->files.count + l->workers.count, 0);
}

static void descriptors_are_given_back(void **state)
{
    int before = dup(0);
    close(before);
    for (enum io_files_mode mode = IO_FILES_AUTO; mode <= IO_FILES_THREADS; mode++) {
        struct io_linux_params params = {.files = mode};
        struct io *io = NULL;
        if (io_linux_create(&params, &io) == OK) {
            io_destroy(io);
        }
    }
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sleep_ends_at_the_deadline, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(work_asked_for_before_the_first_turn_is_done, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(chance_differs, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(signals_are_events, setup_threads, unit_teardown),
        cmocka_unit_test(modes_have_names),
        cmocka_unit_test_setup_teardown(a_forbidden_ring_leaves_threads, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(without_epoll_pwait2_it_sleeps_in_milliseconds,
                                        setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(idle_costs_nothing, setup_threads, unit_teardown),
        cmocka_unit_test(descriptors_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
