/* odradek pub: values from the command line, or records from standard input: one per line, by a
   format, or as JSON lines. Acknowledged (acks=all, idempotent). Standard output says how many, the
   exit code whether all. */
#include "cli/commands.h"
#include "cli/kafka.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/progress.h"
#include "cli/rdkafka.h"
#include "cli/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pub {
    const struct cli_args *args;
    const struct rdkafka *rd;
    rd_kafka_t *client;
    const char *topic;
    const char *key;        /* of every record that brings none */
    const char *format;     /* of lines, or NULL */
    struct slice delimiter; /* between records; one byte */
    bool json;
    bool null_empty;
    i64 partition;                /* -1: by key, or any */
    struct record_field *headers; /* of every record */
    u32 header_count;
    u64 sent;
    u64 acknowledged;
    i64 last_partition; /* where the last acknowledged one went */
    i64 last_offset;
    rd_kafka_resp_err_t first_error;
    struct progress progress;
};

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct pub *p = opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->acknowledged++;
        p->last_partition = message->partition;
        p->last_offset = message->offset;
        progress_add(&p->progress, 1);
    } else if (p->first_error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->first_error = message->err;
    }
}

/* ---- one record ------------------------------------------------------------------------------ */

static void add_header(const struct pub *p, rd_kafka_headers_t *to, const struct record_field *h)
{
    p->rd->rd_kafka_header_add(to, (const char *)h->name.ptr, (ssize_t)h->name.len, h->value.ptr,
                               (ssize_t)h->value.len);
}

static rd_kafka_headers_t *headers_of(const struct pub *p, const struct cli_record *r)
{
    if (p->header_count + r->header_count == 0) {
        return NULL;
    }
    rd_kafka_headers_t *all = p->rd->rd_kafka_headers_new(p->header_count + r->header_count);
    for (u32 i = 0; i < p->header_count; i++) {
        add_header(p, all, &p->headers[i]);
    }
    for (u32 i = 0; i < r->header_count; i++) {
        add_header(p, all, &r->headers[i]);
    }
    return all;
}

/* Hands a record to the library, waiting while its queue is full. */
static rd_kafka_resp_err_t produce(struct pub *p, const struct cli_record *r)
{
    const struct rdkafka *rd = p->rd;
    struct slice key = r->key.ptr != NULL || p->key == NULL ? r->key : slice_cstr(p->key);
    struct slice value = p->null_empty && r->value.len == 0 ? (struct slice){0} : r->value;
    i32 partition = r->partition >= 0   ? r->partition
                    : p->partition >= 0 ? (i32)p->partition
                                        : RD_KAFKA_PARTITION_UA;
    for (;;) {
        rd_kafka_headers_t *headers = headers_of(p, r);
        rd_kafka_resp_err_t err = rd->rd_kafka_producev(
            p->client, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.ptr, value.len),
            RD_KAFKA_V_KEY(key.ptr, key.len), RD_KAFKA_V_TIMESTAMP(MAX(r->timestamp, 0)),
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

/* A line that means nothing ends it all: what came before is sent. */
static int produce_line(struct pub *p, struct arena *arena, struct slice line, u64 number)
{
    struct cli_record record = {.partition = -1, .timestamp = -1, .value = line};
    const char *why;
    bool good = p->json             ? cli_record_from_json(arena, line, &record, &why)
                : p->format != NULL ? cli_record_from_line(arena, p->format, line, &record, &why)
                                    : true;
    if (!good) {
        return problem(CLI_USAGE,
                       cli_text(p->args, "record %llu of standard input is not understood",
                                (unsigned long long)number),
                       why, "the records before it were sent");
    }
    rd_kafka_resp_err_t err = produce(p, &record);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? CLI_OK
               : rdkafka_failed(p->rd, p->args,
                                cli_text(p->args, "cannot send to topic \"%s\"", p->topic), err);
}

static int produce_input(struct pub *p)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    u64 number = 0;
    int code = CLI_OK;
    struct arena arena;
    arena_init(&arena, NULL, 16 * 1024, 0);
    int delimiter = p->delimiter.ptr[0];
    while (code == CLI_OK && (len = getdelim(&line, &cap, delimiter, stdin)) >= 0) {
        len -= len > 0 && (u8)line[len - 1] == delimiter;
        code = produce_line(p, &arena, slice_of(line, (size_t)len), ++number);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    free(line);
    return code;
}

static int produce_values(struct pub *p)
{
    int code = CLI_OK;
    struct arena *arena = p->args->arena;
    for (u32 i = 1; i < p->args->operand_count && code == CLI_OK; i++) {
        code = produce_line(p, arena, slice_cstr(p->args->operands[i]), i);
    }
    return code;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool parse_headers(struct pub *p)
{
    const struct cli_args *a = p->args;
    p->headers = arena_array(a->arena, a->value_count + 1, sizeof *p->headers);
    for (u32 i = 0; i < a->value_count; i++) {
        const struct cli_value *v = &a->values[i];
        if (strcmp(v->option, "header") != 0) {
            continue;
        }
        const char *equals = strchr(v->value, '=');
        if (equals == NULL) {
            problem_of_value(a, "header", v->value, "NAME=VALUE");
            return false;
        }
        p->headers[p->header_count++] = (struct record_field){
            slice_of(v->value, (size_t)(equals - v->value)), slice_cstr(equals + 1)};
    }
    return true;
}

static bool parse_pub(struct pub *p)
{
    const struct cli_args *a = p->args;
    if (a->operand_count == 0) {
        problem(CLI_USAGE, "odradek pub needs the name of a topic", NULL,
                "odradek help pub   explains it");
        return false;
    }
    p->topic = a->operands[0];
    p->key = cli_value(a, "key");
    p->format = cli_value(a, "format");
    p->json = cli_flag(a, "json");
    p->null_empty = cli_flag(a, "null");
    p->partition = p->last_partition = p->last_offset = -1;
    const char *text = cli_value(a, "partition");
    if (text != NULL && !parse_number(text, 0, INT32_MAX, &p->partition)) {
        problem_of_value(a, "partition", text, "the number of a partition");
        return false;
    }
    text = cli_value(a, "key-separator");
    if ((text != NULL) + (p->format != NULL) + p->json > 1) {
        problem(CLI_USAGE, "--json, --format and --key-separator exclude each other", NULL, NULL);
        return false;
    }
    if (text != NULL) {
        p->format = cli_text(a, "%%k%s%%v", text);
    }
    if (p->format != NULL && !cli_record_format_check(a, p->format)) {
        return false;
    }
    text = cli_value(a, "delimiter");
    p->delimiter = parse_escapes(a->arena, slice_cstr(text != NULL ? text : "\n"));
    if (p->delimiter.len != 1) {
        problem_of_value(a, "delimiter", text, "one byte");
        return false;
    }
    enum out_format format;
    return out_format_parse(a, &format) && parse_headers(p);
}

/* ---- the end --------------------------------------------------------------------------------- */

static int print_result(struct pub *p)
{
    static const struct column columns[] = {{"topic", "TOPIC", COLUMN_NAME},
                                            {"acknowledged", "ACKNOWLEDGED", 0},
                                            {"partition", "LAST IN", 0},
                                            {"offset", "AT", 0},
                                            {0}};
    static const struct view view = {.columns = columns};
    enum out_format format;
    if (!out_format_parse(p->args, &format)) {
        return CLI_USAGE;
    }
    if (format == OUT_TABLE) {
        printf("%llu record%s acknowledged on stable storage in topic %s\n",
               (unsigned long long)p->acknowledged, p->acknowledged == 1 ? "" : "s", p->topic);
        return CLI_OK;
    }
    struct node *one = node_object(p->args->arena);
    node_add_cstr(one, "topic", p->topic);
    node_add_number(one, "acknowledged", (i64)p->acknowledged);
    node_add_number(one, "sent", (i64)p->sent);
    node_add_number(one, "partition", p->last_partition);
    node_add_number(one, "offset", p->last_offset);
    return out_print(p->args, one, &view);
}

static int finish(struct pub *p, int code)
{
    rd_kafka_resp_err_t err = p->rd->rd_kafka_flush(p->client, 6 * RDKAFKA_TIMEOUT_MS);
    progress_end(&p->progress);
    err = p->first_error != RD_KAFKA_RESP_ERR_NO_ERROR ? p->first_error : err;
    int printed = print_result(p);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && p->acknowledged == p->sent) {
        return code != CLI_OK ? code : printed;
    }
    int lost = rdkafka_failed(p->rd, p->args,
                              cli_text(p->args,
                                       "%llu of %llu records were not acknowledged by topic \"%s\"",
                                       (unsigned long long)(p->sent - p->acknowledged),
                                       (unsigned long long)p->sent, p->topic),
                              err);
    return code != CLI_OK ? code : lost;
}

int command_pub(const struct cli_args *a)
{
    struct pub p = {.args = a};
    if (!parse_pub(&p)) {
        return CLI_USAGE;
    }
    const char *codec;
    if (!rdkafka_codec(a, &codec)) {
        return CLI_USAGE;
    }
    /* A broker or topic that is not there is told at once, not after the library's patience. */
    int code;
    struct kafka *k = kafka_open(a, &code);
    code = k == NULL ? code : kafka_topic_for_writing(k, p.topic);
    kafka_close(k);
    if (code != CLI_OK) {
        return code;
    }
    p.rd = rdkafka_load();
    if (p.rd == NULL) {
        return CLI_FAILED;
    }
    const char *patience = cli_value(a, "timeout");
    p.client = rdkafka_client_with(
        p.rd, RD_KAFKA_PRODUCER, a, delivered, &p, "enable.idempotence", "true", "linger.ms", "5",
        "compression.type", codec, "message.timeout.ms",
        patience != NULL ? cli_text(a, "%lld", (long long)a->timeout_ms) : "30000", NULL);
    if (p.client == NULL) {
        return CLI_USAGE;
    }
    progress_begin(&p.progress, "records", -1, a->operand_count == 1 && !out_is_terminal(stdin));
    code = a->operand_count == 1 ? produce_input(&p) : produce_values(&p);
    code = finish(&p, code);
    p.rd->rd_kafka_destroy(p.client);
    return code;
}
