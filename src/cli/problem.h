/* What goes wrong, in three lines on stderr: what, why with values, what to do next. */
#pragma once

#include "cli/cli.h"

/* Any of why and next may be NULL. Control characters are escaped. Returns code, the exit code; it
   is told as ODK-600n (messages.def). */
int problem(int code, const char *what, const char *why, const char *next);
/* The same by a code of its own from the catalogue. */
int problem_coded(int code, enum diag_code known_as, const char *what, const char *why,
                  const char *next);
/* One line that is no failure: "warn ODK-6021: ...". */
void problem_warn(enum diag_code known_as, const char *what);
/* Of a broker's answer: the exit code that goes with a Kafka error, and what to do about it.
   message: the broker's own words (ptr NULL: none). */
int problem_of_kafka(const struct cli_args *a, const char *what, i16 kafka_error,
                     struct slice message);
/* --option value is not what it should be. */
int problem_of_value(const struct cli_args *a, const char *option, const char *value,
                     const char *wanted);
