/* Proves that memory comes zeroed, and that a charge which passes any cap on the way to the root
   changes nothing at all: a random walk over a tree of shares against sums kept by hand. */
#include "../unit.h"

static void alloc_is_zeroed_and_resizes(void **state)
{
    u8 *ptr = mem_alloc(1000);
    for (u32 i = 0; i < 1000; i++) {
        assert_int_equal(ptr[i], 0);
    }
    memset(ptr, 7, 1000);
    ptr = mem_resize(ptr, 5000);
    assert_int_equal(ptr[0], 7);
    assert_int_equal(ptr[999], 7);
    mem_free(ptr);
    mem_free(NULL);
    void *empty = mem_alloc(0);
    assert_non_null(empty);
    mem_free(empty);
}

static void strndup_ends_with_a_terminator(void **state)
{
    char *copy = mem_strndup(slice_of("orders-and-more", 6));
    assert_string_equal(copy, "orders");
    mem_free(copy);
    copy = mem_strndup((struct slice){NULL, 0});
    assert_string_equal(copy, "");
    mem_free(copy);
}

static void charge_goes_up_to_the_root(void **state)
{
    struct quota root, child;
    quota_init(&root, "root", NULL, 100);
    quota_init(&child, "child", &root, 1000); /* over-committed: the root decides */
    assert_int_equal(quota_left(&child), 100);
    assert_true(quota_charge(&child, 60));
    assert_int_equal(root.used, 60);
    assert_int_equal(child.used, 60);
    assert_false(quota_charge(&child, 41));
    assert_int_equal(root.used, 60);
    assert_int_equal(child.used, 60);
    assert_true(quota_charge(&child, 40));
    assert_int_equal(quota_left(&child), 0);
    quota_release(&child, 100);
    assert_int_equal(root.used, 0);
    assert_int_equal(root.used_max, 100);
}

static void charge_does_not_overflow(void **state)
{
    struct quota root;
    quota_init(&root, "root", NULL, 100);
    assert_true(quota_charge(&root, 50));
    assert_false(quota_charge(&root, UINT64_MAX));
    assert_false(quota_charge(&root, UINT64_MAX - 49));
    assert_int_equal(root.used, 50);
}

static void random_walk_agrees_with_sums(void **state)
{
    struct rng rng = unit_rng();
    struct quota root, share[3];
    u64 held[3] = {0};
    quota_init(&root, "root", NULL, 10000);
    for (u32 i = 0; i < 3; i++) {
        quota_init(&share[i], "share", &root, 4000);
    }
    for (u32 step = 0; step < 20000; step++) {
        u64 i = rng_below(&rng, 3);
        u64 total = held[0] + held[1] + held[2];
        if (rng_chance(&rng, 1, 2)) {
            u64 bytes = rng_below(&rng, 1500);
            bool fits = held[i] + bytes <= 4000 && total + bytes <= 10000;
            assert_int_equal(quota_charge(&share[i], bytes), fits);
            held[i] += fits ? bytes : 0;
        } else if (held[i] > 0) {
            u64 bytes = rng_between(&rng, 1, held[i]);
            quota_release(&share[i], bytes);
            held[i] -= bytes;
        }
        assert_int_equal(share[i].used, held[i]);
        assert_int_equal(root.used, held[0] + held[1] + held[2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alloc_is_zeroed_and_resizes),
        cmocka_unit_test(strndup_ends_with_a_terminator),
        cmocka_unit_test(charge_goes_up_to_the_root),
        cmocka_unit_test(charge_does_not_overflow),
        cmocka_unit_test(random_walk_agrees_with_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
