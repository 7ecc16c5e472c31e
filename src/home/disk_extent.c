/* The WAL's files: which there are, which are open, and where every slot lies. Called by disk_wal.c
   and disk_scan.c. Owns the extents and their descriptors.

   Thousands of extents may exist; at most DISK_FILES_OPEN_MAX of those without reads or writes in
   flight stay open, the least recently used is closed first. Slots cost 8 bytes each. */
#include "home/home_disk.h"

#include <stdlib.h>
#include <string.h>

enum {
    NAME_WAL_DIGITS = 16,
    NAME_NUMBER_DIGITS = 8,
    NAME_BYTES = NAME_WAL_DIGITS + 1 + NAME_NUMBER_DIGITS,
};

void disk_extents_init(struct home_disk *d)
{
    map64_init(&d->wals);
    list_init(&d->idle);
}

static void extent_close(struct home_disk *d, struct extent *e)
{
    if (e->file == NULL) {
        return;
    }
    if (list_linked(&e->node)) {
        list_remove(&e->node);
    }
    io_file_close(d->base.io, e->file);
    e->file = NULL;
    assert(d->files_open > 0);
    d->files_open--;
}

static void wal_files_destroy(struct home_disk *d, struct wal_files *files)
{
    for (u32 i = 0; i < files->extent_count; i++) {
        extent_close(d, files->extents[i]);
        mem_free(files->extents[i]);
    }
    mem_free(files->extents);
    mem_free(files->slots);
    mem_free(files);
}

void disk_extents_fini(struct home_disk *d)
{
    u32 cursor = 0;
    u64 wal;
    void *value;
    while (map64_next(&d->wals, &cursor, &wal, &value)) {
        wal_files_destroy(d, value);
    }
    map64_fini(&d->wals);
    assert(d->files_open == 0);
}

struct wal_files *disk_wal_files(const struct home_disk *d, u64 wal)
{
    return map64_get(&d->wals, wal);
}

struct wal_files *disk_wal_files_make(struct home_disk *d, u64 wal)
{
    struct wal_files *files = disk_wal_files(d, wal);
    if (files == NULL) {
        files = mem_alloc(sizeof(*files));
        files->wal = wal;
        map64_put(&d->wals, wal, files);
    }
    return files;
}

struct extent *disk_extent_add(struct home_disk *d, struct wal_files *files, u32 number)
{
    (void)d;
    struct extent *e = mem_alloc(sizeof(*e));
    e->wal = files->wal;
    e->number = number;
    list_init(&e->waiting);
    if (files->extent_count == files->extent_cap) {
        files->extent_cap = MAX(2 * files->extent_cap, 8u);
        files->extents = mem_resize(files->extents, files->extent_cap * sizeof(files->extents[0]));
    }
    files->extents[files->extent_count] = e;
    files->extent_count++;
    return e;
}

void disk_extent_path(const struct home_disk *d, const struct extent *e, char *out)
{
    disk_path(d, out, "wal/%016llx-%08x", (unsigned long long)e->wal, (unsigned)e->number);
}

/* ---- the directory's content ----------------------------------------------------------------- */

static void extent_name(void *user, const char *name)
{
    struct home_disk *d = user;
    u64 wal;
    u64 number;
    bool ours = strlen(name) == NAME_BYTES && disk_hex_parse(name, NAME_WAL_DIGITS, &wal) &&
                name[NAME_WAL_DIGITS] == '-' &&
                disk_hex_parse(name + NAME_WAL_DIGITS + 1, NAME_NUMBER_DIGITS, &number);
    if (ours) {
        (void)disk_extent_add(d, disk_wal_files_make(d, wal), (u32)number);
    }
}

static int extent_compare(const void *a, const void *b)
{
    u32 left = (*(struct extent *const *)a)->number;
    u32 right = (*(struct extent *const *)b)->number;
    return left < right ? -1 : left > right;
}

err_t disk_extents_list(struct home_disk *d)
{
    char path[DISK_PATH_MAX];
    disk_path(d, path, "wal");
    err_t e = io_list(d->base.io, path, extent_name, d);
    if (e != OK) {
        return home_fail(
            &d->base, e == ERR_NOT_FOUND ? ERR_CORRUPT : e,
            "%s cannot be listed: %s. A data directory has meta, wal and packs; restore what is "
            "missing from a backup.",
            path, err_name(e));
    }
    u32 cursor = 0;
    u64 wal;
    void *value;
    while (map64_next(&d->wals, &cursor, &wal, &value)) {
        struct wal_files *files = value;
        qsort(files->extents, files->extent_count, sizeof(files->extents[0]), extent_compare);
    }
    return OK;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void files_trim(struct home_disk *d)
{
    while (d->files_open > DISK_FILES_OPEN_MAX && !list_empty(&d->idle)) {
        extent_close(d, CONTAINER_OF(list_first(&d->idle), struct extent, node));
    }
}

void disk_extent_opened(struct home_disk *d, struct extent *e, struct io_file *file)
{
    assert(e->file == NULL);
    assert(file != NULL);
    e->file = file;
    d->files_open++;
    if (e->pins == 0) {
        list_push_back(&d->idle, &e->node);
    }
    files_trim(d);
}

void disk_extent_pin(struct extent *e)
{
    e->pins++;
    if (list_linked(&e->node)) {
        list_remove(&e->node);
    }
}

void disk_extent_unpin(struct home_disk *d, struct extent *e)
{
    assert(e->pins > 0);
    e->pins--;
    if (e->pins == 0 && e->file != NULL) {
        list_push_back(&d->idle, &e->node);
        files_trim(d);
    }
}

err_t disk_extent_open_now(struct home_disk *d, struct extent *e)
{
    if (e->file != NULL) {
        return OK;
    }
    char path[DISK_PATH_MAX];
    disk_extent_path(d, e, path);
    struct io_file *file;
    bool direct = d->base.direct;
    err_t result = disk_file_open(d->base.io, path, IO_OPEN_WRITE, &direct, &file);
    if (result != OK) {
        return home_fail(&d->base, result, "%s cannot be opened: %s.", path, err_name(result));
    }
    disk_extent_opened(d, e, file);
    return OK;
}

/* ---- where slots are ------------------------------------------------------------------------- */

void disk_slot_set(struct wal_files *files, u64 slot, u32 extent_index, u64 position)
{
    assert(position % DISK_UNIT == 0);
    assert(position / DISK_UNIT <= UINT32_MAX);
    if (slot >= files->slot_cap) {
        files->slot_cap = MAX(2 * files->slot_cap, MAX(slot + 1, (u64)1024));
        files->slots = mem_resize(files->slots, files->slot_cap * sizeof(files->slots[0]));
    }
    while (files->slot_count < slot) { /* only a canary of the simulator leaves holes */
        files->slots[files->slot_count] = DISK_NO_SLOT;
        files->slot_count++;
    }
    files->slots[slot] = (u64)extent_index << 32 | position / DISK_UNIT;
    files->slot_count = MAX(files->slot_count, slot + 1);
}

bool disk_slot_get(const struct wal_files *files, u64 slot, u32 *extent_index, u64 *position)
{
    if (slot >= files->slot_count || files->slots[slot] == DISK_NO_SLOT) {
        return false;
    }
    *extent_index = (u32)(files->slots[slot] >> 32);
    *position = (files->slots[slot] & UINT32_MAX) * DISK_UNIT;
    return true;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* From the last file to the first: what a crash leaves is the beginning, and the metadata still
   says "retired", so the next start goes on. A file that cannot be removed stays; the next start
   tries again. */
void disk_wal_remove(struct home *h, u64 wal)
{
    struct home_disk *d = disk_of(h);
    struct wal_files *files = map64_remove(&d->wals, wal);
    if (files == NULL) {
        return;
    }
    for (u32 i = files->extent_count; i > 0; i--) {
        struct extent *e = files->extents[i - 1];
        assert(e->pins == 0);
        assert(!e->opening);
        char path[DISK_PATH_MAX];
        disk_extent_path(d, e, path);
        if (io_unlink(h->io, path) != OK) {
            break;
        }
    }
    wal_files_destroy(d, files);
}
