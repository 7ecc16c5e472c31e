/* Each promise is broken on purpose, once, and the ledger must say so; a history that keeps them
 * all passes. */
#include "../unit.h"

#include "sim/check.h"

struct fixture {
    struct world world;
    struct ledger ledger;
    struct ledger_partition *p;
    struct author *author;
};

static void fixture_init(struct fixture *f, bool idempotent)
{
    world_init(&f->world, 1, false);
    ledger_init(&f->ledger, &f->world);
    f->p = &ledger_topic_add(&f->ledger, "t", 1)->partitions[0];
    f->author = ledger_author_add(&f->ledger, f->p, idempotent, true);
}

static void fixture_fini(struct fixture *f)
{
    ledger_fini(&f->ledger);
    world_fini(&f->world);
}

static void records_send(struct fixture *f, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        u32 record = ledger_record_add(f->author, 1000 + i);
        ledger_sent(f->author, record, 1);
    }
}

/* A Fetch answer of one batch per record named, at these offsets; `twist` flips a byte of a value.
 */
static void records_read(struct fixture *f, const u32 *records, u32 count, i64 base_offset,
                         bool twist)
{
    struct growing_buffer bytes;
    growing_buffer_init(&bytes, NULL);
    for (u32 i = 0; i < count; i++) {
        struct batch_builder_options options = batch_builder_plain();
        options.base_offset = base_offset + i;
        struct batch_builder b;
        batch_builder_init(&b, &options);
        struct content *c = &f->ledger.made;
        content_make(f->author, records[i], c);
        u8 other[] = "another value";
        struct slice value = twist ? slice_of(other, sizeof other) : c->value;
        assert_int_equal(batch_builder_add(&b, f->author->records[records[i]].timestamp, c->key,
                                           value, c->headers, c->header_count),
                         OK);
        struct slice batch;
        assert_int_equal(batch_builder_finish(&b, &batch), OK);
        assert_int_equal(growing_buffer_append(&bytes, batch.ptr, batch.len), OK);
        batch_builder_fini(&b);
    }
    u64 next = (u64)base_offset;
    ledger_read(f->p, slice_of(bytes.ptr, bytes.len), base_offset + count, &next, "test");
    growing_buffer_fini(&bytes);
    assert_true(f->world.failed || next == (u64)base_offset + count);
}

static void broken(struct fixture *f, const char *promise)
{
    assert_true(f->world.failed);
    assert_int_equal(strncmp(f->world.failure, promise, strlen(promise)), 0);
    fixture_fini(f);
}

static const u32 in_order[] = {0, 1, 2, 3};

static void test_a_good_history(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 4);
    ledger_acked(f.author, 0, 2, 0);
    ledger_watermark(f.p, 2, 2, "test");
    ledger_acked(f.author, 2, 2, 2);
    records_read(&f, in_order, 4, 0, false);
    ledger_watermark(f.p, 4, 4, "test");
    ledger_final(f.p, 0, 4);
    assert_false(f.world.failed);
    fixture_fini(&f);
}

static void test_lost_at_the_end(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 4);
    ledger_acked(f.author, 0, 4, 0);
    records_read(&f, in_order, 3, 0, false);
    ledger_final(f.p, 0, 3);
    broken(&f, "no acknowledged record is lost");
}

static void test_seen_and_replaced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 4);
    records_read(&f, in_order, 2, 0, false);
    const u32 other[] = {2};
    records_read(&f, other, 1, 1, false);
    broken(&f, "no acknowledged record is lost");
}

static void test_twice(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 2);
    ledger_sent(f.author, 0, 1);
    const u32 repeated[] = {0, 1, 0};
    records_read(&f, repeated, 3, 0, false);
    broken(&f, "no record is there twice");
}

static void test_plain_twice_after_a_retry_is_allowed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, false);
    records_send(&f, 2);
    ledger_sent(f.author, 0, 1);
    const u32 repeated[] = {0, 1, 0};
    records_read(&f, repeated, 3, 0, false);
    ledger_final(f.p, 0, 3);
    assert_false(f.world.failed);
    fixture_fini(&f);
}

static void test_plain_more_often_than_sent(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, false);
    records_send(&f, 1);
    ledger_sent(f.author, 0, 1);
    const u32 repeated[] = {0, 0, 0};
    records_read(&f, repeated, 3, 0, false);
    ledger_final(f.p, 0, 3);
    broken(&f, "no record is there twice");
}

static void test_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 2);
    const u32 swapped[] = {1, 0};
    records_read(&f, swapped, 2, 0, false);
    ledger_final(f.p, 0, 2);
    broken(&f, "a producer's records stay in order");
}

static void test_watermark(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 2);
    ledger_acked(f.author, 0, 2, 0);
    ledger_watermark(f.p, f.p->floor, 1, "test");
    broken(&f, "the high watermark never goes back");
}

static void test_content(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 1);
    records_read(&f, in_order, 1, 0, true);
    broken(&f, "content is unaltered");
}

static void test_wrong_partition(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 1);
    f.p = &ledger_topic_add(&f.ledger, "other", 1)->partitions[0];
    records_read(&f, in_order, 1, 0, false);
    broken(&f, "content is unaltered");
}

static void test_start(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, true);
    records_send(&f, 4);
    ledger_acked(f.author, 0, 4, 0);
    f.p->start_max = 2; /* DeleteRecords asked for it */
    ledger_start_told(f.p, 0, 2, "a reader");
    const u32 rest[] = {2, 3};
    records_read(&f, rest, 2, 2, false);
    ledger_final(f.p, 2, 4);
    assert_false(f.world.failed);
    assert_true(ledger_may_be_gone(f.p, 1));
    assert_false(ledger_may_be_gone(f.p, 2));
    ledger_start_told(f.p, f.p->start, 1, "another");
    assert_non_null(strstr(f.world.failure, "a log's start moves forward only"));
    fixture_fini(&f);
    fixture_init(&f, true);
    records_send(&f, 4);
    ledger_acked(f.author, 0, 4, 0);
    f.p->start_max = 2;
    ledger_start_told(f.p, 0, 3, "a reader"); /* further than anybody asked */
    assert_true(f.world.failed);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_a_good_history),
        cmocka_unit_test(test_lost_at_the_end),
        cmocka_unit_test(test_seen_and_replaced),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_plain_twice_after_a_retry_is_allowed),
        cmocka_unit_test(test_plain_more_often_than_sent),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_watermark),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_wrong_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
