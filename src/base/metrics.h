/* Metric slots: one global array of u64 counters and gauges, one row each in metrics.def. The only
   writers are the loop thread (plain) and workers (metric_add_shared). */
#pragma once

#include "types.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };
enum metric {
#define METRIC(kind, name, unit, doc) METRIC_##name,
#include "metrics.def"
#undef METRIC
    METRIC_COUNT
};
struct metric_row {
    enum metric_kind kind;
    const char *name; /* without the odradek_ prefix */
    const char *unit;
    const char *doc;
};
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
