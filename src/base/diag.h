/* Diagnostics on stderr: text on a terminal, JSON lines otherwise (or as set). Each event once, at
   the place that decides. Every message has a row in messages.def with its code; values are
   escaped, control characters never reach the terminal. Repeats of one code above a rate are
   counted and summed up in one line later. */
#pragma once

#include "types.h"

enum diag_level { DIAG_DEBUG, DIAG_INFO, DIAG_WARN, DIAG_ERROR };
enum diag_format { DIAG_AUTO, DIAG_TEXT, DIAG_JSON };

/* A key and its value in an event: strings, integers or slices, in the order given. */
struct diag_field {
    const char *key;
    enum { DIAG_FIELD_STR, DIAG_FIELD_INT, DIAG_FIELD_UINT, DIAG_FIELD_SLICE } kind;
    union {
        const char *str;
        i64 i;
        u64 u;
        struct slice slice;
    };
};
#define D_STR(k, v)   ((struct diag_field){.key = (k), .kind = DIAG_FIELD_STR, .str = (v)})
#define D_INT(k, v)   ((struct diag_field){.key = (k), .kind = DIAG_FIELD_INT, .i = (v)})
#define D_UINT(k, v)  ((struct diag_field){.key = (k), .kind = DIAG_FIELD_UINT, .u = (v)})
#define D_SLICE(k, v) ((struct diag_field){.key = (k), .kind = DIAG_FIELD_SLICE, .slice = (v)})

enum diag_code {
#define MSG(code, level, name, ...) MSG_##name = code,
#include "messages.def"
#undef MSG
};

/* The catalogue: the rows of messages.def, for whoever prints or explains them. */
struct diag_row {
    enum diag_code code;
    enum diag_level level;
    const char *name;
    const char *text;
    const char *help; /* "": nothing to do */
};
extern const struct diag_row diag_rows[];
extern const u32 diag_row_count;
/* "ODK-2107", "odk-2107" or "2107": its row, or NULL. */
const struct diag_row *diag_row_find(struct slice text);

/* A problem that somebody reads as it stands, in three lines: what, why with values, what to do
   next. Each is one line, "" leaves it out; control characters are escaped.

     error ODK-5101: num.partitions cannot be "three"
       server.properties:12 says so; it is an int, valid ">= 1"
       next: write a number, as num.partitions=3 */
struct diag_problem {
    enum diag_code code;
    const char *what;
    const char *why;
    const char *next;
};
/* The text, cut at cap; returns its length. Ends with a newline. */
size_t diag_problem_text(const struct diag_problem *p, char *out, size_t cap);
void diag_problem_print(const struct diag_problem *p); /* to stderr, in every format */

void diag_configure(enum diag_format format, enum diag_level min_level);
void diag_set_level(enum diag_level min_level);
enum diag_level diag_min_level(void);
const char *diag_level_name(enum diag_level level); /* "debug" */
/* The simulator and tests redirect whole lines; NULL restores stderr. */
void diag_redirect(void (*sink)(void *user, const char *line, size_t len), void *user);
void diag_event_(enum diag_code code, const struct diag_field *fields, u32 count);
/* The clock is handed in so that base needs none: called once per turn by the loop. */
void diag_set_now(u64 mono_ns, i64 wall_ms);
/* Sums up now what is held back: before the end, and where nobody will tell the time for long. */
void diag_settle(void);

/* diag(MSG_started, D_STR("address", a), D_UINT("port", p)); the fields may be none: diag0(MSG_x).
 */
#define diag(code, ...)                                   \
    diag_event_(                                          \
        (code), (const struct diag_field[]){__VA_ARGS__}, \
        (u32)(sizeof((const struct diag_field[]){__VA_ARGS__}) / sizeof(struct diag_field)))
#define diag0(code) diag_event_((code), NULL, 0)
