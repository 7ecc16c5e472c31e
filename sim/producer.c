/* A producer: batches of new records for its partitions, up to five requests in flight, and after a
   failure or a lost connection the same batches again, with the same sequences, oldest first.

   A batch goes QUEUED -> IN_FLIGHT -> gone when acknowledged, or back to QUEUED. A partition's
   queued batches always go out in order. The first batch of a partition travels alone: before a
   broker knows a producer it takes any sequence for the first one, so a second may not overtake
   it.

   What an idempotent producer was told last it sometimes asks again, as one does whose answer came
   late: however much happened meanwhile, also when the records are deleted, the answer is the same.
   Each does so at the last reading, when the broker has only the disk (wl->asking).
 */
#include "sim/workload.h"

#include <stdio.h>
#include <string.h>

enum {
    TARGETS_MAX = 6,
    REQUESTS_MAX = 5,
    REQUEST_BATCHES_MAX = 3,
    SILENT_PACE = 10,
};

struct target {
    struct author *author;
    struct list batches; /* not acknowledged, oldest first */
    struct list acked;   /* of an idempotent producer: the last one that was, or none */
    bool acked_once;
    bool asked_again; /* and was told the same, since wl->asking */
    bool in_this_request;
};

struct batch {
    struct list_node node;
    struct target *target;
    u32 first;
    u32 count;
    bool in_flight;
    bool acked;
    i64 offset;    /* when it is */
    bool given_up; /* a request with it was, and the broker may have taken it all the same */
    u8 *bytes;
    u32 len;
};

struct produce_call {
    struct call call;
    struct producer *producer;
    struct batch *batches[REQUEST_BATCHES_MAX];
    u32 count; /* 0: idle */
};

struct producer {
    struct workload *wl;
    struct world *world;
    struct client client;
    u32 number;
    bool idempotent;
    i16 acks;
    u32 in_flight_max;
    i16 version;
    enum codec codec;
    i64 id; /* -1: none yet */
    i16 epoch;
    struct call id_call;
    bool id_asked;
    u32 target_count; /* 0: the topics are not there yet */
    struct target targets[TARGETS_MAX];
    struct produce_call calls[REQUESTS_MAX];
    struct world_event step;
    struct arena arena;
};

static void step_soon(struct producer *p, u64 about_ns)
{
    world_start(p->world, &p->step, chance_between(p->world, about_ns / 4, about_ns));
}

/* ---- id -------------------------------------------------------------------------------------- */

static void id_done(struct call *call, err_t result, struct slice body)
{
    struct producer *p = CONTAINER_OF(call, struct producer, id_call);
    p->id_asked = false;
    if (result != OK) {
        return;
    }
    struct init_producer_id_response r;
    err_t e = wire_decode(call->api->response, call->version, body, &p->arena, &r, NULL);
    if (e != OK) {
        world_fail(p->world, "answers can be read", "InitProducerId: %s", err_name(e));
    } else if (r.error_code == KERR_NONE) {
        p->id = r.producer_id;
        p->epoch = r.producer_epoch;
    } else if (!workload_retriable(NULL, r.error_code)) {
        world_fail(p->world, "errors make sense", "InitProducerId: %s", kerr_name(r.error_code));
    }
    arena_reset(&p->arena);
}

static void id_ask(struct producer *p)
{
    struct init_producer_id_request r;
    wire_init(init_producer_id_request_def.body, &r);
    r.transactional_id = (struct slice){0}; /* null */
    r.transaction_timeout_ms = 60000;
    p->id_asked = true;
    client_send(&p->client, &p->id_call, API_init_producer_id, (i16)chance_between(p->world, 0, 5),
                &r, id_done);
}

/* ---- batches --------------------------------------------------------------------------------- */

static void batch_free(struct batch *b)
{
    list_remove(&b->node);
    mem_free(b->bytes);
    mem_free(b);
}

static void batch_create(struct producer *p, struct target *t)
{
    struct world *w = p->world;
    struct batch *b = mem_alloc(sizeof *b);
    b->target = t;
    b->count = (u32)chance_between(w, 1, p->wl->knobs.batch_records_max);
    struct batch_builder_options options = batch_builder_plain();
    options.codec = chance(w, 1, 4) ? p->codec : CODEC_NONE;
    options.snappy_raw = chance(w, 1, 2);
    if (p->idempotent) {
        options.producer_id = p->id;
        options.producer_epoch = p->epoch;
        options.base_sequence = (i32)t->author->count;
    }
    struct batch_builder builder;
    batch_builder_init(&builder, &options);
    b->first = t->author->count;
    for (u32 i = 0; i < b->count; i++) {
        i64 timestamp = world_wall_ms(w) - (i64)chance_between(w, 0, 50);
        u32 record = ledger_record_add(t->author, timestamp);
        struct content *c = &p->wl->ledger.made;
        content_make(t->author, record, c);
        err_t e =
            batch_builder_add(&builder, timestamp, c->key, c->value, c->headers, c->header_count);
        assert(e == OK);
        (void)e;
    }
    struct slice bytes;
    err_t e = batch_builder_finish(&builder, &bytes);
    assert(e == OK);
    (void)e;
    b->bytes = mem_alloc(bytes.len);
    memcpy(b->bytes, bytes.ptr, bytes.len);
    b->len = (u32)bytes.len;
    batch_builder_fini(&builder);
    list_push_back(&t->batches, &b->node);
}

/* The oldest batch that is not in flight, NULL: none may go out now. */
static struct batch *batch_next(struct target *t)
{
    LIST_EACH (&t->batches, n) {
        struct batch *b = CONTAINER_OF(n, struct batch, node);
        if (!b->in_flight) {
            return b;
        }
        if (!t->acked_once) {
            return NULL;
        }
    }
    return NULL;
}

/* What was acknowledged last, when nothing came after it: it is among the last five. */
static struct batch *batch_again(struct producer *p, struct target *t)
{
    struct list_node *last = list_first(&t->acked);
    if (last == NULL || !list_empty(&t->batches) || t->asked_again) {
        return NULL;
    }
    if (!p->wl->asking && (p->wl->quiet || !chance(p->world, 1, 10))) {
        return NULL;
    }
    struct batch *b = CONTAINER_OF(last, struct batch, node);
    return b->in_flight ? NULL : b;
}

static bool may_create(const struct producer *p, struct target *t)
{
    return !p->wl->quiet && (list_empty(&t->batches) || t->acked_once);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Everything in front of it may have been taken by a request that was given up: a broker short of
   space comes to such requests when their connection is long gone. */
static bool may_be_there_before(const struct target *t, const struct batch *b)
{
    LIST_EACH (&t->batches, n) {
        const struct batch *before = CONTAINER_OF(n, struct batch, node);
        if (before == b) {
            return true;
        }
        if (!before->given_up) {
            return false;
        }
    }
    return true;
}

static void batch_acked(struct producer *p, struct batch *b, i64 base_offset)
{
    struct target *t = b->target;
    b->in_flight = false;
    if (b->acked) {
        if (base_offset != b->offset) {
            world_fail(p->world, "a batch that is sent again is recognized",
                       "%s-%d: records %u to %u of author %u, at offset %lld, are at %lld, too",
                       t->author->partition->topic->name, t->author->partition->index, b->first,
                       b->first + b->count - 1, t->author->number, (long long)b->offset,
                       (long long)base_offset);
        }
        if (p->wl->asking) {
            t->asked_again = true;
        } else {
            batch_free(b);
        }
        return;
    }
    ledger_acked(t->author, b->first, b->count, base_offset);
    if (p->idempotent && !may_be_there_before(t, b)) {
        world_fail(p->world, "a producer's records stay in order",
                   "%s-%d: record %u of author %u was acknowledged before the ones in front of it",
                   t->author->partition->topic->name, t->author->partition->index, b->first,
                   t->author->number);
    }
    t->acked_once = true;
    struct list_node *last = list_first(&t->acked);
    bool again = last != NULL && CONTAINER_OF(last, struct batch, node)->in_flight;
    if (!p->idempotent || again) {
        batch_free(b);
        return;
    }
    if (last != NULL) {
        batch_free(CONTAINER_OF(last, struct batch, node));
    }
    list_remove(&b->node);
    list_push_back(&t->acked, &b->node);
    b->acked = true;
    b->offset = base_offset;
}

/* OUT_OF_ORDER is right for a batch whose predecessor was refused; for the oldest one it means that
   the broker has forgotten what it acknowledged. */
static bool refusal_fits(struct producer *p, struct batch *b, i16 kerr)
{
    if (kerr == KERR_OUT_OF_ORDER_SEQUENCE_NUMBER) {
        return p->idempotent && !b->acked && list_first(&b->target->batches) != &b->node;
    }
    return workload_retriable(b->target->author->partition->topic, kerr);
}

static void batch_refused(struct producer *p, struct batch *b, i16 kerr, struct slice message)
{
    b->in_flight = false;
    p->wl->storage_errors += kerr == KERR_KAFKA_STORAGE_ERROR;
    if (!refusal_fits(p, b, kerr)) {
        struct ledger_partition *at = b->target->author->partition;
        world_fail(p->world, "a good produce is taken",
                   "%s-%d: records %u to %u of %s author %u: %s %.*s", at->topic->name, at->index,
                   b->first, b->first + b->count - 1, p->idempotent ? "idempotent" : "plain",
                   b->target->author->number, kerr_name(kerr), (int)message.len,
                   message.len > 0 ? (const char *)message.ptr : "");
    }
}

static struct batch *call_batch(struct produce_call *c, const struct ledger_topic *t, i32 partition)
{
    for (u32 i = 0; i < c->count; i++) {
        struct batch *b = c->batches[i];
        if (b != NULL && b->target->author->partition->topic == t &&
            b->target->author->partition->index == partition) {
            c->batches[i] = NULL;
            return b;
        }
    }
    return NULL;
}

static bool partition_answered(struct producer *p, struct produce_call *c,
                               const struct ledger_topic *t,
                               const struct produce_response_partition *r)
{
    struct batch *b = call_batch(c, t, r->index);
    if (b == NULL) {
        world_fail(p->world, "answers fit their questions",
                   "Produce: an answer for a partition that was not in the request");
        return false;
    }
    if (r->error_code != KERR_NONE) {
        world_say(p->world, "%-6s %s-%d: %s", p->client.name, t->name, r->index,
                  kerr_name(r->error_code));
        batch_refused(p, b, r->error_code, r->error_message);
        return false;
    }
    world_say(p->world, "%-6s %s-%d: records %u to %u at offset %lld", p->client.name, t->name,
              r->index, b->first, b->first + b->count - 1, (long long)r->base_offset);
    batch_acked(p, b, r->base_offset);
    return true;
}

static void response_read(struct producer *p, struct produce_call *c,
                          const struct produce_response *r)
{
    bool acked = false;
    for (u32 i = 0; i < r->responses.count; i++) {
        const struct produce_response_topic *topic = &r->responses.items[i];
        const struct ledger_topic *t = workload_topic(p->wl, topic->name, topic->topic_id);
        for (u32 k = 0; k < topic->partition_responses.count && !p->world->failed; k++) {
            acked = partition_answered(p, c, t, &topic->partition_responses.items[k]) || acked;
        }
    }
    p->wl->acked_produces += acked;
    for (u32 i = 0; i < c->count && !p->world->failed; i++) {
        if (c->batches[i] != NULL) {
            world_fail(p->world, "answers fit their questions",
                       "Produce: no answer for a partition of the request");
        }
    }
}

static void produce_done(struct call *call, err_t result, struct slice body)
{
    struct produce_call *c = CONTAINER_OF(call, struct produce_call, call);
    struct producer *p = c->producer;
    if (result != OK) {
        for (u32 i = 0; i < c->count; i++) {
            c->batches[i]->in_flight = false;
            c->batches[i]->given_up = true;
        }
        c->count = 0;
        return;
    }
    struct produce_response r;
    err_t e = wire_decode(call->api->response, call->version, body, &p->arena, &r, NULL);
    if (e != OK) {
        world_fail(p->world, "answers can be read", "Produce v%d: %s", call->version, err_name(e));
    } else {
        response_read(p, c, &r);
    }
    arena_reset(&p->arena);
    c->count = 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void request_fill(struct producer *p, struct produce_call *c, struct produce_request *r)
{
    wire_init(produce_request_def.body, r);
    r->acks = p->acks;
    r->timeout_ms = 30000;
    r->topic_data.items = wire_new(&produce_request_topic_data_struct, &p->arena, c->count);
    for (u32 i = 0; i < c->count; i++) {
        struct batch *b = c->batches[i];
        struct ledger_partition *at = b->target->author->partition;
        struct produce_request_topic_data *topic = NULL;
        for (u32 k = 0; k < r->topic_data.count; k++) {
            if (uuid_eq(r->topic_data.items[k].topic_id, at->topic->id)) {
                topic = &r->topic_data.items[k];
            }
        }
        if (topic == NULL) {
            topic = &r->topic_data.items[r->topic_data.count++];
            topic->name = slice_cstr(at->topic->name);
            topic->topic_id = at->topic->id;
            topic->partition_data.items =
                wire_new(&produce_request_partition_data_struct, &p->arena, c->count);
        }
        struct produce_request_partition_data *partition =
            &topic->partition_data.items[topic->partition_data.count++];
        partition->index = at->index;
        partition->records.bytes = slice_of(b->bytes, b->len);
    }
}

static void request_send(struct producer *p, struct produce_call *c)
{
    for (u32 i = 0; i < c->count; i++) {
        struct batch *b = c->batches[i];
        b->in_flight = true;
        ledger_sent(b->target->author, b->first, b->count);
    }
    struct produce_request r;
    request_fill(p, c, &r);
    if (p->acks != 0) {
        client_send(&p->client, &c->call, API_produce, p->version, &r, produce_done);
    } else {
        client_send_silent(&p->client, API_produce, p->version, &r);
        for (u32 i = 0; i < c->count; i++) {
            batch_free(c->batches[i]); /* promised nothing */
        }
        c->count = 0;
    }
    arena_reset(&p->arena);
}

static bool request_build(struct producer *p)
{
    struct produce_call *c = NULL;
    u32 busy = 0;
    for (u32 i = 0; i < REQUESTS_MAX; i++) {
        busy += p->calls[i].count > 0;
        c = p->calls[i].count == 0 && c == NULL ? &p->calls[i] : c;
    }
    if (busy >= p->in_flight_max || c == NULL) {
        return false;
    }
    u32 wanted = (u32)chance_between(p->world, 1, REQUEST_BATCHES_MAX);
    u32 start = (u32)chance_between(p->world, 0, p->target_count - 1);
    for (u32 i = 0; i < p->target_count && c->count < wanted; i++) {
        struct target *t = &p->targets[(start + i) % p->target_count];
        struct batch *b = batch_again(p, t);
        if (b == NULL && batch_next(t) == NULL && may_create(p, t)) {
            batch_create(p, t);
        }
        b = b != NULL ? b : batch_next(t);
        if (b != NULL) {
            c->batches[c->count++] = b;
        }
    }
    if (c->count == 0) {
        return false;
    }
    request_send(p, c);
    return true;
}

static void targets_choose(struct producer *p)
{
    if (p->target_count > 0 || !workload_topics_there(p->wl)) {
        return;
    }
    u32 partitions = workload_partition_count(p->wl);
    u32 wanted = (u32)chance_between(p->world, 1, MIN(partitions, (u32)TARGETS_MAX));
    u32 start = (u32)chance_between(p->world, 0, partitions - 1);
    for (u32 i = 0; i < wanted; i++) {
        struct ledger_partition *at = workload_partition(p->wl, (start + i) % partitions);
        struct target *t = &p->targets[p->target_count++];
        t->author = ledger_author_add(&p->wl->ledger, at, p->idempotent, p->in_flight_max == 1);
        list_init(&t->batches);
        list_init(&t->acked);
    }
}

static void step_run(struct world_event *e)
{
    struct producer *p = CONTAINER_OF(e, struct producer, step);
    if (!client_up(&p->client) || p->world->failed) {
        return;
    }
    targets_choose(p);
    if (p->target_count == 0) {
        step_soon(p, 20 * SIM_MS);
    } else if (p->idempotent && p->id < 0) {
        if (!p->id_asked) {
            id_ask(p);
        }
        step_soon(p, 5 * SIM_MS);
    } else {
        (void)request_build(p);
        /* Nothing else slows down who waits for no answer. */
        step_soon(p, p->acks == 0 ? SILENT_PACE * p->wl->knobs.think_ns : p->wl->knobs.think_ns);
    }
}

static void on_connected(void *user)
{
    struct producer *p = user;
    step_soon(p, p->wl->knobs.think_ns);
}

/* ---- life ------------------------------------------------------------------------------------ */

void producer_quiet(struct producer *p)
{
    p->client.timeout_ns = WORKLOAD_PATIENCE_NS;
}

bool producer_settled(const struct producer *p)
{
    for (u32 i = 0; i < p->target_count; i++) {
        if (p->targets[i].batches.head.next != &p->targets[i].batches.head) {
            return false;
        }
    }
    return p->target_count > 0 && client_in_flight(&p->client) == 0;
}

void producer_ask_again(struct producer *p)
{
    for (u32 i = 0; i < p->target_count; i++) {
        p->targets[i].asked_again = false;
    }
}

bool producer_asked(const struct producer *p)
{
    for (u32 i = 0; i < p->target_count; i++) {
        const struct target *t = &p->targets[i];
        if (!list_empty(&t->acked) && !t->asked_again) {
            return false;
        }
    }
    return true;
}

struct producer *producer_create(struct workload *wl, u32 number)
{
    struct world *w = wl->world;
    struct producer *p = mem_alloc(sizeof *p);
    p->wl = wl;
    p->world = w;
    p->number = number;
    p->idempotent = number == 0 || chance(w, 2, 3);
    p->acks = p->idempotent ? -1 : (i16)((i64)chance_between(w, 0, 2) - 1);
    p->in_flight_max = chance(w, 1, 4) ? 1 : (u32)chance_between(w, 2, REQUESTS_MAX);
    p->version = (i16)chance_between(w, 3, 13);
    p->codec = (enum codec)chance_between(w, 0, p->version >= 7 ? CODEC_ZSTD : CODEC_LZ4);
    p->id = -1;
    p->step.run = step_run;
    arena_init(&p->arena, NULL, 16 * KIB, 0);
    for (u32 i = 0; i < REQUESTS_MAX; i++) {
        p->calls[i].producer = p;
    }
    char name[32];
    (void)snprintf(name, sizeof name, "prod%u", number);
    const struct client_handler handler = {.connected = on_connected, .user = p};
    client_init(&p->client, w, wl->net, name, wl->knobs.timeout_ns, &handler);
    return p;
}

void producer_destroy(struct producer *p)
{
    client_fini(&p->client);
    world_stop(p->world, &p->step);
    for (u32 i = 0; i < p->target_count; i++) {
        LIST_EACH (&p->targets[i].batches, n) {
            batch_free(CONTAINER_OF(n, struct batch, node));
        }
        LIST_EACH (&p->targets[i].acked, n) {
            batch_free(CONTAINER_OF(n, struct batch, node));
        }
    }
    arena_fini(&p->arena);
    mem_free(p);
}
