/* The command line: finds the command in commands.def, parses its options, runs it. Questions and
   changes are asked in the protocol itself (kafka.h). Streams of records stand on librdkafka, which
   is loaded when the first of them runs: the broker does not pay for it.

   Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict, 6 timeout, 10 unhealthy
   or damaged. */
#pragma once

#include "base/base.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_DENIED = 4,
    CLI_CONFLICT = 5,
    CLI_TIMEOUT = 6,
    CLI_UNHEALTHY = 10
};

struct node;
struct cli_value {
    const char *option; /* long name */
    const char *value;  /* NULL for a flag */
};
struct cli_args {
    const char *words;   /* of the command: "topic ls" */
    struct arena *arena; /* lives as long as the command runs; no cap */
    const char *brokers;
    const char *http;               /* --http, or the context's; NULL: neither says */
    i64 timeout_ms;                 /* for each answer of a broker */
    bool *told_missing;             /* addresses that do not answer have been named */
    const struct cli_value *values; /* in the order given */
    u32 value_count;
    char **operands;
    u32 operand_count;
    const struct cli_host *host;
};
/* The last value given, or NULL. */
const char *cli_value(const struct cli_args *a, const char *option);
bool cli_flag(const struct cli_args *a, const char *option);
/* A text in the command's arena; never NULL. */
PRINTF_LIKE(2, 3) const char *cli_text(const struct cli_args *a, const char *format, ...);

/* What the program above brings along: commands that are not a client's. */
struct cli_host {
    const char *version;
    int (*serve)(const struct cli_args *args);
    void (*serve_help)(void);           /* printed under `serve --help`: the configuration keys */
    int (*docs)(const char *reference); /* -1: no such reference */
    /* Checks a data directory: in words, or into an object (NULL: in words), which stays empty when
       there is nothing to report. Returns an exit code. */
    int (*doctor)(const struct cli_args *args, struct node *root);
    int (*dev)(const struct cli_args *args);
    /* Prints what a key does, or adds it to a list (NULL: prints); false: no such key, *near is one
       like it or NULL. */
    bool (*config_explain)(const char *key, struct node *list, const char **near);
    /* Everything that is wrong with a file: for people in words, or as a tree (NULL: in words).
       Returns an exit code. */
    int (*config_check)(const char *file, struct node *root);
};
int cli_run(int argc, char **argv, const struct cli_host *host);

/* docs/commands.md. */
void cli_print_commands(void);
/* "64MiB", "1GiB", "4096", "10kB": false when it is not a size. */
bool cli_parse_size(const char *text, u64 *bytes);
