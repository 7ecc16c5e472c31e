/* The arena: a chain of blocks, the newest in front; only the newest is allocated from. A request
   that is larger than an ordinary block gets a block of its own. Reset returns everything but one
   ordinary block, so that a busy connection does not go to the system for every request.

   Every block is charged to the quota as long as it exists. */
#include "arena.h"

#include "assert.h"
#include "poison.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGN 16u

struct arena_block {
    struct arena_block *next; /* older */
    size_t bytes;             /* of the whole block, this header included */
    size_t used;              /* header included */
};

#define HEADER_BYTES ROUND_UP(sizeof(struct arena_block), (size_t)ARENA_ALIGN)

static struct arena_block *block_create(struct arena *a, size_t bytes)
{
    if (a->cap_bytes != 0 && (bytes > a->cap_bytes || a->total_bytes > a->cap_bytes - bytes)) {
        return NULL;
    }
    if (a->quota != NULL && !quota_charge(a->quota, bytes)) {
        return NULL;
    }
    struct arena_block *block = malloc(bytes);
    if (block == NULL) {
        if (a->quota != NULL) {
            quota_release(a->quota, bytes);
        }
        return NULL;
    }
    *block = (struct arena_block){.next = a->block, .bytes = bytes, .used = HEADER_BYTES};
    poison((u8 *)block + HEADER_BYTES, bytes - HEADER_BYTES);
    a->total_bytes += bytes;
    a->block = block;
    return block;
}

static void block_destroy(struct arena *a, struct arena_block *block)
{
    size_t bytes = block->bytes;
    assert(a->total_bytes >= bytes);
    a->total_bytes -= bytes;
    unpoison(block, bytes);
    free(block);
    if (a->quota != NULL) {
        quota_release(a->quota, bytes);
    }
}

void arena_init(struct arena *a, struct quota *quota, size_t block_bytes, size_t cap_bytes)
{
    assert(block_bytes > HEADER_BYTES);
    *a = (struct arena){
        .quota = quota,
        .block_bytes = ROUND_UP(block_bytes, (size_t)ARENA_ALIGN),
        .cap_bytes = cap_bytes,
    };
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    assert(a->block_bytes > 0);
    if (bytes > SIZE_MAX / 2) {
        a->exhausted = true;
        return NULL;
    }
    size_t taken = ROUND_UP(MAX(bytes, (size_t)1), (size_t)ARENA_ALIGN);
    struct arena_block *block = a->block;
    if (block == NULL || block->bytes - block->used < taken) {
        block = block_create(a, MAX(a->block_bytes, HEADER_BYTES + taken));
        if (block == NULL) {
            a->exhausted = true;
            return NULL;
        }
    }
    u8 *ptr = (u8 *)block + block->used;
    block->used += taken;
    /* What rounding added stays poisoned. */
    unpoison(ptr, bytes);
    if (bytes > 0) {
        memset(ptr, 0, bytes);
    }
    return ptr;
}

void *arena_array(struct arena *a, size_t count, size_t element_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, element_bytes, &bytes)) {
        a->exhausted = true;
        return NULL;
    }
    return arena_alloc(a, bytes);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    if (s.len == 0) {
        return (struct slice){NULL, 0};
    }
    u8 *copy = arena_alloc(a, s.len);
    if (copy == NULL) {
        return (struct slice){NULL, 0};
    }
    memcpy(copy, s.ptr, s.len);
    return (struct slice){copy, s.len};
}

const char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(len >= 0);

    char *text = arena_alloc(a, (size_t)len + 1);
    if (text == NULL) {
        return NULL;
    }
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = NULL;
    struct arena_block *block = a->block;
    while (block != NULL) {
        struct arena_block *older = block->next;
        if (kept == NULL && block->bytes == a->block_bytes) {
            kept = block;
        } else {
            block_destroy(a, block);
        }
        block = older;
    }
    if (kept != NULL) {
        kept->next = NULL;
        unpoison(kept, kept->bytes);
        poison((u8 *)kept + HEADER_BYTES, kept->bytes - HEADER_BYTES);
        kept->used = HEADER_BYTES;
    }
    a->block = kept;
    a->exhausted = false;
    assert(a->total_bytes == (kept != NULL ? kept->bytes : 0));
}

void arena_fini(struct arena *a)
{
    while (a->block != NULL) {
        struct arena_block *block = a->block;
        a->block = block->next;
        block_destroy(a, block);
    }
    assert(a->total_bytes == 0);
    *a = (struct arena){0};
}
