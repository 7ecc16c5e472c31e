/* DescribeTopicPartitions (API key 75): topics in order of name, page by page. The cursor names the
   first partition of the next page [kafka-semantics.md 9]. Java's Admin.describeTopics uses it. */
#include "broker/conn.h"
#include "broker/topics.h"

#include <stdlib.h>

enum { PAGE_PARTITIONS_MAX = 2000 };

struct page {
    struct request *r;
    const struct describe_topic_partitions_request *q;
    struct describe_topic_partitions_response response;
    u32 topic_cap;
    u32 left; /* partitions that still fit */
    bool failed;
};

static int name_order(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void add_partitions(struct page *p, const struct meta_topic *t, u32 from, u32 count,
                           struct describe_topic_partitions_response_topic *row)
{
    struct describe_topic_partitions_response_partition *rows =
        wire_new(&describe_topic_partitions_response_partition_struct, &p->r->arena, count);
    if (rows == NULL && count > 0) {
        p->failed = true;
        return;
    }
    i32 epoch = meta_leader_epoch(cluster_meta(p->r->broker->cluster), t);
    for (u32 i = 0; i < count; i++) {
        rows[i].partition_index = (i32)(from + i);
        rows[i].leader_id = BROKER_NODE_ID;
        rows[i].leader_epoch = epoch;
        rows[i].replica_nodes = topic_replicas();
        rows[i].isr_nodes = topic_replicas();
        rows[i].eligible_leader_replicas = (struct i32_array){0};
        rows[i].last_known_elr = (struct i32_array){0};
    }
    row->partitions.items = rows;
    row->partitions.count = count;
}

static void set_cursor(struct page *p, struct slice topic, u32 partition)
{
    struct describe_topic_partitions_response_cursor *cursor =
        wire_new(&describe_topic_partitions_response_cursor_struct, &p->r->arena, 1);
    if (cursor == NULL) {
        p->failed = true;
        return;
    }
    cursor->topic_name = topic;
    cursor->partition_index = (i32)partition;
    p->response.next_cursor = cursor;
}

/* false: the page is full (the cursor is set). */
static bool add_topic(struct page *p, struct slice name, u32 from)
{
    if (p->left == 0) {
        set_cursor(p, name, from);
        return false;
    }
    struct describe_topic_partitions_response_topic *row =
        &p->response.topics.items[p->response.topics.count++];
    row->name = name;
    row->topic_authorized_operations = AUTHORIZED_ON_TOPIC; /* asked for or not, there or not */
    i16 kerr;
    const struct meta_topic *t = request_topic(p->r, name, (struct uuid){{0}}, false, &kerr);
    if (t == NULL) {
        row->error_code = topic_name_problem(name) != NULL ? KERR_INVALID_TOPIC_EXCEPTION : kerr;
        return true;
    }
    row->topic_id = t->id;
    row->is_internal = topic_is_internal(t);
    from = MIN(from, t->partition_count);
    u32 count = MIN(t->partition_count - from, p->left);
    add_partitions(p, t, from, count, row);
    p->left -= count;
    if (from + count < t->partition_count) {
        set_cursor(p, t->name, from + count);
        return false;
    }
    return !p->failed;
}

/* The wanted names in order, without repeats. NULL: the arena is full. */
static struct slice *wanted_names(struct page *p, u32 *count)
{
    const struct meta *meta = cluster_meta(p->r->broker->cluster);
    u32 asked = p->q->topics.count;
    *count = asked == 0 ? meta_topic_count(meta) : asked;
    struct slice *names = arena_array(&p->r->arena, *count + 1, sizeof *names);
    if (names == NULL) {
        return NULL;
    }
    for (u32 i = 0; i < *count; i++) {
        names[i] = asked == 0 ? meta_topic_at(meta, i)->name : p->q->topics.items[i].name;
    }
    if (asked > 0) {
        qsort(names, *count, sizeof *names, name_order);
        u32 kept = 0;
        for (u32 i = 0; i < *count; i++) {
            if (kept == 0 || !slice_eq(names[kept - 1], names[i])) {
                names[kept++] = names[i];
            }
        }
        *count = kept;
    }
    return names;
}

/* A cursor names a partition, and of a topic that the request names, if it names any. */
static bool cursor_ok(const struct describe_topic_partitions_request *q)
{
    const struct describe_topic_partitions_request_cursor *cursor = q->cursor;
    if (cursor == NULL) {
        return true;
    }
    bool named = q->topics.count == 0;
    for (u32 i = 0; i < q->topics.count && !named; i++) {
        named = slice_eq(q->topics.items[i].name, cursor->topic_name);
    }
    return named && cursor->partition_index >= 0;
}

/* The whole request is refused, which this answer can only say of each topic. */
static void answer_refused(struct page *p)
{
    u32 count = p->q->topics.count;
    p->response.topics.items =
        wire_new(&describe_topic_partitions_response_topic_struct, &p->r->arena, count);
    if (p->response.topics.items == NULL && count > 0) {
        request_fail(p->r);
        return;
    }
    p->response.topics.count = count;
    for (u32 i = 0; i < count; i++) {
        p->response.topics.items[i].error_code = KERR_INVALID_REQUEST;
        p->response.topics.items[i].name = p->q->topics.items[i].name;
    }
    request_reply(p->r, &p->response);
}

void handle_describe_topic_partitions(struct request *r)
{
    struct page p = {.r = r, .q = r->body};
    wire_init(&describe_topic_partitions_response_struct, &p.response);
    if (!cursor_ok(p.q)) {
        answer_refused(&p);
        return;
    }
    p.left = (u32)MIN(MAX(p.q->response_partition_limit, 1), PAGE_PARTITIONS_MAX);
    u32 count;
    struct slice *names = wanted_names(&p, &count);
    p.response.topics.items =
        wire_new(&describe_topic_partitions_response_topic_struct, &r->arena, count);
    if (names == NULL || (p.response.topics.items == NULL && count > 0)) {
        request_fail(r);
        return;
    }
    const struct describe_topic_partitions_request_cursor *cursor = p.q->cursor;
    for (u32 i = 0; i < count; i++) {
        int order = cursor == NULL ? 1 : slice_cmp(names[i], cursor->topic_name);
        u32 from = order == 0 && cursor->partition_index > 0 ? (u32)cursor->partition_index : 0;
        if (order >= 0 && !add_topic(&p, names[i], from)) {
            break;
        }
    }
    if (p.failed) {
        request_fail(r);
        return;
    }
    request_reply(r, &p.response);
}
