/* The pack's codec and the few verbs its two media have. Only pack*.c, disk_pack.c, mem_pack.c,
   their tests and the fuzzer include this.

     pack.c        bytes of header, runs, producers, trailer (docs/internals/formats.md, "The pack")
     pack_write.c  making one: struct pack_writer
     pack_read.c   reading one front to back, loading its index
     packs.c       all of them at start: the sweep */
#pragma once

#include "home/home_private.h"

enum {
    PACK_UNIT = 4096, /* the file is a multiple of it, and so is every transfer */
    PACK_HEADER_BYTES = 128,
    PACK_RUN_BYTES = 64,
    PACK_PRODUCER_BYTES = 40,
    PACK_TRAILER_BYTES = 64,
    PACK_PAYLOAD_POS = PACK_UNIT,
    PACK_VERSION = 1,
};

/* ---- pack.c ---------------------------------------------------------------------------------- */

/* What the trailer says. */
struct pack_layout {
    u32 total_bytes;
    u32 runs_pos; /* the payload ends here */
    u32 run_count;
    u32 runs_crc;
    u32 producers_pos;
    u32 producer_count;
    u32 producers_crc;
    u32 header_crc; /* a copy: both ends are of one file */
    bool in_place;  /* made of a WAL extent */
};

/* What the first bytes say. */
struct pack_head {
    u32 crc;
    bool in_place;
};

/* Of a pack in place: the index ends with the file if it fits behind the payload, else the file
   grows. */
u32 pack_index_place(u32 payload_end, u64 file_bytes, u32 run_count, u32 producer_count);
/* Positions and sizes for this payload and these counts; the CRCs are left alone. */
void pack_layout_place(struct pack_layout *l, u32 runs_pos, u32 run_count, u32 producer_count);
/* The header's own CRC, for the trailer. */
u32 pack_header_encode(struct uuid cluster, u64 id, u8 out[PACK_HEADER_BYTES]);
void pack_run_encode(const struct pack_run *run, u8 out[PACK_RUN_BYTES]);
void pack_producer_encode(const struct pack_producer *p, u8 out[PACK_PRODUCER_BYTES]);
void pack_trailer_encode(const struct pack_layout *l, u64 id, u8 out[PACK_TRAILER_BYTES]);

/* ERR_CORRUPT, or ERR_VERSION for a newer one. Nothing is believed before its CRC agrees. */
MUST_USE err_t pack_header_decode(const u8 *header_128, struct uuid cluster, u64 id,
                                  struct pack_head *out);
/* of: the same file's head. */
MUST_USE err_t pack_trailer_decode(const u8 *trailer_64, struct pack_head of, u64 id,
                                   u64 file_bytes, struct pack_layout *out);
/* before: the entry in front of it, NULL for the first. ERR_CORRUPT: it does not fit the layout or
   does not follow `before`. */
MUST_USE err_t pack_run_decode(const u8 *run_64, const struct pack_layout *l,
                               const struct pack_run *before, struct pack_run *out);
MUST_USE err_t pack_producer_decode(const u8 *producer_40, const struct pack_producer *before,
                                    struct pack_producer *out);

/* ---- the medium ------------------------------------------------------------------------------ */

/* One open pack. Every verb blocks and may be called by a worker; offsets, lengths and memory are
   multiples of PACK_UNIT. */
struct pack_file {
    const struct pack_file_ops *ops;
    u64 bytes; /* an opened one's size */
};
struct pack_file_ops {
    err_t (*write)(struct pack_file *f, const void *data, u32 bytes, u64 at);
    err_t (*read)(struct pack_file *f, void *out, u32 bytes, u64 at); /* short: ERR_CORRUPT */
    err_t (*commit)(struct pack_file *f, u64 bytes); /* bytes and name are durable; not closed */
    void (*close)(struct pack_file *f);
    void (*discard)(struct pack_file *f); /* closes and removes */
};

/* ---- packs.c --------------------------------------------------------------------------------- */

/* Is it there, with the size that the metadata says? Leaves a reason. */
MUST_USE err_t pack_kept_check(struct home *h, struct home_pack pack);

/* ---- pack_read.c ----------------------------------------------------------------------------- */

struct pack_reader {
    struct pack_file *file;
    u64 id;
    u8 *buffer;
    u32 buffer_bytes;
    bool scattered; /* what is asked for next is elsewhere: nothing is read ahead */
    u32 have;       /* in buffer, from `start` of the file */
    u64 start;
};
