/* See fake_io.h. */
#include "fake_io.h"

#include <string.h>

struct io_listener {
    struct io *io;
    void (*accepted)(void *user, struct io_sock *s);
    void *user;
    bool unwanted;
};

struct fake_io {
    struct io io;
    struct rng rng;
    struct list works; /* io_ops whose work runs in the next poll */
    struct io_listener listener;
    struct io_sock *socks[FAKE_SOCKS_MAX];
    u32 sock_count;
};

static struct fake_io *fake_of(struct io *io)
{
    return CONTAINER_OF(io, struct fake_io, io);
}

/* ---- the turn -------------------------------------------------------------------------------- */

void fake_advance(struct io *io, u64 ns)
{
    io->now_ns += ns;
    io->wall_ms = 1700000000000 + (i64)(io->now_ns / 1000000);
    diag_set_now(io->now_ns, io->wall_ms);
}

static void run_works(struct fake_io *f)
{
    struct list work;
    list_init(&work);
    list_splice(&work, &f->works);
    struct list_node *n;
    while ((n = list_pop_front(&work)) != NULL) {
        struct io_op *op = CONTAINER_OF(n, struct io_op, node);
        op->work(op->arg);
        op->done(op, 0);
    }
}

static u32 events_of(const struct io_sock *s)
{
    bool readable = s->in_at < s->in_len || s->ended;
    u32 events = readable ? IO_READABLE : 0;
    events |= s->out_len < FAKE_OUT_BYTES ? IO_WRITABLE : 0;
    return s->reset ? IO_HANGUP : events & s->wanted;
}

static void fake_poll(struct io *io, u64 deadline_ns)
{
    (void)deadline_ns;
    struct fake_io *f = fake_of(io);
    fake_advance(io, 1000);
    run_works(f);
    for (u32 i = 0; i < f->sock_count; i++) {
        struct io_sock *s = f->socks[i];
        bool listening = f->listener.accepted != NULL && !f->listener.unwanted;
        if (!s->accepted && listening) {
            s->accepted = true;
            f->listener.accepted(f->listener.user, s);
        } else if (s->accepted && !s->closed && events_of(s) != 0) {
            s->handler(s->user, events_of(s));
        }
    }
}

static void fake_submit(struct io *io)
{
    (void)io;
}

static void fake_destroy(struct io *io)
{
    struct fake_io *f = fake_of(io);
    for (u32 i = 0; i < f->sock_count; i++) {
        mem_free(f->socks[i]->in);
        mem_free(f->socks[i]->out);
        mem_free(f->socks[i]);
    }
    mem_free(f);
}

static void fake_random(struct io *io, void *buf, size_t len)
{
    rng_fill(&fake_of(io)->rng, buf, len);
}

static void fake_work(struct io *io, struct io_op *op)
{
    op->node = (struct list_node){0};
    list_push_back(&fake_of(io)->works, &op->node);
}

static void fake_cancel(struct io *io, struct io_op *op)
{
    (void)io; /* too late for what runs anyway */
    (void)op;
}

static err_t fake_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes)
{
    (void)io;
    (void)path;
    *free_bytes = 32 * GIB;
    *total_bytes = 64 * GIB;
    return OK;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static err_t fake_listen(struct io *io, const char *host, u16 port,
                         void (*accepted)(void *user, struct io_sock *s), void *user,
                         struct io_listener **out)
{
    struct fake_io *f = fake_of(io);
    (void)host;
    (void)port;
    f->listener = (struct io_listener){.io = io, .accepted = accepted, .user = user};
    *out = &f->listener;
    return OK;
}

static void fake_listener_address(struct io_listener *l, struct io_address *out)
{
    (void)l;
    *out = (struct io_address){.host = "127.0.0.1", .port = 9092};
}

static void fake_listener_close(struct io *io, struct io_listener *l)
{
    (void)io;
    l->accepted = NULL;
}

static void fake_listener_want(struct io *io, struct io_listener *l, bool on)
{
    (void)io;
    l->unwanted = !on;
}

static void fake_sock_handle(struct io *io, struct io_sock *s, io_sock_fn fn, void *user)
{
    (void)io;
    s->handler = fn;
    s->user = user;
}

static void fake_sock_want(struct io *io, struct io_sock *s, u32 events)
{
    (void)io;
    s->wanted = events;
}

static i64 fake_recv(struct io *io, struct io_sock *s, void *buf, size_t len)
{
    (void)io;
    size_t have = s->in_len - s->in_at;
    size_t taken = MIN(have, len);
    if (s->reset) {
        return -(i64)ERR_CLOSED;
    }
    if (have == 0) {
        return s->ended ? 0 : -(i64)ERR_AGAIN;
    }
    memcpy(buf, s->in + s->in_at, taken);
    s->in_at += taken;
    return (i64)taken;
}

static i64 fake_send(struct io *io, struct io_sock *s, const struct io_vec *vecs, u32 count)
{
    (void)io;
    if (s->reset) {
        return -(i64)ERR_CLOSED;
    }
    size_t before = s->out_len;
    for (u32 i = 0; i < count; i++) {
        size_t taken = MIN(vecs[i].len, FAKE_OUT_BYTES - s->out_len);
        memcpy(s->out + s->out_len, vecs[i].data, taken);
        s->out_len += taken;
    }
    return s->out_len > before ? (i64)(s->out_len - before) : -(i64)ERR_AGAIN;
}

static void fake_sock_shutdown(struct io *io, struct io_sock *s)
{
    (void)io;
    (void)s;
}

static void fake_sock_close(struct io *io, struct io_sock *s)
{
    (void)io;
    assert(!s->closed);
    s->closed = true;
}

static void fake_address(struct io_sock *s, struct io_address *out)
{
    (void)s;
    *out = (struct io_address){.host = "127.0.0.1", .port = 40000};
}

/* ---- the peer -------------------------------------------------------------------------------- */

struct io_sock *fake_connect(struct io *io)
{
    struct fake_io *f = fake_of(io);
    if (f->sock_count == FAKE_SOCKS_MAX) {
        return NULL;
    }
    struct io_sock *s = mem_alloc(sizeof *s);
    s->io = io;
    s->out = mem_alloc(FAKE_OUT_BYTES);
    f->socks[f->sock_count++] = s;
    return s;
}

void fake_give(struct io_sock *s, const u8 *bytes, size_t len)
{
    s->in = mem_resize(s->in, s->in_len + len);
    memcpy(s->in + s->in_len, bytes, len);
    s->in_len += len;
}

size_t fake_take(struct io_sock *s, u8 *out, size_t len)
{
    size_t taken = MIN(len, s->out_len);
    memcpy(out, s->out, taken);
    s->out_len -= taken;
    memmove(s->out, s->out + taken, s->out_len);
    return taken;
}

struct io *fake_io_create(u64 seed)
{
    static const struct io_backend backend = {
        .poll = fake_poll,
        .submit = fake_submit,
        .destroy = fake_destroy,
        .random = fake_random,
        .work = fake_work,
        .cancel = fake_cancel,
        .space = fake_space,
        .listen = fake_listen,
        .listener_address = fake_listener_address,
        .listener_close = fake_listener_close,
        .listener_want = fake_listener_want,
        .sock_handle = fake_sock_handle,
        .sock_want = fake_sock_want,
        .recv = fake_recv,
        .send = fake_send,
        .sock_shutdown = fake_sock_shutdown,
        .sock_close = fake_sock_close,
        .sock_local = fake_address,
        .sock_peer = fake_address,
    };
    struct fake_io *f = mem_alloc(sizeof *f);
    io_init_base(&f->io, &backend);
    list_init(&f->works);
    rng_seed(&f->rng, seed);
    fake_advance(&f->io, 1000000000);
    return &f->io;
}
