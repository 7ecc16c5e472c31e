/* InitProducerId (API key 22) for idempotent producers: a fresh id with epoch 0, from a block that
   is durable in the metadata log, so that no id is ever given twice. Transactional ids come with
   transactions and are refused until then. */
#include "broker/conn.h"

struct init_producer_id {
    struct request *r;
    struct producer_id_waiter waiter;
};

static void answer(struct request *r, i16 kerr, i64 id)
{
    struct init_producer_id_response response;
    wire_init(&init_producer_id_response_struct, &response);
    response.error_code = kerr;
    response.producer_id = id;
    response.producer_epoch = kerr == KERR_NONE ? 0 : -1;
    request_reply(r, &response);
}

static void try_id(struct init_producer_id *s);

static void id_ready(struct producer_id_waiter *w, err_t result)
{
    struct init_producer_id *s = CONTAINER_OF(w, struct init_producer_id, waiter);
    if (result != OK) {
        answer(s->r, KERR_COORDINATOR_NOT_AVAILABLE, -1);
        return;
    }
    try_id(s);
}

static void try_id(struct init_producer_id *s)
{
    i64 id;
    err_t e = cluster_producer_id(s->r->broker->cluster, &id, &s->waiter);
    if (e == OK) {
        answer(s->r, KERR_NONE, id);
    } else if (e != ERR_AGAIN) {
        answer(s->r, KERR_COORDINATOR_NOT_AVAILABLE, -1);
    }
}

static void cancelled(struct request *r)
{
    struct init_producer_id *s = r->state_of_handler;
    cluster_producer_id_cancel(&s->waiter);
}

void handle_init_producer_id(struct request *r)
{
    const struct init_producer_id_request *q = r->body;
    if (q->transactional_id.ptr != NULL) {
        answer(r, q->transactional_id.len == 0 ? KERR_INVALID_REQUEST : KERR_UNSUPPORTED_VERSION,
               -1);
        return;
    }
    /* Both or neither; only -1 means neither, as in Kafka. */
    if ((q->producer_id == -1) != (q->producer_epoch == -1)) {
        answer(r, KERR_INVALID_REQUEST, -1);
        return;
    }
    struct init_producer_id *s = request_alloc(r, sizeof *s);
    if (s == NULL) {
        request_fail(r);
        return;
    }
    s->r = r;
    s->waiter.ready = id_ready;
    r->state_of_handler = s;
    r->cancelled = cancelled;
    try_id(s);
}
