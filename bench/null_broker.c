/* odradek-null-broker: the least a broker can do, the control beside every processor figure. What
   Odradek costs above it is Odradek's own overhead; what it costs itself is the kernel's sockets
   and one CRC. bench/goals.py starts it, bench/load.c talks to it.

     odradek-null-broker PORT          on 127.0.0.1, until SIGTERM

   One thread, epoll. Produce v7 is answered as soon as the CRC of its batches is checked; nothing
   is stored, partitions only count their records. Fetch v4 is answered with copies of the first
   batch that came, at the offsets that are asked for, sent from where that batch lies; it never
   waits, so an answer may be empty. ListOffsets v1 tells the counts. Every topic is the same one
   and is there. Any other request, or one that cannot be read, closes its connection.

   A request is received into its connection's buffer, handled where it lies, and answered at the
   end of the turn with one sendmsg. While an answer does not fit the socket nothing more is read
   from it. */
#include "wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PARTITIONS_MAX = 100000,
    IN_BYTES = 256 << 10,
    IN_BYTES_MAX = 128 << 20,
    OUT_BYTES = 256 << 10, /* what is not a batch: heads, offsets, answers to Produce */
    PARTS_MAX = 1024,      /* Linux's IOV_MAX */
    FETCH_PARTITIONS_MAX = 256,
    PARTITION_ANSWER_BYTES = 64,
};

struct connection {
    int fd;
    u8 *in;
    size_t in_cap, in_len;
    u8 out[OUT_BYTES];
    size_t out_len;
    struct iovec parts[PARTS_MAX]; /* what is to be sent, in order */
    u32 part_count, part_first;
    bool polling_out;
};

static int epoll_fd;
static u64 ends[PARTITIONS_MAX];
/* The batch that is served: the first one. */
static u8 *kept;
static size_t kept_bytes;
static u32 kept_records;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "odradek-null-broker: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void part_add(struct connection *c, u8 *bytes, size_t len)
{
    if (c->part_count > 0) {
        struct iovec *last = &c->parts[c->part_count - 1];
        if ((u8 *)last->iov_base + last->iov_len == bytes) {
            last->iov_len += len;
            return;
        }
    }
    c->parts[c->part_count++] = (struct iovec){.iov_base = bytes, .iov_len = len};
}

/* So many bytes of c->out, which will be sent; the caller writes them. */
static u8 *out_take(struct connection *c, size_t len)
{
    u8 *bytes = c->out + c->out_len;
    c->out_len += len;
    part_add(c, bytes, len);
    return bytes;
}

static bool has_room(const struct connection *c, size_t bytes, u32 parts)
{
    return c->out_len + bytes <= OUT_BYTES && c->part_count + parts < PARTS_MAX;
}

static bool is_sending(const struct connection *c)
{
    return c->part_first < c->part_count;
}

static void sent(struct connection *c, size_t bytes)
{
    while (is_sending(c) && bytes >= c->parts[c->part_first].iov_len) {
        bytes -= c->parts[c->part_first++].iov_len;
    }
    if (is_sending(c)) {
        struct iovec *part = &c->parts[c->part_first];
        part->iov_base = (u8 *)part->iov_base + bytes;
        part->iov_len -= bytes;
    } else {
        c->part_first = c->part_count = 0;
        c->out_len = 0;
    }
}

static void want_out(struct connection *c, bool out)
{
    if (c->polling_out != out) {
        struct epoll_event e = {.events = out ? EPOLLOUT : EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
        c->polling_out = out;
    }
}

/* False: the peer is gone. */
static bool flush(struct connection *c)
{
    while (is_sending(c)) {
        struct msghdr m = {.msg_iov = c->parts + c->part_first,
                           .msg_iovlen = c->part_count - c->part_first};
        ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            want_out(c, true);
            return errno == EAGAIN;
        }
        sent(c, (size_t)n);
    }
    want_out(c, false);
    return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Of every request that is handled: one topic, its name, and how many partitions follow. */
struct topic_head {
    u32 correlation;
    struct slice name;
    u32 partitions;
};

static bool topic_read(struct reader *r, struct topic_head *t)
{
    u32 topics = read_be32(r);
    t->name = read_bytes(r, read_be16(r));
    t->partitions = read_be32(r);
    return !r->failed && topics == 1 && t->partitions > 0 && t->partitions <= PARTITIONS_MAX;
}

/* The length is written by answer_end. */
static struct writer answer_begin(struct connection *c, size_t cap)
{
    struct writer w = writer_of(c->out + c->out_len, cap);
    write_be32(&w, 0);
    return w;
}

static void write_topic(struct writer *w, const struct topic_head *t)
{
    write_be32(w, 1);
    write_be16(w, (u16)t->name.len);
    write_bytes(w, t->name.ptr, t->name.len);
    write_be32(w, t->partitions);
}

static void answer_end(struct connection *c, const struct writer *w)
{
    store_be32(c->out + c->out_len, (u32)w->len - 4);
    out_take(c, w->len);
}

static void keep(const u8 *batch, size_t bytes)
{
    if (kept == NULL) {
        kept = mem_alloc(bytes);
        memcpy(kept, batch, bytes);
        kept_bytes = bytes;
        kept_records = load_be32(batch + BATCH_AT_RECORD_COUNT);
    }
}

static u16 batch_take(u32 partition, struct slice batch, u64 *base)
{
    if (partition >= PARTITIONS_MAX) {
        return KERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (batch.len < BATCH_HEADER_BYTES ||
        crc32c(batch.ptr + BATCH_AT_ATTRIBUTES, batch.len - BATCH_AT_ATTRIBUTES) !=
            load_be32(batch.ptr + BATCH_AT_CRC)) {
        return KERR_CORRUPT_MESSAGE;
    }
    *base = ends[partition];
    ends[partition] += load_be32(batch.ptr + BATCH_AT_RECORD_COUNT);
    return 0;
}

static bool produce(struct connection *c, struct reader *r, struct topic_head *t)
{
    u16 transactional_id = read_be16(r);
    read_be16(r); /* acks: always answered */
    read_be32(r); /* timeout */
    if (transactional_id != UINT16_MAX || !topic_read(r, t)) {
        return false;
    }
    size_t cap = 64 + t->name.len + (size_t)t->partitions * PARTITION_ANSWER_BYTES;
    if (cap > OUT_BYTES / 2) {
        return false;
    }
    struct writer w = answer_begin(c, cap);
    write_be32(&w, t->correlation);
    write_topic(&w, t);
    for (u32 i = 0; i < t->partitions; i++) {
        u32 partition = read_be32(r);
        struct slice batch = read_bytes(r, read_be32(r));
        if (r->failed) {
            return false;
        }
        u64 base = UINT64_MAX;
        u16 code = batch_take(partition, batch, &base);
        write_be32(&w, partition);
        write_be16(&w, code);
        write_be64(&w, base);
        write_be64(&w, UINT64_MAX); /* no append time */
        write_be64(&w, 0);          /* log start */
        if (code == 0) {
            keep(batch.ptr, batch.len);
        }
    }
    write_be32(&w, 0); /* throttle */
    answer_end(c, &w);
    return true;
}

static bool list_offsets(struct connection *c, struct reader *r, struct topic_head *t)
{
    read_be32(r); /* replica */
    if (!topic_read(r, t)) {
        return false;
    }
    size_t cap = 64 + t->name.len + (size_t)t->partitions * PARTITION_ANSWER_BYTES;
    if (cap > OUT_BYTES / 2) {
        return false;
    }
    struct writer w = answer_begin(c, cap);
    write_be32(&w, t->correlation);
    write_topic(&w, t);
    for (u32 i = 0; i < t->partitions; i++) {
        u32 partition = read_be32(r);
        bool latest = read_be64(r) == UINT64_MAX;
        if (r->failed || partition >= PARTITIONS_MAX) {
            return false;
        }
        write_be32(&w, partition);
        write_be16(&w, 0);
        write_be64(&w, UINT64_MAX); /* no timestamp */
        write_be64(&w, latest ? ends[partition] : 0);
    }
    answer_end(c, &w);
    return true;
}

/* One partition of a Fetch: its head, then as many copies of the batch as may be. Returns their
   bytes. */
static size_t fetch_partition(struct connection *c, u32 partition, u64 offset, size_t bytes_max)
{
    u64 end = ends[partition];
    u32 count = 0;
    if (kept_bytes > 0 && offset < end) {
        u64 there = (end - offset + kept_records - 1) / kept_records;
        count = (u32)MIN(there, MAX((u64)(bytes_max / kept_bytes), (u64)1));
        u32 parts_kept = FETCH_PARTITIONS_MAX + 2; /* for the heads that follow */
        u32 parts_left = PARTS_MAX - MIN(c->part_count + parts_kept, (u32)PARTS_MAX);
        count = MIN(count, parts_left / 2);
    }
    u8 *head = out_take(c, 30);
    struct writer w = writer_of(head, 30);
    write_be32(&w, partition);
    write_be16(&w, 0);
    write_be64(&w, end);
    write_be64(&w, end);
    write_be32(&w, UINT32_MAX); /* no aborted transactions */
    write_be32(&w, (u32)(count * kept_bytes));
    for (u32 i = 0; i < count; i++) {
        store_be64(out_take(c, 8), offset + (u64)i * kept_records);
        part_add(c, kept + 8, kept_bytes - 8);
    }
    return count * kept_bytes;
}

static bool fetch(struct connection *c, struct reader *r, struct topic_head *t)
{
    read_be32(r); /* replica */
    read_be32(r); /* wait */
    read_be32(r); /* bytes at least */
    size_t left = read_be32(r);
    read_u8(r); /* isolation */
    if (!topic_read(r, t) || t->partitions > FETCH_PARTITIONS_MAX) {
        return false;
    }
    u8 *begin = c->out + c->out_len;
    struct writer w = writer_of(begin, 64 + t->name.len);
    write_be32(&w, 0);
    write_be32(&w, t->correlation);
    write_be32(&w, 0); /* throttle */
    write_topic(&w, t);
    size_t total = w.len - 4;
    out_take(c, w.len);
    for (u32 i = 0; i < t->partitions; i++) {
        u32 partition = read_be32(r);
        u64 offset = read_be64(r);
        size_t bytes_max = read_be32(r);
        if (r->failed || partition >= PARTITIONS_MAX) {
            return false;
        }
        size_t bytes = left == 0 ? 0 : fetch_partition(c, partition, offset, MIN(bytes_max, left));
        if (left == 0) {
            fetch_partition(c, partition, UINT64_MAX, 0);
        }
        left -= MIN(bytes, left);
        total += 30 + bytes;
    }
    store_be32(begin, (u32)total);
    return true;
}

static bool handle(struct connection *c, struct slice request)
{
    struct reader r = reader_of(request);
    u16 api = read_be16(&r);
    u16 version = read_be16(&r);
    struct topic_head t = {.correlation = read_be32(&r)};
    u16 client_id = read_be16(&r);
    (void)read_bytes(&r, client_id == UINT16_MAX ? 0 : client_id);
    if (api == API_produce && version == 7) {
        return produce(c, &r, &t);
    }
    if (api == API_fetch && version == 4) {
        return fetch(c, &r, &t);
    }
    return api == API_list_offsets && version == 1 && list_offsets(c, &r, &t);
}

/* Every whole request in the buffer, as far as their answers can be sent. False: close it. */
static bool handle_all(struct connection *c)
{
    size_t at = 0;
    while (c->in_len - at >= 4) {
        size_t bytes = load_be32(c->in + at) + 4;
        if (bytes > IN_BYTES_MAX) {
            return false;
        }
        if (c->in_len - at < bytes) {
            if (bytes > c->in_cap) {
                c->in_cap = bytes;
                c->in = mem_resize(c->in, c->in_cap);
            }
            break;
        }
        if (!has_room(c, OUT_BYTES / 2, PARTS_MAX / 2)) {
            if (!flush(c)) {
                return false;
            }
            if (is_sending(c)) {
                break;
            }
        }
        if (!handle(c, slice_of(c->in + at + 4, bytes - 4))) {
            return false;
        }
        at += bytes;
    }
    c->in_len -= at;
    memmove(c->in, c->in + at, c->in_len);
    return flush(c);
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool pull(struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    c->in_len += (size_t)n;
    return handle_all(c);
}

static void take_connection(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct connection *c = mem_alloc(sizeof *c);
    c->fd = fd;
    c->in_cap = IN_BYTES;
    c->in = mem_alloc(c->in_cap);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static void drop(struct connection *c)
{
    close(c->fd);
    mem_free(c->in);
    mem_free(c);
}

static int listen_on(u16 port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0) {
        die("listen");
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: odradek-null-broker PORT, see the top of bench/null_broker.c\n");
        return 2;
    }
    int listener = listen_on((u16)strtol(argv[1], NULL, 10));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, (int)ARRAY_LEN(events), -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                take_connection(listener);
                continue;
            }
            /* What was received before its answer could not be sent is handled first. */
            bool lives = c->polling_out ? flush(c) && (is_sending(c) || handle_all(c)) : pull(c);
            if (!lives) {
                drop(c);
            }
        }
    }
}
