/* The whole state as bytes (docs/internals/formats-metadata.md) and back. Everything is written in an order that depends on the state alone:
   equal states give equal bytes. */
#include "meta/meta_private.h"

enum { SNAPSHOT_VERSION = 1 };

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
        write_string(w, configs[i].value);
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

size_t meta_snapshot_size(const struct meta *m)
{
    size_t bytes = 4 + 4 + 4 + 8 + 8 + 4 + 4 + 4;
    bytes += m->session_count * (size_t)(8 + 8 + 4 + 1 + 8);
    for (u32 i = 0; i < m->topic_count; i++) {
        const struct meta_topic *t = &m->topics[i]->t;
        bytes += 16 + 4 + t->name.len + 1 + 2 + 4 + 4 + t->range_count * (size_t)8 + configs_size(t->configs, t->config_count);
    }
    for (u32 i = 0; i < m->resource_count; i++) {
        bytes += 1 + 4 + m->resources[i].name.len + configs_size(m->resources[i].configs, m->resources[i].config_count);
    }
    return bytes;
}

void meta_snapshot_write(const struct meta *m, struct writer *w)
{
    write_le32(w, SNAPSHOT_VERSION);
    write_le32(w, m->next_partition_id);
    write_le32(w, m->seals);
    write_le64(w, m->next_wal);
    write_le64(w, m->next_producer_id);
    write_le32(w, m->session_count);
    for (u32 i = 0; i < m->session_count; i++) {
        const struct meta_session *s = &m->sessions[i];
        write_le64(w, s->wal);
        write_le64(w, s->nonce);
        write_le32(w, (u32)s->node);
        write_u8(w, s->sealed);
        write_le64(w, s->length);
    }
    write_le32(w, m->topic_count);
    for (u32 i = 0; i < m->topic_count; i++) {
        const struct meta_topic *t = &m->topics[i]->t;
        write_bytes(w, t->id.bytes, sizeof t->id.bytes);
        write_string(w, t->name);
        write_u8(w, t->internal);
        write_le16(w, (u16)t->replication_factor);
        write_le32(w, t->created_seals);
        write_le32(w, t->range_count);
        for (u32 k = 0; k < t->range_count; k++) {
            write_le32(w, t->ranges[k].first_id);
            write_le32(w, t->ranges[k].count);
        }
        write_configs(w, t->configs, t->config_count);
    }
    write_le32(w, m->resource_count);
    for (u32 i = 0; i < m->resource_count; i++) {
        write_u8(w, (u8)m->resources[i].type);
        write_string(w, m->resources[i].name);
        write_configs(w, m->resources[i].configs, m->resources[i].config_count);
    }
}

/* ---- in ------------------------------------------------------------------------------------------------- */

static struct slice own_string(struct reader *r)
{
    struct slice s = read_bytes(r, read_le32(r));
    return slice_of(mem_strndup(s), s.len);
}

static MUST_USE bool load_configs(struct reader *r, struct meta_config **configs, u32 *count)
{
    u32 n = read_le32(r);
    if (r->failed || n > reader_left(r) / 8) {
        return false;
    }
    *configs = n == 0 ? NULL : mem_alloc(n * sizeof **configs);
    for (*count = 0; *count < n; (*count)++) {
        (*configs)[*count].key = own_string(r);
        (*configs)[*count].value = own_string(r);
    }
    return !r->failed;
}

static MUST_USE bool load_topic(struct meta *m, struct reader *r)
{
    struct topic *t = mem_alloc(sizeof *t);
    struct slice id = read_bytes(r, sizeof t->t.id.bytes);
    for (size_t i = 0; i < id.len; i++) {
        t->t.id.bytes[i] = id.ptr[i];
    }
    t->t.name = own_string(r);
    t->t.internal = read_u8(r) != 0;
    t->t.replication_factor = (i16)read_le16(r);
    t->t.created_seals = read_le32(r);
    u32 ranges = read_le32(r);
    bool repeated = meta_topic_by_name(m, t->t.name) != NULL || meta_topic_by_id(m, t->t.id) != NULL;
    meta_topic_insert(m, t); /* from here on meta_destroy frees it */
    if (r->failed || repeated || ranges > reader_left(r) / 8) {
        return false;
    }
    t->t.ranges = mem_alloc(MAX(ranges, 1u) * sizeof *t->t.ranges);
    for (u32 i = 0; i < ranges; i++) {
        struct meta_range range = {read_le32(r), 0};
        range.count = read_le32(r);
        if (r->failed || range.count == 0 || range.first_id > m->next_partition_id ||
            range.count > m->next_partition_id - range.first_id) {
            return false;
        }
        t->t.ranges[t->t.range_count++] = range;
        meta_run_add(m, (struct run){range, t, t->t.partition_count});
        t->t.partition_count += range.count;
        m->partition_total += range.count;
    }
    return load_configs(r, &t->t.configs, &t->t.config_count);
}

static MUST_USE bool load_session(struct meta *m, struct reader *r)
{
    struct meta_session s = {.wal = read_le64(r), .nonce = read_le64(r), .node = (i32)read_le32(r)};
    s.sealed = read_u8(r) != 0;
    s.length = read_le64(r);
    s.retired = s.sealed && s.length == 0;
    if (!r->failed) {
        meta_session_add(m, &s);
    }
    return !r->failed;
}

err_t meta_snapshot_load(struct meta *m, struct slice bytes)
{
    assert(m->topic_count == 0 && m->session_count == 0);
    struct reader r = reader_of(bytes);
    u32 version = read_le32(&r);
    if (!r.failed && version != SNAPSHOT_VERSION) {
        return ERR_VERSION;
    }
    m->next_partition_id = read_le32(&r);
    m->seals = read_le32(&r);
    m->next_wal = read_le64(&r);
    m->next_producer_id = read_le64(&r);
    bool good = !r.failed;
    for (u32 left = read_le32(&r); good && left > 0; left--) {
        good = load_session(m, &r);
    }
    for (u32 left = read_le32(&r); good && left > 0; left--) {
        good = load_topic(m, &r);
    }
    for (u32 left = read_le32(&r); good && left > 0; left--) {
        i8 type = (i8)read_u8(&r);
        struct slice name = read_bytes(&r, read_le32(&r));
        struct resource *resource = r.failed ? NULL : meta_resource(m, type, name);
        good = resource != NULL && resource->configs == NULL && load_configs(&r, &resource->configs, &resource->config_count);
    }
    return good && !r.failed && reader_left(&r) == 0 ? OK : ERR_CORRUPT;
}
