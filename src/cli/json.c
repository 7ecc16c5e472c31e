/* The JSON reader: see json.h. Recursive, to a depth; every length is compared with what is left.
 */
#include "cli/json.h"

#include <string.h>

enum { DEPTH_MAX = 64 };

struct parser {
    struct arena *arena;
    const u8 *at;
    const u8 *end;
    const char *why; /* the first thing wrong */
};

static struct json *parse_value(struct parser *p, u32 depth);

static struct json *wrong(struct parser *p, const char *why)
{
    p->why = p->why == NULL ? why : p->why;
    return NULL;
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->end &&
           (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')) {
        p->at++;
    }
}

static bool take(struct parser *p, u8 wanted)
{
    skip_blanks(p);
    if (p->at == p->end || *p->at != wanted) {
        return false;
    }
    p->at++;
    return true;
}

static bool take_word(struct parser *p, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0) {
        return false;
    }
    p->at += len;
    return true;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool take_hex4(struct parser *p, u32 *out)
{
    *out = 0;
    if (p->end - p->at < 4) {
        return false;
    }
    for (u32 i = 0; i < 4; i++) {
        u8 c = *p->at++;
        u32 digit = c >= '0' && c <= '9'   ? (u32)(c - '0')
                    : c >= 'a' && c <= 'f' ? (u32)(c - 'a' + 10)
                    : c >= 'A' && c <= 'F' ? (u32)(c - 'A' + 10)
                                           : 16;
        if (digit == 16) {
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

static size_t put_utf8(u8 *out, u32 c)
{
    if (c < 0x80) {
        out[0] = (u8)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (u8)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (u8)((len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0) | c);
    return len;
}

/* Behind "\u". Half a pair of surrogates stands for nothing: U+FFFD. */
static bool take_escaped(struct parser *p, u8 *out, size_t *used)
{
    u32 c;
    if (!take_hex4(p, &c)) {
        return false;
    }
    if (c >= 0xd800 && c < 0xdc00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        const u8 *before = p->at;
        u32 low;
        p->at += 2;
        if (!take_hex4(p, &low)) {
            return false;
        }
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        } else {
            p->at = before;
        }
    }
    *used += put_utf8(out + *used, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return true;
}

static bool take_text(struct parser *p, struct slice *text)
{
    if (!take(p, '"')) {
        return false;
    }
    const u8 *closing = p->at;
    while (closing < p->end && *closing != '"') {
        closing += *closing == '\\' && p->end - closing > 1 ? 2 : 1;
    }
    /* No escape is shorter than what it stands for. */
    u8 *out = arena_alloc(p->arena, (size_t)(closing - p->at) + 1);
    assert(out != NULL);
    size_t used = 0;
    while (p->at < p->end && *p->at != '"') {
        u8 c = *p->at++;
        if (c < 0x20) {
            return false;
        }
        if (c != '\\') {
            out[used++] = c;
            continue;
        }
        u8 escape = p->at < p->end ? *p->at++ : 0;
        static const char names[] = "\"\\/bfnrt";
        const char *found = escape != 0 ? strchr(names, escape) : NULL;
        if (found != NULL) {
            out[used++] = (u8) "\"\\/\b\f\n\r\t"[found - names];
        } else if (escape != 'u' || !take_escaped(p, out, &used)) {
            return false;
        }
    }
    *text = slice_of(out, used);
    return take(p, '"');
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct json *new_value(struct parser *p, enum json_kind kind)
{
    struct json *v = arena_alloc(p->arena, sizeof *v);
    assert(v != NULL);
    v->kind = kind;
    return v;
}

static struct json *parse_members(struct parser *p, bool list, u32 depth)
{
    struct json *v = new_value(p, list ? JSON_LIST : JSON_OBJECT);
    struct json **link = &v->first;
    u8 closing = list ? ']' : '}';
    if (take(p, closing)) {
        return v;
    }
    do {
        struct slice key = {0};
        skip_blanks(p);
        if (!list && !(take_text(p, &key) && take(p, ':'))) {
            return wrong(p, "a member is \"name\": value");
        }
        struct json *child = parse_value(p, depth + 1);
        if (child == NULL) {
            return NULL;
        }
        child->key = key;
        *link = child;
        link = &child->next;
        v->count++;
    } while (take(p, ','));
    return take(p, closing) ? v : wrong(p, list ? "a list ends with ]" : "an object ends with }");
}

static bool take_digits(struct parser *p)
{
    const u8 *before = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
        p->at++;
    }
    return p->at > before;
}

static struct json *parse_number_value(struct parser *p)
{
    if (p->at < p->end && *p->at == '-') {
        p->at++;
    }
    bool zero = p->at < p->end && *p->at == '0';
    p->at += zero;
    bool good = zero || take_digits(p);
    if (good && p->at < p->end && *p->at == '.') {
        p->at++;
        good = take_digits(p);
    }
    if (good && p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        p->at += p->at < p->end && (*p->at == '+' || *p->at == '-');
        good = take_digits(p);
    }
    return good ? new_value(p, JSON_NUMBER) : wrong(p, "that is no JSON value");
}

static struct json *parse_value(struct parser *p, u32 depth)
{
    if (depth > DEPTH_MAX) {
        return wrong(p, "it is nested too deeply");
    }
    skip_blanks(p);
    const u8 *begin = p->at;
    struct json *v = NULL;
    u8 c = p->at < p->end ? *p->at : 0;
    if (c == '"') {
        struct slice text;
        v = take_text(p, &text) ? new_value(p, JSON_TEXT)
                                : wrong(p, "a text does not end, or has a wrong escape");
        if (v != NULL) {
            v->text = text;
        }
    } else if (c == '[' || c == '{') {
        p->at++;
        v = parse_members(p, c == '[', depth);
    } else if (take_word(p, "true") || take_word(p, "false")) {
        v = new_value(p, JSON_BOOL);
    } else if (take_word(p, "null")) {
        v = new_value(p, JSON_NULL);
    } else {
        v = parse_number_value(p);
    }
    if (v != NULL) {
        v->raw = slice_of(begin, (size_t)(p->at - begin));
    }
    return v;
}

const struct json *json_parse(struct arena *arena, struct slice text, const char **why)
{
    struct parser p = {.arena = arena, .at = text.ptr, .end = text.ptr + text.len};
    struct json *v = text.len == 0 ? wrong(&p, "it is empty") : parse_value(&p, 0);
    if (v != NULL) {
        skip_blanks(&p);
        v = p.at == p.end ? v : wrong(&p, "something follows the value");
    }
    *why = p.why;
    return v;
}

const struct json *json_get(const struct json *object, const char *key)
{
    const struct json *found = NULL;
    for (const struct json *m = object->first; m != NULL; m = m->next) {
        found = slice_eq_cstr(m->key, key) ? m : found;
    }
    return found;
}
