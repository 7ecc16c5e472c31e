/* See groups.h. */
#include "broker/groups.h"

#include "broker/conn.h"

static void replied(struct coordinator_call *call, const struct group_reply *reply)
{
    struct group_request *g = CONTAINER_OF(call, struct group_request, call);
    g->answer(g->r, reply->kerr, reply);
}

static void cancelled(struct request *r)
{
    struct group_request *g = r->state_of_handler;
    coordinator_cancel(&g->call);
}

void group_request_start(struct request *r, struct slice group_id, struct group_event *event,
                         bool may_create,
                         void (*answer)(struct request *r, i16 kerr,
                                        const struct group_reply *reply))
{
    struct group_request *g = request_alloc(r, sizeof *g);
    if (g == NULL) {
        request_fail(r);
        return;
    }
    g->r = r;
    g->answer = answer;
    g->call.done = replied;
    r->state_of_handler = g;
    r->cancelled = cancelled;
    i16 kerr = coordinator_call(r->broker->coordinator, &g->call, group_id, event, may_create);
    if (kerr != KERR_NONE) {
        answer(r, kerr, NULL);
    }
}
