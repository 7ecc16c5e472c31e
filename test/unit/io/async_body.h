/* The tests of asynchronous file operations, the same for the ring and for the threads: included by
   both twins, run with the setup of each. */
#pragma once

#include "io/io_linux.h"
#include "io_unit.h"

#define BODY_FILE_BYTES (64 * KIB)

static struct io_file *body_file(struct io *io, u32 more_flags)
{
    struct io_file *f = NULL;
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE | more_flags;
    assert_int_equal(io_file_open(io, unit_path("f"), flags, &f), OK);
    return f;
}

static void async_write_read_sync(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_file *f = body_file(io, 0);
    u8 out[300];
    u8 in[400];
    for (u32 i = 0; i < sizeof(out); i++) {
        out[i] = (u8)i;
    }
    struct io_vec vecs[] = {{out, 100}, {out + 100, 0}, {out + 100, 200}};
    u64 durable_writes = metric_slots[METRIC_io_durable_writes_total];
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, vecs, 3, 50, true);
    assert_int_equal(write.done_count, 0); /* never inside the call */
    assert_int_equal(unit_await(io, &write), 300);
    struct unit_op plain = unit_op();
    io_file_writev(io, &plain.op, f, vecs, 1, 0, false);
    assert_int_equal(unit_await(io, &plain), 100);
    assert_int_equal(metric_slots[METRIC_io_durable_writes_total], durable_writes + 1);
    struct unit_op sync = unit_op();
    io_file_sync(io, &sync.op, f);
    assert_int_equal(unit_await(io, &sync), 0);

    struct io_vec back[] = {{in, 10}, {in + 10, 390}};
    u64 read_bytes = metric_slots[METRIC_io_file_read_bytes_total];
    struct unit_op read = unit_op();
    io_file_readv(io, &read.op, f, back, 2, 0);
    assert_int_equal(unit_await(io, &read), 350); /* short at the end of the file */
    assert_int_equal(metric_slots[METRIC_io_file_read_bytes_total], read_bytes + 350);
    assert_memory_equal(in, out, 100);
    assert_memory_equal(in + 100, out + 50, 250);
    io_file_readv(io, &read.op, f, back, 2, 1000); /* the same operation again, past the end */
    read.done_count = 0;
    assert_int_equal(unit_await(io, &read), 0);
    io_file_readv(io, &read.op, f, NULL, 0, 0); /* of nothing */
    read.done_count = 0;
    assert_int_equal(unit_await(io, &read), 0);
    io_file_close(io, f);
}

static void async_direct(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_file *f = NULL;
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT;
    if (io_file_open(io, unit_path("f"), flags, &f) == ERR_UNSUPPORTED) {
        skip();
    }
    assert_non_null(f);
    u32 block = io_file_block_bytes(io, f);
    u8 *buf = NULL;
    assert_int_equal(posix_memalign((void **)&buf, block, 4 * block), 0);
    for (u32 i = 0; i < 4 * block; i++) {
        buf[i] = (u8)(i / 512);
    }
    struct io_vec vecs[] = {{buf, block}, {buf + block, 3 * block}};
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, vecs, 2, block, true);
    assert_int_equal(unit_await(io, &write), 4 * block);
    u8 *in = NULL;
    assert_int_equal(posix_memalign((void **)&in, block, 8 * block), 0);
    struct io_vec back = {in, 8 * block};
    struct unit_op read = unit_op();
    io_file_readv(io, &read.op, f, &back, 1, block);
    assert_int_equal(unit_await(io, &read), 4 * block);
    assert_memory_equal(in, buf, 4 * block);
    free(buf);
    free(in);
    io_file_close(io, f);
}

/* Far more operations than the kernel or the threads take at a time. */
static void async_many(void **state)
{
    NEED_IO(state);
    enum { COUNT = 2000 };
    struct io *io = *state;
    struct io_file *f = body_file(io, 0);
    struct unit_op *ops = calloc(COUNT, sizeof(ops[0]));
    u32 *values = calloc(COUNT, sizeof(values[0]));
    struct io_vec *vecs = calloc(COUNT, sizeof(vecs[0]));
    for (u32 round = 0; round < 2; round++) {
        for (u32 i = 0; i < COUNT; i++) {
            ops[i] = unit_op();
            values[i] = round == 0 ? i : 0;
            vecs[i] = (struct io_vec){&values[i], sizeof(u32)};
            if (round == 0) {
                io_file_writev(io, &ops[i].op, f, &vecs[i], 1, i * sizeof(u32), false);
            } else {
                io_file_readv(io, &ops[i].op, f, &vecs[i], 1, i * sizeof(u32));
            }
        }
        for (u32 i = 0; i < COUNT; i++) {
            assert_int_equal(unit_await(io, &ops[i]), sizeof(u32));
            assert_int_equal(values[i], i);
        }
    }
    free(ops);
    free(values);
    free(vecs);
    io_file_close(io, f);
}

/* Durable writes to one place, submitted one after the other without waiting: each is complete when
   its done() says so, and with one writer the last one submitted is what stays. */
static void async_durable_writes_overlap(void **state)
{
    NEED_IO(state);
    enum { COUNT = 16 };
    struct io *io = *state;
    struct io_file *f = body_file(io, 0);
    struct unit_op ops[COUNT];
    u64 values[COUNT];
    struct io_vec vecs[COUNT];
    for (u32 i = 0; i < COUNT; i++) {
        ops[i] = unit_op();
        values[i] = i + 1;
        vecs[i] = (struct io_vec){&values[i], sizeof(u64)};
        io_file_writev(io, &ops[i].op, f, &vecs[i], 1, 0, true);
    }
    for (u32 i = 0; i < COUNT; i++) {
        assert_int_equal(unit_await(io, &ops[i]), sizeof(u64));
    }
    u64 last = 0;
    size_t moved = 0;
    assert_int_equal(io_file_read_now(io, f, &last, sizeof(last), 0, &moved), OK);
    if (strcmp(io_files_mode_name(io), "threads") == 0) {
        assert_int_equal(last, COUNT);
    }
    io_file_close(io, f);
}

static void async_durable_without_the_flag(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    linux_of(io)->dsync_refused = true; /* as a kernel that never heard of RWF_DSYNC */
    struct io_file *f = body_file(io, 0);
    struct io_vec vec = unit_vec("durable");
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, &vec, 1, 0, true);
    assert_int_equal(unit_await(io, &write), 7);
    assert_int_equal(write.op.private_[OP_STAGE], STAGE_SYNC);
    io_file_close(io, f);
}

static void async_error(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("f"), IO_OPEN_READ | IO_OPEN_CREATE, &f), OK);
    struct io_vec vec = unit_vec("no");
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, &vec, 1, 0, true); /* not opened to write: EBADF */
    assert_int_equal(unit_await(io, &write), -(i64)ERR_IO);
    io_file_close(io, f);
}

static void async_cancel_before_it_leaves(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_file *f = body_file(io, 0);
    struct io_vec vec = unit_vec("never");
    struct unit_op write = unit_op();
    io_file_writev(io, &write.op, f, &vec, 1, 0, true);
    io_cancel(io, &write.op);
    assert_int_equal(write.done_count, 0);
    io_cancel(io, &write.op); /* twice is once */
    assert_int_equal(unit_await(io, &write), -(i64)ERR_CANCELLED);
    io_cancel(io, &write.op); /* over: nothing */
    io_turn(io, false);
    assert_int_equal(write.done_count, 1);
    u64 size = 1;
    assert_int_equal(io_file_size(io, f, &size), OK);
    assert_int_equal(size, 0);
    io_file_close(io, f);
}

/* Whatever the moment, exactly one done(), with the real result or as cancelled. */
static void async_cancel_at_any_time(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct rng rng = unit_rng();
    struct io_file *f = body_file(io, 0);
    u8 *buf = calloc(1, BODY_FILE_BYTES);
    struct io_vec vec = {buf, BODY_FILE_BYTES};
    for (u32 round = 0; round < 200; round++) {
        struct unit_op ops[4];
        for (u32 i = 0; i < 4; i++) {
            ops[i] = unit_op();
            io_file_writev(io, &ops[i].op, f, &vec, 1, 0, i % 2 == 0);
        }
        for (u32 turns = (u32)rng_below(&rng, 3); turns > 0; turns--) {
            io_turn(io, false);
        }
        for (u32 i = 0; i < 4; i++) {
            io_cancel(io, &ops[i].op);
        }
        for (u32 i = 0; i < 4; i++) {
            i64 result = unit_await(io, &ops[i]);
            assert_true(result == (i64)BODY_FILE_BYTES || result == -(i64)ERR_CANCELLED);
        }
        io_turn(io, false);
        for (u32 i = 0; i < 4; i++) {
            assert_int_equal(ops[i].done_count, 1);
        }
    }
    free(buf);
    io_file_close(io, f);
}

/* The process ends with operations under way: nobody is called, nothing is lost or read after free.
 */
static void async_destroy_with_operations_under_way(void **state)
{
    NEED_IO(state);
    enum io_files_mode mode =
        strcmp(io_files_mode_name(*state), "threads") == 0 ? IO_FILES_THREADS : IO_FILES_URING;
    struct io *io = unit_create(mode, false);
    struct io_file *f = body_file(io, 0);
    u8 *buf = calloc(1, BODY_FILE_BYTES);
    struct io_vec vec = {buf, BODY_FILE_BYTES};
    struct unit_op ops[8];
    for (u32 i = 0; i < 8; i++) {
        ops[i] = unit_op();
        io_file_writev(io, &ops[i].op, f, &vec, 1, i * BODY_FILE_BYTES, true);
    }
    io->backend->submit(io);
    io_file_close(io, f);
    io_destroy(io);
    free(buf);
    for (u32 i = 0; i < 8; i++) {
        assert_int_equal(ops[i].done_count, 0);
    }
}

/* A file closed under its operations stays until they are over: its descriptor number may not
   become another file's while a write is on its way. */
static void async_close_with_operations_under_way(void **state)
{
    NEED_IO(state);
    struct io *io = *state;
    struct io_file *f = body_file(io, 0);
    struct io_file *other = NULL;
    struct io_vec vec = unit_vec("mine");
    struct unit_op ops[8];
    for (u32 i = 0; i < 8; i++) {
        ops[i] = unit_op();
        io_file_writev(io, &ops[i].op, f, &vec, 1, i * 4, i % 2 == 0);
    }
    io_file_close(io, f);
    assert_int_equal(io_file_open(io, unit_path("g"), IO_OPEN_WRITE | IO_OPEN_CREATE, &other), OK);
    for (u32 i = 0; i < 8; i++) {
        assert_int_equal(unit_await(io, &ops[i]), 4);
    }
    u64 size = 1;
    assert_int_equal(io_file_size(io, other, &size), OK);
    assert_int_equal(size, 0);
    assert_true(list_empty(&linux_of(io)->closed_files));
    io_file_close(io, other);
    assert_int_equal(io_file_open(io, unit_path("f"), IO_OPEN_READ, &f), OK);
    assert_int_equal(io_file_size(io, f, &size), OK);
    assert_int_equal(size, 32);
    io_file_close(io, f);
}

#define ASYNC_TESTS(setup)                                                                     \
    cmocka_unit_test_setup_teardown(async_write_read_sync, setup, unit_teardown),              \
        cmocka_unit_test_setup_teardown(async_direct, setup, unit_teardown),                   \
        cmocka_unit_test_setup_teardown(async_many, setup, unit_teardown),                     \
        cmocka_unit_test_setup_teardown(async_durable_writes_overlap, setup, unit_teardown),   \
        cmocka_unit_test_setup_teardown(async_durable_without_the_flag, setup, unit_teardown), \
        cmocka_unit_test_setup_teardown(async_error, setup, unit_teardown),                    \
        cmocka_unit_test_setup_teardown(async_close_with_operations_under_way, setup,          \
                                        unit_teardown),                                        \
        cmocka_unit_test_setup_teardown(async_cancel_before_it_leaves, setup, unit_teardown),  \
        cmocka_unit_test_setup_teardown(async_cancel_at_any_time, setup, unit_teardown),       \
        cmocka_unit_test_setup_teardown(async_destroy_with_operations_under_way, setup,        \
                                        unit_teardown)
