/* Percentiles: see histogram.h. */
#include "cli/histogram.h"

/* Below 32 a bucket is one microsecond; above, a 32nd of the power of two. */
static u32 bucket_of(u64 us)
{
    if (us < HISTOGRAM_PER_POWER) {
        return (u32)us;
    }
    u32 power = 63 - (u32)__builtin_clzll(us); /* at least 5 */
    u32 within = (u32)(us >> (power - 5)) & (HISTOGRAM_PER_POWER - 1);
    return MIN((power - 4) * HISTOGRAM_PER_POWER + within, (u32)HISTOGRAM_BUCKETS - 1);
}

/* The last microsecond that falls into it. */
static i64 bucket_end(u32 bucket)
{
    if (bucket < HISTOGRAM_PER_POWER) {
        return bucket;
    }
    u32 power = bucket / HISTOGRAM_PER_POWER + 4;
    u64 within = bucket % HISTOGRAM_PER_POWER;
    return (i64)(((HISTOGRAM_PER_POWER + within + 1) << (power - 5)) - 1);
}

void histogram_add(struct histogram *h, i64 us)
{
    us = MAX(us, 0);
    h->counts[bucket_of((u64)us)]++;
    h->count++;
    h->sum_us += (f64)us;
    h->max_us = MAX(h->max_us, us);
}

i64 histogram_percentile(const struct histogram *h, f64 percent)
{
    f64 wanted = (f64)h->count * percent / 100;
    u64 seen_count = 0;
    for (u32 i = 0; i < HISTOGRAM_BUCKETS && h->count > 0; i++) {
        seen_count += h->counts[i];
        if (seen_count > 0 && (f64)seen_count >= wanted) {
            return MIN(bucket_end(i), h->max_us);
        }
    }
    return h->max_us;
}
