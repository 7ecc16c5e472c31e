/* The frame's codec: header, index, trailer, exactly as docs/internals/formats.md lays them out.
   Pure. Called by log/ (seal, batch check) and by the homes (everything else). Owns nothing.

   Each record has one function that writes it field by field in the order of the document and one
   that reads it; the static asserts and the `len == ...` assertions hold the sizes. */
#include "home/frame.h"

#include <string.h>

static const u8 header_magic[8] = {'O', 'D', 'K', 'F', 'R', 'A', 'M', 'E'};
static const u8 trailer_magic[8] = {'O', 'D', 'K', 'T', 'R', 'A', 'I', 'L'};

enum {
    HEADER_AT_VERSION = 8,
    HEADER_AT_ZEROS = 92,
    HEADER_AT_CRC = 124,
    TRAILER_AT_CRC = 52,
    TRAILER_AT_MAGIC = 56,
    TOTAL_BYTES_UNIT = 4096,
    /* Of a Kafka record batch, format 2: what frame_batch_check looks at (big-endian). */
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_CRC_START = 21,
    BATCH_HEADER_BYTES = 61,
};

static_assert(HEADER_AT_CRC + sizeof(u32) == FRAME_HEADER_BYTES, "header_crc ends the header");
static_assert(TRAILER_AT_CRC + sizeof(u32) == TRAILER_AT_MAGIC,
              "trailer_crc stands before the magic");
static_assert(TRAILER_AT_MAGIC + sizeof(trailer_magic) == FRAME_TRAILER_BYTES, "magic ends it");
static_assert(sizeof(struct frame_entry) == FRAME_ENTRY_BYTES,
              "an index decodes into its own size");
static_assert(FRAME_HEADER_BYTES + FRAME_TRAILER_BYTES < TOTAL_BYTES_UNIT,
              "an empty frame is a block");

u32 frame_total_bytes(u32 payload_bytes, u32 index_count, u32 block_bytes)
{
    assert(block_bytes >= TOTAL_BYTES_UNIT);
    assert(block_bytes % TOTAL_BYTES_UNIT == 0);
    u64 bytes = (u64)FRAME_HEADER_BYTES + payload_bytes + (u64)FRAME_ENTRY_BYTES * index_count +
                FRAME_TRAILER_BYTES;
    u64 total = ROUND_UP(bytes, (u64)block_bytes);
    assert(total <= UINT32_MAX);
    return (u32)total;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void header_encode(const struct frame_header *h, u8 out[FRAME_HEADER_BYTES])
{
    struct writer w = writer_of(out, FRAME_HEADER_BYTES);
    write_bytes(&w, header_magic, sizeof(header_magic));
    write_u8(&w, FRAME_VERSION);
    write_u8(&w, (u8)h->kind);
    write_le16(&w, 0);
    write_le32(&w, h->total_bytes);
    write_bytes(&w, h->cluster.bytes, sizeof(h->cluster.bytes));
    write_le64(&w, h->wal);
    write_le64(&w, h->slot);
    write_le64(&w, h->nonce);
    write_le64(&w, h->chain);
    write_le64(&w, h->durable_slot);
    write_le32(&w, h->payload_bytes);
    write_le32(&w, h->payload_crc);
    write_le32(&w, h->index_pos);
    write_le32(&w, h->index_count);
    write_le32(&w, h->index_crc);
    assert(w.len == HEADER_AT_ZEROS);
    write_zeros(&w, HEADER_AT_CRC - HEADER_AT_ZEROS);
    write_le32(&w, crc32c(out, HEADER_AT_CRC));
    assert(!w.failed);
    assert(w.len == FRAME_HEADER_BYTES);
}

static void entry_encode(const struct frame_entry *e, u8 out[FRAME_ENTRY_BYTES])
{
    struct writer w = writer_of(out, FRAME_ENTRY_BYTES);
    write_le32(&w, e->partition);
    write_le32(&w, e->leader_epoch);
    write_le64(&w, e->base_offset);
    write_le32(&w, e->last_offset_delta);
    write_le32(&w, e->pos);
    write_le32(&w, e->bytes);
    write_le32(&w, (u32)e->base_sequence);
    write_le64(&w, (u64)e->producer_id);
    write_le64(&w, (u64)e->max_timestamp);
    write_le64(&w, e->source);
    write_le32(&w, e->batch_crc);
    write_le16(&w, (u16)e->producer_epoch);
    write_le16(&w, e->attributes);
    assert(!w.failed);
    assert(w.len == FRAME_ENTRY_BYTES);
}

static void trailer_encode(const struct frame_header *h, u8 out[FRAME_TRAILER_BYTES])
{
    struct writer w = writer_of(out, FRAME_TRAILER_BYTES);
    write_le32(&w, h->total_bytes);
    write_le32(&w, h->payload_bytes);
    write_le32(&w, h->payload_crc);
    write_le32(&w, h->index_pos);
    write_le32(&w, h->index_count);
    write_le32(&w, h->index_crc);
    write_le64(&w, h->wal);
    write_le64(&w, h->slot);
    write_le64(&w, h->nonce);
    write_u8(&w, FRAME_VERSION);
    write_u8(&w, (u8)h->kind);
    write_le16(&w, 0);
    assert(w.len == TRAILER_AT_CRC);
    write_le32(&w, crc32c(out, TRAILER_AT_CRC));
    write_bytes(&w, trailer_magic, sizeof(trailer_magic));
    assert(!w.failed);
    assert(w.len == FRAME_TRAILER_BYTES);
}

void frame_seal(u8 *frame, struct frame_header *h, const struct frame_entry *entries,
                u32 block_bytes)
{
    assert(h->durable_slot <= h->slot);
    h->total_bytes = frame_total_bytes(h->payload_bytes, h->index_count, block_bytes);
    h->index_pos = FRAME_HEADER_BYTES + h->payload_bytes;
    u32 index_bytes = FRAME_ENTRY_BYTES * h->index_count;
    u32 padding_pos = h->index_pos + index_bytes;
    u32 trailer_pos = h->total_bytes - FRAME_TRAILER_BYTES;
    for (u32 i = 0; i < h->index_count; i++) {
        entry_encode(&entries[i], frame + h->index_pos + (size_t)i * FRAME_ENTRY_BYTES);
    }
    memset(frame + padding_pos, 0, trailer_pos - padding_pos);
    h->payload_crc = crc32c(frame + FRAME_HEADER_BYTES, h->payload_bytes);
    h->index_crc = crc32c(frame + h->index_pos, index_bytes);
    header_encode(h, frame);
    trailer_encode(h, frame + trailer_pos);
    assert_slow(frame_index_check(h, frame + h->index_pos) == OK);
}

u64 frame_header_hash(const u8 *frame)
{
    u64 hash = 14695981039346656037ull;
    for (u32 i = 0; i < FRAME_HEADER_BYTES; i++) {
        hash = (hash ^ frame[i]) * 1099511628211ull;
    }
    return hash;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool all_zero(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Do the numbers fit each other? Sums are taken in 64 bits: nothing here is believed yet. */
static bool header_fits(const struct frame_header *h)
{
    u64 end = (u64)h->index_pos + (u64)h->index_count * FRAME_ENTRY_BYTES + FRAME_TRAILER_BYTES;
    bool has_entries = h->kind == FRAME_DATA || h->index_count == 0;
    bool has_payload = h->kind != FRAME_MARK || h->payload_bytes == 0;
    return h->total_bytes % TOTAL_BYTES_UNIT == 0 &&
           (u64)h->index_pos == (u64)FRAME_HEADER_BYTES + h->payload_bytes &&
           end <= h->total_bytes && h->durable_slot <= h->slot && has_entries && has_payload;
}

err_t frame_header_decode(const u8 *header_128, struct frame_header *out)
{
    struct reader r = reader_of(slice_of(header_128, FRAME_HEADER_BYTES));
    struct slice magic = read_bytes(&r, sizeof(header_magic));
    if (memcmp(magic.ptr, header_magic, sizeof(header_magic)) != 0) {
        return ERR_CORRUPT;
    }
    if (load_le32(header_128 + HEADER_AT_CRC) != crc32c(header_128, HEADER_AT_CRC)) {
        return ERR_CORRUPT;
    }
    if (read_u8(&r) != FRAME_VERSION) {
        return ERR_VERSION;
    }
    u8 kind = read_u8(&r);
    u16 zero = read_le16(&r);
    struct frame_header h = {.kind = (enum frame_kind)kind};
    h.total_bytes = read_le32(&r);
    memcpy(h.cluster.bytes, read_bytes(&r, sizeof(h.cluster.bytes)).ptr, sizeof(h.cluster.bytes));
    h.wal = read_le64(&r);
    h.slot = read_le64(&r);
    h.nonce = read_le64(&r);
    h.chain = read_le64(&r);
    h.durable_slot = read_le64(&r);
    h.payload_bytes = read_le32(&r);
    h.payload_crc = read_le32(&r);
    h.index_pos = read_le32(&r);
    h.index_count = read_le32(&r);
    h.index_crc = read_le32(&r);
    struct slice zeros = read_bytes(&r, HEADER_AT_CRC - HEADER_AT_ZEROS);
    assert(!r.failed);
    if (kind < FRAME_DATA || kind > FRAME_META || zero != 0 || !all_zero(zeros) ||
        !header_fits(&h)) {
        return ERR_CORRUPT;
    }
    *out = h;
    return OK;
}

void frame_entry_decode(const u8 *entry_64, struct frame_entry *out)
{
    struct reader r = reader_of(slice_of(entry_64, FRAME_ENTRY_BYTES));
    struct frame_entry e = {0};
    e.partition = read_le32(&r);
    e.leader_epoch = read_le32(&r);
    e.base_offset = read_le64(&r);
    e.last_offset_delta = read_le32(&r);
    e.pos = read_le32(&r);
    e.bytes = read_le32(&r);
    e.base_sequence = (i32)read_le32(&r);
    e.producer_id = (i64)read_le64(&r);
    e.max_timestamp = (i64)read_le64(&r);
    e.source = read_le64(&r);
    e.batch_crc = read_le32(&r);
    e.producer_epoch = (i16)read_le16(&r);
    e.attributes = read_le16(&r);
    assert(!r.failed);
    assert(reader_left(&r) == 0);
    *out = e;
}

static bool entry_fits(const struct frame_header *h, const struct frame_entry *e)
{
    u64 end = (u64)e->pos + e->bytes;
    return e->bytes > 0 && e->pos >= FRAME_HEADER_BYTES && end <= h->index_pos &&
           e->base_offset <= (u64)INT64_MAX - e->last_offset_delta;
}

/* Sorted by (partition, base offset), and offsets of one partition do not overlap. */
static bool entry_follows(const struct frame_entry *before, const struct frame_entry *e)
{
    if (e->partition != before->partition) {
        return e->partition > before->partition;
    }
    return e->base_offset > before->base_offset + before->last_offset_delta;
}

err_t frame_index_check(const struct frame_header *h, const u8 *index)
{
    if (crc32c(index, (size_t)h->index_count * FRAME_ENTRY_BYTES) != h->index_crc) {
        return ERR_CORRUPT;
    }
    struct frame_entry before = {0};
    for (u32 i = 0; i < h->index_count; i++) {
        struct frame_entry e;
        frame_entry_decode(index + (size_t)i * FRAME_ENTRY_BYTES, &e);
        if (!entry_fits(h, &e) || (i > 0 && !entry_follows(&before, &e))) {
            return ERR_CORRUPT;
        }
        before = e;
    }
    return OK;
}

err_t frame_payload_check(const struct frame_header *h, const u8 *frame)
{
    return crc32c(frame + FRAME_HEADER_BYTES, h->payload_bytes) == h->payload_crc ? OK
                                                                                  : ERR_CORRUPT;
}

/* The trailer is a function of the header, so the check is: is it exactly that? */
err_t frame_trailer_check(const struct frame_header *h, const u8 *trailer_64)
{
    u8 expected[FRAME_TRAILER_BYTES];
    trailer_encode(h, expected);
    return memcmp(trailer_64, expected, sizeof(expected)) == 0 ? OK : ERR_CORRUPT;
}

err_t frame_batch_check(const struct frame_entry *entry, const u8 *batch)
{
    if (entry->bytes < BATCH_HEADER_BYTES) {
        return ERR_CORRUPT;
    }
    bool agrees = load_be64(batch) == entry->base_offset &&
                  load_be32(batch + BATCH_AT_LENGTH) == entry->bytes - BATCH_AT_LEADER_EPOCH &&
                  load_be32(batch + BATCH_AT_LEADER_EPOCH) == entry->leader_epoch &&
                  batch[BATCH_AT_MAGIC] == 2 && load_be32(batch + BATCH_AT_CRC) == entry->batch_crc;
    if (!agrees) {
        return ERR_CORRUPT;
    }
    u32 crc = crc32c(batch + BATCH_AT_CRC_START, entry->bytes - BATCH_AT_CRC_START);
    return crc == entry->batch_crc ? OK : ERR_CORRUPT;
}
