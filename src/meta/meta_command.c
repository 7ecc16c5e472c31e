/* Commands as bytes and back (docs/internals/formats-metadata.md): u8 kind, u8 version, the fields
   in order, little-endian. Also the strings and lists of configs that snapshots are made of. */
#include "meta/meta_private.h"

#include <string.h>

enum {
    COMMAND_VERSION = 1,
    UUID_BYTES = 16,
    CONFIG_BYTES_MIN = 8, /* two lengths */
    PACK_BYTES = 8 + 8,
    LOG_START_BYTES = 4 + 8,
    FLAG_INTERNAL = 1,
};
#define NO_VALUE UINT32_MAX

/* ---- strings and configs --------------------------------------------------------------------- */

void write_string(struct writer *w, struct slice s)
{
    assert(s.len < NO_VALUE);
    write_le32(w, (u32)s.len);
    write_bytes(w, s.ptr, s.len);
}

void write_configs(struct writer *w, const struct meta_config *configs, u32 count)
{
    write_le32(w, count);
    for (u32 i = 0; i < count; i++) {
        write_string(w, configs[i].key);
        if (configs[i].value.ptr == NULL) {
            write_le32(w, NO_VALUE);
        } else {
            write_string(w, configs[i].value);
        }
    }
}

size_t configs_size(const struct meta_config *configs, u32 count)
{
    size_t bytes = sizeof(u32);
    for (u32 i = 0; i < count; i++) {
        bytes += CONFIG_BYTES_MIN + configs[i].key.len;
        bytes += configs[i].value.ptr == NULL ? 0 : configs[i].value.len;
    }
    return bytes;
}

struct uuid read_uuid(struct reader *r)
{
    struct uuid id = {{0}};
    struct slice bytes = read_bytes(r, sizeof(id.bytes));
    if (!r->failed) {
        memcpy(id.bytes, bytes.ptr, sizeof(id.bytes));
    }
    return id;
}

struct slice read_string(struct reader *r)
{
    return read_bytes(r, read_le32(r));
}

/* A value that is empty is not one that is missing: it keeps a pointer. */
static struct slice read_value(struct reader *r)
{
    u32 len = read_le32(r);
    if (len == NO_VALUE) {
        return (struct slice){0};
    }
    struct slice value = read_bytes(r, len);
    return value.ptr == NULL ? SLICE_LIT("") : value;
}

err_t read_configs(struct reader *r, struct arena *arena, const struct meta_config **configs,
                   u32 *count)
{
    u32 announced = read_le32(r);
    if (r->failed || announced > reader_left(r) / CONFIG_BYTES_MIN) {
        return ERR_TRUNCATED;
    }
    struct meta_config *list = NULL;
    if (announced > 0) {
        list = arena_array(arena, announced, sizeof(*list));
        if (list == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    for (u32 i = 0; i < announced; i++) {
        list[i].key = read_string(r);
        list[i].value = read_value(r);
    }
    *configs = list;
    *count = announced;
    return r->failed ? ERR_TRUNCATED : OK;
}

void write_pack(struct writer *w, struct meta_pack pack)
{
    write_le64(w, pack.id);
    write_le64(w, pack.bytes);
}

struct meta_pack read_pack(struct reader *r)
{
    struct meta_pack pack = {.id = read_le64(r)};
    pack.bytes = read_le64(r);
    return pack;
}

/* ---- out ------------------------------------------------------------------------------------- */

size_t meta_command_size(const struct meta_command *c)
{
    size_t head = 2;
    switch (c->kind) {
    case META_REGISTER:
        return head + sizeof(i32) + sizeof(u64) + sizeof(u64);
    case META_SEAL_WAL:
        return head + sizeof(u64) + sizeof(u64);
    case META_CREATE_TOPIC:
        return head + UUID_BYTES + sizeof(u32) + c->create_topic.name.len + sizeof(u8) +
               sizeof(i16) + sizeof(u32) +
               configs_size(c->create_topic.configs, c->create_topic.config_count);
    case META_DELETE_TOPIC:
        return head + UUID_BYTES;
    case META_CREATE_PARTITIONS:
        return head + UUID_BYTES + sizeof(u32);
    case META_ALTER_CONFIGS:
        return head + sizeof(i8) + sizeof(u32) + c->alter_configs.name.len +
               configs_size(c->alter_configs.sets, c->alter_configs.set_count);
    case META_ALLOC_PRODUCER_IDS:
        return head + sizeof(u32);
    case META_SET_LOG_STARTS:
        return head + sizeof(u32) + (size_t)c->set_log_starts.count * LOG_START_BYTES;
    case META_FILE_WAL:
        return head + 3 * sizeof(u64) + PACK_BYTES;
    case META_REPLACE_PACKS:
        return head + sizeof(u32) + c->replace_packs.input_count * sizeof(u64) + PACK_BYTES;
    }
    assert(false && "a command has one of the kinds");
    return 0;
}

void meta_command_encode(const struct meta_command *c, struct writer *w)
{
    write_u8(w, (u8)c->kind);
    write_u8(w, COMMAND_VERSION);
    switch (c->kind) {
    case META_REGISTER:
        write_le32(w, (u32)c->reg.node);
        write_le64(w, c->reg.wal);
        write_le64(w, c->reg.nonce);
        break;
    case META_SEAL_WAL:
        write_le64(w, c->seal.wal);
        write_le64(w, c->seal.length);
        break;
    case META_CREATE_TOPIC:
        write_bytes(w, c->create_topic.id.bytes, UUID_BYTES);
        write_string(w, c->create_topic.name);
        write_u8(w, c->create_topic.internal ? FLAG_INTERNAL : 0);
        write_le16(w, (u16)c->create_topic.replication_factor);
        write_le32(w, c->create_topic.partition_count);
        write_configs(w, c->create_topic.configs, c->create_topic.config_count);
        break;
    case META_DELETE_TOPIC:
        write_bytes(w, c->delete_topic.id.bytes, UUID_BYTES);
        break;
    case META_CREATE_PARTITIONS:
        write_bytes(w, c->create_partitions.id.bytes, UUID_BYTES);
        write_le32(w, c->create_partitions.partition_count);
        break;
    case META_ALTER_CONFIGS:
        write_u8(w, (u8)c->alter_configs.resource_type);
        write_string(w, c->alter_configs.name);
        write_configs(w, c->alter_configs.sets, c->alter_configs.set_count);
        break;
    case META_ALLOC_PRODUCER_IDS:
        write_le32(w, c->alloc_producer_ids.count);
        break;
    case META_SET_LOG_STARTS:
        write_le32(w, c->set_log_starts.count);
        for (u32 i = 0; i < c->set_log_starts.count; i++) {
            write_le32(w, c->set_log_starts.starts[i].partition_id);
            write_le64(w, c->set_log_starts.starts[i].offset);
        }
        break;
    case META_FILE_WAL:
        write_le64(w, c->file_wal.wal);
        write_le64(w, c->file_wal.from);
        write_le64(w, c->file_wal.to);
        write_pack(w, c->file_wal.pack);
        break;
    case META_REPLACE_PACKS:
        write_le32(w, c->replace_packs.input_count);
        for (u32 i = 0; i < c->replace_packs.input_count; i++) {
            write_le64(w, c->replace_packs.inputs[i]);
        }
        write_pack(w, c->replace_packs.output);
        break;
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

static MUST_USE err_t create_topic_decode(struct reader *in, struct arena *arena,
                                          struct meta_command *c)
{
    c->create_topic.id = read_uuid(in);
    c->create_topic.name = read_string(in);
    u8 flags = read_u8(in);
    c->create_topic.internal = flags == FLAG_INTERNAL;
    c->create_topic.replication_factor = (i16)read_le16(in);
    c->create_topic.partition_count = read_le32(in);
    if (flags > FLAG_INTERNAL) {
        return ERR_INVALID;
    }
    return read_configs(in, arena, &c->create_topic.configs, &c->create_topic.config_count);
}

static MUST_USE err_t log_starts_decode(struct reader *in, struct arena *arena,
                                        struct meta_command *c)
{
    u32 count = read_le32(in);
    if (in->failed || count > reader_left(in) / LOG_START_BYTES) {
        return ERR_TRUNCATED;
    }
    struct meta_log_start *starts = NULL;
    if (count > 0) {
        starts = arena_array(arena, count, sizeof(*starts));
        if (starts == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    for (u32 i = 0; i < count; i++) {
        starts[i].partition_id = read_le32(in);
        starts[i].offset = read_le64(in);
    }
    c->set_log_starts.starts = starts;
    c->set_log_starts.count = count;
    return OK;
}

static MUST_USE err_t replace_packs_decode(struct reader *in, struct arena *arena,
                                           struct meta_command *c)
{
    u32 count = read_le32(in);
    if (in->failed || count > reader_left(in) / sizeof(u64)) {
        return ERR_TRUNCATED;
    }
    u64 *inputs = NULL;
    if (count > 0) {
        inputs = arena_array(arena, count, sizeof(*inputs));
        if (inputs == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    for (u32 i = 0; i < count; i++) {
        inputs[i] = read_le64(in);
    }
    c->replace_packs.inputs = inputs;
    c->replace_packs.input_count = count;
    c->replace_packs.output = read_pack(in);
    return OK;
}

static MUST_USE err_t body_decode(struct reader *in, struct arena *arena, struct meta_command *c)
{
    switch (c->kind) {
    case META_REGISTER:
        c->reg.node = (i32)read_le32(in);
        c->reg.wal = read_le64(in);
        c->reg.nonce = read_le64(in);
        break;
    case META_SEAL_WAL:
        c->seal.wal = read_le64(in);
        c->seal.length = read_le64(in);
        break;
    case META_CREATE_TOPIC:
        return create_topic_decode(in, arena, c);
    case META_DELETE_TOPIC:
        c->delete_topic.id = read_uuid(in);
        break;
    case META_CREATE_PARTITIONS:
        c->create_partitions.id = read_uuid(in);
        c->create_partitions.partition_count = read_le32(in);
        break;
    case META_ALTER_CONFIGS:
        c->alter_configs.resource_type = (i8)read_u8(in);
        c->alter_configs.name = read_string(in);
        return read_configs(in, arena, &c->alter_configs.sets, &c->alter_configs.set_count);
    case META_ALLOC_PRODUCER_IDS:
        c->alloc_producer_ids.count = read_le32(in);
        break;
    case META_SET_LOG_STARTS:
        return log_starts_decode(in, arena, c);
    case META_FILE_WAL:
        c->file_wal.wal = read_le64(in);
        c->file_wal.from = read_le64(in);
        c->file_wal.to = read_le64(in);
        c->file_wal.pack = read_pack(in);
        break;
    case META_REPLACE_PACKS:
        return replace_packs_decode(in, arena, c);
    }
    return OK;
}

err_t meta_command_decode(struct reader *in, struct arena *arena, struct meta_command *out)
{
    u8 kind = read_u8(in);
    u8 version = read_u8(in);
    if (in->failed) {
        return ERR_TRUNCATED;
    }
    if (kind == 0 || version == 0) {
        return ERR_INVALID;
    }
    /* What we do not know was written by a program that knew more. */
    if (kind > META_REPLACE_PACKS || version > COMMAND_VERSION) {
        return ERR_VERSION;
    }
    struct meta_command c = {.kind = (enum meta_command_kind)kind};
    TRY(body_decode(in, arena, &c));
    if (in->failed) {
        return ERR_TRUNCATED;
    }
    *out = c;
    return OK;
}
