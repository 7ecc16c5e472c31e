/* Proves that every error has a name of its own, and that TRY passes an error up and OK by. */
#include "../unit.h"

static void every_error_has_its_own_name(void **state)
{
    for (int e = OK; e < ERR_MAX; e++) {
        assert_string_not_equal(err_name((err_t)e), "unknown error");
        for (int other = OK; other < e; other++) {
            assert_string_not_equal(err_name((err_t)e), err_name((err_t)other));
        }
    }
    assert_string_equal(err_name(ERR_MAX), "unknown error");
    assert_string_equal(err_name((err_t)-1), "unknown error");
}

static err_t pass(err_t e, bool *came_by)
{
    TRY(e);
    *came_by = true;
    return OK;
}

static void try_passes_errors_up(void **state)
{
    bool came_by = false;
    assert_int_equal(pass(ERR_IO, &came_by), ERR_IO);
    assert_false(came_by);
    assert_int_equal(pass(OK, &came_by), OK);
    assert_true(came_by);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_name),
        cmocka_unit_test(try_passes_errors_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
