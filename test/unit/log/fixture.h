/* A log on home_mem under a small deterministic loop, for the tests of log/. Writes can be held
   back and then completed in any order, refused for space, or made to fail. */
#pragma once

#include "../unit.h"

#include "log/log_private.h"

struct fixture {
    struct io *io;
    struct home *home;
    struct quota quota;
    struct log *log;
    struct log_params params;
    struct uuid cluster;
    u64 wal;         /* of the current session; 1, 2, ... */
    u64 lengths[64]; /* of the sealed ones */
    bool hold;       /* writes wait for fixture_complete */
    bool no_space;   /* writes end with ERR_NO_SPACE */
    struct home_write *held[FRAME_INFLIGHT_MAX];
    u32 held_count;
    struct {
        u64 slot;
        u32 pos;
        u8 mask;                          /* 0: no damage */
    } flip;                               /* every read of that byte finds these bits changed */
    void (*recovered)(struct fixture *f); /* called before this session's WAL starts, when set */
    /* Replaces the home's walk over a WAL when set. */
    err_t (*scan)(const struct home_wal_visitor *v, u64 *length);
    u32 reads;
    u64 read_bytes;
    u32 writes;         /* accepted by the home */
    u32 most_in_flight; /* ever held at once */
    u32 fenced_calls;
    err_t fenced_why;
    u32 unreadable_calls;
    err_t unreadable_why;
    bool unreadable_told;
    struct batch_builder builder;
    bool builder_used;
    i64 timestamp; /* of the next batch; rises by one */
};

/* params: what differs from the usual is set in f->params between the two. */
void fixture_init(struct fixture *f);
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f);
/* Destroys the log as it is, without drain, and starts the next session on what was written. */
void fixture_restart(struct fixture *f);

void turn(struct fixture *f);
void turns(struct fixture *f, u32 count);
/* Turns until nothing is under way. */
void settle(struct fixture *f);
void advance_ms(struct fixture *f, u64 ms); /* and one turn */
u64 fixture_timers(struct fixture *f);      /* running */
/* Ends the held write with that index. */
void fixture_complete(struct fixture *f, u32 index, err_t result);

struct produced {
    i64 producer_id; /* -1: none */
    i16 producer_epoch;
    i32 base_sequence;
    u32 records;
    u32 value_bytes; /* of each record */
    bool log_append_time;
};
/* A batch as a client would send it; valid until the next call. */
struct batch_view make_batch(struct fixture *f, const struct produced *what);
struct append_result append(struct fixture *f, struct partition *p, const struct produced *what);
/* One record of that size, no producer. */
struct append_result append_plain(struct fixture *f, struct partition *p, u32 value_bytes);

u64 high_watermark(const struct partition *p);
u64 end_offset(const struct partition *p);

/* The bytes of a range, from memory or through a load. Fails the test on an error. out has room. */
void range_bytes(struct fixture *f, const struct log_range *range, u8 *out);
err_t load_range(struct fixture *f, const struct log_range *range, u8 *out, u32 *bytes);
/* partition_read, with the first run read and cut where it has to be. */
err_t read_exactly(struct fixture *f, struct partition *p, struct partition_read *read);
