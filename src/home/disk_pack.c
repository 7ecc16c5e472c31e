/* Packs as files: packs/<id16x>; one that a WAL extent was kept as is the extent's second name.
   Called through home.c and pack*.c. Owns the handles that reads go through, one for each pack that
   was read since it was made.

   Made and loaded by the verbs of pack_file (pack_private.h) on a worker or at start. A pack gets
   its handle with its first read; an id that has no file leaves none behind. Removal waits for the
   reads under way, then the file goes off the loop; until it is gone its handle stays, so that
   later reads are told. */
#include "home/home_disk.h"
#include "home/pack_private.h"

#include <string.h>

enum { NAME_DIGITS = 16 };

struct disk_pack {
    struct disk_handle handle;
    u64 id;
    u64 retired_bytes; /* its size, if the WAL may use it again; 0: it goes, or is not leaving */
};

static void pack_path(const struct home_disk *d, u64 id, char *out)
{
    disk_path(d, out, "packs/%016llx", (unsigned long long)id);
}

/* ---- one file, off the loop ------------------------------------------------------------------ */

struct disk_pack_file {
    struct pack_file base;
    struct home *home;
    struct io_file *file;
    const char *extent; /* of a WAL, kept as this pack: its path; NULL: it has a file of its own */
    bool named;         /* the pack's name is there, perhaps: it is this writer's to remove */
    char path[DISK_PATH_MAX];
    char folder[DISK_PATH_MAX];
};

static struct disk_pack_file *file_of(struct pack_file *f)
{
    return CONTAINER_OF(f, struct disk_pack_file, base);
}

static err_t file_write(struct pack_file *f, const void *data, u32 bytes, u64 at)
{
    struct disk_pack_file *p = file_of(f);
    return io_file_write_now(p->home->io, p->file, data, bytes, at);
}

static err_t file_read(struct pack_file *f, void *out, u32 bytes, u64 at)
{
    struct disk_pack_file *p = file_of(f);
    size_t moved = 0;
    TRY(io_file_read_now(p->home->io, p->file, out, bytes, at, &moved));
    return moved == bytes ? OK : ERR_CORRUPT;
}

/* The bytes first, then the name: what has a name is whole. */
static err_t file_commit(struct pack_file *f, u64 bytes)
{
    struct disk_pack_file *p = file_of(f);
    struct home *h = p->home;
    bool synced = (disk_of(h)->canaries & HOME_CANARY_UNSYNCED_PACK) == 0;
    if (synced) {
        TRY(io_file_sync_now(h->io, p->file));
    }
    if (p->extent != NULL) {
        TRY(io_link(h->io, p->extent, p->path));
        p->named = true;
    }
    if (synced) {
        TRY(io_sync_dir(h->io, p->folder));
    }
    atomic_fetch_add(&h->pack_bytes, bytes);
    disk_space_seen(disk_of(h), disk_space(h->io, p->folder));
    return OK;
}

static void file_close(struct pack_file *f)
{
    struct disk_pack_file *p = file_of(f);
    io_file_close(p->home->io, p->file);
    mem_free(p);
}

static void file_discard(struct pack_file *f)
{
    struct disk_pack_file *p = file_of(f);
    if (p->named) {
        err_t ignored = io_unlink(p->home->io, p->path); /* if it stays, the next start sweeps it */
        (void)ignored;
    }
    file_close(f);
}

static const struct pack_file_ops file_ops = {
    .write = file_write,
    .read = file_read,
    .commit = file_commit,
    .close = file_close,
    .discard = file_discard,
};

static struct disk_pack_file *file_alloc(struct home *h, u64 id)
{
    struct disk_pack_file *p = mem_alloc(sizeof(*p));
    p->base.ops = &file_ops;
    p->home = h;
    pack_path(disk_of(h), id, p->path);
    disk_path(disk_of(h), p->folder, "packs");
    return p;
}

static err_t file_open(struct home *h, u64 id, u32 flags, struct disk_pack_file **out)
{
    struct disk_pack_file *p = file_alloc(h, id);
    bool direct = h->direct;
    err_t e = disk_file_open(h->io, p->path, flags, &direct, &p->file);
    if (e != OK) {
        mem_free(p);
        return e;
    }
    *out = p;
    return OK;
}

err_t disk_pack_make(struct home *h, u64 id, struct pack_file **out)
{
    struct disk_pack_file *p;
    TRY(file_open(h, id, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE, &p));
    p->named = true;
    *out = &p->base;
    return OK;
}

err_t disk_pack_keep(struct home_slots *s, u64 id, struct pack_file **out)
{
    struct home *h = s->home;
    struct disk_pack_file *p = file_alloc(h, id);
    p->extent = disk_slots_path(s);
    bool direct = h->direct;
    err_t e = disk_file_open(h->io, p->extent, IO_OPEN_WRITE, &direct, &p->file);
    if (e != OK) {
        mem_free(p);
        return e;
    }
    e = io_file_size(h->io, p->file, &p->base.bytes);
    if (e != OK) {
        file_close(&p->base);
        return e;
    }
    *out = &p->base;
    return OK;
}

err_t disk_pack_open(struct home *h, u64 id, struct pack_file **out)
{
    struct disk_pack_file *p;
    TRY(file_open(h, id, IO_OPEN_READ, &p));
    err_t e = io_file_size(h->io, p->file, &p->base.bytes);
    if (e != OK) {
        file_close(&p->base);
        return e;
    }
    *out = &p->base;
    return OK;
}

/* ---- all of them, at start ------------------------------------------------------------------- */

struct pack_names {
    void (*each)(void *user, u64 id);
    void *user;
};

static void pack_name(void *user, const char *name)
{
    struct pack_names *names = user;
    u64 id;
    if (strlen(name) == NAME_DIGITS && disk_hex_parse(name, NAME_DIGITS, &id)) {
        names->each(names->user, id);
    }
}

err_t disk_packs_list(struct home *h, void (*each)(void *user, u64 id), void *user)
{
    struct home_disk *d = disk_of(h);
    struct pack_names names = {.each = each, .user = user};
    char path[DISK_PATH_MAX];
    disk_path(d, path, "packs");
    err_t e = io_list(h->io, path, pack_name, &names);
    return e == OK ? OK : disk_list_failed(d, path, e);
}

err_t disk_pack_unlink(struct home *h, u64 id)
{
    char path[DISK_PATH_MAX];
    pack_path(disk_of(h), id, path);
    return disk_remove_now(disk_of(h), path);
}

err_t disk_packs_sync(struct home *h)
{
    char path[DISK_PATH_MAX];
    disk_path(disk_of(h), path, "packs");
    return io_sync_dir(h->io, path);
}

/* ---- reading and removing, on the loop ------------------------------------------------------- */

static struct disk_pack *pack_of(struct disk_handle *f)
{
    return CONTAINER_OF(f, struct disk_pack, handle);
}

static void handle_path(const struct home_disk *d, const struct disk_handle *f, char *out)
{
    pack_path(d, CONTAINER_OF(f, struct disk_pack, handle)->id, out);
}

static void handle_destroy(struct home_disk *d, struct disk_handle *f)
{
    struct disk_pack *p = pack_of(f);
    atomic_fetch_sub(&d->base.pack_bytes, p->retired_bytes);
    (void)map64_remove(&d->packs, p->id);
    disk_handle_close(d, f);
    mem_free(p);
}

static void pack_removed(struct home_disk *d, u64 id, u64 bytes)
{
    struct disk_pack *p = map64_get(&d->packs, id);
    assert(p != NULL);
    assert(p->handle.leaving);
    atomic_fetch_sub(&d->base.pack_bytes, bytes);
    handle_destroy(d, &p->handle);
}

static void pack_go(struct home_disk *d, struct disk_pack *p)
{
    p->retired_bytes = 0;
    char path[DISK_PATH_MAX];
    handle_path(d, &p->handle, path);
    disk_remove_start(d, path, pack_removed, p->id);
}

/* A file that the WAL still has a name for is not written to under another. */
static void handle_left(struct home_disk *d, struct disk_handle *f)
{
    struct disk_pack *p = pack_of(f);
    bool reusable = p->retired_bytes == d->extent_bytes && !disk_extent_is_kept_as(d, p->id);
    if (reusable && disk_spare_keep(d, f, 0)) {
        seen("home: a dead pack waits to be an extent");
        return;
    }
    pack_go(d, p);
}

static const struct disk_handle_kind pack_kind = {
    .path = handle_path,
    .left = handle_left,
    .missed = handle_destroy,
    .destroy = handle_destroy,
};

static struct disk_pack *pack_handle(struct home_disk *d, u64 id)
{
    struct disk_pack *p = map64_get(&d->packs, id);
    if (p == NULL) {
        p = mem_alloc(sizeof(*p));
        disk_handle_init(&p->handle, &pack_kind);
        p->id = id;
        map64_put(&d->packs, id, p);
    }
    return p;
}

void disk_pack_read(struct home *h, struct home_read *r)
{
    struct home_disk *d = disk_of(h);
    struct disk_pack *p = pack_handle(d, r->wal);
    if (p->handle.leaving) {
        home_finish_read_soon(h, r, ERR_NOT_FOUND);
        return;
    }
    disk_handle_read(d, &p->handle, r, 0);
}

void disk_pack_remove(struct home *h, u64 id)
{
    struct home_disk *d = disk_of(h);
    disk_handle_leave(d, &pack_handle(d, id)->handle);
}

void disk_pack_retire(struct home *h, struct home_pack pack)
{
    struct home_disk *d = disk_of(h);
    struct disk_pack *p = pack_handle(d, pack.id);
    p->retired_bytes = pack.bytes;
    disk_handle_leave(d, &p->handle);
}

void disk_packs_init(struct home_disk *d)
{
    map64_init(&d->packs);
}

void disk_packs_fini(struct home_disk *d)
{
    u32 cursor = 0;
    u64 id;
    void *value;
    while (map64_next(&d->packs, &cursor, &id, &value)) {
        struct disk_pack *p = value;
        disk_handle_close(d, &p->handle);
        mem_free(p);
    }
    map64_fini(&d->packs);
}
