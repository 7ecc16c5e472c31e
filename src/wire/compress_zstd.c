/* zstd: frames one after the other. The header of each frame is read here first, because it says
   what the library would allocate (the window) and whether the length is known: known and plausible
   one call, straight into the output, no window buffer else                  streaming, the window
   charged to the quota Skippable frames and dictionaries have no place in a batch. */
#include "wire/compress_codecs.h"

#include <zstd.h>

#define ZSTD_LEVEL_USUAL  3
#define ZSTD_FRAME_MAGIC  0xFD2FB528u
#define ZSTD_WINDOW_LOG   23 /* DECOMPRESS_ZSTD_WINDOW_MAX */
#define ZSTD_BLOCK_BYTES  (128u * KIB)
#define ZSTD_CONTEXT_KEPT (3u * ZSTD_BLOCK_BYTES) /* in- and output buffers beside the window */

static_assert(DECOMPRESS_ZSTD_WINDOW_MAX == 1u << ZSTD_WINDOW_LOG, "one limit, said twice");
static_assert(DECOMPRESS_ZSTD_WINDOW_MAX + ZSTD_CONTEXT_KEPT <= DECOMPRESS_CONTEXT_BYTES_MAX,
              "what the door promises");

struct zstd_frame {
    u64 window_bytes;
    u64 content_bytes; /* if content_known: 2^64-1 is a length like any other, and a lie */
    bool content_known;
};

/* RFC 8878, 3.1.1.1: descriptor byte, window byte unless single segment, dictionary id, content
   size. The reader is a copy: the library reads the header again. */
static err_t read_frame_header(struct slice in, struct zstd_frame *out)
{
    struct reader r = reader_of(in);
    if (read_le32(&r) != ZSTD_FRAME_MAGIC) {
        return ERR_INVALID;
    }
    u8 descriptor = read_u8(&r);
    bool single_segment = descriptor & 0x20;
    unsigned content_flag = descriptor >> 6;
    if (descriptor & 0x0B) {
        return ERR_INVALID; /* a dictionary, or the reserved bit */
    }
    u64 window_bytes = 0;
    if (!single_segment) {
        u8 window = read_u8(&r);
        u64 base = 1ull << (10 + (window >> 3));
        window_bytes = base + (base / 8) * (window & 7u);
    }
    bool content_known = single_segment || content_flag > 0;
    u64 content_bytes = 0;
    switch (content_flag) {
    case 0:
        content_bytes = single_segment ? read_u8(&r) : 0;
        break;
    case 1:
        content_bytes = read_le16(&r) + 256u;
        break;
    case 2:
        content_bytes = read_le32(&r);
        break;
    default:
        content_bytes = read_le64(&r);
        break;
    }
    if (r.failed) {
        return ERR_INVALID;
    }
    *out = (struct zstd_frame){
        .window_bytes = single_segment ? content_bytes : window_bytes,
        .content_bytes = content_bytes,
        .content_known = content_known,
    };
    return OK;
}

static err_t prepare_context(struct decompressor *d)
{
    if (!d->zstd) {
        d->zstd = ZSTD_createDCtx();
        if (!d->zstd) {
            return ERR_NO_MEMORY;
        }
        size_t set = ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
        assert(!ZSTD_isError(set));
    }
    return OK;
}

/* One call; only with a content size that has been bounded. */
static err_t decompress_frame_at_once(struct decompressor *d, u64 content_bytes, struct slice *in)
{
    size_t frame_bytes = ZSTD_findFrameCompressedSize(in->ptr, in->len);
    if (ZSTD_isError(frame_bytes)) {
        return ERR_INVALID;
    }
    assert(frame_bytes > 0 && frame_bytes <= in->len);
    TRY(growing_buffer_reserve(&d->out, MAX((size_t)content_bytes, 1u)));
    size_t produced = ZSTD_decompressDCtx(d->zstd, d->out.ptr + d->out.len, (size_t)content_bytes,
                                          in->ptr, frame_bytes);
    if (ZSTD_isError(produced) || produced != content_bytes) {
        return ERR_INVALID;
    }
    d->out.len += produced;
    in->ptr += frame_bytes;
    in->len -= frame_bytes;
    return OK;
}

/* The window buffer stays with the context: charged once, at the largest size seen. */
static err_t charge_window(struct decompressor *d, u64 window_bytes)
{
    u64 wanted = window_bytes + ZSTD_CONTEXT_KEPT;
    if (d->quota && wanted > d->zstd_charged) {
        if (!quota_charge(d->quota, wanted - d->zstd_charged)) {
            return ERR_NO_MEMORY;
        }
        d->zstd_charged = wanted;
    }
    return OK;
}

static err_t decompress_frame_stream(struct decompressor *d, const struct zstd_frame *frame,
                                     struct slice *in, u64 allowed)
{
    TRY(charge_window(d, frame->window_bytes));
    ZSTD_DCtx_reset(d->zstd, ZSTD_reset_session_only);
    ZSTD_inBuffer source = {in->ptr, in->len, 0};
    size_t len_before = d->out.len;
    TRY(decompress_reserve_hint(d, in->len, in->len * 4, allowed));
    for (;;) {
        size_t room = (size_t)MIN((u64)(d->out.cap - d->out.len), allowed + 1 - d->out.len);
        ZSTD_outBuffer target = {d->out.ptr + d->out.len, room, 0};
        size_t hint = ZSTD_decompressStream(d->zstd, &target, &source);
        if (ZSTD_isError(hint)) {
            return ERR_INVALID;
        }
        d->out.len += target.pos;
        if (d->out.len > allowed) {
            return ERR_LIMIT;
        }
        if (hint == 0) {
            break;
        }
        if (target.pos == room) {
            TRY(decompress_reserve_more(d, allowed));
        } else if (source.pos == source.size) {
            return ERR_INVALID; /* truncated */
        }
    }
    in->ptr += source.pos;
    in->len -= source.pos;
    /* The library forgets to compare when the last block is empty. */
    bool as_said = !frame->content_known || d->out.len - len_before == frame->content_bytes;
    return as_said ? OK : ERR_INVALID;
}

err_t zstd_decompress(struct decompressor *d, struct slice in, u64 allowed)
{
    TRY(prepare_context(d));
    while (in.len > 0) {
        struct zstd_frame frame;
        TRY(read_frame_header(in, &frame));
        if (frame.window_bytes > DECOMPRESS_ZSTD_WINDOW_MAX) {
            return ERR_LIMIT;
        }
        bool known = frame.content_known;
        if (known && frame.content_bytes > allowed - d->out.len) {
            return ERR_LIMIT;
        }
        if (known &&
            frame.content_bytes <= in.len * (u64)DECOMPRESS_HINT_RATIO + ZSTD_BLOCK_BYTES) {
            TRY(decompress_frame_at_once(d, frame.content_bytes, &in));
        } else {
            TRY(decompress_frame_stream(d, &frame, &in, allowed));
        }
    }
    return OK;
}

err_t zstd_compress(int level, struct slice in, struct growing_buffer *out)
{
    size_t bound = ZSTD_compressBound(in.len);
    TRY(growing_buffer_reserve(out, bound));
    size_t written = ZSTD_compress(out->ptr + out->len, bound, in.ptr, in.len,
                                   level == 0 ? ZSTD_LEVEL_USUAL : level);
    if (ZSTD_isError(written)) {
        return ERR_NO_MEMORY; /* the only way: the room was reserved */
    }
    out->len += written;
    return OK;
}

void zstd_context_free(struct decompressor *d)
{
    if (d->zstd) {
        ZSTD_freeDCtx(d->zstd);
        d->zstd = NULL;
    }
    if (d->quota && d->zstd_charged > 0) {
        quota_release(d->quota, d->zstd_charged);
    }
    d->zstd_charged = 0;
}
