/* Connections between simulated clients and the broker (sim_net.h).

   A pipe is a ring of bytes with three marks, all counted from the start of the stream:

       read <= delivered <= sent <= read + room */
#include "sim/sim_net.h"

#include <string.h>

struct pipe {
    u8 *ring;
    u64 room;
    u64 sent;
    u64 delivered;
    u64 read;
    bool ended;         /* the sender will send no more */
    bool end_delivered; /* and the receiver may know */
    struct world_event delivery;
    struct sim_conn *conn;
};

/* The broker's end. */
struct io_sock {
    struct io *io; /* NULL: the broker is gone, or has closed it */
    struct sim_conn *conn;
    io_sock_fn fn;
    void *user;
    u32 want;
};

struct sim_conn {
    struct list_node node;
    struct sim_net *net;
    u32 number;
    struct sim_conn_handler handler;
    bool client_open;
    bool accepted;
    bool lost;
    bool reading;
    bool wants_room;
    bool told_connected;
    struct pipe up;   /* to the broker */
    struct pipe down; /* to the client */
    struct io_sock sock;
    struct world_event connect;
    struct world_event loss;
    struct world_event client_news; /* room, connected, or the end */
};

struct sim_net {
    struct world *world;
    struct sim_net_knobs knobs;
    struct list conns;
    u32 next_number;
    struct io *io; /* of the listener; NULL: nobody listens */
    bool paused;
    void (*accepted)(void *user, struct io_sock *s);
    void *accepted_user;
};

static u64 delay(struct sim_net *net)
{
    return chance_delay(net->world, net->knobs.delay_ns, net->knobs.delay_rare_ns);
}

static bool sock_open(const struct io_sock *s)
{
    return s->io != NULL;
}

/* ---- pipes ----------------------------------------------------------------------------------- */

static void pipe_deliver_later(struct pipe *p)
{
    bool something = p->delivered < p->sent || (p->ended && !p->end_delivered);
    if (something && !heap_linked(&p->delivery.node)) {
        world_start(p->conn->net->world, &p->delivery, delay(p->conn->net));
    }
}

static size_t pipe_put(struct pipe *p, const u8 *bytes, size_t len)
{
    size_t taken = (size_t)MIN((u64)len, p->room - (p->sent - p->read));
    for (size_t done = 0; done < taken;) {
        u64 at = p->sent % p->room;
        size_t run = (size_t)MIN((u64)(taken - done), p->room - at);
        memcpy(p->ring + at, bytes + done, run);
        p->sent += run;
        done += run;
    }
    return taken;
}

static size_t pipe_take(struct pipe *p, u8 *out, size_t len)
{
    size_t taken = (size_t)MIN((u64)len, p->delivered - p->read);
    for (size_t done = 0; done < taken;) {
        u64 at = p->read % p->room;
        size_t run = (size_t)MIN((u64)(taken - done), p->room - at);
        memcpy(out + done, p->ring + at, run);
        p->read += run;
        done += run;
    }
    return taken;
}

/* Moves the delivered mark: all that was sent, or a part of it. */
static void pipe_deliver(struct pipe *p)
{
    struct world *w = p->conn->net->world;
    u64 waiting = p->sent - p->delivered;
    u64 piece = waiting;
    if (waiting > 1 && chance(w, p->conn->net->knobs.split_per_256, 256)) {
        piece = chance(w, 1, 4) ? 1 : chance_between(w, 1, waiting - 1);
    }
    p->delivered += piece;
    if (p->delivered == p->sent && p->ended) {
        p->end_delivered = true;
    }
    pipe_deliver_later(p);
}

static void pipe_init(struct pipe *p, struct sim_conn *c, void (*run)(struct world_event *e))
{
    p->conn = c;
    p->room = c->net->knobs.pipe_bytes;
    p->ring = mem_alloc(p->room);
    p->delivery.run = run;
}

/* ---- the end of a connection ----------------------------------------------------------------- */

static void conn_free(struct sim_conn *c)
{
    struct world *w = c->net->world;
    world_stop(w, &c->connect);
    world_stop(w, &c->loss);
    world_stop(w, &c->client_news);
    world_stop(w, &c->up.delivery);
    world_stop(w, &c->down.delivery);
    list_remove(&c->node);
    mem_free(c->up.ring);
    mem_free(c->down.ring);
    mem_free(c);
}

static void conn_free_if_over(struct sim_conn *c)
{
    if (!c->client_open && !sock_open(&c->sock)) {
        conn_free(c);
    }
}

/* Also what had arrived and was not read is gone, as after a RST. */
static void conn_lose(struct sim_conn *c)
{
    if (c->lost) {
        return;
    }
    c->lost = true;
    struct world *w = c->net->world;
    world_say(w, "net    connection %u is lost", c->number);
    world_stop(w, &c->up.delivery);
    world_stop(w, &c->down.delivery);
    world_stop(w, &c->connect);
    if (c->client_open) {
        world_start(w, &c->client_news, delay(c->net));
    }
}

static void loss_run(struct world_event *e)
{
    conn_lose(CONTAINER_OF(e, struct sim_conn, loss));
}

/* ---- client's end ---------------------------------------------------------------------------- */

static void client_close(struct sim_conn *c)
{
    c->client_open = false;
    struct sim_conn_handler handler = c->handler;
    if (!c->lost && sock_open(&c->sock)) {
        c->up.ended = true;
        pipe_deliver_later(&c->up);
    }
    conn_free_if_over(c);
    handler.closed(handler.user);
}

static void client_read(struct sim_conn *c)
{
    u8 piece[4096];
    while (c->client_open && c->reading && c->down.read < c->down.delivered) {
        size_t len = pipe_take(&c->down, piece, sizeof piece);
        c->handler.received(c->handler.user, piece, len);
        if (!c->client_open) {
            return; /* and c may be gone */
        }
    }
}

static void client_news_run(struct world_event *e)
{
    struct sim_conn *c = CONTAINER_OF(e, struct sim_conn, client_news);
    assert(c->client_open);
    if (c->lost || (c->down.end_delivered && c->down.read == c->down.delivered)) {
        client_close(c);
        return;
    }
    if (c->accepted && !c->told_connected) {
        c->told_connected = true;
        c->handler.connected(c->handler.user);
        return;
    }
    if (c->wants_room && c->up.sent - c->up.read < c->up.room) {
        c->wants_room = false;
        c->handler.writable(c->handler.user);
    }
}

static void down_delivery_run(struct world_event *e)
{
    struct pipe *p = CONTAINER_OF(e, struct pipe, delivery);
    struct sim_conn *c = p->conn;
    pipe_deliver(p);
    if (!c->client_open) {
        p->read = p->delivered; /* nobody reads; the real one would answer with a reset */
        return;
    }
    if (p->end_delivered) {
        world_start(c->net->world, &c->client_news, 0);
    }
    client_read(c);
}

static void up_delivery_run(struct world_event *e)
{
    pipe_deliver(CONTAINER_OF(e, struct pipe, delivery));
}

static void connect_run(struct world_event *e)
{
    struct sim_conn *c = CONTAINER_OF(e, struct sim_conn, connect);
    struct sim_net *net = c->net;
    if (net->io == NULL || net->paused) {
        c->lost = true;
        world_start(net->world, &c->client_news, delay(net));
        return;
    }
    c->accepted = true;
    c->sock.io = net->io;
    world_start(net->world, &c->client_news, delay(net));
    if (net->knobs.lifetime_ns > 0) {
        world_start(net->world, &c->loss,
                    chance_between(net->world, 0, 2 * net->knobs.lifetime_ns));
    }
    net->accepted(net->accepted_user, &c->sock);
}

struct sim_conn *sim_net_connect(struct sim_net *net, const struct sim_conn_handler *handler)
{
    struct sim_conn *c = mem_alloc(sizeof *c);
    c->net = net;
    c->number = net->next_number++;
    c->handler = *handler;
    c->client_open = true;
    c->reading = true;
    c->sock.conn = c;
    pipe_init(&c->up, c, up_delivery_run);
    pipe_init(&c->down, c, down_delivery_run);
    c->connect.run = connect_run;
    c->loss.run = loss_run;
    c->client_news.run = client_news_run;
    list_push_back(&net->conns, &c->node);
    world_start(net->world, &c->connect, delay(net));
    return c;
}

size_t sim_conn_send(struct sim_conn *c, const u8 *bytes, size_t len)
{
    assert(c->client_open);
    if (c->lost || !c->told_connected) {
        return 0;
    }
    size_t taken = pipe_put(&c->up, bytes, len);
    c->wants_room = taken < len;
    pipe_deliver_later(&c->up);
    return taken;
}

void sim_conn_read(struct sim_conn *c, bool on)
{
    c->reading = on;
    if (on) {
        /* As if something came: what has piled up is read, or the end noticed. */
        if (!c->lost && !heap_linked(&c->down.delivery.node)) {
            world_start(c->net->world, &c->down.delivery, 0);
        }
    }
}

void sim_conn_close(struct sim_conn *c)
{
    assert(c->client_open);
    c->client_open = false;
    struct world *w = c->net->world;
    world_stop(w, &c->connect);
    world_stop(w, &c->client_news);
    if (sock_open(&c->sock) && !c->lost) {
        c->up.ended = true;
        pipe_deliver_later(&c->up);
    }
    conn_free_if_over(c);
}

/* ---- broker's end ---------------------------------------------------------------------------- */

void sim_net_listen(struct sim_net *net, struct io *io,
                    void (*accepted)(void *user, struct io_sock *s), void *user)
{
    assert(net->io == NULL);
    net->io = io;
    net->accepted = accepted;
    net->accepted_user = user;
    net->paused = false;
}

void sim_net_listener_want(struct sim_net *net, bool on)
{
    net->paused = !on;
}

void sim_net_unlisten(struct sim_net *net)
{
    net->io = NULL;
}

static void sock_gone(struct io_sock *s)
{
    *s = (struct io_sock){.conn = s->conn};
}

void sim_net_broker_gone(struct sim_net *net)
{
    net->io = NULL;
    LIST_EACH (&net->conns, n) {
        struct sim_conn *c = CONTAINER_OF(n, struct sim_conn, node);
        if (sock_open(&c->sock)) {
            sock_gone(&c->sock);
            conn_lose(c);
            conn_free_if_over(c);
        }
    }
}

static u32 sock_events(const struct io_sock *s)
{
    const struct sim_conn *c = s->conn;
    if (!sock_open(s) || s->fn == NULL) {
        return 0;
    }
    if (c->lost) {
        return IO_HANGUP | s->want;
    }
    u32 events = 0;
    if (c->up.read < c->up.delivered || c->up.end_delivered) {
        events |= IO_READABLE;
    }
    if (c->down.sent - c->down.read < c->down.room) {
        events |= IO_WRITABLE;
    }
    return events & s->want;
}

bool sim_net_ready(const struct sim_net *net)
{
    for (const struct list_node *n = net->conns.head.next; n != &net->conns.head; n = n->next) {
        if (sock_events(&CONTAINER_OF(n, const struct sim_conn, node)->sock) != 0) {
            return true;
        }
    }
    return false;
}

/* A handler may close any socket; a conn that is over is then freed, so conns are found again by
   number. */
static struct sim_conn *conn_find(struct sim_net *net, u32 number)
{
    LIST_EACH (&net->conns, n) {
        struct sim_conn *c = CONTAINER_OF(n, struct sim_conn, node);
        if (c->number == number) {
            return c;
        }
    }
    return NULL;
}

void sim_net_dispatch(struct sim_net *net, const bool *stop)
{
    u32 ready[256];
    u32 count = 0;
    LIST_EACH (&net->conns, n) {
        struct sim_conn *c = CONTAINER_OF(n, struct sim_conn, node);
        if (sock_events(&c->sock) != 0 && count < ARRAY_LEN(ready)) {
            ready[count++] = c->number;
        }
    }
    while (count > 0 && !*stop) {
        u32 pick = (u32)chance_between(net->world, 0, count - 1);
        struct sim_conn *c = conn_find(net, ready[pick]);
        ready[pick] = ready[--count];
        u32 events = c != NULL ? sock_events(&c->sock) : 0;
        if (events != 0) {
            trace_number(net->world, (u64)c->number << 8 | events);
            c->sock.fn(c->sock.user, events);
        }
    }
}

void sim_net_sock_handle(struct io_sock *s, io_sock_fn fn, void *user)
{
    assert(sock_open(s));
    s->fn = fn;
    s->user = user;
}

void sim_net_sock_want(struct io_sock *s, u32 events)
{
    assert(sock_open(s));
    s->want = events;
}

static void client_notice_room(struct sim_conn *c)
{
    if (c->client_open && c->wants_room && !heap_linked(&c->client_news.node)) {
        world_start(c->net->world, &c->client_news, delay(c->net));
    }
}

i64 sim_net_sock_recv(struct io_sock *s, void *buf, size_t len)
{
    struct sim_conn *c = s->conn;
    assert(sock_open(s));
    if (c->lost) {
        return -(i64)ERR_CLOSED;
    }
    if (c->up.read == c->up.delivered) {
        return c->up.end_delivered ? 0 : -(i64)ERR_AGAIN;
    }
    size_t wanted = len;
    if (chance(c->net->world, 1, 32)) {
        wanted =
            (size_t)chance_between(c->net->world, 1, MIN((u64)len, c->up.delivered - c->up.read));
    }
    size_t taken = pipe_take(&c->up, buf, wanted);
    client_notice_room(c);
    return (i64)taken;
}

i64 sim_net_sock_send(struct io_sock *s, const struct io_vec *vecs, u32 count)
{
    struct sim_conn *c = s->conn;
    assert(sock_open(s));
    if (c->lost) {
        return -(i64)ERR_CLOSED;
    }
    bool cut = chance(c->net->world, 1, 32);
    i64 taken = 0;
    for (u32 i = 0; i < count; i++) {
        size_t offered = vecs[i].len;
        if (cut && offered > 1 && i + 1 == count) {
            offered = (size_t)chance_between(c->net->world, 1, offered);
        }
        size_t put = pipe_put(&c->down, vecs[i].data, offered);
        taken += (i64)put;
        if (put < vecs[i].len) {
            break;
        }
    }
    pipe_deliver_later(&c->down);
    return taken > 0 ? taken : -(i64)ERR_AGAIN;
}

void sim_net_sock_shutdown(struct io_sock *s)
{
    assert(sock_open(s));
    s->conn->down.ended = true;
    if (!s->conn->lost) {
        pipe_deliver_later(&s->conn->down);
    }
}

void sim_net_sock_close(struct io_sock *s)
{
    struct sim_conn *c = s->conn;
    assert(sock_open(s));
    sock_gone(s);
    if (c->client_open && !c->lost) {
        c->down.ended = true;
        pipe_deliver_later(&c->down);
    }
    conn_free_if_over(c);
}

u32 sim_net_sock_number(const struct io_sock *s)
{
    return s->conn->number;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sim_net *sim_net_create(struct world *w, const struct sim_net_knobs *knobs)
{
    assert(knobs->pipe_bytes > 0);
    struct sim_net *net = mem_alloc(sizeof *net);
    net->world = w;
    net->knobs = *knobs;
    list_init(&net->conns);
    return net;
}

void sim_net_destroy(struct sim_net *net)
{
    LIST_EACH (&net->conns, n) {
        conn_free(CONTAINER_OF(n, struct sim_conn, node));
    }
    mem_free(net);
}

void sim_net_heal(struct sim_net *net)
{
    net->knobs.lifetime_ns = 0;
    net->knobs.delay_rare_ns = net->knobs.delay_ns;
    LIST_EACH (&net->conns, n) {
        world_stop(net->world, &CONTAINER_OF(n, struct sim_conn, node)->loss);
    }
}
