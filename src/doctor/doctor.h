/* The check of a data directory that no broker has open: what is there, what is damaged, where and
   at what price. Nothing in the directory changes, unless a repair is asked for.

   Everything is read: the metadata log, every frame, every batch, every run of every pack. */
#pragma once

#include "base/base.h"

#include <stdio.h>

struct io;

/* As the exit codes of the command line. */
enum doctor_exit {
    DOCTOR_HEALTHY = 0,
    DOCTOR_FAILED = 1,   /* the directory cannot be read, or is of a newer Odradek */
    DOCTOR_NOT_OURS = 3, /* no data directory of Odradek's */
    DOCTOR_IN_USE = 5,   /* a broker has it open */
    DOCTOR_DAMAGED = 10,
};

/* What is found, one event after the other. A finding (DAMAGE, NOTE) is followed by what belongs to
   it; the others stand for themselves. */
enum doctor_event_kind {
    DOCTOR_DIRECTORY, /* what is there */
    DOCTOR_METADATA,
    DOCTOR_PACK,
    DOCTOR_WAL,
    DOCTOR_PARTITION,
    DOCTOR_DAMAGE, /* findings */
    DOCTOR_NOTE,
    DOCTOR_RANGE,  /* of a finding: offsets it is about */
    DOCTOR_PRICE,  /* what it costs, and that it costs nothing */
    DOCTOR_DETAIL, /* what else it means */
    DOCTOR_NEXT,   /* what to do */
    DOCTOR_REPAIRED,
    DOCTOR_NOT_REPAIRED,
    DOCTOR_SUMMARY, /* of all */
};
struct doctor_number {
    const char *key;
    u64 value;
    bool flag; /* yes or no */
};
struct doctor_event {
    enum doctor_event_kind kind;
    const char *text;    /* for people; of a RANGE: what is with the offsets */
    enum diag_code code; /* of a finding */
    u32 finding;         /* the how manieth finding, from 1 on; of what belongs to one: which */
    u32 finding_from;    /* what belongs to several: those up to `finding` */
    const char *file;    /* NULL: none */
    const char *cluster; /* of the DIRECTORY: its id */
    u64 byte;            /* of a finding that has a file; NO_BYTE: the whole file */
    /* Of a RANGE or PARTITION. topic.ptr NULL: no topic owns it, and partition is its id. */
    struct slice topic;
    u32 partition;
    u64 first;
    u64 last;  /* NO_END: nothing tells */
    u32 index; /* of a RANGE: the how manieth of its kind in this finding, of how many */
    u32 count;
    const struct doctor_number *numbers; /* of what is there, and of the SUMMARY */
    u32 number_count;
};
#define DOCTOR_NO_BYTE UINT64_MAX
#define DOCTOR_NO_END  UINT64_MAX
typedef void (*doctor_listener)(void *user, const struct doctor_event *e);

struct doctor_options {
    const char *directory;
    struct io *io;    /* NULL: one of its own. A test's may fail on purpose */
    u64 extent_bytes; /* as the broker has it; 0: HOME_EXTENT_BYTES */
    bool repair; /* of what costs nothing: a copy of the metadata that is damaged or missing, packs
                    that nobody names */
    bool accept_loss; /* with repair: also of what costs acknowledged records, as the report says: a
                         WAL is cut, a pack that brokers refuse is replaced */
    FILE *out;        /* the report, in words; not used when there is a listener */
    FILE *err;        /* why there is none */
    doctor_listener listener; /* instead of out */
    /* May be NULL: so many bytes were read, of about so many. */
    void (*read)(void *user, u64 bytes, u64 total_bytes);
    void *user;
};
int doctor_run(const struct doctor_options *options);
/* A listener that prints what people read; out is a FILE *. */
void doctor_print(void *out, const struct doctor_event *e);
