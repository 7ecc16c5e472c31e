/* librdkafka, loaded at first use (rdkafka.c): the broker process never pays for it. Functions are
   called through the table: rd->rd_kafka_new(...). */
#pragma once

#include <librdkafka/rdkafka.h>

#include "cli/cli.h"

struct rdkafka {
#define RD(name) __typeof__(&name) name;
#include "cli/rdkafka.def"
#undef RD
};
/* NULL when the library is not there: the reason and the package's name have been printed. */
const struct rdkafka *rdkafka_load(void);

/* Called for every record of a producer, in rd_kafka_poll and rd_kafka_flush. */
typedef void (*rdkafka_delivered)(rd_kafka_t *client, const rd_kafka_message_t *message,
                                  void *opaque);

/* A client of args->brokers; settings are pairs of key and value, closed by NULL. NULL: told
   why. */
rd_kafka_t *rdkafka_client_with(const struct rdkafka *rd, rd_kafka_type_t type,
                                const struct cli_args *args, rdkafka_delivered delivered,
                                void *opaque, ...) __attribute__((sentinel));
#define rdkafka_client(rd, type, args, ...) \
    rdkafka_client_with(rd, type, args, NULL, NULL, __VA_ARGS__)

/* What --compression and --acks say, or the default; false: it is nothing the library knows, and
   that was told. */
bool rdkafka_codec(const struct cli_args *a, const char **codec);
bool rdkafka_acks(const struct cli_args *a, const char **acks);
/* Says in three lines why a call failed, and returns the exit code that goes with it. */
int rdkafka_failed(const struct rdkafka *rd, const struct cli_args *args, const char *what,
                   rd_kafka_resp_err_t err);

enum { RDKAFKA_TIMEOUT_MS = 10000 };
