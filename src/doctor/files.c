/* Files and folders of the directory. Everything is opened for reading only, but for the two verbs
   of a repair at the end. */
#include "doctor/doctor_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static err_t error_of(int number)
{
    return number == ENOENT || number == ENOTDIR ? ERR_NOT_FOUND
           : number == EACCES || number == EPERM ? ERR_DENIED
                                                 : ERR_IO;
}

static err_t descriptor_load(int fd, struct file_bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return ERR_IO;
    }
    u64 size = (u64)st.st_size;
    u8 *data = mem_alloc(size + 1);
    for (u64 at = 0; at < size;) {
        ssize_t n = pread(fd, data + at, size - at, (off_t)at);
        if (n <= 0) {
            mem_free(data);
            return ERR_IO;
        }
        at += (u64)n;
    }
    *out = (struct file_bytes){data, size};
    return OK;
}

err_t file_load(const struct doctor *d, const char *name, struct file_bytes *out)
{
    char path[DOCTOR_PATH_MAX];
    *out = (struct file_bytes){0};
    path_make(d, path, "%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_of(errno);
    }
    err_t e = descriptor_load(fd, out);
    close(fd);
    return e;
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

err_t folder_list(const struct doctor *d, const char *folder, struct names *out)
{
    char path[DOCTOR_PATH_MAX];
    *out = (struct names){0};
    path_make(d, path, "%s", folder);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return error_of(errno);
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (out->count == out->cap) {
            out->cap = MAX(2 * out->cap, 16u);
            out->items = mem_resize(out->items, out->cap * sizeof(*out->items));
        }
        out->items[out->count++] = mem_strndup(slice_cstr(entry->d_name));
    }
    closedir(dir);
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof(*out->items), name_order);
    }
    return OK;
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
    path_make(d, path, "%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_of(errno);
    }
    bool written = true;
    for (u64 done = 0; written && done < count;) {
        ssize_t n = pwrite(fd, bytes + done, count - done, (off_t)(at + done));
        written = n > 0;
        done += written ? (u64)n : 0;
    }
    written = written && fdatasync(fd) == 0;
    close(fd);
    return written ? OK : ERR_IO;
}

err_t file_remove(const struct doctor *d, const char *folder, const char *name)
{
    char path[DOCTOR_PATH_MAX];
    path_make(d, path, "%s/%s", folder, name);
    if (unlink(path) != 0) {
        return error_of(errno);
    }
    path_make(d, path, "%s", folder);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_of(errno);
    }
    bool synced = fsync(fd) == 0;
    close(fd);
    return synced ? OK : ERR_IO;
}
