/* odradek cat and tail: records of one topic, by assignment (no group is made). cat reads what is
   there and ends; tail goes on as records come.

     ask where each partition begins and ends (kafka.c), choose from and to
     assign, poll, print; a partition that is through is paused
   Ends: at to, at the count, at an interrupt, or when nobody reads what is printed. */
#include "cli/commands.h"
#include "cli/kafka.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/progress.h"
#include "cli/rdkafka.h"
#include "cli/record.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 100 };

enum where_kind { WHERE_START, WHERE_END, WHERE_OFFSET, WHERE_LAST, WHERE_TIME };
struct where {
    enum where_kind kind;
    i64 value;
};
struct reading {
    const struct cli_args *args;
    const struct rdkafka *rd;
    rd_kafka_t *client;
    const char *topic;
    i64 only_partition; /* -1: all */
    struct where from;
    struct where to;
    bool bounded;  /* ends at to; otherwise goes on */
    i64 count_max; /* -1: no end */
    const char *key;
    const char *format;
    enum out_format print;
    bool keys;
    bool terminal; /* standard output is one */
    i64 *froms;
    i64 *tos;       /* of bounded reading; -1: this partition is through */
    u32 count;      /* partitions of the topic */
    u32 open_count; /* partitions that are not through */
    i64 printed;
    struct progress progress;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool parse_where(const struct cli_args *a, const char *option, const char *text,
                        struct where *out)
{
    if (strcmp(text, "start") == 0 || strcmp(text, "end") == 0) {
        out->kind = text[0] == 's' ? WHERE_START : WHERE_END;
        return true;
    }
    if (parse_number(text, 0, INT64_MAX, &out->value)) {
        out->kind = text[0] == '-' ? WHERE_LAST : WHERE_OFFSET;
        return true;
    }
    if (text[0] == '-' && parse_number(text + 1, 0, INT64_MAX, &out->value)) {
        out->kind = WHERE_LAST;
        return true;
    }
    if (parse_time(text, wall_ms(), &out->value)) {
        out->kind = WHERE_TIME;
        return true;
    }
    problem_of_value(
        a, option, text,
        "start, end, an offset, -N (the last N), or a time as -1h or 2026-11-22T10:00");
    return false;
}

static bool parse_count(const struct cli_args *a, const char *option, i64 *out)
{
    const char *text = cli_value(a, option);
    if (text == NULL || parse_number(text, 0, INT32_MAX, out)) {
        return true;
    }
    problem_of_value(a, option, text, cli_text(a, "a number from 0 to %d", INT32_MAX));
    return false;
}

static bool parse_reading(struct reading *r, bool follow)
{
    const struct cli_args *a = r->args;
    if (a->operand_count != 1) {
        problem(CLI_USAGE, cli_text(a, "odradek %s needs the name of one topic", a->words), NULL,
                cli_text(a, "odradek help %s   explains it", a->words));
        return false;
    }
    r->topic = a->operands[0];
    r->only_partition = -1;
    r->count_max = -1;
    r->bounded = !follow || cli_flag(a, "until-end");
    r->from.kind = follow ? WHERE_END : WHERE_START;
    r->to.kind = WHERE_END;
    r->key = cli_value(a, "key");
    r->format = cli_value(a, "format");
    r->keys = cli_flag(a, "keys");
    r->terminal = out_is_terminal(stdout);
    const char *from = cli_value(a, "from");
    const char *to = cli_value(a, "to");
    return parse_count(a, "partition", &r->only_partition) &&
           parse_count(a, "count", &r->count_max) &&
           (from == NULL || parse_where(a, "from", from, &r->from)) &&
           (to == NULL || parse_where(a, "to", to, &r->to)) &&
           (r->format == NULL || cli_record_format_check(a, r->format)) &&
           out_format_parse(a, &r->print);
}

/* ---- where it begins and ends ---------------------------------------------------------------- */

/* The offset a place means in each partition, within what there is. */
static int find_places(struct reading *r, struct kafka *k, const struct where *where,
                       const i64 *starts, const i64 *ends, i64 *out)
{
    int code = where->kind == WHERE_TIME
                   ? kafka_offsets(k, slice_cstr(r->topic), MAX(where->value, 0), out, r->count)
                   : CLI_OK;
    for (u32 p = 0; code == CLI_OK && p < r->count; p++) {
        i64 at = where->kind == WHERE_START    ? starts[p]
                 : where->kind == WHERE_END    ? ends[p]
                 : where->kind == WHERE_OFFSET ? where->value
                 : where->kind == WHERE_LAST   ? ends[p] - where->value
                 : out[p] < 0                  ? ends[p] /* nothing is that young */
                                               : out[p];
        out[p] = MIN(MAX(at, starts[p]), ends[p]);
    }
    return code;
}

static int plan(struct reading *r, struct kafka *k)
{
    struct metadata_response topics;
    int code = kafka_topics(k, r->topic, &topics);
    if (code != CLI_OK) {
        return code;
    }
    r->count = topics.topics.items[0].partitions.count;
    if (r->only_partition >= (i64)r->count) {
        return problem(CLI_NOT_FOUND,
                       cli_text(r->args, "topic \"%s\" has no partition %lld", r->topic,
                                (long long)r->only_partition),
                       cli_text(r->args, "it has %u, from 0", r->count),
                       cli_text(r->args, "odradek topic info %s   shows them", r->topic));
    }
    struct arena *arena = r->args->arena;
    struct slice topic = slice_cstr(r->topic);
    i64 *starts = arena_array(arena, r->count + 1, sizeof *starts);
    i64 *ends = arena_array(arena, r->count + 1, sizeof *ends);
    r->froms = arena_array(arena, r->count + 1, sizeof *r->froms);
    r->tos = arena_array(arena, r->count + 1, sizeof *r->tos);
    code = kafka_offsets(k, topic, KAFKA_START, starts, r->count);
    code = code != CLI_OK ? code : kafka_offsets(k, topic, KAFKA_END, ends, r->count);
    code = code != CLI_OK ? code : find_places(r, k, &r->from, starts, ends, r->froms);
    return code != CLI_OK ? code : find_places(r, k, &r->to, starts, ends, r->tos);
}

static int assign(struct reading *r)
{
    rd_kafka_topic_partition_list_t *list = r->rd->rd_kafka_topic_partition_list_new((int)r->count);
    i64 total = 0;
    for (u32 p = 0; p < r->count; p++) {
        bool wanted = r->only_partition < 0 || r->only_partition == (i64)p;
        if (wanted && (!r->bounded || r->froms[p] < r->tos[p])) {
            r->rd->rd_kafka_topic_partition_list_add(list, r->topic, (i32)p)->offset = r->froms[p];
            r->open_count++;
            total += r->tos[p] - r->froms[p];
        } else {
            r->tos[p] = -1;
        }
    }
    rd_kafka_resp_err_t err =
        list->cnt == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : r->rd->rd_kafka_assign(r->client, list);
    r->rd->rd_kafka_topic_partition_list_destroy(list);
    progress_begin(&r->progress, "records", total, r->bounded && !out_is_terminal(stdout));
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? CLI_OK
               : rdkafka_failed(r->rd, r->args, "cannot read the topic", err);
}

/* ---- printing -------------------------------------------------------------------------------- */

/* As it is; but a terminal gets no control characters other than blanks. */
static void print_bytes(const struct reading *r, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t len = 0;
        while (len < bytes.len && bytes.ptr[len] != '\n' && bytes.ptr[len] != '\t') {
            len++;
        }
        len = r->terminal ? len : bytes.len;
        struct slice part = slice_of(bytes.ptr, len);
        if (r->terminal) {
            out_text(stdout, part);
        } else {
            fwrite(part.ptr, 1, part.len, stdout);
        }
        if (len < bytes.len) {
            putchar(bytes.ptr[len++]);
        }
        bytes = slice_of(bytes.ptr + len, bytes.len - len);
    }
}

static void print_line(const struct reading *r, const struct cli_record *m)
{
    if (r->keys) {
        print_bytes(r, m->key);
        putchar('\t');
    }
    print_bytes(r, m->value);
    putchar('\n');
}

static void print_wide(const struct cli_record *m)
{
    char time[TIME_TEXT_BYTES];
    time_text(m->timestamp, time);
    printf("%d\t%lld\t%s\t", m->partition, (long long)m->offset, time);
    out_text(stdout, m->key.ptr != NULL ? m->key : SLICE_LIT("-"));
    putchar('\t');
    out_text(stdout, m->value.ptr != NULL ? m->value : SLICE_LIT("-"));
    putchar('\n');
}

static void print_record(struct reading *r, struct arena *arena, const struct cli_record *m)
{
    if (r->format != NULL) {
        cli_record_format_print(stdout, r->format, m, r->printed + 1);
        return;
    }
    if (r->print == OUT_TABLE || r->print == OUT_NAME) {
        print_line(r, m);
        return;
    }
    if (r->print == OUT_WIDE) {
        print_wide(m);
        return;
    }
    struct node *list = node_list(arena);
    cli_record_add(list, m);
    if (r->print == OUT_YAML) {
        out_yaml(stdout, list);
        return;
    }
    fputs(r->print == OUT_JSON ? (r->printed == 0 ? "[\n  " : ",  ") : "", stdout);
    out_json_line(stdout, list->first);
}

static void take_headers(const struct reading *r, struct arena *arena, const rd_kafka_message_t *m,
                         struct cli_record *out)
{
    rd_kafka_headers_t *headers;
    if (r->rd->rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    u32 count = 0;
    const char *name;
    const void *value;
    size_t size;
    while (r->rd->rd_kafka_header_get_all(headers, count, &name, &value, &size) ==
           RD_KAFKA_RESP_ERR_NO_ERROR) {
        count++;
    }
    struct record_field *fields = arena_array(arena, count + 1, sizeof *fields);
    for (u32 i = 0; i < count; i++) {
        r->rd->rd_kafka_header_get_all(headers, i, &name, &value, &size);
        fields[i].name = slice_cstr(name);
        fields[i].value = slice_of(value, value == NULL ? 0 : size);
    }
    out->headers = fields;
    out->header_count = count;
}

/* Past its end: no more of this partition. */
static void close_partition(struct reading *r, i32 partition)
{
    r->tos[partition] = -1;
    r->open_count--;
    rd_kafka_topic_partition_list_t *list = r->rd->rd_kafka_topic_partition_list_new(1);
    r->rd->rd_kafka_topic_partition_list_add(list, r->topic, partition);
    r->rd->rd_kafka_pause_partitions(r->client, list);
    r->rd->rd_kafka_topic_partition_list_destroy(list);
}

static void take_record(struct reading *r, struct arena *arena, const rd_kafka_message_t *m)
{
    bool beyond = r->bounded && (r->tos[m->partition] < 0 || m->offset >= r->tos[m->partition]);
    rd_kafka_timestamp_type_t type;
    struct cli_record record = {
        .topic = slice_cstr(r->topic),
        .partition = m->partition,
        .offset = m->offset,
        .timestamp = r->rd->rd_kafka_message_timestamp(m, &type),
        .key = slice_of(m->key, m->key == NULL ? 0 : m->key_len),
        .value = slice_of(m->payload, m->payload == NULL ? 0 : m->len),
    };
    bool matches = r->key == NULL || (record.key.ptr != NULL && slice_eq_cstr(record.key, r->key));
    if (!beyond && matches) {
        take_headers(r, arena, m, &record);
        print_record(r, arena, &record);
        r->printed++;
    }
    if (!beyond) {
        progress_add(&r->progress, 1);
    }
    if (r->bounded && r->tos[m->partition] >= 0 && m->offset + 1 >= r->tos[m->partition]) {
        close_partition(r, m->partition);
    }
}

/* ---- polling --------------------------------------------------------------------------------- */

static bool wants_more(const struct reading *r)
{
    return !interrupted && ferror(stdout) == 0 && (r->count_max < 0 || r->printed < r->count_max) &&
           (!r->bounded || r->open_count > 0);
}

static int take(struct reading *r, struct arena *arena, const rd_kafka_message_t *m)
{
    switch (m->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        take_record(r, arena, m);
        return CLI_OK;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        /* The last offsets may hold no record: compacted away, or a transaction's mark. */
        if (r->bounded && r->tos[m->partition] >= 0 && m->offset >= r->tos[m->partition]) {
            close_partition(r, m->partition);
        }
        return CLI_OK;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return CLI_OK; /* the library connects again */
    default:
        return rdkafka_failed(r->rd, r->args, "cannot read the topic", m->err);
    }
}

static int poll_records(struct reading *r)
{
    struct arena arena;
    arena_init(&arena, NULL, 16 * 1024, 0);
    int code = CLI_OK;
    while (code == CLI_OK && wants_more(r)) {
        rd_kafka_message_t *m = r->rd->rd_kafka_consumer_poll(r->client, POLL_MS);
        if (m == NULL) {
            fflush(stdout);
            continue;
        }
        code = take(r, &arena, m);
        r->rd->rd_kafka_message_destroy(m);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    progress_end(&r->progress);
    if (code == CLI_OK && r->print == OUT_JSON && r->format == NULL) {
        fputs(r->printed == 0 ? "[]\n" : "]\n", stdout);
    }
    return code;
}

static int read_topic(const struct cli_args *a, bool follow)
{
    struct reading r = {.args = a};
    if (!parse_reading(&r, follow)) {
        return CLI_USAGE;
    }
    int code;
    struct kafka *k = kafka_open(a, &code);
    code = k == NULL ? code : plan(&r, k);
    kafka_close(k);
    r.rd = code == CLI_OK ? rdkafka_load() : NULL;
    r.client = r.rd == NULL
                   ? NULL
                   : rdkafka_client(r.rd, RD_KAFKA_CONSUMER, a, "group.id", "odradek-cli",
                                    "enable.auto.commit", "false", "allow.auto.create.topics",
                                    "false", "enable.partition.eof", "true", "auto.offset.reset",
                                    "earliest", "fetch.wait.max.ms", "100", NULL);
    if (r.client == NULL) {
        return code != CLI_OK ? code : CLI_FAILED;
    }
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    r.rd->rd_kafka_poll_set_consumer(r.client);
    code = assign(&r);
    code = code != CLI_OK ? code : poll_records(&r);
    r.rd->rd_kafka_consumer_close(r.client);
    r.rd->rd_kafka_destroy(r.client);
    return code;
}

int command_cat(const struct cli_args *a)
{
    return read_topic(a, false);
}

int command_tail(const struct cli_args *a)
{
    return read_topic(a, true);
}
