/* window.c: neighbours in a frame are read once, runs are read ahead side by side for who reads on,
   and all of it stays within cold_bytes. Counted at the home. */
#include "fixture.h"

enum { PARTITIONS = 20, SLOTS = 60 };

static void fill_partitions(struct fixture *f, u32 value_bytes, u32 partitions)
{
    fixture_start(f);
    for (u32 s = 0; s < SLOTS; s++) {
        for (u32 i = 0; i < partitions; i++) {
            append_plain(f, log_partition(f->log, i, 0), value_bytes);
        }
        settle(f);
    }
    fixture_restart(f);
    for (u32 i = 0; i < partitions; i++) {
        log_partition(f->log, i, 1);
    }
}

static void fill(struct fixture *f, u32 value_bytes)
{
    fill_partitions(f, value_bytes, PARTITIONS);
}

static struct log_range range_at(struct fixture *f, u32 partition, u64 offset)
{
    struct partition_read read = {.offset = offset,
                                  .limit_offset = UINT64_MAX,
                                  .bytes_max = 1,
                                  .one_batch = true,
                                  .whole_runs = true};
    assert_int_equal(partition_read(log_partition(f->log, partition, 0), &read), OK);
    assert_int_equal(read.range_count, 1);
    return read.ranges[0];
}

static void read_one(struct fixture *f, u32 partition, u64 offset)
{
    struct log_range range = range_at(f, partition, offset);
    u8 *bytes = mem_alloc(range.bytes);
    range_bytes(f, &range, bytes);
    assert_int_equal(load_be64(bytes), offset);
    mem_free(bytes);
}

static void neighbours_are_read_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f, 500);
    for (u32 s = 0; s < SLOTS; s++) {
        for (u32 i = 0; i < PARTITIONS; i++) {
            read_one(&f, i, s);
        }
    }
    assert_int_equal(f.reads, SLOTS); /* a frame is 12 KiB */
    fixture_stop(&f);
}

static void a_partition_is_read_ahead(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f, 500);
    read_one(&f, 7, 0);
    assert_int_equal(f.reads, 1); /* one look-up is not a reader */
    read_one(&f, 7, 1);
    assert_int_equal(f.reads, 34); /* 32 more are on their way */
    for (u32 s = 2; s < SLOTS; s++) {
        read_one(&f, 7, s);
    }
    assert_int_equal(f.reads, SLOTS);
    for (u32 i = 0; i < PARTITIONS; i++) {
        read_one(&f, i, 30);
    }
    assert_int_equal(f.reads, SLOTS);
    fixture_stop(&f);
}

/* Twenty readers, each at another place, in a pool for far less: everything is read, if more than
 * once. */
static void within_its_bytes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 400 * KIB;
    fill(&f, 9000);
    for (u32 s = 0; s < SLOTS; s++) {
        for (u32 i = 0; i < PARTITIONS; i++) {
            read_one(&f, i, (s + 3 * i) % SLOTS);
            assert_true(f.log->cold_quota.used <= 400 * KIB);
        }
    }
    assert_true(f.log->windows_unused <= 400 / 4 / 64);
    fixture_stop(&f);
}

/* What was read of an object that is gone is found by nobody, and its buffers serve the next who
   needs some: giving them all back at once would stop the loop. */
static void what_was_read_of_a_removed_object_makes_room(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 400 * KIB;
    fill(&f, 9000);
    for (u32 s = 0; s < 10; s++) {
        read_one(&f, 7, s);
    }
    struct log_range range = range_at(&f, 7, 0);
    u64 used = f.log->cold_quota.used;
    assert_true(used > 200 * KIB);
    assert_true(f.log->windows_unused > 0); /* read ahead */
    windows_forget(f.log, place_object(range_place(f.log, &range)));
    assert_int_equal(f.log->cold_quota.used, used);
    assert_int_equal(f.log->windows_unused, 0);
    assert_null(window_find(f.log, range_place(f.log, &range), range.pos, range.bytes));
    for (u32 s = 0; s < SLOTS; s++) {
        u32 reads = f.reads;
        read_one(&f, 7, s);
        assert_true(s > 0 || f.reads > reads);
        assert_true(f.log->cold_quota.used <= 400 * KIB);
    }
    fixture_stop(&f);
}

/* A reader who goes deep into one partition after the other, in frames of many: by the time it
   comes for the neighbours they are gone, so they are not read any more, but for a probe now and
   then. When the readers change, so does the answer. */
static void neighbours_only_while_somebody_comes_for_them(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 1 * MIB;
    fill_partitions(&f, 2000, 100);
    for (u32 i = 0; i < 20; i++) {
        for (u32 s = 0; s < SLOTS; s++) {
            read_one(&f, i, s);
        }
    }
    f.read_bytes = 0;
    for (u32 i = 20; i < 40; i++) {
        for (u32 s = 0; s < SLOTS; s++) {
            read_one(&f, i, s);
        }
    }
    u64 wanted = 20ull * SLOTS * 2070;
    assert_true(f.read_bytes < 4 * wanted); /* wide would be thirty times */
    for (u32 s = 0; s < SLOTS; s++) {
        for (u32 i = 0; i < 100; i++) {
            read_one(&f, i, s);
        }
    }
    f.read_bytes = 0;
    f.reads = 0;
    for (u32 s = 0; s < SLOTS; s++) {
        for (u32 i = 0; i < 100; i++) {
            read_one(&f, i, s);
        }
    }
    assert_true(f.read_bytes < 2ull * SLOTS * 100 * 2070);
    assert_true(f.reads < SLOTS * 100 / 4);
    fixture_stop(&f);
}

enum { LARGE = 50000, LARGE_SLOTS = 6, LARGE_PER_SLOT = 20, LARGE_COUNT = 120, ASKED = 300 * KIB };

/* One partition whose batches are neighbours in their frames. */
static struct partition *large_fill(struct fixture *f)
{
    fixture_start(f);
    for (u32 s = 0; s < LARGE_SLOTS; s++) {
        for (u32 i = 0; i < LARGE_PER_SLOT; i++) {
            append_plain(f, log_partition(f->log, 1, 0), LARGE);
        }
        settle(f);
    }
    fixture_restart(f);
    return log_partition(f->log, 1, 1);
}

static struct log_range large_range(struct partition *p, u64 *offset)
{
    struct partition_read read = {
        .offset = *offset, .limit_offset = UINT64_MAX, .bytes_max = ASKED, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    assert_true(read.range_count > 0);
    *offset += read.ranges[0].bytes / LARGE; /* batches of one record */
    return read.ranges[0];
}

/* A request at a time, each begun when the one before is over. */
static u32 large_read(struct fixture *f, struct partition *p, u64 from, u64 to)
{
    u8 *bytes = mem_alloc(ASKED);
    u32 requests = 0;
    for (u64 offset = from; offset < to; requests++) {
        u64 first = offset;
        struct log_range range = large_range(p, &offset);
        range_bytes(f, &range, bytes);
        assert_int_equal(load_be64(bytes), first);
        assert_true(f->log->cold_quota.used <= f->params.cold_bytes);
    }
    mem_free(bytes);
    return requests;
}

static void requests_that_go_on_are_read_ahead_in_large_pieces(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = large_fill(&f);
    u32 requests = large_read(&f, p, 0, LARGE_COUNT);
    assert_true(requests > 3 * LARGE_SLOTS);
    assert_true(2 * f.reads <= requests);
    u64 frames = (u64)LARGE_COUNT * (LARGE + 200);
    assert_true(f.read_bytes < frames + f.reads * 8192ull); /* nothing twice */
    assert_int_equal(f.log->windows_unused, 0);
    fixture_stop(&f);
}

/* Who stops leaves what was read ahead for him behind, as much as is allowed; others have their
   reads all the same. */
static void readers_that_stop(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.cold_bytes = 3 * MIB;
    struct partition *p = large_fill(&f);
    for (u64 from = 0; from + 20 < LARGE_COUNT; from += 17) {
        large_read(&f, p, from, from + 7);
        assert_true(f.log->windows_unused <= 3 * 1024 / 4 / 64);
    }
    large_read(&f, p, 0, LARGE_COUNT);
    fixture_stop(&f);
}

static void what_was_read_ahead_is_at_hand(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = large_fill(&f);
    u64 offset = 12;
    u64 at = offset;
    struct log_range range = large_range(p, &offset);
    struct log_load load = {.range = range};
    assert_false(log_load_at_hand(f.log, &load)); /* nobody has read it */
    large_read(&f, p, 0, 12);
    settle(&f);
    turn(&f);
    u32 reads = f.reads;
    assert_true(log_load_at_hand(f.log, &load));
    assert_int_equal(load.bytes, range.bytes);
    assert_int_equal(load_be64(load.data), at);
    log_load_release(&load);
    assert_true(f.reads >= reads); /* more ahead, perhaps, but not for this */
    fixture_stop(&f);
}

/* Damage in what was read ahead: not at hand, and the long way tells. */
static void damage_that_was_read_ahead(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct partition *p = large_fill(&f);
    u64 offset = 13;
    struct log_range range = large_range(p, &offset);
    f.flip.slot = range.slot;
    f.flip.pos = range.pos + 100;
    f.flip.mask = 1;
    large_read(&f, p, 0, 12);
    settle(&f);
    turn(&f);
    struct log_load load = {.range = range};
    assert_false(log_load_at_hand(f.log, &load));
    u8 *bytes = mem_alloc(ASKED);
    u32 count;
    assert_int_equal(load_range(&f, &range, bytes, &count), ERR_CORRUPT);
    mem_free(bytes);
    fixture_stop(&f);
}

/* Damage in a window is found by whoever reads there, and only there. */
static void damage_in_a_shared_window(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f, 500);
    struct log_range bad = range_at(&f, 7, 10);
    f.flip.slot = bad.slot;
    f.flip.pos = bad.pos + 100;
    f.flip.mask = 1;
    read_one(&f, 6, 10);
    read_one(&f, 8, 10);
    u8 bytes[4096];
    u32 count;
    assert_int_equal(load_range(&f, &bad, bytes, &count), ERR_CORRUPT);
    read_one(&f, 7, 9);
    read_one(&f, 7, 11);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_read_once),
        cmocka_unit_test(a_partition_is_read_ahead),
        cmocka_unit_test(within_its_bytes),
        cmocka_unit_test(what_was_read_of_a_removed_object_makes_room),
        cmocka_unit_test(neighbours_only_while_somebody_comes_for_them),
        cmocka_unit_test(requests_that_go_on_are_read_ahead_in_large_pieces),
        cmocka_unit_test(readers_that_stop),
        cmocka_unit_test(what_was_read_ahead_is_at_hand),
        cmocka_unit_test(damage_that_was_read_ahead),
        cmocka_unit_test(damage_in_a_shared_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
