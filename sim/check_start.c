/* The start of a log never goes back, and it moves only as far as somebody asked for: behind what
   DeleteRecords named, or anywhere below the high watermark where a topic has retention limits. */
#include "sim/check.h"

static void start_told(struct ledger_partition *p, u64 start_when_asked, i64 start, const char *who)
{
    bool back = start < (i64)start_when_asked;
    bool too_far = start > 0 && !ledger_may_be_gone(p, (u64)start - 1);
    if (back || too_far) {
        world_fail(p->ledger->world, check_start.promise,
                   "%s-%d: %s was told that the log starts at %lld; it started at %llu and may "
                   "start at %llu at most",
                   p->topic->name, p->index, who, (long long)start,
                   (unsigned long long)start_when_asked, (unsigned long long)p->start_max);
    }
}

static void start_final(struct ledger_partition *p, u64 start, u64 end)
{
    if (start > end) {
        world_fail(p->ledger->world, check_start.promise,
                   "%s-%d: the log starts at %llu and ends at %llu", p->topic->name, p->index,
                   (unsigned long long)start, (unsigned long long)end);
    }
}

const struct check_row check_start = {
    .name = "start",
    .promise = "a log's start moves forward only, and only as asked",
    .started = start_told,
    .final = start_final,
};
