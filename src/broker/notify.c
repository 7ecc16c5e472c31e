/* The words of notify.h, as lines for io_notify(). */
#include "broker/notify.h"

#include "broker/server.h"

#include <stdio.h>
#include <string.h>

static void notify_send(struct notify *n, const char *lines)
{
    err_t e = io_notify(lines);
    if (e != OK && e != ERR_NOT_FOUND && !n->told) {
        n->told = true;
        diag(MSG_notify_failed, D_STR("error", err_name(e)));
    }
}

/* "Serving 127.0.0.1:9092: 3 connections, 12 of 256 MiB of buffers in use". */
static void notify_status(struct notify *n, const char *before)
{
    const struct broker *b = n->broker;
    bool v6 = strchr(b->address.host, ':') != NULL;
    char lines[256];
    snprintf(lines, sizeof lines,
             "%s\nSTATUS=Serving %s%s%s:%u: %u connections, %llu of %llu MiB of buffers in use",
             before, v6 ? "[" : "", b->address.host, v6 ? "]" : "", b->address.port, b->conn_count,
             (unsigned long long)(b->memory.root.used / MIB),
             (unsigned long long)(b->memory.root.cap / MIB));
    notify_send(n, lines);
}

static void watchdog_fired(struct io_timer *t)
{
    struct notify *n = CONTAINER_OF(t, struct notify, timer);
    notify_status(n, "WATCHDOG=1");
    io_timer_start(n->io, t, io_now_ns(n->io) + n->period_ns);
}

void notify_ready(struct notify *n, struct io *io, struct broker *b)
{
    n->io = io;
    n->broker = b;
    n->timer.fired = watchdog_fired;
    /* Twice in the time allowed, as sd_watchdog_enabled(3) advises. */
    n->period_ns = io_notify_watchdog_ns() / 2;
    notify_status(n, "READY=1");
    if (n->period_ns != 0) {
        io_timer_start(io, &n->timer, io_now_ns(io) + n->period_ns);
    }
}

void notify_reloading(struct notify *n)
{
    char lines[128];
    snprintf(lines, sizeof lines,
             "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading the configuration again",
             (unsigned long long)(io_clock_ns() / 1000));
    notify_send(n, lines);
}

void notify_reloaded(struct notify *n)
{
    notify_status(n, "READY=1");
}

void notify_stopping(struct notify *n)
{
    notify_send(n, "STOPPING=1\nSTATUS=Answering what is in flight, sealing the log");
}

void notify_stop(struct notify *n)
{
    if (n->io != NULL) {
        io_timer_stop(n->io, &n->timer);
    }
}
