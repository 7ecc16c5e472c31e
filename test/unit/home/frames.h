/* Frames for tests: random batches that agree with their entries, sealed. */
#pragma once

#include "home/frame.h"

#include <string.h>

struct frame_spec {
    enum frame_kind kind;
    struct uuid cluster;
    u64 wal;
    u64 slot;
    u64 nonce;
    u64 chain;
    u64 durable_slot;
    u32 batch_count;
    u32 batch_bytes_max; /* at least 100 */
    u64 first_offset;
};

struct made_frame {
    void *memory;
    u8 *data; /* BLOB_ALIGN-aligned */
    u32 bytes;
    struct frame_header header;
    struct frame_entry *entries;
    u64 next_offset;
};

/* Fills `bytes` at `at` with a batch as far as frame_batch_check looks. */
static inline void batch_make(struct rng *rng, u8 *at, struct frame_entry *e)
{
    rng_fill(rng, at, e->bytes);
    store_be64(at, e->base_offset);
    store_be32(at + 8, e->bytes - 12);
    store_be32(at + 12, e->leader_epoch);
    at[16] = 2;
    e->batch_crc = crc32c(at + 21, e->bytes - 21);
    store_be32(at + 17, e->batch_crc);
}

static inline void made_frame_make(struct rng *rng, const struct frame_spec *spec,
                                   struct made_frame *out)
{
    size_t cap = ROUND_UP(
        (size_t)128 + (size_t)spec->batch_count * (spec->batch_bytes_max + 64) + 64, (size_t)4096);
    u8 *memory = mem_alloc(cap + BLOB_ALIGN);
    *out = (struct made_frame){
        .memory = memory,
        .data = memory + (BLOB_ALIGN - (uintptr_t)memory % BLOB_ALIGN),
        .entries = mem_alloc((spec->batch_count + 1) * sizeof(struct frame_entry)),
    };
    u32 pos = FRAME_HEADER_BYTES;
    u64 offset = spec->first_offset;
    for (u32 i = 0; i < spec->batch_count; i++) {
        struct frame_entry *e = &out->entries[i];
        *e = (struct frame_entry){
            .partition = 7,
            .leader_epoch = 3,
            .base_offset = offset,
            .producer_id = (i64)rng_next(rng),
            .max_timestamp = (i64)rng_next(rng),
            .last_offset_delta = (u32)rng_below(rng, 50),
            .pos = pos,
            .bytes = 61 + (u32)rng_below(rng, spec->batch_bytes_max - 61),
            .base_sequence = (i32)rng_below(rng, INT32_MAX),
            .producer_epoch = (i16)rng_below(rng, INT16_MAX),
            .attributes = (u16)rng_below(rng, 8),
        };
        batch_make(rng, out->data + pos, e);
        pos += e->bytes;
        offset += e->last_offset_delta + 1u;
    }
    out->next_offset = offset;
    out->header = (struct frame_header){
        .kind = spec->kind,
        .cluster = spec->cluster,
        .wal = spec->wal,
        .slot = spec->slot,
        .nonce = spec->nonce,
        .chain = spec->chain,
        .durable_slot = spec->durable_slot,
        .payload_bytes = pos - FRAME_HEADER_BYTES,
        .index_count = spec->batch_count,
    };
    frame_seal(out->data, &out->header, out->entries, 4096);
    out->bytes = out->header.total_bytes;
    assert(out->bytes <= cap);
}

static inline void made_frame_free(struct made_frame *f)
{
    mem_free(f->memory);
    mem_free(f->entries);
    *f = (struct made_frame){0};
}
