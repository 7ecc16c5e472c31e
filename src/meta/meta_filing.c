/* Packs: which there are, in what order, and how far each WAL has been filed into them.

   The order of the list is what a start relies on: along it the offsets of a partition ascend. A
   WAL is filed from its beginning, so its pack comes last; rewritten packs leave their successor
   where they were. */
#include "meta/meta_private.h"

#include <string.h>

const struct meta_pack *meta_packs(const struct meta *m, u32 *count)
{
    *count = m->pack_count;
    return m->packs;
}

u64 meta_next_pack(const struct meta *m)
{
    return m->next_pack;
}

void packs_reserve(struct meta *m, u32 more)
{
    if (m->pack_cap - m->pack_count < more) {
        m->pack_cap = MAX(2 * m->pack_cap, m->pack_count + more);
        m->packs = mem_resize(m->packs, m->pack_cap * sizeof(m->packs[0]));
    }
}

/* A session gives out ids in ascending order, but packs that are made side by side are not ready in
   that order. */
static bool pack_is_possible(const struct meta *m, struct meta_pack pack)
{
    for (u32 i = 0; i < m->pack_count; i++) {
        if (m->packs[i].id == pack.id) {
            return false;
        }
    }
    return pack.id > 0 && pack.id < META_PACK_ID_MAX;
}

static void pack_id_used(struct meta *m, u64 id)
{
    m->next_pack = MAX(m->next_pack, id + 1);
}

bool session_is_filed(const struct session *s)
{
    return s->s.sealed && s->s.trim == s->s.length;
}

/* ---- filing a WAL ---------------------------------------------------------------------------- */

i16 check_file_wal(const struct meta *m, const struct meta_command *c)
{
    u32 at = session_find(m, c->file_wal.wal);
    if (at == m->session_count) {
        return KERR_INVALID_REQUEST;
    }
    const struct meta_session *s = &m->sessions[at].s;
    bool follows = c->file_wal.from == s->trim && c->file_wal.to > s->trim;
    bool inside = !s->sealed || c->file_wal.to <= s->length;
    bool pack = c->file_wal.pack.bytes == 0 || pack_is_possible(m, c->file_wal.pack);
    return follows && inside && pack ? KERR_NONE : KERR_INVALID_REQUEST;
}

void apply_file_wal(struct meta *m, const struct meta_command *c)
{
    struct session *s = &m->sessions[session_find(m, c->file_wal.wal)];
    s->s.trim = c->file_wal.to;
    if (c->file_wal.pack.bytes > 0) {
        packs_reserve(m, 1);
        m->packs[m->pack_count] = c->file_wal.pack;
        m->pack_count++;
        pack_id_used(m, c->file_wal.pack.id);
    }
    if (session_is_filed(s)) {
        s->s.retired = true;
        s->retired_at = m->next_wal;
    }
}

/* ---- rewriting packs ------------------------------------------------------------------------- */

/* Where the inputs stand side by side in the list; pack_count: nowhere. */
static u32 inputs_find(const struct meta *m, const u64 *inputs, u32 count)
{
    for (u32 first = 0; first + count <= m->pack_count; first++) {
        u32 same = 0;
        while (same < count && m->packs[first + same].id == inputs[same]) {
            same++;
        }
        if (same == count) {
            return first;
        }
    }
    return m->pack_count;
}

i16 check_replace_packs(const struct meta *m, const struct meta_command *c)
{
    u32 count = c->replace_packs.input_count;
    bool there = count > 0 && count <= m->pack_count &&
                 inputs_find(m, c->replace_packs.inputs, count) < m->pack_count;
    bool pack = c->replace_packs.output.bytes == 0 || pack_is_possible(m, c->replace_packs.output);
    return there && pack ? KERR_NONE : KERR_INVALID_REQUEST;
}

void apply_replace_packs(struct meta *m, const struct meta_command *c)
{
    u32 count = c->replace_packs.input_count;
    u32 first = inputs_find(m, c->replace_packs.inputs, count);
    u32 outputs = 0;
    if (c->replace_packs.output.bytes > 0) {
        m->packs[first] = c->replace_packs.output;
        pack_id_used(m, c->replace_packs.output.id);
        outputs = 1;
    }
    memmove(&m->packs[first + outputs], &m->packs[first + count],
            (m->pack_count - first - count) * sizeof(m->packs[0]));
    m->pack_count -= count - outputs;
}
