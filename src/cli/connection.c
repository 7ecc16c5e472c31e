/* The connection check of odradek doctor: see connection.h. What a client does, step by step: read
   its client.properties, go to each address of bootstrap.servers, ask who the brokers are, go to
   the address each of them advertises. A step that fails says why on stderr, in three lines; the
   table says which it was. */
#include "cli/connection.h"

#include "cli/kafka.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct check {
    struct cli_args args; /* brokers is the address under way */
    struct node *list;
    u32 failed;
};

static const struct column columns[] = {{"check", "CHECK", COLUMN_NAME},
                                        {"address", "ADDRESS", 0},
                                        {"state", "STATE", 0},
                                        {"reason", "REASON", 0},
                                        {0}};
static const struct view view = {.columns = columns, .listing = true};

static void add_check(struct check *c, const char *name, const char *address, bool good,
                      const char *reason)
{
    struct node *one = node_add_object(c->list, NULL);
    node_add_cstr(one, "check", name);
    node_add_cstr(one, "address", address);
    node_add_cstr(one, "state", good ? "ok" : "FAILED");
    node_add_cstr(one, "reason", reason);
    c->failed += !good;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The value of a key in a file of properties, the last one; NULL: it is not there. */
static const char *property(const struct cli_args *a, FILE *file, const char *key)
{
    char line[4096];
    const char *found = NULL;
    size_t len = strlen(key);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        struct slice text = slice_trim(slice_cstr(line));
        if (text.len <= len || memcmp(text.ptr, key, len) != 0) {
            continue;
        }
        struct slice rest = slice_trim(slice_of(text.ptr + len, text.len - len));
        if (rest.len > 0 && (rest.ptr[0] == '=' || rest.ptr[0] == ':')) {
            rest = slice_trim(slice_of(rest.ptr + 1, rest.len - 1));
            found = cli_text(a, "%.*s", (int)rest.len, (const char *)rest.ptr);
        }
    }
    return found;
}

/* ---- the way --------------------------------------------------------------------------------- */

/* Goes to one address and asks what it speaks; NULL: it failed, and that is noted. */
static struct kafka *visit(struct check *c, const char *name, const char *address)
{
    int code;
    i64 begin_ms = wall_ms();
    c->args.brokers = address;
    struct kafka *k = kafka_open(&c->args, &code);
    add_check(c, name, address, k != NULL,
              k != NULL             ? cli_text(&c->args, "it speaks Kafka; %lld ms",
                                               (long long)(wall_ms() - begin_ms))
              : code == CLI_TIMEOUT ? "no answer in time"
                                    : "it cannot be reached, or speaks something else");
    return k;
}

static int visit_brokers(struct check *c, struct kafka *k)
{
    struct metadata_response all;
    int code = kafka_topics(k, NULL, &all);
    for (u32 i = 0; code == CLI_OK && i < all.brokers.count; i++) {
        const struct metadata_response_broker *b = &all.brokers.items[i];
        bool v6 = memchr(b->host.ptr, ':', b->host.len) != NULL;
        kafka_close(visit(c, cli_text(&c->args, "broker %d", b->node_id),
                          cli_text(&c->args, v6 ? "[%.*s]:%d" : "%.*s:%d", (int)b->host.len,
                                   (const char *)b->host.ptr, b->port)));
    }
    if (code == CLI_OK) {
        add_check(c, "metadata", NULL, all.brokers.count > 0,
                  cli_text(&c->args, "%u broker%s, %u topic%s", all.brokers.count,
                           all.brokers.count == 1 ? "" : "s", all.topics.count,
                           all.topics.count == 1 ? "" : "s"));
    }
    return code;
}

static int visit_all(struct check *c, const char *addresses)
{
    struct kafka *first = NULL;
    int code = CLI_OK;
    while (*addresses != 0) {
        size_t len = strcspn(addresses, ",");
        struct slice one = slice_trim(slice_of(addresses, len));
        struct kafka *k =
            visit(c, "bootstrap", cli_text(&c->args, "%.*s", (int)one.len, (const char *)one.ptr));
        if (first == NULL) {
            first = k;
        } else {
            kafka_close(k);
        }
        addresses += len + (addresses[len] == ',');
    }
    if (first != NULL) {
        code = visit_brokers(c, first);
        kafka_close(first);
    }
    return code;
}

int connection_check(const struct cli_args *a, const char *file)
{
    struct check c = {.args = *a, .list = node_list(a->arena)};
    const char *text = cli_value(a, "timeout");
    enum out_format format;
    c.args.timeout_ms = 10000;
    if (text != NULL && !(parse_duration(text, &c.args.timeout_ms) && c.args.timeout_ms > 0 &&
                          c.args.timeout_ms <= INT32_MAX)) {
        return problem_of_value(a, "timeout", text, "a duration as 500ms, 10s or 2m");
    }
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    FILE *properties = fopen(file, "re");
    if (properties == NULL) {
        return problem(CLI_FAILED, cli_text(a, "%s cannot be read", file), strerror(errno), NULL);
    }
    const char *addresses = property(a, properties, "bootstrap.servers");
    const char *security = property(a, properties, "security.protocol");
    fclose(properties);
    if (addresses == NULL || addresses[0] == 0) {
        return problem(CLI_FAILED, cli_text(a, "%s does not say where the brokers are", file), NULL,
                       "it needs a line bootstrap.servers=HOST:PORT");
    }
    if (security != NULL && strcmp(security, "PLAINTEXT") != 0) {
        add_check(&c, "security", NULL, false,
                  cli_text(a, "security.protocol=%s: Odradek speaks PLAINTEXT only", security));
    }
    int code = visit_all(&c, addresses);
    code = code != CLI_OK ? code : out_print(a, c.list, &view);
    return code != CLI_OK ? code : c.failed > 0 ? CLI_UNHEALTHY : CLI_OK;
}
