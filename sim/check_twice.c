/* A record of an idempotent producer stands in its partition once, however often it was sent. A
   record of a plain producer stands there at most as often as it was sent. */
#include "sim/check.h"

static void found(struct ledger_partition *p, u64 offset, struct author *w, u32 record)
{
    struct ledger_record *r = &w->records[record];
    if (r->first_offset == LEDGER_UNKNOWN || r->first_offset == offset) {
        r->first_offset = offset;
        return;
    }
    bool may_repeat = !w->idempotent && r->attempts > 1;
    if (!may_repeat) {
        world_fail(p->ledger->world, check_twice.promise,
                   "%s-%d: record %u of %s author %u, sent %u times, is at offset %llu and at %llu",
                   p->topic->name, p->index, record, w->idempotent ? "idempotent" : "plain",
                   w->number, r->attempts, (unsigned long long)r->first_offset,
                   (unsigned long long)offset);
    }
    r->first_offset = MIN(r->first_offset, offset);
}

static void twice_acked(struct author *w, u32 record, u64 offset)
{
    found(w->partition, offset, w, record);
}

static void twice_final(struct ledger_partition *p, u64 start, u64 end)
{
    for (u64 offset = start; offset < MIN(end, p->slot_count); offset++) {
        struct author *w = p->slots[offset].author;
        if (w == NULL) {
            continue;
        }
        struct ledger_record *r = &w->records[p->slots[offset].record];
        r->occurrences++;
        if (r->occurrences > (w->idempotent ? 1 : r->attempts)) {
            world_fail(
                p->ledger->world, check_twice.promise,
                "%s-%d offset %llu: record %u of author %u, sent %u times, is there %u times",
                p->topic->name, p->index, (unsigned long long)offset, p->slots[offset].record,
                w->number, r->attempts, r->occurrences);
            return;
        }
    }
}

const struct check_row check_twice = {
    .name = "twice",
    .promise = "no record is there twice",
    .acked = twice_acked,
    .read = found,
    .final = twice_final,
};
