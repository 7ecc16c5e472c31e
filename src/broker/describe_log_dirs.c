/* DescribeLogDirs (API key 35): the one data directory, with the bytes of every partition and the
   space left [kafka-semantics.md 9]. */
#include "broker/conn.h"

struct dirs {
    struct request *r;
    struct describe_log_dirs_response_result *dir;
    bool failed;
};

static void add_topic(struct dirs *d, const struct meta_topic *t, const struct i32_array *only)
{
    struct request *r = d->r;
    u32 count = only == NULL ? t->partition_count : only->count;
    struct describe_log_dirs_response_partition *rows =
        wire_new(&describe_log_dirs_response_partition_struct, &r->arena, count);
    if (rows == NULL && count > 0) {
        d->failed = true;
        return;
    }
    struct describe_log_dirs_response_topic *topic = &d->dir->topics.items[d->dir->topics.count++];
    topic->name = t->name;
    topic->partitions.items = rows;
    for (u32 i = 0; i < count; i++) {
        i32 index = only == NULL ? (i32)i : only->items[i];
        struct partition *p = cluster_partition(r->broker->cluster, t, index);
        if (p == NULL) {
            continue;
        }
        struct partition_info info;
        partition_info(p, &info);
        rows[topic->partitions.count].partition_index = index;
        rows[topic->partitions.count++].partition_size = (i64)info.bytes;
    }
}

void handle_describe_log_dirs(struct request *r)
{
    const struct describe_log_dirs_request *q = r->body;
    const struct meta *meta = cluster_meta(r->broker->cluster);
    struct describe_log_dirs_response response;
    wire_init(&describe_log_dirs_response_struct, &response);
    u32 topics = q->topics.is_null ? meta_topic_count(meta) : q->topics.count;
    struct describe_log_dirs_response_result *dir =
        wire_new(&describe_log_dirs_response_result_struct, &r->arena, 1);
    if (dir == NULL) {
        request_fail(r);
        return;
    }
    struct dirs d = {.r = r, .dir = dir};
    dir->log_dir = slice_cstr(r->broker->params.data_directory);
    dir->topics.items = wire_new(&describe_log_dirs_response_topic_struct, &r->arena, topics);
    if (dir->topics.items == NULL && topics > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < topics && !d.failed; i++) {
        i16 kerr;
        const struct meta_topic *t =
            q->topics.is_null
                ? meta_topic_at(meta, i)
                : request_topic(r, q->topics.items[i].topic, (struct uuid){{0}}, false, &kerr);
        if (t != NULL) {
            add_topic(&d, t, q->topics.is_null ? NULL : &q->topics.items[i].partitions);
        }
    }
    u64 free_bytes;
    u64 total_bytes;
    if (io_space(r->broker->io, r->broker->params.data_directory, &free_bytes, &total_bytes) ==
        OK) {
        dir->total_bytes = (i64)total_bytes;
        dir->usable_bytes = (i64)free_bytes;
    }
    if (d.failed) {
        request_fail(r);
        return;
    }
    response.results.items = dir;
    response.results.count = 1;
    request_reply(r, &response);
}
