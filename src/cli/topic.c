/* odradek topic ls, info, create, edit, rm, stats. */
#include "cli/topic.h"
#include "cli/change.h"
#include "cli/commands.h"
#include "cli/kafka.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/settings.h"

#include <poll.h>
#include <string.h>

static int need_topics(const struct cli_args *a)
{
    return a->operand_count > 0
               ? CLI_OK
               : problem(CLI_USAGE, cli_text(a, "odradek %s needs the name of a topic", a->words),
                         NULL, cli_text(a, "odradek help %s   explains it", a->words));
}

/* ---- ls -------------------------------------------------------------------------------------- */

static const struct column ls_columns[] = {{"topic", "TOPIC", COLUMN_NAME},
                                           {"partition_count", "PARTITIONS", 0},
                                           {"replicas", "REPLICAS", COLUMN_WIDE},
                                           {"internal", "INTERNAL", COLUMN_WIDE},
                                           {"id", "ID", COLUMN_WIDE},
                                           {0}};
static const struct view ls_view = {.columns = ls_columns, .listing = true};

static void add_topic(struct node *to, const struct metadata_response_topic *t)
{
    char id[23];
    uuid_print(t->topic_id, id);
    node_add_text(to, "topic", t->name);
    node_add_number(to, "partition_count", t->partitions.count);
    node_add_number(to, "replicas",
                    t->partitions.count > 0 ? t->partitions.items[0].replica_nodes.count : 0);
    node_add_bool(to, "internal", t->is_internal);
    node_add_text(to, "id", arena_copy(to->arena, slice_cstr(id)));
}

int command_topic_ls(const struct cli_args *a)
{
    int code;
    struct kafka *k = kafka_open(a, &code);
    struct metadata_response topics;
    code = k == NULL ? code : kafka_topics(k, NULL, &topics);
    kafka_close(k);
    if (code != CLI_OK) {
        return code;
    }
    struct node *list = node_list(a->arena);
    for (u32 i = 0; i < topics.topics.count; i++) {
        add_topic(node_add_object(list, NULL), &topics.topics.items[i]);
    }
    node_sort(list, "topic");
    return out_print(a, list, &ls_view);
}

/* ---- info ------------------------------------------------------------------------------------ */

static const struct column info_columns[] = {
    {"topic", "TOPIC", COLUMN_NAME}, {"partition_count", "PARTITIONS", 0},
    {"records", "RECORDS", 0},       {"bytes", "SIZE", COLUMN_BYTES},
    {"id", "ID", COLUMN_WIDE},       {0}};
static const struct column partition_columns[] = {{"partition", "PARTITION", 0},
                                                  {"leader", "LEADER", 0},
                                                  {"leader_epoch", "EPOCH", COLUMN_WIDE},
                                                  {"replicas", "REPLICAS", COLUMN_WIDE},
                                                  {"start", "START", 0},
                                                  {"end", "END", 0},
                                                  {"records", "RECORDS", 0},
                                                  {"bytes", "SIZE", COLUMN_BYTES},
                                                  {0}};
static const struct column config_columns[] = {{"key", "CONFIG", 0}, {"value", "VALUE", 0}, {0}};
static const struct view info_view = {
    .columns = info_columns,
    .tables = {{"partitions", partition_columns}, {"configs", config_columns}}};

/* Bytes stored of every partition of a topic, over all directories; -1 where nobody says. */
static int partition_sizes(struct kafka *k, struct slice topic, i64 *bytes, u32 count)
{
    struct arena *arena = kafka_args(k)->arena;
    i32 *indexes = arena_array(arena, count + 1, sizeof *indexes);
    for (u32 i = 0; i < count; i++) {
        indexes[i] = (i32)i;
        bytes[i] = -1;
    }
    struct describe_log_dirs_request_describable_dir_topic of = {
        .topic = topic, .partitions = {.items = indexes, .count = count}};
    struct describe_log_dirs_request request = {.topics = {.items = &of, .count = 1}};
    struct describe_log_dirs_response response;
    int code = kafka_has(k, API_describe_log_dirs)
                   ? kafka_ask(k, API_describe_log_dirs, 4, &request, &response)
                   : CLI_OK;
    if (code != CLI_OK || !kafka_has(k, API_describe_log_dirs)) {
        return code;
    }
    for (u32 d = 0; d < response.results.count; d++) {
        const struct describe_log_dirs_response_result *dir = &response.results.items[d];
        for (u32 t = 0; t < dir->topics.count; t++) {
            for (u32 p = 0; p < dir->topics.items[t].partitions.count; p++) {
                const struct describe_log_dirs_response_partition *one =
                    &dir->topics.items[t].partitions.items[p];
                if (one->partition_index >= 0 && (u32)one->partition_index < count &&
                    slice_eq(dir->topics.items[t].name, topic)) {
                    i64 *to = &bytes[one->partition_index];
                    *to = MAX(*to, 0) + one->partition_size;
                }
            }
        }
    }
    return CLI_OK;
}

struct measured {
    const struct metadata_response_topic *topic;
    u32 count; /* partitions */
    i64 *starts;
    i64 *ends;
    i64 *bytes;
};

static int measure(struct kafka *k, const struct metadata_response_topic *topic,
                   struct measured *out)
{
    struct arena *arena = kafka_args(k)->arena;
    u32 count = topic->partitions.count;
    *out = (struct measured){
        .topic = topic,
        .count = count,
        .starts = arena_array(arena, count + 1, sizeof(i64)),
        .ends = arena_array(arena, count + 1, sizeof(i64)),
        .bytes = arena_array(arena, count + 1, sizeof(i64)),
    };
    int code = kafka_offsets(k, topic->name, KAFKA_START, out->starts, count);
    code = code != CLI_OK ? code : kafka_offsets(k, topic->name, KAFKA_END, out->ends, count);
    return code != CLI_OK ? code : partition_sizes(k, topic->name, out->bytes, count);
}

static i64 records_of(const struct measured *m)
{
    i64 records = 0;
    for (u32 i = 0; i < m->count; i++) {
        records += m->ends[i] - m->starts[i];
    }
    return records;
}

static i64 bytes_of(const struct measured *m)
{
    i64 bytes = 0;
    for (u32 i = 0; i < m->count; i++) {
        bytes += MAX(m->bytes[i], 0);
    }
    return bytes;
}

static void add_partitions(struct node *list, const struct measured *m)
{
    for (u32 i = 0; i < m->count; i++) {
        const struct metadata_response_partition *p = &m->topic->partitions.items[i];
        u32 index = (u32)p->partition_index;
        if (index >= m->count) {
            continue;
        }
        struct node *one = node_add_object(list, NULL);
        node_add_number(one, "partition", p->partition_index);
        node_add_number(one, "leader", p->leader_id);
        node_add_number(one, "leader_epoch", p->leader_epoch);
        struct node *replicas = node_add_list(one, "replicas");
        for (u32 r = 0; r < p->replica_nodes.count; r++) {
            node_add_number(replicas, NULL, p->replica_nodes.items[r]);
        }
        node_add_number(one, "start", m->starts[index]);
        node_add_number(one, "end", m->ends[index]);
        node_add_number(one, "records", m->ends[index] - m->starts[index]);
        if (m->bytes[index] < 0) {
            node_add_null(one, "bytes");
        } else {
            node_add_number(one, "bytes", m->bytes[index]);
        }
    }
}

int topic_add_info(struct kafka *k, struct node *list, const char *name)
{
    struct metadata_response topics;
    struct measured m;
    struct describe_configs_response_result configs;
    int code = kafka_topics(k, name, &topics);
    code = code != CLI_OK ? code : measure(k, &topics.topics.items[0], &m);
    code = code != CLI_OK ? code : settings_read(k, SETTINGS_TOPIC, name, &configs);
    if (code != CLI_OK) {
        return code;
    }
    struct node *one = node_add_object(list, NULL);
    add_topic(one, m.topic);
    node_add_number(one, "records", records_of(&m));
    node_add_number(one, "bytes", bytes_of(&m));
    add_partitions(node_add_list(one, "partitions"), &m);
    struct node *own = node_add_list(one, "configs");
    for (u32 i = 0; i < configs.configs.count; i++) {
        const struct describe_configs_response_resource_result *c = &configs.configs.items[i];
        if (c->config_source == SETTINGS_SOURCE_TOPIC) {
            struct node *config = node_add_object(own, NULL);
            node_add_text(config, "key", c->name);
            node_add_text(config, "value", c->value);
        }
    }
    return CLI_OK;
}

int command_topic_info(const struct cli_args *a)
{
    int code = need_topics(a);
    struct kafka *k = code == CLI_OK ? kafka_open(a, &code) : NULL;
    struct node *list = node_list(a->arena);
    for (u32 i = 0; i < a->operand_count && code == CLI_OK; i++) {
        code = topic_add_info(k, list, a->operands[i]);
    }
    kafka_close(k);
    return code != CLI_OK ? code : out_print(a, list, &info_view);
}

/* ---- stats ----------------------------------------------------------------------------------- */

static const struct column stats_columns[] = {{"topic", "TOPIC", COLUMN_NAME},
                                              {"partition_count", "PARTITIONS", 0},
                                              {"records", "RECORDS", 0},
                                              {"bytes", "SIZE", COLUMN_BYTES},
                                              {"record_bytes", "BYTES/RECORD", COLUMN_BYTES},
                                              {"records_per_second", "RECORDS/S", 0},
                                              {"bytes_per_second", "BYTES/S", COLUMN_BYTES},
                                              {0}};
static const struct view stats_view = {.columns = stats_columns, .listing = true};

/* The topics named, or all that are not the broker's own. */
static int wanted_topics(struct kafka *k, const struct metadata_response_topic ***out, u32 *count)
{
    const struct cli_args *a = kafka_args(k);
    struct metadata_response all;
    int code = kafka_topics(k, NULL, &all);
    if (code != CLI_OK) {
        return code;
    }
    *out = arena_array(a->arena, all.topics.count + a->operand_count + 1, sizeof **out);
    *count = 0;
    for (u32 i = 0; a->operand_count == 0 && i < all.topics.count; i++) {
        if (!all.topics.items[i].is_internal) {
            (*out)[(*count)++] = &all.topics.items[i];
        }
    }
    for (u32 i = 0; i < a->operand_count && code == CLI_OK; i++) {
        struct metadata_response *one = arena_alloc(a->arena, sizeof *one);
        code = kafka_topics(k, a->operands[i], one);
        if (code == CLI_OK) {
            (*out)[(*count)++] = &one->topics.items[0];
        }
    }
    return code;
}

static int measure_all(struct kafka *k, const struct metadata_response_topic **topics, u32 count,
                       struct measured *out, i64 *at_ms)
{
    *at_ms = wall_ms();
    for (u32 i = 0; i < count; i++) {
        int code = measure(k, topics[i], &out[i]);
        if (code != CLI_OK) {
            return code;
        }
    }
    return CLI_OK;
}

static i64 ends_of(const struct measured *m)
{
    i64 sum = 0;
    for (u32 i = 0; i < m->count; i++) {
        sum += m->ends[i];
    }
    return sum;
}

static void add_stats(struct node *list, const struct measured *first,
                      const struct measured *second, i64 elapsed_ms)
{
    i64 records = records_of(second);
    i64 bytes = bytes_of(second);
    f64 seconds = (f64)MAX(elapsed_ms, 1) / 1000;
    struct node *one = node_add_object(list, NULL);
    node_add_text(one, "topic", second->topic->name);
    node_add_number(one, "partition_count", second->count);
    node_add_number(one, "records", records);
    node_add_number(one, "bytes", bytes);
    node_add_real(one, "record_bytes", records > 0 ? (f64)bytes / (f64)records : 0);
    node_add_real(one, "records_per_second", (f64)(ends_of(second) - ends_of(first)) / seconds);
    /* Retention makes a topic smaller: that is no rate of writing. */
    node_add_real(one, "bytes_per_second", (f64)MAX(bytes - bytes_of(first), 0) / seconds);
}

int command_topic_stats(const struct cli_args *a)
{
    i64 during_ms = 1000;
    const char *text = cli_value(a, "during");
    if (text != NULL &&
        !(parse_duration(text, &during_ms) && during_ms > 0 && during_ms <= INT32_MAX)) {
        return problem_of_value(a, "during", text, "a duration as 500ms, 10s or 2m");
    }
    int code;
    struct kafka *k = kafka_open(a, &code);
    const struct metadata_response_topic **topics = NULL;
    u32 count = 0;
    code = k == NULL ? code : wanted_topics(k, &topics, &count);
    if (code != CLI_OK) {
        kafka_close(k);
        return code;
    }
    struct measured *first = arena_array(a->arena, count + 1, sizeof *first);
    struct measured *second = arena_array(a->arena, count + 1, sizeof *second);
    i64 first_ms = 0;
    i64 second_ms = 0;
    code = measure_all(k, topics, count, first, &first_ms);
    if (code == CLI_OK) {
        poll(NULL, 0, (int)during_ms);
        code = measure_all(k, topics, count, second, &second_ms);
    }
    kafka_close(k);
    if (code != CLI_OK) {
        return code;
    }
    struct node *list = node_list(a->arena);
    for (u32 i = 0; i < count; i++) {
        add_stats(list, &first[i], &second[i], second_ms - first_ms);
    }
    node_sort(list, "topic");
    return out_print(a, list, &stats_view);
}

/* ---- create ---------------------------------------------------------------------------------- */

static int create_topics(struct kafka *k, struct change *change, i64 partitions, i64 factor,
                         const struct settings *configs)
{
    const struct cli_args *a = kafka_args(k);
    struct create_topics_request_creatable_topic *topics =
        wire_new(&create_topics_request_creatable_topic_struct, a->arena, a->operand_count);
    struct create_topics_request_creatable_topic_config *items =
        arena_array(a->arena, configs->count + 1, sizeof *items);
    for (u32 i = 0; i < configs->count; i++) {
        items[i].name = configs->items[i].key;
        items[i].value = configs->items[i].value;
    }
    for (u32 i = 0; i < a->operand_count; i++) {
        topics[i].name = slice_cstr(a->operands[i]);
        topics[i].num_partitions = (i32)partitions;
        topics[i].replication_factor = (i16)factor;
        topics[i].configs.items = items;
        topics[i].configs.count = configs->count;
    }
    struct create_topics_request request = {
        .topics = {.items = topics, .count = a->operand_count},
        .timeout_ms = (i32)a->timeout_ms,
        .validate_only = change->dry,
    };
    struct create_topics_response response;
    int code = kafka_ask(k, API_create_topics, 7, &request, &response);
    for (u32 i = 0; code == CLI_OK && i < response.topics.count; i++) {
        const struct create_topics_response_creatable_topic_result *r = &response.topics.items[i];
        const char *name = cli_text(a, "%.*s", (int)r->name.len, (const char *)r->name.ptr);
        if (r->error_code == KERR_NONE) {
            change_done(change, "create", "topic", name,
                        cli_text(a, "odradek topic rm %s", change_quoted(a, r->name)));
        } else {
            change_failed(change,
                          problem_of_kafka(a, cli_text(a, "cannot create topic \"%s\"", name),
                                           r->error_code, r->error_message));
        }
    }
    return code;
}

/* An option that is a number, or what it is without. False: told why. */
static bool number_option(const struct cli_args *a, const char *option, i64 high, i64 *value)
{
    const char *text = cli_value(a, option);
    if (text == NULL || parse_number(text, 1, high, value)) {
        return true;
    }
    problem_of_value(a, option, text, cli_text(a, "a number from 1 to %lld", (long long)high));
    return false;
}

int command_topic_create(const struct cli_args *a)
{
    i64 partitions = -1;
    i64 factor = -1;
    struct settings configs;
    int code = need_topics(a);
    if (code != CLI_OK || !number_option(a, "partitions", 100000, &partitions) ||
        !number_option(a, "replication-factor", INT16_MAX, &factor) ||
        !settings_of_options(a, "config", &configs)) {
        return CLI_USAGE;
    }
    struct change change = change_begin(a);
    struct kafka *k = change.code == CLI_OK ? kafka_open(a, &change.code) : NULL;
    if (k == NULL) {
        return change.code;
    }
    change_failed(&change, create_topics(k, &change, partitions, factor, &configs));
    kafka_close(k);
    return change_end(&change);
}

/* ---- edit ------------------------------------------------------------------------------------ */

static int raise_partitions(struct kafka *k, struct change *change, const char *name, i64 count)
{
    const struct cli_args *a = kafka_args(k);
    struct create_partitions_request_topic of = {
        .name = slice_cstr(name), .count = (i32)count, .assignments.is_null = true};
    struct create_partitions_request request = {.topics = {.items = &of, .count = 1},
                                                .timeout_ms = (i32)a->timeout_ms,
                                                .validate_only = change->dry};
    struct create_partitions_response response;
    int code = kafka_ask(k, API_create_partitions, 3, &request, &response);
    if (code != CLI_OK) {
        return code;
    }
    if (response.results.count != 1 || response.results.items[0].error_code != KERR_NONE) {
        bool told = response.results.count == 1;
        return problem_of_kafka(
            a, cli_text(a, "topic \"%s\" cannot have %lld partitions", name, (long long)count),
            told ? response.results.items[0].error_code : (i16)KERR_UNKNOWN_SERVER_ERROR,
            told ? response.results.items[0].error_message : (struct slice){0});
    }
    /* Kafka knows no way back from more partitions. */
    change_done(change, "change", "topic", name, NULL);
    return CLI_OK;
}

int command_topic_edit(const struct cli_args *a)
{
    i64 partitions = -1;
    struct settings configs;
    int code = need_topics(a);
    if (code != CLI_OK || !number_option(a, "partitions", 100000, &partitions) ||
        !settings_of_options(a, "config", &configs)) {
        return CLI_USAGE;
    }
    if (partitions < 0 && configs.count == 0) {
        return problem(CLI_USAGE, "there is nothing to change", NULL,
                       "--partitions N, --config KEY=VALUE or --unset KEY");
    }
    struct change change = change_begin(a);
    struct kafka *k = change.code == CLI_OK ? kafka_open(a, &change.code) : NULL;
    for (u32 i = 0; k != NULL && i < a->operand_count; i++) {
        const char *name = a->operands[i];
        struct metadata_response topics;
        code = kafka_topics(k, name, &topics);
        if (code == CLI_OK && partitions > 0) {
            code = raise_partitions(k, &change, name, partitions);
        }
        if (code == CLI_OK && configs.count > 0) {
            code = settings_change(k, &change, cli_text(a, "topic/%s", name), SETTINGS_TOPIC, name,
                                   &configs);
        }
        change_failed(&change, code);
    }
    kafka_close(k);
    return change_end(&change);
}

/* ---- rm -------------------------------------------------------------------------------------- */

/* The command that makes the topic again, without its records. */
static int recreate_command(struct kafka *k, const char *name, const char **out)
{
    const struct cli_args *a = kafka_args(k);
    struct metadata_response topics;
    struct describe_configs_response_result configs;
    int code = kafka_topics(k, name, &topics);
    code = code != CLI_OK ? code : settings_read(k, SETTINGS_TOPIC, name, &configs);
    if (code != CLI_OK) {
        return code;
    }
    *out = cli_text(a, "odradek topic create %s -p %u", change_quoted(a, slice_cstr(name)),
                    topics.topics.items[0].partitions.count);
    for (u32 i = 0; i < configs.configs.count; i++) {
        const struct describe_configs_response_resource_result *c = &configs.configs.items[i];
        if (c->config_source == SETTINGS_SOURCE_TOPIC && c->value.ptr != NULL) {
            const char *pair = cli_text(a, "%.*s=%.*s", (int)c->name.len, (const char *)c->name.ptr,
                                        (int)c->value.len, (const char *)c->value.ptr);
            *out = cli_text(a, "%s -c %s", *out, change_quoted(a, slice_cstr(pair)));
        }
    }
    *out = cli_text(a, "%s   (empty: its records are gone)", *out);
    return CLI_OK;
}

static int delete_topic(struct kafka *k, struct change *change, const char *name)
{
    const struct cli_args *a = kafka_args(k);
    const char *undo;
    int code = recreate_command(k, name, &undo);
    if (code != CLI_OK || change->dry) {
        if (code == CLI_OK) {
            change_done(change, "delete", "topic", name, undo);
        }
        return code;
    }
    struct delete_topics_request_topic_state *of =
        wire_new(&delete_topics_request_topic_state_struct, a->arena, 1);
    struct slice text = slice_cstr(name);
    of->name = text;
    struct delete_topics_request request = {.topics = {.items = of, .count = 1},
                                            .topic_names = {.items = &text, .count = 1},
                                            .timeout_ms = (i32)a->timeout_ms};
    struct delete_topics_response response;
    code = kafka_ask(k, API_delete_topics, 6, &request, &response);
    if (code != CLI_OK) {
        return code;
    }
    if (response.responses.count != 1 || response.responses.items[0].error_code != KERR_NONE) {
        bool told = response.responses.count == 1;
        return problem_of_kafka(
            a, cli_text(a, "cannot delete topic \"%s\"", name),
            told ? response.responses.items[0].error_code : (i16)KERR_UNKNOWN_SERVER_ERROR,
            told ? response.responses.items[0].error_message : (struct slice){0});
    }
    change_done(change, "delete", "topic", name, undo);
    return CLI_OK;
}

int command_topic_rm(const struct cli_args *a)
{
    int code = need_topics(a);
    if (code != CLI_OK) {
        return code;
    }
    struct change change = change_begin(a);
    for (u32 i = 0; i < a->operand_count && change.code == CLI_OK; i++) {
        const char *name = a->operands[i];
        if (!change_confirmed(a, cli_text(a, "deletes topic \"%s\" and all its records", name),
                              name)) {
            return CLI_USAGE;
        }
    }
    struct kafka *k = change.code == CLI_OK ? kafka_open(a, &change.code) : NULL;
    for (u32 i = 0; k != NULL && i < a->operand_count; i++) {
        change_failed(&change, delete_topic(k, &change, a->operands[i]));
    }
    kafka_close(k);
    return change_end(&change);
}
