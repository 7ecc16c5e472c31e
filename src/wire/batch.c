/* Record batch format 2: views, the two steps of Produce verification, the record iterator and the
   builder. Pure; see batch.h for callers, for who owns what and for which violation gets which
   error.

   The walk over records is one straight-line function, inlined into its two users: a record costs a
   few nanoseconds, a call per field would double that. */
#include "wire/batch.h"

#include "wire/error.h"

#include <string.h>

enum {
    /* Formats 0 and 1 had smaller headers; a batchLength below this is no batch of any format. */
    BATCH_LENGTH_MIN_ANY_FORMAT = 14,
    BATCH_BYTES_UP_TO_MAGIC = BATCH_AT_MAGIC + 1,
    PRODUCE_VERSION_WITH_ZSTD = 7,
    BATCH_ATTRIBUTES_FROM_CLIENT = BATCH_ATTRIBUTE_CODEC_MASK | BATCH_ATTRIBUTE_LOG_APPEND_TIME |
                                   BATCH_ATTRIBUTE_TRANSACTIONAL | BATCH_ATTRIBUTE_CONTROL,
};
static_assert(BATCH_AT_RECORD_COUNT + 4 == BATCH_HEADER_BYTES, "the last header field ends it");
static_assert(BATCH_AT_CRC + 4 == BATCH_AT_ATTRIBUTES, "the CRC covers what follows it");

/* ---- Views ---- */

static void decode_header(const u8 *p, size_t total, struct batch_view *out)
{
    *out = (struct batch_view){
        .base_offset = (i64)load_be64(p + BATCH_AT_BASE_OFFSET),
        .batch_length = (i32)load_be32(p + BATCH_AT_LENGTH),
        .leader_epoch = (i32)load_be32(p + BATCH_AT_LEADER_EPOCH),
        .magic = p[BATCH_AT_MAGIC],
        .crc = load_be32(p + BATCH_AT_CRC),
        .attributes = load_be16(p + BATCH_AT_ATTRIBUTES),
        .last_offset_delta = (i32)load_be32(p + BATCH_AT_LAST_OFFSET_DELTA),
        .base_timestamp = (i64)load_be64(p + BATCH_AT_BASE_TIMESTAMP),
        .max_timestamp = (i64)load_be64(p + BATCH_AT_MAX_TIMESTAMP),
        .producer_id = (i64)load_be64(p + BATCH_AT_PRODUCER_ID),
        .producer_epoch = (i16)load_be16(p + BATCH_AT_PRODUCER_EPOCH),
        .base_sequence = (i32)load_be32(p + BATCH_AT_BASE_SEQUENCE),
        .record_count = (i32)load_be32(p + BATCH_AT_RECORD_COUNT),
        .whole = {p, total},
        .records = {p + BATCH_HEADER_BYTES, total - BATCH_HEADER_BYTES},
    };
}

err_t batch_view_parse(struct slice in, struct batch_view *out)
{
    if (in.len < BATCH_BYTES_UP_TO_MAGIC) {
        return ERR_TRUNCATED;
    }
    if (in.ptr[BATCH_AT_MAGIC] != BATCH_MAGIC) {
        return ERR_VERSION;
    }
    i32 length = (i32)load_be32(in.ptr + BATCH_AT_LENGTH);
    if (length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES) {
        return ERR_INVALID;
    }
    size_t total = (size_t)length + BATCH_PREFIX_BYTES;
    if (in.len < total) {
        return ERR_TRUNCATED;
    }
    decode_header(in.ptr, total, out);
    return OK;
}

err_t batch_view_next(struct slice *rest, struct batch_view *out)
{
    if (rest->len == 0) {
        return ERR_NOT_FOUND;
    }
    TRY(batch_view_parse(*rest, out));
    rest->ptr += out->whole.len;
    rest->len -= out->whole.len;
    return OK;
}

bool batch_crc_ok(const struct batch_view *b)
{
    return crc32c(b->whole.ptr + BATCH_AT_ATTRIBUTES, b->whole.len - BATCH_AT_ATTRIBUTES) == b->crc;
}

enum codec batch_codec(const struct batch_view *b)
{
    return (enum codec)(b->attributes & BATCH_ATTRIBUTE_CODEC_MASK);
}

enum timestamp_type batch_timestamp_type(const struct batch_view *b)
{
    return (b->attributes & BATCH_ATTRIBUTE_LOG_APPEND_TIME) ? TIMESTAMP_LOG_APPEND_TIME
                                                             : TIMESTAMP_CREATE_TIME;
}

bool batch_is_transactional(const struct batch_view *b)
{
    return b->attributes & BATCH_ATTRIBUTE_TRANSACTIONAL;
}

bool batch_is_control(const struct batch_view *b)
{
    return b->attributes & BATCH_ATTRIBUTE_CONTROL;
}

bool batch_has_producer_id(const struct batch_view *b)
{
    return b->producer_id > BATCH_NO_PRODUCER_ID;
}

i64 batch_last_offset(const struct batch_view *b)
{
    return b->base_offset + b->last_offset_delta;
}

i64 batch_next_offset(const struct batch_view *b)
{
    return batch_last_offset(b) + 1;
}

i32 batch_last_sequence(const struct batch_view *b)
{
    if (!batch_has_producer_id(b) || b->base_sequence < 0) {
        return BATCH_NO_SEQUENCE; /* a control batch has an id but no sequence */
    }
    return sequence_add(b->base_sequence, b->last_offset_delta);
}

i32 sequence_add(i32 base, i32 delta)
{
    assert(base >= 0);
    assert(delta >= 0);
    return (i32)(((u32)base + (u32)delta) & (u32)INT32_MAX);
}

void batch_set_base_offset_and_epoch(u8 *batch, i64 base_offset, i32 leader_epoch)
{
    assert(base_offset >= 0);
    store_be64(batch + BATCH_AT_BASE_OFFSET, (u64)base_offset);
    store_be32(batch + BATCH_AT_LEADER_EPOCH, (u32)leader_epoch);
}

static void store_crc(u8 *batch, size_t total)
{
    u32 crc = crc32c(batch + BATCH_AT_ATTRIBUTES, total - BATCH_AT_ATTRIBUTES);
    store_be32(batch + BATCH_AT_CRC, crc);
}

void batch_set_max_timestamp(u8 *batch, enum timestamp_type type, i64 max_timestamp_ms)
{
    assert(batch[BATCH_AT_MAGIC] == BATCH_MAGIC);
    u32 attributes = load_be16(batch + BATCH_AT_ATTRIBUTES);
    attributes &= ~(u32)BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    if (type == TIMESTAMP_LOG_APPEND_TIME) {
        attributes |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    }
    store_be16(batch + BATCH_AT_ATTRIBUTES, (u16)attributes);
    store_be64(batch + BATCH_AT_MAX_TIMESTAMP, (u64)max_timestamp_ms);
    store_crc(batch, (size_t)load_be32(batch + BATCH_AT_LENGTH) + BATCH_PREFIX_BYTES);
}

/* ---- Verification of the header ---- */

static bool reject(struct batch_verdict *v, i16 kerr, const char *message)
{
    v->kerr = kerr;
    v->message = message;
    return false;
}

/* How far the bytes at `in` are a batch of any format, in the order in which Kafka's reader looks:
   length, magic, then whether all of it is there. */
enum frame { FRAME_WHOLE, FRAME_SHORT, FRAME_BAD_LENGTH, FRAME_BAD_MAGIC };
static enum frame frame_next(struct slice in, size_t *total)
{
    if (in.len < BATCH_PREFIX_BYTES) {
        return FRAME_SHORT;
    }
    i32 length = (i32)load_be32(in.ptr + BATCH_AT_LENGTH);
    if (length < BATCH_LENGTH_MIN_ANY_FORMAT) {
        return FRAME_BAD_LENGTH;
    }
    if (in.len < BATCH_BYTES_UP_TO_MAGIC) {
        return FRAME_SHORT;
    }
    if (in.ptr[BATCH_AT_MAGIC] > BATCH_MAGIC) {
        return FRAME_BAD_MAGIC;
    }
    *total = (size_t)length + BATCH_PREFIX_BYTES;
    return in.len < *total ? FRAME_SHORT : FRAME_WHOLE;
}

/* Exactly one batch, of format 2; *total is its length. */
static bool verify_framing(struct slice in, size_t *total, struct batch_verdict *v)
{
    switch (frame_next(in, total)) {
    case FRAME_WHOLE:
        break;
    case FRAME_SHORT:
        return reject(v, KERR_INVALID_RECORD,
                      "a produce request must have one whole record batch per partition");
    case FRAME_BAD_LENGTH:
        return reject(v, KERR_CORRUPT_MESSAGE, "the batch length is below that of any batch");
    case FRAME_BAD_MAGIC:
        return reject(v, KERR_CORRUPT_MESSAGE, "the magic byte is of no known batch format");
    }
    if (in.ptr[BATCH_AT_MAGIC] != BATCH_MAGIC) {
        return reject(v, KERR_INVALID_RECORD, "only record batches with magic 2 are accepted");
    }
    struct slice tail = {in.ptr + *total, in.len - *total};
    size_t tail_total = 0;
    switch (frame_next(tail, &tail_total)) {
    case FRAME_WHOLE:
        return reject(v, KERR_INVALID_RECORD,
                      "a produce request must have exactly one record batch per partition");
    case FRAME_SHORT:
        return true; /* ignored, as Kafka does */
    case FRAME_BAD_LENGTH:
    case FRAME_BAD_MAGIC:
        break;
    }
    return reject(v, KERR_CORRUPT_MESSAGE, "the bytes after the batch are not a batch");
}

static bool verify_attributes(const struct batch_view *b, const struct batch_policy *policy,
                              struct batch_verdict *v)
{
    unsigned codec = b->attributes & BATCH_ATTRIBUTE_CODEC_MASK;
    if (codec >= CODEC_MAX) {
        return reject(v, KERR_UNSUPPORTED_COMPRESSION_TYPE, "unknown compression type");
    }
    if (codec == CODEC_ZSTD && policy->produce_version < PRODUCE_VERSION_WITH_ZSTD) {
        return reject(v, KERR_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7");
    }
    if (b->attributes & ~BATCH_ATTRIBUTES_FROM_CLIENT) {
        return reject(v, KERR_INVALID_RECORD, "unknown bits in the batch attributes");
    }
    if (batch_is_control(b)) {
        return reject(v, KERR_INVALID_RECORD, "clients are not allowed to write control records");
    }
    if (batch_timestamp_type(b) == TIMESTAMP_LOG_APPEND_TIME) {
        return reject(v, KERR_INVALID_TIMESTAMP,
                      "a producer should not set the timestamp type to LogAppendTime");
    }
    return true;
}

static bool verify_counts(const struct batch_view *b, struct batch_verdict *v)
{
    if (b->last_offset_delta < 0) {
        return reject(v, KERR_INVALID_RECORD, "the batch has an invalid offset range");
    }
    if (b->record_count <= 0) {
        return reject(v, KERR_INVALID_RECORD, "the batch has an invalid record count");
    }
    if ((i64)b->last_offset_delta + 1 != b->record_count) {
        return reject(v, KERR_INVALID_RECORD, "offset range and record count disagree");
    }
    return true;
}

static bool verify_producer(const struct batch_view *b, struct batch_verdict *v)
{
    if (batch_has_producer_id(b) && b->base_sequence < 0) {
        return reject(v, KERR_INVALID_RECORD, "a batch with a producer id needs a sequence");
    }
    if (batch_is_transactional(b) && !batch_has_producer_id(b)) {
        return reject(v, KERR_INVALID_RECORD, "a transactional batch needs a producer id");
    }
    return true;
}

bool batch_verify_header(struct slice records_field, const struct batch_policy *policy, i64 now_ms,
                         struct batch_view *out, struct batch_verdict *v)
{
    (void)now_ms; /* timestamps are judged record by record */
    *v = (struct batch_verdict){.kerr = KERR_NONE};
    size_t total = 0;
    if (!verify_framing(records_field, &total, v)) {
        return false;
    }
    if (load_be64(records_field.ptr + BATCH_AT_BASE_OFFSET) != 0) {
        return reject(v, KERR_INVALID_RECORD, "the base offset of a produced batch must be 0");
    }
    if ((i64)total > policy->max_message_bytes) {
        v->batch_bytes = total;
        return reject(v, KERR_MESSAGE_TOO_LARGE, "the batch is larger than max.message.bytes");
    }
    if (total < BATCH_HEADER_BYTES) {
        return reject(v, KERR_CORRUPT_MESSAGE, "the batch is shorter than its header");
    }
    struct batch_view b;
    decode_header(records_field.ptr, total, &b);
    if (!batch_crc_ok(&b)) {
        return reject(v, KERR_CORRUPT_MESSAGE, "the batch does not match its CRC");
    }
    if (!verify_counts(&b, v) || !verify_attributes(&b, policy, v) || !verify_producer(&b, v)) {
        return false;
    }
    if ((i64)total > policy->segment_bytes) {
        v->batch_bytes = total;
        return reject(v, KERR_RECORD_LIST_TOO_LARGE, "the batch is larger than segment.bytes");
    }
    *out = b;
    return true;
}

/* ---- The walk ---- */

static inline __attribute__((always_inline)) i32 zigzag32(u32 v)
{
    return (i32)((v >> 1) ^ (0u - (v & 1u)));
}

static inline __attribute__((always_inline)) i64 zigzag64(u64 v)
{
    return (i64)((v >> 1) ^ (0u - (v & 1u)));
}

/* The rest of a varint whose first byte had its high bit set; NULL when it runs past end, past five
   bytes (ten), or past 32 bits (64). */
static __attribute__((noinline)) const u8 *varint_rest(const u8 *p, const u8 *end, u32 first,
                                                       i32 *out)
{
    u32 v = first & 0x7Fu;
    for (unsigned shift = 7; shift < 35; shift += 7) {
        if (p == end) {
            return NULL;
        }
        u32 byte = *p++;
        if (shift == 28 && byte > 0x0F) {
            return NULL;
        }
        v |= (byte & 0x7Fu) << shift;
        if (byte < 0x80) {
            *out = zigzag32(v);
            return p;
        }
    }
    return NULL;
}

static __attribute__((noinline)) const u8 *varlong_rest(const u8 *p, const u8 *end, u64 first,
                                                        i64 *out)
{
    u64 v = first & 0x7Fu;
    for (unsigned shift = 7; shift < 70; shift += 7) {
        if (p == end) {
            return NULL;
        }
        u64 byte = *p++;
        if (shift == 63 && byte > 1) {
            return NULL;
        }
        v |= (byte & 0x7Fu) << shift;
        if (byte < 0x80) {
            *out = zigzag64(v);
            return p;
        }
    }
    return NULL;
}

/* Zig-zag varint: one byte and two bytes in line, since nearly all are. */
static inline __attribute__((always_inline)) const u8 *varint_next(const u8 *p, const u8 *end,
                                                                   i32 *out)
{
    if (UNLIKELY(p == end)) {
        return NULL;
    }
    u32 first = *p++;
    if (LIKELY(first < 0x80)) {
        *out = zigzag32(first);
        return p;
    }
    if (LIKELY(p != end && *p < 0x80)) {
        *out = zigzag32((first & 0x7Fu) | (u32)*p << 7);
        return p + 1;
    }
    return varint_rest(p, end, first, out);
}

static inline __attribute__((always_inline)) const u8 *varlong_next(const u8 *p, const u8 *end,
                                                                    i64 *out)
{
    if (UNLIKELY(p == end)) {
        return NULL;
    }
    u64 first = *p++;
    if (LIKELY(first < 0x80)) {
        *out = zigzag64(first);
        return p;
    }
    return varlong_rest(p, end, first, out);
}

/* A record where it lies. key and value are NULL with length -1 when null. */
struct raw_record {
    u8 attributes;
    i64 timestamp_delta;
    i32 offset_delta;
    i32 key_len;
    i32 value_len;
    i32 header_count;
    const u8 *key;
    const u8 *value;
    const u8 *headers;
    const u8 *end;
};

static const char fault_short[] = "the records end before the last one";
static const char fault_structure[] = "a field reaches beyond its record";
static const char fault_size[] = "a record is longer than its fields";
static const char fault_length[] = "a record has a negative length";
static const char fault_header_count[] = "a record has an impossible number of headers";
static const char fault_header_key[] = "a record header has no key";

/* Kafka writes -1 for null; anything below is not a length. */
static inline __attribute__((always_inline)) const u8 *bytes_next(const u8 *p, const u8 *end,
                                                                  i32 *len, const u8 **bytes)
{
    p = varint_next(p, end, len);
    if (UNLIKELY(!p) || UNLIKELY(*len < -1)) {
        return NULL;
    }
    if (*len < 0) {
        *bytes = NULL;
        return p;
    }
    if (UNLIKELY((size_t)*len > (size_t)(end - p))) {
        return NULL;
    }
    *bytes = p;
    return p + *len;
}

static __attribute__((noinline)) const char *check_headers(const u8 *p, const u8 *end, i32 count)
{
    /* A header is at least two bytes: no loop longer than the bytes justify. */
    if (count < 0 || count > (end - p) / 2) {
        return fault_header_count;
    }
    for (i32 i = 0; i < count; i++) {
        i32 key_len;
        i32 value_len;
        const u8 *bytes;
        p = bytes_next(p, end, &key_len, &bytes);
        if (!p) {
            return fault_structure;
        }
        if (key_len < 0) {
            return fault_header_key;
        }
        p = bytes_next(p, end, &value_len, &bytes);
        if (!p) {
            return fault_structure;
        }
    }
    return p == end ? NULL : fault_size;
}

/* Reads the record at p completely, headers too. NULL, or what is wrong with it. */
static inline __attribute__((always_inline)) const char *record_walk(const u8 *p, const u8 *end,
                                                                     struct raw_record *out)
{
    i32 length;
    p = varint_next(p, end, &length);
    if (UNLIKELY(!p)) {
        return fault_short;
    }
    if (UNLIKELY(length < 0)) {
        return fault_length;
    }
    if (UNLIKELY((size_t)length > (size_t)(end - p))) {
        return fault_short;
    }
    end = p + length;
    if (UNLIKELY(length == 0)) {
        return fault_structure;
    }
    out->attributes = *p++;
    p = varlong_next(p, end, &out->timestamp_delta);
    if (UNLIKELY(!p)) {
        return fault_structure;
    }
    p = varint_next(p, end, &out->offset_delta);
    if (UNLIKELY(!p)) {
        return fault_structure;
    }
    p = bytes_next(p, end, &out->key_len, &out->key);
    if (UNLIKELY(!p)) {
        return fault_structure;
    }
    p = bytes_next(p, end, &out->value_len, &out->value);
    if (UNLIKELY(!p)) {
        return fault_structure;
    }
    p = varint_next(p, end, &out->header_count);
    if (UNLIKELY(!p)) {
        return fault_structure;
    }
    out->headers = p;
    out->end = end;
    if (out->header_count == 0) {
        return LIKELY(p == end) ? NULL : fault_size;
    }
    return check_headers(p, end, out->header_count);
}

/* Base plus delta as Java computes it: wrapping. */
static inline i64 timestamp_add(i64 base, i64 delta)
{
    return (i64)((u64)base + (u64)delta);
}

/* ---- Verification of the records ---- */

static void note_record_error(struct batch_verdict *v, i32 index, const char *message)
{
    if (v->error_count < BATCH_RECORD_ERRORS_MAX) {
        v->errors[v->error_count++] = (struct batch_record_error){index, message};
    }
}

static bool timestamp_in_range(i64 timestamp, const struct batch_policy *policy, i64 now_ms)
{
    i64 age_ms;
    if (__builtin_sub_overflow(now_ms, timestamp, &age_ms)) {
        return false;
    }
    i64 ahead_ms = age_ms == INT64_MIN ? INT64_MAX : -age_ms;
    return age_ms <= policy->before_max_ms && ahead_ms <= policy->after_max_ms;
}

/* A batch that breaks its own structure: this record is reported, and no other. */
static void reject_at(struct batch_verdict *v, i32 index, const char *message)
{
    *v = (struct batch_verdict){.kerr = KERR_INVALID_RECORD, .message = message};
    note_record_error(v, index, message);
}

static const char message_key[] = "a compacted topic cannot accept a record without key";
static const char message_timestamp[] = "the timestamp of the record is out of range";

/* Walks all records. Structure first: its faults end the walk. What the topic's policy forbids is
   collected, so that a client hears of several records at once (Produce v8). */
static void walk_records(const struct batch_view *b, struct slice records,
                         const struct batch_policy *policy, i64 now_ms, struct batch_summary *sum,
                         struct batch_verdict *v)
{
    const u8 *p = records.ptr;
    const u8 *end = records.ptr + records.len;
    bool judge_time = policy->timestamp_type == TIMESTAMP_CREATE_TIME;
    bool bad_time = false;
    i64 max_timestamp = BATCH_NO_TIMESTAMP;
    i32 max_index = 0;
    for (i32 index = 0; index < b->record_count; index++) {
        struct raw_record record;
        const char *fault = record_walk(p, end, &record);
        if (UNLIKELY(fault)) {
            reject_at(v, index, fault);
            return;
        }
        p = record.end;
        if (UNLIKELY(record.offset_delta != index)) {
            reject_at(v, index, "offset deltas must be 0, 1, 2 and so on");
            return;
        }
        i64 timestamp = timestamp_add(b->base_timestamp, record.timestamp_delta);
        if (timestamp > max_timestamp) {
            max_timestamp = timestamp;
            max_index = index;
        }
        if (UNLIKELY(policy->compacted && !record.key)) {
            note_record_error(v, index, message_key);
        } else if (judge_time && timestamp != BATCH_NO_TIMESTAMP &&
                   UNLIKELY(!timestamp_in_range(timestamp, policy, now_ms))) {
            note_record_error(v, index, message_timestamp);
            bad_time = true;
        }
    }
    if (p != end) {
        reject_at(v, b->record_count - 1, "bytes remain after the last record");
        return;
    }
    if (v->error_count > 0) {
        v->kerr = bad_time ? KERR_INVALID_TIMESTAMP : KERR_INVALID_RECORD;
        v->message = bad_time ? "one or more records have an invalid timestamp"
                              : "one or more records have no key";
        return;
    }
    bool by_us = policy->timestamp_type == TIMESTAMP_LOG_APPEND_TIME;
    *sum = (struct batch_summary){
        .max_timestamp = by_us ? now_ms : max_timestamp,
        .max_timestamp_offset_delta = by_us ? 0 : max_index,
        .max_timestamp_differs = by_us || max_timestamp != b->max_timestamp,
        .records_bytes = records.len,
    };
}

err_t batch_verify_records(const struct batch_view *b, const struct batch_policy *policy,
                           i64 now_ms, struct decompressor *scratch, struct batch_summary *sum,
                           struct batch_verdict *v)
{
    assert(b->record_count > 0); /* batch_verify_header has passed it */
    *v = (struct batch_verdict){.kerr = KERR_NONE};
    struct slice records = b->records;
    if (batch_codec(b) != CODEC_NONE) {
        assert(scratch);
        switch (decompress(scratch, batch_codec(b), b->records, policy->max_decompressed_bytes,
                           &records)) {
        case OK:
            break;
        case ERR_NO_MEMORY:
            return ERR_NO_MEMORY;
        case ERR_LIMIT:
            reject(v, KERR_MESSAGE_TOO_LARGE, "the records expand beyond the limit");
            return OK;
        default:
            reject(v, KERR_INVALID_RECORD, "the records cannot be decompressed");
            return OK;
        }
    }
    walk_records(b, records, policy, now_ms, sum, v);
    return OK;
}

/* ---- Iteration ---- */

err_t record_iter_init(struct record_iter *it, const struct batch_view *b,
                       struct decompressor *scratch, u64 max_bytes)
{
    struct slice records = b->records;
    if (batch_codec(b) != CODEC_NONE) {
        assert(scratch);
        TRY(decompress(scratch, batch_codec(b), b->records, max_bytes, &records));
    }
    *it = (struct record_iter){
        .batch = b, .left = records, .records_left = MAX(b->record_count, 0), .err = OK};
    return OK;
}

static struct slice nullable(const u8 *ptr, i32 len)
{
    return ptr ? (struct slice){ptr, (size_t)len} : (struct slice){NULL, 0};
}

bool record_iter_next(struct record_iter *it, struct record *out)
{
    if (it->err != OK) {
        return false;
    }
    if (it->records_left == 0) {
        it->err = it->left.len == 0 ? OK : ERR_INVALID;
        return false;
    }
    struct raw_record record;
    if (record_walk(it->left.ptr, it->left.ptr + it->left.len, &record)) {
        it->err = ERR_INVALID;
        return false;
    }
    const struct batch_view *b = it->batch;
    bool by_broker = batch_timestamp_type(b) == TIMESTAMP_LOG_APPEND_TIME;
    *out = (struct record){
        .offset = (i64)((u64)b->base_offset + (u64)(i64)record.offset_delta),
        .offset_delta = record.offset_delta,
        .timestamp =
            by_broker ? b->max_timestamp : timestamp_add(b->base_timestamp, record.timestamp_delta),
        .attributes = record.attributes,
        .key = nullable(record.key, record.key_len),
        .value = nullable(record.value, record.value_len),
        .header_count = record.header_count,
        .headers = {record.headers, (size_t)(record.end - record.headers)},
    };
    it->left.len -= (size_t)(record.end - it->left.ptr);
    it->left.ptr = record.end;
    it->records_left--;
    return true;
}

bool record_header_next(struct slice *headers, struct record_header *out)
{
    if (headers->len == 0) {
        return false;
    }
    const u8 *p = headers->ptr;
    const u8 *end = p + headers->len;
    i32 key_len;
    i32 value_len;
    const u8 *key;
    const u8 *value;
    p = bytes_next(p, end, &key_len, &key);
    assert(p && key); /* record_iter_next has read them all */
    p = bytes_next(p, end, &value_len, &value);
    assert(p);
    *out = (struct record_header){nullable(key, key_len), nullable(value, value_len)};
    *headers = (struct slice){p, (size_t)(end - p)};
    return true;
}

/* ---- Building ---- */

/* Length, attributes, three varints and a varlong at their longest, and the header count. */
#define RECORD_OVERHEAD_BYTES_MAX 36u
#define HEADER_OVERHEAD_BYTES_MAX 10u

struct batch_builder_options batch_builder_plain(void)
{
    return (struct batch_builder_options){
        .codec = CODEC_NONE,
        .timestamp_type = TIMESTAMP_CREATE_TIME,
        .leader_epoch = -1,
        .producer_id = BATCH_NO_PRODUCER_ID,
        .producer_epoch = BATCH_NO_PRODUCER_EPOCH,
        .base_sequence = BATCH_NO_SEQUENCE,
    };
}

void batch_builder_init(struct batch_builder *b, const struct batch_builder_options *options)
{
    assert((unsigned)options->codec < CODEC_MAX);
    *b = (struct batch_builder){.options = *options};
    growing_buffer_init(&b->records, options->quota);
    growing_buffer_init(&b->batch, options->quota);
}

static size_t nullable_size(struct slice s)
{
    return s.ptr ? varint_size((i32)s.len) + s.len : varint_size(-1);
}

static void write_nullable(struct writer *w, struct slice s)
{
    if (!s.ptr) {
        write_varint(w, -1);
        return;
    }
    write_varint(w, (i32)s.len);
    write_bytes(w, s.ptr, s.len);
}

/* The sum of all that is variable in a record, for a bound; ERR_LIMIT when it is no record. */
static err_t payload_bytes(struct slice key, struct slice value,
                           const struct record_header *headers, u32 header_count, size_t *out)
{
    size_t total = 0;
    struct slice parts[2] = {key, value};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len > INT32_MAX / 2) {
            return ERR_LIMIT;
        }
        total += parts[i].len;
    }
    for (u32 i = 0; i < header_count; i++) {
        assert(headers[i].key.ptr); /* a header has a key, if only an empty one */
        if (headers[i].key.len > INT32_MAX / 2 || headers[i].value.len > INT32_MAX / 2) {
            return ERR_LIMIT;
        }
        total += headers[i].key.len + headers[i].value.len + HEADER_OVERHEAD_BYTES_MAX;
    }
    *out = total;
    return OK;
}

err_t batch_builder_add(struct batch_builder *b, i64 timestamp_ms, struct slice key,
                        struct slice value, const struct record_header *headers, u32 header_count)
{
    assert(b->batch.len == 0); /* not after finish */
    size_t bound = 0;
    TRY(payload_bytes(key, value, headers, header_count, &bound));
    bound += RECORD_OVERHEAD_BYTES_MAX;
    if (b->record_count == INT32_MAX || header_count > INT32_MAX ||
        b->records.len + bound > (size_t)INT32_MAX) {
        return ERR_LIMIT;
    }
    TRY(growing_buffer_reserve(&b->records, bound));

    bool first = b->record_count == 0;
    i64 base_timestamp = first ? timestamp_ms : b->base_timestamp;
    i64 timestamp_delta = (i64)((u64)timestamp_ms - (u64)base_timestamp);
    size_t length = 1 + varlong_size(timestamp_delta) + varint_size(b->record_count) +
                    nullable_size(key) + nullable_size(value) + varint_size((i32)header_count);
    for (u32 i = 0; i < header_count; i++) {
        length += nullable_size(headers[i].key) + nullable_size(headers[i].value);
    }

    struct writer w = writer_of(b->records.ptr + b->records.len, b->records.cap - b->records.len);
    write_varint(&w, (i32)length);
    size_t body_at = w.len;
    write_u8(&w, 0);
    write_varlong(&w, timestamp_delta);
    write_varint(&w, b->record_count);
    write_nullable(&w, key);
    write_nullable(&w, value);
    write_varint(&w, (i32)header_count);
    for (u32 i = 0; i < header_count; i++) {
        write_nullable(&w, headers[i].key);
        write_nullable(&w, headers[i].value);
    }
    assert(!w.failed); /* the bound was reserved */
    assert(w.len - body_at == length);

    b->records.len += w.len;
    b->base_timestamp = base_timestamp;
    b->max_timestamp = first ? timestamp_ms : MAX(b->max_timestamp, timestamp_ms);
    b->record_count++;
    return OK;
}

static u16 builder_attributes(const struct batch_builder_options *o)
{
    unsigned attributes = (unsigned)o->codec;
    attributes |=
        o->timestamp_type == TIMESTAMP_LOG_APPEND_TIME ? BATCH_ATTRIBUTE_LOG_APPEND_TIME : 0u;
    attributes |= o->transactional ? BATCH_ATTRIBUTE_TRANSACTIONAL : 0u;
    attributes |= o->control ? BATCH_ATTRIBUTE_CONTROL : 0u;
    return (u16)attributes;
}

static err_t append_records(struct batch_builder *b)
{
    struct slice records = {b->records.ptr, b->records.len};
    if (b->options.codec == CODEC_SNAPPY && b->options.snappy_raw) {
        return compress_snappy_raw(records, &b->batch);
    }
    return compress(b->options.codec, b->options.level, records, &b->batch);
}

err_t batch_builder_finish(struct batch_builder *b, struct slice *out)
{
    assert(b->record_count > 0);
    assert(b->batch.len == 0); /* once per reset */
    const struct batch_builder_options *o = &b->options;
    TRY(growing_buffer_reserve(&b->batch, BATCH_HEADER_BYTES));
    b->batch.len = BATCH_HEADER_BYTES;
    err_t err = append_records(b);
    if (err == OK && b->batch.len > (size_t)INT32_MAX) {
        err = ERR_LIMIT;
    }
    if (err != OK) {
        b->batch.len = 0;
        return err;
    }
    struct writer w = writer_of(b->batch.ptr, BATCH_HEADER_BYTES);
    write_be64(&w, (u64)o->base_offset);
    write_be32(&w, (u32)(b->batch.len - BATCH_PREFIX_BYTES));
    write_be32(&w, (u32)o->leader_epoch);
    write_u8(&w, BATCH_MAGIC);
    write_be32(&w, 0); /* the CRC, below */
    write_be16(&w, builder_attributes(o));
    write_be32(&w, (u32)(b->record_count - 1));
    write_be64(&w, (u64)b->base_timestamp);
    write_be64(&w, (u64)b->max_timestamp);
    write_be64(&w, (u64)o->producer_id);
    write_be16(&w, (u16)o->producer_epoch);
    write_be32(&w, (u32)o->base_sequence);
    write_be32(&w, (u32)b->record_count);
    assert(!w.failed && w.len == BATCH_HEADER_BYTES);
    store_crc(b->batch.ptr, b->batch.len);
    *out = (struct slice){b->batch.ptr, b->batch.len};
    return OK;
}

void batch_builder_reset(struct batch_builder *b)
{
    struct batch_builder_options *o = &b->options;
    if (o->producer_id != BATCH_NO_PRODUCER_ID && o->base_sequence >= 0) {
        o->base_sequence = sequence_add(o->base_sequence, b->record_count);
    }
    b->records.len = 0;
    b->batch.len = 0;
    b->record_count = 0;
    b->base_timestamp = 0;
    b->max_timestamp = 0;
}

void batch_builder_fini(struct batch_builder *b)
{
    growing_buffer_fini(&b->records);
    growing_buffer_fini(&b->batch);
}
