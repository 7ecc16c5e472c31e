/* Rewriting packs, the worker's part: reading the inputs' indices, then copying what lives into one
   new pack. Called by rewrite.c through io_work; touches nothing but its job.

   Each input is read front to back, because within it runs are in the order in which they are
   wanted. Every run is compared with its checksum before it is copied; one that disagrees is copied
   as it is and stays quarantined.

   How it fails: as the home says, then there is no new pack and the inputs are untouched. */
#include "log/rewrite.h"

#include <stdlib.h>

/* ---- first visit ----------------------------------------------------------------------------- */

struct indexing {
    struct rewrite_job *job;
    u32 input;
};

static err_t runs_take(void *user, const struct pack_run *runs, u32 count)
{
    struct indexing *x = user;
    struct rewrite_job *job = x->job;
    if (count > job->run_cap - job->run_count) {
        job->run_cap = MAX(2 * job->run_cap, job->run_count + count);
        job->runs = mem_resize(job->runs, job->run_cap * sizeof(job->runs[0]));
    }
    for (u32 i = 0; i < count; i++) {
        job->runs[job->run_count + i] = (struct rewrite_run){.run = runs[i], .input = x->input};
    }
    job->run_count += count;
    return OK;
}

static err_t producers_take(void *user, const struct pack_producer *producers, u32 count)
{
    struct indexing *x = user;
    struct rewrite_job *job = x->job;
    if (count > job->producer_cap - job->producer_count) {
        job->producer_cap = MAX(2 * job->producer_cap, job->producer_count + count);
        job->producers = mem_resize(job->producers, job->producer_cap * sizeof(job->producers[0]));
    }
    for (u32 i = 0; i < count; i++) {
        job->producers[job->producer_count + i] = producers[i];
    }
    job->producer_count += count;
    return OK;
}

static int run_compare(const void *a, const void *b)
{
    const struct pack_run *left = &((const struct rewrite_run *)a)->run;
    const struct pack_run *right = &((const struct rewrite_run *)b)->run;
    if (left->partition != right->partition) {
        return left->partition < right->partition ? -1 : 1;
    }
    if (left->base_offset != right->base_offset) {
        return left->base_offset < right->base_offset ? -1 : 1;
    }
    return 0;
}

static int producer_compare(const void *a, const void *b)
{
    const struct pack_producer *left = a;
    const struct pack_producer *right = b;
    if (left->partition != right->partition) {
        return left->partition < right->partition ? -1 : 1;
    }
    if (left->base_offset != right->base_offset) {
        return left->base_offset < right->base_offset ? -1 : 1;
    }
    return 0;
}

void rewrite_index(struct rewrite_job *job)
{
    for (u32 i = 0; i < job->input_count; i++) {
        struct indexing x = {.job = job, .input = i};
        const struct home_pack_visitor visitor = {
            .user = &x,
            .runs = runs_take,
            .producers = producers_take,
        };
        job->result = pack_load(job->home, job->inputs[i], &visitor);
        if (job->result != OK) {
            return;
        }
    }
    if (job->run_count > 0) {
        qsort(job->runs, job->run_count, sizeof(job->runs[0]), run_compare);
    }
    if (job->producer_count > 0) {
        qsort(job->producers, job->producer_count, sizeof(job->producers[0]), producer_compare);
        job->producer_count = producers_keep_last(job->producers, job->producer_count);
    }
}

/* ---- second visit ---------------------------------------------------------------------------- */

struct copying {
    struct rewrite_job *job;
    struct pack_reader *readers[REWRITE_INPUTS_MAX];
    struct pack_writer *writer;
    u8 *bytes; /* of one run */
    u32 bytes_cap;
};

static err_t readers_open(struct copying *c)
{
    struct rewrite_job *job = c->job;
    for (u32 i = 0; i < job->input_count; i++) {
        TRY(pack_open(job->home, job->inputs[i], job->buffers[i]->data, (u32)job->buffers[i]->cap,
                      &c->readers[i]));
    }
    return OK;
}

static void readers_close(struct copying *c)
{
    for (u32 i = 0; i < c->job->input_count; i++) {
        if (c->readers[i] != NULL) {
            pack_close(c->readers[i]);
        }
    }
}

static err_t run_copy(struct copying *c, const struct rewrite_run *from)
{
    struct rewrite_job *job = c->job;
    struct pack_run run = from->run;
    if (run.bytes > c->bytes_cap) {
        c->bytes_cap = run.bytes;
        c->bytes = mem_resize(c->bytes, c->bytes_cap);
    }
    TRY(pack_bytes(c->readers[from->input], run.pos, run.bytes, c->bytes));
    if (crc32c_extend(0, c->bytes, run.bytes) != run.crc) {
        run.flags |= PACK_RUN_QUARANTINED;
    }
    run.pos = pack_position(c->writer);
    TRY(pack_write(c->writer, c->bytes, run.bytes));
    job->written[job->written_count] = run;
    job->written_count++;
    job->payload_bytes += run.bytes;
    return OK;
}

static err_t runs_copy(struct copying *c)
{
    struct rewrite_job *job = c->job;
    for (u32 i = 0; i < job->run_count; i++) {
        if (!job->runs[i].dead) {
            TRY(run_copy(c, &job->runs[i]));
        }
    }
    return OK;
}

static bool any_lives(const struct rewrite_job *job)
{
    for (u32 i = 0; i < job->run_count; i++) {
        if (!job->runs[i].dead) {
            return true;
        }
    }
    return false;
}

static err_t pack_make(struct copying *c)
{
    struct rewrite_job *job = c->job;
    const struct blob *buffer = job->buffers[job->input_count];
    TRY(pack_create(job->home, job->pack_id, buffer->data, (u32)buffer->cap, &c->writer));
    err_t e = runs_copy(c);
    if (e != OK) {
        pack_abandon(c->writer);
        return e;
    }
    return pack_finish(c->writer, job->written, job->written_count, job->producers,
                       job->producer_count, &job->pack_bytes);
}

void rewrite_copy(struct rewrite_job *job)
{
    if (!any_lives(job)) {
        return;
    }
    struct copying c = {.job = job};
    job->written = mem_alloc(job->run_count * sizeof(job->written[0]));
    job->result = readers_open(&c);
    if (job->result == OK) {
        job->result = pack_make(&c);
    }
    readers_close(&c);
    mem_free(c.bytes);
}
