/* odradek config get, set, explain, check. WHERE names what is configured: topic/NAME, group/NAME,
   broker/ID, or cluster, the default of all brokers. */
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/problem.h"
#include "cli/settings.h"

#include <string.h>

struct where {
    enum settings_resource resource;
    const char *name; /* "": the default of all brokers */
};

static bool parse_where(const struct cli_args *a, struct where *out)
{
    static const struct {
        const char *prefix;
        enum settings_resource resource;
    } rows[] = {
        {"topic/", SETTINGS_TOPIC}, {"group/", SETTINGS_GROUP}, {"broker/", SETTINGS_BROKER}};
    const char *text = a->operand_count > 0 ? a->operands[0] : "";
    if (strcmp(text, "cluster") == 0) {
        *out = (struct where){SETTINGS_BROKER, ""};
        return true;
    }
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].prefix);
        if (strncmp(text, rows[i].prefix, len) == 0 && text[len] != 0) {
            *out = (struct where){rows[i].resource, text + len};
            return true;
        }
    }
    problem(CLI_USAGE,
            text[0] == 0 ? cli_text(a, "odradek %s needs to know whose configuration", a->words)
                         : cli_text(a, "\"%s\" does not say whose configuration", text),
            NULL, "topic/NAME, group/NAME, broker/ID, or cluster (the default of all brokers)");
    return false;
}

/* ---- get ------------------------------------------------------------------------------------- */

static const struct column get_columns[] = {{"key", "KEY", COLUMN_NAME},
                                            {"value", "VALUE", 0},
                                            {"source", "SOURCE", 0},
                                            {"type", "TYPE", COLUMN_WIDE},
                                            {"read_only", "READ-ONLY", COLUMN_WIDE},
                                            {"doc", "WHAT IT DOES", COLUMN_WIDE},
                                            {0}};
static const struct view get_view = {.columns = get_columns, .listing = true};

static const struct describe_configs_response_resource_result *
find_key(const struct describe_configs_response_result *configs, const char *key)
{
    for (u32 i = 0; i < configs->configs.count; i++) {
        if (slice_eq_cstr(configs->configs.items[i].name, key)) {
            return &configs->configs.items[i];
        }
    }
    return NULL;
}

int command_config_get(const struct cli_args *a)
{
    struct where where;
    if (!parse_where(a, &where)) {
        return CLI_USAGE;
    }
    int code;
    struct kafka *k = kafka_open(a, &code);
    struct describe_configs_response_result configs;
    code = k == NULL ? code : settings_read(k, where.resource, where.name, &configs);
    kafka_close(k);
    if (code != CLI_OK) {
        return code;
    }
    struct node *list = node_list(a->arena);
    for (u32 i = 1; i < a->operand_count; i++) {
        const struct describe_configs_response_resource_result *c =
            find_key(&configs, a->operands[i]);
        if (c == NULL) {
            return problem(
                CLI_NOT_FOUND,
                cli_text(a, "%s has no configuration \"%s\"", a->operands[0], a->operands[i]), NULL,
                cli_text(a, "odradek config get %s --all   shows what it has", a->operands[0]));
        }
        settings_add_one(list, c);
    }
    if (a->operand_count == 1) {
        settings_add(list, &configs, cli_flag(a, "all"));
    }
    return out_print(a, list, &get_view);
}

/* ---- set ------------------------------------------------------------------------------------- */

int command_config_set(const struct cli_args *a)
{
    struct where where;
    struct settings settings;
    if (!parse_where(a, &where) || !settings_of_options(a, "config", &settings)) {
        return CLI_USAGE;
    }
    struct settings all = {
        arena_array(a->arena, settings.count + a->operand_count, sizeof *all.items), 0};
    for (u32 i = 1; i < a->operand_count; i++) {
        if (!setting_parse(a->operands[i], &all.items[all.count])) {
            return problem(CLI_USAGE, cli_text(a, "\"%s\" is not KEY=VALUE", a->operands[i]), NULL,
                           "odradek config set topic/orders retention.ms=3600000");
        }
        all.count++;
    }
    for (u32 i = 0; i < settings.count; i++) {
        all.items[all.count++] = settings.items[i];
    }
    if (all.count == 0) {
        return problem(CLI_USAGE, "there is nothing to set", NULL, "KEY=VALUE... or --unset KEY");
    }
    struct change change = change_begin(a);
    struct kafka *k = change.code == CLI_OK ? kafka_open(a, &change.code) : NULL;
    if (k == NULL) {
        return change.code;
    }
    change_failed(&change,
                  settings_change(k, &change, a->operands[0], where.resource, where.name, &all));
    kafka_close(k);
    return change_end(&change);
}

/* ---- without a broker ------------------------------------------------------------------------ */

static const struct column explain_columns[] = {{"key", "KEY", COLUMN_NAME}, {0}};
static const struct view explain_view = {.columns = explain_columns, .listing = true};
static const struct column check_columns[] = {{"file", "FILE", COLUMN_NAME}, {0}};
static const struct view check_view = {.columns = check_columns};

int config_key_unknown(const struct cli_args *a, const char *key, const char *near)
{
    return problem(
        CLI_NOT_FOUND,
        near == NULL
            ? cli_text(a, "there is no configuration \"%s\"", key)
            : cli_text(a, "there is no configuration \"%s\"; did you mean \"%s\"?", key, near),
        NULL, "odradek docs config   lists all keys");
}

int command_config_explain(const struct cli_args *a)
{
    enum out_format format;
    if (a->operand_count != 1) {
        return problem(CLI_USAGE, "odradek config explain needs one key", NULL,
                       "odradek docs config   lists all keys");
    }
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    bool words = format == OUT_TABLE || format == OUT_WIDE;
    struct node *list = node_list(a->arena);
    const char *near;
    if (a->host->config_explain(a->operands[0], words ? NULL : list, &near)) {
        return words ? CLI_OK : out_print(a, list, &explain_view);
    }
    return config_key_unknown(a, a->operands[0], near);
}

int command_config_check(const struct cli_args *a)
{
    enum out_format format;
    if (a->operand_count != 1) {
        return problem(CLI_USAGE, "odradek config check needs one file", NULL,
                       "odradek config check server.properties");
    }
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    if (format == OUT_TABLE || format == OUT_WIDE) {
        return a->host->config_check(a->operands[0], NULL);
    }
    struct node *root = node_object(a->arena);
    int code = a->host->config_check(a->operands[0], root);
    int printed = out_print(a, root, &check_view);
    return code != CLI_OK ? code : printed;
}
