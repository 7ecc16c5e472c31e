/* Metadata: all, none, by name, by id; automatic creation; and that a topic in an answer works
 * [kafka-semantics.md 4]. */
#include "harness.h"

static struct metadata_request *metadata_of(struct harness *h, const char *const *names, u32 count)
{
    struct metadata_request *q = NEW(h, metadata_request, 1);
    q->topics.items = NEW(h, metadata_request_topic, count);
    q->topics.count = count;
    for (u32 i = 0; i < count; i++) {
        q->topics.items[i].name = text(names[i]);
    }
    return q;
}

static struct metadata_request *metadata_by_id(struct harness *h, struct uuid id)
{
    struct metadata_request *q = NEW(h, metadata_request, 1);
    q->topics.items = NEW(h, metadata_request_topic, 1);
    q->topics.count = 1;
    q->topics.items[0].topic_id = id;
    q->topics.items[0].name = (struct slice){0};
    return q;
}

static void check_topic(const struct metadata_response_topic *row, const struct topic *t,
                        u32 partitions, i16 version)
{
    assert_int_equal(row->error_code, KERR_NONE);
    assert_true(slice_eq_cstr(row->name, t->name));
    assert_int_equal(row->topic_authorized_operations, INT32_MIN);
    if (version >= 10) {
        assert_true(uuid_eq(row->topic_id, t->id));
    }
    assert_int_equal(row->partitions.count, partitions);
    for (u32 i = 0; i < partitions; i++) {
        const struct metadata_response_partition *p = &row->partitions.items[i];
        assert_int_equal(p->error_code, KERR_NONE);
        assert_int_equal(p->partition_index, i);
        assert_int_equal(p->leader_id, BROKER_NODE_ID);
        assert_int_equal(p->leader_epoch, version >= 7 ? 0 : -1);
        assert_int_equal(p->replica_nodes.count, 1);
        assert_int_equal(p->replica_nodes.items[0], BROKER_NODE_ID);
        assert_int_equal(p->isr_nodes.count, 1);
        assert_int_equal(p->isr_nodes.items[0], BROKER_NODE_ID);
        assert_int_equal(p->offline_replicas.count, 0);
    }
}

static void all_none_and_some_in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic b = topic_make(c, "b", 3);
    struct topic a = topic_make(c, "a", 1);
    char cluster[23];
    uuid_print(cluster_id(broker_cluster(h.broker)), cluster);
    for (i16 version = 0; version <= 13; version++) {
        struct metadata_request *all = NEW(&h, metadata_request, 1);
        all->topics.is_null = version >= 1;
        struct metadata_response *r = CALL(c, metadata, version, all);
        assert_int_equal(r->topics.count, 2);
        check_topic(&r->topics.items[0], &a, 1, version); /* in order of name */
        check_topic(&r->topics.items[1], &b, 3, version);
        assert_int_equal(r->brokers.count, 1);
        assert_int_equal(r->brokers.items[0].node_id, BROKER_NODE_ID);
        assert_true(slice_eq_cstr(r->brokers.items[0].host, "127.0.0.1"));
        assert_int_equal(r->brokers.items[0].port, h.address.port);
        assert_null(r->brokers.items[0].rack.ptr);
        assert_int_equal(r->controller_id, version >= 1 ? BROKER_NODE_ID : -1);
        assert_int_equal(r->cluster_authorized_operations, INT32_MIN);
        if (version >= 2) {
            assert_true(slice_eq_cstr(r->cluster_id, cluster));
        }
        if (version >= 1) {
            struct metadata_request *none = NEW(&h, metadata_request, 1);
            r = CALL(c, metadata, version, none);
            assert_int_equal(r->topics.count, 0);
            assert_int_equal(r->brokers.count, 1);
        }
        static const char *const names[] = {"b", "a", "b"};
        r = CALL(c, metadata, version, metadata_of(&h, names, 3));
        assert_int_equal(r->topics.count, 3);
        check_topic(&r->topics.items[0], &b, 3, version); /* in order of the request */
        check_topic(&r->topics.items[1], &a, 1, version);
        check_topic(&r->topics.items[2], &b, 3, version);
    }
    harness_fini(&h);
}

static void by_id(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    for (i16 version = 12; version <= 13; version++) {
        struct metadata_response *r = CALL(c, metadata, version, metadata_by_id(&h, t.id));
        assert_int_equal(r->topics.count, 1);
        check_topic(&r->topics.items[0], &t, 2, version);
        struct uuid unknown = t.id;
        unknown.bytes[3] ^= 1;
        r = CALL(c, metadata, version, metadata_by_id(&h, unknown));
        assert_int_equal(r->topics.items[0].error_code, KERR_UNKNOWN_TOPIC_ID);
        assert_null(r->topics.items[0].name.ptr);
        assert_true(uuid_eq(r->topics.items[0].topic_id, unknown));
    }
    /* Ids were in the schema before they worked. */
    for (i16 version = 10; version <= 11; version++) {
        struct metadata_request *q = metadata_by_id(&h, t.id);
        struct metadata_response *r = CALL(c, metadata, version, q);
        assert_int_equal(r->topics.items[0].error_code, KERR_INVALID_REQUEST);
    }
    /* Neither name nor id. */
    for (i16 version = 10; version <= 13; version++) {
        struct metadata_response *r =
            CALL(c, metadata, version, metadata_by_id(&h, (struct uuid){{0}}));
        assert_int_equal(r->topics.items[0].error_code, KERR_INVALID_REQUEST);
    }
    client_expect_alive(c);
    harness_fini(&h);
}

static void missing_topics_are_made_when_allowed(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "num.partitions", "4");
    harness_start(&h);
    struct client *c = client_open(&h);
    for (i16 version = 0; version <= 13; version++) {
        char name[16];
        snprintf(name, sizeof name, "auto-%d", version);
        const char *names[] = {name, name};
        if (version >= 4) {
            struct metadata_request *q = metadata_of(&h, names, 1);
            q->allow_auto_topic_creation = false;
            struct metadata_response *r = CALL(c, metadata, version, q);
            assert_int_equal(r->topics.items[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
            assert_true(slice_eq_cstr(r->topics.items[0].name, name));
            assert_int_equal(r->topics.items[0].partitions.count, 0);
        }
        struct metadata_request *q = metadata_of(&h, names, 2);
        q->allow_auto_topic_creation = true;
        struct metadata_response *r = CALL(c, metadata, version, q);
        for (u32 i = 0; i < 2; i++) { /* named twice, made once */
            assert_int_equal(r->topics.items[i].error_code, KERR_NONE);
            assert_int_equal(r->topics.items[i].partitions.count, 4);
        }
        /* It works at once, before anybody asks again. */
        struct topic t = {.name = name};
        struct produce_response *p =
            CALL(c, produce, 9, produce_of(&h, &t, 3, batch_plain(&h, 1), -1));
        assert_int_equal(produce_row(p, 0, 0)->error_code, KERR_NONE);
    }
    harness_fini(&h);
}

static void nothing_is_made_when_configured_so(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "auto.create.topics.enable", "false");
    harness_start(&h);
    struct client *c = client_open(&h);
    static const char *const names[] = {"missing"};
    for (i16 version = 0; version <= 13; version++) {
        struct metadata_request *q = metadata_of(&h, names, 1);
        q->allow_auto_topic_creation = true;
        assert_int_equal(CALL(c, metadata, version, q)->topics.items[0].error_code,
                         KERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    harness_fini(&h);
}

static void names_that_cannot_be(void **state)
{
    static char longest[250], too_long[251];
    memset(longest, 'n', 249);
    memset(too_long, 'n', 250);
    const char *const names[] = {"",    ".",    "..",      too_long,   "../x",
                                 "a/b", "a b",  "a\x01",   "\xc0\x80", "\xed\xa0\x80",
                                 "a:b", "a\nb", "\xc3\xa9"};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 1; version <= 13; version++) {
        struct metadata_request *q = metadata_of(&h, names, ARRAY_LEN(names));
        q->allow_auto_topic_creation = version < 4 || version % 2 == 1;
        struct metadata_response *r = CALL(c, metadata, version, q);
        assert_int_equal(r->topics.count, ARRAY_LEN(names));
        for (u32 i = 0; i < ARRAY_LEN(names); i++) {
            assert_int_equal(r->topics.items[i].error_code, KERR_INVALID_TOPIC_EXCEPTION);
            assert_true(slice_eq_cstr(r->topics.items[i].name, names[i]));
        }
    }
    const char *const good[] = {longest, "...", "a.b", "UPPER_lower-09"};
    struct metadata_response *r = CALL(c, metadata, 9, metadata_of(&h, good, ARRAY_LEN(good)));
    for (u32 i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(r->topics.items[i].error_code, KERR_NONE);
    }
    harness_fini(&h);
}

/* a.b and a_b would be one metric: the second is not made, also when both come in one request.
   Kafka says of it only that it is not there. */
static void clashing_names_are_not_made(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    static const char *const both[] = {"a.b", "a_b"};
    struct metadata_response *r = CALL(c, metadata, 12, metadata_of(&h, both, 2));
    assert_int_equal(r->topics.items[0].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    r = CALL(c, metadata, 12, metadata_of(&h, both + 1, 1));
    assert_int_equal(r->topics.items[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    harness_fini(&h);
}

static void many_topics_at_once(void **state)
{
    enum { COUNT = 3000 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    const char **names = arena_array(&h.arena, COUNT, sizeof *names);
    for (u32 i = 0; i < COUNT; i++) {
        names[i] = arena_printf(&h.arena, "topic-%05u", i);
    }
    struct metadata_response *r = CALL(c, metadata, 12, metadata_of(&h, names, COUNT));
    assert_int_equal(r->topics.count, COUNT);
    for (u32 i = 0; i < COUNT; i++) {
        assert_int_equal(r->topics.items[i].error_code, KERR_NONE);
    }
    struct metadata_request *all = NEW(&h, metadata_request, 1);
    all->topics.is_null = true;
    assert_int_equal(CALL(c, metadata, 12, all)->topics.count, COUNT);
    harness_fini(&h);
}

static void the_client_goes_away_while_a_topic_is_made(void **state)
{
    struct harness h;
    harness_up(&h);
    for (u32 turns = 0; turns < 5; turns++) {
        char name[16];
        snprintf(name, sizeof name, "gone-%u", turns);
        const char *names[] = {name};
        struct client *c = client_open(&h);
        client_send(c, API_metadata, 9, metadata_of(&h, names, 1));
        harness_turns(&h, turns);
        client_reset(c);
        harness_turns(&h, 5);
    }
    client_expect_alive(client_open(&h));
    harness_fini(&h);
}

static void a_configured_address_is_told(void **state)
{
    static const struct {
        const char *listeners, *host;
        i32 port;
    } cases[] = {
        {"PLAINTEXT://broker.example:19092", "broker.example", 19092},
        {"PLAINTEXT://[::1]:9093,OTHER://x:1", "::1", 9093},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct harness h;
        harness_init(&h);
        harness_set(&h, "advertised.listeners", cases[i].listeners);
        harness_start(&h);
        struct client *c = client_open(&h);
        struct metadata_response *r = CALL(c, metadata, 9, NEW(&h, metadata_request, 1));
        assert_true(slice_eq_cstr(r->brokers.items[0].host, cases[i].host));
        assert_int_equal(r->brokers.items[0].port, cases[i].port);
        harness_fini(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_none_and_some_in_every_version),
        cmocka_unit_test(by_id),
        cmocka_unit_test(missing_topics_are_made_when_allowed),
        cmocka_unit_test(nothing_is_made_when_configured_so),
        cmocka_unit_test(names_that_cannot_be),
        cmocka_unit_test(clashing_names_are_not_made),
        cmocka_unit_test(many_topics_at_once),
        cmocka_unit_test(the_client_goes_away_while_a_topic_is_made),
        cmocka_unit_test(a_configured_address_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
