/* A data directory in memory. The folders are those of a home: none is deeper than one. */
#include "damage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const folders[] = {"", "meta", "packs", "wal"};

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("mutate: ", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static void path_join(char out[PATH_BYTES], const char *directory, const char *name)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", directory, name);
    if (n < 0 || n >= PATH_BYTES) {
        die("the name of the directory is too long: %s", directory);
    }
}

/* ---- in memory ------------------------------------------------------------------------------- */

struct image_file *image_find(struct image *i, const char *name)
{
    for (u32 k = 0; k < i->count; k++) {
        if (strcmp(i->files[k].name, name) == 0) {
            return &i->files[k];
        }
    }
    return NULL;
}

void image_put(struct image *i, const char *name, const u8 *bytes, u64 size)
{
    u8 *copy = mem_alloc(size + 1);
    memcpy(copy, bytes, size);
    image_drop(i, name);
    if (i->count == IMAGE_FILES_MAX) {
        die("more than %d files", (int)IMAGE_FILES_MAX);
    }
    u32 at = i->count;
    while (at > 0 && strcmp(i->files[at - 1].name, name) > 0) {
        i->files[at] = i->files[at - 1];
        at--;
    }
    (void)snprintf(i->files[at].name, NAME_BYTES, "%s", name);
    i->files[at].bytes = copy;
    i->files[at].size = size;
    i->count++;
}

void image_drop(struct image *i, const char *name)
{
    struct image_file *f = image_find(i, name);
    if (f == NULL) {
        return;
    }
    mem_free(f->bytes);
    u32 at = (u32)(f - i->files);
    i->count--;
    memmove(f, f + 1, (i->count - at) * sizeof(*f));
}

void image_copy(struct image *to, const struct image *from)
{
    *to = (struct image){0};
    for (u32 k = 0; k < from->count; k++) {
        image_put(to, from->files[k].name, from->files[k].bytes, from->files[k].size);
    }
}

void image_free(struct image *i)
{
    for (u32 k = 0; k < i->count; k++) {
        mem_free(i->files[k].bytes);
    }
    *i = (struct image){0};
}

bool image_differs(const struct image *a, const struct image *b, const char *name, u64 from, u64 to)
{
    const struct image_file *x = image_find((struct image *)(uintptr_t)a, name);
    const struct image_file *y = image_find((struct image *)(uintptr_t)b, name);
    if (x == NULL || y == NULL) {
        return x != y;
    }
    to = MIN(to, x->size);
    return from < to && (y->size < to || memcmp(x->bytes + from, y->bytes + from, to - from) != 0);
}

/* ---- on the disk ----------------------------------------------------------------------------- */

static void file_load(struct image *i, const char *directory, const char *name)
{
    char path[PATH_BYTES];
    struct stat st;
    path_join(path, directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        die("%s: %s", path, strerror(errno));
    }
    u8 *bytes = mem_alloc((size_t)st.st_size + 1);
    if (pread(fd, bytes, (size_t)st.st_size, 0) != st.st_size) {
        die("%s: %s", path, strerror(errno));
    }
    image_put(i, name, bytes, (u64)st.st_size);
    mem_free(bytes);
    close(fd);
}

/* Calls `each` for every plain file; the name is that within the directory. */
static void files_each(const char *directory, void (*each)(void *user, const char *name),
                       void *user)
{
    for (u32 k = 0; k < ARRAY_LEN(folders); k++) {
        char path[PATH_BYTES];
        path_join(path, directory, folders[k]);
        DIR *d = opendir(path);
        for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
            char name[NAME_BYTES];
            int n = snprintf(name, sizeof(name), "%s%s%s", folders[k], k > 0 ? "/" : "", e->d_name);
            if (e->d_type == DT_REG && n > 0 && n < NAME_BYTES) {
                each(user, name);
            }
        }
        if (d != NULL) {
            closedir(d);
        }
    }
}

struct loading {
    struct image *image;
    const char *directory;
};

static void load_one(void *user, const char *name)
{
    const struct loading *l = user;
    file_load(l->image, l->directory, name);
}

void image_load(struct image *i, const char *directory)
{
    *i = (struct image){0};
    struct loading l = {i, directory};
    files_each(directory, load_one, &l);
}

static void remove_one(void *user, const char *name)
{
    char path[PATH_BYTES];
    path_join(path, user, name);
    if (unlink(path) != 0) {
        die("%s: %s", path, strerror(errno));
    }
}

static void files_remove(const char *directory)
{
    files_each(directory, remove_one, (void *)(uintptr_t)directory);
}

void image_store(const struct image *i, const char *directory)
{
    char path[PATH_BYTES];
    files_remove(directory);
    for (u32 k = 0; k < ARRAY_LEN(folders); k++) {
        path_join(path, directory, folders[k]);
        if (mkdir(path, 0755) != 0 && errno != EEXIST) {
            die("%s: %s", path, strerror(errno));
        }
    }
    for (u32 k = 0; k < i->count; k++) {
        path_join(path, directory, i->files[k].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 ||
            pwrite(fd, i->files[k].bytes, i->files[k].size, 0) != (ssize_t)i->files[k].size) {
            die("%s: %s", path, strerror(errno));
        }
        close(fd);
    }
}

void directory_remove(const char *directory)
{
    char path[PATH_BYTES];
    files_remove(directory);
    for (u32 k = ARRAY_LEN(folders); k > 0; k--) {
        path_join(path, directory, folders[k - 1]);
        (void)rmdir(path);
    }
}
