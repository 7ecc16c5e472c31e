/* The blocking file verbs against a real file system: what is written is read, what fails says the
   right error, locks exclude, refusals leave nothing behind. */
#include "io_unit.h"

#include <sys/mount.h>
#include <sys/stat.h>

static void write_then_read(void **state)
{
    struct io *io = *state;
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("a"), IO_OPEN_READ, &f), ERR_NOT_FOUND);
    assert_int_equal(io_file_open(io, unit_path("a"), IO_OPEN_WRITE | IO_OPEN_CREATE, &f), OK);
    struct io_file *again = NULL;
    u32 exclusive = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
    assert_int_equal(io_file_open(io, unit_path("a"), exclusive, &again), ERR_EXISTS);
    assert_null(again);
    assert_int_equal(io_file_write_now(io, f, "hello, world", 12, 100), OK);
    assert_int_equal(io_file_sync_now(io, f), OK);
    u64 size = 0;
    assert_int_equal(io_file_size(io, f, &size), OK);
    assert_int_equal(size, 112);

    char text[64] = {0};
    size_t moved = 0;
    u64 counted = metric_slots[METRIC_io_file_read_bytes_total];
    assert_int_equal(io_file_read_now(io, f, text, sizeof(text), 107, &moved), OK);
    assert_int_equal(moved, 5); /* short at the end */
    assert_memory_equal(text, "world", 5);
    assert_int_equal(io_file_read_now(io, f, text, sizeof(text), 112, &moved), OK);
    assert_int_equal(moved, 0);
    assert_int_equal(metric_slots[METRIC_io_file_read_bytes_total], counted + 5);

    assert_int_equal(io_file_truncate(io, f, 105), OK);
    assert_int_equal(io_file_size(io, f, &size), OK);
    assert_int_equal(size, 105);
    assert_int_equal(io_file_allocate(io, f, 1 * MIB), OK);
    assert_int_equal(io_file_size(io, f, &size), OK);
    assert_int_equal(size, 1 * MIB);
    assert_int_equal(io_file_allocate(io, f, 4096), OK); /* never shrinks */
    assert_int_equal(io_file_size(io, f, &size), OK);
    assert_int_equal(size, 1 * MIB);
    io_file_close(io, f);
}

static void a_file_opened_to_read_cannot_be_written(void **state)
{
    struct io *io = *state;
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("r"), IO_OPEN_READ | IO_OPEN_CREATE, &f), OK);
    assert_int_equal(io_file_write_now(io, f, "x", 1, 0), ERR_IO);
    io_file_close(io, f);
}

static void a_lock_belongs_to_one_opening(void **state)
{
    struct io *io = *state;
    struct io_file *a = NULL;
    struct io_file *b = NULL;
    assert_int_equal(io_file_open(io, unit_path("lock"), IO_OPEN_WRITE | IO_OPEN_CREATE, &a), OK);
    assert_int_equal(io_file_open(io, unit_path("lock"), IO_OPEN_WRITE | IO_OPEN_CREATE, &b), OK);
    assert_int_equal(io_file_lock(io, a), OK);
    assert_int_equal(io_file_lock(io, a), OK); /* ours already */
    assert_int_equal(io_file_lock(io, b), ERR_LOCKED);
    io_file_close(io, a);
    assert_int_equal(io_file_lock(io, b), OK);
    io_file_close(io, b);
}

struct seen_names {
    u32 count;
    bool a;
    bool b;
};

static void see_name(void *user, const char *name)
{
    struct seen_names *s = user;
    s->count++;
    s->a |= strcmp(name, "a") == 0;
    s->b |= strcmp(name, "..b") == 0;
}

static void directories(void **state)
{
    struct io *io = *state;
    struct seen_names names = {0};
    assert_int_equal(io_list(io, unit_path("d"), see_name, &names), ERR_NOT_FOUND);
    assert_int_equal(io_sync_dir(io, unit_path("d")), ERR_NOT_FOUND);
    assert_int_equal(io_mkdir(io, unit_path("d")), OK);
    assert_int_equal(io_mkdir(io, unit_path("d")), ERR_EXISTS);
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("d/x"), IO_OPEN_WRITE | IO_OPEN_CREATE, &f), OK);
    io_file_close(io, f);
    assert_int_equal(io_file_open(io, unit_path("d/..b"), IO_OPEN_WRITE | IO_OPEN_CREATE, &f), OK);
    io_file_close(io, f);
    assert_int_equal(io_rename(io, unit_path("d/x"), unit_path("d/a")), OK);
    assert_int_equal(io_rename(io, unit_path("d/x"), unit_path("d/y")), ERR_NOT_FOUND);
    assert_int_equal(io_link(io, unit_path("d/a"), unit_path("d/second")), OK);
    assert_int_equal(io_link(io, unit_path("d/a"), unit_path("d/second")), ERR_EXISTS);
    assert_int_equal(io_link(io, unit_path("d/x"), unit_path("d/third")), ERR_NOT_FOUND);
    assert_int_equal(io_unlink(io, unit_path("d/second")), OK);
    assert_int_equal(io_sync_dir(io, unit_path("d")), OK);
    assert_int_equal(io_list(io, unit_path("d"), see_name, &names), OK);
    assert_int_equal(names.count, 2);
    assert_true(names.a && names.b);
    assert_int_equal(io_unlink(io, unit_path("d/a")), OK);
    assert_int_equal(io_unlink(io, unit_path("d/a")), ERR_NOT_FOUND);
    u64 free_bytes = 0;
    u64 total_bytes = 0;
    assert_int_equal(io_space(io, unit_dir, &free_bytes, &total_bytes), OK);
    assert_true(free_bytes <= total_bytes && total_bytes > 0);
    assert_int_equal(io_space(io, unit_path("none"), &free_bytes, &total_bytes), ERR_NOT_FOUND);
}

static void direct_in_blocks(void **state)
{
    struct io *io = *state;
    struct io_file *f = NULL;
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT;
    err_t err = io_file_open(io, unit_path("direct"), flags, &f);
    if (err == ERR_UNSUPPORTED) {
        skip(); /* the file system of the temporary folder refuses */
    }
    assert_int_equal(err, OK);
    u32 block = io_file_block_bytes(io, f);
    assert_true(block >= 4096 && (block & (block - 1)) == 0);
    u8 *buf = NULL;
    assert_int_equal(posix_memalign((void **)&buf, block, 2 * block), 0);
    memset(buf, 7, 2 * block);
    assert_int_equal(io_file_write_now(io, f, buf, 2 * block, block), OK);
    assert_int_equal(io_file_truncate(io, f, 2 * block + 100), OK);
    memset(buf, 0, 2 * block);
    size_t moved = 0;
    assert_int_equal(io_file_read_now(io, f, buf, 2 * block, block, &moved), OK);
    assert_int_equal(moved, block + 100); /* ends inside a block */
    assert_int_equal(buf[block + 99], 7);
    free(buf);
    io_file_close(io, f);
}

static void direct_refused_leaves_nothing(void **state)
{
    struct io *io = unit_create(IO_FILES_THREADS, true);
    struct io_file *f = NULL;
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
    assert_int_equal(io_file_open(io, unit_path("no"), flags | IO_OPEN_DIRECT, &f),
                     ERR_UNSUPPORTED);
    assert_null(f);
    assert_int_equal(io_file_open(io, unit_path("no"), flags, &f), OK);
    assert_true(io_file_block_bytes(io, f) >= 4096);
    io_file_close(io, f);
    io_destroy(io);
}

static void a_full_file_system_says_no_space(void **state)
{
    struct io *io = *state;
    assert_int_equal(io_mkdir(io, unit_path("full")), OK);
    if (geteuid() != 0 || mount("none", unit_path("full"), "tmpfs", 0, "size=64k") != 0) {
        skip();
    }
    struct io_file *f = NULL;
    assert_int_equal(io_file_open(io, unit_path("full/f"), IO_OPEN_WRITE | IO_OPEN_CREATE, &f), OK);
    u8 *buf = calloc(1, 256 * KIB);
    err_t written = io_file_write_now(io, f, buf, 256 * KIB, 0);
    err_t allocated = io_file_allocate(io, f, 1 * MIB);
    struct unit_op o = unit_op();
    struct io_vec vec = {buf, 256 * KIB};
    io_file_writev(io, &o.op, f, &vec, 1, 0, true);
    i64 durable = unit_await(io, &o);
    io_file_close(io, f);
    free(buf);
    assert_int_equal(umount(unit_path("full")), 0);
    assert_int_equal(written, ERR_NO_SPACE);
    assert_int_equal(allocated, ERR_NO_SPACE);
    assert_int_equal(durable, -(i64)ERR_NO_SPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(write_then_read, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(a_file_opened_to_read_cannot_be_written, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(a_lock_belongs_to_one_opening, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(directories, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(direct_in_blocks, setup_threads, unit_teardown),
        cmocka_unit_test_setup_teardown(direct_refused_leaves_nothing, setup_threads,
                                        unit_teardown),
        cmocka_unit_test_setup_teardown(a_full_file_system_says_no_space, setup_threads,
                                        unit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
