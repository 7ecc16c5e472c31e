/* What the service manager (systemd, Type=notify) is told of this process: that it is ready, what
   it does, that it stops; and the watchdog's sign of life, from a timer of the loop, so that a loop
   that is stuck gives none. serve.c owns it. Without a manager nothing of it does anything. */
#pragma once

#include "broker/broker.h"

struct notify {
    struct broker *broker;
    struct io *io;
    struct io_timer timer; /* runs only when the manager watches */
    u64 period_ns;
    bool told; /* a failure, once */
};

/* The broker listens. Starts the sign of life. */
void notify_ready(struct notify *n, struct io *io, struct broker *b);
/* Around reading the configuration again. */
void notify_reloading(struct notify *n);
void notify_reloaded(struct notify *n);
void notify_stopping(struct notify *n);
/* Before the io is gone. */
void notify_stop(struct notify *n);
