/* The list of connections: see connections.h. conn.c notes, monitor.c asks for the list.

   A walk stands at a connection between two pieces. It goes on to the next one when that is closed
   (connection_forget); new ones come in at the end, so that nobody is met twice. */
#include "broker/connections.h"

#include "broker/conn.h"
#include "broker/facts.h"

#include <stdio.h>
#include <string.h>

enum { UNIT_ROWS = 32, ARENA_BLOCK_BYTES = 64 * 1024 };

/* ---- what a client says of itself ------------------------------------------------------------ */

/* Where the texts of a client begin and end; all empty when it has said nothing. */
struct client_texts {
    struct slice id;
    struct slice software;
    struct slice version;
    struct slice group;
};

static struct client_texts texts_of(const struct conn_client *client)
{
    struct client_texts t = {0};
    if (client != NULL) {
        const u8 *at = client->texts;
        t.id = slice_of(at, client->id_bytes);
        t.software = slice_of(at += client->id_bytes, client->software_bytes);
        t.version = slice_of(at += client->software_bytes, client->version_bytes);
        t.group = slice_of(at + client->version_bytes, client->group_bytes);
    }
    return t;
}

static u8 text_put(u8 **at, struct slice text)
{
    size_t bytes = MIN(text.len, (size_t)CLIENT_TEXT_BYTES_MAX);
    if (bytes > 0) {
        memcpy(*at, text.ptr, bytes);
        *at += bytes;
    }
    return (u8)bytes;
}

static void client_set(struct conn *c, const struct client_texts *t)
{
    size_t bytes_max = t->id.len + t->software.len + t->version.len + t->group.len;
    size_t bytes = MIN(bytes_max, 4 * (size_t)CLIENT_TEXT_BYTES_MAX);
    struct conn_client *fresh = mem_alloc(sizeof *fresh + bytes);
    u8 *at = fresh->texts;
    fresh->id_bytes = text_put(&at, t->id);
    fresh->software_bytes = text_put(&at, t->software);
    fresh->version_bytes = text_put(&at, t->version);
    fresh->group_bytes = text_put(&at, t->group);
    mem_free(c->client); /* after the copy: t may point into it */
    c->client = fresh;
}

static void note_group(struct conn *c, struct slice group)
{
    struct client_texts t = texts_of(c->client);
    group.len = MIN(group.len, (size_t)CLIENT_TEXT_BYTES_MAX);
    if (!slice_eq(t.group, group)) {
        t.group = group;
        client_set(c, &t);
    }
}

/* Requests of the data path only count. */
void connection_note(struct request *r)
{
    struct conn *c = r->conn;
    c->request_total++;
    c->last_api = r->api;
    if (c->client == NULL) {
        client_set(c, &(struct client_texts){.id = r->client_id});
    }
    if (r->body == NULL) {
        return; /* ApiVersions of a version that is not known */
    }
    switch (r->api_key) {
    case API_api_versions: {
        const struct api_versions_request *q = r->body;
        struct client_texts t = texts_of(c->client);
        t.software = q->client_software_name;
        t.version = q->client_software_version;
        client_set(c, &t);
        break;
    }
    case API_join_group:
        note_group(c, ((const struct join_group_request *)r->body)->group_id);
        break;
    case API_sync_group:
        note_group(c, ((const struct sync_group_request *)r->body)->group_id);
        break;
    case API_heartbeat:
        note_group(c, ((const struct heartbeat_request *)r->body)->group_id);
        break;
    case API_leave_group:
        note_group(c, (struct slice){0});
        break;
    }
}

/* ---- the walk -------------------------------------------------------------------------------- */

struct connections_walk {
    struct broker *b;
    struct io_timer timer;
    u64 piece_ns;
    struct list_node *next; /* of broker->conns: the one to be looked at; NULL: nobody asks */
    struct connections *list;
    void (*done)(void *user, struct connections *list);
    void *user;
};

void connection_forget(struct conn *c)
{
    struct connections_walk *w = c->broker->connections_walk;
    if (w != NULL && w->next == &c->node) {
        w->next = c->node.next;
    }
    mem_free(c->client);
    c->client = NULL;
}

static void connection_add(struct connections *list, const struct conn *c)
{
    struct arena *arena = &list->arena;
    struct connection_row *row = arena_alloc(arena, sizeof *row);
    assert(row != NULL); /* its arena has no cap */
    struct io_address peer;
    io_sock_peer(c->sock, &peer);
    struct client_texts t = texts_of(c->client);
    row->host = arena_copy(arena, slice_cstr(peer.host));
    row->port = peer.port;
    row->listener = arena_copy(arena, slice_cstr(c->listener->config.name));
    row->client_id = arena_copy(arena, t.id);
    row->software = arena_copy(arena, t.software);
    row->version = arena_copy(arena, t.version);
    row->group = arena_copy(arena, t.group);
    row->last_api = c->last_api;
    row->since_ms = c->since_ms;
    row->idle_ms = (io_now_ns(c->broker->io) - c->active_ns) / 1000000;
    row->requests = c->request_total;
    row->unanswered = c->request_count;
    row->bytes_in = c->received_bytes;
    row->bytes_out = c->sent_bytes;
    if (list->last != NULL) {
        list->last->next = row;
    } else {
        list->first = row;
    }
    list->last = row;
    list->count++;
}

/* true: there are more. */
static bool walk_unit(struct connections_walk *w)
{
    const struct list_node *end = &w->b->conns.head;
    for (u32 i = 0; i < UNIT_ROWS && w->next != end; i++) {
        if (w->list->count == CONNECTIONS_LISTED_MAX) {
            w->list->left_out = w->b->conn_count - MIN(w->b->conn_count, w->list->count);
            return false;
        }
        connection_add(w->list, CONTAINER_OF(w->next, struct conn, node));
        w->next = w->next->next;
    }
    return w->next != end;
}

static void walk_step(struct io_timer *t)
{
    struct connections_walk *w = CONTAINER_OF(t, struct connections_walk, timer);
    u64 began_ns = io_clock_ns();
    bool more;
    do {
        more = walk_unit(w);
    } while (more && io_clock_ns() - began_ns < w->piece_ns);
    if (more) {
        io_timer_start(w->b->io, t, io_now_ns(w->b->io));
        return;
    }
    struct connections *list = w->list;
    w->list = NULL;
    w->next = NULL;
    w->done(w->user, list);
}

struct connections_walk *connections_walk_create(struct broker *b, u64 piece_ns)
{
    struct connections_walk *w = mem_alloc(sizeof *w);
    w->b = b;
    w->piece_ns = piece_ns;
    w->timer.fired = walk_step;
    assert(b->connections_walk == NULL);
    b->connections_walk = w;
    return w;
}

void connections_walk_destroy(struct connections_walk *w)
{
    io_timer_stop(w->b->io, &w->timer);
    if (w->list != NULL) {
        connections_destroy(w->list);
    }
    w->b->connections_walk = NULL;
    mem_free(w);
}

void connections_list(struct connections_walk *w,
                      void (*done)(void *user, struct connections *list), void *user)
{
    assert(w->list == NULL);
    w->list = mem_alloc(sizeof *w->list);
    arena_init(&w->list->arena, NULL, ARENA_BLOCK_BYTES, 0);
    w->list->wall_ms = io_wall_ms(w->b->io);
    w->next = w->b->conns.head.next;
    w->done = done;
    w->user = user;
    io_timer_start(w->b->io, &w->timer, io_now_ns(w->b->io));
}

void connections_destroy(struct connections *list)
{
    arena_fini(&list->arena);
    mem_free(list);
}

/* ---- text, on the HTTP thread ---------------------------------------------------------------- */

struct text {
    char *bytes;
    u32 len;
    u32 cap;
};

static void text_add(struct text *t, const void *bytes, size_t len)
{
    facts_grow((void **)&t->bytes, &t->len, &t->cap, 1, (u32)len);
    memcpy(t->bytes + t->len - len, bytes, len);
}

PRINTF_LIKE(2, 3) static void text_printf(struct text *t, const char *fmt, ...)
{
    char piece[160];
    __builtin_va_list args;
    __builtin_va_start(args, fmt);
    int len = vsnprintf(piece, sizeof piece, fmt, args);
    __builtin_va_end(args);
    assert(len >= 0 && len < (int)sizeof piece);
    text_add(t, piece, (size_t)len);
}

/* "key": "value", or null for what was not said. Bytes that are no UTF-8 become U+FFFD. */
static void text_member(struct text *t, const char *key, struct slice value)
{
    text_printf(t, ",\"%s\":", key);
    if (value.len == 0) {
        text_printf(t, "null");
        return;
    }
    text_printf(t, "\"");
    for (size_t at = 0; at < value.len;) {
        u32 point = 0;
        size_t len = utf8_sequence(value.ptr + at, value.len - at, &point);
        if (len == 0) {
            text_printf(t, "\\ufffd");
        } else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            text_printf(t, "\\u%04x", point);
        } else {
            text_add(t, "\\", point == '"' || point == '\\');
            text_add(t, value.ptr + at, len);
        }
        at += MAX(len, (size_t)1);
    }
    text_printf(t, "\"");
}

static void text_row(struct text *t, const struct connection_row *row)
{
    bool v6 = memchr(row->host.ptr, ':', row->host.len) != NULL;
    text_printf(t, "{\"address\":\"%s%.*s%s:%u\"", v6 ? "[" : "", (int)row->host.len,
                (const char *)row->host.ptr, v6 ? "]" : "", row->port);
    text_member(t, "client_id", row->client_id);
    text_member(t, "software", row->software);
    text_member(t, "software_version", row->version);
    text_member(t, "listener", row->listener);
    text_member(t, "principal", SLICE_LIT("User:ANONYMOUS"));
    text_member(t, "group", row->group);
    text_member(t, "last_api", slice_cstr(row->last_api != NULL ? row->last_api->kafka_name : ""));
    text_printf(t, ",\"since_ms\":%lld,\"idle_ms\":%llu", (long long)row->since_ms,
                (unsigned long long)row->idle_ms);
    text_printf(t, ",\"requests\":%llu,\"unanswered\":%u,\"bytes_in\":%llu,\"bytes_out\":%llu}",
                (unsigned long long)row->requests, row->unanswered,
                (unsigned long long)row->bytes_in, (unsigned long long)row->bytes_out);
}

char *connections_text(const struct connections *list, size_t *len)
{
    struct text t = {0};
    text_printf(&t, "{\"now_ms\":%lld,\"connections\":%u,\"left_out\":%u,\"clients\":[\n",
                (long long)list->wall_ms, list->count + list->left_out, list->left_out);
    for (const struct connection_row *row = list->first; row != NULL; row = row->next) {
        text_row(&t, row);
        text_printf(&t, row->next != NULL ? ",\n" : "\n");
    }
    text_printf(&t, "]}\n");
    *len = t.len;
    return t.bytes;
}
