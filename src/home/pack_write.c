/* Making a pack (pack.h says how it is called): whatever is written goes through the caller's
   buffer to the medium in pieces of that size, front to back, and the file is named by nobody
   before pack_finish is through. Blocking, on a worker; the only state is the writer's own. */
#include "home/pack_private.h"

#include <string.h>

enum { BUFFER_BYTES_MIN = 64 * KIB };

struct pack_writer {
    struct pack_file *file;
    u64 id;
    u8 *buffer;
    u32 buffer_bytes;
    u32 at_once; /* bytes of one write, at most */
    u32 filled;  /* of buffer */
    u32 flushed; /* of the file: the position of buffer[0] */
    u32 header_crc;
    bool in_place; /* made of a WAL extent */
};

u32 pack_position(const struct pack_writer *w)
{
    return w->flushed + w->filled;
}

static void header_put(struct pack_writer *w, struct uuid cluster)
{
    memset(w->buffer, 0, PACK_PAYLOAD_POS);
    w->header_crc = pack_header_encode(cluster, w->id, w->buffer);
    w->filled = PACK_PAYLOAD_POS;
}

err_t pack_create(struct home *h, u64 id, void *buffer, u32 buffer_bytes, struct pack_writer **out)
{
    assert(h->opened);
    assert((uintptr_t)buffer % BLOB_ALIGN == 0);
    assert(buffer_bytes >= BUFFER_BYTES_MIN);
    assert(buffer_bytes % PACK_UNIT == 0);
    struct pack_file *file;
    TRY(h->ops->pack_make(h, id, &file));
    struct pack_writer *w = mem_alloc(sizeof(*w));
    *w = (struct pack_writer){
        .file = file,
        .id = id,
        .buffer = buffer,
        .buffer_bytes = buffer_bytes,
        .at_once = buffer_bytes,
    };
    header_put(w, h->cluster);
    *out = w;
    return OK;
}

err_t pack_keep(struct home_slots *s, u64 id, u32 used, void *buffer, u32 buffer_bytes,
                struct pack_writer **out)
{
    assert((uintptr_t)buffer % BLOB_ALIGN == 0);
    assert(buffer_bytes >= BUFFER_BYTES_MIN);
    assert(buffer_bytes % PACK_UNIT == 0);
    assert(used % PACK_UNIT == 0);
    struct pack_file *file;
    TRY(s->home->ops->pack_keep(s, id, &file));
    struct pack_head head;
    err_t e = file->ops->read(file, buffer, PACK_UNIT, 0);
    if (e == OK) {
        e = pack_header_decode(buffer, s->home->cluster, id, &head);
    }
    if (e != OK) {
        file->ops->close(file);
        return e;
    }
    struct pack_writer *w = mem_alloc(sizeof(*w));
    *w = (struct pack_writer){
        .file = file,
        .id = id,
        .buffer = buffer,
        .buffer_bytes = buffer_bytes,
        .at_once = buffer_bytes,
        .flushed = used,
        .header_crc = head.crc,
        .in_place = true,
    };
    *out = w;
    return OK;
}

void pack_write_at_once(struct pack_writer *w, u32 bytes)
{
    assert(bytes > 0);
    assert(bytes % PACK_UNIT == 0);
    w->at_once = MIN(bytes, w->buffer_bytes);
}

static err_t buffer_flush(struct pack_writer *w)
{
    assert(w->filled % PACK_UNIT == 0);
    for (u32 done = 0; done < w->filled;) {
        u32 bytes = MIN(w->filled - done, w->at_once);
        TRY(w->file->ops->write(w->file, w->buffer + done, bytes, w->flushed));
        w->flushed += bytes;
        done += bytes;
    }
    w->filled = 0;
    return OK;
}

err_t pack_write(struct pack_writer *w, const void *data, u32 bytes)
{
    assert((u64)pack_position(w) + bytes <= PACK_BYTES_MAX);
    const u8 *from = data;
    while (bytes > 0) {
        u32 piece = MIN(bytes, w->buffer_bytes - w->filled);
        memcpy(w->buffer + w->filled, from, piece);
        w->filled += piece;
        from += piece;
        bytes -= piece;
        if (w->filled == w->buffer_bytes) {
            TRY(buffer_flush(w));
        }
    }
    return OK;
}

static err_t runs_write(struct pack_writer *w, const struct pack_run *runs, struct pack_layout *l)
{
    for (u32 i = 0; i < l->run_count; i++) {
        u8 bytes[PACK_RUN_BYTES];
        pack_run_encode(&runs[i], bytes);
        struct pack_run same;
        err_t check = pack_run_decode(bytes, l, i > 0 ? &runs[i - 1] : NULL, &same);
        assert(check == OK); /* what is written can be read */
        (void)check;
        l->runs_crc = crc32c_extend(l->runs_crc, bytes, sizeof(bytes));
        TRY(pack_write(w, bytes, sizeof(bytes)));
    }
    return OK;
}

static err_t producers_write(struct pack_writer *w, const struct pack_producer *producers,
                             struct pack_layout *l)
{
    for (u32 i = 0; i < l->producer_count; i++) {
        u8 bytes[PACK_PRODUCER_BYTES];
        pack_producer_encode(&producers[i], bytes);
        struct pack_producer same;
        err_t check = pack_producer_decode(bytes, i > 0 ? &producers[i - 1] : NULL, &same);
        assert(check == OK);
        (void)check;
        l->producers_crc = crc32c_extend(l->producers_crc, bytes, sizeof(bytes));
        TRY(pack_write(w, bytes, sizeof(bytes)));
    }
    return OK;
}

static err_t padding_write(struct pack_writer *w, u32 until)
{
    static const u8 zeros[PACK_UNIT];
    assert(until >= pack_position(w));
    assert(until - pack_position(w) < sizeof(zeros));
    return pack_write(w, zeros, until - pack_position(w));
}

/* What follows is written at `pos`, a block further on, or goes on where the writer is. */
static err_t writer_skip(struct pack_writer *w, u32 pos)
{
    if (pos == pack_position(w)) {
        return OK;
    }
    TRY(padding_write(w, ROUND_UP(pack_position(w), (u32)PACK_UNIT)));
    if (w->filled > 0) {
        TRY(buffer_flush(w));
    }
    w->flushed = pos;
    return OK;
}

static err_t end_write(struct pack_writer *w, const struct pack_run *runs, u32 run_count,
                       const struct pack_producer *producers, u32 producer_count, u64 *bytes)
{
    struct pack_layout l = {.header_crc = w->header_crc, .in_place = w->in_place};
    u32 runs_pos = pack_position(w);
    if (w->in_place) {
        runs_pos = pack_index_place(runs_pos, w->file->bytes, run_count, producer_count);
        TRY(writer_skip(w, runs_pos));
    }
    pack_layout_place(&l, runs_pos, run_count, producer_count);
    TRY(runs_write(w, runs, &l));
    assert(pack_position(w) == l.producers_pos);
    TRY(producers_write(w, producers, &l));
    TRY(padding_write(w, l.total_bytes - PACK_TRAILER_BYTES));
    u8 trailer[PACK_TRAILER_BYTES];
    pack_trailer_encode(&l, w->id, trailer);
    TRY(pack_write(w, trailer, sizeof(trailer)));
    assert(pack_position(w) == l.total_bytes);
    if (w->filled > 0) {
        TRY(buffer_flush(w));
    }
    *bytes = l.total_bytes;
    return OK;
}

err_t pack_finish(struct pack_writer *w, const struct pack_run *runs, u32 run_count,
                  const struct pack_producer *producers, u32 producer_count, u64 *bytes)
{
    u64 total;
    err_t e = end_write(w, runs, run_count, producers, producer_count, &total);
    if (e == OK) {
        e = w->file->ops->commit(w->file, total);
    }
    if (e != OK) {
        pack_abandon(w);
        return e;
    }
    w->file->ops->close(w->file);
    mem_free(w);
    *bytes = total;
    return OK;
}

void pack_abandon(struct pack_writer *w)
{
    w->file->ops->discard(w->file);
    mem_free(w);
}
