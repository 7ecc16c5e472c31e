/* The whole state as bytes and back (docs/internals/formats-metadata.md). Everything is written in
   an order that the state alone decides, so equal states give equal bytes; and what is loaded is
   checked as if it came from a stranger: what meta_snapshot_load accepts, meta_snapshot_write gives
   back byte for byte. So a version has no more to say than it must: 1 is written until a partition
   has a log start, and programs that know no other can still read it. */
#include "meta/meta_private.h"

#include <stdlib.h>

enum {
    VERSION_PLAIN = 1,
    VERSION_LOG_STARTS = 2, /* and log starts, at least one */
    VERSION_FILED = 3,      /* and log starts, perhaps none; packs, and how far WALs are filed */
    LOAD_BLOCK_BYTES = 4096,
    UUID_BYTES = 16,
    SESSION_BYTES = 8 + 8 + 4 + 1 + 8 + 8,
    RANGE_BYTES = 4 + 4,
    LOG_START_BYTES = 4 + 8,
    PACK_BYTES = 8 + 8,
    TRIM_BYTES = 8 + 8,
    FLAG_INTERNAL = 1,
    FLAG_SEALED = 1,
};

/* ---- out ------------------------------------------------------------------------------------- */

static size_t topic_size(const struct meta_topic *t)
{
    return UUID_BYTES + sizeof(u32) + t->name.len + sizeof(u8) + sizeof(i16) + sizeof(u32) +
           sizeof(u32) + (size_t)t->range_count * RANGE_BYTES +
           configs_size(t->configs, t->config_count);
}

static u32 trims_count(const struct meta *m)
{
    u32 count = 0;
    for (u32 i = 0; i < m->session_count; i++) {
        count += m->sessions[i].s.trim > 0;
    }
    return count;
}

static u8 version_of(const struct meta *m)
{
    if (m->next_pack > 1 || trims_count(m) > 0) {
        return VERSION_FILED;
    }
    return m->log_start_count > 0 ? VERSION_LOG_STARTS : VERSION_PLAIN;
}

size_t meta_snapshot_size(const struct meta *m)
{
    size_t bytes = sizeof(u8) + sizeof(u32) + sizeof(u32) + sizeof(u64) + sizeof(u64);
    bytes += sizeof(u32) + (size_t)m->session_count * SESSION_BYTES;
    bytes += sizeof(u32);
    for (u32 i = 0; i < m->topic_count; i++) {
        bytes += topic_size(&m->topics[i]->t);
    }
    bytes += sizeof(u32);
    for (u32 i = 0; i < m->resource_count; i++) {
        const struct resource *r = &m->resources[i];
        bytes += sizeof(i8) + sizeof(u32) + r->name.len;
        bytes += configs_size(r->configs.items, r->configs.count);
    }
    u8 version = version_of(m);
    if (version >= VERSION_LOG_STARTS) {
        bytes += sizeof(u32) + (size_t)m->log_start_count * LOG_START_BYTES;
    }
    if (version >= VERSION_FILED) {
        bytes += sizeof(u64) + sizeof(u32) + (size_t)m->pack_count * PACK_BYTES;
        bytes += sizeof(u32) + (size_t)trims_count(m) * TRIM_BYTES;
    }
    return bytes;
}

static void session_write(const struct session *s, struct writer *w)
{
    write_le64(w, s->s.wal);
    write_le64(w, s->s.nonce);
    write_le32(w, (u32)s->s.node);
    write_u8(w, s->s.sealed ? FLAG_SEALED : 0);
    write_le64(w, s->s.length);
    write_le64(w, s->retired_at);
}

static void topic_write(const struct meta_topic *t, struct writer *w)
{
    write_bytes(w, t->id.bytes, UUID_BYTES);
    write_string(w, t->name);
    write_u8(w, t->internal ? FLAG_INTERNAL : 0);
    write_le16(w, (u16)t->replication_factor);
    write_le32(w, t->created_seals);
    write_le32(w, t->range_count);
    for (u32 i = 0; i < t->range_count; i++) {
        write_le32(w, t->ranges[i].first_id);
        write_le32(w, t->ranges[i].count);
    }
    write_configs(w, t->configs, t->config_count);
}

static void log_starts_write(const struct meta *m, struct writer *w)
{
    write_le32(w, m->log_start_count);
    for (u32 i = 0; i < m->log_start_count; i++) {
        write_le32(w, m->log_starts[i].partition_id);
        write_le64(w, m->log_starts[i].offset);
    }
}

static void filed_write(const struct meta *m, struct writer *w)
{
    write_le64(w, m->next_pack);
    write_le32(w, m->pack_count);
    for (u32 i = 0; i < m->pack_count; i++) {
        write_pack(w, m->packs[i]);
    }
    write_le32(w, trims_count(m));
    for (u32 i = 0; i < m->session_count; i++) {
        const struct meta_session *s = &m->sessions[i].s;
        if (s->trim > 0) {
            write_le64(w, s->wal);
            write_le64(w, s->trim);
        }
    }
}

void meta_snapshot_write(const struct meta *m, struct writer *w)
{
    u8 version = version_of(m);
    write_u8(w, version);
    write_le32(w, m->next_partition_id);
    write_le32(w, m->seals);
    write_le64(w, m->next_wal);
    write_le64(w, m->next_producer_id);
    write_le32(w, m->session_count);
    for (u32 i = 0; i < m->session_count; i++) {
        session_write(&m->sessions[i], w);
    }
    write_le32(w, m->topic_count);
    for (u32 i = 0; i < m->topic_count; i++) {
        topic_write(&m->topics[i]->t, w);
    }
    write_le32(w, m->resource_count);
    for (u32 i = 0; i < m->resource_count; i++) {
        const struct resource *r = &m->resources[i];
        write_u8(w, (u8)r->type);
        write_string(w, r->name);
        write_configs(w, r->configs.items, r->configs.count);
    }
    if (version >= VERSION_LOG_STARTS) {
        log_starts_write(m, w);
    }
    if (version >= VERSION_FILED) {
        filed_write(m, w);
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

static MUST_USE err_t session_load(struct meta *m, struct reader *r)
{
    struct session s = {.s = {.wal = read_le64(r), .nonce = read_le64(r)}};
    s.s.node = (i32)read_le32(r);
    u8 flags = read_u8(r);
    s.s.sealed = flags == FLAG_SEALED;
    s.s.length = read_le64(r);
    s.retired_at = read_le64(r);
    u64 after = m->session_count == 0 ? 0 : m->sessions[m->session_count - 1].s.wal;
    bool good = !r->failed && flags <= FLAG_SEALED && s.s.wal > after && s.s.wal < m->next_wal &&
                (s.s.sealed || s.s.length == 0) && s.retired_at <= m->next_wal;
    if (!good) {
        return ERR_CORRUPT;
    }
    session_push(m, s);
    return OK;
}

/* The configs as the state keeps them: sorted, none twice, none without a value. */
static MUST_USE err_t configs_load(struct reader *r, struct arena *arena, struct configs *out)
{
    const struct meta_config *list;
    u32 count;
    if (read_configs(r, arena, &list, &count) != OK) {
        return ERR_CORRUPT;
    }
    for (u32 i = 1; i < count && count <= META_CONFIGS_MAX; i++) {
        if (slice_cmp(list[i - 1].key, list[i].key) >= 0) {
            return ERR_CORRUPT;
        }
    }
    if (configs_check((struct configs){0}, list, count, false) != KERR_NONE) {
        return ERR_CORRUPT;
    }
    *out = configs_merge((struct configs){0}, list, count);
    return OK;
}

static MUST_USE err_t ranges_load(struct meta *m, struct topic *t, struct reader *r)
{
    u32 count = read_le32(r);
    if (r->failed || count == 0 || count > reader_left(r) / RANGE_BYTES) {
        return ERR_CORRUPT;
    }
    t->t.ranges = mem_alloc(count * sizeof(t->t.ranges[0]));
    for (u32 i = 0; i < count; i++) {
        struct meta_range range = {.first_id = read_le32(r)};
        range.count = read_le32(r);
        bool good = range.first_id > 0 && range.count > 0 &&
                    range.first_id < m->next_partition_id &&
                    range.count <= m->next_partition_id - range.first_id &&
                    range.count <= INT32_MAX - t->t.partition_count &&
                    range.count <= UINT32_MAX - m->partition_total;
        if (!good) {
            return ERR_CORRUPT;
        }
        run_push(m, (struct run){.range = range, .topic = t, .first_index = t->t.partition_count});
        t->t.ranges[i] = range;
        t->t.range_count++;
        t->t.partition_count += range.count;
        m->partition_total += range.count;
    }
    return OK;
}

static MUST_USE err_t topic_load(struct meta *m, struct reader *r, struct arena *arena)
{
    struct uuid id = read_uuid(r);
    struct slice name = read_string(r);
    bool good = !r->failed && name.len > 0 && name.len <= META_NAME_BYTES_MAX &&
                !uuid_is_zero(id) && topic_find(m, id) == NULL &&
                meta_topic_collision(m, name) == NULL;
    if (good && m->topic_count > 0) {
        good = slice_cmp(m->topics[m->topic_count - 1]->t.name, name) < 0;
    }
    if (!good) {
        return ERR_CORRUPT;
    }
    struct topic *t = topic_create(name);
    t->t.id = id;
    topic_insert(m, t, m->topic_count); /* from here on the state owns it */
    u8 flags = read_u8(r);
    t->t.internal = flags == FLAG_INTERNAL;
    t->t.replication_factor = (i16)read_le16(r);
    t->t.created_seals = read_le32(r);
    if (flags > FLAG_INTERNAL || t->t.created_seals > m->seals) {
        return ERR_CORRUPT;
    }
    TRY(ranges_load(m, t, r));
    struct configs configs;
    TRY(configs_load(r, arena, &configs));
    t->t.configs = configs.items;
    t->t.config_count = configs.count;
    return OK;
}

static MUST_USE err_t resource_load(struct meta *m, struct reader *r, struct arena *arena)
{
    i8 type = (i8)read_u8(r);
    struct slice name = read_string(r);
    if (r->failed || !resource_name_fits(type, name) ||
        resource_lower_bound(m, type, name) != m->resource_count ||
        resource_is(m, m->resource_count, type, name)) {
        return ERR_CORRUPT;
    }
    struct configs configs;
    TRY(configs_load(r, arena, &configs));
    if (configs.count == 0) {
        return ERR_CORRUPT;
    }
    resource_insert(m, m->resource_count, type, name);
    m->resources[m->resource_count - 1].configs = configs;
    return OK;
}

static int run_cmp(const void *a, const void *b)
{
    const struct run *left = a;
    const struct run *right = b;
    return (left->range.first_id > right->range.first_id) -
           (left->range.first_id < right->range.first_id);
}

/* Topics came in order of name, and runs with them. */
static MUST_USE err_t runs_sort(struct meta *m)
{
    if (m->run_count > 1) {
        qsort(m->runs, m->run_count, sizeof(m->runs[0]), run_cmp);
    }
    for (u32 i = 1; i < m->run_count; i++) {
        const struct meta_range *before = &m->runs[i - 1].range;
        if (m->runs[i].range.first_id - before->first_id < before->count) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

static MUST_USE err_t log_starts_load(struct meta *m, struct reader *r, u32 count_min)
{
    u32 count = read_le32(r);
    if (r->failed || count < count_min || count > reader_left(r) / LOG_START_BYTES) {
        return ERR_CORRUPT;
    }
    log_starts_reserve(m, count);
    for (u32 i = 0; i < count; i++) {
        struct meta_log_start s = {.partition_id = read_le32(r)};
        s.offset = read_le64(r);
        bool good = s.offset > 0 && s.offset <= INT64_MAX &&
                    run_find(m, s.partition_id) < m->run_count &&
                    (i == 0 || s.partition_id > m->log_starts[i - 1].partition_id);
        if (!good) {
            return ERR_CORRUPT;
        }
        m->log_starts[i] = s;
        m->log_start_count++;
    }
    return OK;
}

static MUST_USE err_t packs_load(struct meta *m, struct reader *r)
{
    m->next_pack = read_le64(r);
    u32 count = read_le32(r);
    if (r->failed || m->next_pack == 0 || m->next_pack > META_PACK_ID_MAX ||
        count > reader_left(r) / PACK_BYTES) {
        return ERR_CORRUPT;
    }
    packs_reserve(m, count);
    for (u32 i = 0; i < count; i++) {
        struct meta_pack pack = read_pack(r);
        if (pack.id == 0 || pack.id >= m->next_pack || pack.bytes == 0) {
            return ERR_CORRUPT;
        }
        for (u32 k = 0; k < i; k++) {
            if (m->packs[k].id == pack.id) {
                return ERR_CORRUPT;
            }
        }
        m->packs[i] = pack;
        m->pack_count++;
    }
    return OK;
}

static MUST_USE err_t trims_load(struct meta *m, struct reader *r)
{
    u64 before = 0;
    u32 count = read_le32(r);
    for (u32 i = 0; i < count; i++) {
        u64 wal = read_le64(r);
        u64 trim = read_le64(r);
        u32 at = session_find(m, wal);
        if (r->failed || wal <= before || trim == 0 || at == m->session_count ||
            (m->sessions[at].s.sealed && trim > m->sessions[at].s.length)) {
            return ERR_CORRUPT;
        }
        m->sessions[at].s.trim = trim;
        before = wal;
    }
    return r->failed || (m->next_pack == 1 && count == 0) ? ERR_CORRUPT : OK;
}

static MUST_USE err_t sessions_check(struct meta *m)
{
    for (u32 i = 0; i < m->session_count; i++) {
        struct session *s = &m->sessions[i];
        s->s.retired = session_is_filed(s);
        if (s->s.retired != (s->retired_at != 0)) {
            return ERR_CORRUPT;
        }
    }
    return OK;
}

static MUST_USE err_t state_load(struct meta *m, struct reader *r, struct arena *arena, u8 version)
{
    m->next_partition_id = read_le32(r);
    m->seals = read_le32(r);
    m->next_wal = read_le64(r);
    m->next_producer_id = read_le64(r);
    if (r->failed || m->next_partition_id == 0 || m->seals > INT32_MAX || m->next_wal == 0 ||
        m->next_producer_id > INT64_MAX) {
        return ERR_CORRUPT;
    }
    for (u32 left = read_le32(r); left > 0; left--) {
        TRY(session_load(m, r));
    }
    for (u32 left = read_le32(r); left > 0; left--) {
        TRY(topic_load(m, r, arena));
        arena_reset(arena);
    }
    TRY(runs_sort(m));
    for (u32 left = read_le32(r); left > 0; left--) {
        TRY(resource_load(m, r, arena));
        arena_reset(arena);
    }
    if (version >= VERSION_LOG_STARTS) {
        TRY(log_starts_load(m, r, version == VERSION_LOG_STARTS ? 1 : 0));
    }
    if (version >= VERSION_FILED) {
        TRY(packs_load(m, r));
        TRY(trims_load(m, r));
    }
    TRY(sessions_check(m));
    return r->failed || reader_left(r) > 0 ? ERR_CORRUPT : OK;
}

err_t meta_snapshot_load(struct meta *m, struct slice bytes)
{
    assert(m->topic_count == 0);
    assert(m->session_count == 0);
    assert(m->resource_count == 0);
    struct reader r = reader_of(bytes);
    u8 version = read_u8(&r);
    if (r.failed || version == 0) {
        return ERR_CORRUPT;
    }
    if (version > VERSION_FILED) {
        return ERR_VERSION;
    }
    struct arena arena;
    arena_init(&arena, NULL, LOAD_BLOCK_BYTES, 0);
    err_t e = state_load(m, &r, &arena, version);
    arena_fini(&arena);
    if (e != OK) {
        meta_clear(m);
    }
    return e;
}
