/* Values that are each good and together are not: every rule of config_check.c, what it says, and
   that Apache Kafka's own file for a broker and controller in one passes. */
#include "../unit.h"
#include "broker/config_rows.h"
#include "broker/config_sources.h"

static void set(struct config *c, const char *key, const char *value)
{
    char reason[512];
    if (config_set(c, slice_cstr(key), slice_cstr(value), reason, sizeof reason) != OK) {
        fail_msg("%s", reason);
    }
}

/* "KEY=VALUE KEY=VALUE" */
static struct config *config_of(const char *settings)
{
    struct config *c = config_create();
    char text[512];
    snprintf(text, sizeof text, "%s", settings);
    char *save = NULL;
    for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(word, '=');
        assert_non_null(equals);
        *equals = '\0';
        set(c, word, equals + 1);
    }
    return c;
}

static void rules(void **state)
{
    static const struct {
        const char *settings;
        enum diag_code code; /* 0: nothing is wrong */
        const char *what, *why;
    } cases[] = {
        {"", 0, "", ""},
        {"group.min.session.timeout.ms=7000 group.max.session.timeout.ms=6999",
         MSG_config_contradiction,
         "group.min.session.timeout.ms is larger than group.max.session.timeout.ms",
         "group.min.session.timeout.ms=7000 (the configuration file), "
         "group.max.session.timeout.ms=6999"},
        {"group.min.session.timeout.ms=7000 group.max.session.timeout.ms=7000", 0, "", ""},
        {"group.min.session.timeout.ms=2000000", MSG_config_contradiction, "is larger than",
         "group.max.session.timeout.ms=1800000 (the default)"},
        {"log.retention.ms=0", MSG_config_contradiction, "no time at all", "log.retention.ms=0"},
        {"log.retention.hours=0", MSG_config_contradiction, "no time at all", ""},
        {"log.retention.ms=-1 log.retention.hours=0", 0, "", ""},
        {"log.retention.minutes=0 log.retention.hours=5", MSG_config_contradiction, "no time", ""},
        {"odradek.memory=1048576", MSG_start_memory, "too small", "odradek.memory=1048576"},
        {"odradek.memory=16777216", 0, "", ""},
        {"message.max.bytes=2000 socket.request.max.bytes=1000", MSG_config_odd, "cannot arrive",
         "socket.request.max.bytes=1000"},
        {"num.partitions=100001", MSG_config_contradiction, "no topic", "100000"},
        {"log.dirs=/a,/b", MSG_config_contradiction, "more than one data directory",
         "log.dirs=/a,/b"},
        {"log.dir=", MSG_config_contradiction, "no data directory", ""},
        {"authorizer.class.name=org.x.Y", MSG_config_unprotected, "access rules", "org.x.Y"},
        {"remote.log.storage.system.enable=true", MSG_config_contradiction, "remote storage", ""},
        {"process.roles=controller", MSG_config_contradiction, "of a controller",
         "process.roles=controller"},
        {"process.roles=controller,broker", 0, "", ""},
        {"node.id=1 broker.id=1", 0, "", ""},
        {"node.id=4", MSG_config_odd, "the id of this broker is 1", "node.id=4"},
        {"listeners=SSL://:9093", MSG_config_unprotected, "asks for SSL", ""},
        {"max.connections.per.ip.overrides=localhost:3", MSG_config_value, "localhost:3",
         "ADDRESS:COUNT"},
        {"odradek.http.listen=host:65536", MSG_config_value, "is not HOST:PORT",
         "odradek.http.listen=host:65536"},
        {"odradek.http.listen=off", 0, "", ""},
        {"odradek.http.listen=[::1]:0", 0, "", ""},
        {"num.io.threads=9", MSG_config_ignored, "num.io.threads has no effect here",
         "the configuration file sets it"},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *c = config_of(cases[i].settings);
        struct config_problems p;
        config_problems_init(&p);
        config_check(c, &p);
        bool good = cases[i].code == 0 ? p.count == 0
                                       : p.count == 1 && p.items[0].code == cases[i].code &&
                                             strstr(p.items[0].what, cases[i].what) != NULL &&
                                             strstr(p.items[0].why, cases[i].why) != NULL;
        if (!good) {
            fail_msg("%s: %u problems, %s / %s", cases[i].settings, p.count,
                     p.count > 0 ? p.items[0].what : "", p.count > 0 ? p.items[0].why : "");
        }
        config_problems_fini(&p);
        config_destroy(c);
    }
}

static void all_at_once(void **state)
{
    struct config *c = config_of("log.retention.ms=0 odradek.memory=1 listeners=SSL://:1 node.id=2 "
                                 "authorizer.class.name=x log.dirs=/a,/b");
    struct config_problems p;
    config_problems_init(&p);
    config_check(c, &p);
    assert_int_equal(p.errors, 5);
    assert_int_equal(p.warnings, 1);
    config_problems_fini(&p);
    config_destroy(c);
}

static char printed[4096];
static void print(const char *text)
{
    size_t len = strlen(printed);
    snprintf(printed + len, sizeof printed - len, "%s", text);
}

static void what_is_printed(void **state)
{
    struct config *c = config_of("node.id=2 num.io.threads=3 log.retention.ms=0");
    struct config_problems p;
    config_problems_init(&p);
    config_check(c, &p);
    printed[0] = '\0';
    config_problems_print(&p, DIAG_WARN, print);
    assert_non_null(strstr(printed, "error ODK-5105: records would be kept for no time at all\n  "
                                    "log.retention.ms=0 (the configuration file)\n  next: "));
    assert_non_null(strstr(printed, "warn ODK-5110: "));
    assert_null(strstr(printed, "num.io.threads"));
    printed[0] = '\0';
    config_problems_print(&p, DIAG_INFO, print);
    assert_non_null(strstr(printed, "note ODK-5104: num.io.threads has no effect here\n"));
    config_problems_fini(&p);
    config_destroy(c);
}

/* What config/server.properties of Apache Kafka 4 sets. */
static void kafka_s_own_file(void **state)
{
    struct config *c = config_of(
        "process.roles=broker,controller node.id=1 "
        "controller.quorum.bootstrap.servers=localhost:9093 "
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093 inter.broker.listener.name=PLAINTEXT "
        "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093 "
        "controller.listener.names=CONTROLLER");
    set(c, "listener.security.protocol.map",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,"
        "SASL_SSL:SASL_SSL");
    set(c, "num.network.threads", "3");
    set(c, "socket.request.max.bytes", "104857600");
    set(c, "log.dirs", "/tmp/kraft-combined-logs");
    set(c, "offsets.topic.replication.factor", "1");
    set(c, "log.retention.hours", "168");
    struct config_problems p;
    config_problems_init(&p);
    config_check(c, &p);
    assert_int_equal(p.errors, 0);
    assert_int_equal(p.warnings, 0);
    assert_true(p.count > 0); /* notes about what has no effect */
    config_problems_fini(&p);
    config_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(what_is_printed),
        cmocka_unit_test(kafka_s_own_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
