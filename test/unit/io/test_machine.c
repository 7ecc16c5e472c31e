/* What the process asks about its machine: the clock does not go back and is the loop's, memory is
   a number a machine can have, and what the process says of itself is so. */
#include "io_unit.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_clock_goes_forward(void **state)
{
    u64 last_ns = io_clock_ns();
    for (int i = 0; i < 1000; i++) {
        u64 now_ns = io_clock_ns();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

static void the_loop_samples_the_same_clock(void **state)
{
    struct io *io = unit_create(IO_FILES_THREADS, false);
    u64 before_ns = io_clock_ns();
    io_turn(io, false);
    assert_in_range(io_now_ns(io), before_ns, io_clock_ns());
    assert_true(io_wall_ms(io) > 1700000000000); /* after 2023 */
    io_destroy(io);
}

static void memory_is_plausible(void **state)
{
    assert_in_range(io_machine_memory(), 16 * MIB, 1ull << 50);
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(unit_path(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A service's limit is its unit's, or that of a slice above it: whichever is less. */
static void memory_is_what_the_cgroups_allow(void **state)
{
    unit_open_dir();
    assert_int_equal(mkdir(unit_path("system.slice"), 0700), 0);
    assert_int_equal(mkdir(unit_path("system.slice/odradek.service"), 0700), 0);
    assert_int_equal(mkdir(unit_path("memory"), 0700), 0);
    assert_int_equal(mkdir(unit_path("memory/box"), 0700), 0);
    put("self", "0::/system.slice/odradek.service\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == UINT64_MAX);
    put("system.slice/odradek.service/memory.max", "536870912\n");
    put("system.slice/memory.max", "max\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == 512 * MIB);
    put("system.slice/memory.max", "268435456\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == 256 * MIB);
    put("memory.max", "134217728\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == 128 * MIB);
    put("self", "0::/\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == 128 * MIB);
    /* The first kind of cgroups, each controller in a tree of its own. */
    put("self", "3:cpu,cpuacct:/box\n2:memory:/box\n1:name=systemd:/\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == UINT64_MAX);
    put("memory/box/memory.limit_in_bytes", "67108864\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == 64 * MIB);
    /* What cannot be read limits nothing. */
    put("self", "nonsense\n:\n");
    assert_true(io_cgroup_memory(unit_path("self"), unit_dir) == UINT64_MAX);
    assert_true(io_cgroup_memory(unit_path("absent"), unit_dir) == UINT64_MAX);
    unit_close_dir();
}

static void processor_time_passes_with_work(void **state)
{
    u64 before_ns = io_thread_cpu_ns();
    while (io_thread_cpu_ns() == before_ns) {
    }
    assert_true(io_thread_cpu_ns() > before_ns);
}

static void the_process_is_told_as_it_is(void **state)
{
    struct io_process before;
    struct io_process after;
    io_process_read(&before);
    int fd = dup(1);
    assert_true(fd >= 0);
    io_process_read(&after);
    close(fd);
    assert_int_equal(after.open_fds, before.open_fds + 1);
    assert_true(after.cpu_seconds >= before.cpu_seconds);
    assert_true(after.max_fds >= after.open_fds);
    assert_in_range(after.resident_bytes, 100 * KIB, after.virtual_bytes);
    assert_true(after.threads >= 1);
    /* It began before now, and not yesterday: a test takes seconds. */
    struct io *io = unit_create(IO_FILES_THREADS, false);
    f64 age = (f64)io_wall_ms(io) / 1000 - after.start_time_seconds;
    io_destroy(io);
    assert_true(age > -2 && age < 86400);
}

/* Who ended is gone before anybody waits for it, and after. */
static void a_process_that_ended_is_gone(void **state)
{
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1); /* until the other end is closed */
    }
    assert_true(child > 0);
    close(gate[0]);
    assert_false(io_process_gone((u32)getpid()));
    assert_false(io_process_gone((u32)child));
    close(gate[1]);
    while (!io_process_gone((u32)child)) {
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(io_process_gone((u32)child));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_goes_forward),
        cmocka_unit_test(the_loop_samples_the_same_clock),
        cmocka_unit_test(memory_is_plausible),
        cmocka_unit_test(memory_is_what_the_cgroups_allow),
        cmocka_unit_test(processor_time_passes_with_work),
        cmocka_unit_test(the_process_is_told_as_it_is),
        cmocka_unit_test(a_process_that_ended_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
