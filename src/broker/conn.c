/* Connections: accept, receive, cut frames, dispatch; see conn.h. How many there may be and how
   long they may be idle is in conn_limits.c.

   Happy path of one readable event
     conn_event -> conn_receive (recv into the blob) -> conn_parse -> for each whole frame:
     conn_dispatch -> header decoded, row found, version in range, body decoded into the request's
     arena -> handler
   Answers: request_reply marks the connection dirty; conns_flush (turn-end hook) sends once per
   connection.

   How it fails
     impossible length, unknown API, undecodable body: one diagnostic line, answers already due are
       sent, then closed
     no memory for a blob or a request: starved_conns, tried again a little later
     a frame of which less than FRAME_RATE_BYTES arrive in FRAME_STALL_NS: closed by the sweep
     memory that does not come for STARVE_MAX_NS while a frame is half received (many such hold each
       other's memory): the same */
#include "broker/conn.h"

#include "broker/connections.h"
#include "broker/traffic.h"
#include "broker/whole.h"

#include <stdio.h>
#include <string.h>

#define FRAME_STALL_NS         (10ull * 1000 * 1000 * 1000)
#define FRAME_STALL_PRESSED_NS (500ull * 1000 * 1000)
#define FRAME_RATE_BYTES       (16ull * 1024)
#define STARVE_MAX_NS          (60ull * 1000 * 1000 * 1000)
#define SWEEP_PRESSED_NS       (50ull * 1000 * 1000)
#define SWEEP_NS               (1000ull * 1000 * 1000)
#define RETRY_NS               (1000ull * 1000)
#define BLOBS_KEPT_NS          (5ull * 1000 * 1000 * 1000)
#define BLOBS_PER_SWEEP        64

static void conn_event(void *user, u32 events);
static void conn_parse(struct conn *c);
static void conn_drop_stash(struct conn *c);
static void conn_mark(struct conn *c);
static void grower_leave(struct conn *c);
static void sweep_start(struct broker *b);

/* ---- life ------------------------------------------------------------------------------------ */

void conn_accepted(void *user, struct io_sock *sock)
{
    const struct broker_listener *listener = user;
    struct broker *b = listener->broker;
    struct io_address address;
    io_sock_peer(sock, &address);
    struct conn_peer *peer = b->stopping ? NULL : conn_peer_admit(b, &address);
    if (peer == NULL) {
        io_sock_close(b->io, sock);
        return;
    }
    struct conn *c = pool_get(&b->conn_pool);
    if (c == NULL) {
        conn_refused_no_memory(&address);
        conn_peer_leave(b, peer);
        io_sock_close(b->io, sock);
        return;
    }
    c->broker = b;
    c->listener = listener;
    c->peer = peer;
    c->sock = sock;
    list_init(&c->requests);
    list_push_back(&b->conns, &c->node);
    b->conn_count++;
    metric_add(METRIC_connections_accepted_total, 1);
    metric_set(METRIC_connections, b->conn_count);
    c->events = IO_READABLE;
    c->progress_ns = io_now_ns(b->io);
    c->since_ms = io_wall_ms(b->io);
    conn_touch(c);
    io_sock_handle(b->io, sock, conn_event, c);
    io_sock_want(b->io, sock, c->events);
    conns_rate_count(b);
    conns_limit(b);
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
    grower_leave(c);
    if (c->blob != NULL) {
        blob_unref(c->blob);
    }
    conn_drop_stash(c);
    connection_forget(c);
    list_remove(&c->node);
    list_remove(&c->active_node);
    conn_peer_leave(b, c->peer);
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
    LIST_EACH (&b->conns, node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);
        c->input_done = true;
        conn_dirty(c);
    }
}

u32 conns_busy(const struct broker *b)
{
    u32 busy = 0;
    LIST_EACH (&b->conns, node) {
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

static void go_on_start(struct broker *b)
{
    if (!heap_linked(&b->go_on_timer.node)) {
        io_timer_start(b->io, &b->go_on_timer, io_now_ns(b->io));
    }
}

void conn_go_on(struct conn *c)
{
    conn_dirty(c);
    go_on_start(c->broker);
}

void conns_go_on(struct io_timer *t)
{
    /* They are dirty already; the timer only made the turn. */
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
    assert(c->unsent_bytes >= r->encoded_bytes);
    c->unsent_bytes -= r->encoded_bytes;
    if (r->state == REQUEST_READY && r->part_index == r->part_count) {
        traffic_request(c->broker->traffic, r, io_now_ns(c->broker->io));
    }
    request_free(r);
}

static bool conn_is_full(const struct conn *c)
{
    return c->request_count >= CONN_REQUESTS_MAX || c->unsent_bytes >= CONN_UNSENT_BYTES_MAX;
}

/* Tells the border what we want to hear; a change costs a system call, so only on change. */
static void conn_update_events(struct conn *c)
{
    bool deaf = c->input_done || c->input_ended || c->blocked || conn_is_full(c) ||
                list_linked(&c->starved_node);
    u32 events = (deaf ? 0 : IO_READABLE) | (c->want_send ? IO_WRITABLE : 0);
    if (events != c->events) {
        if ((events & ~c->events & IO_READABLE) != 0 && c->starved_ns == 0) {
            conn_mark(c); /* until now it was we who did not read */
        }
        c->events = events;
        io_sock_want(c->broker->io, c->sock, events);
    }
}

/* ---- receive --------------------------------------------------------------------------------- */

static size_t pending_bytes(const struct conn *c)
{
    return c->blob != NULL ? c->end - c->start : c->stash_bytes;
}

static const u8 *pending_data(const struct conn *c)
{
    return c->blob != NULL ? c->blob->data + c->start : c->stash;
}

static bool length_ok(const struct conn *c, i32 length)
{
    return length > 0 && length <= c->broker->request_bytes_max;
}

/* What stands at the beginning of the received bytes. */
enum frame_state { FRAME_NONE, FRAME_PARTIAL, FRAME_WHOLE, FRAME_BAD };

/* *bytes: of the whole frame with its length, as far as that is known. */
static enum frame_state frame_state(const struct conn *c, size_t *bytes)
{
    size_t have = pending_bytes(c);
    *bytes = 4;
    if (have < 4) {
        return have == 0 ? FRAME_NONE : FRAME_PARTIAL;
    }
    i32 length = (i32)load_be32(pending_data(c));
    if (!length_ok(c, length)) {
        return FRAME_BAD;
    }
    *bytes = 4 + (size_t)length;
    return have < *bytes ? FRAME_PARTIAL : FRAME_WHOLE;
}

static void conn_drop_stash(struct conn *c)
{
    if (c->stash != NULL) {
        mem_free(c->stash);
        quota_release(&c->broker->memory.requests, c->stash_bytes);
        c->stash = NULL;
        c->stash_bytes = 0;
    }
}

/* A frame that has just begun waits outside the receive pool: thousands of such connections hold no
 * blobs. */
static void conn_stash(struct conn *c)
{
    size_t pending = c->end - c->start;
    assert(c->stash == NULL);
    if (pending > CONN_STASH_BYTES || !quota_charge(&c->broker->memory.requests, pending)) {
        return;
    }
    c->stash = mem_alloc(pending);
    c->stash_bytes = (u32)pending;
    memcpy(c->stash, c->blob->data + c->start, pending);
    blob_unref(c->blob);
    c->blob = NULL;
    c->start = c->end = 0;
}

/* So much of what a frame announces is believed before it has come. */
static size_t believed_bytes(const struct broker *b)
{
    return (size_t)MIN(b->memory.receive.cap / 64, (u64)CONN_LARGE_BYTES);
}

/* How large a blob for a frame of `need` bytes may be when `have` of them have come. What is
   announced is believed up to a share of the receive memory; a larger frame grows by doubling:
   need/8, need/4, need/2, need. */
static size_t blob_bytes(const struct broker *b, size_t have, size_t need)
{
    size_t believed = believed_bytes(b);
    size_t allowed = MAX(MAX(believed, have * 2), (size_t)CONN_RECEIVE_BYTES);
    size_t bytes = need;
    while (bytes > allowed) {
        bytes = (bytes + 1) / 2;
    }
    return MAX(bytes, (size_t)CONN_RECEIVE_BYTES);
}

/* One size for all large frames that are believed at once, so that their blobs can be recycled:
   mapping a megabyte and touching it for the first time costs more than receiving into it. */
static bool is_large(const struct broker *b, size_t bytes)
{
    return bytes > CONN_RECEIVE_BYTES && bytes <= CONN_LARGE_BYTES &&
           believed_bytes(b) == CONN_LARGE_BYTES;
}

static bool is_ordinary(const struct broker *b, const struct blob_pool *pool, size_t bytes)
{
    u64 used = b->memory.receive.used;
    bool recycled = bytes == pool->usual_bytes && pool->free_count > 0;
    return used + (recycled ? 0 : bytes) <= b->receive_ordinary_bytes; /* more: a grower left it */
}

/* Of the ordinary part; NULL when that is full. */
static struct blob *receive_blob_ordinary(struct broker *b, size_t bytes)
{
    if (is_large(b, bytes) && is_ordinary(b, &b->large_pool, CONN_LARGE_BYTES)) {
        b->large_used_ns = io_now_ns(b->io);
        sweep_start(b);
        return blob_get(&b->large_pool, CONN_LARGE_BYTES);
    }
    if (!is_ordinary(b, &b->receive_pool, bytes)) {
        blob_pool_trim(&b->large_pool);
    }
    while (!is_ordinary(b, &b->receive_pool, bytes) && b->receive_pool.free_count > 0) {
        blob_pool_shrink(&b->receive_pool, b->receive_pool.free_count - 1);
    }
    if (!is_ordinary(b, &b->receive_pool, bytes)) {
        return NULL;
    }
    if (b->receive_pool.live_count >= b->receive_kept) {
        b->crowd_ns = io_now_ns(b->io);
        sweep_start(b);
    }
    return blob_get(&b->receive_pool, bytes);
}

/* A blob for a frame of which `have` bytes have come.

   The ordinary part of the receive memory is for everybody. When it is full, all of it may be held
   by frames that are half received and wait for more of it; therefore one connection at a time, the
   grower, may use the reserve, where the largest frame has room, until its frame is complete. */
static struct blob *receive_blob(struct conn *c, size_t have, size_t need)
{
    struct broker *b = c->broker;
    struct blob *blob = receive_blob_ordinary(b, blob_bytes(b, have, need));
    if (blob != NULL || (b->grower != NULL && b->grower != c)) {
        return blob;
    }
    blob = blob_get(&b->receive_pool, MAX(need, (size_t)CONN_RECEIVE_BYTES));
    b->grower = blob != NULL ? c : b->grower;
    return blob;
}

static void grower_leave(struct conn *c)
{
    if (c->broker->grower == c) {
        c->broker->grower = NULL;
    }
}

/* Makes room behind c->end for more of the frame, or for more small frames. */
static MUST_USE err_t conn_make_room(struct conn *c)
{
    size_t pending = pending_bytes(c);
    size_t need;
    (void)frame_state(c, &need);
    if (c->blob != NULL && c->start + need <= c->blob->cap && c->end < c->blob->cap) {
        return OK;
    }
    if (c->blob != NULL && c->blob->refs == 1 && c->start > 0 && pending < c->blob->cap &&
        c->blob->cap >= MIN(need, 2 * pending)) {
        memmove(c->blob->data, c->blob->data + c->start, pending);
        c->start = 0;
        c->end = pending;
        return OK;
    }
    if (c->blob != NULL && c->start == 0 && c->end < c->blob->cap) {
        return OK; /* a large frame of which there is still room for a part */
    }
    struct blob *fresh = receive_blob(c, pending, need);
    if (fresh == NULL) {
        return ERR_NO_MEMORY;
    }
    assert(fresh->cap > pending);
    if (pending > 0) {
        memcpy(fresh->data, pending_data(c), pending);
    }
    if (c->blob != NULL) {
        blob_unref(c->blob);
    }
    conn_drop_stash(c);
    c->blob = fresh;
    c->start = 0;
    c->end = pending;
    return OK;
}

static void conn_starve(struct conn *c)
{
    metric_add(METRIC_receive_stalls_total, 1);
    if (c->starved_ns == 0) {
        c->starved_ns = io_now_ns(c->broker->io);
    }
    if (!list_linked(&c->starved_node)) {
        list_push_back(&c->broker->starved_conns, &c->starved_node);
    }
    sweep_start(c->broker);
}

/* From now on the frame that is on its way is expected to move. */
static void conn_mark(struct conn *c)
{
    c->mark_ns = io_now_ns(c->broker->io);
    c->mark_bytes = c->received_bytes;
    c->starved_ns = 0;
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
        c->input_ended = true;
        return;
    }
    conn_touch(c);
    bool begins = c->start == c->end;
    c->end += (size_t)got;
    c->received_bytes += (u64)got;
    if (begins || c->starved_ns != 0 || c->received_bytes - c->mark_bytes >= FRAME_RATE_BYTES) {
        conn_mark(c);
    }
}

/* All that came is parsed, or a few bytes are left: the next connection may have the blob, still in
   this turn and warm. Nothing is held for an idle connection, little for a frame that has just
   begun. */
static void conn_give_back_blob(struct conn *c)
{
    if (c->blob != NULL && c->start == c->end) {
        blob_unref(c->blob);
        c->blob = NULL;
        c->start = c->end = 0;
        grower_leave(c); /* it was let in, and nothing had come */
    }
    size_t bytes;
    if (c->blob != NULL && !c->input_done && frame_state(c, &bytes) == FRAME_PARTIAL) {
        conn_stash(c);
    }
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
        conn_give_back_blob(c);
    }
    if (events & IO_WRITABLE) {
        c->want_send = false;
        c->progress_ns = io_now_ns(c->broker->io);
    }
    conn_dirty(c); /* send, drop the empty blob, update events: once, at the end of the turn */
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* The methods of HTTP, and the first words of its second version. */
static bool is_http(const u8 *at)
{
    static const char starts[][5] = {"GET ", "POST", "HEAD", "PUT ", "DELE",
                                     "OPTI", "PATC", "CONN", "TRAC", "PRI "};
    for (u32 i = 0; i < ARRAY_LEN(starts); i++) {
        if (memcmp(at, starts[i], 4) == 0) {
            return true;
        }
    }
    return false;
}

/* A short page for whoever sees it, with the way to the port that speaks HTTP when there is one. */
static void conn_answer_http(struct conn *c)
{
    const struct broker *b = c->broker;
    char body[512];
    char page[1024];
    struct io_address local;
    io_sock_local(c->sock, &local);
    int body_len = snprintf(
        body, sizeof body,
        "This is port %u of an Odradek broker, and it speaks the Kafka protocol, not "
        "HTTP (ODK-1103).\n"
        "%s%s%sKafka clients use it as bootstrap server; from a shell:  odradek tail TOPIC -b "
        "HOST:%u\n",
        local.port, b->http_address[0] != 0 ? "Metrics and health are at  http://" : "",
        b->http_address, b->http_address[0] != 0 ? "/\n" : "", local.port);
    int len = snprintf(page, sizeof page,
                       "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                       body_len, body);
    struct io_vec v = {page, (size_t)len};
    (void)io_send(c->broker->io, c->sock, &v, 1);
}

/* The length makes no sense. Say what it probably was. */
static void conn_bad_length(struct conn *c, const u8 *at, size_t have)
{
    struct io_address peer;
    io_sock_peer(c->sock, &peer);
    const struct broker_listener *l = c->listener;
    if (have >= 3 && at[0] == 0x16 && at[1] == 0x03) {
        diag(MSG_tls_on_plain, D_STR("peer", peer.host), D_UINT("port", peer.port),
             D_STR("listener", l->config.name), D_UINT("listener_port", l->address.port));
    } else if (is_http(at)) {
        diag(MSG_http_on_kafka, D_STR("peer", peer.host), D_UINT("port", peer.port),
             D_STR("listener", l->config.name), D_UINT("listener_port", l->address.port),
             D_STR("http", c->broker->http_address[0] != 0 ? c->broker->http_address : "(none)"));
        conn_answer_http(c);
    } else {
        diag(MSG_bad_frame, D_STR("peer", peer.host), D_UINT("port", peer.port),
             D_INT("length", (i32)load_be32(at)),
             D_INT("length_max", c->broker->request_bytes_max));
    }
    c->input_done = true;
}

void conn_bad_request(struct conn *c, const struct request *r, const char *why)
{
    struct io_address peer;
    io_sock_peer(c->sock, &peer);
    diag(MSG_bad_request, D_STR("peer", peer.host), D_UINT("port", peer.port),
         D_INT("api_key", r->api_key), D_INT("api_version", r->version),
         D_SLICE("client_id", r->client_id), D_STR("why", why));
}

/* No memory to decode a request. Memory that other requests hold will come back, so it waits; but
   not for ever, and not for more than it can ever get. */
static bool is_worth_waiting(const struct request *r)
{
    const struct conn *c = r->conn;
    const struct broker *b = r->broker;
    bool waited_long = c->starved_ns != 0 && io_now_ns(b->io) - c->starved_ns > STARVE_MAX_NS;
    return r->arena.exhausted && r->arena.total_bytes < b->memory.requests.cap / 2 &&
           b->request_pool.count > 1 && !waited_long;
}

/* Starts the request in `frame` (without its length). false: no slot or no memory for it now, try
   later. */
static MUST_USE bool conn_dispatch(struct conn *c, struct slice frame)
{
    struct broker *b = c->broker;
    if (c->decode_bytes > quota_left(&b->memory.requests)) {
        return false;
    }
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

    const char *why = NULL;
    handler_fn handler = request_decode(r, frame, &why);
    if (handler == NULL && is_worth_waiting(r)) {
        c->decode_bytes = r->arena.total_bytes + r->arena.total_bytes / 4;
        conn_request_gone(r);
        return false;
    }
    c->decode_bytes = 0;
    metric_add(METRIC_requests_total, 1);
    if (handler == NULL) {
        if (b->stopping == false) {
            conn_bad_request(c, r, why);
        }
        request_fail(r);
        return true;
    }
    r->started = true;
    r->started_ns = io_now_ns(b->io);
    connection_note(r);
    if (!request_hold(r, handler)) {
        handler(r);
    }
    return true;
}

static void conn_parse(struct conn *c)
{
    while (c->blob != NULL && !c->input_done && !c->blocked && !conn_is_full(c)) {
        size_t bytes;
        enum frame_state state = frame_state(c, &bytes);
        const u8 *at = c->blob->data + c->start;
        if (state == FRAME_BAD) {
            conn_bad_length(c, at, c->end - c->start);
            break;
        }
        if (state != FRAME_WHOLE) {
            break;
        }
        if (!conn_dispatch(c, slice_of(at + 4, bytes - 4))) {
            conn_starve(c);
            break;
        }
        /* The handler may have marked the connection for closing, but never frees it. */
        c->start += bytes;
        conn_mark(c);
        grower_leave(c);
    }
}

/* ---- turn end, starvation, sweep ------------------------------------------------------------- */

/* What is received and not parsed: whole frames that waited behind a full list have their turn.
   true: the connection has nothing to do any more. */
static MUST_USE bool conn_settle(struct conn *c)
{
    size_t bytes;
    enum frame_state state = frame_state(c, &bytes);
    bool more = !c->input_done && (state == FRAME_WHOLE || state == FRAME_BAD);
    conn_give_back_blob(c);
    if (state == FRAME_PARTIAL && !c->input_done) {
        sweep_start(c->broker);
    }
    if (more && !c->blocked && !conn_is_full(c) && !list_linked(&c->starved_node)) {
        conn_resume(c);
    }
    return list_empty(&c->requests) && (c->input_done || (c->input_ended && !more));
}

static void conn_flush(struct conn *c)
{
    if ((!c->want_send && !conn_send(c)) || conn_settle(c)) {
        conn_close(c);
        return;
    }
    conn_update_events(c);
}

/* One send per connection with something to say, and the bookkeeping that its events left. Copying
   a megabyte into a socket takes the loop longer than everything else in a turn, and others wait
   for it: small answers leave first, and while there are any, large ones share what may leave in a
   turn. Who has more goes on in the next, behind those who have had nothing in this one. */
void conns_flush(struct broker *b)
{
    struct list work;
    struct list bulk;
    list_init(&work);
    list_init(&bulk);
    list_splice(&work, &b->dirty_conns);
    bool beside_small = io_now_ns(b->io) < b->small_until_ns;
    b->send_bytes = beside_small ? CONN_BULK_TURN_BYTES : CONN_SEND_TURN_BYTES;
    b->bulk_left = beside_small ? CONN_BULK_TURN_BYTES : UINT64_MAX;
    struct list_node *node;
    while ((node = list_pop_front(&work)) != NULL) {
        struct conn *c = CONTAINER_OF(node, struct conn, dirty_node);
        if (c->bulk) {
            list_push_back(&bulk, &c->dirty_node);
        } else {
            conn_flush(c);
        }
    }
    while (b->bulk_left > 0 && (node = list_pop_front(&bulk)) != NULL) {
        conn_flush(CONTAINER_OF(node, struct conn, dirty_node));
    }
    if (!list_empty(&bulk)) {
        list_splice(&bulk, &b->dirty_conns); /* behind it those who have had theirs */
        list_splice(&b->dirty_conns, &bulk);
        go_on_start(b);
    }
    conns_limit_turn(b);
    if (!list_empty(&b->starved_conns) && !heap_linked(&b->resume_timer.node)) {
        io_timer_start(b->io, &b->resume_timer, io_now_ns(b->io) + RETRY_NS);
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
        bool waits_for_blob =
            c->blob == NULL && !c->input_done && !c->input_ended && !c->blocked && !conn_is_full(c);
        if (waits_for_blob && !list_linked(&c->starved_node)) {
            conn_receive(c);
            conn_parse(c);
        }
        conn_dirty(c);
    }
}

/* Is somebody waiting for receive memory? */
static bool receive_pressed(const struct broker *b)
{
    return b->grower != NULL || !list_empty(&b->starved_conns);
}

/* So long a stalled reader keeps its read buffer, and so often is looked after frames that do not
   move; a shorter time while others wait for memory. */
static u64 sweep_interval_ns(const struct broker *b)
{
    return b->loads_waiting > 0 || receive_pressed(b) ? SWEEP_PRESSED_NS : SWEEP_NS;
}

static void sweep_start(struct broker *b)
{
    u64 due_ns = io_now_ns(b->io) + sweep_interval_ns(b);
    if (!heap_linked(&b->sweep_timer.node) || due_ns < b->sweep_due_ns) {
        b->sweep_due_ns = due_ns;
        io_timer_start(b->io, &b->sweep_timer, due_ns);
    }
}

/* Is a frame half received that does not move fast enough, and not by our doing? While others wait
   for memory there is less patience. */
static bool conn_has_stalled(const struct conn *c, u64 now)
{
    if (c->starved_ns != 0) {
        return now - c->starved_ns > STARVE_MAX_NS;
    }
    u64 patience_ns = receive_pressed(c->broker) ? FRAME_STALL_PRESSED_NS : FRAME_STALL_NS;
    return now - c->mark_ns > patience_ns;
}

static void conn_give_up(struct conn *c, size_t frame_bytes)
{
    metric_add(METRIC_frames_stalled_total, 1);
    diag(MSG_frame_stalled, D_STR("peer", c->peer->host), D_UINT("expected_bytes", frame_bytes),
         D_UINT("received_bytes", pending_bytes(c)));
    conn_close(c);
}

/* Blobs are kept a while, because to map them anew and touch them for the first time costs more
   than what is received into them: those of large frames, and those of a crowd that sends at once.
   Then they go back to the kernel, some at a time. true: not all yet. */
static MUST_USE bool blobs_kept(struct broker *b)
{
    u64 now = io_now_ns(b->io);
    struct blob_pool *crowd = &b->receive_pool;
    if (now - b->large_used_ns >= BLOBS_KEPT_NS) {
        blob_pool_trim(&b->large_pool);
    }
    if (now - b->crowd_ns >= BLOBS_KEPT_NS) {
        u32 left = crowd->free_count - MIN(crowd->free_count, (u32)BLOBS_PER_SWEEP);
        blob_pool_shrink(crowd, MAX(left, b->receive_kept));
    }
    return b->large_pool.free_count > 0 || b->large_pool.live_count > 0 ||
           crowd->free_count + crowd->live_count > b->receive_kept;
}

void conns_blobs_trim(struct broker *b)
{
    blob_pool_trim(&b->receive_pool);
    blob_pool_trim(&b->large_pool);
}

/* Closes connections whose half-sent frame does not move, and makes stalled readers give back their
 * read buffers. */
void conns_sweep(struct io_timer *t)
{
    struct broker *b = CONTAINER_OF(t, struct broker, sweep_timer);
    u64 now = io_now_ns(b->io);
    bool again = false;
    LIST_EACH (&b->conns, node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);
        size_t bytes;
        if (c->want_send) {
            again = true;
            if (now - c->progress_ns >= sweep_interval_ns(b)) {
                conn_give_back_loads(c);
            }
        }
        if (frame_state(c, &bytes) != FRAME_PARTIAL || c->input_done) {
            continue;
        }
        again = true;
        if (c->blocked || conn_is_full(c)) {
            conn_mark(c); /* it is we who do not read */
        } else if (conn_has_stalled(c, now)) {
            conn_give_up(c, bytes);
        }
    }
    again |= blobs_kept(b);
    if (again) {
        sweep_start(b);
    }
}
