/* Contexts: named addresses in $XDG_CONFIG_HOME/odradek (or ~/.config/odradek). contexts/NAME holds
   bootstrap.servers as a client.properties does, and odradek.http when the HTTP port was named;
   current holds the name of the one in use. */
#pragma once

#include "cli/cli.h"

/* The brokers of a context, or of the one in use (name NULL), and their HTTP port or NULL; in the
   command's arena. *found is NULL when no name was given and none is in use. False: told why, *code
   is the exit code. */
bool context_find(const struct cli_args *a, const char *name, const char **found, const char **http,
                  int *code);
