/* Commands as bytes and back (docs/internals/formats-metadata.md). u8 kind, u8 version, fields little-endian; strings are u32 length and
   bytes, a missing value is length 2^32-1. */
#include "meta/meta_private.h"

enum { COMMAND_VERSION = 1 };
#define NO_VALUE UINT32_MAX

/* ---- out ---------------------------------------------------------------------------------------------- */

static void write_string(struct writer *w, struct slice s)
{
    write_le32(w, (u32)s.len);
    write_bytes(w, s.ptr, s.len);
}

static void write_configs(struct writer *w, const struct meta_config *configs, u32 count)
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
        write_bytes(w, c->create_topic.id.bytes, sizeof c->create_topic.id.bytes);
        write_string(w, c->create_topic.name);
        write_u8(w, c->create_topic.internal);
        write_le16(w, (u16)c->create_topic.replication_factor);
        write_le32(w, c->create_topic.partition_count);
        write_configs(w, c->create_topic.configs, c->create_topic.config_count);
        break;
    case META_DELETE_TOPIC:
        write_bytes(w, c->delete_topic.id.bytes, sizeof c->delete_topic.id.bytes);
        break;
    case META_CREATE_PARTITIONS:
        write_bytes(w, c->create_partitions.id.bytes, sizeof c->create_partitions.id.bytes);
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
    }
}

static size_t configs_size(const struct meta_config *configs, u32 count)
{
    size_t bytes = 4;
    for (u32 i = 0; i < count; i++) {
        bytes += 8 + configs[i].key.len + configs[i].value.len;
    }
    return bytes;
}

size_t meta_command_size(const struct meta_command *c)
{
    switch (c->kind) {
    case META_REGISTER:
        return 2 + 20;
    case META_SEAL_WAL:
        return 2 + 16;
    case META_CREATE_TOPIC:
        return 2 + 16 + 4 + c->create_topic.name.len + 1 + 2 + 4 +
               configs_size(c->create_topic.configs, c->create_topic.config_count);
    case META_DELETE_TOPIC:
        return 2 + 16;
    case META_CREATE_PARTITIONS:
        return 2 + 20;
    case META_ALTER_CONFIGS:
        return 2 + 1 + 4 + c->alter_configs.name.len + configs_size(c->alter_configs.sets, c->alter_configs.set_count);
    case META_ALLOC_PRODUCER_IDS:
        return 2 + 4;
    }
    return 2;
}

/* ---- in ------------------------------------------------------------------------------------------------- */

static struct slice read_string(struct reader *r)
{
    return read_bytes(r, read_le32(r));
}

static MUST_USE err_t read_configs(struct reader *r, struct arena *arena, const struct meta_config **configs, u32 *count)
{
    *count = read_le32(r);
    if (r->failed || *count > reader_left(r) / 8) {
        return ERR_INVALID;
    }
    struct meta_config *list = arena_array(arena, *count, sizeof *list);
    if (list == NULL && *count > 0) {
        return ERR_NO_MEMORY;
    }
    for (u32 i = 0; i < *count; i++) {
        list[i].key = read_string(r);
        u32 len = read_le32(r);
        list[i].value = len == NO_VALUE ? (struct slice){0} : read_bytes(r, len);
        if (len == 0) {
            list[i].value = slice_of("", 0);
        }
    }
    *configs = list;
    return OK;
}

static struct uuid read_uuid(struct reader *r)
{
    struct uuid id = {{0}};
    struct slice bytes = read_bytes(r, sizeof id.bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        id.bytes[i] = bytes.ptr[i];
    }
    return id;
}

err_t meta_command_decode(struct reader *in, struct arena *arena, struct meta_command *out)
{
    *out = (struct meta_command){.kind = (enum meta_command_kind)read_u8(in)};
    u8 version = read_u8(in);
    if (in->failed) {
        return ERR_TRUNCATED;
    }
    if (version != COMMAND_VERSION) {
        return ERR_VERSION;
    }
    switch (out->kind) {
    case META_REGISTER:
        out->reg.node = (i32)read_le32(in);
        out->reg.wal = read_le64(in);
        out->reg.nonce = read_le64(in);
        break;
    case META_SEAL_WAL:
        out->seal.wal = read_le64(in);
        out->seal.length = read_le64(in);
        break;
    case META_CREATE_TOPIC:
        out->create_topic.id = read_uuid(in);
        out->create_topic.name = read_string(in);
        out->create_topic.internal = read_u8(in) != 0;
        out->create_topic.replication_factor = (i16)read_le16(in);
        out->create_topic.partition_count = read_le32(in);
        TRY(read_configs(in, arena, &out->create_topic.configs, &out->create_topic.config_count));
        break;
    case META_DELETE_TOPIC:
        out->delete_topic.id = read_uuid(in);
        break;
    case META_CREATE_PARTITIONS:
        out->create_partitions.id = read_uuid(in);
        out->create_partitions.partition_count = read_le32(in);
        break;
    case META_ALTER_CONFIGS:
        out->alter_configs.resource_type = (i8)read_u8(in);
        out->alter_configs.name = read_string(in);
        TRY(read_configs(in, arena, &out->alter_configs.sets, &out->alter_configs.set_count));
        break;
    case META_ALLOC_PRODUCER_IDS:
        out->alloc_producer_ids.count = read_le32(in);
        break;
    default:
        return ERR_INVALID;
    }
    return in->failed ? ERR_TRUNCATED : OK;
}
