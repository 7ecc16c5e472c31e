/* Partitions: appending, reading, look-ups, and telling watchers that there is more to read.
   Callers: handlers of the broker, through the door; wal.c when a slot is durable.

   An append: refused? repeated? room in the index and the slot? then one copy, base offset and
   leader epoch patched in front of the CRC, and notes for the slot, the index and the producer.
   Everything that can fail comes before the first change. */
#include "log/log_private.h"

#include <string.h>

static const u64 NO_MEMORY_TELL_NS = 60000000000;

struct partition *partition_get(struct log *l, u32 id)
{
    struct partition *p = map64_get(&l->partitions, id);
    if (LIKELY(p != NULL)) {
        return p;
    }
    p = pool_get(&l->partition_pool);
    assert(p != NULL);
    p->log = l;
    p->id = id;
    p->leader_epoch = -1;
    p->deleted_max_timestamp = INT64_MIN;
    map64_init(&p->producers);
    list_init(&p->watches);
    map64_put(&l->partitions, id, p);
    return p;
}

struct partition *log_partition(struct log *l, u32 id, i32 leader_epoch)
{
    assert(leader_epoch >= 0);
    struct partition *p = partition_get(l, id);
    if (LIKELY(l->older == NULL) || p->ended) {
        epoch_assign(p, leader_epoch, p->end_offset);
    }
    return p;
}

void partition_destroy(struct partition *p)
{
    assert(p->log->bytes >= p->bytes);
    p->log->bytes -= p->bytes;
    index_fini(p);
    producers_fini(p);
    pool_put(&p->log->partition_pool, p);
}

static void watches_call(struct log *l, struct partition *p, err_t why)
{
    assert(l->notified == NULL);
    l->notified = p;
    list_splice(&l->notify_left, &p->watches);
    while (!list_empty(&l->notify_left)) {
        struct list_node *n = list_pop_front(&l->notify_left);
        if (why == OK) {
            list_push_back(&p->watches, n);
        }
        struct partition_watch *w = CONTAINER_OF(n, struct partition_watch, node);
        w->moved(w, why);
        if (l->notified != p) {
            return; /* removed by the one just told */
        }
    }
    l->notified = NULL;
}

void log_partition_remove(struct log *l, u32 id)
{
    struct partition *p = map64_remove(&l->partitions, id);
    if (p == NULL) {
        return;
    }
    wal_forget_partition(l, p);
    if (list_linked(&p->moved)) {
        list_remove(&p->moved);
    }
    struct partition *outer = l->notified;
    struct list outer_left;
    list_init(&outer_left);
    if (outer == p) {
        list_splice(&p->watches, &l->notify_left);
        outer = NULL;
    } else {
        list_splice(&outer_left, &l->notify_left);
    }
    l->notified = NULL;
    watches_call(l, p, ERR_NOT_FOUND);
    l->notified = outer;
    list_splice(&l->notify_left, &outer_left);
    partition_destroy(p);
}

void partition_info(const struct partition *p, struct partition_info *out)
{
    *out = (struct partition_info){
        .id = p->id,
        .leader_epoch = p->leader_epoch,
        .log_start_offset = p->start_offset,
        .high_watermark = p->high_watermark,
        .last_stable_offset = p->high_watermark,
        .log_end_offset = p->end_offset,
        .bytes = p->bytes,
    };
}

/* Watchers are told at the end of the turn. */
static void partition_stir(struct partition *p)
{
    if (!list_empty(&p->watches) && !list_linked(&p->moved)) {
        list_push_back(&p->log->moved, &p->moved);
    }
}

/* What recovery did not find any more is not waited for: offsets below the start are given away. */
static void end_at_start(struct partition *p)
{
    assert(!p->log->started || p->log->older != NULL);
    seen("log: a log start above what recovery found");
    p->end_offset = p->start_offset;
    p->high_watermark = p->start_offset;
}

void partition_set_log_start(struct partition *p, u64 offset)
{
    if (offset <= p->start_offset || older_defers_start(p, offset)) {
        return;
    }
    struct log *l = p->log;
    assert(offset <= p->high_watermark || !l->started || l->older != NULL);
    if (p->run_count > 0 && p->runs[0].base_offset < offset) {
        u32 last = index_find(p, MIN(offset, p->end_offset) - 1); /* with something that goes */
        p->deleted_max_timestamp =
            MAX(p->deleted_max_timestamp, p->runs[last].max_timestamp_so_far);
    }
    u64 dropped = index_drop_front(p, offset);
    assert(p->bytes >= dropped);
    p->bytes -= dropped;
    l->bytes -= dropped;
    p->start_offset = offset;
    if (p->end_offset < offset) {
        end_at_start(p);
    }
    epochs_drop_front(p, offset);
    partition_stir(p);
    if (list_linked(&p->moved)) {
        log_wake(l, 0);
    }
}

/* ---- append ---------------------------------------------------------------------------------- */

void partition_reserve(struct partition *p)
{
    p->reserved = true;
}

void partition_compact(struct partition *p)
{
    if (!p->compacted) {
        p->compacted = true;
        filing_compacts(p->log, p->id);
    }
}

static i16 refusal(const struct partition *p)
{
    const struct log *l = p->log;
    if (l->draining && !l->fenced && l->failure == OK && !l->no_space) {
        return KERR_NOT_LEADER_OR_FOLLOWER; /* shutting down: ask for Metadata, try again */
    }
    if (filing_is_hopeless(l) && !p->reserved) {
        return KERR_KAFKA_STORAGE_ERROR;
    }
    return wal_refuses(l) ? KERR_KAFKA_STORAGE_ERROR : KERR_NONE;
}

static void answer_repeat(const struct producer_batch *b, bool log_append_time,
                          struct append_result *out)
{
    *out = (struct append_result){
        .kerr = KERR_NONE,
        .duplicate = true,
        .base_offset = b->base_offset,
        .log_append_time_ms = log_append_time ? b->max_timestamp : BATCH_NO_TIMESTAMP,
        .slot = b->position,
    };
}

/* The batch in its place: copied, numbered, stamped. */
static void batch_store(const struct partition *p, const struct batch_view *view, u8 *at,
                        bool log_append_time)
{
    memcpy(at, view->whole.ptr, view->whole.len);
    batch_set_base_offset_and_epoch(at, (i64)p->end_offset, p->leader_epoch);
    if (log_append_time) {
        batch_set_log_append_time(at, io_wall_ms(p->log->io));
    }
}

/* What stands in the stored batch, not in the view: the caller may have corrected the timestamp. */
static struct frame_entry entry_of(const struct partition *p, const struct batch_view *view,
                                   const u8 *at, u32 pos)
{
    return (struct frame_entry){
        .partition = p->id,
        .leader_epoch = (u32)p->leader_epoch,
        .base_offset = p->end_offset,
        .producer_id = view->producer_id,
        .max_timestamp = (i64)load_be64(at + BATCH_AT_MAX_TIMESTAMP),
        .last_offset_delta = (u32)view->last_offset_delta,
        .pos = pos,
        .bytes = (u32)view->whole.len,
        .base_sequence = view->base_sequence,
        .batch_crc = load_be32(at + BATCH_AT_CRC),
        .producer_epoch = view->producer_epoch,
        .attributes = load_be16(at + BATCH_AT_ATTRIBUTES),
    };
}

static void note_in_index(struct partition *p, const struct frame_entry *e, bool staged)
{
    struct log *l = p->log;
    u64 slot = l->open->number;
    if (p->touched_slot != slot + 1) {
        p->first_open_run = p->run_count;
    }
    const struct index_add add = {
        .base_offset = e->base_offset,
        .max_timestamp = e->max_timestamp,
        .place = run_place(l->wal_object, slot),
        .pos = e->pos,
        .bytes = e->bytes,
        .leader_epoch = p->leader_epoch,
        .flags = staged ? RUN_STAGED : 0,
    };
    index_add(p, &add);
}

static void note_in_producers(struct partition *p, const struct batch_view *view,
                              const struct frame_entry *e)
{
    const struct producer_batch batch = {
        .base_offset = e->base_offset,
        .position = p->log->open->number + 1,
        .max_timestamp = e->max_timestamp,
        .first_sequence = view->base_sequence,
        .last_sequence = batch_last_sequence(view),
    };
    producer_add(p, view->producer_id, view->producer_epoch, &batch, io_wall_ms(p->log->io));
}

/* Chunks, or what is known of producers. A full index has told so itself. */
static void no_memory_tell(struct log *l)
{
    u64 now_ns = io_now_ns(l->io);
    if (l->index_full ||
        (l->no_memory_told_ns > 0 && now_ns - l->no_memory_told_ns < NO_MEMORY_TELL_NS)) {
        return;
    }
    l->no_memory_told_ns = now_ns;
    diag(MSG_log_no_memory, D_UINT("log_bytes_max", memory_of_log(l)),
         D_UINT("cache_bytes", l->hot_used), D_UINT("index_bytes", index_bytes(l)),
         D_UINT("producers", l->producer_pool.count));
}

void partition_append(struct partition *p, const struct batch_view *view, bool log_append_time,
                      struct append_result *out)
{
    struct log *l = p->log;
    assert(l->started);
    assert(view->whole.len >= BATCH_HEADER_BYTES);
    assert(view->last_offset_delta >= 0);
    *out = (struct append_result){.log_append_time_ms = BATCH_NO_TIMESTAMP};
    bool idempotent = batch_has_producer_id(view);
    if (idempotent) {
        const struct producer_batch *repeat;
        out->kerr = producer_check(p, view, &repeat);
        if (repeat != NULL) {
            answer_repeat(repeat, log_append_time, out);
            return;
        }
    }
    if (out->kerr == KERR_NONE) {
        out->kerr = refusal(p);
    }
    if (out->kerr == KERR_NONE && view->whole.len > LOG_BATCH_BYTES_MAX) {
        out->kerr = KERR_MESSAGE_TOO_LARGE;
    }
    if (out->kerr != KERR_NONE) {
        return;
    }
    bool staged;
    u32 pos;
    u8 *at = NULL;
    if (index_reserve(p) &&
        (!idempotent || producer_reserve(p, view->producer_id, io_wall_ms(l->io)))) {
        at = wal_place(l, (u32)view->whole.len, &staged, &pos);
    }
    if (at == NULL) {
        no_memory_tell(l);
        out->kerr = KERR_KAFKA_STORAGE_ERROR;
        return;
    }
    batch_store(p, view, at, log_append_time);
    const struct frame_entry entry = entry_of(p, view, at, pos);
    note_in_index(p, &entry, staged);
    if (idempotent) {
        note_in_producers(p, view, &entry);
    }
    wal_add(l, p, &entry, staged);
    p->end_offset += entry.last_offset_delta + 1ull;
    p->bytes += entry.bytes;
    l->bytes += entry.bytes;
    room_used(l, entry.bytes);
    metric_add(METRIC_log_appends_total, 1);
    metric_add(METRIC_log_append_bytes_total, entry.bytes);
    out->base_offset = entry.base_offset;
    out->log_append_time_ms = log_append_time ? entry.max_timestamp : BATCH_NO_TIMESTAMP;
    out->slot = l->open->number + 1;
}

/* ---- watermarks and watches ------------------------------------------------------------------ */

void partition_moved(struct partition *p, u64 high_watermark)
{
    assert(high_watermark > p->high_watermark);
    assert(high_watermark <= p->end_offset);
    p->high_watermark = high_watermark;
    partition_stir(p);
}

void partitions_notify(struct log *l)
{
    struct list moved;
    list_init(&moved);
    list_splice(&moved, &l->moved);
    for (struct list_node *n = list_pop_front(&moved); n != NULL; n = list_pop_front(&moved)) {
        watches_call(l, CONTAINER_OF(n, struct partition, moved), OK);
    }
}

void partition_watch(struct partition *p, struct partition_watch *w)
{
    assert(w->moved != NULL);
    list_push_back(&p->watches, &w->node);
}

void partition_unwatch(struct partition_watch *w)
{
    if (list_linked(&w->node)) {
        list_remove(&w->node);
    }
}

/* ---- read ------------------------------------------------------------------------------------ */

struct log_range run_range(const struct partition *p, const struct run *r)
{
    return (struct log_range){
        .object = p->log->objects[place_object(r->place)].id,
        .slot = place_slot(r->place),
        .offset = r->base_offset,
        .first_pos = r->pos,
        .pos = r->pos,
        .bytes = r->bytes,
        .partition = p->id,
    };
}

/* Part of a run, whole batches. */
struct piece {
    u32 skip; /* bytes of the run before it */
    u32 bytes;
    u64 next_offset;
};

/* What may still be added to an answer. */
struct want {
    u64 from;
    u64 limit;
    u32 bytes_max;
    bool one_batch; /* one whole batch is owed, however large */
};

/* Walks the batches of a run that is in memory: from the one that holds `from` to the last that
   ends at or below `limit` and fits. */
static struct piece run_walk(const u8 *data, u32 data_bytes, const struct want *want)
{
    struct piece piece = {0};
    u32 at = 0;
    while (at < data_bytes) {
        u32 bytes = BATCH_PREFIX_BYTES + load_be32(data + at + BATCH_AT_LENGTH);
        u64 next = load_be64(data + at) + load_be32(data + at + BATCH_AT_LAST_OFFSET_DELTA) + 1;
        assert(bytes >= BATCH_HEADER_BYTES);
        assert(bytes <= data_bytes - at);
        if (next <= want->from) {
            at += bytes;
            piece.skip = at;
            continue;
        }
        bool owed = want->one_batch && piece.bytes == 0;
        bool fits = piece.bytes + (u64)bytes <= want->bytes_max || owed;
        if (next > want->limit || !fits) {
            break;
        }
        piece.bytes += bytes;
        piece.next_offset = next;
        at += bytes;
    }
    return piece;
}

/* What to add to the answer so far. */
static struct want want_of(const struct partition_read *read)
{
    return (struct want){
        .from = read->offset,
        .limit = read->limit_offset,
        .bytes_max = read->bytes_max - MIN(read->bytes_max, read->bytes),
        .one_batch = read->one_batch && read->bytes == 0,
    };
}

void partition_cut(const struct partition_read *read, const u8 *data, u32 bytes,
                   struct partition_cut *cut)
{
    const struct want want = want_of(read);
    struct piece piece = run_walk(data, bytes, &want);
    *cut = (struct partition_cut){
        .offset = read->offset,
        .next_offset = piece.next_offset,
        .run = read->run,
        .skip = piece.skip,
        .bytes = piece.bytes,
    };
}

/* Is it of this run, where that is now? */
static bool cut_fits(const struct partition_cut *cut, const struct partition_read *read,
                     const struct log_range *run)
{
    return cut != NULL && cut->offset == read->offset && cut->run.partition == run->partition &&
           cut->run.object == run->object && cut->run.slot == run->slot &&
           cut->run.pos == run->pos && cut->run.bytes == run->bytes;
}

/* What of a run that is not in memory belongs into the answer. Where its batches begin is in its
   bytes, so it is taken whole or not at all; the first run of an answer is cut, if the caller has
   its bytes read. A run of more than LOG_RUN_BYTES is one batch. */
static err_t cold_piece(const struct run *r, u64 next, const struct want *want,
                        struct partition_read *read, const struct log_range *run,
                        struct piece *piece)
{
    bool below = next <= want->limit;
    bool whole = below && r->bytes <= want->bytes_max;
    bool uncut = read->whole_runs || read->bytes > 0 || r->bytes > LOG_RUN_BYTES;
    if (uncut || (want->from <= r->base_offset && !want->one_batch)) {
        if (below && (whole || want->one_batch)) {
            *piece = (struct piece){.bytes = r->bytes, .next_offset = next};
        }
        return OK;
    }
    if (!cut_fits(read->cut, read, run)) {
        seen("log: the first run of an answer has to be read to be cut");
        read->run = *run;
        return ERR_AGAIN;
    }
    const struct partition_cut *cut = read->cut;
    if (cut->next_offset <= want->limit && (cut->bytes <= want->bytes_max || want->one_batch)) {
        *piece = (struct piece){cut->skip, cut->bytes, cut->next_offset};
    }
    return OK;
}

/* What of run `index` belongs into the answer; bytes 0: nothing more. */
static err_t run_piece(struct partition *p, u32 index, const struct want *want,
                       struct partition_read *read, struct piece *piece)
{
    const struct run *r = &p->runs[index];
    u64 next = index_next_offset(p, index);
    *piece = (struct piece){0};
    if (next <= want->limit && r->bytes <= want->bytes_max && want->from <= r->base_offset) {
        *piece = (struct piece){.bytes = r->bytes, .next_offset = next};
        return OK;
    }
    struct log_range range = run_range(p, r);
    const u8 *data = hot_data(p->log, &range);
    if (data != NULL) {
        *piece = run_walk(data, r->bytes, want);
        return OK;
    }
    return cold_piece(r, next, want, read, &range, piece);
}

/* Joins the range before if it ends where this one begins. false: the array is full. */
static bool range_add(struct partition_read *read, struct log_range range)
{
    if (read->range_count > 0) {
        struct log_range *last = &read->ranges[read->range_count - 1];
        if (last->object == range.object && last->slot == range.slot &&
            last->pos + last->bytes == range.pos) {
            last->bytes += range.bytes;
            return true;
        }
    }
    if (read->range_count == PARTITION_READ_RANGES_MAX) {
        return false;
    }
    read->ranges[read->range_count] = range;
    read->range_count++;
    return true;
}

err_t partition_read(struct partition *p, struct partition_read *read)
{
    read->range_count = 0;
    read->bytes = 0;
    read->next_offset = read->offset;
    if (read->offset < p->start_offset || read->offset > p->end_offset) {
        return ERR_NOT_FOUND;
    }
    u64 limit = MIN(read->limit_offset, p->high_watermark);
    if (read->offset >= limit) {
        return OK;
    }
    u32 index = index_find(p, read->offset);
    for (; index < p->run_count && p->runs[index].base_offset < limit; index++) {
        const struct run *r = &p->runs[index];
        if ((r->flags & RUN_QUARANTINED) != 0) {
            return read->bytes > 0 ? OK : ERR_CORRUPT;
        }
        struct want want = want_of(read);
        want.limit = limit;
        struct piece piece;
        err_t e = run_piece(p, index, &want, read, &piece);
        if (e != OK) {
            return e;
        }
        if (piece.bytes == 0) {
            break;
        }
        struct log_range range = run_range(p, r);
        range.pos += piece.skip;
        range.bytes = piece.bytes;
        if (!range_add(read, range)) {
            break;
        }
        read->bytes += piece.bytes;
        read->next_offset = piece.next_offset;
        if (piece.skip + piece.bytes < r->bytes) {
            break;
        }
    }
    return OK;
}

/* ---- look-ups by time ------------------------------------------------------------------------ */

err_t partition_find_timestamp(struct partition *p, i64 target_ms, u64 from_offset,
                               struct log_range *range, u64 *run_next_offset)
{
    u64 from = MAX(from_offset, p->start_offset);
    if (from >= p->high_watermark) {
        return ERR_NOT_FOUND;
    }
    u32 index = index_find_timestamp(p, target_ms);
    if (index < p->run_count) {
        index = MAX(index, index_find(p, from));
    }
    while (index < p->run_count && (p->runs[index].flags & RUN_QUARANTINED) != 0) {
        index++;
    }
    if (index >= p->run_count || p->runs[index].base_offset >= p->high_watermark) {
        return ERR_NOT_FOUND;
    }
    *range = run_range(p, &p->runs[index]);
    *run_next_offset = index_next_offset(p, index);
    return OK;
}

err_t partition_find_largest_timestamp(struct partition *p, u64 from_offset,
                                       struct log_range *range, u64 *run_next_offset)
{
    u64 from = MAX(from_offset, p->start_offset);
    if (from >= p->high_watermark) {
        return ERR_NOT_FOUND;
    }
    u32 last = index_find(p, p->high_watermark - 1);
    i64 largest = p->runs[last].max_timestamp_so_far;
    u32 index = index_find(p, from);
    if (largest > p->deleted_max_timestamp) {
        u32 first = index_find_timestamp(p, largest);
        assert(first <= last);
        if (index > first || (p->runs[first].flags & RUN_QUARANTINED) != 0) {
            return ERR_NOT_FOUND;
        }
        index = first;
    }
    while (index <= last && (p->runs[index].flags & RUN_QUARANTINED) != 0) {
        index++;
    }
    if (index > last) {
        return ERR_NOT_FOUND;
    }
    *range = run_range(p, &p->runs[index]);
    *run_next_offset = index_next_offset(p, index);
    return OK;
}
