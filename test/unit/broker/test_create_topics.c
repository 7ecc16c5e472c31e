/* CreateTopics: every check and its error, nothing made by a refused row or by validate_only, and
   topics that work when the answer is there [kafka-semantics.md 9, reliability.md "RF fiction" and
   catalogue 34, 38, 81, 82]. */
#include "harness.h"

typedef struct create_topics_request_creatable_topic row_t;
typedef struct create_topics_response_creatable_topic_result result_t;

static row_t row_of(const char *name, i32 partitions, i16 factor)
{
    return (row_t){.name = text(name), .num_partitions = partitions, .replication_factor = factor};
}

static struct create_topics_response *create(struct client *c, i16 version, row_t *rows, u32 count,
                                             bool validate_only)
{
    struct create_topics_request q = {.topics = {.items = rows, .count = count},
                                      .timeout_ms = 30000,
                                      .validate_only = validate_only};
    struct create_topics_response *r = CALL(c, create_topics, version, &q);
    assert_int_equal(r->topics.count, count);
    return r;
}

static i16 create_one(struct client *c, row_t row)
{
    return create(c, 7, &row, 1, false)->topics.items[0].error_code;
}

static u32 topic_count(struct client *c)
{
    struct metadata_request *all = NEW(c->h, metadata_request, 1);
    all->topics.is_null = true;
    return CALL(c, metadata, 9, all)->topics.count;
}

static void in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 2; version <= 7; version++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", version);
        row_t rows[] = {row_of(name, 3, 1), row_of("bad name", 1, 1)};
        struct create_topics_response *r = create(c, version, rows, 2, false);
        const result_t *good = &r->topics.items[0];
        assert_int_equal(good->error_code, KERR_NONE);
        assert_true(slice_eq_cstr(good->name, name));
        assert_null(good->error_message.ptr);
        if (version >= 5) {
            assert_int_equal(good->num_partitions, 3);
            assert_int_equal(good->replication_factor, 1);
            assert_true(good->configs.count >= 25);
            assert_int_equal(good->topic_config_error_code, KERR_NONE);
            for (u32 i = 0; i < good->configs.count; i++) {
                assert_int_equal(good->configs.items[i].config_source, CONFIG_SOURCE_DEFAULT);
            }
        }
        if (version >= 7) {
            assert_false(uuid_is_zero(good->topic_id));
        }
        const result_t *bad = &r->topics.items[1];
        assert_int_equal(bad->error_code, KERR_INVALID_TOPIC_EXCEPTION);
        assert_non_null(bad->error_message.ptr);
        assert_true(uuid_is_zero(bad->topic_id));
        struct topic t = {.name = name};
        struct produce_response *p =
            CALL(c, produce, 3, produce_of(&h, &t, 2, batch_plain(&h, 1), -1));
        assert_int_equal(produce_row(p, 0, 0)->error_code, KERR_NONE);
    }
    assert_int_equal(topic_count(c), 6);
    harness_fini(&h);
}

static void counts(void **state)
{
    static const struct {
        i32 partitions;
        i16 factor;
        i16 kerr;
        i32 want_partitions;
        i16 want_factor;
    } cases[] = {
        {1, 1, KERR_NONE, 1, 1},
        {-1, -1, KERR_NONE, 2, 3}, /* defaults, configured below */
        {-1, 1, KERR_NONE, 2, 1},
        {4, -1, KERR_NONE, 4, 3},
        {1, 3, KERR_NONE, 1, 3}, /* the factor is a fiction, kept and echoed */
        {1, INT16_MAX, KERR_NONE, 1, INT16_MAX},
        {0, 1, KERR_INVALID_PARTITIONS, 0, 0},
        {-2, 1, KERR_INVALID_PARTITIONS, 0, 0},
        {INT32_MIN, 1, KERR_INVALID_PARTITIONS, 0, 0},
        {1000000000, 1, KERR_INVALID_PARTITIONS, 0, 0},
        {INT32_MAX, 1, KERR_INVALID_PARTITIONS, 0, 0},
        {1, 0, KERR_INVALID_REPLICATION_FACTOR, 0, 0},
        {1, -2, KERR_INVALID_REPLICATION_FACTOR, 0, 0},
        {1, INT16_MIN, KERR_INVALID_REPLICATION_FACTOR, 0, 0},
    };
    struct harness h;
    harness_init(&h);
    harness_set(&h, "num.partitions", "2");
    harness_set(&h, "default.replication.factor", "3");
    harness_start(&h);
    struct client *c = client_open(&h);
    u32 made = 0;
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        row_t row = row_of(name, cases[i].partitions, cases[i].factor);
        const result_t *r = &create(c, 7, &row, 1, false)->topics.items[0];
        assert_int_equal(r->error_code, cases[i].kerr);
        if (cases[i].kerr == KERR_NONE) {
            assert_int_equal(r->num_partitions, cases[i].want_partitions);
            assert_int_equal(r->replication_factor, cases[i].want_factor);
            made++;
        }
    }
    assert_int_equal(topic_count(c), made);
    harness_fini(&h);
}

static void names(void **state)
{
    static char longest[250], too_long[251];
    memset(longest, 'n', 249);
    memset(too_long, 'n', 250);
    const struct {
        const char *name;
        i16 kerr;
    } cases[] = {
        {"fine", KERR_NONE},
        {"fine", KERR_TOPIC_ALREADY_EXISTS},
        {longest, KERR_NONE},
        {too_long, KERR_INVALID_TOPIC_EXCEPTION},
        {"", KERR_INVALID_TOPIC_EXCEPTION},
        {".", KERR_INVALID_TOPIC_EXCEPTION},
        {"..", KERR_INVALID_TOPIC_EXCEPTION},
        {"...", KERR_NONE},
        {"../x", KERR_INVALID_TOPIC_EXCEPTION},
        {"a/b", KERR_INVALID_TOPIC_EXCEPTION},
        {"a\x7f", KERR_INVALID_TOPIC_EXCEPTION},
        {"\xc0\xae", KERR_INVALID_TOPIC_EXCEPTION},
        {"a.b", KERR_NONE},
        {"a_b", KERR_INVALID_TOPIC_EXCEPTION}, /* one metric with a.b */
        {"a-b", KERR_NONE},
        {"a.b_c", KERR_NONE},
        {"a_b.c", KERR_INVALID_TOPIC_EXCEPTION},
        {"__cluster_metadata", KERR_INVALID_REQUEST},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(create_one(c, row_of(cases[i].name, 1, 1)), cases[i].kerr);
    }
    harness_fini(&h);
}

static void clashes_and_repeats_in_one_request(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    row_t rows[] = {row_of("same", 1, 1), row_of("x.y", 1, 1), row_of("same", 2, 1),
                    row_of("x_y", 1, 1), row_of("other", 1, 1)};
    struct create_topics_response *r = create(c, 7, rows, 5, false);
    assert_int_equal(r->topics.items[0].error_code, KERR_INVALID_REQUEST);
    assert_int_equal(r->topics.items[1].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[2].error_code, KERR_INVALID_REQUEST);
    assert_int_equal(r->topics.items[3].error_code, KERR_INVALID_TOPIC_EXCEPTION);
    assert_true(uuid_is_zero(r->topics.items[3].topic_id));
    assert_int_equal(r->topics.items[4].error_code, KERR_NONE);
    assert_int_equal(topic_count(c), 2);
    harness_fini(&h);
}

typedef struct create_topics_request_creatable_replica_assignment assignment_t;

static void assignments(void **state)
{
    static i32 self[] = {BROKER_NODE_ID};
    static i32 other[] = {BROKER_NODE_ID + 1};
    static i32 twice[] = {BROKER_NODE_ID, BROKER_NODE_ID};
    static i32 both[] = {BROKER_NODE_ID, BROKER_NODE_ID + 1};
    const struct i32_array one = {self, 1, false};
    const struct i32_array unknown = {other, 1, false};
    const struct i32_array repeated = {twice, 2, false};
    const struct i32_array two = {both, 2, false};
    const struct i32_array none = {0};
    const struct {
        i32 partitions;
        i16 factor;
        assignment_t list[3];
        u32 count;
        i16 kerr;
    } cases[] = {
        {-1, -1, {{0, one}}, 1, KERR_NONE},
        {-1, -1, {{1, one}, {0, one}, {2, one}}, 3, KERR_NONE},
        {1, -1, {{0, one}}, 1, KERR_INVALID_REQUEST},
        {-1, 1, {{0, one}}, 1, KERR_INVALID_REQUEST},
        {1, 1, {{0, one}}, 1, KERR_INVALID_REQUEST},
        {-1, -1, {{1, one}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, one}, {2, one}}, 2, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, one}, {0, one}}, 2, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{-1, one}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{INT32_MAX, one}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, none}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, unknown}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, repeated}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, two}}, 1, KERR_INVALID_REPLICA_ASSIGNMENT},
        {-1, -1, {{0, one}, {1, two}}, 2, KERR_INVALID_REPLICA_ASSIGNMENT},
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        row_t row = row_of(name, cases[i].partitions, cases[i].factor);
        assignment_t list[3];
        memcpy(list, cases[i].list, sizeof list);
        row.assignments.items = list;
        row.assignments.count = cases[i].count;
        const result_t *r = &create(c, 7, &row, 1, false)->topics.items[0];
        assert_int_equal(r->error_code, cases[i].kerr);
        if (r->error_code == KERR_NONE) {
            assert_int_equal(r->num_partitions, cases[i].count);
            assert_int_equal(r->replication_factor, 1);
        }
    }
    harness_fini(&h);
}

typedef struct create_topics_request_creatable_topic_config config_t;

static void configs(void **state)
{
    static const struct {
        const char *key, *value; /* value NULL: null */
        i16 kerr;
    } cases[] = {
        {"retention.ms", "1000", KERR_NONE},
        {"retention.ms", "-1", KERR_NONE},
        {"retention.ms", "-2", KERR_INVALID_CONFIG},
        {"retention.ms", "12345678901234567890", KERR_INVALID_CONFIG},
        {"retention.ms", "", KERR_INVALID_CONFIG},
        {"retention.ms", "1e3", KERR_INVALID_CONFIG},
        {"retention.ms", NULL, KERR_INVALID_CONFIG},
        {"cleanup.policy", "compact", KERR_NONE},
        {"cleanup.policy", "compact,delete", KERR_NONE},
        {"cleanup.policy", "compress", KERR_INVALID_CONFIG},
        {"compression.type", "zstd", KERR_NONE},
        {"compression.type", "brotli", KERR_INVALID_CONFIG},
        {"max.message.bytes", "-1", KERR_INVALID_CONFIG},
        {"max.message.bytes", "2147483648", KERR_INVALID_CONFIG},
        {"min.cleanable.dirty.ratio", "0.5", KERR_NONE},
        {"min.cleanable.dirty.ratio", "1.5", KERR_INVALID_CONFIG},
        {"min.cleanable.dirty.ratio", "NaN", KERR_INVALID_CONFIG},
        {"unclean.leader.election.enable", "true", KERR_NONE},
        {"unclean.leader.election.enable", "maybe", KERR_INVALID_CONFIG},
        {"message.timestamp.type", "LogAppendTime", KERR_NONE},
        {"message.timestamp.type", "Sometime", KERR_INVALID_CONFIG},
        {"no.such.config", "1", KERR_INVALID_CONFIG},
        {"", "1", KERR_INVALID_CONFIG},
        {"min.insync.replicas", "2", KERR_NONE}, /* never fails a produce: RF fiction */
    };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        config_t config = {.name = text(cases[i].key),
                           .value =
                               cases[i].value == NULL ? (struct slice){0} : text(cases[i].value)};
        if (cases[i].value != NULL && cases[i].value[0] == 0) {
            config.value = WIRE_EMPTY;
        }
        row_t row = row_of(name, 1, 1);
        row.configs.items = &config;
        row.configs.count = 1;
        const result_t *r = &create(c, 7, &row, 1, false)->topics.items[0];
        if (r->error_code != cases[i].kerr) {
            fail_msg("%s=%s: %d", cases[i].key, cases[i].value, r->error_code);
        }
        assert_int_equal(r->error_message.ptr != NULL, cases[i].kerr != KERR_NONE);
        if (cases[i].kerr == KERR_NONE) {
            struct topic t = {.name = name, .id = r->topic_id};
            produce_ok(c, &t, 0, batch_plain(&h, 1));
        }
    }
    /* The answer shows own values as such. */
    row_t row = row_of("shown", 1, 1);
    config_t list[] = {{text("retention.ms"), text("1")},
                       {text("retention.ms"), text("77")}}; /* the last one counts */
    row.configs.items = list;
    row.configs.count = 2;
    const result_t *r = &create(c, 7, &row, 1, false)->topics.items[0];
    assert_int_equal(r->error_code, KERR_NONE);
    u32 found = 0;
    for (u32 i = 0; i < r->configs.count; i++) {
        if (slice_eq_cstr(r->configs.items[i].name, "retention.ms")) {
            assert_true(slice_eq_cstr(r->configs.items[i].value, "77"));
            assert_int_equal(r->configs.items[i].config_source, CONFIG_SOURCE_TOPIC);
            assert_false(r->configs.items[i].read_only);
            assert_false(r->configs.items[i].is_sensitive);
            found++;
        }
    }
    assert_int_equal(found, 1);
    harness_fini(&h);
}

static void validate_only_makes_nothing(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    topic_make(c, "there", 1);
    row_t rows[] = {row_of("fresh", 2, 1), row_of("there", 1, 1), row_of("a b", 1, 1),
                    row_of("none", 0, 1)};
    for (i16 version = 2; version <= 7; version++) {
        struct create_topics_response *r = create(c, version, rows, 4, true);
        assert_int_equal(r->topics.items[0].error_code, KERR_NONE);
        assert_true(uuid_is_zero(r->topics.items[0].topic_id));
        assert_int_equal(r->topics.items[1].error_code, KERR_TOPIC_ALREADY_EXISTS);
        assert_int_equal(r->topics.items[2].error_code, KERR_INVALID_TOPIC_EXCEPTION);
        assert_int_equal(r->topics.items[3].error_code, KERR_INVALID_PARTITIONS);
        assert_int_equal(topic_count(c), 1);
    }
    harness_fini(&h);
}

/* One partition per KiB of the budget, in one request or in many, made by whatever request. */
static void memory_limits_how_many_partitions_there_are(void **state)
{
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 32 * MIB; /* 32,768 partitions */
    harness_set(&h, "num.partitions", "20000");
    harness_start(&h);
    struct client *c = client_open(&h);
    row_t rows[] = {row_of("a", 20000, 1), row_of("b", 20000, 1), row_of("c", 12768, 1),
                    row_of("d", 1, 1)};
    struct create_topics_response *r = create(c, 7, rows, 4, false);
    assert_int_equal(r->topics.items[0].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[1].error_code, KERR_INVALID_PARTITIONS);
    assert_non_null(r->topics.items[1].error_message.ptr);
    assert_int_equal(r->topics.items[2].error_code, KERR_NONE);
    assert_int_equal(r->topics.items[3].error_code, KERR_INVALID_PARTITIONS);
    struct create_partitions_request_topic more = {
        .name = text("a"), .count = 20001, .assignments = {.is_null = true}};
    struct create_partitions_request q = {.topics = {.items = &more, .count = 1}};
    assert_int_equal(CALL(c, create_partitions, 3, &q)->results.items[0].error_code,
                     KERR_INVALID_PARTITIONS);
    struct metadata_request_topic missing = {.name = text("auto")};
    struct metadata_request m = {.topics = {.items = &missing, .count = 1},
                                 .allow_auto_topic_creation = true};
    assert_int_not_equal(CALL(c, metadata, 9, &m)->topics.items[0].error_code, KERR_NONE);
    struct topic a = {.name = "a", .id = r->topics.items[0].topic_id};
    topic_delete(c, &a);
    assert_int_equal(create_one(c, row_of("d", 1, 1)), KERR_NONE);
    harness_fini(&h);
}

static void an_empty_request_and_a_large_one(void **state)
{
    enum { COUNT = 2000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 512 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    create(c, 7, NULL, 0, false);
    row_t *rows = arena_array(&h.arena, COUNT, sizeof *rows);
    for (u32 i = 0; i < COUNT; i++) {
        rows[i] = row_of(arena_printf(&h.arena, "many-%u", i), 1, 1);
    }
    struct create_topics_response *r = create(c, 4, rows, COUNT, false);
    for (u32 i = 0; i < COUNT; i++) {
        assert_int_equal(r->topics.items[i].error_code, KERR_NONE);
    }
    /* One name 100,000 times: told, and soon. */
    enum { REPEATS = 100000 };
    row_t *same = arena_array(&h.arena, REPEATS, sizeof *same);
    for (u32 i = 0; i < REPEATS; i++) {
        same[i] = row_of("again", 1, 1);
    }
    u64 before = io_clock_ns();
    r = create(c, 4, same, REPEATS, false);
    assert_int_equal(r->topics.items[REPEATS - 1].error_code, KERR_INVALID_REQUEST);
    assert_true(io_clock_ns() - before < 10ull * 1000 * 1000 * 1000);
    assert_int_equal(topic_count(c), COUNT);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_version),
        cmocka_unit_test(counts),
        cmocka_unit_test(names),
        cmocka_unit_test(clashes_and_repeats_in_one_request),
        cmocka_unit_test(assignments),
        cmocka_unit_test(configs),
        cmocka_unit_test(validate_only_makes_nothing),
        cmocka_unit_test(memory_limits_how_many_partitions_there_are),
        cmocka_unit_test(an_empty_request_and_a_large_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
