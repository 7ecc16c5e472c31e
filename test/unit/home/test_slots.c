/* Proves what a worker that files gets to see, of both homes: every frame of a stretch as it was
   written, whatever its size and wherever extents begin; nothing of it goes while it is held; and
   frames that are not what they should be are refused. */
#include "disk_fixture.h"

static struct fixture fixture;

enum { BUFFER_BYTES = 4 * MIB };
static u8 buffer[BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));

static int setup_disk(void **state)
{
    return fixture_setup(&fixture, state);
}

static int setup_mem(void **state)
{
    fixture_init_mem(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fault_set(FAULT_NONE, 0, OK);
    if (f->home != NULL) {
        fixture_close(f);
    }
    fixture_fini(f);
    return 0;
}

static struct home_slots *find(struct fixture *f, u64 from, u64 to)
{
    struct home_slots *s;
    assert_int_equal(home_slots_find(f->home, f->wal, f->nonce, from, to, &s), OK);
    return s;
}

static void expect_slot(struct fixture *f, struct home_slots *s, u64 slot)
{
    u32 bytes = 0;
    assert_int_equal(home_slots_read(s, slot, buffer, sizeof(buffer), &bytes), OK);
    assert_int_equal(bytes, f->frames[slot].bytes);
    assert_memory_equal(buffer, f->frames[slot].data, bytes);
}

static void test_every_slot(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 200, 6, 4000);
    for (u32 round = 0; round < 20; round++) {
        u64 from = rng_below(&f->rng, 200);
        u64 to = rng_between(&f->rng, from + 1, 200);
        struct home_slots *s = find(f, from, to);
        for (u64 slot = from; slot < to; slot += 1 + rng_below(&f->rng, 3)) {
            expect_slot(f, s, slot);
        }
        expect_slot(f, s, from); /* slower, but allowed */
        home_slots_free(s);
    }
}

/* Frames larger than what is read ahead, and small ones that such a piece ends in. */
static void test_large_frames(void **state)
{
    struct fixture *f = *state;
    home_destroy(f->home);
    snprintf(f->dir, sizeof(f->dir), "%.40s/large", f->base);
    struct home_disk_params params = {
        .directory = f->dir, .extent_bytes = 8 * MIB, .quota = &f->quota};
    f->home = home_disk_create(f->io, &params);
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    assert_int_equal(fixture_replay(f), OK);
    meta_write_many(f, 0, 1);
    wal_begin(f, 1);
    for (u32 i = 0; i < 40; i++) {
        u32 bytes_max = rng_chance(&f->rng, 1, 3) ? 1300 * 1024 : 100 * 1024;
        wal_write_many(f, 1, 2, bytes_max);
    }
    struct home_slots *s = find(f, 0, 40);
    for (u64 slot = 0; slot < 40; slot++) {
        expect_slot(f, s, slot);
    }
    home_slots_free(s);
}

static void test_room(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 10, 6, 4000);
    struct home_slots *s = find(f, 0, 10);
    for (u64 slot = 0; slot < 10; slot++) {
        u32 bytes = 0;
        u32 needed = f->frames[slot].bytes;
        memset(buffer, 7, needed);
        assert_int_equal(home_slots_read(s, slot, buffer, needed - 4096, &bytes), ERR_NO_MEMORY);
        assert_int_equal(bytes, needed);
        assert_int_equal(buffer[0], 7);
        assert_int_equal(home_slots_read(s, slot, buffer, needed, &bytes), OK);
    }
    home_slots_free(s);
    home_slots_free(NULL);
}

static void test_not_there(void **state)
{
    struct fixture *f = *state;
    struct home_slots *s;
    wal_begin(f, 3);
    wal_write_many(f, 20, 6, 4000);
    assert_int_equal(home_slots_find(f->home, 4, f->nonce, 0, 1, &s), ERR_NOT_FOUND);
    assert_int_equal(home_slots_find(f->home, 3, f->nonce, 10, 21, &s), ERR_NOT_FOUND);
    home_wal_trim(f->home, 3, 10);
    assert_int_equal(home_slots_find(f->home, 3, f->nonce, 9, 20, &s), ERR_NOT_FOUND);
    s = find(f, 10, 20);
    expect_slot(f, s, 10);
    home_slots_free(s);
    /* Another session's nonce: not these slots. */
    assert_int_equal(home_slots_find(f->home, 3, f->nonce + 1, 10, 20, &s), OK);
    u32 bytes;
    assert_int_equal(home_slots_read(s, 12, buffer, sizeof(buffer), &bytes), ERR_CORRUPT);
    home_slots_free(s);
}

/* Trimmed, and the WAL goes on: what is held is still there. */
static void test_held_while_trimmed(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 60, 6, 4000);
    struct home_slots *s = find(f, 5, 50);
    expect_slot(f, s, 5);
    home_wal_trim(f->home, 3, 60);
    while (f->next_slot < 150) {
        wal_write_many(f, 10, 6, 4000);
        home_wal_trim(f->home, 3, f->next_slot);
    }
    for (u64 slot = 5; slot < 50; slot++) {
        expect_slot(f, s, slot);
    }
    home_slots_free(s);
    wal_write_many(f, 50, 6, 4000);
    assert_int_equal(f->failures, 0);
}

static void test_an_earlier_wal(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 60, 6, 4000);
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(home_wal_start(f->home, 4, 1), OK);
    struct home_slots *s = find(f, 0, 60);
    home_wal_trim(f->home, 3, UINT64_MAX);
    struct home_slots *none;
    assert_int_equal(home_slots_find(f->home, 3, f->nonce, 0, 60, &none), ERR_NOT_FOUND);
    fixture_turns(f, 10);
    for (u64 slot = 0; slot < 60; slot++) {
        expect_slot(f, s, slot);
    }
    home_slots_free(s);
    char path[200];
    for (u32 number = 0; number < 9; number++) {
        extent_name(f, number, path);
        while (file_there(path)) {
            io_turn(f->io, true);
        }
    }
}

/* ---- by a worker ------------------------------------------------------------------------------
 */

struct worker {
    struct io_op op;
    struct home_slots *slots;
    u64 from;
    u64 to;
    err_t result;
    bool done;
};

static void worker_run(void *arg)
{
    struct worker *w = arg;
    for (u64 slot = w->from; slot < w->to && w->result == OK; slot++) {
        u32 bytes;
        w->result = home_slots_read(w->slots, slot, buffer, sizeof(buffer), &bytes);
    }
}

static void worker_done(struct io_op *op, i64 result)
{
    (void)result;
    CONTAINER_OF(op, struct worker, op)->done = true;
}

static void test_while_the_wal_goes_on(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 100, 6, 4000);
    struct worker w = {.op = {.done = worker_done}, .slots = find(f, 0, 100), .to = 100};
    io_work(f->io, &w.op, worker_run, &w);
    home_wal_trim(f->home, 3, 100);
    while (!w.done || f->next_slot < 200) {
        wal_write_many(f, f->next_slot < 400 ? 5 : 0, 6, 4000);
        home_wal_trim(f->home, 3, f->next_slot);
    }
    assert_int_equal(w.result, OK);
    home_slots_free(w.slots);
    assert_int_equal(f->failures, 0);
}

/* ---- damage and failures, on disk --------------------------------------------------------------
 */

static void test_damaged_frames(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 3, 6, 1500);
    do {
        wal_make_frame(f, 6, 1500);
    } while (f->frames[f->next_slot - 1].header.index_count == 0);
    for (u64 slot = 3; slot < f->next_slot; slot++) {
        wal_submit(f, slot);
    }
    wal_wait(f, 0);
    char path[200];
    extent_name(f, 0, path);
    u64 last = f->next_slot - 1;
    u64 at = 0;
    for (u64 slot = 0; slot < last; slot++) {
        at += f->frames[slot].bytes;
    }
    u32 bytes;
    for (u32 i = 0; i < 40; i++) {
        u64 byte = i < 20 ? rng_below(&f->rng, FRAME_HEADER_BYTES)
                          : f->frames[last].header.index_pos +
                                rng_below(&f->rng, f->frames[last].header.index_count * 64);
        file_flip(path, at + byte);
        struct home_slots *s = find(f, 0, last + 1);
        assert_int_equal(home_slots_read(s, last, buffer, sizeof(buffer), &bytes), ERR_CORRUPT);
        home_slots_free(s);
        file_flip(path, at + byte);
    }
    /* Another slot's frame in its place. */
    file_poke(path, at, f->frames[0].data, f->frames[0].bytes);
    struct home_slots *s = find(f, 0, last + 1);
    assert_int_equal(home_slots_read(s, last, buffer, sizeof(buffer), &bytes), ERR_CORRUPT);
    home_slots_free(s);
    file_poke(path, at, f->frames[last].data, f->frames[last].bytes);
    /* The file ends in the frame, or before it. */
    for (u32 i = 0; i < 2; i++) {
        s = find(f, 0, last + 1);
        assert_int_equal(truncate(path, (off_t)(at + (i == 0 ? 4096 : 0))), 0);
        bool whole = i == 0 && f->frames[last].bytes == 4096;
        assert_int_equal(home_slots_read(s, last, buffer, sizeof(buffer), &bytes),
                         whole ? OK : ERR_CORRUPT);
        home_slots_free(s);
    }
}

static void test_failures(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    wal_write_many(f, 60, 6, 4000);
    u32 bytes;
    struct home_slots *s = find(f, 0, 60);
    static const enum fault_verb verbs[] = {FAULT_OPEN, FAULT_READ_NOW};
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        for (u32 k = 0; k < 3; k++) { /* in different extents */
            u64 slot = (k + i) % 2 == 0 ? 0 : 59;
            fault_set(verbs[i], 0, ERR_IO);
            assert_int_equal(home_slots_read(s, slot, buffer, sizeof(buffer), &bytes), ERR_IO);
            fault_set(FAULT_NONE, 0, OK);
            expect_slot(f, s, slot);
        }
    }
    home_slots_free(s);
    assert_true(quota_charge(&f->quota, quota_left(&f->quota) - 4096));
    assert_int_equal(home_slots_find(f->home, 3, f->nonce, 0, 60, &s), ERR_NO_MEMORY);
    quota_release(&f->quota, f->quota.used);
}

int main(void)
{
#define BOTH(test)                                                 \
    cmocka_unit_test_setup_teardown((test), setup_disk, teardown), \
        cmocka_unit_test_setup_teardown((test), setup_mem, teardown)
#define DISK(test) cmocka_unit_test_setup_teardown((test), setup_disk, teardown)
    const struct CMUnitTest tests[] = {
        BOTH(test_every_slot),
        BOTH(test_room),
        BOTH(test_not_there),
        BOTH(test_held_while_trimmed),
        BOTH(test_while_the_wal_goes_on),
        DISK(test_large_frames),
        DISK(test_an_earlier_wal),
        DISK(test_damaged_frames),
        DISK(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
