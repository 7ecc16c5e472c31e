/* Everything that is wrong with a configuration, collected before anything is said: a start that is
   refused names all of it at once. Owned by who checks; printed by serve.c and `config check`. */
#pragma once

#include "base/base.h"

enum {
    CONFIG_WHAT_BYTES = 320,
    CONFIG_WHY_BYTES = 512,
    CONFIG_NEXT_BYTES = 320,
    CONFIG_PROBLEMS_MAX = 1000 /* a file of nothing but mistakes is cut here, and says so */
};

struct config_problem {
    enum diag_code code; /* its level says whether the start is refused */
    char what[CONFIG_WHAT_BYTES];
    char why[CONFIG_WHY_BYTES];
    char next[CONFIG_NEXT_BYTES];
};
struct config_problems {
    struct config_problem *items;
    u32 count;
    u32 cap;
    u32 errors;
    u32 warnings;
    u32 left_out; /* beyond CONFIG_PROBLEMS_MAX */
};

void config_problems_init(struct config_problems *p);
void config_problems_fini(struct config_problems *p);
/* The new problem's what; say why and next after it. Too long texts are cut. */
PRINTF_LIKE(3, 4)
void config_problem_add(struct config_problems *p, enum diag_code code, const char *fmt, ...);
PRINTF_LIKE(2, 3) void config_problem_why(struct config_problems *p, const char *fmt, ...);
PRINTF_LIKE(2, 3) void config_problem_next(struct config_problems *p, const char *fmt, ...);

/* Prints each at least as grave as level in its three lines, through the given function. */
void config_problems_print(const struct config_problems *p, enum diag_level level,
                           void (*print)(const char *text));
