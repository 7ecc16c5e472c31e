/* Ownership of the data: replays and appends the metadata log, and takes over from the predecessor
   at start. On one machine a restart is a failover to itself, the same code at every start.

   Start (blocking): home_open; replay metadata; for every session not sealed: log_recover_wal finds
   its length; then one metadata slot holds SealWal for each and Register for us; earlier sealed
   WALs are replayed too, in wal order; log_start_wal.

   Append (metalog.c): commands given in one turn share one slot. They are checked in order and
   applied when the slot is durable, and only then is done() called: what it finds in the state is
   durable. Topics live until a command deletes them: a meta_topic found in one turn is to be looked
   up again in a later one.

   Ends: cluster_destroy calls nobody; what is queued is never told. As with home_destroy, nothing
   may be in flight (cluster_drain sees to that) unless the io is dead. */
#pragma once

#include "log/log.h"
#include "meta/meta.h"

struct cluster;

struct cluster_params {
    struct io *io;
    struct home *home;
    struct log *log;
    i32 node_id;
    u32 snapshot_every;                    /* slots between snapshots; 0 = 1024 */
    void (*fenced)(void *user, err_t why); /* a metadata write failed for good; may be NULL */
    /* A topic is about to go, durably decided; may be NULL. Not called while the log is
       replayed. */
    void (*topic_deleted)(void *user, const struct meta_topic *topic);
    void *user;
};
MUST_USE struct cluster *cluster_create(const struct cluster_params *params);
void cluster_destroy(struct cluster *c);

/* Blocking, once. On failure cluster_reason says what is wrong, where, and what to do. After a
   start that went well it is empty, or tells what was repaired: worth a warning. */
MUST_USE err_t cluster_start(struct cluster *c);
const char *cluster_reason(const struct cluster *c);
/* The same for a pack that was found bad after the start (log_params.unreadable). */
MUST_USE err_t cluster_explain_packs(struct cluster *c, err_t e, bool home_knows);
struct uuid cluster_id(const struct cluster *c);
const struct meta *cluster_meta(const struct cluster *c);
u64 cluster_metadata_end(const struct cluster *c); /* slots of the metadata log so far */

struct metalog_entry;
struct metalog_append { /* zeroed before its first use */
    /* Runs on the loop, later, once; outcomes has one element per command. result OK: durable and
       applied (an outcome may still refuse); ERR_NO_SPACE: nothing happened; ERR_IO: the medium
       failed, only the next start will know whether it happened. */
    void (*done)(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes);
    /* Copied by metalog_append, with everything they point to. */
    const struct meta_command *commands;
    u32 command_count;
    struct metalog_entry *entry; /* the metadata log's; NULL when nothing is under way */
};
void metalog_append(struct cluster *c, struct metalog_append *a);
/* The waiter is gone: done() will not be called; the commands still happen. No-op when nothing is
   under way. */
void metalog_forget(struct metalog_append *a);

/* The partition object of a topic's partition, with the right epoch. NULL when the index is out of
   range. */
struct partition *cluster_partition(struct cluster *c, const struct meta_topic *t,
                                    i32 partition_index);

/* One producer id from the block in hand; ERR_AGAIN: a block is being fetched, `w` is called when
   there is one. */
struct producer_id_waiter {
    struct list_node node;
    void (*ready)(struct producer_id_waiter *w, err_t result);
};
MUST_USE err_t cluster_producer_id(struct cluster *c, i64 *id, struct producer_id_waiter *w);
/* Was it given away since the start? */
bool cluster_producer_id_is_new(const struct cluster *c, i64 id);
void cluster_producer_id_cancel(struct producer_id_waiter *w); /* no-op when not waiting */

/* What log_params.file and log_params.repack are for: the metadata say it, then the log hears. */
void cluster_file(struct cluster *c, const struct log_filed *filed);
void cluster_repack(struct cluster *c, const struct log_repacked *repacked);

/* Once. Waits for what is queued for the metadata log, drains the log and seals this session's WAL,
   so that the next start need not look for its end; where that cannot be written, the next start
   seals. done(): what log_drain said. */
void cluster_drain(struct cluster *c, void (*done)(void *user, err_t result), void *user);
