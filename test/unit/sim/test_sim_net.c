/* Bytes come out of a simulated connection as they went in, whole and in order, however they are
   cut, delayed and held up; a connection that is lost is lost for both sides, and a broker that is
   not there is refused. */
#include "../unit.h"

#include "sim/sim_net.h"

enum { SEEDS = 60, BYTES = 50000 };

struct fixture {
    struct world world;
    struct sim_net *net;
    struct io io; /* only its address is used */
    struct sim_conn *conn;
    struct io_sock *sock;
    u8 data[BYTES];
    size_t client_sent;
    size_t client_got;
    size_t broker_sent;
    size_t broker_got;
    bool connected;
    bool client_closed;
    bool broker_closed;
};

static void client_push(struct fixture *f)
{
    if (f->client_sent < BYTES) {
        f->client_sent += sim_conn_send(f->conn, f->data + f->client_sent, BYTES - f->client_sent);
    }
}

static void on_connected(void *user)
{
    struct fixture *f = user;
    f->connected = true;
    client_push(f);
}

static void on_received(void *user, const u8 *bytes, size_t len)
{
    struct fixture *f = user;
    assert_true(f->client_got + len <= f->broker_sent);
    assert_memory_equal(bytes, f->data + f->client_got, len);
    f->client_got += len;
}

static void on_writable(void *user)
{
    client_push(user);
}

static void on_closed(void *user)
{
    struct fixture *f = user;
    f->client_closed = true;
    f->conn = NULL;
}

static void sock_event(void *user, u32 events)
{
    struct fixture *f = user;
    if ((events & IO_HANGUP) != 0) {
        f->broker_closed = true;
        sim_net_sock_close(f->sock);
        return;
    }
    if ((events & IO_READABLE) != 0) {
        u8 piece[1024];
        i64 got = sim_net_sock_recv(f->sock, piece, sizeof piece);
        assert_true(got != -(i64)ERR_AGAIN); /* it was said to be readable */
        if (got == 0) {
            f->broker_closed = true;
            sim_net_sock_close(f->sock);
            return;
        }
        assert_memory_equal(piece, f->data + f->broker_got, (size_t)got);
        f->broker_got += (size_t)got;
    }
    if ((events & IO_WRITABLE) != 0 && f->broker_sent < BYTES) {
        const struct io_vec vecs[] = {
            {f->data + f->broker_sent, (BYTES - f->broker_sent + 1) / 2},
            {f->data + f->broker_sent + (BYTES - f->broker_sent + 1) / 2,
             (BYTES - f->broker_sent) / 2},
        };
        i64 sent = sim_net_sock_send(f->sock, vecs, vecs[1].len > 0 ? 2 : 1);
        assert_true(sent > 0);
        f->broker_sent += (size_t)sent;
    }
    sim_net_sock_want(f->sock, f->broker_sent < BYTES ? IO_READABLE | IO_WRITABLE : IO_READABLE);
}

static void on_accepted(void *user, struct io_sock *s)
{
    struct fixture *f = user;
    f->sock = s;
    sim_net_sock_handle(s, sock_event, f);
    sim_net_sock_want(s, IO_READABLE | IO_WRITABLE);
}

static struct fixture *fixture_create(u64 seed, u64 lifetime_ns)
{
    struct fixture *f = mem_alloc(sizeof *f);
    world_init(&f->world, seed, false);
    const struct sim_net_knobs knobs = {
        .pipe_bytes = seed % 2 == 0 ? 700 : 64 * KIB,
        .delay_ns = 100 * SIM_US,
        .delay_rare_ns = 5 * SIM_MS,
        .split_per_256 = 64,
        .lifetime_ns = lifetime_ns,
    };
    f->net = sim_net_create(&f->world, &knobs);
    rng_fill(&f->world.rng, f->data, sizeof f->data);
    return f;
}

static void fixture_destroy(struct fixture *f)
{
    sim_net_destroy(f->net);
    world_fini(&f->world);
    mem_free(f);
}

static void connect(struct fixture *f)
{
    const struct sim_conn_handler handler = {
        .connected = on_connected,
        .received = on_received,
        .writable = on_writable,
        .closed = on_closed,
        .user = f,
    };
    f->conn = sim_net_connect(f->net, &handler);
}

static void turns(struct fixture *f, u32 count)
{
    bool stop = false;
    for (u32 i = 0; i < count; i++) {
        world_run(&f->world, 50 * SIM_US);
        sim_net_dispatch(f->net, &stop);
    }
}

static void test_bytes_arrive(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture *f = fixture_create(seed, 0);
        sim_net_listen(f->net, &f->io, on_accepted, f);
        connect(f);
        turns(f, 20);
        if (f->conn != NULL && f->connected && seed % 3 == 0) {
            sim_conn_read(f->conn,
                          false); /* a client that does not read holds the broker up, and no more */
            turns(f, 500);
            assert_true(f->broker_sent <= f->client_got + (seed % 2 == 0 ? 700 : 64 * KIB));
            sim_conn_read(f->conn, true);
        }
        for (u32 i = 0; i < 100 && (f->client_got < BYTES || f->broker_got < BYTES); i++) {
            turns(f, 200);
        }
        assert_int_equal(f->broker_got, BYTES);
        assert_int_equal(f->client_got, BYTES);
        sim_conn_close(f->conn);
        turns(f, 200);
        assert_true(f->broker_closed);
        assert_false(f->client_closed); /* who closes is not told */
        fixture_destroy(f);
    }
}

static void test_loss(void **state)
{
    (void)state;
    u32 cut_short = 0;
    for (u64 seed = 0; seed < SEEDS; seed++) {
        struct fixture *f = fixture_create(seed, 5 * SIM_MS);
        sim_net_listen(f->net, &f->io, on_accepted, f);
        connect(f);
        turns(f, 20000);
        assert_true(f->client_closed);
        assert_true(f->broker_closed);
        cut_short += f->broker_got < f->client_sent;
        fixture_destroy(f);
    }
    assert_true(cut_short > 0);
}

static void test_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(1, 0);
    connect(f);
    turns(f, 1000);
    assert_true(f->client_closed);
    assert_false(f->connected);
    fixture_destroy(f);
}

static void test_broker_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(1, 0);
    sim_net_listen(f->net, &f->io, on_accepted, f);
    connect(f);
    turns(f, 50);
    assert_true(f->connected);
    sim_net_broker_gone(f->net);
    turns(f, 1000);
    assert_true(f->client_closed);
    assert_false(f->broker_closed); /* nobody is there to be told */
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_arrive),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_broker_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
