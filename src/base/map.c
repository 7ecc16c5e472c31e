/* The two maps of map.h: one body (map_template.h), two kinds of key. Iterating may remove, never
   put. Values and the memory of keys belong to the caller. */
#include "map.h"

#include "assert.h"
#include "bytes.h"
#include "mem.h"

/* u64 keys. */

struct map64_entry {
    u64 key;
    void *value;
};

/* The finisher of splitmix64: keys that differ in one bit land far apart. */
static u64 hash64(u64 x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

#define MAP               struct map64
#define KEY               u64
#define ENTRY             struct map64_entry
#define NAME(f)           map64_##f
#define entry_hash(e)     hash64((e)->key)
#define key_hash(k)       hash64(k)
#define key_matches(e, k) ((e)->key == (k))
#define entry_make(k, v)  ((struct map64_entry){.key = (k), .value = (v)})
#include "map_template.h"
#undef entry_hash
#undef key_hash
#undef key_matches
#undef entry_make

/* Slice keys: the hash is kept, because computing it again would touch the key's memory. */

struct map_slice_entry {
    struct slice key;
    u64 hash;
    void *value;
};

static u64 hash_slice(struct slice key)
{
    return slice_hash(key, 0);
}

#define MAP               struct map_slice
#define KEY               struct slice
#define ENTRY             struct map_slice_entry
#define NAME(f)           map_slice_##f
#define entry_hash(e)     ((e)->hash)
#define key_hash(k)       hash_slice(k)
#define key_matches(e, k) slice_eq((e)->key, (k))
#define entry_make(k, v)  ((struct map_slice_entry){.key = (k), .hash = hash_slice(k), .value = (v)})
#include "map_template.h"
