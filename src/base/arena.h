/* Memory with the lifetime of one request (or one step): allocate by moving a pointer, release
   all at once. Blocks are charged to a quota; when it is full arena_alloc returns NULL and
   arena->exhausted stays true until reset. */
#pragma once

#include "mem.h"
#include "types.h"

struct arena_block;
struct arena {
    struct quota *quota;       /* may be NULL: unlimited (tests, start-up) */
    struct arena_block *block; /* newest first */
    size_t block_bytes;        /* size of an ordinary block */
    size_t total_bytes;        /* in all blocks */
    size_t cap_bytes;          /* of this arena; 0 = no own cap */
    bool exhausted;
};
void arena_init(struct arena *a, struct quota *quota, size_t block_bytes, size_t cap_bytes);
MUST_USE void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, 16-aligned; NULL when full */
MUST_USE void *arena_array(struct arena *a, size_t count, size_t element_bytes); /* overflow-safe */
MUST_USE struct slice arena_copy(struct arena *a,
                                 struct slice s); /* {NULL,0} when full and len > 0 */
PRINTF_LIKE(2, 3)
const char *arena_printf(struct arena *a, const char *fmt, ...); /* NULL when full */
void arena_reset(struct arena *a);                               /* keeps one block for reuse */
void arena_fini(struct arena *a);
