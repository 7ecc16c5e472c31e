/* Proves the record batch: what is built is read back, with every codec, at random; each violation
   a produced batch can commit earns the error that batch.h promises (entries 39-56 of the bad-input
   catalogue, as far as they concern the batch itself); a batch cut at any byte, or with any byte
   changed, is refused or read, never a crash (cut on the heap, where the sanitizer watches). */
#include "../unit.h"

#include "wire/batch.h"
#include "wire/error.h"

#define NOW_MS  1700000000000
#define HOUR_MS (3600 * 1000)

static const struct batch_policy usual_policy = {
    .timestamp_type = TIMESTAMP_CREATE_TIME,
    .before_max_ms = INT64_MAX,
    .after_max_ms = HOUR_MS,
    .max_message_bytes = 1048588,
    .segment_bytes = 1 << 30,
    .produce_version = 12,
    .max_decompressed_bytes = 16 * MIB,
};

/* ---- Batches made by hand, so that they can be wrong ---- */

struct craft {
    u8 bytes[4096];
    struct writer w;
};

static void craft_begin(struct craft *c)
{
    c->w = writer_of(c->bytes, sizeof(c->bytes));
    write_zeros(&c->w, BATCH_HEADER_BYTES);
}

/* A record whose parts are given as they stand on the wire. */
static void craft_record(struct craft *c, i64 timestamp_delta, i32 offset_delta, const char *key,
                         const char *value)
{
    size_t key_len = key ? strlen(key) : 0;
    size_t value_len = value ? strlen(value) : 0;
    size_t length = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta) +
                    varint_size(key ? (i32)key_len : -1) + key_len +
                    varint_size(value ? (i32)value_len : -1) + value_len + 1;
    write_varint(&c->w, (i32)length);
    write_u8(&c->w, 0);
    write_varlong(&c->w, timestamp_delta);
    write_varint(&c->w, offset_delta);
    write_varint(&c->w, key ? (i32)key_len : -1);
    write_bytes(&c->w, key, key_len);
    write_varint(&c->w, value ? (i32)value_len : -1);
    write_bytes(&c->w, value, value_len);
    write_varint(&c->w, 0);
}

static void fix_crc(u8 *batch, size_t len)
{
    store_be32(batch + BATCH_AT_CRC,
               crc32c(batch + BATCH_AT_ATTRIBUTES, len - BATCH_AT_ATTRIBUTES));
}

static struct slice craft_end(struct craft *c, unsigned attributes, i32 count)
{
    assert_false(c->w.failed);
    u8 *b = c->bytes;
    store_be32(b + BATCH_AT_LENGTH, (u32)(c->w.len - BATCH_PREFIX_BYTES));
    store_be32(b + BATCH_AT_LEADER_EPOCH, UINT32_MAX);
    b[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_be16(b + BATCH_AT_ATTRIBUTES, (u16)attributes);
    store_be32(b + BATCH_AT_LAST_OFFSET_DELTA, (u32)(count - 1));
    store_be64(b + BATCH_AT_BASE_TIMESTAMP, (u64)NOW_MS);
    store_be64(b + BATCH_AT_MAX_TIMESTAMP, (u64)NOW_MS);
    store_be64(b + BATCH_AT_PRODUCER_ID, UINT64_MAX);
    store_be16(b + BATCH_AT_PRODUCER_EPOCH, UINT16_MAX);
    store_be32(b + BATCH_AT_BASE_SEQUENCE, UINT32_MAX);
    store_be32(b + BATCH_AT_RECORD_COUNT, (u32)count);
    fix_crc(b, c->w.len);
    return (struct slice){b, c->w.len};
}

static struct slice craft_usual(struct craft *c)
{
    craft_begin(c);
    craft_record(c, 0, 0, "k0", "v0");
    craft_record(c, 1, 1, NULL, "v1");
    craft_record(c, 2, 2, "k2", NULL);
    return craft_end(c, 0, 3);
}

/* Both steps, as the broker runs them. */
static struct batch_verdict verify(struct slice field, const struct batch_policy *policy,
                                   struct batch_summary *sum)
{
    struct batch_view view;
    struct batch_verdict v;
    if (!batch_verify_header(field, policy, NOW_MS, &view, &v)) {
        assert_int_not_equal(v.kerr, KERR_NONE);
        assert_non_null(v.message);
        return v;
    }
    struct decompressor d;
    decompressor_init(&d, NULL);
    assert_int_equal(batch_verify_records(&view, policy, NOW_MS, &d, sum, &v), OK);
    assert_true((v.kerr == KERR_NONE) == (v.message == NULL));
    decompressor_fini(&d);
    return v;
}

static i16 verify_kerr(struct slice field, const struct batch_policy *policy)
{
    struct batch_summary sum;
    return verify(field, policy, &sum).kerr;
}

/* ---- The header ---- */

static void a_usual_batch_is_accepted(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    struct batch_summary sum;
    struct batch_verdict v = verify(in, &usual_policy, &sum);
    assert_int_equal(v.kerr, KERR_NONE);
    assert_int_equal(v.error_count, 0);
    assert_int_equal(sum.max_timestamp, NOW_MS + 2);
    assert_int_equal(sum.max_timestamp_offset_delta, 2);
    assert_true(sum.max_timestamp_differs); /* the header said NOW_MS */
    batch_set_max_timestamp(c.bytes, TIMESTAMP_CREATE_TIME, sum.max_timestamp);
    v = verify(in, &usual_policy, &sum);
    assert_int_equal(v.kerr, KERR_NONE);
    assert_false(sum.max_timestamp_differs);
}

/* One header field set to a value, the CRC made right again, and what that earns. */
struct header_case {
    const char *name;
    size_t at;
    size_t width;
    u64 value;
    i16 kerr;
};

static const struct header_case header_cases[] = {
    {"length -1", BATCH_AT_LENGTH, 4, UINT32_MAX, KERR_CORRUPT_MESSAGE},
    {"length INT_MIN", BATCH_AT_LENGTH, 4, 0x80000000u, KERR_CORRUPT_MESSAGE},
    {"length 0", BATCH_AT_LENGTH, 4, 0, KERR_CORRUPT_MESSAGE},
    {"length 13", BATCH_AT_LENGTH, 4, 13, KERR_CORRUPT_MESSAGE},
    {"length INT_MAX", BATCH_AT_LENGTH, 4, INT32_MAX, KERR_INVALID_RECORD},
    {"magic 0", BATCH_AT_MAGIC, 1, 0, KERR_INVALID_RECORD},
    {"magic 1", BATCH_AT_MAGIC, 1, 1, KERR_INVALID_RECORD},
    {"magic 3", BATCH_AT_MAGIC, 1, 3, KERR_CORRUPT_MESSAGE},
    {"magic -1", BATCH_AT_MAGIC, 1, 0xFF, KERR_CORRUPT_MESSAGE},
    {"base offset 1", BATCH_AT_BASE_OFFSET, 8, 1, KERR_INVALID_RECORD},
    {"base offset -1", BATCH_AT_BASE_OFFSET, 8, UINT64_MAX, KERR_INVALID_RECORD},
    {"leader epoch 0 (Sarama)", BATCH_AT_LEADER_EPOCH, 4, 0, KERR_NONE},
    {"leader epoch 77", BATCH_AT_LEADER_EPOCH, 4, 77, KERR_NONE},
    {"count 0", BATCH_AT_RECORD_COUNT, 4, 0, KERR_INVALID_RECORD},
    {"count -1", BATCH_AT_RECORD_COUNT, 4, UINT32_MAX, KERR_INVALID_RECORD},
    {"count 2", BATCH_AT_RECORD_COUNT, 4, 2, KERR_INVALID_RECORD},
    {"count 4", BATCH_AT_RECORD_COUNT, 4, 4, KERR_INVALID_RECORD},
    {"count INT_MAX", BATCH_AT_RECORD_COUNT, 4, INT32_MAX, KERR_INVALID_RECORD},
    {"last offset delta -1", BATCH_AT_LAST_OFFSET_DELTA, 4, UINT32_MAX, KERR_INVALID_RECORD},
    {"last offset delta 1", BATCH_AT_LAST_OFFSET_DELTA, 4, 1, KERR_INVALID_RECORD},
    {"last offset delta INT_MAX", BATCH_AT_LAST_OFFSET_DELTA, 4, INT32_MAX, KERR_INVALID_RECORD},
    {"codec 5", BATCH_AT_ATTRIBUTES, 2, 5, KERR_UNSUPPORTED_COMPRESSION_TYPE},
    {"codec 6", BATCH_AT_ATTRIBUTES, 2, 6, KERR_UNSUPPORTED_COMPRESSION_TYPE},
    {"codec 7", BATCH_AT_ATTRIBUTES, 2, 7, KERR_UNSUPPORTED_COMPRESSION_TYPE},
    {"codec gzip, bytes plain", BATCH_AT_ATTRIBUTES, 2, 1, KERR_INVALID_RECORD},
    {"codec snappy, bytes plain", BATCH_AT_ATTRIBUTES, 2, 2, KERR_INVALID_RECORD},
    {"codec lz4, bytes plain", BATCH_AT_ATTRIBUTES, 2, 3, KERR_INVALID_RECORD},
    {"codec zstd, bytes plain", BATCH_AT_ATTRIBUTES, 2, 4, KERR_INVALID_RECORD},
    {"LogAppendTime from a client", BATCH_AT_ATTRIBUTES, 2, 0x08, KERR_INVALID_TIMESTAMP},
    {"transactional, no producer", BATCH_AT_ATTRIBUTES, 2, 0x10, KERR_INVALID_RECORD},
    {"control bit", BATCH_AT_ATTRIBUTES, 2, 0x20, KERR_INVALID_RECORD},
    {"delete horizon bit", BATCH_AT_ATTRIBUTES, 2, 0x40, KERR_INVALID_RECORD},
    {"unknown bit 7", BATCH_AT_ATTRIBUTES, 2, 0x80, KERR_INVALID_RECORD},
    {"unknown bit 15", BATCH_AT_ATTRIBUTES, 2, 0x8000, KERR_INVALID_RECORD},
    {"producer id, no sequence", BATCH_AT_PRODUCER_ID, 8, 7, KERR_INVALID_RECORD},
    {"producer id -2 is none", BATCH_AT_PRODUCER_ID, 8, UINT64_MAX - 1, KERR_NONE},
    {"max timestamp is not believed", BATCH_AT_MAX_TIMESTAMP, 8, 0, KERR_NONE},
    {"base timestamp far ahead", BATCH_AT_BASE_TIMESTAMP, 8, NOW_MS + HOUR_MS + 1,
     KERR_INVALID_TIMESTAMP},
    {"base timestamp INT64_MIN", BATCH_AT_BASE_TIMESTAMP, 8, 1ull << 63, KERR_INVALID_TIMESTAMP},
    {"base timestamp in the year 292277026", BATCH_AT_BASE_TIMESTAMP, 8, INT64_MAX - 2,
     KERR_INVALID_TIMESTAMP},
    {"base timestamp 0", BATCH_AT_BASE_TIMESTAMP, 8, 0, KERR_NONE},
};

static void a_wrong_header_field_earns_its_error(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(header_cases); i++) {
        const struct header_case *hc = &header_cases[i];
        struct craft c;
        struct slice in = craft_usual(&c);
        for (size_t k = 0; k < hc->width; k++) {
            c.bytes[hc->at + k] = (u8)(hc->value >> (8 * (hc->width - 1 - k)));
        }
        fix_crc(c.bytes, in.len);
        i16 kerr = verify_kerr(in, &usual_policy);
        if (kerr != hc->kerr) {
            fail_msg("%s: got %s, want %s", hc->name, kerr_name(kerr), kerr_name(hc->kerr));
        }
    }
}

static void a_wrong_crc_is_corrupt(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    /* Every bit the CRC covers, and the CRC itself. */
    for (size_t bit = BATCH_AT_CRC * 8; bit < in.len * 8; bit++) {
        c.bytes[bit / 8] ^= (u8)(1u << (bit % 8));
        assert_int_equal(verify_kerr(in, &usual_policy), KERR_CORRUPT_MESSAGE);
        c.bytes[bit / 8] ^= (u8)(1u << (bit % 8));
    }
    /* What lies before it is the broker's to write. */
    store_be32(c.bytes + BATCH_AT_LEADER_EPOCH, 12345);
    assert_int_equal(verify_kerr(in, &usual_policy), KERR_NONE);
}

static void exactly_one_whole_batch(void **state)
{
    struct craft c;
    struct slice one = craft_usual(&c);
    assert_int_equal(verify_kerr((struct slice){NULL, 0}, &usual_policy), KERR_INVALID_RECORD);
    for (size_t len = 0; len < one.len; len++) {
        u8 *cut = mem_alloc(MAX(len, 1u));
        memcpy(cut, one.ptr, len);
        assert_int_equal(verify_kerr((struct slice){cut, len}, &usual_policy), KERR_INVALID_RECORD);
        mem_free(cut);
    }

    u8 *two = mem_alloc(2 * one.len);
    memcpy(two, one.ptr, one.len);
    memcpy(two + one.len, one.ptr, one.len);
    assert_int_equal(verify_kerr((struct slice){two, 2 * one.len}, &usual_policy),
                     KERR_INVALID_RECORD);
    /* A piece of a second batch is left out, as Kafka does. */
    for (size_t tail = 1; tail < one.len; tail++) {
        struct batch_view view;
        struct batch_verdict v;
        struct slice in = {two, one.len + tail};
        assert_true(batch_verify_header(in, &usual_policy, NOW_MS, &view, &v));
        assert_int_equal(view.whole.len, one.len);
    }
    /* What cannot be a piece of a batch is corruption. */
    memset(two + one.len, 0, one.len);
    assert_int_equal(verify_kerr((struct slice){two, one.len + 11}, &usual_policy), KERR_NONE);
    assert_int_equal(verify_kerr((struct slice){two, one.len + 12}, &usual_policy),
                     KERR_CORRUPT_MESSAGE);
    mem_free(two);
}

static void a_batch_shorter_than_its_header_is_corrupt(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    for (u32 length = 14; length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES; length++) {
        store_be32(c.bytes + BATCH_AT_LENGTH, length);
        assert_int_equal(
            verify_kerr((struct slice){in.ptr, length + BATCH_PREFIX_BYTES}, &usual_policy),
            KERR_CORRUPT_MESSAGE);
    }
}

static void limits_count_the_whole_batch(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    struct batch_policy policy = usual_policy;
    policy.max_message_bytes = (i64)in.len;
    assert_int_equal(verify_kerr(in, &policy), KERR_NONE);
    policy.max_message_bytes = (i64)in.len - 1;
    assert_int_equal(verify_kerr(in, &policy), KERR_MESSAGE_TOO_LARGE);
    policy = usual_policy;
    policy.segment_bytes = (i64)in.len;
    assert_int_equal(verify_kerr(in, &policy), KERR_NONE);
    policy.segment_bytes = (i64)in.len - 1;
    assert_int_equal(verify_kerr(in, &policy), KERR_RECORD_LIST_TOO_LARGE);
}

static void two_faults_earn_the_first_one_kafka_sees(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    struct batch_policy small = usual_policy;
    small.max_message_bytes = 10;
    c.bytes[BATCH_AT_CRC] ^= 1;
    assert_int_equal(verify_kerr(in, &small), KERR_MESSAGE_TOO_LARGE); /* before the CRC */
    store_be64(c.bytes + BATCH_AT_BASE_OFFSET, 1);
    assert_int_equal(verify_kerr(in, &small), KERR_INVALID_RECORD); /* before the size */
    store_be64(c.bytes + BATCH_AT_BASE_OFFSET, 0);
    store_be16(c.bytes + BATCH_AT_ATTRIBUTES, BATCH_ATTRIBUTE_CONTROL);
    assert_int_equal(verify_kerr(in, &usual_policy), KERR_CORRUPT_MESSAGE); /* CRC, then control */
}

static void zstd_needs_produce_7(void **state)
{
    struct batch_builder_options options = batch_builder_plain();
    options.codec = CODEC_ZSTD;
    struct batch_builder b;
    batch_builder_init(&b, &options);
    assert_int_equal(batch_builder_add(&b, NOW_MS, SLICE_LIT("k"), SLICE_LIT("v"), NULL, 0), OK);
    struct slice in;
    assert_int_equal(batch_builder_finish(&b, &in), OK);
    struct batch_policy policy = usual_policy;
    policy.produce_version = 6;
    assert_int_equal(verify_kerr(in, &policy), KERR_UNSUPPORTED_COMPRESSION_TYPE);
    policy.produce_version = 7;
    assert_int_equal(verify_kerr(in, &policy), KERR_NONE);
    batch_builder_fini(&b);
}

/* ---- The records ---- */

static void hex_records(struct craft *c, const char *hex)
{
    for (; *hex; hex += 2) {
        while (*hex == ' ') {
            hex++;
        }
        unsigned byte = 0;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        write_u8(&c->w, (u8)byte);
    }
}

/* A record: length, attributes, timestamp delta, offset delta, key, value, headers. Lengths are
   zig-zag: 02 is 1, 01 is -1. */
struct record_case {
    const char *name;
    const char *hex;
    i32 count;
    i16 kerr;
    i32 bad_index;
};

static const struct record_case record_cases[] = {
    {"null key and value", "0c 00 00 00 01 01 00", 1, KERR_NONE, -1},
    {"empty key and value", "0c 00 00 00 00 00 00", 1, KERR_NONE, -1},
    {"attributes of a record are ignored", "0c ff 00 00 01 01 00", 1, KERR_NONE, -1},
    {"varints longer than needed", "16 00 80 00 80 00 81 00 81 00 80 00", 1, KERR_NONE, -1},
    {"no records", "", 1, KERR_INVALID_RECORD, 0},
    {"one of two missing", "0c 00 00 00 01 01 00", 2, KERR_INVALID_RECORD, 1},
    {"bytes remain", "0c 00 00 00 01 01 00 00", 1, KERR_INVALID_RECORD, 0},
    {"one too many", "0c 00 00 00 01 01 00 0c 00 00 02 01 01 00", 1, KERR_INVALID_RECORD, 0},
    {"length 0", "00", 1, KERR_INVALID_RECORD, 0},
    {"length -1", "01", 1, KERR_INVALID_RECORD, 0},
    {"length INT_MAX", "fe ff ff ff 0f", 1, KERR_INVALID_RECORD, 0},
    {"length INT_MIN", "ff ff ff ff 0f", 1, KERR_INVALID_RECORD, 0},
    {"length of six bytes", "8c 80 80 80 80 00 00 00 00 01 01 00", 1, KERR_INVALID_RECORD, 0},
    {"length past 32 bits", "8c 80 80 80 10 00 00 00 01 01 00", 1, KERR_INVALID_RECORD, 0},
    {"length reaches over the next", "0e 00 00 00 01 01 00 0c 00 00 02 01 01 00", 2,
     KERR_INVALID_RECORD, 0},
    {"length stops inside", "0a 00 00 00 01 01 00", 1, KERR_INVALID_RECORD, 0},
    {"timestamp of eleven bytes", "20 00 80 80 80 80 80 80 80 80 80 80 00 00 01 01 00", 1,
     KERR_INVALID_RECORD, 0},
    {"timestamp past 64 bits", "1e 00 80 80 80 80 80 80 80 80 80 02 00 01 01 00", 1,
     KERR_INVALID_RECORD, 0},
    {"offset delta 1 first", "0c 00 00 02 01 01 00", 1, KERR_INVALID_RECORD, 0},
    {"offset delta -1", "0c 00 00 01 01 01 00", 1, KERR_INVALID_RECORD, 0},
    {"offset delta twice", "0c 00 00 00 01 01 00 0c 00 00 00 01 01 00", 2, KERR_INVALID_RECORD, 1},
    {"offset delta with a gap", "0c 00 00 00 01 01 00 0c 00 00 04 01 01 00", 2, KERR_INVALID_RECORD,
     1},
    {"key length -2", "0c 00 00 00 03 01 00", 1, KERR_INVALID_RECORD, 0},
    {"key reaches into the next record", "0c 00 00 00 40 01 00 0c 00 00 02 01 01 00", 2,
     KERR_INVALID_RECORD, 0},
    {"value length INT_MAX", "14 00 00 00 01 fe ff ff ff 0f 00", 1, KERR_INVALID_RECORD, 0},
    {"header count -1", "0c 00 00 00 01 01 01", 1, KERR_INVALID_RECORD, 0},
    {"header count INT_MAX", "14 00 00 00 01 01 fe ff ff ff 0f", 1, KERR_INVALID_RECORD, 0},
    {"header count above the bytes", "10 00 00 00 01 01 04 00 01", 1, KERR_INVALID_RECORD, 0},
    {"header", "12 00 00 00 01 01 02 02 61 01", 1, KERR_NONE, -1},
    {"header with empty key and value", "10 00 00 00 01 01 02 00 00", 1, KERR_NONE, -1},
    {"null header key", "10 00 00 00 01 01 02 01 01", 1, KERR_INVALID_RECORD, 0},
    {"header value length -2", "10 00 00 00 01 01 02 00 03", 1, KERR_INVALID_RECORD, 0},
    {"bytes after the headers", "12 00 00 00 01 01 02 00 00 00", 1, KERR_INVALID_RECORD, 0},
};

static void a_wrong_record_earns_its_error(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(record_cases); i++) {
        const struct record_case *rc = &record_cases[i];
        /* The same records plain and in each codec: the walk must not care. */
        for (unsigned codec = CODEC_NONE; codec < CODEC_MAX; codec++) {
            struct craft c;
            craft_begin(&c);
            hex_records(&c, rc->hex);
            size_t records_len = c.w.len - BATCH_HEADER_BYTES;
            struct growing_buffer packed;
            growing_buffer_init(&packed, NULL);
            assert_int_equal(compress((enum codec)codec, 0,
                                      slice_of(c.bytes + BATCH_HEADER_BYTES, records_len), &packed),
                             OK);
            craft_begin(&c);
            write_bytes(&c.w, packed.ptr, packed.len);
            growing_buffer_fini(&packed);
            struct slice in = craft_end(&c, codec, rc->count);
            struct batch_summary sum;
            struct batch_verdict v = verify(in, &usual_policy, &sum);
            if (v.kerr != rc->kerr) {
                fail_msg("%s (%s): got %s, want %s", rc->name, codec_name((enum codec)codec),
                         kerr_name(v.kerr), kerr_name(rc->kerr));
            }
            assert_int_equal(v.error_count, rc->bad_index < 0 ? 0 : 1);
            if (rc->bad_index >= 0) {
                assert_int_equal(v.errors[0].index, rc->bad_index);
                assert_non_null(v.errors[0].message);
            }
        }
    }
}

static void compacted_topics_want_keys(void **state)
{
    struct craft c;
    craft_begin(&c);
    for (i32 i = 0; i < 20; i++) {
        craft_record(&c, 0, i, i % 2 ? NULL : "", "v"); /* an empty key is a key */
    }
    struct slice in = craft_end(&c, 0, 20);
    struct batch_policy policy = usual_policy;
    assert_int_equal(verify_kerr(in, &policy), KERR_NONE);
    policy.compacted = true;
    struct batch_summary sum;
    struct batch_verdict v = verify(in, &policy, &sum);
    assert_int_equal(v.kerr, KERR_INVALID_RECORD);
    assert_int_equal(v.error_count, BATCH_RECORD_ERRORS_MAX);
    for (i32 i = 0; i < BATCH_RECORD_ERRORS_MAX; i++) {
        assert_int_equal(v.errors[i].index, 2 * i + 1);
    }
}

static void timestamps_are_judged_one_by_one(void **state)
{
    struct batch_policy policy = usual_policy;
    policy.before_max_ms = HOUR_MS;
    static const struct {
        i64 delta;
        i16 kerr;
    } cases[] = {
        {0, KERR_NONE},
        {HOUR_MS, KERR_NONE},
        {HOUR_MS + 1, KERR_INVALID_TIMESTAMP},
        {-HOUR_MS, KERR_NONE},
        {-HOUR_MS - 1, KERR_INVALID_TIMESTAMP},
        {-NOW_MS - 1, KERR_NONE}, /* -1: no timestamp */
        {-NOW_MS - 2, KERR_INVALID_TIMESTAMP},
        {INT64_MAX, KERR_INVALID_TIMESTAMP},
        {INT64_MIN, KERR_INVALID_TIMESTAMP},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct craft c;
        craft_begin(&c);
        craft_record(&c, 0, 0, "k", "v");
        craft_record(&c, cases[i].delta, 1, "k", "v");
        struct slice in = craft_end(&c, 0, 2);
        struct batch_summary sum;
        struct batch_verdict v = verify(in, &policy, &sum);
        assert_int_equal(v.kerr, cases[i].kerr);
        assert_int_equal(v.error_count, v.kerr ? 1 : 0);
        if (v.kerr) {
            assert_int_equal(v.errors[0].index, 1);
        }
        /* The broker's own clock is not judged by the producer's. */
        policy.timestamp_type = TIMESTAMP_LOG_APPEND_TIME;
        v = verify(in, &policy, &sum);
        assert_int_equal(v.kerr, KERR_NONE);
        assert_int_equal(sum.max_timestamp, NOW_MS);
        assert_true(sum.max_timestamp_differs);
        policy.timestamp_type = TIMESTAMP_CREATE_TIME;
    }
}

static void a_bad_timestamp_outweighs_a_missing_key(void **state)
{
    struct batch_policy policy = usual_policy;
    policy.compacted = true;
    struct craft c;
    craft_begin(&c);
    craft_record(&c, HOUR_MS + 1, 0, NULL, "v"); /* the key is looked at first */
    craft_record(&c, 0, 1, "k", "v");
    struct slice in = craft_end(&c, 0, 2);
    struct batch_summary sum;
    struct batch_verdict v = verify(in, &policy, &sum);
    assert_int_equal(v.kerr, KERR_INVALID_RECORD);
    assert_int_equal(v.error_count, 1);

    craft_begin(&c);
    craft_record(&c, 0, 0, NULL, "v");
    craft_record(&c, HOUR_MS + 1, 1, "k", "v");
    in = craft_end(&c, 0, 2);
    v = verify(in, &policy, &sum);
    assert_int_equal(v.kerr, KERR_INVALID_TIMESTAMP);
    assert_int_equal(v.error_count, 2);
}

/* ---- Compressed batches that attack ---- */

static struct slice craft_compressed(struct craft *c, enum codec codec, const void *bytes,
                                     size_t len)
{
    craft_begin(c);
    write_bytes(&c->w, bytes, len);
    return craft_end(c, (unsigned)codec, 1);
}

static void expansion_beyond_the_cap_is_too_large(void **state)
{
    u8 *zeros = mem_alloc(2 * MIB);
    for (unsigned codec = CODEC_GZIP; codec < CODEC_MAX; codec++) {
        struct batch_builder_options options = batch_builder_plain();
        options.codec = (enum codec)codec;
        struct batch_builder b;
        batch_builder_init(&b, &options);
        assert_int_equal(
            batch_builder_add(&b, NOW_MS, slice_of(zeros, 1), slice_of(zeros, 2 * MIB), NULL, 0),
            OK);
        struct slice in;
        assert_int_equal(batch_builder_finish(&b, &in), OK);
        struct batch_policy policy = usual_policy;
        policy.max_decompressed_bytes = 2 * MIB; /* the record is a little more */
        assert_int_equal(verify_kerr(in, &policy), KERR_MESSAGE_TOO_LARGE);
        batch_builder_fini(&b);
    }
    mem_free(zeros);
}

static void trailing_and_missing_compressed_bytes(void **state)
{
    static const u8 record[] = {0x0c, 0, 0, 0, 1, 1, 0};
    for (unsigned codec = CODEC_GZIP; codec < CODEC_MAX; codec++) {
        struct growing_buffer packed;
        growing_buffer_init(&packed, NULL);
        assert_int_equal(compress((enum codec)codec, 0, slice_of(record, sizeof(record)), &packed),
                         OK);
        struct craft c;
        assert_int_equal(
            verify_kerr(craft_compressed(&c, (enum codec)codec, packed.ptr, packed.len),
                        &usual_policy),
            KERR_NONE);
        for (size_t len = 0; len < packed.len; len++) {
            assert_int_equal(verify_kerr(craft_compressed(&c, (enum codec)codec, packed.ptr, len),
                                         &usual_policy),
                             KERR_INVALID_RECORD);
        }
        assert_int_equal(growing_buffer_append(&packed, "\0", 1), OK);
        assert_int_equal(
            verify_kerr(craft_compressed(&c, (enum codec)codec, packed.ptr, packed.len),
                        &usual_policy),
            KERR_INVALID_RECORD);
        growing_buffer_fini(&packed);
    }
}

static void a_full_quota_decides_nothing(void **state)
{
    struct batch_builder_options options = batch_builder_plain();
    options.codec = CODEC_GZIP;
    struct batch_builder b;
    batch_builder_init(&b, &options);
    u8 value[3000];
    struct rng rng = unit_rng();
    rng_fill(&rng, value, sizeof(value));
    assert_int_equal(
        batch_builder_add(&b, NOW_MS, SLICE_LIT("k"), slice_of(value, sizeof(value)), NULL, 0), OK);
    struct slice in;
    assert_int_equal(batch_builder_finish(&b, &in), OK);

    struct quota quota;
    quota_init(&quota, "scratch", NULL, 2048);
    struct decompressor d;
    decompressor_init(&d, &quota);
    struct batch_view view;
    struct batch_verdict v;
    struct batch_summary sum;
    assert_true(batch_verify_header(in, &usual_policy, NOW_MS, &view, &v));
    assert_int_equal(batch_verify_records(&view, &usual_policy, NOW_MS, &d, &sum, &v),
                     ERR_NO_MEMORY);
    decompressor_fini(&d);
    assert_int_equal(quota.used, 0);
    batch_builder_fini(&b);
}

/* Entry 56: many headers, many tiny records; linear, and well within a request. */
static void many_small_things(void **state)
{
    enum { HEADERS = 1000 * 1000, RECORDS = 100 * 1000 };
    struct record_header *headers = mem_alloc(HEADERS * sizeof(*headers));
    for (size_t i = 0; i < HEADERS; i++) {
        headers[i] = (struct record_header){SLICE_LIT(""), {NULL, 0}};
    }
    struct batch_policy policy = usual_policy;
    policy.max_message_bytes = 100 * 1000 * 1000;
    struct batch_builder_options options = batch_builder_plain();
    struct batch_builder b;
    batch_builder_init(&b, &options);
    struct slice none = {NULL, 0};
    struct slice in;
    assert_int_equal(batch_builder_add(&b, NOW_MS, none, none, headers, HEADERS), OK);
    assert_int_equal(batch_builder_finish(&b, &in), OK);
    assert_int_equal(verify_kerr(in, &policy), KERR_NONE);
    batch_builder_reset(&b);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(batch_builder_add(&b, NOW_MS, none, SLICE_LIT("x"), NULL, 0), OK);
    }
    assert_int_equal(batch_builder_finish(&b, &in), OK);
    assert_int_equal(verify_kerr(in, &policy), KERR_NONE);
    batch_builder_fini(&b);
    mem_free(headers);
}

/* ---- Views and patches ---- */

static void views_parse_and_refuse(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    struct batch_view view;
    for (size_t len = 0; len < in.len; len++) {
        u8 *cut = mem_alloc(MAX(len, 1u));
        memcpy(cut, in.ptr, len);
        assert_int_equal(batch_view_parse((struct slice){cut, len}, &view), ERR_TRUNCATED);
        mem_free(cut);
    }
    assert_int_equal(batch_view_parse(in, &view), OK);
    assert_true(batch_crc_ok(&view));
    assert_int_equal(view.whole.len, in.len);
    assert_int_equal(view.records.len, in.len - BATCH_HEADER_BYTES);
    assert_int_equal(view.record_count, 3);
    assert_int_equal(view.leader_epoch, -1);
    assert_int_equal(view.producer_id, -1);
    assert_int_equal(view.producer_epoch, -1);
    assert_int_equal(batch_last_sequence(&view), BATCH_NO_SEQUENCE);
    assert_false(batch_has_producer_id(&view));
    assert_int_equal(batch_codec(&view), CODEC_NONE);

    c.bytes[BATCH_AT_MAGIC] = 1;
    assert_int_equal(batch_view_parse(in, &view), ERR_VERSION);
    c.bytes[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_be32(c.bytes + BATCH_AT_LENGTH, BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES - 1);
    assert_int_equal(batch_view_parse(in, &view), ERR_INVALID);
    store_be32(c.bytes + BATCH_AT_LENGTH, UINT32_MAX);
    assert_int_equal(batch_view_parse(in, &view), ERR_INVALID);
}

static void several_batches_are_taken_off_one_by_one(void **state)
{
    struct craft c;
    struct slice one = craft_usual(&c);
    u8 *many = mem_alloc(3 * one.len);
    for (size_t i = 0; i < 3; i++) {
        memcpy(many + i * one.len, one.ptr, one.len);
        batch_set_base_offset_and_epoch(many + i * one.len, (i64)(100 + 3 * i), 9);
    }
    struct slice rest = {many, 3 * one.len - 1};
    struct batch_view view;
    i64 next = 100;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(batch_view_next(&rest, &view), OK);
        assert_true(batch_crc_ok(&view));
        assert_int_equal(view.base_offset, next);
        assert_int_equal(view.leader_epoch, 9);
        assert_int_equal(batch_last_offset(&view), next + 2);
        next = batch_next_offset(&view);
    }
    assert_int_equal(batch_view_next(&rest, &view), ERR_TRUNCATED);
    assert_int_equal(rest.len, one.len - 1);
    rest.len++;
    assert_int_equal(batch_view_next(&rest, &view), OK);
    assert_int_equal(batch_view_next(&rest, &view), ERR_NOT_FOUND);
    mem_free(many);
}

static void sequences_wrap(void **state)
{
    assert_int_equal(sequence_add(0, 0), 0);
    assert_int_equal(sequence_add(5, 7), 12);
    assert_int_equal(sequence_add(INT32_MAX, 0), INT32_MAX);
    assert_int_equal(sequence_add(INT32_MAX, 1), 0);
    assert_int_equal(sequence_add(INT32_MAX, INT32_MAX), INT32_MAX - 1);
    assert_int_equal(sequence_add(INT32_MAX - 1, 3), 1);
}

static void log_append_time_changes_time_and_crc_only(void **state)
{
    struct craft c;
    struct slice in = craft_usual(&c);
    struct craft before = c;
    batch_set_log_append_time(c.bytes, NOW_MS + 5);
    struct batch_view view;
    assert_int_equal(batch_view_parse(in, &view), OK);
    assert_true(batch_crc_ok(&view));
    assert_int_equal(batch_timestamp_type(&view), TIMESTAMP_LOG_APPEND_TIME);
    assert_int_equal(view.max_timestamp, NOW_MS + 5);
    assert_memory_equal(before.bytes + BATCH_HEADER_BYTES, c.bytes + BATCH_HEADER_BYTES,
                        in.len - BATCH_HEADER_BYTES);
    struct record_iter it;
    assert_int_equal(record_iter_init(&it, &view, NULL, 0), OK);
    struct record record;
    while (record_iter_next(&it, &record)) {
        assert_int_equal(record.timestamp, NOW_MS + 5);
    }
    assert_int_equal(it.err, OK);
    batch_set_max_timestamp(c.bytes, TIMESTAMP_CREATE_TIME, NOW_MS);
    assert_memory_equal(before.bytes, c.bytes, in.len);
}

/* ---- Built, then read ---- */

enum { RECORDS_MAX = 200, HEADERS_MAX = 5, BYTES_MAX = 300 };

struct model_record {
    i64 timestamp;
    struct slice key;
    struct slice value;
    struct record_header headers[HEADERS_MAX];
    u32 header_count;
};

/* Null one time in five, else random bytes that compress a little. */
static struct slice random_bytes(struct rng *rng, struct arena *arena, bool may_be_null)
{
    if (may_be_null && rng_chance(rng, 1, 5)) {
        return (struct slice){NULL, 0};
    }
    size_t len = (size_t)rng_below(rng, BYTES_MAX);
    u8 *bytes = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (u8)("abcdefgh"[rng_below(rng, 8)]);
    }
    return (struct slice){bytes, len};
}

static bool same_nullable(struct slice a, struct slice b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && slice_eq(a, b);
}

static void check_records(const struct batch_view *view, struct decompressor *d,
                          const struct model_record *model, i32 count)
{
    struct record_iter it;
    assert_int_equal(record_iter_init(&it, view, d, 16 * MIB), OK);
    struct record record;
    i32 seen = 0;
    while (record_iter_next(&it, &record)) {
        assert_true(seen < count);
        const struct model_record *want = &model[seen];
        assert_int_equal(record.offset, view->base_offset + seen);
        assert_int_equal(record.offset_delta, seen);
        assert_int_equal(record.timestamp, want->timestamp);
        assert_true(same_nullable(record.key, want->key));
        assert_true(same_nullable(record.value, want->value));
        assert_int_equal(record.header_count, want->header_count);
        struct record_header header;
        u32 header_seen = 0;
        while (record_header_next(&record.headers, &header)) {
            assert_true(same_nullable(header.key, want->headers[header_seen].key));
            assert_true(same_nullable(header.value, want->headers[header_seen].value));
            header_seen++;
        }
        assert_int_equal(header_seen, want->header_count);
        seen++;
    }
    assert_int_equal(it.err, OK);
    assert_int_equal(seen, count);
}

static void built_batches_read_back(void **state)
{
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    struct decompressor d;
    decompressor_init(&d, NULL);
    struct model_record *model = mem_alloc(RECORDS_MAX * sizeof(*model));
    for (u32 round = 0; round < 400; round++) {
        struct batch_builder_options options = batch_builder_plain();
        options.codec = (enum codec)rng_below(&rng, CODEC_MAX);
        options.snappy_raw = rng_chance(&rng, 1, 2);
        bool idempotent = rng_chance(&rng, 1, 2);
        if (idempotent) {
            options.producer_id = (i64)rng_below(&rng, INT64_MAX);
            options.producer_epoch = (i16)rng_below(&rng, INT16_MAX);
            options.base_sequence = (i32)(INT32_MAX - rng_below(&rng, 50));
            options.transactional = rng_chance(&rng, 1, 2);
        }
        struct batch_builder b;
        batch_builder_init(&b, &options);
        i32 count = (i32)rng_between(&rng, 1, RECORDS_MAX);
        i64 max_timestamp = -1;
        for (i32 i = 0; i < count; i++) {
            struct model_record *m = &model[i];
            *m = (struct model_record){
                .timestamp = NOW_MS + (i64)rng_below(&rng, 100000) - 50000,
                .key = random_bytes(&rng, &arena, true),
                .value = random_bytes(&rng, &arena, true),
                .header_count = (u32)rng_below(&rng, HEADERS_MAX + 1),
            };
            for (u32 h = 0; h < m->header_count; h++) {
                m->headers[h].key = random_bytes(&rng, &arena, false);
                m->headers[h].value = random_bytes(&rng, &arena, true);
            }
            max_timestamp = MAX(max_timestamp, m->timestamp);
            assert_int_equal(
                batch_builder_add(&b, m->timestamp, m->key, m->value, m->headers, m->header_count),
                OK);
        }
        struct slice batch;
        assert_int_equal(batch_builder_finish(&b, &batch), OK);

        struct batch_view view;
        struct batch_verdict v;
        struct batch_summary sum;
        assert_true(batch_verify_header(batch, &usual_policy, NOW_MS, &view, &v));
        assert_int_equal(batch_verify_records(&view, &usual_policy, NOW_MS, &d, &sum, &v), OK);
        assert_int_equal(v.kerr, KERR_NONE);
        assert_int_equal(sum.max_timestamp, max_timestamp);
        assert_int_equal(model[sum.max_timestamp_offset_delta].timestamp, max_timestamp);
        assert_false(sum.max_timestamp_differs);
        assert_int_equal(sum.records_bytes, b.records.len);
        assert_int_equal(batch_codec(&view), options.codec);
        assert_int_equal(batch_is_transactional(&view), options.transactional);
        assert_int_equal(view.producer_id, options.producer_id);
        assert_int_equal(view.producer_epoch, options.producer_epoch);
        assert_int_equal(batch_last_sequence(&view),
                         idempotent ? sequence_add(options.base_sequence, count - 1)
                                    : BATCH_NO_SEQUENCE);

        u8 *stored = mem_alloc(batch.len);
        memcpy(stored, batch.ptr, batch.len);
        batch_set_base_offset_and_epoch(stored, 1ll << 40, 3);
        assert_int_equal(batch_view_parse((struct slice){stored, batch.len}, &view), OK);
        assert_true(batch_crc_ok(&view));
        check_records(&view, &d, model, count);
        mem_free(stored);

        /* The next batch of the builder goes on in the sequence. */
        batch_builder_reset(&b);
        assert_int_equal(batch_builder_add(&b, 7, SLICE_LIT("k"), SLICE_LIT("v"), NULL, 0), OK);
        assert_int_equal(batch_builder_finish(&b, &batch), OK);
        assert_int_equal(batch_view_parse(batch, &view), OK);
        assert_int_equal(view.base_sequence, idempotent ? sequence_add(options.base_sequence, count)
                                                        : BATCH_NO_SEQUENCE);
        batch_builder_fini(&b);
        arena_reset(&arena);
    }
    mem_free(model);
    decompressor_fini(&d);
    arena_fini(&arena);
}

/* ---- Random damage ---- */

/* Damage with the CRC made right again: whatever the verifier says, the iterator must live with it,
   and what the verifier accepts the iterator reads to the end. */
static void damaged_batches_never_crash(void **state)
{
    struct rng rng = unit_rng();
    struct decompressor d;
    decompressor_init(&d, NULL);
    u32 accepted = 0;
    for (u32 round = 0; round < 20000; round++) {
        struct batch_builder_options options = batch_builder_plain();
        options.codec = (enum codec)rng_below(&rng, CODEC_MAX);
        options.snappy_raw = rng_chance(&rng, 1, 2);
        struct batch_builder b;
        batch_builder_init(&b, &options);
        i32 count = (i32)rng_between(&rng, 1, 5);
        struct record_header header = {SLICE_LIT("name"), SLICE_LIT("value")};
        for (i32 i = 0; i < count; i++) {
            assert_int_equal(batch_builder_add(&b, NOW_MS + i, SLICE_LIT("key"),
                                               SLICE_LIT("some value, some value"), &header,
                                               (u32)rng_below(&rng, 2)),
                             OK);
        }
        struct slice batch;
        assert_int_equal(batch_builder_finish(&b, &batch), OK);
        u8 *damaged = mem_alloc(batch.len);
        memcpy(damaged, batch.ptr, batch.len);
        size_t hits = (size_t)rng_between(&rng, 1, 3);
        for (size_t i = 0; i < hits; i++) {
            size_t at = (size_t)rng_between(&rng, BATCH_AT_ATTRIBUTES, batch.len - 1);
            u64 noise = rng_next(&rng);
            u64 flipped = damaged[at] ^ (1u << (noise >> 8) % 8);
            damaged[at] = (u8)(rng_chance(&rng, 1, 2) ? noise : flipped);
        }
        fix_crc(damaged, batch.len);
        struct batch_view view;
        struct batch_verdict v = {.kerr = KERR_INVALID_RECORD};
        struct batch_summary sum;
        assert_int_equal(batch_view_parse((struct slice){damaged, batch.len}, &view), OK);
        if (batch_verify_header(view.whole, &usual_policy, NOW_MS, &view, &v)) {
            assert_int_equal(batch_verify_records(&view, &usual_policy, NOW_MS, &d, &sum, &v), OK);
        }
        struct record_iter it;
        if (record_iter_init(&it, &view, &d, 16 * MIB) == OK) {
            struct record record;
            while (record_iter_next(&it, &record)) {
                struct record_header h;
                while (record_header_next(&record.headers, &h)) {
                }
            }
            if (v.kerr == KERR_NONE) {
                assert_int_equal(it.err, OK);
                accepted++;
            }
        } else {
            assert_int_not_equal(v.kerr, KERR_NONE);
        }
        mem_free(damaged);
        batch_builder_fini(&b);
    }
    decompressor_fini(&d);
    assert_true(accepted > 0); /* a changed value byte is a fine record */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usual_batch_is_accepted),
        cmocka_unit_test(a_wrong_header_field_earns_its_error),
        cmocka_unit_test(a_wrong_crc_is_corrupt),
        cmocka_unit_test(exactly_one_whole_batch),
        cmocka_unit_test(a_batch_shorter_than_its_header_is_corrupt),
        cmocka_unit_test(limits_count_the_whole_batch),
        cmocka_unit_test(two_faults_earn_the_first_one_kafka_sees),
        cmocka_unit_test(zstd_needs_produce_7),
        cmocka_unit_test(a_wrong_record_earns_its_error),
        cmocka_unit_test(compacted_topics_want_keys),
        cmocka_unit_test(timestamps_are_judged_one_by_one),
        cmocka_unit_test(a_bad_timestamp_outweighs_a_missing_key),
        cmocka_unit_test(expansion_beyond_the_cap_is_too_large),
        cmocka_unit_test(trailing_and_missing_compressed_bytes),
        cmocka_unit_test(a_full_quota_decides_nothing),
        cmocka_unit_test(many_small_things),
        cmocka_unit_test(views_parse_and_refuse),
        cmocka_unit_test(several_batches_are_taken_off_one_by_one),
        cmocka_unit_test(sequences_wrap),
        cmocka_unit_test(log_append_time_changes_time_and_crc_only),
        cmocka_unit_test(built_batches_read_back),
        cmocka_unit_test(damaged_batches_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
