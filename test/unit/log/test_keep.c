/* filing.c and filing_build.c, over files that may be kept (book.h): while producers are fast, or
   filing is behind, a file of the WAL becomes a pack as it is, and everything is read back from it,
   also by the next life; what is small or compacted is copied behind the frames, sorted; where that
   is too much, or the file system has no second names, or the file has too many batches, it is
   moved; what fails is tried again; what is damaged is quarantined and no more; and what was kept
   is sorted by rewriting. */
#include "book.h"

#include "log/filing.h"

enum { SLOTS = 8, LARGE = 60000, KEYS = 5 };

static void prepare(struct fixture *f, bool always)
{
    book_prepare(f);
    book.keep_slots = SLOTS;
    f->params.keep_always = always;
}

static void begin(struct fixture *f)
{
    prepare(f, true);
    fixture_start(f);
}

static u32 packs_in_place(struct fixture *f)
{
    u32 count = 0;
    for (u32 i = 0; i < book.pack_count; i++) {
        count += book_pack_in_place(f, book.packs[i]);
    }
    return count;
}

static void read_ends(struct fixture *f, u64 ends[PARTITIONS])
{
    for (u32 id = 0; id < PARTITIONS; id++) {
        ends[id] = book_read_all(f, id);
    }
}

/* Everything is there, in this life and in the next. */
static void expect_ends(struct fixture *f, const u64 ends[PARTITIONS])
{
    for (u32 life = 0; life < 2; life++) {
        for (u32 id = 0; id < PARTITIONS; id++) {
            assert_int_equal(book_read_all(f, id), ends[id]);
        }
        if (life == 0) {
            book_restart(f);
        }
    }
}

/* One slot of large batches, durable. */
static void slot_write(struct fixture *f, u32 batches)
{
    for (u32 i = 0; i < batches; i++) {
        append_plain(f, log_partition(f->log, i % PARTITIONS, 0), LARGE);
    }
    settle(f);
}

/* ---- the runs of a pack -----------------------------------------------------------------------
 */

struct runs {
    struct pack_run items[4096];
    u32 count;
    u32 producers;
};

static err_t runs_collect(void *user, const struct pack_run *runs, u32 count)
{
    struct runs *all = user;
    assert_true(all->count + count <= ARRAY_LEN(all->items));
    memcpy(&all->items[all->count], runs, count * sizeof(runs[0]));
    all->count += count;
    return OK;
}

static err_t producers_count(void *user, const struct pack_producer *producers, u32 count)
{
    (void)producers;
    ((struct runs *)user)->producers += count;
    return OK;
}

static struct runs *runs_of(struct fixture *f, struct home_pack pack)
{
    static struct runs all;
    all = (struct runs){0};
    const struct home_pack_visitor v = {
        .user = &all, .runs = runs_collect, .producers = producers_count};
    assert_int_equal(pack_load(f->home, pack, &v), OK);
    return &all;
}

/* ---- kept -------------------------------------------------------------------------------------
 */

static void what_is_kept_is_read(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    book_fill(&f, 96 * MIB, LARGE, PARTITIONS);
    book_rest(&f);
    assert_true(book.keeps >= 3);
    assert_int_equal(book.unkeeps, 0);
    assert_int_equal(packs_in_place(&f), book.keeps);
    assert_true(f.log->unfiled_bytes < f.log->filing_start_bytes);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    /* The WAL of the life before is not ours: what was not filed of it is moved. */
    u32 keeps = book.keeps;
    book_file_all(&f);
    assert_int_equal(book.keeps, keeps);
    assert_true(packs_in_place(&f) < book.pack_count);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

/* The rest of a file of which the first part was moved. */
static void the_rest_of_a_file_is_kept(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    for (u32 i = 0; i < 3; i++) {
        slot_write(&f, 14);
    }
    book_file_all(&f);
    assert_int_equal(book.keeps, 0);
    u64 trim = book.trim[f.wal];
    assert_true(trim % SLOTS > 0);
    while (f.log->next_slot < 3 * SLOTS) {
        slot_write(&f, 14);
    }
    book_file_all(&f);
    assert_true(book.keeps >= 1);
    assert_int_equal(packs_in_place(&f), book.keeps);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

static struct append_result append_keyed(struct fixture *f, struct partition *p, u32 number)
{
    struct batch_builder b;
    struct batch_builder_options options = batch_builder_plain();
    batch_builder_init(&b, &options);
    u8 key = (u8)('a' + number % KEYS);
    u8 value[20000] = {0}; /* so long that it would stay if it were a user's */
    store_be32(value, number);
    assert_int_equal(batch_builder_add(&b, f->timestamp, slice_of(&key, 1),
                                       slice_of(value, sizeof(value)), NULL, 0),
                     OK);
    f->timestamp++;
    struct slice bytes;
    struct batch_view view;
    assert_int_equal(batch_builder_finish(&b, &bytes), OK);
    assert_int_equal(batch_view_parse(bytes, &view), OK);
    struct append_result r;
    partition_append(p, &view, false, &r);
    assert_int_equal(r.kerr, KERR_NONE);
    batch_builder_fini(&b);
    return r;
}

/* Partitions 0 and 1 have large batches, 2 has small ones, 5 is the broker's own. */
static void small_and_compacted_ones_are_copied_behind(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    struct partition *own = log_partition(f.log, 5, 0);
    partition_compact(own);
    for (u32 slot = 0; slot <= SLOTS; slot++) {
        for (u32 i = 0; i < 10; i++) {
            append_plain(&f, log_partition(f.log, i % 2, 0), LARGE);
            for (u32 k = 0; k < 3; k++) {
                append_plain(&f, log_partition(f.log, 2, 0), 200);
            }
            append_keyed(&f, own, slot * 10 + i);
        }
        settle(&f);
    }
    read_ends(&f, ends);
    u64 own_bytes = own->bytes;
    advance_ms(&f, 61 * 1000);
    while (book.filed == 0) {
        advance_ms(&f, 5);
    }
    assert_int_equal(book.keeps, 1);
    assert_true(book_pack_in_place(&f, book.packs[0]));
    u32 end = book.keep_frames_end;
    const struct runs *runs = runs_of(&f, book.packs[0]);
    u32 copied = 0;
    u64 kept_bytes = 0;
    u32 at = end;
    for (u32 i = 0; i < runs->count; i++) {
        const struct pack_run *run = &runs->items[i];
        if (run->partition < 2) {
            assert_true(run->pos + run->bytes <= end);
            kept_bytes += run->bytes;
            continue;
        }
        assert_int_equal(run->pos, at); /* one behind the other, in the order of the index */
        at += run->bytes;
        copied++;
    }
    assert_true(kept_bytes > 20ull * LARGE);
    assert_in_range(copied, 2, 20);
    /* Of the broker's own only the last record of each key. */
    book_file_all(&f);
    assert_true(log_partition(f.log, 5, 0)->bytes < own_bytes / 2);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

static void producers_are_recognized(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    u64 offsets[20];
    for (i32 i = 0; i < 20; i++) {
        const struct produced what = {
            .producer_id = 77, .base_sequence = i * 2, .records = 2, .value_bytes = LARGE / 2};
        struct append_result r = append(&f, log_partition(f.log, 3, 0), &what);
        assert_int_equal(r.kerr, KERR_NONE);
        offsets[i] = r.base_offset;
        settle(&f);
    }
    book_file_all(&f);
    assert_int_equal(book.keeps, 2);
    assert_int_equal(runs_of(&f, book.packs[1])->producers, 5);
    book_restart(&f);
    for (i32 i = 15; i < 20; i++) {
        const struct produced what = {
            .producer_id = 77, .base_sequence = i * 2, .records = 2, .value_bytes = LARGE / 2};
        struct append_result r = append(&f, log_partition(f.log, 3, 0), &what);
        assert_int_equal(r.kerr, KERR_NONE);
        assert_true(r.duplicate);
        assert_int_equal(r.base_offset, offsets[i]);
    }
    const struct produced gap = {
        .producer_id = 77, .base_sequence = 44, .records = 2, .value_bytes = 100};
    assert_int_equal(append(&f, log_partition(f.log, 3, 0), &gap).kerr,
                     KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    fixture_stop(&f);
}

/* ---- when -------------------------------------------------------------------------------------
 */

/* 14 large batches a slot, so many milliseconds apart. */
static void write_at_a_rate(struct fixture *f, u64 bytes, u64 ms)
{
    for (u64 done = 0; done < bytes; done += 14ull * LARGE) {
        while (!log_room(f->log, 14 * (LARGE + 1024))) {
            advance_ms(f, 1);
        }
        slot_write(f, 14);
        advance_ms(f, ms);
    }
}

static void only_of_fast_producers(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    prepare(&f, false);
    f.params.hot_bytes = 64 * MIB; /* what is filed next is in memory */
    fixture_start(&f);
    write_at_a_rate(&f, 96 * MIB, 10); /* 80 MiB/s */
    assert_true(book.filed >= 3);
    assert_int_equal(book.keeps, 0);
    write_at_a_rate(&f, 128 * MIB, 1); /* 800 MiB/s */
    assert_true(book.keeps >= 3);
    assert_int_equal(book.unkeeps, 0);
    write_at_a_rate(&f, 64 * MIB, 10);
    u32 keeps = book.keeps;
    u32 filed = book.filed;
    write_at_a_rate(&f, 64 * MIB, 10);
    assert_int_equal(book.keeps, keeps);
    assert_true(book.filed > filed);
    book_rest(&f);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

/* What was begun to be moved is moved to its end, and no further: the next file is kept whole. */
static void the_rest_of_a_file_is_moved(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f, false);
    f.params.hot_bytes = 64 * MIB; /* what is filed next is in memory */
    fixture_start(&f);
    write_at_a_rate(&f, 48 * MIB, 10); /* 80 MiB/s: in stretches that end anywhere */
    assert_int_equal(book.keeps, 0);
    write_at_a_rate(&f, 128 * MIB, 1); /* 800 MiB/s */
    book_rest(&f);
    assert_true(book.keeps >= 5);
    for (u32 i = 0; i < book.pack_count; i++) {
        if (book_pack_in_place(&f, book.packs[i])) {
            assert_true(runs_of(&f, book.packs[i])->count >= SLOTS * 14 / 2);
        }
    }
    fixture_stop(&f);
}

/* The WAL fills up though producers are slow: the disk is slower. And it is not forgotten. */
static void when_filing_is_behind(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    prepare(&f, false);
    f.params.hot_bytes = 64 * MIB; /* what is filed next is in memory */
    f.params.wal_bytes_max = 128 * MIB;
    fixture_start(&f);
    book.hold = true;
    u64 above = f.log->keep_above;
    for (u32 i = 0; i < 90; i++) {
        slot_write(&f, 14);
        advance_ms(&f, 10);
    }
    assert_true(book.waiting);
    assert_true(filing_is_pressed(f.log));
    assert_int_equal(book.keeps, 0);
    book.hold = false;
    book_file(&f, &book.held);
    write_at_a_rate(&f, 8 * MIB, 10);
    assert_true(book.keeps >= 1);
    assert_true(f.log->keep_above < above);
    assert_true(f.log->keep_above > 20 * MIB);
    while (filing_is_pressed(f.log)) {
        advance_ms(&f, 5);
    }
    u32 keeps = book.keeps;
    write_at_a_rate(&f, 64 * MIB, 10); /* that fast it was too slow */
    assert_true(book.keeps > keeps);
    book_rest(&f);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

/* ---- when not ---------------------------------------------------------------------------------
 */

/* Most bytes are in short runs: copying those is moving with a detour. */
static void too_little_would_stay(void **state)
{
    (void)state;
    struct fixture f;
    prepare(&f, false);
    fixture_start(&f);
    f.log->keep_above = 0;
    for (u32 slot = 0; slot <= SLOTS; slot++) {
        for (u32 i = 0; i < 400; i++) {
            if (i % 40 == 0) {
                append_plain(&f, log_partition(f.log, 1, 0), LARGE);
            }
            append_plain(&f, log_partition(f.log, 10 + i % 100, 0), 2000);
        }
        settle(&f);
        advance_ms(&f, 60);
    }
    book_file_all(&f);
    assert_true(book.keeps >= 1);
    assert_int_equal(book.unkeeps, book.keeps);
    assert_int_equal(packs_in_place(&f), 0);
    assert_int_equal(f.log->unfiled_bytes, 0);
    for (u32 life = 0; life < 2; life++) {
        assert_int_equal(book_read_all(&f, 1), 10 * (SLOTS + 1));
        for (u32 id = 10; id < 110; id++) {
            assert_int_equal(book_read_all(&f, id), 4 * (SLOTS + 1));
        }
        book_restart(&f);
    }
    fixture_stop(&f);
}

static void without_second_names_all_is_moved(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    book.keep_error = ERR_UNSUPPORTED;
    book_fill(&f, 96 * MIB, LARGE, PARTITIONS);
    book_rest(&f);
    assert_int_equal(book.keeps, 1); /* and never again */
    assert_true(book.pack_count >= 1);
    assert_int_equal(packs_in_place(&f), 0);
    assert_int_equal(f.fenced_calls, 0);
    assert_true(f.log->unfiled_bytes < f.log->filing_start_bytes);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

static void fill_a_file(struct fixture *f)
{
    for (u32 slot = 0; slot <= SLOTS; slot++) {
        slot_write(f, 14);
    }
}

/* The metadata have no room for the command: the pack goes, and it is made once more. */
static void a_commit_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    book.no_space = true;
    fill_a_file(&f);
    u64 first = f.log->next_pack;
    advance_ms(&f, 61 * 1000);
    while (!f.log->filing_no_space) {
        advance_ms(&f, 5);
    }
    assert_int_equal(book.keeps, 1);
    assert_false(book_pack_there(&f, first));
    for (u32 i = 0; i < 200 && book.keeps < 3; i++) {
        advance_ms(&f, 5);
    }
    assert_int_equal(book.keeps, 3);
    assert_int_equal(book.pack_count, 0);
    book.no_space = false;
    for (u32 i = 0; i < 200 && book.filed == 0; i++) {
        advance_ms(&f, 5);
    }
    assert_int_equal(book.filed, 1);
    assert_true(book_pack_in_place(&f, book.packs[0]));
    assert_true(book.packs[0].id > first);
    book_file_all(&f);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

/* No space, and a name that is taken: tried again under another one. */
static void making_it_fails_for_a_while(void **state)
{
    (void)state;
    static const err_t errors[] = {ERR_NO_SPACE, ERR_EXISTS};
    for (u32 i = 0; i < ARRAY_LEN(errors); i++) {
        struct fixture f;
        u64 ends[PARTITIONS];
        begin(&f);
        book.keep_error = errors[i];
        fill_a_file(&f);
        u64 first = f.log->next_pack;
        advance_ms(&f, 61 * 1000);
        for (u32 k = 0; k < 200 && book.keeps < 2; k++) {
            advance_ms(&f, 5);
        }
        assert_int_equal(book.keeps, 2);
        assert_int_equal(book.filed, 0);
        assert_false(book_pack_there(&f, first));
        assert_int_equal(f.fenced_calls, 0);
        book.keep_error = OK;
        for (u32 k = 0; k < 200 && book.filed == 0; k++) {
            advance_ms(&f, 5);
        }
        assert_int_equal(packs_in_place(&f), 1);
        read_ends(&f, ends);
        expect_ends(&f, ends);
        fixture_stop(&f);
    }
}

/* Nobody knows what the medium has. */
static void a_failed_sync_fences(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    book.keep_error = ERR_IO;
    fill_a_file(&f);
    u64 first = f.log->next_pack;
    advance_ms(&f, 61 * 1000);
    for (u32 i = 0; i < 200 && f.log->failure == OK; i++) {
        advance_ms(&f, 5);
    }
    assert_int_equal(f.log->failure, ERR_IO);
    assert_true(home_fenced(f.home));
    assert_false(book_pack_there(&f, first));
    assert_int_equal(book.filed, 0);
    fixture_stop(&f);
}

/* All of a file at once is more than a small memory may hold. */
static void with_little_memory_it_is_moved(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    prepare(&f, true);
    f.params.hot_bytes = 4 * MIB;
    fixture_start(&f);
    fill_a_file(&f);
    fill_a_file(&f);
    book_file_all(&f);
    assert_true(book.filed >= 1);
    assert_false(book_pack_in_place(&f, book.packs[0]));
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

static void too_many_batches_are_moved(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    prepare(&f, true);
    f.params.keep_run_bytes = 1;    /* they would stay */
    f.params.hot_bytes = 128 * MIB; /* all of the file fits */
    book.keep_slots = 40;
    fixture_start(&f);
    for (u32 slot = 0; slot < book.keep_slots; slot++) {
        for (u32 i = 0; i < 6000; i++) {
            append_plain(&f, log_partition(f.log, i % PARTITIONS, 0), 1);
        }
        settle(&f);
    }
    assert_in_range(f.log->next_slot, book.keep_slots, 2 * book.keep_slots);
    book_file_all(&f);
    assert_true(book.keeps >= 1);
    assert_true(book.unkeeps >= 1);
    assert_false(book_pack_in_place(&f, book.packs[0]));
    assert_int_equal(f.log->unfiled_bytes, 0);
    read_ends(&f, ends);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

/* ---- damage -----------------------------------------------------------------------------------
 */

/* A bit of a batch flips in memory between its write and its filing. */
static void a_damaged_batch_is_quarantined(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i <= SLOTS; i++) {
        append_plain(&f, p, LARGE);
        settle(&f);
    }
    struct partition_read read = {.offset = 3, .limit_offset = UINT64_MAX, .bytes_max = 1};
    read.one_batch = true;
    assert_int_equal(partition_read(p, &read), OK);
    u8 *hot = (u8 *)(uintptr_t)log_peek(f.log, &read.ranges[0]);
    assert_non_null(hot);
    hot[30000] ^= 4;
    book_file_all(&f);
    assert_int_equal(book.keeps, 1);
    for (u32 life = 0; life < 2; life++) {
        const struct runs *runs = runs_of(&f, book.packs[0]);
        u32 bad = 0;
        for (u32 i = 0; i < runs->count; i++) {
            if ((runs->items[i].flags & PACK_RUN_QUARANTINED) != 0) {
                assert_int_equal(runs->items[i].base_offset, 3);
                assert_int_equal(runs->items[i].next_offset, 4);
                bad++;
            }
        }
        assert_int_equal(bad, 1);
        p = log_partition(f.log, 1, 0);
        for (u64 offset = 0; offset < high_watermark(p); offset++) {
            read = (struct partition_read){.offset = offset,
                                           .limit_offset = offset + 1,
                                           .bytes_max = 1,
                                           .one_batch = true,
                                           .whole_runs = true};
            err_t e = partition_read(p, &read);
            assert_int_equal(e, offset == 3 ? ERR_CORRUPT : OK);
            if (e == OK) {
                u8 *bytes = mem_alloc(read.bytes);
                range_bytes(&f, &read.ranges[0], bytes);
                struct slice left = slice_of(bytes, read.bytes);
                struct batch_view view;
                assert_int_equal(batch_view_next(&left, &view), OK);
                assert_true(batch_crc_ok(&view));
                assert_int_equal(view.base_offset, offset);
                mem_free(bytes);
            }
        }
        book_restart(&f);
    }
    fixture_stop(&f);
}

/* ---- sorted later -----------------------------------------------------------------------------
 */

/* Neighbours become one when it is calm. */
static void calm_merges_what_was_kept(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    while (f.log->next_slot <= 10 * SLOTS) {
        slot_write(&f, 7);
    }
    for (u32 i = 0; i < 100000 && book.filed < 9; i++) {
        book_file_all(&f);
    }
    read_ends(&f, ends);
    u32 kept = packs_in_place(&f);
    assert_true(kept >= 8);
    u32 repacked = book.repacked;
    advance_ms(&f, 2000);
    book_rest(&f);
    assert_true(book.repacked > repacked);
    assert_in_range(packs_in_place(&f), 0, kept - 8);
    assert_false(book_pack_in_place(&f, book.packs[0]));
    /* Sorted: a partition's runs lie one behind the other. */
    const struct runs *runs = runs_of(&f, book.packs[0]);
    for (u32 i = 1; i < runs->count; i++) {
        assert_int_equal(runs->items[i].pos, runs->items[i - 1].pos + runs->items[i - 1].bytes);
    }
    expect_ends(&f, ends);
    fixture_stop(&f);
}

/* Of what was written side by side most is deleted. */
static void a_sparse_one_is_copied(void **state)
{
    (void)state;
    struct fixture f;
    u64 ends[PARTITIONS];
    begin(&f);
    fill_a_file(&f);
    book_file_all(&f);
    read_ends(&f, ends);
    assert_int_equal(packs_in_place(&f), 1);
    u64 bytes = book.packs[0].bytes;
    for (u32 id = 0; id < 4; id++) {
        book.log_start[id] = ends[id];
        partition_set_log_start(log_partition(f.log, id, 0), ends[id]);
    }
    advance_ms(&f, 2000);
    book_rest(&f);
    assert_int_equal(packs_in_place(&f), 0);
    assert_true(book.packs[0].bytes < bytes / 2);
    expect_ends(&f, ends);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_read),
        cmocka_unit_test(the_rest_of_a_file_is_kept),
        cmocka_unit_test(small_and_compacted_ones_are_copied_behind),
        cmocka_unit_test(producers_are_recognized),
        cmocka_unit_test(only_of_fast_producers),
        cmocka_unit_test(the_rest_of_a_file_is_moved),
        cmocka_unit_test(when_filing_is_behind),
        cmocka_unit_test(too_little_would_stay),
        cmocka_unit_test(without_second_names_all_is_moved),
        cmocka_unit_test(a_commit_is_refused),
        cmocka_unit_test(making_it_fails_for_a_while),
        cmocka_unit_test(a_failed_sync_fences),
        cmocka_unit_test(with_little_memory_it_is_moved),
        cmocka_unit_test(too_many_batches_are_moved),
        cmocka_unit_test(a_damaged_batch_is_quarantined),
        cmocka_unit_test(calm_merges_what_was_kept),
        cmocka_unit_test(a_sparse_one_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
