/* scrub.c: whatever byte of a pack rots is found within the period and told once, its run is
   quarantined and nothing else; a pass takes its period and reads everything once; what goes while
   it is read is no damage; a medium that refuses is told and read around; it is off, changed and
   resumed at any time; it yields, it holds nothing between two pieces, and with nothing stored
   nothing runs. The metadata's part is played by struct book, rot by the home's pack_open. */
#include "fake_io.h"
#include "fixture.h"

#include "home/home_private.h"
#include "home/pack_private.h"

enum { PARTITIONS = 5, PACKS_MAX = 256, TOLD_MAX = 256, BATCH_BYTES = 60000 };
enum { PERIOD_MS = 200000 };

struct book {
    struct home_pack packs[PACKS_MAX];
    u32 pack_count;
    u64 filed_to;
    struct log_damage told[TOLD_MAX];
    u32 told_count;
};
static struct book book;

/* What the medium does. */
struct rot {
    u64 pack;
    u32 pos; /* of the byte that is found changed ... */
    u8 mask; /* ... by these bits; 0: none */
    bool header_gone;
    u32 broken_from; /* reads that touch [broken_from, broken_to) end with ERR_IO */
    u32 broken_to;
    bool missing;                  /* there is no such file */
    void (*reading)(struct log *); /* called once, in the next read */
    u64 first_opened;              /* id of the first pack opened; UINT64_MAX: none yet */
    u64 read_bytes;
};
static struct rot rot;
static struct fixture *current;

static void rot_at(u64 pack, u32 pos, u8 mask)
{
    rot.pack = pack;
    rot.pos = pos;
    rot.mask = mask;
}

struct rotten_file {
    struct pack_file base;
    struct pack_file *file;
    u64 pack;
};

static err_t rotten_read(struct pack_file *base, void *out, u32 bytes, u64 at)
{
    struct rotten_file *r = CONTAINER_OF(base, struct rotten_file, base);
    rot.read_bytes += bytes;
    if (rot.reading != NULL) {
        void (*reading)(struct log *) = rot.reading;
        rot.reading = NULL;
        reading(current->log);
    }
    if (r->pack == rot.pack && at < rot.broken_to && at + bytes > rot.broken_from) {
        return ERR_IO;
    }
    TRY(r->file->ops->read(r->file, out, bytes, at));
    if (r->pack == rot.pack && rot.pos >= at && rot.pos < at + bytes) {
        ((u8 *)out)[rot.pos - at] ^= rot.mask;
    }
    return OK;
}

static void rotten_close(struct pack_file *base)
{
    struct rotten_file *r = CONTAINER_OF(base, struct rotten_file, base);
    r->file->ops->close(r->file);
    mem_free(r);
}

static const struct pack_file_ops rotten_file_ops = {.read = rotten_read, .close = rotten_close};
static const struct home_ops *sound_ops;
static struct home_ops rotten_ops;

static err_t rotten_open(struct home *h, u64 id, struct pack_file **out)
{
    if (rot.first_opened == UINT64_MAX) {
        rot.first_opened = id;
    }
    if (rot.missing && id == rot.pack) {
        return ERR_NOT_FOUND;
    }
    struct pack_file *file;
    TRY(sound_ops->pack_open(h, id, &file));
    struct rotten_file *r = mem_alloc(sizeof(*r));
    r->base = (struct pack_file){.ops = &rotten_file_ops, .bytes = file->bytes};
    r->file = file;
    r->pack = id;
    *out = &r->base;
    return OK;
}

static void book_file(void *user, const struct log_filed *filed)
{
    struct fixture *f = user;
    if (filed->pack.bytes > 0) {
        book.packs[book.pack_count++] = filed->pack;
    }
    book.filed_to = filed->to;
    log_file_committed(f->log, OK);
}

static void book_repack(void *user, const struct log_repacked *r)
{
    struct fixture *f = user;
    u32 first = 0;
    while (book.packs[first].id != r->inputs[0]) {
        first++;
    }
    u32 outputs = r->output.bytes > 0 ? 1 : 0;
    if (outputs > 0) {
        book.packs[first] = r->output;
    }
    u32 rest = first + r->input_count;
    memmove(&book.packs[first + outputs], &book.packs[rest],
            (book.pack_count - rest) * sizeof(book.packs[0]));
    book.pack_count -= r->input_count - outputs;
    log_repack_committed(f->log, OK);
}

static void book_damaged(void *user, const struct log_damage *damage)
{
    (void)user;
    assert_true(book.told_count < TOLD_MAX);
    book.told[book.told_count++] = *damage;
}

static void rot_none(void)
{
    rot = (struct rot){.first_opened = UINT64_MAX};
}

static void begin(struct fixture *f)
{
    book = (struct book){0};
    rot_none();
    current = f;
    fixture_init(f);
    f->params.file = book_file;
    f->params.repack = book_repack;
    f->params.damaged = book_damaged;
    f->params.start_packs = 1000; /* who opens a pack after the start is the scrubber */
    sound_ops = f->home->ops;
    rotten_ops = *sound_ops;
    rotten_ops.pack_open = rotten_open;
    f->home->ops = &rotten_ops;
    fixture_start(f);
}

static void rest(struct fixture *f)
{
    settle(f);
    u32 quiet = 0;
    for (u32 i = 0; i < 100000 && quiet < 3; i++) {
        bool busy = f->log->filing != FILING_IDLE || f->log->rewrite != REWRITE_IDLE;
        if (busy) {
            fake_io_advance(f->io, 5000000);
        }
        turn(f);
        quiet = busy ? 0 : quiet + 1;
    }
    assert_int_equal(quiet, 3);
}

static void fill(struct fixture *f, u64 bytes)
{
    u32 i = 0;
    for (u64 done = 0; done < bytes; done += BATCH_BYTES, i++) {
        while (!log_room(f->log, BATCH_BYTES + 1024)) {
            turn(f);
        }
        (void)append_plain(f, log_partition(f->log, i % PARTITIONS, 0), BATCH_BYTES);
        if (i % 16 == 15) {
            turn(f);
        }
    }
    rest(f);
}

/* All of it is in packs, and no more of them will come. */
static void fill_and_file(struct fixture *f, u64 bytes)
{
    fill(f, bytes);
    advance_ms(f, 61000);
    rest(f);
    advance_ms(f, 2000);
    rest(f);
    assert_true(book.pack_count > 0);
}

static void pass_ms(struct fixture *f, u64 ms)
{
    for (u64 done = 0; done < ms; done += 100) {
        advance_ms(f, 100);
        turns(f, 2);
    }
}

static u64 stored(void)
{
    u64 sum = 0;
    for (u32 i = 0; i < book.pack_count; i++) {
        sum += book.packs[i].bytes;
    }
    return sum;
}

static u64 counter(enum metric m)
{
    return metric_slots[m];
}

/* The run in the middle of the partition, in a pack. */
static struct run *run_middle(struct fixture *f, u32 partition, u64 *pack)
{
    struct partition *p = log_partition(f->log, partition, 0);
    struct run *r = &p->runs[p->run_count / 2];
    const struct log_object *o = &f->log->objects[place_object(r->place)];
    assert_true(log_id_is_pack(o->id));
    *pack = o->id & ~LOG_PACK_BIT;
    return r;
}

static err_t read_at(struct fixture *f, u32 partition, u64 offset)
{
    struct partition_read read = {.offset = offset,
                                  .limit_offset = UINT64_MAX,
                                  .bytes_max = 1,
                                  .one_batch = true,
                                  .whole_runs = true};
    return partition_read(log_partition(f->log, partition, 0), &read);
}

static void a_pass_takes_its_period_and_reads_all(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    u64 passes = counter(METRIC_log_scrub_passes_total);
    u64 bytes = counter(METRIC_log_scrub_bytes_total);
    rot.read_bytes = 0;
    log_scrub_every(f.log, PERIOD_MS);
    pass_ms(&f, PERIOD_MS / 2);
    assert_int_equal(counter(METRIC_log_scrub_passes_total), passes);
    u64 half = counter(METRIC_log_scrub_bytes_total) - bytes;
    assert_true(rot.read_bytes <= half / 5 * 6); /* what is read twice is little */
    assert_in_range(half, stored() / 10 * 4, stored() / 10 * 6);
    assert_int_equal(f.log->scrub != NULL && scrub_is_working(f.log), false);
    pass_ms(&f, PERIOD_MS / 2);
    assert_int_equal(counter(METRIC_log_scrub_passes_total), passes + 1);
    assert_in_range(counter(METRIC_log_scrub_pass_time_seconds), 1700000000, 1700001000);
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(counter(METRIC_log_scrub_passes_total), passes + 2);
    u64 both = counter(METRIC_log_scrub_bytes_total) - bytes;
    assert_in_range(both, stored() * 2, stored() / 10 * 22);
    assert_int_equal(book.told_count, 0);
    fixture_stop(&f);
}

static void a_rotten_run_is_quarantined_alone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    for (u32 id = 0; id < PARTITIONS; id++) {
        u64 pack;
        const struct run *r = run_middle(&f, id, &pack);
        u32 at[PARTITIONS] = {
            r->bytes - 1,       /* a record */
            7,                  /* the base offset */
            BATCH_AT_LENGTH,    /* the length */
            15,                 /* the leader epoch, which no batch's checksum covers */
            BATCH_HEADER_BYTES, /* the first record */
        };
        rot_at(pack, r->pos + at[id], 0x10);
        u64 base = r->base_offset;
        log_scrub_every(f.log, PERIOD_MS);
        u64 damage = counter(METRIC_log_scrub_damage_total);
        pass_ms(&f, PERIOD_MS);
        assert_int_equal(book.told_count, id + 1);
        const struct log_damage *d = &book.told[id];
        assert_int_equal(d->pack, pack);
        assert_int_equal(d->why, ERR_CORRUPT);
        assert_null(d->what);
        assert_int_equal(d->partition, id);
        assert_int_equal(d->base_offset, base);
        assert_in_range(d->at, r->pos, rot.pos);
        assert_int_equal(counter(METRIC_log_scrub_damage_total), damage + 1);
        assert_int_equal(read_at(&f, id, base), ERR_CORRUPT);
        assert_int_equal(read_at(&f, id, d->next_offset - 1), ERR_CORRUPT);
        assert_int_equal(read_at(&f, id, base - 1), OK);
        assert_int_equal(read_at(&f, id, d->next_offset), OK);
        pass_ms(&f, PERIOD_MS); /* it is told once */
        assert_int_equal(book.told_count, id + 1);
    }
    fixture_stop(&f);
}

static struct pack_layout layout_of(struct fixture *f, struct home_pack pack)
{
    struct pack_file *file;
    assert_int_equal(sound_ops->pack_open(f->home, pack.id, &file), OK);
    u8 block[PACK_UNIT];
    assert_int_equal(file->ops->read(file, block, sizeof(block), pack.bytes - sizeof(block)), OK);
    u8 first[PACK_UNIT];
    assert_int_equal(file->ops->read(file, first, sizeof(first), 0), OK);
    file->ops->close(file);
    struct pack_head head;
    assert_int_equal(pack_header_decode(first, f->home->cluster, pack.id, &head), OK);
    struct pack_layout l;
    assert_int_equal(
        pack_trailer_decode(block + PACK_UNIT - PACK_TRAILER_BYTES, head, pack.id, pack.bytes, &l),
        OK);
    return l;
}

static void rotten_index_is_told(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 8 * MIB);
    struct home_pack pack = book.packs[0];
    struct pack_layout l = layout_of(&f, pack);
    const struct {
        u32 pos;
        u32 at;
        const char *what;
    } cases[] = {
        {9, 0, "the header"},
        {l.runs_pos + 70, l.runs_pos, "the index"},
        {(u32)pack.bytes - 60, (u32)pack.bytes - PACK_TRAILER_BYTES, "the trailer"},
    };
    log_scrub_every(f.log, PERIOD_MS);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        rot = (struct rot){.pack = pack.id, .pos = cases[i].pos, .mask = 1};
        for (u32 ms = 0; ms < PERIOD_MS && book.told_count == i; ms += 100) {
            pass_ms(&f, 100);
        }
        rot.mask = 0;
        assert_int_equal(book.told_count, i + 1);
        const struct log_damage *d = &book.told[i];
        assert_int_equal(d->pack, pack.id);
        assert_int_equal(d->why, ERR_CORRUPT);
        assert_string_equal(d->what, cases[i].what);
        assert_int_equal(d->at, cases[i].at);
        assert_int_equal(read_at(&f, 0, 0), OK); /* the index in memory is good */
    }
    rot = (struct rot){.pack = pack.id, .missing = true};
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(book.told_count, ARRAY_LEN(cases) + 1);
    assert_int_equal(book.told[ARRAY_LEN(cases)].why, ERR_NOT_FOUND);
    assert_string_equal(book.told[ARRAY_LEN(cases)].what, "the file");
    fixture_stop(&f);
}

/* The index rots while its pack is being read: no run is blamed for it. */
static void the_index_may_rot_between_two_pieces(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 8 * MIB);
    struct home_pack pack = book.packs[0];
    struct pack_layout l = layout_of(&f, pack);
    assert_true(l.run_count > 20);
    log_scrub_every(f.log, PERIOD_MS);
    while (counter(METRIC_log_scrub_bytes_total) == 0 || rot.first_opened != pack.id) {
        pass_ms(&f, 100);
    }
    u32 last = l.runs_pos + (l.run_count - 1) * PACK_RUN_BYTES;
    rot_at(pack.id, last + 48, 4); /* the run's checksum, see formats.md */
    pass_ms(&f, PERIOD_MS);
    assert_true(book.told_count >= 1);
    for (u32 i = 0; i < book.told_count; i++) {
        assert_string_equal(book.told[i].what, "the index");
    }
    fixture_stop(&f);
}

static void what_cannot_be_read_is_told_and_read_around(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    u64 pack;
    const struct run *r = run_middle(&f, 3, &pack);
    rot.pack = pack;
    rot.broken_from = ROUND_UP(r->pos, (u32)PACK_UNIT); /* in no other run's blocks */
    rot.broken_to = rot.broken_from + 1;
    u64 passes = counter(METRIC_log_scrub_passes_total);
    log_scrub_every(f.log, PERIOD_MS);
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(counter(METRIC_log_scrub_passes_total), passes + 1);
    assert_int_equal(book.told_count, 1);
    assert_int_equal(book.told[0].why, ERR_IO);
    assert_int_equal(book.told[0].base_offset, r->base_offset);
    assert_int_equal(book.told[0].at, r->pos);
    assert_int_equal(read_at(&f, 3, r->base_offset), OK); /* the medium may think again */
    rot.broken_from = 0;
    rot.broken_to = 1;
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(book.told_count, 2);
    assert_int_equal(book.told[1].why, ERR_IO);
    assert_string_equal(book.told[1].what, "the header");
    fixture_stop(&f);
}

static void all_die(struct log *l)
{
    for (u32 id = 0; id < PARTITIONS; id++) {
        log_partition_remove(l, id);
    }
    for (u32 i = 0; i < PACKS_MAX && l->pack_count > 0; i++) {
        rewrite_turn(l);
    }
    assert_int_equal(l->pack_count, 0);
}

static void a_pack_that_goes_is_no_damage(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    log_scrub_every(f.log, PERIOD_MS);
    pass_ms(&f, PERIOD_MS / 8);
    rot.pack = book.packs[0].id;
    rot.broken_to = UINT32_MAX; /* and what it says then is not believed */
    rot.reading = all_die;
    pass_ms(&f, PERIOD_MS);
    assert_null(rot.reading);
    assert_int_equal(book.told_count, 0);
    assert_int_equal(book.pack_count, 0);
    assert_false(heap_linked(&f.log->rewrite_retry.node));
    u64 timers = fixture_timers(&f);
    log_scrub_every(f.log, 0);
    assert_int_equal(fixture_timers(&f), timers); /* with nothing stored none of ours ran */
    fixture_stop(&f);
}

/* Readers and rewriting quarantine without a word: the scrubber says it. */
static void what_was_quarantined_before_is_told(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    u64 pack;
    struct run *r = run_middle(&f, 4, &pack);
    r->flags |= RUN_QUARANTINED; /* as cold.c does */
    rot_at(pack, r->pos + 100, 1);
    u64 base = r->base_offset;
    log_scrub_every(f.log, PERIOD_MS);
    pass_ms(&f, 2 * PERIOD_MS);
    assert_int_equal(book.told_count, 1);
    assert_int_equal(book.told[0].base_offset, base);
    /* Copied with its damage, it is so in the new pack too, and told again. */
    for (u32 id = 0; id < 3; id++) {
        log_partition_remove(f.log, id);
    }
    rest(&f);
    assert_int_equal(object_find(f.log, pack | LOG_PACK_BIT), LOG_NO_OBJECT);
    assert_int_equal(read_at(&f, 4, base), ERR_CORRUPT);
    pass_ms(&f, 3 * PERIOD_MS);
    assert_int_equal(book.told_count, 2);
    assert_int_equal(book.told[1].base_offset, base);
    fixture_stop(&f);
}

/* A run that nobody can ask for any more is not worth a word. */
static void what_is_deleted_may_rot(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    u64 pack;
    const struct run *r = run_middle(&f, 1, &pack);
    rot_at(pack, r->pos + 100, 1);
    log_partition_remove(f.log, 1);
    log_scrub_every(f.log, PERIOD_MS);
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(book.told_count, 0);
    fixture_stop(&f);
}

static void it_is_off_and_changes_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    log_scrub_every(f.log, PERIOD_MS);
    log_scrub_every(f.log, 0);
    fill_and_file(&f, 40 * MIB);
    rot_none();
    pass_ms(&f, 2 * PERIOD_MS);
    assert_int_equal(rot.read_bytes, 0); /* off */
    u64 timers = fixture_timers(&f);
    u64 begun = counter(METRIC_log_scrub_bytes_total);
    log_scrub_every(f.log, 1000ll * PERIOD_MS);
    assert_int_equal(fixture_timers(&f), timers + 1);
    pass_ms(&f, PERIOD_MS);
    u64 slow = counter(METRIC_log_scrub_bytes_total) - begun;
    assert_in_range(slow, 1, 2 * MIB); /* one piece, soon after the start */
    log_scrub_every(f.log, PERIOD_MS);
    pass_ms(&f, PERIOD_MS);
    u64 all = counter(METRIC_log_scrub_bytes_total) - begun;
    assert_true(all >= stored());
    log_scrub_every(f.log, 0);
    assert_int_equal(fixture_timers(&f), timers);
    rot.read_bytes = 0;
    pass_ms(&f, 2 * PERIOD_MS);
    assert_int_equal(rot.read_bytes, 0);
    log_scrub_every(f.log, INT64_MAX); /* a long time is not a short one */
    pass_ms(&f, PERIOD_MS);
    assert_in_range(rot.read_bytes, 1, 4 * MIB);
    fixture_stop(&f);
}

static void with_nothing_stored_nothing_runs(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    turns(&f, 10);
    u64 timers = fixture_timers(&f);
    log_scrub_every(f.log, PERIOD_MS);
    assert_int_equal(fixture_timers(&f), timers);
    fixture_stop(&f);
}

/* Milliseconds until the next piece has been read. *bytes: of it. */
static u64 piece_ms(struct fixture *f, u64 *bytes)
{
    u64 begun = counter(METRIC_log_scrub_bytes_total);
    u64 begun_ns = io_now_ns(f->io);
    while (counter(METRIC_log_scrub_bytes_total) == begun) {
        advance_ms(f, 1);
        turns(f, 2);
        assert_true(io_now_ns(f->io) - begun_ns < PERIOD_MS * 1000000ull);
    }
    *bytes = counter(METRIC_log_scrub_bytes_total) - begun;
    return (io_now_ns(f->io) - begun_ns) / 1000000;
}

/* How long after a piece of so many bytes the next one comes. */
static u64 paced_ms(u64 bytes)
{
    return bytes * (PERIOD_MS / 16 * 15) / stored();
}

static void it_yields_but_not_for_ever(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    log_scrub_every(f.log, PERIOD_MS);
    u64 bytes;
    (void)piece_ms(&f, &bytes);
    for (u32 i = 0; i < 5; i++) {
        u64 wanted_ms = paced_ms(bytes);
        assert_in_range(piece_ms(&f, &bytes), wanted_ms - 2, wanted_ms + 4);
    }
    f.hold = true; /* a durable write that does not end */
    (void)append_plain(&f, log_partition(f.log, 0, 0), 100);
    turns(&f, 3);
    assert_true(f.log->writing > 0);
    u64 wanted_ms = paced_ms(bytes) + 100;
    assert_in_range(piece_ms(&f, &bytes), wanted_ms - 2, wanted_ms + 4);
    for (u32 i = 0; i < 5; i++) { /* what was waited is caught up with */
        wanted_ms = paced_ms(bytes);
        assert_in_range(piece_ms(&f, &bytes), wanted_ms - 4, wanted_ms + 4);
    }
    f.hold = false;
    fixture_complete(&f, 0, OK);
    settle(&f);
    fixture_stop(&f);
}

static void without_memory_it_tries_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 8 * MIB);
    u64 left = f.quota.cap - f.quota.used;
    u64 begun = counter(METRIC_log_scrub_bytes_total);
    log_scrub_every(f.log, PERIOD_MS);
    assert_true(quota_charge(&f.quota, left));
    pass_ms(&f, PERIOD_MS / 4);
    assert_int_equal(counter(METRIC_log_scrub_bytes_total), begun);
    quota_release(&f.quota, left);
    u64 used = f.quota.used;
    u64 bytes;
    (void)piece_ms(&f, &bytes);
    assert_int_equal(f.quota.used, used); /* nothing is held between two pieces */
    fixture_stop(&f);
}

static void note_drained(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

static void the_end_waits_for_a_visit(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 8 * MIB);
    log_scrub_every(f.log, PERIOD_MS);
    while (!scrub_is_working(f.log)) {
        fake_io_advance(f.io, 1000000);
        turn(&f);
    }
    bool drained = false;
    log_drain(f.log, note_drained, &drained);
    assert_false(drained);
    for (u32 i = 0; i < 20 && !drained; i++) {
        turn(&f);
        assert_false(drained && scrub_is_working(f.log));
    }
    assert_true(drained);
    u64 bytes = counter(METRIC_log_scrub_bytes_total);
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(counter(METRIC_log_scrub_bytes_total), bytes);
    fixture_stop(&f);
}

/* Destroyed with its io dead and a worker away for ever: the memory is given back. */
static void a_visit_may_never_end(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 8 * MIB);
    log_scrub_every(f.log, PERIOD_MS);
    while (!scrub_is_working(f.log)) {
        fake_io_advance(f.io, 1000000);
        turn(&f);
    }
    fixture_stop(&f);
}

static void restart(struct fixture *f)
{
    log_destroy(f->log);
    f->held_count = 0;
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    f->home->replayed = true;
    f->log = log_create(&f->params);
    assert_int_equal(log_recover_packs(f->log, book.packs, book.pack_count, 1, NULL), OK);
    f->wal++;
    assert_int_equal(log_start_wal(f->log, f->cluster, f->wal, f->wal * 7), OK);
}

/* A broker that never lives for a whole pass reads all of it all the same: every life begins soon,
   and anywhere. */
static void short_lives_come_to_all_packs(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 40 * MIB);
    assert_true(book.pack_count >= 2);
    bool seen[PACKS_MAX] = {false};
    u32 count = 0;
    for (u32 life = 0; life < 200 && count < book.pack_count; life++) {
        restart(&f);
        rot_none();
        log_scrub_every(f.log, PERIOD_MS);
        pass_ms(&f, PERIOD_MS / 64 + 200);
        u32 i = 0;
        while (i < book.pack_count && book.packs[i].id != rot.first_opened) {
            i++;
        }
        assert_true(i < book.pack_count);
        count += seen[i] ? 0 : 1;
        seen[i] = true;
    }
    assert_int_equal(count, book.pack_count);
    fixture_stop(&f);
}

/* What is filed while a pass goes on does not push back what it is about, and comes in its turn. */
static void packs_that_come_meanwhile_wait_their_turn(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    fill_and_file(&f, 24 * MIB);
    u64 passes = counter(METRIC_log_scrub_passes_total);
    log_scrub_every(f.log, PERIOD_MS);
    for (u32 i = 0; i < 4; i++) {
        fill(&f, 8 * MIB);
        pass_ms(&f, PERIOD_MS / 4);
    }
    assert_true(counter(METRIC_log_scrub_passes_total) > passes);
    u64 pack;
    const struct run *r = run_middle(&f, 2, &pack);
    rot_at(pack, r->pos, 1);
    pass_ms(&f, PERIOD_MS);
    assert_int_equal(book.told_count, 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_takes_its_period_and_reads_all),
        cmocka_unit_test(a_rotten_run_is_quarantined_alone),
        cmocka_unit_test(rotten_index_is_told),
        cmocka_unit_test(the_index_may_rot_between_two_pieces),
        cmocka_unit_test(what_cannot_be_read_is_told_and_read_around),
        cmocka_unit_test(a_pack_that_goes_is_no_damage),
        cmocka_unit_test(what_was_quarantined_before_is_told),
        cmocka_unit_test(what_is_deleted_may_rot),
        cmocka_unit_test(it_is_off_and_changes_at_once),
        cmocka_unit_test(with_nothing_stored_nothing_runs),
        cmocka_unit_test(it_yields_but_not_for_ever),
        cmocka_unit_test(without_memory_it_tries_again),
        cmocka_unit_test(the_end_waits_for_a_visit),
        cmocka_unit_test(a_visit_may_never_end),
        cmocka_unit_test(short_lives_come_to_all_packs),
        cmocka_unit_test(packs_that_come_meanwhile_wait_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
