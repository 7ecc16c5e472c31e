/* Proves that every metric has a row that is fit to print: a Prometheus name, counters that end in
   _total and gauges that do not, a unit, a sentence; and that slots and buckets
   count. */
#include "../unit.h"

#include <ctype.h>

static void every_row_is_fit_to_print(void **state)
{
    for (u32 i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &metric_rows[i];
        size_t len = strlen(row->name);
        for (size_t c = 0; c < len; c++) {
            assert_true(islower((u8)row->name[c]) || isdigit((u8)row->name[c]) ||
                        row->name[c] == '_');
        }
        bool total = len > 6 && strcmp(row->name + len - 6, "_total") == 0;
        assert_int_equal(total, row->kind == METRIC_COUNTER);
        assert_true(strlen(row->unit) > 0);
        size_t doc_len = strlen(row->doc);
        assert_true(doc_len > 0 && row->doc[doc_len - 1] == '.');
        for (u32 other = 0; other < i; other++) {
            assert_string_not_equal(metric_rows[other].name, row->name);
        }
    }
}

static void slots_count(void **state)
{
    u64 before = metric_slots[METRIC_requests_total];
    metric_add(METRIC_requests_total, 2);
    metric_add_shared(METRIC_requests_total, 3);
    assert_int_equal(metric_slots[METRIC_requests_total], before + 5);
    metric_set(METRIC_connections, 9);
    assert_int_equal(metric_slots[METRIC_connections], 9);
}

static void histograms_count_in_buckets(void **state)
{
    struct metric_histogram h = {0};
    metric_histogram_add(&h, 0);
    for (u32 i = 0; i < METRIC_BUCKETS - 1; i++) {
        assert_true(i == 0 || metric_bounds_ns[i] > metric_bounds_ns[i - 1]);
        metric_histogram_add(&h, metric_bounds_ns[i]); /* a bound is still in its bucket */
        metric_histogram_add(&h, metric_bounds_ns[i] + 1);
    }
    u64 sum_ns = METRIC_BUCKETS - 1;
    for (u32 i = 0; i < METRIC_BUCKETS; i++) {
        bool end = i == METRIC_BUCKETS - 1;
        assert_int_equal(h.counts[i], end ? 1 : 2);
        sum_ns += end ? 0 : 2 * metric_bounds_ns[i];
    }
    assert_int_equal(h.sum_ns, sum_ns);
    for (u32 i = 0; i < HISTOGRAM_COUNT; i++) {
        size_t len = strlen(histogram_rows[i].name);
        assert_string_equal(histogram_rows[i].name + len - 8, "_seconds");
        assert_true(histogram_rows[i].doc[strlen(histogram_rows[i].doc) - 1] == '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_fit_to_print),
        cmocka_unit_test(slots_count),
        cmocka_unit_test(histograms_count_in_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
