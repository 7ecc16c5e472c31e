/* How far a partition's log has outlived its limits. Called by the broker, which knows the limits
   and makes a new start durable.

   The unit is the run, at most 64 KiB of batches: finer than Kafka's segment, so a log is never
   shorter than its limit and never longer by more than a run; and what is not durable, or not older
   than the limit itself, stays. */
#include "log/log_private.h"

struct partition *log_partition_find(struct log *l, u32 id)
{
    return map64_get(&l->partitions, id);
}

bool partition_expired(const struct partition *p, const struct log_retention *limits, u64 *start)
{
    u32 keep = 0; /* runs before it go */
    if (limits->oldest_ms != INT64_MIN) {
        keep = index_find_timestamp(p, limits->oldest_ms);
    }
    u64 bytes = p->bytes;
    for (u32 i = 0; i < p->run_count && (i < keep || limits->bytes_max >= 0); i++) {
        const struct run *r = &p->runs[i];
        bool too_much = limits->bytes_max >= 0 && bytes - r->bytes >= (u64)limits->bytes_max;
        if (i >= keep && !too_much) {
            break;
        }
        bytes -= MIN(bytes, (u64)r->bytes);
        keep = MAX(keep, i + 1);
    }
    while (keep > 0 && index_next_offset(p, keep - 1) > p->high_watermark) {
        keep--;
    }
    if (keep == 0) {
        return false;
    }
    *start = index_next_offset(p, keep - 1);
    return *start > p->start_offset;
}
