/* One connection: bytes in, frames out to handlers, answers back in order. Only conn.c, reply.c and request.c look inside.

   Receiving. A connection holds a receive blob only while unparsed or referenced bytes are in it. No blob to be had, no
   request slot, or too many unanswered requests: the socket is not read. That is the back-pressure.

   How it ends: conn_close frees the connection and its requests at once; a parked handler is told by request->cancelled. */
#pragma once

#include "broker/request.h"

enum {
    CONN_REQUESTS_MAX = 128,            /* unanswered, per connection */
    CONN_RECEIVE_BYTES = 128 * 1024,    /* usual receive blob */
    CONN_SEND_TURN_BYTES = 4 << 20,     /* what one connection may send per turn */
};

struct conn {
    struct list_node node;         /* broker->conns */
    struct list_node dirty_node;   /* broker->dirty_conns */
    struct list_node starved_node; /* broker->starved_conns: waits for memory, a slot or its turn */
    struct broker *broker;
    struct io_sock *sock;
    struct blob *blob;
    size_t start; /* unparsed bytes: blob->data[start .. end) */
    size_t end;
    struct list requests; /* in order of arrival */
    u32 request_count;
    u32 events;           /* what we asked the border to report */
    u64 progress_ns;      /* when bytes last arrived or left */
    bool input_done;      /* end of stream, or a request that closes: nothing more is parsed */
    bool blocked;         /* a request that must be answered before the next is started */
    bool want_send;       /* the socket refused bytes: wait for WRITABLE */
};

void conn_close(struct conn *c);
void conn_dirty(struct conn *c);  /* has an answer to send: flushed at the end of the turn */
void conn_resume(struct conn *c); /* parse again in the next turn: something it waited for is there */
void conn_watch_stall(struct conn *c); /* the sweep looks at it from now on */
void conn_request_gone(struct request *r); /* unlink and free an answered request */

/* request.c: decodes header and body and finds the handler; NULL: *why says what was wrong. An ApiVersions of a version we do
   not know gets the handler all the same (it answers in version 0). */
handler_fn request_decode(struct request *r, struct slice frame, const char **why);
void request_free(struct request *r);

/* reply.c: sends what is ready. false: the connection broke. */
MUST_USE bool conn_send(struct conn *c);
/* A stalled reader gives its cold read buffer back; the bytes are read again when the socket drains. */
void conn_give_back_loads(struct conn *c);
