/* Which elements of a request's list stand there more than once, in n log n: a list from outside
   may be a million long. */
#pragma once

#include "base/base.h"

enum repeat {
    REPEAT_NONE,
    REPEAT_FIRST,
    REPEAT_LATER
}; /* alone; the first of several; one of those after it */

/* One mark per element of a wire array of structs, in the arena; NULL when it is full. */
#define REPEATS_OF_NAMES(arena, array, member)                                       \
    repeats_of_names(arena, (array).items, offsetof(typeof(*(array).items), member), \
                     sizeof *(array).items, (array).count)
MUST_USE u8 *repeats_of_names(struct arena *arena, const void *items, size_t member, size_t stride,
                              u32 count);

/* A partition as requests name it. */
struct named_partition {
    struct slice topic;
    i32 partition;
};
MUST_USE u8 *repeats_of_partitions(struct arena *arena, const struct named_partition *items,
                                   u32 count);
