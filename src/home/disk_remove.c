/* Removing files off the loop, and how much room is left: looked at when a file was made or
   removed. Called by disk_extent.c, disk_trim.c and disk_pack.c. Owns the files that are on their
   way.

   Happy path of a removal
     1. a worker takes the name away (at start we do, at once); the file is open, so what is in it
        stays
     2. it is cut shorter from its end, piece by piece, one file at a time
     3. nothing is left, it is closed, and who asked is told

   A file system mounted with `discard` tells the device of every block that is free again, and a
   device works on that for 0.2 to 0.4 ms a megabyte: durable writes wait behind it. The 350 MB of
   packs that had been merged took 100 ms at once (docs/performance.md). So pieces are small and
   there is a pause after each while producers write; none when nobody does, when they write as fast
   as they can, which retention must keep up with, or when more waits to go than is free.

   A file with a second name only loses the one: no byte of it is touched. A crash in between loses
   nothing: what has no name is the file system's to free. */
#include "home/home_disk.h"

#include <stdio.h>

enum { PIECES_PER_EXTENT = 64, HURRIED_PIECES = 16 };
static const u64 GENTLE_PAUSE_NS = 1000000;

struct remove_job {
    struct disk_job job;
    struct list_node node; /* in home_disk.removals while it waits for its next piece */
    char path[DISK_PATH_MAX];
    char folder[DISK_PATH_MAX];
    disk_removed_fn removed;
    u64 id;
    err_t result;         /* of taking the name away */
    struct io_file *file; /* without a name; NULL: nothing is left to do */
    u64 bytes;            /* it had, and gives back; 0: it is still there */
    u64 left;
    u64 charged; /* to home_disk.removal_bytes */
    u64 piece;
    u64 free_bytes;
};

/* A megabyte. */
static u64 gentle_bytes(const struct home_disk *d)
{
    return MAX(d->extent_bytes / PIECES_PER_EXTENT, (u64)DISK_UNIT);
}

static void file_close(struct remove_job *j)
{
    if (j->file != NULL) {
        io_file_close(j->job.io, j->file);
        j->file = NULL;
        j->left = 0;
    }
}

/* A file that cannot be removed, or whose removal a crash undoes, is found by the next start. */
static void name_remove(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    u64 bytes = 0;
    bool named = true;
    if (io_file_open(job->io, j->path, IO_OPEN_WRITE, &j->file) != OK) {
        j->file = NULL;
    } else if (io_file_size(job->io, j->file, &bytes) != OK) {
        bytes = 0;
    }
    j->result = io_unlink(job->io, j->path);
    bool gone = j->result == OK;
    j->bytes = gone ? bytes : 0;
    j->left = bytes;
    bool cut = gone && j->file != NULL && bytes > j->piece &&
               io_file_named(job->io, j->file, &named) == OK && !named;
    if (!cut) {
        file_close(j);
    }
    j->free_bytes = disk_space(job->io, j->folder);
}

/* What cannot be cut goes at once, as it is closed. */
static void piece_remove(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    u64 left = j->left - MIN(j->left, j->piece);
    if (left > 0 && io_file_truncate(job->io, j->file, left) == OK) {
        j->left = left;
    } else {
        file_close(j);
    }
    j->free_bytes = disk_space(job->io, j->folder);
}

static void remove_discard(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    file_close(j);
    mem_free(j);
}

/* ---- one at a time --------------------------------------------------------------------------- */

static struct remove_job *removal_first(struct home_disk *d)
{
    return CONTAINER_OF(list_first(&d->removals), struct remove_job, node);
}

/* A start reads, too. */
static bool removals_wait(const struct home_disk *d)
{
    bool felt = d->writer.files == NULL || disk_wal_is_paced(d);
    return felt && d->removal_bytes <= atomic_load(&d->base.free_bytes);
}

static void removal_next(struct home_disk *d)
{
    struct remove_job *j = removal_first(d);
    list_remove(&j->node);
    d->removing = true;
    j->piece = gentle_bytes(d) * (removals_wait(d) ? 1 : HURRIED_PIECES);
    disk_job_start(d, &j->job);
}

static void pause_over(struct io_timer *t)
{
    removal_next(CONTAINER_OF(t, struct home_disk, removal_pause));
}

static void removals_go_on(struct home_disk *d)
{
    if (d->removing || list_empty(&d->removals) || heap_linked(&d->removal_pause.node)) {
        return;
    }
    if (removals_wait(d)) {
        io_timer_start(d->base.io, &d->removal_pause, io_now_ns(d->base.io) + GENTLE_PAUSE_NS);
    } else {
        removal_next(d);
    }
}

static void removal_end(struct remove_job *j)
{
    if (j->removed != NULL) {
        j->removed(j->job.disk, j->id, j->bytes);
    }
    mem_free(j);
}

static void piece_removed(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    struct home_disk *d = job->disk;
    disk_space_seen(d, j->free_bytes);
    d->removing = false;
    d->removal_bytes -= j->charged - j->left;
    j->charged = j->left;
    if (j->file != NULL) {
        list_push_front(&d->removals, &j->node);
    } else {
        removal_end(j);
    }
    removals_go_on(d);
}

static void name_removed(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    struct home_disk *d = job->disk;
    disk_space_seen(d, j->free_bytes);
    if (j->file == NULL) {
        removal_end(j);
        return;
    }
    seen("home: a file goes piece by piece");
    j->job.run = piece_remove;
    j->job.finished = piece_removed;
    j->charged = j->left;
    d->removal_bytes += j->left;
    list_push_back(&d->removals, &j->node);
    removals_go_on(d);
}

static struct remove_job *removal_new(struct home_disk *d, const char *path)
{
    struct remove_job *j = mem_alloc(sizeof(*j));
    (void)snprintf(j->path, sizeof(j->path), "%s", path);
    disk_path(d, j->folder, "wal");
    j->piece = gentle_bytes(d);
    j->job.run = name_remove;
    j->job.finished = name_removed;
    j->job.discard = remove_discard;
    return j;
}

void disk_remove_start(struct home_disk *d, const char *path, disk_removed_fn removed, u64 id)
{
    struct remove_job *j = removal_new(d, path);
    j->removed = removed;
    j->id = id;
    disk_job_start(d, &j->job);
}

err_t disk_remove_now(struct home_disk *d, const char *path)
{
    struct remove_job *j = removal_new(d, path);
    j->job.disk = d;
    j->job.io = d->base.io;
    name_remove(&j->job);
    err_t result = j->result;
    name_removed(&j->job);
    return result;
}

void disk_removals_init(struct home_disk *d)
{
    list_init(&d->removals);
    d->removal_pause.fired = pause_over;
}

void disk_removals_fini(struct home_disk *d)
{
    io_timer_stop(d->base.io, &d->removal_pause);
    while (!list_empty(&d->removals)) {
        struct remove_job *j = removal_first(d);
        list_remove(&j->node);
        remove_discard(&j->job);
    }
}

/* ---- space ----------------------------------------------------------------------------------- */

u64 disk_space(struct io *io, const char *folder)
{
    u64 free_bytes;
    u64 total_bytes;
    return io_space(io, folder, &free_bytes, &total_bytes) == OK ? free_bytes : UINT64_MAX;
}

void disk_space_seen(struct home_disk *d, u64 free_bytes)
{
    if (free_bytes != UINT64_MAX) {
        atomic_store(&d->base.free_bytes, free_bytes);
    }
}

struct space_job {
    struct disk_job job;
    char folder[DISK_PATH_MAX];
    u64 free_bytes;
};

static void space_run(struct disk_job *job)
{
    struct space_job *j = CONTAINER_OF(job, struct space_job, job);
    j->free_bytes = disk_space(job->io, j->folder);
}

static void space_discard(struct disk_job *job)
{
    mem_free(CONTAINER_OF(job, struct space_job, job));
}

static void space_finished(struct disk_job *job)
{
    disk_space_seen(job->disk, CONTAINER_OF(job, struct space_job, job)->free_bytes);
    space_discard(job);
}

void disk_space_look(struct home *h)
{
    struct home_disk *d = disk_of(h);
    struct space_job *j = mem_alloc(sizeof(*j));
    disk_path(d, j->folder, "wal");
    j->job.run = space_run;
    j->job.finished = space_finished;
    j->job.discard = space_discard;
    disk_job_start(d, &j->job);
}
