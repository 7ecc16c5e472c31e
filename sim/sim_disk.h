/* The simulated disk: files and directories in memory that know what is on the medium and what only
   seems to be.

   Every file has two contents: `live`, what a reading process sees, and `durable`, what is on the
   medium. Between them stands a list of writes that are under way or not yet synced. The rules:

     a write          is seen at once (write_now) or when it ends (write_begin, write_end)
     a durable write  is on the medium when it ends
     a sync           puts everything that had ended on the medium, and the size, but not the file's
                      name
     names            (made, renamed, removed) are on the medium after sync_dir of their directory

   At a power cut every write that is not on the medium is on its own dropped, kept, or torn at
   sector bounds, also those under way; a changed size or name likewise. When only the process ends,
   what it saw stays, and only writes under way are torn. Both may leave older frames in the space
   of writes that did not arrive (sim_disk_plant).

   Used by sim_io.c, which adds time, faults and descriptors. Knows nothing of either. */
#pragma once

#include "base/base.h"

enum { SIM_SECTOR_BYTES = 512 };

struct sim_disk;
struct sim_inode;

/* A write, or a change of size, that a power cut may still undo. */
struct sim_write {
    struct list_node node; /* in its inode, oldest first */
    struct sim_inode *inode;
    u64 number; /* in order of beginning */
    u64 offset;
    u64 bytes;
    u8 *data;    /* a copy */
    u8 *arrived; /* per sector: 1 = nothing left to do: on the medium, overwritten there, or lost */
    bool under_way;
    bool resize; /* no data: the size becomes `bytes` */
};

MUST_USE struct sim_disk *sim_disk_create(struct rng *rng);
void sim_disk_destroy(struct sim_disk *d);

/* ---- names. Paths: components between slashes, from the root; "." is the root. --------------- */

MUST_USE err_t sim_disk_open(struct sim_disk *d, const char *path, bool create, bool exclusive,
                             struct sim_inode **out);
MUST_USE err_t sim_disk_mkdir(struct sim_disk *d, const char *path);
MUST_USE err_t sim_disk_rename(struct sim_disk *d, const char *from,
                               const char *to); /* within one directory */
/* A second name for a file. ERR_EXISTS: `to` is there. */
MUST_USE err_t sim_disk_link(struct sim_disk *d, const char *from, const char *to);
MUST_USE err_t sim_disk_unlink(struct sim_disk *d, const char *path);
bool sim_disk_named(const struct sim_disk *d, const struct sim_inode *inode);
MUST_USE err_t sim_disk_sync_dir(struct sim_disk *d, const char *path);
/* In random order. */
MUST_USE err_t sim_disk_list(struct sim_disk *d, const char *path,
                             void (*each)(void *user, const char *name), void *user);

/* ---- content --------------------------------------------------------------------------------- */

u64 sim_inode_size(const struct sim_inode *n);
u32 sim_inode_number(const struct sim_inode *n);
/* What the file is for. A WAL extent's space may have been used before: behind its last write there
   may be older frames instead of zeros. Of a mirrored file there are two. */
enum sim_inode_kind { SIM_INODE_OTHER, SIM_INODE_WAL, SIM_INODE_MIRRORED, SIM_INODE_PACK };
void sim_inode_set_kind(struct sim_inode *n, enum sim_inode_kind kind);
void sim_disk_read(const struct sim_inode *n, void *out, size_t len, u64 offset, size_t *moved);
void sim_disk_write(struct sim_disk *d, struct sim_inode *n, const void *data, size_t len,
                    u64 offset);
void sim_disk_resize(struct sim_disk *d, struct sim_inode *n, u64 bytes);
void sim_disk_sync(struct sim_disk *d, struct sim_inode *n);
/* A write in two steps: nothing of it is seen before it ends. */
MUST_USE struct sim_write *sim_disk_write_begin(struct sim_disk *d, struct sim_inode *n,
                                                const void *data, size_t len, u64 offset);
void sim_disk_write_end(struct sim_disk *d, struct sim_write *w, bool durable);
/* It ends with an error: some sectors of it are there, or none, or all. */
void sim_disk_write_fail(struct sim_disk *d, struct sim_write *w);
/* What has been written so far; a sync that begins now covers everything that has ended by then. */
u64 sim_disk_mark(const struct sim_disk *d);
void sim_disk_sync_up_to(struct sim_disk *d, struct sim_inode *n, u64 mark);

/* Exclusive, by holder; ERR_LOCKED. */
MUST_USE err_t sim_disk_lock(struct sim_inode *n, const void *holder);
void sim_disk_unlock(struct sim_inode *n, const void *holder);

/* ---- ends ------------------------------------------------------------------------------------ */

/* kill -9: locks are gone, writes under way arrive or not or in part. Now and then such a write is
   still on its way when the process is gone, and so is the lock of its file (only where the file
   had one): then true. */
bool sim_disk_process_end(struct sim_disk *d);
/* Those writes arrive, or not, or in part, and their locks go. */
void sim_disk_late_arrive(struct sim_disk *d);
/* The machine lost power. */
void sim_disk_power_cut(struct sim_disk *d);
/* What becomes of what is not on the medium. */
enum sim_cut {
    SIM_CUT_RANDOM, /* sim_disk_power_cut: every write and name has a fate of its own */
    SIM_CUT_NONE,   /* nothing arrives */
    SIM_CUT_ALL,    /* everything does */
    SIM_CUT_FILES,  /* of a file or directory all or nothing: later ones outlive earlier ones */
};
void sim_disk_power_cut_as(struct sim_disk *d, enum sim_cut cut);
bool sim_disk_unsynced(const struct sim_disk *d); /* could a power cut lose something? */
u64 sim_disk_version(const struct sim_disk *d);   /* another one after every change */
/* Let the next end leave copies of older frames where writes did not arrive, and behind the last
 * write of a file. */
void sim_disk_plant(struct sim_disk *d, bool on);
/* Bit rot: one bit of what was once written to a WAL extent or a mirrored file, or to a pack, is
   another one. false: there is nothing. sim_disk_unrot turns it back, as a restored backup would.
 */
struct sim_rot {
    enum sim_inode_kind kind;
    u32 inode; /* its number */
    u64 offset;
    u8 bit;
};
MUST_USE bool sim_disk_rot(struct sim_disk *d, bool packs, struct sim_rot *out);
void sim_disk_unrot(struct sim_disk *d, const struct sim_rot *rot);
struct sim_disk_stats {
    u64 writes_dropped;
    u64 writes_kept;
    u64 writes_torn;
    u64 frames_planted;
    u64 names_dropped;
};
void sim_disk_stats(const struct sim_disk *d, struct sim_disk_stats *out);
