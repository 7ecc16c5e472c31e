/* Filing: moving stretches of the WAL into packs, so that the WAL stays bounded and its space can
   be used again. Called by wal.c (a slot is durable), by the turn's hook in log.c, and by the owner
   of the metadata (log_file_committed).

     FILING_IDLE        enough is unfiled, or it has waited long enough, or much of it has died:
                        choose a stretch
     FILING_BUILDING    a worker makes the pack (filing_build.c); its slots' chunks are pinned
     FILING_COMMITTING  params.file has the metadata say that the pack takes the slots' place
     FILING_APPLYING    the index learns it, some runs a turn; both places are good until the end
     then the home may use the slots' extents again

   A stretch is moved once, when there is time: sorted by partition it is read and reclaimed well.
   But moving writes everything a second time. While producers are so fast that it would cost them,
   files that the WAL has left become packs as they are (filing.h); what is worth sorting is then
   sorted by rewrite.c, in a calmer moment. So fast is KEEP_ABOVE_BYTES_PER_S, or what a slow disk
   has shown: three quarters of the rate at which the WAL filled up.

   Oldest first, one stretch at a time: recovery relies on a WAL being filed from its beginning, and
   on earlier WALs being filed before later ones.

   What is filed is the oldest part of what is still in memory, so that it need not be read again:
   filing begins when the unfiled part comes close to the size of the hot cache, and producers wait
   before it outgrows that. Otherwise they come to stay ahead of a filing that has to read
   everything back, three times slower than it would be without. A small cache is outgrown all the
   same.

   Space is looked at ahead: batches of users are only taken while what is free holds all that is
   unfiled once more, and the reserve. So filing always has the room it needs, the broker's own
   partitions and the metadata go on, and what is deleted comes back. Above that appends wait while
   filing gets on, then they are refused. While that lasts, and until it has been otherwise for
   a while, the file system is asked every half second.

   How it fails
     no space all the same, others took it: tried again every second. Meanwhile the WAL grows up to
   its bound; then appends are refused (wal_refuses) until it has been filed. a frame cannot be read
   as what it was written as: told once, and filing ends until a restart, which finds the damage and
   names it. anything else the medium says: the home is fenced. */
#include "log/filing.h"

#include <string.h>

enum { APPLY_RUNS_PER_TURN = 4096 };
static const u64 RETRY_SPACE_NS = 250000000;
static const u64 RETRY_MEMORY_NS = 20000000;
static const u64 DEAD_BYTES_MIN = 1 * MIB;
/* Of producers: faster, and writing everything twice would cost them. */
static const u64 KEEP_ABOVE_BYTES_PER_S = 256 * MIB;
/* Of what is not filed. Less where the cache holds less, but not so little that a burst waits. */
static const u64 WAL_BYTES_MAX = 512 * MIB;
static const u64 IN_MEMORY_BYTES_MIN = 64 * MIB;
static const u64 SPACE_LOOK_NS = 500000000;
/* At the edge space comes and goes many times a second, file by file. */
static const u64 SPACE_BACK_NS = 5000000000;

static void grown_old(struct io_timer *t);
static void space_look(struct io_timer *t);
static void retry(struct io_timer *t);
static void pause_over(struct io_timer *t);

void filing_init(struct log *l)
{
    l->filing_timer.fired = grown_old;
    l->filing_retry.fired = retry;
    l->space_look.fired = space_look;
    if (l->params.reserve_bytes == 0) {
        l->params.reserve_bytes = 96 * MIB; /* an extent made ahead, and half of one to move in */
    }
    l->filing_pace.pause.fired = pause_over;
    if (l->params.file_delay_ms == 0) {
        l->params.file_delay_ms = 60 * 1000;
    }
    /* An eighth of the cache: small enough to be taken from the rest of the budget. */
    l->filing_stretch_bytes = MAX(MIN(l->params.hot_bytes / 8, 64 * MIB), 1 * MIB);
    l->keep_above = KEEP_ABOVE_BYTES_PER_S;
    if (l->params.keep_run_bytes == 0) {
        l->params.keep_run_bytes = 8 * KIB;
    }
    if (l->params.stretch_bytes > 0) {
        l->filing_stretch_bytes = l->params.stretch_bytes;
    }
    u64 bound = l->params.wal_bytes_max > 0 ? l->params.wal_bytes_max : WAL_BYTES_MAX;
    u64 start = MIN(l->params.hot_bytes / 8 * 5, bound / 2);
    /* Before appends wait for it, in any case. */
    l->filing_start_bytes = MIN(MAX(start, l->filing_stretch_bytes), bound / 2);
    if (l->params.wal_bytes_max == 0) {
        u64 in_memory = l->params.hot_bytes / 8 * 7;
        l->bound_is_memory = in_memory > IN_MEMORY_BYTES_MIN;
        l->params.wal_bytes_max = l->bound_is_memory ? MIN(in_memory, bound) : bound;
    }
    u64 piece = MAX(MIN(l->filing_stretch_bytes / 16, 4 * MIB), 256 * KIB);
    /* One is kept: a fresh one would be touched, page by page, by each job. */
    blob_pool_init(&l->filing_pool, "filing", l->params.quota, piece, 1);
}

/* How much may be unfiled. Of batches of a MiB one fits into a chunk and not two: then half as much
   is in memory. And a large index leaves the cache less. */
static u64 unfiled_max(const struct log *l)
{
    u64 bound = l->params.wal_bytes_max;
    if (!l->bound_is_memory) {
        return bound;
    }
    u64 in_memory = index_leaves_cache(l) / 16 * 15 / LOG_CHUNK_BYTES * l->chunk_fill_bytes;
    return MIN(bound, MAX(in_memory, 2 * l->filing_stretch_bytes));
}

/* From here on it is filed. */
static u64 unfiled_start(const struct log *l)
{
    u64 bound = unfiled_max(l);
    return bound < l->params.wal_bytes_max ? MIN(l->filing_start_bytes, bound / 7 * 5)
                                           : l->filing_start_bytes;
}

static void job_free(struct filing_job *job)
{
    mem_free(job->frames);
    mem_free(job->compacted);
    mem_free(job->runs);
    mem_free(job->producers);
    mem_free(job);
}

u32 filing_wal_add(struct log *l, u64 wal, u64 nonce, u64 trim)
{
    u32 index = object_add(l, wal);
    struct log_object *o = &l->objects[index];
    o->nonce = nonce;
    o->trim = trim;
    o->slot_base = trim;
    o->slot_end = trim;
    if (l->unfiled_count == l->unfiled_cap) {
        l->unfiled_cap = MAX(2 * l->unfiled_cap, 4u);
        l->unfiled = mem_resize(l->unfiled, l->unfiled_cap * sizeof(l->unfiled[0]));
    }
    l->unfiled[l->unfiled_count] = index;
    l->unfiled_count++;
    return index;
}

void filing_wal_recovered(struct log *l, u32 index)
{
    const struct log_object *o = &l->objects[index];
    for (u64 slot = o->trim; slot < o->slot_end; slot++) {
        u64 bytes = object_slot_batch_bytes(l, index, slot);
        if (bytes > 0) {
            filing_unfiled(l, bytes);
        }
    }
    if (o->trim == o->slot_end) {
        assert(l->unfiled[l->unfiled_count - 1] == index);
        l->unfiled_count--;
        object_remove(l, index);
    }
}

/* ---- the stretch ----------------------------------------------------------------------------- */

static void chunks_pin(struct log *l, const struct filing_job *job, i32 by)
{
    for (u32 i = 0; i < job->slot_count; i++) {
        if (job->frames[i] == NULL) {
            continue;
        }
        const struct hot_slot *h = hot_find(l, job->from + i);
        assert(h != NULL); /* pinned chunks are not evicted */
        assert(by > 0 || h->chunk->pins > 0);
        h->chunk->pins = (u32)((i32)h->chunk->pins + by);
    }
}

/* Slots [from, from + *count) of the oldest WAL that is not wholly filed, as many as fit. */
static void stretch_find(const struct log *l, const struct log_object *wal, u32 *count)
{
    bool current = wal->id == l->wal;
    u64 end = current ? l->durable : wal->slot_end;
    u64 bytes = 0;
    u64 slot = wal->trim;
    for (; slot < end; slot++) {
        u64 next = object_slot_bytes(l, l->unfiled[0], slot);
        if (bytes > 0 && bytes + next > l->filing_stretch_bytes) {
            break;
        }
        bytes += next;
    }
    *count = (u32)(slot - wal->trim);
}

/* Finds the frames that are in memory; the sum of the others. */
static u64 frames_find(const struct log *l, struct filing_job *job, const struct log_object *wal)
{
    u64 cold = 0;
    for (u32 i = 0; i < job->slot_count; i++) {
        u64 slot = job->from + i;
        const struct hot_slot *h = wal->id == l->wal ? hot_find(l, slot) : NULL;
        if (h != NULL) {
            job->frames[i] = h->chunk->blob->data + h->offset;
        } else {
            cold += object_slot_bytes(l, l->unfiled[0], slot);
        }
    }
    return cold;
}

static struct blob *filing_blob(struct log *l, u64 bytes)
{
    struct blob *blob = blob_get(&l->filing_pool, bytes);
    while (blob == NULL && chunks_shrink(l)) {
        blob = blob_get(&l->filing_pool, bytes);
    }
    return blob;
}

static void job_release(struct log *l, struct filing_job *job)
{
    if (job->read_buffer != NULL) {
        blob_unref(job->read_buffer);
    }
    if (job->write_buffer != NULL) {
        blob_unref(job->write_buffer);
    }
    if (job->slots != NULL) {
        home_slots_free(job->slots);
    }
    chunks_pin(l, job, -1);
    job->read_buffer = NULL;
    job->write_buffer = NULL;
    job->slots = NULL;
    mem_free(job->frames);
    job->frames = NULL;
    job->slot_count = 0;
}

/* Memory and places for the job. false: not now. */
static bool job_prepare(struct log *l, struct filing_job *job, const struct log_object *wal)
{
    job->frames = mem_alloc(job->slot_count * sizeof(job->frames[0]));
    u64 cold = frames_find(l, job, wal);
    chunks_pin(l, job, 1);
    if (cold > 0) {
        job->read_buffer = filing_blob(l, cold);
        if (job->read_buffer == NULL) {
            return false;
        }
    }
    if ((cold > 0 || job->keep) &&
        home_slots_find(l->home, wal->id, wal->nonce, job->from, job->from + job->slot_count,
                        &job->slots) != OK) {
        return false;
    }
    metric_add(METRIC_log_filing_read_bytes_total, cold);
    job->write_buffer = filing_blob(l, l->filing_pool.usual_bytes);
    return job->write_buffer != NULL;
}

static void visit_done(struct io_op *op, i64 result);

static void visit_run(void *arg)
{
    filing_visit(arg);
}

static void visit_start(struct log *l)
{
    struct filing_job *job = l->filing_job;
    job->visit_bytes = pace_visit_begin(l, &l->filing_pace);
    job->write_bytes = pace_write_bytes(l);
    job->op.done = visit_done;
    io_work(l->io, &job->op, visit_run, job);
}

static void retry_later(struct log *l, u64 delay_ns)
{
    io_timer_start(l->io, &l->filing_retry, io_now_ns(l->io) + delay_ns);
}

static void retry(struct io_timer *t)
{
    (void)t; /* the turn's hook goes on */
}

/* All of a file is pinned, or read back, at once: with little memory it is moved in short
 * stretches. */
static bool stretch_fits(const struct log *l, u64 from, u64 to)
{
    u64 bytes = 0;
    u64 cold = 0;
    for (u64 slot = from; slot < to; slot++) {
        u64 slot_bytes = object_slot_bytes(l, l->unfiled[0], slot);
        bytes += slot_bytes;
        cold += hot_find(l, slot) == NULL ? slot_bytes : 0;
    }
    return bytes <= MAX(l->params.hot_bytes / 2, l->filing_stretch_bytes) &&
           cold <= l->filing_stretch_bytes;
}

/* Is there no time to move what is next, and is it all of a file that the WAL has left? */
static bool stretch_keep(struct log *l, const struct log_object *wal, u32 *count)
{
    u64 rate = pace_producers_rate(l);
    if (filing_is_pressed(l)) {
        l->keep_above = MIN(l->keep_above, rate / 4 * 3);
    }
    bool wanted = l->params.keep_always || filing_is_pressed(l) || rate > l->keep_above;
    u64 to;
    if (!wanted || l->keep_failed || wal->id != l->wal ||
        !home_slots_keepable(l->home, wal->trim, &to)) {
        return false;
    }
    assert(to <= l->durable);
    *count = (u32)(to - wal->trim);
    return stretch_fits(l, wal->trim, to);
}

/* Is the stretch of so many bytes most of its file? What is before it was moved and is dead weight.
 */
static bool job_is_most(const struct log *l, const struct filing_job *job, u64 bytes)
{
    u64 before = home_slots_position(job->slots, job->from);
    return l->params.keep_always || bytes >= (before + bytes) / 8 * 5;
}

static struct filing_job *job_make(struct log *l, const struct log_object *wal, bool keep,
                                   u32 count)
{
    struct filing_job *job = mem_alloc(sizeof(*job));
    job->log = l;
    job->home = l->home;
    job->wal = wal->id;
    job->from = wal->trim;
    job->pack_id = l->next_pack;
    job->slot_count = count;
    job->keep = keep;
    job->keep_run_bytes = l->params.keep_run_bytes;
    u64 bytes = 0;
    for (u64 slot = job->from; slot < job->from + count; slot++) {
        bytes += object_slot_bytes(l, l->unfiled[0], slot);
    }
    job->keep_bytes_min = l->params.keep_always ? 1 : bytes / 8 * 5;
    job->compacted_count = l->compacted_count;
    job->compacted = mem_alloc(l->compacted_count * sizeof(job->compacted[0]));
    for (u32 i = 0; i < l->compacted_count; i++) {
        job->compacted[i] = l->compacted[i];
    }
    if (!job_prepare(l, job, wal) || (keep && !job_is_most(l, job, bytes))) {
        job_release(l, job);
        job_free(job);
        return NULL;
    }
    return job;
}

static void filing_begin(struct log *l)
{
    const struct log_object *wal = &l->objects[l->unfiled[0]];
    struct filing_job *job = NULL;
    u32 rest = 0; /* of the file that might be kept: no stretch goes beyond, so the next may be */
    u32 count;
    if (stretch_keep(l, wal, &rest)) {
        job = job_make(l, wal, true, rest);
    }
    if (job == NULL) {
        stretch_find(l, wal, &count);
        count = rest > 0 ? MIN(count, rest) : count;
        assert(count > 0);
        job = job_make(l, wal, false, count);
        while (job == NULL && count > 1) { /* what is to be read back needs memory */
            seen("log: less is filed at once");
            count /= 2;
            job = job_make(l, wal, false, count);
        }
    }
    if (job == NULL) {
        seen("log: no memory for filing");
        retry_later(l, RETRY_MEMORY_NS);
        return;
    }
    if (job->keep) {
        seen("log: an extent may be kept");
        home_slots_keep(job->slots, true, job->pack_id);
        job->kept = true;
    }
    l->next_pack++;
    l->filing = FILING_BUILDING;
    l->filing_job = job;
    visit_start(l);
}

/* ---- at a pace --------------------------------------------------------------------------------
 */

static void pause_over(struct io_timer *t)
{
    visit_start(CONTAINER_OF(t, struct log, filing_pace.pause));
}

static void visit_next(struct log *l)
{
    l->filing_job->cancelled = l->draining;
    if (l->draining || pace_goes_on(l, &l->filing_pace)) {
        visit_start(l);
    }
}

/* The log is to end: what is half made is undone. */
static void filing_hurry(struct log *l)
{
    if (pace_hurry(l, &l->filing_pace)) {
        l->filing_job->cancelled = true;
        visit_start(l);
    }
}

/* ---- the pack is there ----------------------------------------------------------------------- */

static void filing_failed(struct log *l, err_t why)
{
    l->filing = FILING_IDLE;
    job_free(l->filing_job);
    l->filing_job = NULL;
    if (why == ERR_CANCELLED) {
        log_wake(l, 0); /* for the drain */
    } else if (why == ERR_NO_SPACE || why == ERR_EXISTS) {
        seen("log: no space for filing");
        if (!l->filing_no_space) {
            diag(MSG_filing_no_space, D_UINT("unfiled_bytes", l->unfiled_bytes));
        }
        l->filing_no_space = true;
        retry_later(l, RETRY_SPACE_NS);
    } else if (why == ERR_UNSUPPORTED) {
        seen("log: nothing can be kept here");
        l->keep_failed = true;
        log_wake(l, 0);
    } else if (why == ERR_CORRUPT || why == ERR_NOT_FOUND) {
        l->filing = FILING_STUCK;
        diag(MSG_filing_stuck, D_UINT("wal", l->objects[l->unfiled[0]].id),
             D_UINT("slot", l->objects[l->unfiled[0]].trim));
    } else {
        home_fence_now(l->home, "Writing a pack failed.");
        l->failure = l->failure == OK ? ERR_IO : l->failure;
        log_wake(l, 0);
    }
}

static void visit_done(struct io_op *op, i64 result)
{
    struct filing_job *job = CONTAINER_OF(op, struct filing_job, op);
    struct log *l = job->log;
    assert(l->filing_job == job);
    if (result >= 0 && !job->done) {
        visit_next(l);
        return;
    }
    if (job->kept && !job->keep) {
        seen("log: an extent is not kept after all");
        home_slots_keep(job->slots, false, 0);
    }
    job_release(l, job);
    err_t e = result < 0 ? (err_t)-result : job->result;
    if (e == OK && l->draining) {
        seen("log: a pack came too late");
        if (job->pack_bytes > 0) {
            home_pack_remove(l->home, job->pack_id);
        }
        e = ERR_CANCELLED;
    }
    if (e != OK) {
        filing_failed(l, e);
        return;
    }
    l->filing = FILING_COMMITTING;
    const struct log_filed filed = {
        .wal = job->wal,
        .from = job->from,
        .to = job->to,
        .pack = {.id = job->pack_id, .bytes = job->pack_bytes},
    };
    l->params.file(l->params.user, &filed);
}

void log_file_committed(struct log *l, err_t result)
{
    assert(l->filing == FILING_COMMITTING);
    struct filing_job *job = l->filing_job;
    if (result != OK) {
        if (job->pack_bytes > 0) {
            home_pack_remove(l->home, job->pack_id);
        }
        filing_failed(l, result);
        return;
    }
    if (l->filing_no_space) {
        seen("log: filing goes on");
        l->filing_no_space = false;
    }
    if (job->pack_bytes > 0) {
        l->filing_object = object_add(l, job->pack_id | LOG_PACK_BIT);
        struct log_object *o = &l->objects[l->filing_object];
        o->bytes = (u32)job->pack_bytes;
        o->payload_bytes = job->payload_bytes;
        o->statements = job->producer_count;
    }
    l->filing = FILING_APPLYING;
    l->filing_applied = 0;
    metric_add(METRIC_log_filed_bytes_total, job->payload_bytes);
    metric_add(METRIC_log_pack_write_bytes_total, job->written_bytes);
    log_wake(l, 0);
}

/* ---- the index learns it --------------------------------------------------------------------- */

static void unfiled_less(struct log *l, u64 to)
{
    l->filed_once = true;
    struct log_object *wal = &l->objects[l->unfiled[0]];
    for (; wal->trim < to; wal->trim++) {
        u64 bytes = object_slot_batch_bytes(l, l->unfiled[0], wal->trim);
        assert(l->unfiled_bytes >= bytes);
        if (bytes > 0) { /* where the dead lie is not known: everywhere alike */
            wal->dead_bytes -=
                (u64)((double)wal->dead_bytes * (double)bytes / (double)l->unfiled_bytes);
        }
        l->unfiled_bytes -= bytes;
    }
}

static void filing_finish(struct log *l)
{
    struct filing_job *job = l->filing_job;
    u32 index = l->unfiled[0];
    struct log_object *wal = &l->objects[index];
    unfiled_less(l, job->to);
    bool whole = wal->id != l->wal && wal->trim == wal->slot_end;
    home_wal_trim(l->home, wal->id, whole ? UINT64_MAX : wal->trim);
    object_slots_forget(l, index, wal->trim);
    if (wal->id == l->wal) {
        chunks_filed(l, wal->trim);
    }
    if (whole) {
        seen("log: a WAL is wholly filed");
        object_remove(l, index);
        l->unfiled_count--;
        memmove(l->unfiled, l->unfiled + 1, l->unfiled_count * sizeof(l->unfiled[0]));
    }
    if (job->pack_bytes > 0) {
        pack_filed(l, l->filing_object);
    }
    job_free(job);
    l->filing_job = NULL;
    l->filing = FILING_IDLE;
}

static void filing_apply(struct log *l)
{
    struct filing_job *job = l->filing_job;
    u32 until = MIN(l->filing_applied + APPLY_RUNS_PER_TURN, job->run_count);
    while (l->filing_applied < until) {
        const struct pack_run *first = &job->runs[l->filing_applied];
        u32 count = pack_runs_of_partition(first, job->run_count - l->filing_applied);
        struct partition *p = map64_get(&l->partitions, first->partition);
        if (p != NULL) {
            index_refile(p, first, count, run_place(l->filing_object, 0));
        }
        l->filing_applied += count;
    }
    if (l->filing_applied == job->run_count) {
        filing_finish(l);
    }
    log_wake(l, 0);
}

/* ---- space ----------------------------------------------------------------------------------- */

static void space_look(struct io_timer *t)
{
    home_space_look(CONTAINER_OF(t, struct log, space_look)->home);
}

/* Of slots on their way to the WAL, which then take room there and once more in a pack. */
static u64 pending_bytes(const struct log *l)
{
    u64 bytes = 0;
    LIST_EACH (&l->pending, n) {
        bytes += CONTAINER_OF(n, struct slot, node)->total_bytes;
    }
    return bytes;
}

u64 filing_space_left(const struct log *l)
{
    struct home_usage usage;
    home_usage(l->home, &usage);
    if (usage.free_bytes == UINT64_MAX || l->params.file == NULL) {
        return usage.free_bytes;
    }
    bool twice = l->filing == FILING_COMMITTING || l->filing == FILING_APPLYING;
    u64 free_bytes = usage.free_bytes + (twice ? l->filing_job->written_bytes : 0);
    return free_bytes - MIN(free_bytes, l->unfiled_bytes + 2 * pending_bytes(l));
}

static void space_turn(struct log *l)
{
    bool is_short = filing_space_left(l) < l->params.reserve_bytes;
    u64 now_ns = io_now_ns(l->io);
    if (is_short != l->space_short) {
        seen("log: space becomes short, or is there again");
        l->space_short = is_short;
        l->space_since_ns = now_ns;
        rewrite_wanted(l);
    }
    bool lasts = now_ns - l->space_since_ns >= SPACE_BACK_NS;
    if (l->space_told ? !is_short && lasts : is_short) {
        diag(is_short ? MSG_space_short : MSG_space_back,
             D_UINT("unfiled_bytes", l->unfiled_bytes));
        l->space_told = is_short;
    }
    if (l->space_told && !heap_linked(&l->space_look.node)) {
        io_timer_start(l->io, &l->space_look, io_now_ns(l->io) + SPACE_LOOK_NS);
    }
}

/* Is so much unfiled that filing it may give an extent back? */
static bool space_may_come(const struct log *l)
{
    return l->params.file != NULL && l->unfiled_bytes >= l->filing_stretch_bytes / 4;
}

/* ---- when ------------------------------------------------------------------------------------ */

static void age_restart(struct log *l)
{
    io_timer_start(l->io, &l->filing_timer,
                   io_now_ns(l->io) + (u64)l->params.file_delay_ms * 1000000);
}

/* Everything there is now goes, also what came a moment ago. */
static void grown_old(struct io_timer *t)
{
    struct log *l = CONTAINER_OF(t, struct log, filing_timer);
    l->filing_due = true;
    l->filing_due_slot = l->durable;
}

/* Is there still something of what was old when the timer fired? */
static bool due(const struct log *l)
{
    const struct log_object *wal = &l->objects[l->unfiled[0]];
    return l->filing_due && (wal->id != l->wal || wal->trim < l->filing_due_slot);
}

/* Also such as hold no batches. */
static bool slots_are_unfiled(const struct log *l)
{
    const struct log_object *wal = l->unfiled_count > 0 ? &l->objects[l->unfiled[0]] : NULL;
    return wal != NULL && (wal->id != l->wal || wal->trim < l->durable);
}

/* Much of what is unfiled has died: it costs little to file, and gives its space back. */
static bool unfiled_is_dead(const struct log *l)
{
    u64 dead = 0;
    for (u32 i = 0; i < l->unfiled_count; i++) {
        dead += l->objects[l->unfiled[i]].dead_bytes;
    }
    return dead >= l->unfiled_bytes / 8 * 3;
}

static bool filing_wanted(struct log *l)
{
    if (l->unfiled_bytes >= unfiled_start(l)) {
        return true;
    }
    if (l->space_short && space_may_come(l)) {
        return true;
    }
    if (l->unfiled_bytes >= DEAD_BYTES_MIN && unfiled_is_dead(l)) {
        return true;
    }
    if ((l->unfiled_bytes > 0 && due(l)) || (l->filing_rest && slots_are_unfiled(l))) {
        return true;
    }
    if (l->filing_due) {
        l->filing_due = false;
        if (l->unfiled_bytes > 0) {
            age_restart(l);
        }
    }
    return false;
}

static bool filing_able(const struct log *l)
{
    return l->filing == FILING_IDLE && l->params.file != NULL && l->started && !l->fenced &&
           l->failure == OK && !l->draining && !heap_linked(&l->filing_retry.node);
}

void log_file_rest(struct log *l)
{
    l->filing_rest = true;
    if (pace_hurry(l, &l->filing_pace)) {
        visit_start(l);
    }
    log_wake(l, 0);
}

bool log_rest_is_filed(const struct log *l)
{
    if (l->filing == FILING_COMMITTING || l->filing == FILING_APPLYING) {
        return l->fenced || l->failure != OK;
    }
    bool stuck = l->filing == FILING_STUCK || l->filing_no_space || l->params.file == NULL;
    bool nothing = !slots_are_unfiled(l) && l->filing == FILING_IDLE && wal_is_quiet(l);
    return nothing || stuck || !l->started || l->fenced || l->failure != OK;
}

void filing_turn(struct log *l)
{
    space_turn(l);
    if (l->filing == FILING_APPLYING) {
        filing_apply(l);
    }
    if (l->filing == FILING_BUILDING && l->draining) {
        filing_hurry(l);
    }
    if (filing_able(l) && filing_wanted(l)) {
        filing_begin(l);
    }
}

void filing_unfiled(struct log *l, u64 bytes)
{
    l->unfiled_bytes += bytes;
    l->durable_rate_bytes += bytes;
    if (l->params.file != NULL && !l->filing_due && !heap_linked(&l->filing_timer.node)) {
        age_restart(l);
    }
}

bool filing_is_building(const struct log *l)
{
    return l->filing == FILING_BUILDING;
}

void filing_compacts(struct log *l, u32 partition)
{
    if (l->compacted_count == l->compacted_cap) {
        l->compacted_cap = MAX(2 * l->compacted_cap, 64u);
        l->compacted = mem_resize(l->compacted, l->compacted_cap * sizeof(l->compacted[0]));
    }
    l->compacted[l->compacted_count] = partition;
    l->compacted_count++;
}

bool filing_is_pressed(const struct log *l)
{
    u64 bound = unfiled_max(l);
    u64 start = unfiled_start(l);
    return l->unfiled_bytes > start + (bound - MIN(start, bound)) / 4;
}

/* A process that was killed at full speed left the WAL at its bound. Who comes first after the
   start does not wait for a pack, but may add as much as one. */
bool filing_will_be_behind(const struct log *l, u64 more_bytes)
{
    u64 bound = unfiled_max(l) + (l->filed_once ? 0 : l->filing_stretch_bytes);
    bool full =
        l->params.file != NULL && l->unfiled_bytes + l->undurable_bytes + more_bytes >= bound;
    return full || (l->space_short && space_may_come(l));
}

bool filing_is_behind(const struct log *l)
{
    return filing_will_be_behind(l, 0);
}

bool filing_is_hopeless(const struct log *l)
{
    if (filing_is_behind(l)) {
        return l->filing_no_space || l->filing == FILING_STUCK;
    }
    return l->space_short;
}

void log_space(const struct log *l, struct log_space *out)
{
    struct home_usage usage;
    home_usage(l->home, &usage);
    *out = (struct log_space){
        .free_bytes = usage.free_bytes,
        .left_bytes = filing_space_left(l),
        .reserve_bytes = l->params.reserve_bytes,
        .unfiled_bytes = l->unfiled_bytes,
        .wal_bytes_max = unfiled_max(l),
        .is_short = l->space_short,
        .is_full = l->no_space,
        .cannot_file = l->filing_no_space,
        .is_stuck = l->filing == FILING_STUCK,
        .index_bytes = index_bytes(l),
        .index_wait_bytes = index_wait_bytes(l),
        .index_bytes_max = index_bytes_max(l),
        .index_is_behind = index_is_behind(l),
        .index_is_full = l->index_full,
    };
}

void filing_fini(struct log *l)
{
    io_timer_stop(l->io, &l->filing_timer);
    io_timer_stop(l->io, &l->filing_retry);
    io_timer_stop(l->io, &l->space_look);
    io_timer_stop(l->io, &l->filing_pace.pause);
    if (l->filing_job != NULL) { /* io is dead, or it is over but for the index */
        filing_build_free(l->filing_job);
        job_release(l, l->filing_job);
        job_free(l->filing_job);
        l->filing_job = NULL;
    }
    blob_pool_fini(&l->filing_pool);
    mem_free(l->unfiled);
    mem_free(l->compacted);
}
