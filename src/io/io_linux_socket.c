/* Listeners and sockets over epoll, level-triggered.

   Happy path of a connection:
     1. the listener is readable: accept4 until nobody waits (64 a turn at most);
     2. accepted() sets a handler and what it wants; the wish is only noted;
     3. the turn ends: sockets_settle tells epoll, one call per socket whose interest differs from
        what epoll knows, however often it changed within the turn;
     4. events call the handler, which receives and sends without waiting;
     5. io_sock_close closes the descriptor at once; the memory goes when the turn ends, because
        events of the same turn may still point to it.
   Failures: out of descriptors - the spare one is given up to accept the connection and close it,
   so that the peer knows and epoll does not report it for ever; if not even that works, the
   listener rests for a moment. Either way it is said, here, because nobody above hears of it.
   Everything else that breaks a connection is -ERR_CLOSED. */
#include "io/io_linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64u
#define ACCEPT_REST_NS   (100ull * 1000 * 1000)
#define BACKLOG          4096

/* ---- addresses ----------------------------------------------------------------------------- */

/* Numbers first: asking the resolver loads its libraries. An empty host is every interface. */
static err_t resolve(const char *host, u16 port, int flags, struct addrinfo **out)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = flags | AI_NUMERICSERV | AI_NUMERICHOST};
    const char *node = host[0] != '\0' ? host : NULL;
    int result = getaddrinfo(node, service, &hints, out);
    if (result == EAI_NONAME) {
        hints.ai_flags = flags | AI_NUMERICSERV;
        result = getaddrinfo(node, service, &hints, out);
    }
    return result == 0 ? OK : ERR_ADDRESS;
}

static void print_address(const struct sockaddr_storage *from, struct io_address *out)
{
    *out = (struct io_address){0};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)from;
        inet_ntop(AF_INET, &v4->sin_addr, out->host, sizeof(out->host));
        out->port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)from;
        /* A v4 client of a v6 listener knows itself, and us, by the v4 address. */
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out->host, sizeof(out->host));
        } else {
            inet_ntop(AF_INET6, &v6->sin6_addr, out->host, sizeof(out->host));
        }
        out->port = ntohs(v6->sin6_port);
    }
}

static void print_local(int fd, struct io_address *out)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &len); /* a failure leaves an empty host */
    print_address(&address, out);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void note_change(struct io_linux *l, struct io_sock *s)
{
    if (!list_linked(&s->changed)) {
        list_push_back(&l->changed, &s->changed);
    }
}

static void sock_ready(struct io_linux *l, struct source *source, u32 epoll_events)
{
    struct io_sock *s = CONTAINER_OF(source, struct io_sock, source);
    if (s->fd < 0) {
        return; /* closed by a handler that ran earlier in this turn */
    }
    u32 events = (epoll_events & EPOLLIN) != 0 ? IO_READABLE : 0;
    events |= (epoll_events & EPOLLOUT) != 0 ? IO_WRITABLE : 0;
    events &= s->wanted; /* it may have changed its mind in this turn */
    events |= (epoll_events & (EPOLLERR | EPOLLHUP)) != 0 ? IO_HANGUP : 0;
    if (events != 0) {
        s->handler(s->user, events);
    }
}

static struct io_sock *sock_create(struct io_linux *l, int fd)
{
    struct io_sock *s = mem_alloc(sizeof(*s));
    s->io = &l->io;
    s->fd = fd;
    s->source.ready = sock_ready;
    list_push_back(&l->sockets, &s->node);
    return s;
}

void linux_sock_handle(struct io *io, struct io_sock *s, io_sock_fn fn, void *user)
{
    assert(s->fd >= 0);
    s->handler = fn;
    s->user = user;
    if (!s->registered) {
        note_change(linux_of(io), s);
    }
}

void linux_sock_want(struct io *io, struct io_sock *s, u32 events)
{
    assert(s->fd >= 0);
    assert(s->handler != NULL);
    assert(events <= (IO_READABLE | IO_WRITABLE));
    s->wanted = (u8)events;
    if (!s->registered || s->armed != events) {
        note_change(linux_of(io), s);
    }
}

i64 linux_recv(struct io *io, struct io_sock *s, void *buf, size_t len)
{
    assert(s->fd >= 0);
    ssize_t got;
    do {
        got = recv(s->fd, buf, len, 0);
    } while (got < 0 && errno == EINTR);
    if (got >= 0) {
        return got;
    }
    return errno == EAGAIN ? -(i64)ERR_AGAIN : -(i64)ERR_CLOSED;
}

i64 linux_send(struct io *io, struct io_sock *s, const struct io_vec *vecs, u32 count)
{
    assert(s->fd >= 0);
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)vecs,
                             .msg_iovlen = MIN(count, (u32)IOV_MAX)};
    ssize_t taken;
    do {
        taken = sendmsg(s->fd, &message, MSG_NOSIGNAL);
    } while (taken < 0 && errno == EINTR);
    if (taken >= 0) {
        return taken;
    }
    return errno == EAGAIN || errno == ENOBUFS ? -(i64)ERR_AGAIN : -(i64)ERR_CLOSED;
}

void linux_sock_shutdown(struct io *io, struct io_sock *s)
{
    assert(s->fd >= 0);
    shutdown(s->fd, SHUT_WR); /* fails only when the peer is gone: the handler hears of that */
}

void linux_sock_close(struct io *io, struct io_sock *s)
{
    struct io_linux *l = linux_of(io);
    assert(s->fd >= 0);
    /* Explicitly: a copy of the descriptor in a child would keep it in epoll, pointing to us. */
    if (s->registered) {
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    }
    close(s->fd);
    s->fd = -1;
    if (list_linked(&s->changed)) {
        list_remove(&s->changed);
    }
    list_remove(&s->node);
    list_push_back(&l->dead, &s->node);
}

void linux_sock_local(struct io_sock *s, struct io_address *out)
{
    assert(s->fd >= 0);
    print_local(s->fd, out);
}

void linux_sock_peer(struct io_sock *s, struct io_address *out)
{
    assert(s->fd >= 0);
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    getpeername(s->fd, (struct sockaddr *)&address, &len); /* gone already: an empty host */
    print_address(&address, out);
}

/* True when one of the addresses takes the connection, or will tell. */
static int connect_first(const struct addrinfo *addresses)
{
    for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            continue;
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        /* Refused at once is refused later as well: epoll reports a hang-up for such a socket. */
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS ||
            errno == ECONNREFUSED) {
            return fd;
        }
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return -1;
}

/* A name is resolved while the caller waits: for start-up and tests, not for a serving loop. */
err_t linux_connect(struct io *io, const char *host, u16 port, struct io_sock **out)
{
    struct addrinfo *addresses = NULL;
    TRY(resolve(host, port, 0, &addresses));
    int fd = connect_first(addresses);
    err_t err = fd >= 0 ? OK : err_of_errno(errno);
    freeaddrinfo(addresses);
    if (err == OK) {
        *out = sock_create(linux_of(io), fd);
    }
    return err;
}

/* ---- listeners ----------------------------------------------------------------------------- */

static void open_spare(struct io_linux *l)
{
    if (l->spare_fd < 0) {
        l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

/* Gives up the spare descriptor for one connection. Returns what came of it: 0 or errno; EAGAIN
   when nobody waits (out of descriptors, the kernel says so before it looks). */
static int accept_and_refuse(struct io_linux *l, struct io_listener *listener)
{
    if (l->spare_fd < 0) {
        return EMFILE;
    }
    close(l->spare_fd);
    l->spare_fd = -1;
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    int fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
    int result = fd >= 0 ? 0 : errno;
    if (fd >= 0) {
        close(fd);
        struct io_address peer;
        print_address(&from, &peer);
        metric_add(METRIC_connections_refused_total, 1);
        diag(MSG_out_of_descriptors, D_STR("peer", peer.host), D_UINT("port", peer.port));
    }
    open_spare(l);
    return result;
}

/* What epoll reports of it: nothing while it rests or is not wanted. */
static void listener_tell_epoll(struct io_listener *listener)
{
    struct epoll_event event = {.data.ptr = &listener->source};
    event.events = listener->unwanted || listener->resting ? 0 : (u32)EPOLLIN;
    epoll_ctl(linux_of(listener->io)->epoll_fd, EPOLL_CTL_MOD, listener->fd, &event);
}

static void listener_rest(struct io_linux *l, struct io_listener *listener, int number)
{
    if (number == EMFILE || number == ENFILE) {
        diag(MSG_out_of_descriptors, D_UINT("rest_ms", ACCEPT_REST_NS / 1000000));
    }
    listener->resting = true;
    listener_tell_epoll(listener);
    io_timer_start(&l->io, &listener->retry, l->io.now_ns + ACCEPT_REST_NS);
}

static void listener_wake(struct io_timer *t)
{
    struct io_listener *listener = CONTAINER_OF(t, struct io_listener, retry);
    listener->resting = false;
    listener_tell_epoll(listener);
}

void linux_listener_want(struct io *io, struct io_listener *listener, bool on)
{
    assert(listener->fd >= 0);
    listener->unwanted = !on;
    listener_tell_epoll(listener);
}

/* False: nobody waits any more, or the listener rests. */
static bool accept_failed(struct io_linux *l, struct io_listener *listener, int number)
{
    if (number == EMFILE || number == ENFILE) {
        number = accept_and_refuse(l, listener);
    }
    switch (number) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        listener_rest(l, listener, number);
        return false;
    default:
        return true; /* refused, or broken before it was ours; the next may be well */
    }
}

static void listener_ready(struct io_linux *l, struct source *source, u32 epoll_events)
{
    struct io_listener *listener = CONTAINER_OF(source, struct io_listener, source);
    open_spare(l); /* if somebody took it */
    /* accepted() may close the listener, or want no more. */
    for (u32 i = 0; i < ACCEPTS_PER_TURN && listener->fd >= 0 && !listener->unwanted; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->accepted(listener->user, sock_create(l, fd));
        } else if (!accept_failed(l, listener, errno)) {
            return;
        }
    }
}

static int listen_first(const struct addrinfo *addresses)
{
    static const struct {
        int level;
        int option;
        int value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1}, /* this and the next are inherited by what is accepted */
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_IPV6, IPV6_V6ONLY, 0}, /* "::" serves v4 as well; refused by a v4 socket */
    };
    for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(options); i++) {
            setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int));
        }
        if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
            return fd;
        }
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return -1;
}

err_t linux_listen(struct io *io, const char *host, u16 port,
                   void (*accepted)(void *user, struct io_sock *s), void *user,
                   struct io_listener **out)
{
    struct io_linux *l = linux_of(io);
    struct addrinfo *addresses = NULL;
    TRY(resolve(host, port, AI_PASSIVE, &addresses));
    int fd = listen_first(addresses);
    err_t err = fd >= 0 ? OK : err_of_errno(errno);
    freeaddrinfo(addresses);
    if (err != OK) {
        return err;
    }
    struct io_listener *listener = mem_alloc(sizeof(*listener));
    listener->io = io;
    listener->fd = fd;
    listener->accepted = accepted;
    listener->user = user;
    listener->source.ready = listener_ready;
    listener->retry.fired = listener_wake;
    err = source_add(l, fd, &listener->source, EPOLLIN);
    if (err != OK) {
        close(fd);
        mem_free(listener);
        return err;
    }
    list_push_back(&l->listeners, &listener->node);
    *out = listener;
    return OK;
}

void linux_listener_address(struct io_listener *listener, struct io_address *out)
{
    assert(listener->fd >= 0);
    print_local(listener->fd, out);
}

void linux_listener_close(struct io *io, struct io_listener *listener)
{
    struct io_linux *l = linux_of(io);
    assert(listener->fd >= 0);
    io_timer_stop(io, &listener->retry);
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
    close(listener->fd);
    listener->fd = -1;
    list_remove(&listener->node);
    list_push_back(&l->dead_listeners, &listener->node);
}

/* ---- the end of a turn --------------------------------------------------------------------- */

static void tell_epoll(struct io_linux *l, struct io_sock *s)
{
    if (s->registered && s->armed == s->wanted) {
        return; /* changed forth and back */
    }
    struct epoll_event event = {.data.ptr = &s->source};
    event.events = (s->wanted & IO_READABLE) != 0 ? (u32)EPOLLIN : 0;
    event.events |= (s->wanted & IO_WRITABLE) != 0 ? (u32)EPOLLOUT : 0;
    int verb = s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(l->epoll_fd, verb, s->fd, &event) == 0) {
        s->registered = true;
        s->armed = s->wanted;
        return;
    }
    /* The kernel is out of memory, or the user out of watches: this connection cannot be served.
       Its handler hears it as any other end of a connection. */
    assert(errno == ENOMEM || errno == ENOSPC);
    shutdown(s->fd, SHUT_RDWR);
    s->handler(s->user, IO_HANGUP);
}

static void free_dead(struct io_linux *l)
{
    struct list_node *n;
    while ((n = list_pop_front(&l->dead)) != NULL) {
        mem_free(CONTAINER_OF(n, struct io_sock, node));
    }
    while ((n = list_pop_front(&l->dead_listeners)) != NULL) {
        mem_free(CONTAINER_OF(n, struct io_listener, node));
    }
}

void sockets_settle(struct io_linux *l)
{
    struct list_node *n;
    while ((n = list_pop_front(&l->changed)) != NULL) {
        tell_epoll(l, CONTAINER_OF(n, struct io_sock, changed));
    }
    free_dead(l);
}

void sockets_fini(struct io_linux *l)
{
    struct list_node *n;
    while ((n = list_first(&l->sockets)) != NULL) {
        linux_sock_close(&l->io, CONTAINER_OF(n, struct io_sock, node));
    }
    while ((n = list_first(&l->listeners)) != NULL) {
        struct io_listener *listener = CONTAINER_OF(n, struct io_listener, node);
        close(listener->fd); /* its timer is forgotten with all others */
        list_remove(&listener->node);
        mem_free(listener);
    }
    free_dead(l);
}
