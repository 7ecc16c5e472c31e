/* See config_sources.h. The order does not matter to the result: every source has a layer of its
   own. Nothing is printed here. */
#include "broker/config_sources.h"

#include "broker/config_file.h"
#include "broker/config_rows.h"
#include "io/io.h"

#include <stdio.h>
#include <string.h>

#define PRINTED(s) (int)MIN((s).len, (size_t)128), (const char *)(s).ptr

struct loading {
    struct config *c;
    struct config_problems *problems;
    const char *file;
    u32 lines[CONFIG_KEY_COUNT]; /* of the file, where each key was set; 0: nowhere */
};

const struct config_retired_row config_retired_rows[] = {
#define RETIRED(key, note) {key, note},
#include "broker/config_retired.def"
#undef RETIRED
};
const u32 config_retired_count = ARRAY_LEN(config_retired_rows);

const char *config_retired(struct slice key)
{
    for (u32 i = 0; i < config_retired_count; i++) {
        struct slice name = slice_cstr(config_retired_rows[i].key);
        bool prefix = name.ptr[name.len - 1] == '*';
        name.len -= prefix;
        bool fits = prefix ? key.len >= name.len && slice_eq(slice_of(key.ptr, name.len), name)
                           : slice_eq(key, name);
        if (fits) {
            return config_retired_rows[i].note;
        }
    }
    return NULL;
}

/* ---- what to write instead ------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static u8 lower(u8 c)
{
    return c >= 'A' && c <= 'Z' ? (u8)(c - 'A' + 'a') : c;
}

static bool same_unit(struct slice text, const char *unit)
{
    size_t i = 0;
    while (i < text.len && unit[i] != 0 && lower(text.ptr[i]) == (u8)unit[i]) {
        i++;
    }
    return i == text.len && unit[i] == 0;
}

/* "1 GiB", "512k", "7 days": as a plain number in the key's unit. */
static bool number_with_unit(const char *key, struct slice text, i64 *number)
{
    static const struct {
        const char *unit;
        i64 factor;
        bool time;
    } units[] = {
        {"k", 1 << 10, false},    {"kb", 1 << 10, false},   {"kib", 1 << 10, false},
        {"m", 1 << 20, false},    {"mb", 1 << 20, false},   {"mib", 1 << 20, false},
        {"g", 1 << 30, false},    {"gb", 1 << 30, false},   {"gib", 1 << 30, false},
        {"ms", 1, true},          {"s", 1000, true},        {"sec", 1000, true},
        {"m", 60000, true},       {"min", 60000, true},     {"h", 3600000, true},
        {"d", 86400000, true},    {"days", 86400000, true}, {"hours", 3600000, true},
        {"minutes", 60000, true}, {"seconds", 1000, true},  {"day", 86400000, true},
    };
    bool time = ends_with(key, ".ms");
    size_t digits = 0;
    i64 value = 0;
    while (digits < text.len && digits < 9 && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        value = value * 10 + (text.ptr[digits] - '0');
        digits++;
    }
    struct slice unit = slice_trim(slice_of(text.ptr + digits, text.len - digits));
    for (u32 i = 0; i < ARRAY_LEN(units) && digits > 0; i++) {
        if (units[i].time == time && same_unit(unit, units[i].unit)) {
            *number = value * units[i].factor;
            return true;
        }
    }
    return false;
}

static void say_next(struct config_problems *p, const struct config_row *row, struct slice value)
{
    i64 number;
    i64 checked;
    char text[32];
    char ignored[256];
    if (number_with_unit(row->key, slice_trim(value), &number)) {
        snprintf(text, sizeof text, "%lld", (long long)number);
        if (config_value_check(row, slice_cstr(text), &checked, ignored, sizeof ignored) == OK) {
            config_problem_next(p, "write the number without a unit: %s=%s", row->key, text);
            return;
        }
    }
    bool has_default = row->initial != NULL && row->initial[0] != 0;
    config_problem_next(p, "odradek config explain %s%s%s", row->key,
                        has_default ? "; the default is " : "", has_default ? row->initial : "");
}

/* ---- one value ------------------------------------------------------------------------------- */

static void value_take(struct loading *l, enum config_key key, enum config_layer layer,
                       struct slice value, const char *origin)
{
    const struct config_row *row = &config_rows[key];
    i64 number;
    char reason[512];
    if (config_value_check(row, value, &number, reason, sizeof reason) == OK) {
        config_layer_set(l->c, key, layer, value.ptr == NULL ? SLICE_LIT("") : value, origin);
        return;
    }
    bool bounded = row->valid[0] != 0;
    config_problem_add(l->problems, MSG_config_value, "%s cannot be \"%.*s\"", row->key,
                       PRINTED(value));
    config_problem_why(l->problems, "%s says so; its type is %s%s%s", origin,
                       config_type_name(row->type), bounded ? ", valid is " : "", row->valid);
    say_next(l->problems, row, value);
}

/* A key that no row has. */
static void unknown_take(struct loading *l, enum diag_code code, struct slice key,
                         const char *origin)
{
    const char *note = config_retired(key);
    if (note != NULL) {
        config_problem_add(l->problems, MSG_config_ignored, "%.*s has no effect here",
                           PRINTED(key));
        config_problem_why(l->problems, "%s sets it. %s", origin, note);
        return;
    }
    config_problem_add(l->problems, code, "there is no configuration key %.*s", PRINTED(key));
    config_problem_why(l->problems, "%s sets it%s", origin,
                       code == MSG_config_unknown_key ? "; it is ignored" : "");
    i32 of_topic = config_row_find(CONFIG_SCOPE_TOPIC, key);
    const char *nearest = config_nearest(CONFIG_SCOPE_BROKER, key);
    if (of_topic >= 0 && config_rows[of_topic].synonyms[0] != 0) {
        const char *synonyms = config_rows[of_topic].synonyms;
        config_problem_next(l->problems, "that is a topic's key; the broker's for it is %.*s",
                            (int)strcspn(synonyms, " *"), synonyms);
    } else if (nearest != NULL) {
        config_problem_next(l->problems, "did you mean %s?", nearest);
    } else {
        config_problem_next(l->problems, "`odradek docs config` lists all keys");
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool property_take(void *user, u32 line, struct slice key, struct slice value)
{
    struct loading *l = user;
    char origin[512];
    snprintf(origin, sizeof origin, "%s:%u", l->file, line);
    i32 row = config_row_find(CONFIG_SCOPE_BROKER, key);
    if (row < 0) {
        unknown_take(l, MSG_config_unknown_key, key, origin);
        return true;
    }
    if (l->lines[row] != 0) {
        config_problem_add(l->problems, MSG_config_twice, "%s is set twice", config_rows[row].key);
        config_problem_why(l->problems, "%s:%u and line %u; the last one counts", l->file,
                           l->lines[row], line);
        config_problem_next(l->problems, "remove the line that is not meant");
    }
    l->lines[row] = line;
    value_take(l, (enum config_key)row, CONFIG_LAYER_FILE, value, origin);
    return true;
}

static void file_refuse(struct loading *l, err_t e)
{
    const char *why = e == ERR_NOT_FOUND ? "there is no such file"
                      : e == ERR_DENIED  ? "this user may not read it"
                      : e == ERR_INVALID ? "it is not a regular file"
                      : e == ERR_LIMIT   ? "it is larger than 1 MiB"
                                         : err_name(e);
    config_problem_add(l->problems, MSG_config_file, "the configuration file %s cannot be read",
                       l->file);
    config_problem_why(l->problems, "%s", why);
    config_problem_next(l->problems, "name a file in the format of server.properties; without "
                                     "--config the defaults serve");
}

static void file_take(struct loading *l)
{
    u8 *bytes = NULL;
    size_t len = 0;
    err_t e = io_read_whole(l->file, CONFIG_FILE_BYTES_MAX, &bytes, &len);
    if (e != OK) {
        file_refuse(l, e);
        return;
    }
    struct properties_error error = {0};
    if (properties_parse(slice_of(bytes, len), property_take, l, &error) != OK) {
        config_problem_add(l->problems, MSG_config_syntax, "line %u of %s cannot be understood",
                           error.line, l->file);
        config_problem_why(l->problems, "%s; what stands behind that line was not looked at",
                           error.what);
        config_problem_next(l->problems, "correct the line; a backslash itself is written \\\\");
    }
    mem_free(bytes);
}

/* ---- the environment ------------------------------------------------------------------------- */

/* Variables of Kafka's own scripts and of Kubernetes, for a service named kafka. */
static bool is_of_scripts(struct slice name)
{
    static const char *const names[] = {
        "KAFKA_VERSION",       "KAFKA_HEAP_OPTS",
        "KAFKA_LOG4J_OPTS",    "KAFKA_OPTS",
        "KAFKA_JMX_OPTS",      "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_GC_LOG_OPTS",   "KAFKA_LOG4J_ROOT_LOGLEVEL",
        "KAFKA_LOG4J_LOGGERS", "KAFKA_TOOLS_LOG4J_LOGLEVEL",
        "KAFKA_JMX_HOSTNAME",  "KAFKA_JMX_PORT",
        "KAFKA_HOME",          "KAFKA_DEBUG",
        "KAFKA_PORT",
    };
    static const char *const prefixes[] = {"KAFKA_PORT_", "KAFKA_SERVICE_"};
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_cstr(name, names[i])) {
            return true;
        }
    }
    for (u32 i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        if (name.len >= len && memcmp(name.ptr, prefixes[i], len) == 0) {
            return true;
        }
    }
    return false;
}

bool config_environment_key(struct slice name, char *key, size_t key_bytes)
{
    static const char prefix[] = "KAFKA_";
    size_t prefix_len = sizeof prefix - 1;
    if (name.len <= prefix_len || memcmp(name.ptr, prefix, prefix_len) != 0 ||
        name.len - prefix_len >= key_bytes || is_of_scripts(name)) {
        return false;
    }
    size_t out = 0;
    for (size_t at = prefix_len; at < name.len;) {
        size_t run = 0;
        while (run < 3 && at + run < name.len && name.ptr[at + run] == '_') {
            run++;
        }
        static const char signs[] = {0, '.', '_', '-'};
        key[out++] = run > 0 ? signs[run] : (char)lower(name.ptr[at]);
        at += MAX(run, (size_t)1);
    }
    key[out] = 0;
    return true;
}

static void environment_take(struct loading *l, const char *const *environment)
{
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        size_t len = equals == NULL ? 0 : (size_t)(equals - *environment);
        char key[128];
        char origin[256];
        if (len == 0 || !config_environment_key(slice_of(*environment, len), key, sizeof key)) {
            continue;
        }
        snprintf(origin, sizeof origin, "environment %.*s", (int)len, *environment);
        i32 row = config_row_find(CONFIG_SCOPE_BROKER, slice_cstr(key));
        if (row < 0) {
            unknown_take(l, MSG_config_unknown_key, slice_cstr(key), origin);
        } else {
            value_take(l, (enum config_key)row, CONFIG_LAYER_ENVIRONMENT, slice_cstr(equals + 1),
                       origin);
        }
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

void config_load(struct config *c, const struct config_sources *sources,
                 struct config_problems *problems)
{
    struct loading l = {.c = c, .problems = problems, .file = sources->file};
    for (u32 i = 0; i < sources->default_count; i++) {
        const struct config_flag *d = &sources->defaults[i];
        i32 row = config_row_find(CONFIG_SCOPE_BROKER, d->key);
        assert(row >= 0);
        config_layer_set(c, (enum config_key)row, CONFIG_LAYER_FILE, d->value, d->option);
    }
    if (sources->file != NULL) {
        file_take(&l);
    }
    environment_take(&l, sources->environment);
    for (u32 i = 0; i < sources->flag_count; i++) {
        const struct config_flag *flag = &sources->flags[i];
        i32 row = config_row_find(CONFIG_SCOPE_BROKER, flag->key);
        if (row < 0) {
            unknown_take(&l, MSG_config_unknown_flag, flag->key, flag->option);
        } else {
            value_take(&l, (enum config_key)row, CONFIG_LAYER_FLAG, flag->value, flag->option);
        }
    }
}

struct slice config_data_directory(const struct config *c)
{
    struct slice list = config_str(c, CONFIG_log_dirs);
    if (slice_trim(list).len == 0) {
        list = config_str(c, CONFIG_log_dir);
    }
    struct slice first = {0};
    struct slice word;
    while (config_next_word(&list, &word)) {
        if (word.len > 0 && first.len == 0) {
            first = word;
        }
    }
    return first;
}

/* Listeners can change while Kafka runs; here they are opened at the start. */
static bool may_change(enum config_key key)
{
    return config_rows[key].update != CONFIG_UPDATE_READ_ONLY && key != CONFIG_listeners &&
           key != CONFIG_listener_security_protocol_map;
}

void config_adopt(struct config *c, const struct config *fresh, const struct config_change_fns *fns)
{
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        enum config_key key = (enum config_key)i;
        if (config_rows[key].scope != CONFIG_SCOPE_BROKER) {
            continue;
        }
        struct slice old = config_layer_str(c, key, CONFIG_LAYER_FILE);
        struct slice wanted = config_layer_str(fresh, key, CONFIG_LAYER_FILE);
        if ((old.ptr == NULL) == (wanted.ptr == NULL) && slice_eq(old, wanted)) {
            continue;
        }
        if (may_change(key)) {
            config_layer_set(c, key, CONFIG_LAYER_FILE, wanted,
                             config_layer_origin(fresh, key, CONFIG_LAYER_FILE));
            fns->changed(fns->user, key);
        } else if (config_rows[key].status != CONFIG_IGNORED) {
            fns->needs_restart(fns->user, key, wanted);
        }
    }
}

/* ---- explain --------------------------------------------------------------------------------- */

static void explain_row(const struct config *c, const struct config_row *row, enum config_key key)
{
    static const char *const statuses[] = {
        [CONFIG_WORKS] = "works",
        [CONFIG_SHOWN] = "is stored and shown, not acted upon",
        [CONFIG_IGNORED] = "is accepted and ignored",
    };
    static const char *const updates[] = {
        [CONFIG_UPDATE_READ_ONLY] = "at the start only",
        [CONFIG_UPDATE_PER_BROKER] = "while the broker runs, for one broker",
        [CONFIG_UPDATE_CLUSTER_WIDE] = "while the broker runs",
    };
    static const char *const scopes[] = {[CONFIG_SCOPE_TOPIC] = "topic",
                                         [CONFIG_SCOPE_BROKER] = "broker",
                                         [CONFIG_SCOPE_GROUP] = "group"};
    printf("%s (%s)\n  %s\n", row->key, scopes[row->scope], row->doc);
    printf("  type      %s%s%s\n", config_type_name(row->type),
           row->valid[0] != 0 ? ", valid " : "", row->valid);
    printf("  default   %s\n", row->initial == NULL   ? "none"
                               : row->initial[0] == 0 ? "empty"
                                                      : row->initial);
    printf("  changes   %s\n  status    %s\n", updates[row->update], statuses[row->status]);
    if (row->synonyms[0] != 0) {
        printf("  from      %s\n", row->synonyms);
    }
    if (row->scope == CONFIG_SCOPE_BROKER && config_is_set(c, key)) {
        struct slice value = config_str(c, key);
        bool hidden = row->type == CONFIG_TYPE_PASSWORD;
        printf("  now       %.*s (%s)\n", hidden ? 8 : (int)value.len,
               hidden ? "(hidden)" : (const char *)value.ptr, config_origin(c, key));
    }
}

bool config_explain(const struct config *c, struct slice key, const char **near)
{
    static const enum config_scope scopes[] = {CONFIG_SCOPE_BROKER, CONFIG_SCOPE_TOPIC,
                                               CONFIG_SCOPE_GROUP};
    bool found = false;
    *near = NULL;
    for (u32 i = 0; i < ARRAY_LEN(scopes); i++) {
        i32 row = config_row_find(scopes[i], key);
        if (row >= 0) {
            explain_row(c, &config_rows[row], (enum config_key)row);
            found = true;
        }
        const char *nearest = config_nearest(scopes[i], key);
        bool nearer =
            nearest != NULL && (*near == NULL || edit_distance(key, slice_cstr(nearest)) <
                                                     edit_distance(key, slice_cstr(*near)));
        *near = nearer ? nearest : *near;
    }
    const char *note = found ? NULL : config_retired(key);
    if (note != NULL) {
        printf("%.*s (of older Kafkas)\n  %s\n", PRINTED(key), note);
        found = true;
    }
    return found;
}
