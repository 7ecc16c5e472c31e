/* What the files of doctor/ share. One check at a time, in one thread; everything belongs to struct
   doctor and goes with it.

     doctor.c    lock, format, the order of the checks, the summary
     report.c    findings, what belongs to them, what every partition has
     print.c     the same in words
     files.c     reading files and folders; the only one that writes
     metalog.c   the two copies of the metadata log
     packs.c     every pack that the metadata names, and those that it does not
     wal.c       every slot of every WAL
     pack_repair.c  packs that brokers refuse are replaced */
#pragma once

#include "doctor/doctor.h"
#include "home/frame.h"
#include "home/home.h"
#include "home/pack_check.h"
#include "io/io.h"
#include "meta/meta.h"

enum { DOCTOR_PATH_MAX = 4096, DOCTOR_UNIT = 4096 };

/* Offsets [from, to) of one partition. */
struct span {
    u32 partition;
    u64 from;
    u64 to;
    i32 leader_epoch; /* of them, or of what stands before a gap */
};
struct spans {
    struct span *items;
    u32 count;
    u32 cap;
};

/* A partition as far as its records were seen. */
struct seen_partition {
    u32 id;
    u64 first;
    u64 next;
    u64 batches;
    u64 bytes;
    i32 leader_epoch; /* of the last */
    u32 place;        /* where that was: index of the pack in the metadata's list, or the WALs */
};

/* A pack because of which brokers refuse the directory. */
enum pack_fault_kind {
    PACK_LOST,           /* no record of it can be reached */
    PACK_PRODUCERS_LOST, /* its records are there, what it says of producers is not */
};
struct pack_fault {
    u64 id;
    u32 place;
    enum pack_fault_kind kind;
    u32 finding;       /* its price was told as this one */
    struct spans gaps; /* what is missing where it stood */
    u32 damages;       /* findings that it explains */
};

struct doctor {
    struct io *io; /* its blocking verbs alone */
    const char *directory;
    doctor_listener listener;
    void (*read)(void *user, u64 bytes, u64 total_bytes);
    void *user;
    u64 total_bytes; /* for `read`; 0: nobody is told, or not yet */
    FILE *err;
    u64 extent_bytes;
    bool repair;
    bool accept_loss;
    struct uuid cluster;
    struct meta *meta;
    bool meta_whole;           /* the state is the one of the last acknowledged command */
    u64 meta_slot;             /* the next one */
    bool packs_whole;          /* so far: holes between packs are the log start's */
    u32 place;                 /* of what is being read, as in struct seen_partition */
    struct pack_fault *faults; /* in the order of the list */
    u32 fault_count;
    u32 fault_cap;
    struct io_file *lock; /* NULL: there is no such file, or it was released */
    bool wal_was_cut;
    struct blob_pool buffers;          /* for making packs */
    struct seen_partition *partitions; /* by id */
    u32 partition_count;
    u32 partition_cap;
    u32 damages;
    u32 served; /* of them: a broker starts, and refuses to readers what is hit */
    u32 repaired;
    u32 failures; /* files that cannot be read */
    u32 findings; /* told so far */
};

/* ---- report.c -------------------------------------------------------------------------------- */

void spans_add(struct spans *s, u32 partition, u64 from, u64 to);
void spans_add_with_epoch(struct spans *s, const struct span *span);
void spans_fini(struct spans *s);
/* A finding: something is damaged there. What belongs to it follows: offsets, price, what to do. */
PRINTF_LIKE(5, 6)
void damage(struct doctor *d, enum diag_code code, const char *file, u64 at, const char *fmt, ...);
/* A finding that is no damage; the text names file and place for people. */
PRINTF_LIKE(5, 6)
void note(struct doctor *d, enum diag_code code, const char *file, u64 at, const char *fmt, ...);
void note_foreign(struct doctor *d, const char *folder, const char *name); /* not Odradek's */
/* Of the last finding. kind: DOCTOR_PRICE to DOCTOR_NOT_REPAIRED. */
PRINTF_LIKE(3, 4)
void detail(struct doctor *d, enum doctor_event_kind kind, const char *fmt, ...);
/* Of the findings [from, to]. */
PRINTF_LIKE(5, 6)
void detail_of(struct doctor *d, u32 from, u32 to, enum doctor_event_kind kind, const char *fmt,
               ...);
void detail_spans(struct doctor *d, const char *what, const struct spans *s);
/* "next: restore it, or run this with --repair --accept-loss"; "not repaired: ..." */
void detail_accept(struct doctor *d);
void detail_failed(struct doctor *d, err_t e);
/* What is there: a pack, a WAL, ... with its numbers. */
PRINTF_LIKE(6, 7)
void tell_numbers(struct doctor *d, enum doctor_event_kind kind, const char *file,
                  const struct doctor_number *numbers, u32 count, const char *fmt, ...);
/* Records of a partition were found (or known to have been there), in the order of the log. What is
   missing before them, or there twice, is a finding. */
void partition_saw(struct doctor *d, const char *file, u64 at, bool in_wal, const struct span *s,
                   u64 batches, u64 bytes);
const struct seen_partition *partition_seen(const struct doctor *d, u32 id); /* NULL: nothing was */
void partitions_tell(struct doctor *d);

/* ---- files.c --------------------------------------------------------------------------------- */

struct file_bytes {
    u8 *data; /* NULL: the file is not there */
    u64 size;
};
PRINTF_LIKE(3, 4) void path_make(const struct doctor *d, char *out, const char *fmt, ...);
/* The whole of a file. ERR_NOT_FOUND, ERR_IO, ERR_DENIED. */
MUST_USE err_t file_load(const struct doctor *d, const char *name, struct file_bytes *out);
void file_free(struct file_bytes *f);
/* About as many bytes as the whole check reads. */
u64 files_total(const struct doctor *d);
bool bytes_zero(const u8 *bytes, u64 count);
/* Sorted by name; "." and ".." are left out. */
struct names {
    char **items;
    u32 count;
    u32 cap;
};
MUST_USE err_t folder_list(const struct doctor *d, const char *folder, struct names *out);
void names_free(struct names *n);
/* Lower-case hexadecimal with exactly so many digits, then `end`. */
bool name_hex(const char *s, u32 digits, u64 *out);
MUST_USE err_t file_repair(const struct doctor *d, const char *name, const u8 *bytes, u64 count,
                           u64 at);
/* The file has this size, durably; what is new is zero. */
MUST_USE err_t file_extend(const struct doctor *d, const char *name, u64 size);
/* A new file with these bytes, durably; nothing is left of it when that fails. */
MUST_USE err_t file_create(const struct doctor *d, const char *folder, const char *name,
                           const u8 *bytes, u64 count);
MUST_USE err_t file_remove(const struct doctor *d, const char *folder, const char *name);

/* ---- the checks ------------------------------------------------------------------------------ */

void check_metalog(struct doctor *d);
void check_packs(struct doctor *d);
void check_stray_packs(struct doctor *d);

/* ---- pack_repair.c --------------------------------------------------------------------------- */

void pack_fault(struct doctor *d, u64 id, enum pack_fault_kind kind); /* at d->place */
/* A gap was told, before d->place and behind last_place (-1: there was nothing before). Has a lost
   pack stood there? */
bool gap_note(struct doctor *d, const struct span *gap, i64 last_place);
/* After everything was checked: the price, and the repair if it was asked for. */
void repair_packs(struct doctor *d);
void pack_faults_free(struct doctor *d);
/* ---- doctor.c -------------------------------------------------------------------------------- */

void lock_release(struct doctor *d);
void check_wals(struct doctor *d);
