/* The WAL's files: which there are and where every slot lies. Called by disk_wal.c, disk_scan.c,
   disk_trim.c and disk_slots.c. Owns the extents. Slots cost 8 bytes each. */
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
    list_init(&d->leaving);
}

void disk_extent_destroy(struct home_disk *d, struct extent *e)
{
    assert(d->wal_bytes >= e->bytes);
    d->wal_bytes -= e->bytes;
    if (list_linked(&e->kept_node)) {
        list_remove(&e->kept_node);
    }
    disk_handle_close(d, &e->handle);
    mem_free(e);
}

void disk_wal_files_destroy(struct home_disk *d, struct wal_files *files)
{
    for (u32 i = 0; i < files->extent_count; i++) {
        disk_extent_destroy(d, files->extents[i]);
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
        disk_wal_files_destroy(d, value);
    }
    map64_fini(&d->wals);
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

static void extent_path(const struct home_disk *d, const struct disk_handle *f, char *out)
{
    disk_extent_path(d, CONTAINER_OF(f, struct extent, handle), out);
}

static void extent_left(struct home_disk *d, struct disk_handle *f)
{
    disk_extent_release(d, CONTAINER_OF(f, struct extent, handle));
}

static void extent_destroy(struct home_disk *d, struct disk_handle *f)
{
    disk_extent_destroy(d, CONTAINER_OF(f, struct extent, handle));
}

static const struct disk_handle_kind extent_kind = {
    .path = extent_path,
    .left = extent_left,
    .destroy = extent_destroy,
};

struct extent *disk_extent_add(struct home_disk *d, struct wal_files *files, u32 number)
{
    struct extent *e = mem_alloc(sizeof(*e));
    disk_handle_init(&e->handle, &extent_kind);
    e->wal = files->wal;
    e->number = number;
    e->bytes = d->extent_bytes;
    d->wal_bytes += e->bytes;
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

struct extent *disk_extent_find(const struct wal_files *files, u32 number)
{
    u32 low = 0;
    u32 high = files->extent_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (files->extents[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool there = low < files->extent_count && files->extents[low]->number == number;
    return there ? files->extents[low] : NULL;
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
        return disk_list_failed(d, path, e);
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

err_t disk_extent_open_now(struct home_disk *d, struct extent *e)
{
    if (e->handle.file != NULL) {
        return OK;
    }
    char path[DISK_PATH_MAX];
    disk_extent_path(d, e, path);
    struct io_file *file;
    u64 bytes = 0;
    bool direct = d->base.direct;
    err_t result = disk_file_open(d->base.io, path, IO_OPEN_WRITE, &direct, &file);
    if (result == OK) {
        disk_handle_opened(d, &e->handle, file);
        result = io_file_size(d->base.io, file, &bytes);
    }
    if (result != OK) {
        return home_fail(&d->base, result, "%s cannot be opened: %s.", path, err_name(result));
    }
    d->wal_bytes = d->wal_bytes - e->bytes + bytes;
    e->bytes = bytes;
    return OK;
}

/* ---- where slots are ------------------------------------------------------------------------- */

void disk_slots_begin(struct wal_files *files, u64 slot)
{
    files->slot_base = slot;
    files->slot_count = slot;
}

void disk_slot_set(struct wal_files *files, u64 slot, u32 number, u64 position)
{
    assert(slot >= files->slot_base);
    assert(position % DISK_UNIT == 0);
    assert(position / DISK_UNIT <= UINT32_MAX);
    u64 at = slot - files->slot_base;
    if (at >= files->slot_cap) {
        files->slot_cap = MAX(2 * files->slot_cap, MAX(at + 1, (u64)1024));
        files->slots = mem_resize(files->slots, files->slot_cap * sizeof(files->slots[0]));
    }
    while (files->slot_count < slot) { /* only a canary of the simulator leaves holes */
        files->slots[files->slot_count - files->slot_base] = DISK_NO_SLOT;
        files->slot_count++;
    }
    files->slots[at] = (u64)number << 32 | position / DISK_UNIT;
    files->slot_count = MAX(files->slot_count, slot + 1);
}

bool disk_slot_get(const struct wal_files *files, u64 slot, u32 *number, u64 *position)
{
    if (slot < files->slot_base || slot >= files->slot_count) {
        return false;
    }
    u64 place = files->slots[slot - files->slot_base];
    if (place == DISK_NO_SLOT) {
        return false;
    }
    *number = (u32)(place >> 32);
    *position = (place & UINT32_MAX) * DISK_UNIT;
    return true;
}

void disk_slots_drop(struct wal_files *files, u64 slot)
{
    u64 base = MIN(slot, files->slot_count);
    if (base <= files->slot_base) {
        return;
    }
    u64 gone = base - files->slot_base;
    u64 left = files->slot_count - base;
    memmove(files->slots, files->slots + gone, left * sizeof(files->slots[0]));
    files->slot_base = base;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* From the last file to the first: what a crash leaves is the beginning. A file that cannot be
   removed stays; the next start sweeps it. */
u32 disk_wal_remove(struct home *h, u64 wal)
{
    struct home_disk *d = disk_of(h);
    struct wal_files *files = map64_remove(&d->wals, wal);
    u32 removed = 0;
    if (files == NULL) {
        return 0;
    }
    for (u32 i = files->extent_count; i > 0; i--) {
        struct extent *e = files->extents[i - 1];
        assert(e->handle.pins == 0);
        assert(!e->handle.opening);
        char path[DISK_PATH_MAX];
        disk_extent_path(d, e, path);
        if (disk_remove_now(d, path) != OK) {
            break;
        }
        removed++;
    }
    disk_wal_files_destroy(d, files);
    return removed;
}

void disk_wals_each(struct home *h, void (*each)(void *user, u64 wal), void *user)
{
    u32 cursor = 0;
    u64 wal;
    void *value;
    if ((disk_of(h)->canaries & HOME_CANARY_LEAVE_FORGOTTEN) != 0) {
        return;
    }
    while (map64_next(&disk_of(h)->wals, &cursor, &wal, &value)) {
        each(user, wal);
    }
}

err_t disk_wals_sync(struct home *h)
{
    char path[DISK_PATH_MAX];
    disk_path(disk_of(h), path, "wal");
    bool leaves = (disk_of(h)->canaries & HOME_CANARY_LEAVE_FORGOTTEN) != 0;
    return leaves ? OK : io_sync_dir(h->io, path);
}
