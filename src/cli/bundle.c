/* odradek bundle: what somebody who helps wants to see, as one archive: versions, cluster, topics,
   groups, configurations, health, metrics, the machine, the end of a log. No record is in it;
   secrets are blanked. What could not be had is named in manifest.txt instead of failing it all. */
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/group.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"
#include "cli/settings.h"
#include "cli/tar.h"
#include "cli/topic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES_MAX = 4 * 1024 * 1024 };

struct bundle {
    const struct cli_args *args;
    struct kafka *k;
    FILE *tar;
    const char *folder; /* within the archive */
    i64 time_s;
    bool broken; /* the archive cannot be written */
    char *manifest;
    size_t manifest_len;
    FILE *notes; /* writes manifest */
    u32 files;
};

static void add_file(struct bundle *b, const char *name, struct slice bytes)
{
    b->broken |= !tar_add(b->tar, cli_text(b->args, "%s/%s", b->folder, name), bytes, b->time_s);
    fprintf(b->notes, "%s  %zu bytes\n", name, bytes.len);
    b->files++;
}

static void add_missing(struct bundle *b, const char *name, const char *why)
{
    fprintf(b->notes, "%s  missing: %s\n", name, why);
}

static void add_tree(struct bundle *b, const char *name, const struct node *root)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    out_json(to, root);
    fclose(to);
    add_file(b, name, slice_of(text, len));
    free(text);
}

/* ---- from the broker ------------------------------------------------------------------------- */

static void add_topics(struct bundle *b, const struct metadata_response *all)
{
    struct node *list = node_list(b->args->arena);
    for (u32 i = 0; i < all->topics.count; i++) {
        struct slice name = all->topics.items[i].name;
        if (topic_add_info(b->k, list,
                           cli_text(b->args, "%.*s", (int)name.len, (const char *)name.ptr)) !=
            CLI_OK) {
            fprintf(b->notes, "topics.json  lacks a topic that could not be read\n");
        }
    }
    add_tree(b, "topics.json", list);
}

static void add_groups(struct bundle *b)
{
    struct list_groups_response groups;
    struct node *list = node_list(b->args->arena);
    if (group_list(b->k, &groups) != CLI_OK) {
        add_missing(b, "groups.json", "groups cannot be listed");
        return;
    }
    for (u32 i = 0; i < groups.groups.count; i++) {
        struct slice id = groups.groups.items[i].group_id;
        if (group_add_info(b->k, list,
                           cli_text(b->args, "%.*s", (int)id.len, (const char *)id.ptr)) !=
            CLI_OK) {
            fprintf(b->notes, "groups.json  lacks a group that could not be read\n");
        }
    }
    add_tree(b, "groups.json", list);
}

static void add_cluster(struct bundle *b, const struct metadata_response *all)
{
    struct node *one = node_object(b->args->arena);
    node_add_text(one, "cluster", all->cluster_id);
    node_add_number(one, "controller", all->controller_id);
    struct node *brokers = node_add_list(one, "brokers");
    for (u32 i = 0; i < all->brokers.count; i++) {
        const struct metadata_response_broker *m = &all->brokers.items[i];
        struct node *broker = node_add_object(brokers, NULL);
        node_add_number(broker, "id", m->node_id);
        node_add_text(broker, "host", m->host);
        node_add_number(broker, "port", m->port);
        node_add_text(broker, "rack", m->rack);
        /* The broker never tells the value of a password. */
        const char *id = cli_text(b->args, "%d", m->node_id);
        struct describe_configs_response_result configs;
        struct node *list = node_add_list(broker, "configs");
        if (settings_read(b->k, SETTINGS_BROKER, id, &configs) == CLI_OK) {
            settings_add(list, &configs, true);
        }
    }
    add_tree(b, "cluster.json", one);
}

static void add_pages(struct bundle *b)
{
    static const struct {
        const char *path;
        const char *name;
    } pages[] = {{"/metrics", "metrics.txt"}, {"/healthz?verbose", "health.txt"}};
    const char *http = NULL;
    if (fetch_address(b->k, &http) != CLI_OK || http == NULL) {
        add_missing(b, "metrics.txt",
                    "the broker does not say where its HTTP port is; --http HOST:PORT");
        return;
    }
    for (u32 i = 0; i < ARRAY_LEN(pages); i++) {
        i32 status;
        struct slice body;
        const char *why;
        if (fetch_page(b->args, http, pages[i].path, &status, &body, &why)) {
            add_file(b, pages[i].name, body);
        } else {
            add_missing(b, pages[i].name, why);
        }
    }
}

/* ---- from this machine ----------------------------------------------------------------------- */

/* Blanks what follows a word that smells of a secret, up to a blank, quote or comma. */
static void blank_secrets(char *text, size_t len)
{
    static const char *const words[] = {"password", "secret", "token", "passwd", "credential"};
    for (u32 w = 0; w < ARRAY_LEN(words); w++) {
        size_t word = strlen(words[w]);
        for (size_t i = 0; i + word < len; i++) {
            if (strncasecmp(text + i, words[w], word) != 0) {
                continue;
            }
            size_t at = i + word;
            while (at < len && strchr("=:\"' ", text[at]) != NULL && text[at] != 0) {
                at++;
            }
            bool assigned = at > i + word;
            for (; assigned && at < len && strchr("\"', \n}", text[at]) == NULL; at++) {
                text[at] = '*';
            }
        }
    }
}

/* The last bytes of a file; with blanks for secrets. */
static void add_tail(struct bundle *b, const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        add_missing(b, name, cli_text(b->args, "%s: %s", path, strerror(errno)));
        return;
    }
    char *text = mem_alloc(LOG_BYTES_MAX);
    if (fseek(file, -(long)LOG_BYTES_MAX, SEEK_END) != 0) {
        rewind(file);
    }
    size_t len = fread(text, 1, LOG_BYTES_MAX, file);
    fclose(file);
    blank_secrets(text, len);
    add_file(b, name, slice_of(text, len));
    mem_free(text);
}

static void add_machine(struct bundle *b)
{
    static const char *const paths[] = {"/proc/version", "/proc/meminfo", "/proc/loadavg",
                                        "/proc/self/limits", "/proc/mounts"};
    add_file(b, "version.txt",
             slice_cstr(cli_text(b->args, "odradek %s\n", b->args->host->version)));
    for (u32 i = 0; i < ARRAY_LEN(paths); i++) {
        const char *base = strrchr(paths[i], '/') + 1;
        char text[64 * 1024];
        FILE *file = fopen(paths[i], "re");
        size_t len = file != NULL ? fread(text, 1, sizeof text, file) : 0;
        if (file != NULL) {
            fclose(file);
            add_file(b, cli_text(b->args, "machine/%s", base), slice_of(text, len));
        }
    }
}

/* ---- the archive ----------------------------------------------------------------------------- */

static int fill(struct bundle *b)
{
    struct metadata_response all;
    int code = kafka_topics(b->k, NULL, &all);
    if (code != CLI_OK) {
        return code;
    }
    add_machine(b);
    add_cluster(b, &all);
    add_topics(b, &all);
    add_groups(b);
    add_pages(b);
    const char *log = cli_value(b->args, "log");
    if (log != NULL) {
        add_tail(b, log, "log.txt");
    } else {
        add_missing(b, "log.txt", "--log FILE says where the broker's log is");
    }
    fflush(b->notes);
    /* Last, so that it names everything. */
    b->broken |= !tar_add(b->tar, cli_text(b->args, "%s/manifest.txt", b->folder),
                          slice_of(b->manifest, b->manifest_len), b->time_s);
    b->broken |= !tar_end(b->tar);
    return CLI_OK;
}

int command_bundle(const struct cli_args *a)
{
    static const struct column columns[] = {{"file", "BUNDLE", COLUMN_NAME},
                                            {"files", "FILES", 0},
                                            {"bytes", "SIZE", COLUMN_BYTES},
                                            {0}};
    static const struct view view = {.columns = columns};
    enum out_format format;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    struct bundle b = {.args = a, .time_s = wall_ms() / 1000};
    char stamp[TIME_TEXT_BYTES];
    time_text(b.time_s * 1000, stamp);
    b.folder =
        cli_text(a, "odradek-bundle-%.10s-%.2s%.2s%.2s", stamp, stamp + 11, stamp + 14, stamp + 17);
    const char *path = cli_value(a, "file");
    path = path != NULL ? path : cli_text(a, "%s.tar", b.folder);
    int code;
    b.k = kafka_open(a, &code);
    if (b.k == NULL) {
        return code;
    }
    b.tar = fopen(path, "wxe"); /* never over what is there */
    if (b.tar == NULL) {
        kafka_close(b.k);
        return problem(errno == EEXIST ? CLI_CONFLICT : CLI_FAILED,
                       cli_text(a, "cannot make %s", path), strerror(errno),
                       "--file NAME   puts it somewhere else");
    }
    b.notes = open_memstream(&b.manifest, &b.manifest_len);
    code = fill(&b);
    i64 bytes = ftell(b.tar);
    b.broken |= fclose(b.tar) != 0;
    fclose(b.notes);
    free(b.manifest);
    kafka_close(b.k);
    if (code == CLI_OK && b.broken) {
        code = problem(CLI_FAILED, cli_text(a, "%s could not be written", path), strerror(errno),
                       "make room, or --file NAME");
    }
    if (code != CLI_OK) {
        unlink(path);
        return code;
    }
    struct node *one = node_object(a->arena);
    node_add_cstr(one, "file", path);
    node_add_number(one, "files", b.files + 1);
    node_add_number(one, "bytes", bytes);
    return out_print(a, one, &view);
}
