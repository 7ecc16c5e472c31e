/* Pages of the broker's HTTP port (odradek.http.listen), for health, clients, top and bundle. */
#pragma once

#include "cli/kafka.h"

/* Where it is: --http, else the context's, else what the broker's configuration says; NULL: it has
   none that could be found out. A wildcard address becomes the one of the broker. */
MUST_USE int fetch_address(struct kafka *k, const char **address);
/* GET path. false: nobody answered, *why says so. *body lives in the command's arena; *status is
   HTTP's. */
bool fetch_page(const struct cli_args *a, const char *address, const char *path, i32 *status,
                struct slice *body, const char **why);
/* The same of a page without which the command has nothing to say: finds the port, wants status
   200. Returns an exit code; not CLI_OK: told why. what: "who is connected". */
MUST_USE int fetch_needed(const struct cli_args *a, const char *path, const char *what,
                          struct slice *body);
