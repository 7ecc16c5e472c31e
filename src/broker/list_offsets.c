/* ListOffsets (API key 2): first, last, largest-timestamp offsets, and look-up by time to the
   record [kafka-semantics.md 4; ListOffsetsRequest, UnifiedLog].

   Partitions are answered one after the other. A look-up by time needs the records of one run: hot
   ones are walked at once, cold ones are loaded first and the request is parked meanwhile. */
#include "broker/conn.h"
#include "broker/repeats.h"

enum list_offsets_special {
    LIST_LATEST = -1,
    LIST_EARLIEST = -2,
    LIST_MAX_TIMESTAMP = -3,          /* v7 */
    LIST_EARLIEST_LOCAL = -4,         /* v8 */
    LIST_LATEST_TIERED = -5,          /* v9 */
    LIST_EARLIEST_PENDING_UPLOAD = -6 /* v11 */
};

enum { LEADER_EPOCH_FROM = 4 };

struct list_offsets {
    struct request *r;
    const struct list_offsets_request *q;
    struct list_offsets_response response;
    u32 topic;
    u32 partition;
    const u8 *repeats; /* of all partitions of the request, one behind the other */
    u32 place;         /* of the partition among them */
    struct log_load load;
    bool loading;
    u64 search_from; /* of the look-up under way */
    u64 run_next;
    struct partition *p;
};

static void list_step(struct list_offsets *l);

static void row_answer(struct list_offsets_response_partition *row, i64 timestamp, i64 offset,
                       i32 epoch)
{
    row->timestamp = timestamp;
    row->offset = offset;
    row->leader_epoch = epoch;
}

/* Finds the wanted record among those of a run. False: none of them. */
static bool run_search(struct list_offsets *l, struct slice run, i64 target,
                       struct list_offsets_response_partition *row)
{
    bool largest = target == LIST_MAX_TIMESTAMP;
    bool found = largest && row->offset >= 0; /* in an earlier run */
    i64 best = found ? row->timestamp : INT64_MIN;
    struct batch_view batch;
    struct broker *b = l->r->broker;
    while (batch_view_next(&run, &batch) == OK) {
        if (batch.max_timestamp < target || (largest && found && batch.max_timestamp <= best)) {
            continue;
        }
        struct record_iter it;
        if (record_iter_init(&it, &batch, &b->scratch, b->memory.root.cap / 8) != OK) {
            continue;
        }
        struct record record;
        while (record_iter_next(&it, &record)) {
            bool wanted = largest ? !found || record.timestamp > best : record.timestamp >= target;
            if (wanted && (u64)record.offset >= l->search_from) {
                best = record.timestamp;
                row_answer(row, record.timestamp, record.offset, batch.leader_epoch);
                found = true;
                if (!largest) {
                    break;
                }
            }
        }
        decompressor_reset(&b->scratch);
        if (found && !largest) {
            return true;
        }
    }
    return found;
}

static void load_done(struct log_load *load, err_t result)
{
    struct list_offsets *l = CONTAINER_OF(load, struct list_offsets, load);
    struct list_offsets_response_topic *t = &l->response.topics.items[l->topic];
    struct list_offsets_response_partition *row = &t->partitions.items[l->partition];
    i64 target = l->q->topics.items[l->topic].partitions.items[l->partition].timestamp;
    bool found = result == OK && run_search(l, slice_of(load->data, load->bytes), target, row);
    l->loading = false;
    log_load_release(load);
    if (result != OK) {
        row_answer(row, -1, -1, -1);
        row->error_code = KERR_KAFKA_STORAGE_ERROR;
    }
    if (result == OK && (!found || target == LIST_MAX_TIMESTAMP)) {
        /* The run promised by its largest timestamp, but below search_from; or another one may have
           a larger timestamp still. */
        l->search_from = l->run_next;
    } else {
        if (l->r->version < LEADER_EPOCH_FROM) {
            row->leader_epoch = -1;
        }
        l->partition++;
        l->place++;
        l->search_from = 0;
    }
    list_step(l);
}

/* true: the row is done; false: a load is under way. */
static bool search_by_time(struct list_offsets *l, i64 target,
                           struct list_offsets_response_partition *row)
{
    for (;;) {
        struct log_range range;
        err_t e =
            target == LIST_MAX_TIMESTAMP
                ? partition_find_largest_timestamp(l->p, l->search_from, &range, &l->run_next)
                : partition_find_timestamp(l->p, target, l->search_from, &range, &l->run_next);
        if (e != OK) {
            l->search_from = 0;
            return true; /* no more; if there was none: offset -1, timestamp -1, no error */
        }
        const u8 *hot = log_peek(l->r->broker->log, &range);
        if (hot == NULL) {
            l->load.done = load_done;
            l->load.range = range;
            l->loading = true;
            log_load(l->r->broker->log, &l->load);
            return false;
        }
        if (run_search(l, slice_of(hot, range.bytes), target, row) &&
            target != LIST_MAX_TIMESTAMP) {
            l->search_from = 0;
            return true;
        }
        l->search_from = l->run_next;
    }
}

static i16 special_min_version(i64 timestamp)
{
    switch (timestamp) {
    case LIST_MAX_TIMESTAMP:
        return 7;
    case LIST_EARLIEST_LOCAL:
        return 8;
    case LIST_LATEST_TIERED:
        return 9;
    case LIST_EARLIEST_PENDING_UPLOAD:
        return 11;
    default:
        return timestamp < LIST_EARLIEST ? INT16_MAX : 0;
    }
}

/* true: the row is done. */
static bool list_partition(struct list_offsets *l, const struct list_offsets_request_topic *t,
                           u32 index, struct list_offsets_response_partition *row)
{
    struct request *r = l->r;
    const struct list_offsets_request_partition *q = &t->partitions.items[index];
    row->partition_index = q->partition_index;
    if (l->repeats[l->place] != REPEAT_NONE) {
        row->error_code = KERR_INVALID_REQUEST;
        return true;
    }
    if (r->version < special_min_version(q->timestamp)) {
        row->error_code = KERR_UNSUPPORTED_VERSION;
        return true;
    }
    i16 kerr;
    const struct meta_topic *topic = request_topic(r, t->name, (struct uuid){{0}}, false, &kerr);
    l->p = topic == NULL ? NULL : cluster_partition(r->broker->cluster, topic, q->partition_index);
    if (l->p == NULL) {
        row->error_code = KERR_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    row->error_code = request_check_epoch(r, topic, q->current_leader_epoch);
    if (row->error_code != KERR_NONE) {
        return true;
    }
    struct partition_info info;
    partition_info(l->p, &info);
    u64 end = l->q->isolation_level == 0 ? info.high_watermark : info.last_stable_offset;
    switch (q->timestamp) {
    case LIST_LATEST:
        row_answer(row, -1, (i64)end, info.leader_epoch);
        return true;
    case LIST_EARLIEST:
    case LIST_EARLIEST_LOCAL:
        row_answer(row, -1, (i64)info.log_start_offset,
                   partition_epoch_at(l->p, info.log_start_offset));
        return true;
    case LIST_LATEST_TIERED:
    case LIST_EARLIEST_PENDING_UPLOAD:
        return true; /* nothing is tiered: offset -1 */
    default:
        l->search_from = MAX(l->search_from, info.log_start_offset);
        return search_by_time(l, q->timestamp, row);
    }
}

/* Goes on with the next row until one has to wait, or all are done. */
static void list_step(struct list_offsets *l)
{
    for (; l->topic < l->q->topics.count; l->topic++, l->partition = 0) {
        const struct list_offsets_request_topic *t = &l->q->topics.items[l->topic];
        for (; l->partition < t->partitions.count; l->partition++, l->place++) {
            struct list_offsets_response_partition *row =
                &l->response.topics.items[l->topic].partitions.items[l->partition];
            if (!list_partition(l, t, l->partition, row)) {
                return;
            }
            if (l->r->version < LEADER_EPOCH_FROM) {
                row->leader_epoch = -1;
            }
        }
    }
    request_reply(l->r, &l->response);
}

/* Named twice anywhere in the request, a partition is refused. */
static const u8 *find_repeats(struct request *r, const struct list_offsets_request *q)
{
    u32 total = 0;
    for (u32 i = 0; i < q->topics.count; i++) {
        total += q->topics.items[i].partitions.count;
    }
    struct named_partition *all = arena_array(&r->arena, total, sizeof *all);
    u32 count = 0;
    for (u32 i = 0; i < q->topics.count && all != NULL; i++) {
        const struct list_offsets_request_topic *t = &q->topics.items[i];
        for (u32 k = 0; k < t->partitions.count; k++) {
            all[count++] =
                (struct named_partition){t->name, t->partitions.items[k].partition_index};
        }
    }
    return repeats_of_partitions(&r->arena, all, count);
}

static void list_cancelled(struct request *r)
{
    struct list_offsets *l = r->state_of_handler;
    if (l->loading) {
        log_load_release(&l->load);
    }
}

void handle_list_offsets(struct request *r)
{
    const struct list_offsets_request *q = r->body;
    struct list_offsets *l = request_alloc(r, sizeof *l);
    struct list_offsets_response_topic *topics =
        wire_new(&list_offsets_response_topic_struct, &r->arena, q->topics.count);
    if (l == NULL || (topics == NULL && q->topics.count > 0)) {
        request_fail(r);
        return;
    }
    l->r = r;
    l->q = q;
    wire_init(&list_offsets_response_struct, &l->response);
    l->response.topics.items = topics;
    l->response.topics.count = q->topics.count;
    for (u32 i = 0; i < q->topics.count; i++) {
        topics[i].name = q->topics.items[i].name;
        topics[i].partitions.count = q->topics.items[i].partitions.count;
        topics[i].partitions.items = wire_new(&list_offsets_response_partition_struct, &r->arena,
                                              topics[i].partitions.count);
        if (topics[i].partitions.items == NULL && topics[i].partitions.count > 0) {
            request_fail(r);
            return;
        }
    }
    l->repeats = find_repeats(r, q);
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    r->state_of_handler = l;
    r->cancelled = list_cancelled;
    list_step(l);
}
