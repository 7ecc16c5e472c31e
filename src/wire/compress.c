/* The door to the codecs: dispatch, caps, and the buffer they write to. Callers: batch.c, tests,
   load generators. The caller owns every buffer; contexts belong to the decompressor. */
#include "wire/compress.h"

#include "wire/compress_codecs.h"

#include <string.h>

struct codec_row {
    const char *name;
    err_t (*decompress)(struct decompressor *d, struct slice in, u64 allowed);
};
static const struct codec_row codecs[CODEC_MAX] = {
    [CODEC_NONE] = {"none", NULL},
    [CODEC_GZIP] = {"gzip", gzip_decompress},
    [CODEC_SNAPPY] = {"snappy", snappy_decompress},
    [CODEC_LZ4] = {"lz4", lz4_decompress},
    [CODEC_ZSTD] = {"zstd", zstd_decompress},
};

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_MAX ? codecs[codec].name : "unknown";
}

err_t codec_parse(struct slice name, enum codec *out)
{
    for (unsigned i = 0; i < CODEC_MAX; i++) {
        if (slice_eq_cstr(name, codecs[i].name)) {
            *out = (enum codec)i;
            return OK;
        }
    }
    return ERR_INVALID;
}

/* The most that `in_len` compressed bytes may become. */
static u64 allowed_bytes(size_t in_len, u64 max_bytes)
{
    u64 by_ratio = MAX((u64)in_len * DECOMPRESS_RATIO_MAX, (u64)DECOMPRESS_RATIO_FLOOR);
    return MIN(by_ratio, max_bytes);
}

/* A decompressor keeps the buffers of one codec at a time, so that whoever grants it memory need
   not count with those of both. */
static void keep_buffers_of(struct decompressor *d, enum codec codec)
{
    if (codec != CODEC_LZ4 && d->lz4_charged > 0) {
        lz4_context_free(d);
    }
    if (codec != CODEC_ZSTD && d->zstd_charged > 0) {
        zstd_context_free(d);
    }
}

err_t decompress(struct decompressor *d, enum codec codec, struct slice in, u64 max_bytes,
                 struct slice *out)
{
    if ((unsigned)codec >= CODEC_MAX) {
        return ERR_UNSUPPORTED;
    }
    if (codec == CODEC_NONE) {
        if (in.len > max_bytes) {
            return ERR_LIMIT;
        }
        *out = in;
        return OK;
    }
    assert(d);
    if (in.len == 0) {
        return ERR_INVALID;
    }
    u64 allowed = allowed_bytes(in.len, max_bytes);
    d->out.len = 0;
    keep_buffers_of(d, codec);
    TRY(codecs[codec].decompress(d, in, allowed));
    assert(d->out.len <= allowed);
    if (!d->out.ptr) {
        TRY(growing_buffer_reserve(&d->out, 1)); /* even nothing has an address */
    }
    *out = (struct slice){d->out.ptr, d->out.len};
    return OK;
}

err_t compress(enum codec codec, int level, struct slice in, struct growing_buffer *out)
{
    switch (codec) {
    case CODEC_NONE:
        return growing_buffer_append(out, in.ptr, in.len);
    case CODEC_GZIP:
        return gzip_compress(level, in, out);
    case CODEC_SNAPPY:
        return snappy_compress_xerial(in, out);
    case CODEC_LZ4:
        return lz4_compress(level, in, out);
    case CODEC_ZSTD:
        return zstd_compress(level, in, out);
    case CODEC_MAX:
        break;
    }
    return ERR_UNSUPPORTED;
}

void decompressor_init(struct decompressor *d, struct quota *quota)
{
    *d = (struct decompressor){.quota = quota};
    growing_buffer_init(&d->out, quota);
}

void decompressor_reset(struct decompressor *d)
{
    growing_buffer_fini(&d->out);
    growing_buffer_init(&d->out, d->quota);
    keep_buffers_of(d, CODEC_NONE);
}

void decompressor_fini(struct decompressor *d)
{
    growing_buffer_fini(&d->out);
    gzip_context_free(d);
    lz4_context_free(d);
    zstd_context_free(d);
}

err_t decompress_reserve_hint(struct decompressor *d, size_t in_len, u64 hint_bytes, u64 allowed)
{
    u64 honest = (u64)in_len * DECOMPRESS_HINT_RATIO;
    u64 bytes = MIN(MIN(hint_bytes, honest), allowed + 1 - d->out.len);
    return growing_buffer_reserve(&d->out, (size_t)bytes);
}

err_t decompress_reserve_more(struct decompressor *d, u64 allowed)
{
    if (d->out.len > allowed) {
        return ERR_LIMIT;
    }
    u64 more = MIN(MAX((u64)d->out.len, 4 * KIB), allowed + 1 - d->out.len);
    return growing_buffer_reserve(&d->out, (size_t)more);
}

/* ---- growing_buffer ---- */

#define GROWING_BUFFER_BYTES_MIN 1024u

void growing_buffer_init(struct growing_buffer *b, struct quota *quota)
{
    *b = (struct growing_buffer){.quota = quota};
}

static bool grow_to(struct growing_buffer *b, size_t cap)
{
    if (b->quota && !quota_charge(b->quota, cap - b->cap)) {
        return false;
    }
    b->ptr = mem_resize(b->ptr, cap);
    b->cap = cap;
    return true;
}

err_t growing_buffer_reserve(struct growing_buffer *b, size_t more)
{
    assert(b->len <= b->cap);
    if (more <= b->cap - b->len) {
        return OK;
    }
    if (more > SIZE_MAX / 4 || b->cap > SIZE_MAX / 4) {
        return ERR_LIMIT;
    }
    size_t needed = b->len + more;
    size_t doubled = MAX(MAX(2 * b->cap, needed), GROWING_BUFFER_BYTES_MIN);
    if (grow_to(b, doubled)) {
        return OK;
    }
    /* Doubling is for speed; the exact need may still fit. */
    return grow_to(b, needed) ? OK : ERR_NO_MEMORY;
}

err_t growing_buffer_append(struct growing_buffer *b, const void *src, size_t len)
{
    TRY(growing_buffer_reserve(b, len));
    if (len > 0) {
        memcpy(b->ptr + b->len, src, len);
        b->len += len;
    }
    return OK;
}

void growing_buffer_fini(struct growing_buffer *b)
{
    if (b->quota && b->cap > 0) {
        quota_release(b->quota, b->cap);
    }
    mem_free(b->ptr);
    b->ptr = NULL;
    b->len = 0;
    b->cap = 0;
}
