/* The values of configuration keys; see config.h. Text is what is stored: a value is parsed and
   checked when it is set, and numbers are kept beside the text for the code that asks for them. */
#include "broker/config.h"

#include "broker/config_rows.h"
#include "broker/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct config_row config_rows[CONFIG_KEY_COUNT] = {
#define OPT(scope, ident, key, type, initial, valid, update, status, synonyms, doc) \
    [CONFIG_##ident] = {CONFIG_SCOPE_##scope,                                       \
                        key,                                                        \
                        CONFIG_TYPE_##type,                                         \
                        initial,                                                    \
                        valid,                                                      \
                        CONFIG_UPDATE_##update,                                     \
                        CONFIG_##status,                                            \
                        synonyms,                                                   \
                        doc},
#include "broker/config.def"
#undef OPT
};

struct config_value {
    char *texts[CONFIG_LAYERS];   /* by layer, best first; NULL: not set there */
    char *origins[CONFIG_LAYERS]; /* who said so; NULL: the layer says it all */
    i64 number;                   /* of the text in force, when the type is a number or boolean */
};
/* A topic key's synonyms, looked up once. */
enum { SYNONYMS_MAX = 4 };
struct config_synonyms {
    u16 keys[SYNONYMS_MAX];
    i64 factors[SYNONYMS_MAX];
    u32 count;
};
struct config {
    struct config_value values[CONFIG_KEY_COUNT];
    struct config_synonyms synonyms[CONFIG_KEY_COUNT];
};

/* ---- rows ------------------------------------------------------------------------------------ */

i32 config_row_find(enum config_scope scope, struct slice key)
{
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (config_rows[i].scope == scope && slice_eq_cstr(key, config_rows[i].key)) {
            return (i32)i;
        }
    }
    return -1;
}

u32 edit_distance(struct slice a, struct slice b)
{
    u32 row[128];
    if (a.len >= ARRAY_LEN(row) || b.len >= ARRAY_LEN(row)) {
        return UINT32_MAX;
    }
    for (u32 k = 0; k <= b.len; k++) {
        row[k] = k;
    }
    for (u32 i = 1; i <= a.len; i++) {
        u32 diagonal = row[0];
        row[0] = i;
        for (u32 k = 1; k <= b.len; k++) {
            u32 substitute = diagonal + (a.ptr[i - 1] != b.ptr[k - 1]);
            diagonal = row[k];
            row[k] = MIN(substitute, MIN(row[k], row[k - 1]) + 1);
        }
    }
    return row[b.len];
}

const char *config_nearest(enum config_scope scope, struct slice key)
{
    const char *best = NULL;
    u32 best_distance = (u32)key.len / 3 + 1;
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        u32 distance = config_rows[i].scope == scope
                           ? edit_distance(key, slice_cstr(config_rows[i].key))
                           : UINT32_MAX;
        if (distance <= best_distance) {
            best_distance = distance;
            best = config_rows[i].key;
        }
    }
    return best;
}

/* ---- checking values ------------------------------------------------------------------------- */

/* As a C string; false when it does not fit, or is none. */
static bool to_cstr(struct slice text, char *buf, size_t buf_bytes)
{
    if (text.len == 0 || text.len >= buf_bytes || memchr(text.ptr, 0, text.len) != NULL) {
        return false;
    }
    memcpy(buf, text.ptr, text.len);
    buf[text.len] = 0;
    return true;
}

static bool parse_i64(struct slice text, i64 *out)
{
    char buf[32];
    if (!to_cstr(text, buf, sizeof buf)) {
        return false;
    }
    bool digits = (buf[0] >= '0' && buf[0] <= '9') ||
                  ((buf[0] == '-' || buf[0] == '+') && buf[1] >= '0' && buf[1] <= '9');
    char *end;
    errno = 0;
    *out = strtoll(buf, &end, 10);
    return digits && errno == 0 && *end == 0;
}

static bool parse_double(struct slice text, f64 *out)
{
    char buf[64];
    if (!to_cstr(text, buf, sizeof buf)) {
        return false;
    }
    char *end;
    *out = strtod(buf, &end);
    return *end == 0 && *out == *out && *out - *out == 0; /* neither NaN nor infinite */
}

/* Is word one of "a|b|c"? */
static bool is_one_of(struct slice word, const char *choices)
{
    const char *at = choices;
    while (true) {
        const char *end = strchr(at, '|');
        size_t len = end == NULL ? strlen(at) : (size_t)(end - at);
        if (slice_eq(word, slice_of(at, len))) {
            return true;
        }
        if (end == NULL) {
            return false;
        }
        at = end + 1;
    }
}

bool config_next_word(struct slice *list, struct slice *word)
{
    if (list->len == 0) {
        return false;
    }
    const u8 *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    *word = slice_of(list->ptr, len);
    size_t step = MIN(len + 1, list->len);
    *list = slice_of(list->ptr + step, list->len - step);
    while (word->len > 0 && word->ptr[0] == ' ') {
        *word = slice_of(word->ptr + 1, word->len - 1);
    }
    while (word->len > 0 && word->ptr[word->len - 1] == ' ') {
        word->len--;
    }
    return true;
}

/* valid: ">= n", "a..b", "a..b or n", choices, "list of choices", or "". */
static bool number_valid(f64 v, const char *valid)
{
    f64 low, high, also;
    if (sscanf(valid, ">= %lf", &low) == 1) {
        return v >= low;
    }
    const char *dots = strstr(valid, "..");
    if (dots == NULL) {
        return true;
    }
    low = strtod(valid, NULL); /* stops at the second dot at the latest: "0." is a number too */
    int n = sscanf(dots + 2, "%lf or %lf", &high, &also);
    assert(n >= 1);
    return (v >= low && v <= high) || (n == 2 && v >= also && v <= also);
}

static bool text_valid(const struct config_row *row, struct slice value)
{
    static const char list_of[] = "list of ";
    if (strncmp(row->valid, list_of, sizeof list_of - 1) == 0) {
        struct slice rest = value;
        struct slice word;
        while (config_next_word(&rest, &word)) {
            if (!is_one_of(word, row->valid + sizeof list_of - 1)) {
                return false;
            }
        }
        return value.len == 0 || value.ptr[value.len - 1] != ','; /* an empty word at the end */
    }
    return strchr(row->valid, '|') == NULL || is_one_of(value, row->valid);
}

static bool integer_bounds(enum config_type type, i64 *low, i64 *high)
{
    switch (type) {
    case CONFIG_TYPE_SHORT:
        *low = INT16_MIN;
        *high = INT16_MAX;
        return true;
    case CONFIG_TYPE_INT:
        *low = INT32_MIN;
        *high = INT32_MAX;
        return true;
    case CONFIG_TYPE_LONG:
        *low = INT64_MIN;
        *high = INT64_MAX;
        return true;
    default:
        return false;
    }
}

err_t config_value_check(const struct config_row *row, struct slice value, i64 *number,
                         char *reason, size_t reason_bytes)
{
    const char *wrong = NULL;
    i64 low, high;
    f64 real;
    *number = 0;
    value = slice_trim(value);
    if (row->type == CONFIG_TYPE_BOOLEAN) {
        bool yes = value.len == 4 && strncasecmp((const char *)value.ptr, "true", 4) == 0;
        bool no = value.len == 5 && strncasecmp((const char *)value.ptr, "false", 5) == 0;
        *number = yes;
        wrong = yes || no ? NULL : "expected true or false";
    } else if (integer_bounds(row->type, &low, &high)) {
        if (!parse_i64(value, number)) {
            wrong = "not a number of configuration type";
        } else if (*number < low || *number > high || !number_valid((f64)*number, row->valid)) {
            wrong = "out of bounds";
        }
    } else if (row->type == CONFIG_TYPE_DOUBLE) {
        wrong =
            !parse_double(value, &real) || !number_valid(real, row->valid) ? "out of bounds" : NULL;
    } else if (!text_valid(row, value)) {
        wrong = "not one of the valid values";
    }
    if (wrong == NULL) {
        return OK;
    }
    bool bounded = row->valid[0] != 0;
    snprintf(reason, reason_bytes, "Invalid value %.*s for configuration %s: %s (type %s%s%s)",
             (int)MIN(value.len, (size_t)64), (const char *)value.ptr, row->key, wrong,
             config_type_name(row->type), bounded ? ", valid " : "", row->valid);
    return ERR_INVALID;
}

const char *config_type_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_TYPE_BOOLEAN] = "boolean",   [CONFIG_TYPE_STRING] = "string",
        [CONFIG_TYPE_INT] = "int",           [CONFIG_TYPE_SHORT] = "short",
        [CONFIG_TYPE_LONG] = "long",         [CONFIG_TYPE_DOUBLE] = "double",
        [CONFIG_TYPE_LIST] = "list",         [CONFIG_TYPE_CLASS] = "class",
        [CONFIG_TYPE_PASSWORD] = "password",
    };
    return names[type];
}

/* ---- values ---------------------------------------------------------------------------------- */

static void synonyms_find(struct config_synonyms *out, const char *text)
{
    struct slice name;
    i64 factor;
    while (config_synonym_next(&text, &name, &factor)) {
        i32 row = config_row_find(CONFIG_SCOPE_BROKER, name);
        assert(row >= 0);
        assert(out->count < SYNONYMS_MAX);
        out->keys[out->count] = (u16)row;
        out->factors[out->count++] = factor;
    }
}

struct config *config_create(void)
{
    struct config *c = mem_alloc(sizeof *c);
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        char reason[256];
        synonyms_find(&c->synonyms[i], config_rows[i].synonyms);
        if (config_rows[i].initial != NULL && config_rows[i].initial[0] != 0) {
            err_t e = config_value_check(&config_rows[i], slice_cstr(config_rows[i].initial),
                                         &c->values[i].number, reason, sizeof reason);
            assert(e == OK); /* a default that its own row refuses */
        }
    }
    return c;
}

void config_destroy(struct config *c)
{
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        for (u32 k = 0; k < CONFIG_LAYERS; k++) {
            mem_free(c->values[i].texts[k]);
            mem_free(c->values[i].origins[k]);
        }
    }
    mem_free(c);
}

enum config_layer config_layer_in_force(const struct config *c, enum config_key key)
{
    u32 layer = 0;
    while (layer < CONFIG_LAYERS && c->values[key].texts[layer] == NULL) {
        layer++;
    }
    return (enum config_layer)layer;
}

/* The first layer that has a value, else the default (which may be NULL). */
static const char *text_in_force(const struct config *c, enum config_key key)
{
    enum config_layer layer = config_layer_in_force(c, key);
    return layer == CONFIG_LAYERS ? config_rows[key].initial : c->values[key].texts[layer];
}

void config_layer_set(struct config *c, enum config_key key, enum config_layer layer,
                      struct slice value, const char *origin)
{
    struct config_value *v = &c->values[key];
    mem_free(v->texts[layer]);
    mem_free(v->origins[layer]);
    v->texts[layer] = value.ptr == NULL ? NULL : mem_strndup(value);
    v->origins[layer] = origin == NULL ? NULL : mem_strndup(slice_cstr(origin));
    const char *text = text_in_force(c, key);
    char ignored[256];
    v->number = 0;
    if (text != NULL && text[0] != 0) {
        err_t e = config_value_check(&config_rows[key], slice_cstr(text), &v->number, ignored,
                                     sizeof ignored);
        assert(e == OK);
    }
}

const char *config_origin(const struct config *c, enum config_key key)
{
    static const char *const names[CONFIG_LAYERS + 1] = {
        [CONFIG_LAYER_FLAG] = "the command line",
        [CONFIG_LAYER_ENVIRONMENT] = "the environment",
        [CONFIG_LAYER_BROKER] = "a dynamic config of this broker",
        [CONFIG_LAYER_CLUSTER] = "a dynamic config of the cluster",
        [CONFIG_LAYER_FILE] = "the configuration file",
        [CONFIG_LAYERS] = "the default",
    };
    enum config_layer layer = config_layer_in_force(c, key);
    bool told = layer != CONFIG_LAYERS && c->values[key].origins[layer] != NULL;
    return told ? c->values[key].origins[layer] : names[layer];
}

err_t config_set(struct config *c, struct slice key, struct slice value, char *reason,
                 size_t reason_bytes)
{
    i32 row = config_row_find(CONFIG_SCOPE_BROKER, key);
    if (row < 0) {
        const char *nearest = config_nearest(CONFIG_SCOPE_BROKER, key);
        snprintf(reason, reason_bytes, "unknown configuration key %.*s%s%s%s",
                 (int)MIN(key.len, (size_t)128), (const char *)key.ptr,
                 nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                 nearest != NULL ? "?" : "");
        return ERR_NOT_FOUND;
    }
    i64 number;
    TRY(config_value_check(&config_rows[row], value, &number, reason, reason_bytes));
    config_layer_set(c, (enum config_key)row, CONFIG_LAYER_FILE, value, NULL);
    return OK;
}

/* A dynamic value that a flag or the environment hides is stored and does nothing: say so once. */
static void layer_refresh(struct config *c, enum config_key key, enum config_layer layer,
                          struct slice value)
{
    struct config_value *v = &c->values[key];
    struct slice old = v->texts[layer] == NULL ? (struct slice){0} : slice_cstr(v->texts[layer]);
    if ((old.ptr == NULL) == (value.ptr == NULL) && slice_eq(old, value)) {
        return;
    }
    config_layer_set(c, key, layer, value, NULL);
    if (value.ptr != NULL && config_layer_in_force(c, key) < CONFIG_LAYER_BROKER) {
        diag(MSG_config_hidden, D_STR("key", config_rows[key].key), D_SLICE("value", value),
             D_SLICE("in_force", config_str(c, key)), D_STR("from", config_origin(c, key)));
    }
}

/* The dynamic layers are whatever the metadata state says now. A value it holds was checked when it
   went in. */
void config_refresh(struct config *c, const struct meta *meta)
{
    static const struct {
        enum config_layer layer;
        const char *name;
    } layers[] = {{CONFIG_LAYER_BROKER, CONFIG_BROKER_NAME}, {CONFIG_LAYER_CLUSTER, ""}};
    for (u32 l = 0; l < ARRAY_LEN(layers); l++) {
        const struct meta_config *list;
        u32 count = meta_configs(meta, CONFIG_RESOURCE_BROKER, slice_cstr(layers[l].name), &list);
        struct slice values[CONFIG_KEY_COUNT] = {0};
        for (u32 i = 0; i < count; i++) {
            i32 row = config_row_find(CONFIG_SCOPE_BROKER, list[i].key);
            if (row >= 0) {
                values[row] = list[i].value;
            }
        }
        for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
            layer_refresh(c, (enum config_key)i, layers[l].layer, values[i]);
        }
    }
}

struct slice config_layer_str(const struct config *c, enum config_key key, enum config_layer layer)
{
    const char *text = c->values[key].texts[layer];
    return text == NULL ? (struct slice){0} : slice_cstr(text);
}

const char *config_layer_origin(const struct config *c, enum config_key key,
                                enum config_layer layer)
{
    return c->values[key].origins[layer];
}

bool config_is_set(const struct config *c, enum config_key key)
{
    return text_in_force(c, key) != config_rows[key].initial;
}

i64 config_number(enum config_key key, struct slice text)
{
    i64 number = 0;
    char ignored[256];
    err_t e = config_value_check(&config_rows[key], text, &number, ignored, sizeof ignored);
    assert(e == OK);
    return number;
}

i64 config_i64(const struct config *c, enum config_key key)
{
    return c->values[key].number;
}

struct slice config_str(const struct config *c, enum config_key key)
{
    const char *text = text_in_force(c, key);
    return text == NULL ? (struct slice){0} : slice_cstr(text);
}

/* ---- topics ---------------------------------------------------------------------------------- */

static MUST_USE i16 own_config_check(enum config_scope scope, const char *of, struct slice key,
                                     struct slice value, char *reason, size_t reason_bytes)
{
    i32 row = config_row_find(scope, key);
    if (row < 0) {
        const char *nearest = config_nearest(scope, key);
        snprintf(reason, reason_bytes, "Unknown %s config name: %.*s%s%s%s", of,
                 (int)MIN(key.len, (size_t)128), (const char *)key.ptr,
                 nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                 nearest != NULL ? "?" : "");
        return KERR_INVALID_CONFIG;
    }
    i64 number;
    return config_value_check(&config_rows[row], value, &number, reason, reason_bytes) == OK
               ? KERR_NONE
               : KERR_INVALID_CONFIG;
}

i16 topic_config_check(const struct config *c, struct slice key, struct slice value, char *reason,
                       size_t reason_bytes)
{
    (void)c;
    return own_config_check(CONFIG_SCOPE_TOPIC, "topic", key, value, reason, reason_bytes);
}

i16 group_config_check(struct slice key, struct slice value, char *reason, size_t reason_bytes)
{
    return own_config_check(CONFIG_SCOPE_GROUP, "group", key, value, reason, reason_bytes);
}

i16 broker_config_check(struct slice key, struct slice value, bool cluster_default, char *reason,
                        size_t reason_bytes)
{
    i32 row = config_row_find(CONFIG_SCOPE_BROKER, key);
    if (row < 0) {
        snprintf(reason, reason_bytes, "Unknown broker config name: %.*s",
                 (int)MIN(key.len, (size_t)128), (const char *)key.ptr);
        return KERR_INVALID_REQUEST;
    }
    if (config_rows[row].update == CONFIG_UPDATE_READ_ONLY) {
        snprintf(reason, reason_bytes, "Cannot update these configs dynamically: %s",
                 config_rows[row].key);
        return KERR_INVALID_REQUEST;
    }
    if (cluster_default && config_rows[row].update == CONFIG_UPDATE_PER_BROKER) {
        snprintf(
            reason, reason_bytes,
            "Cannot update these configs at default cluster level, broker id must be specified: %s",
            config_rows[row].key);
        return KERR_INVALID_REQUEST;
    }
    i64 number;
    if (config_value_check(&config_rows[row], value, &number, reason, reason_bytes) != OK) {
        return KERR_INVALID_REQUEST;
    }
    struct slice wrong;
    if (row == CONFIG_max_connections_per_ip_overrides && !conn_overrides_valid(value, &wrong)) {
        snprintf(reason, reason_bytes,
                 "Invalid entry of max.connections.per.ip.overrides: %.*s; an entry is "
                 "ADDRESS:COUNT, names are not looked up",
                 (int)MIN(wrong.len, (size_t)128), (const char *)wrong.ptr);
        return KERR_INVALID_REQUEST;
    }
    return KERR_NONE;
}

bool config_synonym_next(const char **at, struct slice *key, i64 *factor)
{
    while (**at == ' ') {
        (*at)++;
    }
    if (**at == 0) {
        return false;
    }
    size_t len = strcspn(*at, " ");
    const char *star = memchr(*at, '*', len);
    *key = slice_of(*at, star == NULL ? len : (size_t)(star - *at));
    *factor = star == NULL ? 1 : strtoll(star + 1, NULL, 10);
    *at += len;
    return true;
}

struct topic_value {
    struct slice text;
    i64 number;
};

/* Own value, else the first broker synonym that is set, else the first with a default. */
static struct topic_value topic_value(const struct config *c, const struct meta_topic *t,
                                      enum config_key key)
{
    const struct config_row *row = &config_rows[key];
    struct topic_value v = {.text = config_str(c, key), .number = c->values[key].number};
    char ignored[256];
    for (u32 i = 0; i < t->config_count; i++) {
        if (slice_eq_cstr(t->configs[i].key, row->key)) {
            v.text = slice_trim(t->configs[i].value);
            err_t e = config_value_check(row, v.text, &v.number, ignored, sizeof ignored);
            assert(e == OK); /* topic_config_check let it in */
            return v;
        }
    }
    const struct config_synonyms *synonyms = &c->synonyms[key];
    for (u32 i = 0; i < synonyms->count; i++) {
        enum config_key broker_key = (enum config_key)synonyms->keys[i];
        if (config_is_set(c, broker_key)) {
            v.text = config_str(c, broker_key);
            v.number = c->values[broker_key].number * synonyms->factors[i];
            return v;
        }
    }
    return v;
}

static bool has_word(struct slice list, const char *wanted)
{
    struct slice word;
    while (config_next_word(&list, &word)) {
        if (slice_eq_cstr(word, wanted)) {
            return true;
        }
    }
    return false;
}

void topic_config_resolve(const struct config *c, const struct meta_topic *t,
                          struct topic_config *out)
{
    struct slice policy = topic_value(c, t, CONFIG_topic_cleanup_policy).text;
    *out = (struct topic_config){
        .retention_ms = topic_value(c, t, CONFIG_topic_retention_ms).number,
        .retention_bytes = topic_value(c, t, CONFIG_topic_retention_bytes).number,
        .max_message_bytes = topic_value(c, t, CONFIG_topic_max_message_bytes).number,
        .segment_bytes = topic_value(c, t, CONFIG_topic_segment_bytes).number,
        .timestamp_before_max_ms =
            topic_value(c, t, CONFIG_topic_message_timestamp_before_max_ms).number,
        .timestamp_after_max_ms =
            topic_value(c, t, CONFIG_topic_message_timestamp_after_max_ms).number,
        .log_append_time = slice_eq_cstr(
            topic_value(c, t, CONFIG_topic_message_timestamp_type).text, "LogAppendTime"),
        .compacted = has_word(policy, "compact"),
        .delete_policy = has_word(policy, "delete"),
    };
}

i16 topic_configs_check(const struct config *c, const struct meta_config *configs, u32 count,
                        char *reason, size_t reason_bytes)
{
    const struct meta_topic t = {.configs = (struct meta_config *)(uintptr_t)configs,
                                 .config_count = count};
    i64 min_lag_ms = topic_value(c, &t, CONFIG_topic_min_compaction_lag_ms).number;
    i64 max_lag_ms = topic_value(c, &t, CONFIG_topic_max_compaction_lag_ms).number;
    if (min_lag_ms > max_lag_ms) {
        snprintf(reason, reason_bytes,
                 "min.compaction.lag.ms (%lld) is larger than max.compaction.lag.ms (%lld)",
                 (long long)min_lag_ms, (long long)max_lag_ms);
        return KERR_INVALID_CONFIG;
    }
    if (topic_value(c, &t, CONFIG_topic_remote_storage_enable).number != 0) {
        snprintf(reason, reason_bytes,
                 "remote.storage.enable cannot be true: this broker has no remote storage");
        return KERR_INVALID_CONFIG;
    }
    return KERR_NONE;
}
