/* A stretch of a WAL for a worker that files it: where its slots are is copied on the loop, and the
   extents they are in are pinned until the stretch is freed; a worker then reads frame after frame
   by descriptors of its own. Called through home.c.

   Frames are small when there is little to commit, thousands to an extent: they are read through a
   window of SLOTS_WINDOW_BYTES (4 us for a frame of 4 KiB; 50 us when each was a read of its own).
   Of a big one the window has the beginning and the rest is read straight to where it belongs. */
#include "home/home_disk.h"

#include <string.h>

enum { SLOTS_WINDOW_BYTES = 1 * MIB };

struct slots_extent {
    struct extent *extent; /* the loop's: pinned */
    u32 number;
    char *path;
};

struct disk_slots {
    struct home_slots base;
    u64 wal;
    u64 nonce;
    u64 from;
    u64 to;
    u32 *numbers;   /* per slot: of its extent */
    u64 *positions; /* per slot */
    struct slots_extent *extents;
    u32 extent_count;
    struct blob *window;
    /* the worker's */
    u32 extent_index;     /* that `file` is of */
    struct io_file *file; /* NULL: none yet */
    u64 start;            /* of the window, in the file */
    u64 have;             /* bytes in the window */
};

static struct disk_slots *slots_of(struct home_slots *s)
{
    return CONTAINER_OF(s, struct disk_slots, base);
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void extent_note(struct disk_slots *s, struct home_disk *d, struct extent *e)
{
    if (s->extent_count > 0 && s->extents[s->extent_count - 1].extent == e) {
        return;
    }
    char path[DISK_PATH_MAX];
    disk_extent_path(d, e, path);
    disk_handle_pin(&e->handle);
    s->extents = mem_resize(s->extents, (s->extent_count + 1) * sizeof(s->extents[0]));
    s->extents[s->extent_count] = (struct slots_extent){
        .extent = e, .number = e->number, .path = mem_strndup(slice_cstr(path))};
    s->extent_count++;
}

static err_t places_copy(struct disk_slots *s, struct home_disk *d)
{
    const struct wal_files *files = disk_wal_files(d, s->wal);
    for (u64 slot = s->from; slot < s->to; slot++) {
        u64 i = slot - s->from;
        if (files == NULL || !disk_slot_get(files, slot, &s->numbers[i], &s->positions[i])) {
            return ERR_NOT_FOUND;
        }
        extent_note(s, d, disk_extent_find(files, s->numbers[i]));
    }
    return OK;
}

void disk_slots_free(struct home_slots *base)
{
    struct disk_slots *s = slots_of(base);
    struct home_disk *d = disk_of(base->home);
    if (s->file != NULL) {
        io_file_close(base->home->io, s->file);
    }
    for (u32 i = 0; i < s->extent_count; i++) {
        disk_handle_unpin(d, &s->extents[i].extent->handle);
        mem_free(s->extents[i].path);
    }
    if (s->window != NULL) {
        blob_unref(s->window);
    }
    mem_free(s->extents);
    mem_free(s->numbers);
    mem_free(s->positions);
    mem_free(s);
}

err_t disk_slots_find(struct home *h, u64 wal, u64 nonce, u64 from, u64 to, struct home_slots **out)
{
    struct disk_slots *s = mem_alloc(sizeof(*s));
    *s = (struct disk_slots){
        .base = {.home = h},
        .wal = wal,
        .nonce = nonce,
        .from = from,
        .to = to,
        .numbers = mem_alloc((to - from) * sizeof(s->numbers[0])),
        .positions = mem_alloc((to - from) * sizeof(s->positions[0])),
        .window = blob_get(&h->buffers, SLOTS_WINDOW_BYTES),
    };
    err_t e = s->window == NULL ? ERR_NO_MEMORY : places_copy(s, disk_of(h));
    if (e != OK) {
        disk_slots_free(&s->base);
        return e;
    }
    *out = &s->base;
    return OK;
}

/* ---- files that are kept as packs --------------------------------------------------------------
 */

/* Complete: a slot behind it has gone to another file, and all before that one are durable. */
bool disk_slots_keepable(struct home *h, u64 slot, u64 *to)
{
    const struct wal_writer *writer = &disk_of(h)->writer;
    u32 number;
    u64 position;
    if (!disk_slot_get(writer->files, slot, &number, &position)) {
        return false;
    }
    u64 next = slot;
    u32 other = number;
    while (other == number) {
        next++;
        if (next > writer->durable || !disk_slot_get(writer->files, next, &other, &position)) {
            return false;
        }
    }
    *to = next;
    return true;
}

void disk_slots_keep(struct home_slots *base, bool keep, u64 pack_id)
{
    const struct disk_slots *s = slots_of(base);
    struct extent *e = s->extents[0].extent;
    assert(s->extent_count == 1);
    if (list_linked(&e->kept_node)) {
        list_remove(&e->kept_node);
    }
    if (keep) {
        list_push_back(&disk_of(base->home)->writer.kept, &e->kept_node);
    }
    e->kept = keep;
    e->kept_as = pack_id;
}

bool disk_extent_is_kept_as(const struct home_disk *d, u64 pack_id)
{
    const struct list *kept = &d->writer.kept;
    for (const struct list_node *n = kept->head.next; n != &kept->head; n = n->next) {
        if (CONTAINER_OF(n, const struct extent, kept_node)->kept_as == pack_id) {
            return true;
        }
    }
    return false;
}

u64 disk_slots_position(const struct home_slots *base, u64 slot)
{
    const struct disk_slots *s = CONTAINER_OF(base, const struct disk_slots, base);
    assert(slot >= s->from && slot < s->to);
    return s->positions[slot - s->from];
}

const char *disk_slots_path(const struct home_slots *base)
{
    const struct disk_slots *s = CONTAINER_OF(base, const struct disk_slots, base);
    assert(s->extent_count == 1);
    return s->extents[0].path;
}

/* ---- on a worker ----------------------------------------------------------------------------- */

static err_t extent_open(struct disk_slots *s, u32 number)
{
    struct home *h = s->base.home;
    if (s->file != NULL && s->extents[s->extent_index].number == number) {
        return OK;
    }
    u32 index = 0;
    while (s->extents[index].number != number) {
        index++;
        assert(index < s->extent_count);
    }
    if (s->file != NULL) {
        io_file_close(h->io, s->file);
        s->file = NULL;
    }
    bool direct = h->direct;
    TRY(disk_file_open(h->io, s->extents[index].path, IO_OPEN_READ, &direct, &s->file));
    s->extent_index = index;
    s->have = 0;
    return OK;
}

/* The window has at least the first block at `position`. */
static err_t window_move(struct disk_slots *s, u64 position)
{
    if (position >= s->start && position + DISK_UNIT <= s->start + s->have) {
        return OK;
    }
    size_t moved = 0;
    s->have = 0;
    TRY(io_file_read_now(s->base.home->io, s->file, s->window->data, SLOTS_WINDOW_BYTES, position,
                         &moved));
    s->start = position;
    s->have = moved;
    return moved >= DISK_UNIT ? OK : ERR_CORRUPT;
}

static err_t frame_read(struct disk_slots *s, u64 position, u8 *buf, u32 bytes)
{
    u64 have = MIN((u64)bytes, s->start + s->have - position);
    memcpy(buf, s->window->data + (position - s->start), have);
    if (have == bytes) {
        return OK;
    }
    have -= have % DISK_UNIT;
    size_t moved = 0;
    TRY(io_file_read_now(s->base.home->io, s->file, buf + have, bytes - have, position + have,
                         &moved));
    return moved == bytes - have ? OK : ERR_CORRUPT;
}

err_t disk_slots_read(struct home_slots *base, u64 slot, void *buf, size_t cap, u32 *bytes)
{
    struct disk_slots *s = slots_of(base);
    assert(slot >= s->from && slot < s->to);
    u64 position = s->positions[slot - s->from];
    TRY(extent_open(s, s->numbers[slot - s->from]));
    TRY(window_move(s, position));
    struct frame_header header;
    TRY(frame_header_decode(s->window->data + (position - s->start), &header));
    bool expected = uuid_eq(header.cluster, base->home->cluster) && header.wal == s->wal &&
                    header.nonce == s->nonce && header.slot == slot;
    if (!expected) {
        return ERR_CORRUPT;
    }
    if (header.total_bytes > cap) {
        *bytes = header.total_bytes;
        return ERR_NO_MEMORY;
    }
    TRY(frame_read(s, position, buf, header.total_bytes));
    TRY(frame_index_check(&header, (const u8 *)buf + header.index_pos));
    *bytes = header.total_bytes;
    return OK;
}
