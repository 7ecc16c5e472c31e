/* Messages as one line of JSON, for people and for tests. */
#include "wire/codec_walk.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static void print_text(struct writer *w, const char *text)
{
    write_bytes(w, text, strlen(text));
}

PRINTF_LIKE(2, 3) static void print_format(struct writer *w, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < sizeof(text));
    write_bytes(w, text, (size_t)len);
}

/* Our names are snake_case, Kafka's JSON is camelCase. */
static void print_name(struct writer *w, const char *name)
{
    write_u8(w, '"');
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '_' && c[1] >= 'a' && c[1] <= 'z') {
            c++;
            write_u8(w, (u8)(*c - 'a' + 'A'));
        } else {
            write_u8(w, (u8)*c);
        }
    }
    print_text(w, "\":");
}

/* Bytes of the UTF-8 sequence at the start of s, 0 if it is not one (RFC 3629). */
static size_t utf8_sequence_len(struct slice s)
{
    u8 lead = s.ptr[0];
    size_t len = 0;
    if (lead < 0x80) {
        len = 1;
    } else if (lead >= 0xc2 && lead < 0xf5) {
        len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    }
    if (len == 0 || len > s.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (lead == 0xe0 && s.ptr[1] < 0xa0) || (lead == 0xf0 && s.ptr[1] < 0x90);
    bool surrogate = lead == 0xed && s.ptr[1] > 0x9f;
    bool beyond = lead == 0xf4 && s.ptr[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

/* The reader of this may be a terminal or a JSON parser: neither sees a byte it should not. */
static void print_string(struct writer *w, struct slice s)
{
    write_u8(w, '"');
    while (s.len > 0) {
        u8 c = s.ptr[0];
        size_t len = utf8_sequence_len(s);
        if (len == 0) {
            print_text(w, "\\ufffd");
            len = 1;
        } else if (c == '"' || c == '\\') {
            write_u8(w, '\\');
            write_u8(w, c);
        } else if (c < 0x20 || c == 0x7f) {
            print_format(w, "\\u%04x", c);
        } else {
            write_bytes(w, s.ptr, len);
        }
        s = (struct slice){s.ptr + len, s.len - len};
    }
    write_u8(w, '"');
}

static void print_hex(struct writer *w, struct slice s)
{
    static const char digits[] = "0123456789abcdef";
    write_u8(w, '"');
    for (size_t i = 0; i < s.len; i++) {
        write_u8(w, (u8)digits[s.ptr[i] >> 4]);
        write_u8(w, (u8)digits[s.ptr[i] & 15]);
    }
    write_u8(w, '"');
}

static void print_slice(struct writer *w, const struct field_def *field, const struct slice *s)
{
    if (slice_is_null(field, s)) {
        print_text(w, "null");
    } else if (field->secret) {
        print_format(w, "\"(%zu secret bytes)\"", s->len);
    } else if (field->kind == WIRE_STRING) {
        print_string(w, *s);
    } else {
        print_hex(w, *s);
    }
}

static void print_records(struct writer *w, const struct wire_records *records)
{
    if (records_are_null(records)) {
        print_text(w, "null");
    } else {
        print_format(w, "\"(%" PRIu64 " bytes)\"",
                     records->hole_bytes > 0 ? records->hole_bytes : (u64)records->bytes.len);
    }
}

static void print_float(struct writer *w, f64 value)
{
    if (isfinite(value)) {
        print_format(w, "%.17g", value);
    } else {
        print_text(w, "null"); /* JSON has no word for it */
    }
}

static void print_uuid(struct writer *w, struct uuid id)
{
    char text[23];
    uuid_print(id, text);
    print_format(w, "\"%s\"", text);
}

static void print_struct(const struct walk *walk, const struct struct_def *def, const u8 *value,
                         struct writer *w);

static void print_value(const struct walk *walk, const struct field_def *field, const void *value,
                        struct writer *w)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        print_text(w, *(const bool *)value ? "true" : "false");
        break;
    case WIRE_F64:
        print_float(w, *(const f64 *)value);
        break;
    case WIRE_UUID:
        print_uuid(w, *(const struct uuid *)value);
        break;
    case WIRE_STRING:
    case WIRE_BYTES:
        print_slice(w, field, value);
        break;
    case WIRE_RECORDS:
        print_records(w, value);
        break;
    case WIRE_STRUCT:
        print_struct(walk, field->type, value, w);
        break;
    default:
        print_format(w, "%" PRId64, value_integer(field, value));
        break;
    }
}

static void print_array(const struct walk *walk, const struct field_def *field,
                        const struct any_array *array, struct writer *w)
{
    if (array->is_null) {
        print_text(w, "null");
        return;
    }
    struct field_def element = *field;
    element.nullable = 0;
    const u8 *item = array->items;
    write_u8(w, '[');
    for (u32 i = 0; i < array->count; i++, item += value_bytes(field)) {
        if (i > 0) {
            write_u8(w, ',');
        }
        print_value(walk, &element, item, w);
    }
    write_u8(w, ']');
}

static void print_optional(const struct walk *walk, const struct field_def *field,
                           const any_pointer *member, struct writer *w)
{
    if (*member == NULL) {
        print_text(w, "null");
    } else {
        print_struct(walk, field->type, *member, w);
    }
}

static void print_struct(const struct walk *walk, const struct struct_def *def, const u8 *value,
                         struct writer *w)
{
    char separator = '{';
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        const u8 *member = value + field->offset;
        if (!walk_has(walk, field) || (field->tagged && field_is_default(field, member))) {
            continue;
        }
        write_u8(w, (u8)separator);
        separator = ',';
        print_name(w, field->name);
        if (field->shape == WIRE_MANY) {
            print_array(walk, field, (const void *)member, w);
        } else if (field->shape == WIRE_OPTIONAL) {
            print_optional(walk, field, (const void *)member, w);
        } else {
            print_value(walk, field, member, w);
        }
    }
    print_text(w, separator == '{' ? "{}" : "}");
}

void wire_print_json(const struct message_def *def, i16 version, const void *message,
                     struct writer *w)
{
    struct walk walk = walk_of(def, version);
    print_struct(&walk, def->body, message, w);
}
