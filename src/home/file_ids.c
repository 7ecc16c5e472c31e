/* Ids of files that a directory has: packs.c and wals.c collect them to see which nobody names.
   Blocking, on the loop. */
#include "home/home_private.h"

#include <stdlib.h>

void file_ids_add(void *user, u64 id)
{
    struct file_ids *ids = user;
    if (ids->count == ids->cap) {
        ids->cap = MAX(2 * ids->cap, 64u);
        ids->items = mem_resize(ids->items, ids->cap * sizeof(ids->items[0]));
    }
    ids->items[ids->count] = id;
    ids->count++;
}

static int id_compare(const void *a, const void *b)
{
    u64 left = *(const u64 *)a;
    u64 right = *(const u64 *)b;
    return left < right ? -1 : left > right;
}

void file_ids_sort(struct file_ids *ids)
{
    if (ids->count > 1) {
        qsort(ids->items, ids->count, sizeof(ids->items[0]), id_compare);
    }
}
