/* Values that are each good and together are not, and what no broker can be started with. Every
   problem tells both values and where they come from; all are found, not the first. */
#include "broker/config_rows.h"
#include "broker/config_sources.h"
#include "broker/conn.h"
#include "broker/monitor.h"
#include "broker/topics.h"

#include <string.h>

#define PRINTED(s) (int)MIN((s).len, (size_t)128), (const char *)(s).ptr

/* "message.max.bytes=5 (server.properties:3)" */
#define KEY_FMT     "%s=%.*s (%s)"
#define KEY_ARGS(k) config_rows[k].key, PRINTED(config_str(c, k)), config_origin(c, k)

static bool is_empty(const struct config *c, enum config_key key)
{
    return slice_trim(config_str(c, key)).len == 0;
}

static bool set_here(const struct config *c, enum config_key key)
{
    enum config_layer layer = config_layer_in_force(c, key);
    return layer == CONFIG_LAYER_FLAG || layer == CONFIG_LAYER_ENVIRONMENT ||
           layer == CONFIG_LAYER_FILE;
}

/* Pairs of which the first may not be larger than the second. */
static void check_order(const struct config *c, struct config_problems *p)
{
    static const struct {
        enum config_key low;
        enum config_key high;
    } pairs[] = {
        {CONFIG_group_min_session_timeout_ms, CONFIG_group_max_session_timeout_ms},
        {CONFIG_log_cleaner_min_compaction_lag_ms, CONFIG_log_cleaner_max_compaction_lag_ms},
        {CONFIG_group_consumer_min_session_timeout_ms,
         CONFIG_group_consumer_max_session_timeout_ms},
        {CONFIG_group_consumer_min_heartbeat_interval_ms,
         CONFIG_group_consumer_max_heartbeat_interval_ms},
    };
    for (u32 i = 0; i < ARRAY_LEN(pairs); i++) {
        enum config_key low = pairs[i].low;
        enum config_key high = pairs[i].high;
        if (config_i64(c, low) > config_i64(c, high)) {
            config_problem_add(p, MSG_config_contradiction, "%s is larger than %s",
                               config_rows[low].key, config_rows[high].key);
            config_problem_why(p, KEY_FMT ", " KEY_FMT, KEY_ARGS(low), KEY_ARGS(high));
            config_problem_next(p, "lower the first or raise the second");
        }
    }
}

/* Kafka takes the first of ms, minutes, hours that is set, and refuses 0. */
static void check_retention(const struct config *c, struct config_problems *p)
{
    static const enum config_key keys[] = {CONFIG_log_retention_ms, CONFIG_log_retention_minutes,
                                           CONFIG_log_retention_hours};
    u32 i = 0;
    while (i < 2 && !config_is_set(c, keys[i])) {
        i++;
    }
    if (config_i64(c, keys[i]) == 0) {
        config_problem_add(p, MSG_config_contradiction, "records would be kept for no time at all");
        config_problem_why(p, KEY_FMT, KEY_ARGS(keys[i]));
        config_problem_next(p, "write how long they are kept, or -1 to keep them");
    }
}

static void check_sizes(const struct config *c, struct config_problems *p)
{
    i64 memory = config_i64(c, CONFIG_odradek_memory);
    if (memory != 0 && memory < CONFIG_MEMORY_BYTES_MIN) {
        config_problem_add(p, MSG_start_memory, "the memory budget is too small");
        config_problem_why(p, KEY_FMT "; a broker needs at least 16 MiB of buffers",
                           KEY_ARGS(CONFIG_odradek_memory));
        config_problem_next(p, "try --memory 64MiB");
    }
    if (config_i64(c, CONFIG_message_max_bytes) > config_i64(c, CONFIG_socket_request_max_bytes)) {
        config_problem_add(p, MSG_config_odd, "batches as large as allowed cannot arrive");
        config_problem_why(p, KEY_FMT " is more than a request may have, " KEY_FMT,
                           KEY_ARGS(CONFIG_message_max_bytes),
                           KEY_ARGS(CONFIG_socket_request_max_bytes));
        config_problem_next(p, "raise socket.request.max.bytes or lower message.max.bytes");
    }
    if (config_i64(c, CONFIG_num_partitions) > PARTITIONS_PER_TOPIC_MAX) {
        config_problem_add(p, MSG_config_contradiction, "no topic could be created by default");
        config_problem_why(p, KEY_FMT "; a topic can have at most %u partitions",
                           KEY_ARGS(CONFIG_num_partitions), PARTITIONS_PER_TOPIC_MAX);
        config_problem_next(p, "write a smaller number");
    }
    struct slice wrong;
    if (!conn_overrides_valid(config_str(c, CONFIG_max_connections_per_ip_overrides), &wrong)) {
        config_problem_add(p, MSG_config_value,
                           "max.connections.per.ip.overrides has an entry that cannot be read: "
                           "\"%.*s\"",
                           PRINTED(wrong));
        config_problem_why(p, "%s; an entry is ADDRESS:COUNT, names are not looked up",
                           config_origin(c, CONFIG_max_connections_per_ip_overrides));
        config_problem_next(p, "write max.connections.per.ip.overrides=127.0.0.1:100,::1:100");
    }
}

static void check_directory(const struct config *c, struct config_problems *p)
{
    enum config_key key = is_empty(c, CONFIG_log_dirs) ? CONFIG_log_dir : CONFIG_log_dirs;
    struct slice list = config_str(c, key);
    struct slice word;
    u32 count = 0;
    while (config_next_word(&list, &word)) {
        count += word.len > 0;
    }
    if (count != 1) {
        config_problem_add(p, MSG_config_contradiction, "there is %s data directory",
                           count == 0 ? "no" : "more than one");
        config_problem_why(p, KEY_FMT "; Odradek keeps everything in one", KEY_ARGS(key));
        config_problem_next(p, "name one directory; several disks are put together below it (RAID, "
                               "LVM)");
    }
}

/* What would leave open what its owner believes to be protected, or promises what is not there. */
static void check_missing(const struct config *c, struct config_problems *p)
{
    if (!is_empty(c, CONFIG_authorizer_class_name)) {
        config_problem_add(p, MSG_config_unprotected, "access rules are asked for");
        config_problem_why(p, KEY_FMT "; this version checks none, everybody could do everything",
                           KEY_ARGS(CONFIG_authorizer_class_name));
        config_problem_next(p, "remove the key, and let only those reach the broker who may");
    }
    if (config_i64(c, CONFIG_remote_log_storage_system_enable) != 0) {
        config_problem_add(p, MSG_config_contradiction, "remote storage is asked for");
        config_problem_why(p, KEY_FMT "; there is none in this version",
                           KEY_ARGS(CONFIG_remote_log_storage_system_enable));
        config_problem_next(p, "remove the key; all records stay on the local disk");
    }
    struct slice roles = config_str(c, CONFIG_process_roles);
    bool broker = false;
    struct slice word;
    while (config_next_word(&roles, &word)) {
        broker |= slice_eq_cstr(word, "broker");
    }
    if (!broker && !is_empty(c, CONFIG_process_roles)) {
        config_problem_add(p, MSG_config_contradiction,
                           "this is the configuration of a controller");
        config_problem_why(p, KEY_FMT "; Odradek has no controllers apart from brokers",
                           KEY_ARGS(CONFIG_process_roles));
        config_problem_next(p, "start it with the configuration of a broker");
    }
}

static void check_http(const struct config *c, struct config_problems *p)
{
    struct monitor_place place;
    if (!monitor_where(c, &place)) {
        config_problem_add(p, MSG_config_value, "odradek.http.listen is not HOST:PORT");
        config_problem_why(p,
                           KEY_FMT "; a port is a number from 0 to 65535, 0 picks a free one, and "
                                   "an IPv6 host stands in brackets",
                           KEY_ARGS(CONFIG_odradek_http_listen));
        config_problem_next(p, "try odradek.http.listen=127.0.0.1:8080, or off");
    }
}

static void check_ids(const struct config *c, struct config_problems *p)
{
    static const enum config_key keys[] = {CONFIG_node_id, CONFIG_broker_id};
    for (u32 i = 0; i < ARRAY_LEN(keys); i++) {
        if (set_here(c, keys[i]) && config_i64(c, keys[i]) != BROKER_NODE_ID) {
            config_problem_add(p, MSG_config_odd, "the id of this broker is %d", BROKER_NODE_ID);
            config_problem_why(p, KEY_FMT " has no effect: there is one broker, and its id is 1",
                               KEY_ARGS(keys[i]));
            config_problem_next(p, "remove the key");
        }
    }
}

/* Keys that are accepted and ignored, each with its note. */
static void note_ignored(const struct config *c, struct config_problems *p)
{
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        enum config_key key = (enum config_key)i;
        const struct config_row *row = &config_rows[key];
        if (row->scope == CONFIG_SCOPE_BROKER && row->status == CONFIG_IGNORED &&
            set_here(c, key)) {
            config_problem_add(p, MSG_config_ignored, "%s has no effect here", row->key);
            config_problem_why(p, "%s sets it. %s", config_origin(c, key), row->doc);
        }
    }
}

void config_check(const struct config *c, struct config_problems *problems)
{
    struct config_listeners listeners;
    config_listeners_read(c, &listeners, problems);
    check_order(c, problems);
    check_retention(c, problems);
    check_sizes(c, problems);
    check_directory(c, problems);
    check_missing(c, problems);
    check_http(c, problems);
    check_ids(c, problems);
    note_ignored(c, problems);
}
