/* listeners, advertised.listeners and their protocols: what is taken, and each way to be refused,
   with the place it comes from [reliability.md, catalogue 103, 104]. */
#include "../unit.h"
#include "broker/config_listeners.h"
#include "broker/config_rows.h"

struct listening {
    struct config *c;
    struct config_listeners got;
    struct config_problems problems;
};

static void set(struct config *c, enum config_key key, const char *value, const char *origin)
{
    if (value != NULL) {
        config_layer_set(c, key, CONFIG_LAYER_FILE, slice_cstr(value), origin);
    }
}

static void read_all(struct listening *l, const char *listeners, const char *advertised,
                     const char *map, const char *controllers)
{
    l->c = config_create();
    config_problems_init(&l->problems);
    set(l->c, CONFIG_listeners, listeners, "a.properties:1");
    set(l->c, CONFIG_advertised_listeners, advertised, "a.properties:2");
    set(l->c, CONFIG_listener_security_protocol_map, map, "a.properties:3");
    set(l->c, CONFIG_controller_listener_names, controllers, "a.properties:4");
    config_listeners_read(l->c, &l->got, &l->problems);
}

static void done(struct listening *l)
{
    config_problems_fini(&l->problems);
    config_destroy(l->c);
}

static void expect_listener(const struct listening *l, u32 index, const char *name,
                            const char *host, u16 port)
{
    assert_true(index < l->got.count);
    assert_string_equal(l->got.items[index].name, name);
    assert_string_equal(l->got.items[index].host, host);
    assert_int_equal(l->got.items[index].port, port);
}

static void the_default(void **state)
{
    struct listening l;
    read_all(&l, NULL, NULL, NULL, NULL);
    assert_int_equal(l.problems.count, 0);
    assert_int_equal(l.got.count, 1);
    expect_listener(&l, 0, "PLAINTEXT", "127.0.0.1", 9092);
    assert_int_equal(l.got.items[0].advertised_port, 0);
    done(&l);
}

static void several(void **state)
{
    struct listening l;
    read_all(&l, "inside://:9092, OUTSIDE://[::1]:19092 ,third://10.0.0.1:0",
             "INSIDE://inside.example:9092,outside://[2001:db8::7]:443",
             "inside:plaintext,OUTSIDE:PLAINTEXT,THIRD:PLAINTEXT", NULL);
    assert_int_equal(l.problems.count, 0);
    assert_int_equal(l.got.count, 3);
    expect_listener(&l, 0, "INSIDE", "", 9092);
    expect_listener(&l, 1, "OUTSIDE", "::1", 19092);
    expect_listener(&l, 2, "THIRD", "10.0.0.1", 0);
    assert_string_equal(l.got.items[0].advertised_host, "inside.example");
    assert_int_equal(l.got.items[0].advertised_port, 9092);
    assert_string_equal(l.got.items[1].advertised_host, "2001:db8::7");
    assert_int_equal(l.got.items[1].advertised_port, 443);
    assert_int_equal(l.got.items[2].advertised_port, 0);
    done(&l);
}

/* The file that comes with Apache Kafka: broker and controller in one process. */
static void listeners_of_a_controller_are_left_out(void **state)
{
    struct listening l;
    read_all(&l, "PLAINTEXT://:9092,CONTROLLER://:9093",
             "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
             "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL", "CONTROLLER");
    assert_int_equal(l.problems.count, 0);
    assert_int_equal(l.got.count, 1);
    expect_listener(&l, 0, "PLAINTEXT", "", 9092);
    assert_string_equal(l.got.items[0].advertised_host, "localhost");
    done(&l);
}

static void different_addresses_may_share_a_port(void **state)
{
    static const char *const good[] = {
        "A://10.0.0.1:9092,B://10.0.0.2:9092",
        "A://10.0.0.1:9092,B://[::1]:9092",
        "A://0.0.0.0:9092,B://[::1]:9092",
        "A://10.0.0.1:0,B://10.0.0.1:0",
        "A://:0,B://:0",
    };
    static const char *const clashing[] = {
        "A://10.0.0.1:9092,B://10.0.0.1:9092", "A://:9092,B://10.0.0.1:9092",
        "A://10.0.0.1:9092,B://:9092",         "A://[::]:9092,B://10.0.0.1:9092",
        "A://0.0.0.0:9092,B://10.0.0.1:9092",  "A://0.0.0.0:9092,B://[::]:9092",
        "A://[::]:9092,B://0.0.0.0:9092",      "A://:9092,B://:9092",
    };
    struct listening l;
    for (u32 i = 0; i < ARRAY_LEN(good); i++) {
        read_all(&l, good[i], NULL, "A:PLAINTEXT,B:PLAINTEXT", NULL);
        assert_int_equal(l.problems.count, 0);
        assert_int_equal(l.got.count, 2);
        done(&l);
    }
    for (u32 i = 0; i < ARRAY_LEN(clashing); i++) {
        read_all(&l, clashing[i], NULL, "A:PLAINTEXT,B:PLAINTEXT", NULL);
        assert_int_equal(l.problems.errors, 1);
        assert_int_equal(l.problems.items[0].code, MSG_config_listener);
        assert_non_null(strstr(l.problems.items[0].what, "same port 9092"));
        done(&l);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *listeners, *advertised, *map;
        enum diag_code code;
        const char *what, *why;
    } cases[] = {
        {"", NULL, NULL, MSG_config_listener, "no listener for clients", "a.properties:1"},
        {"127.0.0.1:9092", NULL, NULL, MSG_config_listener, "it has no name", "a.properties:1"},
        {"://h:1", NULL, NULL, MSG_config_listener, "it has no name", ""},
        {"PLAINTEXT://h", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://h:", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://h:x", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://h:-1", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://::1:9092", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://a b:9092", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://h:65536", NULL, NULL, MSG_config_listener, "up to 65535", ""},
        {"PLAINTEXT://h:99999999999", NULL, NULL, MSG_config_listener, "no HOST:PORT", ""},
        {"PLAINTEXT://h:1,PLAINTEXT://h:2", NULL, NULL, MSG_config_listener,
         "two listeners are named PLAINTEXT", "a.properties:1"},
        {"SSL://h:1", NULL, NULL, MSG_config_unprotected, "asks for SSL", "a.properties:1"},
        {"SASL_PLAINTEXT://h:1", NULL, NULL, MSG_config_unprotected, "asks for SASL_PLAINTEXT", ""},
        {"X://h:1", NULL, "X:SASL_SSL", MSG_config_unprotected, "asks for SASL_SSL", ""},
        {"X://h:1", NULL, NULL, MSG_config_listener, "has no security protocol", "the default"},
        {"X://h:1", NULL, "X:TELNET", MSG_config_listener, "\"TELNET\", which is none",
         "a.properties:3"},
        {NULL, "PLAINTEXT://0.0.0.0:9092", NULL, MSG_config_advertised, "every interface",
         "a.properties:2"},
        {NULL, "PLAINTEXT://[::]:9092", NULL, MSG_config_advertised, "every interface", ""},
        {NULL, "PLAINTEXT://:9092", NULL, MSG_config_advertised, "it has no host", ""},
        {NULL, "PLAINTEXT://h:0", NULL, MSG_config_advertised, "port 0", ""},
        {NULL, "PLAINTEXT://h:1,PLAINTEXT://g:1", NULL, MSG_config_advertised, "has one already",
         ""},
        {NULL, "OTHER://h:1", NULL, MSG_config_advertised, "there is no listener OTHER",
         "a.properties:2"},
        {NULL, "h:1", NULL, MSG_config_advertised, "it has no name", ""},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct listening l;
        read_all(&l, cases[i].listeners, cases[i].advertised, cases[i].map, NULL);
        if (l.problems.count != 1 || l.problems.items[0].code != cases[i].code ||
            strstr(l.problems.items[0].what, cases[i].what) == NULL ||
            strstr(l.problems.items[0].why, cases[i].why) == NULL ||
            l.problems.items[0].next[0] == '\0') {
            fail_msg("case %u: %u problems, %s / %s", i, l.problems.count,
                     l.problems.count > 0 ? l.problems.items[0].what : "",
                     l.problems.count > 0 ? l.problems.items[0].why : "");
        }
        done(&l);
    }
}

static void all_problems_at_once(void **state)
{
    struct listening l;
    read_all(&l, "nonsense,SSL://h:1,X://h:2", "PLAINTEXT://0.0.0.0:1,Y", NULL, NULL);
    assert_int_equal(l.problems.errors, 5);
    done(&l);
}

static void too_many(void **state)
{
    char listeners[1024] = "";
    char map[1024] = "";
    size_t at = 0;
    size_t map_at = 0;
    for (u32 i = 0; i <= CONFIG_LISTENERS_MAX; i++) {
        at += (size_t)snprintf(listeners + at, sizeof listeners - at, "%sL%u://h:%u",
                               i > 0 ? "," : "", i, i + 1);
        map_at += (size_t)snprintf(map + map_at, sizeof map - map_at, "%sL%u:PLAINTEXT",
                                   i > 0 ? "," : "", i);
    }
    struct listening l;
    read_all(&l, listeners, NULL, map, NULL);
    assert_int_equal(l.problems.errors, 1);
    assert_non_null(strstr(l.problems.items[0].what, "more than 16"));
    assert_int_equal(l.got.count, CONFIG_LISTENERS_MAX);
    done(&l);
}

static void names_and_hosts_that_are_too_long(void **state)
{
    char text[512];
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct listening l;
    snprintf(text, sizeof text, "PLAINTEXT://%s:1", longest);
    read_all(&l, text, NULL, NULL, NULL);
    assert_int_equal(l.problems.errors, 1);
    done(&l);
    snprintf(text, sizeof text, "%s://h:1", longest);
    read_all(&l, text, NULL, NULL, NULL);
    assert_int_equal(l.problems.errors, 1);
    assert_non_null(strstr(l.problems.items[0].what, "too long"));
    done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default),
        cmocka_unit_test(several),
        cmocka_unit_test(listeners_of_a_controller_are_left_out),
        cmocka_unit_test(different_addresses_may_share_a_port),
        cmocka_unit_test(refused),
        cmocka_unit_test(all_problems_at_once),
        cmocka_unit_test(too_many),
        cmocka_unit_test(names_and_hosts_that_are_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
