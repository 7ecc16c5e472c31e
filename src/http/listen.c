/* The listening socket of the HTTP port, and who may be called by its loopback names. */
#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static err_t resolve(const char *host, u16 port, struct addrinfo **out)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
    const char *node = host[0] != 0 ? host : NULL;
    int result = getaddrinfo(node, service, &hints, out);
    if (result == EAI_NONAME) {
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
        result = getaddrinfo(node, service, &hints, out);
    }
    return result == 0 ? OK : ERR_ADDRESS;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *v6 = (const void *)address;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void bound_address(int fd, struct http_address *bound, bool *loopback)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    *bound = (struct http_address){0};
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    char service[8] = "";
    if (getnameinfo((struct sockaddr *)&address, len, bound->host, sizeof bound->host, service,
                    sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        struct slice digits = slice_cstr(service);
        for (size_t i = 0; i < digits.len; i++) {
            bound->port = (u16)(bound->port * 10 + (digits.ptr[i] - '0'));
        }
    }
    *loopback = is_loopback(&address);
}

static int socket_listen(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

err_t http_listen(const char *host, u16 port, int *fd, struct http_address *bound, bool *loopback,
                  char *reason, size_t reason_bytes)
{
    struct addrinfo *found = NULL;
    if (resolve(host, port, &found) != OK) {
        snprintf(reason, reason_bytes, "%s is no address and no name of one", host);
        return ERR_ADDRESS;
    }
    int number = 0;
    *fd = -1;
    for (const struct addrinfo *at = found; at != NULL && *fd < 0; at = at->ai_next) {
        *fd = socket_listen(at);
        number = errno;
    }
    freeaddrinfo(found);
    if (*fd < 0) {
        snprintf(reason, reason_bytes, "%s:%u: %s", host, (unsigned)port, strerror(number));
        return number == EADDRINUSE ? ERR_ADDRESS : ERR_IO;
    }
    bound_address(*fd, bound, loopback);
    return OK;
}

/* The host without its port: "[::1]:80" is "::1", "localhost:80" is "localhost". */
static struct slice host_part(const char *host)
{
    struct slice text = slice_trim(slice_cstr(host));
    if (text.len > 0 && text.ptr[0] == '[') {
        const u8 *end = memchr(text.ptr, ']', text.len);
        return end == NULL ? text : slice_of(text.ptr + 1, (size_t)(end - text.ptr) - 1);
    }
    const u8 *colon = text.len == 0 ? NULL : memchr(text.ptr, ':', text.len);
    return colon == NULL ? text : slice_of(text.ptr, (size_t)(colon - text.ptr));
}

bool http_host_is_loopback(const char *host)
{
    static const char local[] = "localhost";
    struct slice name = host_part(host);
    if (name.len == sizeof local - 1 && strncasecmp((const char *)name.ptr, local, name.len) == 0) {
        return true;
    }
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    if (name.len >= sizeof text) {
        return false;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
