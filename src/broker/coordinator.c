/* See coordinator.h. Memory: groups charge what they hold to a share of the budget. The last
   quarter of it is for groups that exist: new ones are refused there. When all is used, what would
   make a group hold more is refused; heartbeats, leaving, and what replaces as much go on. */
#include "broker/coordinator.h"

#include "broker/conn.h"

#include <string.h>

enum {
    STEP_BLOCK_BYTES = 1024,
    LOAD_READ_BYTES = 1 << 20,
    LOAD_ATTEMPTS_MAX = 50, /* of one piece that storage fails to read */
};
#define LOAD_AGAIN_NS (100 * 1000000ull)
#define APPEND_ROOM_BYTES \
    (256 * KIB) /* what a step may append beyond the bytes of its event and group */

struct owned_group {
    struct list_node node; /* coordinator->groups */
    struct coordinator *coordinator;
    struct group *group;
    struct slice id; /* the group's own copy */
    struct io_timer timer;
    u64 charged;
    u64 last_slot; /* of the newest records of this group */
    bool has_records;
};

/* Replies that wait until their group's records are durable. */
struct held_replies {
    struct list_node node; /* coordinator->held */
    struct coordinator *coordinator;
    struct log_waiter waiter;
    struct arena arena;
    struct group_out out;
};

/* Replay of one partition of the offsets topic. */
struct replay {
    struct coordinator *coordinator;
    u32 index; /* of the partition */
    u64 offset;
    u64 end;
    struct log_load load;
    bool loading;
    u32 attempts;               /* that have failed, of the range under way */
    struct partition_read read; /* ranges being worked through */
    u32 range;
};

struct coordinator {
    struct broker *broker;
    struct map_slice by_id;
    struct list groups;
    struct list held;
    struct map64 tickets; /* ticket -> coordinator_call */
    u64 next_ticket;
    struct quota quota;
    struct group_limits limits;
    struct batch_builder builder;
    struct replay replay;
    struct io_timer replay_timer;
    struct log_whole_waiter whole; /* replay begins when the log is */
    bool loaded;
};

static void group_timer_fired(struct io_timer *t);
static void replay_step(struct coordinator *c);
static void replay_again(struct io_timer *t);

/* ---- life ------------------------------------------------------------------------------------ */

struct coordinator *coordinator_create(struct broker *b)
{
    struct coordinator *c = mem_alloc(sizeof *c);
    const struct config *config = b->config;
    c->broker = b;
    map_slice_init(&c->by_id);
    map64_init(&c->tickets);
    list_init(&c->groups);
    list_init(&c->held);
    c->next_ticket = 1;
    quota_init(&c->quota, "groups", &b->memory.root, b->params.memory_bytes / 8);
    c->limits = (struct group_limits){
        .session_timeout_min_ms = (i32)config_i64(config, CONFIG_group_min_session_timeout_ms),
        .session_timeout_max_ms = (i32)config_i64(config, CONFIG_group_max_session_timeout_ms),
        .initial_rebalance_delay_ms =
            (i32)config_i64(config, CONFIG_group_initial_rebalance_delay_ms),
        .size_max = (u32)config_i64(config, CONFIG_group_max_size),
        .metadata_units_max = (u32)config_i64(config, CONFIG_offset_metadata_max_bytes),
        .offsets_retention_ms = config_i64(config, CONFIG_offsets_retention_minutes) * 60000,
        .canaries = b->params.group_canaries,
    };
    struct batch_builder_options plain = batch_builder_plain();
    batch_builder_init(&c->builder, &plain);
    c->replay.coordinator = c;
    c->replay_timer.fired = replay_again;
    return c;
}

static struct owned_group *owned_create(struct coordinator *c, struct slice id)
{
    struct group *g = group_create(id, &c->limits);
    u64 bytes = group_bytes(g) + sizeof(struct owned_group);
    if (c->quota.used + bytes > c->quota.cap / 4 * 3 || !quota_charge(&c->quota, bytes)) {
        group_destroy(g);
        return NULL;
    }
    struct owned_group *o = mem_alloc(sizeof *o);
    o->coordinator = c;
    o->group = g;
    o->id = group_id(g);
    o->charged = bytes;
    o->timer.fired = group_timer_fired;
    map_slice_put(&c->by_id, o->id, o);
    list_push_back(&c->groups, &o->node);
    return o;
}

static void owned_destroy(struct owned_group *o)
{
    struct coordinator *c = o->coordinator;
    io_timer_stop(c->broker->io, &o->timer);
    map_slice_remove(&c->by_id, o->id);
    list_remove(&o->node);
    quota_release(&c->quota, o->charged);
    group_destroy(o->group);
    mem_free(o);
}

static void held_free(struct held_replies *h)
{
    log_wait_cancel(&h->waiter);
    list_remove(&h->node);
    arena_fini(&h->arena);
    mem_free(h);
}

void coordinator_destroy(struct coordinator *c)
{
    if (c->replay.loading) {
        log_load_release(&c->replay.load);
    }
    io_timer_stop(c->broker->io, &c->replay_timer);
    log_whole_cancel(&c->whole);
    while (!list_empty(&c->held)) {
        held_free(CONTAINER_OF(list_first(&c->held), struct held_replies, node));
    }
    while (!list_empty(&c->groups)) {
        owned_destroy(CONTAINER_OF(list_first(&c->groups), struct owned_group, node));
    }
    batch_builder_fini(&c->builder);
    map_slice_fini(&c->by_id);
    map64_fini(&c->tickets);
    mem_free(c);
}

/* ---- where a group's records go -------------------------------------------------------------- */

const struct meta_topic *coordinator_topic(const struct coordinator *c)
{
    return meta_topic_by_name(cluster_meta(c->broker->cluster), SLICE_LIT(OFFSETS_TOPIC));
}

void coordinator_topic_command(const struct coordinator *c, struct meta_command *command)
{
    static const struct meta_config compact[] = {
        {{(const u8 *)"cleanup.policy", 14}, {(const u8 *)"compact", 7}},
        {{(const u8 *)"compression.type", 16}, {(const u8 *)"producer", 8}},
    };
    *command = (struct meta_command){.kind = META_CREATE_TOPIC};
    io_random(c->broker->io, &command->create_topic.id, sizeof command->create_topic.id);
    command->create_topic.name = SLICE_LIT(OFFSETS_TOPIC);
    command->create_topic.internal = true;
    command->create_topic.replication_factor =
        (i16)config_i64(c->broker->config, CONFIG_offsets_topic_replication_factor);
    command->create_topic.partition_count =
        (u32)config_i64(c->broker->config, CONFIG_offsets_topic_num_partitions);
    command->create_topic.configs = compact;
    command->create_topic.config_count = ARRAY_LEN(compact);
}

/* One UTF-16 unit or two per code point; bytes that are no UTF-8 count as U+FFFD, as Java decodes
   them. */
u32 coordinator_partition_of(struct slice id, u32 count)
{
    u32 hash = 0;
    for (size_t i = 0; i < id.len;) {
        u8 lead = id.ptr[i];
        u32 more = lead < 0x80                   ? 0
                   : lead >= 0xc2 && lead < 0xe0 ? 1
                   : lead >= 0xe0 && lead < 0xf0 ? 2
                   : lead >= 0xf0 && lead < 0xf5 ? 3
                                                 : 4;
        bool good = more < 4 && i + more < id.len;
        u32 code = more == 0   ? lead
                   : more == 1 ? lead & 0x1fu
                   : more == 2 ? lead & 0x0fu
                               : lead & 0x07u;
        for (u32 k = 1; good && k <= more; k++) {
            good = (id.ptr[i + k] & 0xc0) == 0x80;
            code = code << 6 | (id.ptr[i + k] & 0x3fu);
        }
        i += good ? more + 1 : 1;
        code = good ? code : 0xfffd;
        if (code >= 0x10000) {
            hash = hash * 31 + (0xd800 + ((code - 0x10000) >> 10));
            code = 0xdc00 + ((code - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + code;
    }
    i32 value = (i32)hash;
    return (value == INT32_MIN ? 0u : (u32)(value < 0 ? -value : value)) % count;
}

static struct partition *partition_of(const struct coordinator *c, struct slice id)
{
    const struct meta_topic *topic = coordinator_topic(c);
    assert(topic != NULL);
    return cluster_partition(c->broker->cluster, topic,
                             (i32)coordinator_partition_of(id, topic->partition_count));
}

/* Appends a step's records as one batch. The caller has checked that it cannot be refused. */
static void records_append(struct owned_group *o, const struct group_out *out, i64 wall_ms)
{
    struct coordinator *c = o->coordinator;
    struct partition *p = partition_of(c, o->id);
    partition_compact(p); /* not before it is replayed: what replay holds stays as it is */
    batch_builder_reset(&c->builder);
    err_t e = OK;
    for (u32 i = 0; i < out->record_count && e == OK; i++) {
        e = batch_builder_add(&c->builder, wall_ms, out->records[i].key, out->records[i].value,
                              NULL, 0);
    }
    struct slice bytes;
    struct batch_view view;
    e = e == OK ? batch_builder_finish(&c->builder, &bytes) : e;
    e = e == OK ? batch_view_parse(bytes, &view) : e;
    assert(e == OK);
    struct append_result result;
    partition_append(p, &view, false, &result);
    assert(result.kerr == KERR_NONE);
    o->last_slot = result.slot;
    o->has_records = true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void replies_send(struct coordinator *c, const struct group_out *out)
{
    for (u32 i = 0; i < out->reply_count; i++) {
        struct coordinator_call *call = map64_remove(&c->tickets, out->replies[i].ticket);
        if (call != NULL) {
            call->group = NULL;
            call->done(call, &out->replies[i]);
        }
    }
}

static void held_durable(struct log_waiter *w, err_t result)
{
    struct held_replies *h = CONTAINER_OF(w, struct held_replies, waiter);
    if (result == OK) {
        replies_send(h->coordinator, &h->out);
    }
    held_free(h); /* otherwise storage failed: the process ends, nobody is told anything */
}

static bool is_durable(const struct owned_group *o)
{
    const struct coordinator *c = o->coordinator;
    bool early = (c->limits.canaries & GROUP_CANARY_ANSWER_EARLY) != 0;
    return !o->has_records || early || log_durable_slot(c->broker->log) > o->last_slot;
}

static void replies_hold(struct owned_group *o, const struct group_out *out, struct arena *arena)
{
    struct coordinator *c = o->coordinator;
    struct held_replies *h = mem_alloc(sizeof *h);
    h->coordinator = c;
    h->arena = *arena; /* moved: the replies live in it */
    h->out = *out;
    h->waiter.done = held_durable;
    list_push_back(&c->held, &h->node);
    log_wait(c->broker->log, &h->waiter, o->last_slot);
}

static void owned_charge(struct owned_group *o)
{
    u64 bytes = group_bytes(o->group) + sizeof *o;
    if (bytes > o->charged) {
        /* A group that exists is let grow by what its own limits allow; the share is what keeps new
           ones out. */
        o->charged +=
            quota_charge(&o->coordinator->quota, bytes - o->charged) ? bytes - o->charged : 0;
    } else if (bytes < o->charged) {
        quota_release(&o->coordinator->quota, o->charged - bytes);
        o->charged = bytes;
    }
}

static void timer_set(struct owned_group *o, i64 deadline_ms)
{
    struct io *io = o->coordinator->broker->io;
    if (deadline_ms == INT64_MAX) {
        io_timer_stop(io, &o->timer);
    } else {
        io_timer_start(io, &o->timer, (u64)MAX(deadline_ms, 0) * 1000000u);
    }
}

static i64 now_ms(const struct coordinator *c)
{
    return (i64)(io_now_ns(c->broker->io) / 1000000u);
}

/* KERR_NONE, or why the records of this step could not be appended now. Sets the event's clocks. */
static i16 can_append(struct owned_group *o, struct group_event *event)
{
    struct coordinator *c = o->coordinator;
    event->now_ms = now_ms(c);
    event->wall_ms = io_wall_ms(c->broker->io);
    if (log_refuses(c->broker->log)) {
        return KERR_COORDINATOR_NOT_AVAILABLE;
    }
    u64 bytes = group_step_bytes(o->group, event);
    bool room =
        log_room_reserved(c->broker->log, bytes) && partition_room(partition_of(c, o->id), bytes);
    return room ? KERR_NONE : KERR_COORDINATOR_NOT_AVAILABLE;
}

/* Runs one event that can_append has let pass. The group may be gone afterwards. */
static MUST_USE err_t owned_step(struct owned_group *o, struct group_event *event)
{
    struct coordinator *c = o->coordinator;
    struct arena arena;
    arena_init(&arena, &c->broker->memory.requests, STEP_BLOCK_BYTES, 0);
    struct group_out out = {.deadline_ms = INT64_MAX};
    err_t e = group_step(o->group, event, &out, &arena);
    if (e != OK) {
        arena_fini(&arena);
        return e;
    }
    if (out.record_count > 0) {
        records_append(o, &out, event->wall_ms);
    }
    owned_charge(o);
    timer_set(o, out.deadline_ms);
    bool held = out.reply_count > 0 && !is_durable(o);
    if (held) {
        replies_hold(o, &out, &arena);
    }
    if (out.dead || group_is_void(o->group)) {
        owned_destroy(o);
    }
    if (!held) {
        replies_send(c, &out);
        arena_fini(&arena);
    }
    return OK;
}

static void group_timer_fired(struct io_timer *t)
{
    struct owned_group *o = CONTAINER_OF(t, struct owned_group, timer);
    struct coordinator *c = o->coordinator;
    struct group_event event = {.kind = GROUP_TIMER, .generation = -1};
    if (can_append(o, &event) != KERR_NONE || owned_step(o, &event) != OK) {
        timer_set(o, now_ms(c) + 100); /* no room just now */
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static u64 join_bytes(const struct group_event *ev)
{
    u64 bytes = ev->join.fresh_member_id.len + ev->instance_id.len + ev->join.client_id.len +
                ev->join.client_host.len;
    for (u32 i = 0; i < ev->join.protocol_count; i++) {
        bytes += ev->join.protocols[i].name.len + ev->join.protocols[i].metadata.len;
    }
    return bytes;
}

/* What a group has already in place of what the event brings. */
static u64 replaced_bytes(const struct group *g, const struct group_event *ev)
{
    u64 bytes = 0;
    if (ev->kind == GROUP_COMMIT) {
        for (u32 i = 0; i < ev->commit.offset_count; i++) {
            const struct group_offset *new = &ev->commit.offsets[i];
            const struct group_offset *old =
                group_offset_find(g, new->topic, new->topic_id, new->partition);
            bytes += old == NULL ? 0 : sizeof *old + old->topic.len + old->metadata.len;
        }
        return bytes;
    }
    for (u32 i = 0; i < group_member_count(g); i++) {
        struct group_member_view m;
        group_member_at(g, i, &m);
        bool same = slice_eq(m.member_id, ev->member_id) ||
                    (m.instance_id.ptr != NULL && ev->instance_id.ptr != NULL &&
                     slice_eq(m.instance_id, ev->instance_id));
        if (ev->kind == GROUP_SYNC) {
            bytes += m.assignment.len;
        } else if (same) {
            bytes += m.member_id.len + m.instance_id.len + m.client_id.len + m.client_host.len +
                     m.metadata.len;
        }
    }
    return bytes;
}

/* Is there memory for what the group would hold after the event? */
static bool has_room(const struct coordinator *c, const struct group *g,
                     const struct group_event *ev)
{
    u64 bytes = 0;
    switch (ev->kind) {
    case GROUP_JOIN:
        bytes = join_bytes(ev);
        break;
    case GROUP_SYNC:
        for (u32 i = 0; i < ev->sync.assignment_count; i++) {
            bytes += ev->sync.assignments[i].assignment.len;
        }
        break;
    case GROUP_COMMIT:
        for (u32 i = 0; i < ev->commit.offset_count; i++) {
            const struct group_offset *o = &ev->commit.offsets[i];
            bytes += sizeof *o + o->topic.len + o->metadata.len;
        }
        break;
    default:
        return true;
    }
    u64 left = quota_left(&c->quota);
    return bytes <= left || bytes <= left + replaced_bytes(g, ev);
}

/* A group made for an event that did not happen. */
static void owned_drop_void(struct owned_group *o)
{
    if (group_is_void(o->group)) {
        owned_destroy(o);
    }
}

i16 coordinator_call(struct coordinator *c, struct coordinator_call *call, struct slice id,
                     struct group_event *event, bool may_create)
{
    /* "" is nobody's group to be a member of; offsets it may have, as of clients before groups. */
    bool membership = event->kind == GROUP_JOIN || event->kind == GROUP_SYNC ||
                      event->kind == GROUP_HEARTBEAT || event->kind == GROUP_LEAVE ||
                      event->kind == GROUP_DELETE_OFFSETS;
    if (id.len == 0 && membership) {
        return KERR_INVALID_GROUP_ID;
    }
    if (!c->loaded) {
        return KERR_COORDINATOR_LOAD_IN_PROGRESS;
    }
    if (coordinator_topic(c) == NULL) {
        return may_create ? KERR_COORDINATOR_NOT_AVAILABLE
                          : KERR_GROUP_ID_NOT_FOUND; /* FindCoordinator makes it */
    }
    struct owned_group *o = map_slice_get(&c->by_id, id);
    if (o == NULL && !may_create) {
        return KERR_GROUP_ID_NOT_FOUND;
    }
    if (o == NULL) {
        o = owned_create(c, id);
        if (o == NULL) {
            return KERR_COORDINATOR_NOT_AVAILABLE;
        }
    }
    i16 kerr =
        has_room(c, o->group, event) ? can_append(o, event) : (i16)KERR_COORDINATOR_NOT_AVAILABLE;
    if (kerr != KERR_NONE) {
        owned_drop_void(o);
        return kerr;
    }
    call->coordinator = c;
    call->ticket = c->next_ticket++;
    call->group = o;
    event->ticket = call->ticket;
    map64_put(&c->tickets, call->ticket, call);
    if (owned_step(o, event) != OK) {
        map64_remove(&c->tickets, call->ticket);
        call->group = NULL;
        owned_drop_void(o);
        return KERR_COORDINATOR_NOT_AVAILABLE;
    }
    return KERR_NONE;
}

void coordinator_cancel(struct coordinator_call *call)
{
    struct coordinator *c = call->coordinator;
    if (call->group == NULL || map64_get(&c->tickets, call->ticket) != call) {
        return;
    }
    map64_remove(&c->tickets, call->ticket);
    /* The group may have died with its reply still held: look it up instead of trusting the
       pointer. */
    LIST_EACH (&c->groups, node) {
        struct owned_group *o = CONTAINER_OF(node, struct owned_group, node);
        if (o == call->group) {
            struct group_event event = {
                .kind = GROUP_CLIENT_GONE, .generation = -1, .ticket = call->ticket};
            /* No room: the ticket is unknown from now on, and the member ends with its session. */
            if (can_append(o, &event) == KERR_NONE) {
                (void)!owned_step(o, &event);
            }
            break;
        }
    }
    call->group = NULL;
}

const struct group *coordinator_group(struct coordinator *c, struct slice id, i16 *kerr)
{
    *kerr = c->loaded ? KERR_NONE : KERR_COORDINATOR_LOAD_IN_PROGRESS;
    const struct owned_group *o = *kerr == KERR_NONE ? map_slice_get(&c->by_id, id) : NULL;
    return o == NULL ? NULL : o->group;
}

const struct group *coordinator_next_group(const struct coordinator *c, u32 *cursor)
{
    struct slice key;
    void *value;
    if (!map_slice_next(&c->by_id, cursor, &key, &value)) {
        return NULL;
    }
    return ((const struct owned_group *)value)->group;
}

bool coordinator_pending_slot(const struct coordinator *c, struct slice id, u64 *slot)
{
    const struct owned_group *o = map_slice_get(&c->by_id, id);
    if (o == NULL || is_durable(o)) {
        return false;
    }
    *slot = o->last_slot;
    return true;
}

/* Somebody deleted the topic that groups live in: they are gone with it. Whoever waits is told to
   look for the coordinator again, and by that makes a new one. */
static void groups_forget(struct coordinator *c)
{
    u32 cursor = 0;
    u64 ticket;
    void *value;
    while (map64_next(&c->tickets, &cursor, &ticket, &value)) {
        struct coordinator_call *call = value;
        struct group_reply reply = {
            .ticket = ticket, .kerr = KERR_NOT_COORDINATOR, .generation = -1};
        map64_remove(&c->tickets, ticket); /* replies that are held find nobody */
        call->group = NULL;
        call->done(call, &reply);
    }
    while (!list_empty(&c->groups)) {
        owned_destroy(CONTAINER_OF(list_first(&c->groups), struct owned_group, node));
    }
}

void coordinator_topic_deleted(struct coordinator *c, struct slice topic, struct uuid id)
{
    if (slice_eq_cstr(topic, OFFSETS_TOPIC)) {
        groups_forget(c);
        return;
    }
    LIST_EACH (&c->groups, node) {
        struct owned_group *o = CONTAINER_OF(node, struct owned_group, node);
        struct group_event event = {.kind = GROUP_TOPIC_DELETED,
                                    .generation = -1,
                                    .topic_deleted = {.topic = topic, .topic_id = id}};
        if (can_append(o, &event) == KERR_NONE) {
            (void)!owned_step(o, &event); /* out of memory: the offsets stay until they expire */
        }
    }
}

/* ---- replay ---------------------------------------------------------------------------------- */

bool coordinator_is_loaded(const struct coordinator *c)
{
    return c->loaded;
}

static void replay_record(struct coordinator *c, const struct record *record)
{
    struct slice id;
    if (!group_record_owner(record->key, &id)) {
        return;
    }
    struct owned_group *o = map_slice_get(&c->by_id, id);
    if (o == NULL) {
        if (record->value.ptr == NULL) {
            return;
        }
        o = owned_create(c, id);
        if (o == NULL) {
            diag(MSG_group_not_loaded, D_SLICE("group", id),
                 D_STR("why", "the memory share of groups is full"));
            return;
        }
    }
    if (group_replay(o->group, record->key, record->value, record->timestamp) != OK) {
        diag(MSG_group_not_loaded, D_SLICE("group", id), D_INT("offset", record->offset),
             D_STR("why", "a record of it makes no sense"));
    }
}

static void replay_batches(struct coordinator *c, struct slice run)
{
    struct batch_view batch;
    while (batch_view_next(&run, &batch) == OK) {
        struct record_iter it;
        if (batch_is_control(&batch) ||
            record_iter_init(&it, &batch, &c->broker->scratch,
                             c->broker->params.memory_bytes / 8) != OK) {
            continue;
        }
        struct record record;
        while (record_iter_next(&it, &record)) {
            replay_record(c, &record);
        }
        decompressor_reset(&c->broker->scratch);
    }
}

static void replay_loaded(struct log_load *load, err_t result)
{
    struct replay *r = CONTAINER_OF(load, struct replay, load);
    struct coordinator *c = r->coordinator;
    r->loading = false;
    if (result == OK) {
        replay_batches(c, slice_of(load->data, load->bytes));
        r->read.ranges[r->range].pos += load->bytes;
        r->read.ranges[r->range].bytes -= load->bytes;
    }
    log_load_release(load);
    /* A failed read may pass: offsets are not forgotten for it. What is corrupt stays so. */
    r->attempts = result == OK ? 0 : r->attempts + 1;
    bool again = result != OK && result != ERR_CORRUPT && r->attempts < LOAD_ATTEMPTS_MAX;
    if (result != OK && !again) {
        diag(MSG_group_not_loaded, D_INT("partition", r->index),
             D_STR("why", "a piece of its partition of " OFFSETS_TOPIC " cannot be read"),
             D_STR("error", err_name(result)));
    }
    if (!again && (result != OK || r->read.ranges[r->range].bytes == 0)) {
        r->attempts = 0;
        r->range++;
    }
    u64 pause_ns = again ? LOAD_AGAIN_NS : 0;
    io_timer_start(c->broker->io, &c->replay_timer, io_now_ns(c->broker->io) + pause_ns);
}

static void replay_again(struct io_timer *t)
{
    replay_step(CONTAINER_OF(t, struct coordinator, replay_timer));
}

static void replay_finish(struct coordinator *c)
{
    c->loaded = true;
    LIST_EACH (&c->groups, node) {
        struct owned_group *o = CONTAINER_OF(node, struct owned_group, node);
        struct group_out out = {.deadline_ms = INT64_MAX};
        group_loaded(o->group, now_ms(c), io_wall_ms(c->broker->io), &out);
        timer_set(o, out.deadline_ms);
        owned_charge(o);
        if (group_is_void(o->group)) {
            owned_destroy(o);
        }
    }
}

/* The next range: hot ones at once, one cold load at a time, then the next read, then the next
 * partition. */
static void replay_step(struct coordinator *c)
{
    struct replay *r = &c->replay;
    const struct meta_topic *topic = coordinator_topic(c);
    struct log *log = c->broker->log;
    while (topic != NULL && r->index < topic->partition_count) {
        struct partition *p = cluster_partition(c->broker->cluster, topic, (i32)r->index);
        while (r->range < r->read.range_count) {
            struct log_range *range = &r->read.ranges[r->range];
            const u8 *hot = log_peek(log, range);
            if (hot == NULL) {
                r->load.done = replay_loaded;
                r->load.range = *range;
                r->loading = true;
                log_load(log, &r->load);
                return;
            }
            replay_batches(c, slice_of(hot, range->bytes));
            r->range++;
        }
        struct partition_info info;
        partition_info(p, &info);
        r->read.offset = MAX(r->offset, info.log_start_offset);
        r->read.limit_offset = info.high_watermark;
        r->read.bytes_max = LOAD_READ_BYTES;
        r->read.one_batch = true;
        r->read.whole_runs = true;
        r->range = 0;
        err_t e =
            r->read.offset < info.high_watermark ? partition_read(p, &r->read) : ERR_NOT_FOUND;
        if (e != OK || r->read.range_count == 0) {
            r->read.range_count = 0;
            r->offset = 0;
            r->index++;
            continue;
        }
        r->offset = r->read.next_offset;
    }
    replay_finish(c);
}

static void replay_begin(struct log_whole_waiter *w)
{
    replay_step(CONTAINER_OF(w, struct coordinator, whole));
}

void coordinator_start(struct coordinator *c)
{
    if (log_is_whole(c->broker->log)) {
        replay_step(c);
    } else {
        c->whole.whole = replay_begin;
        log_whole_wait(c->broker->log, &c->whole);
    }
}
