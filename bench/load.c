/* odradek-load: a Kafka-protocol load generator that costs little: batches are built once, requests
   are a header and the batch, answers are read but for their error codes discarded. One thread,
   epoll.

     odradek-load produce ADDRESS --topic T --partitions P --batch BYTES [--per-request N]
                          [--connections C] [--depth D] [--seconds S] [--warmup S] [--rate MB/s]
                          [--acks -1] [--record BYTES] [--total BYTES] [--stamped yes]
                          [--codec none] [--json yes] [--key BYTES] [--each-second FILE]
                          [--pid BROKER]
     odradek-load fetch   ADDRESS --topic T --partitions P --bytes MAX [--per-request N]
                          [--connections C] [--seconds S] [--warmup S] [--from start|end]
                          [--until-end yes] [--again yes] [--total BYTES] [--stamped yes]
                          [--pid BROKER]

   produce, closed loop (no --rate): every connection keeps D requests in flight. Open loop:
   requests are due at fixed times and latency counts from the due time, so a stall is paid by
   everyone who had to wait (no coordinated omission); lateness of the generator itself is reported,
   and a run in which it is above a tenth of the p99 and above 0.1 ms, or in which the generator
   used more than 85 % of its core, says VOID. --pid: CPU of that process from /proc over the
   measured seconds, as cpu-s per GB. Prints one line of key=value pairs.

   fetch: the connections share the partitions out and read theirs in turn, --per-request of them
   with one request. --until-end: the run is over, complete=yes, when everything that was there as
   it began has been read, but no later than --seconds. gaps counts batches that did not follow the
   one before. --again: a partition that was read to where it ended as the run began is read from
   its start once more. With --total the run is over, complete=yes, after so many bytes of batches.

   --json: records are lines of JSON, each one different, instead of random bytes; --codec: gzip,
   snappy, lz4 or zstd; --batch is before compression, MB/s after it. --each-second writes a line
   of the file for every second that is measured: what was acknowledged, and how late.

   --stamped yes, for producer and consumer alike: the first record of a batch begins with the time
   it was due, and the consumer tells how long after that it had the batch: end to end. They must
   run on one machine; older batches may be in the topic only where the consumer does not begin.

   A request carries --per-request partitions, one batch each. Requests are Produce v7, Fetch v4 and
   ListOffsets v1. */
#include "generator.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16384, DEPTH_MAX = 1024, TOPIC_MAX = 200 };

/* ---- options and numbers --------------------------------------------------------------------- */

static struct {
    bool fetch;
    const char *host;
    int port;
    const char *topic;
    u32 partitions, batch_bytes, per_request, connections, depth, record_bytes, fetch_bytes;
    f64 seconds, warmup, rate_mb;
    int acks;
    int pid;
    bool from_end, until_end, again, stamped;
    bool json;
    enum codec codec;
    u32 key_bytes;
    const char *each_second;
    u64 total;
} o = {.topic = "load",
       .partitions = 1,
       .batch_bytes = 65536,
       .per_request = 1,
       .connections = 8,
       .depth = 5,
       .record_bytes = 1024,
       .fetch_bytes = 1 << 20,
       .seconds = 10,
       .warmup = 1,
       .acks = -1};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "odradek-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Everything of a request but its partition numbers, built once; they are patched in place. */
static u8 *request;
static size_t request_bytes;
static size_t partition_at[4096]; /* where the partition numbers stand */
static size_t payload_bytes;      /* batches of one request */
static size_t batch_bytes;

static void read_skip(struct reader *r, size_t bytes)
{
    (void)read_bytes(r, bytes);
}

/* Where the value of the first record begins; 0: it is not a batch with room for a stamp. */
static size_t stamp_at(const u8 *batch, size_t bytes)
{
    struct reader r = reader_of(
        slice_of(batch + BATCH_HEADER_BYTES, bytes - MIN(bytes, (size_t)BATCH_HEADER_BYTES)));
    read_varint(&r);           /* length */
    read_u8(&r);               /* attributes */
    read_varlong(&r);          /* timestamp */
    read_varint(&r);           /* offset */
    i32 key = read_varint(&r); /* absent */
    i32 value = read_varint(&r);
    bool fits = key < 0 && value >= 8 && reader_left(&r) >= 8;
    return fits && !r.failed ? bytes - reader_left(&r) : 0;
}

static void stamp(u8 *batch, u64 due)
{
    store_be64(batch + stamp_at(batch, batch_bytes), due);
    u32 crc = crc32c(batch + BATCH_AT_ATTRIBUTES, batch_bytes - BATCH_AT_ATTRIBUTES);
    store_be32(batch + BATCH_AT_CRC, crc);
}

/* As an application's event log has them: names that come again, numbers and identifiers that do
   not, and a text of common words up to the wanted size. */
static void fill_json(struct rng *rng, u8 *value, u32 bytes)
{
    static const char *const words[] = {
        "order",  "payment", "was",     "accepted", "for",     "customer", "in",      "the",
        "region", "after",   "retry",   "of",       "request", "to",       "service", "with",
        "status", "pending", "timeout", "from",     "cache",   "database", "and",     "queue",
        "user",   "session", "expired", "created",  "item",    "shipped",  "by",      "carrier"};
    char text[512];
    u64 chance = rng_next(rng);
    int n = snprintf(text, sizeof text,
                     "{\"id\":\"%016llx\",\"time\":\"2026-11-28T12:%02u:%02u.%03uZ\",\"level\":"
                     "\"info\",\"user\":%u,\"path\":\"/api/v1/orders/%u\",\"status\":200,"
                     "\"duration_ms\":%u,\"message\":\"",
                     (unsigned long long)rng_next(rng), (u32)(chance % 60), (u32)(chance >> 8) % 60,
                     (u32)(chance >> 16) % 1000, (u32)(chance >> 24) % 1000000,
                     (u32)(chance >> 32) % 100000, (u32)(chance >> 40) % 500);
    u32 len = MIN((u32)n, bytes);
    memcpy(value, text, len);
    while (len < bytes) {
        const char *word = words[rng_next(rng) % ARRAY_LEN(words)];
        u32 take = MIN((u32)strlen(word), bytes - len);
        memcpy(value + len, word, take);
        len += take;
        if (len < bytes) {
            value[len++] = ' ';
        }
    }
    memcpy(value + bytes - MIN(bytes, 2u), "\"}", MIN(bytes, 2u));
}

static u32 batch_records(void)
{
    return MAX(1u, o.batch_bytes / o.record_bytes);
}

static void build_produce(void)
{
    struct batch_builder b;
    struct batch_builder_options options = batch_builder_plain();
    options.codec = o.codec;
    batch_builder_init(&b, &options);
    u8 *value = mem_alloc(o.record_bytes);
    u8 key[256];
    struct rng rng;
    rng_seed(&rng, 1);
    rng_fill(&rng, value, o.record_bytes);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    for (u32 i = 0; i < batch_records(); i++) {
        if (o.json) {
            fill_json(&rng, value, o.record_bytes);
        }
        rng_fill(&rng, key, o.key_bytes);
        struct slice own_key = o.key_bytes > 0 ? slice_of(key, o.key_bytes) : (struct slice){0};
        if (batch_builder_add(&b, (i64)t.tv_sec * 1000, own_key, slice_of(value, o.record_bytes),
                              NULL, 0) != OK) {
            die("batch");
        }
    }
    struct slice batch;
    if (batch_builder_finish(&b, &batch) != OK) {
        die("batch");
    }
    size_t cap = 512 + strlen(o.topic) + o.per_request * (batch.len + 64);
    request = mem_alloc(cap);
    struct writer w = writer_of(request, cap);
    write_be32(&w, 0);
    write_be16(&w, API_produce);
    write_be16(&w, 7);
    write_be32(&w, 0);
    write_be16(&w, 4);
    write_bytes(&w, "load", 4);
    write_be16(&w, UINT16_MAX); /* no transactional id */
    write_be16(&w, (u16)o.acks);
    write_be32(&w, 30000);
    write_be32(&w, 1);
    write_be16(&w, (u16)strlen(o.topic));
    write_bytes(&w, o.topic, strlen(o.topic));
    write_be32(&w, o.per_request);
    for (u32 i = 0; i < o.per_request; i++) {
        partition_at[i] = w.len;
        write_be32(&w, 0);
        write_be32(&w, (u32)batch.len);
        write_bytes(&w, batch.ptr, batch.len);
    }
    request_bytes = w.len;
    payload_bytes = o.per_request * batch.len;
    batch_bytes = batch.len;
    if (o.stamped && (o.codec != CODEC_NONE || stamp_at(batch.ptr, batch.len) == 0)) {
        errno = EINVAL;
        die("only plain records of at least 8 bytes without a key can be stamped");
    }
    store_be32(request, (u32)request_bytes - 4);
    batch_builder_fini(&b);
    mem_free(value);
}

/* ---- connections ----------------------------------------------------------------------------- */

struct connection {
    int fd;
    u32 next_partition;
    u64 due[DEPTH_MAX]; /* of requests in flight, oldest first */
    u32 first, in_flight;
    u8 *out;
    size_t out_at, out_len; /* the request being sent */
    u8 head[4];
    u32 head_have;
    u64 body_left;
    u32 body_seen;
    u8 body_head[256];                    /* enough of the answer to see its first error */
    u32 first_partition, partition_count; /* fetch: what this connection reads */
    i64 *offsets;                         /* of each the next one */
    i64 *ends;                            /* and where it ended when the run began */
    bool polling_out;
};
static struct connection *connections;
static int epoll_fd;
static struct histogram latency, lateness, end_to_end;
static bool measuring, complete;
static u64 acked_requests, acked_bytes, errors_seen, gaps_seen;
static u32 behind_count; /* partitions that are not read to their ends yet */

static int connect_to(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((u16)o.port)};
    inet_pton(AF_INET, o.host, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        die("connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void want(struct connection *c, bool out)
{
    if (c->polling_out != out) {
        struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
        c->polling_out = out;
    }
}

static void push(struct connection *c)
{
    while (c->out_at < c->out_len) {
        ssize_t n =
            send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            want(c, true);
            return;
        }
        if (n < 0) {
            die("send");
        }
        c->out_at += (size_t)n;
    }
    want(c, false);
}

static bool is_sending(const struct connection *c)
{
    return c->out_at < c->out_len;
}

static void start_produce(struct connection *c, u64 due)
{
    memcpy(c->out, request, request_bytes);
    for (u32 i = 0; i < o.per_request; i++) {
        store_be32(c->out + partition_at[i], c->next_partition);
        c->next_partition = (c->next_partition + 1) % o.partitions;
        if (o.stamped) {
            stamp(c->out + partition_at[i] + 8, due);
        }
    }
    c->due[(c->first + c->in_flight++) % DEPTH_MAX] = due;
    c->out_at = 0;
    c->out_len = request_bytes;
    push(c);
}

/* What a request says before its body; its length is set by request_send. */
static struct writer request_head(struct connection *c, size_t cap, u16 api, u16 version)
{
    struct writer w = writer_of(c->out, cap);
    write_be32(&w, 0);
    write_be16(&w, api);
    write_be16(&w, version);
    write_be32(&w, 0);
    write_be16(&w, 4);
    write_bytes(&w, "load", 4);
    return w;
}

static void topic_head(struct writer *w, u32 partition_count)
{
    write_be32(w, 1);
    write_be16(w, (u16)strlen(o.topic));
    write_bytes(w, o.topic, strlen(o.topic));
    write_be32(w, partition_count);
}

static size_t fetch_request_cap(void)
{
    return 256 + strlen(o.topic) + (size_t)o.partitions * 16;
}

static u32 fetch_width(const struct connection *c)
{
    return MIN(o.per_request, c->partition_count);
}

static void start_fetch(struct connection *c)
{
    struct writer w = request_head(c, fetch_request_cap(), API_fetch, 4);
    u32 width = fetch_width(c);
    write_be32(&w, UINT32_MAX);
    write_be32(&w, 500);
    write_be32(&w, 1);
    write_be32(&w, MAX(o.fetch_bytes, 1u << 20));
    write_u8(&w, 0);
    topic_head(&w, width);
    for (u32 i = 0; i < width; i++) {
        u32 own = (c->next_partition + i) % c->partition_count;
        write_be32(&w, c->first_partition + own);
        write_be64(&w, (u64)c->offsets[own]);
        write_be32(&w, o.fetch_bytes);
    }
    c->next_partition = (c->next_partition + width) % c->partition_count;
    store_be32(c->out, (u32)w.len - 4);
    c->due[(c->first + c->in_flight++) % DEPTH_MAX] = now_ns();
    c->out_at = 0;
    c->out_len = w.len;
    push(c);
}

static void exactly(int fd, u8 *into, size_t bytes)
{
    if (recv(fd, into, bytes, MSG_WAITALL) != (ssize_t)bytes) {
        die("ListOffsets");
    }
}

/* Where the partitions of a connection end: there it begins, or is through. */
static void find_ends(struct connection *c)
{
    struct writer w = request_head(c, fetch_request_cap(), API_list_offsets, 1);
    write_be32(&w, UINT32_MAX);
    topic_head(&w, c->partition_count);
    for (u32 i = 0; i < c->partition_count; i++) {
        write_be32(&w, c->first_partition + i);
        write_be64(&w, UINT64_MAX); /* latest */
    }
    store_be32(c->out, (u32)w.len - 4);
    if (send(c->fd, c->out, w.len, MSG_NOSIGNAL) != (ssize_t)w.len) {
        die("send");
    }
    u8 head[4];
    exactly(c->fd, head, sizeof head);
    size_t bytes = load_be32(head);
    u8 *answer = mem_alloc(bytes);
    exactly(c->fd, answer, bytes);
    struct reader r = reader_of(slice_of(answer, bytes));
    read_skip(&r, 4 + 4 + 2 + strlen(o.topic) + 4); /* correlation, topics, name, partitions */
    for (u32 i = 0; i < c->partition_count; i++) {
        u32 index = read_be32(&r) - c->first_partition;
        u16 code = read_be16(&r);
        read_be64(&r);
        u64 offset = read_be64(&r);
        if (r.failed || code != 0 || index >= c->partition_count) {
            errno = EPROTO;
            die("ListOffsets");
        }
        c->ends[index] = (i64)offset;
        if (o.from_end) {
            c->offsets[index] = (i64)offset;
        }
        behind_count += c->ends[index] > c->offsets[index];
    }
    mem_free(answer);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Produce v7: correlation, 1 topic, name, partitions: index, error, ... : the first error is looked
 * at. */
static void check_produce(const struct connection *c)
{
    size_t at = 4 + 4 + 2 + strlen(o.topic) + 4 + 4;
    if (c->body_seen >= at + 2) {
        i16 code = (i16)load_be16(c->body_head + at);
        if (code != 0 && errors_seen++ == 0) {
            fprintf(stderr, "odradek-load: error %d\n", code);
        }
    }
}

/* The second that is going on, and the file its line will be in. */
static struct {
    FILE *file;
    u64 end;
    u64 bytes;
    struct histogram latency;
} each;

static void each_second_begin(void)
{
    if (o.each_second == NULL) {
        return;
    }
    each.file = fopen(o.each_second, "w");
    if (each.file == NULL) {
        die(o.each_second);
    }
    each.end = now_ns() + SECOND;
}

/* A second in which nothing came has a line too. */
static void each_second_until(u64 now)
{
    while (each.file != NULL && now >= each.end) {
        fprintf(each.file, "MB/s=%.1f p50_us=%.0f p99_us=%.0f\n", (f64)each.bytes / 1e6,
                histogram_us(&each.latency, 0.5), histogram_us(&each.latency, 0.99));
        each.bytes = 0;
        each.latency = (struct histogram){0};
        each.end += SECOND;
    }
}

static void answered(struct connection *c, u64 bytes)
{
    u64 now = now_ns();
    u64 due = c->due[c->first];
    c->first = (c->first + 1) % DEPTH_MAX;
    c->in_flight--;
    if (!o.fetch) {
        check_produce(c);
    }
    if (measuring) {
        acked_requests++;
        acked_bytes += bytes;
        complete = o.total > 0 && acked_bytes >= o.total;
        histogram_add(&latency, now - due);
        each_second_until(now);
        each.bytes += bytes;
        if (each.file != NULL) {
            histogram_add(&each.latency, now - due);
        }
    }
}

/* Fetch answers are walked for the offset of their last batch; a buffer of the size of an answer is
   used again and again. */
static u8 *fetch_buffer;
static size_t fetch_cap;

static void batch_came(struct connection *c, u32 own, const u8 *batch, u32 size, u64 now)
{
    i64 base = (i64)load_be64(batch);
    gaps_seen += base != c->offsets[own];
    bool was_behind = c->offsets[own] < c->ends[own];
    c->offsets[own] = base + load_be32(batch + BATCH_AT_LAST_OFFSET_DELTA) + 1;
    behind_count -= was_behind && c->offsets[own] >= c->ends[own];
    size_t at = o.stamped ? stamp_at(batch, size) : 0;
    if (measuring && at > 0) {
        u64 due = load_be64(batch + at);
        histogram_add(&end_to_end, now - MIN(due, now));
    }
}

/* The bytes of its whole batches. */
static u64 partition_came(struct connection *c, struct reader *r, u64 now)
{
    u32 own = read_be32(r) - c->first_partition;
    i16 code = (i16)read_be16(r);
    read_skip(r, 8 + 8); /* high watermark, last stable offset */
    i32 aborted = (i32)read_be32(r);
    read_skip(r, aborted > 0 ? (size_t)aborted * 16 : 0);
    size_t bytes = read_be32(r);
    if (r->failed || reader_left(r) < bytes || own >= c->partition_count) {
        errno = EPROTO;
        die("Fetch");
    }
    if (code != 0 && errors_seen++ == 0) {
        fprintf(stderr, "odradek-load: fetch error %d\n", code);
    }
    const u8 *begin = r->pos;
    const u8 *p = begin;
    while (p + BATCH_HEADER_BYTES <= begin + bytes) {
        u32 size = load_be32(p + BATCH_AT_LENGTH) + BATCH_PREFIX_BYTES;
        if (size > (size_t)(begin + bytes - p)) {
            break;
        }
        batch_came(c, own, p, size, now);
        p += size;
    }
    read_skip(r, bytes);
    if (o.again && c->offsets[own] >= c->ends[own]) {
        c->offsets[own] = 0;
    }
    return (u64)(p - begin);
}

static void fetch_done(struct connection *c, u64 length)
{
    u64 now = now_ns();
    struct reader r = reader_of(slice_of(fetch_buffer, length));
    read_skip(&r, 4 + 4 + 4 + 2 + strlen(o.topic)); /* correlation, throttle, topics, name */
    u32 count = read_be32(&r);
    u64 bytes = 0;
    for (u32 i = 0; i < count; i++) {
        bytes += partition_came(c, &r, now);
    }
    answered(c, bytes);
    complete = complete || (o.until_end && behind_count == 0);
}

static void pull(struct connection *c)
{
    for (;;) {
        if (c->head_have < 4) {
            ssize_t n = recv(c->fd, c->head + c->head_have, 4 - c->head_have, MSG_DONTWAIT);
            if (n <= 0) {
                if (n < 0 && errno == EAGAIN) {
                    return;
                }
                die("the broker closed a connection");
            }
            c->head_have += (u32)n;
            if (c->head_have < 4) {
                continue;
            }
            c->body_left = load_be32(c->head);
            c->body_seen = 0;
            if (o.fetch && c->body_left > fetch_cap) {
                fetch_cap = c->body_left;
                fetch_buffer = mem_resize(fetch_buffer, fetch_cap);
            }
        }
        u64 length = load_be32(c->head);
        u8 scratch[65536];
        u8 *into = o.fetch ? fetch_buffer + (length - c->body_left) : scratch;
        size_t room = o.fetch ? c->body_left : MIN(c->body_left, sizeof scratch);
        ssize_t n = recv(c->fd, into, room, o.fetch ? 0 : MSG_DONTWAIT);
        if (n <= 0) {
            if (n < 0 && errno == EAGAIN) {
                return;
            }
            die("the broker closed a connection");
        }
        if (!o.fetch && c->body_seen < sizeof c->body_head) {
            size_t take = MIN((size_t)n, sizeof c->body_head - c->body_seen);
            memcpy(c->body_head + c->body_seen, scratch, take);
            c->body_seen += (u32)take;
        }
        c->body_left -= (u64)n;
        if (c->body_left > 0) {
            continue;
        }
        c->head_have = 0;
        if (o.fetch) {
            fetch_done(c, length);
            if (complete) {
                return;
            }
            start_fetch(c);
        } else {
            answered(c, payload_bytes);
            if (o.rate_mb <= 0) {
                while (!is_sending(c) && c->in_flight < o.depth) {
                    start_produce(c, now_ns());
                }
            }
        }
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

static u64 open_loop_next; /* when the next request is due */
static u64 open_loop_step;
static u32 open_loop_turn;

/* Starts what is due. A request whose connection is still busy with another starts late, and counts
   so. */
static void start_due(u64 now)
{
    while (open_loop_next <= now) {
        u32 tried = 0;
        struct connection *c = &connections[open_loop_turn];
        while ((is_sending(c) || c->in_flight == DEPTH_MAX) && tried++ < o.connections) {
            open_loop_turn = (open_loop_turn + 1) % o.connections;
            c = &connections[open_loop_turn];
        }
        if (is_sending(c) || c->in_flight == DEPTH_MAX) {
            return;
        }
        if (measuring) {
            histogram_add(&lateness, now_ns() - open_loop_next);
        }
        start_produce(c, open_loop_next);
        open_loop_turn = (open_loop_turn + 1) % o.connections;
        open_loop_next += open_loop_step;
    }
}

static void run_until(u64 end)
{
    struct epoll_event events[256];
    for (u64 now = now_ns(); now < end && !complete; now = now_ns()) {
        struct timespec wait = {.tv_nsec = 1000000};
        if (o.rate_mb > 0) {
            start_due(now);
            u64 left = open_loop_next > now ? open_loop_next - now : 0;
            wait.tv_nsec = (long)MIN(left, (u64)1000000);
        }
        int n = epoll_pwait2(epoll_fd, events, (int)ARRAY_LEN(events), &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (o.rate_mb > 0) {
                start_due(now_ns()); /* what is due does not wait for a row of answers */
            }
            if (events[i].events & EPOLLOUT) {
                push(c);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                pull(c);
            }
            while (!o.fetch && o.rate_mb <= 0 && !is_sending(c) && c->in_flight < o.depth) {
                start_produce(c, now_ns());
            }
        }
    }
}

static void open_connections(void)
{
    connections = mem_alloc(o.connections * sizeof *connections);
    epoll_fd = epoll_create1(0);
    for (u32 i = 0; i < o.connections; i++) {
        struct connection *c = &connections[i];
        c->fd = connect_to();
        c->out = mem_alloc(o.fetch ? fetch_request_cap() : request_bytes);
        u32 first = (u32)((u64)i * o.partitions / o.connections);
        if (o.fetch) {
            /* Where there are more connections than partitions several read the same. */
            u32 end = (u32)((u64)(i + 1) * o.partitions / o.connections);
            c->first_partition = first;
            c->partition_count = MAX(end - first, 1u);
            c->offsets = mem_alloc(c->partition_count * sizeof *c->offsets);
            c->ends = mem_alloc(c->partition_count * sizeof *c->ends);
            if (o.from_end || o.until_end || o.again) {
                find_ends(c);
            }
        } else {
            c->next_partition = first;
        }
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    }
    for (u32 i = 0; i < o.connections; i++) {
        struct connection *c = &connections[i];
        if (o.fetch) {
            start_fetch(c);
        }
        while (!o.fetch && o.rate_mb <= 0 && !is_sending(c) && c->in_flight < o.depth) {
            start_produce(c, now_ns());
        }
    }
}

static void report(f64 seconds, f64 broker_cpu, f64 own_cpu)
{
    f64 gb = (f64)acked_bytes / 1e9;
    f64 p99 = histogram_us(&latency, 0.99);
    f64 late = histogram_us(&lateness, 0.99);
    bool is_void = o.rate_mb > 0 && is_void_run(late, p99, own_cpu / seconds);
    printf("MB/s=%.1f requests/s=%.0f p50_us=%.0f p99_us=%.0f p999_us=%.0f max_us=%.0f",
           gb * 1000 / seconds, (f64)acked_requests / seconds, histogram_us(&latency, 0.5), p99,
           histogram_us(&latency, 0.999), histogram_us(&latency, 0.999999));
    if (!o.fetch) {
        printf(" records/s=%.0f", (f64)acked_requests * o.per_request * batch_records() / seconds);
    }
    if (o.pid > 0) {
        printf(" broker_cpu_s/GB=%.3f broker_cores=%.2f requests/cpu_s=%.0f", broker_cpu / gb,
               broker_cpu / seconds, (f64)acked_requests / broker_cpu);
    }
    if (o.stamped && o.fetch) {
        printf(" e2e_p50_us=%.0f e2e_p99_us=%.0f e2e_p999_us=%.0f e2e_max_us=%.0f",
               histogram_us(&end_to_end, 0.5), histogram_us(&end_to_end, 0.99),
               histogram_us(&end_to_end, 0.999), histogram_us(&end_to_end, 0.999999));
    }
    printf(" seconds=%.2f bytes=%llu", seconds, (unsigned long long)acked_bytes);
    if (o.fetch) {
        printf(" gaps=%llu", (unsigned long long)gaps_seen);
    }
    if (o.total > 0 || o.until_end) {
        printf(" complete=%s", complete ? "yes" : "no");
    }
    printf(" own_cores=%.2f late_p99_us=%.0f errors=%llu%s\n", own_cpu / seconds, late,
           (unsigned long long)errors_seen, is_void ? " VOID" : "");
}

static void parse(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(
            stderr,
            "usage: odradek-load produce|fetch HOST:PORT [options], see the top of bench/load.c\n");
        exit(2);
    }
    o.fetch = strcmp(argv[1], "fetch") == 0;
    char *colon = strrchr(argv[2], ':');
    if (colon == NULL) {
        exit(2);
    }
    *colon = 0;
    o.host = argv[2];
    o.port = (int)strtol(colon + 1, NULL, 10);
    for (int i = 3; i + 1 < argc; i += 2) {
        const char *k = argv[i] + 2;
        const char *v = argv[i + 1];
        f64 number = strtod(v, NULL);
        u32 whole = (u32)number;
        if (strcmp(k, "topic") == 0) {
            o.topic = v;
        } else if (strcmp(k, "partitions") == 0) {
            o.partitions = whole;
        } else if (strcmp(k, "batch") == 0) {
            o.batch_bytes = whole;
        } else if (strcmp(k, "per-request") == 0) {
            o.per_request = MAX(whole, 1u);
        } else if (strcmp(k, "connections") == 0) {
            o.connections = MIN(whole, (u32)CONNECTIONS_MAX);
        } else if (strcmp(k, "depth") == 0) {
            o.depth = MIN(whole, (u32)DEPTH_MAX);
        } else if (strcmp(k, "seconds") == 0) {
            o.seconds = number;
        } else if (strcmp(k, "warmup") == 0) {
            o.warmup = number;
        } else if (strcmp(k, "rate") == 0) {
            o.rate_mb = number;
        } else if (strcmp(k, "acks") == 0) {
            o.acks = (int)number;
        } else if (strcmp(k, "record") == 0) {
            o.record_bytes = whole;
        } else if (strcmp(k, "bytes") == 0) {
            o.fetch_bytes = whole;
        } else if (strcmp(k, "from") == 0) {
            o.from_end = strcmp(v, "end") == 0;
        } else if (strcmp(k, "json") == 0) {
            o.json = strcmp(v, "yes") == 0;
        } else if (strcmp(k, "codec") == 0) {
            if (codec_parse(slice_of(v, strlen(v)), &o.codec) != OK) {
                fprintf(stderr, "odradek-load: unknown codec %s\n", v);
                exit(2);
            }
        } else if (strcmp(k, "key") == 0) {
            o.key_bytes = MIN(whole, 256u);
        } else if (strcmp(k, "each-second") == 0) {
            o.each_second = v;
        } else if (strcmp(k, "stamped") == 0) {
            o.stamped = strcmp(v, "yes") == 0;
        } else if (strcmp(k, "until-end") == 0) {
            o.until_end = strcmp(v, "yes") == 0;
        } else if (strcmp(k, "again") == 0) {
            o.again = strcmp(v, "yes") == 0;
        } else if (strcmp(k, "total") == 0) {
            o.total = (u64)number;
        } else if (strcmp(k, "pid") == 0) {
            o.pid = (int)number;
        } else {
            fprintf(stderr, "odradek-load: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1ul); /* what is due is not a kernel's 50 microseconds late */
    if (!o.fetch) {
        o.per_request = MIN(o.per_request, (u32)ARRAY_LEN(partition_at));
        build_produce();
    }
    open_connections();
    open_loop_next = now_ns();
    open_loop_step = o.rate_mb > 0 ? (u64)((f64)payload_bytes / (o.rate_mb * 1e6) * 1e9) : 0;
    run_until(now_ns() + (u64)(o.warmup * 1e9));
    measuring = true;
    f64 broker_before = cpu_seconds(o.pid);
    f64 own_before = own_cpu_seconds();
    each_second_begin();
    u64 begin = now_ns();
    run_until(begin + (u64)(o.seconds * 1e9));
    f64 seconds = (f64)(now_ns() - begin) / 1e9;
    each_second_until(begin + (u64)(o.seconds * 1e9));
    report(seconds, cpu_seconds(o.pid) - broker_before, own_cpu_seconds() - own_before);
    return errors_seen > 0;
}
