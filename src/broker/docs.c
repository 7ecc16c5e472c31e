/* Prints the reference documentation from the rows of config.def, apis.def, errors.def, metrics.def
   and messages.def. */
#include "broker/docs.h"

#include "broker/config_rows.h"
#include "broker/config_sources.h"
#include "broker/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A '|' inside a table cell would end it. */
static void print_cell(const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '|') {
            putchar('\\');
        }
        putchar(*text);
    }
}

static const char *status_name(enum config_status status)
{
    return status == CONFIG_WORKS   ? "works"
           : status == CONFIG_SHOWN ? "stored and shown"
                                    : "ignored";
}

static void print_config_table(enum config_scope scope, bool ignored)
{
    static const char *const updates[] = {"read-only", "per-broker", "cluster-wide"};
    printf("| key | type | default | valid | update | status | meaning "
           "|\n|---|---|---|---|---|---|---|\n");
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->scope != scope || (row->status == CONFIG_IGNORED) != ignored) {
            continue;
        }
        printf("| `%s` | %s | ", row->key, config_type_name(row->type));
        print_cell(row->initial == NULL ? "none" : row->initial[0] == 0 ? "empty" : row->initial);
        printf(" | ");
        print_cell(row->valid);
        printf(" | %s | %s | ", updates[row->update], status_name(row->status));
        print_cell(row->doc);
        printf(" |\n");
    }
}

/* In the order of enum config_layer, which is the order in which they count. */
static void print_layers(void)
{
    static const struct {
        const char *where;
        const char *shown_as;
    } layers[] = {
        [CONFIG_LAYER_FLAG] = {"the command line: `--set KEY=VALUE`, or an option of its own",
                               "STATIC_BROKER_CONFIG"},
        [CONFIG_LAYER_ENVIRONMENT] = {"the environment: `KAFKA_LOG_RETENTION_MS` is "
                                      "`log.retention.ms` (`_` is a dot, `__` an underscore, "
                                      "`___` a dash)",
                                      "STATIC_BROKER_CONFIG"},
        [CONFIG_LAYER_BROKER] = {"a dynamic config of the broker: `kafka-configs --entity-type "
                                 "brokers --entity-name 1`",
                                 "DYNAMIC_BROKER_CONFIG"},
        [CONFIG_LAYER_CLUSTER] = {"a dynamic config of the cluster: `--entity-default`",
                                  "DYNAMIC_DEFAULT_BROKER_CONFIG"},
        [CONFIG_LAYER_FILE] = {"the file that `--config` names; SIGHUP reads it again",
                               "STATIC_BROKER_CONFIG"},
    };
    static_assert(ARRAY_LEN(layers) == CONFIG_LAYERS, "every layer is told");
    printf("## What counts\n\nA key may be set in several places. The first that sets it counts; "
           "DescribeConfigs lists all of them as synonyms,\nin this order.\n\n"
           "| | where | in DescribeConfigs |\n|---|---|---|\n");
    for (u32 i = 0; i < CONFIG_LAYERS; i++) {
        printf("| %u | %s | %s |\n", i + 1, layers[i].where, layers[i].shown_as);
    }
    printf(
        "| %d | the default, below | DEFAULT_CONFIG |\n\n"
        "In Apache Kafka dynamic configs come before everything static, its `--override` too; "
        "here who starts the broker has the last word.\nA topic's own config comes before all of "
        "them; without one the broker's key of which it is a synonym gives the default.\n\n",
        CONFIG_LAYERS + 1);
}

static void print_retired(void)
{
    printf(
        "\n## Keys of older Kafkas\n\nAccepted, without effect; one line at the start names those "
        "that are set. A key that ends with * stands for all that begin so.\n\n| key | instead "
        "|\n|---|---|\n");
    for (u32 i = 0; i < config_retired_count; i++) {
        printf("| `%s` | ", config_retired_rows[i].key);
        print_cell(config_retired_rows[i].note);
        printf(" |\n");
    }
}

static void print_config(void)
{
    printf("# Configuration\n\nPrinted by `odradek docs config` from `src/broker/config.def`. "
           "Broker keys are set with\n"
           "`odradek serve --set KEY=VALUE`, topic keys when a topic is created.\n\n"
           "Status: *works*; *stored and shown* (accepted, checked and described, not acted upon); "
           "*ignored* (accepted so\n"
           "that existing configurations load).\n\n");
    print_layers();
    printf("## Topic keys\n\n");
    print_config_table(CONFIG_SCOPE_TOPIC, false);
    printf("\n## Group keys\n\nSet with AlterConfigs (`kafka-configs --entity-type groups`). They "
           "are of group protocols that are not\n"
           "served yet; the classic protocol has no configs of a group.\n\n");
    print_config_table(CONFIG_SCOPE_GROUP, false);
    printf("\n## Broker keys\n\n");
    print_config_table(CONFIG_SCOPE_BROKER, false);
    printf("\n## Broker keys that are accepted and ignored\n\n");
    print_config_table(CONFIG_SCOPE_BROKER, true);
    print_retired();
}

static void print_apis(void)
{
    printf("# APIs\n\nPrinted by `odradek docs apis` from `src/wire/apis.def` and "
           "`src/broker/handlers.def`: what ApiVersions\n"
           "advertises. (Produce is advertised from version 0, as librdkafka needs, though 0 to 2 "
           "are refused.)\n\n"
           "| key | API | versions | what it does |\n|---|---|---|---|\n");
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        if (broker_serves(api->key)) {
            i16 max = api->key == API_init_producer_id ? INIT_PRODUCER_ID_VERSION_MAX : api->max;
            printf("| %d | %s | %d-%d | %s |\n", api->key, api->kafka_name, api->min, max,
                   api->doc);
        }
    }
}

static void print_errors(void)
{
    printf(
        "# Errors on the wire\n\nPrinted by `odradek docs errors` from `src/wire/errors.def`.\n\n"
        "| code | name | clients try again | meaning |\n|---|---|---|---|\n");
    for (u32 i = 0; i < kerr_row_count; i++) {
        printf("| %d | %s | %s | ", kerr_rows[i].code, kerr_rows[i].name,
               kerr_rows[i].flags & KERR_FLAG_RETRIABLE ? "yes" : "");
        print_cell(kerr_rows[i].doc);
        printf(" |\n");
    }
}

static void print_metrics(void)
{
    printf(
        "# Metrics\n\nPrinted by `odradek docs metrics` from `src/broker/metrics_families.def` and "
        "`src/base/metrics.def`.\n"
        "`/metrics` on the HTTP port (`odradek.http.listen`, 127.0.0.1:8080) has them in "
        "Prometheus' text format 0.0.4.\n\n"
        "```\nscrape_configs:\n  - job_name: odradek\n    static_configs:\n      - targets: "
        "[127.0.0.1:8080]\n```\n\n"
        "Names that begin with `kafka_` are those of kafka_exporter and of Strimzi's JMX rules, so "
        "that boards made for them show\n"
        "this broker. Topics, partitions, groups and offsets have series of their own up to "
        "`odradek.http.series.max` of a\nkind. Histograms are in seconds.\n\n"
        "| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    const char *name;
    const char *kind;
    const char *labels;
    const char *doc;
    for (u32 i = 0; metrics_family_at(i, &name, &kind, &labels, &doc); i++) {
        printf("| `%s` | %s | %s | ", name, kind, labels);
        print_cell(doc);
        printf(" |\n");
    }
    printf("\nThe broker prints these also in one diagnostic when it stops and on SIGUSR1:\n\n"
           "| metric | kind | unit | meaning |\n|---|---|---|---|\n");
    for (u32 i = 0; i < METRIC_COUNT; i++) {
        printf("| `odradek_%s` | %s | %s | %s |\n", metric_rows[i].name,
               metric_rows[i].kind == METRIC_COUNTER ? "counter" : "gauge", metric_rows[i].unit,
               metric_rows[i].doc);
    }
    printf("\nAnd not these:\n\n| metric | kind | unit | meaning |\n|---|---|---|---|\n");
    for (u32 i = 0; i < HISTOGRAM_COUNT; i++) {
        printf("| `odradek_%s` | histogram | seconds | %s |\n", histogram_rows[i].name,
               histogram_rows[i].doc);
    }
    printf(
        "\n## Health\n\nOn the same port; 200 is good, 503 is not. `?verbose` names every check "
        "with what it looked at.\n\n| page | asks | checks |\n|---|---|---|\n"
        "| `/livez` | is it alive? Restart it when this fails for long | loop, storage |\n"
        "| `/readyz`, `/v1/status/ready` | may clients be sent to it? | the same, in-service, "
        "groups |\n"
        "| `/healthz` | is anything wrong with it? | the same, space, wal, memory, connections, "
        "damage, descriptors |\n"
        "\n## Boards\n\nEvery query of these Grafana boards is asked of a Prometheus that scrapes "
        "this broker, and its value compared\nwith what was sent, in `test/http/run boards`: "
        "7589 (Kafka Exporter Overview, as on grafana.com and in\nkafka_exporter's "
        "repository), and Strimzi's `strimzi-kafka-exporter`, `strimzi-kafka` and\n"
        "`strimzi-kafka-consumer-groups-lag`. Strimzi's boards select by labels that "
        "Kubernetes gives a target:\n`namespace`, `strimzi_io_cluster`, "
        "`kubernetes_pod_name`, `container`, `strimzi_io_name`. Elsewhere they stand\nunder "
        "`labels:` in `static_configs`.\n\nThese series they ask for cannot be here, and are "
        "left out rather than told as zero:\n\n"
        "| series | why | instead |\n|---|---|---|\n"
        "| `jvm_memory_bytes_used` | there is no JVM | `process_resident_memory_bytes`, "
        "`odradek_memory_used_bytes` |\n"
        "| `jvm_gc_collection_seconds_sum`, `jvm_gc_collection_seconds_count` | there is no "
        "garbage collector | |\n"
        "| `jvm_threads_current` | there is no JVM | `process_threads` |\n"
        "| `container_memory_working_set_bytes` | Kubernetes' own | it is there when "
        "Kubernetes runs this broker |\n"
        "| `kubelet_volume_stats_available_bytes` | Kubernetes' own | the same; elsewhere "
        "`/healthz?verbose` has the space that is left |\n\n"
        "Boards of ZooKeeper and of KRaft's quorum have nothing to show: there is neither.\n"
        "\n## Clients\n\n`/api/v1/clients` is who is connected, as JSON: address, client id, "
        "software and version as it said them,\nlistener, principal, group, last API, since "
        "when, idle for how long, requests, unanswered ones, bytes. At most\n20,000; "
        "`left_out` counts the rest. `odradek clients` prints it.\n");
}

static int row_order(const void *a, const void *b)
{
    const struct diag_row *const *left = a;
    const struct diag_row *const *right = b;
    return ((*left)->code > (*right)->code) - ((*left)->code < (*right)->code);
}

/* By number; a heading for every hundred. */
static void print_messages(void)
{
    static const struct {
        u32 hundred;
        const char *title;
    } areas[] = {
        {10, "Connections"},   {11, "Addresses and listeners"},
        {20, "Groups"},        {21, "Topics and requests"},
        {30, "Storage"},       {31, "The data directory"},
        {40, "Access"},        {50, "Life of the process"},
        {51, "Configuration"}, {52, "Start"},
        {60, "Commands"},
    };
    const struct diag_row **rows = mem_alloc(diag_row_count * sizeof *rows);
    for (u32 i = 0; i < diag_row_count; i++) {
        rows[i] = &diag_rows[i];
    }
    qsort(rows, diag_row_count, sizeof *rows, row_order);
    printf("# Messages and errors, by code\n\nPrinted by `odradek docs messages` from "
           "`src/base/messages.def`: what the broker says on\n"
           "standard error, what it refuses to start for, and what it writes into the error "
           "messages of its answers. Codes stay.\n"
           "`odradek errors ODK-1102` prints one of them.\n");
    u32 hundred = 0;
    for (u32 i = 0; i < diag_row_count; i++) {
        if (rows[i]->code / 100 != hundred) {
            hundred = rows[i]->code / 100;
            const char *title = "More";
            for (u32 k = 0; k < ARRAY_LEN(areas); k++) {
                title = areas[k].hundred == hundred ? areas[k].title : title;
            }
            printf("\n## %uxx %s\n\n| code | level | text | what to do |\n|---|---|---|---|\n",
                   hundred, title);
        }
        printf("| ODK-%04d | %s | ", (int)rows[i]->code, diag_level_name(rows[i]->level));
        print_cell(rows[i]->text);
        printf(" | ");
        print_cell(rows[i]->help);
        printf(" |\n");
    }
    mem_free(rows);
}

/* A comment of at most so many columns to a line. */
static void print_comment(const char *text)
{
    const size_t columns = 98;
    while (*text != 0) {
        size_t len = strlen(text);
        if (len > columns) {
            for (len = columns; len > 0 && text[len] != ' '; len--) {
            }
            len = len == 0 ? columns : len;
        }
        printf("# %.*s\n", (int)len, text);
        text += len;
        text += *text == ' ';
    }
}

static bool is_for_tests(const struct config_row *row)
{
    return strncmp(row->key, "odradek.test.", strlen("odradek.test.")) == 0;
}

/* An example of a configuration file: every key that does something, with its default, as a
 * comment. */
static void print_properties(void)
{
    printf(
        "# Configuration of the broker, in the format of Kafka's server.properties.\n"
        "#\n"
        "# These are the keys that do something, each with its default; remove the # before one "
        "to\n"
        "# set it. Other keys of Kafka's are accepted: `odradek docs config` says what becomes of "
        "them.\n");
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->scope != CONFIG_SCOPE_BROKER || row->status != CONFIG_WORKS || is_for_tests(row)) {
            continue;
        }
        printf("\n");
        print_comment(row->doc);
        printf("# %s%s%s; %s\n#%s=%s\n", config_type_name(row->type),
               row->valid[0] != 0 ? ", " : "", row->valid,
               row->update == CONFIG_UPDATE_CLUSTER_WIDE ? "may change while the broker runs"
                                                         : "read at start",
               row->key, row->initial == NULL ? "" : row->initial);
    }
}

int docs_print(const char *reference)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } references[] = {
        {"config", print_config},   {"apis", print_apis},         {"errors", print_errors},
        {"metrics", print_metrics}, {"messages", print_messages}, {"properties", print_properties},
    };
    for (u32 i = 0; i < ARRAY_LEN(references); i++) {
        if (strcmp(reference, references[i].name) == 0) {
            references[i].print();
            return 0;
        }
    }
    return -1;
}

void docs_print_keys(void)
{
    printf("\nkeys for --set that do something (all others: odradek docs config):\n");
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->scope == CONFIG_SCOPE_BROKER && row->status == CONFIG_WORKS) {
            printf("  %-40s %s\n", row->key, row->doc);
        }
    }
}
