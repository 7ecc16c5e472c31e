/* One request, from decoded bytes to the last byte of its answer. Lives in the broker's pool; made
   by conn.c, given to the handler of its row in handlers.def, freed by conn.c when its answer has
   left (or the connection is gone).

   A handler either answers before it returns (request_reply, ...) or parks: it sets r->cancelled
   and keeps r. Exactly one of request_reply, request_reply_none, request_fail must come for each
   request, unless cancelled() was called. Answers leave in the order of requests, whatever the
   order of replies. */
#pragma once

#include "broker/server.h"

enum request_state { REQUEST_RUNNING, REQUEST_READY };

/* A piece of an answer: encoded bytes, or a range of the log. */
struct reply_part {
    const u8 *data; /* NULL: range */
    u32 bytes;
    u32 sent;
    struct log_range range;
};

struct request {
    struct list_node node; /* conn->requests */
    struct conn *conn;
    struct broker *broker;
    const struct api_row *api; /* NULL until the header is decoded */
    i16 version;
    i16 api_key;
    i32 correlation_id;
    struct slice client_id; /* points into the frame: gone after request_release_frame */
    struct arena arena;     /* until the answer has left */
    struct blob *frame;     /* holds the bytes that `body` points into */
    void *body;             /* decoded: struct <api>_request */
    enum request_state state;
    bool close_after; /* close the connection once everything before and this has been sent */
    bool no_answer;
    bool started; /* the handler has it */
    u64 started_ns;
    u64 ready_ns; /* since then the answer is known */

    u64 encoded_bytes; /* of the answer, without ranges of the log */
    struct reply_part *parts;
    u32 part_count;
    u32 part_index;       /* first not fully sent */
    struct log_load load; /* cold bytes of the current part */
    enum { LOAD_NONE, LOAD_WAITING, LOAD_READY, LOAD_FAILED } load_state;
    u32 load_from; /* where in the part the load starts: a batch boundary */

    struct log_whole_waiter whole; /* held back until the log is */
    void (*handler)(struct request *r);
    void (*cancelled)(
        struct request *r); /* the connection is gone: unlink everything, call nothing */
    void *state_of_handler;
    void *kept; /* the handler's, beside the state of what it waits with */
};

typedef void (*handler_fn)(struct request *r);
#define HANDLER(key, function) void function(struct request *r);
#include "broker/handlers.def"
#undef HANDLER

/* The answer struct of the API (from wire/schema), filled by the handler; encoded before this
   returns. */
void request_reply(struct request *r, const void *response);
/* The same; errors get the catalogue's codes into their messages (error_texts.c). */
void request_reply_explained(struct request *r, void *response);
/* Same, for answers whose records fields are holes: hole i is filled with ranges[i] ... in
   order. */
struct reply_hole {
    struct log_range *ranges;
    u32 range_count;
};
void request_reply_holes(struct request *r, const void *response,
                         const struct reply_hole *holes); /* by hole_id */
/* ApiVersions' answer to a version we do not know. */
void request_reply_version(struct request *r, i16 version, const void *response);
/* acks=0: no answer at all. */
void request_reply_none(struct request *r);
/* Closes the connection without an answer (after those before it). */
void request_fail(struct request *r);

/* No later request of this connection is started until this one is answered or unblocks (order of
 * appends). */
void request_block(struct request *r);
void request_unblock(struct request *r);

/* A parked request that has taken what it needs gives its receive buffer back. body and client_id
   are gone then. */
void request_release_frame(struct request *r);

/* What the client connected to, or advertised.listeners: host points into arena or config. */
void request_advertised(struct request *r, struct slice *host, i32 *port);

/* NULL when the arena is full: the handler answers with an error or fails the request. */
void *request_alloc(struct request *r, size_t bytes);

/* Topic by name (versions below the id switch) or by id; kerr says UNKNOWN_TOPIC_OR_PARTITION or
   UNKNOWN_TOPIC_ID. */
const struct meta_topic *request_topic(struct request *r, struct slice name, struct uuid id,
                                       bool by_id, i16 *kerr);

/* One of Kafka's internal topics, by its mark or by its name. */
bool topic_is_internal(const struct meta_topic *t);

/* FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH or KERR_NONE for the epoch a client believes in (-1:
   none). */
i16 request_check_epoch(const struct request *r, const struct meta_topic *t, i32 asked);

/* Does this broker serve the API (has handlers.def a row)? */
bool broker_serves(i16 api_key);

/* Version 6 (two-phase commit) is unstable in Kafka 4.4 and not advertised. */
enum { INIT_PRODUCER_ID_VERSION_MAX = 5 };
