/* Formats of what commands say: see out.h. */
#include "cli/out.h"

#include "cli/choose.h"
#include "cli/problem.h"
#include "cli/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool out_format_parse(const struct cli_args *a, enum out_format *out)
{
    static const char *const names[] = {"table", "wide", "json", "jsonl", "yaml", "name"};
    const char *wanted = cli_value(a, "output");
    *out = OUT_TABLE;
    if (wanted == NULL) {
        return true;
    }
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(wanted, names[i]) == 0) {
            *out = (enum out_format)i;
            return true;
        }
    }
    problem(CLI_USAGE, cli_text(a, "there is no format \"%s\"", wanted), NULL,
            "-o table, wide, json, jsonl, yaml or name");
    return false;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at the start of text; 0: it is none. */
static size_t utf8_length(struct slice text)
{
    u8 c = text.ptr[0];
    size_t length = c < 0x80                ? 1
                    : c >= 0xc2 && c < 0xe0 ? 2
                    : c >= 0xe0 && c < 0xf0 ? 3
                    : c >= 0xf0 && c < 0xf5 ? 4
                                            : 0;
    if (length == 0 || length > text.len) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && text.ptr[1] < 0xa0) || (c == 0xf0 && text.ptr[1] < 0x90);
    bool beyond = (c == 0xed && text.ptr[1] >= 0xa0) || (c == 0xf4 && text.ptr[1] >= 0x90);
    return overlong || beyond ? 0 : length;
}

bool utf8_valid(struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        size_t length = utf8_length(slice_of(text.ptr + i, text.len - i));
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

void out_json_text(FILE *to, struct slice text)
{
    fputc('"', to);
    for (size_t i = 0; i < text.len;) {
        u8 c = text.ptr[i];
        size_t length = utf8_length(slice_of(text.ptr + i, text.len - i));
        if (c == '"' || c == '\\') {
            fprintf(to, "\\%c", c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            fprintf(to, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        } else if (length == 1 && (c < 0x20 || c == 0x7f)) {
            fprintf(to, "\\u%04x", c);
        } else if (length == 0) {
            fputs("\\ufffd", to);
        } else {
            fwrite(text.ptr + i, 1, length, to);
        }
        i += MAX(length, 1);
    }
    fputc('"', to);
}

/* One character, or one byte that is none; returns how many bytes it is, *width its columns. */
static size_t cell_print(FILE *to, struct slice text, bool utf8, u32 *width)
{
    u8 c = text.ptr[0];
    size_t length = utf8_length(text);
    bool c1 = length == 2 && c == 0xc2 && text.ptr[1] < 0xa0;
    bool hidden = length == 0 || c < 0x20 || c == 0x7f || c1;
    *width = hidden ? 4 : 1;
    if (to != NULL && hidden) {
        fprintf(to, "\\x%02x", c);
    } else if (to != NULL && length > 1 && !utf8) {
        fputc('?', to);
    } else if (to != NULL) {
        fwrite(text.ptr, 1, length, to);
    }
    return hidden ? 1 : length;
}

/* Prints what a terminal may see of a text, and returns how many columns it takes. */
static u32 text_print(FILE *to, struct slice text, bool utf8)
{
    u32 columns = 0;
    for (size_t i = 0; i < text.len;) {
        u32 width;
        size_t length = cell_print(to, slice_of(text.ptr + i, text.len - i), utf8, &width);
        columns += width;
        i += length;
    }
    return columns;
}

/* The same in at most so many columns; a mark stands where the rest would be. */
static u32 text_print_cut(FILE *to, struct slice text, bool utf8, u32 columns_max)
{
    u32 whole = text_print(NULL, text, utf8);
    if (whole <= columns_max) {
        return text_print(to, text, utf8);
    }
    u32 columns = 0;
    for (size_t i = 0; i < text.len;) {
        struct slice left = slice_of(text.ptr + i, text.len - i);
        u32 width;
        size_t length = cell_print(NULL, left, utf8, &width);
        if (columns + width + 1 > columns_max) {
            break;
        }
        (void)cell_print(to, left, utf8, &width);
        columns += width;
        i += length;
    }
    fputs(utf8 ? "…" : "~", to);
    return columns + 1;
}

void out_text(FILE *to, struct slice text)
{
    text_print(to, text, out_utf8());
}

bool out_is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

bool out_colour(FILE *file)
{
    const char *off = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return out_is_terminal(file) && (off == NULL || off[0] == 0) && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

bool out_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != 0) {
            return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL ||
                   strstr(value, "UTF8") != NULL || strstr(value, "utf-8") != NULL;
        }
    }
    return false;
}

void bytes_text(f64 bytes, char to[BYTES_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    u32 unit = 0;
    while ((bytes >= 1024 || bytes <= -1024) && unit + 1 < ARRAY_LEN(units)) {
        bytes /= 1024;
        unit++;
    }
    snprintf(to, BYTES_TEXT_BYTES, unit == 0 ? "%.0f%s" : "%.1f%s", bytes, units[unit]);
}

void time_text(i64 ms, char to[TIME_TEXT_BYTES])
{
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm parts;
    if (ms == -1 || gmtime_r(&seconds, &parts) == NULL) {
        snprintf(to, TIME_TEXT_BYTES, "-");
        return;
    }
    size_t used = strftime(to, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(to + used, TIME_TEXT_BYTES - used, ".%03dZ", (int)(((ms % 1000) + 1000) % 1000));
}

void duration_text(i64 seconds, char to[DURATION_TEXT_BYTES])
{
    long long s = seconds;
    if (s < 60) {
        snprintf(to, DURATION_TEXT_BYTES, "%llds", s);
    } else if (s < 3600) {
        snprintf(to, DURATION_TEXT_BYTES, "%lldm%02llds", s / 60, s % 60);
    } else if (s < 2 * 86400) {
        snprintf(to, DURATION_TEXT_BYTES, "%lldh%02lldm", s / 3600, s % 3600 / 60);
    } else {
        snprintf(to, DURATION_TEXT_BYTES, "%lldd%02lldh", s / 86400, s % 86400 / 3600);
    }
}

/* ---- for programs ---------------------------------------------------------------------------- */

/* A value that is no list and no object. */
static void print_scalar(FILE *to, const struct node *n)
{
    switch (n->kind) {
    case NODE_BOOL:
        fputs(n->flag ? "true" : "false", to);
        break;
    case NODE_NUMBER:
        fprintf(to, "%lld", (long long)n->number);
        break;
    case NODE_REAL:
        fprintf(to, "%.3f", n->real);
        break;
    case NODE_TEXT:
        out_json_text(to, n->text);
        break;
    default:
        fputs("null", to);
        break;
    }
}

static void print_indent(FILE *to, u32 depth)
{
    for (u32 i = 0; i < depth; i++) {
        fputs("  ", to);
    }
}

/* depth 0xffffffff: everything on one line. */
enum { ONE_LINE = UINT32_MAX };
static void print_json(FILE *to, const struct node *n, u32 depth)
{
    bool list = n->kind == NODE_LIST;
    if (!list && n->kind != NODE_OBJECT) {
        print_scalar(to, n);
        return;
    }
    fputc(list ? '[' : '{', to);
    for (const struct node *child = n->first; child != NULL; child = child->next) {
        if (depth != ONE_LINE) {
            fputc('\n', to);
            print_indent(to, depth + 1);
        }
        if (!list) {
            out_json_text(to, slice_cstr(child->key));
            fputs(depth == ONE_LINE ? ":" : ": ", to);
        }
        print_json(to, child, depth == ONE_LINE ? ONE_LINE : depth + 1);
        if (child->next != NULL) {
            fputc(',', to);
        }
    }
    if (depth != ONE_LINE && n->first != NULL) {
        fputc('\n', to);
        print_indent(to, depth);
    }
    fputc(list ? ']' : '}', to);
}

void out_json(FILE *to, const struct node *root)
{
    print_json(to, root, 0);
    fputc('\n', to);
}

void out_json_line(FILE *to, const struct node *object)
{
    print_json(to, object, ONE_LINE);
    fputc('\n', to);
}

/* YAML's texts are quoted as JSON's, which it reads too: "no" and "1e3" stay texts. */
static void print_yaml(FILE *to, const struct node *n, u32 depth, bool begun)
{
    bool list = n->kind == NODE_LIST;
    if (!list && n->kind != NODE_OBJECT) {
        print_scalar(to, n);
        fputc('\n', to);
        return;
    }
    if (n->first == NULL) {
        fputs(list ? "[]\n" : "{}\n", to);
        return;
    }
    for (const struct node *child = n->first; child != NULL; child = child->next) {
        if (!begun || child != n->first) {
            print_indent(to, depth);
        }
        if (list) {
            fputs("- ", to);
            print_yaml(to, child, depth + 1, true);
            continue;
        }
        fprintf(to, "%s:", child->key);
        bool nested =
            (child->kind == NODE_LIST || child->kind == NODE_OBJECT) && child->first != NULL;
        fputc(nested ? '\n' : ' ', to);
        print_yaml(to, child, depth + 1, false);
    }
}

void out_yaml(FILE *to, const struct node *list)
{
    print_yaml(to, list, 0, false);
}

/* ---- for people ------------------------------------------------------------------------------ */

static bool is_shown(const struct column *c, enum out_format format)
{
    return (c->flags & COLUMN_WIDE) == 0 || format == OUT_WIDE;
}

/* Of a column that is COLUMN_FINE. */
static int decimals_of(f64 value)
{
    return value == 0 ? 1 : value < 1 ? 3 : value < 10 ? 2 : value < 1000 ? 1 : 0;
}

/* What a cell says; numbers get separators nowhere, so that they can be pasted. */
static struct slice cell_text(const struct column *c, const struct node *row)
{
    const struct node *n = node_get(row, c->key);
    if (n == NULL || n->kind == NODE_NULL) {
        return SLICE_LIT("-");
    }
    char text[64];
    if (n->kind == NODE_TEXT) {
        return n->text;
    } else if (n->kind == NODE_NUMBER && (c->flags & COLUMN_BYTES) != 0) {
        bytes_text((f64)n->number, text);
    } else if (n->kind == NODE_NUMBER && (c->flags & COLUMN_TIME) != 0) {
        time_text(n->number, text);
    } else if (n->kind == NODE_NUMBER && (c->flags & COLUMN_DURATION) != 0) {
        duration_text(n->number / 1000, text);
    } else if (n->kind == NODE_NUMBER) {
        snprintf(text, sizeof text, "%lld", (long long)n->number);
    } else if (n->kind == NODE_REAL && (c->flags & COLUMN_BYTES) != 0) {
        bytes_text(n->real, text);
    } else if (n->kind == NODE_REAL) {
        snprintf(text, sizeof text, "%.*f",
                 (c->flags & COLUMN_FINE) != 0 ? decimals_of(n->real) : 1, n->real);
    } else if (n->kind == NODE_BOOL) {
        snprintf(text, sizeof text, "%s", n->flag ? "yes" : "no");
    } else if (n->kind == NODE_LIST) {
        /* A list of plain values: a,b,c. */
        struct slice joined = SLICE_LIT("");
        for (const struct node *item = n->first; item != NULL; item = item->next) {
            const char *comma = item == n->first ? "" : ",";
            const char *so_far =
                item->kind == NODE_NUMBER
                    ? arena_printf(n->arena, "%.*s%s%lld", (int)joined.len,
                                   (const char *)joined.ptr, comma, (long long)item->number)
                    : arena_printf(n->arena, "%.*s%s%.*s", (int)joined.len,
                                   (const char *)joined.ptr, comma,
                                   item->kind == NODE_TEXT ? (int)item->text.len : 0,
                                   item->kind == NODE_TEXT ? (const char *)item->text.ptr : "");
            joined = slice_cstr(so_far);
        }
        return joined.len == 0 ? SLICE_LIT("-") : joined;
    } else {
        snprintf(text, sizeof text, "-");
    }
    return arena_copy(row->arena, slice_cstr(text));
}

static bool is_number(const struct column *c, const struct node *rows)
{
    for (const struct node *row = rows->first; row != NULL; row = row->next) {
        const struct node *n = node_get(row, c->key);
        if (n != NULL && n->kind != NODE_NULL) {
            return (n->kind == NODE_NUMBER || n->kind == NODE_REAL) &&
                   (c->flags & COLUMN_TIME) == 0;
        }
    }
    return false;
}

static void print_padding(FILE *to, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        fputc(' ', to);
    }
}

enum { COLUMNS_MAX = COLUMNS_CHOSEN_MAX, TEXT_COLUMNS_MIN = 12 };
/* Texts give way, the widest first, until the row fits; numbers do not. */
static void widths_shrink(u32 *widths, const bool *right, u32 count, u32 columns_max)
{
    u32 total = 2 * (count - 1);
    for (u32 i = 0; i < count; i++) {
        total += widths[i];
    }
    while (total > columns_max) {
        u32 widest = count;
        for (u32 i = 0; i < count; i++) {
            bool may = !right[i] && widths[i] > TEXT_COLUMNS_MIN;
            widest = may && (widest == count || widths[i] > widths[widest]) ? i : widest;
        }
        if (widest == count) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

static void print_table(FILE *to, const struct node *rows, const struct column *columns,
                        enum out_format format, u32 columns_max)
{
    const struct column *shown[COLUMNS_MAX];
    u32 widths[COLUMNS_MAX];
    bool right[COLUMNS_MAX];
    u32 count = 0;
    bool utf8 = out_utf8();
    for (const struct column *c = columns; c->key != NULL; c++) {
        if (!is_shown(c, format)) {
            continue;
        }
        assert(count < COLUMNS_MAX);
        widths[count] = (u32)strlen(c->head);
        right[count] = is_number(c, rows);
        for (const struct node *row = rows->first; row != NULL; row = row->next) {
            u32 width = text_print(NULL, cell_text(c, row), utf8);
            widths[count] = MAX(widths[count], width);
        }
        shown[count++] = c;
    }
    widths_shrink(widths, right, count, columns_max);
    bool colour = out_colour(stdout);
    fputs(colour ? "\033[1m" : "", to);
    for (u32 i = 0; i < count; i++) {
        u32 padding = widths[i] - (u32)strlen(shown[i]->head);
        print_padding(to, right[i] ? padding : 0);
        fputs(shown[i]->head, to);
        print_padding(to, right[i] || i + 1 == count ? 0 : padding);
        fputs(i + 1 < count ? "  " : "", to);
    }
    fputs(colour ? "\033[0m\n" : "\n", to);
    for (const struct node *row = rows->first; row != NULL; row = row->next) {
        for (u32 i = 0; i < count; i++) {
            struct slice text = cell_text(shown[i], row);
            u32 padding = widths[i] - MIN(text_print(NULL, text, utf8), widths[i]);
            print_padding(to, right[i] ? padding : 0);
            text_print_cut(to, text, utf8, widths[i]);
            print_padding(to, right[i] || i + 1 == count ? 0 : padding);
            fputs(i + 1 < count ? "  " : "\n", to);
        }
    }
}

/* "GROUP billing  STATE Stable  LAG 12" in lines of at most so many columns, and the tables below
   it. On a screen each of these is a section. */
static void print_thing(FILE *to, const struct node *object, const struct view *view,
                        enum out_format format, u32 columns)
{
    bool colour = out_colour(stdout);
    bool utf8 = out_utf8();
    u32 used = 0;
    for (const struct column *c = view->columns; c->key != NULL; c++) {
        if (!is_shown(c, format)) {
            continue;
        }
        struct slice text = cell_text(c, object);
        u32 width = (u32)strlen(c->head) + 1 + text_print(NULL, text, utf8);
        bool fits = used == 0 || used + 2 + width <= columns;
        fputs(used == 0 ? "" : fits ? "  " : "\n", to);
        fprintf(to, "%s%s%s ", colour ? "\033[1m" : "", c->head, colour ? "\033[0m" : "");
        text_print(to, text, utf8);
        used = fits && used > 0 ? used + 2 + width : width;
    }
    fputc('\n', to);
    for (u32 i = 0; i < VIEW_TABLES_MAX && view->tables[i].key != NULL; i++) {
        const struct node *rows = node_get(object, view->tables[i].key);
        if (rows != NULL && rows->count > 0) {
            fputs(screen_is_on() ? "\f" : "", to);
            print_table(to, rows, view->tables[i].columns, format, columns);
        }
    }
}

static void print_name(FILE *to, const struct node *object, const struct view *view)
{
    for (const struct column *c = view->columns; c->key != NULL; c++) {
        if ((c->flags & COLUMN_NAME) != 0) {
            out_text(to, cell_text(c, object));
            fputc('\n', to);
        }
    }
}

static void print_people(FILE *to, const struct node *root, const struct view *view,
                         enum out_format format, u32 columns)
{
    if (root->kind == NODE_LIST && view->listing && format != OUT_NAME) {
        print_table(to, root, view->columns, format, columns);
        return;
    }
    const struct node *object = root->kind == NODE_LIST ? root->first : root;
    for (; object != NULL; object = root->kind == NODE_LIST ? object->next : NULL) {
        if (format == OUT_NAME) {
            print_name(to, object, view);
        } else {
            print_thing(to, object, view, format, columns);
            fputs(screen_is_on() && object->next != NULL ? "\f" : "", to);
        }
    }
}

/* What stands on the screen, to be drawn again in another size. */
static struct {
    const struct node *root;
    const struct view *view;
    enum out_format format;
} page;

void out_redraw(void)
{
    if (page.root == NULL) {
        return;
    }
    char *bytes = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&bytes, &len);
    assert(to != NULL);
    print_people(to, page.root, page.view, page.format, screen_columns());
    fclose(to);
    screen_draw(slice_of(bytes, len));
    free(bytes);
}

void out_page_gone(void)
{
    page.root = NULL;
}

int out_print(const struct cli_args *a, struct node *root, const struct view *of)
{
    enum out_format format;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    struct view *view =
        arena_alloc(a->arena, sizeof *view); /* it may stand on a screen for a while */
    assert(view != NULL);
    *view = *of;
    if (root->kind == NODE_LIST && of->listing) {
        view->columns = format == OUT_NAME ? of->columns : choose_columns(a, of);
        if (view->columns == NULL || !choose_rows(a, of, root)) {
            return CLI_USAGE;
        }
    }
    switch (format) {
    case OUT_JSON:
        out_json(stdout, root);
        break;
    case OUT_JSONL:
        if (root->kind != NODE_LIST) {
            out_json_line(stdout, root);
            break;
        }
        for (const struct node *n = root->first; n != NULL; n = n->next) {
            out_json_line(stdout, n);
        }
        break;
    case OUT_YAML:
        print_yaml(stdout, root, 0, false);
        break;
    default:
        if (screen_is_on() && format != OUT_NAME) {
            page.root = root;
            page.view = view;
            page.format = format;
            out_redraw();
        } else {
            print_people(stdout, root, view, format, UINT32_MAX);
        }
        break;
    }
    return CLI_OK;
}

u32 out_columns(void)
{
    return out_is_terminal(stdout) ? screen_columns() : UINT32_MAX;
}

void out_wrapped(const char *text, u32 at, u32 indent)
{
    u32 columns = out_columns();
    bool first = true; /* of its line */
    while (*text != 0) {
        u32 len = (u32)strcspn(text, " ");
        if (!first &&
            at + 1 + len >= columns) { /* the last column stays free: terminals wrap there */
            printf("\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", (int)len, text);
        at += len + !first;
        first = false;
        text += len;
        text += *text == ' ';
    }
}

int out_finish(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return code;
    }
    int reason = errno;
    clearerr(stdout);
    problem(CLI_FAILED, "standard output could not be written",
            reason != 0 ? strerror(reason) : "a write before this one failed",
            reason == EPIPE ? "whoever read it has gone; what came after that is lost"
                            : "make room, or write it somewhere else");
    return code == CLI_OK ? CLI_FAILED : code;
}
