/* Proves how files go: the name first, and what is in them by small pieces during a start and
   while the WAL is written, by large ones when nobody writes, when the WAL is full after a moment,
   or when more waits to go than is free; a file that has another name is not touched; whatever
   cannot be asked or cut goes at once; and a home that goes away in the middle leaves nothing open.
 */
#include "packs.h"

#include <dirent.h>

enum {
    PIECE_BYTES = 4096, /* with extents as small as these */
    LARGE_PIECE_BYTES = 16 * PIECE_BYTES,
    SOME_BYTES = 5 * PIECE_BYTES,
    LARGE_BYTES = 20 * PIECE_BYTES,
    TRIES = 100
};

static struct fixture fixture;

static int setup(void **state)
{
    return fixture_setup(&fixture, state);
}

static u64 file_bytes(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (u64)st.st_size;
}

static void forget_truncates(void)
{
    fault.truncates = 0;
    fault.truncate_gap = 0;
}

/* Until all of it is gone. Nobody writes meanwhile: with extents this small a fast disk would use
   them up at a rate at which there are no pauses. */
static void removal_wait(struct fixture *f)
{
    while (pack_bytes_used(f) > 0) {
        io_turn(f->io, true);
    }
}

static void pack_goes(struct fixture *f, u64 id, u32 bytes, bool writes)
{
    struct home_pack pack;
    char path[200];
    int fd = sized_pack(f, id, bytes, &pack);
    if (writes) {
        wal_write_many(f, 1, 1, 100);
    }
    home_pack_remove(f->home, id);
    removal_wait(f);
    pack_name(f, id, path);
    assert_false(file_there(path));
    close(fd);
}

static void test_large_pieces_when_nobody_writes(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 1);
    pack_goes(f, 1, LARGE_BYTES, false);
    assert_int_equal(fault.truncates, 1);
    assert_int_equal(fault.truncate_gap, LARGE_PIECE_BYTES);
    forget_truncates();
    pack_goes(f, 2, 3 * PIECE_BYTES, false);
    assert_int_equal(fault.truncates, 0); /* it is closed, and gone */
}

/* A start reads. */
static void test_small_pieces_during_a_start(void **state)
{
    struct fixture *f = *state;
    struct home_pack pack;
    u64 next;
    int fd = sized_pack(f, 1, SOME_BYTES, &pack);
    assert_int_equal(home_packs_sweep(f->home, NULL, 0, &next), OK);
    while (file_bytes(fd) > PIECE_BYTES) {
        io_turn(f->io, true);
    }
    assert_int_equal(fault.truncates, SOME_BYTES / PIECE_BYTES - 1);
    assert_int_equal(fault.truncate_gap, PIECE_BYTES);
    close(fd);
}

/* In a new session, in which nothing was written yet. */
static void wal_anew(struct fixture *f, u64 wal)
{
    fixture_close(f);
    fixture_open(f);
    wal_begin(f, wal);
    forget_truncates();
}

/* A machine that stands still for longer than "somebody writes" lasts makes one piece large. */
static void test_small_pieces_while_somebody_writes(void **state)
{
    struct fixture *f = *state;
    for (u64 id = 1; id < TRIES; id++) {
        wal_anew(f, id);
        pack_goes(f, id, SOME_BYTES, true);
        if (fault.truncates == SOME_BYTES / PIECE_BYTES - 1) {
            assert_int_equal(fault.truncate_gap, PIECE_BYTES);
            return;
        }
    }
    fail();
}

/* Extents are full as soon as they are begun. On a machine that stands still: once more. */
static void test_no_pauses_at_full_speed(void **state)
{
    struct fixture *f = *state;
    for (u64 id = 1; id < TRIES; id++) {
        wal_anew(f, id);
        wal_write_many(f, 60, 5, 4000);
        forget_truncates();
        pack_goes(f, id, LARGE_BYTES, true);
        if (fault.truncates == 1) {
            assert_int_equal(fault.truncate_gap, LARGE_PIECE_BYTES);
            return;
        }
    }
    fail();
}

static void test_no_pauses_when_more_goes_than_is_free(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 1);
    fault_set(FAULT_SPACE, 0, OK);
    pack_goes(f, 1, LARGE_BYTES, true);
    assert_int_equal(fault.truncates, 1);
    assert_int_equal(fault.truncate_gap, LARGE_PIECE_BYTES);
}

static void test_several_at_once(void **state)
{
    struct fixture *f = *state;
    int files[4];
    wal_begin(f, 1);
    for (u64 id = 0; id < ARRAY_LEN(files); id++) {
        struct home_pack pack;
        files[id] = sized_pack(f, id, SOME_BYTES, &pack);
    }
    wal_write_many(f, 1, 1, 100);
    for (u64 id = 0; id < ARRAY_LEN(files); id++) {
        home_pack_remove(f->home, id);
    }
    removal_wait(f);
    for (u64 id = 0; id < ARRAY_LEN(files); id++) {
        char path[200];
        pack_name(f, id, path);
        assert_false(file_there(path));
        close(files[id]);
    }
}

/* The other name's file has every byte. */
static void test_a_second_name(void **state)
{
    struct fixture *f = *state;
    struct home_pack pack;
    char path[200];
    char other[200];
    int fd = sized_pack(f, 1, SOME_BYTES, &pack);
    pack_name(f, 1, path);
    (void)snprintf(other, sizeof(other), "%s/other", f->base);
    assert_int_equal(link(path, other), 0);
    home_pack_remove(f->home, 1);
    removal_wait(f);
    assert_false(file_there(path));
    assert_int_equal(fault.truncates, 0);
    assert_int_equal(file_bytes(fd), SOME_BYTES);
    assert_int_equal(unlink(other), 0);
    close(fd);
}

static void test_what_cannot_be_cut_goes_at_once(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_TRUNCATE, FAULT_NAMED};
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        fault_set(verbs[i], 0, ERR_IO);
        pack_goes(f, i, LARGE_BYTES, false);
        assert_int_equal(fault.hits, 1);
        assert_int_equal(fault.truncates, 0);
    }
}

static u32 files_open(void)
{
    u32 count = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL) {
        count++;
    }
    closedir(d);
    return count;
}

/* One that a worker is at, and others that wait for it. */
static void test_destroyed_in_the_middle(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    u32 before = files_open();
    fixture_open(f);
    wal_begin(f, 1);
    for (u64 id = 0; id < 3; id++) {
        struct home_pack pack;
        close(sized_pack(f, id, LARGE_BYTES, &pack));
    }
    wal_write_many(f, 1, 1, 100);
    for (u64 id = 0; id < 3; id++) {
        home_pack_remove(f->home, id);
    }
    while (fault.truncates == 0 && pack_bytes_used(f) > 0) {
        io_turn(f->io, true);
    }
    fixture_close(f);
    while (io_linux_busy(f->io)) {
        io_turn(f->io, true);
    }
    assert_int_equal(files_open(), before);
    fixture_open(f);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown((test), setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_large_pieces_when_nobody_writes),
        ROW(test_small_pieces_during_a_start),
        ROW(test_small_pieces_while_somebody_writes),
        ROW(test_no_pauses_at_full_speed),
        ROW(test_no_pauses_when_more_goes_than_is_free),
        ROW(test_several_at_once),
        ROW(test_a_second_name),
        ROW(test_what_cannot_be_cut_goes_at_once),
        ROW(test_destroyed_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
