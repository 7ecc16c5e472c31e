/* Proves that this build opens the directory in test/golden/dir-v1-kept, of format version 1 with
   WAL extents that became packs as they are, and finds in it what was put there: its content comes
   from a generator with a fixed seed. The first argument is that directory; with a second argument
   "write" the program makes such a directory at the first argument instead. */
#include "kept.h"
#include "tree.h"

#include "home/pack_private.h"

enum { SMALL_EXTENT_BYTES = 16 * KIB, SEED = 4713, SLOTS = 16, UNNAMED_PACK = 9 };

/* Extents 0, 1 and 2. The index of the first is in the extent, those of the others do not fit; and
   the third came to nothing: the metadata do not name it and the WAL still has it. */
static const struct {
    u64 id;
    u32 copied;
    u32 copied_bytes_max;
} packs[] = {{3, 0, 1}, {5, 90, 300}, {UNNAMED_PACK, 8, 100}};
enum { NAMED = 2 };

static const char *golden;
static struct fixture fixture;

static void open_at(struct fixture *f, const char *path)
{
    snprintf(f->dir, sizeof(f->dir), "%.60s", path);
    struct home_disk_params params = {
        .directory = f->dir, .extent_bytes = SMALL_EXTENT_BYTES, .quota = &f->quota};
    f->home = home_disk_create(f->io, &params);
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    struct home_meta_visitor v = {.user = f, .snapshot = fixture_snapshot, .slot = fixture_slot};
    u64 next;
    assert_int_equal(home_meta_replay(f->home, &v, &next), OK);
}

/* The next slot; the one before it is durable. */
static void frame_draw(struct fixture *f)
{
    f->durable = f->next_slot;
    wal_make_frame(f, (u32)rng_below(&f->rng, 4), 4000);
}

/* Slots [*from, *to) are in extent `number`, by the rule of formats.md. */
static void extent_slots(const struct fixture *f, u32 number, u64 *from, u64 *to)
{
    u32 extent = 0;
    u64 at = 0;
    *from = 0;
    for (u64 slot = 0; slot < SLOTS; slot++) {
        if (at + f->frames[slot].bytes > SMALL_EXTENT_BYTES) {
            if (extent == number) {
                *to = slot;
                return;
            }
            extent++;
            at = 0;
            *from = slot;
        }
        at += f->frames[slot].bytes;
    }
    fail_msg("extent %u goes on", number);
}

static void pack_draw(const struct fixture *f, u32 i, u64 *from, u64 *to)
{
    struct rng rng;
    rng_seed(&rng, packs[i].id);
    extent_slots(f, i, from, to);
    kept_draw(&rng, f, packs[i].id, *from, *to, 0, packs[i].copied, packs[i].copied_bytes_max);
    struct pack_layout l = {0};
    u32 runs_pos = pack_index_place(kept.frames_end + kept.copied_bytes, SMALL_EXTENT_BYTES,
                                    kept.made.run_count, kept.made.producer_count);
    pack_layout_place(&l, runs_pos, kept.made.run_count, kept.made.producer_count);
    kept.made.pack.bytes = l.total_bytes;
}

/* ---- writing it -------------------------------------------------------------------------------
 */

static void write_golden(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    fixture_init(f);
    open_at(f, golden);
    assert_int_equal(home_meta_write_now(f->home, 0, SLICE_LIT("")), OK);
    rng_seed(&f->rng, SEED);
    wal_begin(f, 1);
    while (f->next_slot < SLOTS) {
        frame_draw(f);
        wal_submit(f, f->next_slot - 1);
        wal_wait(f, 0);
    }
    u64 from, to, named_to = 0;
    for (u32 i = 0; i < ARRAY_LEN(packs); i++) {
        struct rng rng;
        struct home_slots *s;
        rng_seed(&rng, 1);
        pack_draw(f, i, &from, &to);
        u64 bytes = kept.made.pack.bytes;
        assert_int_equal(home_slots_find(f->home, 1, f->nonce, from, to, &s), OK);
        home_slots_keep(s, true, 0);
        assert_int_equal(kept_write(&rng, s), OK);
        home_slots_free(s);
        assert_int_equal(kept.made.pack.bytes, bytes);
        named_to = i < NAMED ? to : named_to;
    }
    home_wal_trim(f->home, 1, named_to);
    assert_int_equal(f->failures, 0);
    fixture_close(f);
    fixture_fini(f);
}

/* ---- reading it -------------------------------------------------------------------------------
 */

/* Slots below *trim are in packs. */
static void packs_expect(struct fixture *f, u64 *trim)
{
    struct home_pack named[NAMED];
    u64 next, from;
    for (u32 i = 0; i < NAMED; i++) {
        pack_draw(f, i, &from, trim);
        named[i] = kept.made.pack;
    }
    assert_int_equal(named[0].bytes, SMALL_EXTENT_BYTES);
    assert_true(named[1].bytes > SMALL_EXTENT_BYTES);
    assert_int_equal(home_packs_sweep(f->home, named, NAMED, &next), OK);
    assert_int_equal(next, UNNAMED_PACK + 1);
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    for (u32 i = 0; i < NAMED; i++) {
        pack_draw(f, i, &from, trim);
        assert_int_equal(made_pack_load(f->home, &kept.made), OK);
        for (u32 k = 0; k < kept.made.run_count; k++) {
            const struct pack_run *run = &kept.made.runs[k];
            u8 *bytes = mem_alloc(run->bytes);
            assert_int_equal(pack_read(f, &pool, packs[i].id, run->pos, run->bytes, bytes), OK);
            assert_memory_equal(bytes, kept.sources[k], run->bytes);
            mem_free(bytes);
        }
    }
    blob_pool_fini(&pool);
}

static void test_version_1_kept(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    fixture_init(f);
    char from[600];
    char copy[100];
    snprintf(from, sizeof(from), "%s/data", golden);
    snprintf(copy, sizeof(copy), "%.40s/data", f->base);
    tree_copy(from, copy);
    open_at(f, copy);
    /* What was written, drawn again from the same seed. */
    rng_seed(&f->rng, SEED);
    f->wal = 1;
    f->nonce = rng_next(&f->rng);
    while (f->next_slot < SLOTS) {
        frame_draw(f);
    }
    u64 trim;
    packs_expect(f, &trim);
    u64 length;
    err_t e = wal_scan_from(f, trim, UINT64_MAX, &length);
    if (e != OK) {
        print_message("%s\n", home_reason(f->home));
    }
    assert_int_equal(e, OK);
    assert_int_equal(length, SLOTS);
    assert_int_equal(f->scanned, SLOTS);
    assert_int_equal(f->damaged, 0);
    fixture_close(f);
    fixture_fini(f);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [write]\n", argv[0]);
        return 2;
    }
    golden = argv[1];
    if (argc > 2 && strcmp(argv[2], "write") == 0) {
        const struct CMUnitTest writes[] = {cmocka_unit_test(write_golden)};
        return cmocka_run_group_tests(writes, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_version_1_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
