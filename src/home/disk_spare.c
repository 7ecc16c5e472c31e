/* Spares: files of an extent's size that nobody needs any more, trimmed extents and dead packs,
   which wait under their old names for the WAL to use them again. Called by disk_trim.c and
   disk_pack.c, which offer them, and by disk_wal.c, which takes them. Owns the list.

   Blocks that were written once are written over faster than blocks that never were: new ones have
   to be found, by the file system and, where it lies on one that gives out its space by need, by
   the host; and what is given back is often told to the device, in whose way it is then
   (disk_remove.c). With three spares a WAL at full speed under retention made four of five extents
   anew (docs/decisions/0024-dead-files-wait-for-the-wal.md).

   How many are kept: as many as the WAL began in this minute and in the one before; then less and
   less, so that they do not all go at the moment in which the WAL wants them again; and no more
   than is free beyond DISK_SPARES_SPACE, so that what others need is there. A few trimmed extents
   stay in any case.

   A spare is not open. Once a second all leave anew, the oldest first, and are kept again or go. */
#include "home/home_disk.h"

static const u64 MINUTE_NS = 60000000000;
enum {
    LOOKS = 60,      /* in a minute */
    FEWER_A_LOOK = 8 /* half a gigabyte */
};

static void minutes_pass(struct disk_spares *s, u64 now_ns)
{
    u64 minutes = (now_ns - s->since_ns) / s->minute_ns;
    if (minutes == 0) {
        return;
    }
    s->begun[1] = minutes == 1 ? s->begun[0] : 0;
    s->begun[0] = 0;
    s->since_ns += minutes * s->minute_ns;
}

static u64 look_ns(const struct disk_spares *s)
{
    return s->minute_ns / LOOKS;
}

static u32 spares_wanted(struct home_disk *d)
{
    struct disk_spares *s = &d->spares;
    u64 now_ns = io_now_ns(d->base.io);
    minutes_pass(s, now_ns);
    u64 looks = (now_ns - s->wanted_ns) / look_ns(s);
    s->wanted -= (u32)MIN((u64)s->wanted, looks * FEWER_A_LOOK);
    s->wanted_ns += looks * look_ns(s);
    s->wanted = MAX(s->wanted, s->begun[0] + s->begun[1]);
    return s->wanted;
}

void disk_spares_extent_begun(struct home_disk *d)
{
    minutes_pass(&d->spares, io_now_ns(d->base.io));
    d->spares.begun[0]++;
}

bool disk_spare_keep(struct home_disk *d, struct disk_handle *f, u32 least)
{
    struct disk_spares *s = &d->spares;
    u32 wanted = spares_wanted(d);
    u64 space = atomic_load(&d->base.free_bytes) / d->extent_bytes;
    u64 room = space - MIN(space, (u64)DISK_SPARES_SPACE);
    if (d->writer.files == NULL || s->count >= MIN(MAX(wanted, least), room)) {
        return false;
    }
    list_push_back(&s->files, &f->node);
    s->count++;
    if (wanted > 0 && !heap_linked(&s->look.node)) {
        io_timer_start(d->base.io, &s->look, io_now_ns(d->base.io) + look_ns(s));
    }
    return true;
}

static struct disk_handle *spare_pop(struct disk_spares *s)
{
    struct list_node *n = list_pop_front(&s->files);
    if (n == NULL) {
        return NULL;
    }
    s->count--;
    return CONTAINER_OF(n, struct disk_handle, node);
}

bool disk_spare_take(struct home_disk *d, char *path)
{
    struct disk_handle *f = spare_pop(&d->spares);
    if (f == NULL) {
        return false;
    }
    f->kind->path(d, f, path);
    f->kind->destroy(d, f);
    return true;
}

static void spares_look(struct io_timer *t)
{
    struct home_disk *d = CONTAINER_OF(t, struct home_disk, spares.look);
    if (d->base.fenced) {
        return;
    }
    struct list asked;
    list_init(&asked);
    list_splice(&asked, &d->spares.files);
    d->spares.count = 0;
    for (struct list_node *n = list_pop_front(&asked); n != NULL; n = list_pop_front(&asked)) {
        struct disk_handle *f = CONTAINER_OF(n, struct disk_handle, node);
        f->kind->left(d, f);
    }
}

void disk_spares_init(struct home_disk *d, u64 minute_ns)
{
    d->spares.minute_ns = minute_ns != 0 ? minute_ns : MINUTE_NS;
    list_init(&d->spares.files);
    d->spares.look.fired = spares_look;
}

void disk_spares_fini(struct home_disk *d)
{
    io_timer_stop(d->base.io, &d->spares.look);
    struct disk_handle *f = spare_pop(&d->spares);
    while (f != NULL) {
        f->kind->destroy(d, f);
        f = spare_pop(&d->spares);
    }
}
