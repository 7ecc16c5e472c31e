/* Asks both brokers the same and counts what they answer differently.

     judge OURS KAFKA DIFFERENCES [per-api=N] [crews=N] [seconds=N] [seed=N] [api=NAME] [details=1]
           [trace=1]

   OURS and KAFKA are HOST:PORT of brokers without topics. Prints, as test/differential/run passes
   on, `ok NAME n compared, e errors` or `FAIL NAME ...` for each API that Odradek advertises.

     1. The topics of generate.c are made on both and filled with equal records.
     2. In three phases (data, groups, admin) a request of a random API of the phase is made: mostly
        sensible, sometimes with bad values, random, or with broken bytes. Both get it at once.
     3. In the phase of groups, scripts of two members follow (crew.c).
     4. Both answers are read and compared. Where an answer may lag behind a change (Kafka publishes
        metadata after it has answered) a read is asked again, three times at most.

   An outcome is an answer, "closed", or "silent" (Produce with acks=0: a second request behind it
   shows that nothing came). A timeout on either side is always a failure. */
#include "judge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 6000
#define PROBE_CORRELATION 77777
#define RETRIES           7
#define GROUP_EPISODE     60
#define ACKS_BYTES        12 /* of a Produce request, up to behind its acks */
#define LATE_MAX          3  /* timeouts before the run is given up for an API */

struct peer peers[SIDES] = {{.name = "odradek", .fd = -1}, {.name = "kafka", .fd = -1}};

static void die(const char *what)
{
    fprintf(stderr, "judge: %s\n", what);
    exit(2);
}

/* ---- sockets --------------------------------------------------------------------------------- */

static void parse_address(const char *text, struct sockaddr_in *out)
{
    char host[64];
    snprintf(host, sizeof(host), "%s", text);
    char *colon = strchr(host, ':');
    if (colon == NULL) {
        die("an address is HOST:PORT");
    }
    *colon = '\0';
    *out = (struct sockaddr_in){.sin_family = AF_INET};
    out->sin_port = htons((u16)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &out->sin_addr) != 1) {
        die("HOST is a number, as 127.0.0.1");
    }
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
        peer->fd = -1;
    }
}

static void peer_open(struct peer *peer)
{
    if (peer->fd >= 0) {
        return;
    }
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(peer->fd, (struct sockaddr *)&peer->address, sizeof(peer->address)) != 0) {
        fprintf(stderr, "judge: cannot connect to %s: %s\n", peer->name, strerror(errno));
        exit(2);
    }
}

static void send_all(struct peer *peer, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(peer->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* the read that follows sees it too */
        }
        bytes = slice_of(bytes.ptr + sent, bytes.len - (size_t)sent);
    }
}

const char *const outcome_names[] = {"answer", "closed", "silent", "timeout", "unreadable"};

static enum outcome receive_all(struct peer *peer, void *out, size_t len)
{
    u8 *at = out;
    while (len > 0) {
        struct pollfd ready = {.fd = peer->fd, .events = POLLIN};
        if (poll(&ready, 1, ANSWER_TIMEOUT_MS) <= 0) {
            return LATE;
        }
        ssize_t got = recv(peer->fd, at, len, 0);
        if (got <= 0) {
            return CLOSED;
        }
        at += got;
        len -= (size_t)got;
    }
    return ANSWERED;
}

static enum outcome receive_frame(struct peer *peer, struct arena *arena, struct slice *out)
{
    u8 prefix[4];
    enum outcome outcome = receive_all(peer, prefix, sizeof(prefix));
    if (outcome != ANSWERED) {
        return outcome;
    }
    u32 len = load_be32(prefix);
    u8 *bytes = len > 256 * MIB ? NULL : arena_alloc(arena, len + 1);
    if (bytes == NULL) {
        return UNREADABLE;
    }
    *out = slice_of(bytes, len);
    return receive_all(peer, bytes, len);
}

/* ---- one exchange ---------------------------------------------------------------------------- */

struct slice frame_of(struct arena *arena, const struct api_row *api, i16 version, i32 correlation,
                      const void *request)
{
    struct slice frame;
    if (request_frame_build(api, version, correlation, SLICE_LIT("judge"), request, arena,
                            &frame) != OK) {
        return (struct slice){NULL, 0};
    }
    return frame;
}

static struct peer *line_of(const struct exchange *x, enum side side)
{
    return x->lines[side] != NULL ? x->lines[side] : &peers[side];
}

void exchange_receive(struct exchange *x, enum side side, struct arena *arena)
{
    struct peer *peer = line_of(x, side);
    x->answers[side] = NULL;
    struct slice frame;
    enum outcome outcome = receive_frame(peer, arena, &frame);
    if (outcome == ANSWERED && frame.len >= 4 && load_be32(frame.ptr) == PROBE_CORRELATION) {
        x->outcomes[side] = SILENT;
        return;
    }
    if (outcome == ANSWERED) {
        i32 correlation;
        struct slice body;
        size_t consumed = 0;
        void *answer = arena_alloc(arena, x->api->response->body->bytes);
        if (answer == NULL ||
            response_frame_parse(x->api, x->answer_version, frame, &correlation, &body) != OK ||
            wire_decode(x->api->response, x->answer_version, body, arena, answer, &consumed) !=
                OK ||
            consumed != body.len) {
            outcome = UNREADABLE;
        }
        x->answers[side] = answer;
    }
    if (outcome == ANSWERED && x->probe) {
        enum outcome rest = receive_frame(peer, arena, &frame);
        if (rest == LATE) {
            outcome = LATE;
        } else if (rest == CLOSED) {
            peer_close(peer);
        }
    }
    x->outcomes[side] = outcome;
    if (outcome != ANSWERED) {
        peer_close(peer);
    }
}

void exchange_send(struct exchange *x, struct arena *arena)
{
    struct api_versions_request nothing;
    wire_init(&api_versions_request_struct, &nothing);
    struct slice probe =
        frame_of(arena, api_find(API_api_versions), 0, PROBE_CORRELATION, &nothing);
    for (u32 side = 0; side < SIDES; side++) {
        struct peer *peer = line_of(x, (enum side)side);
        peer_open(peer);
        send_all(peer, x->frames[side]);
        if (x->probe) {
            send_all(peer, probe);
        }
    }
}

static void ask(struct exchange *x, struct arena *arena)
{
    exchange_send(x, arena);
    for (u32 side = 0; side < SIDES; side++) {
        exchange_receive(x, (enum side)side, arena);
    }
}

/* UNKNOWN_SERVER_ERROR: its handler threw an exception, which is no answer to compare with. */
static bool kafka_threw(const struct exchange *x)
{
    return x->outcomes[KAFKA] == ANSWERED &&
           answer_has(x->api->response->body, x->answer_version, x->answers[KAFKA],
                      KERR_UNKNOWN_SERVER_ERROR);
}

/* A coordinator that is still loading will answer otherwise soon. */
static bool kafka_is_loading(const struct exchange *x)
{
    return x->outcomes[KAFKA] == ANSWERED &&
           answer_has(x->api->response->body, x->answer_version, x->answers[KAFKA],
                      KERR_COORDINATOR_LOAD_IN_PROGRESS);
}

void exchange_compare(const struct exchange *x, struct comparison *out)
{
    if (x->outcomes[OURS] == ANSWERED && x->outcomes[KAFKA] == ANSWERED) {
        compare_answers(x->api, x->answer_version, x->answers[OURS], x->answers[KAFKA], out);
        return;
    }
    compare_outcomes(x->api, x->version, outcome_names[x->outcomes[OURS]],
                     outcome_names[x->outcomes[KAFKA]], out);
    if (out->count == 0 && (x->outcomes[OURS] == LATE || x->outcomes[KAFKA] == LATE ||
                            x->outcomes[OURS] == UNREADABLE)) {
        out->count = 1;
        snprintf(out->items[0].path, sizeof(out->items[0].path), "%s <outcome>",
                 x->api->kafka_name);
        snprintf(out->items[0].ours, sizeof(out->items[0].ours), "%s",
                 outcome_names[x->outcomes[OURS]]);
        snprintf(out->items[0].kafka, sizeof(out->items[0].kafka), "%s",
                 outcome_names[x->outcomes[KAFKA]]);
    }
}

/* The same request to both, each in its own words; dies if either does not answer. */
static void ask_both(struct exchange *x, i16 key, i16 version, const void *request,
                     struct arena *arena)
{
    *x = (struct exchange){.api = api_find(key), .version = version, .answer_version = version};
    for (u32 side = 0; side < SIDES; side++) {
        x->frames[side] = frame_of(arena, x->api, version, 1, request);
    }
    ask(x, arena);
    if (x->outcomes[OURS] != ANSWERED || x->outcomes[KAFKA] != ANSWERED) {
        fprintf(stderr, "judge: %s while preparing: odradek %s, kafka %s\n", x->api->kafka_name,
                outcome_names[x->outcomes[OURS]], outcome_names[x->outcomes[KAFKA]]);
        exit(2);
    }
}

/* ---- findings -------------------------------------------------------------------------------- */

#define FINDINGS_MAX 2000
struct finding {
    const struct api_row *api;
    struct difference difference;
    u32 count;
    i16 first_version;
    i16 last_version;
    u64 number;
    char request[1500];
};
static struct finding findings[FINDINGS_MAX];
static u32 finding_count;

static void note(const struct exchange *x, const struct difference *d, u64 number,
                 const char *request)
{
    bool by_value = strstr(d->path, "error_code") != NULL || strstr(d->path, "[]") == NULL;
    bool by_key = strstr(d->path, ".configs[]") != NULL;
    const char *key = strrchr(d->keys, '[');
    for (u32 i = 0; i < finding_count; i++) {
        struct finding *f = &findings[i];
        const char *other = strrchr(f->difference.keys, '[');
        bool same_key = !by_key || (key != NULL && other != NULL && strcmp(key, other) == 0);
        if (f->api == x->api && strcmp(f->difference.path, d->path) == 0 && same_key &&
            (!by_value || (strcmp(f->difference.ours, d->ours) == 0 &&
                           strcmp(f->difference.kafka, d->kafka) == 0))) {
            f->count++;
            f->first_version = MIN(f->first_version, x->version);
            f->last_version = MAX(f->last_version, x->version);
            return;
        }
    }
    if (finding_count < FINDINGS_MAX) {
        struct finding *f = &findings[finding_count++];
        *f = (struct finding){x->api, *d, 1, x->version, x->version, number, ""};
        snprintf(f->request, sizeof(f->request), "%s", request);
        if (getenv("JUDGE_DETAILS") != NULL) {
            fprintf(stderr, "%s %s: ours %s, Kafka %s; v%d, case %" PRIu64 "\n    %s\n", d->path,
                    d->keys, d->ours, d->kafka, x->version, number, request);
        }
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

struct tally {
    u32 wanted;
    u32 compared;
    u32 errors;
    u32 failures;
    u32 late;
    u32 tried;
    u32 thrown; /* not compared */
};
static struct tally tallies[128];
static struct generator generator;
static struct generated generated;
u64 case_number;
static bool tracing;

static bool changes_something(i16 key)
{
    switch (key) {
    case API_produce:
    case API_offset_commit:
    case API_join_group:
    case API_heartbeat:
    case API_leave_group:
    case API_sync_group:
    case API_create_topics:
    case API_delete_topics:
    case API_init_producer_id:
    case API_alter_configs:
    case API_create_partitions:
    case API_delete_groups:
    case API_incremental_alter_configs:
    case API_offset_delete:
    case API_delete_records:
        return true;
    default:
        return false;
    }
}

static bool changes_metadata(i16 key)
{
    return key == API_create_topics || key == API_delete_topics || key == API_create_partitions ||
           key == API_alter_configs || key == API_incremental_alter_configs;
}

/* Waits until both list the same topics; learns the ids of new ones. */
static void settle(void)
{
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    struct metadata_request request;
    wire_init(&metadata_request_struct, &request);
    request.topics.is_null = true;
    request.allow_auto_topic_creation = false;
    usleep(15000);
    for (u32 i = 0; i < 15; i++) {
        struct exchange x;
        struct comparison result;
        ask_both(&x, API_metadata, 12, &request, &arena);
        exchange_compare(&x, &result);
        bool same = true;
        for (u32 k = 0; k < result.count; k++) {
            same = same && strcmp(result.items[k].ours, "(missing)") != 0 &&
                   strcmp(result.items[k].kafka, "(missing)") != 0;
        }
        arena_reset(&arena);
        if (same) {
            break;
        }
        usleep(20000);
    }
    arena_fini(&arena);
}

enum way { SENSIBLE, RANDOM, BROKEN, TOO_NEW };

static enum way choose_way(struct rng *rng)
{
    u64 n = rng_below(rng, 100);
    return n < 80 ? SENSIBLE : n < 88 ? RANDOM : n < 97 ? BROKEN : TOO_NEW;
}

/* Bytes that are wrong in the same way for both. Where a flipped number would make a server wait or
   work for minutes, the end is cut off instead. */
static void break_frames(struct rng *rng, struct exchange *x)
{
    size_t len = MIN(x->frames[OURS].len, x->frames[KAFKA].len);
    i16 key = x->api->key;
    bool cut = rng_chance(rng, 1, 2) || key == API_join_group || key == API_fetch ||
               key == API_create_topics || key == API_create_partitions || key == API_sync_group ||
               key == API_delete_topics || key == API_update_features || key == API_elect_leaders ||
               key == API_find_coordinator || key == API_init_producer_id || key == API_metadata ||
               key == API_alter_configs || key == API_incremental_alter_configs;
    size_t header = 4 + 8 + 2 + 5 + 1; /* length, key, version, correlation, client id, tags */
    if (len <= header) {
        return;
    }
    size_t at = header + (size_t)rng_below(rng, len - header);
    if (key == API_produce && !cut) {
        /* Nobody would see what a Produce without an answer has done. */
        cut = ((const struct produce_request *)x->request)->acks == 0 || at < header + ACKS_BYTES;
    }
    u8 flip = (u8)(1u << rng_below(rng, 7)); /* letters stay letters of UTF-8 */
    for (u32 side = 0; side < SIDES; side++) {
        u8 *bytes = (u8 *)(uintptr_t)x->frames[side].ptr; /* from the arena, ours */
        if (cut) {
            x->frames[side].len = at;
            store_be32(bytes, (u32)at - 4);
        } else {
            bytes[at] ^= flip;
        }
    }
}

static void print_request(const struct exchange *x, char *out, size_t size)
{
    static u8 text[MIB];
    struct writer w = writer_of(text, sizeof(text) - 1);
    if (x->broken) {
        snprintf(out, size, "broken: ");
        for (size_t i = 0; i < x->frames[OURS].len; i++) {
            size_t at = strlen(out);
            snprintf(out + at, size - at, "%02x", x->frames[OURS].ptr[i]);
        }
        return;
    }
    wire_print_json(x->api->request, MIN(x->version, x->api->max), x->request, &w);
    snprintf(out, size, "%.*s", (int)w.len, (const char *)text);
}

/* With trace=1 every case: what led to a difference may lie long before it. */
static void trace(const struct exchange *x, const struct comparison *result)
{
    static u8 text[MIB];
    if (!tracing) {
        return;
    }
    char request[1500];
    print_request(x, request, sizeof(request));
    fprintf(stderr, "case %" PRIu64 " %s v%d %s: %s\n", case_number, x->api->kafka_name, x->version,
            result->count > 0 ? "DIFFERS" : "equal", request);
    for (u32 side = 0; side < SIDES; side++) {
        struct writer w = writer_of(text, sizeof(text));
        if (x->outcomes[side] == ANSWERED) {
            wire_print_json(x->api->response, x->answer_version, x->answers[side], &w);
        }
        fprintf(stderr, "    %s %s %.*s\n", peers[side].name, outcome_names[x->outcomes[side]],
                (int)w.len, (const char *)text);
    }
}

static bool make_exchange(struct exchange *x, const struct api_row *api, struct arena *arena)
{
    struct rng *rng = &generator.rng;
    i16 min = MAX(peers[OURS].min[api->key], peers[KAFKA].min[api->key]);
    i16 max = MIN(peers[OURS].max[api->key], peers[KAFKA].max[api->key]);
    min = MAX(min, api->min);
    enum way way = choose_way(rng);
    const struct tally *so_far = &tallies[api->key];
    if (way == SENSIBLE && so_far->errors * 7 < so_far->compared * 2) {
        way = rng_chance(rng, 3, 4) ? BROKEN : TOO_NEW; /* some hardly ever fail otherwise */
    }
    i16 version = way == TOO_NEW ? max : (i16)rng_between(rng, (u64)min, (u64)max);
    *x = (struct exchange){.api = api, .version = version, .answer_version = version};
    generator.arena = arena;
    generator.out = &generated;
    generator.api = api;
    generator.version = version;
    u64 mood = rng_below(rng, 100);
    generator.wrong = mood < 50 ? 0 : mood < 80 ? 12 : 40;
    if (way == RANDOM) {
        if (generate_random(&generator) != OK) {
            return false;
        }
    } else {
        generate_sensible(&generator);
    }
    x->request = generated.request;
    for (u32 side = SIDES; side-- > 0;) { /* ours last: it is the one that is printed */
        generated_for(&generator, (enum side)side);
        x->frames[side] =
            frame_of(arena, api, version, (i32)(case_number & 0xffff) + 100000, generated.request);
        if (x->frames[side].ptr == NULL) {
            return false; /* a value this version cannot carry */
        }
    }
    if (api->key == API_produce) {
        const struct produce_request *request = generated.request;
        x->probe = request->acks == 0 || way == BROKEN;
    }
    if (way == BROKEN) {
        x->broken = true;
        break_frames(rng, x);
    } else if (way == TOO_NEW) {
        x->version = (i16)(api->max + 1 + (i16)rng_below(rng, 3));
        for (u32 side = 0; side < SIDES; side++) {
            store_be16((u8 *)(uintptr_t)x->frames[side].ptr + 6, (u16)x->version);
        }
        x->answer_version = 0; /* of ApiVersions, the only one that answers */
        if (api->min > 0) {
            x->answer_version = api->min;
        }
    }
    return true;
}

static void remember_join(const struct exchange *x)
{
    if (x->api->key != API_join_group || x->version == 0 || x->outcomes[OURS] != ANSWERED ||
        x->outcomes[KAFKA] != ANSWERED) {
        return;
    }
    const struct join_group_response *answer = x->answers[OURS];
    if (answer->error_code == KERR_UNKNOWN_MEMBER_ID && !generated.wrong) {
        generator_joined(&generator, PAIR_NONE, 0);
    } else if (answer->error_code == KERR_NONE || answer->error_code == KERR_MEMBER_ID_REQUIRED) {
        u32 pair = pair_find(PAIR_MEMBER, OURS, answer->member_id);
        if (pair != PAIR_NONE) {
            generator_joined(&generator, pair, answer->generation_id);
        }
    }
}

/* Which APIs are asked together. */
enum { DATA_PHASE, GROUPS_PHASE, ADMIN_PHASE, PHASES };
static const i16 phases[][40] = {
    {API_produce, API_fetch, API_list_offsets, API_metadata, API_api_versions, API_init_producer_id,
     API_offset_for_leader_epoch, API_find_coordinator, API_describe_topic_partitions,
     API_describe_cluster, API_delete_records, API_describe_producers, -1},
    {API_offset_commit, API_offset_fetch, API_join_group, API_heartbeat, API_leave_group,
     API_sync_group, API_describe_groups, API_list_groups, API_delete_groups, API_offset_delete,
     -1},
    {-2}, /* all others */
};

static bool in_phase(u32 phase, i16 key)
{
    bool listed = false;
    for (u32 p = 0; p < ARRAY_LEN(phases); p++) {
        for (u32 i = 0; phases[p][i] >= 0; i++) {
            if (phases[p][i] == key) {
                if (p == phase) {
                    return true;
                }
                listed = true;
            }
        }
    }
    return phases[phase][0] == -2 && !listed;
}

void exchange_judge(const struct exchange *x, const struct comparison *result)
{
    struct tally *tally = &tallies[x->api->key];
    trace(x, result);
    if (kafka_threw(x) && x->outcomes[OURS] == ANSWERED) {
        tally->thrown++;
        return;
    }
    tally->compared++;
    bool error = x->outcomes[KAFKA] == CLOSED ||
                 (x->outcomes[KAFKA] == ANSWERED &&
                  answer_has_error(x->api->response->body, x->answer_version, x->answers[KAFKA]));
    tally->errors += error;
    tally->failures += result->count > 0;
    tally->late += x->outcomes[OURS] == LATE || x->outcomes[KAFKA] == LATE;
    if (result->count > 0) {
        char request[1500];
        print_request(x, request, sizeof(request));
        for (u32 i = 0; i < result->count; i++) {
            note(x, &result->items[i], case_number, request);
        }
    }
}

/* A committed offset of a group of its own. Kafka's answers about groups are those of its newest
   record; a group that came without a record shows with the next one. */
static void nudge(struct arena *arena)
{
    struct offset_commit_request_partition partition = {.committed_leader_epoch = -1,
                                                        .committed_metadata = WIRE_EMPTY};
    struct offset_commit_request_topic topic = {.name = SLICE_LIT("plain"),
                                                .partitions = {.items = &partition, .count = 1}};
    struct offset_commit_request request;
    wire_init(&offset_commit_request_struct, &request);
    request.group_id = SLICE_LIT("nudge");
    request.topics.items = &topic;
    request.topics.count = 1;
    struct exchange x;
    ask_both(&x, API_offset_commit, 8, &request, arena);
}

static void one_case(const struct api_row *api, struct arena *arena)
{
    struct exchange x;
    struct comparison result = {0};
    case_number++;
    tallies[api->key].tried++;
    if (!make_exchange(&x, api, arena)) {
        return;
    }
    ask(&x, arena);
    exchange_compare(&x, &result);
    if (result.count > 0 && in_phase(GROUPS_PHASE, api->key)) {
        nudge(arena);
    }
    for (u32 i = 0; i < RETRIES && result.count > 0 && !kafka_threw(&x) &&
                    (!changes_something(api->key) || kafka_is_loading(&x)) &&
                    x.outcomes[OURS] != LATE && x.outcomes[KAFKA] != LATE;
         i++) {
        usleep(20000u << i);
        ask(&x, arena);
        exchange_compare(&x, &result);
    }
    exchange_judge(&x, &result);
    if (x.outcomes[OURS] == LATE || x.outcomes[KAFKA] == LATE) {
        generator_next_episode(&generator); /* whoever waits there waits no longer for us */
    }
    remember_join(&x);
    if (changes_metadata(api->key)) {
        settle();
    }
}

/* ---- preparing ------------------------------------------------------------------------------- */

static void learn_versions(struct arena *arena)
{
    struct api_versions_request request;
    wire_init(&api_versions_request_struct, &request);
    struct exchange x;
    ask_both(&x, API_api_versions, 0, &request, arena);
    for (u32 side = 0; side < SIDES; side++) {
        struct peer *peer = &peers[side];
        memset(peer->max, 0xff, sizeof(peer->max));
        const struct api_versions_response *answer = x.answers[side];
        for (u32 i = 0; i < answer->api_keys.count; i++) {
            const struct api_versions_response_version *key = &answer->api_keys.items[i];
            if (key->api_key >= 0 && key->api_key < 128) {
                peer->min[key->api_key] = key->min_version;
                peer->max[key->api_key] = key->max_version;
            }
        }
    }
}

static void make_topics(struct arena *arena)
{
    static const char *const extra[][2] = {
        {"compact", "cleanup.policy\0compact"},
        {"appendtime", "message.timestamp.type\0LogAppendTime"},
        {"small", "max.message.bytes\0"
                  "1000"},
    };
    struct create_topics_request request;
    wire_init(&create_topics_request_struct, &request);
    request.topics.items =
        wire_new(&create_topics_request_creatable_topic_struct, arena, base_topic_count);
    request.topics.count = base_topic_count;
    request.timeout_ms = 30000;
    for (u32 i = 0; i < base_topic_count; i++) {
        struct create_topics_request_creatable_topic *topic = &request.topics.items[i];
        topic->name = slice_cstr(base_topics[i]);
        topic->num_partitions = 3;
        topic->replication_factor = 1;
        topic->configs.items =
            wire_new(&create_topics_request_creatable_topic_config_struct, arena, 2);
        topic->configs.count = 1;
        topic->configs.items[0].name = SLICE_LIT("retention.ms");
        topic->configs.items[0].value = SLICE_LIT("-1");
        for (u32 k = 0; k < ARRAY_LEN(extra); k++) {
            if (strcmp(extra[k][0], base_topics[i]) == 0) {
                const char *name = extra[k][1];
                topic->configs.count = 2;
                topic->configs.items[1].name = slice_cstr(name);
                topic->configs.items[1].value = slice_cstr(name + strlen(name) + 1);
            }
        }
    }
    struct exchange x;
    ask_both(&x, API_create_topics, 7, &request, arena);
    for (u32 side = 0; side < SIDES; side++) {
        if (answer_has_error(create_topics_response_def.body, 7, x.answers[side])) {
            die("the topics could not be made: give it brokers without topics");
        }
    }
    settle();
}

/* Until Kafka has a coordinator for groups, at most half a minute. */
static void find_coordinator(struct arena *arena)
{
    struct find_coordinator_request request;
    wire_init(&find_coordinator_request_struct, &request);
    request.key = SLICE_LIT("group-1-0");
    for (u32 i = 0; i < 300; i++) {
        struct exchange x;
        ask_both(&x, API_find_coordinator, 1, &request, arena);
        const struct find_coordinator_response *kafka = x.answers[KAFKA];
        const struct find_coordinator_response *ours = x.answers[OURS];
        if (kafka->error_code == 0 && ours->error_code == 0) {
            settle();
            return;
        }
        usleep(100000);
    }
    die("no coordinator");
}

/* Some producer ids; Kafka's first comes late. */
static void make_producers(struct arena *arena)
{
    struct init_producer_id_request request;
    wire_init(&init_producer_id_request_struct, &request);
    request.transaction_timeout_ms = 60000;
    for (u32 i = 0; i < 100 && pair_count(PAIR_PRODUCER) < 3; i++) {
        struct exchange x;
        struct comparison result;
        ask_both(&x, API_init_producer_id, 4, &request, arena);
        exchange_compare(&x, &result);
        if (result.count > 0) {
            usleep(100000);
        }
    }
}

/* Equal records in every codec: the generator's own, without mistakes. */
static void fill_topics(struct arena *arena)
{
    for (u32 i = 0; i < 100; i++) {
        generator.arena = arena;
        generator.out = &generated;
        generator.api = api_find(API_produce);
        generator.version = 9;
        generator.wrong = 0;
        generate_sensible(&generator);
        struct produce_request *request = generated.request;
        request->acks = -1;
        for (u32 k = 0; k < request->topic_data.count; k++) {
            if (slice_eq_cstr(request->topic_data.items[k].name, "empty")) {
                request->topic_data.items[k].name = SLICE_LIT("codecs");
            }
        }
        struct exchange x = {.api = generator.api, .version = 9, .answer_version = 9};
        for (u32 side = 0; side < SIDES; side++) {
            generated_for(&generator, (enum side)side);
            x.frames[side] = frame_of(arena, generator.api, 9, 1, request);
        }
        for (u32 tries = 0; tries < 50; tries++) {
            ask(&x, arena);
            if (x.outcomes[KAFKA] != ANSWERED || x.outcomes[OURS] != ANSWERED) {
                die("Produce was not answered while preparing");
            }
            bool failed = false;
            failed |= answer_has_error(x.api->response->body, 9, x.answers[KAFKA]);
            if (!failed) {
                break;
            }
            if (i > 0) {
                break;
            }
            usleep(100000); /* the first may come before Kafka leads its partitions */
        }
        arena_reset(arena);
    }
}

/* ---- main ------------------------------------------------------------------------------------ */

static i64 seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (i64)t.tv_sec;
}

/* Until enough is compared, or it is that late. */
static void run_phase(u32 phase, i64 until, struct arena *arena)
{
    i16 keys[128];
    u32 group_cases = 0;
    i64 episode_began = seconds_now();
    while (seconds_now() < until) {
        u32 count = 0;
        for (i16 key = 0; key < 128; key++) {
            const struct tally *t = &tallies[key];
            if (t->compared < t->wanted && t->late < LATE_MAX && t->tried < 20 * t->wanted &&
                in_phase(phase, key)) {
                keys[count++] = key;
            }
        }
        if (count == 0) {
            return;
        }
        bool slow = seconds_now() > episode_began + 1; /* rebalances have two seconds */
        if (phase == GROUPS_PHASE && (++group_cases % GROUP_EPISODE == 0 || slow)) {
            generator_next_episode(&generator);
            episode_began = seconds_now();
        }
        one_case(api_find(keys[rng_below(&generator.rng, count)]), arena);
        arena_reset(arena);
    }
}

static int report(u64 seed, bool details)
{
    u64 compared = 0;
    u64 errors = 0;
    u32 failed = 0;
    for (i16 key = 0; key < 128; key++) {
        const struct tally *t = &tallies[key];
        const struct api_row *api = api_find(key);
        if (t->wanted == 0) {
            continue;
        }
        compared += t->compared;
        errors += t->errors;
        if (t->failures == 0 && t->errors * 4 >= t->compared) {
            printf("ok %s %u compared, %u errors%s\n", api->kafka_name, t->compared, t->errors,
                   t->compared < t->wanted ? " (fewer than wanted)" : "");
            continue;
        }
        failed++;
        if (t->failures == 0) {
            printf("FAIL %s only %u of %u answers are errors (seed %" PRIu64 ")\n", api->kafka_name,
                   t->errors, t->compared, seed);
            continue;
        }
        const struct finding *first = NULL;
        u32 kinds = 0;
        for (u32 i = 0; i < finding_count; i++) {
            if (findings[i].api == api) {
                kinds++;
                if (first == NULL || findings[i].count > first->count) {
                    first = &findings[i];
                }
            }
        }
        printf("FAIL %s %u of %u differ in %u ways, most often %s: ours %s, Kafka %s (seed %" PRIu64
               ")\n",
               api->kafka_name, t->failures, t->compared, kinds, first->difference.path,
               first->difference.ours, first->difference.kafka, seed);
        for (u32 i = 0; i < finding_count; i++) {
            const struct finding *f = &findings[i];
            if (f->api == api) {
                printf("  %s %s: ours %s, Kafka %s; %u times, v%d-%d, case %" PRIu64 "\n",
                       f->difference.path, f->difference.keys, f->difference.ours,
                       f->difference.kafka, f->count, f->first_version, f->last_version, f->number);
                if (details) {
                    printf("      %s\n", f->request);
                }
            }
        }
    }
    printf("compared %" PRIu64 " answers, %" PRIu64 " of them errors; seed %" PRIu64 "\n", compared,
           errors, seed);
    return failed > 0;
}

int main(int argc, char **argv)
{
    u32 per_api = 120;
    u32 crews = 20;
    i64 seconds = 0;
    const i64 started = seconds_now();
    u64 seed = 1;
    const char *only = NULL;
    bool details = false;
    if (argc < 4) {
        die("usage: judge OURS KAFKA DIFFERENCES [per-api=N] [crews=N] [seconds=N] [seed=N] "
            "[api=NAME] [details=1] [trace=1]");
    }
    parse_address(argv[1], &peers[OURS].address);
    parse_address(argv[2], &peers[KAFKA].address);
    if (!differences_load(argv[3])) {
        return 2;
    }
    for (int i = 4; i < argc; i++) {
        if (strncmp(argv[i], "per-api=", 8) == 0) {
            per_api = (u32)strtoul(argv[i] + 8, NULL, 10);
        } else if (strncmp(argv[i], "seed=", 5) == 0) {
            seed = strtoull(argv[i] + 5, NULL, 10);
        } else if (strncmp(argv[i], "api=", 4) == 0) {
            only = argv[i] + 4;
        } else if (strncmp(argv[i], "details=", 8) == 0) {
            details = argv[i][8] == '1';
        } else if (strncmp(argv[i], "seconds=", 8) == 0) {
            seconds = strtol(argv[i] + 8, NULL, 10);
        } else if (strncmp(argv[i], "crews=", 6) == 0) {
            crews = (u32)strtoul(argv[i] + 6, NULL, 10);
        } else if (strncmp(argv[i], "trace=", 6) == 0) {
            tracing = argv[i][6] == '1';
        } else {
            die("unknown argument");
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct arena arena;
    arena_init(&arena, NULL, MIB, 0);
    rng_seed(&generator.rng, seed);
    learn_versions(&arena);
    make_topics(&arena);
    find_coordinator(&arena);
    make_producers(&arena);
    fill_topics(&arena);
    for (i16 key = 0; key < 128; key++) {
        const struct api_row *api = api_find(key);
        if (api == NULL || peers[OURS].max[key] < 0) {
            continue;
        }
        if (peers[KAFKA].max[key] < 0) {
            printf("FAIL %s Kafka does not advertise it\n", api->kafka_name);
            continue;
        }
        if (only == NULL || strstr(only, api->kafka_name) != NULL) {
            tallies[key].wanted = per_api;
        }
    }
    for (u32 phase = 0; phase < ARRAY_LEN(phases); phase++) {
        i64 until = seconds == 0 ? INT64_MAX : started + seconds * (phase + 1) / PHASES;
        run_phase(phase, until, &arena);
        for (u32 i = 0; i < crews && phase == GROUPS_PHASE; i++) {
            crew_run(&generator.rng);
        }
    }
    int status = report(seed, details);
    differences_print_unused();
    arena_fini(&arena);
    return status;
}
