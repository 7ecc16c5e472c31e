/* The bytes of one slot. Batches arrive in any order of partitions; the frame's index is sorted by
   (partition, base offset), and a partition's small batches should lie side by side, so that they
   are one entry of the read index and one range of a Fetch.

     while open   frame:   | header room | large batches as they came ...
                  staging: | small batches as they came |
     cut          frame:   | header | large ... | small, sorted | index | zeros | trailer |

   Offsets of a partition rise in order of arrival, so only partitions have to be sorted; the
   batches follow by counting. Called by wal.c. Scratch arrays live in struct log and only grow. */
#include "log/log_private.h"

#include <string.h>

enum { INSERTION_SORT_MAX = 24, RADIX_BITS = 8, RADIX = 1 << RADIX_BITS };

void layout_fini(struct log *l)
{
    mem_free(l->open_entries);
    mem_free(l->sorted);
    mem_free(l->sorted_from);
    mem_free(l->keys);
}

struct open_entry *layout_entry_new(struct log *l, u32 index)
{
    assert(index < LOG_SLOT_ENTRIES_MAX);
    if (index >= l->open_entry_cap) {
        l->open_entry_cap = MAX(2 * l->open_entry_cap, 64u);
        l->open_entries =
            mem_resize(l->open_entries, l->open_entry_cap * sizeof(l->open_entries[0]));
    }
    return &l->open_entries[index];
}

static void scratch_grow(struct log *l, u32 entries, u32 partitions)
{
    if (entries > l->sorted_cap) {
        l->sorted_cap = MAX(entries, 2 * l->sorted_cap);
        l->sorted = mem_resize(l->sorted, l->sorted_cap * sizeof(l->sorted[0]));
        l->sorted_from = mem_resize(l->sorted_from, l->sorted_cap * sizeof(l->sorted_from[0]));
    }
    if (partitions > l->keys_cap) {
        l->keys_cap = MAX(partitions, 2 * l->keys_cap);
        l->keys = mem_resize(l->keys, 2 * (size_t)l->keys_cap * sizeof(l->keys[0]));
    }
}

static void keys_sort_few(struct sort_key *keys, u32 count)
{
    for (u32 i = 1; i < count; i++) {
        struct sort_key key = keys[i];
        u32 at = i;
        for (; at > 0 && keys[at - 1].id > key.id; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

/* One pass of a radix sort by 8 bits of the id. false: all have the same bits, nothing moved. */
static bool keys_pass(const struct sort_key *from, struct sort_key *to, u32 count, u32 shift)
{
    u32 starts[RADIX] = {0};
    for (u32 i = 0; i < count; i++) {
        starts[from[i].id >> shift & (RADIX - 1)]++;
    }
    if (starts[from[0].id >> shift & (RADIX - 1)] == count) {
        return false;
    }
    u32 sum = 0;
    for (u32 r = 0; r < RADIX; r++) {
        u32 next = sum + starts[r];
        starts[r] = sum;
        sum = next;
    }
    for (u32 i = 0; i < count; i++) {
        u32 digit = from[i].id >> shift & (RADIX - 1);
        to[starts[digit]] = from[i];
        starts[digit]++;
    }
    return true;
}

/* Sorted by id; the result is where the return value points (keys or scratch). */
static const struct sort_key *keys_sort(struct sort_key *keys, struct sort_key *scratch, u32 count)
{
    if (count <= INSERTION_SORT_MAX) {
        keys_sort_few(keys, count);
        return keys;
    }
    struct sort_key *from = keys;
    struct sort_key *to = scratch;
    for (u32 shift = 0; shift < 32; shift += RADIX_BITS) {
        if (keys_pass(from, to, count, shift)) {
            struct sort_key *swap = from;
            from = to;
            to = swap;
        }
    }
    return from;
}

/* Fills log.sorted; staged entries still have their place in the staging buffer. */
static const struct sort_key *entries_sort(struct log *l, struct slot *s)
{
    scratch_grow(l, s->entry_count, s->touched_count);
    for (u32 i = 0; i < s->touched_count; i++) {
        l->keys[i] = (struct sort_key){s->touched[i].id, i};
    }
    const struct sort_key *keys = keys_sort(l->keys, l->keys + l->keys_cap, s->touched_count);
    u32 next = 0;
    for (u32 i = 0; i < s->touched_count; i++) {
        struct touched *t = &s->touched[keys[i].index];
        t->entry_first = next;
        next += t->entry_count;
    }
    assert(next == s->entry_count);
    for (u32 i = 0; i < s->entry_count; i++) {
        struct touched *t = &s->touched[l->open_entries[i].touched];
        l->sorted[t->entry_first] = l->open_entries[i].entry;
        l->sorted_from[t->entry_first] = i;
        t->entry_first++; /* ends as the first of the next partition */
    }
    return keys;
}

/* Copies one partition's small batches to the frame; returns how many bytes. */
static u32 staged_settle(struct log *l, const struct touched *t, u8 *frame, u32 pos)
{
    u32 start = pos;
    for (u32 i = t->entry_first - t->entry_count; i < t->entry_first; i++) {
        if (!l->open_entries[l->sorted_from[i]].staged) {
            continue;
        }
        struct frame_entry *e = &l->sorted[i];
        memcpy(frame + pos, l->staging->data + e->pos, e->bytes);
        e->pos = pos;
        pos += e->bytes;
    }
    if (t->partition != NULL) {
        index_settle_staged(t->partition, t->partition->first_open_run, start);
    }
    return pos - start;
}

void layout_slot(struct log *l, struct slot *s)
{
    if (s->entry_count == 0) {
        return;
    }
    const struct sort_key *keys = entries_sort(l, s);
    u8 *frame = s->chunk->blob->data + s->offset;
    u32 pos = FRAME_HEADER_BYTES + s->placed_bytes;
    for (u32 i = 0; s->staged_bytes > 0 && i < s->touched_count; i++) {
        const struct touched *t = &s->touched[keys[i].index];
        if (t->staged) {
            pos += staged_settle(l, t, frame, pos);
        }
    }
    assert(pos == FRAME_HEADER_BYTES + s->placed_bytes + s->staged_bytes);
}

void layout_seal(struct log *l, struct slot *s, const struct frame_entry *entries)
{
    struct frame_header header = {
        .kind = s->kind,
        .cluster = l->cluster,
        .wal = l->wal,
        .slot = s->number,
        .nonce = l->nonce,
        .chain = l->chain,
        .durable_slot = l->durable,
        .payload_bytes = s->placed_bytes + s->staged_bytes,
        .index_count = s->entry_count,
    };
    u8 *frame = s->chunk->blob->data + s->offset;
    frame_seal(frame, &header, entries, l->block_bytes);
    assert(header.total_bytes == s->total_bytes);
    l->chain = frame_header_hash(frame);
}
