/* The HTTP port by itself: a thread that answers, asked over real sockets, and this test in the
   place of the loop. What comes back for every kind of request; that a question is asked once for
   all who wait; that facts which never come, requests which never end and readers who never read
   are not waited for; that it stops whatever is under way; that a library which is not there is
   told. */
#include "../unit.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUESTION_SMALL, QUESTION_LARGE };
static const struct http_page pages[] = {
    {"/small", "a small page", QUESTION_SMALL},
    {"/alias", NULL, QUESTION_SMALL},
    {"/large", "a large page", QUESTION_LARGE},
};

/* What the other thread and this one share. */
struct place {
    struct http *http;
    u16 port;
    pthread_mutex_t lock;
    pthread_cond_t rang;
    u32 rings; /* under the lock */
    atomic_uint rendered;
    atomic_int forgotten;
    size_t large_bytes;
};

static void asked(void *user)
{
    struct place *p = user;
    pthread_mutex_lock(&p->lock);
    p->rings++;
    pthread_cond_signal(&p->rang);
    pthread_mutex_unlock(&p->lock);
}

struct facts {
    struct place *place;
    char word[16];
};

static void render(void *user, const struct http_page *page, bool verbose, const void *facts,
                   enum http_silence silence, struct http_text *out)
{
    struct place *p = user;
    const struct facts *f = facts;
    char text[128];
    p->rendered++;
    if (f == NULL) {
        out->status = 503;
        snprintf(text, sizeof text, "silence %d\n", silence);
    } else {
        snprintf(text, sizeof text, "%s %s%s\n", page->path, f->word, verbose ? " verbose" : "");
    }
    out->len = strlen(text);
    if (f != NULL && page->question == QUESTION_LARGE) {
        out->bytes = mem_alloc(p->large_bytes);
        memset(out->bytes, 'x', p->large_bytes);
        out->len = p->large_bytes;
        return;
    }
    out->bytes = mem_strndup(slice_of(text, out->len));
}

static void forget(void *facts)
{
    struct facts *f = facts;
    f->place->forgotten++;
    mem_free(f);
}

static void place_create(struct place *p, bool load_now, u32 read_ms, u32 ask_ms, u32 send_ms)
{
    alarm(120);
    *p = (struct place){.large_bytes = 100};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->rang, NULL);
    struct http_params params = {
        .host = "127.0.0.1",
        .load_now = load_now,
        .read_ms = read_ms,
        .ask_ms = ask_ms,
        .send_ms = send_ms,
        .pages = pages,
        .page_count = ARRAY_LEN(pages),
        .user = p,
        .asked = asked,
        .render = render,
        .forget = forget,
    };
    char reason[256] = "";
    err_t e = http_create(&params, reason, sizeof reason, &p->http);
    if (e != OK) {
        fail_msg("%s", reason);
    }
    struct http_address at;
    http_address(p->http, &at);
    p->port = at.port;
}

static void place_open(struct place *p, u32 read_ms, u32 ask_ms, u32 send_ms)
{
    place_create(p, true, read_ms, ask_ms, send_ms);
}

static void place_close(struct place *p)
{
    http_destroy(p->http);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->rang);
    alarm(0);
}

/* Waits until a question can be taken. */
static u32 place_take(struct place *p)
{
    for (;;) {
        i32 question = http_take(p->http);
        if (question >= 0) {
            return (u32)question;
        }
        pthread_mutex_lock(&p->lock);
        while (p->rings == 0) {
            pthread_cond_wait(&p->rang, &p->lock);
        }
        p->rings = 0;
        pthread_mutex_unlock(&p->lock);
    }
}

static void place_give(struct place *p, u32 question, const char *word)
{
    struct facts *f = mem_alloc(sizeof *f);
    f->place = p;
    snprintf(f->word, sizeof f->word, "%s", word);
    http_give(p->http, question, f);
}

static int dial(const struct place *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(p->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int ask(const struct place *p, const char *request)
{
    int fd = dial(p);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fd;
}

static char answer[8192];

/* The whole answer, up to the end of the stream. */
static const char *hear(int fd)
{
    size_t have = 0;
    ssize_t got;
    while (have < sizeof answer - 1 &&
           (got = recv(fd, answer + have, sizeof answer - 1 - have, 0)) > 0) {
        have += (size_t)got;
    }
    answer[have] = 0;
    close(fd);
    return answer;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HAS(text, word)                                   \
    do {                                                  \
        if (strstr((text), (word)) == NULL) {             \
            fail_msg("no \"%s\" in: %s", (word), (text)); \
        }                                                 \
    } while (0)

static void a_page_is_what_the_loop_said(void **state)
{
    struct place p;
    place_open(&p, 0, 0, 0);
    HAS(hear(ask(&p, GET("/small"))), "503 ");
    HAS(answer, "silence 0"); /* not open yet */
    http_open(p.http);
    int fd = ask(&p, GET("/small"));
    u32 question = place_take(&p);
    assert_int_equal(question, QUESTION_SMALL);
    assert_int_equal(http_take(p.http), -1); /* once */
    place_give(&p, question, "fact");
    HAS(hear(fd), "HTTP/1.1 200 OK\r\n");
    HAS(answer, "\r\n\r\n/small fact\n");
    HAS(answer, "Connection: close");
    HAS(answer, "Content-Type: text/plain; charset=utf-8");
    fd = ask(&p, "HEAD /alias?verbose HTTP/1.0\r\n\r\n");
    place_give(&p, place_take(&p), "fact");
    HAS(hear(fd), "200 OK");
    HAS(answer, "Content-Length: 20"); /* "/alias fact verbose\n" */
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    assert_int_equal(p.forgotten, 2);
    place_close(&p);
}

static void requests_that_need_no_facts(void **state)
{
    static const struct {
        const char *request;
        const char *status;
        const char *word;
    } rows[] = {
        {GET("/"), "200 OK", "<a href=\"/small\">/small</a> a small page"},
        {GET("http://localhost/"), "200 OK", "a large page"},
        {GET("/nothing"), "404 Not Found", "no such page: / lists those there are (ODK-1112)"},
        {GET("/small/"), "404 Not Found", ""},
        {GET("/../small"), "404 Not Found", ""},
        {GET("/%73mall"), "404 Not Found", ""},
        {GET("/small%00"), "404 Not Found", ""},
        {"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
         "405 Method Not Allowed", "Allow: GET, HEAD"},
        {"BREW /small HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed",
         "GET and HEAD (ODK-1113)"},
        {"GET /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
         "400 Bad Request", "no body"},
        {"GET /small HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "400 Bad Request", "no body"},
        {"GET /small HTTP/1.1\r\nHost: rebound.example\r\n\r\n", "421 Misdirected Request",
         "localhost (ODK-1114)"},
        {"GET /small HTTP/1.1\r\n\r\n", "400 Bad Request", "its host (ODK-1113)"},
    };
    struct place p;
    place_open(&p, 0, 0, 0);
    http_open(p.http);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        HAS(hear(ask(&p, rows[i].request)), rows[i].status);
        HAS(answer, rows[i].word);
    }
    assert_int_equal(p.rendered, 0);
    assert_int_equal(http_take(p.http), -1);
    place_close(&p);
}

/* Asks for it without the library having told anybody yet: until the question is taken, all join.
 */
static void all_who_wait_share_one_answer(void **state)
{
    enum { ASKERS = 5 };
    struct place p;
    place_open(&p, 0, 0, 0);
    http_open(p.http);
    int first = ask(&p, GET("/small"));
    u32 question = place_take(&p);
    /* These come while it is under way: they are not given what may be older than they are. */
    int fds[ASKERS];
    u64 before = __atomic_load_n(&metric_slots[METRIC_http_requests_total], __ATOMIC_RELAXED);
    for (u32 i = 0; i < ASKERS; i++) {
        fds[i] = ask(&p, i == 0 ? GET("/small?verbose") : GET("/small"));
    }
    while (__atomic_load_n(&metric_slots[METRIC_http_requests_total], __ATOMIC_RELAXED) <
           before + ASKERS) {
        usleep(1000);
    }
    place_give(&p, question, "old");
    HAS(hear(first), "/small old\n");
    question = place_take(&p);
    place_give(&p, question, "new");
    for (u32 i = 0; i < ASKERS; i++) {
        HAS(hear(fds[i]), i == 0 ? "/small new verbose\n" : "/small new\n");
    }
    assert_int_equal(p.rendered, 3); /* old, new, new verbose */
    assert_int_equal(p.forgotten, 2);
    assert_int_equal(http_take(p.http), -1);
    place_close(&p);
}

static void facts_that_do_not_come_are_not_waited_for(void **state)
{
    struct place p;
    place_open(&p, 0, 50, 0);
    http_open(p.http);
    int fd = ask(&p, GET("/small"));
    u32 question = place_take(&p);
    HAS(hear(fd), "503 ");
    HAS(answer, "silence 1");
    place_give(&p, question, "late"); /* nobody is there any more */
    fd = ask(&p, GET("/large"));
    HAS(hear(fd), "silence 1"); /* not even taken */
    place_close(&p);
    assert_int_equal(p.forgotten, 1);
}

static void a_request_that_does_not_end_is_cut_off(void **state)
{
    struct place p;
    place_open(&p, 100, 0, 0);
    http_open(p.http);
    int silent = dial(&p);
    int slow = ask(&p, "GET /small HTTP/1.1\r\nHost: local");
    assert_string_equal(hear(silent), "");
    assert_string_equal(hear(slow), "");
    place_close(&p);
}

/* More than a socket's buffers hold; the reader never reads. */
static void a_reader_that_does_not_read_is_cut_off(void **state)
{
    struct place p;
    place_open(&p, 0, 0, 200);
    p.large_bytes = 32 * MIB;
    http_open(p.http);
    int fd = dial(&p);
    int small = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    assert_int_equal(send(fd, GET("/large"), sizeof GET("/large") - 1, 0),
                     sizeof GET("/large") - 1);
    place_give(&p, place_take(&p), "fact");
    u64 before = __atomic_load_n(&metric_slots[METRIC_http_refused_total], __ATOMIC_RELAXED);
    while (__atomic_load_n(&metric_slots[METRIC_http_refused_total], __ATOMIC_RELAXED) == before) {
        usleep(1000);
    }
    /* Others are served meanwhile and after. */
    int other = ask(&p, GET("/small"));
    place_give(&p, place_take(&p), "fact");
    HAS(hear(other), "/small fact\n");
    close(fd);
    place_close(&p);
}

/* 64 MiB on their way to readers who do not read: the next one is told to come back. */
static void answers_on_their_way_are_bounded(void **state)
{
    enum { READERS = 3 };
    struct place p;
    place_open(&p, 0, 0, 0);
    p.large_bytes = 30 * MIB;
    http_open(p.http);
    int fds[READERS];
    for (u32 i = 0; i < READERS; i++) {
        fds[i] = ask(&p, GET("/large"));
        place_give(&p, place_take(&p), "fact");
        char byte;
        assert_int_equal(recv(fds[i], &byte, 1, 0), 1);
    }
    int more = ask(&p, GET("/large"));
    place_give(&p, place_take(&p), "fact");
    HAS(hear(more), "503 ");
    HAS(answer, "Retry-After: 5");
    for (u32 i = 0; i < READERS; i++) {
        close(fds[i]);
    }
    place_close(&p);
}

static void it_stops_whatever_is_under_way(void **state)
{
    struct place p;
    place_open(&p, 0, 0, 0);
    place_close(&p); /* nobody ever came */
    place_open(&p, 0, 0, 0);
    http_open(p.http);
    int half = ask(&p, "GET /sm");
    int asked_for = ask(&p, GET("/small"));
    u32 question = place_take(&p);
    int joins = ask(&p, GET("/small"));
    int given = ask(&p, GET("/large"));
    place_give(&p, place_take(&p), "fact");
    (void)question; /* taken, and never given */
    place_close(&p);
    close(half);
    close(asked_for);
    close(joins);
    close(given);
}

/* The library is looked for where LD_LIBRARY_PATH says, which a process reads when it begins: this
   program runs itself again, with a path to a file of that name that is none. */
static const char *self;

static int without_library(void)
{
    struct place p;
    place_create(&p, false, 0, 0, 0);
    http_open(p.http);
    char reason[256];
    for (u32 i = 0; i < 2; i++) { /* it is looked for every time, and said every time */
        hear(ask(&p, GET("/small")));
        if (strstr(answer, "503 ") == NULL || strstr(answer, "libmicrohttpd12") == NULL) {
            fprintf(stderr, "answered: %s\n", answer);
            return 1;
        }
        pthread_mutex_lock(&p.lock);
        u32 rings = p.rings;
        pthread_mutex_unlock(&p.lock);
        if (!http_trouble(p.http, reason, sizeof reason) ||
            http_trouble(p.http, reason, sizeof reason) || rings <= i ||
            strstr(reason, "apt-get install libmicrohttpd12") == NULL) {
            fprintf(stderr, "said: %s\n", reason);
            return 1;
        }
    }
    place_close(&p);
    struct http_params params = {.host = "127.0.0.1", .load_now = true};
    struct http *http = NULL;
    err_t e = http_create(&params, reason, sizeof reason, &http);
    bool told = strstr(reason, "apt-get install libmicrohttpd12") != NULL;
    return e == ERR_UNSUPPORTED && http == NULL && told ? 0 : 1;
}

static void a_library_that_is_not_there_is_told(void **state)
{
    char folder[] = "/tmp/odradek-http-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/libmicrohttpd.so.12", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("no library\n", file);
    fclose(file);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("LD_LIBRARY_PATH", folder, 1);
        execl("/proc/self/exe", self, "without-library", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(path);
    rmdir(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_taken_port_is_refused(void **state)
{
    struct place p;
    place_open(&p, 0, 0, 0);
    struct http_params params = {.host = "127.0.0.1", .port = p.port};
    char reason[256];
    struct http *second = NULL;
    assert_int_equal(http_create(&params, reason, sizeof reason, &second), ERR_ADDRESS);
    assert_null(second);
    HAS(reason, "Address already in use");
    place_close(&p);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 2 && strcmp(argv[1], "without-library") == 0) {
        return without_library();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_what_the_loop_said),
        cmocka_unit_test(requests_that_need_no_facts),
        cmocka_unit_test(all_who_wait_share_one_answer),
        cmocka_unit_test(facts_that_do_not_come_are_not_waited_for),
        cmocka_unit_test(a_request_that_does_not_end_is_cut_off),
        cmocka_unit_test(a_reader_that_does_not_read_is_cut_off),
        cmocka_unit_test(answers_on_their_way_are_bounded),
        cmocka_unit_test(it_stops_whatever_is_under_way),
        cmocka_unit_test(a_library_that_is_not_there_is_told),
        cmocka_unit_test(a_taken_port_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
