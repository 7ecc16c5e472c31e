/* Looking things up in the metadata: an empty state, and one with 10,000 topics and 100,000
   partitions, where every look-up must agree with how the topics were made. */
#include "model.h"

enum { MANY_TOPICS = 10000, MANY_PARTITIONS = 10 };

static void test_empty(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    struct model model;
    model_init(&model);
    model_compare(&model, m);
    assert_null(meta_topic_by_name(m, SLICE_LIT("a")));
    assert_null(meta_topic_by_name(m, (struct slice){0}));
    assert_null(meta_topic_collision(m, (struct slice){0}));
    assert_null(meta_topic_by_id(m, model_id(0)));
    assert_int_equal(meta_topic_lower_bound(m, SLICE_LIT("a")), 0);
    const struct meta_config *configs;
    assert_int_equal(meta_configs(m, 4, SLICE_LIT(""), &configs), 0);
    meta_destroy(m);
    meta_destroy(NULL);
}

/* A permutation of 0 .. MANY_TOPICS - 1: names do not come in order. */
static u32 shuffled(u32 i)
{
    return (u32)((u64)i * 7919 % MANY_TOPICS);
}

static struct slice many_name(char text[32], u32 i)
{
    snprintf(text, 32, "topic.number-%05u", i);
    return slice_cstr(text);
}

static void make_many(struct meta *m)
{
    for (u32 i = 0; i < MANY_TOPICS; i++) {
        char text[32];
        struct meta_command c = {
            .kind = META_CREATE_TOPIC,
            .create_topic = {.id = model_id(1 + shuffled(i)),
                             .name = many_name(text, shuffled(i)),
                             .partition_count = MANY_PARTITIONS},
        };
        struct meta_outcome out;
        meta_apply(m, &c, &out);
        assert_int_equal(out.kerr, KERR_NONE);
        assert_int_equal(out.topic->partition_count, MANY_PARTITIONS);
    }
}

static void test_many(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    make_many(m);
    assert_int_equal(meta_topic_count(m), MANY_TOPICS);
    assert_int_equal(meta_partition_total(m), MANY_TOPICS * MANY_PARTITIONS);
    for (u32 i = 0; i < MANY_TOPICS; i++) {
        char text[32];
        const struct meta_topic *t = meta_topic_by_name(m, many_name(text, i));
        assert_non_null(t);
        assert_ptr_equal(t, meta_topic_by_id(m, model_id(1 + i)));
        assert_ptr_equal(t, meta_topic_at(m, i));
        assert_int_equal(t->index, i);
        text[5] = '_';
        assert_ptr_equal(meta_topic_collision(m, slice_cstr(text)), t);
    }
    for (u32 i = 0; i < MANY_TOPICS; i++) {
        for (u32 k = 0; k < MANY_PARTITIONS; k++) {
            const struct meta_topic *t;
            u32 index;
            assert_true(meta_partition_owner(m, 1 + i * MANY_PARTITIONS + k, &t, &index));
            assert_int_equal(index, k);
            assert_int_equal(t->index, shuffled(i));
        }
    }
    for (u32 i = 0; i < MANY_TOPICS; i++) {
        struct meta_command c = {.kind = META_DELETE_TOPIC,
                                 .delete_topic = {.id = model_id(1 + i)}};
        struct meta_outcome out;
        meta_apply(m, &c, &out);
        assert_int_equal(out.kerr, KERR_NONE);
        assert_int_equal(out.deleted_range_count, 1);
        assert_int_equal(out.deleted_ranges[0].count, MANY_PARTITIONS);
    }
    assert_int_equal(meta_topic_count(m), 0);
    assert_int_equal(meta_partition_total(m), 0);
    meta_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
