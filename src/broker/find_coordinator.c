/* FindCoordinator (API key 10): groups are coordinated here. The topic that holds their offsets is
   made when it is first asked for, so that the answer is good at once. Share groups come with their
   coordinator [kafka-semantics.md 4]. */
#include "broker/change.h"
#include "broker/conn.h"
#include "broker/coordinator.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, BATCHED_FROM = 4, SHARE_FROM = 6 };

struct find_coordinator {
    struct change change; /* makes the topic */
    struct request *r;
    const struct find_coordinator_request *q;
    i16 topic_error;
};

static i16 key_error(const struct find_coordinator *f, struct slice key)
{
    switch (f->q->key_type) {
    case KEY_GROUP:
        return f->topic_error;
    case KEY_TRANSACTION:
        /* Whose coordinator says at once that there are no transactions: not to be found would be
           asked again for ever. */
        return key.len == 0 ? KERR_INVALID_REQUEST : KERR_NONE;
    case KEY_SHARE:
        return f->r->version >= SHARE_FROM ? KERR_COORDINATOR_NOT_AVAILABLE : KERR_INVALID_REQUEST;
    default:
        return KERR_INVALID_REQUEST;
    }
}

static void answer_batch(struct find_coordinator *f, struct find_coordinator_response *response)
{
    struct request *r = f->r;
    u32 count = f->q->coordinator_keys.count;
    response->coordinators.items =
        wire_new(&find_coordinator_response_coordinator_struct, &r->arena, count);
    response->coordinators.count = count;
    if (response->coordinators.items == NULL && count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        struct find_coordinator_response_coordinator *row = &response->coordinators.items[i];
        row->key = f->q->coordinator_keys.items[i];
        row->error_code = key_error(f, row->key);
        row->node_id = -1;
        row->port = -1;
        if (row->error_code == KERR_NONE) {
            row->node_id = BROKER_NODE_ID;
            request_advertised(r, &row->host, &row->port);
        } else {
            row->error_message = slice_cstr(kerr_find(row->error_code)->doc);
        }
    }
    request_reply_explained(r, response);
}

static void find_answer(struct change *change)
{
    struct find_coordinator *f = CONTAINER_OF(change, struct find_coordinator, change);
    struct request *r = f->r;
    struct find_coordinator_response response;
    wire_init(&find_coordinator_response_struct, &response);
    if (r->version >= BATCHED_FROM) {
        answer_batch(f, &response);
        return;
    }
    response.error_code = key_error(f, f->q->key);
    response.node_id = -1;
    response.port = -1;
    if (response.error_code == KERR_NONE) {
        response.node_id = BROKER_NODE_ID;
        request_advertised(r, &response.host, &response.port);
    } else {
        response.error_message = slice_cstr(kerr_find(response.error_code)->doc);
    }
    if (r->version < 1) {
        response.error_message = (struct slice){0};
    }
    request_reply_explained(r, &response);
}

static void topic_made(struct change *change, u32 row, i16 kerr)
{
    (void)row;
    bool there = kerr == KERR_NONE || kerr == KERR_TOPIC_ALREADY_EXISTS;
    CONTAINER_OF(change, struct find_coordinator, change)->topic_error =
        there ? KERR_NONE : KERR_COORDINATOR_NOT_AVAILABLE;
}

void handle_find_coordinator(struct request *r)
{
    struct find_coordinator *f = request_alloc(r, sizeof *f);
    if (f == NULL || !change_init(&f->change, r, 1)) {
        request_fail(r);
        return;
    }
    f->r = r;
    f->q = r->body;
    f->change.outcome = topic_made;
    f->change.answer = find_answer;
    const struct coordinator *c = r->broker->coordinator;
    if (f->q->key_type == KEY_GROUP && coordinator_topic(c) == NULL) {
        coordinator_topic_command(c, change_add(&f->change, META_CREATE_TOPIC, 0));
    }
    change_commit(&f->change);
}
