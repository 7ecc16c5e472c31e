/* odradek top: what goes on, on one screen: rates of the broker and of topics, lag of groups. From
   two looks an interval apart: offsets and groups in the protocol, the rest from /metrics where the
   HTTP port can be reached. On a terminal again and again; elsewhere once, or --count times. */
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/group.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTERVAL_MS = 2000, FIRST_MS = 300, ARENA_BLOCK_BYTES = 64 * 1024 };

static const struct {
    const char *metric;
    const char *key;
    bool rate; /* a counter: how fast it grows */
} metric_rows_shown[] = {
    {"kafka_server_brokertopicmetrics_messagesin_total", "records_in_per_second", true},
    {"kafka_server_brokertopicmetrics_bytesin_total", "bytes_in_per_second", true},
    {"kafka_server_brokertopicmetrics_bytesout_total", "bytes_out_per_second", true},
    {"odradek_requests_total", "requests_per_second", true},
    {"odradek_connections", "connections", false},
    {"process_resident_memory_bytes", "memory_bytes", false},
};
enum { SHOWN = ARRAY_LEN(metric_rows_shown) };

static const struct column head_columns[] = {{"brokers", "BROKERS", COLUMN_NAME},
                                             {"connections", "CONNECTIONS", 0},
                                             {"requests_per_second", "REQUESTS/S", 0},
                                             {"records_in_per_second", "RECORDS IN/S", 0},
                                             {"bytes_in_per_second", "BYTES IN/S", COLUMN_BYTES},
                                             {"bytes_out_per_second", "BYTES OUT/S", COLUMN_BYTES},
                                             {"memory_bytes", "MEMORY", COLUMN_BYTES},
                                             {0}};
static const struct column topic_columns[] = {{"topic", "TOPIC", 0},
                                              {"partitions", "PARTITIONS", 0},
                                              {"end", "END", 0},
                                              {"records_per_second", "RECORDS/S", 0},
                                              {0}};
static const struct column group_columns[] = {{"group", "GROUP", 0},         {"state", "STATE", 0},
                                              {"members", "MEMBERS", 0},     {"lag", "LAG", 0},
                                              {"lag_seconds", "SECONDS", 0}, {0}};
static const struct view top_view = {
    .columns = head_columns, .tables = {{"topics", topic_columns}, {"groups", group_columns}}};

/* ---- a look ---------------------------------------------------------------------------------- */

struct seen_topic {
    char name[256];
    u32 partitions;
    i64 end;
};
struct look {
    i64 at_ms;
    u32 brokers;
    struct seen_topic *topics; /* the caller frees it */
    u32 topic_count;
    bool has_metrics;
    f64 metrics[SHOWN];
};

static int look_at_topics(struct kafka *k, struct look *out)
{
    struct metadata_response all;
    int code = kafka_topics(k, NULL, &all);
    if (code != CLI_OK) {
        return code;
    }
    out->brokers = all.brokers.count;
    out->topics = mem_alloc((all.topics.count + 1) * sizeof *out->topics);
    for (u32 t = 0; t < all.topics.count && code == CLI_OK; t++) {
        const struct metadata_response_topic *topic = &all.topics.items[t];
        u32 count = topic->partitions.count;
        i64 *ends = arena_array(kafka_args(k)->arena, count + 1, sizeof *ends);
        if (topic->is_internal) {
            continue;
        }
        code = kafka_offsets(k, topic->name, KAFKA_END, ends, count);
        struct seen_topic *one = &out->topics[out->topic_count++];
        snprintf(one->name, sizeof one->name, "%.*s", (int)topic->name.len,
                 (const char *)topic->name.ptr);
        one->partitions = count;
        for (u32 p = 0; p < count; p++) {
            one->end += ends[p];
        }
    }
    return code;
}

/* "name value" on a line of its own; without labels. */
static bool find_metric(struct slice page, const char *name, f64 *out)
{
    size_t len = strlen(name);
    struct slice left = page;
    while (left.len > len) {
        const u8 *end = memchr(left.ptr, '\n', left.len);
        size_t line = end != NULL ? (size_t)(end - left.ptr) : left.len;
        if (line > len && memcmp(left.ptr, name, len) == 0 && left.ptr[len] == ' ') {
            char text[64];
            snprintf(text, sizeof text, "%.*s", (int)MIN(line - len - 1, sizeof text - 1),
                     (const char *)left.ptr + len + 1);
            *out = strtod(text, NULL);
            return true;
        }
        size_t step = MIN(line + 1, left.len);
        left = slice_of(left.ptr + step, left.len - step);
    }
    return false;
}

static int look(struct kafka *k, const char *http, struct look *out)
{
    *out = (struct look){.at_ms = wall_ms()};
    int code = look_at_topics(k, out);
    i32 status;
    struct slice page;
    const char *why;
    if (code == CLI_OK && http != NULL &&
        fetch_page(kafka_args(k), http, "/metrics", &status, &page, &why) && status == 200) {
        out->has_metrics = true;
        for (u32 i = 0; i < SHOWN; i++) {
            out->has_metrics &= find_metric(page, metric_rows_shown[i].metric, &out->metrics[i]);
        }
    }
    return code;
}

/* ---- the screen ------------------------------------------------------------------------------ */

static void add_topics(struct node *list, const struct look *before, const struct look *now)
{
    f64 seconds = (f64)MAX(now->at_ms - before->at_ms, 1) / 1000;
    for (u32 i = 0; i < now->topic_count; i++) {
        const struct seen_topic *one = &now->topics[i];
        i64 was = one->end; /* a topic that is new has no rate yet */
        for (u32 k = 0; k < before->topic_count; k++) {
            was = strcmp(before->topics[k].name, one->name) == 0 ? before->topics[k].end : was;
        }
        struct node *row = node_add_object(list, NULL);
        node_add_cstr(row, "topic", one->name);
        node_add_number(row, "partitions", one->partitions);
        node_add_number(row, "end", one->end);
        node_add_real(row, "records_per_second", (f64)MAX(one->end - was, 0) / seconds);
    }
    node_sort_largest(list, "records_per_second", "topic");
}

static int add_groups(struct kafka *k, struct node *list)
{
    struct list_groups_response groups;
    int code = group_list(k, &groups);
    for (u32 i = 0; code == CLI_OK && i < groups.groups.count; i++) {
        struct slice id = groups.groups.items[i].group_id;
        struct group g;
        code = group_read(k, cli_text(kafka_args(k), "%.*s", (int)id.len, (const char *)id.ptr),
                          GROUP_COMMITTED, &g);
        if (code != CLI_OK || !g.exists) {
            continue; /* it was deleted meanwhile */
        }
        i64 lag = 0;
        i64 wait_ms = 0;
        for (u32 o = 0; o < g.offset_count && code == CLI_OK; o++) {
            i64 one_ms;
            code = group_offset_wait(k, &g.offsets[o], &one_ms);
            lag += MAX(group_offset_lag(&g.offsets[o]), 0);
            wait_ms = MAX(wait_ms, one_ms);
        }
        struct node *row = node_add_object(list, NULL);
        node_add_text(row, "group", id);
        node_add_text(row, "state", g.state);
        node_add_number(row, "members", g.member_count);
        node_add_number(row, "lag", lag);
        node_add_real(row, "lag_seconds", (f64)wait_ms / 1000);
    }
    node_sort_largest(list, "lag", "group");
    return code;
}

static int draw(struct kafka *k, const struct look *before, const struct look *now)
{
    const struct cli_args *a = kafka_args(k);
    f64 seconds = (f64)MAX(now->at_ms - before->at_ms, 1) / 1000;
    struct node *one = node_object(a->arena);
    node_add_number(one, "brokers", now->brokers);
    for (u32 i = 0; i < SHOWN && now->has_metrics && before->has_metrics; i++) {
        f64 value = metric_rows_shown[i].rate
                        ? MAX(now->metrics[i] - before->metrics[i], 0) / seconds
                        : now->metrics[i];
        if (metric_rows_shown[i].rate) {
            node_add_real(one, metric_rows_shown[i].key, value);
        } else {
            node_add_number(one, metric_rows_shown[i].key, (i64)value);
        }
    }
    add_topics(node_add_list(one, "topics"), before, now);
    int code = add_groups(k, node_add_list(one, "groups"));
    code = code != CLI_OK ? code : out_print(a, one, &top_view);
    return out_finish(code);
}

/* One look, in an arena of its own: this may run for days. *more: there is to be another one. */
static int step(const struct cli_args *a, const char *http, const struct look *before,
                struct look *now, i64 wait_ms, bool *more)
{
    struct arena arena;
    arena_init(&arena, NULL, ARENA_BLOCK_BYTES, 0);
    struct cli_args mine = *a;
    mine.arena = &arena;
    int code;
    struct kafka *k = kafka_open(&mine, &code);
    code = k == NULL ? code : look(k, http, now);
    code = code != CLI_OK || before == NULL ? code : draw(k, before, now);
    kafka_close(k);
    *more = code == CLI_OK && *more && screen_wait(wait_ms);
    out_page_gone();
    arena_fini(&arena);
    return code;
}

/* The first look shows nothing yet: there are no rates. On a screen the next one comes soon. */
static int look_again_and_again(const struct cli_args *a, const char *http, i64 interval_ms,
                                i64 count)
{
    struct look before = {0};
    struct look now = {0};
    bool more = true;
    i64 first_ms = screen_is_on() ? MIN(interval_ms, (i64)FIRST_MS) : interval_ms;
    int code = step(a, http, NULL, &before, first_ms, &more);
    for (i64 i = 0; code == CLI_OK && more; i++) {
        more = i + 1 < count;
        code = step(a, http, &before, &now, interval_ms, &more);
        mem_free(before.topics);
        before = now;
        now = (struct look){0};
    }
    mem_free(before.topics);
    mem_free(now.topics);
    return code;
}

int command_top(const struct cli_args *a)
{
    i64 interval_ms = INTERVAL_MS;
    i64 count = out_is_terminal(stdout) ? INT64_MAX : 1;
    const char *text = cli_value(a, "interval");
    if (text != NULL &&
        !(parse_duration(text, &interval_ms) && interval_ms > 0 && interval_ms <= INT32_MAX)) {
        return problem_of_value(a, "interval", text, "a duration as 500ms, 2s or 1m");
    }
    text = cli_value(a, "count");
    if (text != NULL && !parse_number(text, 1, INT64_MAX, &count)) {
        return problem_of_value(a, "count", text, "a number from 1 on");
    }
    enum out_format format;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    int code;
    struct kafka *k = kafka_open(a, &code);
    const char *http = NULL;
    code = k == NULL ? code : fetch_address(k, &http);
    kafka_close(k);
    if (code != CLI_OK) {
        return code;
    }
    screen_begin(out_redraw, interval_ms, format <= OUT_WIDE);
    code = look_again_and_again(a, http, interval_ms, count);
    screen_end();
    return code;
}
