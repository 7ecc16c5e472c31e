/* The simulated disk keeps what was made durable, and loses, keeps or tears anything else, sector
   by sector and name by name. What must hold always is tried over many seeds; what may happen is
   counted until it has happened. */
#include "../unit.h"

#include "sim/sim_disk.h"

enum { SEEDS = 300, BLOCK = 4096 };

struct fixture {
    struct rng rng;
    struct sim_disk *disk;
};

static void fixture_init(struct fixture *f, u64 seed)
{
    rng_seed(&f->rng, seed);
    f->disk = sim_disk_create(&f->rng);
}

static void fixture_fini(struct fixture *f)
{
    sim_disk_destroy(f->disk);
}

/* A file whose name, size and zeros are durable. */
static struct sim_inode *file_make(struct fixture *f, const char *path, u64 bytes)
{
    struct sim_inode *n;
    assert_int_equal(sim_disk_open(f->disk, path, true, true, &n), OK);
    sim_disk_resize(f->disk, n, bytes);
    sim_disk_sync(f->disk, n);
    assert_int_equal(sim_disk_sync_dir(f->disk, "."), OK);
    return n;
}

static struct sim_inode *file_find(struct fixture *f, const char *path)
{
    struct sim_inode *n;
    return sim_disk_open(f->disk, path, false, false, &n) == OK ? n : NULL;
}

static void fill(u8 *block, u8 value)
{
    memset(block, value, BLOCK);
}

/* How many of the block's sectors hold nothing but `value`; every other one must hold nothing but
 * `before`. */
static u32 sectors_with(const struct sim_inode *n, u64 offset, u8 value, u8 before)
{
    u8 block[BLOCK];
    size_t moved;
    sim_disk_read(n, block, sizeof block, offset, &moved);
    assert_int_equal(moved, BLOCK);
    u32 count = 0;
    for (u32 s = 0; s < BLOCK / SIM_SECTOR_BYTES; s++) {
        const u8 *sector = block + s * SIM_SECTOR_BYTES;
        assert_true(sector[0] == value || sector[0] == before);
        for (u32 i = 1; i < SIM_SECTOR_BYTES; i++) {
            assert_int_equal(sector[i], sector[0]);
        }
        count += sector[0] == value;
    }
    return count;
}

static void test_durable_write_survives(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", 4 * BLOCK);
        u8 block[BLOCK];
        fill(block, 7);
        struct sim_write *w = sim_disk_write_begin(f.disk, n, block, BLOCK, BLOCK);
        assert_int_equal(sectors_with(n, BLOCK, 7, 0), 0); /* not seen before it ends */
        sim_disk_write_end(f.disk, w, true);
        assert_int_equal(sectors_with(n, BLOCK, 7, 0), 8);
        sim_disk_power_cut(f.disk);
        assert_int_equal(sectors_with(file_find(&f, "f"), BLOCK, 7, 0), 8);
        fixture_fini(&f);
    }
}

/* Dropped, kept and torn: each happens, nothing else does, for unsynced writes and for those under
 * way. */
static void unsynced_write_is_torn(bool under_way)
{
    u32 none = 0;
    u32 all = 0;
    u32 torn = 0;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", 4 * BLOCK);
        u8 block[BLOCK];
        fill(block, 7);
        if (under_way) {
            (void)!sim_disk_write_begin(f.disk, n, block, BLOCK, 0);
        } else {
            sim_disk_write(f.disk, n, block, BLOCK, 0);
            assert_int_equal(sectors_with(n, 0, 7, 0), 8);
        }
        sim_disk_power_cut(f.disk);
        u32 there = sectors_with(file_find(&f, "f"), 0, 7, 0);
        none += there == 0;
        all += there == 8;
        torn += there > 0 && there < 8;
        fixture_fini(&f);
    }
    assert_true(none > SEEDS / 20);
    assert_true(all > SEEDS / 20);
    assert_true(torn > SEEDS / 20);
}

static void test_unsynced_write_is_torn(void **state)
{
    (void)state;
    unsynced_write_is_torn(false);
    unsynced_write_is_torn(true);
}

/* Of two unsynced writes to one place either may be what remains; a durable one in between settles
 * the earlier. */
static void test_unsynced_writes_reorder(void **state)
{
    (void)state;
    bool first_remained = false;
    bool second_remained = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", BLOCK);
        u8 block[BLOCK];
        fill(block, 1);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        fill(block, 2);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        sim_disk_power_cut(f.disk);
        size_t moved;
        sim_disk_read(file_find(&f, "f"), block, BLOCK, 0, &moved);
        for (u32 at = 0; at < BLOCK; at += SIM_SECTOR_BYTES) {
            assert_true(block[at] <= 2);
            first_remained = first_remained || block[at] == 1;
            second_remained = second_remained || block[at] == 2;
        }
        fixture_fini(&f);
    }
    assert_true(first_remained);
    assert_true(second_remained);
}

static void test_durable_write_beats_earlier_ones(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", BLOCK);
        u8 block[BLOCK];
        fill(block, 1);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        fill(block, 2);
        sim_disk_write_end(f.disk, sim_disk_write_begin(f.disk, n, block, BLOCK, 0), true);
        sim_disk_power_cut(f.disk);
        assert_int_equal(sectors_with(file_find(&f, "f"), 0, 2, 0), 8);
        fixture_fini(&f);
    }
}

static void test_sync_covers_what_had_ended(void **state)
{
    (void)state;
    bool later_lost = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", 2 * BLOCK);
        u8 block[BLOCK];
        fill(block, 3);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        u64 mark = sim_disk_mark(f.disk); /* an asynchronous sync begins here ... */
        sim_disk_write(f.disk, n, block, BLOCK, BLOCK);
        sim_disk_sync_up_to(f.disk, n, mark); /* ... and ends here */
        sim_disk_power_cut(f.disk);
        n = file_find(&f, "f");
        assert_int_equal(sectors_with(n, 0, 3, 0), 8);
        later_lost = later_lost || sectors_with(n, BLOCK, 3, 0) == 0;
        fixture_fini(&f);
    }
    assert_true(later_lost);
}

/* After kill -9 everything that had ended is seen; it is still not on the medium. */
static void test_process_end_keeps_what_was_seen(void **state)
{
    (void)state;
    bool torn = false;
    bool lost_later = false;
    bool some_late = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", 2 * BLOCK);
        assert_int_equal(sim_disk_lock(n, &f), OK);
        u8 block[BLOCK];
        fill(block, 3);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        (void)!sim_disk_write_begin(f.disk, n, block, BLOCK, BLOCK);
        bool late = sim_disk_process_end(f.disk);
        assert_int_equal(sim_disk_lock(n, &seed), late ? ERR_LOCKED : OK);
        some_late = some_late || late;
        sim_disk_late_arrive(f.disk);
        assert_int_equal(sim_disk_lock(n, &seed), OK); /* the lock went with its holder */
        assert_int_equal(sectors_with(n, 0, 3, 0), 8);
        u32 arrived = sectors_with(n, BLOCK, 3, 0);
        torn = torn || (arrived > 0 && arrived < 8);
        sim_disk_power_cut(f.disk);
        n = file_find(&f, "f");
        lost_later = lost_later || (arrived == 8 && sectors_with(n, BLOCK, 3, 0) < 8);
        assert_true(sectors_with(n, BLOCK, 3, 0) <= arrived);
        fixture_fini(&f);
    }
    assert_true(torn);
    assert_true(lost_later);
    assert_true(some_late);
}

static void test_sync_after_process_end_settles(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", BLOCK);
        u8 block[BLOCK];
        fill(block, 3);
        (void)!sim_disk_write_begin(f.disk, n, block, BLOCK, 0);
        assert_false(sim_disk_process_end(f.disk)); /* without a lock nothing comes late */
        u32 seen_before = sectors_with(n, 0, 3, 0);
        sim_disk_sync(f.disk, n);
        sim_disk_power_cut(f.disk);
        assert_int_equal(sectors_with(file_find(&f, "f"), 0, 3, 0), seen_before);
        fixture_fini(&f);
    }
}

/* The content of a file may be durable and its name not. */
static void test_names_need_sync_dir(void **state)
{
    (void)state;
    u32 there = 0;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n;
        assert_int_equal(sim_disk_open(f.disk, "f", true, false, &n), OK);
        u8 block[BLOCK];
        fill(block, 5);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        sim_disk_sync(f.disk, n);
        sim_disk_power_cut(f.disk);
        n = file_find(&f, "f");
        there += n != NULL;
        if (n != NULL) {
            assert_int_equal(sectors_with(n, 0, 5, 0), 8);
        }
        fixture_fini(&f);
    }
    assert_true(there > SEEDS / 10);
    assert_true(there < SEEDS - SEEDS / 10);
}

/* A rename happens wholly or not at all: one of the two names is always there, with the right
 * content. */
static void test_rename_is_atomic(void **state)
{
    (void)state;
    u32 renamed = 0;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *before = file_make(&f, "format", BLOCK);
        struct sim_inode *after = file_make(&f, "format.new", 2 * BLOCK);
        u32 number_before = sim_inode_number(before);
        u32 number_after = sim_inode_number(after);
        assert_int_equal(sim_disk_rename(f.disk, "format.new", "format"), OK);
        assert_ptr_equal(file_find(&f, "format"), after);
        assert_null(file_find(&f, "format.new"));
        sim_disk_power_cut(f.disk);
        struct sim_inode *n = file_find(&f, "format");
        assert_non_null(n);
        bool done = sim_inode_number(n) == number_after;
        renamed += done;
        assert_true(done || sim_inode_number(n) == number_before);
        assert_int_equal(file_find(&f, "format.new") == NULL, done);
        fixture_fini(&f);
    }
    assert_true(renamed > 0);
    assert_true(renamed < SEEDS);
}

/* Two names, one file: it is there as long as one of them is. */
static void test_links(void **state)
{
    (void)state;
    u32 linked = 0;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *file = file_make(&f, "first", BLOCK);
        u32 number = sim_inode_number(file);
        assert_int_equal(sim_disk_link(f.disk, "first", "second"), OK);
        assert_int_equal(sim_disk_link(f.disk, "first", "second"), ERR_EXISTS);
        assert_int_equal(sim_disk_link(f.disk, "none", "third"), ERR_NOT_FOUND);
        assert_ptr_equal(file_find(&f, "second"), file);
        sim_disk_power_cut(f.disk);
        struct sim_inode *second = file_find(&f, "second");
        linked += second != NULL;
        assert_true(second == NULL || sim_inode_number(second) == number);
        if (second != NULL) {
            assert_int_equal(sim_disk_unlink(f.disk, "first"), OK);
            assert_int_equal(sim_disk_sync_dir(f.disk, ""), OK);
            sim_disk_power_cut(f.disk);
            assert_null(file_find(&f, "first"));
            assert_int_equal(sim_inode_number(file_find(&f, "second")), number);
        }
        fixture_fini(&f);
    }
    assert_true(linked > 0);
    assert_true(linked < SEEDS);
}

static void test_directories(void **state)
{
    (void)state;
    bool folder_lost = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n;
        assert_int_equal(sim_disk_open(f.disk, "d/f", true, false, &n), ERR_NOT_FOUND);
        assert_int_equal(sim_disk_mkdir(f.disk, "d"), OK);
        assert_int_equal(sim_disk_mkdir(f.disk, "d"), ERR_EXISTS);
        assert_int_equal(sim_disk_open(f.disk, "d/f", true, true, &n), OK);
        assert_int_equal(sim_disk_open(f.disk, "d/f", true, true, &n), ERR_EXISTS);
        assert_int_equal(sim_disk_sync_dir(f.disk, "d"), OK); /* but not the directory above */
        sim_disk_power_cut(f.disk);
        bool folder_there = sim_disk_sync_dir(f.disk, "d") == OK;
        folder_lost = folder_lost || !folder_there;
        assert_int_equal(file_find(&f, "d/f") != NULL, folder_there);
        fixture_fini(&f);
    }
    assert_true(folder_lost);
}

/* Growing and cutting: without a sync either size may be found, and what was cut never comes back
 * after a sync. */
static void test_sizes(void **state)
{
    (void)state;
    bool kept = false;
    bool undone = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", BLOCK);
        u8 block[BLOCK];
        fill(block, 9);
        sim_disk_write(f.disk, n, block, BLOCK, 0);
        sim_disk_sync(f.disk, n);
        sim_disk_resize(f.disk, n, 0);
        sim_disk_resize(f.disk, n, 2 * BLOCK);
        assert_int_equal(sectors_with(n, 0, 9, 0), 0);
        bool synced = seed % 2 == 0;
        if (synced) {
            sim_disk_sync(f.disk, n);
        }
        sim_disk_power_cut(f.disk);
        n = file_find(&f, "f");
        u64 size = sim_inode_size(n);
        assert_true(size == 0 || size == BLOCK || size == 2 * BLOCK);
        if (synced) {
            assert_int_equal(size, 2 * BLOCK);
            assert_int_equal(sectors_with(n, 0, 9, 0), 0);
        } else {
            kept = kept || size == 2 * BLOCK;
            undone = undone || size == BLOCK;
        }
        fixture_fini(&f);
    }
    assert_true(kept);
    assert_true(undone);
}

/* A durable write beyond the durable size takes the sizes before it along, and never shrinks the
 * file later. */
static void test_durable_write_extends(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", BLOCK);
        u8 block[BLOCK];
        fill(block, 4);
        sim_disk_resize(f.disk, n, 2 * BLOCK);
        sim_disk_resize(f.disk, n, 3 * BLOCK);
        sim_disk_write_end(f.disk, sim_disk_write_begin(f.disk, n, block, BLOCK, 2 * BLOCK), true);
        sim_disk_sync(f.disk, n);
        sim_disk_power_cut(f.disk);
        n = file_find(&f, "f");
        assert_int_equal(sim_inode_size(n), 3 * BLOCK);
        assert_int_equal(sectors_with(n, 2 * BLOCK, 4, 0), 8);
        fixture_fini(&f);
    }
}

static void test_older_frames_are_planted(void **state)
{
    (void)state;
    bool planted = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        sim_disk_plant(f.disk, true);
        struct sim_inode *n = file_make(&f, "f", 8 * BLOCK);
        sim_inode_set_kind(n, SIM_INODE_WAL);
        u8 block[BLOCK];
        fill(block, 6);
        memcpy(block, "ODKFRAME", 8);
        store_le32(block + 12, BLOCK);
        sim_disk_write_end(f.disk, sim_disk_write_begin(f.disk, n, block, BLOCK, 0), true);
        sim_disk_power_cut(f.disk);
        n = file_find(&f, "f");
        u8 found[BLOCK];
        size_t moved;
        sim_disk_read(n, found, BLOCK, 0, &moved);
        assert_memory_equal(found, block, BLOCK); /* what is durable is never touched */
        for (u64 at = BLOCK; at < 8 * BLOCK; at += BLOCK) {
            sim_disk_read(n, found, BLOCK, at, &moved);
            bool copy = memcmp(found, block, BLOCK) == 0;
            assert_true(copy || found[0] == 0);
            planted = planted || copy;
        }
        fixture_fini(&f);
    }
    assert_true(planted);
}

static void test_failed_write_leaves_a_part(void **state)
{
    (void)state;
    bool torn = false;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", BLOCK);
        u8 block[BLOCK];
        fill(block, 8);
        sim_disk_write_fail(f.disk, sim_disk_write_begin(f.disk, n, block, BLOCK, 0));
        u32 arrived = sectors_with(n, 0, 8, 0);
        torn = torn || (arrived > 0 && arrived < 8);
        sim_disk_power_cut(f.disk);
        assert_int_equal(sectors_with(file_find(&f, "f"), 0, 8, 0),
                         arrived); /* seen as it is on the medium */
        fixture_fini(&f);
    }
    assert_true(torn);
}

static void test_locks(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 1);
    struct sim_inode *n = file_make(&f, "f", 0);
    int one;
    int two;
    assert_int_equal(sim_disk_lock(n, &one), OK);
    assert_int_equal(sim_disk_lock(n, &two), ERR_LOCKED);
    sim_disk_unlock(n, &two); /* not its holder */
    assert_int_equal(sim_disk_lock(n, &two), ERR_LOCKED);
    sim_disk_unlock(n, &one);
    assert_int_equal(sim_disk_lock(n, &two), OK);
    fixture_fini(&f);
}

static void test_rot_and_back(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct sim_inode *n = file_make(&f, "f", 4 * BLOCK);
        struct sim_rot rot;
        assert_false(
            sim_disk_rot(f.disk, false, &rot)); /* nothing was written to a file that may rot */
        sim_inode_set_kind(n, SIM_INODE_WAL);
        u8 block[BLOCK];
        fill(block, 8);
        sim_disk_write_end(f.disk, sim_disk_write_begin(f.disk, n, block, BLOCK, 0), true);
        assert_true(sim_disk_rot(f.disk, false, &rot));
        assert_true(rot.offset < BLOCK);
        sim_disk_power_cut(f.disk);
        size_t moved;
        sim_disk_read(n, block, BLOCK, 0, &moved);
        assert_int_equal(block[rot.offset], 8 ^ rot.bit);
        sim_disk_unrot(f.disk, &rot);
        assert_int_equal(sectors_with(n, 0, 8, 0), 8);
        assert_false(sim_disk_rot(f.disk, true, &rot)); /* no pack */
        sim_inode_set_kind(n, SIM_INODE_PACK);
        assert_false(sim_disk_rot(f.disk, false, &rot));
        assert_true(sim_disk_rot(f.disk, true, &rot));
        assert_true(rot.offset < (u64)4 * BLOCK);
        assert_int_equal(rot.kind, SIM_INODE_PACK);
        fixture_fini(&f);
    }
}

struct loss {
    bool first;   /* an unsynced write to one file */
    bool second;  /* ... and a later one to another, under way */
    bool grown;   /* a new size */
    bool renamed; /* a name */
};

static struct loss lose(u64 seed, enum sim_cut cut)
{
    struct fixture f;
    fixture_init(&f, seed);
    assert_false(sim_disk_unsynced(f.disk));
    struct sim_inode *a = file_make(&f, "a", BLOCK);
    struct sim_inode *b = file_make(&f, "b", BLOCK);
    (void)file_make(&f, "c", BLOCK);
    assert_false(sim_disk_unsynced(f.disk));
    u8 block[BLOCK];
    fill(block, 7);
    sim_disk_write(f.disk, a, block, BLOCK, 0);
    assert_true(sim_disk_unsynced(f.disk));
    sim_disk_resize(f.disk, a, 2 * BLOCK);
    (void)!sim_disk_write_begin(f.disk, b, block, BLOCK, 0);
    assert_int_equal(sim_disk_rename(f.disk, "c", "d"), OK);
    sim_disk_power_cut_as(f.disk, cut);
    assert_false(sim_disk_unsynced(f.disk));
    a = file_find(&f, "a");
    u32 first = sectors_with(a, 0, 7, 0);
    u32 second = sectors_with(file_find(&f, "b"), 0, 7, 0);
    if (cut != SIM_CUT_RANDOM) {
        assert_true(first % 8 == 0 && second % 8 == 0); /* nothing is torn */
    }
    const struct loss out = {first == 8, second == 8, sim_inode_size(a) == 2 * BLOCK,
                             file_find(&f, "d") != NULL};
    assert_int_equal(file_find(&f, "c") == NULL, out.renamed);
    fixture_fini(&f);
    return out;
}

/* Nothing of it, all of it, or of each file all or nothing, whichever was written first. */
static void test_ways_to_lose(void **state)
{
    (void)state;
    u32 later_only = 0;
    u32 names_only = 0;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct loss l = lose(seed, SIM_CUT_NONE);
        assert_false(l.first || l.second || l.grown || l.renamed);
        l = lose(seed, SIM_CUT_ALL);
        assert_true(l.first && l.second && l.grown && l.renamed);
        l = lose(seed, SIM_CUT_FILES);
        assert_int_equal(l.first, l.grown);
        later_only += l.second && !l.first;
        names_only += l.renamed && !l.first && !l.second;
        (void)lose(seed, SIM_CUT_RANDOM);
    }
    assert_true(later_only > SEEDS / 10);
    assert_true(names_only > SEEDS / 20);
}

/* It tells every change apart, and what changes nothing. */
static void test_version(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 1);
    struct sim_inode *n = file_make(&f, "f", BLOCK);
    u64 version = sim_disk_version(f.disk);
    sim_disk_sync(f.disk, n);
    assert_int_equal(sim_disk_sync_dir(f.disk, "."), OK);
    assert_int_equal(sim_disk_unlink(f.disk, "none"), ERR_NOT_FOUND);
    assert_int_equal(sim_disk_version(f.disk), version);
    u8 block[BLOCK];
    fill(block, 7);
    sim_disk_write(f.disk, n, block, BLOCK, 0);
    assert_true(sim_disk_version(f.disk) > version);
    version = sim_disk_version(f.disk);
    sim_disk_sync(f.disk, n);
    assert_true(sim_disk_version(f.disk) > version);
    version = sim_disk_version(f.disk);
    struct sim_write *w = sim_disk_write_begin(f.disk, n, block, BLOCK, 0);
    assert_true(sim_disk_version(f.disk) > version);
    version = sim_disk_version(f.disk);
    sim_disk_write_end(f.disk, w, true);
    assert_true(sim_disk_version(f.disk) > version);
    version = sim_disk_version(f.disk);
    sim_disk_resize(f.disk, n, 2 * BLOCK);
    assert_true(sim_disk_version(f.disk) > version);
    version = sim_disk_version(f.disk);
    assert_int_equal(sim_disk_unlink(f.disk, "f"), OK);
    assert_true(sim_disk_version(f.disk) > version);
    version = sim_disk_version(f.disk);
    assert_int_equal(sim_disk_sync_dir(f.disk, "."), OK);
    assert_true(sim_disk_version(f.disk) > version);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durable_write_survives),
        cmocka_unit_test(test_unsynced_write_is_torn),
        cmocka_unit_test(test_unsynced_writes_reorder),
        cmocka_unit_test(test_durable_write_beats_earlier_ones),
        cmocka_unit_test(test_sync_covers_what_had_ended),
        cmocka_unit_test(test_process_end_keeps_what_was_seen),
        cmocka_unit_test(test_sync_after_process_end_settles),
        cmocka_unit_test(test_names_need_sync_dir),
        cmocka_unit_test(test_rename_is_atomic),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durable_write_extends),
        cmocka_unit_test(test_older_frames_are_planted),
        cmocka_unit_test(test_failed_write_leaves_a_part),
        cmocka_unit_test(test_rot_and_back),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_ways_to_lose),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
