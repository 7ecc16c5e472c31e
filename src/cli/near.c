/* Names that are nearly right: see near.h. */
#include "cli/near.h"

#include <string.h>

enum { NEAR_NAME_MAX = 256 };

/* Levenshtein's distance, a row at a time; a swap of neighbours counts two. */
static u32 edits(struct slice a, struct slice b)
{
    u32 row[NEAR_NAME_MAX + 1];
    for (u32 j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (u32 i = 1; i <= a.len; i++) {
        u32 diagonal = row[0];
        row[0] = i;
        for (u32 j = 1; j <= b.len; j++) {
            u32 above = row[j];
            u32 changed = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            row[j] = MIN(changed, MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

struct near near_to(struct slice wanted)
{
    return (struct near){.wanted = wanted, .best_edits = (u32)MAX(1, (wanted.len + 2) / 3) + 1};
}

void near_try(struct near *n, struct slice name)
{
    if (name.len > NEAR_NAME_MAX || n->wanted.len > NEAR_NAME_MAX || name.len == 0) {
        return;
    }
    u32 count = edits(n->wanted, name);
    if (count < n->best_edits) {
        n->best_edits = count;
        n->best = name;
    }
}

struct slice near_found(const struct near *n)
{
    return n->best;
}
