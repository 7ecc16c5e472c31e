/* A small client of the Kafka protocol on our own codec, for everything that is a question or a
   change and no stream of records: one connection to the first address of the list that answers
   (others are named on stderr), one request at a time, the newest version both sides speak. What it
   decodes lives in the command's arena. */
#pragma once

#include "cli/cli.h"
#include "wire/wire.h"

struct kafka;
/* The three lines of a problem that has not been told. */
struct kafka_trouble {
    int code; /* exit code */
    const char *what;
    const char *why;
    const char *next;
};
/* NULL: *trouble says why. */
struct kafka *kafka_try(const struct cli_args *a, struct kafka_trouble *trouble);
/* NULL: told why; *code is the exit code. */
struct kafka *kafka_open(const struct cli_args *a, int *code);
void kafka_close(struct kafka *k); /* NULL is allowed */
const struct cli_args *kafka_args(const struct kafka *k);

/* Asks and waits for the answer: fills *response, the struct of the API. The version is the newest
   both sides know, but at most version_max. Returns an exit code; not CLI_OK: told why. */
MUST_USE int kafka_ask(struct kafka *k, enum api_key key, i16 version_max, const void *request,
                       void *response);
bool kafka_has(const struct kafka *k, enum api_key key);

/* ---- questions that several commands ask ---- */

/* One topic, or all of them (name NULL). An unknown topic is CLI_NOT_FOUND, and the name nearest to
   it is told. */
MUST_USE int kafka_topics(struct kafka *k, const char *name, struct metadata_response *out);
/* A topic to be written to: where the broker makes topics that are missing, it does. */
MUST_USE int kafka_topic_for_writing(struct kafka *k, const char *name);
/* Offsets of every partition of a topic. which: KAFKA_START, KAFKA_END, or a time in ms (-1 in the
   answer: no record is that young). offsets has room for count. */
enum { KAFKA_END = -1, KAFKA_START = -2 };
MUST_USE int kafka_offsets(struct kafka *k, struct slice topic, i64 which, i64 *offsets, u32 count);
/* The same for one partition. */
MUST_USE int kafka_offset(struct kafka *k, struct slice topic, i32 partition, i64 which,
                          i64 *offset);
/* The time of the record at this offset, or of the first one behind it; -1: there is none now. */
MUST_USE int kafka_record_time(struct kafka *k, struct slice topic, i32 partition, i64 offset,
                               i64 *time_ms);
