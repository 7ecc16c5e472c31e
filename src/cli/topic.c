/* odradek topic ls, create, info, rm. */
#include "cli/commands.h"
#include "cli/rdkafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int need_names(const struct cli_args *a, const char *command)
{
    if (a->operand_count > 0) {
        return CLI_OK;
    }
    fprintf(stderr,
            "error: odradek %s needs the name of a topic\n`odradek %s --help` explains it\n",
            command, command);
    return CLI_USAGE;
}

/* A client to ask with; asking for a topic must not create it. */
static rd_kafka_t *asking_client(const struct rdkafka *rd, const struct cli_args *a)
{
    return rdkafka_client(rd, RD_KAFKA_CONSUMER, a, "allow.auto.create.topics", "false", "group.id",
                          "odradek-cli", NULL);
}

int command_topic_ls(const struct cli_args *a)
{
    const struct rdkafka *rd = rdkafka_load();
    rd_kafka_t *client = rd == NULL ? NULL : asking_client(rd, a);
    if (client == NULL) {
        return CLI_FAILED;
    }
    int code;
    const struct rd_kafka_metadata *m = rdkafka_metadata(rd, client, a, NULL, &code);
    if (m != NULL) {
        if (isatty(STDOUT_FILENO)) {
            printf("%-40s %s\n", "TOPIC", "PARTITIONS");
        }
        for (int i = 0; i < m->topic_cnt; i++) {
            printf("%-40s %d\n", m->topics[i].topic, m->topics[i].partition_cnt);
        }
        rd->rd_kafka_metadata_destroy(m);
    }
    rd->rd_kafka_destroy(client);
    return code;
}

static int print_topic(const struct rdkafka *rd, rd_kafka_t *client, const struct cli_args *a,
                       const char *topic)
{
    int code;
    const struct rd_kafka_metadata *m = rdkafka_metadata(rd, client, a, topic, &code);
    if (m == NULL) {
        return code;
    }
    const struct rd_kafka_metadata_topic *t = &m->topics[0];
    printf("TOPIC %s  %d partition%s\n%-10s %-8s %-14s %s\n", t->topic, t->partition_cnt,
           t->partition_cnt == 1 ? "" : "s", "PARTITION", "LEADER", "START", "END");
    for (int i = 0; i < t->partition_cnt && code == CLI_OK; i++) {
        i64 low, high;
        rd_kafka_resp_err_t err = rd->rd_kafka_query_watermark_offsets(
            client, topic, t->partitions[i].id, &low, &high, RDKAFKA_TIMEOUT_MS);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = rdkafka_failed(rd, a, "cannot read the offsets of a partition", err);
            break;
        }
        printf("%-10d %-8d %-14lld %lld\n", t->partitions[i].id, t->partitions[i].leader,
               (long long)low, (long long)high);
    }
    rd->rd_kafka_metadata_destroy(m);
    return code;
}

int command_topic_info(const struct cli_args *a)
{
    int code = need_names(a, "topic info");
    const struct rdkafka *rd = code == CLI_OK ? rdkafka_load() : NULL;
    rd_kafka_t *client = rd == NULL ? NULL : asking_client(rd, a);
    if (client == NULL) {
        return code != CLI_OK ? code : CLI_FAILED;
    }
    for (u32 i = 0; i < a->operand_count && code == CLI_OK; i++) {
        code = print_topic(rd, client, a, a->operands[i]);
    }
    rd->rd_kafka_destroy(client);
    return code;
}

/* The results of an admin call, one line per topic; the first failure's exit code. */
static int report(const struct rdkafka *rd, const struct cli_args *a,
                  const rd_kafka_topic_result_t **results, size_t count, const char *done,
                  const char *failed)
{
    int code = CLI_OK;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = rd->rd_kafka_topic_result_error(results[i]);
        const char *name = rd->rd_kafka_topic_result_name(results[i]);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            printf("%s %s\n", done, name);
            continue;
        }
        char what[1024];
        const char *why = rd->rd_kafka_topic_result_error_string(results[i]);
        snprintf(what, sizeof what, "%s topic \"%s\"%s%s", failed, name, why != NULL ? ": " : "",
                 why != NULL ? why : "");
        int one = rdkafka_failed(rd, a, what, err);
        code = code == CLI_OK ? one : code;
    }
    return code;
}

static bool whole_number(const char *text, long low, long high, long *out)
{
    char *end;
    *out = strtol(text, &end, 10);
    return text[0] != 0 && *end == 0 && *out >= low && *out <= high;
}

static int usage(const char *option, const char *value, const char *wanted)
{
    fprintf(stderr, "error: --%s %s is not %s\n", option, value, wanted);
    return CLI_USAGE;
}

/* One topic to be made, with its configs. NULL: told why. */
static rd_kafka_NewTopic_t *new_topic(const struct rdkafka *rd, const struct cli_args *a,
                                      const char *name, long partitions, long factor)
{
    char reason[512];
    rd_kafka_NewTopic_t *t =
        rd->rd_kafka_NewTopic_new(name, (int)partitions, (int)factor, reason, sizeof reason);
    if (t == NULL) {
        fprintf(stderr, "error: %s\n", reason);
        return NULL;
    }
    for (u32 i = 0; i < a->value_count; i++) {
        if (strcmp(a->values[i].option, "config") != 0) {
            continue;
        }
        char *pair = mem_strndup(slice_cstr(a->values[i].value));
        char *equals = strchr(pair, '=');
        if (equals != NULL) {
            *equals = 0;
        }
        rd_kafka_resp_err_t err = equals == NULL
                                      ? RD_KAFKA_RESP_ERR__INVALID_ARG
                                      : rd->rd_kafka_NewTopic_set_config(t, pair, equals + 1);
        mem_free(pair);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            usage("config", a->values[i].value, "KEY=VALUE");
            rd->rd_kafka_NewTopic_destroy(t);
            return NULL;
        }
    }
    return t;
}

static int create_all(const struct rdkafka *rd, rd_kafka_t *client, const struct cli_args *a,
                      long partitions, long factor)
{
    rd_kafka_NewTopic_t **topics = mem_alloc(a->operand_count * sizeof(rd_kafka_NewTopic_t *));
    u32 count = 0;
    while (count < a->operand_count &&
           (topics[count] = new_topic(rd, a, a->operands[count], partitions, factor)) != NULL) {
        count++;
    }
    int code = CLI_USAGE;
    if (count == a->operand_count) {
        char reason[256];
        rd_kafka_AdminOptions_t *options =
            rd->rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        bool dry = cli_flag(a, "dry-run");
        rd->rd_kafka_AdminOptions_set_validate_only(options, dry, reason, sizeof reason);
        rd_kafka_queue_t *queue = rd->rd_kafka_queue_new(client);
        rd->rd_kafka_CreateTopics(client, topics, count, options, queue);
        rd_kafka_event_t *event = rd->rd_kafka_queue_poll(queue, RDKAFKA_TIMEOUT_MS);
        if (event == NULL || rd->rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = rdkafka_failed(rd, a, "cannot create topics",
                                  event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                                : rd->rd_kafka_event_error(event));
        } else {
            size_t n;
            const rd_kafka_topic_result_t **results = rd->rd_kafka_CreateTopics_result_topics(
                rd->rd_kafka_event_CreateTopics_result(event), &n);
            code = report(rd, a, results, n, dry ? "would create" : "created", "cannot create");
        }
        if (event != NULL) {
            rd->rd_kafka_event_destroy(event);
        }
        rd->rd_kafka_queue_destroy(queue);
        rd->rd_kafka_AdminOptions_destroy(options);
    }
    for (u32 i = 0; i < count; i++) {
        rd->rd_kafka_NewTopic_destroy(topics[i]);
    }
    mem_free(topics);
    return code;
}

int command_topic_create(const struct cli_args *a)
{
    int code = need_names(a, "topic create");
    if (code != CLI_OK) {
        return code;
    }
    long partitions = -1;
    long factor = -1;
    const char *text = cli_value(a, "partitions");
    if (text != NULL && !whole_number(text, 1, 100000, &partitions)) {
        return usage("partitions", text, "a number from 1 to 100000");
    }
    text = cli_value(a, "replication-factor");
    if (text != NULL && !whole_number(text, 1, INT16_MAX, &factor)) {
        return usage("replication-factor", text, "a number from 1 to 32767");
    }
    const struct rdkafka *rd = rdkafka_load();
    rd_kafka_t *client = rd == NULL ? NULL : rdkafka_client(rd, RD_KAFKA_PRODUCER, a, NULL);
    if (client == NULL) {
        return CLI_FAILED;
    }
    code = create_all(rd, client, a, partitions, factor);
    rd->rd_kafka_destroy(client);
    return code;
}

/* Deleting cannot be undone: the name is typed once more, unless --yes. */
static bool confirmed(const struct cli_args *a, const char *topic)
{
    if (cli_flag(a, "yes")) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr,
                "error: topic \"%s\" was not deleted: nobody can confirm it\nstandard input is not "
                "a terminal\n"
                "say --yes to delete without being asked\n",
                topic);
        return false;
    }
    printf("This deletes topic %s and all its records. Type its name to go on: ", topic);
    fflush(stdout);
    char line[512];
    if (fgets(line, sizeof line, stdin) == NULL) {
        return false;
    }
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, topic) != 0) {
        fprintf(stderr, "error: that is another name; nothing was deleted\n");
        return false;
    }
    return true;
}

int command_topic_rm(const struct cli_args *a)
{
    int code = need_names(a, "topic rm");
    if (code != CLI_OK) {
        return code;
    }
    for (u32 i = 0; i < a->operand_count; i++) {
        if (!confirmed(a, a->operands[i])) {
            return CLI_USAGE;
        }
    }
    const struct rdkafka *rd = rdkafka_load();
    rd_kafka_t *client = rd == NULL ? NULL : rdkafka_client(rd, RD_KAFKA_PRODUCER, a, NULL);
    if (client == NULL) {
        return CLI_FAILED;
    }
    rd_kafka_DeleteTopic_t **topics =
        mem_alloc(a->operand_count * sizeof(rd_kafka_DeleteTopic_t *));
    for (u32 i = 0; i < a->operand_count; i++) {
        topics[i] = rd->rd_kafka_DeleteTopic_new(a->operands[i]);
    }
    rd_kafka_queue_t *queue = rd->rd_kafka_queue_new(client);
    rd->rd_kafka_DeleteTopics(client, topics, a->operand_count, NULL, queue);
    rd_kafka_event_t *event = rd->rd_kafka_queue_poll(queue, RDKAFKA_TIMEOUT_MS);
    if (event == NULL || rd->rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = rdkafka_failed(rd, a, "cannot delete topics",
                              event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                            : rd->rd_kafka_event_error(event));
    } else {
        size_t n;
        const rd_kafka_topic_result_t **results = rd->rd_kafka_DeleteTopics_result_topics(
            rd->rd_kafka_event_DeleteTopics_result(event), &n);
        code = report(rd, a, results, n, "deleted", "cannot delete");
    }
    if (event != NULL) {
        rd->rd_kafka_event_destroy(event);
    }
    rd->rd_kafka_queue_destroy(queue);
    for (u32 i = 0; i < a->operand_count; i++) {
        rd->rd_kafka_DeleteTopic_destroy(topics[i]);
    }
    mem_free(topics);
    rd->rd_kafka_destroy(client);
    return code;
}
