/* The checks of /livez, /readyz and /healthz. */
#include "broker/health.h"

#include "broker/conn.h"
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

enum { SIZE_TEXT_BYTES = 32, WAITING_COUNTED_MAX = 10000 };
#define WAITS_LONG_NS (10ull * 1000 * 1000 * 1000)

/* "29.0 GiB" */
static const char *size_text(u64 bytes, char out[SIZE_TEXT_BYTES])
{
    bool large = bytes >= GIB;
    snprintf(out, SIZE_TEXT_BYTES, "%.1f %s", (f64)bytes / (f64)(large ? GIB : MIB),
             large ? "GiB" : "MiB");
    return out;
}

static void check_storage(const struct health_facts *f, struct health *out)
{
    check_add(out, "storage", LIVE, !f->fenced, "%s",
              f->fenced
                  ? "a durable write failed (ODK-3001): nothing more is acknowledged, the "
                    "process ends; next: look at the kernel's log for the disk, then start again"
                  : "durable writes succeed");
}

static void check_groups(const struct health_facts *f, struct health *out)
{
    check_add(out, "groups", READY, f->groups_loaded, "%s",
              f->groups_loaded
                  ? "consumer groups are loaded"
                  : "consumer groups are being read back (ODK-2004); next: wait, clients do too");
}

/* A file system that is full, or will be when the log is filed. */
static void check_space(const struct log_space *s, struct health *out)
{
    static const char next[] = "next: delete topics or records, lower retention.ms or "
                               "retention.bytes, or give the file system more space";
    char free_text[SIZE_TEXT_BYTES];
    char left[SIZE_TEXT_BYTES];
    char reserve[SIZE_TEXT_BYTES];
    if (s->free_bytes == UINT64_MAX) {
        check_add(out, "space", HEALTH_ALL, !s->is_full, "%s",
                  s->is_full ? "there is none: produce is refused (ODK-3002)"
                             : "no limit is known");
        return;
    }
    size_text(s->free_bytes, free_text);
    size_text(s->left_bytes, left);
    size_text(s->reserve_bytes, reserve);
    if (s->is_full || s->is_short) {
        check_add(out, "space", HEALTH_ALL, false,
                  "%s free, %s of it when the log is filed, %s are wanted: produce %s; %s",
                  free_text, left, reserve,
                  s->is_full ? "is refused (ODK-3002)" : "waits, or is refused (ODK-3007)", next);
        return;
    }
    check_add(out, "space", HEALTH_ALL, true,
              "%s free, %s of it when the log is filed; below %s produce waits", free_text, left,
              reserve);
}

/* At its bound producers wait, which is as it should be while the disk is slower than they are;
   what ends filing is not. */
static void check_wal(const struct log_space *s, struct health *out)
{
    char unfiled[SIZE_TEXT_BYTES];
    char max[SIZE_TEXT_BYTES];
    const char *state =
        s->is_stuck
            ? ": a slot cannot be read back, filing has ended (ODK-3004); next: restart, the "
              "start names the place"
        : s->cannot_file
            ? ": no space to file it (ODK-3003); next: give the file system more space, or delete "
              "topics or records"
        : s->unfiled_bytes >= s->wal_bytes_max
            ? ": at the bound, producers wait while the disk catches up"
            : "";
    check_add(out, "wal", HEALTH_ALL, !s->is_stuck && !s->cannot_file,
              "%s of at most %s are not filed yet%s", size_text(s->unfiled_bytes, unfiled),
              size_text(s->wal_bytes_max, max), state);
}

static void check_index(const struct log_space *s, struct health *out)
{
    static const char next[] = "next: give the broker more memory (--memory, odradek.memory), "
                               "delete topics or records, or lower retention.ms or retention.bytes";
    char used[SIZE_TEXT_BYTES];
    char max[SIZE_TEXT_BYTES];
    check_add(out, "index", HEALTH_ALL, !s->index_is_full,
              "%s of at most %s for the index of all that is stored%s%s",
              size_text(s->index_bytes, used), size_text(s->index_bytes_max, max),
              s->index_is_full ? ": batches are refused (ODK-3013); "
              : s->index_is_behind
                  ? ": producers wait while packs are sorted, which makes it smaller"
                  : "",
              s->index_is_full ? next : "");
}

/* For a moment it is usual that connections wait for memory: that is the back-pressure. */
static void check_memory(const struct health_facts *f, struct health *out)
{
    char used[SIZE_TEXT_BYTES];
    char cap[SIZE_TEXT_BYTES];
    size_text(f->memory_used, used);
    size_text(f->memory_cap, cap);
    if (f->longest_wait_ns < WAITS_LONG_NS) {
        check_add(out, "memory", HEALTH_ALL, true, "%s of %s used, %u connections wait for some",
                  used, cap, f->connections_waiting);
        return;
    }
    check_add(out, "memory", HEALTH_ALL, false,
              "%s of %s used, %u connections wait for some and are not read, the longest for %llu "
              "s; next: give the broker more (--memory, odradek.memory), or have fewer connections "
              "with large requests",
              used, cap, f->connections_waiting,
              (unsigned long long)(f->longest_wait_ns / 1000000000));
}

static void check_connections(const struct health_facts *f, struct health *out)
{
    bool full = f->connections >= f->connections_max;
    const char *next =
        full ? ": who comes now waits (ODK-1006); next: raise max.connections, or find out who "
               "connects (odradek clients)"
        : f->accept_paused ? "; accepting pauses at max.connection.creation.rate (ODK-1006)"
                           : "";
    if (f->connections_max >= INT32_MAX) {
        check_add(out, "connections", HEALTH_ALL, !full, "%u, max.connections sets no bound%s",
                  f->connections, next);
    } else {
        check_add(out, "connections", HEALTH_ALL, !full, "%u of at most %lld (max.connections)%s",
                  f->connections, (long long)f->connections_max, next);
    }
}

static void check_damage(const struct health_facts *f, struct health *out)
{
    check_add(out, "damage", HEALTH_ALL, f->damaged_places == 0,
              "%llu damaged places found by the scrubber since the start%s",
              (unsigned long long)f->damaged_places,
              f->damaged_places == 0
                  ? ""
                  : "; next: the log names them (ODK-3010, ODK-3011); stop the broker and run "
                    "odradek doctor --data DIR");
}

void health_judge(const struct health_facts *f, struct health *out)
{
    *out = (struct health){0};
    check_add(out, "loop", LIVE, true, "it answered");
    check_storage(f, out);
    check_add(out, "in-service", READY, !f->stopping, "%s",
              f->stopping ? "the broker is stopping; next: wait until it has ended, then start it"
                          : "started, accepting connections");
    check_groups(f, out);
    if (!f->stopping) {
        check_space(&f->space, out);
        check_wal(&f->space, out);
        check_index(&f->space, out);
    }
    check_memory(f, out);
    check_connections(f, out);
    check_damage(f, out);
}

static void look_at_waiting(const struct broker *b, struct health_facts *f)
{
    u64 now_ns = io_now_ns(b->io);
    LIST_EACH (&b->starved_conns, n) {
        const struct conn *c = CONTAINER_OF(n, struct conn, starved_node);
        if (f->connections_waiting == WAITING_COUNTED_MAX) {
            return;
        }
        f->connections_waiting++;
        u64 waits_ns = c->starved_ns == 0 ? 0 : now_ns - c->starved_ns;
        f->longest_wait_ns = MAX(f->longest_wait_ns, waits_ns);
    }
}

void health_check(struct broker *b, struct health *out)
{
    struct health_facts f = {
        .fenced = b->fenced,
        .stopping = b->stopping || b->log == NULL,
        .groups_loaded = b->coordinator != NULL && coordinator_is_loaded(b->coordinator),
        .memory_used = b->memory.root.used,
        .memory_cap = b->memory.root.cap,
        .connections = b->conn_count,
        .connections_max = config_i64(b->config, CONFIG_max_connections),
        .accept_paused = b->accept_paused,
        .damaged_places = metric_read(METRIC_log_scrub_damage_total),
    };
    if (!f.stopping) {
        log_space(b->log, &f.space);
    }
    look_at_waiting(b, &f);
    health_judge(&f, out);
}

void health_descriptors(struct health *h, u64 open, u64 max)
{
    bool known = open > 0 && max > 0; /* to look takes one, too */
    bool good = known && open < max - max / 20;
    check_add(h, "descriptors", HEALTH_ALL, good, "%llu of at most %llu are open%s",
              (unsigned long long)(known ? open : max), (unsigned long long)max,
              good ? ""
                   : ": connections are about to be refused (ODK-1008); next: raise ulimit -n, "
                     "LimitNOFILE in the unit");
}

void health_silent(bool starting, struct health *out)
{
    *out = (struct health){0};
    check_add(out, "loop", LIVE, starting, "%s",
              starting ? "the broker is starting: what was written before is being read"
                       : "no answer within 15 seconds; next: look at the machine's load and disk; "
                         "systemd's watchdog restarts a loop that is stuck");
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
