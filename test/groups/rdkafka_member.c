/* A group member on librdkafka, from C; what it prints is in run. Called by run, one process per
   member; with --groups it is many groups in one process.

   Happy path: subscribe; poll; print and commit what came; at a line on stdin close and end.
   A commit that fails, or a lost connection, is told on stderr: the broker is killed on purpose.
   Anything else that fails ends the process through fatal(). */

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PARTITIONS_MAX = 256, BATCH_MAX = 500, GROUPS_MAX = 1000 };

struct options {
    const char *brokers;
    const char *topic;
    const char *group;
    const char *session_ms;
    const char *assignor;
    const char *instance;
    const char *make;
    const char *partitions;
    const char *groups;
    const char *records;
};

static struct options options = {
    .session_ms = "2000", .assignor = "", .instance = "", .make = "0", .partitions = "1"};

static bool owned[PARTITIONS_MAX];

/* What was read of each partition and is not committed yet, or 0: a commit that fails is tried
 * again. */
static int64_t ends[PARTITIONS_MAX];

static int64_t failed_count;

static void fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void parse(int argc, char **argv)
{
    const struct {
        const char *name;
        const char **value;
    } rows[] = {
        {"--brokers", &options.brokers},   {"--topic", &options.topic},
        {"--group", &options.group},       {"--session-ms", &options.session_ms},
        {"--assignor", &options.assignor}, {"--instance", &options.instance},
        {"--make", &options.make},         {"--partitions", &options.partitions},
        {"--groups", &options.groups},     {"--records", &options.records},
    };
    for (int i = 1; i < argc; i += 2) {
        size_t row = 0;
        while (row < sizeof rows / sizeof *rows && strcmp(rows[row].name, argv[i]) != 0)
            row++;
        if (row == sizeof rows / sizeof *rows || i + 1 == argc)
            fatal("unknown option or no value: %s", argv[i]);
        *rows[row].value = argv[i + 1];
    }
}

static void conf_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fatal("%s=%s: %s", name, value, why);
}

static rd_kafka_conf_t *conf_create(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    conf_set(conf, "bootstrap.servers", options.brokers);
    conf_set(conf, "reconnect.backoff.max.ms", "500");
    conf_set(conf, "log_level", "0");
    return conf;
}

static rd_kafka_t *handle_create(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *handle = rd_kafka_new(type, conf, why, sizeof why);
    if (handle == NULL)
        fatal("rd_kafka_new: %s", why);
    return handle;
}

/* ---- --make: the topic, and records with every codec --------------------------------------- */

static void topic_create(void)
{
    char why[256];
    rd_kafka_t *handle = handle_create(RD_KAFKA_PRODUCER, conf_create());
    int partitions = (int)strtol(options.partitions, NULL, 10);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(options.topic, partitions, 1, why, sizeof why);
    if (topic == NULL)
        fatal("create: %s", why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_CreateTopics(handle, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    if (result == NULL)
        fatal("create: no answer");
    size_t count;
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (count != 1 || rd_kafka_topic_result_error(topics[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fatal("create: %s", rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_destroy(handle);
    puts("created");
}

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle;
    (void)opaque;
    failed_count += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void records_produce(const char *codec)
{
    static const char word[] = "compressible ";
    char value[10 * (sizeof word - 1)];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = word[i % (sizeof word - 1)];
    rd_kafka_conf_t *conf = conf_create();
    conf_set(conf, "compression.codec", codec);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *handle = handle_create(RD_KAFKA_PRODUCER, conf);
    int32_t partitions = (int32_t)strtol(options.partitions, NULL, 10);
    long count = strtol(options.make, NULL, 10) * partitions;
    for (long i = 0; i < count; i++) {
        rd_kafka_resp_err_t error =
            rd_kafka_producev(handle, RD_KAFKA_V_TOPIC(options.topic),
                              RD_KAFKA_V_PARTITION((int32_t)(i % partitions)),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_END);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            fatal("produce: %s", rd_kafka_err2str(error));
    }
    rd_kafka_resp_err_t error = rd_kafka_flush(handle, 20000);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR || failed_count != 0)
        fatal("%s: %s, %" PRId64 " records failed", codec, rd_kafka_err2str(error), failed_count);
    rd_kafka_destroy(handle);
    printf("produced %s\n", codec);
}

static void make(void)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    topic_create();
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        records_produce(codecs[i]);
}

/* ---- a member -------------------------------------------------------------------------------- */

static void partitions_print(const char *word, const rd_kafka_topic_partition_list_t *list)
{
    printf("%s ", word);
    for (int i = 0; i < list->cnt; i++)
        printf("%s%" PRId32, i == 0 ? "" : ",", list->elems[i].partition);
    if (list->cnt == 0)
        printf("-");
}

/* The only sight of the generation in this version: "CGMDv2:", the generation, member, instance. */
static int32_t generation_read(rd_kafka_t *consumer)
{
    static const char magic[] = "CGMDv2:";
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(consumer);
    void *bytes = NULL;
    size_t size = 0;
    rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size);
    if (error != NULL)
        fatal("metadata: %s", rd_kafka_error_string(error));
    int32_t generation;
    if (size < sizeof magic - 1 + sizeof generation || memcmp(bytes, magic, sizeof magic - 1) != 0)
        fatal("metadata of %zu bytes is not of the kind known here", size);
    memcpy(&generation, (char *)bytes + sizeof magic - 1, sizeof generation);
    rd_kafka_mem_free(consumer, bytes);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return generation;
}

static void owned_print(int32_t generation)
{
    const char *between = "";
    printf("assigned ");
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        if (owned[p]) {
            printf("%s%" PRId32, between, p);
            between = ",";
        }
    }
    printf("%s %" PRId32 "\n", *between == 0 ? "-" : "", generation);
}

static void rebalanced(rd_kafka_t *consumer, rd_kafka_resp_err_t why,
                       rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)opaque;
    bool is_assign = why == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    for (int i = 0; i < list->cnt; i++) {
        owned[list->elems[i].partition] = is_assign;
        ends[list->elems[i].partition] = 0;
    }
    rd_kafka_error_t *error = NULL;
    if (strcmp(rd_kafka_rebalance_protocol(consumer), "COOPERATIVE") == 0)
        error = is_assign ? rd_kafka_incremental_assign(consumer, list)
                          : rd_kafka_incremental_unassign(consumer, list);
    else
        rd_kafka_assign(consumer, is_assign ? list : NULL);
    if (error != NULL) {
        fprintf(stderr, "assign: %s\n", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    if (is_assign) {
        owned_print(generation_read(consumer));
    } else {
        partitions_print("revoked", list);
        putchar('\n');
    }
}

static void ends_commit(rd_kafka_t *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        if (ends[p] > 0)
            rd_kafka_topic_partition_list_add(list, options.topic, p)->offset = ends[p];
    }
    if (list->cnt > 0) {
        rd_kafka_resp_err_t error = rd_kafka_commit(consumer, list, 0);
        for (int i = 0; i < list->cnt && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            const rd_kafka_topic_partition_t *end = &list->elems[i];
            if (end->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                printf("committed %" PRId32 " %" PRId64 "\n", end->partition, end->offset);
                ends[end->partition] = 0;
            }
        }
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            fprintf(stderr, "commit: %s\n", rd_kafka_err2str(error));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void read_and_commit(rd_kafka_t *consumer)
{
    for (int i = 0; i < BATCH_MAX; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, i == 0 ? 100 : 0);
        if (message == NULL)
            break;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            printf("got %" PRId32 " %" PRId64 "\n", message->partition, message->offset);
            ends[message->partition] = message->offset + 1;
        }
        rd_kafka_message_destroy(message);
    }
    ends_commit(consumer);
}

static rd_kafka_t *consumer_create(const char *group, bool is_member)
{
    rd_kafka_conf_t *conf = conf_create();
    conf_set(conf, "group.id", group);
    conf_set(conf, "enable.auto.commit", "false");
    conf_set(conf, "auto.offset.reset", "earliest");
    conf_set(conf, "session.timeout.ms", options.session_ms);
    conf_set(conf, "heartbeat.interval.ms", is_member ? "300" : "3000");
    conf_set(conf, "fetch.wait.max.ms", is_member ? "100" : "500");
    if (*options.assignor != 0)
        conf_set(conf, "partition.assignment.strategy", options.assignor);
    if (*options.instance != 0)
        conf_set(conf, "group.instance.id", options.instance);
    if (is_member)
        rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
    rd_kafka_t *consumer = handle_create(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, options.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer, topics);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        fatal("subscribe: %s", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(topics);
    return consumer;
}

static void member(void)
{
    rd_kafka_t *consumer = consumer_create(options.group, true);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, 0) == 0)
        read_and_commit(consumer);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    puts("left");
}

/* ---- --groups N --records M: many groups, one member each, until each has read M records ------
 */

static void groups_read(void)
{
    static rd_kafka_t *consumers[GROUPS_MAX];
    static int64_t got[GROUPS_MAX];
    static int64_t next[GROUPS_MAX][PARTITIONS_MAX];
    int count = (int)strtol(options.groups, NULL, 10);
    int64_t wanted = strtoll(options.records, NULL, 10);
    if (count < 1 || count > GROUPS_MAX)
        fatal("--groups is 1 to %d", GROUPS_MAX);
    for (int g = 0; g < count; g++) {
        char name[64];
        snprintf(name, sizeof name, "%s-%d", options.group, g);
        consumers[g] = consumer_create(name, false);
    }
    int complete = 0;
    while (complete < count) {
        for (int g = 0; g < count; g++) {
            rd_kafka_message_t *message;
            int taken = 0;
            while (taken++ < BATCH_MAX &&
                   (message = rd_kafka_consumer_poll(consumers[g], 1)) != NULL) {
                if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                    int64_t *due = &next[g][message->partition];
                    if (message->offset != *due)
                        fatal("group %d, partition %" PRId32 ": %" PRId64 " where %" PRId64
                              " was due",
                              g, message->partition, message->offset, *due);
                    *due += 1;
                    got[g]++;
                    complete += got[g] == wanted;
                }
                rd_kafka_message_destroy(message);
            }
        }
    }
    for (int g = 0; g < count; g++) {
        if (got[g] != wanted)
            fatal("group %d got %" PRId64 " records", g, got[g]);
        rd_kafka_resp_err_t error = rd_kafka_commit(consumers[g], NULL, 0);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            fatal("group %d: commit: %s", g, rd_kafka_err2str(error));
        rd_kafka_consumer_close(consumers[g]);
        rd_kafka_destroy(consumers[g]);
    }
    printf("complete %d\n", complete);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts(rd_kafka_version_str());
        return 0;
    }
    parse(argc, argv);
    if (options.brokers == NULL || options.topic == NULL)
        fatal("--brokers and --topic are needed");
    if (strcmp(options.make, "0") != 0)
        make();
    else if (options.group == NULL)
        fatal("--group is needed");
    else if (options.groups != NULL)
        groups_read();
    else
        member();
    return 0;
}
