/* Inside the broker: what the handlers share. Only src/broker includes this. */
#pragma once

#include "broker/broker.h"

struct conn;
struct request;

/* Shares of the memory budget, sixteenths of it in all. */
struct memory {
    struct quota root;
    struct quota log; /* 11: WAL chunks (hot_bytes, 7), cold reads (cold_bytes, 2), the read index
                         (the rest) */
    struct quota receive;  /* 3: receive buffers */
    struct quota requests; /* 2: decoded requests, answers, waiters, fetch sessions */
    u64 hot_bytes;
    u64 cold_bytes;
};

struct connections_walk;
struct coordinator;
struct fetch_sessions;
struct traffic;

/* One place where clients come in. */
struct broker_listener {
    struct broker *broker;
    struct io_listener *listener; /* NULL: closed */
    struct io_address address;    /* where we listen */
    struct config_listener config;
};

struct broker {
    struct broker_params params;
    struct io *io;
    struct config *config;
    struct memory memory;
    struct home *home;
    struct log *log;
    struct cluster *cluster;
    struct broker_listener listeners[CONFIG_LISTENERS_MAX];
    u32 listener_count;        /* 0: not listening yet, or no more */
    struct io_address address; /* of the first, also when it is closed */
    char http_address[80];     /* HOST:PORT of the port that does speak HTTP; "": none */

    struct list conns;
    u32 conn_count;
    struct list active_conns; /* the same, least recently active first */
    struct io_timer idle_timer;
    struct map_slice peers; /* by host: struct conn_peer, of those that have connections */
    struct pool peer_pool;
    u64 accept_clock_ns; /* max.connection.creation.rate, see conn_limits.c */
    struct io_timer accept_timer;
    bool accept_paused;
    struct list dirty_conns;     /* have something to send this turn */
    struct io_timer go_on_timer; /* makes the next turn: some have more to send, see conns_flush */
    u64 send_bytes;              /* what a connection may send in this turn */
    u64 bulk_left;               /* what those with large answers may still send together */
    u64 small_until_ns;          /* until then small ones are expected */
    struct list starved_conns;   /* wait for receive memory, first come first served */
    struct io_hook conn_hook;
    struct blob_pool receive_pool;
    u32 receive_kept;            /* free ones; more are kept for a while after a crowd */
    u64 crowd_ns;                /* when more were last taken at once */
    struct blob_pool large_pool; /* receive blobs of large frames, CONN_LARGE_BYTES */
    u64 large_used_ns;           /* when one was last taken */
    struct pool request_pool;
    struct pool conn_pool;
    struct io_timer sweep_timer; /* while a frame is half received or sent, or a blob is kept */
    u64 sweep_due_ns;
    u32 loads_waiting; /* answers whose bytes are being read from the disk, or wait for a buffer */
    struct io_timer resume_timer; /* next turn: parse again where something was waited for */
    u64 receive_ordinary_bytes;   /* of the receive memory; the rest is the grower's, see conn.c */
    struct conn *grower;          /* NULL: nobody */
    i32 request_bytes_max; /* socket.request.max.bytes, at most what the reserve has room for */

    struct decompressor scratch; /* the loop's, for small compressed batches */
    struct list jobs;            /* struct broker_job: batches on a worker */

    struct coordinator *coordinator;
    struct traffic *traffic;                   /* counters by topic and by request */
    struct connections_walk *connections_walk; /* the HTTP port's; NULL: it has none */

    enum diag_level log_level; /* odradek.log.level, as last followed; see loggers.c */

    struct retention *retention; /* NULL while the broker starts and stops */

    struct fetch_sessions *fetch_sessions;
    struct list parked_fetches;
    struct list ready_waiters; /* parked fetches whose partitions moved */
    struct io_hook waiter_hook;

    struct io_timer drain_timer;
    u64 drain_deadline_ns;
    bool stopping;
    bool log_drained;
    bool fenced;
    enum diag_code reason_code;
    const char *reason_what;
    const char *reason_next;
    char reason[1024];
};

/* conn.c */
void conn_accepted(void *broker_listener, struct io_sock *sock);
void conns_close_all(struct broker *b);
void conns_flush(struct broker *b);
void conns_resume(struct io_timer *resume_timer);
void conns_go_on(struct io_timer *go_on_timer);
void conns_sweep(struct io_timer *sweep_timer);
void conns_blobs_trim(struct broker *b);                /* memory is wanted elsewhere */
void conns_expire_idle(struct io_timer *idle_timer);    /* conn_limits.c */
void conns_accept_again(struct io_timer *accept_timer); /* conn_limits.c */
void conns_stop_reading(struct broker *b);
u32 conns_busy(const struct broker *b); /* requests not answered yet */

/* server.c: what does not read the configuration where it uses it. At the start, and after every
   change. */
void settings_follow(struct broker *b);

/* Work on a worker that outlives who asked for it. Whoever puts one into broker->jobs takes it out
   when it is done; drop() comes instead when the broker goes first, and ends the work. */
struct broker_job {
    struct list_node node;
    void (*drop)(struct broker_job *job);
};
/* What a worker may decompress into: a batch at its cap, and a window; of a small budget a quarter,
   from whichever share leaves it unused. */
u64 broker_decompress_bytes(const struct broker *b);

/* fetch.c: parked fetches whose partitions moved, once per turn. */
void fetch_waiters_run(struct broker *b);
void fetch_waiters_expire(struct broker *b); /* at stop: answer all now */

/* fetch_session.c */
struct fetch_sessions *fetch_sessions_create(struct broker *b);
void fetch_sessions_destroy(struct fetch_sessions *s);
