/* A client's connection: requests out, answers in, in order, as the protocol has it. Below
   producers, consumers and the admin of the workload. Connects again by itself after a while; what
   was in flight fails then, and the owner decides. */
#pragma once

#include "sim/sim_net.h"
#include "wire/wire.h"

struct client;
struct call;

struct client_handler {
    void (*connected)(void *user); /* also after a loss: sessions are gone */
    void *user;
};

/* A request in flight. Lives in its owner, idle again when done() is entered. */
struct call {
    struct list_node node;
    /* body: of the answer. ERR_CLOSED: the connection was lost, or the client gave up waiting:
     * perhaps it happened. */
    void (*done)(struct call *call, err_t result, struct slice body);
    const struct api_row *api;
    i16 version;
    i32 correlation_id;
    u64 sent_ns;
};

struct client {
    struct world *world;
    struct sim_net *net;
    char name[32];
    struct client_handler handler;
    struct sim_conn *conn; /* NULL: not connected */
    bool up;
    bool stopped;
    u64 timeout_ns;
    i32 next_correlation;
    struct list calls;
    struct growing_buffer out; /* not taken by the connection yet */
    size_t out_at;
    struct growing_buffer in;
    struct arena arena; /* of one request being built */
    struct world_event retry;
    struct world_event watch; /* has the oldest call waited too long? */
    struct world_event resume;
    u64 answers;
    u64 losses;
};

void client_init(struct client *c, struct world *w, struct sim_net *net, const char *name,
                 u64 timeout_ns, const struct client_handler *handler);
void client_fini(struct client *c);
bool client_up(const struct client *c);
/* Only while up. */
void client_send(struct client *c, struct call *call, i16 api_key, i16 version, const void *request,
                 void (*done)(struct call *call, err_t result, struct slice body));
/* As client_send, but no answer will come (Produce with acks 0). */
void client_send_silent(struct client *c, i16 api_key, i16 version, const void *request);
u32 client_in_flight(const struct client *c);
/* Reads nothing for that long: a slow client. */
void client_stall(struct client *c, u64 duration_ns);
/* Gives up the connection; calls end with ERR_CLOSED; connects again later unless `stop`. */
void client_drop(struct client *c, bool stop);
/* Connects again after a drop with `stop`. */
void client_restart(struct client *c);
