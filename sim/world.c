/* Clock, events, chance and trace of the simulated world (world.h). */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>

void world_init(struct world *w, u64 seed, bool verbose)
{
    *w = (struct world){
        .seed = seed,
        .now_ns = 1 * SIM_S,
        .wall_start_ms = WORLD_WALL_START_MS,
        .hash = 14695981039346656037ull,
        .verbose = verbose,
    };
    rng_seed(&w->rng, seed);
    heap_init(&w->events);
}

void world_fini(struct world *w)
{
    w->events.count = 0;
    heap_fini(&w->events);
}

i64 world_wall_ms(const struct world *w)
{
    return w->wall_start_ms + (i64)(w->now_ns / SIM_MS);
}

void world_start(struct world *w, struct world_event *e, u64 delay_ns)
{
    assert(e->run != NULL);
    world_stop(w, e);
    heap_insert(&w->events, &e->node, w->now_ns + delay_ns);
}

void world_stop(struct world *w, struct world_event *e)
{
    if (heap_linked(&e->node)) {
        heap_remove(&w->events, &e->node);
    }
}

void world_run_due(struct world *w)
{
    for (;;) {
        struct heap_node *first = heap_min(&w->events);
        if (first == NULL || first->key > w->now_ns) {
            return;
        }
        heap_remove(&w->events, first);
        struct world_event *e = CONTAINER_OF(first, struct world_event, node);
        e->run(e);
    }
}

void world_run(struct world *w, u64 duration_ns)
{
    u64 end_ns = w->now_ns + duration_ns;
    for (;;) {
        struct heap_node *first = heap_min(&w->events);
        if (first == NULL || first->key > end_ns) {
            break;
        }
        w->now_ns = MAX(w->now_ns, first->key);
        world_run_due(w);
    }
    w->now_ns = MAX(w->now_ns, end_ns);
}

u64 chance_between(struct world *w, u64 low, u64 high)
{
    return rng_between(&w->rng, low, high);
}

bool chance(struct world *w, u32 numerator, u32 denominator)
{
    return rng_chance(&w->rng, numerator, denominator);
}

u64 chance_delay(struct world *w, u64 usual_ns, u64 rare_ns)
{
    if (chance(w, 1, 64)) {
        return chance_between(w, usual_ns, rare_ns);
    }
    return chance_between(w, usual_ns / 8, usual_ns);
}

/* ---- trace ----------------------------------------------------------------------------------- */

void trace_number(struct world *w, u64 value)
{
    u64 x = w->hash ^ value;
    x = (x ^ (x >> 32)) * 0x9fb21c651e98df25ull;
    w->hash = x ^ (x >> 29);
}

void trace_bytes(struct world *w, const void *bytes, size_t len)
{
    trace_number(w, len);
    if (len > 0) {
        trace_number(w, crc32c(bytes, len));
    }
}

void world_print(struct world *w, const char *fmt, ...)
{
    va_list args;
    printf("%10.6f ", (f64)w->now_ns / (f64)SIM_S);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

void world_fail(struct world *w, const char *promise, const char *fmt, ...)
{
    if (w->failed) {
        return;
    }
    w->failed = true;
    int n = snprintf(w->failure, sizeof w->failure, "%s: ", promise);
    assert(n > 0 && (size_t)n < sizeof w->failure);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(w->failure + n, sizeof w->failure - (size_t)n, fmt, args);
    va_end(args);
    world_say(w, "BROKEN %s", w->failure);
}
