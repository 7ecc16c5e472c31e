/* The name nearest to one that was not found, for "did you mean": the fewest single edits, at most
   a third of its length. */
#pragma once

#include "base/base.h"

struct near {
    struct slice wanted;
    struct slice best;
    u32 best_edits;
};
struct near near_to(struct slice wanted);
void near_try(struct near *n, struct slice name);
/* ptr NULL: nothing is near enough. */
struct slice near_found(const struct near *n);
