/* odradek bench pub, sub, latency: how fast, from here, with one client.

     pub      as fast as it goes, or at --rate; times from handing over to the acknowledgement
     sub      reads what there is, as fast as it goes
     latency  a fixed rate, open loop: a record's time begins when it was due, not when it got out,
              and ends when it was read back; so a broker that stalls cannot hide it
   Without a topic pub and latency make one, under a name of its own, and delete it in the end. */
#include "cli/commands.h"
#include "cli/histogram.h"
#include "cli/kafka.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/progress.h"
#include "cli/rdkafka.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STAMP_BYTES = 8, SIZE_MAX_BYTES = 8 * 1024 * 1024, GIVE_UP_MS = 30000 };

struct bench {
    const struct cli_args *args;
    const struct rdkafka *rd;
    rd_kafka_t *producer;
    rd_kafka_t *consumer;
    const char *topic;
    bool ours;     /* made by us, to be deleted */
    i64 records;   /* -1: until during is over */
    i64 rate;      /* records per second; 0: as fast as it goes */
    i64 during_ms; /* -1: until records are through */
    i64 size;      /* of a value */
    const char *codec;
    const char *acks;
    i64 sent;
    i64 done; /* acknowledged, or read */
    i64 bytes;
    i64 begin_us;
    i64 end_us;
    i64 failed;
    bool warm; /* a record of the warm-up was read */
    rd_kafka_resp_err_t error;
    struct histogram *times;
    struct progress progress;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static i64 now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (i64)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool number_option(const struct cli_args *a, const char *option, i64 low, i64 high, i64 *out)
{
    const char *text = cli_value(a, option);
    if (text == NULL || parse_number(text, low, high, out)) {
        return true;
    }
    problem_of_value(a, option, text,
                     cli_text(a, "a number from %lld to %lld", (long long)low, (long long)high));
    return false;
}

static bool parse_bench(struct bench *b)
{
    const struct cli_args *a = b->args;
    b->records = -1;
    b->during_ms = -1;
    b->size = 100;
    const char *during = cli_value(a, "during");
    if (during != NULL && !(parse_duration(during, &b->during_ms) && b->during_ms > 0)) {
        problem_of_value(a, "during", during, "a duration as 500ms, 10s or 2m");
        return false;
    }
    if (a->operand_count > 1) {
        problem(CLI_USAGE, cli_text(a, "odradek %s takes one topic", a->words), NULL, NULL);
        return false;
    }
    const char *size = cli_value(a, "size");
    u64 bytes = (u64)b->size;
    if (size != NULL &&
        (!cli_parse_size(size, &bytes) || bytes < STAMP_BYTES || bytes > SIZE_MAX_BYTES)) {
        problem_of_value(a, "size", size, "a size from 8 to 8MiB");
        return false;
    }
    b->size = (i64)bytes;
    enum out_format format;
    return rdkafka_codec(a, &b->codec) && rdkafka_acks(a, &b->acks) &&
           number_option(a, "records", 1, INT64_MAX / 2, &b->records) &&
           number_option(a, "rate", 1, 10000000, &b->rate) && out_format_parse(a, &format);
}

/* The topic named, which must be there, or one of our own. */
static int open_topic(struct bench *b, struct kafka *k)
{
    struct metadata_response topics;
    if (b->args->operand_count == 1) {
        b->topic = b->args->operands[0];
        return kafka_topics(k, b->topic, &topics);
    }
    /* Two may run at once, and one that was killed leaves its topic behind. */
    b->topic = cli_text(b->args, "odradek-bench-%llx", (unsigned long long)now_us());
    struct create_topics_request_creatable_topic *of =
        wire_new(&create_topics_request_creatable_topic_struct, b->args->arena, 1);
    of->name = slice_cstr(b->topic);
    of->num_partitions = -1;
    of->replication_factor = -1;
    struct create_topics_request request = {.topics = {.items = of, .count = 1},
                                            .timeout_ms = (i32)b->args->timeout_ms};
    struct create_topics_response response;
    int code = kafka_ask(k, API_create_topics, 7, &request, &response);
    if (code == CLI_OK && response.topics.count == 1 &&
        response.topics.items[0].error_code != KERR_NONE) {
        return problem_of_kafka(b->args, "cannot create a topic to measure with",
                                response.topics.items[0].error_code,
                                response.topics.items[0].error_message);
    }
    b->ours = code == CLI_OK;
    return code;
}

static int close_topic(struct bench *b, struct kafka *k)
{
    if (!b->ours) {
        return CLI_OK;
    }
    struct delete_topics_request_topic_state *of =
        wire_new(&delete_topics_request_topic_state_struct, b->args->arena, 1);
    struct slice name = slice_cstr(b->topic);
    of->name = name;
    struct delete_topics_request request = {.topics = {.items = of, .count = 1},
                                            .topic_names = {.items = &name, .count = 1},
                                            .timeout_ms = (i32)b->args->timeout_ms};
    struct delete_topics_response response;
    return kafka_ask(k, API_delete_topics, 6, &request, &response);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A record's time begins when it was due: it travels beside it. */
static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    struct bench *b = opaque;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        b->failed++;
        b->error = m->err;
        return;
    }
    if (b->consumer == NULL && m->_private != NULL) {
        b->end_us = now_us();
        histogram_add(b->times, b->end_us - (i64)(intptr_t)m->_private);
        b->done++;
        b->bytes += (i64)m->len;
        progress_add(&b->progress, 1);
    }
}

static i64 due_us(const struct bench *b, i64 number)
{
    return b->rate == 0 ? now_us() : b->begin_us + (i64)((f64)number * 1000000 / (f64)b->rate);
}

static bool may_send(const struct bench *b)
{
    return !interrupted && b->failed == 0 && (b->records < 0 || b->sent < b->records) &&
           (b->during_ms < 0 || due_us(b, b->sent) < b->begin_us + b->during_ms * 1000);
}

/* stamp_us 0: of the warm-up, which is not measured. */
static rd_kafka_resp_err_t send_one(struct bench *b, u8 *value, i64 stamp_us)
{
    store_be64(value, (u64)stamp_us);
    rd_kafka_resp_err_t err = b->rd->rd_kafka_producev(
        b->producer, RD_KAFKA_V_TOPIC(b->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(value, (size_t)b->size), RD_KAFKA_V_OPAQUE((void *)(intptr_t)stamp_us),
        RD_KAFKA_V_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        b->failed++;
        b->error = err;
    }
    return err;
}

/* Sends what is due by now; false: the library's queue is full, or nothing was due. */
static bool send_due(struct bench *b, u8 *value)
{
    i64 due = due_us(b, b->sent);
    bool sent = due <= now_us() && send_one(b, value, due) == RD_KAFKA_RESP_ERR_NO_ERROR;
    b->sent += sent;
    return sent;
}

static rd_kafka_t *open_producer(struct bench *b)
{
    return rdkafka_client_with(b->rd, RD_KAFKA_PRODUCER, b->args, delivered, b, "linger.ms",
                               b->rate == 0 ? "5" : "0", "acks", b->acks, "compression.type",
                               b->codec, "queue.buffering.max.messages", "1000000",
                               "message.timeout.ms", "60000", NULL);
}

static void write_records(struct bench *b, u8 *value)
{
    /* Connecting and looking for the leader is not what is measured. */
    send_one(b, value, 0);
    b->rd->rd_kafka_flush(b->producer, GIVE_UP_MS);
    b->begin_us = b->end_us = now_us();
    while (may_send(b)) {
        if (!send_due(b, value)) {
            b->rd->rd_kafka_poll(b->producer, 1);
        } else if (b->sent % 100 == 0) {
            b->rd->rd_kafka_poll(b->producer, 0);
        }
    }
    b->rd->rd_kafka_flush(b->producer, interrupted ? 1000 : 60000);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int open_consumer(struct bench *b, struct kafka *k, bool from_start, i64 *there)
{
    struct metadata_response topics;
    int code = kafka_topics(k, b->topic, &topics);
    u32 count = code == CLI_OK ? topics.topics.items[0].partitions.count : 0;
    i64 *starts = arena_array(b->args->arena, count + 1, sizeof *starts);
    i64 *ends = arena_array(b->args->arena, count + 1, sizeof *ends);
    struct slice name = slice_cstr(b->topic);
    code = code != CLI_OK ? code : kafka_offsets(k, name, KAFKA_START, starts, count);
    code = code != CLI_OK ? code : kafka_offsets(k, name, KAFKA_END, ends, count);
    if (code != CLI_OK) {
        return code;
    }
    b->consumer = rdkafka_client(b->rd, RD_KAFKA_CONSUMER, b->args, "group.id", "odradek-bench",
                                 "enable.auto.commit", "false", "fetch.wait.max.ms", "500",
                                 "queued.min.messages", "1000000", "enable.partition.eof", "true",
                                 "auto.offset.reset", "earliest", NULL);
    if (b->consumer == NULL) {
        return CLI_FAILED;
    }
    b->rd->rd_kafka_poll_set_consumer(b->consumer);
    rd_kafka_topic_partition_list_t *list = b->rd->rd_kafka_topic_partition_list_new((int)count);
    *there = 0;
    for (u32 p = 0; p < count; p++) {
        b->rd->rd_kafka_topic_partition_list_add(list, b->topic, (i32)p)->offset =
            from_start ? starts[p] : ends[p];
        *there += ends[p] - starts[p];
    }
    rd_kafka_resp_err_t err = b->rd->rd_kafka_assign(b->consumer, list);
    b->rd->rd_kafka_topic_partition_list_destroy(list);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? CLI_OK
               : rdkafka_failed(b->rd, b->args, "cannot read the topic", err);
}

/* Somebody else's records in the topic have no stamp of this run. */
static void take_record(struct bench *b, const rd_kafka_message_t *m, bool stamped)
{
    i64 now = now_us();
    i64 stamp = stamped && m->len >= STAMP_BYTES ? (i64)load_be64(m->payload) : -1;
    b->warm |= stamp == 0;
    if (stamped && (stamp < b->begin_us || stamp > now || b->begin_us == 0)) {
        return;
    }
    if (stamped) {
        histogram_add(b->times, now - stamp);
    }
    b->end_us = now;
    b->done++;
    b->bytes += (i64)m->len;
    progress_add(&b->progress, 1);
}

/* One step of reading; the time of a stamped record ends here. Returns partitions at their end. */
static u32 read_some(struct bench *b, int wait_ms, bool stamped)
{
    rd_kafka_message_t *m = b->rd->rd_kafka_consumer_poll(b->consumer, wait_ms);
    u32 ends = 0;
    if (m == NULL) {
        return 0;
    }
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_record(b, m, stamped);
    } else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ends = 1;
    } else if (m->err != RD_KAFKA_RESP_ERR__TRANSPORT &&
               m->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        b->failed++;
        b->error = m->err;
    }
    b->rd->rd_kafka_message_destroy(m);
    return ends;
}

/* ---- saying so ------------------------------------------------------------------------------- */

static const struct column bench_columns[] = {{"topic", "TOPIC", COLUMN_NAME},
                                              {"records", "RECORDS", 0},
                                              {"seconds", "SECONDS", COLUMN_FINE},
                                              {"records_per_second", "RECORDS/S", COLUMN_FINE},
                                              {"bytes_per_second", "BYTES/S", COLUMN_BYTES},
                                              {0}};
static const struct column acknowledged_columns[] = {
    {"percentile", "PERCENTILE", 0}, {"ms", "ACKNOWLEDGED AFTER MS", COLUMN_FINE}, {0}};
static const struct column read_columns[] = {
    {"percentile", "PERCENTILE", 0}, {"ms", "READ AFTER MS", COLUMN_FINE}, {0}};
static const struct view pub_view = {.columns = bench_columns,
                                     .tables = {{"latency", acknowledged_columns}}};
static const struct view latency_view = {.columns = bench_columns,
                                         .tables = {{"latency", read_columns}}};
static const struct view sub_view = {.columns = bench_columns};

/* For programs: what a run like this one needs. */
static void print_settings(const struct bench *b, struct node *one)
{
    if (b->producer == NULL) {
        return;
    }
    node_add_number(one, "size", b->size);
    node_add_cstr(one, "compression", b->codec);
    node_add_cstr(one, "acks", b->acks);
    if (b->rate > 0) {
        node_add_number(one, "rate", b->rate);
    } else {
        node_add_null(one, "rate");
    }
}

static void print_latency(const struct bench *b, struct node *one)
{
    static const struct {
        const char *name;
        f64 percent;
    } rows[] = {{"50", 50}, {"90", 90}, {"95", 95}, {"99", 99}, {"99.9", 99.9}, {"100", 100}};
    f64 count = (f64)MAX(b->times->count, 1);
    node_add_real(one, "mean_ms", b->times->sum_us / count / 1000);
    struct node *list = node_add_list(one, "latency");
    for (u32 i = 0; i < ARRAY_LEN(rows) && b->times->count > 0; i++) {
        struct node *row = node_add_object(list, NULL);
        node_add_cstr(row, "percentile", rows[i].name);
        node_add_real(row, "ms", (f64)histogram_percentile(b->times, rows[i].percent) / 1000);
    }
}

static int print_result(struct bench *b)
{
    f64 seconds = (f64)MAX(b->end_us - b->begin_us, 1) / 1000000;
    struct node *one = node_object(b->args->arena);
    node_add_cstr(one, "topic", b->topic);
    node_add_number(one, "records", b->done);
    node_add_number(one, "bytes", b->bytes);
    node_add_real(one, "seconds", seconds);
    node_add_real(one, "records_per_second", (f64)b->done / seconds);
    node_add_real(one, "bytes_per_second", (f64)b->bytes / seconds);
    print_settings(b, one);
    if (b->producer != NULL) {
        print_latency(b, one);
    }
    int code = out_print(b->args, one,
                         b->producer == NULL   ? &sub_view
                         : b->consumer == NULL ? &pub_view
                                               : &latency_view);
    if (code == CLI_OK && b->failed > 0) {
        code = rdkafka_failed(b->rd, b->args,
                              cli_text(b->args, "%lld record%s failed", (long long)b->failed,
                                       b->failed == 1 ? "" : "s"),
                              b->error);
    }
    return code;
}

static void begin(struct bench *b)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    i64 total = b->records >= 0                   ? b->records
                : b->rate > 0 && b->during_ms > 0 ? b->rate * b->during_ms / 1000
                                                  : -1;
    progress_begin(&b->progress, "records", total, true);
}

static void finish(struct bench *b)
{
    progress_end(&b->progress);
    if (b->producer != NULL) {
        b->rd->rd_kafka_destroy(b->producer);
    }
    if (b->consumer != NULL) {
        b->rd->rd_kafka_consumer_close(b->consumer);
        b->rd->rd_kafka_destroy(b->consumer);
    }
}

/* ---- commands -------------------------------------------------------------------------------- */

static int measure_pub(struct bench *b, struct kafka *k)
{
    (void)k;
    if (b->records < 0 && b->during_ms < 0) {
        b->records = 100000;
    }
    b->producer = open_producer(b);
    if (b->producer == NULL) {
        return CLI_USAGE;
    }
    begin(b);
    u8 *value = arena_alloc(b->args->arena, (size_t)b->size);
    assert(value != NULL);
    write_records(b, value);
    return CLI_OK;
}

static int measure_sub(struct bench *b, struct kafka *k)
{
    i64 there;
    int code = open_consumer(b, k, true, &there);
    if (code != CLI_OK) {
        return code;
    }
    i64 wanted = b->records < 0 ? there : MIN(b->records, there);
    b->records = wanted;
    begin(b);
    b->begin_us = b->end_us = now_us();
    i64 quiet_since_us = b->begin_us;
    /* Compacted topics hold fewer records than offsets: the ends say when it is over. */
    u32 ends = 0;
    while (!interrupted && b->failed == 0 && b->done < wanted &&
           (b->during_ms < 0 || now_us() - b->begin_us < b->during_ms * 1000)) {
        i64 before = b->done;
        ends += read_some(b, 100, false);
        quiet_since_us = b->done > before ? now_us() : quiet_since_us;
        if (ends > 0 && now_us() - quiet_since_us > 1000000) {
            break;
        }
    }
    return CLI_OK;
}

static int measure_latency(struct bench *b, struct kafka *k)
{
    i64 there;
    b->rate = b->rate == 0 ? 1000 : b->rate;
    if (b->records < 0 && b->during_ms < 0) {
        b->during_ms = 10000;
    }
    int code = open_consumer(b, k, false, &there);
    if (code != CLI_OK) {
        return code;
    }
    b->producer = open_producer(b);
    if (b->producer == NULL) {
        return CLI_USAGE;
    }
    u8 *value = arena_alloc(b->args->arena, (size_t)b->size);
    assert(value != NULL);
    /* The way is open when a record has come back. */
    for (i64 until = now_us() + GIVE_UP_MS * 1000ll;
         !b->warm && now_us() < until && b->failed == 0;) {
        send_one(b, value, 0);
        b->rd->rd_kafka_poll(b->producer, 0);
        read_some(b, 50, true);
    }
    begin(b);
    b->begin_us = b->end_us = now_us();
    i64 quiet_since_us = b->begin_us;
    while (b->failed == 0 && (may_send(b) || b->done < b->sent)) {
        while (may_send(b) && send_due(b, value)) {
            b->rd->rd_kafka_poll(b->producer, 0);
        }
        b->rd->rd_kafka_poll(b->producer, 0);
        i64 before = b->done;
        read_some(b, 1, true);
        quiet_since_us = b->done > before || may_send(b) ? now_us() : quiet_since_us;
        if (interrupted || now_us() - quiet_since_us > GIVE_UP_MS * 1000ll) {
            break; /* what is missing by now was lost, or is somebody else's to read */
        }
    }
    if (b->done < b->sent && !interrupted && b->failed == 0) {
        b->failed = b->sent - b->done;
        b->error = RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    return CLI_OK;
}

static int run_bench(const struct cli_args *a, bool needs_topic,
                     int (*measure)(struct bench *b, struct kafka *k))
{
    struct bench b = {.args = a};
    if (!parse_bench(&b)) {
        return CLI_USAGE;
    }
    if (needs_topic && a->operand_count == 0) {
        return problem(CLI_USAGE,
                       cli_text(a, "odradek %s needs a topic that has records", a->words), NULL,
                       "odradek bench pub TOPIC   fills one");
    }
    int code;
    struct kafka *k = kafka_open(a, &code);
    code = k == NULL ? code : open_topic(&b, k);
    b.rd = code == CLI_OK ? rdkafka_load() : NULL;
    code = code == CLI_OK && b.rd == NULL ? CLI_FAILED : code;
    b.times = arena_alloc(a->arena, sizeof *b.times);
    assert(b.times != NULL);
    if (code == CLI_OK) {
        code = measure(&b, k);
        progress_end(&b.progress);
        code = code == CLI_OK ? print_result(&b) : code;
        finish(&b);
    }
    int closed = k == NULL ? CLI_OK : close_topic(&b, k);
    kafka_close(k);
    return code != CLI_OK ? code : closed;
}

int command_bench_pub(const struct cli_args *a)
{
    return run_bench(a, false, measure_pub);
}

int command_bench_sub(const struct cli_args *a)
{
    return run_bench(a, true, measure_sub);
}

int command_bench_latency(const struct cli_args *a)
{
    return run_bench(a, false, measure_latency);
}
