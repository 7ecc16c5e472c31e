/* One connection, one question at a time: see kafka.h.

     kafka_open()   address by address: resolve, connect, ApiVersions, until one answers
     kafka_ask()    build the frame, send, receive one frame, decode
   Every wait ends at the deadline of the command's --timeout, as CLI_TIMEOUT. */
#include "cli/kafka.h"

#include "cli/near.h"
#include "cli/problem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { API_KEYS = 128, FRAME_BYTES_MAX = 256 * 1024 * 1024 };

struct kafka {
    const struct cli_args *args;
    int fd;
    i32 correlation_id;
    char address[256]; /* host:port connected to */
    i64 deadline_ms;   /* of the question under way */
    bool opening;      /* what goes wrong is kept in `trouble`: another address may do */
    struct kafka_trouble trouble;
    i16 version_min[API_KEYS];
    i16 version_max[API_KEYS]; /* -1: the broker does not have it */
};

const struct cli_args *kafka_args(const struct kafka *k)
{
    return k->args;
}

bool kafka_has(const struct kafka *k, enum api_key key)
{
    return k->version_max[key] >= 0;
}

/* ---- the connection -------------------------------------------------------------------------- */

static i64 now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (i64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True when the socket is ready; false at the deadline. */
static bool wait_for(struct kafka *k, short events)
{
    for (;;) {
        i64 left = k->deadline_ms - now_ms();
        struct pollfd p = {.fd = k->fd, .events = events};
        int ready = left <= 0 ? 0 : poll(&p, 1, (int)MIN(left, INT32_MAX));
        if (ready > 0) {
            return true;
        }
        if (ready == 0) {
            return false;
        }
    }
}

static int failed(struct kafka *k, int code, const char *what, const char *why, const char *next)
{
    k->trouble = (struct kafka_trouble){code, what, why, next};
    return k->opening ? code : problem(code, what, why, next);
}

static int timed_out(struct kafka *k, const char *what)
{
    return failed(k, CLI_TIMEOUT, cli_text(k->args, "%s did not answer in time", k->address),
                  cli_text(k->args, "waited %lld ms for %s", (long long)k->args->timeout_ms, what),
                  "is it a Kafka listener (not its HTTP port), and is the broker well? "
                  "--timeout 60s waits longer");
}

static int broken(struct kafka *k, const char *what)
{
    return failed(k, CLI_FAILED, cli_text(k->args, "the connection to %s broke", k->address), what,
                  "is the broker up? its own log says more");
}

static bool connect_one(struct kafka *k, const struct addrinfo *to)
{
    k->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->fd < 0) {
        return false;
    }
    int error = connect(k->fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        socklen_t size = sizeof error;
        error = !wait_for(k, POLLOUT)                                         ? ETIMEDOUT
                : getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error
                                                                              : errno;
    }
    if (error == 0) {
        int on = 1;
        setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return true;
    }
    close(k->fd);
    k->fd = -1;
    errno = error;
    return false;
}

/* "host:port", "[::1]:9092", "host": copied out; the port is 9092 where none is said. */
static void split_address(const char *text, size_t len, char host[200], char port[16])
{
    const char *colon = memrchr(text, ':', len);
    bool bracketed = len > 0 && text[0] == '[';
    const char *close_bracket = bracketed ? memchr(text, ']', len) : NULL;
    if (close_bracket != NULL && colon != NULL && colon < close_bracket) {
        colon = NULL;
    }
    size_t host_len = colon != NULL ? (size_t)(colon - text) : len;
    snprintf(port, 16, "%.*s", colon != NULL ? (int)MIN(len - host_len - 1, 15u) : 4,
             colon != NULL ? colon + 1 : "9092");
    if (close_bracket != NULL) {
        text++;
        host_len = (size_t)(close_bracket - text);
    }
    snprintf(host, 200, "%.*s", (int)MIN(host_len, 199u), text);
}

static int send_all(struct kafka *k, struct slice bytes, const char *what)
{
    while (bytes.len > 0) {
        ssize_t sent = send(k->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes = slice_of(bytes.ptr + sent, bytes.len - (size_t)sent);
        } else if (errno != EAGAIN && errno != EINTR) {
            return broken(k, strerror(errno));
        } else if (errno == EAGAIN && !wait_for(k, POLLOUT)) {
            return timed_out(k, what);
        }
    }
    return CLI_OK;
}

static int receive_all(struct kafka *k, u8 *to, size_t len, const char *what)
{
    while (len > 0) {
        ssize_t got = recv(k->fd, to, len, 0);
        if (got > 0) {
            to += got;
            len -= (size_t)got;
        } else if (got == 0) {
            return broken(k, cli_text(k->args, "it was closed instead of answering %s", what));
        } else if (errno != EAGAIN && errno != EINTR) {
            return broken(k, strerror(errno));
        } else if (errno == EAGAIN && !wait_for(k, POLLIN)) {
            return timed_out(k, what);
        }
    }
    return CLI_OK;
}

/* ---- questions ------------------------------------------------------------------------------- */

static int nonsense(struct kafka *k, const char *api, const char *why)
{
    return failed(k, CLI_FAILED,
                  cli_text(k->args, "%s gave no sensible answer to %s", k->address, api), why,
                  "is it a Kafka listener? TLS and SASL are not spoken here");
}

static int ask_version(struct kafka *k, const struct api_row *api, i16 version, const void *request,
                       void *response)
{
    struct arena *arena = k->args->arena;
    struct slice frame;
    err_t err = request_frame_build(api, version, ++k->correlation_id, SLICE_LIT("odradek-cli"),
                                    request, arena, &frame);
    if (err != OK) {
        return failed(k, CLI_FAILED,
                      cli_text(k->args, "%s version %d of %s cannot say that", api->kafka_name,
                               version, k->address),
                      err_name(err), NULL);
    }
    k->deadline_ms = now_ms() + k->args->timeout_ms;
    int code = send_all(k, frame, api->kafka_name);
    u8 prefix[4];
    code = code == CLI_OK ? receive_all(k, prefix, sizeof prefix, api->kafka_name) : code;
    if (code != CLI_OK) {
        return code;
    }
    u32 len = load_be32(prefix);
    if (len < 4 || len > FRAME_BYTES_MAX) {
        return nonsense(k, api->kafka_name, cli_text(k->args, "a frame of %u bytes", len));
    }
    u8 *bytes = arena_alloc(arena, len);
    assert(bytes != NULL);
    code = receive_all(k, bytes, len, api->kafka_name);
    if (code != CLI_OK) {
        return code;
    }
    i32 correlation_id;
    struct slice body;
    err = response_frame_parse(api, version, slice_of(bytes, len), &correlation_id, &body);
    if (err == OK && correlation_id != k->correlation_id) {
        err = ERR_INVALID;
    }
    /* ApiVersions of a version the broker lacks is answered in version 0 (KIP-511). */
    i16 spoken = version;
    if (err == OK && api->key == API_api_versions && body.len >= 2 &&
        (i16)load_be16(body.ptr) == KERR_UNSUPPORTED_VERSION) {
        spoken = 0;
    }
    if (err == OK) {
        err = wire_decode(api->response, spoken, body, arena, response, NULL);
    }
    return err == OK ? CLI_OK : nonsense(k, api->kafka_name, err_name(err));
}

int kafka_ask(struct kafka *k, enum api_key key, i16 version_max, const void *request,
              void *response)
{
    const struct api_row *api = api_find((i16)key);
    i16 version = MIN(MIN(version_max, api->max), k->version_max[key]);
    if (version < api->min || version < k->version_min[key]) {
        return problem(
            CLI_FAILED,
            cli_text(k->args, "the broker at %s does not have %s", k->address, api->kafka_name),
            NULL, "odradek docs apis   shows what Odradek has");
    }
    return ask_version(k, api, version, request, response);
}

static int learn_versions(struct kafka *k)
{
    struct api_versions_request request = {.client_software_name = SLICE_LIT("odradek-cli"),
                                           .client_software_version = SLICE_LIT("1")};
    struct api_versions_response response;
    const struct api_row *api = api_find(API_api_versions);
    request.node_id = -1;
    int code = ask_version(k, api, MIN((i16)3, api->max), &request, &response);
    if (code == CLI_OK && response.error_code != KERR_NONE &&
        response.error_code != KERR_UNSUPPORTED_VERSION) {
        code = nonsense(k, "ApiVersions", kerr_name(response.error_code));
    }
    for (u32 i = 0; code == CLI_OK && i < response.api_keys.count; i++) {
        const struct api_versions_response_version *v = &response.api_keys.items[i];
        if (v->api_key >= 0 && v->api_key < API_KEYS) {
            k->version_min[v->api_key] = v->min_version;
            k->version_max[v->api_key] = v->max_version;
        }
    }
    return code;
}

/* Connects to what k->address is made of. CLI_OK, or the trouble is kept. */
static int connect_to(struct kafka *k, const char *host, const char *port)
{
    const struct cli_args *a = k->args;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int unknown = getaddrinfo(host, port, &hints, &list);
    const char *why = unknown != 0 ? gai_strerror(unknown) : "it has no address";
    int code = CLI_FAILED;
    k->deadline_ms = now_ms() + a->timeout_ms;
    for (struct addrinfo *to = list; to != NULL && k->fd < 0; to = to->ai_next) {
        if (!connect_one(k, to)) {
            why = strerror(errno);
            code = errno == ETIMEDOUT ? CLI_TIMEOUT : CLI_FAILED;
        }
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    return k->fd >= 0 ? CLI_OK
                      : failed(k, code, cli_text(a, "no broker answers at %s", k->address),
                               cli_text(a, "%s: %s", k->address, why),
                               "start one: odradek serve; another address: -b HOST:PORT");
}

/* Goes to one address of the list. */
static int open_one(struct kafka *k, const char *at, size_t len)
{
    char host[200];
    char port[16];
    split_address(at, len, host, port);
    snprintf(k->address, sizeof k->address, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host,
             port);
    int code = connect_to(k, host, port);
    code = code != CLI_OK ? code : learn_versions(k);
    if (code != CLI_OK && k->fd >= 0) {
        close(k->fd);
        k->fd = -1;
    }
    return code;
}

/* What was wrong with the addresses that were tried in vain, once for all times that a command
   opens a connection: --watch and top do it again and again. */
static void tell_missing(struct kafka *k, const char *missing)
{
    if (missing != NULL && !*k->args->told_missing) {
        *k->args->told_missing = true;
        problem_warn(MSG_command_broker_missing,
                     cli_text(k->args, "%s; going on with %s", missing, k->address));
    }
}

/* The addresses in their order, until one of them speaks Kafka. */
static int open_any(struct kafka *k)
{
    const struct cli_args *a = k->args;
    const char *missing = NULL;
    u32 tried = 0;
    int code = CLI_FAILED;
    k->trouble = (struct kafka_trouble){CLI_FAILED, "no address was given", NULL, "-b HOST:PORT"};
    for (const char *at = a->brokers; *at != 0 && (tried == 0 || code != CLI_OK);) {
        size_t len = strcspn(at, ",");
        if (len > 0) {
            code = open_one(k, at, len);
            tried++;
        }
        if (len > 0 && code != CLI_OK) {
            const char *why =
                strncmp(k->trouble.what, "no broker", 9) == 0 ? k->trouble.why : k->trouble.what;
            missing = missing == NULL ? why : cli_text(a, "%s; %s", missing, why);
        }
        at += len + (at[len] == ',');
    }
    if (tried > 0 && code == CLI_OK) {
        tell_missing(k, missing);
        return CLI_OK;
    }
    if (tried > 1) {
        k->trouble = (struct kafka_trouble){
            code, cli_text(a, "no broker answers at any of %s", a->brokers), missing,
            "start one: odradek serve; another address: -b HOST:PORT"};
    }
    return code;
}

struct kafka *kafka_try(const struct cli_args *a, struct kafka_trouble *trouble)
{
    struct kafka *k = mem_alloc(sizeof *k);
    k->args = a;
    k->fd = -1;
    for (u32 i = 0; i < API_KEYS; i++) {
        k->version_max[i] = -1;
    }
    k->opening = true;
    int code = open_any(k);
    k->opening = false;
    if (code != CLI_OK) {
        *trouble = k->trouble;
        kafka_close(k);
        return NULL;
    }
    return k;
}

struct kafka *kafka_open(const struct cli_args *a, int *code)
{
    struct kafka_trouble t = {.code = CLI_OK};
    struct kafka *k = kafka_try(a, &t);
    *code = k == NULL ? problem(t.code, t.what, t.why, t.next) : CLI_OK;
    return k;
}

void kafka_close(struct kafka *k)
{
    if (k != NULL) {
        if (k->fd >= 0) {
            close(k->fd);
        }
        mem_free(k);
    }
}

/* ---- what several commands ask --------------------------------------------------------------- */

static int all_topics(struct kafka *k, struct metadata_response *out)
{
    struct metadata_request request = {.topics.is_null = true};
    return kafka_ask(k, API_metadata, 12, &request, out);
}

/* Says that there is no such topic, and which name it may have been. */
static int topic_unknown(struct kafka *k, const char *name)
{
    const struct cli_args *a = k->args;
    struct metadata_response all;
    int code = all_topics(k, &all);
    if (code != CLI_OK) {
        return code;
    }
    struct near near = near_to(slice_cstr(name));
    for (u32 i = 0; i < all.topics.count; i++) {
        near_try(&near, all.topics.items[i].name);
    }
    struct slice nearest = near_found(&near);
    return problem_coded(CLI_NOT_FOUND, MSG_topic_not_found,
                         nearest.ptr == NULL
                             ? cli_text(a, "topic \"%s\" not found", name)
                             : cli_text(a, "topic \"%s\" not found; did you mean \"%.*s\"?", name,
                                        (int)nearest.len, (const char *)nearest.ptr),
                         cli_text(a, "the broker at %s has %u topic%s", k->address,
                                  all.topics.count, all.topics.count == 1 ? "" : "s"),
                         "odradek topic ls   shows them");
}

static int one_topic(struct kafka *k, const char *name, bool create, struct metadata_response *out)
{
    struct metadata_request_topic topic = {.name = slice_cstr(name)};
    struct metadata_request request = {.topics = {.items = &topic, .count = 1},
                                       .allow_auto_topic_creation = create};
    int code = kafka_ask(k, API_metadata, 12, &request, out);
    if (code != CLI_OK) {
        return code;
    }
    i16 error = out->topics.count == 1 ? out->topics.items[0].error_code
                                       : (i16)KERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (error == KERR_UNKNOWN_TOPIC_OR_PARTITION) {
        return topic_unknown(k, name);
    }
    if (create && error == KERR_LEADER_NOT_AVAILABLE) {
        return CLI_OK; /* it is being made */
    }
    return error == KERR_NONE
               ? CLI_OK
               : problem_of_kafka(k->args, cli_text(k->args, "topic \"%s\" cannot be used", name),
                                  error, (struct slice){0});
}

int kafka_topics(struct kafka *k, const char *name, struct metadata_response *out)
{
    return name == NULL ? all_topics(k, out) : one_topic(k, name, false, out);
}

int kafka_topic_for_writing(struct kafka *k, const char *name)
{
    struct metadata_response topics;
    return one_topic(k, name, true, &topics);
}

static int offsets_of(struct kafka *k, struct slice topic, i64 which,
                      struct list_offsets_request_partition *wanted, u32 count,
                      struct list_offsets_response *response)
{
    for (u32 i = 0; i < count; i++) {
        wanted[i].current_leader_epoch = -1;
        wanted[i].timestamp = which;
    }
    struct list_offsets_request_topic of = {.name = topic,
                                            .partitions = {.items = wanted, .count = count}};
    struct list_offsets_request request = {.replica_id = -1, .topics = {.items = &of, .count = 1}};
    int code = kafka_ask(k, API_list_offsets, 7, &request, response);
    if (code != CLI_OK) {
        return code;
    }
    if (response->topics.count != 1 || response->topics.items[0].partitions.count != count) {
        return nonsense(k, "ListOffsets", "other partitions than were asked for");
    }
    for (u32 i = 0; i < count; i++) {
        const struct list_offsets_response_partition *p =
            &response->topics.items[0].partitions.items[i];
        if (p->error_code != KERR_NONE) {
            return problem_of_kafka(
                k->args,
                cli_text(k->args, "cannot read the offsets of topic \"%.*s\", partition %d",
                         (int)topic.len, (const char *)topic.ptr, p->partition_index),
                p->error_code, (struct slice){0});
        }
    }
    return CLI_OK;
}

int kafka_offsets(struct kafka *k, struct slice topic, i64 which, i64 *offsets, u32 count)
{
    if (count == 0) {
        return CLI_OK;
    }
    struct list_offsets_request_partition *wanted =
        arena_array(k->args->arena, count, sizeof *wanted);
    for (u32 i = 0; i < count; i++) {
        wanted[i].partition_index = (i32)i;
    }
    struct list_offsets_response response;
    int code = offsets_of(k, topic, which, wanted, count, &response);
    for (u32 i = 0; code == CLI_OK && i < count; i++) {
        const struct list_offsets_response_partition *p =
            &response.topics.items[0].partitions.items[i];
        if (p->partition_index < 0 || (u32)p->partition_index >= count) {
            return nonsense(k, "ListOffsets", "a partition that was not asked for");
        }
        offsets[p->partition_index] = p->offset;
    }
    return code;
}

int kafka_offset(struct kafka *k, struct slice topic, i32 partition, i64 which, i64 *offset)
{
    struct list_offsets_request_partition wanted = {.partition_index = partition};
    struct list_offsets_response response;
    int code = offsets_of(k, topic, which, &wanted, 1, &response);
    if (code == CLI_OK) {
        *offset = response.topics.items[0].partitions.items[0].offset;
    }
    return code;
}

/* The time of the first record at or behind offset in these batches; -1: none. */
static i64 time_in(struct slice batches, i64 offset)
{
    struct decompressor scratch;
    decompressor_init(&scratch, NULL);
    i64 found = -1;
    struct batch_view batch;
    while (found < 0 && batch_view_next(&batches, &batch) == OK) {
        struct record_iter it;
        struct record record;
        if (batch_next_offset(&batch) <= offset || batch_is_control(&batch) ||
            record_iter_init(&it, &batch, &scratch, 64 * MIB) != OK) {
            continue;
        }
        while (found < 0 && record_iter_next(&it, &record)) {
            found = record.offset >= offset ? record.timestamp : -1;
        }
    }
    decompressor_fini(&scratch);
    return found;
}

int kafka_record_time(struct kafka *k, struct slice topic, i32 partition, i64 offset, i64 *time_ms)
{
    struct fetch_request_partition *wanted =
        wire_new(&fetch_request_partition_struct, k->args->arena, 1);
    struct fetch_request_topic *of = wire_new(&fetch_request_topic_struct, k->args->arena, 1);
    struct fetch_request request;
    wire_init(&fetch_request_struct, &request);
    wanted->partition = partition;
    wanted->fetch_offset = offset;
    wanted->partition_max_bytes = 1; /* one whole batch comes anyway */
    of->topic = topic;
    of->partitions.items = wanted;
    of->partitions.count = 1;
    request.replica_id = -1;
    request.min_bytes = 1;
    request.max_bytes = 1;
    request.topics.items = of;
    request.topics.count = 1;
    struct fetch_response response;
    int code = kafka_ask(k, API_fetch, 11, &request, &response);
    *time_ms = -1;
    if (code == CLI_OK && response.responses.count == 1 &&
        response.responses.items[0].partitions.count == 1) {
        *time_ms = time_in(response.responses.items[0].partitions.items[0].records.bytes, offset);
    }
    return code;
}
