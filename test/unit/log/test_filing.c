/* filing.c and rewrite.c: stretches of the WAL become packs and are read from there, also by
   readers that asked before; a restart finds everything in packs and the rest of the WAL; producers
   are still recognized, also when all they wrote is deleted; packs that are dead, sparse or small
   are rewritten, at a pace; the broker's own partitions are compacted by key; without space nothing
   is lost and appends wait; and before the space ends users are refused, the broker itself is not.
   The metadata's part is played by struct book.
 */
#include "fake_io.h"
#include "fixture.h"

#include "home/home_private.h"
#include "log/compact.h"

enum { PARTITIONS = 7, PACKS_MAX = 256, WALS_MAX = 16 };

/* What the metadata would know. */
struct book {
    struct fixture *f;
    struct home_pack packs[PACKS_MAX];
    u32 pack_count;
    u64 trim[WALS_MAX];
    u32 filed;
    u32 repacked;
    bool hold; /* commits are not answered */
    bool no_space;
    bool waiting;
    struct log_filed held;
    bool hold_burials; /* commits of dead packs are not answered */
    bool repack_waits;
    struct log_repacked held_repack;
    u64 log_start[PARTITIONS];
    u32 packs_refused; /* no space for so many of the next ones */
    struct home_ops ops;
    const struct home_ops *usual_ops;
};
static struct book book;

static void book_file(void *user, const struct log_filed *filed)
{
    struct fixture *f = user;
    if (book.hold) {
        book.waiting = true;
        book.held = *filed;
        return;
    }
    if (book.no_space) {
        log_file_committed(f->log, ERR_NO_SPACE);
        return;
    }
    assert_int_equal(filed->from, book.trim[filed->wal]);
    assert_true(filed->to > filed->from);
    book.trim[filed->wal] = filed->to;
    if (filed->pack.bytes > 0) {
        book.packs[book.pack_count++] = filed->pack;
    }
    book.filed++;
    log_file_committed(f->log, OK);
}

static void book_repack(void *user, const struct log_repacked *r)
{
    struct fixture *f = user;
    assert_false(book.repack_waits); /* one at a time */
    if (book.hold_burials && r->output.bytes == 0) {
        book.repack_waits = true;
        book.held_repack = *r;
        return;
    }
    u32 first = 0;
    while (book.packs[first].id != r->inputs[0]) {
        first++;
        assert_true(first < book.pack_count);
    }
    for (u32 i = 0; i < r->input_count; i++) {
        assert_int_equal(book.packs[first + i].id, r->inputs[i]);
    }
    u32 outputs = r->output.bytes > 0 ? 1 : 0;
    u32 rest = first + r->input_count;
    if (outputs > 0) {
        book.packs[first] = r->output;
    }
    memmove(&book.packs[first + outputs], &book.packs[rest],
            (book.pack_count - rest) * sizeof(book.packs[0]));
    book.pack_count -= r->input_count - outputs;
    book.repacked++;
    log_repack_committed(f->log, OK);
}

static err_t scarce_pack(struct home *h, u64 id, struct pack_file **out)
{
    if (book.packs_refused > 0) {
        book.packs_refused--;
        return ERR_NO_SPACE;
    }
    return book.usual_ops->pack_make(h, id, out);
}

static void begin(struct fixture *f)
{
    book = (struct book){.f = f};
    fixture_init(f);
    book.usual_ops = f->home->ops;
    book.ops = *f->home->ops;
    book.ops.pack_make = scarce_pack;
    f->home->ops = &book.ops;
    f->params.file = book_file;
    f->params.repack = book_repack;
    fixture_start(f);
}

/* Until nothing is filed or rewritten any more. */
static void rest(struct fixture *f)
{
    settle(f);
    u32 quiet = 0;
    for (u32 i = 0; i < 100000 && quiet < 3; i++) {
        bool busy = f->log->filing != FILING_IDLE || f->log->rewrite != REWRITE_IDLE ||
                    f->log->burial != REWRITE_IDLE;
        if (busy) {
            fake_io_advance(f->io, 5000000); /* it is done at a pace */
        }
        turn(f);
        quiet = busy ? 0 : quiet + 1;
    }
    assert_int_equal(quiet, 3);
}

static bool wanted_exists(void *user, u32 partition)
{
    (void)user, (void)partition;
    return true;
}

static u64 wanted_start(void *user, u32 partition)
{
    (void)user;
    return partition < PARTITIONS ? book.log_start[partition] : 0;
}

static void restart(struct fixture *f)
{
    log_destroy(f->log);
    f->held_count = 0;
    list_init(&f->home->ready_writes);
    list_init(&f->home->ready_reads);
    io_timer_stop(f->io, &f->home->soon);
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    f->home->replayed = true;
    f->log = log_create(&f->params);
    const struct log_wanted wanted = {.exists = wanted_exists, .log_start = wanted_start};
    assert_int_equal(log_recover_packs(f->log, book.packs, book.pack_count, 1, &wanted), OK);
    for (u64 wal = 1; wal <= f->wal; wal++) {
        if (f->lengths[wal] > 0 && book.trim[wal] == f->lengths[wal]) {
            continue; /* the metadata have forgotten it */
        }
        const struct log_wal what = {
            .id = wal,
            .nonce = wal * 7,
            .trim = book.trim[wal],
            .sealed_length = f->lengths[wal] == 0 ? UINT64_MAX : f->lengths[wal],
        };
        assert_int_equal(log_recover_wal(f->log, &what, &wanted, &f->lengths[wal]), OK);
    }
    for (u32 id = 0; id < PARTITIONS; id++) {
        if (book.log_start[id] > 0) {
            partition_set_log_start(log_partition(f->log, id, 0), book.log_start[id]);
        }
    }
    f->wal++;
    assert_int_equal(log_start_wal(f->log, f->cluster, f->wal, f->wal * 7), OK);
}

/* Appends `bytes` in batches of that size to partitions 0 .. count-1 in turn. */
static void fill(struct fixture *f, u64 bytes, u32 batch_bytes, u32 count)
{
    u32 i = 0;
    for (u64 done = 0; done < bytes; done += batch_bytes, i++) {
        while (!log_room(f->log, batch_bytes + 1024)) {
            turn(f);
        }
        struct append_result r = append_plain(f, log_partition(f->log, i % count, 0), batch_bytes);
        assert_int_equal(r.kerr, KERR_NONE);
        if (i % 16 == 15) {
            turn(f);
        }
    }
    settle(f);
}

/* Reads a partition from its start to its end: offsets abut, every batch is good. */
static u64 read_all(struct fixture *f, u32 id)
{
    struct partition *p = log_partition(f->log, id, 0);
    struct partition_info info;
    partition_info(p, &info);
    u8 *bytes = mem_alloc(4 * MIB);
    u64 offset = info.log_start_offset;
    while (offset < info.high_watermark) {
        struct partition_read read = {
            .offset = offset,
            .limit_offset = UINT64_MAX,
            .bytes_max = 1 * MIB,
            .one_batch = true,
        };
        assert_int_equal(partition_read(p, &read), OK);
        assert_true(read.bytes > 0);
        u32 at = 0;
        for (u32 i = 0; i < read.range_count; i++) {
            range_bytes(f, &read.ranges[i], bytes + at);
            at += read.ranges[i].bytes;
        }
        struct slice left = slice_of(bytes, read.bytes);
        struct batch_view view;
        while (left.len > 0) {
            assert_int_equal(batch_view_next(&left, &view), OK);
            assert_true(batch_crc_ok(&view));
            u64 next = (u64)view.base_offset + (u32)view.last_offset_delta + 1;
            assert_true((u64)view.base_offset <= offset || at > 0);
            offset = MAX(offset, next);
        }
        assert_int_equal(offset, read.next_offset);
    }
    mem_free(bytes);
    return info.high_watermark;
}

static void what_is_filed_is_read_from_packs(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill(&f, 48 * MIB, 60000, PARTITIONS);
    rest(&f);
    assert_true(book.filed >= 2);
    assert_true(book.pack_count >= 1);
    assert_true(f.log->unfiled_bytes < f.log->filing_start_bytes);
    u64 ends[PARTITIONS];
    for (u32 id = 0; id < PARTITIONS; id++) {
        ends[id] = read_all(&f, id);
        assert_true(ends[id] > 0);
    }
    restart(&f);
    for (u32 id = 0; id < PARTITIONS; id++) {
        assert_int_equal(read_all(&f, id), ends[id]);
    }
    fill(&f, 1 * MIB, 1000, PARTITIONS);
    for (u32 id = 0; id < PARTITIONS; id++) {
        assert_true(read_all(&f, id) > ends[id]);
    }
    fixture_stop(&f);
}

static void a_little_is_filed_after_a_while(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill(&f, 64 * KIB, 1000, PARTITIONS);
    rest(&f);
    assert_int_equal(book.filed, 0);
    advance_ms(&f, 61 * 1000);
    rest(&f);
    assert_int_equal(book.filed, 1);
    assert_int_equal(f.log->unfiled_bytes, 0);
    /* And then there is peace. */
    u64 slots = f.log->next_slot;
    for (u32 i = 0; i < 10; i++) {
        advance_ms(&f, 61 * 1000);
        rest(&f);
    }
    assert_int_equal(book.filed, 1);
    assert_true(f.log->next_slot <= slots + 1); /* a MARK */
    fixture_stop(&f);
}

/* Space of the WAL that a deleted topic had is not waited for. */
static void what_died_in_the_wal_is_filed_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (u32 i = 0; i < 60; i++) {
        append_plain(&f, log_partition(f.log, i % 2, 0), 60000);
        settle(&f);
    }
    rest(&f);
    assert_int_equal(book.filed, 0);
    u64 end = read_all(&f, 1);
    log_partition_remove(f.log, 0);
    rest(&f);
    assert_int_equal(book.filed, 1);
    assert_int_equal(f.log->unfiled_bytes, 0);
    assert_int_equal(read_all(&f, 1), end);
    fixture_stop(&f);
}

static void small_batches_become_long_runs(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (u32 i = 0; i < 2000; i++) {
        append_plain(&f, log_partition(f.log, i % 2, 0), 200);
        settle(&f);
    }
    u64 before = f.log->index_entries;
    assert_true(before >= 2000);
    advance_ms(&f, 61 * 1000);
    rest(&f);
    assert_true(f.log->index_entries < before / 50);
    assert_int_equal(read_all(&f, 0), 1000);
    assert_int_equal(read_all(&f, 1), 1000);
    /* From the middle of a run too. */
    struct partition_read read = {.offset = 777, .limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
    assert_int_equal(partition_read(log_partition(f.log, 1, 0), &read), OK);
    assert_int_equal(read.next_offset, 1000);
    fixture_stop(&f);
}

/* A fetch answer may hold a range for long. */
static void a_range_outlives_filing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (u32 i = 0; i < 400; i++) {
        append_plain(&f, log_partition(f.log, i % 2, 0), 3000);
        if (i % 4 == 3) {
            settle(&f);
        }
    }
    struct partition_read read = {.offset = 50, .limit_offset = UINT64_MAX, .bytes_max = 1 << 18};
    assert_int_equal(partition_read(log_partition(f.log, 1, 0), &read), OK);
    assert_true(read.range_count > 3);
    u8 *before = mem_alloc(read.bytes);
    u32 at = 0;
    for (u32 i = 0; i < read.range_count; i++) {
        range_bytes(&f, &read.ranges[i], before + at);
        at += read.ranges[i].bytes;
    }
    advance_ms(&f, 61 * 1000);
    rest(&f);
    assert_int_equal(book.filed, 1);
    while (chunks_shrink(f.log)) { /* nothing is hot any more */
        turn(&f);
    }
    fill(&f, 40 * MIB, 60000, PARTITIONS);
    rest(&f);
    fill(&f, 40 * MIB, 60000, PARTITIONS);
    rest(&f);
    u8 *after = mem_alloc(read.bytes);
    at = 0;
    for (u32 i = 0; i < read.range_count; i++) {
        assert_null(log_peek(f.log, &read.ranges[i]));
        range_bytes(&f, &read.ranges[i], after + at);
        at += read.ranges[i].bytes;
    }
    assert_memory_equal(before, after, read.bytes);
    mem_free(before);
    mem_free(after);
    fixture_stop(&f);
}

static void producers_are_recognized_after_filing_and_restart(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct partition *p = log_partition(f.log, 3, 0);
    u64 offsets[12];
    for (i32 i = 0; i < 12; i++) {
        const struct produced what = {
            .producer_id = 77, .base_sequence = i * 2, .records = 2, .value_bytes = 100};
        struct append_result r = append(&f, p, &what);
        assert_int_equal(r.kerr, KERR_NONE);
        offsets[i] = r.base_offset;
        settle(&f);
    }
    advance_ms(&f, 61 * 1000);
    rest(&f);
    assert_int_equal(f.log->unfiled_bytes, 0);
    restart(&f);
    p = log_partition(f.log, 3, 0);
    for (i32 i = 7; i < 12; i++) {
        const struct produced what = {
            .producer_id = 77, .base_sequence = i * 2, .records = 2, .value_bytes = 100};
        struct append_result r = append(&f, p, &what);
        assert_int_equal(r.kerr, KERR_NONE);
        assert_true(r.duplicate);
        assert_int_equal(r.base_offset, offsets[i]);
    }
    const struct produced gap = {
        .producer_id = 77, .base_sequence = 40, .records = 2, .value_bytes = 100};
    assert_int_equal(append(&f, p, &gap).kerr, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    fixture_stop(&f);
}

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

static void file_all(struct fixture *f)
{
    advance_ms(f, 61 * 1000);
    rest(f);
    assert_int_equal(f->log->unfiled_bytes, 0);
}

static void delete_all(struct fixture *f, u32 partition)
{
    struct partition *p = log_partition(f->log, partition, 0);
    book.log_start[partition] = high_watermark(p);
    partition_set_log_start(p, high_watermark(p));
}

static void file_and_delete_all(struct fixture *f, u32 partition)
{
    file_all(f);
    delete_all(f, partition);
    rest(f);
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
    begin(&f);
    write_of(&f, 3, 77, 0, 12);
    file_and_delete_all(&f, 3);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(packs_of_producers(&f), 1);
    assert_in_range(book.packs[0].bytes, 1, 8192);
    restart(&f);
    rest(&f);
    assert_int_equal(book.pack_count, 1); /* looked at, and left */
    struct partition *p = log_partition(f.log, 3, 0);
    assert_int_equal(high_watermark(p), 24);
    expect_known(&f, 3, 77, 12, 0);
    /* What it writes now takes the place of what it wrote then. */
    write_of(&f, 3, 77, 13, 30);
    file_and_delete_all(&f, 3);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 5);
    restart(&f);
    expect_known(&f, 3, 77, 30, 0);
    fixture_stop(&f);
}

static void producers_outlive_records_that_died_in_the_wal(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    write_of(&f, 3, 77, 0, 3);
    delete_all(&f, 3);
    rest(&f);
    restart(&f); /* from the WAL */
    expect_known(&f, 3, 77, 3, 0);
    delete_all(&f, 3);
    file_all(&f);
    rest(&f);
    assert_int_equal(packs_of_producers(&f), book.pack_count);
    restart(&f);
    expect_known(&f, 3, 77, 4, 0);
    fixture_stop(&f);
}

static void a_producers_pack_goes_when_they_are_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    write_of(&f, 3, 77, 0, 3);
    file_and_delete_all(&f, 3);
    advance_ms(&f, 3600 * 1000);
    write_of(&f, 3, 78, 0, 1);
    file_and_delete_all(&f, 3);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 4);
    advance_ms(&f, 85000 * 1000); /* 77 is forgotten, 78 is not */
    rest(&f);
    assert_int_equal(book.pack_count, 1);
    advance_ms(&f, 3600 * 1000);
    rest(&f);
    assert_int_equal(book.pack_count, 0);
    restart(&f);
    struct append_result r = append_of(&f, 3, 77, 2);
    assert_int_equal(r.kerr, KERR_NONE);
    assert_false(r.duplicate);
    fixture_stop(&f);
}

static void a_producers_pack_goes_with_its_topic(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    write_of(&f, 3, 77, 0, 3);
    write_of(&f, 4, 78, 0, 3);
    file_all(&f);
    delete_all(&f, 3);
    delete_all(&f, 4);
    rest(&f);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 6);
    log_partition_remove(f.log, 3);
    rest(&f);
    assert_int_equal(book.pack_count, 1);
    assert_int_equal(f.log->objects[f.log->packs[0]].statements, 3);
    log_partition_remove(f.log, 4);
    rest(&f);
    assert_int_equal(book.pack_count, 0);
    /* A topic with records: all at once, too. */
    write_of(&f, 5, 79, 0, 3);
    file_all(&f);
    log_partition_remove(f.log, 5);
    rest(&f);
    assert_int_equal(book.pack_count, 0);
    fixture_stop(&f);
}

/* Each round leaves a producer; in every third something is written that stays. */
static void producers_packs_do_not_gather(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (i64 round = 0; round < 24; round++) {
        write_of(&f, 3, 100 + round, 0, 2);
        file_and_delete_all(&f, 3);
        if (round % 3 == 2) {
            append_plain(&f, log_partition(f.log, 2, 0), 1000);
            settle(&f);
            file_all(&f);
        }
        assert_true(packs_of_producers(&f) <= (u32)round / 3 + 1);
        advance_ms(&f, 1100); /* small ones are merged, producers with them */
        rest(&f);
    }
    assert_true(book.pack_count < 8);
    assert_int_equal(read_all(&f, 2), 8);
    restart(&f);
    rest(&f);
    assert_int_equal(read_all(&f, 2), 8);
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
    begin(&f);
    write_of(&f, 3, 77, 0, 4);
    file_all(&f);
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
    file_all(&f);
    log_partition_remove(f.log, 5); /* somebody does */
    rest(&f);
    assert_int_equal(packs_of_producers(&f), 0);
    restart(&f);
    expect_known(&f, 3, 77, 20, 0);
    fixture_stop(&f);
}

static void without_space_a_burial_waits(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    write_of(&f, 3, 77, 0, 4);
    file_all(&f);
    book.packs_refused = 2;
    delete_all(&f, 3);
    rest(&f);
    assert_int_equal(book.packs_refused, 1);
    assert_int_equal(packs_of_producers(&f), 0);
    assert_int_equal(book.pack_count, 1);
    advance_ms(&f, 1100);
    rest(&f);
    assert_int_equal(book.packs_refused, 0);
    advance_ms(&f, 1100);
    rest(&f);
    assert_int_equal(packs_of_producers(&f), 1);
    restart(&f);
    expect_known(&f, 3, 77, 4, 0);
    fixture_stop(&f);
}

static void an_earlier_wal_is_filed_and_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill(&f, 8 * MIB, 20000, PARTITIONS);
    u64 end = read_all(&f, 2);
    restart(&f);
    fill(&f, 2 * MIB, 20000, PARTITIONS);
    assert_int_equal(f.log->unfiled_count, 2);
    advance_ms(&f, 61 * 1000);
    rest(&f);
    assert_int_equal(f.log->unfiled_count, 1);
    assert_int_equal(book.trim[1], f.lengths[1]);
    assert_true(read_all(&f, 2) > end);
    restart(&f);
    assert_true(read_all(&f, 2) > end);
    fixture_stop(&f);
}

static void dead_packs_go(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill(&f, 48 * MIB, 60000, PARTITIONS);
    rest(&f);
    assert_true(book.pack_count > 0);
    for (u32 id = 0; id < PARTITIONS; id++) {
        log_partition_remove(f.log, id);
    }
    rest(&f);
    assert_int_equal(book.pack_count, 0);
    fixture_stop(&f);
}

/* Partitions 0 and 1 share packs; 2 has later ones alone. Removing 0 makes the first sparse, and
   while they are copied those of 2 die. */
static void dead_packs_go_while_others_are_copied(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (u32 i = 0; i < 500; i++) {
        append_plain(&f, log_partition(f.log, i % 4 == 0, 0), 60000);
        settle(&f);
    }
    advance_ms(&f, 61 * 1000);
    rest(&f);
    advance_ms(&f, 1100); /* small ones are merged */
    rest(&f);
    u32 shared = f.log->pack_count;
    for (u32 i = 0; i < 300; i++) {
        append_plain(&f, log_partition(f.log, 2, 0), 60000);
        settle(&f);
    }
    advance_ms(&f, 61 * 1000);
    rest(&f);
    assert_true(f.log->pack_count > shared);
    u64 end = read_all(&f, 1);
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
    rest(&f);
    advance_ms(&f, 1100);
    rest(&f);
    assert_int_equal(read_all(&f, 1), end);
    assert_true(atomic_load(&f.home->pack_bytes) < before / 4);
    restart(&f);
    assert_int_equal(read_all(&f, 1), end);
    fixture_stop(&f);
}

static void a_sparse_pack_is_rewritten(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill(&f, 48 * MIB, 60000, PARTITIONS);
    rest(&f);
    u64 bytes = 0;
    for (u32 i = 0; i < book.pack_count; i++) {
        bytes += book.packs[i].bytes;
    }
    u64 end = read_all(&f, 0);
    for (u32 id = 1; id < PARTITIONS; id++) {
        log_partition_remove(f.log, id);
    }
    rest(&f);
    u64 left = 0;
    for (u32 i = 0; i < book.pack_count; i++) {
        left += book.packs[i].bytes;
    }
    assert_true(left > 0);
    assert_true(left < bytes / 3);
    assert_int_equal(read_all(&f, 0), end);
    restart(&f);
    assert_int_equal(read_all(&f, 0), end);
    fixture_stop(&f);
}

/* ---- compaction ------------------------------------------------------------------------------ */

enum { KEYS = 6 };

/* What a replay finds: the last value of each key; 0: a tombstone, or never written. */
struct replayed {
    u32 values[KEYS];
    u32 records;
    u32 batches;
    u64 bytes;
};

/* One batch of `count` records: key first_key + i (mod KEYS), value number + i, or a tombstone. */
static struct append_result append_keyed(struct fixture *f, struct partition *p, u32 first_key,
                                         u32 count, u32 number,
                                         struct batch_builder_options options)
{
    struct batch_builder b;
    batch_builder_init(&b, &options);
    for (u32 i = 0; i < count; i++) {
        u8 key = (u8)('a' + (first_key + i) % KEYS);
        u8 value[100] = {0};
        store_be32(value, number + i);
        bool tombstone = (number + i) % 7 == 0;
        assert_int_equal(batch_builder_add(&b, f->timestamp + i, slice_of(&key, 1),
                                           tombstone ? (struct slice){0} : slice_of(value, 100),
                                           NULL, 0),
                         OK);
    }
    f->timestamp += count;
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

static void replay_batches(struct replayed *out, struct slice left, u64 *offset)
{
    struct decompressor scratch;
    decompressor_init(&scratch, NULL);
    struct batch_view view;
    while (left.len > 0) {
        assert_int_equal(batch_view_next(&left, &view), OK);
        assert_true(batch_crc_ok(&view));
        assert_int_equal(view.base_offset, *offset);
        *offset = (u64)batch_next_offset(&view);
        out->batches++;
        struct record_iter it;
        assert_int_equal(record_iter_init(&it, &view, &scratch, 1 * MIB), OK);
        struct record record;
        while (record_iter_next(&it, &record)) {
            u32 value = record.value.ptr == NULL ? 0 : load_be32(record.value.ptr);
            out->values[record.key.ptr[0] - 'a'] = value;
            out->records++;
        }
        assert_int_equal(it.err, OK);
    }
    decompressor_fini(&scratch);
}

static struct replayed replay(struct fixture *f, u32 id)
{
    struct replayed out = {0};
    struct partition *p = log_partition(f->log, id, 0);
    u8 *bytes = mem_alloc(4 * MIB);
    u64 offset = 0;
    while (offset < high_watermark(p)) {
        struct partition_read read = {
            .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1 * MIB, .one_batch = true};
        assert_int_equal(partition_read(p, &read), OK);
        u32 at = 0;
        for (u32 i = 0; i < read.range_count; i++) {
            range_bytes(f, &read.ranges[i], bytes + at);
            at += read.ranges[i].bytes;
        }
        replay_batches(&out, slice_of(bytes, at), &offset);
        out.bytes += at;
    }
    mem_free(bytes);
    return out;
}

static void the_last_record_of_each_key_is_filed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct partition *own = log_partition(f.log, 1, 0);
    struct partition *users = log_partition(f.log, 2, 0);
    partition_compact(own);
    partition_compact(own); /* says nothing new */
    assert_int_equal(f.log->compacted_count, 1);
    for (u32 i = 0; i < 500; i++) {
        u32 first = i * 5 % 7;
        append_keyed(&f, own, first, 1 + i % 3, 1 + 3 * i, batch_builder_plain());
        append_keyed(&f, users, first, 1 + i % 3, 1 + 3 * i, batch_builder_plain());
        if (i % 4 == 3) {
            settle(&f);
        }
    }
    settle(&f);
    const struct replayed before = replay(&f, 1);
    u64 end = high_watermark(own);
    file_all(&f);
    for (u32 round = 0; round < 2; round++) {
        struct replayed after = replay(&f, 1);
        assert_memory_equal(after.values, before.values, sizeof(before.values));
        assert_int_equal(after.records, KEYS);
        assert_true(after.batches <= 2 * KEYS);
        assert_true(after.bytes < before.bytes / 20);
        assert_int_equal(log_partition(f.log, 1, 0)->bytes, after.bytes);
        assert_int_equal(high_watermark(log_partition(f.log, 1, 0)), end);
        struct replayed whole = replay(&f, 2);
        assert_int_equal(whole.records, before.records);
        assert_int_equal(whole.bytes, before.bytes);
        restart(&f);
    }
    /* What comes later goes on behind it, and is filed against its own stretch. */
    own = log_partition(f.log, 1, 0);
    partition_compact(own);
    append_keyed(&f, own, 0, KEYS, 10000, batch_builder_plain());
    append_keyed(&f, own, 0, KEYS, 20000, batch_builder_plain());
    settle(&f);
    file_all(&f);
    struct replayed after = replay(&f, 1);
    assert_int_equal(after.records, 2 * KEYS);
    assert_int_equal(after.values[1], 20001);
    fixture_stop(&f);
}

/* Batches that a client wrote are left alone, and say nothing of others. */
static void what_is_not_the_brokers_own_stays(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct partition *own = log_partition(f.log, 1, 0);
    partition_compact(own);
    struct batch_builder_options packed = batch_builder_plain();
    packed.codec = CODEC_GZIP;
    struct batch_builder_options idempotent = batch_builder_plain();
    idempotent.producer_id = 77;
    idempotent.producer_epoch = 0;
    idempotent.base_sequence = 0;
    append_keyed(&f, own, 0, 2, 100, batch_builder_plain());
    append_keyed(&f, own, 0, 2, 200, packed);
    append_keyed(&f, own, 0, 2, 300, idempotent);
    settle(&f);
    append_plain(&f, own, 100); /* no key */
    append_keyed(&f, own, 2, 2, 400, batch_builder_plain());
    append_keyed(&f, own, 2, 2, 500, batch_builder_plain());
    settle(&f);
    file_all(&f);
    u64 end = high_watermark(own);
    assert_int_equal(end, 11);
    assert_int_equal(read_all(&f, 1), end);
    restart(&f);
    assert_int_equal(read_all(&f, 1), end);
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
    assert_int_equal(partition_read(log_partition(f.log, 1, 0), &read), OK);
    u8 bytes[8192];
    range_bytes(&f, &read.ranges[0], bytes);
    struct slice left = slice_of(bytes, read.ranges[0].bytes);
    static const i32 counts[] = {2, 2, 2, 1, 0, 2};
    for (u32 i = 0; i < ARRAY_LEN(counts); i++) {
        struct batch_view view;
        assert_int_equal(batch_view_next(&left, &view), OK);
        assert_int_equal(view.record_count, counts[i]);
    }
    assert_int_equal(left.len, 0);
    fixture_stop(&f);
}

static void a_range_of_what_was_compacted_is_not_found(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct partition *own = log_partition(f.log, 1, 0);
    partition_compact(own);
    for (u32 i = 0; i < 50; i++) {
        append_keyed(&f, own, i, 2, 1 + 2 * i, batch_builder_plain());
        settle(&f);
    }
    struct partition_read read = {.offset = 10, .limit_offset = UINT64_MAX, .bytes_max = 1 << 18};
    assert_int_equal(partition_read(own, &read), OK);
    file_all(&f);
    while (chunks_shrink(f.log)) { /* nothing is hot any more */
        turn(&f);
    }
    for (u32 i = 0; i < 2; i++) {
        fill(&f, 40 * MIB, 60000, 1);
        rest(&f);
    }
    assert_null(log_peek(f.log, &read.ranges[0]));
    u8 bytes[8192];
    u32 count;
    assert_int_equal(load_range(&f, &read.ranges[0], bytes, &count), ERR_NOT_FOUND);
    assert_int_equal(replay(&f, 1).records, KEYS);
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
    fill(f, 48 * MIB, 60000, PARTITIONS);
    rest(f);
    advance_ms(f, 1100);
    rest(f);
    for (u32 id = 0; id < 3; id++) {
        log_partition_remove(f->log, id);
    }
}

static void packs_are_copied_at_a_pace(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
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
    rest(&f);
    assert_true(book.repacked > 0);
    assert_true(read_all(&f, 5) > 0);
    fixture_stop(&f);
}

static void a_copy_is_undone_when_the_log_ends(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
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
    restart(&f);
    for (u32 id = 3; id < PARTITIONS; id++) {
        assert_int_equal(read_all(&f, id), ends[id]);
    }
    fixture_stop(&f);
}

static void small_packs_are_merged(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (u32 i = 0; i < 20; i++) {
        fill(&f, 256 * KIB, 10000, PARTITIONS);
        advance_ms(&f, 61 * 1000);
        rest(&f);
    }
    assert_int_equal(book.filed, 20);
    assert_true(book.pack_count <= 20 - 7);
    u64 ends[PARTITIONS];
    for (u32 id = 0; id < PARTITIONS; id++) {
        ends[id] = read_all(&f, id);
    }
    restart(&f);
    for (u32 id = 0; id < PARTITIONS; id++) {
        assert_int_equal(read_all(&f, id), ends[id]);
    }
    fixture_stop(&f);
}

static void without_space_appends_wait_and_nothing_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    book = (struct book){.f = &f, .no_space = true};
    fixture_init(&f);
    f.params.file = book_file;
    f.params.repack = book_repack;
    f.params.wal_bytes_max = 24 * MIB;
    fixture_start(&f);
    u32 refused = 0;
    for (u32 i = 0; i < 1000 && refused == 0; i++) {
        if (!log_room(f.log, 60000)) {
            advance_ms(&f, 5);
            settle(&f);
            continue;
        }
        const struct produced what = {
            .producer_id = -1, .base_sequence = -1, .records = 1, .value_bytes = 60000};
        struct append_result r = append(&f, log_partition(f.log, i % 3, 0), &what);
        refused += r.kerr == KERR_KAFKA_STORAGE_ERROR;
        settle(&f);
    }
    assert_int_equal(refused, 1);
    assert_true(filing_is_hopeless(f.log));
    /* The broker's own partitions go on. */
    struct partition *own = log_partition(f.log, 99, 0);
    partition_reserve(own);
    assert_true(log_room_reserved(f.log, 1000));
    append_plain(&f, own, 1000);
    settle(&f);
    assert_int_equal(high_watermark(own), 1);
    book.no_space = false;
    for (u32 i = 0; i < 5; i++) {
        advance_ms(&f, 1100);
        rest(&f);
    }
    assert_false(filing_is_hopeless(f.log));
    for (u32 id = 0; id < 3; id++) {
        assert_true(read_all(&f, id) > 100);
    }
    fixture_stop(&f);
}

static i16 append_one(struct fixture *f, struct partition *p, u32 bytes)
{
    const struct produced what = {
        .producer_id = -1, .base_sequence = -1, .records = 1, .value_bytes = bytes};
    return append(f, p, &what).kerr;
}

/* Beginning with room for twice the reserve, the medium shrinks by what is filed, as a disk does.
 */
static void before_space_ends_users_are_refused_and_the_broker_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    book = (struct book){.f = &f};
    fixture_init(&f);
    f.params.file = book_file;
    f.params.repack = book_repack;
    f.params.reserve_bytes = 16 * MIB;
    fixture_start(&f);
    const u64 free_bytes = 32 * MIB;
    struct partition *users = log_partition(f.log, 1, 0);
    struct partition *own = log_partition(f.log, 99, 0);
    partition_reserve(own);
    i16 kerr = KERR_NONE;
    u32 taken = 0;
    book.hold = true; /* filing does not end: they wait */
    atomic_store(&f.home->free_bytes, free_bytes);
    for (u32 i = 0; i < 5000; i++) {
        bool room = log_room(f.log, 60000);
        if (!room && book.waiting) {
            break;
        }
        if (room) {
            assert_int_equal(append_one(&f, users, 60000), KERR_NONE);
            taken++;
        }
        settle(&f);
        advance_ms(&f, 5);
        atomic_store(&f.home->free_bytes, free_bytes - atomic_load(&f.home->pack_bytes));
    }
    assert_true(book.waiting);
    assert_true(filing_is_behind(f.log));
    assert_false(filing_is_hopeless(f.log));
    book.hold = false;
    book_file(&f, &book.held);
    rest(&f);

    for (u32 i = 0; i < 5000 && kerr == KERR_NONE; i++) {
        atomic_store(&f.home->free_bytes, free_bytes - atomic_load(&f.home->pack_bytes));
        advance_ms(&f, 5);
        if (!log_room(f.log, 60000)) {
            settle(&f);
            continue;
        }
        kerr = append_one(&f, users, 60000);
        taken += kerr == KERR_NONE;
        settle(&f);
    }
    assert_int_equal(kerr, KERR_KAFKA_STORAGE_ERROR);
    assert_in_range((u64)taken * 60000, 14 * MIB, 16 * MIB);
    assert_true(filing_is_hopeless(f.log));
    assert_false(f.log->filing_no_space); /* what was taken fits */
    assert_false(log_refuses(f.log));
    assert_int_equal(high_watermark(users), taken);
    assert_int_equal(read_all(&f, 1), taken);

    for (u32 i = 0; i < 100; i++) {
        assert_true(log_room_reserved(f.log, 1000));
        assert_int_equal(append_one(&f, own, 1000), KERR_NONE);
        settle(&f);
    }
    assert_int_equal(high_watermark(own), 100);

    /* The users' topic goes, and with it its packs: there is space again. */
    log_partition_remove(f.log, 1);
    rest(&f);
    atomic_store(&f.home->free_bytes, free_bytes - atomic_load(&f.home->pack_bytes));
    turn(&f);
    assert_false(filing_is_hopeless(f.log));
    assert_true(log_room(f.log, 60000));
    assert_int_equal(append_one(&f, log_partition(f.log, 2, 0), 60000), KERR_NONE);
    settle(&f);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_filed_is_read_from_packs),
        cmocka_unit_test(a_little_is_filed_after_a_while),
        cmocka_unit_test(what_died_in_the_wal_is_filed_at_once),
        cmocka_unit_test(small_batches_become_long_runs),
        cmocka_unit_test(a_range_outlives_filing),
        cmocka_unit_test(producers_are_recognized_after_filing_and_restart),
        cmocka_unit_test(producers_outlive_their_records),
        cmocka_unit_test(producers_outlive_records_that_died_in_the_wal),
        cmocka_unit_test(a_producers_pack_goes_when_they_are_forgotten),
        cmocka_unit_test(a_producers_pack_goes_with_its_topic),
        cmocka_unit_test(producers_packs_do_not_gather),
        cmocka_unit_test(what_is_not_durable_supersedes_nothing),
        cmocka_unit_test(without_space_a_burial_waits),
        cmocka_unit_test(an_earlier_wal_is_filed_and_forgotten),
        cmocka_unit_test(dead_packs_go),
        cmocka_unit_test(dead_packs_go_while_others_are_copied),
        cmocka_unit_test(a_sparse_pack_is_rewritten),
        cmocka_unit_test(the_last_record_of_each_key_is_filed),
        cmocka_unit_test(what_is_not_the_brokers_own_stays),
        cmocka_unit_test(a_range_of_what_was_compacted_is_not_found),
        cmocka_unit_test(packs_are_copied_at_a_pace),
        cmocka_unit_test(a_copy_is_undone_when_the_log_ends),
        cmocka_unit_test(small_packs_are_merged),
        cmocka_unit_test(without_space_appends_wait_and_nothing_is_lost),
        cmocka_unit_test(before_space_ends_users_are_refused_and_the_broker_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
