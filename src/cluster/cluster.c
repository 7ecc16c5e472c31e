/* The cluster object: its life, and what others ask it for. How it starts is in takeover.c, how
   metadata is written in metalog.c, producer ids are in producer_ids.c. */
#include "cluster/cluster_private.h"

#include <stdarg.h>
#include <stdio.h>

enum { SNAPSHOT_EVERY_DEFAULT = 1024 };

struct cluster *cluster_create(const struct cluster_params *params)
{
    assert(params->io != NULL);
    assert(params->home != NULL);
    assert(params->log != NULL);
    struct cluster *c = mem_alloc(sizeof(*c));
    c->params = *params;
    if (c->params.snapshot_every == 0) {
        c->params.snapshot_every = SNAPSHOT_EVERY_DEFAULT;
    }
    c->meta = meta_create();
    metalog_init(c);
    producer_ids_init(c);
    return c;
}

void cluster_destroy(struct cluster *c)
{
    if (c == NULL) {
        return;
    }
    producer_ids_fini(c);
    metalog_fini(c);
    meta_destroy(c->meta);
    mem_free(c);
}

err_t cluster_fail(struct cluster *c, err_t e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->reason, sizeof(c->reason), fmt, args);
    va_end(args);
    return e;
}

const char *cluster_reason(const struct cluster *c)
{
    return c->reason;
}

struct uuid cluster_id(const struct cluster *c)
{
    return c->id;
}

u64 cluster_metadata_end(const struct cluster *c)
{
    return c->metalog.next_slot;
}

const struct meta *cluster_meta(const struct cluster *c)
{
    return c->meta;
}

struct partition *cluster_partition(struct cluster *c, const struct meta_topic *t,
                                    i32 partition_index)
{
    if (partition_index < 0 || (u32)partition_index >= t->partition_count) {
        return NULL;
    }
    u32 id = meta_partition_id(t, (u32)partition_index);
    struct partition *p = log_partition(c->params.log, id, meta_leader_epoch(c->meta, t));
    if (t->internal) {
        partition_reserve(p);
    }
    return p;
}

void log_start_follow(struct cluster *c, u32 partition_id)
{
    const struct meta_topic *t;
    u32 index;
    if (meta_partition_owner(c->meta, partition_id, &t, &index)) {
        partition_set_log_start(cluster_partition(c, t, (i32)index),
                                meta_log_start(c->meta, partition_id));
    }
}
