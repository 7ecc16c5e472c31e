/* The state as bytes: it comes back the same and goes on the same, equal states are equal bytes
   whatever way they came about, and bytes that are not a state are refused without a trace. */
#include "model.h"

enum { RANDOM_COMMANDS = 1500, BETWEEN = 15, FLIPS = 40 };

static struct slice write_snapshot(const struct meta *m)
{
    size_t size = meta_snapshot_size(m);
    u8 *bytes = mem_alloc(size);
    struct writer w = writer_of(bytes, size);
    meta_snapshot_write(m, &w);
    assert_false(w.failed);
    assert_int_equal(w.len, size);
    return slice_of(bytes, size);
}

static void release(struct slice s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}

static void assert_same_bytes(const struct meta *a, const struct meta *b)
{
    struct slice left = write_snapshot(a);
    struct slice right = write_snapshot(b);
    assert_true(slice_eq(left, right));
    release(left);
    release(right);
}

/* Bytes that are no state leave an empty one; bytes that are give the same bytes again. */
static void load_hostile(struct meta *scratch, const u8 *bytes, size_t len)
{
    u8 *copy = mem_alloc(len + 1);
    memcpy(copy + 1, bytes, len);
    err_t e = meta_snapshot_load(scratch, slice_of(copy + 1, len));
    if (e == OK) {
        struct slice again = write_snapshot(scratch);
        assert_int_equal(again.len, len);
        assert_memory_equal(again.ptr, bytes, len);
        release(again);
    } else {
        assert_true(e == ERR_CORRUPT || e == ERR_VERSION);
        assert_int_equal(meta_topic_count(scratch), 0);
        assert_int_equal(meta_session_count(scratch), 0);
        assert_int_equal(meta_partition_total(scratch), 0);
    }
    mem_free(copy);
}

static void test_random(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct model *model = mem_alloc(sizeof(*model));
    model_init(model);
    struct meta *m = meta_create();
    for (u32 i = 0; i < RANDOM_COMMANDS; i++) {
        struct drawn d;
        struct meta_outcome out;
        draw_command(&rng, model, &d);
        model_apply(model, &d.c);
        meta_apply(m, &d.c, &out);
        if (i % BETWEEN != 0) {
            continue;
        }
        struct slice bytes = write_snapshot(m);
        struct meta *loaded = meta_create();
        assert_int_equal(meta_snapshot_load(loaded, bytes), OK);
        assert_same_bytes(m, loaded);
        model_compare(model, loaded);
        for (u32 k = 0; k < FLIPS; k++) {
            u8 *at = (u8 *)(uintptr_t)bytes.ptr + rng_below(&rng, bytes.len);
            u8 before = *at;
            *at = rng_chance(&rng, 1, 2) ? (u8)rng_next(&rng) : (u8)(before ^ 1);
            struct meta *scratch = meta_create();
            load_hostile(scratch, bytes.ptr, bytes.len);
            meta_destroy(scratch);
            *at = before;
        }
        release(bytes);
        meta_destroy(m);
        m = loaded; /* and on with the one that was loaded */
    }
    meta_destroy(m);
    mem_free(model);
}

static void apply_all(struct meta *m, const struct meta_command *commands, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct meta_outcome out;
        meta_apply(m, &commands[i], &out);
    }
}

static void test_same_state_same_bytes(void **state)
{
    (void)state;
    const struct meta_config ab[] = {{SLICE_LIT("a"), SLICE_LIT("1")},
                                     {SLICE_LIT("b"), SLICE_LIT("2")}};
    const struct meta_config ba[] = {{SLICE_LIT("b"), SLICE_LIT("2")},
                                     {SLICE_LIT("a"), SLICE_LIT("1")}};
    const struct meta_config removed[] = {{SLICE_LIT("b"), {0}}};
#define ALTER(text, list, count)                                                             \
    {                                                                                        \
        .kind = META_ALTER_CONFIGS, .alter_configs = { 4, SLICE_LIT(text), (list), (count) } \
    }
    const struct meta_command one_way[] = {ALTER("", ab, 2), ALTER("1", ab, 1)};
    const struct meta_command other_way[] = {
        ALTER("2", ba, 1), ALTER("1", ba, 2),      ALTER("", ba, 1),
        ALTER("", ab, 1),  ALTER("1", removed, 1), ALTER("2", removed, 1),
    };
#undef ALTER
    struct meta *a = meta_create();
    struct meta *b = meta_create();
    apply_all(a, one_way, ARRAY_LEN(one_way));
    apply_all(b, other_way, ARRAY_LEN(other_way));
    assert_same_bytes(a, b);
    meta_destroy(a);
    meta_destroy(b);
}

static struct meta *small_state(void)
{
    const struct meta_config config = {SLICE_LIT("k"), SLICE_LIT("v")};
    const struct meta_command commands[] = {
        {.kind = META_REGISTER, .reg = {.node = 1, .wal = 1, .nonce = 9}},
        {.kind = META_CREATE_TOPIC,
         .create_topic = {.id = {{2}},
                          .name = SLICE_LIT("b"),
                          .internal = true,
                          .replication_factor = 3,
                          .partition_count = 2,
                          .configs = &config,
                          .config_count = 1}},
        {.kind = META_CREATE_TOPIC,
         .create_topic = {.id = {{1}}, .name = SLICE_LIT("a"), .partition_count = 1}},
        {.kind = META_SEAL_WAL, .seal = {.wal = 1, .length = 0}},
        {.kind = META_REGISTER, .reg = {.node = 1, .wal = 2, .nonce = 10}},
        {.kind = META_ALTER_CONFIGS, .alter_configs = {4, SLICE_LIT(""), &config, 1}},
        {.kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {1000}},
    };
    struct meta *m = meta_create();
    apply_all(m, commands, ARRAY_LEN(commands));
    return m;
}

/* Versions keep their bytes: a change here is a new version. The first byte stands apart. */
static const char golden[] = "04000000"
                             "01000000"
                             "0300000000000000"
                             "e803000000000000"
                             "02000000"
                             "0100000000000000"
                             "0900000000000000"
                             "01000000"
                             "01"
                             "0000000000000000"
                             "0200000000000000"
                             "0200000000000000"
                             "0a00000000000000"
                             "01000000"
                             "00"
                             "0000000000000000"
                             "0000000000000000"
                             "02000000"
                             "01000000000000000000000000000000"
                             "0100000061"
                             "00"
                             "0000"
                             "00000000"
                             "01000000"
                             "0300000001000000"
                             "00000000"
                             "02000000000000000000000000000000"
                             "0100000062"
                             "01"
                             "0300"
                             "00000000"
                             "01000000"
                             "0100000002000000"
                             "01000000"
                             "010000006b"
                             "0100000076"
                             "01000000"
                             "04"
                             "00000000"
                             "01000000"
                             "010000006b"
                             "0100000076";
static const char golden_log_starts[] = "02000000"
                                        "02000000"
                                        "0001000000000000"
                                        "03000000"
                                        "0500000000000000";

static void assert_bytes(const struct meta *m, const char *version, const char *more)
{
    char expected[1024];
    char hex[sizeof(expected)];
    snprintf(expected, sizeof(expected), "%s%s%s", version, golden, more);
    struct slice bytes = write_snapshot(m);
    assert_int_equal(2 * bytes.len, strlen(expected));
    for (size_t i = 0; i < bytes.len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes.ptr[i]);
    }
    assert_string_equal(hex, expected);
    release(bytes);
}

static void log_starts_set(struct meta *m)
{
    const struct meta_log_start starts[] = {{3, 5}, {2, 256}, {4, 9}};
    const struct meta_command command = {.kind = META_SET_LOG_STARTS,
                                         .set_log_starts = {starts, ARRAY_LEN(starts)}};
    apply_all(m, &command, 1);
}

/* Version 2 comes with the first log start and leaves with the last. */
static void test_golden(void **state)
{
    (void)state;
    struct meta *m = small_state();
    assert_bytes(m, "01", "");
    log_starts_set(m);
    assert_bytes(m, "02", golden_log_starts);
    const struct meta_command gone[] = {
        {.kind = META_DELETE_TOPIC, .delete_topic = {.id = {{1}}}},
        {.kind = META_DELETE_TOPIC, .delete_topic = {.id = {{2}}}},
    };
    apply_all(m, gone, 2);
    struct slice bytes = write_snapshot(m);
    assert_int_equal(bytes.ptr[0], 1);
    release(bytes);
    meta_destroy(m);
}

/* Version 3 comes with the first filing, and stays: ids of packs are not used twice. */
static void test_filed(void **state)
{
    (void)state;
    static const u64 inputs[] = {1};
    const struct meta_command commands[] = {
        {.kind = META_REGISTER, .reg = {.node = 1, .wal = 1, .nonce = 2}},
        {.kind = META_FILE_WAL, .file_wal = {.wal = 1, .from = 0, .to = 5, .pack = {1, 4096}}},
        {.kind = META_FILE_WAL, .file_wal = {.wal = 1, .from = 5, .to = 6}},
        {.kind = META_REPLACE_PACKS, .replace_packs = {inputs, 1, {3, 8192}}},
        {.kind = META_REGISTER, .reg = {.node = 1, .wal = 2, .nonce = 3}},
        {.kind = META_SEAL_WAL, .seal = {.wal = 1, .length = 6}},
    };
    static const u8 tail[] = {
        0, 0, 0, 0,                                                  /* log starts */
        4, 0, 0, 0, 0, 0, 0, 0,                                      /* next pack */
        1, 0, 0, 0,                                                  /* packs */
        3, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, /* trims */
        1, 0, 0, 0, 0, 0, 0, 0, 6, 0,  0, 0, 0, 0, 0, 0,
    };
    struct meta *m = meta_create();
    apply_all(m, commands, ARRAY_LEN(commands));
    assert_true(meta_session_at(m, 0)->retired);
    struct slice bytes = write_snapshot(m);
    assert_int_equal(bytes.ptr[0], 3);
    assert_memory_equal(bytes.ptr + bytes.len - sizeof(tail), tail, sizeof(tail));
    struct meta *back = meta_create();
    assert_int_equal(meta_snapshot_load(back, bytes), OK);
    assert_true(meta_session_at(back, 0)->retired);
    struct slice again = write_snapshot(back);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.ptr, bytes.ptr, bytes.len);
    release(bytes);
    release(again);
    meta_destroy(m);
    meta_destroy(back);
}

/* A version 2 that says no more than version 1 could, or says it in another order, or of nobody. */
static void test_hostile_log_starts(void **state)
{
    (void)state;
    static const struct {
        u32 count;
        u32 left_out; /* bytes of the end that are missing */
        struct meta_log_start starts[2];
    } rows[] = {
        {0, 24, {{0}}},
        {1, 12, {{2, 0}}},
        {1, 12, {{2, (u64)INT64_MAX + 1}}},
        {1, 12, {{4, 1}}},
        {1, 12, {{0, 1}}},
        {2, 0, {{2, 1}, {2, 2}}},
        {2, 0, {{3, 1}, {2, 1}}},
        {2, 1, {{2, 1}, {3, 1}}},
        {1, 0, {{2, 1}, {3, 1}}},
        {UINT32_MAX, 0, {{2, 1}, {3, 1}}},
    };
    struct meta *m = small_state();
    struct slice plain = write_snapshot(m);
    u8 *bytes = mem_alloc(plain.len + 28);
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        struct writer w = writer_of(bytes, plain.len + 28);
        write_u8(&w, 2);
        write_bytes(&w, plain.ptr + 1, plain.len - 1);
        write_le32(&w, rows[i].count);
        for (u32 k = 0; k < 2; k++) {
            write_le32(&w, rows[i].starts[k].partition_id);
            write_le64(&w, rows[i].starts[k].offset);
        }
        assert_false(w.failed);
        struct meta *scratch = meta_create();
        assert_int_equal(meta_snapshot_load(scratch, slice_of(bytes, w.len - rows[i].left_out)),
                         ERR_CORRUPT);
        assert_int_equal(meta_topic_count(scratch), 0);
        meta_destroy(scratch);
    }
    mem_free(bytes);
    release(plain);
    meta_destroy(m);
}

/* Every byte of a small state, every value; every prefix; and something behind the end. */
static void test_hostile(void **state)
{
    (void)state;
    struct meta *m = small_state();
    log_starts_set(m);
    struct slice bytes = write_snapshot(m);
    u8 *changed = mem_alloc(bytes.len + 1);
    memcpy(changed, bytes.ptr, bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        for (u32 value = 0; value < 256; value++) {
            struct meta *scratch = meta_create();
            changed[i] = (u8)value;
            load_hostile(scratch, changed, bytes.len);
            meta_destroy(scratch);
        }
        changed[i] = bytes.ptr[i];
        struct meta *scratch = meta_create();
        load_hostile(scratch, changed, i);
        assert_int_equal(meta_topic_count(scratch), 0);
        meta_destroy(scratch);
    }
    struct meta *scratch = meta_create();
    assert_int_equal(meta_snapshot_load(scratch, slice_of(changed, bytes.len + 1)), ERR_CORRUPT);
    changed[0] = 4;
    assert_int_equal(meta_snapshot_load(scratch, slice_of(changed, bytes.len)), ERR_VERSION);
    assert_int_equal(meta_snapshot_load(scratch, bytes), OK);
    meta_destroy(scratch);
    mem_free(changed);
    release(bytes);
    meta_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),  cmocka_unit_test(test_same_state_same_bytes),
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_filed),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_hostile_log_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
