/* Which rows and columns of a table are wanted, and in what order: --filter, --sort, --columns. */
#pragma once

#include "cli/cli.h"
#include "cli/node.h"
#include "cli/out.h"

/* Drops and sorts rows of a list of objects, which has the columns of the view. false: told why. */
bool choose_rows(const struct cli_args *a, const struct view *view, struct node *list);
/* The columns that --columns names, closed by an empty one; without it the view's. All of them are
   to be shown then, whatever the format. NULL: told why. */
const struct column *choose_columns(const struct cli_args *a, const struct view *view);
