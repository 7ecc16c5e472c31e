/* The rows of metrics.def and the slots they count in. */
#include "metrics.h"

const struct metric_row metric_rows[METRIC_COUNT] = {
#define METRIC(kind, name, unit, doc) {METRIC_##kind, #name, unit, doc},
#include "metrics.def"
#undef METRIC
};

u64 metric_slots[METRIC_COUNT];
