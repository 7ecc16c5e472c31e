/* What home_mem.c and mem_pack.c share. */
#pragma once

#include "home/pack_private.h"

struct mem_bytes {
    u8 *data; /* NULL: trimmed */
    size_t len;
};

struct mem_list {
    struct mem_bytes *items;
    u64 count;
    u64 cap;
};

struct home_mem {
    struct home base;
    struct map64 wals; /* wal id -> struct mem_wal */
    u64 wal_bytes;
    bool has_snapshot;
    struct mem_bytes snapshot;
    u64 first_slot; /* of `slots`: the snapshot is the state before it */
    struct mem_list slots;
    /* Workers make and read packs: both are touched only while the lock is held. */
    atomic_flag packs_lock;
    struct map64 packs; /* pack id -> struct mem_pack */
};

static inline struct home_mem *mem_of(struct home *h)
{
    return CONTAINER_OF(h, struct home_mem, base);
}

/* mem_pack.c */
void mem_packs_init(struct home_mem *m);
void mem_packs_fini(struct home_mem *m);
MUST_USE err_t mem_pack_make(struct home *h, u64 id, struct pack_file **out);
MUST_USE err_t mem_pack_open(struct home *h, u64 id, struct pack_file **out);
MUST_USE err_t mem_packs_list(struct home *h, void (*each)(void *user, u64 id), void *user);
MUST_USE err_t mem_pack_unlink(struct home *h, u64 id);
void mem_pack_read(struct home *h, struct home_read *r);
void mem_pack_remove(struct home *h, u64 id);
