/* Between the HTTP port and the broker: see monitor.h. */
#include "broker/monitor.h"

#include "broker/config_rows.h"
#include "broker/connections.h"
#include "broker/facts.h"
#include "broker/health.h"
#include "http/http.h"

#include <stdio.h>
#include <string.h>

enum question { QUESTION_HEALTH, QUESTION_METRICS, QUESTION_CLIENTS };
enum page { PAGE_LIVE, PAGE_READY, PAGE_HEALTH, PAGE_METRICS, PAGE_CLIENTS, PAGE_STATUS };
static const struct http_page pages[] = {
    [PAGE_LIVE] = {"/livez", "is it alive? 200 or 503; ?verbose names every check",
                   QUESTION_HEALTH},
    [PAGE_READY] = {"/readyz", "may clients be sent to it?", QUESTION_HEALTH},
    [PAGE_HEALTH] = {"/healthz", "is anything wrong with it?", QUESTION_HEALTH},
    [PAGE_METRICS] = {"/metrics", "counters for Prometheus", QUESTION_METRICS},
    [PAGE_CLIENTS] = {"/api/v1/clients", "who is connected, as JSON", QUESTION_CLIENTS},
    [PAGE_STATUS] = {"/v1/status/ready", "/readyz as JSON, by another name", QUESTION_HEALTH},
};

struct monitor {
    struct io *io;
    const struct config *config;
    struct broker *broker; /* NULL before monitor_open */
    struct http *http;
    struct io_bell bell;
    struct facts_collector *collector;
    struct connections_walk *walk;
};

/* What the HTTP thread is handed. */
struct answer {
    struct health health;
    struct facts *facts;             /* of QUESTION_METRICS */
    struct connections *connections; /* of QUESTION_CLIENTS */
};

/* ---- on the HTTP thread ---------------------------------------------------------------------- */

static void http_asked(void *user)
{
    struct monitor *m = user;
    io_bell_ring(m->io, &m->bell);
}

static void answer_free(void *answer)
{
    struct answer *a = answer;
    if (a->facts != NULL) {
        facts_destroy(a->facts);
    }
    if (a->connections != NULL) {
        connections_destroy(a->connections);
    }
    mem_free(a);
}

static void render_health(const struct http_page *page, bool verbose, const struct health *h,
                          struct http_text *out)
{
    static const enum health_scope scopes[] = {[PAGE_LIVE] = HEALTH_LIVE,
                                               [PAGE_READY] = HEALTH_READY,
                                               [PAGE_HEALTH] = HEALTH_ALL,
                                               [PAGE_STATUS] = HEALTH_READY};
    enum health_scope scope = scopes[page - pages];
    struct health all = *h;
    if (scope == HEALTH_ALL) {
        struct io_process process;
        io_process_read(&process);
        health_descriptors(&all, process.open_fds, process.max_fds);
    }
    h = &all;
    bool good = health_is_good(h, scope);
    out->status = good ? 200 : 503;
    if (page == &pages[PAGE_STATUS]) {
        struct slice json =
            good ? SLICE_LIT("{\"status\":\"ready\"}\n") : SLICE_LIT("{\"status\":\"booting\"}\n");
        out->bytes = mem_strndup(json);
        out->len = json.len;
        out->type = "application/json";
        return;
    }
    out->bytes = health_text(h, scope, verbose, &out->len);
}

static void page_render(void *user, const struct http_page *page, bool verbose, const void *facts,
                        enum http_silence silence, struct http_text *out)
{
    const struct answer *a = facts;
    struct health silent;
    if (a == NULL) {
        health_silent(silence == HTTP_STARTING, &silent);
    }
    if (page != &pages[PAGE_METRICS] && page != &pages[PAGE_CLIENTS]) {
        render_health(page, verbose, a != NULL ? &a->health : &silent, out);
        return;
    }
    if (a == NULL) {
        out->status = 503;
        out->bytes = health_text(&silent, HEALTH_READY, true, &out->len);
        return;
    }
    if (page == &pages[PAGE_CLIENTS]) {
        out->type = "application/json";
        out->bytes = connections_text(a->connections, &out->len);
        return;
    }
    struct io_process process;
    io_process_read(&process);
    out->type = METRICS_TEXT_TYPE;
    out->bytes = metrics_text(a->facts, &process, &out->len);
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void facts_collected(void *user, struct facts *f)
{
    struct monitor *m = user;
    struct answer *a = mem_alloc(sizeof *a);
    a->facts = f;
    http_give(m->http, QUESTION_METRICS, a);
}

static void connections_listed(void *user, struct connections *list)
{
    struct monitor *m = user;
    struct answer *a = mem_alloc(sizeof *a);
    a->connections = list;
    http_give(m->http, QUESTION_CLIENTS, a);
}

static void monitor_rang(struct io_bell *bell)
{
    struct monitor *m = CONTAINER_OF(bell, struct monitor, bell);
    char reason[256];
    if (http_trouble(m->http, reason, sizeof reason)) {
        diag(MSG_http_library_missing, D_STR("why", reason));
    }
    i32 question;
    while (m->broker != NULL && (question = http_take(m->http)) >= 0) {
        if (question == QUESTION_METRICS) {
            facts_collect(m->collector, facts_collected, m);
            continue;
        }
        if (question == QUESTION_CLIENTS) {
            connections_list(m->walk, connections_listed, m);
            continue;
        }
        struct answer *a = mem_alloc(sizeof *a);
        health_check(m->broker, &a->health);
        http_give(m->http, QUESTION_HEALTH, a);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

/* "HOST:PORT", "[v6]:PORT" or ":PORT". */
static bool parse_address(struct slice text, char *host, size_t host_bytes, u16 *port)
{
    const u8 *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);
    if (colon == NULL) {
        return false;
    }
    struct slice name = slice_of(text.ptr, (size_t)(colon - text.ptr));
    struct slice digits = slice_of(colon + 1, text.len - name.len - 1);
    u32 number = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || number > UINT16_MAX) {
            return false;
        }
        number = number * 10 + (digits.ptr[i] - '0');
    }
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = slice_of(name.ptr + 1, name.len - 2);
    }
    if (digits.len == 0 || number > UINT16_MAX || name.len >= host_bytes) {
        return false;
    }
    memcpy(host, name.ptr, name.len);
    host[name.len] = 0;
    *port = (u16)number;
    return true;
}

bool monitor_where(const struct config *config, struct monitor_place *out)
{
    struct slice where = slice_trim(config_str(config, CONFIG_odradek_http_listen));
    *out = (struct monitor_place){.off = where.len == 0 || slice_eq_cstr(where, "off")};
    return out->off || parse_address(where, out->host, sizeof out->host, &out->port);
}

err_t monitor_create(struct io *io, const struct config *config, struct monitor_problem *problem,
                     struct monitor **out)
{
    *out = NULL;
    struct monitor_place place;
    bool is_place = monitor_where(config, &place);
    assert(is_place); /* config_check has looked */
    if (place.off) {
        return OK;
    }
    struct slice where = slice_trim(config_str(config, CONFIG_odradek_http_listen));
    bool wanted = config_is_set(config, CONFIG_odradek_http_listen);
    struct monitor *m = mem_alloc(sizeof *m);
    m->io = io;
    m->config = config;
    m->bell.rang = monitor_rang;
    struct http_params params = {
        .host = place.host,
        .port = place.port,
        .load_now = wanted,
        .pages = pages,
        .page_count = ARRAY_LEN(pages),
        .user = m,
        .asked = http_asked,
        .render = page_render,
        .forget = answer_free,
    };
    *problem = (struct monitor_problem){
        .code = MSG_start_listen,
        .next = "choose another address, or --set odradek.http.listen=off",
    };
    err_t e = http_create(&params, problem->why, sizeof problem->why, &m->http);
    if (e == OK) {
        *out = m;
        return OK;
    }
    mem_free(m);
    if (!wanted) {
        diag(MSG_http_port_taken, D_STR("why", problem->why));
        return OK;
    }
    snprintf(problem->what, sizeof problem->what,
             "the HTTP port cannot be served on %.*s (odradek.http.listen)",
             (int)MIN(where.len, (size_t)128), (const char *)where.ptr);
    return e;
}

void monitor_open(struct monitor *m, struct broker *b)
{
    m->broker = b;
    m->collector = facts_collector_create(b);
    m->walk = connections_walk_create(b, CONNECTIONS_PIECE_NS);
    http_open(m->http);
}

void monitor_destroy(struct monitor *m)
{
    if (m == NULL) {
        return;
    }
    http_destroy(m->http);
    io_bell_remove(m->io, &m->bell);
    if (m->collector != NULL) {
        facts_collector_destroy(m->collector);
        connections_walk_destroy(m->walk);
    }
    mem_free(m);
}

void monitor_address(const struct monitor *m, char *out, size_t out_bytes)
{
    struct http_address at;
    http_address(m->http, &at);
    bool v6 = strchr(at.host, ':') != NULL;
    snprintf(out, out_bytes, "%s%s%s:%u", v6 ? "[" : "", at.host, v6 ? "]" : "", at.port);
}
