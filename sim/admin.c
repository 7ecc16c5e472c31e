/* The admin makes the planned topics (by CreateTopics, or by Metadata where one partition is
   enough), then now and then makes a passing topic, writes to it and deletes it, looks at Metadata
   and asks for offsets.

   Held here: a topic whose creation was acknowledged is there with the same id and partitions, one
   whose deletion was acknowledged is not, and nobody else's is. Offsets begin at 0 and end at or
   above what was promised. */
#include "sim/workload.h"

#include <stdio.h>

struct admin {
    struct workload *wl;
    struct world *world;
    struct client client;
    struct call call;
    bool waiting;
    struct ledger_topic *topic;   /* the one being made or deleted */
    struct ledger_topic *passing; /* NULL: none */
    struct author *passing_author;
    u32 passing_count;
    struct ledger_partition *partition; /* whose offsets are asked for */
    u64 floor_when_asked;
    u64 start_when_asked;
    enum { OFFSETS_LATEST, OFFSETS_EARLIEST, OFFSETS_BY_TIME } offsets;
    i64 time_asked;
    bool by_metadata;
    bool clearing; /* all partitions, one after the other */
    struct {
        enum topic_life life;
    } when_asked[128]; /* of each topic, in the order of the ledger */
    struct world_event step;
    struct arena arena;
};

static void step_soon(struct admin *a, u64 about_ns)
{
    world_start(a->world, &a->step, chance_between(a->world, about_ns / 4, about_ns));
}

static void ask(struct admin *a, i16 api, i16 version, const void *request,
                void (*done)(struct call *call, err_t result, struct slice body))
{
    a->waiting = true;
    client_send(&a->client, &a->call, api, version, request, done);
    arena_reset(&a->arena);
}

/* The answer decoded; false: there is none. */
static bool answered(struct admin *a, err_t result, struct slice body, void *out)
{
    a->waiting = false;
    if (result != OK) {
        return false;
    }
    err_t e = wire_decode(a->call.api->response, a->call.version, body, &a->arena, out, NULL);
    if (e != OK) {
        world_fail(a->world, "answers can be read", "%s v%d: %s", a->call.api->kafka_name,
                   a->call.version, err_name(e));
    }
    return e == OK;
}

static void unexpected(struct admin *a, const char *what, i16 kerr)
{
    world_fail(a->world, "errors make sense", "%s: %s", what, kerr_name(kerr));
}

static void finished(struct admin *a)
{
    arena_reset(&a->arena);
    step_soon(a, 20 * SIM_MS);
}

/* ---- creation -------------------------------------------------------------------------------- */

static void id_learned(struct admin *a, struct ledger_topic *t, struct uuid id)
{
    if (uuid_is_zero(id)) {
        return;
    }
    if (!uuid_is_zero(t->id) && !uuid_eq(t->id, id)) {
        world_fail(a->world, "an acknowledged topic stays", "%s has another id than before",
                   t->name);
    }
    t->id = id;
}

static void create_done(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct create_topics_response r;
    if (answered(a, result, body, &r) && r.topics.count == 1) {
        const struct create_topics_response_creatable_topic_result *t = &r.topics.items[0];
        /* That it exists already is what a repeated question hears. */
        if (t->error_code == KERR_NONE || t->error_code == KERR_TOPIC_ALREADY_EXISTS) {
            world_say(a->world, "admin  %s is there", a->topic->name);
            a->topic->life = TOPIC_THERE;
            id_learned(a, a->topic, t->error_code == KERR_NONE ? t->topic_id : (struct uuid){0});
        } else if (!workload_retriable(NULL, t->error_code)) {
            unexpected(a, "CreateTopics", t->error_code);
        }
    }
    finished(a);
}

static void create_ask(struct admin *a, struct ledger_topic *t)
{
    struct create_topics_request_creatable_topic_config configs[3];
    char numbers[2][24];
    struct create_topics_request_creatable_topic topic;
    wire_init(&create_topics_request_creatable_topic_struct, &topic);
    topic.name = slice_cstr(t->name);
    topic.num_partitions = (i32)t->partition_count;
    topic.replication_factor = chance(a->world, 1, 2) ? 1 : 3;
    topic.configs.items = configs;
    if (t->log_append_time) {
        configs[topic.configs.count++] = (struct create_topics_request_creatable_topic_config){
            .name = slice_cstr("message.timestamp.type"), .value = slice_cstr("LogAppendTime")};
    }
    if (t->retention_bytes >= 0) {
        (void)snprintf(numbers[0], sizeof numbers[0], "%lld", (long long)t->retention_bytes);
        configs[topic.configs.count++] = (struct create_topics_request_creatable_topic_config){
            .name = slice_cstr("retention.bytes"), .value = slice_cstr(numbers[0])};
    }
    if (t->retention_ms >= 0) {
        (void)snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)t->retention_ms);
        configs[topic.configs.count++] = (struct create_topics_request_creatable_topic_config){
            .name = slice_cstr("retention.ms"), .value = slice_cstr(numbers[1])};
    }
    struct create_topics_request r;
    wire_init(create_topics_request_def.body, &r);
    r.topics.items = &topic;
    r.topics.count = 1;
    r.timeout_ms = 30000;
    a->topic = t;
    t->life = TOPIC_ASKED;
    ask(a, API_create_topics, (i16)chance_between(a->world, 2, 7), &r, create_done);
}

/* ---- deletion -------------------------------------------------------------------------------- */

static void delete_done(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct delete_topics_response r;
    if (answered(a, result, body, &r) && r.responses.count == 1) {
        i16 kerr = r.responses.items[0].error_code;
        if (kerr == KERR_NONE || kerr == KERR_UNKNOWN_TOPIC_OR_PARTITION) {
            world_say(a->world, "admin  %s is gone", a->topic->name);
            a->topic->life = TOPIC_GONE;
            a->passing = NULL;
        } else if (!workload_retriable(NULL, kerr)) {
            unexpected(a, "DeleteTopics", kerr);
        }
    }
    finished(a);
}

static void delete_ask(struct admin *a, struct ledger_topic *t)
{
    struct delete_topics_request_topic_state topic = {.name = slice_cstr(t->name)};
    struct slice name = slice_cstr(t->name);
    i16 version = (i16)chance_between(a->world, 1, 6);
    struct delete_topics_request r;
    wire_init(delete_topics_request_def.body, &r);
    r.timeout_ms = 30000;
    if (version >= 6) {
        r.topics.items = &topic;
        r.topics.count = 1;
    } else {
        r.topic_names.items = &name;
        r.topic_names.count = 1;
    }
    a->topic = t;
    t->life = TOPIC_DOOMED;
    ask(a, API_delete_topics, version, &r, delete_done);
}

/* ---- a passing topic ------------------------------------------------------------------------- */

static void passing_produced(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct produce_response r;
    if (answered(a, result, body, &r) && r.responses.count == 1 &&
        r.responses.items[0].partition_responses.count == 1) {
        const struct produce_response_partition *p =
            &r.responses.items[0].partition_responses.items[0];
        if (p->error_code == KERR_NONE) {
            ledger_acked(a->passing_author, a->passing_author->count - 1, 1, p->base_offset);
        } else if (!workload_retriable(a->passing, p->error_code)) {
            unexpected(a, "Produce to a passing topic", p->error_code);
        }
    }
    finished(a);
}

static void passing_produce(struct admin *a)
{
    struct ledger_topic *t = a->passing;
    struct batch_builder_options options = batch_builder_plain();
    struct batch_builder builder;
    batch_builder_init(&builder, &options);
    i64 timestamp = world_wall_ms(a->world);
    u32 record = ledger_record_add(a->passing_author, timestamp);
    struct content *c = &a->wl->ledger.made;
    content_make(a->passing_author, record, c);
    err_t e = batch_builder_add(&builder, timestamp, c->key, c->value, c->headers, c->header_count);
    assert(e == OK);
    struct produce_request_partition_data partition = {.index = 0};
    e = batch_builder_finish(&builder, &partition.records.bytes);
    assert(e == OK);
    (void)e;
    struct produce_request_topic_data topic = {.name = slice_cstr(t->name)};
    topic.partition_data.items = &partition;
    topic.partition_data.count = 1;
    struct produce_request r;
    wire_init(produce_request_def.body, &r);
    r.acks = 1;
    r.timeout_ms = 30000;
    r.topic_data.items = &topic;
    r.topic_data.count = 1;
    ledger_sent(a->passing_author, record, 1);
    ask(a, API_produce, (i16)chance_between(a->world, 3, 12), &r, passing_produced);
    batch_builder_fini(&builder);
}

static void passing_step(struct admin *a)
{
    if (a->passing == NULL) {
        if (a->wl->quiet || a->passing_count >= 100) {
            step_soon(a, 50 * SIM_MS);
            return;
        }
        char name[24];
        (void)snprintf(name, sizeof name, "passing-%u", a->passing_count++);
        a->passing = ledger_topic_add(&a->wl->ledger, name, 1);
        a->passing_author =
            ledger_author_add(&a->wl->ledger, &a->passing->partitions[0], false, true);
    }
    if (a->passing->life < TOPIC_THERE) {
        create_ask(a, a->passing);
    } else if (a->passing->life == TOPIC_THERE && a->wl->quiet) {
        step_soon(a,
                  50 * SIM_MS); /* what it wrote last could be what rots, unknown to be durable */
    } else if (a->passing->life == TOPIC_THERE && chance(a->world, 2, 3)) {
        passing_produce(a);
    } else {
        delete_ask(a, a->passing);
    }
}

/* ---- Metadata -------------------------------------------------------------------------------- */

static void lives_remember(struct admin *a)
{
    u32 i = 0;
    LIST_EACH (&a->wl->ledger.topics, n) {
        assert(i < ARRAY_LEN(a->when_asked));
        a->when_asked[i++].life = CONTAINER_OF(n, struct ledger_topic, node)->life;
    }
}

static const struct metadata_response_topic *metadata_find(const struct metadata_response *r,
                                                           const char *name)
{
    for (u32 i = 0; i < r->topics.count; i++) {
        if (slice_eq_cstr(r->topics.items[i].name, name)) {
            return &r->topics.items[i];
        }
    }
    return NULL;
}

static void metadata_check(struct admin *a, const struct metadata_response *r)
{
    u32 i = 0;
    LIST_EACH (&a->wl->ledger.topics, n) {
        struct ledger_topic *t = CONTAINER_OF(n, struct ledger_topic, node);
        const struct metadata_response_topic *found = metadata_find(r, t->name);
        enum topic_life life = a->when_asked[i++].life;
        if (life == TOPIC_THERE) {
            if (found == NULL || found->error_code != KERR_NONE ||
                found->partitions.count != t->partition_count) {
                world_fail(a->world, "an acknowledged topic stays",
                           "%s with %u partitions: Metadata says %s, %u partitions", t->name,
                           t->partition_count,
                           found == NULL ? "nothing" : kerr_name(found->error_code),
                           found == NULL ? 0 : found->partitions.count);
                return;
            }
            id_learned(a, t, found->topic_id);
        } else if (life == TOPIC_GONE && found != NULL) {
            world_fail(a->world, "a deleted topic stays away", "%s is in Metadata again", t->name);
            return;
        }
    }
    for (u32 k = 0; k < r->topics.count; k++) {
        bool ours = slice_eq_cstr(r->topics.items[k].name, "__consumer_offsets") ||
                    workload_topic(a->wl, r->topics.items[k].name, (struct uuid){0}) != NULL;
        if (!ours) {
            world_fail(a->world, "answers fit their questions",
                       "Metadata: a topic that nobody made: %.*s", (int)r->topics.items[k].name.len,
                       (const char *)r->topics.items[k].name.ptr);
        }
    }
}

static void metadata_done(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct metadata_response r;
    if (answered(a, result, body, &r)) {
        metadata_check(a, &r);
    }
    finished(a);
}

static void metadata_ask(struct admin *a)
{
    struct metadata_request r;
    wire_init(metadata_request_def.body, &r);
    i16 version = (i16)chance_between(a->world, 0, 13);
    r.topics.is_null = version >= 1; /* all */
    r.allow_auto_topic_creation = true;
    lives_remember(a);
    ask(a, API_metadata, version, &r, metadata_done);
}

static void auto_create_done(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct metadata_response r;
    if (answered(a, result, body, &r)) {
        const struct metadata_response_topic *found = metadata_find(&r, a->topic->name);
        if (found != NULL && found->error_code == KERR_NONE) {
            world_say(a->world, "admin  %s is there", a->topic->name);
            a->topic->life = TOPIC_THERE;
            id_learned(a, a->topic, found->topic_id);
        } else if (found == NULL || !(workload_retriable(a->topic, found->error_code) ||
                                      found->error_code == KERR_LEADER_NOT_AVAILABLE)) {
            unexpected(a, "Metadata that makes a topic",
                       found == NULL ? KERR_UNKNOWN_SERVER_ERROR : found->error_code);
        }
    }
    finished(a);
}

static void auto_create_ask(struct admin *a, struct ledger_topic *t)
{
    struct metadata_request_topic topic = {.name = slice_cstr(t->name)};
    struct metadata_request r;
    wire_init(metadata_request_def.body, &r);
    r.topics.items = &topic;
    r.topics.count = 1;
    r.allow_auto_topic_creation = true;
    a->topic = t;
    t->life = TOPIC_ASKED;
    ask(a, API_metadata, (i16)chance_between(a->world, 4, 13), &r, auto_create_done);
}

/* ---- ListOffsets ----------------------------------------------------------------------------- */

/* By time: the answer is the first record with that time or a later one, of all that were there
 * when asked. */
static void by_time_check(struct admin *a, const struct list_offsets_response_partition *r)
{
    struct ledger_partition *p = a->partition;
    u64 before = r->offset >= 0 ? (u64)r->offset : a->floor_when_asked;
    for (u64 offset = 0; offset < MIN(before, p->slot_count); offset++) {
        if (p->slots[offset].timestamp >= a->time_asked && !ledger_may_be_gone(p, offset)) {
            world_fail(a->world, "an offset is found by time",
                       "%s-%d: the first record from time %lld on is at %llu, not at %lld",
                       p->topic->name, p->index, (long long)a->time_asked,
                       (unsigned long long)offset, (long long)r->offset);
            return;
        }
    }
    bool wrong_time = r->offset >= 0 && r->timestamp < a->time_asked;
    bool known =
        r->offset >= 0 && (u64)r->offset < p->slot_count && p->slots[r->offset].timestamp != -1;
    if (wrong_time || (known && p->slots[r->offset].timestamp != r->timestamp)) {
        world_fail(a->world, "an offset is found by time",
                   "%s-%d: from time %lld on: offset %lld with time %lld", p->topic->name, p->index,
                   (long long)a->time_asked, (long long)r->offset, (long long)r->timestamp);
    }
}

static void offsets_check(struct admin *a, const struct list_offsets_response_partition *r)
{
    switch (a->offsets) {
    case OFFSETS_LATEST:
        ledger_watermark(a->partition, a->floor_when_asked, r->offset, "ListOffsets");
        break;
    case OFFSETS_EARLIEST:
        ledger_start_told(a->partition, a->start_when_asked, r->offset, "ListOffsets");
        break;
    case OFFSETS_BY_TIME:
        if (!a->wl->rotten) {
            by_time_check(a, r);
        }
        break;
    }
}

static void offsets_done(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct list_offsets_response r;
    if (answered(a, result, body, &r) && r.topics.count == 1 &&
        r.topics.items[0].partitions.count == 1) {
        const struct list_offsets_response_partition *p = &r.topics.items[0].partitions.items[0];
        if (p->error_code == KERR_NONE) {
            offsets_check(a, p);
        } else if (!workload_retriable(a->partition->topic, p->error_code)) {
            unexpected(a, "ListOffsets", p->error_code);
        }
    }
    finished(a);
}

/* A time near that of some record that was read. */
static bool time_choose(struct admin *a)
{
    struct ledger_partition *p = a->partition;
    if (p->slot_count == 0) {
        return false;
    }
    i64 timestamp = p->slots[chance_between(a->world, 0, p->slot_count - 1)].timestamp;
    a->time_asked = timestamp + (i64)chance_between(a->world, 0, 2) - 1;
    return timestamp != -1;
}

static void offsets_ask(struct admin *a)
{
    a->partition = workload_partition(
        a->wl, (u32)chance_between(a->world, 0, workload_partition_count(a->wl) - 1));
    a->floor_when_asked = a->partition->floor;
    a->start_when_asked = a->partition->start;
    a->offsets = chance(a->world, 1, 6)   ? OFFSETS_EARLIEST
                 : chance(a->world, 1, 2) ? OFFSETS_LATEST
                                          : OFFSETS_BY_TIME;
    if (a->offsets == OFFSETS_BY_TIME && !time_choose(a)) {
        a->offsets = OFFSETS_LATEST;
    }
    struct list_offsets_request_partition partition;
    wire_init(&list_offsets_request_partition_struct, &partition);
    partition.partition_index = a->partition->index;
    partition.timestamp = a->offsets == OFFSETS_EARLIEST ? -2
                          : a->offsets == OFFSETS_LATEST ? -1
                                                         : a->time_asked;
    struct list_offsets_request_topic topic = {.name = slice_cstr(a->partition->topic->name)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct list_offsets_request r;
    wire_init(list_offsets_request_def.body, &r);
    r.replica_id = -1;
    r.topics.items = &topic;
    r.topics.count = 1;
    ask(a, API_list_offsets, (i16)chance_between(a->world, 1, 11), &r, offsets_done);
}

/* ---- DeleteRecords --------------------------------------------------------------------------- */

static void delete_records_done(struct call *call, err_t result, struct slice body)
{
    struct admin *a = CONTAINER_OF(call, struct admin, call);
    struct delete_records_response r;
    if (answered(a, result, body, &r) && r.topics.count == 1 &&
        r.topics.items[0].partitions.count == 1) {
        const struct delete_records_response_partition_result *p =
            &r.topics.items[0].partitions.items[0];
        if (p->error_code == KERR_NONE) {
            ledger_start_told(a->partition, a->start_when_asked, p->low_watermark, "DeleteRecords");
        } else if (!workload_retriable(a->partition->topic, p->error_code)) {
            unexpected(a, "DeleteRecords", p->error_code);
        }
    }
    finished(a);
}

static void delete_records_ask(struct admin *a, struct ledger_partition *p, u64 offset)
{
    a->partition = p;
    /* Acknowledged is what the answer promises: from then on the start is there at least. */
    a->start_when_asked = MAX(p->start, offset);
    p->start_max = MAX(p->start_max, offset);
    struct delete_records_request_partition partition = {.partition_index = p->index,
                                                         .offset = (i64)offset};
    struct delete_records_request_topic topic = {.name = slice_cstr(p->topic->name)};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct delete_records_request r;
    wire_init(delete_records_request_def.body, &r);
    r.topics.items = &topic;
    r.topics.count = 1;
    r.timeout_ms = 30000;
    world_say(a->world, "admin  deletes %s-%d up to %llu", p->topic->name, p->index,
              (unsigned long long)offset);
    ask(a, API_delete_records, (i16)chance_between(a->world, 0, 2), &r, delete_records_done);
}

/* Everything up to some offset that is there, often all of it: so packs become sparse and die. */
static void records_trim(struct admin *a)
{
    struct ledger_partition *p = workload_partition(
        a->wl, (u32)chance_between(a->world, 0, workload_partition_count(a->wl) - 1));
    if (!p->topic->trimmed) {
        finished(a);
        return;
    }
    delete_records_ask(a, p,
                       chance(a->world, 1, 3) ? p->floor : chance_between(a->world, 0, p->floor));
}

/* The next one with records, NULL: none has. */
static struct ledger_partition *partition_to_bury(const struct admin *a)
{
    for (u32 i = 0; i < workload_partition_count(a->wl); i++) {
        struct ledger_partition *p = workload_partition(a->wl, i);
        if (p->start < p->floor) {
            return p;
        }
    }
    return NULL;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static struct ledger_topic *topic_to_make(struct admin *a)
{
    u32 i = 0;
    LIST_EACH (&a->wl->ledger.topics, n) {
        struct ledger_topic *t = CONTAINER_OF(n, struct ledger_topic, node);
        if (i++ < a->wl->knobs.topic_count && t->life < TOPIC_THERE) {
            return t;
        }
    }
    return NULL;
}

static void step_run(struct world_event *e)
{
    struct admin *a = CONTAINER_OF(e, struct admin, step);
    if (!client_up(&a->client) || a->waiting || a->world->failed) {
        return;
    }
    struct ledger_topic *t = topic_to_make(a);
    bool clears = a->wl->knobs.clears && !a->wl->quiet;
    a->clearing = clears && (a->clearing || chance(a->world, 1, 16));
    bool buries = a->wl->burying || a->clearing;
    struct ledger_partition *dying = buries ? partition_to_bury(a) : NULL;
    a->clearing = a->clearing && dying != NULL;
    if (dying != NULL) {
        delete_records_ask(a, dying, dying->floor);
    } else if (t != NULL) {
        if (t->partition_count == 1 && !t->log_append_time && !t->limited && a->by_metadata) {
            auto_create_ask(a, t);
        } else {
            create_ask(a, t);
        }
    } else if (!workload_topics_there(a->wl) || chance(a->world, 1, 3)) {
        metadata_ask(a);
    } else if (a->wl->knobs.trims && !a->wl->quiet && chance(a->world, 1, 6)) {
        records_trim(a);
    } else if (chance(a->world, 1, 2)) {
        offsets_ask(a);
    } else {
        passing_step(a);
    }
}

static void on_connected(void *user)
{
    step_soon(user, 2 * SIM_MS);
}

/* ---- life ------------------------------------------------------------------------------------ */

void admin_quiet(struct admin *a)
{
    a->client.timeout_ns = WORKLOAD_PATIENCE_NS;
}

bool admin_settled(const struct admin *a)
{
    return workload_topics_there(a->wl);
}

bool admin_buried(const struct admin *a)
{
    return a->wl->burying && partition_to_bury(a) == NULL;
}

struct admin *admin_create(struct workload *wl)
{
    struct admin *a = mem_alloc(sizeof *a);
    a->wl = wl;
    a->world = wl->world;
    a->step.run = step_run;
    a->by_metadata = chance(wl->world, 1, 2);
    arena_init(&a->arena, NULL, 16 * KIB, 0);
    const struct client_handler handler = {.connected = on_connected, .user = a};
    client_init(&a->client, wl->world, wl->net, "admin", wl->knobs.timeout_ns, &handler);
    return a;
}

void admin_destroy(struct admin *a)
{
    client_fini(&a->client);
    world_stop(a->world, &a->step);
    arena_fini(&a->arena);
    mem_free(a);
}
