/* Counts of durations, for percentiles: 32 buckets for each power of two, so that what is read out
   is at most 3 percent above what was put in. Microseconds. */
#pragma once

#include "base/base.h"

enum { HISTOGRAM_PER_POWER = 32, HISTOGRAM_BUCKETS = 32 * 40 };
struct histogram {
    u64 counts[HISTOGRAM_BUCKETS];
    u64 count;
    i64 max_us;
    f64 sum_us;
};
void histogram_add(struct histogram *h, i64 us);
/* The duration that so many percent are not above; 0 when it is empty. */
i64 histogram_percentile(const struct histogram *h, f64 percent);
