/* Proves the walker. Every message in every version: random, encoded to exactly the size foretold,
   decoded to the same, and again the same bytes; truncated anywhere or with any byte changed it is
   refused or read, never a crash (decoded from the heap, where the sanitizer watches the ends).
   Then one by one: known bytes, hostile counts, tagged fields, defaults, nulls, holes. */
#include "../unit.h"

#include "wire/wire.h"

#define ROUNDS_PER_VERSION 30
#define MUTATION_ROUNDS    6

struct bench {
    struct rng rng;
    struct arena arena;
};

static struct bench bench_make(void)
{
    struct bench b = {.rng = unit_rng()};
    arena_init(&b.arena, NULL, 64 * KIB, 0);
    return b;
}

/* Encoded into memory of exactly the size, from the heap. */
static struct slice encode(const struct message_def *def, i16 version, const void *message)
{
    size_t size = wire_size(def, version, message, NULL, NULL);
    u8 *bytes = mem_alloc(MAX(size, 1u));
    struct writer w = writer_of(bytes, size);
    assert_int_equal(wire_encode(def, version, message, &w, NULL), OK);
    assert_int_equal(w.len, size);
    return (struct slice){bytes, size};
}

static void free_bytes(struct slice s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}

static void round_trip(struct bench *b, const struct message_def *def, i16 version)
{
    void *sent = arena_alloc(&b->arena, def->body->bytes);
    void *received = arena_alloc(&b->arena, def->body->bytes);
    assert_non_null(sent);
    assert_non_null(received);
    assert_int_equal(wire_random(def, version, &b->rng, &b->arena, sent), OK);
    struct slice bytes = encode(def, version, sent);
    size_t consumed = 0;
    assert_int_equal(wire_decode(def, version, bytes, &b->arena, received, &consumed), OK);
    assert_int_equal(consumed, bytes.len);
    assert_true(wire_equal(def, version, sent, received));
    struct slice again = encode(def, version, received);
    assert_true(slice_eq(bytes, again));
    free_bytes(bytes);
    free_bytes(again);
}

static void every_message_round_trips(void **state)
{
    (void)state;
    struct bench b = bench_make();
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *def = wire_messages[i];
        for (i16 version = def->min; version <= def->max; version++) {
            for (u32 n = 0; n < ROUNDS_PER_VERSION; n++) {
                round_trip(&b, def, version);
                arena_reset(&b.arena);
            }
        }
    }
    arena_fini(&b.arena);
}

/* Whatever the bytes: decode says yes or no. If yes, the message encodes, and what it encodes to is
   read as the same message. */
static void decode_anything(struct bench *b, const struct message_def *def, i16 version,
                            struct slice bytes)
{
    u8 *copy = mem_alloc(MAX(bytes.len, 1u));
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    void *message = arena_alloc(&b->arena, def->body->bytes);
    void *again = arena_alloc(&b->arena, def->body->bytes);
    assert_non_null(message);
    assert_non_null(again);
    struct slice in = {copy, bytes.len};
    if (wire_decode(def, version, in, &b->arena, message, NULL) == OK) {
        struct slice out = encode(def, version, message);
        assert_int_equal(wire_decode(def, version, out, &b->arena, again, NULL), OK);
        assert_true(wire_equal(def, version, message, again));
        free_bytes(out);
    }
    mem_free(copy);
}

static void damaged_messages_never_crash(void **state)
{
    (void)state;
    struct bench b = bench_make();
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *def = wire_messages[i];
        for (i16 version = def->min; version <= def->max; version++) {
            void *message = mem_alloc(def->body->bytes);
            assert_int_equal(wire_random(def, version, &b.rng, &b.arena, message), OK);
            struct slice bytes = encode(def, version, message);
            for (u32 n = 0; n < MUTATION_ROUNDS && bytes.len > 0; n++) {
                struct slice cut = {bytes.ptr, rng_below(&b.rng, bytes.len)};
                decode_anything(&b, def, version, cut);
                u8 *victim = (u8 *)(uintptr_t)bytes.ptr + rng_below(&b.rng, bytes.len);
                *victim = rng_chance(&b.rng, 1, 2) ? 0xff : (u8)rng_next(&b.rng);
                decode_anything(&b, def, version, bytes);
            }
            mem_free(message);
            free_bytes(bytes);
            arena_reset(&b.arena);
        }
    }
    arena_fini(&b.arena);
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    struct bench b = bench_make();
    struct fetch_request request;
    for (i16 version = fetch_request_def.min; version <= fetch_request_def.max; version++) {
        assert_int_equal(wire_random(&fetch_request_def, version, &b.rng, &b.arena, &request), OK);
        struct slice bytes = encode(&fetch_request_def, version, &request);
        for (size_t len = 0; len < bytes.len; len++) {
            struct fetch_request cut;
            assert_int_not_equal(wire_decode(&fetch_request_def, version,
                                             (struct slice){bytes.ptr, len}, &b.arena, &cut, NULL),
                                 OK);
        }
        free_bytes(bytes);
        arena_reset(&b.arena);
    }
    arena_fini(&b.arena);
}

static void bytes_left_over_are_not_looked_at(void **state)
{
    (void)state;
    const u8 bytes[] = {0, 0, 0, 7, 0xaa};
    struct slice in = {bytes, sizeof(bytes)};
    struct response_header header;
    size_t consumed = 0;
    assert_int_equal(wire_decode(&response_header_def, 0, in, NULL, &header, NULL), OK);
    assert_int_equal(wire_decode(&response_header_def, 0, in, NULL, &header, &consumed), OK);
    assert_int_equal(consumed, 4);
    assert_int_equal(header.correlation_id, 7);
}

/* ---- Known bytes ---- */

static void known_bytes_of_metadata_1(void **state)
{
    (void)state;
    struct slice topics[] = {SLICE_LIT("orders"), SLICE_LIT("x")};
    struct metadata_request_topic items[] = {{.name = topics[0]}, {.name = topics[1]}};
    struct metadata_request request;
    wire_init(&metadata_request_struct, &request);
    request.topics.items = items;
    request.topics.count = 2;
    const u8 expected[] = {0, 0, 0, 2, 0, 6, 'o', 'r', 'd', 'e', 'r', 's', 0, 1, 'x'};
    struct slice bytes = encode(&metadata_request_def, 1, &request);
    assert_int_equal(bytes.len, sizeof(expected));
    assert_memory_equal(bytes.ptr, expected, sizeof(expected));
    free_bytes(bytes);
}

static void known_bytes_of_metadata_12(void **state)
{
    (void)state;
    struct metadata_request_topic item = {.topic_id = {{1, 2, 3}}};
    struct metadata_request request;
    wire_init(&metadata_request_struct, &request);
    request.topics.items = &item;
    request.topics.count = 1;
    const u8 expected[] = {2,                                              /* one topic */
                           1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* its id */
                           0,                                              /* no name */
                           0,                                              /* no tags */
                           1,                                              /* create it */
                           0,                                              /* no operations */
                           0};
    struct slice bytes = encode(&metadata_request_def, 12, &request);
    assert_int_equal(bytes.len, sizeof(expected));
    assert_memory_equal(bytes.ptr, expected, sizeof(expected));
    free_bytes(bytes);
}

static void request_header_2_keeps_the_long_client_id(void **state)
{
    (void)state;
    struct request_header header = {.request_api_key = 18,
                                    .request_api_version = 3,
                                    .correlation_id = 5,
                                    .client_id = SLICE_LIT("me")};
    const u8 expected[] = {0, 18, 0, 3, 0, 0, 0, 5, 0, 2, 'm', 'e', 0};
    struct slice bytes = encode(&request_header_def, 2, &header);
    assert_int_equal(bytes.len, sizeof(expected));
    assert_memory_equal(bytes.ptr, expected, sizeof(expected));
    free_bytes(bytes);
}

static void optional_structs_have_a_byte_before_them(void **state)
{
    (void)state;
    struct describe_topic_partitions_request request;
    wire_init(&describe_topic_partitions_request_struct, &request);
    const u8 without[] = {1, 0, 0, 0x07, 0xd0, 0xff, 0};
    struct slice bytes = encode(&describe_topic_partitions_request_def, 0, &request);
    assert_int_equal(bytes.len, sizeof(without));
    assert_memory_equal(bytes.ptr, without, sizeof(without));
    free_bytes(bytes);

    struct describe_topic_partitions_request_cursor cursor = {.topic_name = SLICE_LIT("t"),
                                                              .partition_index = 3};
    request.cursor = &cursor;
    const u8 with[] = {1, 0, 0, 0x07, 0xd0, 1, 2, 't', 0, 0, 0, 3, 0, 0};
    bytes = encode(&describe_topic_partitions_request_def, 0, &request);
    assert_int_equal(bytes.len, sizeof(with));
    assert_memory_equal(bytes.ptr, with, sizeof(with));
    free_bytes(bytes);
}

/* ---- Hostile bytes ---- */

static err_t decode_metadata(i16 version, const u8 *bytes, size_t len, struct arena *arena,
                             struct metadata_request *out)
{
    return wire_decode(&metadata_request_def, version, (struct slice){bytes, len}, arena, out,
                       NULL);
}

static void hostile_counts_allocate_nothing(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 4 * KIB, 0);
    struct metadata_request request;
    /* 2^31 - 1 topics, in four bytes; then 2^32 - 2 in a compact count; then 200 where 3 fit. */
    const u8 fixed[] = {0x7f, 0xff, 0xff, 0xff, 0, 0};
    const u8 compact[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0};
    const u8 some[] = {0, 0, 0, 200, 0, 0, 0, 0, 0, 0};
    assert_int_equal(decode_metadata(1, fixed, sizeof(fixed), &arena, &request), ERR_TRUNCATED);
    assert_int_equal(decode_metadata(9, compact, sizeof(compact), &arena, &request), ERR_TRUNCATED);
    assert_int_equal(decode_metadata(1, some, sizeof(some), &arena, &request), ERR_TRUNCATED);
    assert_int_equal(arena.total_bytes, 0);
    arena_fini(&arena);
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    struct request_header header;
    const u8 long_id[] = {0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 'x'};
    assert_int_equal(wire_decode(&request_header_def, 1, (struct slice){long_id, sizeof(long_id)},
                                 NULL, &header, NULL),
                     ERR_TRUNCATED);
    /* A uvarint that does not end within five bytes. */
    struct arena arena;
    arena_init(&arena, NULL, 4 * KIB, 0);
    struct metadata_request request;
    const u8 endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(decode_metadata(9, endless, sizeof(endless), &arena, &request), ERR_TRUNCATED);
    arena_fini(&arena);
}

static void a_full_arena_is_not_an_error_of_the_bytes(void **state)
{
    (void)state;
    struct bench b = bench_make();
    struct metadata_request_topic items[100];
    struct metadata_request request;
    wire_init(&metadata_request_struct, &request);
    for (u32 i = 0; i < ARRAY_LEN(items); i++) {
        items[i] = (struct metadata_request_topic){.name = WIRE_EMPTY};
    }
    request.topics.items = items;
    request.topics.count = 100;
    struct slice bytes = encode(&metadata_request_def, 1, &request);
    struct arena small;
    arena_init(&small, NULL, 256, 1024);
    struct metadata_request out;
    assert_int_equal(wire_decode(&metadata_request_def, 1, bytes, &small, &out, NULL),
                     ERR_NO_MEMORY);
    free_bytes(bytes);
    arena_fini(&small);
    arena_fini(&b.arena);
}

static void compact_strings_end_at_32767(void **state)
{
    (void)state;
    static u8 text[INT16_MAX + 1];
    memset(text, 'x', sizeof(text));
    struct find_coordinator_request request;
    wire_init(&find_coordinator_request_struct, &request);
    request.key = (struct slice){text, INT16_MAX};
    struct slice bytes = encode(&find_coordinator_request_def, 3, &request);
    struct find_coordinator_request out;
    assert_int_equal(wire_decode(&find_coordinator_request_def, 3, bytes, NULL, &out, NULL), OK);
    free_bytes(bytes);
    request.key.len = INT16_MAX + 1;
    static u8 buffer[2 * sizeof(text)];
    struct writer w = writer_of(buffer, sizeof(buffer));
    assert_int_equal(wire_encode(&find_coordinator_request_def, 3, &request, &w, NULL),
                     ERR_INVALID);
    /* The same on the way in: 0x8001 = length 0x8000. */
    w = writer_of(buffer, sizeof(buffer));
    write_uvarint(&w, INT16_MAX + 2);
    write_bytes(&w, text, sizeof(text));
    write_zeros(&w, 2);
    assert_int_equal(wire_decode(&find_coordinator_request_def, 3, (struct slice){buffer, w.len},
                                 NULL, &out, NULL),
                     ERR_INVALID);
}

/* ---- Tagged fields ---- */

static err_t decode_header(const u8 *tags, size_t len, struct response_header *out)
{
    u8 bytes[64] = {0, 0, 0, 1};
    assert_true(len <= sizeof(bytes) - 4);
    memcpy(bytes + 4, tags, len);
    return wire_decode(&response_header_def, 1, (struct slice){bytes, 4 + len}, NULL, out, NULL);
}

static void unknown_tags_are_skipped(void **state)
{
    (void)state;
    struct response_header header;
    const u8 none[] = {0};
    const u8 two[] = {2, 0, 3, 'a', 'b', 'c', 9, 0};
    const u8 large_tag[] = {1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 'a'};
    assert_int_equal(decode_header(none, sizeof(none), &header), OK);
    assert_int_equal(decode_header(two, sizeof(two), &header), OK);
    assert_int_equal(decode_header(large_tag, sizeof(large_tag), &header), OK);
    assert_int_equal(header.correlation_id, 1);
}

/* As Kafka's readers: neither their order nor how often they come is looked at. */
static void tags_in_any_order(void **state)
{
    (void)state;
    struct response_header header;
    const u8 twice[] = {2, 4, 0, 4, 0};
    const u8 backwards[] = {2, 4, 0, 3, 0};
    assert_int_equal(decode_header(twice, sizeof(twice), &header), OK);
    assert_int_equal(decode_header(backwards, sizeof(backwards), &header), OK);
}

static void tags_that_lie(void **state)
{
    (void)state;
    struct response_header header;
    const u8 too_long[] = {1, 4, 5, 'a'};
    const u8 too_many[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0};
    assert_int_equal(decode_header(too_long, sizeof(too_long), &header), ERR_TRUNCATED);
    assert_int_equal(decode_header(too_many, sizeof(too_many), &header), ERR_TRUNCATED);
}

/* A Fetch request in version 17 whose tagged section is handed in. */
static err_t decode_fetch(struct arena *arena, const u8 *tags, size_t len,
                          struct fetch_request *out)
{
    struct fetch_request empty;
    wire_init(&fetch_request_struct, &empty);
    static u8 bytes[128]; /* out points into it */
    struct writer w = writer_of(bytes, sizeof(bytes));
    assert_int_equal(wire_encode(&fetch_request_def, 17, &empty, &w, NULL), OK);
    w.len -= 1; /* its own, empty section */
    write_bytes(&w, tags, len);
    assert_false(w.failed);
    return wire_decode(&fetch_request_def, 17, (struct slice){bytes, w.len}, arena, out, NULL);
}

static void known_tags_are_read(void **state)
{
    (void)state;
    struct fetch_request request;
    const u8 both[] = {3, 0,  3,   3, 'i', 'd',                            /* cluster id */
                       1, 13, 0,   0, 0,   7,   0, 0, 0, 0, 0, 0, 0, 8, 0, /* replica state */
                       5, 1,  0xee};                                       /* not known */
    assert_int_equal(decode_fetch(NULL, both, sizeof(both), &request), OK);
    assert_true(slice_eq_cstr(request.cluster_id, "id"));
    assert_int_equal(request.replica_state.replica_id, 7);
    assert_int_equal(request.replica_state.replica_epoch, 8);
    /* Of those that come twice the last counts, in whatever order they stand. */
    const u8 again[] = {3, 1, 13, 0,   0,   0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, /* replica state */
                        0, 3, 3,  'i', 'd', 0, 1, 0};                        /* cluster id, null */
    assert_int_equal(decode_fetch(NULL, again, sizeof(again), &request), OK);
    assert_null(request.cluster_id.ptr);
    assert_int_equal(request.replica_state.replica_id, 7);
    /* Absent, they are at their defaults. */
    const u8 none[] = {0};
    assert_int_equal(decode_fetch(NULL, none, sizeof(none), &request), OK);
    assert_null(request.cluster_id.ptr);
    assert_int_equal(request.replica_state.replica_id, -1);
    assert_int_equal(request.replica_state.replica_epoch, -1);
    assert_int_equal(request.replica_id, -1);
}

static void known_tags_must_fill_their_size(void **state)
{
    (void)state;
    struct fetch_request request;
    const u8 longer[] = {1, 0, 4, 3, 'i', 'd', 'x'};
    const u8 shorter[] = {1, 0, 2, 3, 'i', 'd'};
    assert_int_not_equal(decode_fetch(NULL, longer, sizeof(longer), &request), OK);
    assert_int_not_equal(decode_fetch(NULL, shorter, sizeof(shorter), &request), OK);
}

/* ---- Versions, defaults, nulls ---- */

static void a_version_without_the_field_gives_the_default(void **state)
{
    (void)state;
    struct bench b = bench_make();
    struct fetch_request_partition partition;
    struct fetch_request_topic topic;
    struct fetch_request request;
    wire_init(&fetch_request_partition_struct, &partition);
    wire_init(&fetch_request_topic_struct, &topic);
    wire_init(&fetch_request_struct, &request);
    assert_int_equal(partition.high_watermark, INT64_MAX);
    assert_int_equal(partition.current_leader_epoch, -1);
    topic.topic = SLICE_LIT("t");
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    struct slice bytes = encode(&fetch_request_def, 4, &request);
    struct fetch_request out;
    assert_int_equal(wire_decode(&fetch_request_def, 4, bytes, &b.arena, &out, NULL), OK);
    const struct fetch_request_partition *got = &out.topics.items[0].partitions.items[0];
    assert_int_equal(got->current_leader_epoch, -1);
    assert_int_equal(got->log_start_offset, -1);
    assert_int_equal(got->last_fetched_epoch, -1);
    assert_true(got->high_watermark == INT64_MAX);
    assert_int_equal(out.session_epoch, -1);
    assert_null(out.cluster_id.ptr);
    free_bytes(bytes);
    arena_fini(&b.arena);
}

static void a_field_the_version_lacks_is_dropped_or_refused(void **state)
{
    (void)state;
    u8 buffer[256];
    struct fetch_response response;
    wire_init(&fetch_response_struct, &response);
    struct writer w = writer_of(buffer, sizeof(buffer));
    response.error_code = KERR_UNKNOWN_SERVER_ERROR; /* from 7 on, ignorable */
    assert_int_equal(wire_encode(&fetch_response_def, 4, &response, &w, NULL), OK);
    response.session_id = 1; /* from 7 on, not ignorable */
    w = writer_of(buffer, sizeof(buffer));
    assert_int_equal(wire_encode(&fetch_response_def, 4, &response, &w, NULL), ERR_INVALID);
    w = writer_of(buffer, sizeof(buffer));
    assert_int_equal(wire_encode(&fetch_response_def, 7, &response, &w, NULL), OK);
}

static void null_only_where_it_is_allowed(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 4 * KIB, 0);
    struct metadata_request request;
    const u8 null_topics[] = {0xff, 0xff, 0xff, 0xff};
    assert_int_equal(decode_metadata(0, null_topics, 4, &arena, &request), ERR_INVALID);
    assert_int_equal(decode_metadata(1, null_topics, 4, &arena, &request), OK);
    assert_true(request.topics.is_null);
    const u8 no_topics[] = {0, 0, 0, 0};
    assert_int_equal(decode_metadata(1, no_topics, 4, &arena, &request), OK);
    assert_false(request.topics.is_null);
    assert_int_equal(request.topics.count, 0);

    u8 buffer[64];
    struct writer w = writer_of(buffer, sizeof(buffer));
    wire_init(&metadata_request_struct, &request);
    request.topics.is_null = true;
    assert_int_equal(wire_encode(&metadata_request_def, 1, &request, &w, NULL), OK);
    w = writer_of(buffer, sizeof(buffer));
    assert_int_equal(wire_encode(&metadata_request_def, 0, &request, &w, NULL), ERR_INVALID);

    const u8 null_name[] = {0, 0, 0, 1, 0xff, 0xff};
    assert_int_equal(decode_metadata(1, null_name, 6, &arena, &request), ERR_INVALID);
    arena_fini(&arena);
}

static void a_zeroed_string_is_empty_or_null(void **state)
{
    (void)state;
    u8 buffer[64];
    struct writer w = writer_of(buffer, sizeof(buffer));
    /* client_software_name can never be null, so a zeroed one is empty. */
    struct api_versions_request request = {.node_id = -1};
    assert_int_equal(wire_encode(&api_versions_request_def, 3, &request, &w, NULL), OK);
    const u8 expected[] = {1, 1, 0};
    assert_int_equal(w.len, sizeof(expected));
    assert_memory_equal(buffer, expected, sizeof(expected));
    /* An error message may be null, and zeroed it is. */
    struct sasl_authenticate_response answer = {.auth_bytes = WIRE_EMPTY};
    w = writer_of(buffer, sizeof(buffer));
    assert_int_equal(wire_encode(&sasl_authenticate_response_def, 0, &answer, &w, NULL), OK);
    const u8 null_message[] = {0, 0, 0xff, 0xff, 0, 0, 0, 0};
    assert_int_equal(w.len, sizeof(null_message));
    assert_memory_equal(buffer, null_message, sizeof(null_message));
}

static void any_non_zero_bool_is_true(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 4 * KIB, 0);
    struct metadata_request request;
    const u8 two[] = {0, 0, 0, 0, 2};
    assert_int_equal(decode_metadata(4, two, sizeof(two), &arena, &request), OK);
    assert_true(request.allow_auto_topic_creation);
    arena_fini(&arena);
}

static void a_small_writer_fails_cleanly(void **state)
{
    (void)state;
    struct metadata_request request;
    wire_init(&metadata_request_struct, &request);
    size_t size = wire_size(&metadata_request_def, 13, &request, NULL, NULL);
    u8 buffer[64];
    for (size_t cap = 0; cap < size; cap++) {
        struct writer w = writer_of(buffer, cap);
        assert_int_equal(wire_encode(&metadata_request_def, 13, &request, &w, NULL), ERR_LIMIT);
    }
}

/* ---- Holes ---- */

static void records_can_be_left_out(void **state)
{
    (void)state;
    static const u8 batch[300] = {0xba, 0x7c};
    struct bench b = bench_make();
    for (i16 version = 4; version <= 18; version++) {
        struct fetch_response_partition_data *partitions =
            wire_new(&fetch_response_partition_data_struct, &b.arena, 3);
        struct fetch_response_fetchable_topic *topic =
            wire_new(&fetch_response_fetchable_topic_struct, &b.arena, 1);
        struct fetch_response response;
        wire_init(&fetch_response_struct, &response);
        topic->partitions.items = partitions;
        topic->partitions.count = 3;
        response.responses.items = topic;
        response.responses.count = 1;
        partitions[0].records.bytes = (struct slice){batch, sizeof(batch)};
        partitions[1].records.bytes = WIRE_EMPTY;
        partitions[2].records.bytes = (struct slice){batch, 5};
        struct slice whole = encode(&fetch_response_def, version, &response);

        partitions[0].records = (struct wire_records){.hole_bytes = sizeof(batch), .hole_id = 41};
        partitions[2].records = (struct wire_records){.hole_bytes = 5, .hole_id = 42};
        u64 hole_bytes;
        u32 hole_count;
        size_t size = wire_size(&fetch_response_def, version, &response, &hole_bytes, &hole_count);
        assert_int_equal(hole_count, 2);
        assert_int_equal(hole_bytes, sizeof(batch) + 5);
        assert_int_equal(size + hole_bytes, whole.len);
        u8 *buffer = mem_alloc(size);
        struct writer w = writer_of(buffer, size);
        struct wire_hole items[2];
        struct wire_holes holes = {.items = items, .cap = 2};
        assert_int_equal(wire_encode(&fetch_response_def, version, &response, &w, &holes), OK);
        assert_int_equal(w.len, size);
        assert_int_equal(holes.count, 2);
        assert_int_equal(items[0].id, 41);
        assert_int_equal(items[1].id, 42);

        /* Filled in as a sender would, they make the same bytes. */
        struct writer joined = writer_of(arena_alloc(&b.arena, whole.len), whole.len);
        size_t sent = 0;
        for (u32 i = 0; i < holes.count; i++) {
            write_bytes(&joined, buffer + sent, items[i].offset - sent);
            write_bytes(&joined, batch, items[i].bytes);
            sent = items[i].offset;
        }
        write_bytes(&joined, buffer + sent, size - sent);
        assert_false(joined.failed);
        assert_true(slice_eq((struct slice){joined.start, joined.len}, whole));

        w = writer_of(buffer, size);
        holes = (struct wire_holes){.items = items, .cap = 1};
        assert_int_equal(wire_encode(&fetch_response_def, version, &response, &w, &holes),
                         ERR_LIMIT);
        mem_free(buffer);
        free_bytes(whole);
        arena_reset(&b.arena);
    }
    arena_fini(&b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_round_trips),
        cmocka_unit_test(damaged_messages_never_crash),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(bytes_left_over_are_not_looked_at),
        cmocka_unit_test(known_bytes_of_metadata_1),
        cmocka_unit_test(known_bytes_of_metadata_12),
        cmocka_unit_test(request_header_2_keeps_the_long_client_id),
        cmocka_unit_test(optional_structs_have_a_byte_before_them),
        cmocka_unit_test(hostile_counts_allocate_nothing),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(a_full_arena_is_not_an_error_of_the_bytes),
        cmocka_unit_test(compact_strings_end_at_32767),
        cmocka_unit_test(unknown_tags_are_skipped),
        cmocka_unit_test(tags_in_any_order),
        cmocka_unit_test(tags_that_lie),
        cmocka_unit_test(known_tags_are_read),
        cmocka_unit_test(known_tags_must_fill_their_size),
        cmocka_unit_test(a_version_without_the_field_gives_the_default),
        cmocka_unit_test(a_field_the_version_lacks_is_dropped_or_refused),
        cmocka_unit_test(null_only_where_it_is_allowed),
        cmocka_unit_test(a_zeroed_string_is_empty_or_null),
        cmocka_unit_test(any_non_zero_bool_is_true),
        cmocka_unit_test(a_small_writer_fails_cleanly),
        cmocka_unit_test(records_can_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
