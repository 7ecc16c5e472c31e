/* The checks of /livez, /readyz and /healthz. */
#include "broker/health.h"

#include "broker/coordinator.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF_LIKE(5, 6)
static void check_add(struct health *h, const char *name, u32 scopes, bool good, const char *fmt,
                      ...)
{
    assert(h->count < HEALTH_CHECKS_MAX);
    struct health_check *c = &h->checks[h->count];
    h->count++;
    c->name = name;
    c->scopes = scopes;
    c->good = good;
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->why, sizeof c->why, fmt, args);
    va_end(args);
}

#define LIVE  (HEALTH_LIVE | HEALTH_READY | HEALTH_ALL)
#define READY (HEALTH_READY | HEALTH_ALL)

void health_check(struct broker *b, struct health *out)
{
    *out = (struct health){0};
    bool loaded = b->coordinator != NULL && coordinator_is_loaded(b->coordinator);
    bool full = b->conn_count >= config_i64(b->config, CONFIG_max_connections);
    unsigned long long damage = (unsigned long long)metric_read(METRIC_log_scrub_damage_total);
    check_add(out, "loop", LIVE, true, "it answered");
    check_add(out, "storage", LIVE, !b->fenced, "%s",
              b->fenced ? "a durable write failed: nothing more is acknowledged"
                        : "writes succeed");
    check_add(out, "in-service", READY, !b->stopping, "%s",
              b->stopping ? "the broker is stopping" : "started, accepting connections");
    check_add(out, "groups", READY, loaded, "%s",
              loaded ? "consumer groups are loaded" : "consumer groups are being loaded");
    check_add(out, "space", HEALTH_ALL, b->stopping || !log_refuses(b->log), "%s",
              log_refuses(b->log) ? "produce is refused until space is free" : "there is room");
    check_add(out, "connections", HEALTH_ALL, !full, "%u of at most %lld", b->conn_count,
              (long long)config_i64(b->config, CONFIG_max_connections));
    check_add(out, "damage", HEALTH_ALL, damage == 0,
              "%llu damaged places found by the scrubber since the start", damage);
}

void health_silent(bool starting, struct health *out)
{
    *out = (struct health){0};
    check_add(out, "loop", LIVE, starting, "%s",
              starting ? "the broker is starting: what was written before is being read"
                       : "no answer within 15 seconds");
    if (starting) {
        check_add(out, "in-service", READY, false, "the broker is starting");
    }
}

bool health_is_good(const struct health *h, enum health_scope scope)
{
    bool good = true;
    for (u32 i = 0; i < h->count; i++) {
        good &= (h->checks[i].scopes & scope) == 0 || h->checks[i].good;
    }
    return good;
}

char *health_text(const struct health *h, enum health_scope scope, bool verbose, size_t *len)
{
    size_t bytes = (size_t)(h->count + 1) * (sizeof h->checks[0].why + 64);
    char *text = mem_alloc(bytes);
    size_t at = 0;
    for (u32 i = 0; i < h->count; i++) {
        const struct health_check *c = &h->checks[i];
        if ((c->scopes & scope) != 0 && (verbose || !c->good)) {
            at += (size_t)snprintf(text + at, bytes - at, "[%c] %s %s: %s\n", c->good ? '+' : '-',
                                   c->name, c->good ? "ok" : "failed", c->why);
        }
    }
    at +=
        (size_t)snprintf(text + at, bytes - at, "%s\n", health_is_good(h, scope) ? "ok" : "not ok");
    assert(at < bytes);
    *len = at;
    return text;
}
