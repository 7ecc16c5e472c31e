/* Inside the broker: what the handlers share. Only src/broker includes this. */
#pragma once

#include "broker/broker.h"

struct conn;
struct request;

/* Shares of the memory budget. */
struct memory {
    struct quota root;
    struct quota wal;      /* WAL chunks: open, in flight, hot cache */
    struct quota receive;  /* receive buffers */
    struct quota cold;     /* cold read buffers */
    struct quota requests; /* decoded requests, answers, waiters, fetch sessions */
};

struct fetch_sessions;

struct broker {
    struct broker_params params;
    struct io *io;
    const struct config *config;
    struct memory memory;
    struct home *home;
    struct log *log;
    struct cluster *cluster;
    struct io_listener *listener;
    struct io_address address; /* where we listen */

    struct list conns;
    u32 conn_count;
    struct list dirty_conns;   /* have something to send this turn */
    struct list starved_conns; /* wait for receive memory, first come first served */
    struct io_hook conn_hook;
    struct blob_pool receive_pool;
    struct pool request_pool;
    struct pool conn_pool;
    struct io_timer sweep_timer; /* runs only while a partial frame is pending */

    struct fetch_sessions *fetch_sessions;
    struct list ready_waiters; /* parked fetches whose partitions moved */
    struct io_hook waiter_hook;

    bool stopping;
    bool log_drained;
    bool fenced;
    char reason[1024];
};

/* conn.c */
void conn_accepted(void *broker, struct io_sock *sock);
void conns_close_all(struct broker *b);
void conns_flush(struct broker *b);
u32 conns_busy(const struct broker *b); /* requests not answered yet */

/* request of a topic by the name or id in a message; NULL: unknown */
const struct meta *broker_meta(const struct broker *b);
