/* WAL extents that become packs as they are: runs of what is in the frames, and of other partitions
   that are copied behind them. What the tests of such packs share. */
#pragma once

#include "packs.h"

enum { COPIED_MAX = 3000 };

/* An extent as a pack: runs, and where their bytes came from. */
static struct kept {
    struct made_pack made;
    const u8 *sources[PACK_RUNS_MAX];
    u32 frames_end;
    u32 copied_bytes;
    u8 copied[COPIED_MAX * PACK_RUNS_MAX];
} kept;

/* A run whose bytes are at `source`. */
static inline void kept_run_add(const u8 *source, struct pack_run run)
{
    struct made_pack *m = &kept.made;
    assert_true(m->run_count < PACK_RUNS_MAX);
    run.crc = crc32c(source, run.bytes);
    m->runs[m->run_count] = run;
    kept.sources[m->run_count] = source;
    m->run_count++;
}

/* Of slots [from, to), which lie in their extent from byte `at` on: a run for each batch in the
   frames, and `copied` of other partitions behind them. */
static inline void kept_draw(struct rng *rng, const struct fixture *f, u64 id, u64 from, u64 to,
                             u32 at, u32 copied, u32 copied_bytes_max)
{
    struct made_pack *m = &kept.made;
    *m = (struct made_pack){.pack = {.id = id}};
    kept.copied_bytes = 0;
    for (u64 slot = from; slot < to; slot++) {
        const struct made_frame *frame = &f->frames[slot];
        for (u32 i = 0; i < frame->header.index_count; i++) {
            const struct frame_entry *e = &frame->entries[i];
            kept_run_add(frame->data + e->pos,
                         (struct pack_run){
                             .partition = e->partition,
                             .leader_epoch = (i32)e->leader_epoch,
                             .base_offset = e->base_offset,
                             .next_offset = e->base_offset + e->last_offset_delta + 1,
                             .max_timestamp = e->max_timestamp,
                             .pos = at + e->pos,
                             .bytes = e->bytes,
                             .batches = 1,
                         });
        }
        at += frame->bytes;
    }
    kept.frames_end = at;
    for (u32 i = 0; i < copied; i++) {
        u32 bytes = 1 + (u32)rng_below(rng, copied_bytes_max);
        u8 *source = kept.copied + kept.copied_bytes;
        rng_fill(rng, source, bytes);
        kept_run_add(source, (struct pack_run){.partition = 100 + i / 3,
                                               .base_offset = 10 * (u64)i,
                                               .next_offset = 10 * (u64)i + 4,
                                               .pos = kept.frames_end + kept.copied_bytes,
                                               .bytes = bytes,
                                               .batches = 4});
        kept.copied_bytes += bytes;
    }
    m->producer_count = MIN(m->run_count, 5u);
    for (u32 i = 0; i < m->producer_count; i++) {
        m->producers[i] = (struct pack_producer){.partition = m->runs[i].partition,
                                                 .id = (i64)i,
                                                 .base_offset = m->runs[i].base_offset,
                                                 .last_sequence = (i32)i};
    }
}

/* As a worker does it: the copied payload, index and all. */
static inline err_t kept_write(struct rng *rng, struct home_slots *s)
{
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct made_pack *m = &kept.made;
    struct pack_writer *w;
    TRY(pack_keep(s, m->pack.id, kept.frames_end, buffer, sizeof(buffer), &w));
    for (u32 done = 0; done < kept.copied_bytes;) {
        assert_int_equal(pack_position(w), kept.frames_end + done);
        u32 piece = 1 + (u32)rng_below(rng, kept.copied_bytes - done);
        err_t e = pack_write(w, kept.copied + done, piece);
        if (e != OK) {
            pack_abandon(w);
            return e;
        }
        done += piece;
    }
    return pack_finish(w, m->runs, m->run_count, m->producers, m->producer_count, &m->pack.bytes);
}
