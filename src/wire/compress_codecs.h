/* Between compress.c and compress_<codec>.c; nobody else includes this. */
#pragma once

#include "wire/compress.h"

/* Each appends to d->out, which is empty at the call, at most `allowed` bytes: the caps are already
   in it. Errors as decompress(). */
MUST_USE err_t gzip_decompress(struct decompressor *d, struct slice in, u64 allowed);
MUST_USE err_t snappy_decompress(struct decompressor *d, struct slice in, u64 allowed);
MUST_USE err_t lz4_decompress(struct decompressor *d, struct slice in, u64 allowed);
MUST_USE err_t zstd_decompress(struct decompressor *d, struct slice in, u64 allowed);

MUST_USE err_t gzip_compress(int level, struct slice in, struct growing_buffer *out);
MUST_USE err_t snappy_compress_xerial(struct slice in, struct growing_buffer *out);
MUST_USE err_t lz4_compress(int level, struct slice in, struct growing_buffer *out);
MUST_USE err_t zstd_compress(int level, struct slice in, struct growing_buffer *out);

void gzip_context_free(struct decompressor *d);
void lz4_context_free(struct decompressor *d);
void zstd_context_free(struct decompressor *d);

/* Makes room in d->out: at least min_bytes and usually hint_bytes, the hint being cut down to what
   the input can honestly claim (DECOMPRESS_HINT_RATIO times its length) and to what is allowed. */
#define DECOMPRESS_HINT_RATIO 8u
MUST_USE err_t decompress_reserve_hint(struct decompressor *d, size_t in_len, u64 hint_bytes,
                                       u64 allowed);
/* More room when the codec has filled what there was: doubles, but never beyond allowed + 1 bytes
   in all; the one byte shows that the output is too long. ERR_LIMIT when that byte is used. */
MUST_USE err_t decompress_reserve_more(struct decompressor *d, u64 allowed);
