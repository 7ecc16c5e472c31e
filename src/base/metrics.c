/* The rows of metrics.def and the slots they count in. */
#include "metrics.h"

const struct metric_row metric_rows[METRIC_COUNT] = {
#define METRIC(kind, name, unit, doc) {METRIC_##kind, #name, unit, doc},
#define HISTOGRAM(name, doc)
#include "metrics.def"
#undef HISTOGRAM
#undef METRIC
};

u64 metric_slots[METRIC_COUNT];

const struct histogram_row histogram_rows[HISTOGRAM_COUNT] = {
#define METRIC(kind, name, unit, doc)
#define HISTOGRAM(name, doc) {#name, doc},
#include "metrics.def"
#undef HISTOGRAM
#undef METRIC
};

struct metric_histogram metric_histograms[HISTOGRAM_COUNT];

#define US 1000ull
#define MS (1000 * US)
const u64 metric_bounds_ns[METRIC_BUCKETS - 1] = {
    100 * US, 250 * US, 500 * US, 1 * MS,   2500 * US, 5 * MS,    10 * MS,   25 * MS,
    50 * MS,  100 * MS, 250 * MS, 500 * MS, 1000 * MS, 2500 * MS, 5000 * MS, 10000 * MS,
};

void metric_histogram_add(struct metric_histogram *h, u64 ns)
{
    u32 bucket = 0;
    while (bucket < METRIC_BUCKETS - 1 && ns > metric_bounds_ns[bucket]) {
        bucket++;
    }
    h->counts[bucket]++;
    h->sum_ns += ns;
}
