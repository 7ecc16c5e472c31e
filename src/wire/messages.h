/* The C structs of all messages, made from schema/ (the notation is explained in notation.h):

       struct metadata_request          a message
       struct metadata_request_topic    a struct inside it
       metadata_request_def             its struct message_def, to be handed to the codec
       metadata_request_topic_struct    a struct's struct_def, for wire_init and wire_new

   Strings and bytes are slices: ptr NULL is null, and where null is never allowed also just an
   empty value, so that a zeroed struct is a valid message. (In a nullable field "empty" is
   WIRE_EMPTY, not {0}.) Arrays are {items, count, is_null}. A decoded message points into the bytes
   it was decoded from and into the arena it was decoded with; it owns nothing. */
#pragma once

#include "wire/notation.h"

/* An empty value that is not null. */
#define WIRE_EMPTY SLICE_LIT("")

/* Record batches. In an answer they may be left out: hole_bytes > 0 says how many bytes belong
   here, and the encoder writes only their length and notes the place (struct wire_hole in codec.h).
   Then bytes must be {0}. */
struct wire_records {
    struct slice bytes; /* ptr NULL and hole_bytes 0: null */
    u64 hole_bytes;
    u64 hole_id; /* the caller's, returned in the hole */
};

#define WIRE_ARRAY_OF(name, type) \
    struct name {                 \
        type *items;              \
        u32 count;                \
        bool is_null;             \
    }
WIRE_ARRAY_OF(i8_array, i8);
WIRE_ARRAY_OF(i16_array, i16);
WIRE_ARRAY_OF(i32_array, i32);
WIRE_ARRAY_OF(i64_array, i64);
WIRE_ARRAY_OF(string_array, struct slice);
WIRE_ARRAY_OF(uuid_array, struct uuid);

#define WIRE_TYPE_BOOL    bool
#define WIRE_TYPE_I8      i8
#define WIRE_TYPE_I16     i16
#define WIRE_TYPE_U16     u16
#define WIRE_TYPE_I32     i32
#define WIRE_TYPE_U32     u32
#define WIRE_TYPE_I64     i64
#define WIRE_TYPE_F64     f64
#define WIRE_TYPE_UUID    struct uuid
#define WIRE_TYPE_STRING  struct slice
#define WIRE_TYPE_BYTES   struct slice
#define WIRE_TYPE_RECORDS struct wire_records

#define WIRE_ARRAY_I8     struct i8_array
#define WIRE_ARRAY_I16    struct i16_array
#define WIRE_ARRAY_I32    struct i32_array
#define WIRE_ARRAY_I64    struct i64_array
#define WIRE_ARRAY_STRING struct string_array
#define WIRE_ARRAY_UUID   struct uuid_array

/* First the structs. (NAMED expands SELF before the macro it is handed to pastes to it.) */
#define NAMED(make, self) make(self)
#define MAKE_ARRAY(self)  WIRE_ARRAY_OF(self##_array, struct self);
#define BEGIN             struct SELF {
#define END \
    }       \
    ;       \
    NAMED(MAKE_ARRAY, SELF)
#define EMPTY                     u8 nothing;
#define FIELD(kind, name, ...)    WIRE_TYPE_##kind name;
#define ARRAY(kind, name, ...)    WIRE_ARRAY_##kind name;
#define STRUCT(type, name, ...)   struct type name;
#define OPTIONAL(type, name, ...) struct type *name;
#define STRUCTS(type, name, ...)  struct type##_array name;
#include "wire/schema/all.def"
#undef MAKE_ARRAY
#undef BEGIN
#undef END
#undef EMPTY
#undef FIELD
#undef ARRAY
#undef STRUCT
#undef OPTIONAL
#undef STRUCTS

/* Then the names of their tables. */
#define MAKE_NAME(self) extern const struct struct_def self##_struct;
#define BEGIN           NAMED(MAKE_NAME, SELF)
#define END
#define EMPTY
#define FIELD(...)
#define ARRAY(...)
#define STRUCT(...)
#define OPTIONAL(...)
#define STRUCTS(...)
#include "wire/schema/all.def"
#undef NAMED
#undef MAKE_NAME
#undef BEGIN
#undef END
#undef EMPTY
#undef FIELD
#undef ARRAY
#undef STRUCT
#undef OPTIONAL
#undef STRUCTS

/* And the names of the messages. */
#define API(key, name, ...)                             \
    extern const struct message_def name##_request_def; \
    extern const struct message_def name##_response_def;
#define MESSAGE(name, ...) extern const struct message_def name##_def;
#include "wire/apis.def"
#include "wire/messages.def"
#undef API
#undef MESSAGE

/* Every message: requests and responses by key, then headers and records. */
extern const struct message_def *const wire_messages[];
extern const u32 wire_message_count;
