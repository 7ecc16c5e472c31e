/* Proves both maps against a model: a plain array of what was put, in order. Random puts,
   replacements, removals and lookups over a small set of keys, so that runs of buckets collide and
   holes are closed again and again; iteration gives exactly the model's order. */
#include "../unit.h"

enum { KEYS = 300, STEPS = 60000 };

struct model {
    u64 key[KEYS];
    void *value[KEYS];
    u32 count;
};

static u32 model_find(const struct model *m, u64 key)
{
    u32 at = 0;
    while (at < m->count && m->key[at] != key) {
        at++;
    }
    return at;
}

static void model_put(struct model *m, u64 key, void *value)
{
    u32 at = model_find(m, key);
    if (at == m->count) {
        m->count++;
    }
    m->key[at] = key;
    m->value[at] = value;
}

static void *model_remove(struct model *m, u64 key)
{
    u32 at = model_find(m, key);
    if (at == m->count) {
        return NULL;
    }
    void *value = m->value[at];
    m->count--;
    memmove(&m->key[at], &m->key[at + 1], (m->count - at) * sizeof(m->key[0]));
    memmove(&m->value[at], &m->value[at + 1], (m->count - at) * sizeof(m->value[0]));
    return value;
}

static void *model_get(const struct model *m, u64 key)
{
    u32 at = model_find(m, key);
    return at < m->count ? m->value[at] : NULL;
}

static void map64_agrees_with_the_model(void **state)
{
    struct rng rng = unit_rng();
    struct map64 map;
    map64_init(&map);
    struct model model = {.count = 0};
    static u8 values[STEPS];
    for (u32 step = 0; step < STEPS; step++) {
        /* Phases of growing and of shrinking. */
        bool growing = step / 2000 % 2 == 0;
        u64 key = rng_below(&rng, KEYS) * 0x100000001ull;
        if (rng_chance(&rng, growing ? 3 : 1, 4)) {
            map64_put(&map, key, &values[step]);
            model_put(&model, key, &values[step]);
        } else {
            assert_ptr_equal(map64_remove(&map, key), model_remove(&model, key));
        }
        assert_int_equal(map.count, model.count);
        key = rng_below(&rng, KEYS) * 0x100000001ull;
        assert_ptr_equal(map64_get(&map, key), model_get(&model, key));
        if (step % 100 == 0) {
            u32 cursor = 0, at = 0;
            u64 found;
            void *value;
            while (map64_next(&map, &cursor, &found, &value)) {
                assert_int_equal(found, model.key[at]);
                assert_ptr_equal(value, model.value[at]);
                at++;
            }
            assert_int_equal(at, model.count);
        }
    }
    map64_fini(&map);
}

static void map_slice_agrees_with_the_model(void **state)
{
    struct rng rng = unit_rng();
    struct map_slice map;
    map_slice_init(&map);
    static char names[KEYS][16];
    for (u32 i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof(names[i]), "topic-%u", i);
    }
    struct model model = {.count = 0};
    static u8 values[STEPS];
    for (u32 step = 0; step < STEPS; step++) {
        bool growing = step / 2000 % 2 == 0;
        u64 i = rng_below(&rng, KEYS);
        struct slice key = slice_cstr(names[i]);
        if (rng_chance(&rng, growing ? 3 : 1, 4)) {
            map_slice_put(&map, key, &values[step]);
            model_put(&model, i, &values[step]);
        } else {
            assert_ptr_equal(map_slice_remove(&map, key), model_remove(&model, i));
        }
        assert_int_equal(map.count, model.count);
        i = rng_below(&rng, KEYS);
        assert_ptr_equal(map_slice_get(&map, slice_cstr(names[i])), model_get(&model, i));
        if (step % 100 == 0) {
            u32 cursor = 0, at = 0;
            struct slice found;
            void *value;
            while (map_slice_next(&map, &cursor, &found, &value)) {
                assert_true(slice_eq_cstr(found, names[model.key[at]]));
                assert_ptr_equal(value, model.value[at]);
                at++;
            }
            assert_int_equal(at, model.count);
        }
    }
    map_slice_fini(&map);
}

static void a_walk_may_remove_as_it_goes(void **state)
{
    struct map64 map;
    map64_init(&map);
    u8 value = 0;
    for (u64 key = 0; key < 1000; key++) {
        map64_put(&map, key, &value);
    }
    u32 cursor = 0;
    u64 key, seen_keys = 0;
    void *found;
    while (map64_next(&map, &cursor, &key, &found)) {
        assert_int_equal(key, seen_keys);
        seen_keys++;
        assert_ptr_equal(map64_remove(&map, key), &value);
    }
    assert_int_equal(seen_keys, 1000);
    assert_int_equal(map.count, 0);
    assert_null(map64_get(&map, 5));
    assert_null(map64_remove(&map, 5));
    map64_put(&map, 5, &value);
    assert_ptr_equal(map64_get(&map, 5), &value);
    map64_fini(&map);
}

static void empty_maps_answer(void **state)
{
    struct map_slice map;
    map_slice_init(&map);
    assert_null(map_slice_get(&map, SLICE_LIT("x")));
    assert_null(map_slice_remove(&map, SLICE_LIT("x")));
    u32 cursor = 0;
    struct slice key;
    void *value;
    assert_false(map_slice_next(&map, &cursor, &key, &value));
    u8 one = 1;
    map_slice_put(&map, (struct slice){NULL, 0}, &one); /* the empty key is a key */
    assert_ptr_equal(map_slice_get(&map, SLICE_LIT("")), &one);
    map_slice_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map64_agrees_with_the_model),
        cmocka_unit_test(map_slice_agrees_with_the_model),
        cmocka_unit_test(a_walk_may_remove_as_it_goes),
        cmocka_unit_test(empty_maps_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
