/* Proves what the door says of packs, of both homes: what was written is loaded, read through the
   loop and read front to back as it was; an id is used once; whatever goes wrong while one is made
   leaves nothing behind; what the metadata does not name is swept, what it names must be there and
   whole; any flipped byte of header, index, producers or trailer is refused with file and place; a
   removed pack's reads end first; and a start with many packs is quick. */
#include "packs.h"

static struct fixture fixture;
static struct made_pack made;

static int setup_disk(void **state)
{
    fixture_init(&fixture);
    fixture_open(&fixture);
    *state = &fixture;
    return 0;
}

static int setup_mem(void **state)
{
    fixture_init_mem(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fault_set(FAULT_NONE, 0, OK);
    made_pack_free(&made);
    fixture_close(f);
    fixture_fini(f);
    return 0;
}

/* A new session over the same directory. */
static void reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static void read_back(struct fixture *f, struct blob_pool *pool, const struct made_pack *p)
{
    for (u32 i = 0; i < p->run_count; i += 1 + (u32)rng_below(&f->rng, 20)) {
        const struct pack_run *run = &p->runs[i];
        u8 *bytes = mem_alloc(run->bytes);
        assert_int_equal(pack_read(f, pool, p->pack.id, run->pos, run->bytes, bytes), OK);
        assert_memory_equal(bytes, p->payload + run->pos - 4096, run->bytes);
        assert_int_equal(crc32c(bytes, run->bytes), run->crc);
        mem_free(bytes);
    }
}

static void front_to_back(struct fixture *f, const struct made_pack *p)
{
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct pack_reader *r;
    u32 buffer_bytes = 4096 * (1 + (u32)rng_below(&f->rng, 16));
    assert_int_equal(pack_open(f->home, p->pack, buffer, buffer_bytes, &r), OK);
    for (u32 i = 0; i < p->run_count; i++) {
        const struct pack_run *run = &p->runs[i];
        u8 *bytes = mem_alloc(run->bytes);
        assert_int_equal(pack_bytes(r, run->pos, run->bytes, bytes), OK);
        assert_memory_equal(bytes, p->payload + run->pos - 4096, run->bytes);
        mem_free(bytes);
    }
    u8 byte;
    assert_int_equal(pack_bytes(r, (u32)p->pack.bytes, 1, &byte), ERR_CORRUPT);
    assert_int_equal(pack_bytes(r, (u32)p->pack.bytes - 1, 1, &byte), OK);
    pack_close(r);
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    static const struct {
        u32 runs;
        u32 run_bytes_max;
    } shapes[] = {{0, 1}, {1, 1}, {1, 300000}, {40, 20000}, {PACK_RUNS_MAX, 500}, {7, 4096}};
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    u64 used = 0;
    for (u32 i = 0; i < 3 * ARRAY_LEN(shapes); i++) {
        u32 shape = i % ARRAY_LEN(shapes);
        made_pack_draw(&f->rng, &made, i, shapes[shape].runs, shapes[shape].run_bytes_max);
        assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
        used += made.pack.bytes;
        assert_int_equal(pack_bytes_used(f), used);
        assert_int_equal(made_pack_load(f->home, &made), OK);
        read_back(f, &pool, &made);
        front_to_back(f, &made);
    }
    blob_pool_fini(&pool);
}

static void test_an_id_is_used_once(void **state)
{
    struct fixture *f = *state;
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct pack_writer *w;
    made_pack_draw(&f->rng, &made, 5, 10, 1000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    assert_int_equal(pack_create(f->home, 5, buffer, sizeof(buffer), &w), ERR_EXISTS);
    assert_int_equal(made_pack_load(f->home, &made), OK);
    /* One that is being made has its id, and gives it back when it is abandoned. */
    struct pack_writer *second;
    assert_int_equal(pack_create(f->home, 6, buffer, sizeof(buffer), &w), OK);
    assert_int_equal(pack_create(f->home, 6, buffer, sizeof(buffer), &second), ERR_EXISTS);
    pack_abandon(w);
    assert_int_equal(pack_create(f->home, 6, buffer, sizeof(buffer), &w), OK);
    pack_abandon(w);
    assert_int_equal(pack_bytes_used(f), made.pack.bytes);
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    struct home_pack packs[10];
    for (u64 id = 0; id < 10; id++) {
        made_pack_draw(&f->rng, &made, 3 * id, 5, 1000);
        assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
        packs[id] = made.pack;
    }
    struct home_pack keep[] = {packs[1], packs[2], packs[7]};
    u64 next = 0;
    assert_int_equal(home_packs_sweep(f->home, keep, 3, &next), OK);
    assert_int_equal(next, 28);
    assert_int_equal(pack_bytes_used(f), keep[0].bytes + keep[1].bytes + keep[2].bytes);
    struct home_pack_visitor v = {
        .user = &made, .runs = made_pack_runs, .producers = made_pack_producers};
    for (u32 id = 0; id < 9; id++) {
        bool kept = id == 1 || id == 2 || id == 7;
        made.runs_seen = 0;
        if (!kept) {
            assert_int_equal(home_pack_load(f->home, packs[id], &v), ERR_CORRUPT);
            assert_non_null(strstr(home_reason(f->home), "not found"));
        }
    }
    /* What is named must be there, else nothing is removed; its size is looked at when it is read.
     */
    struct home_pack wrong[] = {packs[2], packs[3]};
    assert_int_equal(home_packs_sweep(f->home, wrong, 2, &next), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "not found"));
    wrong[1] = packs[7];
    wrong[1].bytes += 4096;
    assert_int_equal(home_pack_load(f->home, wrong[1], &v), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "but"));
    assert_int_equal(home_packs_sweep(f->home, keep, 3, &next), OK);
    assert_int_equal(next, 22);
    assert_int_equal(home_packs_sweep(f->home, NULL, 0, &next), OK);
    assert_int_equal(home_packs_sweep(f->home, NULL, 0, &next), OK);
    assert_int_equal(next, 0);
    assert_int_equal(pack_bytes_used(f), 0);
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    u8 byte;
    for (u64 id = 0; id < 4; id++) {
        made_pack_draw(&f->rng, &made, id, 5, 1000);
        assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
        if (id % 2 == 0) { /* with an open file and without */
            read_back(f, &pool, &made);
        }
        home_pack_remove(f->home, id);
        assert_int_equal(pack_read(f, &pool, id, 4096, 1, &byte), ERR_NOT_FOUND);
        while (pack_bytes_used(f) > 0) {
            io_turn(f->io, true);
        }
        assert_int_equal(pack_read(f, &pool, id, 4096, 1, &byte), ERR_NOT_FOUND);
        assert_int_equal(pack_read(f, &pool, id, 4096, 1, &byte), ERR_NOT_FOUND);
    }
    assert_int_equal(pack_read(f, &pool, 99, 0, 1, &byte), ERR_NOT_FOUND);
    home_pack_remove(f->home, 98); /* never there */
    blob_pool_fini(&pool);
}

/* ---- one made by a worker ---------------------------------------------------------------------
 */

struct worker {
    struct io_op op;
    struct fixture *f;
    err_t result;
    bool done;
};

static void worker_run(void *arg)
{
    struct worker *w = arg;
    struct rng rng;
    rng_seed(&rng, 7);
    w->result = made_pack_write(&rng, w->f->home, &made);
    struct home_pack_visitor v = {
        .user = &made, .runs = made_pack_runs, .producers = made_pack_producers};
    if (w->result == OK) {
        w->result = pack_load(w->f->home, made.pack, &v);
    }
}

static void worker_done(struct io_op *op, i64 result)
{
    (void)result;
    CONTAINER_OF(op, struct worker, op)->done = true;
}

/* While the loop reads another. */
static void test_made_by_a_worker(void **state)
{
    struct fixture *f = *state;
    static struct made_pack other;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    made_pack_draw(&f->rng, &other, 1, 20, 5000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &other), OK);
    made_pack_draw(&f->rng, &made, 2, 100, 20000);
    struct worker w = {.op = {.done = worker_done}, .f = f};
    io_work(f->io, &w.op, worker_run, &w);
    while (!w.done) {
        read_back(f, &pool, &other);
        io_turn(f->io, false);
    }
    assert_int_equal(w.result, OK);
    read_back(f, &pool, &made);
    assert_int_equal(pack_bytes_used(f), other.pack.bytes + made.pack.bytes);
    made_pack_free(&other);
    blob_pool_fini(&pool);
}

/* ---- on disk ----------------------------------------------------------------------------------
 */

/* Every call of every verb fails once; nothing is left, the id is free, and the next attempt goes
   well. */
static void test_failures_while_making(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum fault_verb verb;
        err_t error;
    } faults[] = {{FAULT_OPEN, ERR_NO_SPACE}, {FAULT_OPEN, ERR_IO}, {FAULT_WRITE_NOW, ERR_NO_SPACE},
                  {FAULT_WRITE_NOW, ERR_IO},  {FAULT_SYNC, ERR_IO}, {FAULT_SYNC, ERR_NO_SPACE},
                  {FAULT_SYNC_DIR, ERR_IO}};
    char path[200];
    u32 failures = 0;
    for (u32 i = 0; i < ARRAY_LEN(faults); i++) {
        err_t e = ERR_IO;
        for (u32 after = 0; e != OK; after++) {
            made_pack_draw(&f->rng, &made, 100 * i + after, 30, 20000);
            pack_name(f, made.pack.id, path);
            fault_set(faults[i].verb, after, faults[i].error);
            e = made_pack_write(&f->rng, f->home, &made);
            assert_true(e == OK || e == faults[i].error);
            assert_int_equal(e == OK, fault.hits == 0);
            fault_set(FAULT_NONE, 0, OK);
            assert_int_equal(file_there(path), e == OK);
            failures += e != OK;
        }
        assert_int_equal(made_pack_load(f->home, &made), OK);
    }
    assert_true(failures > 10);
    assert_false(home_fenced(f->home)); /* that is for the caller to say */
}

static void test_failures_while_reading(void **state)
{
    struct fixture *f = *state;
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    static const enum fault_verb verbs[] = {FAULT_OPEN, FAULT_SIZE, FAULT_READ_NOW};
    made_pack_draw(&f->rng, &made, 4, PACK_RUNS_MAX, 300);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        u32 failures = 0;
        err_t e = ERR_IO;
        for (u32 after = 0; e != OK; after++) {
            fault_set(verbs[i], after, ERR_IO);
            e = made_pack_load(f->home, &made);
            assert_int_equal(e, fault.hits == 0 ? OK : ERR_IO);
            failures += e != OK;
        }
        assert_true(failures >= (verbs[i] == FAULT_READ_NOW ? 3 : 1));
        struct pack_reader *r;
        fault_set(verbs[i], 0, ERR_IO);
        assert_int_equal(pack_open(f->home, made.pack, buffer, sizeof(buffer), &r), ERR_IO);
        fault_set(FAULT_NONE, 0, OK);
    }
    struct pack_reader *r;
    u8 *bytes = mem_alloc(made.payload_bytes);
    assert_int_equal(pack_open(f->home, made.pack, buffer, sizeof(buffer), &r), OK);
    fault_set(FAULT_READ_NOW, 1, ERR_IO);
    assert_int_equal(pack_bytes(r, 4096, made.payload_bytes, bytes), ERR_IO);
    fault_set(FAULT_NONE, 0, OK);
    assert_int_equal(pack_bytes(r, 4096, made.payload_bytes, bytes), OK);
    assert_memory_equal(bytes, made.payload, made.payload_bytes);
    mem_free(bytes);
    pack_close(r);
}

static void test_failures_of_the_sweep(void **state)
{
    struct fixture *f = *state;
    u64 next = 12345;
    made_pack_draw(&f->rng, &made, 4, 10, 300);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    struct home_pack keep = made.pack;
    made_pack_draw(&f->rng, &made, 5, 10, 300);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    static const enum fault_verb verbs[] = {FAULT_LIST, FAULT_SYNC_DIR, FAULT_UNLINK};
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        fault_set(verbs[i], 0, ERR_IO);
        assert_int_equal(home_packs_sweep(f->home, &keep, 1, &next), ERR_IO);
        assert_int_equal(next, 12345);
        fault_set(FAULT_NONE, 0, OK);
        if (verbs[i] == FAULT_SYNC_DIR) { /* it was swept before that */
            assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
        }
    }
    assert_int_equal(home_packs_sweep(f->home, &keep, 1, &next), OK);
    assert_int_equal(next, 6);
    char path[200];
    file_path(f, "packs", path);
    char other[200];
    file_path(f, "kept", other);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(home_packs_sweep(f->home, &keep, 1, &next), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "meta, wal and packs"));
    assert_int_equal(rename(other, path), 0);
}

static void load_refused(struct fixture *f, const char *word)
{
    assert_int_equal(made_pack_load(f->home, &made), ERR_CORRUPT);
    assert_int_equal(made.runs_seen, 0); /* nothing of it is delivered */
    if (strstr(home_reason(f->home), word) == NULL) {
        fail_msg("'%s' is not in: %s", word, home_reason(f->home));
    }
}

static void test_any_flipped_byte(void **state)
{
    struct fixture *f = *state;
    made_pack_draw(&f->rng, &made, 4, 40, 300);
    while (made.producer_count == 0) {
        made_pack_draw(&f->rng, &made, 4, 40, 300);
    }
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    char path[200];
    pack_name(f, 4, path);
    u64 runs = 4096 + made.payload_bytes;
    u64 producers = runs + 64ull * made.run_count;
    u64 padding = producers + 40ull * made.producer_count;
    u64 trailer = made.pack.bytes - 64;
    for (u64 at = 0; at < made.pack.bytes; at++) {
        bool header = at < 128;
        bool index = at >= runs && at < padding;
        if (!header && !index && at < trailer) {
            /* payload and padding: a sample */
            u64 next = at + rng_below(&f->rng, 50);
            at = MIN(next, at < runs ? runs - 1 : trailer - 1);
            file_flip(path, at);
            err_t e = made_pack_load(f->home, &made);
            if (e != OK) {
                fail_msg("byte %llu: %s", (unsigned long long)at, home_reason(f->home));
            }
            file_flip(path, at);
            continue;
        }
        file_flip(path, at);
        load_refused(f, header ? "header" : at < producers ? "index" : index ? "prod" : "trailer");
        file_flip(path, at);
    }
    assert_int_equal(made_pack_load(f->home, &made), OK);
}

static void test_wrong_files(void **state)
{
    struct fixture *f = *state;
    char path[200];
    char other[200];
    made_pack_draw(&f->rng, &made, 4, 40, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    pack_name(f, 4, path);
    pack_name(f, 8, other);
    u8 *kept;
    size_t bytes = file_get(path, &kept);
    /* shorter by a sector, by a block, by all */
    for (u32 i = 0; i < 3; i++) {
        static const u64 less[] = {512, 4096, UINT64_MAX};
        assert_int_equal(truncate(path, less[i] > bytes ? 0 : (off_t)(bytes - less[i])), 0);
        load_refused(f, "were filed");
    }
    file_put(path, kept, bytes);
    /* the metadata says so too: then the bytes must agree */
    struct home_pack right = made.pack;
    made.pack.bytes -= 4096;
    assert_int_equal(truncate(path, (off_t)made.pack.bytes), 0);
    load_refused(f, "the trailer");
    made.pack.bytes = 4096;
    assert_int_equal(truncate(path, 4096), 0);
    load_refused(f, "the file");
    made.pack = right;
    file_put(path, kept, bytes);
    /* under the name of another */
    assert_int_equal(rename(path, other), 0);
    made.pack.id = 8;
    load_refused(f, "the header");
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct pack_reader *r;
    assert_int_equal(pack_open(f->home, made.pack, buffer, sizeof(buffer), &r), ERR_CORRUPT);
    /* the end of another file of the same size */
    made.pack.id = 4;
    file_put(path, kept, bytes);
    mem_free(kept);
    made_pack_draw(&f->rng, &made, 9, 40, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    pack_name(f, 9, path);
    pack_name(f, 4, other);
    u8 *theirs;
    size_t theirs_bytes = file_get(other, &theirs);
    file_poke(path, made.pack.bytes - 4096, theirs + theirs_bytes - 4096, 4096);
    mem_free(theirs);
    load_refused(f, "the trailer");
}

/* A newer program's pack is told from a damaged one. */
static void test_newer_pack(void **state)
{
    struct fixture *f = *state;
    char path[200];
    made_pack_draw(&f->rng, &made, 4, 4, 300);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    pack_name(f, 4, path);
    u8 *bytes;
    size_t size = file_get(path, &bytes);
    bytes[8] = 2;
    store_le32(bytes + 124, crc32c(bytes, 124));
    file_put(path, bytes, size);
    mem_free(bytes);
    assert_int_equal(made_pack_load(f->home, &made), ERR_VERSION);
}

/* The index is good by its CRC but was written wrong; the same for the producers. */
static void test_index_that_lies(void **state)
{
    struct fixture *f = *state;
    char path[200];
    do {
        made_pack_draw(&f->rng, &made, 4, 300, 300);
    } while (made.producer_count < 200);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    pack_name(f, 4, path);
    u8 *bytes;
    size_t size = file_get(path, &bytes);
    u8 *runs = bytes + 4096 + made.payload_bytes;
    u8 *producers = runs + 300 * 64;
    u8 *trailer = bytes + size - 64;
    store_le32(producers + 150 * 40 + 4, UINT32_MAX); /* what has to be zero */
    store_le32(trailer + 24, crc32c(producers, 40 * (size_t)made.producer_count));
    store_le32(trailer + 52, crc32c(trailer, 52));
    file_put(path, bytes, size);
    assert_int_equal(made_pack_load(f->home, &made), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "the producers"));
    assert_true(made.producers_seen <= 150);
    store_le32(runs + 200 * 64 + 36, 0xfffffff0u); /* a run's bytes */
    store_le32(trailer + 12, crc32c(runs, 300 * 64));
    store_le32(trailer + 52, crc32c(trailer, 52));
    file_put(path, bytes, size);
    mem_free(bytes);
    assert_int_equal(made_pack_load(f->home, &made), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "the index"));
    assert_true(made.runs_seen <= 200);
}

static void test_crash_states(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 next;
    made_pack_draw(&f->rng, &made, 4, 40, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    /* there, not named, whatever is in it */
    pack_name(f, 7, path);
    file_put(path, "part of a pack", 14);
    pack_name(f, 3, path);
    file_put(path, "", 0);
    char strange[200];
    file_path(f, "packs/0000000000000007.tmp", strange);
    file_put(strange, "x", 1);
    reopen(f);
    assert_int_equal(home_packs_sweep(f->home, &made.pack, 1, &next), OK);
    assert_int_equal(next, 8);
    assert_false(file_there(path));
    pack_name(f, 7, path);
    assert_false(file_there(path));
    assert_true(file_there(strange)); /* not a name of ours */
    assert_int_equal(made_pack_load(f->home, &made), OK);
    /* named and gone */
    pack_name(f, 4, path);
    assert_int_equal(unlink(path), 0);
    reopen(f);
    assert_int_equal(home_packs_sweep(f->home, &made.pack, 1, &next), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "0000000000000004"));
}

static void test_removal_waits_for_reads(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    made_pack_draw(&f->rng, &made, 4, 10, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    char path[200];
    pack_name(f, 4, path);
    read_back(f, &pool, &made); /* the file is open */
    fault_set(FAULT_HOLD_READ, 0, OK);
    struct read_wait wait = {
        .read = {.done = read_wait_done, .wal = 4, .pos = 4096, .bytes = made.runs[0].bytes}};
    wait.read.blob = blob_get(&pool, home_read_room(f->home, wait.read.bytes));
    home_pack_read(f->home, &wait.read);
    assert_non_null(fault.held_read);
    home_pack_remove(f->home, 4);
    u8 byte;
    assert_int_equal(pack_read(f, &pool, 4, 4096, 1, &byte), ERR_NOT_FOUND);
    fixture_turns(f, 20);
    assert_true(file_there(path));
    assert_false(wait.done);
    fault_release_read(f->io);
    while (!wait.done || pack_bytes_used(f) > 0) {
        io_turn(f->io, true);
    }
    assert_int_equal(wait.result, OK);
    assert_memory_equal(wait.read.blob->data + wait.read.blob_offset, made.payload,
                        wait.read.bytes);
    assert_false(file_there(path));
    /* A read that waits for its file to be opened counts as well. */
    made_pack_draw(&f->rng, &made, 5, 10, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    wait.done = false;
    wait.read.wal = 5;
    wait.read.bytes = 1;
    home_pack_read(f->home, &wait.read);
    home_pack_remove(f->home, 5);
    while (!wait.done || pack_bytes_used(f) > 0) {
        io_turn(f->io, true);
    }
    assert_int_equal(wait.result, OK);
    blob_unref(wait.read.blob);
    blob_pool_fini(&pool);
}

static void test_failed_reads_and_removals(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    u8 byte;
    char path[200];
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    made_pack_draw(&f->rng, &made, 4, 10, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    fault_set(FAULT_OPEN, 0, ERR_IO);
    assert_int_equal(pack_read(f, &pool, 4, 4096, 1, &byte), ERR_IO);
    fault_set(FAULT_NONE, 0, OK);
    assert_int_equal(pack_read(f, &pool, 4, 4096, 1, &byte), OK);
    assert_int_equal(pack_read(f, &pool, 4, (u32)made.pack.bytes, 1, &byte), ERR_IO);
    fault_set(FAULT_READ, 0, ERR_IO);
    assert_int_equal(pack_read(f, &pool, 4, 4096, 1, &byte), ERR_IO);
    fault_set(FAULT_NONE, 0, OK);
    assert_int_equal(pack_read(f, &pool, 4, 4096, 1, &byte), OK);
    /* A file that cannot be unlinked stays, and its bytes count; the next sweep finds it. */
    pack_name(f, 4, path);
    fault_set(FAULT_UNLINK, 0, ERR_IO);
    home_pack_remove(f->home, 4);
    while (fault.hits == 0) {
        fixture_turns(f, 1);
    }
    fixture_turns(f, 20);
    fault_set(FAULT_NONE, 0, OK);
    assert_true(file_there(path));
    assert_int_equal(pack_bytes_used(f), made.pack.bytes);
    /* A fenced home removes nothing. */
    made_pack_draw(&f->rng, &made, 5, 10, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    home_fence_now(f->home, "Pack 0000000000000005 could not be synced.");
    assert_true(home_fenced(f->home));
    assert_string_equal(home_reason(f->home), "Pack 0000000000000005 could not be synced.");
    home_pack_remove(f->home, 5);
    fixture_turns(f, 20);
    assert_int_equal(pack_read(f, &pool, 5, 4096, 1, &byte), OK);
    blob_pool_fini(&pool);
}

/* The home goes away while workers are at it, and without knowing how large the files were. */
static void test_destroyed_while_removing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    for (u64 id = 0; id < 5; id++) {
        made_pack_draw(&f->rng, &made, id, 10, 3000);
        assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    }
    fault_set(FAULT_SIZE, 0, ERR_IO);
    for (u64 id = 0; id < 5; id++) {
        home_pack_remove(f->home, id);
    }
    home_destroy(f->home); /* what has not begun stays */
    fault_set(FAULT_NONE, 0, OK);
    fixture_open(f);
    for (u64 id = 0; id < 5; id++) {
        home_pack_remove(f->home, id);
        pack_name(f, id, path);
        while (file_there(path)) {
            io_turn(f->io, true);
        }
    }
}

static void test_without_direct_io(void **state)
{
    struct fixture *f = *state;
    fault_set(FAULT_OPEN_DIRECT, 0, ERR_UNSUPPORTED);
    made_pack_draw(&f->rng, &made, 4, 40, 20000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    assert_int_equal(made_pack_load(f->home, &made), OK);
    assert_true(fault.hits >= 2);
}

static void test_no_memory_for_the_index(void **state)
{
    struct fixture *f = *state;
    made_pack_draw(&f->rng, &made, 4, 40, 2000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    assert_true(quota_charge(&f->quota, quota_left(&f->quota) - 4096));
    assert_int_equal(made_pack_load(f->home, &made), ERR_NO_MEMORY);
    quota_release(&f->quota, f->quota.used);
}

static err_t stop_runs(void *user, const struct pack_run *runs, u32 count)
{
    (void)runs;
    (void)count;
    return *(const err_t *)user;
}

static err_t stop_producers(void *user, const struct pack_producer *producers, u32 count)
{
    (void)producers;
    (void)count;
    return *(const err_t *)user == ERR_LIMIT ? ERR_LIMIT : OK;
}

static err_t pass_runs(void *user, const struct pack_run *runs, u32 count)
{
    (void)user;
    (void)runs;
    (void)count;
    return OK;
}

static void test_a_visitor_that_stops(void **state)
{
    struct fixture *f = *state;
    do {
        made_pack_draw(&f->rng, &made, 4, 40, 2000);
    } while (made.producer_count == 0);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    err_t stop = ERR_NO_MEMORY;
    struct home_pack_visitor v = {.user = &stop, .runs = stop_runs, .producers = stop_producers};
    assert_int_equal(home_pack_load(f->home, made.pack, &v), ERR_NO_MEMORY);
    stop = ERR_LIMIT;
    v.runs = pass_runs;
    assert_int_equal(home_pack_load(f->home, made.pack, &v), ERR_LIMIT);
}

int main(void)
{
#define BOTH(test)                                                 \
    cmocka_unit_test_setup_teardown((test), setup_disk, teardown), \
        cmocka_unit_test_setup_teardown((test), setup_mem, teardown)
#define DISK(test) cmocka_unit_test_setup_teardown((test), setup_disk, teardown)
    const struct CMUnitTest tests[] = {
        BOTH(test_round_trip),
        BOTH(test_an_id_is_used_once),
        BOTH(test_sweep),
        BOTH(test_remove),
        BOTH(test_made_by_a_worker),
        BOTH(test_a_visitor_that_stops),
        DISK(test_failures_while_making),
        DISK(test_failures_while_reading),
        DISK(test_failures_of_the_sweep),
        DISK(test_any_flipped_byte),
        DISK(test_wrong_files),
        DISK(test_newer_pack),
        DISK(test_index_that_lies),
        DISK(test_crash_states),
        DISK(test_removal_waits_for_reads),
        DISK(test_failed_reads_and_removals),
        DISK(test_destroyed_while_removing),
        DISK(test_without_direct_io),
        DISK(test_no_memory_for_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
