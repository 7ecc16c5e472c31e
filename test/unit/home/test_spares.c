/* Proves which dead packs wait for the WAL: those of an extent's size, as many as the WAL began in
   the last moment and as there is room for; that it uses them, and what is then read is right; and
   that they go when it does not come, when space becomes short, when there are no second names, and
   at the next start, at which an extent with a pack's name besides keeps every byte. */
#include "packs.h"

enum { PACKS = 40, EXTENTS_LOOKED_AT = 120, SLOTS_WRITTEN = 60 };
static const u64 SHORT_NS = 20 * 1000 * 1000;

static struct fixture fixture;

static int setup(void **state)
{
    return fixture_setup(&fixture, state);
}

/* Extents of this session's WAL that something was written to. */
static u32 extents_begun(const struct fixture *f)
{
    u32 count = 0;
    for (u32 number = 0; number < EXTENTS_LOOKED_AT; number++) {
        char path[200];
        char magic[8] = "";
        extent_name(f, number, path);
        int fd = open(path, O_RDONLY);
        if (fd < 0) {
            continue;
        }
        assert_int_equal(pread(fd, magic, sizeof(magic), 0), sizeof(magic));
        close(fd);
        count += memcmp(magic, "ODKFRAME", sizeof(magic)) == 0;
    }
    return count;
}

/* Is one of them that file? */
static bool wal_has(const struct fixture *f, int fd)
{
    struct stat wanted;
    assert_int_equal(fstat(fd, &wanted), 0);
    for (u32 number = 0; number < EXTENTS_LOOKED_AT; number++) {
        char path[200];
        struct stat st;
        extent_name(f, number, path);
        if (stat(path, &st) == 0 && st.st_ino == wanted.st_ino) {
            return true;
        }
    }
    return false;
}

static bool pack_there(const struct fixture *f, u64 id)
{
    char path[200];
    pack_name(f, id, path);
    return file_there(path);
}

struct dead_packs {
    struct home_pack packs[PACKS];
    int files[PACKS];
    u32 count;
};

/* The first is larger than an extent. */
static void packs_make(struct fixture *f, struct dead_packs *p, u32 count)
{
    p->count = count;
    for (u32 i = 0; i < count; i++) {
        u32 bytes = i == 0 ? EXTENT_BYTES + 4096 : EXTENT_BYTES;
        p->files[i] = sized_pack(f, 10 + i, bytes, &p->packs[i]);
    }
}

static void packs_die(struct fixture *f, const struct dead_packs *p)
{
    for (u32 i = 0; i < p->count; i++) {
        home_pack_retire(f->home, p->packs[i]);
    }
}

static u32 packs_there(const struct fixture *f, const struct dead_packs *p)
{
    u32 count = 0;
    for (u32 i = 0; i < p->count; i++) {
        count += pack_there(f, p->packs[i].id);
    }
    return count;
}

static void packs_close(struct dead_packs *p)
{
    for (u32 i = 0; i < p->count; i++) {
        close(p->files[i]);
    }
}

static void until_all_is_gone(struct fixture *f, const struct dead_packs *p)
{
    while (pack_bytes_used(f) > 0) {
        io_turn(f->io, true);
    }
    assert_int_equal(packs_there(f, p), 0);
}

static void until_there_are(struct fixture *f, const struct dead_packs *p, u32 count)
{
    while (packs_there(f, p) > count) {
        io_turn(f->io, true);
    }
    fixture_turns(f, 20);
    assert_int_equal(packs_there(f, p), count);
}

static void test_they_become_extents(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    struct dead_packs p;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    wal_begin(f, 1);
    wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
    u32 begun = extents_begun(f);
    assert_in_range(begun, 4, PACKS - 4);
    packs_make(f, &p, begun + 3);
    packs_die(f, &p);
    for (u32 i = 0; i < p.count; i++) {
        u8 byte;
        assert_int_equal(pack_read(f, &pool, p.packs[i].id, 4096, 1, &byte), ERR_NOT_FOUND);
    }
    until_there_are(f, &p, begun); /* not the one of another size, nor the two too many */
    for (u32 i = 0; i < p.count; i++) {
        assert_int_equal(pack_there(f, p.packs[i].id), i > 0 && i <= begun);
    }
    for (u32 tries = 0; packs_there(f, &p) > 0; tries++) {
        assert_true(tries < 5);
        wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
        fixture_turns(f, 20);
    }
    for (u32 i = 0; i < p.count; i++) {
        assert_int_equal(wal_has(f, p.files[i]), i > 0 && i <= begun);
    }
    assert_int_equal(pack_bytes_used(f), 0);
    packs_close(&p);
    blob_pool_fini(&pool);
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, f->next_slot);
}

/* A WAL that has not begun an extent begins none soon. */
static void test_of_an_idle_wal_they_go(void **state)
{
    struct fixture *f = *state;
    struct dead_packs p;
    wal_begin(f, 1);
    packs_make(f, &p, 3);
    packs_die(f, &p);
    until_all_is_gone(f, &p);
    packs_close(&p);
}

static void wal_begin_quick(struct fixture *f)
{
    fixture_close(f);
    f->spare_ns = SHORT_NS;
    fixture_open(f);
    wal_begin(f, 1);
}

static void test_they_do_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    struct dead_packs p;
    wal_begin_quick(f);
    packs_make(f, &p, 8);
    wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
    packs_die(f, &p);
    until_all_is_gone(f, &p);
    u64 quiet_ns = io_now_ns(f->io) + 3 * SHORT_NS;
    while (io_now_ns(f->io) < quiet_ns) {
        io_turn(f->io, false);
    }
    assert_null(heap_min(&f->io->timers)); /* nobody looks any more */
    packs_close(&p);
}

/* Others need the room. */
static void test_they_go_when_space_is_short(void **state)
{
    struct fixture *f = *state;
    struct dead_packs p;
    fixture_close(f);
    f->spare_ns = 1000 * SHORT_NS;
    fixture_open(f);
    wal_begin(f, 1);
    wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
    packs_make(f, &p, 4);
    packs_die(f, &p);
    until_there_are(f, &p, 3);
    fault_set(FAULT_SPACE, 0, OK);
    home_space_look(f->home);
    until_all_is_gone(f, &p);
    fault_set(FAULT_NONE, 0, OK);
    packs_close(&p);
}

/* They go, and extents are made as ever. */
static void test_without_second_names(void **state)
{
    struct fixture *f = *state;
    struct dead_packs p;
    wal_begin(f, 1);
    wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
    u32 begun = extents_begun(f);
    packs_make(f, &p, 3);
    packs_die(f, &p);
    until_there_are(f, &p, 2);
    fault_set(FAULT_LINK, 0, ERR_UNSUPPORTED);
    wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
    until_there_are(f, &p, 0);
    assert_int_equal(fault.hits, 2);
    assert_true(extents_begun(f) > begun);
    assert_false(wal_has(f, p.files[1]));
    assert_false(wal_has(f, p.files[2]));
    packs_close(&p);
}

/* What a session leaves, the next sweeps. One of the files had become an extent, and its name as a
   pack came back. */
static void test_the_next_start_sweeps_them(void **state)
{
    struct fixture *f = *state;
    struct dead_packs p;
    wal_begin(f, 1);
    wal_write_many(f, SLOTS_WRITTEN, 6, 4000);
    packs_make(f, &p, 4);
    packs_die(f, &p);
    until_there_are(f, &p, 3);
    fixture_close(f);
    assert_int_equal(packs_there(f, &p), 3);
    char extent[200];
    char pack[200];
    extent_name(f, 0, extent);
    pack_name(f, 99, pack);
    assert_int_equal(link(extent, pack), 0);
    fixture_open(f);
    u64 next;
    assert_int_equal(home_packs_sweep(f->home, NULL, 0, &next), OK);
    assert_int_equal(next, 100);
    assert_int_equal(packs_there(f, &p), 0); /* the names at once */
    assert_false(file_there(pack));
    struct stat st;
    for (u32 i = 1; i < p.count; i++) {
        do { /* and what was in them */
            io_turn(f->io, false);
            assert_int_equal(fstat(p.files[i], &st), 0);
        } while (st.st_size > EXTENT_BYTES / 2);
    }
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    assert_int_equal(length, f->next_slot);
    packs_close(&p);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown((test), setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_they_become_extents),       ROW(test_of_an_idle_wal_they_go),
        ROW(test_they_do_not_wait_for_ever), ROW(test_they_go_when_space_is_short),
        ROW(test_without_second_names),      ROW(test_the_next_start_sweeps_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
