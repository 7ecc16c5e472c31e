/* The order of the check: lock, format, metadata, packs, WALs, what nobody names, the summary. */
#include "doctor/doctor_private.h"

#include <stdarg.h>
#include <string.h>

enum { FORMAT_VERSION = 1, UUID_DIGITS = 32, DIRECTORY_NAME_MAX = 3072, PID_TEXT_MAX = 32 };

/* The texts may have the directory's name in them, so they are made here. */
PRINTF_LIKE(6, 7)
static int refuse(const struct doctor *d, int code, enum diag_code known_as, const char *why,
                  const char *next, const char *what_fmt, ...)
{
    char what[DOCTOR_PATH_MAX + 256];
    va_list args;
    va_start(args, what_fmt);
    vsnprintf(what, sizeof(what), what_fmt, args);
    va_end(args);
    char text[2 * DOCTOR_PATH_MAX];
    const struct diag_problem p = {known_as, what, why, next};
    size_t len = diag_problem_text(&p, text, sizeof(text));
    (void)fwrite(text, 1, len, d->err);
    return code;
}

/* ---- whose directory it is ------------------------------------------------------------------- */

static bool name_is_ours(const char *name)
{
    static const char *const ours[] = {"format", "format.new", "lock",      "meta",
                                       "wal",    "packs",      "lost+found"};
    for (u32 i = 0; i < ARRAY_LEN(ours); i++) {
        if (strcmp(name, ours[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int directory_look(struct doctor *d)
{
    struct names names;
    err_t e = folder_list(d, "", &names);
    if (e != OK) {
        return refuse(d, e == ERR_NOT_FOUND ? DOCTOR_NOT_OURS : DOCTOR_FAILED,
                      e == ERR_NOT_FOUND ? MSG_data_foreign : MSG_data_unusable,
                      "the check needs a directory that `odradek serve` made",
                      "check the path after --data, and that this user may read it",
                      "the data directory %s cannot be listed: %s", d->directory, err_name(e));
    }
    bool format = false;
    bool meta = false;
    for (u32 i = 0; i < names.count; i++) {
        format |= strcmp(names.items[i], "format") == 0;
        meta |= strcmp(names.items[i], "meta") == 0;
    }
    for (u32 i = 0; i < names.count && (format || meta); i++) {
        if (!name_is_ours(names.items[i])) {
            note_foreign(d, "", names.items[i]);
        }
    }
    names_free(&names);
    if (!format && !meta) {
        return refuse(d, DOCTOR_NOT_OURS, MSG_data_foreign,
                      "it has neither a file 'format' nor a folder 'meta'",
                      "check the path after --data", "%s is not an Odradek data directory",
                      d->directory);
    }
    return DOCTOR_HEALTHY;
}

static int lock_take(struct doctor *d)
{
    char path[DOCTOR_PATH_MAX];
    path_make(d, path, "lock");
    if (io_file_open(d->io, path, IO_OPEN_READ, &d->lock) != OK) {
        d->lock = NULL;
        return d->repair
                   ? refuse(d, DOCTOR_FAILED, MSG_data_unusable,
                            "without it nobody knows whether a broker has the directory open",
                            "run the check without --repair, or start a broker, which makes it",
                            "the file 'lock' of %s cannot be opened", d->directory)
                   : DOCTOR_HEALTHY;
    }
    err_t e = io_file_lock(d->io, d->lock);
    if (e != OK) {
        char pid[PID_TEXT_MAX] = {0};
        size_t moved = 0;
        err_t known = io_file_read_now(d->io, d->lock, pid, sizeof(pid) - 1, 0, &moved);
        pid[known == OK ? strcspn(pid, "\n") : 0] = '\0';
        char why[128];
        (void)snprintf(why, sizeof(why),
                       "its process id is %s; a check needs the directory to itself",
                       pid[0] != '\0' ? pid : "not known");
        return refuse(d, DOCTOR_IN_USE, MSG_data_locked, why,
                      "stop the broker, then run this again",
                      "a broker has the data directory %s open", d->directory);
    }
    return DOCTOR_HEALTHY;
}

void lock_release(struct doctor *d)
{
    if (d->lock != NULL) {
        io_file_close(d->io, d->lock);
        d->lock = NULL;
    }
}

/* ---- format ---------------------------------------------------------------------------------- */

static bool format_parse(const char *text, u64 size, struct uuid *cluster)
{
    static const char head[] = "odradek-data 1\ncluster ";
    static const u64 head_bytes = sizeof(head) - 1;
    static const u64 crc_at = sizeof(head) - 1 + UUID_DIGITS + 1;
    u64 crc;
    if (size != crc_at + 13 || memcmp(text, head, head_bytes) != 0 ||
        memcmp(text + crc_at - 1, "\ncrc ", 5) != 0 || text[size - 1] != '\n' ||
        !name_hex(text + crc_at + 4, 8, &crc) || crc != crc32c(text, crc_at)) {
        return false;
    }
    for (u32 i = 0; i < sizeof(cluster->bytes); i++) {
        u64 byte;
        if (!name_hex(text + head_bytes + (size_t)2 * i, 2, &byte)) {
            return false;
        }
        cluster->bytes[i] = (u8)byte;
    }
    return true;
}

/* The cluster's id from the first frame of the metadata that is good. */
static bool cluster_from_metadata(struct doctor *d)
{
    struct names names;
    bool found = false;
    if (folder_list(d, "meta", &names) != OK) {
        return false;
    }
    for (u32 i = 0; i < names.count && !found; i++) {
        char name[300];
        struct file_bytes f;
        struct frame_header h;
        (void)snprintf(name, sizeof(name), "meta/%s", names.items[i]);
        if (file_load(d, name, &f) == OK) {
            found = f.size >= FRAME_HEADER_BYTES && frame_header_decode(f.data, &h) == OK;
            d->cluster = found ? h.cluster : d->cluster;
            file_free(&f);
        }
    }
    names_free(&names);
    return found;
}

static void directory_tell(struct doctor *d)
{
    char cluster[2 * sizeof(d->cluster.bytes) + 1];
    char text[DOCTOR_PATH_MAX + 128];
    for (u32 i = 0; i < sizeof(d->cluster.bytes); i++) {
        (void)snprintf(cluster + (size_t)2 * i, 3, "%02x", (unsigned)d->cluster.bytes[i]);
    }
    (void)snprintf(text, sizeof(text), "%s: format %d, cluster %s", d->directory, FORMAT_VERSION,
                   cluster);
    const struct doctor_number number = {"format", FORMAT_VERSION};
    d->listener(d->user, &(struct doctor_event){.kind = DOCTOR_DIRECTORY,
                                                .text = text,
                                                .file = d->directory,
                                                .cluster = cluster,
                                                .numbers = &number,
                                                .number_count = 1});
}

static int format_check(struct doctor *d)
{
    struct file_bytes f;
    err_t e = file_load(d, "format", &f);
    unsigned version = 0;
    bool named = e == OK && sscanf((const char *)f.data, "odradek-data %u\n", &version) == 1;
    if (named && version > FORMAT_VERSION) {
        file_free(&f);
        char why[64];
        (void)snprintf(why, sizeof(why), "this one reads up to %d", FORMAT_VERSION);
        return refuse(d, DOCTOR_FAILED, MSG_data_foreign, why,
                      "run the doctor of the Odradek that wrote it",
                      "%s has format %u, made by a newer Odradek", d->directory, version);
    }
    bool good = e == OK && format_parse((const char *)f.data, f.size, &d->cluster);
    file_free(&f);
    if (!good) {
        damage(d, MSG_check_format, "format", 0,
               e == OK ? "the file is damaged" : "the file is gone or unreadable");
        detail(d, DOCTOR_PRICE, "no record is lost, but brokers refuse this directory");
        detail(d, DOCTOR_NEXT, "restore 'format' from a backup; it never changes");
        if (!cluster_from_metadata(d)) {
            return DOCTOR_DAMAGED;
        }
    }
    directory_tell(d);
    return DOCTOR_HEALTHY;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int summary_tell(struct doctor *d)
{
    partitions_tell(d);
    u32 left = d->damages - d->repaired;
    const struct doctor_number numbers[] = {{"damages", d->damages},
                                            {"repaired", d->repaired},
                                            {"failures", d->failures},
                                            {"metadata_whole", d->meta_whole, .flag = true}};
    u32 count = ARRAY_LEN(numbers);
    if (left == 0 && d->failures == 0) {
        if (d->repaired > 0) {
            tell_numbers(d, DOCTOR_SUMMARY, NULL, numbers, count,
                         "healthy: %u damages, all repaired", d->repaired);
        } else {
            tell_numbers(d, DOCTOR_SUMMARY, NULL, numbers, count, "healthy");
        }
        return DOCTOR_HEALTHY;
    }
    tell_numbers(d, DOCTOR_SUMMARY, NULL, numbers, count, "damaged: %u in all, %u repaired%s",
                 d->damages, d->repaired,
                 d->meta_whole ? ""
                               : "\nwhat is said above of packs, WALs and partitions is as of the "
                                 "last metadata that could be read");
    return d->failures > 0 && left == 0 ? DOCTOR_FAILED : DOCTOR_DAMAGED;
}

static int directory_check(struct doctor *d)
{
    int code = format_check(d);
    if (code != DOCTOR_HEALTHY) {
        return code;
    }
    d->total_bytes = d->read != NULL ? files_total(d) : 0;
    check_metalog(d);
    check_packs(d);
    check_wals(d);
    check_stray_packs(d);
    repair_packs(d);
    return summary_tell(d);
}

int doctor_run(const struct doctor_options *options)
{
    struct doctor d = {
        .directory = options->directory,
        .listener = options->listener != NULL ? options->listener : doctor_print,
        .user = options->listener != NULL ? options->user : options->out,
        .read = options->listener != NULL ? options->read : NULL,
        .err = options->err,
        .extent_bytes = options->extent_bytes != 0 ? options->extent_bytes : HOME_EXTENT_BYTES,
        .repair = options->repair,
        .accept_loss = options->accept_loss,
        .packs_whole = true,
    };
    if (strlen(d.directory) > DIRECTORY_NAME_MAX) {
        char why[64];
        (void)snprintf(why, sizeof(why), "at most %d bytes", DIRECTORY_NAME_MAX);
        return refuse(&d, DOCTOR_NOT_OURS, MSG_data_unusable, why, "check the path after --data",
                      "the name of the data directory is too long");
    }
    struct io_linux_params params = {.files = IO_FILES_AUTO};
    d.io = options->io;
    err_t e = d.io != NULL ? OK : io_linux_create(&params, &d.io);
    if (e != OK) {
        return refuse(
            &d, DOCTOR_FAILED, MSG_start_system, "the kernel refuses what every Odradek needs",
            "run this with the limits that the broker has", "nothing can be read: %s", err_name(e));
    }
    d.meta = meta_create();
    int code = directory_look(&d);
    code = code == DOCTOR_HEALTHY ? lock_take(&d) : code;
    code = code == DOCTOR_HEALTHY ? directory_check(&d) : code;
    lock_release(&d);
    pack_faults_free(&d);
    meta_destroy(d.meta);
    mem_free(d.partitions);
    if (options->io == NULL) {
        while (io_linux_busy(d.io)) { /* what a home leaves behind */
            io_turn(d.io, true);
        }
        io_destroy(d.io);
    }
    return code;
}
