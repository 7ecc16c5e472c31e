/* The WALs at start: none may be newer than the metadata, and files of those that the metadata
   forgot go. Such files come back when a removal, or the renaming of an extent that was used again,
   was not durable before the metadata forgot the session and a power cut undid it. Called by
   cluster/ through the door. Blocking, on the loop. */
#include "home/home_private.h"

/* Those with files, ascending. */
static struct file_ids ids_found(struct home *h)
{
    struct file_ids ids = {0};
    h->ops->wals_each(h, file_ids_add, &ids);
    file_ids_sort(&ids);
    return ids;
}

err_t home_wals_check(struct home *h, u64 next_wal)
{
    assert(h->replayed);
    struct file_ids ids = ids_found(h);
    u64 last = ids.count > 0 ? ids.items[ids.count - 1] : 0;
    bool newer = ids.count > 0 && last >= next_wal;
    mem_free(ids.items);
    if (!newer) {
        return OK;
    }
    seen("wals: one is newer than the metadata");
    return home_fail(h, ERR_CORRUPT,
                     "There are files of WAL %llu, but the next one to be made is %llu: the "
                     "metadata is older than the data. Nothing was changed; restore the whole "
                     "directory from one backup.",
                     (unsigned long long)last, (unsigned long long)next_wal);
}

/* A session without data has no files at all, so nothing is asked of those that are kept. */
err_t home_wals_sweep(struct home *h, const u64 *keep, u32 count)
{
    assert(h->replayed);
    assert(!h->wal_started);
    struct file_ids ids = ids_found(h);
    u32 at = 0;
    for (u32 i = 0; i < ids.count; i++) {
        while (at < count && keep[at] < ids.items[i]) {
            assert(at + 1 == count || keep[at] < keep[at + 1]);
            at++;
        }
        if (at < count && keep[at] == ids.items[i]) {
            continue;
        }
        seen("wals: files of a forgotten one are swept");
        h->swept.extents += h->ops->wal_remove(h, ids.items[i]);
    }
    mem_free(ids.items);
    err_t e = h->ops->wals_sync != NULL ? h->ops->wals_sync(h) : OK;
    return e == OK ? OK
                   : home_fail(h, e, "The folder of the WAL cannot be synced: %s.", err_name(e));
}
