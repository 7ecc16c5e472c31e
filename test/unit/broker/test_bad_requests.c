/* Fields that no sane client sends, end to end, where no test of an API has them already
   [reliability.md, bad-input catalogue: Primitives 27-38, and what is left of Produce and Admin].
   docs/bad-input.md lists every case with its test. */
#include "broker/conn.h"
#include "harness.h"

/* ---- numbers --------------------------------------------------------------------------------- */

/* A plain batch around these hand-written records. */
static struct slice batch_raw(struct harness *h, struct slice records, i32 count)
{
    struct slice model = batch_plain(h, 1);
    size_t len = BATCH_HEADER_BYTES + records.len;
    u8 *out = arena_alloc(&h->arena, len);
    memcpy(out, model.ptr, BATCH_HEADER_BYTES);
    memcpy(out + BATCH_HEADER_BYTES, records.ptr, records.len);
    store_be32(out + BATCH_AT_LENGTH, (u32)(len - BATCH_PREFIX_BYTES));
    store_be32(out + BATCH_AT_RECORD_COUNT, (u32)count);
    store_be32(out + BATCH_AT_LAST_OFFSET_DELTA, (u32)(count - 1));
    batch_seal(out, len);
    return slice_of(out, len);
}

/* length, attributes, timestamp delta, offset delta, key length, value length, "v", headers */
static void varints_of_a_record(void **state)
{
    static const struct {
        struct slice bytes;
        i16 kerr;
    } cases[] = {
        {{(const u8 *)"\x0e\0\0\0\x01\x02v\0", 8}, KERR_NONE},
        /* Longer than it has to be: Kafka reads that. */
        {{(const u8 *)"\x8e\x00\0\0\0\x01\x02v\0", 9}, KERR_NONE},
        {{(const u8 *)"\x8e\x80\x80\x80\x00\0\0\0\x01\x02v\0", 12}, KERR_NONE},
        /* Six bytes of a 32-bit number, eleven of a 64-bit one. */
        {{(const u8 *)"\x8e\x80\x80\x80\x80\x00\0\0\0\x01\x02v\0", 13}, KERR_INVALID_RECORD},
        {{(const u8 *)"\x20\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\0\0\x01\x02v\0", 17}, KERR_NONE},
        {{(const u8 *)"\x22\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0\0\x01\x02v\0", 18},
         KERR_INVALID_RECORD},
        /* Value lengths -2 and 2^31-1. */
        {{(const u8 *)"\x0e\0\0\0\x01\x03v\0", 8}, KERR_INVALID_RECORD},
        {{(const u8 *)"\x16\0\0\0\x01\xfe\xff\xff\xff\x0fv\0", 12}, KERR_INVALID_RECORD},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        i16 kerr = produce(c, &t, 0, batch_raw(&h, cases[i].bytes, 1))->error_code;
        if (kerr != cases[i].kerr) {
            fail_msg("case %u: error %d instead of %d", i, kerr, cases[i].kerr);
        }
    }
    harness_fini(&h);
}

static void timestamps_at_the_ends_of_time(void **state)
{
    static const char *const narrow_configs[] = {"message.timestamp.before.max.ms=1000", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic usual = topic_make(c, "usual", 1);
    struct topic narrow = topic_make_with(c, "narrow", 1, narrow_configs);
    static const struct {
        i64 time;
        i16 usual, narrow;
    } cases[] = {
        /* So long ago that the distance overflows: Kafka takes it for the future. */
        {INT64_MIN, KERR_INVALID_TIMESTAMP, KERR_INVALID_TIMESTAMP},
        {-2, KERR_NONE, KERR_INVALID_TIMESTAMP},
        {-1, KERR_NONE, KERR_NONE},
        {9223372036825516800, KERR_INVALID_TIMESTAMP, KERR_INVALID_TIMESTAMP}, /* year 292278994 */
        {INT64_MAX, KERR_INVALID_TIMESTAMP, KERR_INVALID_TIMESTAMP},
    };
    struct batch_builder_options o = batch_builder_plain();
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice batch = batch_timed(&h, &o, &cases[i].time, 1);
        i16 kerr = produce(c, &usual, 0, batch)->error_code;
        if (kerr != cases[i].usual) {
            fail_msg("case %u: error %d", i, kerr);
        }
        kerr = produce(c, &narrow, 0, batch)->error_code;
        if (kerr != cases[i].narrow) {
            fail_msg("case %u, narrow: error %d", i, kerr);
        }
    }
    /* What was stored is found by its time, or not, but the broker lives. */
    client_expect_alive(c);
    harness_fini(&h);
}

/* ---- many of nothing ------------------------------------------------------------------------- */

/* As many empty elements as a frame holds, in a list of lists: answered or ended, quickly and
   within the budget. */
static void nested_empty_lists(void **state)
{
    enum { COUNT = 600000 };
    struct harness h;
    harness_up(&h);
    struct client *keeper = client_open(&h);
    size_t bytes = 64 + 6 * (size_t)COUNT;
    for (u32 round = 0; round < 3; round++) {
        u8 *body = arena_alloc(&h.arena, bytes);
        struct writer w = writer_of(body, bytes);
        i16 key = round == 0 ? API_fetch : round == 1 ? API_create_topics : API_offset_commit;
        i16 version = round == 0 ? 4 : round == 1 ? 2 : 3;
        if (round == 0) { /* replica -1, no wait, topics "" without partitions */
            write_be32(&w, UINT32_MAX);
            write_be32(&w, 0);
            write_be32(&w, 0);
            write_be32(&w, 1 << 20);
            write_u8(&w, 0);
        } else if (round == 2) { /* group "g", generation -1, member "", retention -1 */
            write_be16(&w, 1);
            write_u8(&w, 'g');
            write_be32(&w, UINT32_MAX);
            write_be16(&w, 0);
            write_be32(&w, UINT32_MAX);
            write_be32(&w, UINT32_MAX);
        }
        if (round == 1) { /* one topic with as many empty assignments: partition, no replicas */
            write_be32(&w, 1);
            write_be16(&w, 1);
            write_u8(&w, 't');
            write_be32(&w, UINT32_MAX);
            write_be16(&w, UINT16_MAX);
            write_be32(&w, COUNT / 2);
            for (u32 i = 0; i < COUNT / 2; i++) {
                write_be32(&w, i);
                write_be32(&w, 0);
            }
            write_be32(&w, 0);
            write_be32(&w, 1000);
            write_u8(&w, 0);
        } else {
            write_be32(&w, COUNT);
            for (u32 i = 0; i < COUNT; i++) {
                write_be16(&w, 0);
                write_be32(&w, 0);
            }
        }
        assert_false(w.failed);
        struct client *c = client_open(&h);
        u64 before = io_clock_ns();
        client_send_body(c, key, version, slice_of(body, w.len));
        while (!client_has_frame(c) && !c->ended) {
            harness_turn(&h);
        }
        assert_true(io_clock_ns() - before < 10ull * 1000 * 1000 * 1000);
        client_close(c);
        client_expect_alive(keeper);
    }
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    harness_fini(&h);
}

/* ---- names and ids --------------------------------------------------------------------------- */

static void ids_that_are_none(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct topic zero = {.name = "t"};
    assert_int_equal(produce(c, &zero, 0, batch_plain(&h, 1))->error_code, KERR_UNKNOWN_TOPIC_ID);
    assert_int_equal(fetch(c, &zero, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_ID);

    /* Name and id at once: Metadata goes by the id, whatever the name. */
    struct metadata_request *q = NEW(&h, metadata_request, 1);
    q->topics.count = 1;
    q->topics.items = NEW(&h, metadata_request_topic, 1);
    q->topics.items[0].name = text("another");
    q->topics.items[0].topic_id = t.id;
    const struct metadata_response *m = CALL(c, metadata, 12, q);
    assert_int_equal(m->topics.count, 1);
    assert_int_equal(m->topics.items[0].error_code, KERR_NONE);
    assert_true(slice_eq_cstr(m->topics.items[0].name, "t"));

    struct delete_topics_request *d = NEW(&h, delete_topics_request, 1);
    d->timeout_ms = 1000;
    d->topics.count = 2;
    d->topics.items = NEW(&h, delete_topics_request_topic_state, 2);
    d->topics.items[0].name = text("t");
    d->topics.items[0].topic_id = t.id;
    d->topics.items[1].name = (struct slice){0};
    const struct delete_topics_response *r = CALL(c, delete_topics, 6, d);
    for (u32 i = 0; i < r->responses.count; i++) {
        assert_int_not_equal(r->responses.items[i].error_code, KERR_NONE);
    }
    assert_int_equal(high_watermark(c, &t, 0), 0); /* still there */
    harness_fini(&h);
}

static void names_with_a_nul(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "a", 1);
    struct create_topics_request *q = NEW(&h, create_topics_request, 1);
    q->timeout_ms = 1000;
    q->topics.count = 1;
    q->topics.items = NEW(&h, create_topics_request_creatable_topic, 1);
    q->topics.items[0].num_partitions = 1;
    q->topics.items[0].replication_factor = 1;
    q->topics.items[0].name = SLICE_LIT("a\0b");
    assert_int_equal(CALL(c, create_topics, 5, q)->topics.items[0].error_code,
                     KERR_INVALID_TOPIC_EXCEPTION);
    struct metadata_request *m = NEW(&h, metadata_request, 1);
    m->topics.count = 1;
    m->topics.items = NEW(&h, metadata_request_topic, 1);
    m->topics.items[0].name = SLICE_LIT("a\0b");
    const struct metadata_response *r = CALL(c, metadata, 9, m);
    assert_int_equal(r->topics.items[0].error_code, KERR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(r->topics.items[0].name.len, 3);
    harness_fini(&h);
}

/* The offsets topic is the broker's: clients may read it, not append to it. */
static void internal_topics_are_not_for_clients(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct find_coordinator_request *find = NEW(&h, find_coordinator_request, 1);
    find->key = text("any");
    while (CALL(c, find_coordinator, 3, find)->error_code != KERR_NONE) {
        harness_turns(&h, 1);
    }
    struct topic offsets = {.name = "__consumer_offsets"};
    struct metadata_request *m = NEW(&h, metadata_request, 1);
    m->topics.count = 1;
    m->topics.items = NEW(&h, metadata_request_topic, 1);
    m->topics.items[0].name = text(offsets.name);
    const struct metadata_response *r = CALL(c, metadata, 12, m);
    assert_int_equal(r->topics.items[0].error_code, KERR_NONE);
    assert_true(r->topics.items[0].is_internal);
    offsets.id = r->topics.items[0].topic_id;
    assert_int_equal(produce(c, &offsets, 3, batch_plain(&h, 1))->error_code,
                     KERR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(high_watermark(c, &offsets, 3), 0);

    /* A topic of such a name that a client made is none of its own either. */
    struct topic state_topic = topic_make(c, "__transaction_state", 1);
    assert_int_equal(produce(c, &state_topic, 0, batch_plain(&h, 1))->error_code,
                     KERR_INVALID_TOPIC_EXCEPTION);
    m->topics.items[0].name = text(state_topic.name);
    assert_true(CALL(c, metadata, 12, m)->topics.items[0].is_internal);

    /* Kafka's administrators' client id opens the door. */
    struct slice frame;
    assert_int_equal(request_frame_build(api_find(API_produce), 9, 77, SLICE_LIT("__admin_client"),
                                         produce_of(&h, &state_topic, 0, batch_plain(&h, 1), -1),
                                         &h.arena, &frame),
                     OK);
    client_send_bytes(c, frame.ptr, frame.len);
    const struct produce_response *done = client_recv(c, API_produce, 9, 77);
    assert_int_equal(produce_row(done, 0, 0)->error_code, KERR_NONE);
    harness_fini(&h);
}

/* ---- configs --------------------------------------------------------------------------------- */

static void numbers_that_do_not_fit(void **state)
{
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"retention.ms", "99999999999999999999"}, {"retention.ms", "1e3"}, {"retention.ms", ""},
        {"segment.bytes", "4294967296"},          {"no.such.key", "1"},    {"retention.ms", "0x10"},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "t", 1);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct incremental_alter_configs_request *q = NEW(&h, incremental_alter_configs_request, 1);
        q->resources.count = 1;
        q->resources.items = NEW(&h, incremental_alter_configs_request_resource, 1);
        q->resources.items[0].resource_type = 2;
        q->resources.items[0].resource_name = text("t");
        q->resources.items[0].configs.count = 1;
        q->resources.items[0].configs.items =
            NEW(&h, incremental_alter_configs_request_alterable_config, 1);
        q->resources.items[0].configs.items[0].name = text(cases[i].key);
        q->resources.items[0].configs.items[0].value = text(cases[i].value);
        assert_int_equal(CALL(c, incremental_alter_configs, 1, q)->responses.items[0].error_code,
                         KERR_INVALID_CONFIG);
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_of_a_record),
        cmocka_unit_test(timestamps_at_the_ends_of_time),
        cmocka_unit_test(nested_empty_lists),
        cmocka_unit_test(ids_that_are_none),
        cmocka_unit_test(names_with_a_nul),
        cmocka_unit_test(internal_topics_are_not_for_clients),
        cmocka_unit_test(numbers_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
