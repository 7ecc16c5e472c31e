/* parse.c: which texts are numbers, durations and moments, and which are none. */
#include "../unit.h"

#include "cli/parse.h"

static void numbers(void **state)
{
    (void)state;
    i64 n = 99;
    assert_true(parse_number("0", 0, 10, &n));
    assert_int_equal(n, 0);
    assert_true(parse_number("-5", -10, 10, &n));
    assert_int_equal(n, -5);
    assert_true(parse_number("9223372036854775807", 0, INT64_MAX, &n));
    assert_true(n == INT64_MAX);
    static const char *const wrong[] = {"",  " 1", "1 ", "+1", "1x",  "0x1",
                                        "-", "--", "11", "-1", "1.0", "9223372036854775808"};
    n = 99;
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(parse_number(wrong[i], 0, 10, &n));
        assert_int_equal(n, 99);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        i64 ms;
    } rows[] = {{"250ms", 250},
                {"10s", 10000},
                {"5m", 300000},
                {"1h", 3600000},
                {"7d", 604800000},
                {"0s", 0},
                {"x", -1},
                {"", -1},
                {"10", -1},
                {"-1s", -1},
                {"1 s", -1},
                {"1w", -1},
                {"1ss", -1},
                {"99999999999999999999s", -1},
                {"9223372036854775807d", -1}};
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        i64 ms = -1;
        assert_int_equal(parse_duration(rows[i].text, &ms), rows[i].ms >= 0);
        assert_true(ms == rows[i].ms);
    }
}

static void moments(void **state)
{
    (void)state;
    const i64 now = 1795860000000; /* 2026-11-28T10:00:00Z */
    static const struct {
        const char *text;
        i64 ms; /* -1: none */
    } rows[] = {
        {"now", 1795860000000},
        {"-1h", 1795856400000},
        {"@1234", 1234},
        {"1970-01-01", 0},
        {"@1970-01-02", 86400000},
        {"2026-11-28T10:00", 1795860000000},
        {"2026-11-28 10:00:00", 1795860000000},
        {"2026-11-28T10:00:00.250Z", 1795860000250},
        {"@2026-11-28T10:00Z", 1795860000000},
        {"1234", -1},
        {"", -1},
        {"@", -1},
        {"2026-13-01", -1},
        {"2026-00-01", -1},
        {"2026-11-28T24:00", -1},
        {"2026-11-28T10", -1},
        {"2026-11-28T10:00:00.25", -1},
        {"2026-11-28Z1", -1},
        {"yesterday", -1},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        i64 ms = -1;
        if (parse_time(rows[i].text, now, &ms) != (rows[i].ms >= 0) || ms != rows[i].ms) {
            fail_msg("'%s' is %lld", rows[i].text, (long long)ms);
        }
    }
}

static void escapes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 256, 0);
    struct slice got = parse_escapes(&arena, slice_cstr("a\\n\\t\\r\\\\\\x41\\0b\\q\\x4\\"));
    assert_true(slice_eq(got, SLICE_LIT("a\n\t\r\\A\0b\\q\\x4\\")));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(durations),
        cmocka_unit_test(moments),
        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
