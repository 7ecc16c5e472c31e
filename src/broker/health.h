/* Is this broker alive, ready, well? Checks are made on the loop (health_check), said on the HTTP
   thread (health_text). */
#pragma once

#include "broker/server.h"

/* What a check is part of. */
enum health_scope { HEALTH_LIVE = 1, HEALTH_READY = 2, HEALTH_ALL = 4 };

enum { HEALTH_CHECKS_MAX = 12, HEALTH_WHY_BYTES = 360 };
struct health_check {
    const char *name;
    u32 scopes;
    bool good;
    char why[HEALTH_WHY_BYTES]; /* what was looked at, with values; when it fails: what to do */
};
struct health {
    struct health_check checks[HEALTH_CHECKS_MAX];
    u32 count;
};
/* What the checks look at. */
struct health_facts {
    bool fenced;
    bool stopping; /* then `space` is not known */
    bool groups_loaded;
    struct log_space space;
    u64 memory_used;
    u64 memory_cap;
    u32 connections_waiting; /* for memory: they are not read, the back-pressure */
    u64 longest_wait_ns;
    u32 connections;
    i64 connections_max;
    bool accept_paused;
    u64 damaged_places;
};
void health_judge(const struct health_facts *f, struct health *out);
void health_check(struct broker *b, struct health *out);
/* One more check, for which the process is looked at from outside: on the HTTP thread. */
void health_descriptors(struct health *h, u64 open, u64 max);
/* The verdict when the loop itself does not say: it has not begun, or it does not answer. */
void health_silent(bool starting, struct health *out);
bool health_is_good(const struct health *h, enum health_scope scope);
/* "ok", or what is wrong, a line each; verbose: every check. The caller frees it (mem_free). */
char *health_text(const struct health *h, enum health_scope scope, bool verbose, size_t *len);
