/* Facts as Prometheus' text format, version 0.0.4. Runs on the HTTP thread; reads facts and tables.

     # HELP name documentation
     # TYPE name gauge
     name{label="value"} number

   A label may hold any UTF-8; what is none, and what would move a cursor, is written as \xNN. */
#include "broker/facts.h"

#include <stdio.h>
#include <string.h>

/* ---- writing --------------------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t len;
    size_t cap;
};

static char *text_room(struct text *t, size_t bytes)
{
    if (t->len + bytes > t->cap) {
        t->cap = MAX(t->cap * 2, t->len + bytes);
        t->bytes = mem_resize(t->bytes, t->cap);
    }
    return t->bytes + t->len;
}

static void text_add(struct text *t, const char *bytes, size_t len)
{
    memcpy(text_room(t, len), bytes, len);
    t->len += len;
}

static void text_str(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

PRINTF_LIKE(2, 3) static void text_printf(struct text *t, const char *fmt, ...)
{
    enum { PIECE = 160 };
    __builtin_va_list args;
    __builtin_va_start(args, fmt);
    int len = vsnprintf(text_room(t, PIECE), PIECE, fmt, args);
    __builtin_va_end(args);
    assert(len >= 0 && len < PIECE);
    t->len += (size_t)len;
}

/* Counts below 2^53 as they are; everything else as the shortest that a double needs. */
static void text_value(struct text *t, f64 value)
{
    if (value == (f64)(i64)value && value < 9e15 && value > -9e15) {
        text_printf(t, " %lld\n", (long long)value);
    } else {
        text_printf(t, " %.12g\n", value);
    }
}

static void text_label(struct text *t, const char *key, struct slice value)
{
    text_str(t, key);
    text_str(t, "=\"");
    for (size_t at = 0; at < value.len;) {
        u32 point = 0;
        size_t len = utf8_sequence(value.ptr + at, value.len - at, &point);
        if (len == 0 || (point < 0x20 && point != '\n') || (point >= 0x7f && point < 0xa0)) {
            text_printf(t, "\\\\x%02x", value.ptr[at]);
            at += 1;
            continue;
        }
        if (point == '\n') {
            text_str(t, "\\n");
        } else if (point == '"' || point == '\\') {
            text_printf(t, "\\%c", (char)point);
        } else {
            text_add(t, (const char *)value.ptr + at, len);
        }
        at += len;
    }
    text_str(t, "\"");
}

static void text_number_label(struct text *t, const char *key, i64 value)
{
    text_printf(t, "%s=\"%lld\"", key, (long long)value);
}

static void text_head(struct text *t, const char *name, const char *kind, const char *doc)
{
    text_str(t, "# HELP ");
    text_str(t, name);
    text_str(t, " ");
    for (; *doc != 0; doc++) { /* documentation is ours: only its backslashes need care */
        text_add(t, *doc == '\\' ? "\\\\" : doc, *doc == '\\' ? 2 : 1);
    }
    text_str(t, "\n# TYPE ");
    text_str(t, name);
    text_str(t, " ");
    text_str(t, kind);
    text_str(t, "\n");
}

/* ---- one row of each scope ------------------------------------------------------------------- */

static f64 oldest_age(const struct facts *f, const struct facts_offset *o)
{
    if (o->oldest_ms == FACTS_UNKNOWN) {
        return __builtin_nan("");
    }
    return (f64)MAX(f->wall_ms - o->oldest_ms, (i64)0) / 1000;
}

static const char *const shares[] = {"log", "receive", "requests"};

/* Every scope: what a value may use, and the rows. */
#define SCOPE_BROKER(family, value)  \
    do {                             \
        text_str(t, family);         \
        text_value(t, (f64)(value)); \
    } while (0)
#define SCOPE_TOPIC(family, value)                             \
    for (u32 i = 0; i < f->topics.count; i++) {                \
        const struct facts_topic *topic = &f->topics.items[i]; \
        text_str(t, family);                                   \
        text_str(t, "{");                                      \
        text_label(t, "topic", facts_name_of(f, topic->name)); \
        text_str(t, "}");                                      \
        text_value(t, (f64)(value));                           \
    }
#define SCOPE_PARTITION(family, value)                                                    \
    for (u32 i = 0; i < f->partitions.count; i++) {                                       \
        const struct facts_partition *partition = &f->partitions.items[i];                \
        text_str(t, family);                                                              \
        text_str(t, "{");                                                                 \
        text_label(t, "topic", facts_name_of(f, f->topics.items[partition->topic].name)); \
        text_number_label(t, ",partition", partition->index);                             \
        text_str(t, "}");                                                                 \
        text_value(t, (f64)(value));                                                      \
    }
#define SCOPE_TRAFFIC(family, value)                                           \
    do {                                                                       \
        const struct topic_traffic *traffic = &f->traffic;                     \
        text_str(t, family);                                                   \
        text_value(t, (f64)(value));                                           \
        for (u32 i = 0; i < f->topics.count; i++) {                            \
            traffic = &f->topics.items[i].traffic;                             \
            text_str(t, family);                                               \
            text_str(t, "{");                                                  \
            text_label(t, "topic", facts_name_of(f, f->topics.items[i].name)); \
            text_str(t, "}");                                                  \
            text_value(t, (f64)(value));                                       \
        }                                                                      \
    } while (0)
#define SCOPE_GROUP(family, value)                                     \
    for (u32 i = 0; i < f->groups.count; i++) {                        \
        const struct facts_group *group = &f->groups.items[i];         \
        text_str(t, family);                                           \
        text_str(t, "{");                                              \
        text_label(t, "consumergroup", facts_name_of(f, group->name)); \
        text_str(t, "}");                                              \
        text_value(t, (f64)(value));                                   \
    }
#define SCOPE_GROUP_TOPIC(family, value)                                                    \
    for (u32 i = 0; i < f->group_topics.count; i++) {                                       \
        const struct facts_group_topic *sum = &f->group_topics.items[i];                    \
        text_str(t, family);                                                                \
        text_str(t, "{");                                                                   \
        text_label(t, "consumergroup", facts_name_of(f, f->groups.items[sum->group].name)); \
        text_label(t, ",topic", facts_name_of(f, sum->topic));                              \
        text_str(t, "}");                                                                   \
        text_value(t, (f64)(value));                                                        \
    }
#define SCOPE_OFFSET(family, value)                                                            \
    for (u32 i = 0; i < f->offsets.count; i++) {                                               \
        const struct facts_offset *offset = &f->offsets.items[i];                              \
        f64 number = (f64)(value);                                                             \
        if (number != number) {                                                                \
            continue; /* not known */                                                          \
        }                                                                                      \
        text_str(t, family);                                                                   \
        text_str(t, "{");                                                                      \
        text_label(t, "consumergroup", facts_name_of(f, f->groups.items[offset->group].name)); \
        text_label(t, ",topic", facts_name_of(f, offset->topic));                              \
        text_number_label(t, ",partition", offset->partition);                                 \
        text_str(t, "}");                                                                      \
        text_value(t, number);                                                                 \
    }
#define SCOPE_LISTENER(family, value)                                          \
    do {                                                                       \
        text_str(t, family "{listener=\"PLAINTEXT\",networkprocessor=\"0\"}"); \
        text_value(t, (f64)(value));                                           \
    } while (0)
#define SCOPE_SHARE(family, value)                            \
    for (u32 share = 0; share < ARRAY_LEN(shares); share++) { \
        text_str(t, family "{");                              \
        text_label(t, "share", slice_cstr(shares[share]));    \
        text_str(t, "}");                                     \
        text_value(t, (f64)(value));                          \
    }
#define SCOPE_ADDRESS(family, value)                        \
    do {                                                    \
        text_str(t, family "{");                            \
        text_number_label(t, "id", BROKER_NODE_ID);         \
        text_label(t, ",address", slice_cstr(f->listener)); \
        text_str(t, "}");                                   \
        text_value(t, (f64)(value));                        \
    } while (0)
#define SCOPE_VERSION(family, value)                           \
    do {                                                       \
        text_str(t, family "{");                               \
        text_label(t, "version", slice_cstr(ODRADEK_VERSION)); \
        text_str(t, "}");                                      \
        text_value(t, (f64)(value));                           \
    } while (0)
#define SCOPE_REQUEST(family, member)                                           \
    for (u32 i = 0; i < api_row_count; i++) {                                   \
        text_histogram(t, family, api_rows[i].kafka_name, &f->times[i].member); \
    }

static void histogram_name(struct text *t, const char *name, const char *suffix,
                           const char *request, const char *bound)
{
    text_str(t, name);
    text_str(t, suffix);
    const char *open = "{";
    if (request != NULL) {
        text_printf(t, "{request=\"%s\"", request);
        open = ",";
    }
    if (bound != NULL) {
        text_printf(t, "%sle=\"%s\"", open, bound);
        open = ",";
    }
    text_str(t, *open == ',' ? "}" : "");
}

/* request NULL: the one histogram of its family. Of a request that there was none of there is
   none. */
static void text_histogram(struct text *t, const char *name, const char *request,
                           const struct metric_histogram *h)
{
    u64 count = 0;
    for (u32 i = 0; i < METRIC_BUCKETS; i++) {
        count += h->counts[i];
    }
    if (count == 0 && request != NULL) {
        return;
    }
    count = 0;
    for (u32 i = 0; i < METRIC_BUCKETS; i++) {
        char bound[32] = "+Inf";
        if (i < METRIC_BUCKETS - 1) {
            snprintf(bound, sizeof bound, "%g", (f64)metric_bounds_ns[i] / 1e9);
        }
        count += h->counts[i];
        histogram_name(t, name, "_bucket", request, bound);
        text_value(t, (f64)count);
    }
    histogram_name(t, name, "_sum", request, NULL);
    text_value(t, (f64)h->sum_ns / 1e9);
    histogram_name(t, name, "_count", request, NULL);
    text_value(t, (f64)count);
}

/* ---- all of it ------------------------------------------------------------------------------- */

#define KIND_GAUGE     "gauge"
#define KIND_COUNTER   "counter"
#define KIND_HISTOGRAM "histogram"

/* A function for each family: the compiler shall not see them all at once. */
#define FAMILY(scope, kind, name, value, doc)                       \
    static void print_##name(struct text *t, const struct facts *f, \
                             const struct io_process *process)      \
    {                                                               \
        text_head(t, #name, KIND_##kind, doc);                      \
        SCOPE_##scope(#name, value);                                \
    }
#include "broker/metrics_families.def"
#undef FAMILY

static const struct {
    const char *name;
    const char *kind;
    const char *scope;
    const char *doc;
    void (*print)(struct text *t, const struct facts *f, const struct io_process *process);
} families[] = {
#define FAMILY(scope, kind, name, value, doc) {#name, KIND_##kind, #scope, doc, print_##name},
#include "broker/metrics_families.def"
#undef FAMILY
};

static void print_rows(struct text *t, const struct facts *f)
{
    char name[128];
    for (u32 i = 0; i < METRIC_COUNT; i++) {
        snprintf(name, sizeof name, "odradek_%s", metric_rows[i].name);
        text_head(t, name, metric_rows[i].kind == METRIC_COUNTER ? "counter" : "gauge",
                  metric_rows[i].doc);
        text_str(t, name);
        text_value(t, (f64)f->slots[i]);
    }
    for (u32 i = 0; i < HISTOGRAM_COUNT; i++) {
        snprintf(name, sizeof name, "odradek_%s", histogram_rows[i].name);
        text_head(t, name, KIND_HISTOGRAM, histogram_rows[i].doc);
        text_histogram(t, name, NULL, &f->histograms[i]);
    }
}

char *metrics_text(const struct facts *f, const struct io_process *process, size_t *len)
{
    struct text t = {.cap = 64 * KIB};
    t.bytes = mem_alloc(t.cap);
    for (u32 i = 0; i < ARRAY_LEN(families); i++) {
        families[i].print(&t, f, process);
    }
    print_rows(&t, f);
    *len = t.len;
    return t.bytes;
}

bool metrics_family_at(u32 i, const char **name, const char **kind, const char **labels,
                       const char **doc)
{
    static const struct {
        const char *scope;
        const char *labels;
    } rows[] = {
        {"TOPIC", "topic"},
        {"PARTITION", "topic, partition"},
        {"TRAFFIC", "topic, and without"},
        {"GROUP", "consumergroup"},
        {"GROUP_TOPIC", "consumergroup, topic"},
        {"OFFSET", "consumergroup, topic, partition"},
        {"LISTENER", "listener, networkprocessor"},
        {"SHARE", "share"},
        {"ADDRESS", "id, address"},
        {"VERSION", "version"},
        {"REQUEST", "request"},
    };
    if (i >= ARRAY_LEN(families)) {
        return false;
    }
    *name = families[i].name;
    *kind = families[i].kind;
    *doc = families[i].doc;
    *labels = "";
    for (u32 k = 0; k < ARRAY_LEN(rows); k++) {
        *labels = strcmp(rows[k].scope, families[i].scope) == 0 ? rows[k].labels : *labels;
    }
    return true;
}
