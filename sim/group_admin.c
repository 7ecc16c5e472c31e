/* The admin of groups (crew.h): looks at crews with DescribeGroups and ListGroups, now and then
   asks for one, or for one of its offsets, to be deleted (while anybody is in it that is refused),
   and keeps side groups without members: commits offsets to them, reads them, deletes offsets and
   groups. Of a side group it knows what every offset may be: one value, or several where an answer
   was lost.

   At the end it reads every committed offset once more. */
#include "sim/crew.h"

#include <stdio.h>
#include <string.h>

enum { SIDES_MAX = 2, SIDE_PARTITIONS_MAX = 2, VALUES_MAX = 8 };

/* Committed offset of a side group: one of these, -1: none. */
struct side_offset {
    struct ledger_partition *at;
    i64 values[VALUES_MAX];
    u32 count;
};

struct side {
    char name[24];
    u32 count;
    struct side_offset offsets[SIDE_PARTITIONS_MAX];
    u64 doubt_until_ns; /* a request without an answer may still take effect */
};

struct group_admin {
    struct workload *wl;
    struct world *world;
    struct client client;
    struct call call;
    bool waiting;
    bool found; /* the coordinator */
    bool quiet;
    bool stopped;
    bool verifying;
    u32 verify_next; /* crews, then sides */
    struct side sides[SIDES_MAX];
    u32 side_count;
    /* under way */
    struct crew *crew;
    struct side *side;
    u32 partition; /* of the crew or side */
    i64 value;
    u64 sent_ns;
    struct ledger_question asked;
    struct {
        i64 floor;
        u32 epoch;
    } when_asked[GROUP_PARTITIONS_MAX];
    struct world_event step;
    struct arena arena;
};

static void step_soon(struct group_admin *a, u64 about_ns)
{
    world_start(a->world, &a->step, chance_between(a->world, about_ns / 4, about_ns));
}

static const char *group_name(const struct group_admin *a)
{
    return a->crew != NULL ? a->crew->ledger.name : a->side != NULL ? a->side->name : "any";
}

static void ask(struct group_admin *a, i16 api, i16 version, const void *request,
                void (*done)(struct call *call, err_t result, struct slice body))
{
    world_say(a->world, "gadmin asks about %s", group_name(a));
    a->waiting = true;
    a->sent_ns = a->world->now_ns;
    client_send(&a->client, &a->call, api, version, request, done);
    arena_reset(&a->arena);
}

static bool answered(struct group_admin *a, err_t result, struct slice body, void *out)
{
    a->waiting = false;
    if (result != OK) {
        return false;
    }
    const struct call *call = &a->call;
    err_t e = wire_decode(call->api->response, call->version, body, &a->arena, out, NULL);
    if (e != OK) {
        world_fail(a->world, "answers can be read", "%s v%d: %s", call->api->kafka_name,
                   call->version, err_name(e));
    }
    return e == OK;
}

static void finished(struct group_admin *a)
{
    arena_reset(&a->arena);
    step_soon(a, a->quiet ? 100 * SIM_MS : 30 * SIM_MS);
}

static bool retriable(i16 kerr)
{
    return kerr == KERR_COORDINATOR_LOAD_IN_PROGRESS || kerr == KERR_COORDINATOR_NOT_AVAILABLE;
}

static void unexpected(struct group_admin *a, const char *group, i16 kerr)
{
    world_fail(a->world, "errors make sense", "%s of %s: %s", a->call.api->kafka_name, group,
               kerr_name(kerr));
}

/* ---- FindCoordinator ------------------------------------------------------------------------- */

static void find_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct find_coordinator_response r;
    if (answered(a, result, body, &r)) {
        a->found = r.error_code == KERR_NONE;
        if (!a->found && !retriable(r.error_code)) {
            unexpected(a, "any", r.error_code);
        }
    }
    finished(a);
}

static void find_ask(struct group_admin *a)
{
    struct find_coordinator_request r;
    wire_init(find_coordinator_request_def.body, &r);
    r.key = slice_cstr("any");
    ask(a, API_find_coordinator, (i16)chance_between(a->world, 0, 3), &r, find_done);
}

/* ---- DescribeGroups -------------------------------------------------------------------------- */

static const char *const promise_describe = "a group is described as it is";

static const struct member *member_by_id(const struct crew *c, struct slice id)
{
    for (u32 i = 0; i < c->member_count; i++) {
        if (slice_eq_cstr(id, member_id(c->members[i]))) {
            return c->members[i];
        }
    }
    return NULL;
}

static void ghosts_check(struct group_admin *a, struct slice id)
{
    const struct crew *c = a->crew;
    for (u32 i = 0; i < MIN(c->ghost_count, (u32)GHOSTS_MAX); i++) {
        const struct ghost *g = &c->ghosts[i];
        if (slice_eq_cstr(id, g->id) && crew_surely_over(c, g->since_ns, a->sent_ns)) {
            world_fail(a->world, "a session ends in time",
                       "%s: %s is still a member %llu ms after it crashed, its session was of %u "
                       "ms",
                       c->ledger.name, g->id,
                       (unsigned long long)((a->sent_ns - g->since_ns) / SIM_MS),
                       c->session_timeout_ms);
        }
    }
}

/* All of the crew are members, nobody else is, and what they were told is what is described. */
static bool all_there(const struct crew *c, u32 listed, u32 owned)
{
    u32 there = 0;
    u32 theirs = 0;
    i32 generation = 0;
    for (u32 i = 0; i < c->member_count; i++) {
        u32 set;
        i32 its;
        if (!member_is_there(c->members[i])) {
            continue;
        }
        if (!member_is_running(c->members[i], &its, &set) || (theirs & set) != 0 ||
            (there > 0 && its != generation)) {
            return false;
        }
        generation = its;
        there++;
        theirs |= set;
    }
    return there == listed && theirs == owned && owned == (1u << c->ledger.partition_count) - 1;
}

static void describe_check(struct group_admin *a,
                           const struct describe_groups_response_described_group *g)
{
    struct crew *c = a->crew;
    bool stable = slice_eq_cstr(g->group_state, "Stable");
    bool empty = slice_eq_cstr(g->group_state, "Empty");
    bool moving = slice_eq_cstr(g->group_state, "PreparingRebalance") ||
                  slice_eq_cstr(g->group_state, "CompletingRebalance");
    bool gone = slice_eq_cstr(g->group_state, "Dead") || g->error_code == KERR_GROUP_ID_NOT_FOUND;
    bool known = a->asked.delivered > 0 && a->asked.incarnation == c->ledger.incarnation &&
                 !ledger_group_in_doubt(&c->ledger);
    if (gone ? known : !stable && !empty && !moving) {
        world_fail(a->world, promise_describe, "%s: state \"%.*s\", %s", c->ledger.name,
                   (int)g->group_state.len,
                   g->group_state.len > 0 ? (const char *)g->group_state.ptr : "",
                   kerr_name(g->error_code));
        return;
    }
    /* One that moves may have nobody but clients that were told their id and have not come yet. */
    if (!moving && stable == (g->members.count == 0)) {
        world_fail(a->world, promise_describe, "%s: %u members in state %.*s", c->ledger.name,
                   g->members.count, (int)g->group_state.len, (const char *)g->group_state.ptr);
        return;
    }
    u32 owned = 0;
    u32 ours = 0;
    for (u32 i = 0; i < g->members.count; i++) {
        const struct describe_groups_response_described_group_member *m = &g->members.items[i];
        ghosts_check(a, m->member_id);
        ours += member_by_id(c, m->member_id) != NULL;
        u32 set = stable ? crew_assignment_read(c, &a->arena, m->member_assignment) : 0;
        if ((set & owned) != 0) {
            world_fail(a->world, "a partition has one owner in a generation",
                       "%s is Stable, and %.*s owns what another member owns (%x)", c->ledger.name,
                       (int)m->member_id.len, (const char *)m->member_id.ptr, set & owned);
        }
        owned |= set;
    }
    if (stable && a->quiet && ours == g->members.count && all_there(c, g->members.count, owned)) {
        if (!c->seen_stable) {
            world_say(a->world, "gadmin %s is as it should be", c->ledger.name);
        }
        c->seen_stable = true;
    }
}

static void describe_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct describe_groups_response r;
    if (answered(a, result, body, &r)) {
        i16 kerr = r.groups.count == 1 ? r.groups.items[0].error_code : KERR_UNKNOWN_SERVER_ERROR;
        if (kerr == KERR_NONE || kerr == KERR_GROUP_ID_NOT_FOUND) {
            describe_check(a, &r.groups.items[0]);
        } else if (!retriable(kerr)) {
            unexpected(a, a->crew->ledger.name, kerr);
        }
    }
    finished(a);
}

static void describe_ask(struct group_admin *a)
{
    struct slice name = slice_cstr(a->crew->ledger.name);
    struct describe_groups_request r;
    wire_init(describe_groups_request_def.body, &r);
    r.groups.items = &name;
    r.groups.count = 1;
    a->asked = ledger_group_ask(&a->crew->ledger);
    ask(a, API_describe_groups, (i16)chance_between(a->world, 0, 6), &r, describe_done);
}

/* ---- what a side group's offset may be ------------------------------------------------------- */

static bool side_in_doubt(const struct group_admin *a, const struct side *s)
{
    return a->world->now_ns < s->doubt_until_ns;
}

static void value_add(struct side_offset *o, i64 value)
{
    for (u32 i = 0; i < o->count; i++) {
        if (o->values[i] == value) {
            return;
        }
    }
    assert(o->count < VALUES_MAX);
    o->values[o->count++] = value;
}

/* It was done for sure, or perhaps. */
static void value_change(struct group_admin *a, struct side *s, struct side_offset *o, i64 value,
                         bool sure)
{
    if (sure) {
        o->count = 0;
    } else {
        s->doubt_until_ns = a->world->now_ns + GROUP_DOUBT_NS;
    }
    value_add(o, value);
}

static bool surely_committed(const struct group_admin *a, const struct side *s)
{
    bool some = false;
    for (u32 i = 0; i < s->count; i++) {
        const struct side_offset *o = &s->offsets[i];
        some = some || (o->count == 1 && o->values[0] >= 0);
    }
    return some && !side_in_doubt(a, s);
}

/* ---- ListGroups ------------------------------------------------------------------------------ */

static bool is_listed(const struct list_groups_response *r, const char *name)
{
    for (u32 i = 0; i < r->groups.count; i++) {
        if (slice_eq_cstr(r->groups.items[i].group_id, name)) {
            return true;
        }
    }
    return false;
}

static void list_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct list_groups_response r;
    if (answered(a, result, body, &r)) {
        if (r.error_code != KERR_NONE && !retriable(r.error_code)) {
            unexpected(a, "all", r.error_code);
        }
        for (u32 i = 0; i < a->side_count && r.error_code == KERR_NONE; i++) {
            if (surely_committed(a, &a->sides[i]) && !is_listed(&r, a->sides[i].name)) {
                world_fail(a->world, promise_describe, "%s has offsets and is not listed",
                           a->sides[i].name);
            }
        }
    }
    finished(a);
}

static void list_ask(struct group_admin *a)
{
    struct list_groups_request r;
    wire_init(list_groups_request_def.body, &r);
    ask(a, API_list_groups, (i16)chance_between(a->world, 0, 5), &r, list_done);
}

/* ---- DeleteGroups ---------------------------------------------------------------------------- */

/* The group was deleted, was not, or nobody knows. */
static void crew_deleted(struct group_admin *a, bool answer, i16 kerr)
{
    struct crew *c = a->crew;
    if (!answer) {
        ledger_group_deleted(&c->ledger, -1, false);
        return;
    }
    if (kerr != KERR_NONE) {
        ledger_group_doubt_over(&c->ledger);
        return;
    }
    world_say(a->world, "gadmin %s is deleted", c->ledger.name);
    for (u32 i = 0; i < c->member_count; i++) {
        if (member_surely_there(c->members[i], a->sent_ns, a->world->now_ns)) {
            world_fail(a->world, "a live member keeps its place", "%s was deleted with %s in it",
                       c->ledger.name, member_id(c->members[i]));
        }
    }
    ledger_group_deleted(&c->ledger, -1, true);
}

static void side_deleted(struct group_admin *a, bool answer, i16 kerr)
{
    if (kerr != KERR_NONE) {
        if (kerr == KERR_GROUP_ID_NOT_FOUND && surely_committed(a, a->side)) {
            unexpected(a, a->side->name, kerr);
        }
        return;
    }
    for (u32 i = 0; i < a->side->count; i++) {
        value_change(a, a->side, &a->side->offsets[i], -1, answer);
    }
}

static void delete_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct delete_groups_response r;
    bool answer = answered(a, result, body, &r);
    i16 kerr = !answer                ? KERR_NONE
               : r.results.count == 1 ? r.results.items[0].error_code
                                      : KERR_UNKNOWN_SERVER_ERROR;
    world_say(a->world, "gadmin DeleteGroups of %s: %s", group_name(a),
              answer ? kerr_name(kerr) : "no answer");
    bool fits = kerr == KERR_NONE || kerr == KERR_GROUP_ID_NOT_FOUND || retriable(kerr) ||
                (kerr == KERR_NON_EMPTY_GROUP && a->crew != NULL);
    if (!fits) {
        unexpected(a, group_name(a), kerr);
    } else if (a->crew != NULL) {
        crew_deleted(a, answer, kerr);
    } else {
        side_deleted(a, answer, kerr);
    }
    finished(a);
}

static void delete_ask(struct group_admin *a)
{
    struct slice name = slice_cstr(group_name(a));
    struct delete_groups_request r;
    wire_init(delete_groups_request_def.body, &r);
    r.groups_names.items = &name;
    r.groups_names.count = 1;
    if (a->crew != NULL) {
        ledger_group_doubt(&a->crew->ledger);
    }
    ask(a, API_delete_groups, (i16)chance_between(a->world, 0, 3), &r, delete_done);
}

/* ---- OffsetDelete ---------------------------------------------------------------------------- */

static void crew_forgot(struct group_admin *a, bool answer, i16 kerr)
{
    struct ledger_group *g = &a->crew->ledger;
    if (answer && kerr != KERR_NONE) {
        ledger_group_doubt_over(g);
    } else {
        ledger_group_deleted(g, (i32)a->partition, answer);
    }
}

static void forget_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct offset_delete_response r;
    bool answer = answered(a, result, body, &r);
    i16 kerr = !answer ? KERR_NONE : r.error_code;
    if (answer && kerr == KERR_NONE) {
        kerr = r.topics.count == 1 && r.topics.items[0].partitions.count == 1
                   ? r.topics.items[0].partitions.items[0].error_code
                   : KERR_UNKNOWN_SERVER_ERROR;
    }
    world_say(a->world, "gadmin OffsetDelete of %s: %s", group_name(a),
              answer ? kerr_name(kerr) : "no answer");
    bool fits = kerr == KERR_NONE || kerr == KERR_GROUP_ID_NOT_FOUND || retriable(kerr) ||
                (kerr == KERR_GROUP_SUBSCRIBED_TO_TOPIC && a->crew != NULL);
    if (!fits) {
        unexpected(a, group_name(a), kerr);
    } else if (a->crew != NULL) {
        crew_forgot(a, answer, kerr);
    } else if (kerr == KERR_NONE) {
        value_change(a, a->side, &a->side->offsets[a->partition], -1, answer);
    } else if (kerr == KERR_GROUP_ID_NOT_FOUND && surely_committed(a, a->side)) {
        unexpected(a, a->side->name, kerr);
    }
    finished(a);
}

static void forget_ask(struct group_admin *a)
{
    const struct ledger_partition *at = a->crew != NULL
                                            ? a->crew->ledger.partitions[a->partition].at
                                            : a->side->offsets[a->partition].at;
    struct offset_delete_request_partition partition = {.partition_index = at->index};
    struct offset_delete_request_topic topic = {.name = slice_cstr(at->topic->name)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct offset_delete_request r;
    wire_init(offset_delete_request_def.body, &r);
    r.group_id = slice_cstr(group_name(a));
    r.topics.items = &topic;
    r.topics.count = 1;
    if (a->crew != NULL) {
        ledger_group_doubt(&a->crew->ledger);
    }
    ask(a, API_offset_delete, 0, &r, forget_done);
}

/* ---- OffsetCommit of a side group ------------------------------------------------------------ */

static void commit_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct offset_commit_response r;
    bool answer = answered(a, result, body, &r);
    i16 kerr = KERR_NONE;
    if (answer) {
        kerr = r.topics.count == 1 && r.topics.items[0].partitions.count == 1
                   ? r.topics.items[0].partitions.items[0].error_code
                   : KERR_UNKNOWN_SERVER_ERROR;
    }
    if (kerr == KERR_NONE) {
        value_change(a, a->side, &a->side->offsets[a->partition], a->value, answer);
    } else if (!retriable(kerr)) {
        unexpected(a, a->side->name, kerr);
    }
    finished(a);
}

static void commit_ask(struct group_admin *a)
{
    const struct ledger_partition *at = a->side->offsets[a->partition].at;
    a->value = (i64)chance_between(a->world, 0, 1u << 30);
    struct offset_commit_request_partition partition;
    wire_init(&offset_commit_request_partition_struct, &partition);
    partition.partition_index = at->index;
    partition.committed_offset = a->value;
    struct offset_commit_request_topic topic = {.name = slice_cstr(at->topic->name),
                                                .topic_id = at->topic->id};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct offset_commit_request r;
    wire_init(offset_commit_request_def.body, &r);
    r.group_id = slice_cstr(a->side->name);
    r.topics.items = &topic;
    r.topics.count = 1;
    ask(a, API_offset_commit, (i16)chance_between(a->world, 2, 10), &r, commit_done);
}

/* ---- OffsetFetch ----------------------------------------------------------------------------- */

static void side_told(struct group_admin *a, const struct ledger_topic *t, i32 partition,
                      i64 offset)
{
    for (u32 i = 0; i < a->side->count; i++) {
        struct side_offset *o = &a->side->offsets[i];
        if (o->at->topic != t || o->at->index != partition) {
            continue;
        }
        bool fits = false;
        for (u32 k = 0; k < o->count; k++) {
            fits = fits || o->values[k] == offset;
        }
        if (!fits) {
            world_fail(a->world, "a committed offset stays",
                       "%s: %s-%d is %lld, and it was %lld or one of %u", a->side->name, t->name,
                       partition, (long long)offset, (long long)o->values[0], o->count);
        }
        if (!side_in_doubt(a, a->side)) {
            o->values[0] = offset;
            o->count = 1;
        }
        return;
    }
    world_fail(a->world, "answers fit their questions", "OffsetFetch of %s", a->side->name);
}

static void offset_told(void *user, const struct ledger_topic *t, i32 partition, i64 offset,
                        struct slice metadata, i16 kerr)
{
    struct group_admin *a = user;
    if (t == NULL || kerr != KERR_NONE) {
        world_fail(a->world, "answers fit their questions", "OffsetFetch: %s", kerr_name(kerr));
        return;
    }
    if (a->crew == NULL) {
        side_told(a, t, partition, offset);
        return;
    }
    i32 at = ledger_group_find(&a->crew->ledger, t, partition);
    if (at < 0) {
        world_fail(a->world, "answers fit their questions", "OffsetFetch of %s",
                   a->crew->ledger.name);
        return;
    }
    ledger_group_told(&a->crew->ledger, (u32)at, a->when_asked[at].floor, a->when_asked[at].epoch,
                      offset, metadata, "the admin");
}

static void fetch_done(struct call *call, err_t result, struct slice body)
{
    struct group_admin *a = CONTAINER_OF(call, struct group_admin, call);
    struct offset_fetch_response r;
    if (answered(a, result, body, &r)) {
        i16 kerr = offsets_response_error(&r, call->version);
        if (kerr == KERR_NONE) {
            offsets_response_each(a->wl, &r, offset_told, a);
            a->verify_next += a->verifying;
        } else if (!retriable(kerr)) {
            unexpected(a, group_name(a), kerr);
        }
    }
    finished(a);
}

static void fetch_ask(struct group_admin *a)
{
    struct ledger_partition *partitions[GROUP_PARTITIONS_MAX];
    u32 count = a->crew != NULL ? a->crew->ledger.partition_count : a->side->count;
    for (u32 i = 0; i < count; i++) {
        if (a->crew != NULL) {
            const struct ledger_group_partition *p = &a->crew->ledger.partitions[i];
            a->when_asked[i].floor = p->floor;
            a->when_asked[i].epoch = p->epoch;
            partitions[i] = p->at;
        } else {
            partitions[i] = a->side->offsets[i].at;
        }
    }
    struct offset_fetch_request r;
    i16 version = (i16)chance_between(a->world, 1, 10);
    offsets_request_fill(&a->arena, &r, version, group_name(a), partitions, count);
    ask(a, API_offset_fetch, version, &r, fetch_done);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void sides_plan(struct group_admin *a)
{
    a->side_count = (u32)chance_between(a->world, 1, SIDES_MAX);
    for (u32 i = 0; i < a->side_count; i++) {
        struct side *s = &a->sides[i];
        (void)snprintf(s->name, sizeof s->name, "side-%u", i);
        while (s->count < SIDE_PARTITIONS_MAX && workload_partition(a->wl, s->count) != NULL) {
            struct side_offset *o = &s->offsets[s->count];
            *o = (struct side_offset){.at = workload_partition(a->wl, s->count), .count = 1};
            o->values[0] = -1;
            s->count++;
        }
    }
}

static void verify_step(struct group_admin *a)
{
    if (a->verify_next >= a->wl->crew_count + a->side_count) {
        return; /* that was all */
    }
    bool crew = a->verify_next < a->wl->crew_count;
    a->crew = crew ? a->wl->crews[a->verify_next] : NULL;
    a->side = crew ? NULL : &a->sides[a->verify_next - a->wl->crew_count];
    fetch_ask(a);
}

static void crew_step(struct group_admin *a)
{
    a->crew = a->wl->crews[chance_between(a->world, 0, a->wl->crew_count - 1)];
    a->side = NULL;
    if (!a->crew->planned) {
        step_soon(a, 50 * SIM_MS);
        return;
    }
    a->partition = (u32)chance_between(a->world, 0, a->crew->ledger.partition_count - 1);
    bool doubtful = ledger_group_in_doubt(&a->crew->ledger);
    if (a->quiet || doubtful || !chance(a->world, 1, 8)) {
        describe_ask(a);
    } else if (chance(a->world, 1, 2)) {
        delete_ask(a);
    } else {
        forget_ask(a);
    }
}

static void side_step(struct group_admin *a)
{
    a->crew = NULL;
    a->side = &a->sides[chance_between(a->world, 0, a->side_count - 1)];
    a->partition = (u32)chance_between(a->world, 0, a->side->count - 1);
    u64 dice = chance_between(a->world, 0, 9);
    bool unsure = side_in_doubt(a, a->side);
    for (u32 i = 0; i < a->side->count; i++) {
        unsure = unsure || a->side->offsets[i].count + 1 >= VALUES_MAX;
    }
    if (unsure || a->quiet || dice < 3) {
        fetch_ask(a);
    } else if (dice < 8) {
        commit_ask(a);
    } else if (dice == 8) {
        forget_ask(a);
    } else {
        delete_ask(a);
    }
}

static void step_run(struct world_event *e)
{
    struct group_admin *a = CONTAINER_OF(e, struct group_admin, step);
    if (!client_up(&a->client) || a->waiting || a->world->failed) {
        return;
    }
    if (!workload_topics_there(a->wl)) {
        step_soon(a, 50 * SIM_MS);
        return;
    }
    if (a->side_count == 0) {
        sides_plan(a);
    }
    if (!a->found) {
        find_ask(a);
    } else if (a->verifying) {
        verify_step(a);
    } else if (chance(a->world, 1, 12)) {
        list_ask(a);
    } else if (chance(a->world, 1, 2)) {
        crew_step(a);
    } else {
        side_step(a);
    }
}

static void on_connected(void *user)
{
    step_soon(user, 5 * SIM_MS);
}

/* ---- life ------------------------------------------------------------------------------------ */

void group_admin_broker_began(struct group_admin *a)
{
    for (u32 i = 0; i < a->side_count; i++) {
        a->sides[i].doubt_until_ns = 0; /* what was on its way is gone */
    }
}

void group_admin_quiet(struct group_admin *a)
{
    a->quiet = true;
    a->client.timeout_ns = WORKLOAD_PATIENCE_NS;
}

void group_admin_stop(struct group_admin *a)
{
    if (!a->stopped) {
        a->stopped = true;
        client_drop(&a->client, true);
    }
}

void group_admin_verify(struct group_admin *a)
{
    a->verifying = true;
    a->verify_next = 0;
    if (a->stopped) {
        a->stopped = false;
        client_restart(&a->client);
    } else {
        step_soon(a, 5 * SIM_MS);
    }
}

bool group_admin_verified(const struct group_admin *a)
{
    return a->side_count > 0 && a->verify_next >= a->wl->crew_count + a->side_count;
}

struct group_admin *group_admin_create(struct workload *wl)
{
    struct group_admin *a = mem_alloc(sizeof *a);
    a->wl = wl;
    a->world = wl->world;
    a->step.run = step_run;
    arena_init(&a->arena, NULL, 16 * KIB, 0);
    const struct client_handler handler = {.connected = on_connected, .user = a};
    client_init(&a->client, wl->world, wl->net, "gadmin", wl->knobs.timeout_ns, &handler);
    return a;
}

void group_admin_destroy(struct group_admin *a)
{
    client_fini(&a->client);
    world_stop(a->world, &a->step);
    arena_fini(&a->arena);
    mem_free(a);
}
