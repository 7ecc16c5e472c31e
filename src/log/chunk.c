/* WAL chunks: the memory of the open slot, of slots in flight and of the hot cache, which are the
   same bytes at different ages. Called by wal.c (memory for slots), by readers (log_peek) and by
   whoever wants to append (log_room).

     spare --> open (slots are carved from it) --> all slots durable: cache --> evicted --> spare
                                                                        |  ^
              peeked in this turn, so its bytes must stay a little: retiring

   The oldest chunk is evicted first, when memory is needed. A chunk that a reader may hold a
   pointer into is out of the cache at once, but its memory is reused only two turns later: readers
   of the whole cache delay a writer by that much, and cannot stop it.

   What has been filed is read from its pack: its chunks are spare at once (chunks_filed), so that
   the cache grows no further than what waits to be filed.

   The cache gives way to the index too (chunks_shrink), down to a quarter of its cap.

   The cap is hot_bytes. An append that the caller had room for never fails: if batches of unlucky
   sizes leave more waste than log_room reckoned with, chunks beyond the cap are taken, as far as
   the quota above allows, and the cache shrinks back by eviction. */
#include "log/log_private.h"

enum { HOT_RING_MIN = 64, AHEAD_CHUNKS = 2 };
static const u64 AHEAD_HOT_BYTES_MIN = 64 * MIB; /* of less, two chunks are too much */

void chunks_init(struct log *l)
{
    quota_init(&l->hot_quota, "wal chunks", l->params.quota, UINT64_MAX);
    blob_pool_init(&l->chunk_pool, "wal chunks", &l->hot_quota, LOG_CHUNK_BYTES, 0);
    pool_init(&l->chunk_structs, "chunks", NULL, sizeof(struct chunk), UINT32_MAX);
    l->chunk_fill_bytes = LOG_CHUNK_BYTES;
    list_init(&l->chunks);
    list_init(&l->spare);
    list_init(&l->retiring);
    list_init(&l->room_waiters);
}

static void chunk_destroy(struct log *l, struct chunk *c)
{
    assert(l->hot_used >= c->blob->cap);
    l->hot_used -= c->blob->cap;
    blob_unref(c->blob);
    pool_put(&l->chunk_structs, c);
}

static struct chunk *chunk_of(struct list_node *n)
{
    return CONTAINER_OF(n, struct chunk, node);
}

static void chunks_clear(struct log *l, struct list *chunks)
{
    for (struct list_node *n = list_pop_front(chunks); n != NULL; n = list_pop_front(chunks)) {
        chunk_destroy(l, chunk_of(n));
    }
}

void chunks_fini(struct log *l)
{
    chunks_clear(l, &l->chunks);
    chunks_clear(l, &l->spare);
    chunks_clear(l, &l->retiring);
    if (l->populating != NULL) { /* io is dead */
        blob_unref(l->populating);
        l->populating = NULL;
    }
    if (l->staging != NULL) {
        l->hot_used -= l->staging->cap;
        blob_unref(l->staging);
        l->staging = NULL;
    }
    assert(l->hot_used == 0);
    blob_pool_fini(&l->chunk_pool);
    pool_fini(&l->chunk_structs);
    mem_free(l->hot);
    while (list_pop_front(&l->room_waiters) != NULL) {
        /* Their owners may still cancel them. */
    }
}

/* ---- which slots are in memory --------------------------------------------------------------- */

static void hot_grow(struct log *l)
{
    u32 old_mask = l->hot_mask;
    u32 count = l->hot == NULL ? HOT_RING_MIN : 2 * (old_mask + 1);
    struct hot_slot *ring = mem_alloc(count * sizeof(ring[0]));
    for (u64 s = l->hot_first; s < l->hot_end; s++) {
        ring[s & (count - 1)] = l->hot[s & old_mask];
    }
    mem_free(l->hot);
    l->hot = ring;
    l->hot_mask = count - 1;
}

void hot_add(struct log *l, u64 number, struct chunk *chunk, u32 offset, u32 bytes)
{
    assert(number == l->hot_end);
    if (l->hot == NULL || l->hot_end - l->hot_first == (u64)l->hot_mask + 1) {
        hot_grow(l);
    }
    l->hot[number & l->hot_mask] = (struct hot_slot){chunk, offset, bytes};
    l->hot_end++;
    if (!chunk->has_slots) {
        chunk->first_slot = number;
        chunk->has_slots = true;
    }
    chunk->last_slot = number;
}

const struct hot_slot *hot_find(const struct log *l, u64 number)
{
    if (number < l->hot_first || number >= l->hot_end) {
        return NULL;
    }
    const struct hot_slot *h = &l->hot[number & l->hot_mask];
    return h->chunk != NULL ? h : NULL;
}

static void hot_remove(struct log *l, const struct chunk *c)
{
    if (!c->has_slots) {
        return;
    }
    for (u64 s = c->first_slot; s <= c->last_slot; s++) {
        if (s >= l->hot_first && l->hot[s & l->hot_mask].chunk == c) {
            l->hot[s & l->hot_mask].chunk = NULL;
        }
    }
    while (l->hot_first < l->hot_end && l->hot[l->hot_first & l->hot_mask].chunk == NULL) {
        l->hot_first++;
    }
}

static const struct hot_slot *hot_range(const struct log *l, const struct log_range *range)
{
    if (!l->started || range->object != l->wal) {
        return NULL;
    }
    const struct hot_slot *h = hot_find(l, range->slot);
    assert(h == NULL || range->slot < l->committed);
    assert(h == NULL || (u64)range->pos + range->bytes <= h->bytes);
    return h;
}

const u8 *hot_data(const struct log *l, const struct log_range *range)
{
    const struct hot_slot *h = hot_range(l, range);
    return h != NULL ? h->chunk->blob->data + h->offset + range->pos : NULL;
}

const u8 *log_peek(struct log *l, const struct log_range *range)
{
    const struct hot_slot *h = hot_range(l, range);
    if (h == NULL) {
        return NULL;
    }
    h->chunk->peek_turn = l->turn;
    return h->chunk->blob->data + h->offset + range->pos;
}

/* ---- taking and evicting --------------------------------------------------------------------- */

/* A pointer given by log_peek is good until the turn's end, which comes after our hook has counted
   the turn: hence "this or the one before". */
static bool chunk_peeked(const struct log *l, const struct chunk *c)
{
    return c->peek_turn + 1 >= l->turn;
}

static bool chunk_evictable(const struct log *l, const struct chunk *c)
{
    return c->undurable == 0 && c->pins == 0 && (l->open == NULL || l->open->chunk != c);
}

/* Spare, or freed if it has an unusual size or there is an overdraft to pay back. */
static void chunk_recycle(struct log *l, struct chunk *c)
{
    if (c->blob->cap == LOG_CHUNK_BYTES && l->hot_used <= l->params.hot_bytes) {
        *c = (struct chunk){.blob = c->blob};
        list_push_back(&l->spare, &c->node);
        l->spare_count++;
    } else {
        chunk_destroy(l, c);
    }
}

/* Takes the oldest chunk that is durable out of the cache. */
static bool chunk_evict(struct log *l)
{
    LIST_EACH (&l->chunks, n) {
        struct chunk *c = chunk_of(n);
        if (!chunk_evictable(l, c)) {
            continue;
        }
        hot_remove(l, c);
        list_remove(&c->node);
        if (c == l->open_chunk) {
            l->open_chunk = NULL;
        }
        if (chunk_peeked(l, c)) {
            seen("log: peeked chunk evicted");
            list_push_back(&l->retiring, &c->node);
            l->retiring_count++;
        } else {
            seen("log: chunk evicted");
            chunk_recycle(l, c);
        }
        return true;
    }
    return false;
}

static void retiring_recycle(struct log *l)
{
    LIST_EACH (&l->retiring, n) {
        struct chunk *c = chunk_of(n);
        if (!chunk_peeked(l, c)) {
            list_remove(&c->node);
            l->retiring_count--;
            chunk_recycle(l, c);
        }
    }
}

static void spare_release(struct log *l)
{
    chunks_clear(l, &l->spare);
    l->spare_count = 0;
}

static struct blob *blob_take(struct log *l, u64 bytes)
{
    struct blob *blob = blob_get(&l->chunk_pool, bytes);
    if (blob != NULL) {
        l->hot_used += blob->cap;
    }
    return blob;
}

/* New memory within the cap, evicting what stands in its way. */
static struct blob *blob_take_capped(struct log *l, u64 bytes)
{
    for (;;) {
        if (l->hot_used + bytes <= l->params.hot_bytes) {
            struct blob *blob = blob_take(l, bytes);
            if (blob != NULL) {
                return blob;
            }
        }
        if (l->spare_count > 0) {
            spare_release(l);
        } else if ((u64)l->retiring_count * LOG_CHUNK_BYTES >= bytes || !chunk_evict(l)) {
            return NULL;
        }
    }
}

static struct chunk *chunk_wrap(struct log *l, struct blob *blob)
{
    struct chunk *c = pool_get(&l->chunk_structs);
    assert(c != NULL);
    c->blob = blob;
    return c;
}

static struct chunk *spare_pop(struct log *l)
{
    struct list_node *n = list_pop_front(&l->spare);
    if (n == NULL) {
        return NULL;
    }
    l->spare_count--;
    return chunk_of(n);
}

/* One more spare chunk of `missing`, within the cap. false: none now; retiring ones may follow. */
static bool spare_add(struct log *l, u32 missing)
{
    if (l->hot_used + LOG_CHUNK_BYTES <= l->params.hot_bytes) {
        struct blob *blob = blob_take(l, LOG_CHUNK_BYTES);
        if (blob != NULL) {
            list_push_back(&l->spare, &chunk_wrap(l, blob)->node);
            l->spare_count++;
            return true;
        }
    }
    u32 before = l->spare_count;
    while (l->spare_count == before) {
        if (l->retiring_count >= missing || !chunk_evict(l)) {
            return false;
        }
    }
    return true;
}

struct chunk *chunk_acquire(struct log *l, u64 bytes)
{
    struct chunk *c = NULL;
    if (bytes <= LOG_CHUNK_BYTES) {
        if (l->spare_count == 0) {
            (void)spare_add(l, 1); /* no: the overdraft below */
        }
        c = spare_pop(l);
        bytes = LOG_CHUNK_BYTES;
    } else {
        struct blob *blob = blob_take_capped(l, bytes);
        c = blob != NULL ? chunk_wrap(l, blob) : NULL;
    }
    if (c == NULL) {
        seen("log: chunk beyond the cap");
        struct blob *blob = blob_take(l, bytes);
        c = blob != NULL ? chunk_wrap(l, blob) : NULL;
    }
    if (c != NULL) {
        list_push_back(&l->chunks, &c->node);
    }
    return c;
}

bool chunks_shrink(struct log *l)
{
    if (l->hot_used <= l->params.hot_bytes / 4 || l->retiring_count > 0) {
        return false;
    }
    /* Spare chunks that are there already were promised to somebody. */
    u32 promised = l->spare_count;
    u64 before = l->hot_used;
    if (!chunk_evict(l)) {
        return false;
    }
    if (l->spare_count > promised) {
        seen("log: cache gives way to the index");
        chunk_destroy(l, spare_pop(l));
    }
    return l->hot_used < before;
}

struct blob *chunk_staging_acquire(struct log *l)
{
    struct blob *blob = blob_take_capped(l, LOG_CHUNK_BYTES);
    return blob != NULL ? blob : blob_take(l, LOG_CHUNK_BYTES);
}

void chunks_filed(struct log *l, u64 trim)
{
    while (!list_empty(&l->chunks)) {
        const struct chunk *c = chunk_of(list_first(&l->chunks));
        if (!c->has_slots || c->last_slot >= trim || !chunk_evictable(l, c)) {
            break;
        }
        seen("log: chunk of filed slots");
        (void)chunk_evict(l);
    }
}

/* ---- memory ahead ---------------------------------------------------------------------------- */

static void populate_done(struct io_op *op, i64 result)
{
    struct log *l = CONTAINER_OF(op, struct log, populate_op);
    blob_unref(l->populating);
    l->populating = NULL;
    if (l->draining) {
        log_wake(l, 0); /* the drain waits for us */
    }
}

static void populate_run(void *arg)
{
    blob_populate(arg);
}

/* While the cache grows: the next chunk is mapped, and a worker has the kernel back it. Two
   megabytes that the kernel must clear, and perhaps the host must find, take 0.2 to 6 ms: every
   acknowledgement of that time would wait. A writer who is there first waits as if we had not. */
static void populate_ahead(struct log *l)
{
    if (l->open_chunk == NULL || l->draining || l->populating != NULL ||
        l->spare_count >= AHEAD_CHUNKS || l->params.hot_bytes < AHEAD_HOT_BYTES_MIN ||
        l->hot_used + LOG_CHUNK_BYTES > l->params.hot_bytes) {
        return;
    }
    struct blob *blob = blob_take(l, LOG_CHUNK_BYTES);
    if (blob == NULL) {
        return;
    }
    seen("log: memory ahead");
    list_push_back(&l->spare, &chunk_wrap(l, blob)->node);
    l->spare_count++;
    l->populating = blob_ref(blob);
    l->populate_op.done = populate_done;
    io_work(l->io, &l->populate_op, populate_run, blob);
}

/* ---- room ------------------------------------------------------------------------------------ */

/* Bytes that the open slot takes without another chunk. */
static u64 room_in_open(const struct log *l)
{
    const struct slot *s = l->open;
    if (s != NULL) {
        u64 used = (u64)s->placed_bytes + s->staged_bytes +
                   (u64)FRAME_ENTRY_BYTES * (s->entry_count + 1u) + FRAME_HEADER_BYTES +
                   FRAME_TRAILER_BYTES;
        return used < s->capacity ? s->capacity - used : 0;
    }
    const struct chunk *c = l->open_chunk;
    if (c == NULL || (l->last_was_full && c->blob->cap - c->used < LOG_FULL_SLOT_BYTES)) {
        return 0;
    }
    return c->blob->cap - c->used;
}

/* Chunks for `bytes` of batches. A quarter is added for index entries and for what batches that do
   not fit leave free; what that does not cover is the overdraft of chunk_acquire. */
static u32 room_chunks(const struct log *l, u64 bytes)
{
    u64 padded = bytes + bytes / 4 + 4096;
    if (padded <= room_in_open(l)) {
        return 0;
    }
    return (u32)(1 + padded / LOG_CHUNK_BYTES);
}

/* Nobody holds memory that could become free: what is asked for is more than there will ever be. */
static bool room_is_all_free(struct log *l)
{
    return l->open == NULL && list_empty(&l->pending) && l->retiring_count == 0 &&
           l->granted + l->promised == 0;
}

/* Has the chunks for `bytes` in hand, or gets them. A request larger than the cap passes when it
   has everything to itself. */
static bool room_secure(struct log *l, u64 bytes)
{
    u32 want = room_chunks(l, bytes);
    while (l->spare_count < want) {
        if (!spare_add(l, want - l->spare_count)) {
            return room_is_all_free(l);
        }
    }
    return true;
}

/* For something that gets on by itself, and not for memory: when so much more has been appended. */
static bool appends_wait(const struct log *l, u64 more_bytes)
{
    return filing_will_be_behind(l, more_bytes) || index_is_behind(l);
}

bool log_room_reserved(struct log *l, u64 bytes)
{
    bool waiters_for_memory = !list_empty(&l->room_waiters) && !appends_wait(l, 0);
    if (wal_refuses(l)) {
        return true;
    }
    if (waiters_for_memory || !room_secure(l, l->granted + l->promised + bytes)) {
        return false;
    }
    l->granted += bytes;
    return true;
}

bool log_room(struct log *l, u64 bytes)
{
    if (wal_refuses(l) || filing_is_hopeless(l)) {
        return true; /* appends are refused with a reason; waiting here would hide it */
    }
    if (bytes <= l->promised) {
        l->promised -= bytes;
        l->granted += bytes;
        return true;
    }
    if (!list_empty(&l->room_waiters) || appends_wait(l, l->granted + l->promised)) {
        return false;
    }
    if (!room_secure(l, l->granted + l->promised + bytes)) {
        return false;
    }
    l->granted += bytes;
    return true;
}

bool partition_room(struct partition *p, u64 bytes)
{
    struct log *l = p->log;
    if (!index_reserve(p)) {
        return false;
    }
    if (l->staging == NULL) {
        l->staging = chunk_staging_acquire(l);
    }
    bool listed = l->open == NULL || l->open->entry_count < LOG_SLOT_ENTRIES_MAX;
    bool in_hand = (room_chunks(l, bytes) == 0 && listed) || l->spare_count > 0;
    if (!in_hand && bytes <= LOG_CHUNK_BYTES) {
        struct blob *blob = blob_take(l, LOG_CHUNK_BYTES); /* the overdraft of chunk_acquire */
        if (blob != NULL) {
            list_push_back(&l->spare, &chunk_wrap(l, blob)->node);
            l->spare_count++;
            in_hand = true;
        }
    }
    return l->staging != NULL && (in_hand || bytes > LOG_CHUNK_BYTES);
}

void room_used(struct log *l, u64 bytes)
{
    l->granted -= MIN(l->granted, bytes);
}

void room_turn(struct log *l)
{
    l->granted = 0;
    l->promised = 0;
    if (l->retiring_count > 0) {
        retiring_recycle(l);
    }
    index_turn(l);
    populate_ahead(l);
    /* Back below the cap after an overdraft. */
    while (UNLIKELY(l->hot_used > l->params.hot_bytes) && l->retiring_count == 0) {
        if (l->spare_count > 0) {
            spare_release(l);
        } else if (!chunk_evict(l)) {
            break;
        }
    }
}

void log_room_wait(struct log *l, struct log_room_waiter *w)
{
    assert(w->granted != NULL);
    list_push_back(&l->room_waiters, &w->node);
    if (l->writing == 0) {
        log_wake(l, 0);
    }
}

void log_room_cancel(struct log_room_waiter *w)
{
    if (list_linked(&w->node)) {
        list_remove(&w->node);
    }
}

void room_grant(struct log *l)
{
    /* Those who come back to wait while we are at it stand behind these. */
    u32 count = 0;
    LIST_EACH (&l->room_waiters, n) {
        count++;
    }
    for (; count > 0 && !list_empty(&l->room_waiters); count--) {
        struct list_node *first = list_first(&l->room_waiters);
        struct log_room_waiter *w = CONTAINER_OF(first, struct log_room_waiter, node);
        u64 given = l->granted + l->promised;
        bool room = !appends_wait(l, given) && room_secure(l, given + w->bytes);
        if (!wal_refuses(l) && !filing_is_hopeless(l) && !room) {
            break;
        }
        l->promised += w->bytes;
        list_remove(&w->node);
        w->granted(w);
    }
    if (!list_empty(&l->room_waiters) && l->writing == 0 && !appends_wait(l, 0)) {
        /* Nothing under way will call us: memory is held by this turn's readers, or elsewhere. */
        log_wake(l, 1000000);
    }
}
