/* Reads of what is no longer in the hot cache: from the home into buffers of a small, separate pool,
   so that a consumer far behind cannot push the tail out of memory. Called by the broker (log_load).

   Happy path: log_load queues; cold_pump takes a buffer and starts the read; the home's completion
   verifies each batch and tells the caller; log_load_release gives the buffer back and pumps.

   How it fails: no buffer: waits its turn. The caller goes away (log_load_release before done): the read goes on
   without it, which is why it lives here and not in the caller's struct. A batch disagrees with its
   checksum or is not the one the index promises: its run is quarantined; the batches before it are
   still given. A batch larger than the pool: pieces of it are given unverified, since nobody has the
   whole. */
#include "log/log_private.h"

enum load_state { LOAD_IDLE, LOAD_QUEUED, LOAD_READING, LOAD_DONE };
enum {
    COLD_SMALL_BYTES = 64 * 1024,
    COLD_LARGE_BYTES = 1024 * 1024, /* what one connection may pin */
    COLD_KEEP_FREE_MAX = 8,
};

struct cold_read {
    struct list_node node; /* in log.cold_reads */
    struct log *log;
    struct log_load *load; /* NULL: cancelled */
    struct home_read read;
};

void cold_init(struct log *l)
{
    quota_init(&l->cold_quota, "cold reads", l->params.quota, l->params.cold_bytes);
    pool_init(&l->cold_reads_pool, "cold reads", NULL, sizeof(struct cold_read), UINT32_MAX);
    list_init(&l->cold_reads);
    list_init(&l->load_waiting);
}

/* The home knows only after it was opened how large an aligned buffer must be. Free buffers kept mapped stay
   charged, so they may take a quarter of the pool each at most. */
static void cold_pools_size(struct log *l)
{
    if (l->cold_ready) {
        return;
    }
    u64 small = home_read_room(l->home, COLD_SMALL_BYTES);
    u64 large = home_read_room(l->home, COLD_LARGE_BYTES);
    u64 quarter = l->params.cold_bytes / 4;
    u32 keep_small = (u32)MIN(quarter / small, (u64)COLD_KEEP_FREE_MAX);
    u32 keep_large = (u32)MIN(quarter / large, (u64)COLD_KEEP_FREE_MAX);
    blob_pool_init(&l->cold_small, "cold reads, small", &l->cold_quota, small, keep_small);
    blob_pool_init(&l->cold_large, "cold reads, large", &l->cold_quota, large, keep_large);
    l->cold_ready = true;
}

static void load_reset(struct log_load *load)
{
    load->state = LOAD_IDLE;
    load->data = NULL;
    load->blob = NULL;
    load->cold = NULL;
}

static void cold_free(struct log *l, struct cold_read *cold)
{
    if (cold->read.blob != NULL) {
        blob_unref(cold->read.blob);
    }
    list_remove(&cold->node);
    pool_put(&l->cold_reads_pool, cold);
}

void cold_fini(struct log *l)
{
    for (struct list_node *n = list_pop_front(&l->load_waiting); n != NULL;
         n = list_pop_front(&l->load_waiting)) {
        load_reset(CONTAINER_OF(n, struct log_load, node));
    }
    while (!list_empty(&l->cold_reads)) {
        struct cold_read *cold = CONTAINER_OF(list_first(&l->cold_reads), struct cold_read, node);
        if (cold->load != NULL) {
            load_reset(cold->load);
        }
        cold_free(l, cold);
    }
    if (l->cold_ready) {
        blob_pool_fini(&l->cold_small);
        blob_pool_fini(&l->cold_large);
    }
    pool_fini(&l->cold_reads_pool);
}

/* ---- verification ---------------------------------------------------------------------------- */

/* The batch at data + at: is it whole, the one expected, and good? *bytes: its length, even when it is not
   wholly in the buffer. end: where its run ends, from `data`. */
static bool batch_good(const u8 *data, u32 data_bytes, u32 at, u32 end, u64 *expected, u32 *bytes)
{
    u32 left = data_bytes - at;
    if (left < BATCH_HEADER_BYTES) {
        *bytes = end - at;
        return true; /* cannot be told here */
    }
    u32 length = load_be32(data + at + BATCH_AT_LENGTH);
    if (length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES || length > end - at - BATCH_PREFIX_BYTES) {
        return false;
    }
    *bytes = BATCH_PREFIX_BYTES + length;
    u64 base = load_be64(data + at);
    if (*expected != UINT64_MAX && base != *expected) {
        return false;
    }
    *expected = base + load_be32(data + at + BATCH_AT_LAST_OFFSET_DELTA) + 1;
    if (*bytes > left) {
        return true;
    }
    struct batch_view view;
    err_t e = batch_view_parse(slice_of(data + at, *bytes), &view);
    return e == OK && batch_crc_ok(&view);
}

/* The batches of one run that lie in the buffer from `at` on. Returns where the good ones end; *bad: one
   is not. */
static u32 run_verify(const u8 *data, u32 data_bytes, u32 at, u32 end, u64 first, u64 next, bool *bad)
{
    u64 expected = first; /* UINT64_MAX: the range begins inside the run */
    while (at < end) {
        u32 bytes = 0;
        if (!batch_good(data, data_bytes, at, end, &expected, &bytes)) {
            *bad = true;
            return at;
        }
        if (bytes > data_bytes - at) {
            return at;
        }
        at += bytes;
    }
    *bad = expected != next; /* the run ends at another offset than the index says */
    return at;
}

/* How much of the buffer may be given. ERR_CORRUPT: not even the first batch. */
static err_t cold_verify(struct log *l, const struct log_range *range, const u8 *data, u32 data_bytes,
                         u32 *good)
{
    struct partition *p = map64_get(&l->partitions, range->partition);
    if (p == NULL) {
        return ERR_NOT_FOUND;
    }
    u32 wal_index = 0;
    while (wal_index < l->wal_count && l->wals[wal_index] != range->wal) {
        wal_index++;
    }
    u32 at = 0;
    bool bad = false;
    while (at < data_bytes && !bad) {
        u32 index = index_find_place(p, run_place(wal_index, range->slot), range->pos + at);
        if (index == p->run_count) {
            return ERR_NOT_FOUND;
        }
        struct run *r = &p->runs[index];
        u32 end = r->pos + r->bytes - range->pos;
        bool from_start = range->pos + at == r->pos;
        if (!from_start && r->bytes > LOG_RUN_BYTES) {
            at = MIN(end, data_bytes); /* inside a batch: a piece of what is larger than the pool */
            continue;
        }
        u64 first = from_start ? r->base_offset : UINT64_MAX;
        at = run_verify(data, data_bytes, at, end, first, index_next_offset(p, index), &bad);
        if (bad) {
            seen("log: quarantined on read");
            r->flags |= RUN_QUARANTINED;
        } else if (at < end) {
            break; /* the last batch is not wholly here */
        }
    }
    if (bad && at == 0) {
        return ERR_CORRUPT;
    }
    *good = at > 0 ? at : data_bytes;
    return OK;
}

/* ---- loading --------------------------------------------------------------------------------- */

static void cold_done(struct home_read *r, err_t result)
{
    struct cold_read *cold = CONTAINER_OF(r, struct cold_read, read);
    struct log *l = cold->log;
    struct log_load *load = cold->load;
    if (load == NULL) {
        cold_free(l, cold);
        cold_pump(l);
        return;
    }
    assert(load->state == LOAD_READING);
    const u8 *data = r->blob->data + r->blob_offset;
    if (result == OK) {
        result = cold_verify(l, &load->range, data, r->bytes, &load->bytes);
    }
    if (result != OK) {
        load_reset(load);
        cold_free(l, cold);
        load->done(load, result);
        cold_pump(l);
        return;
    }
    load->state = LOAD_DONE;
    load->data = data;
    load->blob = r->blob;
    load->done(load, OK);
}

/* As much as is read at once: up to 1 MiB, more if the first batch is larger, half the pool at most, so that
   what is kept free of other sizes is never in the way for good. */
static u32 load_bytes(struct log *l, const struct log_range *range)
{
    u64 bytes = MIN(range->bytes, (u32)COLD_LARGE_BYTES);
    if (range->bytes > bytes) {
        struct partition *p = map64_get(&l->partitions, range->partition);
        u32 wal_index = 0;
        while (wal_index < l->wal_count && l->wals[wal_index] != range->wal) {
            wal_index++;
        }
        u32 index = p == NULL ? 0 : index_find_place(p, run_place(wal_index, range->slot), range->pos);
        if (p != NULL && index < p->run_count) {
            bytes = MAX(bytes, MIN((u64)range->bytes, p->runs[index].bytes));
        }
    }
    u64 room_max = MAX(l->params.cold_bytes / 2, (u64)home_read_room(l->home, 1));
    while (home_read_room(l->home, (u32)bytes) > room_max) {
        bytes -= MIN(bytes - 1, (u64)BLOB_ALIGN);
    }
    return (u32)bytes;
}

static struct blob *cold_blob(struct log *l, u32 bytes)
{
    size_t room = home_read_room(l->home, bytes);
    if (bytes <= COLD_SMALL_BYTES) {
        room = l->cold_small.usual_bytes;
    } else if (bytes <= COLD_LARGE_BYTES) {
        room = l->cold_large.usual_bytes;
    }
    struct blob *blob = blob_get(bytes <= COLD_SMALL_BYTES ? &l->cold_small : &l->cold_large, room);
    /* A pool too small for the usual sizes still serves exact ones. */
    return blob != NULL || room == home_read_room(l->home, bytes)
               ? blob
               : blob_get(&l->cold_large, home_read_room(l->home, bytes));
}

static bool load_start(struct log *l, struct log_load *load)
{
    u32 bytes = load_bytes(l, &load->range);
    struct blob *blob = cold_blob(l, bytes);
    if (blob == NULL) {
        return false;
    }
    struct cold_read *cold = pool_get(&l->cold_reads_pool);
    assert(cold != NULL);
    cold->log = l;
    cold->load = load;
    cold->read = (struct home_read){
        .done = cold_done,
        .wal = load->range.wal,
        .slot = load->range.slot,
        .pos = load->range.pos,
        .bytes = bytes,
        .blob = blob,
    };
    list_push_back(&l->cold_reads, &cold->node);
    load->cold = cold;
    load->state = LOAD_READING;
    home_wal_read(l->home, &cold->read);
    return true;
}

bool cold_reading(const struct log *l)
{
    const struct list_node *end = &l->cold_reads.head;
    for (const struct list_node *n = end->next; n != end; n = n->next) {
        const struct cold_read *cold = CONTAINER_OF(n, const struct cold_read, node);
        if (cold->load == NULL || cold->load->state == LOAD_READING) {
            return true;
        }
    }
    return false;
}

void cold_pump(struct log *l)
{
    if (l->draining) {
        return; /* the end: what is under way finishes, nothing new begins */
    }
    while (!list_empty(&l->load_waiting)) {
        struct log_load *load = CONTAINER_OF(list_first(&l->load_waiting), struct log_load, node);
        if (!load_start(l, load)) {
            break;
        }
        list_remove(&load->node);
    }
    if (!list_empty(&l->load_waiting) && list_empty(&l->cold_reads)) {
        log_wake(l, 10000000); /* the budget above is exhausted: nothing of ours will call */
    }
}

void log_load(struct log *l, struct log_load *load)
{
    assert(load->done != NULL);
    assert(load->state == LOAD_IDLE);
    assert(load->range.bytes > 0);
    cold_pools_size(l);
    load->log = l;
    load->state = LOAD_QUEUED;
    load->data = NULL;
    load->bytes = 0;
    list_push_back(&l->load_waiting, &load->node);
    cold_pump(l);
}

void log_load_release(struct log_load *load)
{
    struct log *l = load->log;
    struct cold_read *cold = load->cold;
    switch ((enum load_state)load->state) {
    case LOAD_IDLE:
        return;
    case LOAD_QUEUED:
        list_remove(&load->node);
        load_reset(load);
        return;
    case LOAD_READING:
        cold->load = NULL;
        load_reset(load);
        return;
    case LOAD_DONE:
        cold_free(l, cold);
        load_reset(load);
        cold_pump(l);
        return;
    }
}
