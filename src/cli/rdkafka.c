/* Loading librdkafka, and what all client commands do with it: see rdkafka.h. */
#include "cli/rdkafka.h"

#include "cli/problem.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct rdkafka table;

static bool resolve(void *library, const char *name, void *slot)
{
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    if (symbol == NULL) {
        char what[160];
        snprintf(what, sizeof what, "librdkafka on this machine lacks %s", name);
        problem(CLI_FAILED, what, "version 2.0 or newer is needed", "apt-get install librdkafka1");
    }
    return symbol != NULL;
}

const struct rdkafka *rdkafka_load(void)
{
    if (table.rd_kafka_new != NULL) {
        return &table;
    }
    void *library = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        problem(CLI_FAILED, "reading and writing records needs librdkafka, which is not installed",
                dlerror(), "apt-get install librdkafka1   (everything else runs without it)");
        return NULL;
    }
#define RD(name)                                 \
    if (!resolve(library, #name, &table.name)) { \
        table.rd_kafka_new = NULL;               \
        return NULL;                             \
    }
#include "cli/rdkafka.def"
#undef RD
    return &table;
}

/* The library's own log would say again what our error says. */
static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

bool rdkafka_codec(const struct cli_args *a, const char **codec)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    *codec = cli_value(a, "compression");
    *codec = *codec != NULL ? *codec : "none";
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(*codec, names[i]) == 0) {
            return true;
        }
    }
    problem_of_value(a, "compression", *codec, "none, gzip, snappy, lz4 or zstd");
    return false;
}

bool rdkafka_acks(const struct cli_args *a, const char **acks)
{
    static const char *const names[] = {"all", "-1", "1", "0"};
    *acks = cli_value(a, "acks");
    *acks = *acks != NULL ? *acks : "all";
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(*acks, names[i]) == 0) {
            return true;
        }
    }
    problem_of_value(a, "acks", *acks, "all, 1 or 0");
    return false;
}

rd_kafka_t *rdkafka_client_with(const struct rdkafka *rd, rd_kafka_type_t type,
                                const struct cli_args *args, rdkafka_delivered delivered,
                                void *opaque, ...)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd->rd_kafka_conf_new();
    rd->rd_kafka_conf_set_log_cb(conf, no_log);
    rd->rd_kafka_conf_set_opaque(conf, opaque);
    if (delivered != NULL) {
        rd->rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    bool good = rd->rd_kafka_conf_set(conf, "bootstrap.servers", args->brokers, reason,
                                      sizeof reason) == RD_KAFKA_CONF_OK;
    if (good && type == RD_KAFKA_PRODUCER) { /* how large a record may be the topic decides */
        good = rd->rd_kafka_conf_set(conf, "message.max.bytes", "100000000", reason,
                                     sizeof reason) == RD_KAFKA_CONF_OK;
    }
    va_list list;
    va_start(list, opaque);
    const char *key;
    while (good && (key = va_arg(list, const char *)) != NULL) {
        const char *value = va_arg(list, const char *);
        good = rd->rd_kafka_conf_set(conf, key, value, reason, sizeof reason) == RD_KAFKA_CONF_OK;
    }
    va_end(list);
    rd_kafka_t *client = good ? rd->rd_kafka_new(type, conf, reason, sizeof reason) : NULL;
    if (client == NULL) {
        problem(CLI_USAGE, reason, NULL, NULL);
        rd->rd_kafka_conf_destroy(conf);
    }
    return client;
}

int rdkafka_failed(const struct rdkafka *rd, const struct cli_args *args, const char *what,
                   rd_kafka_resp_err_t err)
{
    const char *why =
        cli_text(args, "%s (%s)", rd->rd_kafka_err2str(err), rd->rd_kafka_err2name(err));
    switch (err) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        return problem(err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                               err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
                           ? CLI_TIMEOUT
                           : CLI_FAILED,
                       what, why,
                       cli_text(args,
                                "is a broker running at %s? start one: odradek serve; another "
                                "address: -b HOST:PORT",
                                args->brokers));
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        return problem(CLI_NOT_FOUND, what, why, "odradek topic ls   shows the topics there are");
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return problem(CLI_NOT_FOUND, what, why, "odradek topic info TOPIC   shows its partitions");
    default:
        return err > 0 ? problem_of_kafka(args, what, (i16)err, (struct slice){0})
                       : problem(CLI_FAILED, what, why, NULL);
    }
}
