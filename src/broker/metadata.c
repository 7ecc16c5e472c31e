/* Metadata (API key 3): brokers, topics, partitions; makes topics that are asked for and missing,
   if configured [kafka-semantics.md 4; KafkaApis].

   Automatic creation happens before the answer: a topic in the answer works (clients such as
   segmentio's kafka-go do not try again after LEADER_NOT_AVAILABLE). The request is parked until
   the metadata slot is durable.

   Version 0 has no way to say "none": an empty list means all. From 1 on null means all and empty
   means none. */
#include "broker/change.h"
#include "broker/conn.h"
#include "broker/coordinator.h"
#include "broker/repeats.h"
#include "broker/topics.h"

enum { BY_ID_FROM = 12, AUTO_CREATE_FLAG_FROM = 4 };

struct metadata {
    struct change change; /* topics to be made */
    struct request *r;
    const struct metadata_request *q;
    i16 create_error;
};

static bool wants_all(const struct request *r, const struct metadata_request *q)
{
    return r->version == 0 ? q->topics.count == 0 : q->topics.is_null;
}

static bool fill_partitions(struct request *r, const struct meta_topic *t,
                            struct metadata_response_topic *out)
{
    struct metadata_response_partition *rows =
        wire_new(&metadata_response_partition_struct, &r->arena, t->partition_count);
    if (rows == NULL && t->partition_count > 0) {
        return false;
    }
    i32 epoch = meta_leader_epoch(cluster_meta(r->broker->cluster), t);
    for (u32 i = 0; i < t->partition_count; i++) {
        rows[i].partition_index = (i32)i;
        rows[i].leader_id = BROKER_NODE_ID;
        rows[i].leader_epoch = epoch;
        rows[i].replica_nodes = topic_replicas();
        rows[i].isr_nodes = topic_replicas();
    }
    out->partitions.items = rows;
    out->partitions.count = t->partition_count;
    return true;
}

static bool fill_topic(struct request *r, const struct meta_topic *t,
                       struct metadata_response_topic *out)
{
    out->name = t->name;
    out->topic_id = t->id;
    out->is_internal = topic_is_internal(t);
    if (((const struct metadata_request *)r->body)->include_topic_authorized_operations) {
        out->topic_authorized_operations = AUTHORIZED_ON_TOPIC;
    }
    return fill_partitions(r, t, out);
}

/* A topic that was named and is not there. */
static void fill_missing(const struct metadata *m, const struct metadata_request_topic *q,
                         bool by_id, struct metadata_response_topic *out)
{
    out->name = q->name;
    out->topic_id = q->topic_id;
    if (by_id) {
        out->error_code = KERR_UNKNOWN_TOPIC_ID;
        out->name = (struct slice){0};
        return;
    }
    if (m->q->include_topic_authorized_operations) {
        out->topic_authorized_operations = AUTHORIZED_ON_TOPIC;
    }
    if (topic_name_problem(q->name) != NULL) {
        out->error_code = KERR_INVALID_TOPIC_EXCEPTION;
        return;
    }
    out->error_code =
        m->create_error != KERR_NONE ? m->create_error : KERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static bool is_by_id(const struct metadata_request_topic *q)
{
    return !uuid_is_zero(q->topic_id);
}

static bool fill_topics(struct metadata *m, struct metadata_response *response)
{
    struct request *r = m->r;
    const struct meta *meta = cluster_meta(r->broker->cluster);
    bool all = wants_all(r, m->q);
    u32 count = all ? meta_topic_count(meta) : m->q->topics.count;
    struct metadata_response_topic *rows =
        wire_new(&metadata_response_topic_struct, &r->arena, count);
    if (rows == NULL && count > 0) {
        return false;
    }
    response->topics.items = rows;
    response->topics.count = count;
    for (u32 i = 0; i < count; i++) {
        if (all) {
            if (!fill_topic(r, meta_topic_at(meta, i), &rows[i])) {
                return false;
            }
            continue;
        }
        const struct metadata_request_topic *q = &m->q->topics.items[i];
        bool by_id = is_by_id(q);
        i16 kerr;
        const struct meta_topic *t = request_topic(r, q->name, q->topic_id, by_id, &kerr);
        if (t == NULL) {
            fill_missing(m, q, by_id, &rows[i]);
        } else if (!fill_topic(r, t, &rows[i])) {
            return false;
        }
    }
    return true;
}

static bool fill_broker(struct request *r, struct metadata_response *response)
{
    struct metadata_response_broker *broker =
        wire_new(&metadata_response_broker_struct, &r->arena, 1);
    char *id = arena_alloc(&r->arena, 23);
    if (broker == NULL || id == NULL) {
        return false;
    }
    broker->node_id = BROKER_NODE_ID;
    request_advertised(r, &broker->host, &broker->port);
    response->brokers.items = broker;
    response->brokers.count = 1;
    response->controller_id = BROKER_NODE_ID;
    uuid_print(cluster_id(r->broker->cluster), id);
    response->cluster_id = slice_cstr(id);
    if (((const struct metadata_request *)r->body)->include_cluster_authorized_operations) {
        response->cluster_authorized_operations = AUTHORIZED_ON_CLUSTER;
    }
    return true;
}

static void metadata_answer(struct change *change)
{
    struct metadata *m = CONTAINER_OF(change, struct metadata, change);
    struct metadata_response response;
    wire_init(&metadata_response_struct, &response);
    if (!fill_broker(m->r, &response) || !fill_topics(m, &response)) {
        request_fail(m->r);
        return;
    }
    request_reply(m->r, &response);
}

/* ---- automatic creation ---------------------------------------------------------------------- */

/* One that somebody else made meanwhile is as good. */
static void create_outcome(struct change *change, u32 row, i16 kerr)
{
    (void)row;
    if (kerr == KERR_KAFKA_STORAGE_ERROR) {
        CONTAINER_OF(change, struct metadata, change)->create_error = KERR_LEADER_NOT_AVAILABLE;
    }
}

/* One command per missing topic with a good name. false: the arena is full. */
static bool collect_missing(struct metadata *m)
{
    struct request *r = m->r;
    u32 planned = 0;
    u8 *repeats = REPEATS_OF_NAMES(&r->arena, m->q->topics, name);
    if (repeats == NULL || !change_init(&m->change, r, m->q->topics.count)) {
        return false;
    }
    for (u32 i = 0; i < m->q->topics.count; i++) {
        const struct metadata_request_topic *q = &m->q->topics.items[i];
        if (is_by_id(q) || q->name.ptr == NULL) {
            continue;
        }
        struct topic_draft draft = {
            .name = q->name,
            .partition_count = (u32)config_i64(r->broker->config, CONFIG_num_partitions),
            .planned = planned,
            .replication_factor =
                (i16)config_i64(r->broker->config, CONFIG_default_replication_factor),
        };
        topic_draft_check(r, &draft);
        if (draft.kerr != KERR_NONE || repeats[i] == REPEAT_LATER) {
            continue;
        }
        if (slice_eq_cstr(q->name, OFFSETS_TOPIC)) {
            coordinator_topic_command(r->broker->coordinator,
                                      change_add(&m->change, META_CREATE_TOPIC, i));
            continue;
        }
        struct meta_command *c = change_add(&m->change, META_CREATE_TOPIC, i);
        c->create_topic.name = q->name;
        io_random(r->broker->io, &c->create_topic.id, sizeof c->create_topic.id);
        c->create_topic.partition_count = draft.partition_count;
        planned += draft.partition_count;
        c->create_topic.replication_factor = draft.replication_factor;
    }
    return true;
}

static i16 request_problem(const struct request *r, const struct metadata_request *q)
{
    for (u32 i = 0; i < q->topics.count; i++) {
        bool by_id = is_by_id(&q->topics.items[i]);
        bool nameless = r->version >= 10 && q->topics.items[i].name.ptr == NULL;
        if ((by_id && r->version < BY_ID_FROM) || (nameless && !by_id)) {
            return KERR_INVALID_REQUEST;
        }
    }
    return KERR_NONE;
}

/* Ids before version 12, or neither name nor id: every topic of the request is refused and
   nothing else told, as Kafka does. */
static void answer_refused(struct request *r, const struct metadata_request *q, i16 kerr)
{
    struct metadata_response response;
    wire_init(&metadata_response_struct, &response);
    response.topics.items = wire_new(&metadata_response_topic_struct, &r->arena, q->topics.count);
    response.topics.count = q->topics.count;
    if (response.topics.items == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->topics.count; i++) {
        struct slice name = q->topics.items[i].name;
        response.topics.items[i].error_code = kerr;
        response.topics.items[i].name =
            name.ptr == NULL && r->version < BY_ID_FROM ? WIRE_EMPTY : name;
        response.topics.items[i].topic_id = q->topics.items[i].topic_id;
    }
    request_reply(r, &response);
}

void handle_metadata(struct request *r)
{
    const struct metadata_request *q = r->body;
    i16 problem = request_problem(r, q);
    if (problem != KERR_NONE) {
        answer_refused(r, q, problem);
        return;
    }
    struct metadata *m = request_alloc(r, sizeof *m);
    if (m == NULL) {
        request_fail(r);
        return;
    }
    m->r = r;
    m->q = q;
    bool may_create = !wants_all(r, q) && q->topics.count > 0 &&
                      config_i64(r->broker->config, CONFIG_auto_create_topics_enable) != 0 &&
                      (r->version < AUTO_CREATE_FLAG_FROM || q->allow_auto_topic_creation);
    if (may_create && !collect_missing(m)) {
        request_fail(r);
        return;
    }
    m->change.outcome = create_outcome;
    m->change.answer = metadata_answer;
    change_commit(&m->change);
}
