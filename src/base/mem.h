/* The only place that calls malloc. Start-up and control-plane memory; it never returns NULL (a
   process that cannot get a small block ends with a message, before it could acknowledge
   anything). Data-path memory comes from arena, pool and blob, which have caps. */
#pragma once

#include "types.h"

MUST_USE void *mem_alloc(size_t bytes);             /* zeroed */
MUST_USE void *mem_resize(void *ptr, size_t bytes); /* as realloc */
void mem_free(void *ptr);                           /* NULL is allowed */
MUST_USE char *mem_strndup(struct slice s);         /* with a terminator */

/* A share of the memory budget. Charges go up to the parent too; a charge that would pass any cap
   on the way changes nothing and returns false. Caps may be over-committed: the parent decides. */
struct quota {
    const char *name;
    struct quota *parent; /* NULL = root */
    u64 cap;              /* bytes */
    u64 used;             /* bytes, this share and all below */
    u64 used_max;         /* high-water mark, a metric */
};
void quota_init(struct quota *q, const char *name, struct quota *parent, u64 cap_bytes);
MUST_USE bool quota_charge(struct quota *q, u64 bytes);
void quota_release(struct quota *q, u64 bytes);
u64 quota_left(const struct quota *q); /* the smallest room on the way to the root */
