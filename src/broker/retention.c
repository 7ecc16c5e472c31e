/* Retention: passes over all partitions of topics whose cleanup.policy has "delete", some
   partitions a turn, and moves the start of their logs behind what is too old (retention.ms) or too
   much (retention.bytes). Space comes back when packs have nothing left that lives (log/rewrite.c).

   A pass begins every log.retention.check.interval.ms, a quarter of a second after something was
   appended, and as soon as 384 MiB were, so that a topic under load stays near its limit at any
   rate. (At 256 MiB a twentieth of a full rate was lost to rewriting packs of which more lives.)
   The starts it finds are one metadata command each few thousand; the next slice waits for it.

   The wall clock decides what is old, and it may be wrong: when it jumps against the monotonic one,
   nothing is deleted by age for an hour, and a warning says so. Sizes go on. What an operator set
   right after the jump he can have at once by a restart. */
#include "broker/retention.h"

#include "broker/config.h"

enum { SLICE_PARTITIONS = 2000, SLICE_STARTS = 4096 };
static const u64 SOON_NS = 250000000ull;
static const u64 MUCH_BYTES = 384 * MIB;
static const i64 JUMP_MS = 60 * 1000;
static const u64 JUMP_HOLD_NS = 3600ull * 1000000000ull;

struct retention {
    struct broker *b;
    struct io_timer timer; /* of the next pass, or of its next slice */
    u64 appended_bytes;    /* since the pass before began */
    bool passing;
    u32 topic; /* where the pass is */
    u32 partition;
    i64 drift_ms; /* wall minus monotonic, as last seen */
    bool drift_known;
    u64 hold_until_ns; /* ages are not believed before */
    struct metalog_append append;
    struct meta_command command;
    struct meta_log_start starts[SLICE_STARTS];
    u32 start_count;
};

/* ---- the clock ------------------------------------------------------------------------------- */

static void clock_look(struct retention *r)
{
    struct io *io = r->b->io;
    u64 now_ns = io_now_ns(io);
    i64 drift_ms = io_wall_ms(io) - (i64)(now_ns / 1000000);
    i64 jump_ms = drift_ms - r->drift_ms;
    if (r->drift_known && (jump_ms > JUMP_MS || jump_ms < -JUMP_MS)) {
        r->hold_until_ns = now_ns + JUMP_HOLD_NS;
        diag(MSG_clock_jumped, D_INT("jump_ms", jump_ms));
    }
    r->drift_ms = drift_ms;
    r->drift_known = true;
}

static bool ages_are_believed(const struct retention *r)
{
    return io_now_ns(r->b->io) >= r->hold_until_ns;
}

/* ---- a pass ---------------------------------------------------------------------------------- */

static void slice_next(struct retention *r)
{
    io_timer_start(r->b->io, &r->timer, io_now_ns(r->b->io));
}

static void pass_await(struct retention *r)
{
    u64 wait_ns = (u64)config_i64(r->b->config, CONFIG_log_retention_check_interval_ms) * 1000000;
    if (r->appended_bytes > 0) {
        wait_ns = r->appended_bytes < MUCH_BYTES ? MIN(SOON_NS, wait_ns) : 0;
    }
    io_timer_start(r->b->io, &r->timer, io_now_ns(r->b->io) + wait_ns);
}

static void pass_end(struct retention *r)
{
    r->passing = false;
    pass_await(r);
}

static void starts_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    (void)result; /* no room for metadata now: the next pass finds the same again */
    (void)outcomes;
    slice_next(CONTAINER_OF(a, struct retention, append));
}

static void starts_commit(struct retention *r)
{
    r->command = (struct meta_command){
        .kind = META_SET_LOG_STARTS,
        .set_log_starts = {.starts = r->starts, .count = r->start_count},
    };
    r->append.done = starts_done;
    r->append.commands = &r->command;
    r->append.command_count = 1;
    metalog_append(r->b->cluster, &r->append);
}

static void partition_look(struct retention *r, const struct meta_topic *t,
                           const struct log_retention *limits, u32 index)
{
    u32 id = meta_partition_id(t, index);
    const struct partition *p = log_partition_find(r->b->log, id);
    u64 start;
    if (p != NULL && partition_expired(p, limits, &start)) {
        r->starts[r->start_count] = (struct meta_log_start){.partition_id = id, .offset = start};
        r->start_count++;
    }
}

static struct log_retention limits_of(const struct retention *r, const struct topic_config *c)
{
    struct log_retention limits = {.bytes_max = -1, .oldest_ms = INT64_MIN};
    if (!c->delete_policy) {
        return limits;
    }
    limits.bytes_max = c->retention_bytes;
    if (c->retention_ms >= 0 && ages_are_believed(r)) {
        limits.oldest_ms = io_wall_ms(r->b->io) - c->retention_ms;
    }
    return limits;
}

/* Up to so many partitions; false: that was the last. */
static bool slice_walk(struct retention *r)
{
    const struct meta *m = cluster_meta(r->b->cluster);
    for (u32 budget = SLICE_PARTITIONS; budget > 0 && r->start_count < SLICE_STARTS;) {
        if (r->topic >= meta_topic_count(m)) {
            return false;
        }
        const struct meta_topic *t = meta_topic_at(m, r->topic);
        struct topic_config config;
        topic_config_resolve(r->b->config, t, &config);
        const struct log_retention limits = limits_of(r, &config);
        bool limited = limits.bytes_max >= 0 || limits.oldest_ms != INT64_MIN;
        u32 end = limited ? t->partition_count : 0;
        for (; r->partition < end && budget > 0 && r->start_count < SLICE_STARTS; budget--) {
            partition_look(r, t, &limits, r->partition);
            r->partition++;
        }
        if (r->partition < end) {
            return true;
        }
        r->topic++;
        r->partition = 0;
        budget -= MIN(budget, 1u);
    }
    return true;
}

static void fired(struct io_timer *timer)
{
    struct retention *r = CONTAINER_OF(timer, struct retention, timer);
    if (!log_is_whole(r->b->log)) {
        io_timer_start(r->b->io, timer, io_now_ns(r->b->io) + SOON_NS);
        return;
    }
    if (!r->passing) {
        clock_look(r);
        r->passing = true;
        r->appended_bytes = 0;
        r->topic = 0;
        r->partition = 0;
    }
    r->start_count = 0;
    bool more = slice_walk(r);
    if (r->start_count > 0) {
        starts_commit(r);
    } else if (more) {
        slice_next(r);
    } else {
        pass_end(r);
    }
}

/* ---- from outside ---------------------------------------------------------------------------- */

void retention_appended(struct broker *b, u64 bytes)
{
    struct retention *r = b->retention;
    if (r == NULL || bytes == 0) {
        return;
    }
    u64 before = r->appended_bytes;
    r->appended_bytes += bytes;
    bool changes = before == 0 || (before < MUCH_BYTES && r->appended_bytes >= MUCH_BYTES);
    if (changes && !r->passing && heap_linked(&r->timer.node)) {
        pass_await(r);
    }
}

void retention_start(struct broker *b)
{
    struct retention *r = mem_alloc(sizeof(*r));
    r->b = b;
    r->timer.fired = fired;
    b->retention = r;
    clock_look(r);
    pass_end(r);
}

void retention_stop(struct broker *b)
{
    struct retention *r = b->retention;
    if (r == NULL) {
        return;
    }
    io_timer_stop(b->io, &r->timer);
    metalog_forget(&r->append);
    mem_free(r);
    b->retention = NULL;
}
