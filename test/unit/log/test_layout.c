/* layout.c: every frame written is well-formed, its index sorted by (partition, base offset), each
   entry names exactly its batch, and a partition's small batches lie side by side. Checked on the
   stored frames, as the home delivers them at the next start. */
#include "fixture.h"

#include "home/home_private.h"

struct seen_frames {
    struct fixture *f;
    u32 slots;
    u32 batches;
    u32 split; /* small batches of one partition that are not side by side */
};

static void check_batch(struct fixture *f, const struct frame_header *h,
                        const struct frame_entry *e)
{
    u8 *bytes = mem_alloc(e->bytes);
    const struct log_range range = {.object = h->wal,
                                    .slot = h->slot,
                                    .offset = e->base_offset,
                                    .first_pos = e->pos,
                                    .pos = e->pos,
                                    .bytes = e->bytes,
                                    .partition = e->partition};
    const u8 *hot = log_peek(f->log, &range);
    assert_non_null(hot);
    memcpy(bytes, hot, e->bytes);
    struct batch_view view;
    assert_int_equal(batch_view_parse(slice_of(bytes, e->bytes), &view), OK);
    assert_int_equal(view.whole.len, e->bytes);
    assert_true(batch_crc_ok(&view));
    assert_int_equal(view.base_offset, e->base_offset);
    assert_int_equal(view.leader_epoch, e->leader_epoch);
    assert_int_equal(view.last_offset_delta, e->last_offset_delta);
    assert_int_equal(view.max_timestamp, e->max_timestamp);
    assert_int_equal(view.crc, e->batch_crc);
    assert_int_equal(view.attributes, e->attributes);
    assert_int_equal(view.producer_id, e->producer_id);
    assert_int_equal(view.producer_epoch, e->producer_epoch);
    assert_int_equal(view.base_sequence, e->base_sequence);
    mem_free(bytes);
}

static err_t check_slot(void *user, const struct frame_header *h, const struct frame_entry *entries,
                        u32 count)
{
    struct seen_frames *s = user;
    assert_int_equal(h->slot, s->slots);
    assert_true(h->durable_slot <= h->slot);
    s->slots++;
    u64 sum = 0;
    for (u32 i = 0; i < count; i++) {
        const struct frame_entry *e = &entries[i];
        check_batch(s->f, h, e);
        sum += e->bytes;
        s->batches++;
        if (i == 0 || e->partition != entries[i - 1].partition) {
            assert_true(i == 0 || e->partition > entries[i - 1].partition);
            continue;
        }
        const struct frame_entry *before = &entries[i - 1];
        assert_int_equal(e->base_offset, before->base_offset + before->last_offset_delta + 1);
        bool small = e->bytes < LOG_STAGED_BYTES && before->bytes < LOG_STAGED_BYTES;
        s->split += small && e->pos != before->pos + before->bytes;
    }
    assert_int_equal(sum, h->payload_bytes); /* no gaps */
    return OK;
}

static void check_frames(struct fixture *f, u32 batches)
{
    struct seen_frames s = {.f = f};
    const struct home_wal_visitor visitor = {.user = &s, .slot = check_slot};
    u64 length;
    f->home->wal_started = false; /* a scan while the session lives, for the test's sake */
    assert_int_equal(home_wal_scan(f->home, f->wal, f->wal * 7, 0, UINT64_MAX, &visitor, &length),
                     OK);
    f->home->wal_started = true;
    assert_int_equal(s.slots, length);
    assert_int_equal(s.batches, batches);
    assert_int_equal(s.split, 0);
}

static void frames_of_random_loads(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    for (u32 round = 0; round < 20; round++) {
        struct fixture f;
        fixture_init(&f);
        fixture_start(&f);
        u32 partitions = 1 + (u32)rng_below(&rng, round % 2 == 0 ? 5 : 400);
        u32 large = (u32)rng_below(&rng, 30);
        u32 batches = 200 + (u32)rng_below(&rng, 600);
        i32 sequence[401] = {0};
        for (u32 i = 0; i < batches; i++) {
            u32 bytes = (u32)rng_below(&rng, rng_below(&rng, 100) < large ? 30000 : 1000);
            u32 n = (u32)rng_below(&rng, partitions);
            u32 id = n * 0x01010101u % 0xfffffff0u; /* ids that differ in every byte */
            struct partition *p = log_partition(f.log, id, 3);
            if (n % 2 == 0) {
                append_plain(&f, p, bytes);
            } else {
                const struct produced what = {.producer_id = 1000 + n,
                                              .producer_epoch = 2,
                                              .base_sequence = sequence[n],
                                              .records = 2,
                                              .value_bytes = bytes / 2};
                assert_int_equal(append(&f, p, &what).kerr, KERR_NONE);
                sequence[n] += 2;
            }
            if (rng_chance(&rng, 1, 40)) {
                turn(&f);
            }
        }
        settle(&f);
        check_frames(&f, batches);
        fixture_stop(&f);
    }
}

static void a_slot_of_very_many_batches(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (u32 i = 0; i < 20000; i++) {
        append_plain(&f, log_partition(f.log, i % 7000, 0), 0);
    }
    settle(&f);
    check_frames(&f, 20000);
    assert_true(f.writes >= 20000 / LOG_SLOT_ENTRIES_MAX);
    fixture_stop(&f);
}

/* Full slots that have to queue keep their own index. */
static void queued_slots_keep_their_index(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    fixture_start(&f);
    u32 batches = 0;
    for (u32 i = 0; i < 100; i++) {
        append_plain(&f, log_partition(f.log, 99 - i % 50, 0), 150000);
        append_plain(&f, log_partition(f.log, i % 20, 0), 500);
        batches += 2;
    }
    assert_int_equal(f.held_count, 4);
    while (f.log->writing > 0 || f.log->open != NULL) {
        if (f.held_count > 0) {
            fixture_complete(&f, f.held_count - 1, OK);
        }
        turn(&f);
    }
    check_frames(&f, batches);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_random_loads),
        cmocka_unit_test(a_slot_of_very_many_batches),
        cmocka_unit_test(queued_slots_keep_their_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
