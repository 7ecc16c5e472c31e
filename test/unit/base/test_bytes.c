/* Proves readers and writers: what is written is read back, at every width and at random; every
   truncation of a valid input fails once and for good, without a read past the end (the input is
   cut on the heap, where the sanitizer watches); varints keep to their widths; uuids print as
   Kafka's. */
#include "../unit.h"

static void slices_compare(void **state)
{
    assert_true(slice_eq(SLICE_LIT("abc"), slice_cstr("abc")));
    assert_null(slice_cstr(NULL).ptr);
    assert_int_equal(slice_cstr(NULL).len, 0);
    assert_false(slice_eq(SLICE_LIT("abc"), SLICE_LIT("abd")));
    assert_false(slice_eq(SLICE_LIT("abc"), SLICE_LIT("ab")));
    assert_true(slice_eq((struct slice){NULL, 0}, SLICE_LIT("")));
    assert_true(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("abc")) < 0);
    assert_true(slice_cmp(SLICE_LIT("b"), SLICE_LIT("abc")) > 0);
    assert_true(slice_cmp(SLICE_LIT("\xff"), SLICE_LIT("\x01")) > 0);
    assert_int_equal(slice_cmp(SLICE_LIT("x"), SLICE_LIT("x")), 0);
    assert_true(slice_eq_cstr(SLICE_LIT("topic"), "topic"));
    assert_true(slice_eq_cstr(slice_trim(SLICE_LIT(" \t a b\r\n")), "a b"));
    assert_true(slice_eq_cstr(slice_trim(SLICE_LIT("  ")), ""));
}

static void hashes_differ(void **state)
{
    u8 zeros[64] = {0};
    for (size_t a = 0; a < sizeof(zeros); a++) {
        for (size_t b = 0; b < a; b++) {
            assert_true(slice_hash(slice_of(zeros, a), 0) != slice_hash(slice_of(zeros, b), 0));
        }
    }
    assert_true(slice_hash(SLICE_LIT("orders"), 1) != slice_hash(SLICE_LIT("orders"), 2));
    assert_true(slice_hash(SLICE_LIT("orders"), 1) == slice_hash(slice_cstr("orders"), 1));
}

static void uuids_print_as_kafka_prints_them(void **state)
{
    char text[23];
    struct uuid id = {{0}};
    uuid_print(id, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
    assert_true(uuid_is_zero(id));
    /* Kafka's METADATA_TOPIC_ID is 0x...01. */
    id.bytes[15] = 1;
    uuid_print(id, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_false(uuid_is_zero(id));
    memset(id.bytes, 0xff, sizeof(id.bytes));
    uuid_print(id, text);
    assert_string_equal(text, "_____________________w");
}

static void uuids_parse_back(void **state)
{
    struct rng rng = unit_rng();
    for (u32 i = 0; i < 1000; i++) {
        struct uuid id, back;
        char text[23];
        rng_fill(&rng, id.bytes, sizeof(id.bytes));
        uuid_print(id, text);
        assert_int_equal(strlen(text), 22);
        assert_int_equal(uuid_parse(slice_cstr(text), &back), OK);
        assert_true(uuid_eq(id, back));
    }
    struct uuid kept = {{7}};
    assert_int_equal(uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAA"), &kept), ERR_INVALID);
    assert_int_equal(uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAA+Q"), &kept), ERR_INVALID);
    assert_int_equal(uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAAB"), &kept), ERR_INVALID);
    assert_int_equal(uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAA\0"), &kept), ERR_INVALID);
    assert_int_equal(kept.bytes[0], 7); /* unchanged on failure */
}

static void fixed_widths_have_their_byte_order(void **state)
{
    u8 buf[64];
    struct writer w = writer_of(buf, sizeof(buf));
    write_be16(&w, 0x0102);
    write_be32(&w, 0x03040506);
    write_be64(&w, 0x0708090a0b0c0d0eull);
    write_le16(&w, 0x0201);
    write_le32(&w, 0x04030201);
    write_le64(&w, 0x0807060504030201ull);
    write_u8(&w, 0xff);
    assert_false(w.failed);
    assert_int_equal(w.len, 29);
    for (u8 i = 0; i < 14; i++) {
        assert_int_equal(buf[i], i + 1);
    }
    const u8 little[] = {1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0xff};
    assert_memory_equal(buf + 14, little, sizeof(little));

    struct reader r = reader_of(slice_of(buf, w.len));
    assert_int_equal(read_be16(&r), 0x0102);
    assert_int_equal(read_be32(&r), 0x03040506);
    assert_true(read_be64(&r) == 0x0708090a0b0c0d0eull);
    assert_int_equal(read_le16(&r), 0x0201);
    assert_int_equal(read_le32(&r), 0x04030201);
    assert_true(read_le64(&r) == 0x0807060504030201ull);
    assert_int_equal(read_u8(&r), 0xff);
    assert_int_equal(reader_left(&r), 0);
    assert_false(r.failed);

    store_be16(buf, load_be16(buf + 1));
    store_le32(buf + 4, load_be32(buf));
    store_be32(buf + 9, load_le32(buf + 4));
    assert_int_equal(load_be32(buf + 9), load_be32(buf));
    store_le64(buf + 13, 77);
    assert_true(load_le64(buf + 13) == 77);
    store_be64(buf + 13, 77);
    assert_true(load_be64(buf + 13) == 77);
}

/* A random sequence of fields, so that reader and writer meet in every combination. */
struct field {
    u32 kind;
    u64 value;
};

static void write_field(struct writer *w, const struct field *f)
{
    switch (f->kind) {
    case 0:
        write_u8(w, (u8)f->value);
        break;
    case 1:
        write_be16(w, (u16)f->value);
        break;
    case 2:
        write_le32(w, (u32)f->value);
        break;
    case 3:
        write_be64(w, f->value);
        break;
    case 4:
        write_uvarint(w, (u32)f->value);
        break;
    case 5:
        write_varint(w, (i32)f->value);
        break;
    case 6:
        write_varlong(w, (i64)f->value);
        break;
    default:
        write_bytes(w, "some bytes", f->value % 11);
        break;
    }
}

/* True when the field reads back as it was written. */
static bool field_reads_back(struct reader *r, const struct field *f)
{
    switch (f->kind) {
    case 0:
        return read_u8(r) == (u8)f->value;
    case 1:
        return read_be16(r) == (u16)f->value;
    case 2:
        return read_le32(r) == (u32)f->value;
    case 3:
        return read_be64(r) == f->value;
    case 4:
        return read_uvarint(r) == (u32)f->value;
    case 5:
        return read_varint(r) == (i32)f->value;
    case 6:
        return read_varlong(r) == (i64)f->value;
    default:
        return slice_eq(read_bytes(r, f->value % 11), slice_of("some bytes", f->value % 11));
    }
}

static void random_sequences_read_back_and_every_cut_fails(void **state)
{
    struct rng rng = unit_rng();
    enum { FIELDS = 12 };
    for (u32 round = 0; round < 500; round++) {
        struct field fields[FIELDS];
        u8 buf[FIELDS * 11];
        struct writer w = writer_of(buf, sizeof(buf));
        for (u32 i = 0; i < FIELDS; i++) {
            fields[i] =
                (struct field){(u32)rng_below(&rng, 8), rng_next(&rng) >> rng_below(&rng, 64)};
            write_field(&w, &fields[i]);
        }
        assert_false(w.failed);
        for (size_t cut = 0; cut <= w.len; cut++) {
            u8 *exact = mem_alloc(cut);
            memcpy(exact, buf, cut);
            struct reader r = reader_of(slice_of(exact, cut));
            for (u32 i = 0; i < FIELDS; i++) {
                bool same = field_reads_back(&r, &fields[i]);
                assert_true(same || r.failed);
            }
            if (cut < w.len) {
                assert_true(r.failed);
            } else {
                assert_false(r.failed);
                assert_int_equal(reader_left(&r), 0);
            }
            if (r.failed) {
                assert_int_equal(reader_left(&r), 0);
                assert_int_equal(read_be64(&r), 0);
                assert_null(read_bytes(&r, 1).ptr);
            }
            mem_free(exact);
        }
    }
}

static void varints_keep_to_their_widths(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool fits_32;
    } cases[] = {
        {"\x00", 1, true},
        {"\x80\x00", 2, true}, /* longer than needed: accepted, as Kafka does */
        {"\xff\xff\xff\xff\x0f", 5, true},
        {"\xff\xff\xff\xff\x1f", 5, false},
        {"\xff\xff\xff\xff\x7f", 5, false},
        {"\x80\x80\x80\x80\x80\x00", 6, false},
        {"\xff\xff\xff\xff\xff\xff", 6, false},
        {"\x80", 1, false},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct reader r = reader_of(slice_of(cases[i].bytes, cases[i].len));
        u32 value = read_uvarint(&r);
        assert_int_equal(r.failed, !cases[i].fits_32);
        assert_true(!r.failed || value == 0);
    }
    struct reader r = reader_of(SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_true(read_varlong(&r) == INT64_MIN);
    assert_false(r.failed);
    r = reader_of(SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
    assert_true(read_varlong(&r) == 0);
    assert_true(r.failed);
    r = reader_of(SLICE_LIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
    (void)read_varlong(&r);
    assert_true(r.failed);
}

static void varint_sizes_are_exact(void **state)
{
    struct rng rng = unit_rng();
    for (u32 i = 0; i < 20000; i++) {
        u64 value = rng_next(&rng) >> rng_below(&rng, 64);
        u8 buf[10];
        struct writer w = writer_of(buf, sizeof(buf));
        write_varlong(&w, (i64)value);
        assert_int_equal(w.len, varlong_size((i64)value));
        w = writer_of(buf, sizeof(buf));
        write_varint(&w, (i32)value);
        assert_int_equal(w.len, varint_size((i32)value));
        w = writer_of(buf, sizeof(buf));
        write_uvarint(&w, (u32)value);
        assert_int_equal(w.len, uvarint_size((u32)value));
    }
    assert_int_equal(varint_size(-1), 1);
    assert_int_equal(varint_size(INT32_MIN), 5);
    assert_int_equal(varlong_size(INT64_MIN), 10);
    assert_int_equal(uvarint_size(127), 1);
    assert_int_equal(uvarint_size(128), 2);
}

static void a_full_writer_stays_failed(void **state)
{
    u8 buf[8] = {0};
    struct writer w = writer_of(buf, 5);
    write_be32(&w, 1);
    write_be16(&w, 2);
    assert_true(w.failed);
    write_u8(&w, 3); /* would fit, but nothing is written after a failure */
    assert_int_equal(w.len, 4);
    assert_int_equal(buf[4], 0);
    w = writer_of(buf, sizeof(buf));
    write_zeros(&w, 8);
    assert_false(w.failed);
    write_bytes(&w, NULL, 0);
    assert_false(w.failed);
    write_zeros(&w, SIZE_MAX);
    assert_true(w.failed);
}

static void hostile_lengths_are_refused(void **state)
{
    struct reader r = reader_of(SLICE_LIT("abcd"));
    assert_null(read_bytes(&r, SIZE_MAX).ptr);
    assert_true(r.failed);
    r = reader_of((struct slice){NULL, 0});
    assert_int_equal(read_bytes(&r, 0).len, 0);
    assert_false(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
}

static void utf8_sequences(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        u32 point;
    } rows[] = {
        {"a", 1, 'a'},
        {"\xc3\xa9", 2, 0xe9},
        {"\xe2\x82\xac", 3, 0x20ac},
        {"\xf0\x9f\x90\x98", 4, 0x1f418},
        {"\x80", 0, 0},
        {"\xc3", 0, 0},
        {"\xc0\xaf", 0, 0},
        {"\xed\xa0\x80", 0, 0},
        {"\xf4\x90\x80\x80", 0, 0},
        {"\xe2\x82", 0, 0},
        {"\xc3(", 0, 0},
        {"\xff", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        u32 point = 0;
        size_t left = strlen(rows[i].bytes);
        assert_int_equal(utf8_sequence((const u8 *)rows[i].bytes, left, &point), rows[i].len);
        assert_int_equal(point, rows[i].point);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(hashes_differ),
        cmocka_unit_test(uuids_print_as_kafka_prints_them),
        cmocka_unit_test(uuids_parse_back),
        cmocka_unit_test(fixed_widths_have_their_byte_order),
        cmocka_unit_test(random_sequences_read_back_and_every_cut_fails),
        cmocka_unit_test(varints_keep_to_their_widths),
        cmocka_unit_test(varint_sizes_are_exact),
        cmocka_unit_test(a_full_writer_stays_failed),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(utf8_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
