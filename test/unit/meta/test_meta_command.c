/* Commands as bytes: what is encoded is decoded again, every prefix of it is refused, changed bytes
   never lead astray, and version 1 keeps the bytes that it has. */
#include "model.h"

enum { RANDOM_COMMANDS = 3000, BYTES_MAX = 1024 };

static void assert_configs_equal(const struct meta_config *a, const struct meta_config *b,
                                 u32 count)
{
    for (u32 i = 0; i < count; i++) {
        assert_true(slice_eq(a[i].key, b[i].key));
        assert_int_equal(a[i].value.ptr == NULL, b[i].value.ptr == NULL);
        assert_true(slice_eq(a[i].value, b[i].value));
    }
}

static void assert_commands_equal(const struct meta_command *a, const struct meta_command *b)
{
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case META_REGISTER:
        assert_memory_equal(&a->reg, &b->reg, sizeof(a->reg));
        break;
    case META_SEAL_WAL:
        assert_memory_equal(&a->seal, &b->seal, sizeof(a->seal));
        break;
    case META_CREATE_TOPIC:
        assert_true(uuid_eq(a->create_topic.id, b->create_topic.id));
        assert_true(slice_eq(a->create_topic.name, b->create_topic.name));
        assert_int_equal(a->create_topic.internal, b->create_topic.internal);
        assert_int_equal(a->create_topic.replication_factor, b->create_topic.replication_factor);
        assert_int_equal(a->create_topic.partition_count, b->create_topic.partition_count);
        assert_int_equal(a->create_topic.config_count, b->create_topic.config_count);
        assert_configs_equal(a->create_topic.configs, b->create_topic.configs,
                             a->create_topic.config_count);
        break;
    case META_DELETE_TOPIC:
        assert_true(uuid_eq(a->delete_topic.id, b->delete_topic.id));
        break;
    case META_CREATE_PARTITIONS:
        assert_true(uuid_eq(a->create_partitions.id, b->create_partitions.id));
        assert_int_equal(a->create_partitions.partition_count,
                         b->create_partitions.partition_count);
        break;
    case META_ALTER_CONFIGS:
        assert_int_equal(a->alter_configs.resource_type, b->alter_configs.resource_type);
        assert_true(slice_eq(a->alter_configs.name, b->alter_configs.name));
        assert_int_equal(a->alter_configs.set_count, b->alter_configs.set_count);
        assert_configs_equal(a->alter_configs.sets, b->alter_configs.sets,
                             a->alter_configs.set_count);
        break;
    case META_ALLOC_PRODUCER_IDS:
        assert_int_equal(a->alloc_producer_ids.count, b->alloc_producer_ids.count);
        break;
    case META_SET_LOG_STARTS:
        assert_int_equal(a->set_log_starts.count, b->set_log_starts.count);
        for (u32 i = 0; i < a->set_log_starts.count; i++) {
            assert_int_equal(a->set_log_starts.starts[i].partition_id,
                             b->set_log_starts.starts[i].partition_id);
            assert_int_equal(a->set_log_starts.starts[i].offset,
                             b->set_log_starts.starts[i].offset);
        }
        break;
    case META_FILE_WAL:
        assert_memory_equal(&a->file_wal, &b->file_wal, sizeof(a->file_wal));
        break;
    case META_REPLACE_PACKS:
        assert_int_equal(a->replace_packs.input_count, b->replace_packs.input_count);
        for (u32 i = 0; i < a->replace_packs.input_count; i++) {
            assert_int_equal(a->replace_packs.inputs[i], b->replace_packs.inputs[i]);
        }
        assert_int_equal(a->replace_packs.output.id, b->replace_packs.output.id);
        assert_int_equal(a->replace_packs.output.bytes, b->replace_packs.output.bytes);
        break;
    }
}

/* The memory behind a prefix is its own, so that a sanitizer sees a read past its end. */
static err_t decode_prefix(const u8 *bytes, size_t len, struct arena *arena)
{
    u8 *copy = mem_alloc(len + 1);
    u8 *start = copy + 1; /* not aligned */
    memcpy(start, bytes, len);
    struct reader r = reader_of(slice_of(start, len));
    struct meta_command c;
    err_t e = meta_command_decode(&r, arena, &c);
    mem_free(copy);
    arena_reset(arena);
    return e;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct model *model = mem_alloc(sizeof(*model));
    model_init(model);
    struct arena arena;
    arena_init(&arena, NULL, 1024, 0);
    for (u32 i = 0; i < RANDOM_COMMANDS; i++) {
        struct drawn d;
        draw_command(&rng, model, &d);
        u8 bytes[BYTES_MAX];
        size_t size = meta_command_size(&d.c);
        assert_true(size <= sizeof(bytes));
        struct writer w = writer_of(bytes, size);
        meta_command_encode(&d.c, &w);
        assert_false(w.failed);
        assert_int_equal(w.len, size);
        struct reader r = reader_of(slice_of(bytes, size));
        struct meta_command back;
        assert_int_equal(meta_command_decode(&r, &arena, &back), OK);
        assert_int_equal(reader_left(&r), 0);
        assert_commands_equal(&d.c, &back);
        arena_reset(&arena);
        for (size_t len = 0; len < size; len++) {
            assert_int_equal(decode_prefix(bytes, len, &arena), ERR_TRUNCATED);
        }
        bytes[rng_below(&rng, size)] ^= (u8)(1u << rng_below(&rng, 8));
        err_t e = decode_prefix(bytes, size, &arena);
        assert_true(e == OK || e == ERR_TRUNCATED || e == ERR_INVALID || e == ERR_VERSION);
    }
    arena_fini(&arena);
    mem_free(model);
}

static void test_strangers(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 1024, 4096);
    const u8 newer_kind[] = {11, 1, 0, 0};
    const u8 newer_version[] = {1, 2, 0, 0};
    const u8 no_kind[] = {0, 1};
    const u8 no_version[] = {1, 0};
    assert_int_equal(decode_prefix(newer_kind, sizeof(newer_kind), &arena), ERR_VERSION);
    assert_int_equal(decode_prefix(newer_version, sizeof(newer_version), &arena), ERR_VERSION);
    assert_int_equal(decode_prefix(no_kind, sizeof(no_kind), &arena), ERR_INVALID);
    assert_int_equal(decode_prefix(no_version, sizeof(no_version), &arena), ERR_INVALID);
    /* 2^32 - 1 configs announced, none there; then more than the arena may hold. */
    const u8 many[] = {6, 1, 4, 0, 0, 0, 0, 255, 255, 255, 255};
    assert_int_equal(decode_prefix(many, sizeof(many), &arena), ERR_TRUNCATED);
    u8 *large = mem_alloc(8 * 4096);
    memcpy(large, (const u8[]){6, 1, 4, 0, 0, 0, 0, 0, 8, 0, 0}, 11);
    assert_int_equal(decode_prefix(large, 8 * 4096, &arena), ERR_NO_MEMORY);
    mem_free(large);
    /* The same with log starts. */
    const u8 many_starts[] = {8, 1, 255, 255, 255, 255, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(decode_prefix(many_starts, sizeof(many_starts), &arena), ERR_TRUNCATED);
    large = mem_alloc(12 * 4096 + 6);
    memcpy(large, (const u8[]){8, 1, 0, 16, 0, 0}, 6);
    assert_int_equal(decode_prefix(large, 12 * 4096 + 6, &arena), ERR_NO_MEMORY);
    mem_free(large);
    arena_fini(&arena);
}

struct golden {
    struct meta_command command;
    const char *hex;
};

static void test_golden(void **state)
{
    (void)state;
    const struct meta_config configs[] = {{SLICE_LIT("k"), SLICE_LIT("v")}, {SLICE_LIT("n"), {0}}};
    static const u64 inputs[] = {7, 8};
    const struct meta_log_start starts[] = {{1, 2}, {258, 0x1122334455667788}};
    const struct uuid id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    const struct golden rows[] = {
        {{.kind = META_REGISTER, .reg = {.node = 1, .wal = 2, .nonce = 0x1122334455667788}},
         "0101"
         "01000000"
         "0200000000000000"
         "8877665544332211"},
        {{.kind = META_SEAL_WAL, .seal = {.wal = 2, .length = 258}},
         "0201"
         "0200000000000000"
         "0201000000000000"},
        {{.kind = META_CREATE_TOPIC,
          .create_topic = {.id = id,
                           .name = SLICE_LIT("ab"),
                           .internal = true,
                           .replication_factor = -1,
                           .partition_count = 3,
                           .configs = configs,
                           .config_count = 1}},
         "0301"
         "0102030405060708090a0b0c0d0e0f10"
         "020000006162"
         "01"
         "ffff"
         "03000000"
         "01000000"
         "010000006b"
         "0100000076"},
        {{.kind = META_DELETE_TOPIC, .delete_topic = {.id = id}},
         "0401"
         "0102030405060708090a0b0c0d0e0f10"},
        {{.kind = META_CREATE_PARTITIONS, .create_partitions = {.id = id, .partition_count = 7}},
         "0501"
         "0102030405060708090a0b0c0d0e0f10"
         "07000000"},
        {{.kind = META_ALTER_CONFIGS,
          .alter_configs =
              {.resource_type = 4, .name = SLICE_LIT("1"), .sets = configs, .set_count = 2}},
         "0601"
         "04"
         "0100000031"
         "02000000"
         "010000006b"
         "0100000076"
         "010000006e"
         "ffffffff"},
        {{.kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {1000}},
         "0701"
         "e8030000"},
        {{.kind = META_SET_LOG_STARTS, .set_log_starts = {starts, 2}},
         "0801"
         "02000000"
         "010000000200000000000000"
         "020100008877665544332211"},
        {{.kind = META_FILE_WAL, .file_wal = {.wal = 3, .from = 4, .to = 261, .pack = {7, 8192}}},
         "0901"
         "0300000000000000"
         "0400000000000000"
         "0501000000000000"
         "0700000000000000"
         "0020000000000000"},
        {{.kind = META_REPLACE_PACKS, .replace_packs = {inputs, 2, {9, 4096}}},
         "0a01"
         "02000000"
         "0700000000000000"
         "0800000000000000"
         "0900000000000000"
         "0010000000000000"},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        u8 bytes[BYTES_MAX];
        struct writer w = writer_of(bytes, sizeof(bytes));
        meta_command_encode(&rows[i].command, &w);
        char hex[2 * BYTES_MAX + 1];
        for (size_t k = 0; k < w.len; k++) {
            snprintf(hex + 2 * k, 3, "%02x", bytes[k]);
        }
        assert_string_equal(hex, rows[i].hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
