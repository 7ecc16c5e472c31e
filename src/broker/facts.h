/* What the HTTP port is told of the broker: facts, collected on the loop (facts_collect.c,
   health.c), made into text on the HTTP thread (metrics_text.c, health.c). Facts hold copies only,
   so that whoever has them needs nobody's leave; facts_destroy may be called on any thread. */
#pragma once

#include "broker/traffic.h"

/* A run of bytes of facts->names. */
struct facts_name {
    u32 at;
    u32 len;
};

struct facts_topic {
    struct facts_name name;
    u32 partition_count;
    struct topic_traffic traffic;
};
struct facts_partition {
    u32 topic; /* index in topics */
    u32 index;
    u64 start;
    u64 end; /* high watermark */
    u64 bytes;
};
struct facts_group {
    struct facts_name name;
    u32 member_count;
};
struct facts_offset {
    u32 group;               /* index in groups */
    struct facts_name topic; /* not an index: topics may be capped where offsets are not */
    i32 partition;
    u32 partition_id;
    u64 offset;
    u64 lag;
    i64 oldest_ms; /* timestamp of the oldest record that was not read; FACTS_UNKNOWN */
};
#define FACTS_UNKNOWN INT64_MIN
/* All committed offsets of a group in one topic. */
struct facts_group_topic {
    u32 group;
    struct facts_name topic;
    u64 offset_sum;
    u64 lag_sum;
};

#define FACTS_LIST(type) \
    struct {             \
        type *items;     \
        u32 count;       \
        u32 cap;         \
    }
struct facts {
    /* From the beginning of the collection on, so that ages are of one moment. */
    i64 wall_ms;
    u64 slots[METRIC_COUNT];
    struct metric_histogram histograms[HISTOGRAM_COUNT];
    struct topic_traffic traffic; /* of all topics, those that are gone too */
    u32 topic_total;
    u32 partition_total;
    u32 group_total;
    u32 connections;
    f64 loop_idle; /* share of the time, 0..1 */
    char listener[80];
    u64 log_bytes;
    u64 hot_bytes;
    u64 index_bytes;
    u64 index_bytes_max;
    u64 memory_cap;
    u64 quota_used[3]; /* log, receive, requests */
    u64 quota_cap[3];
    struct request_times *times; /* one per row of api_rows */
    u32 left_out; /* series of partitions, topics, groups and offsets above the cap */

    FACTS_LIST(struct facts_topic) topics; /* in order of their names */
    FACTS_LIST(struct facts_partition) partitions;
    FACTS_LIST(struct facts_group) groups;
    FACTS_LIST(struct facts_offset) offsets;
    FACTS_LIST(struct facts_group_topic) group_topics;
    FACTS_LIST(char) names;
};

/* Room for n more; returns where they begin. */
#define FACTS_ADD(list, n)                                                                     \
    (facts_grow((void **)&(list)->items, &(list)->count, &(list)->cap, sizeof(list)->items[0], \
                (n)),                                                                          \
     &(list)->items[(list)->count - (n)])
void facts_grow(void **items, u32 *count, u32 *cap, size_t item_bytes, u32 added);
struct facts_name facts_name_add(struct facts *f, struct slice name);
struct slice facts_name_of(const struct facts *f, struct facts_name name);
void facts_destroy(struct facts *f);

/* ---- collecting, on the loop ------------------------------------------------------------------
 */

/* At most one at a time. Calls done() in a later turn, with facts that are the caller's. */
struct facts_collector;
MUST_USE struct facts_collector *facts_collector_create(struct broker *b);
void facts_collector_destroy(struct facts_collector *c); /* what is under way is dropped */
void facts_collect(struct facts_collector *c, void (*done)(void *user, struct facts *f),
                   void *user);

/* ---- text, anywhere ---------------------------------------------------------------------------
 */

/* The Prometheus text format, version 0.0.4. The caller frees the bytes (mem_free). */
#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
char *metrics_text(const struct facts *f, const struct io_process *process, size_t *len);
/* Families that are not rows of base/metrics.def, for the printed documentation: i = 0, 1 ...;
   false: no more. */
bool metrics_family_at(u32 i, const char **name, const char **kind, const char **labels,
                       const char **doc);
