/* See record_time.h. A look on a worker belongs to the broker (broker->jobs) and outlives who asked
   for it; its memory is charged before it begins, so that the worker needs no one's quota. */
#include "broker/record_time.h"

#include "broker/server.h"

#include <string.h>

enum {
    LOOP_BYTES = 64 * KIB,     /* of records, compressed or not, that are walked on the loop */
    LOOP_EXPANDED = 256 * KIB, /* what they may expand to there */
};

struct record_time {
    struct broker_job job;
    struct io_op op;
    struct broker *broker;
    void (*done)(void *user, err_t result, i64 ms); /* NULL: nobody waits any more */
    void *user;
    u64 offset;
    u64 charged;
    struct quota quota;
    struct decompressor scratch;
    err_t result;
    i64 ms;
    u32 bytes;
    u32 filled;
    u8 batch[];
};

/* ---- looking --------------------------------------------------------------------------------- */

static err_t records_look(const struct batch_view *batch, u64 offset, struct decompressor *scratch,
                          u64 expanded_max, i64 *ms)
{
    struct record_iter it;
    struct record record;
    *ms = BATCH_NO_TIMESTAMP;
    TRY(record_iter_init(&it, batch, scratch, expanded_max));
    while (record_iter_next(&it, &record)) {
        if ((u64)record.offset >= offset) {
            *ms = record.timestamp;
            return OK;
        }
    }
    return it.err;
}

bool record_time_now(const struct batch_view *batch, u64 offset, struct decompressor *scratch,
                     i64 *ms)
{
    bool gapless = batch->record_count > 0 && batch->record_count - 1 == batch->last_offset_delta;
    if (batch_timestamp_type(batch) == TIMESTAMP_LOG_APPEND_TIME) {
        *ms = batch->max_timestamp;
        return true;
    }
    if (gapless && offset <= (u64)batch->base_offset) {
        *ms = batch->base_timestamp;
        return true;
    }
    if (batch->records.len > LOOP_BYTES) {
        return false;
    }
    err_t err = records_look(batch, offset, scratch, LOOP_EXPANDED, ms);
    decompressor_reset(scratch);
    return err != ERR_LIMIT && err != ERR_NO_MEMORY;
}

/* ---- on a worker ----------------------------------------------------------------------------- */

static void time_look(void *arg)
{
    struct record_time *t = arg;
    struct batch_view batch;
    t->result = ERR_CORRUPT;
    if (batch_view_parse(slice_of(t->batch, t->bytes), &batch) != OK || !batch_crc_ok(&batch)) {
        return; /* pieces of it were read at different times: checked here, whole */
    }
    t->result = records_look(&batch, t->offset, &t->scratch, UINT64_MAX, &t->ms);
}

static void time_free(struct record_time *t)
{
    list_remove(&t->job.node);
    decompressor_fini(&t->scratch);
    quota_release(&t->broker->memory.root, t->charged);
    mem_free(t);
}

static void time_drop(struct broker_job *job)
{
    struct record_time *t = CONTAINER_OF(job, struct record_time, job);
    if (t->filled == t->bytes) {
        io_work_end(t->broker->io, &t->op);
    }
    time_free(t);
}

static void time_looked(struct io_op *op, i64 result)
{
    (void)result;
    struct record_time *t = CONTAINER_OF(op, struct record_time, op);
    void (*done)(void *user, err_t result, i64 ms) = t->done;
    void *user = t->user;
    err_t err = t->result;
    i64 ms = t->ms;
    time_free(t);
    if (done != NULL) {
        done(user, err, ms);
    }
}

struct record_time *record_time_start(struct broker *b, u32 batch_bytes, bool compressed,
                                      u64 offset, void (*done)(void *user, err_t result, i64 ms),
                                      void *user)
{
    u64 expanded = compressed ? broker_decompress_bytes(b) : 0;
    u64 need = sizeof(struct record_time) + batch_bytes + expanded;
    if (!quota_charge(&b->memory.root, need)) {
        return NULL;
    }
    struct record_time *t = mem_alloc(sizeof *t + batch_bytes);
    t->job.drop = time_drop;
    t->broker = b;
    t->done = done;
    t->user = user;
    t->offset = offset;
    t->charged = need;
    t->bytes = batch_bytes;
    quota_init(&t->quota, "record time", NULL, expanded);
    decompressor_init(&t->scratch, &t->quota);
    list_push_back(&b->jobs, &t->job.node);
    return t;
}

u32 record_time_wants(const struct record_time *t)
{
    return t->bytes - t->filled;
}

void record_time_add(struct record_time *t, struct slice bytes)
{
    assert(bytes.len > 0 && bytes.len <= record_time_wants(t));
    memcpy(t->batch + t->filled, bytes.ptr, bytes.len);
    t->filled += (u32)bytes.len;
    if (t->filled == t->bytes) {
        t->op.done = time_looked;
        io_work(t->broker->io, &t->op, time_look, t);
    }
}

void record_time_cancel(struct record_time *t)
{
    t->done = NULL;
    if (t->filled < t->bytes) {
        time_free(t); /* else the worker has it */
    }
}
