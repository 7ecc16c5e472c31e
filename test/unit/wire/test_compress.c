/* Proves the codecs: random input comes back whole; what other implementations may write (members,
   frames, raw snappy, large blocks, checksums) is read; truncation at every byte and trailing bytes
   are refused; bombs and false claims stop at the caps, with memory that follows the bytes really
   produced and goes back to the quota (entries 46 and 47 of the bad-input catalogue). */
#include "../unit.h"

#include "wire/compress.h"

#include <lz4frame.h>
#include <zstd.h>

#define CAP_BYTES (16 * MIB)

enum flavour {
    FLAVOUR_GZIP,
    FLAVOUR_XERIAL,
    FLAVOUR_SNAPPY_RAW,
    FLAVOUR_LZ4,
    FLAVOUR_ZSTD,
    FLAVOURS
};

static enum codec flavour_codec(unsigned flavour)
{
    static const enum codec codecs[FLAVOURS] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_SNAPPY, CODEC_LZ4,
                                                CODEC_ZSTD};
    return codecs[flavour];
}

static void pack(unsigned flavour, int level, struct slice in, struct growing_buffer *out)
{
    err_t err = flavour == FLAVOUR_SNAPPY_RAW ? compress_snappy_raw(in, out)
                                              : compress(flavour_codec(flavour), level, in, out);
    assert_int_equal(err, OK);
}

/* Half noise, half repetition, so that every kind of token occurs. */
static void fill(struct rng *rng, u8 *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t wish = (size_t)rng_between(rng, 1, 400);
        size_t run = MIN(wish, len - at);
        if (at > 0 && rng_chance(rng, 1, 2)) {
            size_t from = (size_t)rng_below(rng, at);
            for (size_t i = 0; i < run; i++) {
                bytes[at + i] = bytes[from + i];
            }
        } else {
            rng_fill(rng, bytes + at, run);
        }
        at += run;
    }
}

static void names_go_both_ways(void **state)
{
    for (unsigned i = 0; i < CODEC_MAX; i++) {
        enum codec codec = CODEC_MAX;
        assert_int_equal(codec_parse(slice_cstr(codec_name((enum codec)i)), &codec), OK);
        assert_int_equal(codec, i);
    }
    enum codec codec;
    assert_int_equal(codec_parse(SLICE_LIT("lz5"), &codec), ERR_INVALID);
    assert_string_equal(codec_name((enum codec)7), "unknown");
}

static void what_goes_in_comes_out(void **state)
{
    struct rng rng = unit_rng();
    struct quota quota;
    quota_init(&quota, "test", NULL, 64 * MIB);
    struct decompressor d;
    decompressor_init(&d, &quota);
    static const size_t sizes[] = {0,     1,     2,     100,    32767,  32768,
                                   32769, 65536, 65537, 300000, 3000000};
    for (unsigned flavour = 0; flavour < FLAVOURS; flavour++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            u8 *bytes = mem_alloc(sizes[i] + 1);
            fill(&rng, bytes, sizes[i]);
            struct growing_buffer packed;
            growing_buffer_init(&packed, &quota);
            int level = (int)rng_below(&rng, 10);
            pack(flavour, level, (struct slice){bytes, sizes[i]}, &packed);
            struct slice out;
            assert_int_equal(decompress(&d, flavour_codec(flavour),
                                        (struct slice){packed.ptr, packed.len}, CAP_BYTES, &out),
                             OK);
            assert_true(slice_eq(out, (struct slice){bytes, sizes[i]}));
            /* Exactly at the cap is fine, one byte less is not. */
            if (sizes[i] > 0) {
                assert_int_equal(decompress(&d, flavour_codec(flavour),
                                            (struct slice){packed.ptr, packed.len}, sizes[i], &out),
                                 OK);
                assert_int_equal(out.len, sizes[i]);
                assert_int_equal(decompress(&d, flavour_codec(flavour),
                                            (struct slice){packed.ptr, packed.len}, sizes[i] - 1,
                                            &out),
                                 ERR_LIMIT);
            }
            growing_buffer_fini(&packed);
            mem_free(bytes);
        }
    }
    decompressor_reset(&d);
    assert_int_equal(quota.used, 0);
    decompressor_fini(&d);
    assert_int_equal(quota.used, 0);
}

static void none_is_a_view(void **state)
{
    struct slice out;
    struct slice in = SLICE_LIT("plain");
    assert_int_equal(decompress(NULL, CODEC_NONE, in, 5, &out), OK);
    assert_ptr_equal(out.ptr, in.ptr);
    assert_int_equal(decompress(NULL, CODEC_NONE, in, 4, &out), ERR_LIMIT);
}

static void unknown_codecs_are_refused(void **state)
{
    struct decompressor d;
    decompressor_init(&d, NULL);
    struct slice out;
    for (unsigned codec = CODEC_MAX; codec < 8; codec++) {
        assert_int_equal(decompress(&d, (enum codec)codec, SLICE_LIT("x"), 100, &out),
                         ERR_UNSUPPORTED);
    }
    decompressor_fini(&d);
}

static void cut_or_lengthened_streams_are_refused(void **state)
{
    struct rng rng = unit_rng();
    struct decompressor d;
    decompressor_init(&d, NULL);
    u8 bytes[700];
    fill(&rng, bytes, sizeof(bytes));
    struct slice out;
    for (unsigned flavour = 0; flavour < FLAVOURS; flavour++) {
        struct growing_buffer packed;
        growing_buffer_init(&packed, NULL);
        pack(flavour, 0, slice_of(bytes, sizeof(bytes)), &packed);
        for (size_t len = 0; len < packed.len; len++) {
            if (flavour == FLAVOUR_XERIAL && len == 16) {
                continue; /* the header alone is a whole stream of nothing */
            }
            u8 *cut = mem_alloc(MAX(len, 1u));
            memcpy(cut, packed.ptr, len);
            assert_int_equal(
                decompress(&d, flavour_codec(flavour), (struct slice){cut, len}, CAP_BYTES, &out),
                ERR_INVALID);
            mem_free(cut);
        }
        for (unsigned byte = 0; byte < 256; byte += 51) {
            u8 tail = (u8)byte;
            size_t len = packed.len;
            assert_int_equal(growing_buffer_append(&packed, &tail, 1), OK);
            assert_int_equal(decompress(&d, flavour_codec(flavour),
                                        (struct slice){packed.ptr, packed.len}, CAP_BYTES, &out),
                             ERR_INVALID);
            packed.len = len;
        }
        growing_buffer_fini(&packed);
    }
    decompressor_fini(&d);
}

static void members_and_frames_may_follow_each_other(void **state)
{
    struct decompressor d;
    decompressor_init(&d, NULL);
    static const unsigned flavours[] = {FLAVOUR_GZIP, FLAVOUR_ZSTD};
    struct slice out;
    for (size_t i = 0; i < ARRAY_LEN(flavours); i++) {
        struct growing_buffer packed;
        growing_buffer_init(&packed, NULL);
        pack(flavours[i], 0, SLICE_LIT("one, "), &packed);
        pack(flavours[i], 0, SLICE_LIT(""), &packed);
        pack(flavours[i], 0, SLICE_LIT("two"), &packed);
        assert_int_equal(decompress(&d, flavour_codec(flavours[i]),
                                    (struct slice){packed.ptr, packed.len}, CAP_BYTES, &out),
                         OK);
        assert_true(slice_eq_cstr(out, "one, two"));
        growing_buffer_fini(&packed);
    }
    /* Java's lz4 reader stops after the first frame: a second one would be lost to it. */
    struct growing_buffer packed;
    growing_buffer_init(&packed, NULL);
    pack(FLAVOUR_LZ4, 0, SLICE_LIT("one, "), &packed);
    pack(FLAVOUR_LZ4, 0, SLICE_LIT("two"), &packed);
    assert_int_equal(
        decompress(&d, CODEC_LZ4, (struct slice){packed.ptr, packed.len}, CAP_BYTES, &out),
        ERR_INVALID);
    growing_buffer_fini(&packed);
    decompressor_fini(&d);
}

static void lz4_frames_of_every_make(void **state)
{
    struct rng rng = unit_rng();
    struct decompressor d;
    decompressor_init(&d, NULL);
    enum { BYTES = 6 * 1000 * 1000 };
    u8 *bytes = mem_alloc(BYTES);
    fill(&rng, bytes, BYTES);
    for (unsigned round = 0; round < 64; round++) {
        size_t len = round % 2 ? BYTES : 200000;
        LZ4F_preferences_t p = {
            .frameInfo = {.blockSizeID = (LZ4F_blockSizeID_t)(LZ4F_max64KB + round / 2 % 4),
                          .blockMode = round & 8 ? LZ4F_blockLinked : LZ4F_blockIndependent,
                          .contentChecksumFlag =
                              round & 16 ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum,
                          .contentSize = round & 32 ? len : 0,
                          .blockChecksumFlag =
                              round & 16 ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum},
        };
        size_t bound = LZ4F_compressFrameBound(len, &p);
        u8 *packed = mem_alloc(bound);
        size_t packed_len = LZ4F_compressFrame(packed, bound, bytes, len, &p);
        assert_false(LZ4F_isError(packed_len));
        bool independent = packed[4] & 0x20; /* a frame of one block always is */
        struct slice out;
        err_t err = decompress(&d, CODEC_LZ4, slice_of(packed, packed_len), CAP_BYTES, &out);
        assert_int_equal(err, independent ? OK : ERR_INVALID);
        if (independent) {
            assert_true(slice_eq(out, slice_of(bytes, len)));
        }
        mem_free(packed);
    }
    mem_free(bytes);
    decompressor_fini(&d);
}

static void zstd_streams_of_every_make(void **state)
{
    struct rng rng = unit_rng();
    struct quota quota;
    quota_init(&quota, "test", NULL, 64 * MIB);
    struct decompressor d;
    decompressor_init(&d, &quota);
    enum { BYTES = 3 * 1000 * 1000 };
    u8 *bytes = mem_alloc(BYTES);
    fill(&rng, bytes, BYTES);
    memset(bytes + BYTES / 2, 'z', BYTES / 2);
    size_t bound = ZSTD_compressBound(BYTES) + 1000;
    u8 *packed = mem_alloc(bound);
    for (int window_log = 10; window_log <= 25; window_log++) {
        for (int flags = 0; flags < 4; flags++) {
            ZSTD_CCtx *c = ZSTD_createCCtx();
            ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
            ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, flags & 1);
            ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, flags >> 1);
            ZSTD_inBuffer source = {bytes, 1000, 0};
            ZSTD_outBuffer target = {packed, bound, 0};
            /* Two calls: the encoder cannot know the length at the header. */
            assert_false(ZSTD_isError(ZSTD_compressStream2(c, &target, &source, ZSTD_e_continue)));
            source.size = BYTES;
            assert_int_equal(ZSTD_compressStream2(c, &target, &source, ZSTD_e_end), 0);
            ZSTD_freeCCtx(c);
            struct slice out;
            err_t err = decompress(&d, CODEC_ZSTD, slice_of(packed, target.pos), CAP_BYTES, &out);
            if (window_log > 23) {
                assert_int_equal(err, ERR_LIMIT);
            } else {
                assert_int_equal(err, OK);
                assert_true(slice_eq(out, slice_of(bytes, BYTES)));
            }
        }
    }
    assert_true(quota.used > 8 * MIB); /* the window is accounted for */
    decompressor_reset(&d);
    assert_int_equal(quota.used, 0);
    decompressor_fini(&d);
    mem_free(packed);
    mem_free(bytes);
}

/* ---- Bombs and false claims ---- */

struct claim_case {
    const char *name;
    enum codec codec;
    err_t err;
    u8 len;
    u8 bytes[32];
};

static const struct claim_case claims[] = {
    {"raw snappy claims 4 GiB",
     CODEC_SNAPPY,
     ERR_INVALID,
     7,
     {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'}},
    {"xerial block of INT_MAX", CODEC_SNAPPY, ERR_INVALID, 21, {0x82, 'S',  'N', 'A', 'P',  'P',
                                                                'Y',  0,    0,   0,   0,    1,
                                                                0,    0,    0,   1,   0x7f, 0xff,
                                                                0xff, 0xff, 0}},
    {"xerial block of -1", CODEC_SNAPPY, ERR_INVALID, 21, {0x82, 'S', 'N',  'A',  'P',  'P',  'Y',
                                                           0,    0,   0,    0,    1,    0,    0,
                                                           0,    1,   0xff, 0xff, 0xff, 0xff, 0}},
    {"xerial block of 0", CODEC_SNAPPY, ERR_INVALID, 20, {0x82, 'S', 'N', 'A', 'P', 'P', 'Y',
                                                          0,    0,   0,   0,   1,   0,   0,
                                                          0,    1,   0,   0,   0,   0}},
    {"xerial block that claims 4 GiB",
     CODEC_SNAPPY,
     ERR_INVALID,
     26,
     {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,    0,    0,    0,    1,    0,
      0,    0,   1,   0,   0,   0,   6,   0xff, 0xff, 0xff, 0xff, 0x0f, 0}},
    {"xerial of version 0",
     CODEC_SNAPPY,
     ERR_INVALID,
     16,
     {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 0, 0, 0, 0, 1}},
    {"xerial magic only", CODEC_SNAPPY, ERR_INVALID, 8, {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}},
    {"zstd window of 2 GiB",
     CODEC_ZSTD,
     ERR_LIMIT,
     9,
     {0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0}},
    {"zstd window of the largest kind",
     CODEC_ZSTD,
     ERR_LIMIT,
     9,
     {0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 1, 0, 0}},
    {"zstd content of 2^63 in one segment",
     CODEC_ZSTD,
     ERR_LIMIT,
     16,
     {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0}},
    {"zstd content of 2^64-1, window 1 KiB",
     CODEC_ZSTD,
     ERR_LIMIT,
     17,
     {0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}},
    {"zstd content of 1 MiB, none there",
     CODEC_ZSTD,
     ERR_INVALID,
     13,
     {0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x50, 0, 0, 0x10, 0, 1, 0, 0}},
    {"zstd with a dictionary",
     CODEC_ZSTD,
     ERR_INVALID,
     10,
     {0x28, 0xb5, 0x2f, 0xfd, 1, 0, 7, 1, 0, 0}},
    {"zstd skippable frame", CODEC_ZSTD, ERR_INVALID, 9, {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0}},
    {"zstd magic only", CODEC_ZSTD, ERR_INVALID, 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {"lz4 skippable frame", CODEC_LZ4, ERR_INVALID, 9, {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0}},
    {"lz4 legacy frame",
     CODEC_LZ4,
     ERR_INVALID,
     12,
     {0x02, 0x21, 0x4c, 0x18, 3, 0, 0, 0, 0x20, 'h', 'i', 0}},
    {"lz4 block size 3",
     CODEC_LZ4,
     ERR_INVALID,
     11,
     {0x04, 0x22, 0x4d, 0x18, 0x60, 0x30, 0, 0, 0, 0, 0}},
    {"lz4 wrong header checksum",
     CODEC_LZ4,
     ERR_INVALID,
     11,
     {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0, 0, 0, 0, 0}},
    {"lz4 magic only", CODEC_LZ4, ERR_INVALID, 7, {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82}},
    {"gzip that claims 4 GiB", CODEC_GZIP, ERR_INVALID, 20, {0x1f, 0x8b, 8,    0,    0,    0,   0,
                                                             0,    0,    3,    3,    0,    0,   0,
                                                             0,    0,    0xff, 0xff, 0xff, 0xff}},
    {"gzip of another method", CODEC_GZIP, ERR_INVALID, 20, {0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 3,
                                                             3,    0,    0, 0, 0, 0, 0, 0, 0, 0}},
};

static void false_claims_cost_no_memory(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
        const struct claim_case *c = &claims[i];
        struct quota quota;
        quota_init(&quota, "test", NULL, 64 * MIB);
        struct decompressor d;
        decompressor_init(&d, &quota);
        struct slice out;
        err_t err = decompress(&d, c->codec, slice_of(c->bytes, c->len), CAP_BYTES, &out);
        if (err != c->err) {
            fail_msg("%s: got %s, want %s", c->name, err_name(err), err_name(c->err));
        }
        /* At most what the context needs: an lz4 block twice, a zstd window (here 1 MiB). */
        assert_true(quota.used_max <= (c->codec == CODEC_ZSTD ? 1536 : 136) * KIB);
        decompressor_fini(&d);
        assert_int_equal(quota.used, 0);
    }
}

/* A megabyte that would become hundreds. */
static void make_bomb(unsigned flavour, struct growing_buffer *out)
{
    enum { PIECE = 8 * 1000 * 1000 };
    u8 *zeros = mem_alloc(PIECE);
    if (flavour == FLAVOUR_GZIP) {
        struct growing_buffer member;
        growing_buffer_init(&member, NULL);
        pack(flavour, 9, slice_of(zeros, PIECE), &member);
        while (out->len < MIB) {
            assert_int_equal(growing_buffer_append(out, member.ptr, member.len), OK);
        }
        growing_buffer_fini(&member);
    } else if (flavour == FLAVOUR_ZSTD) {
        /* Run-length blocks of 128 KiB, four bytes each: 1 MiB becomes 32 GiB. */
        static const u8 header[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0x58};
        static const u8 block[] = {0x02, 0x00, 0x10, 'z'};
        assert_int_equal(growing_buffer_append(out, header, sizeof(header)), OK);
        while (out->len < MIB) {
            assert_int_equal(growing_buffer_append(out, block, sizeof(block)), OK);
        }
    } else {
        /* lz4 and snappy cannot do better than 255 and 21. */
        u8 *many = mem_alloc(10 * PIECE);
        pack(flavour, 0, slice_of(many, 10 * PIECE), out);
        mem_free(many);
    }
    mem_free(zeros);
}

static void bombs_stop_at_the_cap(void **state)
{
    for (unsigned flavour = 0; flavour < FLAVOURS; flavour++) {
        struct growing_buffer bomb;
        growing_buffer_init(&bomb, NULL);
        make_bomb(flavour, &bomb);
        struct quota quota;
        quota_init(&quota, "test", NULL, 4 * CAP_BYTES);
        struct decompressor d;
        decompressor_init(&d, &quota);
        struct slice out;
        assert_int_equal(decompress(&d, flavour_codec(flavour), (struct slice){bomb.ptr, bomb.len},
                                    CAP_BYTES, &out),
                         ERR_LIMIT);
        assert_true(quota.used_max <= 2 * CAP_BYTES + 3 * MIB);
        decompressor_reset(&d);
        assert_int_equal(quota.used, 0);

        /* Too little memory is another answer: try again later. */
        quota.cap = MIB;
        assert_int_equal(decompress(&d, flavour_codec(flavour), (struct slice){bomb.ptr, bomb.len},
                                    CAP_BYTES, &out),
                         flavour == FLAVOUR_SNAPPY_RAW ? ERR_LIMIT : ERR_NO_MEMORY);
        decompressor_fini(&d);
        assert_int_equal(quota.used, 0);
        growing_buffer_fini(&bomb);
    }
}

/* What the door promises to whoever grants memory to a worker: the output cap and
   DECOMPRESS_CONTEXT_BYTES_MAX are enough for any batches in any order. */
static void the_promised_memory_is_enough(void **state)
{
    struct rng rng = unit_rng();
    enum { BYTES = 5 * 1000 * 1000 };
    u8 *bytes = mem_alloc(BYTES);
    fill(&rng, bytes, BYTES);
    struct quota quota;
    quota_init(&quota, "test", NULL, BYTES + DECOMPRESS_CONTEXT_BYTES_MAX);
    struct decompressor d;
    decompressor_init(&d, &quota);
    size_t bound = LZ4F_compressFrameBound(BYTES, NULL) + ZSTD_compressBound(BYTES);
    u8 *packed = mem_alloc(bound);
    for (unsigned round = 0; round < 30; round++) {
        size_t len = round % 3 == 0 ? BYTES : (size_t)rng_between(&rng, 1, BYTES);
        size_t packed_len;
        enum codec codec = (enum codec)(CODEC_LZ4 + round % 2);
        if (codec == CODEC_LZ4) {
            LZ4F_preferences_t p = {
                .frameInfo = {.blockSizeID = LZ4F_max4MB, .blockMode = LZ4F_blockIndependent}};
            packed_len = LZ4F_compressFrame(packed, bound, bytes, len, &p);
        } else {
            ZSTD_CCtx *c = ZSTD_createCCtx();
            ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 23);
            ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
            packed_len = ZSTD_compress2(c, packed, bound, bytes, len);
            ZSTD_freeCCtx(c);
        }
        struct slice out;
        assert_int_equal(decompress(&d, codec, slice_of(packed, packed_len), BYTES, &out), OK);
        assert_true(slice_eq(out, slice_of(bytes, len)));
    }
    decompressor_fini(&d);
    assert_int_equal(quota.used, 0);
    mem_free(packed);
    mem_free(bytes);
}

static void the_ratio_has_a_floor(void **state)
{
    struct decompressor d;
    decompressor_init(&d, NULL);
    u8 *zeros = mem_alloc(8 * MIB);
    struct growing_buffer packed;
    growing_buffer_init(&packed, NULL);
    struct slice out;
    /* A megabyte of zeros is a few dozen bytes of zstd: odd, not an attack. */
    pack(FLAVOUR_ZSTD, 0, slice_of(zeros, MIB), &packed);
    assert_true(packed.len * DECOMPRESS_RATIO_MAX < MIB);
    assert_int_equal(
        decompress(&d, CODEC_ZSTD, (struct slice){packed.ptr, packed.len}, CAP_BYTES, &out), OK);
    assert_int_equal(out.len, MIB);
    packed.len = 0;
    pack(FLAVOUR_ZSTD, 0, slice_of(zeros, 8 * MIB), &packed);
    assert_true(packed.len * DECOMPRESS_RATIO_MAX < 8 * MIB);
    assert_int_equal(
        decompress(&d, CODEC_ZSTD, (struct slice){packed.ptr, packed.len}, CAP_BYTES, &out),
        ERR_LIMIT);
    growing_buffer_fini(&packed);
    mem_free(zeros);
    decompressor_fini(&d);
}

/* ---- Random damage ---- */

static void damaged_streams_never_crash(void **state)
{
    struct rng rng = unit_rng();
    struct quota quota;
    quota_init(&quota, "test", NULL, 32 * MIB);
    struct decompressor d;
    decompressor_init(&d, &quota);
    u8 bytes[2000];
    for (unsigned round = 0; round < 20000; round++) {
        unsigned flavour = (unsigned)rng_below(&rng, FLAVOURS);
        size_t len = (size_t)rng_below(&rng, sizeof(bytes));
        fill(&rng, bytes, len);
        struct growing_buffer packed;
        growing_buffer_init(&packed, NULL);
        pack(flavour, 0, slice_of(bytes, len), &packed);
        u8 *damaged = mem_alloc(packed.len);
        memcpy(damaged, packed.ptr, packed.len);
        for (u64 hits = rng_between(&rng, 1, 4); hits > 0; hits--) {
            damaged[rng_below(&rng, packed.len)] = (u8)rng_next(&rng);
        }
        struct slice out;
        err_t err =
            decompress(&d, flavour_codec(flavour), (struct slice){damaged, packed.len}, MIB, &out);
        assert_true(err == OK || err == ERR_INVALID || err == ERR_LIMIT);
        mem_free(damaged);
        growing_buffer_fini(&packed);
    }
    decompressor_fini(&d);
    assert_int_equal(quota.used, 0);
}

/* ---- The buffer ---- */

static void the_buffer_keeps_to_its_quota(void **state)
{
    struct quota quota;
    quota_init(&quota, "test", NULL, 5000);
    struct growing_buffer b;
    growing_buffer_init(&b, &quota);
    for (u32 i = 0; i < 5000; i++) {
        u8 byte = (u8)i;
        assert_int_equal(growing_buffer_append(&b, &byte, 1), OK);
        assert_true(quota.used == b.cap && b.cap <= 5000);
    }
    assert_int_equal(growing_buffer_append(&b, "x", 1), ERR_NO_MEMORY);
    assert_int_equal(b.len, 5000);
    for (u32 i = 0; i < 5000; i++) {
        assert_int_equal(b.ptr[i], (u8)i);
    }
    assert_int_equal(growing_buffer_reserve(&b, SIZE_MAX), ERR_LIMIT);
    growing_buffer_fini(&b);
    assert_int_equal(quota.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(none_is_a_view),
        cmocka_unit_test(unknown_codecs_are_refused),
        cmocka_unit_test(cut_or_lengthened_streams_are_refused),
        cmocka_unit_test(members_and_frames_may_follow_each_other),
        cmocka_unit_test(lz4_frames_of_every_make),
        cmocka_unit_test(zstd_streams_of_every_make),
        cmocka_unit_test(false_claims_cost_no_memory),
        cmocka_unit_test(bombs_stop_at_the_cap),
        cmocka_unit_test(the_promised_memory_is_enough),
        cmocka_unit_test(the_ratio_has_a_floor),
        cmocka_unit_test(damaged_streams_never_crash),
        cmocka_unit_test(the_buffer_keeps_to_its_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
