/* OffsetFetch (API key 9): the positions a group has committed [kafka-semantics.md 6]. An answer
   leaves only when everything committed for the group so far is durable: what a client is told is
   never taken back. */
#include "broker/conn.h"
#include "broker/groups.h"

enum { BATCHED_FROM = 8, BY_ID_FROM = 10, TOP_ERROR_FROM = 2 };

/* What is stored for a partition, or the answer to "nothing". */
static void row_fill(const struct group *g, struct slice topic, struct uuid id, i32 partition,
                     i64 *offset, i32 *epoch, struct slice *metadata)
{
    const struct group_offset *found =
        g == NULL ? NULL : group_offset_find(g, topic, id, partition);
    *offset = found == NULL ? -1 : found->offset;
    *epoch = found == NULL ? -1 : found->leader_epoch;
    *metadata = found == NULL ? WIRE_EMPTY : not_null(found->metadata);
}

/* ---- up to version 7: one group -------------------------------------------------------------- */

static void fill_listed(struct request *r, const struct group *g,
                        const struct offset_fetch_request *q, i16 kerr,
                        struct offset_fetch_response *response)
{
    response->topics.items =
        wire_new(&offset_fetch_response_topic_struct, &r->arena, q->topics.count);
    response->topics.count = response->topics.items == NULL ? 0 : q->topics.count;
    for (u32 i = 0; i < response->topics.count; i++) {
        const struct offset_fetch_request_topic *in = &q->topics.items[i];
        struct offset_fetch_response_topic *out = &response->topics.items[i];
        out->name = in->name;
        out->partitions.items = wire_new(&offset_fetch_response_partition_struct, &r->arena,
                                         in->partition_indexes.count);
        out->partitions.count = out->partitions.items == NULL ? 0 : in->partition_indexes.count;
        for (u32 k = 0; k < out->partitions.count; k++) {
            struct offset_fetch_response_partition *row = &out->partitions.items[k];
            row->partition_index = in->partition_indexes.items[k];
            row->error_code = kerr;
            row_fill(kerr == KERR_NONE ? g : NULL, in->name, (struct uuid){{0}},
                     row->partition_index, &row->committed_offset, &row->committed_leader_epoch,
                     &row->metadata);
        }
    }
}

/* Everything there is, grouped by topic (offsets stand in order of topic and partition). */
static void fill_all(struct request *r, const struct group *g,
                     struct offset_fetch_response *response)
{
    u32 total = g == NULL ? 0 : group_offset_count(g);
    response->topics.items = wire_new(&offset_fetch_response_topic_struct, &r->arena, total);
    struct offset_fetch_response_partition *rows =
        wire_new(&offset_fetch_response_partition_struct, &r->arena, total);
    if (r->arena.exhausted) {
        return;
    }
    for (u32 i = 0; i < total; i++) {
        const struct group_offset *o = group_offset_at(g, i);
        struct offset_fetch_response_topic *last =
            response->topics.count > 0 ? &response->topics.items[response->topics.count - 1] : NULL;
        if (last == NULL || !slice_eq(last->name, o->topic)) {
            last = &response->topics.items[response->topics.count++];
            last->name = o->topic;
            last->partitions.items = &rows[i];
        }
        rows[i].partition_index = o->partition;
        rows[i].committed_offset = o->offset;
        rows[i].committed_leader_epoch = o->leader_epoch;
        rows[i].metadata = not_null(o->metadata);
        last->partitions.count++;
    }
}

static void answer_single(struct request *r)
{
    const struct offset_fetch_request *q = r->body;
    struct offset_fetch_response response;
    wire_init(&offset_fetch_response_struct, &response);
    i16 kerr;
    const struct group *g = coordinator_group(r->broker->coordinator, q->group_id, &kerr);
    bool all = q->topics.is_null && r->version >= TOP_ERROR_FROM;
    if (r->version >= TOP_ERROR_FROM) {
        response.error_code = kerr;
    }
    if (all && kerr == KERR_NONE) {
        fill_all(r, g, &response);
    } else if (!all && (kerr == KERR_NONE || r->version < TOP_ERROR_FROM)) {
        fill_listed(r, g, q, r->version < TOP_ERROR_FROM ? kerr : KERR_NONE, &response);
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    request_reply(r, &response);
}

/* ---- from version 8: several groups, from 10 topics by id ------------------------------------ */

static void group_listed(struct request *r, const struct group *g,
                         const struct offset_fetch_request_group *q,
                         struct offset_fetch_response_group *out)
{
    out->topics.items = wire_new(&offset_fetch_response_topics_struct, &r->arena, q->topics.count);
    out->topics.count = out->topics.items == NULL ? 0 : q->topics.count;
    for (u32 i = 0; i < out->topics.count; i++) {
        const struct offset_fetch_request_topics *in = &q->topics.items[i];
        struct offset_fetch_response_topics *topic = &out->topics.items[i];
        i16 kerr = KERR_NONE;
        const struct meta_topic *t =
            r->version >= BY_ID_FROM ? request_topic(r, in->name, in->topic_id, true, &kerr) : NULL;
        topic->name = in->name;
        topic->topic_id = in->topic_id;
        topic->partitions.items = wire_new(&offset_fetch_response_partitions_struct, &r->arena,
                                           in->partition_indexes.count);
        topic->partitions.count = topic->partitions.items == NULL ? 0 : in->partition_indexes.count;
        for (u32 k = 0; k < topic->partitions.count; k++) {
            struct offset_fetch_response_partitions *row = &topic->partitions.items[k];
            row->partition_index = in->partition_indexes.items[k];
            row->error_code = kerr;
            row_fill(kerr == KERR_NONE ? g : NULL, t != NULL ? t->name : in->name, in->topic_id,
                     row->partition_index, &row->committed_offset, &row->committed_leader_epoch,
                     &row->metadata);
        }
    }
}

static void group_all(struct request *r, const struct group *g,
                      struct offset_fetch_response_group *out)
{
    u32 total = g == NULL ? 0 : group_offset_count(g);
    out->topics.items = wire_new(&offset_fetch_response_topics_struct, &r->arena, total);
    struct offset_fetch_response_partitions *rows =
        wire_new(&offset_fetch_response_partitions_struct, &r->arena, total);
    if (r->arena.exhausted) {
        return;
    }
    struct slice last_name = {0};
    for (u32 i = 0; i < total; i++) {
        const struct group_offset *o = group_offset_at(g, i);
        i16 kerr;
        const struct meta_topic *t = request_topic(r, o->topic, (struct uuid){{0}}, false, &kerr);
        bool gone = r->version >= BY_ID_FROM &&
                    (t == NULL || (!uuid_is_zero(o->topic_id) && !uuid_eq(t->id, o->topic_id)));
        if (gone) {
            continue; /* of a topic that was deleted: it has no id to be named by */
        }
        struct offset_fetch_response_topics *last =
            out->topics.count > 0 ? &out->topics.items[out->topics.count - 1] : NULL;
        if (last == NULL || !slice_eq(last_name, o->topic)) {
            last = &out->topics.items[out->topics.count++];
            last_name = o->topic;
            last->name = o->topic;
            last->topic_id = t != NULL ? t->id : (struct uuid){{0}};
            last->partitions.items = &rows[i];
        }
        rows[i].partition_index = o->partition;
        rows[i].committed_offset = o->offset;
        rows[i].committed_leader_epoch = o->leader_epoch;
        rows[i].metadata = not_null(o->metadata);
        last->partitions.count++;
    }
}

static void answer_groups(struct request *r)
{
    const struct offset_fetch_request *q = r->body;
    struct offset_fetch_response response;
    wire_init(&offset_fetch_response_struct, &response);
    response.groups.items =
        wire_new(&offset_fetch_response_group_struct, &r->arena, q->groups.count);
    response.groups.count = response.groups.items == NULL ? 0 : q->groups.count;
    for (u32 i = 0; i < response.groups.count; i++) {
        const struct offset_fetch_request_group *in = &q->groups.items[i];
        struct offset_fetch_response_group *out = &response.groups.items[i];
        out->group_id = in->group_id;
        i16 kerr;
        const struct group *g = coordinator_group(r->broker->coordinator, in->group_id, &kerr);
        out->error_code = kerr;
        if (out->error_code == KERR_NONE && in->topics.is_null) {
            group_all(r, g, out);
        } else if (out->error_code == KERR_NONE) {
            group_listed(r, g, in, out);
        }
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    request_reply(r, &response);
}

/* ---- the barrier ----------------------------------------------------------------------------- */

struct offset_fetch {
    struct request *r;
    struct log_waiter waiter;
};

static void offset_fetch_answer(struct request *r)
{
    if (r->version >= BATCHED_FROM) {
        answer_groups(r);
    } else {
        answer_single(r);
    }
}

static void barrier_passed(struct log_waiter *w, err_t result)
{
    struct offset_fetch *f = CONTAINER_OF(w, struct offset_fetch, waiter);
    if (result != OK) {
        request_fail(f->r);
        return;
    }
    offset_fetch_answer(f->r);
}

static void cancelled(struct request *r)
{
    struct offset_fetch *f = r->state_of_handler;
    log_wait_cancel(&f->waiter);
}

void handle_offset_fetch(struct request *r)
{
    const struct offset_fetch_request *q = r->body;
    u64 slot = 0;
    bool wait = false;
    u32 groups = r->version >= BATCHED_FROM ? q->groups.count : 1;
    for (u32 i = 0; i < groups; i++) {
        u64 one;
        struct slice id = r->version >= BATCHED_FROM ? q->groups.items[i].group_id : q->group_id;
        if (coordinator_pending_slot(r->broker->coordinator, id, &one)) {
            slot = wait ? MAX(slot, one) : one;
            wait = true;
        }
    }
    if (!wait) {
        offset_fetch_answer(r);
        return;
    }
    struct offset_fetch *f = request_alloc(r, sizeof *f);
    if (f == NULL) {
        request_fail(r);
        return;
    }
    f->r = r;
    f->waiter.done = barrier_passed;
    r->state_of_handler = f;
    r->cancelled = cancelled;
    log_wait(r->broker->log, &f->waiter, slot);
}
