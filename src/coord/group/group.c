/* See group.h. This file: life, looking, and the step that leads every event to its function and
   then says when the group wants to be woken. */
#include "coord/group/group_private.h"

static const char *const state_names[] = {
    [GROUP_EMPTY] = "Empty",
    [GROUP_PREPARING_REBALANCE] = "PreparingRebalance",
    [GROUP_COMPLETING_REBALANCE] = "CompletingRebalance",
    [GROUP_STABLE] = "Stable",
    [GROUP_DEAD] = "Dead",
};

const char *group_state_name(enum group_state s)
{
    assert((u32)s < ARRAY_LEN(state_names));
    return state_names[s];
}

/* ---- life ---------------------------------------------------------------------------------- */

struct group *group_create(struct slice id, const struct group_limits *limits)
{
    assert(id.len <= TEXT_BYTES_MAX);
    struct group *g = mem_alloc(sizeof(*g) + id.len);
    u8 *copy = (u8 *)(g + 1);
    if (id.len > 0) {
        memcpy(copy, id.ptr, id.len);
    }
    g->id = slice_of(copy, id.len);
    g->limits = limits;
    g->state = GROUP_EMPTY;
    g->state_wall_ms = -1;
    g->leader = -1;
    g->join_deadline_ms = INT64_MAX;
    g->sync_deadline_ms = INT64_MAX;
    g->expiry_due_ms = INT64_MAX;
    g->bytes = sizeof(*g) + id.len + ALLOCATION_OVERHEAD;
    return g;
}

void group_destroy(struct group *g)
{
    if (g == NULL) {
        return;
    }
    for (u32 i = 0; i < g->member_count; i++) {
        mem_free(g->members[i].identity);
        mem_free(g->members[i].supported);
        mem_free(g->members[i].assignment);
    }
    for (u32 i = 0; i < g->pending_count; i++) {
        mem_free(g->pendings[i].id);
    }
    mem_free(g->members);
    mem_free(g->pendings);
    mem_free(g->protocol_type);
    mem_free(g->protocol_name);
    offsets_clear(g);
    mem_free(g);
}

bool group_is_void(const struct group *g)
{
    return g->member_count == 0 && g->pending_count == 0 && g->offset_count == 0 &&
           !g->has_record && !g->committed;
}

/* ---- time ---------------------------------------------------------------------------------- */

struct due {
    i64 at_ms;
    void (*one)(struct step *s, u32 index);
    void (*group)(struct step *s);
    u32 index;
};

/* What comes first; of equal ones the member that came first. */
static struct due next_due(const struct group *g)
{
    struct due d = {.at_ms = INT64_MAX};
    for (u32 i = 0; i < g->member_count; i++) {
        if (g->members[i].session_deadline_ms < d.at_ms) {
            d = (struct due){g->members[i].session_deadline_ms, group_session_timeout, NULL, i};
        }
    }
    for (u32 i = 0; i < g->pending_count; i++) {
        if (g->pendings[i].deadline_ms < d.at_ms) {
            d = (struct due){g->pendings[i].deadline_ms, group_pending_timeout, NULL, i};
        }
    }
    if (g->join_deadline_ms < d.at_ms) {
        d = (struct due){g->join_deadline_ms, NULL, group_join_timeout, 0};
    }
    if (g->sync_deadline_ms < d.at_ms) {
        d = (struct due){g->sync_deadline_ms, NULL, group_sync_timeout, 0};
    }
    return d;
}

static void on_timer(struct step *s)
{
    struct due d = next_due(s->g);
    while (d.at_ms <= s->now_ms && !s->exhausted) {
        if (d.one != NULL) {
            d.one(s, d.index);
        } else {
            d.group(s);
        }
        d = next_due(s->g);
    }
    if (!s->exhausted && s->g->expiry_due_ms <= s->now_ms) {
        group_expire(s);
    }
}

/* A deadline that passed while something else came is dealt with by the next timer. */
static i64 deadline(const struct group *g, i64 now_ms)
{
    return MAX(MIN(next_due(g).at_ms, g->expiry_due_ms), now_ms + 1);
}

enum { RECORD_OVERHEAD = 128 }; /* fixed fields, lengths, what a batch adds */

/* ---- the step ------------------------------------------------------------------------------ */

static const struct {
    void (*handle)(struct step *s);
    bool journaled; /* changes members before all is said */
} events[] = {
    [GROUP_JOIN] = {group_join, true},
    [GROUP_SYNC] = {group_sync, true},
    [GROUP_HEARTBEAT] = {group_heartbeat, false},
    [GROUP_LEAVE] = {group_leave, true},
    [GROUP_COMMIT] = {group_commit, false},
    [GROUP_DELETE_OFFSETS] = {group_delete_offsets, false},
    [GROUP_DELETE] = {group_delete, true},
    [GROUP_TOPIC_DELETED] = {group_topic_deleted, false},
    [GROUP_CLIENT_GONE] = {group_client_gone, true},
    [GROUP_TIMER] = {on_timer, true},
};

/* What always holds between steps. */
static void check(const struct group *g)
{
    bool has_members = g->state != GROUP_EMPTY && g->state != GROUP_DEAD;
    assert(has_members || g->member_count == 0);
    assert(g->member_count > 0 || g->leader < 0);
    assert(g->leader < (i32)g->member_count);
    assert(g->member_count == 0 || g->leader >= 0);
    assert((g->state == GROUP_PREPARING_REBALANCE) == (g->join_deadline_ms != INT64_MAX));
    assert(g->state == GROUP_COMPLETING_REBALANCE || g->state == GROUP_STABLE ||
           g->sync_deadline_ms == INT64_MAX);
}

err_t group_step(struct group *g, const struct group_event *ev, struct group_out *out,
                 struct arena *arena)
{
    assert((u32)ev->kind < ARRAY_LEN(events));
    *out = (struct group_out){.deadline_ms = INT64_MAX};
    struct step s = {
        .g = g, .ev = ev, .now_ms = ev->now_ms, .wall_ms = ev->wall_ms, .out = out, .arena = arena};
    step_begin(&s, events[ev->kind].journaled);
    events[ev->kind].handle(&s);
    TRY(step_end(&s));
    check(g);
    out->deadline_ms = deadline(g, ev->now_ms);
    out->dead = g->state == GROUP_DEAD || group_is_void(g);
    return OK;
}

/* A record of the group holds what its blocks hold. Of one that becomes empty there may be another.
 */
static u64 group_record_bytes(const struct group *g)
{
    return 2 * (g->id.len + RECORD_OVERHEAD) + g->members_bytes + g->bytes +
           g->member_count * (u64)RECORD_OVERHEAD;
}

static u64 tombstone_bytes(const struct group *g)
{
    u64 bytes = 0;
    for (u32 i = 0; i < g->offset_count; i++) {
        bytes += g->id.len + g->offsets[i]->view.topic.len + RECORD_OVERHEAD;
    }
    return bytes;
}

static u64 offsets_bytes(const struct group *g, const struct group_event *ev)
{
    u64 bytes = 0;
    for (u32 i = 0; i < ev->commit.offset_count; i++) {
        const struct group_offset *o = &ev->commit.offsets[i];
        bytes += g->id.len + o->topic.len + o->metadata.len + RECORD_OVERHEAD;
    }
    return bytes;
}

u64 group_step_bytes(const struct group *g, const struct group_event *ev)
{
    u64 bytes = RECORD_OVERHEAD;
    switch (ev->kind) {
    case GROUP_JOIN:
        bytes += group_record_bytes(g) + member_bytes_of(ev, ev->join.fresh_member_id);
        break;
    case GROUP_SYNC:
        bytes += group_record_bytes(g);
        for (u32 i = 0; i < ev->sync.assignment_count; i++) {
            bytes += ev->sync.assignments[i].assignment.len;
        }
        break;
    case GROUP_LEAVE:
    case GROUP_CLIENT_GONE:
        bytes += group_record_bytes(g);
        break;
    case GROUP_TIMER:
        bytes += group_record_bytes(g);
        bytes += g->expiry_due_ms <= ev->now_ms ? tombstone_bytes(g) : 0;
        break;
    case GROUP_COMMIT:
    case GROUP_DELETE_OFFSETS:
        bytes += offsets_bytes(g, ev);
        break;
    case GROUP_DELETE:
    case GROUP_TOPIC_DELETED:
        bytes += group_record_bytes(g) + tombstone_bytes(g);
        break;
    case GROUP_HEARTBEAT:
        break;
    }
    return MIN(bytes, (u64)STEP_RECORD_BYTES_MAX + STEP_RECORD_BYTES_MAX / 8);
}

void group_loaded(struct group *g, i64 now_ms, i64 wall_ms, struct group_out *out)
{
    *out = (struct group_out){.deadline_ms = INT64_MAX};
    struct step s = {.g = g, .now_ms = now_ms, .wall_ms = wall_ms, .out = out};
    step_begin(&s, false);
    for (u32 i = 0; i < g->member_count; i++) {
        member_session_restart(&s, &g->members[i]);
    }
    if (g->state == GROUP_STABLE && g->member_count > g->limits->size_max) {
        group_prepare_rebalance(&s); /* the limit has become smaller: who joins again last goes */
    }
    group_expiry_schedule(g, now_ms, wall_ms);
    err_t e = step_end(&s);
    assert(e == OK && out->reply_count == 0 && out->record_count == 0);
    check(g);
    out->deadline_ms = deadline(g, now_ms);
    out->dead = group_is_void(g);
}

/* ---- looking ------------------------------------------------------------------------------- */

struct slice group_id(const struct group *g)
{
    return g->id;
}

enum group_state group_state_of(const struct group *g)
{
    return g->state;
}

i32 group_generation(const struct group *g)
{
    return g->generation;
}

struct slice group_protocol_type(const struct group *g)
{
    return or_empty(block_slice(g->protocol_type));
}

struct slice group_protocol_name(const struct group *g)
{
    return g->state == GROUP_STABLE ? or_empty(block_slice(g->protocol_name)) : WIRE_EMPTY;
}

u32 group_member_count(const struct group *g)
{
    return g->member_count;
}

void group_member_at(const struct group *g, u32 index, struct group_member_view *out)
{
    assert(index < g->member_count);
    const struct member *m = &g->members[index];
    bool settled = g->state == GROUP_STABLE;
    *out = (struct group_member_view){
        .member_id = m->id,
        .instance_id = m->instance_id,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .metadata = settled ? member_metadata(g, m) : WIRE_EMPTY,
        .assignment = or_empty(block_slice(m->assignment)),
    };
}

u64 group_bytes(const struct group *g)
{
    return g->bytes;
}
