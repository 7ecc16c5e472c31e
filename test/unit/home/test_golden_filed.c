/* Proves that this build opens the directory in test/golden/dir-v1-filed, of format version 1 with
   packs and a WAL whose extents were used again, and finds in it what was put there: its content
   comes from a generator with a fixed seed. The first argument is that directory; with a second
   argument "write" the program makes such a directory at the first argument instead. */
#include "packs.h"
#include "tree.h"

#include "home/pack_private.h"

enum {
    SMALL_EXTENT_BYTES = 16 * KIB,
    SEED = 4711,
    SLOTS = 70,
    TRIM = 60,
    TRIM_EVERY = 6,
    UNNAMED_PACK = 9,
};
static const u64 named_packs[] = {3, 5};

static const char *golden;
static struct fixture fixture;
static struct made_pack made;

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
    wal_make_frame(f, (u32)rng_below(&f->rng, 4), 1500);
}

static void pack_draw(u64 id)
{
    struct rng rng;
    rng_seed(&rng, id);
    made_pack_draw(&rng, &made, id, 12, 400);
    struct pack_layout l = {0};
    pack_layout_place(&l, PACK_PAYLOAD_POS + made.payload_bytes, made.run_count,
                      made.producer_count);
    made.pack.bytes = l.total_bytes;
}

/* ---- writing it -------------------------------------------------------------------------------
 */

static void pack_put(struct fixture *f, u64 id)
{
    struct rng rng;
    rng_seed(&rng, 1);
    pack_draw(id);
    u64 bytes = made.pack.bytes;
    assert_int_equal(made_pack_write(&rng, f->home, &made), OK);
    assert_int_equal(made.pack.bytes, bytes);
}

static void write_golden(void **state)
{
    (void)state;
    struct fixture *f = &fixture;
    fixture_init(f);
    open_at(f, golden);
    assert_int_equal(home_meta_write_now(f->home, 0, SLICE_LIT("")), OK);
    for (u32 i = 0; i < ARRAY_LEN(named_packs); i++) {
        pack_put(f, named_packs[i]);
    }
    pack_put(f, UNNAMED_PACK);
    made_pack_free(&made);
    rng_seed(&f->rng, SEED);
    wal_begin(f, 1);
    while (f->next_slot < SLOTS) {
        frame_draw(f);
        wal_submit(f, f->next_slot - 1);
        wal_wait(f, 0);
        if (f->next_slot % TRIM_EVERY == 0 && f->next_slot <= TRIM) {
            home_wal_trim(f->home, 1, f->next_slot);
        }
    }
    assert_int_equal(f->failures, 0);
    fixture_close(f);
    fixture_fini(f);
}

/* ---- reading it -------------------------------------------------------------------------------
 */

static void packs_expect(struct fixture *f)
{
    struct home_pack keep[ARRAY_LEN(named_packs)];
    u64 next;
    for (u32 i = 0; i < ARRAY_LEN(named_packs); i++) {
        pack_draw(named_packs[i]);
        keep[i] = made.pack;
    }
    assert_int_equal(home_packs_sweep(f->home, keep, ARRAY_LEN(keep), &next), OK);
    assert_int_equal(next, UNNAMED_PACK + 1);
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    for (u32 i = 0; i < ARRAY_LEN(named_packs); i++) {
        pack_draw(named_packs[i]);
        assert_int_equal(made_pack_load(f->home, &made), OK);
        u8 *payload = mem_alloc(made.payload_bytes);
        assert_int_equal(pack_read(f, &pool, made.pack.id, 4096, made.payload_bytes, payload), OK);
        assert_memory_equal(payload, made.payload, made.payload_bytes);
        mem_free(payload);
    }
    blob_pool_fini(&pool);
    made_pack_free(&made);
}

static void slots_expect(struct fixture *f)
{
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    for (u64 slot = 0; slot < SLOTS; slot++) {
        struct read_wait wait = {.read = {.wal = 1, .slot = slot, .bytes = f->frames[slot].bytes}};
        wait.read.blob = blob_get(&pool, home_read_room(f->home, wait.read.bytes));
        assert_int_equal(wal_read(f, &wait), slot < TRIM ? ERR_NOT_FOUND : OK);
        if (slot >= TRIM) {
            assert_memory_equal(wait.read.blob->data + wait.read.blob_offset, f->frames[slot].data,
                                wait.read.bytes);
        }
        blob_unref(wait.read.blob);
    }
    blob_pool_fini(&pool);
}

static void test_version_1_filed(void **state)
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
    packs_expect(f);
    u64 length;
    err_t e = wal_scan_from(f, TRIM, UINT64_MAX, &length);
    if (e != OK) {
        print_message("%s\n", home_reason(f->home));
    }
    assert_int_equal(e, OK);
    assert_int_equal(length, SLOTS);
    assert_int_equal(f->scanned, SLOTS);
    slots_expect(f);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_version_1_filed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
