/* AlterConfigs (API key 33, replaces the whole set) and IncrementalAlterConfigs (44) of topics, of
   this broker and of the cluster's default [kafka-semantics.md 9; ConfigurationControlManager,
   KIP-339]. Every resource is checked on its own; those that pass share one metadata slot. */
#include "broker/change.h"
#include "broker/config_rows.h"
#include "broker/conn.h"

#include <string.h>

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, REASON_BYTES = 512 };
enum alter_operation { ALTER_SET = 0, ALTER_DELETE = 1, ALTER_APPEND = 2, ALTER_SUBTRACT = 3 };

struct alter_answer {
    i8 resource_type;
    struct slice resource_name;
    i16 kerr;
    const char *message;
};

/* One request of either kind. */
struct alter {
    struct change change;
    struct request *r;
    struct alter_answer *answers;
    u32 count;
};

static void refuse(struct alter_answer *a, i16 kerr, const char *message)
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

static bool has_item(struct slice list, struct slice wanted)
{
    struct slice item;
    while (next_item(&list, &item)) {
        if (slice_eq(item, wanted)) {
            return true;
        }
    }
    return false;
}

struct list_text {
    u8 *bytes;
    size_t len;
};

static void list_add(struct list_text *t, struct slice item)
{
    if (t->len > 0) {
        t->bytes[t->len++] = ',';
    }
    memcpy(t->bytes + t->len, item.ptr, item.len);
    t->len += item.len;
}

/* Append: what is there, then what is new. Subtract: what is there without what was named. ptr
   NULL: no memory. */
static struct slice list_combine(struct request *r, struct slice now, struct slice change,
                                 bool append)
{
    struct list_text out = {request_alloc(r, now.len + change.len + 2), 0};
    if (out.bytes == NULL) {
        return (struct slice){0};
    }
    struct slice item;
    for (struct slice rest = now; next_item(&rest, &item);) {
        if (append || !has_item(change, item)) {
            list_add(&out, item);
        }
    }
    for (struct slice rest = change; append && next_item(&rest, &item);) {
        if (!has_item(now, item)) {
            list_add(&out, item);
        }
    }
    return slice_of(out.bytes, out.len);
}

/* ---- one resource ---------------------------------------------------------------------------- */

/* What the resource has now: own dynamic values. */
static u32 current_configs(struct request *r, const struct alter_answer *a,
                           const struct meta_config **list)
{
    const struct meta *meta = cluster_meta(r->broker->cluster);
    if (a->resource_type == RESOURCE_TOPIC) {
        const struct meta_topic *t = meta_topic_by_name(meta, a->resource_name);
        *list = t != NULL ? t->configs : NULL;
        return t != NULL ? t->config_count : 0;
    }
    return meta_configs(meta, RESOURCE_BROKER, a->resource_name, list);
}

/* Asked after the values: Kafka tells a bad value also of a topic that is not there. */
static bool topic_is_there(struct request *r, struct alter_answer *a)
{
    i16 kerr = KERR_NONE;
    if (a->resource_type == RESOURCE_TOPIC) {
        (void)request_topic(r, a->resource_name, (struct uuid){{0}}, false, &kerr);
    }
    if (kerr != KERR_NONE) {
        refuse(a, kerr, "The topic does not exist.");
    }
    return kerr == KERR_NONE;
}

static bool resource_ok(struct request *r, struct alter_answer *a)
{
    switch (a->resource_type) {
    case RESOURCE_TOPIC:
        if (a->resource_name.len == 0) {
            refuse(a, KERR_INVALID_REQUEST, "Default topic resources are not allowed.");
            return false;
        }
        return true;
    case RESOURCE_BROKER:
        if (a->resource_name.len > 0 && !slice_eq_cstr(a->resource_name, CONFIG_BROKER_NAME)) {
            refuse(a, KERR_INVALID_REQUEST, "There is no broker with that id.");
            return false;
        }
        return true;
    default:
        refuse(
            a, KERR_INVALID_REQUEST,
            arena_printf(&r->arena, "Resource type %d cannot be altered here.", a->resource_type));
        return false;
    }
}

/* The row of a key; -1 refused. */
static i32 row_of(struct request *r, struct alter_answer *a, struct slice key)
{
    bool topic = a->resource_type == RESOURCE_TOPIC;
    i32 row = config_row_find(topic ? CONFIG_SCOPE_TOPIC : CONFIG_SCOPE_BROKER, key);
    if (row < 0) {
        refuse(a, topic ? KERR_INVALID_CONFIG : KERR_INVALID_REQUEST,
               arena_printf(&r->arena, "Unknown %s config name: %.*s", topic ? "topic" : "broker",
                            (int)MIN(key.len, (size_t)128), (const char *)key.ptr));
    }
    return row;
}

static bool value_ok(struct request *r, struct alter_answer *a, struct slice key,
                     struct slice value)
{
    char *reason = request_alloc(r, REASON_BYTES);
    if (reason == NULL) {
        refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return false;
    }
    bool topic = a->resource_type == RESOURCE_TOPIC;
    i16 kerr =
        topic ? value.ptr == NULL
                    ? KERR_NONE
                    : topic_config_check(r->broker->config, key, value, reason, REASON_BYTES)
              : broker_config_check(key, value, a->resource_name.len == 0, reason, REASON_BYTES);
    if (kerr != KERR_NONE) {
        refuse(a, kerr, reason);
    }
    return kerr == KERR_NONE;
}

/* The value a list has now, for APPEND and SUBTRACT: own, else what is in force. */
static struct slice value_in_force(struct request *r, const struct alter_answer *a,
                                   struct slice key)
{
    struct config_entry *entries;
    u32 count = 0;
    const struct meta_config *own;
    u32 own_count = current_configs(r, a, &own);
    const struct meta *meta = cluster_meta(r->broker->cluster);
    err_t e = a->resource_type == RESOURCE_TOPIC
                  ? config_describe_topic(r->broker->config, meta, own, own_count, &r->arena,
                                          &entries, &count)
                  : config_describe_broker(r->broker->config, meta, &r->arena, &entries, &count);
    for (u32 i = 0; e == OK && i < count; i++) {
        if (slice_eq(entries[i].name, key)) {
            return entries[i].value;
        }
    }
    return (struct slice){0};
}

/* One operation as the value to be set; ptr NULL with true: the key is removed. */
static bool operation_value(struct request *r, struct alter_answer *a, struct slice key,
                            enum alter_operation operation, struct slice given, struct slice *value)
{
    i32 row = row_of(r, a, key);
    if (row < 0) {
        return false;
    }
    if (operation > ALTER_SUBTRACT) {
        refuse(a, KERR_INVALID_REQUEST, "Unknown operation.");
        return false;
    }
    if (operation != ALTER_DELETE && given.ptr == NULL) {
        refuse(a, KERR_INVALID_REQUEST,
               arena_printf(&r->arena, "Null value not supported for : %.*s", (int)key.len,
                            (const char *)key.ptr));
        return false;
    }
    *value = operation == ALTER_DELETE ? (struct slice){0} : given;
    if (operation == ALTER_APPEND || operation == ALTER_SUBTRACT) {
        if (config_rows[row].type != CONFIG_TYPE_LIST) {
            refuse(a, KERR_INVALID_CONFIG,
                   arena_printf(&r->arena, "Can't %s to key %.*s because its type is not LIST.",
                                operation == ALTER_APPEND ? "APPEND" : "SUBTRACT", (int)key.len,
                                (const char *)key.ptr));
            return false;
        }
        *value = list_combine(r, value_in_force(r, a, key), given, operation == ALTER_APPEND);
    }
    return value_ok(r, a, key, *value);
}

static void add_command(struct alter *alter, u32 row, const struct meta_config *sets, u32 set_count)
{
    struct meta_command *m = change_add(&alter->change, META_ALTER_CONFIGS, row);
    m->alter_configs.resource_type = alter->answers[row].resource_type;
    m->alter_configs.name = alter->answers[row].resource_name;
    m->alter_configs.sets = sets;
    m->alter_configs.set_count = set_count;
}

static bool has_key(const struct meta_config *sets, u32 count, struct slice key)
{
    for (u32 i = 0; i < count; i++) {
        if (slice_eq(sets[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* ---- the request as a whole ------------------------------------------------------------------ */

static void alter_outcome(struct change *change, u32 row, i16 kerr)
{
    struct alter *alter = CONTAINER_OF(change, struct alter, change);
    alter->answers[row].kerr = kerr;
    config_refresh(alter->r->broker->config, cluster_meta(alter->r->broker->cluster));
}

static struct alter *alter_start(struct request *r, u32 count, void (*answer)(struct change *))
{
    struct alter *alter = request_alloc(r, sizeof *alter);
    if (alter == NULL || !change_init(&alter->change, r, count)) {
        return NULL;
    }
    alter->r = r;
    alter->count = count;
    alter->answers = arena_array(&r->arena, count, sizeof *alter->answers);
    alter->change.outcome = alter_outcome;
    alter->change.answer = answer;
    return r->arena.exhausted ? NULL : alter;
}

static bool is_repeated(const struct alter *alter, u32 row)
{
    for (u32 i = 0; i < alter->count; i++) {
        if (i != row && alter->answers[i].resource_type == alter->answers[row].resource_type &&
            slice_eq(alter->answers[i].resource_name, alter->answers[row].resource_name)) {
            return true;
        }
    }
    return false;
}

static bool resource_start(struct alter *alter, u32 row)
{
    if (is_repeated(alter, row)) {
        refuse(&alter->answers[row], KERR_INVALID_REQUEST,
               "Each resource must appear at most once.");
        return false;
    }
    return resource_ok(alter->r, &alter->answers[row]);
}

/* ---- incremental ----------------------------------------------------------------------------- */

static void incremental_answer(struct change *change)
{
    struct alter *alter = CONTAINER_OF(change, struct alter, change);
    struct request *r = alter->r;
    struct incremental_alter_configs_response response;
    wire_init(&incremental_alter_configs_response_struct, &response);
    response.responses.items =
        wire_new(&incremental_alter_configs_response_resource_struct, &r->arena, alter->count);
    if (response.responses.items == NULL && alter->count > 0) {
        request_fail(r);
        return;
    }
    response.responses.count = alter->count;
    for (u32 i = 0; i < alter->count; i++) {
        const struct alter_answer *a = &alter->answers[i];
        response.responses.items[i].error_code = a->kerr;
        response.responses.items[i].error_message =
            a->message == NULL ? (struct slice){0} : slice_cstr(a->message);
        response.responses.items[i].resource_type = a->resource_type;
        response.responses.items[i].resource_name = a->resource_name;
    }
    request_reply(r, &response);
}

static void incremental_one(struct alter *alter, u32 row,
                            const struct incremental_alter_configs_request_resource *q,
                            bool validate_only)
{
    struct alter_answer *a = &alter->answers[row];
    struct meta_config *sets =
        arena_array(&alter->r->arena, MAX(q->configs.count, 1u), sizeof *sets);
    if (sets == NULL) {
        refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    u32 count = 0;
    for (u32 i = 0; i < q->configs.count; i++) {
        const struct incremental_alter_configs_request_alterable_config *c = &q->configs.items[i];
        enum config_scope scope =
            a->resource_type == RESOURCE_TOPIC ? CONFIG_SCOPE_TOPIC : CONFIG_SCOPE_BROKER;
        if (c->config_operation == ALTER_DELETE && config_row_find(scope, c->name) < 0) {
            continue; /* what nobody knows is not set anyway; Kafka takes it too */
        }
        if (has_key(sets, count, c->name)) {
            refuse(a, KERR_INVALID_REQUEST, "Error due to duplicate config keys");
            return;
        }
        sets[count].key = c->name;
        if (!operation_value(alter->r, a, c->name, (enum alter_operation)c->config_operation,
                             c->value, &sets[count].value)) {
            return;
        }
        count++;
    }
    if (topic_is_there(alter->r, a) && !validate_only && count > 0) {
        add_command(alter, row, sets, count);
    }
}

void handle_incremental_alter_configs(struct request *r)
{
    const struct incremental_alter_configs_request *q = r->body;
    struct alter *alter = alter_start(r, q->resources.count, incremental_answer);
    if (alter == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < alter->count; i++) {
        alter->answers[i].resource_type = q->resources.items[i].resource_type;
        alter->answers[i].resource_name = q->resources.items[i].resource_name;
    }
    for (u32 i = 0; i < alter->count; i++) {
        if (resource_start(alter, i)) {
            incremental_one(alter, i, &q->resources.items[i], q->validate_only);
        }
    }
    change_commit(&alter->change);
}

/* ---- whole sets ------------------------------------------------------------------------------ */

static void whole_answer(struct change *change)
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
        const struct alter_answer *a = &alter->answers[i];
        response.responses.items[i].error_code = a->kerr;
        response.responses.items[i].error_message =
            a->message == NULL ? (struct slice){0} : slice_cstr(a->message);
        response.responses.items[i].resource_type = a->resource_type;
        response.responses.items[i].resource_name = a->resource_name;
    }
    request_reply(r, &response);
}

/* The given values are set, every other one is removed. */
static void whole_one(struct alter *alter, u32 row, const struct alter_configs_request_resource *q,
                      bool validate_only)
{
    struct alter_answer *a = &alter->answers[row];
    const struct meta_config *own;
    u32 own_count = current_configs(alter->r, a, &own);
    struct meta_config *sets =
        arena_array(&alter->r->arena, MAX(q->configs.count + own_count, 1u), sizeof *sets);
    if (sets == NULL) {
        refuse(a, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    for (u32 i = 0; i < q->configs.count; i++) {
        if (q->configs.items[i].value.ptr ==
            NULL) { /* before any value is looked at, as in Kafka */
            refuse(a, KERR_INVALID_REQUEST, "Null value not supported.");
            return;
        }
    }
    u32 count = 0;
    for (u32 i = 0; i < q->configs.count; i++) {
        struct slice key = q->configs.items[i].name;
        if (has_key(sets, count, key)) {
            refuse(a, KERR_INVALID_REQUEST, "Error due to duplicate config keys");
            return;
        }
        sets[count].key = key;
        if (!operation_value(alter->r, a, key, ALTER_SET, q->configs.items[i].value,
                             &sets[count].value)) {
            return;
        }
        count++;
    }
    for (u32 i = 0; i < own_count; i++) {
        if (!has_key(sets, count, own[i].key)) {
            sets[count++] = (struct meta_config){.key = arena_copy(&alter->r->arena, own[i].key)};
        }
    }
    if (topic_is_there(alter->r, a) && !validate_only && count > 0) {
        add_command(alter, row, sets, count);
    }
}

void handle_alter_configs(struct request *r)
{
    const struct alter_configs_request *q = r->body;
    struct alter *alter = alter_start(r, q->resources.count, whole_answer);
    if (alter == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < alter->count; i++) {
        alter->answers[i].resource_type = q->resources.items[i].resource_type;
        alter->answers[i].resource_name = q->resources.items[i].resource_name;
    }
    for (u32 i = 0; i < alter->count; i++) {
        if (resource_start(alter, i)) {
            whole_one(alter, i, &q->resources.items[i], q->validate_only);
        }
    }
    change_commit(&alter->change);
}
