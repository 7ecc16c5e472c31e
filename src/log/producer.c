/* Idempotence: what each producer wrote last to a partition, and the checks that keep its retries
   from being stored twice [KIP-98; ProducerStateEntry, ProducerAppendInfo]. Called by partition.c
   before and after an append, and by recover.c. State is tentative until its slot is durable, which
   is enough: if it never becomes durable, neither does anything after it.

   A producer is forgotten producer_expiry_ms after its last write (after a restart: after the
   start), when it is looked for or when the table of its partition has doubled. */
#include "log/log_private.h"

enum { SWEEP_MIN = 8 };

void producers_fini(struct partition *p)
{
    u32 cursor = 0;
    u64 id;
    void *producer;
    while (map64_next(&p->producers, &cursor, &id, &producer)) {
        pool_put(&p->log->producer_pool, producer);
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

static void producers_sweep(struct partition *p)
{
    i64 now_ms = io_wall_ms(p->log->io);
    u32 cursor = 0;
    u64 id;
    void *value;
    while (map64_next(&p->producers, &cursor, &id, &value)) {
        if (producer_expired(p->log, value, now_ms)) {
            map64_remove(&p->producers, id);
            pool_put(&p->log->producer_pool, value);
        }
    }
    p->producers_sweep_at = MAX(2 * p->producers.count, (u32)SWEEP_MIN);
}

bool producer_reserve(struct partition *p, i64 id)
{
    if (LIKELY(producer_find(p, id) != NULL)) {
        return true;
    }
    if (p->producers.count >= p->producers_sweep_at) {
        producers_sweep(p);
    }
    struct producer *s = pool_get(&p->log->producer_pool);
    if (s == NULL) {
        producers_sweep(p);
        s = pool_get(&p->log->producer_pool);
    }
    if (s == NULL) {
        seen("log: no memory for a producer");
        return false;
    }
    s->id = id;
    s->epoch = BATCH_NO_PRODUCER_EPOCH;
    s->last_write_ms = io_wall_ms(p->log->io);
    map64_put(&p->producers, (u64)id, s);
    return true;
}

void producer_add(struct partition *p, i64 id, i16 epoch, const struct producer_batch *batch,
                  i64 now_ms)
{
    struct producer *s = producer_find(p, id);
    assert(s != NULL);
    if (epoch != s->epoch || producer_expired(p->log, s, now_ms)) {
        s->count = 0;
        s->epoch = epoch;
    }
    s->newest = s->count == 0 ? 0 : (u8)((s->newest + 1u) % LOG_PRODUCER_BATCHES);
    s->count = (u8)MIN(s->count + 1u, (u32)LOG_PRODUCER_BATCHES);
    s->batches[s->newest] = *batch;
    s->last_write_ms = now_ms;
}
