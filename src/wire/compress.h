/* The four codecs of Kafka's record batch: compress.c dispatches, compress_<codec>.c does it. Whole
   buffers in and out: a batch is at most a few MiB and is walked right after. Used by batch.c
   (verify, iterate, build), by tests and load generators.

   Every byte handed to decompress() is hostile. Rules, the same for all codecs:
   - The output buffer grows with the bytes really produced (doubling), charged to a quota before it
     is touched; a length found in the input is at most a hint, bounded by the input's own length.
   - Output above max_bytes, or above max(DECOMPRESS_RATIO_FLOOR, DECOMPRESS_RATIO_MAX x input), is
     ERR_LIMIT. The floor is there because a megabyte of zeros is odd but not an attack.
   - A truncated stream, and bytes after its end, are ERR_INVALID.
   - gzip: concatenated members are one stream (as Java reads them), checksums are verified.
   - snappy: xerial block framing (Java) and one raw block (Go, librdkafka) are both read.
   - lz4: exactly one frame, blocks independent, with its end mark (Java's reader can do no more,
     and a batch one client cannot read must not be accepted from another).
   - zstd: concatenated frames are one stream; a window above DECOMPRESS_ZSTD_WINDOW_MAX is
     ERR_LIMIT, a dictionary ERR_INVALID. */
#pragma once

#include "base/base.h"

/* Numbers as in the attributes of a batch (bits 0-2). */
enum codec {
    CODEC_NONE = 0,
    CODEC_GZIP = 1,
    CODEC_SNAPPY = 2,
    CODEC_LZ4 = 3,
    CODEC_ZSTD = 4,
    CODEC_MAX
};

#define DECOMPRESS_RATIO_MAX       1000u
#define DECOMPRESS_RATIO_FLOOR     (1u * MIB)
#define DECOMPRESS_ZSTD_WINDOW_MAX (8u * MIB)

/* "none", "gzip", "snappy", "lz4", "zstd"; "unknown" for anything else. Never NULL. */
const char *codec_name(enum codec codec);
MUST_USE err_t codec_parse(struct slice name, enum codec *out);

/* Bytes that grow, charged to a quota (NULL: unlimited, for tests and tools). The owner of the
   struct owns ptr and frees it with fini. */
struct growing_buffer {
    u8 *ptr;
    size_t len;
    size_t cap;
    struct quota *quota;
};
void growing_buffer_init(struct growing_buffer *b, struct quota *quota);
/* Room for `more` bytes after len; at least doubles. ERR_NO_MEMORY when the quota is full. */
MUST_USE err_t growing_buffer_reserve(struct growing_buffer *b, size_t more);
MUST_USE err_t growing_buffer_append(struct growing_buffer *b, const void *src, size_t len);
void growing_buffer_fini(struct growing_buffer *b); /* frees and gives back to the quota */

/* Scratch for decompression: the output buffer and the libraries' contexts, created on first use
   and kept, so that a small batch does not pay for them. One per thread that decompresses; not
   shared. A quota is not thread-safe: a worker gets a quota of its own, with a cap that the loop
   has charged to the real one beforehand, and gives it back when the worker is done: the output cap
   and DECOMPRESS_CONTEXT_BYTES_MAX are always enough. */
#define DECOMPRESS_CONTEXT_BYTES_MAX (9u * MIB)
struct decompressor {
    struct growing_buffer out;
    struct quota *quota;
    struct libdeflate_decompressor *gzip;
    struct LZ4F_dctx_s *lz4;
    struct ZSTD_DCtx_s *zstd;
    u64 lz4_charged;  /* blocks that the lz4 context keeps, charged to the quota */
    u64 zstd_charged; /* the same for the window of the zstd context */
};
void decompressor_init(struct decompressor *d, struct quota *quota);
/* Gives everything charged back to the quota: the output, and contexts that have grown buffers of
   their own. Call it between batches; a decompressor that holds nothing costs nothing. */
void decompressor_reset(struct decompressor *d);
void decompressor_fini(struct decompressor *d);

/* Decompresses all of `in`. *out points into d->out (for CODEC_NONE: it is `in`) and is valid until
   the next call on d. ERR_LIMIT: above a cap; ERR_INVALID: not such a stream, truncated, trailing
   bytes; ERR_NO_MEMORY: the quota is full, try again later; ERR_UNSUPPORTED: unknown codec. */
MUST_USE err_t decompress(struct decompressor *d, enum codec codec, struct slice in, u64 max_bytes,
                          struct slice *out);

/* Appends the compressed form of `in` to *out. level: 0 = Kafka's default for the codec; only gzip,
   lz4 and zstd have levels. CODEC_SNAPPY writes xerial framing, as Java does; compress_snappy_raw
   one raw block, as Go clients and librdkafka do. */
MUST_USE err_t compress(enum codec codec, int level, struct slice in, struct growing_buffer *out);
MUST_USE err_t compress_snappy_raw(struct slice in, struct growing_buffer *out);
