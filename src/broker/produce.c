/* Produce (API key 0), from a decoded request to its answer [kafka-semantics.md 3; ProduceRequest].

   Happy path
     produce_collect   one item per partition: topic and partition found, header and CRC verified,
                       records walked (large compressed batches are left to a worker: then the
                       connection waits, order is kept)
     produce_append    room in the WAL? every accepted batch is copied into the open slot, offsets
                       are taken
     log waiter        the slot is durable: the answer leaves
   The receive buffer is given back as soon as the batches are in the WAL.

   How it fails
     one partition's batch is refused: its row of the answer says why, the others go on
     no room: the connection is blocked until memory is free (that is the back-pressure)
     acks=0 with an error: the connection is closed, which is how such a client learns of it
     storage failed: no answer at all, the process ends */
#include "broker/conn.h"
#include "broker/retention.h"
#include "broker/traffic.h"

enum {
    ZSTD_FROM = 7,             /* version of Produce */
    SHORTEST_BATCH_BYTES = 14, /* behind its length: a record of magic 0 */
    MAGIC_MAX = 2,
    WORKER_FROM_BYTES =
        64 * 1024,            /* compressed batches from this size on are walked off the loop */
    DECOMPRESSED_FACTOR = 32, /* times max.message.bytes: what a batch may expand to */
    WORKER_RETRY_MS = 5,
};

struct produce_topic {
    struct uuid id;
    struct batch_policy policy;
    bool log_append_time;
};

struct produce_item {
    struct produce_response_partition *answer;
    struct partition *partition;
    struct produce_topic *topic;
    struct batch_view view;
    bool accepted;      /* until something says otherwise */
    bool refused_early; /* before its topic's log was asked */
    bool for_worker;    /* records not walked yet */
    bool appended;
    struct batch_verdict verdict;
    struct batch_summary summary;
};

struct produce {
    struct request *r;
    struct produce_response response;
    struct produce_item *items;
    u32 item_count;
    u32 worker_items;
    i16 acks;
    i64 now_ms;
    bool any_error;
    bool waited; /* for room or a worker: topics may have been deleted meanwhile */
    u64 wait_slot;
    bool wait;
    struct log_waiter waiter;
    struct log_room_waiter room;
    struct log_whole_waiter whole;
    struct io_timer retry;
    struct produce_job *job; /* while a worker walks records */
};

/* What a worker needs, outside the request, because the connection may go away meanwhile. */
struct produce_job {
    struct broker_job job;
    struct io_op op;
    struct produce *produce; /* NULL: the request is gone */
    struct broker *broker;
    struct blob *frame;
    struct quota quota;
    u64 charged;
    struct decompressor scratch;
    i64 now_ms;
    u32 count;
    struct produce_job_item {
        struct batch_view view;
        struct batch_policy policy;
        struct batch_verdict verdict;
        struct batch_summary summary;
        u32 index; /* in produce->items */
        err_t walked;
    } items[];
};

/* Codes that stand in the texts below, where the error's own would be another. */
static_assert(MSG_topic_reserved == 2211, "said when a client appends to the broker's own topic");
static_assert(MSG_home_fenced == 3001 && MSG_storage_full == 3002 && MSG_space_short == 3007 &&
                  MSG_index_full == 3013 && MSG_log_no_memory == 3015,
              "said when the log takes nothing");

static void produce_append(struct produce *p);
static void produce_work(struct produce *p);

/* ---- answers --------------------------------------------------------------------------------- */

static void item_refuse(struct produce *p, struct produce_item *item, i16 kerr, const char *message)
{
    item->accepted = false;
    p->any_error = true;
    item->answer->error_code = kerr;
    item->answer->base_offset = -1;
    item->answer->log_append_time_ms = -1;
    item->answer->log_start_offset = -1;
    if (message != NULL) {
        item->answer->error_message = slice_cstr(message);
    }
}

/* Kafka tells it with errors found by looking at records or producers, not with earlier ones. */
static void tell_log_start(struct produce_item *item)
{
    struct partition_info info;
    partition_info(item->partition, &info);
    item->answer->log_start_offset = (i64)info.log_start_offset;
}

/* With the values when it is about bytes. */
static const char *verdict_text(struct produce *p, const struct produce_item *item,
                                const struct batch_verdict *v)
{
    if (v->batch_bytes == 0) {
        return v->message;
    }
    bool large = v->kerr == KERR_MESSAGE_TOO_LARGE;
    const struct batch_policy *policy = &item->topic->policy;
    return arena_printf(&p->r->arena, "the batch has %llu bytes, the topic's %s is %lld",
                        (unsigned long long)v->batch_bytes,
                        large ? "max.message.bytes" : "segment.bytes",
                        (long long)(large ? policy->max_message_bytes : policy->segment_bytes));
}

static void item_refuse_verdict(struct produce *p, struct produce_item *item,
                                const struct batch_verdict *v)
{
    item_refuse(p, item, v->kerr, verdict_text(p, item, v));
    if (v->kerr == KERR_INVALID_TIMESTAMP ||
        (v->kerr == KERR_INVALID_RECORD && !item->refused_early)) {
        tell_log_start(item);
    }
    struct produce_response_batch_index_and_error_message *rows =
        arena_array(&p->r->arena, v->error_count, sizeof *rows);
    if (rows == NULL) {
        return;
    }
    for (u32 i = 0; i < v->error_count; i++) {
        rows[i].batch_index = v->errors[i].index;
        rows[i].batch_index_error_message = slice_cstr(v->errors[i].message);
    }
    item->answer->record_errors.items = rows;
    item->answer->record_errors.count = v->error_count;
}

/* For the metrics: one sum for each run of items of one topic. */
static void produce_count(const struct produce *p)
{
    struct topic_traffic sum = {0};
    for (u32 i = 0; i < p->item_count; i++) {
        const struct produce_item *item = &p->items[i];
        sum.produce_requests++;
        sum.produce_failed += item->answer->error_code != KERR_NONE;
        if (item->appended) {
            sum.messages_in += (u64)item->view.record_count;
            sum.bytes_in += item->view.whole.len;
        }
        if (i + 1 == p->item_count || p->items[i + 1].topic != item->topic) {
            traffic_add(p->r->broker, item->topic->id, &sum);
            sum = (struct topic_traffic){0};
        }
    }
}

static void produce_reply(struct produce *p)
{
    produce_count(p);
    if (p->acks == 0) {
        if (p->any_error) {
            request_fail(p->r);
        } else {
            request_reply_none(p->r);
        }
        return;
    }
    if (p->any_error) {
        request_reply_explained(p->r, &p->response);
        return;
    }
    request_reply(p->r, &p->response);
}

/* ---- collect --------------------------------------------------------------------------------- */

static void item_walked(struct produce *p, struct produce_item *item, err_t e,
                        const struct batch_verdict *v, const struct batch_summary *sum)
{
    if (e != OK) {
        item_refuse(p, item, KERR_MESSAGE_TOO_LARGE,
                    "The batch needs more memory to decompress than is granted.");
        return;
    }
    if (v->kerr != KERR_NONE) {
        item_refuse_verdict(p, item, v);
        return;
    }
    if (sum->max_timestamp_differs && !item->topic->log_append_time) {
        u8 *bytes =
            (u8 *)(uintptr_t)item->view.whole.ptr; /* the receive buffer is ours to change */
        batch_set_max_timestamp(bytes, TIMESTAMP_CREATE_TIME, sum->max_timestamp);
        err_t parsed = batch_view_parse(item->view.whole, &item->view);
        assert(parsed == OK);
    }
}

/* Kafka looks first whether it is one batch of magic 2, of a codec the version may use. */
static bool is_refused_early(struct slice records, i16 kerr)
{
    struct batch_view view;
    bool one = batch_view_next(&records, &view) == OK && records.len < BATCH_HEADER_BYTES;
    return kerr == KERR_UNSUPPORTED_COMPRESSION_TYPE || (kerr == KERR_INVALID_RECORD && !one);
}

static bool has_codec_of_later_version(const struct produce *p, struct slice records)
{
    struct batch_view first;
    return p->r->version < ZSTD_FROM && batch_view_next(&records, &first) == OK &&
           batch_codec(&first) == CODEC_ZSTD;
}

static void item_verify(struct produce *p, struct produce_item *item,
                        const struct wire_records *records)
{
    struct broker *b = p->r->broker;
    if (has_codec_of_later_version(p, records->bytes)) {
        item->refused_early = true;
        item_refuse(p, item, KERR_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7");
        return;
    }
    bool good = batch_verify_header(records->bytes, &item->topic->policy, p->now_ms, &item->view,
                                    &item->verdict);
    item->refused_early = !good && is_refused_early(records->bytes, item->verdict.kerr);
    if ((p->acks < -1 || p->acks > 1) && !item->refused_early) {
        item_refuse(p, item, KERR_INVALID_REQUIRED_ACKS, "acks is none of -1 (all), 0 and 1");
        return;
    }
    if (!good) {
        item_refuse_verdict(p, item, &item->verdict);
        return;
    }
    if (batch_is_transactional(&item->view)) {
        item_refuse(p, item, KERR_INVALID_TXN_STATE,
                    "the batch belongs to a transaction, and there are none here");
        return;
    }
    bool compressed = batch_codec(&item->view) != CODEC_NONE;
    if (compressed && item->view.whole.len >= WORKER_FROM_BYTES) {
        item->for_worker = true;
        p->worker_items++;
        return;
    }
    err_t e = batch_verify_records(&item->view, &item->topic->policy, p->now_ms, &b->scratch,
                                   &item->summary, &item->verdict);
    decompressor_reset(&b->scratch);
    if (e == ERR_NO_MEMORY) {
        item->for_worker = true;
        p->worker_items++;
        return;
    }
    item_walked(p, item, e, &item->verdict, &item->summary);
}

/* Ascending indexes of one topic cannot repeat: the usual request needs no look-up table. */
static bool partitions_ascend(const struct produce_request *request)
{
    if (request->topic_data.count != 1) {
        return request->topic_data.count == 0;
    }
    const struct produce_request_topic_data *t = &request->topic_data.items[0];
    for (u32 i = 1; i < t->partition_data.count; i++) {
        if (t->partition_data.items[i].index <= t->partition_data.items[i - 1].index) {
            return false;
        }
    }
    return true;
}

static void produce_topic_init(struct produce *p, struct produce_topic *topic,
                               const struct meta_topic *t)
{
    struct topic_config config;
    topic_config_resolve(p->r->broker->config, t, &config);
    u64 expand = (u64)config.max_message_bytes * DECOMPRESSED_FACTOR;
    topic->id = t->id;
    topic->log_append_time = config.log_append_time;
    topic->policy = (struct batch_policy){
        .timestamp_type =
            config.log_append_time ? TIMESTAMP_LOG_APPEND_TIME : TIMESTAMP_CREATE_TIME,
        .before_max_ms = config.timestamp_before_max_ms,
        .after_max_ms = config.timestamp_after_max_ms,
        .max_message_bytes = config.max_message_bytes,
        .segment_bytes = config.segment_bytes,
        .compacted = config.compacted,
        .produce_version = p->r->version,
        .max_decompressed_bytes = MIN(expand, p->r->broker->memory.root.cap / 8),
    };
}

/* Internal topics are written by the broker; by clients only under the name that Kafka's own
   administrators use. */
static bool may_append(const struct request *r, const struct meta_topic *t)
{
    return !topic_is_internal(t) || slice_eq_cstr(r->client_id, "__admin_client");
}

/* A batch that says it is shorter than any can be, or of a magic that never was: a stream of bytes
   nobody can cut into batches. What is too short to say either is another error. */
static bool is_unreadable(struct slice records)
{
    if (records.ptr == NULL || records.len < BATCH_PREFIX_BYTES) {
        return false;
    }
    i32 length = (i32)load_be32(records.ptr + BATCH_AT_LENGTH);
    return length < SHORTEST_BATCH_BYTES ||
           (records.len > BATCH_AT_MAGIC && records.ptr[BATCH_AT_MAGIC] > MAGIC_MAX);
}

/* Kafka looks for transactional batches first, and one that it cannot read fails all partitions. */
static bool has_unreadable(const struct produce_request *request)
{
    for (u32 i = 0; i < request->topic_data.count; i++) {
        const struct produce_request_topic_data *topic = &request->topic_data.items[i];
        for (u32 k = 0; k < topic->partition_data.count; k++) {
            if (is_unreadable(topic->partition_data.items[k].records.bytes)) {
                return true;
            }
        }
    }
    return false;
}

/* Fills items and the answer's rows. false: the arena is full. */
static bool produce_collect(struct produce *p, const struct produce_request *request)
{
    struct request *r = p->r;
    u32 topic_count = request->topic_data.count;
    u32 total = 0;
    for (u32 i = 0; i < topic_count; i++) {
        total += request->topic_data.items[i].partition_data.count;
    }
    p->response.responses.items = wire_new(&produce_response_topic_struct, &r->arena, topic_count);
    p->response.responses.count = topic_count;
    p->items = arena_array(&r->arena, total, sizeof *p->items);
    struct produce_topic *topics = arena_array(&r->arena, topic_count, sizeof *topics);
    if ((topic_count > 0 && (p->response.responses.items == NULL || topics == NULL)) ||
        (total > 0 && p->items == NULL)) {
        return false;
    }
    bool may_repeat = !partitions_ascend(request);
    bool unreadable = has_unreadable(request);
    struct map64 seen_partitions;
    map64_init(&seen_partitions);
    bool complete = true;
    for (u32 i = 0; i < topic_count && complete; i++) {
        const struct produce_request_topic_data *in = &request->topic_data.items[i];
        struct produce_response_topic *out = &p->response.responses.items[i];
        u32 count = in->partition_data.count;
        out->topic_id = in->topic_id;
        out->name = arena_copy(&r->arena, in->name);
        out->partition_responses.items =
            wire_new(&produce_response_partition_struct, &r->arena, count);
        out->partition_responses.count = count;
        if (count > 0 && out->partition_responses.items == NULL) {
            complete = false;
            break;
        }
        i16 topic_error;
        const struct meta_topic *t =
            request_topic(r, in->name, in->topic_id, r->version >= 13, &topic_error);
        if (t != NULL) {
            produce_topic_init(p, &topics[i], t);
        }
        for (u32 k = 0; k < count; k++) {
            struct produce_item *item = &p->items[p->item_count++];
            item->answer = &out->partition_responses.items[k];
            item->answer->index = in->partition_data.items[k].index;
            item->topic = &topics[i];
            item->accepted = true;
            if (unreadable) {
                item_refuse(p, item, KERR_CORRUPT_MESSAGE,
                            "A batch of this request cannot be read: none is taken.");
                continue;
            }
            if (t == NULL) {
                item_refuse(p, item, topic_error, NULL);
                continue;
            }
            item->partition = cluster_partition(r->broker->cluster, t, item->answer->index);
            if (item->partition == NULL) {
                item_refuse(p, item, KERR_UNKNOWN_TOPIC_OR_PARTITION, NULL);
                continue;
            }
            if (!may_append(r, t)) {
                item_refuse(p, item, KERR_INVALID_TOPIC_EXCEPTION,
                            "the topic is internal: only the broker appends to it (ODK-2211)");
                continue;
            }
            if (may_repeat) {
                u64 key = (u64)(uintptr_t)item->partition;
                if (map64_get(&seen_partitions, key) != NULL) {
                    item_refuse(p, item, KERR_INVALID_REQUEST,
                                "The request names this partition twice.");
                    continue;
                }
                map64_put(&seen_partitions, key, item);
            }
            item_verify(p, item, &in->partition_data.items[k].records);
        }
    }
    map64_fini(&seen_partitions);
    return complete;
}

/* ---- compressed batches, off the loop -------------------------------------------------------- */

static void job_run(void *arg)
{
    struct produce_job *job = arg;
    for (u32 i = 0; i < job->count; i++) {
        struct produce_job_item *item = &job->items[i];
        item->walked = batch_verify_records(&item->view, &item->policy, job->now_ms, &job->scratch,
                                            &item->summary, &item->verdict);
    }
}

static void job_free(struct produce_job *job)
{
    decompressor_fini(&job->scratch);
    quota_release(&job->broker->memory.root, job->charged);
    blob_unref(job->frame);
    list_remove(&job->job.node);
    mem_free(job);
}

static void job_drop(struct broker_job *dropped)
{
    struct produce_job *job = CONTAINER_OF(dropped, struct produce_job, job);
    io_work_end(job->broker->io, &job->op);
    job_free(job);
}

static void job_done(struct io_op *op, i64 result)
{
    (void)result;
    struct produce_job *job = CONTAINER_OF(op, struct produce_job, op);
    struct produce *p = job->produce;
    if (p != NULL) {
        for (u32 i = 0; i < job->count; i++) {
            struct produce_item *item = &p->items[job->items[i].index];
            item_walked(p, item, job->items[i].walked, &job->items[i].verdict,
                        &job->items[i].summary);
        }
        p->job = NULL;
    }
    job_free(job);
    if (p != NULL) {
        produce_append(p);
    }
}

static void produce_retry(struct io_timer *t)
{
    produce_work(CONTAINER_OF(t, struct produce, retry));
}

static void produce_work(struct produce *p)
{
    struct broker *b = p->r->broker;
    u64 need = broker_decompress_bytes(b);
    if (quota_left(&b->memory.root) < need) {
        conns_blobs_trim(b);
    }
    if (!quota_charge(&b->memory.root, need)) {
        io_timer_start(b->io, &p->retry, io_now_ns(b->io) + WORKER_RETRY_MS * 1000000ull);
        return;
    }
    struct produce_job *job = mem_alloc(sizeof *job + p->worker_items * sizeof job->items[0]);
    job->produce = p;
    job->broker = b;
    job->frame = blob_ref(p->r->frame);
    job->charged = need;
    job->now_ms = p->now_ms;
    quota_init(&job->quota, "produce worker", NULL, need);
    decompressor_init(&job->scratch, &job->quota);
    for (u32 i = 0; i < p->item_count; i++) {
        if (p->items[i].for_worker) {
            struct produce_job_item *item = &job->items[job->count++];
            item->view = p->items[i].view;
            item->policy = p->items[i].topic->policy;
            item->index = i;
        }
    }
    p->job = job;
    job->job.drop = job_drop;
    list_push_back(&b->jobs, &job->job.node);
    job->op.done = job_done;
    io_work(b->io, &job->op, job_run, job);
}

/* ---- append and wait ------------------------------------------------------------------------- */

static void produce_durable(struct log_waiter *w, err_t result)
{
    struct produce *p = CONTAINER_OF(w, struct produce, waiter);
    if (result != OK) {
        request_fail(p->r);
        return;
    }
    produce_reply(p);
}

static void produce_room(struct log_room_waiter *w)
{
    struct produce *p = CONTAINER_OF(w, struct produce, room);
    io_timer_start(p->r->broker->io, &p->retry, io_now_ns(p->r->broker->io));
}

static void produce_room_retry(struct io_timer *t)
{
    produce_append(CONTAINER_OF(t, struct produce, retry));
}

static const char *storage_text(const struct broker *b)
{
    struct log_space space;
    log_space(b->log, &space);
    return b->fenced ? "a write to storage failed (ODK-3001)"
           : log_refuses(b->log)
               ? "no space left: records are refused until space is free (ODK-3002)"
           : space.is_short      ? "no room for records now: space is short (ODK-3007)"
           : space.index_is_full ? "no room for records now: the read index is full (ODK-3013)"
                                 : "no room for records now: memory is short (ODK-3015)";
}

/* Why the log did not take a batch. */
static const char *append_text(struct produce *p, const struct produce_item *item, i16 kerr)
{
    const struct batch_view *v = &item->view;
    switch (kerr) {
    case KERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
        return arena_printf(&p->r->arena,
                            "sequence %d does not follow the last one of producer %lld, epoch %d",
                            v->base_sequence, (long long)v->producer_id, v->producer_epoch);
    case KERR_INVALID_PRODUCER_EPOCH:
        return arena_printf(&p->r->arena, "producer %lld has a later epoch than %d by now",
                            (long long)v->producer_id, v->producer_epoch);
    case KERR_MESSAGE_TOO_LARGE:
        return "the batch is larger than the log can take at once";
    case KERR_NOT_LEADER_OR_FOLLOWER:
        return "the broker is stopping";
    default:
        return storage_text(p->r->broker);
    }
}

static void item_append(struct produce *p, struct produce_item *item)
{
    struct append_result result;
    partition_append(item->partition, &item->view, item->topic->log_append_time, &result);
    if (result.kerr != KERR_NONE) {
        item_refuse(p, item, result.kerr, append_text(p, item, result.kerr));
        tell_log_start(item);
        return;
    }
    if (result.duplicate) {
        metric_add(METRIC_produce_duplicates_total, 1);
    }
    item->appended = !result.duplicate;
    struct partition_info info;
    partition_info(item->partition, &info);
    item->answer->base_offset = (i64)result.base_offset;
    item->answer->log_append_time_ms = result.log_append_time_ms;
    item->answer->log_start_offset = (i64)info.log_start_offset;
    p->wait_slot = p->wait ? MAX(p->wait_slot, result.slot) : result.slot;
    p->wait = true;
}

/* After a wait: partitions of topics that are gone are refused, the others looked up anew. */
static void produce_find_again(struct produce *p)
{
    struct cluster *cluster = p->r->broker->cluster;
    for (u32 i = 0; i < p->item_count; i++) {
        struct produce_item *item = &p->items[i];
        if (!item->accepted) {
            continue;
        }
        const struct meta_topic *t = meta_topic_by_id(cluster_meta(cluster), item->topic->id);
        item->partition = t == NULL ? NULL : cluster_partition(cluster, t, item->answer->index);
        if (item->partition == NULL) {
            item_refuse(p, item,
                        p->r->version >= 13 ? KERR_UNKNOWN_TOPIC_ID
                                            : KERR_UNKNOWN_TOPIC_OR_PARTITION,
                        NULL);
        }
    }
}

static void produce_whole(struct log_whole_waiter *w)
{
    produce_append(CONTAINER_OF(w, struct produce, whole));
}

/* Just after a start: is all known that matters for the batches? */
static bool items_are_ready(const struct produce *p)
{
    struct cluster *cluster = p->r->broker->cluster;
    for (u32 i = 0; i < p->item_count; i++) {
        const struct produce_item *item = &p->items[i];
        if (item->accepted &&
            !partition_is_ready(item->partition, &item->view,
                                cluster_producer_id_is_new(cluster, item->view.producer_id))) {
            return false;
        }
    }
    return true;
}

static void produce_append(struct produce *p)
{
    struct request *r = p->r;
    struct log *log = r->broker->log;
    if (p->waited) {
        produce_find_again(p);
    }
    if (UNLIKELY(!log_is_whole(log)) && !items_are_ready(p)) {
        seen("produce: a batch waits for the index of older packs");
        request_block(r);
        p->waited = true;
        p->whole.whole = produce_whole;
        log_whole_wait(log, &p->whole);
        return;
    }
    u64 bytes = 0;
    for (u32 i = 0; i < p->item_count; i++) {
        bytes += p->items[i].accepted ? p->items[i].view.whole.len : 0;
    }
    if (bytes > 0 && !log_room(log, bytes)) {
        request_block(r);
        p->waited = true;
        p->retry.fired = produce_room_retry;
        p->room.granted = produce_room;
        p->room.bytes = bytes;
        log_room_wait(log, &p->room);
        return;
    }
    for (u32 i = 0; i < p->item_count; i++) {
        if (p->items[i].accepted) {
            item_append(p, &p->items[i]);
        }
    }
    request_unblock(r);
    retention_appended(r->broker, bytes);
    if (!p->wait || p->acks == 0) {
        produce_reply(p);
        return;
    }
    request_release_frame(r);
    p->waiter.done = produce_durable;
    log_wait(log, &p->waiter, p->wait_slot);
}

static void produce_cancelled(struct request *r)
{
    struct produce *p = r->state_of_handler;
    log_wait_cancel(&p->waiter);
    log_room_cancel(&p->room);
    log_whole_cancel(&p->whole);
    io_timer_stop(r->broker->io, &p->retry);
    if (p->job != NULL) {
        p->job->produce = NULL;
    }
}

void handle_produce(struct request *r)
{
    const struct produce_request *request = r->body;
    struct produce *p = request_alloc(r, sizeof *p);
    if (p == NULL) {
        request_fail(r);
        return;
    }
    p->r = r;
    p->acks = request->acks;
    p->now_ms = io_wall_ms(r->broker->io);
    p->retry.fired = produce_retry;
    r->state_of_handler = p;
    r->cancelled = produce_cancelled;
    wire_init(&produce_response_struct, &p->response);
    if (!produce_collect(p, request)) {
        request_fail(r);
        return;
    }
    if (p->worker_items > 0) {
        request_block(r);
        p->waited = true;
        produce_work(p);
        return;
    }
    produce_append(p);
}
