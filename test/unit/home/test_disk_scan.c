/* Proves recovery: a WAL is found again slot by slot whatever its frames' sizes; its end, torn at
   every sector of the last frames and with any of the frames in flight missing, is cut there and
   nowhere else; damage below what was durable is refused (header, index) or quarantined (payload);
   frames of other sessions, other WALs and other chains are never believed; a sealed WAL has
   exactly its length. */
#include "disk_fixture.h"

static struct fixture fixture;

static int setup(void **state)
{
    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
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

static err_t rescan(struct fixture *f, u64 sealed_length, u64 *length)
{
    fixture_open(f);
    err_t e = wal_scan(f, sealed_length, length);
    if (e == OK) {
        assert_int_equal(f->scanned, *length);
    }
    return e;
}

static void rescan_expect(struct fixture *f, u64 expected)
{
    u64 length = 12345;
    err_t e = rescan(f, UINT64_MAX, &length);
    if (e != OK) {
        print_message("%s\n", home_reason(f->home));
    }
    assert_int_equal(e, OK);
    assert_int_equal(length, expected);
    home_destroy(f->home);
}

static void rescan_refused(struct fixture *f, u64 sealed_length, const char *word)
{
    u64 length = 12345;
    assert_int_equal(rescan(f, sealed_length, &length), ERR_CORRUPT);
    assert_int_equal(length, 12345);
    if (strstr(home_reason(f->home), word) == NULL) {
        fail_msg("'%s' is not in: %s", word, home_reason(f->home));
    }
    home_destroy(f->home);
}

/* Where a slot's frame is: found by its bytes. */
static u64 place_of(const struct fixture *f, u64 slot, u32 *number)
{
    u32 extent = 0;
    u64 at = 0;
    for (u64 s = 0; s < slot; s++) {
        at = at + f->frames[s].bytes > EXTENT_BYTES ? f->frames[s].bytes : at + f->frames[s].bytes;
        extent += at == f->frames[s].bytes && s > 0;
    }
    if (at + f->frames[slot].bytes > EXTENT_BYTES) {
        extent++;
        at = 0;
    }
    *number = extent;
    return at;
}

static void poke_slot(const struct fixture *f, u64 slot, u64 from, const void *data, size_t bytes)
{
    u32 number;
    char path[200];
    u64 at = place_of(f, slot, &number);
    extent_name(f, number, path);
    file_poke(path, at + from, data, bytes);
}

static void flip_slot(const struct fixture *f, u64 slot, u64 at_byte)
{
    u32 number;
    char path[200];
    u64 at = place_of(f, slot, &number);
    extent_name(f, number, path);
    file_flip(path, at + at_byte);
}

static void restore_slot(const struct fixture *f, u64 slot)
{
    poke_slot(f, slot, 0, f->frames[slot].data, f->frames[slot].bytes);
}

static void wipe_slot(const struct fixture *f, u64 slot, u64 from)
{
    u8 zeros[4096] = {0};
    for (u64 at = from; at < f->frames[slot].bytes; at += 512) {
        poke_slot(f, slot, at, zeros, 512);
    }
}

static void test_empty(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    fixture_close(f);
    rescan_expect(f, 0);
    u64 length;
    assert_int_equal(rescan(f, 0, &length), OK);
    assert_int_equal(length, 0);
    fixture_close(f);
    rescan_refused(f, 3, "no files");
}

static void test_all_sizes(void **state)
{
    struct fixture *f = *state;
    for (u64 wal = 1; wal <= 6; wal++) {
        begin(f, wal);
        u32 batches = wal % 3 == 0 ? 1 : 20;
        u32 bytes_max = wal % 2 == 0 ? 2500 : 100;
        wal_write_many(f, 100, batches, bytes_max);
        fixture_close(f);
        rescan_expect(f, 100);
        u64 sealed = rng_below(&f->rng, 101);
        u64 length;
        assert_int_equal(rescan(f, sealed, &length), OK);
        assert_int_equal(length, sealed);
        fixture_close(f);
    }
}

/* The last frame, cut off at every sector, with zeros or with noise behind the cut. */
static void test_torn_at_every_sector(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 20, 6, 1200);
    for (u32 i = 0; i < 2; i++) { /* two in flight at the end, the last ones of a good size */
        wal_make_frame(f, 6, 1200);
    }
    wal_submit(f, 20);
    wal_submit(f, 21);
    wal_wait(f, 0);
    fixture_close(f);
    rescan_expect(f, 22);
    u8 noise[512];
    for (u64 slot = 20; slot < 22; slot++) {
        for (u64 cut = 0; cut < f->frames[slot].bytes; cut += 512) {
            wipe_slot(f, slot, cut);
            rescan_expect(f, slot);
            rng_fill(&f->rng, noise, sizeof(noise));
            poke_slot(f, slot, cut, noise, sizeof(noise));
            rescan_expect(f, slot);
            restore_slot(f, slot);
            /* one sector in the middle never arrived */
            u32 padding =
                f->frames[slot].header.index_pos + f->frames[slot].header.index_count * 64;
            bool matters = cut < padding || cut + 512 >= f->frames[slot].bytes;
            poke_slot(f, slot, cut, noise, sizeof(noise));
            rescan_expect(f, matters ? slot : 22);
            restore_slot(f, slot);
        }
    }
    rescan_expect(f, 22);
}

/* K in flight at the crash, any subset of them arrived. */
static void test_any_subset_of_those_in_flight(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 30, 4, 1500);
    for (u32 i = 0; i < FRAME_INFLIGHT_MAX; i++) {
        wal_make_frame(f, 4, 1500);
        wal_submit(f, 30 + i);
    }
    wal_wait(f, 0);
    fixture_close(f);
    for (u32 arrived = 0; arrived < 1u << FRAME_INFLIGHT_MAX; arrived++) {
        u64 expected = 30;
        while (expected < 34 && (arrived >> (expected - 30) & 1) != 0) {
            expected++;
        }
        for (u32 i = 0; i < FRAME_INFLIGHT_MAX; i++) {
            if (arrived >> i & 1) {
                restore_slot(f, 30 + i);
            } else {
                wipe_slot(f, 30 + i, 0);
            }
        }
        rescan_expect(f, expected);
    }
}

static void test_corruption_below_the_durable_end(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 40, 5, 1500);
    wal_make_frame(f, 0, 0); /* a MARK: everything before it was durable */
    wal_submit(f, 40);
    wal_wait(f, 0);
    fixture_close(f);
    rescan_expect(f, 41);
    for (u64 slot = 0; slot < 40; slot++) {
        char word[80];
        snprintf(word, sizeof(word), "slot %llu is missing or damaged", (unsigned long long)slot);
        flip_slot(f, slot, rng_below(&f->rng, FRAME_HEADER_BYTES));
        rescan_refused(f, UINT64_MAX, word);
        restore_slot(f, slot);
        if (f->frames[slot].header.index_count > 0) {
            u32 index = f->frames[slot].header.index_pos;
            flip_slot(f, slot, index + rng_below(&f->rng, f->frames[slot].header.index_count * 64));
            rescan_refused(f, UINT64_MAX, word);
            restore_slot(f, slot);
        }
        wipe_slot(f, slot, 0);
        rescan_refused(f, UINT64_MAX, word);
        restore_slot(f, slot);
    }
    /* The MARK itself: nothing is lost with it. */
    flip_slot(f, 40, 3);
    rescan_expect(f, 40);
    restore_slot(f, 40);
    /* Without it, by a sealed length: the last slot is covered too. */
    flip_slot(f, 39, 3);
    flip_slot(f, 40, 3);
    rescan_refused(f, 40, "the log was closed at slot 40");
    rescan_refused(f, 41, "the log was closed at slot 41");
    restore_slot(f, 39);
    restore_slot(f, 40);
    u64 length;
    assert_int_equal(rescan(f, 41, &length), OK);
    fixture_close(f);
    assert_int_equal(rescan(f, 42, &length), ERR_CORRUPT);
    home_destroy(f->home);
}

static void test_damaged_payload_is_quarantined(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 30, 5, 1500);
    wal_make_frame(f, 0, 0);
    wal_submit(f, 30);
    wal_wait(f, 0);
    fixture_close(f);
    for (u64 slot = 0; slot < 30; slot++) {
        u32 count = f->frames[slot].header.index_count;
        if (count == 0) {
            continue;
        }
        struct frame_entry *entry = &f->frames[slot].entries[rng_below(&f->rng, count)];
        flip_slot(f, slot, entry->pos + rng_below(&f->rng, entry->bytes));
        rescan_expect(f, 31);
        assert_int_equal(f->damaged, 1);
        assert_int_equal(f->damaged_slot, slot);
        restore_slot(f, slot);
    }
    rescan_expect(f, 31);
    assert_int_equal(f->damaged, 0);
}

/* Large frames are jumped over: their payload is looked at only where nobody vouches for them. */
static void test_large_frames(void **state)
{
    struct fixture *f = *state;
    snprintf(f->dir, sizeof(f->dir), "%.40s/large", f->base);
    struct home_disk_params params = {
        .directory = f->dir, .extent_bytes = 4 * MIB, .quota = &f->quota};
    f->home = home_disk_create(f->io, &params);
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    assert_int_equal(fixture_replay(f), OK);
    meta_write_many(f, 0, 1);
    wal_begin(f, 1);
    wal_write_many(f, 20, 3, 700 * 1024);
    fixture_close(f);
    rescan_expect(f, 20);
    /* The last slot's payload: torn. Durable ones: not looked at by the scan, found by the reader.
     */
    u64 last = 19;
    u64 durable = MAX(f->frames[last].header.durable_slot, last + 1 - FRAME_INFLIGHT_MAX);
    u64 at = 0;
    u32 number = 0;
    for (u64 slot = 0; slot <= last; slot++) {
        if (at + f->frames[slot].bytes > 4 * MIB) {
            at = 0;
            number++;
        }
        char path[200];
        extent_name(f, number, path);
        if (f->frames[slot].header.payload_bytes > 0) {
            u64 byte =
                at + FRAME_HEADER_BYTES + rng_below(&f->rng, f->frames[slot].header.payload_bytes);
            file_flip(path, byte);
            u64 length;
            fixture_open(f);
            assert_int_equal(wal_scan(f, UINT64_MAX, &length), OK);
            assert_int_equal(length, slot >= durable ? slot : 20);
            fixture_close(f);
            file_flip(path, byte);
        }
        at += f->frames[slot].bytes;
    }
    rescan_expect(f, 20);
}

static void test_stale_frames_are_not_believed(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 10, 3, 1000);
    fixture_close(f);
    u64 next_place = 0;
    u32 number = 0;
    {
        u64 at = place_of(f, 9, &number);
        next_place = at + f->frames[9].bytes;
    }
    assert_true(next_place + 8192 < EXTENT_BYTES);
    char path[200];
    extent_name(f, number, path);
    /* A perfectly good slot 10, but for one thing at a time. */
    for (u32 what = 0; what < 7; what++) {
        struct frame_spec spec = {
            .kind = FRAME_DATA,
            .cluster = f->cluster,
            .wal = f->wal,
            .slot = 10,
            .nonce = f->nonce,
            .chain = f->chain,
            .durable_slot = 10,
            .batch_count = 2,
            .batch_bytes_max = 500,
        };
        spec.nonce += what == 0;
        spec.wal += what == 1;
        spec.chain += what == 2;
        spec.slot = what == 3 ? 9 : spec.slot;
        spec.durable_slot = what == 3 ? 9 : spec.durable_slot;
        spec.cluster.bytes[5] ^= what == 4;
        spec.slot =
            what == 5 ? 11 : spec.slot; /* its durable_slot 10 vouches for slots up to 9 only */
        struct made_frame stale;
        made_frame_make(&f->rng, &spec, &stale);
        file_poke(path, next_place, stale.data, stale.bytes);
        rescan_expect(f, what == 6 ? 11 : 10);
        u8 zeros[8192] = {0};
        file_poke(path, next_place, zeros, stale.bytes);
        made_frame_free(&stale);
    }
    /* A later frame that knows better: slot 10 was durable and is gone. */
    struct frame_spec spec = {.kind = FRAME_MARK,
                              .cluster = f->cluster,
                              .wal = f->wal,
                              .nonce = f->nonce,
                              .slot = 11,
                              .durable_slot = 11,
                              .batch_bytes_max = 100};
    struct made_frame later;
    made_frame_make(&f->rng, &spec, &later);
    file_poke(path, EXTENT_BYTES - 4096, later.data, later.bytes);
    rescan_refused(f, UINT64_MAX, "slot 10 is missing");
    made_frame_free(&later);
    /* The same by its number alone: K later. */
    spec.slot = 14;
    spec.durable_slot = 0;
    made_frame_make(&f->rng, &spec, &later);
    file_poke(path, EXTENT_BYTES - 4096, later.data, later.bytes);
    rescan_refused(f, UINT64_MAX, "slot 10 is missing");
    made_frame_free(&later);
    spec.slot = 13;
    made_frame_make(&f->rng, &spec, &later);
    file_poke(path, EXTENT_BYTES - 4096, later.data, later.bytes);
    rescan_expect(f, 10);
    made_frame_free(&later);
}

static void test_missing_extent(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 80, 5, 2000);
    fixture_close(f);
    u32 last;
    (void)place_of(f, 79, &last);
    assert_true(last >= 3);
    for (u32 number = 0; number < last; number++) {
        char path[200];
        char kept[200];
        extent_name(f, number, path);
        snprintf(kept, sizeof(kept), "%s/kept", f->base);
        assert_int_equal(rename(path, kept), 0);
        rescan_refused(f, UINT64_MAX, "is missing or damaged");
        assert_int_equal(rename(kept, path), 0);
        /* swapped with another */
        char other[200];
        extent_name(f, number + 1, other);
        assert_int_equal(rename(path, kept), 0);
        assert_int_equal(rename(other, path), 0);
        assert_int_equal(rename(kept, other), 0);
        rescan_refused(f, UINT64_MAX, "is missing or damaged");
        assert_int_equal(rename(other, kept), 0);
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(rename(kept, path), 0);
        /* cut in the middle of a slot */
        u8 *bytes;
        size_t size = file_get(path, &bytes);
        assert_int_equal(truncate(path, (off_t)rng_below(&f->rng, EXTENT_BYTES / 2)), 0);
        rescan_refused(f, UINT64_MAX, "is missing or damaged");
        file_put(path, bytes, size);
        mem_free(bytes);
    }
    rescan_expect(f, 80);
}

/* Any one thing wrong with the files of a closed WAL: all there, or reported, or refused; never
   less or other than what was written. */
static void test_random_damage(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 60, 5, 1500);
    fixture_close(f);
    u32 last;
    (void)place_of(f, 59, &last);
    u32 refused = 0;
    u32 quarantined = 0;
    for (u32 i = 0; i < 250; i++) {
        u32 number = (u32)rng_below(&f->rng, last + 1);
        char path[200];
        extent_name(f, number, path);
        u8 *kept;
        size_t bytes = file_get(path, &kept);
        u8 block[4096] = {0};
        u64 at = rng_below(&f->rng, bytes / 512) * 512;
        switch (rng_below(&f->rng, 5)) {
        case 0: /* one bit */
            file_flip(path, rng_below(&f->rng, bytes));
            break;
        case 1: /* a sector of zeros */
            file_poke(path, at, block, 512);
            break;
        case 2: /* a block from elsewhere: stale, swapped, misdirected */
            memcpy(block, kept + rng_below(&f->rng, bytes / 4096) * 4096, 4096);
            file_poke(path, at - at % 4096, block, 4096);
            break;
        case 3: /* shorter */
            assert_int_equal(truncate(path, (off_t)at), 0);
            break;
        default: /* noise */
            rng_fill(&f->rng, block, 512);
            file_poke(path, at, block, 512);
            break;
        }
        u64 length = 0;
        err_t e = rescan(f, 60, &length); /* compares every entry with what was written */
        assert_true(e == OK || e == ERR_CORRUPT);
        assert_true(e != OK || length == 60);
        refused += e != OK;
        quarantined += e == OK && f->damaged > 0;
        home_destroy(f->home);
        file_put(path, kept, bytes);
        mem_free(kept);
    }
    print_message("of 250: %u refused, %u quarantined\n", refused, quarantined);
    assert_true(refused > 20);
    assert_true(quarantined > 20);
    rescan_expect(f, 60);
}

static void test_strange_names_are_left_alone(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 5, 3, 1000);
    fixture_close(f);
    static const char *const names[] = {"wal/notes.txt",
                                        "wal/0000000000000001-0000000",
                                        "wal/0000000000000001-0000000g",
                                        "wal/0000000000000001_00000000",
                                        "wal/0000000000000001-000000000",
                                        "meta/0000000000000000.c",
                                        "meta/x",
                                        "packs/x"};
    char path[200];
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        file_path(f, names[i], path);
        file_put(path, "x", 1);
    }
    rescan_expect(f, 5);
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        file_path(f, names[i], path);
        assert_true(file_there(path));
    }
}

static void test_newer_frame(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 5, 3, 1000);
    fixture_close(f);
    u8 header[FRAME_HEADER_BYTES];
    memcpy(header, f->frames[4].data, sizeof(header));
    header[8] = 2;
    store_le32(header + 124, crc32c(header, 124));
    poke_slot(f, 4, 0, header, sizeof(header));
    u64 length;
    assert_int_equal(rescan(f, UINT64_MAX, &length), ERR_VERSION);
    assert_non_null(strstr(home_reason(f->home), "newer"));
    home_destroy(f->home);
}

static void test_no_memory_for_the_window(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 5, 3, 1000);
    fixture_close(f);
    fixture_open(f);
    assert_true(quota_charge(&f->quota, quota_left(&f->quota) - 4096));
    u64 length;
    assert_int_equal(wal_scan(f, UINT64_MAX, &length), ERR_NO_MEMORY);
    quota_release(&f->quota, f->quota.used);
    fixture_close(f);
}

struct canary_seen {
    u64 slots;
    u64 last;
};

static err_t canary_slot(void *user, const struct frame_header *h,
                         const struct frame_entry *entries, u32 count)
{
    struct canary_seen *seen = user;
    (void)entries;
    (void)count;
    seen->slots++;
    seen->last = h->slot;
    return OK;
}

static struct canary_seen canary_scan(struct fixture *f, u32 canaries, u64 sealed_length)
{
    struct canary_seen seen = {0};
    struct home_wal_visitor v = {.user = &seen, .slot = canary_slot};
    u64 length;
    assert_int_equal(fixture_open_only(f, canaries), OK);
    assert_int_equal(fixture_replay(f), OK);
    assert_int_equal(home_wal_scan(f->home, f->wal, f->nonce, 0, sealed_length, &v, &length), OK);
    home_destroy(f->home);
    return seen;
}

/* The mistakes that the simulator must catch are really made when asked for. */
static void test_canaries(void **state)
{
    struct fixture *f = *state;
    begin(f, 1);
    wal_write_many(f, 10, 3, 1000);
    for (u32 i = 0; i < 3; i++) {
        wal_make_frame(f, 2, 1000);
    }
    for (u32 i = 0; i < 3; i++) {
        wal_submit(f, 10 + i);
    }
    wal_wait(f, 0);
    fixture_close(f);
    wipe_slot(f, 11, 0);
    assert_int_equal(canary_scan(f, 0, UINT64_MAX).slots, 11);
    assert_int_equal(canary_scan(f, HOME_CANARY_BELIEVE_STALE, UINT64_MAX).slots, 12);
    assert_int_equal(canary_scan(f, HOME_CANARY_BELIEVE_STALE, 11).last, 12);
    restore_slot(f, 11);
    flip_slot(f, 12, FRAME_HEADER_BYTES + 40);
    assert_int_equal(canary_scan(f, 0, UINT64_MAX).slots, 12);
    assert_int_equal(canary_scan(f, HOME_CANARY_SKIP_CRC, UINT64_MAX).slots, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_at_every_sector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_subset_of_those_in_flight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corruption_below_the_durable_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_payload_is_quarantined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_frames_are_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_extent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_names_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_the_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_canaries, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
