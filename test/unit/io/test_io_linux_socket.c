/* Sockets over loopback: bytes arrive whole and in order whatever the pieces, a closed socket is
   never called again, running out of descriptors neither kills nor spins, addresses are what peers
   see. */
#include "io/io_linux.h"
#include "io_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* One end of a connection and what it saw. */
struct end {
    struct io *io;
    struct io_sock *sock;
    u8 *in;
    size_t in_cap;
    size_t in_len;
    const u8 *out;
    size_t out_len;
    size_t sent;
    u32 partial_sends;
    u32 calls;
    u32 events; /* all seen, or-ed */
    bool at_end;
    bool gone;
};

struct server {
    struct io *io;
    struct io_listener *listener;
    struct io_address address;
    struct end ends[64];
    u32 count;
    io_sock_fn handler;
    u32 want;
    void (*also)(struct server *srv, struct end *e);
};

static void server_accepted(void *user, struct io_sock *s)
{
    struct server *srv = user;
    assert_true(srv->count < ARRAY_LEN(srv->ends));
    struct end *e = &srv->ends[srv->count++];
    e->io = srv->io;
    e->sock = s;
    io_sock_handle(srv->io, s, srv->handler, e);
    io_sock_want(srv->io, s, srv->want);
    if (srv->also != NULL) {
        srv->also(srv, e);
    }
}

static void end_close(struct end *e)
{
    if (e->sock != NULL) {
        io_sock_close(e->io, e->sock);
        e->sock = NULL;
    }
}

/* Reads everything there is, sends what it has, closes when the peer is gone. */
static void end_handler(void *user, u32 events)
{
    struct end *e = user;
    e->calls++;
    e->events |= events;
    if ((events & IO_READABLE) != 0) {
        u8 drop[4096];
        bool keep = e->in != NULL;
        i64 got = io_recv(e->io, e->sock, keep ? e->in + e->in_len : drop,
                          keep ? e->in_cap - e->in_len : sizeof(drop));
        if (got > 0) {
            e->in_len += (size_t)got;
        } else if (got == 0) {
            e->at_end = true;
        } else {
            assert_true(got == -(i64)ERR_AGAIN || got == -(i64)ERR_CLOSED);
        }
    }
    if ((events & IO_WRITABLE) != 0 && e->sent < e->out_len) {
        size_t left = e->out_len - e->sent;
        struct io_vec vecs[2] = {{(u8 *)(uintptr_t)e->out + e->sent, left / 2},
                                 {(u8 *)(uintptr_t)e->out + e->sent + left / 2, left - left / 2}};
        i64 taken = io_send(e->io, e->sock, vecs, 2);
        if (taken > 0) {
            e->partial_sends += (size_t)taken < left;
            e->sent += (size_t)taken;
        }
    }
    if (e->at_end || (events & IO_HANGUP) != 0) {
        e->gone = true;
        end_close(e);
        return;
    }
    io_sock_want(e->io, e->sock, IO_READABLE | (e->sent < e->out_len ? IO_WRITABLE : 0));
}

static struct server server_open(struct io *io, const char *host)
{
    struct server srv = {.io = io, .handler = end_handler, .want = IO_READABLE};
    assert_int_equal(io_listen(io, host, 0, server_accepted, NULL, &srv.listener), OK);
    io_listener_address(srv.listener, &srv.address);
    assert_true(srv.address.port != 0);
    return srv;
}
/* The server is where it stays now. */
static void server_ready(struct server *srv)
{
    srv->listener->user = srv;
}

static void server_close(struct server *srv)
{
    for (u32 i = 0; i < srv->count; i++) {
        end_close(&srv->ends[i]);
    }
    io_listener_close(srv->io, srv->listener);
    io_turn(srv->io, false);
}

static struct end client_open(struct io *io, const char *host, u16 port)
{
    struct end e = {.io = io};
    assert_int_equal(io_connect(io, host, port, &e.sock), OK);
    return e;
}

static void many_bytes_both_ways(void **state)
{
    enum { BYTES = 8 * 1024 * 1024 };
    struct io *io = *state;
    struct rng rng = unit_rng();
    u8 *data = malloc(BYTES);
    for (u32 i = 0; i < BYTES; i += 8) {
        u64 word = rng_next(&rng);
        memcpy(data + i, &word, 8);
    }
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    client.in = malloc(BYTES + 1);
    client.in_cap = BYTES + 1;
    client.out = data;
    client.out_len = BYTES;
    io_sock_handle(io, client.sock, end_handler, &client);
    io_sock_want(io, client.sock, IO_WRITABLE);
    TURN_UNTIL(io, srv.count == 1);
    struct end *e = &srv.ends[0];
    e->in = malloc(BYTES + 1);
    e->in_cap = BYTES + 1;
    e->out = data;
    e->out_len = BYTES;
    io_sock_want(io, e->sock, IO_READABLE | IO_WRITABLE);
    TURN_UNTIL(io, client.in_len == BYTES && e->in_len == BYTES);
    assert_memory_equal(client.in, data, BYTES);
    assert_memory_equal(e->in, data, BYTES);
    assert_true(client.partial_sends > 0); /* more than a socket buffer holds */
    free(client.in);
    free(e->in);
    end_close(&client);
    TURN_UNTIL(io, e->gone);
    server_close(&srv);
    free(data);
}

static void half_closed_still_answers(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    srv.want = 0;
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    io_sock_handle(io, client.sock, end_handler, &client);
    io_sock_want(io, client.sock, IO_READABLE);
    io_sock_shutdown(io, client.sock);
    TURN_UNTIL(io, srv.count == 1);
    u8 buf[8];
    i64 got;
    while ((got = io_recv(io, srv.ends[0].sock, buf, sizeof(buf))) == -(i64)ERR_AGAIN) {
    }
    assert_int_equal(got, 0);
    struct io_vec vec = unit_vec("bye");
    assert_int_equal(io_send(io, srv.ends[0].sock, &vec, 1), 3);
    TURN_UNTIL(io, client.in_len == 3);
    end_close(&srv.ends[0]);
    TURN_UNTIL(io, client.gone);
    server_close(&srv);
}

static void nothing_is_read_that_is_not_wanted(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    srv.want = 0;
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    client.out = (const u8 *)"hello";
    client.out_len = 5;
    io_sock_handle(io, client.sock, end_handler, &client);
    io_sock_want(io, client.sock, IO_WRITABLE);
    TURN_UNTIL(io, srv.count == 1 && client.sent == 5);
    for (u32 i = 0; i < 20; i++) {
        io_turn(io, false);
    }
    struct end *e = &srv.ends[0];
    assert_int_equal(e->calls, 0);
    io_sock_want(io, e->sock, IO_READABLE);
    TURN_UNTIL(io, e->in_len == 5);
    assert_int_equal(e->calls, 1); /* level-triggered, but once: the bytes are gone */
    end_close(&client);
    server_close(&srv);
}

/* Interest that goes forth and back within a turn is no system call, and epoll is told before a
   socket that has just been accepted could be forgotten. */
static void interest_is_told_when_it_differs(void **state)
{
    struct io *io = *state;
    struct io_linux *l = linux_of(io);
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    io_sock_handle(io, client.sock, end_handler, &client);
    assert_false(client.sock->registered); /* at the end of the turn */
    TURN_UNTIL(io, srv.count == 1);
    struct io_sock *s = srv.ends[0].sock;
    assert_true(s->registered);
    assert_int_equal(s->armed, IO_READABLE);
    io_sock_want(io, s, IO_READABLE);
    assert_true(list_empty(&l->changed));
    io_sock_want(io, s, 0);
    io_sock_want(io, s, IO_READABLE);
    io_turn(io, false);
    assert_int_equal(s->armed, IO_READABLE);
    assert_true(list_empty(&l->changed));
    end_close(&client);
    server_close(&srv);
}

/* Both ends of several connections are ready in one turn; the first handler closes all others. */
static struct server *closing_server;
static u32 closing_calls;
static void closing_handler(void *user, u32 events)
{
    closing_calls++;
    for (u32 i = 0; i < closing_server->count; i++) {
        end_close(&closing_server->ends[i]);
    }
}

static void a_socket_closed_in_this_turn_is_not_called(void **state)
{
    enum { COUNT = 8 };
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    srv.handler = closing_handler;
    srv.want = 0;
    closing_server = &srv;
    closing_calls = 0;
    struct end clients[COUNT];
    for (u32 i = 0; i < COUNT; i++) {
        clients[i] = client_open(io, "127.0.0.1", srv.address.port);
        clients[i].out = (const u8 *)"x";
        clients[i].out_len = 1;
        io_sock_handle(io, clients[i].sock, end_handler, &clients[i]);
        io_sock_want(io, clients[i].sock, IO_WRITABLE);
    }
    for (u32 i = 0; i < COUNT; i++) {
        TURN_UNTIL(io, clients[i].sent == 1);
    }
    TURN_UNTIL(io, srv.count == COUNT);
    for (u32 i = 0; i < COUNT; i++) {
        io_sock_want(io, srv.ends[i].sock, IO_READABLE);
    }
    TURN_UNTIL(io, closing_calls > 0);
    io_turn(io, false);
    assert_int_equal(closing_calls, 1);
    for (u32 i = 0; i < COUNT; i++) {
        TURN_UNTIL(io, clients[i].gone);
    }
    server_close(&srv);
}

/* Descriptor numbers are used again at once: what is new must not inherit events of what is closed.
 */
static void close_and_connect_again_in_a_handler(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    for (u32 i = 0; i < 30; i++) {
        struct end client = client_open(io, "127.0.0.1", srv.address.port);
        io_sock_handle(io, client.sock, end_handler, &client);
        io_sock_want(io, client.sock, IO_READABLE);
        TURN_UNTIL(io, srv.count == i + 1);
        end_close(&client);
        TURN_UNTIL(io, srv.ends[i].gone);
    }
    server_close(&srv);
}

static void a_reset_is_a_hangup(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    srv.want = 0; /* reported whatever is wanted */
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    io_sock_handle(io, client.sock, end_handler, &client);
    TURN_UNTIL(io, srv.count == 1);
    struct linger at_once = {.l_onoff = 1};
    setsockopt(client.sock->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    end_close(&client);
    TURN_UNTIL(io, srv.ends[0].gone);
    assert_true((srv.ends[0].events & IO_HANGUP) != 0);
    server_close(&srv);
}

static void sending_to_nobody_is_closed(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    io_sock_handle(io, client.sock, end_handler, &client);
    TURN_UNTIL(io, srv.count == 1);
    end_close(&srv.ends[0]);
    struct io_vec vec = unit_vec("x");
    i64 result = 1;
    while (result > 0 || result == -(i64)ERR_AGAIN) {
        result = io_send(io, client.sock, &vec, 1);
    }
    assert_int_equal(result, -(i64)ERR_CLOSED); /* and no SIGPIPE */
    end_close(&client);
    server_close(&srv);
}

static void connecting_to_nobody_is_a_hangup(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    u16 port = srv.address.port;
    server_close(&srv);
    struct end client = client_open(io, "127.0.0.1", port);
    io_sock_handle(io, client.sock, end_handler, &client);
    io_sock_want(io, client.sock, IO_WRITABLE);
    TURN_UNTIL(io, client.gone);
    assert_true((client.events & IO_HANGUP) != 0);
}

static void addresses_are_what_peers_see(void **state)
{
    struct io *io = *state;
    static const struct {
        const char *listen;
        const char *connect;
        const char *seen;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.1"},
        {"0.0.0.0", "127.0.0.1", "127.0.0.1"},
        {"localhost", NULL, NULL},
        {"::1", "::1", "::1"},
        {"::", "127.0.0.1", "127.0.0.1"},
        {"::", "::1", "::1"},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        struct io_listener *probe = NULL;
        if (io_listen(io, rows[i].listen, 0, server_accepted, NULL, &probe) != OK) {
            assert_true(strchr(rows[i].listen, ':') != NULL); /* a machine without v6 */
            continue;
        }
        io_listener_close(io, probe);
        struct server srv = server_open(io, rows[i].listen);
        server_ready(&srv);
        const char *host = rows[i].connect != NULL ? rows[i].connect : srv.address.host;
        struct end client = client_open(io, host, srv.address.port);
        io_sock_handle(io, client.sock, end_handler, &client);
        TURN_UNTIL(io, srv.count == 1);
        struct io_address a;
        struct io_address b;
        io_sock_local(srv.ends[0].sock, &a);
        io_sock_peer(client.sock, &b);
        if (rows[i].seen != NULL) {
            assert_string_equal(a.host, rows[i].seen);
        }
        assert_string_equal(a.host, b.host);
        assert_int_equal(a.port, srv.address.port);
        io_sock_peer(srv.ends[0].sock, &a);
        io_sock_local(client.sock, &b);
        assert_int_equal(a.port, b.port);
        assert_string_equal(a.host, b.host);
        end_close(&client);
        server_close(&srv);
    }
}

static void a_taken_or_foreign_address_is_refused(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    struct io_listener *l = NULL;
    err_t taken = io_listen(io, "127.0.0.1", srv.address.port, server_accepted, NULL, &l);
    assert_int_equal(taken, ERR_ADDRESS);
    assert_int_equal(io_listen(io, "192.0.2.1", 0, server_accepted, NULL, &l), ERR_ADDRESS);
    assert_int_equal(io_listen(io, "no such host", 0, server_accepted, NULL, &l), ERR_ADDRESS);
    struct io_sock *s = NULL;
    assert_int_equal(io_connect(io, "no such host", 1, &s), ERR_ADDRESS);
    assert_null(l);
    server_close(&srv);
}

static void accepted_sockets_do_not_wait_to_send(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    io_sock_handle(io, client.sock, end_handler, &client);
    TURN_UNTIL(io, srv.count == 1);
    int fds[] = {srv.ends[0].sock->fd, client.sock->fd};
    for (u32 i = 0; i < 2; i++) {
        int value = 0;
        socklen_t len = sizeof(value);
        assert_int_equal(getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        assert_true(value != 0);
        assert_true((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
        assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
    }
    int keepalive = 0;
    socklen_t len = sizeof(keepalive);
    assert_int_equal(getsockopt(fds[0], SOL_SOCKET, SO_KEEPALIVE, &keepalive, &len), 0);
    assert_true(keepalive != 0);
    end_close(&client);
    server_close(&srv);
}

static void close_listener_on_first(struct server *srv, struct end *e)
{
    io_listener_close(srv->io, srv->listener);
}

static void a_listener_may_be_closed_by_its_own_call(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    srv.also = close_listener_on_first;
    struct end clients[3];
    for (u32 i = 0; i < 3; i++) {
        clients[i] = client_open(io, "127.0.0.1", srv.address.port);
        io_sock_handle(io, clients[i].sock, end_handler, &clients[i]);
        io_sock_want(io, clients[i].sock, IO_READABLE);
    }
    TURN_UNTIL(io, srv.count == 1);
    TURN_UNTIL(io, clients[1].gone && clients[2].gone); /* they were in the queue */
    assert_int_equal(srv.count, 1);
    end_close(&clients[0]);
    TURN_UNTIL(io, srv.ends[0].gone);
}

static void want_no_more_on_first(struct server *srv, struct end *e)
{
    if (srv->count == 1) {
        io_listener_want(srv->io, srv->listener, false);
    }
}

static void a_listener_that_is_not_wanted_lets_them_wait(void **state)
{
    struct io *io = *state;
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    srv.also = want_no_more_on_first;
    struct end clients[3];
    for (u32 i = 0; i < 3; i++) {
        clients[i] = client_open(io, "127.0.0.1", srv.address.port);
        io_sock_handle(io, clients[i].sock, end_handler, &clients[i]);
        io_sock_want(io, clients[i].sock, IO_READABLE);
    }
    TURN_UNTIL(io, srv.count == 1);
    for (u32 i = 0; i < 10; i++) {
        io_turn(io, false);
    }
    assert_int_equal(srv.count, 1);
    assert_false(clients[1].gone || clients[2].gone);
    io_listener_want(io, srv.listener, true);
    TURN_UNTIL(io, srv.count == 3);
    io_listener_close(io, srv.listener);
    for (u32 i = 0; i < 3; i++) {
        end_close(&clients[i]);
        TURN_UNTIL(io, srv.ends[i].gone);
    }
}

static void what_is_open_goes_with_the_io(void **state)
{
    struct io *io = unit_create(IO_FILES_THREADS, false);
    struct server srv = server_open(io, "127.0.0.1");
    server_ready(&srv);
    struct end client = client_open(io, "127.0.0.1", srv.address.port);
    io_sock_handle(io, client.sock, end_handler, &client);
    TURN_UNTIL(io, srv.count == 1);
    io_destroy(io);
}

/* ---- out of descriptors, in a child ---------------------------------------------------------- */

static int plain_connect(u16 port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static u32 child_accepted_count;
static struct io *child_io;
static struct io_sock *child_sock;
static void child_handler(void *user, u32 events)
{
}
static void child_accepted(void *user, struct io_sock *s)
{
    child_accepted_count++;
    child_sock = s;
    io_sock_handle(child_io, s, child_handler, NULL);
}

/* Clients are there before the limit falls; no descriptor is left for the server's side. */
static int limit_to_used(rlim_t more)
{
    int next = dup(0);
    close(next);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)next + more;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int refused_with_the_spare(void)
{
    struct io_linux_params params = {.files = IO_FILES_THREADS};
    CHILD_CHECK(io_linux_create(&params, &child_io) == OK);
    struct io_listener *listener = NULL;
    CHILD_CHECK(io_listen(child_io, "127.0.0.1", 0, child_accepted, NULL, &listener) == OK);
    struct io_address address;
    io_listener_address(listener, &address);
    int clients[3];
    for (u32 i = 0; i < 3; i++) {
        clients[i] = plain_connect(address.port);
        CHILD_CHECK(clients[i] >= 0);
    }
    CHILD_CHECK(limit_to_used(1) == 0);
    for (u32 i = 0; i < 10; i++) {
        io_turn(child_io, false);
    }
    CHILD_CHECK(child_accepted_count == 1); /* the one that fits */
    u8 byte;
    CHILD_CHECK(recv(clients[1], &byte, 1, 0) <= 0); /* the others were told */
    CHILD_CHECK(recv(clients[2], &byte, 1, 0) <= 0);
    CHILD_CHECK(recv(clients[0], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    /* Room again: service again. */
    close(clients[1]);
    close(clients[2]);
    int again = plain_connect(address.port);
    CHILD_CHECK(again >= 0);
    for (u32 i = 0; i < 10; i++) {
        io_turn(child_io, false);
    }
    CHILD_CHECK(child_accepted_count == 2);
    io_destroy(child_io);
    return 0;
}

static int rests_without_the_spare(void)
{
    struct io_linux_params params = {.files = IO_FILES_THREADS};
    CHILD_CHECK(io_linux_create(&params, &child_io) == OK);
    struct io_listener *listener = NULL;
    CHILD_CHECK(io_listen(child_io, "127.0.0.1", 0, child_accepted, NULL, &listener) == OK);
    struct io_address address;
    io_listener_address(listener, &address);
    int client = plain_connect(address.port);
    CHILD_CHECK(client >= 0);
    /* Somebody else took the spare one. */
    int thief = linux_of(child_io)->spare_fd;
    linux_of(child_io)->spare_fd = -1;
    CHILD_CHECK(limit_to_used(0) == 0);
    io_turn(child_io, false);
    u64 start_ns = io_clock_ns();
    u32 turns = 0;
    while (io_clock_ns() < start_ns + 350000000) {
        io_turn(child_io, true);
        turns++;
    }
    CHILD_CHECK(turns < 20); /* rested, did not spin */
    CHILD_CHECK(child_accepted_count == 0);
    close(thief);
    CHILD_CHECK(limit_to_used(16) == 0);
    for (u32 i = 0; i < 5 && child_accepted_count == 0; i++) {
        io_turn(child_io, true);
    }
    CHILD_CHECK(child_accepted_count == 1); /* the client that waited */
    CHILD_CHECK(linux_of(child_io)->spare_fd >= 0);
    io_destroy(child_io);
    return 0;
}

static void out_of_descriptors_refuses_and_goes_on(void **state)
{
    unit_in_child(refused_with_the_spare);
}

static void out_of_descriptors_without_a_spare_rests(void **state)
{
    unit_in_child(rests_without_the_spare);
}

#define SOCKET_TEST(name) cmocka_unit_test_setup_teardown(name, setup_threads, unit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(many_bytes_both_ways),
        SOCKET_TEST(half_closed_still_answers),
        SOCKET_TEST(nothing_is_read_that_is_not_wanted),
        SOCKET_TEST(interest_is_told_when_it_differs),
        SOCKET_TEST(a_socket_closed_in_this_turn_is_not_called),
        SOCKET_TEST(close_and_connect_again_in_a_handler),
        SOCKET_TEST(a_reset_is_a_hangup),
        SOCKET_TEST(sending_to_nobody_is_closed),
        SOCKET_TEST(connecting_to_nobody_is_a_hangup),
        SOCKET_TEST(addresses_are_what_peers_see),
        SOCKET_TEST(a_taken_or_foreign_address_is_refused),
        SOCKET_TEST(accepted_sockets_do_not_wait_to_send),
        SOCKET_TEST(a_listener_may_be_closed_by_its_own_call),
        SOCKET_TEST(what_is_open_goes_with_the_io),
        SOCKET_TEST(a_listener_that_is_not_wanted_lets_them_wait),
        SOCKET_TEST(out_of_descriptors_refuses_and_goes_on),
        SOCKET_TEST(out_of_descriptors_without_a_spare_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
