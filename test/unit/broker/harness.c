/* See harness.h. */
#include "harness.h"

#include "base/crc32c.h"
#include "io/io_linux.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_NS (30ull * 1000 * 1000 * 1000) /* of real time: then the test has failed */
#define TICK_NS     (20ull * 1000 * 1000)

/* ---- time
 * ---------------------------------------------------------------------------------------- */

static _Atomic i64 skipped_ns;
static _Atomic i64 skipped_wall_ns;

/* In place of the C library's: io_linux samples its clocks through this. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    long failed = syscall(SYS_clock_gettime, clock, out);
    if (failed != 0) {
        return -1;
    }
    i64 skip = atomic_load(&skipped_ns);
    if (clock == CLOCK_REALTIME) {
        skip += atomic_load(&skipped_wall_ns);
    }
    i64 nsec = out->tv_nsec + skip % 1000000000;
    out->tv_sec += skip / 1000000000 + nsec / 1000000000;
    out->tv_nsec = nsec % 1000000000;
    return 0;
}

static u64 real_ns(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

void harness_skip_ms(struct harness *h, i64 ms)
{
    atomic_fetch_add(&skipped_ns, ms * 1000000);
    harness_turns(h, 3);
}

void harness_skip_wall_ms(struct harness *h, i64 ms)
{
    atomic_fetch_add(&skipped_wall_ns, ms * 1000000);
    harness_turns(h, 1);
}

i64 harness_wall_ms(struct harness *h)
{
    return io_wall_ms(h->io);
}

/* ---- diagnostics
 * ----------------------------------------------------------------------------------- */

static char said[256 * 1024];
static size_t said_len;

static void hear(void *user, const char *line, size_t len)
{
    size_t room = sizeof said - 1 - said_len;
    size_t take = MIN(len, room);
    memcpy(said + said_len, line, take);
    said_len += take;
    said[said_len] = 0;
}

bool harness_said(const char *wanted)
{
    return strstr(said, wanted) != NULL;
}

/* Nothing moves any more: what the broker holds says why. */
static void check_in_time(struct harness *h, u64 until)
{
    if (real_ns() < until) {
        return;
    }
    const struct broker *b = h->broker;
    const struct memory *m = &b->memory;
    struct log_stats log;
    log_stats(b->log, &log);
    fail_msg("nothing moves: memory %llu of %llu, log %llu of %llu (hot %llu, index %llu), receive "
             "%llu of %llu, requests "
             "%llu of %llu; %u connections, %u requests, %u receive buffers; it said: %s",
             (unsigned long long)m->root.used, (unsigned long long)m->root.cap,
             (unsigned long long)m->log.used, (unsigned long long)m->log.cap,
             (unsigned long long)log.hot_bytes, (unsigned long long)log.index_bytes,
             (unsigned long long)m->receive.used, (unsigned long long)m->receive.cap,
             (unsigned long long)m->requests.used, (unsigned long long)m->requests.cap,
             b->conn_count, b->request_pool.count, b->receive_pool.live_count, said);
}

/* ---- life
 * ------------------------------------------------------------------------------------------- */

void harness_init(struct harness *h)
{
    *h = (struct harness){.memory_bytes = 64 * MIB};
    said_len = 0;
    said[0] = 0;
    diag_configure(DIAG_JSON, DIAG_INFO);
    diag_redirect(hear, NULL);
    arena_init(&h->arena, NULL, 64 * KIB, 0);
    list_init(&h->clients);
    list_init(&h->batches);
    h->config = config_create();
    /* In memory where that can be had: these tests are about the broker, and a busy disk must not
     * slow them down. */
    const char *base = getenv("TMPDIR");
    const char *fallback = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(h->directory, sizeof h->directory, "%.40s/odradek-test-XXXXXX",
             base != NULL ? base : fallback);
    assert_non_null(mkdtemp(h->directory));
}

void harness_set(struct harness *h, const char *key, const char *value)
{
    char reason[256] = "";
    err_t e = config_set(h->config, slice_cstr(key), slice_cstr(value), reason, sizeof reason);
    if (e != OK) {
        fail_msg("%s", reason);
    }
}

static void when_stopped(void *user, err_t result)
{
    struct harness *h = user;
    h->stopped = true;
    h->stop_result = result;
}

static void tick_fired(struct io_timer *t)
{
    (void)t;
}

void harness_start(struct harness *h)
{
    assert_null(h->broker);
    struct io_linux_params linux_params = {.files = IO_FILES_AUTO};
    assert_int_equal(io_linux_create(&linux_params, &h->io), OK);
    struct broker_params params = {
        .io = h->io,
        .config = h->config,
        .data_directory = h->directory,
        .listen_host = "127.0.0.1",
        .memory_bytes = h->memory_bytes,
        .extent_bytes = 8 * MIB,
        .stopped = when_stopped,
        .user = h,
    };
    h->stopped = false;
    h->tick = (struct io_timer){.fired = tick_fired};
    h->broker = broker_create(&params);
    err_t e = broker_start(h->broker);
    if (e != OK) {
        fail_msg("%s", broker_reason(h->broker));
    }
    broker_address(h->broker, &h->address);
}

void harness_up(struct harness *h)
{
    harness_init(h);
    harness_start(h);
}

static void close_clients(struct harness *h)
{
    while (!list_empty(&h->clients)) {
        client_close(CONTAINER_OF(list_first(&h->clients), struct client, node));
    }
}

static bool threads_busy(struct threads *t)
{
    pthread_mutex_lock(&t->lock);
    bool busy = t->queued > 0 || t->idle < t->count;
    pthread_mutex_unlock(&t->lock);
    return busy;
}

/* Is an operation under way, or its result not delivered? */
static bool io_busy(struct io *io)
{
    struct io_linux *l = linux_of(io);
    if (threads_busy(&l->writer) || threads_busy(&l->files) || threads_busy(&l->workers)) {
        return true;
    }
    pthread_mutex_lock(&l->back_lock);
    bool back = !list_empty(&l->back);
    pthread_mutex_unlock(&l->back_lock);
    return back || l->ring_in_flight > 0 || !list_empty(&l->queued) || !list_empty(&l->finished);
}

/* A process that dies takes its operations with it. Ours lives on, so the crash is at a moment
   without any: io does not forget them, and what they belong to is about to go. */
void harness_crash(struct harness *h)
{
    close_clients(h);
    while (io_busy(h->io)) {
        harness_turn(h);
    }
    io_timer_stop(h->io, &h->tick);
    /* The medium may not write from memory that is gone, nor a worker make a file for nobody. */
    while (io_linux_busy(h->io)) {
        io_turn(h->io, true);
    }
    broker_destroy(h->broker);
    io_destroy(h->io);
    h->broker = NULL;
    h->io = NULL;
}

void harness_stop(struct harness *h)
{
    broker_stop(h->broker);
    u64 until = real_ns() + WAIT_MAX_NS;
    while (!h->stopped) {
        harness_turn(h);
        assert_true(real_ns() < until);
    }
    assert_int_equal(h->stop_result, OK);
    harness_crash(h);
}

/* Clients gone, nothing of theirs may be left. */
static void check_no_leaks(struct harness *h)
{
    close_clients(h);
    struct broker *b = h->broker;
    u64 until = real_ns() + WAIT_MAX_NS;
    while (b->conn_count > 0 || !list_empty(&b->jobs)) {
        harness_turn(h);
        assert_true(real_ns() < until);
    }
    assert_int_equal(b->request_pool.count, 0);
    assert_int_equal(b->receive_pool.live_count, 0);
    assert_true(list_empty(&b->parked_fetches));
    assert_true(list_empty(&b->ready_waiters));
    assert_true(list_empty(&b->starved_conns));
}

void harness_remove(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        unlink(path);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char child[1024];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        struct stat st;
        if (lstat(child, &st) == 0 && S_ISDIR(st.st_mode)) {
            harness_remove(child);
        } else {
            unlink(child);
        }
    }
    closedir(d);
    rmdir(path);
}

struct kept_batch {
    struct list_node node;
    struct batch_builder builder;
};

void harness_fini(struct harness *h)
{
    if (h->broker != NULL) {
        check_no_leaks(h);
        harness_crash(h);
    }
    close_clients(h);
    struct list_node *n;
    while ((n = list_pop_front(&h->batches)) != NULL) {
        struct kept_batch *k = CONTAINER_OF(n, struct kept_batch, node);
        batch_builder_fini(&k->builder);
        mem_free(k);
    }
    config_destroy(h->config);
    arena_fini(&h->arena);
    harness_remove(h->directory);
    diag_redirect(NULL, NULL);
}

void harness_turn(struct harness *h)
{
    io_timer_start(h->io, &h->tick, io_now_ns(h->io) + TICK_NS);
    io_turn(h->io, true);
}

void harness_turns(struct harness *h, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        io_turn(h->io, false);
    }
}

/* ---- clients
 * ----------------------------------------------------------------------------------------- */

static struct client *open_with(struct harness *h, int receive_bytes, const char *from)
{
    struct client *c = mem_alloc(sizeof *c);
    c->h = h;
    c->next_correlation_id = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    if (receive_bytes > 0) {
        assert_int_equal(
            setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    }
    struct sockaddr_in own = {.sin_family = AF_INET};
    if (from != NULL) {
        assert_int_equal(inet_pton(AF_INET, from, &own.sin_addr), 1);
        assert_int_equal(bind(c->fd, (struct sockaddr *)&own, sizeof own), 0);
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(h->address.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* The kernel finishes the handshake by itself: the broker need not run for it. */
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    list_push_back(&h->clients, &c->node);
    return c;
}

struct client *client_open(struct harness *h)
{
    return open_with(h, 0, NULL);
}

struct client *client_open_from(struct harness *h, const char *address)
{
    return open_with(h, 0, address);
}

struct client *client_open_narrow(struct harness *h)
{
    return open_with(h, 4096, NULL);
}

void client_close(struct client *c)
{
    close(c->fd);
    list_remove(&c->node);
    mem_free(c->buffer);
    mem_free(c);
}

void client_reset(struct client *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(c);
}

void client_shut(struct client *c)
{
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
}

size_t client_send_some(struct client *c, const void *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = send(c->fd, (const u8 *)bytes + done, len - done, MSG_NOSIGNAL);
        if (n < 0) {
            break;
        }
        done += (size_t)n;
    }
    return done;
}

/* What has arrived goes into the buffer; false: nothing new. */
static bool client_drain(struct client *c)
{
    bool any = false;
    while (!c->ended) {
        if (c->start > 0 && c->len < 64 * KIB) {
            memmove(c->buffer, c->buffer + c->start, c->len);
            c->start = 0;
        }
        if (c->cap - c->start - c->len < 64 * KIB) {
            c->cap = MAX(c->cap * 2, (size_t)(256 * KIB));
            c->buffer = mem_resize(c->buffer, c->cap);
        }
        ssize_t n = recv(c->fd, c->buffer + c->start + c->len, c->cap - c->start - c->len, 0);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        any = true;
        if (n <= 0) {
            c->ended = true;
            break;
        }
        c->len += (size_t)n;
    }
    return any;
}

void client_send_bytes(struct client *c, const void *bytes, size_t len)
{
    size_t done = 0;
    u64 until = real_ns() + WAIT_MAX_NS;
    while (done < len) {
        done += client_send_some(c, (const u8 *)bytes + done, len - done);
        if (done < len) {
            if (errno != EAGAIN) {
                return; /* the broker has closed: what follows will notice */
            }
            client_drain(c);
            harness_turn(c->h);
            assert_true(real_ns() < until);
        }
    }
}

i32 client_send(struct client *c, i16 key, i16 version, const void *request)
{
    struct slice frame;
    i32 id = c->next_correlation_id++;
    const struct api_row *api = api_find(key);
    assert_non_null(api);
    assert_int_equal(
        request_frame_build(api, version, id, SLICE_LIT("unit"), request, &c->h->arena, &frame),
        OK);
    client_send_bytes(c, frame.ptr, frame.len);
    return id;
}

i32 client_send_body(struct client *c, i16 key, i16 version, struct slice body)
{
    const struct api_row *api = api_find(key);
    bool flexible = api != NULL && api_has_version(api, version) &&
                    api_request_header_version(api, version) == 2;
    u8 head[32];
    struct writer w = writer_of(head, sizeof head);
    i32 id = c->next_correlation_id++;
    write_be32(&w, (u32)(8 + 2 + 4 + (flexible ? 1u : 0u) + body.len));
    write_be16(&w, (u16)key);
    write_be16(&w, (u16)version);
    write_be32(&w, (u32)id);
    write_be16(&w, 4);
    write_bytes(&w, "unit", 4);
    if (flexible) {
        write_u8(&w, 0);
    }
    client_send_bytes(c, head, w.len);
    client_send_bytes(c, body.ptr, body.len);
    return id;
}

static size_t frame_len(const struct client *c)
{
    return c->len < 4 ? SIZE_MAX : 4 + (size_t)load_be32(c->buffer + c->start);
}

bool client_has_frame(struct client *c)
{
    if (c->len < 4 || c->len < frame_len(c)) {
        client_drain(c);
    }
    return c->len >= 4 && c->len >= frame_len(c);
}

void harness_crowd(struct harness *h, u32 count)
{
    enum { FRAME_BYTES = 30000, HALF = 20000 };
    u8 frame[FRAME_BYTES] = {0}; /* of an ApiVersions; what follows a message is not looked at */
    struct writer w = writer_of(frame, sizeof frame);
    write_be32(&w, FRAME_BYTES - 4);
    write_be16(&w, API_api_versions);
    struct client **crowd = mem_alloc(count * sizeof crowd[0]);
    for (u32 i = 0; i < count; i++) {
        crowd[i] = client_open(h);
        client_send_bytes(crowd[i], frame, HALF);
    }
    for (u32 i = 0; i < 1000 && h->broker->receive_pool.live_count < count; i++) {
        harness_turn(h);
    }
    assert_int_equal(h->broker->receive_pool.live_count, count);
    for (u32 i = 0; i < count; i++) {
        client_send_bytes(crowd[i], frame + HALF, FRAME_BYTES - HALF);
        (void)client_frame(crowd[i]);
        client_close(crowd[i]);
    }
    mem_free(crowd);
    assert_int_equal(h->broker->receive_pool.live_count, 0);
    assert_true(h->broker->receive_pool.free_count >= count);
}

struct slice client_frame(struct client *c)
{
    u64 until = real_ns() + WAIT_MAX_NS;
    while (!client_has_frame(c)) {
        if (c->ended) {
            fail_msg("the broker closed the connection instead of answering; it said: %s", said);
        }
        check_in_time(c->h, until);
        harness_turn(c->h);
    }
    size_t len = frame_len(c);
    struct slice frame = arena_copy(&c->h->arena, slice_of(c->buffer + c->start + 4, len - 4));
    c->start += len;
    c->len -= len;
    return frame;
}

void *client_recv(struct client *c, i16 key, i16 version, i32 correlation_id)
{
    const struct api_row *api = api_find(key);
    struct slice body;
    i32 got;
    assert_int_equal(response_frame_parse(api, version, client_frame(c), &got, &body), OK);
    assert_int_equal(got, correlation_id);
    void *response = arena_alloc(&c->h->arena, api->response->body->bytes);
    size_t consumed;
    assert_int_equal(wire_decode(api->response, version, body, &c->h->arena, response, &consumed),
                     OK);
    assert_int_equal(consumed, body.len);
    return response;
}

void *client_call(struct client *c, i16 key, i16 version, const void *request)
{
    return client_recv(c, key, version, client_send(c, key, version, request));
}

void client_expect_end(struct client *c)
{
    u64 until = real_ns() + WAIT_MAX_NS;
    while (!c->ended) {
        client_drain(c);
        assert_true(real_ns() < until);
        if (!c->ended) {
            harness_turn(c->h);
        }
    }
    assert_int_equal(c->len, 0);
}

void client_expect_silence(struct client *c)
{
    for (u32 i = 0; i < 20; i++) {
        io_turn(c->h->io, false);
        usleep(1000);
        client_drain(c);
        assert_int_equal(c->len, 0);
        assert_false(c->ended);
    }
}

void client_expect_alive(struct client *c)
{
    struct api_versions_request q = {0};
    assert_int_equal(CALL(c, api_versions, 0, &q)->error_code, KERR_NONE);
}

/* ---- things tests do all the time
 * ------------------------------------------------------------------------ */

void *harness_new(struct harness *h, const struct struct_def *def, u32 count)
{
    void *p = wire_new(def, &h->arena, count);
    assert_non_null(p);
    return p;
}

struct slice harness_printf(struct harness *h, const char *fmt, ...)
{
    char buf[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf, sizeof buf, fmt, args);
    va_end(args);
    return arena_copy(&h->arena, slice_cstr(buf));
}

i16 version_max(i16 key)
{
    return key == API_init_producer_id ? 5 : api_find(key)->max;
}

i16 version_min(i16 key)
{
    return api_find(key)->min;
}

struct slice text(const char *s)
{
    return slice_cstr(s);
}

struct topic topic_make_with(struct client *c, const char *name, i32 partitions,
                             const char *const *configs)
{
    struct harness *h = c->h;
    struct create_topics_request *q = NEW(h, create_topics_request, 1);
    struct create_topics_request_creatable_topic *t =
        NEW(h, create_topics_request_creatable_topic, 1);
    t->name = text(name);
    t->num_partitions = partitions;
    t->replication_factor = 1;
    u32 count = 0;
    while (configs != NULL && configs[count] != NULL) {
        count++;
    }
    t->configs.items = NEW(h, create_topics_request_creatable_topic_config, count + 1);
    t->configs.count = count;
    for (u32 i = 0; i < count; i++) {
        const char *equals = strchr(configs[i], '=');
        assert_non_null(equals);
        t->configs.items[i].name = slice_of(configs[i], (size_t)(equals - configs[i]));
        t->configs.items[i].value = text(equals + 1);
    }
    q->topics.items = t;
    q->topics.count = 1;
    struct create_topics_response *r = CALL(c, create_topics, 7, q);
    assert_int_equal(r->topics.count, 1);
    assert_int_equal(r->topics.items[0].error_code, KERR_NONE);
    return (struct topic){.name = name, .id = r->topics.items[0].topic_id};
}

struct topic topic_make(struct client *c, const char *name, i32 partitions)
{
    return topic_make_with(c, name, partitions, NULL);
}

void topic_delete(struct client *c, const struct topic *t)
{
    struct delete_topics_request_topic_state *state =
        NEW(c->h, delete_topics_request_topic_state, 1);
    state->topic_id = t->id;
    struct delete_topics_request q = {.topics = {.items = state, .count = 1}};
    struct delete_topics_response *r = CALL(c, delete_topics, 6, &q);
    assert_int_equal(r->responses.items[0].error_code, KERR_NONE);
}

struct batch_builder_options batch_idempotent(i64 producer_id, i16 epoch, i32 sequence)
{
    struct batch_builder_options o = batch_builder_plain();
    o.producer_id = producer_id;
    o.producer_epoch = epoch;
    o.base_sequence = sequence;
    return o;
}

static struct batch_builder *builder_kept(struct harness *h,
                                          const struct batch_builder_options *options)
{
    struct kept_batch *k = mem_alloc(sizeof *k);
    batch_builder_init(&k->builder, options);
    list_push_back(&h->batches, &k->node);
    return &k->builder;
}

struct slice batch_with(struct harness *h, const struct batch_builder_options *options, u32 records,
                        u32 value_bytes)
{
    struct batch_builder *b = builder_kept(h, options);
    char *value = arena_alloc(&h->arena, value_bytes + 1);
    for (u32 i = 0; i < records; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%u", i);
        for (u32 k = 0; k < value_bytes; k++) {
            value[k] = (char)('a' + (i * 7 + k / 3) % 26);
        }
        i64 now = h->io != NULL ? io_wall_ms(h->io) : 0;
        assert_int_equal(
            batch_builder_add(b, now + i, text(key), slice_of(value, value_bytes), NULL, 0), OK);
    }
    struct slice out;
    assert_int_equal(batch_builder_finish(b, &out), OK);
    return out;
}

struct slice batch_plain(struct harness *h, u32 records)
{
    struct batch_builder_options o = batch_builder_plain();
    return batch_with(h, &o, records, 20);
}

struct slice batch_timed(struct harness *h, const struct batch_builder_options *options,
                         const i64 *times, u32 count)
{
    struct batch_builder *b = builder_kept(h, options);
    for (u32 i = 0; i < count; i++) {
        assert_int_equal(batch_builder_add(b, times[i], text("k"), text("v"), NULL, 0), OK);
    }
    struct slice out;
    assert_int_equal(batch_builder_finish(b, &out), OK);
    return out;
}

u8 *batch_copy(struct harness *h, struct slice batch)
{
    return (u8 *)(uintptr_t)arena_copy(&h->arena, batch).ptr;
}

void batch_seal(u8 *batch, size_t len)
{
    store_be32(batch + BATCH_AT_CRC,
               crc32c(batch + BATCH_AT_ATTRIBUTES, len - BATCH_AT_ATTRIBUTES));
}

struct produce_request *produce_of(struct harness *h, const struct topic *t, i32 partition,
                                   struct slice batch, i16 acks)
{
    struct produce_request *q = NEW(h, produce_request, 1);
    q->acks = acks;
    q->timeout_ms = 30000;
    q->topic_data.items = NEW(h, produce_request_topic_data, 1);
    q->topic_data.count = 1;
    q->topic_data.items[0].name = text(t->name);
    q->topic_data.items[0].topic_id = t->id;
    q->topic_data.items[0].partition_data.items = NEW(h, produce_request_partition_data, 1);
    q->topic_data.items[0].partition_data.count = 1;
    q->topic_data.items[0].partition_data.items[0].index = partition;
    q->topic_data.items[0].partition_data.items[0].records.bytes = batch;
    return q;
}

const struct produce_response_partition *produce_row(const struct produce_response *response,
                                                     u32 topic, u32 partition)
{
    assert_true(topic < response->responses.count);
    assert_true(partition < response->responses.items[topic].partition_responses.count);
    return &response->responses.items[topic].partition_responses.items[partition];
}

const struct produce_response_partition *produce(struct client *c, const struct topic *t,
                                                 i32 partition, struct slice batch)
{
    struct produce_response *r =
        CALL(c, produce, version_max(API_produce), produce_of(c->h, t, partition, batch, -1));
    const struct produce_response_partition *row = produce_row(r, 0, 0);
    assert_int_equal(row->index, partition);
    return row;
}

i64 produce_ok(struct client *c, const struct topic *t, i32 partition, struct slice batch)
{
    const struct produce_response_partition *row = produce(c, t, partition, batch);
    assert_int_equal(row->error_code, KERR_NONE);
    return row->base_offset;
}

struct fetch_request *fetch_of(struct harness *h, const struct topic *t,
                               const struct fetch_wish *wishes, u32 count)
{
    struct fetch_request *q = NEW(h, fetch_request, 1);
    q->max_bytes = 50 << 20;
    q->min_bytes = 1;
    q->topics.items = NEW(h, fetch_request_topic, 1);
    q->topics.count = 1;
    q->topics.items[0].topic = text(t->name);
    q->topics.items[0].topic_id = t->id;
    q->topics.items[0].partitions.items = NEW(h, fetch_request_partition, count);
    q->topics.items[0].partitions.count = count;
    for (u32 i = 0; i < count; i++) {
        struct fetch_request_partition *p = &q->topics.items[0].partitions.items[i];
        p->partition = wishes[i].partition;
        p->fetch_offset = wishes[i].offset;
        p->partition_max_bytes =
            wishes[i].partition_max_bytes != 0 ? wishes[i].partition_max_bytes : 1 << 20;
        p->current_leader_epoch = wishes[i].leader_epoch;
        p->last_fetched_epoch = wishes[i].last_fetched_epoch;
    }
    return q;
}

const struct fetch_response_partition_data *fetch_row(const struct fetch_response *response,
                                                      u32 topic, u32 partition)
{
    assert_true(topic < response->responses.count);
    assert_true(partition < response->responses.items[topic].partitions.count);
    return &response->responses.items[topic].partitions.items[partition];
}

const struct fetch_response_partition_data *fetch(struct client *c, const struct topic *t,
                                                  i32 partition, i64 offset)
{
    struct fetch_wish wish = {
        .partition = partition, .offset = offset, .leader_epoch = -1, .last_fetched_epoch = -1};
    struct fetch_response *r = CALL(c, fetch, version_max(API_fetch), fetch_of(c->h, t, &wish, 1));
    assert_int_equal(r->error_code, KERR_NONE);
    return fetch_row(r, 0, 0);
}

u32 records_count(struct slice records)
{
    u32 count = 0;
    struct batch_view b;
    while (records.len > 0) {
        assert_int_equal(batch_view_next(&records, &b), OK);
        assert_true(batch_crc_ok(&b));
        count += (u32)b.record_count;
    }
    return count;
}

i64 high_watermark(struct client *c, const struct topic *t, i32 partition)
{
    struct list_offsets_request *q = NEW(c->h, list_offsets_request, 1);
    q->replica_id = -1;
    q->topics.items = NEW(c->h, list_offsets_request_topic, 1);
    q->topics.count = 1;
    q->topics.items[0].name = text(t->name);
    q->topics.items[0].partitions.items = NEW(c->h, list_offsets_request_partition, 1);
    q->topics.items[0].partitions.count = 1;
    q->topics.items[0].partitions.items[0].partition_index = partition;
    q->topics.items[0].partitions.items[0].timestamp = -1;
    struct list_offsets_response *r = CALL(c, list_offsets, 7, q);
    assert_int_equal(r->topics.items[0].partitions.items[0].error_code, KERR_NONE);
    return r->topics.items[0].partitions.items[0].offset;
}

i64 producer_id_new(struct client *c)
{
    struct init_producer_id_request *q = NEW(c->h, init_producer_id_request, 1);
    q->transactional_id = (struct slice){0};
    q->transaction_timeout_ms = 60000;
    struct init_producer_id_response *r = CALL(c, init_producer_id, 4, q);
    assert_int_equal(r->error_code, KERR_NONE);
    assert_int_equal(r->producer_epoch, 0);
    return r->producer_id;
}
