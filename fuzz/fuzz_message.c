/* Any message of the tables: two bytes choose it and its version, the rest is decoded. What decodes
   must encode, to exactly the size foretold, and decode again to an equal message. */
#include "fuzz.h"
#include "wire/wire.h"

static void round_trip(const struct message_def *def, i16 version, const void *message,
                       struct arena *arena)
{
    size_t bytes = wire_size(def, version, message, NULL, NULL);
    u8 *encoded = arena_alloc(arena, bytes);
    if (encoded == NULL) {
        return;
    }
    struct writer w = writer_of(encoded, bytes);
    PROPERTY(wire_encode(def, version, message, &w, NULL) == OK);
    PROPERTY(!w.failed && w.len == bytes);
    void *again = arena_alloc(arena, def->body->bytes);
    if (again == NULL) {
        return;
    }
    err_t e = wire_decode(def, version, slice_of(encoded, bytes), arena, again, NULL);
    PROPERTY(e == OK || e == ERR_NO_MEMORY);
    PROPERTY(e != OK || wire_equal(def, version, message, again));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct message_def *def = wire_messages[data[0] % wire_message_count];
    i16 version = (i16)(def->min + data[1] % (def->max - def->min + 1));
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 16 * MIB);
    void *message = arena_alloc(&arena, def->body->bytes);
    if (wire_decode(def, version, slice_of(data + 2, size - 2), &arena, message, NULL) == OK) {
        round_trip(def, version, message, &arena);
    }
    arena_fini(&arena);
    return 0;
}
