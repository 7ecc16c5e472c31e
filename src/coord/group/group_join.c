/* JoinGroup and the join phase of a rebalance (KIP-62, 345, 394, 800, 814).

     Empty --first member--> PreparingRebalance --all there, or time is up--> CompletingRebalance
       ^                      ^        |                                            |
       |                      |        '--nobody left--> Empty                      | the leader's
       '---(group_sync.c)     '---- a member comes, goes, changes ---- Stable <-----' SyncGroup

   A join is answered when its phase ends; until then its ticket waits in the member. The first
   phase of a group waits for more members: the initial delay, prolonged by everyone who comes, at
   most for the rebalance timeout. Other phases end when everybody has joined again, or at the
   rebalance timeout without those dynamic members that have not. */
#include "coord/group/group_private.h"

/* ---- answers ------------------------------------------------------------------------------- */

static struct group_reply *join_refuse(struct step *s, i16 kerr, struct slice member_id)
{
    struct group_reply *r = reply(s, kerr);
    r->member_id = or_empty(say(s, member_id));
    return r;
}

static void list_members(struct step *s, struct group_reply *r)
{
    const struct group *g = s->g;
    struct group_reply_member *list =
        s->exhausted ? NULL : arena_array(s->arena, g->member_count, sizeof(*list));
    if (list == NULL) {
        s->exhausted = true;
        return;
    }
    for (u32 i = 0; i < g->member_count; i++) {
        const struct member *m = &g->members[i];
        list[i].member_id = say(s, m->id);
        list[i].instance_id = say(s, m->instance_id);
        list[i].metadata = say(s, member_metadata(g, m));
    }
    r->members = list;
    r->member_count = g->member_count;
}

/* The current generation. The leader alone sees who is in it, unless it is not to assign. */
static void join_answer(struct step *s, u64 ticket, u32 index, bool with_members)
{
    const struct group *g = s->g;
    assert(g->leader >= 0);
    if (ticket == 0) {
        return;
    }
    struct group_reply *r = reply_add(s, GROUP_JOIN, ticket, KERR_NONE);
    r->generation = g->generation;
    r->protocol_type = say(s, block_slice(g->protocol_type));
    r->protocol_name = say(s, block_slice(g->protocol_name));
    r->member_id = say(s, g->members[index].id);
    r->leader_id = say(s, g->members[g->leader].id);
    if (with_members && g->leader == (i32)index) {
        list_members(s, r);
    }
}

/* ---- phases -------------------------------------------------------------------------------- */

static const bool allowed[GROUP_DEAD + 1][GROUP_DEAD + 1] = {
    [GROUP_EMPTY] = {[GROUP_PREPARING_REBALANCE] = true, [GROUP_DEAD] = true},
    [GROUP_PREPARING_REBALANCE] = {[GROUP_COMPLETING_REBALANCE] = true, [GROUP_EMPTY] = true},
    [GROUP_COMPLETING_REBALANCE] = {[GROUP_STABLE] = true, [GROUP_PREPARING_REBALANCE] = true},
    [GROUP_STABLE] = {[GROUP_PREPARING_REBALANCE] = true},
};

void group_set_state(struct step *s, enum group_state state)
{
    struct group *g = s->g;
    assert(allowed[g->state][state]);
    g->initial = state == GROUP_PREPARING_REBALANCE && g->state == GROUP_EMPTY;
    g->state = state;
    g->state_wall_ms = s->wall_ms;
}

bool group_all_joined(const struct group *g)
{
    if (g->pending_count > 0) {
        return false;
    }
    for (u32 i = 0; i < g->member_count; i++) {
        if (!g->members[i].awaiting_join) {
            return false;
        }
    }
    return true;
}

static void wait_for_members(struct step *s)
{
    s->g->join_deadline_ms = s->now_ms + MAX(group_rebalance_timeout(s->g), 1);
}

void group_prepare_rebalance(struct step *s)
{
    struct group *g = s->g;
    if (g->state == GROUP_COMPLETING_REBALANCE) {
        group_sync_fail_all(s, KERR_REBALANCE_IN_PROGRESS);
    }
    for (u32 i = 0; i < g->member_count; i++) {
        g->members[i].pending_sync = false;
    }
    g->sync_deadline_ms = INT64_MAX;
    group_set_state(s, GROUP_PREPARING_REBALANCE);
    if (!g->initial) {
        if (group_all_joined(g)) {
            group_complete_join(s);
        } else {
            wait_for_members(s);
        }
        return;
    }
    g->new_member_added = false;
    g->initial_delay_ms = MAX(g->limits->initial_rebalance_delay_ms, 0);
    g->initial_remaining_ms = MAX(group_rebalance_timeout(g) - g->initial_delay_ms, 0);
    if (g->initial_delay_ms == 0) {
        group_complete_join(s);
    } else {
        g->join_deadline_ms = s->now_ms + g->initial_delay_ms;
    }
}

void group_maybe_complete(struct step *s)
{
    struct group *g = s->g;
    if (g->state == GROUP_PREPARING_REBALANCE && !g->initial && group_all_joined(g)) {
        group_complete_join(s);
    }
}

void group_prepare_or_complete(struct step *s)
{
    if (s->g->state == GROUP_PREPARING_REBALANCE) {
        group_maybe_complete(s);
    } else {
        group_prepare_rebalance(s);
    }
}

void group_join_timeout(struct step *s)
{
    struct group *g = s->g;
    assert(g->state == GROUP_PREPARING_REBALANCE);
    if (!g->initial || !g->new_member_added || g->initial_remaining_ms == 0) {
        group_complete_join(s);
        return;
    }
    g->new_member_added = false;
    i64 passed_ms = g->initial_delay_ms;
    g->initial_delay_ms = MIN(g->limits->initial_rebalance_delay_ms, g->initial_remaining_ms);
    g->initial_remaining_ms = MAX(g->initial_remaining_ms - passed_ms, 0);
    g->join_deadline_ms = s->now_ms + MAX(g->initial_delay_ms, 1);
}

/* A leader that has not joined again makes way for the first member that has. */
static bool elect_leader(struct group *g)
{
    if (g->leader < 0) {
        return false;
    }
    if (g->members[g->leader].awaiting_join) {
        return true;
    }
    for (u32 i = 0; i < g->member_count; i++) {
        if (g->members[i].awaiting_join) {
            g->leader = (i32)i;
            return true;
        }
    }
    return false;
}

static void become_empty(struct step *s)
{
    struct group *g = s->g;
    group_set_text(s, &g->protocol_name, (struct slice){0});
    group_set_state(s, GROUP_EMPTY);
    record_group(s);
    group_expiry_schedule(g, s->now_ms, s->wall_ms);
}

void group_complete_join(struct step *s)
{
    struct group *g = s->g;
    assert(g->state == GROUP_PREPARING_REBALANCE);
    g->join_deadline_ms = INT64_MAX;
    for (u32 i = g->member_count; i-- > 0;) {
        if (!g->members[i].awaiting_join && g->members[i].instance_id.ptr == NULL) {
            member_remove(s, i);
        }
    }
    if (!elect_leader(g) && g->member_count > 0) {
        /* Static members that stay away: their sessions end this, or one of them comes. */
        seen("group: nobody joined again");
        wait_for_members(s);
        return;
    }
    g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
    if (g->member_count == 0) {
        become_empty(s);
        return;
    }
    group_set_text(s, &g->protocol_name, group_vote(g));
    group_set_state(s, GROUP_COMPLETING_REBALANCE);
    for (u32 i = 0; i < g->member_count; i++) {
        struct member *m = &g->members[i];
        join_answer(s, m->join_ticket, i, true);
        m->join_ticket = 0;
        m->awaiting_join = false;
        m->is_new = false;
        m->id_untold = false;
        m->pending_sync = true;
        member_session_restart(s, m);
    }
    g->sync_deadline_ms = s->now_ms + MAX(group_rebalance_timeout(g), 1);
}

/* ---- a member joins ------------------------------------------------------------------------ */

/* Takes what the request says of the member, and its ticket. An older ticket is answered: its
   client has given it up. */
static void member_update(struct step *s, struct member *m)
{
    const struct group_event *ev = s->ev;
    member_set_protocols(s, m, ev->join.protocols, ev->join.protocol_count);
    m->session_timeout_ms = ev->join.session_timeout_ms;
    m->rebalance_timeout_ms = ev->join.rebalance_timeout_ms;
    if (m->join_ticket != 0) {
        struct group_reply *r =
            reply_add(s, GROUP_JOIN, m->join_ticket, KERR_REBALANCE_IN_PROGRESS);
        r->member_id = say(s, m->id);
    }
    m->join_ticket = ev->ticket;
    m->awaiting_join = true;
}

static void join_add(struct step *s, struct slice id)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    i32 pending = pending_find(g, id);
    if (g->state == GROUP_PREPARING_REBALANCE && g->initial) {
        g->new_member_added = true;
    }
    if (g->member_count == 0) {
        group_set_text(s, &g->protocol_type, ev->join.protocol_type);
    }
    struct member *m = member_add(s, id, ev->instance_id, ev->join.client_id, ev->join.client_host);
    member_update(s, m);
    m->is_new = true;
    m->id_untold = pending < 0 && ev->instance_id.ptr == NULL;
    m->session_deadline_ms = s->now_ms + NEW_MEMBER_JOIN_MS;
    if (g->leader < 0) {
        g->leader = (i32)g->member_count - 1;
    }
    if (pending >= 0) {
        pending_remove(s, (u32)pending);
    }
    group_prepare_or_complete(s);
}

/* A static member is back under its instance id: it gets a new member id, and who used the old one
   is fenced. In a stable group whose protocol stays, nothing else happens. */
static void static_return(struct step *s, u32 index)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    struct member *m = &g->members[index];
    struct slice leader_before = say(s, g->members[g->leader].id);
    seen("group: a static member returns");
    if (m->join_ticket != 0) {
        struct group_reply *r = reply_add(s, GROUP_JOIN, m->join_ticket, KERR_FENCED_INSTANCE_ID);
        r->member_id = say(s, m->id);
    }
    reply_add(s, GROUP_SYNC, m->sync_ticket, KERR_FENCED_INSTANCE_ID);
    m->join_ticket = 0;
    m->sync_ticket = 0;
    m->awaiting_sync = false;
    m->is_new = false;
    member_rename(s, m, ev->join.fresh_member_id, ev->join.client_id, ev->join.client_host);
    member_update(s, m);
    member_session_restart(s, m);
    if (g->state == GROUP_COMPLETING_REBALANCE) {
        /* The leader may have been told the old id: what it assigns would miss the new one. */
        group_prepare_rebalance(s);
        return;
    }
    if (g->state == GROUP_PREPARING_REBALANCE) {
        group_maybe_complete(s);
        return;
    }
    assert(g->state == GROUP_STABLE);
    if (!slice_eq(group_vote(g), block_slice(g->protocol_name))) {
        group_prepare_rebalance(s);
        return;
    }
    record_group(s);
    m->join_ticket = 0;
    m->awaiting_join = false;
    if (ev->ticket == 0) {
        return;
    }
    bool is_leader = g->leader == (i32)index;
    struct group_reply *r = reply(s, KERR_NONE);
    r->generation = g->generation;
    r->protocol_type = say(s, block_slice(g->protocol_type));
    r->protocol_name = say(s, block_slice(g->protocol_name));
    r->member_id = say(s, m->id);
    if (ev->version < SKIP_ASSIGNMENT_FROM) {
        /* It must not think that it leads, or it would assign anew: KIP-814 tells why. */
        r->leader_id = leader_before;
        return;
    }
    r->leader_id = say(s, g->members[g->leader].id);
    r->skip_assignment = is_leader;
    if (is_leader) {
        list_members(s, r);
    }
}

static void join_unknown(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    struct slice fresh = ev->join.fresh_member_id;
    if (!group_supports(g, ev->join.protocol_type, ev->join.protocols, ev->join.protocol_count)) {
        join_refuse(s, KERR_INCONSISTENT_GROUP_PROTOCOL, WIRE_EMPTY);
        return;
    }
    if (ev->instance_id.ptr != NULL) {
        i32 owner = member_by_instance(g, ev->instance_id);
        if (owner >= 0) {
            static_return(s, (u32)owner);
        } else {
            join_add(s, fresh);
        }
    } else if (ev->version < MEMBER_ID_FROM) {
        join_add(s, fresh);
    } else if (g->pending_count >= PENDING_MAX) {
        join_refuse(s, KERR_COORDINATOR_NOT_AVAILABLE, WIRE_EMPTY);
    } else {
        pending_add(s, fresh, s->now_ms + MAX(ev->join.session_timeout_ms, 1));
        join_refuse(s, KERR_MEMBER_ID_REQUIRED, fresh);
    }
}

static void join_again(struct step *s, u32 index)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    struct member *m = &g->members[index];
    bool unchanged = member_has_protocols(m, ev->join.protocols, ev->join.protocol_count);
    bool leads = g->leader == (i32)index;
    if (unchanged && g->state == GROUP_COMPLETING_REBALANCE) {
        join_answer(s, ev->ticket, index, true); /* the first answer was lost */
    } else if (unchanged && g->state == GROUP_STABLE && !leads) {
        join_answer(s, ev->ticket, index, false);
    } else {
        member_update(s, m);
        group_prepare_or_complete(s);
    }
}

static void join_known(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    if (!group_supports(g, ev->join.protocol_type, ev->join.protocols, ev->join.protocol_count)) {
        join_refuse(s, KERR_INCONSISTENT_GROUP_PROTOCOL, ev->member_id);
        return;
    }
    if (pending_find(g, ev->member_id) >= 0) {
        if (ev->instance_id.ptr != NULL) {
            join_refuse(s, KERR_UNKNOWN_SERVER_ERROR, ev->member_id); /* as Kafka */
        } else {
            join_add(s, ev->member_id);
        }
        return;
    }
    i16 kerr = member_check(g, ev->member_id, ev->instance_id);
    if (kerr != KERR_NONE) {
        join_refuse(s, kerr, ev->member_id);
        return;
    }
    join_again(s, (u32)member_find(g, ev->member_id));
}

/* Is there room? In a rebalance those who have joined again count, so that a group that is too
   large loses who comes last. */
static bool has_room(const struct group *g, struct slice member_id, u64 more_bytes)
{
    i32 index = member_find(g, member_id);
    if (g->members_bytes + more_bytes > MEMBERS_BYTES_MAX) {
        return false;
    }
    if (g->state == GROUP_COMPLETING_REBALANCE || g->state == GROUP_STABLE) {
        return index >= 0 || g->member_count < g->limits->size_max;
    }
    if (g->state != GROUP_PREPARING_REBALANCE) {
        return true;
    }
    u32 waiting = 0;
    for (u32 i = 0; i < g->member_count; i++) {
        waiting += g->members[i].awaiting_join;
    }
    return (index >= 0 && g->members[index].awaiting_join) || waiting < g->limits->size_max;
}

static void join_no_room(struct step *s)
{
    struct group *g = s->g;
    i32 index = member_find(g, s->ev->member_id);
    i32 pending = pending_find(g, s->ev->member_id);
    if (index >= 0) {
        struct member *m = &g->members[index];
        reply_add(s, GROUP_JOIN, m->join_ticket, KERR_GROUP_MAX_SIZE_REACHED);
        reply_add(s, GROUP_SYNC, m->sync_ticket, KERR_UNKNOWN_MEMBER_ID);
        m->join_ticket = 0;
        m->sync_ticket = 0;
        member_remove(s, (u32)index);
        if (g->state != GROUP_PREPARING_REBALANCE) {
            group_prepare_rebalance(s);
        }
    }
    if (pending >= 0) {
        pending_remove(s, (u32)pending);
    }
    join_refuse(s, KERR_GROUP_MAX_SIZE_REACHED, WIRE_EMPTY);
}

static bool texts_fit(const struct group_event *ev)
{
    const struct slice texts[] = {ev->member_id,          ev->instance_id,
                                  ev->join.client_id,     ev->join.client_host,
                                  ev->join.protocol_type, ev->join.fresh_member_id};
    for (u32 i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].len > TEXT_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

void group_join(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    bool is_new = group_is_void(g);
    if (g->state == GROUP_DEAD) {
        join_refuse(s, KERR_COORDINATOR_NOT_AVAILABLE, ev->member_id);
        return;
    }
    if (!texts_fit(ev)) {
        join_refuse(s, KERR_INVALID_REQUEST, WIRE_EMPTY);
        return;
    }
    if (ev->join.session_timeout_ms < g->limits->session_timeout_min_ms ||
        ev->join.session_timeout_ms > g->limits->session_timeout_max_ms) {
        join_refuse(s, KERR_INVALID_SESSION_TIMEOUT, ev->member_id);
        return;
    }
    bool unknown = ev->member_id.len == 0;
    if (is_new && !unknown) {
        join_refuse(s, KERR_UNKNOWN_MEMBER_ID, ev->member_id);
        return;
    }
    if (is_new) {
        g->state_wall_ms = s->wall_ms;
    }
    struct slice id = unknown ? ev->join.fresh_member_id : ev->member_id;
    if (!has_room(g, ev->member_id, member_bytes_of(ev, id))) {
        join_no_room(s);
    } else if (unknown) {
        join_unknown(s);
    } else {
        join_known(s);
    }
    if (is_new && s->out->record_count == 0) {
        record_empty_group(s); /* it is there from now on, also after a restart */
        group_expiry_schedule(g, s->now_ms, s->wall_ms);
    }
}
