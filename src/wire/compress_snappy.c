/* snappy in its two dresses:
     raw      one block as the library writes it (Go clients, librdkafka)
     xerial   magic 82 'SNAPPY' 00, version and lowest compatible version (i32 each), then blocks
              of at most 32 KiB of input, each after its compressed length (i32): Java, kafka-python
   All integers big-endian. A raw stream cannot begin with the magic: its third byte would be a copy
   from before the start. A block tells its decompressed length first (CVE-2023-34455 believed it);
   here it is compared with what the block could at most become. */
#include "wire/compress_codecs.h"

#include <string.h>

#include <snappy-c.h>

static const u8 xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

#define XERIAL_HEADER_BYTES 16u
#define XERIAL_VERSION      1u
#define XERIAL_BLOCK_BYTES  (32u * KIB)

/* The best a snappy block can do: 64 bytes out of a copy of three. */
#define SNAPPY_RATIO_MAX 22u

static err_t decompress_block(struct decompressor *d, struct slice in, u64 allowed)
{
    size_t claimed = 0;
    if (snappy_uncompressed_length((const char *)in.ptr, in.len, &claimed) != SNAPPY_OK) {
        return ERR_INVALID;
    }
    if (claimed > in.len * (u64)SNAPPY_RATIO_MAX) {
        return ERR_INVALID;
    }
    if (claimed > allowed - d->out.len) {
        return ERR_LIMIT;
    }
    TRY(growing_buffer_reserve(&d->out, MAX(claimed, 1u)));
    size_t produced = d->out.cap - d->out.len;
    if (snappy_uncompress((const char *)in.ptr, in.len, (char *)d->out.ptr + d->out.len,
                          &produced) != SNAPPY_OK) {
        return ERR_INVALID;
    }
    assert(produced == claimed);
    d->out.len += produced;
    return OK;
}

err_t snappy_decompress(struct decompressor *d, struct slice in, u64 allowed)
{
    if (in.len < sizeof(xerial_magic) || memcmp(in.ptr, xerial_magic, sizeof(xerial_magic)) != 0) {
        return decompress_block(d, in, allowed);
    }
    struct reader r = reader_of(in);
    read_bytes(&r, sizeof(xerial_magic));
    u32 version = read_be32(&r);
    read_be32(&r); /* the lowest compatible version: Java does not look at it either */
    if (r.failed || version < XERIAL_VERSION) {
        return ERR_INVALID;
    }
    while (reader_left(&r) > 0) {
        u32 block_bytes = read_be32(&r);
        struct slice block = read_bytes(&r, block_bytes);
        if (r.failed) {
            return ERR_INVALID;
        }
        TRY(decompress_block(d, block, allowed));
    }
    return OK;
}

err_t compress_snappy_raw(struct slice in, struct growing_buffer *out)
{
    size_t written = snappy_max_compressed_length(in.len);
    TRY(growing_buffer_reserve(out, written));
    snappy_status status =
        snappy_compress((const char *)in.ptr, in.len, (char *)out->ptr + out->len, &written);
    assert(status == SNAPPY_OK); /* the room was reserved */
    out->len += written;
    return OK;
}

err_t snappy_compress_xerial(struct slice in, struct growing_buffer *out)
{
    TRY(growing_buffer_append(out, xerial_magic, sizeof(xerial_magic)));
    u8 word[4];
    store_be32(word, XERIAL_VERSION);
    TRY(growing_buffer_append(out, word, sizeof(word)));
    TRY(growing_buffer_append(out, word, sizeof(word)));
    while (in.len > 0) {
        struct slice block = {in.ptr, MIN(in.len, XERIAL_BLOCK_BYTES)};
        size_t at_length = out->len;
        TRY(growing_buffer_append(out, word, sizeof(word)));
        TRY(compress_snappy_raw(block, out));
        store_be32(out->ptr + at_length, (u32)(out->len - at_length - sizeof(word)));
        in.ptr += block.len;
        in.len -= block.len;
    }
    return OK;
}
