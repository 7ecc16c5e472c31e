/* Packs for tests: random runs and producers, made through the door. */
#pragma once

#include "disk_fixture.h"

enum { PACK_RUNS_MAX = 1200, PACK_PRODUCERS_MAX = 700, PACK_BUFFER_BYTES = 64 * KIB };

struct made_pack {
    struct home_pack pack;
    u32 run_count;
    u32 producer_count;
    struct pack_run runs[PACK_RUNS_MAX];
    struct pack_producer producers[PACK_PRODUCERS_MAX];
    u8 *payload; /* the byte at position p is payload[p - 4096] */
    u32 payload_bytes;
    /* what a load delivered */
    u32 runs_seen;
    u32 producers_seen;
};

static inline void made_pack_free(struct made_pack *p)
{
    mem_free(p->payload);
    p->payload = NULL;
}

/* Draws up the content; nothing is written. */
static inline void made_pack_draw(struct rng *rng, struct made_pack *p, u64 id, u32 runs,
                                  u32 run_bytes_max)
{
    assert_true(runs <= PACK_RUNS_MAX);
    made_pack_free(p);
    *p = (struct made_pack){.pack = {.id = id}, .run_count = runs};
    u32 pos = 4096;
    for (u32 i = 0; i < runs; i++) {
        bool same = i > 0 && rng_chance(rng, 1, 3);
        const struct pack_run *before = i > 0 ? &p->runs[i - 1] : NULL;
        struct pack_run *run = &p->runs[i];
        *run = (struct pack_run){
            .partition = before == NULL ? 3 : before->partition + (same ? 0 : 1),
            .leader_epoch = (i32)rng_below(rng, 9),
            .base_offset = same ? before->next_offset + rng_below(rng, 2) : rng_below(rng, 1000),
            .max_timestamp = (i64)rng_next(rng),
            .pos = pos,
            .bytes = 1 + (u32)rng_below(rng, run_bytes_max),
            .batches = 1 + (u32)rng_below(rng, 9),
            .flags = rng_chance(rng, 1, 9) ? PACK_RUN_QUARANTINED : 0,
        };
        run->next_offset = run->base_offset + 1 + rng_below(rng, 99);
        pos += run->bytes;
    }
    p->payload_bytes = pos - 4096;
    p->payload = mem_alloc(p->payload_bytes + 1);
    rng_fill(rng, p->payload, p->payload_bytes);
    for (u32 i = 0; i < runs; i++) {
        p->runs[i].crc = crc32c(p->payload + p->runs[i].pos - 4096, p->runs[i].bytes);
    }
    p->producer_count = (u32)rng_below(rng, MIN(runs, (u32)PACK_PRODUCERS_MAX) + 1);
    for (u32 i = 0; i < p->producer_count; i++) {
        p->producers[i] = (struct pack_producer){
            .partition = p->runs[i].partition,
            .epoch = (i16)rng_below(rng, 99),
            .id = (i64)rng_below(rng, 1000000),
            .base_offset = p->runs[i].base_offset,
            .max_timestamp = p->runs[i].max_timestamp,
            .first_sequence = (i32)rng_below(rng, 1000),
            .last_sequence = (i32)rng_below(rng, 1000),
        };
    }
}

static inline err_t made_pack_payload(struct rng *rng, struct made_pack *p, struct pack_writer *w)
{
    for (u32 done = 0; done < p->payload_bytes;) {
        assert_int_equal(pack_position(w), 4096 + done);
        u32 piece = 1 + (u32)rng_below(rng, MIN(p->payload_bytes - done, 200000u));
        TRY(pack_write(w, p->payload + done, piece));
        done += piece;
    }
    return OK;
}

/* Blocking: the whole pack, as a worker does it. On failure nothing of it is left. */
static inline err_t made_pack_write(struct rng *rng, struct home *h, struct made_pack *p)
{
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct pack_writer *w;
    TRY(pack_create(h, p->pack.id, buffer, sizeof(buffer), &w));
    if (p->pack.id % 2 == 1) { /* the bytes are the same, however many writes they come in */
        pack_write_at_once(w, 8 * KIB);
    }
    err_t e = made_pack_payload(rng, p, w);
    if (e != OK) {
        pack_abandon(w);
        return e;
    }
    return pack_finish(w, p->runs, p->run_count, p->producers, p->producer_count, &p->pack.bytes);
}

static inline err_t made_pack_runs(void *user, const struct pack_run *runs, u32 count)
{
    struct made_pack *p = user;
    assert_int_equal(p->producers_seen, 0);
    assert_true(p->runs_seen + count <= p->run_count);
    for (u32 i = 0; i < count; i++) { /* field by field: what is between them is nobody's */
        const struct pack_run *want = &p->runs[p->runs_seen + i];
        assert_int_equal(runs[i].partition, want->partition);
        assert_int_equal(runs[i].leader_epoch, want->leader_epoch);
        assert_int_equal(runs[i].base_offset, want->base_offset);
        assert_int_equal(runs[i].next_offset, want->next_offset);
        assert_int_equal(runs[i].max_timestamp, want->max_timestamp);
        assert_int_equal(runs[i].pos, want->pos);
        assert_int_equal(runs[i].bytes, want->bytes);
        assert_int_equal(runs[i].crc, want->crc);
        assert_int_equal(runs[i].batches, want->batches);
        assert_int_equal(runs[i].flags, want->flags);
    }
    p->runs_seen += count;
    return OK;
}

static inline err_t made_pack_producers(void *user, const struct pack_producer *producers,
                                        u32 count)
{
    struct made_pack *p = user;
    assert_int_equal(p->runs_seen, p->run_count);
    for (u32 i = 0; i < count; i++) {
        const struct pack_producer *want = &p->producers[p->producers_seen + i];
        assert_int_equal(producers[i].partition, want->partition);
        assert_int_equal(producers[i].epoch, want->epoch);
        assert_int_equal(producers[i].id, want->id);
        assert_int_equal(producers[i].base_offset, want->base_offset);
        assert_int_equal(producers[i].max_timestamp, want->max_timestamp);
        assert_int_equal(producers[i].first_sequence, want->first_sequence);
        assert_int_equal(producers[i].last_sequence, want->last_sequence);
    }
    p->producers_seen += count;
    return OK;
}

/* On a worker's way and at start: what is delivered is compared with what was written. */
static inline err_t made_pack_load(struct home *h, struct made_pack *p)
{
    struct home_pack_visitor v = {
        .user = p, .runs = made_pack_runs, .producers = made_pack_producers};
    p->runs_seen = 0;
    p->producers_seen = 0;
    err_t by_worker = pack_load(h, p->pack, &v);
    if (by_worker == OK) {
        assert_int_equal(p->runs_seen, p->run_count);
        assert_int_equal(p->producers_seen, p->producer_count);
    }
    p->runs_seen = 0;
    p->producers_seen = 0;
    err_t e = home_pack_load(h, p->pack, &v);
    if (fault.verb == FAULT_NONE && e != ERR_NO_MEMORY) {
        assert_int_equal(by_worker, e);
    }
    if (e == OK) {
        assert_int_equal(p->runs_seen, p->run_count);
        assert_int_equal(p->producers_seen, p->producer_count);
    }
    return e;
}

static inline void pack_name(const struct fixture *f, u64 id, char out[200])
{
    snprintf(out, 200, "%s/packs/%016llx", f->dir, (unsigned long long)id);
}

/* One read through the loop. */
static inline err_t pack_read(struct fixture *f, struct blob_pool *pool, u64 id, u32 pos, u32 bytes,
                              u8 *out)
{
    struct read_wait wait = {
        .read = {.done = read_wait_done, .wal = id, .pos = pos, .bytes = bytes}};
    wait.read.blob = blob_get(pool, home_read_room(f->home, bytes));
    home_pack_read(f->home, &wait.read);
    assert_false(wait.done);
    io_turn(f->io, false);
    while (!wait.done) {
        io_turn(f->io, true);
    }
    if (wait.result == OK) {
        memcpy(out, wait.read.blob->data + wait.read.blob_offset, bytes);
    }
    blob_unref(wait.read.blob);
    return wait.result;
}

static inline u64 pack_bytes_used(struct fixture *f)
{
    struct home_usage usage;
    home_usage(f->home, &usage);
    return usage.pack_bytes;
}

/* A pack of exactly `bytes`; the file, which keeps its inode from being another's. */
static inline int sized_pack(struct fixture *f, u64 id, u32 bytes, struct home_pack *pack)
{
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct pack_writer *w;
    struct pack_run run = {
        .partition = 1, .next_offset = 1, .pos = 4096, .bytes = bytes - 2 * 4096, .batches = 1};
    u8 *payload = mem_alloc(run.bytes);
    rng_fill(&f->rng, payload, run.bytes);
    run.crc = crc32c(payload, run.bytes);
    assert_int_equal(pack_create(f->home, id, buffer, sizeof(buffer), &w), OK);
    assert_int_equal(pack_write(w, payload, run.bytes), OK);
    *pack = (struct home_pack){.id = id};
    assert_int_equal(pack_finish(w, &run, 1, NULL, 0, &pack->bytes), OK);
    assert_int_equal(pack->bytes, bytes);
    mem_free(payload);
    char path[200];
    pack_name(f, id, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    return fd;
}
