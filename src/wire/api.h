/* The table of APIs (apis.def) and what stands around a body: frame, request and response header.
 */
#pragma once

#include "wire/codec.h"

enum api_key {
#define API(key, name, ...) API_##name = key,
#include "wire/apis.def"
#undef API
};

struct api_row {
    i16 key;
    i16 min; /* versions we can read and write */
    i16 max;
    const char *name;       /* "list_offsets" */
    const char *kafka_name; /* "ListOffsets" */
    const char *doc;
    const struct message_def *request;
    const struct message_def *response;
};
extern const struct api_row api_rows[];
extern const u32 api_row_count;

/* NULL: a key that no broker listener speaks. */
const struct api_row *api_find(i16 key);
bool api_has_version(const struct api_row *api, i16 version);

/* The header version in front of a request: 1, or 2 in flexible versions. */
i16 api_request_header_version(const struct api_row *api, i16 version);
/* 0, or 1 in flexible versions; ApiVersions always 0, since its reader does not know yet what we
   speak (KIP-511). */
i16 api_response_header_version(const struct api_row *api, i16 version);

/* A request taken apart up to its body. client_id points into the frame. */
struct request_frame {
    const struct api_row *api; /* NULL: unknown key */
    i16 key;
    i16 version;
    i32 correlation_id;
    struct slice client_id; /* ptr NULL: null */
    struct slice body;
};

/* frame: the bytes after the int32 length.
   OK           header read; body is what follows.
   ERR_VERSION  the key is unknown, or the version is not in the row: key, version and
   correlation_id are set, nothing else could be read. (An ApiVersions request is then answered in
                version 0; any other ends the connection.)
   ERR_TRUNCATED, ERR_INVALID  not a request. */
MUST_USE err_t request_frame_parse(struct slice frame, struct request_frame *out);

/* An answer: int32 length, response header, body, with holes for records. */
struct response_frame {
    struct slice bytes;      /* in the arena */
    struct wire_holes holes; /* offsets count from bytes.ptr */
    u64 hole_bytes;
};

/* Sizes and encodes in one go. ERR_INVALID as wire_encode, ERR_NO_MEMORY: the arena is full,
   ERR_LIMIT: longer than a frame can be (2^31 - 1). */
MUST_USE err_t response_frame_build(const struct api_row *api, i16 version, i32 correlation_id,
                                    const void *response, struct arena *arena,
                                    struct response_frame *out);

/* The same for a request (tests, simulator, cli). client_id.ptr NULL: null. */
MUST_USE err_t request_frame_build(const struct api_row *api, i16 version, i32 correlation_id,
                                   struct slice client_id, const void *request, struct arena *arena,
                                   struct slice *out);

/* frame: the bytes after the int32 length. *body is what follows the header. */
MUST_USE err_t response_frame_parse(const struct api_row *api, i16 version, struct slice frame,
                                    i32 *correlation_id, struct slice *body);
