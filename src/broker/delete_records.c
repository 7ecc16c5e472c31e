/* DeleteRecords (API key 21): moves the start of partitions forward [KafkaApis, Partition,
   UnifiedLog]. -1 is the high watermark; a start may lie inside a batch, which readers then get
   whole.

   A partition named twice is deleted from once, at the offset that was named last, and has one row:
   Kafka puts the request into a map. Its order is a map's, so any order of ours will do: by name,
   then partition.

   Happy path: every row is checked; those that move anything become one SetLogStarts; when that is
   durable the rows say where the partitions start now, which is further on if somebody else was
   faster. How it fails: a row that is refused has its error and low watermark -1, as have those
   whose topic is deleted meanwhile; if the medium fails, all that were to move. */
#include "broker/change.h"
#include "broker/conn.h"
#include "broker/topics.h"

#include <stdlib.h>

enum { AT_HIGH_WATERMARK = -1, NO_LOW_WATERMARK = -1 };

struct wish {
    struct slice topic;
    i32 partition;
    u32 place; /* in the request */
    i64 offset;
};
struct delete_records {
    struct change change;
    struct request *r;
    struct delete_records_response response;
    struct wish *wishes;
    u32 wish_count;
    struct meta_log_start *starts;                          /* those that move ... */
    struct delete_records_response_partition_result **rows; /* ... and their rows */
    u32 start_count;
};

/* ---- the request, in order and once each ----------------------------------------------------- */

static int wish_order(const void *a, const void *b)
{
    const struct wish *left = a;
    const struct wish *right = b;
    int order = slice_cmp(left->topic, right->topic);
    if (order != 0) {
        return order;
    }
    if (left->partition != right->partition) {
        return left->partition < right->partition ? -1 : 1;
    }
    return left->place < right->place ? -1 : left->place > right->place;
}

static bool same_partition(const struct wish *a, const struct wish *b)
{
    return a->partition == b->partition && slice_eq(a->topic, b->topic);
}

static bool wishes_collect(struct delete_records *d, const struct delete_records_request *q)
{
    u32 count = 0;
    for (u32 i = 0; i < q->topics.count; i++) {
        count += q->topics.items[i].partitions.count;
    }
    d->wishes = arena_array(&d->r->arena, count, sizeof *d->wishes);
    if (d->wishes == NULL && count > 0) {
        return false;
    }
    u32 place = 0;
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct delete_records_request_topic *t = &q->topics.items[i];
        for (u32 k = 0; k < t->partitions.count; k++, place++) {
            d->wishes[place] = (struct wish){.topic = t->name,
                                             .partition = t->partitions.items[k].partition_index,
                                             .place = place,
                                             .offset = t->partitions.items[k].offset};
        }
    }
    if (count > 1) {
        qsort(d->wishes, count, sizeof *d->wishes, wish_order);
    }
    for (u32 i = 0; i < count; i++) {
        if (i + 1 == count || !same_partition(&d->wishes[i], &d->wishes[i + 1])) {
            d->wishes[d->wish_count] = d->wishes[i];
            d->wish_count++;
        }
    }
    return true;
}

/* ---- one partition --------------------------------------------------------------------------- */

/* Where it is to start; the error, if there is one. */
static i16 target_of(struct delete_records *d, const struct wish *w, struct partition_info *info,
                     u64 *target)
{
    struct request *r = d->r;
    i16 kerr;
    const struct meta_topic *t = request_topic(r, w->topic, (struct uuid){{0}}, false, &kerr);
    struct partition *p = t == NULL ? NULL : cluster_partition(r->broker->cluster, t, w->partition);
    if (p == NULL) {
        return KERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (topic_is_internal(t)) {
        return KERR_INVALID_TOPIC_EXCEPTION;
    }
    struct topic_config config;
    topic_config_resolve(r->broker->config, t, &config);
    if (config.compacted && !config.delete_policy) {
        return KERR_POLICY_VIOLATION;
    }
    partition_info(p, info);
    *target = w->offset == AT_HIGH_WATERMARK ? info->high_watermark : (u64)w->offset;
    return *target > info->high_watermark ? KERR_OFFSET_OUT_OF_RANGE : KERR_NONE; /* or negative */
}

static void delete_one(struct delete_records *d, const struct wish *w,
                       struct delete_records_response_partition_result *row)
{
    struct partition_info info;
    u64 target;
    row->partition_index = w->partition;
    row->low_watermark = NO_LOW_WATERMARK;
    row->error_code = target_of(d, w, &info, &target);
    if (row->error_code != KERR_NONE) {
        return;
    }
    row->low_watermark = (i64)info.log_start_offset;
    if (target > info.log_start_offset) {
        d->starts[d->start_count] = (struct meta_log_start){info.id, target};
        d->rows[d->start_count] = row;
        d->start_count++;
    }
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void delete_outcome(struct change *change, u32 row, i16 kerr)
{
    (void)row;
    struct delete_records *d = CONTAINER_OF(change, struct delete_records, change);
    const struct meta *meta = cluster_meta(d->r->broker->cluster);
    for (u32 i = 0; i < d->start_count; i++) {
        const struct meta_topic *t;
        u32 index;
        u32 id = d->starts[i].partition_id;
        bool there = meta_partition_owner(meta, id, &t, &index);
        i16 error = kerr == KERR_NONE && !there ? KERR_UNKNOWN_TOPIC_OR_PARTITION : kerr;
        d->rows[i]->error_code = error;
        d->rows[i]->low_watermark =
            error == KERR_NONE ? (i64)meta_log_start(meta, id) : NO_LOW_WATERMARK;
    }
}

static void delete_answer(struct change *change)
{
    struct delete_records *d = CONTAINER_OF(change, struct delete_records, change);
    request_reply(d->r, &d->response);
}

/* Rows for the wishes, topic by topic. false: the arena is full. */
static bool rows_make(struct delete_records *d)
{
    struct arena *arena = &d->r->arena;
    u32 topics = 0;
    for (u32 i = 0; i < d->wish_count; i++) {
        topics += i == 0 || !slice_eq(d->wishes[i - 1].topic, d->wishes[i].topic);
    }
    d->response.topics.items =
        wire_new(&delete_records_response_topic_result_struct, arena, topics);
    d->starts = arena_array(arena, d->wish_count, sizeof *d->starts);
    d->rows = arena_array(arena, d->wish_count, sizeof *d->rows);
    if (arena->exhausted) {
        return false;
    }
    for (u32 i = 0, end = 0; i < d->wish_count; i = end) {
        while (end < d->wish_count && slice_eq(d->wishes[i].topic, d->wishes[end].topic)) {
            end++;
        }
        struct delete_records_response_topic_result *t =
            &d->response.topics.items[d->response.topics.count++];
        t->name = d->wishes[i].topic;
        t->partitions.items =
            wire_new(&delete_records_response_partition_result_struct, arena, end - i);
        if (t->partitions.items == NULL) {
            return false;
        }
        for (u32 k = i; k < end; k++) {
            delete_one(d, &d->wishes[k], &t->partitions.items[t->partitions.count++]);
        }
    }
    return true;
}

void handle_delete_records(struct request *r)
{
    struct delete_records *d = request_alloc(r, sizeof *d);
    if (d == NULL) {
        request_fail(r);
        return;
    }
    d->r = r;
    wire_init(&delete_records_response_struct, &d->response);
    if (!change_init(&d->change, r, 1) || !wishes_collect(d, r->body) || !rows_make(d)) {
        request_fail(r);
        return;
    }
    if (d->start_count > 0) {
        struct meta_command *m = change_add(&d->change, META_SET_LOG_STARTS, 0);
        m->set_log_starts.starts = d->starts;
        m->set_log_starts.count = d->start_count;
    }
    d->change.outcome = delete_outcome;
    d->change.answer = delete_answer;
    change_commit(&d->change);
}
