/* Whether there is an HTTP port: off, where it was set, where it cannot be; and a page through all
   of it, from a socket over the HTTP thread to the broker's loop and back. */
#include "broker/monitor.h"
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct monitor_problem problem;

static err_t monitor_try(struct harness *h, const char *where, struct monitor **out)
{
    harness_set(h, "odradek.http.listen", where);
    problem = (struct monitor_problem){0};
    return monitor_create(h->io, h->config, &problem, out);
}

static void where_it_listens(void **state)
{
    struct harness h;
    harness_up(&h);
    struct monitor *m = NULL;
    assert_int_equal(monitor_try(&h, "off", &m), OK);
    assert_null(m);
    monitor_destroy(m); /* of none */
    static const char *const wrong[] = {"8080", "host:", "host:x", "host:65536", "h:99999999999"};
    for (u32 i = 0; i < ARRAY_LEN(wrong); i++) {
        struct monitor_place place;
        harness_set(&h, "odradek.http.listen", wrong[i]);
        assert_false(monitor_where(h.config, &place));
    }
    assert_int_equal(monitor_try(&h, "127.0.0.1:0", &m), OK);
    char address[80];
    monitor_address(m, address, sizeof address);
    assert_memory_equal(address, "127.0.0.1:", 10);
    struct monitor *second = NULL;
    assert_int_equal(monitor_try(&h, address, &second), ERR_ADDRESS);
    assert_null(second);
    assert_int_equal(problem.code, MSG_start_listen);
    assert_non_null(strstr(problem.what, address));
    assert_non_null(strstr(problem.why, "Address already in use"));
    monitor_destroy(m);
    harness_fini(&h);
}

/* The answer to a GET, while the broker's loop turns. */
static struct slice get(struct harness *h, struct monitor *m, const char *path)
{
    char address[80];
    monitor_address(m, address, sizeof address);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((u16)strtoul(strchr(address, ':') + 1, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct slice request = harness_printf(h, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    assert_int_equal(send(fd, request.ptr, request.len, MSG_NOSIGNAL), request.len);
    static char answer[1 << 20];
    size_t have = 0;
    ssize_t got;
    do {
        harness_turn(h);
        got = recv(fd, answer + have, sizeof answer - have, MSG_DONTWAIT);
        have += got > 0 ? (size_t)got : 0;
    } while (got != 0);
    close(fd);
    return slice_of(answer, have);
}

static bool says(struct slice answer, const char *word)
{
    return memmem(answer.ptr, answer.len, word, strlen(word)) != NULL;
}

static void pages_through_the_loop(void **state)
{
    struct harness h;
    harness_up(&h);
    struct monitor *m = NULL;
    assert_int_equal(monitor_try(&h, "127.0.0.1:0", &m), OK);
    struct slice answer = get(&h, m, "/readyz?verbose");
    assert_true(says(answer, "503 ") && says(answer, "the broker is starting"));
    assert_true(says(get(&h, m, "/livez"), "200 OK"));
    assert_true(says(get(&h, m, "/metrics"), "503 "));
    assert_true(says(get(&h, m, "/v1/status/ready"), "{\"status\":\"booting\"}"));
    assert_true(says(get(&h, m, "/api/v1/clients"), "503 "));
    monitor_open(m, h.broker);
    while (!says(get(&h, m, "/readyz"), "200 OK")) {
        /* groups are loaded in the first turns */
    }
    assert_true(says(get(&h, m, "/v1/status/ready"), "{\"status\":\"ready\"}"));
    struct client *c = client_open(&h);
    topic_make(c, "t", 3);
    assert_true(says(get(&h, m, "/metrics"), "\nkafka_topic_partitions{topic=\"t\"} 3\n"));
    answer = get(&h, m, "/api/v1/clients");
    assert_true(says(answer, "Content-Type: application/json\r\n"));
    assert_true(says(answer, "\"connections\":1,") &&
                says(answer, "\"last_api\":\"CreateTopics\""));
    monitor_destroy(m);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_listens),
        cmocka_unit_test(pages_through_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
