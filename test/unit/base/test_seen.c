/* Proves that a marked path is counted by its name, wherever it stands, in order of first sight. */
#include "../unit.h"

static void names_are_counted(void **state)
{
    static char names[200][16];
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < ARRAY_LEN(names); i++) {
            snprintf(names[i], sizeof(names[i]), "path-%u", i);
            seen_count(names[i]);
        }
    }
    /* The same name at another address is the same path. */
    char again[] = "path-7";
    seen_count(again);
    assert_int_equal(seen_table_count, ARRAY_LEN(names));
    for (u32 i = 0; i < seen_table_count; i++) {
        assert_string_equal(seen_table[i].name, names[i]);
        assert_int_equal(seen_table[i].count, i == 7 ? 4 : 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
