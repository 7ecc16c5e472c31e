/* ApiVersions lists exactly what is handled, with the versions Kafka 4.4 lists, and answers every
   version of the request, also those there are not yet [kafka-semantics.md 1, KIP-511, KIP-1242].
 */
#include "harness.h"

/* What a broker of Kafka 4.4 lists, for every API that may ever stand in handlers.def
 * (kafka-semantics.md 12). */
static const struct {
    i16 key, min, max;
} kafka[] = {
    {0, 0, 13}, {1, 4, 18}, {2, 1, 11}, {3, 0, 13}, {8, 2, 10}, {9, 1, 10}, {10, 0, 6}, {11, 0, 9},
    {12, 0, 4}, {13, 0, 5}, {14, 0, 5}, {15, 0, 6}, {16, 0, 5}, {17, 0, 1}, {18, 0, 5}, {19, 2, 7},
    {20, 1, 6}, {21, 0, 2}, {22, 0, 5}, {23, 2, 4}, {24, 0, 5}, {25, 0, 4}, {26, 0, 5}, {27, 1, 2},
    {28, 0, 6}, {29, 1, 3}, {30, 1, 3}, {31, 1, 3}, {32, 1, 4}, {33, 0, 2}, {34, 1, 2}, {35, 1, 5},
    {36, 0, 2}, {37, 0, 3}, {38, 1, 3}, {39, 1, 2}, {40, 1, 2}, {41, 1, 3}, {42, 0, 3}, {43, 0, 2},
    {44, 0, 1}, {45, 0, 1}, {46, 0, 0}, {47, 0, 0}, {48, 0, 1}, {49, 0, 1}, {50, 0, 0}, {51, 0, 0},
    {55, 0, 2}, {57, 0, 2}, {60, 0, 2}, {61, 0, 0}, {64, 0, 0}, {65, 0, 0}, {66, 0, 2}, {68, 0, 1},
    {69, 0, 1}, {71, 0, 0}, {72, 0, 0}, {74, 0, 1}, {75, 0, 0}, {76, 1, 1}, {77, 1, 1}, {78, 1, 2},
    {79, 1, 2}, {80, 0, 1}, {81, 0, 0}, {83, 0, 0}, {84, 0, 0}, {85, 0, 1}, {86, 0, 0}, {87, 0, 0},
    {88, 0, 1}, {89, 0, 1}, {90, 0, 1}, {91, 0, 0}, {92, 0, 0}, {93, 0, 0}, {94, 0, 0},
};

/* Those of the first milestone, which no later one may lose. */
static const i16 first[] = {0, 1, 2, 3, 18, 19, 20, 22, 23, 32, 37, 46, 60, 75};

static const i16 handled[] = {
#define HANDLER(api_key, function) api_key,
#include "broker/handlers.def"
#undef HANDLER
};

static bool is_among(i16 key, const i16 *keys, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        if (keys[i] == key) {
            return true;
        }
    }
    return false;
}

static void lists_what_is_handled(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 0; version <= 5; version++) {
        struct api_versions_request q = {.client_software_name = text("unit"),
                                         .client_software_version = text("1.0.0"),
                                         .node_id = -1};
        struct api_versions_response *r = CALL(c, api_versions, version, &q);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->throttle_time_ms, 0);
        assert_int_equal(r->api_keys.count, ARRAY_LEN(handled));
        u32 at = 0;
        for (u32 i = 0; i < r->api_keys.count; i++) {
            const struct api_versions_response_version *row = &r->api_keys.items[i];
            assert_true(is_among(row->api_key, handled, ARRAY_LEN(handled)));
            while (at < ARRAY_LEN(kafka) && kafka[at].key != row->api_key) {
                at++; /* both lists ascend */
            }
            assert_true(at < ARRAY_LEN(kafka));
            assert_int_equal(row->min_version, kafka[at].min);
            assert_int_equal(row->max_version, kafka[at].max);
        }
    }
    harness_fini(&h);
}

static void nothing_of_the_first_milestone_is_lost(void **state)
{
    for (u32 i = 0; i < ARRAY_LEN(first); i++) {
        assert_true(is_among(first[i], handled, ARRAY_LEN(handled)));
    }
}

static void unknown_version_is_answered_in_version_0(void **state)
{
    static const i16 versions[] = {6, 7, 99, INT16_MAX, -1, INT16_MIN};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (u32 i = 0; i < ARRAY_LEN(versions); i++) {
        /* A body whose layout nobody can know. */
        i32 id = client_send_body(c, API_api_versions, versions[i],
                                  SLICE_LIT("\xff\xff\xff\xff\xff\x80\x80"));
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
        {"apache-kafka-java", "4.4.0", true},
        {"a", "1", true},
        {"a.b-c", "v1.2-rc.3", true},
        {"", "1", false},
        {"a", "", false},
        {"-a", "1", false},
        {"a-", "1", false},
        {"a b", "1", false},
        {"a", "1_0", false},
        {"a\x1b[31m", "1", false},
        {"${jndi:x}", "1", false},
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
        {NULL, -2, KERR_INVALID_REQUEST},
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
        cmocka_unit_test(lists_what_is_handled),
        cmocka_unit_test(nothing_of_the_first_milestone_is_lost),
        cmocka_unit_test(unknown_version_is_answered_in_version_0),
        cmocka_unit_test(software_names),
        cmocka_unit_test(cluster_and_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
