/* The HTTP port's thread: see http.h for what it promises.

   Until the first connection comes there is a socket that listens and a thread that sleeps. Then
   the library is loaded and takes the socket over; this thread goes on running it (MHD_run) from a
   poll of the library's epoll and of wake_fd, and is the only one that calls it.

   The life of a connection
     READING  its request comes; the handler is called when line and headers are whole
     ASKING   suspended; in `joining` of its question until that is asked, then in `asked`
     SENDING  it has a response, and is closed when that has left
   It may stay in each for so long; then READING and SENDING are cut off, ASKING is told that there
   was no answer.

   A question goes from idle to ASKED (HTTP thread), TAKEN and GIVEN (loop), and back. These states
   and the facts are under the lock; everything else is the HTTP thread's. */
#include "http/http.h"

#include "http/listen.h"
#include "http/mhd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS_NS           (1000ull * 1000)
#define TEXTS_BYTES_MAX (64 * MIB)
#define STACK_BYTES     (512 * KIB)
enum { CONNECTIONS_MAX = 64, REQUEST_BYTES_MAX = 16 * 1024 };
enum { READ_MS = 10000, ASK_MS = 15000, SEND_MS = 60000, LOOK_MS = 200, REFUSE_WAIT_MS = 1000 };

enum conn_state { CONN_READING, CONN_ASKING, CONN_SENDING };
struct http_conn {
    struct list_node node;  /* http.conns */
    struct list_node asker; /* question.joining or .asked */
    struct http *http;
    struct MHD_Connection *mhd;
    enum conn_state state;
    u64 deadline_ns;
    const struct http_page *page;
    bool verbose;
    struct reply *reply; /* to be queued when the handler is called again */
};

/* A response and who holds it: connections that have not queued it yet. */
struct reply {
    struct MHD_Response *response; /* NULL: no memory for it, the connection is closed */
    u32 status;
    u32 refs;
};

enum question_state { QUESTION_IDLE, QUESTION_ASKED, QUESTION_TAKEN, QUESTION_GIVEN };
struct question {
    struct list joining; /* connections that came after it was asked */
    struct list asked;
    enum question_state state; /* these two under the lock */
    void *facts;
};

struct http {
    struct http_params params;
    struct http_address bound;
    bool loopback;
    int listen_fd;
    int wake_fd;
    pthread_t thread;

    pthread_mutex_t lock;
    struct question questions[HTTP_QUESTIONS_MAX];
    bool open; /* these four under the lock */
    bool stopping;
    bool trouble_new;
    char trouble[256];

    const struct microhttpd *mhd; /* the HTTP thread's, as all below */
    struct MHD_Daemon *daemon;
    int daemon_fd;
    struct list conns;
    bool moved;      /* a connection came or went in the last run */
    u64 texts_bytes; /* of answers that have not left */
};

/* A text on its way out; freed by the library. */
struct sent_text {
    struct http *http;
    char *bytes;
    u64 len;
};

static u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

static void wake(struct http *h)
{
    u64 one = 1;
    ssize_t written = write(h->wake_fd, &one, sizeof one);
    assert(written == sizeof one);
}

/* ---- for the loop ---------------------------------------------------------------------------- */

void http_open(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->open = true;
    pthread_mutex_unlock(&h->lock);
}

i32 http_take(struct http *h)
{
    i32 taken = -1;
    pthread_mutex_lock(&h->lock);
    for (i32 i = 0; i < HTTP_QUESTIONS_MAX && taken < 0; i++) {
        if (h->questions[i].state == QUESTION_ASKED) {
            h->questions[i].state = QUESTION_TAKEN;
            taken = i;
        }
    }
    pthread_mutex_unlock(&h->lock);
    return taken;
}

void http_give(struct http *h, u32 question, void *facts)
{
    assert(facts != NULL);
    pthread_mutex_lock(&h->lock);
    assert(h->questions[question].state == QUESTION_TAKEN);
    h->questions[question].state = QUESTION_GIVEN;
    h->questions[question].facts = facts;
    pthread_mutex_unlock(&h->lock);
    wake(h);
}

bool http_trouble(struct http *h, char *reason, size_t reason_bytes)
{
    pthread_mutex_lock(&h->lock);
    bool there_is = h->trouble_new;
    h->trouble_new = false;
    snprintf(reason, reason_bytes, "%s", h->trouble);
    pthread_mutex_unlock(&h->lock);
    return there_is;
}

void http_address(const struct http *h, struct http_address *out)
{
    *out = h->bound;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void text_sent(void *user)
{
    struct sent_text *text = user;
    text->http->texts_bytes -= text->len;
    mem_free(text->bytes);
    mem_free(text);
}

static void reply_unref(struct http *h, struct reply *reply)
{
    reply->refs--;
    if (reply->refs == 0) {
        if (reply->response != NULL) {
            h->mhd->MHD_destroy_response(reply->response); /* what is queued keeps it */
        }
        mem_free(reply);
    }
}

static struct reply *reply_of(struct http *h, const struct http_text *from)
{
    struct reply *reply = mem_alloc(sizeof *reply);
    *reply = (struct reply){.status = from->status, .refs = 1};
    struct sent_text *text = mem_alloc(sizeof *text);
    *text = (struct sent_text){.http = h, .bytes = from->bytes, .len = from->len};
    h->texts_bytes += text->len;
    struct MHD_Response *r = h->mhd->MHD_create_response_from_buffer_with_free_callback_cls(
        from->len, from->bytes, text_sent, text);
    if (r == NULL) {
        text_sent(text);
        return reply;
    }
    const char *headers[][2] = {
        {"Content-Type", from->type != NULL ? from->type : "text/plain; charset=utf-8"},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'"},
        {"Connection", "close"},
    };
    for (u32 i = 0; i < ARRAY_LEN(headers); i++) {
        (void)h->mhd->MHD_add_response_header(r, headers[i][0], headers[i][1]);
    }
    if (from->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)h->mhd->MHD_add_response_header(r, "Allow", "GET, HEAD");
    }
    if (from->status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        (void)h->mhd->MHD_add_response_header(r, "Retry-After", "5");
    }
    reply->response = r;
    return reply;
}

static struct reply *reply_line(struct http *h, u32 status, const char *line)
{
    struct http_text text = {.len = strlen(line), .status = status};
    text.bytes = mem_strndup(slice_of(line, text.len));
    return reply_of(h, &text);
}

/* Gives the connection its reply; the library calls the handler again, which queues it. */
static void conn_answer(struct http_conn *c, struct reply *reply)
{
    assert(c->state == CONN_ASKING && c->reply == NULL);
    c->state = CONN_SENDING;
    c->deadline_ns = now_ns() + c->http->params.send_ms * MS_NS;
    c->reply = reply;
    if (list_linked(&c->asker)) {
        list_remove(&c->asker);
    }
    c->http->mhd->MHD_resume_connection(c->mhd);
}

static struct reply *reply_render(struct http *h, const struct http_page *page, bool verbose,
                                  const void *facts, enum http_silence silence)
{
    struct http_text text = {.status = MHD_HTTP_OK};
    h->params.render(h->params.user, page, verbose, facts, silence, &text);
    return reply_of(h, &text);
}

/* The list of pages, for people. */
static struct reply *reply_index(struct http *h)
{
    struct http_text text = {.status = MHD_HTTP_OK, .type = "text/html; charset=utf-8"};
    size_t bytes = 512;
    for (u32 i = 0; i < h->params.page_count; i++) {
        const struct http_page *page = &h->params.pages[i];
        bytes += page->title != NULL ? 64 + 2 * strlen(page->path) + strlen(page->title) : 0;
    }
    text.bytes = mem_alloc(bytes);
    text.len = (size_t)snprintf(text.bytes, bytes,
                                "<!doctype html><html lang=\"en\"><title>Odradek</title>"
                                "<h1>Odradek</h1>\n<ul>\n");
    for (u32 i = 0; i < h->params.page_count; i++) {
        const struct http_page *page = &h->params.pages[i];
        if (page->title != NULL) {
            text.len += (size_t)snprintf(text.bytes + text.len, bytes - text.len,
                                         "<li><a href=\"%s\">%s</a> %s</li>\n", page->path,
                                         page->path, page->title);
        }
    }
    text.len += (size_t)snprintf(text.bytes + text.len, bytes - text.len, "</ul></html>\n");
    assert(text.len < bytes);
    return reply_of(h, &text);
}

/* ---- questions ------------------------------------------------------------------------------- */

/* Asked for those who have come by now, unless it is already under way. */
static void question_ask(struct http *h, struct question *q)
{
    pthread_mutex_lock(&h->lock);
    bool asks = q->state == QUESTION_IDLE && !list_empty(&q->joining);
    if (asks) {
        q->state = QUESTION_ASKED;
        list_splice(&q->asked, &q->joining);
    }
    pthread_mutex_unlock(&h->lock);
    if (asks) {
        h->params.asked(h->params.user);
    }
}

enum { WAYS_MAX = 16 }; /* of asking one question: its pages, verbose or not */
struct ways {
    struct {
        const struct http_page *page;
        bool verbose;
        struct reply *reply;
    } made[WAYS_MAX];
    u32 count;
};

/* The reply for this way of asking: made once, shared by all who ask so. */
static struct reply *reply_shared(struct http *h, struct ways *w, const struct http_conn *c,
                                  const void *facts)
{
    for (u32 i = 0; i < w->count; i++) {
        if (w->made[i].page == c->page && w->made[i].verbose == c->verbose) {
            w->made[i].reply->refs++;
            return w->made[i].reply;
        }
    }
    if (h->texts_bytes >= TEXTS_BYTES_MAX) {
        return reply_line(h, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "too many answers are on their way: try again\n");
    }
    struct reply *reply = reply_render(h, c->page, c->verbose, facts, HTTP_NO_ANSWER);
    assert(w->count < WAYS_MAX);
    w->made[w->count].page = c->page;
    w->made[w->count].verbose = c->verbose;
    w->made[w->count].reply = reply;
    w->count++;
    reply->refs++; /* this table's own, so that nobody who leaves early takes it along */
    return reply;
}

/* The facts have come. */
static void question_answer(struct http *h, struct question *q, void *facts)
{
    struct ways ways = {.count = 0};
    while (!list_empty(&q->asked)) {
        struct http_conn *c = CONTAINER_OF(list_first(&q->asked), struct http_conn, asker);
        conn_answer(c, reply_shared(h, &ways, c, facts));
    }
    for (u32 i = 0; i < ways.count; i++) {
        reply_unref(h, ways.made[i].reply);
    }
    h->params.forget(facts);
}

static void questions_look(struct http *h)
{
    for (u32 i = 0; i < HTTP_QUESTIONS_MAX; i++) {
        struct question *q = &h->questions[i];
        pthread_mutex_lock(&h->lock);
        void *facts = q->facts;
        q->facts = NULL;
        if (q->state == QUESTION_GIVEN) {
            q->state = QUESTION_IDLE;
        }
        pthread_mutex_unlock(&h->lock);
        if (facts != NULL) {
            question_answer(h, q, facts);
        }
        question_ask(h, q);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Percent signs stay what they are: no page has one in its path, so what hides behind them
   ("/%2e%2e", "%00") is not found. */
static size_t unescape_nothing(void *user, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

/* "http://host/path" means "/path" [RFC 9112, 3.2.2]. */
static const char *path_of(const char *url)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return url;
    }
    const char *slash = strchr(url + sizeof scheme - 1, '/');
    return slash == NULL ? "/" : slash;
}

static const struct http_page *page_find(const struct http *h, const char *path)
{
    for (u32 i = 0; i < h->params.page_count; i++) {
        if (strcmp(h->params.pages[i].path, path) == 0) {
            return &h->params.pages[i];
        }
    }
    return NULL;
}

static const char *header_of(struct http_conn *c, const char *name)
{
    return c->http->mhd->MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
}

/* Codes of the catalogue that stand in the answers below. */
static_assert(MSG_http_library_missing == 1111 && MSG_http_no_page == 1112 &&
                  MSG_http_request == 1113 && MSG_http_host == 1114,
              "what an answer says is what odradek errors explains");

/* What is wrong with a request whatever page it wants: its status, 0 when nothing is. A port of the
   loopback is not for those who come by another name: a page in somebody's browser whose own name
   was made to point here (DNS rebinding). */
static u32 request_refuse(struct http_conn *c, const char *method, const char *version,
                          const char **why)
{
    const char *length = header_of(c, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *host = header_of(c, MHD_HTTP_HEADER_HOST);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *why = "this port answers GET and HEAD (ODK-1113)\n";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (header_of(c, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
        (length != NULL && strcmp(length, "0") != 0)) {
        *why = "a request here has no body (ODK-1113)\n";
        return MHD_HTTP_BAD_REQUEST;
    }
    if (host == NULL && strcmp(version, MHD_HTTP_VERSION_1_1) == 0) {
        *why = "a request of HTTP/1.1 says its host (ODK-1113)\n";
        return MHD_HTTP_BAD_REQUEST;
    }
    if (c->http->loopback && host != NULL && !http_host_is_loopback(host)) {
        *why = "this port is this machine's own: ask for localhost (ODK-1114)\n";
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    return 0;
}

/* Its response is known at once. */
static enum MHD_Result conn_queue(struct http_conn *c, struct reply *reply)
{
    if (c->state != CONN_SENDING) {
        c->state = CONN_SENDING;
        c->deadline_ns = now_ns() + c->http->params.send_ms * MS_NS;
    }
    metric_add_shared(METRIC_http_refused_total, reply->status >= 400 && reply->status < 500);
    enum MHD_Result result = MHD_NO;
    if (reply->response != NULL) {
        result = c->http->mhd->MHD_queue_response(c->mhd, reply->status, reply->response);
    }
    reply_unref(c->http, reply);
    return result;
}

static enum MHD_Result conn_ask(struct http_conn *c)
{
    struct http *h = c->http;
    pthread_mutex_lock(&h->lock);
    bool open = h->open;
    pthread_mutex_unlock(&h->lock);
    if (!open) {
        return conn_queue(c, reply_render(h, c->page, c->verbose, NULL, HTTP_STARTING));
    }
    c->state = CONN_ASKING;
    c->deadline_ns = now_ns() + h->params.ask_ms * MS_NS;
    list_push_back(&h->questions[c->page->question].joining, &c->asker);
    h->mhd->MHD_suspend_connection(c->mhd);
    return MHD_YES; /* questions_look asks */
}

static struct http_conn *conn_of(struct http *h, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        h->mhd->MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

/* The answer to a request that nobody need be asked about; NULL: the loop knows. */
static struct reply *reply_at_once(struct http_conn *c, const char *url, const char *method,
                                   const char *version)
{
    struct http *h = c->http;
    const char *why = NULL;
    u32 status = request_refuse(c, method, version, &why);
    if (status != 0) {
        return reply_line(h, status, why);
    }
    const char *path = path_of(url);
    if (strcmp(path, "/") == 0) {
        return reply_index(h);
    }
    c->page = page_find(h, path);
    return c->page != NULL ? NULL
                           : reply_line(h, MHD_HTTP_NOT_FOUND,
                                        "no such page: / lists those there are (ODK-1112)\n");
}

/* Called when line and headers are there, when all is there, and again after a resume. */
static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    struct http *h = user;
    struct http_conn *c = conn_of(h, connection);
    if (c->reply != NULL) {
        struct reply *reply = c->reply;
        c->reply = NULL;
        return conn_queue(c, reply);
    }
    if (c->state != CONN_READING) {
        return MHD_NO;
    }
    if (*request == NULL) {
        *request = c;
        metric_add_shared(METRIC_http_requests_total, 1);
        struct reply *reply = reply_at_once(c, url, method, version);
        return reply != NULL ? conn_queue(c, reply) : MHD_YES;
    }
    static const char verbose[] = "verbose";
    const char *value;
    size_t value_bytes;
    c->verbose =
        h->mhd->MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, verbose,
                                              sizeof verbose - 1, &value, &value_bytes) == MHD_YES;
    return conn_ask(c);
}

static void connection_moved(void *user, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode code)
{
    struct http *h = user;
    h->moved = true;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct http_conn *c = mem_alloc(sizeof *c);
        c->http = h;
        c->mhd = connection;
        c->state = CONN_READING;
        c->deadline_ns = now_ns() + h->params.read_ms * MS_NS;
        list_push_back(&h->conns, &c->node);
        *context = c;
        return;
    }
    struct http_conn *c = *context;
    *context = NULL;
    list_remove(&c->node);
    if (list_linked(&c->asker)) {
        list_remove(&c->asker);
    }
    if (c->reply != NULL) {
        reply_unref(h, c->reply);
    }
    mem_free(c);
}

/* Those who take too long. */
static void conns_expire(struct http *h)
{
    u64 now = now_ns();
    LIST_EACH (&h->conns, n) {
        struct http_conn *c = CONTAINER_OF(n, struct http_conn, node);
        if (now < c->deadline_ns) {
            continue;
        }
        if (c->state == CONN_ASKING) {
            conn_answer(c, reply_render(h, c->page, c->verbose, NULL, HTTP_NO_ANSWER));
            continue;
        }
        metric_add_shared(METRIC_http_refused_total, c->deadline_ns != UINT64_MAX);
        c->deadline_ns = UINT64_MAX;
        const union MHD_ConnectionInfo *info =
            h->mhd->MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        shutdown(info->connect_fd, SHUT_RDWR); /* the library finds it closed */
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* The library's own words: what a client did wrong is answered, and counted, not printed. */
static void say_nothing(void *user, const char *format, va_list arguments)
{
}

static bool daemon_start(struct http *h)
{
    h->daemon = h->mhd->MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, h,
        MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)REQUEST_BYTES_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_NOTIFY_CONNECTION,
        connection_moved, h, MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (h->daemon == NULL) {
        return false;
    }
    h->listen_fd = -1; /* the library's now */
    h->daemon_fd = h->mhd->MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return true;
}

static void trouble_tell(struct http *h, const char *reason)
{
    pthread_mutex_lock(&h->lock);
    h->trouble_new = true;
    snprintf(h->trouble, sizeof h->trouble, "%s", reason);
    pthread_mutex_unlock(&h->lock);
    h->params.asked(h->params.user);
}

/* Somebody connects and there is no library: told in so many words. */
static void refuse_one(struct http *h)
{
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        "the broker's HTTP port needs libmicrohttpd12, which is not installed (ODK-1111)\n";
    int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    struct pollfd comes = {.fd = fd, .events = POLLIN};
    char request[4096];
    (void)poll(&comes, 1, REFUSE_WAIT_MS);
    ssize_t got = recv(fd, request, sizeof request, 0);
    ssize_t sent = send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    (void)got; /* it may be gone already */
    (void)sent;
    close(fd);
}

/* The first connection waits: now the library is needed. */
static void first_connection(struct http *h)
{
    char reason[256];
    h->mhd = microhttpd_load(reason, sizeof reason);
    if (h->mhd == NULL) {
        trouble_tell(h, reason);
        refuse_one(h);
    } else if (!daemon_start(h)) {
        trouble_tell(h, "libmicrohttpd cannot be started: out of memory or descriptors");
        refuse_one(h);
    }
}

static int wait_ms(struct http *h)
{
    if (h->daemon == NULL) {
        return -1;
    }
    MHD_UNSIGNED_LONG_LONG left_ms = 0;
    int ms = list_empty(&h->conns) ? -1 : LOOK_MS;
    if (h->mhd->MHD_get_timeout(h->daemon, &left_ms) == MHD_YES && (ms < 0 || left_ms < LOOK_MS)) {
        ms = (int)MIN(left_ms, (MHD_UNSIGNED_LONG_LONG)LOOK_MS);
    }
    return ms;
}

static bool is_stopping(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    bool stopping = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return stopping;
}

/* The library does not stop while a connection is suspended. */
static void daemon_stop(struct http *h)
{
    LIST_EACH (&h->conns, n) {
        struct http_conn *c = CONTAINER_OF(n, struct http_conn, node);
        if (c->state == CONN_ASKING) {
            conn_answer(c, reply_line(h, MHD_HTTP_SERVICE_UNAVAILABLE, "the broker is stopping\n"));
        }
    }
    (void)h->mhd->MHD_run(h->daemon);
    h->mhd->MHD_stop_daemon(h->daemon);
    h->daemon = NULL;
    assert(list_empty(&h->conns));
    assert(h->texts_bytes == 0);
}

/* The library looks at its limit of connections when it begins to run: after one has gone it must
   be run once more, or those who wait to be accepted wait for ever. */
static void daemon_run(struct http *h)
{
    do {
        h->moved = false;
        (void)h->mhd->MHD_run(h->daemon);
    } while (h->moved);
}

static void *thread_main(void *arg)
{
    struct http *h = arg;
    while (!is_stopping(h)) {
        struct pollfd fds[2] = {
            {.fd = h->wake_fd, .events = POLLIN},
            {.fd = h->daemon != NULL ? h->daemon_fd : h->listen_fd, .events = POLLIN},
        };
        int ready = poll(fds, 2, wait_ms(h));
        assert(ready >= 0 || errno == EINTR);
        u64 count;
        ssize_t got = read(h->wake_fd, &count, sizeof count);
        assert(got == sizeof count || errno == EAGAIN);
        if (h->daemon == NULL && ready > 0 && fds[1].revents != 0) {
            first_connection(h);
        }
        if (h->daemon != NULL) {
            questions_look(h); /* answers first, they are what MHD_run sends */
            conns_expire(h);
            daemon_run(h);
            questions_look(h);
        }
    }
    if (h->daemon != NULL) {
        daemon_stop(h);
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int thread_start(struct http *h)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread inherits the mask */
    int result = pthread_create(&h->thread, &attr, thread_main, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return result;
}

static void http_free(struct http *h)
{
    if (h->listen_fd >= 0) {
        close(h->listen_fd);
    }
    if (h->wake_fd >= 0) {
        close(h->wake_fd);
    }
    for (u32 i = 0; i < HTTP_QUESTIONS_MAX; i++) {
        if (h->questions[i].facts != NULL) {
            h->params.forget(h->questions[i].facts);
        }
    }
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

err_t http_create(const struct http_params *params, char *reason, size_t reason_bytes,
                  struct http **out)
{
    struct http *h = mem_alloc(sizeof *h);
    h->params = *params;
    h->params.read_ms = params->read_ms != 0 ? params->read_ms : READ_MS;
    h->params.ask_ms = params->ask_ms != 0 ? params->ask_ms : ASK_MS;
    h->params.send_ms = params->send_ms != 0 ? params->send_ms : SEND_MS;
    h->listen_fd = h->wake_fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    list_init(&h->conns);
    for (u32 i = 0; i < HTTP_QUESTIONS_MAX; i++) {
        list_init(&h->questions[i].joining);
        list_init(&h->questions[i].asked);
    }
    err_t e = http_listen(params->host, params->port, &h->listen_fd, &h->bound, &h->loopback,
                          reason, reason_bytes);
    if (e == OK && params->load_now && microhttpd_load(reason, reason_bytes) == NULL) {
        e = ERR_UNSUPPORTED;
    }
    if (e == OK) {
        h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        int number = h->wake_fd < 0 ? errno : thread_start(h);
        if (number != 0) {
            snprintf(reason, reason_bytes, "the system gives no thread or descriptor: %s",
                     strerror(number));
            e = ERR_IO;
        }
    }
    if (e != OK) {
        http_free(h);
        return e;
    }
    *out = h;
    return OK;
}

void http_destroy(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_mutex_unlock(&h->lock);
    wake(h);
    pthread_join(h->thread, NULL);
    http_free(h);
}
