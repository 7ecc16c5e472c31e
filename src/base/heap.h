/* Intrusive binary min-heap ordered by a u64 key (a deadline). index is 0 when not in the heap
   (slot 0 of the array is unused). Equal keys leave in the order they came (seq). */
#pragma once

#include "types.h"

struct heap_node {
    u64 key;
    u64 seq;
    u32 index;
};
struct heap {
    struct heap_node **nodes;
    u32 count;
    u32 cap;
    u64 next_seq;
};
void heap_init(struct heap *h);
void heap_fini(struct heap *h);
void heap_insert(struct heap *h, struct heap_node *n, u64 key);
void heap_remove(struct heap *h, struct heap_node *n);
struct heap_node *heap_min(const struct heap *h); /* NULL when empty */
static inline bool heap_linked(const struct heap_node *n)
{
    return n->index != 0;
}
