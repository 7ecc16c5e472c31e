/* Files that reads come to, extents and packs alike: opened by a worker when wanted, closed when
   others are wanted more, gone when nobody reads them any more. Called by disk_extent.c, disk_wal.c
   and disk_pack.c. A handle is embedded in what it is the file of.

   Thousands may exist; at most DISK_FILES_OPEN_MAX of those without reads or writes in flight stay
   open, the least recently used is closed first.

   A read, happy path
     1. the file is open: whole blocks around the range are read into the caller's blob
     2. it is not: a worker opens it, then step 1
   How it fails: the file cannot be opened, cannot be read, or is shorter than it should be.

   A file that leaves (trimmed, removed) gets no new reads; when those under way have ended it is
   closed and its owner is told (left). */
#include "home/home_disk.h"

void disk_handle_init(struct disk_handle *f, const struct disk_handle_kind *kind)
{
    f->kind = kind;
    list_init(&f->waiting);
}

void disk_handle_close(struct home_disk *d, struct disk_handle *f)
{
    if (list_linked(&f->node)) {
        list_remove(&f->node);
    }
    if (f->file == NULL) {
        return;
    }
    io_file_close(d->base.io, f->file);
    f->file = NULL;
    assert(d->files_open > 0);
    d->files_open--;
}

static void files_trim(struct home_disk *d)
{
    while (d->files_open > DISK_FILES_OPEN_MAX && !list_empty(&d->idle)) {
        disk_handle_close(d, CONTAINER_OF(list_first(&d->idle), struct disk_handle, node));
    }
}

void disk_handle_opened(struct home_disk *d, struct disk_handle *f, struct io_file *file)
{
    assert(f->file == NULL);
    assert(file != NULL);
    f->file = file;
    d->files_open++;
    if (f->pins == 0) {
        list_push_back(&d->idle, &f->node);
    }
    files_trim(d);
}

void disk_handle_pin(struct disk_handle *f)
{
    f->pins++;
    if (!f->leaving && list_linked(&f->node)) {
        list_remove(&f->node);
    }
}

static void handle_left(struct home_disk *d, struct disk_handle *f)
{
    disk_handle_close(d, f);
    f->kind->left(d, f);
}

void disk_handle_unpin(struct home_disk *d, struct disk_handle *f)
{
    assert(f->pins > 0);
    f->pins--;
    if (f->pins > 0) {
        return;
    }
    if (f->leaving) {
        handle_left(d, f);
    } else if (f->file != NULL) {
        list_push_back(&d->idle, &f->node);
        files_trim(d);
    }
}

void disk_handle_leave(struct home_disk *d, struct disk_handle *f)
{
    assert(!f->leaving);
    if (list_linked(&f->node)) {
        list_remove(&f->node);
    }
    f->leaving = true;
    if (f->pins == 0) {
        handle_left(d, f);
    } else {
        seen("home: a file leaves when its last read ends");
        list_push_back(&d->leaving, &f->node);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct disk_handle *handle_of_read(const struct home_read *r)
{
    return (struct disk_handle *)(uintptr_t)r->private_[2];
}

static void read_done(struct io_op *op, i64 result)
{
    struct home_read *r = CONTAINER_OF(op, struct home_read, op);
    disk_handle_unpin(disk_of(home_of_read(r)), handle_of_read(r));
    err_t e = OK;
    if (result < 0) {
        e = (err_t)-result;
    } else if ((u64)result < (u64)r->blob_offset + r->bytes) {
        e = ERR_IO; /* the file is shorter than what was found in it */
    }
    r->done(r, e);
}

static void read_submit(struct home_disk *d, struct home_read *r)
{
    u64 start = r->private_[1];
    r->op.done = read_done;
    io_file_readv(d->base.io, &r->op, handle_of_read(r)->file, &r->vec, 1, start);
}

struct open_job {
    struct disk_job job;
    struct disk_handle *handle;
    char path[DISK_PATH_MAX];
    bool direct;
    struct io_file *file;
    err_t result;
};

static void open_run(struct disk_job *job)
{
    struct open_job *j = CONTAINER_OF(job, struct open_job, job);
    j->result = disk_file_open(job->io, j->path, IO_OPEN_READ, &j->direct, &j->file);
}

static void open_discard(struct disk_job *job)
{
    struct open_job *j = CONTAINER_OF(job, struct open_job, job);
    if (j->file != NULL) {
        io_file_close(job->io, j->file);
    }
    mem_free(j);
}

/* Every read that waits has a pin of its own. */
static void open_finished(struct disk_job *job)
{
    struct open_job *j = CONTAINER_OF(job, struct open_job, job);
    struct home_disk *d = job->disk;
    struct disk_handle *f = j->handle;
    err_t result = j->result;
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &f->waiting);
    if (result == OK) {
        disk_handle_opened(d, f, j->file);
        j->file = NULL;
    }
    f->opening = false;
    for (struct list_node *n = list_pop_front(&waiting); n != NULL; n = list_pop_front(&waiting)) {
        struct home_read *r = CONTAINER_OF(n, struct home_read, node);
        if (result == OK) {
            read_submit(d, r);
        } else {
            disk_handle_unpin(d, f);
            home_finish_read_soon(&d->base, r, result);
        }
    }
    if (result != OK && f->pins == 0 && f->kind->missed != NULL) {
        f->kind->missed(d, f);
    }
    open_discard(job);
}

static void open_start(struct home_disk *d, struct disk_handle *f)
{
    struct open_job *j = mem_alloc(sizeof(*j));
    j->handle = f;
    j->direct = d->base.direct;
    f->kind->path(d, f, j->path);
    j->job.run = open_run;
    j->job.finished = open_finished;
    j->job.discard = open_discard;
    f->opening = true;
    disk_job_start(d, &j->job);
}

void disk_handle_read(struct home_disk *d, struct disk_handle *f, struct home_read *r, u64 position)
{
    assert(!f->leaving);
    u64 block = d->base.block_bytes;
    u64 from = position + r->pos;
    u64 start = from - from % block;
    u64 end = ROUND_UP(from + r->bytes, block);
    assert(end - start <= r->blob->cap);
    r->blob_offset = (u32)(from - start);
    r->vec = (struct io_vec){.data = r->blob->data, .len = end - start};
    r->private_[1] = start;
    r->private_[2] = (u64)(uintptr_t)f;
    disk_handle_pin(f);
    if (f->file != NULL) {
        read_submit(d, r);
        return;
    }
    list_push_back(&f->waiting, &r->node);
    if (!f->opening) {
        open_start(d, f);
    }
}
