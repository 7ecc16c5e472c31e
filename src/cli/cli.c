/* Dispatch, options and help, all from commands.def. */
#include "cli/cli.h"

#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct option_row {
    const char *name;
    char letter;
    const char *argument;
    const char *doc;
};
struct command_row {
    const char *words;
    const char *operands;
    const char *summary;
    int (*run)(const struct cli_args *args);
    const struct option_row *options;
};

/* One array of options per command, closed by an empty row. */
enum command_id {
#define COMMAND(ident, ...) COMMAND_##ident,
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
    COMMAND_COUNT
};
enum { OPTIONS_MAX = 64, WORDS_MAX = 2 };
static const struct {
    enum command_id command;
    struct option_row row;
} option_rows[] = {
#define COMMAND(...)
#define OPTION(ident, name, letter, argument, doc) {COMMAND_##ident, {name, letter, argument, doc}},
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
};
static const struct command_row command_rows[COMMAND_COUNT] = {
#define COMMAND(ident, words, operands, summary, function) \
    [COMMAND_##ident] = {words, operands, summary, function, NULL},
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
};
static const struct option_row brokers_row = {"brokers", 'b', "HOST:PORT",
                                              "where a broker listens (default 127.0.0.1:9092)"};
static const struct option_row help_row = {"help", 'h', NULL, "explain this command"};

static bool is_client(enum command_id id)
{
    return id != COMMAND_serve && id != COMMAND_doctor && id != COMMAND_docs &&
           id != COMMAND_version && id != COMMAND_help;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_option(const struct option_row *o)
{
    char left[64];
    char letter[8] = "    ";
    if (o->letter != 0) {
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
             o->argument != NULL ? o->argument : "");
    printf("  %-32s %s\n", left, o->doc);
}

static void print_command_help(enum command_id id, const struct cli_host *host)
{
    const struct command_row *c = &command_rows[id];
    printf("odradek %s%s%s [options]\n  %s\n\n", c->words, c->operands[0] != 0 ? " " : "",
           c->operands, c->summary);
    for (u32 i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (option_rows[i].command == id) {
            print_option(&option_rows[i].row);
        }
    }
    if (is_client(id)) {
        print_option(&brokers_row);
    }
    print_option(&help_row);
    if (id == COMMAND_serve) {
        host->serve_help();
    }
}

static void print_overview(const struct cli_host *host)
{
    printf("odradek %s: a message broker that speaks the Kafka protocol\n\n", host->version);
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        char left[80];
        snprintf(left, sizeof left, "%s %s", command_rows[i].words, command_rows[i].operands);
        printf("  odradek %-34s %s\n", left, command_rows[i].summary);
    }
    printf("\nstart here:  odradek serve       then, in another terminal:\n"
           "             odradek pub demo 'hello'\n"
           "             odradek tail demo --from start\n"
           "every Kafka client works with 127.0.0.1:9092. `odradek help COMMAND` explains one "
           "command.\n");
}

void cli_print_commands(void)
{
    printf("# Commands\n\nPrinted by `odradek docs commands` from `src/cli/commands.def`.\n");
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        const struct command_row *c = &command_rows[i];
        printf("\n## odradek %s\n\n`odradek %s%s%s [options]`: %s.\n\n| option | meaning "
               "|\n|---|---|\n",
               c->words, c->words, c->operands[0] != 0 ? " " : "", c->operands, c->summary);
        for (u32 k = 0; k < ARRAY_LEN(option_rows); k++) {
            const struct option_row *o = &option_rows[k].row;
            if (option_rows[k].command == i) {
                printf("| `--%s%s%s` | %s |\n", o->name, o->argument != NULL ? " " : "",
                       o->argument != NULL ? o->argument : "", o->doc);
            }
        }
        if (is_client((enum command_id)i)) {
            printf("| `-b`, `--brokers %s` | %s |\n", brokers_row.argument, brokers_row.doc);
        }
        printf("| `--help` | %s |\n", help_row.doc);
    }
}

int command_help(const struct cli_args *a)
{
    if (a->operand_count == 0) {
        print_overview(a->host);
        return CLI_OK;
    }
    char words[64];
    snprintf(words, sizeof words, "%s%s%s", a->operands[0], a->operand_count > 1 ? " " : "",
             a->operand_count > 1 ? a->operands[1] : "");
    bool found = false;
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        size_t len = strlen(words);
        if (strncmp(command_rows[i].words, words, len) == 0 &&
            (command_rows[i].words[len] == 0 || command_rows[i].words[len] == ' ')) {
            print_command_help((enum command_id)i, a->host);
            found = true;
        }
    }
    if (!found) {
        fprintf(stderr, "error: there is no command \"%s\"\n`odradek help` lists all commands\n",
                words);
        return CLI_USAGE;
    }
    return CLI_OK;
}

int command_version(const struct cli_args *a)
{
    printf("odradek %s\n", a->host->version);
    return CLI_OK;
}

int command_serve(const struct cli_args *a)
{
    return a->host->serve(a);
}

int command_doctor(const struct cli_args *a)
{
    return a->host->doctor(a);
}

int command_docs(const struct cli_args *a)
{
    if (a->operand_count == 1 && strcmp(a->operands[0], "commands") == 0) {
        cli_print_commands();
        return CLI_OK;
    }
    int code = a->operand_count == 1 ? a->host->docs(a->operands[0]) : -1;
    if (code < 0) {
        fprintf(stderr, "error: odradek docs needs the name of one reference\n"
                        "there are: config, apis, errors, metrics, messages, commands, properties\n");
        return CLI_USAGE;
    }
    return code;
}

/* ---- parsing --------------------------------------------------------------------------------- */

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

/* The command whose words stand at the start of argv; *used says how many words. */
static bool find_command(int argc, char **argv, enum command_id *id, int *used)
{
    for (int words = WORDS_MAX; words >= 1; words--) {
        if (argc < words) {
            continue;
        }
        char text[128];
        snprintf(text, sizeof text, "%s%s%s", argv[0], words > 1 ? " " : "",
                 words > 1 ? argv[1] : "");
        for (u32 i = 0; i < COMMAND_COUNT; i++) {
            if (strcmp(command_rows[i].words, text) == 0) {
                *id = (enum command_id)i;
                *used = words;
                return true;
            }
        }
    }
    return false;
}

static const struct option_row *find_option(enum command_id id, const char *name, size_t len,
                                            char letter)
{
    const struct option_row *candidates[OPTIONS_MAX];
    u32 count = 0;
    for (u32 i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (option_rows[i].command == id) {
            candidates[count++] = &option_rows[i].row;
        }
    }
    candidates[count++] = &help_row;
    if (is_client(id)) {
        candidates[count++] = &brokers_row;
    }
    for (u32 i = 0; i < count; i++) {
        bool by_name = name != NULL && strlen(candidates[i]->name) == len &&
                       strncmp(candidates[i]->name, name, len) == 0;
        if (by_name || (name == NULL && candidates[i]->letter == letter)) {
            return candidates[i];
        }
    }
    return NULL;
}

struct parse {
    enum command_id id;
    struct cli_value *values;
    struct cli_args args;
};

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
    if (row == NULL) {
        fprintf(stderr,
                "error: odradek %s has no option %s\n`odradek %s --help` lists its options\n",
                command_rows[p->id].words, text, command_rows[p->id].words);
        return -1;
    }
    const char *value = equals != NULL ? equals + 1 : is_short && text[2] != 0 ? text + 2 : NULL;
    int next = i + 1;
    if (row->argument != NULL && value == NULL && next < argc) {
        value = argv[next++];
    }
    if ((row->argument != NULL) != (value != NULL)) {
        fprintf(stderr, "error: --%s %s\n`odradek %s --help` explains it\n", row->name,
                row->argument != NULL ? "needs a value" : "takes no value",
                command_rows[p->id].words);
        return -1;
    }
    p->values[p->args.value_count++] = (struct cli_value){row->name, value};
    return next;
}

static int run_command(struct parse *p, int argc, char **argv)
{
    p->values = mem_alloc(((size_t)argc + 1) * sizeof *p->values);
    p->args.values = p->values;
    p->args.operands = mem_alloc(((size_t)argc + 1) * sizeof *p->args.operands);
    int code = CLI_OK;
    bool only_operands = false;
    for (int i = 0; i < argc && code == CLI_OK;) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
            i++;
        } else if (only_operands) {
            p->args.operands[p->args.operand_count++] = argv[i++];
        } else {
            i = parse_one(p, argc, argv, i);
            code = i < 0 ? CLI_USAGE : CLI_OK;
            if (i < 0) {
                break;
            }
        }
    }
    if (code == CLI_OK && cli_flag(&p->args, "help")) {
        print_command_help(p->id, p->args.host);
    } else if (code == CLI_OK) {
        const char *brokers = is_client(p->id) ? cli_value(&p->args, "brokers") : NULL;
        p->args.brokers = brokers != NULL ? brokers : "127.0.0.1:9092";
        code = command_rows[p->id].run(&p->args);
    }
    mem_free(p->values);
    mem_free(p->args.operands);
    return code;
}

int cli_run(int argc, char **argv, const struct cli_host *host)
{
    if (argc <= 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview(host);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("odradek %s\n", host->version);
        return CLI_OK;
    }
    struct parse p = {.args.host = host};
    int used;
    if (!find_command(argc - 1, argv + 1, &p.id, &used)) {
        bool group = strcmp(argv[1], "topic") == 0;
        if (group && argc == 2) {
            struct cli_args a = {.host = host, .operands = argv + 1, .operand_count = 1};
            return command_help(&a);
        }
        fprintf(stderr,
                "error: there is no command \"%s%s%s\"\n`odradek help` lists all commands\n",
                argv[1], group ? " " : "", group ? argv[2] : "");
        return CLI_USAGE;
    }
    return run_command(&p, argc - 1 - used, argv + 1 + used);
}
