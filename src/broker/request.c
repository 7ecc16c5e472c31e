/* A request's way in (decode, find the handler) and its answer's way to the connection's queue; see
   request.h. */
#include "broker/conn.h"

enum { API_KEY_MAX = 127 };
static const handler_fn handlers[API_KEY_MAX + 1] = {
#define HANDLER(key, function) [key] = function,
#include "broker/handlers.def"
#undef HANDLER
};

bool broker_serves(i16 api_key)
{
    return api_key >= 0 && api_key <= API_KEY_MAX && handlers[api_key] != NULL;
}

/* ---- in -------------------------------------------------------------------------------------- */

handler_fn request_decode(struct request *r, struct slice frame, const char **why)
{
    struct request_frame parsed;
    err_t e = request_frame_parse(frame, &parsed);
    if (e != OK && e != ERR_VERSION) {
        *why = "the request header cannot be read";
        return NULL;
    }
    r->api = parsed.api;
    r->api_key = parsed.key;
    r->version = parsed.version;
    r->correlation_id = parsed.correlation_id;
    if (!broker_serves(parsed.key)) {
        *why = "unknown or unsupported API key";
        return NULL;
    }
    if (e == ERR_VERSION) {
        *why = "unsupported API version";
        return parsed.key == API_api_versions ? handlers[API_api_versions] : NULL;
    }
    r->client_id = parsed.client_id;
    if (r->api_key == API_init_producer_id && r->version > INIT_PRODUCER_ID_VERSION_MAX) {
        *why = "unsupported API version";
        return NULL;
    }
    r->body = arena_alloc(&r->arena, r->api->request->body->bytes);
    if (r->body == NULL) {
        *why = "no memory for the request";
        return NULL;
    }
    e = wire_decode(r->api->request, r->version, parsed.body, &r->arena, r->body, NULL);
    if (e != OK) {
        *why =
            e == ERR_NO_MEMORY ? "no memory for the request" : "the request body cannot be decoded";
        return NULL;
    }
    return handlers[r->api_key];
}

void request_release_frame(struct request *r)
{
    if (r->frame != NULL) {
        blob_unref(r->frame);
        r->frame = NULL;
        r->body = NULL;
        r->client_id = (struct slice){0};
    }
}

void request_free(struct request *r)
{
    request_release_frame(r);
    r->broker->loads_waiting -= r->load_state == LOAD_WAITING;
    if (r->load_state != LOAD_NONE) {
        log_load_release(&r->load);
    }
    arena_fini(&r->arena);
    pool_put(&r->broker->request_pool, r);
}

void *request_alloc(struct request *r, size_t bytes)
{
    return arena_alloc(&r->arena, bytes);
}

/* ---- out ------------------------------------------------------------------------------------- */

static void request_ready(struct request *r)
{
    assert(r->state == REQUEST_RUNNING);
    r->state = REQUEST_READY;
    r->ready_ns = io_now_ns(r->broker->io);
    r->cancelled = NULL;
    request_release_frame(r);
    conn_dirty(r->conn);
}

void request_reply_none(struct request *r)
{
    r->no_answer = true;
    request_ready(r);
}

/* The request was good; what is missing is memory for its answer, or the answer is too large. */
static void say_no_answer(const struct request *r, err_t why)
{
    if (!r->broker->stopping) {
        metric_add(METRIC_answers_no_memory_total, 1);
        diag(MSG_answer_no_memory, D_STR("peer", r->conn->peer->host), D_INT("api_key", r->api_key),
             D_INT("api_version", r->version), D_SLICE("client_id", r->client_id),
             D_STR("error", err_name(why)), D_UINT("arena_bytes", r->arena.total_bytes),
             D_UINT("left_bytes", quota_left(&r->broker->memory.requests)));
    }
}

void request_fail(struct request *r)
{
    if (r->arena.exhausted && r->started) {
        say_no_answer(r, ERR_NO_MEMORY);
    }
    r->no_answer = true;
    r->close_after = true;
    r->conn->input_done = true;
    request_ready(r);
}

/* bytes up to the first hole, its ranges, bytes up to the next, ... */
static MUST_USE err_t reply_split(struct request *r, const struct response_frame *frame,
                                  const struct reply_hole *holes)
{
    u32 count = 1;
    for (u32 i = 0; i < frame->holes.count; i++) {
        count += 1 + holes[frame->holes.items[i].id].range_count;
    }
    r->parts = arena_array(&r->arena, count, sizeof *r->parts);
    if (r->parts == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t from = 0;
    for (u32 i = 0; i < frame->holes.count; i++) {
        const struct wire_hole *hole = &frame->holes.items[i];
        r->parts[r->part_count++] = (struct reply_part){.data = frame->bytes.ptr + from,
                                                        .bytes = (u32)(hole->offset - from)};
        from = hole->offset;
        u64 filled = 0;
        for (u32 k = 0; k < holes[hole->id].range_count; k++) {
            const struct log_range *range = &holes[hole->id].ranges[k];
            r->parts[r->part_count++] = (struct reply_part){.bytes = range->bytes, .range = *range};
            filled += range->bytes;
        }
        assert(filled == hole->bytes);
    }
    if (from < frame->bytes.len) {
        r->parts[r->part_count++] = (struct reply_part){.data = frame->bytes.ptr + from,
                                                        .bytes = (u32)(frame->bytes.len - from)};
    }
    assert(r->part_count <= count);
    return OK;
}

static void reply_in_version(struct request *r, i16 version, const void *response,
                             const struct reply_hole *holes)
{
    struct response_frame frame;
    err_t e = response_frame_build(r->api, version, r->correlation_id, response, &r->arena, &frame);
    if (e == OK) {
        e = reply_split(r, &frame, holes);
    }
    /* ERR_INVALID would be a handler that fills a field its version lacks, or one that ran out of
     * memory before. */
    assert(e == OK || e == ERR_NO_MEMORY || e == ERR_LIMIT || r->arena.exhausted);
    if (e != OK || r->arena.exhausted) {
        r->part_count = 0;
        if (!r->arena.exhausted) {
            say_no_answer(r, e);
        }
        request_fail(r);
        return;
    }
    r->encoded_bytes = frame.bytes.len;
    r->conn->unsent_bytes += frame.bytes.len;
    request_ready(r);
}

void request_reply(struct request *r, const void *response)
{
    reply_in_version(r, r->version, response, NULL);
}

void request_reply_version(struct request *r, i16 version, const void *response)
{
    reply_in_version(r, version, response, NULL);
}

void request_reply_holes(struct request *r, const void *response, const struct reply_hole *holes)
{
    reply_in_version(r, r->version, response, holes);
}

void request_block(struct request *r)
{
    r->conn->blocked = true;
}

void request_unblock(struct request *r)
{
    if (r->conn->blocked) {
        r->conn->blocked = false;
        conn_resume(r->conn);
    }
}

/* ---- shared by handlers ---------------------------------------------------------------------- */

const struct meta_topic *request_topic(struct request *r, struct slice name, struct uuid id,
                                       bool by_id, i16 *kerr)
{
    const struct meta *meta = cluster_meta(r->broker->cluster);
    const struct meta_topic *t =
        by_id ? meta_topic_by_id(meta, id) : meta_topic_by_name(meta, name);
    *kerr = t != NULL ? KERR_NONE : by_id ? KERR_UNKNOWN_TOPIC_ID : KERR_UNKNOWN_TOPIC_OR_PARTITION;
    return t;
}

bool topic_is_internal(const struct meta_topic *t)
{
    static const char *const names[] = {"__consumer_offsets", "__transaction_state",
                                        "__share_group_state"};
    bool named = false;
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        named |= slice_eq_cstr(t->name, names[i]);
    }
    return named || t->internal;
}

i16 request_check_epoch(const struct request *r, const struct meta_topic *t, i32 asked)
{
    i32 current = meta_leader_epoch(cluster_meta(r->broker->cluster), t);
    if (asked == -1 || asked == current) {
        return KERR_NONE;
    }
    return asked < current ? KERR_FENCED_LEADER_EPOCH : KERR_UNKNOWN_LEADER_EPOCH;
}
