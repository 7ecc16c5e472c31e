/* Reading packs: front to back for rewriting (pack_open, on a worker), header, trailer and index at
   start (home_pack_load) or on a worker (pack_load), and all of it for scrubbing (pack_scrub, on a
   worker, a piece at a time). Blocking. A reader's buffer is the
   caller's; nothing of the home is changed, but for the reason and the memory of home_pack_load.

   Loading, happy path
     1. the first block: header, cluster and id
     2. the end of the file: the trailer, and with it where the index is
     3. the index and the producers, read once if they fit the buffer: their CRCs
     4. the same bytes again, entry by entry, to the visitor
   How it fails: anything that disagrees is ERR_CORRUPT, and before step 4 nothing was delivered; an
   entry that is refused in step 4 had a good CRC and was written wrong. */
#include "home/pack_private.h"

#include <string.h>

enum {
    LOAD_BUFFER_BYTES = 1 * MIB,
    WORKER_BUFFER_BYTES = 128 * KIB,
    LOAD_TAIL_BYTES = 64 * KIB, /* a small index comes with the trailer */
    ENTRIES_AT_ONCE = 128,
};

/* ---- bytes ----------------------------------------------------------------------------------- */

/* The buffer has the file from the block of `pos` on: `bytes` or what there is. */
static err_t reader_fill(struct pack_reader *r, u64 pos, u64 bytes)
{
    u64 start = pos - pos % PACK_UNIT;
    assert(start < r->file->bytes);
    u64 end = ROUND_UP(pos + bytes, (u64)PACK_UNIT);
    end = MIN(MIN(end, r->file->bytes), start + r->buffer_bytes);
    r->have = 0;
    TRY(r->file->ops->read(r->file, r->buffer, (u32)(end - start), start));
    r->start = start;
    r->have = (u32)(end - start);
    return OK;
}

err_t pack_bytes(struct pack_reader *r, u32 pos, u32 bytes, void *out)
{
    if ((u64)pos + bytes > r->file->bytes) {
        return ERR_CORRUPT;
    }
    u8 *to = out;
    while (bytes > 0) {
        if (pos < r->start || pos >= r->start + r->have) {
            TRY(reader_fill(r, pos, r->scattered ? bytes : r->buffer_bytes));
        }
        u32 at = (u32)(pos - r->start);
        u32 piece = MIN(bytes, r->have - at);
        memcpy(to, r->buffer + at, piece);
        to += piece;
        pos += piece;
        bytes -= piece;
    }
    return OK;
}

/* A file of the size that the metadata says, or ERR_CORRUPT. */
static err_t reader_init(struct home *h, struct home_pack pack, void *buffer, u32 buffer_bytes,
                         struct pack_reader *out)
{
    struct pack_file *file;
    TRY(h->ops->pack_open(h, pack.id, &file));
    bool whole = file->bytes == pack.bytes && pack.bytes % PACK_UNIT == 0 &&
                 pack.bytes > PACK_PAYLOAD_POS && pack.bytes <= PACK_BYTES_MAX;
    if (!whole) {
        file->ops->close(file);
        return ERR_CORRUPT;
    }
    *out = (struct pack_reader){
        .file = file, .id = pack.id, .buffer = buffer, .buffer_bytes = buffer_bytes};
    return OK;
}

static err_t header_check(struct pack_reader *r, struct uuid cluster, struct pack_head *out)
{
    u8 header[PACK_HEADER_BYTES];
    TRY(pack_bytes(r, 0, sizeof(header), header));
    return pack_header_decode(header, cluster, r->id, out);
}

err_t pack_open(struct home *h, struct home_pack pack, void *buffer, u32 buffer_bytes,
                struct pack_reader **out)
{
    assert(h->opened);
    assert((uintptr_t)buffer % BLOB_ALIGN == 0);
    assert(buffer_bytes >= PACK_UNIT);
    assert(buffer_bytes % PACK_UNIT == 0);
    struct pack_reader *r = mem_alloc(sizeof(*r));
    struct pack_head head;
    err_t e = reader_init(h, pack, buffer, buffer_bytes, r);
    if (e == OK) {
        e = header_check(r, h->cluster, &head);
        if (e == OK) {
            r->scattered = head.in_place;
            *out = r;
            return OK;
        }
        r->file->ops->close(r->file);
    }
    mem_free(r);
    return e;
}

void pack_close(struct pack_reader *r)
{
    r->file->ops->close(r->file);
    mem_free(r);
}

/* ---- loading --------------------------------------------------------------------------------- */

struct load {
    struct home *home;
    bool quiet; /* on a worker: the home's reason is the loop's */
    struct pack_reader reader;
    const struct home_pack_visitor *visitor;
    struct pack_layout layout;
    const char *failed; /* what, and where */
    u64 failed_at;
};

static err_t load_failed(struct load *l, err_t e, const char *what, u64 position)
{
    l->failed = what;
    l->failed_at = position;
    if (l->quiet) {
        return e;
    }
    return home_fail(l->home, e,
                     "Pack %016llx: %s at byte %llu: %s. Filed records are affected. Nothing was "
                     "changed; restore the directory from a backup.",
                     (unsigned long long)l->reader.id, what, (unsigned long long)position,
                     err_name(e));
}

/* tail_max: bytes of the end that are read at once. */
static err_t layout_read(struct load *l, u32 tail_max)
{
    struct pack_head head;
    err_t e = reader_fill(&l->reader, 0, PACK_UNIT);
    if (e == OK) {
        e = header_check(&l->reader, l->home->cluster, &head);
    }
    if (e != OK) {
        return load_failed(l, e, "the header", 0);
    }
    u64 end = l->reader.file->bytes;
    u64 trailer_pos = end - PACK_TRAILER_BYTES;
    u8 trailer[PACK_TRAILER_BYTES];
    u64 tail = MIN(end, MIN(tail_max, l->reader.buffer_bytes));
    e = reader_fill(&l->reader, end - tail, tail);
    if (e == OK) {
        e = pack_bytes(&l->reader, (u32)trailer_pos, sizeof(trailer), trailer);
    }
    if (e == OK) {
        e = pack_trailer_decode(trailer, head, l->reader.id, end, &l->layout);
    }
    return e == OK ? OK : load_failed(l, e, "the trailer", trailer_pos);
}

static err_t section_check(struct load *l, u32 pos, u64 bytes, u32 expected, const char *what)
{
    u8 piece[ENTRIES_AT_ONCE * PACK_RUN_BYTES];
    u32 crc = 0;
    for (u64 done = 0; done < bytes;) {
        u32 count = (u32)MIN((u64)sizeof(piece), bytes - done);
        err_t e = pack_bytes(&l->reader, (u32)(pos + done), count, piece);
        if (e != OK) {
            return load_failed(l, e, what, pos + done);
        }
        crc = crc32c_extend(crc, piece, count);
        done += count;
    }
    return crc == expected ? OK : load_failed(l, ERR_CORRUPT, what, pos);
}

static err_t runs_deliver(struct load *l)
{
    static const char what[] = "the index";
    u8 piece[ENTRIES_AT_ONCE * PACK_RUN_BYTES];
    struct pack_run runs[1 + ENTRIES_AT_ONCE]; /* [0]: the last of the piece before */
    for (u32 done = 0; done < l->layout.run_count;) {
        u32 count = MIN((u32)ENTRIES_AT_ONCE, l->layout.run_count - done);
        u32 pos = l->layout.runs_pos + done * PACK_RUN_BYTES;
        err_t e = pack_bytes(&l->reader, pos, count * PACK_RUN_BYTES, piece);
        for (u32 i = 0; e == OK && i < count; i++) {
            const struct pack_run *before = done + i > 0 ? &runs[i] : NULL;
            e = pack_run_decode(piece + (size_t)i * PACK_RUN_BYTES, &l->layout, before,
                                &runs[i + 1]);
        }
        if (e != OK) {
            return load_failed(l, e, what, pos);
        }
        TRY(l->visitor->runs(l->visitor->user, &runs[1], count));
        runs[0] = runs[count];
        done += count;
    }
    return OK;
}

static err_t producers_deliver(struct load *l)
{
    static const char what[] = "the producers' section";
    u8 piece[ENTRIES_AT_ONCE * PACK_PRODUCER_BYTES];
    struct pack_producer producers[1 + ENTRIES_AT_ONCE];
    for (u32 done = 0; done < l->layout.producer_count;) {
        u32 count = MIN((u32)ENTRIES_AT_ONCE, l->layout.producer_count - done);
        u32 pos = l->layout.producers_pos + done * PACK_PRODUCER_BYTES;
        err_t e = pack_bytes(&l->reader, pos, count * PACK_PRODUCER_BYTES, piece);
        for (u32 i = 0; e == OK && i < count; i++) {
            const struct pack_producer *before = done + i > 0 ? &producers[i] : NULL;
            e = pack_producer_decode(piece + (size_t)i * PACK_PRODUCER_BYTES, before,
                                     &producers[i + 1]);
        }
        if (e != OK) {
            return load_failed(l, e, what, pos);
        }
        TRY(l->visitor->producers(l->visitor->user, &producers[1], count));
        producers[0] = producers[count];
        done += count;
    }
    return OK;
}

static err_t load_run(struct load *l)
{
    TRY(layout_read(l, LOAD_TAIL_BYTES));
    const struct pack_layout *at = &l->layout;
    TRY(section_check(l, at->runs_pos, (u64)at->run_count * PACK_RUN_BYTES, at->runs_crc,
                      "the index"));
    TRY(section_check(l, at->producers_pos, (u64)at->producer_count * PACK_PRODUCER_BYTES,
                      at->producers_crc, "the producers' section"));
    TRY(runs_deliver(l));
    return producers_deliver(l);
}

static err_t pack_load_into(struct load *l, struct home_pack pack, void *buffer, u32 buffer_bytes)
{
    assert(l->visitor->runs != NULL);
    assert(l->visitor->producers != NULL);
    l->reader.id = pack.id;
    err_t e = reader_init(l->home, pack, buffer, buffer_bytes, &l->reader);
    if (e != OK) {
        if (!l->quiet) {
            TRY(pack_kept_check(l->home, pack)); /* it has words for what is usual */
        }
        e = load_failed(l, e, "the file", 0);
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    }
    e = load_run(l);
    l->reader.file->ops->close(l->reader.file);
    return e;
}

err_t pack_load(struct home *h, struct home_pack pack, const struct home_pack_visitor *v)
{
    assert(h->opened);
    struct load l = {.home = h, .visitor = v, .quiet = true};
    u8 *memory = mem_alloc(WORKER_BUFFER_BYTES + BLOB_ALIGN);
    u8 *buffer = memory + (BLOB_ALIGN - (uintptr_t)memory % BLOB_ALIGN);
    err_t e = pack_load_into(&l, pack, buffer, WORKER_BUFFER_BYTES);
    mem_free(memory);
    return e;
}

err_t home_pack_load(struct home *h, struct home_pack pack, const struct home_pack_visitor *v)
{
    assert(h->replayed);
    struct load l = {.home = h, .visitor = v};
    struct blob *blob = blob_get(&h->buffers, MIN(pack.bytes, (u64)LOAD_BUFFER_BYTES));
    if (blob == NULL) {
        return home_fail(h, ERR_NO_MEMORY, "No memory to read the index of pack %016llx.",
                         (unsigned long long)pack.id);
    }
    err_t e = pack_load_into(&l, pack, blob->data, (u32)blob->cap);
    blob_unref(blob);
    return e;
}

/* ---- scrubbing --------------------------------------------------------------------------------
 */

static err_t nothing_runs(void *user, const struct pack_run *runs, u32 count)
{
    (void)user, (void)runs, (void)count;
    return OK;
}

static err_t nothing_producers(void *user, const struct pack_producer *producers, u32 count)
{
    (void)user, (void)producers, (void)count;
    return OK;
}

/* The reader's buffer has [pos, pos + bytes), and if it must be read what follows up to `end`. What
   cannot be read is asked for alone once more: it may be what follows. */
static err_t reader_want(struct pack_reader *r, u32 pos, u32 bytes, u32 end)
{
    assert(pos % PACK_UNIT + bytes <= r->buffer_bytes);
    if (pos >= r->start && (u64)pos + bytes <= r->start + r->have) {
        return OK;
    }
    u32 ahead = end > pos ? end - pos : 0;
    err_t e = reader_fill(r, pos, MAX(bytes, ahead));
    return e == ERR_IO ? reader_fill(r, pos, bytes) : e;
}

static const u8 *reader_at(const struct pack_reader *r, u32 pos)
{
    return r->buffer + (pos - r->start);
}

static err_t entries_read(struct load *l, u32 first, u32 count, struct pack_run *out)
{
    u32 pos = l->layout.runs_pos + first * PACK_RUN_BYTES;
    err_t e = reader_want(&l->reader, pos, count * PACK_RUN_BYTES, pos);
    for (u32 i = 0; e == OK && i < count; i++) {
        const u8 *entry = reader_at(&l->reader, pos + i * PACK_RUN_BYTES);
        e = pack_run_decode(entry, &l->layout, i > 0 ? &out[i - 1] : NULL, &out[i]);
    }
    return e == OK ? OK : load_failed(l, e, "the index", pos);
}

/* *bytes: the run's, if it fits the buffer. end: of what may be read ahead. */
static err_t run_compare(struct load *l, const struct pack_run *run, u32 end, const u8 **bytes)
{
    struct pack_reader *r = &l->reader;
    *bytes = NULL;
    u32 piece_max = r->buffer_bytes - PACK_UNIT;
    u32 crc = 0;
    for (u32 done = 0; done < run->bytes;) {
        u32 count = MIN(run->bytes - done, piece_max);
        TRY(reader_want(r, run->pos + done, count, end));
        crc = crc32c_extend(crc, reader_at(r, run->pos + done), count);
        done += count;
    }
    if (run->bytes <= piece_max) {
        *bytes = reader_at(r, run->pos);
    }
    return crc == run->crc ? OK : ERR_CORRUPT;
}

/* The index was good when the pack's first piece was read. Is it still? */
static err_t index_recheck(struct load *l)
{
    const struct pack_layout *at = &l->layout;
    return section_check(l, at->runs_pos, (u64)at->run_count * PACK_RUN_BYTES, at->runs_crc,
                         "the index");
}

static err_t run_scrub(struct load *l, struct pack_scrub *s, const struct pack_run *run, u32 end)
{
    const u8 *bytes;
    bool known = (run->flags & PACK_RUN_QUARANTINED) != 0;
    err_t e = run_compare(l, run, end, &bytes);
    if (e == ERR_CORRUPT && !known) {
        TRY(index_recheck(l));
        e = run_compare(l, run, run->pos + run->bytes, &bytes);
    }
    e = e == OK && known ? ERR_CORRUPT : e;
    if (e == ERR_CORRUPT || e == ERR_IO) {
        s->bad(s->user, run, e, bytes);
        return OK;
    }
    return e == OK ? OK : load_failed(l, e, "a run", run->pos);
}

static err_t piece_scrub(struct load *l, struct pack_scrub *s)
{
    struct pack_run runs[ENTRIES_AT_ONCE];
    u64 bytes = 0;
    while (s->next_run < s->run_count && bytes < s->bytes_max) {
        u32 count = MIN(s->run_count - s->next_run, (u32)ENTRIES_AT_ONCE);
        TRY(entries_read(l, s->next_run, count, runs));
        for (u32 i = 0; i < count && bytes < s->bytes_max; i++) {
            u64 ahead = l->layout.in_place ? 0 : s->bytes_max - bytes;
            u64 end = MIN(runs[i].pos + ahead, (u64)l->layout.runs_pos);
            TRY(run_scrub(l, s, &runs[i], (u32)end));
            bytes += runs[i].bytes;
            s->next_run++;
        }
    }
    s->bytes += bytes;
    return OK;
}

/* The file is as long as it was. */
static err_t frame_scrub(struct load *l, struct pack_scrub *s)
{
    bool first = s->next_run == 0;
    TRY(first ? load_run(l) : layout_read(l, PACK_UNIT));
    s->run_count = l->layout.run_count;
    if (first) {
        s->bytes = l->reader.file->bytes - (l->layout.runs_pos - PACK_PAYLOAD_POS);
    }
    return piece_scrub(l, s);
}

err_t pack_scrub(struct home *h, struct pack_scrub *s)
{
    static const struct home_pack_visitor nobody = {.runs = nothing_runs,
                                                    .producers = nothing_producers};
    assert(h->opened);
    assert((uintptr_t)s->buffer % BLOB_ALIGN == 0);
    assert(s->buffer_bytes >= ENTRIES_AT_ONCE * PACK_RUN_BYTES + PACK_UNIT);
    assert(s->bytes_max > 0);
    struct load l = {.home = h, .visitor = &nobody, .quiet = true, .failed = "the file"};
    l.reader.id = s->pack.id;
    s->bytes = 0;
    err_t e = reader_init(h, s->pack, s->buffer, s->buffer_bytes, &l.reader);
    if (e == OK) {
        e = frame_scrub(&l, s);
        l.reader.file->ops->close(l.reader.file);
    }
    s->what = l.failed;
    s->at = l.failed_at;
    return e;
}
