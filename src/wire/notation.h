/* The notation of the messages in schema/, and the tables it becomes.

   Every struct of a message is written once, bottom-up (what is used stands above its user):

       #define SELF fetch_request_partition       the C struct's name
       BEGIN
           FIELD(I32,  partition,            ALL)
           FIELD(I32,  current_leader_epoch, FROM(9),  DEFAULT(-1), IGNORABLE)
           FIELD(UUID, replica_directory_id, FROM(17), IGNORABLE, TAG(0))
       END
       #undef SELF

       FIELD(kind, name, versions, options)        one value
       ARRAY(kind, name, versions, options)        an array of values
       STRUCT(type, name, versions, options)       a struct, always there
       OPTIONAL(type, name, versions, options)     a struct or null: a pointer in C, NULL = null
       STRUCTS(type, name, versions, options)      an array of structs
       EMPTY                                       the struct has no fields

   Rows stand in wire order, tagged fields last and by tag. Versions: ALL, FROM(n), UPTO(n),
   BETWEEN(a, b), ONLY(n); a nested field exists only where the struct around it does.
   Options:
       NULLABLE, NULLABLE_FROM(n), NULLABLE_BETWEEN(a, b), ...   null is allowed there
       DEFAULT(n), NULL_BY_DEFAULT    the value where the version lacks it; otherwise 0 or empty
       IGNORABLE      a version that lacks the field drops it silently; otherwise to encode a value
                      other than the default there is an error
       TAG(n)         travels in the tagged section (KIP-482)
       NEVER_COMPACT  keeps its int16 length also in flexible versions
       SECRET         is not printed

   messages.h makes the C structs from these rows, messages.c the tables below, and codec.c walks
   the tables. Nobody else needs to know the tables' inside. */
#pragma once

#include "base/base.h"

enum wire_kind {
    WIRE_BOOL,
    WIRE_I8,
    WIRE_I16,
    WIRE_U16,
    WIRE_I32,
    WIRE_U32,
    WIRE_I64,
    WIRE_F64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_STRUCT,
    WIRE_KIND_COUNT
};

enum wire_shape {
    WIRE_ONE,      /* the value itself is the member */
    WIRE_OPTIONAL, /* the member is a pointer to a struct, NULL = null */
    WIRE_MANY,     /* the member is {items, count, is_null} */
};

/* A set of versions: bit n stands for version n. */
typedef u32 version_set;
#define WIRE_VERSION_MAX 31
#define VERSIONS_BETWEEN(first, last) \
    ((version_set)(((1ull << ((last) + 1)) - 1) & ~((1ull << (first)) - 1)))
#define VERSIONS_FROM(first) VERSIONS_BETWEEN(first, WIRE_VERSION_MAX)

struct struct_def;
struct field_def {
    const char *name;
    const struct struct_def *type; /* of WIRE_STRUCT, else NULL */
    i64 initial;                   /* the default of a number or bool */
    version_set versions;
    version_set nullable;
    u16 offset; /* of the member */
    u8 kind;    /* enum wire_kind; of the elements if shape is WIRE_MANY */
    u8 shape;   /* enum wire_shape */
    u8 tag;     /* valid if tagged */
    bool tagged;
    bool null_by_default;
    bool ignorable;
    bool never_compact;
    bool secret;
};

struct struct_def {
    const char *name;
    const struct field_def *fields;
    u32 field_count;
    u32 bytes; /* sizeof the C struct */
};

struct message_def {
    const char *name;       /* of the C struct */
    const char *kafka_name; /* "ProduceRequest" */
    const struct struct_def *body;
    i16 min; /* versions there are */
    i16 max;
    i16 flexible;    /* first flexible version, WIRE_NEVER if none */
    i16 record_type; /* of coordinator records, else -1 */
};
#define WIRE_NEVER INT16_MAX
