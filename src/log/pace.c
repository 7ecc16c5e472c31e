/* How fast packs are written. Called by filing.c and rewrite.c between the visits of their workers,
   each of which writes a piece.

   They share the medium with the durable writes of producers, who wait for each of them. So each of
   the two goes half again as fast as producers write, not in bursts, and in small writes, since a
   durable write waits for the one that is under way. Only when the WAL fills up, the index or
   the disk, they go as fast as they can: producers are about to wait for them. So they do before a
   clean stop. */
#include "log/log_private.h"

enum { HURRIED_PIECES = 4, HURRIED_WRITE_BYTES = 4 * MIB, GENTLE_WRITE_BYTES = 64 * KIB };
static const u64 RATE_WINDOW_NS = 50000000;
/* And that much more: the space of what was deleted comes back soon though nobody writes. */
static const u64 BYTES_PER_S_MIN = 128 * MIB;

static bool pace_is_hurried(const struct log *l)
{
    return filing_is_pressed(l) || index_is_behind(l) || l->space_short || l->filing_rest;
}

u32 pace_write_bytes(const struct log *l)
{
    return pace_is_hurried(l) ? HURRIED_WRITE_BYTES : GENTLE_WRITE_BYTES;
}

u64 pace_visit_begin(struct log *l, struct pace *p)
{
    p->visit_ns = io_now_ns(l->io);
    u64 piece = l->filing_pool.usual_bytes;
    return pace_is_hurried(l) ? piece * HURRIED_PIECES : piece;
}

/* How long a visit may take, the pause after it included. */
static u64 visit_pace_ns(const struct log *l)
{
    if (pace_is_hurried(l)) {
        return 0;
    }
    u64 bytes_per_s = l->durable_rate / 2 * 3 + BYTES_PER_S_MIN;
    return l->filing_pool.usual_bytes * 1000000000ull / bytes_per_s;
}

/* Bytes that became durable per second, smoothed. */
static void rate_learn(struct log *l, u64 now_ns)
{
    u64 past_ns = now_ns - l->durable_rate_ns;
    if (past_ns < RATE_WINDOW_NS) {
        return;
    }
    u64 rate = (u64)((double)l->durable_rate_bytes * 1e9 / (double)past_ns);
    l->durable_rate = past_ns > 10 * RATE_WINDOW_NS ? rate : (3 * l->durable_rate + rate) / 4;
    l->durable_rate_bytes = 0;
    l->durable_rate_ns = now_ns;
}

u64 pace_producers_rate(struct log *l)
{
    rate_learn(l, io_now_ns(l->io));
    return l->durable_rate;
}

bool pace_goes_on(struct log *l, struct pace *p)
{
    u64 now_ns = io_now_ns(l->io);
    rate_learn(l, now_ns);
    u64 due_ns = p->visit_ns + visit_pace_ns(l);
    if (due_ns <= now_ns) {
        return true;
    }
    io_timer_start(l->io, &p->pause, due_ns);
    return false;
}

bool pace_hurry(struct log *l, struct pace *p)
{
    if (!heap_linked(&p->pause.node)) {
        return false;
    }
    io_timer_stop(l->io, &p->pause);
    return true;
}
