/* Proves what the door says of the WALs at start, of both homes: what a crash brought back of WALs
   that the metadata forgot is swept and stays away, what it names and what is not ours stays as it
   is; a file that cannot be removed waits for the next start; a directory whose WALs are newer than
   its metadata is refused, untouched. */
#include "disk_fixture.h"

static struct fixture fixture;

static int setup(void **state)
{
    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    fault_set(FAULT_NONE, 0, OK);
    fixture_fini(*state);
    return 0;
}

static void file_name(struct fixture *f, const char *name, char out[200])
{
    snprintf(out, 200, "%s/wal/%s", f->dir, name);
}

static bool file_is_there(struct fixture *f, const char *name)
{
    char path[200];
    file_name(f, name, path);
    return access(path, F_OK) == 0;
}

static void file_make(struct fixture *f, const char *name)
{
    char path[200];
    file_name(f, name, path);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, EXTENT_BYTES), 0);
    close(fd);
}

/* WAL 2 with slots in two extents, written by a session of its own; of 1, 3 and 9 there is what a
   power cut may bring back. */
static void directory_make(struct fixture *f)
{
    fixture_open(f);
    meta_write_many(f, 0, 1);
    wal_begin(f, 2);
    wal_write_many(f, 12, 3, 5000);
    fixture_close(f);
    file_make(f, "0000000000000001-00000000");
    file_make(f, "0000000000000001-00000007");
    file_make(f, "0000000000000003-00000001");
    file_make(f, "0000000000000009-ffffffff");
}

static void assert_foreign_stay(struct fixture *f)
{
    assert_true(file_is_there(f, "notes.txt"));
    assert_true(file_is_there(f, "0000000000000001-00000000.bak"));
    assert_true(file_is_there(f, "00000000000000AB-00000000"));
}

static void test_forgotten_ones_go(void **state)
{
    struct fixture *f = *state;
    directory_make(f);
    file_make(f, "notes.txt");
    file_make(f, "0000000000000001-00000000.bak");
    file_make(f, "00000000000000AB-00000000");
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 12);
    struct home_usage before;
    home_usage(f->home, &before);
    const u64 keep[] = {0, 2, 5}; /* 0 and 5 never had files */
    assert_int_equal(home_wals_sweep(f->home, keep, ARRAY_LEN(keep)), OK);
    assert_int_equal(home_swept(f->home).extents, 4);
    assert_int_equal(home_swept(f->home).packs, 0);
    assert_false(file_is_there(f, "0000000000000001-00000000"));
    assert_false(file_is_there(f, "0000000000000001-00000007"));
    assert_false(file_is_there(f, "0000000000000003-00000001"));
    assert_false(file_is_there(f, "0000000000000009-ffffffff"));
    assert_foreign_stay(f);
    struct home_usage after;
    home_usage(f->home, &after);
    assert_int_equal(before.wal_bytes - after.wal_bytes, 4 * EXTENT_BYTES);
    fixture_close(f);
    /* WAL 2 is as it was, and there is nothing left to sweep. */
    fixture_open(f);
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 12);
    assert_int_equal(home_wals_sweep(f->home, keep, ARRAY_LEN(keep)), OK);
    assert_int_equal(home_swept(f->home).extents, 0);
    fixture_close(f);
}

static void test_nothing_is_kept(void **state)
{
    struct fixture *f = *state;
    directory_make(f);
    fixture_open(f);
    assert_int_equal(home_wals_sweep(f->home, NULL, 0), OK);
    assert_true(home_swept(f->home).extents > 4);
    struct home_usage usage;
    home_usage(f->home, &usage);
    assert_int_equal(usage.wal_bytes, 0);
    assert_false(file_is_there(f, "0000000000000002-00000000"));
    fixture_close(f);
}

static void test_what_cannot_be_removed_waits(void **state)
{
    struct fixture *f = *state;
    directory_make(f);
    const u64 keep[] = {2};
    fixture_open(f);
    fault_set(FAULT_UNLINK, 1, ERR_DENIED); /* the first goes well, all others do not */
    assert_int_equal(home_wals_sweep(f->home, keep, 1), OK);
    assert_true(fault.hits > 0);
    assert_int_equal(home_swept(f->home).extents, 1);
    fault_set(FAULT_NONE, 0, OK);
    assert_true(file_is_there(f, "0000000000000001-00000000"));
    assert_false(file_is_there(f, "0000000000000001-00000007"));
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(home_wals_sweep(f->home, keep, 1), OK);
    assert_int_equal(home_swept(f->home).extents, 3);
    assert_false(file_is_there(f, "0000000000000001-00000000"));
    fixture_close(f);
}

/* Also when nothing was found: it may have been removed by a process that is dead. */
static void test_removals_are_made_durable(void **state)
{
    struct fixture *f = *state;
    directory_make(f);
    const u64 keep[] = {1, 2, 3, 9};
    fixture_open(f);
    fault_set(FAULT_SYNC_DIR, 0, ERR_IO);
    assert_int_equal(home_wals_sweep(f->home, keep, ARRAY_LEN(keep)), ERR_IO);
    assert_int_equal(fault.hits, 1);
    assert_string_equal(home_reason(f->home), "The folder of the WAL cannot be synced: io error.");
    fault_set(FAULT_NONE, 0, OK);
    fixture_close(f);
}

static void test_newer_than_the_metadata(void **state)
{
    struct fixture *f = *state;
    directory_make(f);
    fixture_open(f);
    assert_int_equal(home_wals_check(f->home, 10), OK);
    assert_int_equal(home_wals_check(f->home, 9), ERR_CORRUPT);
    assert_string_equal(home_reason(f->home),
                        "There are files of WAL 9, but the next one to be made is 9: the metadata "
                        "is older than the data. Nothing was changed; restore the whole directory "
                        "from one backup.");
    assert_int_equal(home_wals_check(f->home, 1), ERR_CORRUPT);
    assert_int_equal(home_swept(f->home).extents, 0);
    assert_true(file_is_there(f, "0000000000000009-ffffffff"));
    fixture_close(f);
}

static void test_in_memory(void **state)
{
    struct fixture *f = *state;
    f->home = home_mem_create(f->io);
    for (u64 wal = 1; wal <= 3; wal++) {
        assert_int_equal(home_open(f->home, &f->cluster), OK);
        assert_int_equal(fixture_replay(f), OK);
        assert_int_equal(home_wals_check(f->home, wal), OK);
        assert_int_equal(home_wals_check(f->home, wal - 1), wal > 1 ? ERR_CORRUPT : OK);
        assert_int_equal(home_wal_start(f->home, wal, 7), OK);
    }
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    assert_int_equal(fixture_replay(f), OK);
    const u64 keep[] = {2};
    assert_int_equal(home_wals_sweep(f->home, keep, 1), OK);
    assert_int_equal(home_swept(f->home).extents, 2);
    assert_int_equal(home_wals_check(f->home, 3), OK);
    assert_int_equal(home_wals_check(f->home, 2), ERR_CORRUPT);
    fixture_close(f);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown((test), setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_forgotten_ones_go),
        ROW(test_nothing_is_kept),
        ROW(test_what_cannot_be_removed_waits),
        ROW(test_removals_are_made_durable),
        ROW(test_newer_than_the_metadata),
        ROW(test_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
