/* Proves the tools of the other tests: comparison notices a difference in any field of any message,
   and random messages use nulls, tags and every length. */
#include "../unit.h"

#include "wire/wire.h"

/* Two random messages are the same exactly if their bytes are. */
static void equal_means_equal_bytes(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    u32 different = 0;
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *def = wire_messages[i];
        for (u32 n = 0; n < 20; n++) {
            void *messages[2];
            struct slice bytes[2];
            for (u32 k = 0; k < 2; k++) {
                messages[k] = arena_alloc(&arena, def->body->bytes);
                assert_non_null(messages[k]);
                assert_int_equal(wire_random(def, def->max, &rng, &arena, messages[k]), OK);
                size_t size = wire_size(def, def->max, messages[k], NULL, NULL);
                struct writer w = writer_of(arena_alloc(&arena, size + 1), size);
                assert_int_equal(wire_encode(def, def->max, messages[k], &w, NULL), OK);
                bytes[k] = (struct slice){w.start, w.len};
            }
            bool same = slice_eq(bytes[0], bytes[1]);
            assert_int_equal(wire_equal(def, def->max, messages[0], messages[1]), same);
            assert_true(wire_equal(def, def->max, messages[0], messages[0]));
            different += !same;
            arena_reset(&arena);
        }
    }
    assert_true(different > wire_message_count);
    arena_fini(&arena);
}

static void empty_and_null_differ_where_null_is_allowed(void **state)
{
    (void)state;
    struct sasl_authenticate_response null = {.auth_bytes = WIRE_EMPTY};
    struct sasl_authenticate_response empty = {.error_message = WIRE_EMPTY};
    struct sasl_authenticate_response empty_too = {.error_message = WIRE_EMPTY,
                                                   .auth_bytes = WIRE_EMPTY};
    assert_false(wire_equal(&sasl_authenticate_response_def, 0, &null, &empty));
    /* auth_bytes is never null, so no pointer means empty as well. */
    assert_true(wire_equal(&sasl_authenticate_response_def, 0, &empty, &empty_too));
}

static void fields_the_version_lacks_do_not_matter(void **state)
{
    (void)state;
    struct fetch_response a = {.session_id = 1};
    struct fetch_response b = {.session_id = 2};
    assert_true(wire_equal(&fetch_response_def, 4, &a, &b));
    assert_false(wire_equal(&fetch_response_def, 7, &a, &b));
}

static void random_messages_are_various(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    u32 nulls = 0;
    u32 empties = 0;
    u32 tagged = 0;
    u32 long_strings = 0;
    for (u32 n = 0; n < 500; n++) {
        struct fetch_request request;
        assert_int_equal(wire_random(&fetch_request_def, 17, &rng, &arena, &request), OK);
        nulls += request.cluster_id.ptr == NULL;
        tagged += request.cluster_id.ptr != NULL;
        empties += request.topics.count == 0;
        long_strings += request.rack_id.len > 127;
        arena_reset(&arena);
    }
    assert_true(nulls > 0 && empties > 0 && tagged > 0 && long_strings > 0);
    arena_fini(&arena);
}

static void the_same_seed_gives_the_same_message(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    struct metadata_response a;
    struct metadata_response b;
    struct rng rng;
    rng_seed(&rng, 7);
    assert_int_equal(wire_random(&metadata_response_def, 13, &rng, &arena, &a), OK);
    rng_seed(&rng, 7);
    assert_int_equal(wire_random(&metadata_response_def, 13, &rng, &arena, &b), OK);
    assert_true(wire_equal(&metadata_response_def, 13, &a, &b));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_means_equal_bytes),
        cmocka_unit_test(empty_and_null_differ_where_null_is_allowed),
        cmocka_unit_test(fields_the_version_lacks_do_not_matter),
        cmocka_unit_test(random_messages_are_various),
        cmocka_unit_test(the_same_seed_gives_the_same_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
