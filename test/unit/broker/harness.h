/* A real broker on a real loop, disk and sockets, inside the test: what the tests of src/broker
   stand on.

   The test and the broker share one thread. Whatever waits for the broker (harness_turn and
   everything built on it: client_recv, client_call, ...) turns the broker's loop meanwhile, so a
   test is a straight line of requests and answers. Client sockets are raw: tests send any bytes
   they like, also at pieces, and read when they like. Requests are built and answers parsed with
   wire/api.h.

   Time is the machine's plus what harness_skip_ms added, so that stalls and time-outs cost no
   waiting.

   Answers are decoded into the harness's arena and live until harness_fini, which also checks that
   the broker holds nothing any more once its clients are gone. */
#pragma once

#include "../unit.h"
#include "broker/server.h"
#include "io/io.h"

struct harness {
    struct io *io;
    struct config *config;
    struct broker *broker; /* NULL: not running */
    struct arena arena;
    struct list clients;
    struct list batches; /* builders whose bytes are in use */
    char directory[64];
    struct io_address address;
    u64 memory_bytes;
    bool stopped;
    err_t stop_result;
    struct io_timer tick;
};

/* 64 MiB of memory and a fresh directory; harness_start has to follow. */
void harness_init(struct harness *h);
void harness_set(struct harness *h, const char *key,
                 const char *value); /* broker configuration, before start */
void harness_start(struct harness *h);
/* init and start. */
void harness_up(struct harness *h);
void harness_stop(struct harness *h); /* drains and seals, as SIGTERM does */
void harness_crash(
    struct harness *h); /* as kill -9 does, at a moment without I/O under way: no drain, no seal */
/* Stops what runs, checks for leaks, removes the directory. */
void harness_fini(struct harness *h);

void harness_remove(const char *path); /* a directory and all in it */

void harness_turn(struct harness *h); /* one turn of the loop, sleeping at most 20 ms */
void harness_turns(struct harness *h, u32 count);
void harness_skip_ms(struct harness *h, i64 ms);      /* both clocks go forward */
void harness_skip_wall_ms(struct harness *h, i64 ms); /* only the wall clock */
i64 harness_wall_ms(struct harness *h);

/* The diagnostic lines since harness_init hold this text. */
bool harness_said(const char *text);

/* ---- clients
 * ------------------------------------------------------------------------------------- */

struct client {
    struct list_node node;
    struct harness *h;
    int fd;
    i32 next_correlation_id;
    u8 *buffer; /* received and not yet taken: [start, start + len) */
    size_t start;
    size_t len;
    size_t cap;
    bool ended; /* the broker closed */
};

struct client *client_open(struct harness *h);
struct client *client_open_from(struct harness *h, const char *address); /* 127.x.x.x */
/* With a receive window as small as the kernel allows: the broker soon cannot send any more. */
struct client *client_open_narrow(struct harness *h);
void client_close(struct client *c);
void client_reset(struct client *c); /* RST instead of FIN */
void client_shut(struct client *c);  /* no more from us; answers are still read */

void client_send_bytes(struct client *c, const void *bytes, size_t len);
/* As much as the kernel takes without the broker reading; how much. */
size_t client_send_some(struct client *c, const void *bytes, size_t len);
/* Returns the correlation id. */
i32 client_send(struct client *c, i16 key, i16 version, const void *request);
/* A body that is no message of ours, behind a good header. */
i32 client_send_body(struct client *c, i16 key, i16 version, struct slice body);

/* The next frame, without its length; lives in the arena. Fails the test when none comes. */
struct slice client_frame(struct client *c);
/* The next answer, which must be the one to this correlation id, decoded. */
void *client_recv(struct client *c, i16 key, i16 version, i32 correlation_id);
void *client_call(struct client *c, i16 key, i16 version, const void *request);
#define CALL(client, name, version, request) \
    ((struct name##_response *)client_call(client, API_##name, version, request))

/* The broker closes the connection, with nothing more to say. */
void client_expect_end(struct client *c);
/* Nothing comes and the connection stays open, in this many turns. */
void client_expect_silence(struct client *c);
/* The connection lives: ApiVersions is answered on it. */
void client_expect_alive(struct client *c);
/* Is a whole frame there without waiting? */
bool client_has_frame(struct client *c);
/* So many connections have a frame half received at the same time; then they are answered, and
   closed. What their receive buffers were is free. */
void harness_crowd(struct harness *h, u32 count);

/* ---- things tests do all the time
 * ------------------------------------------------------------------ */

void *harness_new(struct harness *h, const struct struct_def *def, u32 count);
#define NEW(h, name, count) ((struct name *)harness_new(h, &name##_struct, count))
struct slice harness_printf(struct harness *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
i16 version_max(i16 key);
i16 version_min(i16 key);
struct slice text(const char *s);

struct topic {
    const char *name;
    struct uuid id;
};
struct topic topic_make(struct client *c, const char *name, i32 partitions);
/* configs: "key=value" ... NULL */
struct topic topic_make_with(struct client *c, const char *name, i32 partitions,
                             const char *const *configs);
void topic_delete(struct client *c, const struct topic *t);

/* Batches live until harness_fini. Records have keys, values of value_bytes and times from now on,
 * 1 ms apart. */
struct batch_builder_options batch_idempotent(i64 producer_id, i16 epoch, i32 sequence);
struct slice batch_with(struct harness *h, const struct batch_builder_options *options, u32 records,
                        u32 value_bytes);
struct slice batch_plain(struct harness *h, u32 records);
struct slice batch_timed(struct harness *h, const struct batch_builder_options *options,
                         const i64 *times, u32 count);
u8 *batch_copy(struct harness *h, struct slice batch); /* to be spoiled */
void batch_seal(u8 *batch, size_t len);                /* a right CRC again */

struct produce_request *produce_of(struct harness *h, const struct topic *t, i32 partition,
                                   struct slice batch, i16 acks);
const struct produce_response_partition *produce_row(const struct produce_response *response,
                                                     u32 topic, u32 partition);
/* In the newest version, acks=all: the row of the answer. */
const struct produce_response_partition *produce(struct client *c, const struct topic *t,
                                                 i32 partition, struct slice batch);
i64 produce_ok(struct client *c, const struct topic *t, i32 partition,
               struct slice batch); /* its base offset */

struct fetch_wish {
    i32 partition;
    i64 offset;
    i32 partition_max_bytes; /* 0: 1 MiB */
    i32 leader_epoch;        /* 0 is an epoch: tests say -1 */
    i32 last_fetched_epoch;
};
/* A fetch of one topic, sessionless, max_wait 0, max_bytes 50 MiB: to be changed before it is sent.
 */
struct fetch_request *fetch_of(struct harness *h, const struct topic *t,
                               const struct fetch_wish *wishes, u32 count);
const struct fetch_response_partition_data *fetch_row(const struct fetch_response *response,
                                                      u32 topic, u32 partition);
const struct fetch_response_partition_data *fetch(struct client *c, const struct topic *t,
                                                  i32 partition, i64 offset);
/* Every batch in a records field is whole and good; how many records. */
u32 records_count(struct slice records);
i64 high_watermark(struct client *c, const struct topic *t, i32 partition);
i64 producer_id_new(struct client *c);
