/* What load generators share: a clock, a histogram of times, and processor seconds. */
#pragma once

#include "base/types.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull

static inline u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * SECOND + (u64)t.tv_nsec;
}

/* Log-linear: 64 steps per power of two, so a value is known within 1.6 %. */
enum { STEPS = 64, POWERS = 40 };
struct histogram {
    u64 counts[POWERS * STEPS];
    u64 total;
};
static inline void histogram_add(struct histogram *h, u64 value)
{
    u64 v = MAX(value, (u64)STEPS);
    u32 power = 63 - (u32)__builtin_clzll(v);
    u32 index = (power - 6) * STEPS + (u32)(v >> (power - 6)) - STEPS;
    h->counts[MIN(index, (u32)(POWERS * STEPS - 1))]++;
    h->total++;
}
static inline f64 histogram_us(const struct histogram *h, f64 quantile)
{
    u64 wanted = (u64)((f64)h->total * quantile);
    u64 seen_count = 0;
    for (u32 i = 0; i < POWERS * STEPS; i++) {
        seen_count += h->counts[i];
        if (seen_count > wanted) {
            u32 power = i / STEPS + 6;
            return (f64)((u64)(STEPS + i % STEPS) << (power - 6)) / 1000.0;
        }
    }
    return 0;
}

/* Whether a run in open loop is VOID: the generator's own lateness, which is in every latency,
   makes up more than a tenth of the p99, or the generator had no core to itself. Up to 100
   microseconds are no reason: where nothing else runs and a sleeping virtual processor has to be
   woken they are 43 to 62 (docs/decisions/0025-what-makes-a-run-void.md). */
static inline bool is_void_run(f64 late_us, f64 p99_us, f64 own_cores)
{
    return own_cores > 0.85 || (late_us > 100 && late_us > p99_us / 10);
}

/* Of another process, so far; 0 when it is gone. */
static inline f64 cpu_seconds(int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return 0;
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *at = strrchr(text, ')');
    unsigned long user = 0, system = 0;
    if (at == NULL || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                             &system) != 2) {
        return 0;
    }
    return (f64)(user + system) / (f64)sysconf(_SC_CLK_TCK);
}

static inline f64 own_cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (f64)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (f64)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
