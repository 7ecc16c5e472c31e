/* From bytes to a handler: headers and primitives that make no sense end their connection and
   nothing else, those that are only odd are taken as Kafka takes them [reliability.md, bad-input
   catalogue: Header, Primitives]. */
#include "broker/conn.h"
#include "harness.h"

static void refused(struct harness *h, i16 key, i16 version, struct slice body)
{
    struct client *c = client_open(h);
    client_send_body(c, key, version, body);
    client_expect_end(c);
    client_close(c);
}

static void unknown_apis_and_versions(void **state)
{
    struct harness h;
    harness_up(&h);
    refused(&h, 999, 0, WIRE_EMPTY);
    refused(&h, -1, 0, WIRE_EMPTY);
    refused(&h, INT16_MAX, 0, WIRE_EMPTY);
    refused(&h, INT16_MIN, 0, WIRE_EMPTY);
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        if (!broker_serves(api->key)) {
            refused(&h, api->key, api->max, WIRE_EMPTY);
            continue;
        }
        if (api->key == API_api_versions) {
            continue;
        }
        refused(&h, api->key, (i16)(version_max(api->key) + 1), WIRE_EMPTY);
        refused(&h, api->key, 99, WIRE_EMPTY);
        refused(&h, api->key, -1, WIRE_EMPTY);
        if (api->min > 0) {
            refused(&h, api->key, (i16)(api->min - 1), WIRE_EMPTY);
        }
    }
    /* Listed from 0 for librdkafka's sake, spoken from 3. */
    for (i16 version = 0; version <= 2; version++) {
        refused(&h, API_produce, version, WIRE_EMPTY);
    }
    assert_true(harness_said("bad_request") || harness_said("could not be decoded"));
    harness_fini(&h);
}

static void apis_of_brokers_are_not_served(void **state)
{
    static const i16 keys[] = {4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82};
    struct harness h;
    harness_up(&h);
    for (u32 i = 0; i < ARRAY_LEN(keys); i++) {
        refused(&h, keys[i], 0, WIRE_EMPTY);
    }
    harness_fini(&h);
}

/* A whole ApiVersions request with this client id (ptr NULL: null), in a version with or without
 * tags. */
static void send_with_client_id(struct client *c, i16 version, struct slice client_id,
                                i32 correlation_id)
{
    u8 *frame = arena_alloc(&c->h->arena, 64 + client_id.len);
    struct writer w = writer_of(frame, 64 + client_id.len);
    write_be32(&w, 0);
    write_be16(&w, API_api_versions);
    write_be16(&w, (u16)version);
    write_be32(&w, (u32)correlation_id);
    write_be16(&w, (u16)(client_id.ptr == NULL ? -1 : (i32)client_id.len));
    write_bytes(&w, client_id.ptr, client_id.len);
    if (version >= 3) {
        write_u8(&w, 0);
        write_bytes(&w, "\x02u\x02v\0", 5);
    }
    store_be32(frame, (u32)(w.len - 4));
    client_send_bytes(c, frame, w.len);
}

static void client_ids_of_every_kind(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    u8 *longest = arena_alloc(&h.arena, 32767);
    memset(longest, 'x', 32767);
    const struct slice ids[] = {
        {0},
        WIRE_EMPTY,
        SLICE_LIT("unit"),
        slice_of(longest, 32767),
        SLICE_LIT("\xff\xfe\xc0\x80"),
        SLICE_LIT("\x1b[2J\r\n\0x"),
        SLICE_LIT("${jndi:ldap://x/y}"),
        SLICE_LIT("\xed\xa0\x80"),
    };
    for (i16 version = 0; version <= 3; version += 3) {
        for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
            send_with_client_id(c, version, ids[i], (i32)i);
            struct api_versions_response *r = client_recv(c, API_api_versions, version, (i32)i);
            assert_int_equal(r->error_code, KERR_NONE);
        }
    }
    harness_fini(&h);
}

static void lying_client_ids(void **state)
{
    static const i16 lengths[] = {-2, INT16_MIN, 100, INT16_MAX};
    struct harness h;
    harness_up(&h);
    for (u32 i = 0; i < ARRAY_LEN(lengths); i++) {
        u8 frame[4 + 10 + 4];
        struct writer w = writer_of(frame, sizeof frame);
        write_be32(&w, sizeof frame - 4);
        write_be16(&w, API_metadata);
        write_be16(&w, 1);
        write_be32(&w, 1);
        write_be16(&w, (u16)lengths[i]);
        write_bytes(&w, "unit", 4);
        struct client *c = client_open(&h);
        client_send_bytes(c, frame, sizeof frame);
        client_expect_end(c);
    }
    /* A frame too short for any header. */
    for (u32 len = 1; len < 10; len++) {
        u8 frame[16] = {0};
        store_be32(frame, len);
        struct client *c = client_open(&h);
        client_send_bytes(c, frame, 4 + len);
        client_expect_end(c);
    }
    harness_fini(&h);
}

static void diagnostics_are_escaped(void **state)
{
    struct harness h;
    harness_up(&h);
    harness_skip_ms(
        &h, 120000); /* what the tests before this one caused is no longer counted as repetition */
    static const u8 frame[] = "\0\0\0\x1d\0\x03\x00\x01\0\0\0\1\0\x0f\x1b[31m\nforged\rAB\x7f"
                              "\xff\xff\xff\xf0";
    struct client *c = client_open(&h);
    client_send_bytes(c, frame, sizeof frame - 1);
    client_expect_end(c);
    assert_true(harness_said("forged"));
    assert_false(harness_said("\x1b[31m"));
    assert_false(harness_said("\nforged"));
    harness_fini(&h);
}

static void headers_of_the_wrong_kind(void **state)
{
    struct harness h;
    harness_up(&h);
    /* Metadata 9 is flexible: here its header has no tagged section, so that the body's first byte
     * is taken for it. */
    static const u8 frame[] = "\0\0\0\x12\0\x03\0\x09\0\0\0\1\0\4unit"
                              "\x01\x00\x00\x00";
    struct client *c = client_open(&h);
    client_send_bytes(c, frame, sizeof frame - 1);
    client_expect_end(c);
    harness_fini(&h);
}

static void trailing_bytes_are_not_looked_at(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    /* Metadata 1, no topics, and rubbish. */
    i32 id = client_send_body(c, API_metadata, 1, SLICE_LIT("\0\0\0\0rubbish\xff\xff"));
    struct metadata_response *r = client_recv(c, API_metadata, 1, id);
    assert_int_equal(r->topics.count, 0);
    harness_fini(&h);
}

/* Metadata 12: topics (compact array), two booleans, tags. */
static void tagged_fields(void **state)
{
    struct harness h;
    harness_up(&h);
    const struct slice bad[] = {
        SLICE_LIT("\x01\0\0\xff\xff\xff\xff\x0f"),         /* 2^32-1 tags */
        SLICE_LIT("\x01\0\0\x01\x05\xff\xff\xff\xff\x0f"), /* a tag of 2^32-1 bytes */
        SLICE_LIT("\x01\0\0\x01\x05\x0a"
                  "abc"),                              /* cut off */
        SLICE_LIT("\x01\0\0\xff\xff\xff\xff\xff\x01"), /* a varint of six bytes */
        SLICE_LIT("\x01\0\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
    };
    for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&h, API_metadata, 12, bad[i]);
    }
    /* Unknown tags are skipped, in any order and often, a megabyte of them too. */
    struct client *c = client_open(&h);
    const struct slice good[] = {
        SLICE_LIT("\x01\0\0\x02\x05\x01"
                  "a\x05\x01"
                  "b"),
        SLICE_LIT("\x01\0\0\x02\x06\x01"
                  "a\x05\x01"
                  "b"),
    };
    for (u32 i = 0; i < ARRAY_LEN(good); i++) {
        i32 asked = client_send_body(c, API_metadata, 12, good[i]);
        assert_int_equal(
            ((struct metadata_response *)client_recv(c, API_metadata, 12, asked))->topics.count, 0);
    }
    i32 id = client_send_body(c, API_metadata, 12,
                              SLICE_LIT("\x01\0\0\x02\x05\x01"
                                        "a\x06\x00"));
    assert_int_equal(
        ((struct metadata_response *)client_recv(c, API_metadata, 12, id))->topics.count, 0);
    size_t bytes = (1 << 20) + 8;
    u8 *body = arena_alloc(&h.arena, bytes);
    memcpy(body, "\x01\0\0\x01\x07\x80\x80\x40", 8);
    id = client_send_body(c, API_metadata, 12, slice_of(body, bytes));
    assert_int_equal(
        ((struct metadata_response *)client_recv(c, API_metadata, 12, id))->topics.count, 0);
    harness_fini(&h);
}

static void counts_and_lengths_that_lie(void **state)
{
    struct harness h;
    harness_up(&h);
    const struct {
        i16 version;
        struct slice body;
    } bad[] = {
        {1, SLICE_LIT("\x7f\xff\xff\xff"
                      "0123456789")},       /* INT_MAX topics in ten bytes */
        {0, SLICE_LIT("\xff\xff\xff\xfe")}, /* -2 topics (where null is allowed, that is null: as in
                                               Kafka) */
        {0, SLICE_LIT("\x80\0\0\0")},
        {1, SLICE_LIT("\0\0\0\1\xff\xff")}, /* a null name where none may be */
        {1, SLICE_LIT("\0\0\0\1\xff\xfe"
                      "ab")}, /* length -2 */
        {1, SLICE_LIT("\0\0\0\1\x7f\xff"
                      "ab")},
        {0, SLICE_LIT("\xff\xff\xff\xff")},               /* version 0 has no null list */
        {9, SLICE_LIT("\xff\xff\xff\xff\x0f\0\0\0")},     /* compact, 2^32-2 topics */
        {9, SLICE_LIT("\x02\x80\x80\x80\x80\x08\0\0\0")}, /* compact string of 2^31-1 */
        {9, SLICE_LIT("\x02\x00\0\0\0\0")},               /* compact null where none may be */
        {9, SLICE_LIT("")},
        {9, SLICE_LIT("\x01")},
    };
    for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&h, API_metadata, bad[i].version, bad[i].body);
    }
    assert_true(h.broker->memory.requests.used_max < 2 * MIB);
    harness_fini(&h);
}

static void booleans_and_varints_as_kafka_reads_them(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    /* Any byte but 0 is true; a varint may be longer than it has to be. */
    i32 id = client_send_body(c, API_metadata, 12, SLICE_LIT("\x81\x00\x02\xff\x80\x00"));
    assert_int_equal(
        ((struct metadata_response *)client_recv(c, API_metadata, 12, id))->topics.count, 0);
    harness_fini(&h);
}

/* Each request row of the table with each prefix of a random good body: no crash, and the broker
 * goes on. */
static void bodies_cut_off_anywhere(void **state)
{
    struct rng rng = unit_rng();
    struct harness h;
    harness_up(&h);
    struct client *keeper = client_open(&h);
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        if (!broker_serves(api->key)) {
            continue;
        }
        for (u32 round = 0; round < 12; round++) {
            i16 version = (i16)(version_min(api->key) +
                                (i16)rng_below(&rng, (u64)(version_max(api->key) -
                                                           version_min(api->key) + 1)));
            void *message = arena_alloc(&h.arena, api->request->body->bytes);
            assert_int_equal(wire_random(api->request, version, &rng, &h.arena, message), OK);
            size_t size = wire_size(api->request, version, message, NULL, NULL);
            u8 *body = arena_alloc(&h.arena, size + 1);
            struct writer w = writer_of(body, size);
            if (wire_encode(api->request, version, message, &w, NULL) != OK) {
                continue;
            }
            struct client *c = client_open(&h);
            if (round % 2 == 0) {
                client_send_body(c, api->key, version, slice_of(body, rng_below(&rng, size + 1)));
            } else {
                body[rng_below(&rng, size + 1)] ^= (u8)(1 + rng_below(&rng, 255));
                client_send_body(c, api->key, version, slice_of(body, size));
            }
            client_shut(c);
            harness_turns(&h, 4);
            client_close(c);
        }
        client_expect_alive(keeper);
    }
    harness_fini(&h);
}

/* Whole random requests of every API and version: each is answered, or ends its connection, and
 * never the broker. */
static void random_requests(void **state)
{
    struct rng rng = unit_rng();
    struct harness h;
    harness_up(&h);
    struct client *keeper = client_open(&h);
    topic_make(keeper, "there", 3);
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        if (!broker_serves(api->key)) {
            continue;
        }
        for (i16 version = version_min(api->key); version <= version_max(api->key); version++) {
            for (u32 round = 0; round < 8; round++) {
                void *message = arena_alloc(&h.arena, api->request->body->bytes);
                assert_int_equal(wire_random(api->request, version, &rng, &h.arena, message), OK);
                struct client *c = client_open(&h);
                client_send(c, api->key, version, message);
                client_shut(c);
                for (u32 turn = 0; turn < 20 && !c->ended && !client_has_frame(c); turn++) {
                    harness_turns(&h, 1);
                }
                client_close(c);
            }
        }
        client_expect_alive(keeper);
    }
    harness_fini(&h);
}

/* ---- no memory for an answer ---------------------------------------------------------------- */

/* The request was understood, its answer finds no memory: the connection is closed and it is said,
   whether the handler answers at once or was parked meanwhile. */
static void an_answer_without_memory_is_told(void **state)
{
    enum { PARTITIONS = 400 };
    struct harness h;
    harness_up(&h);
    struct client *keeper = client_open(&h);
    struct topic t = topic_make(keeper, "wide", PARTITIONS);
    struct quota *requests = &h.broker->memory.requests;
    u64 cap = requests->cap;
    u64 before = metric_slots[METRIC_answers_no_memory_total];

    struct client *at_once = client_open(&h);
    client_expect_alive(at_once);
    struct metadata_request *all = NEW(&h, metadata_request, 1);
    all->topics.is_null = true;
    requests->cap = requests->used + 16 * KIB;
    client_send(at_once, API_metadata, 9, all);
    client_expect_end(at_once);
    requests->cap = cap;
    assert_int_equal(metric_slots[METRIC_answers_no_memory_total], before + 1);
    assert_true(harness_said("answer_no_memory"));
    assert_false(harness_said("could not be decoded"));

    struct client *parked = client_open(&h);
    struct fetch_wish wishes[PARTITIONS];
    for (i32 i = 0; i < PARTITIONS; i++) {
        wishes[i] =
            (struct fetch_wish){.partition = i, .leader_epoch = -1, .last_fetched_epoch = -1};
    }
    struct fetch_request *q = fetch_of(&h, &t, wishes, PARTITIONS);
    q->max_wait_ms = 30000;
    client_send(parked, API_fetch, 12, q);
    while (list_empty(&h.broker->parked_fetches)) {
        harness_turn(&h);
    }
    requests->cap = requests->used;
    harness_skip_ms(&h, 31000);
    client_expect_end(parked);
    requests->cap = cap;
    assert_int_equal(metric_slots[METRIC_answers_no_memory_total], before + 2);
    client_expect_alive(keeper);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_apis_and_versions),
        cmocka_unit_test(apis_of_brokers_are_not_served),
        cmocka_unit_test(client_ids_of_every_kind),
        cmocka_unit_test(lying_client_ids),
        cmocka_unit_test(diagnostics_are_escaped),
        cmocka_unit_test(headers_of_the_wrong_kind),
        cmocka_unit_test(trailing_bytes_are_not_looked_at),
        cmocka_unit_test(tagged_fields),
        cmocka_unit_test(counts_and_lengths_that_lie),
        cmocka_unit_test(booleans_and_varints_as_kafka_reads_them),
        cmocka_unit_test(bodies_cut_off_anywhere),
        cmocka_unit_test(random_requests),
        cmocka_unit_test(an_answer_without_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
