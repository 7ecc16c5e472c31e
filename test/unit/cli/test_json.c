/* json.c: texts that are JSON, as trees; texts that are none, with a reason; random bytes, which
   must only be refused or read, never overrun (the sanitizers watch). */
#include "../unit.h"

#include "cli/json.h"

static struct arena arena;

static const struct json *read(const char *text)
{
    const char *why;
    const struct json *v = json_parse(&arena, slice_cstr(text), &why);
    if (v == NULL) {
        fail_msg("%s is refused: %s", text, why);
    }
    return v;
}

static void values(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 4096, 0);
    const struct json *v =
        read(" {\"a\": [1, -2.5e+3, true, null], \"b\": {}, \"a\\u0062\": \"x\"} ");
    assert_int_equal(v->kind, JSON_OBJECT);
    assert_int_equal(v->count, 3);
    const struct json *list = json_get(v, "a");
    assert_int_equal(list->kind, JSON_LIST);
    assert_int_equal(list->count, 4);
    assert_true(slice_eq_cstr(list->raw, "[1, -2.5e+3, true, null]"));
    assert_int_equal(list->first->kind, JSON_NUMBER);
    assert_true(slice_eq_cstr(list->first->next->raw, "-2.5e+3"));
    assert_int_equal(list->first->next->next->kind, JSON_BOOL);
    assert_int_equal(list->first->next->next->next->kind, JSON_NULL);
    assert_int_equal(json_get(v, "b")->count, 0);
    assert_true(slice_eq_cstr(json_get(v, "ab")->text, "x"));
    assert_null(json_get(v, "c"));
    assert_true(slice_eq_cstr(json_get(read("{\"k\":1,\"k\":2}"), "k")->raw, "2"));
    arena_fini(&arena);
}

static void texts(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 4096, 0);
    assert_true(slice_eq_cstr(read("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")->text, "\"\\/\b\f\n\r\t"));
    assert_true(slice_eq_cstr(read("\"\\u00e9\\u20AC\"")->text, "\xc3\xa9\xe2\x82\xac"));
    assert_true(slice_eq_cstr(read("\"\\ud83d\\ude00\"")->text, "\xf0\x9f\x98\x80"));
    /* Half a pair stands for nothing. */
    assert_true(slice_eq_cstr(read("\"\\ud83d!\\ude00\"")->text, "\xef\xbf\xbd!\xef\xbf\xbd"));
    assert_true(slice_eq_cstr(read("\"\\ud83d\\u0041\"")->text, "\xef\xbf\xbd"
                                                                "A"));
    assert_true(slice_eq(read("\"\\u0000\"")->text, slice_of("\0", 1)));
    arena_fini(&arena);
}

static void refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",        " ",         "tru",         "nul",        "01",    "-",    "1.",
        "1e",      "+1",        ".5",          "[1",         "[1,]",  "[,]",  "{",
        "{\"a\"}", "{\"a\":}",  "{a:1}",       "{\"a\":1,}", "\"",    "\"\\", "\"\\x\"",
        "\"\n\"",  "\"\\u12\"", "\"\\u12g4\"", "1 2",        "[] []", "'a'",  "\"\\ud83d\\u12\"",
    };
    arena_init(&arena, NULL, 4096, 0);
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *why = NULL;
        if (json_parse(&arena, slice_cstr(wrong[i]), &why) != NULL) {
            fail_msg("'%s' is JSON", wrong[i]);
        }
        assert_non_null(why);
    }
    char deep[200];
    memset(deep, '[', sizeof deep);
    const char *why;
    assert_null(json_parse(&arena, slice_of(deep, sizeof deep), &why));
    assert_string_equal(why, "it is nested too deeply");
    arena_fini(&arena);
}

static void random_bytes(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]:,\"\\u0019aeE+-.tfn \x80";
    struct rng rng = unit_rng();
    for (u32 run = 0; run < 20000; run++) {
        char text[40];
        size_t len = rng_below(&rng, sizeof text + 1);
        for (size_t i = 0; i < len; i++) {
            text[i] = alphabet[rng_below(&rng, sizeof alphabet - 1)];
        }
        /* On the heap, so that a byte too far is seen. */
        char *exact = mem_alloc(len + (len == 0));
        memcpy(exact, text, len);
        arena_init(&arena, NULL, 4096, 0);
        const char *why = NULL;
        const struct json *v = json_parse(&arena, slice_of(exact, len), &why);
        assert_int_equal(v == NULL, why != NULL);
        arena_fini(&arena);
        mem_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(texts),
        cmocka_unit_test(refused),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
