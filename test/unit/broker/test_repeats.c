/* The marks of repeated elements, against the slow way of finding them. */
#include "../unit.h"
#include "broker/repeats.h"

struct row {
    i64 other;
    struct slice name;
    i32 number;
};
struct rows {
    struct row *items;
    u32 count;
};

static u8 slow_mark(const struct rows *rows, u32 at, bool by_name)
{
    bool before = false;
    bool after = false;
    for (u32 i = 0; i < rows->count; i++) {
        bool same = by_name ? slice_eq(rows->items[i].name, rows->items[at].name)
                            : rows->items[i].number == rows->items[at].number;
        before = before || (same && i < at);
        after = after || (same && i > at);
    }
    return before ? REPEAT_LATER : after ? REPEAT_FIRST : REPEAT_NONE;
}

static void marks_are_those_of_the_slow_way(void **state)
{
    static const char *const names[] = {"",          "a", "b", "ab", "a\xff",
                                        "long-name", "c", "d", "e",  "f"};
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 4096, 0);
    for (u32 round = 0; round < 300; round++) {
        struct row items[24];
        struct rows rows = {items, (u32)rng_below(&rng, ARRAY_LEN(items) + 1)};
        for (u32 i = 0; i < rows.count; i++) {
            u64 pick = rng_below(&rng, ARRAY_LEN(names));
            items[i] = (struct row){.name = slice_cstr(names[pick]), .number = (i32)pick - 5};
        }
        u8 *by_name = REPEATS_OF_NAMES(&arena, rows, name);
        u8 *by_number = REPEATS_OF_I32(&arena, rows, number);
        assert_non_null(by_name);
        assert_non_null(by_number);
        for (u32 i = 0; i < rows.count; i++) {
            assert_int_equal(by_name[i], slow_mark(&rows, i, true));
            assert_int_equal(by_number[i], slow_mark(&rows, i, false));
        }
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

static void no_rows_and_no_memory(void **state)
{
    struct arena arena;
    arena_init(&arena, NULL, 256, 1024);
    struct rows none = {0};
    assert_non_null(REPEATS_OF_NAMES(&arena, none, name));
    struct row items[1000] = {0};
    struct rows many = {items, 1000};
    assert_null(REPEATS_OF_I32(&arena, many, number));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_those_of_the_slow_way),
        cmocka_unit_test(no_rows_and_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
