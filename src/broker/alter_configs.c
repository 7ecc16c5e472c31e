/* AlterConfigs (API key 33, replaces the whole set) and IncrementalAlterConfigs (44) of topics, of
   groups, of this broker and of the cluster's default [kafka-semantics.md 9;
   ConfigurationControlManager, KIP-339]. Both become rows of alterations, each checked on its own;
   those that pass share one metadata slot. */
#include "broker/change.h"
#include "broker/config_rows.h"
#include "broker/conn.h"
#include "broker/loggers.h"
#include "broker/repeats.h"
#include "broker/topics.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { REASON_BYTES = 512 };
enum alter_operation { ALTER_SET = 0, ALTER_DELETE = 1, ALTER_APPEND = 2, ALTER_SUBTRACT = 3 };

struct alteration {
    struct slice key;
    struct slice value; /* ptr NULL: null */
    i8 operation;       /* an alter_operation, or a number that means nothing */
};

/* A resource of the request and its answer. */
struct alter_row {
    i8 resource_type;
    struct slice resource_name;
    struct alteration *list;
    u32 count;
    struct meta_config *sets; /* what comes of it; value.ptr NULL: the key is removed */
    u32 set_count;
    i16 kerr;
    const char *message;
};

/* One request of either kind. */
struct alter {
    struct change change;
    struct request *r;
    struct alter_row *rows;
    u32 count;
    bool whole; /* keys that are not named are removed */
    bool validate_only;
};

static void refuse(struct alter_row *a, i16 kerr, const char *message)
{
    a->kerr = kerr;
    a->message = message;
}

/* ---- lists: append and subtract -------------------------------------------------------------- */

static bool next_item(struct slice *list, struct slice *item)
{
    if (list->len == 0) {
        return false;
    }
    const u8 *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    *item = slice_of(list->ptr, len);
    size_t step = MIN(len + 1, list->len);
    *list = slice_of(list->ptr + step, list->len - step);
    return true;
}

static u32 parts_max(struct slice list)
{
    u32 count = 1;
    for (size_t i = 0; i < list.len; i++) {
        count += list.ptr[i] == ',';
    }
    return count;
}

/* As Java's split: nothing is one empty part, empty parts at the end are none. */
static u32 split(struct slice list, struct slice *parts)
{
    u32 count = 0;
    if (list.len == 0) {
        parts[count++] = list;
    }
    while (list.len > 0 && list.ptr[list.len - 1] == ',') {
        list.len--;
    }
    while (next_item(&list, &parts[count])) {
        count++;
    }
    return count;
}

static u32 part_find(const struct slice *parts, u32 count, struct slice wanted)
{
    u32 i = 0;
    while (i < count && !slice_eq(parts[i], wanted)) {
        i++;
    }
    return i;
}

static struct slice join(struct request *r, const struct slice *parts, u32 count)
{
    size_t bytes = 1;
    for (u32 i = 0; i < count; i++) {
        bytes += parts[i].len + 1;
    }
    u8 *out = request_alloc(r, bytes);
    size_t len = 0;
    for (u32 i = 0; out != NULL && i < count; i++) {
        if (i > 0) {
            out[len++] = ',';
        }
        memcpy(out + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    return slice_of(out, len);
}

/* Append: what is there, then what is new. Subtract: what is there without what was named.
   Appending an empty text adds an empty item, which few lists may have
   [ConfigurationControlManager]. ptr NULL: no memory. */
static struct slice list_combine(struct request *r, struct slice now, struct slice change,
                                 bool append)
{
    u32 now_max = parts_max(now);
    u32 change_max = parts_max(change);
    /* One more: where split looks for the next it has room for it. */
    struct slice *parts = arena_array(&r->arena, now_max + change_max + 1, sizeof *parts);
    struct slice *changes = arena_array(&r->arena, change_max + 1, sizeof *changes);
    if (parts == NULL || changes == NULL) {
        return (struct slice){0};
    }
    u32 there = split(now, parts);
    u32 count = 0;
    for (u32 i = 0; i < there; i++) {
        if (parts[i].len > 0) {
            parts[count++] = parts[i];
        }
    }
    u32 change_count = split(change, changes);
    for (u32 i = 0; i < change_count; i++) {
        u32 at = part_find(parts, count, changes[i]);
        if (append && at == count) {
            parts[count++] = changes[i];
        } else if (!append && at < count) {
            count--;
            memmove(&parts[at], &parts[at + 1], (count - at) * sizeof *parts);
        }
    }
    return join(r, parts, count);
}

/* ---- one resource, in the order in which Kafka finds fault with it --------------------------- */

static bool is_topic(const struct alter_row *a)
{
    return a->resource_type == CONFIG_RESOURCE_TOPIC;
}

static bool is_broker(const struct alter_row *a)
{
    return a->resource_type == CONFIG_RESOURCE_BROKER;
}

static bool is_logger(const struct alter_row *a)
{
    return a->resource_type == CONFIG_RESOURCE_LOGGER;
}

static bool is_group(const struct alter_row *a)
{
    return a->resource_type == CONFIG_RESOURCE_GROUP;
}

/* -1: nobody knows it. */
static i32 row_find(const struct alter_row *a, struct slice key)
{
    return is_topic(a)    ? config_row_find(CONFIG_SCOPE_TOPIC, key)
           : is_broker(a) ? config_row_find(CONFIG_SCOPE_BROKER, key)
           : is_group(a)  ? config_row_find(CONFIG_SCOPE_GROUP, key)
                          : -1;
}

/* What the resource has now: own dynamic values. */
static u32 current_configs(struct request *r, const struct alter_row *a,
                           const struct meta_config **list)
{
    const struct meta *meta = cluster_meta(r->broker->cluster);
    if (is_topic(a)) {
        const struct meta_topic *t = meta_topic_by_name(meta, a->resource_name);
        *list = t != NULL ? t->configs : NULL;
        return t != NULL ? t->config_count : 0;
    }
    return is_broker(a) || is_group(a)
               ? meta_configs(meta, a->resource_type, a->resource_name, list)
               : 0;
}

static const struct meta_config *config_find(const struct meta_config *list, u32 count,
                                             struct slice key)
{
    for (u32 i = 0; i < count; i++) {
        if (slice_eq(list[i].key, key)) {
            return &list[i];
        }
    }
    return NULL;
}

static bool has_repeated_key(const struct alter_row *a, const u8 *repeats)
{
    for (u32 i = 0; i < a->count; i++) {
        if (repeats[i] != REPEAT_NONE) {
            return true;
        }
    }
    return false;
}

/* What is wrong with the request itself, whatever there is to be changed. */
static void check_request(struct request *r, struct alter_row *a)
{
    const u8 *repeats = repeats_of_names(&r->arena, a->list, offsetof(struct alteration, key),
                                         sizeof *a->list, a->count);
    if (repeats == NULL) {
        refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    if (has_repeated_key(a, repeats)) {
        refuse(a, KERR_INVALID_REQUEST, "Error due to duplicate config keys");
        return;
    }
    for (u32 i = 0; i < a->count; i++) {
        const struct alteration *c = &a->list[i];
        if (c->operation != ALTER_DELETE && c->value.ptr == NULL) {
            refuse(a, KERR_INVALID_REQUEST,
                   arena_printf(&r->arena, "Null value not supported for : %.*s",
                                (int)MIN(c->key.len, (size_t)128), (const char *)c->key.ptr));
            return;
        }
    }
    if (!is_topic(a) && !is_broker(a) && !is_group(a) && !is_logger(a) &&
        a->resource_type != CONFIG_RESOURCE_CLIENT_METRICS) {
        refuse(
            a, KERR_INVALID_REQUEST,
            arena_printf(&r->arena, "Resource type %d cannot be altered here.", a->resource_type));
    } else if (is_broker(a) && a->resource_name.len > 0 &&
               !slice_eq_cstr(a->resource_name, CONFIG_BROKER_NAME)) {
        refuse(a, KERR_INVALID_REQUEST, "There is no broker with that id.");
    }
}

/* A list is changed from what is set here, else from the default: not from what another layer
   sets. */
static struct slice list_now(const struct meta_config *own, const struct config_row *row)
{
    struct slice none = WIRE_EMPTY;
    return own != NULL ? own->value : row->initial != NULL ? slice_cstr(row->initial) : none;
}

/* Operations become values to be set; ptr NULL: the key is removed. What nobody knows may be
   removed: it is not there. */
static void check_operations(struct request *r, struct alter_row *a, const struct meta_config *own,
                             u32 own_count)
{
    for (u32 i = 0; i < a->count; i++) {
        if (a->list[i].operation < ALTER_SET || a->list[i].operation > ALTER_SUBTRACT) {
            refuse(a, KERR_INVALID_REQUEST, "Unknown operation.");
            return;
        }
    }
    for (u32 i = 0; i < a->count; i++) {
        const struct alteration *c = &a->list[i];
        i32 row = row_find(a, c->key);
        struct slice value = c->value;
        if (c->operation == ALTER_DELETE) {
            value = (struct slice){0};
        } else if (c->operation != ALTER_SET) {
            bool append = c->operation == ALTER_APPEND;
            if (row < 0 || config_rows[row].type != CONFIG_TYPE_LIST) {
                refuse(a, KERR_INVALID_CONFIG,
                       arena_printf(&r->arena, "Can't %s to key %.*s because its type is not LIST.",
                                    append ? "APPEND" : "SUBTRACT",
                                    (int)MIN(c->key.len, (size_t)128), (const char *)c->key.ptr));
                return;
            }
            struct slice now = list_now(config_find(own, own_count, c->key), &config_rows[row]);
            value = list_combine(r, now, c->value, append);
            if (value.ptr == NULL) {
                refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
                return;
            }
        }
        if (value.ptr != NULL || row >= 0) {
            a->sets[a->set_count++] = (struct meta_config){.key = c->key, .value = value};
        }
    }
}

static i16 value_problem(struct request *r, const struct alter_row *a, const struct meta_config *c,
                         char *reason)
{
    if (c->value.ptr == NULL) {
        return KERR_NONE;
    }
    if (is_broker(a)) {
        return broker_config_check(c->key, c->value, a->resource_name.len == 0, reason,
                                   REASON_BYTES);
    }
    if (is_topic(a)) {
        return topic_config_check(r->broker->config, c->key, c->value, reason, REASON_BYTES);
    }
    if (is_group(a)) {
        return group_config_check(c->key, c->value, reason, REASON_BYTES);
    }
    snprintf(reason, REASON_BYTES, "Unknown config name: %.*s", (int)MIN(c->key.len, (size_t)128),
             (const char *)c->key.ptr);
    return KERR_INVALID_REQUEST;
}

/* Each value, then all that the topic or group would have together. */
static void check_values(struct request *r, struct alter_row *a, const struct meta_config *own,
                         u32 own_count)
{
    char *reason = request_alloc(r, REASON_BYTES);
    struct meta_config *all = arena_array(&r->arena, own_count + a->set_count, sizeof *all);
    if (r->arena.exhausted) {
        refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    u32 count = 0;
    for (u32 i = 0; i < a->set_count; i++) {
        i16 kerr = value_problem(r, a, &a->sets[i], reason);
        if (kerr != KERR_NONE) {
            refuse(a, kerr, reason);
            return;
        }
        if (a->sets[i].value.ptr != NULL) {
            all[count++] = a->sets[i];
        }
    }
    for (u32 i = 0; i < own_count; i++) {
        if (config_find(a->sets, a->set_count, own[i].key) == NULL) {
            all[count++] = own[i];
        }
    }
    i16 kerr =
        is_topic(a)   ? topic_configs_check(r->broker->config, all, count, reason, REASON_BYTES)
        : is_group(a) ? group_configs_check(r->broker->config, all, count, reason, REASON_BYTES)
                      : KERR_NONE;
    if (kerr != KERR_NONE) {
        refuse(a, kerr, reason);
    }
}

static void check_name(struct alter_row *a)
{
    if (is_broker(a)) {
        return;
    }
    if (a->resource_name.len == 0) {
        refuse(a, KERR_INVALID_REQUEST, "This kind of resource has no default: it needs a name.");
    } else if (is_topic(a) && topic_name_problem(a->resource_name) != NULL) {
        refuse(a, KERR_INVALID_TOPIC_EXCEPTION, topic_name_problem(a->resource_name));
    }
}

/* Asked last: Kafka tells a bad value also of a topic that is not there. */
static void check_existence(struct request *r, struct alter_row *a, u32 named)
{
    i16 kerr = KERR_NONE;
    if (is_topic(a)) {
        (void)request_topic(r, a->resource_name, (struct uuid){{0}}, false, &kerr);
    }
    if (kerr != KERR_NONE) {
        refuse(a, kerr, topic_unknown(r, a->resource_name, "The topic does not exist.", named));
    }
}

/* The keys that a whole set does not name are removed. */
static void remove_others(struct alter_row *a, const struct meta_config *own, u32 own_count,
                          struct arena *arena)
{
    for (u32 i = 0; i < own_count; i++) {
        if (config_find(a->sets, a->set_count, own[i].key) == NULL) {
            a->sets[a->set_count++] = (struct meta_config){.key = arena_copy(arena, own[i].key)};
        }
    }
}

/* Levels of loggers are this process's own: nothing is kept of them. All or nothing. */
static void alter_loggers(struct alter *alter, struct alter_row *a)
{
    char *reason = request_alloc(alter->r, REASON_BYTES);
    if (reason == NULL) {
        refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    if (alter->whole) {
        refuse(a, KERR_INVALID_REQUEST, "Loggers are changed by IncrementalAlterConfigs only.");
    } else if (!slice_eq_cstr(a->resource_name, CONFIG_BROKER_NAME)) {
        refuse(a, KERR_INVALID_REQUEST, "The name must be the id of this broker, which is 1.");
    }
    for (u32 i = 0; i < a->count && a->kerr == KERR_NONE; i++) {
        const struct alteration *c = &a->list[i];
        i16 kerr = logger_check(c->key, c->operation, c->value, reason, REASON_BYTES);
        if (kerr != KERR_NONE) {
            refuse(a, kerr, reason);
        }
    }
    for (u32 i = 0; i < a->count && a->kerr == KERR_NONE && !alter->validate_only; i++) {
        logger_set(a->list[i].value);
    }
}

static void alter_one(struct alter *alter, u32 row)
{
    struct request *r = alter->r;
    struct alter_row *a = &alter->rows[row];
    const struct meta_config *own = NULL;
    u32 own_count = 0;
    check_request(r, a);
    if (is_logger(a)) {
        if (a->kerr == KERR_NONE) {
            alter_loggers(alter, a);
        }
        return;
    }
    if (a->kerr == KERR_NONE) {
        own_count = current_configs(r, a, &own);
        a->sets = arena_array(&r->arena, MAX(a->count + own_count, 1u), sizeof *a->sets);
        if (a->sets == NULL) {
            refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        }
    }
    if (a->kerr == KERR_NONE) {
        check_operations(r, a, own, own_count);
    }
    if (a->kerr == KERR_NONE && alter->whole) {
        remove_others(a, own, own_count, &r->arena);
    }
    if (a->kerr == KERR_NONE) {
        check_name(a);
    }
    if (a->kerr == KERR_NONE) {
        check_values(r, a, own, own_count);
    }
    if (a->kerr == KERR_NONE) {
        check_existence(r, a, alter->count);
    }
    if (a->kerr == KERR_NONE && !alter->validate_only && a->set_count > 0) {
        struct meta_command *m = change_add(&alter->change, META_ALTER_CONFIGS, row);
        m->alter_configs.resource_type = a->resource_type;
        m->alter_configs.name = a->resource_name;
        m->alter_configs.sets = a->sets;
        m->alter_configs.set_count = a->set_count;
    }
}

/* ---- the request as a whole ------------------------------------------------------------------ */

static void alter_outcome(struct change *change, u32 row, i16 kerr)
{
    struct alter *alter = CONTAINER_OF(change, struct alter, change);
    alter->rows[row].kerr = kerr;
    config_refresh(alter->r->broker->config, cluster_meta(alter->r->broker->cluster));
    settings_follow(alter->r->broker);
}

/* Both APIs answer with the same fields: one struct fills both. */
static_assert(sizeof(struct alter_configs_response_resource) ==
                      sizeof(struct incremental_alter_configs_response_resource) &&
                  offsetof(struct alter_configs_response_resource, error_message) ==
                      offsetof(struct incremental_alter_configs_response_resource, error_message) &&
                  offsetof(struct alter_configs_response_resource, resource_type) ==
                      offsetof(struct incremental_alter_configs_response_resource, resource_type) &&
                  offsetof(struct alter_configs_response_resource, resource_name) ==
                      offsetof(struct incremental_alter_configs_response_resource, resource_name) &&
                  offsetof(struct alter_configs_response, responses) ==
                      offsetof(struct incremental_alter_configs_response, responses),
              "the answers of AlterConfigs and IncrementalAlterConfigs are alike");

static void alter_answer(struct change *change)
{
    struct alter *alter = CONTAINER_OF(change, struct alter, change);
    struct request *r = alter->r;
    struct alter_configs_response response;
    wire_init(&alter_configs_response_struct, &response);
    response.responses.items =
        wire_new(&alter_configs_response_resource_struct, &r->arena, alter->count);
    if (response.responses.items == NULL && alter->count > 0) {
        request_fail(r);
        return;
    }
    response.responses.count = alter->count;
    for (u32 i = 0; i < alter->count; i++) {
        const struct alter_row *a = &alter->rows[i];
        response.responses.items[i].error_code = a->kerr;
        response.responses.items[i].error_message =
            a->message == NULL ? (struct slice){0} : slice_cstr(a->message);
        response.responses.items[i].resource_type = a->resource_type;
        response.responses.items[i].resource_name = a->resource_name;
    }
    request_reply_explained(r, &response);
}

static bool is_repeated(const struct alter *alter, u32 row)
{
    for (u32 i = 0; i < alter->count; i++) {
        if (i != row && alter->rows[i].resource_type == alter->rows[row].resource_type &&
            slice_eq(alter->rows[i].resource_name, alter->rows[row].resource_name)) {
            return true;
        }
    }
    return false;
}

static struct alter *alter_create(struct request *r, u32 count)
{
    struct alter *alter = request_alloc(r, sizeof *alter);
    if (alter == NULL || !change_init(&alter->change, r, count)) {
        return NULL;
    }
    alter->r = r;
    alter->count = count;
    alter->rows = arena_array(&r->arena, count, sizeof *alter->rows);
    alter->change.outcome = alter_outcome;
    alter->change.answer = alter_answer;
    return r->arena.exhausted ? NULL : alter;
}

static void row_init(struct alter *alter, u32 row, i8 resource_type, struct slice resource_name,
                     u32 count)
{
    alter->rows[row] = (struct alter_row){
        .resource_type = resource_type,
        .resource_name = resource_name,
        .list = arena_array(&alter->r->arena, count, sizeof(struct alteration)),
        .count = count,
    };
}

static void alter_all(struct alter *alter)
{
    for (u32 i = 0; i < alter->count; i++) {
        if (is_repeated(alter, i)) {
            refuse(&alter->rows[i], KERR_INVALID_REQUEST,
                   "Each resource must appear at most once.");
        } else {
            alter_one(alter, i);
        }
    }
    change_commit(&alter->change);
}

void handle_incremental_alter_configs(struct request *r)
{
    const struct incremental_alter_configs_request *q = r->body;
    struct alter *alter = alter_create(r, q->resources.count);
    for (u32 i = 0; alter != NULL && i < alter->count; i++) {
        const struct incremental_alter_configs_request_resource *in = &q->resources.items[i];
        row_init(alter, i, in->resource_type, in->resource_name, in->configs.count);
        for (u32 k = 0; k < in->configs.count && !r->arena.exhausted; k++) {
            alter->rows[i].list[k] =
                (struct alteration){in->configs.items[k].name, in->configs.items[k].value,
                                    in->configs.items[k].config_operation};
        }
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    alter->validate_only = q->validate_only;
    alter_all(alter);
}

void handle_alter_configs(struct request *r)
{
    const struct alter_configs_request *q = r->body;
    struct alter *alter = alter_create(r, q->resources.count);
    for (u32 i = 0; alter != NULL && i < alter->count; i++) {
        const struct alter_configs_request_resource *in = &q->resources.items[i];
        row_init(alter, i, in->resource_type, in->resource_name, in->configs.count);
        for (u32 k = 0; k < in->configs.count && !r->arena.exhausted; k++) {
            alter->rows[i].list[k] = (struct alteration){in->configs.items[k].name,
                                                         in->configs.items[k].value, ALTER_SET};
        }
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    alter->validate_only = q->validate_only;
    alter->whole = true;
    alter_all(alter);
}
