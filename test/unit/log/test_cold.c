/* cold.c: loads give whole verified batches, wait their turn within cold_bytes, survive a caller
   that goes away, and quarantine what disagrees with its checksum or the index. */
#include "fixture.h"

static void flip(struct fixture *f, const struct log_range *range, u32 at, u8 mask)
{
    f->flip.slot = range->slot;
    f->flip.pos = range->pos + at;
    f->flip.mask = mask;
}

static struct log_range first_range(struct partition *p, u64 offset)
{
    struct partition_read read = {
        .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = UINT32_MAX, .whole_runs = true};
    assert_int_equal(partition_read(p, &read), OK);
    assert_true(read.range_count > 0);
    return read.ranges[0];
}

/* Ten small batches (one run), then a large one, then one that is larger than a load. */
static struct partition *three_runs(struct fixture *f)
{
    fixture_start(f);
    struct partition *p = log_partition(f->log, 1, 0);
    for (u32 i = 0; i < 10; i++) {
        append_plain(f, p, 100);
    }
    settle(f);
    append_plain(f, p, 50000);
    settle(f);
    append_plain(f, p, 3000000);
    settle(f);
    fixture_restart(f); /* everything is cold */
    return log_partition(f->log, 1, 1);
}

static void loads_give_whole_batches(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = three_runs(&f);
    u8 *bytes = mem_alloc(4000000);
    u32 count;
    struct log_range r = first_range(p, 5);
    assert_null(log_peek(f.log, &r));
    assert_int_equal(load_range(&f, &r, bytes, &count), OK);
    assert_int_equal(count, r.bytes);
    assert_int_equal(load_be64(bytes), 0);
    r = first_range(p, 11);
    assert_int_equal(r.partition, 1);
    assert_true(r.bytes > 3000000);
    assert_int_equal(load_range(&f, &r, bytes, &count), OK);
    assert_int_equal(count, r.bytes);
    struct batch_view view;
    assert_int_equal(batch_view_parse(slice_of(bytes, count), &view), OK);
    assert_true(batch_crc_ok(&view));
    mem_free(bytes);
    fixture_stop(&f);
}

/* A range that begins where an earlier load ended, in the middle of a run of small batches. */
static void loads_from_inside_a_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = three_runs(&f);
    struct log_range r = first_range(p, 0);
    u32 one = r.bytes / 10;
    r.pos += 3 * one;
    r.bytes -= 3 * one;
    u8 bytes[4096];
    u32 count;
    assert_int_equal(load_range(&f, &r, bytes, &count), OK);
    assert_int_equal(count, 7 * one);
    assert_int_equal(load_be64(bytes), 3);
    r.bytes = one + 20; /* the rest of a batch is not given */
    assert_int_equal(load_range(&f, &r, bytes, &count), OK);
    assert_int_equal(count, one);
    fixture_stop(&f);
}

static void a_batch_larger_than_the_pool_comes_in_pieces(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 1 * MIB;
    struct partition *p = three_runs(&f);
    struct log_range r = first_range(p, 11);
    u8 *bytes = mem_alloc(4000000);
    range_bytes(&f, &r, bytes);
    struct batch_view view;
    assert_int_equal(batch_view_parse(slice_of(bytes, r.bytes), &view), OK);
    assert_true(batch_crc_ok(&view));
    assert_true(f.log->cold_quota.used_max <= 1 * MIB);
    mem_free(bytes);
    fixture_stop(&f);
}

/* An answer that is on its way when the log start moves: its bytes still come, each batch vouched
   for by its own checksum; damage is not told from what moved, so it is refused. */
static void deleted_while_it_is_sent(void **state)
{
    (void)state;
    for (u64 start = 3; start <= 12; start += 9) { /* the first run stays or goes */
        struct fixture f;
        fixture_init(&f);
        f.params.cold_bytes = 1 * MIB;
        struct partition *p = three_runs(&f);
        struct log_range small = first_range(p, 0);
        struct log_range large = first_range(p, 10);
        struct log_range larger = first_range(p, 11);
        partition_set_log_start(p, start);
        assert_int_equal(p->run_count, start == 12 ? 0 : 3);
        u8 *bytes = mem_alloc(4000000);
        range_bytes(&f, &small, bytes);
        for (u32 i = 0; i < 10; i++) {
            assert_int_equal(load_be64(bytes + i * (small.bytes / 10)), i);
        }
        u32 one = small.bytes / 10;
        struct log_range rest = small;
        rest.pos += 4 * one;
        rest.bytes -= 4 * one;
        u32 count;
        assert_int_equal(load_range(&f, &rest, bytes, &count), OK);
        assert_int_equal(count, 6 * one);
        range_bytes(&f, &large, bytes);
        assert_int_equal(load_be64(bytes), 10);
        assert_int_equal(load_range(&f, &larger, bytes, &count), OK); /* its first piece */
        assert_true(count < larger.bytes);
        struct log_range piece = larger;
        piece.pos += count;
        piece.bytes -= count;
        assert_int_equal(load_range(&f, &piece, bytes, &count), start == 12 ? ERR_NOT_FOUND : OK);
        flip(&f, &small, 2 * one + 80, 1);
        rest = small;
        rest.pos += 2 * one;
        rest.bytes = 2 * one;
        fixture_restart(&f); /* nothing of it is at hand any more */
        p = log_partition(f.log, 1, 1);
        partition_set_log_start(p, start);
        err_t expected = start == 12 ? ERR_NOT_FOUND : ERR_CORRUPT;
        assert_int_equal(load_range(&f, &rest, bytes, &count), expected);
        assert_int_equal(load_range(&f, &small, bytes, &count), OK);
        assert_int_equal(count, 2 * one); /* what is good before it */
        mem_free(bytes);
        fixture_stop(&f);
    }
}

/* ---- waiting and going away ------------------------------------------------------------------ */

struct test_load {
    struct log_load load;
    u32 calls;
    err_t result;
};

static void load_done(struct log_load *load, err_t result)
{
    struct test_load *t = CONTAINER_OF(load, struct test_load, load);
    t->calls++;
    t->result = result;
}

/* Twelve batches of 50 kB, one per slot. */
static struct partition *twelve_runs(struct fixture *f)
{
    fixture_start(f);
    for (u32 i = 0; i < 12; i++) {
        append_plain(f, log_partition(f->log, 1, 0), 50000);
        settle(f);
    }
    fixture_restart(f);
    return log_partition(f->log, 1, 1);
}

static void loads_wait_for_their_turn(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 300 * KIB;
    struct partition *p = twelve_runs(&f);
    struct test_load loads[12];
    for (u32 i = 0; i < 12; i++) {
        loads[i] = (struct test_load){.load = {.done = load_done, .range = first_range(p, i)}};
        loads[i].load.range.bytes = MIN(loads[i].load.range.bytes, 60000u);
        log_load(f.log, &loads[i].load);
    }
    log_load_release(&loads[10].load); /* gone while it waits */
    log_load_release(&loads[10].load);
    log_load_release(&loads[1].load); /* gone while it is read */
    u32 done = 0;
    for (u32 round = 0; round < 50; round++) {
        turn(&f);
        done = 0;
        for (u32 i = 0; i < 12; i++) {
            done += loads[i].calls;
            if (loads[i].calls > 0 && loads[i].load.data != NULL) {
                assert_int_equal(loads[i].result, OK);
                assert_int_equal(load_be64(loads[i].load.data), i);
                if (round % 3 == 2) {
                    log_load_release(&loads[i].load);
                }
            }
        }
        assert_true(f.log->cold_quota.used <= 300 * KIB);
    }
    assert_int_equal(done, 10);
    assert_int_equal(loads[1].calls, 0);
    assert_int_equal(loads[10].calls, 0);
    fixture_stop(&f);
}

/* Promised to a reader, then deleted, then its slot filed and forgotten: it is nowhere any more,
   and nobody looks for it. */
static void a_deleted_range_is_not_looked_for_in_forgotten_slots(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = twelve_runs(&f);
    struct log_range ranges[12];
    for (u32 i = 0; i < 12; i++) {
        ranges[i] = first_range(p, i);
    }
    partition_set_log_start(p, 12);
    u32 wal = object_find(f.log, ranges[0].object);
    assert_true(wal != LOG_NO_OBJECT);
    object_slots_forget(f.log, wal, f.log->objects[wal].slot_end);
    u8 *out = mem_alloc(64 * KIB);
    for (u32 i = 0; i < 12; i++) {
        u32 bytes;
        assert_int_equal(load_range(&f, &ranges[i], out, &bytes), ERR_NOT_FOUND);
    }
    mem_free(out);
    fixture_stop(&f);
}

static void note_drained(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

/* What has begun ends before done(); nothing begins after it: the memory goes away. */
static void nothing_is_read_after_the_drain(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = twelve_runs(&f);
    struct test_load loads[2];
    for (u32 i = 0; i < 2; i++) {
        loads[i] = (struct test_load){.load = {.done = load_done, .range = first_range(p, 6 * i)}};
    }
    log_load(f.log, &loads[0].load);
    assert_true(f.log->windows_reading > 0);
    bool drained = false;
    log_drain(f.log, note_drained, &drained);
    assert_false(drained);
    for (u32 i = 0; i < 100 && !drained; i++) {
        turn(&f);
    }
    assert_true(drained);
    assert_int_equal(f.log->windows_reading, 0);
    assert_int_equal(loads[0].calls, 1);
    log_load(f.log, &loads[1].load);
    turns(&f, 10);
    assert_int_equal(f.log->windows_reading, 0);
    assert_int_equal(loads[1].calls, 0);
    log_load_release(&loads[1].load);
    log_load_release(&loads[0].load);
    fixture_stop(&f);
}

static void destroy_with_loads_held_and_in_flight(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 300 * KIB;
    struct partition *p = twelve_runs(&f);
    struct test_load loads[8];
    for (u32 i = 0; i < 8; i++) {
        loads[i] = (struct test_load){.load = {.done = load_done, .range = first_range(p, i)}};
        log_load(f.log, &loads[i].load);
        if (i == 0) {
            turn(&f);
        }
    }
    assert_int_equal(loads[0].calls, 1);
    fixture_restart(&f);
    for (u32 i = 0; i < 8; i++) {
        log_load_release(&loads[i].load);
    }
    fixture_stop(&f);
}

static void a_removed_partition_is_not_found(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = three_runs(&f);
    struct log_range r = first_range(p, 0);
    log_partition_remove(f.log, 1);
    u8 bytes[4096];
    u32 count;
    assert_int_equal(load_range(&f, &r, bytes, &count), ERR_NOT_FOUND);
    fixture_stop(&f);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void expect_quarantined(struct partition *p, u64 from, u64 to)
{
    for (u64 offset = from; offset < to; offset++) {
        struct partition_read read = {
            .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1000, .one_batch = true};
        assert_int_equal(partition_read(p, &read), ERR_CORRUPT);
    }
}

static void a_flipped_bit_is_quarantined(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = three_runs(&f);
    struct log_range r = first_range(p, 10);
    flip(&f, &r, 30000, 0x10);
    u8 *bytes = mem_alloc(100000);
    u32 count;
    assert_int_equal(load_range(&f, &r, bytes, &count), ERR_CORRUPT);
    expect_quarantined(p, 10, 11);
    /* What stands before and after it is served. */
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 30};
    assert_int_equal(partition_read(p, &read), OK);
    assert_int_equal(read.next_offset, 10);
    r = first_range(p, 11);
    assert_true(r.bytes > 3000000);
    append_plain(&f, p, 10);
    settle(&f);
    assert_int_equal(high_watermark(p), 13);
    mem_free(bytes);
    fixture_stop(&f);
}

/* The good batches before the bad one are still given. */
static void the_good_part_of_a_run_is_given(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = three_runs(&f);
    struct log_range r = first_range(p, 0);
    u32 one = r.bytes / 10;
    flip(&f, &r, 4 * one + 70, 1);
    u8 bytes[4096];
    u32 count;
    assert_int_equal(load_range(&f, &r, bytes, &count), OK);
    assert_int_equal(count, 4 * one);
    expect_quarantined(p, 0, 10);
    r.pos += count;
    r.bytes -= count;
    assert_int_equal(load_range(&f, &r, bytes, &count), ERR_CORRUPT);
    fixture_stop(&f);
}

/* Fields that the batch's CRC does not cover. */
static void a_wrong_offset_or_length_is_quarantined(void **state)
{
    (void)state;
    static const u32 fields[] = {BATCH_AT_BASE_OFFSET + 7, BATCH_AT_LENGTH,
                                 BATCH_AT_LENGTH + 3,      BATCH_AT_LAST_OFFSET_DELTA + 3,
                                 BATCH_AT_MAGIC,           BATCH_AT_LEADER_EPOCH + 3};
    for (u32 i = 0; i < ARRAY_LEN(fields); i++) {
        struct fixture f;
        fixture_init(&f);
        struct partition *p = three_runs(&f);
        struct log_range r = first_range(p, 10);
        flip(&f, &r, fields[i], 4);
        u8 *bytes = mem_alloc(100000);
        u32 count;
        assert_int_equal(load_range(&f, &r, bytes, &count), ERR_CORRUPT);
        expect_quarantined(p, 10, 11);
        mem_free(bytes);
        fixture_stop(&f);
    }
}

/* A reader goes on behind the good part: the bad batch is still not given, though its checksum is
   good and nothing before it tells its offset. */
static void the_bad_part_of_a_run_stays_bad(void **state)
{
    (void)state;
    for (u32 i = 4; i < 10; i += 5) { /* in the middle, and the last one */
        struct fixture f;
        fixture_init(&f);
        struct partition *p = three_runs(&f);
        struct log_range r = first_range(p, 0);
        u32 one = r.bytes / 10;
        flip(&f, &r, i * one + BATCH_AT_BASE_OFFSET + 2, 4);
        u8 bytes[4096];
        u32 count;
        assert_int_equal(load_range(&f, &r, bytes, &count), OK);
        assert_int_equal(count, i * one);
        r.pos += count;
        r.bytes -= count;
        assert_int_equal(load_range(&f, &r, bytes, &count), ERR_CORRUPT);
        fixture_stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_give_whole_batches),
        cmocka_unit_test(loads_from_inside_a_run),
        cmocka_unit_test(a_batch_larger_than_the_pool_comes_in_pieces),
        cmocka_unit_test(deleted_while_it_is_sent),
        cmocka_unit_test(loads_wait_for_their_turn),
        cmocka_unit_test(a_deleted_range_is_not_looked_for_in_forgotten_slots),
        cmocka_unit_test(nothing_is_read_after_the_drain),
        cmocka_unit_test(destroy_with_loads_held_and_in_flight),
        cmocka_unit_test(a_removed_partition_is_not_found),
        cmocka_unit_test(a_flipped_bit_is_quarantined),
        cmocka_unit_test(the_good_part_of_a_run_is_given),
        cmocka_unit_test(a_wrong_offset_or_length_is_quarantined),
        cmocka_unit_test(the_bad_part_of_a_run_stays_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
