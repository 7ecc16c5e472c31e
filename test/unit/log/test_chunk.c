/* chunk.c: memory stays within hot_bytes whatever is read and written, room is refused and granted
   in order, and what log_peek pointed to stays in place for the turn. */
#include "fixture.h"

struct test_room {
    struct log_room_waiter waiter;
    u32 calls;
    u32 *order;
    u32 place;
};

static void room_granted(struct log_room_waiter *w)
{
    struct test_room *t = CONTAINER_OF(w, struct test_room, waiter);
    t->calls++;
    (*t->order)++;
    t->place = *t->order;
}

static void room_wait(struct fixture *f, struct test_room *t, u64 bytes, u32 *order)
{
    *t = (struct test_room){.waiter = {.granted = room_granted, .bytes = bytes}, .order = order};
    log_room_wait(f->log, &t->waiter);
}

/* Appends 1 MB batches while there is room and no write completes. */
static u32 fill(struct fixture *f, struct partition *p)
{
    u32 count = 0;
    while (log_room(f->log, 1000100)) {
        append_plain(f, p, 1000000);
        turn(f);
        count++;
        assert_true(count < 1000);
    }
    return count;
}

static void refused_when_full_granted_when_durable(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    f.params.hot_bytes = 16 * MIB;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    u32 count = fill(&f, p);
    assert_true(count >= 12);
    assert_true(f.log->hot_used <= 16 * MIB);
    u32 order = 0;
    struct test_room rooms[3];
    room_wait(&f, &rooms[0], 1000100, &order);
    room_wait(&f, &rooms[1], 100, &order);
    room_wait(&f, &rooms[2], 100, &order);
    turns(&f, 5);
    assert_int_equal(order, 0);
    assert_false(log_room(f.log, 100)); /* nobody passes those who wait */
    log_room_cancel(&rooms[2].waiter);
    log_room_cancel(&rooms[2].waiter);
    fixture_complete(&f, 0, OK); /* the first chunk has two slots */
    fixture_complete(&f, 0, OK);
    turns(&f, 3);
    assert_int_equal(rooms[0].place, 1);
    assert_int_equal(rooms[1].place, 2);
    assert_int_equal(rooms[2].calls, 0);
    while (f.log->writing > 0 || f.log->open != NULL) {
        if (f.held_count > 0) {
            fixture_complete(&f, 0, OK);
        }
        turn(&f);
    }
    assert_int_equal(high_watermark(p), count);
    assert_true(f.log->hot_used <= 16 * MIB);
    fixture_stop(&f);
}

/* A grant holds through the next turn, against those who come later. */
static void a_grant_is_kept_for_its_waiter(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.hold = true;
    f.params.hot_bytes = 8 * MIB;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    fill(&f, p);
    u32 order = 0;
    struct test_room room;
    room_wait(&f, &room, 1000100, &order);
    while (room.calls == 0) {
        if (f.held_count > 0) {
            fixture_complete(&f, 0, OK);
        }
        turn(&f);
    }
    u64 spare = f.log->spare_count;
    assert_true(spare > 0 || f.log->open_chunk != NULL);
    assert_true(log_room(f.log, 1000100));
    const struct produced what = {.producer_id = -1,
                                  .producer_epoch = -1,
                                  .base_sequence = -1,
                                  .records = 1,
                                  .value_bytes = 1000000};
    assert_int_equal(append(&f, p, &what).kerr, KERR_NONE);
    assert_true(f.log->hot_used <= 8 * MIB);
    f.hold = false;
    while (f.held_count > 0) {
        fixture_complete(&f, 0, OK);
    }
    settle(&f);
    fixture_stop(&f);
}

static void a_request_larger_than_the_cap_passes_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 4 * MIB;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 1000);
    assert_false(log_room(f.log, 20 * MIB)); /* not beside what is open */
    settle(&f);
    turns(&f, 3);
    assert_true(log_room(f.log, 20 * MIB));
    for (u32 i = 0; i < 10; i++) {
        append_plain(&f, p, 2000000);
    }
    settle(&f);
    assert_int_equal(high_watermark(p), 11);
    /* The cache shrinks back below the cap as it is used. */
    for (u32 i = 0; i < 20; i++) {
        append_plain(&f, p, 1000000);
        settle(&f);
        turns(&f, 3);
    }
    assert_true(f.log->hot_used <= 4 * MIB);
    fixture_stop(&f);
}

/* Readers of the whole cache, a writer at full speed: memory stays within the cap, and nobody waits
 * for good. */
static void readers_do_not_pin_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 10 * MIB;
    quota_init(&f.quota, "test", NULL, 24 * MIB);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    u32 refused = 0;
    u32 stored = 0;
    for (u32 i = 0; i < 400; i++) {
        if (log_room(f.log, 300100)) {
            append_plain(&f, p, 300000);
            stored++;
        } else {
            refused++;
        }
        u64 end = high_watermark(p);
        for (u64 back = 1; back <= 30 && back <= end; back++) {
            struct partition_read read = {
                .offset = end - back, .limit_offset = end, .one_batch = true};
            assert_int_equal(partition_read(p, &read), OK);
            (void)log_peek(f.log, &read.ranges[0]);
        }
        turn(&f);
        assert_true(f.log->hot_used <= 10 * MIB);
    }
    assert_true(stored > 200);
    print_message("stored %u refused %u\n", stored, refused);
    settle(&f);
    fixture_stop(&f);
}

static void peeked_bytes_stay_for_the_turn(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 6 * MIB;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 300000);
    settle(&f);
    struct partition_read read = {.limit_offset = UINT64_MAX, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    const u8 *hot = log_peek(f.log, &read.ranges[0]);
    assert_non_null(hot);
    u8 *copy = mem_alloc(read.bytes);
    memcpy(copy, hot, read.bytes);
    for (u32 i = 0; i < 30; i++) {
        bool room = log_room(f.log, 1000100); /* would like to evict */
        (void)room;
    }
    append_plain(&f, p, 2000000);
    append_plain(&f, p, 2000000);
    assert_memory_equal(copy, hot, read.bytes);
    mem_free(copy);
    settle(&f);
    /* Two turns later it may go. */
    for (u32 i = 0; i < 10; i++) {
        assert_true(log_room(f.log, 1000000));
        append_plain(&f, p, 900000);
        settle(&f);
    }
    assert_null(log_peek(f.log, &read.ranges[0]));
    fixture_stop(&f);
}

static void small_slots_share_a_chunk(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    for (u32 i = 0; i < 400; i++) {
        append_plain(&f, p, 100);
        settle(&f);
    }
    assert_int_equal(f.writes, 400);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.slots, 400);
    assert_true(stats.hot_bytes <= 2 * LOG_CHUNK_BYTES); /* one chunk and the staging buffer */
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1000, .one_batch = true};
    assert_int_equal(partition_read(p, &read), OK);
    assert_non_null(log_peek(f.log, &read.ranges[0])); /* all of them are hot */
    fixture_stop(&f);
}

/* The budget above is smaller than hot_bytes: appends are refused, nothing breaks, it recovers. */
static void the_budget_above_is_exhausted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    quota_init(&f.quota, "test", NULL, 8 * MIB);
    f.hold = true;
    fixture_start(&f);
    struct partition *p = log_partition(f.log, 1, 0);
    u32 stored = 0;
    i16 kerr = KERR_NONE;
    while (kerr == KERR_NONE) {
        const struct produced what = {.producer_id = -1,
                                      .producer_epoch = -1,
                                      .base_sequence = -1,
                                      .records = 1,
                                      .value_bytes = 1500000};
        kerr = append(&f, p, &what).kerr;
        stored += kerr == KERR_NONE;
    }
    assert_int_equal(kerr, KERR_KAFKA_STORAGE_ERROR);
    assert_true(stored >= 2);
    u32 order = 0;
    struct test_room room;
    assert_false(log_room(f.log, 1000000));
    room_wait(&f, &room, 1000000, &order);
    turn(&f);
    f.hold = false;
    while (f.held_count > 0) {
        fixture_complete(&f, 0, OK);
    }
    settle(&f);
    turns(&f, 5);
    assert_int_equal(room.calls, 1);
    append_plain(&f, p, 1000000);
    settle(&f);
    assert_int_equal(high_watermark(p), stored + 1);
    fixture_stop(&f);
}

/* Whoever has partition_room's word is not refused, to the last byte of the budget: here the index
   eats it up. When it says no it says so again, and yes when memory has come back. */
static void room_for_a_partition_is_a_promise(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 4 * MIB;
    quota_init(&f.quota, "test", NULL, 5 * MIB);
    fixture_start(&f);
    const struct produced what = {
        .producer_id = -1, .producer_epoch = -1, .base_sequence = -1, .records = 1};
    struct partition *p = log_partition(f.log, 1, 0);
    u64 stored = 0;
    while (log_room(f.log, 200) && partition_room(p, 200)) {
        assert_int_equal(append(&f, p, &what).kerr, KERR_NONE);
        stored++;
        settle(&f); /* a slot each, a run each */
    }
    assert_true(stored > 10000);
    assert_int_equal(end_offset(p), stored);
    turns(&f, 3);
    assert_false(partition_room(p, 200));
    log_partition_remove(f.log, 1);
    p = log_partition(f.log, 2, 0);
    assert_true(log_room(f.log, 200));
    assert_true(partition_room(p, 200));
    assert_int_equal(append(&f, p, &what).kerr, KERR_NONE);
    settle(&f);
    fixture_stop(&f);
}

/* The next two chunks are there, and backed, before the loop needs them; never beyond the cap, and
   not before anybody writes. */
static void memory_is_there_before_it_is_needed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 64 * MIB;
    fixture_start(&f);
    turns(&f, 3);
    assert_int_equal(f.log->hot_used, 0);
    struct partition *p = log_partition(f.log, 1, 0);
    append_plain(&f, p, 100);
    settle(&f);
    turns(&f, 3);
    assert_int_equal(f.log->spare_count, 2);
    assert_null(f.log->populating);
    for (u32 i = 0; i < 100; i++) {
        assert_true(log_room(f.log, 1000100));
        append_plain(&f, p, 1000000);
        settle(&f);
        assert_true(f.log->hot_used <= 64 * MIB);
    }
    fixture_stop(&f);
}

static void note_drained(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

/* A worker still has the memory, and the operation is ours: they may not go away. */
static void a_drain_waits_for_memory_ahead(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.params.hot_bytes = 64 * MIB;
    fixture_start(&f);
    append_plain(&f, log_partition(f.log, 1, 0), 100);
    for (u32 i = 0; i < 10 && f.log->populating == NULL; i++) {
        turn(&f);
    }
    assert_non_null(f.log->populating);
    bool drained = false;
    log_drain(f.log, note_drained, &drained);
    for (u32 i = 0; i < 20; i++) {
        turn(&f);
        assert_true(!drained || f.log->populating == NULL);
    }
    assert_true(drained);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_when_full_granted_when_durable),
        cmocka_unit_test(a_grant_is_kept_for_its_waiter),
        cmocka_unit_test(a_request_larger_than_the_cap_passes_alone),
        cmocka_unit_test(readers_do_not_pin_memory),
        cmocka_unit_test(peeked_bytes_stay_for_the_turn),
        cmocka_unit_test(small_slots_share_a_chunk),
        cmocka_unit_test(the_budget_above_is_exhausted),
        cmocka_unit_test(room_for_a_partition_is_a_promise),
        cmocka_unit_test(memory_is_there_before_it_is_needed),
        cmocka_unit_test(a_drain_waits_for_memory_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
