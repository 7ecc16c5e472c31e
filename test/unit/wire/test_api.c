/* Proves the table of APIs and the frames around bodies: look-up, header versions, requests that
   cannot be read, and frames that come back as they went. */
#include "../unit.h"

#include "wire/wire.h"

static void rows_are_in_order_and_found(void **state)
{
    (void)state;
    assert_int_equal(api_row_count, 79);
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        assert_true(i == 0 || api->key > api_rows[i - 1].key);
        assert_ptr_equal(api_find(api->key), api);
        assert_true(strlen(api->doc) > 0);
        assert_int_equal(api->request->min, api->min);
        assert_int_equal(api->response->max, api->max);
        assert_true(api_has_version(api, api->min));
        assert_true(api_has_version(api, api->max));
        assert_false(api_has_version(api, (i16)(api->max + 1)));
        assert_false(api_has_version(api, (i16)(api->min - 1)));
    }
    assert_null(api_find(4));  /* removed */
    assert_null(api_find(52)); /* controllers only */
    assert_null(api_find(-1));
    assert_null(api_find(INT16_MAX));
    assert_string_equal(api_find(API_list_offsets)->kafka_name, "ListOffsets");
}

static void headers_follow_the_version(void **state)
{
    (void)state;
    const struct api_row *produce = api_find(API_produce);
    assert_int_equal(api_request_header_version(produce, 8), 1);
    assert_int_equal(api_request_header_version(produce, 9), 2);
    assert_int_equal(api_response_header_version(produce, 8), 0);
    assert_int_equal(api_response_header_version(produce, 9), 1);
    const struct api_row *versions = api_find(API_api_versions);
    assert_int_equal(api_request_header_version(versions, 3), 2);
    assert_int_equal(api_response_header_version(versions, 0), 0);
    assert_int_equal(api_response_header_version(versions, 5), 0); /* KIP-511 */
    assert_int_equal(api_request_header_version(api_find(API_sasl_handshake), 1), 1);
}

static void requests_are_taken_apart(void **state)
{
    (void)state;
    const u8 old[] = {0, 3, 0, 1, 0, 0, 0, 9, 0, 2, 'm', 'e', 0xaa, 0xbb};
    struct request_frame frame;
    assert_int_equal(request_frame_parse((struct slice){old, sizeof(old)}, &frame), OK);
    assert_int_equal(frame.api->key, API_metadata);
    assert_int_equal(frame.version, 1);
    assert_int_equal(frame.correlation_id, 9);
    assert_true(slice_eq_cstr(frame.client_id, "me"));
    assert_int_equal(frame.body.len, 2);
    assert_ptr_equal(frame.body.ptr, old + 12);

    const u8 flexible[] = {0, 3, 0, 9, 0, 0, 0, 9, 0xff, 0xff, 1, 7, 1, 0, 0xaa};
    assert_int_equal(request_frame_parse((struct slice){flexible, sizeof(flexible)}, &frame), OK);
    assert_null(frame.client_id.ptr);
    assert_int_equal(frame.body.len, 1);
}

static void requests_we_cannot_read_still_say_who_they_are(void **state)
{
    (void)state;
    struct request_frame frame;
    const u8 new_versions[] = {0, 18, 0, 99, 0, 0, 0, 5, 1, 2, 3};
    assert_int_equal(
        request_frame_parse((struct slice){new_versions, sizeof(new_versions)}, &frame),
        ERR_VERSION);
    assert_int_equal(frame.api->key, API_api_versions);
    assert_int_equal(frame.version, 99);
    assert_int_equal(frame.correlation_id, 5);
    const u8 unknown[] = {0x7f, 0xff, 0, 0, 0, 0, 0, 6};
    assert_int_equal(request_frame_parse((struct slice){unknown, sizeof(unknown)}, &frame),
                     ERR_VERSION);
    assert_null(frame.api);
    assert_int_equal(frame.correlation_id, 6);
    const u8 old_produce[] = {0, 0, 0, 2, 0, 0, 0, 6, 0, 0};
    assert_int_equal(request_frame_parse((struct slice){old_produce, sizeof(old_produce)}, &frame),
                     ERR_VERSION);
    for (size_t len = 0; len < 8; len++) {
        assert_int_equal(request_frame_parse((struct slice){unknown, len}, &frame), ERR_TRUNCATED);
    }
    assert_int_equal(request_frame_parse((struct slice){NULL, 0}, &frame), ERR_TRUNCATED);
    const u8 no_client[] = {0, 3, 0, 1, 0, 0, 0, 9, 0, 9};
    assert_int_equal(request_frame_parse((struct slice){no_client, sizeof(no_client)}, &frame),
                     ERR_TRUNCATED);
}

static void frames_come_back_as_they_went(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        for (i16 version = api->min; version <= api->max; version++) {
            void *message = arena_alloc(&arena, api->request->body->bytes);
            assert_int_equal(wire_random(api->request, version, &rng, &arena, message), OK);
            struct slice sent;
            assert_int_equal(
                request_frame_build(api, version, 77, SLICE_LIT("client"), message, &arena, &sent),
                OK);
            assert_int_equal(load_be32(sent.ptr), sent.len - 4);
            struct request_frame frame;
            assert_int_equal(
                request_frame_parse((struct slice){sent.ptr + 4, sent.len - 4}, &frame), OK);
            assert_ptr_equal(frame.api, api);
            assert_int_equal(frame.correlation_id, 77);
            void *again = arena_alloc(&arena, api->request->body->bytes);
            assert_int_equal(wire_decode(api->request, version, frame.body, &arena, again, NULL),
                             OK);
            assert_true(wire_equal(api->request, version, message, again));

            message = arena_alloc(&arena, api->response->body->bytes);
            assert_int_equal(wire_random(api->response, version, &rng, &arena, message), OK);
            struct response_frame answer;
            assert_int_equal(response_frame_build(api, version, 78, message, &arena, &answer), OK);
            assert_int_equal(load_be32(answer.bytes.ptr), answer.bytes.len - 4);
            i32 correlation_id;
            struct slice body;
            assert_int_equal(
                response_frame_parse(api, version,
                                     (struct slice){answer.bytes.ptr + 4, answer.bytes.len - 4},
                                     &correlation_id, &body),
                OK);
            assert_int_equal(correlation_id, 78);
            again = arena_alloc(&arena, api->response->body->bytes);
            assert_int_equal(wire_decode(api->response, version, body, &arena, again, NULL), OK);
            assert_true(wire_equal(api->response, version, message, again));
            arena_reset(&arena);
        }
    }
    arena_fini(&arena);
}

static void a_frame_counts_its_holes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    struct fetch_response_partition_data partition;
    struct fetch_response_fetchable_topic topic;
    struct fetch_response response;
    wire_init(&fetch_response_partition_data_struct, &partition);
    wire_init(&fetch_response_fetchable_topic_struct, &topic);
    wire_init(&fetch_response_struct, &response);
    partition.records.hole_bytes = 1000;
    partition.records.hole_id = 5;
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    response.responses.items = &topic;
    response.responses.count = 1;
    struct response_frame frame;
    const struct api_row *fetch = api_find(API_fetch);
    assert_int_equal(response_frame_build(fetch, 12, 1, &response, &arena, &frame), OK);
    assert_int_equal(frame.hole_bytes, 1000);
    assert_int_equal(frame.holes.count, 1);
    assert_int_equal(frame.holes.items[0].bytes, 1000);
    assert_int_equal(load_be32(frame.bytes.ptr), frame.bytes.len - 4 + 1000);
    /* In front of the hole stands its length: 1001 as a uvarint. */
    const u8 *before = frame.bytes.ptr + frame.holes.items[0].offset;
    assert_int_equal(before[-2], 0xe9);
    assert_int_equal(before[-1], 0x07);
    partition.records.hole_bytes = INT32_MAX;
    assert_int_equal(response_frame_build(fetch, 12, 1, &response, &arena, &frame), ERR_LIMIT);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_in_order_and_found),
        cmocka_unit_test(headers_follow_the_version),
        cmocka_unit_test(requests_are_taken_apart),
        cmocka_unit_test(requests_we_cannot_read_still_say_who_they_are),
        cmocka_unit_test(frames_come_back_as_they_went),
        cmocka_unit_test(a_frame_counts_its_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
