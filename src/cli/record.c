/* Printing and reading records: see record.h. */
#include "cli/record.h"

#include "cli/json.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- bytes as text --------------------------------------------------------------------------- */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct slice base64_of(struct arena *arena, struct slice bytes)
{
    u8 *out = arena_alloc(arena, (bytes.len + 2) / 3 * 4 + 1);
    assert(out != NULL);
    size_t used = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = MIN(bytes.len - i, (size_t)3);
        u32 bits = (u32)bytes.ptr[i] << 16 | (have > 1 ? (u32)bytes.ptr[i + 1] << 8 : 0) |
                   (have > 2 ? bytes.ptr[i + 2] : 0);
        for (u32 d = 0; d < 4; d++) {
            out[used++] = d <= have ? (u8)base64_digits[bits >> (18 - 6 * d) & 63] : '=';
        }
    }
    return slice_of(out, used);
}

static bool base64_read(struct arena *arena, struct slice text, struct slice *out)
{
    while (text.len > 0 && text.ptr[text.len - 1] == '=') {
        text.len--;
    }
    u8 *bytes = arena_alloc(arena, text.len + 1);
    assert(bytes != NULL);
    size_t used = 0;
    u32 bits = 0;
    u32 have = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.ptr[i] != 0 ? strchr(base64_digits, text.ptr[i]) : NULL;
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (u32)(digit - base64_digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[used++] = (u8)(bits >> have);
        }
    }
    *out = slice_of(bytes, used);
    return have < 6;
}

static void print_hex(FILE *to, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        fprintf(to, "%02x", bytes.ptr[i]);
    }
}

static void print_bytes(FILE *to, struct slice bytes)
{
    if (bytes.len > 0) {
        fwrite(bytes.ptr, 1, bytes.len, to);
    }
}

/* ---- formats: printing ----------------------------------------------------------------------- */

/* The braces at *at, if there are any: what is between them, with braces inside in pairs. *at moves
   behind. False: they do not close. */
static bool take_braces(const char **at, struct slice *inner)
{
    *inner = (struct slice){0};
    if (**at != '{') {
        return true;
    }
    u32 depth = 0;
    for (const char *end = *at; *end != 0; end++) {
        if (*end == '%' && (end[1] == '{' || end[1] == '}')) {
            end++;
            continue;
        }
        depth += *end == '{';
        depth -= *end == '}';
        if (depth == 0) {
            *inner = slice_of(*at + 1, (size_t)(end - *at - 1));
            *at = end + 1;
            return true;
        }
    }
    return false;
}

static bool modifier_is_known(char letter, struct slice inner)
{
    if (letter == 'h' || letter == 'd') {
        return true;
    }
    return strchr("kvs", letter) != NULL &&
           (slice_eq_cstr(inner, "hex") || slice_eq_cstr(inner, "base64") ||
            slice_eq_cstr(inner, "json") || slice_eq_cstr(inner, "text"));
}

bool cli_record_format_check(const struct cli_args *a, const char *format)
{
    const char *at = format;
    while ((at = strchr(at, '%')) != NULL) {
        char letter = at[1];
        const char *token = at;
        at += 2;
        if (letter == 0 || strchr("tpokvshTKSVRHdi%{}", letter) == NULL) {
            problem(CLI_USAGE, cli_text(a, "a format has no %%%c", letter != 0 ? letter : ' '),
                    NULL, "%t %p %o %k %v %s %h %T %K %S %V %R %H %d %i %% %{ %}");
            return false;
        }
        struct slice inner;
        if (strchr("%{}", letter) != NULL) {
            continue;
        }
        if (!take_braces(&at, &inner) || (inner.ptr != NULL && !modifier_is_known(letter, inner))) {
            problem(CLI_USAGE, cli_text(a, "in the format, %.20s is not understood", token), NULL,
                    "%k{hex}, %k{base64}, %k{json}, %h{%k=%v }, %d{%H:%M:%S}");
            return false;
        }
    }
    return true;
}

static void print_value(FILE *to, struct slice value, struct slice modifier)
{
    if (slice_eq_cstr(modifier, "hex")) {
        print_hex(to, value);
    } else if (slice_eq_cstr(modifier, "base64")) {
        struct arena arena;
        arena_init(&arena, NULL, 4096, 0);
        print_bytes(to, base64_of(&arena, value));
        arena_fini(&arena);
    } else if (slice_eq_cstr(modifier, "json") && value.ptr == NULL) {
        fputs("null", to);
    } else if (slice_eq_cstr(modifier, "json")) {
        out_json_text(to, value);
    } else {
        print_bytes(to, value);
    }
}

static void print_date(FILE *to, i64 ms, struct slice pattern)
{
    char text[256];
    char copy[128];
    if (pattern.ptr == NULL) {
        time_text(ms, text);
        fputs(text, to);
        return;
    }
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    snprintf(copy, sizeof copy, "%.*s", (int)pattern.len, (const char *)pattern.ptr);
    if (ms >= 0 && gmtime_r(&seconds, &parts) != NULL) {
        size_t len = strftime(text, sizeof text, copy, &parts);
        print_bytes(to, slice_of(text, len));
    }
}

static void print_headers(FILE *to, const struct cli_record *r, struct slice inner)
{
    for (u32 i = 0; i < r->header_count; i++) {
        const struct record_field *h = &r->headers[i];
        if (inner.ptr == NULL) {
            fputs(i > 0 ? "," : "", to);
            print_bytes(to, h->name);
            fputc('=', to);
            print_bytes(to, h->value);
            continue;
        }
        struct cli_record one = {.topic = r->topic,
                                 .partition = r->partition,
                                 .offset = r->offset,
                                 .timestamp = r->timestamp,
                                 .key = h->name,
                                 .value = h->value};
        char *format = mem_strndup(inner);
        cli_record_format_print(to, format, &one, i + 1);
        mem_free(format);
    }
}

static long long length_of(struct slice s)
{
    return s.ptr == NULL ? -1 : (long long)s.len;
}

static void print_token(FILE *to, char letter, struct slice inner, const struct cli_record *r,
                        i64 number)
{
    switch (letter) {
    case 't':
        print_bytes(to, r->topic);
        break;
    case 'p':
        fprintf(to, "%d", r->partition);
        break;
    case 'o':
        fprintf(to, "%lld", (long long)r->offset);
        break;
    case 'k':
        print_value(to, r->key, inner);
        break;
    case 'v':
    case 's':
        print_value(to, r->value, inner);
        break;
    case 'h':
        print_headers(to, r, inner);
        break;
    case 'T':
        fprintf(to, "%lld", (long long)r->timestamp);
        break;
    case 'K':
        fprintf(to, "%lld", length_of(r->key));
        break;
    case 'S':
    case 'V':
        fprintf(to, "%lld", length_of(r->value));
        break;
    case 'R': {
        u8 bytes[4];
        store_be32(bytes, (u32)(i32)length_of(r->value));
        print_bytes(to, slice_of(bytes, sizeof bytes));
        break;
    }
    case 'H':
        fprintf(to, "%u", r->header_count);
        break;
    case 'd':
        print_date(to, r->timestamp, inner);
        break;
    case 'i':
        fprintf(to, "%lld", (long long)number);
        break;
    default: /* %% %{ %} */
        fputc(letter, to);
        break;
    }
}

void cli_record_format_print(FILE *to, const char *format, const struct cli_record *r, i64 number)
{
    struct arena arena;
    arena_init(&arena, NULL, 512, 0);
    for (const char *at = format; *at != 0;) {
        size_t plain = strcspn(at, "%");
        if (plain > 0) {
            print_bytes(to, parse_escapes(&arena, slice_of(at, plain)));
            at += plain;
            continue;
        }
        char letter = at[1];
        struct slice inner = {0};
        at += letter != 0 ? 2 : 1;
        bool good = strchr("%{}", letter) != NULL || take_braces(&at, &inner);
        assert(good && letter != 0); /* cli_record_format_check() */
        print_token(to, letter, inner, r, number);
    }
    arena_fini(&arena);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void add_bytes(struct node *to, const char *key, const char *key_base64, struct slice bytes)
{
    if (bytes.ptr == NULL || utf8_valid(bytes)) {
        node_add_text(to, key, bytes);
    } else {
        node_add_text(to, key_base64, base64_of(to->arena, bytes));
    }
}

void cli_record_add(struct node *list, const struct cli_record *r)
{
    struct node *one = node_add_object(list, NULL);
    node_add_text(one, "topic", r->topic);
    node_add_number(one, "partition", r->partition);
    node_add_number(one, "offset", r->offset);
    node_add_number(one, "timestamp", r->timestamp);
    add_bytes(one, "key", "key_base64", r->key);
    add_bytes(one, "value", "value_base64", r->value);
    struct node *headers = node_add_list(one, "headers");
    for (u32 i = 0; i < r->header_count; i++) {
        struct node *h = node_add_object(headers, NULL);
        node_add_text(h, "key", r->headers[i].name);
        add_bytes(h, "value", "value_base64", r->headers[i].value);
    }
}

/* A member that is a text, null, base64, or any other JSON as it stands. */
static bool bytes_of(struct arena *arena, const struct json *object, const char *key,
                     const char *key_base64, struct slice *out, const char **why)
{
    const struct json *plain = json_get(object, key);
    const struct json *coded = json_get(object, key_base64);
    if (coded != NULL && coded->kind == JSON_TEXT) {
        *why = "base64 that is none";
        return base64_read(arena, coded->text, out);
    }
    *out = plain == NULL || plain->kind == JSON_NULL ? (struct slice){0}
           : plain->kind == JSON_TEXT                ? plain->text
                                                     : plain->raw;
    return true;
}

static bool headers_of(struct arena *arena, const struct json *headers, struct cli_record *out,
                       const char **why)
{
    if (headers == NULL || headers->kind == JSON_NULL) {
        return true;
    }
    *why = "headers are a list of {\"key\": ..., \"value\": ...}, or an object";
    bool list = headers->kind == JSON_LIST;
    if (!list && headers->kind != JSON_OBJECT) {
        return false;
    }
    struct record_field *fields = arena_array(arena, headers->count + 1, sizeof *fields);
    for (const struct json *h = headers->first; h != NULL; h = h->next) {
        struct record_field *f = &fields[out->header_count++];
        if (!list) {
            f->name = h->key;
            f->value = h->kind == JSON_NULL   ? (struct slice){0}
                       : h->kind == JSON_TEXT ? h->text
                                              : h->raw;
            continue;
        }
        const struct json *name = h->kind == JSON_OBJECT ? json_get(h, "key") : NULL;
        if (name == NULL || name->kind != JSON_TEXT ||
            !bytes_of(arena, h, "value", "value_base64", &f->value, why)) {
            return false;
        }
        f->name = name->text;
    }
    out->headers = fields;
    return true;
}

/* A whole number, if it is there. */
static bool number_of(const struct json *object, const char *key, i64 low, i64 high, i64 *out,
                      const char **why)
{
    const struct json *n = json_get(object, key);
    if (n == NULL || n->kind == JSON_NULL) {
        return true;
    }
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)MIN(n->raw.len, sizeof text - 1),
             (const char *)n->raw.ptr);
    *why = "partition and timestamp are whole numbers";
    return n->kind == JSON_NUMBER && parse_number(text, low, high, out);
}

bool cli_record_from_json(struct arena *arena, struct slice line, struct cli_record *out,
                          const char **why)
{
    *out = (struct cli_record){.partition = -1, .timestamp = -1};
    const struct json *object = json_parse(arena, line, why);
    if (object == NULL) {
        return false;
    }
    if (object->kind != JSON_OBJECT) {
        *why = "it is not an object";
        return false;
    }
    i64 partition = -1;
    bool good = number_of(object, "partition", -1, INT32_MAX, &partition, why) &&
                number_of(object, "timestamp", -1, INT64_MAX, &out->timestamp, why) &&
                bytes_of(arena, object, "key", "key_base64", &out->key, why) &&
                bytes_of(arena, object, "value", "value_base64", &out->value, why) &&
                headers_of(arena, json_get(object, "headers"), out, why);
    out->partition = (i32)partition;
    return good;
}

/* ---- formats: reading ------------------------------------------------------------------------ */

/* "a=1,b=2" */
static void headers_from(struct arena *arena, struct slice text, struct cli_record *out)
{
    size_t cap = 1;
    for (size_t i = 0; i < text.len; i++) {
        cap += text.ptr[i] == ',';
    }
    struct record_field *fields = arena_array(arena, cap, sizeof *fields);
    while (text.len > 0) {
        const u8 *comma = memchr(text.ptr, ',', text.len);
        size_t len = comma != NULL ? (size_t)(comma - text.ptr) : text.len;
        const u8 *equals = memchr(text.ptr, '=', len);
        size_t name = equals != NULL ? (size_t)(equals - text.ptr) : len;
        fields[out->header_count++] = (struct record_field){
            slice_of(text.ptr, name),
            equals != NULL ? slice_of(equals + 1, len - name - 1) : (struct slice){0}};
        size_t step = len + (comma != NULL);
        text = slice_of(text.ptr + step, text.len - step);
    }
    out->headers = fields;
}

static bool field_from(struct arena *arena, char letter, struct slice text, struct cli_record *out,
                       const char **why)
{
    char number[32];
    i64 value;
    switch (letter) {
    case 'k':
        out->key = text;
        return true;
    case 'v':
    case 's':
        out->value = text;
        return true;
    case 'h':
        headers_from(arena, text, out);
        return true;
    case 'p':
    case 'T':
        snprintf(number, sizeof number, "%.*s", (int)MIN(text.len, sizeof number - 1),
                 (const char *)text.ptr);
        *why = "what should be a number is none";
        if (!parse_number(number, 0, letter == 'p' ? INT32_MAX : INT64_MAX, &value)) {
            return false;
        }
        if (letter == 'p') {
            out->partition = (i32)value;
        } else {
            out->timestamp = value;
        }
        return true;
    default:
        *why = "a format to read by has %k, %v, %s, %h, %p and %T only";
        return false;
    }
}

bool cli_record_from_line(struct arena *arena, const char *format, struct slice line,
                          struct cli_record *out, const char **why)
{
    *out = (struct cli_record){.partition = -1, .timestamp = -1};
    const char *at = format;
    while (*at != 0) {
        size_t plain = strcspn(at, "%");
        if (plain > 0) {
            struct slice wanted = parse_escapes(arena, slice_of(at, plain));
            *why = "it does not follow the format";
            if (line.len < wanted.len || memcmp(line.ptr, wanted.ptr, wanted.len) != 0) {
                return false;
            }
            line = slice_of(line.ptr + wanted.len, line.len - wanted.len);
            at += plain;
            continue;
        }
        char letter = at[1];
        at += letter != 0 ? 2 : 1;
        /* The field ends where the next plain text begins; the last one takes the rest. */
        size_t until = strcspn(at, "%");
        struct slice end = parse_escapes(arena, slice_of(at, until));
        const u8 *found =
            end.len == 0 || line.len == 0 ? NULL : memmem(line.ptr, line.len, end.ptr, end.len);
        *why = "it does not follow the format";
        if (end.len > 0 && found == NULL) {
            return false;
        }
        size_t len = found != NULL ? (size_t)(found - line.ptr) : line.len;
        struct slice text = line.ptr == NULL ? SLICE_LIT("") : slice_of(line.ptr, len);
        if (!field_from(arena, letter, text, out, why)) {
            return false;
        }
        line = slice_of(line.ptr + len, line.len - len);
    }
    *why = "there is more than the format says";
    return line.len == 0;
}
