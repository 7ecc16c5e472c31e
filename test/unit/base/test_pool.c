/* Proves that a pool hands out zeroed, distinct objects, never more than its cap or its quota, and
   uses freed ones again: a random walk of get and put, each object carrying its own pattern. */
#include "../unit.h"

struct thing {
    u64 id;
    u8 fill[40];
};

static void cap_and_reuse(void **state)
{
    struct pool p;
    pool_init(&p, "things", NULL, sizeof(struct thing), 3);
    void *a = pool_get(&p);
    void *b = pool_get(&p);
    void *c = pool_get(&p);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_null(pool_get(&p));
    assert_int_equal(p.count, 3);
    pool_put(&p, b);
    assert_ptr_equal(pool_get(&p), b);
    pool_put(&p, a);
    pool_put(&p, b);
    pool_put(&p, c);
    pool_fini(&p);
}

static void quota_bounds_the_slabs(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, 20000);
    struct pool p;
    pool_init(&p, "things", &q, sizeof(struct thing), 100000);
    struct thing *got[2000];
    u32 count = 0;
    while (count < 2000 && (got[count] = pool_get(&p)) != NULL) {
        count++;
    }
    assert_true(count > 50);
    assert_true(count * sizeof(struct thing) <= q.used);
    assert_true(q.used <= 20000);
    for (u32 i = 0; i < count; i++) {
        pool_put(&p, got[i]);
    }
    pool_fini(&p);
    assert_int_equal(q.used, 0);
}

static void random_walk_keeps_objects_apart(void **state)
{
    struct rng rng = unit_rng();
    enum { THINGS = 500 };
    struct pool p;
    pool_init(&p, "things", NULL, sizeof(struct thing), THINGS);
    struct thing *live[THINGS] = {NULL};
    for (u32 step = 1; step < 50000; step++) {
        struct thing **at = &live[rng_below(&rng, THINGS)];
        if (*at == NULL) {
            *at = pool_get(&p);
            assert_non_null(*at);
            assert_int_equal((*at)->id, 0);
            assert_int_equal((*at)->fill[39], 0);
            (*at)->id = step;
            memset((*at)->fill, (u8)step, sizeof((*at)->fill));
        } else {
            assert_int_equal((*at)->fill[0], (u8)(*at)->id);
            assert_int_equal((*at)->fill[39], (u8)(*at)->id);
            pool_put(&p, *at);
            *at = NULL;
        }
    }
    for (u32 i = 0; i < THINGS; i++) {
        if (live[i] != NULL) {
            pool_put(&p, live[i]);
        }
    }
    assert_int_equal(p.count, 0);
    pool_fini(&p);
}

static void objects_larger_than_a_slab(void **state)
{
    struct pool p;
    pool_init(&p, "large", NULL, MIB, 2);
    u8 *a = pool_get(&p);
    u8 *b = pool_get(&p);
    a[MIB - 1] = 1;
    b[0] = 2;
    assert_int_equal(a[MIB - 1], 1);
    pool_put(&p, a);
    pool_put(&p, b);
    pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cap_and_reuse),
        cmocka_unit_test(quota_bounds_the_slabs),
        cmocka_unit_test(random_walk_keeps_objects_apart),
        cmocka_unit_test(objects_larger_than_a_slab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
