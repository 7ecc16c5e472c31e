/* Reads of what is no longer in the hot cache: from the home into buffers of a small, separate
   pool, so that a consumer far behind cannot push the tail out of memory. Called by the broker
   (log_load).

   Happy path
     1. log_load queues; cold_pump finds a window (window.c) that has the bytes, or has one read
     2. the window is there: every batch of the range is verified, the caller is told
     3. log_load_release lets the window go and pumps
   Who reads run after run is read ahead for, from one request to the next: the next runs of the
   partition are read side by side while the first are sent, neighbours in one piece; the further
   the longer it goes on, and never more than a part of the buffers, which others' needs take back.

   How it fails: no buffer: waits its turn. The caller goes away (log_load_release before done): the
   read goes on without it, which is why it lives in the window and not in the caller's struct. A
   batch disagrees with its checksum or is not the one the index promises: its run is quarantined;
   the batches before it are still given. A batch larger than the pool: pieces of it are given
   unverified, since nobody has the whole. */
#include "log/log_private.h"

enum load_state { LOAD_IDLE, LOAD_QUEUED, LOAD_READING, LOAD_THERE, LOAD_GONE, LOAD_DONE };
enum {
    AHEAD_RUNS = 32,
    AHEAD_BYTES_MIN = 1 * MIB,
    AHEAD_BYTES_MAX = 4 * MIB,
    AHEAD_READING_MAX = 2, /* so many large reads keep a disk busy; more only wait in memory */
};

void cold_init(struct log *l)
{
    windows_init(l);
    list_init(&l->load_waiting);
    list_init(&l->load_there);
    list_init(&l->load_done);
}

static void load_reset(struct log_load *load)
{
    load->state = LOAD_IDLE;
    load->data = NULL;
    load->window = NULL;
}

static void loads_forget(struct list *loads)
{
    for (struct list_node *n = list_pop_front(loads); n != NULL; n = list_pop_front(loads)) {
        load_reset(CONTAINER_OF(n, struct log_load, node));
    }
}

void cold_fini(struct log *l)
{
    loads_forget(&l->load_waiting);
    loads_forget(&l->load_there);
    loads_forget(&l->load_done);
    LIST_EACH (&l->windows, n) {
        loads_forget(&CONTAINER_OF(n, struct window, node)->waiters);
    }
    windows_fini(l);
}

/* ---- verification ---------------------------------------------------------------------------- */

/* The batch at data + at: is it whole, the one expected, and good? *bytes: its length, even when it
   is not wholly in the buffer. end: where its run ends, from `data`. */
static bool batch_good(const u8 *data, u32 data_bytes, u32 at, u32 end, u64 *expected, u32 *bytes)
{
    u32 left = data_bytes - at;
    if (left < BATCH_HEADER_BYTES) {
        *bytes = end - at;
        return true; /* cannot be told here */
    }
    u32 length = load_be32(data + at + BATCH_AT_LENGTH);
    if (length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES ||
        length > end - at - BATCH_PREFIX_BYTES) {
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

/* first: UINT64_MAX: the range begins inside the run */
u32 run_verify(const u8 *data, u32 data_bytes, u32 at, u32 end, u64 first, u64 next, bool *bad)
{
    u64 expected = first;
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

/* Bytes that were promised to a reader before the log start moved above them: the index knows them
   no more, so each batch vouches for itself; the rest of a batch of which a piece has been given
   cannot. They end where a run begins that is still there. Returns where the good ones end; *end:
   where all of them would. */
static u32 deleted_verify(const struct partition *p, const struct log_range *range, const u8 *data,
                          u32 data_bytes, u32 *end, bool *bad)
{
    *end = range->bytes;
    u64 place = range_place(p->log, range);
    if (p->run_count > 0 && p->runs[0].place == place && p->runs[0].pos > range->pos) {
        *end = MIN(*end, p->runs[0].pos - range->pos);
    }
    u64 expected = UINT64_MAX;
    u32 at = 0;
    u32 bytes = 0;
    for (; at < *end; at += bytes) {
        *bad = !batch_good(data, data_bytes, at, *end, &expected, &bytes);
        if (*bad || bytes > data_bytes - at) {
            break;
        }
    }
    return at;
}

/* The run that holds the range's first batch now. NULL: below the start of the log, or removed. */
static struct run *run_holding(const struct partition *p, const struct log_range *range)
{
    bool there = p != NULL && p->run_count > 0 && range->offset >= p->runs[0].base_offset &&
                 range->offset < p->end_offset;
    return there ? &p->runs[index_find(p, range->offset)] : NULL;
}

/* What no checksum covers and the index knows: the leader epoch. Where the first batch of [from,
   to) begins that has another one; `to`: none has. */
static u32 epochs_verify(const u8 *data, u32 from, u32 to, i32 leader_epoch)
{
    for (u32 at = from; at < to;
         at += BATCH_PREFIX_BYTES + load_be32(data + at + BATCH_AT_LENGTH)) {
        if (load_be32(data + at + BATCH_AT_LEADER_EPOCH) != (u32)leader_epoch) {
            return at;
        }
    }
    return to;
}

/* The runs from `index` on, of bytes from `at` on. Returns where the good ones end. */
static u32 runs_verify(struct partition *p, u32 index, const struct log_range *range,
                       const u8 *data, u32 data_bytes, u32 at, bool *bad)
{
    u64 place = range_place(p->log, range);
    for (; at < data_bytes && index < p->run_count && p->runs[index].place == place; index++) {
        struct run *r = &p->runs[index];
        u32 end = r->pos + r->bytes - range->pos;
        bool from_start = range->pos + at == r->pos;
        if (!from_start && r->bytes > LOG_RUN_BYTES) {
            at = MIN(end, data_bytes); /* inside a batch: a piece of what is larger than the pool */
            continue;
        }
        u64 first = from_start ? r->base_offset : UINT64_MAX;
        u32 begin = at;
        at = run_verify(data, data_bytes, at, end, first, index_next_offset(p, index), bad);
        if (*bad && !from_start) {
            at = begin; /* nothing says that the first batch is at the offset it has */
        }
        u32 same = epochs_verify(data, begin, at, r->leader_epoch);
        *bad = *bad || same < at;
        at = same;
        if (*bad) {
            seen("log: quarantined on read");
            r->flags |= RUN_QUARANTINED;
            return at;
        }
        if (at < end) {
            return at; /* the last batch is not wholly here */
        }
    }
    return at;
}

/* How much of the buffer may be given. ERR_CORRUPT: not even the first batch. ERR_NOT_FOUND: the
   partition is gone, or its log start moved and what lies there cannot be told any more. ERR_AGAIN:
   the range was filed while it was read, and its runs are elsewhere now. */
static err_t load_verify(struct log *l, const struct log_range *range, const u8 *data,
                         u32 data_bytes, u32 *good)
{
    struct partition *p = map64_get(&l->partitions, range->partition);
    if (p == NULL) {
        return ERR_NOT_FOUND;
    }
    u32 index = index_find_range(p, range);
    bool bad = false;
    u32 at = 0;
    if (index == p->run_count) {
        if (run_holding(p, range) != NULL) {
            return ERR_AGAIN;
        }
        u32 end;
        at = deleted_verify(p, range, data, data_bytes, &end, &bad);
        if (at == 0 && bad) {
            return ERR_NOT_FOUND;
        }
        index = bad || at < end ? p->run_count : 0;
    }
    if (!bad) {
        at = runs_verify(p, index, range, data, data_bytes, at, &bad);
    }
    if (bad && at == 0) {
        return ERR_CORRUPT;
    }
    *good = at > 0 ? at : data_bytes;
    return OK;
}

/* ---- where a range went -----------------------------------------------------------------------

   The batches of a range that was filed are still side by side, in a pack now, but behind others in
   a longer run: where they begin is known only from that run's bytes. */

static void range_move(struct log_range *range, const struct log_range *run, u32 pos)
{
    range->object = run->object;
    range->slot = run->slot;
    range->pos = pos + (range->pos - range->first_pos);
    range->first_pos = pos;
}

/* The batch with that offset in the bytes of a run. */
static bool batch_locate(const u8 *data, u32 data_bytes, u64 offset, u32 *at)
{
    for (*at = 0; data_bytes - *at >= BATCH_HEADER_BYTES;) {
        u32 length = load_be32(data + *at + BATCH_AT_LENGTH);
        if (load_be64(data + *at) == offset) {
            return true;
        }
        if (length > data_bytes - *at - BATCH_PREFIX_BYTES) {
            return false;
        }
        *at += BATCH_PREFIX_BYTES + length;
    }
    return false;
}

static bool range_moved(const struct log *l, const struct log_range *range)
{
    const struct partition *p = map64_get(&l->partitions, range->partition);
    const struct run *r = run_holding(p, range);
    return r != NULL && r->place != range_place(l, range);
}

/* The run of a moved range has been read. */
static err_t load_locate(struct log *l, struct log_load *load)
{
    struct partition *p = map64_get(&l->partitions, load->range.partition);
    struct run *r = run_holding(p, &load->range);
    if (r == NULL) {
        return ERR_NOT_FOUND;
    }
    struct window *w = load->window;
    if (r->place != w->place || r->pos < w->read.pos ||
        r->pos - w->read.pos + (u64)r->bytes > w->read.bytes) {
        return ERR_AGAIN; /* it moved once more */
    }
    u32 at;
    const u8 *data = w->read.blob->data + w->read.blob_offset + (r->pos - w->read.pos);
    if (!batch_locate(data, r->bytes, load->range.offset, &at)) {
        return ERR_CORRUPT;
    }
    struct log_range run = run_range(p, r);
    range_move(&load->range, &run, r->pos + at);
    return ERR_AGAIN;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* How much of a range is in a window that was read, and good. */
static err_t window_verify(struct log *l, const struct window *w, const struct log_range *range,
                           const u8 **data, u32 *bytes)
{
    u32 skip = range->pos - w->read.pos;
    *data = w->read.blob->data + w->read.blob_offset + skip;
    return load_verify(l, range, *data, MIN(range->bytes, w->read.bytes - skip), bytes);
}

static void load_has(struct log *l, struct log_load *load, const u8 *data)
{
    struct window *w = load->window;
    bool to_the_end = load->range.pos - w->read.pos + load->bytes == w->read.bytes;
    w->spent = w->spent || (to_the_end && w->read.bytes > LOG_WINDOW_BYTES);
    load->state = LOAD_DONE;
    load->data = data;
    list_push_back(&l->load_done, &load->node);
}

/* The window of a load has been read. */
static void load_finish(struct log *l, struct log_load *load)
{
    struct window *w = load->window;
    if (w == NULL) {
        load_reset(load);
        load->done(load, ERR_NOT_FOUND);
        return;
    }
    const u8 *data = NULL;
    err_t result = w->result;
    if (result == OK && load->locating) {
        result = load_locate(l, load);
    } else if (result == OK) {
        result = window_verify(l, w, &load->range, &data, &load->bytes);
    } else if (result == ERR_NOT_FOUND && range_moved(l, &load->range)) {
        result = ERR_AGAIN; /* the slot was trimmed, or the pack rewritten */
    }
    if (result == ERR_AGAIN) {
        seen("log: a range was filed while it was read");
        load_reset(load);
        window_unref(l, w);
        load->state = LOAD_QUEUED;
        list_push_front(&l->load_waiting, &load->node);
        log_wake(l, 0);
        return;
    }
    if (result != OK) {
        load_reset(load);
        window_unref(l, w);
        load->done(load, result);
        return;
    }
    load_has(l, load, data);
    load->done(load, OK);
}

static void list_finish(struct log *l, struct list *loads)
{
    struct list now; /* those who come meanwhile are told in a later turn */
    list_init(&now);
    list_splice(&now, loads);
    for (struct list_node *n = list_pop_front(&now); n != NULL; n = list_pop_front(&now)) {
        load_finish(l, CONTAINER_OF(n, struct log_load, node));
    }
}

void loads_finish(struct log *l, struct window *w)
{
    list_finish(l, &w->waiters);
}

void cold_turn(struct log *l)
{
    if (!list_empty(&l->load_there)) {
        list_finish(l, &l->load_there);
    }
    if (!list_empty(&l->load_waiting)) {
        cold_pump(l);
    }
}

/* ---- starting -------------------------------------------------------------------------------- */

/* What is read at once for a large range: up to 1 MiB, more if the first batch is larger, half the
   pool at most, so that what is kept free of other sizes is never in the way for good. */
static u32 large_bytes(struct log *l, const struct partition *p, u32 index,
                       const struct log_range *range)
{
    u64 bytes = MIN(range->bytes, (u32)LOG_LOAD_BYTES_MAX);
    if (p != NULL && index < p->run_count) {
        bytes = MAX(bytes, MIN((u64)range->bytes, p->runs[index].bytes));
    }
    u64 room_max = MAX(l->params.cold_bytes / 2, (u64)home_read_room(l->home, 1));
    while (home_read_room(l->home, (u32)bytes) > room_max) {
        bytes -= MIN(bytes - 1, (u64)BLOB_ALIGN);
    }
    return (u32)bytes;
}

/* What to read for a small range if its neighbours are wanted too: the 64 KiB of its frame that it
   lies in, counted from the frame's start, so that neighbours on both sides find themselves in it;
   from the range on if it lies across. */
static struct log_range range_widened(const struct log *l, const struct log_range *range, u64 place)
{
    u32 frame_bytes = object_slot_bytes(l, place_object(place), place_slot(place));
    assert(range->pos + range->bytes <= frame_bytes);
    struct log_range w = *range;
    u32 start = range->pos - range->pos % LOG_WINDOW_BYTES;
    if (range->pos + range->bytes <= start + LOG_WINDOW_BYTES) {
        w.pos = start;
    }
    w.bytes = MIN((u32)LOG_WINDOW_BYTES, frame_bytes - w.pos);
    return w;
}

static struct window *small_start(struct log *l, const struct log_range *range, u64 place,
                                  enum window_kind kind)
{
    bool wide = window_is_wide(l);
    struct log_range what = wide ? range_widened(l, range, place) : *range;
    return window_start(l, &what, place, kind, wide);
}

/* ---- reading ahead --------------------------------------------------------------------------- */

/* In windows of the usual size, for all readers. */
static u32 ahead_windows_max(const struct log *l)
{
    return (u32)(l->params.cold_bytes / 4 / LOG_WINDOW_BYTES);
}

static bool run_is_wanted_ahead(const struct log *l, const struct partition *p, const struct run *r)
{
    struct log_range range = run_range(p, r);
    return r->base_offset < p->high_watermark && r->bytes <= LOG_LOAD_BYTES_MAX &&
           (r->flags & RUN_QUARANTINED) == 0 && hot_data(l, &range) == NULL;
}

/* The runs from *index on that are neighbours in their frame, from `skip` bytes into the first one
   on, as much as one read takes. *index: the run behind them. */
static struct log_range stretch_from(const struct log *l, const struct partition *p, u32 *index,
                                     u32 skip)
{
    const struct run *first = &p->runs[*index];
    struct log_range stretch = run_range(p, first);
    stretch.pos += skip;
    stretch.bytes -= skip;
    for (++*index; *index < p->run_count; ++*index) {
        const struct run *r = &p->runs[*index];
        if (r->place != first->place || r->pos != stretch.pos + stretch.bytes ||
            stretch.bytes + r->bytes > LOG_LOAD_BYTES_MAX || !run_is_wanted_ahead(l, p, r)) {
            break;
        }
        stretch.bytes += r->bytes;
    }
    return stretch;
}

/* false: no buffer. */
static bool stretch_read(struct log *l, const struct log_range *stretch, u64 place)
{
    if (window_find(l, place, stretch->pos, stretch->bytes) != NULL) {
        return true;
    }
    if (stretch->bytes <= LOG_WINDOW_BYTES) {
        return small_start(l, stretch, place, WINDOW_AHEAD) != NULL;
    }
    return window_start(l, stretch, place, WINDOW_AHEAD, false) != NULL;
}

/* What comes behind `from`, the first run that was not asked for, or was but for its first `skip`
   bytes. Goes on when half of what is kept ahead has been used: a few large reads, not many. */
static void read_ahead(struct log *l, const struct partition *p, struct cold_reader *reader,
                       u32 from, u32 skip)
{
    u32 windows_max = ahead_windows_max(l);
    u32 bytes_max = MIN(MAX(2 * reader->bytes_max, (u32)AHEAD_BYTES_MIN), (u32)AHEAD_BYTES_MAX);
    bytes_max = MIN(bytes_max, MAX(windows_max / 2, 1u) * LOG_WINDOW_BYTES);
    u32 runs_max = MAX((u32)AHEAD_RUNS, bytes_max / LOG_WINDOW_BYTES);
    u32 bytes = 0;
    u32 i = from;
    for (; i < p->run_count && p->runs[i].base_offset < reader->ahead; i++) {
        bytes += p->runs[i].bytes;
    }
    if (bytes > bytes_max / 2 || i - from > runs_max / 2) {
        return;
    }
    reader->bytes_max = bytes_max;
    while (i < p->run_count && bytes < bytes_max && i - from < runs_max &&
           run_is_wanted_ahead(l, p, &p->runs[i])) {
        u32 next = i;
        struct log_range stretch = stretch_from(l, p, &next, i == from ? skip : 0);
        u32 windows = (stretch.bytes + LOG_WINDOW_BYTES - 1) / LOG_WINDOW_BYTES;
        bool enough = windows > 1 && l->windows_reading >= AHEAD_READING_MAX;
        if (enough || l->windows_unused + windows > windows_max ||
            !stretch_read(l, &stretch, p->runs[i].place)) {
            return;
        }
        i = next;
        bytes += stretch.bytes;
        reader->ahead = i < p->run_count ? p->runs[i].base_offset : p->end_offset;
    }
}

/* Who comes for this run: one who had the run before, or something that was read ahead for him; or
   a new one, in the place of who has not come for longest. */
static struct cold_reader *cold_reader_of(struct log *l, const struct partition *p, u64 at)
{
    struct cold_reader *oldest = &l->readers[0];
    for (u32 i = 0; i < LOG_READERS; i++) {
        struct cold_reader *r = &l->readers[i];
        if (r->used != 0 && r->partition == p->id && at >= r->at && at <= r->ahead) {
            return r;
        }
        oldest = r->used < oldest->used ? r : oldest;
    }
    *oldest = (struct cold_reader){.partition = p->id, .at = at, .ahead = at};
    return oldest;
}

/* Somebody asked for the bytes of a place up to `end`, from within run `index` on. */
static void reader_came(struct log *l, const struct partition *p, u32 index, u32 end)
{
    u64 at = p->runs[index].base_offset;
    u64 place = p->runs[index].place;
    struct cold_reader *reader = cold_reader_of(l, p, at);
    bool goes_on = at > reader->at;
    reader->at = at;
    reader->used = ++l->loads;
    u32 next = index;
    while (next < p->run_count && p->runs[next].place == place &&
           p->runs[next].pos + p->runs[next].bytes <= end) {
        next++;
    }
    bool partly = next < p->run_count && p->runs[next].place == place && p->runs[next].pos < end;
    u64 asked = next < p->run_count ? p->runs[next].base_offset : p->end_offset;
    reader->ahead = MAX(reader->ahead, asked);
    if (goes_on) {
        read_ahead(l, p, reader, next, partly ? end - p->runs[next].pos : 0);
    }
}

/* ---- where to read --------------------------------------------------------------------------- */

/* Is what the range points to still known? A WAL forgets the slots that were filed. */
static bool range_is_there(const struct log *l, const struct log_range *range)
{
    u32 index = object_find(l, range->object);
    return index != LOG_NO_OBJECT &&
           (log_id_is_pack(range->object) || range->slot >= l->objects[index].slot_base);
}

/* Where to read for this load: its range, or what tells where the range is now. false: it is
   nowhere any more. */
static bool load_aim(struct log *l, struct log_load *load, struct log_range *aim)
{
    struct partition *p = map64_get(&l->partitions, load->range.partition);
    load->locating = false;
    *aim = load->range;
    if (p == NULL) {
        return false;
    }
    if (index_find_range(p, &load->range) < p->run_count) {
        return true;
    }
    const struct run *r = run_holding(p, &load->range);
    if (r == NULL) {
        /* Deleted meanwhile, but promised: as long as the bytes are there they are given. */
        return range_is_there(l, &load->range);
    }
    if (p->compacted) {
        return false; /* not the same bytes any more */
    }
    struct log_range run = run_range(p, r);
    load->locating = r->base_offset != load->range.offset;
    if (!load->locating) {
        range_move(&load->range, &run, r->pos);
    }
    *aim = load->locating ? run : load->range;
    return true;
}

/* A window is of use if it has at least the range's first batch: all of its run, since nobody knows
   where in it the batches end. */
static struct window *window_at_hand(const struct log *l, const struct partition *p, u32 index,
                                     const struct log_range *range, u64 place)
{
    u32 bytes = range->bytes;
    if (p != NULL && index < p->run_count) {
        const struct run *r = &p->runs[index];
        bytes = MIN(bytes, r->bytes - (range->pos - r->pos));
    }
    return window_find(l, place, range->pos, bytes);
}

static void window_take(struct log *l, struct log_load *load, struct window *w,
                        const struct partition *p, u32 index, const struct log_range *range)
{
    window_use(l, w);
    load->window = w;
    if (p != NULL && index < p->run_count) {
        u32 end = MIN(range->pos + range->bytes, w->read.pos + w->read.bytes);
        reader_came(l, p, index, end);
    }
}

/* *there: its window has been read already. */
static bool load_start(struct log *l, struct log_load *load, const struct log_range *range,
                       bool *there)
{
    u64 place = range_place(l, range);
    struct partition *p = map64_get(&l->partitions, range->partition);
    u32 index = p != NULL ? index_find_range(p, range) : 0;
    struct window *w = window_at_hand(l, p, index, range, place);
    if (w == NULL && range->bytes <= LOG_WINDOW_BYTES) {
        w = small_start(l, range, place, WINDOW_CACHED);
    } else if (w == NULL) {
        struct log_range what = *range;
        what.bytes = large_bytes(l, p, index, range);
        w = window_start(l, &what, place, WINDOW_ALONE, false);
    }
    if (w == NULL) {
        return false;
    }
    *there = !w->reading;
    window_take(l, load, w, p, index, range);
    return true;
}

void cold_pump(struct log *l)
{
    if (l->draining && l->drained == NULL) {
        return; /* drained: the medium must not write into memory that goes away */
    }
    while (!list_empty(&l->load_waiting)) {
        struct log_load *load = CONTAINER_OF(list_first(&l->load_waiting), struct log_load, node);
        struct log_range aim;
        if (!load_aim(l, load, &aim)) {
            list_remove(&load->node);
            load->state = LOAD_GONE;
            list_push_back(&l->load_there, &load->node);
            log_wake(l, 0);
            continue;
        }
        bool there;
        if (!load_start(l, load, &aim, &there)) {
            break;
        }
        list_remove(&load->node);
        load->state = there ? LOAD_THERE : LOAD_READING;
        list_push_back(there ? &l->load_there : &load->window->waiters, &load->node);
        if (there) {
            log_wake(l, 0);
        }
    }
    if (!list_empty(&l->load_waiting) && l->windows_reading == 0 && list_empty(&l->load_done)) {
        log_wake(l, 10000000); /* the budget above is exhausted: nothing of ours will call */
    }
}

void log_load(struct log *l, struct log_load *load)
{
    assert(load->done != NULL);
    assert(load->state == LOAD_IDLE);
    assert(load->range.bytes > 0);
    windows_size(l);
    load->log = l;
    load->state = LOAD_QUEUED;
    load->data = NULL;
    load->bytes = 0;
    list_push_back(&l->load_waiting, &load->node);
    cold_pump(l);
}

bool log_load_at_hand(struct log *l, struct log_load *load)
{
    assert(load->state == LOAD_IDLE);
    struct log_range aim;
    windows_size(l);
    if (l->draining || !load_aim(l, load, &aim) || load->locating) {
        return false;
    }
    u64 place = range_place(l, &aim);
    struct partition *p = map64_get(&l->partitions, aim.partition);
    u32 index = index_find_range(p, &aim);
    struct window *w = window_at_hand(l, p, index, &aim, place);
    const u8 *data;
    if (w == NULL || w->reading || window_verify(l, w, &aim, &data, &load->bytes) != OK) {
        return false; /* what is wrong with it the long way tells */
    }
    load->log = l;
    window_take(l, load, w, p, index, &aim);
    load_has(l, load, data);
    return true;
}

void log_load_release(struct log_load *load)
{
    if (load->state == LOAD_IDLE) {
        return;
    }
    struct log *l = load->log;
    struct window *w = load->window;
    list_remove(&load->node);
    load_reset(load);
    if (w != NULL) {
        window_unref(l, w);
        cold_pump(l);
    }
}
