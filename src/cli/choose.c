/* --filter, --sort, --columns: see choose.h. */
#include "cli/choose.h"

#include "cli/problem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A column by its key or its heading; NULL: told that there is none. */
static const struct column *find(const struct cli_args *a, const struct view *view,
                                 struct slice name, const char *option)
{
    const char *wanted = cli_text(a, "%.*s", (int)name.len, (const char *)name.ptr);
    const char *all = "";
    for (const struct column *c = view->columns; c->key != NULL; c++) {
        if (strcasecmp(c->key, wanted) == 0 || strcasecmp(c->head, wanted) == 0) {
            return c;
        }
        all = cli_text(a, "%s%s%s", all, all[0] == 0 ? "" : ", ", c->key);
    }
    problem(CLI_USAGE, cli_text(a, "--%s: there is no column \"%s\"", option, wanted), NULL,
            cli_text(a, "there are %s", all));
    return NULL;
}

/* What a value is compared with: the text that JSON would have, without quotes. */
static struct slice value_text(const struct cli_args *a, const struct node *row, const char *key)
{
    const struct node *n = node_get(row, key);
    if (n == NULL || n->kind == NODE_NULL) {
        return SLICE_LIT("");
    }
    switch (n->kind) {
    case NODE_TEXT:
        return n->text;
    case NODE_NUMBER:
        return slice_cstr(cli_text(a, "%lld", (long long)n->number));
    case NODE_REAL:
        return slice_cstr(cli_text(a, "%.3f", n->real));
    case NODE_BOOL:
        return n->flag ? SLICE_LIT("true") : SLICE_LIT("false");
    default:
        return SLICE_LIT("");
    }
}

struct filter {
    const struct column *column;
    char how; /* '=', '!' or '~' */
    struct slice text;
};

static bool filter_parse(const struct cli_args *a, const struct view *view, const char *text,
                         struct filter *out)
{
    size_t len = strcspn(text, "=!~");
    out->how = text[len];
    bool differs = out->how == '!' && text[len + 1] == '=';
    if (len == 0 || out->how == 0 || (out->how == '!' && !differs)) {
        problem_of_value(a, "filter", text, "NAME=TEXT, NAME!=TEXT or NAME~PART");
        return false;
    }
    out->text = slice_cstr(text + len + (differs ? 2 : 1));
    out->column = find(a, view, slice_of(text, len), "filter");
    return out->column != NULL;
}

static bool filter_keeps(const struct cli_args *a, const struct filter *f, const struct node *row)
{
    struct slice value = value_text(a, row, f->column->key);
    if (f->how == '~') {
        return f->text.len == 0 || (value.len >= f->text.len &&
                                    memmem(value.ptr, value.len, f->text.ptr, f->text.len) != NULL);
    }
    return slice_eq(value, f->text) == (f->how == '=');
}

static void rows_keep(const struct cli_args *a, const struct filter *f, struct node *list)
{
    struct node *row = list->first;
    list->first = list->last = NULL;
    list->count = 0;
    while (row != NULL) {
        struct node *next = row->next;
        if (filter_keeps(a, f, row)) {
            row->next = NULL;
            if (list->last != NULL) {
                list->last->next = row;
            } else {
                list->first = row;
            }
            list->last = row;
            list->count++;
        }
        row = next;
    }
}

bool choose_rows(const struct cli_args *a, const struct view *view, struct node *list)
{
    for (u32 i = 0; i < a->value_count; i++) {
        struct filter f;
        if (strcmp(a->values[i].option, "filter") != 0) {
            continue;
        }
        if (!filter_parse(a, view, a->values[i].value, &f)) {
            return false;
        }
        rows_keep(a, &f, list);
    }
    const char *by = cli_value(a, "sort");
    if (by == NULL) {
        return true;
    }
    bool largest = by[0] == '-';
    const struct column *c = find(a, view, slice_cstr(by + largest), "sort");
    if (c != NULL) {
        node_sort_by(list, c->key, largest);
    }
    return c != NULL;
}

const struct column *choose_columns(const struct cli_args *a, const struct view *view)
{
    const char *at = cli_value(a, "columns");
    if (at == NULL) {
        return view->columns;
    }
    size_t count = 0;
    struct column *chosen = arena_array(a->arena, strlen(at) + 2, sizeof *chosen);
    while (*at != 0) {
        size_t len = strcspn(at, ",");
        const struct column *c = find(a, view, slice_of(at, len), "columns");
        if (c == NULL) {
            return NULL;
        }
        chosen[count] = *c;
        chosen[count++].flags &= (u8)~COLUMN_WIDE;
        at += len + (at[len] == ',');
    }
    if (count == 0 || count > COLUMNS_CHOSEN_MAX) {
        problem_of_value(a, "columns", cli_value(a, "columns"), "a list of columns");
        return NULL;
    }
    return chosen;
}
