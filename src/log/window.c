/* The cache of cold reads: pieces of frames ("windows"), read from the home and kept for whoever
   needs their neighbours. Called by cold.c.

   A small range is read with its neighbours in the frame, 64 KiB ("wide"): in a frame of many
   partitions the next partition's batches stand there, and a reader of one partition is rarely
   alone. Where it is alone that is 64 KiB for perhaps two: so every wide window that goes votes on
   whether somebody else came for it, and while the vote is against it only one window in sixteen is
   wide, to notice when that changes. A large range gets a window of its own that nobody else will
   want; it goes when it is released.

     created --> reading --> idle in the cache, least recently used first --> evicted
                    waiters        referenced while a load holds it

   They are found by their place and the MiB of it in which they begin; none is larger than that.

   Every buffer is charged to cold_bytes. Windows without references are evicted when somebody needs
   a buffer; reading ahead does not evict what was read ahead and not used yet. */
#include "log/log_private.h"

enum {
    KEEP_FREE_MAX = 32,
    KEEP_FREE_TINY_MAX = 64,
    VOTES_MAX = 64,
    PROBE_EVERY = 16,
    STRETCH_SHIFT = 20,
};
static_assert(LOG_LOAD_BYTES_MAX <= 1 << STRETCH_SHIFT, "a window is found from the next stretch");

void windows_init(struct log *l)
{
    quota_init(&l->cold_quota, "cold reads", l->params.quota, l->params.cold_bytes);
    pool_init(&l->window_structs, "cold reads", NULL, sizeof(struct window), UINT32_MAX);
    list_init(&l->windows);
    map64_init(&l->windows_by_stretch);
}

/* The home knows only after it was opened how large an aligned buffer must be. Free buffers kept
   mapped stay charged, half of cold_bytes at most and large ones above all: mapping one anew and
   touching it costs the loop as much as reading into it costs the disk. They are given back when
   buffers of another size are wanted. */
void windows_size(struct log *l)
{
    if (l->cold_ready) {
        return;
    }
    u64 tiny = home_read_room(l->home, LOG_TINY_WINDOW_BYTES);
    u64 small = home_read_room(l->home, LOG_WINDOW_BYTES);
    u64 large = home_read_room(l->home, LOG_LOAD_BYTES_MAX);
    u64 part = l->params.cold_bytes / 16;
    u32 keep_tiny = (u32)MIN(part / tiny, (u64)KEEP_FREE_TINY_MAX);
    u32 keep_small = (u32)MIN(part / small, (u64)KEEP_FREE_MAX);
    u32 keep_large = (u32)MIN(6 * part / large, (u64)KEEP_FREE_MAX);
    blob_pool_init(&l->cold_tiny, "cold reads, tiny", &l->cold_quota, tiny, keep_tiny);
    blob_pool_init(&l->cold_small, "cold reads, small", &l->cold_quota, small, keep_small);
    blob_pool_init(&l->cold_large, "cold reads, large", &l->cold_quota, large, keep_large);
    l->cold_ready = true;
}

/* Different stretches may have the same key: what is found is compared. */
static u64 stretch_key(u64 place, u32 stretch)
{
    return place ^ stretch * 0x9e3779b97f4a7c15ull;
}

static u64 window_key(const struct window *w)
{
    return stretch_key(w->place, w->read.pos >> STRETCH_SHIFT);
}

static void window_cache(struct log *l, struct window *w)
{
    w->cached = true;
    w->same_stretch = map64_get(&l->windows_by_stretch, window_key(w));
    map64_put(&l->windows_by_stretch, window_key(w), w);
}

static void window_uncache(struct log *l, struct window *w)
{
    if (!w->cached) {
        return;
    }
    w->cached = false;
    struct window *first = map64_get(&l->windows_by_stretch, window_key(w));
    if (first == w && w->same_stretch == NULL) {
        map64_remove(&l->windows_by_stretch, window_key(w));
    } else if (first == w) {
        map64_put(&l->windows_by_stretch, window_key(w), w->same_stretch);
    } else {
        while (first->same_stretch != w) {
            first = first->same_stretch;
        }
        first->same_stretch = w->same_stretch;
    }
    w->same_stretch = NULL;
}

/* Was it worth being wide? */
static void window_vote(struct log *l, const struct window *w)
{
    if (w->wide && w->uses > 0) {
        i32 vote = w->uses > 1 ? 2 : -1;
        l->wide_votes = MAX(-VOTES_MAX, MIN(VOTES_MAX, l->wide_votes + vote));
    }
}

bool window_is_wide(struct log *l)
{
    l->wide_asked++;
    return l->wide_votes >= 0 || l->wide_asked % PROBE_EVERY == 0;
}

/* Of what is read ahead, in windows of the usual size. */
static u32 window_weight(const struct window *w)
{
    return (w->read.bytes + LOG_WINDOW_BYTES - 1) / LOG_WINDOW_BYTES;
}

static void window_destroy(struct log *l, struct window *w)
{
    window_uncache(l, w);
    window_vote(l, w);
    if (w->uses == 0) {
        l->windows_unused -= window_weight(w);
    }
    if (w->reading) {
        l->windows_reading--;
    }
    blob_unref(w->read.blob);
    list_remove(&w->node);
    pool_put(&l->window_structs, w);
}

/* Nobody will find it. Its buffer is the first that somebody takes who needs one: to give those of
   a whole object back at once would stop the loop for milliseconds. */
static void window_outdate(struct log *l, struct window *w)
{
    window_uncache(l, w);
    if (w->refs > 0 || w->reading) {
        return; /* it goes when it is released */
    }
    if (w->uses == 0) { /* it waits for nobody any more */
        l->windows_unused -= window_weight(w);
        w->uses = 1;
        w->wide = false;
    }
    list_remove(&w->node);
    list_push_front(&l->windows, &w->node);
}

void windows_forget(struct log *l, u32 object)
{
    struct list_node *next;
    for (struct list_node *n = l->windows.head.next; n != &l->windows.head; n = next) {
        next = n->next;
        struct window *w = CONTAINER_OF(n, struct window, node);
        if (w->cached && place_object(w->place) == object) {
            window_outdate(l, w);
        }
    }
}

void windows_fini(struct log *l)
{
    while (!list_empty(&l->windows)) {
        window_destroy(l, CONTAINER_OF(list_first(&l->windows), struct window, node));
    }
    map64_fini(&l->windows_by_stretch);
    if (l->cold_ready) {
        blob_pool_fini(&l->cold_tiny);
        blob_pool_fini(&l->cold_small);
        blob_pool_fini(&l->cold_large);
    }
    pool_fini(&l->window_structs);
}

static struct window *stretch_find(const struct log *l, u64 key, u64 place, u32 pos, u32 bytes)
{
    struct window *w = map64_get(&l->windows_by_stretch, key);
    for (; w != NULL; w = w->same_stretch) {
        if (w->place == place && pos >= w->read.pos && pos - w->read.pos < w->read.bytes &&
            bytes <= w->read.bytes - (pos - w->read.pos)) {
            return w;
        }
    }
    return NULL;
}

struct window *window_find(const struct log *l, u64 place, u32 pos, u32 bytes)
{
    u32 stretch = pos >> STRETCH_SHIFT;
    struct window *w = stretch_find(l, stretch_key(place, stretch), place, pos, bytes);
    if (w == NULL && stretch > 0) {
        w = stretch_find(l, stretch_key(place, stretch - 1), place, pos, bytes);
    }
    return w;
}

void window_use(struct log *l, struct window *w)
{
    w->refs++;
    if (w->uses == 0) {
        l->windows_unused -= window_weight(w);
    }
    w->uses++;
    list_remove(&w->node);
    list_push_back(&l->windows, &w->node);
}

void window_unref(struct log *l, struct window *w)
{
    assert(w->refs > 0);
    w->refs--;
    bool kept = w->cached && !w->spent;
    if (w->refs == 0 && !kept && !w->reading) {
        window_destroy(l, w);
    }
}

/* The least recently used one that nobody holds. */
static bool window_evict(struct log *l, bool ahead)
{
    LIST_EACH (&l->windows, n) {
        struct window *w = CONTAINER_OF(n, struct window, node);
        if (w->refs == 0 && !w->reading && (w->uses > 0 || !ahead)) {
            window_destroy(l, w);
            return true;
        }
    }
    return false;
}

static struct blob *blob_of(struct log *l, u32 bytes)
{
    size_t exact = home_read_room(l->home, bytes);
    struct blob_pool *pool = bytes <= LOG_TINY_WINDOW_BYTES ? &l->cold_tiny
                             : bytes <= LOG_WINDOW_BYTES    ? &l->cold_small
                                                            : &l->cold_large;
    struct blob *blob = blob_get(pool, MAX(exact, pool->usual_bytes));
    /* A budget too small for the usual sizes still serves exact ones. */
    return blob != NULL || exact >= pool->usual_bytes ? blob : blob_get(pool, exact);
}

static void free_blobs_release(struct log *l)
{
    blob_pool_trim(&l->cold_tiny);
    blob_pool_trim(&l->cold_small);
    blob_pool_trim(&l->cold_large);
}

static struct blob *blob_take(struct log *l, u32 bytes, bool ahead)
{
    struct blob *blob = blob_of(l, bytes);
    if (blob == NULL) {
        free_blobs_release(l);
        blob = blob_of(l, bytes);
    }
    while (blob == NULL && window_evict(l, ahead)) {
        blob = blob_of(l, bytes);
    }
    return blob;
}

static void window_read(struct home_read *r, err_t result)
{
    struct window *w = CONTAINER_OF(r, struct window, read);
    struct log *l = w->log;
    w->reading = false;
    l->windows_reading--;
    w->result = result;
    w->refs++; /* while loads are told, which may release it */
    loads_finish(l, w);
    if (result != OK) {
        window_uncache(l, w);
    }
    window_unref(l, w);
    cold_pump(l);
}

/* Starts reading; the completion comes later. NULL: no buffer. */
struct window *window_start(struct log *l, const struct log_range *range, u64 place,
                            enum window_kind kind, bool wide)
{
    bool ahead = kind == WINDOW_AHEAD;
    struct blob *blob = blob_take(l, range->bytes, ahead);
    if (blob == NULL) {
        return NULL;
    }
    struct window *w = pool_get(&l->window_structs);
    assert(w != NULL);
    w->log = l;
    w->place = place;
    w->reading = true;
    w->wide = wide;
    list_init(&w->waiters);
    list_push_back(&l->windows, &w->node);
    l->windows_reading++;
    w->read = (struct home_read){
        .done = window_read,
        .wal = range->object & ~LOG_PACK_BIT,
        .slot = range->slot,
        .pos = range->pos,
        .bytes = range->bytes,
        .blob = blob,
    };
    l->windows_unused += window_weight(w);
    if (kind != WINDOW_ALONE) {
        window_cache(l, w);
    }
    if (log_id_is_pack(range->object)) {
        home_pack_read(l->home, &w->read);
    } else {
        home_wal_read(l->home, &w->read);
    }
    return w;
}
