/* Kafka's record batch, format 2 ("magic 2"; KIP-98): views, verification, iteration, building.
   Pure: no clock, no files; now_ms is an argument. Callers: broker (Produce), log (append,
   recovery, look-up by time), cli and sim (build, print). A view points into the caller's bytes.

     0  8 baseOffset            23  4 lastOffsetDelta     53  4 baseSequence
     8  4 batchLength           27  8 baseTimestamp       57  4 recordCount
    12  4 partitionLeaderEpoch  35  8 maxTimestamp        61    records (compressed as one run)
    16  1 magic                 43  8 producerId
    17  4 crc                   51  2 producerEpoch
    21  2 attributes

   crc = CRC-32C of byte 21 to the end: baseOffset and partitionLeaderEpoch are patched without
   touching it. attributes: bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control,
   6 delete horizon. */
#pragma once

#include "base/base.h"
#include "wire/compress.h"

enum {
    BATCH_AT_BASE_OFFSET = 0,
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_ATTRIBUTES = 21,
    BATCH_AT_LAST_OFFSET_DELTA = 23,
    BATCH_AT_BASE_TIMESTAMP = 27,
    BATCH_AT_MAX_TIMESTAMP = 35,
    BATCH_AT_PRODUCER_ID = 43,
    BATCH_AT_PRODUCER_EPOCH = 51,
    BATCH_AT_BASE_SEQUENCE = 53,
    BATCH_AT_RECORD_COUNT = 57,
    BATCH_HEADER_BYTES = 61,
    BATCH_PREFIX_BYTES = 12, /* baseOffset and batchLength: not counted in batchLength */
    BATCH_MAGIC = 2,
};

enum {
    BATCH_ATTRIBUTE_CODEC_MASK = 0x07,
    BATCH_ATTRIBUTE_LOG_APPEND_TIME = 0x08,
    BATCH_ATTRIBUTE_TRANSACTIONAL = 0x10,
    BATCH_ATTRIBUTE_CONTROL = 0x20,
    BATCH_ATTRIBUTE_DELETE_HORIZON = 0x40,
};

#define BATCH_NO_TIMESTAMP      (-1)
#define BATCH_NO_PRODUCER_ID    (-1)
#define BATCH_NO_PRODUCER_EPOCH (-1)
#define BATCH_NO_SEQUENCE       (-1)

enum timestamp_type { TIMESTAMP_CREATE_TIME = 0, TIMESTAMP_LOG_APPEND_TIME = 1 };

/* The header decoded. Nothing in it is believed beyond what batch_view_parse checked. */
struct batch_view {
    i64 base_offset;
    i32 batch_length; /* bytes after the length field: whole.len - BATCH_PREFIX_BYTES */
    i32 leader_epoch;
    u8 magic;
    u32 crc;
    u16 attributes;
    i32 last_offset_delta;
    i64 base_timestamp;
    i64 max_timestamp;
    i64 producer_id;
    i16 producer_epoch;
    i32 base_sequence;
    i32 record_count;
    struct slice whole;   /* header and records */
    struct slice records; /* what follows the header, compressed or not */
};

/* Reads the first batch of `in`; more may follow. Only structure is checked: enough bytes
   (ERR_TRUNCATED), magic 2 (ERR_VERSION), batchLength at least a header (ERR_INVALID). *out changes
   only on OK. The CRC is batch_crc_ok's business. */
MUST_USE err_t batch_view_parse(struct slice in, struct batch_view *out);
bool batch_crc_ok(const struct batch_view *b);
/* Takes the first batch off *rest, which may hold several. ERR_NOT_FOUND when *rest is empty;
   otherwise as batch_view_parse, and *rest stays. */
MUST_USE err_t batch_view_next(struct slice *rest, struct batch_view *out);

enum codec batch_codec(const struct batch_view *b); /* may be 5-7 in bytes not yet verified */
enum timestamp_type batch_timestamp_type(const struct batch_view *b);
bool batch_is_transactional(const struct batch_view *b);
bool batch_is_control(const struct batch_view *b);
bool batch_has_producer_id(const struct batch_view *b);
i64 batch_last_offset(const struct batch_view *b);
i64 batch_next_offset(const struct batch_view *b);   /* last offset + 1, also after compaction */
i32 batch_last_sequence(const struct batch_view *b); /* BATCH_NO_SEQUENCE without a producer id */
/* Sequences live in 0 .. 2^31-1 and wrap: (base + delta) mod 2^31. base >= 0, delta >= 0. */
i32 sequence_add(i32 base, i32 delta);

/* In place, at the start of a batch that has been verified. The first leaves the CRC valid as it
   is; the second sets timestamp type and maxTimestamp and computes the CRC anew. */
void batch_set_base_offset_and_epoch(u8 *batch, i64 base_offset, i32 leader_epoch);
void batch_set_max_timestamp(u8 *batch, enum timestamp_type type, i64 max_timestamp_ms);
static inline void batch_set_log_append_time(u8 *batch, i64 now_ms)
{
    batch_set_max_timestamp(batch, TIMESTAMP_LOG_APPEND_TIME, now_ms);
}

/* ---- Verification of a Produce ----

   Two steps, so that the loop can do the first and a worker the second:
     batch_verify_header    framing, header, CRC: linear in bytes at memory speed
     batch_verify_records   every record; a compressed batch (see batch_codec) is decompressed first

   Which error for what: Kafka's own answers [LogValidator, UnifiedLog, ProduceRequest] unless ours.
      2 CORRUPT_MESSAGE     batchLength below 14 or below a header; magic negative or above 2; CRC
     10 MESSAGE_TOO_LARGE   batch above max_message_bytes. Ours: records expand beyond a cap of
                            compress.h (the Java producer then splits the batch, the right answer)
     18 RECORD_LIST_TOO_LARGE   batch above segment_bytes
     32 INVALID_TIMESTAMP   on a CreateTime topic a record outside [now - before_max, now +
                            after_max] (-1, no timestamp, passes). Ours: LogAppendTime set by the
                            client (Kafka: only if the records have no timestamp, or the topic is
                            LogAppendTime too)
     76 UNSUPPORTED_COMPRESSION_TYPE   zstd below Produce v7. Ours: codec 5-7 (Kafka fails with -1)
     87 INVALID_RECORD      no whole batch, or two; magic 0 or 1; baseOffset not 0; count or
                            lastOffsetDelta below the possible, or disagreeing; control bit;
                            producer id without sequence; records that overlap, run short or leave
                            bytes; null header key; null key on a compacted topic.
                            Ours: unknown attribute bits; offset deltas other than 0..n-1 (Kafka
                            rewrites such a batch); lengths below -1 (Kafka: null); varints past
                            32 bits (Java cuts them off, other readers do not); compressed bytes
                            that do not decompress, or with bytes behind their end (Kafka: -1, or
                            its readers disagree); transactional without a producer id. Records
                            of a compressed batch are read as closely as plain ones; Kafka skips.
   A tail after the batch that is too short to be a batch is ignored, as in Kafka: use view.whole.
   Attributes of a record are not looked at, as in Kafka. Neither is partitionLeaderEpoch, which is
   overwritten, nor is the header's maxTimestamp believed: Kafka puts the true one in its place.
   test/roundtrip/run-batches holds all this against Kafka's own classes. */
struct batch_policy {
    enum timestamp_type timestamp_type; /* message.timestamp.type of the topic */
    i64 before_max_ms;                  /* message.timestamp.before.max.ms */
    i64 after_max_ms;                   /* message.timestamp.after.max.ms */
    i64 max_message_bytes;              /* max.message.bytes, with the 12 byte prefix */
    i64 segment_bytes;                  /* segment.bytes */
    bool compacted;                     /* cleanup.policy has compact */
    i16 produce_version;                /* of the request */
    u64 max_decompressed_bytes;         /* output cap */
};

/* What Produce v8+ reports per record. Messages are static strings. */
struct batch_record_error {
    i32 index;
    const char *message;
};
#define BATCH_RECORD_ERRORS_MAX 8

struct batch_verdict {
    i16 kerr;            /* error code of the wire, 0 = accepted */
    const char *message; /* static; NULL when accepted */
    u64 batch_bytes;     /* when it was refused for them, else 0 */
    u32 error_count;     /* of errors[]; there may be more bad records than that */
    struct batch_record_error errors[BATCH_RECORD_ERRORS_MAX];
};

/* What the walk found out; valid when accepted. */
struct batch_summary {
    i64 max_timestamp;              /* of the records; BATCH_NO_TIMESTAMP if none has one */
    i32 max_timestamp_offset_delta; /* the first record with it */
    bool max_timestamp_differs;     /* from the header: patch with batch_set_max_timestamp */
    u64 records_bytes;              /* decompressed */
};

/* records_field: the records of one partition in a Produce, as received (null: an empty slice).
   True when accepted; *out is set only then. *v is always set. */
MUST_USE bool batch_verify_header(struct slice records_field, const struct batch_policy *policy,
                                  i64 now_ms, struct batch_view *out, struct batch_verdict *v);
/* OK: *v says accepted or not, and *sum is set when accepted. ERR_NO_MEMORY: no room in scratch's
   quota now; nothing was decided. scratch may be NULL when batch_codec() is CODEC_NONE. */
MUST_USE err_t batch_verify_records(const struct batch_view *b, const struct batch_policy *policy,
                                    i64 now_ms, struct decompressor *scratch,
                                    struct batch_summary *sum, struct batch_verdict *v);

/* ---- Records of a batch, one by one ----

     struct record_iter it;
     TRY(record_iter_init(&it, &batch, &scratch, max_bytes));
     while (record_iter_next(&it, &record)) { ... }
     return it.err; */
struct record {
    i64 offset;
    i32 offset_delta;
    i64 timestamp; /* the batch's maxTimestamp under LogAppendTime */
    u8 attributes;
    struct slice key;   /* ptr NULL = null; empty has a ptr */
    struct slice value; /* the same */
    i32 header_count;
    struct slice headers; /* read them with record_header_next */
};
struct record_header {
    struct slice key;
    struct slice value; /* ptr NULL = null */
};
struct record_iter {
    const struct batch_view *batch;
    struct slice left;
    i32 records_left;
    err_t err; /* OK, or why the iteration ended early */
};
/* Decompresses if need be: the records then live in scratch, until its next use. scratch may be
   NULL for an uncompressed batch. */
MUST_USE err_t record_iter_init(struct record_iter *it, const struct batch_view *b,
                                struct decompressor *scratch, u64 max_bytes);
bool record_iter_next(struct record_iter *it, struct record *out);
/* Takes the first header off *headers; false at the end. Only for headers that came from
   record_iter_next, which has checked them. */
bool record_header_next(struct slice *headers, struct record_header *out);

/* ---- Building ----

     struct batch_builder_options options = batch_builder_plain();
     batch_builder_init(&b, &options);
     TRY(batch_builder_add(&b, now_ms, key, value, headers, header_count));  as often as needed
     TRY(batch_builder_finish(&b, &batch));     the slice lives in b until reset or fini
     batch_builder_reset(&b); ... batch_builder_fini(&b); */
struct batch_builder_options {
    enum codec codec;
    int level;       /* 0 = usual */
    bool snappy_raw; /* one raw block instead of xerial framing */
    bool transactional;
    bool control;
    enum timestamp_type timestamp_type;
    i64 base_offset;
    i32 leader_epoch;
    i64 producer_id; /* -1 = none; epoch and sequence then should be -1 too */
    i16 producer_epoch;
    i32 base_sequence;
    struct quota *quota; /* may be NULL */
};
struct batch_builder {
    struct batch_builder_options options;
    struct growing_buffer records;
    struct growing_buffer batch;
    i64 base_timestamp;
    i64 max_timestamp;
    i32 record_count;
};
/* Options of a plain batch: no codec, no producer id, CreateTime, epoch -1. */
struct batch_builder_options batch_builder_plain(void);
void batch_builder_init(struct batch_builder *b, const struct batch_builder_options *options);
/* key or value with ptr NULL is null. ERR_LIMIT above 2^31-1 bytes or records. */
MUST_USE err_t batch_builder_add(struct batch_builder *b, i64 timestamp_ms, struct slice key,
                                 struct slice value, const struct record_header *headers,
                                 u32 header_count);
/* At least one record. May be called once per reset. */
MUST_USE err_t batch_builder_finish(struct batch_builder *b, struct slice *out);
/* Empty again, same options but for the sequence, which goes on after the last batch. */
void batch_builder_reset(struct batch_builder *b);
void batch_builder_fini(struct batch_builder *b);
