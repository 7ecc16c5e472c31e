/* `odradek doctor --data`: the check of a directory, in words or as a tree. */
#pragma once

#include "cli/cli.h"

/* root: an object to be filled; NULL: in words on stdout. When there is no report (no such
   directory, a broker has it) root stays empty, and stderr says why. Returns an exit code. */
int doctor_command(const struct cli_args *a, struct node *root);
