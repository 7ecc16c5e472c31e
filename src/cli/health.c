/* odradek health: is anything wrong? Asked of the broker in the protocol, and of its HTTP port,
   which knows more (/healthz). Every reason is listed; exit code 10 when there is one. */
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/out.h"
#include "cli/problem.h"

#include <stdio.h>
#include <string.h>

enum { USABLE_PERCENT_MIN = 1 };

struct health {
    const struct cli_args *args;
    struct kafka *k;
    struct node *checks;
    u32 failed;
};

static const struct column head_columns[] = {
    {"state", "HEALTH", COLUMN_NAME}, {"brokers", "BROKERS", 0},           {"topics", "TOPICS", 0},
    {"partitions", "PARTITIONS", 0},  {"cluster", "CLUSTER", COLUMN_WIDE}, {0}};
static const struct column check_columns[] = {
    {"check", "CHECK", 0}, {"state", "STATE", 0}, {"reason", "REASON", 0}, {0}};
static const struct view health_view = {.columns = head_columns,
                                        .tables = {{"checks", check_columns}}};

static void add_check(struct health *h, struct slice name, bool good, struct slice reason)
{
    struct node *one = node_add_object(h->checks, NULL);
    node_add_text(one, "check", name);
    node_add_cstr(one, "state", good ? "ok" : "FAILED");
    node_add_text(one, "reason", reason);
    h->failed += !good;
}

/* Leaders and replicas of every partition. */
static u32 check_partitions(struct health *h, const struct metadata_response *all)
{
    u32 count = 0;
    u32 without_leader = 0;
    u32 behind = 0;
    const char *first = "";
    for (u32 t = 0; t < all->topics.count; t++) {
        const struct metadata_response_topic *topic = &all->topics.items[t];
        for (u32 p = 0; p < topic->partitions.count; p++) {
            const struct metadata_response_partition *one = &topic->partitions.items[p];
            bool leaderless = one->leader_id < 0 || one->error_code != KERR_NONE;
            bool lagging = one->isr_nodes.count < one->replica_nodes.count;
            if ((leaderless || lagging) && first[0] == 0) {
                first = cli_text(h->args, "; %.*s-%d is the first", (int)topic->name.len,
                                 (const char *)topic->name.ptr, one->partition_index);
            }
            without_leader += leaderless;
            behind += lagging;
            count++;
        }
    }
    const char *reason = cli_text(h->args, "%u of %u without a leader, %u with too few replicas%s",
                                  without_leader, count, behind, first);
    add_check(h, SLICE_LIT("partitions"), without_leader + behind == 0, slice_cstr(reason));
    return count;
}

static int check_disks(struct health *h)
{
    if (!kafka_has(h->k, API_describe_log_dirs)) {
        return CLI_OK;
    }
    struct describe_log_dirs_request request = {.topics.items = NULL};
    struct describe_log_dirs_response response;
    int code = kafka_ask(h->k, API_describe_log_dirs, 4, &request, &response);
    for (u32 i = 0; code == CLI_OK && i < response.results.count; i++) {
        const struct describe_log_dirs_response_result *dir = &response.results.items[i];
        const char *where =
            cli_text(h->args, "%.*s", (int)dir->log_dir.len, (const char *)dir->log_dir.ptr);
        if (dir->error_code != KERR_NONE) {
            add_check(h, SLICE_LIT("disk"), false,
                      slice_cstr(cli_text(h->args, "%s: %s", where, kerr_name(dir->error_code))));
            continue;
        }
        if (dir->total_bytes <= 0) {
            continue; /* it does not say */
        }
        char usable[BYTES_TEXT_BYTES];
        char total[BYTES_TEXT_BYTES];
        bytes_text((f64)dir->usable_bytes, usable);
        bytes_text((f64)dir->total_bytes, total);
        i64 percent = dir->usable_bytes / MAX(dir->total_bytes / 100, 1);
        add_check(h, SLICE_LIT("disk"), percent >= USABLE_PERCENT_MIN,
                  slice_cstr(cli_text(h->args, "%s: %s of %s free, %lld %%", where, usable, total,
                                      (long long)percent)));
    }
    return code;
}

/* "[+] name ok: why" or "[-] name failed: why", line by line. */
static void take_lines(struct health *h, struct slice text)
{
    while (text.len > 0) {
        const u8 *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        struct slice line = slice_of(text.ptr, len);
        size_t step = MIN(len + 1, text.len);
        text = slice_of(text.ptr + step, text.len - step);
        const u8 *colon = line.len > 4 ? memmem(line.ptr, line.len, ": ", 2) : NULL;
        if (colon == NULL || line.ptr[0] != '[') {
            continue;
        }
        struct slice name = slice_of(line.ptr + 4, (size_t)(colon - line.ptr - 4));
        const u8 *blank = memchr(name.ptr, ' ', name.len);
        name.len = blank != NULL ? (size_t)(blank - name.ptr) : name.len;
        add_check(h, name, line.ptr[1] == '+',
                  slice_of(colon + 2, (size_t)(line.ptr + line.len - colon - 2)));
    }
}

static int check_http(struct health *h)
{
    const char *address;
    int code = fetch_address(h->k, &address);
    if (code != CLI_OK || address == NULL) {
        return code;
    }
    i32 status;
    struct slice body;
    const char *why;
    if (!fetch_page(h->args, address, "/healthz?verbose", &status, &body, &why)) {
        /* Asked for by name it must answer; otherwise it may be out of reach from here. */
        bool named = cli_flag(h->args, "http");
        add_check(h, SLICE_LIT("http"), !named,
                  slice_cstr(named ? why : cli_text(h->args, "not asked: %s", why)));
        return CLI_OK;
    }
    take_lines(h, body);
    if (status != 200 && status != 503) {
        add_check(
            h, SLICE_LIT("http"), false,
            slice_cstr(cli_text(h->args, "%s/healthz answers with status %d", address, status)));
    }
    return CLI_OK;
}

static int check_all(struct health *h, struct node *one)
{
    struct metadata_response all;
    int code = kafka_topics(h->k, NULL, &all);
    if (code != CLI_OK) {
        return code;
    }
    h->checks = node_list(h->args->arena);
    add_check(h, SLICE_LIT("brokers"), all.brokers.count > 0,
              slice_cstr(cli_text(h->args, "%u in the cluster", all.brokers.count)));
    add_check(h, SLICE_LIT("controller"), all.controller_id >= 0,
              slice_cstr(all.controller_id >= 0 ? cli_text(h->args, "broker %d", all.controller_id)
                                                : "there is none"));
    u32 partitions = check_partitions(h, &all);
    code = check_disks(h);
    code = code != CLI_OK ? code : check_http(h);
    node_add_cstr(one, "state", h->failed == 0 ? "healthy" : "UNHEALTHY");
    node_add_bool(one, "healthy", h->failed == 0);
    node_add_number(one, "failed", h->failed);
    node_add_number(one, "brokers", all.brokers.count);
    node_add_number(one, "topics", all.topics.count);
    node_add_number(one, "partitions", partitions);
    node_add_text(one, "cluster", all.cluster_id);
    struct node *checks = node_add_list(one, "checks");
    checks->first = h->checks->first;
    checks->last = h->checks->last;
    checks->count = h->checks->count;
    return code;
}

int command_health(const struct cli_args *a)
{
    int code;
    struct health h = {.args = a, .k = kafka_open(a, &code)};
    struct node *one = node_object(a->arena);
    code = h.k == NULL ? code : check_all(&h, one);
    kafka_close(h.k);
    code = code != CLI_OK ? code : out_print(a, one, &health_view);
    return code != CLI_OK ? code : h.failed > 0 ? CLI_UNHEALTHY : CLI_OK;
}
