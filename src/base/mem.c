/* The allocator behind start-up and control-plane memory, and the shares of the memory budget.
   Nothing here is freed by anybody but its owner; a failed allocation ends the process, which is
   safe because an acknowledgement is only ever sent for bytes that are already durable. */
#include "mem.h"

#include "assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die_out_of_memory(void)
{
    static const char text[] =
        "odradek: out of memory: the system refused a small allocation.\n"
        "  Give the process more memory, or start it with a smaller --memory.\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    abort();
}

void *mem_alloc(size_t bytes)
{
    void *ptr = calloc(1, MAX(bytes, (size_t)1));
    if (ptr == NULL) {
        die_out_of_memory();
    }
    return ptr;
}

void *mem_resize(void *ptr, size_t bytes)
{
    void *moved = realloc(ptr, MAX(bytes, (size_t)1));
    if (moved == NULL) {
        die_out_of_memory();
    }
    return moved;
}

void mem_free(void *ptr)
{
    free(ptr);
}

char *mem_strndup(struct slice s)
{
    assert(s.ptr != NULL || s.len == 0);
    char *copy = mem_alloc(s.len + 1);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return copy;
}

void quota_init(struct quota *q, const char *name, struct quota *parent, u64 cap_bytes)
{
    assert(q != parent);
    *q = (struct quota){.name = name, .parent = parent, .cap = cap_bytes};
}

bool quota_charge(struct quota *q, u64 bytes)
{
    if (bytes > quota_left(q)) {
        return false;
    }
    for (struct quota *share = q; share != NULL; share = share->parent) {
        share->used += bytes;
        share->used_max = MAX(share->used_max, share->used);
    }
    return true;
}

void quota_release(struct quota *q, u64 bytes)
{
    for (struct quota *share = q; share != NULL; share = share->parent) {
        assert(share->used >= bytes);
        share->used -= bytes;
    }
}

u64 quota_left(const struct quota *q)
{
    u64 left = UINT64_MAX;
    for (const struct quota *share = q; share != NULL; share = share->parent) {
        u64 room = share->cap > share->used ? share->cap - share->used : 0;
        left = MIN(left, room);
    }
    return left;
}
