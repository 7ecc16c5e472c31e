/* DescribeTopicPartitions: topics in order of name, pages of any size, a cursor that loses and
   repeats nothing [kafka-semantics.md 9; DescribeTopicPartitionsRequestHandler]. */
#include "harness.h"

typedef struct describe_topic_partitions_response response_t;
typedef struct describe_topic_partitions_request_cursor cursor_t;

static response_t *page(struct client *c, const char *const *names, u32 count, i32 limit,
                        cursor_t *cursor)
{
    struct describe_topic_partitions_request_topic_request *topics =
        NEW(c->h, describe_topic_partitions_request_topic_request, count);
    for (u32 i = 0; i < count; i++) {
        topics[i].name = text(names[i]);
    }
    struct describe_topic_partitions_request q = {.topics = {.items = topics, .count = count},
                                                  .response_partition_limit = limit,
                                                  .cursor = cursor};
    return CALL(c, describe_topic_partitions, 0, &q);
}

static void make_topics(struct client *c)
{
    topic_make(c, "m", 3);
    topic_make(c, "b", 1);
    topic_make(c, "z", 5);
    topic_make(c, "a", 2);
}

static void all_topics_in_order(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    assert_int_equal(page(c, NULL, 0, 2000, NULL)->topics.count, 0);
    make_topics(c);
    response_t *r = page(c, NULL, 0, 2000, NULL);
    static const char *const names[] = {"a", "b", "m", "z"};
    static const u32 counts[] = {2, 1, 3, 5};
    assert_int_equal(r->topics.count, 4);
    assert_null(r->next_cursor);
    for (u32 i = 0; i < 4; i++) {
        assert_int_equal(r->topics.items[i].error_code, KERR_NONE);
        assert_true(slice_eq_cstr(r->topics.items[i].name, names[i]));
        assert_false(uuid_is_zero(r->topics.items[i].topic_id));
        assert_int_equal(r->topics.items[i].partitions.count, counts[i]);
        for (u32 k = 0; k < counts[i]; k++) {
            const struct describe_topic_partitions_response_partition *p =
                &r->topics.items[i].partitions.items[k];
            assert_int_equal(p->partition_index, k);
            assert_int_equal(p->leader_id, BROKER_NODE_ID);
            assert_int_equal(p->leader_epoch, 0);
            assert_int_equal(p->replica_nodes.count, 1);
            assert_int_equal(p->isr_nodes.count, 1);
            assert_int_equal(p->offline_replicas.count, 0);
        }
    }
    harness_fini(&h);
}

static void named_topics(void **state)
{
    static const char *const names[] = {"z", "absent", "a", "z", "bad name"};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    make_topics(c);
    response_t *r = page(c, names, 5, 2000, NULL);
    assert_int_equal(r->topics.count, 4); /* sorted, without repeats */
    static const char *const sorted[] = {"a", "absent", "bad name", "z"};
    static const i16 errors[] = {KERR_NONE, KERR_UNKNOWN_TOPIC_OR_PARTITION,
                                 KERR_INVALID_TOPIC_EXCEPTION, KERR_NONE};
    for (u32 i = 0; i < 4; i++) {
        assert_true(slice_eq_cstr(r->topics.items[i].name, sorted[i]));
        assert_int_equal(r->topics.items[i].error_code, errors[i]);
    }
    assert_null(r->next_cursor);
    harness_fini(&h);
}

/* Walks all pages of a size and holds them against the whole. */
static void walk(struct client *c, i32 limit)
{
    static const char *const names[] = {"a", "b", "m", "z"};
    static const i32 counts[] = {2, 1, 3, 5};
    u32 topic = 0;
    i32 partition = 0;
    cursor_t *cursor = NULL;
    for (u32 pages = 0; pages < 20; pages++) {
        response_t *r = page(c, NULL, 0, limit, cursor);
        i32 on_page = 0;
        for (u32 i = 0; i < r->topics.count; i++) {
            assert_true(slice_eq_cstr(r->topics.items[i].name, names[topic]));
            for (u32 k = 0; k < r->topics.items[i].partitions.count; k++) {
                assert_int_equal(r->topics.items[i].partitions.items[k].partition_index, partition);
                partition++;
                on_page++;
            }
            if (partition == counts[topic]) {
                topic++;
                partition = 0;
            }
        }
        assert_true(on_page <= MAX(limit, 1));
        if (r->next_cursor == NULL) {
            assert_int_equal(topic, 4);
            return;
        }
        assert_true(on_page > 0);
        assert_true(slice_eq_cstr(r->next_cursor->topic_name, names[topic]));
        assert_int_equal(r->next_cursor->partition_index, partition);
        cursor = NEW(c->h, describe_topic_partitions_request_cursor, 1);
        cursor->topic_name = r->next_cursor->topic_name;
        cursor->partition_index = r->next_cursor->partition_index;
    }
    fail();
}

static void pages_of_every_size(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    make_topics(c);
    for (i32 limit = 0; limit <= 12; limit++) {
        walk(c, limit);
    }
    walk(c, -5);
    walk(c, INT32_MAX);
    walk(c, INT32_MIN);
    harness_fini(&h);
}

static void a_page_has_two_thousand_partitions_at_most(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "wide", 4500);
    response_t *r = page(c, NULL, 0, INT32_MAX, NULL);
    assert_int_equal(r->topics.items[0].partitions.count, 2000);
    assert_int_equal(r->next_cursor->partition_index, 2000);
    harness_fini(&h);
}

static void cursors_of_every_kind(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    make_topics(c);
    /* One between topics starts at the next; one behind the end of a topic gives it without
     * partitions. */
    cursor_t between = {.topic_name = text("c"), .partition_index = 7};
    response_t *r = page(c, NULL, 0, 2000, &between);
    assert_int_equal(r->topics.count, 2);
    assert_true(slice_eq_cstr(r->topics.items[0].name, "m"));
    assert_int_equal(r->topics.items[0].partitions.count, 3);
    cursor_t behind = {.topic_name = text("zz"), .partition_index = 0};
    assert_int_equal(page(c, NULL, 0, 2000, &behind)->topics.count, 0);
    cursor_t past = {.topic_name = text("m"), .partition_index = 3};
    r = page(c, NULL, 0, 2000, &past);
    assert_int_equal(r->topics.items[0].partitions.count, 0);
    assert_int_equal(r->topics.items[1].partitions.count, 5);
    /* A negative one, or one whose topic the request does not name, is refused. */
    static const char *const names[] = {"a", "m"};
    cursor_t negative = {.topic_name = text("a"), .partition_index = -1};
    r = page(c, names, 2, 2000, &negative);
    assert_int_equal(r->topics.count, 2);
    assert_int_equal(r->topics.items[0].error_code, KERR_INVALID_REQUEST);
    assert_int_equal(r->topics.items[1].error_code, KERR_INVALID_REQUEST);
    cursor_t foreign = {.topic_name = text("b"), .partition_index = 0};
    r = page(c, names, 2, 2000, &foreign);
    assert_int_equal(r->topics.items[0].error_code, KERR_INVALID_REQUEST);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_topics_in_order),
        cmocka_unit_test(named_topics),
        cmocka_unit_test(pages_of_every_size),
        cmocka_unit_test(a_page_has_two_thousand_partitions_at_most),
        cmocka_unit_test(cursors_of_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
