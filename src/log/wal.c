/* The WAL of this session: one open slot that batches of all partitions are copied into, slots on
   their way to the medium, and what happens when they are durable. Called by partition.c (append),
   by the turn's hooks in log.c, and by the home's completions.

   Happy path
     1. wal_place finds the bytes' place in the open slot; wal_add notes the batch
     2. turn end, wal_pump: the slot is finished (layout.c) and handed to the home
     3. slot_written, from the home: only marks it
     4. turn end, wal_commit: all slots up to the first that is not durable are told: watermarks
        move, waiters become ready; wal_release calls them

   When a slot is cut. A slot that is full gains nothing by waiting: it goes as soon as fewer than
   inflight_max writes are under way. A slot that is not full gains company by waiting, and the
   medium's own latency is the natural window: it goes when nothing is under way. So K is 1 under
   small loads (largest groups, fewest writes) and rises to inflight_max exactly when slots fill up
   faster than they are written. Two exceptions: where a write takes milliseconds
   (LOG_SLOW_WRITE_NS), a batch that just missed one would wait for two, so two are then allowed.
   And a slot of LOG_SECOND_SLOT_BYTES is worth a write of its own: it goes beside one, so that the
   medium has the next while the loop hears of the last, tells producers, and receives. Smaller ones
   cost more than they gain (docs/decisions/0027-a-second-write-when-it-is-large.md).

   How it fails
     no space: nothing was written and nothing is lost. The slot stays, is tried again every
       LOG_SPACE_RETRY_NS, and new batches are refused before they get an offset.
     anything else: the home is fenced. What was durable in order is still told; everybody
       else hears ERR_IO, and params.fenced ends the process.
     io dead: nothing comes any more, and log_destroy frees all. */
#include "log/log_private.h"

#include <string.h>

static void slot_written(struct home_write *w, err_t result);
static void mark_due(struct io_timer *t);
static void space_retry(struct io_timer *t);
static void slot_tell(struct log *l, struct slot *s);

void wal_init(struct log *l)
{
    list_init(&l->pending);
    list_init(&l->free_slots);
    list_init(&l->ready);
    list_init(&l->failed);
    l->mark_timer.fired = mark_due;
    l->space_timer.fired = space_retry;
}

static struct slot *slot_of(struct list_node *n)
{
    return CONTAINER_OF(n, struct slot, node);
}

static void waiters_forget(struct list *waiters)
{
    while (list_pop_front(waiters) != NULL) {
        /* Unlinked, so that a later log_wait_cancel finds nothing to do. */
    }
}

static void entries_free(struct log *l, struct slot *s)
{
    if (s->entries != NULL) {
        l->hot_used -= (u64)s->entry_count * sizeof(s->entries[0]);
        mem_free(s->entries);
        s->entries = NULL;
    }
}

static void slot_destroy(struct slot *s)
{
    waiters_forget(&s->waiters);
    entries_free(s->log, s);
    mem_free(s->touched);
    mem_free(s);
}

static void slots_destroy(struct list *slots)
{
    for (struct list_node *n = list_pop_front(slots); n != NULL; n = list_pop_front(slots)) {
        slot_destroy(slot_of(n));
    }
}

void wal_fini(struct log *l)
{
    io_timer_stop(l->io, &l->mark_timer);
    io_timer_stop(l->io, &l->space_timer);
    if (l->open != NULL) {
        slot_destroy(l->open);
        l->open = NULL;
    }
    slots_destroy(&l->pending);
    slots_destroy(&l->free_slots);
    waiters_forget(&l->ready);
    waiters_forget(&l->failed);
}

err_t log_start_wal(struct log *l, struct uuid cluster, u64 wal, u64 nonce)
{
    assert(!l->started);
    TRY(home_wal_start(l->home, wal, nonce));
    l->cluster = cluster;
    l->wal = wal;
    l->nonce = nonce;
    l->block_bytes = home_block_bytes(l->home);
    assert(LOG_CHUNK_BYTES % l->block_bytes == 0);
    l->wal_object = filing_wal_add(l, wal, nonce, 0);
    l->started = true;
    older_begin(l);
    if (l->unfiled_bytes > 0) {
        log_wake(l, 0); /* perhaps there is enough to file already */
    }
    return OK;
}

bool wal_refuses(const struct log *l)
{
    return l->fenced || l->failure != OK || l->no_space || l->draining;
}

/* ---- the open slot --------------------------------------------------------------------------- */

static struct slot *slot_new(struct log *l)
{
    struct list_node *n = list_pop_front(&l->free_slots);
    struct slot *s;
    if (n != NULL) {
        s = slot_of(n);
    } else {
        s = mem_alloc(sizeof(*s));
        s->log = l;
        list_init(&s->waiters);
    }
    assert(list_empty(&s->waiters));
    assert(s->entries == NULL);
    s->state = SLOT_OPEN;
    s->kind = FRAME_DATA;
    s->sealed = false;
    s->released = false;
    s->placed_bytes = 0;
    s->staged_bytes = 0;
    s->entry_count = 0;
    s->touched_count = 0;
    return s;
}

/* Frame bytes of the open slot with one more batch, before rounding. */
static u64 slot_bytes_with(const struct slot *s, u32 batch_bytes)
{
    return (u64)FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES + s->placed_bytes + s->staged_bytes +
           batch_bytes + (u64)FRAME_ENTRY_BYTES * (s->entry_count + 1u);
}

static bool slot_fits(const struct slot *s, u32 batch_bytes)
{
    return s->entry_count < LOG_SLOT_ENTRIES_MAX && slot_bytes_with(s, batch_bytes) <= s->capacity;
}

static struct chunk *chunk_for(struct log *l, u64 bytes)
{
    struct chunk *c = l->open_chunk;
    if (c != NULL) {
        u64 left = c->blob->cap - c->used;
        /* Under load a slot as large as a chunk leaves a small rest, which would make every second
           write a small one. */
        u64 least = l->last_was_full ? MAX(bytes, (u64)LOG_FULL_SLOT_BYTES) : bytes;
        if (least <= left) {
            return c;
        }
    }
    u32 used = c != NULL ? c->used : 0;
    c = chunk_acquire(l, bytes);
    if (c != NULL && bytes <= LOG_CHUNK_BYTES) {
        if (used > 0) {
            l->chunk_fill_bytes = l->chunk_fill_bytes - l->chunk_fill_bytes / 8 + used / 8;
        }
        l->open_chunk = c;
    }
    return c;
}

/* bytes: of the frame at least. */
static bool slot_open(struct log *l, u64 bytes)
{
    assert(l->open == NULL);
    bytes = ROUND_UP(bytes, (u64)l->block_bytes);
    struct chunk *c = chunk_for(l, bytes);
    if (c == NULL) {
        return false;
    }
    struct slot *s = slot_new(l);
    s->number = l->next_slot;
    s->chunk = c;
    s->offset = c->used;
    s->capacity = (u32)(c->blob->cap - c->used);
    assert(s->offset % l->block_bytes == 0);
    c->undurable++;
    l->next_slot++;
    l->open = s;
    return true;
}

/* A slot is not begun before the one FRAME_INFLIGHT_MAX before it is durable: recovery tells a torn
   tail from corruption by that distance. */
static bool slot_may_be_written(const struct log *l, u64 number)
{
    return l->writing < l->params.inflight_max && number < l->durable + FRAME_INFLIGHT_MAX &&
           !l->no_space && l->failure == OK && !l->fenced;
}

static void slot_write(struct log *l, struct slot *s, const struct frame_entry *entries)
{
    if (!s->sealed) {
        layout_seal(l, s, entries);
        s->sealed = true;
        metric_add(METRIC_wal_slots_total, 1);
        metric_add(METRIC_wal_write_bytes_total, s->total_bytes);
    }
    s->state = SLOT_WRITING;
    s->alone = l->writing == 0;
    s->write_start_ns = io_now_ns(l->io);
    s->write = (struct home_write){
        .done = slot_written,
        .slot = s->number,
        .frame = s->chunk->blob->data + s->offset,
        .bytes = s->total_bytes,
    };
    l->writing++;
    home_wal_write(l->home, &s->write);
}

static struct slot *first_queued(struct log *l)
{
    LIST_EACH (&l->pending, n) {
        if (slot_of(n)->state == SLOT_QUEUED) {
            return slot_of(n);
        }
    }
    return NULL;
}

static void slot_queue(struct log *l, struct slot *s)
{
    s->state = SLOT_QUEUED;
    if (s->entry_count == 0) {
        return;
    }
    u64 bytes = (u64)s->entry_count * sizeof(s->entries[0]);
    s->entries = mem_alloc(bytes);
    memcpy(s->entries, l->sorted, bytes);
    l->hot_used += bytes;
}

/* The open slot takes no more: laid out, then written or queued. */
static void slot_finish(struct log *l, bool full)
{
    struct slot *s = l->open;
    assert(s != NULL);
    layout_slot(l, s);
    u32 payload_bytes = s->placed_bytes + s->staged_bytes;
    s->total_bytes = frame_total_bytes(payload_bytes, s->entry_count, l->block_bytes);
    assert(s->total_bytes <= s->capacity);
    s->chunk->used = s->offset + s->total_bytes;
    hot_add(l, s->number, s->chunk, s->offset, s->total_bytes);
    if (!object_slot_note(l, l->wal_object, s->number, s->total_bytes, s->entry_count > 0)) {
        seen("log: slot sizes beyond the index's cap");
    }
    l->open = NULL;
    l->last_was_full = full;
    bool write_now = slot_may_be_written(l, s->number) && first_queued(l) == NULL;
    list_push_back(&l->pending, &s->node);
    if (write_now) {
        slot_write(l, s, l->sorted);
    } else {
        slot_queue(l, s);
    }
    if ((l->params.canaries & LOG_CANARY_ACK_EARLY) != 0) {
        slot_tell(l, s);
    }
}

/* Opens or changes the slot so that the batch fits. */
static bool slot_make_room(struct log *l, u32 bytes)
{
    if (l->open != NULL) {
        if (slot_fits(l->open, bytes)) {
            return true;
        }
        slot_finish(l, true);
    }
    return slot_open(l, (u64)FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES + FRAME_ENTRY_BYTES + bytes);
}

u8 *wal_place(struct log *l, u32 bytes, bool *staged, u32 *pos)
{
    assert(l->started);
    assert(bytes > 0);
    assert(bytes <= LOG_BATCH_BYTES_MAX);
    bool stage = bytes < LOG_STAGED_BYTES;
    if (stage && l->staging == NULL) {
        l->staging = chunk_staging_acquire(l);
        if (l->staging == NULL) {
            return NULL;
        }
    }
    if (!slot_make_room(l, bytes)) {
        return NULL;
    }
    struct slot *s = l->open;
    *staged = stage;
    if (stage) {
        *pos = s->staged_bytes;
        return l->staging->data + *pos;
    }
    *pos = FRAME_HEADER_BYTES + s->placed_bytes;
    return s->chunk->blob->data + s->offset + *pos;
}

static void slot_touch(struct slot *s, struct partition *p)
{
    if (s->touched_count == s->touched_cap) {
        s->touched_cap = MAX(2 * s->touched_cap, 16u);
        s->touched = mem_resize(s->touched, s->touched_cap * sizeof(s->touched[0]));
    }
    p->touched_slot = s->number + 1;
    p->touched_index = s->touched_count;
    s->touched[s->touched_count] = (struct touched){.partition = p, .id = p->id};
    s->touched_count++;
}

void wal_add(struct log *l, struct partition *p, const struct frame_entry *entry, bool staged)
{
    struct slot *s = l->open;
    assert(s != NULL);
    if (p->touched_slot != s->number + 1) {
        slot_touch(s, p);
    }
    struct touched *t = &s->touched[p->touched_index];
    assert(t->partition == p);
    t->end_offset = entry->base_offset + entry->last_offset_delta + 1;
    t->entry_count++;
    t->staged |= staged;
    struct open_entry *o = layout_entry_new(l, s->entry_count);
    o->entry = *entry;
    o->touched = p->touched_index;
    o->staged = staged;
    s->entry_count++;
    l->undurable_bytes += entry->bytes;
    if (staged) {
        s->staged_bytes += entry->bytes;
    } else {
        s->placed_bytes += entry->bytes;
    }
    l->last_is_mark = false;
}

static void slot_forget_partition(struct slot *s, const struct partition *p)
{
    for (u32 i = 0; i < s->touched_count; i++) {
        if (s->touched[i].partition == p) {
            s->touched[i].partition = NULL;
        }
    }
}

void wal_forget_partition(struct log *l, struct partition *p)
{
    if (l->open != NULL) {
        slot_forget_partition(l->open, p);
    }
    LIST_EACH (&l->pending, n) {
        slot_forget_partition(slot_of(n), p);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* How many writes may be under way for the open slot, which is not full, to go too. */
static u32 partial_max(const struct log *l)
{
    bool slow = l->write_ns > LOG_SLOW_WRITE_NS;
    bool large = l->open->placed_bytes + l->open->staged_bytes >= LOG_SECOND_SLOT_BYTES;
    return slow || large ? MIN(2u, l->params.inflight_max) : 1;
}

void wal_pump(struct log *l)
{
    struct slot *s = first_queued(l);
    while (s != NULL && slot_may_be_written(l, s->number)) {
        slot_write(l, s, s->entries);
        entries_free(l, s);
        s = first_queued(l);
    }
    bool open_is_next = s == NULL && l->open != NULL;
    if (open_is_next && l->writing < partial_max(l) && slot_may_be_written(l, l->open->number)) {
        slot_finish(l, false);
    }
}

static void slot_written(struct home_write *w, err_t result)
{
    struct slot *s = CONTAINER_OF(w, struct slot, write);
    struct log *l = s->log;
    assert(s->state == SLOT_WRITING);
    assert(l->writing > 0);
    l->writing--;
    if (result == OK) {
        s->state = SLOT_WRITTEN;
        u64 ns = io_now_ns(l->io) - s->write_start_ns;
        metric_observe(HISTOGRAM_commit_seconds, ns);
        if (s->alone) {
            l->write_ns = l->write_ns == 0 ? ns : l->write_ns - l->write_ns / 8 + ns / 8;
        }
        if (l->no_space) {
            seen("log: space returned");
            l->no_space = false;
        }
        return;
    }
    s->state = SLOT_QUEUED;
    if (result != ERR_NO_SPACE) {
        l->failure = l->failure == OK ? result : l->failure;
        return;
    }
    if (!l->no_space) {
        seen("log: no space");
        l->no_space = true;
        diag(MSG_storage_full, D_UINT("wal", l->wal), D_UINT("slot", s->number));
    }
    io_timer_start(l->io, &l->space_timer, io_now_ns(l->io) + LOG_SPACE_RETRY_NS);
}

/* One slot probes; when it succeeds the others follow. Slots that succeeded while a later one of
   their time still waits to fail end the state early, which only costs another try. */
static void space_retry(struct io_timer *t)
{
    struct log *l = CONTAINER_OF(t, struct log, space_timer);
    struct slot *s = first_queued(l);
    if (!l->no_space || l->failure != OK || l->fenced || s == NULL) {
        return;
    }
    if (l->writing > 0) {
        io_timer_start(l->io, t, io_now_ns(l->io) + LOG_SPACE_RETRY_NS);
        return;
    }
    slot_write(l, s, s->entries);
    entries_free(l, s);
}

/* ---- durable --------------------------------------------------------------------------------- */

static void slot_tell(struct log *l, struct slot *s)
{
    assert(s->number == l->committed);
    l->committed++;
    s->released = true;
    for (u32 i = 0; i < s->touched_count; i++) {
        struct touched *t = &s->touched[i];
        if (t->partition != NULL) {
            partition_moved(t->partition, t->end_offset);
        }
    }
    list_splice(&l->ready, &s->waiters);
}

static void quiet_begins(struct log *l)
{
    if (l->last_is_mark || l->draining) {
        return;
    }
    l->quiet_since_ns = io_now_ns(l->io);
    if (!heap_linked(&l->mark_timer.node)) {
        io_timer_start(l->io, &l->mark_timer, l->quiet_since_ns + LOG_MARK_DELAY_NS);
    }
}

static void commit_written(struct log *l)
{
    while (!list_empty(&l->pending)) {
        struct slot *s = slot_of(list_first(&l->pending));
        if (s->state != SLOT_WRITTEN) {
            return;
        }
        assert(s->number == l->durable);
        l->durable++;
        assert(l->undurable_bytes >= s->placed_bytes + s->staged_bytes);
        l->undurable_bytes -= s->placed_bytes + s->staged_bytes;
        if (s->entry_count > 0) {
            filing_unfiled(l, s->total_bytes);
        }
        if (!s->released) {
            slot_tell(l, s);
        }
        assert(s->chunk->undurable > 0);
        s->chunk->undurable--;
        list_remove(&s->node);
        list_push_front(&l->free_slots, &s->node);
        if (list_empty(&l->pending) && l->open == NULL) {
            quiet_begins(l);
        }
    }
}

/* Nothing that is not durable now will ever be. */
static void fence(struct log *l)
{
    seen("log: fenced");
    l->fenced = true;
    LIST_EACH (&l->pending, n) {
        list_splice(&l->failed, &slot_of(n)->waiters);
    }
    if (l->open != NULL) {
        list_splice(&l->failed, &l->open->waiters);
    }
    io_timer_stop(l->io, &l->mark_timer);
    io_timer_stop(l->io, &l->space_timer);
}

void wal_commit(struct log *l)
{
    if (l->fenced) {
        return;
    }
    commit_written(l);
    if (l->failure != OK) {
        fence(l);
        if (l->params.fenced != NULL) {
            l->params.fenced(l->params.user, l->failure);
        }
    }
}

static void waiters_call(struct list *from, err_t result)
{
    struct list waiters; /* who waits from now on is called in a later turn */
    list_init(&waiters);
    list_splice(&waiters, from);
    for (struct list_node *n = list_pop_front(&waiters); n != NULL; n = list_pop_front(&waiters)) {
        struct log_waiter *w = CONTAINER_OF(n, struct log_waiter, node);
        w->done(w, result);
    }
}

void wal_release(struct log *l)
{
    waiters_call(&l->ready, OK);
    waiters_call(&l->failed, ERR_IO);
}

u64 log_durable_slot(const struct log *l)
{
    return l->committed + 1;
}

/* The list a waiter for that slot belongs into. Most wait for the open slot or the latest one. */
static struct list *waiters_of(struct log *l, u64 position)
{
    if (position <= l->committed) {
        return &l->ready;
    }
    u64 number = position - 1;
    assert(number < l->next_slot);
    if (l->fenced) {
        return &l->failed;
    }
    if (l->open != NULL && l->open->number == number) {
        return &l->open->waiters;
    }
    struct list_node *n = list_last(&l->pending);
    while (slot_of(n)->number != number) {
        n = n->prev;
        assert(n != &l->pending.head);
    }
    return &slot_of(n)->waiters;
}

void log_wait(struct log *l, struct log_waiter *w, u64 slot)
{
    assert(w->done != NULL);
    w->slot = slot;
    struct list *waiters = waiters_of(l, slot);
    list_push_back(waiters, &w->node);
    if (waiters == &l->ready || waiters == &l->failed) {
        log_wake(l, 0);
    }
}

void log_wait_cancel(struct log_waiter *w)
{
    if (list_linked(&w->node)) {
        list_remove(&w->node);
    }
}

/* ---- MARK and drain -------------------------------------------------------------------------- */

/* An empty slot whose header says that all before it are durable: it covers the last acknowledged
   one against being taken for a torn tail. */
static bool mark_write(struct log *l)
{
    assert(l->open == NULL);
    assert(list_empty(&l->pending));
    if (!slot_open(l, FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES)) {
        return false;
    }
    l->open->kind = FRAME_MARK;
    l->last_is_mark = true;
    slot_finish(l, false);
    return true;
}

bool wal_is_quiet(const struct log *l)
{
    return l->open == NULL && list_empty(&l->pending) && l->failure == OK && !l->fenced;
}

static void mark_due(struct io_timer *t)
{
    struct log *l = CONTAINER_OF(t, struct log, mark_timer);
    if (!wal_is_quiet(l) || l->last_is_mark || l->draining) {
        return; /* when traffic ends the timer is started again */
    }
    u64 due_ns = l->quiet_since_ns + LOG_MARK_DELAY_NS;
    u64 now_ns = io_now_ns(l->io);
    if (now_ns < due_ns) {
        io_timer_start(l->io, t, due_ns);
    } else if (!mark_write(l)) {
        io_timer_start(l->io, t, now_ns + LOG_MARK_DELAY_NS);
    }
}

void log_drain(struct log *l, void (*done)(void *user, err_t result), void *user)
{
    assert(!l->draining);
    assert(done != NULL);
    l->draining = true;
    l->drained = done;
    l->drained_user = user;
    io_timer_stop(l->io, &l->mark_timer);
    log_wake(l, 0);
}

/* Then there is no end to be in doubt about. */
static bool wal_is_filed(const struct log *l)
{
    const struct log_object *oldest = l->unfiled_count > 0 ? &l->objects[l->unfiled[0]] : NULL;
    return oldest != NULL && oldest->id == l->wal && oldest->trim == l->next_slot;
}

void wal_drain_step(struct log *l)
{
    if (!l->draining || l->drained == NULL) {
        return;
    }
    bool doubtful = l->next_slot > 0 && !l->last_is_mark && !wal_is_filed(l);
    if (wal_is_quiet(l) && doubtful && mark_write(l)) {
        return;
    }
    if (!wal_is_quiet(l) && !l->fenced) {
        return;
    }
    if (l->windows_reading > 0 || l->populating != NULL || filing_is_building(l) ||
        rewrite_is_working(l) || scrub_is_working(l) || older_is_working(l)) {
        return; /* the medium, or a worker, still uses our memory: it may not go away yet */
    }
    void (*done)(void *user, err_t result) = l->drained;
    l->drained = NULL;
    done(l->drained_user, l->fenced ? ERR_IO : OK);
}
