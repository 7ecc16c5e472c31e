/* Proves, on the simulated disk, that filing loses nothing whatever ends a life: sessions write
   slots, file stretches of their own and of earlier WALs into packs, trim, rewrite and remove packs
   and read, until the process is killed or the power is cut in the middle of any call. Every next
   life must find each acknowledged slot that was not filed, each pack that was named, and nothing
   else.

   The test stands for the metadata log: what it notes in `past` when a completion comes is durable.
 */
#include "../unit.h"

#include "frames.h"
#include "home/home.h"
#include "sim/sim_io.h"

enum {
    SEEDS = 60,
    LIVES = 8,
    WALS_MAX = LIVES + 1,
    SLOTS_MAX = 300,
    PACKS_MAX = 200,
    PACK_RUNS_MAX = 40,
    FLIGHTS = 6,
    EXTENT_BYTES = 32 * KIB,
    BATCH_BYTES_MAX = 3000,
    BUFFER_BYTES = 64 * KIB,
};

static u8 pack_buffer[BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
static u8 frame_buffer[BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));

/* ---- what is durable, and what was ever made ---------------------------------------------------
 */

struct past_slot {
    u64 hash;    /* of the header */
    u32 bytes;   /* of the frame */
    u32 content; /* of these those in front of the padding, of which nothing is promised */
    u32 crc;     /* of the content */
};

struct past_wal {
    u64 nonce;
    u64 trim;
    u64 sealed; /* UINT64_MAX: not yet */
    u64 made;
    u64 acked; /* every slot below it is durable */
    struct past_slot slots[SLOTS_MAX];
};

struct past_pack {
    struct home_pack pack;
    u32 run_count;
    struct pack_run runs[PACK_RUNS_MAX];
};

struct past {
    struct world world;
    struct rng disk_rng;
    struct sim_disk *disk;
    struct sim_net *net;
    struct uuid cluster;
    u64 wal_count; /* the last one is this life's */
    struct past_wal wals[WALS_MAX];
    u32 pack_count;
    struct past_pack packs[PACKS_MAX]; /* sorted by id */
    u64 next_pack;
    /* how much of it all happened */
    u32 filed;
    u32 rewritten;
    u32 refused; /* for space */
    u32 reads;
    u64 trimmed_slots;
};

/* ---- one life ----------------------------------------------------------------------------------
 */

struct life;
struct flight {
    struct home_write write;
    struct made_frame frame;
    struct life *life;
    bool busy;
};

/* A stretch of a WAL, or a pack, on its way into a new pack. */
struct filing {
    struct io_op op;
    bool busy;
    struct life *life;
    struct home_slots *slots; /* NULL: a pack is rewritten */
    u64 wal;                  /* index */
    u64 from;
    u64 to;
    struct past_pack source;
    struct past_pack made;
    u32 content_crc[PACK_RUNS_MAX]; /* per slot */
    err_t result;
};

struct reading {
    struct home_read read;
    struct life *life;
    bool busy;
    u32 crc;
};

struct life {
    struct past *past;
    struct io *io;
    struct quota quota;
    struct home *home;
    struct blob_pool pool;
    struct past_wal *wal;
    u64 chain;
    u64 offset;
    bool written[SLOTS_MAX];
    bool full;
    struct flight flights[FLIGHTS];
    struct filing filing;
    struct reading reading;
    u64 scan_next; /* the slot that a scan has to deliver next */
    const struct past_wal *scanned;
    u32 loaded;
    const struct past_pack *loading;
};

/* ---- writing -----------------------------------------------------------------------------------
 */

static void slot_written(struct home_write *w, err_t result)
{
    struct flight *flight = CONTAINER_OF(w, struct flight, write);
    struct life *l = flight->life;
    made_frame_free(&flight->frame);
    flight->busy = false;
    if (result == ERR_NO_SPACE) {
        l->full = true; /* it might be tried again; this life does not */
        return;
    }
    assert_int_equal(result, OK);
    l->written[w->slot] = true;
    while (l->wal->acked < l->wal->made && l->written[l->wal->acked]) {
        l->wal->acked++;
    }
}

static void slot_write(struct life *l)
{
    struct flight *flight = l->flights;
    while (flight < l->flights + FLIGHTS && flight->busy) {
        flight++;
    }
    if (flight == l->flights + FLIGHTS || l->wal->made == SLOTS_MAX || l->full) {
        return;
    }
    struct world *w = &l->past->world;
    u32 batches = (u32)chance_between(w, 0, 4);
    struct frame_spec spec = {
        .kind = batches == 0 ? FRAME_MARK : FRAME_DATA,
        .cluster = l->past->cluster,
        .wal = l->past->wal_count,
        .slot = l->wal->made,
        .nonce = l->wal->nonce,
        .chain = l->chain,
        .durable_slot = l->wal->acked,
        .batch_count = batches,
        .batch_bytes_max = BATCH_BYTES_MAX,
        .first_offset = l->offset,
    };
    made_frame_make(&w->rng, &spec, &flight->frame);
    l->offset = flight->frame.next_offset;
    l->chain = frame_header_hash(flight->frame.data);
    const struct frame_header *h = &flight->frame.header;
    u32 content = h->index_pos + h->index_count * FRAME_ENTRY_BYTES;
    l->wal->slots[l->wal->made] = (struct past_slot){.hash = l->chain,
                                                     .bytes = h->total_bytes,
                                                     .content = content,
                                                     .crc = crc32c(flight->frame.data, content)};
    flight->busy = true;
    flight->life = l;
    flight->write = (struct home_write){.done = slot_written,
                                        .slot = l->wal->made,
                                        .frame = flight->frame.data,
                                        .bytes = flight->frame.bytes};
    l->wal->made++;
    home_wal_write(l->home, &flight->write);
}

/* ---- filing ------------------------------------------------------------------------------------
 */

static err_t run_put(struct pack_writer *w, struct past_pack *made, u32 bytes)
{
    made->runs[made->run_count] = (struct pack_run){
        .partition = made->run_count,
        .next_offset = 1,
        .pos = pack_position(w),
        .bytes = bytes,
        .crc = crc32c(frame_buffer, bytes),
        .batches = 1,
    };
    made->run_count++;
    return pack_write(w, frame_buffer, bytes);
}

static err_t slots_copy(struct filing *f, struct pack_writer *w)
{
    for (u64 slot = f->from; slot < f->to; slot++) {
        u32 bytes;
        TRY(home_slots_read(f->slots, slot, frame_buffer, sizeof(frame_buffer), &bytes));
        u32 content = f->life->past->wals[f->wal].slots[slot].content;
        f->content_crc[slot - f->from] = crc32c(frame_buffer, content);
        TRY(run_put(w, &f->made, bytes));
    }
    return OK;
}

static err_t pack_copy(struct filing *f, struct pack_writer *w)
{
    static u8 reader_buffer[BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct pack_reader *r;
    TRY(pack_open(f->life->home, f->source.pack, reader_buffer, sizeof(reader_buffer), &r));
    err_t e = OK;
    for (u32 i = 0; e == OK && i < f->source.run_count; i++) {
        const struct pack_run *run = &f->source.runs[i];
        e = pack_bytes(r, run->pos, run->bytes, frame_buffer);
        if (e == OK) {
            e = run_put(w, &f->made, run->bytes);
        }
    }
    pack_close(r);
    return e;
}

static err_t pack_make(struct filing *f)
{
    struct pack_writer *w;
    struct home *h = f->life->home;
    TRY(pack_create(h, f->made.pack.id, pack_buffer, sizeof(pack_buffer), &w));
    err_t e = f->slots != NULL ? slots_copy(f, w) : pack_copy(f, w);
    if (e != OK) {
        pack_abandon(w);
        return e;
    }
    return pack_finish(w, f->made.runs, f->made.run_count, NULL, 0, &f->made.pack.bytes);
}

static void filing_run(void *arg)
{
    struct filing *f = arg;
    f->result = pack_make(f);
}

static void pack_forget(struct past *past, u64 id)
{
    u32 at = 0;
    while (past->packs[at].pack.id != id) {
        at++;
        assert_true(at < past->pack_count);
    }
    past->pack_count--;
    memmove(&past->packs[at], &past->packs[at + 1],
            (past->pack_count - at) * sizeof(past->packs[0]));
}

/* The pack is durable: now it is named, and what it replaces is not any more. */
static void filing_done(struct io_op *op, i64 result)
{
    struct filing *f = CONTAINER_OF(op, struct filing, op);
    struct life *l = f->life;
    struct past *past = l->past;
    (void)result;
    f->busy = false;
    if (f->slots != NULL) {
        home_slots_free(f->slots);
    }
    if (f->result == ERR_NO_SPACE) {
        past->refused++; /* and nothing is changed by it */
        return;
    }
    assert_int_equal(f->result, OK);
    assert_true(past->pack_count < PACKS_MAX);
    past->packs[past->pack_count] = f->made;
    past->pack_count++;
    if (f->slots == NULL) {
        past->rewritten++;
        pack_forget(past, f->source.pack.id);
        home_pack_remove(l->home, f->source.pack.id);
        return;
    }
    struct past_wal *wal = &past->wals[f->wal];
    for (u64 slot = f->from; slot < f->to; slot++) {
        assert_int_equal(f->content_crc[slot - f->from], wal->slots[slot].crc);
    }
    past->filed++;
    past->trimmed_slots += f->to - wal->trim;
    wal->trim = f->to;
    home_wal_trim(l->home, f->wal + 1, f->to);
}

static void filing_start(struct life *l)
{
    struct past *past = l->past;
    struct world *w = &past->world;
    if (l->filing.busy || past->pack_count + 2 > PACKS_MAX) {
        return;
    }
    struct filing *f = &l->filing;
    *f = (struct filing){.op = {.done = filing_done}, .life = l};
    f->made.pack.id = past->next_pack;
    if (past->pack_count > 0 && chance(w, 1, 3)) {
        f->source = past->packs[chance_between(w, 0, past->pack_count - 1)];
    } else {
        f->wal = chance_between(w, 0, past->wal_count - 1);
        const struct past_wal *wal = &past->wals[f->wal];
        if (wal->trim == wal->acked) {
            return;
        }
        f->from = wal->trim;
        f->to = chance_between(w, f->from + 1, MIN(wal->acked, f->from + PACK_RUNS_MAX));
        assert_int_equal(
            home_slots_find(l->home, f->wal + 1, wal->nonce, f->from, f->to, &f->slots), OK);
    }
    past->next_pack++;
    f->busy = true;
    io_work(l->io, &f->op, filing_run, f);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static void read_done(struct home_read *read, err_t result)
{
    struct reading *r = CONTAINER_OF(read, struct reading, read);
    r->busy = false;
    /* Also when it was trimmed or removed meanwhile. */
    assert_int_equal(result, OK);
    assert_int_equal(crc32c(read->blob->data + read->blob_offset, read->bytes), r->crc);
    r->life->past->reads++;
    blob_unref(read->blob);
}

static void reading_start(struct life *l)
{
    struct past *past = l->past;
    struct world *w = &past->world;
    struct reading *r = &l->reading;
    if (r->busy) {
        return;
    }
    r->life = l;
    r->read = (struct home_read){.done = read_done};
    bool of_pack = past->pack_count > 0 && chance(w, 1, 2);
    if (of_pack) {
        const struct past_pack *p = &past->packs[chance_between(w, 0, past->pack_count - 1)];
        const struct pack_run *run = &p->runs[chance_between(w, 0, p->run_count - 1)];
        r->read.wal = p->pack.id;
        r->read.pos = run->pos;
        r->read.bytes = run->bytes;
        r->crc = run->crc;
    } else {
        u64 at = chance_between(w, 0, past->wal_count - 1);
        const struct past_wal *wal = &past->wals[at];
        if (wal->trim == wal->acked) {
            return;
        }
        r->read.wal = at + 1;
        r->read.slot = chance_between(w, wal->trim, wal->acked - 1);
        r->read.bytes = wal->slots[r->read.slot].content;
        r->crc = wal->slots[r->read.slot].crc;
    }
    r->read.blob = blob_get(&l->pool, home_read_room(l->home, r->read.bytes));
    r->busy = true;
    (of_pack ? home_pack_read : home_wal_read)(l->home, &r->read);
}

/* ---- starting ----------------------------------------------------------------------------------
 */

static err_t meta_ignore(void *user, u64 slot, struct slice payload)
{
    (void)user;
    (void)slot;
    (void)payload;
    return OK;
}

static err_t scan_slot(void *user, const struct frame_header *h, const struct frame_entry *entries,
                       u32 count)
{
    struct life *l = user;
    (void)entries;
    (void)count;
    assert_int_equal(h->slot, l->scan_next);
    assert_true(h->slot < l->scanned->made);
    assert_int_equal(h->total_bytes, l->scanned->slots[h->slot].bytes);
    assert_int_equal(h->chain, h->slot == 0 ? 0 : l->scanned->slots[h->slot - 1].hash);
    l->scan_next++;
    return OK;
}

static void scan_damaged(void *user, u64 wal, u64 slot, const struct frame_entry *entry)
{
    (void)user;
    (void)entry;
    fail_msg("WAL %llu slot %llu is damaged", (unsigned long long)wal, (unsigned long long)slot);
}

/* What ends every verb when the io has died. */
static bool died(struct life *l, err_t e)
{
    if (sim_io_dead(l->io)) {
        return true;
    }
    if (e != OK) {
        fail_msg("%s: %s", err_name(e), home_reason(l->home));
    }
    return false;
}

static bool wal_find(struct life *l, u64 at)
{
    struct past_wal *wal = &l->past->wals[at];
    struct home_wal_visitor v = {.user = l, .slot = scan_slot, .damaged = scan_damaged};
    u64 length;
    l->scanned = wal;
    l->scan_next = wal->trim;
    err_t e = home_wal_scan(l->home, at + 1, wal->nonce, wal->trim, wal->sealed, &v, &length);
    if (died(l, e)) {
        return false;
    }
    assert_int_equal(l->scan_next, length);
    assert_true(length >= wal->acked);
    assert_true(wal->sealed == UINT64_MAX || length == wal->sealed);
    wal->sealed = length;
    wal->acked = length;
    wal->made = length;
    return true;
}

static err_t load_runs(void *user, const struct pack_run *runs, u32 count)
{
    struct life *l = user;
    for (u32 i = 0; i < count; i++) {
        assert_true(l->loaded < l->loading->run_count);
        assert_int_equal(runs[i].crc, l->loading->runs[l->loaded].crc);
        assert_int_equal(runs[i].pos, l->loading->runs[l->loaded].pos);
        l->loaded++;
    }
    return OK;
}

static err_t load_producers(void *user, const struct pack_producer *producers, u32 count)
{
    (void)user;
    (void)producers;
    fail_msg("%u producers that were never written", count);
    return OK;
}

static bool packs_find(struct life *l)
{
    struct past *past = l->past;
    struct home_pack keep[PACKS_MAX];
    for (u32 i = 0; i < past->pack_count; i++) {
        keep[i] = past->packs[i].pack;
    }
    u64 next;
    if (died(l, home_packs_sweep(l->home, keep, past->pack_count, &next))) {
        return false;
    }
    assert_true(next <= past->next_pack);
    past->next_pack = next;
    struct home_pack_visitor v = {.user = l, .runs = load_runs, .producers = load_producers};
    for (u32 i = 0; i < past->pack_count; i++) {
        l->loading = &past->packs[i];
        l->loaded = 0;
        if (died(l, home_pack_load(l->home, keep[i], &v))) {
            return false;
        }
        assert_int_equal(l->loaded, past->packs[i].run_count);
    }
    return true;
}

/* false: the io has died on the way. */
static bool life_start(struct life *l)
{
    struct past *past = l->past;
    struct home_meta_visitor v = {.user = l, .snapshot = meta_ignore, .slot = meta_ignore};
    u64 next;
    if (died(l, home_open(l->home, &past->cluster)) ||
        died(l, home_meta_replay(l->home, &v, &next)) ||
        (next == 0 && died(l, home_meta_write_now(l->home, 0, SLICE_LIT("")))) || !packs_find(l)) {
        return false;
    }
    for (u64 at = 0; at < past->wal_count; at++) {
        if (!wal_find(l, at)) {
            return false;
        }
        bool retired = past->wals[at].trim == past->wals[at].sealed;
        home_wal_trim(l->home, at + 1, retired ? UINT64_MAX : past->wals[at].trim);
    }
    l->wal = &past->wals[past->wal_count];
    *l->wal = (struct past_wal){.nonce = chance_between(&past->world, 1, UINT64_MAX - 1),
                                .sealed = UINT64_MAX};
    past->wal_count++;
    return !died(l, home_wal_start(l->home, past->wal_count, l->wal->nonce));
}

static void life_run(struct life *l)
{
    struct world *w = &l->past->world;
    for (u32 i = 0; i < 1200 && !sim_io_dead(l->io); i++) {
        if (chance(w, 1, 2)) {
            slot_write(l);
        }
        if (chance(w, 1, 3)) {
            filing_start(l);
        }
        if (chance(w, 1, 4)) {
            reading_start(l);
        }
        io_turn(l->io, true);
    }
}

static void life_end(struct life *l)
{
    struct past *past = l->past;
    sim_io_die(l->io);
    if (l->filing.busy && l->filing.slots != NULL) {
        home_slots_free(l->filing.slots);
    }
    home_destroy(l->home);
    io_destroy(l->io);
    if (l->reading.busy) {
        blob_unref(l->reading.read.blob);
    }
    for (u32 i = 0; i < FLIGHTS; i++) {
        if (l->flights[i].busy) {
            made_frame_free(&l->flights[i].frame);
        }
    }
    blob_pool_fini(&l->pool);
    if (chance(&past->world, 1, 2)) {
        sim_disk_power_cut(past->disk);
    } else if (sim_disk_process_end(past->disk)) {
        sim_disk_late_arrive(past->disk);
    }
}

/* In some lives, after the start. */
static void disk_fills_up(struct life *l)
{
    struct world *w = &l->past->world;
    const struct sim_faults faults = {
        .write_fails_in = SIM_NEVER,
        .read_fails_in = SIM_NEVER,
        .full_in = chance(w, 1, 4) ? (i32)chance_between(w, 0, 200) : SIM_NEVER,
        .full_calls = (i32)chance_between(w, 1, 10),
    };
    sim_io_faults(l->io, &faults);
}

/* The last life only has to find everything. */
static void life(struct past *past, bool last)
{
    static struct life l;
    struct world *w = &past->world;
    l = (struct life){.past = past};
    bool in_write = !last && chance(w, 1, 2);
    bool first = past->next_pack == 0;
    const struct sim_io_params params = {
        .world = &past->world,
        .disk = past->disk,
        .net = past->net,
        .disk_usual_ns = 100 * SIM_US,
        .disk_rare_ns = 10 * SIM_MS,
        .faults = {.write_fails_in = SIM_NEVER, .read_fails_in = SIM_NEVER, .full_in = SIM_NEVER},
        .end = {.at_call = last || first ? 0 : chance_between(w, 1, 12000),
                .in_wal_write = in_write ? (i32)chance_between(w, 0, 300) : SIM_NEVER,
                .in_meta_write = SIM_NEVER},
    };
    l.io = sim_io_create(&params);
    quota_init(&l.quota, "test", NULL, 64 * MIB);
    blob_pool_init(&l.pool, "reads", &l.quota, 8192, 0);
    struct home_disk_params home = {
        .directory = "data", .extent_bytes = EXTENT_BYTES, .quota = &l.quota};
    l.home = home_disk_create(l.io, &home);
    if (life_start(&l)) {
        disk_fills_up(&l);
        life_run(&l);
    }
    life_end(&l);
}

static void run_seed(u64 seed, struct past *past)
{
    *past = (struct past){0};
    world_init(&past->world, seed, false);
    rng_seed(&past->disk_rng, seed);
    past->disk = sim_disk_create(&past->disk_rng);
    const struct sim_net_knobs net = {
        .pipe_bytes = 4096, .delay_ns = SIM_MS, .delay_rare_ns = SIM_MS};
    past->net = sim_net_create(&past->world, &net);
    for (u32 i = 0; i < LIVES && past->wal_count < WALS_MAX; i++) {
        sim_disk_plant(past->disk, chance(&past->world, 1, 2));
        life(past, false);
    }
    life(past, true);
    sim_net_destroy(past->net);
    sim_disk_destroy(past->disk);
    world_fini(&past->world);
}

static void test_lives(void **state)
{
    (void)state;
    static struct past past;
    struct rng rng = unit_rng();
    u64 first = rng_next(&rng) % 1000000;
    u32 filed = 0;
    u32 rewritten = 0;
    u32 refused = 0;
    u32 reads = 0;
    u64 trimmed = 0;
    for (u64 seed = first; seed < first + SEEDS; seed++) {
        run_seed(seed, &past);
        filed += past.filed;
        rewritten += past.rewritten;
        refused += past.refused;
        reads += past.reads;
        trimmed += past.trimmed_slots;
    }
    print_message("%u stretches of %llu slots filed, %u packs rewritten, %u refused, %u reads\n",
                  filed, (unsigned long long)trimmed, rewritten, refused, reads);
    assert_true(filed > SEEDS);
    assert_true(rewritten > SEEDS);
    assert_true(refused > SEEDS / 20);
    assert_true(reads > 10 * SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
