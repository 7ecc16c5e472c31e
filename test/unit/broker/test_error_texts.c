/* The catalogue's codes in error messages: which error has which, behind the sentence, once; not
   where Kafka has no sentence; not for ever in one request. */
#include "harness.h"

enum { MANY = 200 };

static bool says(struct slice message, const char *word)
{
    return message.len > 0 && memmem(message.ptr, message.len, word, strlen(word)) != NULL;
}

static struct create_topics_response *
create(struct client *c, struct create_topics_request_creatable_topic *topics, u32 count)
{
    struct create_topics_request q = {.topics = {.items = topics, .count = count},
                                      .timeout_ms = 1000};
    return CALL(c, create_topics, 7, &q);
}

static void refusals_of_topics(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "there", 1);
    struct create_topics_request_creatable_topic_config odd = {.name = text("retention.ms"),
                                                               .value = text("x")};
    struct create_topics_request_creatable_topic topics[] = {
        {.name = text("there"), .num_partitions = 1, .replication_factor = 1},
        {.name = text("a/b"), .num_partitions = 1, .replication_factor = 1},
        {.name = text("none"), .num_partitions = 0, .replication_factor = 1},
        {.name = text("factor"), .num_partitions = 1, .replication_factor = 0},
        {.name = text("config"),
         .num_partitions = 1,
         .replication_factor = 1,
         .configs = {.items = &odd, .count = 1}},
        {.name = text("made"), .num_partitions = 1, .replication_factor = 1},
    };
    static const char *const codes[] = {"(ODK-2101)", "(ODK-2102)", "(ODK-2103)",
                                        "(ODK-2104)", "(ODK-2106)", NULL};
    struct create_topics_response *r = create(c, topics, ARRAY_LEN(topics));
    assert_int_equal(r->topics.count, ARRAY_LEN(topics));
    for (u32 i = 0; i < r->topics.count; i++) {
        struct slice message = r->topics.items[i].error_message;
        assert_int_equal(says(message, "ODK-"), codes[i] != NULL);
        if (codes[i] != NULL) {
            size_t len = strlen(codes[i]);
            assert_true(message.len > len + 8);
            assert_memory_equal(message.ptr + message.len - len, codes[i], len);
        }
    }

    struct describe_configs_request_resource resource = {.resource_type = 2,
                                                         .resource_name = text("quite-different"),
                                                         .configuration_keys = {.is_null = true}};
    struct describe_configs_request q = {.resources = {.items = &resource, .count = 1}};
    struct describe_configs_response *d = CALL(c, describe_configs, 4, &q);
    assert_int_equal(d->results.items[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_null(d->results.items[0].error_message.ptr); /* as in Kafka */
    harness_fini(&h);
}

static void refusals_of_groups(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct slice name = text("nobody");
    struct describe_groups_request q = {.groups = {.items = &name, .count = 1}};
    struct describe_groups_response *r = CALL(c, describe_groups, 6, &q);
    assert_int_equal(r->groups.items[0].error_code, KERR_GROUP_ID_NOT_FOUND);
    assert_true(says(r->groups.items[0].error_message, "Group nobody not found. (ODK-2002)"));
    harness_fini(&h);
}

static void many_in_one_request(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct create_topics_request_creatable_topic *topics =
        harness_new(&h, &create_topics_request_creatable_topic_struct, MANY);
    for (u32 i = 0; i < MANY; i++) {
        topics[i].name = harness_printf(&h, "t/%u", i);
        topics[i].num_partitions = 1;
        topics[i].replication_factor = 1;
    }
    struct create_topics_response *r = create(c, topics, MANY);
    u32 told = 0;
    for (u32 i = 0; i < r->topics.count; i++) {
        assert_int_equal(r->topics.items[i].error_code, KERR_INVALID_TOPIC_EXCEPTION);
        told += says(r->topics.items[i].error_message, "ODK-2102");
    }
    assert_int_equal(r->topics.count, MANY);
    assert_int_equal(told, 64);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_of_topics),
        cmocka_unit_test(refusals_of_groups),
        cmocka_unit_test(many_in_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
