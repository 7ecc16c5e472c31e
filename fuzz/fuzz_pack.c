/* Any bytes as the end of a pack: trailer, runs and producers, as home_pack_load walks them.
   Constants and checksums are made right first, so that the numbers behind them are looked at too.
 */
#include "fuzz.h"
#include "home/pack_private.h"

#include <string.h>

enum { PACK_ID = 7 };

/* Numbers that fit each other: so many runs and producers as there is room for in front of the
   trailer, in a proportion that the input chooses. */
static void layout_fill(struct pack_layout *l, u32 room, u32 choice)
{
    l->run_count = choice % (room / PACK_RUN_BYTES + 1);
    room -= l->run_count * PACK_RUN_BYTES;
    l->producer_count = room / PACK_PRODUCER_BYTES;
    l->producers_pos =
        l->total_bytes - PACK_TRAILER_BYTES - l->producer_count * PACK_PRODUCER_BYTES;
    l->runs_pos = l->producers_pos - l->run_count * PACK_RUN_BYTES;
}

/* The trailer's numbers come from the input's last bytes, the rest of it is what we write. */
static void make_right(u8 *pack, size_t size, u32 room, bool in_place)
{
    u8 *trailer = pack + size - PACK_TRAILER_BYTES;
    struct pack_layout l = {
        .total_bytes = (u32)size,
        .runs_pos = load_le32(trailer + 4),
        .run_count = load_le32(trailer + 8),
        .runs_crc = load_le32(trailer + 12),
        .producers_pos = load_le32(trailer + 16),
        .producer_count = load_le32(trailer + 20),
        .producers_crc = load_le32(trailer + 24),
        .header_crc = load_le32(trailer + 28),
    };
    if (trailer[0] & 1) {
        layout_fill(&l, room, l.run_count);
    }
    l.in_place = in_place;
    pack_trailer_encode(&l, PACK_ID, trailer);
}

static void runs_decode(const u8 *pack, const struct pack_layout *l)
{
    struct pack_run before;
    for (u32 i = 0; i < l->run_count; i++) {
        struct pack_run run;
        const u8 *at = pack + l->runs_pos + (size_t)i * PACK_RUN_BYTES;
        if (pack_run_decode(at, l, i > 0 ? &before : NULL, &run) != OK) {
            return;
        }
        PROPERTY(run.bytes > 0);
        PROPERTY(run.pos >= (l->in_place ? FRAME_HEADER_BYTES : (u32)PACK_PAYLOAD_POS));
        PROPERTY((u64)run.pos + run.bytes <= l->runs_pos);
        PROPERTY(i == 0 || l->in_place || run.pos >= before.pos + before.bytes);
        u8 again[PACK_RUN_BYTES];
        pack_run_encode(&run, again);
        PROPERTY(memcmp(at, again, sizeof(again)) == 0);
        before = run;
    }
}

static void producers_decode(const u8 *pack, const struct pack_layout *l)
{
    struct pack_producer before;
    for (u32 i = 0; i < l->producer_count; i++) {
        struct pack_producer p;
        const u8 *at = pack + l->producers_pos + (size_t)i * PACK_PRODUCER_BYTES;
        if (pack_producer_decode(at, i > 0 ? &before : NULL, &p) != OK) {
            return;
        }
        u8 again[PACK_PRODUCER_BYTES];
        pack_producer_encode(&p, again);
        PROPERTY(memcmp(at, again, sizeof(again)) == 0);
        before = p;
    }
}

static void decode(const u8 *pack, size_t size, bool in_place)
{
    struct pack_layout l;
    const u8 *trailer = pack + size - PACK_TRAILER_BYTES;
    const struct pack_head head = {.crc = load_le32(trailer + 28), .in_place = in_place};
    if (pack_trailer_decode(trailer, head, PACK_ID, size, &l) != OK) {
        return;
    }
    PROPERTY((u64)l.runs_pos + (u64)l.run_count * PACK_RUN_BYTES == l.producers_pos);
    PROPERTY((u64)l.producers_pos + (u64)l.producer_count * PACK_PRODUCER_BYTES +
                 PACK_TRAILER_BYTES <=
             size);
    runs_decode(pack, &l);
    producers_decode(pack, &l);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < PACK_TRAILER_BYTES) {
        return 0;
    }
    /* The input is the end of a file; what lies in front of it is zeros. */
    size_t total = ROUND_UP(size, (size_t)PACK_UNIT) + PACK_PAYLOAD_POS;
    u8 *pack = mem_alloc(total);
    struct pack_layout l;
    struct pack_head head = {0};
    bool in_place = (data[size - PACK_TRAILER_BYTES] & 2) != 0;
    memcpy(pack + total - size, data, size);
    (void)!pack_header_decode(pack + total - PACK_UNIT, (struct uuid){0}, PACK_ID, &head);
    (void)!pack_trailer_decode(data + size - PACK_TRAILER_BYTES, head, PACK_ID, total, &l);
    make_right(pack, total, (u32)(size - PACK_TRAILER_BYTES), in_place);
    decode(pack, total, in_place);
    mem_free(pack);
    return 0;
}
