/* Trimming: slots that were filed are forgotten, and the extents with nothing else in them are used
   again or go (formats.md, "Filed slots"). Called through home.c, on the loop, and by disk_wal.c,
   which takes the spares.

   Happy path
     1. slots below the trim are no longer found
     2. extents below the one that must stay leave; each waits for the reads that are at it
     3. of this session's WAL a few stay under their old names, as spares: disk_wal.c makes the
        next extent by renaming one. All others are unlinked by a worker, those that were kept as
        packs among them: they have a second name. Dead packs of an extent's size become spares, too
        (disk_pack.c).

   One extent stays though all of it may be filed: the one with the first slot that is not filed, or
   with the last slot before it if that one is not durable yet. A scan of what is left begins there.
 */
#include "home/home_disk.h"

#include <string.h>

/* The slot whose extent stays. */
static u64 trim_anchor(const struct home_disk *d, const struct wal_files *files, u64 slot)
{
    if (files != d->writer.files) {
        return slot;
    }
    assert(slot <= d->writer.durable);
    return slot > 0 && slot == d->writer.durable ? slot - 1 : slot;
}

/* Those with numbers below `number`. */
static void extents_leave(struct home_disk *d, struct wal_files *files, u64 number)
{
    u32 count = 0;
    while (count < files->extent_count && files->extents[count]->number < number) {
        disk_handle_leave(d, &files->extents[count]->handle);
        count++;
    }
    if (count == 0) {
        return;
    }
    files->extent_count -= count;
    memmove(files->extents, files->extents + count,
            files->extent_count * sizeof(files->extents[0]));
}

void disk_wal_trim(struct home *h, u64 wal, u64 slot)
{
    struct home_disk *d = disk_of(h);
    struct wal_files *files = disk_wal_files(d, wal);
    if (files == NULL) {
        return; /* a session that never wrote */
    }
    bool all = files != d->writer.files && slot >= files->slot_count;
    u32 number = 0; /* stays so: the anchor was trimmed already, or nothing was written */
    u64 position;
    (void)disk_slot_get(files, trim_anchor(d, files, slot), &number, &position);
    disk_slots_drop(files, slot);
    extents_leave(d, files, all ? UINT64_MAX : number);
    if (all) {
        (void)map64_remove(&d->wals, wal);
        disk_wal_files_destroy(d, files);
    }
}

bool disk_spare_wanted(const struct home_disk *d)
{
    const struct wal_writer *writer = &d->writer;
    u64 free_bytes = atomic_load(&d->base.free_bytes);
    bool roomy = free_bytes / DISK_SPARES_SHARE / d->extent_bytes > writer->spare_count;
    return writer->files != NULL && roomy && writer->spare_count < HOME_SPARES_MAX;
}

void disk_spare_add(struct home_disk *d, struct disk_handle *f)
{
    list_push_back(&d->writer.spares, &f->node);
    d->writer.spare_count++;
}

/* A handle that left: nothing is in flight in it, and it is closed. */
void disk_extent_release(struct home_disk *d, struct extent *e)
{
    bool ours = d->writer.files != NULL && d->writer.files->wal == e->wal;
    /* A file that is a pack has that name, too, and must not be written to. */
    bool reusable = ours && (!e->kept || (d->canaries & HOME_CANARY_REUSE_KEPT) != 0);
    if (reusable && disk_spare_wanted(d)) {
        disk_spare_add(d, &e->handle);
        return;
    }
    char path[DISK_PATH_MAX];
    disk_extent_path(d, e, path);
    disk_extent_destroy(d, e);
    disk_remove_start(d, path, NULL, 0);
}

bool disk_spare_take(struct home_disk *d, char *path)
{
    struct list_node *n = list_pop_front(&d->writer.spares);
    if (n == NULL) {
        return false;
    }
    struct disk_handle *f = CONTAINER_OF(n, struct disk_handle, node);
    d->writer.spare_count--;
    f->kind->path(d, f, path);
    f->kind->destroy(d, f);
    return true;
}

void disk_spares_fini(struct home_disk *d)
{
    while (!list_empty(&d->writer.spares)) {
        char path[DISK_PATH_MAX];
        bool taken = disk_spare_take(d, path);
        assert(taken);
        (void)taken;
    }
}
