/* DescribeConfigs (API key 32) of topics, groups and this broker: every key, or those asked for
   [kafka-semantics.md 9]. */
#include "broker/config_rows.h"
#include "broker/conn.h"
#include "broker/loggers.h"
#include "broker/topics.h"

#include <stdlib.h>
#include <string.h>

struct describe_configs {
    struct request *r;
    const struct describe_configs_request *q;
    bool failed; /* the arena is full */
};

static void refuse(struct describe_configs_response_result *row, i16 kerr, const char *message)
{
    row->error_code = kerr;
    row->error_message = message == NULL ? (struct slice){0} : slice_cstr(message);
}

static int entry_order(const void *name, const void *entry)
{
    return slice_cmp(*(const struct slice *)name, ((const struct config_entry *)entry)->name);
}

/* Which entries are wanted: all, or those whose keys are given. entries are in order of name, since
   a request may give a million keys. NULL: the arena is full. */
static bool *find_asked(struct describe_configs *d,
                        const struct describe_configs_request_resource *q,
                        const struct config_entry *entries, u32 count)
{
    bool *asked = arena_alloc(&d->r->arena, count);
    if (asked == NULL) {
        return NULL;
    }
    const struct string_array *keys = &q->configuration_keys;
    memset(asked, keys->is_null || keys->count == 0, count);
    for (u32 i = 0; i < keys->count; i++) {
        const struct config_entry *entry =
            bsearch(&keys->items[i], entries, count, sizeof *entries, entry_order);
        if (entry != NULL) {
            asked[entry - entries] = true;
        }
    }
    return asked;
}

static bool fill_synonyms(struct describe_configs *d, const struct config_entry *entry,
                          struct describe_configs_response_resource_result *row)
{
    struct describe_configs_response_synonym *list =
        wire_new(&describe_configs_response_synonym_struct, &d->r->arena, entry->synonym_count);
    if (list == NULL && entry->synonym_count > 0) {
        return false;
    }
    for (u32 i = 0; i < entry->synonym_count; i++) {
        list[i].name = entry->synonyms[i].name;
        list[i].value = entry->synonyms[i].value;
        list[i].source = (i8)entry->synonyms[i].source;
    }
    row->synonyms.items = list;
    row->synonyms.count = entry->synonym_count;
    return true;
}

static void fill_entries(struct describe_configs *d,
                         const struct describe_configs_request_resource *q,
                         const struct config_entry *entries, u32 count,
                         struct describe_configs_response_result *out)
{
    out->configs.items =
        wire_new(&describe_configs_response_resource_result_struct, &d->r->arena, count);
    bool *asked = find_asked(d, q, entries, count);
    if (out->configs.items == NULL || asked == NULL) {
        d->failed = true;
        return;
    }
    for (u32 i = 0; i < count && !d->failed; i++) {
        const struct config_entry *entry = &entries[i];
        if (!asked[i]) {
            continue;
        }
        struct describe_configs_response_resource_result *row =
            &out->configs.items[out->configs.count++];
        row->name = entry->name;
        row->value = entry->value;
        row->read_only = entry->read_only;
        row->config_source = (i8)entry->source;
        row->is_sensitive = entry->sensitive;
        row->config_type = entry->type;
        if (d->q->include_documentation) {
            row->documentation = entry->doc;
        }
        if (d->q->include_synonyms && !fill_synonyms(d, entry, row)) {
            d->failed = true;
        }
    }
}

static void describe_topic(struct describe_configs *d,
                           const struct describe_configs_request_resource *q,
                           struct describe_configs_response_result *out)
{
    struct request *r = d->r;
    if (topic_name_problem(q->resource_name) != NULL) {
        refuse(out, KERR_INVALID_TOPIC_EXCEPTION, topic_name_problem(q->resource_name));
        return;
    }
    i16 kerr;
    const struct meta_topic *t =
        request_topic(r, q->resource_name, (struct uuid){{0}}, false, &kerr);
    if (t == NULL) {
        refuse(out, kerr, topic_unknown(r, q->resource_name, NULL, d->q->resources.count));
        return;
    }
    struct config_entry *entries;
    u32 count;
    if (config_describe_topic(r->broker->config, cluster_meta(r->broker->cluster), t->configs,
                              t->config_count, &r->arena, &entries, &count) != OK) {
        d->failed = true;
        return;
    }
    fill_entries(d, q, entries, count, out);
}

static void describe_broker(struct describe_configs *d,
                            const struct describe_configs_request_resource *q,
                            struct describe_configs_response_result *out)
{
    struct request *r = d->r;
    struct config_entry *entries;
    u32 count;
    if (q->resource_name.len == 0) {
        if (config_describe_cluster(r->broker->config, &r->arena, &entries, &count) != OK) {
            d->failed = true;
        } else if (count > 0) {
            fill_entries(d, q, entries, count, out);
        }
        return;
    }
    const char *self = arena_printf(&r->arena, "%d", BROKER_NODE_ID);
    if (self == NULL || !slice_eq_cstr(q->resource_name, self)) {
        refuse(out, KERR_INVALID_REQUEST,
               arena_printf(&r->arena,
                            "Unexpected broker id, expected %d or empty string, but received %.*s",
                            BROKER_NODE_ID, (int)MIN(q->resource_name.len, (size_t)64),
                            (const char *)q->resource_name.ptr));
        return;
    }
    if (config_describe_broker(r->broker->config, cluster_meta(r->broker->cluster), &r->arena,
                               &entries, &count) != OK) {
        d->failed = true;
        return;
    }
    fill_entries(d, q, entries, count, out);
}

/* There is one broker, so a logger's resource is named like it. */
static void describe_loggers(struct describe_configs *d,
                             const struct describe_configs_request_resource *q,
                             struct describe_configs_response_result *out)
{
    if (!slice_eq_cstr(q->resource_name, CONFIG_BROKER_NAME)) {
        refuse(out, KERR_INVALID_REQUEST, "The name must be the id of this broker, which is 1.");
        return;
    }
    struct config_entry *entries;
    u32 count;
    if (loggers_describe(&d->r->arena, &entries, &count) != OK) {
        d->failed = true;
        return;
    }
    fill_entries(d, q, entries, count, out);
}

/* A group need not be there: it may get its configs before its first member. */
static void describe_group(struct describe_configs *d,
                           const struct describe_configs_request_resource *q,
                           struct describe_configs_response_result *out)
{
    struct request *r = d->r;
    if (q->resource_name.len == 0) {
        refuse(out, KERR_INVALID_REQUEST, "The name must not be empty.");
        return;
    }
    const struct meta_config *own = NULL;
    u32 own_count = meta_configs(cluster_meta(r->broker->cluster), CONFIG_RESOURCE_GROUP,
                                 q->resource_name, &own);
    struct config_entry *entries;
    u32 count;
    if (config_describe_group(r->broker->config, own, own_count, &r->arena, &entries, &count) !=
        OK) {
        d->failed = true;
        return;
    }
    fill_entries(d, q, entries, count, out);
}

/* Topic 2, broker 4, logger 8, client metrics 16, group 32: another fails the whole request, as in
   Kafka. */
static bool names_unknown_type(const struct describe_configs_request *q)
{
    for (u32 i = 0; i < q->resources.count; i++) {
        i8 type = q->resources.items[i].resource_type;
        if (type != 2 && type != 4 && type != 8 && type != 16 && type != 32) {
            return true;
        }
    }
    return false;
}

void handle_describe_configs(struct request *r)
{
    struct describe_configs d = {.r = r, .q = r->body};
    struct describe_configs_response response;
    wire_init(&describe_configs_response_struct, &response);
    u32 count = d.q->resources.count;
    response.results.items = wire_new(&describe_configs_response_result_struct, &r->arena, count);
    response.results.count = count;
    if (response.results.items == NULL && count > 0) {
        request_fail(r);
        return;
    }
    bool refused = names_unknown_type(d.q);
    for (u32 i = 0; i < count && !d.failed; i++) {
        const struct describe_configs_request_resource *q = &d.q->resources.items[i];
        struct describe_configs_response_result *out = &response.results.items[i];
        out->resource_type = q->resource_type;
        out->resource_name = q->resource_name;
        if (refused) {
            refuse(out, KERR_INVALID_REQUEST, "The request names a resource type that is unknown.");
            continue;
        }
        switch (q->resource_type) {
        case CONFIG_RESOURCE_TOPIC:
            describe_topic(&d, q, out);
            break;
        case CONFIG_RESOURCE_BROKER:
            describe_broker(&d, q, out);
            break;
        case CONFIG_RESOURCE_LOGGER:
            describe_loggers(&d, q, out);
            break;
        case CONFIG_RESOURCE_GROUP:
            describe_group(&d, q, out);
            break;
        case CONFIG_RESOURCE_CLIENT_METRICS: /* any name may be asked for, none has any */
            if (q->resource_name.len == 0) {
                refuse(out, KERR_INVALID_REQUEST, "The name must not be empty.");
            }
            break;
        }
    }
    if (d.failed) {
        request_fail(r);
        return;
    }
    request_reply_explained(r, &response);
}
