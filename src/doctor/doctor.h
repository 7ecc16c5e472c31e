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

struct doctor_options {
    const char *directory;
    struct io *io;    /* NULL: one of its own. A test's may fail on purpose */
    u64 extent_bytes; /* as the broker has it; 0: HOME_EXTENT_BYTES */
    bool repair; /* of what costs nothing: a copy of the metadata that is damaged or missing, packs
                    that nobody names */
    bool accept_loss; /* with repair: also of what costs acknowledged records, as the report says: a
                         WAL is cut, a pack that brokers refuse is replaced */
    FILE *out;        /* the report */
    FILE *err;        /* why there is none */
};
int doctor_run(const struct doctor_options *options);
