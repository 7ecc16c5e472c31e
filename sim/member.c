/* A member of a consumer group (crew.h): two connections, one to the coordinator and one for
   records, as real clients have them.

     FIND -> JOIN -> SYNC -> OFFSETS -> RUN: fetch, process, commit, heartbeat
              ^                          |
              '--- a rebalance, or the place is lost

   Accidents: LEAVE says good-bye; a crash does not (the connections die, a new process begins later
   under another member id, a static one under the same instance id); a sleeper says nothing and
   hears nothing, and when it wakes it commits first, as its old generation. And some have a last
   commit for what they owned before when they are in the next generation already. */
#include "sim/crew.h"

#include <stdio.h>
#include <string.h>

enum member_state {
    MEMBER_AWAY, /* no process */
    MEMBER_FIND,
    MEMBER_JOIN,
    MEMBER_SYNC,
    MEMBER_OFFSETS,
    MEMBER_RUN,
    MEMBER_LEAVE,
};

enum { SHARES_MAX = 64, RETRY_NS = 20 * 1000 * 1000 };

struct position {
    u64 next;
    i64 committed;
    i64 floor; /* of the ledger when offsets were asked for */
    u32 epoch;
    u32 commit; /* under way: its number */
};

/* What the leader gives to a member. */
struct share {
    char id[GROUP_WHO_BYTES];
    u32 wants; /* sets of the crew's partitions */
    u32 gets;
};

struct member {
    struct crew *crew;
    struct workload *wl;
    struct world *world;
    u32 number;
    char instance[24]; /* "": dynamic */
    u32 wants;         /* a set of the crew's partitions */
    enum member_state state;
    bool quiet;
    bool doomed; /* crashed for good */
    bool asleep;
    bool woken;       /* commits first */
    bool rejoin;      /* once it has committed */
    bool never_again; /* the run's last part: says nothing */
    u64 asleep_since_ns;
    char id[GROUP_WHO_BYTES];
    i32 generation;
    char protocol[16];
    bool leads;
    u32 share_count;
    struct share shares[SHARES_MAX];
    u32 owned;
    u32 late; /* what it owned before, and has not committed for the last time */
    i32 late_generation;
    u32 round; /* counts assignments: answers to questions of an older one are late */
    struct position positions[GROUP_PARTITIONS_MAX];
    u64 good_ns;  /* the newest request that showed that it is a member was sent then */
    u64 since_ns; /* in this generation */
    struct client coord;
    struct call coord_call;
    bool coord_waiting;
    struct ledger_question asked;
    u32 committing; /* a set of partitions */
    struct client data;
    struct call data_call;
    bool data_waiting;
    u32 data_round;
    i16 fetch_version;
    struct world_event step;
    struct world_event fetch;
    struct world_event wake; /* from sleep, or a new process */
    struct arena arena;
};

static void step_soon(struct member *m, u64 about_ns)
{
    world_start(m->world, &m->step, chance_between(m->world, about_ns / 4, about_ns));
}

static void fetch_soon(struct member *m, u64 about_ns)
{
    world_start(m->world, &m->fetch, chance_between(m->world, about_ns / 4, about_ns));
}

static u64 session_ns(const struct member *m)
{
    return m->crew->session_timeout_ms * SIM_MS;
}

static struct ledger_group *ledger(const struct member *m)
{
    return &m->crew->ledger;
}

static bool is_static(const struct member *m)
{
    return m->instance[0] != 0;
}

static struct slice instance_of(const struct member *m)
{
    return is_static(m) ? slice_cstr(m->instance) : (struct slice){0};
}

/* The owner of partitions: who comes back under an instance id keeps them. */
static const char *owner_name(const struct member *m)
{
    return is_static(m) ? m->instance : m->id;
}

static i16 version(struct member *m, i16 low, i16 from_static, i16 high)
{
    return (i16)chance_between(m->world, (u64)(is_static(m) ? from_static : low), (u64)high);
}

static void ask(struct member *m, i16 api, i16 v, const void *request,
                void (*done)(struct call *call, err_t result, struct slice body))
{
    m->coord_waiting = true;
    m->asked = ledger_group_ask(ledger(m));
    client_send(&m->coord, &m->coord_call, api, v, request, done);
    arena_reset(&m->arena);
}

/* The answer decoded; false: there is none. */
static bool answered(struct member *m, err_t result, struct slice body, void *out)
{
    m->coord_waiting = false;
    if (result != OK) {
        return false;
    }
    const struct call *call = &m->coord_call;
    err_t e = wire_decode(call->api->response, call->version, body, &m->arena, out, NULL);
    if (e != OK) {
        world_fail(m->world, "answers can be read", "%s v%d: %s", call->api->kafka_name,
                   call->version, err_name(e));
    }
    return e == OK;
}

static void state_enter(struct member *m, enum member_state state)
{
    if (state == MEMBER_JOIN || state == MEMBER_AWAY) {
        bool late = state == MEMBER_JOIN && m->state == MEMBER_RUN && !m->quiet;
        m->late = late && chance(m->world, 1, 3) ? m->owned : 0;
        m->late_generation = m->generation;
        m->owned = 0;
        m->round++;
        m->woken = false;
        m->rejoin = false;
    }
    m->state = state;
    step_soon(m, 2 * SIM_MS);
}

static void crash(struct member *m, u64 away_ns);

/* A sign of life keeps a member for so long; the coordinator counts whole milliseconds. */
static u64 surely_keeps_ns(const struct member *m)
{
    return (MIN(m->crew->session_timeout_ms, m->crew->rebalance_timeout_ms) - 1) * SIM_MS;
}

static void place_lost(struct member *m)
{
    bool deleted = m->asked.incarnation != ledger(m)->incarnation;
    u64 keeps_ns = surely_keeps_ns(m);
    if (m->state == MEMBER_RUN && m->world->now_ns < m->good_ns + keeps_ns && !deleted &&
        !ledger_group_in_doubt(ledger(m))) {
        world_fail(m->world, "a live member keeps its place",
                   "%s: %s (%s) is unknown %llu ms after it was a member, its session is of %u ms",
                   ledger(m)->name, m->coord.name, m->id,
                   (unsigned long long)((m->world->now_ns - m->good_ns) / SIM_MS),
                   m->crew->session_timeout_ms);
    }
    m->crew->evictions++;
    m->id[0] = 0;
    state_enter(m, MEMBER_JOIN);
}

/* What a member does about an error of the group's. */
static void refused(struct member *m, i16 kerr)
{
    world_say(m->world, "%-6s %s: %s", m->coord.name, m->coord_call.api->kafka_name,
              kerr_name(kerr));
    switch (kerr) {
    case KERR_REBALANCE_IN_PROGRESS:
        if (m->state == MEMBER_RUN && !m->rejoin && chance(m->world, 1, 2)) {
            m->rejoin = true; /* commits before */
            step_soon(m, 2 * SIM_MS);
        } else {
            state_enter(m, MEMBER_JOIN);
        }
        break;
    case KERR_ILLEGAL_GENERATION:
        state_enter(m, MEMBER_JOIN);
        break;
    case KERR_UNKNOWN_MEMBER_ID:
    case KERR_GROUP_ID_NOT_FOUND:
        place_lost(m);
        break;
    case KERR_FENCED_INSTANCE_ID:
        /* A join of the same instance that was given up arrived after the one that was answered:
           for a client this is the end, and somebody starts it again. */
        crash(m, session_ns(m));
        break;
    case KERR_COORDINATOR_LOAD_IN_PROGRESS:
    case KERR_COORDINATOR_NOT_AVAILABLE:
        m->wl->storage_errors += kerr == KERR_COORDINATOR_NOT_AVAILABLE;
        step_soon(m, RETRY_NS);
        break;
    default:
        world_fail(m->world, "errors make sense", "%s: %s to %s", m->coord_call.api->kafka_name,
                   kerr_name(kerr), m->coord.name);
    }
}

/* ---- FindCoordinator ------------------------------------------------------------------------- */

static void find_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct find_coordinator_response r;
    if (answered(m, result, body, &r)) {
        bool batched = call->version >= 4;
        i16 kerr = !batched                    ? r.error_code
                   : r.coordinators.count == 1 ? r.coordinators.items[0].error_code
                                               : KERR_UNKNOWN_SERVER_ERROR;
        if (kerr == KERR_NONE) {
            state_enter(m, m->state == MEMBER_FIND ? MEMBER_JOIN : m->state);
        } else {
            refused(m, kerr);
        }
    }
    arena_reset(&m->arena);
}

static void find_ask(struct member *m)
{
    struct find_coordinator_request r;
    struct slice key = slice_cstr(ledger(m)->name);
    i16 v = (i16)chance_between(m->world, 0, 6);
    wire_init(find_coordinator_request_def.body, &r);
    if (v >= 4) {
        r.coordinator_keys.items = &key;
        r.coordinator_keys.count = 1;
    } else {
        r.key = key;
    }
    ask(m, API_find_coordinator, v, &r, find_done);
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
                   ledger(m)->name, err_name(e));
        return 0;
    }
    u32 set = 0;
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
        for (u32 k = 0; k < s.topics.count; k++) {
            bool named = slice_eq_cstr(s.topics.items[k], ledger(m)->partitions[i].at->topic->name);
            set |= named ? 1u << i : 0;
        }
    }
    return set;
}

/* Every partition to one of those that want it, from another one on in every generation. */
static void shares_deal(struct member *m)
{
    u32 at = (u32)chance_between(m->world, 0, SHARES_MAX - 1);
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
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
    ledger_group_joined(ledger(m), &m->asked, r->generation_id, owner_name(m));
    world_say(m->world, "%-6s is %s in generation %d of %s%s", m->coord.name, m->id, m->generation,
              ledger(m)->name, m->leads ? ", leads" : "");
    if (m->leads && r->members.count == 0) {
        world_fail(m->world, "a leader learns what members want", "%s generation %d: no members",
                   ledger(m)->name, m->generation);
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
    state_enter(m, MEMBER_SYNC);
}

static void join_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct join_group_response r;
    if (answered(m, result, body, &r)) {
        if (r.error_code == KERR_NONE) {
            joined(m, &r);
        } else if (r.error_code == KERR_MEMBER_ID_REQUIRED && m->id[0] == 0 && !is_static(m)) {
            id_take(m, r.member_id);
            step_soon(m, 2 * SIM_MS);
        } else {
            refused(m, r.error_code);
        }
    }
    arena_reset(&m->arena);
}

static void join_ask(struct member *m)
{
    struct slice topics[TOPICS_MAX];
    struct consumer_protocol_subscription s;
    wire_init(consumer_protocol_subscription_def.body, &s);
    s.topics.items = topics;
    const struct ledger_topic *last = NULL;
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
        const struct ledger_topic *t = ledger(m)->partitions[i].at->topic;
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
    r.group_id = slice_cstr(ledger(m)->name);
    r.session_timeout_ms = (i32)m->crew->session_timeout_ms;
    r.rebalance_timeout_ms = (i32)m->crew->rebalance_timeout_ms;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = instance_of(m);
    r.protocol_type = slice_cstr("consumer");
    r.protocols.items = protocols;
    r.protocols.count = ARRAY_LEN(protocols);
    ask(m, API_join_group, version(m, 0, 5, 9), &r, join_done);
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
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
        if ((m->owned & (1u << i)) != 0) {
            list[count++] = i;
        }
    }
    world_say(m->world, "%-6s has %u partitions (%x) in generation %d of %s", m->coord.name, count,
              m->owned, m->generation, ledger(m)->name);
    ledger_group_assigned(ledger(m), &m->asked, m->generation, owner_name(m), list, count);
    state_enter(m, MEMBER_OFFSETS);
}

static void sync_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct sync_group_response r;
    if (answered(m, result, body, &r)) {
        if (r.error_code == KERR_NONE) {
            synced(m, r.assignment);
        } else {
            refused(m, r.error_code);
        }
    }
    arena_reset(&m->arena);
}

static struct slice share_bytes(struct member *m, u32 set)
{
    struct consumer_protocol_assignment a;
    wire_init(consumer_protocol_assignment_def.body, &a);
    u32 count = ledger(m)->partition_count;
    a.assigned_partitions.items =
        wire_new(&consumer_protocol_assignment_topic_partition_struct, &m->arena, count);
    for (u32 i = 0; i < count; i++) {
        if ((set & (1u << i)) == 0) {
            continue;
        }
        struct consumer_protocol_assignment_topic_partition *row =
            &a.assigned_partitions.items[a.assigned_partitions.count++];
        row->topic = slice_cstr(ledger(m)->partitions[i].at->topic->name);
        row->partitions.items = &ledger(m)->partitions[i].at->index;
        row->partitions.count = 1;
    }
    return protocol_bytes(m, &consumer_protocol_assignment_def, 0, &a);
}

static void sync_ask(struct member *m)
{
    struct sync_group_request r;
    wire_init(sync_group_request_def.body, &r);
    r.group_id = slice_cstr(ledger(m)->name);
    r.generation_id = m->generation;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = instance_of(m);
    r.protocol_type = slice_cstr("consumer");
    r.protocol_name = slice_cstr(m->protocol);
    r.assignments.items =
        wire_new(&sync_group_request_assignment_struct, &m->arena, m->share_count);
    r.assignments.count = m->share_count;
    for (u32 i = 0; i < m->share_count; i++) {
        r.assignments.items[i].member_id = slice_cstr(m->shares[i].id);
        r.assignments.items[i].assignment = share_bytes(m, m->shares[i].gets);
    }
    ask(m, API_sync_group, version(m, 0, 3, 5), &r, sync_done);
}

/* ---- OffsetFetch ----------------------------------------------------------------------------- */

static void offset_told(void *user, const struct ledger_topic *t, i32 partition, i64 offset,
                        struct slice metadata, i16 kerr)
{
    struct member *m = user;
    i32 at = t == NULL ? -1 : ledger_group_find(ledger(m), t, partition);
    if (at < 0 || kerr != KERR_NONE) {
        world_fail(m->world, "answers fit their questions", "OffsetFetch: partition %d of %s: %s",
                   partition, t == NULL ? "no topic" : t->name, kerr_name(kerr));
        return;
    }
    struct position *p = &m->positions[at];
    ledger_group_told(ledger(m), (u32)at, p->floor, p->epoch, offset, metadata, m->coord.name);
    world_say(m->world, "%-6s begins %s-%d at %lld", m->coord.name, t->name, partition,
              (long long)offset);
    p->committed = offset;
    p->next = offset < 0 ? 0 : (u64)offset;
}

static void offsets_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct offset_fetch_response r;
    if (answered(m, result, body, &r)) {
        i16 kerr = offsets_response_error(&r, call->version);
        if (kerr == KERR_NONE) {
            offsets_response_each(m->wl, &r, offset_told, m);
            /* Of no partitions version 1 says nothing, not even that it is loading. */
            bool now = m->asked.life == ledger(m)->life && m->owned != 0;
            m->wl->groups_loaded = m->wl->groups_loaded || now;
            state_enter(m, MEMBER_RUN);
            fetch_soon(m, 2 * SIM_MS);
        } else {
            refused(m, kerr);
        }
    }
    arena_reset(&m->arena);
}

static void offsets_ask(struct member *m)
{
    struct ledger_partition *asked[GROUP_PARTITIONS_MAX];
    u32 count = 0;
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
        struct ledger_group_partition *p = &ledger(m)->partitions[i];
        if ((m->owned & (1u << i)) != 0) {
            m->positions[i].floor = p->floor;
            m->positions[i].epoch = p->epoch;
            asked[count++] = p->at;
        }
    }
    struct offset_fetch_request r;
    i16 v = (i16)chance_between(m->world, 1, 10);
    offsets_request_fill(&m->arena, &r, v, ledger(m)->name, asked, count);
    ask(m, API_offset_fetch, v, &r, offsets_done);
}

/* ---- OffsetCommit ---------------------------------------------------------------------------- */

static void commits_over(struct member *m, u32 set, enum commit_outcome outcome)
{
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
        if ((m->committing & set & (1u << i)) != 0) {
            ledger_group_committed(ledger(m), m->positions[i].commit, outcome);
            m->committing &= ~(1u << i);
        }
    }
}

/* The error of the group's, which is every partition's. */
static i16 commit_read(struct member *m, const struct offset_commit_response *r)
{
    i16 kerr = KERR_NONE;
    for (u32 i = 0; i < r->topics.count; i++) {
        const struct offset_commit_response_topic *topic = &r->topics.items[i];
        struct ledger_topic *t = workload_topic(m->wl, topic->name, topic->topic_id);
        for (u32 k = 0; k < topic->partitions.count; k++) {
            i32 at = t == NULL ? -1
                               : ledger_group_find(ledger(m), t,
                                                   topic->partitions.items[k].partition_index);
            if (at < 0 || (m->committing & (1u << at)) == 0) {
                world_fail(m->world, "answers fit their questions", "OffsetCommit of %s",
                           m->coord.name);
                return KERR_NONE;
            }
            kerr = topic->partitions.items[k].error_code;
            if (kerr == KERR_NONE) {
                const struct ledger_commit *c = &ledger(m)->commits[m->positions[at].commit];
                m->positions[at].committed = c->offset;
            }
            commits_over(m, 1u << at, kerr == KERR_NONE ? COMMIT_ACKED : COMMIT_REFUSED);
        }
    }
    return kerr;
}

static void commit_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct offset_commit_response r;
    if (answered(m, result, body, &r)) {
        i16 kerr = commit_read(m, &r);
        if (m->state != MEMBER_RUN) {
            step_soon(m, 2 * SIM_MS); /* that was a late one */
        } else if (kerr != KERR_NONE) {
            refused(m, kerr);
        } else if (m->rejoin) {
            state_enter(m, MEMBER_JOIN);
        } else {
            step_soon(m, session_ns(m) / 4);
        }
    }
    commits_over(m, UINT32_MAX, COMMIT_LOST);
    arena_reset(&m->arena);
}

/* When it is quiet a member goes on until the ledger has it all: an offset may have been deleted.
 */
static i64 committed_so_far(const struct member *m, u32 i)
{
    return m->quiet ? ledger(m)->partitions[i].floor : m->positions[i].committed;
}

static bool anything_to_commit(const struct member *m)
{
    for (u32 i = 0; i < ledger(m)->partition_count; i++) {
        const struct position *p = &m->positions[i];
        if ((m->owned & (1u << i)) != 0 && p->next > 0 && (i64)p->next > committed_so_far(m, i)) {
            return true;
        }
    }
    return false;
}

/* again: also what was committed before. */
static void commit_ask(struct member *m, u32 owned, i32 generation, bool again)
{
    u32 total = ledger(m)->partition_count;
    struct offset_commit_request r;
    wire_init(offset_commit_request_def.body, &r);
    r.group_id = slice_cstr(ledger(m)->name);
    r.generation_id_or_member_epoch = generation;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = instance_of(m);
    r.topics.items = wire_new(&offset_commit_request_topic_struct, &m->arena, total);
    struct offset_commit_request_partition *rows =
        wire_new(&offset_commit_request_partition_struct, &m->arena, total);
    bool evicted = m->woken && crew_surely_over(m->crew, m->asleep_since_ns, m->world->now_ns);
    for (u32 i = 0; i < total; i++) {
        struct position *p = &m->positions[i];
        bool due = p->next > 0 && (again || (i64)p->next > committed_so_far(m, i));
        if ((owned & (1u << i)) == 0 || !due) {
            continue;
        }
        char *metadata = arena_alloc(&m->arena, GROUP_METADATA_BYTES);
        const struct ledger_partition *at = ledger(m)->partitions[i].at;
        p->commit = ledger_group_commit(ledger(m), i, (i64)p->next, generation, evicted, metadata);
        m->committing |= 1u << i;
        world_say(m->world, "%-6s commits %llu of %s-%d in generation %d%s", m->coord.name,
                  (unsigned long long)p->next, at->topic->name, at->index, generation,
                  ledger(m)->commits[p->commit].stale ? ", which is over" : "");
        struct offset_commit_request_topic *topic = &r.topics.items[r.topics.count];
        struct offset_commit_request_partition *row = &rows[r.topics.count++];
        topic->name = slice_cstr(at->topic->name);
        topic->topic_id = at->topic->id;
        topic->partitions.items = row;
        topic->partitions.count = 1;
        row->partition_index = at->index;
        row->committed_offset = (i64)p->next;
        row->committed_metadata = slice_cstr(metadata);
    }
    m->woken = false;
    ask(m, API_offset_commit, version(m, 2, 7, 10), &r, commit_done);
}

/* ---- Heartbeat, LeaveGroup ------------------------------------------------------------------- */

static void heartbeat_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct heartbeat_response r;
    if (answered(m, result, body, &r)) {
        if (r.error_code == KERR_NONE) {
            /* While it loads a coordinator says so to everybody. */
            m->good_ns = m->wl->groups_loaded ? call->sent_ns : m->good_ns;
            step_soon(m, session_ns(m) / 4);
        } else {
            refused(m, r.error_code);
        }
    }
    arena_reset(&m->arena);
}

static void heartbeat_ask(struct member *m)
{
    struct heartbeat_request r;
    wire_init(heartbeat_request_def.body, &r);
    r.group_id = slice_cstr(ledger(m)->name);
    r.generation_id = m->generation;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = instance_of(m);
    ask(m, API_heartbeat, version(m, 0, 3, 4), &r, heartbeat_done);
}

static void leave_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct leave_group_response r;
    if (answered(m, result, body, &r)) {
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
        crash(m, session_ns(m)); /* it said good-bye, if it was heard */
    }
}

static void leave_ask(struct member *m)
{
    struct leave_group_request r;
    struct leave_group_request_member_identity me;
    wire_init(leave_group_request_def.body, &r);
    wire_init(&leave_group_request_member_identity_struct, &me);
    r.group_id = slice_cstr(ledger(m)->name);
    i16 v = version(m, 0, 3, 5);
    if (v >= 3) {
        me.member_id = slice_cstr(m->id);
        me.group_instance_id = instance_of(m);
        r.members.items = &me;
        r.members.count = 1;
    } else {
        r.member_id = slice_cstr(m->id);
    }
    ask(m, API_leave_group, v, &r, leave_done);
}

/* ---- records --------------------------------------------------------------------------------- */

static void partition_read(struct member *m, struct ledger_topic *t,
                           const struct fetch_response_partition_data *data)
{
    i32 at = t == NULL ? -1 : ledger_group_find(ledger(m), t, data->partition_index);
    if (at < 0) {
        world_fail(m->world, "answers fit their questions",
                   "Fetch: an answer for a partition that was not asked for");
        return;
    }
    struct ledger_partition *p = &t->partitions[data->partition_index];
    u64 next = m->positions[at].next;
    if (data->error_code == KERR_OFFSET_OUT_OF_RANGE && ledger_may_be_gone(p, next)) {
        /* On from some later offset: what is skipped counts as taken in. */
        u64 least = MAX(next, p->start);
        m->positions[at].next = chance_between(m->world, least, MAX(least, p->floor));
        ledger_group_processed(ledger(m), (u32)at, next, m->positions[at].next);
        return;
    }
    if (data->error_code != KERR_NONE) {
        if (!workload_retriable(t, data->error_code)) {
            world_fail(m->world, "what is there can be read", "%s: %s-%d offset %llu: %s",
                       ledger(m)->name, t->name, data->partition_index, (unsigned long long)next,
                       kerr_name(data->error_code));
        }
        return;
    }
    ledger_read(p, data->records.bytes, data->high_watermark, &m->positions[at].next, m->data.name);
    ledger_group_processed(ledger(m), (u32)at, next, m->positions[at].next);
}

static void fetch_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, data_call);
    m->data_waiting = false;
    if (result != OK) {
        return;
    }
    struct fetch_response r;
    err_t e = wire_decode(call->api->response, call->version, body, &m->arena, &r, NULL);
    if (e != OK || r.error_code != KERR_NONE) {
        world_fail(m->world, "answers can be read", "Fetch v%d: %s %s", call->version, err_name(e),
                   e == OK ? kerr_name(r.error_code) : "");
    } else if (m->state == MEMBER_RUN && m->data_round == m->round) {
        for (u32 i = 0; i < r.responses.count; i++) {
            const struct fetch_response_fetchable_topic *topic = &r.responses.items[i];
            struct ledger_topic *t = workload_topic(m->wl, topic->topic, topic->topic_id);
            for (u32 k = 0; k < topic->partitions.count && !m->world->failed; k++) {
                partition_read(m, t, &topic->partitions.items[k]);
            }
        }
    }
    arena_reset(&m->arena);
    fetch_soon(m, 10 * SIM_MS);
}

static void fetch_run(struct world_event *e)
{
    struct member *m = CONTAINER_OF(e, struct member, fetch);
    if (m->asleep || m->state != MEMBER_RUN || !client_up(&m->data) || m->data_waiting ||
        m->owned == 0 || m->world->failed) {
        return;
    }
    struct fetch_request r;
    wire_init(fetch_request_def.body, &r);
    r.max_wait_ms = 100;
    r.min_bytes = 1;
    r.max_bytes = (i32)(1 * MIB);
    r.session_epoch = -1;
    u32 total = ledger(m)->partition_count;
    r.topics.items = wire_new(&fetch_request_topic_struct, &m->arena, total);
    struct fetch_request_partition *rows =
        wire_new(&fetch_request_partition_struct, &m->arena, total);
    const struct ledger_topic *last = NULL;
    for (u32 i = 0; i < total; i++) {
        const struct ledger_partition *at = ledger(m)->partitions[i].at;
        if ((m->owned & (1u << i)) == 0) {
            continue;
        }
        if (at->topic != last) {
            struct fetch_request_topic *topic = &r.topics.items[r.topics.count++];
            topic->topic = slice_cstr(at->topic->name);
            topic->topic_id = at->topic->id;
            topic->partitions.items = &rows[i]; /* a topic's partitions stand side by side */
            last = at->topic;
        }
        struct fetch_request_topic *topic = &r.topics.items[r.topics.count - 1];
        struct fetch_request_partition *row = &topic->partitions.items[topic->partitions.count++];
        row->partition = at->index;
        row->fetch_offset = (i64)m->positions[i].next;
        row->partition_max_bytes = (i32)(64 * KIB);
    }
    m->data_waiting = true;
    m->data_round = m->round;
    client_send(&m->data, &m->data_call, API_fetch, m->fetch_version, &r, fetch_done);
    arena_reset(&m->arena);
}

/* ---- accidents ------------------------------------------------------------------------------- */

static void process_begin(struct member *m)
{
    m->id[0] = 0;
    m->generation = 0;
    client_restart(&m->coord);
    client_restart(&m->data);
    state_enter(m, MEMBER_FIND);
}

static void crash(struct member *m, u64 away_ns)
{
    if (m->id[0] != 0) {
        crew_ghost_add(m->crew, m->id);
    }
    m->asleep = false;
    state_enter(m, MEMBER_AWAY);
    client_drop(&m->coord, true);
    client_drop(&m->data, true);
    m->id[0] = 0;
    world_stop(m->world, &m->step);
    world_stop(m->world, &m->wake);
    if (!m->doomed && !m->never_again) {
        u64 usual_ns = m->quiet ? 10 * SIM_MS : away_ns;
        world_start(m->world, &m->wake, chance_between(m->world, usual_ns / 8, usual_ns));
    }
}

static void nap(struct member *m)
{
    u64 over_ns = 2 * m->crew->rebalance_timeout_ms * SIM_MS + 2 * SIM_S;
    u64 duration_ns = chance(m->world, 1, 8)
                          ? session_ns(m) + chance_between(m->world, 0, over_ns)
                          : chance_between(m->world, session_ns(m) / 2, 2 * session_ns(m));
    world_say(m->world, "%-6s sleeps for %llu ms", m->coord.name,
              (unsigned long long)(duration_ns / SIM_MS));
    m->asleep = true;
    m->asleep_since_ns = m->world->now_ns;
    m->crew->naps += duration_ns > session_ns(m);
    client_stall(&m->coord, duration_ns);
    client_stall(&m->data, duration_ns);
    world_start(m->world, &m->wake, duration_ns);
}

static void wake_run(struct world_event *e)
{
    struct member *m = CONTAINER_OF(e, struct member, wake);
    if (m->state == MEMBER_AWAY) {
        process_begin(m);
        return;
    }
    world_say(m->world, "%-6s wakes", m->coord.name);
    m->asleep = false;
    m->woken = true;
    step_soon(m, 1 * SIM_MS);
    fetch_soon(m, 5 * SIM_MS);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool accident(struct member *m)
{
    if (m->quiet || m->woken || m->rejoin || !chance(m->world, 1, 12)) {
        return false;
    }
    switch (chance_between(m->world, 0, 3)) {
    case 0:
        world_say(m->world, "%-6s crashes", m->coord.name);
        m->crew->crashes++;
        crash(m, 2 * session_ns(m));
        return true;
    case 1:
        if (is_static(m) && chance(m->world, 3, 4)) {
            return false;
        }
        state_enter(m, MEMBER_LEAVE);
        return true;
    default:
        nap(m);
        return true;
    }
}

static void run_step(struct member *m)
{
    if (accident(m)) {
        return;
    }
    bool due = anything_to_commit(m);
    if (m->woken && m->owned != 0) {
        commit_ask(m, m->owned, m->generation, true);
    } else if (due && (m->rejoin || m->quiet || chance(m->world, 2, 3))) {
        commit_ask(m, m->owned, m->generation, false);
    } else if (m->rejoin) {
        state_enter(m, MEMBER_JOIN);
    } else {
        m->woken = false;
        heartbeat_ask(m);
    }
}

static void step_run(struct world_event *e)
{
    struct member *m = CONTAINER_OF(e, struct member, step);
    if (m->asleep || m->coord_waiting || !client_up(&m->coord) || m->world->failed) {
        return;
    }
    if (m->wants == 0) { /* the topics are not there yet */
        m->wants = crew_wants(m->crew, m->number);
        step_soon(m, 20 * SIM_MS);
        return;
    }
    switch (m->state) {
    case MEMBER_AWAY:
        break;
    case MEMBER_FIND:
        find_ask(m);
        break;
    case MEMBER_JOIN:
        join_ask(m);
        break;
    case MEMBER_SYNC:
        if (!m->quiet && chance(m->world, 1, 24)) {
            crash(m, 2 * session_ns(m));
        } else if (m->late != 0) {
            commit_ask(m, m->late, m->late_generation, true);
            m->late = 0;
        } else {
            sync_ask(m);
        }
        break;
    case MEMBER_OFFSETS:
        offsets_ask(m);
        break;
    case MEMBER_RUN:
        run_step(m);
        break;
    case MEMBER_LEAVE:
        leave_ask(m);
        break;
    }
}

static void on_coord_connected(void *user)
{
    step_soon(user, 2 * SIM_MS);
}

static void on_data_connected(void *user)
{
    fetch_soon(user, 2 * SIM_MS);
}

/* ---- life ------------------------------------------------------------------------------------ */

void member_quiet(struct member *m, bool doomed)
{
    m->quiet = true;
    m->doomed = doomed;
    if (m->asleep) {
        world_start(m->world, &m->wake, chance_between(m->world, 0, session_ns(m)));
    }
    m->coord.timeout_ns = WORKLOAD_PATIENCE_NS;
    m->data.timeout_ns = WORKLOAD_PATIENCE_NS;
    if (doomed) {
        world_say(m->world, "%-6s crashes for good", m->coord.name);
        crash(m, 0);
    }
}

void member_stop(struct member *m)
{
    m->never_again = true;
    crash(m, 0);
}

bool member_is_there(const struct member *m)
{
    return !m->doomed;
}

bool member_is_running(const struct member *m, i32 *generation, u32 *partitions)
{
    *generation = m->generation;
    *partitions = m->owned;
    return m->state == MEMBER_RUN && !m->asleep;
}

const char *member_id(const struct member *m)
{
    return m->id;
}

bool member_surely_there(const struct member *m, u64 since_ns, u64 until_ns)
{
    u64 keeps_ns = surely_keeps_ns(m);
    return m->state == MEMBER_RUN && m->since_ns <= since_ns && m->good_ns + keeps_ns > until_ns;
}

struct member *member_create(struct crew *crew, u32 number)
{
    struct world *w = crew->world;
    struct member *m = mem_alloc(sizeof *m);
    m->crew = crew;
    m->wl = crew->wl;
    m->world = w;
    m->number = number;
    if (chance(w, 1, 2)) {
        (void)snprintf(m->instance, sizeof m->instance, "static-%u-%u", crew->number, number);
    }
    m->state = MEMBER_FIND;
    m->fetch_version = (i16)chance_between(w, 4, 18);
    m->step.run = step_run;
    m->fetch.run = fetch_run;
    m->wake.run = wake_run;
    arena_init(&m->arena, NULL, 16 * KIB, 0);
    /* A join is answered when everybody has come; some do not wait for that. */
    u64 timeout_ns = 2 * (u64)crew->rebalance_timeout_ms * SIM_MS + 1 * SIM_S;
    timeout_ns = chance(w, 1, 4) ? m->wl->knobs.timeout_ns : timeout_ns;
    char name[32];
    (void)snprintf(name, sizeof name, "mem%u.%u", crew->number, number);
    const struct client_handler coord = {.connected = on_coord_connected, .user = m};
    client_init(&m->coord, w, m->wl->net, name, timeout_ns, &coord);
    (void)snprintf(name, sizeof name, "mem%u.%u data", crew->number, number);
    const struct client_handler data = {.connected = on_data_connected, .user = m};
    client_init(&m->data, w, m->wl->net, name, 4 * m->wl->knobs.timeout_ns, &data);
    return m;
}

void member_destroy(struct member *m)
{
    m->never_again = true;
    client_fini(&m->coord);
    client_fini(&m->data);
    world_stop(m->world, &m->step);
    world_stop(m->world, &m->fetch);
    world_stop(m->world, &m->wake);
    arena_fini(&m->arena);
    mem_free(m);
}
