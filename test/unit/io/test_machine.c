/* What the process asks about its machine: the clock does not go back and is the loop's, memory is
   a number a machine can have, and what the process says of itself is so. */
#include "io_unit.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_goes_forward),
        cmocka_unit_test(the_loop_samples_the_same_clock),
        cmocka_unit_test(memory_is_plausible),
        cmocka_unit_test(processor_time_passes_with_work),
        cmocka_unit_test(the_process_is_told_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
