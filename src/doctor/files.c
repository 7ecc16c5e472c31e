/* Files and folders of the directory. Everything is opened for reading only, but for the
   verbs of a repair at the end. */
#include "doctor/doctor_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void path_make(const struct doctor *d, char *out, const char *fmt, ...)
{
    int n = snprintf(out, DOCTOR_PATH_MAX, "%s/", d->directory);
    assert(n > 0 && n < DOCTOR_PATH_MAX);
    va_list args;
    va_start(args, fmt);
    int m = vsnprintf(out + n, (size_t)(DOCTOR_PATH_MAX - n), fmt, args);
    va_end(args);
    assert(m >= 0 && m < DOCTOR_PATH_MAX - n);
    (void)m;
}

/* One byte more is asked for than there is: a folder cannot be read, however small. */
static err_t open_load(const struct doctor *d, struct io_file *file, struct file_bytes *out)
{
    u64 size;
    size_t moved = 0;
    TRY(io_file_size(d->io, file, &size));
    u8 *data = mem_alloc(size + 1);
    err_t e = io_file_read_now(d->io, file, data, size + 1, 0, &moved);
    if (e != OK || moved != size) {
        mem_free(data);
        return e != OK ? e : ERR_IO;
    }
    *out = (struct file_bytes){data, size};
    return OK;
}

err_t file_load(const struct doctor *d, const char *name, struct file_bytes *out)
{
    char path[DOCTOR_PATH_MAX];
    struct io_file *file;
    *out = (struct file_bytes){0};
    path_make(d, path, "%s", name);
    TRY(io_file_open(d->io, path, IO_OPEN_READ, &file));
    err_t e = open_load(d, file, out);
    io_file_close(d->io, file);
    if (e == OK && d->total_bytes > 0) {
        d->read(d->user, out->size, d->total_bytes);
    }
    return e;
}

static u64 folder_total(const struct doctor *d, const char *folder)
{
    struct names names;
    u64 total = 0;
    if (folder_list(d, folder, &names) != OK) {
        return 0;
    }
    for (u32 i = 0; i < names.count; i++) {
        char path[DOCTOR_PATH_MAX];
        struct io_file *file;
        u64 size;
        path_make(d, path, "%s/%.200s", folder, names.items[i]);
        if (io_file_open(d->io, path, IO_OPEN_READ, &file) == OK) {
            total += io_file_size(d->io, file, &size) == OK ? size : 0;
            io_file_close(d->io, file);
        }
    }
    names_free(&names);
    return total;
}

u64 files_total(const struct doctor *d)
{
    /* Extents are read to find where a WAL begins, and once more to walk it. */
    return folder_total(d, "meta") + folder_total(d, "packs") + 2 * folder_total(d, "wal");
}

void file_free(struct file_bytes *f)
{
    mem_free(f->data);
    *f = (struct file_bytes){0};
}

bool bytes_zero(const u8 *bytes, u64 count)
{
    for (u64 i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_add(void *user, const char *name)
{
    struct names *n = user;
    if (n->count == n->cap) {
        n->cap = MAX(2 * n->cap, 16u);
        n->items = mem_resize(n->items, n->cap * sizeof(*n->items));
    }
    n->items[n->count++] = mem_strndup(slice_cstr(name));
}

err_t folder_list(const struct doctor *d, const char *folder, struct names *out)
{
    char path[DOCTOR_PATH_MAX];
    *out = (struct names){0};
    path_make(d, path, "%s", folder);
    err_t e = io_list(d->io, path, names_add, out);
    if (e != OK) {
        names_free(out);
    } else if (out->count > 0) {
        qsort(out->items, out->count, sizeof(*out->items), name_order);
    }
    return e;
}

void names_free(struct names *n)
{
    for (u32 i = 0; i < n->count; i++) {
        mem_free(n->items[i]);
    }
    mem_free(n->items);
    *n = (struct names){0};
}

bool name_hex(const char *s, u32 digits, u64 *out)
{
    u64 value = 0;
    for (u32 i = 0; i < digits; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (!digit && !(s[i] >= 'a' && s[i] <= 'f')) {
            return false; /* also at the terminator */
        }
        value = value << 4 | (u64)(digit ? s[i] - '0' : s[i] - 'a' + 10);
    }
    *out = value;
    return true;
}

/* ---- repairs --------------------------------------------------------------------------------- */

err_t file_repair(const struct doctor *d, const char *name, const u8 *bytes, u64 count, u64 at)
{
    char path[DOCTOR_PATH_MAX];
    struct io_file *file;
    path_make(d, path, "%s", name);
    TRY(io_file_open(d->io, path, IO_OPEN_WRITE, &file));
    err_t e = io_file_write_now(d->io, file, bytes, count, at);
    if (e == OK) {
        e = io_file_sync_now(d->io, file);
    }
    io_file_close(d->io, file);
    return e;
}

err_t file_extend(const struct doctor *d, const char *name, u64 size)
{
    char path[DOCTOR_PATH_MAX];
    struct io_file *file;
    path_make(d, path, "%s", name);
    TRY(io_file_open(d->io, path, IO_OPEN_WRITE, &file));
    err_t e = io_file_allocate(d->io, file, size);
    if (e == OK) {
        e = io_file_sync_now(d->io, file);
    }
    io_file_close(d->io, file);
    return e;
}

err_t file_create(const struct doctor *d, const char *folder, const char *name, const u8 *bytes,
                  u64 count)
{
    char path[DOCTOR_PATH_MAX];
    struct io_file *file;
    path_make(d, path, "%s/%s", folder, name);
    TRY(io_file_open(d->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE, &file));
    err_t e = io_file_write_now(d->io, file, bytes, count, 0);
    if (e == OK) {
        e = io_file_sync_now(d->io, file);
    }
    io_file_close(d->io, file);
    if (e != OK) {
        err_t gone = io_unlink(d->io, path);
        (void)gone; /* what stays is a damaged copy, which the next check names */
        return e;
    }
    path_make(d, path, "%s", folder);
    return io_sync_dir(d->io, path);
}

err_t file_remove(const struct doctor *d, const char *folder, const char *name)
{
    char path[DOCTOR_PATH_MAX];
    path_make(d, path, "%s/%s", folder, name);
    TRY(io_unlink(d->io, path));
    path_make(d, path, "%s", folder);
    return io_sync_dir(d->io, path);
}
