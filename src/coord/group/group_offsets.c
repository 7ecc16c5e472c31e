/* The offsets a group has committed: kept in order of topic and partition, changed by OffsetCommit,
   OffsetDelete, DeleteGroups, the end of a topic, and time. Records come first: offsets change only
   when everything a step has to say stands in the arena. */
#include "coord/group/group_private.h"

/* ---- keeping ------------------------------------------------------------------------------- */

/* Where the partition stands, or would. */
static u32 offset_place(const struct group *g, struct slice topic, i32 partition, bool *there)
{
    u32 low = 0;
    u32 high = g->offset_count;
    *there = false;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        const struct group_offset *o = &g->offsets[middle]->view;
        int order = slice_cmp(o->topic, topic);
        if (order == 0) {
            order = o->partition < partition ? -1 : o->partition > partition;
        }
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static u64 stored_bytes(const struct stored_offset *o)
{
    return sizeof(*o) + o->metadata_cap + ALLOCATION_OVERHEAD;
}

/* Shared with a neighbour of the same topic if there is one. */
static struct topic_name *name_ref(struct group *g, struct slice topic, u32 place)
{
    for (u32 i = place == 0 ? 0 : place - 1; i <= place && i < g->offset_count; i++) {
        struct topic_name *name = g->offsets[i]->name;
        if (slice_eq(g->offsets[i]->view.topic, topic)) {
            name->refs++;
            return name;
        }
    }
    struct topic_name *name = mem_alloc(sizeof(*name) + topic.len);
    name->refs = 1;
    name->size = (u32)topic.len;
    if (topic.len > 0) {
        memcpy(name->bytes, topic.ptr, topic.len);
    }
    g->bytes += sizeof(*name) + name->size + ALLOCATION_OVERHEAD;
    return name;
}

static void name_unref(struct group *g, struct topic_name *name)
{
    if (--name->refs == 0) {
        g->bytes -= sizeof(*name) + name->size + ALLOCATION_OVERHEAD;
        mem_free(name);
    }
}

static struct stored_offset *offset_insert(struct group *g, const struct group_offset *offset,
                                           u32 place)
{
    struct topic_name *name = name_ref(g, offset->topic, place);
    if (g->offset_count == g->offset_cap) {
        u32 more = g->offset_cap == 0 ? 1 : g->offset_cap + MAX(g->offset_cap / 2, 1u);
        g->bytes += array_bytes(more, sizeof(struct stored_offset *)) -
                    array_bytes(g->offset_cap, sizeof(struct stored_offset *));
        g->offsets = mem_resize(g->offsets, more * sizeof(struct stored_offset *));
        g->offset_cap = more;
    }
    memmove(&g->offsets[place + 1], &g->offsets[place],
            (g->offset_count - place) * sizeof(struct stored_offset *));
    g->offset_count++;
    struct stored_offset *o = mem_alloc(sizeof(*o) + offset->metadata.len);
    o->name = name;
    o->metadata_cap = (u32)offset->metadata.len;
    g->offsets[place] = o;
    g->bytes += stored_bytes(o);
    return o;
}

void offset_store(struct group *g, const struct group_offset *offset)
{
    bool there;
    u32 place = offset_place(g, offset->topic, offset->partition, &there);
    struct stored_offset *o = there ? g->offsets[place] : offset_insert(g, offset, place);
    if (offset->metadata.len > o->metadata_cap) {
        g->bytes -= stored_bytes(o);
        o = mem_resize(o, sizeof(*o) + offset->metadata.len);
        o->metadata_cap = (u32)offset->metadata.len;
        g->offsets[place] = o;
        g->bytes += stored_bytes(o);
    }
    if (offset->metadata.len > 0) {
        memcpy(o->metadata, offset->metadata.ptr, offset->metadata.len);
    }
    o->view = *offset;
    o->view.topic = slice_of(o->name->bytes, o->name->size);
    o->view.metadata = slice_of(o->metadata, offset->metadata.len);
    o->view.kerr = KERR_NONE;
}

static void offset_drop(struct group *g, u32 place)
{
    struct stored_offset *o = g->offsets[place];
    g->bytes -= stored_bytes(o);
    name_unref(g, o->name);
    mem_free(o);
}

void offset_remove(struct group *g, struct slice topic, i32 partition)
{
    bool there;
    u32 place = offset_place(g, topic, partition, &there);
    if (!there) {
        return;
    }
    offset_drop(g, place);
    g->offset_count--;
    memmove(&g->offsets[place], &g->offsets[place + 1],
            (g->offset_count - place) * sizeof(struct stored_offset *));
}

void offsets_clear(struct group *g)
{
    for (u32 i = 0; i < g->offset_count; i++) {
        offset_drop(g, i);
    }
    mem_free(g->offsets);
    g->bytes -= array_bytes(g->offset_cap, sizeof(struct stored_offset *));
    g->offsets = NULL;
    g->offset_count = 0;
    g->offset_cap = 0;
}

const struct group_offset *group_offset_find(const struct group *g, struct slice topic,
                                             struct uuid topic_id, i32 partition)
{
    bool there;
    u32 place = offset_place(g, topic, partition, &there);
    if (!there) {
        return NULL;
    }
    const struct group_offset *o = &g->offsets[place]->view;
    bool other =
        !uuid_is_zero(topic_id) && !uuid_is_zero(o->topic_id) && !uuid_eq(topic_id, o->topic_id);
    return other ? NULL : o;
}

u32 group_offset_count(const struct group *g)
{
    return g->offset_count;
}

const struct group_offset *group_offset_at(const struct group *g, u32 index)
{
    assert(index < g->offset_count);
    return &g->offsets[index]->view;
}

/* ---- tombstones for a choice of offsets ---------------------------------------------------- */

typedef bool (*offset_choice)(const struct step *s, void *context, const struct group_offset *o);

/* Says that the chosen offsets are gone, as many as fit into a step, and marks them. False: not all
   of them fitted. offsets_settle must follow when all is said. */
static bool offsets_bury(struct step *s, offset_choice chosen, void *context, u32 *buried)
{
    struct group *g = s->g;
    *buried = 0;
    for (u32 i = 0; i < g->offset_count && !s->exhausted; i++) {
        struct group_offset *o = &g->offsets[i]->view;
        if (!chosen(s, context, o)) {
            continue;
        }
        if (s->record_bytes + g->id.len + o->topic.len + 64 > STEP_RECORD_BYTES_MAX) {
            return false;
        }
        record_offset_gone(s, o);
        o->kerr = KERR_UNKNOWN_TOPIC_OR_PARTITION; /* the mark */
        (*buried)++;
    }
    return true;
}

/* Drops what is marked; or takes the marks away when it could not be said. */
static void offsets_settle(struct step *s)
{
    struct group *g = s->g;
    u32 kept = 0;
    for (u32 i = 0; i < g->offset_count; i++) {
        bool marked = g->offsets[i]->view.kerr != KERR_NONE;
        if (marked && !s->exhausted) {
            offset_drop(g, i);
            continue;
        }
        g->offsets[i]->view.kerr = KERR_NONE;
        g->offsets[kept++] = g->offsets[i];
    }
    g->offset_count = kept;
}

static bool every(const struct step *s, void *context, const struct group_offset *o)
{
    (void)s;
    (void)context;
    (void)o;
    return true;
}

/* ---- OffsetCommit -------------------------------------------------------------------------- */

/* Length as Java counts it: UTF-16 units; a byte that is no UTF-8 counts as one. */
static u64 utf16_units(struct slice text)
{
    u64 units = 0;
    for (size_t i = 0; i < text.len;) {
        u8 lead = text.ptr[i];
        size_t more = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 0;
        bool good = i + more < text.len;
        for (size_t k = 1; good && k <= more; k++) {
            good = (text.ptr[i + k] & 0xc0) == 0x80;
        }
        units += good && more == 3 ? 2 : 1;
        i += good ? more + 1 : 1;
    }
    return units;
}

static i16 commit_check(const struct group *g, const struct group_event *ev)
{
    if (g->state == GROUP_DEAD) {
        return KERR_COORDINATOR_NOT_AVAILABLE;
    }
    if (ev->generation < 0 && g->state == GROUP_EMPTY) {
        return KERR_NONE; /* from outside of any group: an administrator, a consumer that assigns */
    }
    if (ev->generation < 0 && ev->member_id.len == 0 && ev->instance_id.ptr == NULL) {
        return KERR_UNKNOWN_MEMBER_ID;
    }
    i16 kerr = member_check(g, ev->member_id, ev->instance_id);
    if (kerr != KERR_NONE) {
        return kerr;
    }
    if (ev->generation != g->generation &&
        (g->limits->canaries & GROUP_CANARY_OLD_GENERATION) == 0) {
        return KERR_ILLEGAL_GENERATION;
    }
    return g->state == GROUP_COMPLETING_REBALANCE ? KERR_REBALANCE_IN_PROGRESS : KERR_NONE;
}

void group_commit(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    i16 kerr = commit_check(g, ev);
    u64 bytes = 0;
    for (u32 i = 0; i < ev->commit.offset_count; i++) {
        const struct group_offset *o = &ev->commit.offsets[i];
        bytes += g->id.len + o->topic.len + o->metadata.len + 128;
    }
    if (kerr == KERR_NONE && bytes > STEP_RECORD_BYTES_MAX) {
        kerr = KERR_INVALID_COMMIT_OFFSET_SIZE;
    }
    reply(s, kerr);
    if (kerr != KERR_NONE) {
        return;
    }
    bool any = false;
    for (u32 i = 0; i < ev->commit.offset_count; i++) {
        struct group_offset *o = &ev->commit.offsets[i];
        any |= o->kerr == KERR_NONE;
        if (o->kerr == KERR_NONE && utf16_units(o->metadata) > g->limits->metadata_units_max) {
            o->kerr = KERR_OFFSET_METADATA_TOO_LARGE;
        }
        if (o->kerr == KERR_NONE) {
            o->commit_wall_ms = s->wall_ms;
            record_offset(s, o);
        }
    }
    if (s->exhausted) {
        return;
    }
    for (u32 i = 0; i < ev->commit.offset_count; i++) {
        if (ev->commit.offsets[i].kerr == KERR_NONE) {
            offset_store(g, &ev->commit.offsets[i]);
        }
    }
    g->committed |= any; /* Kafka makes the group of a commit before it looks at its metadata */
    if (g->state != GROUP_EMPTY) {
        member_session_restart(s, &g->members[member_find(g, ev->member_id)]);
    }
    if (g->offset_count == 0) {
        group_expiry_schedule(g, s->now_ms, s->wall_ms);
        return;
    }
    i64 soon_ms = MIN(MAX(g->limits->offsets_retention_ms, EXPIRY_EARLIEST_MS), EXPIRY_LATEST_MS);
    g->expiry_due_ms = MIN(g->expiry_due_ms, s->now_ms + soon_ms);
}

/* ---- OffsetDelete, DeleteGroups, topics that go -------------------------------------------- */

/* A group that has lost its last offset goes at the next look, if nobody commits until then. */
static void soon_if_bare(const struct step *s)
{
    if (s->g->offset_count == 0 && !s->exhausted) {
        group_expiry_schedule(s->g, s->now_ms, s->wall_ms);
    }
}

void group_delete_offsets(struct step *s)
{
    struct group *g = s->g;
    const struct group_event *ev = s->ev;
    i16 kerr = KERR_NONE;
    if (g->state == GROUP_DEAD) {
        kerr = KERR_GROUP_ID_NOT_FOUND;
    } else if (g->state != GROUP_EMPTY && !group_is_consumer(g)) {
        kerr = KERR_NON_EMPTY_GROUP; /* nobody knows which topics its members use */
    }
    reply(s, kerr);
    if (kerr != KERR_NONE) {
        return;
    }
    struct subscriptions subscribed;
    subscriptions_init(&subscribed, g);
    for (u32 i = 0; i < ev->commit.offset_count; i++) {
        struct group_offset *o = &ev->commit.offsets[i];
        if (o->kerr != KERR_NONE) {
            continue;
        }
        if (subscriptions_have(&subscribed, o->topic)) {
            o->kerr = KERR_GROUP_SUBSCRIBED_TO_TOPIC;
        } else if (s->record_bytes >= STEP_RECORD_BYTES_MAX) {
            o->kerr = KERR_UNKNOWN_SERVER_ERROR;
        } else if (group_offset_find(g, o->topic, (struct uuid){{0}}, o->partition) != NULL) {
            record_offset_gone(s, o);
        }
    }
    subscriptions_fini(&subscribed);
    for (u32 i = 0; i < ev->commit.offset_count && !s->exhausted; i++) {
        const struct group_offset *o = &ev->commit.offsets[i];
        if (o->kerr == KERR_NONE) {
            offset_remove(g, o->topic, o->partition);
        }
    }
    soon_if_bare(s);
}

/* Called with everything said. */
static void die(struct step *s)
{
    struct group *g = s->g;
    assert(!s->exhausted);
    assert(g->offset_count == 0);
    while (g->pending_count > 0) {
        pending_remove(s, g->pending_count - 1);
    }
    group_set_state(s, GROUP_DEAD);
    g->has_record = false;
    g->committed = false;
    g->expiry_due_ms = INT64_MAX;
}

void group_delete(struct step *s)
{
    struct group *g = s->g;
    i16 kerr = g->state == GROUP_DEAD    ? KERR_GROUP_ID_NOT_FOUND
               : g->state != GROUP_EMPTY ? KERR_NON_EMPTY_GROUP
                                         : KERR_NONE;
    struct group_reply *r = reply(s, kerr);
    if (kerr != KERR_NONE) {
        return;
    }
    u32 buried;
    bool all = offsets_bury(s, every, NULL, &buried);
    if (all) {
        record_group_gone(s);
    } else {
        r->kerr = KERR_UNKNOWN_SERVER_ERROR; /* more than fits into a step: to be asked again */
    }
    offsets_settle(s);
    if (all && !s->exhausted) {
        die(s);
    }
}

static bool of_topic(const struct step *s, void *context, const struct group_offset *o)
{
    (void)context;
    struct uuid id = s->ev->topic_deleted.topic_id;
    return slice_eq(o->topic, s->ev->topic_deleted.topic) &&
           (uuid_is_zero(id) || uuid_is_zero(o->topic_id) || uuid_eq(id, o->topic_id));
}

/* What does not fit into a step stays until it expires; it does not show for another topic of the
   same name. */
void group_topic_deleted(struct step *s)
{
    u32 buried;
    (void)offsets_bury(s, of_topic, NULL, &buried);
    offsets_settle(s);
    if (buried > 0) {
        soon_if_bare(s);
    }
}

/* ---- expiry -------------------------------------------------------------------------------- */

struct expiry {
    i64 wall_ms;
    bool applies; /* to this group as it is */
    bool since_empty;
    struct subscriptions subscribed;
};

/* Classic groups count from becoming empty, simple ones from the commit; of a group with members
   only topics go that nobody subscribes to any more. */
static void expiry_init(struct expiry *e, const struct group *g, i64 wall_ms)
{
    *e = (struct expiry){.wall_ms = wall_ms};
    bool simple = g->protocol_type == NULL;
    e->applies =
        simple || g->state == GROUP_EMPTY || (g->state == GROUP_STABLE && group_is_consumer(g));
    e->since_empty = !simple && g->state == GROUP_EMPTY && g->state_wall_ms >= 0;
    if (e->applies) {
        subscriptions_init(&e->subscribed, g);
    }
}

/* INT64_MAX: never, as things are. */
static i64 expires_at(const struct expiry *e, const struct group *g, const struct group_offset *o)
{
    if (!e->applies || subscriptions_have(&e->subscribed, o->topic)) {
        return INT64_MAX;
    }
    if (o->expire_wall_ms > 0) {
        return o->expire_wall_ms;
    }
    i64 from = e->since_empty ? g->state_wall_ms : o->commit_wall_ms;
    i64 at;
    return __builtin_add_overflow(from, g->limits->offsets_retention_ms, &at) ? INT64_MAX : at;
}

static i64 left_ms(i64 at, i64 wall_ms)
{
    i64 left;
    if (at <= wall_ms) {
        return 0;
    }
    return __builtin_sub_overflow(at, wall_ms, &left) ? INT64_MAX : left;
}

void group_expiry_schedule(struct group *g, i64 now_ms, i64 wall_ms)
{
    if (g->offset_count == 0) {
        bool can_go = g->state == GROUP_EMPTY && (g->has_record || g->committed);
        g->expiry_due_ms = can_go ? now_ms + EXPIRY_CHECK_MS : INT64_MAX;
        return;
    }
    struct expiry e;
    expiry_init(&e, g, wall_ms);
    i64 wait_ms = EXPIRY_LATEST_MS;
    for (u32 i = 0; i < g->offset_count; i++) {
        i64 at = expires_at(&e, g, &g->offsets[i]->view);
        wait_ms = MIN(wait_ms, left_ms(at, wall_ms));
    }
    subscriptions_fini(&e.subscribed);
    g->expiry_due_ms = now_ms + MAX(wait_ms, EXPIRY_EARLIEST_MS);
}

static bool is_expired(const struct step *s, void *context, const struct group_offset *o)
{
    const struct expiry *e = context;
    return expires_at(e, s->g, o) <= e->wall_ms;
}

void group_expire(struct step *s)
{
    struct group *g = s->g;
    struct expiry e;
    expiry_init(&e, g, s->wall_ms);
    u32 buried;
    (void)offsets_bury(s, is_expired, &e, &buried);
    subscriptions_fini(&e.subscribed);
    bool ends = buried == g->offset_count && g->state == GROUP_EMPTY && g->pending_count == 0;
    if (ends && g->has_record) {
        record_group_gone(s);
    }
    offsets_settle(s);
    if (s->exhausted) {
        return;
    }
    if (buried > 0) {
        seen("group: offsets expired");
    }
    if (ends) {
        die(s);
    } else {
        group_expiry_schedule(g, s->now_ms, s->wall_ms);
    }
}
