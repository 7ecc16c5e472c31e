/* What the files of log/ share. Only they include this.

     log.c        create, destroy, the turn's order, partitions by id, statistics
     chunk.c      WAL chunks: memory of open slots, slots in flight and the hot cache; room
     wal.c        slots: fill, cut, write, commit; waiters; MARK, no space, fencing, drain
     layout.c     the bytes of one slot: sorting by partition, sealing
     partition.c  append, read, look-ups, watches
     index.c      the runs of a partition and its leader epochs
     object.c     what runs point into: WALs and packs
     rewrite.c    packs that are dead, sparse or small (rewrite_build.c: the worker's part)
     scrub.c      reading all packs again and again, for what has rotted
     compact.c    key compaction of what is filed, for the broker's own partitions
     filing.c     moving stretches of the WAL into packs (filing_build.c: the worker's part)
     pace.c       how fast the two write
     producer.c   idempotence: the last five batches of every producer
     cold.c       reads of what is not in the hot cache
     window.c     the buffers of cold reads, a small cache of their own
     recover.c    rebuilding partitions from the newest packs and earlier WALs
     older.c      and from the older packs, while producers are served

   Two numberings. The home counts slots 0, 1, 2 ... within a WAL; so do runs and ranges. What a
   caller waits for (append_result.slot, log_wait, log_durable_slot) is a *position*: slot + 1.
   Position 0 is before the first slot and always durable: it is what a duplicate of a batch from an
   earlier WAL waits for. */
#pragma once

#include "log/log.h"

enum {
    /* Smaller batches are staged and sorted by partition when the slot is cut: one more copy of few
       bytes, one index entry for all of a partition's. Larger ones stay where they were copied to
       and have an entry each (or one per LOG_RUN_BYTES if neighbours). Just below the 16 KiB that
       most producers batch by default, so that those are copied once. */
    LOG_STAGED_BYTES = 8 * 1024,
    LOG_SLOT_ENTRIES_MAX = 8192,        /* bounds sorting and the memory beside the frame */
    LOG_BATCH_BYTES_MAX = 32 << 20,     /* storage.md, Limits */
    LOG_FULL_SLOT_BYTES = 256 * 1024,   /* a full slot is not followed by one smaller than this */
    LOG_SECOND_SLOT_BYTES = 704 * 1024, /* goes beside one write; see wal.c */
    LOG_PRODUCER_BATCHES = 5,           /* Kafka's window of duplicates */
    LOG_WINDOW_BYTES = 64 * 1024,       /* read at once around a small cold range */
    LOG_TINY_WINDOW_BYTES = 8 * 1024,
    LOG_LOAD_BYTES_MAX = 1024 * 1024, /* what one load may pin */
    LOG_READERS = 64,                 /* that are read ahead for, the latest */
    LOG_OBJECT_SHIFT = 42,            /* in run.place: slot below, index of the object above */
    LOG_BLOCK_BYTES = 4096,           /* frames are multiples of it */
};
#define LOG_MARK_DELAY_NS  1000000000ull
#define LOG_SPACE_RETRY_NS 250000000ull
/* Writes that take longer than this are worth overlapping even if no slot is full. */
#define LOG_SLOW_WRITE_NS 3000000ull

/* ---- index ----------------------------------------------------------------------------------- */

enum run_flag {
    RUN_STAGED = 1,      /* in the open slot, place in it not known yet */
    RUN_QUARANTINED = 2, /* its bytes disagree with their checksum */
    RUN_TOLD = 4,        /* and the scrubber has said so */
};

/* Whole batches of one partition, contiguous in one slot. Offsets abut: a run ends where the next
   one starts, the last one at the partition's end. */
struct run {
    u64 base_offset;
    i64 max_timestamp_so_far; /* of this and all earlier runs: ascending, so it can be searched */
    u64 place;                /* index of the object << LOG_OBJECT_SHIFT | slot, 0 in a pack */
    u32 pos;
    u32 bytes;
    i32 leader_epoch;
    u32 flags;
};
static_assert(sizeof(struct run) == 40, "one per partition and slot: every byte counts");

struct epoch_start {
    u64 start_offset;
    i32 leader_epoch;
};

/* ---- producers ------------------------------------------------------------------------------- */

struct producer_batch {
    u64 base_offset;
    u64 position; /* durable when log_durable_slot is above it ... */
    i64 max_timestamp;
    i32 first_sequence;
    i32 last_sequence;
};
struct producer {
    struct list_node by_use; /* in log.producers_by_use */
    struct partition *partition;
    i64 id;
    i64 last_write_ms; /* wall clock */
    i16 epoch;
    u8 count;
    u8 newest; /* index into batches, when count > 0 */
    struct producer_batch batches[LOG_PRODUCER_BATCHES];
};

/* ---- partitions ------------------------------------------------------------------------------ */

struct partition {
    struct log *log;
    u32 id;
    i32 leader_epoch; /* -1: none yet */
    u64 leader_epoch_start;
    struct epoch_start *older_epochs; /* ascending; each has at least one offset */
    u32 older_epoch_count;
    u32 older_epoch_cap;
    u64 start_offset;
    u64 end_offset; /* appended */
    u64 high_watermark;
    u64 bytes;
    i64 deleted_max_timestamp; /* of all runs with something below the start, INT64_MIN: none */
    struct run *runs;
    u32 run_count;
    u32 run_cap;
    u64 touched_slot; /* slot + 1 of the slot that touched_index and first_open_run are about */
    u32 touched_index;
    u32 first_open_run;
    struct map64 producers; /* id -> struct producer */
    struct list watches;
    struct list_node moved; /* in log.moved */
    bool reserved;          /* the broker's own: the bound of the WAL is not for it */
    bool compacted;         /* its id is in log.compacted */
    bool ended;             /* as long as the log is not whole: its end is known ... */
    bool attached;          /* ... and all of it is */
};
static_assert(sizeof(struct partition) <= 256, "10,000s of these");

/* ---- chunks and slots ------------------------------------------------------------------------ */

/* Memory that slots are carved from, one after the other. */
struct chunk {
    struct list_node node; /* in log.chunks (oldest first), log.spare or log.retiring */
    struct blob *blob;
    u32 used;       /* taken by finished slots */
    u32 undurable;  /* slots in it that are not durable, the open one included */
    bool has_slots; /* the two below mean something */
    u64 first_slot;
    u64 last_slot;
    u64 peek_turn; /* somebody may hold a pointer into it until the end of that turn */
    u32 pins;      /* a worker reads it (filing.c) */
};

/* A slot whose bytes are in memory. */
struct hot_slot {
    struct chunk *chunk; /* NULL: evicted */
    u32 offset;
    u32 bytes;
};

/* One partition's share of a slot. */
struct touched {
    struct partition *partition; /* NULL: removed meanwhile */
    u64 end_offset;              /* the high watermark when the slot is durable */
    u32 id;
    u32 entry_count;
    u32 entry_first; /* among the sorted, while laying out */
    bool staged;     /* has staged batches */
};

enum slot_state {
    SLOT_OPEN,
    SLOT_QUEUED,  /* complete, waits to be written */
    SLOT_WRITING, /* the home has it */
    SLOT_WRITTEN, /* durable by itself, perhaps not yet all before it */
};

struct slot {
    struct list_node node; /* in log.pending in order of number, or log.free_slots */
    struct log *log;
    enum slot_state state;
    enum frame_kind kind;
    bool sealed;
    bool released; /* waiters and watermarks have been told */
    u64 number;
    struct chunk *chunk;
    u32 offset;   /* in the chunk */
    u32 capacity; /* bytes it may take there */
    u32 total_bytes;
    u32 placed_bytes; /* payload that is where it will stay */
    u32 staged_bytes; /* payload in log.staging */
    u32 entry_count;
    struct frame_entry *entries; /* sorted; only while it is queued unsealed */
    u64 write_start_ns;
    bool alone; /* no other write was under way when this one began */
    struct home_write write;
    struct list waiters;
    struct touched *touched;
    u32 touched_count;
    u32 touched_cap;
};

/* A batch of the open slot, in order of arrival. */
struct open_entry {
    struct frame_entry entry; /* pos is in the staging buffer when staged */
    u32 touched;
    bool staged;
};

enum rewrite_state {
    REWRITE_IDLE,
    REWRITE_INDEXING,
    REWRITE_MARKING,
    REWRITE_COPYING,
    REWRITE_COPIED, /* the other one's command is on its way: there is one at a time */
    REWRITE_COMMITTING,
    REWRITE_APPLYING,
};
/* Of work in visits of a worker (pace.c). */
struct pace {
    struct io_timer pause; /* between two visits */
    u64 visit_ns;          /* when the last one began */
};
enum filing_state {
    FILING_IDLE,
    FILING_BUILDING,
    FILING_COMMITTING,
    FILING_APPLYING,
    FILING_STUCK
};

/* Cold bytes of one frame, in memory or on their way (window.c). */
struct window {
    struct list_node node; /* in log.windows, least recently used first */
    struct log *log;
    struct window *same_stretch; /* another one that begins there */
    u64 place;
    u32 refs; /* loads */
    bool cached;
    bool reading;
    bool wide;  /* more than was asked for */
    bool spent; /* of one reader, who has had its end: goes when it is released */
    u32 uses;   /* loads, ever; 0: read ahead, and nobody came yet */
    err_t result;
    struct list waiters; /* log_load.node, while reading */
    struct home_read read;
};
enum window_kind {
    WINDOW_CACHED,
    WINDOW_AHEAD, /* cached, for somebody who will come */
    WINDOW_ALONE, /* not cached */
};

/* Somebody who reads a partition from run to run (cold.c). Not one connection: those who are at the
   same place are one reader. */
struct cold_reader {
    u32 partition;
    u64 at;        /* base offset of the run it came for last */
    u64 ahead;     /* of the first run that was neither asked for nor read ahead */
    u32 bytes_max; /* to read ahead; 0: came once */
    u64 used;      /* when, in loads */
};

/* What runs point into: a WAL or a pack (object.c). */
struct log_object {
    u64 id;         /* of the WAL or, with LOG_PACK_BIT, of the pack; LOG_NO_ID: not used */
    u64 live_bytes; /* that runs point to */
    /* a WAL */
    u64 nonce;
    u64 trim;         /* slots below it are filed */
    u64 dead_bytes;   /* of runs in unfiled slots that nobody will ask for; about */
    u16 *slot_blocks; /* sizes of the frames of slots [slot_base, slot_end) */
    u64 slot_base;
    u64 slot_end;
    u64 slot_cap;
    /* a pack */
    u64 payload_bytes; /* that it was made with */
    u32 bytes;         /* of the file */
    u32 statements;    /* of producers, in its index */
    bool busy;         /* being rewritten, or its end is on its way to the metadata */
    u64 removals;      /* log.removals when its statements were looked at last; 0: never */
    u64 outlived_ns;   /* when the last of its producers will be forgotten, if they are silent */
    u64 scrubbed_ns;   /* made, or wholly read by the scrubber; 0: neither since the start */
};
#define LOG_NO_ID     UINT64_MAX
#define LOG_NO_OBJECT UINT32_MAX
#define LOG_NO_PLACE  UINT64_MAX

struct sort_key {
    u32 id;
    u32 index;
};

/* ---- the log --------------------------------------------------------------------------------- */

struct log {
    struct log_params params;
    struct io *io;
    struct home *home;
    u64 turn;
    struct io_hook turn_hook;
    struct io_hook late_hook;
    struct io_timer wake; /* only makes a turn happen */

    struct map64 partitions;
    struct pool partition_pool;
    struct pool producer_pool;
    struct list producers_by_use; /* of all partitions, the longest silent first */
    u64 removals;                 /* of partitions with producers, and 1 */
    struct quota index_quota;
    u64 index_uncharged;   /* bytes of index beyond the quota: of a start, or for a moment */
    u64 no_memory_told_ns; /* when a refusal for lack of memory was told last; 0: never */
    bool index_full;       /* it has been told that batches are refused for it */
    u64 index_entries;
    u64 bytes;                  /* of all partitions */
    struct list moved;          /* partitions whose high watermark or start moved, with watches */
    struct partition *notified; /* its watches are being told ... */
    struct list notify_left;    /* ... and these are still to come */

    /* object.c */
    struct log_object *objects;
    u32 object_count; /* in use, or in free_objects */
    u32 object_cap;
    u32 *free_objects;
    u32 free_object_count;
    struct map64 objects_by_id; /* id -> index + 1, as a pointer */
    u64 slots_charged;          /* of slot_blocks, to the index quota */
    u32 wal_object;             /* the current WAL's */

    /* filing.c */
    u32 *unfiled; /* WALs that are not wholly filed, in order; the current one last */
    u32 unfiled_count;
    u32 unfiled_cap;
    u64 unfiled_bytes;   /* of durable slots with batches */
    u64 undurable_bytes; /* of batches on their way there */
    enum filing_state filing;
    struct filing_job *filing_job;
    u32 filing_applied;       /* runs of the job that the index has */
    u32 filing_object;        /* the pack's, while they are applied */
    u64 next_pack;            /* id */
    u64 filing_stretch_bytes; /* of one pack, at most */
    u64 filing_start_bytes;   /* unfiled that are worth a pack */
    bool bound_is_memory;     /* what is unfiled shall not outgrow the hot cache */
    bool filing_rest;         /* log_file_rest */
    bool filed_once;          /* in this session */
    bool filing_due;          /* slots below filing_due_slot go, however little they are */
    u64 filing_due_slot;
    bool filing_no_space;
    u64 keep_above;               /* bytes per second: of faster producers files are kept */
    bool keep_failed;             /* the file system has no second names */
    struct io_timer filing_timer; /* the oldest unfiled batches are old enough */
    struct io_timer filing_retry;
    bool space_short;   /* what is free may be needed to file what is unfiled: users wait */
    u64 space_since_ns; /* it is, or is not */
    bool space_told;    /* that it is */
    struct io_timer space_look;
    struct pace filing_pace;
    struct blob_pool filing_pool;
    u32 *compacted; /* partitions that are filed compacted; perhaps some that are gone */
    u32 compacted_count;
    u32 compacted_cap;

    /* rewrite.c */
    u32 *packs; /* objects, in the metadata state's order */
    u32 pack_count;
    u32 pack_cap;
    enum rewrite_state rewrite; /* of sparse or small packs */
    struct rewrite_job *rewrite_job;
    bool rewrite_due;          /* something may be worth it */
    enum rewrite_state burial; /* of dead packs: the same states */
    struct rewrite_job *burial_job;
    bool burial_due;              /* something may be dead */
    struct io_timer burial_timer; /* producers of a pack without records will be forgotten */
    struct io_timer rewrite_retry;
    struct io_timer rewrite_calm; /* runs while packs are filed in quick succession */
    struct pace rewrite_pace;
    struct blob_pool rewrite_pool;

    struct scrub *scrub; /* scrub.c */
    struct older *older; /* older.c; NULL: the log is whole */

    /* pace.c */
    u64 durable_rate;       /* bytes per second that became durable of late */
    u64 durable_rate_bytes; /* since durable_rate_ns */
    u64 durable_rate_ns;

    /* wal.c */
    bool started;
    struct uuid cluster;
    u64 wal;
    u64 nonce;
    u32 block_bytes;
    u64 next_slot; /* number of the next slot to be opened */
    u64 durable;   /* all slots below are durable */
    u64 committed; /* all slots below have been told: == durable, but for a canary */
    u64 chain;
    struct slot *open;
    struct list pending; /* finished and not durable */
    struct list free_slots;
    u32 writing;
    u64 write_ns; /* smoothed duration of writes that were alone */
    bool last_is_mark;
    bool last_was_full;
    u64 quiet_since_ns;
    struct io_timer mark_timer;
    bool no_space;
    struct io_timer space_timer;
    err_t failure; /* of a write, not acted upon yet */
    bool fenced;
    struct list ready;  /* waiters whose slot is durable */
    struct list failed; /* waiters that nothing will come of */
    bool draining;
    void (*drained)(void *user, err_t result);
    void *drained_user;

    /* layout.c: of the open slot, and scratch */
    struct open_entry *open_entries;
    u32 open_entry_cap;
    struct frame_entry *sorted;
    u32 *sorted_from; /* index into open_entries */
    u32 sorted_cap;
    struct sort_key *keys; /* twice keys_cap */
    u32 keys_cap;
    struct blob *staging;

    /* chunk.c */
    struct quota hot_quota;
    struct blob_pool chunk_pool;
    u64 hot_used;       /* bytes of all chunks, spare ones and the staging buffer */
    struct list chunks; /* oldest first */
    struct list spare;  /* of usual size, without content */
    u32 spare_count;
    struct io_op populate_op;
    struct blob *populating; /* a worker has the kernel back it; NULL: none */
    struct list retiring;    /* evicted, and perhaps still pointed to */
    u32 retiring_count;
    struct chunk *open_chunk; /* the one slots are carved from */
    u64 chunk_fill_bytes;     /* of a chunk, what slots took of it; smoothed */
    struct pool chunk_structs;
    struct hot_slot *hot; /* ring: slot & hot_mask */
    u32 hot_mask;
    u64 hot_first; /* slots [hot_first, hot_end) have an element */
    u64 hot_end;
    u64 granted;  /* bytes promised by log_room in this turn and not appended yet */
    u64 promised; /* bytes granted to waiters, who come back in the next turn */
    struct list room_waiters;

    /* window.c */
    struct quota cold_quota;
    struct blob_pool cold_tiny;
    struct blob_pool cold_small;
    struct blob_pool cold_large;
    bool cold_ready; /* the pools are sized */
    struct pool window_structs;
    struct list windows;
    struct map64 windows_by_stretch; /* place and MiB of it -> first struct window */
    u32 windows_unused;              /* read ahead and not used yet, in LOG_WINDOW_BYTES */
    i32 wide_votes;                  /* for (>= 0) or against reading neighbours */
    u32 wide_asked;
    u32 windows_reading;

    /* cold.c: log_load.node */
    struct list load_waiting; /* for a buffer */
    struct list load_there;   /* their bytes are in memory; told in the next turn */
    struct list load_done;    /* hold their window */
    struct cold_reader readers[LOG_READERS];
    u64 loads;
};

/* log.c */
void log_wake(struct log *l, u64 delay_ns); /* a turn happens then, at the latest */

/* object.c */
void objects_fini(struct log *l);
u32 object_add(struct log *l, u64 id);        /* its index */
u32 object_find(const struct log *l, u64 id); /* LOG_NO_OBJECT: none */
void object_remove(struct log *l, u32 index); /* no run points into it */
/* false: the index is at its cap; the size is noted all the same: the slot is already written. */
MUST_USE bool object_slot_note(struct log *l, u32 index, u64 slot, u32 frame_bytes, bool batches);
void object_slots_forget(struct log *l, u32 index, u64 below);
u32 object_slot_bytes(const struct log *l, u32 index, u64 slot); /* of the frame, or the pack */
u32 object_slot_batch_bytes(const struct log *l, u32 index, u64 slot); /* 0: a MARK */
void object_run_added(struct log *l, const struct run *r);
void object_run_gone(struct log *l, const struct run *r); /* it is elsewhere now */
void object_run_died(struct log *l, const struct run *r); /* nobody will ask for it */
/* LOG_NO_PLACE: the object is gone. */
u64 range_place(const struct log *l, const struct log_range *range);

/* chunk.c */
void chunks_init(struct log *l);
void chunks_fini(struct log *l);
/* A chunk of at least `bytes`, at the end of log.chunks. NULL: the budget is exhausted. */
struct chunk *chunk_acquire(struct log *l, u64 bytes);
struct blob *chunk_staging_acquire(struct log *l);
/* Gives a chunk's memory back to the budget. false: none now; if retiring_count > 0, soon. */
bool chunks_shrink(struct log *l);
/* Slots below `trim` of the WAL in use were filed: nobody will look for them here. */
void chunks_filed(struct log *l, u64 trim);
void hot_add(struct log *l, u64 number, struct chunk *chunk, u32 offset, u32 bytes);
const struct hot_slot *hot_find(const struct log *l, u64 number); /* NULL: cold */
/* As log_peek, for a pointer that is not kept. */
const u8 *hot_data(const struct log *l, const struct log_range *range);
void room_used(struct log *l, u64 bytes);
void room_turn(struct log *l);  /* a turn's grants end */
void room_grant(struct log *l); /* waiters, first come first served */

/* wal.c */
void wal_init(struct log *l);
void wal_fini(struct log *l);
bool wal_is_quiet(const struct log *l); /* all that was appended is durable */
/* Where `bytes` go in the open slot, which is opened or changed if need be. *staged: they go to the
   staging buffer, *pos is an offset in it. NULL: no memory. The caller fills the bytes and then
   calls slot_add. */
u8 *wal_place(struct log *l, u32 bytes, bool *staged, u32 *pos);
/* The index entry of the batch just placed. */
void wal_add(struct log *l, struct partition *p, const struct frame_entry *entry, bool staged);
bool wal_refuses(const struct log *l); /* no new batches now */
void wal_commit(struct log *l);
void wal_pump(struct log *l);
void wal_release(struct log *l);
void wal_drain_step(struct log *l);
void wal_forget_partition(struct log *l, struct partition *p);

/* filing.c */
void filing_init(struct log *l);
void filing_fini(struct log *l);
bool filing_is_building(const struct log *l);                    /* a worker is at it */
u32 filing_wal_add(struct log *l, u64 wal, u64 nonce, u64 trim); /* its object */
void filing_wal_recovered(struct log *l, u32 object);
void filing_turn(struct log *l);
void filing_unfiled(struct log *l, u64 bytes); /* that many durable bytes more */
bool filing_is_behind(const struct log *l);    /* the WAL is at its bound, or at the disk's */
/* Will it be, when so much more has been appended? */
bool filing_will_be_behind(const struct log *l, u64 more_bytes);
bool filing_is_hopeless(const struct log *l); /* and filing does not get on */
void filing_compacts(struct log *l, u32 partition);
bool filing_is_pressed(const struct log *l); /* it is on its way to its bound */

u64 filing_space_left(const struct log *l); /* when all that is unfiled is filed */

/* The run continues the last one, beside it in the pack: they become one, up to LOG_RUN_BYTES.
   bytes: the run's. false: it does not, or would be too large. */
bool pack_run_join(struct pack_run *last, const struct pack_run *run, const u8 *bytes);
/* How many of the runs are of the first one's partition. */
u32 pack_runs_of_partition(const struct pack_run *runs, u32 count);
/* Of entries sorted by partition, in the order of the log: the last ones of each producer stay.
   Their number. */
u32 producers_keep_last(struct pack_producer *producers, u32 count);

/* pace.c */
u64 pace_visit_begin(struct log *l, struct pace *p); /* how many bytes it shall write, about */
u32 pace_write_bytes(const struct log *l);           /* of one write of such a visit, at most */
/* Between two visits: true: now; false: when p->pause fires. */
u64 pace_producers_rate(struct log *l); /* bytes per second that become durable */
bool pace_goes_on(struct log *l, struct pace *p);
bool pace_hurry(struct log *l, struct pace *p); /* ends the pause; false: there is none */

/* rewrite.c */
void rewrite_init(struct log *l);
void rewrite_fini(struct log *l);
void rewrite_turn(struct log *l);
bool rewrite_is_working(const struct log *l); /* a worker is at it */
void rewrite_wanted(struct log *l);
bool rewrite_gets_on(const struct log *l);  /* or may find something to do */
void pack_filed(struct log *l, u32 object); /* a pack more, behind all others */

/* older.c */
/* How many of the packs, from the first on, are read after the start. */
u32 older_count(const struct log *l, const struct home_pack *packs, u32 count);
void older_add(struct log *l, const struct home_pack *packs, const u32 *objects, u32 count,
               const struct log_wanted *wanted);
void older_begin(struct log *l);
void older_turn(struct log *l);
void older_fini(struct log *l);
bool older_is_working(const struct log *l); /* a worker is at it */
/* true: the log start is set when the end of the partition is known. */
bool older_defers_start(struct partition *p, u64 offset);

/* scrub.c */
void scrub_init(struct log *l);
void scrub_fini(struct log *l);
bool scrub_is_working(const struct log *l); /* a worker is at it */
void scrub_wanted(struct log *l);           /* there are other packs than before */

/* layout.c */
void layout_fini(struct log *l);
struct open_entry *layout_entry_new(struct log *l, u32 index);
/* Sorts the open slot's entries into log.sorted and moves staged batches to their place. */
void layout_slot(struct log *l, struct slot *s);
/* Writes header, index and trailer around the payload. */
void layout_seal(struct log *l, struct slot *s, const struct frame_entry *entries);

/* index.c */
struct index_add {
    u64 base_offset;
    i64 max_timestamp;
    u64 place;
    u32 pos;
    u32 bytes;
    i32 leader_epoch;
    u32 flags;
};
u64 memory_of_log(const struct log *l); /* all that it may have */
u64 index_bytes(const struct log *l);
u64 index_bytes_max(const struct log *l);    /* with more, batches are refused */
u64 index_wait_bytes(const struct log *l);   /* with more, they wait */
u64 index_leaves_cache(const struct log *l); /* of hot_bytes */
bool index_is_large(const struct log *l);    /* the cache gives way to it */
bool index_is_behind(const struct log *l);   /* appends wait while packs are sorted */
void index_turn(struct log *l);
/* Room for one more run; of the broker's own partitions whatever the quota says. */
MUST_USE bool index_reserve(struct partition *p);
void index_reserve_uncharged(struct partition *p); /* the same, whatever the quota says */
void index_add(struct partition *p, const struct index_add *add);
/* Drops the runs that end at or below the offset; their bytes. */
u64 index_drop_front(struct partition *p, u64 offset);
void index_fini(struct partition *p);
u32 index_find(const struct partition *p, u64 offset); /* the run that holds it; there is one */
/* The run that holds the first byte of the range; run_count: none, it was filed meanwhile or is
   gone. */
u32 index_find_range(const struct partition *p, const struct log_range *range);
/* First run whose records, or those before it, reach `target`; run_count: none. */
u32 index_find_timestamp(const struct partition *p, i64 target);
u64 index_next_offset(const struct partition *p, u32 index);
void index_settle_staged(struct partition *p, u32 first, u32 pos);
/* The same batches are in these runs of a pack too: they take the place of the runs that cover
   their offsets. */
void index_refile(struct partition *p, const struct pack_run *runs, u32 count, u64 place);
bool run_continues(const struct run *last, const struct index_add *add); /* they are one */
/* These come before the runs that are there; the array is the index's from now on. */
void index_prepend(struct partition *p, struct run *runs, u32 count);
struct run run_of_pack(const struct pack_run *r, u64 place);
void epoch_assign(struct partition *p, i32 leader_epoch, u64 start_offset);
void epochs_prepend(struct partition *p, const struct run *runs, u32 count);
void epochs_drop_front(struct partition *p, u64 start_offset);

static inline u64 run_place(u32 object, u64 slot)
{
    assert(slot < 1ull << LOG_OBJECT_SHIFT);
    return (u64)object << LOG_OBJECT_SHIFT | slot;
}
static inline u32 place_object(u64 place)
{
    return (u32)(place >> LOG_OBJECT_SHIFT);
}
static inline u64 place_slot(u64 place)
{
    return place & ((1ull << LOG_OBJECT_SHIFT) - 1);
}
static inline bool log_id_is_pack(u64 id)
{
    return (id & LOG_PACK_BIT) != 0;
}

/* producer.c */
/* The checks of kafka-semantics.md 3, in their order. KERR_NONE and *repeat == NULL: new. */
i16 producer_check(struct partition *p, const struct batch_view *view,
                   const struct producer_batch **repeat);
MUST_USE bool producer_reserve(struct partition *p, i64 id, i64 now_ms); /* room for its state */
void producer_add(struct partition *p, i64 id, i16 epoch, const struct producer_batch *batch,
                  i64 now_ms);
/* One that is older than all that is known of its producer. */
void producer_add_older(struct partition *p, const struct pack_producer *from, i64 now_ms);
/* Is it told without older batches whether the batch is new, a repeat or refused? */
bool producer_is_decided(struct partition *p, const struct batch_view *view);
void producers_fini(struct partition *p);
/* Must what a pack says of a producer stay, since it is not superseded by something durable and its
   producer is not forgotten? *until_ms: when that will be, if the producer stays silent. */
bool producer_statement_lives(const struct partition *p, const struct pack_producer *from,
                              i64 *until_ms);

/* partition.c */
struct partition *partition_get(struct log *l, u32 id);
void partition_destroy(struct partition *p);
void partitions_notify(struct log *l);
void partition_moved(struct partition *p, u64 high_watermark);
struct log_range run_range(const struct partition *p, const struct run *r);

/* cold.c */
void cold_init(struct log *l);
void cold_fini(struct log *l);
void cold_pump(struct log *l);
void cold_turn(struct log *l);
void loads_finish(struct log *l, struct window *w);
/* The batches of one run that lie in the buffer from `at` on. Returns where the good ones end, and
   whether one is not. Pure. */
u32 run_verify(const u8 *data, u32 data_bytes, u32 at, u32 end, u64 first, u64 next, bool *bad);

/* window.c */
void windows_init(struct log *l);
void windows_fini(struct log *l);
void windows_size(struct log *l);
/* One that has these bytes, or will. */
struct window *window_find(const struct log *l, u64 place, u32 pos, u32 bytes);
struct window *window_start(struct log *l, const struct log_range *range, u64 place,
                            enum window_kind kind, bool wide);
bool window_is_wide(struct log *l);               /* shall the next one be? */
void window_use(struct log *l, struct window *w); /* takes a reference */
void window_unref(struct log *l, struct window *w);
void windows_forget(struct log *l, u32 object); /* that is gone: not found any more */
