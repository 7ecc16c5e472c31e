/* OffsetCommit (API key 8) and OffsetDelete (47): a group's positions [kafka-semantics.md 6;
   OffsetMetadataManager]. */
#include "broker/conn.h"
#include "broker/groups.h"

enum { BY_ID_FROM = 10, GROUP_NOT_FOUND_FROM = 9 };

struct offsets_under_way {
    struct group_offset *offsets;
    u32 count;
};

static struct group_offset *offset_rows(struct request *r, u32 count)
{
    return arena_array(&r->arena, MAX(count, 1u), sizeof(struct group_offset));
}

/* ---- commit ---------------------------------------------------------------------------------- */

static i16 commit_group_error(const struct request *r, i16 kerr)
{
    if (kerr == KERR_GROUP_ID_NOT_FOUND) {
        return r->version >= GROUP_NOT_FOUND_FROM ? KERR_GROUP_ID_NOT_FOUND
                                                  : KERR_ILLEGAL_GENERATION;
    }
    return kerr;
}

static void commit_answer(struct request *r, i16 kerr, const struct group_reply *reply)
{
    (void)reply;
    const struct offset_commit_request *q = r->body;
    const struct offsets_under_way *under_way = r->kept;
    struct offset_commit_response response;
    wire_init(&offset_commit_response_struct, &response);
    response.topics.items =
        wire_new(&offset_commit_response_topic_struct, &r->arena, q->topics.count);
    response.topics.count = q->topics.count;
    if (response.topics.items == NULL && q->topics.count > 0) {
        request_fail(r);
        return;
    }
    u32 next = 0;
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct offset_commit_request_topic *in = &q->topics.items[i];
        struct offset_commit_response_topic *out = &response.topics.items[i];
        out->name = in->name;
        out->topic_id = in->topic_id;
        out->partitions.items =
            wire_new(&offset_commit_response_partition_struct, &r->arena, in->partitions.count);
        out->partitions.count = in->partitions.count;
        if (out->partitions.items == NULL && in->partitions.count > 0) {
            request_fail(r);
            return;
        }
        for (u32 k = 0; k < in->partitions.count; k++) {
            i16 own = under_way->offsets[next++].kerr;
            out->partitions.items[k].partition_index = in->partitions.items[k].partition_index;
            out->partitions.items[k].error_code =
                own != KERR_NONE ? own : commit_group_error(r, kerr);
        }
    }
    request_reply(r, &response);
}

void handle_offset_commit(struct request *r)
{
    const struct offset_commit_request *q = r->body;
    struct offsets_under_way *under_way = request_alloc(r, sizeof *under_way);
    /* Versions 2 to 4 may bring a retention of their own. */
    i64 now_ms = io_wall_ms(r->broker->io);
    i64 expire_wall_ms =
        q->retention_time_ms < 0 ? 0 : now_ms + MIN(q->retention_time_ms, INT64_MAX - now_ms);
    u32 total = 0;
    u32 known_count = 0;
    for (u32 i = 0; i < q->topics.count; i++) {
        total += q->topics.items[i].partitions.count;
    }
    struct group_offset *offsets = offset_rows(r, total);
    if (under_way == NULL || offsets == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct offset_commit_request_topic *in = &q->topics.items[i];
        i16 topic_error;
        const struct meta_topic *t =
            request_topic(r, in->name, in->topic_id, r->version >= BY_ID_FROM, &topic_error);
        for (u32 k = 0; k < in->partitions.count; k++) {
            const struct offset_commit_request_partition *p = &in->partitions.items[k];
            bool known = t != NULL && p->partition_index >= 0 &&
                         (u32)p->partition_index < t->partition_count;
            known_count += known;
            offsets[under_way->count++] = (struct group_offset){
                .topic = t != NULL ? t->name : in->name,
                .topic_id = t != NULL ? t->id : in->topic_id,
                .partition = p->partition_index,
                .offset = p->committed_offset,
                .leader_epoch = p->committed_leader_epoch,
                .metadata = not_null(p->committed_metadata),
                .expire_wall_ms = expire_wall_ms,
                .kerr = known       ? KERR_NONE
                        : t == NULL ? topic_error
                                    : KERR_UNKNOWN_TOPIC_OR_PARTITION,
            };
        }
    }
    under_way->offsets = offsets;
    r->kept = under_way;
    if (known_count == 0) {
        commit_answer(r, KERR_NONE, NULL); /* nothing for the group to decide */
        return;
    }
    struct group_event event = {
        .kind = GROUP_COMMIT,
        .version = r->version,
        .member_id = q->member_id,
        .instance_id = q->group_instance_id,
        .generation = q->generation_id_or_member_epoch,
        .commit = {.offsets = offsets, .offset_count = under_way->count},
    };
    bool simple = q->generation_id_or_member_epoch < 0;
    group_request_start(r, q->group_id, &event, simple, commit_answer);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static void delete_answer(struct request *r, i16 kerr, const struct group_reply *reply)
{
    (void)reply;
    const struct offset_delete_request *q = r->body;
    const struct offsets_under_way *under_way = r->kept;
    struct offset_delete_response response;
    wire_init(&offset_delete_response_struct, &response);
    response.error_code = kerr;
    u32 topic_count = kerr == KERR_NONE ? q->topics.count : 0;
    response.topics.items = wire_new(&offset_delete_response_topic_struct, &r->arena, topic_count);
    response.topics.count = topic_count;
    u32 next = 0;
    for (u32 i = 0; i < topic_count && !r->arena.exhausted; i++) {
        const struct offset_delete_request_topic *in = &q->topics.items[i];
        struct offset_delete_response_topic *out = &response.topics.items[i];
        out->name = in->name;
        out->partitions.items =
            wire_new(&offset_delete_response_partition_struct, &r->arena, in->partitions.count);
        out->partitions.count = r->arena.exhausted ? 0 : in->partitions.count;
        for (u32 k = 0; k < out->partitions.count; k++) {
            out->partitions.items[k].partition_index = in->partitions.items[k].partition_index;
            out->partitions.items[k].error_code = under_way->offsets[next++].kerr;
        }
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    request_reply(r, &response);
}

void handle_offset_delete(struct request *r)
{
    const struct offset_delete_request *q = r->body;
    struct offsets_under_way *under_way = request_alloc(r, sizeof *under_way);
    u32 total = 0;
    for (u32 i = 0; i < q->topics.count; i++) {
        total += q->topics.items[i].partitions.count;
    }
    struct group_offset *offsets = offset_rows(r, total);
    if (under_way == NULL || offsets == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct offset_delete_request_topic *in = &q->topics.items[i];
        i16 kerr;
        const struct meta_topic *t = request_topic(r, in->name, (struct uuid){{0}}, false, &kerr);
        for (u32 k = 0; k < in->partitions.count; k++) {
            i32 partition = in->partitions.items[k].partition_index;
            bool known = t != NULL && partition >= 0 && (u32)partition < t->partition_count;
            offsets[under_way->count++] = (struct group_offset){
                .topic = in->name,
                .topic_id = t != NULL ? t->id : (struct uuid){{0}},
                .partition = partition,
                .metadata = WIRE_EMPTY,
                .kerr = known ? KERR_NONE : KERR_UNKNOWN_TOPIC_OR_PARTITION,
            };
        }
    }
    under_way->offsets = offsets;
    r->kept = under_way;
    struct group_event event = {
        .kind = GROUP_DELETE_OFFSETS,
        .version = r->version,
        .generation = -1,
        .commit = {.offsets = offsets, .offset_count = under_way->count},
    };
    group_request_start(r, q->group_id, &event, false, delete_answer);
}
