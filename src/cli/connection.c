/* The connection check of odradek doctor: see connection.h. What a client does, step by step: read
   its client.properties, go to each address of bootstrap.servers, ask who the brokers are, go to
   the address each of them advertises. A step that fails says why on stderr, in three lines; the
   table says which it was. Settings that ask for what these brokers do not have fail too, and those
   without effect are named. */
#include "cli/connection.h"

#include "cli/kafka.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PROPERTIES_MAX = 256, LINE_BYTES = 8192 };

struct property {
    struct slice key;
    const char *value;
};
struct check {
    struct cli_args args; /* brokers is the address under way */
    const char *file;
    struct property properties[PROPERTIES_MAX];
    u32 property_count;
    struct node *list;
    u32 failed;
};

static const struct column columns[] = {{"check", "CHECK", COLUMN_NAME}, {"address", "ADDRESS", 0},
                                        {"state", "STATE", 0},           {"reason", "REASON", 0},
                                        {"next", "NEXT", COLUMN_WIDE},   {0}};
static const struct view view = {.columns = columns, .listing = true};

static void add_row(struct check *c, const char *name, const char *address, const char *state,
                    const char *reason, const char *next)
{
    struct node *one = node_add_object(c->list, NULL);
    node_add_cstr(one, "check", name);
    node_add_cstr(one, "address", address);
    node_add_cstr(one, "state", state);
    node_add_cstr(one, "reason", reason);
    node_add_cstr(one, "next", next);
}

static void add_ok(struct check *c, const char *name, const char *address, const char *reason)
{
    add_row(c, name, address, "ok", reason, NULL);
}

/* The row has the reason in short, stderr all of it. */
static void add_failure(struct check *c, const char *name, const char *address, const char *reason,
                        const struct kafka_trouble *t)
{
    add_row(c, name, address, "FAILED", reason, t->next);
    (void)problem(t->code, t->what, t->why, t->next);
    c->failed++;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* A line of Java's properties: key, then '=', ':' or a blank, then the value. */
static void take_line(struct check *c, struct slice line)
{
    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '!' ||
        c->property_count == PROPERTIES_MAX) {
        return;
    }
    size_t len = 0;
    while (len < line.len && strchr("=: \t", line.ptr[len]) == NULL) {
        len++;
    }
    struct slice value = slice_trim(slice_of(line.ptr + len, line.len - len));
    if (value.len > 0 && (value.ptr[0] == '=' || value.ptr[0] == ':')) {
        value = slice_trim(slice_of(value.ptr + 1, value.len - 1));
    }
    struct property *p = &c->properties[c->property_count++];
    p->key = arena_copy(c->args.arena, slice_of(line.ptr, len));
    p->value = cli_text(&c->args, "%.*s", (int)value.len, (const char *)value.ptr);
}

static void read_properties(struct check *c, FILE *file)
{
    char line[LINE_BYTES];
    size_t len = 0;
    while (fgets(line + len, (int)(sizeof line - len), file) != NULL) {
        len += strcspn(line + len, "\r\n");
        if (len > 0 && line[len - 1] == '\\' && len + 2 < sizeof line) {
            len--; /* the next line continues this one */
            continue;
        }
        take_line(c, slice_of(line, len));
        len = 0;
    }
    take_line(c, slice_of(line, len));
}

/* The value of a key, the last one; NULL: it is not there. */
static const char *property(const struct check *c, const char *key)
{
    for (u32 i = c->property_count; i > 0; i--) {
        if (slice_eq_cstr(c->properties[i - 1].key, key)) {
            return c->properties[i - 1].value;
        }
    }
    return NULL;
}

/* The keys that begin so, as "sasl.mechanism, sasl.jaas.config"; never their values, which are
   secrets. NULL: there is none. */
static const char *keys_of(const struct check *c, const char *const *prefixes, u32 prefix_count)
{
    const char *text = NULL;
    for (u32 i = 0; i < c->property_count; i++) {
        struct slice key = c->properties[i].key;
        for (u32 k = 0; k < prefix_count; k++) {
            size_t len = strlen(prefixes[k]);
            if (key.len > len && memcmp(key.ptr, prefixes[k], len) == 0) {
                text = cli_text(&c->args, "%s%s%.*s", text != NULL ? text : "",
                                text != NULL ? ", " : "", (int)key.len, (const char *)key.ptr);
            }
        }
    }
    return text;
}

/* TLS and SASL: what asks for them cannot be had, what belongs to them has no effect. */
static void check_security(struct check *c)
{
    static const char *const prefixes[] = {"sasl.", "ssl.", "enable.ssl."};
    const char *protocol = property(c, "security.protocol");
    const char *keys = keys_of(c, prefixes, ARRAY_LEN(prefixes));
    if (protocol != NULL && strcasecmp(protocol, "PLAINTEXT") != 0) {
        bool sasl = strncasecmp(protocol, "SASL", 4) == 0;
        bool tls = strlen(protocol) >= 3 && strcasecmp(protocol + strlen(protocol) - 3, "SSL") == 0;
        const struct kafka_trouble t = {
            CLI_FAILED,
            cli_text(&c->args, "the client would speak %s, and Odradek does not",
                     sasl && tls ? "SASL over TLS"
                     : sasl      ? "SASL"
                     : tls       ? "TLS"
                                 : "something"),
            cli_text(&c->args, "security.protocol=%s: Odradek speaks PLAINTEXT only", protocol),
            keys == NULL ? "security.protocol=PLAINTEXT in the client's file; odradek help secure"
                         : cli_text(&c->args,
                                    "security.protocol=PLAINTEXT in the client's file, without "
                                    "%s; odradek help secure",
                                    keys),
        };
        add_failure(c, "security", NULL, t.why, &t);
    } else if (keys != NULL) {
        add_ok(c, "security", NULL, cli_text(&c->args, "PLAINTEXT; without effect then: %s", keys));
    }
}

/* What the brokers must have for this client. */
static void check_features(struct check *c, const struct kafka *k)
{
    const char *id = property(c, "transactional.id");
    if (id != NULL && id[0] != 0 && !kafka_has(k, API_add_partitions_to_txn)) {
        const struct kafka_trouble t = {
            CLI_FAILED, "the client would write in transactions, and there are none",
            cli_text(&c->args, "transactional.id=%s", id),
            "leave it out; enable.idempotence=true alone works"};
        add_failure(c, "transactions", NULL, t.what, &t);
    }
    const char *protocol = property(c, "group.protocol");
    if (protocol != NULL && strcasecmp(protocol, "consumer") == 0 &&
        !kafka_has(k, API_consumer_group_heartbeat)) {
        const struct kafka_trouble t = {
            CLI_FAILED, "the client would join groups by the new protocol, and there is none",
            "group.protocol=consumer: the broker has classic groups only (KIP-848)",
            "group.protocol=classic, or leave it out"};
        add_failure(c, "groups", NULL, t.why, &t);
    }
}

/* ---- the way --------------------------------------------------------------------------------- */

/* HOST:PORT, as Java clients want it. */
static bool address_ok(struct check *c, const char *address)
{
    const char *colon = strrchr(address, ':');
    const char *bracket = strrchr(address, ']');
    i64 port;
    if (colon != NULL && (bracket == NULL || colon > bracket) && colon != address &&
        parse_number(colon + 1, 1, 65535, &port)) {
        return true;
    }
    const struct kafka_trouble t = {CLI_FAILED,
                                    cli_text(&c->args, "\"%s\" is not HOST:PORT", address),
                                    "Java clients refuse it, others may take 9092 for the port",
                                    cli_text(&c->args, "write it as HOST:9092 in %s", c->file)};
    add_failure(c, "bootstrap", address, "it is not HOST:PORT", &t);
    return false;
}

/* Goes to one address and asks what it speaks; NULL: it failed, and that is noted. next: what to do
   when nobody is there. */
static struct kafka *visit(struct check *c, const char *name, const char *address, const char *next)
{
    struct kafka_trouble t;
    i64 begin_ms = wall_ms();
    c->args.brokers = address;
    struct kafka *k = kafka_try(&c->args, &t);
    if (k != NULL) {
        add_ok(c, name, address,
               cli_text(&c->args, "it speaks Kafka; %lld ms", (long long)(wall_ms() - begin_ms)));
        return k;
    }
    const char *reason = t.code == CLI_TIMEOUT ? "no answer in time" : t.why;
    if (strncmp(t.what, "no broker answers", 17) == 0) {
        size_t len = strlen(address);
        bool repeats = strncmp(reason, address, len) == 0 && strncmp(reason + len, ": ", 2) == 0;
        reason = repeats ? reason + len + 2 : reason;
        t.next = next;
    }
    add_failure(c, name, address, reason, &t);
    return NULL;
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
                                   (const char *)b->host.ptr, b->port),
                          "the broker tells clients to come there: its advertised.listeners must "
                          "name what is reached from here, or be left out"));
    }
    if (code == CLI_OK && all.brokers.count > 0) {
        add_ok(c, "metadata", NULL,
               cli_text(&c->args, "%u broker%s, %u topic%s", all.brokers.count,
                        all.brokers.count == 1 ? "" : "s", all.topics.count,
                        all.topics.count == 1 ? "" : "s"));
    } else if (code == CLI_OK) {
        const struct kafka_trouble t = {CLI_FAILED, "the answer names no broker", NULL,
                                        "is the broker still starting? its own log says more"};
        add_failure(c, "metadata", NULL, t.what, &t);
    }
    return code;
}

static int visit_all(struct check *c, const char *addresses)
{
    struct kafka *first = NULL;
    int code = CLI_OK;
    const char *next =
        cli_text(&c->args, "start the broker, or correct bootstrap.servers in %s", c->file);
    while (*addresses != 0) {
        size_t len = strcspn(addresses, ",");
        struct slice one = slice_trim(slice_of(addresses, len));
        const char *address = cli_text(&c->args, "%.*s", (int)one.len, (const char *)one.ptr);
        struct kafka *k =
            address[0] != 0 && address_ok(c, address) ? visit(c, "bootstrap", address, next) : NULL;
        if (first == NULL) {
            first = k;
        } else {
            kafka_close(k);
        }
        addresses += len + (addresses[len] == ',');
    }
    if (first != NULL) {
        code = visit_brokers(c, first);
        check_features(c, first);
        kafka_close(first);
    }
    return code;
}

int connection_check(const struct cli_args *a, const char *file)
{
    struct check *c = arena_alloc(a->arena, sizeof *c);
    assert(c != NULL); /* the arena has no cap */
    c->args = *a;
    c->file = file;
    c->list = node_list(a->arena);
    const char *text = cli_value(a, "timeout");
    enum out_format format;
    c->args.timeout_ms = 10000;
    if (text != NULL && !(parse_duration(text, &c->args.timeout_ms) && c->args.timeout_ms > 0 &&
                          c->args.timeout_ms <= INT32_MAX)) {
        return problem_of_value(a, "timeout", text, "a duration as 500ms, 10s or 2m");
    }
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    FILE *properties = fopen(file, "re");
    if (properties == NULL) {
        return problem(CLI_FAILED, cli_text(a, "%s cannot be read", file), strerror(errno),
                       "check the path after --from, and that this user may read it");
    }
    read_properties(c, properties);
    fclose(properties);
    const char *addresses = property(c, "bootstrap.servers");
    addresses = addresses != NULL ? addresses : property(c, "metadata.broker.list");
    if (addresses == NULL || addresses[0] == 0) {
        return problem(CLI_FAILED, cli_text(a, "%s does not say where the brokers are", file), NULL,
                       "it needs a line bootstrap.servers=HOST:PORT");
    }
    check_security(c);
    int code = visit_all(c, addresses);
    code = code != CLI_OK ? code : out_print(a, c->list, &view);
    return code != CLI_OK ? code : c->failed > 0 ? CLI_UNHEALTHY : CLI_OK;
}
