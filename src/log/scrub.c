/* Scrubbing: every pack is read again and again, so that bits that have rotted are found while
   there is still a backup, and not by the reader who needs them. Called by the broker
   (log_scrub_every), by rewrite.c (there is a pack more) and by log.c.

     1. a timer: the next piece is due. If a durable write or a cold read is under way it waits a
        little, for what people wait for goes first
     2. a worker reads the piece and compares it with its checksums (pack_scrub in src/home/)
     3. runs that disagree are quarantined, as a read would have done; who owns the log is told,
   once in a session, also of those that were quarantined before
     4. the timer again: so long after the last piece that all packs are read once in a period

   The pack that comes next is the one that was longest not read; writing one counts, and rewriting
   checks what it copies. So each is read within a period after it was made or read. After a start
   nobody knows any more: among those not read since, one is chosen by chance, so that a broker that
   is often restarted still comes to all of them. Its first piece is read soon after the start.

   A pass is over when every pack that was there at its beginning has been read or is gone. The WAL
   is not scrubbed: what lies there longer than a minute is filed, and filing checks every batch.

   Nothing runs while there is no pack. Between two pieces nothing is held: no file, no memory.

   How it fails: the pack is gone, rewritten or buried while it was read: no damage, whatever was
   read. No memory: another time. The medium refuses to read, or header or index are not what was
   written: told once in a pass. */
#include "log/log_private.h"

enum { BUFFER_BYTES = 256 * 1024, PIECE_BYTES = 1024 * 1024 };
static const u64 SOON_NS = 10000000000ull;     /* after a start, or after having been off */
static const u64 RETRY_NS = 1000000000ull;     /* without memory */
static const u64 LATE_MAX_NS = 60000000000ull; /* that is caught up with */
static const u64 YIELD_NS = 2000000ull;        /* to others' I/O, again and again ... */
static const u64 YIELDS_MAX_NS = 100000000ull; /* ... for so long at most */

struct scrub_bad {
    struct pack_run run;
    err_t why;
    u32 at; /* byte of the file at which it begins to be wrong, as far as can be told */
};

struct scrub {
    struct log *log;
    struct io_timer timer; /* of the next piece */
    struct blob_pool pool;
    u64 period_ns; /* 0: off */

    /* where the pass is */
    u64 pass_ns;    /* packs not read since are still to come */
    u64 pass_bytes; /* read in it */
    u64 pack;       /* object id of the one that is being read; LOG_NO_ID: between two */
    u32 next_run;

    /* its pace */
    u64 last_ns;    /* when the last piece was due */
    u64 last_bytes; /* of it */
    u64 due_ns;     /* of the one that is being read */
    u64 hold_ns;    /* nothing is read before */

    /* the worker's visit */
    bool working;
    struct io_op op;
    struct pack_scrub piece;
    err_t result;
    struct blob *buffer;
    struct scrub_bad *bad;
    u32 bad_count;
    u32 bad_cap;
};

static void due(struct io_timer *t);
static void visit_done(struct io_op *op, i64 result);

void scrub_init(struct log *l)
{
    struct scrub *s = mem_alloc(sizeof(*s));
    s->log = l;
    s->timer.fired = due;
    s->pack = LOG_NO_ID;
    blob_pool_init(&s->pool, "scrubbing", l->params.quota, BUFFER_BYTES, 0);
    l->scrub = s;
}

static void visit_release(struct scrub *s)
{
    if (s->buffer != NULL) {
        blob_unref(s->buffer);
        s->buffer = NULL;
    }
    mem_free(s->bad);
    s->bad = NULL;
    s->bad_count = 0;
    s->bad_cap = 0;
}

void scrub_fini(struct log *l)
{
    struct scrub *s = l->scrub;
    io_timer_stop(l->io, &s->timer);
    visit_release(s); /* of a visit that io, which is dead, will never end */
    blob_pool_fini(&s->pool);
    mem_free(s);
    l->scrub = NULL;
}

bool scrub_is_working(const struct log *l)
{
    return l->scrub->working;
}

/* ---- when ------------------------------------------------------------------------------------ */

static u64 stored_bytes(const struct log *l)
{
    u64 sum = 0;
    for (u32 i = 0; i < l->pack_count; i++) {
        sum += l->objects[l->packs[i]].bytes;
    }
    return sum;
}

/* How long after the last piece the next one is due. A sixteenth of the period is kept for turns
   that come late and what is read twice. */
static u64 pace_ns(const struct scrub *s)
{
    u64 stored = stored_bytes(s->log);
    u64 share = MIN(s->last_bytes, stored);
    double whole = (double)(s->period_ns / 16 * 15);
    return stored == 0 ? 0 : (u64)(whole * (double)share / (double)stored);
}

static bool scrub_able(const struct log *l)
{
    return l->scrub->period_ns > 0 && l->started && l->older == NULL && !l->draining &&
           !l->fenced && l->pack_count > 0;
}

void scrub_wanted(struct log *l)
{
    struct scrub *s = l->scrub;
    if (s->working) {
        return; /* its end comes here */
    }
    if (!scrub_able(l)) {
        io_timer_stop(l->io, &s->timer);
        return;
    }
    u64 paced_ns = s->last_ns + pace_ns(s);
    io_timer_start(l->io, &s->timer, MAX(paced_ns, s->hold_ns));
}

void log_scrub_every(struct log *l, i64 period_ms)
{
    assert(period_ms >= 0);
    struct scrub *s = l->scrub;
    u64 period_ns = (u64)MIN(period_ms, INT64_MAX / 1000000) * 1000000;
    if (period_ns == s->period_ns) {
        return;
    }
    u64 now_ns = io_now_ns(l->io);
    if (s->period_ns == 0) {
        s->pass_ns = now_ns;
        s->pass_bytes = 0;
        s->last_ns = now_ns;
        s->last_bytes = 0;
        s->hold_ns = now_ns + MIN(SOON_NS, period_ns / 64);
    }
    s->period_ns = period_ns;
    scrub_wanted(l);
}

/* ---- which ----------------------------------------------------------------------------------- */

/* Tells the end of a pass when there is nothing of it left. */
static void pass_look(struct scrub *s)
{
    struct log *l = s->log;
    for (u32 i = 0; i < l->pack_count; i++) {
        if (l->objects[l->packs[i]].scrubbed_ns < s->pass_ns) {
            return;
        }
    }
    if (s->pass_bytes > 0) {
        metric_add(METRIC_log_scrub_passes_total, 1);
        metric_set(METRIC_log_scrub_pass_time_seconds, (u64)(io_wall_ms(l->io) / 1000));
    }
    s->pass_ns = io_now_ns(l->io) + 1; /* what was read until now is still to come again */
    s->pass_bytes = 0;
}

/* The pack that was longest not read; of several that were never, any. */
static u32 pack_choose(const struct log *l)
{
    u64 start;
    io_random(l->io, &start, sizeof(start));
    u32 best = l->packs[start % l->pack_count];
    for (u32 i = 0; i < l->pack_count; i++) {
        u32 index = l->packs[(start + i) % l->pack_count];
        if (l->objects[index].scrubbed_ns < l->objects[best].scrubbed_ns) {
            best = index;
        }
    }
    return best;
}

/* The pack the next piece is of. */
static const struct log_object *pack_current(struct scrub *s)
{
    struct log *l = s->log;
    u32 index = s->pack == LOG_NO_ID ? LOG_NO_OBJECT : object_find(l, s->pack);
    if (index == LOG_NO_OBJECT) {
        pass_look(s);
        index = pack_choose(l);
        s->pack = l->objects[index].id;
        s->next_run = 0;
    }
    return &l->objects[index];
}

/* ---- the worker's visit ---------------------------------------------------------------------- */

/* Called by the worker. */
static void run_bad(void *user, const struct pack_run *run, err_t why, const u8 *bytes)
{
    struct scrub *s = user;
    if (s->bad_count == s->bad_cap) {
        s->bad_cap = MAX(2 * s->bad_cap, 16u);
        s->bad = mem_resize(s->bad, s->bad_cap * sizeof(s->bad[0]));
    }
    u32 good = 0;
    if (bytes != NULL) {
        bool bad = false;
        good =
            run_verify(bytes, run->bytes, 0, run->bytes, run->base_offset, run->next_offset, &bad);
        good = bad && good < run->bytes ? good : 0; /* else only the run's checksum can tell */
    }
    s->bad[s->bad_count] = (struct scrub_bad){.run = *run, .why = why, .at = run->pos + good};
    s->bad_count++;
}

static void visit_run(void *arg)
{
    struct scrub *s = arg;
    s->result = pack_scrub(s->log->home, &s->piece);
}

static void visit_start(struct scrub *s)
{
    struct log *l = s->log;
    s->buffer = blob_get(&s->pool, BUFFER_BYTES);
    if (s->buffer == NULL) {
        seen("log: no memory for scrubbing");
        io_timer_start(l->io, &s->timer, io_now_ns(l->io) + RETRY_NS);
        return;
    }
    const struct log_object *o = pack_current(s);
    s->piece = (struct pack_scrub){
        .pack = {.id = o->id & ~LOG_PACK_BIT, .bytes = o->bytes},
        .buffer = s->buffer->data,
        .buffer_bytes = BUFFER_BYTES,
        .bytes_max = PIECE_BYTES,
        .bad = run_bad,
        .user = s,
        .next_run = s->next_run,
    };
    s->working = true;
    s->op.done = visit_done;
    io_work(l->io, &s->op, visit_run, s);
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void damage_tell(struct log *l, const struct log_damage *damage)
{
    metric_add(METRIC_log_scrub_damage_total, 1);
    if (l->params.damaged != NULL) {
        l->params.damaged(l->params.user, damage);
    }
}

/* A run that nobody can ask for is no damage. What readers, filing or rewriting have quarantined
   without a word is told here. */
static void run_damaged(struct log *l, u64 pack, const struct scrub_bad *bad)
{
    const struct pack_run *run = &bad->run;
    struct partition *p = map64_get(&l->partitions, run->partition);
    const struct log_range range = {
        .object = pack, .offset = run->base_offset, .pos = run->pos, .bytes = run->bytes};
    u32 i = p != NULL ? index_find_range(p, &range) : 0;
    if (p == NULL || i == p->run_count || (p->runs[i].flags & RUN_TOLD) != 0) {
        return;
    }
    if (bad->why == ERR_CORRUPT) {
        seen("log: quarantined by the scrubber");
        p->runs[i].flags |= RUN_QUARANTINED | RUN_TOLD;
    }
    const struct log_damage damage = {
        .pack = pack & ~LOG_PACK_BIT,
        .at = bad->at,
        .why = bad->why,
        .partition = run->partition,
        .base_offset = run->base_offset,
        .next_offset = run->next_offset,
    };
    damage_tell(l, &damage);
}

static void pack_through(struct scrub *s, u32 index)
{
    s->log->objects[index].scrubbed_ns = io_now_ns(s->log->io);
    s->pack = LOG_NO_ID;
    pass_look(s);
}

/* false: the piece is to be read again, later. */
static bool piece_done(struct scrub *s, u32 index, err_t result)
{
    struct log *l = s->log;
    const struct pack_scrub *piece = &s->piece;
    bool damaged = result == ERR_CORRUPT || result == ERR_VERSION || result == ERR_NOT_FOUND ||
                   result == ERR_IO;
    if (result != OK && !damaged) {
        return false;
    }
    for (u32 i = 0; i < s->bad_count; i++) {
        run_damaged(l, s->pack, &s->bad[i]);
    }
    s->last_bytes = piece->bytes;
    s->next_run = piece->next_run;
    if (damaged) {
        seen("log: the scrubber found a pack without its index");
        const struct log_damage damage = {
            .pack = piece->pack.id, .at = piece->at, .why = result, .what = piece->what};
        damage_tell(l, &damage);
        s->last_bytes = piece->pack.bytes;
    }
    metric_add(METRIC_log_scrub_bytes_total, piece->bytes);
    s->pass_bytes += s->last_bytes;
    if (damaged || piece->next_run == piece->run_count) {
        pack_through(s, index);
    }
    return true;
}

static void visit_done(struct io_op *op, i64 result)
{
    struct scrub *s = CONTAINER_OF(op, struct scrub, op);
    struct log *l = s->log;
    s->working = false;
    u64 now_ns = io_now_ns(l->io);
    u32 index = object_find(l, s->pack);
    bool done = true;
    if (index == LOG_NO_OBJECT) {
        seen("log: a pack went while it was scrubbed");
        s->last_bytes = s->piece.bytes;
    } else if (!l->draining) {
        done = piece_done(s, index, result < 0 ? (err_t)-result : s->result);
    }
    visit_release(s);
    log_wake(l, 0); /* who drains the log waits for us */
    if (done) {
        u64 late_max_ns = MIN(s->period_ns / 2, LATE_MAX_NS);
        s->last_ns = MAX(s->due_ns, now_ns - MIN(now_ns, late_max_ns));
        scrub_wanted(l);
    } else {
        io_timer_start(l->io, &s->timer, now_ns + RETRY_NS);
    }
}

/* ---- the timer ------------------------------------------------------------------------------- */

/* Somebody waits for the medium. */
static bool others_first(const struct log *l)
{
    return l->writing > 0 || !list_empty(&l->pending) || l->windows_reading > 0;
}

static void due(struct io_timer *t)
{
    struct scrub *s = CONTAINER_OF(t, struct scrub, timer);
    struct log *l = s->log;
    if (!scrub_able(l)) {
        return;
    }
    u64 now_ns = io_now_ns(l->io);
    u64 pace = pace_ns(s);
    s->due_ns = MAX(s->last_ns + pace, s->hold_ns);
    if (now_ns < s->due_ns) { /* there are fewer packs than when the timer was set */
        io_timer_start(l->io, t, s->due_ns);
        return;
    }
    /* Half the pace, so that what is waited here is caught up with. */
    if (others_first(l) && now_ns < s->due_ns + MIN(YIELDS_MAX_NS, pace / 2)) {
        seen("log: scrubbing waits for others");
        io_timer_start(l->io, t, now_ns + YIELD_NS);
        return;
    }
    visit_start(s);
}
