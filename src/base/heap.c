/* The binary heap behind timers. nodes[1] is the smallest; the children of i are 2i and 2i+1. A
   node knows its own index, so removing one from the middle costs no search. */
#include "heap.h"

#include "assert.h"
#include "mem.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void place(struct heap *h, u32 index, struct heap_node *n)
{
    h->nodes[index] = n;
    n->index = index;
}

static void sift_up(struct heap *h, u32 index, struct heap_node *n)
{
    while (index > 1 && before(n, h->nodes[index / 2])) {
        place(h, index, h->nodes[index / 2]);
        index /= 2;
    }
    place(h, index, n);
}

static void sift_down(struct heap *h, u32 index, struct heap_node *n)
{
    while (index <= h->count / 2) {
        u32 child = 2 * index;
        if (child < h->count && before(h->nodes[child + 1], h->nodes[child])) {
            child++;
        }
        if (!before(h->nodes[child], n)) {
            break;
        }
        place(h, index, h->nodes[child]);
        index = child;
    }
    place(h, index, n);
}

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    assert(h->count == 0);
    mem_free(h->nodes);
    *h = (struct heap){0};
}

void heap_insert(struct heap *h, struct heap_node *n, u64 key)
{
    assert(!heap_linked(n));
    assert(h->count < UINT32_MAX / 2 - 1);
    if (h->count + 1 >= h->cap) {
        h->cap = MAX(2 * h->cap, 16u);
        h->nodes = mem_resize(h->nodes, h->cap * sizeof(h->nodes[0]));
        h->nodes[0] = NULL;
    }
    n->key = key;
    n->seq = h->next_seq++;
    h->count++;
    sift_up(h, h->count, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    u32 index = n->index;
    assert(index >= 1 && index <= h->count);
    assert(h->nodes[index] == n);
    struct heap_node *last = h->nodes[h->count];
    h->count--;
    n->index = 0;
    if (last == n) {
        return;
    }
    if (index > 1 && before(last, h->nodes[index / 2])) {
        sift_up(h, index, last);
    } else {
        sift_down(h, index, last);
    }
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->count > 0 ? h->nodes[1] : NULL;
}
