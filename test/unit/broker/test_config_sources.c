/* File, environment and command line: who comes first, what each problem says and where it comes
   from, what is only a warning, and what a file that is read again changes [reliability.md,
   catalogue 101 to 103, 108]. */
#include "../unit.h"
#include "broker/config_rows.h"
#include "broker/config_sources.h"

#include <sys/stat.h>
#include <unistd.h>

struct loaded {
    struct config *c;
    struct config_problems problems;
    char file[64];
};

static void file_write(char *path, size_t path_bytes, struct slice text)
{
    snprintf(path, path_bytes, "/tmp/odradek-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
    close(fd);
}

static void load_all(struct loaded *l, struct slice text, const char *const *environment,
                     const struct config_flag *flags, u32 flag_count)
{
    l->c = config_create();
    config_problems_init(&l->problems);
    file_write(l->file, sizeof l->file, text);
    const struct config_sources sources = {
        .file = l->file, .environment = environment, .flags = flags, .flag_count = flag_count};
    config_load(l->c, &sources, &l->problems);
    unlink(l->file);
}

static void load(struct loaded *l, const char *text)
{
    load_all(l, slice_cstr(text), NULL, NULL, 0);
}

static void done(struct loaded *l)
{
    config_problems_fini(&l->problems);
    config_destroy(l->c);
}

static void expect_problem(const struct loaded *l, u32 index, enum diag_code code, const char *what,
                           const char *why, const char *next)
{
    assert_true(index < l->problems.count);
    const struct config_problem *p = &l->problems.items[index];
    if (p->code != code || strstr(p->what, what) == NULL || strstr(p->why, why) == NULL ||
        strstr(p->next, next) == NULL) {
        fail_msg("ODK-%d %s / %s / %s", (int)p->code, p->what, p->why, p->next);
    }
}

/* ---- precedence ------------------------------------------------------------------------------ */

static void expect_partitions(const struct config *c, const char *value, const char *origin)
{
    struct slice s = config_str(c, CONFIG_num_partitions);
    assert_true(slice_eq_cstr(s, value));
    assert_non_null(strstr(config_origin(c, CONFIG_num_partitions), origin));
}

static void the_command_line_comes_first_then_the_environment(void **state)
{
    static const char *const environment[] = {"HOME=/", "KAFKA_NUM_PARTITIONS=5", NULL};
    static const struct config_flag flags[] = {
        {SLICE_LIT("num.partitions"), SLICE_LIT("6"), "--set"},
        {SLICE_LIT("num.partitions"), SLICE_LIT("7"), "--set"},
    };
    struct loaded l;
    load_all(&l, SLICE_LIT("num.partitions=4\n"), NULL, NULL, 0);
    expect_partitions(l.c, "4", ":1");
    assert_int_equal(config_layer_in_force(l.c, CONFIG_num_partitions), CONFIG_LAYER_FILE);
    done(&l);
    load_all(&l, SLICE_LIT("num.partitions=4\n"), environment, NULL, 0);
    expect_partitions(l.c, "5", "environment KAFKA_NUM_PARTITIONS");
    done(&l);
    load_all(&l, SLICE_LIT("num.partitions=4\n"), environment, flags, ARRAY_LEN(flags));
    expect_partitions(l.c, "7", "--set");
    assert_int_equal(config_i64(l.c, CONFIG_num_partitions), 7);
    assert_int_equal(l.problems.count, 0);

    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    struct config_entry *entries;
    u32 count;
    assert_int_equal(config_describe_broker(l.c, NULL, &arena, &entries, &count), OK);
    for (u32 i = 0; i < count; i++) {
        if (slice_eq_cstr(entries[i].name, "num.partitions")) {
            assert_int_equal(entries[i].synonym_count, 4);
            assert_int_equal(entries[i].source, CONFIG_SOURCE_STATIC);
            static const char *const values[] = {"7", "5", "4", "1"};
            for (u32 k = 0; k < 4; k++) {
                assert_true(slice_eq_cstr(entries[i].synonyms[k].value, values[k]));
                assert_int_equal(entries[i].synonyms[k].source,
                                 k == 3 ? CONFIG_SOURCE_DEFAULT : CONFIG_SOURCE_STATIC);
            }
        }
    }
    arena_fini(&arena);
    done(&l);
}

static void names_in_the_environment(void **state)
{
    static const struct {
        const char *name, *key;
    } cases[] = {
        {"KAFKA_LOG_RETENTION_MS", "log.retention.ms"},
        {"KAFKA_ODRADEK_MEMORY", "odradek.memory"},
        {"KAFKA_ODRADEK_TEST_REFUSE__DIRECT", "odradek.test.refuse_direct"},
        {"KAFKA_A___B", "a-b"},
        {"KAFKA_A____B", "a-.b"},
        {"KAFKA_LISTENERS", "listeners"},
        {"KAFKA_", NULL},
        {"KAFKA", NULL},
        {"PATH", NULL},
        {"kafka_listeners", NULL},
        {"KAFKA_OPTS", NULL},
        {"KAFKA_HEAP_OPTS", NULL},
        {"KAFKA_PORT_9092_TCP_ADDR", NULL},
        {"KAFKA_SERVICE_HOST", NULL},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        char key[128] = "";
        assert_int_equal(config_environment_key(slice_cstr(cases[i].name), key, sizeof key),
                         cases[i].key != NULL);
        assert_string_equal(key, cases[i].key != NULL ? cases[i].key : "");
    }
    char tiny[8];
    assert_false(config_environment_key(slice_cstr("KAFKA_LOG_RETENTION_MS"), tiny, sizeof tiny));
}

static void the_environment_is_checked(void **state)
{
    static const char *const environment[] = {"KAFKA_NUM_PARTITIONS=many", "KAFKA_NUM_PARTITION=1",
                                              "KAFKA_ZOOKEEPER_CONNECT=z:1", "KAFKA_NOTHING", NULL};
    struct loaded l;
    load_all(&l, SLICE_LIT(""), environment, NULL, 0);
    assert_int_equal(l.problems.count, 3);
    expect_problem(&l, 0, MSG_config_value, "num.partitions cannot be \"many\"",
                   "environment KAFKA_NUM_PARTITIONS", "explain");
    expect_problem(&l, 1, MSG_config_unknown_key, "num.partition",
                   "environment KAFKA_NUM_PARTITION", "num.partitions?");
    expect_problem(&l, 2, MSG_config_ignored, "zookeeper.connect", "no ZooKeeper", "");
    done(&l);
}

/* ---- problems -------------------------------------------------------------------------------- */

static void keys_that_are_not_known(void **state)
{
    static const struct config_flag flags[] = {
        {SLICE_LIT("num.partition"), SLICE_LIT("6"), "--set"}};
    struct loaded l;
    load_all(&l,
             SLICE_LIT("# one\nnum.partition=3\nzookeeper.connect=localhost:2181\n"
                       "retention.ms=5\nquite.another.thing=1\nport=9092\n"),
             NULL, flags, 1);
    assert_int_equal(l.problems.count, 6);
    assert_int_equal(l.problems.warnings, 3);
    assert_int_equal(l.problems.errors, 1);
    expect_problem(&l, 0, MSG_config_unknown_key, "num.partition", ":2 sets it; it is ignored",
                   "did you mean num.partitions?");
    expect_problem(&l, 1, MSG_config_ignored, "zookeeper.connect", ":3 sets it", "");
    expect_problem(&l, 2, MSG_config_unknown_key, "retention.ms", ":4", "log.retention.ms");
    expect_problem(&l, 3, MSG_config_unknown_key, "quite.another.thing", ":5", "odradek docs");
    expect_problem(&l, 4, MSG_config_ignored, "port", "Use listeners", "");
    expect_problem(&l, 5, MSG_config_unknown_flag, "num.partition", "--set", "num.partitions?");
    done(&l);
}

static void values_that_do_not_fit(void **state)
{
    static const struct {
        const char *line, *what, *next;
    } cases[] = {
        {"message.max.bytes=1 gib", "\"1 gib\"", "message.max.bytes=1073741824"},
        {"log.segment.bytes=512MB", "\"512MB\"", "log.segment.bytes=536870912"},
        {"log.retention.ms=7d", "\"7d\"", "log.retention.ms=604800000"},
        {"log.retention.ms=90 minutes", "\"90 minutes\"", "log.retention.ms=5400000"},
        {"num.partitions=1e3", "\"1e3\"", "explain num.partitions; the default is 1"},
        {"num.partitions=-1", "\"-1\"", "explain"},
        {"num.partitions=99999999999999999999", "\"99999999999999999999\"", "explain"},
        {"num.partitions=", "\"\"", "explain"},
        {"auto.create.topics.enable=yes", "\"yes\"", "the default is true"},
        {"message.max.bytes=5 parsecs", "\"5 parsecs\"", "explain"},
        {"message.max.bytes=4gib", "\"4gib\"", "explain"}, /* not even as a number */
        {"odradek.io=fast", "\"fast\"", "the default is auto"},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l;
        load(&l, cases[i].line);
        assert_int_equal(l.problems.count, 1);
        expect_problem(&l, 0, MSG_config_value, cases[i].what, ":1 says so; its type is",
                       cases[i].next);
        done(&l);
    }
}

static void all_of_them_at_once(void **state)
{
    struct loaded l;
    load(&l, "num.partitions=none\nnum.partitions=2\nfoo=1\nlog.retention.ms=x\nbar=\\u1\nbaz=1");
    assert_int_equal(l.problems.count, 5);
    expect_problem(&l, 0, MSG_config_value, "none", ":1", "");
    expect_problem(&l, 1, MSG_config_twice, "num.partitions is set twice", ":1 and line 2", "");
    expect_problem(&l, 2, MSG_config_unknown_key, "foo", ":3", "");
    expect_problem(&l, 3, MSG_config_value, "\"x\"", ":4", "");
    expect_problem(&l, 4, MSG_config_syntax, "line 5 of", "four hexadecimal digits", "");
    assert_int_equal(config_i64(l.c, CONFIG_num_partitions), 2);
    done(&l);
}

static void a_file_of_nothing_but_mistakes(void **state)
{
    enum { LINES = CONFIG_PROBLEMS_MAX + 50 };
    static char text[LINES * 16];
    size_t at = 0;
    for (u32 i = 0; i < LINES; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "zzzzzzz%u=1\n", i);
    }
    struct loaded l;
    load(&l, text);
    assert_int_equal(l.problems.count, CONFIG_PROBLEMS_MAX);
    assert_int_equal(l.problems.warnings, LINES);
    assert_int_equal(l.problems.left_out, 50);
    done(&l);
}

static void load_path(struct loaded *l, const char *path)
{
    l->c = config_create();
    config_problems_init(&l->problems);
    const struct config_sources sources = {.file = path};
    config_load(l->c, &sources, &l->problems);
}

static void files_that_are_none(void **state)
{
    struct loaded l;
    load_path(&l, "/nowhere/at/all.properties");
    assert_int_equal(l.problems.errors, 1);
    expect_problem(&l, 0, MSG_config_file, "/nowhere/at/all", "no such file", "--config");
    done(&l);

    load_path(&l, "/tmp");
    expect_problem(&l, 0, MSG_config_file, "/tmp", "not a regular file", "");
    done(&l);

    char directory[] = "/tmp/odradek-config-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char path[96];
    snprintf(path, sizeof path, "%s/fifo", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    load_path(&l, path);
    expect_problem(&l, 0, MSG_config_file, "fifo", "not a regular file", "");
    done(&l);
    unlink(path);

    snprintf(path, sizeof path, "%s/large", directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), 1 << 30), 0); /* a GiB that takes no space */
    fclose(f);
    load_path(&l, path);
    expect_problem(&l, 0, MSG_config_file, "large", "larger than 1 MiB", "");
    done(&l);
    assert_int_equal(chmod(path, 0), 0);
    if (geteuid() != 0) {
        load_path(&l, path);
        expect_problem(&l, 0, MSG_config_file, "large", "may not read it", "");
        done(&l);
    }
    unlink(path);
    rmdir(directory);
}

static void the_data_directory(void **state)
{
    static const struct {
        const char *text, *directory;
    } cases[] = {
        {"", "./odradek-data"},
        {"log.dir=/a", "/a"},
        {"log.dir=/a\nlog.dirs=/b", "/b"},
        {"log.dir=/a\nlog.dirs=\n", "/a"},
        {"log.dirs= /c , /d", "/c"},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l;
        load(&l, cases[i].text);
        assert_true(slice_eq_cstr(config_data_directory(l.c), cases[i].directory));
        done(&l);
    }
}

/* ---- read again ------------------------------------------------------------------------------ */

struct told {
    char text[512];
};

static void told_changed(void *user, enum config_key key)
{
    struct told *t = user;
    size_t len = strlen(t->text);
    snprintf(t->text + len, sizeof t->text - len, "+%s ", config_rows[key].key);
}

static void told_restart(void *user, enum config_key key, struct slice wanted)
{
    struct told *t = user;
    size_t len = strlen(t->text);
    snprintf(t->text + len, sizeof t->text - len, "!%s=%.*s ", config_rows[key].key,
             (int)wanted.len, (const char *)wanted.ptr);
}

static void a_file_that_is_read_again(void **state)
{
    struct loaded old;
    struct loaded fresh;
    struct told told = {0};
    const struct config_change_fns fns = {told_changed, told_restart, &told};
    load(&old, "log.retention.ms=1000\nmax.connections=7\nnum.partitions=3\nnum.io.threads=2\n"
               "listeners=PLAINTEXT://:1\n");
    load(&fresh, "# moved\nlog.retention.ms=2000\nnum.partitions=4\nbackground.threads=3\n"
                 "listeners=PLAINTEXT://:2\ncontroller.quorum.voters=1@h:1\n");
    config_adopt(old.c, fresh.c, &fns);
    assert_string_equal(told.text, "+num.io.threads +background.threads "
                                   "!listeners=PLAINTEXT://:2 +max.connections !num.partitions=4 "
                                   "+log.retention.ms ");
    assert_int_equal(config_i64(old.c, CONFIG_log_retention_ms), 2000);
    assert_non_null(strstr(config_origin(old.c, CONFIG_log_retention_ms), ":2"));
    assert_int_equal(config_i64(old.c, CONFIG_num_partitions), 3);
    assert_false(config_is_set(old.c, CONFIG_max_connections));
    assert_int_equal(config_i64(old.c, CONFIG_max_connections), INT32_MAX);

    told.text[0] = '\0';
    struct loaded again;
    load(&again, "log.retention.ms=2000\nnum.partitions=3\nlisteners=PLAINTEXT://:1\n"
                 "background.threads=3\n");
    config_adopt(old.c, again.c, &fns);
    assert_string_equal(told.text, "");
    done(&again);
    done(&fresh);
    done(&old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_line_comes_first_then_the_environment),
        cmocka_unit_test(names_in_the_environment),
        cmocka_unit_test(the_environment_is_checked),
        cmocka_unit_test(keys_that_are_not_known),
        cmocka_unit_test(values_that_do_not_fit),
        cmocka_unit_test(all_of_them_at_once),
        cmocka_unit_test(a_file_of_nothing_but_mistakes),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(the_data_directory),
        cmocka_unit_test(a_file_that_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
