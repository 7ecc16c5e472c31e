/* A group in Kafka's record schemas (GroupMetadata, OffsetCommit), as a 4.4 broker writes them, and
   back. What is not in them does not survive a restart: pending ids, protocols that were not
   chosen, joins and syncs under way, deadlines. */
#include "coord/group/group_private.h"

enum {
    OFFSET_LEGACY = 0, /* int16 that begins a key */
    OFFSET = 1,
    GROUP = 2,
    GROUP_VALUE_VERSION = 3,  /* the last one that is not flexible, as Kafka */
    OFFSET_VALUE_VERSION = 4, /* with the topic's id */
    OFFSET_VALUE_WITH_EXPIRY = 1,
    REPLAY_BLOCK_BYTES = 1024,
};

/* ---- writing ------------------------------------------------------------------------------- */

static void put_group(struct step *s, const struct group_metadata_value *value)
{
    struct group_metadata_key key = {.group = s->g->id};
    record_add(s, &group_metadata_key_def, &key, &group_metadata_value_def, GROUP_VALUE_VERSION,
               value);
    s->g->has_record = value != NULL;
}

void record_group(struct step *s)
{
    const struct group *g = s->g;
    struct group_metadata_value value = {
        .protocol_type = or_empty(block_slice(g->protocol_type)),
        .generation = g->generation,
        .protocol = block_slice(g->protocol_name),
        .leader = g->leader < 0 ? (struct slice){0} : g->members[g->leader].id,
        .current_state_timestamp = g->state_wall_ms,
    };
    if (s->exhausted) {
        return;
    }
    value.members.count = g->member_count;
    value.members.items =
        arena_array(s->arena, MAX(g->member_count, 1u), sizeof(*value.members.items));
    if (value.members.items == NULL) {
        s->exhausted = true;
        return;
    }
    for (u32 i = 0; i < g->member_count; i++) {
        const struct member *m = &g->members[i];
        value.members.items[i] = (struct group_metadata_value_member){
            .member_id = m->id,
            .group_instance_id = m->instance_id,
            .client_id = m->client_id,
            .client_host = m->client_host,
            .rebalance_timeout = m->rebalance_timeout_ms,
            .session_timeout = m->session_timeout_ms,
            .subscription = member_metadata(g, m),
            .assignment = or_empty(block_slice(m->assignment)),
        };
    }
    put_group(s, &value);
}

void record_empty_group(struct step *s)
{
    struct group_metadata_value value = {
        .protocol_type = WIRE_EMPTY,
        .current_state_timestamp = s->g->state_wall_ms,
    };
    put_group(s, &value);
}

void record_group_gone(struct step *s)
{
    put_group(s, NULL);
}

static void put_offset(struct step *s, const struct group_offset *offset,
                       const struct offset_commit_value *value, i16 version)
{
    struct offset_commit_key key = {
        .group = s->g->id, .topic = offset->topic, .partition = offset->partition};
    record_add(s, &offset_commit_key_def, &key, &offset_commit_value_def, version, value);
}

void record_offset(struct step *s, const struct group_offset *o)
{
    bool expires = o->expire_wall_ms > 0;
    struct offset_commit_value value = {
        .offset = o->offset,
        .leader_epoch = o->leader_epoch,
        .metadata = or_empty(o->metadata),
        .commit_timestamp = o->commit_wall_ms,
        .expire_timestamp = expires ? o->expire_wall_ms : -1,
        .topic_id = o->topic_id,
    };
    put_offset(s, o, &value, expires ? OFFSET_VALUE_WITH_EXPIRY : OFFSET_VALUE_VERSION);
}

void record_offset_gone(struct step *s, const struct group_offset *o)
{
    put_offset(s, o, NULL, 0);
}

/* ---- reading ------------------------------------------------------------------------------- */

bool group_record_owner(struct slice key, struct slice *group_id)
{
    struct reader r = reader_of(key);
    u16 type = read_be16(&r);
    struct slice id = {0};
    u16 len = read_be16(&r);
    id = len > TEXT_BYTES_MAX ? id : read_bytes(&r, len);
    if (r.failed || len > TEXT_BYTES_MAX || type > GROUP) {
        return false;
    }
    *group_id = id;
    return true;
}

/* An int16 version and the message. */
static err_t value_decode(struct slice bytes, const struct message_def *def, struct arena *arena,
                          void *out)
{
    struct reader r = reader_of(bytes);
    i16 version = (i16)read_be16(&r);
    if (r.failed || version < def->min || version > def->max) {
        return ERR_INVALID;
    }
    struct slice body = slice_of(r.pos, reader_left(&r));
    return wire_decode(def, version, body, arena, out, NULL) == OK ? OK : ERR_INVALID;
}

/* Members that a broker could have written: ids that differ, one protocol for all. */
static bool members_make_sense(const struct group_metadata_value *v)
{
    if (v->generation < 0 || (v->members.count > 0 && v->protocol.ptr == NULL)) {
        return false;
    }
    struct map_slice ids;
    struct map_slice instances;
    map_slice_init(&ids);
    map_slice_init(&instances);
    bool good = true;
    for (u32 i = 0; i < v->members.count && good; i++) {
        struct group_metadata_value_member *m = &v->members.items[i];
        struct slice instance = m->group_instance_id;
        good = m->member_id.len > 0 && map_slice_get(&ids, m->member_id) == NULL &&
               (instance.ptr == NULL || map_slice_get(&instances, instance) == NULL);
        if (good) {
            map_slice_put(&ids, m->member_id, m);
        }
        if (good && instance.ptr != NULL) {
            map_slice_put(&instances, instance, m);
        }
    }
    map_slice_fini(&ids);
    map_slice_fini(&instances);
    return good;
}

static void members_load(struct step *s, const struct group_metadata_value *v)
{
    struct group *g = s->g;
    for (u32 i = 0; i < v->members.count; i++) {
        const struct group_metadata_value_member *in = &v->members.items[i];
        struct group_protocol protocol = {v->protocol, in->subscription};
        struct member *m =
            member_add(s, in->member_id, in->group_instance_id, in->client_id, in->client_host);
        member_set_protocols(s, m, &protocol, 1);
        member_set_assignment(s, m, in->assignment);
        m->session_timeout_ms = in->session_timeout;
        m->rebalance_timeout_ms =
            in->rebalance_timeout == -1 ? in->session_timeout : in->rebalance_timeout;
    }
    if (v->members.count > 0) {
        i32 leader = v->leader.ptr == NULL ? -1 : member_find(g, v->leader);
        g->leader = MAX(leader, 0);
    }
}

static err_t replay_group(struct group *g, struct slice bytes, struct arena *arena)
{
    struct group_metadata_value v = {.current_state_timestamp = -1};
    bool gone = bytes.ptr == NULL;
    if (!gone) {
        TRY(value_decode(bytes, &group_metadata_value_def, arena, &v));
        if (!members_make_sense(&v)) {
            return ERR_INVALID;
        }
    }
    struct group_out out = {0};
    struct step s = {.g = g, .out = &out};
    step_begin(&s, false);
    members_clear(&s);
    g->leader = -1;
    g->state = v.members.count > 0 ? GROUP_STABLE : GROUP_EMPTY;
    g->state_wall_ms = v.current_state_timestamp;
    g->generation = v.generation;
    g->has_record = !gone;
    bool typed = v.protocol_type.len > 0;
    group_set_text(&s, &g->protocol_type, typed ? v.protocol_type : (struct slice){0});
    group_set_text(&s, &g->protocol_name, v.protocol);
    members_load(&s, &v);
    err_t e = step_end(&s);
    assert(e == OK);
    return OK;
}

static err_t replay_offset(struct group *g, const struct offset_commit_key *key, struct slice bytes,
                           struct arena *arena)
{
    if (bytes.ptr == NULL || (g->limits->canaries & GROUP_CANARY_FORGET_OFFSETS) != 0) {
        offset_remove(g, key->topic, key->partition);
        return OK;
    }
    struct offset_commit_value v;
    TRY(value_decode(bytes, &offset_commit_value_def, arena, &v));
    struct group_offset offset = {
        .topic = key->topic,
        .topic_id = v.topic_id,
        .partition = key->partition,
        .offset = v.offset,
        .leader_epoch = v.leader_epoch,
        .metadata = v.metadata,
        .commit_wall_ms = v.commit_timestamp,
        .expire_wall_ms = MAX(v.expire_timestamp, 0),
    };
    offset_store(g, &offset);
    return OK;
}

err_t group_replay(struct group *g, struct slice key, struct slice value, i64 record_wall_ms)
{
    (void)record_wall_ms;
    struct slice owner;
    if (!group_record_owner(key, &owner) || !slice_eq(owner, g->id)) {
        return ERR_INVALID;
    }
    struct arena arena;
    arena_init(&arena, NULL, REPLAY_BLOCK_BYTES, 0);
    err_t e;
    if (load_be16(key.ptr) == GROUP) {
        e = replay_group(g, value, &arena);
    } else {
        struct offset_commit_key k;
        struct slice body = slice_of(key.ptr + 2, key.len - 2);
        e = wire_decode(&offset_commit_key_def, 0, body, &arena, &k, NULL);
        e = e == OK ? replay_offset(g, &k, value, &arena) : ERR_INVALID;
    }
    arena_fini(&arena);
    return e;
}
