/* A border for the fuzzer: no file, no kernel, no time of its own. One thread, everything happens
   in io_turn; clocks go forward only by fake_advance (and a microsecond a turn), chance is a seed.
   Sockets are pairs of buffers: the fuzzer is the peer. Files are refused: the broker stands on a
   home in memory. */
#pragma once

#include "io/io.h"

enum { FAKE_OUT_BYTES = 64 * 1024, FAKE_SOCKS_MAX = 64 };

struct io_sock {
    struct io *io;
    io_sock_fn handler;
    void *user;
    u32 wanted;
    u8 *in; /* for the broker to read: [in_at, in_len) */
    size_t in_at;
    size_t in_len;
    u8 *out; /* what it sent and the peer has not taken: out_len bytes */
    size_t out_len;
    bool accepted;
    bool ended;  /* no more from the peer */
    bool reset;  /* the peer is gone */
    bool closed; /* by the broker */
};

MUST_USE struct io *fake_io_create(u64 seed); /* io_destroy frees it, and its sockets */
void fake_advance(struct io *io, u64 ns);
/* A connection on its way to the listener; NULL: there were enough. */
struct io_sock *fake_connect(struct io *io);
void fake_give(struct io_sock *s, const u8 *bytes, size_t len);
size_t fake_take(struct io_sock *s, u8 *out, size_t len);
