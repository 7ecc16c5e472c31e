/* Reading a file front to back at start-up, by whole blocks into an aligned buffer. Called by the
   replay of the metadata log and by the scan of a WAL. A window owns its buffer, not its file. */
#include "home/home_disk.h"

#include <string.h>

enum { SEARCH_BYTES = 4 * MIB };

void window_init(struct window *w, struct home_disk *d)
{
    *w = (struct window){.disk = d};
}

void window_fini(struct window *w)
{
    if (w->blob != NULL) {
        blob_unref(w->blob);
    }
    *w = (struct window){0};
}

err_t window_aim(struct window *w, struct io_file *file)
{
    u64 size = 0;
    if (file != NULL) {
        TRY(io_file_size(w->disk->base.io, file, &size));
    }
    w->file = file;
    w->size = size;
    w->start = 0;
    w->bytes = 0;
    return OK;
}

static err_t window_grow(struct window *w, u64 bytes)
{
    if (w->blob != NULL && w->blob->cap >= bytes) {
        return OK;
    }
    if (w->blob != NULL) {
        blob_unref(w->blob);
        w->blob = NULL;
    }
    w->bytes = 0;
    w->blob = blob_get(&w->disk->base.buffers, bytes);
    return w->blob == NULL ? ERR_NO_MEMORY : OK;
}

/* Fills the buffer from `start`: what the file has, then zeros. */
static err_t window_fill(struct window *w, u64 start, u64 bytes)
{
    TRY(window_grow(w, bytes));
    w->bytes = 0;
    size_t moved = 0;
    if (start < w->size) {
        TRY(io_file_read_now(w->disk->base.io, w->file, w->blob->data, bytes, start, &moved));
    }
    assert(moved <= bytes);
    memset(w->blob->data + moved, 0, bytes - moved);
    w->start = start;
    w->bytes = bytes;
    return OK;
}

err_t window_bytes(struct window *w, u64 offset, u64 bytes, u64 ahead, const u8 **out)
{
    if (offset < w->start || offset + bytes > w->start + w->bytes) {
        u64 block = w->disk->base.block_bytes;
        u64 start = offset - offset % block;
        u64 useful = offset < w->size ? w->size - offset : 0; /* no reading ahead of the end */
        u64 end = ROUND_UP(offset + MAX(bytes, MIN(ahead, useful)), block);
        TRY(window_fill(w, start, end - start));
    }
    *out = w->blob->data + (offset - w->start);
    return OK;
}

err_t window_zero_to_end(struct window *w, u64 offset, bool *zero)
{
    while (offset < w->size) {
        u64 bytes = MIN((u64)SEARCH_BYTES, w->size - offset);
        const u8 *data;
        TRY(window_bytes(w, offset, bytes, 0, &data));
        /* The first byte is zero and every byte equals the one before it. */
        if (data[0] != 0 || memcmp(data, data + 1, bytes - 1) != 0) {
            *zero = false;
            return OK;
        }
        offset += bytes;
    }
    *zero = true;
    return OK;
}
