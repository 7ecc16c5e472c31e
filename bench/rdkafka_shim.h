/* What rdkafka_performance.c, which is librdkafka's, takes from inside of librdkafka: it is built
   within its tree, we build the copy that Debian's librdkafka-dev has among its examples.
   bench/real_clients.py includes this first. */
#ifndef BENCH_RDKAFKA_SHIM_H
#define BENCH_RDKAFKA_SHIM_H
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int64_t rd_ts_t; /* microseconds */
#define rd_snprintf  snprintf
#define RD_MAX(a, b) ((a) > (b) ? (a) : (b))
#define RD_MIN(a, b) ((a) < (b) ? (a) : (b))

static inline rd_ts_t rd_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (rd_ts_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
#endif
