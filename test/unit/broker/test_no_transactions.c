/* ListTransactions and DescribeTransactions while there are no transactions. */
#include "harness.h"

static void states_nobody_knows_are_told_once(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct slice filters[] = {text("Ongoing"),           text("other"), text(""), text("other"),
                              text("PrepareEpochFence"), text("")};
    struct list_transactions_request q = {.state_filters = {.items = filters, .count = 6},
                                          .duration_filter = -1};
    for (i16 version = 0; version <= 2; version++) {
        struct list_transactions_response *r = CALL(c, list_transactions, version, &q);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->transaction_states.count, 0);
        assert_int_equal(r->unknown_state_filters.count, 2);
        assert_true(slice_eq_cstr(r->unknown_state_filters.items[0], "other"));
        assert_true(slice_eq_cstr(r->unknown_state_filters.items[1], ""));
    }
    harness_fini(&h);
}

static void none_is_found(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct slice ids[] = {text("a"), text("")};
    struct describe_transactions_request q = {.transactional_ids = {.items = ids, .count = 2}};
    struct describe_transactions_response *r = CALL(c, describe_transactions, 0, &q);
    assert_int_equal(r->transaction_states.count, 2);
    assert_int_equal(r->transaction_states.items[0].error_code, KERR_TRANSACTIONAL_ID_NOT_FOUND);
    assert_int_equal(r->transaction_states.items[1].error_code, KERR_INVALID_REQUEST);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_nobody_knows_are_told_once),
        cmocka_unit_test(none_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
