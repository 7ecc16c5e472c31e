/* The data directory: is it ours, which version, is somebody in it; making a new one; create and
   destroy of the home on disk. Called through home.c at start and end. Owns the lock file, held to
   the end.

   Opening, happy path
     1. the directory is made if absent, and listed: ours, empty, or foreign
     2. `format` is read if there: version and cluster id
     3. `lock` is taken and the process id written into it
     4. without `format`: everything is made, `format` last (formats.md, "format")
     5. the extents in wal/ are listed
   How it fails: foreign or newer (ERR_VERSION), damaged or half lost (ERR_CORRUPT), held by another
   process (ERR_LOCKED, with its id), no permission, no space, a failing disk. The reason says which
   file and what next. */
#include "home/home_disk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    FORMAT_VERSION = 1,
    FORMAT_BYTES_MAX = 512,
    DIRECTORY_NAME_MAX = 3072, /* leaves room in DISK_PATH_MAX for our own names */
};

/* ---- names ----------------------------------------------------------------------------------- */

void disk_path(const struct home_disk *d, char *out, const char *fmt, ...)
{
    int n = snprintf(out, DISK_PATH_MAX, "%s/", d->directory);
    assert(n > 0 && n < DISK_PATH_MAX);
    va_list args;
    va_start(args, fmt);
    int m = vsnprintf(out + n, (size_t)(DISK_PATH_MAX - n), fmt, args);
    va_end(args);
    assert(m >= 0 && m < DISK_PATH_MAX - n);
    (void)m;
}

bool disk_hex_parse(const char *s, u32 digits, u64 *out)
{
    assert(digits > 0 && digits <= 16);
    u64 value = 0;
    for (u32 i = 0; i < digits; i++) {
        char c = s[i];
        bool digit = c >= '0' && c <= '9';
        bool letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) {
            return false; /* also at the terminator */
        }
        value = value << 4 | (u64)(digit ? c - '0' : c - 'a' + 10);
    }
    *out = value;
    return true;
}

err_t disk_file_open(struct io *io, const char *path, u32 flags, bool *direct, struct io_file **out)
{
    if (*direct) {
        err_t e = io_file_open(io, path, flags | IO_OPEN_DIRECT, out);
        if (e != ERR_UNSUPPORTED) {
            return e;
        }
        *direct = false;
        if (flags & IO_OPEN_EXCLUSIVE) {
            /* Some kernels have made the file before they refuse the flag. */
            err_t ignored = io_unlink(io, path);
            (void)ignored;
        }
    }
    return io_file_open(io, path, flags, out);
}

err_t disk_list_failed(struct home_disk *d, const char *path, err_t e)
{
    return home_fail(
        &d->base, e == ERR_NOT_FOUND ? ERR_CORRUPT : e,
        "%s cannot be listed: %s. A data directory has meta, wal and packs; restore what is "
        "missing from a backup.",
        path, err_name(e));
}

/* ---- what is there --------------------------------------------------------------------------- */

struct survey {
    bool format;
    char foreign[64]; /* a name that is not ours; empty: none */
};

static void survey_name(void *user, const char *name)
{
    static const char *const ours[] = {"format.new", "lock", "meta", "wal", "packs", "lost+found"};
    struct survey *s = user;
    if (strcmp(name, "format") == 0) {
        s->format = true;
        return;
    }
    for (u32 i = 0; i < ARRAY_LEN(ours); i++) {
        if (strcmp(name, ours[i]) == 0) {
            return;
        }
    }
    /* The smallest of the foreign names, so that the sentence does not depend on the order. */
    if (s->foreign[0] == '\0' || strncmp(name, s->foreign, sizeof(s->foreign) - 1) < 0) {
        (void)snprintf(s->foreign, sizeof(s->foreign), "%s", name);
    }
}

static err_t survey_make(struct home_disk *d, struct survey *out)
{
    *out = (struct survey){0};
    err_t e = io_list(d->base.io, d->directory, survey_name, out);
    if (e != OK) {
        return home_fail(&d->base, e,
                         "The data directory %s cannot be listed: %s. Check that it is a "
                         "directory and that this user may read it.",
                         d->directory, err_name(e));
    }
    if (!out->format && out->foreign[0] != '\0') {
        return home_fail(
            &d->base, ERR_VERSION,
            "The directory %s is not an Odradek data directory: it has '%s' and no file named "
            "'format'. Nothing was touched; give an empty or absent directory.",
            d->directory, out->foreign);
    }
    return OK;
}

/* Makes path and the directories above it. */
static err_t directory_make(struct io *io, char *path)
{
    err_t e = io_mkdir(io, path);
    char *slash = strrchr(path, '/');
    if (e == ERR_NOT_FOUND && slash != NULL && slash != path) {
        *slash = '\0';
        e = directory_make(io, path);
        *slash = '/';
        TRY(e);
        e = io_mkdir(io, path);
    }
    return e == ERR_EXISTS ? OK : e;
}

/* Makes durable that path is there, all the way up. Directories that this user may not open were
   not made by it. */
static err_t parents_sync(struct io *io, char *path)
{
    char *slash = strrchr(path, '/');
    bool last = slash == NULL || slash == path;
    if (slash != NULL && !last) {
        *slash = '\0';
    }
    err_t e = io_sync_dir(io, !last ? path : slash == NULL ? "." : "/");
    if (e != ERR_IO && e != ERR_CANCELLED && e != ERR_NO_SPACE) {
        e = OK;
    }
    if (e == OK && !last) {
        e = parents_sync(io, path);
    }
    if (slash != NULL && !last) {
        *slash = '/';
    }
    return e;
}

/* ---- format ---------------------------------------------------------------------------------- */

/* The whole of a small file as text with a terminator, at most `cap` - 1 bytes. */
static err_t text_read(struct io *io, const char *path, char *out, size_t cap)
{
    struct io_file *file;
    TRY(io_file_open(io, path, IO_OPEN_READ, &file));
    size_t moved = 0;
    err_t e = io_file_read_now(io, file, out, cap - 1, 0, &moved);
    io_file_close(io, file);
    TRY(e);
    out[moved] = '\0';
    return OK;
}

static int format_print(char *out, size_t cap, struct uuid cluster)
{
    char hex[2 * sizeof(cluster.bytes) + 1];
    for (u32 i = 0; i < sizeof(cluster.bytes); i++) {
        (void)snprintf(hex + (size_t)2 * i, 3, "%02x", (unsigned)cluster.bytes[i]);
    }
    int n = snprintf(out, cap, "odradek-data %d\ncluster %s\n", FORMAT_VERSION, hex);
    assert(n > 0 && (size_t)n < cap);
    int m = snprintf(out + n, cap - (size_t)n, "crc %08x\n", (unsigned)crc32c(out, (size_t)n));
    assert(m > 0 && (size_t)(n + m) < cap);
    return n + m;
}

/* "odradek-data 17\n..." -> 17; 0: not that. */
static u32 format_version(const char *text)
{
    static const char word[] = "odradek-data ";
    if (strncmp(text, word, sizeof(word) - 1) != 0) {
        return 0;
    }
    u32 version = 0;
    const char *s = text + sizeof(word) - 1;
    for (; *s >= '0' && *s <= '9' && version < 100000; s++) {
        version = version * 10 + (u32)(*s - '0');
    }
    return *s == '\n' ? version : 0;
}

/* The text is right if it is exactly what we would write for the cluster id in it. */
static bool format_parse(const char *text, struct uuid *cluster)
{
    static const char word[] = "\ncluster ";
    const char *at = strstr(text, word);
    if (at == NULL) {
        return false;
    }
    struct uuid id;
    at += sizeof(word) - 1;
    for (u32 i = 0; i < sizeof(id.bytes); i++) {
        u64 byte;
        if (!disk_hex_parse(at, 2, &byte)) {
            return false;
        }
        id.bytes[i] = (u8)byte;
        at += 2;
    }
    char expected[FORMAT_BYTES_MAX];
    (void)format_print(expected, sizeof(expected), id);
    if (uuid_is_zero(id) || strcmp(text, expected) != 0) {
        return false;
    }
    *cluster = id;
    return true;
}

static err_t format_read(struct home_disk *d, struct uuid *cluster)
{
    char path[DISK_PATH_MAX];
    char text[FORMAT_BYTES_MAX];
    disk_path(d, path, "format");
    err_t e = text_read(d->base.io, path, text, sizeof(text));
    if (e != OK) {
        return home_fail(&d->base, e, "%s cannot be read: %s.", path, err_name(e));
    }
    u32 version = format_version(text);
    if (version > FORMAT_VERSION) {
        return home_fail(
            &d->base, ERR_VERSION,
            "The data directory %s has format %u, made by a newer Odradek; this one reads up to "
            "%d. Nothing was touched; start the newer program.",
            d->directory, version, FORMAT_VERSION);
    }
    if (version == 0 && strncmp(text, "odradek-data", 12) != 0) {
        return home_fail(
            &d->base, ERR_VERSION,
            "%s does not begin with 'odradek-data': this is not an Odradek data directory, or the "
            "file was overwritten. Nothing was touched.",
            path);
    }
    if (version != FORMAT_VERSION || !format_parse(text, cluster)) {
        return home_fail(&d->base, ERR_CORRUPT,
                         "%s is damaged: its text does not agree with its checksum. Nothing was "
                         "touched; restore this "
                         "file from a backup (it never changes).",
                         path);
    }
    return OK;
}

/* What a start finds must outlive the next power cut: an earlier start may have failed just at this
 * sync. */
static err_t format_take(struct home_disk *d, struct uuid *cluster)
{
    TRY(format_read(d, cluster));
    err_t e = io_sync_dir(d->base.io, d->directory);
    if (e != OK) {
        return home_fail(&d->base, e, "The data directory %s cannot be synced: %s.", d->directory,
                         err_name(e));
    }
    return OK;
}

static err_t format_write(struct home_disk *d, struct uuid cluster)
{
    struct io *io = d->base.io;
    char temporary[DISK_PATH_MAX];
    char path[DISK_PATH_MAX];
    char text[FORMAT_BYTES_MAX];
    disk_path(d, temporary, "format.new");
    disk_path(d, path, "format");
    size_t bytes = (size_t)format_print(text, sizeof(text), cluster);
    struct io_file *file;
    TRY(io_file_open(io, temporary, IO_OPEN_WRITE | IO_OPEN_CREATE, &file));
    err_t e = io_file_truncate(io, file, 0);
    if (e == OK) {
        e = io_file_write_now(io, file, text, bytes, 0);
    }
    if (e == OK) {
        e = io_file_sync_now(io, file);
    }
    io_file_close(io, file);
    TRY(e);
    TRY(io_rename(io, temporary, path));
    return io_sync_dir(io, d->directory);
}

/* ---- lock ------------------------------------------------------------------------------------ */

/* Our process id as text; "0" where /proc is not to be had. The border has no verb for it, a file
 * has. */
static void process_id(struct io *io, char *out, size_t cap)
{
    char text[64];
    u32 digits = 0;
    if (text_read(io, "/proc/self/stat", text, sizeof(text)) == OK) {
        while (text[digits] >= '0' && text[digits] <= '9' && digits < 20) {
            digits++;
        }
    }
    (void)snprintf(out, cap, "%.*s\n", digits > 0 ? (int)digits : 1, digits > 0 ? text : "0");
}

static err_t lock_refused(struct home_disk *d, const char *path)
{
    char text[32];
    u32 digits = 0;
    if (text_read(d->base.io, path, text, sizeof(text)) == OK) {
        while (text[digits] >= '0' && text[digits] <= '9') {
            digits++;
        }
    }
    return home_fail(
        &d->base, ERR_LOCKED,
        "The data directory %s is in use by another broker, process %.*s. Stop that one first, or "
        "give this one a directory of its own.",
        d->directory, digits > 0 ? (int)digits : 7, digits > 0 ? text : "unknown");
}

static err_t lock_take(struct home_disk *d)
{
    struct io *io = d->base.io;
    char path[DISK_PATH_MAX];
    disk_path(d, path, "lock");
    struct io_file *file;
    err_t e = io_file_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (e != OK) {
        return home_fail(&d->base, e, "%s cannot be opened for writing: %s.", path, err_name(e));
    }
    e = io_file_lock(io, file);
    if (e == OK) {
        char pid[32];
        process_id(io, pid, sizeof(pid));
        e = io_file_truncate(io, file, 0);
        if (e == OK) {
            e = io_file_write_now(io, file, pid, strlen(pid), 0);
        }
    }
    if (e == OK) {
        d->lock = file;
        return OK;
    }
    io_file_close(io, file);
    if (e == ERR_LOCKED) {
        return lock_refused(d, path);
    }
    return home_fail(&d->base, e, "%s cannot be locked: %s.", path, err_name(e));
}

/* ---- making a new directory ------------------------------------------------------------------ */

struct content {
    struct home_disk *d;
    const char *folder;
    bool found; /* something with bytes in it */
};

static void content_name(void *user, const char *name)
{
    struct content *c = user;
    struct io *io = c->d->base.io;
    char path[DISK_PATH_MAX];
    disk_path(c->d, path, "%s/%.255s", c->folder, name);
    struct io_file *file;
    u64 size = 0;
    if (io_file_open(io, path, IO_OPEN_READ, &file) != OK) {
        c->found = true;
        return;
    }
    if (io_file_size(io, file, &size) != OK || size > 0) {
        c->found = true;
    }
    io_file_close(io, file);
}

/* Without `format` there must be no data: it is written before the first byte of any. */
static err_t check_no_data(struct home_disk *d)
{
    static const char *const folders[] = {"meta", "wal", "packs"};
    for (u32 i = 0; i < ARRAY_LEN(folders); i++) {
        struct content c = {.d = d, .folder = folders[i]};
        char path[DISK_PATH_MAX];
        disk_path(d, path, "%s", folders[i]);
        err_t e = io_list(d->base.io, path, content_name, &c);
        if (e != OK && e != ERR_NOT_FOUND) {
            return home_fail(&d->base, e, "%s cannot be listed: %s.", path, err_name(e));
        }
        if (c.found) {
            return home_fail(
                &d->base, ERR_CORRUPT,
                "The data directory %s has data in '%s' but its file 'format' is gone. Nothing was "
                "touched; restore 'format' from a backup.",
                d->directory, folders[i]);
        }
    }
    return OK;
}

static err_t folders_make(struct home_disk *d)
{
    static const char *const folders[] = {"meta", "wal", "packs"};
    for (u32 i = 0; i < ARRAY_LEN(folders); i++) {
        char path[DISK_PATH_MAX];
        disk_path(d, path, "%s", folders[i]);
        err_t e = io_mkdir(d->base.io, path);
        if (e != OK && e != ERR_EXISTS) {
            return e;
        }
    }
    TRY(disk_meta_make_first(d));
    char meta[DISK_PATH_MAX];
    disk_path(d, meta, "meta");
    TRY(io_sync_dir(d->base.io, meta));
    return io_sync_dir(d->base.io, d->directory);
}

static err_t directory_format(struct home_disk *d, struct uuid *cluster)
{
    TRY(check_no_data(d));
    struct uuid id;
    io_random(d->base.io, id.bytes, sizeof(id.bytes));
    id.bytes[0] |= 1; /* never the id that means "none" */
    err_t e = folders_make(d);
    if (e == OK) {
        e = parents_sync(d->base.io, d->directory);
    }
    if (e == OK) {
        e = format_write(d, id);
    }
    if (e != OK) {
        return home_fail(&d->base, e, "The data directory %s cannot be set up: %s.", d->directory,
                         err_name(e));
    }
    *cluster = id;
    return OK;
}

/* ---- the verbs ------------------------------------------------------------------------------- */

/* One file of the directory tells whether O_DIRECT works here, and in units that suit us. */
static err_t medium_probe(struct home_disk *d)
{
    char path[DISK_PATH_MAX];
    disk_path(d, path, "format");
    struct io_file *file;
    d->base.direct = true;
    err_t e = disk_file_open(d->base.io, path, IO_OPEN_READ, &d->base.direct, &file);
    if (e != OK) {
        return home_fail(&d->base, e, "%s cannot be opened: %s.", path, err_name(e));
    }
    /* A medium that wants larger units is written through the page cache: then a directory can move
       from one medium to another, and frames stay padded to DISK_UNIT. */
    if (d->base.direct && io_file_block_bytes(d->base.io, file) > DISK_UNIT) {
        d->base.direct = false;
    }
    d->base.block_bytes = DISK_UNIT;
    io_file_close(d->base.io, file);
    return OK;
}

static err_t disk_open(struct home *h, struct uuid *cluster)
{
    struct home_disk *d = disk_of(h);
    d->base.direct = true; /* until a file system refuses */
    if (strlen(d->directory) > DIRECTORY_NAME_MAX) {
        return home_fail(h, ERR_INVALID, "The name of the data directory is longer than %d bytes.",
                         DIRECTORY_NAME_MAX);
    }
    err_t e = directory_make(h->io, d->directory);
    if (e != OK) {
        return home_fail(h, e, "The data directory %s cannot be made: %s.", d->directory,
                         err_name(e));
    }
    struct survey survey;
    TRY(survey_make(d, &survey));
    if (survey.format) {
        TRY(format_read(d, cluster)); /* a newer directory is not touched, not even locked */
    }
    TRY(lock_take(d));
    /* Again: another first start may have come between. */
    TRY(survey_make(d, &survey));
    TRY(survey.format ? format_take(d, cluster) : directory_format(d, cluster));
    TRY(medium_probe(d));
    disk_space_seen(d, disk_space(h->io, d->directory));
    return disk_extents_list(d);
}

/* One that runs is waited for: nothing is under way in the directory when its lock is given up. */
static void jobs_end(struct home_disk *d)
{
    for (struct list_node *n = list_pop_front(&d->jobs); n != NULL; n = list_pop_front(&d->jobs)) {
        struct disk_job *job = CONTAINER_OF(n, struct disk_job, node);
        io_work_end(d->base.io, &job->op);
        job->discard(job);
    }
}

/* After a crash in the simulator reads may have been under way. */
static void leaving_fini(struct home_disk *d)
{
    while (!list_empty(&d->leaving)) {
        struct disk_handle *f = CONTAINER_OF(list_first(&d->leaving), struct disk_handle, node);
        f->kind->destroy(d, f);
    }
}

static void disk_destroy(struct home *h)
{
    struct home_disk *d = disk_of(h);
    disk_wal_fini(d);
    jobs_end(d);
    disk_removals_fini(d);
    disk_spares_fini(d);
    leaving_fini(d);
    disk_extents_fini(d);
    disk_packs_fini(d);
    assert(d->files_open == 0);
    disk_meta_fini(d);
    if (d->lock != NULL) {
        io_file_close(h->io, d->lock);
    }
    mem_free(d->directory);
    mem_free(d);
}

static void job_run(void *arg)
{
    struct disk_job *job = arg;
    job->run(job);
}

static void job_done(struct io_op *op, i64 result)
{
    struct disk_job *job = CONTAINER_OF(op, struct disk_job, op);
    (void)result;
    list_remove(&job->node);
    job->finished(job);
}

void disk_job_start(struct home_disk *d, struct disk_job *job)
{
    assert(job->run != NULL);
    assert(job->finished != NULL);
    assert(job->discard != NULL);
    job->disk = d;
    job->io = d->base.io;
    job->op.done = job_done;
    list_push_back(&d->jobs, &job->node);
    io_work(d->base.io, &job->op, job_run, job);
}

static const struct home_ops disk_ops = {
    .destroy = disk_destroy,
    .open = disk_open,
    .meta_replay = disk_meta_replay,
    .meta_write = disk_meta_write,
    .meta_write_now = disk_meta_write_now,
    .wal_start = disk_wal_start,
    .wal_write = disk_wal_write,
    .wal_read = disk_wal_read,
    .wal_scan = disk_wal_scan,
    .wal_remove = disk_wal_remove,
    .wals_each = disk_wals_each,
    .wals_sync = disk_wals_sync,
    .wal_trim = disk_wal_trim,
    .slots_find = disk_slots_find,
    .slots_read = disk_slots_read,
    .slots_free = disk_slots_free,
    .slots_keepable = disk_slots_keepable,
    .slots_keep = disk_slots_keep,
    .slots_position = disk_slots_position,
    .pack_keep = disk_pack_keep,
    .pack_make = disk_pack_make,
    .pack_open = disk_pack_open,
    .packs_list = disk_packs_list,
    .pack_unlink = disk_pack_unlink,
    .packs_sync = disk_packs_sync,
    .pack_read = disk_pack_read,
    .pack_remove = disk_pack_remove,
    .pack_retire = disk_pack_retire,
    .wal_bytes = disk_wal_bytes,
    .space_look = disk_space_look,
    .fenced = disk_wal_fenced,
};

struct home *home_disk_create(struct io *io, const struct home_disk_params *params)
{
    size_t length = strlen(params->directory);
    assert(length > 0);
    struct home_disk *d = mem_alloc(sizeof(*d));
    home_init(&d->base, &disk_ops, io, params->quota);
    while (length > 1 && params->directory[length - 1] == '/') {
        length--;
    }
    d->directory = mem_strndup(slice_of(params->directory, length));
    d->extent_bytes = params->extent_bytes != 0 ? params->extent_bytes : HOME_EXTENT_BYTES;
    d->canaries = params->canaries;
    assert(d->extent_bytes % DISK_UNIT == 0);
    assert(d->extent_bytes / DISK_UNIT <= UINT32_MAX);
    disk_extents_init(d);
    disk_packs_init(d);
    disk_removals_init(d);
    list_init(&d->jobs);
    list_init(&d->writer.queue);
    disk_spares_init(d, params->spare_ns);
    list_init(&d->writer.kept);
    return &d->base;
}
