/* histogram.c: percentiles against those of a sorted array. */
#include "../unit.h"

#include "cli/histogram.h"

static int by_value(const void *a, const void *b)
{
    const i64 *left = a;
    const i64 *right = b;
    return (*left > *right) - (*left < *right);
}

static void percentiles(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    static struct histogram h;
    static i64 values[5000];
    for (u32 i = 0; i < ARRAY_LEN(values); i++) {
        u32 power = (u32)rng_below(&rng, 36);
        values[i] = (i64)rng_below(&rng, 1ull << power);
        histogram_add(&h, values[i]);
    }
    qsort(values, ARRAY_LEN(values), sizeof values[0], by_value);
    static const f64 percents[] = {1, 10, 50, 90, 99, 99.9, 100};
    for (u32 i = 0; i < ARRAY_LEN(percents); i++) {
        u32 rank = (u32)((f64)ARRAY_LEN(values) * percents[i] / 100);
        i64 truth = values[rank > 0 ? rank - 1 : 0];
        i64 got = histogram_percentile(&h, percents[i]);
        if (got < truth || (f64)got > (f64)truth * 1.04 + 1) {
            fail_msg("percentile %g is %lld, the truth %lld", percents[i], (long long)got,
                     (long long)truth);
        }
    }
    static struct histogram empty;
    assert_int_equal(histogram_percentile(&empty, 50), 0);
    histogram_add(&empty, -5); /* a clock that went back */
    assert_int_equal(histogram_percentile(&empty, 100), 0);
    histogram_add(&empty, INT64_MAX); /* longer than any bucket */
    assert_true(histogram_percentile(&empty, 100) > 1ll << 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
