/* What is counted of Produce and Fetch, by topic and in all: good, refused and repeated; that the
   counters of a deleted topic go and the total stays; times of requests. */
#include "broker/traffic.h"
#include "harness.h"

static struct topic_traffic of(struct harness *h, const struct topic *t)
{
    return traffic_of(h->broker->traffic, t->id);
}

static void produce_and_fetch_are_counted(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct topic other = topic_make(c, "other", 1);
    struct slice three = batch_plain(&h, 3);
    produce_ok(c, &t, 0, three);
    assert_int_equal(produce(c, &t, 7, three)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    i64 id = producer_id_new(c);
    struct batch_builder_options o = batch_idempotent(id, 0, 0);
    struct slice once = batch_with(&h, &o, 2, 10);
    produce_ok(c, &t, 1, once);
    produce_ok(c, &t, 1, once); /* a repeat is answered, not appended */
    struct topic_traffic at = of(&h, &t);
    assert_int_equal(at.messages_in, 5);
    assert_int_equal(at.bytes_in, three.len + once.len);
    assert_int_equal(at.produce_requests, 4);
    assert_int_equal(at.produce_failed, 1);
    assert_int_equal(at.bytes_out, 0);
    assert_int_equal(of(&h, &other).produce_requests, 0);

    assert_int_equal(fetch(c, &t, 0, 0)->error_code, KERR_NONE);
    assert_int_equal(fetch(c, &t, 0, 99)->error_code, KERR_OFFSET_OUT_OF_RANGE);
    at = of(&h, &t);
    assert_int_equal(at.fetch_requests, 2);
    assert_int_equal(at.fetch_failed, 1);
    assert_int_equal(at.bytes_out, three.len);
    produce_ok(c, &other, 0, three);
    assert_int_equal(traffic_total(h.broker->traffic).messages_in, 8);

    topic_delete(c, &t);
    assert_int_equal(of(&h, &t).messages_in, 0);
    assert_int_equal(traffic_total(h.broker->traffic).messages_in, 8);
    harness_fini(&h);
}

static u64 count_of(const struct metric_histogram *h)
{
    u64 count = 0;
    for (u32 i = 0; i < METRIC_BUCKETS; i++) {
        count += h->counts[i];
    }
    return count;
}

static void requests_are_timed(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    harness_turns(&h, 2); /* the answer's last byte may be accounted for after we have it */
    const struct request_times *times = traffic_times(h.broker->traffic);
    const struct request_times *produce_times = &times[api_find(API_produce) - api_rows];
    assert_int_equal(count_of(&produce_times->handle), 2);
    assert_int_equal(count_of(&produce_times->send), 2);
    assert_int_equal(count_of(&times[api_find(API_create_topics) - api_rows].handle), 1);
    assert_int_equal(count_of(&times[api_find(API_heartbeat) - api_rows].handle), 0);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(produce_and_fetch_are_counted),
        cmocka_unit_test(requests_are_timed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
