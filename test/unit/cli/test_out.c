/* out.c: texts as JSON and for terminals, sizes and times as words, and one tree in each format. */
#include "../unit.h"

#include "cli/out.h"

#include <unistd.h>

static struct arena arena;

/* What out_print says with -o FORMAT. */
static char *printed(struct node *root, const struct view *view, const char *format)
{
    static char text[4096];
    const struct cli_value value = {"output", format};
    const struct cli_args a = {
        .arena = &arena, .words = "test", .values = &value, .value_count = 1};
    FILE *file = tmpfile();
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    assert_int_equal(out_print(&a, root, view), CLI_OK);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static const struct column columns[] = {{"name", "NAME", COLUMN_NAME},
                                        {"count", "COUNT", 0},
                                        {"size", "SIZE", COLUMN_BYTES},
                                        {"more", "MORE", COLUMN_WIDE},
                                        {0}};
static const struct column inner[] = {{"key", "KEY", 0}, {"values", "VALUES", 0}, {0}};

static void listings(void **state)
{
    (void)state;
    setenv("LC_ALL", "C.UTF-8", 1);
    arena_init(&arena, NULL, 4096, 0);
    const struct view view = {.columns = columns, .listing = true};
    struct node *list = node_list(&arena);
    struct node *one = node_add_object(list, NULL);
    node_add_cstr(one, "name", "b\x1b\xc3\xa9");
    node_add_number(one, "count", 1234);
    node_add_number(one, "size", 1536);
    node_add_bool(one, "more", true);
    one = node_add_object(list, NULL);
    node_add_cstr(one, "name", "a");
    node_add_null(one, "count");
    node_add_real(one, "size", 0.5);
    node_add_bool(one, "more", false);
    node_sort(list, "name");
    assert_string_equal(printed(list, &view, "table"), "NAME    COUNT    SIZE\n"
                                                       "a           -      0B\n"
                                                       "b\\x1b\xc3\xa9   1234  1.5KiB\n");
    assert_string_equal(printed(list, &view, "wide"), "NAME    COUNT    SIZE  MORE\n"
                                                      "a           -      0B  no\n"
                                                      "b\\x1b\xc3\xa9   1234  1.5KiB  yes\n");
    setenv("LC_ALL", "C", 1);
    assert_string_equal(printed(list, &view, "name"), "a\nb\\x1b?\n");
    assert_string_equal(
        printed(list, &view, "jsonl"),
        "{\"name\":\"a\",\"count\":null,\"size\":0.500,\"more\":false}\n"
        "{\"name\":\"b\\u001b\xc3\xa9\",\"count\":1234,\"size\":1536,\"more\":true}\n");
    assert_string_equal(printed(node_list(&arena), &view, "json"), "[]\n");
    assert_string_equal(printed(node_list(&arena), &view, "yaml"), "[]\n");
    assert_string_equal(printed(node_list(&arena), &view, "table"), "NAME  COUNT  SIZE\n");
    arena_fini(&arena);
}

static void things(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 4096, 0);
    const struct view view = {.columns = columns, .tables = {{"rows", inner}}};
    struct node *one = node_object(&arena);
    node_add_cstr(one, "name", "n");
    node_add_number(one, "count", 2);
    struct node *row = node_add_object(node_add_list(one, "rows"), NULL);
    node_add_cstr(row, "key", "k");
    struct node *values = node_add_list(row, "values");
    node_add_number(values, NULL, 1);
    node_add_cstr(values, NULL, "x");
    assert_string_equal(printed(one, &view, "table"),
                        "NAME n  COUNT 2  SIZE -\nKEY  VALUES\nk    1,x\n");
    assert_string_equal(
        printed(one, &view, "yaml"),
        "name: \"n\"\ncount: 2\nrows:\n  - key: \"k\"\n    values:\n      - 1\n      - \"x\"\n");
    assert_string_equal(
        printed(one, &view, "json"),
        "{\n  \"name\": \"n\",\n  \"count\": 2,\n  \"rows\": [\n    {\n      \"key\": \"k\",\n"
        "      \"values\": [\n        1,\n        \"x\"\n      ]\n    }\n  ]\n}\n");
    arena_fini(&arena);
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"", true},
        {"a", true},
        {"\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false},
        {"\x80", false},
        {"\xc3", false},
        {"\xc0\x80", false},
        {"\xe0\x80\x80", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x80\x80\x80", false},
        {"\xff", false},
        {"\xe2\x82", false},
        {"\xc3(", false},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(utf8_valid(slice_cstr(rows[i].text)), rows[i].good);
    }
}

static void words(void **state)
{
    (void)state;
    char text[TIME_TEXT_BYTES];
    bytes_text(0, text);
    assert_string_equal(text, "0B");
    bytes_text(1023, text);
    assert_string_equal(text, "1023B");
    bytes_text(1024, text);
    assert_string_equal(text, "1.0KiB");
    bytes_text(5e15, text);
    assert_string_equal(text, "4.4PiB");
    bytes_text(5e20, text);
    assert_string_equal(text, "444089.2PiB");
    time_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    time_text(-1, text);
    assert_string_equal(text, "-");
    time_text(-1001, text);
    assert_string_equal(text, "1969-12-31T23:59:58.999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listings),
        cmocka_unit_test(things),
        cmocka_unit_test(utf8),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
