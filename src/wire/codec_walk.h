/* What the walkers of codec.c, codec_print.c and codec_check.c share; nobody else includes this. */
#pragma once

#include "wire/codec.h"

#include <string.h>

/* Any of the typed arrays of messages.h: they all have this shape. */
struct any_array {
    void *items;
    u32 count;
    bool is_null;
} __attribute__((may_alias));
static_assert(sizeof(struct any_array) == sizeof(struct i8_array), "arrays look alike");
static_assert(sizeof(struct any_array) == sizeof(struct uuid_array), "arrays look alike");

/* Any pointer to an OPTIONAL struct. */
typedef void *any_pointer __attribute__((may_alias));

/* Which version is being walked. */
struct walk {
    version_set version_bit;
    bool flexible;
};

static inline struct walk walk_of(const struct message_def *def, i16 version)
{
    assert(version >= def->min);
    assert(version <= def->max);
    return (struct walk){
        .version_bit = (version_set)1 << version,
        .flexible = version >= def->flexible,
    };
}

static inline bool walk_has(const struct walk *walk, const struct field_def *field)
{
    return (field->versions & walk->version_bit) != 0;
}

static inline bool walk_may_be_null(const struct walk *walk, const struct field_def *field)
{
    return (field->nullable & walk->version_bit) != 0;
}

static inline bool walk_is_compact(const struct walk *walk, const struct field_def *field)
{
    return walk->flexible && !field->never_compact;
}

/* Bytes of one value in C: of the member, or of an element of an array. */
static inline size_t value_bytes(const struct field_def *field)
{
    static const u8 bytes[WIRE_KIND_COUNT] = {
        [WIRE_BOOL] = sizeof(bool),
        [WIRE_I8] = sizeof(i8),
        [WIRE_I16] = sizeof(i16),
        [WIRE_U16] = sizeof(u16),
        [WIRE_I32] = sizeof(i32),
        [WIRE_U32] = sizeof(u32),
        [WIRE_I64] = sizeof(i64),
        [WIRE_F64] = sizeof(f64),
        [WIRE_UUID] = sizeof(struct uuid),
        [WIRE_STRING] = sizeof(struct slice),
        [WIRE_BYTES] = sizeof(struct slice),
        [WIRE_RECORDS] = sizeof(struct wire_records),
    };
    return field->kind == WIRE_STRUCT ? field->type->bytes : bytes[field->kind];
}

/* A whole number or bool, as the members hold it. */
static inline i64 value_integer(const struct field_def *field, const void *value)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        return *(const bool *)value;
    case WIRE_I8:
        return *(const i8 *)value;
    case WIRE_I16:
        return *(const i16 *)value;
    case WIRE_U16:
        return *(const u16 *)value;
    case WIRE_I32:
        return *(const i32 *)value;
    case WIRE_U32:
        return *(const u32 *)value;
    case WIRE_I64:
        return *(const i64 *)value;
    default:
        assert(false && "not a whole number");
        return 0;
    }
}

static inline void value_set_integer(const struct field_def *field, void *value, i64 n)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        *(bool *)value = n != 0;
        break;
    case WIRE_I8:
        *(i8 *)value = (i8)n;
        break;
    case WIRE_I16:
        *(i16 *)value = (i16)n;
        break;
    case WIRE_U16:
        *(u16 *)value = (u16)n;
        break;
    case WIRE_I32:
        *(i32 *)value = (i32)n;
        break;
    case WIRE_U32:
        *(u32 *)value = (u32)n;
        break;
    case WIRE_I64:
        *(i64 *)value = n;
        break;
    default:
        assert(false && "not a whole number");
    }
}

/* Is a string or bytes value null? Where null is never allowed, no pointer just means empty. */
static inline bool slice_is_null(const struct field_def *field, const struct slice *s)
{
    return s->ptr == NULL && field->nullable != 0;
}

static inline bool records_are_null(const struct wire_records *r)
{
    return r->bytes.ptr == NULL && r->hole_bytes == 0;
}

/* The member a version lacks gets its default. The memory must be zeroed. */
void field_init(const struct field_def *field, void *member);
bool field_is_default(const struct field_def *field, const void *member);
