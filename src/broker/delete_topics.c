/* DeleteTopics (API key 20) by name, or from version 6 by name or id, exactly one of them
   [ControllerApis, ReplicationControlManager]. The request is first sorted into names and ids; a
   topic it names twice, in whatever way, is not deleted. */
#include "broker/change.h"
#include "broker/conn.h"
#include "broker/repeats.h"
#include "broker/topics.h"

#include <string.h>

enum { BY_ID_FROM = 6, DISABLED_FROM = 3 };

struct delete_topics {
    struct change change;
    struct request *r;
    struct delete_topics_response response;
    bool *by_id; /* per row: its client gave an id and knows no name */
    struct slice *names;
    u32 name_count;
    struct slice *ids; /* of 16 bytes each */
    u32 id_count;
    u8 *topics; /* by index: how the request names it */
};
enum { NAMED_NOT, NAMED_ONCE, NAMED_TWICE };

static struct delete_topics_response_deletable_topic_result *
row_add(struct delete_topics *d, struct slice name, struct uuid id, i16 kerr, const char *message)
{
    u32 index = d->response.responses.count++;
    struct delete_topics_response_deletable_topic_result *row = &d->response.responses.items[index];
    d->by_id[index] = name.ptr == NULL;
    row->name = name;
    row->topic_id = id;
    row->error_code = kerr;
    row->error_message = message == NULL ? (struct slice){0} : slice_cstr(message);
    return row;
}

static struct uuid id_of(struct slice bytes)
{
    struct uuid id;
    memcpy(&id, bytes.ptr, sizeof id);
    return id;
}

/* One element of the request: it names a topic, or says what is wrong with it. */
static void sort_one(struct delete_topics *d, struct slice name, const struct uuid *id)
{
    bool by_id = !uuid_is_zero(*id);
    if (by_id == (name.ptr != NULL)) {
        (void)row_add(d, name, *id, KERR_INVALID_REQUEST,
                      by_id ? "You may not specify both topic name and topic id."
                            : "Neither topic name nor id were specified.");
    } else if (by_id) {
        d->ids[d->id_count++] = slice_of(id, sizeof *id);
    } else {
        d->names[d->name_count++] = name;
    }
}

static void start(struct delete_topics *d, const struct meta_topic *t, bool by_id)
{
    u32 index = d->response.responses.count;
    (void)row_add(d, arena_copy(&d->r->arena, t->name), t->id, KERR_NONE, NULL);
    d->by_id[index] = by_id;
    change_add(&d->change, META_DELETE_TOPIC, index)->delete_topic.id = t->id;
}

/* What is given twice is refused, once, and not deleted. */
static void look_at_ids(struct delete_topics *d, const u8 *repeats)
{
    for (u32 i = 0; i < d->id_count; i++) {
        struct uuid id = id_of(d->ids[i]);
        i16 kerr;
        const struct meta_topic *t = request_topic(d->r, (struct slice){0}, id, true, &kerr);
        if (repeats[i] == REPEAT_FIRST) {
            (void)row_add(d, (struct slice){0}, id, KERR_INVALID_REQUEST, "Duplicate topic id.");
        } else if (repeats[i] == REPEAT_NONE && t == NULL) {
            (void)row_add(d, (struct slice){0}, id, kerr,
                          "This server does not host this topic ID.");
        }
        if (t != NULL) {
            d->topics[t->index] = repeats[i] == REPEAT_NONE ? NAMED_ONCE : NAMED_TWICE;
        }
    }
}

static void delete_names(struct delete_topics *d, const u8 *repeats)
{
    for (u32 i = 0; i < d->name_count; i++) {
        struct slice name = d->names[i];
        struct uuid none = {{0}};
        if (repeats[i] == REPEAT_FIRST) {
            (void)row_add(d, name, none, KERR_INVALID_REQUEST, "Duplicate topic name.");
        }
        if (repeats[i] != REPEAT_NONE) {
            continue;
        }
        i16 kerr;
        const struct meta_topic *t = request_topic(d->r, name, none, false, &kerr);
        if (t == NULL) {
            (void)row_add(d, name, none, kerr,
                          topic_unknown(d->r, name,
                                        "This server does not host this topic-partition.",
                                        d->name_count));
        } else if (d->topics[t->index] != NAMED_NOT) {
            d->topics[t->index] = NAMED_TWICE;
            (void)row_add(d, name, t->id, KERR_INVALID_REQUEST,
                          "The provided topic name maps to an ID that was already supplied.");
        } else {
            start(d, t, false);
        }
    }
}

static void delete_ids(struct delete_topics *d, const u8 *repeats)
{
    for (u32 i = 0; i < d->id_count; i++) {
        i16 kerr;
        const struct meta_topic *t =
            request_topic(d->r, (struct slice){0}, id_of(d->ids[i]), true, &kerr);
        if (repeats[i] == REPEAT_NONE && t != NULL && d->topics[t->index] == NAMED_ONCE) {
            start(d, t, true);
        }
    }
}

/* Refused after all: the topic went away meanwhile. Who named it hears of the name, who gave its id
   of the id. */
static void delete_outcome(struct change *change, u32 row, i16 kerr)
{
    struct delete_topics *d = CONTAINER_OF(change, struct delete_topics, change);
    d->response.responses.items[row].error_code =
        kerr == KERR_UNKNOWN_TOPIC_ID && !d->by_id[row] ? KERR_UNKNOWN_TOPIC_OR_PARTITION : kerr;
}

static void delete_answer(struct change *change)
{
    struct delete_topics *d = CONTAINER_OF(change, struct delete_topics, change);
    request_reply_explained(d->r, &d->response);
}

static struct delete_topics *delete_create(struct request *r, u32 count)
{
    struct delete_topics *d = request_alloc(r, sizeof *d);
    if (d == NULL || !change_init(&d->change, r, count)) {
        return NULL;
    }
    d->r = r;
    wire_init(&delete_topics_response_struct, &d->response);
    d->response.responses.items =
        wire_new(&delete_topics_response_deletable_topic_result_struct, &r->arena, count);
    d->by_id = arena_array(&r->arena, count, sizeof *d->by_id);
    d->names = arena_array(&r->arena, count, sizeof *d->names);
    d->ids = arena_array(&r->arena, count, sizeof *d->ids);
    d->topics = arena_alloc(&r->arena, meta_topic_count(cluster_meta(r->broker->cluster)));
    d->change.outcome = delete_outcome;
    d->change.answer = delete_answer;
    return r->arena.exhausted ? NULL : d;
}

void handle_delete_topics(struct request *r)
{
    static const struct uuid none = {{0}};
    const struct delete_topics_request *q = r->body;
    bool by_state = r->version >= BY_ID_FROM;
    bool enabled = config_i64(r->broker->config, CONFIG_delete_topic_enable) != 0;
    u32 count = by_state ? q->topics.count : q->topic_names.count;
    struct delete_topics *d = delete_create(r, count);
    if (d == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        struct slice name = by_state ? q->topics.items[i].name : q->topic_names.items[i];
        const struct uuid *id = by_state ? &q->topics.items[i].topic_id : &none;
        if (enabled) {
            sort_one(d, name, id);
        } else {
            (void)row_add(d, name, *id,
                          r->version >= DISABLED_FROM ? KERR_TOPIC_DELETION_DISABLED
                                                      : KERR_INVALID_REQUEST,
                          "Topic deletion is disabled (delete.topic.enable=false).");
        }
    }
    const u8 *names_repeated =
        repeats_of_names(&r->arena, d->names, 0, sizeof *d->names, d->name_count);
    const u8 *ids_repeated = repeats_of_names(&r->arena, d->ids, 0, sizeof *d->ids, d->id_count);
    if (names_repeated == NULL || ids_repeated == NULL) {
        request_fail(r);
        return;
    }
    look_at_ids(d, ids_repeated);
    delete_names(d, names_repeated);
    delete_ids(d, ids_repeated);
    change_commit(&d->change);
}
