/* Requests and answers over a simulated connection (client.h). */
#include "sim/client.h"

#include <stdio.h>
#include <string.h>

static void client_connect(struct client *c);

static void retry_later(struct client *c)
{
    if (!c->stopped) {
        world_start(c->world, &c->retry, chance_between(c->world, 1 * SIM_MS, 100 * SIM_MS));
    }
}

/* Calls end in the order they were sent; their owners may not send from here: the client is down.
 */
static void calls_fail(struct client *c)
{
    struct list calls;
    list_init(&calls);
    list_splice(&calls, &c->calls);
    for (struct list_node *n = list_pop_front(&calls); n != NULL; n = list_pop_front(&calls)) {
        struct call *call = CONTAINER_OF(n, struct call, node);
        call->done(call, ERR_CLOSED, (struct slice){0});
    }
}

static void client_down(struct client *c)
{
    c->conn = NULL;
    c->up = false;
    c->losses++;
    c->out.len = 0;
    c->out_at = 0;
    c->in.len = 0;
    world_stop(c->world, &c->watch);
    world_stop(c->world, &c->resume);
    calls_fail(c);
    retry_later(c);
}

/* ---- out ------------------------------------------------------------------------------------- */

static void client_push(struct client *c)
{
    size_t left = c->out.len - c->out_at;
    if (left > 0) {
        c->out_at += sim_conn_send(c->conn, c->out.ptr + c->out_at, left);
    }
    if (c->out_at == c->out.len) {
        c->out.len = 0;
        c->out_at = 0;
    }
}

static void watch_start(struct client *c)
{
    struct list_node *first = list_first(&c->calls);
    if (first != NULL && !heap_linked(&c->watch.node)) {
        u64 due_ns = CONTAINER_OF(first, struct call, node)->sent_ns + c->timeout_ns;
        world_start(c->world, &c->watch, due_ns > c->world->now_ns ? due_ns - c->world->now_ns : 0);
    }
}

static void request_send(struct client *c, const struct api_row *api, i16 version, i32 correlation,
                         const void *request)
{
    assert(c->up);
    struct slice frame;
    err_t e = request_frame_build(api, version, correlation, slice_cstr(c->name), request,
                                  &c->arena, &frame);
    assert(e == OK);
    e = growing_buffer_append(&c->out, frame.ptr, frame.len);
    assert(e == OK);
    (void)e;
    arena_reset(&c->arena);
    world_say(c->world, "%-6s #%d %s v%d, %zu bytes", c->name, correlation, api->kafka_name,
              version, frame.len);
    client_push(c);
}

void client_send(struct client *c, struct call *call, i16 api_key, i16 version, const void *request,
                 void (*done)(struct call *call, err_t result, struct slice body))
{
    *call = (struct call){
        .done = done,
        .api = api_find(api_key),
        .version = version,
        .correlation_id = c->next_correlation++,
        .sent_ns = c->world->now_ns,
    };
    list_push_back(&c->calls, &call->node);
    request_send(c, call->api, version, call->correlation_id, request);
    watch_start(c);
}

void client_send_silent(struct client *c, i16 api_key, i16 version, const void *request)
{
    request_send(c, api_find(api_key), version, c->next_correlation++, request);
}

u32 client_in_flight(const struct client *c)
{
    u32 count = 0;
    for (const struct list_node *n = c->calls.head.next; n != &c->calls.head; n = n->next) {
        count++;
    }
    return count;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* One whole answer. The client may be down or dropped afterwards. */
static void answer(struct client *c, struct slice frame)
{
    struct list_node *first = list_first(&c->calls);
    if (first == NULL) {
        world_fail(c->world, "answers in order", "%s got an answer that nothing asked for",
                   c->name);
        return;
    }
    struct call *call = CONTAINER_OF(first, struct call, node);
    i32 correlation_id;
    struct slice body;
    err_t e = response_frame_parse(call->api, call->version, frame, &correlation_id, &body);
    if (e != OK || correlation_id != call->correlation_id) {
        world_fail(c->world, "answers in order", "%s waits for #%d (%s) and got #%d (%s)", c->name,
                   call->correlation_id, call->api->kafka_name, correlation_id, err_name(e));
        return;
    }
    list_remove(&call->node);
    world_stop(c->world, &c->watch);
    watch_start(c);
    c->answers++;
    world_say(c->world, "%-6s #%d answered, %zu bytes", c->name, correlation_id, body.len);
    call->done(call, OK, body);
}

static void on_received(void *user, const u8 *bytes, size_t len)
{
    struct client *c = user;
    err_t e = growing_buffer_append(&c->in, bytes, len);
    assert(e == OK);
    (void)e;
    size_t at = 0;
    struct sim_conn *conn = c->conn;
    while (c->conn == conn && c->in.len - at >= 4) {
        size_t frame_len = load_be32(c->in.ptr + at);
        if (c->in.len - at - 4 < frame_len) {
            break;
        }
        answer(c, slice_of(c->in.ptr + at + 4, frame_len));
        at += 4 + frame_len;
    }
    if (c->conn == conn && at > 0) {
        memmove(c->in.ptr, c->in.ptr + at, c->in.len - at);
        c->in.len -= at;
    }
}

static void on_writable(void *user)
{
    client_push(user);
}

static void on_connected(void *user)
{
    struct client *c = user;
    c->up = true;
    c->handler.connected(c->handler.user);
}

static void on_closed(void *user)
{
    client_down(user);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void client_connect(struct client *c)
{
    const struct sim_conn_handler handler = {
        .connected = on_connected,
        .received = on_received,
        .writable = on_writable,
        .closed = on_closed,
        .user = c,
    };
    c->conn = sim_net_connect(c->net, &handler);
}

void client_drop(struct client *c, bool stop)
{
    c->stopped = c->stopped || stop;
    if (stop) {
        world_stop(c->world, &c->retry);
    }
    if (c->conn != NULL) {
        sim_conn_close(c->conn);
        client_down(c);
    }
}

void client_restart(struct client *c)
{
    assert(c->stopped && c->conn == NULL);
    c->stopped = false;
    retry_later(c);
}

static void retry_run(struct world_event *e)
{
    client_connect(CONTAINER_OF(e, struct client, retry));
}

static void watch_run(struct world_event *e)
{
    struct client *c = CONTAINER_OF(e, struct client, watch);
    struct list_node *first = list_first(&c->calls);
    if (first == NULL) {
        return;
    }
    struct call *call = CONTAINER_OF(first, struct call, node);
    if (c->world->now_ns - call->sent_ns < c->timeout_ns) {
        watch_start(c);
        return;
    }
    world_say(c->world, "%-6s #%d is not answered: gives up the connection", c->name,
              call->correlation_id);
    client_drop(c, false);
}

static void resume_run(struct world_event *e)
{
    struct client *c = CONTAINER_OF(e, struct client, resume);
    if (c->conn != NULL) {
        sim_conn_read(c->conn, true);
    }
}

void client_stall(struct client *c, u64 duration_ns)
{
    if (c->conn != NULL) {
        sim_conn_read(c->conn, false);
        world_start(c->world, &c->resume, duration_ns);
    }
}

bool client_up(const struct client *c)
{
    return c->up;
}

void client_init(struct client *c, struct world *w, struct sim_net *net, const char *name,
                 u64 timeout_ns, const struct client_handler *handler)
{
    *c = (struct client){.world = w, .net = net, .timeout_ns = timeout_ns, .handler = *handler};
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    list_init(&c->calls);
    growing_buffer_init(&c->out, NULL);
    growing_buffer_init(&c->in, NULL);
    arena_init(&c->arena, NULL, 16 * KIB, 0);
    c->retry.run = retry_run;
    c->watch.run = watch_run;
    c->resume.run = resume_run;
    retry_later(c);
}

void client_fini(struct client *c)
{
    client_drop(c, true);
    growing_buffer_fini(&c->out);
    growing_buffer_fini(&c->in);
    arena_fini(&c->arena);
}
