/* Proves that the frame's codec keeps what it is given and notices what it is not: random frames
   come back the same, every single flipped bit outside the padding is refused, headers whose
   numbers do not fit are refused although their CRC is right, and every byte of a batch is covered
   by its entry. */
#include "../unit.h"

#include "home/frame.h"

#include "frames.h"

enum { FRAMES = 200, BATCHES_MAX = 20 };

static void random_frame(struct rng *rng, struct made_frame *out)
{
    struct frame_spec spec = {
        .kind = FRAME_DATA,
        .wal = rng_next(rng),
        .slot = rng_below(rng, 1000) + 5,
        .nonce = rng_next(rng),
        .chain = rng_next(rng),
        .batch_count = (u32)rng_below(rng, BATCHES_MAX + 1),
        .batch_bytes_max = 2000,
    };
    spec.durable_slot = spec.slot - rng_below(rng, 4);
    rng_fill(rng, spec.cluster.bytes, sizeof(spec.cluster.bytes));
    made_frame_make(rng, &spec, out);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    for (u32 i = 0; i < FRAMES; i++) {
        struct made_frame f;
        random_frame(&rng, &f);
        struct frame_header h;
        assert_int_equal(frame_header_decode(f.data, &h), OK);
        assert_int_equal(h.kind, FRAME_DATA);
        assert_true(uuid_eq(h.cluster, f.header.cluster));
        assert_int_equal(h.wal, f.header.wal);
        assert_int_equal(h.slot, f.header.slot);
        assert_int_equal(h.nonce, f.header.nonce);
        assert_int_equal(h.chain, f.header.chain);
        assert_int_equal(h.durable_slot, f.header.durable_slot);
        assert_int_equal(h.total_bytes, f.bytes);
        assert_int_equal(h.total_bytes % 4096, 0);
        assert_int_equal(h.payload_bytes, f.header.payload_bytes);
        assert_int_equal(h.index_count, f.header.index_count);
        assert_int_equal(frame_index_check(&h, f.data + h.index_pos), OK);
        assert_int_equal(frame_payload_check(&h, f.data), OK);
        assert_int_equal(frame_trailer_check(&h, f.data + f.bytes - FRAME_TRAILER_BYTES), OK);
        for (u32 k = 0; k < h.index_count; k++) {
            struct frame_entry e;
            frame_entry_decode(f.data + h.index_pos + (size_t)k * FRAME_ENTRY_BYTES, &e);
            assert_memory_equal(&e, &f.entries[k], sizeof(e));
            assert_int_equal(frame_batch_check(&e, f.data + e.pos), OK);
        }
        made_frame_free(&f);
    }
}

static bool frame_is_good(const u8 *data, u32 bytes)
{
    struct frame_header h;
    return frame_header_decode(data, &h) == OK && h.total_bytes == bytes &&
           frame_index_check(&h, data + h.index_pos) == OK && frame_payload_check(&h, data) == OK &&
           frame_trailer_check(&h, data + bytes - FRAME_TRAILER_BYTES) == OK;
}

static void test_every_flipped_bit(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    for (u32 i = 0; i < 4; i++) {
        struct made_frame f;
        random_frame(&rng, &f);
        u32 padding_start = f.header.index_pos + f.header.index_count * FRAME_ENTRY_BYTES;
        u32 padding_end = f.bytes - FRAME_TRAILER_BYTES;
        for (u32 at = 0; at < f.bytes; at++) {
            bool padding = at >= padding_start && at < padding_end;
            for (u32 bit = 0; bit < 8; bit++) {
                f.data[at] ^= (u8)(1u << bit);
                assert_int_equal(frame_is_good(f.data, f.bytes), padding);
                f.data[at] ^= (u8)(1u << bit);
            }
        }
        assert_true(frame_is_good(f.data, f.bytes));
        made_frame_free(&f);
    }
}

/* A header with a right CRC and numbers that lie: what a broken writer, not a broken disk, would
 * leave. */
static void refuse_header(const u8 *good, u32 at, u32 width, u64 value, err_t expected)
{
    u8 bad[FRAME_HEADER_BYTES];
    memcpy(bad, good, sizeof(bad));
    for (u32 i = 0; i < width; i++) {
        bad[at + i] = (u8)(value >> (8 * i));
    }
    store_le32(bad + 124, crc32c(bad, 124));
    struct frame_header h;
    assert_int_equal(frame_header_decode(bad, &h), expected);
}

static void test_numbers_that_do_not_fit(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct made_frame f;
    random_frame(&rng, &f);
    refuse_header(f.data, 8, 1, 2, ERR_VERSION);
    refuse_header(f.data, 9, 1, 0, ERR_CORRUPT);
    refuse_header(f.data, 9, 1, 6, ERR_CORRUPT);
    refuse_header(f.data, 10, 2, 1, ERR_CORRUPT);
    refuse_header(f.data, 12, 4, f.bytes - 1, ERR_CORRUPT);
    refuse_header(f.data, 12, 4, 0, ERR_CORRUPT);
    refuse_header(f.data, 64, 8, f.header.slot + 1, ERR_CORRUPT);
    refuse_header(f.data, 72, 4, UINT32_MAX, ERR_CORRUPT);
    refuse_header(f.data, 80, 4, f.header.index_pos + 64, ERR_CORRUPT);
    refuse_header(f.data, 84, 4, UINT32_MAX, ERR_CORRUPT);
    refuse_header(f.data, 84, 4, f.bytes / 64, ERR_CORRUPT);
    refuse_header(f.data, 92, 1, 1, ERR_CORRUPT);
    refuse_header(f.data, 123, 1, 1, ERR_CORRUPT);
    refuse_header(f.data, 48, 8, 17, OK); /* the helper itself is right */
    made_frame_free(&f);
}

static void check_index_of(struct frame_header *h, const struct frame_entry *entries, u32 count,
                           err_t expected)
{
    u8 frame[8192] = {0};
    h->payload_bytes = 1000;
    h->index_count = count;
    frame_seal(frame, h, entries, 4096);
    assert_int_equal(frame_index_check(h, frame + h->index_pos), expected);
}

/* frame_seal asserts a good index in slow builds, so this test writes the entries itself. */
static void test_index_rules(void **state)
{
    (void)state;
#ifndef ODRADEK_ASSERT_SLOW
    struct frame_header h = {.kind = FRAME_DATA};
    struct frame_entry good[2] = {
        {.partition = 1, .base_offset = 5, .last_offset_delta = 4, .pos = 128, .bytes = 100},
        {.partition = 1, .base_offset = 10, .pos = 228, .bytes = 900},
    };
    check_index_of(&h, good, 2, OK);
    struct frame_entry bad[2];
    memcpy(bad, good, sizeof(bad));
    bad[1].base_offset = 9; /* overlaps */
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    bad[1].base_offset = 2; /* backwards */
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    bad[1].partition = 0;
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    memcpy(bad, good, sizeof(bad));
    bad[1].bytes = 901; /* past the payload */
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    bad[1].bytes = UINT32_MAX;
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    bad[1].bytes = 0;
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    memcpy(bad, good, sizeof(bad));
    bad[0].pos = 127; /* in the header */
    check_index_of(&h, bad, 2, ERR_CORRUPT);
    memcpy(bad, good, sizeof(bad));
    bad[1].base_offset = INT64_MAX;
    check_index_of(&h, bad, 2, OK);
    bad[1].last_offset_delta = 1; /* beyond the last offset there is */
    check_index_of(&h, bad, 2, ERR_CORRUPT);
#else
    (void)check_index_of;
#endif
}

static void test_every_byte_of_a_batch(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct frame_spec spec = {.kind = FRAME_DATA, .batch_count = 1, .batch_bytes_max = 500};
    struct made_frame f;
    made_frame_make(&rng, &spec, &f);
    u8 *batch = f.data + f.entries[0].pos;
    for (u32 at = 0; at < f.entries[0].bytes; at++) {
        batch[at] ^= 0x10;
        assert_int_equal(frame_batch_check(&f.entries[0], batch), ERR_CORRUPT);
        batch[at] ^= 0x10;
    }
    assert_int_equal(frame_batch_check(&f.entries[0], batch), OK);
    made_frame_free(&f);
}

static void test_hash_depends_on_every_byte(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct made_frame f;
    random_frame(&rng, &f);
    u64 hash = frame_header_hash(f.data);
    for (u32 at = 0; at < FRAME_HEADER_BYTES; at++) {
        f.data[at] ^= 1;
        assert_true(frame_header_hash(f.data) != hash);
        f.data[at] ^= 1;
    }
    /* The formula is part of the format: 64-bit FNV-1a of 128 zero bytes. */
    u8 zeros[FRAME_HEADER_BYTES] = {0};
    u64 expected = 14695981039346656037ull;
    for (u32 i = 0; i < FRAME_HEADER_BYTES; i++) {
        expected *= 1099511628211ull;
    }
    assert_true(frame_header_hash(zeros) == expected);
    made_frame_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_flipped_bit),
        cmocka_unit_test(test_numbers_that_do_not_fit),
        cmocka_unit_test(test_index_rules),
        cmocka_unit_test(test_every_byte_of_a_batch),
        cmocka_unit_test(test_hash_depends_on_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
