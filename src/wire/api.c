/* The rows of apis.def, and what stands in front of a body on the wire. */
#include "wire/api.h"

const struct api_row api_rows[] = {
#define API(key_, name_, kafka, min_, max_, request_flexible, response_flexible, doc_) \
    {                                                                                  \
        .key = (key_),                                                                 \
        .min = (min_),                                                                 \
        .max = (max_),                                                                 \
        .name = #name_,                                                                \
        .kafka_name = kafka,                                                           \
        .doc = doc_,                                                                   \
        .request = &name_##_request_def,                                               \
        .response = &name_##_response_def,                                             \
    },
#include "wire/apis.def"
#undef API
};
const u32 api_row_count = (u32)ARRAY_LEN(api_rows);

#define FRAME_LENGTH_BYTES 4u

const struct api_row *api_find(i16 key)
{
    /* Rows are in the order of keys. */
    u32 low = 0;
    u32 high = api_row_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (api_rows[middle].key == key) {
            return &api_rows[middle];
        }
        if (api_rows[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

bool api_has_version(const struct api_row *api, i16 version)
{
    return version >= api->min && version <= api->max;
}

i16 api_request_header_version(const struct api_row *api, i16 version)
{
    return version >= api->request->flexible ? 2 : 1;
}

i16 api_response_header_version(const struct api_row *api, i16 version)
{
    return version >= api->response->flexible && api->key != API_api_versions ? 1 : 0;
}

err_t request_frame_parse(struct slice frame, struct request_frame *out)
{
    /* Key, version and correlation id stand at the same place in every header version, so they are
       known even of a request that we cannot read. */
    struct reader r = reader_of(frame);
    i16 key = (i16)read_be16(&r);
    i16 version = (i16)read_be16(&r);
    i32 correlation_id = (i32)read_be32(&r);
    if (r.failed) {
        return ERR_TRUNCATED;
    }
    const struct api_row *api = api_find(key);
    if (api == NULL || !api_has_version(api, version)) {
        *out = (struct request_frame){
            .api = api, .key = key, .version = version, .correlation_id = correlation_id};
        return ERR_VERSION;
    }
    struct request_header header;
    size_t consumed;
    TRY(wire_decode(&request_header_def, api_request_header_version(api, version), frame, NULL,
                    &header, &consumed));
    *out = (struct request_frame){
        .api = api,
        .key = key,
        .version = version,
        .correlation_id = correlation_id,
        .client_id = header.client_id,
        .body = {frame.ptr + consumed, frame.len - consumed},
    };
    return OK;
}

err_t response_frame_parse(const struct api_row *api, i16 version, struct slice frame,
                           i32 *correlation_id, struct slice *body)
{
    struct response_header header;
    size_t consumed;
    TRY(wire_decode(&response_header_def, api_response_header_version(api, version), frame, NULL,
                    &header, &consumed));
    *correlation_id = header.correlation_id;
    *body = (struct slice){frame.ptr + consumed, frame.len - consumed};
    return OK;
}

/* Length, header and body into one run of arena memory. */
static err_t frame_build(const struct message_def *header_def, i16 header_version,
                         const void *header, const struct message_def *body_def, i16 version,
                         const void *body, struct arena *arena, struct response_frame *out)
{
    u64 hole_bytes;
    u32 hole_count;
    size_t header_bytes = wire_size(header_def, header_version, header, NULL, NULL);
    size_t body_bytes = wire_size(body_def, version, body, &hole_bytes, &hole_count);
    size_t frame_bytes = header_bytes + body_bytes;
    if (frame_bytes > INT32_MAX || hole_bytes > INT32_MAX - frame_bytes) {
        return ERR_LIMIT;
    }
    size_t total = FRAME_LENGTH_BYTES + frame_bytes;
    u8 *bytes = arena_alloc(arena, total);
    struct wire_holes holes = {.cap = hole_count};
    if (hole_count > 0) {
        holes.items = arena_array(arena, hole_count, sizeof(*holes.items));
    }
    if (bytes == NULL || (hole_count > 0 && holes.items == NULL)) {
        return ERR_NO_MEMORY;
    }
    struct writer w = writer_of(bytes, total);
    write_be32(&w, (u32)(frame_bytes + hole_bytes));
    TRY(wire_encode(header_def, header_version, header, &w, NULL));
    TRY(wire_encode(body_def, version, body, &w, &holes));
    assert(w.len == total);
    assert(holes.count == hole_count);
    *out =
        (struct response_frame){.bytes = {bytes, total}, .holes = holes, .hole_bytes = hole_bytes};
    return OK;
}

err_t response_frame_build(const struct api_row *api, i16 version, i32 correlation_id,
                           const void *response, struct arena *arena, struct response_frame *out)
{
    struct response_header header = {.correlation_id = correlation_id};
    return frame_build(&response_header_def, api_response_header_version(api, version), &header,
                       api->response, version, response, arena, out);
}

err_t request_frame_build(const struct api_row *api, i16 version, i32 correlation_id,
                          struct slice client_id, const void *request, struct arena *arena,
                          struct slice *out)
{
    struct request_header header = {
        .request_api_key = api->key,
        .request_api_version = version,
        .correlation_id = correlation_id,
        .client_id = client_id,
    };
    struct response_frame frame;
    TRY(frame_build(&request_header_def, api_request_header_version(api, version), &header,
                    api->request, version, request, arena, &frame));
    assert(frame.holes.count == 0);
    *out = frame.bytes;
    return OK;
}
