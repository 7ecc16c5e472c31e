/* The home in memory: same verbs and same order of events, no medium. Used by unit tests of log/
   and cluster/. What was written stays until home_destroy, and home_open may be called again: that
   is a restart, a new session over what the one before wrote.

   Owns a copy of every frame and of every metadata payload. Completions come by the zero-delay
   timer of home.c, in the order of the calls. */
#include "home/home_mem.h"

#include <string.h>

struct mem_wal {
    struct mem_list frames; /* index == slot */
    u64 trim;               /* frames below it are freed */
};

static void mem_list_push(struct mem_list *l, const void *data, size_t len)
{
    if (l->count == l->cap) {
        l->cap = MAX(2 * l->cap, (u64)16);
        l->items = mem_resize(l->items, l->cap * sizeof(l->items[0]));
    }
    u8 *copy = mem_alloc(len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    l->items[l->count] = (struct mem_bytes){.data = copy, .len = len};
    l->count++;
}

static void mem_list_clear(struct mem_list *l)
{
    for (u64 i = 0; i < l->count; i++) {
        mem_free(l->items[i].data);
    }
    mem_free(l->items);
    *l = (struct mem_list){0};
}

static struct mem_wal *wal_find(const struct home_mem *m, u64 wal)
{
    return map64_get(&m->wals, wal);
}

static void mem_destroy(struct home *h)
{
    struct home_mem *m = mem_of(h);
    u32 cursor = 0;
    u64 key;
    void *value;
    while (map64_next(&m->wals, &cursor, &key, &value)) {
        struct mem_wal *wal = value;
        mem_list_clear(&wal->frames);
        mem_free(wal);
    }
    map64_fini(&m->wals);
    mem_packs_fini(m);
    mem_list_clear(&m->slots);
    mem_free(m->snapshot.data);
    mem_free(m);
}

static err_t mem_open(struct home *h, struct uuid *cluster)
{
    if (uuid_is_zero(*cluster)) {
        io_random(h->io, cluster->bytes, sizeof(cluster->bytes));
        cluster->bytes[0] |= 1; /* never the id that means "none" */
    }
    h->block_bytes = BLOB_ALIGN;
    h->direct = true;
    return OK;
}

static err_t mem_meta_replay(struct home *h, const struct home_meta_visitor *v, u64 *next_slot)
{
    struct home_mem *m = mem_of(h);
    if (m->has_snapshot) {
        TRY(v->snapshot(v->user, m->first_slot, slice_of(m->snapshot.data, m->snapshot.len)));
    }
    for (u64 i = 0; i < m->slots.count; i++) {
        struct mem_bytes *slot = &m->slots.items[i];
        TRY(v->slot(v->user, m->first_slot + i, slice_of(slot->data, slot->len)));
    }
    *next_slot = m->first_slot + m->slots.count;
    return OK;
}

static err_t mem_meta_write_now(struct home *h, u64 slot, struct slice payload)
{
    struct home_mem *m = mem_of(h);
    assert(slot == m->first_slot + m->slots.count);
    mem_list_push(&m->slots, payload.ptr, payload.len);
    return OK;
}

static void snapshot_set(struct home_mem *m, u64 slot, struct slice payload)
{
    assert(slot == m->first_slot + m->slots.count);
    mem_list_clear(&m->slots);
    mem_free(m->snapshot.data);
    m->snapshot = (struct mem_bytes){.data = mem_alloc(payload.len), .len = payload.len};
    if (payload.len > 0) {
        memcpy(m->snapshot.data, payload.ptr, payload.len);
    }
    m->has_snapshot = true;
    m->first_slot = slot;
}

static void mem_meta_write(struct home *h, struct home_meta_write *w)
{
    err_t result = OK;
    if (w->snapshot) {
        snapshot_set(mem_of(h), w->slot, w->payload);
    } else {
        result = mem_meta_write_now(h, w->slot, w->payload);
    }
    home_finish_meta_soon(h, result);
}

static err_t mem_wal_start(struct home *h, u64 wal, u64 nonce)
{
    struct home_mem *m = mem_of(h);
    (void)nonce;
    assert(wal_find(m, wal) == NULL);
    map64_put(&m->wals, wal, mem_alloc(sizeof(struct mem_wal)));
    return OK;
}

static void mem_wal_write(struct home *h, struct home_write *w)
{
    struct mem_wal *wal = wal_find(mem_of(h), h->wal);
    assert(w->slot == wal->frames.count);
    mem_list_push(&wal->frames, w->frame, w->bytes);
    mem_of(h)->wal_bytes += w->bytes;
    home_finish_write_soon(h, w, OK);
}

static err_t range_copy(const struct mem_wal *wal, struct home_read *r)
{
    if (wal == NULL || r->slot < wal->trim || r->slot >= wal->frames.count) {
        return ERR_NOT_FOUND;
    }
    const struct mem_bytes *frame = &wal->frames.items[r->slot];
    assert((u64)r->pos + r->bytes <= frame->len);
    memcpy(r->blob->data, frame->data + r->pos, r->bytes);
    r->blob_offset = 0;
    return OK;
}

static void mem_wal_read(struct home *h, struct home_read *r)
{
    home_finish_read_soon(h, r, range_copy(wal_find(mem_of(h), r->wal), r));
}

static err_t frame_visit(const u8 *frame, const struct home_wal_visitor *v)
{
    struct frame_header header;
    err_t e = frame_header_decode(frame, &header);
    assert(e == OK);
    (void)e;
    struct frame_entry *entries = mem_alloc(header.index_count * sizeof(*entries));
    for (u32 i = 0; i < header.index_count; i++) {
        frame_entry_decode(frame + header.index_pos + (size_t)i * FRAME_ENTRY_BYTES, &entries[i]);
    }
    err_t result = v->slot(v->user, &header, entries, header.index_count);
    mem_free(entries);
    return result;
}

static err_t mem_wal_scan(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                          const struct home_wal_visitor *v, u64 *length)
{
    (void)nonce;
    const struct mem_wal *found = wal_find(mem_of(h), wal);
    u64 count = found == NULL ? 0 : found->frames.count;
    if (trim == sealed_length) {
        *length = sealed_length; /* all of it was filed */
        return OK;
    }
    if (sealed_length != UINT64_MAX && count < sealed_length) {
        return home_fail(
            h, ERR_CORRUPT, "WAL %llu has %llu slots in memory but was sealed at %llu.",
            (unsigned long long)wal, (unsigned long long)count, (unsigned long long)sealed_length);
    }
    if (count < trim || (found != NULL && found->trim > trim)) {
        return home_fail(h, ERR_CORRUPT, "WAL %llu does not have slot %llu, the first not filed.",
                         (unsigned long long)wal, (unsigned long long)trim);
    }
    count = MIN(count, sealed_length);
    for (u64 slot = trim; slot < count; slot++) {
        TRY(frame_visit(found->frames.items[slot].data, v));
    }
    *length = count;
    return OK;
}

static void frames_drop(struct home_mem *m, struct mem_wal *wal, u64 slot)
{
    for (; wal->trim < MIN(slot, wal->frames.count); wal->trim++) {
        struct mem_bytes *frame = &wal->frames.items[wal->trim];
        m->wal_bytes -= frame->len;
        mem_free(frame->data);
        *frame = (struct mem_bytes){0};
    }
}

static u32 mem_wal_remove(struct home *h, u64 wal)
{
    struct mem_wal *found = map64_remove(&mem_of(h)->wals, wal);
    if (found == NULL) {
        return 0;
    }
    frames_drop(mem_of(h), found, UINT64_MAX);
    mem_list_clear(&found->frames);
    mem_free(found);
    return 1;
}

static void mem_wals_each(struct home *h, void (*each)(void *user, u64 wal), void *user)
{
    u32 cursor = 0;
    u64 wal;
    void *value;
    while (map64_next(&mem_of(h)->wals, &cursor, &wal, &value)) {
        each(user, wal);
    }
}

static void mem_wal_trim(struct home *h, u64 wal, u64 slot)
{
    struct mem_wal *found = wal_find(mem_of(h), wal);
    bool ours = h->wal_started && wal == h->wal;
    assert(!ours || (found != NULL && slot <= found->frames.count));
    if (found == NULL) {
        return;
    }
    frames_drop(mem_of(h), found, slot);
    if (!ours && found->trim == found->frames.count) {
        (void)mem_wal_remove(h, wal);
    }
}

static u64 mem_wal_bytes(struct home *h)
{
    return mem_of(h)->wal_bytes;
}

/* ---- slots for a worker: copies -------------------------------------------------------------- */

struct mem_slots {
    struct home_slots base;
    u64 wal;
    u64 nonce;
    u64 from;
    struct mem_list frames;
};

static struct mem_slots *slots_of(struct home_slots *s)
{
    return CONTAINER_OF(s, struct mem_slots, base);
}

static err_t mem_slots_find(struct home *h, u64 wal, u64 nonce, u64 from, u64 to,
                            struct home_slots **out)
{
    const struct mem_wal *found = wal_find(mem_of(h), wal);
    if (found == NULL || from < found->trim || to > found->frames.count) {
        return ERR_NOT_FOUND;
    }
    struct mem_slots *s = mem_alloc(sizeof(*s));
    *s = (struct mem_slots){.base = {.home = h}, .wal = wal, .nonce = nonce, .from = from};
    for (u64 slot = from; slot < to; slot++) {
        mem_list_push(&s->frames, found->frames.items[slot].data, found->frames.items[slot].len);
    }
    *out = &s->base;
    return OK;
}

static err_t mem_slots_read(struct home_slots *base, u64 slot, void *buf, size_t cap, u32 *bytes)
{
    struct mem_slots *s = slots_of(base);
    assert(slot >= s->from && slot < s->from + s->frames.count);
    const struct mem_bytes *frame = &s->frames.items[slot - s->from];
    struct frame_header header;
    TRY(frame_header_decode(frame->data, &header));
    if (header.wal != s->wal || header.nonce != s->nonce || header.slot != slot) {
        return ERR_CORRUPT;
    }
    *bytes = header.total_bytes;
    if (header.total_bytes > cap) {
        return ERR_NO_MEMORY;
    }
    memcpy(buf, frame->data, frame->len);
    return frame_index_check(&header, frame->data + header.index_pos);
}

static void mem_slots_free(struct home_slots *base)
{
    struct mem_slots *s = slots_of(base);
    mem_list_clear(&s->frames);
    mem_free(s);
}

static const struct home_ops mem_ops = {
    .reopens = true,
    .destroy = mem_destroy,
    .open = mem_open,
    .meta_replay = mem_meta_replay,
    .meta_write = mem_meta_write,
    .meta_write_now = mem_meta_write_now,
    .wal_start = mem_wal_start,
    .wal_write = mem_wal_write,
    .wal_read = mem_wal_read,
    .wal_scan = mem_wal_scan,
    .wal_remove = mem_wal_remove,
    .wals_each = mem_wals_each,
    .wal_trim = mem_wal_trim,
    .slots_find = mem_slots_find,
    .slots_read = mem_slots_read,
    .slots_free = mem_slots_free,
    .pack_make = mem_pack_make,
    .pack_open = mem_pack_open,
    .packs_list = mem_packs_list,
    .pack_unlink = mem_pack_unlink,
    .pack_read = mem_pack_read,
    .pack_remove = mem_pack_remove,
    .wal_bytes = mem_wal_bytes,
};

struct home *home_mem_create(struct io *io)
{
    struct home_mem *m = mem_alloc(sizeof(*m));
    home_init(&m->base, &mem_ops, io, NULL);
    map64_init(&m->wals);
    mem_packs_init(m);
    return &m->base;
}
