/* A consumer: Fetch over some partitions, with or without a session, waiting or not, from offsets
   that now and then jump back. The verifier is a consumer of all partitions from where ListOffsets
   says that they start; it ends when it has reached every end. */
#include "sim/workload.h"

#include <stdio.h>

enum { POSITIONS_MAX = 64 };

struct position {
    struct ledger_partition *partition;
    u64 offset;
    u64 floor_when_asked;
    u64 start_when_asked;
    u64 start;      /* verifier: where it began to read */
    bool start_due; /* verifier: ListOffsets is to say it */
    bool told;      /* the session knows this offset */
    bool at_end;    /* verifier: offset is the high watermark */
};

struct consumer {
    struct workload *wl;
    struct world *world;
    struct client client;
    struct call call;
    bool waiting;
    bool verifier;
    bool verified;
    bool passes_over;
    u64 passed_over; /* offsets that were refused */
    u64 lasting;     /* ... of topics without retention limits */
    i16 version;
    bool sessions;
    i32 session_id;
    i32 session_epoch;
    i32 max_wait_ms;
    i32 min_bytes;
    i32 max_bytes;
    i32 partition_max_bytes;
    i8 isolation;
    u32 count;
    struct position positions[POSITIONS_MAX];
    struct world_event step;
    struct arena arena;
};

static void step_soon(struct consumer *c, u64 about_ns)
{
    world_start(c->world, &c->step, chance_between(c->world, about_ns / 4, about_ns));
}

static void session_forget(struct consumer *c)
{
    c->session_id = 0;
    c->session_epoch = c->sessions ? 0 : -1;
    for (u32 i = 0; i < c->count; i++) {
        c->positions[i].told = false;
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct position *position_find(struct consumer *c, const struct ledger_topic *t,
                                      i32 partition)
{
    for (u32 i = 0; i < c->count; i++) {
        struct position *p = &c->positions[i];
        if (p->partition->topic == t && p->partition->index == partition) {
            return p;
        }
    }
    return NULL;
}

/* What was asked for has gone: on from some later offset, as the start may be anywhere. */
static void position_gone(struct consumer *c, struct position *p)
{
    p->told = false;
    if (c->verifier) {
        p->start_due = true;
        return;
    }
    u64 least = MAX(p->offset, p->partition->start);
    p->offset = chance_between(c->world, least, MAX(least, p->partition->floor));
}

static void position_refused(struct consumer *c, struct position *p, i16 kerr)
{
    struct ledger_partition *at = p->partition;
    world_say(c->world, "%-6s %s-%d offset %llu: %s", c->client.name, at->topic->name, at->index,
              (unsigned long long)p->offset, kerr_name(kerr));
    if (kerr == KERR_OFFSET_OUT_OF_RANGE && ledger_may_be_gone(at, p->offset)) {
        position_gone(c, p);
        return;
    }
    if (c->passes_over && kerr == KERR_KAFKA_STORAGE_ERROR) {
        c->passed_over++;
        c->lasting += !at->topic->limited;
        p->offset++;
        return;
    }
    if (c->verifier || !workload_retriable(at->topic, kerr)) {
        world_fail(c->world, "what is there can be read",
                   "%s-%d offset %llu (promised up to %llu): %s", at->topic->name, at->index,
                   (unsigned long long)p->offset, (unsigned long long)p->floor_when_asked,
                   kerr_name(kerr));
    }
}

static void position_move(struct consumer *c, struct position *p, u64 next)
{
    if (!c->verifier && p->partition->floor > 0 && chance(c->world, 1, 48)) {
        next = chance_between(c->world, 0, p->partition->floor);
    }
    if (next != p->offset) {
        p->offset = next;
        p->told = false;
    }
}

static void position_answered(struct consumer *c, struct position *p,
                              const struct fetch_response_partition_data *r)
{
    if (r->error_code != KERR_NONE) {
        position_refused(c, p, r->error_code);
        return;
    }
    ledger_watermark(p->partition, p->floor_when_asked, r->high_watermark, c->client.name);
    if (c->call.version >= 4 && r->last_stable_offset != r->high_watermark) {
        world_fail(c->world, "without transactions everything is stable",
                   "%s-%d: high watermark %lld, last stable offset %lld", p->partition->topic->name,
                   p->partition->index, (long long)r->high_watermark,
                   (long long)r->last_stable_offset);
    }
    if (c->call.version >= 5) {
        ledger_start_told(p->partition, p->start_when_asked, r->log_start_offset, c->client.name);
    }
    if (p->offset < p->start_when_asked) {
        world_fail(c->world, "what was deleted stays deleted",
                   "%s-%d offset %llu was answered to %s, the log started at %llu",
                   p->partition->topic->name, p->partition->index, (unsigned long long)p->offset,
                   c->client.name, (unsigned long long)p->start_when_asked);
        return;
    }
    u64 next = p->offset;
    ledger_read(p->partition, r->records.bytes, r->high_watermark, &next, c->client.name);
    world_say(c->world, "%-6s %s-%d: %zu bytes up to offset %llu, high watermark %lld",
              c->client.name, p->partition->topic->name, p->partition->index, r->records.bytes.len,
              (unsigned long long)next, (long long)r->high_watermark);
    p->at_end = next == (u64)r->high_watermark;
    position_move(c, p, next);
}

static void response_read(struct consumer *c, const struct fetch_response *r)
{
    for (u32 i = 0; i < r->responses.count; i++) {
        const struct fetch_response_fetchable_topic *topic = &r->responses.items[i];
        const struct ledger_topic *t = workload_topic(c->wl, topic->topic, topic->topic_id);
        for (u32 k = 0; k < topic->partitions.count && !c->world->failed; k++) {
            const struct fetch_response_partition_data *data = &topic->partitions.items[k];
            struct position *p = t == NULL ? NULL : position_find(c, t, data->partition_index);
            if (p == NULL) {
                world_fail(c->world, "answers fit their questions",
                           "Fetch: an answer for a partition that was not asked for");
                return;
            }
            position_answered(c, p, data);
        }
    }
}

static void session_advance(struct consumer *c, const struct fetch_response *r)
{
    if (!c->sessions) {
        return;
    }
    if (r->session_id == 0) {
        session_forget(c);
        return;
    }
    if (c->session_id != 0 && r->session_id != c->session_id) {
        world_fail(c->world, "answers fit their questions", "Fetch: session %d became %d",
                   c->session_id, r->session_id);
    }
    c->session_id = r->session_id;
    c->session_epoch++;
}

static void verify_end(struct consumer *c)
{
    for (u32 i = 0; i < c->count; i++) {
        struct position *p = &c->positions[i];
        if (p->start_due || !p->at_end || p->offset < p->partition->floor) {
            return;
        }
    }
    for (u32 i = 0; i < c->count && !c->passes_over && !c->world->failed; i++) {
        ledger_final(c->positions[i].partition, c->positions[i].start, c->positions[i].offset);
    }
    c->verified = true;
}

static void fetch_done(struct call *call, err_t result, struct slice body)
{
    struct consumer *c = CONTAINER_OF(call, struct consumer, call);
    c->waiting = false;
    if (result != OK) {
        return;
    }
    struct fetch_response r;
    err_t e = wire_decode(call->api->response, call->version, body, &c->arena, &r, NULL);
    if (e != OK) {
        world_fail(c->world, "answers can be read", "Fetch v%d: %s", call->version, err_name(e));
    } else if (r.error_code == KERR_FETCH_SESSION_ID_NOT_FOUND) {
        session_forget(c); /* evicted: legal at any time */
    } else if (r.error_code != KERR_NONE) {
        world_fail(c->world, "errors make sense", "Fetch: %s", kerr_name(r.error_code));
    } else {
        /* Offsets in the request are known to the session now; those that move are not. */
        session_advance(c, &r);
        response_read(c, &r);
    }
    arena_reset(&c->arena);
    if (c->verifier && !c->world->failed && result == OK) {
        verify_end(c);
    }
    if (!c->verified) {
        step_soon(c, chance(c->world, 1, 8) ? 50 * SIM_MS : 1 * SIM_MS);
    }
    if (chance(c->world, c->wl->knobs.stall_per_1024, 1024)) {
        client_stall(&c->client, chance_between(c->world, 10 * SIM_MS, 2000 * SIM_MS));
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void request_fill(struct consumer *c, struct fetch_request *r)
{
    wire_init(fetch_request_def.body, r);
    r->max_wait_ms = c->max_wait_ms;
    r->min_bytes = c->min_bytes;
    r->max_bytes = c->max_bytes;
    r->isolation_level = c->isolation;
    r->session_id = c->session_id;
    r->session_epoch = c->session_epoch;
    r->topics.items = wire_new(&fetch_request_topic_struct, &c->arena, c->count);
    for (u32 i = 0; i < c->count; i++) {
        struct position *p = &c->positions[i];
        p->floor_when_asked = p->partition->floor;
        p->start_when_asked = p->partition->start;
        if (c->session_id != 0 && p->told) {
            continue;
        }
        p->told = true;
        world_say(c->world, "%-6s wants %s-%d from %llu", c->client.name, p->partition->topic->name,
                  p->partition->index, (unsigned long long)p->offset);
        const struct ledger_topic *t = p->partition->topic;
        struct fetch_request_topic *topic = NULL;
        for (u32 k = 0; k < r->topics.count; k++) {
            if (uuid_eq(r->topics.items[k].topic_id, t->id)) {
                topic = &r->topics.items[k];
            }
        }
        if (topic == NULL) {
            topic = &r->topics.items[r->topics.count++];
            topic->topic = slice_cstr(t->name);
            topic->topic_id = t->id;
            topic->partitions.items =
                wire_new(&fetch_request_partition_struct, &c->arena, c->count);
        }
        struct fetch_request_partition *partition =
            &topic->partitions.items[topic->partitions.count++];
        partition->partition = p->partition->index;
        partition->fetch_offset = (i64)p->offset;
        partition->partition_max_bytes = c->partition_max_bytes;
    }
}

/* ---- where the verifier begins --------------------------------------------------------------- */

static void starts_read(struct consumer *c, const struct list_offsets_response *r)
{
    for (u32 i = 0; i < r->topics.count; i++) {
        const struct list_offsets_response_topic *topic = &r->topics.items[i];
        const struct ledger_topic *t = workload_topic(c->wl, topic->name, (struct uuid){0});
        for (u32 k = 0; k < topic->partitions.count && !c->world->failed; k++) {
            const struct list_offsets_response_partition *data = &topic->partitions.items[k];
            struct position *p = position_find(c, t, data->partition_index);
            assert(p != NULL);
            if (data->error_code != KERR_NONE) {
                position_refused(c, p, data->error_code);
                continue;
            }
            ledger_start_told(p->partition, p->start_when_asked, data->offset, c->client.name);
            p->start_due = false;
            p->start = (u64)data->offset;
            p->offset = p->start;
            p->at_end = false;
        }
    }
}

static void starts_done(struct call *call, err_t result, struct slice body)
{
    struct consumer *c = CONTAINER_OF(call, struct consumer, call);
    c->waiting = false;
    if (result != OK) {
        return;
    }
    struct list_offsets_response r;
    err_t e = wire_decode(call->api->response, call->version, body, &c->arena, &r, NULL);
    if (e == OK) {
        starts_read(c, &r);
    } else {
        world_fail(c->world, "answers can be read", "ListOffsets: %s", err_name(e));
    }
    arena_reset(&c->arena);
    step_soon(c, 1 * SIM_MS);
}

static bool starts_due(const struct consumer *c)
{
    for (u32 i = 0; i < c->count; i++) {
        if (c->positions[i].start_due) {
            return true;
        }
    }
    return false;
}

static void starts_ask(struct consumer *c)
{
    struct list_offsets_request r;
    wire_init(list_offsets_request_def.body, &r);
    r.replica_id = -1;
    r.topics.items = wire_new(&list_offsets_request_topic_struct, &c->arena, c->count);
    for (u32 i = 0; i < c->count; i++) {
        struct position *p = &c->positions[i];
        if (!p->start_due) {
            continue;
        }
        p->start_when_asked = p->partition->start;
        struct list_offsets_request_topic *topic = &r.topics.items[r.topics.count++];
        topic->name = slice_cstr(p->partition->topic->name);
        topic->partitions.items = wire_new(&list_offsets_request_partition_struct, &c->arena, 1);
        topic->partitions.count = 1;
        topic->partitions.items[0].partition_index = p->partition->index;
        topic->partitions.items[0].timestamp = -2;
    }
    c->waiting = true;
    client_send(&c->client, &c->call, API_list_offsets, 5, &r, starts_done);
    arena_reset(&c->arena);
}

static void positions_choose(struct consumer *c)
{
    if (c->count > 0 || !workload_topics_there(c->wl)) {
        return;
    }
    u32 partitions = workload_partition_count(c->wl);
    assert(partitions <= POSITIONS_MAX);
    u32 wanted = c->verifier ? partitions : (u32)chance_between(c->world, 1, partitions);
    u32 start = (u32)chance_between(c->world, 0, partitions - 1);
    for (u32 i = 0; i < wanted; i++) {
        c->positions[c->count++] =
            (struct position){.partition = workload_partition(c->wl, (start + i) % partitions),
                              .start_due = c->verifier};
    }
}

static void step_run(struct world_event *e)
{
    struct consumer *c = CONTAINER_OF(e, struct consumer, step);
    if (!client_up(&c->client) || c->waiting || c->verified || c->world->failed) {
        return;
    }
    positions_choose(c);
    if (c->count == 0) {
        step_soon(c, 20 * SIM_MS);
        return;
    }
    if (starts_due(c)) {
        starts_ask(c);
        return;
    }
    struct fetch_request r;
    request_fill(c, &r);
    c->waiting = true;
    client_send(&c->client, &c->call, API_fetch, c->version, &r, fetch_done);
    arena_reset(&c->arena);
}

static void on_connected(void *user)
{
    struct consumer *c = user;
    session_forget(c);
    step_soon(c, 2 * SIM_MS);
}

/* ---- life ------------------------------------------------------------------------------------ */

void consumer_quiet(struct consumer *c)
{
    c->client.timeout_ns = WORKLOAD_PATIENCE_NS;
}

void consumer_pass_over(struct consumer *c)
{
    c->passes_over = true;
}

u64 consumer_passed_over(const struct consumer *c, bool lasting)
{
    return lasting ? c->lasting : c->passed_over;
}

u64 consumer_progress(const struct consumer *c)
{
    u64 sum = 0;
    for (u32 i = 0; i < c->count; i++) {
        sum += c->positions[i].offset;
    }
    return sum;
}

bool consumer_verified(const struct consumer *c)
{
    return c->verified;
}

struct consumer *consumer_create(struct workload *wl, u32 number, bool verifier)
{
    struct world *w = wl->world;
    struct consumer *c = mem_alloc(sizeof *c);
    c->wl = wl;
    c->world = w;
    c->verifier = verifier;
    c->version = (i16)chance_between(w, 4, 18);
    c->sessions = !verifier && c->version >= 7 && chance(w, 1, 2);
    c->max_wait_ms = chance(w, 1, 4) ? 0 : (i32)chance_between(w, 1, 500);
    c->min_bytes = chance(w, 1, 2) ? 1 : (i32)chance_between(w, 0, 4096);
    c->max_bytes = chance(w, 1, 3) ? (i32)chance_between(w, 1, 32 * KIB) : (i32)(1 * MIB);
    c->partition_max_bytes =
        chance(w, 1, 3) ? (i32)chance_between(w, 1, 16 * KIB) : (i32)(256 * KIB);
    c->isolation = (i8)chance_between(w, 0, 1);
    if (verifier) {
        c->max_wait_ms = 100;
        c->min_bytes = 1;
        c->max_bytes = (i32)(4 * MIB);
        c->partition_max_bytes = (i32)(1 * MIB);
    }
    c->step.run = step_run;
    arena_init(&c->arena, NULL, 16 * KIB, 0);
    session_forget(c);
    char name[32];
    (void)snprintf(name, sizeof name, verifier ? "verify" : "cons%u", number);
    const struct client_handler handler = {.connected = on_connected, .user = c};
    /* A long cold answer takes its time. */
    u64 timeout_ns = verifier ? WORKLOAD_PATIENCE_NS : 4 * wl->knobs.timeout_ns;
    client_init(&c->client, w, wl->net, name, timeout_ns, &handler);
    return c;
}

void consumer_destroy(struct consumer *c)
{
    client_fini(&c->client);
    world_stop(c->world, &c->step);
    arena_fini(&c->arena);
    mem_free(c);
}
