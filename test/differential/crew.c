/* Two members of one group, each with a connection of its own, so that one may wait while the other
   acts: joins that wait for a join, syncs that wait for the leader's, heartbeats that tell of a
   rebalance, members that leave or come back under their instance id.

     1. A step is drawn: one member sends one request to both brokers.
     2. Every connection with a request under way is watched until both brokers have answered the
        same of them and nothing more has come for a while. What only one answers is a difference.
     3. Answers are compared; ids and generations go into the next requests.

   Time decides nothing here: sessions and rebalances have more time than a script takes. In the end
   both leave and the group is deleted, so that nothing is left of it on either side. */
#include "judge.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    MEMBERS = 2,
    STEPS = 14,
    SETTLE_MS = 30, /* without an answer: whoever waits, waits */
    GIVE_UP_MS = 6000,
    SESSION_MS = 60000,
    REBALANCE_MS = 120000,
};

struct member {
    struct peer lines[SIDES];
    u32 id; /* pair, or PAIR_NONE */
    i32 generation;
    bool is_static;
    bool leads;
    bool has_changed; /* its metadata, until it joins */
    char instance[16];
    bool waits; /* x is under way */
    bool got[SIDES];
    struct exchange x;
};

struct crew {
    struct rng *rng;
    struct arena arena; /* of the whole script */
    char group[32];
    struct member members[MEMBERS];
    u32 metadata; /* counts what changed */
};

/* ---- requests -------------------------------------------------------------------------------- */

static i16 version_of(struct crew *c, i16 key, i16 from)
{
    i16 min = MAX(MAX(peers[OURS].min[key], peers[KAFKA].min[key]), MAX(api_find(key)->min, from));
    i16 max = MIN(peers[OURS].max[key], peers[KAFKA].max[key]);
    return (i16)rng_between(c->rng, (u64)min, (u64)max);
}

static void *request_new(struct crew *c, i16 key)
{
    const struct struct_def *body = api_find(key)->request->body;
    void *request = arena_alloc(&c->arena, body->bytes);
    assert(request != NULL);
    wire_init(body, request);
    return request;
}

static struct slice id_on(const struct member *m, enum side side)
{
    return m->id == PAIR_NONE ? WIRE_EMPTY : pair_value(PAIR_MEMBER, m->id, side);
}

static struct slice instance_of(const struct member *m)
{
    return m->is_static ? slice_cstr(m->instance) : (struct slice){0};
}

/* Where a request has the id of the member that is asked for. */
struct id_place {
    struct slice *at;
    const struct member *of;
};

/* A frame per side, each with its own names of the members. */
static struct exchange prepare(struct crew *c, i16 key, i16 version, void *request,
                               const struct id_place *ids, u32 count)
{
    struct exchange x = {
        .api = api_find(key), .version = version, .answer_version = version, .request = request};
    case_number++;
    for (u32 side = SIDES; side-- > 0;) {
        for (u32 i = 0; i < count; i++) {
            *ids[i].at = id_on(ids[i].of, (enum side)side);
        }
        x.frames[side] =
            frame_of(&c->arena, x.api, version, (i32)(case_number & 0xffff) + 100000, request);
        assert(x.frames[side].ptr != NULL);
    }
    return x;
}

/* ---- answers --------------------------------------------------------------------------------- */

static i64 now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (i64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes what has come within a moment; did anything? */
static bool receive_some(struct crew *c)
{
    struct pollfd fds[MEMBERS * SIDES];
    struct member *owners[MEMBERS * SIDES];
    enum side sides[MEMBERS * SIDES];
    nfds_t count = 0;
    for (u32 i = 0; i < MEMBERS; i++) {
        for (u32 side = 0; side < SIDES; side++) {
            struct member *m = &c->members[i];
            if (m->waits && !m->got[side]) {
                fds[count] = (struct pollfd){.fd = m->lines[side].fd, .events = POLLIN};
                owners[count] = m;
                sides[count++] = (enum side)side;
            }
        }
    }
    if (poll(fds, count, SETTLE_MS) <= 0) {
        return false;
    }
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].revents != 0) {
            exchange_receive(&owners[i]->x, sides[i], &c->arena);
            owners[i]->got[sides[i]] = true;
        }
    }
    return true;
}

static bool sides_agree(const struct crew *c)
{
    for (u32 i = 0; i < MEMBERS; i++) {
        const struct member *m = &c->members[i];
        if (m->waits && m->got[OURS] != m->got[KAFKA]) {
            return false;
        }
    }
    return true;
}

static void learn(struct member *m)
{
    const struct exchange *x = &m->x;
    if (x->api->key != API_join_group || x->outcomes[OURS] != ANSWERED ||
        x->outcomes[KAFKA] != ANSWERED) {
        return;
    }
    const struct join_group_response *answer = x->answers[OURS];
    if (answer->error_code == KERR_NONE || answer->error_code == KERR_MEMBER_ID_REQUIRED) {
        m->id = pair_find(PAIR_MEMBER, OURS, answer->member_id);
    } else if (answer->error_code == KERR_UNKNOWN_MEMBER_ID ||
               answer->error_code == KERR_FENCED_INSTANCE_ID) {
        m->id = PAIR_NONE;
    }
    if (answer->error_code == KERR_NONE) {
        m->generation = answer->generation_id;
        m->leads = slice_eq(answer->leader, answer->member_id);
    }
}

static void judge_answered(struct member *m)
{
    struct comparison result = {0};
    for (u32 side = 0; side < SIDES; side++) {
        if (!m->got[side]) { /* its answer would come when nobody expects it */
            m->x.outcomes[side] = LATE;
            peer_close(&m->lines[side]);
        }
    }
    exchange_compare(&m->x, &result);
    exchange_judge(&m->x, &result);
    learn(m);
    m->waits = false;
}

/* Followers first: a leader's answer names them. */
static void judge_all(struct crew *c, bool all)
{
    for (u32 leaders = 0; leaders < 2; leaders++) {
        for (u32 i = 0; i < MEMBERS; i++) {
            struct member *m = &c->members[i];
            const struct join_group_response *join =
                m->x.api != NULL && m->x.api->key == API_join_group ? m->x.answers[OURS] : NULL;
            bool names_others = m->got[OURS] && join != NULL && join->members.count > 0;
            if (m->waits && (all || m->got[OURS] || m->got[KAFKA]) &&
                names_others == (leaders == 1)) {
                judge_answered(m);
            }
        }
    }
}

static void collect(struct crew *c)
{
    i64 give_up_ms = now_ms() + GIVE_UP_MS;
    bool quiet = false;
    while (!(quiet && sides_agree(c)) && now_ms() < give_up_ms) {
        quiet = !receive_some(c);
    }
    judge_all(c, false);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* On the member's own connection: it may have to wait. */
static void start(struct crew *c, struct member *m, struct exchange x)
{
    assert(!m->waits);
    m->x = x;
    m->x.lines[OURS] = &m->lines[OURS];
    m->x.lines[KAFKA] = &m->lines[KAFKA];
    m->got[OURS] = m->got[KAFKA] = false;
    m->waits = true;
    exchange_send(&m->x, &c->arena);
    collect(c);
}

/* On the connections all share: answered at once. */
static void ask_now(struct crew *c, struct exchange x)
{
    struct comparison result = {0};
    exchange_send(&x, &c->arena);
    exchange_receive(&x, OURS, &c->arena);
    exchange_receive(&x, KAFKA, &c->arena);
    exchange_compare(&x, &result);
    exchange_judge(&x, &result);
    collect(c); /* who waited for it */
}

static void join(struct crew *c, struct member *m)
{
    static const char *const names[] = {"range", "roundrobin"};
    struct join_group_request *q = request_new(c, API_join_group);
    q->group_id = slice_cstr(c->group);
    q->session_timeout_ms = SESSION_MS;
    q->rebalance_timeout_ms = REBALANCE_MS;
    q->group_instance_id = instance_of(m);
    q->protocol_type = SLICE_LIT("consumer");
    q->protocols.count = m == &c->members[0] ? 2 : 1 + (u32)rng_below(c->rng, 2);
    q->protocols.items = arena_array(&c->arena, 2, sizeof(*q->protocols.items));
    assert(q->protocols.items != NULL);
    c->metadata += rng_chance(c->rng, 1, 3);
    for (u32 i = 0; i < q->protocols.count; i++) {
        q->protocols.items[i].name = slice_cstr(names[i]);
        const char *text = arena_printf(&c->arena, "metadata-%u", c->metadata);
        q->protocols.items[i].metadata = slice_cstr(text);
    }
    struct id_place id = {&q->member_id, m};
    start(
        c, m,
        prepare(c, API_join_group, version_of(c, API_join_group, m->is_static ? 5 : 1), q, &id, 1));
}

static void sync(struct crew *c, struct member *m)
{
    struct sync_group_request *q = request_new(c, API_sync_group);
    struct id_place ids[1 + MEMBERS] = {{&q->member_id, m}};
    u32 count = 1;
    q->group_id = slice_cstr(c->group);
    q->generation_id = m->generation + (i32)rng_chance(c->rng, 1, 12);
    q->group_instance_id = instance_of(m);
    q->assignments.items = arena_array(&c->arena, MEMBERS, sizeof(*q->assignments.items));
    assert(q->assignments.items != NULL);
    for (u32 i = 0; i < MEMBERS && m->leads; i++) {
        if (c->members[i].id != PAIR_NONE && !rng_chance(c->rng, 1, 8)) {
            struct sync_group_request_assignment *a = &q->assignments.items[q->assignments.count++];
            const char *text = arena_printf(&c->arena, "share-%u", i);
            a->assignment = slice_cstr(text);
            ids[count++] = (struct id_place){&a->member_id, &c->members[i]};
        }
    }
    start(c, m,
          prepare(c, API_sync_group, version_of(c, API_sync_group, m->is_static ? 3 : 0), q, ids,
                  count));
}

static void heartbeat(struct crew *c, struct member *m)
{
    struct heartbeat_request *q = request_new(c, API_heartbeat);
    q->group_id = slice_cstr(c->group);
    q->generation_id = m->generation - (i32)rng_chance(c->rng, 1, 8);
    q->group_instance_id = instance_of(m);
    struct id_place id = {&q->member_id, m};
    ask_now(c, prepare(c, API_heartbeat, version_of(c, API_heartbeat, m->is_static ? 3 : 0), q, &id,
                       1));
}

static void commit(struct crew *c, struct member *m)
{
    struct offset_commit_request *q = request_new(c, API_offset_commit);
    struct offset_commit_request_topic *topic = arena_alloc(&c->arena, sizeof(*topic));
    struct offset_commit_request_partition *partition = arena_alloc(&c->arena, sizeof(*partition));
    assert(topic != NULL && partition != NULL);
    *partition = (struct offset_commit_request_partition){
        .committed_offset = 5, .committed_leader_epoch = -1, .committed_metadata = WIRE_EMPTY};
    *topic = (struct offset_commit_request_topic){.name = SLICE_LIT("plain"),
                                                  .partitions = {.items = partition, .count = 1}};
    q->group_id = slice_cstr(c->group);
    q->generation_id_or_member_epoch = m->generation;
    q->group_instance_id = instance_of(m);
    q->topics.items = topic;
    q->topics.count = 1;
    struct id_place id = {&q->member_id, m};
    i16 version = MIN(version_of(c, API_offset_commit, m->is_static ? 7 : 0), 9);
    ask_now(c, prepare(c, API_offset_commit, version, q, &id, 1));
}

/* Of some members, as an administrator does it, or of one by its instance id alone. */
static void leave(struct crew *c, struct member *m, bool both)
{
    struct leave_group_request *q = request_new(c, API_leave_group);
    struct id_place ids[MEMBERS];
    u32 count = 0;
    bool by_instance = m->is_static && !both && rng_chance(c->rng, 1, 2);
    q->group_id = slice_cstr(c->group);
    q->members.items = arena_array(&c->arena, MEMBERS, sizeof(*q->members.items));
    assert(q->members.items != NULL);
    i16 version = version_of(c, API_leave_group, both || m->is_static ? 3 : 0);
    if (version < 3) {
        ids[count++] = (struct id_place){&q->member_id, m};
    }
    for (u32 i = 0; i < MEMBERS && version >= 3; i++) {
        struct member *other = &c->members[i];
        if (both ? other->id != PAIR_NONE : other == m) {
            struct leave_group_request_member_identity *row = &q->members.items[q->members.count++];
            row->group_instance_id = instance_of(other);
            row->member_id = WIRE_EMPTY;
            if (!by_instance) {
                ids[count++] = (struct id_place){&row->member_id, other};
            }
        }
    }
    struct exchange x = prepare(c, API_leave_group, version, q, ids, count);
    for (u32 i = 0; i < MEMBERS; i++) {
        if (both || &c->members[i] == m) {
            c->members[i].id = PAIR_NONE;
        }
    }
    ask_now(c, x);
}

static void describe(struct crew *c)
{
    struct describe_groups_request *q = request_new(c, API_describe_groups);
    struct slice *id = arena_alloc(&c->arena, sizeof(*id));
    assert(id != NULL);
    *id = slice_cstr(c->group);
    q->groups.items = id;
    q->groups.count = 1;
    ask_now(c, prepare(c, API_describe_groups, version_of(c, API_describe_groups, 0), q, NULL, 0));
}

/* A static member's new process: it does not know the id it had. */
static void forget(struct member *m)
{
    if (m->is_static) {
        m->id = PAIR_NONE;
    }
}

static void step(struct crew *c)
{
    struct member *m = &c->members[rng_below(c->rng, MEMBERS)];
    u64 dice = rng_below(c->rng, 100);
    bool idle = !m->waits;
    if (m->id == PAIR_NONE || m->generation == 0) {
        dice = idle ? 0 : 90;
    }
    if (dice < 35 && idle) {
        join(c, m);
    } else if (dice < 70 && idle) {
        sync(c, m);
    } else if (dice < 80) {
        heartbeat(c, m);
    } else if (dice < 86) {
        commit(c, m);
    } else if (dice < 90 && idle) {
        forget(m);
    } else if (dice < 94 && (idle || m->x.api->key != API_sync_group)) {
        leave(c, m, false); /* not out of its own SyncGroup, which Kafka then never answers */
    } else {
        describe(c);
    }
}

/* ---- a script -------------------------------------------------------------------------------- */

static bool anybody_waits(const struct crew *c)
{
    for (u32 i = 0; i < MEMBERS; i++) {
        if (c->members[i].waits) {
            return true;
        }
    }
    return false;
}

/* Nobody waits any more, everybody has left, the group is gone. Who has forgotten its id joins too:
   it may be the leader for whose assignment another's SyncGroup waits. */
static void finish(struct crew *c)
{
    for (u32 round = 0; round < 4 && anybody_waits(c); round++) {
        for (u32 i = 0; i < MEMBERS; i++) {
            struct member *m = &c->members[i];
            if (!m->waits) {
                join(c, m);
            }
        }
        for (u32 i = 0; i < MEMBERS; i++) {
            if (!c->members[i].waits && c->members[i].leads && anybody_waits(c)) {
                sync(c, &c->members[i]);
            }
        }
    }
    leave(c, &c->members[0], true);
    judge_all(c, true); /* whoever waits still was told nothing on either side */
    struct delete_groups_request *q = request_new(c, API_delete_groups);
    struct slice *id = arena_alloc(&c->arena, sizeof(*id));
    assert(id != NULL);
    *id = slice_cstr(c->group);
    q->groups_names.items = id;
    q->groups_names.count = 1;
    ask_now(c, prepare(c, API_delete_groups, version_of(c, API_delete_groups, 0), q, NULL, 0));
}

void crew_run(struct rng *rng)
{
    static u32 scripts;
    struct crew *c = mem_alloc(sizeof(*c));
    c->rng = rng;
    arena_init(&c->arena, NULL, MIB, 0);
    snprintf(c->group, sizeof(c->group), "crew-%u", scripts++);
    for (u32 i = 0; i < MEMBERS; i++) {
        struct member *m = &c->members[i];
        m->id = PAIR_NONE;
        m->is_static = rng_chance(rng, 1, 3);
        snprintf(m->instance, sizeof(m->instance), "instance-%u", i);
        for (u32 side = 0; side < SIDES; side++) {
            m->lines[side] = peers[side];
            m->lines[side].fd = -1;
        }
    }
    for (u32 i = 0; i < STEPS; i++) {
        step(c);
    }
    finish(c);
    for (u32 i = 0; i < MEMBERS; i++) {
        peer_close(&c->members[i].lines[OURS]);
        peer_close(&c->members[i].lines[KAFKA]);
    }
    arena_fini(&c->arena);
    mem_free(c);
}
