/* A pack: an immutable file of filed batches, sorted by partition and offset, with an index of its
   runs and of what producers wrote (docs/internals/formats.md has the byte layout). Packs come from
   filing a stretch of a WAL or from rewriting other packs; the metadata state names those that
   count, every other file is swept at start. A WAL extent that was written to its end can also
   become one as it is (pack_keep).

   Making one is blocking work for a worker (io_work): the functions of struct pack_writer use only
   the blocking verbs of io.h and no state of the home that the loop changes. Reading is on the loop
   (home_pack_read), loading its index at start is blocking (home_pack_load).

     pack_create -> pack_write ... -> pack_finish, or pack_abandon at any point

   Failure: ERR_NO_SPACE: nothing is lost, abandon it and try again later. A failed sync or any
   other ERR_IO of pack_finish: the caller must treat the home as fenced (home_fence_now), since
   nobody knows what the medium has. */
#pragma once

#include "home/frame.h"

struct home;

#define PACK_BYTES_MAX (1u << 31) /* positions are u32; merging stops well below */

/* What the metadata state says of a pack. */
struct home_pack {
    u64 id;    /* never reused; names the file */
    u64 bytes; /* of the whole file */
};

/* Whole batches of one partition, contiguous in offsets and in the file: what the read index keeps.
   Sorted by (partition, base_offset). Offsets of one partition need not abut: compaction and the
   log start leave holes. */
struct pack_run {
    u32 partition;
    i32 leader_epoch;
    u64 base_offset;
    u64 next_offset; /* after the last batch */
    i64 max_timestamp;
    u32 pos;   /* from the file's first byte */
    u32 bytes; /* > 0 */
    u32 crc;   /* CRC-32C of all its bytes: covers what the batches' own CRCs leave out */
    u32 batches;
    u32 flags; /* PACK_RUN_* */
};
enum pack_run_flag {
    PACK_RUN_QUARANTINED = 1, /* its bytes were damaged when it was filed: kept as they are */
};

/* One of the last batches of an idempotent producer in one partition, oldest first: what a restart
   needs for its duplicate check. Sorted by partition; order within a partition is the order of the
   log. */
struct pack_producer {
    u32 partition;
    i16 epoch;
    i64 id;
    u64 base_offset;
    i64 max_timestamp;
    i32 first_sequence;
    i32 last_sequence;
};

/* ---- making one: blocking, on a worker --------------------------------------------------------
 */

struct pack_writer;

/* buffer: BLOB_ALIGN-aligned memory of the caller's, a multiple of the block size, at least 64 KiB:
   what is written goes to the medium in pieces of that size, by O_DIRECT where possible. It stays
   the writer's until it ends. ERR_EXISTS: a file of that id is there. */
MUST_USE err_t pack_create(struct home *h, u64 id, void *buffer, u32 buffer_bytes,
                           struct pack_writer **out);
/* A pack that is made of a WAL extent: batches stay in the frames they are in, and what is written
   goes behind them, from byte `used` on, a multiple of the block size. s: slots of one file, which
   home_slots_keep was told of. Runs are still sorted by (partition, base_offset), but not by
   position. pack_finish: ERR_UNSUPPORTED: the file system has no second names for a file. */
struct home_slots;
MUST_USE err_t pack_keep(struct home_slots *s, u64 id, u32 used, void *buffer, u32 buffer_bytes,
                         struct pack_writer **out);
/* From now on the buffer goes to the medium in writes of at most so many bytes, a multiple of the
   block size: a durable write that comes meanwhile waits for one of them. At first it goes whole.
 */
void pack_write_at_once(struct pack_writer *w, u32 bytes);
u32 pack_position(const struct pack_writer *w); /* of the next byte written */
MUST_USE err_t pack_write(struct pack_writer *w, const void *data, u32 bytes);
/* Index, trailer, sync of the file and of its name. *bytes: of the file. The writer is gone
   afterwards, and on failure so is the file. */
MUST_USE err_t pack_finish(struct pack_writer *w, const struct pack_run *runs, u32 run_count,
                           const struct pack_producer *producers, u32 producer_count, u64 *bytes);
void pack_abandon(struct pack_writer *w); /* closes and removes it */
/* What follows the payload: index, producers, trailer, padding. */
u64 pack_index_bytes(u32 run_count, u32 producer_count);

/* ---- comparing one with itself: blocking, on a worker -----------------------------------------
 */

/* A piece of a pack, read from the medium and compared with its checksums. Pieces are asked for one
   after the other; the file is open only while one is read. */
struct pack_scrub {
    struct home_pack pack;
    u8 *buffer; /* as that of a writer */
    u32 buffer_bytes;
    u32 bytes_max; /* of runs in this piece; one run at least */
    /* A run that is not what was written, or was quarantined when it was (ERR_CORRUPT; its bytes if
       they fit the buffer, else NULL), or cannot be read (ERR_IO). */
    void (*bad)(void *user, const struct pack_run *run, err_t why, const u8 *bytes);
    void *user;
    u32 next_run;  /* where the piece begins, and then where the next one does. 0: the piece has all
                      that is not a run, too */
    u32 run_count; /* out: at next_run == run_count the pack is through */
    u64 bytes;     /* out: that were compared; the pieces' sum is about the pack's size */
    const char *what; /* out, on failure: what of the pack it is, and at which byte */
    u64 at;
};
/* ERR_CORRUPT, ERR_VERSION, ERR_IO: of header, index or trailer. ERR_NOT_FOUND: no such file. */
MUST_USE err_t pack_scrub(struct home *h, struct pack_scrub *s);
