/* Pools of equal objects. Memory comes in slabs that double in object count up to SLAB_BYTES_MAX,
   so that a pool that is never used costs nothing and a busy one rarely asks. Slabs go back to the
   system only in pool_fini: a pool's size is its high-water mark, and its quota shows it.

   A free object holds the link to the next free one in its first word. */
#include "pool.h"

#include "assert.h"
#include "poison.h"

#include <stdlib.h>
#include <string.h>

#define POOL_ALIGN     16u
#define SLAB_BYTES_MIN (4u * 1024u)
#define SLAB_BYTES_MAX (256u * 1024u)

struct slab {
    struct slab *next;
    size_t bytes;
};
struct free_object {
    struct free_object *next;
};
static_assert(sizeof(struct slab) <= POOL_ALIGN, "the slab's header takes one unit of alignment");

static size_t slab_bytes_next(const struct pool *p)
{
    size_t wanted = SLAB_BYTES_MIN;
    const struct slab *newest = p->slabs;
    if (newest != NULL) {
        wanted = MIN(2 * newest->bytes, (size_t)SLAB_BYTES_MAX);
    }
    return wanted;
}

/* Adds one slab to the free list; false when the quota or the system has no room. */
static bool pool_grow(struct pool *p)
{
    u32 count = (u32)MAX((slab_bytes_next(p) - POOL_ALIGN) / p->object_bytes, (size_t)1);
    count = MIN(count, p->count_max - p->count);
    size_t bytes = POOL_ALIGN + count * p->object_bytes;
    if (p->quota != NULL && !quota_charge(p->quota, bytes)) {
        return false;
    }
    struct slab *slab = malloc(bytes);
    if (slab == NULL) {
        if (p->quota != NULL) {
            quota_release(p->quota, bytes);
        }
        return false;
    }
    *slab = (struct slab){.next = p->slabs, .bytes = bytes};
    p->slabs = slab;
    /* From the last to the first, so that objects are handed out in address order. */
    for (u32 i = count; i > 0; i--) {
        u8 *object = (u8 *)slab + POOL_ALIGN + (i - 1) * p->object_bytes;
        ((struct free_object *)(void *)object)->next = p->free_list;
        p->free_list = object;
        poison(object + sizeof(struct free_object), p->object_bytes - sizeof(struct free_object));
    }
    return true;
}

void pool_init(struct pool *p, const char *name, struct quota *quota, size_t object_bytes,
               u32 count_max)
{
    assert(object_bytes > 0);
    assert(count_max > 0);
    *p = (struct pool){
        .name = name,
        .quota = quota,
        .object_bytes = ROUND_UP(object_bytes, (size_t)POOL_ALIGN),
        .count_max = count_max,
    };
}

void *pool_get(struct pool *p)
{
    assert(p->count <= p->count_max);
    if (p->count == p->count_max) {
        return NULL;
    }
    if (p->free_list == NULL && !pool_grow(p)) {
        return NULL;
    }
    struct free_object *object = p->free_list;
    p->free_list = object->next;
    p->count++;
    unpoison(object, p->object_bytes);
    memset(object, 0, p->object_bytes);
    return object;
}

void pool_put(struct pool *p, void *object)
{
    assert(object != NULL);
    assert(p->count > 0);
    poison((u8 *)object + sizeof(struct free_object), p->object_bytes - sizeof(struct free_object));
    ((struct free_object *)object)->next = p->free_list;
    p->free_list = object;
    p->count--;
}

void pool_fini(struct pool *p)
{
    assert(p->count == 0);
    struct slab *slab = p->slabs;
    while (slab != NULL) {
        struct slab *next = slab->next;
        size_t bytes = slab->bytes;
        unpoison(slab, bytes);
        free(slab);
        if (p->quota != NULL) {
            quota_release(p->quota, bytes);
        }
        slab = next;
    }
    *p = (struct pool){0};
}
