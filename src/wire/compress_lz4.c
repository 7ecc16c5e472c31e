/* lz4 in its frame format, by the library's LZ4F. What we accept is what Java's client can read:
   one frame, version 1, independent blocks, no dictionary, an end mark, nothing behind it. */
#include "wire/compress_codecs.h"

#include <string.h>

#include <lz4frame.h>

#define LZ4_MAGIC            0x184D2204u
#define LZ4_HEADER_BYTES_MIN 7u /* magic, two descriptor bytes, header checksum */

enum {
    LZ4_FLAG_VERSION_MASK = 0xC0,
    LZ4_FLAG_VERSION_1 = 0x40,
    LZ4_FLAG_INDEPENDENT = 0x20,
    LZ4_FLAG_RESERVED = 0x02,
    LZ4_FLAG_DICTIONARY = 0x01,
};

#define LZ4_BLOCK_BYTES_MAX (4u * MIB)
static_assert(2 * LZ4_BLOCK_BYTES_MAX <= DECOMPRESS_CONTEXT_BYTES_MAX, "what the door promises");

/* The largest block of a frame in bytes, from the second descriptor byte; 0 = not a valid one. */
static u64 block_bytes_max(u8 descriptor)
{
    unsigned id = (descriptor >> 4) & 7u;
    return id >= 4 ? 1ull << (8 + 2 * id) : 0; /* 64 KiB, 256 KiB, 1 MiB, 4 MiB */
}

/* The context keeps two buffers of a block each between calls: they are charged once, at the
   largest size seen. */
static err_t prepare_context(struct decompressor *d, u64 block_bytes)
{
    u64 wanted = 2 * block_bytes;
    if (d->quota && wanted > d->lz4_charged) {
        if (!quota_charge(d->quota, wanted - d->lz4_charged)) {
            return ERR_NO_MEMORY;
        }
        d->lz4_charged = wanted;
    }
    if (!d->lz4) {
        if (LZ4F_isError(LZ4F_createDecompressionContext(&d->lz4, LZ4F_VERSION))) {
            d->lz4 = NULL;
            return ERR_NO_MEMORY;
        }
    }
    LZ4F_resetDecompressionContext(d->lz4);
    return OK;
}

err_t lz4_decompress(struct decompressor *d, struct slice in, u64 allowed)
{
    if (in.len < LZ4_HEADER_BYTES_MIN || load_le32(in.ptr) != LZ4_MAGIC) {
        return ERR_INVALID;
    }
    u8 flags = in.ptr[4];
    u64 block_bytes = block_bytes_max(in.ptr[5]);
    if ((flags & LZ4_FLAG_VERSION_MASK) != LZ4_FLAG_VERSION_1 || !(flags & LZ4_FLAG_INDEPENDENT) ||
        (flags & (LZ4_FLAG_RESERVED | LZ4_FLAG_DICTIONARY)) || block_bytes == 0) {
        return ERR_INVALID;
    }
    TRY(prepare_context(d, block_bytes));
    TRY(decompress_reserve_hint(d, in.len, in.len * 4, allowed));
    for (;;) {
        size_t produced = (size_t)MIN((u64)(d->out.cap - d->out.len), allowed + 1 - d->out.len);
        size_t room = produced;
        size_t consumed = in.len;
        size_t hint =
            LZ4F_decompress(d->lz4, d->out.ptr + d->out.len, &produced, in.ptr, &consumed, NULL);
        if (LZ4F_isError(hint)) {
            return ERR_INVALID;
        }
        d->out.len += produced;
        in.ptr += consumed;
        in.len -= consumed;
        if (d->out.len > allowed) {
            return ERR_LIMIT;
        }
        if (hint == 0) {
            break;
        }
        if (produced == room) {
            TRY(decompress_reserve_more(d, allowed));
        } else if (in.len == 0) {
            return ERR_INVALID; /* no end mark */
        }
    }
    return in.len == 0 ? OK : ERR_INVALID;
}

err_t lz4_compress(int level, struct slice in, struct growing_buffer *out)
{
    LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level,
    };
    TRY(growing_buffer_reserve(out, LZ4F_compressFrameBound(in.len, &preferences)));
    size_t written =
        LZ4F_compressFrame(out->ptr + out->len, out->cap - out->len, in.ptr, in.len, &preferences);
    if (LZ4F_isError(written)) {
        return ERR_NO_MEMORY; /* the only way: the room was reserved */
    }
    out->len += written;
    return OK;
}

void lz4_context_free(struct decompressor *d)
{
    if (d->lz4) {
        LZ4F_freeDecompressionContext(d->lz4);
        d->lz4 = NULL;
    }
    if (d->quota && d->lz4_charged > 0) {
        quota_release(d->quota, d->lz4_charged);
    }
    d->lz4_charged = 0;
}
