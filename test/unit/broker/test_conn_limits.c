/* How many connections there may be, how fast they may come and how long they may be idle: each
   limit is reached, refuses, says so, is counted, and is raised or lowered under way. */
#include "broker/config_sources.h"
#include "broker/conn.h"
#include "harness.h"

#include <sys/resource.h>
#include <unistd.h>

static i16 try_dynamic(struct client *c, const char *key, const char *value)
{
    struct incremental_alter_configs_request *q = NEW(c->h, incremental_alter_configs_request, 1);
    q->resources.count = 1;
    q->resources.items = NEW(c->h, incremental_alter_configs_request_resource, 1);
    struct incremental_alter_configs_request_resource *resource = q->resources.items;
    resource->resource_type = 4; /* BROKER; no name: of the cluster */
    resource->resource_name = text("");
    resource->configs.count = 1;
    resource->configs.items = NEW(c->h, incremental_alter_configs_request_alterable_config, 1);
    resource->configs.items[0].name = text(key);
    resource->configs.items[0].value = text(value);
    const struct incremental_alter_configs_response *response =
        CALL(c, incremental_alter_configs, 1, q);
    return response->responses.items[0].error_code;
}

static void set_dynamic(struct client *c, const char *key, const char *value)
{
    assert_int_equal(try_dynamic(c, key, value), KERR_NONE);
}

static struct slice described(struct client *c, const char *key)
{
    struct describe_configs_request *q = NEW(c->h, describe_configs_request, 1);
    q->resources.count = 1;
    q->resources.items = NEW(c->h, describe_configs_request_resource, 1);
    q->resources.items[0].resource_type = 4;
    q->resources.items[0].resource_name = text("1");
    const struct describe_configs_response *response = CALL(c, describe_configs, 4, q);
    const struct describe_configs_response_result *result = response->results.items;
    assert_int_equal(result->error_code, KERR_NONE);
    for (u32 i = 0; i < result->configs.count; i++) {
        if (slice_eq_cstr(result->configs.items[i].name, key)) {
            return result->configs.items[i].value;
        }
    }
    fail_msg("%s is not described", key);
    return (struct slice){0};
}

static void up_with(struct harness *h, const char *key, const char *value)
{
    harness_init(h);
    harness_set(h, key, value);
    harness_start(h);
}

static u64 counted(enum metric m)
{
    return metric_slots[m];
}

/* ---- by address ------------------------------------------------------------------------------ */

static void one_address_has_no_more_than_its_share(void **state)
{
    struct harness h;
    up_with(&h, "max.connections.per.ip", "5");
    u64 refused = counted(METRIC_connections_refused_total);
    struct client *all[5];
    for (u32 i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = client_open(&h);
        client_expect_alive(all[i]);
    }
    struct client *sixth = client_open(&h);
    client_expect_end(sixth);
    assert_true(harness_said("too_many_from_address"));
    assert_true(harness_said("127.0.0.1"));
    assert_int_equal(counted(METRIC_connections_refused_total), refused + 1);
    client_expect_alive(client_open_from(&h, "127.0.0.9")); /* another's share */

    client_close(all[2]);
    while (h.broker->conn_count > 5) {
        harness_turn(&h);
    }
    client_expect_alive(client_open(&h)); /* there is room again */
    assert_true(slice_eq_cstr(described(all[0], "max.connections.per.ip"), "5"));
    harness_fini(&h);
}

static void single_addresses_have_limits_of_their_own(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "max.connections.per.ip", "1");
    harness_set(&h, "max.connections.per.ip.overrides", "127.0.0.2:3, 127.0.0.3:0,[::1]:7");
    harness_start(&h);
    struct client *plain = client_open(&h);
    client_expect_alive(plain);
    client_expect_end(client_open(&h));
    for (u32 i = 0; i < 3; i++) {
        client_expect_alive(client_open_from(&h, "127.0.0.2"));
    }
    client_expect_end(client_open_from(&h, "127.0.0.2"));
    client_expect_end(client_open_from(&h, "127.0.0.3"));

    const char *key = "max.connections.per.ip.overrides";
    assert_int_equal(try_dynamic(plain, key, "127.0.0.3:4,nonsense"), KERR_INVALID_REQUEST);
    assert_int_equal(try_dynamic(plain, key, "127.0.0.3:x"), KERR_INVALID_REQUEST);
    client_expect_end(client_open_from(&h, "127.0.0.3"));
    set_dynamic(plain, key, "127.0.0.2:4");
    client_expect_alive(client_open_from(&h, "127.0.0.2"));
    client_expect_end(client_open_from(&h, "127.0.0.2"));
    client_expect_alive(client_open_from(&h, "127.0.0.3")); /* it has none any more */
    set_dynamic(plain, "max.connections.per.ip", "2");
    client_expect_alive(client_open_from(&h, "127.0.0.3"));
    client_expect_end(client_open_from(&h, "127.0.0.3"));
    harness_fini(&h);
}

static void overrides_that_cannot_be_read_refuse_the_start(void **state)
{
    static const char *const bad[] = {"localhost:5",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:5x",
                                      ":5",
                                      "10.0.0.1:5,,10.0.0.2:5",
                                      "10.0.0.1:2147483648",
                                      "10.0.0.1:99999999999999999999"};
    for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
        struct config *c = config_create();
        char reason[256];
        assert_int_equal(config_set(c, slice_cstr("max.connections.per.ip.overrides"),
                                    slice_cstr(bad[i]), reason, sizeof reason),
                         OK);
        struct config_problems problems;
        config_problems_init(&problems);
        config_check(c, &problems);
        assert_int_equal(problems.errors, 1);
        assert_non_null(strstr(problems.items[0].what, "max.connections.per.ip.overrides"));
        config_problems_fini(&problems);
        config_destroy(c);
    }
    struct slice wrong;
    assert_true(conn_overrides_valid(text(""), &wrong));
    assert_true(conn_overrides_valid(text("10.0.0.1:2147483647 , ::1 : 4"), &wrong));
}

/* ---- in all ---------------------------------------------------------------------------------- */

static void at_the_limit_the_next_one_waits(void **state)
{
    struct harness h;
    up_with(&h, "max.connections", "3");
    u64 pauses = counted(METRIC_accept_pauses_total);
    struct client *first = client_open(&h);
    struct client *second = client_open(&h);
    client_expect_alive(first);
    client_expect_alive(second);
    client_expect_alive(client_open(&h));
    assert_int_equal(counted(METRIC_accept_pauses_total), pauses + 1);
    assert_true(harness_said("max.connections"));
    struct client *fourth = client_open(&h);
    client_expect_silence(fourth);
    assert_int_equal(h.broker->conn_count, 3);
    client_close(first);
    client_expect_alive(fourth);

    struct client *fifth = client_open(&h);
    client_expect_silence(fifth);
    set_dynamic(second, "max.connections", "5"); /* raised: in force at once */
    client_expect_alive(fifth);
    assert_int_equal(h.broker->conn_count, 4);
    harness_fini(&h);
}

static void a_stop_while_accepting_is_paused(void **state)
{
    struct harness h;
    up_with(&h, "max.connections", "1");
    client_expect_alive(client_open(&h));
    assert_true(h.broker->accept_paused);
    struct client *waiting = client_open(&h);
    client_expect_silence(waiting);
    harness_stop(&h);
    harness_start(&h);
    client_expect_alive(client_open(&h));
    harness_fini(&h);
}

static void a_lowered_limit_closes_the_least_recently_active(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *all[6];
    for (u32 i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = client_open(&h);
        client_expect_alive(all[i]);
    }
    client_expect_alive(all[0]); /* not the oldest any more */
    client_expect_alive(all[2]);
    set_dynamic(all[5], "max.connections", "3");
    client_expect_end(all[1]);
    client_expect_end(all[3]);
    client_expect_end(all[4]);
    client_expect_alive(all[0]);
    client_expect_alive(all[2]);
    client_expect_alive(all[5]);
    harness_fini(&h);
}

static void many_at_once_do_not_pass_the_limit(void **state)
{
    struct harness h;
    up_with(&h, "max.connections", "10");
    struct client *all[100];
    for (u32 i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = client_open(&h);
    }
    for (u32 i = 0; i < ARRAY_LEN(all); i++) {
        client_expect_alive(all[i]);
        assert_true(h.broker->conn_count <= 10);
        client_close(all[i]);
    }
    harness_fini(&h);
}

/* ---- by pace --------------------------------------------------------------------------------- */

static void the_creation_rate_is_kept(void **state)
{
    struct harness h;
    up_with(&h, "max.connection.creation.rate", "10");
    harness_skip_ms(&h, 11000); /* the line is not one of too many */
    struct client *all[25];
    for (u32 i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = client_open(&h);
    }
    harness_turns(&h, 5);
    assert_true(h.broker->conn_count >= 10 && h.broker->conn_count < 15);
    assert_true(h.broker->accept_paused);
    assert_true(harness_said("max.connection.creation.rate"));
    harness_skip_ms(&h, 500);
    harness_turns(&h, 10);
    assert_true(h.broker->conn_count < 25);
    harness_skip_ms(&h, 1500);
    client_expect_alive(all[24]);
    assert_int_equal(h.broker->conn_count, 25);
    set_dynamic(all[0], "max.connection.creation.rate", "0");
    struct client *more = client_open(&h);
    client_expect_silence(more);
    harness_skip_ms(&h, 5000);
    client_expect_silence(more);
    set_dynamic(all[0], "max.connection.creation.rate", "1000");
    client_expect_alive(more);
    harness_fini(&h);
}

/* ---- idle ------------------------------------------------------------------------------------ */

static void who_says_nothing_is_closed(void **state)
{
    struct harness h;
    up_with(&h, "connections.max.idle.ms", "60000");
    u64 closed = counted(METRIC_connections_idle_closed_total);
    struct client *silent = client_open(&h);
    struct client *quiet = client_open(&h);
    struct client *busy = client_open(&h);
    client_expect_alive(quiet);
    client_expect_alive(busy);
    for (u32 i = 0; i < 5; i++) {
        harness_skip_ms(&h, 11000);
        client_expect_alive(busy);
    }
    client_expect_silence(silent);
    client_expect_silence(quiet);
    harness_skip_ms(&h, 6000);
    client_expect_end(silent);
    client_expect_end(quiet);
    client_expect_alive(busy);
    assert_int_equal(counted(METRIC_connections_idle_closed_total), closed + 2);
    harness_skip_ms(&h, 61000);
    client_expect_end(busy);
    assert_int_equal(h.broker->conn_count, 0);
    client_expect_alive(client_open(&h)); /* and the next is watched again */
    harness_skip_ms(&h, 61000);
    assert_int_equal(h.broker->conn_count, 0);
    harness_fini(&h);
}

static void a_parked_fetch_is_not_idle(void **state)
{
    struct harness h;
    up_with(&h, "connections.max.idle.ms", "1000");
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "parked", 1);
    struct fetch_wish wish = {.leader_epoch = -1, .last_fetched_epoch = -1};
    struct fetch_request *q = fetch_of(&h, &t, &wish, 1);
    q->max_wait_ms = 30000;
    q->min_bytes = 1;
    i32 id = client_send(c, API_fetch, 12, q);
    harness_turns(&h, 5);
    for (u32 i = 0; i < 10; i++) {
        harness_skip_ms(&h, 2000);
    }
    assert_false(c->ended);
    harness_skip_ms(&h, 11000);
    const struct fetch_response *response = client_recv(c, API_fetch, 12, id);
    assert_int_equal(fetch_row(response, 0, 0)->error_code, KERR_NONE);
    harness_skip_ms(&h, 1100); /* answered: from now on it is */
    client_expect_end(c);
    harness_fini(&h);
}

static bool somebody_does_not_read(const struct harness *h)
{
    bool full = false;
    LIST_EACH (&h->broker->conns, node) {
        full |= CONTAINER_OF(node, struct conn, node)->want_send;
    }
    return full;
}

static void who_does_not_read_is_idle(void **state)
{
    struct harness h;
    up_with(&h, "connections.max.idle.ms", "60000");
    struct client *keeper = client_open(&h);
    struct topic t = topic_make(keeper, "unread", 1);
    struct batch_builder_options o = batch_builder_plain();
    struct slice large = batch_with(&h, &o, 10, 80000);
    for (u32 i = 0; i < 10; i++) {
        produce_ok(keeper, &t, 0, large);
    }
    struct client *reader = client_open_narrow(&h);
    struct fetch_wish wish = {
        .leader_epoch = -1, .last_fetched_epoch = -1, .partition_max_bytes = 10 << 20};
    client_send(reader, API_fetch, 12, fetch_of(&h, &t, &wish, 1));
    /* What the socket takes has left, whether it was read from disk or not. */
    for (u32 full = 0; full < 20; full++) {
        harness_turn(&h);
        full = somebody_does_not_read(&h) ? full : 0;
    }
    harness_skip_ms(&h, 59000);
    client_expect_alive(keeper);
    assert_int_equal(h.broker->conn_count, 2);
    harness_skip_ms(&h, 2000);
    assert_int_equal(h.broker->conn_count, 1);
    assert_int_equal(h.broker->request_pool.count, 0);
    client_expect_alive(keeper);
    harness_fini(&h);
}

static void idle_closing_can_be_switched_off(void **state)
{
    struct harness h;
    up_with(&h, "connections.max.idle.ms", "-1");
    struct client *c = client_open(&h);
    client_expect_alive(c);
    harness_skip_ms(&h, 30ll * 24 * 3600 * 1000);
    client_expect_alive(c);
    harness_fini(&h);
}

/* ---- nothing left ---------------------------------------------------------------------------- */

/* No memory for one more connection: it is closed, the others go on. */
static void out_of_memory_at_accept(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    client_expect_alive(c);
    u32 count_max = h.broker->conn_pool.count_max;
    h.broker->conn_pool.count_max = 1;
    client_expect_end(client_open(&h));
    assert_true(harness_said("connection_no_memory"));
    h.broker->conn_pool.count_max = count_max;
    u32 peers_max = h.broker->peer_pool.count_max;
    h.broker->peer_pool.count_max = 1;
    client_expect_end(client_open_from(&h, "127.0.0.7")); /* a second address */
    h.broker->peer_pool.count_max = peers_max;
    client_expect_alive(client_open_from(&h, "127.0.0.7"));
    client_expect_alive(c);
    harness_fini(&h);
}

/* Out of descriptors: whoever comes is told at once, those who are there are served. */
static void out_of_descriptors_at_accept(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    client_expect_alive(c);
    u64 refused = counted(METRIC_connections_refused_total);
    struct client *more = client_open(&h); /* the kernel's, not yet the broker's */
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    close(next);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    client_expect_end(more);
    assert_int_equal(counted(METRIC_connections_refused_total), refused + 1);
    assert_true(harness_said("out_of_descriptors"));
    client_expect_alive(c);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    client_expect_alive(client_open(&h));
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_has_no_more_than_its_share),
        cmocka_unit_test(single_addresses_have_limits_of_their_own),
        cmocka_unit_test(overrides_that_cannot_be_read_refuse_the_start),
        cmocka_unit_test(at_the_limit_the_next_one_waits),
        cmocka_unit_test(a_stop_while_accepting_is_paused),
        cmocka_unit_test(a_lowered_limit_closes_the_least_recently_active),
        cmocka_unit_test(many_at_once_do_not_pass_the_limit),
        cmocka_unit_test(the_creation_rate_is_kept),
        cmocka_unit_test(who_says_nothing_is_closed),
        cmocka_unit_test(a_parked_fetch_is_not_idle),
        cmocka_unit_test(who_does_not_read_is_idle),
        cmocka_unit_test(idle_closing_can_be_switched_off),
        cmocka_unit_test(out_of_memory_at_accept),
        cmocka_unit_test(out_of_descriptors_at_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
