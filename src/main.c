/* Picks the command: the client's from cli, the broker's from broker. Above both, so that neither
   knows the other. */
#include "broker/config_sources.h"
#include "broker/docs.h"
#include "broker/serve.h"
#include "cli/cli.h"
#include "doctor/doctor.h"

#include <stdio.h>
#include <string.h>

static int serve(const struct cli_args *a)
{
    struct serve_options options = {
        .data_directory = cli_value(a, "data"),
        .listen = cli_value(a, "listen"),
        .version = a->host->version,
    };
    const char *memory = cli_value(a, "memory");
    if (memory != NULL && !cli_parse_size(memory, &options.memory_bytes)) {
        fprintf(stderr, "error: --memory %s is not a size\nwrite it as 64MiB or 1GiB\n", memory);
        return CLI_USAGE;
    }
    struct serve_option *sets = mem_alloc((a->value_count + 1) * sizeof *sets);
    for (u32 i = 0; i < a->value_count; i++) {
        if (strcmp(a->values[i].option, "set") != 0) {
            continue;
        }
        const char *pair = a->values[i].value;
        const char *equals = strchr(pair, '=');
        if (equals == NULL) {
            fprintf(stderr,
                    "error: --set %s is not KEY=VALUE\n`odradek serve --help` lists the keys\n",
                    pair);
            mem_free(sets);
            return CLI_USAGE;
        }
        sets[options.set_count++] =
            (struct serve_option){slice_of(pair, (size_t)(equals - pair)), slice_cstr(equals + 1)};
    }
    options.sets = sets;
    int code = serve_run(&options);
    mem_free(sets);
    return code;
}

static int doctor(const struct cli_args *a)
{
    const char *directory = cli_value(a, "data");
    struct doctor_options options = {
        .directory = directory != NULL ? directory : "odradek-data",
        .repair = cli_flag(a, "repair"),
        .accept_loss = cli_flag(a, "accept-loss"),
        .out = stdout,
        .err = stderr,
    };
    return doctor_run(&options);
}

static bool explain_key(const char *key, const char **near)
{
    struct config *c = config_create();
    bool found = config_explain(c, slice_cstr(key), near);
    config_destroy(c);
    return found;
}

static void print_problem(const char *text)
{
    fputs(text, stderr);
}

static int check_file(const char *file)
{
    struct config *c = config_create();
    struct config_sources sources = {.file = file};
    struct config_problems problems;
    config_problems_init(&problems);
    config_load(c, &sources, &problems);
    config_check(c, &problems);
    config_problems_print(&problems, DIAG_WARN, print_problem);
    printf("%s: %u error%s, %u warning%s\n", file, problems.errors, problems.errors == 1 ? "" : "s",
           problems.warnings, problems.warnings == 1 ? "" : "s");
    int code = problems.errors > 0 ? CLI_FAILED : CLI_OK;
    config_problems_fini(&problems);
    config_destroy(c);
    return code;
}

int main(int argc, char **argv)
{
    static const struct cli_host host = {
        .version = ODRADEK_VERSION,
        .serve = serve,
        .serve_help = docs_print_keys,
        .docs = docs_print,
        .doctor = doctor,
        .config_explain = explain_key,
        .config_check = check_file,
    };
    return cli_run(argc, argv, &host);
}
