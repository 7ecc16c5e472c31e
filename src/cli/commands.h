/* The table of commands as data (table.c), and the commands' functions. For cli.c, which runs them,
   and for what is printed from the table: help, reference, manual page, completion. */
#pragma once

#include "cli/cli.h"

#define COMMAND(ident, words, operands, summary, kind, function) \
    int function(const struct cli_args *args);
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION

enum command_kind {
    CLIENT, /* talks to a broker: takes --brokers, --timeout, --context */
    LOCAL
};
enum command_id {
#define COMMAND(ident, ...) COMMAND_##ident,
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
    COMMAND_COUNT
};
struct option_row {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* NULL: a flag */
    const char *doc;
};
struct command_row {
    const char *words;
    const char *operands;
    const char *summary;
    enum command_kind kind;
    int (*run)(const struct cli_args *args);
};
extern const struct command_row command_rows[COMMAND_COUNT];

enum { COMMAND_OPTIONS_MAX = 64, COMMAND_WORDS_MAX = 2 };
/* The options a command takes, its own first; returns how many. */
u32 command_options(enum command_id id, const struct option_row *out[COMMAND_OPTIONS_MAX]);
/* The command whose words stand at the start of argv; *used says how many words they are. */
bool command_find(int argc, char **argv, enum command_id *id, int *used);
/* Is there a command of more than one word that begins with this one? */
bool command_is_group(const char *word);

void help_print_command(enum command_id id, const struct cli_host *host);
void help_print_overview(const struct cli_host *host);
/* Says that there is no such command, and which one it may have been. */
int command_unknown(const struct cli_args *a, const char *words);
/* Says that there is no such configuration key; near: one that may have been meant, or NULL. */
int config_key_unknown(const struct cli_args *a, const char *key, const char *near);
/* docs completion-bash, completion-zsh, completion-fish, man: false: no such reference. */
bool completion_print(const char *reference);
bool man_print(const char *reference, const char *version);
