/* The metadata state: look-ups and apply. See meta.h. Topics stand in one array sorted by name, with maps by name, by id and by folded name
   beside it; partition ids map back to topics through an array of runs sorted by first id. */
#include "meta/meta_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- life --------------------------------------------------------------------------------------------- */

struct meta *meta_create(void)
{
    struct meta *m = mem_alloc(sizeof *m);
    map_slice_init(&m->by_name);
    map_slice_init(&m->by_id);
    map_slice_init(&m->by_folded);
    m->next_partition_id = 1;
    m->next_wal = 1;
    return m;
}

static void configs_free(struct meta_config *configs, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        mem_free((void *)(uintptr_t)configs[i].key.ptr);
        mem_free((void *)(uintptr_t)configs[i].value.ptr);
    }
    mem_free(configs);
}

static void topic_free(struct meta_topic *t)
{
    struct topic *own = CONTAINER_OF(t, struct topic, t);
    configs_free(t->configs, t->config_count);
    mem_free(t->ranges);
    mem_free((void *)(uintptr_t)t->name.ptr);
    mem_free(own->folded);
    mem_free(own);
}

void meta_destroy(struct meta *m)
{
    for (u32 i = 0; i < m->topic_count; i++) {
        topic_free(&m->topics[i]->t);
    }
    for (u32 i = 0; i < m->resource_count; i++) {
        configs_free(m->resources[i].configs, m->resources[i].config_count);
        mem_free((void *)(uintptr_t)m->resources[i].name.ptr);
    }
    mem_free(m->topics);
    mem_free(m->runs);
    mem_free(m->sessions);
    mem_free(m->resources);
    map_slice_fini(&m->by_name);
    map_slice_fini(&m->by_id);
    map_slice_fini(&m->by_folded);
    mem_free(m);
}

/* ---- look-ups ------------------------------------------------------------------------------------------ */

u32 meta_topic_count(const struct meta *m)
{
    return m->topic_count;
}

u32 meta_partition_total(const struct meta *m)
{
    return m->partition_total;
}

static const struct meta_topic *as_topic(const struct topic *t)
{
    return t == NULL ? NULL : &t->t;
}

const struct meta_topic *meta_topic_by_name(const struct meta *m, struct slice name)
{
    return as_topic(map_slice_get(&m->by_name, name));
}

const struct meta_topic *meta_topic_by_id(const struct meta *m, struct uuid id)
{
    return as_topic(map_slice_get(&m->by_id, slice_of(id.bytes, sizeof id.bytes)));
}

const struct meta_topic *meta_topic_at(const struct meta *m, u32 index)
{
    assert(index < m->topic_count);
    return &m->topics[index]->t;
}

u32 meta_topic_lower_bound(const struct meta *m, struct slice name)
{
    u32 low = 0;
    u32 high = m->topic_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (slice_cmp(m->topics[middle]->t.name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

u32 meta_partition_id(const struct meta_topic *t, u32 partition_index)
{
    assert(partition_index < t->partition_count);
    for (u32 i = 0;; i++) {
        if (partition_index < t->ranges[i].count) {
            return t->ranges[i].first_id + partition_index;
        }
        partition_index -= t->ranges[i].count;
    }
}

bool meta_partition_owner(const struct meta *m, u32 partition_id, const struct meta_topic **topic, u32 *partition_index)
{
    u32 low = 0;
    u32 high = m->run_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (m->runs[middle].range.first_id <= partition_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return false;
    }
    const struct run *run = &m->runs[low - 1];
    if (run->topic == NULL || partition_id - run->range.first_id >= run->range.count) {
        return false;
    }
    *topic = &run->topic->t;
    *partition_index = run->first_index + (partition_id - run->range.first_id);
    return true;
}

i32 meta_leader_epoch(const struct meta *m, const struct meta_topic *t)
{
    return (i32)(m->seals - t->created_seals);
}

u32 meta_session_count(const struct meta *m)
{
    return m->session_count;
}

const struct meta_session *meta_session_at(const struct meta *m, u32 index)
{
    assert(index < m->session_count);
    return &m->sessions[index];
}

u64 meta_next_wal(const struct meta *m)
{
    return m->next_wal;
}

/* '.' and '_' are the same in the names of metrics: topics that differ only there clash. */
static char *fold(struct slice name)
{
    char *folded = mem_strndup(name);
    for (size_t i = 0; i < name.len; i++) {
        folded[i] = folded[i] == '.' ? '_' : folded[i];
    }
    return folded;
}

const struct meta_topic *meta_topic_collision(const struct meta *m, struct slice name)
{
    char *folded = fold(name);
    const struct topic *t = map_slice_get(&m->by_folded, slice_of(folded, name.len));
    mem_free(folded);
    return as_topic(t);
}

u32 meta_configs(const struct meta *m, i8 resource_type, struct slice name, const struct meta_config **configs)
{
    for (u32 i = 0; i < m->resource_count; i++) {
        if (m->resources[i].type == resource_type && slice_eq(m->resources[i].name, name)) {
            *configs = m->resources[i].configs;
            return m->resources[i].config_count;
        }
    }
    *configs = NULL;
    return 0;
}

/* ---- changes -------------------------------------------------------------------------------------------- */

static struct slice own_copy(struct slice s)
{
    return slice_of(mem_strndup(s), s.len);
}

/* Sorted by key; a set without a value removes. */
static void configs_set(struct meta_config **configs, u32 *count, struct slice key, struct slice value)
{
    u32 at = 0;
    while (at < *count && slice_cmp((*configs)[at].key, key) < 0) {
        at++;
    }
    bool there = at < *count && slice_eq((*configs)[at].key, key);
    if (value.ptr == NULL) {
        if (there) {
            mem_free((void *)(uintptr_t)(*configs)[at].key.ptr);
            mem_free((void *)(uintptr_t)(*configs)[at].value.ptr);
            memmove(*configs + at, *configs + at + 1, (*count - at - 1) * sizeof **configs);
            (*count)--;
        }
        return;
    }
    if (there) {
        mem_free((void *)(uintptr_t)(*configs)[at].value.ptr);
        (*configs)[at].value = own_copy(value);
        return;
    }
    *configs = mem_resize(*configs, (*count + 1) * sizeof **configs);
    memmove(*configs + at + 1, *configs + at, (*count - at) * sizeof **configs);
    (*configs)[at] = (struct meta_config){own_copy(key), own_copy(value)};
    (*count)++;
}

/* Gives a topic `count` more partitions with fresh ids, in a run of their own. */
static void topic_grow(struct meta *m, struct topic *t, u32 count)
{
    struct meta_range range = {m->next_partition_id, count};
    t->t.ranges = mem_resize(t->t.ranges, (t->t.range_count + 1) * sizeof *t->t.ranges);
    t->t.ranges[t->t.range_count++] = range;
    meta_run_add(m, (struct run){range, t, t->t.partition_count});
    t->t.partition_count += count;
    m->partition_total += count;
    m->next_partition_id += count;
}

void meta_run_add(struct meta *m, struct run run)
{
    if (m->run_count == m->run_cap) {
        m->run_cap = MAX(16u, m->run_cap * 2);
        m->runs = mem_resize(m->runs, m->run_cap * sizeof *m->runs);
    }
    u32 at = m->run_count;
    while (at > 0 && m->runs[at - 1].range.first_id > run.range.first_id) {
        at--;
    }
    memmove(m->runs + at + 1, m->runs + at, (m->run_count - at) * sizeof *m->runs);
    m->runs[at] = run;
    m->run_count++;
}

void meta_topic_insert(struct meta *m, struct topic *t)
{
    t->folded = fold(t->t.name);
    map_slice_put(&m->by_name, t->t.name, t);
    map_slice_put(&m->by_id, slice_of(t->t.id.bytes, sizeof t->t.id.bytes), t);
    map_slice_put(&m->by_folded, slice_of(t->folded, t->t.name.len), t);
    if (m->topic_count == m->topic_cap) {
        m->topic_cap = MAX(16u, m->topic_cap * 2);
        m->topics = mem_resize(m->topics, m->topic_cap * sizeof(struct topic *));
    }
    u32 at = meta_topic_lower_bound(m, t->t.name);
    memmove(m->topics + at + 1, m->topics + at, (m->topic_count - at) * sizeof(struct topic *));
    m->topics[at] = t;
    m->topic_count++;
    for (u32 i = at; i < m->topic_count; i++) {
        m->topics[i]->t.index = i;
    }
}

static void apply_create_topic(struct meta *m, const struct meta_command *c, struct meta_outcome *out)
{
    struct topic *t = mem_alloc(sizeof *t);
    t->t.id = c->create_topic.id;
    t->t.name = own_copy(c->create_topic.name);
    t->t.internal = c->create_topic.internal;
    t->t.replication_factor = c->create_topic.replication_factor;
    t->t.created_seals = m->seals;
    for (u32 i = 0; i < c->create_topic.config_count; i++) {
        configs_set(&t->t.configs, &t->t.config_count, c->create_topic.configs[i].key, c->create_topic.configs[i].value);
    }
    meta_topic_insert(m, t);
    topic_grow(m, t, c->create_topic.partition_count);
    out->topic = &t->t;
}

static void apply_delete_topic(struct meta *m, const struct meta_command *c, struct meta_outcome *out)
{
    struct topic *t = map_slice_get(&m->by_id, slice_of(c->delete_topic.id.bytes, sizeof c->delete_topic.id.bytes));
    for (u32 i = 0; i < t->t.range_count; i++) {
        if (out->deleted_range_count < ARRAY_LEN(out->deleted_ranges)) {
            out->deleted_ranges[out->deleted_range_count++] = t->t.ranges[i];
        }
    }
    u32 kept = 0;
    for (u32 i = 0; i < m->run_count; i++) {
        if (m->runs[i].topic != t) {
            m->runs[kept++] = m->runs[i];
        }
    }
    m->run_count = kept;
    m->partition_total -= t->t.partition_count;
    map_slice_remove(&m->by_name, t->t.name);
    map_slice_remove(&m->by_id, slice_of(t->t.id.bytes, sizeof t->t.id.bytes));
    map_slice_remove(&m->by_folded, slice_of(t->folded, t->t.name.len));
    memmove(m->topics + t->t.index, m->topics + t->t.index + 1, (m->topic_count - t->t.index - 1) * sizeof(struct topic *));
    m->topic_count--;
    for (u32 i = t->t.index; i < m->topic_count; i++) {
        m->topics[i]->t.index = i;
    }
    topic_free(&t->t);
}

static struct topic *topic_by_id(const struct meta *m, struct uuid id)
{
    return map_slice_get(&m->by_id, slice_of(id.bytes, sizeof id.bytes));
}

static void apply_alter_configs(struct meta *m, const struct meta_command *c, struct meta_outcome *out)
{
    struct meta_config **configs;
    u32 *count;
    if (c->alter_configs.resource_type == META_RESOURCE_TOPIC) {
        struct topic *t = map_slice_get(&m->by_name, c->alter_configs.name);
        configs = &t->t.configs;
        count = &t->t.config_count;
        out->topic = &t->t;
    } else {
        struct resource *r = meta_resource(m, c->alter_configs.resource_type, c->alter_configs.name);
        configs = &r->configs;
        count = &r->config_count;
    }
    for (u32 i = 0; i < c->alter_configs.set_count; i++) {
        configs_set(configs, count, c->alter_configs.sets[i].key, c->alter_configs.sets[i].value);
    }
}

struct resource *meta_resource(struct meta *m, i8 type, struct slice name)
{
    for (u32 i = 0; i < m->resource_count; i++) {
        if (m->resources[i].type == type && slice_eq(m->resources[i].name, name)) {
            return &m->resources[i];
        }
    }
    m->resources = mem_resize(m->resources, (m->resource_count + 1) * sizeof *m->resources);
    m->resources[m->resource_count] = (struct resource){.type = type, .name = own_copy(name)};
    return &m->resources[m->resource_count++];
}

static struct meta_session *session_find(const struct meta *m, u64 wal)
{
    for (u32 i = 0; i < m->session_count; i++) {
        if (m->sessions[i].wal == wal) {
            return &m->sessions[i];
        }
    }
    return NULL;
}

void meta_session_add(struct meta *m, const struct meta_session *s)
{
    m->sessions = mem_resize(m->sessions, (m->session_count + 1) * sizeof *m->sessions);
    m->sessions[m->session_count++] = *s;
}

static void apply_seal(struct meta *m, const struct meta_command *c)
{
    struct meta_session *s = session_find(m, c->seal.wal);
    s->sealed = true;
    s->length = c->seal.length;
    s->retired = c->seal.length == 0;
    m->seals++;
}

i16 meta_check(const struct meta *m, const struct meta_command *c)
{
    const struct topic *t;
    const struct meta_session *s;
    switch (c->kind) {
    case META_REGISTER:
        return c->reg.wal == m->next_wal ? KERR_NONE : KERR_INVALID_REQUEST;
    case META_SEAL_WAL:
        s = session_find(m, c->seal.wal);
        return s != NULL && !s->sealed ? KERR_NONE : KERR_INVALID_REQUEST;
    case META_CREATE_TOPIC:
        if (map_slice_get(&m->by_name, c->create_topic.name) != NULL || topic_by_id(m, c->create_topic.id) != NULL) {
            return KERR_TOPIC_ALREADY_EXISTS;
        }
        if (meta_topic_collision(m, c->create_topic.name) != NULL || c->create_topic.name.len == 0) {
            return KERR_INVALID_TOPIC_EXCEPTION;
        }
        if (uuid_is_zero(c->create_topic.id)) {
            return KERR_INVALID_REQUEST;
        }
        return c->create_topic.partition_count > 0 &&
                       c->create_topic.partition_count <= UINT32_MAX - m->next_partition_id
                   ? KERR_NONE
                   : KERR_INVALID_PARTITIONS;
    case META_DELETE_TOPIC:
        return topic_by_id(m, c->delete_topic.id) != NULL ? KERR_NONE : KERR_UNKNOWN_TOPIC_ID;
    case META_CREATE_PARTITIONS:
        t = topic_by_id(m, c->create_partitions.id);
        if (t == NULL) {
            return KERR_UNKNOWN_TOPIC_ID;
        }
        return c->create_partitions.partition_count > t->t.partition_count &&
                       c->create_partitions.partition_count - t->t.partition_count <= UINT32_MAX - m->next_partition_id
                   ? KERR_NONE
                   : KERR_INVALID_PARTITIONS;
    case META_ALTER_CONFIGS:
        if (c->alter_configs.resource_type == META_RESOURCE_TOPIC) {
            return map_slice_get(&m->by_name, c->alter_configs.name) != NULL ? KERR_NONE : KERR_UNKNOWN_TOPIC_OR_PARTITION;
        }
        return c->alter_configs.resource_type == META_RESOURCE_BROKER ? KERR_NONE : KERR_INVALID_REQUEST;
    case META_ALLOC_PRODUCER_IDS:
        return c->alloc_producer_ids.count > 0 && m->next_producer_id <= (u64)INT64_MAX - c->alloc_producer_ids.count
                   ? KERR_NONE
                   : KERR_INVALID_REQUEST;
    }
    return KERR_INVALID_REQUEST;
}

void meta_apply(struct meta *m, const struct meta_command *c, struct meta_outcome *out)
{
    *out = (struct meta_outcome){.kerr = meta_check(m, c)};
    if (out->kerr != KERR_NONE) {
        return;
    }
    switch (c->kind) {
    case META_REGISTER:
        meta_session_add(m, &(struct meta_session){.wal = c->reg.wal, .nonce = c->reg.nonce, .node = c->reg.node});
        m->next_wal++;
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
    case META_CREATE_PARTITIONS: {
        struct topic *t = topic_by_id(m, c->create_partitions.id);
        topic_grow(m, t, c->create_partitions.partition_count - t->t.partition_count);
        out->topic = &t->t;
        break;
    }
    case META_ALTER_CONFIGS:
        apply_alter_configs(m, c, out);
        break;
    case META_ALLOC_PRODUCER_IDS:
        out->first_producer_id = m->next_producer_id;
        m->next_producer_id += c->alloc_producer_ids.count;
        break;
    }
}
