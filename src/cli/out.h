/* The printer of all commands: one tree (node.h) in the format that -o names. Aligned columns for
   people, json, jsonl and yaml for programs, name for scripts. Control characters never reach the
   terminal; colour only on one, and not with NO_COLOR; without a UTF-8 locale columns are ASCII. */
#pragma once

#include "cli/cli.h"
#include "cli/node.h"

#include <stdio.h>

enum out_format { OUT_TABLE, OUT_WIDE, OUT_JSON, OUT_JSONL, OUT_YAML, OUT_NAME };
/* What -o says; false: told why. */
bool out_format_parse(const struct cli_args *a, enum out_format *out);

enum column_flags {
    COLUMN_PLAIN = 0,
    COLUMN_NAME = 1,      /* what -o name prints */
    COLUMN_WIDE = 2,      /* only in -o wide */
    COLUMN_BYTES = 4,     /* a number printed as 1.5MiB */
    COLUMN_TIME = 8,      /* milliseconds since 1970, printed as UTC */
    COLUMN_DURATION = 16, /* milliseconds, printed as 4m07s */
    COLUMN_FINE = 32,     /* a real with three digits that mean something: 0.327, 4.74, 1274860 */
};
/* A member of an object and its heading; a list of columns is closed by an empty one. */
struct column {
    const char *key;
    const char *head;
    u8 flags;
};
struct table {
    const char *key; /* the list within an object */
    const struct column *columns;
};
enum { VIEW_TABLES_MAX = 3, COLUMNS_CHOSEN_MAX = 24 };
struct view {
    const struct column *columns;         /* rows of a listing, or the first line of a thing */
    bool listing;                         /* the objects are rows of one table */
    struct table tables[VIEW_TABLES_MAX]; /* below the first line of a thing */
};
/* A list of objects, or one object. Returns an exit code. */
int out_print(const struct cli_args *a, struct node *root, const struct view *view);

/* On a screen (screen.h) what was printed last stands there: draw it again, or forget it before its
   tree goes. */
void out_redraw(void);
void out_page_gone(void);

/* One object on a line of its own, as jsonl does. */
void out_json_line(FILE *to, const struct node *object);
/* A tree, over several lines. */
void out_json(FILE *to, const struct node *root);
/* A list in YAML. */
void out_yaml(FILE *to, const struct node *list);
/* A text in quotes, as JSON wants it. Bytes that are not UTF-8 become U+FFFD. */
void out_json_text(FILE *to, struct slice text);
/* For a terminal: control characters as \x1b. */
void out_text(FILE *to, struct slice text);
bool utf8_valid(struct slice text);

bool out_is_terminal(FILE *file);
bool out_colour(FILE *file);
/* May more than ASCII be printed? By LC_ALL, LC_CTYPE, LANG. */
bool out_utf8(void);
/* A text of ours in lines that fit the terminal, on which `at` columns of the first are taken; the
   others begin with `indent` blanks. Where no terminal is it is one line. No newline at the end. */
void out_wrapped(const char *text, u32 at, u32 indent);
/* Columns of standard output; UINT32_MAX: it is no terminal. */
u32 out_columns(void);
/* "1.5MiB"; "2026-11-28T10:00:00.000Z" (to has room for TIME_TEXT_BYTES). */
enum { BYTES_TEXT_BYTES = 32, TIME_TEXT_BYTES = 40 };
void bytes_text(f64 bytes, char to[BYTES_TEXT_BYTES]);
void time_text(i64 ms, char to[TIME_TEXT_BYTES]);
/* "3s", "4m07s", "2h15m", "8d03h". */
enum { DURATION_TEXT_BYTES = 32 };
void duration_text(i64 seconds, char to[DURATION_TEXT_BYTES]);

/* Flushes standard output. A reader that went away, a full disk: told, and CLI_FAILED unless code
   is a failure already. */
int out_finish(int code);
