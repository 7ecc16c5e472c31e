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
    struct partition_read read = {
        .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1, .one_batch = true};
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
        cmocka_unit_test(neighbours_only_while_somebody_comes_for_them),
        cmocka_unit_test(damage_in_a_shared_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
