/* What rewrite.c (on the loop) and rewrite_build.c (on a worker) share. */
#pragma once

#include "log/log_private.h"

struct rewrite_build;

enum { REWRITE_INPUTS_MAX = LOG_REPACK_INPUTS_MAX };

/* A run of an input; `input` says of which. */
struct rewrite_run {
    struct pack_run run;
    u32 input;
    bool dead; /* set by the loop: nobody will ask for it */
};

struct rewrite_job {
    struct io_op op;
    struct log *log;
    struct home *home;
    enum rewrite_state *state; /* log.rewrite or log.burial */
    u64 pack_id;
    struct home_pack inputs[REWRITE_INPUTS_MAX];
    u32 objects[REWRITE_INPUTS_MAX]; /* their indices, for the loop */
    u32 input_count;
    /* One per input to read, if anything of it is; the one behind them to write. */
    struct blob *buffers[REWRITE_INPUTS_MAX + 1];
    u32 at;           /* the loop: runs that were marked, or applied */
    u32 producers_at; /* statements that were marked ... */
    u32 producers_live;
    i64 outlived_ms; /* and when the last of them may go */
    u32 output;      /* the new pack's object, while it is applied */

    /* first visit: what is in the inputs */
    struct rewrite_run *runs; /* sorted by partition and offset */
    u32 run_count;
    u32 run_cap;
    struct pack_producer *producers; /* by partition, in the order of the log; when they are marked,
                                        those that live */
    u32 producer_count;
    u32 producer_cap;

    /* further visits: the new pack */
    u64 visit_bytes;             /* to be written in one visit, about */
    u32 write_bytes;             /* ... and with one write, at most */
    bool cancelled;              /* the next visit undoes it all */
    struct rewrite_build *build; /* between two visits: the worker's */
    bool done;                   /* no more visits; also on failure */
    struct pack_run *written;
    u32 written_count;
    u64 payload_bytes;
    u64 pack_bytes; /* 0: nothing lived */
    err_t result;
};

/* The worker's parts: blocking, touch only the job and blocking verbs of the home. Copying goes a
   piece at a time. */
void rewrite_index(struct rewrite_job *job);
void rewrite_copy(struct rewrite_job *job);
/* Of a job that is given up between two visits with its io dead. */
void rewrite_build_free(struct rewrite_job *job);
