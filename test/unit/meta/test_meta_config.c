/* Lists of configs through AlterConfigs: order, removal, values that are empty, what is refused,
   and that bytes given away may be changed afterwards. */
#include "model.h"

#include "meta/meta_private.h"

static i16 alter(struct meta *m, i8 type, const char *name, const struct meta_config *sets,
                 u32 count)
{
    struct meta_command c = {
        .kind = META_ALTER_CONFIGS,
        .alter_configs = {.resource_type = type,
                          .name = slice_cstr(name),
                          .sets = sets,
                          .set_count = count},
    };
    struct meta_outcome out;
    meta_apply(m, &c, &out);
    return out.kerr;
}

static i16 alter_one(struct meta *m, const char *key, const char *value)
{
    struct meta_config set = {slice_cstr(key),
                              value == NULL ? (struct slice){0} : slice_cstr(value)};
    return alter(m, 4, "", &set, 1);
}

static void assert_list(struct meta *m, const char *const *expected, u32 pairs)
{
    const struct meta_config *configs;
    assert_int_equal(meta_configs(m, 4, slice_cstr(""), &configs), pairs);
    for (u32 i = 0; i < pairs; i++) {
        assert_true(slice_eq_cstr(configs[i].key, expected[2 * i]));
        assert_true(slice_eq_cstr(configs[i].value, expected[2 * i + 1]));
    }
}

static void test_list(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    assert_int_equal(alter_one(m, "m", "1"), KERR_NONE);
    assert_int_equal(alter_one(m, "z", ""), KERR_NONE);
    assert_int_equal(alter_one(m, "a", "3"), KERR_NONE);
    assert_list(m, (const char *const[]){"a", "3", "m", "1", "z", ""}, 3);
    assert_int_equal(alter_one(m, "m", "longer than before"), KERR_NONE);
    assert_int_equal(alter_one(m, "none", NULL), KERR_NONE);
    assert_int_equal(alter_one(m, "a", NULL), KERR_NONE);
    assert_list(m, (const char *const[]){"m", "longer than before", "z", ""}, 2);
    assert_int_equal(alter_one(m, "m", NULL), KERR_NONE);
    assert_int_equal(alter_one(m, "z", NULL), KERR_NONE);
    assert_list(m, NULL, 0);
    assert_int_equal(m->resource_count, 0);
    meta_destroy(m);
}

static void test_copies(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    char key[] = "key";
    char value[] = "value";
    assert_int_equal(alter_one(m, key, value), KERR_NONE);
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    assert_list(m, (const char *const[]){"key", "value"}, 1);
    meta_destroy(m);
}

static void test_refused(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    struct meta_config twice[] = {{SLICE_LIT("a"), SLICE_LIT("1")}, {SLICE_LIT("a"), {0}}};
    assert_int_equal(alter(m, 4, "", twice, 2), KERR_INVALID_REQUEST);
    assert_int_equal(alter(m, 2, "no-such-topic", twice, 1), KERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(alter(m, 8, "", twice, 1), KERR_INVALID_REQUEST);
    assert_int_equal(alter_one(m, "", "1"), KERR_INVALID_CONFIG);
    struct meta_command create = {
        .kind = META_CREATE_TOPIC,
        .create_topic = {.id = {{1}},
                         .name = SLICE_LIT("t"),
                         .partition_count = 1,
                         .configs = &twice[1],
                         .config_count = 1},
    };
    assert_int_equal(meta_check(m, &create), KERR_INVALID_REQUEST);
    create.create_topic.configs = twice;
    assert_int_equal(meta_check(m, &create), KERR_NONE);
    assert_list(m, NULL, 0);
    meta_destroy(m);
}

static void test_limits(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    u8 *long_value = mem_alloc(META_CONFIG_VALUE_BYTES_MAX + 1);
    struct meta_config set = {SLICE_LIT("a"),
                              slice_of(long_value, META_CONFIG_VALUE_BYTES_MAX + 1)};
    assert_int_equal(alter(m, 4, "", &set, 1), KERR_INVALID_CONFIG);
    set.value.len--;
    assert_int_equal(alter(m, 4, "", &set, 1), KERR_NONE);
    set.key = slice_of(long_value, META_CONFIG_KEY_BYTES_MAX + 1);
    assert_int_equal(alter(m, 4, "", &set, 1), KERR_INVALID_CONFIG);
    mem_free(long_value);
    for (u32 i = 1; i < META_CONFIGS_MAX; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        assert_int_equal(alter_one(m, key, "1"), KERR_NONE);
    }
    assert_int_equal(alter_one(m, "one more", "1"), KERR_INVALID_CONFIG);
    assert_int_equal(alter_one(m, "k5", "2"), KERR_NONE);
    struct meta_config swap[] = {{SLICE_LIT("k5"), {0}}, {SLICE_LIT("k0"), SLICE_LIT("1")}};
    assert_int_equal(alter(m, 4, "", swap, 2), KERR_NONE);
    meta_destroy(m);
}

/* Groups have configs before they have members; they are listed, come back from a snapshot, and
   are no more than there is room for. */
static void test_groups(void **state)
{
    (void)state;
    struct meta *m = meta_create();
    struct meta_config set = {SLICE_LIT("k"), SLICE_LIT("1")};
    assert_int_equal(alter_one(m, "k", "broker"), KERR_NONE);
    assert_int_equal(alter(m, 32, "", &set, 1), KERR_INVALID_REQUEST);
    char long_name[META_NAME_BYTES_MAX + 2];
    memset(long_name, 'g', sizeof long_name);
    long_name[META_NAME_BYTES_MAX + 1] = 0;
    assert_int_equal(alter(m, 32, long_name, &set, 1), KERR_INVALID_REQUEST);
    assert_int_equal(meta_group_config_count(m), 0);
    assert_int_equal(alter(m, 32, "b", &set, 1), KERR_NONE);
    assert_int_equal(alter(m, 32, "a", &set, 1), KERR_NONE);
    assert_int_equal(meta_group_config_count(m), 2);
    assert_true(slice_eq_cstr(meta_group_config_at(m, 0), "a"));
    assert_true(slice_eq_cstr(meta_group_config_at(m, 1), "b"));

    size_t size = meta_snapshot_size(m);
    u8 *bytes = mem_alloc(size);
    struct writer w = writer_of(bytes, size);
    meta_snapshot_write(m, &w);
    struct meta *again = meta_create();
    assert_int_equal(meta_snapshot_load(again, slice_of(bytes, size)), OK);
    assert_int_equal(meta_group_config_count(again), 2);
    const struct meta_config *configs;
    assert_int_equal(meta_configs(again, 32, slice_cstr("b"), &configs), 1);
    assert_true(slice_eq_cstr(configs[0].value, "1"));
    meta_destroy(again);
    mem_free(bytes);

    for (u32 i = 2; i < META_GROUP_CONFIGS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "g%05u", i);
        assert_int_equal(alter(m, 32, name, &set, 1), KERR_NONE);
    }
    assert_int_equal(alter(m, 32, "z", &set, 1), KERR_POLICY_VIOLATION);
    set.value = SLICE_LIT("2");
    assert_int_equal(alter(m, 32, "a", &set, 1), KERR_NONE);
    set.value = (struct slice){0};
    assert_int_equal(alter(m, 32, "a", &set, 1), KERR_NONE);
    set.value = SLICE_LIT("3");
    assert_int_equal(alter(m, 32, "z", &set, 1), KERR_NONE);
    meta_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),    cmocka_unit_test(test_copies),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
