/* The broker seen from outside: its HTTP port with /metrics and the health pages. serve.c starts
   it before the broker, so that a long start is seen too, and ends it before the broker goes.

   monitor_open -> a question arrives (monitor_rang) -> facts are collected -> the HTTP thread makes
   text of them (page_render). Without odradek.http.listen there is no monitor. */
#pragma once

#include "broker/broker.h"

struct monitor;

/* What odradek.http.listen says. */
struct monitor_place {
    bool off;
    char host[256];
    u16 port;
};
/* false: it is neither off nor an address. */
MUST_USE bool monitor_where(const struct config *config, struct monitor_place *out);

/* Why there is no HTTP port where one was set. */
struct monitor_problem {
    enum diag_code code;
    char what[256];
    char why[300];
    const char *next;
};
/* *out NULL with OK: the port is off, or the default one was taken, and that was said. problem is
   set with every other result. */
MUST_USE err_t monitor_create(struct io *io, const struct config *config,
                              struct monitor_problem *problem, struct monitor **out);
void monitor_destroy(struct monitor *m); /* NULL is allowed; before broker_destroy */
/* The broker runs: from now on it is asked. */
void monitor_open(struct monitor *m, struct broker *b);
/* "127.0.0.1:8080". */
void monitor_address(const struct monitor *m, char *out, size_t out_bytes);
