/* A loop without a machine behind it: time moves when the test says so, there are no files and no
   sockets. Turns, timers and hooks are the real ones of io/loop.c. */
#pragma once

#include "io/io.h"

struct io *fake_io_create(void);
void fake_io_forget(struct io *io); /* work that was not begun: who wanted it is gone */
void fake_io_advance(struct io *io, u64 ns);
void fake_io_jump_wall(struct io *io, i64 ms);
u64 fake_io_timers(const struct io *io); /* running */
