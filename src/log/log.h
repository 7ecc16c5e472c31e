/* Partitions on top of a home: group commit (wal.c), offsets, producers, high watermark and read
   index (partition.c), hot cache (the WAL's own chunks), recovery (recover.c). Single-threaded, on
   the loop.

   Append: the broker verifies a batch (wire/batch.h), then partition_append copies it once into the
   open WAL slot, with base offset and leader epoch patched in front of the CRC. At turn end
   (IO_HOOK_LOG) slots are cut and handed to the home while fewer than K writes are in flight. When
   a slot and all before it are durable, high watermarks move, log waiters of that slot are released
   and partition watchers are told. Nothing is visible or answered before.

   Read: partition_read gives ranges (wal, slot, pos, bytes) of whole batches, never bytes; a range
   is turned into bytes by log_peek (hot: a pointer that is valid until the end of this turn) or
   log_load (cold: asynchronous, into a bounded pool). A stalled reader therefore pins nothing.

   How a run looks in memory: one index entry per run = per (partition, slot), more when a
   partition's batches in a slot are large; the batches of one entry are contiguous in the slot
   (wal.c sorts small ones when it cuts) and an entry is one batch of any size or several of at most
   LOG_RUN_BYTES together. */
#pragma once

#include "home/home.h"
#include "wire/wire.h"

#define LOG_RUN_BYTES (64u * 1024u)
/* Blob size of WAL chunks; a bigger batch gets a chunk of its own. */
#define LOG_CHUNK_BYTES (2u * 1024u * 1024u)

struct log;
struct partition;

enum log_canary { /* simulator only */
                  LOG_CANARY_ACK_EARLY = 1,
                  LOG_CANARY_FORGET_PRODUCERS = 2,
                  LOG_CANARY_FORGET_PACK_PRODUCERS = 4,
                  LOG_CANARY_TRIM_EARLY = 8,
                  LOG_CANARY_FORGET_BURIED_PRODUCERS = 16,
                  LOG_CANARY_BELIEVE_PART = 32,
};

struct log_filed {
    u64 wal;
    u64 from;
    u64 to;
    struct home_pack pack; /* bytes 0: none, there was nothing in these slots */
};

enum { LOG_REPACK_INPUTS_MAX = 8 };
struct log_repacked {
    u64 inputs[LOG_REPACK_INPUTS_MAX]; /* ids of neighbours in the metadata state's list */
    u32 input_count;
    struct home_pack output; /* takes their place. bytes 0: none, nothing in them lived */
};

/* A pack is not what was written. Its batches [base_offset, next_offset) are refused to readers
   from now on (quarantined), or, with ERR_IO, as long as they cannot be read. With what != NULL it
   is not batches but what a start needs to find them. */
struct log_damage {
    u64 pack;
    u64 at; /* byte of the file */
    err_t why;
    const char *what; /* "the header", "the index" ...; NULL: batches */
    u32 partition;
    u64 base_offset;
    u64 next_offset;
};

struct log_params {
    struct io *io;
    struct home *home;
    struct quota *quota;    /* the budget all of this charges to */
    u64 hot_bytes;          /* cap of WAL chunks: open, in flight and hot cache together */
    u64 cold_bytes;         /* cap of cold read buffers */
    u32 inflight_max;       /* 1..FRAME_INFLIGHT_MAX */
    i64 producer_expiry_ms; /* producer.id.expiration.ms */
    u64 wal_bytes_max;      /* not filed yet; at this bound appends wait. 0 = 512 MiB, or the 7/8 of
                               hot_bytes if that is less, but more than 64 MiB, and less where
                               batches leave much of a chunk empty */
    i64 file_delay_ms;      /* what is older is filed, however little it is. 0 = 60 s */
    u64 stretch_bytes;      /* of WAL in one pack, at most; 0 = an eighth of hot_bytes */
    u32 keep_run_bytes; /* a partition's batches stay where the WAL has them if the runs they are
                           in have as much on average; 0 = 8 KiB */
    bool keep_always;  /* whatever the WAL wrote to the end of is kept: not only under pressure, and
                          however little of it is batches. For tests */
    u64 reserve_bytes; /* kept free for what is not a user's; below it appends are refused. 0 = 96
                          MiB */
    /* Slots [from, to) of a WAL are in a pack, durably: the metadata are to say so, then
       log_file_committed. NULL: nothing is ever filed. */
    void (*file)(void *user, const struct log_filed *filed);
    /* Packs were rewritten: the same, then log_repack_committed. NULL: none ever is. */
    void (*repack)(void *user, const struct log_repacked *repacked);
    /* The scrubber found what nobody had asked for yet. NULL: nobody is told. */
    void (*damaged)(void *user, const struct log_damage *damage);
    /* A start reads so many packs, the newest, and the older ones after it, in the background. 0:
       16, or fewer large ones. */
    u32 start_packs;
    /* An older pack cannot be read (home_knows: home_reason says why), or does not fit the others:
       the process is to end. Nothing was answered that depends on it. */
    void (*unreadable)(void *user, err_t why, bool home_knows);
    u32 canaries;
    /* Storage failed for good: stop acknowledging, end the process. */
    void (*fenced)(void *user, err_t why);
    void *user;
};
MUST_USE struct log *log_create(const struct log_params *params);
void log_destroy(struct log *l); /* also when io is dead and writes are in flight */

/* ---- start: recovery and the session's WAL --------------------------------------------------- */

/* What the metadata say of partitions. Functions may be NULL: all exist, all begin at 0. */
struct log_wanted {
    void *user;
    bool (*exists)(void *user, u32 partition_id); /* false: of a deleted topic */
    u64 (*log_start)(void *user, u32 partition_id);
};
/* Blocking, before any WAL. Sweeps the packs that are not in the list and rebuilds partitions from
   those that are, in the list's order, which is that of the metadata state: from the newest, while
   the older ones are read after log_start_wal; `wanted` is asked until the log is whole. next_id:
   of the next pack, above all ids that the metadata ever named. */
MUST_USE err_t log_recover_packs(struct log *l, const struct home_pack *packs, u32 count,
                                 u64 next_id, const struct log_wanted *wanted);
/* Blocking. Replays one earlier WAL (in order of wal id): rebuilds offsets, producers, epochs and
   the index of every partition found. *length as home_wal_scan. */
struct log_wal {
    u64 id;
    u64 nonce;
    u64 trim;          /* slots below it are in packs */
    u64 sealed_length; /* UINT64_MAX: not sealed */
};
MUST_USE err_t log_recover_wal(struct log *l, const struct log_wal *wal,
                               const struct log_wanted *wanted, u64 *length);
/* After recovery. Partitions' leader epochs are set by log_partition. */
MUST_USE err_t log_start_wal(struct log *l, struct uuid cluster, u64 wal, u64 nonce);

/* The partition with that id; made (empty, leader epoch as given) when not there. leader_epoch at
   or above the one it has becomes the current one, with its start offset in the epoch cache. Never
   NULL. */
struct partition *log_partition(struct log *l, u32 id, i32 leader_epoch);
void log_partition_remove(struct log *l,
                          u32 id); /* topic deleted: watchers are told with ERR_NOT_FOUND */

/* Moves the first offset that readers may see forward, never back; reading below it is
   ERR_NOT_FOUND from now on, and watchers are told. The caller has made it durable, and it is not
   above the high watermark; but before log_start_wal, when recovery found less than there was, the
   partition then begins and ends there. The batch that holds the offset stays whole. Producers
   stay: one that is idle while all it wrote goes may still repeat its last batch [KAFKA-7190]. */
void partition_set_log_start(struct partition *p, u64 offset);

/* Is the index of all packs known? Else nothing may be asked of partitions but partition_is_ready
   and what it allows: who has another question waits, and is told once, in a hook. Where the log
   cannot become whole it is not. */
bool log_is_whole(const struct log *l);
struct log_whole_waiter {
    struct list_node node;
    void (*whole)(struct log_whole_waiter *w);
};
void log_whole_wait(struct log *l, struct log_whole_waiter *w);
void log_whole_cancel(struct log_whole_waiter *w); /* no-op when not waiting */
/* May this batch be appended before the log is whole: are the partition's end and all that matters
   of the batch's producer known? new_producer: its id was given away since the start. */
bool partition_is_ready(struct partition *p, const struct batch_view *view, bool new_producer);

struct partition_info {
    u32 id;
    i32 leader_epoch;
    u64 log_start_offset;
    u64 high_watermark;     /* durable */
    u64 last_stable_offset; /* = high watermark until transactions exist */
    u64 log_end_offset;     /* appended, perhaps not durable yet */
    u64 bytes;              /* of the runs that hold an offset from the start on */
};
void partition_info(const struct partition *p, struct partition_info *out);

/* The metadata say it, durably (OK), or never will (the pack is removed). */
void log_file_committed(struct log *l, err_t result);
void log_repack_committed(struct log *l, err_t result);

/* ---- append ---------------------------------------------------------------------------------- */

/* Room for `bytes` of batches in WAL chunks? false: the caller stops reading and waits
   (log_room_wait); appends that fit into what was granted in this turn never fail for memory. While
   appends are refused anyway (no space, fenced, draining) there is always room: the refusal then
   reaches the client, instead of a silence. */
MUST_USE bool log_room(struct log *l, u64 bytes);
/* After log_room, for who could not bear a refusal: is the memory for one batch of `bytes` to this
   partition in hand, its index included? With true, the next append to it in this turn is not
   refused for memory. */
MUST_USE bool partition_room(struct partition *p, u64 bytes);
/* true while every append would be refused (no space, fenced, draining). With false and room, the
 * next append is not. */
bool log_refuses(const struct log *l);
/* How much room there is, for who asks whether all is well. */
struct log_space {
    u64 free_bytes;    /* of the file system, as last looked; UINT64_MAX: no limit known */
    u64 left_bytes;    /* of them, when all that is unfiled is filed */
    u64 reserve_bytes; /* with less left appends wait, and are refused when waiting does not help */
    u64 unfiled_bytes; /* of the write-ahead log */
    u64 wal_bytes_max; /* its bound: appends wait */
    bool is_short;     /* less than the reserve is left */
    bool is_full;      /* a write found no space: appends are refused */
    bool cannot_file;  /* for lack of space */
    bool is_stuck;     /* filing has ended: a slot cannot be read back */
    u64 index_bytes;   /* of the read index, in memory */
    u64 index_wait_bytes; /* with more, appends wait while sorting packs makes it smaller ... */
    u64 index_bytes_max;  /* ... and are refused here */
    bool index_is_behind; /* they wait for it */
    bool index_is_full;   /* some were refused for it, and it has not become smaller since */
};
void log_space(const struct log *l, struct log_space *out);
/* The same for what must go on while the WAL or the index is at its bound, or nothing can be filed
   for lack of space: the broker's own partitions (partition_reserve), which are small and make room
   by what they say. */
MUST_USE bool log_room_reserved(struct log *l, u64 bytes);
void partition_reserve(struct partition *p);
/* From now on what is filed of the partition is compacted by key (compact.h). A range of it that is
   filed while somebody holds it is not found any more. */
void partition_compact(struct partition *p);
struct log_room_waiter {
    struct list_node node;
    void (*granted)(struct log_room_waiter
                        *w); /* from a turn-end hook; try again at once or in the next turn */
    u64 bytes;
};
void log_room_wait(struct log *l, struct log_room_waiter *w);
void log_room_cancel(struct log_room_waiter *w); /* no-op when not waiting */

struct append_result {
    i16 kerr;       /* KERR_NONE, or the wire error; then nothing was appended */
    bool duplicate; /* an exact repeat of a stored batch: its offsets are given */
    u64 base_offset;
    i64 log_append_time_ms; /* -1 under CreateTime */
    u64 slot; /* durable when log_durable_slot > slot; wait for it (a duplicate may be in flight
                 too). Counted from 1: 0 is durable from the start (a duplicate from before the
                 restart) */
};
/* view is verified, with one batch, and views memory that may be changed in place. log_append_time:
   the topic's timestamp type is LogAppendTime (max timestamp and CRC are rewritten). Does the
   idempotence checks of kafka-semantics.md 3. */
void partition_append(struct partition *p, const struct batch_view *view, bool log_append_time,
                      struct append_result *out);

/* Slots of the current WAL known durable: all below it, as append_result counts them. */
u64 log_durable_slot(const struct log *l);
struct log_waiter {
    struct list_node node;
    void (*done)(struct log_waiter *w,
                 err_t result); /* OK, or ERR_IO when the home was fenced; from a hook */
    u64 slot;
};
/* done() runs when `slot` is durable (in a hook, later, also when it already is). */
void log_wait(struct log *l, struct log_waiter *w, u64 slot);
void log_wait_cancel(struct log_waiter *w);

/* ---- read ------------------------------------------------------------------------------------ */

/* Where bytes are, until they are filed: what loads a range finds where they went. Its owner may
   move `pos` forward (and shorten `bytes`) as it uses it up. */
struct log_range {
    u64 object; /* id of the WAL or, with LOG_PACK_BIT, of the pack */
    u64 slot;
    u64 offset;    /* of the batch at first_pos */
    u32 first_pos; /* at or below pos */
    u32 pos;
    u32 bytes;     /* > 0; whole batches, contiguous */
    u32 partition; /* whose: a cold read checks its bytes against the partition's index */
};
#define LOG_PACK_BIT (1ull << 63)

/* Whole batches of a run that is not in memory, from the one that contains `offset` on. Where they
   begin is in the run's bytes only, so it was read for this (partition_cut). */
struct partition_cut {
    u64 offset;
    u64 next_offset;
    struct log_range run;
    u32 skip;  /* bytes of the run before them */
    u32 bytes; /* 0: nothing below the limit */
};

enum { PARTITION_READ_RANGES_MAX = 64 };
struct partition_read {
    /* in */
    u64 offset;       /* the batch that contains it is the first */
    u64 limit_offset; /* nothing at or above it (high watermark or last stable offset) */
    u32 bytes_max;    /* stop before passing it ... */
    bool one_batch;   /* ... but give at least one whole batch */
    bool whole_runs; /* what is not in memory may begin before the offset, and be all of a run where
                        one batch is owed: nothing is read to find out */
    const struct partition_cut *cut; /* of the first run; NULL: not known */
    /* out */
    struct log_range run; /* with ERR_AGAIN: to be loaded and cut */
    struct log_range ranges[PARTITION_READ_RANGES_MAX];
    u32 range_count;
    u32 bytes;       /* sum */
    u64 next_offset; /* after the last batch given */
};
/* ERR_NOT_FOUND: offset below log start or above the log end (OFFSET_OUT_OF_RANGE). ERR_CORRUPT:
   the batch there is quarantined (KAFKA_STORAGE_ERROR). OK with range_count 0: nothing below the
   limit yet. ERR_AGAIN: where the first batch begins is known only from the bytes of read->run:
   load it, have it cut, and ask the same again. */
MUST_USE err_t partition_read(struct partition *p, struct partition_read *read);
/* `data`: good bytes of read->run, as a load gave them. */
void partition_cut(const struct partition_read *read, const u8 *data, u32 bytes,
                   struct partition_cut *cut);

/* Bytes of a range if hot; the pointer is valid until the end of the turn. NULL: cold. */
const u8 *log_peek(struct log *l, const struct log_range *range);
/* Cold: reads `range` (or the part of it that fits one buffer: whole batches, unless one batch is
   larger than the pool) and verifies every batch that lies wholly in it. The range begins at a
   batch, or at the end of what an earlier load gave. One in flight per struct. */
struct log_load {
    void (*done)(struct log_load *load,
                 err_t result); /* ERR_CORRUPT: quarantined now; ERR_NO_MEMORY never */
    struct log_range range;
    const u8 *data; /* out: range.bytes bytes, until log_load_release */
    u32 bytes;
    struct log *log; /* the log's, as everything below */
    u32 state;
    bool locating; /* the window is for finding out where the range went */
    struct list_node node;
    struct window *window;
};
/* Waits its turn for a buffer when the cold pool is full; done() comes later, never inside. */
void log_load(struct log *l, struct log_load *load);
/* The same for what has been read already, ahead or for somebody else: true: as after done(OK),
   which is not called. false: nothing happened. */
bool log_load_at_hand(struct log *l, struct log_load *load);
/* Gives the buffer back (after done), or cancels (before done; done is then not called). */
void log_load_release(struct log_load *load);

/* Told once per turn: the high watermark moved (OK), or the partition is gone (ERR_NOT_FOUND). */
struct partition_watch {
    struct list_node node;
    void (*moved)(struct partition_watch *w, err_t why);
};
void partition_watch(struct partition *p, struct partition_watch *w);
void partition_unwatch(struct partition_watch *w); /* no-op when not watching */

/* ---- look-ups -------------------------------------------------------------------------------- */

/* The first run (of whole batches) that may hold a record with timestamp >= target, below the high
   watermark. ERR_NOT_FOUND: none. The caller loads it and walks its records, and asks again with
   from_offset behind it if no record fits. */
MUST_USE err_t partition_find_timestamp(struct partition *p, i64 target_ms, u64 from_offset,
                                        struct log_range *range, u64 *run_next_offset);
/* The next run that may hold the record with the largest timestamp below the high watermark.
   ERR_NOT_FOUND: no more. One run, unless that timestamp may have been one of a record below the
   log start: then every run, for what is left in each is known to its records only. Asked again
   with from_offset behind the last one, until there is none. */
MUST_USE err_t partition_find_largest_timestamp(struct partition *p, u64 from_offset,
                                                struct log_range *range, u64 *run_next_offset);
/* OffsetForLeaderEpoch, as kafka-semantics.md 4: (-1, -1) when unknown. */
void partition_end_offset_for_epoch(const struct partition *p, i32 asked, i32 *epoch,
                                    i64 *end_offset);
/* Leader epoch of the batch that holds the offset (or that would). */
i32 partition_epoch_at(const struct partition *p, u64 offset);

struct partition_producer {
    i64 id;
    i16 epoch;
    i32 last_sequence;
    i64 last_timestamp; /* the largest of its last batch */
};
/* The next producer that is remembered, in no order; begin with *cursor 0, and append nothing
   meanwhile. false: no more. */
bool partition_producer_next(const struct partition *p, u32 *cursor,
                             struct partition_producer *out);

/* ---- retention --------------------------------------------------------------------------------
 */

struct partition *log_partition_find(struct log *l, u32 id); /* NULL: never used, or deleted */
struct log_retention {
    i64 bytes_max; /* -1: no limit */
    i64 oldest_ms; /* batches whose latest timestamp is before it go; INT64_MIN: none do */
};
/* Is there something durable that the limits do not keep? *start: where the log begins without it.
 */
bool partition_expired(const struct partition *p, const struct log_retention *limits, u64 *start);

/* ---- scrubbing --------------------------------------------------------------------------------
 */

/* From now on all packs are read once within so many milliseconds, in the background; 0: never. */
void log_scrub_every(struct log *l, i64 period_ms);

/* ---- shutdown -------------------------------------------------------------------------------- */

/* Everything in the WAL is filed now, as fast as the medium takes it, so that the next start need
   not read it. Before log_drain, which gives up what is under way. */
void log_file_rest(struct log *l);
/* No more will be filed: nothing is left, or it cannot go on (no space, damage, a fence). */
bool log_rest_is_filed(const struct log *l);
/* Cuts and writes what is open, then a MARK unless all was filed; done in a later turn. No appends
   afterwards; what is loaded comes as long as done() has not run, and not after. */
void log_drain(struct log *l, void (*done)(void *user, err_t result), void *user);

/* For metrics, health and tests. */
struct log_stats {
    u64 partitions;
    u64 bytes; /* of all partitions, as partition_info counts them */
    u64 slots;
    u64 hot_bytes;
    u64 index_entries;
    u64 index_bytes;
    u64 index_bytes_max;
    u64 producers;
};
void log_stats(const struct log *l, struct log_stats *out);
