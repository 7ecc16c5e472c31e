/* Proves that the tables the walker believes are well made: rows in the order the codec counts on,
   members where the table says, version sets inside the message's, no struct that takes no bytes.
 */
#include "../unit.h"

#include "wire/wire.h"

static void check_fields(const struct message_def *message, const struct struct_def *def, u32 depth)
{
    assert_true(depth < 10);
    bool seen_tagged = false;
    int tag = -1;
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        assert_non_null(field->name);
        assert_true(field->versions != 0);
        assert_true(field->offset < def->bytes);
        assert_true(i == 0 || field->offset > def->fields[i - 1].offset);
        assert_int_equal(field->type != NULL, field->kind == WIRE_STRUCT);
        if (field->tagged) {
            assert_true((int)field->tag > tag);
            tag = field->tag;
            assert_true(message->flexible != WIRE_NEVER);
            /* A tagged section exists only in flexible versions. */
            version_set inflexible =
                VERSIONS_BETWEEN(0, WIRE_VERSION_MAX) & ~VERSIONS_FROM(message->flexible);
            assert_int_equal(field->versions & inflexible, 0);
        } else {
            assert_false(seen_tagged);
        }
        seen_tagged = field->tagged;
        if (field->null_by_default) {
            assert_true(field->nullable != 0);
        }
        if (field->type != NULL) {
            check_fields(message, field->type, depth + 1);
        }
    }
}

static void every_table_is_well_made(void **state)
{
    (void)state;
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *message = wire_messages[i];
        assert_true(message->min >= 0);
        assert_true(message->min <= message->max);
        assert_true(message->max <= WIRE_VERSION_MAX);
        check_fields(message, message->body, 0);
    }
}

/* The codec judges a count by its smallest element; an element of no bytes would allow any count.
 */
static void check_elements(const struct struct_def *def, i16 version, bool flexible)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if ((field->versions >> version & 1) == 0 || field->type == NULL) {
            continue;
        }
        if (field->shape == WIRE_MANY) {
            assert_true(wire_size_min(field->type, version, flexible) > 0);
        }
        check_elements(field->type, version, flexible);
    }
}

static void every_element_takes_bytes(void **state)
{
    (void)state;
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *message = wire_messages[i];
        for (i16 version = message->min; version <= message->max; version++) {
            check_elements(message->body, version, version >= message->flexible);
        }
    }
}

/* What a decoded array takes of the arena, for each byte that a client sends: the arena's cap holds
   whatever the tables say, but a request within its size limit should not come near it. */
#define MEMORY_PER_BYTE_MAX 20u

static void check_growth(const struct struct_def *def, i16 version, bool flexible)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if ((field->versions >> version & 1) == 0 || field->type == NULL) {
            continue;
        }
        if (field->shape == WIRE_MANY) {
            size_t smallest = wire_size_min(field->type, version, flexible);
            assert_true(field->type->bytes <= smallest * MEMORY_PER_BYTE_MAX);
        }
        check_growth(field->type, version, flexible);
    }
}

static void requests_grow_little_when_decoded(void **state)
{
    (void)state;
    for (u32 i = 0; i < api_row_count; i++) {
        const struct message_def *request = api_rows[i].request;
        for (i16 version = request->min; version <= request->max; version++) {
            check_growth(request->body, version, version >= request->flexible);
        }
    }
}

static void structs_are_named_and_typed(void **state)
{
    (void)state;
    struct produce_request_topic_data topic = {.name = SLICE_LIT("orders")};
    struct produce_request request = {.acks = -1, .topic_data = {.items = &topic, .count = 1}};
    assert_int_equal(request.topic_data.items[0].name.len, 6);
    assert_string_equal(produce_request_def.name, "produce_request");
    assert_string_equal(produce_request_def.kafka_name, "ProduceRequest");
    assert_string_equal(produce_request_topic_data_struct.name, "produce_request_topic_data");
    assert_int_equal(produce_request_def.flexible, 9);
    assert_int_equal(offset_commit_key_def.record_type, 1);
    assert_int_equal(sasl_handshake_request_def.flexible, WIRE_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_well_made),
        cmocka_unit_test(every_element_takes_bytes),
        cmocka_unit_test(requests_grow_little_when_decoded),
        cmocka_unit_test(structs_are_named_and_typed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
