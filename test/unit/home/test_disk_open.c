/* Proves that a data directory is made once, found again, and refused when it is somebody else's,
   newer, damaged, half lost or in use; that a refusal touches nothing; and that an interrupted
   first start is completed by the next. */
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
    fixture_fini(*state);
    return 0;
}

static void expect_refusal(struct fixture *f, err_t expected, const char *word)
{
    err_t e = fixture_open_only(f, 0);
    if (e == OK) {
        e = fixture_replay(f);
    }
    assert_int_equal(e, expected);
    if (strstr(home_reason(f->home), word) == NULL) {
        fail_msg("'%s' is not in: %s", word, home_reason(f->home));
    }
    home_destroy(f->home);
}

static void test_made_and_found_again(void **state)
{
    struct fixture *f = *state;
    snprintf(f->dir, sizeof(f->dir), "%.30s/a/b/data//",
             f->base); /* parents too, and slashes at the end */
    fixture_open(f);
    assert_int_equal(home_block_bytes(f->home), 4096);
    struct uuid first = f->cluster;
    assert_false(uuid_is_zero(first));
    assert_false(home_fenced(f->home));
    fixture_close(f);
    fixture_open(f);
    assert_true(uuid_eq(first, f->cluster));
    fixture_close(f);
}

static void test_format_is_text(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_close(f);
    char path[200];
    u8 *text;
    file_path(f, "format", path);
    size_t bytes = file_get(path, &text);
    assert_int_equal(bytes, 15 + 8 + 32 + 1 + 4 + 8 + 1);
    assert_memory_equal(text, "odradek-data 1\ncluster ", 23);
    mem_free(text);
    file_path(f, "format.new", path);
    assert_false(file_there(path));
}

static void test_second_broker_is_told_the_process(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    struct home *first = f->home;
    char pid[20];
    snprintf(pid, sizeof(pid), "process %d.", getpid());
    expect_refusal(f, ERR_LOCKED, pid);
    f->home = first;
    fixture_close(f);
    fixture_open(f);
    fixture_close(f);
}

static void test_foreign_directory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0755), 0);
    char path[200];
    file_path(f, "precious.txt", path);
    file_put(path, "x", 1);
    expect_refusal(f, ERR_VERSION, "precious.txt");
    file_path(f, "lock", path);
    assert_false(file_there(path));
    file_path(f, "meta", path);
    assert_false(file_there(path));
}

static void test_newer_format(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_close(f);
    char path[200];
    file_path(f, "lock", path);
    file_put(path, "untouched", 9);
    file_path(f, "format", path);
    static const char text[] = "odradek-data 2\nwhatever comes then\n";
    file_put(path, text, sizeof(text) - 1);
    expect_refusal(f, ERR_VERSION, "format 2, made by a newer Odradek");
    u8 *lock;
    file_path(f, "lock", path);
    assert_int_equal(file_get(path, &lock), 9);
    mem_free(lock);
}

static void test_format_every_flip_and_cut(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_close(f);
    char path[200];
    u8 *text;
    file_path(f, "format", path);
    size_t bytes = file_get(path, &text);
    for (size_t at = 0; at < bytes; at++) {
        text[at] ^= 0x04;
        file_put(path, text, bytes);
        text[at] ^= 0x04;
        err_t e = fixture_open_only(f, 0);
        assert_true(e == ERR_CORRUPT || e == ERR_VERSION);
        home_destroy(f->home);
        file_put(path, text, at);
        e = fixture_open_only(f, 0);
        assert_true(e == ERR_CORRUPT || e == ERR_VERSION);
        home_destroy(f->home);
    }
    file_put(path, text, bytes);
    mem_free(text);
    fixture_open(f);
    fixture_close(f);
}

static void test_lost_parts_are_not_made_anew(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 3);
    fixture_close(f);
    char path[200];
    char moved[200];
    file_path(f, "format", path);
    snprintf(moved, sizeof(moved), "%s/kept", f->base);
    assert_int_equal(rename(path, moved), 0);
    expect_refusal(f, ERR_CORRUPT, "'format' is gone");
    assert_int_equal(rename(moved, path), 0);
    file_path(f, "wal", path);
    assert_int_equal(rmdir(path), 0);
    expect_refusal(f, ERR_CORRUPT, "cannot be listed");
    assert_int_equal(mkdir(path, 0755), 0);
    file_path(f, "meta", path);
    assert_int_equal(rename(path, moved), 0);
    expect_refusal(f, ERR_CORRUPT, "no metadata log");
    assert_int_equal(rename(moved, path), 0);
    fixture_open(f);
    assert_int_equal(f->meta_next, 3);
    fixture_close(f);
}

static void test_interrupted_first_start(void **state)
{
    struct fixture *f = *state;
    char path[200];
    assert_int_equal(mkdir(f->dir, 0755), 0);
    file_path(f, "lock", path);
    file_put(path, "1\n", 2);
    file_path(f, "lost+found", path);
    assert_int_equal(mkdir(path, 0755), 0);
    file_path(f, "format.new", path);
    file_put(path, "odradek-da", 10);
    file_path(f, "meta", path);
    assert_int_equal(mkdir(path, 0755), 0);
    file_path(f, "meta/0000000000000000.b", path);
    file_put(path, "", 0);
    fixture_open(f);
    fixture_close(f);
}

static void test_first_start_fails_at_every_step(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_SYNC_DIR, FAULT_SYNC, FAULT_WRITE_NOW};
    for (u32 v = 0; v < ARRAY_LEN(verbs); v++) {
        bool hit = true;
        for (u32 after = 0; hit; after++) {
            fault_set(verbs[v], after, ERR_NO_SPACE);
            err_t e = fixture_open_only(f, 0);
            hit = fault.hits > 0;
            assert_int_equal(e, hit ? ERR_NO_SPACE : OK);
            assert_true(!hit || home_reason(f->home)[0] != '\0');
            home_destroy(f->home);
            fault_set(FAULT_NONE, 0, OK);
            fixture_open(f);
            fixture_close(f);
            nftw(f->dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
        }
    }
}

/* An earlier start failed at the last sync: what this one believes it makes durable first. */
static void test_every_start_syncs_the_directory(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_close(f);
    fault_set(FAULT_SYNC_DIR, 0, ERR_IO);
    assert_int_equal(fixture_open_only(f, 0), ERR_IO);
    assert_int_equal(fault.hits, 1);
    fault_set(FAULT_NONE, 0, OK);
    home_destroy(f->home);
    fixture_open(f);
    fixture_close(f);
}

static void test_a_file_in_place_of_the_directory(void **state)
{
    struct fixture *f = *state;
    file_put(f->dir, "x", 1);
    err_t e = fixture_open_only(f, 0);
    assert_int_not_equal(e, OK);
    assert_non_null(strstr(home_reason(f->home), f->dir));
    home_destroy(f->home);
}

static void test_without_direct_io(void **state)
{
    struct fixture *f = *state;
    for (u32 round = 0; round < 2; round++) {
        fault_set(FAULT_OPEN_DIRECT, 0, OK);
        fixture_open(f);
        assert_false(home_is_direct(f->home));
        assert_int_equal(f->meta_next, round == 0 ? 0 : 5);
        meta_write_many(f, round == 0 ? 0 : 5, round == 0 ? 5 : 9);
        wal_begin(f, 1 + round);
        wal_write_many(f, 20, 5, 3000);
        fixture_close(f);
    }
    fault_set(FAULT_NONE, 0, OK);
    fixture_open(f);
    assert_int_equal(f->meta_next, 9);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 20);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_and_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format_is_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_broker_is_told_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format_every_flip_and_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_parts_are_not_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupted_first_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_start_fails_at_every_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_start_syncs_the_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_in_place_of_the_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_direct_io, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
