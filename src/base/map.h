/* Hash maps. Iteration order is insertion order (entries live in a dense array; a removal swaps
   nothing: it leaves a hole that the next resize closes), so it never depends on an address or a
   hash seed. */
#pragma once

#include "types.h"

/* u64 -> pointer. */
struct map64 {
    void *entries;
    u32 *buckets;
    u32 count;
    u32 used; /* entries including holes */
    u32 cap;  /* of entries */
    u32 bucket_mask;
};
void map64_init(struct map64 *m);
void map64_fini(struct map64 *m);
void *map64_get(const struct map64 *m, u64 key);       /* NULL when absent */
void map64_put(struct map64 *m, u64 key, void *value); /* replaces; value not NULL */
void *map64_remove(struct map64 *m, u64 key);          /* the old value or NULL */
bool map64_next(const struct map64 *m, u32 *cursor, u64 *key,
                void **value); /* start with *cursor = 0 */

/* bytes -> pointer. The key's memory belongs to the value's owner and must outlive the entry. */
struct map_slice {
    void *entries;
    u32 *buckets;
    u32 count;
    u32 used;
    u32 cap;
    u32 bucket_mask;
};
void map_slice_init(struct map_slice *m);
void map_slice_fini(struct map_slice *m);
void *map_slice_get(const struct map_slice *m, struct slice key);
void map_slice_put(struct map_slice *m, struct slice key, void *value);
void *map_slice_remove(struct map_slice *m, struct slice key);
bool map_slice_next(const struct map_slice *m, u32 *cursor, struct slice *key, void **value);
