/* Java's properties format: every rule of java.util.Properties on a line of its own (asked of a
   JVM), what we refuse, which line is named, and that no bytes at all lead the parser astray
   [reliability.md, catalogue 102]. */
#include "../unit.h"
#include "broker/config_file.h"

struct seen {
    char text[8192]; /* "line:key=value;" */
    size_t len;
    u32 stop_after;
    u32 count;
};

static bool take(void *user, u32 line, struct slice key, struct slice value)
{
    struct seen *s = user;
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%u:%.*s=%.*s;", line,
                               (int)key.len, (const char *)key.ptr, (int)value.len,
                               (const char *)value.ptr);
    assert_true(s->len < sizeof s->text);
    s->count++;
    return s->count != s->stop_after;
}

static void expect(struct slice text, const char *wanted)
{
    struct seen s = {0};
    struct properties_error error = {0};
    assert_int_equal(properties_parse(text, take, &s, &error), OK);
    assert_string_equal(s.text, wanted);
}

#define EXPECT(text, wanted) expect(SLICE_LIT(text), wanted)

static void as_java_reads_them(void **state)
{
    EXPECT("", "");
    EXPECT("a=b", "1:a=b;");
    EXPECT("a=b\nc=d\n", "1:a=b;2:c=d;");
    EXPECT("a=b\r\nc=d\re=f", "1:a=b;2:c=d;3:e=f;");
    EXPECT("\n\n \t\f\n a = b \n", "4:a=b ;");
    EXPECT("# no\n! neither\n  # nor this\na#b=c!d\n", "4:a#b=c!d;");
    EXPECT("a:b\na b\na\tb\na = : b\na\n=b\n", "1:a=b;2:a=b;3:a=b;4:a=: b;5:a=;6:=b;");
    EXPECT("a==b\na=b=c\na b=c\n", "1:a==b;2:a=b=c;3:a=b=c;");
    EXPECT("a=b,\\\n   c,\\\r\n\td\ne=f", "1:a=b,c,d;4:e=f;");
    EXPECT("a=b\\\\\nc=d", "1:a=b\\;2:c=d;");
    EXPECT("a=b\\\\\\\n c", "1:a=b\\c;");
    EXPECT("a=b\\", "1:a=b;");
    EXPECT("a=b\\\n\nc=d", "1:a=b;3:c=d;");
    EXPECT("a=b\\\n#c\n", "1:a=b#c;");
    EXPECT("# a comment does not go on \\\na=b", "2:a=b;");
    EXPECT("a\\ b\\=c\\:d=e", "1:a b=c:d=e;");
    EXPECT("a=\\t\\n\\r\\f\\q\\ ", "1:a=\t\n\r\fq ;");
    EXPECT("a=\\u0041\\u00e9\\u20aC\\ud83d\\ude00", "1:a=A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80;");
    EXPECT("\\u0061=b", "1:a=b;");
    EXPECT("\xef\xbb\xbf"
           "a=b",
           "1:a=b;");
    EXPECT("\xef\xbb\xbf# c\na=b", "2:a=b;");
    EXPECT("a=\xc3\xa9", "1:a=\xc3\xa9;");
}

static void what_cannot_be_understood(void **state)
{
    static const struct {
        struct slice text;
        u32 line;
        const char *before;
    } cases[] = {
        {SLICE_LIT("a=b\nc=\\u12\n"), 2, "1:a=b;"},
        {SLICE_LIT("a=b\n\n\nc=\\uzzzz\ne=f"), 4, "1:a=b;"},
        {SLICE_LIT("a=\\u0000"), 1, ""},
        {SLICE_LIT("a=\\ud83d"), 1, ""},
        {SLICE_LIT("a=\\ud83d\\u0041"), 1, ""},
        {SLICE_LIT("a=\\ude00"), 1, ""},
        {SLICE_LIT("\\u=b"), 1, ""},
        {SLICE_LIT("a=b\nc=d\0e\n"), 2, "1:a=b;"},
        {SLICE_LIT("\xff\xfe"
                   "a\0=\0b\0"),
         1, ""},
        {SLICE_LIT("\xfe\xff\0a\0=\0b"), 1, ""},
        {SLICE_LIT("a=b\\\n c\\\n d\\u1\n"), 1, ""}, /* the first of the lines that go together */
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen s = {0};
        struct properties_error error = {0};
        assert_int_equal(properties_parse(cases[i].text, take, &s, &error), ERR_INVALID);
        assert_int_equal(error.line, cases[i].line);
        assert_non_null(error.what);
        assert_string_equal(s.text, cases[i].before);
    }
}

static void the_walk_ends_when_asked(void **state)
{
    struct seen s = {.stop_after = 2};
    struct properties_error error = {0};
    assert_int_equal(properties_parse(SLICE_LIT("a=1\nb=2\nc=3\nd=\\u1"), take, &s, &error), OK);
    assert_string_equal(s.text, "1:a=1;2:b=2;");
}

static bool measure(void *user, u32 line, struct slice key, struct slice value)
{
    size_t *bytes = user;
    assert_true(line > 0);
    *bytes += key.len + value.len;
    return true;
}

/* Texts of the signs that mean something, in random order: what comes out is never more than went
   in, and lines are counted as they stand there. */
static void random_texts(void **state)
{
    static const char signs[] = "\\\\\\\n\r=: \t\fau0d8#!\xef\xbb\xbf";
    struct rng rng = unit_rng();
    for (u32 round = 0; round < 20000; round++) {
        u8 text[64];
        size_t len = rng_below(&rng, sizeof text);
        for (size_t i = 0; i < len; i++) {
            text[i] = (u8)signs[rng_below(&rng, sizeof signs)]; /* the zero at the end among them */
        }
        size_t bytes = 0;
        struct properties_error error = {0};
        err_t e = properties_parse(slice_of(text, len), measure, &bytes, &error);
        assert_true(bytes <= len);
        assert_int_equal(e == OK, error.what == NULL);
        u32 lines = 1;
        for (size_t i = 0; i < len; i++) {
            lines += text[i] == '\n' || text[i] == '\r';
        }
        assert_true(error.line <= lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_java_reads_them),
        cmocka_unit_test(what_cannot_be_understood),
        cmocka_unit_test(the_walk_ends_when_asked),
        cmocka_unit_test(random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
