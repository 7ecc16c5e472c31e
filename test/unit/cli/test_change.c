/* change.c: words as a shell reads them; the rest needs a broker (test/cli). */
#include "../unit.h"

#include "cli/change.h"

static struct arena arena;

static void quoting(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 4096, 0);
    const struct cli_args a = {.arena = &arena};
    assert_string_equal(change_quoted(&a, SLICE_LIT("orders:0=5,x")), "orders:0=5,x");
    assert_string_equal(change_quoted(&a, SLICE_LIT("two words")), "'two words'");
    assert_string_equal(change_quoted(&a, SLICE_LIT("it's")), "'it'\\''s'");
    assert_string_equal(change_quoted(&a, SLICE_LIT("")), "''");
    assert_string_equal(change_quoted(&a, SLICE_LIT("$(rm)")), "'$(rm)'");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
