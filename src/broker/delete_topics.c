/* DeleteTopics (API key 20) by name, or from version 6 by name or id, exactly one of them
   [ReplicationControlManager]. */
#include "broker/change.h"
#include "broker/conn.h"
#include "broker/topics.h"

enum { BY_ID_FROM = 6 };

struct delete_topics {
    struct change change;
    struct request *r;
    struct delete_topics_response response;
    bool *named; /* by index of the topic: a row before named it */
};

static void refuse(struct delete_topics_response_deletable_topic_result *row, i16 kerr,
                   const char *message)
{
    row->error_code = kerr;
    row->error_message = slice_cstr(message);
}

static void delete_one(struct delete_topics *d, u32 index, struct slice name, struct uuid id)
{
    struct request *r = d->r;
    struct delete_topics_response_deletable_topic_result *row = &d->response.responses.items[index];
    bool by_id = !uuid_is_zero(id);
    row->name = name;
    row->topic_id = id;
    if (by_id == (name.ptr != NULL)) {
        refuse(row, KERR_INVALID_REQUEST,
               by_id ? "You may not specify both topic name and topic id."
                     : "Neither topic name nor id were specified.");
        return;
    }
    i16 kerr;
    const struct meta_topic *t = request_topic(r, name, id, by_id, &kerr);
    if (t == NULL) {
        refuse(row, kerr,
               by_id ? "This server does not host this topic ID."
                     : "This server does not host this topic-partition.");
        return;
    }
    if (config_i64(r->broker->config, CONFIG_delete_topic_enable) == 0) {
        refuse(row, KERR_TOPIC_DELETION_DISABLED,
               "Topic deletion is disabled (delete.topic.enable=false).");
        return;
    }
    if (d->named[t->index]) {
        refuse(row, KERR_INVALID_REQUEST, "The request names this topic twice.");
        return;
    }
    d->named[t->index] = true;
    row->name = arena_copy(&r->arena, t->name);
    row->topic_id = t->id;
    change_add(&d->change, META_DELETE_TOPIC, index)->delete_topic.id = t->id;
}

/* Refused after all: the topic went away meanwhile. Who named it hears of the name, who gave its id
   of the id. */
static void delete_outcome(struct change *change, u32 row, i16 kerr)
{
    struct delete_topics *d = CONTAINER_OF(change, struct delete_topics, change);
    const struct delete_topics_request *q = d->r->body;
    bool by_id = d->r->version >= BY_ID_FROM && q->topics.items[row].name.ptr == NULL;
    d->response.responses.items[row].error_code =
        kerr == KERR_UNKNOWN_TOPIC_ID && !by_id ? KERR_UNKNOWN_TOPIC_OR_PARTITION : kerr;
}

static void delete_answer(struct change *change)
{
    struct delete_topics *d = CONTAINER_OF(change, struct delete_topics, change);
    request_reply(d->r, &d->response);
}

void handle_delete_topics(struct request *r)
{
    const struct delete_topics_request *q = r->body;
    bool by_state = r->version >= BY_ID_FROM;
    u32 count = by_state ? q->topics.count : q->topic_names.count;
    struct delete_topics *d = request_alloc(r, sizeof *d);
    if (d == NULL) {
        request_fail(r);
        return;
    }
    d->r = r;
    wire_init(&delete_topics_response_struct, &d->response);
    d->response.responses.items =
        wire_new(&delete_topics_response_deletable_topic_result_struct, &r->arena, count);
    d->response.responses.count = count;
    d->named = arena_alloc(&r->arena, meta_topic_count(cluster_meta(r->broker->cluster)));
    if (!change_init(&d->change, r, count) || r->arena.exhausted) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        if (by_state) {
            delete_one(d, i, q->topics.items[i].name, q->topics.items[i].topic_id);
        } else {
            delete_one(d, i, q->topic_names.items[i], (struct uuid){{0}});
        }
    }
    d->change.outcome = delete_outcome;
    d->change.answer = delete_answer;
    change_commit(&d->change);
}
