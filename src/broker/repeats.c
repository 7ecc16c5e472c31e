/* See repeats.h. The places of the elements are sorted by what stands there, then by place: equal
   ones are neighbours, in order. */
#include "broker/repeats.h"

#include <stdlib.h>

static int place_order(const void *a, const void *b)
{
    const u8 *left = *(const u8 *const *)a;
    const u8 *right = *(const u8 *const *)b;
    return left < right ? -1 : left > right;
}

static int name_order(const void *a, const void *b)
{
    int order = slice_cmp(**(const struct slice *const *)a, **(const struct slice *const *)b);
    return order != 0 ? order : place_order(a, b);
}

static int partition_order(const void *a, const void *b)
{
    const struct named_partition *left = *(const struct named_partition *const *)a;
    const struct named_partition *right = *(const struct named_partition *const *)b;
    int order = slice_cmp(left->topic, right->topic);
    if (order == 0) {
        order = (left->partition > right->partition) - (left->partition < right->partition);
    }
    return order != 0 ? order : place_order(a, b);
}

static bool same_name(const void *a, const void *b)
{
    return slice_eq(*(const struct slice *)a, *(const struct slice *)b);
}

static bool same_partition(const void *a, const void *b)
{
    const struct named_partition *left = a;
    const struct named_partition *right = b;
    return left->partition == right->partition && slice_eq(left->topic, right->topic);
}

static u8 *repeats_find(struct arena *arena, const void *items, size_t member, size_t stride,
                        u32 count, int (*order)(const void *, const void *),
                        bool (*same)(const void *, const void *))
{
    u8 *marks = arena_alloc(arena, count);
    const u8 **places = arena_array(arena, count, sizeof *places);
    if (marks == NULL || places == NULL) {
        return NULL;
    }
    for (u32 i = 0; i < count; i++) {
        places[i] = (const u8 *)items + i * stride + member;
    }
    if (count > 1) {
        qsort(places, count, sizeof *places, order);
    }
    for (u32 i = 1; i < count; i++) {
        if (same(places[i - 1], places[i])) {
            size_t before = (size_t)(places[i - 1] - (const u8 *)items) / stride;
            size_t here = (size_t)(places[i] - (const u8 *)items) / stride;
            marks[before] = marks[before] == REPEAT_NONE ? REPEAT_FIRST : marks[before];
            marks[here] = REPEAT_LATER;
        }
    }
    return marks;
}

u8 *repeats_of_names(struct arena *arena, const void *items, size_t member, size_t stride,
                     u32 count)
{
    return repeats_find(arena, items, member, stride, count, name_order, same_name);
}

u8 *repeats_of_partitions(struct arena *arena, const struct named_partition *items, u32 count)
{
    return repeats_find(arena, items, 0, sizeof *items, count, partition_order, same_partition);
}
