/* odradek tail: prints records as they come, one value per line, by assignment (no group is
   made). */
#include "cli/commands.h"
#include "cli/rdkafka.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tail {
    const struct rdkafka *rd;
    const struct cli_args *args;
    rd_kafka_t *client;
    const char *topic;
    i32 only_partition; /* -1: all */
    i64 from;           /* an offset, or RD_KAFKA_OFFSET_BEGINNING / _END */
    i64 count_max;      /* -1: no end */
    bool until_end;
    bool keys;
    i64 *ends; /* where each partition ends now; -1: reached */
    int partition_count;
    int open_count; /* partitions that have not reached their end */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* Records the end of a partition; true when there is something before it to read. */
static bool partition_open(struct tail *t, i32 partition, int *code)
{
    i64 low, high;
    rd_kafka_resp_err_t err = t->rd->rd_kafka_query_watermark_offsets(
        t->client, t->topic, partition, &low, &high, RDKAFKA_TIMEOUT_MS);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        *code = rdkafka_failed(t->rd, t->args, "cannot read the offsets of a partition", err);
        return false;
    }
    i64 start = t->from == RD_KAFKA_OFFSET_BEGINNING ? low
                : t->from == RD_KAFKA_OFFSET_END     ? high
                                                     : t->from;
    t->ends[partition] = start < high ? high : -1;
    return start < high;
}

static int assign(struct tail *t)
{
    int code;
    const struct rd_kafka_metadata *m =
        rdkafka_metadata(t->rd, t->client, t->args, t->topic, &code);
    if (m == NULL) {
        return code;
    }
    t->partition_count = m->topics[0].partition_cnt;
    t->rd->rd_kafka_metadata_destroy(m);
    if (t->only_partition >= t->partition_count) {
        fprintf(stderr,
                "error: topic \"%s\" has no partition %d\nit has %d, from 0\nodradek topic info %s "
                "  shows them\n",
                t->topic, t->only_partition, t->partition_count, t->topic);
        return CLI_NOT_FOUND;
    }
    t->ends = mem_alloc((size_t)t->partition_count * sizeof *t->ends);
    rd_kafka_topic_partition_list_t *list =
        t->rd->rd_kafka_topic_partition_list_new(t->partition_count);
    for (i32 p = 0; p < t->partition_count && code == CLI_OK; p++) {
        if (t->only_partition >= 0 && p != t->only_partition) {
            continue;
        }
        t->rd->rd_kafka_topic_partition_list_add(list, t->topic, p)->offset = t->from;
        if (t->until_end) {
            t->open_count += partition_open(t, p, &code);
        }
    }
    if (code == CLI_OK) {
        rd_kafka_resp_err_t err = t->rd->rd_kafka_assign(t->client, list);
        code = err == RD_KAFKA_RESP_ERR_NO_ERROR
                   ? CLI_OK
                   : rdkafka_failed(t->rd, t->args, "cannot read the topic", err);
    }
    t->rd->rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void print_record(const struct tail *t, const rd_kafka_message_t *m)
{
    if (t->keys) {
        fwrite(m->key, 1, m->key_len, stdout);
        putchar('\t');
    }
    fwrite(m->payload, 1, m->len, stdout);
    putchar('\n');
}

static bool wants_more(const struct tail *t, i64 printed)
{
    return !interrupted && (t->count_max < 0 || printed < t->count_max) &&
           (!t->until_end || t->open_count > 0);
}

static int poll_records(struct tail *t)
{
    i64 printed = 0;
    while (wants_more(t, printed)) {
        rd_kafka_message_t *m = t->rd->rd_kafka_consumer_poll(t->client, 200);
        if (m == NULL) {
            fflush(stdout);
            continue;
        }
        int code = CLI_OK;
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            print_record(t, m);
            printed++;
            if (t->until_end && t->ends[m->partition] >= 0 &&
                m->offset + 1 >= t->ends[m->partition]) {
                t->ends[m->partition] = -1;
                t->open_count--;
            }
        } else if (m->err != RD_KAFKA_RESP_ERR__TRANSPORT &&
                   m->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            code = rdkafka_failed(t->rd, t->args, "cannot read the topic", m->err);
        }
        t->rd->rd_kafka_message_destroy(m);
        if (code != CLI_OK) {
            return code;
        }
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

static bool parse_number(const char *option, const char *text, i64 *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    if (text[0] == 0 || *end != 0 || *out < 0) {
        fprintf(stderr, "error: --%s %s is not a number from 0 on\n", option, text);
        return false;
    }
    return true;
}

static bool parse_options(struct tail *t)
{
    i64 number;
    const char *text = cli_value(t->args, "partition");
    if (text != NULL) {
        if (!parse_number("partition", text, &number)) {
            return false;
        }
        t->only_partition = (i32)MIN(number, (i64)INT32_MAX);
    }
    text = cli_value(t->args, "count");
    if (text != NULL && !parse_number("count", text, &t->count_max)) {
        return false;
    }
    text = cli_value(t->args, "from");
    if (text == NULL || strcmp(text, "end") == 0) {
        t->from = RD_KAFKA_OFFSET_END;
    } else if (strcmp(text, "start") == 0) {
        t->from = RD_KAFKA_OFFSET_BEGINNING;
    } else if (!parse_number("from", text, &t->from)) {
        return false;
    }
    return true;
}

int command_tail(const struct cli_args *a)
{
    if (a->operand_count != 1) {
        fprintf(
            stderr,
            "error: odradek tail needs the name of one topic\n`odradek tail --help` explains it\n");
        return CLI_USAGE;
    }
    struct tail t = {.args = a, .topic = a->operands[0], .only_partition = -1, .count_max = -1};
    t.until_end = cli_flag(a, "until-end");
    t.keys = cli_flag(a, "keys");
    if (!parse_options(&t)) {
        return CLI_USAGE;
    }
    t.rd = rdkafka_load();
    if (t.rd == NULL) {
        return CLI_FAILED;
    }
    t.client = rdkafka_client(t.rd, RD_KAFKA_CONSUMER, a, "group.id", "odradek-tail",
                              "enable.auto.commit", "false", "allow.auto.create.topics", "false",
                              "auto.offset.reset", "earliest", "fetch.wait.max.ms", "100", NULL);
    if (t.client == NULL) {
        return CLI_FAILED;
    }
    t.rd->rd_kafka_poll_set_consumer(t.client);
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    int code = assign(&t);
    if (code == CLI_OK) {
        code = poll_records(&t);
    }
    mem_free(t.ends);
    t.rd->rd_kafka_consumer_close(t.client);
    t.rd->rd_kafka_destroy(t.client);
    return code;
}
