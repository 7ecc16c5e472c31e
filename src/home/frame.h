/* The frame: one WAL slot or one metadata slot as bytes on the medium (docs/internals/formats.md
   has the byte layout; static asserts hold it). All integers little-endian.

     header 128 B | payload (Kafka batches, back to back) | index 64 B x n | zero padding | trailer
   64 B total_bytes is a multiple of the block size (4096 at least); the trailer ends the frame.

   A frame is built in place: whoever fills the payload leaves FRAME_HEADER_BYTES in front of it and
   room behind it for index, padding and trailer (frame_total_bytes says how much). */
#pragma once

#include "base/base.h"

#define FRAME_HEADER_BYTES  128u
#define FRAME_ENTRY_BYTES   64u
#define FRAME_TRAILER_BYTES 64u
#define FRAME_VERSION       1u
#define FRAME_INFLIGHT_MAX \
    4u /* K_MAX of storage.md: part of the format (torn tail or corruption) */

enum frame_kind { FRAME_DATA = 1, FRAME_MARK = 2, FRAME_SEAL = 3, FRAME_SNAP = 4, FRAME_META = 5 };

struct frame_header {
    enum frame_kind kind;
    struct uuid cluster;
    u64 wal;          /* wal id; 0 for metadata frames */
    u64 slot;         /* 0, 1, 2 ... within the wal, or the metadata slot */
    u64 nonce;        /* of the session that wrote it */
    u64 chain;        /* hash of the previous slot's header; 0 for the first */
    u64 durable_slot; /* all slots below it were known durable when this one was cut */
    u32 total_bytes;
    u32 payload_bytes;
    u32 index_pos;
    u32 index_count;
    u32 index_crc;
    u32 payload_crc; /* CRC-32C of the payload: covers what Kafka's batch CRC leaves out */
};

/* One batch in the payload; entries are sorted by (partition, base_offset). */
struct frame_entry {
    u32 partition; /* partition id of the metadata state, never reused */
    u32 leader_epoch;
    u64 base_offset;
    i64 producer_id; /* -1: none */
    i64 max_timestamp;
    u64 source; /* 0 = this object */
    u32 last_offset_delta;
    u32 pos; /* from the frame's first byte */
    u32 bytes;
    i32 base_sequence; /* a marker's coordinator epoch */
    u32 batch_crc;     /* the batch's own CRC field */
    i16 producer_epoch;
    u16 attributes; /* as in the batch header */
};

u32 frame_total_bytes(u32 payload_bytes, u32 index_count, u32 block_bytes);
/* Writes header, index, padding and trailer around the payload that is already at
   frame + FRAME_HEADER_BYTES. entries are sorted. h->total_bytes, index_* and payload_crc are
   filled in. */
void frame_seal(u8 *frame, struct frame_header *h, const struct frame_entry *entries,
                u32 block_bytes);
u64 frame_header_hash(const u8 *frame); /* the next frame's chain */

/* Checks magic, version and the header's CRC, and that the numbers fit each other. ERR_CORRUPT,
 * ERR_VERSION. */
MUST_USE err_t frame_header_decode(const u8 *header_128, struct frame_header *out);
/* index points to index_count * 64 bytes: checks index_crc and the order and the bounds of entries.
 */
MUST_USE err_t frame_index_check(const struct frame_header *h, const u8 *index);
void frame_entry_decode(const u8 *entry_64, struct frame_entry *out);
MUST_USE err_t frame_payload_check(const struct frame_header *h, const u8 *frame);
MUST_USE err_t frame_trailer_check(const struct frame_header *h, const u8 *trailer_64);
/* One batch against its entry: the entry covers the 21 bytes that the batch's own CRC leaves out.
   `batch` has entry->bytes bytes. ERR_CORRUPT. */
MUST_USE err_t frame_batch_check(const struct frame_entry *entry, const u8 *batch);
