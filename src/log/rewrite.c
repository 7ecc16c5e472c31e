/* Rewriting packs, so that space comes back and packs stay few. Called by filing.c and object.c
   (something may be worth it), by the turn's hook in log.c, and by the owner of the metadata
   (log_repack_committed).

   Two jobs may be under way, each with its own inputs:

   A burial, of packs in which no record lives: up to eight neighbours with one command, also while
   others are being copied. Under retention at full speed that is most of them. What they say of
   producers that are not forgotten stays all the same, as in Kafka (producer.id.expiration.ms): it
   goes into a new pack, which has nothing else. Such a pack is buried in turn with the next one
   beside it that dies, or goes into the next one beside it that is copied; and it goes when its
   producers are forgotten or their partitions deleted. So there is never more than one of them
   between two packs with records.

   A copy, of what else is worth it, the first that applies
     sparse   less than five eighths live (of two topics written side by side one may go): what does
              is copied, so that a topic kept for ever does not hold the space of deleted ones
     small    eight neighbours of a size become one, when for a second no pack was filed: what comes
              as fast as that may go as fast. Or when the index has become large: what is sorted
              has fewer entries. And not of the last of the space

     IDLE -> INDEXING (worker) -> MARKING -> COPYING (worker, at a pace) -> COMMITTING -> APPLYING
     COPIED in between when the other one's command is on its way: there is one at a time. Packs
     without producers are buried without a look into them.

   Between the visits of the worker the loop marks what is dead; what dies later is copied in vain
   and makes the new pack sparse. Neighbours in the list stay neighbours: a partition's offsets
   ascend along it, which is what a start relies on, and so do the statements of a producer.

   How it fails: no space, no memory: another time. An input cannot be read: it is left alone until
   a restart names the damage. Anything else the medium says: the home is fenced. */
#include "log/rewrite.h"

#include <string.h>

enum {
    MARKS_PER_TURN = 8192,
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

static void outlived(struct io_timer *t)
{
    CONTAINER_OF(t, struct log, burial_timer)->burial_due = true;
}

static void pause_over(struct io_timer *t);

void rewrite_init(struct log *l)
{
    l->burial_timer.fired = outlived;
    l->rewrite_pace.pause.fired = pause_over;
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
    rewrite_build_free(job);
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
    io_timer_stop(l->io, &l->burial_timer);
    io_timer_stop(l->io, &l->rewrite_pace.pause);
    if (l->burial_job != NULL) {
        job_free(l->burial_job);
        l->burial_job = NULL;
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
    return l->rewrite == REWRITE_INDEXING || l->rewrite == REWRITE_COPYING ||
           l->burial == REWRITE_INDEXING || l->burial == REWRITE_COPYING;
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

/* What a burial leaves. */
static bool pack_has_only_producers(const struct log_object *o)
{
    return o->payload_bytes == 0;
}

static bool pack_is_sparse(const struct log_object *o)
{
    return !pack_is_dead(o) && o->live_bytes < o->payload_bytes / 8 * 5;
}

/* Packs [i, i + *count) of the list: neighbours of a size that are worth merging. A size is a power
   of eight times a stretch of the WAL. None is most of them: what is big would be copied again for
   every few small ones beside it. */
static bool neighbours_at(const struct log *l, u32 i, u32 *count)
{
    u64 size = l->filing_stretch_bytes;
    while (size < pack_at(l, i)->payload_bytes) {
        size *= REWRITE_INPUTS_MAX;
    }
    u64 bytes = 0;
    u64 largest = 0;
    u32 end = i;
    for (; end < l->pack_count && end - i < REWRITE_INPUTS_MAX; end++) {
        const struct log_object *o = pack_at(l, end);
        bool buried = pack_is_dead(o) && !pack_has_only_producers(o);
        if (buried || o->payload_bytes > size || bytes + o->live_bytes > MERGED_BYTES_MAX ||
            o->busy) {
            break;
        }
        bytes += o->live_bytes;
        largest = MAX(largest, o->live_bytes);
    }
    *count = end - i;
    return *count == REWRITE_INPUTS_MAX && largest <= bytes / 2;
}

/* live_max: more than that would not fit beside the old packs. */
static bool sparse_find(const struct log *l, u64 live_max, u32 *first)
{
    for (u32 i = 0; i < l->pack_count; i++) {
        const struct log_object *o = pack_at(l, i);
        if (!o->busy && o->live_bytes <= live_max && pack_is_sparse(o)) {
            *first = i;
            return true;
        }
    }
    return false;
}

static bool pack_is_burial_input(const struct log *l, u32 i)
{
    return i < l->pack_count && !pack_at(l, i)->busy && pack_is_dead(pack_at(l, i));
}

/* One of producers only: may all, or some, of what it says go? */
static bool pack_may_shrink(const struct log *l, const struct log_object *o)
{
    return o->removals != l->removals || o->outlived_ns <= io_now_ns(l->io);
}

/* The first neighbours in which no record lives and that are worth a burial: one had records, or
   there are several, or there is less to be said of producers than there was. */
static bool dead_find(const struct log *l, u32 *first, u32 *count)
{
    u32 end;
    for (u32 i = 0; i < l->pack_count; i = MAX(end, i + 1)) {
        bool worth = false;
        end = i;
        for (; end - i < REWRITE_INPUTS_MAX && pack_is_burial_input(l, end); end++) {
            const struct log_object *o = pack_at(l, end);
            worth = worth || end > i || !pack_has_only_producers(o) || pack_may_shrink(l, o);
        }
        if (worth) {
            *first = i;
            *count = end - i;
            return true;
        }
    }
    return false;
}

/* The packs of producers only beside one that is copied go into the new one. */
static void widen(const struct log *l, u32 *first, u32 *count)
{
    u32 next = *first + *count;
    if (pack_is_burial_input(l, next) && pack_has_only_producers(pack_at(l, next))) {
        ++*count;
    }
    if (*first > 0 && pack_is_burial_input(l, *first - 1) &&
        pack_has_only_producers(pack_at(l, *first - 1))) {
        --*first;
        ++*count;
    }
}

/* A sparse one, else small ones. Dead ones are not among them: they are buried. */
static bool inputs_find(const struct log *l, u32 *first, u32 *count)
{
    *count = 1;
    u64 left = filing_space_left(l);
    if (sparse_find(l, left / 2, first)) {
        widen(l, first, count);
        return true;
    }
    bool is_calm = !heap_linked(&l->rewrite_calm.node);
    if ((!is_calm && !index_is_large(l)) || left < l->params.reserve_bytes + MERGED_BYTES_MAX) {
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

/* ---- jobs ------------------------------------------------------------------------------------ */

static void index_run(void *arg)
{
    rewrite_index(arg);
}

static void copy_run(void *arg)
{
    rewrite_copy(arg);
}

static bool job_is_burial(const struct rewrite_job *job)
{
    return job->state == &job->log->burial;
}

static void inputs_busy(struct log *l, const struct rewrite_job *job, bool busy)
{
    for (u32 i = 0; i < job->input_count; i++) {
        l->objects[job->objects[i]].busy = busy;
    }
}

static void job_end(struct rewrite_job *job)
{
    struct log *l = job->log;
    *job->state = REWRITE_IDLE;
    if (job_is_burial(job)) {
        l->burial_job = NULL;
    } else {
        l->rewrite_job = NULL;
    }
    job_free(job);
    rewrite_wanted(l);
    log_wake(l, 0);
}

/* Those who wait for the index to get smaller go on. */
static void room_look(struct log *l)
{
    if (!list_empty(&l->room_waiters)) {
        log_wake(l, 0);
    }
}

static void retry_later(struct log *l)
{
    io_timer_start(l->io, &l->rewrite_retry, io_now_ns(l->io) + RETRY_NS);
    room_look(l);
}

static void job_failed(struct rewrite_job *job, err_t why)
{
    struct log *l = job->log;
    if (why == ERR_CORRUPT || why == ERR_NOT_FOUND || why == ERR_VERSION) {
        /* They are busy, and so it stays. */
        diag(MSG_rewrite_damaged, D_UINT("pack", job->inputs[0].id),
             D_UINT("packs", job->input_count));
        job_end(job);
        return;
    }
    inputs_busy(l, job, false);
    job_end(job);
    if (why == ERR_IO) {
        home_fence_now(l->home, "Rewriting a pack failed.");
        l->failure = l->failure == OK ? ERR_IO : l->failure;
        return;
    }
    retry_later(l);
}

static bool buffer_take(struct rewrite_job *job, u32 i)
{
    struct log *l = job->log;
    do {
        job->buffers[i] = blob_get(&l->rewrite_pool, BUFFER_BYTES);
    } while (job->buffers[i] == NULL && chunks_shrink(l));
    return job->buffers[i] != NULL;
}

/* Of a burial nothing but the index is read. */
static bool buffers_take(struct rewrite_job *job)
{
    for (u32 i = 0; i < job->input_count; i++) {
        if (!job_is_burial(job) && !buffer_take(job, i)) {
            return false;
        }
    }
    return buffer_take(job, job->input_count);
}

static struct rewrite_job *job_make(struct log *l, enum rewrite_state *state, u32 first, u32 count)
{
    struct rewrite_job *job = mem_alloc(sizeof(*job));
    job->log = l;
    job->home = l->home;
    job->state = state;
    job->input_count = count;
    for (u32 i = 0; i < count; i++) {
        struct log_object *o = pack_at(l, first + i);
        job->objects[i] = l->packs[first + i];
        job->inputs[i] = (struct home_pack){.id = o->id & ~LOG_PACK_BIT, .bytes = o->bytes};
    }
    return job;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void job_commit(struct rewrite_job *job)
{
    struct log *l = job->log;
    if (l->burial == REWRITE_COMMITTING || l->rewrite == REWRITE_COMMITTING) {
        seen("log: a rewritten pack waits for another");
        *job->state = REWRITE_COPIED;
        return;
    }
    *job->state = REWRITE_COMMITTING;
    struct log_repacked r = {
        .input_count = job->input_count,
        .output = {.id = job->pack_id, .bytes = job->pack_bytes},
    };
    for (u32 i = 0; i < job->input_count; i++) {
        r.inputs[i] = job->inputs[i].id;
    }
    l->params.repack(l->params.user, &r);
}

/* ---- the worker's visits --------------------------------------------------------------------- */

static void visit_done(struct io_op *op, i64 result);

static void visit_start(struct rewrite_job *job, enum rewrite_state state, void (*fn)(void *arg))
{
    *job->state = state;
    job->op.done = visit_done;
    io_work(job->log->io, &job->op, fn, job);
}

static void copy_visit(struct rewrite_job *job)
{
    struct log *l = job->log;
    if (!job_is_burial(job)) { /* it writes a few blocks */
        job->visit_bytes = pace_visit_begin(l, &l->rewrite_pace);
    }
    job->write_bytes = pace_write_bytes(l);
    visit_start(job, REWRITE_COPYING, copy_run);
}

static void pause_over(struct io_timer *t)
{
    copy_visit(CONTAINER_OF(t, struct log, rewrite_pace.pause)->rewrite_job);
}

static void copy_next(struct rewrite_job *job)
{
    struct log *l = job->log;
    assert(!job_is_burial(job));
    job->cancelled = l->draining;
    if (l->draining || pace_goes_on(l, &l->rewrite_pace)) {
        copy_visit(job);
    }
}

/* The log is to end: what is half made is undone. */
static void rewrite_hurry(struct log *l)
{
    if (pace_hurry(l, &l->rewrite_pace)) {
        l->rewrite_job->cancelled = true;
        copy_visit(l->rewrite_job);
    }
}

static void visit_done(struct io_op *op, i64 result)
{
    struct rewrite_job *job = CONTAINER_OF(op, struct rewrite_job, op);
    struct log *l = job->log;
    err_t e = result < 0 ? (err_t)-result : job->result;
    bool copying = *job->state == REWRITE_COPYING;
    if (e == OK && copying && !job->done) {
        copy_next(job);
        return;
    }
    if (e == OK && l->draining) {
        if (copying && job->pack_bytes > 0) {
            home_pack_remove(l->home, job->pack_id);
        }
        e = ERR_CANCELLED;
    }
    if (e != OK) {
        job_failed(job, e);
    } else if (copying) {
        buffers_release(job);
        job_commit(job);
    } else {
        *job->state = REWRITE_MARKING;
        log_wake(l, 0);
    }
}

static bool job_begin(struct log *l, struct rewrite_job *job)
{
    if (!buffers_take(job)) {
        job_free(job);
        retry_later(l);
        return false;
    }
    inputs_busy(l, job, true);
    visit_start(job, REWRITE_INDEXING, index_run);
    return true;
}

/* ---- what lives ------------------------------------------------------------------------------ */

static void run_mark(const struct rewrite_job *job, struct rewrite_run *r)
{
    const struct partition *p = map64_get(&job->log->partitions, r->run.partition);
    r->dead = p == NULL || r->run.next_offset <= p->start_offset;
    assert(r->dead || !job_is_burial(job));
}

static void producer_mark(struct rewrite_job *job, u32 i)
{
    const struct pack_producer from = job->producers[i];
    const struct partition *p = map64_get(&job->log->partitions, from.partition);
    i64 until_ms;
    bool forgets = (job->log->params.canaries & LOG_CANARY_FORGET_BURIED_PRODUCERS) != 0;
    if (p != NULL && !forgets && producer_statement_lives(p, &from, &until_ms)) {
        job->producers[job->producers_live] = from;
        job->producers_live++;
        job->outlived_ms = MAX(job->outlived_ms, until_ms);
    }
}

static bool any_run_lives(const struct rewrite_job *job)
{
    for (u32 i = 0; i < job->run_count; i++) {
        if (!job->runs[i].dead) {
            return true;
        }
    }
    return false;
}

/* The pack has only producers, and they live until then at most. */
static void pack_outlives(struct log *l, struct log_object *o, i64 outlived_ms)
{
    i64 left_ms = MAX(outlived_ms - io_wall_ms(l->io), (i64)1);
    o->outlived_ns = io_now_ns(l->io) + (u64)left_ms * 1000000;
}

/* A pack of producers only, all of whom live. */
static bool input_stays(const struct rewrite_job *job)
{
    const struct log_object *o = &job->log->objects[job->objects[0]];
    return job->input_count == 1 && pack_has_only_producers(o) &&
           job->producers_live == o->statements;
}

static void job_marked(struct rewrite_job *job)
{
    struct log *l = job->log;
    if (input_stays(job)) {
        seen("log: a pack of producers only stays");
        pack_outlives(l, &l->objects[job->objects[0]], job->outlived_ms);
        inputs_busy(l, job, false);
        job_end(job);
        return;
    }
    job->producer_count = job->producers_live;
    job->at = 0;
    if (job->producer_count == 0 && !any_run_lives(job)) {
        job_commit(job);
        return;
    }
    job->pack_id = l->next_pack;
    l->next_pack++;
    copy_visit(job);
}

/* Some a turn. */
static void job_mark(struct rewrite_job *job)
{
    struct log *l = job->log;
    if (job->at == 0 && job->producers_at == 0) {
        for (u32 i = 0; i < job->input_count; i++) {
            l->objects[job->objects[i]].removals = l->removals;
        }
    }
    for (u32 left = MARKS_PER_TURN; left > 0; left--) {
        if (job->at < job->run_count) {
            run_mark(job, &job->runs[job->at]);
            job->at++;
        } else if (job->producers_at < job->producer_count) {
            producer_mark(job, job->producers_at);
            job->producers_at++;
        } else {
            job_marked(job);
            return;
        }
    }
    log_wake(l, 0);
}

/* ---- the new pack takes the place of the old ones -------------------------------------------- */

/* The list has the output where the inputs were. */
static void packs_replace(struct log *l, const struct rewrite_job *job)
{
    u32 first = 0;
    while (l->packs[first] != job->objects[0]) {
        first++;
        assert(first < l->pack_count);
    }
    u32 outputs = job->pack_bytes > 0 ? 1 : 0;
    if (outputs > 0) {
        l->packs[first] = job->output;
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
        home_pack_retire(l->home, job->inputs[i]);
    }
}

static void job_apply(struct rewrite_job *job)
{
    struct log *l = job->log;
    u32 until = MIN(job->at + APPLY_RUNS_PER_TURN, job->written_count);
    while (job->at < until) {
        const struct pack_run *first = &job->written[job->at];
        u32 count = pack_runs_of_partition(first, job->written_count - job->at);
        struct partition *p = map64_get(&l->partitions, first->partition);
        if (p != NULL) {
            index_refile(p, first, count, run_place(job->output, 0));
        }
        job->at += count;
    }
    if (job->at == job->written_count) {
        packs_replace(l, job);
        inputs_remove(l, job);
        job_end(job);
    } else {
        log_wake(l, 0);
    }
}

static void output_add(struct rewrite_job *job)
{
    struct log *l = job->log;
    u64 removals = l->objects[job->objects[0]].removals;
    job->output = object_add(l, job->pack_id | LOG_PACK_BIT);
    struct log_object *o = &l->objects[job->output];
    o->bytes = (u32)job->pack_bytes;
    o->payload_bytes = job->payload_bytes;
    o->statements = job->producer_count;
    o->removals = removals;
    pack_outlives(l, o, job->outlived_ms);
    metric_add(METRIC_log_pack_write_bytes_total, job->pack_bytes);
}

void log_repack_committed(struct log *l, err_t result)
{
    bool burial = l->burial == REWRITE_COMMITTING;
    struct rewrite_job *job = burial ? l->burial_job : l->rewrite_job;
    struct rewrite_job *other = burial ? l->rewrite_job : l->burial_job;
    assert(*job->state == REWRITE_COMMITTING);
    if (result == OK) {
        if (job->pack_bytes > 0) {
            output_add(job);
        }
        *job->state = REWRITE_APPLYING;
        job_apply(job);
    } else {
        if (job->pack_bytes > 0) {
            home_pack_remove(l->home, job->pack_id);
        }
        job_failed(job, result);
    }
    if (other != NULL && *other->state == REWRITE_COPIED) {
        job_commit(other);
    }
}

/* ---- when ------------------------------------------------------------------------------------ */

/* The first time that a pack of producers only may be outlived. */
static void burial_wait(struct log *l)
{
    u64 when_ns = UINT64_MAX;
    for (u32 i = 0; i < l->pack_count; i++) {
        const struct log_object *o = pack_at(l, i);
        if (!o->busy && pack_has_only_producers(o)) {
            when_ns = MIN(when_ns, o->outlived_ns);
        }
    }
    if (when_ns == UINT64_MAX) {
        io_timer_stop(l->io, &l->burial_timer);
    } else {
        io_timer_start(l->io, &l->burial_timer, when_ns);
    }
}

static void burial_begin(struct log *l)
{
    u32 first;
    u32 count;
    if (!dead_find(l, &first, &count)) {
        l->burial_due = false;
        burial_wait(l);
        return;
    }
    u64 statements = 0;
    for (u32 i = 0; i < count; i++) {
        statements += pack_at(l, first + i)->statements;
    }
    struct rewrite_job *job = job_make(l, &l->burial, first, count);
    l->burial_job = job;
    if (statements == 0) {
        seen("log: dead packs go");
        inputs_busy(l, job, true);
        job_commit(job);
    } else if (!job_begin(l, job)) {
        l->burial_job = NULL;
    }
}

static void rewrite_begin(struct log *l)
{
    u32 first;
    u32 count;
    if (!inputs_find(l, &first, &count)) {
        l->rewrite_due = false;
        room_look(l);
        return;
    }
    struct rewrite_job *job = job_make(l, &l->rewrite, first, count);
    l->rewrite_job = job;
    if (!job_begin(l, job)) {
        l->rewrite_job = NULL;
    }
}

bool rewrite_gets_on(const struct log *l)
{
    bool later = heap_linked(&l->rewrite_retry.node);
    return l->params.repack != NULL && (l->rewrite != REWRITE_IDLE || (l->rewrite_due && !later));
}

static bool rewrite_able(const struct log *l)
{
    return l->params.repack != NULL && l->started && l->older == NULL && !l->fenced &&
           l->failure == OK && !l->draining && !heap_linked(&l->rewrite_retry.node);
}

static void job_turn(struct rewrite_job *job)
{
    if (job != NULL && *job->state == REWRITE_MARKING) {
        if (job->log->draining) {
            job_failed(job, ERR_CANCELLED);
        } else {
            job_mark(job);
        }
    } else if (job != NULL && *job->state == REWRITE_APPLYING) {
        job_apply(job);
    }
}

void rewrite_turn(struct log *l)
{
    job_turn(l->rewrite_job);
    job_turn(l->burial_job);
    if (l->draining) {
        rewrite_hurry(l);
    }
    if (rewrite_able(l) && l->burial_due && l->burial == REWRITE_IDLE) {
        burial_begin(l);
    }
    if (rewrite_able(l) && l->rewrite_due && l->rewrite == REWRITE_IDLE) {
        rewrite_begin(l);
    }
}
