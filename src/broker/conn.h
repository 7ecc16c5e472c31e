/* One connection: bytes in, frames out to handlers, answers back in order. Only conn.c, reply.c and
   request.c look inside.

   Receiving. A connection holds a receive blob only while unparsed or referenced bytes are in it;
   the few bytes of a frame that has just begun wait in a stash of their own size, and a blob grows
   with the bytes that came, not with those that were announced. No blob to be had, no request slot,
   too many unanswered requests or unsent answers: the socket is not read. That is the
   back-pressure.

   How it ends: conn_close frees the connection and its requests at once; a parked handler is told
   by request->cancelled. */
#pragma once

#include "broker/request.h"

enum {
    CONN_REQUESTS_MAX = 128,         /* unanswered, per connection */
    CONN_RECEIVE_BYTES = 128 * 1024, /* usual receive blob */
    CONN_LARGE_BYTES =
        (1 << 20) + 16 * 1024,      /* of a large frame: the largest usual batch, and its request */
    CONN_SEND_TURN_BYTES = 4 << 20, /* what one connection may send per turn */
    CONN_SMALL_BYTES = 128 * 1024,  /* a larger answer is bulk */
    CONN_BULK_TURN_BYTES =
        256 * 1024,          /* what all bulk may send together per turn beside small answers */
    CONN_STASH_BYTES = 4096, /* so few bytes of a frame wait outside the receive pool */
    CONN_UNSENT_BYTES_MAX =
        256 * 1024, /* of encoded answers; above, no further request is started */
};

struct conn {
    struct list_node node;         /* broker->conns */
    struct list_node active_node;  /* broker->active_conns, by active_ns */
    struct list_node dirty_node;   /* broker->dirty_conns */
    struct list_node starved_node; /* broker->starved_conns: waits for memory, a slot or its turn */
    struct broker *broker;
    const struct broker_listener *listener; /* where it came in */
    struct io_sock *sock;
    struct conn_peer *peer;     /* whom it is counted for */
    u64 active_ns;              /* when bytes last came, or left */
    struct conn_client *client; /* what it said of itself, see connections.h */
    const struct api_row *last_api;
    i64 since_ms;
    u64 request_total;
    u64 sent_bytes;
    struct blob *blob;
    size_t start; /* unparsed bytes: blob->data[start .. end) */
    size_t end;
    u8 *stash; /* then there is no blob, and the beginning of a frame is here */
    u32 stash_bytes;
    u32 request_count;
    struct list requests; /* in order of arrival */
    u64 unsent_bytes;     /* encoded answers that have not left */
    u32 events;           /* what we asked the border to report */
    u64 progress_ns;      /* when bytes last left, or could have */
    u64 answer_bytes;     /* that left of the answer that is leaving */
    u64 received_bytes;
    u64 mark_ns; /* since then a frame is on its way, less than FRAME_RATE_BYTES of it received */
    u64 mark_bytes;   /* received_bytes at that time */
    u64 starved_ns;   /* since then it waits for memory; 0: it does not */
    u64 decode_bytes; /* memory that a request wanted when there was none; 0: not known */
    bool
        input_done; /* a request that closes, or bytes that make no sense: nothing more is parsed */
    bool input_ended; /* end of stream: what was received is still answered */
    bool blocked;     /* a request that must be answered before the next is started */
    bool want_send;   /* the socket refused bytes: wait for WRITABLE */
    bool bulk;        /* its last answer was, or what left of this one is */
};

/* An address that has connections. */
struct conn_peer {
    char host[64];
    u32 count;
};

void conn_close(struct conn *c);
void conn_dirty(struct conn *c); /* has an answer to send: flushed at the end of the turn */
void conn_go_on(struct conn *c); /* has more to send than it may in this turn: the next one */
void conn_resume(
    struct conn *c); /* parse again in the next turn: something it waited for is there */
void conn_watch_stall(struct conn *c);     /* the sweep looks at it from now on */
void conn_request_gone(struct request *r); /* unlink and free an answered request */
void conn_bad_request(struct conn *c, const struct request *r,
                      const char *why); /* the diagnostic line */

/* conn_limits.c */
/* Counts one more connection of this address; NULL: it is one too many, and that has been said. */
struct conn_peer *conn_peer_admit(struct broker *b, const struct io_address *address);
void conn_peer_leave(struct broker *b, struct conn_peer *p);
void conn_refused_no_memory(const struct io_address *address);
void conn_touch(struct conn *c);         /* bytes came or left */
void conns_rate_count(struct broker *b); /* one was accepted */
void conns_limit(struct broker *b);      /* pauses accepting, or goes on with it */
void conns_limit_turn(struct broker *b); /* the same, and closes what is over the limit */
/* Can max.connections.per.ip.overrides be read? false: *wrong is the entry that cannot. */
bool conn_overrides_valid(struct slice list, struct slice *wrong);

/* request.c: decodes header and body and finds the handler; NULL: *why says what was wrong, and
   r->arena.exhausted whether it was memory. An ApiVersions of a version we do not know gets the
   handler all the same (it answers in version 0). */
handler_fn request_decode(struct request *r, struct slice frame, const char **why);
void request_free(struct request *r);

/* reply.c: sends what is ready, as much as it may in this turn. false: the connection broke. */
MUST_USE bool conn_send(struct conn *c);
/* A stalled reader gives its cold read buffer back; the bytes are read again when the socket
 * drains. */
void conn_give_back_loads(struct conn *c);
