/* Collecting facts for /metrics, a piece a turn: half a millisecond of work, then everybody else's
   turn. monitor.c asks for it.

   Happy path
     1. begin: counters and totals, at one moment
     2. topics: every partition of every topic in order of their names
     3. groups: their names, then the committed offsets of each, with lag
     4. ages: of every offset with lag, when its oldest unread record was written: its run is found
        through the partition's index and peeked into, or loaded when it is cold; records of a large
        batch are walked on a worker (record_time.c)
     5. done, from the last piece

   Between two pieces anything may happen to topics and groups, so every piece looks again for where
   it was by name. At most odradek.http.series.max rows of each list are kept; the rest is counted.
   A timestamp once found is remembered as long as the offset stays: a group that stands still costs
   nothing. Ages that are not known three seconds after the beginning are left out. */
#include "broker/facts.h"

#include "broker/coordinator.h"
#include "broker/record_time.h"

#include <stdio.h>
#include <string.h>

#define PIECE_NS (500ull * 1000)
#define AGES_NS  (3000ull * 1000 * 1000)
enum { UNIT_ROWS = 64, TOPIC_BYTES_MAX = 256 };

enum stage { STAGE_IDLE, STAGE_TOPICS, STAGE_GROUPS, STAGE_OFFSETS, STAGE_AGES, STAGE_DONE };

/* When the first record at or behind an offset was written. */
struct age_key {
    u64 partition_id;
    u64 offset;
};
struct age {
    struct age_key key;
    i64 oldest_ms;
    u64 collection; /* that used it last */
};

struct facts_collector {
    struct broker *b;
    struct io_timer timer;
    enum stage stage;
    struct facts *facts;
    void (*done)(void *user, struct facts *f);
    void *user;
    u32 rows_max;
    u64 began_ns;
    u64 collections;

    char topic[TOPIC_BYTES_MAX]; /* where it is: among topics, or among the offsets of a group */
    u32 topic_bytes;
    bool topic_begun;
    bool topic_listed;
    u32 partition; /* the next one */
    u32 group;
    bool group_topic_listed;
    u32 age; /* the next offset whose age is to be found */

    struct log_whole_waiter whole;
    struct map_slice ages; /* by key: struct age */
    struct log_load load;
    bool loading;
    struct record_time *look; /* NULL: none. While it lacks bytes they are being loaded */
    u64 load_offset;

    u64 idle_wall_ns; /* of the last look at the loop's processor time */
    u64 idle_cpu_ns;
    f64 loop_idle;
};

static void collector_step(struct io_timer *t);

struct facts_collector *facts_collector_create(struct broker *b)
{
    struct facts_collector *c = mem_alloc(sizeof *c);
    c->b = b;
    c->timer.fired = collector_step;
    map_slice_init(&c->ages);
    c->idle_wall_ns = io_clock_ns();
    c->idle_cpu_ns = io_thread_cpu_ns();
    c->loop_idle = 1;
    return c;
}

void facts_collector_destroy(struct facts_collector *c)
{
    io_timer_stop(c->b->io, &c->timer);
    log_whole_cancel(&c->whole);
    if (c->loading) {
        log_load_release(&c->load);
    }
    if (c->look != NULL) {
        record_time_cancel(c->look);
    }
    if (c->facts != NULL) {
        facts_destroy(c->facts);
    }
    u32 cursor = 0;
    struct slice key;
    void *value;
    while (map_slice_next(&c->ages, &cursor, &key, &value)) {
        mem_free(value);
    }
    map_slice_fini(&c->ages);
    mem_free(c);
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* The loop's share of time without work since it was last looked at, a second ago or longer. */
static f64 loop_idle(struct facts_collector *c)
{
    u64 wall_ns = io_clock_ns();
    u64 cpu_ns = io_thread_cpu_ns();
    u64 passed_ns = wall_ns - c->idle_wall_ns;
    if (passed_ns >= 1000000000ull) {
        f64 busy = (f64)(cpu_ns - c->idle_cpu_ns) / (f64)passed_ns;
        c->loop_idle = busy >= 1 ? 0 : 1 - busy;
        c->idle_wall_ns = wall_ns;
        c->idle_cpu_ns = cpu_ns;
    }
    return c->loop_idle;
}

static void facts_begin(struct facts_collector *c)
{
    struct broker *b = c->b;
    struct facts *f = c->facts;
    const struct meta *meta = cluster_meta(b->cluster);
    struct log_stats stats;
    log_stats(b->log, &stats);
    metric_set(METRIC_memory_used_bytes, b->memory.root.used);
    f->wall_ms = io_wall_ms(b->io);
    for (u32 i = 0; i < METRIC_COUNT; i++) {
        f->slots[i] = metric_read((enum metric)i);
    }
    memcpy(f->histograms, metric_histograms, sizeof f->histograms);
    f->traffic = traffic_total(b->traffic);
    size_t times_bytes = api_row_count * sizeof f->times[0];
    f->times = mem_alloc(times_bytes);
    memcpy(f->times, traffic_times(b->traffic), times_bytes);
    f->topic_total = meta_topic_count(meta);
    f->partition_total = meta_partition_total(meta);
    /* Room for what will come, so that no piece pays for moving all that came before. */
    f->topics.cap = MIN(c->rows_max, f->topic_total);
    f->topics.items = mem_alloc(f->topics.cap * sizeof f->topics.items[0]);
    f->partitions.cap = MIN(c->rows_max, f->partition_total);
    f->partitions.items = mem_alloc(f->partitions.cap * sizeof f->partitions.items[0]);
    f->connections = b->conn_count;
    f->loop_idle = loop_idle(c);
    struct io_address at;
    broker_address(b, &at);
    bool v6 = strchr(at.host, ':') != NULL;
    snprintf(f->listener, sizeof f->listener, "%s%s%s:%u", v6 ? "[" : "", at.host, v6 ? "]" : "",
             at.port);
    f->log_bytes = stats.bytes;
    f->hot_bytes = stats.hot_bytes;
    f->index_bytes = stats.index_bytes;
    f->index_bytes_max = stats.index_bytes_max;
    f->memory_cap = b->memory.root.cap;
    const struct quota *quotas[] = {&b->memory.log, &b->memory.receive, &b->memory.requests};
    for (u32 i = 0; i < ARRAY_LEN(quotas); i++) {
        f->quota_used[i] = quotas[i]->used;
        f->quota_cap[i] = quotas[i]->cap;
    }
}

/* For a moment after a start it is not: sizes and lags are not known then. */
static void log_is_whole_now(struct log_whole_waiter *w)
{
    struct facts_collector *c = CONTAINER_OF(w, struct facts_collector, whole);
    facts_begin(c);
    io_timer_start(c->b->io, &c->timer, io_now_ns(c->b->io));
}

void facts_collect(struct facts_collector *c, void (*done)(void *user, struct facts *f), void *user)
{
    assert(c->stage == STAGE_IDLE);
    c->facts = mem_alloc(sizeof *c->facts);
    c->done = done;
    c->user = user;
    c->rows_max = (u32)config_i64(c->b->config, CONFIG_odradek_http_series_max);
    c->began_ns = io_now_ns(c->b->io);
    c->collections++;
    c->topic_bytes = 0;
    c->topic_begun = false;
    c->partition = 0;
    c->group = 0;
    c->age = 0;
    c->stage = STAGE_TOPICS;
    if (log_is_whole(c->b->log)) {
        log_is_whole_now(&c->whole);
    } else {
        c->whole.whole = log_is_whole_now;
        log_whole_wait(c->b->log, &c->whole);
    }
}

/* ---- topics ---------------------------------------------------------------------------------- */

static struct slice topic_here(const struct facts_collector *c)
{
    return slice_of(c->topic, c->topic_bytes);
}

static void topic_move(struct facts_collector *c, struct slice name)
{
    c->topic_bytes = (u32)MIN(name.len, sizeof c->topic);
    memcpy(c->topic, name.ptr, c->topic_bytes);
    c->partition = 0;
}

/* The topic that is under way or comes next; NULL: there is none. */
static const struct meta_topic *topic_next(struct facts_collector *c)
{
    const struct meta *meta = cluster_meta(c->b->cluster);
    u32 index = meta_topic_lower_bound(meta, topic_here(c));
    const struct meta_topic *t = index < meta_topic_count(meta) ? meta_topic_at(meta, index) : NULL;
    if (t != NULL && c->topic_begun && slice_eq(t->name, topic_here(c))) {
        if (c->partition < t->partition_count) {
            return t;
        }
        t = index + 1 < meta_topic_count(meta) ? meta_topic_at(meta, index + 1) : NULL;
    }
    if (t != NULL) {
        topic_move(c, t->name);
        c->topic_begun = true;
        c->topic_listed = c->facts->topics.count < c->rows_max;
        if (c->topic_listed) {
            *FACTS_ADD(&c->facts->topics, 1) = (struct facts_topic){
                .name = facts_name_add(c->facts, t->name),
                .partition_count = t->partition_count,
                .traffic = traffic_of(c->b->traffic, t->id),
            };
        }
    }
    return t;
}

static void partition_add(struct facts_collector *c, const struct meta_topic *t, u32 index)
{
    struct facts *f = c->facts;
    u32 id = meta_partition_id(t, index);
    const struct partition *p = log_partition_find(c->b->log, id);
    u64 start = meta_log_start(cluster_meta(c->b->cluster), id);
    struct partition_info info = {.log_start_offset = start, .high_watermark = start};
    if (p != NULL) {
        partition_info(p, &info);
    }
    *FACTS_ADD(&f->partitions, 1) = (struct facts_partition){
        .topic = f->topics.count - 1,
        .index = index,
        .start = info.log_start_offset,
        .end = info.high_watermark,
        .bytes = info.bytes,
    };
}

/* True: there is more. */
static bool topics_unit(struct facts_collector *c)
{
    struct facts *f = c->facts;
    const struct meta_topic *t = topic_next(c);
    bool full = f->partitions.count >= c->rows_max;
    if (t == NULL || (full && f->topics.count >= c->rows_max)) {
        u32 topics = MIN(f->topics.count, f->topic_total);
        u32 partitions = MIN(f->partitions.count, f->partition_total);
        f->left_out += f->topic_total - topics + f->partition_total - partitions;
        return false;
    }
    for (u32 i = 0; i < UNIT_ROWS && c->partition < t->partition_count; i++, c->partition++) {
        if (c->topic_listed && f->partitions.count < c->rows_max) {
            partition_add(c, t, c->partition);
        } else {
            c->partition = t->partition_count - 1;
        }
    }
    return true;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Names and members of all, at once: what is walked over may not change meanwhile. */
static void groups_list(struct facts_collector *c)
{
    struct facts *f = c->facts;
    u32 cursor = 0;
    const struct group *g;
    while ((g = coordinator_next_group(c->b->coordinator, &cursor)) != NULL) {
        f->group_total++;
        if (f->groups.count < c->rows_max) {
            *FACTS_ADD(&f->groups, 1) = (struct facts_group){.name = facts_name_add(f, group_id(g)),
                                                             .member_count = group_member_count(g)};
        }
    }
    f->left_out += f->group_total - f->groups.count;
    c->topic_bytes = 0;
    c->partition = 0;
    c->group_topic_listed = false;
}

/* The first offset of the group that was not looked at. */
static u32 offsets_resume(const struct facts_collector *c, const struct group *g)
{
    u32 low = 0;
    u32 high = group_offset_count(g);
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        const struct group_offset *o = group_offset_at(g, middle);
        int order = slice_cmp(o->topic, topic_here(c));
        if (order < 0 || (order == 0 && (i64)o->partition < (i64)c->partition)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void offset_add(struct facts_collector *c, const struct meta_topic *t,
                       const struct group_offset *o)
{
    struct facts *f = c->facts;
    u32 id = meta_partition_id(t, (u32)o->partition);
    const struct partition *p = log_partition_find(c->b->log, id);
    struct partition_info info = {.high_watermark =
                                      meta_log_start(cluster_meta(c->b->cluster), id)};
    if (p != NULL) {
        partition_info(p, &info);
    }
    u64 offset = (u64)MAX(o->offset, (i64)0);
    u64 lag = info.high_watermark > offset ? info.high_watermark - offset : 0;
    if (c->group_topic_listed) {
        struct facts_group_topic *sum = &f->group_topics.items[f->group_topics.count - 1];
        sum->offset_sum += offset;
        sum->lag_sum += lag;
    }
    if (f->offsets.count >= c->rows_max || !c->group_topic_listed) {
        f->left_out++;
        return;
    }
    *FACTS_ADD(&f->offsets, 1) = (struct facts_offset){
        .group = c->group,
        .topic = f->group_topics.items[f->group_topics.count - 1].topic,
        .partition = o->partition,
        .partition_id = id,
        .offset = offset,
        .lag = lag,
        .oldest_ms = lag == 0 ? f->wall_ms : FACTS_UNKNOWN,
    };
}

/* The topic whose offsets come now; NULL: it is gone, or another of that name has taken its
   place. */
static const struct meta_topic *offset_topic(struct facts_collector *c,
                                             const struct group_offset *o)
{
    struct facts *f = c->facts;
    const struct meta_topic *t = meta_topic_by_name(cluster_meta(c->b->cluster), o->topic);
    bool same = t != NULL && (uuid_is_zero(o->topic_id) || uuid_eq(t->id, o->topic_id));
    if (!slice_eq(o->topic, topic_here(c))) {
        topic_move(c, o->topic);
        c->group_topic_listed = same && f->group_topics.count < c->rows_max;
        if (c->group_topic_listed) {
            *FACTS_ADD(&f->group_topics, 1) = (struct facts_group_topic){
                .group = c->group,
                .topic = facts_name_add(f, o->topic),
            };
        }
    }
    return same ? t : NULL;
}

static bool offsets_unit(struct facts_collector *c)
{
    struct facts *f = c->facts;
    if (c->group >= f->groups.count) {
        return false;
    }
    i16 kerr;
    const struct group *g = coordinator_group(
        c->b->coordinator, facts_name_of(f, f->groups.items[c->group].name), &kerr);
    u32 count = g == NULL ? 0 : group_offset_count(g);
    u32 at = g == NULL ? 0 : offsets_resume(c, g);
    for (u32 i = 0; i < UNIT_ROWS && at < count; i++, at++) {
        const struct group_offset *o = group_offset_at(g, at);
        const struct meta_topic *t = offset_topic(c, o);
        if (t != NULL && o->partition >= 0 && (u32)o->partition < t->partition_count) {
            offset_add(c, t, o);
        }
        c->partition = (u32)MAX(o->partition, 0) + 1;
    }
    if (at >= count) {
        c->group++;
        c->topic_bytes = 0;
        c->partition = 0;
        c->group_topic_listed = false;
    }
    return true;
}

/* ---- ages ------------------------------------------------------------------------------------ */

static void age_found(struct facts_collector *c, struct facts_offset *o, i64 oldest_ms)
{
    oldest_ms = oldest_ms < 0 ? FACTS_UNKNOWN : oldest_ms; /* a record without a timestamp */
    o->oldest_ms = oldest_ms;
    struct age *age = mem_alloc(sizeof *age);
    *age = (struct age){
        .key = {o->partition_id, o->offset}, .oldest_ms = oldest_ms, .collection = c->collections};
    map_slice_put(&c->ages, slice_of(&age->key, sizeof age->key), age);
    c->age++;
}

/* The worker has looked. */
static void age_told(void *user, err_t result, i64 ms)
{
    struct facts_collector *c = user;
    c->look = NULL;
    if (result == ERR_NO_MEMORY) {
        c->age++; /* not known, and asked again the next time */
    } else {
        age_found(c, &c->facts->offsets.items[c->age], result == OK ? ms : BATCH_NO_TIMESTAMP);
    }
    io_timer_start(c->b->io, &c->timer, io_now_ns(c->b->io));
}

/* On a worker, with what is here of the batch. */
static void age_ask(struct facts_collector *c, struct slice bytes, u32 batch_bytes, bool compressed)
{
    c->look = record_time_start(c->b, batch_bytes, compressed, c->load_offset, age_told, c);
    if (c->look == NULL) {
        c->age++; /* the same */
        return;
    }
    record_time_add(c->look, slice_of(bytes.ptr, MIN(bytes.len, batch_bytes)));
}

/* The bytes at the beginning of the run that has the record: all of it, or of a batch that is
   larger than a buffer the first. */
static void age_look(struct facts_collector *c, struct slice run, u32 run_bytes)
{
    struct facts_offset *o = &c->facts->offsets.items[c->age];
    struct batch_view batch;
    err_t err;
    while ((err = batch_view_next(&run, &batch)) == OK) {
        i64 ms;
        if ((u64)batch_last_offset(&batch) < c->load_offset) {
            continue;
        }
        if (record_time_now(&batch, c->load_offset, &c->b->scratch, &ms)) {
            age_found(c, o, ms);
        } else {
            age_ask(c, batch.whole, (u32)batch.whole.len, batch_codec(&batch) != CODEC_NONE);
        }
        return;
    }
    if (err == ERR_TRUNCATED && run.len >= BATCH_HEADER_BYTES) {
        u32 batch_bytes = BATCH_PREFIX_BYTES + load_be32(run.ptr + BATCH_AT_LENGTH);
        if (batch_bytes <= run_bytes) { /* as the index has it */
            age_ask(c, run, batch_bytes, true);
            return;
        }
    }
    c->age++; /* nothing is left of it */
}

static void age_load(struct facts_collector *c)
{
    c->loading = true;
    log_load(c->b->log, &c->load);
}

static void age_loaded(struct log_load *load, err_t result)
{
    struct facts_collector *c = CONTAINER_OF(load, struct facts_collector, load);
    struct slice bytes = slice_of(load->data, load->bytes);
    c->loading = false;
    if (result != OK) {
        c->age++; /* damaged, or deleted meanwhile: not known, and asked again the next time */
        if (c->look != NULL) {
            record_time_cancel(c->look);
            c->look = NULL;
        }
    } else if (c->look == NULL) {
        age_look(c, bytes, load->range.bytes);
    } else {
        record_time_add(c->look, slice_of(bytes.ptr, MIN(bytes.len, record_time_wants(c->look))));
    }
    u32 loaded = load->bytes;
    log_load_release(load);
    if (c->look == NULL) {
        io_timer_start(c->b->io, &c->timer, io_now_ns(c->b->io));
    } else if (record_time_wants(c->look) > 0) {
        load->range.pos += loaded;
        load->range.bytes -= loaded;
        age_load(c);
    }
}

/* The remembered time, if the offset was looked at before and its record is still there. */
static bool age_remembered(struct facts_collector *c, struct facts_offset *o, u64 start)
{
    struct age_key key = {o->partition_id, o->offset};
    struct age *age = map_slice_get(&c->ages, slice_of(&key, sizeof key));
    if (age == NULL) {
        return false;
    }
    if (start > o->offset) {
        map_slice_remove(&c->ages, slice_of(&key, sizeof key));
        mem_free(age);
        return false;
    }
    age->collection = c->collections;
    o->oldest_ms = age->oldest_ms;
    return true;
}

static bool age_waits(const struct facts_collector *c)
{
    return c->loading || c->look != NULL;
}

static bool ages_unit(struct facts_collector *c)
{
    struct facts *f = c->facts;
    for (u32 i = 0; i < UNIT_ROWS && c->age < f->offsets.count; i++) {
        struct facts_offset *o = &f->offsets.items[c->age];
        struct partition *p = log_partition_find(c->b->log, o->partition_id);
        struct partition_info info = {0};
        if (o->lag == 0 || p == NULL) {
            c->age++;
            continue;
        }
        partition_info(p, &info);
        if (age_remembered(c, o, info.log_start_offset)) {
            c->age++;
            continue;
        }
        c->load_offset = MAX(o->offset, info.log_start_offset);
        struct partition_read read = {.offset = c->load_offset,
                                      .limit_offset = info.high_watermark,
                                      .bytes_max = 1,
                                      .one_batch = true,
                                      .whole_runs = true};
        if (partition_read(p, &read) != OK || read.range_count == 0) {
            c->age++; /* damaged, or nothing is left of it */
            continue;
        }
        const u8 *hot = log_peek(c->b->log, &read.ranges[0]);
        if (hot == NULL) {
            c->load.done = age_loaded;
            c->load.range = read.ranges[0];
            age_load(c);
            return true;
        }
        age_look(c, slice_of(hot, read.ranges[0].bytes), read.ranges[0].bytes);
        return true; /* it may have decompressed: the time is looked at */
    }
    return c->age < f->offsets.count;
}

/* Those that nobody stands at any more are forgotten. */
static void ages_sweep(struct facts_collector *c)
{
    u32 cursor = 0;
    struct slice key;
    void *value;
    while (map_slice_next(&c->ages, &cursor, &key, &value)) {
        struct age *age = value;
        if (age->collection != c->collections) {
            map_slice_remove(&c->ages, key);
            mem_free(age);
        }
    }
}

/* ---- the pieces ------------------------------------------------------------------------------ */

static void collector_finish(struct facts_collector *c)
{
    struct facts *f = c->facts;
    for (u32 i = c->age; i < f->offsets.count; i++) {
        f->left_out += f->offsets.items[i].lag > 0; /* its age, for want of time */
    }
    ages_sweep(c);
    c->facts = NULL;
    c->stage = STAGE_IDLE;
    c->done(c->user, f);
}

/* One unit of the stage under way; the next stage when there is no more of it. */
static void collector_unit(struct facts_collector *c)
{
    bool more = false;
    switch (c->stage) {
    case STAGE_TOPICS:
        more = topics_unit(c);
        break;
    case STAGE_GROUPS:
        groups_list(c);
        break;
    case STAGE_OFFSETS:
        more = offsets_unit(c);
        break;
    case STAGE_AGES:
        more = ages_unit(c) && (age_waits(c) || io_now_ns(c->b->io) - c->began_ns < AGES_NS);
        break;
    case STAGE_IDLE:
    case STAGE_DONE:
        assert(false);
    }
    if (!more) {
        c->stage++;
    }
}

static void collector_step(struct io_timer *t)
{
    struct facts_collector *c = CONTAINER_OF(t, struct facts_collector, timer);
    u64 began_ns = io_clock_ns();
    u64 now_ns;
    do {
        collector_unit(c);
        now_ns = io_clock_ns();
    } while (now_ns - began_ns < PIECE_NS && !age_waits(c) && c->stage != STAGE_DONE);
    metric_observe(HISTOGRAM_collect_seconds, now_ns - began_ns);
    if (c->stage == STAGE_DONE) {
        collector_finish(c);
    } else if (!age_waits(c)) { /* else age_loaded or age_told goes on */
        io_timer_start(c->b->io, t, io_now_ns(c->b->io));
    }
}
