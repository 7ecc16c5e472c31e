/* What the process asks about its machine: the clock does not go back and is the loop's, memory is
   a number a machine can have. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_goes_forward),
        cmocka_unit_test(the_loop_samples_the_same_clock),
        cmocka_unit_test(memory_is_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
