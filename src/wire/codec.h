/* The walker: one set of functions for all messages, driven by the tables of notation.h. Pure.

   The broker decodes a request with the request's arena, fills a response struct in the same arena,
   asks for its size, and encodes it. `message` is always a pointer to the C struct of the def; a
   version outside the def's range is our mistake and asserted, bytes that make no sense are an
   error. */
#pragma once

#include "wire/messages.h"

/* All members to their defaults. For a decoded message nobody needs it; for a message to be filled
   by hand it is the start. A zeroed struct differs from it only in rows with DEFAULT or
   NULL_BY_DEFAULT (and is a valid message too). */
void wire_init(const struct struct_def *def, void *out);

/* count structs at their defaults from the arena, NULL when it is full:
       topics.items = wire_new(&metadata_response_topic_struct, arena, count); */
MUST_USE void *wire_new(const struct struct_def *def, struct arena *arena, u32 count);

/* Strings, bytes and records become slices of `in` (nothing is copied), arrays come from the arena.
   Fields the version lacks get their defaults. Unknown tags are skipped. *consumed (may be NULL) is
   how far it read; what follows a whole message is not looked at, as in Kafka (librdkafka ends
   AlterUserScramCredentials with a byte too many).
   ERR_TRUNCATED, ERR_INVALID: the bytes are wrong. ERR_NO_MEMORY: the arena is full. On an error
   *out is in no particular state, but points nowhere it should not.
   A count is believed only if that many of the smallest elements fit into what is left, so a
   request takes at most twenty times its length of the arena (test_messages.c); the arena's cap
   does the rest. */
MUST_USE err_t wire_decode(const struct message_def *def, i16 version, struct slice in,
                           struct arena *arena, void *out, size_t *consumed);

/* A place in encoded bytes where records belong that the encoder did not have. Holes come in order
   of offset; the bytes in front of a hole end at offset. */
struct wire_hole {
    size_t offset; /* in the writer's buffer: w->start + offset */
    u64 bytes;     /* to be sent there */
    u64 id;        /* wire_records.hole_id */
};
struct wire_holes {
    struct wire_hole *items;
    u32 cap; /* of items */
    u32 count;
};

/* Bytes that wire_encode will write; *hole_bytes (may be NULL) the sum of the holes, which a
   frame's length includes. *hole_count (may be NULL): how many. Only for a message that wire_encode
   accepts. */
size_t wire_size(const struct message_def *def, i16 version, const void *message, u64 *hole_bytes,
                 u32 *hole_count);

/* ERR_INVALID: a non-ignorable field is not at its default in a version that lacks it, a null where
   it is not allowed, or a value too long for its length field. ERR_LIMIT: the writer or the list of
   holes is too small. holes may be NULL if the message has none. */
MUST_USE err_t wire_encode(const struct message_def *def, i16 version, const void *message,
                           struct writer *w, struct wire_holes *holes);

/* One line of JSON with Kafka's field names, only the fields the version has. Bytes are printed in
   hex, secrets and records as their length. A writer that is too small fails as writers do. */
void wire_print_json(const struct message_def *def, i16 version, const void *message,
                     struct writer *w);

/* Do both encode to the same in this version? (Fields it lacks are not compared.) */
bool wire_equal(const struct message_def *def, i16 version, const void *a, const void *b);

/* A random message that this version can carry, for tests: nulls where allowed, tags present and
   absent, short arrays and strings. ERR_NO_MEMORY: the arena is full. */
MUST_USE err_t wire_random(const struct message_def *def, i16 version, struct rng *rng,
                           struct arena *arena, void *out);

/* Calls fn for every struct in the message that has both an error_code and an error_message which
   this version carries, from outside in; a struct with a text alone (the record errors of Produce)
   is told with the code of the struct around it. fn may replace the text. */
typedef void (*wire_error_fn)(void *user, i16 error_code, struct slice *error_message);
void wire_each_error(const struct message_def *def, i16 version, void *message, wire_error_fn fn,
                     void *user);

/* The fewest bytes a struct takes in a version. */
size_t wire_size_min(const struct struct_def *def, i16 version, bool flexible);
