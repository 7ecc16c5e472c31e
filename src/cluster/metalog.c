/* Appending to the metadata log.

   Happy path
     1. metalog_append: the commands are copied, as bytes, and queued
     2. turn end: everything queued becomes one slot, unless one is in flight; then it waits for the
        end of that turn in which the slot before became durable
     3. the home says that the slot is durable: its commands are checked and applied in order, each
        author is told after his own
     4. the log forgets the partitions of deleted topics, so many in a turn
     5. every so many slots a snapshot of the state takes a slot's place in the pipeline

   How it fails: no room: nothing happened, the authors hear ERR_NO_SPACE, later slots are tried as
   usual. The medium fails: the home is fenced, all authors hear ERR_IO, and the owner of the
   cluster is told once that it must end.

   Owns the entries and the payload in flight; the home_meta_write is the home's until its done().
   Commands are checked when they are applied and not before: two that exclude each other may share
   a slot, and the state that decides is the one before the command, at a replay as now. */
#include "cluster/cluster_private.h"

#include <string.h>

enum {
    SLOT_BYTES_MAX = 1024 * 1024, /* more waits for the next slot; one append is never split */
    DECODE_BLOCK_BYTES = 4096,
    SNAPSHOT_RETRY_SLOTS = 64,
    REMOVALS_PER_TURN = 4096, /* about a millisecond */
};

static void turn_end(struct io_hook *h);

static void woken(struct io_timer *t)
{
    (void)t; /* the turn it makes is all that is wanted */
}

void metalog_init(struct cluster *c)
{
    struct metalog *m = &c->metalog;
    list_init(&m->queue);
    list_init(&m->writing);
    m->removals_left = REMOVALS_PER_TURN;
    m->hook.run = turn_end;
    m->wake.fired = woken;
}

void metalog_start(struct cluster *c)
{
    io_hook_add(c->params.io, &c->metalog.hook, IO_HOOK_META);
}

static void entries_drop(struct list *l)
{
    for (struct list_node *n = list_pop_front(l); n != NULL; n = list_pop_front(l)) {
        struct metalog_entry *e = CONTAINER_OF(n, struct metalog_entry, node);
        if (e->append != NULL) {
            e->append->entry = NULL;
        }
        mem_free(e);
    }
}

void metalog_fini(struct cluster *c)
{
    struct metalog *m = &c->metalog;
    if (list_linked(&m->hook.node)) {
        io_hook_remove(&m->hook);
    }
    io_timer_stop(c->params.io, &m->wake);
    entries_drop(&m->queue);
    entries_drop(&m->writing);
    mem_free(m->payload);
    mem_free(m->gone);
}

/* ---- payloads -------------------------------------------------------------------------------- */

static size_t commands_size(const struct meta_command *commands, u32 count)
{
    size_t bytes = 0;
    for (u32 i = 0; i < count; i++) {
        bytes += meta_command_size(&commands[i]);
    }
    return bytes;
}

static void commands_encode(const struct meta_command *commands, u32 count, struct writer *w)
{
    for (u32 i = 0; i < count; i++) {
        meta_command_encode(&commands[i], w);
    }
    assert(!w->failed);
    assert(w->len == w->cap);
}

u8 *metalog_payload(const struct meta_command *commands, u32 count, size_t *bytes)
{
    *bytes = sizeof(u32) + commands_size(commands, count);
    u8 *payload = mem_alloc(*bytes);
    struct writer w = writer_of(payload, *bytes);
    write_le32(&w, count);
    commands_encode(commands, count, &w);
    return payload;
}

err_t metalog_replay(struct cluster *c, u64 slot, struct slice payload)
{
    struct arena arena;
    arena_init(&arena, NULL, DECODE_BLOCK_BYTES, 0);
    struct reader r = reader_of(payload);
    u32 count = read_le32(&r);
    err_t e = r.failed ? ERR_TRUNCATED : OK;
    u32 at = 0;
    while (e == OK && at < count) {
        struct meta_command command;
        e = meta_command_decode(&r, &arena, &command);
        if (e == OK) {
            struct meta_outcome outcome;
            meta_apply(c->meta, &command, &outcome);
            arena_reset(&arena);
            at++;
        }
    }
    arena_fini(&arena);
    if (e == OK && reader_left(&r) == 0) {
        return OK;
    }
    if (e == ERR_VERSION) {
        return cluster_fail(c, e,
                            "Metadata slot %llu was written by a newer Odradek (command %u of %u). "
                            "Start the newer program.",
                            (unsigned long long)slot, at + 1, count);
    }
    return cluster_fail(
        c, ERR_CORRUPT,
        "Metadata slot %llu agrees with its checksum but makes no sense (command %u "
        "of %u, byte %zu of %zu). Nothing was changed; restore the directory from a "
        "backup and report this, it is a defect.",
        (unsigned long long)slot, at + 1, count, payload.len - reader_left(&r), payload.len);
}

/* ---- the queue ------------------------------------------------------------------------------- */

void metalog_append(struct cluster *c, struct metalog_append *a)
{
    assert(a->done != NULL);
    assert(a->command_count > 0);
    assert(a->entry == NULL);
    size_t bytes = commands_size(a->commands, a->command_count);
    assert(bytes <= INT32_MAX - sizeof(u32));
    struct metalog_entry *e = mem_alloc(sizeof(*e) + bytes);
    struct writer w = writer_of(e->encoded, bytes);
    commands_encode(a->commands, a->command_count, &w);
    e->append = a;
    e->command_count = a->command_count;
    e->bytes = bytes;
    a->entry = e;
    list_push_back(&c->metalog.queue, &e->node);
    if (!c->metalog.busy) {
        io_timer_start(c->params.io, &c->metalog.wake, io_now_ns(c->params.io));
    }
}

void metalog_forget(struct metalog_append *a)
{
    if (a->entry != NULL) {
        a->entry->append = NULL;
        a->entry = NULL;
    }
}

/* The end of an append's way. Its author may begin another one inside done(). */
static void entry_finish(struct metalog_entry *e, err_t result, const struct meta_outcome *outcomes)
{
    struct metalog_append *a = e->append;
    mem_free(e);
    if (a != NULL) {
        a->entry = NULL;
        a->done(a, result, outcomes);
    }
}

/* ---- applying -------------------------------------------------------------------------------- */

/* The ids of a topic that is going to be deleted. */
static void gone_push(struct metalog *m, const struct meta_topic *t)
{
    if (m->gone_cap - m->gone_count < t->range_count) {
        m->gone_cap = MAX(2 * m->gone_cap, m->gone_count + t->range_count);
        m->gone = mem_resize(m->gone, m->gone_cap * sizeof(m->gone[0]));
    }
    memcpy(m->gone + m->gone_count, t->ranges, t->range_count * sizeof(t->ranges[0]));
    m->gone_count += t->range_count;
}

/* As many as this turn may still take. Nobody finds the others any more, since the state does not
   know them; those who watch them hear of it in one of the next turns. */
static void partitions_remove(struct cluster *c)
{
    struct metalog *m = &c->metalog;
    while (m->gone_count > 0 && m->removals_left > 0) {
        struct meta_range *range = &m->gone[m->gone_count - 1];
        u32 id = range->first_id;
        range->first_id++;
        range->count--;
        m->gone_count -= range->count == 0;
        m->removals_left--;
        log_partition_remove(c->params.log, id);
    }
    if (m->gone_count > 0) {
        seen("cluster: more partitions to forget than a turn takes");
        io_timer_start(c->params.io, &m->wake, io_now_ns(c->params.io));
    }
}

/* The state first, then the log: whoever hears from the log that a partition is gone asks the
   state, and must not find the topic there. */
static void delete_topic(struct cluster *c, const struct meta_command *command,
                         struct meta_outcome *out)
{
    const struct meta_topic *t = meta_topic_by_id(c->meta, command->delete_topic.id);
    if (t != NULL) {
        gone_push(&c->metalog, t);
    }
    meta_apply(c->meta, command, out);
    assert((out->kerr == KERR_NONE) == (t != NULL)); /* a topic that is there can be deleted */
    partitions_remove(c);
}

/* As with a topic, the state first. */
static void set_log_starts(struct cluster *c, const struct meta_command *command,
                           struct meta_outcome *out)
{
    meta_apply(c->meta, command, out);
    for (u32 i = 0; out->kerr == KERR_NONE && i < command->set_log_starts.count; i++) {
        log_start_follow(c, command->set_log_starts.starts[i].partition_id);
    }
}

/* Outcomes of one author name topics; none that a later command of his deletes. */
static void outcomes_forget_topic(struct meta_outcome *outcomes, u32 count,
                                  const struct meta_topic *t)
{
    for (u32 i = 0; i < count; i++) {
        if (outcomes[i].topic == t) {
            outcomes[i].topic = NULL;
        }
    }
}

static void entry_apply(struct cluster *c, const struct metalog_entry *entry,
                        struct meta_outcome *outcomes)
{
    struct arena arena;
    arena_init(&arena, NULL, DECODE_BLOCK_BYTES, 0);
    struct reader r = reader_of(slice_of(entry->encoded, entry->bytes));
    for (u32 i = 0; i < entry->command_count; i++) {
        struct meta_command command;
        err_t e = meta_command_decode(&r, &arena, &command);
        assert(e == OK); /* our own encoding */
        (void)e;
        if (command.kind == META_DELETE_TOPIC) {
            const struct meta_topic *t = meta_topic_by_id(c->meta, command.delete_topic.id);
            if (t != NULL) {
                outcomes_forget_topic(outcomes, i, t);
                if (c->params.topic_deleted != NULL) {
                    c->params.topic_deleted(c->params.user, t);
                }
            }
            delete_topic(c, &command, &outcomes[i]);
        } else if (command.kind == META_SET_LOG_STARTS) {
            set_log_starts(c, &command, &outcomes[i]);
        } else {
            meta_apply(c->meta, &command, &outcomes[i]);
        }
        arena_reset(&arena);
    }
    assert(reader_left(&r) == 0);
    arena_fini(&arena);
}

/* ---- the slot in flight ---------------------------------------------------------------------- */

static void write_finished(struct cluster *c, err_t result)
{
    struct metalog *m = &c->metalog;
    m->busy = false;
    mem_free(m->payload);
    m->payload = NULL;
    if (result != OK && result != ERR_NO_SPACE && !c->fenced) {
        c->fenced = true;
        seen("cluster: a metadata write fenced the home");
        if (c->params.fenced != NULL) {
            c->params.fenced(c->params.user, result);
        }
    }
}

static void slot_written(struct home_meta_write *w, err_t result)
{
    struct cluster *c = CONTAINER_OF(w, struct cluster, metalog.write);
    struct metalog *m = &c->metalog;
    write_finished(c, result);
    if (result == OK) {
        m->next_slot++;
        m->slots_since_snapshot++;
    }
    for (struct list_node *n = list_pop_front(&m->writing); n != NULL;
         n = list_pop_front(&m->writing)) {
        struct metalog_entry *e = CONTAINER_OF(n, struct metalog_entry, node);
        if (result != OK) {
            entry_finish(e, result, NULL);
            continue;
        }
        struct meta_outcome *outcomes = mem_alloc(e->command_count * sizeof(*outcomes));
        entry_apply(c, e, outcomes);
        entry_finish(e, OK, outcomes);
        mem_free(outcomes);
    }
}

static void write_begin(struct cluster *c, void (*done)(struct home_meta_write *w, err_t result),
                        bool snapshot, struct slice payload)
{
    struct metalog *m = &c->metalog;
    assert(!m->busy);
    m->busy = true;
    m->write = (struct home_meta_write){
        .done = done,
        .payload = payload,
        .slot = m->next_slot,
        .snapshot = snapshot,
    };
    home_meta_write(c->params.home, &m->write);
}

/* What is queued, in order, as long as it fits; the first always does. */
static void slot_write(struct cluster *c)
{
    struct metalog *m = &c->metalog;
    assert(list_empty(&m->writing));
    size_t bytes = sizeof(u32);
    u32 count = 0;
    while (!list_empty(&m->queue)) {
        struct list_node *n = list_first(&m->queue);
        const struct metalog_entry *e = CONTAINER_OF(n, struct metalog_entry, node);
        if (count > 0 && bytes + e->bytes > SLOT_BYTES_MAX) {
            seen("cluster: more commands than one slot takes");
            break;
        }
        bytes += e->bytes;
        count += e->command_count;
        list_remove(n);
        list_push_back(&m->writing, n);
    }
    m->payload = mem_alloc(bytes);
    struct writer w = writer_of(m->payload, bytes);
    write_le32(&w, count);
    LIST_EACH (&m->writing, n) {
        const struct metalog_entry *e = CONTAINER_OF(n, struct metalog_entry, node);
        write_bytes(&w, e->encoded, e->bytes);
    }
    assert(!w.failed);
    assert(w.len == bytes);
    write_begin(c, slot_written, false, slice_of(m->payload, bytes));
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void snapshot_written(struct home_meta_write *w, err_t result)
{
    struct cluster *c = CONTAINER_OF(w, struct cluster, metalog.write);
    write_finished(c, result);
    if (result == OK) {
        seen("cluster: a snapshot replaced the slots before it");
        c->metalog.slots_since_snapshot = 0;
        return;
    }
    /* The slots are still there: a later one does as well. */
    u64 every = c->params.snapshot_every;
    c->metalog.slots_since_snapshot = every - MIN(every, (u64)SNAPSHOT_RETRY_SLOTS);
}

static void snapshot_write(struct cluster *c)
{
    struct metalog *m = &c->metalog;
    size_t bytes = meta_snapshot_size(c->meta);
    m->payload = mem_alloc(bytes);
    struct writer w = writer_of(m->payload, bytes);
    meta_snapshot_write(c->meta, &w);
    assert(!w.failed);
    assert(w.len == bytes);
    write_begin(c, snapshot_written, true, slice_of(m->payload, bytes));
}

/* ---- the end --------------------------------------------------------------------------------- */

static void drain_over(struct cluster *c, err_t result)
{
    void (*drained)(void *user, err_t result) = c->drained;
    c->drained = NULL;
    drained(c->drained_user, result);
}

/* Without a seal the next start finds the end itself. */
static void seal_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct cluster *c = CONTAINER_OF(a, struct cluster, seal.append);
    assert(result != OK || outcomes[0].kerr == KERR_NONE);
    drain_over(c, OK);
}

static void log_drained(void *user, err_t result)
{
    struct cluster *c = user;
    const struct meta_session *own = meta_session_at(c->meta, meta_session_count(c->meta) - 1);
    u64 slots = log_durable_slot(c->params.log) - 1; /* which counts from 1 */
    if (result != OK || c->fenced || slots == 0) {   /* of nothing the end is known */
        drain_over(c, result);
        return;
    }
    seen("cluster: a session seals itself");
    c->seal.command = (struct meta_command){
        .kind = META_SEAL_WAL,
        .seal = {.wal = own->wal, .length = slots},
    };
    c->seal.append.done = seal_done;
    c->seal.append.commands = &c->seal.command;
    c->seal.append.command_count = 1;
    metalog_append(c, &c->seal.append);
    io_timer_start(c->params.io, &c->metalog.wake, io_now_ns(c->params.io));
}

/* ---- the end of a turn ----------------------------------------------------------------------- */

static void turn_end(struct io_hook *h)
{
    struct cluster *c = CONTAINER_OF(h, struct cluster, metalog.hook);
    struct metalog *m = &c->metalog;
    io_timer_stop(c->params.io, &m->wake);
    partitions_remove(c);
    m->removals_left = REMOVALS_PER_TURN;
    if (m->busy) {
        return;
    }
    if (m->slots_since_snapshot >= c->params.snapshot_every && !c->fenced) {
        snapshot_write(c);
    } else if (!list_empty(&m->queue)) {
        slot_write(c);
    } else if (c->drained != NULL && !c->draining) {
        c->draining = true;
        log_drain(c->params.log, log_drained, c);
    }
}

void cluster_drain(struct cluster *c, void (*done)(void *user, err_t result), void *user)
{
    assert(done != NULL);
    assert(c->drained == NULL);
    c->drained = done;
    c->drained_user = user;
    io_timer_start(c->params.io, &c->metalog.wake, io_now_ns(c->params.io));
}
