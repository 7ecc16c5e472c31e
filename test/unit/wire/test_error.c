/* Proves the table of error codes: consecutive codes (kerr_find counts on it), documented, and the
   names and flags that clients act upon. */
#include "../unit.h"

#include "wire/error.h"

static void rows_are_consecutive_and_documented(void **state)
{
    (void)state;
    for (u32 i = 0; i < kerr_row_count; i++) {
        assert_int_equal(kerr_rows[i].code, (int)i - 1);
        assert_true(strlen(kerr_rows[i].name) > 0);
        assert_true(strlen(kerr_rows[i].doc) > 0);
        assert_ptr_equal(kerr_find(kerr_rows[i].code), &kerr_rows[i]);
    }
    assert_int_equal(kerr_row_count, 138);
}

static void codes_have_their_names(void **state)
{
    (void)state;
    assert_int_equal(KERR_UNKNOWN_SERVER_ERROR, -1);
    assert_int_equal(KERR_NONE, 0);
    assert_int_equal(KERR_UNKNOWN_TOPIC_ID, 100);
    assert_string_equal(kerr_name(KERR_OFFSET_OUT_OF_RANGE), "OFFSET_OUT_OF_RANGE");
    assert_string_equal(kerr_name(-1), "UNKNOWN_SERVER_ERROR");
    assert_string_equal(kerr_name(-2), "UNKNOWN");
    assert_string_equal(kerr_name(INT16_MAX), "UNKNOWN");
    assert_null(kerr_find(INT16_MIN));
}

static void flags_say_who_tries_again(void **state)
{
    (void)state;
    assert_int_equal(kerr_find(KERR_NOT_LEADER_OR_FOLLOWER)->flags,
                     KERR_FLAG_RETRIABLE | KERR_FLAG_REFRESH_METADATA);
    assert_int_equal(kerr_find(KERR_REQUEST_TIMED_OUT)->flags, KERR_FLAG_RETRIABLE);
    assert_int_equal(kerr_find(KERR_MESSAGE_TOO_LARGE)->flags, KERR_FLAG_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_consecutive_and_documented),
        cmocka_unit_test(codes_have_their_names),
        cmocka_unit_test(flags_say_who_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
