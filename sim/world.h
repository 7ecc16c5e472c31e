/* The simulated world: one clock, one queue of events, one source of chance, one trace. Everything
   in sim/ hangs on it.

   Time stands still while anybody computes and jumps to the next event (sim_io.c's poll, or
   world_run when no broker is alive). All chance comes from the seed, so a seed is a run.

   The trace is a hash over every call the broker makes through its border, with bytes and result,
   and over everything the world does to it. Two runs with equal hashes did the same. */
#pragma once

#include "base/base.h"

#define WORLD_WALL_START_MS 1700000000000
#define SIM_US              (1000ull)
#define SIM_MS              (1000ull * SIM_US)
#define SIM_S               (1000ull * SIM_MS)

struct world_event {
    struct heap_node node;
    void (*run)(struct world_event *e);
};

struct world {
    u64 seed;
    u64 now_ns;
    i64 wall_start_ms; /* wall clock at now_ns 0 */
    struct rng rng;
    struct heap events;
    u64 hash;
    u64 calls;    /* through the border, all lives */
    bool verbose; /* one line per event on stdout */
    bool failed;
    char failure[768]; /* the first promise that was broken, and where */
};

void world_init(struct world *w, u64 seed, bool verbose);
void world_fini(struct world *w);

i64 world_wall_ms(const struct world *w);
/* Starting an event that waits moves it. */
void world_start(struct world *w, struct world_event *e, u64 delay_ns);
void world_stop(struct world *w, struct world_event *e);
/* Runs what is due; then nothing is left with a key <= now_ns. */
void world_run_due(struct world *w);
/* Without a broker: jumps from event to event for that long. */
void world_run(struct world *w, u64 duration_ns);

/* Chance. between is inclusive. */
u64 chance_between(struct world *w, u64 low, u64 high);
bool chance(struct world *w, u32 numerator, u32 denominator);
/* Mostly small, sometimes near the top: how long things take. */
u64 chance_delay(struct world *w, u64 usual_ns, u64 rare_ns);

/* ---- trace ----------------------------------------------------------------------------------- */

void trace_number(struct world *w, u64 value);
void trace_bytes(struct world *w, const void *bytes, size_t len);
/* A line for whoever reads along; hashed too, so what it says must come from the seed. */
#define world_say(w, ...)                \
    do {                                 \
        if ((w)->verbose) {              \
            world_print(w, __VA_ARGS__); \
        }                                \
    } while (0)
PRINTF_LIKE(2, 3) void world_print(struct world *w, const char *fmt, ...);
/* A promise was broken. Only the first counts. */
PRINTF_LIKE(3, 4) void world_fail(struct world *w, const char *promise, const char *fmt, ...);
