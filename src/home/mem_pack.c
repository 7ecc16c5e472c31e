/* Packs of the home in memory: the same bytes as on disk, in one allocation each. Called through
   home.c and pack*.c. A pack is freed when it was removed and nobody has it open.

   Workers make and read them, so the map and the counts have a lock. It is held for a look-up or a
   copy, and the home in memory is for tests: a spin lock does. */
#include "home/home_mem.h"

#include <string.h>

struct mem_pack {
    u64 id;
    u32 refs; /* the map's and every open file's */
    u8 *data;
    u64 bytes;
    u64 cap;
};

struct mem_pack_file {
    struct pack_file base;
    struct home_mem *mem;
    struct mem_pack *pack;
};

static void lock(struct home_mem *m)
{
    while (atomic_flag_test_and_set_explicit(&m->packs_lock, memory_order_acquire)) {
    }
}

static void unlock(struct home_mem *m)
{
    atomic_flag_clear_explicit(&m->packs_lock, memory_order_release);
}

static void pack_unref(struct home_mem *m, struct mem_pack *p)
{
    lock(m);
    assert(p->refs > 0);
    p->refs--;
    bool last = p->refs == 0;
    unlock(m);
    if (last) {
        mem_free(p->data);
        mem_free(p);
    }
}

/* Out of the map; what is open stays. false: it was not there. */
static bool pack_take_out(struct home_mem *m, u64 id)
{
    lock(m);
    struct mem_pack *p = map64_remove(&m->packs, id);
    unlock(m);
    if (p != NULL) {
        pack_unref(m, p);
    }
    return p != NULL;
}

/* ---- one file -------------------------------------------------------------------------------- */

static struct mem_pack_file *file_of(struct pack_file *f)
{
    return CONTAINER_OF(f, struct mem_pack_file, base);
}

static err_t file_write(struct pack_file *f, const void *data, u32 bytes, u64 at)
{
    struct mem_pack *p = file_of(f)->pack;
    assert(at == p->bytes);
    if (p->cap < p->bytes + bytes) {
        p->cap = MAX(2 * p->cap, p->bytes + bytes);
        p->data = mem_resize(p->data, p->cap);
    }
    memcpy(p->data + at, data, bytes);
    p->bytes += bytes;
    return OK;
}

static err_t file_read(struct pack_file *f, void *out, u32 bytes, u64 at)
{
    const struct mem_pack *p = file_of(f)->pack;
    if (at + bytes > p->bytes) {
        return ERR_CORRUPT;
    }
    memcpy(out, p->data + at, bytes);
    return OK;
}

static err_t file_commit(struct pack_file *f, u64 bytes)
{
    struct mem_pack_file *file = file_of(f);
    assert(file->pack->bytes == bytes);
    atomic_fetch_add(&file->mem->base.pack_bytes, bytes);
    return OK;
}

static void file_close(struct pack_file *f)
{
    struct mem_pack_file *file = file_of(f);
    pack_unref(file->mem, file->pack);
    mem_free(file);
}

static void file_discard(struct pack_file *f)
{
    struct mem_pack_file *file = file_of(f);
    (void)pack_take_out(file->mem, file->pack->id);
    file_close(f);
}

static const struct pack_file_ops file_ops = {
    .write = file_write,
    .read = file_read,
    .commit = file_commit,
    .close = file_close,
    .discard = file_discard,
};

static struct pack_file *file_make(struct home_mem *m, struct mem_pack *p, u64 bytes)
{
    struct mem_pack_file *file = mem_alloc(sizeof(*file));
    file->base = (struct pack_file){.ops = &file_ops, .bytes = bytes};
    file->mem = m;
    file->pack = p;
    return &file->base;
}

err_t mem_pack_make(struct home *h, u64 id, struct pack_file **out)
{
    struct home_mem *m = mem_of(h);
    struct mem_pack *p = mem_alloc(sizeof(*p));
    p->id = id;
    p->refs = 2;
    lock(m);
    bool there = map64_get(&m->packs, id) != NULL;
    if (!there) {
        map64_put(&m->packs, id, p);
    }
    unlock(m);
    if (there) {
        mem_free(p);
        return ERR_EXISTS;
    }
    *out = file_make(m, p, 0);
    return OK;
}

err_t mem_pack_open(struct home *h, u64 id, struct pack_file **out)
{
    struct home_mem *m = mem_of(h);
    lock(m);
    struct mem_pack *p = map64_get(&m->packs, id);
    u64 bytes = 0;
    if (p != NULL) {
        p->refs++;
        bytes = p->bytes;
    }
    unlock(m);
    if (p == NULL) {
        return ERR_NOT_FOUND;
    }
    *out = file_make(m, p, bytes);
    return OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

err_t mem_packs_list(struct home *h, void (*each)(void *user, u64 id), void *user)
{
    u32 cursor = 0;
    u64 id;
    void *value;
    while (map64_next(&mem_of(h)->packs, &cursor, &id, &value)) {
        each(user, id);
    }
    return OK;
}

err_t mem_pack_unlink(struct home *h, u64 id)
{
    return pack_take_out(mem_of(h), id) ? OK : ERR_NOT_FOUND;
}

void mem_packs_init(struct home_mem *m)
{
    map64_init(&m->packs);
    atomic_flag_clear(&m->packs_lock);
}

void mem_packs_fini(struct home_mem *m)
{
    u32 cursor = 0;
    u64 id;
    void *value;
    while (map64_next(&m->packs, &cursor, &id, &value)) {
        pack_unref(m, value);
    }
    map64_fini(&m->packs);
}

/* ---- reading and removing, on the loop ------------------------------------------------------- */

static err_t range_copy(const struct mem_pack *p, struct home_read *r)
{
    if (p == NULL) {
        return ERR_NOT_FOUND;
    }
    if ((u64)r->pos + r->bytes > p->bytes) {
        return ERR_IO; /* as on disk: the file is shorter than it should be */
    }
    memcpy(r->blob->data, p->data + r->pos, r->bytes);
    r->blob_offset = 0;
    return OK;
}

void mem_pack_read(struct home *h, struct home_read *r)
{
    struct home_mem *m = mem_of(h);
    lock(m);
    err_t e = range_copy(map64_get(&m->packs, r->wal), r);
    unlock(m);
    home_finish_read_soon(h, r, e);
}

void mem_pack_remove(struct home *h, u64 id)
{
    struct home_mem *m = mem_of(h);
    struct pack_file *file;
    if (mem_pack_open(h, id, &file) == OK) {
        atomic_fetch_sub(&h->pack_bytes, file->bytes);
        file->ops->close(file);
        (void)pack_take_out(m, id);
    }
}
