/* progress.c: the bar as text: how much, how fast, how long still. */
#include "../unit.h"

#include "cli/progress.h"

static void bars(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_BYTES];
    struct progress p = {.unit = "records", .total = 200, .done = 50};
    progress_text(&p, 10000, false, 80, text);
    assert_string_equal(text, "######------------------  25%  50 records  5/s  ETA 30s");
    p.done = 200;
    progress_text(&p, 10000, false, 80, text);
    assert_string_equal(text, "######################## 100%  200 records  20/s  ETA 0s");
    p.done = 300; /* more came than there was */
    progress_text(&p, 0, false, 80, text);
    assert_string_equal(text, "######################## 100%  300 records  0/s  ETA ?");
    p = (struct progress){.unit = "records", .total = 1000000, .done = 100};
    progress_text(&p, 10000, true, 80, text);
    assert_non_null(strstr(text, "░"));
    assert_non_null(strstr(text, "ETA 27h46m"));
    p.total = -1;
    progress_text(&p, 10000, false, 80, text);
    assert_string_equal(text, "100 records  10/s");
    progress_text(&p, 10000, false, 10, text);
    assert_string_equal(text, "100 recor");
    p.total =
        200; /* on a narrow terminal the bar is shorter, then there is none, then words are cut */
    progress_text(&p, 10000, false, 46, text);
    assert_string_equal(text, "######------  50%  100 records  10/s  ETA 10s");
    progress_text(&p, 10000, false, 38, text);
    assert_string_equal(text, " 50%  100 records  10/s  ETA 10s");
    progress_text(&p, 10000, true, 12, text);
    assert_string_equal(text, " 50%  100 r");
    progress_text(&p, 10000, true, 0, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
