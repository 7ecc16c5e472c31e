/* Lists and names of facts; see facts.h. */
#include "broker/facts.h"

#include <string.h>

void facts_grow(void **items, u32 *count, u32 *cap, size_t item_bytes, u32 added)
{
    u64 need = (u64)*count + added;
    assert(need <= UINT32_MAX / 2);
    if (need > *cap) {
        u32 old = *cap;
        *cap = (u32)MAX(need, MAX(2ull * old, 64ull));
        *items = mem_resize(*items, *cap * item_bytes);
        memset((char *)*items + old * item_bytes, 0, (*cap - old) * item_bytes);
    }
    *count = (u32)need;
}

struct facts_name facts_name_add(struct facts *f, struct slice name)
{
    struct facts_name at = {.at = f->names.count, .len = (u32)name.len};
    if (name.len > 0) {
        memcpy(FACTS_ADD(&f->names, at.len), name.ptr, name.len);
    }
    return at;
}

struct slice facts_name_of(const struct facts *f, struct facts_name name)
{
    return slice_of(f->names.items + name.at, name.len);
}

void facts_destroy(struct facts *f)
{
    mem_free(f->topics.items);
    mem_free(f->partitions.items);
    mem_free(f->groups.items);
    mem_free(f->offsets.items);
    mem_free(f->group_topics.items);
    mem_free(f->names.items);
    mem_free(f->times);
    mem_free(f);
}
