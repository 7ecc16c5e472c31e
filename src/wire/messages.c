/* The tables of the walker, made from the same rows as the structs in messages.h. */
#include "wire/messages.h"

#define ALL                    .versions = VERSIONS_FROM(0)
#define FROM(n)                .versions = VERSIONS_FROM(n)
#define UPTO(n)                .versions = VERSIONS_BETWEEN(0, n)
#define BETWEEN(a, b)          .versions = VERSIONS_BETWEEN(a, b)
#define ONLY(n)                .versions = VERSIONS_BETWEEN(n, n)
#define NULLABLE               .nullable = VERSIONS_FROM(0)
#define NULLABLE_FROM(n)       .nullable = VERSIONS_FROM(n)
#define NULLABLE_ONLY(n)       .nullable = VERSIONS_BETWEEN(n, n)
#define NULLABLE_BETWEEN(a, b) .nullable = VERSIONS_BETWEEN(a, b)
#define DEFAULT(n)             .initial = (n)
#define NULL_BY_DEFAULT        .null_by_default = true
#define IGNORABLE              .ignorable = true
#define TAG(n)                 .tag = (n), .tagged = true
#define NEVER_COMPACT          .never_compact = true
#define SECRET                 .secret = true

#define MEMBER(member) .name = #member, .offset = offsetof(struct SELF, member)
#define EMPTY
#define FIELD(kind_, member, ...) {.kind = WIRE_##kind_, MEMBER(member), __VA_ARGS__},
#define ARRAY(kind_, member, ...) \
    {.kind = WIRE_##kind_, .shape = WIRE_MANY, MEMBER(member), __VA_ARGS__},
#define STRUCT(type_, member, ...) \
    {.kind = WIRE_STRUCT, .type = &type_##_struct, MEMBER(member), __VA_ARGS__},
#define STRUCTS(type_, member, ...) \
    {.kind = WIRE_STRUCT, .shape = WIRE_MANY, .type = &type_##_struct, MEMBER(member), __VA_ARGS__},
#define OPTIONAL(type_, member, ...) \
    {.kind = WIRE_STRUCT,            \
     .shape = WIRE_OPTIONAL,         \
     .type = &type_##_struct,        \
     NULLABLE,                       \
     MEMBER(member),                 \
     __VA_ARGS__},

/* Each table ends with a row that is not counted, since a struct may have no fields at all. */
#define NAMED(make, self) make(self)
#define OPEN_TABLE(self)  static const struct field_def self##_fields[] = {
#define CLOSE_TABLE(self)                     \
    {                                         \
        .name = NULL                          \
    }                                         \
    }                                         \
    ;                                         \
    const struct struct_def self##_struct = { \
        #self, self##_fields, (u32)ARRAY_LEN(self##_fields) - 1, (u32)sizeof(struct self)};
#define BEGIN NAMED(OPEN_TABLE, SELF)
#define END   NAMED(CLOSE_TABLE, SELF)
#include "wire/schema/all.def"

#define NEVER WIRE_NEVER
#define API(key, name_, kafka, min_, max_, request_flexible, response_flexible, doc) \
    const struct message_def name_##_request_def = {                                 \
        .name = #name_ "_request",                                                   \
        .kafka_name = kafka "Request",                                               \
        .body = &name_##_request_struct,                                             \
        .min = (min_),                                                               \
        .max = (max_),                                                               \
        .flexible = (request_flexible),                                              \
        .record_type = -1,                                                           \
    };                                                                               \
    const struct message_def name_##_response_def = {                                \
        .name = #name_ "_response",                                                  \
        .kafka_name = kafka "Response",                                              \
        .body = &name_##_response_struct,                                            \
        .min = (min_),                                                               \
        .max = (max_),                                                               \
        .flexible = (response_flexible),                                             \
        .record_type = -1,                                                           \
    };
#define MESSAGE(name_, kafka, min_, max_, flexible_, type) \
    const struct message_def name_##_def = {               \
        .name = #name_,                                    \
        .kafka_name = kafka,                               \
        .body = &name_##_struct,                           \
        .min = (min_),                                     \
        .max = (max_),                                     \
        .flexible = (flexible_),                           \
        .record_type = (type),                             \
    };
#include "wire/apis.def"
#include "wire/messages.def"
#undef API
#undef MESSAGE

#define API(key, name_, ...) &name_##_request_def, &name_##_response_def,
#define MESSAGE(name_, ...)  &name_##_def,
const struct message_def *const wire_messages[] = {
#include "wire/apis.def"
#include "wire/messages.def"
};
const u32 wire_message_count = (u32)ARRAY_LEN(wire_messages);
