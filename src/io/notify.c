/* Telling the service manager (sd_notify(3), the protocol alone): one datagram of NAME=VALUE lines
   to the socket that NOTIFY_SOCKET names, a path or "@" and an abstract name. Called by
   broker/notify.c from the loop, so it never waits: a manager that does not read its socket is told
   nothing. */
#include "io/io.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static MUST_USE err_t address_of(const char *name, struct sockaddr_un *out, socklen_t *len)
{
    size_t bytes = strlen(name);
    bool abstract = name[0] == '@';
    if ((name[0] != '/' && !abstract) || bytes < 2 || bytes >= sizeof out->sun_path) {
        return ERR_INVALID;
    }
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, name, bytes);
    if (abstract) {
        out->sun_path[0] = '\0';
    }
    /* An abstract name is as long as it is said to be; a path ends with its zero. */
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + !abstract);
    return OK;
}

err_t io_notify(const char *lines)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || name[0] == '\0') {
        return ERR_NOT_FOUND;
    }
    struct sockaddr_un address;
    socklen_t address_len;
    TRY(address_of(name, &address, &address_len));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return ERR_LIMIT;
    }
    ssize_t sent = sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          address_len);
    err_t e = sent >= 0 ? OK : errno == EAGAIN ? ERR_AGAIN : ERR_CLOSED;
    close(fd);
    return e;
}

u64 io_notify_watchdog_ns(void)
{
    const char *period = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (period == NULL || period[0] < '0' || period[0] > '9' ||
        (pid != NULL && strtoull(pid, NULL, 10) != (unsigned long long)getpid())) {
        return 0;
    }
    char *end;
    unsigned long long us = strtoull(period, &end, 10);
    return *end != '\0' || us > UINT64_MAX / 1000 ? 0 : us * 1000;
}
