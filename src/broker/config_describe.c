/* Configs as DescribeConfigs and CreateTopics show them: every key with its value, where the value
   comes from, and its synonyms, best first, under the broker's names [kafka-semantics.md 9;
   ConfigHelper, KIP-226]. */
#include "broker/config_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYNONYMS_MAX = 16 };

struct describing {
    const struct config *c;
    struct arena *arena;
    struct config_entry *entries;
    u32 count;
    bool failed;
};

static bool is_sensitive(const struct config_row *row)
{
    return row->type == CONFIG_TYPE_PASSWORD;
}

static struct slice scaled(struct describing *d, struct slice text, i64 factor)
{
    if (factor == 1 || text.ptr == NULL) {
        return text;
    }
    const char *s = arena_printf(d->arena, "%lld",
                                 (long long)(strtoll((const char *)text.ptr, NULL, 10) * factor));
    d->failed = d->failed || s == NULL;
    return s == NULL ? (struct slice){0} : slice_cstr(s);
}

/* As Java prints a double: the shortest digits that read back as the same number, plain from a
   thousandth to ten million, else with E. */
static struct slice java_double(struct describing *d, f64 value)
{
    char digits[40];
    int precision = 0;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, value);
    } while (strtod(digits, NULL) != value && precision++ < 17);
    f64 size = value < 0 ? -value : value;
    const char *s = NULL;
    if (value == 0 || (size >= 1e-3 && size < 1e7)) {
        int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
        s = arena_printf(d->arena, "%.*f", MAX(precision - exponent, 1), value);
    } else {
        char *e = strchr(digits, 'e');
        *e = 0;
        s = arena_printf(d->arena, "%s%sE%ld", digits, strchr(digits, '.') == NULL ? ".0" : "",
                         strtol(e + 1, NULL, 10));
    }
    d->failed = d->failed || s == NULL;
    return s == NULL ? (struct slice){0} : slice_cstr(s);
}

static struct slice list_shown(struct describing *d, struct slice text)
{
    u8 *out = arena_alloc(d->arena, text.len + 1);
    size_t len = 0;
    if (out == NULL) {
        d->failed = true;
        return (struct slice){0};
    }
    for (size_t from = 0; from <= text.len;) {
        const u8 *comma = memchr(text.ptr + from, ',', text.len - from);
        size_t to = comma == NULL ? text.len : (size_t)(comma - text.ptr);
        struct slice word = slice_trim(slice_of(text.ptr + from, to - from));
        if (from > 0) {
            out[len++] = ',';
        }
        memcpy(out + len, word.ptr, word.len);
        len += word.len;
        from = to + 1;
    }
    return slice_of(out, len);
}

/* A value as it is understood, not as it was typed: Kafka prints what it has parsed. */
static struct slice shown(struct describing *d, const struct config_row *row, struct slice text)
{
    if (text.ptr == NULL) {
        return text;
    }
    text = slice_trim(text);
    char buf[64];
    snprintf(buf, sizeof buf, "%.*s", (int)MIN(text.len, sizeof buf - 1), (const char *)text.ptr);
    const char *s = NULL;
    switch (row->type) {
    case CONFIG_TYPE_BOOLEAN:
        return slice_cstr(buf[0] == 't' || buf[0] == 'T' ? "true" : "false");
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_SHORT:
    case CONFIG_TYPE_LONG:
        s = arena_printf(d->arena, "%lld", strtoll(buf, NULL, 10));
        d->failed = d->failed || s == NULL;
        return s == NULL ? (struct slice){0} : slice_cstr(s);
    case CONFIG_TYPE_DOUBLE:
        return java_double(d, strtod(buf, NULL));
    case CONFIG_TYPE_LIST:
        return text.len == 0 ? text : list_shown(d, text);
    case CONFIG_TYPE_STRING:
    case CONFIG_TYPE_CLASS:
    case CONFIG_TYPE_PASSWORD:
        break;
    }
    return text;
}

static struct config_synonym *synonym_add(struct config_synonym *list, u32 *count,
                                          struct slice name, struct slice value,
                                          enum config_source source)
{
    assert(*count < SYNONYMS_MAX);
    list[*count] = (struct config_synonym){.name = name, .value = value, .source = source};
    return &list[(*count)++];
}

/* Every layer that sets a broker key. */
static void layers_add(struct describing *d, struct config_synonym *list, u32 *count,
                       enum config_key key, i64 factor)
{
    static const enum config_source sources[CONFIG_LAYERS] = {
        [CONFIG_LAYER_FLAG] = CONFIG_SOURCE_STATIC,
        [CONFIG_LAYER_ENVIRONMENT] = CONFIG_SOURCE_STATIC,
        [CONFIG_LAYER_BROKER] = CONFIG_SOURCE_DYNAMIC_BROKER,
        [CONFIG_LAYER_CLUSTER] = CONFIG_SOURCE_DYNAMIC_DEFAULT,
        [CONFIG_LAYER_FILE] = CONFIG_SOURCE_STATIC,
    };
    for (u32 layer = 0; layer < CONFIG_LAYERS; layer++) {
        struct slice text = config_layer_str(d->c, key, (enum config_layer)layer);
        if (text.ptr != NULL) {
            synonym_add(list, count, slice_cstr(config_rows[key].key), scaled(d, text, factor),
                        sources[layer]);
        }
    }
}

/* The values a key could take, best first; the first is the one in force. */
static void describe_row(struct describing *d, enum config_key key, const struct meta_config *own,
                         u32 own_count)
{
    const struct config_row *row = &config_rows[key];
    struct config_entry *entry = &d->entries[d->count++];
    struct config_synonym *list = arena_array(d->arena, SYNONYMS_MAX, sizeof *list);
    if (list == NULL) {
        d->failed = true;
        return;
    }
    u32 n = 0;
    for (u32 i = 0; i < own_count; i++) {
        if (slice_eq_cstr(own[i].key, row->key)) {
            synonym_add(list, &n, own[i].key, shown(d, row, own[i].value),
                        row->scope == CONFIG_SCOPE_GROUP ? CONFIG_SOURCE_GROUP
                                                         : CONFIG_SOURCE_TOPIC);
        }
    }
    if (row->scope == CONFIG_SCOPE_BROKER) {
        layers_add(d, list, &n, key, 1);
    }
    const char *at = row->synonyms;
    struct slice name;
    i64 factor;
    const char *fallback_name = row->key;
    while (config_synonym_next(&at, &name, &factor)) {
        enum config_key broker_key = (enum config_key)config_row_find(CONFIG_SCOPE_BROKER, name);
        layers_add(d, list, &n, broker_key, factor);
        if (config_rows[broker_key].initial != NULL) {
            fallback_name = config_rows[broker_key].key;
        }
    }
    struct slice initial =
        row->initial == NULL ? (struct slice){0} : shown(d, row, slice_cstr(row->initial));
    synonym_add(list, &n, slice_cstr(fallback_name), initial, CONFIG_SOURCE_DEFAULT);

    bool hidden = is_sensitive(row);
    for (u32 i = 0; i < n && hidden; i++) {
        list[i].value = (struct slice){0};
    }
    entry->name = slice_cstr(row->key);
    entry->value = shown(d, row, list[0].value);
    entry->source = list[0].source;
    entry->type = (i8)row->type;
    entry->read_only = row->update == CONFIG_UPDATE_READ_ONLY;
    entry->sensitive = hidden;
    entry->doc = slice_cstr(row->doc);
    entry->synonyms = list;
    entry->synonym_count = n;
    /* A default without a value is no synonym: Kafka leaves it out. */
    if (list[n - 1].value.ptr == NULL && !hidden) {
        entry->synonym_count--;
    }
}

static int entry_order(const void *a, const void *b)
{
    return slice_cmp(((const struct config_entry *)a)->name,
                     ((const struct config_entry *)b)->name);
}

static MUST_USE err_t describe_scope(const struct config *c, enum config_scope scope,
                                     const struct meta_config *own, u32 own_count,
                                     struct arena *arena, struct config_entry **entries, u32 *count)
{
    struct describing d = {.c = c, .arena = arena};
    d.entries = arena_array(arena, CONFIG_KEY_COUNT, sizeof *d.entries);
    if (d.entries == NULL) {
        return ERR_NO_MEMORY;
    }
    for (u32 i = 0; i < CONFIG_KEY_COUNT && !d.failed; i++) {
        if (config_rows[i].scope == scope) {
            describe_row(&d, (enum config_key)i, own, own_count);
        }
    }
    if (d.failed) {
        return ERR_NO_MEMORY;
    }
    qsort(d.entries, d.count, sizeof *d.entries, entry_order);
    *entries = d.entries;
    *count = d.count;
    return OK;
}

err_t config_describe_topic(const struct config *c, const struct meta *meta,
                            const struct meta_config *own, u32 own_count, struct arena *arena,
                            struct config_entry **entries, u32 *count)
{
    (void)meta;
    return describe_scope(c, CONFIG_SCOPE_TOPIC, own, own_count, arena, entries, count);
}

err_t config_describe_group(const struct config *c, const struct meta_config *own, u32 own_count,
                            struct arena *arena, struct config_entry **entries, u32 *count)
{
    return describe_scope(c, CONFIG_SCOPE_GROUP, own, own_count, arena, entries, count);
}

/* Only what is set dynamically for the whole cluster, and there. */
err_t config_describe_cluster(const struct config *c, struct arena *arena,
                              struct config_entry **entries, u32 *count)
{
    struct config_entry *all;
    u32 total;
    TRY(describe_scope(c, CONFIG_SCOPE_BROKER, NULL, 0, arena, &all, &total));
    *count = 0;
    for (u32 i = 0; i < total; i++) {
        i32 row = config_row_find(CONFIG_SCOPE_BROKER, all[i].name);
        struct slice value = config_layer_str(c, (enum config_key)row, CONFIG_LAYER_CLUSTER);
        if (value.ptr != NULL) {
            all[*count] = all[i];
            all[*count].value = all[i].sensitive ? (struct slice){0} : value;
            u32 at = 0;
            while (all[i].synonyms[at].source != CONFIG_SOURCE_DYNAMIC_DEFAULT) {
                at++;
            }
            all[*count].synonyms = &all[i].synonyms[at];
            all[*count].synonym_count = 1;
            all[(*count)++].source = CONFIG_SOURCE_DYNAMIC_DEFAULT;
        }
    }
    *entries = all;
    return OK;
}

err_t config_describe_broker(const struct config *c, const struct meta *meta, struct arena *arena,
                             struct config_entry **entries, u32 *count)
{
    (void)meta;
    return describe_scope(c, CONFIG_SCOPE_BROKER, NULL, 0, arena, entries, count);
}
