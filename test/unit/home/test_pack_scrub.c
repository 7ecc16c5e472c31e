/* Scrubbing, the home's part (pack_scrub), on both homes: a sound pack is compared whole, in pieces
   of any size and with any buffer; whatever byte that means something is changed, it is told which
   part or which run has it, and no other; with a medium that fails from any read on, what is told
   is what could not be read. */
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

/* What one scrubbing of all pieces said. */
struct said {
    err_t result;
    const char *what;
    u64 at;
    u64 bytes;
    u32 pieces;
    u32 known_count;     /* written as quarantined */
    u32 bad_count;       /* others */
    struct pack_run bad; /* the last */
    err_t why;
    bool with_bytes;
};

static void note_bad(void *user, const struct pack_run *run, err_t why, const u8 *bytes)
{
    struct said *said = user;
    bool known = (run->flags & PACK_RUN_QUARANTINED) != 0;
    if (known && why == ERR_CORRUPT) {
        said->known_count++;
        return;
    }
    said->bad = *run;
    said->why = why;
    said->bad_count++;
    said->with_bytes = bytes != NULL;
    if (bytes != NULL && why == ERR_CORRUPT) {
        assert_int_not_equal(crc32c(bytes, run->bytes), run->crc);
    }
}

/* Nothing of it is quarantined from the start. */
static void draw(struct fixture *f, u32 runs, u32 run_bytes_max)
{
    made_pack_draw(&f->rng, &made, 4, runs, run_bytes_max);
    for (u32 i = 0; i < runs; i++) {
        made.runs[i].flags = 0;
    }
}

static struct said scrub(struct fixture *f, u32 buffer_bytes, u32 bytes_max)
{
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    assert_true(buffer_bytes <= sizeof(buffer));
    struct said said = {0};
    struct pack_scrub s = {
        .pack = made.pack,
        .buffer = buffer,
        .buffer_bytes = buffer_bytes,
        .bytes_max = bytes_max,
        .bad = note_bad,
        .user = &said,
    };
    do {
        u32 from = s.next_run;
        said.result = pack_scrub(f->home, &s);
        said.bytes += s.bytes;
        said.pieces++;
        if (said.result != OK) {
            said.what = s.what;
            said.at = s.at;
            return said;
        }
        assert_int_equal(s.run_count, made.run_count);
        assert_true(s.next_run > from || s.run_count == 0);
    } while (s.next_run < s.run_count);
    return said;
}

static void a_sound_pack_is_compared_whole(void **state)
{
    struct fixture *f = *state;
    static const struct {
        u32 runs;
        u32 run_bytes_max;
    } shapes[] = {{0, 1}, {1, 1}, {1, 300000}, {40, 20000}, {PACK_RUNS_MAX, 500}, {7, 4096}};
    for (u32 i = 0; i < 4 * ARRAY_LEN(shapes); i++) {
        u32 shape = i % ARRAY_LEN(shapes);
        made_pack_draw(&f->rng, &made, i, shapes[shape].runs, shapes[shape].run_bytes_max);
        assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
        u32 buffer_bytes = 4096 * (3 + (u32)rng_below(&f->rng, 14));
        u32 bytes_max = 1 + (u32)rng_below(&f->rng, i % 2 == 0 ? 3000 : 300000);
        struct said said = scrub(f, buffer_bytes, bytes_max);
        assert_int_equal(said.result, OK);
        assert_int_equal(said.bad_count, 0);
        u32 known = 0;
        for (u32 k = 0; k < made.run_count; k++) {
            known += made.runs[k].flags == PACK_RUN_QUARANTINED ? 1 : 0;
        }
        assert_int_equal(said.known_count, known);
        assert_int_equal(said.bytes, made.pack.bytes);
        u64 fewest = made.payload_bytes / (bytes_max + shapes[shape].run_bytes_max);
        assert_true(said.pieces >= fewest);
    }
}

static void any_flipped_byte_is_found(void **state)
{
    struct fixture *f = *state;
    do {
        draw(f, 60, 3000);
    } while (made.producer_count == 0);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    char path[200];
    pack_name(f, 4, path);
    u64 runs = 4096 + made.payload_bytes;
    u64 producers = runs + 64ull * made.run_count;
    u64 padding = producers + 40ull * made.producer_count;
    u64 trailer = made.pack.bytes - 64;
    u64 step = 0;
    for (u64 at = 0; at < made.pack.bytes; at += step) {
        bool batches = at >= 128 && at < runs;
        step = 1 + rng_below(&f->rng, batches ? 1000 : 40);
        bool silent = (at >= 128 && at < 4096) || (at >= padding && at < trailer);
        file_flip(path, at);
        struct said said = scrub(f, PACK_BUFFER_BYTES, 20000);
        file_flip(path, at);
        if (silent) { /* zeros that mean nothing */
            assert_int_equal(said.result, OK);
            assert_int_equal(said.bad_count, 0);
        } else if (at >= 4096 && at < runs) {
            assert_int_equal(said.result, OK);
            assert_int_equal(said.bad_count, 1);
            assert_int_equal(said.why, ERR_CORRUPT);
            assert_true(said.with_bytes);
            assert_in_range(at, said.bad.pos, said.bad.pos + said.bad.bytes - 1);
        } else {
            assert_int_equal(said.result, ERR_CORRUPT);
            assert_string_equal(said.what, at < 128         ? "the header"
                                           : at < producers ? "the index"
                                           : at < padding   ? "the producers' section"
                                                            : "the trailer");
            assert_true(said.at <= at);
        }
    }
}

/* A batch larger than the buffer. */
static void a_large_run_is_compared_in_parts(void **state)
{
    struct fixture *f = *state;
    do {
        draw(f, 5, 1000000);
    } while (made.runs[3].bytes < 4 * PACK_BUFFER_BYTES);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    char path[200];
    pack_name(f, 4, path);
    u64 at = made.runs[3].pos + 3 * PACK_BUFFER_BYTES;
    file_flip(path, at);
    struct said said = scrub(f, PACK_BUFFER_BYTES, 20000);
    assert_int_equal(said.result, OK);
    assert_int_equal(said.bad_count, 1);
    assert_int_equal(said.bad.pos, made.runs[3].pos);
    assert_false(said.with_bytes);
}

static void wrong_files_are_told(void **state)
{
    struct fixture *f = *state;
    draw(f, 40, 3000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    char path[200];
    pack_name(f, 4, path);
    made.pack.bytes += 4096;
    struct said said = scrub(f, PACK_BUFFER_BYTES, 20000);
    assert_int_equal(said.result, ERR_CORRUPT);
    assert_string_equal(said.what, "the file");
    made.pack.bytes -= 4096;
    made.pack.id = 5;
    assert_int_equal(scrub(f, PACK_BUFFER_BYTES, 20000).result, ERR_NOT_FOUND);
    made.pack.id = 4;
    u8 *bytes;
    size_t size = file_get(path, &bytes);
    bytes[8] = 2; /* a newer program's */
    store_le32(bytes + 124, crc32c(bytes, 124));
    file_put(path, bytes, size);
    mem_free(bytes);
    assert_int_equal(scrub(f, PACK_BUFFER_BYTES, 20000).result, ERR_VERSION);
}

static void what_cannot_be_read_is_told(void **state)
{
    struct fixture *f = *state;
    draw(f, 60, 6000);
    assert_int_equal(made_pack_write(&f->rng, f->home, &made), OK);
    bool through = false;
    u32 runs_told = 0;
    for (u32 after = 0; !through; after++) {
        fault_set(FAULT_READ_NOW, after, ERR_IO);
        struct said said = scrub(f, 4096 * 4, 1000000);
        bool hit = fault.hits > 0;
        fault_set(FAULT_NONE, 0, OK);
        through = !hit;
        if (through) {
            assert_int_equal(said.result, OK);
            assert_int_equal(said.bad_count, 0);
        } else if (said.result == OK) {
            assert_true(said.bad_count > 0);
            assert_int_equal(said.why, ERR_IO);
            runs_told++;
        } else {
            assert_int_equal(said.result, ERR_IO);
        }
        assert_true(after < 1000);
    }
    assert_true(runs_told > 10);
    fault_set(FAULT_OPEN, 0, ERR_IO);
    struct said said = scrub(f, PACK_BUFFER_BYTES, 20000);
    assert_int_equal(said.result, ERR_IO);
    assert_string_equal(said.what, "the file");
    /* What is nobody's damage is passed on. */
    fault_set(FAULT_READ_NOW, 8, ERR_NO_MEMORY);
    assert_int_equal(scrub(f, 4096 * 4, 1000000).result, ERR_NO_MEMORY);
}

int main(void)
{
#define DISK(test) cmocka_unit_test_setup_teardown((test), setup_disk, teardown)
    const struct CMUnitTest tests[] = {
        DISK(a_sound_pack_is_compared_whole),
        cmocka_unit_test_setup_teardown(a_sound_pack_is_compared_whole, setup_mem, teardown),
        DISK(any_flipped_byte_is_found),
        DISK(a_large_run_is_compared_in_parts),
        DISK(wrong_files_are_told),
        DISK(what_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
