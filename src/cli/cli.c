/* Dispatch and options, from commands.def: a command line becomes cli_args, and the command runs
   once, or again and again with --watch. */
#include "cli/cli.h"

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/context.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 64 * 1024, TIMEOUT_MS = 10000, WATCH_MS = 2000 };

int command_serve(const struct cli_args *a)
{
    return a->host->serve(a);
}

int command_dev(const struct cli_args *a)
{
    return a->host->dev(a);
}

static const struct column doctor_columns[] = {{"file", "FILE", COLUMN_NAME}, {0}};
static const struct view doctor_view = {.columns = doctor_columns};

/* The check of a directory. In words it is printed while it runs; -o name prints the files in which
   something was found. */
static int directory_check(const struct cli_args *a)
{
    enum out_format format;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    if (format == OUT_TABLE || format == OUT_WIDE) {
        return a->host->doctor(a, NULL);
    }
    struct node *root = node_object(a->arena);
    int code = a->host->doctor(a, root);
    if (root->first == NULL) {
        return code;
    }
    struct node *list = NULL;
    for (struct node *n = root->first; n != NULL && format == OUT_NAME; n = n->next) {
        list = strcmp(n->key, "findings") == 0 ? n : list;
    }
    int printed = out_print(a, list != NULL ? list : root, &doctor_view);
    return code != CLI_OK ? code : printed;
}

int command_doctor(const struct cli_args *a)
{
    const char *from = cli_value(a, "from");
    return from != NULL ? connection_check(a, from) : directory_check(a);
}

/* ---- what commands ask of their arguments ---------------------------------------------------- */

const char *cli_text(const struct cli_args *a, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(NULL, 0, format, list);
    va_end(list);
    assert(len >= 0);
    char *text = arena_alloc(a->arena, (size_t)len + 1);
    assert(text != NULL); /* the arena has no cap */
    va_start(list, format);
    vsnprintf(text, (size_t)len + 1, format, list);
    va_end(list);
    return text;
}

const char *cli_value(const struct cli_args *a, const char *option)
{
    for (u32 i = a->value_count; i > 0; i--) {
        if (strcmp(a->values[i - 1].option, option) == 0) {
            return a->values[i - 1].value;
        }
    }
    return NULL;
}

bool cli_flag(const struct cli_args *a, const char *option)
{
    for (u32 i = 0; i < a->value_count; i++) {
        if (strcmp(a->values[i].option, option) == 0) {
            return true;
        }
    }
    return false;
}

bool cli_parse_size(const char *text, u64 *bytes)
{
    static const struct {
        const char *unit;
        u64 factor;
    } units[] = {{"", 1},      {"B", 1},        {"KiB", KIB},      {"MiB", MIB},
                 {"GiB", GIB}, {"K", KIB},      {"M", MIB},        {"G", GIB},
                 {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    for (u32 i = 0; i < ARRAY_LEN(units); i++) {
        if (errno == 0 && strcmp(end, units[i].unit) == 0 &&
            number <= UINT64_MAX / units[i].factor) {
            *bytes = number * units[i].factor;
            return true;
        }
    }
    return false;
}

/* ---- parsing --------------------------------------------------------------------------------- */

struct parse {
    enum command_id id;
    struct cli_value *values;
    struct cli_args args;
};

static const struct option_row *find_option(enum command_id id, const char *name, size_t len,
                                            char letter)
{
    const struct option_row *options[COMMAND_OPTIONS_MAX];
    u32 count = command_options(id, options);
    for (u32 i = 0; i < count; i++) {
        bool by_name = name != NULL && strlen(options[i]->name) == len &&
                       strncmp(options[i]->name, name, len) == 0;
        if (by_name || (name == NULL && options[i]->letter == letter)) {
            return options[i];
        }
    }
    return NULL;
}

/* One argument at argv[i]; returns the index of the next, or -1 with a message. */
static int parse_one(struct parse *p, int argc, char **argv, int i)
{
    const char *text = argv[i];
    bool is_long = text[0] == '-' && text[1] == '-' && text[2] != 0;
    bool is_short = text[0] == '-' && text[1] != 0 && text[1] != '-';
    if (!is_long && !is_short) {
        p->args.operands[p->args.operand_count++] = argv[i];
        return i + 1;
    }
    const char *equals = is_long ? strchr(text, '=') : NULL;
    size_t len = equals != NULL ? (size_t)(equals - text - 2) : strlen(text + (is_long ? 2 : 1));
    const struct option_row *row =
        is_long ? find_option(p->id, text + 2, len, 0) : find_option(p->id, NULL, 0, text[1]);
    const char *next = cli_text(&p->args, "odradek help %s   lists its options", p->args.words);
    if (row == NULL) {
        problem(CLI_USAGE, cli_text(&p->args, "odradek %s has no option %s", p->args.words, text),
                NULL, next);
        return -1;
    }
    const char *value = equals != NULL ? equals + 1 : is_short && text[2] != 0 ? text + 2 : NULL;
    int after = i + 1;
    if (row->argument != NULL && value == NULL && after < argc) {
        value = argv[after++];
    }
    if ((row->argument != NULL) != (value != NULL)) {
        problem(CLI_USAGE,
                cli_text(&p->args, "--%s %s", row->name,
                         row->argument != NULL ? "needs a value" : "takes no value"),
                NULL, next);
        return -1;
    }
    p->values[p->args.value_count++] = (struct cli_value){row->name, value};
    return after;
}

static int parse_all(struct parse *p, int argc, char **argv)
{
    bool only_operands = false;
    for (int i = 0; i < argc;) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
            i++;
        } else if (only_operands) {
            p->args.operands[p->args.operand_count++] = argv[i++];
        } else {
            i = parse_one(p, argc, argv, i);
            if (i < 0) {
                return CLI_USAGE;
            }
        }
    }
    return CLI_OK;
}

/* A word where none is taken is a mistake: of an option's name, or of what the command does. */
static int check_operands(struct parse *p)
{
    if (command_rows[p->id].operands[0] != 0 || p->args.operand_count == 0) {
        return CLI_OK;
    }
    const char *word = p->args.operands[0];
    const char *next =
        p->id == COMMAND_serve
            ? cli_text(&p->args, "odradek serve --config %s   if it is a file", word)
            : cli_text(&p->args, "odradek help %s   lists its options", p->args.words);
    return problem(CLI_USAGE, cli_text(&p->args, "odradek %s takes no \"%s\"", p->args.words, word),
                   NULL, next);
}

/* Where the brokers are: -b, else --context, else the context in use, else this machine. */
static int find_brokers(struct cli_args *a)
{
    const char *text = cli_value(a, "timeout");
    a->timeout_ms = TIMEOUT_MS;
    if (text != NULL && !(parse_duration(text, &a->timeout_ms) && a->timeout_ms > 0 &&
                          a->timeout_ms <= INT32_MAX)) {
        return problem_of_value(a, "timeout", text, "a duration as 500ms, 10s or 2m");
    }
    const char *context = cli_value(a, "context");
    a->brokers = cli_value(a, "brokers");
    int code = CLI_OK;
    if (a->brokers == NULL && !context_find(a, context, &a->brokers, &a->http, &code)) {
        return code;
    }
    if (cli_flag(a, "http")) {
        a->http = cli_value(a, "http");
    }
    if (a->brokers == NULL) {
        a->brokers = "127.0.0.1:9092";
    }
    return CLI_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Runs the command until it fails, is interrupted or nobody reads it. That something is unhealthy
   is no failure here, but it is the exit code when that is what was seen last. */
static int watch(struct parse *p)
{
    const char *text = cli_value(&p->args, "interval");
    i64 interval_ms = WATCH_MS;
    enum out_format format;
    if (text != NULL &&
        !(parse_duration(text, &interval_ms) && interval_ms > 0 && interval_ms <= INT32_MAX)) {
        return problem_of_value(&p->args, "interval", text, "a duration as 500ms, 2s or 1m");
    }
    if (!out_format_parse(&p->args, &format)) {
        return CLI_USAGE;
    }
    screen_begin(out_redraw, interval_ms, format <= OUT_WIDE);
    int code;
    bool more;
    struct arena *outer = p->args.arena;
    do {
        struct arena arena;
        arena_init(&arena, NULL, ARENA_BLOCK_BYTES, 0);
        p->args.arena = &arena;
        code = out_finish(command_rows[p->id].run(&p->args));
        more = (code == CLI_OK || code == CLI_UNHEALTHY) && screen_wait(interval_ms);
        out_page_gone();
        p->args.arena = outer;
        arena_fini(&arena);
    } while (more);
    screen_end();
    return code;
}

static int run_command(struct parse *p, int argc, char **argv)
{
    struct arena arena;
    arena_init(&arena, NULL, ARENA_BLOCK_BYTES, 0);
    p->args.arena = &arena;
    bool told_missing = false;
    p->args.told_missing = &told_missing;
    p->args.words = command_rows[p->id].words;
    p->values = mem_alloc(((size_t)argc + 1) * sizeof *p->values);
    p->args.values = p->values;
    p->args.operands = mem_alloc(((size_t)argc + 1) * sizeof *p->args.operands);
    bool serves = p->id == COMMAND_serve || p->id == COMMAND_dev;
    int code = parse_all(p, argc, argv);
    if (code == CLI_OK && cli_flag(&p->args, "help")) {
        help_print_command(p->id, p->args.host);
    } else if (code == CLI_OK && (code = check_operands(p)) == CLI_OK) {
        code = command_rows[p->id].kind == CLIENT ? find_brokers(&p->args) : CLI_OK;
        if (!serves) {
            signal(SIGPIPE, SIG_IGN); /* a reader that went away is told as such: out_finish() */
        }
        if (code == CLI_OK) {
            code = cli_flag(&p->args, "watch") ? watch(p) : command_rows[p->id].run(&p->args);
        }
    }
    code = serves ? code : out_finish(code);
    mem_free(p->values);
    mem_free(p->args.operands);
    arena_fini(&arena);
    return code;
}

/* No command begins so: "topic" alone explains all of topic's. */
static int run_nothing(int argc, char **argv, const struct cli_host *host)
{
    struct arena arena;
    arena_init(&arena, NULL, ARENA_BLOCK_BYTES, 0);
    struct cli_args a = {.host = host, .arena = &arena, .operands = argv, .operand_count = 1};
    bool group = command_is_group(argv[0]);
    int code = group && argc == 1
                   ? command_help(&a)
                   : command_unknown(&a, group ? cli_text(&a, "%s %s", argv[0], argv[1]) : argv[0]);
    arena_fini(&arena);
    return code;
}

int cli_run(int argc, char **argv, const struct cli_host *host)
{
    if (argc <= 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_print_overview(host);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("odradek %s\n", host->version);
        return CLI_OK;
    }
    struct parse p = {.args.host = host};
    int used;
    if (!command_find(argc - 1, argv + 1, &p.id, &used)) {
        return run_nothing(argc - 1, argv + 1, host);
    }
    return run_command(&p, argc - 1 - used, argv + 1 + used);
}
