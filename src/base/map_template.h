/* The body of a hash map, included once per kind of key by map.c, which defines before:

     MAP          the map's type                 KEY      the key's type
     ENTRY        the entry's type, with .value  NAME(f)  the function name for f
     entry_hash(entry)  key_hash(key)  key_matches(entry, key)  entry_make(key, value)

   Shape: entries stand in a dense array in order of insertion; buckets is a table of open
   addressing with linear probing that holds entry index + 1 (0 = empty), at most half full.

     buckets  [ . 3 . 1 . . 2 . ]          a removed entry leaves a hole in entries
     entries  [ a b c ]                    (value == NULL), closed by the next rebuild

   A removal closes its gap in the buckets by moving later ones of the same run back, so there are
   no tombstones to search through. */

static u32 NAME(bucket_find)(const MAP *m, KEY key)
{
    const ENTRY *entries = m->entries;
    u32 at = (u32)key_hash(key) & m->bucket_mask;
    while (m->buckets[at] != 0 && !key_matches(&entries[m->buckets[at] - 1], key)) {
        at = (at + 1) & m->bucket_mask;
    }
    return at;
}

/* Sized for `cap` entries: closes the holes and hangs every entry into fresh buckets. */
static void NAME(rebuild)(MAP *m, u32 cap)
{
    assert(cap > m->count);
    ENTRY *old = m->entries;
    ENTRY *entries = mem_alloc(cap * sizeof(ENTRY));
    u32 bucket_count = 2 * cap;
    assert((bucket_count & (bucket_count - 1)) == 0);
    u32 mask = bucket_count - 1;
    u32 *buckets = mem_alloc(bucket_count * sizeof(buckets[0]));
    u32 used = 0;
    for (u32 i = 0; i < m->used; i++) {
        if (old[i].value == NULL) {
            continue;
        }
        entries[used] = old[i];
        u32 at = (u32)entry_hash(&old[i]) & mask;
        while (buckets[at] != 0) {
            at = (at + 1) & mask;
        }
        used++;
        buckets[at] = used;
    }
    assert(used == m->count);
    mem_free(m->entries);
    mem_free(m->buckets);
    m->entries = entries;
    m->buckets = buckets;
    m->bucket_mask = mask;
    m->used = used;
    m->cap = cap;
}

void NAME(init)(MAP *m)
{
    *m = (MAP){0};
}

void NAME(fini)(MAP *m)
{
    mem_free(m->entries);
    mem_free(m->buckets);
    *m = (MAP){0};
}

void *NAME(get)(const MAP *m, KEY key)
{
    if (m->count == 0) {
        return NULL;
    }
    u32 index = m->buckets[NAME(bucket_find)(m, key)];
    return index != 0 ? ((const ENTRY *)m->entries)[index - 1].value : NULL;
}

void NAME(put)(MAP *m, KEY key, void *value)
{
    assert(value != NULL);
    if (m->used == m->cap) {
        /* Many holes: the same size will do once they are closed. */
        u32 cap = MAX(m->cap, 8u);
        assert(cap <= UINT32_MAX / 4);
        NAME(rebuild)(m, m->count > cap / 4 * 3 || m->cap == 0 ? MAX(2 * m->cap, 8u) : cap);
    }
    u32 at = NAME(bucket_find)(m, key);
    ENTRY *entries = m->entries;
    if (m->buckets[at] != 0) {
        entries[m->buckets[at] - 1] = entry_make(key, value);
        return;
    }
    entries[m->used] = entry_make(key, value);
    m->used++;
    m->count++;
    m->buckets[at] = m->used;
}

/* Moves back what stands after the gap and could not stand there before. */
static void NAME(close_gap)(MAP *m, u32 gap)
{
    const ENTRY *entries = m->entries;
    u32 at = gap;
    for (;;) {
        at = (at + 1) & m->bucket_mask;
        if (m->buckets[at] == 0) {
            break;
        }
        u32 home = (u32)entry_hash(&entries[m->buckets[at] - 1]) & m->bucket_mask;
        u32 from_home = (at - home) & m->bucket_mask;
        u32 from_gap = (at - gap) & m->bucket_mask;
        if (from_home >= from_gap) {
            m->buckets[gap] = m->buckets[at];
            gap = at;
        }
    }
    m->buckets[gap] = 0;
}

void *NAME(remove)(MAP *m, KEY key)
{
    if (m->count == 0) {
        return NULL;
    }
    u32 at = NAME(bucket_find)(m, key);
    u32 index = m->buckets[at];
    if (index == 0) {
        return NULL;
    }
    NAME(close_gap)(m, at);
    ENTRY *entry = &((ENTRY *)m->entries)[index - 1];
    void *value = entry->value;
    *entry = (ENTRY){0};
    m->count--;
    /* Holes at the end close at once; a walk over the map that removes as it goes stays valid. */
    while (m->used > 0 && ((ENTRY *)m->entries)[m->used - 1].value == NULL) {
        m->used--;
    }
    return value;
}

bool NAME(next)(const MAP *m, u32 *cursor, KEY *key, void **value)
{
    const ENTRY *entries = m->entries;
    while (*cursor < m->used) {
        const ENTRY *entry = &entries[*cursor];
        (*cursor)++;
        if (entry->value != NULL) {
            *key = entry->key;
            *value = entry->value;
            return true;
        }
    }
    return false;
}

#undef MAP
#undef KEY
#undef ENTRY
#undef NAME
