/* A client of a Kafka broker on librdkafka, from C: one of the clients of test/compat, the load of
   test/crash and test/limits, and the harness's own hand for topics and offsets.

     ping     --brokers B                         0 when the broker answers Metadata
     settled  --brokers B                         0 when every partition there is tells its offsets
     create   --brokers B NAME:PARTITIONS...      creates topics, waits until each has its leaders
     ends     --brokers B --topic T --partitions P      prints "PARTITION FIRST END" lines
     produce  --brokers B --topic T --partitions P --count N --codec C --idempotent yes|no --acks A
              --seed S --base-ms M [--pause]      the records of records.py, shape full
     consume  --brokers B --topic T --partitions P --out FILE
              everything up to the end, as a dump
     load     --brokers B --topic T --partitions P --seed S --size BYTES (--count N | --seconds X)
              [--idempotent ...] [--acks A] [--codec C] [--linger-ms L] [--in-flight I]
              as fast as it goes; prints "acked N" on the way and "PARTITION COUNT HASH" lines
     verify   --brokers B --topic T --partitions P --seed S --size BYTES [--at-least-once --count N]
              reads what load wrote; same lines, and the reason and exit 1 if a record is not right.
              At least once: each record may be there more than once and in any order, none is
              missing

   With --pause, produce prints "half" once two fifths are acknowledged, waits for a line on stdin
   and sends the rest at an easy pace over some seconds: the time in which the broker is killed.

   Every function either succeeds or ends the process through fatal(). */

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PARTITIONS_MAX = 4096, VALUE_MAX = 1 << 20, PACE_STEPS = 100, PACE_STEP_US = 25000 };

struct options {
    const char *brokers;
    const char *topic;
    const char *codec;
    const char *idempotent;
    const char *acks;
    const char *out;
    const char *linger_ms;
    const char *in_flight;
    int32_t partitions;
    int64_t count;
    int64_t seconds;
    int64_t seed;
    int64_t base_ms;
    int64_t size;
    bool pause;
    bool at_least_once;
};

/* Set by the delivery report callback, on the thread that polls. */
static int64_t acked_count;
static int64_t failed_count;

static int command_ping(const struct options *options, bool all_partitions);
static int command_create(const struct options *options, int count, char **specifications);
static int command_ends(const struct options *options);
static int command_produce(const struct options *options);
static int command_consume(const struct options *options);
static int command_load(const struct options *options);
static int command_verify(const struct options *options);
static void fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static const struct {
    const char *name;
    size_t offset;
    bool is_number;
} option_table[] = {
    {"--brokers", offsetof(struct options, brokers), false},
    {"--topic", offsetof(struct options, topic), false},
    {"--codec", offsetof(struct options, codec), false},
    {"--idempotent", offsetof(struct options, idempotent), false},
    {"--acks", offsetof(struct options, acks), false},
    {"--out", offsetof(struct options, out), false},
    {"--linger-ms", offsetof(struct options, linger_ms), false},
    {"--in-flight", offsetof(struct options, in_flight), false},
    {"--count", offsetof(struct options, count), true},
    {"--seconds", offsetof(struct options, seconds), true},
    {"--seed", offsetof(struct options, seed), true},
    {"--base-ms", offsetof(struct options, base_ms), true},
    {"--size", offsetof(struct options, size), true},
};

static int parse_options(struct options *options, int argc, char **argv)
{
    int i = 2;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--pause") == 0) {
            options->pause = true;
            continue;
        }
        if (strcmp(argv[i], "--at-least-once") == 0) {
            options->at_least_once = true;
            continue;
        }
        if (i + 1 == argc)
            fatal("%s wants a value", argv[i]);
        if (strcmp(argv[i], "--partitions") == 0) {
            options->partitions = (int32_t)strtol(argv[++i], NULL, 10);
            continue;
        }
        bool known = false;
        for (size_t row = 0; row < sizeof option_table / sizeof *option_table; row++) {
            if (strcmp(argv[i], option_table[row].name) != 0)
                continue;
            char *field = (char *)options + option_table[row].offset;
            i++;
            known = true;
            if (option_table[row].is_number)
                *(int64_t *)(void *)field = strtoll(argv[i], NULL, 10);
            else
                *(const char **)(void *)field = argv[i];
            break;
        }
        if (!known)
            fatal("unknown option %s", argv[i]);
    }
    if (options->partitions < 1 || options->partitions > PARTITIONS_MAX)
        fatal("--partitions must be 1 to %d", PARTITIONS_MAX);
    return i;
}

int main(int argc, char **argv)
{
    struct options options = {
        .brokers = "127.0.0.1:9092",
        .topic = "compat",
        .codec = "none",
        .idempotent = "yes",
        .acks = "-1",
        .linger_ms = "5",
        .partitions = 1,
        .count = 0,
        .seed = 1,
        .size = 1024,
    };
    if (argc < 2)
        fatal("which command? see the first lines of rdkafka_client.c");
    if (strcmp(argv[1], "version") == 0) {
        printf("%s\n", rd_kafka_version_str());
        return 0;
    }
    int rest = parse_options(&options, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(argv[1], "ping") == 0)
        return command_ping(&options, false);
    if (strcmp(argv[1], "settled") == 0)
        return command_ping(&options, true);
    if (strcmp(argv[1], "create") == 0)
        return command_create(&options, argc - rest, argv + rest);
    if (strcmp(argv[1], "ends") == 0)
        return command_ends(&options);
    if (strcmp(argv[1], "produce") == 0)
        return command_produce(&options);
    if (strcmp(argv[1], "consume") == 0)
        return command_consume(&options);
    if (strcmp(argv[1], "load") == 0)
        return command_load(&options);
    if (strcmp(argv[1], "verify") == 0)
        return command_verify(&options);
    fatal("unknown command %s", argv[1]);
}

static void fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------------------------------------
   Handles */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[256];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
        fatal("%s=%s: %s", name, value, reason);
}

static rd_kafka_t *handle_create(rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                 const struct options *options)
{
    char reason[256];
    set(conf, "bootstrap.servers", options->brokers);
    set(conf, "reconnect.backoff.ms", "50");
    set(conf, "reconnect.backoff.max.ms", "500");
    rd_kafka_t *rk = rd_kafka_new(type, conf, reason, sizeof reason);
    if (rk == NULL)
        fatal("rd_kafka_new: %s", reason);
    return rk;
}

/* Lines about lost connections are expected here: the broker is killed on purpose. */
static void log_nothing(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        acked_count++;
        return;
    }
    if (failed_count++ < 5)
        fprintf(stderr, "not delivered to partition %" PRId32 ": %s\n", message->partition,
                rd_kafka_err2str(message->err));
}

static rd_kafka_t *producer_create(const struct options *options)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool idempotent = strcmp(options->idempotent, "yes") == 0;
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    set(conf, "enable.idempotence", idempotent ? "true" : "false");
    set(conf, "compression.codec", options->codec);
    set(conf, "linger.ms", options->linger_ms);
    set(conf, "queue.buffering.max.kbytes", "131072");
    set(conf, "retry.backoff.ms", "50");
    if (!idempotent)
        set(conf, "acks", options->acks);
    if (options->in_flight != NULL)
        set(conf, "max.in.flight.requests.per.connection", options->in_flight);
    return handle_create(RD_KAFKA_PRODUCER, conf, options);
}

/* A consumer that assigns; the group id is there because rd_kafka_assign wants one, it commits
 * nothing. */
static rd_kafka_t *consumer_create(const struct options *options)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    set(conf, "group.id", "compat");
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "error");
    set(conf, "check.crcs", "true");
    set(conf, "fetch.wait.max.ms", "100");
    /* A full queue makes librdkafka 2.0 look again only after a second: let it never be full. */
    set(conf, "queued.min.messages", "10000000");
    set(conf, "queued.max.messages.kbytes", "2097151");
    rd_kafka_t *rk = handle_create(RD_KAFKA_CONSUMER, conf, options);
    rd_kafka_poll_set_consumer(rk);
    return rk;
}

static void get_ends(rd_kafka_t *rk, const struct options *options, int64_t *firsts, int64_t *ends)
{
    for (int32_t p = 0; p < options->partitions; p++) {
        rd_kafka_resp_err_t err =
            rd_kafka_query_watermark_offsets(rk, options->topic, p, &firsts[p], &ends[p], 20000);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            fatal("offsets of %s[%" PRId32 "]: %s", options->topic, p, rd_kafka_err2str(err));
    }
}

static void wait_for_line(void)
{
    char line[16];
    printf("half\n");
    if (fgets(line, sizeof line, stdin) == NULL)
        fatal("stdin ended where a line was due");
}

static void flush_all(rd_kafka_t *rk, int64_t wanted)
{
    int64_t deadline_ms = now_ms() + 120000;
    while (acked_count + failed_count < wanted && now_ms() < deadline_ms)
        rd_kafka_poll(rk, 100);
    if (acked_count != wanted)
        fatal("%" PRId64 " of %" PRId64 " records acknowledged, %" PRId64 " failed", acked_count,
              wanted, failed_count);
}

/* ------------------------------------------------------------------------------------------------
   Topics and offsets */

static bool topic_answers(rd_kafka_t *rk, const struct rd_kafka_metadata_topic *topic)
{
    int64_t first, end;
    bool all = topic->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int p = 0; all && p < topic->partition_cnt; p++)
        all = rd_kafka_query_watermark_offsets(rk, topic->topic, topic->partitions[p].id, &first,
                                               &end, 2000) == RD_KAFKA_RESP_ERR_NO_ERROR;
    return all;
}

static int command_ping(const struct options *options, bool all_partitions)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    rd_kafka_t *rk = handle_create(RD_KAFKA_PRODUCER, conf, options);
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 1, NULL, &metadata, 2000) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 1;
    bool answered = metadata->broker_cnt > 0;
    for (int t = 0; answered && all_partitions && t < metadata->topic_cnt; t++)
        answered = topic_answers(rk, &metadata->topics[t]);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(rk);
    return answered ? 0 : 1;
}

static bool topic_has_leaders(rd_kafka_t *rk, const char *topic, int partitions)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, handle, &metadata, 5000);
    rd_kafka_topic_destroy(handle);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    bool all = metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
               metadata->topics[0].partition_cnt == partitions;
    for (int p = 0; all && p < partitions; p++)
        all = metadata->topics[0].partitions[p].leader >= 0;
    rd_kafka_metadata_destroy(metadata);
    return all;
}

static int command_create(const struct options *options, int count, char **specifications)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    rd_kafka_t *rk = handle_create(RD_KAFKA_PRODUCER, conf, options);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t **topics = calloc((size_t)count, sizeof *topics);
    int *partitions = calloc((size_t)count, sizeof *partitions);
    if (topics == NULL || partitions == NULL)
        fatal("out of memory");
    char reason[256];
    for (int i = 0; i < count; i++) {
        char *colon = strchr(specifications[i], ':');
        if (colon == NULL)
            fatal("%s is not NAME:PARTITIONS", specifications[i]);
        *colon = 0;
        partitions[i] = (int)strtol(colon + 1, NULL, 10);
        topics[i] =
            rd_kafka_NewTopic_new(specifications[i], partitions[i], 1, reason, sizeof reason);
        if (topics[i] == NULL)
            fatal("%s: %s", specifications[i], reason);
    }
    rd_kafka_CreateTopics(rk, topics, (size_t)count, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fatal("CreateTopics: %s", event == NULL ? "no answer" : rd_kafka_event_error_string(event));
    size_t results_count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event), &results_count);
    for (size_t i = 0; i < results_count; i++) {
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
            fatal("CreateTopics of %s: %s", rd_kafka_topic_result_name(results[i]),
                  rd_kafka_topic_result_error_string(results[i]));
    }
    rd_kafka_event_destroy(event);
    for (int i = 0; i < count; i++) {
        int64_t deadline_ms = now_ms() + 20000;
        while (!topic_has_leaders(rk, specifications[i], partitions[i])) {
            if (now_ms() > deadline_ms)
                fatal("%s was created but has no leaders", specifications[i]);
            usleep(50000);
        }
    }
    rd_kafka_NewTopic_destroy_array(topics, (size_t)count);
    free(topics);
    free(partitions);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return 0;
}

static int command_ends(const struct options *options)
{
    static int64_t firsts[PARTITIONS_MAX], ends[PARTITIONS_MAX];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    rd_kafka_t *rk = handle_create(RD_KAFKA_PRODUCER, conf, options);
    get_ends(rk, options, firsts, ends);
    for (int32_t p = 0; p < options->partitions; p++)
        printf("%" PRId32 " %" PRId64 " %" PRId64 "\n", p, firsts[p], ends[p]);
    rd_kafka_destroy(rk);
    return 0;
}

/* ------------------------------------------------------------------------------------------------
   The records of records.py, shape full */

static size_t make_filler(int64_t i, char *out)
{
    size_t length = (size_t)(i * 7919 % 200);
    uint32_t state = (uint32_t)(uint64_t)(i * 2654435761 + 1);
    for (size_t j = 0; j < length; j++) {
        state = state * 1664525 + 1013904223;
        out[j] =
            i % 2 == 0 ? (char)('a' + (i + (int64_t)j) % 26) : (char)(0x80 | (state >> 24 & 0x7f));
    }
    return length;
}

static rd_kafka_headers_t *make_headers(int64_t seed, int64_t i)
{
    char number[32];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    if (i % 5 == 0)
        return headers;
    int length = snprintf(number, sizeof number, "%" PRId64, i);
    rd_kafka_header_add(headers, "h", -1, number, length);
    length = snprintf(number, sizeof number, "%" PRId64, seed);
    rd_kafka_header_add(headers, "seed", -1, number, length);
    if (i % 3 == 0)
        rd_kafka_header_add(headers, "empty", -1, "", 0);
    if (i % 4 == 1)
        rd_kafka_header_add(headers, "null", -1, NULL, 0);
    if (i % 10 == 7)
        rd_kafka_header_add(headers, "h", -1, "again", 5);
    return headers;
}

static void produce_record(rd_kafka_t *rk, const struct options *options, int64_t i)
{
    char key[64], value[512];
    int key_length = snprintf(key, sizeof key, "key-%" PRId64 "-%" PRId64, options->seed, i);
    int value_length =
        snprintf(value, sizeof value, "value-%" PRId64 "-%" PRId64 "-", options->seed, i);
    size_t filled = make_filler(i, value + value_length);
    bool key_null = i % 7 == 3, value_null = i % 11 == 5;
    size_t key_size = !key_null && i % 17 == 9 ? 0 : (size_t)key_length;
    size_t value_size = !value_null && i % 13 == 6 ? 0 : (size_t)value_length + filled;
    rd_kafka_headers_t *headers = make_headers(options->seed, i);
    for (;;) {
        rd_kafka_resp_err_t err = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(options->topic),
            RD_KAFKA_V_PARTITION((int32_t)(i % options->partitions)),
            RD_KAFKA_V_KEY(key_null ? NULL : key, key_null ? 0 : key_size),
            RD_KAFKA_V_VALUE(value_null ? NULL : value, value_null ? 0 : value_size),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_TIMESTAMP(options->base_ms + i),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            fatal("produce: %s", rd_kafka_err2str(err));
        rd_kafka_poll(rk, 50);
    }
}

static int command_produce(const struct options *options)
{
    rd_kafka_t *rk = producer_create(options);
    int64_t first = options->pause ? options->count * 2 / 5 : options->count;
    for (int64_t i = 0; i < first; i++) {
        produce_record(rk, options, i);
        rd_kafka_poll(rk, 0);
    }
    flush_all(rk, first);
    if (options->pause) {
        wait_for_line();
        int64_t step = (options->count - first + PACE_STEPS - 1) / PACE_STEPS;
        for (int64_t i = first; i < options->count; i++) {
            produce_record(rk, options, i);
            rd_kafka_poll(rk, 0);
            if ((i - first) % step == 0)
                usleep(PACE_STEP_US);
        }
        flush_all(rk, options->count);
    }
    rd_kafka_destroy(rk);
    printf("done %" PRId64 "\n", acked_count);
    return 0;
}

/* ------------------------------------------------------------------------------------------------
   Reading by assignment */

/* Gives every record from the first to the end offset of each partition to `take`, in order per
   partition, and stops when all ends are reached. */
static void read_all(const struct options *options,
                     void (*take)(const struct options *options, const rd_kafka_message_t *message))
{
    static int64_t firsts[PARTITIONS_MAX], ends[PARTITIONS_MAX];
    rd_kafka_t *rk = consumer_create(options);
    get_ends(rk, options, firsts, ends);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(options->partitions);
    int32_t unfinished = 0;
    for (int32_t p = 0; p < options->partitions; p++) {
        if (firsts[p] == ends[p])
            continue;
        rd_kafka_topic_partition_list_add(list, options->topic, p)->offset = firsts[p];
        unfinished++;
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fatal("assign: %s", rd_kafka_err2str(err));
    int64_t heard_ms = now_ms();
    while (unfinished > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message == NULL) {
            if (now_ms() - heard_ms > 30000)
                fatal("nothing for 30 s with %" PRId32 " partitions unfinished", unfinished);
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            heard_ms = now_ms();
            if (message->offset < ends[message->partition])
                take(options, message);
            if (message->offset + 1 == ends[message->partition])
                unfinished--;
        } else if (message->rkt != NULL) {
            fatal("%s[%" PRId32 "]: %s", options->topic, message->partition,
                  rd_kafka_message_errstr(message));
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_assign(rk, NULL);
    rd_kafka_destroy(rk);
}

static FILE *dump;

static void dump_integer(uint64_t value, int bytes)
{
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
        fputc((int)(value >> shift & 0xff), dump);
}

static void dump_text(const void *data, size_t length)
{
    dump_integer(data == NULL ? UINT32_MAX : length, 4);
    if (data != NULL && length > 0 && fwrite(data, length, 1, dump) != 1)
        fatal("cannot write the dump");
}

static void dump_record(const struct options *options, const rd_kafka_message_t *message)
{
    (void)options;
    rd_kafka_timestamp_type_t type;
    rd_kafka_headers_t *headers = NULL;
    dump_integer((uint64_t)(uint32_t)message->partition, 4);
    dump_integer((uint64_t)message->offset, 8);
    dump_integer((uint64_t)rd_kafka_message_timestamp(message, &type), 8);
    dump_text(message->key, message->key_len);
    dump_text(message->payload, message->len);
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        dump_integer(0, 4);
        return;
    }
    size_t count = rd_kafka_header_cnt(headers);
    dump_integer(count, 4);
    for (size_t i = 0; i < count; i++) {
        const char *name;
        const void *value;
        size_t size;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
            fatal("header %zu cannot be read", i);
        dump_text(name, strlen(name));
        dump_text(value, size);
    }
}

static int command_consume(const struct options *options)
{
    dump = fopen(options->out, "wb");
    if (dump == NULL)
        fatal("cannot open %s", options->out);
    read_all(options, dump_record);
    if (fclose(dump) != 0)
        fatal("cannot write %s", options->out);
    return 0;
}

/* ------------------------------------------------------------------------------------------------
   Load and its check: record i is in partition i % partitions, its value is a function of seed and
   i, and each partition has one hash over the values in order */

struct partition_sum {
    int64_t count;
    uint64_t hash;
    int64_t next; /* verify: the record that is due */
};
static struct partition_sum sums[PARTITIONS_MAX];

static void make_load(const struct options *options, int64_t i, uint64_t *words)
{
    size_t count = (size_t)options->size / 8;
    uint64_t state =
        ((uint64_t)options->seed << 40) ^ ((uint64_t)i * 0x9e3779b97f4a7c15u) ^ 0x2545f491u;
    words[0] = (uint64_t)i;
    for (size_t w = 1; w < count; w++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words[w] = state;
    }
}

static void sum_add(struct partition_sum *sum, const uint64_t *words, size_t count)
{
    if (sum->count++ == 0)
        sum->hash = 0xcbf29ce484222325u;
    for (size_t w = 0; w < count; w++)
        sum->hash = (sum->hash ^ words[w]) * 0x100000001b3u;
}

static void print_sums(const struct options *options)
{
    for (int32_t p = 0; p < options->partitions; p++)
        printf("%" PRId32 " %" PRId64 " %016" PRIx64 "\n", p, sums[p].count, sums[p].hash);
}

static int command_load(const struct options *options)
{
    static uint64_t words[VALUE_MAX / 8];
    if (options->size < 16 || options->size > VALUE_MAX || options->size % 8 != 0)
        fatal("--size must be a multiple of 8 from 16 to %d", VALUE_MAX);
    rd_kafka_t *rk = producer_create(options);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, options->topic, NULL);
    int64_t started_ms = now_ms(), deadline_ms = started_ms + options->seconds * 1000;
    int64_t step = options->count > 0 ? (options->count + 99) / 100 : 10000, told = 0;
    int64_t i = 0;
    for (; options->count > 0 ? i < options->count : now_ms() < deadline_ms; i++) {
        int32_t p = (int32_t)(i % options->partitions);
        make_load(options, i, words);
        while (rd_kafka_produce(topic, p, RD_KAFKA_MSG_F_COPY, words, (size_t)options->size, NULL,
                                0, NULL) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                fatal("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(rk, 10);
            if (options->count == 0 && now_ms() >= deadline_ms)
                break;
        }
        sum_add(&sums[p], words, (size_t)options->size / 8);
        rd_kafka_poll(rk, 0);
        if (acked_count - told >= step) {
            told = acked_count;
            printf("acked %" PRId64 "\n", told);
        }
    }
    if (options->count == 0) {
        /* A measurement: what was acknowledged in the time given, the rest of the queue is dropped.
         */
        printf("rate %.0f\n", (double)acked_count * 1000 / (double)(now_ms() - started_ms));
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        _exit(0);
    }
    while (acked_count + failed_count < i) {
        rd_kafka_poll(rk, 20);
        if (acked_count - told >= step) {
            told = acked_count;
            printf("acked %" PRId64 "\n", told);
        }
        if (now_ms() - started_ms > 600000)
            break;
    }
    flush_all(rk, i);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    print_sums(options);
    return 0;
}

static void verify_in_order(const struct options *options, const rd_kafka_message_t *message)
{
    static uint64_t words[VALUE_MAX / 8];
    struct partition_sum *sum = &sums[message->partition];
    if (message->len != (size_t)options->size)
        fatal("partition %" PRId32 " offset %" PRId64 ": %zu bytes, not %" PRId64,
              message->partition, message->offset, message->len, options->size);
    memcpy(words, message->payload, message->len);
    int64_t i = (int64_t)words[0];
    int64_t due = sum->next * options->partitions + message->partition;
    if (i != due || message->offset != sum->next)
        fatal("partition %" PRId32 " offset %" PRId64 ": record %" PRId64 " where %" PRId64
              " was due at offset %" PRId64 " (%s)",
              message->partition, message->offset, i, due, sum->next,
              i < due ? "twice, or out of order" : "lost, or out of order");
    sum->next++;
    sum_add(sum, words, (size_t)options->size / 8);
}

/* One flag per record that load wrote. */
static bool *seen;
static int64_t seen_count;

static void verify_presence(const struct options *options, const rd_kafka_message_t *message)
{
    static uint64_t words[VALUE_MAX / 8];
    int64_t i = -1;
    if (message->len == (size_t)options->size)
        memcpy(&i, message->payload, sizeof i);
    if (i < 0 || i >= options->count || i % options->partitions != message->partition)
        fatal("partition %" PRId32 " offset %" PRId64 ": not a record that was written",
              message->partition, message->offset);
    make_load(options, i, words);
    if (memcmp(words, message->payload, message->len) != 0)
        fatal("partition %" PRId32 " offset %" PRId64 ": record %" PRId64 " has other bytes",
              message->partition, message->offset, i);
    sums[message->partition].count++;
    if (!seen[i])
        seen_count++;
    seen[i] = true;
}

static int command_verify(const struct options *options)
{
    if (!options->at_least_once) {
        read_all(options, verify_in_order);
        print_sums(options);
        return 0;
    }
    seen = calloc((size_t)options->count, sizeof *seen);
    if (seen == NULL)
        fatal("out of memory");
    read_all(options, verify_presence);
    if (seen_count != options->count)
        fatal("%" PRId64 " of %" PRId64 " records are missing", options->count - seen_count,
              options->count);
    print_sums(options);
    return 0;
}
