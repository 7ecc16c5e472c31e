/* The blocking file verbs, for start-up, shutdown and workers: any thread may call them. One place
   continues short transfers and interrupted calls, one place opens. A file owns its descriptor
   until io_file_close; a lock belongs to the open file description and goes with it. */
#include "io/io_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The operator's group may read (backups), nobody else. */
#define FILE_MODE      0640
#define DIRECTORY_MODE 0750

static err_t result_of(int result)
{
    return result == 0 ? OK : err_of_errno(errno);
}

static int open_again(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* What direct calls must be multiples of. Before Linux 6.1 nobody can tell: 4096 serves all. */
static err_t find_block_bytes(int fd, bool direct, u32 *block_bytes)
{
    u32 bytes = BLOCK_BYTES_MIN;
#ifdef STATX_DIOALIGN
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
        (st.stx_mask & STATX_DIOALIGN) != 0) {
        if (direct && st.stx_dio_offset_align == 0) {
            return ERR_UNSUPPORTED;
        }
        bytes = MAX(bytes, MAX(st.stx_dio_offset_align, st.stx_dio_mem_align));
    }
#endif
    *block_bytes = bytes;
    return OK;
}

err_t linux_file_open(struct io *io, const char *path, u32 flags, struct io_file **out)
{
    bool direct = (flags & IO_OPEN_DIRECT) != 0;
    if (direct && linux_of(io)->refuse_direct) {
        return ERR_UNSUPPORTED;
    }
    int how = O_CLOEXEC | ((flags & IO_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY);
    how |= (flags & IO_OPEN_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & IO_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    how |= direct ? O_DIRECT : 0;
    int fd = open_again(path, how);
    if (fd < 0) {
        err_t err = err_of_errno(errno);
        if (!direct || err != ERR_INVALID) {
            return err;
        }
        /* The kernel creates first and refuses then: an exclusive second try must find nothing. */
        if ((flags & IO_OPEN_EXCLUSIVE) != 0) {
            unlink(path);
        }
        return ERR_UNSUPPORTED;
    }
    u32 block_bytes = 0;
    err_t err = find_block_bytes(fd, direct, &block_bytes);
    if (err != OK) {
        if ((flags & IO_OPEN_EXCLUSIVE) != 0) {
            unlink(path);
        }
        close(fd);
        return err;
    }
    struct io_file *f = mem_alloc(sizeof(*f));
    *f = (struct io_file){.io = io, .fd = fd, .direct = direct, .block_bytes = block_bytes};
    *out = f;
    return OK;
}

void file_destroy(struct io_file *f)
{
    close(f->fd); /* what had to be durable was synced: an error here has nothing to add */
    mem_free(f);
}

void linux_file_close(struct io *io, struct io_file *f)
{
    assert(f->io == io);
    assert(!f->closed);
    if (f->op_count > 0) {
        f->closed = true;
        list_push_back(&linux_of(io)->closed_files, &f->node);
        return;
    }
    file_destroy(f);
}

err_t linux_file_size(struct io *io, struct io_file *f, u64 *bytes)
{
    struct stat st;
    TRY(result_of(fstat(f->fd, &st)));
    *bytes = (u64)st.st_size;
    return OK;
}

err_t linux_file_named(struct io *io, struct io_file *f, bool *named)
{
    struct stat st;
    TRY(result_of(fstat(f->fd, &st)));
    *named = st.st_nlink > 0;
    return OK;
}

u32 linux_file_block_bytes(struct io *io, struct io_file *f)
{
    return f->block_bytes;
}

err_t linux_file_allocate(struct io *io, struct io_file *f, u64 bytes)
{
    int result;
    do {
        result = fallocate(f->fd, 0, 0, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        return OK;
    }
    if (errno != EOPNOTSUPP) {
        return err_of_errno(errno);
    }
    /* A file system without reservations: at least the size is there, ENOSPC may come later. */
    u64 size = 0;
    TRY(linux_file_size(io, f, &size));
    return size < bytes ? linux_file_truncate(io, f, bytes) : OK;
}

err_t linux_file_truncate(struct io *io, struct io_file *f, u64 bytes)
{
    int result;
    do {
        result = ftruncate(f->fd, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    return result_of(result);
}

err_t linux_file_lock(struct io *io, struct io_file *f)
{
    int result;
    do {
        result = flock(f->fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    return result != 0 && errno == EWOULDBLOCK ? ERR_LOCKED : result_of(result);
}

err_t linux_file_read_now(struct io *io, struct io_file *f, void *buf, size_t len, u64 offset,
                          size_t *moved)
{
    struct io_vec vec = {.data = buf, .len = len};
    struct io_op op = {.file = f, .vecs = &vec, .vec_count = 1, .offset = offset};
    if (len > 0) {
        op_begin(&op, OP_READ);
        op_run_blocking(linux_of(io), &op);
    }
    if (op.result < 0) {
        return (err_t)-op.result;
    }
    *moved = (size_t)op.result;
    return OK;
}

err_t linux_file_write_now(struct io *io, struct io_file *f, const void *buf, size_t len,
                           u64 offset)
{
    struct io_vec vec = {.data = (void *)(uintptr_t)buf, .len = len};
    struct io_op op = {.file = f, .vecs = &vec, .vec_count = 1, .offset = offset};
    if (len > 0) {
        op_begin(&op, OP_WRITE);
        op_run_blocking(linux_of(io), &op);
    }
    return op.result < 0 ? (err_t)-op.result : OK;
}

err_t linux_file_sync_now(struct io *io, struct io_file *f)
{
    struct io_op op = {.file = f};
    op_begin(&op, OP_SYNC);
    op_run_blocking(linux_of(io), &op);
    return op.result < 0 ? (err_t)-op.result : OK;
}

err_t linux_mkdir(struct io *io, const char *path)
{
    return result_of(mkdir(path, DIRECTORY_MODE));
}

err_t linux_rename(struct io *io, const char *from, const char *to)
{
    return result_of(rename(from, to));
}

err_t linux_link(struct io *io, const char *from, const char *to)
{
    int failed = link(from, to);
    bool unsupported = failed != 0 && (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK ||
                                       errno == EXDEV || errno == ENOSYS);
    return unsupported ? ERR_UNSUPPORTED : result_of(failed);
}

err_t linux_unlink(struct io *io, const char *path)
{
    return result_of(unlink(path));
}

err_t linux_sync_dir(struct io *io, const char *path)
{
    int fd = open_again(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_of_errno(errno);
    }
    int result;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    err_t err = result_of(result);
    close(fd);
    return err;
}

err_t linux_list(struct io *io, const char *path, void (*each)(void *user, const char *name),
                 void *user)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return err_of_errno(errno);
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        bool dots = name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
        if (!dots) {
            each(user, name);
        }
    }
    err_t err = errno == 0 ? OK : err_of_errno(errno);
    closedir(dir);
    return err;
}

err_t linux_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes)
{
    struct statvfs st;
    TRY(result_of(statvfs(path, &st)));
    *free_bytes = (u64)st.f_bavail * st.f_frsize; /* what is free for us, not for root alone */
    *total_bytes = (u64)st.f_blocks * st.f_frsize;
    return OK;
}
