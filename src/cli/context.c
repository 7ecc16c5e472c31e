/* odradek context ls, use, set: see context.h. */
#include "cli/context.h"

#include "cli/change.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/problem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder with everything, or NULL: neither XDG_CONFIG_HOME nor HOME says where. */
static const char *folder(const struct cli_args *a)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    if (base != NULL && base[0] == '/') {
        return cli_text(a, "%s/odradek", base);
    }
    const char *home = getenv("HOME");
    return home != NULL && home[0] == '/' ? cli_text(a, "%s/.config/odradek", home) : NULL;
}

static int no_folder(void)
{
    return problem(CLI_FAILED, "there is no place for contexts",
                   "neither XDG_CONFIG_HOME nor HOME is set", "set one, or say -b HOST:PORT");
}

/* The first line of a file that begins with prefix, without it; NULL: errno says why, or 0. */
static const char *line_of(const struct cli_args *a, const char *path, const char *prefix)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char line[1024];
    const char *found = NULL;
    size_t len = strlen(prefix);
    while (found == NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = 0;
        found = strncmp(line, prefix, len) == 0 ? cli_text(a, "%s", line + len) : NULL;
    }
    fclose(file);
    errno = 0;
    return found;
}

static bool name_is_good(const char *name)
{
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return name[0] != 0 && name[0] != '.' && name[good] == 0 && good < 128;
}

static const char *current_name(const struct cli_args *a, const char *where)
{
    const char *name = line_of(a, cli_text(a, "%s/current", where), "");
    return name != NULL && name_is_good(name) ? name : NULL;
}

static const char *brokers_of(const struct cli_args *a, const char *where, const char *name)
{
    return line_of(a, cli_text(a, "%s/contexts/%s", where, name), "bootstrap.servers=");
}

static const char *http_of(const struct cli_args *a, const char *where, const char *name)
{
    return line_of(a, cli_text(a, "%s/contexts/%s", where, name), "odradek.http=");
}

static int not_there(const struct cli_args *a, const char *name)
{
    return problem(CLI_NOT_FOUND, cli_text(a, "there is no context \"%s\"", name), NULL,
                   cli_text(a, "odradek context set %s HOST:PORT   makes it", name));
}

bool context_find(const struct cli_args *a, const char *name, const char **found, const char **http,
                  int *code)
{
    const char *where = folder(a);
    *found = NULL;
    if (where == NULL) {
        *code = name == NULL ? CLI_OK : no_folder();
        return name == NULL;
    }
    const char *wanted = name != NULL ? name : current_name(a, where);
    if (wanted == NULL) {
        return true;
    }
    *found = name_is_good(wanted) ? brokers_of(a, where, wanted) : NULL;
    if (*found == NULL) {
        *code = not_there(a, wanted);
    } else {
        *http = http_of(a, where, wanted);
    }
    return *found != NULL;
}

/* ---- commands -------------------------------------------------------------------------------- */

static const struct column context_columns[] = {{"name", "CONTEXT", COLUMN_NAME},
                                                {"brokers", "BROKERS", 0},
                                                {"http", "HTTP", COLUMN_WIDE},
                                                {"in_use", "IN USE", 0},
                                                {0}};
static const struct view context_view = {.columns = context_columns, .listing = true};

int command_context_ls(const struct cli_args *a)
{
    const char *where = folder(a);
    if (where == NULL) {
        return no_folder();
    }
    const char *current = current_name(a, where);
    struct node *list = node_list(a->arena);
    DIR *directory = opendir(cli_text(a, "%s/contexts", where));
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        const char *brokers =
            name_is_good(entry->d_name) ? brokers_of(a, where, entry->d_name) : NULL;
        if (brokers != NULL) {
            struct node *one = node_add_object(list, NULL);
            node_add_cstr(one, "name", cli_text(a, "%s", entry->d_name));
            node_add_cstr(one, "brokers", brokers);
            node_add_cstr(one, "http", http_of(a, where, entry->d_name));
            node_add_bool(one, "in_use", current != NULL && strcmp(current, entry->d_name) == 0);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    node_sort(list, "name");
    return out_print(a, list, &context_view);
}

/* Writes beside it and renames: a reader sees the old file or the new one. */
static int write_file(const struct cli_args *a, const char *path, const char *text)
{
    const char *beside = cli_text(a, "%s.new", path);
    FILE *file = fopen(beside, "we");
    bool good = file != NULL && fputs(text, file) >= 0;
    good = (file == NULL || fclose(file) == 0) && good;
    if (good && rename(beside, path) == 0) {
        return CLI_OK;
    }
    return problem(CLI_FAILED, cli_text(a, "cannot write %s", path), strerror(errno), NULL);
}

static int make_folders(const struct cli_args *a, const char *where)
{
    char *path = mem_strndup(slice_cstr(cli_text(a, "%s/contexts", where)));
    bool good = true;
    for (char *at = path + 1; good; at++) {
        if (*at == '/' || *at == 0) {
            char kept = *at;
            *at = 0;
            good = mkdir(path, 0700) == 0 || errno == EEXIST;
            *at = kept;
            if (kept == 0) {
                break;
            }
        }
    }
    mem_free(path);
    return good ? CLI_OK
                : problem(CLI_FAILED, cli_text(a, "cannot make %s/contexts", where),
                          strerror(errno), NULL);
}

/* The command that makes a context what it was. */
static const char *set_again(const struct cli_args *a, const char *name, const char *brokers,
                             const char *http)
{
    return cli_text(a, "odradek context set %s %s%s%s", name, brokers,
                    http != NULL ? " --http " : "", http != NULL ? http : "");
}

int command_context_set(const struct cli_args *a)
{
    const char *where = folder(a);
    if (a->operand_count != 2 || !name_is_good(a->operands[0]) || a->operands[1][0] == 0) {
        return problem(CLI_USAGE, "odradek context set needs a name and the address of a broker",
                       "a name has letters, digits, '.', '_' and '-'",
                       "odradek context set prod 10.0.0.1:9092,10.0.0.2:9092");
    }
    if (where == NULL) {
        return no_folder();
    }
    const char *name = a->operands[0];
    const char *before = brokers_of(a, where, name);
    const char *http = cli_value(a, "http");
    const char *http_before = http_of(a, where, name);
    const char *file = cli_text(a, "bootstrap.servers=%s\n%s%s%s", a->operands[1],
                                http != NULL ? "odradek.http=" : "", http != NULL ? http : "",
                                http != NULL ? "\n" : "");
    struct change change = change_begin(a);
    if (!change.dry) {
        int code = make_folders(a, where);
        code =
            code != CLI_OK ? code : write_file(a, cli_text(a, "%s/contexts/%s", where, name), file);
        if (code != CLI_OK) {
            return code;
        }
    }
    change_done(&change, "set", "context", name,
                before == NULL ? cli_text(a, "odradek context rm %s", name)
                               : set_again(a, name, before, http_before));
    return change_end(&change);
}

int command_context_use(const struct cli_args *a)
{
    const char *where = folder(a);
    if (a->operand_count != 1) {
        return problem(CLI_USAGE, "odradek context use needs the name of a context", NULL,
                       "odradek context ls   shows them");
    }
    if (where == NULL) {
        return no_folder();
    }
    const char *name = a->operands[0];
    if (!name_is_good(name) || brokers_of(a, where, name) == NULL) {
        return not_there(a, name);
    }
    const char *before = current_name(a, where);
    struct change change = change_begin(a);
    if (!change.dry) {
        int code = write_file(a, cli_text(a, "%s/current", where), cli_text(a, "%s\n", name));
        if (code != CLI_OK) {
            return code;
        }
    }
    change_done(&change, "use", "context", name,
                before == NULL ? NULL : cli_text(a, "odradek context use %s", before));
    return change_end(&change);
}

/* One context; the one in use is not used any more. */
static int remove_one(const struct cli_args *a, const char *where, const char *name,
                      struct change *change)
{
    const char *brokers = name_is_good(name) ? brokers_of(a, where, name) : NULL;
    if (brokers == NULL) {
        return not_there(a, name);
    }
    const char *undo = set_again(a, name, brokers, http_of(a, where, name));
    const char *current = current_name(a, where);
    const char *path = cli_text(a, "%s/contexts/%s", where, name);
    bool used = current != NULL && strcmp(current, name) == 0;
    if (!change->dry &&
        ((used && unlink(cli_text(a, "%s/current", where)) != 0) || unlink(path) != 0)) {
        return problem(CLI_FAILED, cli_text(a, "cannot remove %s", path), strerror(errno), NULL);
    }
    change_done(change, "delete", "context", name, undo);
    return CLI_OK;
}

int command_context_rm(const struct cli_args *a)
{
    const char *where = folder(a);
    if (a->operand_count == 0) {
        return problem(CLI_USAGE, "odradek context rm needs the name of a context", NULL,
                       "odradek context ls   shows them");
    }
    if (where == NULL) {
        return no_folder();
    }
    struct change change = change_begin(a);
    for (u32 i = 0; i < a->operand_count; i++) {
        change_failed(&change, remove_one(a, where, a->operands[i], &change));
    }
    return change_end(&change);
}
