/* Fetch sessions (KIP-227): what a consumer wants, kept between its fetches, so that a request
   lists only changes and an answer only news. Capped by bytes: above the cap a full fetch is
   answered with session id 0, which is always legal. */
#pragma once

#include "broker/request.h"

/* One partition that is wanted. In a session, or in the request's arena for a fetch without one. */
struct fetch_item {
    struct list_node node; /* in the order they are served */
    struct uuid topic_id;  /* v13+ */
    struct slice topic;    /* v12-; ptr NULL when by id */
    i32 partition;
    i32 max_bytes;
    i64 offset;
    i32 leader_epoch;
    i32 last_fetched_epoch;
    i64 sent_high_watermark; /* -1: nothing sent yet */
    i64 sent_log_start;
};

struct fetch_session {
    struct list_node node; /* least recently used first */
    i32 id;
    i32 epoch; /* expected next */
    bool by_id;
    bool in_use; /* a fetch of it is parked: not evicted */
    struct list items;
    struct map_slice items_by_key;
    u64 used_ns;
    u64 bytes; /* charged */
};

/* NULL: there is none. */
struct fetch_session *fetch_session_find(struct fetch_sessions *s, i32 id);

/* What a request means. kerr: NONE, or the error for the whole answer. */
struct fetch_context {
    i16 kerr;
    struct fetch_session *session; /* NULL: sessionless, items in the arena */
    bool incremental;              /* the answer lists only news */
    struct list *items;
    struct list own_items;
    i32 answer_session_id;
};
/* false: the arena is full. */
MUST_USE bool fetch_context_open(struct request *r, const struct fetch_request *q,
                                 struct fetch_context *out);
void fetch_context_close(struct fetch_context *c); /* the session may be evicted again */
