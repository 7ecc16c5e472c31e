/* partition.c: what is read is what was appended, at every offset and under every limit, hot and
   cold, before and after restarts (a random walk beside a simple model); limits one by one;
   watches; and what a moved log start takes away. */
#include "fixture.h"

/* ---- the model: a partition is a list of batches --------------------------------------------- */

enum { MODEL_PARTITIONS = 5, MODEL_BATCHES_MAX = 4000 };

struct model_batch {
    u64 base;
    u64 next;
    u8 *bytes;
    u32 len;
    i64 timestamp;
};
struct model {
    struct model_batch batches[MODEL_BATCHES_MAX];
    u32 count;
    u64 high_watermark; /* may only rise */
    u64 start;
};
struct world {
    struct fixture f;
    struct rng rng;
    struct model models[MODEL_PARTITIONS];
    i32 leader_epoch;
    u64 bytes;
};

static struct partition *partition_of(struct world *w, u32 i)
{
    return log_partition(w->f.log, 10 + 7 * i, w->leader_epoch);
}

static void model_append(struct world *w, u32 i, u32 value_bytes, u32 records)
{
    struct model *m = &w->models[i];
    if (m->count == MODEL_BATCHES_MAX) {
        return;
    }
    const struct produced what = {.producer_id = -1,
                                  .producer_epoch = -1,
                                  .base_sequence = -1,
                                  .records = records,
                                  .value_bytes = value_bytes};
    struct batch_view view = make_batch(&w->f, &what);
    if (!log_room(w->f.log, view.whole.len)) {
        return;
    }
    struct append_result r;
    partition_append(partition_of(w, i), &view, false, &r);
    assert_int_equal(r.kerr, KERR_NONE);
    struct model_batch *b = &m->batches[m->count];
    b->base = m->count == 0 ? 0 : m->batches[m->count - 1].next;
    b->next = b->base + records;
    b->len = (u32)view.whole.len;
    b->bytes = mem_alloc(b->len);
    b->timestamp = view.max_timestamp;
    memcpy(b->bytes, view.whole.ptr, b->len);
    batch_set_base_offset_and_epoch(b->bytes, (i64)b->base, w->leader_epoch);
    m->count++;
    w->bytes += b->len;
    assert_int_equal(r.base_offset, b->base);
    assert_int_equal(end_offset(partition_of(w, i)), b->next);
}

static bool range_is_hot(struct world *w, const struct log_range *range)
{
    return log_peek(w->f.log, range) != NULL;
}

static void model_read(struct world *w, u32 i)
{
    struct model *m = &w->models[i];
    struct partition *p = partition_of(w, i);
    u64 end = m->count == 0 ? 0 : m->batches[m->count - 1].next;
    struct partition_read read = {
        .offset = rng_below(&w->rng, end + 2),
        .limit_offset = rng_chance(&w->rng, 1, 4) ? rng_below(&w->rng, end + 2) : UINT64_MAX,
        .bytes_max = (u32)rng_below(&w->rng, rng_chance(&w->rng, 1, 2) ? 3000 : 3000000),
        .one_batch = rng_chance(&w->rng, 1, 2),
        .whole_runs = rng_chance(&w->rng, 1, 2),
    };
    const struct partition_read asked = read;
    err_t e = read_exactly(&w->f, p, &read);
    u64 high = high_watermark(p); /* what had to be read for it took its time */
    assert_true(high >= m->high_watermark);
    m->high_watermark = high;
    if (asked.offset > end || asked.offset < m->start) {
        assert_int_equal(e, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(e, OK);
    u64 limit = MIN(asked.limit_offset, high);
    u32 sum = 0;
    bool hot = true;
    for (u32 k = 0; k < read.range_count; k++) {
        sum += read.ranges[k].bytes;
        hot = hot && range_is_hot(w, &read.ranges[k]);
    }
    assert_int_equal(sum, read.bytes);
    if (read.range_count == 0) {
        bool owed = asked.one_batch && asked.offset < limit;
        /* Only a limit in the middle of a batch may leave nothing, or of a cold run. */
        assert_true(!owed || asked.limit_offset < high);
        assert_int_equal(read.next_offset, asked.offset);
        return;
    }
    assert_true(asked.offset < limit);
    assert_true(read.next_offset <= limit);
    assert_true(read.next_offset > asked.offset);
    u8 *bytes = mem_alloc(sum);
    u32 at = 0;
    for (u32 k = 0; k < read.range_count; k++) {
        range_bytes(&w->f, &read.ranges[k], bytes + at);
        at += read.ranges[k].bytes;
    }
    u32 first = 0;
    while (m->batches[first].base != load_be64(bytes)) {
        first++;
        assert_true(first < m->count);
    }
    assert_true(m->batches[first].base <= asked.offset);
    assert_true((!hot && asked.whole_runs) || m->batches[first].next > asked.offset);
    u32 n = first;
    for (at = 0; at < sum; n++) {
        assert_true(n < m->count);
        assert_true(m->batches[n].len <= sum - at);
        assert_memory_equal(bytes + at, m->batches[n].bytes, m->batches[n].len);
        at += m->batches[n].len;
    }
    assert_int_equal(read.next_offset, m->batches[n - 1].next);
    if (sum > asked.bytes_max) {
        assert_true(asked.one_batch);
        assert_true(n - first == 1 || (!hot && asked.whole_runs && sum <= LOG_RUN_BYTES));
    } else if (hot && n < m->count && m->batches[n].next <= limit &&
               read.range_count < PARTITION_READ_RANGES_MAX) {
        assert_true(sum + m->batches[n].len > asked.bytes_max); /* it gave all it could */
    }
    mem_free(bytes);
}

static void model_timestamps(struct world *w, u32 i)
{
    struct model *m = &w->models[i];
    struct partition *p = partition_of(w, i);
    u64 high = high_watermark(p);
    i64 target = 990 + (i64)rng_below(&w->rng, (u64)w->f.timestamp - 980);
    u32 expected = 0;
    while (expected < m->count &&
           (m->batches[expected].timestamp < target || m->batches[expected].next <= m->start)) {
        expected++;
    }
    struct log_range range;
    u64 next;
    err_t e = partition_find_timestamp(p, target, 0, &range, &next);
    if (expected == m->count || m->batches[expected].base >= high) {
        assert_int_equal(e, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(e, OK);
    assert_true(next >= m->batches[expected].next);
    u8 *bytes = mem_alloc(range.bytes);
    range_bytes(&w->f, &range, bytes);
    assert_true(load_be64(bytes) <= m->batches[expected].base);
    mem_free(bytes);
}

/* Anywhere up to the high watermark, also inside a batch, also backwards. */
static void model_delete(struct world *w, u32 i)
{
    struct model *m = &w->models[i];
    struct partition *p = partition_of(w, i);
    u64 high = high_watermark(p);
    u64 ahead = high - m->start;
    u64 to = rng_chance(&w->rng, 1, 6)   ? high
             : rng_chance(&w->rng, 1, 6) ? rng_below(&w->rng, m->start + 1)
                                         : m->start + rng_below(&w->rng, ahead / 4 + 1);
    partition_set_log_start(p, to);
    m->start = MAX(m->start, to);
}

/* Bytes of what is left, and of all partitions together. */
static void model_bytes(struct world *w)
{
    u64 sum = 0;
    u64 entries = 0;
    for (u32 i = 0; i < MODEL_PARTITIONS; i++) {
        const struct model *m = &w->models[i];
        struct partition *p = partition_of(w, i);
        struct partition_info info;
        partition_info(p, &info);
        u64 left = 0;
        for (u32 n = 0; n < m->count; n++) {
            left += m->batches[n].next > m->start ? m->batches[n].len : 0;
        }
        assert_int_equal(info.log_start_offset, m->start);
        assert_in_range(info.bytes, left, left + (left > 0 ? LOG_RUN_BYTES : 0));
        assert_true(p->run_count == 0 || index_next_offset(p, 0) > m->start);
        sum += info.bytes;
        entries += p->run_count;
    }
    struct log_stats stats;
    log_stats(w->f.log, &stats);
    assert_int_equal(stats.bytes, sum);
    assert_int_equal(stats.index_entries, entries);
}

static void world_restart(struct world *w)
{
    settle(&w->f);
    if (rng_chance(&w->rng, 1, 2)) {
        advance_ms(&w->f, 1100); /* a MARK */
        settle(&w->f);
    }
    fixture_restart(&w->f);
    w->leader_epoch++;
    for (u32 i = 0; i < MODEL_PARTITIONS; i++) {
        struct model *m = &w->models[i];
        u64 end = m->count == 0 ? 0 : m->batches[m->count - 1].next;
        assert_int_equal(high_watermark(partition_of(w, i)), end);
        assert_int_equal(end_offset(partition_of(w, i)), end);
        partition_set_log_start(partition_of(w, i), m->start);
    }
    model_bytes(w);
}

static u32 random_value_bytes(struct world *w)
{
    switch (rng_below(&w->rng, 12)) {
    case 0:
        return (u32)rng_below(&w->rng, 70000);
    case 1:
        return w->bytes < 60 * MIB ? (u32)rng_below(&w->rng, 3000000) : 1;
    case 2:
        return 8000 + (u32)rng_below(&w->rng, 300);
    default:
        return (u32)rng_below(&w->rng, 900);
    }
}

static void reads_agree_with_a_model(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    w->rng = unit_rng();
    fixture_init(&w->f);
    w->f.params.hot_bytes = 12 * MIB;
    w->f.params.cold_bytes = 7 * MIB;
    fixture_start(&w->f);
    for (u32 step = 0; step < 12000; step++) {
        u32 i = (u32)rng_below(&w->rng, MODEL_PARTITIONS);
        u64 what = rng_below(&w->rng, 100);
        if (what < 40) {
            u32 records = 1 + (u32)rng_below(&w->rng, 3);
            model_append(w, i, random_value_bytes(w) / records, records);
        } else if (what < 60) {
            turn(&w->f);
        } else if (what < 90) {
            model_read(w, i);
        } else if (what < 98) {
            model_timestamps(w, i);
        } else if (what < 99) {
            model_delete(w, i);
            model_bytes(w);
        } else if (rng_chance(&w->rng, 1, 8)) {
            world_restart(w);
        }
        assert_true(w->f.quota.used <= 24 * MIB);
    }
    settle(&w->f);
    fixture_stop(&w->f);
    for (u32 i = 0; i < MODEL_PARTITIONS; i++) {
        for (u32 n = 0; n < w->models[i].count; n++) {
            mem_free(w->models[i].batches[n].bytes);
        }
    }
    mem_free(w);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void nothing_above_the_high_watermark(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 100);
    turn(&f);
    append_plain(&f, p, 100);
    struct partition_read read = {
        .offset = 0, .limit_offset = UINT64_MAX, .bytes_max = 1000000, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.range_count, 0);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.range_count, 1);
    assert_int_equal(read.next_offset, 1);
    read.offset = 2;
    read.limit_offset = UINT64_MAX;
    assert_int_equal(partition_read(p, &read), OK); /* the log end: not out of range */
    assert_int_equal(read.range_count, 0);
    read.offset = 3;
    assert_int_equal(partition_read(p, &read), ERR_NOT_FOUND);
    struct log_range range;
    u64 next;
    assert_int_equal(partition_find_timestamp(p, 1001, 0, &range, &next), ERR_NOT_FOUND);
    assert_int_equal(partition_find_largest_timestamp(p, 0, &range, &next), OK);
    fixture_complete(&f, 0, OK);
    settle(&f);
    assert_int_equal(partition_find_timestamp(p, 1001, 0, &range, &next), OK);
    fixture_stop(&f);
}

static void limits_cut_between_batches(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 10; i++) {
        append_plain(&f, p, 100);
    }
    settle(&f);
    struct partition_read all = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
    assert_int_equal(partition_read(p, &all), OK);
    assert_int_equal(all.range_count, 1); /* ten batches, one run */
    u32 one = all.bytes / 10;
    struct partition_read read = {.offset = 3, .limit_offset = 7, .bytes_max = 1 << 20};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.bytes, 4 * one);
    assert_int_equal(read.next_offset, 7);
    assert_int_equal(read.ranges[0].pos, all.ranges[0].pos + 3 * one);
    read = (struct partition_read){.offset = 3, .limit_offset = 99, .bytes_max = 3 * one - 1};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.bytes, 2 * one);
    assert_int_equal(read.next_offset, 5);
    read = (struct partition_read){.offset = 3, .limit_offset = 99, .bytes_max = one - 1};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.range_count, 0);
    read = (struct partition_read){.offset = 3, .limit_offset = 99, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.bytes, one);
    fixture_stop(&f);
}

static void more_runs_than_ranges(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 100; i++) {
        append_plain(&f, p, 100);
        settle(&f);
    }
    u64 offset = 0;
    u32 reads = 0;
    while (offset < 100) {
        struct partition_read read = {
            .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
        assert_int_equal(partition_read(p, &read), OK);
        assert_true(read.next_offset > offset);
        offset = read.next_offset;
        reads++;
    }
    assert_int_equal(reads, 2);
    fixture_stop(&f);
}

static void an_empty_partition(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.range_count, 0);
    read.offset = 1;
    assert_int_equal(partition_read(p, &read), ERR_NOT_FOUND);
    struct log_range range;
    u64 next;
    assert_int_equal(partition_find_timestamp(p, 0, 0, &range, &next), ERR_NOT_FOUND);
    assert_int_equal(partition_find_largest_timestamp(p, 0, &range, &next), ERR_NOT_FOUND);
    assert_int_equal(partition_epoch_at(p, 0), 0);
    fixture_stop(&f);
}

static void log_append_time_is_stamped(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    const struct produced what = {.producer_id = -1,
                                  .producer_epoch = -1,
                                  .base_sequence = -1,
                                  .records = 2,
                                  .value_bytes = 50,
                                  .log_append_time = true};
    struct append_result r = append(&f, p, &what);
    assert_int_equal(r.log_append_time_ms, io_wall_ms(f.io));
    settle(&f);
    struct log_range range;
    u64 next;
    assert_int_equal(partition_find_largest_timestamp(p, 0, &range, &next), OK);
    struct batch_view view;
    assert_int_equal(batch_view_parse(slice_of(log_peek(f.log, &range), range.bytes), &view), OK);
    assert_true(batch_crc_ok(&view));
    assert_int_equal(view.max_timestamp, r.log_append_time_ms);
    assert_int_equal(batch_timestamp_type(&view), TIMESTAMP_LOG_APPEND_TIME);
    fixture_stop(&f);
}

static void a_batch_above_32_mib_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    const struct produced what = {.producer_id = -1,
                                  .producer_epoch = -1,
                                  .base_sequence = -1,
                                  .records = 1,
                                  .value_bytes = 32 << 20};
    assert_int_equal(append(&f, p, &what).kerr, KERR_MESSAGE_TOO_LARGE);
    append_plain(&f, p, (32 << 20) - 200);
    settle(&f);
    assert_int_equal(high_watermark(p), 1);
    fixture_stop(&f);
}

/* ---- log start ------------------------------------------------------------------------------- */

static err_t read_at(struct partition *p, u64 offset, struct partition_read *read)
{
    *read = (struct partition_read){
        .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1 << 20, .one_batch = true};
    return partition_read(p, read);
}

/* Ten batches of two records in five slots; the start moves into a batch, to its end, to the end.
 */
static void the_start_moves(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    const struct produced two = {.producer_id = -1,
                                 .producer_epoch = -1,
                                 .base_sequence = -1,
                                 .records = 2,
                                 .value_bytes = 50};
    for (u32 i = 0; i < 10; i++) {
        append(&f, p, &two);
        if (i % 2 == 1) {
            settle(&f);
        }
    }
    struct partition_info all;
    partition_info(p, &all);
    u64 one = all.bytes / 10;
    struct partition_read read;
    partition_set_log_start(p, 7);
    assert_int_equal(p->run_count, 4);
    assert_int_equal(read_at(p, 6, &read), ERR_NOT_FOUND);
    assert_int_equal(read_at(p, 7, &read), OK); /* the batch that holds it, whole */
    assert_int_equal(load_be64(log_peek(f.log, &read.ranges[0])), 6);
    assert_int_equal(read.next_offset, 20);
    struct partition_info info;
    partition_info(p, &info);
    assert_int_equal(info.log_start_offset, 7);
    assert_int_equal(info.bytes, 8 * one);
    assert_int_equal(info.high_watermark, 20);
    partition_set_log_start(p, 5); /* not back */
    assert_int_equal(read_at(p, 5, &read), ERR_NOT_FOUND);
    partition_set_log_start(p, 8);
    assert_int_equal(p->run_count, 3);
    assert_int_equal(read_at(p, 8, &read), OK);
    assert_int_equal(load_be64(log_peek(f.log, &read.ranges[0])), 8);

    partition_set_log_start(p, 20); /* everything */
    assert_int_equal(p->run_count, 0);
    assert_int_equal(p->run_cap, 0);
    assert_int_equal(read_at(p, 19, &read), ERR_NOT_FOUND);
    assert_int_equal(read_at(p, 20, &read), OK);
    assert_int_equal(read.range_count, 0);
    struct log_range range;
    u64 next;
    assert_int_equal(partition_find_timestamp(p, 0, 0, &range, &next), ERR_NOT_FOUND);
    assert_int_equal(partition_find_largest_timestamp(p, 0, &range, &next), ERR_NOT_FOUND);
    partition_info(p, &info);
    assert_int_equal(info.bytes, 0);

    assert_int_equal(append(&f, p, &two).base_offset, 20);
    settle(&f);
    assert_int_equal(read_at(p, 21, &read), OK);
    assert_int_equal(read.next_offset, 22);
    assert_int_equal(partition_find_timestamp(p, 0, 0, &range, &next), OK);
    assert_int_equal(next, 22);
    partition_info(p, &info);
    assert_int_equal(info.bytes, one);
    fixture_stop(&f);
}

/* With a slot in flight and one open, whose batches are not settled yet. */
static void the_start_moves_under_appends(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 3; i++) {
        append_plain(&f, p, 100);
        turn(&f);
        fixture_complete(&f, 0, OK);
        turns(&f, 2);
    }
    append_plain(&f, p, 100);
    turn(&f);
    assert_int_equal(f.held_count, 1);
    append_plain(&f, p, 20000); /* stays where it is copied to */
    append_plain(&f, p, 100);   /* staged */
    assert_int_equal(high_watermark(p), 3);
    partition_set_log_start(p, 3);
    append_plain(&f, p, 100);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    fixture_complete(&f, 0, OK);
    settle(&f);
    assert_int_equal(high_watermark(p), 7);
    for (u64 offset = 3; offset < 7; offset++) {
        struct partition_read read;
        assert_int_equal(read_at(p, offset, &read), OK);
        assert_int_equal(load_be64(log_peek(f.log, &read.ranges[0])), offset);
    }
    fixture_stop(&f);
}

/* ---- watches --------------------------------------------------------------------------------- */

struct test_watch {
    struct partition_watch watch;
    u32 calls;
    err_t why;
    struct test_watch *unwatch; /* by the callback */
    struct fixture *remove_from;
};

static void watch_moved(struct partition_watch *w, err_t why)
{
    struct test_watch *t = CONTAINER_OF(w, struct test_watch, watch);
    t->calls++;
    t->why = why;
    if (t->unwatch != NULL) {
        partition_unwatch(&t->unwatch->watch);
    }
    if (t->remove_from != NULL) {
        log_partition_remove(t->remove_from->log, 1);
    }
}

static void watches_are_told_once_per_turn(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_watch a = {.watch = {.moved = watch_moved}};
    struct test_watch b = {.watch = {.moved = watch_moved}};
    struct test_watch other = {.watch = {.moved = watch_moved}};
    partition_watch(p, &a.watch);
    partition_watch(p, &b.watch);
    partition_watch(log_partition(f.log, 2, 0), &other.watch);
    for (u32 i = 0; i < 4; i++) {
        append_plain(&f, p, 1500000); /* three full slots and an open one */
    }
    turn(&f);
    assert_int_equal(a.calls, 0);
    fixture_complete(&f, 0, OK);
    fixture_complete(&f, 0, OK);
    fixture_complete(&f, 0, OK);
    turns(&f, 3);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(other.calls, 0);
    a.unwatch = &b; /* the first told takes the second away */
    assert_int_equal(f.held_count, 1);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    assert_int_equal(a.calls, 2);
    assert_int_equal(b.calls, 1);
    log_partition_remove(f.log, 1);
    assert_int_equal(a.calls, 3);
    assert_int_equal(a.why, ERR_NOT_FOUND);
    partition_unwatch(&a.watch);
    partition_unwatch(&other.watch);
    log_partition_remove(f.log, 1);
    fixture_stop(&f);
}

/* A reader that waits below the new start has something to hear. */
static void watches_are_told_of_the_start(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    settle(&f);
    struct test_watch a = {.watch = {.moved = watch_moved}};
    partition_watch(p, &a.watch);
    partition_set_log_start(p, 0);
    turns(&f, 2);
    assert_int_equal(a.calls, 0);
    partition_set_log_start(p, 1);
    assert_int_equal(a.calls, 0); /* never inside */
    turn(&f);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.why, OK);
    partition_unwatch(&a.watch);
    fixture_stop(&f);
}

static void a_partition_removed_while_it_is_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    struct test_watch a = {.watch = {.moved = watch_moved}, .remove_from = &f};
    struct test_watch b = {.watch = {.moved = watch_moved}};
    partition_watch(p, &a.watch);
    partition_watch(p, &b.watch);
    append_plain(&f, p, 10);
    append_plain(&f, log_partition(f.log, 2, 0), 10);
    turn(&f);
    a.unwatch = &a;
    settle(&f);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(b.why, ERR_NOT_FOUND);
    fixture_stop(&f);
}

static void removed_with_batches_in_flight(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 10);
    turn(&f);
    append_plain(&f, p, 10);
    append_plain(&f, log_partition(f.log, 2, 0), 10);
    log_partition_remove(f.log, 1);
    fixture_complete(&f, 0, OK);
    turns(&f, 2);
    fixture_complete(&f, 0, OK);
    settle(&f);
    assert_int_equal(high_watermark(log_partition(f.log, 2, 0)), 1);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_agree_with_a_model),
        cmocka_unit_test(nothing_above_the_high_watermark),
        cmocka_unit_test(limits_cut_between_batches),
        cmocka_unit_test(more_runs_than_ranges),
        cmocka_unit_test(an_empty_partition),
        cmocka_unit_test(log_append_time_is_stamped),
        cmocka_unit_test(a_batch_above_32_mib_is_refused),
        cmocka_unit_test(the_start_moves),
        cmocka_unit_test(the_start_moves_under_appends),
        cmocka_unit_test(watches_are_told_once_per_turn),
        cmocka_unit_test(watches_are_told_of_the_start),
        cmocka_unit_test(a_partition_removed_while_it_is_told),
        cmocka_unit_test(removed_with_batches_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
