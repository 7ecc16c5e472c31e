/* Fetch (API key 1): long poll over partitions, answers made of log ranges [kafka-semantics.md 4;
   KIP-74, 227, 320, 516].

   Happy path
     context (session or not) -> probe every wanted partition: how many bytes could be sent now?
     enough, an error, or no wishes to wait: build the answer from ranges; nothing is copied here
       (reply.c sends). Only where an offset lies inside a run that is not in memory the run is read
       meanwhile, to begin with the right batch.
     else park: one watch per partition and a timer. When watermarks moved, the waiter hook probes
       only those partitions again, once per turn, and answers when there is enough.

   How it ends otherwise
     max wait is over: the answer has what there is, perhaps nothing
     a run cannot be read: the error is its partition's
     the connection goes away: watches, timer and load are taken down, the session stays */
#include "broker/fetch_session.h"

#include "broker/conn.h"
#include "broker/traffic.h"

#include <string.h>

enum { TOP_LEVEL_ERROR_FROM = 13, NODE_ENDPOINTS_FROM = 16, ANSWER_RANGES_MAX = 16384 };
enum { ANSWER_LOADS_MAX = 64 }; /* for cutting runs, one after the other: that costs time */
#define MAX_WAIT_MS 300000      /* a parked request costs memory: nobody waits longer */

struct fetch_watch {
    struct partition_watch watch;
    struct fetch *fetch;
    struct fetch_item *item;
    u32 bytes; /* that could be sent, at the last probe */
    struct fetch_watch *next_moved;
    bool moved;
};

struct fetch {
    struct list_node parked_node; /* broker->parked_fetches */
    struct list_node ready_node;  /* broker->ready_waiters, when something moved */
    struct request *r;
    struct fetch_context context;
    struct io_timer timer;
    struct fetch_watch *watches;
    u32 watch_count;
    struct fetch_watch *moved;
    struct answer *answer; /* being built; NULL: not yet */
    u64 bytes;             /* sum over watches */
    i32 min_bytes;
    u32 max_bytes;
    bool read_committed;
};

/* ---- one partition --------------------------------------------------------------------------- */

/* Where an item points now. kerr is its error, or NONE with the partition. */
struct fetch_target {
    i16 kerr;
    const struct meta_topic *topic;
    struct partition *partition;
    struct partition_info info;
    bool diverging;
    i32 diverging_epoch;
    i64 diverging_end;
};

static void check_divergence(const struct fetch_item *item, struct fetch_target *t)
{
    if (item->last_fetched_epoch < 0) {
        return;
    }
    i32 epoch;
    i64 end;
    partition_end_offset_for_epoch(t->partition, item->last_fetched_epoch, &epoch, &end);
    if (epoch < 0 || end < 0) {
        t->kerr = KERR_OFFSET_OUT_OF_RANGE;
    } else if (epoch < item->last_fetched_epoch || end < item->offset) {
        t->diverging = true;
        t->diverging_epoch = epoch;
        t->diverging_end = end;
    }
}

static void fetch_find(struct fetch *f, const struct fetch_item *item, struct fetch_target *t)
{
    struct request *r = f->r;
    *t = (struct fetch_target){0};
    t->topic = request_topic(r, item->topic, item->topic_id, item->topic.ptr == NULL, &t->kerr);
    if (t->topic == NULL) {
        return;
    }
    t->partition = cluster_partition(r->broker->cluster, t->topic, item->partition);
    if (t->partition == NULL) {
        t->kerr = KERR_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    partition_info(t->partition, &t->info);
    t->kerr = request_check_epoch(r, t->topic, MAX(item->leader_epoch, -1));
    if (t->kerr == KERR_NONE) {
        check_divergence(item, t);
    }
}

static u64 fetch_limit(const struct fetch *f, const struct partition_info *info)
{
    return f->read_committed ? info->last_stable_offset : info->high_watermark;
}

/* Reads ranges for an item (what is asked for stands in `read`, but for the limit); the error of
   the partition if there is one. Nothing for offsets between limit and end. *again: the partition
   has to be asked once more, when read->run has been read. */
static i16 fetch_read(struct fetch *f, const struct fetch_item *item, const struct fetch_target *t,
                      struct partition_read *read, bool *again)
{
    read->range_count = 0;
    read->bytes = 0;
    read->next_offset = read->offset;
    *again = false;
    if (item->offset < 0 || (u64)item->offset < t->info.log_start_offset ||
        (u64)item->offset > t->info.log_end_offset) {
        return KERR_OFFSET_OUT_OF_RANGE;
    }
    if (t->diverging || read->offset >= fetch_limit(f, &t->info)) {
        return KERR_NONE;
    }
    read->limit_offset = fetch_limit(f, &t->info);
    err_t e = partition_read(t->partition, read);
    switch (e) {
    case OK:
        return KERR_NONE;
    case ERR_AGAIN:
        *again = true;
        return KERR_NONE;
    case ERR_NOT_FOUND:
        return KERR_OFFSET_OUT_OF_RANGE;
    default:
        return KERR_KAFKA_STORAGE_ERROR;
    }
}

static u32 item_max_bytes(const struct fetch *f, const struct fetch_item *item)
{
    u32 own = item->max_bytes < 0 ? 0 : (u32)item->max_bytes;
    return MIN(own, f->max_bytes);
}

/* Bytes that could be sent for an item now, or a little more: a run that is not in memory counts
   whole. *urgent: something that must be told at once. */
static u32 fetch_probe(struct fetch *f, const struct fetch_item *item, struct partition **partition,
                       bool *urgent)
{
    struct fetch_target t;
    fetch_find(f, item, &t);
    *partition = t.partition;
    if (t.kerr != KERR_NONE || t.diverging) {
        *urgent = true;
        return 0;
    }
    struct partition_read read = {.offset = (u64)item->offset,
                                  .bytes_max = item_max_bytes(f, item),
                                  .one_batch = true,
                                  .whole_runs = true};
    bool again;
    if (fetch_read(f, item, &t, &read, &again) != KERR_NONE) {
        *urgent = true;
        return 0;
    }
    return read.bytes;
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct answer {
    struct fetch *fetch;
    struct fetch_response response;
    struct list_node *at;   /* the item whose turn it is */
    struct list_node *last; /* those that were served move to the end, and come behind it */
    struct reply_hole *holes;
    u32 hole_count;
    u32 hole_cap;
    u32 bytes_left;
    u32 ranges_left;
    u32 range_cap; /* of the hole being filled */
    bool any_bytes;
    u32 topic_cap;
    u32 partition_cap; /* of the topic being filled */

    /* The first run of the item at `at`, where it has to be cut. */
    struct log_load load;
    u32 loads;         /* that were waited for */
    bool load_waits;   /* load.done will call */
    bool load_is_held; /* its bytes are here */
    err_t load_failure;
};

enum item_outcome { ITEM_DONE, ITEM_WAITS, ITEM_NO_MEMORY };

/* ---- cutting the first run ------------------------------------------------------------------- */

static void answer_build(struct answer *a);

static void cut_loaded(struct log_load *load, err_t result)
{
    struct answer *a = CONTAINER_OF(load, struct answer, load);
    a->load_waits = false;
    a->fetch->r->broker->loads_waiting--;
    a->load_is_held = result == OK;
    a->load_failure = result;
    answer_build(a);
}

static void cut_release(struct answer *a)
{
    log_load_release(&a->load);
    a->load_is_held = false;
}

static void cut_load(struct answer *a, const struct log_range *run)
{
    struct request *r = a->fetch->r;
    a->load.done = cut_loaded;
    a->load.range = *run;
    if (log_load_at_hand(r->broker->log, &a->load)) {
        a->load_is_held = true;
        return;
    }
    request_release_frame(r);
    a->load_waits = true;
    a->loads++;
    r->broker->loads_waiting++;
    conn_watch_stall(r->conn); /* those who hold buffers and do not read have less time now */
    log_load(r->broker->log, &a->load);
}

/* Is what was loaded still the run that is asked for? It may have been filed meanwhile. */
static bool cut_is_of(const struct answer *a, const struct log_range *run)
{
    const struct log_range *loaded = &a->load.range;
    return a->load_is_held && loaded->object == run->object && loaded->slot == run->slot &&
           loaded->pos == run->pos && loaded->bytes == run->bytes;
}

/* fetch_read, with the first run cut where need be. *waits: it is being read, ask again then. A
   partition that needs more reading than an answer is worth has nothing in this one. */
static i16 read_cut(struct answer *a, const struct fetch_item *item, const struct fetch_target *t,
                    struct partition_read *read, bool *waits)
{
    struct partition_cut cut;
    bool again;
    i16 kerr = fetch_read(a->fetch, item, t, read, &again);
    while (again && !a->load_waits) {
        if (cut_is_of(a, &read->run)) {
            partition_cut(read, a->load.data, a->load.bytes, &cut);
            read->cut = &cut;
            kerr = fetch_read(a->fetch, item, t, read, &again);
            assert(!again);
            break;
        }
        if (a->load_is_held) {
            cut_release(a);
        }
        if (a->load_failure != OK) {
            kerr = KERR_KAFKA_STORAGE_ERROR;
            break;
        }
        if (a->loads == ANSWER_LOADS_MAX) {
            break;
        }
        cut_load(a, &read->run);
    }
    if (a->load_is_held) {
        cut_release(a);
    }
    *waits = a->load_waits;
    return kerr;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool hole_reserve(struct fetch *f, struct answer *a, struct reply_hole *hole, u32 more)
{
    if (hole->range_count + more <= a->range_cap) {
        return true;
    }
    u32 cap = MAX(2 * a->range_cap, hole->range_count + more);
    struct log_range *grown = arena_array(&f->r->arena, cap, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    if (hole->range_count > 0) {
        memcpy(grown, hole->ranges, hole->range_count * sizeof *grown);
    }
    hole->ranges = grown;
    a->range_cap = cap;
    return true;
}

/* Ranges of one partition, more than one read if runs are small, as many as the answer may still
   have. */
static enum item_outcome item_ranges(struct fetch *f, const struct fetch_item *item,
                                     const struct fetch_target *t, struct answer *a,
                                     struct reply_hole *hole, u64 *bytes, i16 *kerr)
{
    u32 max = MIN(item_max_bytes(f, item), a->bytes_left);
    u64 offset = (u64)item->offset;
    *bytes = 0;
    *hole = (struct reply_hole){0};
    a->range_cap = 0;
    for (;;) {
        struct partition_read read = {.offset = offset,
                                      .bytes_max = max - (u32)MIN((u64)max, *bytes),
                                      .one_batch = !a->any_bytes && *bytes == 0,
                                      .whole_runs = *bytes > 0};
        bool waits;
        *kerr = read_cut(a, item, t, &read, &waits);
        if (waits) {
            return ITEM_WAITS;
        }
        if (*kerr != KERR_NONE && *bytes > 0) {
            *kerr = KERR_NONE; /* what is good before the bad batch is sent first */
            return ITEM_DONE;
        }
        u32 count = MIN(read.range_count, a->ranges_left);
        if (*kerr != KERR_NONE || count == 0) {
            return ITEM_DONE;
        }
        if (!hole_reserve(f, a, hole, count)) {
            return *bytes > 0 ? ITEM_DONE : ITEM_NO_MEMORY;
        }
        memcpy(hole->ranges + hole->range_count, read.ranges, count * sizeof read.ranges[0]);
        hole->range_count += count;
        a->ranges_left -= count;
        for (u32 i = 0; i < count; i++) {
            *bytes += read.ranges[i].bytes;
        }
        offset = read.next_offset;
        if (read.range_count < PARTITION_READ_RANGES_MAX || *bytes >= max || a->ranges_left == 0) {
            return ITEM_DONE;
        }
    }
}

/* How many ranges an answer may have: each costs memory until it is sent, however small it is, and
   a consumer that is far behind in small batches must get an answer with little memory too, not
   none. */
static u32 answer_ranges_max(const struct fetch *f)
{
    enum { RANGE_COST_BYTES = 2 * sizeof(struct log_range) + sizeof(struct reply_part) };
    u64 affordable = quota_left(&f->r->broker->memory.requests) / 4 / RANGE_COST_BYTES;
    return (u32)MIN(MAX(affordable, (u64)PARTITION_READ_RANGES_MAX), (u64)ANSWER_RANGES_MAX);
}

static void fill_partition(struct fetch *f, const struct fetch_item *item,
                           const struct fetch_target *t, i16 kerr,
                           struct fetch_response_partition_data *out)
{
    out->partition_index = item->partition;
    out->error_code = kerr;
    /* As Kafka: an empty list where the partition is unknown, null where reading it failed. */
    bool unknown = kerr == KERR_UNKNOWN_TOPIC_OR_PARTITION || kerr == KERR_UNKNOWN_TOPIC_ID;
    out->aborted_transactions.is_null = kerr == KERR_NONE ? !f->read_committed : !unknown;
    bool known = kerr == KERR_NONE;
    out->high_watermark = known ? (i64)t->info.high_watermark : -1;
    out->last_stable_offset = known ? (i64)t->info.last_stable_offset : -1;
    out->log_start_offset = known ? (i64)t->info.log_start_offset : -1;
    out->records.bytes = WIRE_EMPTY;
    if (t->diverging) {
        out->diverging_epoch.epoch = t->diverging_epoch;
        out->diverging_epoch.end_offset = t->diverging_end;
    }
    if (kerr == KERR_FENCED_LEADER_EPOCH && f->r->version >= NODE_ENDPOINTS_FROM) {
        out->current_leader.leader_id = BROKER_NODE_ID;
        out->current_leader.leader_epoch = t->info.leader_epoch;
    }
}

/* The next partition row, in the topic's group if the item before had the same topic. NULL: the
   arena is full. */
static struct fetch_response_partition_data *answer_row(struct fetch *f, struct answer *a,
                                                        const struct fetch_item *item)
{
    struct arena *arena = &f->r->arena;
    struct fetch_response_fetchable_topic_array *topics = &a->response.responses;
    struct fetch_response_fetchable_topic *last =
        topics->count > 0 ? &topics->items[topics->count - 1] : NULL;
    bool same = last != NULL && (item->topic.ptr != NULL ? slice_eq(last->topic, item->topic)
                                                         : uuid_eq(last->topic_id, item->topic_id));
    if (!same) {
        if (topics->count == a->topic_cap) {
            u32 cap = MAX(4u, a->topic_cap * 2);
            struct fetch_response_fetchable_topic *grown =
                wire_new(&fetch_response_fetchable_topic_struct, arena, cap);
            if (grown == NULL) {
                return NULL;
            }
            if (topics->count > 0) {
                memcpy(grown, topics->items, topics->count * sizeof *grown);
            }
            topics->items = grown;
            a->topic_cap = cap;
        }
        last = &topics->items[topics->count++];
        last->topic = arena_copy(arena, item->topic);
        last->topic_id = item->topic_id;
        a->partition_cap = 0;
    }
    if (last->partitions.count == a->partition_cap) {
        u32 cap = MAX(4u, a->partition_cap * 2);
        struct fetch_response_partition_data *grown =
            wire_new(&fetch_response_partition_data_struct, arena, cap);
        if (grown == NULL) {
            return NULL;
        }
        if (last->partitions.count > 0) {
            if (last->partitions.count > 0) {
                memcpy(grown, last->partitions.items, last->partitions.count * sizeof *grown);
            }
        }
        last->partitions.items = grown;
        a->partition_cap = cap;
    }
    return &last->partitions.items[last->partitions.count++];
}

static bool answer_hole(struct fetch *f, struct answer *a, const struct reply_hole *hole)
{
    if (a->hole_count == a->hole_cap) {
        u32 cap = MAX(8u, a->hole_cap * 2);
        struct reply_hole *grown = arena_array(&f->r->arena, cap, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        if (a->hole_count > 0) {
            if (a->hole_count > 0) {
                memcpy(grown, a->holes, a->hole_count * sizeof *grown);
            }
        }
        a->holes = grown;
        a->hole_cap = cap;
    }
    a->holes[a->hole_count++] = *hole;
    return true;
}

/* One item into the answer, unless an incremental answer has no news of it. */
static enum item_outcome answer_item(struct fetch *f, struct answer *a, struct fetch_item *item)
{
    struct fetch_target t;
    fetch_find(f, item, &t);
    struct reply_hole hole = {0};
    u64 bytes = 0;
    i16 kerr = t.kerr;
    if (kerr == KERR_NONE) {
        enum item_outcome outcome = item_ranges(f, item, &t, a, &hole, &bytes, &kerr);
        if (outcome != ITEM_DONE) {
            return outcome;
        }
    }
    bool moved = kerr == KERR_NONE && (item->sent_high_watermark != (i64)t.info.high_watermark ||
                                       item->sent_log_start != (i64)t.info.log_start_offset);
    if (f->context.incremental && kerr == KERR_NONE && bytes == 0 && !moved && !t.diverging) {
        return ITEM_DONE;
    }
    struct fetch_response_partition_data *row = answer_row(f, a, item);
    if (row == NULL) {
        return ITEM_NO_MEMORY;
    }
    fill_partition(f, item, &t, kerr, row);
    struct topic_traffic traffic = {
        .bytes_out = bytes, .fetch_requests = 1, .fetch_failed = kerr != KERR_NONE};
    traffic_add(f->r->broker, t.topic != NULL ? t.topic->id : (struct uuid){0}, &traffic);
    if (bytes > 0) {
        row->records = (struct wire_records){.hole_bytes = bytes, .hole_id = a->hole_count};
        if (!answer_hole(f, a, &hole)) {
            return ITEM_NO_MEMORY;
        }
        a->bytes_left -= (u32)MIN((u64)a->bytes_left, bytes);
        a->any_bytes = true;
    }
    /* After an error the partition is news again. */
    item->sent_high_watermark = kerr == KERR_NONE ? (i64)t.info.high_watermark : -1;
    item->sent_log_start = kerr == KERR_NONE ? (i64)t.info.log_start_offset : -1;
    if (f->context.session != NULL && bytes > 0) {
        /* Served: to the end of the line, so that no partition starves behind a busy one. */
        list_remove(&item->node);
        list_push_back(&f->context.session->items, &item->node);
    }
    return ITEM_DONE;
}

static void answer_endpoints(struct fetch *f, struct answer *a)
{
    if (f->r->version < NODE_ENDPOINTS_FROM) {
        return;
    }
    bool needed = false;
    for (u32 i = 0; i < a->response.responses.count; i++) {
        const struct fetch_response_fetchable_topic *t = &a->response.responses.items[i];
        for (u32 k = 0; k < t->partitions.count; k++) {
            needed = needed || t->partitions.items[k].current_leader.leader_id >= 0;
        }
    }
    struct fetch_response_node_endpoint *node =
        needed ? wire_new(&fetch_response_node_endpoint_struct, &f->r->arena, 1) : NULL;
    if (node != NULL) {
        node->node_id = BROKER_NODE_ID;
        request_advertised(f->r, &node->host, &node->port);
        a->response.node_endpoints.items = node;
        a->response.node_endpoints.count = 1;
    }
}

static void fetch_unpark(struct fetch *f)
{
    for (u32 i = 0; i < f->watch_count; i++) {
        partition_unwatch(&f->watches[i].watch);
    }
    f->watch_count = 0;
    io_timer_stop(f->r->broker->io, &f->timer);
    if (list_linked(&f->parked_node)) {
        list_remove(&f->parked_node);
    }
    if (list_linked(&f->ready_node)) {
        list_remove(&f->ready_node);
    }
}

/* Goes on with the next item until a run has to be read, or all are in the answer. */
static void answer_build(struct answer *a)
{
    struct fetch *f = a->fetch;
    while (a->at != NULL) {
        struct list_node *next = a->at == a->last ? NULL : a->at->next;
        enum item_outcome outcome = answer_item(f, a, CONTAINER_OF(a->at, struct fetch_item, node));
        if (outcome == ITEM_WAITS) {
            return;
        }
        if (outcome == ITEM_NO_MEMORY) {
            fetch_context_close(&f->context);
            request_fail(f->r);
            return;
        }
        a->at = next;
        a->load_failure = OK;
    }
    answer_endpoints(f, a);
    fetch_context_close(&f->context);
    request_reply_holes(f->r, &a->response, a->holes);
}

static void fetch_answer(struct fetch *f)
{
    fetch_unpark(f);
    assert(f->answer == NULL);
    struct answer *a = request_alloc(f->r, sizeof *a);
    if (a == NULL) {
        fetch_context_close(&f->context);
        request_fail(f->r);
        return;
    }
    f->answer = a;
    a->fetch = f;
    a->bytes_left = f->max_bytes;
    a->ranges_left = answer_ranges_max(f);
    wire_init(&fetch_response_struct, &a->response);
    a->response.error_code = f->context.kerr;
    a->response.session_id = f->context.answer_session_id;
    if (f->context.kerr == KERR_NONE && !list_empty(f->context.items)) {
        a->at = list_first(f->context.items);
        a->last = list_last(f->context.items);
    }
    answer_build(a);
}

/* ---- parking --------------------------------------------------------------------------------- */

static void fetch_mark_ready(struct fetch *f)
{
    if (!list_linked(&f->ready_node)) {
        list_push_back(&f->r->broker->ready_waiters, &f->ready_node);
    }
}

static void watch_moved(struct partition_watch *pw, err_t why)
{
    struct fetch_watch *w = CONTAINER_OF(pw, struct fetch_watch, watch);
    struct fetch *f = w->fetch;
    if (why != OK) {
        f->min_bytes = 0; /* the partition is gone: say so now */
    }
    if (!w->moved) {
        w->moved = true;
        w->next_moved = f->moved;
        f->moved = w;
    }
    fetch_mark_ready(f);
}

static void fetch_expired(struct io_timer *t)
{
    fetch_answer(CONTAINER_OF(t, struct fetch, timer));
}

static void fetch_cancelled(struct request *r)
{
    struct fetch *f = r->state_of_handler;
    fetch_unpark(f);
    if (f->answer != NULL && f->answer->load_waits) {
        r->broker->loads_waiting--;
        log_load_release(&f->answer->load);
    }
    fetch_context_close(&f->context);
}

/* Looks again at the partitions that moved, and at no others. */
static void fetch_try(struct fetch *f)
{
    bool urgent = f->min_bytes <= 0;
    while (f->moved != NULL) {
        struct fetch_watch *w = f->moved;
        f->moved = w->next_moved;
        w->moved = false;
        struct partition *p;
        u32 bytes = fetch_probe(f, w->item, &p, &urgent);
        f->bytes = f->bytes - w->bytes + bytes;
        w->bytes = bytes;
    }
    if (urgent || f->bytes >= (u64)f->min_bytes || f->bytes >= f->max_bytes) {
        fetch_answer(f);
    }
}

void fetch_waiters_run(struct broker *b)
{
    struct list_node *node;
    while ((node = list_pop_front(&b->ready_waiters)) != NULL) {
        fetch_try(CONTAINER_OF(node, struct fetch, ready_node));
    }
}

void fetch_waiters_expire(struct broker *b)
{
    while (!list_empty(&b->parked_fetches)) {
        fetch_answer(CONTAINER_OF(list_first(&b->parked_fetches), struct fetch, parked_node));
    }
}

static u32 count_items(const struct fetch *f)
{
    u32 count = 0;
    LIST_EACH (f->context.items, node) {
        count++;
    }
    return count;
}

/* Probes everything once. true: answer now; otherwise watches are set. */
static bool fetch_first_look(struct fetch *f, i32 max_wait_ms)
{
    bool urgent = f->context.kerr != KERR_NONE || max_wait_ms <= 0 || f->min_bytes <= 0;
    u32 count = urgent ? 0 : count_items(f);
    if (count == 0) {
        return true;
    }
    f->watches = arena_array(&f->r->arena, count, sizeof *f->watches);
    if (f->watches == NULL) {
        return true;
    }
    LIST_EACH (f->context.items, node) {
        struct fetch_item *item = CONTAINER_OF(node, struct fetch_item, node);
        struct partition *p;
        u32 bytes = fetch_probe(f, item, &p, &urgent);
        if (urgent) {
            return true;
        }
        struct fetch_watch *w = &f->watches[f->watch_count++];
        w->fetch = f;
        w->item = item;
        w->bytes = bytes;
        w->watch.moved = watch_moved;
        partition_watch(p, &w->watch);
        f->bytes += bytes;
        if (f->bytes >= (u64)f->min_bytes || f->bytes >= f->max_bytes) {
            return true;
        }
    }
    return false;
}

/* Replicas are brokers, and there is no other broker (CVE-2018-1288). The first versions have no
   place for an error but the partitions. */
static void refuse_replica(struct request *r, const struct fetch_request *q)
{
    struct fetch_response response;
    wire_init(&fetch_response_struct, &response);
    response.error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
    u32 topic_count = r->version < TOP_LEVEL_ERROR_FROM ? q->topics.count : 0;
    response.responses.items =
        wire_new(&fetch_response_fetchable_topic_struct, &r->arena, topic_count);
    response.responses.count = response.responses.items != NULL ? topic_count : 0;
    for (u32 i = 0; i < response.responses.count; i++) {
        const struct fetch_request_topic *in = &q->topics.items[i];
        struct fetch_response_fetchable_topic *out = &response.responses.items[i];
        out->topic = in->topic;
        out->partitions.items =
            wire_new(&fetch_response_partition_data_struct, &r->arena, in->partitions.count);
        out->partitions.count = out->partitions.items != NULL ? in->partitions.count : 0;
        for (u32 k = 0; k < out->partitions.count; k++) {
            out->partitions.items[k].partition_index = in->partitions.items[k].partition;
            out->partitions.items[k].error_code = KERR_CLUSTER_AUTHORIZATION_FAILED;
            out->partitions.items[k].high_watermark = -1;
            out->partitions.items[k].records.bytes = WIRE_EMPTY;
        }
    }
    request_reply(r, &response);
}

void handle_fetch(struct request *r)
{
    const struct fetch_request *q = r->body;
    struct broker *b = r->broker;
    i32 replica_id = r->version >= 15 ? q->replica_state.replica_id : q->replica_id;
    if (replica_id >= 0) {
        refuse_replica(r, q);
        return;
    }
    struct fetch *f = request_alloc(r, sizeof *f);
    if (f == NULL) {
        request_fail(r);
        return;
    }
    f->r = r;
    f->min_bytes = q->min_bytes;
    f->read_committed = q->isolation_level != 0;
    i64 cap = config_i64(b->config, CONFIG_fetch_max_bytes);
    f->max_bytes = (u32)MIN((i64)MAX(q->max_bytes, 0), cap);
    i32 max_wait_ms = MIN(q->max_wait_ms, MAX_WAIT_MS);
    if (!fetch_context_open(r, q, &f->context)) {
        request_fail(r);
        return;
    }
    r->state_of_handler = f;
    r->cancelled = fetch_cancelled;
    if (b->stopping || fetch_first_look(f, max_wait_ms)) {
        fetch_answer(f);
        return;
    }
    request_release_frame(r);
    f->timer.fired = fetch_expired;
    io_timer_start(b->io, &f->timer, io_now_ns(b->io) + (u64)max_wait_ms * 1000000);
    list_push_back(&b->parked_fetches, &f->parked_node);
}
