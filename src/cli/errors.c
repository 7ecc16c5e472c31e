/* odradek errors: what the codes mean. Ours (ODK-1102) are the rows of messages.def, Kafka's (3, or
   UNKNOWN_TOPIC_OR_PARTITION) those of errors.def. */
#include "cli/commands.h"
#include "cli/near.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "wire/wire.h"

#include <string.h>
#include <strings.h>

static const struct column list_columns[] = {
    {"code", "CODE", COLUMN_NAME},       {"name", "NAME", 0},
    {"level", "LEVEL", COLUMN_WIDE},     {"text", "WHAT IT SAYS", 0},
    {"help", "WHAT TO DO", COLUMN_WIDE}, {0}};
static const struct view list_view = {.columns = list_columns, .listing = true};

static const char *level_name(enum diag_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level];
}

static void add_message(const struct cli_args *a, struct node *list, const struct diag_row *row)
{
    struct node *one = node_add_object(list, NULL);
    node_add_cstr(one, "code", cli_text(a, "ODK-%d", (int)row->code));
    node_add_cstr(one, "name", row->name);
    node_add_cstr(one, "level", level_name(row->level));
    node_add_cstr(one, "text", row->text);
    node_add_cstr(one, "help", row->help[0] != 0 ? row->help : NULL);
}

static void add_kafka(const struct cli_args *a, struct node *list, const struct kerr_row *row)
{
    bool retriable = (row->flags & KERR_FLAG_RETRIABLE) != 0;
    struct node *one = node_add_object(list, NULL);
    node_add_cstr(one, "code", cli_text(a, "%d", row->code));
    node_add_cstr(one, "name", row->name);
    node_add_cstr(one, "level", "kafka");
    node_add_cstr(one, "text", row->doc);
    node_add_cstr(one, "help", retriable ? "Clients try again by themselves." : NULL);
}

/* One of Kafka's by number or name. */
static const struct kerr_row *find_kafka(const char *text)
{
    i64 code;
    if (parse_number(text, INT16_MIN, INT16_MAX, &code)) {
        return kerr_find((i16)code);
    }
    for (u32 i = 0; i < kerr_row_count; i++) {
        if (strcasecmp(kerr_rows[i].name, text) == 0) {
            return &kerr_rows[i];
        }
    }
    return NULL;
}

/* One of ours by code or name. */
static const struct diag_row *find_ours(const char *text)
{
    for (u32 i = 0; i < diag_row_count; i++) {
        if (strcasecmp(diag_rows[i].name, text) == 0) {
            return &diag_rows[i];
        }
    }
    return diag_row_find(slice_cstr(text));
}

/* As it stands in a log or an answer: "(ODK-2107)", "ODK-2107:". */
static const char *bare_code(const struct cli_args *a, const char *text)
{
    text += strspn(text, "([\"'");
    size_t len = strlen(text);
    while (len > 1 && strchr(")]\"',.:;", text[len - 1]) != NULL) {
        len--;
    }
    return cli_text(a, "%.*s", (int)len, text);
}

static int unknown(const struct cli_args *a, const char *text)
{
    struct near near = near_to(slice_cstr(text));
    for (u32 i = 0; i < kerr_row_count; i++) {
        near_try(&near, slice_cstr(kerr_rows[i].name));
    }
    for (u32 i = 0; i < diag_row_count; i++) {
        near_try(&near, slice_cstr(diag_rows[i].name));
    }
    struct slice nearest = near_found(&near);
    return problem(CLI_NOT_FOUND,
                   nearest.ptr == NULL
                       ? cli_text(a, "there is no error \"%s\"", text)
                       : cli_text(a, "there is no error \"%s\"; did you mean %.*s?", text,
                                  (int)nearest.len, (const char *)nearest.ptr),
                   NULL, "odradek errors   lists all of them");
}

int command_errors(const struct cli_args *a)
{
    struct node *list = node_list(a->arena);
    for (u32 i = 0; i < a->operand_count; i++) {
        const char *text = bare_code(a, a->operands[i]);
        /* A bare number is Kafka's if it has one: ours have four digits. */
        const struct kerr_row *kafka = find_kafka(text);
        const struct diag_row *ours = kafka == NULL ? find_ours(text) : NULL;
        if (kafka == NULL && ours == NULL) {
            return unknown(a, text);
        }
        if (kafka != NULL) {
            add_kafka(a, list, kafka);
        } else {
            add_message(a, list, ours);
        }
    }
    for (u32 i = 0; a->operand_count == 0 && i < diag_row_count; i++) {
        add_message(a, list, &diag_rows[i]);
    }
    for (u32 i = 0; a->operand_count == 0 && i < kerr_row_count; i++) {
        add_kafka(a, list, &kerr_rows[i]);
    }
    /* One or a few are read, not scanned: everything about them. */
    enum out_format format;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    if (a->operand_count == 0 || (format != OUT_TABLE && format != OUT_WIDE)) {
        return out_print(a, list, &list_view);
    }
    for (const struct node *one = list->first; one != NULL; one = one->next) {
        struct slice help = node_text(one, "help");
        printf("%s %s (%s)\n  ", (const char *)node_text(one, "code").ptr,
               (const char *)node_text(one, "name").ptr, (const char *)node_text(one, "level").ptr);
        out_wrapped((const char *)node_text(one, "text").ptr, 2, 2);
        if (help.len > 0) {
            fputs("\n  next: ", stdout);
            out_wrapped((const char *)help.ptr, 8, 8);
        }
        fputc('\n', stdout);
    }
    return CLI_OK;
}
