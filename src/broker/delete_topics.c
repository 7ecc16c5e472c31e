/* DeleteTopics (API key 20) by name, or from version 6 by name or id, exactly one of them [ReplicationControlManager]. */
#include "broker/conn.h"
#include "broker/topics.h"

enum { BY_ID_FROM = 6 };

struct delete_topics {
    struct request *r;
    struct delete_topics_response response;
    struct meta_command *commands;
    u32 *command_row;
    u32 command_count;
    struct metalog_append append;
    bool appended;
};

static void refuse(struct delete_topics_response_deletable_topic_result *row, i16 kerr, const char *message)
{
    row->error_code = kerr;
    row->error_message = slice_cstr(message);
}

static bool is_repeated(const struct delete_topics *d, const struct meta_topic *t)
{
    for (u32 i = 0; i < d->command_count; i++) {
        if (uuid_eq(d->commands[i].delete_topic.id, t->id)) {
            return true;
        }
    }
    return false;
}

static void delete_one(struct delete_topics *d, u32 index, struct slice name, struct uuid id)
{
    struct request *r = d->r;
    struct delete_topics_response_deletable_topic_result *row = &d->response.responses.items[index];
    bool by_id = !uuid_is_zero(id);
    row->name = name;
    row->topic_id = id;
    if (by_id == (name.ptr != NULL)) {
        refuse(row, KERR_INVALID_REQUEST, by_id ? "You may not specify both topic name and topic id."
                                                : "Neither topic name nor id were specified.");
        return;
    }
    i16 kerr;
    const struct meta_topic *t = request_topic(r, name, id, by_id, &kerr);
    if (t == NULL) {
        refuse(row, kerr, by_id ? "This server does not host this topic ID." : "This server does not host this topic-partition.");
        return;
    }
    if (config_i64(r->broker->config, CONFIG_delete_topic_enable) == 0) {
        refuse(row, KERR_TOPIC_DELETION_DISABLED, "Topic deletion is disabled (delete.topic.enable=false).");
        return;
    }
    if (is_repeated(d, t)) {
        refuse(row, KERR_INVALID_REQUEST, "The request names this topic twice.");
        return;
    }
    row->name = arena_copy(&r->arena, t->name);
    row->topic_id = t->id;
    d->commands[d->command_count].kind = META_DELETE_TOPIC;
    d->commands[d->command_count].delete_topic.id = t->id;
    d->command_row[d->command_count++] = index;
}

static void deleted(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct delete_topics *d = CONTAINER_OF(a, struct delete_topics, append);
    d->appended = false;
    for (u32 i = 0; i < d->command_count; i++) {
        d->response.responses.items[d->command_row[i]].error_code =
            result != OK ? KERR_KAFKA_STORAGE_ERROR : outcomes[i].kerr;
    }
    request_reply(d->r, &d->response);
}

static void cancelled(struct request *r)
{
    struct delete_topics *d = r->state_of_handler;
    if (d->appended) {
        metalog_forget(&d->append);
    }
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
    d->commands = arena_array(&r->arena, count, sizeof *d->commands);
    d->command_row = arena_array(&r->arena, count, sizeof *d->command_row);
    d->response.responses.items = wire_new(&delete_topics_response_deletable_topic_result_struct, &r->arena, count);
    d->response.responses.count = count;
    if (r->arena.exhausted) {
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
    if (d->command_count == 0) {
        request_reply(r, &d->response);
        return;
    }
    r->state_of_handler = d;
    r->cancelled = cancelled;
    d->append.done = deleted;
    d->append.commands = d->commands;
    d->append.command_count = d->command_count;
    d->appended = true;
    metalog_append(r->broker->cluster, &d->append);
}
