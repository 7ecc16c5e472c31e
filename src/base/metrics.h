/* Metric slots: one global array of u64 counters and gauges, and one of histograms, one row each in
   metrics.def. Writers are the loop thread (plain) and others (metric_add_shared); of histograms
   the loop thread alone. Read on the loop (metric_read). */
#pragma once

#include "types.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };
enum metric {
#define METRIC(kind, name, unit, doc) METRIC_##name,
#define HISTOGRAM(name, doc)
#include "metrics.def"
#undef HISTOGRAM
#undef METRIC
    METRIC_COUNT
};
struct metric_row {
    enum metric_kind kind;
    const char *name; /* without the odradek_ prefix */
    const char *unit;
    const char *doc;
};
/* Times in buckets, as Prometheus has them: how many were at most so long. */
enum { METRIC_BUCKETS = 17 };
extern const u64 metric_bounds_ns[METRIC_BUCKETS - 1]; /* of all but the last, which has the rest */
struct metric_histogram {
    u64 counts[METRIC_BUCKETS]; /* of each bucket alone */
    u64 sum_ns;
};
enum metric_times {
#define METRIC(kind, name, unit, doc)
#define HISTOGRAM(name, doc) HISTOGRAM_##name,
#include "metrics.def"
#undef HISTOGRAM
#undef METRIC
    HISTOGRAM_COUNT
};
struct histogram_row {
    const char *name; /* without the odradek_ prefix */
    const char *doc;
};
extern const struct histogram_row histogram_rows[HISTOGRAM_COUNT];
extern struct metric_histogram metric_histograms[HISTOGRAM_COUNT];

extern const struct metric_row metric_rows[METRIC_COUNT];
extern u64 metric_slots[METRIC_COUNT];

static inline void metric_add(enum metric m, u64 n)
{
    metric_slots[m] += n;
}
static inline void metric_set(enum metric m, u64 v)
{
    metric_slots[m] = v;
}
static inline void metric_add_shared(enum metric m, u64 n)
{
    __atomic_fetch_add(&metric_slots[m], n, __ATOMIC_RELAXED);
}
static inline u64 metric_read(enum metric m)
{
    return __atomic_load_n(&metric_slots[m], __ATOMIC_RELAXED);
}
void metric_histogram_add(struct metric_histogram *h, u64 ns);
static inline void metric_observe(enum metric_times h, u64 ns)
{
    metric_histogram_add(&metric_histograms[h], ns);
}
