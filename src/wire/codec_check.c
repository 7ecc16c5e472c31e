/* Comparison and random generation: what tests, the fuzzer and the simulator need of a codec. */
#include "wire/codec_walk.h"

/* Comparison */

static bool slices_equal(const struct field_def *field, const struct slice *a,
                         const struct slice *b)
{
    return slice_is_null(field, a) == slice_is_null(field, b) && slice_eq(*a, *b);
}

static bool records_equal(const struct wire_records *a, const struct wire_records *b)
{
    return records_are_null(a) == records_are_null(b) && slice_eq(a->bytes, b->bytes) &&
           a->hole_bytes == b->hole_bytes && a->hole_id == b->hole_id;
}

static bool structs_equal(const struct walk *walk, const struct struct_def *def, const u8 *a,
                          const u8 *b);

static bool values_equal(const struct walk *walk, const struct field_def *field, const void *a,
                         const void *b)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
    case WIRE_BYTES:
        return slices_equal(field, a, b);
    case WIRE_RECORDS:
        return records_equal(a, b);
    case WIRE_STRUCT:
        return structs_equal(walk, field->type, a, b);
    default:
        return memcmp(a, b, value_bytes(field)) == 0;
    }
}

static bool arrays_equal(const struct walk *walk, const struct field_def *field,
                         const struct any_array *a, const struct any_array *b)
{
    if (a->is_null || b->is_null) {
        return a->is_null == b->is_null;
    }
    if (a->count != b->count) {
        return false;
    }
    struct field_def element = *field;
    element.nullable = 0;
    for (u32 i = 0; i < a->count; i++) {
        size_t at = i * value_bytes(field);
        if (!values_equal(walk, &element, (const u8 *)a->items + at, (const u8 *)b->items + at)) {
            return false;
        }
    }
    return true;
}

static bool optionals_equal(const struct walk *walk, const struct field_def *field,
                            const any_pointer *a, const any_pointer *b)
{
    if (*a == NULL || *b == NULL) {
        return *a == *b;
    }
    return structs_equal(walk, field->type, *a, *b);
}

static bool structs_equal(const struct walk *walk, const struct struct_def *def, const u8 *a,
                          const u8 *b)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (!walk_has(walk, field)) {
            continue;
        }
        const void *member_a = a + field->offset;
        const void *member_b = b + field->offset;
        bool equal = field->shape == WIRE_MANY ? arrays_equal(walk, field, member_a, member_b)
                     : field->shape == WIRE_OPTIONAL
                         ? optionals_equal(walk, field, member_a, member_b)
                         : values_equal(walk, field, member_a, member_b);
        if (!equal) {
            return false;
        }
    }
    return true;
}

bool wire_equal(const struct message_def *def, i16 version, const void *a, const void *b)
{
    struct walk walk = walk_of(def, version);
    return structs_equal(&walk, def->body, a, b);
}

/* Random messages */

struct chance {
    struct walk walk;
    struct rng *rng;
    struct arena *arena;
};

#define RANDOM_ARRAY_MAX 3u
#define RANDOM_SHORT_MAX 12u
#define RANDOM_LONG_MAX  300u /* needs two bytes of length in compact form */

static size_t random_len(struct chance *c)
{
    u64 max = rng_chance(c->rng, 1, 12) ? RANDOM_LONG_MAX : RANDOM_SHORT_MAX;
    return rng_below(c->rng, max + 1);
}

/* Text of one to three bytes per character: what every client's string type holds. */
static err_t random_string(struct chance *c, struct slice *out)
{
    static const char *const pieces[] = {"a",  "Z",  "0",  "-",    ".",        "_",           " ",
                                         "\"", "\\", "\n", "\x7f", "\xc3\xa9", "\xe2\x82\xac"};
    size_t len = random_len(c);
    u8 *text = arena_alloc(c->arena, len + 1);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    struct writer w = writer_of(text, len);
    while (!w.failed && w.len < len) {
        const char *piece = pieces[rng_below(c->rng, ARRAY_LEN(pieces))];
        write_bytes(&w, piece, strlen(piece));
    }
    *out = (struct slice){text, w.len};
    return OK;
}

static err_t random_bytes(struct chance *c, struct slice *out)
{
    size_t len = random_len(c);
    u8 *bytes = arena_alloc(c->arena, len + 1);
    if (bytes == NULL) {
        return ERR_NO_MEMORY;
    }
    rng_fill(c->rng, bytes, len);
    *out = (struct slice){bytes, len};
    return OK;
}

/* Small, extreme, or anything. */
static i64 random_integer(struct chance *c)
{
    static const i64 extremes[] = {0,         1,         -1,        INT8_MAX,  INT8_MIN, INT16_MAX,
                                   INT16_MIN, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    switch (rng_below(c->rng, 3)) {
    case 0:
        return (i64)rng_below(c->rng, 100);
    case 1:
        return extremes[rng_below(c->rng, ARRAY_LEN(extremes))];
    default:
        return (i64)rng_next(c->rng);
    }
}

static err_t random_struct(struct chance *c, const struct struct_def *def, u8 *out);

static err_t random_value(struct chance *c, const struct field_def *field, void *out)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_F64:
        *(f64 *)out = (f64)random_integer(c) / 1024.0;
        return OK;
    case WIRE_UUID:
        rng_fill(c->rng, out, sizeof(struct uuid));
        return OK;
    case WIRE_STRING:
        return random_string(c, out);
    case WIRE_BYTES:
        return random_bytes(c, out);
    case WIRE_RECORDS:
        return random_bytes(c, &((struct wire_records *)out)->bytes);
    case WIRE_STRUCT:
        return random_struct(c, field->type, out);
    default:
        value_set_integer(field, out, random_integer(c));
        return OK;
    }
}

static err_t random_array(struct chance *c, const struct field_def *field, struct any_array *out)
{
    u32 count = (u32)rng_below(c->rng, RANDOM_ARRAY_MAX + 1);
    size_t stride = value_bytes(field);
    out->is_null = false;
    out->items = arena_array(c->arena, MAX(count, 1u), stride);
    if (out->items == NULL) {
        return ERR_NO_MEMORY;
    }
    out->count = count;
    for (u32 i = 0; i < count; i++) {
        TRY(random_value(c, field, (u8 *)out->items + i * stride));
    }
    return OK;
}

static err_t random_optional(struct chance *c, const struct field_def *field, any_pointer *out)
{
    *out = arena_alloc(c->arena, field->type->bytes);
    return *out == NULL ? ERR_NO_MEMORY : random_struct(c, field->type, *out);
}

static void random_null(const struct field_def *field, void *member)
{
    if (field->shape == WIRE_MANY) {
        *(struct any_array *)member = (struct any_array){.is_null = true};
    } else {
        /* A slice, records or a pointer: all bytes zero is null. */
        memset(member, 0, field->shape == WIRE_OPTIONAL ? sizeof(void *) : value_bytes(field));
    }
}

static err_t random_struct(struct chance *c, const struct struct_def *def, u8 *out)
{
    wire_init(def, out);
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        u8 *member = out + field->offset;
        if (!walk_has(&c->walk, field) || (field->tagged && rng_chance(c->rng, 1, 3))) {
            continue; /* stays at its default */
        }
        if (walk_may_be_null(&c->walk, field) && rng_chance(c->rng, 1, 4)) {
            random_null(field, member);
        } else if (field->shape == WIRE_MANY) {
            TRY(random_array(c, field, (void *)member));
        } else if (field->shape == WIRE_OPTIONAL) {
            TRY(random_optional(c, field, (void *)member));
        } else {
            TRY(random_value(c, field, member));
        }
    }
    return OK;
}

err_t wire_random(const struct message_def *def, i16 version, struct rng *rng, struct arena *arena,
                  void *out)
{
    struct chance c = {.walk = walk_of(def, version), .rng = rng, .arena = arena};
    return random_struct(&c, def->body, out);
}
