/* cli.c: which command and which options a command line means, what is said when it means nothing,
   and that help and reference name every row of commands.def. Commands run through a host that
   only notes what it is given; nothing is loaded and nobody is called. What commands do with a
   broker is shown by test/patterns and ./dev run. */
#include "../unit.h"

#include "cli/cli.h"

#include <unistd.h>

/* ---- a host that notes, and what was printed ------------------------------------------------- */

static struct {
    u32 serve_calls;
    char data[64];
    char last_set[64];
    u32 sets;
    int code;
    char out[131072];
    char err[4096];
} noted;

static int note_serve(const struct cli_args *a)
{
    noted.serve_calls++;
    const char *data = cli_value(a, "data");
    snprintf(noted.data, sizeof(noted.data), "%s", data != NULL ? data : "none");
    const char *set = cli_value(a, "set");
    snprintf(noted.last_set, sizeof(noted.last_set), "%s", set != NULL ? set : "none");
    for (u32 i = 0; i < a->value_count; i++) {
        noted.sets += strcmp(a->values[i].option, "set") == 0;
    }
    assert_int_equal(a->operand_count, 0);
    return 42;
}
static void note_serve_help(void)
{
    printf("the keys\n");
}
static int note_docs(const char *reference)
{
    if (strcmp(reference, "config") != 0) {
        return -1;
    }
    printf("the config\n");
    return CLI_OK;
}
static bool note_config_explain(const char *key, struct node *list, const char **near)
{
    (void)list;
    *near = NULL;
    if (strcmp(key, "the.key") != 0) {
        return false;
    }
    printf("what the key does\n");
    return true;
}
static const struct cli_host host = {
    .version = "9.8.7",
    .serve = note_serve,
    .serve_help = note_serve_help,
    .docs = note_docs,
    .config_explain = note_config_explain,
};

static void read_back(FILE *from, char *to, size_t size)
{
    rewind(from);
    size_t got = fread(to, 1, size - 1, from);
    to[got] = '\0';
    fclose(from);
}

/* Runs a command line given as its words, closed by NULL. */
static void run(const char *first, ...)
{
    char *argv[16] = {(char *)(uintptr_t) "odradek"};
    int argc = 1;
    va_list more;
    va_start(more, first);
    for (const char *word = first; word != NULL; word = va_arg(more, const char *)) {
        assert_true(argc < 15);
        argv[argc++] = (char *)(uintptr_t)word;
    }
    va_end(more);
    memset(&noted, 0, sizeof(noted));
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    fflush(stdout);
    fflush(stderr);
    int kept_out = dup(STDOUT_FILENO);
    int kept_err = dup(STDERR_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    int code = cli_run(argc, argv, &host);
    fflush(stdout);
    fflush(stderr);
    dup2(kept_out, STDOUT_FILENO);
    dup2(kept_err, STDERR_FILENO);
    close(kept_out);
    close(kept_err);
    noted.code = code;
    read_back(out, noted.out, sizeof(noted.out));
    read_back(err, noted.err, sizeof(noted.err));
}

static void assert_says(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL) {
        fail_msg("'%s' is not in: %s", wanted, text);
    }
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_in_every_form(void **state)
{
    (void)state;
    run("serve", "--data", "here", "--set", "a=b", NULL);
    assert_int_equal(noted.serve_calls, 1);
    assert_int_equal(noted.code, 42); /* the command's own exit code */
    assert_string_equal(noted.data, "here");
    assert_string_equal(noted.last_set, "a=b");
    run("serve", "--data=here", "--set=a=b", "--set=c=d=e", NULL);
    assert_string_equal(noted.data, "here");
    assert_int_equal(noted.sets, 2);
    assert_string_equal(noted.last_set, "c=d=e"); /* only the first = parts name and value */
    run("serve", NULL);
    assert_int_equal(noted.serve_calls, 1);
    assert_string_equal(noted.data, "none");
    run("serve", "--data", "--set", NULL); /* a value may look like an option */
    assert_string_equal(noted.data, "--set");
    run("serve", "--data=", NULL);
    assert_string_equal(noted.data, "");
}

static void operands(void **state)
{
    (void)state;
    run("docs", "config", NULL);
    assert_string_equal(noted.out, "the config\n");
    run("docs", "--", "config", NULL);
    assert_string_equal(noted.out, "the config\n");
    /* Where none is taken it is a mistake, wherever it stands. */
    run("serve", "one", "--data", "d", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_int_equal(noted.serve_calls, 0);
    assert_says(noted.err, "odradek serve takes no \"one\"");
    assert_says(noted.err, "odradek serve --config one");
    run("serve", "--data", "d", "--", "--data", NULL);
    assert_says(noted.err, "takes no \"--data\"");
    run("serve", "-", NULL);
    assert_says(noted.err, "takes no \"-\"");
    run("version", "x", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_says(noted.err, "odradek help version");
    run("serve", "one", "--help", NULL);
    assert_int_equal(noted.code, CLI_OK);
}

static void options_that_are_wrong(void **state)
{
    (void)state;
    run("serve", "--dato", "x", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_int_equal(noted.serve_calls, 0);
    assert_says(noted.err, "odradek serve has no option --dato");
    assert_says(noted.err, "odradek help serve");
    run("serve", "--dat", "x", NULL); /* no prefixes: a script must not change its meaning */
    assert_int_equal(noted.code, CLI_USAGE);
    run("serve", "--data", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_says(noted.err, "--data needs a value");
    run("serve", "-x", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    run("serve", "--brokers", "a:1", NULL); /* for client commands only */
    assert_int_equal(noted.code, CLI_USAGE);
    run("topic", "create", "--dry-run=yes", "t", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_says(noted.err, "--dry-run takes no value");
}

/* ---- commands and help ----------------------------------------------------------------------- */

static void overview(void **state)
{
    (void)state;
    run(NULL);
    assert_int_equal(noted.code, CLI_OK);
    char alone[sizeof(noted.out)];
    snprintf(alone, sizeof(alone), "%s", noted.out);
    assert_says(alone, "odradek 9.8.7");
#define COMMAND(ident, words, operands, summary, kind, function) \
    assert_says(alone, "odradek " words);                        \
    assert_says(alone, summary);
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
    run("--help", NULL);
    assert_string_equal(noted.out, alone);
    run("help", NULL);
    assert_string_equal(noted.out, alone);
}

static void version(void **state)
{
    (void)state;
    run("version", NULL);
    assert_string_equal(noted.out, "odradek 9.8.7\n");
    run("--version", NULL);
    assert_string_equal(noted.out, "odradek 9.8.7\n");
    assert_int_equal(noted.code, CLI_OK);
}

static void help_of_each(void **state)
{
    (void)state;
    run("serve", "--help", NULL);
    assert_int_equal(noted.code, CLI_OK);
    assert_int_equal(noted.serve_calls, 0);
    assert_says(noted.out, "--memory SIZE");
    assert_says(noted.out, "the keys");
    run("help", "serve", NULL);
    assert_says(noted.out, "--memory SIZE");
    run("topic", "create", "-h", NULL);
    assert_says(noted.out, "-p, --partitions N");
    assert_says(noted.out, "-b, --brokers HOST:PORT");
    assert_says(noted.out, "--timeout DURATION");
    run("topic", NULL); /* a group of commands explains all of its own */
    assert_says(noted.out, "odradek topic ls");
    assert_says(noted.out, "odradek topic rm");
    run("help", "topic", NULL);
    assert_says(noted.out, "odradek topic info");
    run("help", "nonsense", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    run("help", "the.key", NULL);
    assert_int_equal(noted.code, CLI_OK);
    assert_says(noted.out, "what the key does");
    run("help", "config", "nonsense", NULL);
    assert_int_equal(noted.code, CLI_NOT_FOUND);
}

static void commands_that_are_wrong(void **state)
{
    (void)state;
    run("serv", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_says(noted.err, "there is no command \"serv\"");
    run("topic", "lss", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_says(noted.err, "there is no command \"topic lss\"; did you mean \"topic ls\"?");
    run("", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
}

/* ---- references ------------------------------------------------------------------------------ */

static void references(void **state)
{
    (void)state;
    run("docs", "commands", NULL);
    assert_int_equal(noted.code, CLI_OK);
#define COMMAND(ident, words, operands, summary, kind, function) \
    assert_says(noted.out, "## odradek " words "\n");
#define OPTION(ident, name, letter, argument, doc) assert_says(noted.out, doc);
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
    run("docs", "config", NULL);
    assert_string_equal(noted.out, "the config\n");
    run("docs", "nonsense", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    run("docs", NULL);
    assert_int_equal(noted.code, CLI_USAGE);
    assert_says(noted.err, "config, apis, errors, metrics, messages, commands");
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        u64 bytes;
    } rows[] = {
        {"0", true, 0},
        {"4096", true, 4096},
        {"7B", true, 7},
        {"64MiB", true, 64 * MIB},
        {"64M", true, 64 * MIB},
        {"1GiB", true, GIB},
        {"10kB", true, 10000},
        {"2GB", true, 2000000000},
        {"18446744073709551615", true, UINT64_MAX},
        {"17179869184GiB", false, 0}, /* 2^64 */
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 GiB", false, 0},
        {"1gib", false, 0},
        {"1e3", false, 0},
        {"0x10", false, 0},
        {"1.5GiB", false, 0},
        {"MiB", false, 0},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        u64 bytes = 12345;
        bool good = cli_parse_size(rows[i].text, &bytes);
        if (good != rows[i].good || bytes != (good ? rows[i].bytes : 12345)) {
            fail_msg("'%s' is %s, %llu", rows[i].text, good ? "a size" : "no size",
                     (unsigned long long)bytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_in_every_form),
        cmocka_unit_test(operands),
        cmocka_unit_test(options_that_are_wrong),
        cmocka_unit_test(overview),
        cmocka_unit_test(version),
        cmocka_unit_test(help_of_each),
        cmocka_unit_test(commands_that_are_wrong),
        cmocka_unit_test(references),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
