/* rewrite.c: packs that are dead, sparse or small are rewritten, at a pace (pace.c); what they say
   of producers outlives their records; and a large index has packs sorted, while appends wait. */
#include "book.h"

/* ---- producers whose records are gone -------------------------------------------------------- */

static struct append_result append_of(struct fixture *f, u32 partition, i64 producer, i32 number)
{
    const struct produced what = {
        .producer_id = producer, .base_sequence = number * 2, .records = 2, .value_bytes = 100};
    return append(f, log_partition(f->log, partition, 0), &what);
}

/* Batches [from, to) of a producer, durable one by one. */
static void write_of(struct fixture *f, u32 partition, i64 producer, i32 from, i32 to)
{
    for (i32 i = from; i < to; i++) {
        struct append_result r = append_of(f, partition, producer, i);
        assert_int_equal(r.kerr, KERR_NONE);
        assert_false(r.duplicate);
        settle(f);
    }
}

static void delete_all(struct fixture *f, u32 partition)
{
    struct partition *p = log_partition(f->log, partition, 0);
    book.log_start[partition] = high_watermark(p);
    partition_set_log_start(p, high_watermark(p));
}

static void file_and_delete_all(struct fixture *f, u32 partition)
{
    book_file_all(f);
    delete_all(f, partition);
    book_rest(f);
}

/* Its last five batches are, what is before them is not, what comes next is taken. base: the offset
   of its batch 0. */
static void expect_known(struct fixture *f, u32 partition, i64 producer, i32 next, u64 base)
{
    for (i32 i = MAX(next - 5, 0); i < next; i++) {
        struct append_result r = append_of(f, partition, producer, i);
        assert_int_equal(r.kerr, KERR_NONE);
        assert_true(r.duplicate);
        assert_int_equal(r.base_offset, base + (u64)i * 2);
    }
    assert_int_equal(append_of(f, partition, producer, next + 1).kerr,
                     KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    struct append_result r = append_of(f, partition, producer, next);
    assert_int_equal(r.kerr, KERR_NONE);
    assert_false(r.duplicate);
    settle(f);
}

static u32 packs_of_producers(const struct fixture *f)
{
    u32 count = 0;
    for (u32 i = 0; i < f->log->pack_count; i++) {
        const struct log_object *o = &f->log->objects[f->log->packs[i]];
        if (o->payload_bytes == 0) {
            assert_true(o->statements > 0);
            count++;
        }
    }
    return count;
}

static void producers_outlive_their_records(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, 77, 0, 12);
    file_and_delete_all(&f, 3);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(packs_of_producers(&f), 1);
    assert_in_range(book.packs[0].bytes, 1, 8192);
    book_restart(&f);
    book_rest(&f);
    assert_int_equal(book.pack_count, 1); /* looked at, and left */
    struct partition *p = log_partition(f.log, 3, 0);
    assert_int_equal(high_watermark(p), 24);
    expect_known(&f, 3, 77, 12, 0);
    /* What it writes now takes the place of what it wrote then. */
    write_of(&f, 3, 77, 13, 30);
    file_and_delete_all(&f, 3);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 5);
    book_restart(&f);
    expect_known(&f, 3, 77, 30, 0);
    fixture_stop(&f);
}

static void producers_outlive_records_that_died_in_the_wal(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, 77, 0, 3);
    delete_all(&f, 3);
    book_rest(&f);
    book_restart(&f); /* from the WAL */
    expect_known(&f, 3, 77, 3, 0);
    delete_all(&f, 3);
    book_file_all(&f);
    book_rest(&f);
    assert_int_equal(packs_of_producers(&f), book.pack_count);
    book_restart(&f);
    expect_known(&f, 3, 77, 4, 0);
    fixture_stop(&f);
}

static void a_producers_pack_goes_when_they_are_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, 77, 0, 3);
    file_and_delete_all(&f, 3);
    advance_ms(&f, 3600 * 1000);
    write_of(&f, 3, 78, 0, 1);
    file_and_delete_all(&f, 3);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 4);
    advance_ms(&f, 85000 * 1000); /* 77 is forgotten, 78 is not */
    book_rest(&f);
    assert_int_equal(book.pack_count, 1);
    advance_ms(&f, 3600 * 1000);
    book_rest(&f);
    assert_int_equal(book.pack_count, 0);
    book_restart(&f);
    struct append_result r = append_of(&f, 3, 77, 2);
    assert_int_equal(r.kerr, KERR_NONE);
    assert_false(r.duplicate);
    fixture_stop(&f);
}

static void a_producers_pack_goes_with_its_topic(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, 77, 0, 3);
    write_of(&f, 4, 78, 0, 3);
    book_file_all(&f);
    delete_all(&f, 3);
    delete_all(&f, 4);
    book_rest(&f);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 6);
    log_partition_remove(f.log, 3);
    book_rest(&f);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 3);
    log_partition_remove(f.log, 4);
    book_rest(&f);
    assert_int_equal(book.pack_count, 0);
    /* A topic with records: all at once, too. */
    write_of(&f, 5, 79, 0, 3);
    book_file_all(&f);
    log_partition_remove(f.log, 5);
    book_rest(&f);
    assert_int_equal(book.pack_count, 0);
    fixture_stop(&f);
}

/* Each round leaves a producer; in every third something is written that stays. */
static void producers_packs_do_not_gather(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    for (i64 round = 0; round < 24; round++) {
        write_of(&f, 3, 100 + round, 0, 2);
        file_and_delete_all(&f, 3);
        if (round % 3 == 2) {
            append_plain(&f, log_partition(f.log, 2, 0), 1000);
            settle(&f);
            book_file_all(&f);
        }
        assert_true(packs_of_producers(&f) <= (u32)round / 3 + 1);
        advance_ms(&f, 1100); /* small ones are merged, producers with them */
        book_rest(&f);
    }
    assert_true(book.pack_count < 8);
    assert_int_equal(book_read_all(&f, 2), 8);
    book_restart(&f);
    book_rest(&f);
    assert_int_equal(book_read_all(&f, 2), 8);
    for (i64 round = 0; round < 24; round++) {
        expect_known(&f, 3, 100 + round, 2, (u64)round * 4);
    }
    fixture_stop(&f);
}

/* Its later batches are not durable, and never become so. */
static void what_is_not_durable_supersedes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, 77, 0, 4);
    book_file_all(&f);
    delete_all(&f, 3);
    f.hold = true;
    for (i32 i = 4; i < 20; i++) {
        assert_int_equal(append_of(&f, 3, 77, i).kerr, KERR_NONE);
        turn(&f);
    }
    assert_true(f.held_count > 0);
    for (u32 i = 0; i < 100; i++) {
        turn(&f);
    }
    assert_int_equal(packs_of_producers(&f), 1);
    f.hold = false;
    /* The medium has what was held; the next session finds it: nothing is lost, and nothing was
       dropped that it would not have found without. */
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 4);
    while (f.held_count > 0) {
        fixture_complete(&f, 0, OK);
    }
    settle(&f);
    log_partition_remove(f.log, 4); /* no producers: nobody looks */
    assert_int_equal(packs_of_producers(&f), 1);
    write_of(&f, 5, 78, 0, 1);
    book_file_all(&f);
    log_partition_remove(f.log, 5); /* somebody does */
    book_rest(&f);
    assert_int_equal(packs_of_producers(&f), 0);
    book_restart(&f);
    expect_known(&f, 3, 77, 20, 0);
    fixture_stop(&f);
}

static void without_space_a_burial_waits(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, 77, 0, 4);
    book_file_all(&f);
    book.packs_refused = 2;
    delete_all(&f, 3);
    book_rest(&f);
    assert_int_equal(book.packs_refused, 1);
    assert_int_equal(packs_of_producers(&f), 0);
    assert_int_equal(book.pack_count, 1);
    advance_ms(&f, 1100);
    book_rest(&f);
    assert_int_equal(book.packs_refused, 0);
    advance_ms(&f, 1100);
    book_rest(&f);
    assert_int_equal(packs_of_producers(&f), 1);
    book_restart(&f);
    expect_known(&f, 3, 77, 4, 0);
    fixture_stop(&f);
}

/* ---- packs that are dead, sparse or small ------------------------------------------------------
 */

static void dead_packs_go(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    book_fill(&f, 48 * MIB, 60000, PARTITIONS);
    book_rest(&f);
    assert_true(book.pack_count > 0);
    for (u32 id = 0; id < PARTITIONS; id++) {
        log_partition_remove(f.log, id);
    }
    book_rest(&f);
    assert_int_equal(book.pack_count, 0);
    fixture_stop(&f);
}

/* Partitions 0 and 1 share packs; 2 has later ones alone. Removing 0 makes the first sparse, and
   while they are copied those of 2 die. */
static void dead_packs_go_while_others_are_copied(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    for (u32 i = 0; i < 500; i++) {
        append_plain(&f, log_partition(f.log, i % 4 == 0, 0), 60000);
        settle(&f);
    }
    advance_ms(&f, 61 * 1000);
    book_rest(&f);
    advance_ms(&f, 1100); /* small ones are merged */
    book_rest(&f);
    u32 shared = f.log->pack_count;
    for (u32 i = 0; i < 300; i++) {
        append_plain(&f, log_partition(f.log, 2, 0), 60000);
        settle(&f);
    }
    advance_ms(&f, 61 * 1000);
    book_rest(&f);
    assert_true(f.log->pack_count > shared);
    u64 end = book_read_all(&f, 1);
    u64 before = atomic_load(&f.home->pack_bytes);

    log_partition_remove(f.log, 0);
    while (f.log->rewrite == REWRITE_IDLE) {
        turn(&f);
    }
    book.hold_burials = true;
    log_partition_remove(f.log, 2);
    while (f.log->rewrite != REWRITE_COPIED) {
        assert_int_not_equal(f.log->rewrite, REWRITE_IDLE);
        turn(&f);
    }
    assert_true(book.repack_waits);
    /* No room for that in the metadata: they stay, and go another time. */
    book.repack_waits = false;
    log_repack_committed(f.log, ERR_NO_SPACE);
    book.hold_burials = false;
    book_rest(&f);
    advance_ms(&f, 1100);
    book_rest(&f);
    assert_int_equal(book_read_all(&f, 1), end);
    assert_true(atomic_load(&f.home->pack_bytes) < before / 4);
    book_restart(&f);
    assert_int_equal(book_read_all(&f, 1), end);
    fixture_stop(&f);
}

static void a_sparse_pack_is_rewritten(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    book_fill(&f, 48 * MIB, 60000, PARTITIONS);
    book_rest(&f);
    u64 bytes = 0;
    for (u32 i = 0; i < book.pack_count; i++) {
        bytes += book.packs[i].bytes;
    }
    u64 end = book_read_all(&f, 0);
    for (u32 id = 1; id < PARTITIONS; id++) {
        log_partition_remove(f.log, id);
    }
    book_rest(&f);
    u64 left = 0;
    for (u32 i = 0; i < book.pack_count; i++) {
        left += book.packs[i].bytes;
    }
    assert_true(left > 0);
    assert_true(left < bytes / 3);
    assert_int_equal(book_read_all(&f, 0), end);
    book_restart(&f);
    assert_int_equal(book_read_all(&f, 0), end);
    fixture_stop(&f);
}

static void note_drained(void *user, err_t result)
{
    (void)result;
    *(bool *)user = true;
}

/* Partition 0's records are spread over all packs, as many as they are. */
static void fill_for_a_copy(struct fixture *f)
{
    book_fill(f, 48 * MIB, 60000, PARTITIONS);
    book_rest(f);
    advance_ms(f, 1100);
    book_rest(f);
    for (u32 id = 0; id < 3; id++) {
        log_partition_remove(f->log, id);
    }
}

static void packs_are_copied_at_a_pace(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    fill_for_a_copy(&f);
    u32 pauses = 0;
    for (u32 i = 0; i < 1000; i++) {
        if (heap_linked(&f.log->rewrite_pace.pause.node)) {
            pauses++;
            fake_io_advance(f.io, 5000000);
        }
        turn(&f);
    }
    assert_true(pauses >= 5);
    book_rest(&f);
    assert_true(book.repacked > 0);
    assert_true(book_read_all(&f, 5) > 0);
    fixture_stop(&f);
}

static void a_copy_is_undone_when_the_log_ends(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    u64 ends[PARTITIONS];
    fill_for_a_copy(&f);
    for (u32 id = 3; id < PARTITIONS; id++) {
        ends[id] = high_watermark(log_partition(f.log, id, 0));
    }
    u64 stored = atomic_load(&f.home->pack_bytes);
    u32 repacked = book.repacked;
    for (u32 i = 0; i < 1000 && !heap_linked(&f.log->rewrite_pace.pause.node); i++) {
        turn(&f);
    }
    assert_true(heap_linked(&f.log->rewrite_pace.pause.node));
    bool drained = false;
    log_drain(f.log, note_drained, &drained);
    for (u32 i = 0; i < 100 && !drained; i++) {
        turn(&f);
    }
    assert_true(drained);
    assert_false(rewrite_is_working(f.log));
    assert_int_equal(book.repacked, repacked);
    assert_int_equal(atomic_load(&f.home->pack_bytes), stored);
    book_restart(&f);
    for (u32 id = 3; id < PARTITIONS; id++) {
        assert_int_equal(book_read_all(&f, id), ends[id]);
    }
    fixture_stop(&f);
}

static void small_packs_are_merged(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    for (u32 i = 0; i < 20; i++) {
        book_fill(&f, 256 * KIB, 10000, PARTITIONS);
        advance_ms(&f, 61 * 1000);
        book_rest(&f);
    }
    assert_int_equal(book.filed, 20);
    assert_int_equal(book.repacked, 2);
    assert_int_equal(book.pack_count, 20 - 2 * 7);
    for (u32 i = 0; i < book.pack_count; i++) { /* the first is not copied again for small ones */
        assert_true(book.packs[i].bytes < 9 * 256 * KIB);
    }
    u64 ends[PARTITIONS];
    for (u32 id = 0; id < PARTITIONS; id++) {
        ends[id] = book_read_all(&f, id);
    }
    book_restart(&f);
    for (u32 id = 0; id < PARTITIONS; id++) {
        assert_int_equal(book_read_all(&f, id), ends[id]);
    }
    fixture_stop(&f);
}

/* ---- the index ------------------------------------------------------------------------------- */

/* Neighbours of a partition that were in several packs: runs as long as they may be, and no run
   over the end of a leader epoch. */
static void runs_become_one(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    i32 epoch = 3;
    for (u32 pack = 0; pack < 8; pack++) {
        epoch += pack == 4;
        for (u32 i = 0; i < 8 * PARTITIONS; i++) {
            append_plain(&f, log_partition(f.log, i % PARTITIONS, epoch), 1000);
        }
        settle(&f);
        book_file_all(&f);
    }
    struct log_stats before;
    log_stats(f.log, &before);
    u64 runs = f.log->index_entries;
    assert_int_equal(runs, 8 * PARTITIONS);
    u64 bytes = log_partition(f.log, 1, epoch)->bytes;
    advance_ms(&f, 1100);
    book_rest(&f);
    assert_int_equal(book.repacked, 1);
    for (u32 life = 0; life < 2; life++) {
        for (u32 id = 0; id < PARTITIONS; id++) {
            const struct partition *p = log_partition(f.log, id, epoch);
            assert_int_equal(p->run_count, 2); /* 34 KiB of each epoch */
            assert_int_equal(p->runs[0].leader_epoch, 3);
            assert_int_equal(p->runs[1].leader_epoch, 4);
            assert_int_equal(p->runs[1].base_offset, 32);
            assert_int_equal(p->bytes, bytes);
            assert_int_equal(book_read_all(&f, id), 64);
        }
        if (life == 0) {
            struct log_stats after;
            log_stats(f.log, &after);
            assert_true(after.index_bytes < before.index_bytes);
            book_restart(&f);
        }
    }
    fixture_stop(&f);
}

enum { MANY = 4000, BATCH = 250, ROUNDS = 100 };

/* Eleven MiB of index are the most, and with three quarters of that appends wait; of small batches
   of many partitions it has 40 bytes for each of them. */
static void little_memory(struct fixture *f)
{
    f->params.hot_bytes = 16 * MIB;
    f->params.cold_bytes = 1 * MIB;
    f->params.stretch_bytes = 1 * MIB;
    f->params.wal_bytes_max = 4 * MIB;
    quota_init(&f->quota, "test", NULL, 20 * MIB);
}

/* Ends early when appends wait for the index. */
static void write_many(struct fixture *f, u32 *written, u32 until)
{
    while (*written < until && !index_is_behind(f->log)) {
        if (!log_room(f->log, BATCH + 1024)) {
            turn(f); /* a worker files */
            continue;
        }
        append_plain(f, log_partition(f->log, *written % MANY, 0), BATCH);
        ++*written;
        if (*written % 16 == 0) {
            turn(f);
        }
        assert_true(index_bytes(f->log) <= index_bytes_max(f->log));
    }
}

static bool waiter_was_granted;

static void waiter_granted(struct log_room_waiter *w)
{
    (void)w;
    waiter_was_granted = true;
}

/* Nothing of it at a calm moment. */
static void a_large_index_is_sorted_while_appends_wait(void **state)
{
    (void)state;
    struct fixture f;
    book_prepare(&f);
    little_memory(&f);
    fixture_start(&f);
    assert_int_equal(index_bytes_max(f.log), 11 * MIB);
    u32 written = 0;
    book.hold_repacks = true;
    write_many(&f, &written, ROUNDS * MANY);
    struct log_space space;
    log_space(f.log, &space);
    assert_true(space.index_is_behind);
    struct log_room_waiter waiter = {.granted = waiter_granted, .bytes = BATCH};
    waiter_was_granted = false;
    log_room_wait(f.log, &waiter);
    for (u32 i = 0; i < 10; i++) {
        assert_false(log_room(f.log, BATCH));
        assert_true(log_room_reserved(f.log, BATCH)); /* the broker's own go on */
        turn(&f);
    }
    assert_false(waiter_was_granted);
    assert_true(book.repack_waits);
    assert_in_range(index_leaves_cache(f.log), 8 * MIB, 12 * MIB); /* of 16 */
    assert_in_range(space.index_bytes, space.index_wait_bytes, space.index_bytes_max);
    assert_in_range(written, ROUNDS * MANY / 4, ROUNDS * MANY / 4 * 3);
    book.hold_repacks = false;
    book.repack_waits = false;
    book_repack(&f, &book.held_repack);
    for (u32 i = 0; i < 1000 && !waiter_was_granted; i++) {
        turn(&f);
    }
    assert_true(waiter_was_granted);
    while (written < ROUNDS * MANY) {
        write_many(&f, &written, ROUNDS * MANY);
        turn(&f);
    }
    assert_true(book.repacked > 1);
    assert_true(f.log->index_entries < written / 4 * 3);
    assert_false(f.log->index_full);
    settle(&f);
    for (u32 life = 0; life < 2; life++) {
        for (u32 id = 0; id < MANY; id += 37) {
            assert_int_equal(book_read_all(&f, id), ROUNDS);
        }
        if (life == 0) {
            book_restart(&f);
        }
    }
    fixture_stop(&f);
}

/* There is no room on the disk to sort any more: who waits for it waits no longer. */
static void who_waits_for_sorting_in_vain_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    book_prepare(&f);
    little_memory(&f);
    fixture_start(&f);
    u32 written = 0;
    book.hold_repacks = true;
    write_many(&f, &written, ROUNDS * MANY);
    assert_true(index_is_behind(f.log));
    struct log_room_waiter waiter = {.granted = waiter_granted, .bytes = BATCH};
    waiter_was_granted = false;
    log_room_wait(f.log, &waiter);
    turns(&f, 3);
    assert_false(waiter_was_granted);
    atomic_store(&f.home->free_bytes, 600 * MIB); /* enough for producers */
    book.hold_repacks = false;
    book.repack_waits = false;
    log_repack_committed(f.log, ERR_NO_SPACE);
    advance_ms(&f, 1100); /* it is tried again */
    for (u32 i = 0; i < 1000 && !waiter_was_granted; i++) {
        turn(&f);
    }
    assert_true(waiter_was_granted);
    assert_false(index_is_behind(f.log));
    assert_int_equal(f.log->rewrite, REWRITE_IDLE);
    assert_true(log_room(f.log, BATCH));
    append_plain(&f, log_partition(f.log, 0, 0), BATCH);
    settle(&f);
    fixture_stop(&f);
}

/* Nothing makes it smaller, as if everything were sorted already. */
static void a_full_index_refuses_and_says_so(void **state)
{
    (void)state;
    struct fixture f;
    book_prepare(&f);
    little_memory(&f);
    f.params.repack = NULL;
    fixture_start(&f);
    const struct produced what = {.producer_id = -1,
                                  .producer_epoch = -1,
                                  .base_sequence = -1,
                                  .records = 1,
                                  .value_bytes = BATCH};
    i16 kerr = KERR_NONE;
    u32 written = 0;
    struct log_space space;
    for (; kerr == KERR_NONE; written++) {
        assert_true(written < ROUNDS * MANY);
        log_space(f.log, &space);
        assert_false(space.index_is_full);
        assert_false(space.index_is_behind);
        while (!log_room(f.log, BATCH + 1024)) {
            turn(&f);
        }
        kerr = append(&f, log_partition(f.log, written % MANY, 0), &what).kerr;
        if (written % 16 == 15) {
            turn(&f);
        }
    }
    assert_int_equal(kerr, KERR_KAFKA_STORAGE_ERROR);
    assert_true(written > ROUNDS / 2 * MANY);
    settle(&f);
    log_space(f.log, &space);
    assert_true(space.index_is_full);
    assert_in_range(space.index_bytes, space.index_wait_bytes, space.index_bytes_max);
    /* The broker's own go on, so do readers, and so do all when something has been deleted. */
    struct partition *own = log_partition(f.log, MANY, 0);
    partition_reserve(own);
    for (u32 i = 0; i < 100; i++) {
        assert_true(log_room_reserved(f.log, BATCH));
        assert_true(partition_room(own, BATCH));
        append_plain(&f, own, BATCH);
        settle(&f);
    }
    assert_int_equal(book_read_all(&f, MANY), 100);
    assert_true(book_read_all(&f, MANY / 2) > 20);
    for (u32 id = 0; id < MANY / 4; id++) {
        log_partition_remove(f.log, id);
    }
    turns(&f, 2);
    log_space(f.log, &space);
    assert_false(space.index_is_full);
    append_plain(&f, log_partition(f.log, MANY / 2, 0), BATCH);
    settle(&f);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(producers_outlive_their_records),
        cmocka_unit_test(producers_outlive_records_that_died_in_the_wal),
        cmocka_unit_test(a_producers_pack_goes_when_they_are_forgotten),
        cmocka_unit_test(a_producers_pack_goes_with_its_topic),
        cmocka_unit_test(producers_packs_do_not_gather),
        cmocka_unit_test(what_is_not_durable_supersedes_nothing),
        cmocka_unit_test(without_space_a_burial_waits),
        cmocka_unit_test(dead_packs_go),
        cmocka_unit_test(dead_packs_go_while_others_are_copied),
        cmocka_unit_test(a_sparse_pack_is_rewritten),
        cmocka_unit_test(packs_are_copied_at_a_pace),
        cmocka_unit_test(a_copy_is_undone_when_the_log_ends),
        cmocka_unit_test(small_packs_are_merged),
        cmocka_unit_test(runs_become_one),
        cmocka_unit_test(a_large_index_is_sorted_while_appends_wait),
        cmocka_unit_test(who_waits_for_sorting_in_vain_goes_on),
        cmocka_unit_test(a_full_index_refuses_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
