/* Proves what a diagnostic line looks like in both formats, that nothing from outside gets through
   unescaped, that a long line stays well formed, and that repeats are counted and summed up. */
#include "../unit.h"

struct capture {
    char text[64 * 1024];
    size_t len;
    u32 lines;
};
static struct capture captured;

static void capture_line(void *user, const char *line, size_t len)
{
    struct capture *c = user;
    assert_int_equal(line[len - 1], '\n');
    assert_null(memchr(line, '\n', len - 1));
    assert_true(c->len + len < sizeof(c->text));
    memcpy(c->text + c->len, line, len);
    c->len += len;
    c->text[c->len] = '\0';
    c->lines++;
}

/* Each test starts with a clean capture and a clock far past the windows of the one before. */
static u64 clock_ns = 1;
static int setup(void **state)
{
    captured.len = 0;
    captured.lines = 0;
    captured.text[0] = '\0';
    clock_ns += 1000ull * 1000 * 1000 * 1000;
    diag_redirect(capture_line, &captured);
    diag_configure(DIAG_TEXT, DIAG_DEBUG);
    diag_set_now(clock_ns, 1795604917123);
    captured.len = 0;
    captured.lines = 0;
    return 0;
}

static void text_lines(void **state)
{
    diag(MSG_bad_frame, D_STR("peer", "127.0.0.1:4"), D_INT("length", -1), D_UINT("max", 7));
    assert_string_equal(captured.text,
                        "11:08:37.123Z warn  ODK-1001: closed a connection that sent an impossible "
                        "frame peer=127.0.0.1:4 length=-1 max=7\n");
}

static void json_lines(void **state)
{
    diag_configure(DIAG_JSON, DIAG_DEBUG);
    diag0(MSG_stopped);
    assert_string_equal(captured.text,
                        "{\"time\":\"2026-11-25T11:08:37.123Z\",\"level\":\"info\",\"code\":"
                        "\"ODK-5003\",\"event\":\"stopped\",\"text\":\"stopped\"}\n");
}

static void hostile_strings_are_escaped(void **state)
{
    const char *hostile = "a\x1b[2J\n\"q\\\xff\xc2\x9b \xe2\x80\xae";
    diag(MSG_bad_frame, D_STR("client", hostile));
    assert_non_null(
        strstr(captured.text, "client=\"a\\x1b[2J\\x0a\\\"q\\\\\\xff\\x9b \\u202e\"\n"));
    diag_configure(DIAG_JSON, DIAG_DEBUG);
    captured.len = 0;
    diag(MSG_bad_frame, D_STR("client", hostile));
    assert_non_null(strstr(captured.text,
                           "\"client\":\"a\\u001b[2J\\u000a\\\"q\\\\\\ufffd\\u009b \\u202e\"}\n"));
}

static void random_bytes_stay_printable(void **state)
{
    struct rng rng = unit_rng();
    for (u32 round = 0; round < 2000; round++) {
        u8 noise[100];
        rng_fill(&rng, noise, sizeof(noise));
        diag_configure(rng_chance(&rng, 1, 2) ? DIAG_JSON : DIAG_TEXT, DIAG_DEBUG);
        clock_ns += 20ull * 1000 * 1000 * 1000;
        diag_set_now(clock_ns, 0);
        captured.len = 0;
        captured.lines = 0;
        diag(MSG_bad_frame, D_SLICE("noise", slice_of(noise, rng_below(&rng, sizeof(noise)))));
        assert_int_equal(captured.lines, 1);
        for (size_t i = 0; i + 1 < captured.len; i++) {
            assert_true((u8)captured.text[i] >= 0x20 && captured.text[i] != 0x7f);
        }
    }
}

static void long_lines_are_cut_and_say_so(void **state)
{
    static char filler[2000];
    memset(filler, 'x', sizeof(filler) - 1);
    struct diag_field fields[20];
    for (u32 i = 0; i < ARRAY_LEN(fields); i++) {
        fields[i] = D_STR("filler", filler);
    }
    diag_configure(DIAG_JSON, DIAG_DEBUG);
    diag_event_(MSG_bad_frame, fields, ARRAY_LEN(fields));
    assert_true(captured.len <= 4096);
    assert_string_equal(captured.text + captured.len - 10, ",\"cut\":1}\n");
    assert_non_null(strstr(captured.text, "xxx...\""));
    diag_configure(DIAG_TEXT, DIAG_DEBUG);
    captured.len = 0;
    diag_event_(MSG_bad_frame, fields, ARRAY_LEN(fields));
    assert_true(captured.len <= 4096);
    assert_string_equal(captured.text + captured.len - 5, " ...\n");
}

static void levels_are_kept(void **state)
{
    diag_configure(DIAG_TEXT, DIAG_INFO);
    diag_set_level(DIAG_ERROR);
    assert_int_equal(diag_min_level(), DIAG_ERROR);
    assert_string_equal(diag_level_name(diag_min_level()), "error");
    diag0(MSG_bad_frame);
    assert_int_equal(captured.lines, 0);
    diag0(MSG_home_fenced);
    assert_int_equal(captured.lines, 1);
}

static void repeats_are_counted_and_summed_up(void **state)
{
    for (u32 i = 0; i < 1000; i++) {
        diag0(MSG_bad_frame);
    }
    assert_int_equal(captured.lines, 20);
    diag0(MSG_bad_request); /* another code has a rate of its own */
    assert_int_equal(captured.lines, 21);
    diag_set_now(clock_ns + 9ull * 1000 * 1000 * 1000, 0);
    assert_int_equal(captured.lines, 21);
    captured.len = 0;
    diag_set_now(clock_ns + 11ull * 1000 * 1000 * 1000, 0);
    assert_int_equal(captured.lines, 22);
    assert_non_null(strstr(captured.text, "ODK-5004"));
    assert_non_null(strstr(captured.text, "of_code=ODK-1001 of_event=bad_frame count=980"));
    diag0(MSG_bad_frame); /* a new window */
    assert_int_equal(captured.lines, 23);
    for (u32 i = 0; i < 100; i++) {
        diag0(MSG_bad_request);
    }
    captured.len = 0;
    diag_settle(); /* at the end, before the window is over */
    assert_non_null(strstr(captured.text, "of_code=ODK-1002 of_event=bad_request count=80"));
    captured.lines = 0;
    diag_settle();
    diag_set_now(clock_ns + 30ull * 1000 * 1000 * 1000, 0);
    assert_int_equal(captured.lines, 0); /* once */
}

static void dates_before_and_after(void **state)
{
    static const struct {
        i64 wall_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {2147483648000, "2038-01-19T03:14:08.000Z"},
    };
    diag_configure(DIAG_JSON, DIAG_DEBUG);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        captured.len = 0;
        diag_set_now(clock_ns, cases[i].wall_ms);
        diag0(MSG_stopped);
        assert_non_null(strstr(captured.text, cases[i].text));
    }
}

static void codes_are_never_used_twice(void **state)
{
    for (u32 i = 0; i < diag_row_count; i++) {
        assert_true(diag_rows[i].code >= 1000 && diag_rows[i].code <= 9999);
        for (u32 other = 0; other < i; other++) {
            assert_int_not_equal(diag_rows[i].code, diag_rows[other].code);
        }
    }
}

static void warnings_and_errors_have_help(void **state)
{
    for (u32 i = 0; i < diag_row_count; i++) {
        const struct diag_row *row = &diag_rows[i];
        if (row->level >= DIAG_WARN && row->help[0] == '\0') {
            fail_msg("ODK-%04u has no help", (unsigned)row->code);
        }
    }
}

static void codes_are_found_as_people_write_them(void **state)
{
    static const char *const written[] = {"ODK-5003", "odk-5003", "Odk-5003", "5003"};
    for (u32 i = 0; i < ARRAY_LEN(written); i++) {
        const struct diag_row *row = diag_row_find(slice_cstr(written[i]));
        assert_non_null(row);
        assert_string_equal(row->name, "stopped");
    }
    static const char *const wrong[] = {
        "", "ODK-", "ODK-9999", "ODK5003", "5003x", "-5003", "999999999999999999999", "OD"};
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_null(diag_row_find(slice_cstr(wrong[i])));
    }
}

static void problems_have_three_lines(void **state)
{
    char text[8192];
    struct diag_problem p = {MSG_home_fenced, "it \"fell\" over\x1b[2J", "because", "stand up"};
    size_t len = diag_problem_text(&p, text, sizeof(text));
    assert_string_equal(text, "error ODK-3001: it \"fell\" over\\x1b[2J\n  because\n  next: stand "
                              "up\n");
    assert_int_equal(len, strlen(text));
    p.code = MSG_stopped;
    p.why = "";
    diag_problem_text(&p, text, sizeof(text));
    assert_string_equal(text, "note ODK-5003: it \"fell\" over\\x1b[2J\n  next: stand up\n");
    assert_int_equal(diag_problem_text(&p, text, 5), 4);
    assert_string_equal(text, "note");
    static char longest[6000];
    memset(longest, 'x', sizeof(longest) - 1);
    p.why = longest;
    len = diag_problem_text(&p, text, sizeof(text));
    assert_true(len < 4096);
    assert_string_equal(text + len - 5, " ...\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_lines, setup),
        cmocka_unit_test_setup(json_lines, setup),
        cmocka_unit_test_setup(hostile_strings_are_escaped, setup),
        cmocka_unit_test_setup(random_bytes_stay_printable, setup),
        cmocka_unit_test_setup(long_lines_are_cut_and_say_so, setup),
        cmocka_unit_test_setup(levels_are_kept, setup),
        cmocka_unit_test_setup(repeats_are_counted_and_summed_up, setup),
        cmocka_unit_test_setup(dates_before_and_after, setup),
        cmocka_unit_test(codes_are_never_used_twice),
        cmocka_unit_test(warnings_and_errors_have_help),
        cmocka_unit_test(codes_are_found_as_people_write_them),
        cmocka_unit_test(problems_have_three_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
