/* Picks the command: the client's from cli, the broker's from broker. Above both, so that neither
   knows the other. */
#include "broker/config_rows.h"
#include "broker/config_sources.h"
#include "broker/docs.h"
#include "broker/serve.h"
#include "cli/cli.h"
#include "cli/node.h"
#include "main_doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The options of the command line as settings; room for all of a's values and two more. false: one
   of them is none, and that has been said. */
static bool flags_collect(const struct cli_args *a, struct config_flag *flags, u32 *count)
{
    static const struct {
        const char *option;
        const char *key;
        const char *before; /* of the value */
    } rows[] = {
        {"data", "log.dirs", ""},
        {"listen", "listeners", "PLAINTEXT://"},
        {"memory", "odradek.memory", ""},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        const char *value = cli_value(a, rows[i].option);
        u64 bytes;
        if (value != NULL && strcmp(rows[i].option, "memory") == 0) {
            if (!cli_parse_size(value, &bytes)) {
                char what[128];
                snprintf(what, sizeof what, "--memory %.64s is not a size", value);
                diag_problem_print(
                    &(struct diag_problem){MSG_start_usage, what, "", "write it as 64MiB or 1GiB"});
                return false;
            }
            value = cli_text(a, "%llu", (unsigned long long)MIN(bytes, (u64)INT64_MAX));
        }
        if (value != NULL) {
            flags[(*count)++] = (struct config_flag){
                slice_cstr(rows[i].key), slice_cstr(cli_text(a, "%s%s", rows[i].before, value)),
                cli_text(a, "--%s", rows[i].option)};
        }
    }
    for (u32 i = 0; i < a->value_count; i++) {
        if (strcmp(a->values[i].option, "set") != 0) {
            continue;
        }
        const char *pair = a->values[i].value;
        const char *equals = strchr(pair, '=');
        if (equals == NULL) {
            char what[128];
            snprintf(what, sizeof what, "--set %.64s is not KEY=VALUE", pair);
            diag_problem_print(&(struct diag_problem){MSG_start_usage, what, "",
                                                      "`odradek help serve` lists the keys"});
            return false;
        }
        flags[(*count)++] = (struct config_flag){slice_of(pair, (size_t)(equals - pair)),
                                                 slice_cstr(equals + 1), "--set"};
    }
    return true;
}

static int serve_options_run(const struct cli_args *a, struct serve_options *options)
{
    struct config_flag *flags = mem_alloc((a->value_count + 3) * sizeof *flags);
    u32 count = 0;
    int code = CLI_USAGE;
    if (flags_collect(a, flags, &count)) {
        options->version = a->host->version;
        options->sources.file = cli_value(a, "config");
        options->sources.environment = (const char *const *)environ;
        options->sources.flags = flags;
        options->sources.flag_count = count;
        code = serve_run(options);
    }
    mem_free(flags);
    return code;
}

static int serve(const struct cli_args *a)
{
    return serve_options_run(a, &(struct serve_options){0});
}

static bool pid_parse(const char *text, u32 *pid)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    *pid = (u32)number;
    return errno == 0 && end != text && *end == 0 && number > 0 && number <= INT32_MAX;
}

/* A broker for the tests of an application: nothing on disk, no port that another one could have,
   groups that do not wait for more members. */
static int dev(const struct cli_args *a)
{
    static const struct config_flag defaults[] = {
        {SLICE_LIT("odradek.http.listen"), SLICE_LIT("off"), "odradek dev"},
        {SLICE_LIT("group.initial.rebalance.delay.ms"), SLICE_LIT("0"), "odradek dev"},
    };
    u32 parent = 0;
    const char *pid = cli_value(a, "parent");
    if (pid != NULL && !pid_parse(pid, &parent)) {
        char what[128];
        snprintf(what, sizeof what, "--parent %.64s is not a process id", pid);
        diag_problem_print(&(struct diag_problem){
            MSG_start_usage, what, "a number from 1 on is wanted", "in a shell $$ is its own"});
        return CLI_USAGE;
    }
    struct serve_options options = {
        .sources = {.defaults = defaults, .default_count = ARRAY_LEN(defaults)},
        .in_memory = true,
        .with_parent = cli_flag(a, "with-parent"),
        .parent = parent,
        .until_eof = cli_flag(a, "until-eof"),
        .port_file = cli_value(a, "port-file"),
    };
    return serve_options_run(a, &options);
}

/* A row of config.def for programs. */
static void explain_add(struct node *list, const struct config_row *row)
{
    static const char *const scopes[] = {[CONFIG_SCOPE_TOPIC] = "topic",
                                         [CONFIG_SCOPE_BROKER] = "broker",
                                         [CONFIG_SCOPE_GROUP] = "group"};
    static const char *const updates[] = {[CONFIG_UPDATE_READ_ONLY] = "read-only",
                                          [CONFIG_UPDATE_PER_BROKER] = "per-broker",
                                          [CONFIG_UPDATE_CLUSTER_WIDE] = "cluster-wide"};
    static const char *const statuses[] = {
        [CONFIG_WORKS] = "works", [CONFIG_SHOWN] = "shown", [CONFIG_IGNORED] = "ignored"};
    struct node *one = node_add_object(list, NULL);
    node_add_cstr(one, "key", row->key);
    node_add_cstr(one, "scope", scopes[row->scope]);
    node_add_cstr(one, "type", config_type_name(row->type));
    node_add_cstr(one, "valid", row->valid[0] != 0 ? row->valid : NULL);
    node_add_cstr(one, "default", row->initial);
    node_add_cstr(one, "update", updates[row->update]);
    node_add_cstr(one, "status", statuses[row->status]);
    node_add_cstr(one, "synonyms", row->synonyms[0] != 0 ? row->synonyms : NULL);
    node_add_cstr(one, "doc", row->doc);
}

static bool explain_as_list(struct slice key, struct node *list)
{
    for (u32 i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (slice_eq_cstr(key, config_rows[i].key)) {
            explain_add(list, &config_rows[i]);
        }
    }
    const char *note = list->first == NULL ? config_retired(key) : NULL;
    if (note != NULL) {
        struct node *one = node_add_object(list, NULL);
        node_add_text(one, "key", key);
        node_add_cstr(one, "status", "of older Kafkas");
        node_add_cstr(one, "doc", note);
    }
    return list->first != NULL;
}

static bool explain_key(const char *key, struct node *list, const char **near)
{
    if (list != NULL && explain_as_list(slice_cstr(key), list)) {
        return true;
    }
    struct config *c = config_create();
    bool found = config_explain(c, slice_cstr(key), near);
    config_destroy(c);
    return found;
}

static void print_problem(const char *text)
{
    fputs(text, stderr);
}

static void check_add(struct node *root, const char *file, const struct config_problems *problems)
{
    node_add_cstr(root, "file", file);
    node_add_number(root, "errors", problems->errors);
    node_add_number(root, "warnings", problems->warnings);
    node_add_number(root, "left_out", problems->left_out);
    struct node *list = node_add_list(root, "problems");
    for (u32 i = 0; i < problems->count; i++) {
        const struct config_problem *p = &problems->items[i];
        struct slice number = slice_cstr(arena_printf(root->arena, "%d", (int)p->code));
        const struct diag_row *row = diag_row_find(number);
        if (row == NULL || row->level < DIAG_WARN) {
            continue; /* as in words: what is only worth knowing is not wrong */
        }
        struct node *one = node_add_object(list, NULL);
        node_add_cstr(one, "code", arena_printf(root->arena, "ODK-%04d", (int)p->code));
        node_add_cstr(one, "level", row->level == DIAG_ERROR ? "error" : "warn");
        node_add_text(one, "what", arena_copy(root->arena, slice_cstr(p->what)));
        node_add_text(one, "why", arena_copy(root->arena, slice_cstr(p->why)));
        node_add_text(one, "next", arena_copy(root->arena, slice_cstr(p->next)));
    }
}

static int check_file(const char *file, struct node *root)
{
    struct config *c = config_create();
    struct config_sources sources = {.file = file};
    struct config_problems problems;
    config_problems_init(&problems);
    config_load(c, &sources, &problems);
    config_check(c, &problems);
    if (root != NULL) {
        check_add(root, file, &problems);
    } else {
        config_problems_print(&problems, DIAG_WARN, print_problem);
        printf("%s: %u error%s, %u warning%s\n", file, problems.errors,
               problems.errors == 1 ? "" : "s", problems.warnings,
               problems.warnings == 1 ? "" : "s");
    }
    int code = problems.errors > 0 ? CLI_FAILED : CLI_OK;
    config_problems_fini(&problems);
    config_destroy(c);
    return code;
}

int main(int argc, char **argv)
{
    static const struct cli_host host = {
        .version = ODRADEK_VERSION,
        .serve = serve,
        .dev = dev,
        .serve_help = docs_print_keys,
        .docs = docs_print,
        .doctor = doctor_command,
        .config_explain = explain_key,
        .config_check = check_file,
    };
    return cli_run(argc, argv, &host);
}
