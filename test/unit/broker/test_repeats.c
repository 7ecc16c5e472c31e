/* The marks of repeated elements, against the slow way of finding them. */
#include "../unit.h"
#include "broker/repeats.h"

struct row {
    i64 other;
    struct slice name;
};
struct rows {
    struct row *items;
    u32 count;
};

static u8 slow_mark(const struct rows *rows, const struct named_partition *partitions, u32 at)
{
    bool before = false;
    bool after = false;
    for (u32 i = 0; i < rows->count; i++) {
        bool same = slice_eq(rows->items[i].name, rows->items[at].name) &&
                    (partitions == NULL || partitions[i].partition == partitions[at].partition);
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
        struct named_partition partitions[ARRAY_LEN(items)];
        struct rows rows = {items, (u32)rng_below(&rng, ARRAY_LEN(items) + 1)};
        for (u32 i = 0; i < rows.count; i++) {
            u64 pick = rng_below(&rng, ARRAY_LEN(names));
            items[i] = (struct row){.name = slice_cstr(names[pick])};
            partitions[i] = (struct named_partition){items[i].name, (i32)rng_below(&rng, 3) - 1};
        }
        u8 *by_name = REPEATS_OF_NAMES(&arena, rows, name);
        u8 *of_partitions = repeats_of_partitions(&arena, partitions, rows.count);
        assert_non_null(by_name);
        assert_non_null(of_partitions);
        for (u32 i = 0; i < rows.count; i++) {
            assert_int_equal(by_name[i], slow_mark(&rows, NULL, i));
            assert_int_equal(of_partitions[i], slow_mark(&rows, partitions, i));
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
    assert_null(REPEATS_OF_NAMES(&arena, many, name));
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
