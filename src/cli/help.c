/* odradek help, docs, version, and docs/commands.md: printed from commands.def. */
#include "cli/commands.h"
#include "cli/near.h"
#include "cli/out.h"
#include "cli/problem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct help_topic {
    const char *name;
    const char *summary;
    const char *text;
} topics[] = {
#define TOPIC(name, summary, text) {name, summary, text},
#include "cli/topics.def"
#undef TOPIC
};

enum {
    OPTION_COLUMN = 35,
    SUMMARY_COLUMN = 45,
    INDENT = 8,          /* where the first column has no room beside the second */
    COLUMNS_FOR_TWO = 70 /* from here on there are two columns */
};

/* Two columns, or, where there is no room for them, one below the other. */
static void print_pair(const char *left, const char *right, u32 column)
{
    u32 used = (u32)strlen(left);
    while (used > 0 && left[used - 1] == ' ') {
        used--;
    }
    printf("%.*s", (int)used, left);
    if (out_columns() < COLUMNS_FOR_TWO) {
        printf("\n%*s", INDENT, "");
        out_wrapped(right, INDENT, INDENT);
    } else {
        u32 blanks = used < column ? column - used : 1;
        printf("%*s", (int)blanks, "");
        out_wrapped(right, used + blanks, column);
    }
    putchar('\n');
}

static void print_option(const struct option_row *o)
{
    char left[80];
    char letter[8] = "    ";
    if (o->letter != 0) {
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
             o->argument != NULL ? o->argument : "");
    print_pair(left, o->doc, OPTION_COLUMN);
}

static bool line_is_kept(const char *line)
{
    return strncmp(line, "  ", 2) == 0;
}

static void print_topic(const struct cli_args *a, const struct help_topic *t)
{
    printf("%s: %s\n\n", t->name, t->summary);
    for (const char *at = t->text; *at != 0;) {
        size_t len = strcspn(at, "\n");
        const char *line = cli_text(a, "%.*s", (int)len, at);
        if (line_is_kept(line)) {
            fputs(line, stdout);
        } else {
            out_wrapped(line, 0, 0);
        }
        putchar('\n');
        at += len + (at[len] == '\n');
    }
}

static bool topic_found(const struct cli_args *a, const char *name)
{
    for (u32 i = 0; i < ARRAY_LEN(topics); i++) {
        if (strcmp(topics[i].name, name) == 0) {
            print_topic(a, &topics[i]);
            return true;
        }
    }
    return false;
}

void help_print_command(enum command_id id, const struct cli_host *host)
{
    const struct command_row *c = &command_rows[id];
    printf("odradek %s%s%s [options]\n  ", c->words, c->operands[0] != 0 ? " " : "", c->operands);
    out_wrapped(c->summary, 2, 2);
    fputs("\n\n", stdout);
    const struct option_row *options[COMMAND_OPTIONS_MAX];
    u32 count = command_options(id, options);
    for (u32 i = 0; i < count; i++) {
        print_option(options[i]);
    }
    if (id == COMMAND_serve) {
        host->serve_help();
    }
}

void help_print_overview(const struct cli_host *host)
{
    char first[96];
    snprintf(first, sizeof first, "odradek %.24s: a message broker that speaks the Kafka protocol",
             host->version);
    out_wrapped(first, 0, 0);
    fputs("\n\n", stdout);
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        char left[128];
        snprintf(left, sizeof left, "  odradek %s %s", command_rows[i].words,
                 command_rows[i].operands);
        print_pair(left, command_rows[i].summary, SUMMARY_COLUMN);
    }
    char names[256] = "";
    for (u32 i = 0; i < ARRAY_LEN(topics); i++) {
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s, ", topics[i].name);
    }
    char also[384];
    snprintf(also, sizeof also,
             "`odradek help NAME` explains a command, %sa configuration key, an error code.",
             names);
    const char *const lines[] = {
        also,
        "Every Kafka client works with 127.0.0.1:9092.",
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict, 6 timeout, "
        "10 unhealthy",
    };
    fputs("\nStart here:  odradek serve       then, in another terminal:\n"
          "             odradek pub demo 'hello'\n"
          "             odradek tail demo --from start\n",
          stdout);
    for (u32 i = 0; i < ARRAY_LEN(lines); i++) {
        out_wrapped(lines[i], 0, 0);
        putchar('\n');
    }
}

/* Topics in docs/commands.md: lines that are kept are a block. */
static void print_topics_as_markdown(void)
{
    printf("\n# What `odradek help` explains besides\n");
    for (u32 i = 0; i < ARRAY_LEN(topics); i++) {
        printf("\n## %s: %s\n", topics[i].name, topics[i].summary);
        bool block = false;
        bool begun = false;
        for (const char *at = topics[i].text; *at != 0;) {
            size_t len = strcspn(at, "\n");
            bool kept = line_is_kept(at);
            if (kept != block || !begun) {
                printf(block ? "```\n" : "");
                printf(kept ? "\n```text\n" : "\n");
            }
            block = kept;
            begun = true;
            printf("%.*s\n", (int)(kept ? len - 2 : len), kept ? at + 2 : at);
            at += len + (at[len] == '\n');
        }
        printf(block ? "```\n" : "");
    }
}

void cli_print_commands(void)
{
    printf("# Commands\n\nPrinted by `odradek docs commands` from `src/cli/commands.def`.\n\n"
           "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict, 6 timeout, "
           "10 unhealthy or damaged.\n");
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        const struct command_row *c = &command_rows[i];
        printf("\n## odradek %s\n\n`odradek %s%s%s [options]`: %s.\n\n| option | meaning "
               "|\n|---|---|\n",
               c->words, c->words, c->operands[0] != 0 ? " " : "", c->operands, c->summary);
        const struct option_row *options[COMMAND_OPTIONS_MAX];
        u32 count = command_options((enum command_id)i, options);
        for (u32 k = 0; k < count; k++) {
            const struct option_row *o = options[k];
            char letter[8] = "";
            if (o->letter != 0) {
                snprintf(letter, sizeof letter, "`-%c`, ", o->letter);
            }
            printf("| %s`--%s%s%s` | ", letter, o->name, o->argument != NULL ? " " : "",
                   o->argument != NULL ? o->argument : "");
            /* A bar would end the cell. */
            for (const char *at = o->doc; *at != 0; at++) {
                printf(*at == '|' ? "\\%c" : "%c", *at);
            }
            printf(" |\n");
        }
    }
    print_topics_as_markdown();
}

/* The command, or with help the topic, whose words are nearest to what was typed, or NULL. */
static const char *nearest_command(const char *words, bool help)
{
    struct near near = near_to(slice_cstr(words));
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        near_try(&near, slice_cstr(command_rows[i].words));
    }
    for (u32 i = 0; help && i < ARRAY_LEN(topics); i++) {
        near_try(&near, slice_cstr(topics[i].name));
    }
    return (const char *)near_found(&near).ptr;
}

static int unknown(const struct cli_args *a, const char *words, bool help)
{
    const char *nearest = nearest_command(words, help);
    return problem(
        CLI_USAGE,
        nearest == NULL
            ? cli_text(a, "there is no command \"%.64s\"", words)
            : cli_text(a, "there is no command \"%.64s\"; did you mean \"%s\"?", words, nearest),
        NULL, "odradek help   lists all commands");
}

int command_unknown(const struct cli_args *a, const char *words)
{
    return unknown(a, words, false);
}

static bool is_error_code(const char *text)
{
    return strncasecmp(text, "ODK-", 4) == 0 && diag_row_find(slice_cstr(text)) != NULL;
}

int command_help(const struct cli_args *a)
{
    if (a->operand_count == 0) {
        help_print_overview(a->host);
        return CLI_OK;
    }
    const char *words = cli_text(a, "%s%s%s", a->operands[0], a->operand_count > 1 ? " " : "",
                                 a->operand_count > 1 ? a->operands[1] : "");
    bool found = false;
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        size_t len = strlen(words);
        if (strncmp(command_rows[i].words, words, len) == 0 &&
            (command_rows[i].words[len] == 0 || command_rows[i].words[len] == ' ')) {
            printf(found ? "\n" : "");
            help_print_command((enum command_id)i, a->host);
            found = true;
        }
    }
    if (found || (a->operand_count == 1 && topic_found(a, words))) {
        return CLI_OK;
    }
    bool config = a->operand_count == 2 && strcmp(a->operands[0], "config") == 0;
    const char *near = NULL;
    if ((config || a->operand_count == 1) &&
        a->host->config_explain(a->operands[a->operand_count - 1], NULL, &near)) {
        return CLI_OK;
    }
    if (config) {
        return config_key_unknown(a, a->operands[1], near);
    }
    return a->operand_count == 1 && is_error_code(words) ? command_errors(a)
                                                         : unknown(a, words, true);
}

int command_version(const struct cli_args *a)
{
    printf("odradek %s\n", a->host->version);
    return CLI_OK;
}

int command_docs(const struct cli_args *a)
{
    const char *reference = a->operand_count == 1 ? a->operands[0] : "";
    if (strcmp(reference, "commands") == 0) {
        cli_print_commands();
        return CLI_OK;
    }
    if (completion_print(reference) || man_print(reference, a->host->version)) {
        return CLI_OK;
    }
    int code = reference[0] != 0 ? a->host->docs(reference) : -1;
    if (code < 0) {
        return problem(CLI_USAGE, "odradek docs needs the name of one reference", NULL,
                       "config, apis, errors, metrics, messages, commands, properties, man, "
                       "completion-bash, completion-zsh or completion-fish");
    }
    return code;
}
