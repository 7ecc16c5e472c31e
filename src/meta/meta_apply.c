/* What commands do to the state: meta_check says whether one is accepted, meta_apply carries it
   out. Replay at a start and the live broker run the same function, so the outcome may depend on
   nothing but the state and the command. */
#include "meta/meta_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- is it accepted? ------------------------------------------------------------------------- */

static i16 check_register(const struct meta *m, const struct meta_command *c)
{
    return c->reg.wal == m->next_wal && m->next_wal < UINT64_MAX ? KERR_NONE : KERR_INVALID_REQUEST;
}

static i16 check_seal(const struct meta *m, const struct meta_command *c)
{
    u32 at = session_find(m, c->seal.wal);
    bool open = at < m->session_count && !m->sessions[at].s.sealed &&
                c->seal.length >= m->sessions[at].s.trim;
    /* Leader epochs are i32 on the wire. */
    return open && m->seals < INT32_MAX ? KERR_NONE : KERR_INVALID_REQUEST;
}

/* Are there ids for so many more? */
static bool can_grow(const struct meta *m, u32 from, u32 to)
{
    return to > from && to <= INT32_MAX && to - from <= UINT32_MAX - m->next_partition_id;
}

static i16 check_create_topic(const struct meta *m, const struct meta_command *c)
{
    struct slice name = c->create_topic.name;
    if (name.len == 0 || name.len > META_NAME_BYTES_MAX) {
        return KERR_INVALID_TOPIC_EXCEPTION;
    }
    if (meta_topic_by_name(m, name) != NULL) {
        return KERR_TOPIC_ALREADY_EXISTS;
    }
    if (meta_topic_collision(m, name) != NULL) {
        return KERR_INVALID_TOPIC_EXCEPTION;
    }
    if (uuid_is_zero(c->create_topic.id) || topic_find(m, c->create_topic.id) != NULL) {
        return KERR_INVALID_REQUEST;
    }
    if (!can_grow(m, 0, c->create_topic.partition_count)) {
        return KERR_INVALID_PARTITIONS;
    }
    return configs_check((struct configs){0}, c->create_topic.configs, c->create_topic.config_count,
                         false);
}

static i16 check_create_partitions(const struct meta *m, const struct meta_command *c)
{
    const struct topic *t = topic_find(m, c->create_partitions.id);
    if (t == NULL) {
        return KERR_UNKNOWN_TOPIC_ID;
    }
    bool grows = can_grow(m, t->t.partition_count, c->create_partitions.partition_count);
    return grows ? KERR_NONE : KERR_INVALID_PARTITIONS;
}

static i16 check_alter_configs(const struct meta *m, const struct meta_command *c)
{
    struct slice name = c->alter_configs.name;
    struct configs old = {0};
    if (c->alter_configs.resource_type == META_RESOURCE_TOPIC) {
        const struct meta_topic *t = meta_topic_by_name(m, name);
        if (t == NULL) {
            return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        }
        old = (struct configs){t->configs, t->config_count};
    } else if (resource_name_fits(c->alter_configs.resource_type, name)) {
        u32 at = resource_lower_bound(m, c->alter_configs.resource_type, name);
        if (resource_is(m, at, c->alter_configs.resource_type, name)) {
            old = m->resources[at].configs;
        } else if (c->alter_configs.resource_type == META_RESOURCE_GROUP &&
                   meta_group_config_count(m) >= META_GROUP_CONFIGS_MAX) {
            return KERR_POLICY_VIOLATION;
        }
    } else {
        return KERR_INVALID_REQUEST;
    }
    return configs_check(old, c->alter_configs.sets, c->alter_configs.set_count, true);
}

static i16 check_alloc_producer_ids(const struct meta *m, const struct meta_command *c)
{
    u32 count = c->alloc_producer_ids.count;
    bool fits = count > 0 && m->next_producer_id <= (u64)INT64_MAX - count;
    return fits ? KERR_NONE : KERR_INVALID_REQUEST;
}

/* Elements that have become void are no reason: see apply_set_log_starts. */
static i16 check_set_log_starts(const struct meta_command *c)
{
    for (u32 i = 0; i < c->set_log_starts.count; i++) {
        if (c->set_log_starts.starts[i].offset > INT64_MAX) {
            return KERR_INVALID_REQUEST; /* offsets are i64 on the wire */
        }
    }
    return c->set_log_starts.count > 0 ? KERR_NONE : KERR_INVALID_REQUEST;
}

i16 meta_check(const struct meta *m, const struct meta_command *c)
{
    switch (c->kind) {
    case META_REGISTER:
        return check_register(m, c);
    case META_SEAL_WAL:
        return check_seal(m, c);
    case META_CREATE_TOPIC:
        return check_create_topic(m, c);
    case META_DELETE_TOPIC:
        return topic_find(m, c->delete_topic.id) != NULL ? KERR_NONE : KERR_UNKNOWN_TOPIC_ID;
    case META_CREATE_PARTITIONS:
        return check_create_partitions(m, c);
    case META_ALTER_CONFIGS:
        return check_alter_configs(m, c);
    case META_ALLOC_PRODUCER_IDS:
        return check_alloc_producer_ids(m, c);
    case META_SET_LOG_STARTS:
        return check_set_log_starts(c);
    case META_FILE_WAL:
        return check_file_wal(m, c);
    case META_REPLACE_PACKS:
        return check_replace_packs(m, c);
    }
    return KERR_INVALID_REQUEST;
}

/* ---- sessions -------------------------------------------------------------------------------- */

void session_push(struct meta *m, struct session s)
{
    assert(m->session_count == 0 || m->sessions[m->session_count - 1].s.wal < s.s.wal);
    if (m->session_count == m->session_cap) {
        m->session_cap = MAX(2 * m->session_cap, 8u);
        m->sessions = mem_resize(m->sessions, m->session_cap * sizeof(m->sessions[0]));
    }
    m->sessions[m->session_count] = s;
    m->session_count++;
}

/* A retired session is forgotten by the second Register after it: the start in between has found it
   in the state and removed its files, before it registered. */
static void sessions_forget(struct meta *m)
{
    u32 kept = 0;
    for (u32 i = 0; i < m->session_count; i++) {
        const struct session *s = &m->sessions[i];
        if (!s->s.retired || s->retired_at == m->next_wal) {
            m->sessions[kept] = *s;
            kept++;
        }
    }
    m->session_count = kept;
}

static void apply_register(struct meta *m, const struct meta_command *c)
{
    sessions_forget(m);
    session_push(
        m, (struct session){.s = {.wal = c->reg.wal, .nonce = c->reg.nonce, .node = c->reg.node}});
    m->next_wal++;
}

static void apply_seal(struct meta *m, const struct meta_command *c)
{
    struct session *s = &m->sessions[session_find(m, c->seal.wal)];
    s->s.sealed = true;
    s->s.length = c->seal.length;
    s->s.retired = session_is_filed(s);
    s->retired_at = s->s.retired ? m->next_wal : 0;
    m->seals++;
}

/* ---- log starts ------------------------------------------------------------------------------ */

void log_starts_reserve(struct meta *m, u32 more)
{
    if (m->log_start_cap - m->log_start_count < more) {
        m->log_start_cap = MAX(2 * m->log_start_cap, m->log_start_count + more);
        m->log_starts = mem_resize(m->log_starts, m->log_start_cap * sizeof(m->log_starts[0]));
    }
}

static void log_starts_remove(struct meta *m, struct meta_range range)
{
    u32 from = log_start_lower_bound(m, range.first_id);
    u32 to = log_start_lower_bound(m, (u64)range.first_id + range.count);
    if (from < to) {
        memmove(&m->log_starts[from], &m->log_starts[to],
                (m->log_start_count - to) * sizeof(m->log_starts[0]));
        m->log_start_count -= to - from;
    }
}

static int log_start_cmp(const void *a, const void *b)
{
    const struct meta_log_start *left = a;
    const struct meta_log_start *right = b;
    if (left->partition_id != right->partition_id) {
        return left->partition_id < right->partition_id ? -1 : 1;
    }
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

/* Of partitions without a start so far, in any order. Merged from the back: one pass, however many
   they are. */
static void log_starts_insert(struct meta *m, struct meta_log_start *fresh, u32 count)
{
    u32 kept = 0;
    if (count > 1) {
        qsort(fresh, count, sizeof(*fresh), log_start_cmp);
    }
    for (u32 i = 0; i < count; i++) {
        if (i + 1 == count || fresh[i].partition_id != fresh[i + 1].partition_id) {
            fresh[kept] = fresh[i];
            kept++;
        }
    }
    log_starts_reserve(m, kept);
    u32 old = m->log_start_count;
    m->log_start_count += kept;
    for (u32 to = m->log_start_count; kept > 0; to--) {
        if (old > 0 && m->log_starts[old - 1].partition_id > fresh[kept - 1].partition_id) {
            old--;
            m->log_starts[to - 1] = m->log_starts[old];
        } else {
            kept--;
            m->log_starts[to - 1] = fresh[kept];
        }
    }
}

/* Each element for itself: retention moves many partitions with one command, decided before the
   command has its place in the log, and a topic that is deleted meanwhile, or a DeleteRecords that
   was faster, must not keep the others from moving. What is skipped is what its author wanted: that
   nothing below the offset can be read. */
static void apply_set_log_starts(struct meta *m, const struct meta_command *c)
{
    u32 count = c->set_log_starts.count;
    struct meta_log_start *fresh = mem_alloc(count * sizeof(*fresh));
    u32 fresh_count = 0;
    for (u32 i = 0; i < count; i++) {
        struct meta_log_start s = c->set_log_starts.starts[i];
        u32 at = log_start_lower_bound(m, s.partition_id);
        if (at < m->log_start_count && m->log_starts[at].partition_id == s.partition_id) {
            m->log_starts[at].offset = MAX(m->log_starts[at].offset, s.offset);
        } else if (s.offset > 0 && run_find(m, s.partition_id) < m->run_count) {
            fresh[fresh_count] = s;
            fresh_count++;
        }
    }
    log_starts_insert(m, fresh, fresh_count);
    mem_free(fresh);
}

/* ---- topics ---------------------------------------------------------------------------------- */

static void topics_renumber(struct meta *m, u32 from)
{
    for (u32 i = from; i < m->topic_count; i++) {
        m->topics[i]->t.index = i;
    }
}

void topic_insert(struct meta *m, struct topic *t, u32 at)
{
    assert(at <= m->topic_count);
    map_slice_put(&m->by_name, t->t.name, t);
    map_slice_put(&m->by_id, slice_of(t->t.id.bytes, sizeof(t->t.id.bytes)), t);
    map_slice_put(&m->by_folded, t->folded, t);
    if (m->topic_count == m->topic_cap) {
        m->topic_cap = MAX(2 * m->topic_cap, 16u);
        m->topics = mem_resize(m->topics, m->topic_cap * sizeof(m->topics[0]));
    }
    memmove(&m->topics[at + 1], &m->topics[at], (m->topic_count - at) * sizeof(m->topics[0]));
    m->topics[at] = t;
    m->topic_count++;
    topics_renumber(m, at);
}

static void topic_remove(struct meta *m, struct topic *t)
{
    map_slice_remove(&m->by_name, t->t.name);
    map_slice_remove(&m->by_id, slice_of(t->t.id.bytes, sizeof(t->t.id.bytes)));
    map_slice_remove(&m->by_folded, t->folded);
    u32 at = t->t.index;
    assert(m->topics[at] == t);
    m->topic_count--;
    memmove(&m->topics[at], &m->topics[at + 1], (m->topic_count - at) * sizeof(m->topics[0]));
    topics_renumber(m, at);
}

void run_push(struct meta *m, struct run run)
{
    if (m->run_count == m->run_cap) {
        m->run_cap = MAX(2 * m->run_cap, 16u);
        m->runs = mem_resize(m->runs, m->run_cap * sizeof(m->runs[0]));
    }
    m->runs[m->run_count] = run;
    m->run_count++;
}

static void run_remove(struct meta *m, struct meta_range range)
{
    u32 at = run_find(m, range.first_id);
    assert(at < m->run_count);
    assert(m->runs[at].range.count == range.count);
    m->run_count--;
    memmove(&m->runs[at], &m->runs[at + 1], (m->run_count - at) * sizeof(m->runs[0]));
}

/* Fresh ids for `count` more partitions. They follow the topic's last range when nobody else took
   ids meanwhile: then that range, and its run, which is the last one, get longer. */
static void topic_grow(struct meta *m, struct topic *t, u32 count)
{
    struct meta_topic *p = &t->t;
    struct meta_range *last = p->range_count == 0 ? NULL : &p->ranges[p->range_count - 1];
    if (last != NULL && last->first_id + last->count == m->next_partition_id) {
        struct run *run = &m->runs[m->run_count - 1];
        assert(run->topic == t);
        last->count += count;
        run->range.count += count;
    } else {
        struct meta_range range = {.first_id = m->next_partition_id, .count = count};
        p->ranges = mem_resize(p->ranges, (p->range_count + 1) * sizeof(p->ranges[0]));
        p->ranges[p->range_count] = range;
        p->range_count++;
        run_push(m, (struct run){.range = range, .topic = t, .first_index = p->partition_count});
    }
    p->partition_count += count;
    m->partition_total += count;
    m->next_partition_id += count;
}

static void apply_create_topic(struct meta *m, const struct meta_command *c,
                               struct meta_outcome *out)
{
    struct topic *t = topic_create(c->create_topic.name);
    struct configs configs =
        configs_merge((struct configs){0}, c->create_topic.configs, c->create_topic.config_count);
    t->t.id = c->create_topic.id;
    t->t.internal = c->create_topic.internal;
    t->t.replication_factor = c->create_topic.replication_factor;
    t->t.configs = configs.items;
    t->t.config_count = configs.count;
    t->t.created_seals = m->seals;
    topic_insert(m, t, meta_topic_lower_bound(m, t->t.name));
    topic_grow(m, t, c->create_topic.partition_count);
    out->topic = &t->t;
}

static void apply_delete_topic(struct meta *m, const struct meta_command *c,
                               struct meta_outcome *out)
{
    struct topic *t = topic_find(m, c->delete_topic.id);
    out->deleted_range_count = MIN(t->t.range_count, (u32)ARRAY_LEN(out->deleted_ranges));
    memcpy(out->deleted_ranges, t->t.ranges,
           out->deleted_range_count * sizeof(out->deleted_ranges[0]));
    for (u32 i = 0; i < t->t.range_count; i++) {
        run_remove(m, t->t.ranges[i]);
        log_starts_remove(m, t->t.ranges[i]);
    }
    m->partition_total -= t->t.partition_count;
    topic_remove(m, t);
    topic_destroy(t);
}

static void apply_create_partitions(struct meta *m, const struct meta_command *c,
                                    struct meta_outcome *out)
{
    struct topic *t = topic_find(m, c->create_partitions.id);
    topic_grow(m, t, c->create_partitions.partition_count - t->t.partition_count);
    out->topic = &t->t;
}

/* ---- configs --------------------------------------------------------------------------------- */

void resource_insert(struct meta *m, u32 at, i8 type, struct slice name)
{
    m->resources = mem_resize(m->resources, (m->resource_count + 1) * sizeof(m->resources[0]));
    memmove(&m->resources[at + 1], &m->resources[at],
            (m->resource_count - at) * sizeof(m->resources[0]));
    m->resources[at] = (struct resource){
        .type = type,
        .name = slice_of(mem_strndup(name), name.len),
    };
    m->resource_count++;
}

/* Without configs a resource is as if it had never been: equal states have equal bytes. */
static void resource_remove(struct meta *m, u32 at)
{
    mem_free((void *)(uintptr_t)m->resources[at].name.ptr);
    m->resource_count--;
    memmove(&m->resources[at], &m->resources[at + 1],
            (m->resource_count - at) * sizeof(m->resources[0]));
}

static void alter_topic(struct meta *m, const struct meta_command *c, struct meta_outcome *out)
{
    struct topic *t = map_slice_get(&m->by_name, c->alter_configs.name);
    struct configs old = {t->t.configs, t->t.config_count};
    struct configs new = configs_merge(old, c->alter_configs.sets, c->alter_configs.set_count);
    configs_destroy(&old);
    t->t.configs = new.items;
    t->t.config_count = new.count;
    out->topic = &t->t;
}

static void alter_resource(struct meta *m, const struct meta_command *c)
{
    i8 type = c->alter_configs.resource_type;
    struct slice name = c->alter_configs.name;
    u32 at = resource_lower_bound(m, type, name);
    if (!resource_is(m, at, type, name)) {
        resource_insert(m, at, type, name);
    }
    struct configs *configs = &m->resources[at].configs;
    struct configs old = *configs;
    *configs = configs_merge(old, c->alter_configs.sets, c->alter_configs.set_count);
    configs_destroy(&old);
    if (configs->count == 0) {
        resource_remove(m, at);
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

void meta_apply(struct meta *m, const struct meta_command *c, struct meta_outcome *out)
{
    *out = (struct meta_outcome){.kerr = meta_check(m, c)};
    if (out->kerr != KERR_NONE) {
        return;
    }
    switch (c->kind) {
    case META_REGISTER:
        apply_register(m, c);
        break;
    case META_SEAL_WAL:
        apply_seal(m, c);
        break;
    case META_CREATE_TOPIC:
        apply_create_topic(m, c, out);
        break;
    case META_DELETE_TOPIC:
        apply_delete_topic(m, c, out);
        break;
    case META_CREATE_PARTITIONS:
        apply_create_partitions(m, c, out);
        break;
    case META_ALTER_CONFIGS:
        if (c->alter_configs.resource_type == META_RESOURCE_TOPIC) {
            alter_topic(m, c, out);
        } else {
            alter_resource(m, c);
        }
        break;
    case META_ALLOC_PRODUCER_IDS:
        out->first_producer_id = m->next_producer_id;
        m->next_producer_id += c->alloc_producer_ids.count;
        break;
    case META_SET_LOG_STARTS:
        apply_set_log_starts(m, c);
        break;
    case META_FILE_WAL:
        apply_file_wal(m, c);
        break;
    case META_REPLACE_PACKS:
        apply_replace_packs(m, c);
        break;
    }
}
