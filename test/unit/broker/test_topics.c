/* Which topic was probably meant: near names are told in the error messages that the protocol has
   room for, far ones are not, and nobody is looked for when many are asked about. */
#include "broker/topics.h"
#include "harness.h"

static struct slice told(struct harness *h, struct client *c, const char *name, u32 others)
{
    struct delete_topics_request q = {.topic_names = {.count = 1 + others}};
    q.topic_names.items = arena_array(&h->arena, 1 + others, sizeof *q.topic_names.items);
    for (u32 i = 0; i <= others; i++) {
        q.topic_names.items[i] =
            slice_cstr(i == 0 ? name : arena_printf(&h->arena, "someother%u", i));
    }
    struct delete_topics_response *r = CALL(c, delete_topics, 5, &q);
    assert_int_equal(r->responses.items[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    return r->responses.items[0].error_message;
}

static bool names(struct slice message, const char *topic)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "did you mean \"%s\"?", topic);
    return memmem(message.ptr, message.len, wanted, strlen(wanted)) != NULL;
}

static void near_names(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "orders", 1);
    topic_make(c, "payments", 1);
    static const struct {
        const char *name, *meant;
    } cases[] = {
        {"ordrs", "orders"}, {"Orders", "orders"}, {"order", "orders"},  {"paymnets", "payments"},
        {"invoices", NULL},  {"or", NULL},         {"orders\xff", NULL},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice message = told(&h, c, cases[i].name, 0);
        assert_non_null(memmem(message.ptr, message.len, "ODK-2107", 8));
        bool suggested = memmem(message.ptr, message.len, "did you mean", 12) != NULL;
        assert_int_equal(suggested, cases[i].meant != NULL);
        assert_true(cases[i].meant == NULL || names(message, cases[i].meant));
    }
    assert_true(names(told(&h, c, "ordrs", 15), "orders"));
    assert_false(names(told(&h, c, "ordrs", 16), "orders"));
    harness_fini(&h);
}

/* Where Kafka has no message at all there is one only when a topic is near. */
static void the_describing_apis_too(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "orders", 1);
    struct describe_configs_request_resource resources[] = {
        {.resource_type = 2, .resource_name = slice_cstr("ordrs")},
        {.resource_type = 2, .resource_name = slice_cstr("quite-different")},
    };
    for (u32 i = 0; i < ARRAY_LEN(resources); i++) {
        resources[i].configuration_keys.is_null = true;
    }
    struct describe_configs_request q = {.resources = {.items = resources, .count = 2}};
    struct describe_configs_response *r = CALL(c, describe_configs, 1, &q);
    assert_true(names(r->results.items[0].error_message, "orders"));
    assert_null(r->results.items[1].error_message.ptr);

    struct create_partitions_request_topic topic = {
        .name = slice_cstr("ordrs"), .count = 3, .assignments = {.is_null = true}};
    struct create_partitions_request p = {.topics = {.items = &topic, .count = 1}};
    struct create_partitions_response *made = CALL(c, create_partitions, 1, &p);
    assert_true(names(made->results.items[0].error_message, "orders"));
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_names),
        cmocka_unit_test(the_describing_apis_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
