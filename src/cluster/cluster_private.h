/* What start, the metadata log and the producer ids share. */
#pragma once

#include "cluster/cluster.h"

#define CLUSTER_REASON_BYTES 1024

/* Commands of one metalog_append, as bytes; with others they become a slot. */
struct metalog_entry {
    struct list_node node;
    struct metalog_append *append; /* NULL: forgotten, or the cluster's own affair is over */
    u32 command_count;
    size_t bytes;
    u8 encoded[];
};

struct metalog {
    u64 next_slot;
    u64 slots_since_snapshot;
    struct list queue;   /* metalog_entry, not in a slot yet */
    struct list writing; /* metalog_entry, in the slot that is being written */
    bool busy;           /* a slot or a snapshot is in flight */
    struct home_meta_write write;
    u8 *payload; /* of what is in flight */
    struct meta_range
        *gone; /* partitions of deleted topics that the log still has, last one first */
    u32 gone_count;
    u32 gone_cap;
    u32 removals_left; /* in this turn */
    struct io_hook hook;
    struct io_timer wake; /* an append from a later hook must not sleep until something happens */
};

/* Ids in hand: first `next` to `end`, then the spare block. */
struct producer_ids {
    bool any; /* was given away */
    u64 first;
    u64 next;
    u64 end;
    u64 spare_next;
    u64 spare_end;
    bool fetching;
    struct metalog_append append;
    struct meta_command command;
    struct list waiters; /* producer_id_waiter */
};

/* A command that the log waits for (filing.c). */
struct cluster_filing {
    struct metalog_append append;
    struct meta_command command;
};

struct cluster {
    struct cluster_params params;
    struct uuid id;
    struct meta *meta;
    struct metalog metalog;
    struct producer_ids ids;
    struct cluster_filing filing;
    struct cluster_filing repacking;
    bool fenced; /* the callback ran */
    bool draining;
    void (*drained)(void *user, err_t result);
    void *drained_user;
    struct cluster_filing seal; /* at the end */
    char reason[CLUSTER_REASON_BYTES];
};

/* Sets the reason and passes `e` on. */
PRINTF_LIKE(3, 4) MUST_USE err_t cluster_fail(struct cluster *c, err_t e, const char *fmt, ...);

/* The partition starts where the metadata says; one that is gone is passed over. */
void log_start_follow(struct cluster *c, u32 partition_id);

void metalog_init(struct cluster *c);
void metalog_start(struct cluster *c); /* from now on turns write what is queued */
void metalog_fini(struct cluster *c);

/* A slot's payload: u32 number of commands, then the commands. The caller frees it. */
u8 *metalog_payload(const struct meta_command *commands, u32 count, size_t *bytes);
/* Applies a slot that is durable. ERR_CORRUPT or ERR_VERSION with a reason: nothing after the
   command that cannot be read was applied. */
MUST_USE err_t metalog_replay(struct cluster *c, u64 slot, struct slice payload);

void producer_ids_init(struct cluster *c);
void producer_ids_fini(struct cluster *c);
