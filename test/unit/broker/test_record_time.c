/* When the record at an offset was written: what is told on the loop and what is left to a worker;
   batches in pieces; and the ways a look on a worker ends: told, dropped before and after it began,
   no memory, no batch. */
#include "broker/record_time.h"
#include "broker/server.h"
#include "harness.h"

#include <string.h>

enum { MANY = 4000, FIRST_MS = 1000000 };

static bool told;
static err_t told_result;
static i64 told_ms;

static void look_told(void *user, err_t result, i64 ms)
{
    assert_false(told);
    told = true;
    told_result = result;
    told_ms = ms;
}

static void wait_until_told(struct harness *h)
{
    while (!told) {
        harness_turn(h);
    }
    told = false;
}

/* MANY records whose times fall, each with a value of that many bytes of its own. */
static struct batch_view falling(struct harness *h, enum codec codec, u32 value_bytes)
{
    struct batch_builder_options options = batch_builder_plain();
    options.codec = codec;
    struct batch_builder b;
    batch_builder_init(&b, &options);
    u8 value[64] = {0};
    assert_true(value_bytes <= sizeof value);
    u64 seed = 1;
    for (u32 i = 0; i < MANY; i++) {
        for (u32 k = 0; k < value_bytes; k++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            value[k] = (u8)(seed >> 56);
        }
        assert_int_equal(batch_builder_add(&b, FIRST_MS - (i64)i * 10, text("k"),
                                           slice_of(value, value_bytes), NULL, 0),
                         OK);
    }
    struct slice built;
    struct batch_view view;
    assert_int_equal(batch_builder_finish(&b, &built), OK);
    assert_int_equal(batch_view_parse(arena_copy(&h->arena, built), &view), OK);
    batch_builder_fini(&b);
    return view;
}

static void on_the_loop(void **state)
{
    struct harness h;
    harness_up(&h);
    struct decompressor *scratch = &h.broker->scratch;
    struct batch_view small = falling(&h, CODEC_LZ4, 1);
    struct batch_view large = falling(&h, CODEC_NONE, 64);
    i64 ms;
    assert_true(record_time_now(&small, 7, scratch, &ms));
    assert_int_equal(ms, FIRST_MS - 70);
    assert_true(record_time_now(&small, MANY, scratch, &ms)); /* none is there or behind it */
    assert_int_equal(ms, BATCH_NO_TIMESTAMP);
    assert_true(record_time_now(&large, 0, scratch, &ms)); /* the batch says it */
    assert_int_equal(ms, FIRST_MS);
    assert_false(record_time_now(&large, 1, scratch, &ms));
    /* Small, but it expands too much. */
    struct batch_view expands = falling(&h, CODEC_ZSTD, 0);
    assert_true(record_time_now(&expands, 3, scratch, &ms));
    struct batch_builder_options options = batch_builder_plain();
    options.codec = CODEC_GZIP;
    struct batch_builder b;
    batch_builder_init(&b, &options);
    u8 *zeros = arena_alloc(&h.arena, 512 * KIB);
    memset(zeros, 0, 512 * KIB);
    for (u32 i = 0; i < 2; i++) {
        struct slice value = slice_of(zeros, 512 * KIB);
        assert_int_equal(batch_builder_add(&b, i, text("k"), value, NULL, 0), OK);
    }
    struct slice built;
    assert_int_equal(batch_builder_finish(&b, &built), OK);
    assert_int_equal(batch_view_parse(built, &expands), OK);
    assert_false(record_time_now(&expands, 1, scratch, &ms));
    batch_builder_fini(&b);
    /* LogAppendTime: of every record. */
    u8 *appended = batch_copy(&h, large.whole);
    batch_set_log_append_time(appended, 77);
    assert_int_equal(batch_view_parse(slice_of(appended, large.whole.len), &large), OK);
    assert_true(record_time_now(&large, 9, scratch, &ms));
    assert_int_equal(ms, 77);
    harness_fini(&h);
}

static void on_a_worker(void **state)
{
    struct harness h;
    harness_up(&h);
    struct broker *b = h.broker;
    u64 used = b->memory.root.used;
    for (enum codec codec = CODEC_NONE; codec < CODEC_MAX; codec++) {
        struct batch_view batch = falling(&h, codec, 64);
        u32 bytes = (u32)batch.whole.len;
        struct record_time *t =
            record_time_start(b, bytes, codec != CODEC_NONE, MANY / 2, look_told, NULL);
        for (u32 at = 0; at < bytes;) {
            u32 piece = MIN(bytes - at, 10000u);
            record_time_add(t, slice_of(batch.whole.ptr + at, piece));
            at += piece;
        }
        wait_until_told(&h);
        assert_int_equal(told_result, OK);
        assert_int_equal(told_ms, FIRST_MS - MANY / 2 * 10);
        assert_int_equal(b->memory.root.used, used);
    }
    harness_fini(&h);
}

static void what_a_worker_cannot_tell(void **state)
{
    struct harness h;
    harness_up(&h);
    struct broker *b = h.broker;
    struct batch_view batch = falling(&h, CODEC_GZIP, 64);
    u8 *damaged = batch_copy(&h, batch.whole);
    damaged[batch.whole.len / 2] ^= 1;
    u32 bytes = (u32)batch.whole.len;
    struct record_time *t = record_time_start(b, bytes, true, 5, look_told, NULL);
    record_time_add(t, slice_of(damaged, bytes));
    wait_until_told(&h);
    assert_int_equal(told_result, ERR_CORRUPT);
    /* It was said that nothing is compressed: there is no memory for what it expands to. */
    t = record_time_start(b, bytes, false, 5, look_told, NULL);
    record_time_add(t, batch.whole);
    wait_until_told(&h);
    assert_int_equal(told_result, ERR_NO_MEMORY);
    u64 rest = b->memory.root.cap - b->memory.root.used;
    assert_true(quota_charge(&b->memory.root, rest));
    assert_null(record_time_start(b, bytes, true, 5, look_told, NULL));
    quota_release(&b->memory.root, rest);
    harness_fini(&h);
}

static void nobody_waits_any_more(void **state)
{
    struct harness h;
    harness_up(&h);
    struct broker *b = h.broker;
    u64 used = b->memory.root.used;
    struct batch_view batch = falling(&h, CODEC_ZSTD, 64);
    u32 bytes = (u32)batch.whole.len;
    struct record_time *t = record_time_start(b, bytes, true, 5, look_told, NULL);
    record_time_add(t, slice_of(batch.whole.ptr, 100));
    assert_int_equal(record_time_wants(t), bytes - 100);
    record_time_cancel(t);
    assert_int_equal(b->memory.root.used, used);
    t = record_time_start(b, bytes, true, 5, look_told, NULL);
    record_time_add(t, batch.whole);
    record_time_cancel(t);
    while (b->memory.root.used != used) {
        harness_turn(&h);
    }
    assert_false(told);
    /* The broker goes away while a look lacks bytes. */
    t = record_time_start(b, bytes, true, 5, look_told, NULL);
    record_time_add(t, slice_of(batch.whole.ptr, 100));
    harness_crash(&h);
    harness_fini(&h);
    assert_false(told);
}

/* Its memory is the broker's: the look is over when the broker is gone. */
static void the_broker_goes_first(void **state)
{
    struct harness h;
    harness_up(&h);
    struct batch_view batch = falling(&h, CODEC_ZSTD, 64);
    while (io_linux_busy(h.io)) {
        io_turn(h.io, true);
    }
    struct record_time *looks =
        record_time_start(h.broker, (u32)batch.whole.len, true, MANY / 2, look_told, NULL);
    struct record_time *waits =
        record_time_start(h.broker, (u32)batch.whole.len, true, MANY / 2, look_told, NULL);
    told = false;
    record_time_add(looks, batch.whole);
    record_time_add(waits, slice_of(batch.whole.ptr, 10)); /* the rest never comes */
    io_timer_stop(h.io, &h.tick);
    broker_destroy(h.broker);
    assert_false(io_linux_busy(h.io));
    io_destroy(h.io);
    assert_false(told);
    h.broker = NULL;
    h.io = NULL;
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_loop),
        cmocka_unit_test(on_a_worker),
        cmocka_unit_test(what_a_worker_cannot_tell),
        cmocka_unit_test(nobody_waits_any_more),
        cmocka_unit_test(the_broker_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
