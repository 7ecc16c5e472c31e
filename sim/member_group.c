/* A member's place in its group: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup. */
#include "sim/member_private.h"

#include <stdio.h>
#include <string.h>

/* ---- FindCoordinator ------------------------------------------------------------------------- */

static void find_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct find_coordinator_response r;
    if (member_answered(m, result, body, &r)) {
        bool batched = call->version >= 4;
        i16 kerr = !batched                    ? r.error_code
                   : r.coordinators.count == 1 ? r.coordinators.items[0].error_code
                                               : KERR_UNKNOWN_SERVER_ERROR;
        if (kerr == KERR_NONE) {
            member_enter(m, m->state == MEMBER_FIND ? MEMBER_JOIN : m->state);
        } else {
            member_refused(m, kerr);
        }
    }
    arena_reset(&m->arena);
}

void member_ask_find(struct member *m)
{
    struct find_coordinator_request r;
    struct slice key = slice_cstr(member_ledger(m)->name);
    i16 v = (i16)chance_between(m->world, 0, 6);
    wire_init(find_coordinator_request_def.body, &r);
    if (v >= 4) {
        r.coordinator_keys.items = &key;
        r.coordinator_keys.count = 1;
    } else {
        r.key = key;
    }
    member_ask(m, API_find_coordinator, v, &r, find_done);
}

/* ---- JoinGroup ------------------------------------------------------------------------------- */

/* A message of the consumer protocol: its version, then its fields. */
static struct slice protocol_bytes(struct member *m, const struct message_def *def, i16 v,
                                   const void *message)
{
    size_t bytes = 2 + wire_size(def, v, message, NULL, NULL);
    u8 *at = arena_alloc(&m->arena, bytes);
    assert(at != NULL);
    at[0] = 0;
    at[1] = (u8)v;
    struct writer w = writer_of(at + 2, bytes - 2);
    err_t e = wire_encode(def, v, message, &w, NULL);
    assert(e == OK);
    (void)e;
    return slice_of(at, bytes);
}

static void id_take(struct member *m, struct slice id)
{
    assert(id.len < sizeof m->id);
    memcpy(m->id, id.ptr, id.len);
    m->id[id.len] = 0;
}

/* The crew's partitions of the topics that a subscription names. */
static u32 subscription_read(struct member *m, struct slice metadata)
{
    struct consumer_protocol_subscription s;
    i16 v = metadata.len < 2 ? 0 : (i16)load_be16(metadata.ptr);
    err_t e = metadata.len < 2
                  ? ERR_TRUNCATED
                  : wire_decode(&consumer_protocol_subscription_def, v,
                                slice_of(metadata.ptr + 2, metadata.len - 2), &m->arena, &s, NULL);
    if (e != OK) {
        world_fail(m->world, "a leader learns what members want", "%s: a subscription: %s",
                   member_ledger(m)->name, err_name(e));
        return 0;
    }
    u32 set = 0;
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        for (u32 k = 0; k < s.topics.count; k++) {
            bool named =
                slice_eq_cstr(s.topics.items[k], member_ledger(m)->partitions[i].at->topic->name);
            set |= named ? 1u << i : 0;
        }
    }
    return set;
}

/* Every partition to one of those that want it, from another one on in every generation. */
static void shares_deal(struct member *m)
{
    u32 at = (u32)chance_between(m->world, 0, SHARES_MAX - 1);
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        for (u32 k = 0; k < m->share_count; k++) {
            struct share *s = &m->shares[(at + k) % m->share_count];
            if ((s->wants & (1u << i)) != 0) {
                s->gets |= 1u << i;
                at += k + 1;
                break;
            }
        }
    }
}

static void joined(struct member *m, const struct join_group_response *r)
{
    id_take(m, r->member_id);
    m->generation = r->generation_id;
    (void)snprintf(m->protocol, sizeof m->protocol, "%.*s", (int)r->protocol_name.len,
                   (const char *)r->protocol_name.ptr);
    m->leads = slice_eq_cstr(r->leader, m->id) && !r->skip_assignment;
    m->share_count = 0;
    ledger_group_joined(member_ledger(m), &m->asked, r->generation_id, member_owner_name(m));
    world_say(m->world, "%-6s is %s in generation %d of %s%s", m->coord.name, m->id, m->generation,
              member_ledger(m)->name, m->leads ? ", leads" : "");
    if (m->leads && r->members.count == 0) {
        world_fail(m->world, "a leader learns what members want", "%s generation %d: no members",
                   member_ledger(m)->name, m->generation);
    }
    for (u32 i = 0; m->leads && i < r->members.count && m->share_count < SHARES_MAX; i++) {
        struct share *s = &m->shares[m->share_count++];
        struct slice id = r->members.items[i].member_id;
        assert(id.len < sizeof s->id);
        *s = (struct share){.wants = subscription_read(m, r->members.items[i].metadata)};
        memcpy(s->id, id.ptr, id.len);
    }
    if (m->share_count > 0) {
        shares_deal(m);
    }
    member_enter(m, MEMBER_SYNC);
}

static void join_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct join_group_response r;
    if (member_answered(m, result, body, &r)) {
        if (r.error_code == KERR_NONE) {
            joined(m, &r);
        } else if (r.error_code == KERR_MEMBER_ID_REQUIRED && m->id[0] == 0 &&
                   !member_is_static(m)) {
            id_take(m, r.member_id);
            member_step_soon(m, 2 * SIM_MS);
        } else {
            member_refused(m, r.error_code);
        }
    }
    arena_reset(&m->arena);
}

void member_ask_join(struct member *m)
{
    struct slice topics[TOPICS_MAX];
    struct consumer_protocol_subscription s;
    wire_init(consumer_protocol_subscription_def.body, &s);
    s.topics.items = topics;
    const struct ledger_topic *last = NULL;
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        const struct ledger_topic *t = member_ledger(m)->partitions[i].at->topic;
        if ((m->wants & (1u << i)) != 0 && t != last) {
            topics[s.topics.count++] = slice_cstr(t->name);
            last = t;
        }
    }
    struct slice metadata = protocol_bytes(m, &consumer_protocol_subscription_def, 0, &s);
    struct join_group_request_protocol protocols[] = {
        {.name = slice_cstr(m->number % 2 == 0 ? "range" : "roundrobin"), .metadata = metadata},
        {.name = slice_cstr(m->number % 2 == 0 ? "roundrobin" : "range"), .metadata = metadata},
    };
    struct join_group_request r;
    wire_init(join_group_request_def.body, &r);
    r.group_id = slice_cstr(member_ledger(m)->name);
    r.session_timeout_ms = (i32)m->crew->session_timeout_ms;
    r.rebalance_timeout_ms = (i32)m->crew->rebalance_timeout_ms;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = member_instance(m);
    r.protocol_type = slice_cstr("consumer");
    r.protocols.items = protocols;
    r.protocols.count = ARRAY_LEN(protocols);
    member_ask(m, API_join_group, member_version(m, 0, 5, 9), &r, join_done);
}

/* ---- SyncGroup ------------------------------------------------------------------------------- */

static void synced(struct member *m, struct slice assignment)
{
    m->owned = crew_assignment_read(m->crew, &m->arena, assignment);
    m->round++;
    m->good_ns = 0; /* a repeated SyncGroup is no sign of life */
    m->since_ns = m->world->now_ns;
    u32 list[GROUP_PARTITIONS_MAX];
    u32 count = 0;
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        if ((m->owned & (1u << i)) != 0) {
            list[count++] = i;
        }
    }
    world_say(m->world, "%-6s has %u partitions (%x) in generation %d of %s", m->coord.name, count,
              m->owned, m->generation, member_ledger(m)->name);
    ledger_group_assigned(member_ledger(m), &m->asked, m->generation, member_owner_name(m), list,
                          count);
    member_enter(m, MEMBER_OFFSETS);
}

static void sync_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct sync_group_response r;
    if (member_answered(m, result, body, &r)) {
        if (r.error_code == KERR_NONE) {
            synced(m, r.assignment);
        } else {
            member_refused(m, r.error_code);
        }
    }
    arena_reset(&m->arena);
}

static struct slice share_bytes(struct member *m, u32 set)
{
    struct consumer_protocol_assignment a;
    wire_init(consumer_protocol_assignment_def.body, &a);
    u32 count = member_ledger(m)->partition_count;
    a.assigned_partitions.items =
        wire_new(&consumer_protocol_assignment_topic_partition_struct, &m->arena, count);
    for (u32 i = 0; i < count; i++) {
        if ((set & (1u << i)) == 0) {
            continue;
        }
        struct consumer_protocol_assignment_topic_partition *row =
            &a.assigned_partitions.items[a.assigned_partitions.count++];
        row->topic = slice_cstr(member_ledger(m)->partitions[i].at->topic->name);
        row->partitions.items = &member_ledger(m)->partitions[i].at->index;
        row->partitions.count = 1;
    }
    return protocol_bytes(m, &consumer_protocol_assignment_def, 0, &a);
}

void member_ask_sync(struct member *m)
{
    struct sync_group_request r;
    wire_init(sync_group_request_def.body, &r);
    r.group_id = slice_cstr(member_ledger(m)->name);
    r.generation_id = m->generation;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = member_instance(m);
    r.protocol_type = slice_cstr("consumer");
    r.protocol_name = slice_cstr(m->protocol);
    r.assignments.items =
        wire_new(&sync_group_request_assignment_struct, &m->arena, m->share_count);
    r.assignments.count = m->share_count;
    for (u32 i = 0; i < m->share_count; i++) {
        r.assignments.items[i].member_id = slice_cstr(m->shares[i].id);
        r.assignments.items[i].assignment = share_bytes(m, m->shares[i].gets);
    }
    member_ask(m, API_sync_group, member_version(m, 0, 3, 5), &r, sync_done);
}

/* ---- Heartbeat, LeaveGroup ------------------------------------------------------------------- */

static void heartbeat_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct heartbeat_response r;
    if (member_answered(m, result, body, &r)) {
        if (r.error_code == KERR_NONE) {
            /* While it loads a coordinator says so to everybody. */
            m->good_ns = m->wl->groups_loaded ? call->sent_ns : m->good_ns;
            member_step_soon(m, member_session_ns(m) / 4);
        } else {
            member_refused(m, r.error_code);
        }
    }
    arena_reset(&m->arena);
}

void member_ask_heartbeat(struct member *m)
{
    struct heartbeat_request r;
    wire_init(heartbeat_request_def.body, &r);
    r.group_id = slice_cstr(member_ledger(m)->name);
    r.generation_id = m->generation;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = member_instance(m);
    member_ask(m, API_heartbeat, member_version(m, 0, 3, 4), &r, heartbeat_done);
}

static void leave_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct leave_group_response r;
    if (member_answered(m, result, body, &r)) {
        i16 own = r.members.count == 1 ? r.members.items[0].error_code : r.error_code;
        i16 kerr = r.error_code != KERR_NONE ? r.error_code : own;
        bool fits = kerr == KERR_NONE || kerr == KERR_UNKNOWN_MEMBER_ID ||
                    kerr == KERR_FENCED_INSTANCE_ID || kerr == KERR_GROUP_ID_NOT_FOUND ||
                    kerr == KERR_COORDINATOR_LOAD_IN_PROGRESS ||
                    kerr == KERR_COORDINATOR_NOT_AVAILABLE;
        if (!fits) {
            world_fail(m->world, "errors make sense", "LeaveGroup: %s", kerr_name(kerr));
        }
    }
    arena_reset(&m->arena);
    if (m->state == MEMBER_LEAVE) {
        member_crash(m, member_session_ns(m)); /* it said good-bye, if it was heard */
    }
}

void member_ask_leave(struct member *m)
{
    struct leave_group_request r;
    struct leave_group_request_member_identity me;
    wire_init(leave_group_request_def.body, &r);
    wire_init(&leave_group_request_member_identity_struct, &me);
    r.group_id = slice_cstr(member_ledger(m)->name);
    i16 v = member_version(m, 0, 3, 5);
    if (v >= 3) {
        me.member_id = slice_cstr(m->id);
        me.group_instance_id = member_instance(m);
        r.members.items = &me;
        r.members.count = 1;
    } else {
        r.member_id = slice_cstr(m->id);
    }
    member_ask(m, API_leave_group, v, &r, leave_done);
}
