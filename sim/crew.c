/* A group of simulated members (crew.h). */
#include "sim/crew.h"

#include <stdio.h>
#include <string.h>

/* Requests of a dead member may be on their way, and a broker without room tries again. */
#define EVICTION_SLACK_NS (1 * SIM_S)

/* ---- partitions ------------------------------------------------------------------------------ */

/* Some of the topics, one at least. */
static void topics_choose(struct crew *c)
{
    u32 kept = (u32)chance_between(c->world, 0, c->wl->knobs.topic_count - 1);
    struct ledger_topic *last = NULL;
    u32 topic = 0;
    struct ledger_partition *at;
    for (u32 i = 0; (at = workload_partition(c->wl, i)) != NULL; i++) {
        if (at->topic == last) {
            continue;
        }
        last = at->topic;
        if (topic++ == kept || chance(c->world, 2, 3)) {
            ledger_group_add(&c->ledger, at->topic);
        }
    }
    c->planned = true;
}

u32 crew_wants(struct crew *c, u32 member)
{
    if (!workload_topics_there(c->wl)) {
        return 0;
    }
    if (!c->planned) {
        topics_choose(c);
    }
    const struct ledger_group *g = &c->ledger;
    u32 all = (1u << g->partition_count) - 1;
    if (member == 0 || !chance(c->world, 1, 4)) {
        return all;
    }
    const struct ledger_topic *one =
        g->partitions[chance_between(c->world, 0, g->partition_count - 1)].at->topic;
    u32 set = 0;
    for (u32 i = 0; i < g->partition_count; i++) {
        set |= g->partitions[i].at->topic == one ? 1u << i : 0;
    }
    return set;
}

u32 crew_assignment_read(struct crew *c, struct arena *arena, struct slice bytes)
{
    if (bytes.len == 0) {
        return 0; /* the leader did not know of this member */
    }
    struct consumer_protocol_assignment a;
    err_t e = bytes.len < 2
                  ? ERR_TRUNCATED
                  : wire_decode(&consumer_protocol_assignment_def, (i16)load_be16(bytes.ptr),
                                slice_of(bytes.ptr + 2, bytes.len - 2), arena, &a, NULL);
    u32 set = 0;
    for (u32 i = 0; e == OK && i < a.assigned_partitions.count; i++) {
        const struct consumer_protocol_assignment_topic_partition *row =
            &a.assigned_partitions.items[i];
        const struct ledger_topic *t = workload_topic(c->wl, row->topic, (struct uuid){{0}});
        for (u32 k = 0; k < row->partitions.count && e == OK; k++) {
            i32 at = ledger_group_find(&c->ledger, t, row->partitions.items[k]);
            e = at < 0 ? ERR_INVALID : OK;
            set |= at < 0 ? 0 : 1u << at;
        }
    }
    if (e != OK) {
        world_fail(c->world, "an assignment arrives as it was given", "%s: %s", c->ledger.name,
                   err_name(e));
    }
    return set;
}

/* ---- OffsetFetch ----------------------------------------------------------------------------- */

enum { OFFSETS_BATCHED_FROM = 8, OFFSETS_TOP_ERROR_FROM = 2 };

void offsets_request_fill(struct arena *arena, struct offset_fetch_request *r, i16 version,
                          const char *group, struct ledger_partition *const *partitions, u32 count)
{
    wire_init(offset_fetch_request_def.body, r);
    struct offset_fetch_request_topic *single =
        wire_new(&offset_fetch_request_topic_struct, arena, count);
    struct offset_fetch_request_topics *batched =
        wire_new(&offset_fetch_request_topics_struct, arena, count);
    for (u32 i = 0; i < count; i++) {
        single[i].name = slice_cstr(partitions[i]->topic->name);
        single[i].partition_indexes.items = &partitions[i]->index;
        single[i].partition_indexes.count = 1;
        batched[i].name = single[i].name;
        batched[i].topic_id = partitions[i]->topic->id;
        batched[i].partition_indexes = single[i].partition_indexes;
    }
    if (version < OFFSETS_BATCHED_FROM) {
        r->group_id = slice_cstr(group);
        r->topics.items = single;
        r->topics.count = count;
        return;
    }
    r->groups.items = wire_new(&offset_fetch_request_group_struct, arena, 1);
    r->groups.count = 1;
    r->groups.items[0].group_id = slice_cstr(group);
    r->groups.items[0].topics.items = batched;
    r->groups.items[0].topics.count = count;
}

i16 offsets_response_error(const struct offset_fetch_response *r, i16 version)
{
    if (version >= OFFSETS_BATCHED_FROM) {
        return r->groups.count == 1 ? r->groups.items[0].error_code : KERR_UNKNOWN_SERVER_ERROR;
    }
    if (version >= OFFSETS_TOP_ERROR_FROM) {
        return r->error_code;
    }
    return r->topics.count > 0 && r->topics.items[0].partitions.count > 0
               ? r->topics.items[0].partitions.items[0].error_code
               : KERR_NONE;
}

void offsets_response_each(struct workload *wl, const struct offset_fetch_response *r,
                           void (*each)(void *user, const struct ledger_topic *t, i32 partition,
                                        i64 offset, struct slice metadata, i16 kerr),
                           void *user)
{
    for (u32 i = 0; i < r->topics.count; i++) {
        const struct offset_fetch_response_topic *topic = &r->topics.items[i];
        const struct ledger_topic *t = workload_topic(wl, topic->name, (struct uuid){{0}});
        for (u32 k = 0; k < topic->partitions.count; k++) {
            const struct offset_fetch_response_partition *p = &topic->partitions.items[k];
            each(user, t, p->partition_index, p->committed_offset, p->metadata, p->error_code);
        }
    }
    const struct offset_fetch_response_group *g = r->groups.items;
    for (u32 i = 0; r->groups.count > 0 && i < g->topics.count; i++) {
        const struct offset_fetch_response_topics *topic = &g->topics.items[i];
        const struct ledger_topic *t = workload_topic(wl, topic->name, topic->topic_id);
        for (u32 k = 0; k < topic->partitions.count; k++) {
            const struct offset_fetch_response_partitions *p = &topic->partitions.items[k];
            each(user, t, p->partition_index, p->committed_offset, p->metadata, p->error_code);
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

bool crew_surely_over(const struct crew *c, u64 since_ns, u64 now_ns)
{
    u64 began_ns = MAX(since_ns, c->wl->life_began_ns);
    u64 lasts_ns =
        (c->session_timeout_ms + 2 * c->rebalance_timeout_ms) * SIM_MS + EVICTION_SLACK_NS;
    return !c->wl->life_faulty && now_ns > began_ns + lasts_ns;
}

void crew_ghost_add(struct crew *c, const char *member)
{
    struct ghost *g = &c->ghosts[c->ghost_count++ % GHOSTS_MAX];
    (void)snprintf(g->id, sizeof g->id, "%s", member);
    g->since_ns = c->world->now_ns;
}

void crew_broker_began(struct crew *c)
{
    ledger_group_broker_began(&c->ledger);
}

void crew_quiet(struct crew *c)
{
    c->seen_stable = false;
    /* The first member wants everything: it stays. */
    u32 doomed = c->member_count > 1 && chance(c->world, 1, 2)
                     ? (u32)chance_between(c->world, 1, c->member_count - 1)
                     : c->member_count;
    for (u32 i = 0; i < c->member_count; i++) {
        member_quiet(c->members[i], i == doomed);
    }
}

void crew_stop(struct crew *c)
{
    for (u32 i = 0; i < c->member_count; i++) {
        member_stop(c->members[i]);
    }
}

bool crew_settled(const struct crew *c)
{
    return c->planned && c->seen_stable && ledger_group_done(&c->ledger);
}

u64 crew_progress(const struct crew *c)
{
    return ledger_group_progress(&c->ledger) + c->seen_stable;
}

struct crew *crew_create(struct workload *wl, u32 number)
{
    static const u32 sessions_ms[] = {200, 500, 1500};
    struct world *w = wl->world;
    struct crew *c = mem_alloc(sizeof *c);
    c->wl = wl;
    c->world = w;
    c->number = number;
    c->session_timeout_ms = sessions_ms[chance_between(w, 0, ARRAY_LEN(sessions_ms) - 1)];
    /* Shorter than a session: who is static may be away while the others go on. */
    c->rebalance_timeout_ms = (c->session_timeout_ms / 2) << chance_between(w, 0, 2);
    c->member_count = (u32)chance_between(w, 1, CREW_MEMBERS_MAX);
    char name[24];
    (void)snprintf(name, sizeof name, "crew-%u", number);
    ledger_group_init(&c->ledger, w, name);
    for (u32 i = 0; i < c->member_count; i++) {
        c->members[i] = member_create(c, i);
    }
    return c;
}

void crew_destroy(struct crew *c)
{
    for (u32 i = 0; i < c->member_count; i++) {
        member_destroy(c->members[i]);
    }
    ledger_group_fini(&c->ledger);
    mem_free(c);
}
