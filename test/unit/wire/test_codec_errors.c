/* Proves that the walker finds every struct with an error_code and an error_message that a version
   has, and no other: in arrays, at the top, in versions with and without the text, and that a
   random answer is left as it was by a caller that changes nothing. */
#include "../unit.h"

#include "wire/wire.h"

struct found {
    u32 count;
    i16 codes[8];
};

static void note(void *user, i16 error_code, struct slice *error_message)
{
    struct found *f = user;
    assert_true(f->count < ARRAY_LEN(f->codes));
    f->codes[f->count++] = error_code;
    *error_message = slice_cstr("told");
}

static void in_an_array(void **state)
{
    (void)state;
    struct create_topics_response_creatable_topic_result rows[2];
    struct create_topics_response response;
    wire_init(&create_topics_response_struct, &response);
    for (u32 i = 0; i < 2; i++) {
        wire_init(&create_topics_response_creatable_topic_result_struct, &rows[i]);
        rows[i].error_code = (i16)(36 + i);
    }
    response.topics.items = rows;
    response.topics.count = 2;
    struct found f = {0};
    wire_each_error(&create_topics_response_def, 7, &response, note, &f);
    assert_int_equal(f.count, 2);
    assert_int_equal(f.codes[0], 36);
    assert_int_equal(f.codes[1], 37);
    assert_true(slice_eq_cstr(rows[1].error_message, "told"));
}

/* FindCoordinator: one answer at the top from version 1 on, a list of them from version 4 on. */
static void only_what_the_version_has(void **state)
{
    (void)state;
    static const struct {
        i16 version;
        u32 count;
        i16 first;
    } cases[] = {{0, 0, 0}, {1, 1, 15}, {3, 1, 15}, {4, 1, 14}, {6, 1, 14}};
    struct find_coordinator_response_coordinator row;
    wire_init(&find_coordinator_response_coordinator_struct, &row);
    row.error_code = 14;
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct find_coordinator_response response;
        wire_init(&find_coordinator_response_struct, &response);
        response.error_code = 15;
        response.coordinators.items = &row;
        response.coordinators.count = 1;
        struct found f = {0};
        wire_each_error(&find_coordinator_response_def, cases[i].version, &response, note, &f);
        assert_int_equal(f.count, cases[i].count);
        assert_int_equal(f.codes[0], cases[i].first);
    }
}

/* Produce: the texts of single records have no code of their own but that of their partition. */
static void texts_under_a_code(void **state)
{
    (void)state;
    struct produce_response_batch_index_and_error_message records[2];
    struct produce_response_partition rows[2];
    struct produce_response_topic topic;
    struct produce_response response;
    wire_init(&produce_response_struct, &response);
    wire_init(&produce_response_topic_struct, &topic);
    for (u32 i = 0; i < 2; i++) {
        wire_init(&produce_response_batch_index_and_error_message_struct, &records[i]);
        wire_init(&produce_response_partition_struct, &rows[i]);
        rows[i].error_code = (i16)(86 + i);
    }
    rows[1].record_errors.items = records;
    rows[1].record_errors.count = 2;
    topic.partition_responses.items = rows;
    topic.partition_responses.count = 2;
    response.responses.items = &topic;
    response.responses.count = 1;
    struct found f = {0};
    wire_each_error(&produce_response_def, 7, &response, note, &f);
    assert_int_equal(f.count, 0);
    wire_each_error(&produce_response_def, 13, &response, note, &f);
    assert_int_equal(f.count, 4);
    assert_int_equal(f.codes[0], 86);
    for (u32 i = 1; i < 4; i++) {
        assert_int_equal(f.codes[i], 87);
    }
    assert_true(slice_eq_cstr(records[1].batch_index_error_message, "told"));
}

static void leave(void *user, i16 error_code, struct slice *error_message)
{
    (void)error_code;
    (void)error_message;
    (*(u32 *)user)++;
}

static void every_message_can_be_walked(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    u32 visited = 0;
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *def = wire_messages[i];
        for (i16 version = def->min; version <= def->max; version++) {
            void *message = arena_alloc(&arena, def->body->bytes);
            assert_non_null(message);
            assert_int_equal(wire_random(def, version, &rng, &arena, message), OK);
            wire_each_error(def, version, message, leave, &visited);
            arena_reset(&arena);
        }
    }
    assert_true(visited > 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_an_array),
        cmocka_unit_test(only_what_the_version_has),
        cmocka_unit_test(texts_under_a_code),
        cmocka_unit_test(every_message_can_be_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
