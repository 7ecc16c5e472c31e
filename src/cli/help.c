/* odradek help, docs, version, and docs/commands.md: printed from commands.def. */
#include "cli/commands.h"
#include "cli/near.h"
#include "cli/problem.h"

#include <stdio.h>
#include <string.h>

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

void help_print_command(enum command_id id, const struct cli_host *host)
{
    const struct command_row *c = &command_rows[id];
    printf("odradek %s%s%s [options]\n  %s\n\n", c->words, c->operands[0] != 0 ? " " : "",
           c->operands, c->summary);
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
           "command.\n"
           "exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict, 6 timeout, "
           "10 unhealthy\n");
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
}

/* The command whose words are nearest to what was typed, or NULL. */
static const char *nearest_command(const char *words)
{
    struct near near = near_to(slice_cstr(words));
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        near_try(&near, slice_cstr(command_rows[i].words));
    }
    return (const char *)near_found(&near).ptr;
}

int command_unknown(const struct cli_args *a, const char *words)
{
    const char *nearest = nearest_command(words);
    return problem(
        CLI_USAGE,
        nearest == NULL
            ? cli_text(a, "there is no command \"%.64s\"", words)
            : cli_text(a, "there is no command \"%.64s\"; did you mean \"%s\"?", words, nearest),
        NULL, "odradek help   lists all commands");
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
    return found ? CLI_OK : command_unknown(a, words);
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
