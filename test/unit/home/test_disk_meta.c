/* Proves the metadata log on disk: slots and snapshots come back in order; one damaged copy is
   repaired from the other, wherever the damage is, once that one is durable; damage to both is
   refused and never taken for a torn write; a slot that reached copy a only, at any length, is
   accepted or cut as formats.md says; a snapshot can be interrupted at every step; failing writes
   fence, missing space does not.
 */
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

static void copy_name(const struct fixture *f, u64 generation, char copy, char out[200])
{
    snprintf(out, 200, "%s/meta/%016llx.%c", f->dir, (unsigned long long)generation, copy);
}

static void reopen_expect(struct fixture *f, u64 next)
{
    fixture_open(f);
    assert_int_equal(f->meta_next, next);
    fixture_close(f);
}

static void test_slots_come_back(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    assert_int_equal(f->meta_next, 0);
    meta_write_many(f, 0, 40); /* more than one allocation */
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(f->meta_next, 40);
    assert_string_equal(home_reason(f->home), "");
    meta_write_many(f, 40, 60);
    fixture_close(f);
    reopen_expect(f, 60);
}

static void test_large_slots(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    u8 *big = mem_alloc(3 * MIB);
    rng_fill(&f->rng, big, 3 * MIB);
    assert_int_equal(meta_write(f, 0, slice_of(big, 3 * MIB), true), OK); /* at 0: nothing to do */
    meta_write_many(f, 0, 2);
    assert_int_equal(meta_write(f, 2, slice_of(big, 3 * MIB), true), OK);
    meta_write_many(f, 2, 5);
    fixture_close(f);
    fixture_open(f);
    assert_true(f->snapshot_seen);
    assert_int_equal(f->snapshot_slot, 2);
    assert_int_equal(f->meta_next, 5);
    fixture_close(f);
    mem_free(big);
}

static void test_snapshots_replace_generations(void **state)
{
    struct fixture *f = *state;
    char path[200];
    fixture_open(f);
    u64 slot = 0;
    for (u32 round = 1; round <= 5; round++) {
        meta_write_many(f, slot, slot + 3);
        slot += 3;
        assert_int_equal(meta_write(f, slot, SLICE_LIT("the state"), true), OK);
        copy_name(f, slot - 3, 'a', path);
        assert_false(file_there(path));
        copy_name(f, slot - 3, 'b', path);
        assert_false(file_there(path));
        if (round % 2 == 0) {
            fixture_close(f);
            fixture_open(f);
            assert_int_equal(f->snapshot_slot, slot);
            assert_int_equal(f->meta_next, slot);
        }
    }
    meta_write_many(f, slot, slot + 2);
    fixture_close(f);
    reopen_expect(f, slot + 2);
    /* Files left over from an unlink that a crash has undone. */
    copy_name(f, 0, 'a', path);
    file_put(path, "", 0);
    reopen_expect(f, slot + 2);
    assert_false(file_there(path));
}

/* One bit flipped anywhere in one copy: repaired, and the repaired directory is as good as before.
 */
static void test_one_copy_damaged_anywhere(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 3);
    assert_int_equal(meta_write(f, 3, SLICE_LIT("the state before slot three"), true), OK);
    meta_write_many(f, 3, 7);
    fixture_close(f);
    char a[200];
    char b[200];
    copy_name(f, 3, 'a', a);
    copy_name(f, 3, 'b', b);
    u8 *before;
    size_t bytes = file_get(a, &before);
    for (u32 i = 0; i < 60; i++) {
        const char *path = rng_chance(&f->rng, 1, 2) ? a : b;
        u64 frame = rng_below(&f->rng, 5) * 4096;
        u64 at = frame + (i % 2 == 0 ? rng_below(&f->rng, 140) : 4032 + rng_below(&f->rng, 64));
        u8 *good;
        size_t good_bytes = file_get(path, &good);
        bool matters = at - frame < 128 || at - frame >= 4032 ||
                       at - frame < 128 + load_le32(good + frame + 72);
        file_flip(path, at);
        fixture_open(f);
        assert_int_equal(f->meta_next, 7);
        assert_int_equal(home_reason(f->home)[0] != '\0', matters);
        fixture_close(f);
        if (matters) {
            u8 *repaired;
            assert_int_equal(file_get(path, &repaired), good_bytes);
            assert_memory_equal(repaired, good, good_bytes);
            mem_free(repaired);
        } else {
            file_flip(path, at);
        }
        mem_free(good);
    }
    /* Cut, emptied, removed, rolled back, grown over with noise: still one good copy. */
    for (u32 i = 0; i < 12; i++) {
        const char *path = i % 2 == 0 ? a : b;
        if (i / 2 == 0) {
            assert_int_equal(truncate(path, (off_t)rng_below(&f->rng, 5 * 4096)), 0);
        } else if (i / 2 == 1) {
            assert_int_equal(truncate(path, 0), 0);
        } else if (i / 2 == 2) {
            assert_int_equal(unlink(path), 0);
        } else if (i / 2 == 3) {
            assert_int_equal(truncate(path, 3 * 4096), 0);
            assert_int_equal(truncate(path, (off_t)bytes), 0);
        } else if (i / 2 == 4) {
            u8 noise[512];
            rng_fill(&f->rng, noise, sizeof(noise));
            file_poke(path, rng_below(&f->rng, 40) * 512, noise, sizeof(noise));
        } else {
            file_poke(path, 4096, before + 2 * 4096, 4096); /* another slot's block */
        }
        reopen_expect(f, 7);
    }
    mem_free(before);
    reopen_expect(f, 7);
}

static void expect_corrupt(struct fixture *f, const char *word)
{
    assert_int_equal(fixture_open_only(f, 0), OK);
    assert_int_equal(fixture_replay(f), ERR_CORRUPT);
    if (strstr(home_reason(f->home), word) == NULL) {
        fail_msg("'%s' is not in: %s", word, home_reason(f->home));
    }
    home_destroy(f->home);
}

static void test_both_copies_damaged(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 6);
    fixture_close(f);
    char a[200];
    char b[200];
    copy_name(f, 0, 'a', a);
    copy_name(f, 0, 'b', b);
    for (u32 slot = 0; slot < 6; slot++) { /* the last one too */
        u64 at_a = slot * 4096 + rng_below(&f->rng, 128);
        u64 at_b = slot * 4096 + rng_below(&f->rng, 128);
        file_flip(a, at_a);
        file_flip(b, at_b);
        char word[40];
        snprintf(word, sizeof(word), "slot %u is damaged in both", slot);
        expect_corrupt(f, word);
        file_flip(a, at_a);
        file_flip(b, at_b);
    }
    reopen_expect(f, 6);
    /* The first copy's block gone to zeros, the second damaged: b is only begun when a is durable.
     */
    u8 zeros[4096] = {0};
    u8 *kept;
    size_t bytes = file_get(a, &kept);
    file_poke(a, 5 * 4096, zeros, sizeof(zeros));
    file_flip(b, 5 * 4096 + 50);
    expect_corrupt(f, "slot 5 is damaged in both");
    file_put(a, kept, bytes);
    file_flip(b, 5 * 4096 + 50);
    mem_free(kept);
    reopen_expect(f, 6);
}

/* The last slot reached a only as far as `cut`, and b not at all. */
static void test_torn_at_every_sector(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 3);
    u8 big[9000];
    rng_fill(&f->rng, big, sizeof(big));
    fixture_close(f);
    char a[200];
    char b[200];
    copy_name(f, 0, 'a', a);
    copy_name(f, 0, 'b', b);
    u8 *before;
    size_t bytes_before = file_get(a, &before);
    fixture_open(f);
    f->meta_bytes[3] = META_BYTES_MAX;
    rng_fill(&f->rng, f->meta_payload[3], META_BYTES_MAX);
    assert_int_equal(home_meta_write_now(f->home, 3, slice_of(f->meta_payload[3], META_BYTES_MAX)),
                     OK);
    fixture_close(f);
    u8 *after;
    size_t bytes_after = file_get(a, &after);
    assert_int_equal(bytes_before, bytes_after);
    for (u32 cut = 0; cut <= 4096; cut += 512) {
        /* a: torn; b: not begun */
        file_put(a, before, bytes_before);
        file_put(b, before, bytes_before);
        file_poke(a, 3 * 4096, after + 3 * 4096, cut);
        reopen_expect(f, cut == 4096 ? 4 : 3);
        /* what is cut leaves zeros, so that the next slot starts on clean ground */
        reopen_expect(f, cut == 4096 ? 4 : 3);
        /* a: whole; b: torn */
        file_put(a, after, bytes_after);
        file_put(b, before, bytes_before);
        file_poke(b, 3 * 4096, after + 3 * 4096, cut);
        reopen_expect(f, 4);
    }
    mem_free(before);
    mem_free(after);
}

/* The copy that is repaired from is durable before a byte of the other is touched. */
static void test_repair_from_what_is_durable(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 4);
    fixture_close(f);
    for (u32 copy = 0; copy < 2; copy++) {
        char path[200];
        copy_name(f, 0, copy == 0 ? 'a' : 'b', path);
        file_flip(path, 2 * 4096 + 50);
        u8 *damaged;
        size_t bytes = file_get(path, &damaged);
        assert_int_equal(fixture_open_only(f, 0), OK);
        fault_set(FAULT_SYNC, 0, ERR_IO);
        assert_int_equal(fixture_replay(f), ERR_IO);
        assert_int_equal(fault.hits, 1);
        assert_non_null(strstr(home_reason(f->home), "cannot be repaired"));
        fault_set(FAULT_NONE, 0, OK);
        home_destroy(f->home);
        u8 *after;
        assert_int_equal(file_get(path, &after), bytes);
        assert_memory_equal(after, damaged, bytes);
        mem_free(after);
        mem_free(damaged);
        reopen_expect(f, 4);
    }
}

/* The generation that stays has durable names before the older one goes. */
static void test_older_generation_stays_until_durable(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 4);
    fixture_close(f);
    char path[200];
    copy_name(f, 0, 'a', path);
    u8 *old;
    size_t bytes = file_get(path, &old);
    fixture_open(f);
    assert_int_equal(meta_write(f, 4, SLICE_LIT("the state before slot four"), true), OK);
    fixture_close(f);
    file_put(path, old, bytes);
    mem_free(old);
    assert_int_equal(fixture_open_only(f, 0), OK);
    fault_set(FAULT_SYNC_DIR, 0, ERR_IO);
    assert_int_equal(fixture_replay(f), ERR_IO);
    assert_int_equal(fault.hits, 1);
    fault_set(FAULT_NONE, 0, OK);
    home_destroy(f->home);
    assert_true(file_there(path));
    reopen_expect(f, 4);
    assert_false(file_there(path));
}

static void test_interrupted_snapshot(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    meta_write_many(f, 0, 4);
    fixture_close(f);
    char path[200];
    u8 *old[2];
    size_t old_bytes = 0;
    for (u32 copy = 0; copy < 2; copy++) {
        copy_name(f, 0, copy == 0 ? 'a' : 'b', path);
        old_bytes = file_get(path, &old[copy]);
    }
    fixture_open(f);
    assert_int_equal(meta_write(f, 4, SLICE_LIT("the state before slot four"), true), OK);
    fixture_close(f);
    u8 *made;
    copy_name(f, 4, 'a', path);
    size_t made_bytes = file_get(path, &made);
    /* Every mixture of: nothing, a piece, all of either new copy; the old generation still there.
     */
    for (u32 i = 0; i < 9; i++) {
        for (u32 copy = 0; copy < 2; copy++) {
            copy_name(f, 0, copy == 0 ? 'a' : 'b', path);
            file_put(path, old[copy], old_bytes);
            copy_name(f, 4, copy == 0 ? 'a' : 'b', path);
            u32 how = copy == 0 ? i / 3 : i % 3;
            if (how == 0) {
                (void)unlink(path);
            } else {
                file_put(path, made, how == 1 ? 100 : made_bytes);
            }
        }
        fixture_open(f);
        assert_int_equal(f->meta_next, 4);
        bool new_one = i / 3 == 2 || i % 3 == 2;
        assert_int_equal(f->snapshot_seen, new_one);
        meta_write_many(f, 4, 6); /* and it goes on from there */
        fixture_close(f);
        reopen_expect(f, 6);
        for (u32 copy = 0; copy < 2; copy++) {
            copy_name(f, new_one ? 0 : 4, copy == 0 ? 'a' : 'b', path);
            assert_false(file_there(path));
            copy_name(f, new_one ? 4 : 0, copy == 0 ? 'a' : 'b', path);
            assert_int_equal(unlink(path), 0);
        }
    }
    /* No older generation to fall back to: then it is damage. */
    copy_name(f, 4, 'a', path);
    file_put(path, made, 100);
    copy_name(f, 4, 'b', path);
    file_put(path, made, 100);
    expect_corrupt(f, "snapshot");
    mem_free(made);
    mem_free(old[0]);
    mem_free(old[1]);
}

static void test_write_failures_fence(void **state)
{
    struct fixture *f = *state;
    for (u32 after = 0; after < 2; after++) { /* copy a, copy b */
        fixture_open(f);
        u64 next = f->meta_next;
        meta_write_many(f, next, next + 1);
        struct slice payload = meta_payload_make(f, next + 1);
        fault_set(FAULT_WRITE, after, ERR_IO);
        assert_int_equal(meta_write(f, next + 1, payload, false), ERR_IO);
        assert_int_equal(fault.hits, 1);
        fault_set(FAULT_NONE, 0, OK);
        assert_true(home_fenced(f->home));
        assert_non_null(strstr(home_reason(f->home), after == 0 ? "copy a" : "copy b"));
        assert_int_equal(meta_write(f, next + 1, payload, false), ERR_IO);
        assert_int_equal(home_meta_write_now(f->home, next + 1, payload), ERR_IO);
        fixture_close(f);
        /* What reached copy a counts, though nobody was told. */
        reopen_expect(f, after == 0 ? next + 1 : next + 2);
    }
}

static void test_no_space_does_not_fence(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fault_set(FAULT_ALLOCATE, 0, ERR_NO_SPACE);
    assert_int_equal(meta_write(f, 0, meta_payload_make(f, 0), false), ERR_NO_SPACE);
    assert_int_equal(home_meta_write_now(f->home, 0, SLICE_LIT("x")), ERR_NO_SPACE);
    assert_false(home_fenced(f->home));
    fault_set(FAULT_NONE, 0, OK);
    meta_write_many(f, 0, 5);
    /* A snapshot without space, at every step that may find none. */
    static const enum fault_verb verbs[] = {FAULT_ALLOCATE, FAULT_WRITE_NOW, FAULT_SYNC};
    u64 next = 5;
    for (u32 v = 0; v < ARRAY_LEN(verbs); v++) {
        for (u32 after = 0; after < 2; after++) {
            fault_set(verbs[v], after, ERR_NO_SPACE);
            assert_int_equal(meta_write(f, next, SLICE_LIT("state"), true), ERR_NO_SPACE);
            assert_int_equal(fault.hits, 1);
            fault_set(FAULT_NONE, 0, OK);
            assert_false(home_fenced(f->home));
            char path[200];
            copy_name(f, next, 'a', path);
            assert_false(file_there(path));
            meta_write_many(f, next, next + 2);
            next += 2;
        }
    }
    assert_int_equal(meta_write(f, next, SLICE_LIT("state"), true), OK);
    meta_write_many(f, next, next + 2);
    fixture_close(f);
    reopen_expect(f, next + 2);
}

static void test_snapshot_failures_fence(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_SYNC_DIR, FAULT_WRITE_NOW, FAULT_SYNC};
    u64 next = 0;
    for (u32 v = 0; v < ARRAY_LEN(verbs); v++) {
        for (u32 after = 0; after < 2; after++) {
            fixture_open(f);
            assert_int_equal(f->meta_next, next);
            meta_write_many(f, next, next + 2);
            next += 2;
            fault_set(verbs[v], after, ERR_IO);
            assert_int_equal(meta_write(f, next, SLICE_LIT("state"), true), ERR_IO);
            assert_true(home_fenced(f->home));
            fault_set(FAULT_NONE, 0, OK);
            fixture_close(f);
        }
    }
    reopen_expect(f, next);
}

static void test_empty_log_beside_data(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_close(f);
    char path[200];
    file_path(f, "wal/0000000000000001-00000000", path);
    file_put(path, "", 0);
    expect_corrupt(f, "is empty, but wal/ has data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slots_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snapshots_replace_generations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_copy_damaged_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_copies_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_at_every_sector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repair_from_what_is_durable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_generation_stays_until_durable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupted_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_failures_fence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_space_does_not_fence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snapshot_failures_fence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_log_beside_data, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
