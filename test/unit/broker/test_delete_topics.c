/* DeleteTopics by name and by id, what is left of a topic afterwards, and a topic of the same name
 * made anew [kafka-semantics.md 9]. */
#include "harness.h"

typedef struct delete_topics_request_topic_state state_t;

static struct delete_topics_response *delete_states(struct client *c, state_t *states, u32 count)
{
    struct delete_topics_request q = {.topics = {.items = states, .count = count},
                                      .timeout_ms = 30000};
    struct delete_topics_response *r = CALL(c, delete_topics, 6, &q);
    assert_true(r->responses.count <= count);
    return r;
}

/* One row is this. */
static void assert_row(const struct delete_topics_response *r, struct slice name, struct uuid id,
                       i16 kerr)
{
    for (u32 i = 0; i < r->responses.count; i++) {
        const struct delete_topics_response_deletable_topic_result *row = &r->responses.items[i];
        if (slice_eq(row->name, name) && (row->name.ptr == NULL) == (name.ptr == NULL) &&
            uuid_eq(row->topic_id, id)) {
            assert_int_equal(row->error_code, kerr);
            assert_int_equal(row->error_message.ptr != NULL, kerr != KERR_NONE);
            return;
        }
    }
    fail_msg("no row %.*s", (int)name.len, (const char *)name.ptr);
}

static void by_name_in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 1; version <= 5; version++) {
        topic_make(c, "t", 2);
        struct slice names[] = {text("t"), text("absent"), text("")};
        struct delete_topics_request q = {.topic_names = {.items = names, .count = 3}};
        struct delete_topics_response *r = CALL(c, delete_topics, version, &q);
        assert_int_equal(r->responses.count, 3);
        assert_int_equal(r->responses.items[0].error_code, KERR_NONE);
        assert_true(slice_eq_cstr(r->responses.items[0].name, "t"));
        assert_int_equal(r->responses.items[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
        assert_true(slice_eq_cstr(r->responses.items[1].name, "absent"));
        assert_int_equal(r->responses.items[2].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
        assert_int_equal(r->responses.items[1].error_message.ptr != NULL, version >= 5);
    }
    harness_fini(&h);
}

static void by_name_or_id(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic a = topic_make(c, "a", 1);
    struct topic b = topic_make(c, "b", 1);
    struct topic kept = topic_make(c, "kept", 1);
    struct uuid unknown = a.id;
    unknown.bytes[0] ^= 1;
    state_t states[] = {
        {.name = text("a")},                         /* by name */
        {.topic_id = b.id},                          /* by id */
        {.name = text("kept"), .topic_id = kept.id}, /* both */
        {.name = {0}},                               /* neither */
        {.topic_id = unknown},
        {.name = text("absent")},
    };
    struct delete_topics_response *r = delete_states(c, states, ARRAY_LEN(states));
    assert_int_equal(r->responses.count, ARRAY_LEN(states));
    assert_row(r, text("a"), a.id, KERR_NONE);
    assert_row(r, text("b"), b.id, KERR_NONE);
    assert_row(r, text("kept"), kept.id, KERR_INVALID_REQUEST);
    assert_row(r, (struct slice){0}, (struct uuid){{0}}, KERR_INVALID_REQUEST);
    assert_row(r, (struct slice){0}, unknown, KERR_UNKNOWN_TOPIC_ID);
    assert_row(r, text("absent"), (struct uuid){{0}}, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    produce_ok(c, &kept, 0, batch_plain(&h, 1));
    harness_fini(&h);
}

static void named_twice(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic a = topic_make(c, "a", 1);
    struct topic b = topic_make(c, "b", 1);
    struct topic kept = topic_make(c, "kept", 1);
    struct uuid unknown = a.id;
    unknown.bytes[0] ^= 1;
    state_t states[] = {
        {.name = text("a")},   {.name = text("a")},   {.name = text("a")},    {.topic_id = b.id},
        {.topic_id = b.id},    {.topic_id = kept.id}, {.name = text("kept")}, {.topic_id = unknown},
        {.topic_id = unknown}, {.name = text("no")},  {.name = text("no")},
    };
    struct delete_topics_response *r = delete_states(c, states, ARRAY_LEN(states));
    assert_int_equal(r->responses.count, 5); /* each once */
    assert_row(r, text("a"), (struct uuid){{0}}, KERR_INVALID_REQUEST);
    assert_row(r, (struct slice){0}, b.id, KERR_INVALID_REQUEST);
    assert_row(r, text("kept"), kept.id, KERR_INVALID_REQUEST);
    assert_row(r, (struct slice){0}, unknown, KERR_INVALID_REQUEST);
    assert_row(r, text("no"), (struct uuid){{0}}, KERR_INVALID_REQUEST);
    produce_ok(c, &a, 0, batch_plain(&h, 1)); /* none was deleted */
    produce_ok(c, &b, 0, batch_plain(&h, 1));
    produce_ok(c, &kept, 0, batch_plain(&h, 1));

    struct slice names[] = {text("a"), text("b"), text("a")};
    struct delete_topics_request q = {.topic_names = {.items = names, .count = 3}};
    r = CALL(c, delete_topics, 5, &q);
    assert_int_equal(r->responses.count, 2);
    assert_row(r, text("a"), (struct uuid){{0}}, KERR_INVALID_REQUEST);
    assert_row(r, text("b"), (struct uuid){{0}}, KERR_NONE);
    produce_ok(c, &a, 0, batch_plain(&h, 1));
    harness_fini(&h);
}

static void nothing_of_it_is_left(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic old = topic_make(c, "t", 3);
    i64 id = producer_id_new(c);
    for (i32 i = 0; i < 3; i++) {
        struct batch_builder_options o = batch_idempotent(id, 0, 0);
        produce_ok(c, &old, i, batch_with(&h, &o, 10, 100));
    }
    topic_delete(c, &old);
    assert_int_equal(produce(c, &old, 0, batch_plain(&h, 1))->error_code, KERR_UNKNOWN_TOPIC_ID);
    assert_int_equal(fetch(c, &old, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_ID);

    /* The same name again: another topic, empty, that knows no producer. */
    struct topic fresh = topic_make(c, "t", 3);
    assert_false(uuid_eq(old.id, fresh.id));
    for (i32 i = 0; i < 3; i++) {
        assert_int_equal(high_watermark(c, &fresh, i), 0);
        struct batch_builder_options o = batch_idempotent(id, 0, 0);
        assert_int_equal(produce_ok(c, &fresh, i, batch_with(&h, &o, 10, 100)), 0);
    }
    assert_int_equal(produce(c, &old, 0, batch_plain(&h, 1))->error_code, KERR_UNKNOWN_TOPIC_ID);
    for (u32 crash = 0; crash < 2; crash++) {
        (crash ? harness_crash : harness_stop)(&h);
        harness_start(&h);
        c = client_open(&h);
        assert_int_equal(fetch(c, &old, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_ID);
        assert_int_equal(high_watermark(c, &fresh, 2), 10);
    }
    harness_fini(&h);
}

static void deletion_can_be_switched_off(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "delete.topic.enable", "false");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    state_t states[] = {{.name = text("t")}, {.topic_id = t.id}};
    struct delete_topics_response *r = delete_states(c, states, 2);
    assert_int_equal(r->responses.items[0].error_code, KERR_TOPIC_DELETION_DISABLED);
    assert_int_equal(r->responses.items[1].error_code, KERR_TOPIC_DELETION_DISABLED);
    struct slice name = text("t");
    struct delete_topics_request q = {.topic_names = {.items = &name, .count = 1}};
    assert_int_equal(CALL(c, delete_topics, 2, &q)->responses.items[0].error_code,
                     KERR_INVALID_REQUEST); /* a client that old does not know the other */
    assert_int_equal(CALL(c, delete_topics, 3, &q)->responses.items[0].error_code,
                     KERR_TOPIC_DELETION_DISABLED);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    harness_fini(&h);
}

/* Produces on their way when their topic goes: each is answered, by an offset or an error. */
static void under_load(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *admin = client_open(&h);
    struct client *producer = client_open(&h);
    for (u32 round = 0; round < 10; round++) {
        struct topic t = topic_make(admin, "busy", 4);
        i32 ids[20];
        for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
            ids[i] = client_send(producer, API_produce, 13,
                                 produce_of(&h, &t, (i32)i % 4, batch_plain(&h, 5), -1));
        }
        harness_turns(&h, round);
        topic_delete(admin, &t);
        for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
            struct produce_response *r = client_recv(producer, API_produce, 13, ids[i]);
            i16 kerr = produce_row(r, 0, 0)->error_code;
            assert_true(kerr == KERR_NONE || kerr == KERR_UNKNOWN_TOPIC_ID);
        }
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name_in_every_version),
        cmocka_unit_test(by_name_or_id),
        cmocka_unit_test(named_twice),
        cmocka_unit_test(nothing_of_it_is_left),
        cmocka_unit_test(deletion_can_be_switched_off),
        cmocka_unit_test(under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
