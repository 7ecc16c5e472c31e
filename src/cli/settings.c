/* Reading and changing configurations: see settings.h. */
#include "cli/settings.h"

#include "cli/problem.h"

#include <string.h>

const char *settings_source_name(i8 source)
{
    switch (source) {
    case SETTINGS_SOURCE_TOPIC:
        return "topic";
    case SETTINGS_SOURCE_DYNAMIC_BROKER:
        return "broker";
    case SETTINGS_SOURCE_DYNAMIC_CLUSTER:
        return "cluster";
    case SETTINGS_SOURCE_STATIC:
        return "static";
    case SETTINGS_SOURCE_DEFAULT:
        return "default";
    case SETTINGS_SOURCE_GROUP:
        return "group";
    default:
        return "unknown";
    }
}

static const char *type_name(i8 type)
{
    static const char *const names[] = {"unknown", "boolean", "string", "int",   "short",
                                        "long",    "double",  "list",   "class", "password"};
    return names[type >= 0 && (size_t)type < ARRAY_LEN(names) ? type : 0];
}

void settings_add_one(struct node *list, const struct describe_configs_response_resource_result *c)
{
    struct node *one = node_add_object(list, NULL);
    node_add_text(one, "key", c->name);
    node_add_text(one, "value", c->value);
    node_add_cstr(one, "source", settings_source_name(c->config_source));
    node_add_cstr(one, "type", type_name(c->config_type));
    node_add_bool(one, "read_only", c->read_only);
    node_add_bool(one, "sensitive", c->is_sensitive);
    node_add_text(one, "doc", c->documentation);
}

void settings_add(struct node *list, const struct describe_configs_response_result *configs,
                  bool all)
{
    for (u32 i = 0; i < configs->configs.count; i++) {
        if (all || configs->configs.items[i].config_source != SETTINGS_SOURCE_DEFAULT) {
            settings_add_one(list, &configs->configs.items[i]);
        }
    }
}

bool setting_parse(const char *text, struct setting *out)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return false;
    }
    *out = (struct setting){slice_of(text, (size_t)(equals - text)), slice_cstr(equals + 1)};
    return true;
}

bool settings_of_options(const struct cli_args *a, const char *set_option, struct settings *out)
{
    *out = (struct settings){arena_array(a->arena, a->value_count + 1, sizeof *out->items), 0};
    for (u32 i = 0; i < a->value_count; i++) {
        const struct cli_value *v = &a->values[i];
        struct setting *s = &out->items[out->count];
        if (strcmp(v->option, set_option) == 0) {
            if (!setting_parse(v->value, s)) {
                problem_of_value(a, set_option, v->value, "KEY=VALUE");
                return false;
            }
            out->count++;
        } else if (strcmp(v->option, "unset") == 0) {
            *s = (struct setting){slice_cstr(v->value), {0}};
            out->count++;
        }
    }
    return true;
}

int settings_read(struct kafka *k, enum settings_resource resource, const char *name,
                  struct describe_configs_response_result *out)
{
    const struct cli_args *a = kafka_args(k);
    struct describe_configs_request_resource of = {
        .resource_type = (i8)resource,
        .resource_name = slice_cstr(name),
        .configuration_keys.is_null = true,
    };
    struct describe_configs_request request = {.resources = {.items = &of, .count = 1},
                                               .include_documentation = true};
    struct describe_configs_response response;
    int code = kafka_ask(k, API_describe_configs, 4, &request, &response);
    if (code != CLI_OK) {
        return code;
    }
    if (response.results.count != 1) {
        return problem(CLI_FAILED, "the broker told nothing about the configuration", NULL, NULL);
    }
    *out = response.results.items[0];
    if (out->error_code != KERR_NONE) {
        return problem_of_kafka(a, cli_text(a, "the configuration of \"%s\" cannot be read", name),
                                out->error_code, out->error_message);
    }
    return CLI_OK;
}

/* What this resource itself says now of a key; ptr NULL: nothing. */
static struct slice own_value(const struct describe_configs_response_result *configs,
                              enum settings_resource resource, const char *name, struct slice key)
{
    i8 own = resource == SETTINGS_TOPIC   ? SETTINGS_SOURCE_TOPIC
             : resource == SETTINGS_GROUP ? SETTINGS_SOURCE_GROUP
             : name[0] == 0               ? SETTINGS_SOURCE_DYNAMIC_CLUSTER
                                          : SETTINGS_SOURCE_DYNAMIC_BROKER;
    for (u32 i = 0; i < configs->configs.count; i++) {
        const struct describe_configs_response_resource_result *c = &configs->configs.items[i];
        if (slice_eq(c->name, key) && c->config_source == own) {
            return c->value;
        }
    }
    return (struct slice){0};
}

static const char *undo_command(const struct cli_args *a, const char *where,
                                enum settings_resource resource, const char *name,
                                const struct settings *settings,
                                const struct describe_configs_response_result *before)
{
    const char *undo = cli_text(a, "odradek config set %s", change_quoted(a, slice_cstr(where)));
    for (u32 i = 0; i < settings->count; i++) {
        struct slice key = settings->items[i].key;
        struct slice old = own_value(before, resource, name, key);
        undo =
            old.ptr == NULL
                ? cli_text(a, "%s --unset %s", undo, change_quoted(a, key))
                : cli_text(a, "%s %s", undo,
                           change_quoted(a, slice_cstr(cli_text(a, "%.*s=%.*s", (int)key.len,
                                                                (const char *)key.ptr, (int)old.len,
                                                                (const char *)old.ptr))));
    }
    return undo;
}

int settings_change(struct kafka *k, struct change *change, const char *where,
                    enum settings_resource resource, const char *name,
                    const struct settings *settings)
{
    const struct cli_args *a = kafka_args(k);
    struct describe_configs_response_result before;
    int code = settings_read(k, resource, name, &before);
    if (code != CLI_OK) {
        return code;
    }
    struct incremental_alter_configs_request_alterable_config *items =
        arena_array(a->arena, settings->count + 1, sizeof *items);
    for (u32 i = 0; i < settings->count; i++) {
        const struct setting *s = &settings->items[i];
        items[i].name = s->key;
        items[i].value = s->value;
        items[i].config_operation = s->value.ptr == NULL; /* 0 set, 1 delete */
    }
    struct incremental_alter_configs_request_resource of = {
        .resource_type = (i8)resource,
        .resource_name = slice_cstr(name),
        .configs = {.items = items, .count = settings->count},
    };
    struct incremental_alter_configs_request request = {.resources = {.items = &of, .count = 1},
                                                        .validate_only = change->dry};
    struct incremental_alter_configs_response response;
    code = kafka_ask(k, API_incremental_alter_configs, 1, &request, &response);
    if (code != CLI_OK) {
        return code;
    }
    if (response.responses.count != 1 || response.responses.items[0].error_code != KERR_NONE) {
        bool told = response.responses.count == 1;
        return problem_of_kafka(
            a, cli_text(a, "cannot change %s", where),
            told ? response.responses.items[0].error_code : (i16)KERR_UNKNOWN_SERVER_ERROR,
            told ? response.responses.items[0].error_message : (struct slice){0});
    }
    change_done(change, "change", "config", where,
                undo_command(a, where, resource, name, settings, &before));
    return CLI_OK;
}
