/* File operations through io_uring: the body shared with the threads, and what only a ring does:
   leave together, wait for room, be cancelled inside the kernel. */
#include "async_body.h"

#include <sys/stat.h>

static void a_turn_submits_all_at_once(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_linux *l = linux_of(io);
    struct io_file *f = body_file(io, 0);
    struct io_vec vec = unit_vec("x");
    enum { COUNT = RING_ENTRIES + 50 };
    struct unit_op *ops = calloc(COUNT, sizeof(ops[0]));
    for (u32 i = 0; i < COUNT; i++) {
        ops[i] = unit_op();
        io_file_writev(io, &ops[i].op, f, &vec, 1, i, false);
    }
    assert_int_equal(l->ring_in_flight, 0);
    io->backend->submit(io);
    assert_int_equal(l->ring_in_flight, RING_ENTRIES);
    assert_false(list_empty(&l->queued)); /* the rest waits for room */
    for (u32 i = 0; i < COUNT; i++) {
        assert_int_equal(unit_await(io, &ops[i]), 1);
    }
    assert_int_equal(l->ring_in_flight, 0);
    free(ops);
    io_file_close(io, f);
}

/* A read of a pipe nobody writes to waits in the kernel until it is cancelled. */
static void a_waiting_read_is_cancelled_in_the_kernel(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    assert_int_equal(mkfifo(unit_path("pipe"), 0600), 0);
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("pipe"), IO_OPEN_WRITE, &f), OK);
    u8 byte = 0;
    struct io_vec vec = {&byte, 1};
    struct unit_op read = unit_op();
    io_file_readv(io, &read.op, f, &vec, 1, 0);
    for (u32 i = 0; i < 5; i++) {
        io_turn(io, false);
    }
    assert_int_equal(read.done_count, 0);
    io_cancel(io, &read.op);
    assert_int_equal(read.done_count, 0);
    assert_int_equal(unit_await(io, &read), -(i64)ERR_CANCELLED);
    io_file_close(io, f);
}

/* The loop sleeps without a limit and nothing but the completion can end that. */
static void a_completion_ends_the_sleep(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    assert_int_equal(mkfifo(unit_path("pipe"), 0600), 0);
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("pipe"), IO_OPEN_WRITE, &f), OK);
    for (u32 i = 0; i < 5; i++) {
        u8 byte = 0;
        struct io_vec vec = {&byte, 1};
        struct unit_op read = unit_op();
        io_file_readv(io, &read.op, f, &vec, 1, 0);
        pid_t child = fork();
        if (child == 0) {
            usleep(30000);
            _exit(write(f->fd, "x", 1) == 1 ? 0 : 1);
        }
        assert_int_equal(unit_await(io, &read), 1);
        assert_int_equal(byte, 'x');
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    io_file_close(io, f);
}

static void no_thread_of_ours_is_needed(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_file *f = body_file(io, 0);
    struct io_vec vec = unit_vec("x");
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, &vec, 1, 0, true);
    assert_int_equal(unit_await(io, &write), 1);
    assert_int_equal(linux_of(io)->writer.count + linux_of(io)->files.count, 0);
    io_file_close(io, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASYNC_TESTS(setup_ring),
        cmocka_unit_test_setup_teardown(a_turn_submits_all_at_once, setup_ring, unit_teardown),
        cmocka_unit_test_setup_teardown(a_waiting_read_is_cancelled_in_the_kernel, setup_ring,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(a_completion_ends_the_sleep, setup_ring, unit_teardown),
        cmocka_unit_test_setup_teardown(no_thread_of_ours_is_needed, setup_ring, unit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
