/* What rewrite.c (on the loop) and rewrite_build.c (on a worker) share. */
#pragma once

#include "log/log_private.h"

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
    u64 pack_id;
    struct home_pack inputs[REWRITE_INPUTS_MAX];
    u32 objects[REWRITE_INPUTS_MAX]; /* their indices, for the loop */
    u32 input_count;
    struct blob *buffers[REWRITE_INPUTS_MAX + 1]; /* one per input to read, the last to write */

    /* first visit: what is in the inputs */
    struct rewrite_run *runs; /* sorted by partition and offset */
    u32 run_count;
    u32 run_cap;
    struct pack_producer *producers; /* by partition, in the order of the log */
    u32 producer_count;
    u32 producer_cap;

    /* second visit: the new pack */
    struct pack_run *written;
    u32 written_count;
    u64 payload_bytes;
    u64 pack_bytes; /* 0: nothing lived */
    err_t result;
};

/* The worker's parts: blocking, touch only the job and blocking verbs of the home. */
void rewrite_index(struct rewrite_job *job);
void rewrite_copy(struct rewrite_job *job);
