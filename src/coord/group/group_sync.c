/* What members do between joins: SyncGroup, Heartbeat, LeaveGroup, and what becomes of those that
   do not. Happy path of an assignment:

     every member syncs, its ticket waits -> the leader's sync brings all assignments
     -> the group's record -> all tickets are answered (when the record is durable) -> Stable */
#include "coord/group/group_private.h"

/* ---- SyncGroup ----------------------------------------------------------------------------- */

static void sync_answer(struct step *s, u64 ticket, const struct member *m)
{
    struct group_reply *r = reply_add(s, GROUP_SYNC, ticket, KERR_NONE);
    r->protocol_type = say(s, block_slice(s->g->protocol_type));
    r->protocol_name = say(s, block_slice(s->g->protocol_name));
    r->assignment = or_empty(say(s, block_slice(m->assignment)));
}

static void sync_all(struct step *s, i16 kerr)
{
    struct group *g = s->g;
    for (u32 i = 0; i < g->member_count; i++) {
        struct member *m = &g->members[i];
        if (!m->awaiting_sync) {
            continue;
        }
        if (m->sync_ticket != 0 && kerr == KERR_NONE) {
            sync_answer(s, m->sync_ticket, m);
        } else {
            reply_add(s, GROUP_SYNC, m->sync_ticket, kerr);
        }
        m->sync_ticket = 0;
        m->awaiting_sync = false;
        member_session_restart(s, m);
    }
}

void group_sync_fail_all(struct step *s, i16 kerr)
{
    struct group *g = s->g;
    assert(g->state == GROUP_COMPLETING_REBALANCE);
    for (u32 i = 0; i < g->member_count; i++) {
        member_set_assignment(s, &g->members[i], WIRE_EMPTY);
    }
    sync_all(s, kerr);
}

/* The leader's word: of two assignments for one member the later counts, a member without gets
   nothing. */
static void assign(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    u64 bytes = 0;
    for (u32 i = 0; i < ev->sync.assignment_count; i++) {
        bytes += ev->sync.assignments[i].assignment.len;
    }
    if (bytes > ASSIGNMENTS_BYTES_MAX) {
        group_sync_fail_all(s,
                            KERR_UNKNOWN_SERVER_ERROR); /* as Kafka when its record is too large */
        group_prepare_rebalance(s);
        return;
    }
    for (u32 i = 0; i < g->member_count; i++) {
        member_set_assignment(s, &g->members[i], WIRE_EMPTY);
    }
    for (u32 i = 0; i < ev->sync.assignment_count; i++) {
        i32 index = member_find(g, ev->sync.assignments[i].member_id);
        if (index >= 0) {
            member_set_assignment(s, &g->members[index], ev->sync.assignments[i].assignment);
        }
    }
    record_group(s);
    sync_all(s, KERR_NONE);
    group_set_state(s, GROUP_STABLE);
}

static bool contradicts(struct slice asked, const struct block *ours)
{
    return asked.ptr != NULL && ours != NULL && !slice_eq(asked, block_slice(ours));
}

static i16 sync_check(const struct group *g, const struct group_event *ev)
{
    if (g->state == GROUP_DEAD) {
        return KERR_COORDINATOR_NOT_AVAILABLE;
    }
    i16 kerr = member_check(g, ev->member_id, ev->instance_id);
    if (kerr != KERR_NONE) {
        return kerr;
    }
    if (ev->generation != g->generation) {
        return KERR_ILLEGAL_GENERATION;
    }
    if (contradicts(ev->sync.protocol_type, g->protocol_type) ||
        contradicts(ev->sync.protocol_name, g->protocol_name)) {
        return KERR_INCONSISTENT_GROUP_PROTOCOL;
    }
    return g->state == GROUP_PREPARING_REBALANCE ? KERR_REBALANCE_IN_PROGRESS : KERR_NONE;
}

static void sync_arrived(struct group *g, struct member *m)
{
    m->pending_sync = false;
    for (u32 i = 0; i < g->member_count; i++) {
        if (g->members[i].pending_sync) {
            return;
        }
    }
    g->sync_deadline_ms = INT64_MAX;
}

void group_sync(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    i16 kerr = sync_check(g, ev);
    if (kerr != KERR_NONE) {
        reply(s, kerr);
        return;
    }
    i32 index = member_find(g, ev->member_id);
    struct member *m = &g->members[index];
    sync_arrived(g, m);
    if (g->state == GROUP_STABLE) {
        sync_answer(s, ev->ticket, m);
        return;
    }
    assert(g->state == GROUP_COMPLETING_REBALANCE);
    reply_add(s, GROUP_SYNC, m->sync_ticket,
              KERR_REBALANCE_IN_PROGRESS); /* given up by its client */
    m->sync_ticket = ev->ticket;
    m->awaiting_sync = true;
    if (g->leader == index) {
        assign(s);
    }
}

/* ---- Heartbeat ----------------------------------------------------------------------------- */

void group_heartbeat(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    i16 kerr = g->state == GROUP_DEAD ? KERR_COORDINATOR_NOT_AVAILABLE
                                      : member_check(g, ev->member_id, ev->instance_id);
    if (kerr == KERR_NONE && ev->generation != g->generation) {
        kerr = KERR_ILLEGAL_GENERATION;
    }
    bool alive = kerr == KERR_NONE;
    if (alive && g->state == GROUP_PREPARING_REBALANCE) {
        kerr = KERR_REBALANCE_IN_PROGRESS;
    }
    reply(s, kerr);
    if (alive && !s->exhausted) {
        member_session_restart(s, &g->members[member_find(g, ev->member_id)]);
    }
}

/* ---- members go ---------------------------------------------------------------------------- */

/* Whoever waits for it is told that it is no member: a client that is still there joins again. */
static void member_drop(struct step *s, u32 index)
{
    struct member *m = &s->g->members[index];
    reply_add(s, GROUP_JOIN, m->join_ticket, KERR_UNKNOWN_MEMBER_ID);
    reply_add(s, GROUP_SYNC, m->sync_ticket, KERR_UNKNOWN_MEMBER_ID);
    m->join_ticket = 0;
    m->sync_ticket = 0;
    member_remove(s, index);
}

static void complete_if_all_joined(struct step *s)
{
    if (s->g->state == GROUP_PREPARING_REBALANCE && group_all_joined(s->g)) {
        group_complete_join(s);
    }
}

static void member_drop_and_update(struct step *s, u32 index)
{
    struct group *g = s->g;
    member_drop(s, index);
    if (g->state == GROUP_STABLE || g->state == GROUP_COMPLETING_REBALANCE) {
        group_prepare_rebalance(s);
    } else {
        complete_if_all_joined(s);
    }
}

static i16 leave_one(struct step *s, const struct group_leaver *leaver)
{
    struct group *g = s->g;
    if (leaver->member_id.len == 0) { /* an administrator removes a static member */
        i32 owner =
            leaver->instance_id.ptr == NULL ? -1 : member_by_instance(g, leaver->instance_id);
        if (owner < 0) {
            return KERR_UNKNOWN_MEMBER_ID;
        }
        member_drop(s, (u32)owner);
        return KERR_NONE;
    }
    i32 pending = pending_find(g, leaver->member_id);
    if (pending >= 0) {
        pending_remove(s, (u32)pending);
        return KERR_NONE;
    }
    i16 kerr = member_check(g, leaver->member_id, leaver->instance_id);
    if (kerr == KERR_NONE) {
        member_drop(s, (u32)member_find(g, leaver->member_id));
    }
    return kerr;
}

void group_leave(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    if (g->state == GROUP_DEAD) {
        reply(s, KERR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    i16 *kerrs = arena_array(s->arena, MAX(ev->leave.leaver_count, 1u), sizeof(*kerrs));
    if (kerrs == NULL) {
        s->exhausted = true;
        return;
    }
    bool any = false;
    for (u32 i = 0; i < ev->leave.leaver_count; i++) {
        kerrs[i] = leave_one(s, &ev->leave.leavers[i]);
        any = any || kerrs[i] == KERR_NONE;
    }
    if (any && g->state != GROUP_EMPTY) {
        group_prepare_or_complete(s);
    }
    struct group_reply *r = reply(s, KERR_NONE);
    r->member_count = ev->leave.leaver_count;
    r->member_kerrs = kerrs;
}

/* ---- time passes --------------------------------------------------------------------------- */

void group_session_timeout(struct step *s, u32 index)
{
    struct member *m = &s->g->members[index];
    if (!m->is_new && (m->awaiting_join || m->awaiting_sync)) {
        m->session_deadline_ms = INT64_MAX; /* it waits for us: that is a sign of life */
        return;
    }
    if ((s->g->limits->canaries & GROUP_CANARY_KEEP_MEMBERS) != 0) {
        member_session_restart(s, m);
        return;
    }
    seen("group: a session ended");
    member_drop_and_update(s, index);
}

void group_pending_timeout(struct step *s, u32 index)
{
    pending_remove(s, index);
    complete_if_all_joined(s);
}

void group_sync_timeout(struct step *s)
{
    struct group *g = s->g;
    assert(g->state == GROUP_COMPLETING_REBALANCE || g->state == GROUP_STABLE);
    g->sync_deadline_ms = INT64_MAX;
    bool any = false;
    for (u32 i = g->member_count; i-- > 0;) {
        if (g->members[i].pending_sync) {
            member_drop(s, i);
            any = true;
        }
    }
    if (any) {
        seen("group: members never asked for their assignment");
        group_prepare_rebalance(s);
    }
}

/* A new member whose client was not told its id yet can never come back: it goes at once, so that
   it does not hold up a rebalance or lead the group. Everybody else may still return. */
void group_client_gone(struct step *s)
{
    struct group *g = s->g;
    for (u32 i = 0; i < g->member_count; i++) {
        struct member *m = &g->members[i];
        if (m->sync_ticket == s->ev->ticket) {
            m->sync_ticket = 0;
        }
        if (m->join_ticket == s->ev->ticket) {
            m->join_ticket = 0;
            if (m->id_untold) {
                member_drop_and_update(s, i);
            }
            return;
        }
    }
}
