/* The address clients are told to come back to: what advertised.listeners has for the listener they
   came in by, else the address this client reached us at (so that a broker behind several addresses
   works without configuration) [kafka-semantics.md 4, Metadata]. */
#include "broker/conn.h"

void request_advertised(struct request *r, struct slice *host, i32 *port)
{
    const struct config_listener *l = &r->conn->listener->config;
    if (l->advertised_port != 0) {
        *host = slice_cstr(l->advertised_host);
        *port = l->advertised_port;
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
