/* See model.h. */
#include "model.h"

/* Several of them collide; byte order and case are mixed. */
static const char *const names[MODEL_NAMES] = {
    "a.b",   "a_b", "a-b", "a",  "ab", "A.b", "A_b", "b",  "b.1", "b_1", "b.1.x", "b_1.x",
    "b_1_x", "z",   "z.",  "z_", "_",  ".z",  "_z",  "c1", "c2",  "c3",  "c4",    "0",
};
static const char *const keys[MODEL_KEYS] = {"retention.ms", "a", "cleanup.policy", "b", "z"};
static const char *const values[MODEL_VALUES] = {"", "1", "compact,delete", "x"};
static const char *const resource_names[MODEL_RESOURCES] = {"", "1", "12"};

struct slice model_name(u32 index)
{
    return slice_cstr(names[index]);
}

struct slice model_resource_name(u32 index)
{
    return slice_cstr(resource_names[index]);
}

struct slice model_key(u32 index)
{
    return slice_cstr(keys[index]);
}

struct slice model_value(u32 index)
{
    return slice_cstr(values[index]);
}

struct uuid model_id(u32 index)
{
    struct uuid id = {{0}};
    store_le32(id.bytes + 5, index);
    return id;
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
    m->next_partition_id = 1;
    m->next_wal = 1;
    m->next_pack = 1;
}

/* ---- the rules, once more -------------------------------------------------------------------- */

static u32 index_of(struct slice text, const char *const *list, u32 count)
{
    u32 at = 0;
    while (at < count && !slice_eq_cstr(text, list[at])) {
        at++;
    }
    return at;
}

static bool same_folded(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] != '\0' && (a[i] == b[i] || (strchr("._", a[i]) && b[i] && strchr("._", b[i])))) {
        i++;
    }
    return a[i] == b[i];
}

static struct model_topic *by_id(struct model *m, struct uuid id)
{
    for (u32 i = 0; i < MODEL_TOPICS; i++) {
        if (m->topics[i].there && uuid_eq(m->topics[i].id, id)) {
            return &m->topics[i];
        }
    }
    return NULL;
}

static void grow(struct model *m, struct model_topic *t, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        assert_true(t->count < MODEL_PARTITIONS_MAX);
        t->ids[t->count] = m->next_partition_id;
        t->log_starts[t->count] = 0;
        t->count++;
        m->next_partition_id++;
    }
}

/* Sets without a repeated key and, unless they may remove, without a missing value. */
static bool sets_are_good(const struct meta_config *sets, u32 count, bool may_remove)
{
    for (u32 i = 0; i < count; i++) {
        if (sets[i].value.ptr == NULL && !may_remove) {
            return false;
        }
        for (u32 k = 0; k < i; k++) {
            if (slice_eq(sets[i].key, sets[k].key)) {
                return false;
            }
        }
    }
    return true;
}

static void set_values(u32 *target, const struct meta_config *sets, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        u32 value =
            sets[i].value.ptr == NULL ? 0 : 1 + index_of(sets[i].value, values, MODEL_VALUES);
        target[index_of(sets[i].key, keys, MODEL_KEYS)] = value;
    }
}

static i16 create_topic(struct model *m, const struct meta_command *c)
{
    u32 name = index_of(c->create_topic.name, names, MODEL_NAMES);
    if (m->topics[name].there) {
        return KERR_TOPIC_ALREADY_EXISTS;
    }
    for (u32 i = 0; i < MODEL_TOPICS; i++) {
        if (m->topics[i].there && same_folded(names[i], names[name])) {
            return KERR_INVALID_TOPIC_EXCEPTION;
        }
    }
    if (uuid_is_zero(c->create_topic.id) || by_id(m, c->create_topic.id) != NULL) {
        return KERR_INVALID_REQUEST;
    }
    if (c->create_topic.partition_count == 0) {
        return KERR_INVALID_PARTITIONS;
    }
    if (!sets_are_good(c->create_topic.configs, c->create_topic.config_count, false)) {
        return KERR_INVALID_REQUEST;
    }
    struct model_topic *t = &m->topics[name];
    *t = (struct model_topic){
        .there = true,
        .id = c->create_topic.id,
        .name = name,
        .internal = c->create_topic.internal,
        .replication_factor = c->create_topic.replication_factor,
        .created_seals = m->seals,
    };
    grow(m, t, c->create_topic.partition_count);
    set_values(t->values, c->create_topic.configs, c->create_topic.config_count);
    return KERR_NONE;
}

static i16 alter_configs(struct model *m, const struct meta_command *c)
{
    u32 *target;
    if (c->alter_configs.resource_type == 2) {
        struct model_topic *t = &m->topics[index_of(c->alter_configs.name, names, MODEL_NAMES)];
        if (!t->there) {
            return KERR_UNKNOWN_TOPIC_OR_PARTITION;
        }
        target = t->values;
    } else if (c->alter_configs.resource_type == 4) {
        target = m->resources[index_of(c->alter_configs.name, resource_names, MODEL_RESOURCES)];
    } else {
        return KERR_INVALID_REQUEST;
    }
    if (!sets_are_good(c->alter_configs.sets, c->alter_configs.set_count, true)) {
        return KERR_INVALID_REQUEST;
    }
    set_values(target, c->alter_configs.sets, c->alter_configs.set_count);
    return KERR_NONE;
}

static i16 register_session(struct model *m, const struct meta_command *c)
{
    if (c->reg.wal != m->next_wal) {
        return KERR_INVALID_REQUEST;
    }
    u32 kept = 0;
    for (u32 i = 0; i < m->session_count; i++) {
        struct model_session s = m->sessions[i];
        bool gone = s.s.sealed && s.s.length == s.s.trim && s.next_wal_when_retired < m->next_wal;
        if (!gone) {
            m->sessions[kept] = s;
            kept++;
        }
    }
    m->session_count = kept;
    assert_true(m->session_count < MODEL_SESSIONS_MAX);
    m->sessions[m->session_count] = (struct model_session){
        .s = {.wal = c->reg.wal, .nonce = c->reg.nonce, .node = c->reg.node},
    };
    m->session_count++;
    m->next_wal++;
    return KERR_NONE;
}

static i16 seal(struct model *m, const struct meta_command *c)
{
    for (u32 i = 0; i < m->session_count; i++) {
        struct model_session *s = &m->sessions[i];
        if (s->s.wal == c->seal.wal && !s->s.sealed && c->seal.length >= s->s.trim) {
            s->s.sealed = true;
            s->s.length = c->seal.length;
            s->s.retired = c->seal.length == s->s.trim;
            s->next_wal_when_retired = m->next_wal;
            m->seals++;
            return KERR_NONE;
        }
    }
    return KERR_INVALID_REQUEST;
}

static i16 set_log_starts(struct model *m, const struct meta_command *c)
{
    for (u32 i = 0; i < c->set_log_starts.count; i++) {
        if (c->set_log_starts.starts[i].offset >> 63 != 0) {
            return KERR_INVALID_REQUEST;
        }
    }
    for (u32 i = 0; i < c->set_log_starts.count; i++) {
        const struct meta_log_start *s = &c->set_log_starts.starts[i];
        for (u32 k = 0; k < MODEL_TOPICS; k++) {
            struct model_topic *t = &m->topics[k];
            for (u32 p = 0; t->there && p < t->count; p++) {
                if (t->ids[p] == s->partition_id) {
                    t->log_starts[p] = MAX(t->log_starts[p], s->offset);
                }
            }
        }
    }
    return c->set_log_starts.count == 0 ? KERR_INVALID_REQUEST : KERR_NONE;
}

/* The next pack of the list behind that rank; NULL: none. */
static struct model_pack *pack_after(struct model *m, const struct model_pack *before)
{
    struct model_pack *next = NULL;
    for (u32 i = 0; i < m->pack_count; i++) {
        struct model_pack *p = &m->packs[i];
        bool behind = p->there && (before == NULL || p->rank > before->rank);
        if (behind && (next == NULL || p->rank < next->rank)) {
            next = p;
        }
    }
    return next;
}

static void pack_add(struct model *m, struct meta_pack pack, u64 rank)
{
    assert_true(m->pack_count < MODEL_PACKS_MAX);
    m->packs[m->pack_count] = (struct model_pack){.there = true, .rank = rank, .pack = pack};
    m->pack_count++;
    m->next_pack = MAX(m->next_pack, pack.id + 1);
}

static bool pack_is_bad(const struct model *m, struct meta_pack pack)
{
    bool bad = pack.id == 0 || pack.id >> 62 != 0;
    for (u32 i = 0; i < m->pack_count; i++) {
        bad = bad || (m->packs[i].there && m->packs[i].pack.id == pack.id);
    }
    return pack.bytes > 0 && bad;
}

static i16 file_wal(struct model *m, const struct meta_command *c)
{
    for (u32 i = 0; i < m->session_count; i++) {
        struct model_session *s = &m->sessions[i];
        if (s->s.wal != c->file_wal.wal) {
            continue;
        }
        if (c->file_wal.from != s->s.trim || c->file_wal.to <= c->file_wal.from ||
            (s->s.sealed && c->file_wal.to > s->s.length) || pack_is_bad(m, c->file_wal.pack)) {
            return KERR_INVALID_REQUEST;
        }
        s->s.trim = c->file_wal.to;
        if (s->s.sealed && s->s.trim == s->s.length) {
            s->s.retired = true;
            s->next_wal_when_retired = m->next_wal;
        }
        if (c->file_wal.pack.bytes > 0) {
            pack_add(m, c->file_wal.pack, m->pack_count + 1ull);
        }
        return KERR_NONE;
    }
    return KERR_INVALID_REQUEST;
}

static i16 replace_packs(struct model *m, const struct meta_command *c)
{
    struct model_pack *inputs[MODEL_INPUTS_MAX];
    u32 count = c->replace_packs.input_count;
    struct model_pack *p = NULL;
    for (u32 i = 0; i < count; i++) {
        if (i == 0) {
            for (p = pack_after(m, NULL); p != NULL && p->pack.id != c->replace_packs.inputs[0];) {
                p = pack_after(m, p);
            }
        } else {
            p = pack_after(m, p);
        }
        if (p == NULL || p->pack.id != c->replace_packs.inputs[i]) {
            return KERR_INVALID_REQUEST;
        }
        inputs[i] = p;
    }
    if (count == 0 || pack_is_bad(m, c->replace_packs.output)) {
        return KERR_INVALID_REQUEST;
    }
    for (u32 i = 0; i < count; i++) {
        inputs[i]->there = false;
    }
    if (c->replace_packs.output.bytes > 0) {
        pack_add(m, c->replace_packs.output, inputs[0]->rank);
    }
    return KERR_NONE;
}

i16 model_apply(struct model *m, const struct meta_command *c)
{
    struct model_topic *t;
    switch (c->kind) {
    case META_REGISTER:
        return register_session(m, c);
    case META_SEAL_WAL:
        return seal(m, c);
    case META_CREATE_TOPIC:
        return create_topic(m, c);
    case META_DELETE_TOPIC:
        t = by_id(m, c->delete_topic.id);
        if (t == NULL) {
            return KERR_UNKNOWN_TOPIC_ID;
        }
        t->there = false;
        return KERR_NONE;
    case META_CREATE_PARTITIONS:
        t = by_id(m, c->create_partitions.id);
        if (t == NULL) {
            return KERR_UNKNOWN_TOPIC_ID;
        }
        if (c->create_partitions.partition_count <= t->count) {
            return KERR_INVALID_PARTITIONS;
        }
        grow(m, t, c->create_partitions.partition_count - t->count);
        return KERR_NONE;
    case META_ALTER_CONFIGS:
        return alter_configs(m, c);
    case META_ALLOC_PRODUCER_IDS:
        if (c->alloc_producer_ids.count == 0) {
            return KERR_INVALID_REQUEST;
        }
        m->next_producer_id += c->alloc_producer_ids.count;
        return KERR_NONE;
    case META_SET_LOG_STARTS:
        return set_log_starts(m, c);
    case META_FILE_WAL:
        return file_wal(m, c);
    case META_REPLACE_PACKS:
        return replace_packs(m, c);
    }
    return KERR_INVALID_REQUEST;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void compare_configs(const u32 *expected, const struct meta_config *configs, u32 count)
{
    u32 set = 0;
    for (u32 i = 0; i < MODEL_KEYS; i++) {
        set += expected[i] != 0;
    }
    assert_int_equal(count, set);
    for (u32 i = 0; i < count; i++) {
        assert_true(i == 0 || slice_cmp(configs[i - 1].key, configs[i].key) < 0);
        u32 key = index_of(configs[i].key, keys, MODEL_KEYS);
        assert_true(key < MODEL_KEYS);
        assert_true(expected[key] != 0);
        assert_true(slice_eq_cstr(configs[i].value, values[expected[key] - 1]));
    }
}

static void compare_topic(const struct model *m, const struct model_topic *t,
                          const struct meta *meta)
{
    const struct meta_topic *real = meta_topic_by_id(meta, t->id);
    assert_non_null(real);
    assert_ptr_equal(real, meta_topic_by_name(meta, model_name(t->name)));
    assert_ptr_equal(real, meta_topic_at(meta, real->index));
    assert_int_equal(real->index, meta_topic_lower_bound(meta, real->name));
    assert_true(slice_eq(real->name, model_name(t->name)));
    assert_int_equal(real->internal, t->internal);
    assert_int_equal(real->replication_factor, t->replication_factor);
    assert_int_equal(meta_leader_epoch(meta, real), m->seals - t->created_seals);
    assert_int_equal(real->partition_count, t->count);
    u32 total = 0;
    for (u32 i = 0; i < real->range_count; i++) {
        total += real->ranges[i].count;
    }
    assert_int_equal(total, t->count);
    for (u32 i = 0; i < t->count; i++) {
        assert_int_equal(meta_partition_id(real, i), t->ids[i]);
        assert_int_equal(meta_log_start(meta, t->ids[i]), t->log_starts[i]);
    }
    compare_configs(t->values, real->configs, real->config_count);
}

static void compare_owners(const struct model *m, const struct meta *meta)
{
    u32 found = 0;
    for (u32 id = 0; id <= m->next_partition_id + 1; id++) {
        const struct meta_topic *t;
        u32 index;
        if (meta_partition_owner(meta, id, &t, &index)) {
            assert_int_equal(meta_partition_id(t, index), id);
            found++;
        }
    }
    assert_int_equal(found, meta_partition_total(meta));
}

/* One by one in order of ids: those that are not 0, and no others. */
static void compare_log_starts(const struct model *m, const struct meta *meta)
{
    u32 expected = 0;
    for (u32 i = 0; i < MODEL_TOPICS; i++) {
        for (u32 k = 0; m->topics[i].there && k < m->topics[i].count; k++) {
            expected += m->topics[i].log_starts[k] != 0;
        }
    }
    struct meta_log_start s = {0};
    u32 found = 0;
    for (u32 before = 0; meta_log_start_next(meta, &s); before = s.partition_id) {
        assert_true(s.partition_id > before);
        assert_true(s.offset > 0);
        assert_int_equal(meta_log_start(meta, s.partition_id), s.offset);
        found++;
    }
    assert_int_equal(found, expected);
    assert_int_equal(meta_log_start(meta, 0), 0);
    assert_int_equal(meta_log_start(meta, m->next_partition_id), 0);
}

static void compare_names(const struct model *m, const struct meta *meta)
{
    for (u32 i = 0; i < MODEL_NAMES; i++) {
        const struct meta_topic *collision = NULL;
        for (u32 k = 0; k < MODEL_NAMES; k++) {
            if (k != i && m->topics[k].there && same_folded(names[i], names[k])) {
                collision = meta_topic_by_name(meta, model_name(k));
            }
        }
        assert_ptr_equal(meta_topic_collision(meta, model_name(i)), collision);
        assert_int_equal(meta_topic_by_name(meta, model_name(i)) != NULL, m->topics[i].there);
        u32 bound = meta_topic_lower_bound(meta, model_name(i));
        assert_true(bound == 0 ||
                    slice_cmp(meta_topic_at(meta, bound - 1)->name, model_name(i)) < 0);
        assert_true(bound == meta_topic_count(meta) ||
                    slice_cmp(meta_topic_at(meta, bound)->name, model_name(i)) >= 0);
    }
}

static void compare_sessions(const struct model *m, const struct meta *meta)
{
    assert_int_equal(meta_next_wal(meta), m->next_wal);
    assert_int_equal(meta_session_count(meta), m->session_count);
    for (u32 i = 0; i < m->session_count; i++) {
        const struct meta_session *real = meta_session_at(meta, i);
        const struct meta_session *expected = &m->sessions[i].s;
        assert_int_equal(real->wal, expected->wal);
        assert_int_equal(real->nonce, expected->nonce);
        assert_int_equal(real->node, expected->node);
        assert_int_equal(real->sealed, expected->sealed);
        assert_int_equal(real->retired, expected->retired);
        assert_int_equal(real->length, expected->length);
        assert_int_equal(real->trim, expected->trim);
    }
}

static void compare_packs(struct model *m, const struct meta *meta)
{
    u32 count;
    const struct meta_pack *packs = meta_packs(meta, &count);
    struct model_pack *p = NULL;
    for (u32 i = 0; i < count; i++) {
        p = pack_after(m, p);
        assert_non_null(p);
        assert_int_equal(packs[i].id, p->pack.id);
        assert_int_equal(packs[i].bytes, p->pack.bytes);
    }
    assert_null(pack_after(m, p));
    assert_int_equal(meta_next_pack(meta), m->next_pack);
}

void model_compare(const struct model *m, const struct meta *meta)
{
    u32 count = 0;
    u32 partitions = 0;
    for (u32 i = 0; i < MODEL_TOPICS; i++) {
        if (m->topics[i].there) {
            compare_topic(m, &m->topics[i], meta);
            partitions += m->topics[i].count;
            count++;
        }
    }
    assert_int_equal(meta_topic_count(meta), count);
    assert_int_equal(meta_partition_total(meta), partitions);
    compare_names(m, meta);
    compare_owners(m, meta);
    compare_log_starts(m, meta);
    compare_sessions(m, meta);
    compare_packs((struct model *)(uintptr_t)m, meta);
    for (u32 i = 0; i < MODEL_RESOURCES; i++) {
        const struct meta_config *configs;
        u32 config_count = meta_configs(meta, 4, model_resource_name(i), &configs);
        compare_configs(m->resources[i], configs, config_count);
    }
}

/* ---- drawing --------------------------------------------------------------------------------- */

static u32 draw_sets(struct rng *rng, struct drawn *out)
{
    u32 count = (u32)rng_below(rng, MODEL_SETS_MAX + 1);
    for (u32 i = 0; i < count; i++) {
        out->configs[i].key = model_key((u32)rng_below(rng, MODEL_KEYS));
        out->configs[i].value = rng_chance(rng, 1, 5)
                                    ? (struct slice){0}
                                    : model_value((u32)rng_below(rng, MODEL_VALUES));
    }
    return count;
}

static void draw_create_topic(struct rng *rng, struct drawn *out)
{
    out->c.create_topic.id = model_id((u32)rng_below(rng, 2 * MODEL_NAMES));
    out->c.create_topic.name = model_name((u32)rng_below(rng, MODEL_NAMES));
    out->c.create_topic.internal = rng_chance(rng, 1, 4);
    out->c.create_topic.replication_factor = (i16)((i32)rng_below(rng, 4) - 1);
    out->c.create_topic.partition_count = (u32)rng_below(rng, 20);
    out->c.create_topic.config_count = draw_sets(rng, out);
    out->c.create_topic.configs = out->configs;
}

static void draw_alter_configs(struct rng *rng, struct drawn *out)
{
    bool topic = rng_chance(rng, 1, 2);
    out->c.alter_configs.resource_type = rng_chance(rng, 1, 20) ? 8 : topic ? 2 : 4;
    out->c.alter_configs.name = topic ? model_name((u32)rng_below(rng, MODEL_NAMES))
                                      : model_resource_name((u32)rng_below(rng, MODEL_RESOURCES));
    out->c.alter_configs.set_count = draw_sets(rng, out);
    out->c.alter_configs.sets = out->configs;
}

/* Mostly partitions there are or were, small steps so that many are in vain. */
static void draw_log_starts(struct rng *rng, const struct model *m, struct drawn *out)
{
    u32 count = (u32)rng_below(rng, MODEL_STARTS_MAX + 1);
    for (u32 i = 0; i < count; i++) {
        u32 last = m->next_partition_id + 1;
        u32 of_late = MIN(last, 60u);
        out->starts[i].partition_id = rng_chance(rng, 1, 2) ? last - (u32)rng_below(rng, of_late)
                                                            : (u32)rng_below(rng, last + 1ull);
        out->starts[i].offset = rng_below(rng, 20);
    }
    if (count > 0 && rng_chance(rng, 1, 10)) {
        out->starts[rng_below(rng, count)].offset = (u64)INT64_MAX + rng_below(rng, 2);
    }
    out->c.set_log_starts.starts = out->starts;
    out->c.set_log_starts.count = count;
}

/* Often what the log would say: the trim of a session there is, a pack not used before. */
static struct meta_pack draw_pack(struct rng *rng, const struct model *m)
{
    struct meta_pack pack = {.id = m->next_pack + rng_below(rng, 2)};
    pack.id = rng_chance(rng, 1, 20) ? rng_below(rng, m->next_pack + 1) : pack.id;
    pack.bytes = rng_chance(rng, 1, 4) ? 0 : 4096 * (1 + rng_below(rng, 100));
    return pack;
}

static void draw_file_wal(struct rng *rng, const struct model *m, struct drawn *out)
{
    out->c.file_wal.wal = rng_below(rng, m->next_wal + 1);
    out->c.file_wal.from = rng_below(rng, 3);
    if (m->session_count > 0 && rng_chance(rng, 9, 10)) {
        const struct meta_session *s = &m->sessions[rng_below(rng, m->session_count)].s;
        out->c.file_wal.wal = s->wal;
        out->c.file_wal.from = s->trim;
        out->c.file_wal.to = s->sealed && rng_chance(rng, 1, 2) ? s->length : s->trim;
    }
    out->c.file_wal.to += rng_below(rng, 30);
    out->c.file_wal.pack = draw_pack(rng, m);
}

static void draw_replace_packs(struct rng *rng, const struct model *m, struct drawn *out)
{
    struct model *looked_at = (struct model *)(uintptr_t)m;
    struct model_pack *p = pack_after(looked_at, NULL);
    u32 skip = (u32)rng_below(rng, 10);
    for (u32 i = 0; p != NULL && i < skip; i++) {
        struct model_pack *next = pack_after(looked_at, p);
        p = next != NULL ? next : p;
    }
    u32 count = (u32)rng_below(rng, MODEL_INPUTS_MAX + 1);
    for (u32 i = 0; i < count; i++) {
        bool there = p != NULL && rng_chance(rng, 19, 20);
        out->inputs[i] = there ? p->pack.id : rng_below(rng, m->next_pack + 1);
        p = p != NULL ? pack_after(looked_at, p) : NULL;
    }
    out->c.replace_packs.inputs = out->inputs;
    out->c.replace_packs.input_count = count;
    out->c.replace_packs.output = draw_pack(rng, m);
}

void draw_command(struct rng *rng, const struct model *m, struct drawn *out)
{
    static const enum meta_command_kind kinds[] = {
        META_REGISTER,       META_SEAL_WAL,      META_CREATE_TOPIC,       META_CREATE_TOPIC,
        META_CREATE_TOPIC,   META_DELETE_TOPIC,  META_CREATE_PARTITIONS,  META_CREATE_PARTITIONS,
        META_ALTER_CONFIGS,  META_ALTER_CONFIGS, META_ALLOC_PRODUCER_IDS, META_SET_LOG_STARTS,
        META_SET_LOG_STARTS, META_FILE_WAL,      META_FILE_WAL,           META_REPLACE_PACKS,
    };
    memset(out, 0, sizeof(*out));
    out->c.kind = kinds[rng_below(rng, ARRAY_LEN(kinds))];
    switch (out->c.kind) {
    case META_REGISTER:
        out->c.reg.node = (i32)rng_below(rng, 3);
        out->c.reg.wal = m->next_wal + (rng_chance(rng, 1, 10) ? 1 : 0);
        out->c.reg.nonce = rng_next(rng);
        break;
    case META_SEAL_WAL:
        out->c.seal.wal = rng_below(rng, m->next_wal + 1);
        out->c.seal.length = rng_chance(rng, 1, 2) ? 0 : rng_below(rng, 1000);
        break;
    case META_CREATE_TOPIC:
        draw_create_topic(rng, out);
        break;
    case META_DELETE_TOPIC:
        out->c.delete_topic.id = model_id((u32)rng_below(rng, 2 * MODEL_NAMES));
        break;
    case META_CREATE_PARTITIONS:
        out->c.create_partitions.id = model_id((u32)rng_below(rng, 2 * MODEL_NAMES));
        out->c.create_partitions.partition_count = (u32)rng_below(rng, 60);
        break;
    case META_ALTER_CONFIGS:
        draw_alter_configs(rng, out);
        break;
    case META_ALLOC_PRODUCER_IDS:
        out->c.alloc_producer_ids.count = (u32)rng_below(rng, 3) * 1000;
        break;
    case META_SET_LOG_STARTS:
        draw_log_starts(rng, m, out);
        break;
    case META_FILE_WAL:
        draw_file_wal(rng, m, out);
        break;
    case META_REPLACE_PACKS:
        draw_replace_packs(rng, m, out);
        break;
    }
}
