/* Idempotence: what each producer wrote last to a partition, and the checks that keep its retries
   from being stored twice [KIP-98; ProducerStateEntry, ProducerAppendInfo]. Called by partition.c
   before and after an append, and by recover.c. State is tentative until its slot is durable, which
   is enough: if it never becomes durable, neither does anything after it.

   A producer is forgotten producer_expiry_ms after its last write; after a restart its time begins
   anew, since when it wrote is not stored. All producers of the log stand in one list by last use:
   the expired ones leave from its head as others come. When the budget is full the one that has
   been silent longest makes room, if that is long enough for no retry to be on its way any more;
   otherwise the new one is refused. */
#include "log/log_private.h"

/* Clients give up a batch after delivery.timeout.ms, two minutes by default. */
#define SILENT_MS 600000
/* The order in the list is that coarse: most writes need not touch it. */
#define USE_MS 1000

static void producer_forget(struct log *l, struct producer *s)
{
    void *removed = map64_remove(&s->partition->producers, (u64)s->id);
    assert(removed == s);
    (void)removed;
    list_remove(&s->by_use);
    pool_put(&l->producer_pool, s);
}

void producers_fini(struct partition *p)
{
    if (p->producers.count > 0) {
        p->log->removals++;
        rewrite_wanted(p->log);
    }
    u32 cursor = 0;
    u64 id;
    void *value;
    while (map64_next(&p->producers, &cursor, &id, &value)) {
        struct producer *s = value;
        list_remove(&s->by_use);
        pool_put(&p->log->producer_pool, s);
    }
    map64_fini(&p->producers);
}

static bool producer_expired(const struct log *l, const struct producer *s, i64 now_ms)
{
    /* A clock that jumped back keeps it longer; that is harmless. */
    return now_ms - s->last_write_ms >= l->params.producer_expiry_ms;
}

static struct producer *producer_find(const struct partition *p, i64 id)
{
    return map64_get(&p->producers, (u64)id);
}

static const struct producer_batch *batch_back(const struct producer *s, u32 steps)
{
    assert(steps < s->count);
    u32 index = (s->newest + LOG_PRODUCER_BATCHES - steps) % LOG_PRODUCER_BATCHES;
    return &s->batches[index];
}

static const struct producer_batch *repeat_find(const struct producer *s,
                                                const struct batch_view *view)
{
    if (s->epoch != view->producer_epoch) {
        return NULL;
    }
    i32 last_sequence = batch_last_sequence(view);
    for (u32 i = 0; i < s->count; i++) {
        const struct producer_batch *b = batch_back(s, i);
        if (b->first_sequence == view->base_sequence && b->last_sequence == last_sequence) {
            return b;
        }
    }
    return NULL;
}

i16 producer_check(struct partition *p, const struct batch_view *view,
                   const struct producer_batch **repeat)
{
    *repeat = NULL;
    const struct producer *s = producer_find(p, view->producer_id);
    if (s == NULL || s->count == 0 || producer_expired(p->log, s, io_wall_ms(p->log->io))) {
        return KERR_NONE; /* 5: nothing known, any sequence */
    }
    *repeat = repeat_find(s, view);
    if (*repeat != NULL) {
        return KERR_NONE; /* 1 */
    }
    if (view->producer_epoch < s->epoch) {
        return KERR_INVALID_PRODUCER_EPOCH; /* 2 */
    }
    if (view->producer_epoch > s->epoch) {
        return view->base_sequence == 0 ? KERR_NONE : KERR_OUT_OF_ORDER_SEQUENCE_NUMBER; /* 3 */
    }
    bool next = view->base_sequence == sequence_add(batch_back(s, 0)->last_sequence, 1);
    return next ? KERR_NONE : KERR_OUT_OF_ORDER_SEQUENCE_NUMBER; /* 4 */
}

bool producer_is_decided(struct partition *p, const struct batch_view *view)
{
    const struct producer *s = producer_find(p, view->producer_id);
    if (s == NULL || s->count == 0) {
        return false;
    }
    const struct producer_batch *repeat;
    i16 kerr = producer_check(p, view, &repeat);
    return view->producer_epoch != s->epoch || kerr == KERR_NONE;
}

bool partition_producer_next(const struct partition *p, u32 *cursor, struct partition_producer *out)
{
    i64 now_ms = io_wall_ms(p->log->io);
    u64 id;
    void *value;
    while (map64_next(&p->producers, cursor, &id, &value)) {
        const struct producer *s = value;
        if (s->count > 0 && !producer_expired(p->log, s, now_ms)) {
            const struct producer_batch *last = batch_back(s, 0);
            *out = (struct partition_producer){
                .id = s->id,
                .epoch = s->epoch,
                .last_sequence = last->last_sequence,
                .last_timestamp = last->max_timestamp,
            };
            return true;
        }
    }
    return false;
}

bool producer_statement_lives(const struct partition *p, const struct pack_producer *from,
                              i64 *until_ms)
{
    const struct log *l = p->log;
    const struct producer *s = producer_find(p, from->id);
    if (s == NULL || s->count == 0 || producer_expired(l, s, io_wall_ms(l->io))) {
        return false;
    }
    *until_ms = s->last_write_ms + l->params.producer_expiry_ms;
    bool durable = true;
    for (u32 i = 0; i < s->count; i++) {
        const struct producer_batch *b = batch_back(s, i);
        if (b->base_offset == from->base_offset) {
            return true;
        }
        durable = durable && b->position <= l->committed;
    }
    return !durable; /* what took its place may never become so */
}

static struct producer *least_used(struct log *l)
{
    struct list_node *n = list_first(&l->producers_by_use);
    return n != NULL ? CONTAINER_OF(n, struct producer, by_use) : NULL;
}

/* Two leave for each that comes: a crowd of expired ones is worked off without a long turn. */
static void producers_expire(struct log *l, i64 now_ms)
{
    for (u32 i = 0; i < 2; i++) {
        struct producer *s = least_used(l);
        if (s == NULL || !producer_expired(l, s, now_ms)) {
            return;
        }
        producer_forget(l, s);
    }
}

/* At a start all have written "now", and the order of the list is that of the WAL. */
static bool producer_evict(struct log *l, i64 now_ms)
{
    struct producer *s = least_used(l);
    if (s == NULL || (l->started && now_ms - s->last_write_ms < SILENT_MS)) {
        return false;
    }
    seen("log: producer evicted");
    producer_forget(l, s);
    return true;
}

bool producer_reserve(struct partition *p, i64 id, i64 now_ms)
{
    if (LIKELY(producer_find(p, id) != NULL)) {
        return true;
    }
    struct log *l = p->log;
    producers_expire(l, now_ms);
    struct producer *s = pool_get(&l->producer_pool);
    while (s == NULL && producer_evict(l, now_ms)) {
        s = pool_get(&l->producer_pool);
    }
    if (s == NULL) {
        seen("log: no memory for a producer");
        return false;
    }
    s->partition = p;
    s->id = id;
    s->epoch = BATCH_NO_PRODUCER_EPOCH;
    s->last_write_ms = now_ms;
    list_push_back(&l->producers_by_use, &s->by_use);
    map64_put(&p->producers, (u64)id, s);
    return true;
}

void producer_add_older(struct partition *p, const struct pack_producer *from, i64 now_ms)
{
    if (!producer_reserve(p, from->id, now_ms)) {
        return; /* of too many the latest are kept */
    }
    struct producer *s = producer_find(p, from->id);
    if (s->count == 0) {
        s->epoch = from->epoch;
        s->newest = 0;
    }
    bool full = s->count == LOG_PRODUCER_BATCHES;
    if (full || s->epoch != from->epoch ||
        (s->count > 0 && batch_back(s, s->count - 1u)->base_offset <= from->base_offset)) {
        return;
    }
    u32 oldest = (s->newest + (u32)LOG_PRODUCER_BATCHES - s->count) % LOG_PRODUCER_BATCHES;
    s->batches[oldest] = (struct producer_batch){
        .base_offset = from->base_offset,
        .position = 0, /* durable */
        .max_timestamp = from->max_timestamp,
        .first_sequence = from->first_sequence,
        .last_sequence = from->last_sequence,
    };
    s->count++;
}

void producer_add(struct partition *p, i64 id, i16 epoch, const struct producer_batch *batch,
                  i64 now_ms)
{
    struct log *l = p->log;
    struct producer *s = producer_find(p, id);
    assert(s != NULL);
    if (epoch != s->epoch || producer_expired(l, s, now_ms)) {
        s->count = 0;
        s->epoch = epoch;
    }
    s->newest = s->count == 0 ? 0 : (u8)((s->newest + 1u) % LOG_PRODUCER_BATCHES);
    s->count = (u8)MIN(s->count + 1u, (u32)LOG_PRODUCER_BATCHES);
    s->batches[s->newest] = *batch;
    if (now_ms - s->last_write_ms >= USE_MS || !l->started) {
        list_remove(&s->by_use);
        list_push_back(&l->producers_by_use, &s->by_use);
    }
    s->last_write_ms = now_ms;
}
