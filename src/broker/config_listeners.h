/* Where the broker listens, and what clients are told: listeners, advertised.listeners and
   listener.security.protocol.map, read together because each is about the names of the other two
   [kafka.server.KafkaConfig; KIP-103, KIP-291]. */
#pragma once

#include "broker/config.h"
#include "broker/config_problems.h"

enum { CONFIG_LISTENERS_MAX = 16, CONFIG_HOST_BYTES = 256 };

struct config_listener {
    char name[64];                           /* upper case */
    char host[CONFIG_HOST_BYTES];            /* without brackets; "": every interface */
    u16 port;                                /* 0: any free */
    char advertised_host[CONFIG_HOST_BYTES]; /* "": the address a client came by */
    u16 advertised_port;                     /* 0: the port it came by */
};
struct config_listeners {
    struct config_listener items[CONFIG_LISTENERS_MAX];
    u32 count;
};

/* Listeners of a controller (controller.listener.names) are left out: there is none here. What is
   wrong is added to problems; the listeners are of use only when that was nothing. */
void config_listeners_read(const struct config *c, struct config_listeners *out,
                           struct config_problems *problems);

/* "HOST:PORT", "[v6]:PORT" or ":PORT"; false when it is none of them. */
MUST_USE bool config_parse_address(struct slice text, char *host, size_t host_bytes, i64 *port);
