/* index.c: one run per partition and slot, found by offset, range and time; the leader epoch cache
   and OffsetForLeaderEpoch as kafka-semantics.md 4; what happens at the memory cap. */
#include "fixture.h"

static u64 entries(struct fixture *f)
{
    struct log_stats stats;
    log_stats(f->log, &stats);
    return stats.index_entries;
}

static void small_batches_of_a_slot_are_one_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (u32 i = 0; i < 200; i++) {
        append_plain(&f, log_partition(f.log, i % 10, 0), 100); /* interleaved */
    }
    assert_int_equal(entries(&f), 10);
    settle(&f);
    assert_int_equal(entries(&f), 10);
    for (u32 i = 0; i < 10; i++) {
        struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
        assert_int_equal(partition_read(log_partition(f.log, i, 0), &read), OK);
        assert_int_equal(read.range_count, 1);
        assert_int_equal(read.next_offset, 20);
    }
    fixture_restart(&f);
    assert_int_equal(entries(&f), 10);
    fixture_stop(&f);
}

static void runs_end_at_64_kib_and_at_large_batches(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 40; i++) {
        append_plain(&f, p, 4000);
    }
    assert_int_equal(entries(&f), 3); /* 16 of 4 KiB and a bit: 15 fit */
    append_plain(&f, p, 100000);
    append_plain(&f, p, 100);
    append_plain(&f, p, 100);
    assert_int_equal(entries(&f), 5);
    /* Neighbours above the staging limit share a run too. */
    append_plain(&f, p, 20000);
    append_plain(&f, p, 20000);
    append_plain(&f, p, 20000);
    append_plain(&f, p, 20000);
    assert_int_equal(entries(&f), 7);
    settle(&f);
    u64 before = entries(&f);
    fixture_restart(&f);
    assert_true(entries(&f) <= before);
    p = log_partition(f.log, 1, 0);
    for (u64 offset = 0; offset < 47; offset++) {
        const struct run *r = &p->runs[index_find(p, offset)];
        assert_true(r->base_offset <= offset);
        assert_true(index_next_offset(p, (u32)(r - p->runs)) > offset);
        struct log_range range = run_range(p, r);
        assert_int_equal(index_find_range(p, &range), r - p->runs);
        range.pos += r->bytes - 1;
        assert_int_equal(index_find_range(p, &range), r - p->runs);
        range.pos = 1 << 30;
        assert_int_equal(index_find_range(p, &range), p->run_count);
        range.object = 99;
        assert_int_equal(index_find_range(p, &range), p->run_count);
    }
    fixture_stop(&f);
}

static void found_at_every_offset_of_a_long_partition(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 700; i++) {
        append_plain(&f, p, 10);
        settle(&f);
    }
    assert_int_equal(p->run_count, 700);
    for (u32 i = 0; i < 700; i++) {
        assert_int_equal(index_find(p, i), i);
    }
    fixture_stop(&f);
}

/* ---- timestamps ------------------------------------------------------------------------------ */

static u64 find_time(struct fixture *f, struct partition *p, i64 target, u64 from)
{
    struct log_range range;
    u64 next;
    if (partition_find_timestamp(p, target, from, &range, &next) != OK) {
        return UINT64_MAX;
    }
    assert_true(next > from);
    return load_be64(log_peek(f->log, &range));
}

static void times_out_of_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    static const i64 times[] = {50, 10, 70, 20, 70, 60, 90, 5};
    for (u32 i = 0; i < ARRAY_LEN(times); i++) {
        f.timestamp = times[i];
        append_plain(&f, p, 10);
        settle(&f);
    }
    assert_int_equal(find_time(&f, p, 0, 0), 0);
    assert_int_equal(find_time(&f, p, 50, 0), 0);
    assert_int_equal(find_time(&f, p, 51, 0), 2);
    assert_int_equal(find_time(&f, p, 70, 0), 2);
    assert_int_equal(find_time(&f, p, 71, 0), 6);
    assert_int_equal(find_time(&f, p, 90, 0), 6);
    assert_int_equal(find_time(&f, p, 91, 0), UINT64_MAX);
    assert_int_equal(find_time(&f, p, 50, 3), 3); /* may hold one; the caller looks and goes on */
    assert_int_equal(find_time(&f, p, 50, 8), UINT64_MAX);
    struct log_range range;
    u64 next;
    assert_int_equal(partition_find_largest_timestamp(p, 0, &range, &next), OK);
    assert_int_equal(load_be64(log_peek(f.log, &range)), 6);
    fixture_stop(&f);
}

static u64 find_largest(struct fixture *f, struct partition *p, u64 from, u64 *next)
{
    struct log_range range;
    if (partition_find_largest_timestamp(p, from, &range, next) != OK) {
        return UINT64_MAX;
    }
    return load_be64(log_peek(f->log, &range));
}

/* While the largest time is known to be among those left, one run is it; else each may be. */
static void the_largest_time_above_the_start(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    static const i64 times[] = {50, 10, 90, 20, 70, 60};
    for (u32 i = 0; i < ARRAY_LEN(times); i++) {
        f.timestamp = times[i];
        append_plain(&f, p, 10);
        settle(&f);
    }
    u64 next;
    partition_set_log_start(p, 2);
    assert_int_equal(find_largest(&f, p, 0, &next), 2);
    assert_int_equal(next, 3);
    assert_int_equal(find_largest(&f, p, next, &next), UINT64_MAX);
    partition_set_log_start(p, 3); /* 90 is gone: 20, 70 and 60 are left */
    next = 0;
    for (u64 offset = 3; offset < 6; offset++) {
        assert_int_equal(find_largest(&f, p, next, &next), offset);
        assert_int_equal(next, offset + 1);
    }
    assert_int_equal(find_largest(&f, p, next, &next), UINT64_MAX);
    p->runs[1].flags |= RUN_QUARANTINED;
    assert_int_equal(find_largest(&f, p, 4, &next), 5);
    p->runs[2].flags |= RUN_QUARANTINED;
    assert_int_equal(find_largest(&f, p, 4, &next), UINT64_MAX);
    assert_int_equal(find_time(&f, p, 15, 0), 3);
    f.timestamp = 91;
    append_plain(&f, p, 10);
    settle(&f);
    assert_int_equal(find_largest(&f, p, 0, &next), 6);
    assert_int_equal(find_largest(&f, p, next, &next), UINT64_MAX);
    fixture_stop(&f);
}

/* ---- leader epochs --------------------------------------------------------------------------- */

static void expect_end(struct partition *p, i32 asked, i32 epoch, i64 end)
{
    i32 got_epoch;
    i64 got_end;
    partition_end_offset_for_epoch(p, asked, &got_epoch, &got_end);
    assert_int_equal(got_epoch, epoch);
    assert_int_equal(got_end, end);
}

static void expect_epochs(struct partition *p)
{
    /* epoch 2: 0-1, epoch 5: 2, epoch 6: 3-5 */
    expect_end(p, 6, 6, 6);
    expect_end(p, 7, -1, -1);
    expect_end(p, -1, -1, -1);
    expect_end(p, 5, 5, 3);
    expect_end(p, 4, 2, 2);
    expect_end(p, 3, 2, 2);
    expect_end(p, 2, 2, 2);
    expect_end(p, 1, 1, 0);
    static const i32 at[] = {2, 2, 5, 6, 6, 6, 6};
    for (u64 offset = 0; offset < ARRAY_LEN(at); offset++) {
        assert_int_equal(partition_epoch_at(p, offset), at[offset]);
    }
}

static void leader_epochs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 2);
    append_plain(&f, p, 10);
    append_plain(&f, p, 10);
    log_partition(f.log, 1, 3); /* nothing is written in 3 and 4 */
    log_partition(f.log, 1, 4);
    log_partition(f.log, 1, 5);
    append_plain(&f, p, 10);
    log_partition(f.log, 1, 6);
    log_partition(f.log, 1, 2); /* an old one changes nothing */
    append_plain(&f, p, 10);
    append_plain(&f, p, 10);
    append_plain(&f, p, 10);
    expect_epochs(p);
    settle(&f);
    expect_epochs(p);
    fixture_restart(&f);
    p = log_partition(f.log, 1, 6);
    expect_epochs(p);
    log_partition(f.log, 1, 9);
    expect_end(p, 9, 9, 6);
    expect_end(p, 8, 6, 6);
    expect_end(p, 6, 6, 6);
    assert_int_equal(partition_epoch_at(p, 5), 6);
    assert_int_equal(partition_epoch_at(p, 6), 9);
    fixture_stop(&f);
}

/* [LeaderEpochFileCache] truncated from the front: an epoch that is gone ends where the log starts.
 */
static void epochs_below_the_start_go(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p;
    for (u32 i = 0; i < 8; i++) {
        p = log_partition(f.log, 1, (i32)(2 + i / 2)); /* two offsets in each of 2, 3, 4, 5 */
        append_plain(&f, p, 10);
    }
    settle(&f);
    partition_set_log_start(p, 1);
    assert_int_equal(p->older_epoch_count, 3);
    expect_end(p, 2, 2, 2);
    expect_end(p, 1, 1, 1);
    partition_set_log_start(p, 2);
    assert_int_equal(p->older_epoch_count, 2);
    expect_end(p, 2, 2, 2);
    expect_end(p, 3, 3, 4);
    partition_set_log_start(p, 5);
    assert_int_equal(p->older_epoch_count, 1);
    expect_end(p, 4, 4, 6);
    expect_end(p, 3, 3, 5);
    expect_end(p, 2, 2, 5);
    assert_int_equal(partition_epoch_at(p, 5), 4);
    partition_set_log_start(p, 7);
    assert_int_equal(p->older_epoch_count, 0);
    expect_end(p, 5, 5, 8);
    expect_end(p, 4, 4, 7);
    assert_int_equal(partition_epoch_at(p, 7), 5);
    partition_set_log_start(p, 8);
    expect_end(p, 5, 5, 8);
    expect_end(p, 4, 4, 8);
    p = log_partition(f.log, 1, 6);
    append_plain(&f, p, 10);
    settle(&f);
    expect_end(p, 6, 6, 9);
    expect_end(p, 5, 5, 8);
    assert_int_equal(partition_epoch_at(p, 8), 6);
    fixture_stop(&f);
}

static void an_unwritten_partition_collects_no_epochs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (i32 epoch = 1; epoch < 1000; epoch++) {
        log_partition(f.log, 1, epoch);
    }
    assert_int_equal(p->older_epoch_count, 0);
    expect_end(p, 999, 999, 0);
    expect_end(p, 998, 998, 0);
    struct partition_info info;
    partition_info(p, &info);
    assert_int_equal(info.leader_epoch, 999);
    fixture_stop(&f);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void the_index_is_charged_and_refuses_at_the_cap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 4 * MIB;
    quota_init(&f.quota, "test", NULL, 5 * MIB);
    fixture_start(&f);
    const struct produced what = {
        .producer_id = -1, .producer_epoch = -1, .base_sequence = -1, .records = 1};
    struct partition *p = log_partition(f.log, 1, 0);
    u64 stored = 0;
    i16 kerr = KERR_NONE;
    while (kerr == KERR_NONE) {
        kerr = append(&f, p, &what).kerr;
        stored += kerr == KERR_NONE;
        settle(&f); /* a slot each, a run each */
    }
    assert_int_equal(kerr, KERR_KAFKA_STORAGE_ERROR);
    assert_true(stored > 10000);
    assert_int_equal(end_offset(p), stored);
    struct partition_read read = {
        .offset = stored / 2, .limit_offset = UINT64_MAX, .bytes_max = 1000, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    log_partition_remove(f.log, 1);
    append_plain(&f, log_partition(f.log, 2, 0), 10);
    settle(&f);
    fixture_stop(&f);
}

/* What is dropped is given back, so that appends that were refused go on. */
static void dropped_runs_give_memory_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 4 * MIB;
    quota_init(&f.quota, "test", NULL, 5 * MIB);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    const struct produced what = {
        .producer_id = -1, .producer_epoch = -1, .base_sequence = -1, .records = 1};
    while (append(&f, p, &what).kerr == KERR_NONE) {
        settle(&f);
    }
    struct log_stats full;
    log_stats(f.log, &full);
    u64 end = end_offset(p);
    partition_set_log_start(p, end - 10);
    struct log_stats after;
    log_stats(f.log, &after);
    assert_int_equal(full.index_entries, end);
    assert_int_equal(after.index_entries, 10);
    assert_true(after.index_bytes + (end - 20) * sizeof(struct run) <= full.index_bytes);
    for (u32 i = 0; i < 1000; i++) {
        assert_int_equal(append(&f, p, &what).base_offset, end + i);
        settle(&f);
    }
    for (u64 offset = end - 10; offset < end + 1000; offset++) {
        assert_int_equal(p->runs[index_find(p, offset)].base_offset, offset);
    }
    fixture_stop(&f);
}

/* The index needs more than the cache left over: the cache shrinks, even while everybody reads from
 * it. */
/* The first run of the pack was made before the start moved, and reaches below it: its bytes count
   once more, and go with the run. */
static void a_filed_run_may_reach_below_the_start(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 2; i++) {
        append_plain(&f, p, 1000);
        settle(&f);
    }
    assert_int_equal(p->run_count, 2);
    u64 all = p->bytes;
    partition_set_log_start(p, 1);
    assert_int_equal(p->bytes, all / 2);
    u32 pack = object_add(f.log, 7 | LOG_PACK_BIT);
    const struct pack_run run = {
        .partition = 1, .base_offset = 0, .next_offset = 2, .bytes = (u32)all, .batches = 2};
    index_refile(p, &run, 1, run_place(pack, 0));
    assert_int_equal(p->run_count, 1);
    assert_int_equal(p->bytes, all);
    assert_int_equal(f.log->bytes, all);
    partition_set_log_start(p, 2);
    assert_int_equal(p->run_count, 0);
    assert_int_equal(p->bytes, 0);
    assert_int_equal(f.log->bytes, 0);
    object_remove(f.log, pack);
    fixture_stop(&f);
}

static void the_cache_gives_way_to_the_index(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 24 * MIB;
    f.params.cold_bytes = 1 * MIB;
    quota_init(&f.quota, "test", NULL, 25 * MIB);
    fixture_start(&f);
    for (u32 i = 0; i < 40; i++) {
        append_plain(&f, log_partition(f.log, 0, 0), 1000000);
        settle(&f);
    }
    assert_true(f.log->hot_used > 22 * MIB);
    struct log_stats stats = {0};
    u64 offset = 0;
    while (stats.index_bytes < 12 * MIB) {
        for (u32 i = 1; i < 3000; i++) {
            append_plain(&f, log_partition(f.log, i, 0), 10);
        }
        for (offset = 0; offset < 40; offset++) {
            struct partition_read read = {
                .offset = offset, .limit_offset = UINT64_MAX, .one_batch = true};
            assert_int_equal(partition_read(log_partition(f.log, 0, 0), &read), OK);
            (void)log_peek(f.log, &read.ranges[0]);
        }
        settle(&f);
        log_stats(f.log, &stats);
        assert_true(f.quota.used <= 25 * MIB);
    }
    assert_true(f.log->hot_used >= 6 * MIB - LOG_CHUNK_BYTES);
    turns(&f, 4);
    assert_int_equal(f.log->index_uncharged, 0);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_batches_of_a_slot_are_one_run),
        cmocka_unit_test(runs_end_at_64_kib_and_at_large_batches),
        cmocka_unit_test(found_at_every_offset_of_a_long_partition),
        cmocka_unit_test(times_out_of_order),
        cmocka_unit_test(the_largest_time_above_the_start),
        cmocka_unit_test(leader_epochs),
        cmocka_unit_test(epochs_below_the_start_go),
        cmocka_unit_test(an_unwritten_partition_collects_no_epochs),
        cmocka_unit_test(the_index_is_charged_and_refuses_at_the_cap),
        cmocka_unit_test(dropped_runs_give_memory_back),
        cmocka_unit_test(a_filed_run_may_reach_below_the_start),
        cmocka_unit_test(the_cache_gives_way_to_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
