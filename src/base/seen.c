/* Counters behind seen("..."): how often a simulation came along a marked path. The name is the
   identity, so the same name in two places counts together. Rows stay in order of first sight. */
#include "assert.h"

#include "types.h"

#include <string.h>

struct seen_row seen_table[SEEN_MAX];
unsigned seen_table_count;

/* name hash -> row index + 1; 0 is empty. */
static u16 slots[4 * SEEN_MAX];
static_assert(4 * SEEN_MAX <= UINT16_MAX, "a row's number fits its slot");

static u32 name_hash(const char *name)
{
    u32 hash = 2166136261u;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (u8)*name) * 16777619u;
    }
    return hash;
}

void seen_count(const char *name)
{
    u32 slot = name_hash(name) % ARRAY_LEN(slots);
    while (slots[slot] != 0) {
        struct seen_row *row = &seen_table[slots[slot] - 1];
        if (row->name == name || strcmp(row->name, name) == 0) {
            row->count++;
            return;
        }
        slot = (slot + 1) % ARRAY_LEN(slots);
    }
    assert(seen_table_count < SEEN_MAX);
    seen_table[seen_table_count] = (struct seen_row){.name = name, .count = 1};
    seen_table_count++;
    slots[slot] = (u16)seen_table_count;
}
