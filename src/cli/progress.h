/* A bar on stderr for work that takes a while: how much, how fast, how long still. Only on a
   terminal, and not where standard output is the same terminal and busy with records. */
#pragma once

#include "base/base.h"

struct progress {
    bool shown;
    bool drawn;
    const char *unit; /* "records" */
    i64 total;        /* -1: unknown */
    i64 done;
    i64 begun_ms;
    i64 drawn_ms;
};
/* quiet: standard output is used for something else than the terminal. */
void progress_begin(struct progress *p, const char *unit, i64 total, bool quiet);
void progress_add(struct progress *p, i64 count);
/* Wipes the bar, until there is more to say of it. */
void progress_hide(struct progress *p);
/* Wipes it for good. */
void progress_end(struct progress *p);
/* The line as it is drawn on a terminal of so many columns: text has room for PROGRESS_TEXT_BYTES.
 */
enum { PROGRESS_TEXT_BYTES = 240 };
void progress_text(const struct progress *p, i64 elapsed_ms, bool utf8, u32 columns, char *text);
