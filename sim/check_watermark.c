/* A high watermark never goes back: an answer is never below what anybody had been told or
   acknowledged when the question was sent, in one life of the broker or across several. */
#include "sim/check.h"

static void watermark_told(struct ledger_partition *p, u64 floor_when_asked, i64 high_watermark,
                           const char *who)
{
    if (high_watermark < 0 || (u64)high_watermark < floor_when_asked) {
        world_fail(p->ledger->world, check_watermark.promise, "%s-%d: %s was told %lld, after %llu",
                   p->topic->name, p->index, who, (long long)high_watermark,
                   (unsigned long long)floor_when_asked);
    }
}

static void watermark_final(struct ledger_partition *p, u64 start, u64 end)
{
    watermark_told(p, p->floor, (i64)end, "the last reader");
}

const struct check_row check_watermark = {
    .name = "watermark",
    .promise = "the high watermark never goes back",
    .told = watermark_told,
    .final = watermark_final,
};
