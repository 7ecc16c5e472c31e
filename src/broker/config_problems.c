/* See config_problems.h. */
#include "broker/config_problems.h"

#include <stdarg.h>
#include <stdio.h>

void config_problems_init(struct config_problems *p)
{
    *p = (struct config_problems){0};
}

void config_problems_fini(struct config_problems *p)
{
    mem_free(p->items);
    *p = (struct config_problems){0};
}

static enum diag_level level_of(enum diag_code code)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)code);
    const struct diag_row *row = diag_row_find(slice_cstr(text));
    assert(row != NULL); /* every code is a row of messages.def */
    return row->level;
}

/* Where what is too many goes: it is counted, and its texts are dropped. */
static struct config_problem *last(struct config_problems *p)
{
    return p->left_out > 0 ? NULL : &p->items[p->count - 1];
}

void config_problem_add(struct config_problems *p, enum diag_code code, const char *fmt, ...)
{
    enum diag_level level = level_of(code);
    p->errors += level == DIAG_ERROR;
    p->warnings += level == DIAG_WARN;
    if (p->count == CONFIG_PROBLEMS_MAX) {
        p->left_out++;
        return;
    }
    if (p->count == p->cap) {
        p->cap = MAX(2 * p->cap, 16u);
        p->items = mem_resize(p->items, p->cap * sizeof *p->items);
    }
    struct config_problem *item = &p->items[p->count++];
    *item = (struct config_problem){.code = code};
    va_list args;
    va_start(args, fmt);
    vsnprintf(item->what, sizeof item->what, fmt, args);
    va_end(args);
}

void config_problem_why(struct config_problems *p, const char *fmt, ...)
{
    struct config_problem *item = last(p);
    if (item != NULL) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(item->why, sizeof item->why, fmt, args);
        va_end(args);
    }
}

void config_problem_next(struct config_problems *p, const char *fmt, ...)
{
    struct config_problem *item = last(p);
    if (item != NULL) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(item->next, sizeof item->next, fmt, args);
        va_end(args);
    }
}

void config_problems_print(const struct config_problems *p, enum diag_level level,
                           void (*print)(const char *text))
{
    char text[CONFIG_WHAT_BYTES + CONFIG_WHY_BYTES + CONFIG_NEXT_BYTES + 1024];
    for (u32 i = 0; i < p->count; i++) {
        const struct config_problem *item = &p->items[i];
        if (level_of(item->code) >= level) {
            const struct diag_problem problem = {item->code, item->what, item->why, item->next};
            diag_problem_text(&problem, text, sizeof text);
            print(text);
        }
    }
    if (p->left_out > 0) {
        snprintf(text, sizeof text, "and %u more\n", p->left_out);
        print(text);
    }
}
