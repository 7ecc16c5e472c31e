/* What the state machine is made of: for meta.c and its snapshot only. */
#pragma once

#include "meta/meta.h"

enum { META_RESOURCE_TOPIC = 2, META_RESOURCE_BROKER = 4 };

struct topic {
    struct meta_topic t;
    char *folded; /* name with '_' for '.' */
};
/* A run of partition ids and where it stands in its topic. */
struct run {
    struct meta_range range;
    struct topic *topic;
    u32 first_index;
};
/* Dynamic configs of something that is not a topic. */
struct resource {
    i8 type;
    struct slice name;
    struct meta_config *configs;
    u32 config_count;
};
struct meta {
    struct map_slice by_name;
    struct map_slice by_id;
    struct map_slice by_folded;
    struct topic **topics; /* in order of name */
    u32 topic_count;
    u32 topic_cap;
    struct run *runs; /* in order of first id */
    u32 run_count;
    u32 run_cap;
    struct meta_session *sessions; /* in order of wal */
    u32 session_count;
    struct resource *resources;
    u32 resource_count;
    u32 partition_total;
    u32 next_partition_id;
    u32 seals; /* SealWal commands applied: a topic's leader epoch counts those since it was made */
    u64 next_wal;
    u64 next_producer_id;
};

void meta_run_add(struct meta *m, struct run run);
void meta_topic_insert(struct meta *m, struct topic *t);
void meta_session_add(struct meta *m, const struct meta_session *s);
struct resource *meta_resource(struct meta *m, i8 type, struct slice name);
