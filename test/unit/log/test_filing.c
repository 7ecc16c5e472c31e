/* filing.c: stretches of the WAL become packs and are read from there, also by readers that asked
   before; a restart finds everything in packs and the rest of the WAL; producers are still
   recognized; without space nothing is lost and appends wait; and before the space ends users are
   refused, the broker itself is not. */
#include "book.h"

static void note_drained(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

static void what_is_filed_is_read_from_packs(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    book_fill(&f, 48 * MIB, 60000, PARTITIONS);
    book_rest(&f);
    assert_true(book.filed >= 2);
    assert_true(book.pack_count >= 1);
    assert_true(f.log->unfiled_bytes < f.log->filing_start_bytes);
    /* Nobody looks there for what is in packs: its chunks are spare. */
    const struct log_object *wal = &f.log->objects[f.log->unfiled[0]];
    LIST_EACH (&f.log->chunks, n) {
        const struct chunk *c = CONTAINER_OF(n, struct chunk, node);
        assert_true(!c->has_slots || c->last_slot >= wal->trim || c == f.log->open_chunk);
    }
    u64 ends[PARTITIONS];
    for (u32 id = 0; id < PARTITIONS; id++) {
        ends[id] = book_read_all(&f, id);
        assert_true(ends[id] > 0);
    }
    book_restart(&f);
    for (u32 id = 0; id < PARTITIONS; id++) {
        assert_int_equal(book_read_all(&f, id), ends[id]);
    }
    book_fill(&f, 1 * MIB, 1000, PARTITIONS);
    for (u32 id = 0; id < PARTITIONS; id++) {
        assert_true(book_read_all(&f, id) > ends[id]);
    }
    fixture_stop(&f);
}

static void a_little_is_filed_after_a_while(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    book_fill(&f, 64 * KIB, 1000, PARTITIONS);
    book_rest(&f);
    assert_int_equal(book.filed, 0);
    advance_ms(&f, 61 * 1000);
    book_rest(&f);
    assert_int_equal(book.filed, 1);
    assert_int_equal(f.log->unfiled_bytes, 0);
    /* And then there is peace. */
    u64 slots = f.log->next_slot;
    for (u32 i = 0; i < 10; i++) {
        advance_ms(&f, 61 * 1000);
        book_rest(&f);
    }
    assert_int_equal(book.filed, 1);
    assert_true(f.log->next_slot <= slots + 1); /* a MARK */
    fixture_stop(&f);
}

/* Before a clean stop; and it ends where nothing can be filed. */
static void the_rest_is_filed_when_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    assert_true(log_rest_is_filed(f.log));
    book_fill(&f, 1 * MIB, 1000, PARTITIONS);
    assert_false(log_rest_is_filed(f.log));
    book.no_space = true;
    log_file_rest(f.log);
    for (u32 i = 0; i < 1000 && !log_rest_is_filed(f.log); i++) {
        turn(&f);
    }
    assert_true(log_rest_is_filed(f.log)); /* as far as it goes */
    assert_int_equal(book.filed, 0);
    book.no_space = false;
    advance_ms(&f, 1000); /* it is tried again */
    for (u32 i = 0; i < 1000; i++) {
        turn(&f); /* at no pace: time stands still */
    }
    assert_true(log_rest_is_filed(f.log));
    assert_int_equal(f.log->unfiled_bytes, 0);
    assert_int_equal(f.log->objects[f.log->unfiled[0]].trim, f.log->next_slot);
    u32 writes = f.writes;
    bool drained = false;
    log_drain(f.log, note_drained, &drained);
    turns(&f, 5);
    assert_true(drained);
    assert_int_equal(f.writes, writes); /* no MARK: nothing is in doubt */
    fixture_stop(&f);
}

/* Space of the WAL that a deleted topic had is not waited for. */
static void what_died_in_the_wal_is_filed_at_once(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    for (u32 i = 0; i < 60; i++) {
        append_plain(&f, log_partition(f.log, i % 2, 0), 60000);
        settle(&f);
    }
    book_rest(&f);
    assert_int_equal(book.filed, 0);
    u64 end = book_read_all(&f, 1);
    log_partition_remove(f.log, 0);
    book_rest(&f);
    assert_int_equal(book.filed, 1);
    assert_int_equal(f.log->unfiled_bytes, 0);
    assert_int_equal(book_read_all(&f, 1), end);
    fixture_stop(&f);
}

static void small_batches_become_long_runs(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    for (u32 i = 0; i < 2000; i++) {
        append_plain(&f, log_partition(f.log, i % 2, 0), 200);
        settle(&f);
    }
    u64 before = f.log->index_entries;
    assert_true(before >= 2000);
    advance_ms(&f, 61 * 1000);
    book_rest(&f);
    assert_true(f.log->index_entries < before / 50);
    assert_int_equal(book_read_all(&f, 0), 1000);
    assert_int_equal(book_read_all(&f, 1), 1000);
    fixture_stop(&f);
}

/* What a read from that offset gives: the first batch's base offset. */
static u64 first_base(struct fixture *f, struct partition *p, struct partition_read *read)
{
    assert_int_equal(read_exactly(f, p, read), OK);
    assert_true(read->range_count > 0);
    u8 *bytes = mem_alloc(read->bytes);
    range_bytes(f, &read->ranges[0], bytes);
    u64 base = load_be64(bytes);
    mem_free(bytes);
    return base;
}

/* Batches of one record, hundreds of them in a run. */
static void an_answer_begins_inside_a_run(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 1000; i++) {
        append_plain(&f, p, 200);
        settle(&f);
    }
    advance_ms(&f, 61 * 1000);
    book_rest(&f);
    assert_true(p->run_count < 10);
    u32 one = (u32)(p->bytes / 1000);
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
    for (read.offset = 0; read.offset < 1000; read.offset += 37) {
        assert_int_equal(first_base(&f, p, &read), read.offset);
        assert_int_equal(read.next_offset, 1000);
        assert_int_equal(read.bytes, p->bytes - read.offset * one);
    }
    /* Limits count from there: of bytes, of offsets, and one batch that is owed. */
    read = (struct partition_read){.offset = 100, .limit_offset = UINT64_MAX};
    read.bytes_max = 7 * one + 1;
    assert_int_equal(first_base(&f, p, &read), 100);
    assert_int_equal(read.next_offset, 107);
    assert_int_equal(read.bytes, 7 * one);
    read.bytes_max = one - 1;
    assert_int_equal(read_exactly(&f, p, &read), OK);
    assert_int_equal(read.range_count, 0);
    read.one_batch = true;
    assert_int_equal(first_base(&f, p, &read), 100);
    assert_int_equal(read.next_offset, 101);
    read = (struct partition_read){.offset = 100, .limit_offset = 103, .bytes_max = 1 << 20};
    assert_int_equal(first_base(&f, p, &read), 100);
    assert_int_equal(read.next_offset, 103);
    /* From the start of a run nothing is read to find out, unless one batch of it is owed. */
    read = (struct partition_read){.limit_offset = UINT64_MAX, .bytes_max = one};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.range_count, 0);
    read.one_batch = true;
    assert_int_equal(partition_read(p, &read), ERR_AGAIN);
    assert_int_equal(first_base(&f, p, &read), 0);
    assert_int_equal(read.next_offset, 1);
    /* What is known of one run or offset says nothing of another. */
    read.offset = 100;
    assert_int_equal(read_exactly(&f, p, &read), OK);
    struct partition_cut cut = {.offset = 100, .run = read.run, .next_offset = 101, .bytes = one};
    read.cut = &cut;
    read.offset = 101;
    assert_int_equal(partition_read(p, &read), ERR_AGAIN);
    read.offset = 100;
    cut.run.pos++;
    assert_int_equal(partition_read(p, &read), ERR_AGAIN);
    /* And who does not mind gets all of it. */
    read.whole_runs = true;
    assert_int_equal(first_base(&f, p, &read), 0);
    fixture_stop(&f);
}

/* A fetch answer may hold a range for long. */
static void a_range_outlives_filing(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
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
    book_rest(&f);
    assert_int_equal(book.filed, 1);
    while (chunks_shrink(f.log)) { /* nothing is hot any more */
        turn(&f);
    }
    book_fill(&f, 40 * MIB, 60000, PARTITIONS);
    book_rest(&f);
    book_fill(&f, 40 * MIB, 60000, PARTITIONS);
    book_rest(&f);
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
    book_begin(&f);
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
    book_rest(&f);
    assert_int_equal(f.log->unfiled_bytes, 0);
    book_restart(&f);
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

static void an_earlier_wal_is_filed_and_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    book_fill(&f, 8 * MIB, 20000, PARTITIONS);
    u64 end = book_read_all(&f, 2);
    book_restart(&f);
    book_fill(&f, 2 * MIB, 20000, PARTITIONS);
    assert_int_equal(f.log->unfiled_count, 2);
    advance_ms(&f, 61 * 1000);
    book_rest(&f);
    assert_int_equal(f.log->unfiled_count, 1);
    assert_int_equal(book.trim[1], f.lengths[1]);
    assert_true(book_read_all(&f, 2) > end);
    book_restart(&f);
    assert_true(book_read_all(&f, 2) > end);
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
        book_rest(&f);
    }
    assert_false(filing_is_hopeless(f.log));
    for (u32 id = 0; id < 3; id++) {
        assert_true(book_read_all(&f, id) > 100);
    }
    fixture_stop(&f);
}

static i16 append_one(struct fixture *f, struct partition *p, u32 bytes)
{
    const struct produced what = {
        .producer_id = -1, .base_sequence = -1, .records = 1, .value_bytes = bytes};
    return append(f, p, &what).kerr;
}

/* Appends until there is room no more, or so much is unfiled. */
static void fill_until(struct fixture *f, u64 unfiled_bytes)
{
    for (u32 i = 0; f->log->unfiled_bytes < unfiled_bytes && log_room(f->log, 60000); i++) {
        assert_true(i < 5000);
        assert_int_equal(append_one(f, log_partition(f->log, 1, 0), 60000), KERR_NONE);
        settle(f);
    }
}

/* A stretch has been written, and the metadata are slow. */
static void until_held(struct fixture *f)
{
    for (u32 i = 0; !book.waiting; i++) {
        assert_true(i < 1000);
        advance_ms(f, 5);
        settle(f);
    }
}

/* Of a file that is all on the disk nothing would be kept: moving it is slower than producers, who
   would go on whenever there is room. */
static void producers_wait_before_what_is_not_filed_outgrows_the_cache(void **state)
{
    (void)state;
    struct fixture f;
    book = (struct book){.f = &f, .hold = true};
    fixture_init(&f);
    f.params.file = book_file;
    f.params.repack = book_repack;
    f.params.hot_bytes = 128 * MIB;
    fixture_start(&f);
    fill_until(&f, UINT64_MAX);
    until_held(&f);
    fill_until(&f, UINT64_MAX);
    assert_true(filing_is_behind(f.log));
    const struct log_object *wal = &f.log->objects[f.log->unfiled[0]];
    assert_int_equal(wal->id, f.log->wal);
    assert_non_null(hot_find(f.log, wal->trim));
    assert_true(f.log->unfiled_bytes > f.params.hot_bytes / 4 * 3);
    book.hold = false;
    book_file(&f, &book.held);
    book_rest(&f);
    assert_false(filing_is_behind(f.log));
    fixture_stop(&f);
}

/* One of those who wait for room, of a megabyte each. */
struct waiting {
    struct log_room_waiter waiter;
    u32 *let_in;
};

static void waiting_let_in(struct log_room_waiter *w)
{
    (*CONTAINER_OF(w, struct waiting, waiter)->let_in)++;
}

/* A log with those bounds that has filed once, and whose filing does not end from now on. */
static void begin_held(struct fixture *f, u64 hot_bytes, u64 wal_bytes_max)
{
    book = (struct book){.f = f};
    fixture_init(f);
    f->params.file = book_file;
    f->params.repack = book_repack;
    f->params.hot_bytes = hot_bytes;
    f->params.wal_bytes_max = wal_bytes_max;
    fixture_start(f);
    fill_until(f, f->log->filing_start_bytes);
    book_rest(f); /* from now on the bound is one */
    book.hold = true;
}

/* Nothing of what one turn takes from many is durable yet, and it counts all the same; so does what
   those are promised who have waited. */
static void a_crowd_is_let_in_up_to_the_bound(void **state)
{
    (void)state;
    enum { CROWD = 60 };
    struct fixture f;
    const u64 bound = 24 * MIB;
    begin_held(&f, 128 * MIB, bound);
    u64 unfiled = f.log->unfiled_bytes;
    u64 taken = 0;
    for (; log_room(f.log, MIB); taken += MIB) {
        assert_true(taken < bound);
        assert_int_equal(append_one(&f, log_partition(f.log, 1, 0), MIB - 100), KERR_NONE);
    }
    assert_int_equal(f.log->unfiled_bytes, unfiled);
    assert_true(unfiled + taken + 8 * KIB >= bound);
    assert_true(unfiled + taken < bound + MIB);

    struct waiting crowd[CROWD];
    u32 let_in = 0;
    for (u32 i = 0; i < CROWD; i++) {
        crowd[i] = (struct waiting){.waiter = {.granted = waiting_let_in, .bytes = MIB},
                                    .let_in = &let_in};
        log_room_wait(f.log, &crowd[i].waiter);
    }
    until_held(&f);
    assert_int_equal(let_in, 0);
    book.waiting = false;
    book.hold = false;
    book_file(&f, &book.held);
    book.hold = true;
    while (let_in == 0) {
        turn(&f);
    }
    assert_true(f.log->unfiled_bytes + let_in * MIB < bound + MIB);
    assert_true(let_in < CROWD);
    for (u32 i = 0; i < CROWD; i++) {
        log_room_cancel(&crowd[i].waiter);
    }
    until_held(&f);
    fixture_stop(&f);
}

/* One such batch fits into a chunk and not two, and half of the cache is what slots do not use.
   What is not filed is in memory all the same, or filing would read it back. */
static void what_is_not_filed_fits_into_the_cache_by_chunks(void **state)
{
    (void)state;
    enum { BATCH = 1100 * 1000 };
    struct fixture f;
    const u64 hot = 256 * MIB;
    begin_held(&f, hot, 0);
    u64 chunks = 0;
    for (; log_room(f.log, BATCH); chunks++) {
        assert_true(chunks * LOG_CHUNK_BYTES <= hot);
        assert_int_equal(append_one(&f, log_partition(f.log, 1, 0), BATCH), KERR_NONE);
        turn(&f);
    }
    u64 unfiled = f.log->unfiled_bytes + f.log->undurable_bytes;
    assert_true(unfiled < hot / 3 * 2); /* of full chunks it would be 7/8 */
    assert_true(unfiled > hot / 3);
    until_held(&f);
    book.hold = false;
    book_file(&f, &book.held);
    book_rest(&f);
    assert_true(log_room(f.log, BATCH));
    fixture_stop(&f);
}

/* Killed with the WAL at its bound, and filing does not end. */
static void who_comes_first_after_a_start_does_not_wait_for_a_pack(void **state)
{
    (void)state;
    struct fixture f;
    const u64 bound = 24 * MIB;
    book = (struct book){.f = &f, .hold = true};
    fixture_init(&f);
    f.params.file = book_file;
    f.params.repack = book_repack;
    f.params.wal_bytes_max = bound;
    fixture_start(&f);
    fill_until(&f, bound);
    assert_true(f.log->unfiled_bytes >= bound);
    until_held(&f);
    book.waiting = false;
    book_restart(&f);
    assert_true(f.log->unfiled_bytes >= bound);
    assert_true(log_room(f.log, 60000));
    fill_until(&f, UINT64_MAX);
    assert_true(f.log->unfiled_bytes >= bound + f.log->filing_stretch_bytes);
    assert_true(filing_is_behind(f.log));
    until_held(&f);
    book.hold = false;
    book_file(&f, &book.held);
    book_rest(&f);
    assert_false(filing_is_behind(f.log));
    book.waiting = false;
    book.hold = true; /* from now on the bound is one */
    fill_until(&f, UINT64_MAX);
    assert_true(f.log->unfiled_bytes >= bound);
    assert_true(f.log->unfiled_bytes < bound + f.log->filing_stretch_bytes / 2);
    until_held(&f);
    fixture_stop(&f);
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
    book_rest(&f);

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
    assert_int_equal(book_read_all(&f, 1), taken);

    for (u32 i = 0; i < 100; i++) {
        assert_true(log_room_reserved(f.log, 1000));
        assert_int_equal(append_one(&f, own, 1000), KERR_NONE);
        settle(&f);
    }
    assert_int_equal(high_watermark(own), 100);

    /* The users' topic goes, and with it its packs: there is space again. */
    log_partition_remove(f.log, 1);
    book_rest(&f);
    atomic_store(&f.home->free_bytes, free_bytes - atomic_load(&f.home->pack_bytes));
    turn(&f);
    assert_false(filing_is_hopeless(f.log));
    assert_true(log_room(f.log, 60000));
    assert_int_equal(append_one(&f, log_partition(f.log, 2, 0), 60000), KERR_NONE);
    settle(&f);
    /* That is told when it has lasted. */
    assert_true(f.log->space_told);
    advance_ms(&f, 4000);
    assert_true(f.log->space_told);
    advance_ms(&f, 1500);
    assert_false(f.log->space_told);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_filed_is_read_from_packs),
        cmocka_unit_test(a_little_is_filed_after_a_while),
        cmocka_unit_test(the_rest_is_filed_when_asked_for),
        cmocka_unit_test(what_died_in_the_wal_is_filed_at_once),
        cmocka_unit_test(small_batches_become_long_runs),
        cmocka_unit_test(an_answer_begins_inside_a_run),
        cmocka_unit_test(a_range_outlives_filing),
        cmocka_unit_test(producers_are_recognized_after_filing_and_restart),
        cmocka_unit_test(an_earlier_wal_is_filed_and_forgotten),
        cmocka_unit_test(producers_wait_before_what_is_not_filed_outgrows_the_cache),
        cmocka_unit_test(a_crowd_is_let_in_up_to_the_bound),
        cmocka_unit_test(what_is_not_filed_fits_into_the_cache_by_chunks),
        cmocka_unit_test(who_comes_first_after_a_start_does_not_wait_for_a_pack),
        cmocka_unit_test(without_space_appends_wait_and_nothing_is_lost),
        cmocka_unit_test(before_space_ends_users_are_refused_and_the_broker_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
