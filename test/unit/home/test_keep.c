/* Proves what the door says of WAL extents that become packs as they are: only what is complete and
   durable is offered; runs in the frames and copied ones behind them are loaded, read and scrubbed
   as those of any pack; whatever goes wrong leaves no second name and a WAL that scans; the first
   name goes with the trim and the file is never written to again; a start keeps the pack or sweeps
   it, and the WAL does not care; and any flipped bit of what is not payload is refused. */
#include "kept.h"

enum { NUMBERS_MAX = 128 };

/* The slots that are kept. */
static u64 kept_from;
static u64 kept_to;

static struct fixture fixture;

static int setup(void **state)
{
    return fixture_setup(&fixture, state);
}

/* Workers have made the extent ahead, and removed what was to go. */
static void workers_rest(struct fixture *f)
{
    io_turn(f->io, false);
    while (io_linux_busy(f->io)) {
        io_turn(f->io, true);
    }
}

static void write_slots(struct fixture *f, u32 count)
{
    wal_write_many(f, count, 5, 6000);
    assert_int_equal(f->failures, 0);
    workers_rest(f);
}

/* The slot behind the last one of `slot`'s extent, by the rule of formats.md; 0: it goes on. */
static u64 extent_end(const struct fixture *f, u64 slot)
{
    u64 at = 0;
    for (u64 s = 0; s < f->next_slot; s++) {
        if (at + f->frames[s].bytes > EXTENT_BYTES) {
            at = 0;
            if (s > slot) {
                return s;
            }
        }
        at += f->frames[s].bytes;
    }
    return 0;
}

/* ---- making one -------------------------------------------------------------------------------
 */

static struct home_slots *slots_find(struct fixture *f, u64 from, u64 to)
{
    struct home_slots *s;
    assert_int_equal(home_slots_find(f->home, f->wal, f->nonce, from, to, &s), OK);
    return s;
}

/* What is in the extent from `from` on; it is written to its end. */
static struct home_slots *slots_to_keep(struct fixture *f, u64 from)
{
    u64 to;
    while (!home_slots_keepable(f->home, from, &to)) {
        write_slots(f, 1);
    }
    kept_from = from;
    kept_to = to;
    struct home_slots *s = slots_find(f, from, to);
    home_slots_keep(s, true, 0);
    return s;
}

static void draw(struct fixture *f, struct home_slots *s, u64 id, u32 copied, u32 copied_bytes_max)
{
    u32 at = (u32)home_slots_position(s, kept_from);
    kept_draw(&f->rng, f, id, kept_from, kept_to, at, copied, copied_bytes_max);
    u64 last = kept_to - 1;
    assert_int_equal(home_slots_position(s, last) + f->frames[last].bytes, kept.frames_end);
}

/* Extent and copied runs become pack `id`. */
static void keep(struct fixture *f, u64 id, u64 from, u32 copied, u32 copied_bytes_max)
{
    struct home_slots *s = slots_to_keep(f, from);
    draw(f, s, id, copied, copied_bytes_max);
    assert_int_equal(kept_write(&f->rng, s), OK);
    home_slots_free(s);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void expect_read_back(struct fixture *f)
{
    struct made_pack *m = &kept.made;
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", &f->quota, 4096, 0);
    for (u32 i = 0; i < m->run_count; i += 1 + i / 40) {
        u8 *bytes = mem_alloc(m->runs[i].bytes);
        assert_int_equal(pack_read(f, &pool, m->pack.id, m->runs[i].pos, m->runs[i].bytes, bytes),
                         OK);
        assert_memory_equal(bytes, kept.sources[i], m->runs[i].bytes);
        mem_free(bytes);
    }
    blob_pool_fini(&pool);
}

/* In the order of the index, as rewriting does. Nothing is read ahead of what is asked for: the
   next run is elsewhere. */
static void expect_front_to_back(struct fixture *f)
{
    static u8 buffer[16 * KIB] __attribute__((aligned(BLOB_ALIGN)));
    struct made_pack *m = &kept.made;
    struct pack_reader *r;
    assert_int_equal(pack_open(f->home, m->pack, buffer, sizeof(buffer), &r), OK);
    for (u32 i = 0; i < m->run_count; i++) {
        u8 *bytes = mem_alloc(m->runs[i].bytes);
        u64 before = fault.read_now_bytes;
        assert_int_equal(pack_bytes(r, m->runs[i].pos, m->runs[i].bytes, bytes), OK);
        assert_memory_equal(bytes, kept.sources[i], m->runs[i].bytes);
        mem_free(bytes);
        /* And the blocks that its ends are in. */
        assert_true(fault.read_now_bytes - before <= m->runs[i].bytes + 2 * 4096u);
    }
    u8 byte;
    assert_int_equal(pack_bytes(r, (u32)m->pack.bytes, 1, &byte), ERR_CORRUPT);
    assert_int_equal(pack_bytes(r, (u32)m->pack.bytes - 1, 1, &byte), OK);
    pack_close(r);
}

struct said {
    u32 bad;
    struct pack_run run;
};

static void note_bad(void *user, const struct pack_run *run, err_t why, const u8 *bytes)
{
    struct said *said = user;
    (void)bytes;
    assert_int_equal(why, ERR_CORRUPT);
    said->bad++;
    said->run = *run;
}

static struct said scrub(struct fixture *f)
{
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    struct said said = {0};
    struct pack_scrub s = {
        .pack = kept.made.pack,
        .buffer = buffer,
        .buffer_bytes = sizeof(buffer),
        .bytes_max = 20000,
        .bad = note_bad,
        .user = &said,
    };
    do {
        assert_int_equal(pack_scrub(f->home, &s), OK);
        assert_int_equal(s.run_count, kept.made.run_count);
    } while (s.next_run < s.run_count);
    return said;
}

static void expect_sound(struct fixture *f)
{
    assert_int_equal(made_pack_load(f->home, &kept.made), OK);
    expect_read_back(f);
    expect_front_to_back(f);
    assert_int_equal(scrub(f).bad, 0);
}

/* What a start does: every slot from `trim` on is there. */
static void expect_scan(struct fixture *f, u64 trim)
{
    u64 length = 0;
    if (wal_scan_from(f, trim, UINT64_MAX, &length) != OK) {
        fail_msg("%s", home_reason(f->home));
    }
    assert_int_equal(length, f->next_slot);
    assert_int_equal(f->scanned, f->next_slot);
    assert_int_equal(f->damaged, 0);
}

static void reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static bool pack_there(const struct fixture *f, u64 id)
{
    char path[200];
    pack_name(f, id, path);
    return file_there(path);
}

static bool extent_there(const struct fixture *f, u32 number)
{
    char path[200];
    extent_name(f, number, path);
    return file_there(path);
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* ---- what may be kept -------------------------------------------------------------------------
 */

static void test_complete_extents_are_keepable(void **state)
{
    struct fixture *f = *state;
    u64 to = 12345;
    wal_begin(f, 3);
    assert_false(home_slots_keepable(f->home, 0, &to));
    write_slots(f, 60);
    u32 whole = 0;
    for (u64 slot = 0; slot < f->next_slot; slot++) { /* from the middle of an extent, too */
        u64 end = extent_end(f, slot);
        to = 12345;
        assert_int_equal(home_slots_keepable(f->home, slot, &to), end != 0);
        assert_int_equal(to, end != 0 ? end : 12345);
        whole += end != 0;
    }
    assert_in_range(whole, 20, 59);
    assert_false(home_slots_keepable(f->home, f->next_slot, &to));
    /* What is filed is nothing to keep. */
    u64 trim = extent_end(f, 0);
    home_wal_trim(f->home, 3, trim);
    assert_false(home_slots_keepable(f->home, trim - 1, &to));
    assert_true(home_slots_keepable(f->home, trim, &to));
}

static void test_slots_in_flight_are_not_keepable(void **state)
{
    struct fixture *f = *state;
    u64 to;
    wal_begin(f, 3);
    while (extent_end(f, 0) == 0 || f->next_slot < extent_end(f, 0) + 3) {
        wal_make_frame(f, 4, 3000);
    }
    u64 end = extent_end(f, 0);
    fault_set(FAULT_HOLD, (u32)end - 1, OK); /* the extent's last one */
    for (u64 slot = 0; slot < f->next_slot; slot++) {
        wal_wait(f, FRAME_INFLIGHT_MAX - 1);
        wal_submit(f, slot);
    }
    wal_wait(f, 1);
    assert_false(f->written[end - 1]);
    assert_true(f->written[end]);
    assert_false(home_slots_keepable(f->home, 0, &to));
    fault_release(f->io);
    wal_wait(f, 0);
    assert_true(home_slots_keepable(f->home, 0, &to));
    assert_int_equal(to, end);
    workers_rest(f);
}

/* The next extent has begun and nothing in it is durable yet: the one before is complete. */
static void test_keepable_before_the_next_is_durable(void **state)
{
    struct fixture *f = *state;
    u64 to;
    wal_begin(f, 3);
    while (extent_end(f, 0) == 0) {
        wal_make_frame(f, 4, 3000);
    }
    u64 end = extent_end(f, 0);
    assert_int_equal(end, f->next_slot - 1);
    fault_set(FAULT_HOLD, (u32)end, OK);
    for (u64 slot = 0; slot < f->next_slot; slot++) {
        wal_wait(f, FRAME_INFLIGHT_MAX - 1);
        wal_submit(f, slot);
    }
    while (f->durable < end || fault.held == NULL) {
        io_turn(f->io, true);
    }
    assert_true(home_slots_keepable(f->home, 0, &to));
    assert_int_equal(to, end);
    /* The extent stays where it is until there is another to begin a scan with. */
    keep(f, 7, 0, 2, 100);
    home_wal_trim(f->home, 3, end);
    expect_sound(f);
    assert_true(extent_there(f, 0));
    fault_release(f->io);
    wal_wait(f, 0);
    home_wal_trim(f->home, 3, end);
    workers_rest(f);
    assert_false(extent_there(f, 0));
    expect_sound(f);
}

/* ---- packs ------------------------------------------------------------------------------------
 */

/* By the rule of formats.md. */
static u64 index_position(bool *fits)
{
    const struct made_pack *m = &kept.made;
    u64 bytes = ROUND_UP(64ull * m->run_count + 40ull * m->producer_count + 64, 4096ull);
    u64 payload_end = kept.frames_end + kept.copied_bytes;
    *fits = ROUND_UP(payload_end, 4096ull) + bytes <= EXTENT_BYTES;
    return *fits ? EXTENT_BYTES - bytes : payload_end;
}

static void test_what_is_kept_is_read(void **state)
{
    struct fixture *f = *state;
    u32 inside = 0;
    u32 behind = 0;
    u64 from = 0;
    u64 used = 0;
    wal_begin(f, 3);
    for (u32 i = 0; i < 40 && (inside < 2 || behind < 2 || i < 12); i++) {
        static const u32 copied[] = {0, 3, 900, 40};
        if (i % 3 == 2 && extent_end(f, from) != from + 1) { /* of one without its first slot */
            from++;
        }
        keep(f, i, from, copied[i % 4], i % 8 == 7 ? COPIED_MAX : 60);
        from = kept_to;
        bool fits;
        u64 end_of_index = index_position(&fits) + 64ull * kept.made.run_count +
                           40ull * kept.made.producer_count + 64;
        assert_int_equal(kept.made.pack.bytes,
                         fits ? (u64)EXTENT_BYTES : ROUND_UP(end_of_index, 4096ull));
        inside += fits;
        behind += !fits;
        expect_sound(f);
        struct home_usage usage;
        home_usage(f->home, &usage);
        used += kept.made.pack.bytes;
        assert_int_equal(usage.pack_bytes, used);
    }
    assert_in_range(inside, 2, 40);
    assert_in_range(behind, 2, 40);
    /* To the WAL they are extents as before. */
    reopen(f);
    expect_scan(f, 0);
}

static void test_a_flipped_payload_byte_is_of_one_run(void **state)
{
    struct fixture *f = *state;
    char path[200];
    wal_begin(f, 3);
    write_slots(f, 20);
    keep(f, 9, 0, 6, 3000);
    pack_name(f, 9, path);
    for (u32 i = 0; i < kept.made.run_count; i++) {
        const struct pack_run *run = &kept.made.runs[i];
        u64 at = run->pos + rng_below(&f->rng, run->bytes);
        file_flip(path, at);
        assert_int_equal(made_pack_load(f->home, &kept.made), OK); /* does not look */
        struct said said = scrub(f);
        assert_int_equal(said.bad, 1);
        assert_int_equal(said.run.pos, run->pos);
        assert_int_equal(said.run.base_offset, run->base_offset);
        file_flip(path, at);
    }
    assert_int_equal(scrub(f).bad, 0);
}

static void load_refused(struct fixture *f, const char *word)
{
    char place[64];
    snprintf(place, sizeof(place), "Pack %016llx", (unsigned long long)kept.made.pack.id);
    assert_int_equal(made_pack_load(f->home, &kept.made), ERR_CORRUPT);
    assert_int_equal(kept.made.runs_seen, 0);
    if (strstr(home_reason(f->home), word) == NULL || strstr(home_reason(f->home), place) == NULL) {
        fail_msg("'%s' of '%s' is not in: %s", word, place, home_reason(f->home));
    }
}

static void test_any_flipped_byte_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[200];
    wal_begin(f, 3);
    write_slots(f, 20);
    keep(f, 9, 0, 6, 300);
    pack_name(f, 9, path);
    u64 end = kept.made.pack.bytes;
    bool fits;
    u64 runs = index_position(&fits);
    u64 producers = runs + 64ull * kept.made.run_count;
    u64 padding = producers + 40ull * kept.made.producer_count;
    u64 trailer = end - 64;
    for (u64 at = 0; at < end; at++) {
        const char *word = at < 128         ? "the header"
                           : at < runs      ? NULL
                           : at < producers ? "the index"
                           : at < padding   ? "the producers"
                           : at >= trailer  ? "the trailer"
                                            : NULL;
        if (word == NULL) {
            continue;
        }
        file_flip(path, at);
        load_refused(f, word);
        file_flip(path, at);
    }
    assert_int_equal(made_pack_load(f->home, &kept.made), OK);
    /* A good frame in front, but another one. */
    u8 *bytes;
    (void)file_get(path, &bytes);
    file_poke(path, 0, f->frames[1].data, 128);
    load_refused(f, "the trailer");
    file_poke(path, 0, bytes, 128);
    mem_free(bytes);
    assert_int_equal(made_pack_load(f->home, &kept.made), OK);
}

/* ---- what goes wrong --------------------------------------------------------------------------
 */

/* Every call of every verb fails once. No second name is left, the id and the extent are free for
   the next attempt, and the WAL is what it was. */
static void test_failures_leave_the_wal(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum fault_verb verb;
        err_t error;
        u32 calls; /* there are, at least */
    } faults[] = {
        {FAULT_LINK, ERR_UNSUPPORTED, 1}, {FAULT_LINK, ERR_EXISTS, 1},
        {FAULT_LINK, ERR_NO_SPACE, 1},    {FAULT_LINK, ERR_IO, 1},
        {FAULT_WRITE_NOW, ERR_IO, 2},     {FAULT_WRITE_NOW, ERR_NO_SPACE, 2},
        {FAULT_SYNC, ERR_IO, 1},          {FAULT_SYNC, ERR_NO_SPACE, 1},
        {FAULT_SYNC_DIR, ERR_IO, 1},      {FAULT_OPEN, ERR_IO, 1},
        {FAULT_OPEN, ERR_NOT_FOUND, 1},   {FAULT_SIZE, ERR_IO, 1},
        {FAULT_READ_NOW, ERR_IO, 1},
    };
    u64 from = 0;
    wal_begin(f, 3);
    for (u32 i = 0; i < ARRAY_LEN(faults); i++) {
        struct home_slots *s = slots_to_keep(f, from);
        draw(f, s, 50 + i, 60, 3000);
        u32 failures = 0;
        err_t e = ERR_IO;
        while (e != OK) {
            fault_set(faults[i].verb, failures, faults[i].error);
            e = kept_write(&f->rng, s);
            assert_true(e == OK || e == faults[i].error);
            assert_int_equal(e == OK, fault.hits == 0);
            fault_set(FAULT_NONE, 0, OK);
            assert_int_equal(pack_there(f, 50 + i), e == OK);
            failures += e != OK;
        }
        assert_in_range(failures, faults[i].calls, 20);
        home_slots_free(s);
        expect_sound(f);
        assert_false(home_fenced(f->home)); /* that is for the caller to say */
        from = kept_to;
    }
    reopen(f);
    expect_scan(f, 0);
}

/* After every failure a start finds the WAL whole, whatever was written behind the frames. */
static void test_a_start_after_a_failure(void **state)
{
    struct fixture *f = *state;
    static const enum fault_verb verbs[] = {FAULT_LINK, FAULT_SYNC, FAULT_SYNC_DIR,
                                            FAULT_WRITE_NOW};
    wal_begin(f, 3);
    write_slots(f, 30);
    struct home_slots *s = slots_to_keep(f, 0);
    draw(f, s, 5, 900, 60);
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        fault_set(verbs[i], verbs[i] == FAULT_WRITE_NOW ? 1 : 0, ERR_IO);
        assert_int_equal(kept_write(&f->rng, s), ERR_IO);
        fault_set(FAULT_NONE, 0, OK);
    }
    home_slots_free(s);
    assert_false(pack_there(f, 5));
    reopen(f);
    expect_scan(f, 0);
    u64 next;
    assert_int_equal(home_packs_sweep(f->home, NULL, 0, &next), OK);
    assert_int_equal(next, 0);
}

static void test_a_name_that_is_taken(void **state)
{
    struct fixture *f = *state;
    char path[200];
    wal_begin(f, 3);
    write_slots(f, 20);
    pack_name(f, 5, path);
    file_put(path, "another's", 9);
    struct home_slots *s = slots_to_keep(f, 0);
    draw(f, s, 5, 3, 300);
    assert_int_equal(kept_write(&f->rng, s), ERR_EXISTS);
    u8 *bytes;
    assert_int_equal(file_get(path, &bytes), 9); /* it stays what it was */
    assert_memory_equal(bytes, "another's", 9);
    mem_free(bytes);
    draw(f, s, 6, 3, 300);
    assert_int_equal(kept_write(&f->rng, s), OK);
    home_slots_free(s);
    expect_sound(f);
}

static void test_abandoned(void **state)
{
    struct fixture *f = *state;
    static u8 buffer[PACK_BUFFER_BYTES] __attribute__((aligned(BLOB_ALIGN)));
    wal_begin(f, 3);
    write_slots(f, 30);
    struct home_slots *s = slots_to_keep(f, 0);
    for (u32 i = 0; i < 8; i++) {
        draw(f, s, 5, 90, 3000);
        struct pack_writer *w;
        assert_int_equal(pack_keep(s, 5, kept.frames_end, buffer, sizeof(buffer), &w), OK);
        u32 bytes = i == 0 ? 0 : (u32)rng_below(&f->rng, kept.copied_bytes);
        assert_int_equal(pack_write(w, kept.copied, bytes), OK);
        pack_abandon(w);
        assert_false(pack_there(f, 5));
        struct home_usage usage;
        home_usage(f->home, &usage);
        assert_int_equal(usage.pack_bytes, 0);
    }
    home_slots_free(s);
    reopen(f);
    expect_scan(f, 0);
}

/* What the WAL's file begins with is not what it was written with: nothing is made of it. */
static void test_a_damaged_extent_is_not_kept(void **state)
{
    struct fixture *f = *state;
    char path[200];
    wal_begin(f, 3);
    write_slots(f, 20);
    struct home_slots *s = slots_to_keep(f, 0);
    draw(f, s, 5, 3, 300);
    extent_name(f, 0, path);
    file_flip(path, 20);
    assert_int_equal(kept_write(&f->rng, s), ERR_CORRUPT);
    file_flip(path, 20);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(kept_write(&f->rng, s), ERR_CORRUPT);
    assert_false(pack_there(f, 5));
    home_slots_free(s);
}

/* ---- afterwards -------------------------------------------------------------------------------
 */

/* Trims all but the last slot, and writes on. *reused: extents that are the file of an earlier one.
 */
static u32 wal_goes_on(struct fixture *f, u64 id, u32 rounds)
{
    char path[200];
    ino_t inodes[NUMBERS_MAX] = {0};
    u32 reused = 0;
    pack_name(f, id, path);
    ino_t pack = inode_of(path);
    assert_true(pack != 0);
    for (u32 round = 0; round < rounds; round++) {
        write_slots(f, 10);
        for (u32 number = 0; number < NUMBERS_MAX; number++) {
            extent_name(f, number, path);
            ino_t inode = inode_of(path);
            assert_int_not_equal(inode, pack);
            for (u32 i = 0; i < number && inode != 0 && inodes[number] == 0; i++) {
                reused += inodes[i] == inode;
            }
            inodes[number] = inode != 0 ? inode : inodes[number];
        }
        home_wal_trim(f->home, f->wal, f->next_slot - 1);
        workers_rest(f);
    }
    return reused;
}

static void test_the_first_name_goes_with_the_trim(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    write_slots(f, 20);
    keep(f, 4, 0, 5, 500);
    assert_true(extent_there(f, 0));
    home_wal_trim(f->home, 3, kept_to);
    workers_rest(f);
    assert_false(extent_there(f, 0));
    expect_sound(f);
    u32 reused = wal_goes_on(f, 4, 20);
    assert_in_range(reused, 1, NUMBERS_MAX * NUMBERS_MAX); /* others are used again */
    assert_false(extent_there(f, 0));
    expect_sound(f);
    /* And the pack goes like any other. */
    home_pack_remove(f->home, 4);
    workers_rest(f);
    assert_false(pack_there(f, 4));
}

/* Filing began to keep it and the pack failed: its second name may be on the medium. */
static void test_a_failed_one_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    char path[200];
    wal_begin(f, 3);
    write_slots(f, 20);
    extent_name(f, 0, path);
    struct home_slots *s = slots_to_keep(f, 0);
    draw(f, s, 4, 5, 500);
    fault_set(FAULT_SYNC_DIR, 0, ERR_IO);
    assert_int_equal(kept_write(&f->rng, s), ERR_IO);
    fault_set(FAULT_NONE, 0, OK);
    home_slots_free(s);
    /* As if the name had come back. */
    char name[200];
    pack_name(f, 4, name);
    assert_int_equal(link(path, name), 0);
    home_wal_trim(f->home, 3, kept_to);
    workers_rest(f);
    (void)wal_goes_on(f, 4, 20);
}

/* Nobody made a pack of it after all: it is an extent like any other. */
static void test_not_kept_after_all(void **state)
{
    struct fixture *f = *state;
    char path[200];
    wal_begin(f, 3);
    write_slots(f, 20);
    extent_name(f, 0, path);
    ino_t first = inode_of(path);
    struct home_slots *s = slots_to_keep(f, 0);
    home_slots_keep(s, false, 0);
    home_slots_free(s);
    home_wal_trim(f->home, 3, kept_to);
    u32 reused = 0;
    while (f->next_slot < 200) {
        write_slots(f, 10);
        for (u32 number = 1; number < NUMBERS_MAX; number++) {
            extent_name(f, number, path);
            reused += inode_of(path) == first;
        }
    }
    assert_true(reused > 0);
}

/* Slots that are held have their extent's first name, whatever is trimmed. */
static void test_held_while_trimmed(void **state)
{
    struct fixture *f = *state;
    wal_begin(f, 3);
    write_slots(f, 20);
    struct home_slots *s = slots_to_keep(f, 0);
    draw(f, s, 4, 5, 500);
    home_wal_trim(f->home, 3, f->next_slot);
    workers_rest(f);
    assert_true(extent_there(f, 0));
    assert_int_equal(kept_write(&f->rng, s), OK);
    home_slots_free(s);
    workers_rest(f);
    assert_false(extent_there(f, 0));
    expect_sound(f);
}

/* ---- restarts ---------------------------------------------------------------------------------
 */

static void test_a_start_sweeps_what_is_not_named(void **state)
{
    struct fixture *f = *state;
    u64 next;
    wal_begin(f, 3);
    write_slots(f, 30);
    keep(f, 4, 0, 900, 60);
    reopen(f);
    expect_scan(f, 0);
    assert_true(pack_there(f, 4));
    assert_int_equal(home_packs_sweep(f->home, NULL, 0, &next), OK);
    assert_int_equal(next, 5);
    assert_false(pack_there(f, 4));
    reopen(f);
    expect_scan(f, 0);
}

static void test_a_start_keeps_what_is_named(void **state)
{
    struct fixture *f = *state;
    u64 next;
    wal_begin(f, 3);
    write_slots(f, 30);
    u64 end = extent_end(f, 0);
    for (u32 i = 0; i < 3; i++) {
        /* From the WAL's side: it was trimmed, or not yet. */
        if (i == 0) {
            keep(f, 4, 0, 300, 300);
        }
        reopen(f);
        expect_scan(f, i == 1 ? 0 : end);
        assert_int_equal(home_packs_sweep(f->home, &kept.made.pack, 1, &next), OK);
        assert_int_equal(next, 5);
        expect_sound(f);
    }
    /* The session is over and its files go; the pack has a name of its own. */
    home_wal_remove(f->home, 3);
    assert_false(extent_there(f, 0));
    expect_sound(f);
}

/* The first name came back: the trim was not synced. */
static void test_a_first_name_that_came_back(void **state)
{
    struct fixture *f = *state;
    char extent[200];
    char name[200];
    u64 next;
    wal_begin(f, 3);
    write_slots(f, 30);
    keep(f, 4, 0, 30, 300);
    home_wal_trim(f->home, 3, kept_to);
    workers_rest(f);
    extent_name(f, 0, extent);
    assert_false(file_there(extent));
    pack_name(f, 4, name);
    assert_int_equal(link(name, extent), 0);
    reopen(f);
    expect_scan(f, kept_to);
    assert_int_equal(home_wal_start(f->home, 4, 1), OK);
    home_wal_trim(f->home, 3, kept_to);
    workers_rest(f);
    assert_false(file_there(extent));
    assert_int_equal(home_packs_sweep(f->home, &kept.made.pack, 1, &next), OK);
    expect_sound(f);
}

int main(void)
{
#define DISK(test) cmocka_unit_test_setup_teardown((test), setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        DISK(test_complete_extents_are_keepable),
        DISK(test_slots_in_flight_are_not_keepable),
        DISK(test_keepable_before_the_next_is_durable),
        DISK(test_what_is_kept_is_read),
        DISK(test_a_flipped_payload_byte_is_of_one_run),
        DISK(test_any_flipped_byte_is_refused),
        DISK(test_failures_leave_the_wal),
        DISK(test_a_start_after_a_failure),
        DISK(test_a_name_that_is_taken),
        DISK(test_abandoned),
        DISK(test_a_damaged_extent_is_not_kept),
        DISK(test_the_first_name_goes_with_the_trim),
        DISK(test_a_failed_one_is_not_used_again),
        DISK(test_not_kept_after_all),
        DISK(test_held_while_trimmed),
        DISK(test_a_start_sweeps_what_is_not_named),
        DISK(test_a_start_keeps_what_is_named),
        DISK(test_a_first_name_that_came_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
