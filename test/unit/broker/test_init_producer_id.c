/* InitProducerId: an id is never given twice, over restarts and crashes; what is refused
 * [kafka-semantics.md 5]. */
#include "harness.h"

static struct init_producer_id_response *init(struct client *c, i16 version,
                                              const char *transactional_id, i64 id, i16 epoch)
{
    struct init_producer_id_request q = {
        .transaction_timeout_ms = 60000, .producer_id = -1, .producer_epoch = -1};
    if (transactional_id != NULL) {
        q.transactional_id = transactional_id[0] == 0 ? WIRE_EMPTY : text(transactional_id);
    }
    if (version >= 3) {
        q.producer_id = id;
        q.producer_epoch = epoch;
    }
    return CALL(c, init_producer_id, version, &q);
}

static void ids_are_never_given_twice(void **state)
{
    struct harness h;
    harness_up(&h);
    struct map64 given;
    map64_init(&given);
    u32 count = 0;
    for (u32 restart = 0; restart < 5; restart++) {
        struct client *c = client_open(&h);
        for (u32 i = 0; i < 1200; i++) { /* more than a block */
            i16 version = (i16)(i % 6);
            struct init_producer_id_response *r = init(c, version, NULL, -1, -1);
            assert_int_equal(r->error_code, KERR_NONE);
            assert_int_equal(r->producer_epoch, 0);
            assert_true(r->producer_id >= 0);
            assert_null(map64_get(&given, (u64)r->producer_id));
            map64_put(&given, (u64)r->producer_id, &given);
            count++;
        }
        (restart % 2 == 0 ? harness_crash : harness_stop)(&h);
        harness_start(&h);
    }
    assert_int_equal(count, given.count);
    map64_fini(&given);
    harness_fini(&h);
}

static void many_at_once(void **state)
{
    enum { CLIENTS = 30, EACH = 100 };
    struct harness h;
    harness_up(&h);
    struct client *clients[CLIENTS];
    struct init_producer_id_request q = {
        .transaction_timeout_ms = 1, .producer_id = -1, .producer_epoch = -1};
    for (u32 i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(&h);
        for (u32 k = 0; k < EACH; k++) {
            assert_int_equal(client_send(clients[i], API_init_producer_id, 0, &q), k + 1);
        }
    }
    struct map64 given;
    map64_init(&given);
    for (u32 i = 0; i < CLIENTS; i++) {
        if (i % 5 == 4) {
            client_reset(clients[i]); /* while it waits for a block, perhaps */
            continue;
        }
        for (u32 k = 0; k < EACH; k++) {
            struct init_producer_id_response *r =
                client_recv(clients[i], API_init_producer_id, 0, (i32)k + 1);
            assert_int_equal(r->error_code, KERR_NONE);
            assert_null(map64_get(&given, (u64)r->producer_id));
            map64_put(&given, (u64)r->producer_id, &given);
        }
    }
    map64_fini(&given);
    harness_fini(&h);
}

static void what_is_refused(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (i16 version = 3; version <= 5; version++) {
        assert_int_equal(init(c, version, NULL, 5, -1)->error_code, KERR_INVALID_REQUEST);
        assert_int_equal(init(c, version, NULL, -1, 5)->error_code, KERR_INVALID_REQUEST);
        /* Without a transactional id what the client had does not count. */
        struct init_producer_id_response *r = init(c, version, NULL, 5, 5);
        assert_int_equal(r->error_code, KERR_NONE);
        assert_int_equal(r->producer_epoch, 0);
    }
    for (i16 version = 0; version <= 5; version++) {
        struct init_producer_id_response *r = init(c, version, "", -1, -1);
        assert_int_equal(r->error_code, KERR_INVALID_REQUEST);
        assert_int_equal(r->producer_id, -1);
        assert_int_equal(r->producer_epoch, -1);
        /* Transactions are not served yet. */
        r = init(c, version, "transactional", -1, -1);
        assert_int_equal(r->error_code, KERR_UNSUPPORTED_VERSION);
        assert_int_equal(r->producer_id, -1);
    }
    client_expect_alive(c);
    harness_fini(&h);
}

/* Two-phase commit is unstable in Kafka 4.4: version 6 is not spoken. */
static void version_6_ends_the_connection(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct init_producer_id_request q = {
        .transaction_timeout_ms = 60000, .producer_id = -1, .producer_epoch = -1};
    client_send(c, API_init_producer_id, 6, &q);
    client_expect_end(c);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_never_given_twice),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(version_6_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
