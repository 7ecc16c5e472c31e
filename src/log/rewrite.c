/* Rewriting packs, so that space comes back and packs stay few. Called by filing.c and object.c
   (something may be worth it), by the turn's hook in log.c, and by the owner of the metadata
   (log_repack_committed).

   Dead packs, in which nothing lives, only go: up to eight neighbours with one command, also while
   others are being copied (burial_...). Under retention at full speed that is most of them.

   What else is worth it, the first that applies
     sparse   less than five eighths live (of two topics written side by side one may go): what does
              is copied, so that a topic kept for ever does not hold the space of deleted ones
     small    eight neighbours of a size become one, when for a second no pack was filed: what comes
              as fast as that may go as fast. And not of the last of the space

     REWRITE_IDLE -> INDEXING (worker) -> COPYING (worker) -> COMMITTING -> APPLYING -> IDLE
     COPIED in between when a burial's command is on its way: there is one at a time.

   Between the visits of the worker the loop marks what is dead; what dies later is copied in vain
   and makes the new pack sparse. Neighbours in the list stay neighbours: a partition's offsets
   ascend along it, which is what a start relies on.

   How it fails: no space, no memory: another time. An input cannot be read: it is left alone until
   a restart names the damage. Anything else the medium says: the home is fenced. */
#include "log/rewrite.h"

#include <string.h>

enum {
    MARK_RUNS_PER_TURN = 8192,
    APPLY_RUNS_PER_TURN = 4096,
    MERGED_BYTES_MAX = 1 << 30,
    BUFFER_BYTES = 256 * 1024,
};
static const u64 RETRY_NS = 1000000000;
static const u64 CALM_NS = 1000000000;

static void retry(struct io_timer *t)
{
    (void)t; /* the turn's hook goes on */
}

static void calm(struct io_timer *t)
{
    rewrite_wanted(CONTAINER_OF(t, struct log, rewrite_calm));
}

void rewrite_init(struct log *l)
{
    l->rewrite_calm.fired = calm;
    l->rewrite_retry.fired = retry;
    blob_pool_init(&l->rewrite_pool, "rewriting", l->params.quota, BUFFER_BYTES, 0);
}

static void buffers_release(struct rewrite_job *job)
{
    for (u32 i = 0; i <= REWRITE_INPUTS_MAX; i++) {
        if (job->buffers[i] != NULL) {
            blob_unref(job->buffers[i]);
            job->buffers[i] = NULL;
        }
    }
}

static void job_free(struct rewrite_job *job)
{
    buffers_release(job);
    mem_free(job->runs);
    mem_free(job->producers);
    mem_free(job->written);
    mem_free(job);
}

void rewrite_fini(struct log *l)
{
    io_timer_stop(l->io, &l->rewrite_retry);
    io_timer_stop(l->io, &l->rewrite_calm);
    if (l->burial != NULL) {
        job_free(l->burial);
        l->burial = NULL;
    }
    if (l->rewrite_job != NULL) { /* io is dead, or it is over but for the index */
        job_free(l->rewrite_job);
        l->rewrite_job = NULL;
    }
    blob_pool_fini(&l->rewrite_pool);
    mem_free(l->packs);
}

void pack_filed(struct log *l, u32 object)
{
    if (l->pack_count == l->pack_cap) {
        l->pack_cap = MAX(2 * l->pack_cap, 16u);
        l->packs = mem_resize(l->packs, l->pack_cap * sizeof(l->packs[0]));
    }
    l->packs[l->pack_count] = object;
    l->pack_count++;
    io_timer_start(l->io, &l->rewrite_calm, io_now_ns(l->io) + CALM_NS);
    rewrite_wanted(l);
    scrub_wanted(l);
}

void rewrite_wanted(struct log *l)
{
    l->rewrite_due = true;
    l->burial_due = true;
}

bool rewrite_is_working(const struct log *l)
{
    return l->rewrite == REWRITE_INDEXING || l->rewrite == REWRITE_COPYING;
}

/* ---- what is worth it ------------------------------------------------------------------------ */

static struct log_object *pack_at(const struct log *l, u32 i)
{
    return &l->objects[l->packs[i]];
}

static bool pack_is_dead(const struct log_object *o)
{
    return o->live_bytes == 0;
}

static bool pack_is_sparse(const struct log_object *o)
{
    return !pack_is_dead(o) && o->live_bytes < o->payload_bytes / 8 * 5;
}

/* Packs [i, i + *count) of the list: neighbours of a size that are worth merging. A size is a power
   of eight times a stretch of the WAL. */
static bool neighbours_at(const struct log *l, u32 i, u32 *count)
{
    u64 size = l->filing_stretch_bytes;
    while (size < pack_at(l, i)->payload_bytes) {
        size *= REWRITE_INPUTS_MAX;
    }
    u64 bytes = 0;
    u32 end = i;
    for (; end < l->pack_count && end - i < REWRITE_INPUTS_MAX; end++) {
        const struct log_object *o = pack_at(l, end);
        if (pack_is_dead(o) || o->payload_bytes > size ||
            bytes + o->live_bytes > MERGED_BYTES_MAX || o->busy) {
            break;
        }
        bytes += o->live_bytes;
    }
    *count = end - i;
    return *count == REWRITE_INPUTS_MAX;
}

/* live_max: more than that would not fit beside the old packs. */
static bool candidates_find(const struct log *l, bool (*is)(const struct log_object *),
                            u64 live_max, u32 *first)
{
    for (u32 i = 0; i < l->pack_count; i++) {
        const struct log_object *o = pack_at(l, i);
        if (!o->busy && o->live_bytes <= live_max && is(o)) {
            *first = i;
            return true;
        }
    }
    return false;
}

/* The first run of dead neighbours. */
static bool dead_find(const struct log *l, u32 *first, u32 *count)
{
    if (!candidates_find(l, pack_is_dead, 0, first)) {
        return false;
    }
    u32 end = *first + 1;
    while (end < l->pack_count && end - *first < REWRITE_INPUTS_MAX && !pack_at(l, end)->busy &&
           pack_is_dead(pack_at(l, end))) {
        end++;
    }
    *count = end - *first;
    return true;
}

/* A sparse one, else small ones. Dead ones are not among them: they are buried. */
static bool inputs_find(const struct log *l, u32 *first, u32 *count)
{
    *count = 1;
    u64 left = filing_space_left(l);
    if (candidates_find(l, pack_is_sparse, left / 2, first)) {
        return true;
    }
    if (heap_linked(&l->rewrite_calm.node) || left < l->params.reserve_bytes + MERGED_BYTES_MAX) {
        return false;
    }
    for (u32 i = 0; i + REWRITE_INPUTS_MAX <= l->pack_count; i++) {
        if (!pack_at(l, i)->busy && neighbours_at(l, i, count)) {
            *first = i;
            return true;
        }
    }
    return false;
}

/* ---- the worker's visits --------------------------------------------------------------------- */

static void index_run(void *arg)
{
    rewrite_index(arg);
}

static void copy_run(void *arg)
{
    rewrite_copy(arg);
}

static void job_end(struct log *l)
{
    struct rewrite_job *job = l->rewrite_job;
    for (u32 i = 0; i < job->input_count; i++) {
        l->objects[job->objects[i]].busy = false;
    }
    job_free(job);
    l->rewrite_job = NULL;
    l->rewrite = REWRITE_IDLE;
    l->rewrite_due = true;
    log_wake(l, 0);
}

static void retry_later(struct log *l)
{
    io_timer_start(l->io, &l->rewrite_retry, io_now_ns(l->io) + RETRY_NS);
}

static void rewrite_failed(struct log *l, err_t why)
{
    struct rewrite_job *job = l->rewrite_job;
    bool damaged = why == ERR_CORRUPT || why == ERR_NOT_FOUND || why == ERR_VERSION;
    u64 pack = job->inputs[0].id;
    u32 count = job->input_count;
    u32 objects[REWRITE_INPUTS_MAX];
    memcpy(objects, job->objects, sizeof(objects));
    job_end(l);
    if (damaged) {
        for (u32 i = 0; i < count; i++) {
            l->objects[objects[i]].busy = true; /* and so it stays */
        }
        diag(MSG_rewrite_damaged, D_UINT("pack", pack), D_UINT("packs", count));
        return;
    }
    if (why == ERR_IO) {
        home_fence_now(l->home, "Rewriting a pack failed.");
        l->failure = l->failure == OK ? ERR_IO : l->failure;
        return;
    }
    retry_later(l);
}

static void job_commit(struct log *l, const struct rewrite_job *job)
{
    struct log_repacked r = {
        .input_count = job->input_count,
        .output = {.id = job->pack_id, .bytes = job->pack_bytes},
    };
    for (u32 i = 0; i < job->input_count; i++) {
        r.inputs[i] = job->inputs[i].id;
    }
    l->params.repack(l->params.user, &r);
}

static void rewrite_commit(struct log *l)
{
    if (l->burial != NULL) {
        seen("log: a rewritten pack waits for a burial");
        l->rewrite = REWRITE_COPIED;
        return;
    }
    l->rewrite = REWRITE_COMMITTING;
    job_commit(l, l->rewrite_job);
}

static void visit_done(struct io_op *op, i64 result)
{
    struct rewrite_job *job = CONTAINER_OF(op, struct rewrite_job, op);
    struct log *l = job->log;
    assert(l->rewrite_job == job);
    err_t e = result < 0 ? (err_t)-result : job->result;
    bool copied = l->rewrite == REWRITE_COPYING;
    if (e == OK && l->draining) {
        if (copied && job->pack_bytes > 0) {
            home_pack_remove(l->home, job->pack_id);
        }
        e = ERR_CANCELLED;
    }
    if (e != OK) {
        rewrite_failed(l, e);
    } else if (copied) {
        buffers_release(job);
        rewrite_commit(l);
    } else {
        l->rewrite = REWRITE_MARKING;
        l->rewrite_at = 0;
        log_wake(l, 0);
    }
}

static void visit_start(struct log *l, enum rewrite_state state, void (*fn)(void *arg))
{
    l->rewrite = state;
    l->rewrite_job->op.done = visit_done;
    io_work(l->io, &l->rewrite_job->op, fn, l->rewrite_job);
}

static bool buffers_take(struct log *l, struct rewrite_job *job)
{
    for (u32 i = 0; i <= job->input_count; i++) {
        job->buffers[i] = blob_get(&l->rewrite_pool, BUFFER_BYTES);
        if (job->buffers[i] == NULL) {
            return false;
        }
    }
    return true;
}

static struct rewrite_job *job_make(struct log *l, u32 first, u32 count)
{
    struct rewrite_job *job = mem_alloc(sizeof(*job));
    job->log = l;
    job->home = l->home;
    job->input_count = count;
    for (u32 i = 0; i < count; i++) {
        struct log_object *o = pack_at(l, first + i);
        job->objects[i] = l->packs[first + i];
        job->inputs[i] = (struct home_pack){.id = o->id & ~LOG_PACK_BIT, .bytes = o->bytes};
    }
    return job;
}

static void inputs_busy(struct log *l, const struct rewrite_job *job, bool busy)
{
    for (u32 i = 0; i < job->input_count; i++) {
        l->objects[job->objects[i]].busy = busy;
    }
}

static void rewrite_begin(struct log *l, u32 first, u32 count)
{
    struct rewrite_job *job = job_make(l, first, count);
    if (!buffers_take(l, job)) {
        job_free(job);
        retry_later(l);
        return;
    }
    inputs_busy(l, job, true);
    job->pack_id = l->next_pack;
    l->next_pack++;
    l->rewrite_job = job;
    visit_start(l, REWRITE_INDEXING, index_run);
}

/* Which runs nobody will ask for, some a turn. */
static void rewrite_mark(struct log *l)
{
    struct rewrite_job *job = l->rewrite_job;
    u32 until = MIN(l->rewrite_at + MARK_RUNS_PER_TURN, job->run_count);
    for (; l->rewrite_at < until; l->rewrite_at++) {
        struct rewrite_run *r = &job->runs[l->rewrite_at];
        const struct partition *p = map64_get(&l->partitions, r->run.partition);
        r->dead = p == NULL || r->run.next_offset <= p->start_offset;
    }
    if (l->rewrite_at == job->run_count) {
        visit_start(l, REWRITE_COPYING, copy_run);
    } else {
        log_wake(l, 0);
    }
}

/* ---- the new pack takes the place of the old ones -------------------------------------------- */

static void burial_committed(struct log *l, err_t result);

void log_repack_committed(struct log *l, err_t result)
{
    if (l->burial != NULL) {
        burial_committed(l, result);
        return;
    }
    assert(l->rewrite == REWRITE_COMMITTING);
    struct rewrite_job *job = l->rewrite_job;
    if (result != OK) {
        if (job->pack_bytes > 0) {
            home_pack_remove(l->home, job->pack_id);
        }
        rewrite_failed(l, result);
        return;
    }
    if (job->pack_bytes > 0) {
        l->rewrite_object = object_add(l, job->pack_id | LOG_PACK_BIT);
        struct log_object *o = &l->objects[l->rewrite_object];
        o->bytes = (u32)job->pack_bytes;
        o->payload_bytes = job->payload_bytes;
        metric_add(METRIC_log_pack_write_bytes_total, job->pack_bytes);
    }
    l->rewrite = REWRITE_APPLYING;
    l->rewrite_at = 0;
    log_wake(l, 0);
}

/* The list has the output where the inputs were. */
static void packs_replace(struct log *l, const struct rewrite_job *job, u32 output)
{
    u32 first = 0;
    while (l->packs[first] != job->objects[0]) {
        first++;
        assert(first < l->pack_count);
    }
    u32 outputs = job->pack_bytes > 0 ? 1 : 0;
    if (outputs > 0) {
        l->packs[first] = output;
    }
    u32 rest = first + job->input_count;
    memmove(&l->packs[first + outputs], &l->packs[rest],
            (l->pack_count - rest) * sizeof(l->packs[0]));
    l->pack_count -= job->input_count - outputs;
}

static void inputs_remove(struct log *l, const struct rewrite_job *job)
{
    for (u32 i = 0; i < job->input_count; i++) {
        struct log_object *o = &l->objects[job->objects[i]];
        assert(o->live_bytes == 0);
        (void)o;
        object_remove(l, job->objects[i]);
        home_pack_remove(l->home, job->inputs[i].id);
    }
}

static void rewrite_finish(struct log *l)
{
    struct rewrite_job *job = l->rewrite_job;
    packs_replace(l, job, l->rewrite_object);
    inputs_remove(l, job);
    job->input_count = 0; /* their objects are gone */
    job_end(l);
}

static void rewrite_apply(struct log *l)
{
    struct rewrite_job *job = l->rewrite_job;
    u32 until = MIN(l->rewrite_at + APPLY_RUNS_PER_TURN, job->written_count);
    while (l->rewrite_at < until) {
        const struct pack_run *first = &job->written[l->rewrite_at];
        u32 count = pack_runs_of_partition(first, job->written_count - l->rewrite_at);
        struct partition *p = map64_get(&l->partitions, first->partition);
        if (p != NULL) {
            index_refile(p, first, count, run_place(l->rewrite_object, 0));
        }
        l->rewrite_at += count;
    }
    if (l->rewrite_at == job->written_count) {
        rewrite_finish(l);
    } else {
        log_wake(l, 0);
    }
}

/* ---- dead packs ------------------------------------------------------------------------------ */

static void burial_begin(struct log *l)
{
    u32 first;
    u32 count;
    if (!dead_find(l, &first, &count)) {
        l->burial_due = false;
        return;
    }
    seen("log: dead packs go");
    l->burial = job_make(l, first, count);
    inputs_busy(l, l->burial, true);
    job_commit(l, l->burial);
}

static void burial_committed(struct log *l, err_t result)
{
    struct rewrite_job *job = l->burial;
    l->burial = NULL;
    if (result == OK) {
        packs_replace(l, job, LOG_NO_OBJECT);
        inputs_remove(l, job);
    } else {
        inputs_busy(l, job, false);
        retry_later(l); /* no room for metadata; or the home is fenced, then nothing is retried */
    }
    job_free(job);
    if (l->rewrite == REWRITE_COPIED) {
        rewrite_commit(l);
    }
    log_wake(l, 0);
}

/* ---- when ------------------------------------------------------------------------------------ */

static bool rewrite_able(const struct log *l)
{
    return l->params.repack != NULL && l->started && !l->fenced && l->failure == OK &&
           !l->draining && !heap_linked(&l->rewrite_retry.node);
}

void rewrite_turn(struct log *l)
{
    if (l->rewrite == REWRITE_APPLYING) {
        rewrite_apply(l);
    } else if (l->rewrite == REWRITE_MARKING) {
        rewrite_mark(l);
    }
    if (!rewrite_able(l)) {
        return;
    }
    if (l->burial_due && l->burial == NULL && l->rewrite != REWRITE_COMMITTING) {
        burial_begin(l);
    }
    if (!l->rewrite_due || l->rewrite != REWRITE_IDLE) {
        return;
    }
    u32 first;
    u32 count;
    if (inputs_find(l, &first, &count)) {
        rewrite_begin(l, first, count);
    } else {
        l->rewrite_due = false;
    }
}
