/* screen.c: what fits on a screen of a given size: the first section whole, the others in turn,
   lines cut between characters, colours kept. */
#include "../unit.h"

#include "cli/screen.h"

static void fits(const char *text, u32 rows, u32 columns, const char *wanted)
{
    char *fitted = screen_fit(slice_cstr(text), rows, columns);
    assert_string_equal(fitted, wanted);
    mem_free(fitted);
}

static void rows(void **state)
{
    static const char three[] = "head\n\fA\na1\na2\na3\n\fB\nb1\nb2\n";
    fits(three, 24, 80, "head\n\nA\na1\na2\na3\n\nB\nb1\nb2\n");
    fits(three, 10, 80, "head\n\nA\na1\na2\na3\n\nB\nb1\nb2\n");
    fits(three, 9, 80, "head\n\nA\na1\n... and 2 more\n\nB\nb1\nb2\n");
    fits(three, 7, 80, "head\n\nA\n... and 3 more\n\nB\n... and 2 more\n");
    fits(three, 4, 80, "head\n\nA\n");
    fits(three, 1, 80, "head\n");
    fits("", 24, 80, "");
    fits("only\n", 1, 80, "only\n");
}

static void columns(void **state)
{
    fits("abcdef\n", 5, 4, "abcd\n");
    fits("\xc3\xa4\xc3\xb6\xe2\x82\xac!\n", 5, 3, "\xc3\xa4\xc3\xb6\xe2\x82\xac\n");
    fits("\033[1mabcdef\033[0m\n", 5, 3, "\033[1mabc\033[0m\n");
    fits("ab\033[1", 5, 3, ""); /* no whole line */
    fits("x\n\f1\n2\n3\n4\n", 5, 6, "x\n\n1\n2\n... an\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
