/* odradek clients: who is connected, as the broker's HTTP port lists it (/api/v1/clients). */
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/json.h"
#include "cli/out.h"
#include "cli/problem.h"
#include "cli/screen.h"

#include <stdlib.h>
#include <string.h>

static const struct column columns[] = {{"address", "ADDRESS", COLUMN_NAME},
                                        {"client_id", "CLIENT", 0},
                                        {"software", "SOFTWARE", 0},
                                        {"software_version", "VERSION", 0},
                                        {"group", "GROUP", 0},
                                        {"last_api", "LAST API", 0},
                                        {"age_ms", "AGE", COLUMN_DURATION},
                                        {"idle_ms", "IDLE", COLUMN_DURATION},
                                        {"requests", "REQUESTS", 0},
                                        {"unanswered", "UNANSWERED", COLUMN_WIDE},
                                        {"bytes_in", "IN", COLUMN_BYTES},
                                        {"bytes_out", "OUT", COLUMN_BYTES},
                                        {"listener", "LISTENER", COLUMN_WIDE},
                                        {"principal", "PRINCIPAL", COLUMN_WIDE},
                                        {"since_ms", "SINCE", COLUMN_WIDE | COLUMN_TIME},
                                        {0}};
static const struct view view = {.columns = columns, .listing = true};

/* A number of the page; 0 when it is not there: what it counts has not happened. */
static i64 number_of(const struct json *object, const char *key)
{
    const struct json *n = json_get(object, key);
    char text[32];
    if (n == NULL || n->kind != JSON_NUMBER || n->raw.len >= sizeof text) {
        return 0;
    }
    memcpy(text, n->raw.ptr, n->raw.len);
    text[n->raw.len] = 0;
    return strtoll(text, NULL, 10);
}

static void add_client(struct node *list, const struct json *client, i64 now_ms)
{
    static const char *const texts[] = {"address",  "client_id", "software", "software_version",
                                        "listener", "principal", "group",    "last_api"};
    static const char *const numbers[] = {"since_ms",   "idle_ms",  "requests",
                                          "unanswered", "bytes_in", "bytes_out"};
    struct node *one = node_add_object(list, NULL);
    for (u32 i = 0; i < ARRAY_LEN(texts); i++) {
        const struct json *text = json_get(client, texts[i]);
        bool told = text != NULL && text->kind == JSON_TEXT;
        node_add_text(one, texts[i], told ? text->text : (struct slice){0});
    }
    for (u32 i = 0; i < ARRAY_LEN(numbers); i++) {
        node_add_number(one, numbers[i], number_of(client, numbers[i]));
    }
    node_add_number(one, "age_ms", MAX(now_ms - number_of(client, "since_ms"), 0));
}

int command_clients(const struct cli_args *a)
{
    enum out_format format;
    struct slice page;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    int code = fetch_needed(a, "/api/v1/clients", "who is connected", &page);
    if (code != CLI_OK) {
        return code;
    }
    const char *why = NULL;
    const struct json *root = json_parse(a->arena, page, &why);
    const struct json *clients = root == NULL ? NULL : json_get(root, "clients");
    if (clients == NULL || clients->kind != JSON_LIST) {
        return problem(CLI_FAILED, "the HTTP port does not say who is connected",
                       why != NULL ? why : "there is no list of clients in its answer",
                       "is it the HTTP port of an Odradek broker of this version?");
    }
    struct node *list = node_list(a->arena);
    for (const struct json *one = clients->first; one != NULL; one = one->next) {
        add_client(list, one, number_of(root, "now_ms"));
    }
    node_sort(list, "address");
    i64 left_out = number_of(root, "left_out");
    code = out_print(a, list, &view);
    if (left_out > 0 && !screen_is_on()) {
        fprintf(stderr, "%lld more are connected\n", (long long)left_out);
    }
    return code;
}
