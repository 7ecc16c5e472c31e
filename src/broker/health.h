/* Is this broker alive, ready, well? Checks are made on the loop (health_check), said on the HTTP
   thread (health_text). */
#pragma once

#include "broker/server.h"

/* What a check is part of. */
enum health_scope { HEALTH_LIVE = 1, HEALTH_READY = 2, HEALTH_ALL = 4 };

enum { HEALTH_CHECKS_MAX = 12 };
struct health_check {
    const char *name;
    u32 scopes;
    bool good;
    char why[160]; /* what was looked at, also when it is good */
};
struct health {
    struct health_check checks[HEALTH_CHECKS_MAX];
    u32 count;
};
void health_check(struct broker *b, struct health *out);
/* The verdict when the loop itself does not say: it has not begun, or it does not answer. */
void health_silent(bool starting, struct health *out);
bool health_is_good(const struct health *h, enum health_scope scope);
/* "ok", or what is wrong, a line each; verbose: every check. The caller frees it (mem_free). */
char *health_text(const struct health *h, enum health_scope scope, bool verbose, size_t *len);
