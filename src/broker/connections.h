/* Who is connected: what a connection tells of its client, and the list of all of them for the HTTP
   port's /api/v1/clients.

   The loop walks its connections a piece a turn (connections_list), as facts_collect.c does, and
   copies what it finds into a listing; the HTTP thread makes JSON of it (connections_text) and
   frees it. */
#pragma once

#include "broker/request.h"

enum {
    CLIENT_TEXT_BYTES_MAX = 128,    /* of an id, a name, a version: the rest is cut off */
    CONNECTIONS_LISTED_MAX = 20000, /* what there is beyond is counted */
};

/* What a client said of itself, as it said it; one block of memory per connection. */
struct conn_client {
    u8 id_bytes;
    u8 software_bytes;
    u8 version_bytes;
    u8 group_bytes; /* of the group whose member it was last, until it left */
    u8 texts[];     /* one after the other */
};

/* conn.c: the handler is about to get it. */
void connection_note(struct request *r);
/* conn.c: it is being closed. */
void connection_forget(struct conn *c);

struct connection_row {
    struct connection_row *next;
    struct slice host;
    u16 port;
    struct slice listener;
    struct slice client_id; /* these four empty: it did not say, or is in no group */
    struct slice software;
    struct slice version;
    struct slice group;
    const struct api_row *last_api; /* NULL: no request yet */
    i64 since_ms;
    u64 idle_ms; /* since bytes last came or left */
    u64 requests;
    u32 unanswered;
    u64 bytes_in;
    u64 bytes_out;
};
struct connections {
    struct arena arena; /* everything below lives here */
    i64 wall_ms;
    struct connection_row *first;
    struct connection_row *last;
    u32 count;
    u32 left_out;
};
void connections_destroy(struct connections *list); /* on any thread */

/* At most one at a time. done() comes in a later turn, with a list that is the caller's. */
struct connections_walk;
#define CONNECTIONS_PIECE_NS (500ull * 1000) /* so long it works in a turn */
MUST_USE struct connections_walk *connections_walk_create(struct broker *b, u64 piece_ns);
void connections_walk_destroy(struct connections_walk *w); /* what is under way is dropped */
void connections_list(struct connections_walk *w,
                      void (*done)(void *user, struct connections *list), void *user);

/* JSON; the caller frees it (mem_free). */
char *connections_text(const struct connections *list, size_t *len);
