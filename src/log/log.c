/* The log as a whole: create and destroy, and the order of things at the end of a turn. Called by
   the broker (create, destroy, statistics) and by the loop (hooks).

   The turn's end (IO_HOOK_LOG), each step with its reason for standing where it does:
     1. a turn's grants of room end
     2. commit: what the completions of this turn made durable
     3. pump: the medium gets its next write before anybody computes
     4. waiters, watchers, those waiting for room or for cold bytes: they may append
   and once more after everybody else's hooks (late_hook): pump, for what they appended; without it
   a batch appended by a hook would sleep until the next event. */
#include "log/log_private.h"

static void turn_end(struct io_hook *h)
{
    struct log *l = CONTAINER_OF(h, struct log, turn_hook);
    l->turn++;
    room_turn(l);
    wal_commit(l);
    wal_pump(l);
    wal_release(l);
    partitions_notify(l);
    room_grant(l);
    cold_turn(l);
    older_turn(l);
    filing_turn(l);
    rewrite_turn(l);
    wal_drain_step(l);
}

static void turn_late(struct io_hook *h)
{
    wal_pump(CONTAINER_OF(h, struct log, late_hook));
}

static void woken(struct io_timer *t)
{
    (void)t; /* the hooks of this turn do the work */
}

void log_wake(struct log *l, u64 delay_ns)
{
    u64 deadline_ns = io_now_ns(l->io) + delay_ns;
    if (!heap_linked(&l->wake.node) || l->wake.node.key > deadline_ns) {
        io_timer_start(l->io, &l->wake, deadline_ns);
    }
}

struct log *log_create(const struct log_params *params)
{
    assert(params->io != NULL);
    assert(params->home != NULL);
    assert(params->inflight_max >= 1);
    assert(params->inflight_max <= FRAME_INFLIGHT_MAX);
    struct log *l = mem_alloc(sizeof(*l));
    l->params = *params;
    l->io = params->io;
    l->home = params->home;
    l->turn = 2; /* chunk_evictable looks two turns back */
    map64_init(&l->partitions);
    pool_init(&l->partition_pool, "partitions", NULL, sizeof(struct partition), UINT32_MAX);
    pool_init(&l->producer_pool, "producers", params->quota, sizeof(struct producer), UINT32_MAX);
    quota_init(&l->index_quota, "log index", params->quota, UINT64_MAX);
    list_init(&l->producers_by_use);
    l->removals = 1;
    list_init(&l->moved);
    list_init(&l->notify_left);
    chunks_init(l);
    wal_init(l);
    cold_init(l);
    map64_init(&l->objects_by_id);
    filing_init(l);
    rewrite_init(l);
    scrub_init(l);
    l->wake.fired = woken;
    l->turn_hook.run = turn_end;
    l->late_hook.run = turn_late;
    io_hook_add(l->io, &l->turn_hook, IO_HOOK_LOG);
    io_hook_add(l->io, &l->late_hook, IO_HOOK_CONN + 1);
    return l;
}

void log_destroy(struct log *l)
{
    if (l == NULL) {
        return;
    }
    io_hook_remove(&l->turn_hook);
    io_hook_remove(&l->late_hook);
    io_timer_stop(l->io, &l->wake);
    older_fini(l);
    scrub_fini(l);
    rewrite_fini(l);
    filing_fini(l);
    wal_fini(l);
    cold_fini(l);
    chunks_fini(l);
    layout_fini(l);
    u32 cursor = 0;
    u64 id;
    void *p;
    while (map64_next(&l->partitions, &cursor, &id, &p)) {
        partition_destroy(p);
    }
    map64_fini(&l->partitions);
    pool_fini(&l->partition_pool);
    pool_fini(&l->producer_pool);
    objects_fini(l);
    assert(l->index_quota.used == 0);
    assert(l->index_uncharged == 0);
    mem_free(l);
}

void log_stats(const struct log *l, struct log_stats *out)
{
    *out = (struct log_stats){
        .partitions = l->partitions.count,
        .bytes = l->bytes,
        .slots = l->next_slot,
        .hot_bytes = l->hot_used,
        .index_entries = l->index_entries,
        .index_bytes = index_bytes(l),
        .index_bytes_max = index_bytes_max(l),
        .producers = l->producer_pool.count,
    };
}

bool log_refuses(const struct log *l)
{
    return wal_refuses(l);
}
