/* Within a partition a producer's records stand in the order they were sent: for an idempotent
   producer without a gap, for a plain one with one request in flight by their first appearance.
   (Plain with several in flight promises nothing.) */
#include "sim/check.h"

static void order_final(struct ledger_partition *p, u64 start, u64 end)
{
    for (u64 offset = start; offset < MIN(end, p->slot_count); offset++) {
        struct author *w = p->slots[offset].author;
        u32 record = p->slots[offset].record;
        if (w == NULL || (!w->idempotent && !w->one_at_a_time)) {
            continue;
        }
        bool again = !w->idempotent && w->records[record].first_offset < offset;
        if (again) {
            continue;
        }
        if (start > 0 && !w->walking) {
            w->walk_next = record; /* those before it were deleted */
        }
        w->walking = true;
        bool good = w->idempotent ? record == w->walk_next : record >= w->walk_next;
        if (!good) {
            world_fail(p->ledger->world, check_order.promise,
                       "%s-%d offset %llu: record %u of %s author %u where record %llu was due",
                       p->topic->name, p->index, (unsigned long long)offset, record,
                       w->idempotent ? "idempotent" : "plain", w->number,
                       (unsigned long long)w->walk_next);
            return;
        }
        w->walk_next = (u64)record + 1;
    }
}

const struct check_row check_order = {
    .name = "order",
    .promise = "a producer's records stay in order",
    .final = order_final,
};
