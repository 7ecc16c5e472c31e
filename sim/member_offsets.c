/* A member's offsets and records: OffsetFetch, OffsetCommit, Fetch. */
#include "sim/member_private.h"

#include <string.h>

/* ---- OffsetFetch ----------------------------------------------------------------------------- */

static void offset_told(void *user, const struct ledger_topic *t, i32 partition, i64 offset,
                        struct slice metadata, i16 kerr)
{
    struct member *m = user;
    i32 at = t == NULL ? -1 : ledger_group_find(member_ledger(m), t, partition);
    if (at < 0 || kerr != KERR_NONE) {
        world_fail(m->world, "answers fit their questions", "OffsetFetch: partition %d of %s: %s",
                   partition, t == NULL ? "no topic" : t->name, kerr_name(kerr));
        return;
    }
    struct position *p = &m->positions[at];
    ledger_group_told(member_ledger(m), (u32)at, p->floor, p->epoch, offset, metadata,
                      m->coord.name);
    world_say(m->world, "%-6s begins %s-%d at %lld", m->coord.name, t->name, partition,
              (long long)offset);
    p->committed = offset;
    p->next = offset < 0 ? 0 : (u64)offset;
}

static void offsets_done(struct call *call, err_t result, struct slice body)
{
    struct member *m = CONTAINER_OF(call, struct member, coord_call);
    struct offset_fetch_response r;
    if (member_answered(m, result, body, &r)) {
        i16 kerr = offsets_response_error(&r, call->version);
        if (kerr == KERR_NONE) {
            offsets_response_each(m->wl, &r, offset_told, m);
            /* Of no partitions version 1 says nothing, not even that it is loading. */
            bool now = m->asked.life == member_ledger(m)->life && m->owned != 0;
            m->wl->groups_loaded = m->wl->groups_loaded || now;
            member_enter(m, MEMBER_RUN);
            member_fetch_soon(m, 2 * SIM_MS);
        } else {
            member_refused(m, kerr);
        }
    }
    arena_reset(&m->arena);
}

void member_ask_offsets(struct member *m)
{
    struct ledger_partition *asked[GROUP_PARTITIONS_MAX];
    u32 count = 0;
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        struct ledger_group_partition *p = &member_ledger(m)->partitions[i];
        if ((m->owned & (1u << i)) != 0) {
            m->positions[i].floor = p->floor;
            m->positions[i].epoch = p->epoch;
            asked[count++] = p->at;
        }
    }
    struct offset_fetch_request r;
    i16 v = (i16)chance_between(m->world, 1, 10);
    offsets_request_fill(&m->arena, &r, v, member_ledger(m)->name, asked, count);
    member_ask(m, API_offset_fetch, v, &r, offsets_done);
}

/* ---- OffsetCommit ---------------------------------------------------------------------------- */

static void commits_over(struct member *m, u32 set, enum commit_outcome outcome)
{
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        if ((m->committing & set & (1u << i)) != 0) {
            ledger_group_committed(member_ledger(m), m->positions[i].commit, outcome);
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
                               : ledger_group_find(member_ledger(m), t,
                                                   topic->partitions.items[k].partition_index);
            if (at < 0 || (m->committing & (1u << at)) == 0) {
                world_fail(m->world, "answers fit their questions", "OffsetCommit of %s",
                           m->coord.name);
                return KERR_NONE;
            }
            kerr = topic->partitions.items[k].error_code;
            if (kerr == KERR_NONE) {
                const struct ledger_commit *c = &member_ledger(m)->commits[m->positions[at].commit];
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
    if (member_answered(m, result, body, &r)) {
        i16 kerr = commit_read(m, &r);
        if (m->state != MEMBER_RUN) {
            member_step_soon(m, 2 * SIM_MS); /* that was a late one */
        } else if (kerr != KERR_NONE) {
            member_refused(m, kerr);
        } else if (m->rejoin) {
            member_enter(m, MEMBER_JOIN);
        } else {
            member_step_soon(m, member_session_ns(m) / 4);
        }
    }
    commits_over(m, UINT32_MAX, COMMIT_LOST);
    arena_reset(&m->arena);
}

/* When it is quiet a member goes on until the ledger has it all: an offset may have been deleted.
 */
static i64 committed_so_far(const struct member *m, u32 i)
{
    return m->quiet ? member_ledger(m)->partitions[i].floor : m->positions[i].committed;
}

bool member_has_to_commit(const struct member *m)
{
    for (u32 i = 0; i < member_ledger(m)->partition_count; i++) {
        const struct position *p = &m->positions[i];
        if ((m->owned & (1u << i)) != 0 && p->next > 0 && (i64)p->next > committed_so_far(m, i)) {
            return true;
        }
    }
    return false;
}

/* again: also what was committed before. */
void member_ask_commit(struct member *m, u32 owned, i32 generation, bool again)
{
    u32 total = member_ledger(m)->partition_count;
    struct offset_commit_request r;
    wire_init(offset_commit_request_def.body, &r);
    r.group_id = slice_cstr(member_ledger(m)->name);
    r.generation_id_or_member_epoch = generation;
    r.member_id = slice_cstr(m->id);
    r.group_instance_id = member_instance(m);
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
        const struct ledger_partition *at = member_ledger(m)->partitions[i].at;
        p->commit =
            ledger_group_commit(member_ledger(m), i, (i64)p->next, generation, evicted, metadata);
        m->committing |= 1u << i;
        world_say(m->world, "%-6s commits %llu of %s-%d in generation %d%s", m->coord.name,
                  (unsigned long long)p->next, at->topic->name, at->index, generation,
                  member_ledger(m)->commits[p->commit].stale ? ", which is over" : "");
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
    member_ask(m, API_offset_commit, member_version(m, 2, 7, 10), &r, commit_done);
}

/* ---- records --------------------------------------------------------------------------------- */

static void partition_read(struct member *m, struct ledger_topic *t,
                           const struct fetch_response_partition_data *data)
{
    i32 at = t == NULL ? -1 : ledger_group_find(member_ledger(m), t, data->partition_index);
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
        ledger_group_processed(member_ledger(m), (u32)at, next, m->positions[at].next);
        return;
    }
    if (data->error_code != KERR_NONE) {
        if (!workload_retriable(t, data->error_code)) {
            world_fail(m->world, "what is there can be read", "%s: %s-%d offset %llu: %s",
                       member_ledger(m)->name, t->name, data->partition_index,
                       (unsigned long long)next, kerr_name(data->error_code));
        }
        return;
    }
    ledger_read(p, data->records.bytes, data->high_watermark, &m->positions[at].next, m->data.name);
    ledger_group_processed(member_ledger(m), (u32)at, next, m->positions[at].next);
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
    member_fetch_soon(m, 10 * SIM_MS);
}

void member_fetch_run(struct world_event *e)
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
    u32 total = member_ledger(m)->partition_count;
    r.topics.items = wire_new(&fetch_request_topic_struct, &m->arena, total);
    struct fetch_request_partition *rows =
        wire_new(&fetch_request_partition_struct, &m->arena, total);
    const struct ledger_topic *last = NULL;
    for (u32 i = 0; i < total; i++) {
        const struct ledger_partition *at = member_ledger(m)->partitions[i].at;
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
