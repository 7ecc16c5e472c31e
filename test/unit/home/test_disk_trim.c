/* Proves that filed slots may go: what is trimmed is not found any more and everything else is; the
   extents are used again, by this session alone, and their number stays small; a file with a read
   at it waits; and whatever a crash leaves of all that, the scan begins right, ends right, and
   never believes a frame of an earlier life. */
#include "disk_fixture.h"

#include "home/home_private.h"

#include <dirent.h>

enum { NUMBERS_MAX = 128 };
static const u64 SHORT_NS = 20 * 1000 * 1000;

static struct fixture fixture;

static int setup(void **state)
{
    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    fault_set(FAULT_NONE, 0, OK);
    fixture_fini(*state);
    return 0;
}

static void begin(struct fixture *f, u64 wal)
{
    fixture_open(f);
    if (f->meta_next == 0) {
        meta_write_many(f, 0, 1);
    }
    wal_begin(f, wal);
}

/* ---- the files --------------------------------------------------------------------------------
 */

/* Where slots are, by the rule of formats.md: one behind the other, none over an edge. */
static u32 number_of(const struct fixture *f, u64 slot, u64 *position)
{
    u32 number = 0;
    u64 at = 0;
    for (u64 s = 0; s < slot; s++) {
        at += f->frames[s].bytes;
        if (at + f->frames[s + 1].bytes > EXTENT_BYTES) {
            number++;
            at = 0;
        }
    }
    if (position != NULL) {
        *position = at;
    }
    return number;
}

static ino_t inode_of(const struct fixture *f, u32 number)
{
    char path[200];
    struct stat st;
    extent_name(f, number, path);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static u32 extents_there(const struct fixture *f)
{
    u32 count = 0;
    for (u32 number = 0; number < NUMBERS_MAX; number++) {
        count += inode_of(f, number) != 0;
    }
    return count;
}

/* Until the workers have done what a trim started: so many extents are there. */
static void extents_wait(struct fixture *f, u32 count)
{
    while (extents_there(f) > count) {
        io_turn(f->io, true);
    }
    assert_int_equal(extents_there(f), count);
}

static void write_until(struct fixture *f, u64 slots)
{
    assert_true(slots <= FRAMES_MAX);
    wal_write_many(f, (u32)(slots - f->next_slot), 5, 3000);
    assert_int_equal(f->failures, 0);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static err_t slot_read(struct fixture *f, struct blob_pool *pool, u64 slot)
{
    struct made_frame *frame = &f->frames[slot];
    struct read_wait wait = {.read = {.wal = f->wal, .slot = slot, .bytes = frame->bytes}};
    wait.read.blob = blob_get(pool, home_read_room(f->home, frame->bytes));
    err_t e = wal_read(f, &wait);
    if (e == OK) {
        assert_memory_equal(wait.read.blob->data + wait.read.blob_offset, frame->data,
                            frame->bytes);
    }
    blob_unref(wait.read.blob);
    return e;
}

static void test_what_is_trimmed_is_gone(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    begin(f, 1);
    home_wal_trim(f->home, 1, 0); /* nothing was written */
    for (u64 trim = 0; f->next_slot < 200; trim = rng_between(&f->rng, trim, f->next_slot)) {
        write_until(f, f->next_slot + 10);
        home_wal_trim(f->home, 1, trim);
        home_wal_trim(f->home, 1, trim / 2); /* backwards: nothing */
        for (u64 slot = 0; slot < f->next_slot; slot++) {
            assert_int_equal(slot_read(f, &pool, slot), slot < trim ? ERR_NOT_FOUND : OK);
        }
    }
    home_wal_trim(f->home, 1, 200);
    assert_int_equal(slot_read(f, &pool, 199), ERR_NOT_FOUND);
    home_wal_trim(f->home, 77, UINT64_MAX); /* a session that never wrote */
    fixture_close(f);
    blob_pool_fini(&pool);
}

/* The same files all along, and few of them. */
static void test_extents_are_used_again(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 60);
    u32 most = 0;
    ino_t seen[NUMBERS_MAX] = {0};
    u32 seen_count = 0;
    while (f->next_slot < FRAMES_MAX) {
        home_wal_trim(f->home, 1, f->next_slot - 2);
        write_until(f, MIN(f->next_slot + 10, (u64)FRAMES_MAX));
        most = MAX(most, extents_there(f));
        u32 number = number_of(f, f->next_slot - 1, NULL);
        bool known = false;
        for (u32 i = 0; i < seen_count; i++) {
            known |= seen[i] == inode_of(f, number);
        }
        if (!known) {
            seen[seen_count] = inode_of(f, number);
            seen_count++;
        }
    }
    u32 last = number_of(f, f->next_slot - 1, NULL);
    print_message("%u extents by number, %u at a time, %u files\n", last + 1, most, seen_count);
    assert_true(last > 30);
    assert_true(seen_count < last / 2);
    assert_true(most < 20);
    struct home_usage usage;
    home_usage(f->home, &usage);
    assert_true(usage.wal_bytes <= (u64)extents_there(f) * EXTENT_BYTES);
    assert_true(usage.wal_bytes >= (u64)EXTENT_BYTES);
    assert_true(usage.free_bytes != UINT64_MAX);
    fixture_close(f);
}

/* However much was filed at once: when little is written three are kept for later, the others go.
 */
static void test_few_are_kept(void **state)
{
    struct fixture *f = *state;
    f->spare_ns = SHORT_NS;
    begin(f, 1);
    write_until(f, 300);
    u32 last = number_of(f, 299, NULL);
    assert_true(last > 15);
    home_wal_trim(f->home, 1, 300);
    extents_wait(f, 3 + 1 + 1); /* spares, the one that is written to, the one made ahead */
    u32 spares = 0;
    for (u32 number = 0; number < last; number++) {
        spares += inode_of(f, number) != 0;
    }
    assert_int_equal(spares, 3);
    struct home_usage usage;
    home_usage(f->home, &usage);
    while (usage.wal_bytes < 5 * EXTENT_BYTES) { /* the one that is made ahead has a name already */
        io_turn(f->io, true);
        home_usage(f->home, &usage);
    }
    assert_int_equal(usage.wal_bytes, 5 * EXTENT_BYTES);
    fixture_close(f);
    /* The next session cannot use the spares; they go when it trims. */
    u64 length;
    fixture_open(f);
    assert_int_equal(wal_scan_from(f, 299, UINT64_MAX, &length), OK);
    assert_int_equal(home_wal_start(f->home, 2, 77), OK);
    home_wal_trim(f->home, 1, 299);
    extents_wait(f, 2);
    home_wal_trim(f->home, 1, 300);
    extents_wait(f, 0);
    home_destroy(f->home);
}

static u64 free_bytes_of(const struct fixture *f)
{
    struct home_usage usage;
    home_usage(f->home, &usage);
    return usage.free_bytes;
}

/* Where little is free none is kept; and what is free is seen when asked for. */
static void test_none_is_kept_on_a_small_disk(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 300);
    atomic_store(&f->home->free_bytes, 16 * (u64)EXTENT_BYTES);
    home_wal_trim(f->home, 1, 300);
    extents_wait(f, 1 + 1);
    atomic_store(&f->home->free_bytes, 1);
    home_space_look(f->home);
    assert_int_equal(free_bytes_of(f), 1); /* off the loop */
    while (free_bytes_of(f) == 1) {
        io_turn(f->io, true);
    }
    atomic_store(&f->home->free_bytes, 1);
    home_space_look(f->home); /* the home may go meanwhile */
    fixture_close(f);
}

/* ---- scanning ---------------------------------------------------------------------------------
 */

static void rescan_expect(struct fixture *f, u64 trim, u64 sealed, u64 expected)
{
    u64 length = 12345;
    fixture_open(f);
    err_t e = wal_scan_from(f, trim, sealed, &length);
    if (e != OK) {
        print_message("trim %llu: %s\n", (unsigned long long)trim, home_reason(f->home));
    }
    assert_int_equal(e, OK);
    assert_int_equal(length, expected);
    assert_int_equal(f->scanned, expected);
    home_destroy(f->home);
}

static void rescan_refused(struct fixture *f, u64 trim, u64 sealed, const char *word)
{
    u64 length = 12345;
    fixture_open(f);
    assert_int_equal(wal_scan_from(f, trim, sealed, &length), ERR_CORRUPT);
    assert_int_equal(length, 12345);
    if (strstr(home_reason(f->home), word) == NULL) {
        fail_msg("'%s' is not in: %s", word, home_reason(f->home));
    }
    home_destroy(f->home);
}

/* Writes `slots` slots and trims all the while; leaves the session closed. */
static u64 churn(struct fixture *f, u64 slots)
{
    u64 trim = 0;
    begin(f, f->wal + 1);
    while (f->next_slot < slots) {
        u64 next = f->next_slot + 1 + rng_below(&f->rng, 20);
        write_until(f, MIN(slots, next));
        if (rng_chance(&f->rng, 2, 3) && f->next_slot < slots) {
            trim = rng_between(&f->rng, trim, f->next_slot);
            home_wal_trim(f->home, f->wal, trim);
        }
    }
    fixture_close(f);
    return trim;
}

static void test_scan_after_many_lives(void **state)
{
    struct fixture *f = *state;
    for (u32 round = 0; round < 6; round++) {
        u64 slots = 150 + rng_below(&f->rng, 200);
        u64 trim = churn(f, slots);
        assert_true(trim > 0);
        /* The metadata may know of more that was filed than the session lived to trim. */
        for (u32 i = 0; i < 5; i++) {
            u64 known = i == 0 ? trim : rng_between(&f->rng, trim, slots);
            rescan_expect(f, known, UINT64_MAX, slots);
            u64 sealed = rng_between(&f->rng, known, slots);
            rescan_expect(f, known, sealed, sealed);
        }
        rescan_expect(f, slots, UINT64_MAX, slots);
        rescan_expect(f, slots, slots, slots);
    }
}

static void extents_swap(struct fixture *f, u32 one, u32 other)
{
    char path[2][200];
    char aside[200];
    assert_int_not_equal(one, other);
    extent_name(f, one, path[0]);
    extent_name(f, other, path[1]);
    file_path(f, "aside", aside);
    assert_int_equal(rename(path[0], aside), 0);
    assert_int_equal(rename(path[1], path[0]), 0);
    assert_int_equal(rename(aside, path[1]), 0);
}

static void test_scan_needs_what_was_not_filed(void **state)
{
    struct fixture *f = *state;
    f->spare_ns = SHORT_NS;
    begin(f, 1);
    write_until(f, 200);
    home_wal_trim(f->home, 1, 150);
    u32 first = number_of(f, 150, NULL);
    extents_wait(f, 3 + number_of(f, 199, NULL) - first + 2);
    fixture_close(f);
    rescan_expect(f, 150, UINT64_MAX, 200);
    /* Extents in the wrong order: what is missing behind the first is known from where it is now.
     */
    u32 last = number_of(f, 199, NULL);
    extents_swap(f, first, last);
    rescan_refused(f, 150, UINT64_MAX, "is missing or damaged");
    extents_swap(f, first, last);
    rescan_expect(f, 150, UINT64_MAX, 200);
    /* Metadata that is older than the data: what was filed since is not there. The spares are. */
    u64 gone = 0;
    while (number_of(f, gone, NULL) < 3) {
        gone++;
    }
    for (u64 trim = 0; trim < gone; trim++) {
        rescan_refused(f, trim, UINT64_MAX, "is missing or damaged");
    }
    rescan_refused(f, gone, UINT64_MAX, "is missing or damaged");
    /* Without the spares nothing begins early enough. */
    char path[200];
    for (u32 number = 0; number < 3; number++) {
        extent_name(f, number, path);
        assert_int_equal(unlink(path), 0);
    }
    rescan_refused(f, gone, UINT64_MAX, "has no extent that begins with it");
    rescan_refused(f, gone, 200, "the log was closed at slot 200");
    rescan_refused(f, 0, UINT64_MAX, "is missing or damaged");
    /* A gap above the trim, a damaged header below it. */
    u64 position;
    u64 second = 150;
    while (number_of(f, second, &position) == first || position == 0) {
        second++;
    }
    extent_name(f, number_of(f, second, NULL), path);
    char kept[200];
    file_path(f, "kept", kept);
    assert_int_equal(rename(path, kept), 0);
    rescan_refused(f, 150, UINT64_MAX, "is missing or damaged");
    assert_int_equal(rename(kept, path), 0);
    u64 filed = 149;
    if (number_of(f, filed, &position) == first) {
        extent_name(f, first, path);
        file_flip(path, position + 20);
        rescan_refused(f, 150, UINT64_MAX, position == 0 ? "no extent" : "were");
        file_flip(path, position + 20);
        /* Its index and its payload do not matter any more. */
        file_flip(path, position + f->frames[filed].header.index_pos);
    }
    rescan_expect(f, 150, UINT64_MAX, 200);
}

static void test_no_files(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    f->wal = 5;
    u64 length;
    assert_int_equal(wal_scan_from(f, 9, 9, &length), OK);
    assert_int_equal(length, 9);
    assert_int_equal(wal_scan_from(f, 9, UINT64_MAX, &length), ERR_CORRUPT);
    assert_non_null(strstr(home_reason(f->home), "no files"));
    assert_int_equal(wal_scan_from(f, 9, 10, &length), ERR_CORRUPT);
    fixture_close(f);
}

static void test_failures_of_the_scan(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 60);
    home_wal_trim(f->home, 1, 50);
    fixture_close(f);
    static const enum fault_verb verbs[] = {FAULT_OPEN, FAULT_LOCK, FAULT_SIZE, FAULT_READ_NOW,
                                            FAULT_SYNC};
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        u32 failures = 0;
        err_t e = ERR_IO;
        for (u32 after = 0; e != OK; after++) {
            u64 length = 12345;
            fixture_open(f);
            fault_set(verbs[i], after, ERR_IO);
            e = wal_scan_from(f, 50, UINT64_MAX, &length);
            assert_int_equal(e, fault.hits == 0 ? OK : ERR_IO);
            assert_int_equal(length, e == OK ? 60 : 12345);
            failures += e != OK;
            fault_set(FAULT_NONE, 0, OK);
            home_destroy(f->home);
        }
        assert_true(failures > 0);
    }
}

/* ---- what a crash leaves -----------------------------------------------------------------------
 */

/* Is there a frame of an earlier life where the next slot will be? */
static bool stale_behind(const struct fixture *f)
{
    u64 position;
    char path[200];
    u8 *bytes;
    extent_name(f, number_of(f, f->next_slot - 1, &position), path);
    position += f->frames[f->next_slot - 1].bytes;
    size_t size = file_get(path, &bytes);
    bool stale = position + 32 * KIB <= size && memcmp(bytes + position, "ODKFRAME", 8) == 0;
    mem_free(bytes);
    return stale;
}

/* The last frames did not arrive, or in part: what is in their place is not zeros but what an
   earlier life left. Every subset of those in flight, cut at every sector. */
static void test_torn_over_an_earlier_life(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    while (f->next_slot < 200 || !stale_behind(f)) {
        write_until(f, f->next_slot + 10);
        home_wal_trim(f->home, 1, f->next_slot - 5);
    }
    /* Four more, the bytes before them kept. */
    static u8 old[4][EXTENT_BYTES];
    u64 trim = f->next_slot - 5;
    u64 first = f->next_slot;
    for (u32 i = 0; i < FRAME_INFLIGHT_MAX; i++) {
        wal_make_frame(f, 4, 1500);
    }
    u64 positions[4];
    u32 numbers[4];
    for (u32 i = 0; i < 4; i++) {
        numbers[i] = number_of(f, first + i, &positions[i]);
        char path[200];
        u8 *bytes;
        extent_name(f, numbers[i], path);
        if (file_there(path)) {
            (void)file_get(path, &bytes);
            memcpy(old[i], bytes + positions[i], f->frames[first + i].bytes);
            mem_free(bytes);
        } /* else it is made for them, perhaps of a spare: zeros will do */
    }
    for (u32 i = 0; i < 4; i++) {
        wal_submit(f, first + i);
    }
    wal_wait(f, 0);
    fixture_close(f);
    rescan_expect(f, trim, UINT64_MAX, first + 4);
    char path[200];
    for (u32 arrived = 0; arrived < 16; arrived++) {
        u64 expected = first;
        while (expected < first + 4 && (arrived >> (expected - first) & 1) != 0) {
            expected++;
        }
        for (u32 i = 0; i < 4; i++) {
            const struct made_frame *frame = &f->frames[first + i];
            extent_name(f, numbers[i], path);
            file_poke(path, positions[i], arrived >> i & 1 ? frame->data : old[i], frame->bytes);
        }
        rescan_expect(f, trim, UINT64_MAX, expected);
        rescan_expect(f, first, UINT64_MAX, expected);
    }
    for (u32 cut = 0; cut < f->frames[first + 3].bytes; cut += 512) {
        extent_name(f, numbers[3], path);
        file_poke(path, positions[3], old[3], f->frames[first + 3].bytes);
        file_poke(path, positions[3], f->frames[first + 3].data, cut);
        rescan_expect(f, trim, UINT64_MAX, first + 3);
    }
}

/* Every extent that ever had a slot, as it was at its best; then all ways in which the directory
   may have kept or lost the names below the extent that stayed, with all ways in which the extent
   after the last may look. */
/* The next extent begins with a copy of a frame that is behind the first one of the extent that
   stayed: a block that a disk delivers in the wrong place. */
static void test_a_filed_slot_in_the_wrong_extent(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 60);
    u64 trim = 20;
    u64 position = 0;
    for (; position == 0; trim++) {
        (void)number_of(f, trim, &position);
    }
    u64 last;
    u32 next = number_of(f, f->next_slot - 1, &last) + 1;
    char path[200];
    extent_name(f, next, path);
    while (!file_there(path)) {
        io_turn(f->io, true);
    }
    home_wal_trim(f->home, 1, trim);
    fixture_close(f);
    rescan_expect(f, trim, UINT64_MAX, f->next_slot);
    file_poke(path, 0, f->frames[trim - 1].data, f->frames[trim - 1].bytes);
    rescan_expect(f, trim, UINT64_MAX, f->next_slot);
}

static void test_any_names_after_a_crash(void **state)
{
    struct fixture *f = *state;
    enum { LOWER = 3 };
    static u8 lives[LOWER][EXTENT_BYTES];
    char path[200];
    u8 *bytes;
    begin(f, 1);
    write_until(f, 140);
    u32 last = number_of(f, 139, NULL);
    assert_true(last > LOWER + 1);
    fixture_close(f);
    for (u32 number = 0; number < LOWER; number++) {
        extent_name(f, number, path);
        assert_int_equal(file_get(path, &bytes), EXTENT_BYTES);
        memcpy(lives[number], bytes, EXTENT_BYTES);
        mem_free(bytes);
    }
    u64 trim = 0; /* in extent LOWER */
    while (number_of(f, trim, NULL) < LOWER) {
        trim++;
    }
    u64 inside = trim + 1; /* not only its first slot */
    assert_int_equal(number_of(f, inside, NULL), LOWER);
    u8 torn[EXTENT_BYTES];
    u8 zeros[EXTENT_BYTES] = {0};
    memcpy(torn, lives[0], sizeof(torn));
    rng_fill(&f->rng, torn, 512);
    const u8 *nexts[] = {NULL, zeros, lives[0], lives[LOWER - 1], torn};
    for (u32 there = 0; there < 1u << LOWER; there++) {
        for (u32 number = 0; number < LOWER; number++) {
            extent_name(f, number, path);
            (void)unlink(path);
            if (there >> number & 1) {
                file_put(path, lives[number], EXTENT_BYTES);
            }
        }
        for (u32 i = 0; i < ARRAY_LEN(nexts); i++) {
            extent_name(f, last + 1, path);
            (void)unlink(path);
            if (nexts[i] != NULL) {
                file_put(path, nexts[i], EXTENT_BYTES);
            }
            rescan_expect(f, trim, UINT64_MAX, 140);
            rescan_expect(f, inside, UINT64_MAX, 140);
            rescan_expect(f, inside, 139, 139);
        }
    }
}

/* All that was written is filed, and the next extent is begun: the last one stays until a slot of
   the new one is durable, or a crash now would leave nothing to begin with. */
static void test_the_last_slot_stays(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 20);
    u32 number;
    do {
        number = number_of(f, f->next_slot - 1, NULL);
        home_wal_trim(f->home, 1, f->next_slot);
        assert_true(inode_of(f, number) != 0);
        wal_make_frame(f, 5, 3000);
        fault_set(FAULT_HOLD, 0, OK);
        wal_submit(f, f->next_slot - 1);
        while (fault.held == NULL) {
            io_turn(f->io, true);
        }
        home_wal_trim(f->home, 1, f->next_slot - 1);
        fixture_turns(f, 5);
        assert_true(inode_of(f, number) != 0);
        fault_release(f->io);
        wal_wait(f, 0);
    } while (number_of(f, f->next_slot - 1, NULL) < number + 1 || number < 4);
    u64 slots = f->next_slot;
    fixture_close(f);
    /* The new slot did not arrive. */
    char path[200];
    u8 noise[512];
    rng_fill(&f->rng, noise, sizeof(noise));
    extent_name(f, number + 1, path);
    file_poke(path, 0, noise, sizeof(noise));
    rescan_expect(f, slots - 1, UINT64_MAX, slots - 1);
}

/* ---- reads under way --------------------------------------------------------------------------
 */

static void test_a_read_keeps_its_extent(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    begin(f, 1);
    write_until(f, 30);
    assert_true(number_of(f, 29, NULL) >= 2);
    ino_t inode = inode_of(f, 0);
    struct made_frame *frame = &f->frames[0];
    struct read_wait wait = {
        .read = {.done = read_wait_done, .wal = 1, .slot = 0, .bytes = frame->bytes}};
    wait.read.blob = blob_get(&pool, home_read_room(f->home, frame->bytes));
    assert_int_equal(slot_read(f, &pool, 0), OK);
    fault_set(FAULT_HOLD_READ, 0, OK);
    home_wal_read(f->home, &wait.read);
    assert_non_null(fault.held_read);
    home_wal_trim(f->home, 1, f->next_slot);
    assert_int_equal(slot_read(f, &pool, 0), ERR_NOT_FOUND);
    u32 number = number_of(f, f->next_slot - 1, NULL);
    while (number_of(f, f->next_slot - 1, NULL) < number + 5) {
        write_until(f, f->next_slot + 5);
        home_wal_trim(f->home, 1, f->next_slot);
    }
    assert_int_equal(inode_of(f, 0), inode); /* others were used meanwhile */
    fault_release_read(f->io);
    while (!wait.done) {
        io_turn(f->io, true);
    }
    assert_int_equal(wait.result, OK);
    assert_memory_equal(wait.read.blob->data + wait.read.blob_offset, frame->data, frame->bytes);
    while (inode_of(f, 0) != 0) { /* used again now, or gone */
        write_until(f, f->next_slot + 5);
        home_wal_trim(f->home, 1, f->next_slot);
    }
    u64 trim = f->next_slot;
    fixture_close(f);
    rescan_expect(f, trim, UINT64_MAX, trim);
    blob_unref(wait.read.blob);
    blob_pool_fini(&pool);
}

/* The io has died: what was under way is forgotten, and destroy has to do with that. */
static void test_destroyed_while_an_extent_leaves(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    begin(f, 1);
    write_until(f, 30);
    assert_int_equal(slot_read(f, &pool, 0), OK);
    struct read_wait wait = {.read = {.done = read_wait_done, .wal = 1, .slot = 0, .bytes = 1}};
    wait.read.blob = blob_get(&pool, home_read_room(f->home, 1));
    fault_set(FAULT_HOLD_READ, 0, OK);
    home_wal_read(f->home, &wait.read);
    home_wal_trim(f->home, 1, f->next_slot);
    fixture_close(f);
    assert_false(wait.done);
    fault.held_read = NULL;
    blob_unref(wait.read.blob);
    blob_pool_fini(&pool);
}

/* ---- another session's WAL --------------------------------------------------------------------
 */

static void test_an_earlier_wal_is_removed(void **state)
{
    struct fixture *f = *state;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    begin(f, 1);
    write_until(f, 200);
    fixture_close(f);
    u32 all = extents_there(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
    struct home_usage usage;
    home_usage(f->home, &usage);
    assert_int_equal(usage.wal_bytes, (u64)all * EXTENT_BYTES);
    assert_int_equal(home_wal_start(f->home, 2, 77), OK);
    home_wal_trim(f->home, 1, 100);
    u32 first = number_of(f, 100, NULL);
    extents_wait(f, all - first);
    home_usage(f->home, &usage);
    assert_int_equal(usage.wal_bytes, (u64)(all - first) * EXTENT_BYTES);
    for (u64 slot = 90; slot < 200; slot++) {
        assert_int_equal(slot_read(f, &pool, slot), slot < 100 ? ERR_NOT_FOUND : OK);
    }
    home_destroy(f->home);
    rescan_expect(f, 100, 200, 200);
    rescan_expect(f, 123, 200, 200);
    fixture_open(f);
    assert_int_equal(wal_scan_from(f, 123, 200, &length), OK);
    home_wal_trim(f->home, 1, 200); /* its end: nothing is left to begin a scan with */
    extents_wait(f, 0);
    assert_int_equal(slot_read(f, &pool, 199), ERR_NOT_FOUND);
    home_usage(f->home, &usage);
    assert_int_equal(usage.wal_bytes, 0);
    home_wal_trim(f->home, 1, UINT64_MAX);
    home_destroy(f->home);
    rescan_expect(f, 200, 200, 200);
    blob_pool_fini(&pool);
}

/* Known to be filed from the start: it was not looked at. */
static void test_a_retired_wal_that_was_not_scanned(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 60);
    fixture_close(f);
    fixture_open(f);
    u64 length;
    assert_int_equal(wal_scan_from(f, 60, 60, &length), OK);
    assert_int_equal(length, 60);
    fault_set(FAULT_UNLINK, 0, ERR_IO);
    home_wal_trim(f->home, 1, UINT64_MAX);
    u32 all = extents_there(f);
    while (fault.hits < all) {
        io_turn(f->io, true);
    }
    fault_set(FAULT_NONE, 0, OK);
    assert_int_equal(extents_there(f), all); /* they could not be removed: next time */
    home_destroy(f->home);
    fixture_open(f);
    home_wal_trim(f->home, 1, UINT64_MAX);
    extents_wait(f, 0);
    home_destroy(f->home);
}

/* ---- failures ---------------------------------------------------------------------------------
 */

/* Slots up to the last that fits the current extent; one is trimmed and waits to be used. */
static void until_a_spare_is_next(struct fixture *f)
{
    begin(f, f->wal + 1);
    write_until(f, 40);
    home_wal_trim(f->home, f->wal, 40);
}

static void test_failing_reuse_fences(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_RENAME, FAULT_LOCK, FAULT_SYNC_DIR, FAULT_OPEN};
    for (u32 v = 0; v < ARRAY_LEN(verbs); v++) {
        until_a_spare_is_next(f);
        fault_set(verbs[v], 0, ERR_IO);
        u64 trim = f->next_slot;
        while (!home_fenced(f->home)) {
            wal_make_frame(f, 5, 3000);
            wal_submit(f, f->next_slot - 1);
            wal_wait(f, 0);
            fixture_turns(f, 3);
        }
        fault_set(FAULT_NONE, 0, OK);
        assert_non_null(strstr(home_reason(f->home), "Making the extent"));
        home_wal_trim(f->home, f->wal, trim); /* nothing any more */
        fixture_close(f);
        f->failures = 0;
        fixture_open(f);
        u64 length;
        assert_int_equal(wal_scan_from(f, trim, UINT64_MAX, &length), OK);
        assert_true(length >= f->durable); /* one that was under way may have arrived */
        home_destroy(f->home);
    }
}

/* The spare goes, and the next attempt makes one anew. */
static void test_no_space_for_reuse(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_RENAME, FAULT_SYNC_DIR};
    for (u32 v = 0; v < ARRAY_LEN(verbs); v++) {
        until_a_spare_is_next(f);
        u32 retried = 0;
        while (f->next_slot < 120) {
            fault_set(verbs[v], 0, ERR_NO_SPACE);
            wal_make_frame(f, 4, 3000);
            u64 slot = f->next_slot - 1;
            wal_submit(f, slot);
            wal_wait(f, 0);
            if (f->last_result == ERR_NO_SPACE) {
                retried++;
                fault_set(FAULT_NONE, 0, OK);
                wal_submit(f, slot);
                wal_wait(f, 0);
            }
            assert_int_equal(f->last_result, OK);
        }
        fault_set(FAULT_NONE, 0, OK);
        assert_false(home_fenced(f->home));
        assert_true(retried > 0);
        fixture_close(f);
        f->failures = 0;
        rescan_expect(f, 40, UINT64_MAX, 120);
    }
}

/* Writes that wait for a slot before them end too. */
static void test_fence_ends_what_waits(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    write_until(f, 6);
    fault_set(FAULT_HOLD, 0, OK);
    for (u32 i = 0; i < 6; i++) {
        wal_make_frame(f, 1, 1000);
        wal_submit(f, 6 + i);
    }
    wal_wait(f, 3); /* 6 is held, 10 and 11 wait for it */
    home_fence_now(f->home, "A pack could not be synced.");
    wal_wait(f, 1);
    assert_int_equal(f->last_result, ERR_IO);
    fault_release(f->io);
    wal_wait(f, 0);
    assert_int_equal(f->last_result, ERR_IO); /* it may be durable; nobody is told so */
    assert_false(f->written[6]);
    assert_string_equal(home_reason(f->home), "A pack could not be synced.");
    fixture_close(f);
    f->failures = 0;
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown((test), setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_what_is_trimmed_is_gone),
        ROW(test_extents_are_used_again),
        ROW(test_few_are_kept),
        ROW(test_none_is_kept_on_a_small_disk),
        ROW(test_scan_after_many_lives),
        ROW(test_scan_needs_what_was_not_filed),
        ROW(test_no_files),
        ROW(test_failures_of_the_scan),
        ROW(test_torn_over_an_earlier_life),
        ROW(test_a_filed_slot_in_the_wrong_extent),
        ROW(test_any_names_after_a_crash),
        ROW(test_the_last_slot_stays),
        ROW(test_a_read_keeps_its_extent),
        ROW(test_destroyed_while_an_extent_leaves),
        ROW(test_an_earlier_wal_is_removed),
        ROW(test_a_retired_wal_that_was_not_scanned),
        ROW(test_failing_reuse_fences),
        ROW(test_no_space_for_reuse),
        ROW(test_fence_ends_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
