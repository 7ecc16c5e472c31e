/* Whole connections to a whole broker: the input is a program of requests, of any API and version,
   of damage to them, and of how they arrive. The broker is the real one on a home in memory and a
   border without a kernel (fake_io.h), so one input is one run, and the same each time.

   A request is made from the tables (wire_random), then given sense: names from a short list, small
   numbers, good batches, ids that the broker gave before. Then bytes of it may be changed, and it
   is delivered in pieces.

   What must hold: nothing crashes; memory keeps to its budget; answers come in the order of their
   requests, with their correlation ids, and decode to the last byte; a request that cannot be read
   is the last of its connection; when all clients are gone nothing is held for them. */
#include "broker/conn.h"
#include "fake_io.h"
#include "fuzz.h"

#include <string.h>

enum {
    CONNS = 4,
    MEMORY_BYTES = 16 * MIB,
    INPUT_MAX = 4096,   /* of a program */
    REQUESTS_MAX = 200, /* in a program */
    FRAME_MAX = 64 * 1024,
    SETTLE_TURNS = 400,
};

/* A request on its way, and what may come of it. */
struct expected {
    i32 correlation_id;
    i16 key;
    i16 version; /* of the answer */
    bool silent; /* acks=0: no answer */
    bool last;   /* unreadable, or refused: nothing is answered from here on */
};

struct peer {
    struct io_sock *sock;
    u8 *waiting; /* bytes made and not yet delivered */
    size_t waiting_len;
    struct expected expected[REQUESTS_MAX];
    u32 expected_head;
    u32 expected_count;
    u8 *received;
    size_t received_len;
    bool wild; /* sent bytes that are no frames: its answers are not looked at */
};

struct fuzz {
    struct reader program;
    struct io *io;
    struct config *config;
    struct broker *broker;
    struct arena arena; /* of one request */
    struct rng rng;     /* of one request */
    struct peer peers[CONNS];
    u32 request_count;
    i32 next_correlation_id;
    /* What the broker told. */
    char member_id[64];
    i64 producer_id;
    i32 session_id;
    i32 generation;
    struct uuid topic_id;
    bool stopped;
};

static u8 next(struct fuzz *f)
{
    return reader_left(&f->program) > 0 ? read_u8(&f->program) : 0;
}

static void when_stopped(void *user, err_t result)
{
    struct fuzz *f = user;
    PROPERTY(result == OK);
    f->stopped = true;
}

static void quiet(void *user, const char *line, size_t len)
{
    (void)user;
    (void)line;
    (void)len;
}

/* ---- requests with sense --------------------------------------------------------------------- */

static struct slice good_batch(struct fuzz *f)
{
    struct batch_builder_options o = batch_builder_plain();
    o.codec = (enum codec)rng_below(&f->rng, 5);
    if (rng_chance(&f->rng, 1, 3)) {
        o.producer_id = f->producer_id;
        o.producer_epoch = 0;
        o.base_sequence = (i32)rng_below(&f->rng, 4);
    }
    struct batch_builder b;
    batch_builder_init(&b, &o);
    u64 records = 1 + rng_below(&f->rng, 3);
    err_t e = OK;
    for (u64 i = 0; i < records && e == OK; i++) {
        e = batch_builder_add(&b, io_wall_ms(f->io), SLICE_LIT("key"), SLICE_LIT("value"), NULL, 0);
    }
    struct slice bytes = {0};
    e = e == OK ? batch_builder_finish(&b, &bytes) : e;
    struct slice kept = arena_copy(&f->arena, bytes);
    batch_builder_fini(&b);
    return kept;
}

/* What makes a request mean something, by the name of its field and struct; most of the time. */
struct hint {
    const char *field; /* a part of its name, or of its struct's */
    const char *words; /* "a|b|c"; "M" is the member id that was given last */
};
static const struct hint string_hints[] = {
    {"group_instance_id", "i1|i2"},
    {"group_id", "g|g|g|h"},
    {"groups_names", "g|h"},
    {"member_id", "M|M|M|"},
    {"protocol_type", "consumer"},
    {"protocol", "range|roundrobin"},
    {"coordinator_keys", "g|h"},
    {"transactional_id", ""},
    {"config", "retention.ms|cleanup.policy|max.message.bytes"},
    {"value", "1000|compact|100000"},
    {"resource_name", "t|1|"},
    {"topic", "t|t|t|u|__consumer_offsets"},
    {"key", "g|h"},
    {"name", "t|t|u"},
};
struct number_hint {
    const char *field;
    i64 numbers[4];
};
enum { SESSION = 1000001, GENERATION, PRODUCER }; /* what the broker told */
static const struct number_hint number_hints[] = {
    {"session_timeout_ms", {10000, 30000, 10000, 6000}},
    {"max_wait_ms", {0, 0, 500, 5000}},
    {"timeout", {1000, 30000, 10000, 5000}},
    {"generation_id", {GENERATION, GENERATION, GENERATION, -1}},
    {"session_id", {0, SESSION, SESSION, 0}},
    {"session_epoch", {-1, 0, 1, 2}},
    {"replica_id", {-1, -1, -1, -1}},
    {"leader_epoch", {-1, -1, 0, 1}},
    {"last_fetched_epoch", {-1, -1, 0, 1}},
    {"num_partitions", {1, 2, 5, -1}},
    {"replication_factor", {1, 3, -1, 1}},
    {"partition_max_bytes", {1 << 20, 1 << 20, 100, 0}},
    {"max_bytes", {1 << 20, 1 << 20, 1000, 0}},
    {"min_bytes", {0, 1, 1, 100000}},
    {"partition", {0, 0, 1, 2}},
    {"index", {0, 0, 1, 2}},
    {"acks", {-1, -1, 1, 0}},
    {"offset", {0, 0, 1, 3}},
    {"timestamp", {-1, -2, -3, 0}},
    {"type", {0, 2, 4, 0}},
    {"producer_id", {-1, PRODUCER, PRODUCER, -1}},
    {"producer_epoch", {-1, 0, 0, 1}},
};

static bool hinted(const char *part, const struct struct_def *def, const struct field_def *field)
{
    return strstr(field->name, part) != NULL ||
           (strcmp(field->name, "name") == 0 && strstr(def->name, part) != NULL);
}

static struct slice good_word(struct fuzz *f, const char *words)
{
    u32 count = 1;
    for (const char *at = words; *at != 0; at++) {
        count += *at == '|';
    }
    const char *at = words;
    for (u64 skip = rng_below(&f->rng, count); skip > 0; skip--) {
        at = strchr(at, '|') + 1;
    }
    struct slice word = slice_of(at, strcspn(at, "|"));
    return slice_eq_cstr(word, "M") ? slice_cstr(f->member_id) : word;
}

static struct slice good_string(struct fuzz *f, const struct struct_def *def,
                                const struct field_def *field)
{
    for (u32 i = 0; i < ARRAY_LEN(string_hints) && !rng_chance(&f->rng, 1, 60); i++) {
        if (hinted(string_hints[i].field, def, field)) {
            return good_word(f, string_hints[i].words);
        }
    }
    return good_word(f, "t|u|g|h||consumer|range|client|1|100|user|ip|absent|a.b|a_b|..|/x|M");
}

static i64 good_number(struct fuzz *f, const struct struct_def *def, const struct field_def *field)
{
    static const i64 any[] = {-1, 0, 0, 1, 2, 3, 10, 1000, 30000, 1 << 20, -2, 64};
    i64 number = any[rng_below(&f->rng, ARRAY_LEN(any))];
    for (u32 i = 0; i < ARRAY_LEN(number_hints) && !rng_chance(&f->rng, 1, 60); i++) {
        if (hinted(number_hints[i].field, def, field)) {
            number = number_hints[i].numbers[rng_below(&f->rng, 4)];
            break;
        }
    }
    return number == SESSION      ? f->session_id
           : number == GENERATION ? f->generation
           : number == PRODUCER   ? f->producer_id
                                  : number;
}

static void make_sense(struct fuzz *f, const struct struct_def *def, version_set version, u8 *out);

static void value_make_sense(struct fuzz *f, const struct struct_def *def,
                             const struct field_def *field, version_set version, void *value)
{
    if (rng_chance(&f->rng, 1, 40) && field->kind != WIRE_STRUCT) {
        return; /* as random as it was */
    }
    i64 number = good_number(f, def, field);
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
        *(struct slice *)value = good_string(f, def, field);
        break;
    case WIRE_BOOL:
        *(bool *)value = (number & 1) != 0;
        break;
    case WIRE_I8:
        *(i8 *)value = (i8)number;
        break;
    case WIRE_I16:
        *(i16 *)value = (i16)number;
        break;
    case WIRE_I32:
        *(i32 *)value = (i32)number;
        break;
    case WIRE_I64:
        *(i64 *)value = number;
        break;
    case WIRE_UUID:
        *(struct uuid *)value = f->topic_id;
        break;
    case WIRE_RECORDS:
        ((struct wire_records *)value)->bytes = good_batch(f);
        break;
    case WIRE_STRUCT:
        make_sense(f, field->type, version, value);
        break;
    default:
        break;
    }
}

static size_t element_bytes(const struct field_def *field)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
    case WIRE_BYTES:
        return sizeof(struct slice);
    case WIRE_STRUCT:
        return field->type->bytes;
    case WIRE_UUID:
        return sizeof(struct uuid);
    case WIRE_I64:
    case WIRE_F64:
        return 8;
    case WIRE_I32:
    case WIRE_U32:
        return 4;
    case WIRE_I16:
    case WIRE_U16:
        return 2;
    case WIRE_RECORDS:
        return sizeof(struct wire_records);
    default:
        return 1;
    }
}

static void make_sense(struct fuzz *f, const struct struct_def *def, version_set version, u8 *out)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        void *member = out + field->offset;
        if ((field->versions & version) == 0) {
            continue;
        }
        if (field->shape == WIRE_MANY) {
            struct i8_array array; /* all arrays look alike */
            memcpy(&array, member, sizeof array);
            for (u32 k = 0; k < array.count && !array.is_null; k++) {
                value_make_sense(f, def, field, version, array.items + k * element_bytes(field));
            }
        } else if (field->shape == WIRE_OPTIONAL) {
            void *pointer;
            memcpy(&pointer, member, sizeof pointer);
            if (pointer != NULL) {
                make_sense(f, field->type, version, pointer);
            }
        } else {
            value_make_sense(f, def, field, version, member);
        }
    }
}

/* What the broker owes for these bytes (a frame without its length). */
static struct expected expect_of(struct fuzz *f, struct slice frame)
{
    struct request_frame parsed;
    err_t e = request_frame_parse(frame, &parsed);
    struct expected x = {
        .correlation_id = parsed.correlation_id, .key = parsed.key, .version = parsed.version};
    if (e == ERR_VERSION && parsed.key == API_api_versions) {
        x.version = 0;
        return x;
    }
    x.last = e != OK || !broker_serves(parsed.key) ||
             (parsed.key == API_init_producer_id && parsed.version > INIT_PRODUCER_ID_VERSION_MAX);
    if (x.last) {
        return x;
    }
    void *body = arena_alloc(&f->arena, parsed.api->request->body->bytes);
    e = wire_decode(parsed.api->request, parsed.version, parsed.body, &f->arena, body, NULL);
    x.last = e == ERR_TRUNCATED || e == ERR_INVALID;
    x.silent = e == OK && parsed.key == API_produce && ((struct produce_request *)body)->acks == 0;
    return x;
}

static void peer_queue(struct peer *p, const u8 *bytes, size_t len)
{
    p->waiting = mem_resize(p->waiting, p->waiting_len + len);
    memcpy(p->waiting + p->waiting_len, bytes, len);
    p->waiting_len += len;
}

static void request_make(struct fuzz *f, struct peer *p)
{
    u8 api_at = next(f);
    u8 version_at = next(f);
    u8 seed = next(f);
    u8 changes = next(f);
    const struct api_row *api;
    do {
        api = &api_rows[api_at++ % api_row_count];
    } while (!broker_serves(api->key));
    i16 version = (i16)(api->min + version_at % (api->max - api->min + 1));
    rng_seed(&f->rng, seed);
    arena_reset(&f->arena);
    void *message = arena_alloc(&f->arena, api->request->body->bytes);
    if (wire_random(api->request, version, &f->rng, &f->arena, message) != OK) {
        return;
    }
    make_sense(f, api->request->body, (version_set)1 << version, message);
    struct slice frame;
    if (f->request_count == REQUESTS_MAX ||
        request_frame_build(api, version, f->next_correlation_id, SLICE_LIT("fuzz"), message,
                            &f->arena, &frame) != OK ||
        frame.len > FRAME_MAX) {
        return;
    }
    u8 *bytes = arena_alloc(&f->arena, frame.len);
    memcpy(bytes, frame.ptr, frame.len);
    for (u32 i = 0; i < (u32)(changes & 7); i++) {
        u32 at = next(f) | (u32)next(f) << 8;
        bytes[4 + at % (frame.len - 4)] ^= next(f); /* the length stays: frames are found */
    }
    f->next_correlation_id++;
    f->request_count++;
    p->expected[p->expected_count++] = expect_of(f, slice_of(bytes + 4, frame.len - 4));
    peer_queue(p, bytes, frame.len);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void remember(struct fuzz *f, i16 key, const void *response)
{
    if (key == API_join_group) {
        i32 generation = ((const struct join_group_response *)response)->generation_id;
        f->generation = generation > 0 ? generation : f->generation;
        struct slice id = ((const struct join_group_response *)response)->member_id;
        if (id.len > 0 && id.len < sizeof f->member_id && memchr(id.ptr, 0, id.len) == NULL) {
            memcpy(f->member_id, id.ptr, id.len);
            f->member_id[id.len] = 0;
        }
    } else if (key == API_init_producer_id) {
        i64 id = ((const struct init_producer_id_response *)response)->producer_id;
        f->producer_id = id >= 0 ? id : f->producer_id;
    } else if (key == API_fetch) {
        i32 id = ((const struct fetch_response *)response)->session_id;
        f->session_id = id != 0 ? id : f->session_id;
    }
}

static void answer_check(struct fuzz *f, struct peer *p, struct slice frame)
{
    struct reader r = reader_of(frame);
    i32 id = (i32)read_be32(&r);
    PROPERTY(!r.failed);
    const struct expected *x;
    do {
        PROPERTY(p->expected_head < p->expected_count);
        x = &p->expected[p->expected_head++];
        PROPERTY(!x->last);
    } while (x->silent);
    PROPERTY(x->correlation_id == id);
    const struct api_row *api = api_find(x->key);
    i32 got;
    struct slice body;
    PROPERTY(response_frame_parse(api, x->version, frame, &got, &body) == OK);
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    void *response = arena_alloc(&arena, api->response->body->bytes);
    size_t consumed;
    PROPERTY(wire_decode(api->response, x->version, body, &arena, response, &consumed) == OK);
    PROPERTY(consumed == body.len);
    remember(f, x->key, response);
    arena_fini(&arena);
}

static void peer_read(struct fuzz *f, struct peer *p, size_t len)
{
    if (p->sock == NULL) {
        return;
    }
    p->received = mem_resize(p->received, p->received_len + len);
    p->received_len += fake_take(p->sock, p->received + p->received_len, len);
    size_t at = 0;
    while (!p->wild && p->received_len - at >= 4) {
        i32 size = (i32)load_be32(p->received + at);
        PROPERTY(size >= 4);
        if (p->received_len - at - 4 < (size_t)size) {
            break;
        }
        answer_check(f, p, slice_of(p->received + at + 4, (size_t)size));
        at += 4 + (size_t)size;
    }
    at = p->wild ? p->received_len : at;
    p->received_len -= at;
    memmove(p->received, p->received + at, p->received_len);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void turn(struct fuzz *f)
{
    io_turn(f->io, false);
    const struct memory *m = &f->broker->memory;
    PROPERTY(m->root.used <= m->root.cap);
    PROPERTY(m->receive.used <= m->receive.cap);
    PROPERTY(m->requests.used <= m->requests.cap);
    PROPERTY(m->log.used <= m->log.cap);
}

static void peer_deliver(struct peer *p, size_t len)
{
    size_t taken = MIN(len, p->waiting_len);
    if (p->sock == NULL || taken == 0) {
        return;
    }
    fake_give(p->sock, p->waiting, taken);
    p->waiting_len -= taken;
    memmove(p->waiting, p->waiting + taken, p->waiting_len);
}

static void peer_forget(struct peer *p)
{
    mem_free(p->waiting);
    mem_free(p->received);
    *p = (struct peer){0};
}

static void peer_open(struct fuzz *f, struct peer *p)
{
    if (p->sock == NULL || p->sock->closed || p->sock->reset || p->sock->ended) {
        peer_read(f, p, FAKE_OUT_BYTES);
        if (p->sock != NULL) {
            p->sock->reset = true;
        }
        peer_forget(p);
        p->sock = fake_connect(f->io);
    }
}

/* The topic the program works on: its id is known as soon as it is there. */
static void learn_topic(struct fuzz *f)
{
    const struct meta_topic *t =
        meta_topic_by_name(cluster_meta(broker_cluster(f->broker)), SLICE_LIT("t"));
    f->topic_id = t != NULL ? t->id : f->topic_id;
}

static void step(struct fuzz *f, struct peer **p)
{
    static const u64 waits_ms[] = {1, 10, 100, 1000, 3100, 11000, 61000, 700000};
    u8 op = next(f);
    switch (op % 16) {
    case 9: {
        u8 len = next(f);
        u8 bytes[256];
        for (u32 i = 0; i < len; i++) {
            bytes[i] = next(f);
        }
        (*p)->wild = true;
        peer_queue(*p, bytes, len);
        break;
    }
    case 10:
        peer_deliver(*p, next(f));
        turn(f);
        break;
    case 11:
        peer_deliver(*p, FRAME_MAX);
        for (u32 i = next(f) % 16; i > 0; i--) {
            turn(f);
        }
        break;
    case 12:
        peer_read(f, *p, 16 * (size_t)next(f));
        break;
    case 13:
        fake_advance(f->io, waits_ms[next(f) % ARRAY_LEN(waits_ms)] * 1000000);
        turn(f);
        break;
    case 14:
        *p = &f->peers[next(f) % CONNS];
        peer_open(f, *p);
        break;
    case 15:
        if ((*p)->sock != NULL) {
            bool fin = next(f) % 2 == 0;
            (*p)->sock->ended |= fin;
            (*p)->sock->reset |= !fin;
        }
        break;
    default:
        request_make(f, *p);
        if (op < 128) {
            peer_deliver(*p, FRAME_MAX);
            turn(f);
            turn(f);
            peer_read(f, *p, FAKE_OUT_BYTES);
            learn_topic(f);
        }
        break;
    }
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void ask_first(struct fuzz *f, struct peer *p, i16 key, i16 version, const void *request)
{
    struct slice frame;
    PROPERTY(request_frame_build(api_find(key), version, f->next_correlation_id++,
                                 SLICE_LIT("fuzz"), request, &f->arena, &frame) == OK);
    p->expected[p->expected_count++] = expect_of(f, slice_of(frame.ptr + 4, frame.len - 4));
    fake_give(p->sock, frame.ptr, frame.len);
    for (u32 i = 0; i < 8; i++) {
        turn(f);
    }
    peer_read(f, p, FAKE_OUT_BYTES);
    PROPERTY(p->expected_head == p->expected_count);
}

/* A topic and a coordinator to work with, so that programs need not find that out first. */
static void first_requests(struct fuzz *f, struct peer *p)
{
    struct create_topics_request_creatable_topic topic;
    wire_init(&create_topics_request_creatable_topic_struct, &topic);
    topic.name = SLICE_LIT("t");
    topic.num_partitions = 3;
    topic.replication_factor = 1;
    struct create_topics_request create;
    wire_init(&create_topics_request_struct, &create);
    create.topics.items = &topic;
    create.topics.count = 1;
    create.timeout_ms = 1000;
    ask_first(f, p, API_create_topics, 5, &create);
    learn_topic(f);
    PROPERTY(!uuid_is_zero(f->topic_id));
    struct find_coordinator_request find;
    wire_init(&find_coordinator_request_struct, &find);
    find.key = SLICE_LIT("g");
    ask_first(f, p, API_find_coordinator, 2, &find);
}

static void begin(struct fuzz *f)
{
    arena_init(&f->arena, NULL, 64 * KIB, 0);
    f->config = config_create();
    static const char *const settings[][2] = {{"offsets.topic.num.partitions", "2"},
                                              {"group.initial.rebalance.delay.ms", "0"}};
    for (u32 i = 0; i < ARRAY_LEN(settings); i++) {
        char reason[256];
        PROPERTY(config_set(f->config, slice_cstr(settings[i][0]), slice_cstr(settings[i][1]),
                            reason, sizeof reason) == OK);
    }
    f->io = fake_io_create(1);
    struct broker_params params = {
        .io = f->io,
        .config = f->config,
        .data_directory = "memory",
        .home = home_mem_create(f->io),
        .listen_host = "127.0.0.1",
        .memory_bytes = MEMORY_BYTES,
        .stopped = when_stopped,
        .user = f,
    };
    f->broker = broker_create(&params);
    PROPERTY(broker_start(f->broker) == OK);
    peer_open(f, &f->peers[0]);
    turn(f);
    first_requests(f, &f->peers[0]);
}

/* Everything arrives and is read; then the clients go, and nothing of theirs may stay. */
static void settle(struct fuzz *f)
{
    for (u32 i = 0; i < 20; i++) {
        for (u32 k = 0; k < CONNS; k++) {
            peer_deliver(&f->peers[k], FRAME_MAX);
            turn(f);
            peer_read(f, &f->peers[k], FAKE_OUT_BYTES);
        }
    }
    for (u32 k = 0; k < CONNS; k++) {
        if (f->peers[k].sock != NULL) {
            f->peers[k].sock->reset = true;
        }
        peer_forget(&f->peers[k]);
    }
    for (u32 i = 0; i < SETTLE_TURNS && f->broker->conn_count > 0; i++) {
        fake_advance(f->io, 1000000);
        turn(f);
    }
    PROPERTY(f->broker->conn_count == 0);
    for (u32 i = 0; i < SETTLE_TURNS && !list_empty(&f->broker->jobs); i++) {
        turn(f);
    }
    PROPERTY(f->broker->request_pool.count == 0);
    PROPERTY(f->broker->receive_pool.live_count == 0);
    PROPERTY(list_empty(&f->broker->parked_fetches));
    PROPERTY(list_empty(&f->broker->starved_conns));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size > INPUT_MAX) {
        return 0;
    }
    diag_redirect(quiet, NULL);
    struct fuzz *f = mem_alloc(sizeof *f);
    f->program = reader_of(slice_of(data, size));
    begin(f);
    struct peer *p = &f->peers[0];
    while (reader_left(&f->program) > 0) {
        step(f, &p);
    }
    settle(f);
    broker_destroy(f->broker);
    config_destroy(f->config);
    arena_fini(&f->arena);
    io_destroy(f->io);
    mem_free(f);
    return 0;
}
