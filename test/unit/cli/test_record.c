/* record.c: what a format prints of a record and reads from a line, and that a record survives
   being printed as JSON and read again, whatever its bytes. */
#include "../unit.h"

#include "cli/out.h"
#include "cli/record.h"

static struct arena arena;

static const struct record_field two_headers[] = {{SLICE_LIT("h1"), SLICE_LIT("v1")},
                                                  {SLICE_LIT("h2"), {0}}};
static struct cli_record sample(void)
{
    return (struct cli_record){.topic = SLICE_LIT("t"),
                               .partition = 3,
                               .offset = 42,
                               .timestamp = 1795860000250,
                               .key = SLICE_LIT("k\xc3\xa9"),
                               .value = SLICE_LIT("v"),
                               .headers = two_headers,
                               .header_count = 2};
}

static void assert_prints(const char *format, const struct cli_record *r, const char *wanted)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    cli_record_format_print(to, format, r, 7);
    fclose(to);
    if (strcmp(text, wanted) != 0) {
        fail_msg("%s prints '%s', not '%s'", format, text, wanted);
    }
    free(text);
}

static void printing(void **state)
{
    (void)state;
    struct cli_record r = sample();
    assert_prints("%t %p %o %T\\n", &r, "t 3 42 1795860000250\n");
    assert_prints("%k|%v|%s", &r, "k\xc3\xa9|v|v");
    assert_prints("%K %S %V %H %i", &r, "3 1 1 2 7");
    assert_prints("%h", &r, "h1=v1,h2=");
    assert_prints("%h{%k:%v %K %S;}", &r, "h1:v1 2 2;h2: 2 -1;");
    assert_prints("%k{hex} %v{base64} %v{json}", &r, "6bc3a9 dg== \"v\"");
    assert_prints("%d %d{%Y-%m-%d}", &r, "2026-11-28T10:00:00.250Z 2026-11-28");
    assert_prints("%%%{%}", &r, "%{}");
    r.key = (struct slice){0};
    r.value = (struct slice){0};
    r.timestamp = -1;
    assert_prints("[%k] [%v{json}] %K %d", &r, "[] [null] -1 -");
}

static void json_round_trips(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    for (u32 run = 0; run < 2000; run++) {
        arena_init(&arena, NULL, 4096, 0);
        u8 bytes[3][12];
        struct slice parts[3];
        for (u32 i = 0; i < 3; i++) {
            size_t len = rng_below(&rng, sizeof bytes[i] + 1);
            bool text = rng_below(&rng, 2) == 0;
            for (size_t b = 0; b < len; b++) {
                bytes[i][b] = (u8)(text ? 32 + rng_below(&rng, 95) : rng_below(&rng, 256));
            }
            parts[i] = rng_below(&rng, 8) == 0 ? (struct slice){0} : slice_of(bytes[i], len);
        }
        struct record_field header = {SLICE_LIT("name"), parts[2]};
        struct cli_record r = {.topic = SLICE_LIT("t"),
                               .partition = (i32)rng_below(&rng, 9),
                               .timestamp = (i64)rng_below(&rng, 1000),
                               .key = parts[0],
                               .value = parts[1],
                               .headers = &header,
                               .header_count = 1};
        struct node *list = node_list(&arena);
        cli_record_add(list, &r);
        char *line = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&line, &len);
        out_json_line(to, list->first);
        fclose(to);
        struct cli_record again;
        const char *why = NULL;
        if (!cli_record_from_json(&arena, slice_of(line, len - 1), &again, &why)) {
            fail_msg("%s is refused: %s", line, why);
        }
        assert_int_equal(again.partition, r.partition);
        assert_int_equal(again.timestamp, r.timestamp);
        assert_int_equal(again.header_count, 1);
        assert_int_equal(again.key.ptr == NULL, r.key.ptr == NULL);
        assert_int_equal(again.value.ptr == NULL, r.value.ptr == NULL);
        assert_int_equal(again.headers[0].value.ptr == NULL, parts[2].ptr == NULL);
        assert_true(slice_eq(again.key, r.key));
        assert_true(slice_eq(again.value, r.value));
        assert_true(slice_eq(again.headers[0].value, parts[2]));
        free(line);
        arena_fini(&arena);
    }
}

static void lines(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 4096, 0);
    struct cli_record r;
    const char *why;
    assert_true(cli_record_from_line(&arena, "%p|%T|%k|%h|%v", slice_cstr("2|9|key|a=1,b,c=|x|y"),
                                     &r, &why));
    assert_int_equal(r.partition, 2);
    assert_int_equal(r.timestamp, 9);
    assert_true(slice_eq_cstr(r.key, "key"));
    assert_true(slice_eq_cstr(r.value, "x|y")); /* the last one takes the rest */
    assert_int_equal(r.header_count, 3);
    assert_null(r.headers[1].value.ptr);
    assert_non_null(r.headers[2].value.ptr);
    assert_true(cli_record_from_line(&arena, "<%k\\t%v>", slice_cstr("<a\tb>"), &r, &why));
    assert_true(slice_eq_cstr(r.value, "b"));
    assert_true(cli_record_from_line(&arena, "%v", slice_cstr(""), &r, &why));
    assert_non_null(r.value.ptr); /* empty is not null */
    static const struct {
        const char *format;
        const char *line;
    } wrong[] = {{"%k|%v", "none"}, {"<%v>", "x>"},    {"<%v>", "<x>y"},
                 {"%p %v", "x y"},  {"%p %v", "-1 y"}, {"%o", "1"}};
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        why = NULL;
        assert_false(
            cli_record_from_line(&arena, wrong[i].format, slice_cstr(wrong[i].line), &r, &why));
        assert_non_null(why);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing),
        cmocka_unit_test(json_round_trips),
        cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
