/* odradek pub: values from the command line or one per line of standard input, acknowledged
   (acks=all, idempotent). Standard output says how many, the exit code whether all. */
#include "cli/commands.h"
#include "cli/rdkafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pub {
    const struct rdkafka *rd;
    const struct cli_args *args;
    rd_kafka_t *client;
    const char *topic;
    const char *key;
    rd_kafka_headers_t *headers;
    i32 partition;
    u64 sent;
    u64 acknowledged;
    rd_kafka_resp_err_t first_error;
};

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct pub *p = opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->acknowledged++;
    } else if (p->first_error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->first_error = message->err;
    }
}

static rd_kafka_resp_err_t produce(struct pub *p, const char *value, size_t len)
{
    const struct rdkafka *rd = p->rd;
    const char *key = p->key; /* the macros below cast what they are given as it stands */
    size_t key_bytes = key == NULL ? 0 : strlen(key);
    for (;;) {
        rd_kafka_headers_t *headers =
            p->headers == NULL ? NULL : rd->rd_kafka_headers_copy(p->headers);
        rd_kafka_resp_err_t err = rd->rd_kafka_producev(
            p->client, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_PARTITION(p->partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len), RD_KAFKA_V_KEY(key, key_bytes),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            p->sent++;
            rd->rd_kafka_poll(p->client, 0);
            return err;
        }
        if (headers != NULL) {
            rd->rd_kafka_headers_destroy(headers);
        }
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            return err;
        }
        rd->rd_kafka_poll(p->client, 100);
    }
}

static rd_kafka_resp_err_t produce_lines(struct pub *p)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    while (err == RD_KAFKA_RESP_ERR_NO_ERROR && (len = getline(&line, &cap, stdin)) >= 0) {
        err = produce(p, line, (size_t)len - (len > 0 && line[len - 1] == '\n'));
    }
    free(line);
    return err;
}

static bool add_headers(struct pub *p)
{
    for (u32 i = 0; i < p->args->value_count; i++) {
        const struct cli_value *v = &p->args->values[i];
        if (strcmp(v->option, "header") != 0) {
            continue;
        }
        const char *equals = strchr(v->value, '=');
        if (equals == NULL) {
            fprintf(stderr, "error: --header %s is not NAME=VALUE\n", v->value);
            return false;
        }
        if (p->headers == NULL) {
            p->headers = p->rd->rd_kafka_headers_new(4);
        }
        p->rd->rd_kafka_header_add(p->headers, v->value, equals - v->value, equals + 1, -1);
    }
    return true;
}

static int finish(struct pub *p, rd_kafka_resp_err_t err)
{
    rd_kafka_resp_err_t flushed = p->rd->rd_kafka_flush(p->client, 6 * RDKAFKA_TIMEOUT_MS);
    err = err != RD_KAFKA_RESP_ERR_NO_ERROR              ? err
          : p->first_error != RD_KAFKA_RESP_ERR_NO_ERROR ? p->first_error
                                                         : flushed;
    printf("%llu record%s acknowledged on stable storage in topic %s\n",
           (unsigned long long)p->acknowledged, p->acknowledged == 1 ? "" : "s", p->topic);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && p->acknowledged == p->sent) {
        return CLI_OK;
    }
    char what[320];
    snprintf(what, sizeof what, "%llu of %llu records were not acknowledged by topic \"%s\"",
             (unsigned long long)(p->sent - p->acknowledged), (unsigned long long)p->sent,
             p->topic);
    return rdkafka_failed(p->rd, p->args, what, err);
}

int command_pub(const struct cli_args *a)
{
    if (a->operand_count == 0) {
        fprintf(stderr,
                "error: odradek pub needs the name of a topic\n`odradek pub --help` explains it\n");
        return CLI_USAGE;
    }
    struct pub p = {.args = a,
                    .topic = a->operands[0],
                    .key = cli_value(a, "key"),
                    .partition = RD_KAFKA_PARTITION_UA};
    const char *partition = cli_value(a, "partition");
    if (partition != NULL) {
        char *end;
        p.partition = (i32)strtol(partition, &end, 10);
        if (partition[0] == 0 || *end != 0 || p.partition < 0) {
            fprintf(stderr, "error: --partition %s is not a partition number\n", partition);
            return CLI_USAGE;
        }
    }
    p.rd = rdkafka_load();
    if (p.rd == NULL) {
        return CLI_FAILED;
    }
    if (!add_headers(&p)) {
        return CLI_USAGE;
    }
    const char *codec = cli_value(a, "compression");
    p.client = rdkafka_client_with(
        p.rd, RD_KAFKA_PRODUCER, a, delivered, &p, "enable.idempotence", "true", "linger.ms", "5",
        "compression.type", codec != NULL ? codec : "none", "message.timeout.ms", "30000", NULL);
    if (p.client == NULL) {
        return CLI_FAILED;
    }
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (a->operand_count == 1) {
        err = produce_lines(&p);
    }
    for (u32 i = 1; i < a->operand_count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        err = produce(&p, a->operands[i], strlen(a->operands[i]));
    }
    int code = finish(&p, err);
    if (p.headers != NULL) {
        p.rd->rd_kafka_headers_destroy(p.headers);
    }
    p.rd->rd_kafka_destroy(p.client);
    return code;
}
