/* The metadata log on disk: two copies of one file, written one after the other, so that a crash
   can tear only one of them (formats.md, "The metadata log"). Called through home.c. Owns the two
   files.

   A slot, happy path
     1. the frame is built; if it does not fit what is allocated, a worker allocates more in both
        copies
     2. copy a is written, durable
     3. copy b is written, durable; done(OK)
   How it fails: no room at step 1: ERR_NO_SPACE, nothing was written, the slot may be tried again.
   Anything at steps 2 and 3: the home is fenced, ERR_IO.

   A snapshot, happy path, all on a worker
     1. two new files with one SNAP frame each, synced; the directory synced
     2. the old two unlinked; the directory synced; done(OK)
   A crash leaves the old generation (until 1 is durable) or the new one (from then on), or both;
   replay takes the newest that has a good SNAP frame. No room at step 1: the new files are removed,
   durably, and the caller gets ERR_NO_SPACE. Any other failure fences the home. */
#include "home/home_disk.h"

#include <stdlib.h>
#include <string.h>

enum {
    COPY_A,
    COPY_B,
    COPIES,
    GROW_BYTES_MIN = 64 * KIB,
    GROW_BYTES_MAX = 1 * MIB,
    READ_AHEAD_BYTES = 256 * KIB,
    FILE_NAME_BYTES = 18, /* 16 digits, a dot, a or b */
};

/* ---- frames and files ------------------------------------------------------------------------ */

static void frame_free(struct meta_frame *f)
{
    mem_free(f->memory);
    *f = (struct meta_frame){0};
}

static void frame_build(struct home_disk *d, enum frame_kind kind, u64 slot, u64 chain,
                        struct slice payload, struct meta_frame *out)
{
    assert(payload.len <= INT32_MAX);
    struct frame_header header = {
        .kind = kind,
        .cluster = d->base.cluster,
        .slot = slot,
        .nonce = d->meta.nonce,
        .chain = chain,
        .durable_slot = slot,
        .payload_bytes = (u32)payload.len,
    };
    u32 total = frame_total_bytes(header.payload_bytes, 0, d->base.block_bytes);
    u8 *memory = mem_alloc((size_t)total + BLOB_ALIGN);
    u8 *data = memory + (BLOB_ALIGN - (uintptr_t)memory % BLOB_ALIGN);
    if (payload.len > 0) {
        memcpy(data + FRAME_HEADER_BYTES, payload.ptr, payload.len);
    }
    frame_seal(data, &header, NULL, d->base.block_bytes);
    assert(header.total_bytes == total);
    *out = (struct meta_frame){
        .memory = memory, .data = data, .bytes = total, .hash = frame_header_hash(data)};
}

static void copy_path(const struct home_disk *d, u64 generation, u32 copy, char *out)
{
    disk_path(d, out, "meta/%016llx.%c", (unsigned long long)generation,
              copy == COPY_A ? 'a' : 'b');
}

/* The size both copies get so that `bytes` more fit. */
static u64 grown_size(u64 allocated, u64 position, u64 bytes)
{
    u64 unit = MIN(MAX(allocated, (u64)GROW_BYTES_MIN), (u64)GROW_BYTES_MAX);
    return ROUND_UP(position + bytes, unit);
}

err_t disk_meta_make_first(struct home_disk *d)
{
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        char path[DISK_PATH_MAX];
        copy_path(d, 0, copy, path);
        struct io_file *file;
        TRY(io_file_open(d->base.io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file));
        io_file_close(d->base.io, file);
    }
    return OK;
}

static void copies_close(struct home_disk *d)
{
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        if (d->meta.copies[copy] != NULL) {
            io_file_close(d->base.io, d->meta.copies[copy]);
            d->meta.copies[copy] = NULL;
        }
    }
}

void disk_meta_fini(struct home_disk *d)
{
    copies_close(d);
    frame_free(&d->meta.frame);
}

/* ---- replay: which generation ---------------------------------------------------------------- */

struct generations {
    u64 *slots; /* ascending, each once */
    u32 count;
    u32 cap;
};

static void generation_name(void *user, const char *name)
{
    struct generations *g = user;
    u64 slot;
    bool ours = strlen(name) == FILE_NAME_BYTES && disk_hex_parse(name, 16, &slot) &&
                name[16] == '.' && (name[17] == 'a' || name[17] == 'b');
    if (!ours) {
        return;
    }
    u32 at = 0;
    while (at < g->count && g->slots[at] < slot) {
        at++;
    }
    if (at < g->count && g->slots[at] == slot) {
        return;
    }
    if (g->count == g->cap) {
        g->cap = MAX(2 * g->cap, 4u);
        g->slots = mem_resize(g->slots, g->cap * sizeof(g->slots[0]));
    }
    memmove(&g->slots[at + 1], &g->slots[at], (g->count - at) * sizeof(g->slots[0]));
    g->slots[at] = slot;
    g->count++;
}

struct replay {
    struct home_disk *d;
    const struct home_meta_visitor *visitor;
    struct window windows[COPIES];
    /* what the next frame has to be */
    enum frame_kind kind;
    u64 slot;
    u64 chain;
    u64 position;
};

static bool header_expected(const struct replay *r, const struct frame_header *h)
{
    return h->kind == r->kind && h->slot == r->slot && h->chain == r->chain && h->wal == 0 &&
           uuid_eq(h->cluster, r->d->base.cluster);
}

/* OK: the whole frame is there and good. ERR_CORRUPT: it is not. An unreadable block counts as
   damage of this copy, since the other one can repair it. */
static err_t copy_read(struct replay *r, u32 copy, struct frame_header *h, const u8 **frame)
{
    struct window *w = &r->windows[copy];
    const u8 *data;
    err_t e = window_bytes(w, r->position, FRAME_HEADER_BYTES, READ_AHEAD_BYTES, &data);
    if (e == OK) {
        TRY(frame_header_decode(data, h));
        if (!header_expected(r, h) || h->total_bytes > w->size - r->position) {
            return ERR_CORRUPT;
        }
        e = window_bytes(w, r->position, h->total_bytes, READ_AHEAD_BYTES, &data);
    }
    if (e == ERR_IO) {
        return ERR_CORRUPT;
    }
    TRY(e);
    TRY(frame_payload_check(h, data));
    TRY(frame_trailer_check(h, data + h->total_bytes - FRAME_TRAILER_BYTES));
    *frame = data;
    return OK;
}

/* Opens the copies of a generation; one that is missing is opened as an empty file only if `make`.
 */
static err_t generation_open(struct replay *r, u64 generation, bool make)
{
    struct home_disk *d = r->d;
    copies_close(d);
    d->meta.generation = generation;
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        char path[DISK_PATH_MAX];
        copy_path(d, generation, copy, path);
        u32 flags = IO_OPEN_WRITE | (make ? IO_OPEN_CREATE : 0u);
        err_t e = disk_file_open(d->base.io, path, flags, &d->base.direct, &d->meta.copies[copy]);
        if (e == ERR_NOT_FOUND && !make) {
            d->meta.copies[copy] = NULL;
            e = OK;
        }
        if (e == OK) {
            e = window_aim(&r->windows[copy], d->meta.copies[copy]);
        }
        if (e != OK) {
            return home_fail(&d->base, e, "%s cannot be opened: %s.", path, err_name(e));
        }
    }
    r->kind = generation == 0 ? FRAME_META : FRAME_SNAP;
    r->slot = generation;
    r->chain = 0;
    r->position = 0;
    return OK;
}

/* Leaves the files of the generation that counts open: the newest one whose snapshot is good in a
   copy, or else the oldest. */
static err_t generation_choose(struct replay *r, const struct generations *g)
{
    for (u32 i = g->count; i > 1; i--) {
        TRY(generation_open(r, g->slots[i - 1], false));
        for (u32 copy = COPY_A; copy < COPIES; copy++) {
            struct frame_header h;
            const u8 *frame;
            err_t e = copy_read(r, copy, &h, &frame);
            if (e == OK || e == ERR_VERSION) {
                return generation_open(r, g->slots[i - 1], true);
            }
            if (e != ERR_CORRUPT) {
                return home_fail(&r->d->base, e, "The metadata in %s cannot be read: %s.",
                                 r->d->directory, err_name(e));
            }
        }
        seen("meta: an interrupted snapshot is passed over");
    }
    return generation_open(r, g->slots[0], true);
}

static err_t generations_remove_others(struct home_disk *d, const struct generations *g)
{
    char path[DISK_PATH_MAX];
    disk_path(d, path, "meta");
    if (g->count > 1) {
        /* The names that stay are durable before the others go. */
        err_t e = io_sync_dir(d->base.io, path);
        if (e != OK) {
            return home_fail(&d->base, e, "%s cannot be synced: %s.", path, err_name(e));
        }
    }
    bool removed = false;
    for (u32 i = 0; i < g->count; i++) {
        if (g->slots[i] == d->meta.generation) {
            continue;
        }
        for (u32 copy = COPY_A; copy < COPIES; copy++) {
            copy_path(d, g->slots[i], copy, path);
            err_t e = io_unlink(d->base.io, path);
            if (e != OK && e != ERR_NOT_FOUND) {
                return home_fail(&d->base, e, "%s cannot be removed: %s.", path, err_name(e));
            }
        }
        removed = true;
    }
    if (!removed) {
        return OK;
    }
    disk_path(d, path, "meta");
    err_t e = io_sync_dir(d->base.io, path);
    return e == OK ? OK : home_fail(&d->base, e, "%s cannot be synced: %s.", path, err_name(e));
}

/* ---- replay: the frames ---------------------------------------------------------------------- */

static err_t replay_damaged(struct replay *r, const char *what)
{
    char path[DISK_PATH_MAX];
    copy_path(r->d, r->d->meta.generation, COPY_A, path);
    return home_fail(
        &r->d->base, ERR_CORRUPT,
        "Metadata slot %llu %s (%s and its copy .b, byte %llu). Nothing was changed; restore the "
        "directory from a backup.",
        (unsigned long long)r->slot, what, path, (unsigned long long)r->position);
}

/* From the other copy, which is made durable first: what a killed process was writing may be seen
   and yet not be on the medium, and then a power cut in the middle of the repair tears both. */
static err_t copy_repair(struct replay *r, u32 copy, const u8 *frame, u32 bytes)
{
    struct home_disk *d = r->d;
    struct io_file *file = d->meta.copies[copy];
    err_t e = io_file_sync_now(d->base.io, d->meta.copies[copy == COPY_A ? COPY_B : COPY_A]);
    if (e == OK) {
        e = io_file_write_now(d->base.io, file, frame, bytes, r->position);
    }
    if (e == OK) {
        e = io_file_sync_now(d->base.io, file);
    }
    char path[DISK_PATH_MAX];
    copy_path(d, d->meta.generation, copy, path);
    if (e != OK) {
        return home_fail(&d->base, e,
                         "Metadata slot %llu is damaged in %s and cannot be repaired: %s.",
                         (unsigned long long)r->slot, path, err_name(e));
    }
    seen("meta: a copy is repaired");
    /* Not a failure: the sentence stays for whoever asks home_reason after a replay that went well.
     */
    home_note(
        &d->base,
        "Metadata slot %llu was missing or damaged in %s and was repaired from the other copy.",
        (unsigned long long)r->slot, path);
    return window_aim(&r->windows[copy], file);
}

static err_t replay_deliver(struct replay *r, const struct frame_header *h, const u8 *frame)
{
    struct slice payload = slice_of(frame + FRAME_HEADER_BYTES, h->payload_bytes);
    bool snapshot = h->kind == FRAME_SNAP;
    TRY(snapshot ? r->visitor->snapshot(r->visitor->user, h->slot, payload)
                 : r->visitor->slot(r->visitor->user, h->slot, payload));
    r->kind = FRAME_META;
    r->slot = snapshot ? h->slot : h->slot + 1;
    r->chain = frame_header_hash(frame);
    r->position += h->total_bytes;
    return OK;
}

/* One row of the table in formats.md. ERR_NOT_FOUND: neither copy has the slot. */
static err_t replay_slot(struct replay *r)
{
    struct frame_header headers[COPIES];
    const u8 *frames[COPIES];
    err_t results[COPIES];
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        results[copy] = copy_read(r, copy, &headers[copy], &frames[copy]);
        if (results[copy] == ERR_VERSION) {
            return home_fail(
                &r->d->base, ERR_VERSION,
                "Metadata slot %llu was written by a newer Odradek. Start the newer program.",
                (unsigned long long)r->slot);
        }
        if (results[copy] != OK && results[copy] != ERR_CORRUPT) {
            return home_fail(&r->d->base, results[copy], "The metadata in %s cannot be read: %s.",
                             r->d->directory, err_name(results[copy]));
        }
    }
    if (results[COPY_A] != OK && results[COPY_B] != OK) {
        return ERR_NOT_FOUND;
    }
    if (results[COPY_A] == OK && results[COPY_B] == OK) {
        /* Up to the padding: that is covered by nothing and means nothing. */
        bool same = headers[COPY_A].index_pos == headers[COPY_B].index_pos &&
                    memcmp(frames[COPY_A], frames[COPY_B], headers[COPY_A].index_pos) == 0;
        if (!same) {
            return replay_damaged(r, "is good in both copies, but not the same");
        }
        return replay_deliver(r, &headers[COPY_A], frames[COPY_A]);
    }
    u32 good = results[COPY_A] == OK ? COPY_A : COPY_B;
    u32 bad = good == COPY_A ? COPY_B : COPY_A;
    TRY(copy_repair(r, bad, frames[good], headers[good].total_bytes));
    return replay_deliver(r, &headers[good], frames[good]);
}

/* Neither copy has slot r->slot: is that the end, a torn write, or damage? */
static err_t replay_end(struct replay *r)
{
    if (r->kind == FRAME_SNAP) {
        return replay_damaged(r, "(a snapshot) is damaged in both copies");
    }
    bool zero_a;
    bool zero_b;
    err_t e = window_zero_to_end(&r->windows[COPY_A], r->position, &zero_a);
    if (e == OK) {
        e = window_zero_to_end(&r->windows[COPY_B], r->position, &zero_b);
    }
    if (e != OK) {
        return home_fail(&r->d->base, e, "The metadata in %s cannot be read: %s.", r->d->directory,
                         err_name(e));
    }
    if (!zero_b) {
        return replay_damaged(r, "is damaged in both copies");
    }
    if (zero_a) {
        return OK;
    }
    /* Begun in a and never in b: nobody was told that it happened. */
    seen("meta: a torn slot is cut");
    struct io *io = r->d->base.io;
    struct io_file *a = r->d->meta.copies[COPY_A];
    u64 size = r->windows[COPY_A].size;
    e = io_file_truncate(io, a, r->position);
    if (e == OK) {
        e = io_file_allocate(io, a, size);
    }
    if (e == OK) {
        e = io_file_sync_now(io, a);
    }
    return e == OK ? OK
                   : home_fail(&r->d->base, e,
                               "The torn end of the metadata log in %s cannot be cut: %s.",
                               r->d->directory, err_name(e));
}

static err_t replay_run(struct replay *r, u64 *next_slot)
{
    struct home_disk *d = r->d;
    struct generations g = {0};
    char path[DISK_PATH_MAX];
    disk_path(d, path, "meta");
    err_t e = io_list(d->base.io, path, generation_name, &g);
    if (e != OK && e != ERR_NOT_FOUND) {
        e = home_fail(&d->base, e, "%s cannot be listed: %s.", path, err_name(e));
    } else if (g.count == 0) {
        e = home_fail(
            &d->base, ERR_CORRUPT,
            "%s has no metadata log. Nothing was changed; restore the directory from a backup.",
            path);
    }
    if (e == OK) {
        e = generation_choose(r, &g);
    }
    while (e == OK) {
        e = replay_slot(r);
    }
    if (e == ERR_NOT_FOUND) {
        e = replay_end(r);
    }
    if (e == OK && r->slot == 0 && d->wals.count > 0) {
        e = home_fail(&d->base, ERR_CORRUPT,
                      "The metadata log in %s is empty, but wal/ has data. Nothing was changed; "
                      "restore meta/ from a "
                      "backup.",
                      d->directory);
    }
    if (e == OK) {
        e = generations_remove_others(d, &g);
    }
    mem_free(g.slots);
    TRY(e);
    d->meta.position = r->position;
    d->meta.chain = r->chain;
    d->meta.next_slot = r->slot;
    d->meta.allocated = MIN(r->windows[COPY_A].size, r->windows[COPY_B].size);
    *next_slot = r->slot;
    return OK;
}

err_t disk_meta_replay(struct home *h, const struct home_meta_visitor *v, u64 *next_slot)
{
    struct home_disk *d = disk_of(h);
    struct replay r = {.d = d, .visitor = v};
    h->reason[0] = '\0';
    io_random(h->io, &d->meta.nonce, sizeof(d->meta.nonce));
    window_init(&r.windows[COPY_A], d);
    window_init(&r.windows[COPY_B], d);
    err_t e = replay_run(&r, next_slot);
    window_fini(&r.windows[COPY_A]);
    window_fini(&r.windows[COPY_B]);
    return e;
}

/* ---- one slot -------------------------------------------------------------------------------- */

static void slot_written(struct home_disk *d)
{
    struct meta_log *m = &d->meta;
    m->position += m->frame.bytes;
    m->chain = m->frame.hash;
    m->next_slot++;
    frame_free(&m->frame);
}

static void meta_fence(struct home_disk *d, u32 copy, err_t e)
{
    home_fence(&d->base, "Writing metadata slot %llu to copy %c in %s/meta failed: %s.",
               (unsigned long long)d->meta.next_slot, copy == COPY_A ? 'a' : 'b', d->directory,
               err_name(e));
}

err_t disk_meta_write_now(struct home *h, u64 slot, struct slice payload)
{
    struct home_disk *d = disk_of(h);
    struct meta_log *m = &d->meta;
    assert(slot == m->next_slot);
    frame_build(d, FRAME_META, slot, m->chain, payload, &m->frame);
    u64 end = m->position + m->frame.bytes;
    if (end > m->allocated) {
        u64 size = grown_size(m->allocated, m->position, m->frame.bytes);
        for (u32 copy = COPY_A; copy < COPIES; copy++) {
            err_t e = io_file_allocate(h->io, m->copies[copy], size);
            if (e != OK) {
                frame_free(&m->frame);
                return home_fail(h, e, "No room for metadata in %s/meta: %s.", d->directory,
                                 err_name(e));
            }
        }
        m->allocated = size;
    }
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        err_t e =
            io_file_write_now(h->io, m->copies[copy], m->frame.data, m->frame.bytes, m->position);
        if (e == OK) {
            e = io_file_sync_now(h->io, m->copies[copy]);
        }
        if (e != OK) {
            meta_fence(d, copy, e);
            frame_free(&m->frame);
            return ERR_IO;
        }
    }
    slot_written(d);
    return OK;
}

static void copy_write(struct home_disk *d, u32 copy);

static void copy_written(struct home_meta_write *w, u32 copy, i64 result)
{
    struct home_disk *d = (struct home_disk *)(uintptr_t)w->private_[0];
    if (result != (i64)d->meta.frame.bytes) {
        meta_fence(d, copy, result < 0 ? (err_t)-result : ERR_IO);
        frame_free(&d->meta.frame);
        home_finish_meta(&d->base, ERR_IO);
        return;
    }
    if (d->base.fenced) { /* the WAL failed meanwhile: nothing more is acknowledged */
        frame_free(&d->meta.frame);
        home_finish_meta(&d->base, ERR_IO);
        return;
    }
    if (copy == COPY_A) {
        copy_write(d, COPY_B);
        return;
    }
    slot_written(d);
    home_finish_meta(&d->base, OK);
}

static void copy_a_written(struct io_op *op, i64 result)
{
    copy_written(CONTAINER_OF(op, struct home_meta_write, ops[COPY_A]), COPY_A, result);
}

static void copy_b_written(struct io_op *op, i64 result)
{
    copy_written(CONTAINER_OF(op, struct home_meta_write, ops[COPY_B]), COPY_B, result);
}

static void copy_write(struct home_disk *d, u32 copy)
{
    struct meta_log *m = &d->meta;
    struct home_meta_write *w = d->base.meta_writing;
    assert(m->position + m->frame.bytes <= m->allocated);
    m->vec = (struct io_vec){.data = m->frame.data, .len = m->frame.bytes};
    w->ops[copy].done = copy == COPY_A ? copy_a_written : copy_b_written;
    io_file_writev(d->base.io, &w->ops[copy], m->copies[copy], &m->vec, 1, m->position, true);
}

/* ---- work off the loop: growing, snapshots --------------------------------------------------- */

struct meta_job {
    struct disk_job job;
    char folder[DISK_PATH_MAX]; /* <directory>/meta */
    bool direct;
    /* grow: the files are the log's; snapshot: they are ours until finished() takes them */
    struct io_file *copies[COPIES];
    u64 size;
    struct meta_frame frame;
    u64 generation;
    u64 old_generation;
    bool undone; /* nothing of the new generation is left */
    err_t result;
};

static struct meta_job *meta_job_make(struct home_disk *d)
{
    struct meta_job *j = mem_alloc(sizeof(*j));
    disk_path(d, j->folder, "meta");
    j->direct = d->base.direct;
    return j;
}

static void grow_run(struct disk_job *job)
{
    struct meta_job *j = CONTAINER_OF(job, struct meta_job, job);
    for (u32 copy = COPY_A; copy < COPIES && j->result == OK; copy++) {
        j->result = io_file_allocate(job->io, j->copies[copy], j->size);
    }
}

static void grow_discard(struct disk_job *job)
{
    mem_free(CONTAINER_OF(job, struct meta_job, job));
}

static void grow_finished(struct disk_job *job)
{
    struct meta_job *j = CONTAINER_OF(job, struct meta_job, job);
    struct home_disk *d = job->disk;
    err_t e = j->result;
    if (e == OK) {
        d->meta.allocated = j->size;
    }
    mem_free(j);
    if (e == OK && !d->base.fenced) {
        copy_write(d, COPY_A);
        return;
    }
    frame_free(&d->meta.frame);
    if (e == ERR_NO_SPACE && !d->base.fenced) {
        home_finish_meta(&d->base, ERR_NO_SPACE);
        return;
    }
    home_fence(&d->base, "Growing the metadata log in %s/meta failed: %s.", d->directory,
               err_name(e));
    home_finish_meta(&d->base, ERR_IO);
}

/* The name of a file in the job's folder. */
static void job_path(const struct meta_job *j, u64 generation, u32 copy, char *out)
{
    size_t length = strlen(j->folder);
    struct writer w = writer_of(out, DISK_PATH_MAX);
    write_bytes(&w, j->folder, length);
    write_u8(&w, '/');
    for (u32 i = 0; i < 16; i++) {
        write_u8(&w, (u8) "0123456789abcdef"[generation >> (60 - 4 * i) & 15]);
    }
    write_u8(&w, '.');
    write_u8(&w, copy == COPY_A ? 'a' : 'b');
    write_u8(&w, '\0');
    assert(!w.failed);
}

static err_t snapshot_copy_make(struct meta_job *j, u32 copy)
{
    struct io *io = j->job.io;
    char path[DISK_PATH_MAX];
    job_path(j, j->generation, copy, path);
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE;
    TRY(disk_file_open(io, path, flags, &j->direct, &j->copies[copy]));
    TRY(io_file_truncate(io, j->copies[copy], 0)); /* what an attempt without space may have left */
    TRY(io_file_allocate(io, j->copies[copy], j->size));
    TRY(io_file_write_now(io, j->copies[copy], j->frame.data, j->frame.bytes, 0));
    return io_file_sync_now(io, j->copies[copy]);
}

static err_t snapshot_unlink_old(struct meta_job *j)
{
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        char path[DISK_PATH_MAX];
        job_path(j, j->old_generation, copy, path);
        TRY(io_unlink(j->job.io, path));
    }
    return io_sync_dir(j->job.io, j->folder);
}

/* Takes the new generation back, durably: if one of its files came again after a crash it would
   count as newer than the old generation, which goes on. */
static err_t snapshot_undo(struct meta_job *j)
{
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        if (j->copies[copy] == NULL) {
            continue;
        }
        char path[DISK_PATH_MAX];
        job_path(j, j->generation, copy, path);
        io_file_close(j->job.io, j->copies[copy]);
        j->copies[copy] = NULL;
        TRY(io_unlink(j->job.io, path));
    }
    return io_sync_dir(j->job.io, j->folder);
}

static void snapshot_run(struct disk_job *job)
{
    struct meta_job *j = CONTAINER_OF(job, struct meta_job, job);
    for (u32 copy = COPY_A; copy < COPIES && j->result == OK; copy++) {
        j->result = snapshot_copy_make(j, copy);
    }
    if (j->result == OK) {
        j->result = io_sync_dir(job->io, j->folder);
    }
    if (j->result != OK) {
        j->undone = snapshot_undo(j) == OK;
        return;
    }
    j->result = snapshot_unlink_old(j);
}

static void snapshot_discard(struct disk_job *job)
{
    struct meta_job *j = CONTAINER_OF(job, struct meta_job, job);
    for (u32 copy = COPY_A; copy < COPIES; copy++) {
        if (j->copies[copy] != NULL) {
            io_file_close(job->io, j->copies[copy]);
        }
    }
    frame_free(&j->frame);
    mem_free(j);
}

/* The log goes on in the new files. */
static void snapshot_adopt(struct home_disk *d, struct meta_job *j)
{
    copies_close(d);
    d->meta.copies[COPY_A] = j->copies[COPY_A];
    d->meta.copies[COPY_B] = j->copies[COPY_B];
    j->copies[COPY_A] = NULL;
    j->copies[COPY_B] = NULL;
    d->meta.generation = j->generation;
    d->meta.position = j->frame.bytes;
    d->meta.allocated = j->size;
    d->meta.chain = j->frame.hash;
}

static void snapshot_finished(struct disk_job *job)
{
    struct meta_job *j = CONTAINER_OF(job, struct meta_job, job);
    struct home_disk *d = job->disk;
    err_t e = j->result;
    bool again = e == ERR_NO_SPACE && j->undone; /* the old generation is still the one */
    if (e == OK) {
        snapshot_adopt(d, j);
    } else if (!again) {
        home_fence(&d->base, "Writing a snapshot of the metadata to %s failed: %s.", j->folder,
                   err_name(e));
    }
    snapshot_discard(job);
    if (d->base.fenced) {
        home_finish_meta(&d->base, ERR_IO);
        return;
    }
    home_finish_meta(&d->base, e);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static void snapshot_start(struct home_disk *d, const struct home_meta_write *w)
{
    struct meta_job *j = meta_job_make(d);
    j->job.run = snapshot_run;
    j->job.finished = snapshot_finished;
    j->job.discard = snapshot_discard;
    j->generation = w->slot;
    j->old_generation = d->meta.generation;
    frame_build(d, FRAME_SNAP, w->slot, 0, w->payload, &j->frame);
    j->size = grown_size(0, j->frame.bytes, GROW_BYTES_MIN);
    disk_job_start(d, &j->job);
}

static void grow_start(struct home_disk *d)
{
    struct meta_job *j = meta_job_make(d);
    j->job.run = grow_run;
    j->job.finished = grow_finished;
    j->job.discard = grow_discard;
    j->copies[COPY_A] = d->meta.copies[COPY_A];
    j->copies[COPY_B] = d->meta.copies[COPY_B];
    j->size = grown_size(d->meta.allocated, d->meta.position, d->meta.frame.bytes);
    disk_job_start(d, &j->job);
}

void disk_meta_write(struct home *h, struct home_meta_write *w)
{
    struct home_disk *d = disk_of(h);
    struct meta_log *m = &d->meta;
    assert(w->slot == m->next_slot);
    w->private_[0] = (u64)(uintptr_t)d;
    if (w->snapshot && w->slot == m->generation) {
        /* Nothing happened since the last one (or since the beginning). */
        home_finish_meta_soon(h, OK);
        return;
    }
    if (w->snapshot) {
        snapshot_start(d, w);
        return;
    }
    frame_build(d, FRAME_META, w->slot, m->chain, w->payload, &m->frame);
    if (m->position + m->frame.bytes > m->allocated) {
        grow_start(d);
        return;
    }
    copy_write(d, COPY_A);
}
