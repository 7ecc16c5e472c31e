/* The address clients are told to come back to: advertised.listeners when set, else the one this
   client reached us at (so that a broker behind several addresses works without configuration)
   [kafka-semantics.md 4, Metadata]. */
#include "broker/conn.h"

#include <stdlib.h>
#include <string.h>

/* "NAME://HOST:PORT", the first of the list. */
static bool parse_advertised(struct slice text, struct slice *host, i32 *port)
{
    const u8 *comma = memchr(text.ptr, ',', text.len);
    const u8 *end = comma != NULL ? comma : text.ptr + text.len;
    const u8 *scheme = memmem(text.ptr, (size_t)(end - text.ptr), "://", 3);
    if (scheme == NULL) {
        return false;
    }
    const u8 *start = scheme + 3;
    const u8 *colon = memrchr(start, ':', (size_t)(end - start));
    if (colon == NULL) {
        return false;
    }
    i32 value = 0;
    for (const u8 *p = colon + 1; p < end; p++) {
        if (*p < '0' || *p > '9' || value > UINT16_MAX) {
            return false;
        }
        value = value * 10 + (*p - '0');
    }
    bool bracketed = colon - start >= 2 && start[0] == '[' && colon[-1] == ']';
    *host = slice_of(start + bracketed, (size_t)(colon - start) - 2 * (size_t)bracketed);
    *port = value;
    return host->len > 0 && value > 0 && value <= UINT16_MAX;
}

void request_advertised(struct request *r, struct slice *host, i32 *port)
{
    struct slice configured = config_str(r->broker->config, CONFIG_advertised_listeners);
    if (configured.len > 0 && parse_advertised(configured, host, port)) {
        return;
    }
    struct io_address local;
    io_sock_local(r->conn->sock, &local);
    *host = arena_copy(&r->arena, slice_cstr(local.host));
    *port = local.port;
    if (host->ptr == NULL) {
        *host = WIRE_EMPTY;
    }
}
