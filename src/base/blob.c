/* Blobs. Data is mapped from the kernel, so that nothing is resident until it is touched and all of
   it is gone when it is given back. From 2 MiB on a mapping is aligned to 2 MiB and offered for
   huge pages, which the kernel may or may not grant.

   Blobs of the pool's usual size are recycled: up to keep_free of them stay mapped, and stay
   charged to the quota for as long as they do, because their pages are resident. */
#include "blob.h"

#include "assert.h"
#include "poison.h"

#include <sys/mman.h>

#define HUGE_BYTES ((size_t)(2 * MIB))

/* What the pool really hands out: the blob and the link it needs while it is free. */
struct cell {
    struct blob blob;
    struct cell *next;
};

static void *map_plain(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Maps a little more, then gives back what lies before and after the aligned part. */
static void *map_huge(size_t bytes)
{
    u8 *start = map_plain(bytes + HUGE_BYTES);
    if (start == NULL) {
        return NULL;
    }
    size_t before = (HUGE_BYTES - (uintptr_t)start % HUGE_BYTES) % HUGE_BYTES;
    size_t after = HUGE_BYTES - before;
    if (before > 0) {
        munmap(start, before);
    }
    if (after > 0) {
        munmap(start + before + bytes, after);
    }
    /* Advice: without huge pages everything still works. */
    (void)madvise(start + before, bytes, MADV_HUGEPAGE);
    return start + before;
}

static u8 *map_data(size_t bytes)
{
    return bytes >= HUGE_BYTES ? map_huge(bytes) : map_plain(bytes);
}

static void cell_destroy(struct blob_pool *p, struct cell *cell)
{
    size_t bytes = cell->blob.cap;
    unpoison(cell->blob.data, bytes);
    int failed = munmap(cell->blob.data, bytes);
    assert(failed == 0);
    (void)failed;
    mem_free(cell);
    if (p->quota != NULL) {
        quota_release(p->quota, bytes);
    }
}

void blob_pool_init(struct blob_pool *p, const char *name, struct quota *quota, size_t usual_bytes,
                    u32 keep_free)
{
    assert(usual_bytes > 0);
    *p = (struct blob_pool){
        .name = name,
        .quota = quota,
        .usual_bytes = ROUND_UP(usual_bytes, (size_t)BLOB_ALIGN),
        .keep_free = keep_free,
    };
}

void blob_pool_shrink(struct blob_pool *p, u32 free_max)
{
    while (p->free_count > free_max) {
        struct cell *cell = p->free_list;
        p->free_list = cell->next;
        p->free_count--;
        cell_destroy(p, cell);
    }
}

void blob_pool_trim(struct blob_pool *p)
{
    blob_pool_shrink(p, 0);
    assert(p->free_list == NULL);
}

void blob_pool_fini(struct blob_pool *p)
{
    assert(p->live_count == 0);
    blob_pool_trim(p);
    *p = (struct blob_pool){0};
}

static struct cell *cell_reuse(struct blob_pool *p)
{
    struct cell *cell = p->free_list;
    if (cell == NULL) {
        return NULL;
    }
    p->free_list = cell->next;
    cell->next = NULL;
    assert(p->free_count > 0);
    p->free_count--;
    unpoison(cell->blob.data, cell->blob.cap);
    return cell;
}

static struct cell *cell_create(struct blob_pool *p, size_t bytes)
{
    if (p->quota != NULL && !quota_charge(p->quota, bytes)) {
        return NULL;
    }
    u8 *data = map_data(bytes);
    if (data == NULL) {
        if (p->quota != NULL) {
            quota_release(p->quota, bytes);
        }
        return NULL;
    }
    struct cell *cell = mem_alloc(sizeof(*cell));
    cell->blob = (struct blob){.data = data, .cap = bytes, .pool = p};
    return cell;
}

struct blob *blob_get(struct blob_pool *p, size_t bytes)
{
    assert(p->usual_bytes > 0);
    if (bytes > SIZE_MAX / 4) {
        return NULL;
    }
    size_t cap = ROUND_UP(MAX(bytes, (size_t)1), (size_t)BLOB_ALIGN);
    struct cell *cell = cap == p->usual_bytes ? cell_reuse(p) : NULL;
    if (cell == NULL) {
        cell = cell_create(p, cap);
    }
    if (cell == NULL) {
        return NULL;
    }
    assert(cell->blob.refs == 0);
    assert((uintptr_t)cell->blob.data % BLOB_ALIGN == 0);
    cell->blob.refs = 1;
    p->live_count++;
    return &cell->blob;
}

struct blob *blob_ref(struct blob *b)
{
    assert(b->refs > 0);
    assert(b->refs < UINT32_MAX);
    b->refs++;
    return b;
}

void blob_populate(const struct blob *b)
{
#ifdef MADV_POPULATE_WRITE /* Linux 5.14; before, the first touch populates */
    (void)madvise(b->data, b->cap, MADV_POPULATE_WRITE);
#endif
}

void blob_unref(struct blob *b)
{
    assert(b->refs > 0);
    b->refs--;
    if (b->refs > 0) {
        return;
    }
    struct blob_pool *p = b->pool;
    struct cell *cell = CONTAINER_OF(b, struct cell, blob);
    assert(p->live_count > 0);
    p->live_count--;
    if (b->cap == p->usual_bytes && p->free_count < p->keep_free) {
        poison(b->data, b->cap);
        cell->next = p->free_list;
        p->free_list = cell;
        p->free_count++;
        return;
    }
    cell_destroy(p, cell);
}
