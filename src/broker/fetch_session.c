/* The cache of fetch sessions; see fetch_session.h. Rules of ids and epochs: kafka-semantics.md 4,
   KIP-227. */
#include "broker/fetch_session.h"

#include <string.h>

#define SESSION_IDLE_NS \
    (120ull * 1000 * 1000 * 1000) /* Kafka's min.incremental.fetch.session.eviction.ms */

struct fetch_sessions {
    struct broker *broker;
    struct map64 by_id;
    struct list lru;
    struct quota quota;
};

/* Key of an item in a session: topic id or name, then the partition. The bytes stand behind the
   item. */
struct session_item {
    struct fetch_item item;
    u32 bytes;
    u32 key_bytes;
    u8 key[];
};

struct fetch_sessions *fetch_sessions_create(struct broker *b)
{
    struct fetch_sessions *s = mem_alloc(sizeof *s);
    s->broker = b;
    map64_init(&s->by_id);
    list_init(&s->lru);
    quota_init(&s->quota, "fetch sessions", &b->memory.requests, b->memory.requests.cap / 4);
    return s;
}

static bool session_evict_idle(struct fetch_sessions *s);

/* Takes what a session or an item of one weighs; while it does not fit, sessions that nobody has
   used for two minutes go, the oldest first. As in Kafka, they stay as long as there is room. */
static bool sessions_charge(struct fetch_sessions *s, u32 bytes)
{
    while (!quota_charge(&s->quota, bytes)) {
        if (!session_evict_idle(s)) {
            return false;
        }
    }
    return true;
}

/* ---- items ----------------------------------------------------------------------------------- */

static u32 key_write(u8 *key, struct slice topic, struct uuid topic_id, i32 partition, bool by_id)
{
    struct slice t = by_id ? slice_of(topic_id.bytes, sizeof topic_id.bytes) : topic;
    memcpy(key, t.ptr, t.len);
    store_be32(key + t.len, (u32)partition);
    return (u32)t.len + 4;
}

static void session_drop_item(struct fetch_sessions *s, struct fetch_session *session,
                              struct session_item *si)
{
    map_slice_remove(&session->items_by_key, slice_of(si->key, si->key_bytes));
    list_remove(&si->item.node);
    session->bytes -= si->bytes;
    quota_release(&s->quota, si->bytes);
    mem_free(si);
}

/* The item of a partition, made when new. NULL: the cap is reached. */
static struct fetch_item *session_item(struct fetch_sessions *s, struct fetch_session *session,
                                       struct slice topic, struct uuid topic_id, i32 partition)
{
    u8 key[UINT16_MAX + 4];
    if (topic.len > UINT16_MAX) {
        return NULL;
    }
    u32 key_bytes = key_write(key, topic, topic_id, partition, session->by_id);
    struct session_item *si = map_slice_get(&session->items_by_key, slice_of(key, key_bytes));
    if (si != NULL) {
        return &si->item;
    }
    u32 bytes = (u32)sizeof *si + key_bytes + 64; /* 64: its entry in the map */
    if (!sessions_charge(s, bytes)) {
        return NULL;
    }
    si = mem_alloc(sizeof *si + key_bytes);
    si->bytes = bytes;
    si->key_bytes = key_bytes;
    memcpy(si->key, key, key_bytes);
    si->item.topic_id = topic_id;
    si->item.topic = session->by_id ? (struct slice){0} : slice_of(si->key, topic.len);
    si->item.partition = partition;
    si->item.sent_high_watermark = -1;
    si->item.sent_log_start = -1;
    session->bytes += bytes;
    map_slice_put(&session->items_by_key, slice_of(si->key, si->key_bytes), si);
    list_push_back(&session->items, &si->item.node);
    return &si->item;
}

static void item_want(struct fetch_item *item, const struct fetch_request_partition *q)
{
    item->max_bytes = q->partition_max_bytes;
    item->offset = q->fetch_offset;
    item->leader_epoch = q->current_leader_epoch;
    item->last_fetched_epoch = q->last_fetched_epoch;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void session_destroy(struct fetch_sessions *s, struct fetch_session *session)
{
    while (!list_empty(&session->items)) {
        struct fetch_item *item =
            CONTAINER_OF(list_first(&session->items), struct fetch_item, node);
        session_drop_item(s, session, CONTAINER_OF(item, struct session_item, item));
    }
    map_slice_fini(&session->items_by_key);
    map64_remove(&s->by_id, (u64)session->id);
    list_remove(&session->node);
    quota_release(&s->quota, sizeof *session);
    mem_free(session);
}

void fetch_sessions_destroy(struct fetch_sessions *s)
{
    while (!list_empty(&s->lru)) {
        session_destroy(s, CONTAINER_OF(list_first(&s->lru), struct fetch_session, node));
    }
    map64_fini(&s->by_id);
    mem_free(s);
}

static bool session_evict_idle(struct fetch_sessions *s)
{
    u64 now = io_now_ns(s->broker->io);
    LIST_EACH (&s->lru, node) {
        struct fetch_session *session = CONTAINER_OF(node, struct fetch_session, node);
        if (now - session->used_ns < SESSION_IDLE_NS) {
            break;
        }
        if (!session->in_use) {
            session_destroy(s, session);
            return true;
        }
    }
    return false;
}

static struct fetch_session *session_create(struct fetch_sessions *s, bool by_id)
{
    if (!sessions_charge(s, sizeof(struct fetch_session))) {
        return NULL;
    }
    struct fetch_session *session = mem_alloc(sizeof *session);
    do {
        io_random(s->broker->io, &session->id, sizeof session->id);
        session->id &= INT32_MAX;
    } while (session->id == 0 || map64_get(&s->by_id, (u64)session->id) != NULL);
    session->by_id = by_id;
    session->epoch = 1;
    session->used_ns = io_now_ns(s->broker->io);
    list_init(&session->items);
    map_slice_init(&session->items_by_key);
    map64_put(&s->by_id, (u64)session->id, session);
    list_push_back(&s->lru, &session->node);
    return session;
}

static void session_touch(struct fetch_sessions *s, struct fetch_session *session)
{
    session->used_ns = io_now_ns(s->broker->io);
    list_remove(&session->node);
    list_push_back(&s->lru, &session->node);
}

struct fetch_session *fetch_session_find(struct fetch_sessions *s, i32 id)
{
    return id == 0 ? NULL : map64_get(&s->by_id, (u64)id);
}

/* ---- contexts -------------------------------------------------------------------------------- */

static bool own_items(struct request *r, const struct fetch_request *q, struct fetch_context *out)
{
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct fetch_request_topic *t = &q->topics.items[i];
        struct slice name = t->topic.len > 0 ? arena_copy(&r->arena, t->topic)
                                             : WIRE_EMPTY; /* by name, also by "" */
        struct fetch_item *items = arena_array(&r->arena, t->partitions.count, sizeof *items);
        if (t->partitions.count > 0 && items == NULL) {
            return false;
        }
        for (u32 k = 0; k < t->partitions.count; k++) {
            items[k].topic = r->version >= 13 ? (struct slice){0} : name;
            items[k].topic_id = t->topic_id;
            items[k].partition = t->partitions.items[k].partition;
            items[k].sent_high_watermark = -1;
            items[k].sent_log_start = -1;
            item_want(&items[k], &t->partitions.items[k]);
            list_push_back(&out->own_items, &items[k].node);
        }
    }
    return true;
}

/* Adds and changes what the request lists. false: the cap is reached. */
static bool session_update(struct fetch_sessions *s, struct fetch_session *session,
                           const struct fetch_request *q)
{
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct fetch_request_topic *t = &q->topics.items[i];
        for (u32 k = 0; k < t->partitions.count; k++) {
            struct fetch_item *item =
                session_item(s, session, t->topic, t->topic_id, t->partitions.items[k].partition);
            if (item == NULL) {
                return false;
            }
            item_want(item, &t->partitions.items[k]);
        }
    }
    return true;
}

static void session_forget(struct fetch_sessions *s, struct fetch_session *session,
                           const struct fetch_request *q)
{
    for (u32 i = 0; i < q->forgotten_topics_data.count; i++) {
        const struct fetch_request_forgotten_topic *t = &q->forgotten_topics_data.items[i];
        u8 key[UINT16_MAX + 4];
        if (t->topic.len > UINT16_MAX) {
            continue;
        }
        for (u32 k = 0; k < t->partitions.count; k++) {
            u32 n = key_write(key, t->topic, t->topic_id, t->partitions.items[k], session->by_id);
            struct session_item *si = map_slice_get(&session->items_by_key, slice_of(key, n));
            if (si != NULL) {
                session_drop_item(s, session, si);
            }
        }
    }
}

static bool context_full(struct request *r, const struct fetch_request *q,
                         struct fetch_context *out)
{
    struct fetch_sessions *s = r->broker->fetch_sessions;
    struct fetch_session *old = fetch_session_find(s, q->session_id);
    if (old != NULL && !old->in_use) {
        session_destroy(s, old);
    }
    bool wants_session = q->session_epoch == 0;
    struct fetch_session *session = wants_session ? session_create(s, r->version >= 13) : NULL;
    if (session != NULL && !session_update(s, session, q)) {
        session_destroy(s, session);
        session = NULL;
    }
    if (session == NULL) {
        return own_items(r, q, out);
    }
    session->in_use = true;
    out->session = session;
    out->answer_session_id = session->id;
    out->items = &session->items;
    return true;
}

bool fetch_context_open(struct request *r, const struct fetch_request *q, struct fetch_context *out)
{
    *out = (struct fetch_context){0};
    list_init(&out->own_items);
    out->items = &out->own_items;
    if (q->session_epoch == 0 || q->session_epoch == -1) {
        return context_full(r, q, out);
    }
    struct fetch_sessions *s = r->broker->fetch_sessions;
    struct fetch_session *session = fetch_session_find(s, q->session_id);
    if (session == NULL || session->in_use) {
        out->kerr = KERR_FETCH_SESSION_ID_NOT_FOUND;
        return true;
    }
    if (session->epoch != q->session_epoch) {
        out->kerr = KERR_INVALID_FETCH_SESSION_EPOCH;
        return true;
    }
    if (session->by_id != (r->version >= 13)) {
        out->kerr = KERR_FETCH_SESSION_TOPIC_ID_ERROR;
        return true;
    }
    session_touch(s, session); /* before it grows: what is idle may have to make room for it */
    session_forget(s, session, q);
    if (!session_update(s, session, q)) {
        /* The client starts a full fetch then, and gets session 0. */
        session_destroy(s, session);
        out->kerr = KERR_FETCH_SESSION_ID_NOT_FOUND;
        return true;
    }
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    out->session = session;
    out->answer_session_id = session->id;
    out->incremental = true;
    out->items = &session->items;
    session->in_use = true;
    return true;
}

void fetch_context_close(struct fetch_context *c)
{
    if (c->session != NULL) {
        c->session->in_use = false;
    }
}
