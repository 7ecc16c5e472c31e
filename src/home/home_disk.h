/* What the files of the home on disk share. Only disk_*.c include this.

     disk_open.c     the directory: format file, lock, creation; create and destroy
     disk_extent.c   which extents there are, their descriptors (few are open at a time), slot
                     positions
     disk_meta.c     the metadata log in two copies
     disk_wal.c      this session's writes, the making of extents, reads
     disk_scan.c     start-up: walking a WAL; torn tail or corruption
     disk_window.c   aligned reading of a file front to back, for start-up

   Threads: only the run() of a disk_job is off the loop; it touches nothing but its own job. */
#pragma once

#include "home/home_private.h"

#include <stdatomic.h>

enum {
    DISK_FILES_OPEN_MAX = 256,
    DISK_PATH_MAX = 4096,
    DISK_UNIT = 4096, /* frames start at multiples of it; slot positions are kept in it */
};

struct home_disk;

/* ---- extents (disk_extent.c) ----------------------------------------------------------------- */

struct extent {
    u64 wal;
    u32 number;
    u32 pins;             /* reads and writes in flight; one more while written to or made ahead */
    struct io_file *file; /* NULL: not open */
    bool opening;         /* a job is at it */
    struct list_node
        node; /* in home_disk.idle while open and without pins; least recently used first */
    struct list waiting; /* home_read.node, for the file to be opened */
};

/* One WAL's files. Extents are in order of their numbers; a number may be missing in a damaged
 * directory. */
struct wal_files {
    u64 wal;
    struct extent **extents;
    u32 extent_count;
    u32 extent_cap;
    u64 *slots; /* per slot: index of the extent << 32 | position / DISK_UNIT; DISK_NO_SLOT: unknown
                 */
    u64 slot_count;
    u64 slot_cap;
};
#define DISK_NO_SLOT UINT64_MAX

/* ---- work off the loop ----------------------------------------------------------------------- */

/* Head of everything given to io_work. Lives on the heap by itself: when the home goes away first,
   `disk` becomes NULL and the late completion only discards. */
struct disk_job {
    struct io_op op;
    struct list_node node; /* in home_disk.jobs */
    struct home_disk *disk;
    struct io *io;
    void (*run)(struct disk_job *job);      /* off the loop */
    void (*finished)(struct disk_job *job); /* on the loop, disk is there */
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
    struct extent *next; /* made, not used yet */
    struct extent_job *making;
    u64 durable;        /* every slot below it was written */
    u32 durable_mask;   /* bit i: slot durable + i was written */
    bool fill_next;     /* the next extent is worth filling with zeros */
    bool ahead_refused; /* no space for one ahead: not tried again before a write needs it */
    struct list queue;  /* home_write.node: waiting for an extent */
};

struct home_disk {
    struct home base;
    char *directory;
    u64 extent_bytes;
    u32 canaries;
    struct blob_pool buffers; /* start-up reading, charged to the quota given */
    struct io_file *lock;
    struct meta_log meta;
    struct wal_writer writer;
    struct map64 wals; /* wal id -> struct wal_files */
    u32 files_open;
    struct list idle; /* extents open without pins */
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

/* disk_extent.c */
void disk_extents_init(struct home_disk *d);
void disk_extents_fini(struct home_disk *d);
MUST_USE err_t disk_extents_list(struct home_disk *d);                /* what the directory has */
struct wal_files *disk_wal_files(const struct home_disk *d, u64 wal); /* NULL: none */
struct wal_files *disk_wal_files_make(struct home_disk *d, u64 wal);
struct extent *disk_extent_add(struct home_disk *d, struct wal_files *files, u32 number);
void disk_extent_path(const struct home_disk *d, const struct extent *e, char *out);
/* Start-up: opens it (for writing, so that it can be locked and synced) if it is not. */
MUST_USE err_t disk_extent_open_now(struct home_disk *d, struct extent *e);
void disk_extent_opened(struct home_disk *d, struct extent *e,
                        struct io_file *file); /* file is d's now */
void disk_extent_pin(struct extent *e);
void disk_extent_unpin(struct home_disk *d, struct extent *e);
void disk_slot_set(struct wal_files *files, u64 slot, u32 extent_index, u64 position);
bool disk_slot_get(const struct wal_files *files, u64 slot, u32 *extent_index, u64 *position);
void disk_wal_remove(struct home *h, u64 wal);

/* disk_meta.c */
/* The first generation: two empty files, not yet synced into the directory. */
MUST_USE err_t disk_meta_make_first(struct home_disk *d);
MUST_USE err_t disk_meta_replay(struct home *h, const struct home_meta_visitor *v, u64 *next_slot);
void disk_meta_write(struct home *h, struct home_meta_write *w);
MUST_USE err_t disk_meta_write_now(struct home *h, u64 slot, struct slice payload);
void disk_meta_fini(struct home_disk *d);

/* disk_wal.c */
MUST_USE err_t disk_wal_start(struct home *h, u64 wal, u64 nonce);
void disk_wal_write(struct home *h, struct home_write *w);
void disk_wal_read(struct home *h, struct home_read *r);
void disk_wal_fini(struct home_disk *d);

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
