/* Unlinking files off the loop, and how much room is left: looked at when a file was made or
   removed. Called by disk_wal.c, disk_trim.c and disk_pack.c. Owns nothing. */
#include "home/home_disk.h"

#include <stdio.h>

struct remove_job {
    struct disk_job job;
    char path[DISK_PATH_MAX];
    char folder[DISK_PATH_MAX];
    disk_removed_fn removed;
    u64 id;
    u64 bytes; /* given back; 0: it is still there */
    u64 free_bytes;
};

static u64 file_bytes(struct io *io, const char *path)
{
    struct io_file *file;
    u64 bytes = 0;
    if (io_file_open(io, path, IO_OPEN_READ, &file) != OK) {
        return 0;
    }
    if (io_file_size(io, file, &bytes) != OK) {
        bytes = 0;
    }
    io_file_close(io, file);
    return bytes;
}

/* A file that cannot be removed, or whose removal a crash undoes, is found by the next start. */
static void remove_run(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    u64 bytes = file_bytes(job->io, j->path);
    j->bytes = io_unlink(job->io, j->path) == OK ? bytes : 0;
    j->free_bytes = disk_space(job->io, j->folder);
}

static void remove_discard(struct disk_job *job)
{
    mem_free(CONTAINER_OF(job, struct remove_job, job));
}

static void remove_finished(struct disk_job *job)
{
    struct remove_job *j = CONTAINER_OF(job, struct remove_job, job);
    disk_space_seen(job->disk, j->free_bytes);
    if (j->removed != NULL) {
        j->removed(job->disk, j->id, j->bytes);
    }
    mem_free(j);
}

void disk_remove_start(struct home_disk *d, const char *path, disk_removed_fn removed, u64 id)
{
    struct remove_job *j = mem_alloc(sizeof(*j));
    (void)snprintf(j->path, sizeof(j->path), "%s", path);
    disk_path(d, j->folder, "wal");
    j->removed = removed;
    j->id = id;
    j->job.run = remove_run;
    j->job.finished = remove_finished;
    j->job.discard = remove_discard;
    disk_job_start(d, &j->job);
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
