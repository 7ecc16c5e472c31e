/* Fixed-size objects with a cap: alloc and free in a few instructions, memory taken from the
   system in slabs on demand, charged to a quota. Freed objects are poisoned in debug builds. */
#pragma once

#include "mem.h"
#include "types.h"

struct pool {
    const char *name;
    struct quota *quota; /* may be NULL */
    size_t object_bytes;
    u32 count_max;
    u32 count; /* live objects */
    void *free_list;
    void *slabs;
};
void pool_init(struct pool *p, const char *name, struct quota *quota, size_t object_bytes,
               u32 count_max);
MUST_USE void *pool_get(struct pool *p); /* zeroed; NULL when count_max or the quota is reached */
void pool_put(struct pool *p, void *object);
void pool_fini(struct pool *p); /* asserts that count is 0 */
