/* odradek doctor --from FILE: would a client with this configuration reach its brokers from here?
 */
#pragma once

#include "cli/cli.h"

int connection_check(const struct cli_args *a, const char *file);
