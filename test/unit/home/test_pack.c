/* Proves that the pack's codec keeps what it is given and notices what it is not: runs, producers,
   header and trailer come back the same; every flipped bit of header and trailer is refused; and
   numbers that do not fit each other are refused although every CRC is right. */
#include "../unit.h"

#include "home/pack_private.h"

enum { ROUNDS = 200, ENTRIES_MAX = 50 };

static struct uuid random_cluster(struct rng *rng)
{
    struct uuid id;
    rng_fill(rng, id.bytes, sizeof(id.bytes));
    return id;
}

/* A run that may follow `before`; room: bytes of payload that are left. */
static struct pack_run random_run(struct rng *rng, const struct pack_run *before)
{
    bool same = before != NULL && rng_chance(rng, 1, 2);
    struct pack_run run = {
        .partition = before == NULL ? (u32)rng_below(rng, 9)
                     : same         ? before->partition
                                    : before->partition + 1 + (u32)rng_below(rng, 9),
        .leader_epoch = (i32)rng_next(rng),
        .base_offset = (same ? before->next_offset : 0) + rng_below(rng, 3),
        .max_timestamp = (i64)rng_next(rng),
        .pos = (before == NULL ? PACK_PAYLOAD_POS : before->pos + before->bytes) +
               (u32)rng_below(rng, 2),
        .bytes = 1 + (u32)rng_below(rng, 5000),
        .crc = (u32)rng_next(rng),
        .batches = 1 + (u32)rng_below(rng, 40),
        .flags = (u32)rng_below(rng, 2),
    };
    run.next_offset = run.base_offset + 1 + rng_below(rng, 500);
    return run;
}

static bool run_eq(const struct pack_run *a, const struct pack_run *b)
{
    return a->partition == b->partition && a->leader_epoch == b->leader_epoch &&
           a->base_offset == b->base_offset && a->next_offset == b->next_offset &&
           a->max_timestamp == b->max_timestamp && a->pos == b->pos && a->bytes == b->bytes &&
           a->crc == b->crc && a->batches == b->batches && a->flags == b->flags;
}

static void test_runs(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    for (u32 round = 0; round < ROUNDS; round++) {
        struct pack_run runs[ENTRIES_MAX];
        u32 count = 1 + (u32)rng_below(&rng, ENTRIES_MAX);
        for (u32 i = 0; i < count; i++) {
            runs[i] = random_run(&rng, i > 0 ? &runs[i - 1] : NULL);
        }
        struct pack_layout l = {.runs_pos = runs[count - 1].pos + runs[count - 1].bytes};
        for (u32 i = 0; i < count; i++) {
            u8 bytes[PACK_RUN_BYTES];
            struct pack_run out;
            pack_run_encode(&runs[i], bytes);
            assert_int_equal(pack_run_decode(bytes, &l, i > 0 ? &runs[i - 1] : NULL, &out), OK);
            assert_true(run_eq(&runs[i], &out));
        }
    }
}

static err_t run_try_in(bool in_place, struct pack_run run, const struct pack_run *before)
{
    struct pack_layout l = {.runs_pos = 100000, .in_place = in_place};
    u8 bytes[PACK_RUN_BYTES];
    struct pack_run out;
    pack_run_encode(&run, bytes);
    return pack_run_decode(bytes, &l, before, &out);
}

static err_t run_try(struct pack_run run, const struct pack_run *before)
{
    return run_try_in(false, run, before);
}

static void test_runs_that_do_not_fit(void **state)
{
    (void)state;
    const struct pack_run before = {.partition = 5,
                                    .base_offset = 100,
                                    .next_offset = 200,
                                    .pos = 5000,
                                    .bytes = 1000,
                                    .batches = 3};
    const struct pack_run good = {.partition = 5,
                                  .base_offset = 200,
                                  .next_offset = 201,
                                  .pos = 6000,
                                  .bytes = 94000,
                                  .batches = 1};
    assert_int_equal(run_try(good, &before), OK);
    assert_int_equal(run_try(good, NULL), OK);
    struct pack_run run = good;
    run.bytes = 94001;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run.bytes = UINT32_MAX;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run.bytes = 0;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run = good;
    run.pos = 5999;
    run.bytes = 10;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run.pos = PACK_PAYLOAD_POS - 1;
    assert_int_equal(run_try(run, NULL), ERR_CORRUPT);
    run = good;
    run.base_offset = 199;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run.base_offset = 201;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run.next_offset = (u64)INT64_MAX + 1;
    assert_int_equal(run_try(run, &before), OK);
    run.next_offset++;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run = good;
    run.partition = 4;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run.partition = 6;
    run.base_offset = 0;
    assert_int_equal(run_try(run, &before), OK);
    run = good;
    run.batches = 0;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    run = good;
    run.flags = 2;
    assert_int_equal(run_try(run, &before), ERR_CORRUPT);
    u8 bytes[PACK_RUN_BYTES];
    struct pack_layout l = {.runs_pos = 100000};
    for (u32 i = 52; i < PACK_RUN_BYTES; i++) {
        pack_run_encode(&good, bytes);
        bytes[i] = 1;
        assert_int_equal(pack_run_decode(bytes, &l, NULL, &run), ERR_CORRUPT);
    }
}

/* In a pack in place a run is behind the first frame's header and before the index, and runs lie in
   any order; offsets and partitions have the order of any pack. */
static void test_runs_in_place(void **state)
{
    (void)state;
    const struct pack_run before = {.partition = 5,
                                    .base_offset = 100,
                                    .next_offset = 200,
                                    .pos = 50000,
                                    .bytes = 1000,
                                    .batches = 3};
    struct pack_run run = {.partition = 5,
                           .base_offset = 200,
                           .next_offset = 201,
                           .pos = FRAME_HEADER_BYTES,
                           .bytes = 1000,
                           .batches = 1};
    assert_int_equal(run_try_in(true, run, &before), OK);
    assert_int_equal(run_try_in(true, run, NULL), OK);
    assert_int_equal(run_try_in(false, run, NULL), ERR_CORRUPT);
    for (u32 pos = 0; pos < FRAME_HEADER_BYTES; pos++) {
        run.pos = pos;
        assert_int_equal(run_try_in(true, run, &before), ERR_CORRUPT);
        assert_int_equal(run_try_in(false, run, NULL), ERR_CORRUPT);
    }
    run.pos = 49000;
    assert_int_equal(run_try_in(true, run, &before), OK);
    assert_int_equal(run_try_in(false, run, &before), ERR_CORRUPT);
    run.pos = 99000; /* to the index */
    assert_int_equal(run_try_in(true, run, &before), OK);
    assert_int_equal(run_try_in(false, run, &before), OK);
    static const u32 beyond[] = {99001, 100000, UINT32_MAX - 999, UINT32_MAX};
    for (u32 i = 0; i < ARRAY_LEN(beyond); i++) {
        run.pos = beyond[i];
        assert_int_equal(run_try_in(true, run, &before), ERR_CORRUPT);
        assert_int_equal(run_try_in(false, run, &before), ERR_CORRUPT);
    }
    run.pos = 200;
    run.base_offset = 199;
    assert_int_equal(run_try_in(true, run, &before), ERR_CORRUPT);
    run.base_offset = 200;
    run.partition = 4;
    assert_int_equal(run_try_in(true, run, &before), ERR_CORRUPT);
    run.partition = 5;
    run.bytes = 0;
    assert_int_equal(run_try_in(true, run, &before), ERR_CORRUPT);
}

static void test_producers(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct pack_producer before = {0};
    for (u32 i = 0; i < ROUNDS; i++) {
        struct pack_producer p = {
            .partition = before.partition + (u32)rng_below(&rng, 3),
            .epoch = (i16)rng_next(&rng),
            .id = (i64)(rng_next(&rng) >> 1),
            .base_offset = rng_next(&rng) >> 1,
            .max_timestamp = (i64)rng_next(&rng),
            .first_sequence = (i32)rng_next(&rng),
            .last_sequence = (i32)rng_next(&rng),
        };
        u8 bytes[PACK_PRODUCER_BYTES];
        struct pack_producer out;
        pack_producer_encode(&p, bytes);
        assert_int_equal(pack_producer_decode(bytes, i > 0 ? &before : NULL, &out), OK);
        assert_int_equal(out.partition, p.partition);
        assert_int_equal(out.epoch, p.epoch);
        assert_int_equal(out.id, p.id);
        assert_int_equal(out.base_offset, p.base_offset);
        assert_int_equal(out.max_timestamp, p.max_timestamp);
        assert_int_equal(out.first_sequence, p.first_sequence);
        assert_int_equal(out.last_sequence, p.last_sequence);
        before = p;
    }
}

static err_t producer_try(struct pack_producer p, const struct pack_producer *before)
{
    u8 bytes[PACK_PRODUCER_BYTES];
    struct pack_producer out;
    pack_producer_encode(&p, bytes);
    return pack_producer_decode(bytes, before, &out);
}

static void test_producers_that_do_not_fit(void **state)
{
    (void)state;
    const struct pack_producer good = {.partition = 5, .id = 7};
    struct pack_producer p = good;
    assert_int_equal(producer_try(p, &good), OK);
    p.partition = 4;
    assert_int_equal(producer_try(p, &good), ERR_CORRUPT);
    p = good;
    p.id = -1;
    assert_int_equal(producer_try(p, NULL), ERR_CORRUPT);
    p = good;
    p.base_offset = (u64)INT64_MAX + 1;
    assert_int_equal(producer_try(p, NULL), ERR_CORRUPT);
    u8 bytes[PACK_PRODUCER_BYTES];
    pack_producer_encode(&good, bytes);
    bytes[6] = 1;
    assert_int_equal(pack_producer_decode(bytes, NULL, &p), ERR_CORRUPT);
}

static void test_header(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct uuid cluster = random_cluster(&rng);
    u8 bytes[PACK_HEADER_BYTES];
    struct pack_head found;
    u32 crc = pack_header_encode(cluster, 77, bytes);
    assert_int_equal(pack_header_decode(bytes, cluster, 77, &found), OK);
    assert_int_equal(found.crc, crc);
    assert_false(found.in_place);
    assert_int_equal(pack_header_decode(bytes, cluster, 78, &found), ERR_CORRUPT);
    assert_int_equal(pack_header_decode(bytes, random_cluster(&rng), 77, &found), ERR_CORRUPT);
    for (u32 bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (u8)(1u << bit % 8);
        assert_int_equal(pack_header_decode(bytes, cluster, 77, &found), ERR_CORRUPT);
        bytes[bit / 8] ^= (u8)(1u << bit % 8);
    }
    /* With a right CRC: another version is newer, all else is not what we write. */
    for (u32 at = 8; at < 124; at++) {
        bytes[at]++;
        store_le32(bytes + 124, crc32c(bytes, 124));
        assert_int_equal(pack_header_decode(bytes, cluster, 77, &found),
                         at == 8 ? ERR_VERSION : ERR_CORRUPT);
        bytes[at]--;
    }
}

/* A frame in front: its CRC is the head's, and any bit of it counts. */
static void test_header_in_place(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct uuid cluster = random_cluster(&rng);
    static u8 frame[FRAME_HEADER_BYTES + 4096] __attribute__((aligned(BLOB_ALIGN)));
    struct frame_header header = {
        .kind = FRAME_MARK, .cluster = cluster, .wal = 4, .slot = 99, .nonce = 5};
    frame_seal(frame, &header, NULL, 4096);
    struct pack_head found;
    assert_int_equal(pack_header_decode(frame, cluster, 77, &found), OK);
    assert_true(found.in_place);
    assert_int_equal(found.crc, load_le32(frame + 124));
    assert_int_equal(pack_header_decode(frame, random_cluster(&rng), 77, &found), ERR_CORRUPT);
    for (u32 bit = 0; bit < 8 * FRAME_HEADER_BYTES; bit++) {
        frame[bit / 8] ^= (u8)(1u << bit % 8);
        assert_int_equal(pack_header_decode(frame, cluster, 77, &found), ERR_CORRUPT);
        frame[bit / 8] ^= (u8)(1u << bit % 8);
    }
}

/* The index ends with the file, or follows the payload. */
static void test_index_place(void **state)
{
    (void)state;
    assert_int_equal(pack_index_bytes(0, 0), 4096);
    assert_int_equal(pack_index_bytes(63, 0), 4096);
    assert_int_equal(pack_index_bytes(63, 1), 8192);
    assert_int_equal(pack_index_bytes(1, 100), 8192);
    assert_int_equal(pack_index_place(4096, 65536, 10, 10), 65536 - 4096);
    assert_int_equal(pack_index_place(61439, 65536, 10, 10), 61440);
    assert_int_equal(pack_index_place(61440, 65536, 10, 10), 61440);
    assert_int_equal(pack_index_place(61441, 65536, 10, 10), 61441);
    assert_int_equal(pack_index_place(65536, 65536, 10, 10), 65536);
    assert_int_equal(pack_index_place(70001, 65536, 10, 10), 70001);
    for (u32 payload_end = 4096; payload_end < 70000; payload_end += 13) {
        struct pack_layout l = {0};
        u32 runs_pos = pack_index_place(payload_end, 65536, 100, 9);
        pack_layout_place(&l, runs_pos, 100, 9);
        assert_true(runs_pos >= payload_end);
        assert_true(l.total_bytes == 65536 || runs_pos == payload_end);
        assert_true(l.total_bytes >= 65536);
    }
}

static void test_trailer(void **state)
{
    (void)state;
    struct pack_layout l = {.runs_crc = 1, .producers_crc = 2, .header_crc = 3};
    pack_layout_place(&l, 5000, 10, 7);
    assert_int_equal(l.producers_pos, 5640);
    assert_int_equal(l.total_bytes, 8192);
    u8 bytes[PACK_TRAILER_BYTES];
    struct pack_layout out;
    const struct pack_head head = {.crc = l.header_crc};
    const struct pack_head other = {.crc = l.header_crc + 1};
    const struct pack_head in_place = {.crc = l.header_crc, .in_place = true};
    pack_trailer_encode(&l, 9, bytes);
    assert_int_equal(pack_trailer_decode(bytes, other, 9, 8192, &out), ERR_CORRUPT);
    assert_int_equal(pack_trailer_decode(bytes, in_place, 9, 8192, &out), ERR_CORRUPT);
    assert_int_equal(pack_trailer_decode(bytes, head, 9, 8192, &out), OK);
    assert_memory_equal(&out, &l, sizeof(l));
    assert_int_equal(pack_trailer_decode(bytes, head, 8, 8192, &out), ERR_CORRUPT);
    assert_int_equal(pack_trailer_decode(bytes, head, 9, 12288, &out), ERR_CORRUPT);
    l.in_place = true;
    pack_trailer_encode(&l, 9, bytes);
    assert_int_equal(pack_trailer_decode(bytes, head, 9, 8192, &out), ERR_CORRUPT);
    assert_int_equal(pack_trailer_decode(bytes, in_place, 9, 8192, &out), OK);
    assert_memory_equal(&out, &l, sizeof(l));
    l.in_place = false;
    pack_trailer_encode(&l, 9, bytes);
    for (u32 bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (u8)(1u << bit % 8);
        assert_int_equal(pack_trailer_decode(bytes, head, 9, 8192, &out), ERR_CORRUPT);
        bytes[bit / 8] ^= (u8)(1u << bit % 8);
    }
    for (u32 at = 40; at < 52; at++) {
        bytes[at]++;
        store_le32(bytes + 52, crc32c(bytes, 52));
        assert_int_equal(pack_trailer_decode(bytes, head, 9, 8192, &out),
                         at == 48 ? ERR_VERSION : ERR_CORRUPT);
        bytes[at]--;
    }
}

static err_t layout_try(struct pack_layout l, u64 file_bytes)
{
    u8 bytes[PACK_TRAILER_BYTES];
    struct pack_layout out;
    pack_trailer_encode(&l, 9, bytes);
    return pack_trailer_decode(bytes, (struct pack_head){.crc = l.header_crc}, 9, file_bytes, &out);
}

static void test_layouts_that_do_not_fit(void **state)
{
    (void)state;
    struct pack_layout good = {0};
    pack_layout_place(&good, 5000, 10, 7);
    assert_int_equal(layout_try(good, 8192), OK);
    struct pack_layout l = good;
    l.total_bytes = 12288;
    assert_int_equal(layout_try(l, 12288), ERR_CORRUPT); /* more padding than is needed */
    l = good;
    l.runs_pos = 4095;
    l.producers_pos = 4095 + 640;
    assert_int_equal(layout_try(l, 8192), ERR_CORRUPT);
    l = good;
    l.run_count = 11;
    assert_int_equal(layout_try(l, 8192), ERR_CORRUPT);
    l.run_count = UINT32_MAX;
    l.producers_pos = (u32)(l.runs_pos + (u64)UINT32_MAX * PACK_RUN_BYTES);
    assert_int_equal(layout_try(l, 8192), ERR_CORRUPT);
    l = good;
    l.producer_count = 100;
    assert_int_equal(layout_try(l, 8192), ERR_CORRUPT);
    l.producer_count = UINT32_MAX;
    assert_int_equal(layout_try(l, 8192), ERR_CORRUPT);
    l = (struct pack_layout){.total_bytes = PACK_BYTES_MAX + 4096u,
                             .runs_pos = PACK_BYTES_MAX,
                             .producers_pos = PACK_BYTES_MAX};
    assert_int_equal(layout_try(l, PACK_BYTES_MAX + 4096u), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_runs_that_do_not_fit),
        cmocka_unit_test(test_runs_in_place),
        cmocka_unit_test(test_producers),
        cmocka_unit_test(test_producers_that_do_not_fit),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_in_place),
        cmocka_unit_test(test_index_place),
        cmocka_unit_test(test_trailer),
        cmocka_unit_test(test_layouts_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
