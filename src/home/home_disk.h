/* What the files of the home on disk share. Only disk_*.c include this.

     disk_open.c     the directory: format file, lock, creation; create and destroy
     disk_handle.c   open files: few at a time, reads through them
     disk_remove.c   files go, at a pace; free space
     disk_extent.c   which extents there are, slot positions
     disk_meta.c     the metadata log in two copies
     disk_wal.c      this session's writes, the making of extents, reads
     disk_trim.c     slots that were filed: extents become spares or go
     disk_spare.c    files that wait to be used again
     disk_slots.c    a stretch of a WAL for a worker that files it
     disk_pack.c     packs as files
     disk_scan.c     start-up: walking a WAL; torn tail or corruption
     disk_window.c   aligned reading of a file front to back, for start-up

   Threads: only the run() of a disk_job is off the loop; it touches nothing but its own job. */
#pragma once

#include "home/home_private.h"

#include <stdatomic.h>

enum {
    DISK_FILES_OPEN_MAX = 256,
    DISK_PATH_MAX = 4096,
    DISK_UNIT = 4096,       /* frames start at multiples of it; slot positions are kept in it */
    DISK_SPARES_LEAST = 3,  /* so many trimmed extents are kept however little is written */
    DISK_SPARES_SPACE = 16, /* ... while there is room for so many more, a GiB */
};

struct home_disk;

/* ---- files that are read (disk_handle.c) ------------------------------------------------------
 */

struct disk_handle;
struct disk_handle_kind {
    void (*path)(const struct home_disk *d, const struct disk_handle *f, char *out);
    /* Closed, and nobody reads it: it becomes a spare or goes. Once more when a spare is asked
       whether it is still wanted. */
    void (*left)(struct home_disk *d, struct disk_handle *f);
    void (*missed)(struct home_disk *d, struct disk_handle *f);  /* it cannot be opened; or NULL */
    void (*destroy)(struct home_disk *d, struct disk_handle *f); /* the home goes away */
};
struct disk_handle {
    const struct disk_handle_kind *kind;
    u32 pins;              /* reads and writes in flight, and whoever else needs the file */
    bool opening;          /* a job is at it */
    bool leaving;          /* no new reads; `left` when the pins are gone */
    struct io_file *file;  /* NULL: not open */
    struct list_node node; /* in home_disk.idle while open and without pins, least recently used
                              first; in .leaving */
    struct list waiting;   /* home_read.node, for the file to be opened; each has a pin */
};

/* ---- extents (disk_extent.c) ----------------------------------------------------------------- */

/* Pinned once more while it is written to or made ahead. */
struct extent {
    struct disk_handle handle;
    u64 wal;
    u32 number;
    u64 bytes;   /* as far as is known: what extents have, until it was opened */
    bool kept;   /* a pack is made of it: it is not written again while it has this name */
    u64 kept_as; /* that pack's id */
    struct list_node kept_node; /* in wal_writer.kept */
};

/* One WAL's files. Extents are in order of their numbers; a number may be missing in a damaged
   directory, or below the trim. */
struct wal_files {
    u64 wal;
    struct extent **extents;
    u32 extent_count;
    u32 extent_cap;
    u64 *slots;     /* of slot slot_base + i: number of the extent << 32 | position / DISK_UNIT, or
                       DISK_NO_SLOT: unknown */
    u64 slot_base;  /* slots below it were trimmed */
    u64 slot_count; /* slots at or above it are not known */
    u64 slot_cap;   /* of the array */
};
#define DISK_NO_SLOT UINT64_MAX

/* ---- work off the loop ----------------------------------------------------------------------- */

/* Head of everything given to io_work. Lives on the heap by itself: run() knows nothing of the
   home. When the home goes away first it ends the work, and discards. */
struct disk_job {
    struct io_op op;
    struct list_node node; /* in home_disk.jobs */
    struct home_disk *disk;
    struct io *io;
    void (*run)(struct disk_job *job);      /* off the loop */
    void (*finished)(struct disk_job *job); /* on the loop */
    void (*discard)(struct disk_job *job);  /* frees it and what it made */
};

struct extent_job;

/* ---- the home -------------------------------------------------------------------------------- */

/* A sealed frame in memory of its own. */
struct meta_frame {
    void *memory;
    u8 *data; /* inside memory, aligned */
    u32 bytes;
    u64 hash; /* of its header: the next frame's chain */
};

struct meta_log {
    struct io_file *copies[2];
    u64 generation; /* names the files */
    u64 position;   /* of the next frame, in both copies */
    u64 allocated;  /* the smaller of the two sizes */
    u64 next_slot;
    u64 chain;
    u64 nonce;
    struct meta_frame frame; /* of the write in progress */
    struct io_vec vec;
};

struct wal_writer {
    struct wal_files *files; /* NULL: not started */
    struct extent *current;  /* NULL before the first */
    u64 position;            /* of the next frame, in current */
    u64 current_since_ns;
    u64 written_ns;      /* when the last write was given to us; 0: none was */
    struct extent *next; /* made, not used yet */
    u32 next_number;     /* of the extent to be made */
    struct list kept;    /* extent.kept_node: those that are packs and have not gone yet */
    struct extent_job *making;
    u64 durable;        /* every slot below it was written */
    u32 durable_mask;   /* bit i: slot durable + i was written */
    bool fill_next;     /* the next extent is worth filling with zeros: the last was not full
                           after a moment */
    bool ahead_refused; /* no space for one ahead: not tried again before a write needs it */
    struct list queue;  /* home_write.node: waiting for an extent */
};

struct disk_spares {
    struct list files; /* disk_handle.node, the oldest first */
    u32 count;
    u32 begun[2]; /* extents of the WAL: in this minute, in the one before */
    u64 since_ns; /* when this one began */
    u32 wanted;   /* so many are kept, as of `wanted_ns` */
    u64 wanted_ns;
    u64 minute_ns;        /* how long it is: tests have short ones */
    struct io_timer look; /* are they still wanted? */
};

struct home_disk {
    struct home base;
    char *directory;
    u64 extent_bytes;
    u32 canaries;
    struct io_file *lock;
    struct meta_log meta;
    struct wal_writer writer;
    struct disk_spares spares;
    struct map64 wals;  /* wal id -> struct wal_files */
    struct map64 packs; /* pack id -> struct disk_pack: those that were read */
    u64 wal_bytes;      /* of all extents */
    u32 files_open;
    struct list idle;     /* handles open without pins */
    struct list leaving;  /* handles that leave and have pins */
    struct list removals; /* files without names, what is in them goes; the first at the moment */
    bool removing;        /* a worker is at the one that was first */
    u64 removal_bytes;    /* in all of them */
    struct io_timer removal_pause;
    struct list jobs;
};

static inline struct home_disk *disk_of(struct home *h)
{
    return CONTAINER_OF(h, struct home_disk, base);
}

/* disk_open.c */
/* "<directory>/<rest>" into out[DISK_PATH_MAX]; asserted to fit (home_disk_create checked the
 * directory). */
PRINTF_LIKE(3, 4) void disk_path(const struct home_disk *d, char *out, const char *fmt, ...);
/* Opens by O_DIRECT where that is allowed; `direct` says what to try and learns the answer. */
MUST_USE err_t disk_file_open(struct io *io, const char *path, u32 flags, bool *direct,
                              struct io_file **out);
/* The number written in lower-case hexadecimal with exactly `digits` digits at s; false: not that.
 */
bool disk_hex_parse(const char *s, u32 digits, u64 *out);
void disk_job_start(struct home_disk *d, struct disk_job *job);
/* One of the three folders cannot be listed: the reason. */
MUST_USE err_t disk_list_failed(struct home_disk *d, const char *path, err_t e);

/* disk_handle.c */
void disk_handle_init(struct disk_handle *f, const struct disk_handle_kind *kind);
void disk_handle_opened(struct home_disk *d, struct disk_handle *f,
                        struct io_file *file); /* file is d's now */
void disk_handle_close(struct home_disk *d, struct disk_handle *f);
void disk_handle_pin(struct disk_handle *f);
void disk_handle_unpin(struct home_disk *d, struct disk_handle *f);
void disk_handle_leave(struct home_disk *d, struct disk_handle *f); /* may be gone afterwards */
/* r's range, `position` being where r->pos counts from. */
void disk_handle_read(struct home_disk *d, struct disk_handle *f, struct home_read *r,
                      u64 position);

/* disk_remove.c */
void disk_removals_init(struct home_disk *d);
void disk_removals_fini(struct home_disk *d); /* what has no name any more goes at once */
/* A worker unlinks the file, and what was in it goes at a pace. bytes: what it had, 0 when it is
   still there. */
typedef void (*disk_removed_fn)(struct home_disk *d, u64 id, u64 bytes);
void disk_remove_start(struct home_disk *d, const char *path, disk_removed_fn removed, u64 id);
/* At start: the name goes at once, so that it can be synced, and what was in the file at a pace. */
MUST_USE err_t disk_remove_now(struct home_disk *d, const char *path);
u64 disk_space(struct io *io, const char *folder); /* free bytes; UINT64_MAX: not known */
void disk_space_seen(struct home_disk *d, u64 free_bytes);
void disk_space_look(struct home *h); /* off the loop */

/* disk_extent.c */
void disk_extents_init(struct home_disk *d);
void disk_extents_fini(struct home_disk *d);
MUST_USE err_t disk_extents_list(struct home_disk *d);                /* what the directory has */
struct wal_files *disk_wal_files(const struct home_disk *d, u64 wal); /* NULL: none */
struct wal_files *disk_wal_files_make(struct home_disk *d, u64 wal);
void disk_wal_files_destroy(struct home_disk *d, struct wal_files *files);
struct extent *disk_extent_add(struct home_disk *d, struct wal_files *files, u32 number);
struct extent *disk_extent_find(const struct wal_files *files, u32 number); /* NULL: not there */
void disk_extent_destroy(struct home_disk *d, struct extent *e);
void disk_extent_path(const struct home_disk *d, const struct extent *e, char *out);
/* Start-up: opens it (for writing, so that it can be locked and synced) if it is not. */
MUST_USE err_t disk_extent_open_now(struct home_disk *d, struct extent *e);
void disk_slots_begin(struct wal_files *files, u64 slot); /* the first that may be set */
void disk_slot_set(struct wal_files *files, u64 slot, u32 number, u64 position);
bool disk_slot_get(const struct wal_files *files, u64 slot, u32 *number, u64 *position);
void disk_slots_drop(struct wal_files *files, u64 slot); /* those below it */
u32 disk_wal_remove(struct home *h, u64 wal);
void disk_wals_each(struct home *h, void (*each)(void *user, u64 wal), void *user);
MUST_USE err_t disk_wals_sync(struct home *h);

/* disk_meta.c */
/* The first generation: two empty files, not yet synced into the directory. */
MUST_USE err_t disk_meta_make_first(struct home_disk *d);
MUST_USE err_t disk_meta_replay(struct home *h, const struct home_meta_visitor *v, u64 *next_slot);
void disk_meta_write(struct home *h, struct home_meta_write *w);
MUST_USE err_t disk_meta_write_now(struct home *h, u64 slot, struct slice payload);
void disk_meta_fini(struct home_disk *d);

/* disk_wal.c */
u64 disk_wal_bytes(struct home *h);
void disk_wal_fenced(struct home *h);
MUST_USE err_t disk_wal_start(struct home *h, u64 wal, u64 nonce);
void disk_wal_write(struct home *h, struct home_write *w);
void disk_wal_read(struct home *h, struct home_read *r);
void disk_wal_fini(struct home_disk *d);
/* Is it written, and at less than full speed? Then its writers feel what else is done. */
bool disk_wal_is_paced(const struct home_disk *d);

/* disk_trim.c */
void disk_wal_trim(struct home *h, u64 wal, u64 slot);
/* Nothing is in flight in it, all of it was filed: it becomes a spare or is removed. */
void disk_extent_release(struct home_disk *d, struct extent *e);
/* Is the pack a file of this session's WAL that still has its name there? */
bool disk_extent_is_kept_as(const struct home_disk *d, u64 pack_id);

/* disk_spare.c */
void disk_spares_init(struct home_disk *d, u64 minute_ns); /* 0: a minute */
void disk_spares_fini(struct home_disk *d);
void disk_spares_extent_begun(struct home_disk *d);
/* A file that has left and has an extent's size becomes a spare: so many at least are kept. false:
   no more of them are wanted, it is the caller's to remove. */
bool disk_spare_keep(struct home_disk *d, struct disk_handle *f, u32 least);
/* The path of a spare, which is one no more. false: there is none. */
bool disk_spare_take(struct home_disk *d, char *path);

/* disk_slots.c */
MUST_USE err_t disk_slots_find(struct home *h, u64 wal, u64 nonce, u64 from, u64 to,
                               struct home_slots **out);
MUST_USE err_t disk_slots_read(struct home_slots *s, u64 slot, void *buf, size_t cap, u32 *bytes);
void disk_slots_free(struct home_slots *s);
bool disk_slots_keepable(struct home *h, u64 slot, u64 *to);
void disk_slots_keep(struct home_slots *s, bool keep, u64 pack_id);
u64 disk_slots_position(const struct home_slots *s, u64 slot);
const char *disk_slots_path(const struct home_slots *s); /* of the one file they are in */

/* disk_pack.c */
struct pack_file;
void disk_packs_init(struct home_disk *d);
void disk_packs_fini(struct home_disk *d);
MUST_USE err_t disk_pack_make(struct home *h, u64 id, struct pack_file **out);
MUST_USE err_t disk_pack_open(struct home *h, u64 id, struct pack_file **out);
MUST_USE err_t disk_pack_keep(struct home_slots *s, u64 id, struct pack_file **out);
MUST_USE err_t disk_packs_list(struct home *h, void (*each)(void *user, u64 id), void *user);
MUST_USE err_t disk_pack_unlink(struct home *h, u64 id);
MUST_USE err_t disk_packs_sync(struct home *h);
void disk_pack_read(struct home *h, struct home_read *r);
void disk_pack_remove(struct home *h, u64 id);
void disk_pack_retire(struct home *h, struct home_pack pack);

/* disk_scan.c */
MUST_USE err_t disk_wal_scan(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                             const struct home_wal_visitor *v, u64 *length);

/* ---- disk_window.c --------------------------------------------------------------------------- */

/* A part of a file in memory. What lies beyond the file's end reads as zeros. */
struct window {
    struct home_disk *disk;
    struct io_file *file; /* NULL: everything is beyond the end */
    u64 size;             /* of the file */
    struct blob *blob;    /* NULL until the first read */
    u64 start;            /* of blob->data in the file; a multiple of the block size */
    u64 bytes;            /* that are there */
};
void window_init(struct window *w, struct home_disk *d);
void window_fini(struct window *w);
MUST_USE err_t window_aim(struct window *w,
                          struct io_file *file); /* at another file; learns its size */
/* [offset, offset + bytes) of the file, valid until the next call. When it has to read it reads at
   least `ahead` bytes, in the hope that they are wanted next. ERR_IO, ERR_NO_MEMORY. */
MUST_USE err_t window_bytes(struct window *w, u64 offset, u64 bytes, u64 ahead, const u8 **out);
/* Are all bytes from offset to the end of the file zero? */
MUST_USE err_t window_zero_to_end(struct window *w, u64 offset, bool *zero);
