/* Proves the WAL of the home on disk while it runs: what is written can be read back, from this
   session's WAL and from earlier ones; frames never span extents and extents follow each other
   without a gap; nothing is written before the first slot; completions never come inside the call;
   a failed write fences, missing space for an extent does not; few files are open however many
   extents there are. */
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

static void begin(struct fixture *f, u64 wal)
{
    fixture_open(f);
    if (f->meta_next == 0) {
        meta_write_many(f, 0, 1);
    }
    wal_begin(f, wal);
}

static void test_nothing_before_the_first_slot(void **state)
{
    struct fixture *f = *state;
    begin(f, 3);
    fixture_turns(f, 50);
    char path[200];
    extent_name(f, 0, path);
    assert_false(file_there(path));
    wal_write_many(f, 1, 3, 500);
    assert_true(file_there(path));
    fixture_close(f);
    extent_name(f, 1, path);
    assert_true(file_there(path)); /* one is made ahead */
    extent_name(f, 2, path);
    assert_false(file_there(path));
}

static void read_back(struct fixture *f, struct blob_pool *pool, u32 reads)
{
    for (u32 i = 0; i < reads; i++) {
        u64 slot = rng_below(&f->rng, f->next_slot);
        struct made_frame *frame = &f->frames[slot];
        struct read_wait wait = {.read = {.wal = f->wal, .slot = slot}};
        wait.read.pos = (u32)rng_below(&f->rng, frame->bytes);
        wait.read.bytes = 1 + (u32)rng_below(&f->rng, frame->bytes - wait.read.pos);
        wait.read.blob = blob_get(pool, home_read_room(f->home, wait.read.bytes));
        assert_int_equal(wal_read(f, &wait), OK);
        assert_memory_equal(wait.read.blob->data + wait.read.blob_offset,
                            frame->data + wait.read.pos, wait.read.bytes);
        blob_unref(wait.read.blob);
    }
}

static void test_read_back(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    begin(f, 1);
    wal_write_many(f, 120, 6, 6000);
    read_back(f, &pool, 300);
    struct read_wait wait = {.read = {.wal = 1, .slot = f->next_slot, .bytes = 1}};
    wait.read.blob = blob_get(&pool, home_read_room(f->home, 1));
    assert_int_equal(wal_read(f, &wait), ERR_NOT_FOUND);
    wait.read.wal = 2;
    assert_int_equal(wal_read(f, &wait), ERR_NOT_FOUND);
    blob_unref(wait.read.blob);
    fixture_close(f);
    /* The next session reads its predecessor's WAL after a scan, beside its own. */
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 120);
    assert_int_equal(home_wal_start(f->home, 2, 77), OK);
    read_back(f, &pool, 200);
    fixture_close(f);
    blob_pool_fini(&pool);
}

/* Frames in the files are exactly those written, one behind the other, none over an edge. */
static void test_layout(void **state)
{
    struct fixture *f = *state;
    begin(f, 9);
    wal_write_many(f, 100, 6, 6000);
    fixture_close(f);
    u32 number = 0;
    u64 at = 0;
    char path[200];
    u8 *extent;
    extent_name(f, number, path);
    assert_int_equal(file_get(path, &extent), EXTENT_BYTES);
    for (u64 slot = 0; slot < f->next_slot; slot++) {
        struct made_frame *frame = &f->frames[slot];
        if (at + frame->bytes > EXTENT_BYTES) {
            for (; at < EXTENT_BYTES; at++) {
                assert_int_equal(extent[at], 0);
            }
            mem_free(extent);
            number++;
            at = 0;
            extent_name(f, number, path);
            assert_int_equal(file_get(path, &extent), EXTENT_BYTES);
        }
        assert_memory_equal(extent + at, frame->data, frame->bytes);
        at += frame->bytes;
    }
    mem_free(extent);
    assert_true(number > 5);
}

static void test_a_frame_of_a_whole_extent(void **state)
{
    struct fixture *f = *state;
    begin(f, 2);
    for (u32 i = 0; i < 4; i++) {
        wal_make_frame(f, 1, 2000);
        wal_submit(f, f->next_slot - 1);
        /* Exactly as large as an extent: padding does it. */
        wal_make_frame(f, 1, 1000);
        struct made_frame *small = &f->frames[f->next_slot - 1];
        struct made_frame big = *small;
        big.memory = mem_alloc(EXTENT_BYTES + BLOB_ALIGN);
        big.data = (u8 *)big.memory + (BLOB_ALIGN - (uintptr_t)big.memory % BLOB_ALIGN);
        memcpy(big.data, small->data, small->header.index_pos);
        frame_seal(big.data, &big.header, big.entries, EXTENT_BYTES);
        big.bytes = big.header.total_bytes;
        assert_int_equal(big.bytes, EXTENT_BYTES);
        mem_free(small->memory);
        *small = big;
        f->chain = frame_header_hash(big.data);
        wal_submit(f, f->next_slot - 1);
        wal_wait(f, 0);
    }
    assert_int_equal(f->failures, 0);
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 8);
    fixture_close(f);
}

/* Slot s + 4 on the disk must mean that slot s was durable, whatever order the disk answers in. */
static void test_a_slot_waits_for_the_fourth_before_it(void **state)
{
    struct fixture *f = *state;
    begin(f, 4);
    wal_write_many(f, 6, 1, 1000);
    fault_set(FAULT_HOLD, 0, OK);
    for (u32 i = 0; i < 4; i++) {
        wal_make_frame(f, 1, 1000);
        wal_submit(f, 6 + i);
    }
    wal_wait(f, 1);
    assert_false(f->written[6]);
    assert_true(f->written[7] && f->written[8] && f->written[9]);
    for (u32 i = 0; i < 3; i++) { /* only one is in flight: there would be room by number */
        wal_make_frame(f, 1, 1000);
        wal_submit(f, 10 + i);
    }
    for (u32 i = 0; i < 50; i++) {
        fixture_turns(f, 1);
        usleep(200);
    }
    assert_false(f->written[10]);
    fault_release(f->io);
    wal_wait(f, 0);
    assert_int_equal(f->failures, 0);
    assert_int_equal(f->durable, 13);
    fixture_close(f);
}

static void test_failed_write_fences(void **state)
{
    struct fixture *f = *state;
    begin(f, 4);
    wal_write_many(f, 10, 3, 1000);
    fault_set(FAULT_WRITE, 1, ERR_IO);
    for (u32 i = 0; i < 3; i++) {
        wal_make_frame(f, 1, 1000);
        wal_submit(f, f->next_slot - 1);
    }
    wal_wait(f, 0);
    assert_true(f->failures >= 1);
    assert_int_equal(f->last_result, ERR_IO);
    assert_true(home_fenced(f->home));
    assert_non_null(strstr(home_reason(f->home), "Writing slot 11"));
    fault_set(FAULT_NONE, 0, OK);
    wal_make_frame(f, 1, 1000);
    wal_submit(f, f->next_slot - 1);
    wal_wait(f, 0);
    assert_int_equal(f->last_result, ERR_IO);
    assert_false(f->written[11]);
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 11); /* slot 12 may be on the disk: it is dropped with the torn one */
    fixture_close(f);
}

static void test_no_space_for_an_extent(void **state)
{
    struct fixture *f = *state;
    begin(f, 5);
    fault_set(FAULT_ALLOCATE, 0, ERR_NO_SPACE);
    wal_make_frame(f, 2, 1000);
    wal_make_frame(f, 2, 1000);
    for (u32 attempt = 0; attempt < 3; attempt++) {
        wal_submit(f, 0);
        wal_submit(f, 1);
        wal_wait(f, 0);
        assert_int_equal(f->last_result, ERR_NO_SPACE);
        assert_int_equal(f->failures, 2 * (attempt + 1));
        assert_false(home_fenced(f->home));
    }
    char path[200];
    extent_name(f, 0, path);
    assert_false(file_there(path));
    fault_set(FAULT_NONE, 0, OK);
    f->failures = 0;
    wal_submit(f, 0);
    wal_submit(f, 1);
    wal_wait(f, 0);
    assert_int_equal(f->failures, 0);
    /* In the middle of the WAL: what fits goes on, the rest comes back and is tried again. */
    u64 retried = 0;
    for (u32 i = 0; i < 120; i++) {
        fault_set(FAULT_ALLOCATE, 0, ERR_NO_SPACE);
        wal_make_frame(f, 3, 5000);
        u64 slot = f->next_slot - 1;
        wal_submit(f, slot);
        wal_wait(f, 0);
        if (f->last_result == ERR_NO_SPACE) {
            retried++;
            fault_set(FAULT_NONE, 0, OK);
            wal_submit(f, slot);
            wal_wait(f, 0);
        }
        assert_int_equal(f->last_result, OK);
    }
    assert_true(retried > 0);
    fault_set(FAULT_NONE, 0, OK);
    u64 count = f->next_slot;
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, count);
    fixture_close(f);
}

static void test_failing_extent_fences(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_SYNC_DIR, FAULT_SYNC, FAULT_ALLOCATE};
    for (u32 v = 0; v < ARRAY_LEN(verbs); v++) {
        begin(f, 10 + v);
        fault_set(verbs[v], 0, ERR_IO);
        wal_make_frame(f, 1, 500);
        wal_submit(f, 0);
        wal_wait(f, 0);
        assert_int_equal(f->last_result, ERR_IO);
        assert_true(home_fenced(f->home));
        fault_set(FAULT_NONE, 0, OK);
        fixture_close(f);
    }
}

static u32 open_files(void)
{
    u32 count = 0;
    for (int fd = 3; fd < 4096; fd++) {
        count += fcntl(fd, F_GETFD) != -1;
    }
    return count;
}

static void test_few_files_are_open(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    begin(f, 6);
    u32 before = open_files();
    for (u32 i = 0; i < 400; i++) {
        /* 33 KiB and more: one frame fills an extent */
        wal_make_frame(f, 1, 62);
        struct made_frame *small = &f->frames[f->next_slot - 1];
        small->memory = mem_resize(small->memory, 48 * KIB + 2 * BLOB_ALIGN);
        u8 *data = (u8 *)small->memory + (BLOB_ALIGN - (uintptr_t)small->memory % BLOB_ALIGN);
        u8 payload[4096];
        /* the payload moves with the memory: build it again where it is now */
        rng_fill(&f->rng, payload, sizeof(payload));
        small->data = data;
        batch_make(&f->rng, data + FRAME_HEADER_BYTES, &small->entries[0]);
        frame_seal(data, &small->header, small->entries, 40 * KIB);
        small->bytes = small->header.total_bytes;
        f->chain = frame_header_hash(data);
        wal_submit(f, f->next_slot - 1);
        wal_wait(f, 0);
    }
    assert_int_equal(f->failures, 0);
    assert_true(open_files() - before <= 256 + 4);
    read_back(f, &pool, 600);
    assert_true(open_files() - before <= 256 + 4);
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, 400);
    assert_true(open_files() - before <= 256 + 4);
    read_back(f, &pool, 600);
    fixture_close(f);
    blob_pool_fini(&pool);
}

static void test_remove_a_retired_wal(void **state)
{
    struct fixture *f = *state;
    begin(f, 7);
    wal_write_many(f, 60, 4, 5000);
    fixture_close(f);
    fixture_open(f);
    home_wal_remove(f->home, 7);
    home_wal_remove(f->home, 8); /* never had files */
    char path[200];
    for (u32 number = 0; number < 20; number++) {
        extent_name(f, number, path);
        assert_false(file_there(path));
    }
    fixture_close(f);
}

static void test_metadata_older_than_the_data(void **state)
{
    struct fixture *f = *state;
    begin(f, 7);
    wal_write_many(f, 3, 4, 500);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(home_wal_start(f->home, 7, 1), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "older than the data"));
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_before_the_first_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_frame_of_a_whole_extent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slot_waits_for_the_fourth_before_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_failed_write_fences, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_space_for_an_extent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_extent_fences, setup, teardown),
        cmocka_unit_test_setup_teardown(test_few_files_are_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_a_retired_wal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metadata_older_than_the_data, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
