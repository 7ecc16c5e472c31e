/* A page from the broker's HTTP port: see fetch.h. HTTP/1.0, so that the end of the connection is
   the end of the page. */
#include "cli/fetch.h"

#include "cli/problem.h"
#include "cli/settings.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PAGE_BYTES_MAX = 64 * 1024 * 1024 };

/* *configured: what the broker's odradek.http.listen says; NULL: it has no such key. */
static int ask_address(struct kafka *k, const char **address, const char **configured)
{
    const struct cli_args *a = kafka_args(k);
    struct metadata_request request = {0};
    struct metadata_response cluster;
    struct describe_configs_response_result configs;
    *address = NULL;
    *configured = NULL;
    int code = kafka_ask(k, API_metadata, 12, &request, &cluster);
    if (code != CLI_OK || cluster.brokers.count == 0) {
        return code;
    }
    const struct metadata_response_broker *broker = &cluster.brokers.items[0];
    code = settings_read(k, SETTINGS_BROKER, cli_text(a, "%d", broker->node_id), &configs);
    for (u32 i = 0; code == CLI_OK && i < configs.configs.count; i++) {
        const struct describe_configs_response_resource_result *c = &configs.configs.items[i];
        if (!slice_eq_cstr(c->name, "odradek.http.listen")) {
            continue;
        }
        const char *text = cli_text(a, "%.*s", (int)c->value.len, (const char *)c->value.ptr);
        const char *port = strrchr(text, ':');
        *configured = text;
        if (port != NULL && strcmp(port, ":0") != 0) {
            bool any = strncmp(text, "0.0.0.0:", 8) == 0 || text[0] == ':' ||
                       strncmp(text, "[::]:", 5) == 0;
            *address = any ? cli_text(a, "%.*s%s", (int)broker->host.len,
                                      (const char *)broker->host.ptr, port)
                           : text;
        }
    }
    return code;
}

int fetch_address(struct kafka *k, const char **address)
{
    const char *configured;
    *address = kafka_args(k)->http;
    return *address != NULL ? CLI_OK : ask_address(k, address, &configured);
}

static int connect_to(const struct cli_args *a, const char *address, const char **why)
{
    const char *colon = strrchr(address, ':');
    const char *host =
        cli_text(a, "%.*s", colon == NULL ? (int)strlen(address) : (int)(colon - address), address);
    if (host[0] == '[') {
        host = cli_text(a, "%.*s", (int)strcspn(host + 1, "]"), host + 1);
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(host, colon == NULL ? "8080" : colon + 1, &hints, &list);
    if (failed != 0) {
        *why = cli_text(a, "%s: %s", address, gai_strerror(failed));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *to = list; to != NULL && fd < 0; to = to->ai_next) {
        fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval wait = {.tv_sec = a->timeout_ms / 1000,
                               .tv_usec = a->timeout_ms % 1000 * 1000};
        bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
                    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
                    connect(fd, to->ai_addr, to->ai_addrlen) == 0;
        if (!good) {
            *why =
                cli_text(a, "%s: %s", address, strerror(errno == EINPROGRESS ? ETIMEDOUT : errno));
            if (fd >= 0) {
                close(fd);
            }
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

/* Everything until the peer closes; the caller frees *all. */
static bool read_all(int fd, u8 **all, size_t *len)
{
    size_t cap = 0;
    *len = 0;
    *all = NULL;
    for (;;) {
        if (*len == cap) {
            cap = MAX(2 * cap, (size_t)64 * 1024);
            if (cap > PAGE_BYTES_MAX) {
                errno = EFBIG;
                return false;
            }
            *all = mem_resize(*all, cap);
        }
        ssize_t got = recv(fd, *all + *len, cap - *len, 0);
        if (got == 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return false;
        }
        *len += got > 0 ? (size_t)got : 0;
    }
}

bool fetch_page(const struct cli_args *a, const char *address, const char *path, i32 *status,
                struct slice *body, const char **why)
{
    int fd = connect_to(a, address, why);
    if (fd < 0) {
        return false;
    }
    const char *request =
        cli_text(a, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address);
    size_t len = strlen(request);
    u8 *all = NULL;
    size_t got = 0;
    bool good = send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len && read_all(fd, &all, &got);
    if (!good) {
        *why = cli_text(a, "%s: %s", address, strerror(errno == EAGAIN ? ETIMEDOUT : errno));
    }
    close(fd);
    const u8 *blank = good && got > 0 ? memmem(all, got, "\r\n\r\n", 4) : NULL;
    if (good && (blank == NULL || got < 12 || memcmp(all, "HTTP/1.", 7) != 0)) {
        *why = cli_text(a, "%s does not speak HTTP", address);
        good = false;
    }
    if (good) {
        *status = (i32)strtol((const char *)all + 9, NULL, 10);
        size_t start = (size_t)(blank + 4 - all);
        *body =
            got == start ? SLICE_LIT("") : arena_copy(a->arena, slice_of(all + start, got - start));
    }
    mem_free(all);
    return good;
}

/* ---- a page that a command cannot do without ------------------------------------------------- */

static int no_address(const struct cli_args *a, const char *configured, const char *what)
{
    bool off = configured != NULL && strrchr(configured, ':') == NULL;
    return problem_coded(
        CLI_FAILED, MSG_command_needs_http,
        cli_text(a, "only the broker's HTTP port says %s, and where that is cannot be found out",
                 what),
        configured == NULL ? "the broker has no odradek.http.listen: is it an Odradek?"
        : off              ? "odradek.http.listen is off there"
              : cli_text(a, "odradek.http.listen is %s there, a free port that is not told",
                         configured),
        off ? "odradek serve --set odradek.http.listen=127.0.0.1:8080   switches it on"
            : "--http HOST:PORT names it; the broker prints it when it starts");
}

int fetch_needed(const struct cli_args *a, const char *path, const char *what, struct slice *body)
{
    const char *address = a->http;
    const char *configured = NULL;
    if (address == NULL) {
        int code;
        struct kafka *k = kafka_open(a, &code);
        code = k == NULL ? code : ask_address(k, &address, &configured);
        kafka_close(k);
        if (code != CLI_OK || address == NULL) {
            return code != CLI_OK ? code : no_address(a, configured, what);
        }
    }
    i32 status = 0;
    const char *why;
    if (!fetch_page(a, address, path, &status, body, &why)) {
        return problem_coded(
            CLI_FAILED, MSG_command_needs_http,
            cli_text(a, "only the broker's HTTP port says %s, and it cannot be reached", what), why,
            a->http != NULL ? "--http HOST:PORT names another one"
                            : "it may be for the broker's own machine only: run this there, or "
                              "widen odradek.http.listen");
    }
    if (status != 200) {
        struct slice line = slice_trim(*body);
        const u8 *end = memchr(line.ptr, '\n', line.len);
        return problem_coded(
            CLI_FAILED, MSG_command_needs_http,
            cli_text(a, "the broker's HTTP port does not say %s", what),
            cli_text(a, "http://%s%s answers with status %d: %.*s", address, path, status,
                     (int)(end != NULL ? (size_t)(end - line.ptr) : line.len),
                     (const char *)line.ptr),
            status == 503 ? "try again when it has started: odradek health" : NULL);
    }
    return CLI_OK;
}
