/* The listening socket: where it is bound, what is refused and in which words; and which Host
   headers name the loopback. */
#include "../unit.h"
#include "http/listen.h"

#include <unistd.h>

static char reason[256];

static void a_free_port_is_taken_and_told(void **state)
{
    int fd;
    bool loopback = false;
    struct http_address bound;
    assert_int_equal(http_listen("127.0.0.1", 0, &fd, &bound, &loopback, reason, sizeof reason),
                     OK);
    assert_string_equal(bound.host, "127.0.0.1");
    assert_true(bound.port != 0);
    assert_true(loopback);
    struct http_address again;
    int second = -1;
    assert_int_equal(
        http_listen("127.0.0.1", bound.port, &second, &again, &loopback, reason, sizeof reason),
        ERR_ADDRESS);
    assert_non_null(strstr(reason, "Address already in use"));
    assert_int_equal(second, -1);
    close(fd);
}

static void every_interface_is_not_the_loopback(void **state)
{
    int fd;
    bool loopback = true;
    struct http_address bound;
    assert_int_equal(http_listen("", 0, &fd, &bound, &loopback, reason, sizeof reason), OK);
    assert_false(loopback);
    close(fd);
}

static void what_is_no_address_is_refused(void **state)
{
    int fd;
    bool loopback;
    struct http_address bound;
    assert_int_equal(http_listen("no such host", 0, &fd, &bound, &loopback, reason, sizeof reason),
                     ERR_ADDRESS);
    assert_non_null(strstr(reason, "no such host"));
    /* 192.0.2.0/24 is nobody's [RFC 5737]. */
    assert_int_equal(http_listen("192.0.2.1", 0, &fd, &bound, &loopback, reason, sizeof reason),
                     ERR_IO);
    assert_non_null(strstr(reason, "192.0.2.1"));
}

static void hosts_of_the_loopback(void **state)
{
    static const struct {
        const char *host;
        bool loopback;
    } rows[] = {
        {"localhost", true},
        {"LocalHost:8080", true},
        {"127.0.0.1", true},
        {"127.8.9.1:80", true},
        {"[::1]", true},
        {"[::1]:8080", true},
        {" localhost ", true},
        {"", false},
        {"example.org", false},
        {"localhost.example.org", false},
        {"128.0.0.1", false},
        {"10.0.0.1:8080", false},
        {"[::2]:80", false},
        {"[", false},
        {"127.0.0.1.nip.io", false},
        {":8080", false},
        {"127.0.0.999", false},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (http_host_is_loopback(rows[i].host) != rows[i].loopback) {
            fail_msg("%s", rows[i].host);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_free_port_is_taken_and_told),
        cmocka_unit_test(every_interface_is_not_the_loopback),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(hosts_of_the_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
