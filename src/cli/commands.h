/* The commands' functions (commands.def), for the table in cli.c. */
#pragma once

#include "cli/cli.h"

#define COMMAND(ident, words, operands, summary, function) \
    int function(const struct cli_args *args);
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
