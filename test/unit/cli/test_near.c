/* near.c: which name is near enough to be meant. */
#include "../unit.h"

#include "cli/near.h"

static void nearest_names(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        const char *found; /* NULL: none */
    } rows[] = {{"ordrs", "orders"},
                {"orders", "orders"},
                {"payment", "payments"},
                {"paymen", "payments"},
                {"xyzzy", NULL},
                {"o", NULL},
                {"", NULL}};
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        struct near near = near_to(slice_cstr(rows[i].wanted));
        near_try(&near, SLICE_LIT("orders"));
        near_try(&near, SLICE_LIT("payments"));
        near_try(&near, SLICE_LIT(""));
        struct slice found = near_found(&near);
        assert_int_equal(found.ptr == NULL, rows[i].found == NULL);
        assert_true(rows[i].found == NULL || slice_eq_cstr(found, rows[i].found));
    }
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    struct near near = near_to(slice_of(long_name, sizeof long_name));
    near_try(&near, slice_of(long_name, 299));
    assert_null(near_found(&near).ptr); /* nobody mistypes that */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
