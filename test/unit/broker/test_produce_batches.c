/* Batches that must be refused, end to end, each with its error; and that none of them leaves a
   trace [reliability.md, bad-input catalogue 39-56]. What a batch may look like in all detail is
   test_batch.c of wire; here the way through the broker is tested. */
#include "broker/conn.h"
#include "harness.h"

struct spoil {
    struct slice batch;
    u8 *bytes; /* a copy, ours to change */
};

static struct spoil spoil_of(struct harness *h, u32 records)
{
    struct slice batch = batch_plain(h, records);
    u8 *bytes = batch_copy(h, batch);
    return (struct spoil){.batch = slice_of(bytes, batch.len), .bytes = bytes};
}

static void refused_as(struct client *c, const struct topic *t, struct slice batch, i16 kerr)
{
    const struct produce_response_partition *row = produce(c, t, 0, batch);
    if (row->error_code != kerr) {
        fail_msg("error %d instead of %d", row->error_code, kerr);
    }
    assert_int_equal(row->base_offset, -1);
    assert_non_null(row->error_message.ptr);
    /* Older clients get the code alone. */
    struct produce_response *r = CALL(c, produce, 7, produce_of(c->h, t, 0, batch, -1));
    assert_int_equal(produce_row(r, 0, 0)->error_code, kerr);
}

/* Every header field set to what it must not be, with a right CRC. */
static void header_fields(void **state)
{
    static const struct {
        u32 at, size;
        i64 value;
        i16 kerr;
        bool sealed;
    } cases[] = {
        {BATCH_AT_CRC, 4, 12345, KERR_CORRUPT_MESSAGE, false},
        {BATCH_AT_LENGTH, 4, 13, KERR_CORRUPT_MESSAGE, true},
        {BATCH_AT_LENGTH, 4, 0, KERR_CORRUPT_MESSAGE, true},
        {BATCH_AT_LENGTH, 4, -1, KERR_CORRUPT_MESSAGE, true},
        {BATCH_AT_LENGTH, 4, INT32_MAX, KERR_INVALID_RECORD, true},
        {BATCH_AT_MAGIC, 1, 0, KERR_INVALID_RECORD, true},
        {BATCH_AT_MAGIC, 1, 1, KERR_INVALID_RECORD, true},
        {BATCH_AT_MAGIC, 1, 3, KERR_CORRUPT_MESSAGE, true},
        {BATCH_AT_MAGIC, 1, -1, KERR_CORRUPT_MESSAGE, true},
        {BATCH_AT_BASE_OFFSET, 8, 5, KERR_INVALID_RECORD, true},
        {BATCH_AT_BASE_OFFSET, 8, -1, KERR_INVALID_RECORD, true},
        {BATCH_AT_ATTRIBUTES, 2, BATCH_ATTRIBUTE_CONTROL, KERR_INVALID_RECORD, true},
        {BATCH_AT_ATTRIBUTES, 2, 0x80, KERR_INVALID_RECORD, true},
        {BATCH_AT_ATTRIBUTES, 2, 0x4000, KERR_INVALID_RECORD, true},
        {BATCH_AT_ATTRIBUTES, 2, 5, KERR_UNSUPPORTED_COMPRESSION_TYPE, true},
        {BATCH_AT_ATTRIBUTES, 2, 6, KERR_UNSUPPORTED_COMPRESSION_TYPE, true},
        {BATCH_AT_ATTRIBUTES, 2, 7, KERR_UNSUPPORTED_COMPRESSION_TYPE, true},
        {BATCH_AT_ATTRIBUTES, 2, 1, KERR_INVALID_RECORD, true}, /* says gzip, is not */
        {BATCH_AT_ATTRIBUTES, 2, BATCH_ATTRIBUTE_LOG_APPEND_TIME, KERR_INVALID_TIMESTAMP, true},
        {BATCH_AT_RECORD_COUNT, 4, 0, KERR_INVALID_RECORD, true},
        {BATCH_AT_RECORD_COUNT, 4, -1, KERR_INVALID_RECORD, true},
        {BATCH_AT_RECORD_COUNT, 4, 2, KERR_INVALID_RECORD, true},
        {BATCH_AT_RECORD_COUNT, 4, 4, KERR_INVALID_RECORD, true},
        {BATCH_AT_RECORD_COUNT, 4, INT32_MAX, KERR_INVALID_RECORD, true},
        {BATCH_AT_LAST_OFFSET_DELTA, 4, 1, KERR_INVALID_RECORD, true},
        {BATCH_AT_LAST_OFFSET_DELTA, 4, 3, KERR_INVALID_RECORD, true},
        {BATCH_AT_LAST_OFFSET_DELTA, 4, -1, KERR_INVALID_RECORD, true},
        {BATCH_AT_LAST_OFFSET_DELTA, 4, INT32_MAX, KERR_INVALID_RECORD, true},
        {BATCH_AT_PRODUCER_ID, 8, 1000, KERR_INVALID_RECORD, true}, /* without a sequence */
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct spoil s = spoil_of(&h, 3);
        for (u32 k = 0; k < cases[i].size; k++) {
            s.bytes[cases[i].at + k] = (u8)((u64)cases[i].value >> (8 * (cases[i].size - 1 - k)));
        }
        if (cases[i].sealed) {
            batch_seal(s.bytes, s.batch.len);
        }
        refused_as(c, &t, s.batch, cases[i].kerr);
    }
    assert_int_equal(high_watermark(c, &t, 0), 0);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    harness_fini(&h);
}

static void what_the_client_says_of_the_leader_is_overwritten(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 3));
    static const u32 epochs[] = {0, 7, INT32_MAX, UINT32_MAX};
    for (u32 i = 0; i < ARRAY_LEN(epochs); i++) {
        struct spoil s = spoil_of(&h, 1);
        store_be32(s.bytes + BATCH_AT_LEADER_EPOCH, epochs[i]);
        i64 base = produce_ok(c, &t, 0, s.batch);
        struct batch_view b;
        assert_int_equal(batch_view_parse(fetch(c, &t, 0, base)->records.bytes, &b), OK);
        assert_int_equal(b.leader_epoch, 0);
        assert_int_equal(b.base_offset, base);
    }
    harness_fini(&h);
}

/* Each byte of a batch flipped: refused, unless the byte is one the broker overwrites or ignores.
 */
static void every_byte_flipped(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct slice batch = batch_plain(&h, 2);
    i64 stored = 0;
    for (u32 at = 0; at < batch.len; at++) {
        u8 *bytes = batch_copy(&h, batch);
        bytes[at] ^= 0x55;
        const struct produce_response_partition *row =
            produce(c, &t, 0, slice_of(bytes, batch.len));
        bool overwritten = at >= BATCH_AT_LEADER_EPOCH && at < BATCH_AT_MAGIC;
        if ((row->error_code == KERR_NONE) != overwritten) {
            fail_msg("byte %u: error %d", at, row->error_code);
        }
        stored += overwritten ? 2 : 0;
    }
    assert_int_equal(high_watermark(c, &t, 0), stored);
    harness_fini(&h);
}

static void cut_off_anywhere_and_more_than_one(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct slice batch = batch_plain(&h, 2);
    for (u32 len = 0; len < batch.len; len++) {
        const struct produce_response_partition *row = produce(c, &t, 0, slice_of(batch.ptr, len));
        assert_int_equal(row->error_code, KERR_INVALID_RECORD);
    }
    refused_as(c, &t, (struct slice){0}, KERR_INVALID_RECORD); /* null records */
    u8 *two = arena_alloc(&h.arena, 2 * batch.len);
    memcpy(two, batch.ptr, batch.len);
    memcpy(two + batch.len, batch.ptr, batch.len);
    refused_as(c, &t, slice_of(two, 2 * batch.len), KERR_INVALID_RECORD);
    assert_int_equal(high_watermark(c, &t, 0), 0);
    /* A tail too short to be a batch is not looked at, nor stored. */
    assert_int_equal(produce_ok(c, &t, 0, slice_of(two, batch.len + 10)), 0);
    struct slice stored = fetch(c, &t, 0, 0)->records.bytes;
    assert_int_equal(stored.len, batch.len);
    harness_fini(&h);
}

/* ---- sizes
 * -------------------------------------------------------------------------------------------- */

/* One batch that nobody can read fails the whole request, as in Kafka; one that can be read and is
   bad fails its partition. */
static void one_unreadable_batch_of_two(void **state)
{
    static const struct {
        size_t at;
        u8 byte;
        i16 own;
        i16 other;
    } cases[] = {
        {BATCH_AT_MAGIC, 0x42, KERR_CORRUPT_MESSAGE, KERR_CORRUPT_MESSAGE},
        {BATCH_AT_MAGIC, 0xff, KERR_CORRUPT_MESSAGE, KERR_CORRUPT_MESSAGE},
        {BATCH_AT_LENGTH, 0x80, KERR_CORRUPT_MESSAGE, KERR_CORRUPT_MESSAGE},
        {BATCH_AT_CRC, 0x42, KERR_CORRUPT_MESSAGE, KERR_NONE},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct slice batch = batch_plain(&h, 3);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        u8 *bytes = batch_copy(&h, batch);
        bytes[cases[i].at] = cases[i].byte;
        struct produce_request *q = produce_of(&h, &t, 0, batch, -1);
        struct produce_request_partition_data *rows = NEW(&h, produce_request_partition_data, 2);
        rows[0].records.bytes = batch;
        rows[1].index = 1;
        rows[1].records.bytes = slice_of(bytes, batch.len);
        q->topic_data.items[0].partition_data.items = rows;
        q->topic_data.items[0].partition_data.count = 2;
        struct produce_response *r = CALL(c, produce, 13, q);
        assert_int_equal(produce_row(r, 0, 0)->error_code, cases[i].other);
        assert_int_equal(produce_row(r, 0, 1)->error_code, cases[i].own);
    }
    assert_int_equal(high_watermark(c, &t, 0), 3);
    assert_int_equal(high_watermark(c, &t, 1), 0);
    harness_fini(&h);
}

static void sizes_at_the_border(void **state)
{
    static const char *const configs[] = {"max.message.bytes=1000", NULL};
    static const char *const segments[] = {"segment.bytes=2097152", "max.message.bytes=10000000",
                                           NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make_with(c, "t", 1, configs);
    struct batch_builder_options o = batch_builder_plain();
    /* One record of n bytes: grow until the batch has the wanted size. */
    for (u32 want = 999; want <= 1001; want++) {
        u32 value = 900;
        struct slice batch = batch_with(&h, &o, 1, value);
        value += want - (u32)batch.len;
        batch = batch_with(&h, &o, 1, value);
        assert_int_equal(batch.len, want);
        if (want > 1000) {
            refused_as(c, &t, batch, KERR_MESSAGE_TOO_LARGE);
        } else {
            produce_ok(c, &t, 0, batch);
        }
    }
    /* What counts is the compressed size. */
    o.codec = CODEC_GZIP;
    struct slice small = batch_with(&h, &o, 1, 5000);
    assert_true(small.len < 1000);
    produce_ok(c, &t, 0, small);

    struct topic s = topic_make_with(c, "segments", 1, segments);
    o.codec = CODEC_NONE;
    produce_ok(c, &s, 0, batch_with(&h, &o, 2, 1000000));
    refused_as(c, &s, batch_with(&h, &o, 3, 1000000), KERR_RECORD_LIST_TOO_LARGE);
    harness_fini(&h);
}

static void the_broker_s_default_counts(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "message.max.bytes", "500");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_builder_plain();
    refused_as(c, &t, batch_with(&h, &o, 1, 600), KERR_MESSAGE_TOO_LARGE);
    produce_ok(c, &t, 0, batch_with(&h, &o, 1, 300));
    harness_fini(&h);
}

static void zstd_needs_version_7(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_builder_plain();
    o.codec = CODEC_ZSTD;
    struct slice batch = batch_with(&h, &o, 10, 100);
    for (i16 version = 3; version <= 13; version++) {
        struct produce_response *r = CALL(c, produce, version, produce_of(&h, &t, 0, batch, -1));
        assert_int_equal(produce_row(r, 0, 0)->error_code,
                         version < 7 ? KERR_UNSUPPORTED_COMPRESSION_TYPE : KERR_NONE);
    }
    /* It is told before anything else is found wrong with the batch. */
    u8 *bytes = batch_copy(&h, batch);
    bytes[BATCH_AT_CRC] ^= 1;
    for (i16 version = 6; version <= 7; version++) {
        struct produce_response *r =
            CALL(c, produce, version, produce_of(&h, &t, 0, slice_of(bytes, batch.len), -1));
        assert_int_equal(produce_row(r, 0, 0)->error_code,
                         version < 7 ? KERR_UNSUPPORTED_COMPRESSION_TYPE : KERR_CORRUPT_MESSAGE);
    }
    harness_fini(&h);
}

static void every_codec_round_trips(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (u32 codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        for (u32 size = 100; size <= 400000; size *= 63) { /* on the loop, and on a worker */
            struct batch_builder_options o = batch_builder_plain();
            o.codec = (enum codec)codec;
            o.snappy_raw = size == 100;
            struct slice batch = batch_with(&h, &o, 2, size);
            i64 base = produce_ok(c, &t, 0, batch);
            struct slice back = fetch(c, &t, 0, base)->records.bytes;
            assert_int_equal(back.len, batch.len);
            /* But for offset and epoch it is what was sent. */
            assert_memory_equal(back.ptr + BATCH_AT_MAGIC, batch.ptr + BATCH_AT_MAGIC,
                                batch.len - BATCH_AT_MAGIC);
        }
    }
    harness_fini(&h);
}

/* ---- compressed nonsense
 * ---------------------------------------------------------------------------------- */

/* A batch whose records are these compressed bytes. */
static struct slice batch_around(struct harness *h, enum codec codec, const void *bytes, size_t len,
                                 i32 count)
{
    struct slice model = batch_plain(h, 1);
    u8 *out = arena_alloc(&h->arena, BATCH_HEADER_BYTES + len);
    memcpy(out, model.ptr, BATCH_HEADER_BYTES);
    memcpy(out + BATCH_HEADER_BYTES, bytes, len);
    store_be32(out + BATCH_AT_LENGTH, (u32)(BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES + len));
    store_be16(out + BATCH_AT_ATTRIBUTES, (u16)codec);
    store_be32(out + BATCH_AT_RECORD_COUNT, (u32)count);
    store_be32(out + BATCH_AT_LAST_OFFSET_DELTA, (u32)(count - 1));
    batch_seal(out, BATCH_HEADER_BYTES + len);
    return slice_of(out, BATCH_HEADER_BYTES + len);
}

static void compressed_bytes_cut_off_or_too_many(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (u32 codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        struct batch_builder_options o = batch_builder_plain();
        o.codec = (enum codec)codec;
        struct slice good = batch_with(&h, &o, 3, 200);
        const u8 *records = good.ptr + BATCH_HEADER_BYTES;
        size_t len = good.len - BATCH_HEADER_BYTES;
        for (size_t cut = 1; cut < len; cut += 7) {
            refused_as(c, &t, batch_around(&h, (enum codec)codec, records, len - cut, 3),
                       KERR_INVALID_RECORD);
        }
        u8 *more = arena_alloc(&h.arena, len + 3);
        memcpy(more, records, len);
        refused_as(c, &t, batch_around(&h, (enum codec)codec, more, len + 3, 3),
                   KERR_INVALID_RECORD);
        refused_as(c, &t, batch_around(&h, (enum codec)codec, "rubbish rubbish", 15, 3),
                   KERR_INVALID_RECORD);
    }
    /* A xerial chunk that says 2^31-1 bytes. */
    refused_as(c, &t,
               batch_around(&h, CODEC_SNAPPY,
                            "\x82SNAPPY\0\0\0\0\1\0\0\0\1\x7f\xff\xff\xff"
                            "0123456789",
                            30, 1),
               KERR_INVALID_RECORD);
    /* A zstd frame that asks for a window of 2 GiB. */
    refused_as(c, &t, batch_around(&h, CODEC_ZSTD, "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9, 1),
               KERR_MESSAGE_TOO_LARGE);
    assert_int_equal(high_watermark(c, &t, 0), 0);
    harness_fini(&h);
}

/* One record of 200 MB of zeros, compressed to little. */
static void bombs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    static const char *const configs[] = {"max.message.bytes=10000000", NULL};
    struct topic t = topic_make_with(c, "t", 1, configs);
    enum { VALUE = 200 << 20 };
    u8 *zeros = mem_alloc(VALUE);
    for (u32 codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
        if (codec == CODEC_SNAPPY) {
            continue; /* it does not compress so well */
        }
        struct batch_builder_options o = batch_builder_plain();
        o.codec = (enum codec)codec;
        o.level = 1;
        struct batch_builder b;
        batch_builder_init(&b, &o);
        assert_int_equal(batch_builder_add(&b, harness_wall_ms(&h), (struct slice){0},
                                           slice_of(zeros, VALUE), NULL, 0),
                         OK);
        struct slice batch;
        assert_int_equal(batch_builder_finish(&b, &batch), OK);
        assert_true(batch.len < 3 << 20);
        assert_int_equal(produce(c, &t, 0, batch)->error_code, KERR_MESSAGE_TOO_LARGE);
        batch_builder_fini(&b);
    }
    mem_free(zeros);
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    assert_int_equal(high_watermark(c, &t, 0), 0);
    harness_fini(&h);
}

/* ---- records
 * ------------------------------------------------------------------------------------------------
 */

/* A batch of hand-written records. */
static struct slice batch_raw(struct harness *h, const void *records, size_t len, i32 count)
{
    return batch_around(h, CODEC_NONE, records, len, count);
}

static void records_that_lie(void **state)
{
    /* length, attributes, timestamp delta, offset delta, key length -1, value length 1, "v", no
     * headers */
    static const struct {
        const char *bytes;
        u32 len;
        i32 count;
    } cases[] = {
        {"\x10\0\0\0\x01\x02v\0", 8, 1},                       /* longer than it is */
        {"\x0c\0\0\0\x01\x02v\0", 8, 1},                       /* shorter: a byte is left over */
        {"\x0e\0\0\0\x01\x04v\0", 8, 1},                       /* its value runs into the headers */
        {"\x0e\0\0\0\x01\x02v\x02", 8, 1},                     /* one header promised, none there */
        {"\x0e\0\0\0\x01\x02v\x01", 8, 1},                     /* -1 headers */
        {"\x0e\0\0\x02\x01\x02v\0", 8, 1},                     /* offset delta 1 first */
        {"\x0e\0\0\0\x01\x02v\0\x0e\0\0\0\x01\x02v\0", 16, 2}, /* 0 twice */
        {"\x0e\0\0\x02\x01\x02v\0\x0e\0\0\0\x01\x02v\0", 16, 2}, /* descending */
        {"\x12\0\0\0\x01\x02v\x02\x01\x00", 10, 1},              /* a null header key */
        {"\x80\x80\x80\x80\x80\x80\x80", 7, 1},
        {"\x01", 1, 1}, /* length -1 */
        {"", 0, 1},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0,
               batch_raw(&h, "\x0e\0\0\0\x01\x02v\0", 8, 1)); /* the model itself is good */
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        refused_as(c, &t, batch_raw(&h, cases[i].bytes, cases[i].len, cases[i].count),
                   KERR_INVALID_RECORD);
    }
    assert_int_equal(high_watermark(c, &t, 0), 1);
    harness_fini(&h);
}

static void null_keys_on_a_compacted_topic(void **state)
{
    static const char *const compact[] = {"cleanup.policy=compact", NULL};
    static const char *const both[] = {"cleanup.policy=compact,delete", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic usual = topic_make(c, "usual", 1);
    struct topic compacted = topic_make_with(c, "compacted", 1, compact);
    struct topic mixed = topic_make_with(c, "mixed", 1, both);
    struct batch_builder_options o = batch_builder_plain();
    for (u32 codec = CODEC_NONE; codec <= CODEC_GZIP; codec++) {
        o.codec = (enum codec)codec;
        struct batch_builder b;
        batch_builder_init(&b, &o);
        i64 now = harness_wall_ms(&h);
        assert_int_equal(batch_builder_add(&b, now, text("k"), text("v"), NULL, 0), OK);
        assert_int_equal(batch_builder_add(&b, now, (struct slice){0}, text("v"), NULL, 0), OK);
        assert_int_equal(batch_builder_add(&b, now, WIRE_EMPTY, text("v"), NULL, 0), OK);
        assert_int_equal(batch_builder_add(&b, now, (struct slice){0}, (struct slice){0}, NULL, 0),
                         OK);
        struct slice batch;
        assert_int_equal(batch_builder_finish(&b, &batch), OK);
        produce_ok(c, &usual, 0, batch);
        const struct topic *topics[] = {&compacted, &mixed};
        for (u32 i = 0; i < 2; i++) {
            for (i16 version = 7; version <= 8; version++) {
                struct produce_response *r =
                    CALL(c, produce, version, produce_of(&h, topics[i], 0, batch, -1));
                const struct produce_response_partition *row = produce_row(r, 0, 0);
                assert_int_equal(row->error_code, KERR_INVALID_RECORD);
                assert_int_equal(row->record_errors.count, version >= 8 ? 2 : 0);
                if (version >= 8) {
                    assert_int_equal(row->record_errors.items[0].batch_index, 1);
                    assert_int_equal(row->record_errors.items[1].batch_index, 3);
                    assert_non_null(row->record_errors.items[0].batch_index_error_message.ptr);
                    assert_non_null(row->error_message.ptr);
                }
            }
        }
        batch_builder_fini(&b);
    }
    harness_fini(&h);
}

static void a_hundred_thousand_records_and_headers(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    static const char *const configs[] = {"max.message.bytes=7000000", NULL};
    struct topic t = topic_make_with(c, "t", 1, configs);
    struct batch_builder_options o = batch_builder_plain();
    u64 before = io_clock_ns();
    produce_ok(c, &t, 0, batch_with(&h, &o, 100000, 1));
    struct batch_builder b;
    batch_builder_init(&b, &o);
    enum { HEADERS = 500000 };
    struct record_header *headers = mem_alloc(HEADERS * sizeof *headers);
    for (u32 i = 0; i < HEADERS; i++) {
        headers[i] = (struct record_header){.key = text("hk"), .value = text("hv")};
    }
    assert_int_equal(
        batch_builder_add(&b, harness_wall_ms(&h), text("k"), text("v"), headers, HEADERS), OK);
    struct slice batch;
    assert_int_equal(batch_builder_finish(&b, &batch), OK);
    produce_ok(c, &t, 0, batch);
    assert_true(io_clock_ns() - before < 5ull * 1000 * 1000 * 1000);
    batch_builder_fini(&b);
    mem_free(headers);
    harness_fini(&h);
}

static void transactional_batches_are_not_served(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_idempotent(producer_id_new(c), 0, 0);
    o.transactional = true;
    assert_int_equal(produce(c, &t, 0, batch_with(&h, &o, 1, 10))->error_code,
                     KERR_INVALID_TXN_STATE);
    struct batch_builder_options anonymous = batch_builder_plain();
    anonymous.transactional = true;
    assert_int_equal(produce(c, &t, 0, batch_with(&h, &anonymous, 1, 10))->error_code,
                     KERR_INVALID_RECORD);
    assert_int_equal(high_watermark(c, &t, 0), 0);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_fields),
        cmocka_unit_test(what_the_client_says_of_the_leader_is_overwritten),
        cmocka_unit_test(every_byte_flipped),
        cmocka_unit_test(cut_off_anywhere_and_more_than_one),
        cmocka_unit_test(one_unreadable_batch_of_two),
        cmocka_unit_test(sizes_at_the_border),
        cmocka_unit_test(the_broker_s_default_counts),
        cmocka_unit_test(zstd_needs_version_7),
        cmocka_unit_test(every_codec_round_trips),
        cmocka_unit_test(compressed_bytes_cut_off_or_too_many),
        cmocka_unit_test(bombs),
        cmocka_unit_test(records_that_lie),
        cmocka_unit_test(null_keys_on_a_compacted_topic),
        cmocka_unit_test(a_hundred_thousand_records_and_headers),
        cmocka_unit_test(transactional_batches_are_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
