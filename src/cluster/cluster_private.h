/* What takeover, the metadata log and the producer ids share. */
#pragma once

#include "cluster/cluster.h"

/* Commands given together, as bytes; they become part of one slot. */
struct pending_append {
    struct list_node node;
    struct metalog_append *append; /* NULL: forgotten */
    u32 command_count;
    size_t bytes;
    u8 encoded[];
};

struct cluster {
    struct cluster_params params;
    struct uuid id;
    struct meta *meta;
    u64 next_slot;
    u64 slots_since_snapshot;
    char reason[1024];

    struct list queue;   /* pending_append, not written yet */
    struct list writing; /* pending_append, in the slot that is being written */
    struct home_meta_write write;
    u8 *payload;
    size_t payload_bytes;
    bool write_active;
    struct io_hook hook;

    struct list producer_waiters;
    u64 producer_next; /* ids in hand: [next, end) */
    u64 producer_end;
    bool producer_fetching;
    struct metalog_append producer_append;
    struct meta_command producer_command;

    void (*drained)(void *user, err_t result);
    void *drained_user;
};

void metalog_init(struct cluster *c);
void metalog_fini(struct cluster *c);
/* Applies one command and what follows from it in the log. */
void cluster_apply(struct cluster *c, const struct meta_command *command, struct meta_outcome *out);
/* Payload of a slot: u32 number of commands, then the commands. The caller frees it. */
u8 *metalog_payload(const struct meta_command *commands, u32 count, size_t *bytes);
/* Decodes and applies a slot's payload; outcomes may be NULL. ERR_CORRUPT: it makes no sense. */
MUST_USE err_t metalog_apply_payload(struct cluster *c, struct slice payload, struct meta_outcome *outcomes, u32 outcome_count);
void producer_ids_init(struct cluster *c);
