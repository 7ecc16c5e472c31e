/* ApiVersions lists exactly what is handled, with the versions Kafka 4.4 lists, and answers every version of the request, also
   those there are not yet [kafka-semantics.md 1, KIP-511, KIP-1242]. */
#include "harness.h"

/* The wanted list: kafka-protocol/apis.tsv's broker versions for the APIs of the first milestone. */
static const struct {
    i16 key, min, max;
} expected[] = {
    {0, 0, 13}, {1, 4, 18}, {2, 1, 11}, {3, 0, 13}, {18, 0, 5}, {19, 2, 7}, {20, 1, 6}, {22, 0, 5},
    {23, 2, 4}, {32, 1, 4}, {37, 0, 3}, {46, 0, 0}, {60, 0, 2}, {75, 0, 0},
};

static void lists_what_works(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 0; version <= 5; version++) {
        struct api_versions_request q = {
            .client_software_name = text("unit"), .client_software_version = text("1.0.0"), .node_id = -1};
        struct api_versions_response *r = CALL(c, api_versions, version, &q);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->throttle_time_ms, 0);
        assert_int_equal(r->api_keys.count, ARRAY_LEN(expected));
        for (u32 i = 0; i < ARRAY_LEN(expected); i++) {
            assert_int_equal(r->api_keys.items[i].api_key, expected[i].key);
            assert_int_equal(r->api_keys.items[i].min_version, expected[i].min);
            assert_int_equal(r->api_keys.items[i].max_version, expected[i].max);
        }
    }
    harness_fini(&h);
}

static void handlers_are_the_list(void **state)
{
    u32 count = 0;
#define HANDLER(api_key, function)            \
    assert_true(count < ARRAY_LEN(expected)); \
    assert_int_equal(expected[count++].key, api_key);
#include "broker/handlers.def"
#undef HANDLER
    assert_int_equal(count, ARRAY_LEN(expected));
}

static void unknown_version_is_answered_in_version_0(void **state)
{
    static const i16 versions[] = {6, 7, 99, INT16_MAX, -1, INT16_MIN};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (u32 i = 0; i < ARRAY_LEN(versions); i++) {
        /* A body whose layout nobody can know. */
        i32 id = client_send_body(c, API_api_versions, versions[i], SLICE_LIT("\xff\xff\xff\xff\xff\x80\x80"));
        struct api_versions_response *r = client_recv(c, API_api_versions, 0, id);
        assert_int_equal(r->error_code, KERR_UNSUPPORTED_VERSION);
        assert_int_equal(r->api_keys.count, 1);
        assert_int_equal(r->api_keys.items[0].api_key, API_api_versions);
        assert_int_equal(r->api_keys.items[0].min_version, 0);
        assert_int_equal(r->api_keys.items[0].max_version, 5);
    }
    client_expect_alive(c);
    harness_fini(&h);
}

static void software_names(void **state)
{
    static const struct {
        const char *name, *version;
        bool good;
    } cases[] = {
        {"apache-kafka-java", "4.4.0", true}, {"a", "1", true},     {"a.b-c", "v1.2-rc.3", true},
        {"", "1", false},                     {"a", "", false},     {"-a", "1", false},
        {"a-", "1", false},                   {"a b", "1", false},  {"a", "1_0", false},
        {"a\x1b[31m", "1", false},            {"${jndi:x}", "1", false},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 3; version <= 5; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            struct api_versions_request q = {.client_software_name = text(cases[i].name),
                                             .client_software_version = text(cases[i].version),
                                             .node_id = -1};
            struct api_versions_response *r = CALL(c, api_versions, version, &q);
            assert_int_equal(r->error_code, cases[i].good ? KERR_NONE : KERR_INVALID_REQUEST);
            assert_int_equal(r->api_keys.count > 0, cases[i].good);
        }
    }
    harness_fini(&h);
}

static void cluster_and_node(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    char id[23];
    uuid_print(cluster_id(broker_cluster(h.broker)), id);
    const struct {
        const char *cluster;
        i32 node;
        i16 kerr;
    } cases[] = {
        {NULL, -1, KERR_NONE},
        {id, BROKER_NODE_ID, KERR_NONE},
        {id, -1, KERR_INVALID_REQUEST},
        {NULL, BROKER_NODE_ID, KERR_INVALID_REQUEST},
        {id, BROKER_NODE_ID + 1, KERR_REBOOTSTRAP_REQUIRED},
        {"AAAAAAAAAAAAAAAAAAAAAA", BROKER_NODE_ID, KERR_REBOOTSTRAP_REQUIRED},
        {"", BROKER_NODE_ID, KERR_REBOOTSTRAP_REQUIRED},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct api_versions_request q = {.client_software_name = text("unit"),
                                         .client_software_version = text("1"),
                                         .node_id = cases[i].node};
        if (cases[i].cluster != NULL) {
            q.cluster_id = text(cases[i].cluster);
        }
        assert_int_equal(CALL(c, api_versions, 5, &q)->error_code, cases[i].kerr);
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_what_works),
        cmocka_unit_test(handlers_are_the_list),
        cmocka_unit_test(unknown_version_is_answered_in_version_0),
        cmocka_unit_test(software_names),
        cmocka_unit_test(cluster_and_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
