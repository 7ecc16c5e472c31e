/* Reference-counted runs of bytes: receive buffers, WAL chunks (which are then the hot cache), read
   buffers. A blob is created with one reference; the last blob_unref gives the memory back to its
   pool at once. Data is BLOB_ALIGN-aligned so that O_DIRECT can use it. Not thread-safe: only the
   loop touches reference counts. */
#pragma once

#include "list.h"
#include "mem.h"
#include "types.h"

#define BLOB_ALIGN 4096u

struct blob_pool;
struct blob {
    u8 *data;
    size_t cap; /* bytes at data */
    u32 refs;
    struct blob_pool *pool;
};

/* Blobs of one usual size, recycled; other sizes are mapped and unmapped one by one. All charged to
   the quota. Up to keep_free blobs of the usual size stay mapped when free. */
struct blob_pool {
    const char *name;
    struct quota *quota;
    size_t usual_bytes;
    u32 keep_free;
    u32 free_count;
    u32 live_count;
    void *free_list;
};
void blob_pool_init(struct blob_pool *p, const char *name, struct quota *quota, size_t usual_bytes,
                    u32 keep_free);
void blob_pool_fini(struct blob_pool *p); /* asserts live_count == 0 */
/* Unmaps what is free, or all but so many; the quota is wanted elsewhere. */
void blob_pool_trim(struct blob_pool *p);
void blob_pool_shrink(struct blob_pool *p, u32 free_max);
/* bytes is rounded up to BLOB_ALIGN; NULL when the quota has no room. Content is undefined. */
MUST_USE struct blob *blob_get(struct blob_pool *p, size_t bytes);
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b);
/* Has the kernel back all of it with memory, so that whoever writes there later does not wait for
   that. Keeps the content; on any thread while the caller's reference is held. */
void blob_populate(const struct blob *b);

/* A range of a blob that is to be sent; whoever queues it holds a reference. */
struct blob_part {
    struct blob *blob; /* NULL: data points to memory that outlives the send (tables, arena) */
    const u8 *data;
    size_t len;
};
