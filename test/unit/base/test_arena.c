/* Proves that arena memory is zeroed, aligned, never overlaps, is charged to the quota while it
   exists and gone after reset (but for one block), and that a full arena says so until reset. */
#include "../unit.h"

static void memory_is_zeroed_aligned_and_disjoint(void **state)
{
    struct rng rng = unit_rng();
    struct arena a;
    arena_init(&a, NULL, 1024, 0);
    for (u32 round = 0; round < 50; round++) {
        u8 *ptrs[100];
        size_t lens[100];
        for (u32 i = 0; i < 100; i++) {
            lens[i] = rng_below(&rng, rng_chance(&rng, 1, 20) ? 5000 : 100);
            ptrs[i] = arena_alloc(&a, lens[i]);
            assert_non_null(ptrs[i]);
            assert_int_equal((uintptr_t)ptrs[i] % 16, 0);
            for (size_t b = 0; b < lens[i]; b++) {
                assert_int_equal(ptrs[i][b], 0);
            }
            memset(ptrs[i], (int)i + 1, lens[i]);
        }
        for (u32 i = 0; i < 100; i++) {
            for (size_t b = 0; b < lens[i]; b++) {
                assert_int_equal(ptrs[i][b], i + 1);
            }
        }
        arena_reset(&a);
        assert_true(a.total_bytes <= 1024);
    }
    arena_fini(&a);
}

static void quota_is_charged_and_given_back(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, 10000);
    struct arena a;
    arena_init(&a, &q, 1024, 0);
    assert_int_equal(q.used, 0);
    assert_non_null(arena_alloc(&a, 10));
    assert_int_equal(q.used, 1024);
    assert_non_null(arena_alloc(&a, 4000));
    assert_true(q.used >= 5024);
    assert_null(arena_alloc(&a, 9000));
    assert_true(a.exhausted);
    assert_non_null(arena_alloc(&a, 10)); /* small things may still fit; the flag stays */
    assert_true(a.exhausted);
    arena_reset(&a);
    assert_false(a.exhausted);
    assert_int_equal(q.used, 1024);
    arena_fini(&a);
    assert_int_equal(q.used, 0);
}

static void own_cap_holds(void **state)
{
    struct arena a;
    arena_init(&a, NULL, 1024, 4096);
    for (u32 i = 0; i < 1000; i++) {
        if (arena_alloc(&a, 100) == NULL) {
            break;
        }
    }
    assert_true(a.exhausted);
    assert_true(a.total_bytes <= 4096);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 100));
    arena_fini(&a);
}

static void array_does_not_overflow(void **state)
{
    struct arena a;
    arena_init(&a, NULL, 1024, 0);
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_true(a.exhausted);
    arena_reset(&a);
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_true(a.exhausted);
    arena_reset(&a);
    u64 *numbers = arena_array(&a, 10, sizeof(u64));
    assert_non_null(numbers);
    assert_int_equal(numbers[9], 0);
    arena_fini(&a);
}

static void copies_and_prints(void **state)
{
    struct arena a;
    arena_init(&a, NULL, 64, 256);
    struct slice s = arena_copy(&a, SLICE_LIT("abc"));
    assert_true(slice_eq_cstr(s, "abc"));
    assert_int_equal(arena_copy(&a, (struct slice){NULL, 0}).len, 0);
    assert_string_equal(arena_printf(&a, "%s-%d", "orders", 7), "orders-7");
    assert_null(arena_printf(&a, "%400d", 1));
    assert_null(arena_copy(&a, (struct slice){(const u8 *)"", 1000}).ptr);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_disjoint),
        cmocka_unit_test(quota_is_charged_and_given_back),
        cmocka_unit_test(own_cap_holds),
        cmocka_unit_test(array_does_not_overflow),
        cmocka_unit_test(copies_and_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
