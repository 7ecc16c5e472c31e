/* Trimming: slots that were filed are forgotten, and the extents with nothing else in them are used
   again or go (formats.md, "Filed slots"). Called through home.c, on the loop.

   Happy path
     1. slots below the trim are no longer found
     2. extents below the one that must stay leave; each waits for the reads that are at it
     3. of this session's WAL some stay under their old names, as spares (disk_spare.c): disk_wal.c
        makes the next extent by renaming one. All others are unlinked by a worker, those that were
        kept as packs among them: they have a second name.

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

/* A handle that left: nothing is in flight in it, and it is closed. */
void disk_extent_release(struct home_disk *d, struct extent *e)
{
    bool ours = d->writer.files != NULL && d->writer.files->wal == e->wal;
    /* A file that is a pack has that name, too, and must not be written to. */
    bool reusable = ours && (!e->kept || (d->canaries & HOME_CANARY_REUSE_KEPT) != 0);
    if (reusable && disk_spare_keep(d, &e->handle, DISK_SPARES_LEAST)) {
        return;
    }
    char path[DISK_PATH_MAX];
    disk_extent_path(d, e, path);
    disk_extent_destroy(d, e);
    disk_remove_start(d, path, NULL, 0);
}
