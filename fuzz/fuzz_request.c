/* Any bytes as a request frame: the header is taken apart and the body decoded into an arena with a
   cap, as the broker does. What decodes must print. */
#include "fuzz.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct request_frame frame;
    if (request_frame_parse(slice_of(data, size), &frame) != OK) {
        return 0;
    }
    PROPERTY(frame.api != NULL);
    PROPERTY(api_has_version(frame.api, frame.version));
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 16 * MIB);
    void *body = arena_alloc(&arena, frame.api->request->body->bytes);
    if (wire_decode(frame.api->request, frame.version, frame.body, &arena, body, NULL) == OK) {
        static char text[256 * 1024];
        struct writer w = writer_of(text, sizeof(text));
        wire_print_json(frame.api->request, frame.version, body, &w);
    }
    arena_fini(&arena);
    return 0;
}
