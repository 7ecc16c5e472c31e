/* Proves the JSON of messages: names as Kafka's, what the version lacks left out, nothing that a
   terminal or a parser would choke on, no secrets. */
#include "../unit.h"

#include "wire/wire.h"

static const char *print(const struct message_def *def, i16 version, const void *message)
{
    static char text[4096];
    struct writer w = writer_of(text, sizeof(text) - 1);
    wire_print_json(def, version, message, &w);
    assert_false(w.failed);
    text[w.len] = '\0';
    return text;
}

static void a_request_reads_as_expected(void **state)
{
    (void)state;
    struct metadata_request_topic topic = {.topic_id = {{0xff}}, .name = SLICE_LIT("a\"b")};
    struct metadata_request request;
    wire_init(&metadata_request_struct, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    assert_string_equal(print(&metadata_request_def, 1, &request),
                        "{\"topics\":[{\"name\":\"a\\\"b\"}]}");
    assert_string_equal(
        print(&metadata_request_def, 12, &request),
        "{\"topics\":[{\"topicId\":\"_wAAAAAAAAAAAAAAAAAAAA\",\"name\":\"a\\\"b\"}],"
        "\"allowAutoTopicCreation\":true,\"includeTopicAuthorizedOperations\":false}");
    request.topics.is_null = true;
    assert_string_equal(print(&metadata_request_def, 1, &request), "{\"topics\":null}");
}

static void strings_are_made_harmless(void **state)
{
    (void)state;
    struct find_coordinator_request request;
    wire_init(&find_coordinator_request_struct, &request);
    request.key = SLICE_LIT("\x1b[2J\n\xc3\xa9\xff\xc0\x80\xed\xa0\x80\\\x7f");
    assert_string_equal(print(&find_coordinator_request_def, 0, &request),
                        "{\"key\":\"\\u001b[2J\\u000a\xc3\xa9\\ufffd\\ufffd\\ufffd"
                        "\\ufffd\\ufffd\\ufffd\\\\\\u007f\"}");
    request.key = SLICE_LIT("\xe2\x82"); /* cut in the middle of a character */
    assert_string_equal(print(&find_coordinator_request_def, 0, &request),
                        "{\"key\":\"\\ufffd\\ufffd\"}");
}

static void secrets_and_records_are_only_counted(void **state)
{
    (void)state;
    struct sasl_authenticate_request request = {.auth_bytes = SLICE_LIT("password")};
    assert_string_equal(print(&sasl_authenticate_request_def, 0, &request),
                        "{\"authBytes\":\"(8 secret bytes)\"}");
    struct produce_request_partition_data partition = {.records.bytes = SLICE_LIT("12345")};
    struct produce_request_topic_data topic = {.name = SLICE_LIT("t"),
                                               .partition_data = {.items = &partition, .count = 1}};
    struct produce_request produce = {.topic_data = {.items = &topic, .count = 1}};
    assert_string_equal(print(&produce_request_def, 3, &produce),
                        "{\"transactionalId\":null,\"acks\":0,\"timeoutMs\":0,\"topicData\":[{"
                        "\"name\":\"t\",\"partitionData\":[{\"index\":0,"
                        "\"records\":\"(5 bytes)\"}]}]}");
}

static void numbers_of_every_kind(void **state)
{
    (void)state;
    struct alter_client_quotas_request_op_data op = {.key = SLICE_LIT("rate"), .value = 0.5};
    struct alter_client_quotas_request_entry_data entry = {.ops = {.items = &op, .count = 1}};
    struct alter_client_quotas_request request = {.entries = {.items = &entry, .count = 1}};
    assert_string_equal(print(&alter_client_quotas_request_def, 0, &request),
                        "{\"entries\":[{\"entity\":[],\"ops\":[{\"key\":\"rate\",\"value\":0.5,"
                        "\"remove\":false}]}],\"validateOnly\":false}");
    struct end_txn_marker marker = {.coordinator_epoch = INT32_MIN};
    assert_string_equal(print(&end_txn_marker_def, 0, &marker),
                        "{\"coordinatorEpoch\":-2147483648}");
}

/* Every message prints, and a writer that is too small only fails. */
static void every_message_prints(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    static char text[MIB];
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *def = wire_messages[i];
        for (i16 version = def->min; version <= def->max; version++) {
            void *message = arena_alloc(&arena, def->body->bytes);
            assert_non_null(message);
            assert_int_equal(wire_random(def, version, &rng, &arena, message), OK);
            struct writer w = writer_of(text, sizeof(text));
            wire_print_json(def, version, message, &w);
            assert_false(w.failed);
            assert_true(w.len >= 2);
            assert_int_equal(text[0], '{');
            assert_int_equal(text[w.len - 1], '}');
            struct writer small = writer_of(text, w.len - 1);
            wire_print_json(def, version, message, &small);
            assert_true(small.failed);
            arena_reset(&arena);
        }
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_reads_as_expected),
        cmocka_unit_test(strings_are_made_harmless),
        cmocka_unit_test(secrets_and_records_are_only_counted),
        cmocka_unit_test(numbers_of_every_kind),
        cmocka_unit_test(every_message_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
