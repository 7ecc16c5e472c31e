/* Building a pack out of a stretch of WAL slots. Runs on a worker (io_work), called by filing.c
   once for each piece; touches nothing but its job. First visit: 1 and 2; then some of 3 a visit;
   last visit: 4 and 5.

     1. the frames: those in memory as they are, the others read front to back
     2. an item per batch, sorted by partition and offset: only pointers move
     3. batch by batch into the pack, or noted where it is if the file is kept, each compared with
   its index entry; neighbours become one run; of the broker's own partitions only the last record
   of each key (compact.h)
     4. of every producer the last batches: what a restart needs to recognize a repetition
     5. index, sync: the pack is durable, but nobody refers to it yet

   How it fails: whatever the home says; then there is no file, and the slots are still in the WAL.
   A batch that disagrees with its entry is copied as it is and its run marked as quarantined: to
   leave it out would make a hole of something that perhaps can be read one day. */
#include "log/compact.h"
#include "log/filing.h"

#include <stdlib.h>
#include <string.h>

/* A batch: where its index entry is and where its bytes are. */
struct item {
    u64 base_offset;
    const u8 *entry; /* encoded */
    const u8 *frame;
    u32 partition;
    u32 kept_at; /* where the frame is in the file that is kept; NOT_KEPT: the batch is copied */
};
enum { NOT_KEPT = UINT32_MAX };

struct filing_build {
    struct filing_job *job;
    struct item *items;
    u32 item_count;
    u32 item_cap;
    size_t read_used;
    u32 item_next;                /* to be written */
    u32 frames_end;               /* in the file that is kept: behind the last frame */
    struct pack_writer *writer;   /* NULL: none, or it has ended */
    struct pack_run run;          /* being written; bytes 0: none */
    bool compacts;                /* the partition that is being written is compacted ... */
    struct compaction compaction; /* ... by this */
    struct frame_entry hole;      /* of batches without records, not written yet; bytes 0: none */
    u8 *filtered;                 /* one batch */
    u32 filtered_cap;
};

/* ---- collecting ------------------------------------------------------------------------------ */

static err_t frame_find(struct filing_build *b, u32 i, const u8 **frame)
{
    struct filing_job *job = b->job;
    *frame = job->frames[i];
    if (*frame != NULL) {
        return OK;
    }
    assert(job->slots != NULL);
    assert(job->read_buffer != NULL);
    u8 *at = job->read_buffer->data + b->read_used;
    u32 bytes = 0;
    TRY(home_slots_read(job->slots, job->from + i, at, job->read_buffer->cap - b->read_used,
                        &bytes));
    b->read_used += ROUND_UP((size_t)bytes, (size_t)BLOB_ALIGN);
    *frame = at;
    return OK;
}

static void item_add(struct filing_build *b, const u8 *frame, u32 frame_at, const u8 *encoded)
{
    if (b->item_count == b->item_cap) {
        b->item_cap = MAX(2 * b->item_cap, 1024u);
        b->items = mem_resize(b->items, b->item_cap * sizeof(b->items[0]));
    }
    struct frame_entry entry;
    frame_entry_decode(encoded, &entry);
    b->items[b->item_count] = (struct item){
        .base_offset = entry.base_offset,
        .entry = encoded,
        .frame = frame,
        .partition = entry.partition,
        .kept_at = frame_at,
    };
    b->item_count++;
}

/* Every batch of the stretch, or of as many slots as have no more than the limit together. */
static err_t items_collect(struct filing_build *b)
{
    struct filing_job *job = b->job;
    for (u32 i = 0; i < job->slot_count; i++) {
        const u8 *frame;
        TRY(frame_find(b, i, &frame));
        struct frame_header header;
        TRY(frame_header_decode(frame, &header));
        if (header.wal != job->wal || header.slot != job->from + i) {
            return ERR_CORRUPT;
        }
        if (b->item_count > 0 && b->item_count + header.index_count > FILING_ENTRIES_MAX) {
            return OK;
        }
        u32 at = NOT_KEPT;
        if (job->keep) {
            at = (u32)home_slots_position(job->slots, header.slot);
            b->frames_end = at + header.total_bytes;
        }
        for (u32 k = 0; k < header.index_count; k++) {
            item_add(b, frame, at, frame + header.index_pos + (size_t)k * FRAME_ENTRY_BYTES);
        }
        job->to = header.slot + 1;
    }
    return OK;
}

static int item_compare(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    if (left->partition != right->partition) {
        return left->partition < right->partition ? -1 : 1;
    }
    if (left->base_offset != right->base_offset) {
        return left->base_offset < right->base_offset ? -1 : 1;
    }
    return 0;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static bool partition_is_compacted(const struct filing_job *job, u32 partition)
{
    for (u32 i = 0; i < job->compacted_count; i++) {
        if (job->compacted[i] == partition) {
            return true;
        }
    }
    return false;
}

/* Items [first, *end) are of one partition: their bytes, if they are to stay where they are. Short
   runs are better read when they are copied side by side. */
static u64 partition_keep(struct filing_build *b, u32 first, u32 *end)
{
    u64 bytes = 0;
    u64 runs = 0;
    const u8 *run_end = NULL;
    u32 i = first;
    for (; i < b->item_count && b->items[i].partition == b->items[first].partition; i++) {
        struct frame_entry e;
        frame_entry_decode(b->items[i].entry, &e);
        const u8 *batch = b->items[i].frame + e.pos;
        runs += batch != run_end;
        run_end = batch + e.bytes;
        bytes += e.bytes;
    }
    *end = i;
    bool compacted = partition_is_compacted(b->job, b->items[first].partition);
    return !compacted && bytes >= runs * b->job->keep_run_bytes ? bytes : 0;
}

/* Which partitions stay, and is that enough of the file? */
static bool items_keep(struct filing_build *b)
{
    u64 kept = 0;
    for (u32 first = 0, end; first < b->item_count; first = end) {
        u64 bytes = partition_keep(b, first, &end);
        kept += bytes;
        for (u32 i = first; i < end && bytes == 0; i++) {
            b->items[i].kept_at = NOT_KEPT;
        }
    }
    return kept >= b->job->keep_bytes_min;
}

static void items_copy(struct filing_build *b)
{
    for (u32 i = 0; i < b->item_count; i++) {
        b->items[i].kept_at = NOT_KEPT;
    }
}

/* ---- producers ------------------------------------------------------------------------------- */

static void producer_push(struct filing_job *job, const struct frame_entry *e)
{
    if (job->producer_count == job->producer_cap) {
        job->producer_cap = MAX(2 * job->producer_cap, 64u);
        job->producers = mem_resize(job->producers, job->producer_cap * sizeof(job->producers[0]));
    }
    job->producers[job->producer_count] = (struct pack_producer){
        .partition = e->partition,
        .epoch = e->producer_epoch,
        .id = e->producer_id,
        .base_offset = e->base_offset,
        .max_timestamp = e->max_timestamp,
        .first_sequence = e->base_sequence,
        .last_sequence = sequence_add(e->base_sequence, (i32)e->last_offset_delta),
    };
    job->producer_count++;
}

/* Backwards, so that the last ones are met first; what stays gathers at the end and moves up. */
static u32 partition_keep_last(struct pack_producer *producers, u32 count)
{
    struct map64 counts; /* producer id -> how many stay, as a pointer */
    map64_init(&counts);
    u32 at = count;
    for (u32 i = count; i > 0; i--) {
        const struct pack_producer e = producers[i - 1];
        uintptr_t taken = (uintptr_t)map64_get(&counts, (u64)e.id);
        if (taken < LOG_PRODUCER_BATCHES) {
            map64_put(&counts, (u64)e.id, (void *)(taken + 1));
            at--;
            producers[at] = e;
        }
    }
    map64_fini(&counts);
    memmove(producers, producers + at, (count - at) * sizeof(producers[0]));
    return count - at;
}

u32 producers_keep_last(struct pack_producer *producers, u32 count)
{
    u32 kept = 0;
    for (u32 first = 0; first < count;) {
        u32 end = first + 1;
        while (end < count && producers[end].partition == producers[first].partition) {
            end++;
        }
        memmove(&producers[kept], &producers[first], (end - first) * sizeof(producers[0]));
        kept += partition_keep_last(&producers[kept], end - first);
        first = end;
    }
    return kept;
}

u32 pack_runs_of_partition(const struct pack_run *runs, u32 count)
{
    u32 end = 1;
    while (end < count && runs[end].partition == runs[0].partition) {
        end++;
    }
    return end;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void run_end(struct filing_build *b)
{
    struct filing_job *job = b->job;
    if (b->run.bytes == 0) {
        return;
    }
    if (job->run_count == job->run_cap) {
        job->run_cap = MAX(2 * job->run_cap, 256u);
        job->runs = mem_resize(job->runs, job->run_cap * sizeof(job->runs[0]));
    }
    job->runs[job->run_count] = b->run;
    job->run_count++;
    b->run.bytes = 0;
}

bool pack_run_join(struct pack_run *last, const struct pack_run *run, const u8 *bytes)
{
    bool continues = last->partition == run->partition && last->leader_epoch == run->leader_epoch &&
                     last->next_offset == run->base_offset && last->pos + last->bytes == run->pos;
    if (!continues || last->flags != 0 || run->flags != 0 ||
        (u64)last->bytes + run->bytes > LOG_RUN_BYTES) {
        return false;
    }
    last->next_offset = run->next_offset;
    last->max_timestamp = MAX(last->max_timestamp, run->max_timestamp);
    last->crc = crc32c_extend(last->crc, bytes, run->bytes);
    last->bytes += run->bytes;
    last->batches += run->batches;
    return true;
}

/* pos: of the batch in the pack, where it is or is going to be. */
static err_t batch_add(struct filing_build *b, const struct frame_entry *e, const u8 *batch,
                       u32 pos, u32 flags)
{
    struct pack_run *run = &b->run;
    if (run->bytes > 0 && run->partition == e->partition && e->base_offset < run->next_offset) {
        return ERR_CORRUPT;
    }
    struct pack_run next = {
        .partition = e->partition,
        .leader_epoch = (i32)e->leader_epoch,
        .base_offset = e->base_offset,
        .next_offset = e->base_offset + e->last_offset_delta + 1,
        .max_timestamp = e->max_timestamp,
        .pos = pos,
        .bytes = e->bytes,
        .batches = 1,
        .flags = flags,
    };
    if (run->bytes == 0 || !pack_run_join(run, &next, batch)) {
        run_end(b);
        next.crc = crc32c_extend(0, batch, e->bytes);
        *run = next;
    }
    b->job->payload_bytes += e->bytes;
    if (e->producer_id >= 0 && e->base_sequence >= 0) {
        producer_push(b->job, e);
    }
    return OK;
}

static err_t batch_write(struct filing_build *b, const struct frame_entry *e, const u8 *batch,
                         u32 flags)
{
    TRY(batch_add(b, e, batch, pack_position(b->writer), flags));
    return pack_write(b->writer, batch, e->bytes);
}

/* ---- compaction ------------------------------------------------------------------------------ */

/* false: it stays as it is. */
static bool item_is_compacted(const struct item *item, struct frame_entry *e,
                              struct batch_view *view)
{
    frame_entry_decode(item->entry, e);
    const u8 *batch = item->frame + e->pos;
    return frame_batch_check(e, batch) == OK &&
           batch_view_parse(slice_of(batch, e->bytes), view) == OK && compaction_takes(view);
}

/* Of a partition's first item: which record of each key is the last one of the stretch. */
static void partition_learn(struct filing_build *b, u32 first)
{
    if (b->compacts) {
        compaction_fini(&b->compaction);
    }
    u32 partition = b->items[first].partition;
    b->compacts = partition_is_compacted(b->job, partition);
    if (!b->compacts) {
        return;
    }
    compaction_init(&b->compaction);
    for (u32 i = first; i < b->item_count && b->items[i].partition == partition; i++) {
        struct frame_entry e;
        struct batch_view view;
        if (item_is_compacted(&b->items[i], &e, &view)) {
            compaction_learn(&b->compaction, &view);
        }
    }
}

static err_t hole_end(struct filing_build *b)
{
    struct frame_entry *hole = &b->hole;
    if (hole->bytes == 0) {
        return OK;
    }
    u8 empty[COMPACTION_EMPTY_BYTES];
    compaction_empty(hole->base_offset, (i32)hole->last_offset_delta, (i32)hole->leader_epoch,
                     hole->max_timestamp, empty);
    const struct frame_entry e = *hole;
    hole->bytes = 0;
    return batch_write(b, &e, empty, 0);
}

/* A batch of which nothing stays; neighbours become one. */
static err_t hole_add(struct filing_build *b, const struct frame_entry *e)
{
    struct frame_entry *hole = &b->hole;
    u64 delta = e->base_offset - hole->base_offset + e->last_offset_delta;
    bool follows = hole->bytes > 0 && hole->partition == e->partition &&
                   hole->leader_epoch == e->leader_epoch && delta <= INT32_MAX &&
                   e->base_offset == hole->base_offset + hole->last_offset_delta + 1;
    if (follows) {
        hole->last_offset_delta = (u32)delta;
        hole->max_timestamp = MAX(hole->max_timestamp, e->max_timestamp);
        return OK;
    }
    TRY(hole_end(b));
    *hole = *e;
    hole->bytes = COMPACTION_EMPTY_BYTES;
    return OK;
}

static err_t batch_compact(struct filing_build *b, struct frame_entry *e,
                           const struct batch_view *view)
{
    u32 stay = compaction_count(&b->compaction, view);
    if (stay == 0) {
        return hole_add(b, e);
    }
    TRY(hole_end(b));
    if (stay == (u32)view->record_count) {
        return batch_write(b, e, view->whole.ptr, 0);
    }
    if (b->filtered_cap < e->bytes) {
        b->filtered_cap = e->bytes;
        b->filtered = mem_resize(b->filtered, b->filtered_cap);
    }
    e->bytes = compaction_filter(&b->compaction, view, b->filtered);
    return batch_write(b, e, b->filtered, 0);
}

static err_t item_write(struct filing_build *b, u32 i)
{
    const struct item *item = &b->items[i];
    if (i == 0 || b->items[i - 1].partition != item->partition) {
        TRY(hole_end(b));
        partition_learn(b, i);
    }
    struct frame_entry e;
    struct batch_view view;
    if (b->compacts && item_is_compacted(item, &e, &view)) {
        return batch_compact(b, &e, &view);
    }
    TRY(hole_end(b));
    frame_entry_decode(item->entry, &e);
    const u8 *batch = item->frame + e.pos;
    u32 flags = frame_batch_check(&e, batch) == OK ? 0 : PACK_RUN_QUARANTINED;
    return item->kept_at == NOT_KEPT ? batch_write(b, &e, batch, flags)
                                     : batch_add(b, &e, batch, item->kept_at + e.pos, flags);
}

/* ---- the pack -------------------------------------------------------------------------------- */

/* Items from the first that is not written. */
static err_t items_write(struct filing_build *b)
{
    u64 until = b->job->payload_bytes + b->job->visit_bytes;
    while (b->item_next < b->item_count && b->job->payload_bytes < until) {
        TRY(item_write(b, b->item_next));
        b->item_next++;
    }
    return OK;
}

/* ---- visits ---------------------------------------------------------------------------------- */

static err_t visit_first(struct filing_job *job)
{
    struct filing_build *b = job->build = mem_alloc(sizeof(*b));
    b->job = job;
    job->to = job->from;
    TRY(items_collect(b));
    if (b->item_count == 0) {
        return OK;
    }
    qsort(b->items, b->item_count, sizeof(b->items[0]), item_compare);
    job->keep = job->keep && job->to == job->from + job->slot_count && items_keep(b);
    void *buffer = job->write_buffer->data;
    u32 buffer_bytes = (u32)job->write_buffer->cap;
    if (job->keep) {
        err_t e =
            pack_keep(job->slots, job->pack_id, b->frames_end, buffer, buffer_bytes, &b->writer);
        if (e != ERR_CORRUPT) {
            return e;
        }
        job->keep = false;
    }
    items_copy(b);
    return pack_create(job->home, job->pack_id, buffer, buffer_bytes, &b->writer);
}

static err_t visit_last(struct filing_job *job)
{
    struct filing_build *b = job->build;
    TRY(hole_end(b));
    run_end(b);
    job->producer_count = producers_keep_last(job->producers, job->producer_count);
    struct pack_writer *writer = b->writer;
    b->writer = NULL;
    u64 payload_end = pack_position(writer);
    TRY(pack_finish(writer, job->runs, job->run_count, job->producers, job->producer_count,
                    &job->pack_bytes));
    job->written_bytes = job->keep ? payload_end - b->frames_end +
                                         pack_index_bytes(job->run_count, job->producer_count)
                                   : job->pack_bytes;
    return OK;
}

static err_t visit(struct filing_job *job)
{
    if (job->cancelled) {
        return ERR_CANCELLED;
    }
    if (job->build == NULL) {
        TRY(visit_first(job));
        job->done = job->build->item_count == 0;
        return OK;
    }
    pack_write_at_once(job->build->writer, job->write_bytes);
    if (job->build->item_next < job->build->item_count) {
        return items_write(job->build);
    }
    job->done = true;
    return visit_last(job);
}

void filing_build_free(struct filing_job *job)
{
    struct filing_build *b = job->build;
    if (b == NULL) {
        return;
    }
    if (b->writer != NULL) {
        pack_abandon(b->writer);
    }
    if (b->compacts) {
        compaction_fini(&b->compaction);
    }
    mem_free(b->filtered);
    mem_free(b->items);
    mem_free(b);
    job->build = NULL;
}

void filing_visit(struct filing_job *job)
{
    job->result = visit(job);
    job->done = job->done || job->result != OK;
    if (job->done) {
        filing_build_free(job);
    }
}
