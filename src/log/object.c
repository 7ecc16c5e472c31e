/* What runs point into: WALs, whose slots come and go, and packs. An object has an index for as
   long as it exists; runs hold the index (run.place), everybody outside holds the id (log_range),
   so that an index can be used again. Called by wal.c, filing.c, rewrite.c and recover.c, which
   make and end objects, and by the readers.

   Live bytes of a pack are those that runs of partitions point to. When they are gone the pack is
   dead, and when they are few it is worth rewriting (rewrite.c). */
#include "log/log_private.h"

#include <string.h>

enum {
    SLOTS_MIN = 64,
    SLOT_HAS_BATCHES = 0x8000, /* in slot_blocks */
};

void objects_fini(struct log *l)
{
    for (u32 i = 0; i < l->object_count; i++) {
        mem_free(l->objects[i].slot_blocks);
    }
    mem_free(l->objects);
    mem_free(l->free_objects);
    map64_fini(&l->objects_by_id);
    quota_release(&l->index_quota, l->slots_charged);
}

u32 object_add(struct log *l, u64 id)
{
    u32 index = l->object_count;
    if (l->free_object_count > 0) {
        l->free_object_count--;
        index = l->free_objects[l->free_object_count];
    } else {
        assert(l->object_count < 1u << (64 - LOG_OBJECT_SHIFT));
        if (l->object_count == l->object_cap) {
            l->object_cap = MAX(2 * l->object_cap, 8u);
            l->objects = mem_resize(l->objects, l->object_cap * sizeof(l->objects[0]));
            l->free_objects =
                mem_resize(l->free_objects, l->object_cap * sizeof(l->free_objects[0]));
        }
        l->object_count++;
    }
    u64 made_ns = l->started ? io_now_ns(l->io) : 0;
    l->objects[index] = (struct log_object){.id = id, .scrubbed_ns = made_ns};
    map64_put(&l->objects_by_id, id, (void *)(uintptr_t)(index + 1));
    return index;
}

u32 object_find(const struct log *l, u64 id)
{
    uintptr_t value = (uintptr_t)map64_get(&l->objects_by_id, id);
    return value == 0 ? LOG_NO_OBJECT : (u32)(value - 1);
}

void object_remove(struct log *l, u32 index)
{
    struct log_object *o = &l->objects[index];
    assert(o->id != LOG_NO_ID);
    windows_forget(l, index);
    (void)map64_remove(&l->objects_by_id, o->id);
    u64 charged = MIN(l->slots_charged, o->slot_cap * sizeof(o->slot_blocks[0]));
    quota_release(&l->index_quota, charged);
    l->slots_charged -= charged;
    mem_free(o->slot_blocks);
    *o = (struct log_object){.id = LOG_NO_ID};
    l->free_objects[l->free_object_count] = index;
    l->free_object_count++;
}

/* ---- slots of a WAL -------------------------------------------------------------------------- */

static bool slots_grow(struct log *l, struct log_object *o, u64 count)
{
    u64 cap = MAX(MAX(count, o->slot_cap + o->slot_cap / 2), (u64)SLOTS_MIN);
    u64 bytes = (cap - o->slot_cap) * sizeof(o->slot_blocks[0]);
    bool charged = quota_charge(&l->index_quota, bytes);
    if (charged) {
        l->slots_charged += bytes;
    }
    o->slot_blocks = mem_resize(o->slot_blocks, cap * sizeof(o->slot_blocks[0]));
    o->slot_cap = cap;
    return charged;
}

bool object_slot_note(struct log *l, u32 index, u64 slot, u32 frame_bytes, bool batches)
{
    struct log_object *o = &l->objects[index];
    assert(slot >= o->slot_end);
    assert(frame_bytes % LOG_BLOCK_BYTES == 0);
    assert(frame_bytes / LOG_BLOCK_BYTES < SLOT_HAS_BATCHES);
    if (o->slot_end == o->slot_base) {
        o->slot_base = o->slot_end = slot;
    }
    bool charged = true;
    if (slot - o->slot_base >= o->slot_cap) {
        charged = slots_grow(l, o, slot - o->slot_base + 1);
    }
    for (; o->slot_end < slot; o->slot_end++) {
        o->slot_blocks[o->slot_end - o->slot_base] = 0;
    }
    u32 blocks = frame_bytes / LOG_BLOCK_BYTES;
    o->slot_blocks[slot - o->slot_base] = (u16)(batches ? blocks | SLOT_HAS_BATCHES : blocks);
    o->slot_end++;
    return charged;
}

/* Filed slots need no size; their room is used again once they are the larger part. */
void object_slots_forget(struct log *l, u32 index, u64 below)
{
    struct log_object *o = &l->objects[index];
    assert(below <= o->slot_end);
    u64 gone = below - o->slot_base;
    if (gone < (o->slot_end - o->slot_base) / 2) {
        return;
    }
    memmove(o->slot_blocks, o->slot_blocks + gone,
            (o->slot_end - below) * sizeof(o->slot_blocks[0]));
    o->slot_base = below;
}

u32 object_slot_bytes(const struct log *l, u32 index, u64 slot)
{
    const struct log_object *o = &l->objects[index];
    if (log_id_is_pack(o->id)) {
        return o->bytes;
    }
    assert(slot >= o->slot_base);
    assert(slot < o->slot_end);
    return (o->slot_blocks[slot - o->slot_base] & ~(u32)SLOT_HAS_BATCHES) * LOG_BLOCK_BYTES;
}

u64 range_place(const struct log *l, const struct log_range *range)
{
    u32 index = object_find(l, range->object);
    return index == LOG_NO_OBJECT ? LOG_NO_PLACE : run_place(index, range->slot);
}

u32 object_slot_batch_bytes(const struct log *l, u32 index, u64 slot)
{
    const struct log_object *o = &l->objects[index];
    bool batches = (o->slot_blocks[slot - o->slot_base] & SLOT_HAS_BATCHES) != 0;
    return batches ? object_slot_bytes(l, index, slot) : 0;
}

/* ---- what lives ------------------------------------------------------------------------------ */

void object_run_added(struct log *l, const struct run *r)
{
    struct log_object *o = &l->objects[place_object(r->place)];
    if (log_id_is_pack(o->id)) {
        o->live_bytes += r->bytes;
    }
}

void object_run_died(struct log *l, const struct run *r)
{
    struct log_object *o = &l->objects[place_object(r->place)];
    if (!log_id_is_pack(o->id)) {
        o->dead_bytes += r->bytes;
    }
    object_run_gone(l, r);
}

void object_run_gone(struct log *l, const struct run *r)
{
    struct log_object *o = &l->objects[place_object(r->place)];
    if (!log_id_is_pack(o->id)) {
        return;
    }
    assert(o->live_bytes >= r->bytes);
    o->live_bytes -= r->bytes;
    if (o->live_bytes < o->payload_bytes / 8 * 5) {
        rewrite_wanted(l);
    }
}
