/* Rewriting packs, the worker's part: reading the inputs' indices, then copying what lives into one
   new pack, a piece a visit. Called by rewrite.c through io_work; touches nothing but its job.

   Each input is read front to back, because within it runs are in the order in which they are
   wanted. Every run is compared with its checksum before it is copied; one that disagrees is copied
   as it is and stays quarantined. Runs that have become neighbours are one, as far as a run goes:
   that is what makes the index smaller.

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

/* ---- further visits -------------------------------------------------------------------------- */

struct rewrite_build {
    struct rewrite_job *job;
    struct pack_reader *readers[REWRITE_INPUTS_MAX]; /* NULL: nothing of it lives */
    struct pack_writer *writer;                      /* NULL: none, or it has ended */
    u32 next;                                        /* run to be looked at */
    u8 *bytes;                                       /* of one run */
    u32 bytes_cap;
};

static err_t readers_open(struct rewrite_build *b)
{
    struct rewrite_job *job = b->job;
    bool lives[REWRITE_INPUTS_MAX] = {false};
    for (u32 i = 0; i < job->run_count; i++) {
        lives[job->runs[i].input] |= !job->runs[i].dead;
    }
    for (u32 i = 0; i < job->input_count; i++) {
        if (lives[i]) {
            TRY(pack_open(job->home, job->inputs[i], job->buffers[i]->data,
                          (u32)job->buffers[i]->cap, &b->readers[i]));
        }
    }
    return OK;
}

static void run_written(struct rewrite_job *job, const struct pack_run *run, const u8 *bytes)
{
    job->payload_bytes += run->bytes;
    if (job->written_count > 0 &&
        pack_run_join(&job->written[job->written_count - 1], run, bytes)) {
        seen("log: runs become one");
        return;
    }
    job->written[job->written_count] = *run;
    job->written_count++;
}

static err_t run_copy(struct rewrite_build *b, const struct rewrite_run *from)
{
    struct rewrite_job *job = b->job;
    struct pack_run run = from->run;
    if (run.bytes > b->bytes_cap) {
        b->bytes_cap = run.bytes;
        b->bytes = mem_resize(b->bytes, b->bytes_cap);
    }
    TRY(pack_bytes(b->readers[from->input], run.pos, run.bytes, b->bytes));
    if (crc32c_extend(0, b->bytes, run.bytes) != run.crc) {
        run.flags |= PACK_RUN_QUARANTINED;
    }
    run.pos = pack_position(b->writer);
    TRY(pack_write(b->writer, b->bytes, run.bytes));
    run_written(job, &run, b->bytes);
    return OK;
}

/* Runs from the first that was not looked at. */
static err_t runs_copy(struct rewrite_build *b)
{
    struct rewrite_job *job = b->job;
    u64 until = job->payload_bytes + job->visit_bytes;
    for (; b->next < job->run_count; b->next++) {
        if (job->runs[b->next].dead) {
            continue;
        }
        if (job->payload_bytes >= until) {
            return OK;
        }
        TRY(run_copy(b, &job->runs[b->next]));
    }
    return OK;
}

static err_t visit_first(struct rewrite_job *job)
{
    struct rewrite_build *b = job->build = mem_alloc(sizeof(*b));
    b->job = job;
    job->written = mem_alloc(job->run_count * sizeof(job->written[0]));
    TRY(readers_open(b));
    const struct blob *buffer = job->buffers[job->input_count];
    return pack_create(job->home, job->pack_id, buffer->data, (u32)buffer->cap, &b->writer);
}

static err_t visit_last(struct rewrite_job *job)
{
    struct pack_writer *writer = job->build->writer;
    job->build->writer = NULL;
    return pack_finish(writer, job->written, job->written_count, job->producers,
                       job->producer_count, &job->pack_bytes);
}

static err_t visit(struct rewrite_job *job)
{
    if (job->cancelled) {
        return ERR_CANCELLED;
    }
    if (job->build == NULL) {
        TRY(visit_first(job));
    }
    pack_write_at_once(job->build->writer, job->write_bytes);
    TRY(runs_copy(job->build));
    if (job->build->next < job->run_count) {
        return OK;
    }
    job->done = true;
    return visit_last(job);
}

void rewrite_build_free(struct rewrite_job *job)
{
    struct rewrite_build *b = job->build;
    if (b == NULL) {
        return;
    }
    for (u32 i = 0; i < job->input_count; i++) {
        if (b->readers[i] != NULL) {
            pack_close(b->readers[i]);
        }
    }
    if (b->writer != NULL) {
        pack_abandon(b->writer);
    }
    mem_free(b->bytes);
    mem_free(b);
    job->build = NULL;
}

void rewrite_copy(struct rewrite_job *job)
{
    job->result = visit(job);
    job->done = job->done || job->result != OK;
    if (job->done) {
        rewrite_build_free(job);
    }
}
