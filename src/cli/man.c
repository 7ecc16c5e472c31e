/* odradek(1), printed from commands.def: odradek docs man | man -l - */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* roff: backslashes and hyphens mean something, and so do dots and quotes that begin a line. */
static void print_roff(const char *text)
{
    for (; *text != 0; text++) {
        switch (*text) {
        case '\\':
            fputs("\\e", stdout);
            break;
        case '-':
            fputs("\\-", stdout);
            break;
        case '\'':
            fputs("\\(aq", stdout);
            break;
        default:
            putchar(*text);
            break;
        }
    }
}

static void print_option(const struct option_row *o)
{
    printf(".TP\n\\fB");
    if (o->letter != 0) {
        printf("\\-%c\\fR, \\fB", o->letter);
    }
    printf("\\-\\-");
    print_roff(o->name);
    printf("\\fR");
    if (o->argument != NULL) {
        printf(" \\fI");
        print_roff(o->argument);
        printf("\\fR");
    }
    printf("\n\\&");
    print_roff(o->doc);
    putchar('\n');
}

bool man_print(const char *reference, const char *version)
{
    if (strcmp(reference, "man") != 0) {
        return false;
    }
    printf(".TH ODRADEK 1 \"\" \"odradek %s\" \"User Commands\"\n"
           ".SH NAME\nodradek \\- a message broker that speaks the Kafka protocol\n"
           ".SH SYNOPSIS\n\\fBodradek\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n"
           ".SH DESCRIPTION\n"
           "Runs a broker (\\fBodradek serve\\fR), and talks to one: topics, records, consumer "
           "groups, "
           "configuration, health. \\fBodk\\fR is the same program.\n"
           ".SH COMMANDS\n",
           version);
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        const struct command_row *c = &command_rows[i];
        printf(".SS odradek %s ", c->words);
        print_roff(c->operands);
        printf("\n\\&");
        print_roff(c->summary);
        printf(".\n");
        const struct option_row *options[COMMAND_OPTIONS_MAX];
        u32 count = command_options((enum command_id)i, options);
        for (u32 k = 0; k < count; k++) {
            print_option(options[k]);
        }
    }
    printf(".SH EXIT STATUS\n"
           "0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict, 6 timeout, 10 unhealthy or "
           "damaged\n"
           ".SH ENVIRONMENT\n.TP\nNO_COLOR\nno colour on terminals\n"
           ".TP\nXDG_CONFIG_HOME\nwhere contexts are kept, in odradek/ (default ~/.config)\n");
    return true;
}
