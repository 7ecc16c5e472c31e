/* This session's WAL on disk: writes, the making of extents, and reads of any WAL. Called through
   home.c, on the loop.

   A write, happy path
     1. every slot FRAME_INFLIGHT_MAX before it is durable, and it fits the current extent: it gets
        the next position and goes to the disk at once
     2. the disk says durable: done(OK)
   Otherwise it waits in `queue`, with those behind it: for the old slot (that distance is what
   recovery tells a torn tail from corruption by), or for the next extent.

   After the first write an extent is kept ready ahead: a worker renames a spare (disk_spare.c)
   or creates, locks and allocates it, fills it with zeros (a written block is overwritten faster
   than a new one is first written), and syncs it and its name. Filling takes bandwidth from the
   writes themselves, so it is left out while extents are used up faster than FILL_PACE_NS, and
   broken off when a write waits for the extent.

   How it fails: no room for another extent: everything in `queue` ends with ERR_NO_SPACE and may be
   tried again. Anything else: the home is fenced, every write ends with ERR_IO.

   A read finds extent and position of its slot; the rest is disk_handle.c's. */
#include "home/home_disk.h"

#include <string.h>

/* Small: a durable write waits for the one that is under way. */
enum { FILL_CHUNK_BYTES = 64 * KIB };
static const u64 FILL_PACE_NS = 250u * 1000u * 1000u;
/* So long after a write somebody writes. */
static const u64 WRITTEN_NS = 50u * 1000u * 1000u;
static const u64 BUSY_PACE_NS = 4 * 250u * 1000u * 1000u;

/* Never written: pages of the system's zero page, no memory of ours. */
static u8 zeros[FILL_CHUNK_BYTES] __attribute__((aligned(BLOB_ALIGN)));

/* ---- making an extent ------------------------------------------------------------------------ */

struct extent_job {
    struct disk_job job;
    char folder[DISK_PATH_MAX]; /* <directory>/wal */
    char path[DISK_PATH_MAX];
    char spare[DISK_PATH_MAX]; /* the trimmed one it is made of; empty: it is made anew */
    u64 bytes;
    u64 free_bytes;
    bool direct;
    bool fill;
    bool reused;       /* it was made of the spare */
    atomic_bool hurry; /* somebody waits: no more filling */
    struct io_file *file;
    err_t result;
};

static err_t extent_fill(struct extent_job *j)
{
    for (u64 at = 0; at < j->bytes && !atomic_load_explicit(&j->hurry, memory_order_relaxed);) {
        u64 bytes = MIN((u64)FILL_CHUNK_BYTES, j->bytes - at);
        TRY(io_file_write_now(j->job.io, j->file, zeros, bytes, at));
        at += bytes;
    }
    return OK;
}

static err_t extent_make(struct extent_job *j)
{
    struct io *io = j->job.io;
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
    TRY(disk_file_open(io, j->path, flags, &j->direct, &j->file));
    TRY(io_file_lock(io, j->file));
    TRY(io_file_allocate(io, j->file, j->bytes));
    if (j->fill) {
        TRY(extent_fill(j));
    }
    TRY(io_file_sync_now(io, j->file));
    return io_sync_dir(io, j->folder);
}

/* A dead pack that has an extent's size. Its name is in another directory: there is a moment with
   both, in which nothing is written. */
static err_t pack_reuse(struct extent_job *j)
{
    struct io *io = j->job.io;
    TRY(io_link(io, j->spare, j->path));
    TRY(io_sync_dir(io, j->folder));
    return io_unlink(io, j->spare);
}

/* What is in it stays: its slots are below the trim (formats.md, "Filed slots"), or another WAL's.
   Nothing was in flight in it, so nobody missed its lock since it was closed. */
static err_t extent_reuse(struct extent_job *j)
{
    struct io *io = j->job.io;
    TRY(disk_file_open(io, j->spare, IO_OPEN_WRITE, &j->direct, &j->file));
    TRY(io_file_lock(io, j->file));
    if (strncmp(j->spare, j->folder, strlen(j->folder)) != 0) {
        return pack_reuse(j);
    }
    TRY(io_rename(io, j->spare, j->path));
    return io_sync_dir(io, j->folder);
}

static void extent_run(struct disk_job *job)
{
    struct extent_job *j = CONTAINER_OF(job, struct extent_job, job);
    bool spared = j->spare[0] != '\0';
    j->result = spared ? extent_reuse(j) : extent_make(j);
    j->reused = spared;
    if (j->result == ERR_UNSUPPORTED && spared) {
        j->reused = false;
        io_file_close(job->io, j->file);
        j->file = NULL;
        err_t ignored = io_unlink(job->io, j->spare);
        (void)ignored;
        j->result = extent_make(j);
    }
    if (j->result != OK && j->file != NULL) {
        /* A part of an extent: removed, so that the next attempt can make it anew. */
        io_file_close(job->io, j->file);
        j->file = NULL;
        err_t ignored = io_unlink(job->io, j->path);
        ignored = spared ? io_unlink(job->io, j->spare) : OK;
        (void)ignored;
    }
    j->free_bytes = disk_space(job->io, j->folder);
}

static void extent_discard(struct disk_job *job)
{
    struct extent_job *j = CONTAINER_OF(job, struct extent_job, job);
    if (j->file != NULL) {
        io_file_close(job->io, j->file);
    }
    mem_free(j);
}

static void queue_advance(struct home_disk *d);
static void queue_fail(struct home_disk *d, err_t result);

static void extent_finished(struct disk_job *job)
{
    struct extent_job *j = CONTAINER_OF(job, struct extent_job, job);
    struct home_disk *d = job->disk;
    struct wal_writer *writer = &d->writer;
    assert(writer->making == j);
    assert(writer->next == NULL);
    writer->making = NULL;
    disk_space_seen(d, j->free_bytes);
    if (d->base.fenced) {
        extent_discard(job);
        return;
    }
    if (j->result == OK) {
        metric_add(METRIC_wal_extents_total, 1);
        metric_add(METRIC_wal_extents_reused_total, j->reused);
        struct extent *e = disk_extent_add(d, writer->files, writer->next_number);
        disk_handle_pin(&e->handle); /* until it has been the current one */
        disk_handle_opened(d, &e->handle, j->file);
        j->file = NULL;
        writer->next = e;
        writer->next_number++;
    } else if (j->result == ERR_NO_SPACE) {
        /* When nobody waits this is not a failure yet: the next write that needs room tries again.
         */
        seen("wal: no space for an extent");
        if (!list_empty(&writer->queue)) {
            home_note(&d->base, "No room for another extent of %llu bytes in %s.",
                      (unsigned long long)j->bytes, j->folder);
        }
        writer->ahead_refused = true;
        queue_fail(d, ERR_NO_SPACE);
    } else {
        home_fence(&d->base, "Making the extent %s failed: %s.", j->path, err_name(j->result));
    }
    extent_discard(job);
    queue_advance(d);
}

static void extent_start(struct home_disk *d, bool fill)
{
    struct wal_writer *writer = &d->writer;
    assert(writer->making == NULL);
    assert(writer->next == NULL);
    struct extent_job *j = mem_alloc(sizeof(*j));
    disk_path(d, j->folder, "wal");
    disk_path(d, j->path, "wal/%016llx-%08x", (unsigned long long)writer->files->wal,
              (unsigned)writer->next_number);
    if (disk_spare_take(d, j->spare)) {
        seen("wal: a trimmed extent is used again");
    }
    j->bytes = d->extent_bytes;
    j->direct = d->base.direct;
    j->fill = fill;
    j->job.run = extent_run;
    j->job.finished = extent_finished;
    j->job.discard = extent_discard;
    writer->making = j;
    disk_job_start(d, &j->job);
}

/* ---- writing --------------------------------------------------------------------------------- */

err_t disk_wal_start(struct home *h, u64 wal, u64 nonce)
{
    struct home_disk *d = disk_of(h);
    (void)nonce;
    if (disk_wal_files(d, wal) != NULL) {
        return home_fail(h, ERR_CORRUPT,
                         "WAL %llu is to be made but %s/wal has files of it: the metadata is older "
                         "than the data. "
                         "Nothing was changed; restore the whole directory from one backup.",
                         (unsigned long long)wal, d->directory);
    }
    d->writer.files = disk_wal_files_make(d, wal);
    d->writer.fill_next = true;
    return OK;
}

/* The first extent is made when the first slot needs it; from then on one is kept ready. */
static void extent_ahead(struct home_disk *d)
{
    struct wal_writer *writer = &d->writer;
    bool wanted = writer->next == NULL && writer->making == NULL && !writer->ahead_refused;
    if (wanted && !d->base.fenced) {
        extent_start(d, writer->fill_next);
    }
}

static void durable_advance(struct wal_writer *writer, u64 slot)
{
    assert(slot >= writer->durable);
    assert(slot < writer->durable + FRAME_INFLIGHT_MAX);
    writer->durable_mask |= 1u << (slot - writer->durable);
    while (writer->durable_mask & 1u) {
        writer->durable_mask >>= 1;
        writer->durable++;
    }
}

static void write_done(struct io_op *op, i64 result)
{
    struct home_write *w = CONTAINER_OF(op, struct home_write, op);
    struct home *h = home_of_write(w);
    struct home_disk *d = disk_of(h);
    struct extent *e = (struct extent *)(uintptr_t)w->private_[2];
    disk_handle_unpin(d, &e->handle);
    if (result != (i64)w->bytes) {
        char path[DISK_PATH_MAX];
        disk_extent_path(d, e, path);
        home_fence(h, "Writing slot %llu to %s failed: %s.", (unsigned long long)w->slot, path,
                   err_name(result < 0 ? (err_t)-result : ERR_IO));
    } else {
        durable_advance(&d->writer, w->slot);
        extent_ahead(d);
        queue_advance(d);
    }
    w->done(w, h->fenced ? ERR_IO : OK);
}

static bool fits(const struct home_disk *d, const struct home_write *w)
{
    return d->writer.current != NULL && d->writer.position + w->bytes <= d->extent_bytes;
}

static void write_submit(struct home_disk *d, struct home_write *w)
{
    struct wal_writer *writer = &d->writer;
    struct extent *e = writer->current;
    assert(fits(d, w));
    disk_slot_set(writer->files, w->slot, e->number, writer->position);
    disk_handle_pin(&e->handle);
    w->private_[2] = (u64)(uintptr_t)e;
    w->op.done = write_done;
    /* Writing does not change the frame; io_vec serves both directions. */
    w->vec = (struct io_vec){.data = (void *)(uintptr_t)w->frame, .len = w->bytes};
    io_file_writev(d->base.io, &w->op, e->handle.file, &w->vec, 1, writer->position, true);
    writer->position += w->bytes;
}

/* The extent that is ready becomes the current one. Was the last one used up so fast that filling
   the one after this would only be in the way? */
static void extent_switch(struct home_disk *d)
{
    struct wal_writer *writer = &d->writer;
    u64 now_ns = io_now_ns(d->base.io);
    if (writer->current != NULL) {
        writer->fill_next = now_ns - writer->current_since_ns >= FILL_PACE_NS;
        disk_handle_unpin(d, &writer->current->handle);
    }
    disk_spares_extent_begun(d);
    writer->current = writer->next;
    writer->next = NULL;
    writer->position = 0;
    writer->ahead_refused = false;
    writer->current_since_ns = now_ns;
}

bool disk_wal_is_paced(const struct home_disk *d)
{
    const struct wal_writer *writer = &d->writer;
    bool written =
        writer->written_ns != 0 && io_now_ns(d->base.io) - writer->written_ns < WRITTEN_NS;
    bool rushed = !writer->fill_next && writer->current != NULL &&
                  io_now_ns(d->base.io) - writer->current_since_ns < BUSY_PACE_NS;
    return written && !rushed;
}

static void queue_advance(struct home_disk *d)
{
    struct wal_writer *writer = &d->writer;
    while (!list_empty(&writer->queue)) {
        struct home_write *w = CONTAINER_OF(list_first(&writer->queue), struct home_write, node);
        if (w->slot >= writer->durable + FRAME_INFLIGHT_MAX) {
            return;
        }
        if (fits(d, w)) {
            list_remove(&w->node);
            write_submit(d, w);
        } else if (writer->next != NULL) {
            extent_switch(d);
        } else if (writer->making != NULL) {
            atomic_store_explicit(&writer->making->hurry, true, memory_order_relaxed);
            return;
        } else {
            extent_start(d, false);
            return;
        }
    }
}

static void queue_fail(struct home_disk *d, err_t result)
{
    struct list *queue = &d->writer.queue;
    for (struct list_node *n = list_pop_front(queue); n != NULL; n = list_pop_front(queue)) {
        d->base.refusing = result == ERR_NO_SPACE;
        home_finish_write_soon(&d->base, CONTAINER_OF(n, struct home_write, node), result);
    }
}

/* What waits will not be written any more; what is under way ends by itself. */
void disk_wal_fenced(struct home *h)
{
    queue_fail(disk_of(h), ERR_IO);
}

void disk_wal_write(struct home *h, struct home_write *w)
{
    struct home_disk *d = disk_of(h);
    assert(w->bytes <= d->extent_bytes);
    d->writer.written_ns = io_now_ns(d->base.io);
    list_push_back(&d->writer.queue, &w->node);
    queue_advance(d);
}

/* ---- reading --------------------------------------------------------------------------------- */

void disk_wal_read(struct home *h, struct home_read *r)
{
    struct home_disk *d = disk_of(h);
    const struct wal_files *files = disk_wal_files(d, r->wal);
    u32 number;
    u64 position;
    if (files == NULL || !disk_slot_get(files, r->slot, &number, &position)) {
        home_finish_read_soon(h, r, ERR_NOT_FOUND);
        return;
    }
    struct extent *e = disk_extent_find(files, number);
    assert(e != NULL);
    disk_handle_read(d, &e->handle, r, position);
}

u64 disk_wal_bytes(struct home *h)
{
    return disk_of(h)->wal_bytes;
}

/* ---- the end --------------------------------------------------------------------------------- */

void disk_wal_fini(struct home_disk *d)
{
    if (d->writer.making != NULL) {
        atomic_store_explicit(&d->writer.making->hurry, true, memory_order_relaxed);
    }
}
