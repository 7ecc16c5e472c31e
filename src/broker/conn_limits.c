/* How many connections there may be, how fast they may come, and how long one may be idle; see
   conn.h. Called by conn.c when one comes, moves and goes, and at every turn's end.

   As Kafka does it [kafka.network.ConnectionQuotas]:
     max.connections.per.ip and its overrides: one more from that address is closed at once;
     max.connections, max.connection.creation.rate: accepting pauses, who connects waits in the
       kernel's queue; when the limit was lowered, the least recently active ones are closed;
     connections.max.idle.ms: the least recently active ones are closed. One whose request waits for
       us (a fetch that waits for records) is not idle; one that does not read its answer is.

   Connections stand in the order of their last activity, so that only the first is ever looked at.
   An address is counted while it has a connection. All limits are read where they are used: a
   change is in force at the end of the turn that made it. */
#include "broker/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS  (1000ull * 1000)
#define NS_PER_SEC (1000ull * NS_PER_MS)

/* ---- max.connections.per.ip.overrides: "ADDRESS:COUNT,ADDRESS:COUNT" ------------------------- */

struct override {
    struct slice host;
    i64 count_max; /* -1: the entry cannot be read */
};

static bool is_numeric_host(struct slice host)
{
    static const char letters[] = "0123456789abcdefABCDEF.:";
    bool separated = false;
    for (size_t i = 0; i < host.len; i++) {
        separated |= host.ptr[i] == '.' || host.ptr[i] == ':';
        if (host.ptr[i] == 0 || strchr(letters, host.ptr[i]) == NULL) {
            return false;
        }
    }
    return separated;
}

static i64 parse_count(struct slice digits)
{
    i64 count = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || count > INT32_MAX / 10) {
            return -1;
        }
        count = count * 10 + (digits.ptr[i] - '0');
    }
    return digits.len == 0 || count > INT32_MAX ? -1 : count;
}

/* The next entry of the list; false at its end. */
static bool override_next(struct slice *list, struct override *out, struct slice *whole)
{
    if (list->len == 0) {
        return false;
    }
    const u8 *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    struct slice entry = slice_trim(slice_of(list->ptr, len));
    size_t step = MIN(len + 1, list->len);
    *list = slice_of(list->ptr + step, list->len - step);
    *whole = entry;
    *out = (struct override){.count_max = -1};
    const u8 *colon = entry.len == 0 ? NULL : memrchr(entry.ptr, ':', entry.len);
    if (colon == NULL) {
        return true;
    }
    size_t host_len = (size_t)(colon - entry.ptr);
    struct slice host = slice_trim(slice_of(entry.ptr, host_len));
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = slice_of(host.ptr + 1, host.len - 2);
    }
    if (is_numeric_host(host)) {
        out->host = host;
        out->count_max = parse_count(slice_trim(slice_of(colon + 1, entry.len - host_len - 1)));
    }
    return true;
}

bool conn_overrides_valid(struct slice list, struct slice *wrong)
{
    struct override o;
    while (override_next(&list, &o, wrong)) {
        if (o.count_max < 0) {
            return false;
        }
    }
    return true;
}

static i64 count_max_of(const struct broker *b, struct slice host)
{
    struct slice list = config_str(b->config, CONFIG_max_connections_per_ip_overrides);
    struct slice whole;
    struct override o;
    i64 count_max = config_i64(b->config, CONFIG_max_connections_per_ip);
    while (override_next(&list, &o, &whole)) {
        if (o.count_max >= 0 && slice_eq(o.host, host)) {
            count_max = o.count_max;
        }
    }
    return count_max;
}

/* ---- one comes, moves, goes ------------------------------------------------------------------ */

struct conn_peer *conn_peer_admit(struct broker *b, const struct io_address *address)
{
    struct slice host = slice_cstr(address->host);
    struct conn_peer *p = map_slice_get(&b->peers, host);
    i64 count_max = count_max_of(b, host);
    if ((p == NULL ? 0 : p->count) >= count_max) {
        metric_add(METRIC_connections_refused_total, 1);
        diag(MSG_too_many_from_address, D_STR("peer", address->host), D_UINT("port", address->port),
             D_INT("limit", count_max));
        return NULL;
    }
    if (p == NULL) {
        p = pool_get(&b->peer_pool);
        if (p == NULL) {
            conn_refused_no_memory(address);
            return NULL;
        }
        static_assert(sizeof p->host == sizeof address->host, "a peer is an address without port");
        memcpy(p->host, address->host, sizeof p->host);
        map_slice_put(&b->peers, slice_cstr(p->host), p);
    }
    p->count++;
    return p;
}

void conn_peer_leave(struct broker *b, struct conn_peer *p)
{
    assert(p->count > 0);
    p->count--;
    if (p->count == 0) {
        map_slice_remove(&b->peers, slice_cstr(p->host));
        pool_put(&b->peer_pool, p);
    }
}

void conn_refused_no_memory(const struct io_address *address)
{
    metric_add(METRIC_connections_refused_total, 1);
    diag(MSG_connection_no_memory, D_STR("peer", address->host), D_UINT("port", address->port));
}

void conn_touch(struct conn *c)
{
    struct broker *b = c->broker;
    c->active_ns = io_now_ns(b->io);
    if (list_linked(&c->active_node)) {
        list_remove(&c->active_node);
    }
    list_push_back(&b->active_conns, &c->active_node);
}

/* ---- idle ------------------------------------------------------------------------------------ */

/* Is it the peer for whom nothing happens? */
static bool conn_is_idle(const struct conn *c)
{
    return c->want_send || (list_empty(&c->requests) && !list_linked(&c->starved_node));
}

static u64 idle_max_ns(const struct broker *b)
{
    i64 ms = config_i64(b->config, CONFIG_connections_max_idle_ms);
    return ms < 0 || (u64)ms > UINT64_MAX / 2 / NS_PER_MS ? UINT64_MAX / 2
                                                          : MAX((u64)ms, 1u) * NS_PER_MS;
}

static void idle_timer_start(struct broker *b)
{
    if (!list_empty(&b->active_conns)) {
        struct conn *c = CONTAINER_OF(list_first(&b->active_conns), struct conn, active_node);
        io_timer_start(b->io, &b->idle_timer, c->active_ns + idle_max_ns(b));
    }
}

void conns_expire_idle(struct io_timer *t)
{
    struct broker *b = CONTAINER_OF(t, struct broker, idle_timer);
    u64 now = io_now_ns(b->io);
    u64 max_ns = idle_max_ns(b);
    while (!list_empty(&b->active_conns)) {
        struct conn *c = CONTAINER_OF(list_first(&b->active_conns), struct conn, active_node);
        if (now - c->active_ns < max_ns) {
            break;
        }
        if (conn_is_idle(c)) {
            metric_add(METRIC_connections_idle_closed_total, 1);
            conn_close(c);
        } else {
            conn_touch(c);
        }
    }
    idle_timer_start(b);
}

/* ---- all together ---------------------------------------------------------------------------- */

static i64 conns_max(const struct broker *b)
{
    return config_i64(b->config, CONFIG_max_connections);
}

static u64 rate_max(const struct broker *b)
{
    return (u64)config_i64(b->config, CONFIG_max_connection_creation_rate);
}

/* The rate is kept by a clock that each connection moves on by its share of a second. It lags the
   real one by a second at most: so many may come at once. While it is ahead nobody is accepted. */
void conns_rate_count(struct broker *b)
{
    u64 now = io_now_ns(b->io);
    u64 step_ns = NS_PER_SEC / MAX(rate_max(b), (u64)1);
    u64 floor_ns = now + step_ns > NS_PER_SEC ? now + step_ns - NS_PER_SEC : 0;
    b->accept_clock_ns = MAX(b->accept_clock_ns, floor_ns) + step_ns;
}

/* May one more be accepted now? NULL: yes; else the option that says no. */
static const char *conns_full(const struct broker *b)
{
    if (b->conn_count >= conns_max(b)) {
        return "max.connections";
    }
    if (rate_max(b) == 0 || b->accept_clock_ns > io_now_ns(b->io)) {
        return "max.connection.creation.rate";
    }
    return NULL;
}

static void listeners_want(struct broker *b, bool on)
{
    for (u32 i = 0; i < b->listener_count; i++) {
        io_listener_want(b->io, b->listeners[i].listener, on);
    }
}

static void accept_pause(struct broker *b, const char *option)
{
    b->accept_paused = true;
    listeners_want(b, false);
    metric_add(METRIC_accept_pauses_total, 1);
    diag(MSG_accept_paused, D_STR("option", option),
         D_INT("limit", b->conn_count >= conns_max(b) ? conns_max(b) : (i64)rate_max(b)),
         D_UINT("connections", b->conn_count));
}

void conns_limit(struct broker *b)
{
    if (b->listener_count == 0) {
        return; /* the broker stops */
    }
    const char *full = conns_full(b);
    if (full != NULL && !b->accept_paused) {
        accept_pause(b, full);
    } else if (full == NULL && b->accept_paused) {
        b->accept_paused = false;
        listeners_want(b, true);
    }
    if (b->accept_paused && rate_max(b) > 0 && b->accept_clock_ns > io_now_ns(b->io)) {
        io_timer_start(b->io, &b->accept_timer, b->accept_clock_ns);
    }
}

void conns_accept_again(struct io_timer *t)
{
    conns_limit(CONTAINER_OF(t, struct broker, accept_timer));
}

void conns_limit_turn(struct broker *b)
{
    while (b->conn_count > conns_max(b)) {
        struct conn *c = CONTAINER_OF(list_first(&b->active_conns), struct conn, active_node);
        metric_add(METRIC_connections_idle_closed_total, 1);
        conn_close(c);
    }
    conns_limit(b);
    if (!heap_linked(&b->idle_timer.node)) {
        idle_timer_start(b);
    }
}
