/* The listening socket of the HTTP port (listen.c). */
#pragma once

#include "http/http.h"

/* *loopback: only this machine can connect. */
MUST_USE err_t http_listen(const char *host, u16 port, int *fd, struct http_address *bound,
                           bool *loopback, char *reason, size_t reason_bytes);
/* Does a Host header name this machine's loopback: "localhost", "127.0.0.1:8080", "[::1]"? */
bool http_host_is_loopback(const char *host);
