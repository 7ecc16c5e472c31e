/* What commands do: a script, row by row, for each rule and its refusal; then random commands
   against the model, looking at everything after each. */
#include "model.h"

enum { RANDOM_COMMANDS = 4000, RANDOM_RUNS = 8 };

#define NAME(text) ((struct slice){(const u8 *)(text), sizeof(text) - 1})
#define CREATE(number, text, partitions)             \
    {                                                \
        .kind = META_CREATE_TOPIC, .create_topic = { \
            .id = {{(number)}},                      \
            .name = NAME(text),                      \
            .partition_count = (partitions)          \
        }                                            \
    }
#define DELETE(number)                                                   \
    {                                                                    \
        .kind = META_DELETE_TOPIC, .delete_topic = {.id = {{(number)}} } \
    }
#define GROW(number, partitions)                               \
    {                                                          \
        .kind = META_CREATE_PARTITIONS, .create_partitions = { \
            .id = {{(number)}},                                \
            .partition_count = (partitions)                    \
        }                                                      \
    }
#define REGISTER(id)                                                         \
    {                                                                        \
        .kind = META_REGISTER, .reg = {.node = 1, .wal = (id), .nonce = 77 } \
    }
#define SEAL(id, slots)                                                  \
    {                                                                    \
        .kind = META_SEAL_WAL, .seal = {.wal = (id), .length = (slots) } \
    }
#define ALLOC(number)                                                      \
    {                                                                      \
        .kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {(number) } \
    }

struct step {
    struct meta_command command;
    i16 kerr;
    /* the state afterwards */
    u32 topics;
    u32 partitions;
    u32 sessions;
};

static void run_steps(struct meta *m, const struct step *steps, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        struct meta_outcome out;
        i16 said = meta_check(m, &s->command);
        meta_apply(m, &s->command, &out);
        if (out.kerr != s->kerr || said != s->kerr || meta_topic_count(m) != s->topics ||
            meta_partition_total(m) != s->partitions || meta_session_count(m) != s->sessions) {
            fail_msg("step %u: %s (check: %s), %u topics, %u partitions, %u sessions", i,
                     kerr_name(out.kerr), kerr_name(said), meta_topic_count(m),
                     meta_partition_total(m), meta_session_count(m));
        }
    }
}

static void test_topics(void **state)
{
    (void)state;
    static const char long_name[] =
        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "0"
        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "0"
        "01234567890123456789012345678901234567890123456789012345678901234567";
    static const struct step steps[] = {
        {CREATE(1, "orders", 3), KERR_NONE, 1, 3, 0},
        {CREATE(2, "orders", 3), KERR_TOPIC_ALREADY_EXISTS, 1, 3, 0},
        {CREATE(1, "other", 3), KERR_INVALID_REQUEST, 1, 3, 0},
        {CREATE(0, "other", 3), KERR_INVALID_REQUEST, 1, 3, 0},
        {CREATE(2, "", 3), KERR_INVALID_TOPIC_EXCEPTION, 1, 3, 0},
        {CREATE(2, "other", 0), KERR_INVALID_PARTITIONS, 1, 3, 0},
        {CREATE(2, "other", UINT32_MAX), KERR_INVALID_PARTITIONS, 1, 3, 0},
        {CREATE(2, "other", 0x80000000u), KERR_INVALID_PARTITIONS, 1, 3, 0},
        {CREATE(2, "a.b", 1), KERR_NONE, 2, 4, 0},
        {CREATE(3, "a_b", 1), KERR_INVALID_TOPIC_EXCEPTION, 2, 4, 0},
        {CREATE(3, "a-b", 1), KERR_NONE, 3, 5, 0},
        {GROW(1, 3), KERR_INVALID_PARTITIONS, 3, 5, 0},
        {GROW(1, 2), KERR_INVALID_PARTITIONS, 3, 5, 0},
        {GROW(1, UINT32_MAX), KERR_INVALID_PARTITIONS, 3, 5, 0},
        {GROW(1, 5), KERR_NONE, 3, 7, 0},
        {GROW(9, 5), KERR_UNKNOWN_TOPIC_ID, 3, 7, 0},
        {DELETE(9), KERR_UNKNOWN_TOPIC_ID, 3, 7, 0},
        {DELETE(2), KERR_NONE, 2, 6, 0},
        {DELETE(2), KERR_UNKNOWN_TOPIC_ID, 2, 6, 0},
        {CREATE(2, "a_b", 2), KERR_NONE, 3, 8, 0},
        {CREATE(4, long_name, 1), KERR_INVALID_TOPIC_EXCEPTION, 3, 8, 0},
        {{.kind = 0}, KERR_INVALID_REQUEST, 3, 8, 0},
        {{.kind = 99}, KERR_INVALID_REQUEST, 3, 8, 0},
    };
    assert_int_equal(sizeof(long_name) - 1, 250);
    struct meta *m = meta_create();
    run_steps(m, steps, ARRAY_LEN(steps));
    const struct meta_topic *t = meta_topic_by_name(m, NAME("orders"));
    assert_int_equal(t->range_count, 2);
    assert_int_equal(meta_partition_id(t, 2), 3);
    assert_int_equal(meta_partition_id(t, 3), 6);
    /* Ids of the deleted topic are not given again. */
    assert_int_equal(meta_partition_id(meta_topic_by_name(m, NAME("a_b")), 0), 8);
    meta_destroy(m);
}

static void test_runs_grow_together(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {CREATE(1, "a", 1), KERR_NONE, 1, 1, 0}, {GROW(1, 4), KERR_NONE, 1, 4, 0},
        {CREATE(2, "b", 1), KERR_NONE, 2, 5, 0}, {GROW(1, 5), KERR_NONE, 2, 6, 0},
        {GROW(1, 7), KERR_NONE, 2, 8, 0},
    };
    struct meta *m = meta_create();
    run_steps(m, steps, ARRAY_LEN(steps));
    const struct meta_topic *t = meta_topic_by_name(m, NAME("a"));
    assert_int_equal(t->range_count, 2);
    assert_int_equal(t->ranges[0].first_id, 1);
    assert_int_equal(t->ranges[0].count, 4);
    assert_int_equal(t->ranges[1].first_id, 6);
    assert_int_equal(t->ranges[1].count, 3);
    meta_destroy(m);
}

/* A topic of many runs: all of its ids are gone, and nobody else's. */
static void test_delete_many_runs(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    struct meta_command grow_a = CREATE(1, "a", 1);
    struct meta_command grow_b = CREATE(2, "b", 1);
    for (u32 i = 1; i <= 40; i++) {
        struct meta_outcome out;
        meta_apply(m, &grow_a, &out);
        assert_int_equal(out.kerr, KERR_NONE);
        meta_apply(m, &grow_b, &out);
        assert_int_equal(out.kerr, KERR_NONE);
        grow_a = (struct meta_command)GROW(1, i + 1);
        grow_b = (struct meta_command)GROW(2, i + 1);
    }
    struct meta_command delete = DELETE(1);
    struct meta_outcome out;
    meta_apply(m, &delete, &out);
    assert_int_equal(out.kerr, KERR_NONE);
    assert_int_equal(out.deleted_range_count, ARRAY_LEN(out.deleted_ranges));
    for (u32 id = 1; id <= 80; id++) {
        const struct meta_topic *t;
        u32 index;
        bool found = meta_partition_owner(m, id, &t, &index);
        assert_int_equal(found, id % 2 == 0);
        assert_true(!found || index == (id - 1) / 2);
    }
    meta_destroy(m);
}

static void test_id_space_ends(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {CREATE(1, "a", INT32_MAX), KERR_NONE, 1, INT32_MAX, 0},
        {CREATE(2, "b", INT32_MAX), KERR_NONE, 2, 2 * (u32)INT32_MAX, 0},
        {CREATE(3, "c", 1), KERR_INVALID_PARTITIONS, 2, 2 * (u32)INT32_MAX, 0},
        {DELETE(1), KERR_NONE, 1, INT32_MAX, 0},
        {CREATE(3, "c", 1), KERR_INVALID_PARTITIONS, 1, INT32_MAX, 0},
    };
    struct meta *m = meta_create();
    run_steps(m, steps, ARRAY_LEN(steps));
    meta_destroy(m);
}

static void test_sessions(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {SEAL(1, 0), KERR_INVALID_REQUEST, 0, 0, 0},
        {REGISTER(2), KERR_INVALID_REQUEST, 0, 0, 0},
        {REGISTER(1), KERR_NONE, 0, 0, 1},
        {REGISTER(1), KERR_INVALID_REQUEST, 0, 0, 1},
        {CREATE(1, "first", 1), KERR_NONE, 1, 1, 1},
        /* A restart seals and registers in one slot. */
        {SEAL(1, 12), KERR_NONE, 1, 1, 1},
        {SEAL(1, 12), KERR_INVALID_REQUEST, 1, 1, 1},
        {REGISTER(2), KERR_NONE, 1, 1, 2},
        {CREATE(2, "second", 1), KERR_NONE, 2, 2, 2},
        /* Nothing was written in session 2: it retires, and stays for one more start. */
        {SEAL(2, 0), KERR_NONE, 2, 2, 2},
        {REGISTER(3), KERR_NONE, 2, 2, 3},
        {SEAL(3, 0), KERR_NONE, 2, 2, 3},
        {REGISTER(4), KERR_NONE, 2, 2, 3},
        {SEAL(2, 0), KERR_INVALID_REQUEST, 2, 2, 3},
    };
    struct meta *m = meta_create();
    run_steps(m, steps, ARRAY_LEN(steps));
    assert_int_equal(meta_session_at(m, 0)->wal, 1);
    assert_int_equal(meta_session_at(m, 0)->length, 12);
    assert_false(meta_session_at(m, 0)->retired);
    assert_int_equal(meta_session_at(m, 1)->wal, 3);
    assert_true(meta_session_at(m, 1)->retired);
    assert_int_equal(meta_session_at(m, 2)->wal, 4);
    assert_false(meta_session_at(m, 2)->sealed);
    assert_int_equal(meta_leader_epoch(m, meta_topic_by_name(m, NAME("first"))), 3);
    assert_int_equal(meta_leader_epoch(m, meta_topic_by_name(m, NAME("second"))), 2);
    meta_destroy(m);
}

static void test_producer_ids(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    struct meta_command none = ALLOC(0);
    struct meta_command block = ALLOC(1000);
    assert_int_equal(meta_check(m, &none), KERR_INVALID_REQUEST);
    for (u64 i = 0; i < 3; i++) {
        struct meta_outcome out;
        meta_apply(m, &block, &out);
        assert_int_equal(out.kerr, KERR_NONE);
        assert_int_equal(out.first_producer_id, i * 1000);
    }
    meta_destroy(m);
}

/* Starts move forward, each for itself; they grow with their topic's run and go with it. */
static void test_log_starts(void **state)
{
    (void)state;
    static const struct meta_log_start first[] = {{1, 10}, {2, 20}, {99, 5}};
    static const struct meta_log_start second[] = {{1, 9}, {2, 21}, {4, 7}, {2, 8}};
    static const struct meta_log_start high[] = {{3, INT64_MAX}};
    static const struct meta_log_start too_high[] = {{1, 100}, {3, (u64)INT64_MAX + 1}};
#define STARTS(list, length)                                               \
    {                                                                      \
        .kind = META_SET_LOG_STARTS, .set_log_starts = {(list), (length) } \
    }
    static const struct step steps[] = {
        {CREATE(1, "t", 3), KERR_NONE, 1, 3, 0},
        {STARTS(first, 0), KERR_INVALID_REQUEST, 1, 3, 0},
        {STARTS(first, 3), KERR_NONE, 1, 3, 0},
        {GROW(1, 5), KERR_NONE, 1, 5, 0},
        {STARTS(second, 4), KERR_NONE, 1, 5, 0},
        {STARTS(high, 1), KERR_NONE, 1, 5, 0},
        {STARTS(too_high, 2), KERR_INVALID_REQUEST, 1, 5, 0},
        {CREATE(2, "u", 2), KERR_NONE, 2, 7, 0},
        {GROW(1, 6), KERR_NONE, 2, 8, 0},
    };
    struct meta *m = meta_create();
    run_steps(m, steps, ARRAY_LEN(steps));
    const u64 expected[] = {0, 10, 21, INT64_MAX, 7, 0, 0, 0, 0, 0};
    for (u32 id = 0; id < ARRAY_LEN(expected); id++) {
        assert_int_equal(meta_log_start(m, id), expected[id]);
    }
    static const struct step end[] = {
        {STARTS(first, 3), KERR_NONE, 2, 8, 0},
        {DELETE(1), KERR_NONE, 1, 2, 0},
        {STARTS(first, 3), KERR_NONE, 1, 2, 0}, /* retention that comes too late */
    };
#undef STARTS
    run_steps(m, end, ARRAY_LEN(end));
    struct meta_log_start s = {0};
    assert_false(meta_log_start_next(m, &s));
    meta_destroy(m);
}

static void test_random(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct model *model = mem_alloc(sizeof(*model));
    u32 accepted = 0;
    for (u32 run = 0; run < RANDOM_RUNS; run++) {
        struct meta *m = meta_create();
        model_init(model);
        for (u32 i = 0; i < RANDOM_COMMANDS / RANDOM_RUNS; i++) {
            struct drawn d;
            draw_command(&rng, model, &d);
            i16 said = meta_check(m, &d.c);
            i16 expected = model_apply(model, &d.c);
            struct meta_outcome out;
            meta_apply(m, &d.c, &out);
            assert_int_equal(said, expected);
            assert_int_equal(out.kerr, expected);
            accepted += expected == KERR_NONE;
            model_compare(model, m);
        }
        meta_destroy(m);
    }
    mem_free(model);
    assert_true(accepted > RANDOM_COMMANDS / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),           cmocka_unit_test(test_runs_grow_together),
        cmocka_unit_test(test_delete_many_runs), cmocka_unit_test(test_id_space_ends),
        cmocka_unit_test(test_sessions),         cmocka_unit_test(test_producer_ids),
        cmocka_unit_test(test_log_starts),       cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
