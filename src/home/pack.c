/* The pack's codec: header, runs, producers, trailer, exactly as docs/internals/formats.md lays
   them out. Pure. Called by pack_write.c and pack_read.c. Owns nothing.

   As in frame.c, each record has one function that writes it field by field in the order of the
   document and one that reads it. */
#include "home/pack_private.h"

#include <string.h>

static const u8 header_magic[8] = {'O', 'D', 'K', 'P', 'A', 'C', 'K', 'H'};
static const u8 trailer_magic[8] = {'O', 'D', 'K', 'P', 'A', 'C', 'K', 'T'};

enum {
    KIND_DATA = 1,
    KIND_IN_PLACE = 2,
    HEADER_AT_ZEROS = 40,
    HEADER_AT_CRC = 124,
    RUN_AT_ZEROS = 52,
    TRAILER_AT_VERSION = 48,
    TRAILER_AT_CRC = 52,
    TRAILER_AT_MAGIC = 56,
    RUN_FLAGS_KNOWN = PACK_RUN_QUARANTINED,
};

static_assert(HEADER_AT_CRC + sizeof(u32) == PACK_HEADER_BYTES, "header_crc ends the header");
static_assert(TRAILER_AT_CRC + sizeof(u32) == TRAILER_AT_MAGIC,
              "trailer_crc stands before the magic");
static_assert(TRAILER_AT_MAGIC + sizeof(trailer_magic) == PACK_TRAILER_BYTES, "magic ends it");
static_assert(PACK_HEADER_BYTES <= PACK_PAYLOAD_POS, "the header has a block of its own");
static_assert(PACK_PAYLOAD_POS % PACK_UNIT == 0, "the payload starts at a block");
static_assert(PACK_BYTES_MAX % PACK_UNIT == 0, "a pack is whole blocks");
static_assert(PACK_UNIT == BLOB_ALIGN, "a blob's memory suits every transfer");

static u64 total_of(u64 producers_pos, u64 producer_count)
{
    u64 end = producers_pos + producer_count * PACK_PRODUCER_BYTES + PACK_TRAILER_BYTES;
    return ROUND_UP(end, (u64)PACK_UNIT);
}

u64 pack_index_bytes(u32 run_count, u32 producer_count)
{
    return total_of((u64)run_count * PACK_RUN_BYTES, producer_count);
}

u32 pack_index_place(u32 payload_end, u64 file_bytes, u32 run_count, u32 producer_count)
{
    u64 index = pack_index_bytes(run_count, producer_count);
    bool fits = ROUND_UP((u64)payload_end, (u64)PACK_UNIT) + index <= file_bytes;
    return fits ? (u32)(file_bytes - index) : payload_end;
}

void pack_layout_place(struct pack_layout *l, u32 runs_pos, u32 run_count, u32 producer_count)
{
    assert(runs_pos >= PACK_PAYLOAD_POS);
    u64 producers_pos = runs_pos + (u64)run_count * PACK_RUN_BYTES;
    u64 total = total_of(producers_pos, producer_count);
    assert(total <= PACK_BYTES_MAX);
    l->runs_pos = runs_pos;
    l->run_count = run_count;
    l->producers_pos = (u32)producers_pos;
    l->producer_count = producer_count;
    l->total_bytes = (u32)total;
}

/* ---- writing --------------------------------------------------------------------------------- */

u32 pack_header_encode(struct uuid cluster, u64 id, u8 out[PACK_HEADER_BYTES])
{
    struct writer w = writer_of(out, PACK_HEADER_BYTES);
    write_bytes(&w, header_magic, sizeof(header_magic));
    write_u8(&w, PACK_VERSION);
    write_u8(&w, KIND_DATA);
    write_le16(&w, 0);
    write_le32(&w, PACK_PAYLOAD_POS);
    write_bytes(&w, cluster.bytes, sizeof(cluster.bytes));
    write_le64(&w, id);
    assert(w.len == HEADER_AT_ZEROS);
    write_zeros(&w, HEADER_AT_CRC - HEADER_AT_ZEROS);
    u32 crc = crc32c(out, HEADER_AT_CRC);
    write_le32(&w, crc);
    assert(!w.failed);
    assert(w.len == PACK_HEADER_BYTES);
    return crc;
}

void pack_run_encode(const struct pack_run *run, u8 out[PACK_RUN_BYTES])
{
    struct writer w = writer_of(out, PACK_RUN_BYTES);
    write_le32(&w, run->partition);
    write_le32(&w, (u32)run->leader_epoch);
    write_le64(&w, run->base_offset);
    write_le64(&w, run->next_offset);
    write_le64(&w, (u64)run->max_timestamp);
    write_le32(&w, run->pos);
    write_le32(&w, run->bytes);
    write_le32(&w, run->crc);
    write_le32(&w, run->batches);
    write_le32(&w, run->flags);
    assert(w.len == RUN_AT_ZEROS);
    write_zeros(&w, PACK_RUN_BYTES - RUN_AT_ZEROS);
    assert(!w.failed);
    assert(w.len == PACK_RUN_BYTES);
}

void pack_producer_encode(const struct pack_producer *p, u8 out[PACK_PRODUCER_BYTES])
{
    struct writer w = writer_of(out, PACK_PRODUCER_BYTES);
    write_le32(&w, p->partition);
    write_le16(&w, (u16)p->epoch);
    write_le16(&w, 0);
    write_le64(&w, (u64)p->id);
    write_le64(&w, p->base_offset);
    write_le64(&w, (u64)p->max_timestamp);
    write_le32(&w, (u32)p->first_sequence);
    write_le32(&w, (u32)p->last_sequence);
    assert(!w.failed);
    assert(w.len == PACK_PRODUCER_BYTES);
}

void pack_trailer_encode(const struct pack_layout *l, u64 id, u8 out[PACK_TRAILER_BYTES])
{
    struct writer w = writer_of(out, PACK_TRAILER_BYTES);
    write_le32(&w, l->total_bytes);
    write_le32(&w, l->runs_pos);
    write_le32(&w, l->run_count);
    write_le32(&w, l->runs_crc);
    write_le32(&w, l->producers_pos);
    write_le32(&w, l->producer_count);
    write_le32(&w, l->producers_crc);
    write_le32(&w, l->header_crc);
    write_le64(&w, id);
    write_le64(&w, 0);
    assert(w.len == TRAILER_AT_VERSION);
    write_u8(&w, PACK_VERSION);
    write_u8(&w, l->in_place ? KIND_IN_PLACE : KIND_DATA);
    write_le16(&w, 0);
    assert(w.len == TRAILER_AT_CRC);
    write_le32(&w, crc32c(out, TRAILER_AT_CRC));
    write_bytes(&w, trailer_magic, sizeof(trailer_magic));
    assert(!w.failed);
    assert(w.len == PACK_TRAILER_BYTES);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Of a pack in place: a frame of the WAL. Which one does not matter, the trailer has its CRC. */
static err_t frame_decode(const u8 *header_128, struct uuid cluster, struct pack_head *out)
{
    struct frame_header header;
    TRY(frame_header_decode(header_128, &header));
    if (!uuid_eq(header.cluster, cluster)) {
        return ERR_CORRUPT;
    }
    *out = (struct pack_head){.crc = load_le32(header_128 + HEADER_AT_CRC), .in_place = true};
    return OK;
}

/* The header is a function of cluster and id, so the check is: is it exactly that? */
err_t pack_header_decode(const u8 *header_128, struct uuid cluster, u64 id, struct pack_head *out)
{
    if (memcmp(header_128, header_magic, sizeof(header_magic)) != 0) {
        return frame_decode(header_128, cluster, out);
    }
    u32 found = load_le32(header_128 + HEADER_AT_CRC);
    if (found != crc32c(header_128, HEADER_AT_CRC)) {
        return ERR_CORRUPT;
    }
    if (header_128[sizeof(header_magic)] != PACK_VERSION) {
        return ERR_VERSION;
    }
    u8 expected[PACK_HEADER_BYTES];
    (void)pack_header_encode(cluster, id, expected);
    if (memcmp(header_128, expected, sizeof(expected)) != 0) {
        return ERR_CORRUPT;
    }
    *out = (struct pack_head){.crc = found};
    return OK;
}

/* Do the numbers fit each other and the file? Sums are taken in 64 bits: nothing here is believed
   yet. */
static bool layout_fits(const struct pack_layout *l, u64 file_bytes)
{
    u64 producers_pos = (u64)l->runs_pos + (u64)l->run_count * PACK_RUN_BYTES;
    return l->total_bytes == file_bytes && l->total_bytes <= PACK_BYTES_MAX &&
           l->runs_pos >= PACK_PAYLOAD_POS && l->producers_pos == producers_pos &&
           total_of(producers_pos, l->producer_count) == file_bytes;
}

err_t pack_trailer_decode(const u8 *trailer_64, struct pack_head of, u64 id, u64 file_bytes,
                          struct pack_layout *out)
{
    bool whole = memcmp(trailer_64 + TRAILER_AT_MAGIC, trailer_magic, sizeof(trailer_magic)) == 0 &&
                 load_le32(trailer_64 + TRAILER_AT_CRC) == crc32c(trailer_64, TRAILER_AT_CRC);
    if (!whole) {
        return ERR_CORRUPT;
    }
    if (trailer_64[TRAILER_AT_VERSION] != PACK_VERSION) {
        return ERR_VERSION;
    }
    struct reader r = reader_of(slice_of(trailer_64, PACK_TRAILER_BYTES));
    struct pack_layout l = {.in_place = of.in_place};
    l.total_bytes = read_le32(&r);
    l.runs_pos = read_le32(&r);
    l.run_count = read_le32(&r);
    l.runs_crc = read_le32(&r);
    l.producers_pos = read_le32(&r);
    l.producer_count = read_le32(&r);
    l.producers_crc = read_le32(&r);
    l.header_crc = read_le32(&r);
    assert(!r.failed);
    /* What is left are constants and the id. */
    u8 expected[PACK_TRAILER_BYTES];
    pack_trailer_encode(&l, id, expected);
    if (memcmp(trailer_64, expected, sizeof(expected)) != 0 || l.header_crc != of.crc ||
        !layout_fits(&l, file_bytes)) {
        return ERR_CORRUPT;
    }
    *out = l;
    return OK;
}

static bool run_fits(const struct pack_run *run, const struct pack_layout *l)
{
    u64 end = (u64)run->pos + run->bytes;
    u32 first = l->in_place ? (u32)FRAME_HEADER_BYTES : (u32)PACK_PAYLOAD_POS;
    return run->bytes > 0 && run->pos >= first && end <= l->runs_pos && run->batches > 0 &&
           run->base_offset < run->next_offset && run->next_offset <= (u64)INT64_MAX + 1 &&
           (run->flags & ~(u32)RUN_FLAGS_KNOWN) == 0;
}

/* Sorted by (partition, base offset); offsets of a partition do not overlap, and neither do bytes,
   unless they lie where the WAL had them. */
static bool run_follows(const struct pack_run *before, const struct pack_run *run, bool in_place)
{
    if (!in_place && run->pos < before->pos + before->bytes) {
        return false;
    }
    if (run->partition != before->partition) {
        return run->partition > before->partition;
    }
    return run->base_offset >= before->next_offset;
}

static bool all_zero(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

err_t pack_run_decode(const u8 *run_64, const struct pack_layout *l, const struct pack_run *before,
                      struct pack_run *out)
{
    struct reader r = reader_of(slice_of(run_64, PACK_RUN_BYTES));
    struct pack_run run = {0};
    run.partition = read_le32(&r);
    run.leader_epoch = (i32)read_le32(&r);
    run.base_offset = read_le64(&r);
    run.next_offset = read_le64(&r);
    run.max_timestamp = (i64)read_le64(&r);
    run.pos = read_le32(&r);
    run.bytes = read_le32(&r);
    run.crc = read_le32(&r);
    run.batches = read_le32(&r);
    run.flags = read_le32(&r);
    struct slice zeros = read_bytes(&r, PACK_RUN_BYTES - RUN_AT_ZEROS);
    assert(!r.failed);
    if (!all_zero(zeros) || !run_fits(&run, l) ||
        (before != NULL && !run_follows(before, &run, l->in_place))) {
        return ERR_CORRUPT;
    }
    *out = run;
    return OK;
}

err_t pack_producer_decode(const u8 *producer_40, const struct pack_producer *before,
                           struct pack_producer *out)
{
    struct reader r = reader_of(slice_of(producer_40, PACK_PRODUCER_BYTES));
    struct pack_producer p = {0};
    p.partition = read_le32(&r);
    p.epoch = (i16)read_le16(&r);
    u16 zero = read_le16(&r);
    p.id = (i64)read_le64(&r);
    p.base_offset = read_le64(&r);
    p.max_timestamp = (i64)read_le64(&r);
    p.first_sequence = (i32)read_le32(&r);
    p.last_sequence = (i32)read_le32(&r);
    assert(!r.failed);
    bool follows = before == NULL || p.partition >= before->partition;
    if (zero != 0 || p.id < 0 || p.base_offset > (u64)INT64_MAX || !follows) {
        return ERR_CORRUPT;
    }
    *out = p;
    return OK;
}
