/* What all commands that change something have in common: --dry-run says what would be done, every
   change prints the command that undoes it (on stderr; with -o json it is a member), and what
   destroys asks for the name to be typed. */
#pragma once

#include "cli/cli.h"
#include "cli/node.h"

struct change {
    const struct cli_args *args;
    bool dry;
    bool words; /* told as it happens, in words; otherwise as a tree at the end */
    int code;   /* of the first that failed */
    struct node *list;
};
/* With a bad -o the code is CLI_USAGE from the start: look before the work. */
struct change change_begin(const struct cli_args *a);
/* "deleted", "topic", "orders": with --dry-run "would delete". verb is one of the known ones in
   change.c. undo NULL: there is nothing to undo it. */
void change_done(struct change *c, const char *verb, const char *kind, const char *name,
                 const char *undo);
/* One of them failed, and that has been told. */
void change_failed(struct change *c, int code);
int change_end(struct change *c);

/* Asks for the name to be typed. With --yes or --dry-run: no question. False: told why. */
bool change_confirmed(const struct cli_args *a, const char *what, const char *name);
/* A word as a shell reads it: quoted if it has to be. */
const char *change_quoted(const struct cli_args *a, struct slice word);
