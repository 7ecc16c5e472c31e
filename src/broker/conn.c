/* Connections: accept, receive, cut frames, dispatch; see conn.h.

   Happy path of one readable event
     conn_event -> conn_receive (recv into the blob) -> conn_parse -> for each whole frame conn_dispatch
       -> header decoded, row found, version in range, body decoded into the request's arena -> handler
   Answers: request_reply marks the connection dirty; conns_flush (turn-end hook) sends once per connection.

   How it fails
     impossible length, unknown API, undecodable body: one diagnostic line, answers already due are sent, then closed
     no memory for a blob or a request: starved_conns, tried again each turn in which something was freed
     a frame that stops arriving for FRAME_STALL_NS: closed by the sweep */
#include "broker/conn.h"

#include <string.h>

#define FRAME_STALL_NS (10ull * 1000 * 1000 * 1000)
#define SWEEP_NS (1000ull * 1000 * 1000)

static void conn_event(void *user, u32 events);
static void conn_parse(struct conn *c);
static void sweep_start(struct broker *b);

/* ---- life ------------------------------------------------------------------------------------ */

void conn_accepted(void *user, struct io_sock *sock)
{
    struct broker *b = user;
    struct conn *c = b->stopping ? NULL : pool_get(&b->conn_pool);
    if (c == NULL) {
        io_sock_close(b->io, sock);
        return;
    }
    c->broker = b;
    c->sock = sock;
    list_init(&c->requests);
    list_push_back(&b->conns, &c->node);
    b->conn_count++;
    metric_add(METRIC_connections_accepted_total, 1);
    metric_set(METRIC_connections, b->conn_count);
    c->events = IO_READABLE;
    c->progress_ns = io_now_ns(b->io);
    io_sock_handle(b->io, sock, conn_event, c);
    io_sock_want(b->io, sock, c->events);
}

void conn_close(struct conn *c)
{
    struct broker *b = c->broker;
    while (!list_empty(&c->requests)) {
        struct request *r = CONTAINER_OF(list_first(&c->requests), struct request, node);
        if (r->state == REQUEST_RUNNING && r->cancelled != NULL) {
            r->cancelled(r);
        }
        conn_request_gone(r);
    }
    io_sock_close(b->io, c->sock);
    if (c->blob != NULL) {
        blob_unref(c->blob);
    }
    list_remove(&c->node);
    if (list_linked(&c->dirty_node)) {
        list_remove(&c->dirty_node);
    }
    if (list_linked(&c->starved_node)) {
        list_remove(&c->starved_node);
    }
    b->conn_count--;
    metric_set(METRIC_connections, b->conn_count);
    pool_put(&b->conn_pool, c);
}

void conns_close_all(struct broker *b)
{
    while (!list_empty(&b->conns)) {
        conn_close(CONTAINER_OF(list_first(&b->conns), struct conn, node));
    }
}

void conns_stop_reading(struct broker *b)
{
    LIST_EACH(&b->conns, node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);
        c->input_done = true;
        conn_dirty(c);
    }
}

u32 conns_busy(const struct broker *b)
{
    u32 busy = 0;
    LIST_EACH(&b->conns, node) {
        busy += CONTAINER_OF(node, struct conn, node)->request_count;
    }
    return busy;
}

void conn_dirty(struct conn *c)
{
    if (!list_linked(&c->dirty_node)) {
        list_push_back(&c->broker->dirty_conns, &c->dirty_node);
    }
}

void conn_resume(struct conn *c)
{
    struct broker *b = c->broker;
    if (!list_linked(&c->starved_node)) {
        list_push_back(&b->starved_conns, &c->starved_node);
    }
    if (!heap_linked(&b->resume_timer.node)) {
        io_timer_start(b->io, &b->resume_timer, io_now_ns(b->io));
    }
}

void conn_request_gone(struct request *r)
{
    struct conn *c = r->conn;
    list_remove(&r->node);
    assert(c->request_count > 0);
    c->request_count--;
    request_free(r);
}

/* Tells the border what we want to hear; a change costs a system call, so only on change. */
static void conn_update_events(struct conn *c)
{
    bool full = c->request_count >= CONN_REQUESTS_MAX || list_linked(&c->starved_node);
    u32 events = (c->input_done || full || c->blocked ? 0 : IO_READABLE) |
                 (c->want_send ? IO_WRITABLE : 0);
    if (events != c->events) {
        c->events = events;
        io_sock_want(c->broker->io, c->sock, events);
    }
}

/* ---- receive ----------------------------------------------------------------------------------- */

/* Bytes the frame at c->start needs in all, 4 of them the length; 0: not known yet. */
static size_t frame_bytes(const struct conn *c)
{
    if (c->end - c->start < 4) {
        return 0;
    }
    return 4 + (size_t)load_be32(c->blob->data + c->start);
}

/* Makes room behind c->end for the rest of the frame, or for more small frames. */
static MUST_USE err_t conn_make_room(struct conn *c)
{
    struct broker *b = c->broker;
    if (c->blob == NULL) {
        c->blob = blob_get(&b->receive_pool, CONN_RECEIVE_BYTES);
        c->start = c->end = 0;
        return c->blob == NULL ? ERR_NO_MEMORY : OK;
    }
    size_t pending = c->end - c->start;
    size_t need = MAX(frame_bytes(c), (size_t)4);
    bool fits_behind = c->start + need <= c->blob->cap && c->end < c->blob->cap;
    if (fits_behind) {
        return OK;
    }
    if (c->blob->refs == 1 && need <= c->blob->cap) {
        memmove(c->blob->data, c->blob->data + c->start, pending);
    } else {
        struct blob *bigger = blob_get(&b->receive_pool, MAX(need, (size_t)CONN_RECEIVE_BYTES));
        if (bigger == NULL) {
            return ERR_NO_MEMORY;
        }
        memcpy(bigger->data, c->blob->data + c->start, pending);
        blob_unref(c->blob);
        c->blob = bigger;
    }
    c->start = 0;
    c->end = pending;
    return OK;
}

static void conn_starve(struct conn *c)
{
    metric_add(METRIC_receive_stalls_total, 1);
    if (!list_linked(&c->starved_node)) {
        list_push_back(&c->broker->starved_conns, &c->starved_node);
    }
}

static void conn_receive(struct conn *c)
{
    struct broker *b = c->broker;
    if (conn_make_room(c) != OK) {
        conn_starve(c);
        return;
    }
    i64 got = io_recv(b->io, c->sock, c->blob->data + c->end, c->blob->cap - c->end);
    if (got == -ERR_AGAIN) {
        return;
    }
    if (got <= 0) {
        /* The peer is done sending. What it asked for before is still answered; a broken connection
           shows at the next send. */
        c->input_done = true;
        return;
    }
    c->end += (size_t)got;
    c->progress_ns = io_now_ns(b->io);
}

static void conn_event(void *user, u32 events)
{
    struct conn *c = user;
    if (events & IO_HANGUP) {
        conn_close(c);
        return;
    }
    if (events & IO_READABLE) {
        conn_receive(c);
        conn_parse(c);
    }
    if (events & IO_WRITABLE) {
        c->want_send = false;
        c->progress_ns = io_now_ns(c->broker->io);
    }
    conn_dirty(c); /* send, drop the empty blob, update events: once, at the end of the turn */
}

/* ---- frames -------------------------------------------------------------------------------------- */

static const char http_page[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
                                "This port speaks the Kafka protocol, not HTTP.\n";

/* The length makes no sense. Say what it probably was. */
static void conn_bad_length(struct conn *c, const u8 *at, size_t have)
{
    struct io_address peer;
    io_sock_peer(c->sock, &peer);
    if (have >= 3 && at[0] == 0x16 && at[1] == 0x03) {
        diag(MSG_tls_on_plain, D_STR("peer", peer.host), D_UINT("port", peer.port));
    } else if (memcmp(at, "GET ", 4) == 0 || memcmp(at, "POST", 4) == 0 || memcmp(at, "HEAD", 4) == 0) {
        diag(MSG_http_on_kafka, D_STR("peer", peer.host), D_UINT("port", peer.port));
        struct io_vec v = {(void *)(uintptr_t)http_page, sizeof http_page - 1};
        (void)io_send(c->broker->io, c->sock, &v, 1);
    } else {
        diag(MSG_bad_frame, D_STR("peer", peer.host), D_UINT("port", peer.port),
             D_INT("length", (i32)load_be32(at)), D_INT("length_max", c->broker->request_bytes_max));
    }
    c->input_done = true;
}

static void conn_bad_request(struct conn *c, const struct request *r, const char *why)
{
    struct io_address peer;
    io_sock_peer(c->sock, &peer);
    diag(MSG_bad_request, D_STR("peer", peer.host), D_UINT("port", peer.port), D_INT("api_key", r->api_key),
         D_INT("api_version", r->version), D_SLICE("client_id", r->client_id), D_STR("why", why));
}

/* Starts the request in `frame` (without its length). false: out of request slots, try later. */
static MUST_USE bool conn_dispatch(struct conn *c, struct slice frame)
{
    struct broker *b = c->broker;
    struct request *r = pool_get(&b->request_pool);
    if (r == NULL) {
        return false;
    }
    r->conn = c;
    r->broker = b;
    arena_init(&r->arena, &b->memory.requests, 2048, 0);
    r->frame = blob_ref(c->blob);
    list_push_back(&c->requests, &r->node);
    c->request_count++;
    metric_add(METRIC_requests_total, 1);

    const char *why = NULL;
    handler_fn handler = request_decode(r, frame, &why);
    if (handler == NULL) {
        if (b->stopping == false) {
            conn_bad_request(c, r, why);
        }
        request_fail(r);
        return true;
    }
    handler(r);
    return true;
}

static void conn_parse(struct conn *c)
{
    struct broker *b = c->broker;
    while (!c->input_done && !c->blocked && c->request_count < CONN_REQUESTS_MAX) {
        if (c->blob == NULL || c->end - c->start < 4) {
            break;
        }
        const u8 *at = c->blob->data + c->start;
        i32 length = (i32)load_be32(at);
        if (length <= 0 || length > b->request_bytes_max) {
            conn_bad_length(c, at, c->end - c->start);
            break;
        }
        if (c->end - c->start < 4 + (size_t)length) {
            sweep_start(b);
            break;
        }
        if (!conn_dispatch(c, slice_of(at + 4, (size_t)length))) {
            conn_starve(c);
            break;
        }
        /* The handler may have marked the connection for closing, but never frees it. */
        c->start += 4 + (size_t)length;
    }
}

/* An idle connection holds no receive memory. */
static void conn_drop_empty_blob(struct conn *c)
{
    if (c->blob != NULL && c->start == c->end) {
        blob_unref(c->blob);
        c->blob = NULL;
        c->start = c->end = 0;
    }
}

/* ---- turn end, starvation, sweep ------------------------------------------------------------------- */

/* One send per connection with something to say, and the bookkeeping that its events left. */
void conns_flush(struct broker *b)
{
    struct list work;
    list_init(&work);
    list_splice(&work, &b->dirty_conns);
    struct list_node *node;
    while ((node = list_pop_front(&work)) != NULL) {
        struct conn *c = CONTAINER_OF(node, struct conn, dirty_node);
        if (!c->want_send && !conn_send(c)) {
            conn_close(c);
            continue;
        }
        if (c->input_done && list_empty(&c->requests)) {
            conn_close(c);
            continue;
        }
        conn_drop_empty_blob(c);
        /* Whole frames may be waiting behind a full request list. */
        if (c->blob != NULL && !c->blocked && c->request_count < CONN_REQUESTS_MAX && !list_linked(&c->starved_node) &&
            frame_bytes(c) != 0 && c->end - c->start >= frame_bytes(c)) {
            conn_resume(c);
        }
        conn_update_events(c);
    }
    if (!list_empty(&b->starved_conns) && !heap_linked(&b->resume_timer.node)) {
        io_timer_start(b->io, &b->resume_timer, io_now_ns(b->io) + 1000 * 1000);
    }
}

void conn_watch_stall(struct conn *c)
{
    sweep_start(c->broker);
}

/* Connections that waited for memory, a slot or their turn: first come, first served. */
void conns_resume(struct io_timer *t)
{
    struct broker *b = CONTAINER_OF(t, struct broker, resume_timer);
    struct list work;
    list_init(&work);
    list_splice(&work, &b->starved_conns);
    struct list_node *node;
    while ((node = list_pop_front(&work)) != NULL) {
        struct conn *c = CONTAINER_OF(node, struct conn, starved_node);
        conn_parse(c);
        if (c->blob == NULL && !c->input_done && !list_linked(&c->starved_node)) {
            conn_receive(c);
            conn_parse(c);
        }
        conn_dirty(c);
    }
}

static void sweep_start(struct broker *b)
{
    if (!heap_linked(&b->sweep_timer.node)) {
        io_timer_start(b->io, &b->sweep_timer, io_now_ns(b->io) + SWEEP_NS);
    }
}

/* Closes connections whose half-sent frame does not move, and makes stalled readers give back their read buffers. */
void conns_sweep(struct io_timer *t)
{
    struct broker *b = CONTAINER_OF(t, struct broker, sweep_timer);
    u64 now = io_now_ns(b->io);
    bool again = false;
    LIST_EACH(&b->conns, node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);
        bool partial = c->blob != NULL && c->end > c->start && !c->blocked && !list_linked(&c->starved_node) &&
                       c->request_count < CONN_REQUESTS_MAX;
        if (c->want_send) {
            again = true;
            if (now - c->progress_ns > SWEEP_NS) {
                conn_give_back_loads(c);
            }
        }
        if (!partial) {
            continue;
        }
        again = true;
        if (now - c->progress_ns > FRAME_STALL_NS) {
            conn_close(c);
        }
    }
    if (again) {
        sweep_start(b);
    }
}
