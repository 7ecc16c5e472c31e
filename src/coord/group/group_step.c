/* What a step says (records and replies, in the arena it was given) and how it is taken back when
   the arena is full. Who changes a group does it between step_begin and step_end. */
#include "coord/group/group_private.h"

/* ---- the journal --------------------------------------------------------------------------- */

void step_begin(struct step *s, bool journaled)
{
    struct group *g = s->g;
    s->journaled = journaled;
    if (!journaled) {
        return;
    }
    s->before = *g;
    if (g->member_count > 0) {
        s->members_before = mem_alloc(g->member_count * sizeof(struct member));
        memcpy(s->members_before, g->members, g->member_count * sizeof(struct member));
    }
    if (g->pending_count > 0) {
        s->pendings_before = mem_alloc(g->pending_count * sizeof(struct pending));
        memcpy(s->pendings_before, g->pendings, g->pending_count * sizeof(struct pending));
    }
}

/* Arrays only grow during a step: what was in them fits back. Offsets were not touched. */
static void take_back(struct step *s)
{
    struct group *g = s->g;
    struct group now = *g;
    assert(now.offset_count == s->before.offset_count);
    *g = s->before;
    g->members = now.members;
    g->member_cap = now.member_cap;
    g->pendings = now.pendings;
    g->pending_cap = now.pending_cap;
    g->bytes += array_bytes(now.member_cap, sizeof(struct member)) -
                array_bytes(s->before.member_cap, sizeof(struct member)) +
                array_bytes(now.pending_cap, sizeof(struct pending)) -
                array_bytes(s->before.pending_cap, sizeof(struct pending));
    if (g->member_count > 0) {
        memcpy(g->members, s->members_before, g->member_count * sizeof(struct member));
    }
    if (g->pending_count > 0) {
        memcpy(g->pendings, s->pendings_before, g->pending_count * sizeof(struct pending));
    }
}

/* An idle group keeps no room for members. */
static void shrink(struct group *g)
{
    if (g->member_count == 0 && g->member_cap > 0) {
        g->bytes -= array_bytes(g->member_cap, sizeof(struct member));
        mem_free(g->members);
        g->members = NULL;
        g->member_cap = 0;
    }
    if (g->pending_count == 0 && g->pending_cap > 0) {
        g->bytes -= array_bytes(g->pending_cap, sizeof(struct pending));
        mem_free(g->pendings);
        g->pendings = NULL;
        g->pending_cap = 0;
    }
}

err_t step_end(struct step *s)
{
    bool back = s->exhausted;
    assert(!back || s->journaled || s->made_count + s->released_count == 0);
    if (back && s->journaled) {
        take_back(s);
    }
    shrink(s->g);
    struct block **unused = back ? s->made : s->released;
    u32 count = back ? s->made_count : s->released_count;
    for (u32 i = 0; i < count; i++) {
        mem_free(unused[i]);
    }
    mem_free(s->made);
    mem_free(s->released);
    mem_free(s->members_before);
    mem_free(s->pendings_before);
    if (back) {
        *s->out = (struct group_out){.deadline_ms = INT64_MAX};
        return ERR_NO_MEMORY;
    }
    return OK;
}

static void note(struct block ***list, u32 *count, u32 *cap, struct block *b)
{
    if (*count == *cap) {
        *cap = MAX(2 * *cap, 8u);
        *list = mem_resize(*list, *cap * sizeof(struct block *));
    }
    (*list)[(*count)++] = b;
}

struct block *block_make(struct step *s, size_t size)
{
    struct block *b = mem_alloc(sizeof(*b) + size);
    b->size = size;
    s->g->bytes += sizeof(*b) + size + ALLOCATION_OVERHEAD;
    note(&s->made, &s->made_count, &s->made_cap, b);
    return b;
}

struct block *block_copy(struct step *s, struct slice bytes)
{
    struct block *b = block_make(s, bytes.len);
    if (bytes.len > 0) {
        memcpy(b->bytes, bytes.ptr, bytes.len);
    }
    return b;
}

void block_release(struct step *s, struct block *b)
{
    if (b == NULL) {
        return;
    }
    s->g->bytes -= sizeof(*b) + b->size + ALLOCATION_OVERHEAD;
    note(&s->released, &s->released_count, &s->released_cap, b);
}

/* ---- saying ------------------------------------------------------------------------------------
 */

/* A list in the arena with room for one more; NULL when the arena is full. */
static void *room_for_one(struct step *s, void *list, u32 count, u32 *cap, size_t element_bytes)
{
    if (count < *cap) {
        return list;
    }
    u32 more = MAX(2 * *cap, 4u);
    void *longer = s->arena == NULL ? NULL : arena_array(s->arena, more, element_bytes);
    if (longer == NULL) {
        s->exhausted = true;
        return NULL;
    }
    if (count > 0) {
        memcpy(longer, list, count * element_bytes);
    }
    *cap = more;
    return longer;
}

struct group_reply *reply_add(struct step *s, enum group_event_kind kind, u64 ticket, i16 kerr)
{
    struct group_reply *r = &s->nobody;
    if (ticket != 0 && !s->exhausted) {
        struct group_out *out = s->out;
        void *list =
            room_for_one(s, out->replies, out->reply_count, &s->reply_cap, sizeof(*out->replies));
        if (list != NULL) {
            out->replies = list;
            r = &out->replies[out->reply_count++];
        }
    }
    *r = (struct group_reply){.ticket = ticket,
                              .kind = kind,
                              .kerr = kerr,
                              .generation = -1,
                              .member_id = WIRE_EMPTY,
                              .leader_id = WIRE_EMPTY,
                              .assignment = WIRE_EMPTY};
    return r;
}

struct group_reply *reply(struct step *s, i16 kerr)
{
    return reply_add(s, s->ev->kind, s->ev->ticket, kerr);
}

struct slice say(struct step *s, struct slice text)
{
    if (text.ptr == NULL || s->exhausted) {
        return (struct slice){0};
    }
    if (text.len == 0) {
        return WIRE_EMPTY;
    }
    struct slice copy = arena_copy(s->arena, text);
    if (copy.ptr == NULL) {
        s->exhausted = true;
    }
    return copy;
}

static struct slice encoded(struct step *s, const struct message_def *def, i16 prefix, i16 version,
                            const void *message)
{
    size_t bytes = 2 + wire_size(def, version, message, NULL, NULL);
    u8 *buffer = arena_alloc(s->arena, bytes);
    if (buffer == NULL) {
        s->exhausted = true;
        return (struct slice){0};
    }
    struct writer w = writer_of(buffer, bytes);
    write_be16(&w, (u16)prefix);
    err_t e = wire_encode(def, version, message, &w, NULL);
    assert(e == OK);
    assert(!w.failed && w.len == bytes);
    return slice_of(buffer, bytes);
}

void record_add(struct step *s, const struct message_def *key_def, const void *key,
                const struct message_def *value_def, i16 version, const void *value)
{
    if (s->exhausted) {
        return;
    }
    struct group_out *out = s->out;
    void *list =
        room_for_one(s, out->records, out->record_count, &s->record_cap, sizeof(*out->records));
    if (list == NULL) {
        return;
    }
    out->records = list;
    struct group_record r = {
        .key = encoded(s, key_def, key_def->record_type, 0, key),
        .value = value == NULL ? (struct slice){0} : encoded(s, value_def, version, version, value),
    };
    if (!s->exhausted) {
        out->records[out->record_count++] = r;
        s->record_bytes += r.key.len + r.value.len;
    }
}
