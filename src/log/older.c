/* The older packs at a start. What producers need is in the newest packs and in the WALs: where
   partitions end, and what their producers wrote last. So a start reads those before it returns
   (recover.c), and the index of all older packs is read here, by a worker, while producers are
   served: the start takes as long with a terabyte as with a gigabyte. Called by recover.c (which
   ones), wal.c (begin), log.c (a turn) and the broker (what has to wait).

   Until it is through the log is not *whole*: of a partition there are only the runs from the
   newest packs, the WALs and the appends since, and a partition that is in none of them has no end
   yet (partition.ended). Nobody reads, looks up or deletes: the broker holds such requests back
   (log_whole_wait). Appends go on, where what is known is enough (partition_is_ready). Filing goes
   on: what it moves is known. Rewriting and scrubbing wait.

     1. older_add: the packs; the log has their objects already, in order
     2. the first slot of this session is durable, or nobody wrote one in BEGIN_NS: until then both
        cores of a small machine are for the WAL's first extent, which a worker makes
     3. a worker reads their indexes, a pack a visit, into runs by partition
     4. older_turn: the loop puts these before the runs that each partition has, some a turn; what
   is below the start of the log is left out, as if it had been read first
     5. log starts that had to wait for an end are set; the log is whole, and who waited is told

   Nothing is written, so a crash at any point leaves what was there.

   How it fails: a pack cannot be read, or offsets do not abut: params.unreadable is told, the
   reason is the home's as of a start that is refused, and the process is to end. The log is never
   whole then, so what is wrong was never read. */
#include "log/log_private.h"

#include <string.h>

enum {
    PACKS_BEFORE = 16, /* that a start reads */
    ATTACH_RUNS_PER_TURN = 16384,
    ATTACH_PARTITIONS_PER_TURN = 256,
    OLDER_RUNS_MIN = 8,
};
/* Of the packs that a start reads before all others: the index of as much is read in 10 ms. */
static const u64 PACKS_BEFORE_BYTES = 1024 * MIB;
static const u64 BEGIN_NS = 50000000;

/* What the older packs have of one partition. */
struct older_partition {
    u32 id;
    struct run *runs; /* max_timestamp_so_far is still the run's own */
    u32 run_count;
    u32 run_cap;
    u64 end_offset;
    u32 broken_runs; /* the run behind so many does not follow the one before it ... */
    u64 broken_end;  /* ... which ends here: both must be below the start of the log */
    struct pack_producer *producers; /* in the order of the log */
    u32 producer_count;
    u32 producer_cap;
};

struct older_pack {
    struct home_pack pack;
    u32 object;
    u64 payload_bytes;
    u32 statements;
};

enum older_state {
    OLDER_FOUND,     /* it is not time yet */
    OLDER_READING,   /* a worker is at it */
    OLDER_ATTACHING, /* the loop */
    OLDER_ENDED,     /* failed, or given up: the log ends */
};

struct older {
    struct io_op op;
    struct log *log;
    struct io_timer begin;
    struct log_wanted wanted;
    enum older_state state;
    struct older_pack *packs;
    u32 pack_count;

    /* the worker's while it visits */
    u32 next; /* pack to be read */
    err_t result;
    struct map64 by_id;
    struct older_partition **partitions;
    u32 partition_count;
    u32 partition_cap;
    struct older_partition *last; /* that was asked for */

    u32 attached;  /* partitions */
    u32 *deferred; /* partitions whose log start waits for their end */
    u32 deferred_count;
    u32 deferred_cap;
    struct list waiters;
};

/* ---- which ones ------------------------------------------------------------------------------ */

u32 older_count(const struct log *l, const struct home_pack *packs, u32 count)
{
    u32 before_max = l->params.start_packs > 0 ? l->params.start_packs : PACKS_BEFORE;
    u64 bytes = 0;
    u32 before = 0;
    while (before < count && before < before_max) {
        bytes += packs[count - 1 - before].bytes;
        if (before > 0 && bytes > PACKS_BEFORE_BYTES) {
            break;
        }
        before++;
    }
    return count - before;
}

void older_add(struct log *l, const struct home_pack *packs, const u32 *objects, u32 count,
               const struct log_wanted *wanted)
{
    assert(l->older == NULL);
    assert(l->params.unreadable != NULL);
    struct older *o = mem_alloc(sizeof(*o));
    o->log = l;
    o->wanted = *wanted;
    o->packs = mem_alloc(count * sizeof(o->packs[0]));
    o->pack_count = count;
    for (u32 i = 0; i < count; i++) {
        o->packs[i] = (struct older_pack){.pack = packs[i], .object = objects[i]};
    }
    map64_init(&o->by_id);
    list_init(&o->waiters);
    l->older = o;
}

static void older_partition_free(struct older_partition *from)
{
    mem_free(from->runs);
    mem_free(from->producers);
    mem_free(from);
}

static void older_free(struct older *o)
{
    for (u32 i = o->attached; i < o->partition_count; i++) {
        older_partition_free(o->partitions[i]);
    }
    map64_fini(&o->by_id);
    mem_free(o->partitions);
    mem_free(o->packs);
    mem_free(o->deferred);
    mem_free(o);
}

void older_fini(struct log *l)
{
    if (l->older != NULL) {
        io_timer_stop(l->io, &l->older->begin);
        while (list_pop_front(&l->older->waiters) != NULL) {
            /* They are forgotten. */
        }
        older_free(l->older);
        l->older = NULL;
    }
}

/* ---- the worker ------------------------------------------------------------------------------ */

static struct older_partition *partition_of(struct older *o, u32 id)
{
    if (o->last != NULL && o->last->id == id) {
        return o->last;
    }
    struct older_partition *to = map64_get(&o->by_id, id);
    if (to == NULL) {
        to = mem_alloc(sizeof(*to));
        to->id = id;
        map64_put(&o->by_id, id, to);
        if (o->partition_count == o->partition_cap) {
            o->partition_cap = MAX(2 * o->partition_cap, 64u);
            o->partitions = mem_resize(o->partitions, o->partition_cap * sizeof(o->partitions[0]));
        }
        o->partitions[o->partition_count] = to;
        o->partition_count++;
    }
    o->last = to;
    return to;
}

static void run_take(struct older_partition *to, const struct pack_run *from, u32 object)
{
    if (to->run_count == to->run_cap) {
        to->run_cap = MAX(2 * to->run_cap, (u32)OLDER_RUNS_MIN);
        to->runs = mem_resize(to->runs, to->run_cap * sizeof(to->runs[0]));
    }
    const struct run *before = to->run_count > 0 ? &to->runs[to->run_count - 1] : NULL;
    if (before != NULL &&
        (from->base_offset != to->end_offset || from->leader_epoch < before->leader_epoch)) {
        to->broken_runs = to->run_count;
        to->broken_end = MAX(to->broken_end, to->end_offset);
    }
    to->runs[to->run_count] = run_of_pack(from, run_place(object, 0));
    to->run_count++;
    to->end_offset = from->next_offset;
}

static err_t runs_take(void *user, const struct pack_run *runs, u32 count)
{
    struct older *o = user;
    struct older_pack *pack = &o->packs[o->next];
    for (u32 i = 0; i < count; i++) {
        pack->payload_bytes += runs[i].bytes;
        run_take(partition_of(o, runs[i].partition), &runs[i], pack->object);
    }
    return OK;
}

static err_t producers_take(void *user, const struct pack_producer *producers, u32 count)
{
    struct older *o = user;
    o->packs[o->next].statements += count;
    for (u32 i = 0; i < count; i++) {
        struct older_partition *to = partition_of(o, producers[i].partition);
        if (to->producer_count == to->producer_cap) {
            to->producer_cap = MAX(2 * to->producer_cap, 4u);
            to->producers = mem_resize(to->producers, to->producer_cap * sizeof(to->producers[0]));
        }
        to->producers[to->producer_count] = producers[i];
        to->producer_count++;
    }
    return OK;
}

/* One pack a visit: a worker that is needed for the WAL's first extent is not needed for long here.
 */
static void read_run(void *arg)
{
    struct older *o = arg;
    const struct home_pack_visitor visitor = {
        .user = o,
        .runs = runs_take,
        .producers = producers_take,
    };
    o->result = pack_load(o->log->home, o->packs[o->next].pack, &visitor);
    if (o->result == OK) {
        o->next++;
    }
}

/* ---- visits ---------------------------------------------------------------------------------- */

static void read_done(struct io_op *op, i64 result);

static void read_start(struct older *o)
{
    o->state = OLDER_READING;
    o->op.done = read_done;
    io_work(o->log->io, &o->op, read_run, o);
}

static void begin_due(struct io_timer *t)
{
    (void)t; /* the turn's hook goes on */
}

void older_begin(struct log *l)
{
    struct older *o = l->older;
    if (o != NULL) {
        assert(o->state == OLDER_FOUND);
        o->begin.fired = begin_due;
        io_timer_start(l->io, &o->begin, io_now_ns(l->io) + BEGIN_NS);
    }
}

static bool begin_is_due(const struct older *o)
{
    return o->state == OLDER_FOUND && (o->log->durable > 0 || !heap_linked(&o->begin.node));
}

/* Nothing that depends on the older packs has been answered. */
static void older_failed(struct older *o, err_t why, bool home_knows)
{
    struct log *l = o->log;
    seen("log: an older pack is bad");
    o->state = OLDER_ENDED;
    l->params.unreadable(l->params.user, why, home_knows);
}

static err_t nothing_of_runs(void *user, const struct pack_run *runs, u32 count)
{
    (void)user, (void)runs, (void)count;
    return OK;
}

static err_t nothing_of_producers(void *user, const struct pack_producer *producers, u32 count)
{
    (void)user, (void)producers, (void)count;
    return OK;
}

/* Once more, for the home to say what is wrong: on the loop, but the process is about to end. */
static bool pack_explain(struct older *o)
{
    static const struct home_pack_visitor nobody = {.runs = nothing_of_runs,
                                                    .producers = nothing_of_producers};
    return home_pack_load(o->log->home, o->packs[o->next].pack, &nobody) != OK;
}

static void read_done(struct io_op *op, i64 result)
{
    struct older *o = CONTAINER_OF(op, struct older, op);
    err_t e = result < 0 ? (err_t)-result : o->result;
    if (o->log->draining) {
        seen("log: it ends before it was whole");
        o->state = OLDER_ENDED;
        log_wake(o->log, 0); /* for the drain */
    } else if (e != OK) {
        older_failed(o, e, pack_explain(o));
    } else if (o->next < o->pack_count) {
        read_start(o);
    } else {
        o->state = OLDER_ATTACHING;
        log_wake(o->log, 0);
    }
}

bool older_is_working(const struct log *l)
{
    return l->older != NULL && l->older->state == OLDER_READING;
}

/* ---- before the runs that a partition has -----------------------------------------------------
 */

static u64 log_start_of(const struct older *o, u32 id)
{
    return o->wanted.log_start != NULL ? o->wanted.log_start(o->wanted.user, id) : 0;
}

static bool partition_exists(const struct older *o, u32 id)
{
    return o->wanted.exists == NULL || o->wanted.exists(o->wanted.user, id);
}

static u64 older_next_offset(const struct older_partition *from, u32 i)
{
    return i + 1 < from->run_count ? from->runs[i + 1].base_offset : from->end_offset;
}

/* Runs before *first are below the start of the log. */
static err_t first_find(const struct older_partition *from, u64 log_start, u32 *first)
{
    if (from->broken_end > log_start) {
        return ERR_CORRUPT;
    }
    u32 i = from->broken_runs;
    while (i < from->run_count && older_next_offset(from, i) <= log_start) {
        i++;
    }
    *first = i;
    return OK;
}

/* Do the runs that it has follow those before? */
static bool partition_follows(const struct partition *p, const struct older_partition *from)
{
    if (!p->ended) {
        return true;
    }
    const struct run *last = &from->runs[from->run_count - 1];
    return p->run_count > 0 && p->runs[0].base_offset == from->end_offset &&
           p->runs[0].leader_epoch >= last->leader_epoch;
}

/* As index_add does: what continues the run before it is part of that. */
static bool run_merge(struct run *before, const struct run *run)
{
    const struct index_add add = {
        .place = run->place,
        .pos = run->pos,
        .bytes = run->bytes,
        .leader_epoch = run->leader_epoch,
        .flags = run->flags,
    };
    if (!run_continues(before, &add)) {
        return false;
    }
    before->bytes += run->bytes;
    before->max_timestamp_so_far = MAX(before->max_timestamp_so_far, run->max_timestamp_so_far);
    return true;
}

/* The runs from `first` on go to the front, merged; their bytes. */
static u64 runs_settle(struct log *l, struct older_partition *from, u32 first)
{
    i64 so_far = INT64_MIN;
    u64 bytes = 0;
    u32 count = 0;
    for (u32 i = first; i < from->run_count; i++) {
        struct run r = from->runs[i];
        so_far = MAX(so_far, r.max_timestamp_so_far);
        r.max_timestamp_so_far = so_far;
        bytes += r.bytes;
        object_run_added(l, &r);
        if (count == 0 || !run_merge(&from->runs[count - 1], &r)) {
            from->runs[count] = r;
            count++;
        }
    }
    from->run_count = count;
    return bytes;
}

static void runs_attach(struct partition *p, struct older_partition *from, u32 first)
{
    u64 bytes = runs_settle(p->log, from, first);
    p->bytes += bytes;
    p->log->bytes += bytes;
    epochs_prepend(p, from->runs, from->run_count);
    index_prepend(p, from->runs, from->run_count);
    from->runs = NULL;
    p->start_offset = p->runs[0].base_offset;
    if (!p->ended) {
        p->end_offset = from->end_offset;
        p->high_watermark = from->end_offset;
    }
}

static void producers_attach(struct partition *p, const struct older_partition *from)
{
    struct log *l = p->log;
    const u32 forget = LOG_CANARY_FORGET_PRODUCERS | LOG_CANARY_FORGET_PACK_PRODUCERS;
    if ((l->params.canaries & forget) != 0) {
        return;
    }
    i64 now_ms = io_wall_ms(l->io);
    for (u32 i = from->producer_count; i > 0; i--) {
        producer_add_older(p, &from->producers[i - 1], now_ms);
    }
}

static err_t partition_attach(struct older *o, struct older_partition *from)
{
    if (!partition_exists(o, from->id)) {
        seen("log: a partition is gone before the log was whole");
        return OK;
    }
    u64 log_start = log_start_of(o, from->id);
    u32 first;
    TRY(first_find(from, log_start, &first));
    struct partition *p = partition_get(o->log, from->id);
    if (first < from->run_count) {
        if (!partition_follows(p, from)) {
            return ERR_CORRUPT;
        }
        runs_attach(p, from, first);
    } else if (p->run_count > 0 && p->runs[0].base_offset > p->start_offset) {
        p->start_offset = p->runs[0].base_offset;
    }
    producers_attach(p, from);
    p->ended = true;
    p->attached = true;
    partition_set_log_start(p, log_start);
    return OK;
}

static void packs_tell(const struct older *o)
{
    for (u32 i = 0; i < o->pack_count; i++) {
        struct log_object *object = &o->log->objects[o->packs[i].object];
        object->payload_bytes = o->packs[i].payload_bytes;
        object->statements = o->packs[i].statements;
    }
}

/* ---- whole ----------------------------------------------------------------------------------- */

/* Partitions of which there is nothing but a log start, or less than it. */
static void deferred_set(struct older *o)
{
    for (u32 i = 0; i < o->deferred_count; i++) {
        struct partition *p = map64_get(&o->log->partitions, o->deferred[i]);
        if (p != NULL && partition_exists(o, p->id)) {
            p->attached = true;
            partition_set_log_start(p, log_start_of(o, p->id));
        }
    }
}

static void older_finish(struct older *o)
{
    struct log *l = o->log;
    deferred_set(o);
    l->older = NULL;
    struct list told;
    list_init(&told);
    list_splice(&told, &o->waiters);
    older_free(o);
    rewrite_wanted(l);
    scrub_wanted(l);
    log_wake(l, 0);
    for (struct list_node *n = list_pop_front(&told); n != NULL; n = list_pop_front(&told)) {
        struct log_whole_waiter *w = CONTAINER_OF(n, struct log_whole_waiter, node);
        w->whole(w);
    }
}

void older_turn(struct log *l)
{
    struct older *o = l->older;
    if (LIKELY(o == NULL) || l->draining) {
        return;
    }
    if (l->started && begin_is_due(o)) {
        io_timer_stop(l->io, &o->begin);
        read_start(o);
    }
    if (o->state != OLDER_ATTACHING) {
        return;
    }
    if (o->attached == 0) {
        packs_tell(o);
    }
    u32 until = MIN(o->attached + ATTACH_PARTITIONS_PER_TURN, o->partition_count);
    for (u64 runs = 0; o->attached < until && runs < ATTACH_RUNS_PER_TURN;) {
        struct older_partition *from = o->partitions[o->attached];
        runs += from->run_count;
        err_t e = partition_attach(o, from);
        older_partition_free(from);
        o->attached++;
        if (e != OK) {
            older_failed(o, e, false);
            return;
        }
    }
    if (o->attached == o->partition_count) {
        older_finish(o);
    } else {
        log_wake(l, 0);
    }
}

bool log_is_whole(const struct log *l)
{
    return l->older == NULL;
}

void log_whole_wait(struct log *l, struct log_whole_waiter *w)
{
    assert(w->whole != NULL);
    assert(l->older != NULL);
    list_push_back(&l->older->waiters, &w->node);
}

void log_whole_cancel(struct log_whole_waiter *w)
{
    if (list_linked(&w->node)) {
        list_remove(&w->node);
    }
}

bool partition_is_ready(struct partition *p, const struct batch_view *view, bool new_producer)
{
    if (LIKELY(p->log->older == NULL) || p->attached) {
        return true;
    }
    bool believed = (p->log->params.canaries & LOG_CANARY_BELIEVE_PART) != 0;
    return p->ended && (!batch_has_producer_id(view) || new_producer || believed ||
                        producer_is_decided(p, view));
}

bool older_defers_start(struct partition *p, u64 offset)
{
    struct older *o = p->log->older;
    if (o == NULL || p->attached || (p->ended && offset <= p->end_offset)) {
        return false;
    }
    if (o->deferred_count == o->deferred_cap) {
        o->deferred_cap = MAX(2 * o->deferred_cap, 16u);
        o->deferred = mem_resize(o->deferred, o->deferred_cap * sizeof(o->deferred[0]));
    }
    o->deferred[o->deferred_count] = p->id;
    o->deferred_count++;
    return true;
}
