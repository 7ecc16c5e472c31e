/* odradek-peer-load: the same load on different brokers, each in its own protocol, so that their
   figures can stand beside each other. bench/peers.py starts it. One thread, epoll.

     odradek-peer-load live   PROTOCOL HOST:PORT [--stream S] [--size BYTES] [--window N]
                              [--rate N] [--batch N] [--linger-ms MS] [--seconds S] [--warmup S]
                              [--pids A,B,...]
     odradek-peer-load replay PROTOCOL HOST:PORT [--stream S] [--size BYTES] [--messages N]
                              [--seconds S] [--pids A,B,...]

   PROTOCOL: kafka (Produce v7 with acks=all, Fetch v4; the topic is there), nats (JetStream, file
   storage, a push consumer with flow control), rabbit (RabbitMQ's stream protocol), redis (XADD,
   XREAD), classic and quorum (RabbitMQ's queues by AMQP 0-9-1, with confirms; live only).

   live: one connection publishes, another consumes what it publishes. Closed loop (no --rate): N
   messages (--window) are unacknowledged at any time. Open loop: a message is due each 1/rate
   seconds, and latency counts from the time it was due, to the acknowledgement and to when the
   consumer had it. After the measured time nothing more is published, and what is on its way is
   waited for. replay: a new consumer reads the stream from its start, N messages.

   kafka: --batch N messages are one record batch in one request; in open loop a batch goes when it
   is full or its first message has waited for --linger-ms, as a Kafka producer does it. Other
   protocols send what is due as single messages, back to back in one send(); the stream protocol
   puts them into one Publish frame, which is what its clients do.

   A message begins with the time it was due and its number; the consumer counts those that do not
   follow the one before (gaps). --pids: processor time of these processes, as cpu-s per GB of
   messages. A run in open loop in which the generator's own lateness is above a tenth of the p99
   and above 0.1 ms, or in which it used more than 85 % of its core, says VOID. Prints one line of
   key=value pairs. */
#include "generator.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_BYTES = 16 << 20,
    OUT_BYTES = 32 << 20,
    SIZE_MAX_BYTES = 1 << 20,
    RING = 1 << 21, /* messages in flight at most half of it */
    COALESCED = 200,
    BATCH_MAX = 1000,
    PIDS_MAX = 64,
    DRAIN_SECONDS = 30,
};

/* ---- options and numbers --------------------------------------------------------------------- */

static struct {
    bool replay;
    const char *host;
    int port;
    const char *stream;
    u32 size, window, batch;
    f64 rate, linger_ms, seconds, warmup;
    u64 messages;
    int pids[PIDS_MAX];
    u32 pid_count;
} o = {.stream = "load",
       .size = 1024,
       .window = 1000,
       .batch = 1,
       .linger_ms = 5,
       .seconds = 10,
       .warmup = 1};

static f64 broker_cpu_seconds(void)
{
    f64 sum = 0;
    for (u32 i = 0; i < o.pid_count; i++) {
        sum += cpu_seconds(o.pids[i]);
    }
    return sum;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "odradek-peer-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static _Noreturn void refused(const char *what, const void *said, size_t bytes)
{
    fprintf(stderr, "odradek-peer-load: %s: %.*s\n", what, (int)MIN(bytes, (size_t)300),
            (const char *)said);
    exit(1);
}

/* ---- connections ----------------------------------------------------------------------------- */

struct link {
    int fd;
    u8 *in; /* received, from in_at to in_end not yet taken */
    size_t in_at, in_end;
    u8 *out; /* to be sent, from out_at to out_end */
    size_t out_at, out_end;
    bool polling_out;
};
static struct link producer, consumer;
static int epoll_fd;

static void link_open(struct link *l)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((u16)o.port)};
    inet_pton(AF_INET, o.host, &a.sin_addr);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&a, sizeof a) != 0) {
        die("connect");
    }
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    l->in = mem_alloc(IN_BYTES);
    l->out = mem_alloc(OUT_BYTES);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, l->fd, &e);
}

static u8 *input(const struct link *l)
{
    return l->in + l->in_at;
}

static size_t input_bytes(const struct link *l)
{
    return l->in_end - l->in_at;
}

/* Sends what the socket takes; the rest goes when it is writable again. */
static void link_push(struct link *l)
{
    while (l->out_at < l->out_end) {
        ssize_t n =
            send(l->fd, l->out + l->out_at, l->out_end - l->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            die("send");
        }
        if (n < 0) {
            break;
        }
        l->out_at += (size_t)n;
    }
    bool left = l->out_at < l->out_end;
    if (!left) {
        l->out_at = l->out_end = 0;
    }
    if (left != l->polling_out) {
        struct epoll_event e = {.events = EPOLLIN | (left ? EPOLLOUT : 0u), .data.ptr = l};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, l->fd, &e);
        l->polling_out = left;
    }
}

/* Receives what is there; false: nothing is. */
static bool link_pull(struct link *l)
{
    if (l->in_at == l->in_end) {
        l->in_at = l->in_end = 0;
    } else if (l->in_end > IN_BYTES / 2) {
        memmove(l->in, input(l), input_bytes(l));
        l->in_end -= l->in_at;
        l->in_at = 0;
    }
    ssize_t n = recv(l->fd, l->in + l->in_end, IN_BYTES - l->in_end, MSG_DONTWAIT);
    if (n == 0) {
        refused("the broker closed the connection, saying", input(l), input_bytes(l));
    }
    if (n < 0 && errno != EAGAIN) {
        die("recv");
    }
    l->in_end += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* While a connection is set up: everything is sent, and something more has come. */
static void link_await(struct link *l)
{
    link_push(l);
    struct pollfd p = {.fd = l->fd, .events = POLLIN | (l->polling_out ? POLLOUT : 0)};
    if (poll(&p, 1, DRAIN_SECONDS * 1000) == 0) {
        errno = ETIMEDOUT;
        die("setting up a connection");
    }
    link_pull(l);
}

static void put(struct link *l, const void *from, size_t bytes)
{
    if (bytes > OUT_BYTES - l->out_end) {
        errno = ENOBUFS;
        die("more is to be sent than there is room for");
    }
    memcpy(l->out + l->out_end, from, bytes);
    l->out_end += bytes;
}

static void put_text(struct link *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_be8(struct link *l, u8 v)
{
    put(l, &v, sizeof v);
}

static void put_be16(struct link *l, u16 v)
{
    u8 bytes[2];
    store_be16(bytes, v);
    put(l, bytes, sizeof bytes);
}

static void put_be32(struct link *l, u32 v)
{
    u8 bytes[4];
    store_be32(bytes, v);
    put(l, bytes, sizeof bytes);
}

static void put_be64(struct link *l, u64 v)
{
    u8 bytes[8];
    store_be64(bytes, v);
    put(l, bytes, sizeof bytes);
}

/* Text after its length in 16 bits. */
static void put_string(struct link *l, const char *text)
{
    put_be16(l, (u16)strlen(text));
    put_text(l, text);
}

/* A frame whose length comes first, in 32 bits that do not count themselves. */
static void frame_end(struct link *l, size_t begin)
{
    store_be32(l->out + begin, (u32)(l->out_end - begin - 4));
}

/* ---- messages -------------------------------------------------------------------------------- */

static u8 payload[SIZE_MAX_BYTES];
static u64 *due_at; /* of message n at n % RING; 0: acknowledged */
static u64 published_count, acked_count, acked_below, received_count, gap_count;
static u64 measured_acks, measured_received, measure_begin; /* 0: it is not measured */
static struct histogram ack_latency, end_to_end, lateness;

/* The message as it is to be sent; valid until the next one. */
static const u8 *message(u64 number)
{
    memcpy(payload, &due_at[number % RING], 8);
    memcpy(payload + 8, &number, 8);
    return payload;
}

static void ack_one(u64 number, u64 now)
{
    u64 due = due_at[number % RING];
    if (number >= published_count || number < acked_below || due == 0) {
        errno = EPROTO;
        die("an acknowledgement of what is not in flight");
    }
    if (measure_begin != 0) {
        measured_acks++;
        if (due >= measure_begin) {
            histogram_add(&ack_latency, now - due);
        }
    }
    due_at[number % RING] = 0;
    acked_count++;
    while (acked_below < published_count && due_at[acked_below % RING] == 0) {
        acked_below++;
    }
}

/* Of the oldest ones in flight. */
static void ack_next(u64 count)
{
    u64 now = now_ns();
    for (u64 i = 0; i < count; i++) {
        ack_one(acked_below, now);
    }
}

static void receive(const void *from, u64 now)
{
    u64 due, number;
    memcpy(&due, from, 8);
    memcpy(&number, (const u8 *)from + 8, 8);
    gap_count += number != received_count;
    received_count++;
    if (measure_begin != 0) {
        measured_received++;
        if (due >= measure_begin && now > due) {
            histogram_add(&end_to_end, now - due);
        }
    }
}

/* A length or count in decimal, up to `end` or the first other byte. */
static u64 decimal(const u8 *at, const u8 *end)
{
    u64 value = 0;
    while (at < end && *at >= '0' && *at <= '9') {
        value = value * 10 + (u64)(*at++ - '0');
    }
    return value;
}

/* ---- kafka ----------------------------------------------------------------------------------- */

/* Batches of 1, 2, ... messages, made once; stamps, numbers and the checksum are set in place. */
static struct kafka_batch {
    u8 *bytes;
    size_t len;
    size_t value_at[BATCH_MAX];
} kafka_batches[BATCH_MAX + 1];
static u64 kafka_next_offset;

/* Steps over one record and returns its value. */
static const u8 *kafka_record_value(struct reader *r)
{
    u32 bytes = (u32)read_varint(r);
    size_t behind = reader_left(r) - MIN((size_t)bytes, reader_left(r));
    read_u8(r);      /* attributes */
    read_varlong(r); /* timestamp */
    read_varint(r);  /* offset */
    bool keyless = read_varint(r) < 0;
    u32 value_bytes = (u32)read_varint(r);
    struct slice value = read_bytes(r, value_bytes);
    if (r->failed || !keyless || value_bytes != o.size) {
        errno = EPROTO;
        die("a record is not as it was sent");
    }
    (void)read_bytes(r, reader_left(r) - behind);
    return value.ptr;
}

static void kafka_build(u32 count)
{
    struct batch_builder b;
    struct batch_builder_options options = batch_builder_plain();
    batch_builder_init(&b, &options);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    bool built = true;
    for (u32 i = 0; i < count; i++) {
        built = built && batch_builder_add(&b, (i64)t.tv_sec * 1000, (struct slice){0},
                                           slice_of(payload, o.size), NULL, 0) == OK;
    }
    struct slice batch;
    if (!built || batch_builder_finish(&b, &batch) != OK) {
        die("batch");
    }
    struct kafka_batch *made = &kafka_batches[count];
    made->bytes = mem_alloc(batch.len);
    memcpy(made->bytes, batch.ptr, batch.len);
    made->len = batch.len;
    struct reader r = reader_of(
        slice_of(made->bytes + BATCH_HEADER_BYTES, made->len - (size_t)BATCH_HEADER_BYTES));
    for (u32 i = 0; i < count; i++) {
        made->value_at[i] = (size_t)(kafka_record_value(&r) - made->bytes);
    }
    batch_builder_fini(&b);
}

/* A request up to its topic's partition; returns where it begins. */
static size_t kafka_request(struct link *l, u16 api, u16 version, u32 correlation)
{
    size_t begin = l->out_end;
    put_be32(l, 0);
    put_be16(l, api);
    put_be16(l, version);
    put_be32(l, correlation);
    put_string(l, "peer-load");
    return begin;
}

static void kafka_partition(struct link *l)
{
    put_be32(l, 1);
    put_string(l, o.stream);
    put_be32(l, 1);
    put_be32(l, 0);
}

static void kafka_fetch(struct link *l)
{
    size_t begin = kafka_request(l, API_fetch, 4, 0);
    put_be32(l, UINT32_MAX);
    put_be32(l, 500);     /* wait, ms */
    put_be32(l, 1);       /* least bytes */
    put_be32(l, 8 << 20); /* most */
    put_be8(l, 0);
    kafka_partition(l);
    put_be64(l, kafka_next_offset);
    put_be32(l, 1 << 20);
    frame_end(l, begin);
}

static void kafka_open(struct link *l, bool is_consumer)
{
    if (is_consumer) {
        kafka_fetch(l);
        return;
    }
    for (u32 i = 1; i <= o.batch; i++) {
        kafka_build(i);
    }
}

static void kafka_publish(struct link *l, u64 first, u32 count)
{
    struct kafka_batch *b = &kafka_batches[count];
    for (u32 i = 0; i < count; i++) {
        memcpy(b->bytes + b->value_at[i], message(first + i), 16);
    }
    store_be32(b->bytes + BATCH_AT_CRC,
               crc32c(b->bytes + BATCH_AT_ATTRIBUTES, b->len - BATCH_AT_ATTRIBUTES));
    size_t begin = kafka_request(l, API_produce, 7, count); /* the answer says how many it acks */
    put_be16(l, UINT16_MAX);                                /* no transactional id */
    put_be16(l, UINT16_MAX);                                /* acks=all */
    put_be32(l, 30000);
    kafka_partition(l);
    put_be32(l, (u32)b->len);
    put(l, b->bytes, b->len);
    frame_end(l, begin);
}

static void kafka_take_records(struct reader *r)
{
    u64 now = now_ns();
    while (reader_left(r) >= BATCH_HEADER_BYTES) {
        struct slice head = read_bytes(r, BATCH_HEADER_BYTES);
        size_t rest = load_be32(head.ptr + BATCH_AT_LENGTH) + BATCH_AT_LEADER_EPOCH;
        u32 records = load_be32(head.ptr + BATCH_AT_RECORD_COUNT);
        if (rest - BATCH_HEADER_BYTES > reader_left(r)) {
            return; /* cut off: it comes again */
        }
        for (u32 i = 0; i < records; i++) {
            receive(kafka_record_value(r), now);
        }
        kafka_next_offset = load_be64(head.ptr) + records;
    }
}

static bool kafka_take(struct link *l, bool is_consumer)
{
    if (input_bytes(l) < 4 || input_bytes(l) - 4 < load_be32(input(l))) {
        return false;
    }
    size_t bytes = load_be32(input(l));
    struct reader r = reader_of(slice_of(input(l) + 4, bytes));
    u32 correlation = read_be32(&r);
    if (is_consumer) {
        read_be32(&r); /* throttled, ms */
    }
    (void)read_bytes(&r, 4 + 2 + strlen(o.stream) + 4 + 4);
    u16 code = read_be16(&r);
    if (code != 0) {
        fprintf(stderr, "odradek-peer-load: kafka: error code %u\n", code);
        exit(1);
    }
    if (is_consumer) {
        (void)read_bytes(&r, 16); /* high watermark, last stable offset */
        u32 aborted = read_be32(&r);
        (void)read_bytes(&r, aborted == UINT32_MAX ? 0 : aborted * 16);
        read_be32(&r); /* bytes of records */
        kafka_take_records(&r);
        kafka_fetch(l);
    } else {
        ack_next(correlation);
    }
    l->in_at += 4 + bytes;
    return true;
}

/* ---- redis ----------------------------------------------------------------------------------- */

static char redis_last_id[64] = "0-0";
static i64 redis_open_values; /* of an answer to XREAD that are still to come */

static void put_redis(struct link *l, const char *const *words, u32 count)
{
    char line[32];
    for (u32 i = 0; i < count; i++) {
        snprintf(line, sizeof line, "$%zu\r\n", strlen(words[i]));
        put_text(l, line);
        put_text(l, words[i]);
        put_text(l, "\r\n");
    }
}

static void redis_read(struct link *l)
{
    const char *words[] = {"XREAD", "COUNT",   "1000",   "BLOCK",
                           "1000",  "STREAMS", o.stream, redis_last_id};
    put_text(l, "*8\r\n");
    put_redis(l, words, ARRAY_LEN(words));
    redis_open_values = 1;
}

static void redis_open(struct link *l, bool is_consumer)
{
    if (is_consumer) {
        redis_read(l);
    }
}

static void redis_publish(struct link *l, u64 first, u32 count)
{
    const char *words[] = {"XADD", o.stream, "*", "m"};
    char line[32];
    snprintf(line, sizeof line, "$%u\r\n", o.size);
    for (u32 i = 0; i < count; i++) {
        put_text(l, "*5\r\n");
        put_redis(l, words, ARRAY_LEN(words));
        put_text(l, line);
        put(l, message(first + i), o.size);
        put_text(l, "\r\n");
    }
}

/* One value of RESP: an array's head, or a string. An answer is through when all its arrays are. */
static bool redis_take(struct link *l, bool is_consumer)
{
    u8 *at = input(l);
    u8 *line_end = memchr(at, '\n', input_bytes(l));
    if (line_end == NULL) {
        return false;
    }
    size_t head = (size_t)(line_end + 1 - at);
    bool absent = at[1] == '-';
    size_t count = absent ? 0 : decimal(at + 1, line_end);
    size_t body = at[0] == '$' && !absent ? count + 2 : 0;
    if (at[0] != '$' && at[0] != '*') {
        refused("redis", at, head);
    }
    if (input_bytes(l) < head + body) {
        return false;
    }
    if (!is_consumer) {
        ack_next(1);
    } else {
        redis_open_values += at[0] == '*' ? (i64)count - 1 : -1;
        if (at[0] == '$' && count == o.size) {
            receive(line_end + 1, now_ns());
        } else if (at[0] == '$' && memchr(line_end + 1, '-', count) != NULL &&
                   count < sizeof redis_last_id) {
            memcpy(redis_last_id, line_end + 1, count);
            redis_last_id[count] = 0;
        }
    }
    l->in_at += head + body;
    if (is_consumer && redis_open_values == 0) {
        redis_read(l);
    }
    return true;
}

/* ---- nats ------------------------------------------------------------------------------------ */

/* Subscriptions: what they are for is their number. */
enum { NATS_ACKS = 1, NATS_ANSWERS = 2, NATS_MESSAGES = 3 };
static bool nats_answered;

static void nats_request(struct link *l, const char *subject, const char *body)
{
    char line[256];
    snprintf(line, sizeof line, "PUB %s inbox.%d.answers %zu\r\n", subject, (int)getpid(),
             strlen(body));
    put_text(l, line);
    put_text(l, body);
    put_text(l, "\r\n");
}

static bool nats_take(struct link *l, bool is_consumer);

static void nats_open(struct link *l, bool is_consumer)
{
    char body[512], subject[128], subscriptions[256];
    snprintf(subscriptions, sizeof subscriptions,
             "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n"
             "SUB inbox.%d.answers %d\r\nSUB inbox.%d.%s %d\r\n",
             (int)getpid(), NATS_ANSWERS, (int)getpid(), is_consumer ? "messages" : "acks",
             is_consumer ? NATS_MESSAGES : NATS_ACKS);
    put_text(l, subscriptions);
    if (is_consumer) {
        snprintf(subject, sizeof subject, "$JS.API.CONSUMER.CREATE.%s", o.stream);
        snprintf(body, sizeof body,
                 "{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"inbox.%d.messages\","
                 "\"ack_policy\":\"none\",\"deliver_policy\":\"all\",\"replay_policy\":\"instant\","
                 "\"flow_control\":true,\"idle_heartbeat\":5000000000}}",
                 o.stream, (int)getpid());
    } else {
        snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", o.stream);
        snprintf(body, sizeof body,
                 "{\"name\":\"%s\",\"subjects\":[\"peer.%s\"],\"retention\":\"limits\","
                 "\"storage\":\"file\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
                 "\"discard\":\"old\",\"num_replicas\":1}",
                 o.stream, o.stream);
    }
    nats_request(l, subject, body);
    nats_answered = false;
    while (!nats_answered) {
        link_await(l);
        while (nats_take(l, is_consumer)) {
        }
    }
}

static void nats_publish(struct link *l, u64 first, u32 count)
{
    char line[256];
    int n = snprintf(line, sizeof line, "PUB peer.%s inbox.%d.acks %u\r\n", o.stream, (int)getpid(),
                     o.size);
    for (u32 i = 0; i < count; i++) {
        put(l, line, (size_t)n);
        put(l, message(first + i), o.size);
        put_text(l, "\r\n");
    }
}

/* MSG subject sid [reply] bytes, or HMSG subject sid [reply] header-bytes bytes. */
struct nats_head {
    u64 subscription;
    struct slice reply; /* empty: none */
    u64 header_bytes, bytes;
};

static struct nats_head nats_parse(const u8 *at, const u8 *end)
{
    struct slice words[6] = {0};
    u32 count = 0;
    bool has_headers = at[0] == 'H';
    while (at < end && count < ARRAY_LEN(words)) {
        const u8 *space = memchr(at, ' ', (size_t)(end - at));
        const u8 *word_end = space != NULL ? space : end;
        words[count++] = slice_of(at, (size_t)(word_end - at));
        at = word_end + 1;
    }
    u32 numbers = has_headers ? 2 : 1;
    if (count < 3 + numbers) {
        refused("nats, a line that is not understood", words[0].ptr, 64);
    }
    struct nats_head h = {.subscription = decimal(words[2].ptr, words[2].ptr + words[2].len)};
    h.reply = count > 3 + numbers ? words[3] : (struct slice){0};
    h.bytes = decimal(words[count - 1].ptr, end);
    h.header_bytes = has_headers ? decimal(words[count - 2].ptr, end) : 0;
    return h;
}

/* Flow control asks for an answer; a heartbeat says where one is waited for. */
static void nats_control(struct link *l, const struct nats_head *h, const u8 *header)
{
    static const char stalled[] = "Nats-Consumer-Stalled: ";
    struct slice to = h->reply;
    const u8 *found = memmem(header, h->header_bytes, stalled, sizeof stalled - 1);
    if (to.len == 0 && found != NULL) {
        found += sizeof stalled - 1;
        const u8 *end = memchr(found, '\r', h->header_bytes - (size_t)(found - header));
        to = slice_of(found, end == NULL ? 0 : (size_t)(end - found));
    }
    if (to.len > 0) {
        put_text(l, "PUB ");
        put(l, to.ptr, to.len);
        put_text(l, " 0\r\n\r\n");
    }
}

static void nats_message(struct link *l, const struct nats_head *h, const u8 *body)
{
    if (h->subscription == NATS_MESSAGES && h->header_bytes > 0) {
        nats_control(l, h, body);
    } else if (h->subscription == NATS_MESSAGES) {
        if (h->bytes != o.size) {
            refused("nats, a message that was not sent", body, h->bytes);
        }
        receive(body, now_ns());
    } else {
        if (memmem(body, h->bytes, "\"error\"", 7) != NULL) {
            refused("nats", body, h->bytes);
        }
        if (h->subscription == NATS_ACKS) {
            ack_next(1);
        } else {
            nats_answered = true;
        }
    }
}

static bool nats_take(struct link *l, bool is_consumer)
{
    (void)is_consumer;
    u8 *at = input(l);
    u8 *line_end = memchr(at, '\n', input_bytes(l));
    if (line_end == NULL) {
        return false;
    }
    size_t bytes = (size_t)(line_end + 1 - at);
    if (at[0] == 'M' || at[0] == 'H') {
        struct nats_head h = nats_parse(at, line_end - 1);
        if (input_bytes(l) < bytes + h.bytes + 2) {
            return false;
        }
        nats_message(l, &h, line_end + 1);
        bytes += h.bytes + 2;
    } else if (at[0] == 'P' && at[1] == 'I') {
        put_text(l, "PONG\r\n");
    } else if (at[0] == '-') {
        refused("nats", at, bytes);
    }
    l->in_at += bytes;
    return true;
}

/* ---- rabbitmq streams ------------------------------------------------------------------------ */

enum rabbit_key {
    RABBIT_DECLARE_PUBLISHER = 1,
    RABBIT_PUBLISH = 2,
    RABBIT_CONFIRM = 3,
    RABBIT_PUBLISH_ERROR = 4,
    RABBIT_SUBSCRIBE = 7,
    RABBIT_DELIVER = 8,
    RABBIT_CREDIT = 9,
    RABBIT_CREATE = 13,
    RABBIT_PEER_PROPERTIES = 17,
    RABBIT_SASL_HANDSHAKE = 18,
    RABBIT_SASL_AUTHENTICATE = 19,
    RABBIT_TUNE = 20,
    RABBIT_OPEN = 21,
    RABBIT_CLOSE = 22,
};
enum { RABBIT_CREDITS = 10, RABBIT_FRAME_MAX = 1 << 20, RABBIT_CHUNK_HEADER = 48 };
static u32 rabbit_correlation;

static size_t rabbit_command(struct link *l, enum rabbit_key key)
{
    size_t begin = l->out_end;
    put_be32(l, 0);
    put_be16(l, (u16)key);
    put_be16(l, 1);
    return begin;
}

/* A request has a number after key and version. */
static size_t rabbit_request(struct link *l, enum rabbit_key key)
{
    size_t begin = rabbit_command(l, key);
    put_be32(l, rabbit_correlation++);
    return begin;
}

/* The next frame's key, when it is there whole; -1: it is not. */
static int rabbit_frame(const struct link *l)
{
    if (input_bytes(l) < 8 || input_bytes(l) - 4 < load_be32(input(l))) {
        return -1;
    }
    return load_be16(input(l) + 4) & 0x7fff;
}

static void rabbit_frame_done(struct link *l)
{
    l->in_at += 4 + load_be32(input(l));
}

static void rabbit_await(struct link *l, enum rabbit_key key, const char *what)
{
    for (;;) {
        int found = rabbit_frame(l);
        if (found < 0) {
            link_await(l);
            continue;
        }
        bool is_it = found == (int)key;
        u16 code = is_it && key != RABBIT_TUNE ? load_be16(input(l) + 12) : 1;
        rabbit_frame_done(l);
        if (code != 1) {
            fprintf(stderr, "odradek-peer-load: rabbit: %s: code %u\n", what, code);
            exit(1);
        }
        if (is_it) {
            return;
        }
    }
}

static void rabbit_login(struct link *l)
{
    size_t begin = rabbit_request(l, RABBIT_PEER_PROPERTIES);
    put_be32(l, 0);
    frame_end(l, begin);
    rabbit_await(l, RABBIT_PEER_PROPERTIES, "peer properties");
    begin = rabbit_request(l, RABBIT_SASL_HANDSHAKE);
    frame_end(l, begin);
    rabbit_await(l, RABBIT_SASL_HANDSHAKE, "handshake");
    begin = rabbit_request(l, RABBIT_SASL_AUTHENTICATE);
    put_string(l, "PLAIN");
    put_be32(l, 12);
    put(l, "\0guest\0guest", 12);
    frame_end(l, begin);
    rabbit_await(l, RABBIT_SASL_AUTHENTICATE, "login");
    rabbit_await(l, RABBIT_TUNE, "tune");
    begin = rabbit_command(l, RABBIT_TUNE);
    put_be32(l, RABBIT_FRAME_MAX);
    put_be32(l, 0); /* no heartbeat */
    frame_end(l, begin);
    begin = rabbit_request(l, RABBIT_OPEN);
    put_string(l, "/");
    frame_end(l, begin);
    rabbit_await(l, RABBIT_OPEN, "open");
}

static void rabbit_open(struct link *l, bool is_consumer)
{
    rabbit_login(l);
    if (is_consumer) {
        size_t begin = rabbit_request(l, RABBIT_SUBSCRIBE);
        put_be8(l, 1);
        put_string(l, o.stream);
        put_be16(l, 1); /* from the first */
        put_be16(l, RABBIT_CREDITS);
        put_be32(l, 0);
        frame_end(l, begin);
        rabbit_await(l, RABBIT_SUBSCRIBE, "subscribe");
        return;
    }
    size_t begin = rabbit_request(l, RABBIT_CREATE);
    put_string(l, o.stream);
    put_be32(l, 0);
    frame_end(l, begin);
    rabbit_await(l, RABBIT_CREATE, "create");
    begin = rabbit_request(l, RABBIT_DECLARE_PUBLISHER);
    put_be8(l, 1);
    put_string(l, "");
    put_string(l, o.stream);
    frame_end(l, begin);
    rabbit_await(l, RABBIT_DECLARE_PUBLISHER, "declare publisher");
}

static void rabbit_publish(struct link *l, u64 first, u32 count)
{
    size_t begin = rabbit_command(l, RABBIT_PUBLISH);
    put_be8(l, 1);
    put_be32(l, count);
    for (u32 i = 0; i < count; i++) {
        put_be64(l, first + i);
        put_be32(l, o.size);
        put(l, message(first + i), o.size);
    }
    frame_end(l, begin);
}

static void rabbit_deliver(struct link *l, const u8 *chunk)
{
    u32 entries = load_be16(chunk + 2);
    const u8 *entry = chunk + RABBIT_CHUNK_HEADER;
    u64 now = now_ns();
    for (u32 i = 0; i < entries; i++) {
        u32 bytes = load_be32(entry);
        if (bytes != o.size) {
            refused("rabbit", "a message that was not sent", 27);
        }
        receive(entry + 4, now);
        entry += 4 + bytes;
    }
    size_t begin = rabbit_command(l, RABBIT_CREDIT);
    put_be8(l, 1);
    put_be16(l, 1);
    frame_end(l, begin);
}

static bool rabbit_take(struct link *l, bool is_consumer)
{
    (void)is_consumer;
    int key = rabbit_frame(l);
    const u8 *body = input(l) + 8;
    switch (key) {
    case -1:
        return false;
    case RABBIT_CONFIRM:
        ack_next(load_be32(body + 1));
        break;
    case RABBIT_DELIVER:
        rabbit_deliver(l, body + 1);
        break;
    case RABBIT_PUBLISH_ERROR:
    case RABBIT_CLOSE:
        refused("rabbit", "it refused a message or closed", 30);
    default:
        break; /* heartbeats, metadata */
    }
    rabbit_frame_done(l);
    return true;
}

/* ---- rabbitmq queues, AMQP 0-9-1 ------------------------------------------------------------- */

enum { AMQP_METHOD = 1, AMQP_HEADER = 2, AMQP_BODY = 3, AMQP_END = 0xce };
enum amqp_method {
    AMQP_START = 10 << 16 | 10,
    AMQP_START_OK = 10 << 16 | 11,
    AMQP_TUNE = 10 << 16 | 30,
    AMQP_TUNE_OK = 10 << 16 | 31,
    AMQP_OPEN = 10 << 16 | 40,
    AMQP_OPEN_OK = 10 << 16 | 41,
    AMQP_CLOSE = 10 << 16 | 50,
    AMQP_CHANNEL_OPEN = 20 << 16 | 10,
    AMQP_CHANNEL_OPEN_OK = 20 << 16 | 11,
    AMQP_CHANNEL_CLOSE = 20 << 16 | 40,
    AMQP_QUEUE_DECLARE = 50 << 16 | 10,
    AMQP_QUEUE_DECLARE_OK = 50 << 16 | 11,
    AMQP_QOS = 60 << 16 | 10,
    AMQP_QOS_OK = 60 << 16 | 11,
    AMQP_CONSUME = 60 << 16 | 20,
    AMQP_CONSUME_OK = 60 << 16 | 21,
    AMQP_PUBLISH = 60 << 16 | 40,
    AMQP_DELIVER = 60 << 16 | 60,
    AMQP_ACK = 60 << 16 | 80,
    AMQP_CONFIRM_SELECT = 85 << 16 | 10,
    AMQP_CONFIRM_SELECT_OK = 85 << 16 | 11,
};
enum { AMQP_PREFETCH = 2000, AMQP_ACK_EVERY = 100 };
static const char *amqp_queue_type;
static u64 amqp_delivered, amqp_acked; /* delivery tags of the consumer */

static size_t amqp_frame(struct link *l, u8 type, u16 channel)
{
    size_t begin = l->out_end;
    put_be8(l, type);
    put_be16(l, channel);
    put_be32(l, 0);
    return begin;
}

static size_t amqp_method(struct link *l, u16 channel, enum amqp_method method)
{
    size_t begin = amqp_frame(l, AMQP_METHOD, channel);
    put_be32(l, (u32)method);
    return begin;
}

static void amqp_end(struct link *l, size_t begin)
{
    store_be32(l->out + begin + 3, (u32)(l->out_end - begin - 7));
    put_be8(l, AMQP_END);
}

static void put_short_string(struct link *l, const char *text)
{
    put_be8(l, (u8)strlen(text));
    put_text(l, text);
}

static bool amqp_frame_is_whole(const struct link *l)
{
    return input_bytes(l) >= 8 && input_bytes(l) - 8 >= load_be32(input(l) + 3);
}

static u32 amqp_method_of(const struct link *l)
{
    u32 method = input(l)[0] == AMQP_METHOD ? load_be32(input(l) + 7) : 0;
    if (method == AMQP_CLOSE || method == AMQP_CHANNEL_CLOSE) {
        refused("amqp", input(l) + 14, load_be32(input(l) + 3) - 7);
    }
    return method;
}

static void amqp_frame_done(struct link *l)
{
    l->in_at += 8 + load_be32(input(l) + 3);
}

static void amqp_await(struct link *l, enum amqp_method method)
{
    for (bool is_it = false; !is_it;) {
        if (!amqp_frame_is_whole(l)) {
            link_await(l);
            continue;
        }
        is_it = amqp_method_of(l) == (u32)method;
        amqp_frame_done(l);
    }
}

static void amqp_login(struct link *l)
{
    put(l, "AMQP\0\0\x9\x1", 8);
    amqp_await(l, AMQP_START);
    size_t begin = amqp_method(l, 0, AMQP_START_OK);
    put_be32(l, 0);
    put_short_string(l, "PLAIN");
    put_be32(l, 12);
    put(l, "\0guest\0guest", 12);
    put_short_string(l, "en_US");
    amqp_end(l, begin);
    amqp_await(l, AMQP_TUNE);
    begin = amqp_method(l, 0, AMQP_TUNE_OK);
    put_be16(l, 10);
    put_be32(l, 131072);
    put_be16(l, 0);
    amqp_end(l, begin);
    begin = amqp_method(l, 0, AMQP_OPEN);
    put_short_string(l, "/");
    put_be16(l, 0);
    amqp_end(l, begin);
    amqp_await(l, AMQP_OPEN_OK);
    begin = amqp_method(l, 1, AMQP_CHANNEL_OPEN);
    put_be8(l, 0);
    amqp_end(l, begin);
    amqp_await(l, AMQP_CHANNEL_OPEN_OK);
}

static void amqp_open(struct link *l, bool is_consumer)
{
    amqp_login(l);
    if (is_consumer) {
        size_t begin = amqp_method(l, 1, AMQP_QOS);
        put_be32(l, 0);
        put_be16(l, AMQP_PREFETCH);
        put_be8(l, 0);
        amqp_end(l, begin);
        amqp_await(l, AMQP_QOS_OK);
        begin = amqp_method(l, 1, AMQP_CONSUME);
        put_be16(l, 0);
        put_short_string(l, o.stream);
        put_short_string(l, "consumer");
        put_be8(l, 0);
        put_be32(l, 0);
        amqp_end(l, begin);
        amqp_await(l, AMQP_CONSUME_OK);
        return;
    }
    size_t begin = amqp_method(l, 1, AMQP_QUEUE_DECLARE);
    put_be16(l, 0);
    put_short_string(l, o.stream);
    put_be8(l, 2); /* durable */
    put_be32(l, (u32)(1 + 12 + 1 + 4 + strlen(amqp_queue_type)));
    put_short_string(l, "x-queue-type");
    put_be8(l, 'S');
    put_be32(l, (u32)strlen(amqp_queue_type));
    put_text(l, amqp_queue_type);
    amqp_end(l, begin);
    amqp_await(l, AMQP_QUEUE_DECLARE_OK);
    begin = amqp_method(l, 1, AMQP_CONFIRM_SELECT);
    put_be8(l, 0);
    amqp_end(l, begin);
    amqp_await(l, AMQP_CONFIRM_SELECT_OK);
}

static void classic_open(struct link *l, bool is_consumer)
{
    amqp_queue_type = "classic";
    amqp_open(l, is_consumer);
}

static void quorum_open(struct link *l, bool is_consumer)
{
    amqp_queue_type = "quorum";
    amqp_open(l, is_consumer);
}

static void amqp_publish(struct link *l, u64 first, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        size_t begin = amqp_method(l, 1, AMQP_PUBLISH);
        put_be16(l, 0);
        put_short_string(l, "");
        put_short_string(l, o.stream);
        put_be8(l, 0);
        amqp_end(l, begin);
        begin = amqp_frame(l, AMQP_HEADER, 1);
        put_be16(l, 60);
        put_be16(l, 0);
        put_be64(l, o.size);
        put_be16(l, 0x1000); /* the delivery mode is given: persistent */
        put_be8(l, 2);
        amqp_end(l, begin);
        begin = amqp_frame(l, AMQP_BODY, 1);
        put(l, message(first + i), o.size);
        amqp_end(l, begin);
    }
}

/* Confirms come in any order, single or for all up to a tag; tags count from 1. */
static void amqp_confirm(u64 tag, bool multiple)
{
    if (multiple) {
        ack_next(tag > acked_below ? tag - acked_below : 0);
    } else {
        ack_one(tag - 1, now_ns());
    }
}

static void amqp_received(struct link *l, const u8 *body, u32 bytes)
{
    if (bytes != o.size) {
        refused("amqp", "a message that was not sent", 27);
    }
    receive(body, now_ns());
    if (o.rate > 0 || amqp_delivered - amqp_acked >= AMQP_ACK_EVERY) {
        amqp_acked = amqp_delivered;
        size_t begin = amqp_method(l, 1, AMQP_ACK);
        put_be64(l, amqp_delivered);
        put_be8(l, 1); /* and all before it */
        amqp_end(l, begin);
    }
}

static bool amqp_take(struct link *l, bool is_consumer)
{
    if (!amqp_frame_is_whole(l)) {
        return false;
    }
    u32 method = amqp_method_of(l);
    const u8 *body = input(l) + 7;
    if (method == AMQP_ACK && !is_consumer) {
        amqp_confirm(load_be64(body + 4), (body[12] & 1) != 0);
    } else if (method == AMQP_DELIVER) {
        amqp_delivered = load_be64(body + 5 + body[4]);
    } else if (input(l)[0] == AMQP_BODY) {
        amqp_received(l, body, load_be32(input(l) + 3));
    }
    amqp_frame_done(l);
    return true;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* open: sets a connection up, the consumer's reading from the start of the stream. publish: puts
   messages into a producer's output. take: one answer or message out of the input, false when none
   is there whole. */
static const struct protocol {
    const char *name;
    void (*open)(struct link *l, bool is_consumer);
    void (*publish)(struct link *l, u64 first, u32 count);
    bool (*take)(struct link *l, bool is_consumer);
    bool batches; /* --batch and --linger-ms are heeded */
} protocols[] = {
    {"kafka", kafka_open, kafka_publish, kafka_take, true},
    {"nats", nats_open, nats_publish, nats_take, false},
    {"rabbit", rabbit_open, rabbit_publish, rabbit_take, false},
    {"redis", redis_open, redis_publish, redis_take, false},
    {"classic", classic_open, amqp_publish, amqp_take, false},
    {"quorum", quorum_open, amqp_publish, amqp_take, false},
};
static const struct protocol *protocol;
static u64 open_loop_begin; /* when message 0 was due */
static bool publishing;

static u64 due_of(u64 number)
{
    return open_loop_begin + (u64)((f64)number * 1e9 / o.rate);
}

static u32 group_max(void)
{
    return protocol->batches ? o.batch : (u32)COALESCED;
}

/* When the next message or batch is to leave in open loop. */
static u64 next_leave(void)
{
    if (!protocol->batches) {
        return due_of(published_count);
    }
    u64 lingered = due_of(published_count) + (u64)(o.linger_ms * 1e6);
    return MIN(lingered, due_of(published_count + o.batch - 1));
}

static void publish(u32 count, u64 now)
{
    for (u32 i = 0; i < count; i++) {
        u64 number = published_count + i;
        due_at[number % RING] = o.rate > 0 ? due_of(number) : now;
    }
    u64 first = published_count;
    published_count += count;
    protocol->publish(&producer, first, count);
}

static bool has_room(void)
{
    return producer.out_end < OUT_BYTES / 2 && published_count - acked_below < RING / 2;
}

static void publish_due(u64 now)
{
    while (has_room() && next_leave() <= now) {
        if (measure_begin != 0) {
            histogram_add(&lateness, now - next_leave());
        }
        u32 count = 1;
        while (count < group_max() && due_of(published_count + count) <= now) {
            count++;
        }
        publish(count, now);
    }
}

static void publish_window(u64 now)
{
    for (;;) {
        u64 free_count = o.window - MIN(o.window, published_count - acked_count);
        u32 count = (u32)MIN(free_count, (u64)group_max());
        if (count == 0 || (protocol->batches && count < o.batch) || !has_room()) {
            return;
        }
        publish(count, now);
    }
}

static bool is_through(void)
{
    if (o.replay) {
        return received_count >= o.messages;
    }
    return !publishing && acked_count == published_count && received_count >= published_count;
}

static void run_until(u64 end)
{
    struct epoll_event events[2];
    for (u64 now = now_ns(); now < end && !is_through(); now = now_ns()) {
        struct timespec wait = {.tv_nsec = 1000000};
        if (publishing && o.rate > 0) {
            publish_due(now);
            u64 left = next_leave() > now ? next_leave() - now : 0;
            wait.tv_nsec = (long)MIN(left, (u64)1000000);
        } else if (publishing) {
            publish_window(now);
        }
        if (!o.replay) {
            link_push(&producer);
        }
        int n = epoll_pwait2(epoll_fd, events, (int)ARRAY_LEN(events), &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct link *l = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                link_pull(l);
                while (protocol->take(l, l == &consumer)) {
                }
            }
            link_push(l);
        }
    }
}

static void report_cpu(f64 broker, f64 messages, f64 seconds)
{
    if (o.pid_count > 0) {
        printf(" broker_cpu_s/GB=%.3f broker_cores=%.2f", broker / (messages * o.size / 1e9),
               broker / seconds);
    }
}

static void report_latency(const char *name, const struct histogram *h)
{
    printf(" %s_p50_us=%.0f %s_p99_us=%.0f %s_p999_us=%.0f", name, histogram_us(h, 0.5), name,
           histogram_us(h, 0.99), name, histogram_us(h, 0.999));
}

static void open_consumer(void)
{
    link_open(&consumer);
    protocol->open(&consumer, true);
    while (protocol->take(&consumer, true)) {
    }
    link_push(&consumer);
}

static void live(void)
{
    link_open(&producer);
    protocol->open(&producer, false);
    open_consumer();
    publishing = true;
    open_loop_begin = now_ns();
    run_until(now_ns() + (u64)(o.warmup * 1e9));
    f64 broker_before = broker_cpu_seconds();
    f64 own_before = own_cpu_seconds();
    u64 begin = measure_begin = now_ns();
    run_until(begin + (u64)(o.seconds * 1e9));
    f64 seconds = (f64)(now_ns() - begin) / 1e9;
    f64 broker_used = broker_cpu_seconds() - broker_before;
    f64 own_cores = (own_cpu_seconds() - own_before) / seconds;
    u64 acks = measured_acks, received = measured_received;
    publishing = false;
    run_until(now_ns() + DRAIN_SECONDS * SECOND);

    f64 late = histogram_us(&lateness, 0.99);
    f64 p99 = histogram_us(&ack_latency, 0.99);
    bool is_void = o.rate > 0 && is_void_run(late, p99, own_cores);
    printf("messages/s=%.0f MB/s=%.1f", (f64)acks / seconds, (f64)acks * o.size / 1e6 / seconds);
    report_latency("ack", &ack_latency);
    report_latency("e2e", &end_to_end);
    printf(" received/s=%.0f", (f64)received / seconds);
    report_cpu(broker_used, (f64)acks, seconds);
    printf(
        " published=%llu received=%llu gaps=%llu complete=%s own_cores=%.2f late_p99_us=%.0f%s\n",
        (unsigned long long)published_count, (unsigned long long)received_count,
        (unsigned long long)gap_count, is_through() ? "yes" : "no", own_cores, late,
        is_void ? " VOID" : "");
}

static void replay(void)
{
    f64 broker_before = broker_cpu_seconds();
    f64 own_before = own_cpu_seconds();
    u64 begin = now_ns();
    open_consumer();
    run_until(begin + (u64)(o.seconds * 1e9));
    f64 seconds = (f64)(now_ns() - begin) / 1e9;
    printf("messages/s=%.0f MB/s=%.1f", (f64)received_count / seconds,
           (f64)received_count * o.size / 1e6 / seconds);
    report_cpu(broker_cpu_seconds() - broker_before, (f64)received_count, seconds);
    printf(" received=%llu gaps=%llu complete=%s own_cores=%.2f\n",
           (unsigned long long)received_count, (unsigned long long)gap_count,
           is_through() ? "yes" : "no", (own_cpu_seconds() - own_before) / seconds);
}

/* ---- options --------------------------------------------------------------------------------- */

static void parse_pids(const char *text)
{
    while (*text != 0 && o.pid_count < PIDS_MAX) {
        char *end;
        o.pids[o.pid_count++] = (int)strtol(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
        if (end == text) {
            return;
        }
    }
}

static void parse_option(const char *key, const char *value)
{
    f64 number = strtod(value, NULL);
    u32 whole = (u32)number;
    if (strcmp(key, "--stream") == 0) {
        o.stream = value;
    } else if (strcmp(key, "--size") == 0) {
        o.size = MIN(MAX(whole, 16u), (u32)SIZE_MAX_BYTES);
    } else if (strcmp(key, "--window") == 0) {
        o.window = MIN(MAX(whole, 1u), (u32)RING / 2);
    } else if (strcmp(key, "--rate") == 0) {
        o.rate = number;
    } else if (strcmp(key, "--batch") == 0) {
        o.batch = MIN(MAX(whole, 1u), (u32)BATCH_MAX);
    } else if (strcmp(key, "--linger-ms") == 0) {
        o.linger_ms = number;
    } else if (strcmp(key, "--seconds") == 0) {
        o.seconds = number;
    } else if (strcmp(key, "--warmup") == 0) {
        o.warmup = number;
    } else if (strcmp(key, "--messages") == 0) {
        o.messages = (u64)number;
    } else if (strcmp(key, "--pids") == 0) {
        parse_pids(value);
    } else {
        fprintf(stderr, "odradek-peer-load: unknown option %s\n", key);
        exit(2);
    }
}

static void parse(int argc, char **argv)
{
    char *colon = argc >= 4 ? strrchr(argv[3], ':') : NULL;
    for (u32 i = 0; argc >= 4 && i < ARRAY_LEN(protocols); i++) {
        if (strcmp(protocols[i].name, argv[2]) == 0) {
            protocol = &protocols[i];
        }
    }
    if (colon == NULL || protocol == NULL) {
        fprintf(stderr, "usage: odradek-peer-load live|replay PROTOCOL HOST:PORT [options], see "
                        "the top of bench/peer_load.c\n");
        exit(2);
    }
    o.replay = strcmp(argv[1], "replay") == 0;
    *colon = 0;
    o.host = argv[3];
    o.port = (int)strtol(colon + 1, NULL, 10);
    for (int i = 4; i + 1 < argc; i += 2) {
        parse_option(argv[i], argv[i + 1]);
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    prctl(PR_SET_TIMERSLACK, 1ul); /* what is due is not a kernel's 50 microseconds late */
    struct rng rng;
    rng_seed(&rng, 1);
    rng_fill(&rng, payload, o.size);
    due_at = mem_alloc(RING * sizeof *due_at);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (o.replay) {
        replay();
    } else {
        live();
    }
    return gap_count > 0 || !is_through();
}
