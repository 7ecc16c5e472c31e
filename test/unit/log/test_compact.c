/* compact.c: the broker's own partitions are compacted by key as they are filed. */
#include "book.h"

#include "log/compact.h"

enum { KEYS = 6 };

/* What a replay finds: the last value of each key; 0: a tombstone, or never written. */
struct replayed {
    u32 values[KEYS];
    u32 records;
    u32 batches;
    u64 bytes;
};

/* One batch of `count` records: key first_key + i (mod KEYS), value number + i, or a tombstone. */
static struct append_result append_keyed(struct fixture *f, struct partition *p, u32 first_key,
                                         u32 count, u32 number,
                                         struct batch_builder_options options)
{
    struct batch_builder b;
    batch_builder_init(&b, &options);
    for (u32 i = 0; i < count; i++) {
        u8 key = (u8)('a' + (first_key + i) % KEYS);
        u8 value[100] = {0};
        store_be32(value, number + i);
        bool tombstone = (number + i) % 7 == 0;
        assert_int_equal(batch_builder_add(&b, f->timestamp + i, slice_of(&key, 1),
                                           tombstone ? (struct slice){0} : slice_of(value, 100),
                                           NULL, 0),
                         OK);
    }
    f->timestamp += count;
    struct slice bytes;
    struct batch_view view;
    assert_int_equal(batch_builder_finish(&b, &bytes), OK);
    assert_int_equal(batch_view_parse(bytes, &view), OK);
    struct append_result r;
    partition_append(p, &view, false, &r);
    assert_int_equal(r.kerr, KERR_NONE);
    batch_builder_fini(&b);
    return r;
}

static void replay_batches(struct replayed *out, struct slice left, u64 *offset)
{
    struct decompressor scratch;
    decompressor_init(&scratch, NULL);
    struct batch_view view;
    while (left.len > 0) {
        assert_int_equal(batch_view_next(&left, &view), OK);
        assert_true(batch_crc_ok(&view));
        assert_int_equal(view.base_offset, *offset);
        *offset = (u64)batch_next_offset(&view);
        out->batches++;
        struct record_iter it;
        assert_int_equal(record_iter_init(&it, &view, &scratch, 1 * MIB), OK);
        struct record record;
        while (record_iter_next(&it, &record)) {
            u32 value = record.value.ptr == NULL ? 0 : load_be32(record.value.ptr);
            out->values[record.key.ptr[0] - 'a'] = value;
            out->records++;
        }
        assert_int_equal(it.err, OK);
    }
    decompressor_fini(&scratch);
}

static struct replayed replay(struct fixture *f, u32 id)
{
    struct replayed out = {0};
    struct partition *p = log_partition(f->log, id, 0);
    u8 *bytes = mem_alloc(4 * MIB);
    u64 offset = 0;
    while (offset < high_watermark(p)) {
        struct partition_read read = {
            .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1 * MIB, .one_batch = true};
        assert_int_equal(partition_read(p, &read), OK);
        u32 at = 0;
        for (u32 i = 0; i < read.range_count; i++) {
            range_bytes(f, &read.ranges[i], bytes + at);
            at += read.ranges[i].bytes;
        }
        replay_batches(&out, slice_of(bytes, at), &offset);
        out.bytes += at;
    }
    mem_free(bytes);
    return out;
}

static void the_last_record_of_each_key_is_filed(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    struct partition *own = log_partition(f.log, 1, 0);
    struct partition *users = log_partition(f.log, 2, 0);
    partition_compact(own);
    partition_compact(own); /* says nothing new */
    assert_int_equal(f.log->compacted_count, 1);
    for (u32 i = 0; i < 500; i++) {
        u32 first = i * 5 % 7;
        append_keyed(&f, own, first, 1 + i % 3, 1 + 3 * i, batch_builder_plain());
        append_keyed(&f, users, first, 1 + i % 3, 1 + 3 * i, batch_builder_plain());
        if (i % 4 == 3) {
            settle(&f);
        }
    }
    settle(&f);
    const struct replayed before = replay(&f, 1);
    u64 end = high_watermark(own);
    book_file_all(&f);
    for (u32 round = 0; round < 2; round++) {
        struct replayed after = replay(&f, 1);
        assert_memory_equal(after.values, before.values, sizeof(before.values));
        assert_int_equal(after.records, KEYS);
        assert_true(after.batches <= 2 * KEYS);
        assert_true(after.bytes < before.bytes / 20);
        assert_int_equal(log_partition(f.log, 1, 0)->bytes, after.bytes);
        assert_int_equal(high_watermark(log_partition(f.log, 1, 0)), end);
        struct replayed whole = replay(&f, 2);
        assert_int_equal(whole.records, before.records);
        assert_int_equal(whole.bytes, before.bytes);
        book_restart(&f);
    }
    /* What comes later goes on behind it, and is filed against its own stretch. */
    own = log_partition(f.log, 1, 0);
    partition_compact(own);
    append_keyed(&f, own, 0, KEYS, 10000, batch_builder_plain());
    append_keyed(&f, own, 0, KEYS, 20000, batch_builder_plain());
    settle(&f);
    book_file_all(&f);
    struct replayed after = replay(&f, 1);
    assert_int_equal(after.records, 2 * KEYS);
    assert_int_equal(after.values[1], 20001);
    fixture_stop(&f);
}

/* Batches that a client wrote are left alone, and say nothing of others. */
static void what_is_not_the_brokers_own_stays(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    struct partition *own = log_partition(f.log, 1, 0);
    partition_compact(own);
    struct batch_builder_options packed = batch_builder_plain();
    packed.codec = CODEC_GZIP;
    struct batch_builder_options idempotent = batch_builder_plain();
    idempotent.producer_id = 77;
    idempotent.producer_epoch = 0;
    idempotent.base_sequence = 0;
    append_keyed(&f, own, 0, 2, 100, batch_builder_plain());
    append_keyed(&f, own, 0, 2, 200, packed);
    append_keyed(&f, own, 0, 2, 300, idempotent);
    settle(&f);
    append_plain(&f, own, 100); /* no key */
    append_keyed(&f, own, 2, 2, 400, batch_builder_plain());
    append_keyed(&f, own, 2, 2, 500, batch_builder_plain());
    settle(&f);
    book_file_all(&f);
    u64 end = high_watermark(own);
    assert_int_equal(end, 11);
    assert_int_equal(book_read_all(&f, 1), end);
    book_restart(&f);
    assert_int_equal(book_read_all(&f, 1), end);
    struct partition_read read = {.limit_offset = UINT64_MAX, .bytes_max = 1 << 20};
    assert_int_equal(partition_read(log_partition(f.log, 1, 0), &read), OK);
    u8 bytes[8192];
    range_bytes(&f, &read.ranges[0], bytes);
    struct slice left = slice_of(bytes, read.ranges[0].bytes);
    static const i32 counts[] = {2, 2, 2, 1, 0, 2};
    for (u32 i = 0; i < ARRAY_LEN(counts); i++) {
        struct batch_view view;
        assert_int_equal(batch_view_next(&left, &view), OK);
        assert_int_equal(view.record_count, counts[i]);
    }
    assert_int_equal(left.len, 0);
    fixture_stop(&f);
}

static void a_range_of_what_was_compacted_is_not_found(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    struct partition *own = log_partition(f.log, 1, 0);
    partition_compact(own);
    for (u32 i = 0; i < 50; i++) {
        append_keyed(&f, own, i, 2, 1 + 2 * i, batch_builder_plain());
        settle(&f);
    }
    struct partition_read read = {.offset = 10, .limit_offset = UINT64_MAX, .bytes_max = 1 << 18};
    assert_int_equal(partition_read(own, &read), OK);
    book_file_all(&f);
    while (chunks_shrink(f.log)) { /* nothing is hot any more */
        turn(&f);
    }
    for (u32 i = 0; i < 2; i++) {
        book_fill(&f, 40 * MIB, 60000, 1);
        book_rest(&f);
    }
    assert_null(log_peek(f.log, &read.ranges[0]));
    u8 bytes[8192];
    u32 count;
    assert_int_equal(load_range(&f, &read.ranges[0], bytes, &count), ERR_NOT_FOUND);
    assert_int_equal(replay(&f, 1).records, KEYS);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_record_of_each_key_is_filed),
        cmocka_unit_test(what_is_not_the_brokers_own_stays),
        cmocka_unit_test(a_range_of_what_was_compacted_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
