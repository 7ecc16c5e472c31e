/* The packs at start: those that the metadata names are there, every other file goes. Blocking, on
   the loop. */
#include "home/pack_private.h"

static err_t pack_unopened(struct home *h, u64 id, err_t e)
{
    return home_fail(h, e == ERR_NOT_FOUND ? ERR_CORRUPT : e,
                     "Pack %016llx holds filed records and cannot be opened: %s. Nothing was "
                     "changed; restore the directory from a backup.",
                     (unsigned long long)id, err_name(e));
}

err_t pack_kept_check(struct home *h, struct home_pack pack)
{
    struct pack_file *file;
    err_t e = h->ops->pack_open(h, pack.id, &file);
    if (e != OK) {
        return pack_unopened(h, pack.id, e);
    }
    u64 bytes = file->bytes;
    file->ops->close(file);
    if (bytes != pack.bytes) {
        return home_fail(h, ERR_CORRUPT,
                         "Pack %016llx has %llu bytes, but %llu were filed. Nothing was changed; "
                         "restore the directory from a backup.",
                         (unsigned long long)pack.id, (unsigned long long)bytes,
                         (unsigned long long)pack.bytes);
    }
    return OK;
}

/* Names only: a file is opened when its index is read. */
static err_t kept_find(struct home *h, const struct file_ids *ids, const struct home_pack *keep,
                       u32 count)
{
    u32 at = 0;
    for (u32 i = 0; i < count; i++) {
        assert(i == 0 || keep[i - 1].id < keep[i].id);
        while (at < ids->count && ids->items[at] < keep[i].id) {
            at++;
        }
        if (at == ids->count || ids->items[at] != keep[i].id) {
            return pack_unopened(h, keep[i].id, ERR_NOT_FOUND);
        }
    }
    return OK;
}

static err_t others_remove(struct home *h, const struct file_ids *ids, const struct home_pack *keep,
                           u32 count)
{
    u32 at = 0;
    for (u32 i = 0; i < ids->count; i++) {
        while (at < count && keep[at].id < ids->items[i]) {
            at++;
        }
        if (at < count && keep[at].id == ids->items[i]) {
            continue;
        }
        seen("packs: a file that nobody names is swept");
        err_t e = h->ops->pack_unlink(h, ids->items[i]);
        if (e != OK) {
            return home_fail(h, e, "Pack %016llx is not needed and cannot be removed: %s.",
                             (unsigned long long)ids->items[i], err_name(e));
        }
        h->swept.packs++;
    }
    return OK;
}

/* A name that came back later would have an id that may be in use again by then. */
static err_t removal_sync(struct home *h)
{
    err_t e = h->ops->packs_sync != NULL ? h->ops->packs_sync(h) : OK;
    return e == OK ? OK : home_fail(h, e, "The folder of packs cannot be synced: %s.", err_name(e));
}

/* Nothing is removed before everything that counts was found. */
static err_t sweep_run(struct home *h, const struct file_ids *ids, const struct home_pack *keep,
                       u32 count)
{
    TRY(kept_find(h, ids, keep, count));
    u64 bytes = 0;
    for (u32 i = 0; i < count; i++) {
        bytes += keep[i].bytes;
    }
    TRY(others_remove(h, ids, keep, count));
    TRY(removal_sync(h));
    atomic_store(&h->pack_bytes, bytes);
    return OK;
}

err_t home_packs_sweep(struct home *h, const struct home_pack *keep, u32 count, u64 *next_id)
{
    assert(h->replayed);
    struct file_ids ids = {0};
    err_t e = h->ops->packs_list(h, file_ids_add, &ids);
    file_ids_sort(&ids);
    if (e == OK) {
        e = sweep_run(h, &ids, keep, count);
    }
    if (e == OK) {
        u64 last_found = ids.count > 0 ? ids.items[ids.count - 1] + 1 : 0;
        u64 last_kept = count > 0 ? keep[count - 1].id + 1 : 0;
        *next_id = MAX(last_found, last_kept);
    }
    mem_free(ids.items);
    return e;
}
