/* See compact.h. Records that stay are copied byte for byte: their deltas are relative to what the
   batch keeps. */
#include "log/compact.h"

#include <string.h>

void compaction_init(struct compaction *c)
{
    map_slice_init(&c->last);
}

void compaction_fini(struct compaction *c)
{
    map_slice_fini(&c->last);
}

bool compaction_takes(const struct batch_view *batch)
{
    if (batch_codec(batch) != CODEC_NONE || batch_is_control(batch) ||
        batch_is_transactional(batch) || batch_has_producer_id(batch)) {
        return false;
    }
    struct record_iter it;
    if (record_iter_init(&it, batch, NULL, 0) != OK) {
        return false;
    }
    struct record record;
    while (record_iter_next(&it, &record)) {
    }
    return it.err == OK;
}

/* The record that stays, as a pointer: its offset and 1. */
static void *mark_of(const struct record *record)
{
    return (void *)(uintptr_t)(record->offset + 1);
}

static bool record_stays(const struct compaction *c, const struct record *record)
{
    return record->key.ptr == NULL || map_slice_get(&c->last, record->key) == mark_of(record);
}

static void iter_begin(struct record_iter *it, const struct batch_view *batch)
{
    err_t e = record_iter_init(it, batch, NULL, 0);
    assert(e == OK); /* compaction_takes has been through */
    (void)e;
}

void compaction_learn(struct compaction *c, const struct batch_view *batch)
{
    struct record_iter it;
    iter_begin(&it, batch);
    struct record record;
    while (record_iter_next(&it, &record)) {
        if (record.key.ptr != NULL) {
            map_slice_put(&c->last, record.key, mark_of(&record));
        }
    }
}

u32 compaction_count(const struct compaction *c, const struct batch_view *batch)
{
    u32 count = 0;
    struct record_iter it;
    iter_begin(&it, batch);
    struct record record;
    while (record_iter_next(&it, &record)) {
        count += record_stays(c, &record) ? 1 : 0;
    }
    return count;
}

/* The header of a batch of that size and so many records, its CRC included. */
static void header_finish(u8 *batch, u32 bytes, u32 record_count)
{
    store_be32(batch + BATCH_AT_LENGTH, bytes - BATCH_PREFIX_BYTES);
    store_be32(batch + BATCH_AT_RECORD_COUNT, record_count);
    store_be32(batch + BATCH_AT_CRC,
               crc32c(batch + BATCH_AT_ATTRIBUTES, bytes - BATCH_AT_ATTRIBUTES));
}

u32 compaction_filter(const struct compaction *c, const struct batch_view *batch, u8 *out)
{
    memcpy(out, batch->whole.ptr, BATCH_HEADER_BYTES);
    u32 at = BATCH_HEADER_BYTES;
    u32 count = 0;
    struct record_iter it;
    iter_begin(&it, batch);
    struct record record;
    const u8 *from = it.left.ptr;
    while (record_iter_next(&it, &record)) {
        u32 bytes = (u32)(it.left.ptr - from);
        if (record_stays(c, &record)) {
            memcpy(out + at, from, bytes);
            at += bytes;
            count++;
        }
        from = it.left.ptr;
    }
    header_finish(out, at, count);
    return at;
}

void compaction_empty(u64 base_offset, i32 last_offset_delta, i32 leader_epoch, i64 max_timestamp,
                      u8 *out)
{
    memset(out, 0, COMPACTION_EMPTY_BYTES);
    store_be64(out + BATCH_AT_BASE_OFFSET, base_offset);
    store_be32(out + BATCH_AT_LEADER_EPOCH, (u32)leader_epoch);
    out[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_be32(out + BATCH_AT_LAST_OFFSET_DELTA, (u32)last_offset_delta);
    store_be64(out + BATCH_AT_BASE_TIMESTAMP, (u64)max_timestamp);
    store_be64(out + BATCH_AT_MAX_TIMESTAMP, (u64)max_timestamp);
    store_be64(out + BATCH_AT_PRODUCER_ID, (u64)(i64)BATCH_NO_PRODUCER_ID);
    store_be16(out + BATCH_AT_PRODUCER_EPOCH, (u16)BATCH_NO_PRODUCER_EPOCH);
    store_be32(out + BATCH_AT_BASE_SEQUENCE, (u32)BATCH_NO_SEQUENCE);
    header_finish(out, COMPACTION_EMPTY_BYTES, 0);
}
