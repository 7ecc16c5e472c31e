/* Ownership of the data: replays and appends the metadata log, and takes over from the predecessor at start. On one
   machine a restart is a failover to itself, the same code at every start.

   Start (blocking): home_open; replay metadata; for every session not sealed: log_recover_wal finds its length; then one
   metadata slot holds SealWal for each and Register for us; earlier sealed WALs are replayed too, in wal order; log_start_wal.

   Append (metalog.c): commands are checked against the state *including those in flight*, written as one slot, applied when
   durable, and only then is done() called. Commands given in one turn share one slot. */
#pragma once

#include "log/log.h"
#include "meta/meta.h"

struct cluster;

struct cluster_params {
    struct io *io;
    struct home *home;
    struct log *log;
    i32 node_id;
    u32 snapshot_every; /* slots between snapshots; 0 = 1024 */
    void (*fenced)(void *user, err_t why); /* a metadata write failed for good; may be NULL */
    void *user;
};
MUST_USE struct cluster *cluster_create(const struct cluster_params *params);
void cluster_destroy(struct cluster *c);

/* Blocking. On failure cluster_reason tells in one sentence. */
MUST_USE err_t cluster_start(struct cluster *c);
const char *cluster_reason(const struct cluster *c);
struct uuid cluster_id(const struct cluster *c);
const struct meta *cluster_meta(const struct cluster *c);

struct metalog_append {
    struct list_node node;
    /* Runs on the loop, later, once; outcomes has one element per command. result OK: durable and applied (an outcome may still
       refuse); ERR_IO / ERR_NO_SPACE: nothing happened. */
    void (*done)(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes);
    const struct meta_command *commands; /* valid until done, with everything they point to */
    u32 command_count;
    struct cluster *cluster;
};
void metalog_append(struct cluster *c, struct metalog_append *a);
/* The waiter is gone: done() will not be called; the commands (copied already) still happen. */
void metalog_forget(struct metalog_append *a);

/* The partition object of a topic's partition, with the right epoch. NULL when the index is out of range. */
struct partition *cluster_partition(struct cluster *c, const struct meta_topic *t, i32 partition_index);

/* One producer id from the block in hand; ERR_AGAIN: a block is being fetched, `w` is called when there is one. */
struct producer_id_waiter {
    struct list_node node;
    void (*ready)(struct producer_id_waiter *w, err_t result);
};
MUST_USE err_t cluster_producer_id(struct cluster *c, i64 *id, struct producer_id_waiter *w);
void cluster_producer_id_cancel(struct producer_id_waiter *w);

/* Seals: drains the log, then nothing is left to replay but frames. */
void cluster_drain(struct cluster *c, void (*done)(void *user, err_t result), void *user);
