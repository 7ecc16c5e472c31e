/* Lists of configs: sorted by key, one block of memory each, replaced as a whole. */
#include "meta/meta_private.h"

#include <stdlib.h>
#include <string.h>

static int config_cmp(const void *a, const void *b)
{
    const struct meta_config *left = a;
    const struct meta_config *right = b;
    return slice_cmp(left->key, right->key);
}

static bool has_key(const struct meta_config *configs, u32 count, struct slice key)
{
    for (u32 i = 0; i < count; i++) {
        if (slice_eq(configs[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* `configs` in one block of their own, with copies of all bytes. */
static struct configs configs_pack(const struct meta_config *configs, u32 count)
{
    if (count == 0) {
        return (struct configs){0};
    }
    size_t bytes = count * sizeof(*configs);
    for (u32 i = 0; i < count; i++) {
        bytes += configs[i].key.len + configs[i].value.len;
    }
    struct configs packed = {.items = mem_alloc(bytes), .count = count};
    struct writer w = writer_of(packed.items, bytes);
    w.len = count * sizeof(*configs);
    for (u32 i = 0; i < count; i++) {
        packed.items[i].key = slice_of(w.start + w.len, configs[i].key.len);
        write_bytes(&w, configs[i].key.ptr, configs[i].key.len);
        packed.items[i].value = slice_of(w.start + w.len, configs[i].value.len);
        write_bytes(&w, configs[i].value.ptr, configs[i].value.len);
    }
    assert(!w.failed);
    assert(w.len == bytes);
    return packed;
}

struct configs configs_merge(struct configs old, const struct meta_config *sets, u32 set_count)
{
    if (old.count + set_count == 0) {
        return (struct configs){0};
    }
    struct meta_config *merged = mem_alloc((old.count + set_count) * sizeof(*merged));
    u32 count = 0;
    for (u32 i = 0; i < old.count; i++) {
        if (!has_key(sets, set_count, old.items[i].key)) {
            merged[count] = old.items[i];
            count++;
        }
    }
    for (u32 i = 0; i < set_count; i++) {
        if (sets[i].value.ptr != NULL) {
            merged[count] = sets[i];
            count++;
        }
    }
    qsort(merged, count, sizeof(*merged), config_cmp);
    struct configs packed = configs_pack(merged, count);
    mem_free(merged);
    return packed;
}

i16 configs_check(struct configs old, const struct meta_config *sets, u32 set_count,
                  bool may_remove)
{
    if (set_count > META_CONFIGS_MAX) {
        return KERR_INVALID_CONFIG;
    }
    u32 count = old.count;
    for (u32 i = 0; i < set_count; i++) {
        const struct meta_config *set = &sets[i];
        if (set->key.len == 0 || set->key.len > META_CONFIG_KEY_BYTES_MAX ||
            set->value.len > META_CONFIG_VALUE_BYTES_MAX) {
            return KERR_INVALID_CONFIG;
        }
        bool removes = set->value.ptr == NULL;
        if ((removes && !may_remove) || has_key(sets, i, set->key)) {
            return KERR_INVALID_REQUEST;
        }
        bool there = has_key(old.items, old.count, set->key);
        count = count + (!removes && !there) - (removes && there);
    }
    return count <= META_CONFIGS_MAX ? KERR_NONE : KERR_INVALID_CONFIG;
}

void configs_destroy(struct configs *c)
{
    mem_free(c->items);
    *c = (struct configs){0};
}
