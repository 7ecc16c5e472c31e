/* Dry runs, undo commands, confirmation: see change.h. */
#include "cli/change.h"

#include "cli/out.h"
#include "cli/problem.h"

#include <string.h>

static const struct {
    const char *verb;
    const char *past;
} verbs[] = {{"create", "created"}, {"delete", "deleted"}, {"set", "set"},
             {"change", "changed"}, {"use", "using"},      {"rewind", "rewound"}};

static const char *past_of(const char *verb)
{
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].verb, verb) == 0) {
            return verbs[i].past;
        }
    }
    assert(false);
    return NULL;
}

struct change change_begin(const struct cli_args *a)
{
    enum out_format format;
    bool good = out_format_parse(a, &format);
    return (struct change){
        .args = a,
        .dry = cli_flag(a, "dry-run"),
        .words = format == OUT_TABLE || format == OUT_WIDE,
        .code = good ? CLI_OK : CLI_USAGE,
        .list = node_list(a->arena),
    };
}

void change_done(struct change *c, const char *verb, const char *kind, const char *name,
                 const char *undo)
{
    const char *said = c->dry ? cli_text(c->args, "would %s", verb) : past_of(verb);
    if (c->words) {
        printf("%s ", said);
        out_text(stdout, slice_cstr(name));
        fputc('\n', stdout);
        if (undo != NULL && !c->dry) {
            fflush(stdout);
            fputs("  undo: ", stderr);
            out_text(stderr, slice_cstr(undo));
            fputc('\n', stderr);
        }
    }
    struct node *one = node_add_object(c->list, NULL);
    node_add_cstr(one, "kind", kind);
    node_add_cstr(one, "name", name);
    node_add_cstr(one, "result", said);
    node_add_cstr(one, "undo", undo);
}

void change_failed(struct change *c, int code)
{
    c->code = c->code == CLI_OK ? code : c->code;
}

int change_end(struct change *c)
{
    static const struct column columns[] = {{"name", "NAME", COLUMN_NAME}, {0}};
    static const struct view view = {.columns = columns, .listing = true};
    if (!c->words && c->list->count > 0) {
        int code = out_print(c->args, c->list, &view);
        c->code = c->code == CLI_OK ? code : c->code;
    }
    return c->code;
}

bool change_confirmed(const struct cli_args *a, const char *what, const char *name)
{
    if (cli_flag(a, "yes") || cli_flag(a, "dry-run")) {
        return true;
    }
    if (!out_is_terminal(stdin)) {
        problem(CLI_USAGE, cli_text(a, "nobody can confirm: %s", what),
                "standard input is not a terminal", "say --yes to go on without being asked");
        return false;
    }
    fputs("This ", stderr);
    out_text(stderr, slice_cstr(what));
    fputs(". Type its name to go on: ", stderr);
    fflush(stderr);
    char line[512];
    if (fgets(line, sizeof line, stdin) == NULL) {
        line[0] = 0;
    }
    line[strcspn(line, "\r\n")] = 0;
    if (strcmp(line, name) != 0) {
        problem(CLI_USAGE, "that is another name; nothing was changed", NULL, NULL);
        return false;
    }
    return true;
}

const char *change_quoted(const struct cli_args *a, struct slice word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=,+@%";
    bool is_plain = word.len > 0;
    size_t quotes = 0;
    for (size_t i = 0; i < word.len; i++) {
        is_plain = is_plain && word.ptr[i] != 0 && strchr(plain, word.ptr[i]) != NULL;
        quotes += word.ptr[i] == '\'';
    }
    if (is_plain) {
        return cli_text(a, "%.*s", (int)word.len, (const char *)word.ptr);
    }
    char *out = arena_alloc(a->arena, word.len + 3 * quotes + 3);
    assert(out != NULL);
    char *at = out;
    *at++ = '\'';
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'') {
            memcpy(at, "'\\''", 4);
            at += 4;
        } else {
            *at++ = (char)word.ptr[i];
        }
    }
    *at++ = '\'';
    *at = 0;
    return out;
}
