/* A record that was acknowledged, or that a consumer has seen, is found at its offset until
   it was deleted or had outlived its topic's limits.

   An acknowledgement names the offset: whatever was or will be seen there must be that record. In
   the end everything is read once more. */
#include "sim/check.h"

static const char *slot_text(const struct ledger_slot *slot)
{
    return slot->timestamp == -1 ? "acknowledged" : "read";
}

static void found(struct ledger_partition *p, u64 offset, struct author *w, u32 record,
                  const char *how)
{
    struct ledger_slot *slot = ledger_slot(p, offset);
    if (slot->author == NULL) {
        slot->author = w;
        slot->record = record;
        return;
    }
    if (slot->author != w || slot->record != record) {
        world_fail(p->ledger->world, check_lost.promise,
                   "%s-%d offset %llu: record %u of author %u was %s there, now record %u of "
                   "author %u is %s",
                   p->topic->name, p->index, (unsigned long long)offset, slot->record,
                   slot->author->number, slot_text(slot), record, w->number, how);
    }
}

static void lost_acked(struct author *w, u32 record, u64 offset)
{
    found(w->partition, offset, w, record, "acknowledged");
}

static void lost_read(struct ledger_partition *p, u64 offset, struct author *w, u32 record)
{
    found(p, offset, w, record, "read");
}

static void lost_final(struct ledger_partition *p, u64 start, u64 end)
{
    for (u64 offset = end; offset < p->slot_count; offset++) {
        const struct ledger_slot *slot = &p->slots[offset];
        if (slot->author != NULL) {
            world_fail(p->ledger->world, check_lost.promise,
                       "%s-%d offset %llu: record %u of author %u was %s there, but the partition "
                       "ends at %llu",
                       p->topic->name, p->index, (unsigned long long)offset, slot->record,
                       slot->author->number, slot_text(slot), (unsigned long long)end);
            return;
        }
    }
    for (u64 offset = start; offset < end; offset++) {
        if (offset >= p->slot_count || p->slots[offset].timestamp == -1) {
            world_fail(p->ledger->world, check_lost.promise,
                       "%s-%d offset %llu was passed over in the last reading", p->topic->name,
                       p->index, (unsigned long long)offset);
            return;
        }
    }
}

const struct check_row check_lost = {
    .name = "lost",
    .promise = "no acknowledged record is lost",
    .acked = lost_acked,
    .read = lost_read,
    .final = lost_final,
};
