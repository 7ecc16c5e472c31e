/* The metadata state: its life, and looking things up in it. See meta.h and meta_private.h. */
#include "meta/meta_private.h"

#include <string.h>

/* ---- life ------------------------------------------------------------------------------------ */

static void meta_init(struct meta *m)
{
    *m = (struct meta){.next_partition_id = 1, .next_wal = 1, .next_pack = 1};
    map_slice_init(&m->by_name);
    map_slice_init(&m->by_id);
    map_slice_init(&m->by_folded);
}

static void meta_fini(struct meta *m)
{
    for (u32 i = 0; i < m->topic_count; i++) {
        topic_destroy(m->topics[i]);
    }
    for (u32 i = 0; i < m->resource_count; i++) {
        configs_destroy(&m->resources[i].configs);
        mem_free((void *)(uintptr_t)m->resources[i].name.ptr);
    }
    mem_free(m->topics);
    mem_free(m->runs);
    mem_free(m->log_starts);
    mem_free(m->packs);
    mem_free(m->sessions);
    mem_free(m->resources);
    map_slice_fini(&m->by_name);
    map_slice_fini(&m->by_id);
    map_slice_fini(&m->by_folded);
}

struct meta *meta_create(void)
{
    struct meta *m = mem_alloc(sizeof(*m));
    meta_init(m);
    return m;
}

void meta_destroy(struct meta *m)
{
    if (m != NULL) {
        meta_fini(m);
        mem_free(m);
    }
}

void meta_clear(struct meta *m)
{
    meta_fini(m);
    meta_init(m);
}

/* '.' and '_' are the same in the names of metrics: topics that differ only there collide. */
static bool name_fold(struct slice name, u8 *folded)
{
    bool differs = false;
    for (size_t i = 0; i < name.len; i++) {
        folded[i] = name.ptr[i] == '.' ? '_' : name.ptr[i];
        differs |= folded[i] != name.ptr[i];
    }
    return differs;
}

struct topic *topic_create(struct slice name)
{
    assert(name.len > 0);
    assert(name.len <= META_NAME_BYTES_MAX);
    u8 folded[META_NAME_BYTES_MAX];
    bool differs = name_fold(name, folded);
    struct topic *t = mem_alloc(sizeof(*t) + name.len * (differs ? 2 : 1));
    memcpy(t->names, name.ptr, name.len);
    t->t.name = slice_of(t->names, name.len);
    t->folded = t->t.name;
    if (differs) {
        memcpy(t->names + name.len, folded, name.len);
        t->folded = slice_of(t->names + name.len, name.len);
    }
    return t;
}

void topic_destroy(struct topic *t)
{
    struct configs configs = {t->t.configs, t->t.config_count};
    configs_destroy(&configs);
    mem_free(t->t.ranges);
    mem_free(t);
}

/* ---- topics ---------------------------------------------------------------------------------- */

u32 meta_topic_count(const struct meta *m)
{
    return m->topic_count;
}

u32 meta_partition_total(const struct meta *m)
{
    return m->partition_total;
}

static const struct meta_topic *public_view(const struct topic *t)
{
    return t == NULL ? NULL : &t->t;
}

struct topic *topic_find(const struct meta *m, struct uuid id)
{
    return map_slice_get(&m->by_id, slice_of(id.bytes, sizeof(id.bytes)));
}

const struct meta_topic *meta_topic_by_name(const struct meta *m, struct slice name)
{
    return public_view(map_slice_get(&m->by_name, name));
}

const struct meta_topic *meta_topic_by_id(const struct meta *m, struct uuid id)
{
    return public_view(topic_find(m, id));
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

const struct meta_topic *meta_topic_collision(const struct meta *m, struct slice name)
{
    if (name.len == 0 || name.len > META_NAME_BYTES_MAX) {
        return NULL;
    }
    u8 folded[META_NAME_BYTES_MAX];
    name_fold(name, folded);
    const struct topic *t = map_slice_get(&m->by_folded, slice_of(folded, name.len));
    return t == NULL || slice_eq(t->t.name, name) ? NULL : &t->t;
}

/* ---- partitions ------------------------------------------------------------------------------ */

u32 meta_partition_id(const struct meta_topic *t, u32 partition_index)
{
    assert(partition_index < t->partition_count);
    u32 at = 0;
    while (partition_index >= t->ranges[at].count) {
        partition_index -= t->ranges[at].count;
        at++;
    }
    return t->ranges[at].first_id + partition_index;
}

u32 run_find(const struct meta *m, u32 partition_id)
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
        return m->run_count;
    }
    const struct meta_range *range = &m->runs[low - 1].range;
    return partition_id - range->first_id < range->count ? low - 1 : m->run_count;
}

bool meta_partition_owner(const struct meta *m, u32 partition_id, const struct meta_topic **topic,
                          u32 *partition_index)
{
    u32 at = run_find(m, partition_id);
    if (at == m->run_count) {
        return false;
    }
    const struct run *run = &m->runs[at];
    *topic = &run->topic->t;
    *partition_index = run->first_index + (partition_id - run->range.first_id);
    return true;
}

u32 log_start_lower_bound(const struct meta *m, u64 partition_id)
{
    u32 low = 0;
    u32 high = m->log_start_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (m->log_starts[middle].partition_id < partition_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

u64 meta_log_start(const struct meta *m, u32 partition_id)
{
    u32 at = log_start_lower_bound(m, partition_id);
    bool there = at < m->log_start_count && m->log_starts[at].partition_id == partition_id;
    return there ? m->log_starts[at].offset : 0;
}

bool meta_log_start_next(const struct meta *m, struct meta_log_start *s)
{
    u32 at = log_start_lower_bound(m, s->partition_id + 1ull);
    if (at == m->log_start_count) {
        return false;
    }
    *s = m->log_starts[at];
    return true;
}

i32 meta_leader_epoch(const struct meta *m, const struct meta_topic *t)
{
    assert(t->created_seals <= m->seals);
    return (i32)(m->seals - t->created_seals);
}

/* ---- sessions -------------------------------------------------------------------------------- */

u32 meta_session_count(const struct meta *m)
{
    return m->session_count;
}

const struct meta_session *meta_session_at(const struct meta *m, u32 index)
{
    assert(index < m->session_count);
    return &m->sessions[index].s;
}

u64 meta_next_wal(const struct meta *m)
{
    return m->next_wal;
}

u32 session_find(const struct meta *m, u64 wal)
{
    u32 low = 0;
    u32 high = m->session_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (m->sessions[middle].s.wal < wal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < m->session_count && m->sessions[low].s.wal == wal ? low : m->session_count;
}

/* ---- configs of what is not a topic ---------------------------------------------------------- */

static int resource_cmp(const struct resource *r, i8 type, struct slice name)
{
    return r->type != type ? r->type - type : slice_cmp(r->name, name);
}

u32 resource_lower_bound(const struct meta *m, i8 type, struct slice name)
{
    u32 low = 0;
    u32 high = m->resource_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (resource_cmp(&m->resources[middle], type, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool resource_is(const struct meta *m, u32 index, i8 type, struct slice name)
{
    return index < m->resource_count && resource_cmp(&m->resources[index], type, name) == 0;
}

bool resource_name_fits(i8 type, struct slice name)
{
    return name.len <= META_NAME_BYTES_MAX &&
           (type == META_RESOURCE_BROKER || (type == META_RESOURCE_GROUP && name.len > 0));
}

/* Groups come last: no type has a larger number. */
static u32 first_group(const struct meta *m)
{
    return resource_lower_bound(m, META_RESOURCE_GROUP, (struct slice){0});
}

u32 meta_group_config_count(const struct meta *m)
{
    return m->resource_count - first_group(m);
}

struct slice meta_group_config_at(const struct meta *m, u32 index)
{
    assert(index < meta_group_config_count(m));
    return m->resources[first_group(m) + index].name;
}

u32 meta_configs(const struct meta *m, i8 resource_type, struct slice name,
                 const struct meta_config **configs)
{
    u32 at = resource_lower_bound(m, resource_type, name);
    if (!resource_is(m, at, resource_type, name)) {
        *configs = NULL;
        return 0;
    }
    *configs = m->resources[at].configs.items;
    return m->resources[at].configs.count;
}
