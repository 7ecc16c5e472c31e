/* recover.c: partitions come back as they were over several WALs, unwanted ones do not, damaged
   batches are quarantined, impossible offsets are refused, and 131,072 slots of 10,000 partitions
   take milliseconds (printed, not asserted on). */
#include "fixture.h"

#include "home/home_private.h"

#include <time.h>

static err_t recover(struct fixture *f, bool (*wanted)(void *user, u32 id))
{
    if (f->log != NULL) {
        log_destroy(f->log);
    }
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    f->home->replayed = true;
    f->log = log_create(&f->params);
    u64 length;
    const struct log_wal wal = {.id = 1, .nonce = 7, .sealed_length = UINT64_MAX};
    const struct log_wanted all = {.exists = wanted};
    return log_recover_wal(f->log, &wal, &all, &length);
}

static void several_wals_in_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (u32 session = 0; session < 5; session++) {
        for (u32 i = 0; i < 30; i++) {
            struct partition *p = log_partition(f.log, i % 3, (i32)session);
            append_plain(&f, p, 100 + i);
            if (i % 10 == 9) {
                settle(&f);
            }
        }
        for (u32 i = 0; i < 3; i++) {
            assert_int_equal(high_watermark(log_partition(f.log, i, 0)), 10 * (session + 1));
        }
        fixture_restart(&f);
        struct partition_info info;
        partition_info(log_partition(f.log, 0, 0), &info);
        assert_int_equal(info.leader_epoch, (i32)session);
        assert_int_equal(info.high_watermark, 10 * (session + 1));
        assert_int_equal(info.log_start_offset, 0);
    }
    /* Ranges of all WALs. */
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
    assert_int_equal(partition_read(log_partition(f.log, 1, 0), &read), OK);
    assert_int_equal(read.next_offset, 50);
    assert_int_equal(read.ranges[0].object, 1);
    assert_int_equal(read.ranges[read.range_count - 1].object, 5);
    u8 *bytes = mem_alloc(read.bytes);
    for (u32 i = 0, at = 0; i < read.range_count; i++) {
        range_bytes(&f, &read.ranges[i], bytes + at);
        at += read.ranges[i].bytes;
    }
    struct slice rest = slice_of(bytes, read.bytes);
    struct batch_view view;
    for (u64 offset = 0; offset < 50; offset++) {
        assert_int_equal(batch_view_next(&rest, &view), OK);
        assert_int_equal(view.base_offset, offset);
        assert_int_equal(view.leader_epoch, offset / 10);
        assert_true(batch_crc_ok(&view));
    }
    assert_int_equal(rest.len, 0);
    mem_free(bytes);
    fixture_stop(&f);
}

static bool wanted_odd(void *user, u32 id)
{
    (void)user;
    return id % 2 == 1;
}

static void deleted_topics_do_not_come_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (u32 i = 0; i < 40; i++) {
        append_plain(&f, log_partition(f.log, i % 8, 0), 100);
    }
    settle(&f);
    assert_int_equal(recover(&f, wanted_odd), OK);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 4);
    assert_int_equal(high_watermark(log_partition(f.log, 3, 1)), 5);
    assert_int_equal(high_watermark(log_partition(f.log, 4, 1)), 0);
    fixture_stop(&f);
}

/* ---- made-up WALs ---------------------------------------------------------------------------- */

static struct frame_entry entry(u32 partition, u64 base_offset, u32 pos)
{
    return (struct frame_entry){.partition = partition,
                                .leader_epoch = 1,
                                .base_offset = base_offset,
                                .producer_id = -1,
                                .producer_epoch = -1,
                                .base_sequence = -1,
                                .pos = pos,
                                .bytes = 100,
                                .max_timestamp = 5};
}

static err_t visit(const struct home_wal_visitor *v, u64 slot, const struct frame_entry *entries,
                   u32 count)
{
    const struct frame_header h = {
        .kind = FRAME_DATA, .wal = 1, .slot = slot, .index_count = count};
    return v->slot(v->user, &h, entries, count);
}

static err_t scan_damaged(const struct home_wal_visitor *v, u64 *length)
{
    const struct frame_entry first[] = {entry(1, 0, 128), entry(1, 1, 228), entry(1, 2, 328),
                                        entry(2, 0, 428)};
    v->damaged(v->user, 1, 0, &first[1]);
    TRY(visit(v, 0, first, 4));
    const struct frame_entry second[] = {entry(1, 3, 128), entry(2, 1, 228)};
    *length = 2;
    return visit(v, 1, second, 2);
}

static void damaged_batches_are_quarantined_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.scan = scan_damaged;
    assert_int_equal(recover(&f, NULL), OK);
    struct partition *p = log_partition(f.log, 1, 1);
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1000};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.next_offset, 1);
    read.offset = 1;
    assert_int_equal(partition_read(p, &read), ERR_CORRUPT);
    read.offset = 2;
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.next_offset, 4);
    read.offset = 0;
    assert_int_equal(partition_read(log_partition(f.log, 2, 1), &read), OK);
    assert_int_equal(read.next_offset, 2);
    fixture_stop(&f);
}

static err_t scan_gap(const struct home_wal_visitor *v, u64 *length)
{
    const struct frame_entry first[] = {entry(1, 5, 128)};
    const struct frame_entry second[] = {entry(1, 7, 128)};
    *length = 2;
    TRY(visit(v, 0, first, 1)); /* the first ever seen may begin anywhere */
    return visit(v, 1, second, 1);
}

static err_t scan_overlap(const struct home_wal_visitor *v, u64 *length)
{
    const struct frame_entry first[] = {entry(1, 0, 128), entry(1, 1, 228)};
    const struct frame_entry second[] = {entry(1, 1, 128)};
    *length = 2;
    TRY(visit(v, 0, first, 2));
    return visit(v, 1, second, 1);
}

static void offsets_that_do_not_abut_are_damage(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.scan = scan_gap;
    assert_int_equal(recover(&f, NULL), ERR_CORRUPT);
    f.scan = scan_overlap;
    assert_int_equal(recover(&f, NULL), ERR_CORRUPT);
    fixture_stop(&f);
}

enum { MANY_SLOTS = 131072, MANY_PARTITIONS = 10000 };

static err_t scan_many(const struct home_wal_visitor *v, u64 *length)
{
    static u64 next[MANY_PARTITIONS];
    memset(next, 0, sizeof(next));
    for (u64 slot = 0; slot < MANY_SLOTS; slot++) {
        struct frame_entry entries[4];
        u32 first = (u32)(slot * 7919 % (MANY_PARTITIONS - 4));
        for (u32 i = 0; i < 4; i++) {
            entries[i] = entry(first + i, next[first + i]++, 128 + 100 * i);
            entries[i].producer_id = 3;
            entries[i].base_sequence = (i32)entries[i].base_offset;
        }
        TRY(visit(v, slot, entries, 4));
    }
    *length = MANY_SLOTS;
    return OK;
}

static void many_slots_take_milliseconds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.scan = scan_many;
    struct timespec from;
    struct timespec to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(recover(&f, NULL), OK);
    clock_gettime(CLOCK_MONOTONIC, &to);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.index_entries, 4 * MANY_SLOTS);
    print_message(
        "%u slots, 4 partitions of %u each: %lld ms, %llu KiB of index, %llu producers\n",
        MANY_SLOTS, MANY_PARTITIONS,
        (long long)(to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000,
        (unsigned long long)(stats.index_bytes / 1024), (unsigned long long)stats.producers);
    fixture_stop(&f);
}

/* More index than the budget allows, more producers than there is room for: it starts, everything
   can be read, the latest producers are known, and it takes no more. */
static void a_start_beyond_the_budget(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 4 * MIB;
    quota_init(&f.quota, "test", NULL, 6 * MIB);
    f.scan = scan_many;
    assert_int_equal(recover(&f, NULL), OK);
    assert_true(f.quota.used <= 6 * MIB);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.index_entries, 4 * MANY_SLOTS);
    assert_true(stats.index_bytes > 20 * MIB);
    assert_true(stats.producers > 0);
    assert_true(stats.producers < MANY_PARTITIONS);
    struct partition *p = log_partition(f.log, 17, 1);
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1000};
    assert_int_equal(partition_read(p, &read), OK);
    assert_true(read.range_count > 0);
    f.scan = NULL;
    assert_int_equal(log_start_wal(f.log, f.cluster, 2, 14), OK);
    const struct produced what = {.producer_id = -1, .base_sequence = -1, .records = 1};
    i16 kerr = KERR_NONE;
    for (u32 i = 0; i < 100 && kerr == KERR_NONE; i++) {
        kerr = append(&f, log_partition(f.log, 20000 + i, 1), &what).kerr;
    }
    assert_int_equal(kerr, KERR_KAFKA_STORAGE_ERROR);
    fixture_stop(&f);
}

static u64 start_after_recovery;

static void set_start(struct fixture *f)
{
    partition_set_log_start(log_partition(f->log, 1, 5), start_after_recovery);
    partition_set_log_start(log_partition(f->log, 2, 5), start_after_recovery);
}

/* The starts that the metadata knows are set before the next WAL begins; one that is above all that
   was found (partition 1 has six records left, 2 has none) is where the partition then goes on. */
static void starts_are_set_after_recovery(void **state)
{
    (void)state;
    static const struct {
        u64 start;
        u64 end[2];
    } rows[] = {{4, {6, 4}}, {6, {6, 6}}, {7, {7, 7}}, {1000, {1000, 1000}}};
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_start(&f);
        for (u32 k = 0; k < 6; k++) {
            const struct produced what = {
                .producer_id = 7, .base_sequence = (i32)k, .records = 1, .value_bytes = 10};
            assert_int_equal(append(&f, log_partition(f.log, 1, (i32)k), &what).kerr, KERR_NONE);
            settle(&f);
        }
        start_after_recovery = rows[i].start;
        f.recovered = set_start;
        for (u32 life = 0; life < 2; life++) {
            fixture_restart(&f);
            for (u32 id = 1; id <= 2; id++) {
                struct partition *p = log_partition(f.log, id, 5);
                struct partition_info info;
                partition_info(p, &info);
                assert_int_equal(info.log_start_offset, rows[i].start);
                assert_int_equal(info.high_watermark, rows[i].end[id - 1]);
                assert_int_equal(info.log_end_offset, rows[i].end[id - 1]);
                struct partition_read read = {.offset = rows[i].start - 1,
                                              .limit_offset = UINT64_MAX};
                assert_int_equal(partition_read(p, &read), ERR_NOT_FOUND);
            }
        }
        struct partition *p = log_partition(f.log, 1, 6);
        struct produced what = {.producer_id = 7, .base_sequence = 5, .records = 1};
        struct append_result r = append(&f, p, &what); /* it is still known */
        assert_int_equal(r.kerr, KERR_NONE);
        assert_true(r.duplicate);
        what.base_sequence = 6;
        r = append(&f, p, &what);
        assert_int_equal(r.base_offset, rows[i].end[0]);
        settle(&f);
        assert_int_equal(high_watermark(p), rows[i].end[0] + 1);
        assert_int_equal(partition_epoch_at(p, rows[i].end[0]), 6);
        fixture_stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_wals_in_order),
        cmocka_unit_test(deleted_topics_do_not_come_back),
        cmocka_unit_test(damaged_batches_are_quarantined_alone),
        cmocka_unit_test(offsets_that_do_not_abut_are_damage),
        cmocka_unit_test(many_slots_take_milliseconds),
        cmocka_unit_test(a_start_beyond_the_budget),
        cmocka_unit_test(starts_are_set_after_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
