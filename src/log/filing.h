/* What filing.c (on the loop) and filing_build.c (on a worker) share.

   Filing moves a stretch of a WAL, slots [from, to), into one pack: the same batches, sorted by
   partition and offset, so that neighbours in the log are neighbours in the file.

   Or, when there is no time for that, a whole extent of the WAL becomes a pack as it is, with an
   index behind it: batches of partitions with runs that are long enough are not moved (kept), those
   of the others are copied behind the frames. */
#pragma once

#include "log/log_private.h"

struct filing_build;

/* One stretch. Everything the worker touches is in here; the loop does not look at it while the
   worker visits. */
struct filing_job {
    struct io_op op;
    struct log *log;
    struct home *home;

    /* what to file: set by the loop */
    u64 wal;
    u64 from;
    u32 slot_count;
    const u8 **frames;        /* per slot: its frame in memory, pinned; NULL: to be read */
    struct home_slots *slots; /* of those to be read; NULL: none */
    u64 pack_id;
    struct blob *read_buffer; /* room for all frames that are to be read; NULL: none */
    struct blob *write_buffer;
    u32 *compacted; /* partitions */
    u32 compacted_count;
    bool kept; /* the home was told so */
    bool keep; /* the stretch is all of a file: it may be kept. Then: it is (the worker's answer) */
    u32 keep_run_bytes;
    u64 keep_bytes_min; /* of batches that are kept, or it is not worth it */
    u64 visit_bytes;    /* to be written in one visit, about */
    u32 write_bytes;    /* ... and with one write, at most */
    bool cancelled;     /* the next visit undoes it all */

    /* between two visits: the worker's */
    struct filing_build *build;

    /* what came of it: set by the worker */
    bool done; /* no more visits; also on failure */
    err_t result;
    u64 to; /* slots below it are in the pack; less than asked for when they have many batches */
    u64 pack_bytes;    /* of the file; 0: there was nothing to file, and no file was made */
    u64 written_bytes; /* of pack_bytes: those that were not there before */
    u64 payload_bytes;
    struct pack_run *runs;
    u32 run_count;
    u32 run_cap;
    struct pack_producer *producers;
    u32 producer_count;
    u32 producer_cap;
};

enum { FILING_ENTRIES_MAX = 128 * 1024 }; /* batches of one stretch */

/* The worker's part, a piece at a time, so that it can be done at a pace: blocking, touches only
   the job and blocking verbs of the home. */
void filing_visit(struct filing_job *job);
/* Of a job that is given up between two visits with its io dead. */
void filing_build_free(struct filing_job *job);
