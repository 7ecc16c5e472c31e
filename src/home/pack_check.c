/* Checking a pack from its bytes, on top of the codec in pack.c. */
#include "home/pack_check.h"

#include "home/pack_private.h"

static_assert((int)PACK_CHECK_HEADER_BYTES == (int)PACK_HEADER_BYTES, "the codec's");
static_assert((int)PACK_CHECK_TRAILER_BYTES == (int)PACK_TRAILER_BYTES, "the codec's");
static_assert((int)PACK_CHECK_RUN_BYTES == (int)PACK_RUN_BYTES, "the codec's");

err_t pack_check_ends(const u8 *header, const u8 *trailer, struct uuid cluster, u64 id,
                      u64 file_bytes, struct pack_shape *out, const char **what)
{
    struct pack_head head;
    *what = "header";
    TRY(pack_header_decode(header, cluster, id, &head));
    *what = "trailer";
    struct pack_layout l;
    TRY(pack_trailer_decode(trailer, head, id, file_bytes, &l));
    *out = (struct pack_shape){
        .runs_pos = l.runs_pos,
        .run_count = l.run_count,
        .runs_crc = l.runs_crc,
        .producers_pos = l.producers_pos,
        .producers_bytes = l.producer_count * PACK_PRODUCER_BYTES,
        .producers_crc = l.producers_crc,
        .in_place = l.in_place,
    };
    return OK;
}

err_t pack_check_runs(const struct pack_shape *shape, const u8 *bytes, struct pack_run *out)
{
    if (crc32c(bytes, (size_t)shape->run_count * PACK_RUN_BYTES) != shape->runs_crc) {
        return ERR_CORRUPT;
    }
    struct pack_layout l = {.runs_pos = shape->runs_pos, .in_place = shape->in_place};
    for (u32 i = 0; i < shape->run_count; i++) {
        TRY(pack_run_decode(bytes + (size_t)i * PACK_RUN_BYTES, &l, i > 0 ? &out[i - 1] : NULL,
                            &out[i]));
    }
    return OK;
}
