/* Members and pending ids as they are kept, and what is asked about them: who is who, which
   protocol fits all, which topics they subscribe to. Members stand in the order in which they came.
   Their bytes are blocks of the group; a block is never changed, only replaced. */
#include "coord/group/group_private.h"

#include <stdlib.h>

/* ---- who is who -------------------------------------------------------------------------------
 */

static u32 hash_of(struct slice id)
{
    return (u32)slice_hash(id, 0);
}

i32 member_find(const struct group *g, struct slice id)
{
    u32 hash = hash_of(id);
    for (u32 i = 0; i < g->member_count; i++) {
        if (g->members[i].id_hash == hash && slice_eq(g->members[i].id, id)) {
            return (i32)i;
        }
    }
    return -1;
}

i32 member_by_instance(const struct group *g, struct slice instance_id)
{
    for (u32 i = 0; i < g->member_count; i++) {
        const struct member *m = &g->members[i];
        if (m->instance_id.ptr != NULL && slice_eq(m->instance_id, instance_id)) {
            return (i32)i;
        }
    }
    return -1;
}

i16 member_check(const struct group *g, struct slice id, struct slice instance_id)
{
    if (instance_id.ptr != NULL) {
        i32 owner = member_by_instance(g, instance_id);
        if (owner < 0) {
            return KERR_UNKNOWN_MEMBER_ID;
        }
        return slice_eq(g->members[owner].id, id) ? KERR_NONE : KERR_FENCED_INSTANCE_ID;
    }
    return member_find(g, id) < 0 ? KERR_UNKNOWN_MEMBER_ID : KERR_NONE;
}

i32 pending_find(const struct group *g, struct slice id)
{
    for (u32 i = 0; i < g->pending_count; i++) {
        if (slice_eq(block_slice(g->pendings[i].id), id)) {
            return (i32)i;
        }
    }
    return -1;
}

/* ---- members come and go ------------------------------------------------------------------- */

static struct slice put(u8 **at, struct slice text)
{
    struct slice placed = {*at, text.len};
    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
    }
    *at += text.len;
    return placed;
}

static void identity_set(struct step *s, struct member *m, struct slice id,
                         struct slice instance_id, struct slice client_id, struct slice client_host)
{
    struct block *b = block_make(s, id.len + instance_id.len + client_id.len + client_host.len);
    u8 *at = b->bytes;
    struct block *old = m->identity;
    m->identity = b;
    m->id = put(&at, id);
    m->instance_id = instance_id.ptr == NULL ? (struct slice){0} : put(&at, instance_id);
    m->client_id = put(&at, client_id);
    m->client_host = put(&at, client_host);
    m->id_hash = hash_of(id);
    s->g->members_bytes += b->size;
    if (old != NULL) {
        s->g->members_bytes -= old->size;
        block_release(s, old);
    }
}

static void *array_grow(struct group *g, void *array, u32 *cap, size_t element_bytes)
{
    u32 more = MAX(2 * *cap, 2u);
    g->bytes += array_bytes(more, element_bytes) - array_bytes(*cap, element_bytes);
    *cap = more;
    return mem_resize(array, more * element_bytes);
}

struct member *member_add(struct step *s, struct slice id, struct slice instance_id,
                          struct slice client_id, struct slice client_host)
{
    struct group *g = s->g;
    assert(id.len > 0);
    assert(member_find(g, id) < 0);
    assert(instance_id.ptr == NULL || member_by_instance(g, instance_id) < 0);
    if (g->member_count == g->member_cap) {
        g->members = array_grow(g, g->members, &g->member_cap, sizeof(struct member));
    }
    struct member *m = &g->members[g->member_count++];
    *m = (struct member){.session_deadline_ms = INT64_MAX};
    identity_set(s, m, id, instance_id, client_id, client_host);
    return m;
}

void member_rename(struct step *s, struct member *m, struct slice id, struct slice client_id,
                   struct slice client_host)
{
    identity_set(s, m, id, m->instance_id, client_id, client_host);
}

void member_remove(struct step *s, u32 index)
{
    struct group *g = s->g;
    assert(index < g->member_count);
    struct member *m = &g->members[index];
    assert(m->join_ticket == 0 && m->sync_ticket == 0);
    g->members_bytes -= m->identity->size + m->supported->size;
    block_release(s, m->identity);
    block_release(s, m->supported);
    block_release(s, m->assignment);
    g->member_count--;
    memmove(m, m + 1, (g->member_count - index) * sizeof(*m));
    if (g->leader == (i32)index) {
        g->leader = g->member_count > 0 ? 0 : -1;
    } else if (g->leader > (i32)index) {
        g->leader--;
    }
}

void members_clear(struct step *s)
{
    while (s->g->member_count > 0) {
        member_remove(s, s->g->member_count - 1);
    }
}

void pending_add(struct step *s, struct slice id, i64 deadline_ms)
{
    struct group *g = s->g;
    assert(pending_find(g, id) < 0);
    if (g->pending_count == g->pending_cap) {
        g->pendings = array_grow(g, g->pendings, &g->pending_cap, sizeof(struct pending));
    }
    g->pendings[g->pending_count++] = (struct pending){block_copy(s, id), deadline_ms};
}

void pending_remove(struct step *s, u32 index)
{
    struct group *g = s->g;
    assert(index < g->pending_count);
    block_release(s, g->pendings[index].id);
    g->pending_count--;
    memmove(&g->pendings[index], &g->pendings[index + 1],
            (g->pending_count - index) * sizeof(struct pending));
}

void member_session_restart(const struct step *s, struct member *m)
{
    m->session_deadline_ms = s->now_ms + MAX(m->session_timeout_ms, 1);
}

/* ---- protocols ----------------------------------------------------------------------------- */

static const struct group_protocol *protocol_find(const struct group_protocol *list, u32 count,
                                                  struct slice name)
{
    for (u32 i = 0; i < count; i++) {
        if (slice_eq(list[i].name, name)) {
            return &list[i];
        }
    }
    return NULL;
}

u64 member_bytes_of(const struct group_event *ev, struct slice id)
{
    u64 bytes = id.len + ev->instance_id.len + ev->join.client_id.len + ev->join.client_host.len;
    for (u32 i = 0; i < ev->join.protocol_count; i++) {
        const struct group_protocol *p = &ev->join.protocols[i];
        bytes += sizeof(*p) + p->name.len + p->metadata.len;
    }
    return bytes;
}

/* A name that comes twice counts once, as first given. */
void member_set_protocols(struct step *s, struct member *m, const struct group_protocol *protocols,
                          u32 count)
{
    struct group *g = s->g;
    size_t bytes = 0;
    for (u32 i = 0; i < count; i++) {
        bytes += sizeof(*protocols) + protocols[i].name.len + protocols[i].metadata.len;
    }
    struct block *b = block_make(s, bytes);
    struct group_protocol *list = (struct group_protocol *)(void *)b->bytes;
    u8 *at = b->bytes + count * sizeof(*list);
    u32 kept = 0;
    for (u32 i = 0; i < count; i++) {
        if (protocol_find(list, kept, protocols[i].name) == NULL) {
            list[kept].name = put(&at, protocols[i].name);
            list[kept].metadata = put(&at, protocols[i].metadata);
            kept++;
        }
    }
    if (m->supported != NULL) {
        g->members_bytes -= m->supported->size;
        block_release(s, m->supported);
    }
    g->members_bytes += b->size;
    m->supported = b;
    m->protocols = list;
    m->protocol_count = kept;
}

bool member_has_protocols(const struct member *m, const struct group_protocol *protocols, u32 count)
{
    u32 next = 0;
    for (u32 i = 0; i < count; i++) {
        if (protocol_find(protocols, i, protocols[i].name) != NULL) {
            continue; /* a name that came before */
        }
        if (next == m->protocol_count || !slice_eq(m->protocols[next].name, protocols[i].name) ||
            !slice_eq(m->protocols[next].metadata, protocols[i].metadata)) {
            return false;
        }
        next++;
    }
    return next == m->protocol_count;
}

void member_set_assignment(struct step *s, struct member *m, struct slice bytes)
{
    struct block *old = m->assignment;
    m->assignment = bytes.len == 0 ? NULL : block_copy(s, bytes);
    block_release(s, old);
}

struct slice member_metadata(const struct group *g, const struct member *m)
{
    assert(g->protocol_name != NULL);
    const struct group_protocol *p =
        protocol_find(m->protocols, m->protocol_count, block_slice(g->protocol_name));
    return p == NULL || p->metadata.len == 0 ? WIRE_EMPTY : p->metadata;
}

void group_set_text(struct step *s, struct block **place, struct slice text)
{
    if (*place != NULL && text.ptr != NULL && slice_eq(block_slice(*place), text)) {
        return;
    }
    struct block *old = *place;
    *place = text.ptr == NULL ? NULL : block_copy(s, text);
    block_release(s, old);
}

static bool all_have(const struct group *g, struct slice name)
{
    for (u32 i = 0; i < g->member_count; i++) {
        if (protocol_find(g->members[i].protocols, g->members[i].protocol_count, name) == NULL) {
            return false;
        }
    }
    return true;
}

bool group_supports(const struct group *g, struct slice type,
                    const struct group_protocol *protocols, u32 count)
{
    if (count == 0 || count > PROTOCOLS_MAX || type.len == 0) {
        return false;
    }
    if (g->state == GROUP_EMPTY) {
        return true;
    }
    if (g->protocol_type == NULL || !slice_eq(block_slice(g->protocol_type), type)) {
        return false;
    }
    for (u32 i = 0; i < count; i++) {
        if (all_have(g, protocols[i].name)) {
            return true;
        }
    }
    return false;
}

/* Candidates are those of the first member that all others have too: at most PROTOCOLS_MAX. Of
   equally many votes the first member's preference decides. */
struct slice group_vote(const struct group *g)
{
    assert(g->member_count > 0);
    const struct member *first = &g->members[0];
    bool candidate[PROTOCOLS_MAX] = {false};
    u32 votes[PROTOCOLS_MAX] = {0};
    for (u32 i = 0; i < first->protocol_count; i++) {
        candidate[i] = all_have(g, first->protocols[i].name);
    }
    for (u32 i = 0; i < g->member_count; i++) {
        const struct member *m = &g->members[i];
        for (u32 k = 0; k < m->protocol_count; k++) {
            const struct group_protocol *p =
                protocol_find(first->protocols, first->protocol_count, m->protocols[k].name);
            if (p != NULL && candidate[p - first->protocols]) {
                votes[p - first->protocols]++;
                break;
            }
        }
    }
    u32 best = 0;
    for (u32 i = 1; i < first->protocol_count; i++) {
        best = votes[i] > votes[best] ? i : best;
    }
    assert(votes[best] > 0); /* nobody was let in who shares no protocol with all others */
    return first->protocols[best].name;
}

i32 group_rebalance_timeout(const struct group *g)
{
    i32 longest = 0;
    for (u32 i = 0; i < g->member_count; i++) {
        longest = MAX(longest, g->members[i].rebalance_timeout_ms);
    }
    return longest;
}

/* ---- subscriptions ------------------------------------------------------------------------- */

bool group_is_consumer(const struct group *g)
{
    return g->protocol_type != NULL && slice_eq_cstr(block_slice(g->protocol_type), "consumer");
}

/* Read as version 0, which every version begins with: int16 version, array of topics, user data.
   Clients send all kinds of things behind that. */
bool subscription_topics(struct slice metadata, void (*found)(void *context, struct slice topic),
                         void *context)
{
    struct reader r = reader_of(metadata);
    i16 version = (i16)read_be16(&r);
    i32 count = (i32)read_be32(&r);
    if (r.failed || version < 0 || count < 0) {
        return false;
    }
    for (i32 i = 0; i < count && !r.failed; i++) {
        i16 len = (i16)read_be16(&r);
        struct slice topic = len < 0 ? (struct slice){0} : read_bytes(&r, (size_t)len);
        if (len < 0) {
            return false;
        }
        if (!r.failed) {
            found(context, topic);
        }
    }
    i32 user_bytes = (i32)read_be32(&r);
    if (user_bytes > 0) {
        (void)read_bytes(&r, (size_t)user_bytes);
    }
    return !r.failed;
}

static void count_one(void *context, struct slice topic)
{
    (void)topic;
    ++*(u32 *)context;
}

static void collect(void *context, struct slice topic)
{
    struct subscriptions *all = context;
    all->topics[all->count++] = topic;
}

static int by_name(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

void subscriptions_init(struct subscriptions *all, const struct group *g)
{
    *all = (struct subscriptions){0};
    if (!group_is_consumer(g)) {
        return;
    }
    u32 count = 0;
    for (u32 i = 0; i < g->member_count && !all->to_anything; i++) {
        all->to_anything =
            g->protocol_name == NULL ||
            !subscription_topics(member_metadata(g, &g->members[i]), count_one, &count);
    }
    all->to_anything = all->to_anything || count > SUBSCRIBED_MAX;
    if (all->to_anything || count == 0) {
        return;
    }
    all->topics = mem_alloc(count * sizeof(*all->topics));
    for (u32 i = 0; i < g->member_count; i++) {
        bool readable = subscription_topics(member_metadata(g, &g->members[i]), collect, all);
        assert(readable);
    }
    assert(all->count == count);
    qsort(all->topics, count, sizeof(*all->topics), by_name);
}

void subscriptions_fini(struct subscriptions *all)
{
    mem_free(all->topics);
    *all = (struct subscriptions){0};
}

bool subscriptions_have(const struct subscriptions *all, struct slice topic)
{
    return all->to_anything || (all->count > 0 && bsearch(&topic, all->topics, all->count,
                                                          sizeof(*all->topics), by_name) != NULL);
}

bool group_subscribes(const struct group *g, struct slice topic)
{
    struct subscriptions all;
    subscriptions_init(&all, g);
    bool there = subscriptions_have(&all, topic);
    subscriptions_fini(&all);
    return there;
}
