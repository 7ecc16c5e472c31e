/* Java's properties format; see config_file.h.

   A line ends with \n, \r or \r\n. Empty lines and lines whose first character is # or ! say
   nothing. A line that ends with an odd number of backslashes goes on in the next one, without
   that one's leading blanks. The key ends at the first blank, = or : that no backslash stands
   before; blanks around one such sign are skipped, the rest is the value, with its trailing blanks.
   \t \n \r \f and \uXXXX are characters, \ before any other gives that one.

   Where we differ from Java: bytes above 127 are UTF-8 (there Latin-1), a byte order mark is
   skipped, zero bytes and halves of surrogate pairs are refused. */
#include "broker/config_file.h"

#include <string.h>

struct parse {
    struct slice text;
    size_t at;
    u32 line;    /* of `at` */
    u8 *logical; /* one logical line, escapes as they stand */
    size_t len;
    struct properties_error *error;
};

static err_t parse_fail(struct parse *p, u32 line, const char *what)
{
    *p->error = (struct properties_error){line, what};
    return ERR_INVALID;
}

static bool is_blank(u8 c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_end(u8 c)
{
    return c == '\n' || c == '\r';
}

static void skip_blanks(struct parse *p)
{
    while (p->at < p->text.len && is_blank(p->text.ptr[p->at])) {
        p->at++;
    }
}

/* Behind the end of the natural line that `at` stands at or in. */
static void line_end(struct parse *p)
{
    if (p->at < p->text.len && p->text.ptr[p->at] == '\r') {
        p->at++;
        if (p->at < p->text.len && p->text.ptr[p->at] == '\n') {
            p->at++;
        }
        p->line++;
    } else if (p->at < p->text.len && p->text.ptr[p->at] == '\n') {
        p->at++;
        p->line++;
    }
}

/* Copies the natural line from `at` on; true when it goes on in the next. */
static bool take_natural_line(struct parse *p)
{
    u32 backslashes = 0;
    while (p->at < p->text.len && !is_end(p->text.ptr[p->at])) {
        u8 c = p->text.ptr[p->at++];
        backslashes = c == '\\' ? backslashes + 1 : 0;
        p->logical[p->len++] = c;
    }
    line_end(p);
    if (backslashes % 2 == 1) {
        p->len--;
        return true;
    }
    return false;
}

/* The next line that says something, its continuations with it. false: none is left. */
static bool take_logical_line(struct parse *p, u32 *line)
{
    p->len = 0;
    while (p->at < p->text.len) {
        skip_blanks(p);
        if (p->at == p->text.len) {
            return false;
        }
        u8 first = p->text.ptr[p->at];
        if (is_end(first)) {
            line_end(p);
            continue;
        }
        if (first == '#' || first == '!') {
            while (p->at < p->text.len && !is_end(p->text.ptr[p->at])) {
                p->at++;
            }
            line_end(p);
            continue;
        }
        *line = p->line;
        while (take_natural_line(p)) {
            skip_blanks(p);
        }
        return true;
    }
    return false;
}

static bool take_hex4(const u8 *at, size_t left, u32 *value)
{
    if (left < 4) {
        return false;
    }
    *value = 0;
    for (u32 i = 0; i < 4; i++) {
        u8 c = at[i];
        u32 digit = c >= '0' && c <= '9'   ? (u32)(c - '0')
                    : c >= 'a' && c <= 'f' ? (u32)(c - 'a') + 10
                    : c >= 'A' && c <= 'F' ? (u32)(c - 'A') + 10
                                           : 16;
        if (digit == 16) {
            return false;
        }
        *value = *value * 16 + digit;
    }
    return true;
}

/* At most three bytes for the six of \uXXXX, four for the twelve of a pair: always in place. */
static size_t put_utf8(u8 *out, u32 point)
{
    if (point < 0x80) {
        out[0] = (u8)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (u8)(0xc0 | point >> 6);
        out[1] = (u8)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (u8)(0xe0 | point >> 12);
        out[1] = (u8)(0x80 | (point >> 6 & 0x3f));
        out[2] = (u8)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (u8)(0xf0 | point >> 18);
    out[1] = (u8)(0x80 | (point >> 12 & 0x3f));
    out[2] = (u8)(0x80 | (point >> 6 & 0x3f));
    out[3] = (u8)(0x80 | (point & 0x3f));
    return 4;
}

/* *at stands behind "\u". NULL, or what is wrong. */
static const char *take_unicode(const u8 *text, size_t len, size_t *at, u32 *point)
{
    if (!take_hex4(text + *at, len - *at, point)) {
        return "\\u is not followed by four hexadecimal digits";
    }
    *at += 4;
    if (*point == 0) {
        return "\\u0000 is no character of a setting";
    }
    if (*point >= 0xd800 && *point < 0xdc00) {
        u32 low = 0;
        bool pair = len - *at >= 6 && text[*at] == '\\' && text[*at + 1] == 'u' &&
                    take_hex4(text + *at + 2, len - *at - 2, &low) && low >= 0xdc00 && low < 0xe000;
        if (!pair) {
            return "\\u is half of a surrogate pair";
        }
        *at += 6;
        *point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
    } else if (*point >= 0xdc00 && *point < 0xe000) {
        return "\\u is half of a surrogate pair";
    }
    return NULL;
}

/* Replaces escapes in place; NULL, or what is wrong. */
static const char *unescape(u8 *text, size_t *len)
{
    size_t out = 0;
    for (size_t at = 0; at < *len;) {
        u8 c = text[at++];
        if (c != '\\' || at == *len) {
            text[out++] = c;
            continue;
        }
        c = text[at++];
        if (c == 'u') {
            u32 point = 0;
            const char *wrong = take_unicode(text, *len, &at, &point);
            if (wrong != NULL) {
                return wrong;
            }
            out += put_utf8(text + out, point);
            continue;
        }
        text[out++] = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
    }
    *len = out;
    return NULL;
}

/* Where the key ends, and where the value begins. */
static size_t key_end(const u8 *text, size_t len, size_t *value_at)
{
    size_t end = 0;
    while (end < len && !is_blank(text[end]) && text[end] != '=' && text[end] != ':') {
        end += text[end] == '\\' && end + 1 < len ? 2 : 1;
    }
    size_t at = end;
    while (at < len && is_blank(text[at])) {
        at++;
    }
    if (at < len && (text[at] == '=' || text[at] == ':')) {
        at++;
        while (at < len && is_blank(text[at])) {
            at++;
        }
    }
    *value_at = at;
    return end;
}

static MUST_USE err_t parse_line(struct parse *p, u32 line, properties_fn each, void *user,
                                 bool *go_on)
{
    if (memchr(p->logical, 0, p->len) != NULL) {
        return parse_fail(p, line, "it has a zero byte");
    }
    size_t value_at;
    size_t key_len = key_end(p->logical, p->len, &value_at);
    size_t value_len = p->len - value_at;
    const char *wrong = unescape(p->logical, &key_len);
    if (wrong == NULL) {
        wrong = unescape(p->logical + value_at, &value_len);
    }
    if (wrong != NULL) {
        return parse_fail(p, line, wrong);
    }
    *go_on =
        each(user, line, slice_of(p->logical, key_len), slice_of(p->logical + value_at, value_len));
    return OK;
}

err_t properties_parse(struct slice text, properties_fn each, void *user,
                       struct properties_error *error)
{
    struct parse p = {.text = text, .line = 1, .error = error};
    if (text.len >= 2 &&
        (memcmp(text.ptr, "\xff\xfe", 2) == 0 || memcmp(text.ptr, "\xfe\xff", 2) == 0)) {
        return parse_fail(&p, 1, "the file is UTF-16; save it as UTF-8");
    }
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0) {
        p.at = 3;
    }
    p.logical = mem_alloc(text.len + 1);
    u32 line = 0;
    bool go_on = true;
    err_t e = OK;
    while (e == OK && go_on && take_logical_line(&p, &line)) {
        e = parse_line(&p, line, each, user, &go_on);
    }
    mem_free(p.logical);
    return e;
}
