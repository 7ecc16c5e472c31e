/* The simulated network between clients of the workload and the broker's listener.

   A connection is two pipes of bounded room. Bytes sent become readable later, in pieces of any
   length; a pipe that is full takes less than it is offered, or nothing. Either side may close; a
   connection may be lost at any time (both sides learn it, what was under way is gone). With a
   broker that is not there connecting fails after a while.

   The broker's end is a struct io_sock (sim_io.c calls sim_net_sock_*), the client's end a sim_conn
   with callbacks, which run from events of the world, never inside a call. */
#pragma once

#include "io/io.h"
#include "sim/world.h"

struct sim_net;
struct sim_conn;

struct sim_net_knobs {
    u64 pipe_bytes;    /* room of each direction */
    u64 delay_ns;      /* usual time under way */
    u64 delay_rare_ns; /* now and then up to this */
    u32 split_per_256; /* how often a delivery is cut at a random byte */
    u64 lifetime_ns;   /* connections are lost at random, after about this long; 0: never */
};

struct sim_conn_handler {
    void (*connected)(void *user);
    void (*received)(void *user, const u8 *bytes, size_t len);
    void (*writable)(void *user); /* after a send took less than offered */
    void (*closed)(void *user);   /* refused, ended or lost; the conn is gone */
    void *user;
};

MUST_USE struct sim_net *sim_net_create(struct world *w, const struct sim_net_knobs *knobs);
void sim_net_destroy(struct sim_net *net);
/* No more losses and stalls from here on. */
void sim_net_heal(struct sim_net *net);

/* ---- client's end ---------------------------------------------------------------------------- */

struct sim_conn *sim_net_connect(struct sim_net *net, const struct sim_conn_handler *handler);
size_t sim_conn_send(struct sim_conn *c, const u8 *bytes, size_t len); /* taken: a prefix */
void sim_conn_read(struct sim_conn *c, bool on);                       /* off: let bytes pile up */
void sim_conn_close(struct sim_conn *c); /* closed() is not called; c is gone */

/* ---- broker's end ---------------------------------------------------------------------------- */

void sim_net_listen(struct sim_net *net, struct io *io,
                    void (*accepted)(void *user, struct io_sock *s), void *user);
void sim_net_unlisten(struct sim_net *net);
/* Off: who connects now fails, as behind a full queue. */
void sim_net_listener_want(struct sim_net *net, bool on);
/* The broker is gone: its sockets too, the clients learn it. */
void sim_net_broker_gone(struct sim_net *net);

bool sim_net_ready(const struct sim_net *net); /* would sim_net_dispatch call somebody? */
/* Calls each handler whose event holds once, in random order. Stops when *stop becomes true. */
void sim_net_dispatch(struct sim_net *net, const bool *stop);
void sim_net_sock_handle(struct io_sock *s, io_sock_fn fn, void *user);
void sim_net_sock_want(struct io_sock *s, u32 events);
i64 sim_net_sock_recv(struct io_sock *s, void *buf, size_t len);
i64 sim_net_sock_send(struct io_sock *s, const struct io_vec *vecs, u32 count);
void sim_net_sock_shutdown(struct io_sock *s);
void sim_net_sock_close(struct io_sock *s);
u32 sim_net_sock_number(const struct io_sock *s);
