/* What a broker without authorizer, users and quotas answers when it is asked about them. The cases
   are those the differential judge found Kafka to tell apart. */
#include "harness.h"

static void acls(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct describe_acls_request q = {
        .resource_type_filter = 1, .pattern_type_filter = 1, .operation = 1, .permission_type = 1};
    assert_int_equal(CALL(c, describe_acls, 3, &q)->error_code, KERR_SECURITY_DISABLED);
    q.operation = 99; /* a number nobody knows is one of the filter's */
    assert_int_equal(CALL(c, describe_acls, 3, &q)->error_code, KERR_SECURITY_DISABLED);
    i8 *const fields[] = {&q.resource_type_filter, &q.pattern_type_filter, &q.operation,
                          &q.permission_type};
    for (u32 i = 0; i < ARRAY_LEN(fields); i++) { /* UNKNOWN is none */
        i8 before = *fields[i];
        *fields[i] = 0;
        struct client *other = client_open(&h);
        client_send(other, API_describe_acls, 3, &q);
        client_expect_end(other);
        *fields[i] = before;
    }
    client_expect_alive(c);
    harness_fini(&h);
}

static void scram_users(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct describe_user_scram_credentials_request_name users[] = {
        {text("alice")}, {text("bob")}, {text("alice")}};
    struct describe_user_scram_credentials_request q = {.users = {.items = users, .count = 3}};
    struct describe_user_scram_credentials_response *r =
        CALL(c, describe_user_scram_credentials, 0, &q);
    assert_int_equal(r->error_code, KERR_NONE);
    assert_int_equal(r->results.count, 3);
    assert_int_equal(r->results.items[0].error_code, KERR_DUPLICATE_RESOURCE);
    assert_int_equal(r->results.items[1].error_code, KERR_RESOURCE_NOT_FOUND);
    assert_int_equal(r->results.items[2].error_code, KERR_DUPLICATE_RESOURCE);
    harness_fini(&h);
}

/* Names by the ten thousand are looked through in n log n, and where the answer has no room the
   connection ends, not the broker. */
static void very_many_scram_users(void **state)
{
    (void)state;
    enum { MANY = 20000, TOO_MANY = 60000 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct describe_user_scram_credentials_request_name *users =
        NEW(&h, describe_user_scram_credentials_request_name, TOO_MANY);
    for (u32 i = 0; i < TOO_MANY; i++) {
        users[i].name = harness_printf(&h, "user%u", i == MANY - 1 ? 0 : i);
    }
    struct describe_user_scram_credentials_request q = {.users = {.items = users, .count = MANY}};
    struct describe_user_scram_credentials_response *r =
        CALL(c, describe_user_scram_credentials, 0, &q);
    assert_int_equal(r->results.count, MANY);
    for (u32 i = 0; i < MANY; i++) {
        bool twice = i == 0 || i == MANY - 1;
        assert_int_equal(r->results.items[i].error_code,
                         twice ? KERR_DUPLICATE_RESOURCE : KERR_RESOURCE_NOT_FOUND);
    }

    q.users.count = TOO_MANY;
    client_send(c, API_describe_user_scram_credentials, 0, &q);
    client_expect_end(c);
    client_expect_alive(client_open(&h));
    harness_fini(&h);
}

static void quota_filters(void **state)
{
    enum { EXACT, DEFAULT, ANY };
    static const struct {
        const char *types[2]; /* NULL: only one component */
        i8 match_type;
        const char *match;
        i16 kerr;
    } cases[] = {
        {{"user"}, EXACT, "a", KERR_NONE},
        {{"user", "client-id"}, DEFAULT, NULL, KERR_NONE},
        {{"ip"}, ANY, NULL, KERR_NONE},
        {{""}, DEFAULT, NULL, KERR_INVALID_REQUEST},
        {{"topic"}, DEFAULT, NULL, KERR_UNSUPPORTED_VERSION},
        {{"user"}, EXACT, NULL, KERR_INVALID_REQUEST},
        {{"user"}, DEFAULT, "a", KERR_INVALID_REQUEST},
        {{"user"}, ANY, "a", KERR_INVALID_REQUEST},
        {{"user"}, 3, NULL, KERR_INVALID_REQUEST},
        {{"user"}, -1, NULL, KERR_INVALID_REQUEST},
        {{"user", "user"}, ANY, NULL, KERR_INVALID_REQUEST},
        {{"user", "ip"}, ANY, NULL, KERR_INVALID_REQUEST},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 0; version <= 1; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            struct describe_client_quotas_request_component_data components[2] = {0};
            u32 count = cases[i].types[1] == NULL ? 1 : 2;
            for (u32 k = 0; k < count; k++) {
                components[k].entity_type = text(cases[i].types[k]);
                components[k].match_type = cases[i].match_type;
                components[k].match =
                    cases[i].match == NULL ? (struct slice){0} : text(cases[i].match);
            }
            struct describe_client_quotas_request q = {
                .components = {.items = components, .count = count}};
            struct describe_client_quotas_response *r =
                CALL(c, describe_client_quotas, version, &q);
            assert_int_equal(r->error_code, cases[i].kerr);
            assert_int_equal(r->entries.is_null, cases[i].kerr != KERR_NONE);
            assert_int_equal(r->entries.count, 0);
        }
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acls),
        cmocka_unit_test(scram_users),
        cmocka_unit_test(very_many_scram_users),
        cmocka_unit_test(quota_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
