/* odradek bundle: what somebody who helps wants to see, as one archive: versions, cluster, topics,
   groups, configurations, health, metrics, who is connected, the machine, the end of a log, what
   the doctor finds in a directory. No record is in it; secrets are blanked. What could not be had
   is named, in manifest.txt and in the result, instead of failing it all: a broker that does not
   answer is when a bundle is needed most. Then the exit code is that of the failure, and the bundle
   there. */
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
    struct kafka *k;      /* NULL: no broker answers */
    struct node *missing; /* what could not be had */
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
    struct node *one = node_add_object(b->missing, NULL);
    node_add_cstr(one, "missing", name);
    node_add_cstr(one, "reason", why);
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
    } pages[] = {{"/metrics", "metrics.txt"},
                 {"/healthz?verbose", "health.txt"},
                 {"/api/v1/clients", "clients.json"}};
    const char *http = b->args->http;
    if (http == NULL && b->k != NULL && fetch_address(b->k, &http) != CLI_OK) {
        http = NULL;
    }
    for (u32 i = 0; i < ARRAY_LEN(pages); i++) {
        i32 status;
        struct slice body;
        const char *why;
        if (http == NULL) {
            add_missing(b, pages[i].name, "where the HTTP port is, is not known; --http HOST:PORT");
        } else if (fetch_page(b->args, http, pages[i].path, &status, &body, &why)) {
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

/* The check of a directory that no broker has open. */
static void add_doctor(struct bundle *b)
{
    if (cli_value(b->args, "data") == NULL) {
        return;
    }
    struct node *root = node_object(b->args->arena);
    int code = b->args->host->doctor(b->args, root);
    if (root->first != NULL) {
        add_tree(b, "doctor.json", root);
    } else {
        add_missing(b, "doctor.json",
                    code == CLI_CONFLICT ? "a broker has the directory open; stop it first"
                                         : "the directory cannot be checked");
    }
}

/* ---- the archive ----------------------------------------------------------------------------- */

static int add_answers(struct bundle *b, int code)
{
    struct metadata_response all;
    code = b->k == NULL ? code : kafka_topics(b->k, NULL, &all);
    if (code == CLI_OK) {
        add_cluster(b, &all);
        add_topics(b, &all);
        add_groups(b);
        return CLI_OK;
    }
    static const char *const names[] = {"cluster.json", "topics.json", "groups.json"};
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        add_missing(b, names[i], cli_text(b->args, "no answer from %s", b->args->brokers));
    }
    return code;
}

/* code: of the attempt to reach the broker. */
static int fill(struct bundle *b, int code)
{
    add_machine(b);
    code = add_answers(b, code);
    add_pages(b);
    add_doctor(b);
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
    return code;
}

int command_bundle(const struct cli_args *a)
{
    static const struct column columns[] = {{"file", "BUNDLE", COLUMN_NAME},
                                            {"files", "FILES", 0},
                                            {"bytes", "SIZE", COLUMN_BYTES},
                                            {0}};
    static const struct column missing[] = {{"missing", "MISSING", 0}, {"reason", "WHY", 0}, {0}};
    static const struct view view = {.columns = columns, .tables = {{"missing", missing}}};
    enum out_format format;
    if (!out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    struct bundle b = {.args = a, .time_s = wall_ms() / 1000, .missing = node_list(a->arena)};
    char stamp[TIME_TEXT_BYTES];
    time_text(b.time_s * 1000, stamp);
    b.folder =
        cli_text(a, "odradek-bundle-%.10s-%.2s%.2s%.2s", stamp, stamp + 11, stamp + 14, stamp + 17);
    const char *path = cli_value(a, "file");
    path = path != NULL ? path : cli_text(a, "%s.tar", b.folder);
    b.tar = fopen(path, "wxe"); /* never over what is there */
    if (b.tar == NULL) {
        return problem(errno == EEXIST ? CLI_CONFLICT : CLI_FAILED,
                       cli_text(a, "cannot make %s", path), strerror(errno),
                       "--file NAME   puts it somewhere else");
    }
    b.notes = open_memstream(&b.manifest, &b.manifest_len);
    int code;
    b.k = kafka_open(a, &code);
    code = fill(&b, code);
    i64 bytes = ftell(b.tar);
    b.broken |= fclose(b.tar) != 0;
    fclose(b.notes);
    free(b.manifest);
    kafka_close(b.k);
    if (b.broken) {
        unlink(path);
        return problem(CLI_FAILED, cli_text(a, "%s could not be written", path), strerror(errno),
                       "make room, or --file NAME");
    }
    struct node *one = node_object(a->arena);
    node_add_cstr(one, "file", path);
    node_add_number(one, "files", b.files + 1);
    node_add_number(one, "bytes", bytes);
    node_adopt(one, "missing", b.missing);
    int printed = out_print(a, one, &view);
    return code != CLI_OK ? code : printed;
}
