/* Where bytes live: a log of slots for the WAL, a log of metadata slots, and packs. Two homes now:
   disk (disk_*.c, O_DIRECT extents through struct io) and mem (home_mem.c, for tests and `odradek
   dev`). Callers never ask which.

   Ownership: a home_write or home_read lives in the caller's object until its done() runs (never
   inside the starting call, exactly once). Blobs named in them stay referenced by the caller.

   Failure: the first failed durable write fences the home for good: this and every later write ends
   with ERR_IO (or ERR_NO_SPACE when nothing reached the medium and nothing is lost: then the home
   is not fenced and the caller may try the same slot again later). */
#pragma once

#include "home/frame.h"
#include "home/pack.h"
#include "io/io.h"

struct home;

enum home_canary { /* simulator only */
                   HOME_CANARY_SKIP_CRC = 1,
                   HOME_CANARY_BELIEVE_STALE = 2,
                   HOME_CANARY_UNSYNCED_PACK = 4,
                   HOME_CANARY_LEAVE_FORGOTTEN = 8,
                   HOME_CANARY_REUSE_KEPT = 16,
};

#define HOME_EXTENT_BYTES (64 * MIB)
struct home_disk_params {
    const char *directory; /* created when absent */
    u64 extent_bytes;      /* WAL extent size; 0 = HOME_EXTENT_BYTES */
    u64 spare_ns;          /* so long, or longer, a dead file waits for the WAL; 0 = a minute */
    struct quota *quota;   /* for scan buffers and cold reads */
    u32 canaries;          /* enum home_canary */
};
/* Does no I/O. */
MUST_USE struct home *home_disk_create(struct io *io, const struct home_disk_params *params);
/* home_open may be called again: a restart, a new session over what the one before wrote. */
MUST_USE struct home *home_mem_create(struct io *io);
/* Closes. Nothing may be in flight, unless io is dead: then what was in flight is forgotten. */
void home_destroy(struct home *h);

/* Blocking, start-up. Makes the directory {format, meta/, wal/, packs/} or checks it, and takes the
   lock. ERR_LOCKED (the reason names the pid), ERR_VERSION (newer or foreign format), ERR_CORRUPT,
   ERR_IO, ERR_DENIED. cluster: made up on first use, read back later. */
MUST_USE err_t home_open(struct home *h, struct uuid *cluster);
/* One English sentence about the last failure: what, where, values, what next. After a
   home_meta_replay that ended with OK it is empty, or tells what was repaired: worth a warning. */
const char *home_reason(const struct home *h);
u32 home_block_bytes(const struct home *h);
bool home_is_direct(
    const struct home *h); /* false: buffered + fdatasync, to be announced at start */
bool home_fenced(const struct home *h);
/* A worker's durable write failed (pack_finish): from now on nothing is acknowledged. On the loop.
 */
void home_fence_now(struct home *h, const char *why);

/* ---- metadata slots: an ordered log, two copies, one writer
 * ------------------------------------------- */

/* Blocking, start-up: finds the newest snapshot (if any) and delivers it, then every slot after it
   in order. A copy that is damaged is repaired from the other; both damaged at a slot that was
   durable = ERR_CORRUPT. */
struct home_meta_visitor {
    void *user;
    err_t (*snapshot)(void *user, u64 next_slot, struct slice payload); /* state before next_slot */
    err_t (*slot)(void *user, u64 slot, struct slice payload);
};
MUST_USE err_t home_meta_replay(struct home *h, const struct home_meta_visitor *v, u64 *next_slot);

struct home_meta_write {
    void (*done)(struct home_meta_write *w, err_t result);
    struct slice payload; /* valid until done */
    u64 slot;
    bool snapshot; /* payload is the state before `slot`; older slots are dropped afterwards */
    struct io_op ops[2]; /* the home's */
    u64 private_[8];
};
/* One in flight at a time. Blocking variant for start-up. */
void home_meta_write(struct home *h, struct home_meta_write *w);
MUST_USE err_t home_meta_write_now(struct home *h, u64 slot, struct slice payload);

/* ---- WAL slots
 * ------------------------------------------------------------------------------------- */

/* This session's WAL. Called once, after replay. Nothing is written until the first slot. */
MUST_USE err_t home_wal_start(struct home *h, u64 wal, u64 nonce);

struct home_write {
    void (*done)(struct home_write *w, err_t result);
    u64 slot;        /* consecutive: each call has the slot after the one before */
    const u8 *frame; /* BLOB_ALIGN-aligned, sealed; valid until done */
    u32 bytes;       /* multiple of home_block_bytes, at most extent_bytes */
    struct io_op op; /* the home's, as everything below */
    struct io_vec vec;
    struct list_node node;
    u64 private_[4];
};
/* At most FRAME_INFLIGHT_MAX in flight. Completions come in any order; a slot is not begun before
   the one FRAME_INFLIGHT_MAX before it is durable (it waits inside). A frame never spans extents.
 */
void home_wal_write(struct home *h, struct home_write *w);

struct home_read {
    void (*done)(struct home_read *r, err_t result);
    u64 wal;
    u64 slot;
    u32 pos;           /* from the frame's first byte */
    u32 bytes;         /* within one frame */
    struct blob *blob; /* the caller's; cap >= home_read_room(bytes) */
    u32 blob_offset;   /* out: where pos's byte is in blob->data */
    struct io_op op;
    struct io_vec vec;
    struct list_node node;
    u64 private_[4];
};
size_t home_read_room(const struct home *h, u32 bytes); /* blob size needed for alignment */
/* ERR_NOT_FOUND: that slot is gone (trimmed). Content is not checked here: the reader checks batch
 * CRCs. */
void home_wal_read(struct home *h, struct home_read *r);

/* Blocking, start-up. Walks a WAL that this process does not write: takes the locks of its extents,
   tells a torn tail from corruption (storage.md "Torn tail or corruption"), delivers every good
   frame's header and index in slot order, and remembers where slots are for home_wal_read.
   trim: slots below it have been filed: they are not delivered and may be gone. What is there of
   the WAL begins in the extent that holds slot `trim` or before; a gap above it is corruption.
   sealed_length: UINT64_MAX when not sealed yet; otherwise slots at or above it are not delivered.
   *length: number of slots (the seal position). ERR_CORRUPT: damage below the durable end; the
   reason names file, position and what is affected. payload_damaged lists batches that fail while
   header and index are good (quarantine), called before visit for that slot.*/
struct home_wal_visitor {
    void *user;
    err_t (*slot)(void *user, const struct frame_header *h, const struct frame_entry *entries,
                  u32 count);
    void (*damaged)(void *user, u64 wal, u64 slot, const struct frame_entry *entry);
};
MUST_USE err_t home_wal_scan(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                             const struct home_wal_visitor *v, u64 *length);
/* A retired WAL (sealed, no data needed): its files go. Blocking, start-up. */
void home_wal_remove(struct home *h, u64 wal);
/* Blocking, start-up, before anything is removed. next_wal: the first id that the metadata never
   gave away. ERR_CORRUPT: there are files of such a WAL, so this metadata is older than the data.
 */
MUST_USE err_t home_wals_check(struct home *h, u64 next_wal);
/* Blocking, start-up, when the metadata state is durable and every WAL of it was scanned: removes
   the files of WALs that are not in `keep` (ascending). Afterwards whatever was removed from wal/
   stays so: only then may the metadata forget a session. A file that cannot be removed stays for
   the next start. */
MUST_USE err_t home_wals_sweep(struct home *h, const u64 *keep, u32 count);
/* What this start swept though nobody had asked for it. */
struct home_swept {
    u32 extents;
    u32 packs;
};
struct home_swept home_swept(const struct home *h);

/* ---- filing ----------------------------------------------------------------------------------
 */

/* Slots [from, to) of a WAL as a worker reads them: where they are is copied on the loop, the bytes
   are read off it. They must be durable and not below what home_wal_trim was given; nothing of them
   is trimmed before home_slots_free. */
struct home_slots;
MUST_USE err_t home_slots_find(struct home *h, u64 wal, u64 nonce, u64 from, u64 to,
                               struct home_slots **out);
/* Blocking, worker: the whole frame of `slot` into buf (BLOB_ALIGN-aligned, cap a multiple of the
   block size). Slots are asked for in ascending order, which is read front to back. The header and
   the index are checked, the payload is not (the caller copies and checks each batch anyway):
   ERR_CORRUPT when they are not that slot's. *bytes: of the frame, at most 32 MiB and a little;
   ERR_NO_MEMORY: cap is too small, *bytes says what is needed. */
MUST_USE err_t home_slots_read(struct home_slots *s, u64 slot, void *buf, size_t cap, u32 *bytes);
void home_slots_free(struct home_slots *s); /* on the loop */
/* Is the file that `slot` of this session's WAL is in complete, written to its end and durable?
   Then the slots from `slot` on that are in it are [slot, *to), and found as a stretch they may be
   made a pack without being moved (pack_keep). On the loop. */
bool home_slots_keepable(struct home *h, u64 slot, u64 *to);
/* On the loop. true, before pack_keep: the WAL will not use the file again, whatever comes of the
   pack. false: nobody called pack_keep after all. */
void home_slots_keep(struct home_slots *s, bool keep, u64 pack_id);
/* Any thread: from the first byte of the file it is in. */
u64 home_slots_position(const struct home_slots *s, u64 slot);

/* Slots below `slot` are filed, durably: they are not found any more, and their extents are used
   again by this session's WAL or go. On the loop; the work is done off it. Of this session's WAL,
   `slot` is at most the first that is not durable; UINT64_MAX: all of a WAL of an earlier one.
   After a scan too, with the same slot: for what the sessions before have left. */
void home_wal_trim(struct home *h, u64 wal, u64 slot);

/* Blocking, start-up: removes the files of packs/ that are not in `keep` (sorted by id); those kept
   must be there: ERR_CORRUPT. Whether they have the size given is seen when they are read.
   *next_id: above every id seen. */
MUST_USE err_t home_packs_sweep(struct home *h, const struct home_pack *keep, u32 count,
                                u64 *next_id);
/* Blocking, start-up: checks size, header, index and trailer, and then delivers the index, sorted.
   ERR_CORRUPT: the reason names file and place, and nothing was delivered. (An index that agrees
   with its CRC and makes no sense is noticed on the way.) */
struct home_pack_visitor {
    void *user;
    err_t (*runs)(void *user, const struct pack_run *runs, u32 count);
    err_t (*producers)(void *user, const struct pack_producer *producers, u32 count);
};
MUST_USE err_t home_pack_load(struct home *h, struct home_pack pack,
                              const struct home_pack_visitor *v);
/* The same on a worker: leaves no reason. */
MUST_USE err_t pack_load(struct home *h, struct home_pack pack, const struct home_pack_visitor *v);
/* On the loop, as home_wal_read, with r->wal = the pack's id and r->slot = 0. ERR_NOT_FOUND: it was
   removed. */
void home_pack_read(struct home *h, struct home_read *r);
/* Blocking, worker: bytes of a pack front to back, for rewriting. */
struct pack_reader;
MUST_USE err_t pack_open(struct home *h, struct home_pack pack, void *buffer, u32 buffer_bytes,
                         struct pack_reader **out);
MUST_USE err_t pack_bytes(struct pack_reader *r, u32 pos, u32 bytes, void *out);
void pack_close(struct pack_reader *r);
/* On the loop: the metadata state names it no more. Reads under way end first; the file goes off
   the loop. */
void home_pack_remove(struct home *h, u64 id);
/* The same of one that the metadata named until now: the WAL may use the file again. On a disk
   those that have an extent's size stay for that, as many as the WAL began in the last minutes;
   what is there when the session ends goes with the next sweep. */
void home_pack_retire(struct home *h, struct home_pack pack);

/* Bytes on the medium, as allocated. */
struct home_usage {
    u64 wal_bytes;
    u64 pack_bytes;
    u64 free_bytes; /* of the file system, as last looked; UINT64_MAX: no limit known */
};
void home_usage(struct home *h, struct home_usage *out);
/* Has free_bytes looked at again, off the loop: others use the file system, too. */
void home_space_look(struct home *h);
