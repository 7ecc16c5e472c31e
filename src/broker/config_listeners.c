/* See config_listeners.h. Names are compared in upper case, as Kafka does, whatever the locale. */
#include "broker/config_listeners.h"

#include "broker/config_rows.h"

#include <stdio.h>
#include <string.h>

#define PRINTED(s) (int)MIN((s).len, (size_t)128), (const char *)(s).ptr

/* One entry of listeners or advertised.listeners. */
struct entry {
    struct slice text;
    char name[64];
    char host[CONFIG_HOST_BYTES];
    i64 port;
};

struct reading {
    const struct config *c;
    struct config_listeners *out;
    struct config_problems *problems;
    u32 for_controllers;
};

/* ---- parsing --------------------------------------------------------------------------------- */

static bool host_char(u8 c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == ':' || c == '%';
}

bool config_parse_address(struct slice text, char *host, size_t host_bytes, i64 *port)
{
    const u8 *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);
    if (colon == NULL) {
        return false;
    }
    size_t len = (size_t)(colon - text.ptr);
    size_t digits = text.len - len - 1;
    if (digits == 0 || digits > 9) {
        return false;
    }
    *port = 0;
    for (size_t i = 0; i < digits; i++) {
        u8 c = colon[1 + i];
        if (c < '0' || c > '9') {
            return false;
        }
        *port = *port * 10 + (c - '0');
    }
    bool bracketed = len >= 2 && text.ptr[0] == '[' && colon[-1] == ']';
    struct slice inner = slice_of(text.ptr + bracketed, len - 2 * (size_t)bracketed);
    if (inner.len >= host_bytes) {
        return false;
    }
    for (size_t i = 0; i < inner.len; i++) {
        if (!host_char(inner.ptr[i]) || (inner.ptr[i] == ':' && !bracketed)) {
            return false;
        }
    }
    memcpy(host, inner.ptr, inner.len);
    host[inner.len] = 0;
    return true;
}

static void upper(struct slice from, char *to, size_t cap)
{
    size_t len = MIN(from.len, cap - 1);
    for (size_t i = 0; i < len; i++) {
        u8 c = from.ptr[i];
        to[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    to[len] = 0;
}

/* NULL, or what is wrong with it. */
static const char *entry_parse(struct slice text, struct entry *out)
{
    out->text = text;
    const u8 *sign = text.len == 0 ? NULL : memmem(text.ptr, text.len, "://", 3);
    size_t name_len = sign == NULL ? 0 : (size_t)(sign - text.ptr);
    if (name_len == 0) {
        return "it has no name";
    }
    if (name_len >= sizeof out->name) {
        return "its name is too long";
    }
    upper(slice_of(text.ptr, name_len), out->name, sizeof out->name);
    struct slice address = slice_of(sign + 3, text.len - name_len - 3);
    if (!config_parse_address(address, out->host, sizeof out->host, &out->port)) {
        return "behind :// stands no HOST:PORT";
    }
    return out->port > UINT16_MAX ? "a port is a number up to 65535" : NULL;
}

static const char *origin_of(const struct reading *r, enum config_key key)
{
    return config_origin(r->c, key);
}

/* ---- protocols ------------------------------------------------------------------------------- */

/* The protocol of a listener by listener.security.protocol.map; false: it has none there. */
static bool protocol_of(const struct reading *r, const char *name, char *protocol, size_t bytes)
{
    struct slice map = config_str(r->c, CONFIG_listener_security_protocol_map);
    struct slice word;
    while (config_next_word(&map, &word)) {
        const u8 *colon = word.len == 0 ? NULL : memrchr(word.ptr, ':', word.len);
        size_t len = colon == NULL ? 0 : (size_t)(colon - word.ptr);
        char key[64];
        upper(slice_trim(slice_of(word.ptr, len)), key, sizeof key);
        if (colon != NULL && strcmp(key, name) == 0) {
            upper(slice_trim(slice_of(colon + 1, word.len - len - 1)), protocol, bytes);
            return true;
        }
    }
    return false;
}

static bool is_protected(const char *protocol)
{
    return strcmp(protocol, "SSL") == 0 || strcmp(protocol, "SASL_PLAINTEXT") == 0 ||
           strcmp(protocol, "SASL_SSL") == 0;
}

static void check_protocol(struct reading *r, const struct entry *e)
{
    char protocol[64];
    const char *map_origin = origin_of(r, CONFIG_listener_security_protocol_map);
    if (!protocol_of(r, e->name, protocol, sizeof protocol)) {
        config_problem_add(r->problems, MSG_config_listener, "listener %s has no security protocol",
                           e->name);
        config_problem_why(
            r->problems, "it is in listeners (%s), and not in listener.security.protocol.map (%s)",
            origin_of(r, CONFIG_listeners), map_origin);
        config_problem_next(r->problems, "add %s:PLAINTEXT to listener.security.protocol.map",
                            e->name);
    } else if (is_protected(protocol)) {
        config_problem_add(r->problems, MSG_config_unprotected, "listener %s asks for %s", e->name,
                           protocol);
        config_problem_why(r->problems,
                           "\"%.*s\" stands in listeners (%s); this version has no TLS "
                           "and no SASL",
                           PRINTED(e->text), origin_of(r, CONFIG_listeners));
        config_problem_next(r->problems, "use PLAINTEXT within a protected network, or leave that "
                                         "listener out");
    } else if (strcmp(protocol, "PLAINTEXT") != 0) {
        config_problem_add(r->problems, MSG_config_listener,
                           "listener %s has the protocol \"%s\", which is none", e->name, protocol);
        config_problem_why(r->problems,
                           "listener.security.protocol.map (%s) says so; there are PLAINTEXT, SSL, "
                           "SASL_PLAINTEXT and SASL_SSL",
                           map_origin);
        config_problem_next(r->problems, "write %s:PLAINTEXT", e->name);
    }
}

/* ---- listeners ------------------------------------------------------------------------------- */

static bool list_has(struct slice list, const char *name)
{
    struct slice word;
    while (config_next_word(&list, &word)) {
        char other[64];
        upper(word, other, sizeof other);
        if (strcmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_v6(const char *host)
{
    return strchr(host, ':') != NULL;
}

static bool is_wildcard(const char *host)
{
    return host[0] == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Would the second bind fail? Different addresses of one machine may have the same port. */
static bool addresses_clash(const struct config_listener *a, const struct entry *b)
{
    if (a->port == 0 || a->port != b->port) {
        return false;
    }
    if (is_wildcard(a->host) || is_wildcard(b->host)) {
        /* "" and :: are both families; 0.0.0.0 leaves the other one free. */
        const char *wild = is_wildcard(a->host) ? a->host : b->host;
        const char *other = is_wildcard(a->host) ? b->host : a->host;
        return strcmp(wild, "0.0.0.0") != 0 || !is_v6(other) || strcmp(other, "::") == 0;
    }
    return strcmp(a->host, b->host) == 0;
}

static void listener_add(struct reading *r, const struct entry *e)
{
    const char *origin = origin_of(r, CONFIG_listeners);
    struct config_listeners *out = r->out;
    for (u32 i = 0; i < out->count; i++) {
        if (strcmp(out->items[i].name, e->name) == 0) {
            config_problem_add(r->problems, MSG_config_listener, "two listeners are named %s",
                               e->name);
            config_problem_why(r->problems, "the second is \"%.*s\" in listeners (%s)",
                               PRINTED(e->text), origin);
            config_problem_next(r->problems, "name it differently, and give the name a protocol in "
                                             "listener.security.protocol.map");
            return;
        }
        if (addresses_clash(&out->items[i], e)) {
            config_problem_add(r->problems, MSG_config_listener,
                               "listeners %s and %s want the same port %lld", out->items[i].name,
                               e->name, (long long)e->port);
            config_problem_why(r->problems, "\"%s\" and \"%s\" in listeners (%s) overlap",
                               out->items[i].host, e->host, origin);
            config_problem_next(r->problems, "give %s another port", e->name);
            return;
        }
    }
    if (out->count == CONFIG_LISTENERS_MAX) {
        config_problem_add(r->problems, MSG_config_listener, "there are more than %d listeners",
                           CONFIG_LISTENERS_MAX);
        config_problem_why(r->problems, "listeners (%s)", origin);
        config_problem_next(r->problems, "leave out those that nobody uses");
        return;
    }
    check_protocol(r, e);
    struct config_listener *l = &out->items[out->count++];
    *l = (struct config_listener){.port = (u16)e->port};
    snprintf(l->name, sizeof l->name, "%s", e->name);
    snprintf(l->host, sizeof l->host, "%s", e->host);
}

static void read_listeners(struct reading *r)
{
    struct slice list = config_str(r->c, CONFIG_listeners);
    struct slice controllers = config_str(r->c, CONFIG_controller_listener_names);
    struct slice word;
    u32 before = r->problems->errors;
    while (config_next_word(&list, &word)) {
        struct entry e = {0};
        const char *wrong = entry_parse(word, &e);
        if (wrong != NULL) {
            config_problem_add(r->problems, MSG_config_listener, "\"%.*s\" is not a listener: %s",
                               PRINTED(word), wrong);
            config_problem_why(r->problems, "it stands in listeners (%s)",
                               origin_of(r, CONFIG_listeners));
            config_problem_next(r->problems,
                                "write NAME://HOST:PORT, as PLAINTEXT://127.0.0.1:9092; "
                                "an IPv6 host stands in brackets, port 0 picks a free "
                                "one");
            continue;
        }
        if (list_has(controllers, e.name)) {
            r->for_controllers++;
            continue;
        }
        listener_add(r, &e);
    }
    if (r->out->count == 0 && r->problems->errors == before) {
        config_problem_add(r->problems, MSG_config_listener, "there is no listener for clients");
        config_problem_why(r->problems, "listeners (%s) has %s", origin_of(r, CONFIG_listeners),
                           r->for_controllers > 0 ? "those of controllers alone" : "no entry");
        config_problem_next(r->problems, "write listeners=PLAINTEXT://127.0.0.1:9092");
    }
}

/* ---- advertised ------------------------------------------------------------------------------ */

static struct config_listener *listener_named(struct config_listeners *list, const char *name)
{
    for (u32 i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

/* NULL, or what is wrong with it as something to tell clients. */
static const char *advertised_wrong(const struct entry *e, const struct config_listener *l)
{
    if (e->host[0] == 0) {
        return "it has no host";
    }
    if (is_wildcard(e->host)) {
        return "clients cannot connect to the address that stands for every interface";
    }
    if (e->port == 0) {
        return "clients cannot connect to port 0";
    }
    return l->advertised_port != 0 ? "that listener has one already" : NULL;
}

static void advertised_add(struct reading *r, const struct entry *e)
{
    const char *origin = origin_of(r, CONFIG_advertised_listeners);
    struct config_listener *l = listener_named(r->out, e->name);
    if (l == NULL) {
        config_problem_add(r->problems, MSG_config_advertised,
                           "\"%.*s\" is advertised, and there is no listener %s", PRINTED(e->text),
                           e->name);
        config_problem_why(r->problems,
                           "advertised.listeners (%s) names it, listeners (%s) does not", origin,
                           origin_of(r, CONFIG_listeners));
        config_problem_next(r->problems, "add it to listeners, or take it out of "
                                         "advertised.listeners");
        return;
    }
    const char *wrong = advertised_wrong(e, l);
    if (wrong != NULL) {
        config_problem_add(r->problems, MSG_config_advertised, "\"%.*s\" cannot be advertised: %s",
                           PRINTED(e->text), wrong);
        config_problem_why(r->problems, "it stands in advertised.listeners (%s)", origin);
        config_problem_next(r->problems, "write a host and port that clients can reach, or leave "
                                         "advertised.listeners out: then each is told the address "
                                         "it came by");
        return;
    }
    l->advertised_port = (u16)e->port;
    snprintf(l->advertised_host, sizeof l->advertised_host, "%s", e->host);
}

static void read_advertised(struct reading *r)
{
    struct slice list = config_str(r->c, CONFIG_advertised_listeners);
    struct slice controllers = config_str(r->c, CONFIG_controller_listener_names);
    struct slice word;
    while (config_next_word(&list, &word)) {
        struct entry e = {0};
        const char *wrong = entry_parse(word, &e);
        if (wrong != NULL) {
            config_problem_add(r->problems, MSG_config_advertised,
                               "\"%.*s\" cannot be advertised: %s", PRINTED(word), wrong);
            config_problem_why(r->problems, "it stands in advertised.listeners (%s)",
                               origin_of(r, CONFIG_advertised_listeners));
            config_problem_next(r->problems,
                                "write NAME://HOST:PORT, as PLAINTEXT://broker.example:9092; an "
                                "IPv6 host stands in brackets");
        } else if (!list_has(controllers, e.name)) {
            advertised_add(r, &e);
        }
    }
}

void config_listeners_read(const struct config *c, struct config_listeners *out,
                           struct config_problems *problems)
{
    *out = (struct config_listeners){0};
    struct reading r = {.c = c, .out = out, .problems = problems};
    read_listeners(&r);
    read_advertised(&r);
}
