/* What the two homes share: the head of every home, its table of verbs, and completions that are
   known at once but must not run inside the starting call. Only home.c, home_mem.c and disk_*.c
   include this.

   A started home_write or home_read is in at most one list by its node: the implementation's, or
   `ready_*` here. private_[0] holds the home, private_[1] the result while it is in a ready list;
   before that [1] is the implementation's, as is [2]; [3] is nobody's. They are the caller's
   memory: after a crash in the simulator it is gone before home_destroy, which must not look at it.
 */
#pragma once

#include "home/home.h"

#include <stdatomic.h>

struct pack_file;

struct home_ops {
    bool reopens; /* home_open again starts a new session */
    void (*destroy)(struct home *h);
    err_t (*open)(struct home *h, struct uuid *cluster);
    err_t (*meta_replay)(struct home *h, const struct home_meta_visitor *v, u64 *next_slot);
    void (*meta_write)(struct home *h, struct home_meta_write *w);
    err_t (*meta_write_now)(struct home *h, u64 slot, struct slice payload);
    err_t (*wal_start)(struct home *h, u64 wal, u64 nonce);
    void (*wal_write)(struct home *h, struct home_write *w);
    void (*wal_read)(struct home *h, struct home_read *r);
    err_t (*wal_scan)(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                      const struct home_wal_visitor *v, u64 *length);
    u32 (*wal_remove)(struct home *h, u64 wal); /* how many files went */
    void (*wals_each)(struct home *h, void (*each)(void *user, u64 wal),
                      void *user);      /* those with files, in any order */
    err_t (*wals_sync)(struct home *h); /* what is removed stays so; or NULL */
    void (*wal_trim)(struct home *h, u64 wal, u64 slot);
    err_t (*slots_find)(struct home *h, u64 wal, u64 nonce, u64 from, u64 to,
                        struct home_slots **out);
    err_t (*slots_read)(struct home_slots *s, u64 slot, void *buf, size_t cap,
                        u32 *bytes); /* any thread */
    void (*slots_free)(struct home_slots *s);
    /* These four: or NULL, nothing can be kept. */
    bool (*slots_keepable)(struct home *h, u64 slot, u64 *to);
    void (*slots_keep)(struct home_slots *s, bool keep, u64 pack_id);
    u64 (*slots_position)(const struct home_slots *s, u64 slot);              /* any thread */
    err_t (*pack_keep)(struct home_slots *s, u64 id, struct pack_file **out); /* any thread */
    err_t (*pack_make)(struct home *h, u64 id, struct pack_file **out);       /* any thread */
    err_t (*pack_open)(struct home *h, u64 id, struct pack_file **out);       /* any thread */
    err_t (*packs_list)(struct home *h, void (*each)(void *user, u64 id), void *user);
    err_t (*pack_unlink)(struct home *h, u64 id);
    err_t (*packs_sync)(struct home *h); /* what is unlinked stays so; or NULL */
    void (*pack_read)(struct home *h, struct home_read *r);
    void (*pack_remove)(struct home *h, u64 id);
    void (*pack_retire)(struct home *h, struct home_pack pack); /* or NULL: pack_remove */
    u64 (*wal_bytes)(struct home *h);
    void (*space_look)(struct home *h); /* or NULL */
    void (*fenced)(struct home *h);     /* the home was just fenced; or NULL */
};

struct home {
    const struct home_ops *ops;
    struct io *io;
    struct uuid cluster;
    u32 block_bytes;
    bool direct;
    bool opened;
    bool replayed;
    bool wal_started;
    bool fenced;
    bool refusing; /* writes that failed for space wait to be told: later ones fail with them */
    u64 wal;       /* this session's */
    u64 nonce;
    u64 next_slot; /* that home_wal_write must be called with */
    struct home_meta_write *meta_writing;
    err_t meta_result; /* of meta_writing, when it is only waiting to be told */
    bool meta_ready;
    struct blob_pool buffers; /* reading at start and for filing */
    /* Workers change these two. */
    _Atomic u64 pack_bytes;
    _Atomic u64 free_bytes; /* as last looked; UINT64_MAX: not known */
    struct home_swept swept;
    struct list ready_writes;
    struct list ready_reads;
    struct io_timer soon;
    char reason[512];
};

/* The head of what the homes make of it. */
struct home_slots {
    struct home *home;
};

/* quota: for `buffers`; NULL: no limit. */
void home_init(struct home *h, const struct home_ops *ops, struct io *io, struct quota *quota);
/* Completions of a later turn. finish_write_soon takes a write that is in no list. */
void home_finish_write_soon(struct home *h, struct home_write *w, err_t result);
void home_finish_read_soon(struct home *h, struct home_read *r, err_t result);
void home_finish_meta_soon(struct home *h, err_t result);
/* The current metadata write ends now (from a completion). */
void home_finish_meta(struct home *h, err_t result);
/* Sets the reason and passes `e` on. */
PRINTF_LIKE(3, 4) MUST_USE err_t home_fail(struct home *h, err_t e, const char *fmt, ...);
/* Sets the reason only. */
PRINTF_LIKE(2, 3) void home_note(struct home *h, const char *fmt, ...);
/* From now on nothing is acknowledged. Keeps the first reason. */
PRINTF_LIKE(2, 3) void home_fence(struct home *h, const char *fmt, ...);

/* file_ids.c: the caller frees items. */
struct file_ids {
    u64 *items;
    u32 count;
    u32 cap;
};
void file_ids_add(void *ids, u64 id); /* of the homes' each-verbs */
void file_ids_sort(struct file_ids *ids);

static inline struct home *home_of_write(const struct home_write *w)
{
    return (struct home *)(uintptr_t)w->private_[0];
}
static inline struct home *home_of_read(const struct home_read *r)
{
    return (struct home *)(uintptr_t)r->private_[0];
}
