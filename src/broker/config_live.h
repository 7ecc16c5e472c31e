/* The configuration of a running process: read at the start, refused as a whole or told about, read
   again on SIGHUP. Owned by serve.c; its config is what the broker reads.

   SIGHUP, the happy path:
     1. config_live_reload: a worker reads and checks all sources into a fresh config;
     2. on the loop, what may change while the broker runs is taken over from the file's layer, what
        may not is named; the broker is told (broker_configured).
   When the file has errors nothing is taken over: each is told, and everything stays as it was. A
   second SIGHUP while a worker reads is done after it. */
#pragma once

#include "broker/broker.h"
#include "broker/config_sources.h"
#include "broker/notify.h"

struct config_live {
    struct config *config;
    struct config_sources sources;
    struct config_listeners listeners;
    struct config_problems problems; /* of the start; then of the file that is read again */

    struct io *io; /* NULL: not running */
    struct broker *broker;
    struct notify *notify;
    struct io_op reading;
    struct config *fresh; /* NULL: nobody reads */
    bool again;
    u32 changed;
    struct io_op resolving;
    bool unresolved[CONFIG_LISTENERS_MAX];
};

/* Reads everything. false: it is refused; every problem has been printed to stderr. */
MUST_USE bool config_live_load(struct config_live *l, const struct config_sources *sources);
/* The broker serves: tells what was odd, and looks whether advertised names can be resolved. */
void config_live_start(struct config_live *l, struct io *io, struct broker *b,
                       struct notify *notify);
void config_live_reload(struct config_live *l);
/* After the io is gone, or before it was there: frees the config too. */
void config_live_fini(struct config_live *l);
