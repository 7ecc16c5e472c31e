/* Checking a pack from its bytes, without a home: for who looks at a data directory that nobody has
   open. Pure. */
#pragma once

#include "home/pack.h"

enum { PACK_CHECK_HEADER_BYTES = 128, PACK_CHECK_TRAILER_BYTES = 64, PACK_CHECK_RUN_BYTES = 64 };

struct pack_shape {
    u32 runs_pos;
    u32 run_count;
    u32 runs_crc;
    u32 producers_pos;
    u32 producers_bytes;
    u32 producers_crc;
    bool in_place; /* made of a WAL extent */
};

/* The first and the last bytes of the file. ERR_CORRUPT, ERR_VERSION; *what: "header" or
   "trailer", the one that is wrong. */
MUST_USE err_t pack_check_ends(const u8 *header, const u8 *trailer, struct uuid cluster, u64 id,
                               u64 file_bytes, struct pack_shape *out, const char **what);
/* out has room for shape->run_count. */
MUST_USE err_t pack_check_runs(const struct pack_shape *shape, const u8 *bytes,
                               struct pack_run *out);
