/* gzip by libdeflate, which wants the whole output at once and tells when it was too small: then
   the buffer doubles and the member is read again, at worst twice the work. Members may follow each
   other, as Java's GZIPInputStream allows. The checksum of each member is verified. */
#include "wire/compress_codecs.h"

#include <libdeflate.h>

#define GZIP_LEVEL_USUAL 6
#define GZIP_LEVEL_MAX   12

/* The smallest gzip member: 10 bytes of header, an empty block, 8 bytes of trailer. */
#define GZIP_MEMBER_BYTES_MIN 20u

static err_t decompress_member(struct decompressor *d, struct slice in, u64 allowed,
                               size_t *consumed)
{
    for (;;) {
        size_t room = (size_t)MIN((u64)(d->out.cap - d->out.len), allowed + 1 - d->out.len);
        size_t produced = 0;
        enum libdeflate_result result = libdeflate_gzip_decompress_ex(
            d->gzip, in.ptr, in.len, d->out.ptr + d->out.len, room, consumed, &produced);
        if (result == LIBDEFLATE_SUCCESS) {
            d->out.len += produced;
            return d->out.len <= allowed ? OK : ERR_LIMIT;
        }
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE) {
            return ERR_INVALID;
        }
        if (d->out.len + room > allowed) {
            return ERR_LIMIT;
        }
        TRY(growing_buffer_reserve(
            &d->out, (size_t)MIN(2 * MAX((u64)room, 4 * KIB), allowed + 1 - d->out.len)));
    }
}

err_t gzip_decompress(struct decompressor *d, struct slice in, u64 allowed)
{
    if (!d->gzip) {
        d->gzip = libdeflate_alloc_decompressor();
        if (!d->gzip) {
            return ERR_NO_MEMORY;
        }
    }
    if (in.len < GZIP_MEMBER_BYTES_MIN) {
        return ERR_INVALID;
    }
    /* The last four bytes claim the length of the last member, modulo 2^32: a hint. */
    u64 claimed = load_le32(in.ptr + in.len - 4);
    TRY(decompress_reserve_hint(d, in.len, MAX(claimed, 1u), allowed));
    while (in.len > 0) {
        size_t consumed = 0;
        TRY(decompress_member(d, in, allowed, &consumed));
        assert(consumed > 0 && consumed <= in.len);
        in.ptr += consumed;
        in.len -= consumed;
    }
    return OK;
}

err_t gzip_compress(int level, struct slice in, struct growing_buffer *out)
{
    if (level < 0 || level > GZIP_LEVEL_MAX) {
        return ERR_INVALID;
    }
    struct libdeflate_compressor *compressor =
        libdeflate_alloc_compressor(level == 0 ? GZIP_LEVEL_USUAL : level);
    if (!compressor) {
        return ERR_NO_MEMORY;
    }
    err_t err = growing_buffer_reserve(out, libdeflate_gzip_compress_bound(compressor, in.len));
    if (err == OK) {
        size_t written = libdeflate_gzip_compress(compressor, in.ptr, in.len, out->ptr + out->len,
                                                  out->cap - out->len);
        assert(written > 0); /* the bound was reserved */
        out->len += written;
    }
    libdeflate_free_compressor(compressor);
    return err;
}

void gzip_context_free(struct decompressor *d)
{
    if (d->gzip) {
        libdeflate_free_decompressor(d->gzip);
        d->gzip = NULL;
    }
}
