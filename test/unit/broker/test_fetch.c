/* Fetch without sessions: what is in an answer, limits, waiting and waking, errors per partition
   [kafka-semantics.md 4; KIP-74, 227, 320, 516, 903, 951]. Sessions are test_fetch_session.c, cold
   reads and stalled readers test_reply.c. */
#include "broker/conn.h"
#include "harness.h"

static const struct fetch_wish from_start = {.leader_epoch = -1, .last_fetched_epoch = -1};

static struct fetch_wish wish_at(i32 partition, i64 offset)
{
    return (struct fetch_wish){
        .partition = partition, .offset = offset, .leader_epoch = -1, .last_fetched_epoch = -1};
}

static struct fetch_response *fetch_in(struct client *c, i16 version, struct fetch_request *q)
{
    struct fetch_response *r = CALL(c, fetch, version, q);
    assert_int_equal(r->throttle_time_ms, 0);
    return r;
}

static void in_every_version(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct slice batch = batch_plain(&h, 3);
    produce_ok(c, &t, 1, batch);
    for (i16 version = 4; version <= 18; version++) {
        for (i8 isolation = 0; isolation <= 1; isolation++) {
            struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0), wish_at(1, 2),
                                          wish_at(1, 3)};
            struct fetch_request *q = fetch_of(&h, &t, wishes, 4);
            q->isolation_level = isolation;
            struct fetch_response *r = fetch_in(c, version, q);
            assert_int_equal(r->error_code, KERR_NONE);
            assert_int_equal(r->session_id, 0);
            assert_int_equal(r->responses.count, 1);
            assert_true(version >= 13 ? uuid_eq(r->responses.items[0].topic_id, t.id)
                                      : slice_eq_cstr(r->responses.items[0].topic, "t"));
            assert_int_equal(r->responses.items[0].partitions.count, 4);
            for (u32 i = 0; i < 4; i++) {
                const struct fetch_response_partition_data *p = fetch_row(r, 0, i);
                assert_int_equal(p->error_code, KERR_NONE);
                assert_int_equal(p->partition_index, wishes[i].partition);
                assert_int_equal(p->high_watermark, wishes[i].partition == 1 ? 3 : 0);
                assert_int_equal(p->last_stable_offset, p->high_watermark);
                assert_int_equal(p->log_start_offset, version >= 5 ? 0 : -1);
                assert_int_equal(p->aborted_transactions.is_null, isolation == 0);
                assert_int_equal(p->aborted_transactions.count, 0);
                assert_int_equal(p->preferred_read_replica,
                                 version >= 11 ? -1 : p->preferred_read_replica);
                assert_int_equal(p->diverging_epoch.epoch, -1);
                assert_int_equal(p->current_leader.leader_id, -1);
                assert_non_null(p->records.bytes.ptr);
                /* The batch that holds the offset, whole. */
                bool has = i == 1 || i == 2;
                assert_int_equal(p->records.bytes.len, has ? batch.len : 0);
            }
        }
    }
    harness_fini(&h);
}

/* ---- limits
 * -------------------------------------------------------------------------------------------- */

static void byte_limits(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 3);
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_with(&h, &o, 1, 1000);
    i32 size = (i32)batch.len;
    for (i32 p = 0; p < 3; p++) {
        for (u32 i = 0; i < 4; i++) {
            produce_ok(c, &t, p, batch);
        }
    }
    static const struct {
        i32 max, partition_max; /* in batches, times 10 */
        u32 expect[3];
    } cases[] = {
        {1000, 1000, {4, 4, 4}}, {1000, 25, {2, 2, 2}}, {1000, 20, {2, 2, 2}},
        {1000, 19, {1, 1, 1}},   {1000, 5, {1, 0, 0}}, /* only the first with data may pass a limit
                                                        */
        {60, 1000, {4, 2, 0}},   {59, 1000, {4, 1, 0}}, {39, 1000, {3, 0, 0}},
        {5, 1000, {1, 0, 0}},    {0, 1000, {1, 0, 0}},  {0, 0, {1, 0, 0}},
        {1000, 0, {1, 0, 0}},
    };
    for (i16 version = 4; version <= 18; version += 7) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0), wish_at(2, 0)};
            struct fetch_request *q = fetch_of(&h, &t, wishes, 3);
            q->max_bytes = cases[i].max * size / 10;
            for (u32 k = 0; k < 3; k++) {
                q->topics.items[0].partitions.items[k].partition_max_bytes =
                    cases[i].partition_max * size / 10;
            }
            struct fetch_response *r = fetch_in(c, version, q);
            for (u32 k = 0; k < 3; k++) {
                u32 batches = (u32)(fetch_row(r, 0, k)->records.bytes.len / batch.len);
                if (batches != cases[i].expect[k] ||
                    fetch_row(r, 0, k)->records.bytes.len % batch.len != 0) {
                    fail_msg("case %u, partition %u: %zu bytes", i, k,
                             fetch_row(r, 0, k)->records.bytes.len);
                }
            }
        }
    }
    /* Negative limits are none at all. */
    struct fetch_request *q = fetch_of(&h, &t, &from_start, 1);
    q->max_bytes = -1;
    q->topics.items[0].partitions.items[0].partition_max_bytes = INT32_MIN;
    assert_int_equal(fetch_row(fetch_in(c, 12, q), 0, 0)->records.bytes.len, size);
    q->max_bytes = INT32_MAX;
    q->topics.items[0].partitions.items[0].partition_max_bytes = INT32_MAX;
    assert_int_equal(fetch_row(fetch_in(c, 12, q), 0, 0)->records.bytes.len, 4 * size);
    harness_fini(&h);
}

static void a_batch_larger_than_every_limit_is_given_whole(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_with(&h, &o, 5, 180000);
    produce_ok(c, &t, 1, batch);
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 3)};
    wishes[1].partition_max_bytes = 100;
    struct fetch_request *q = fetch_of(&h, &t, wishes, 2);
    q->max_bytes = 100;
    struct fetch_response *r = fetch_in(c, 16, q);
    assert_int_equal(fetch_row(r, 0, 0)->records.bytes.len, 0);
    assert_int_equal(fetch_row(r, 0, 1)->records.bytes.len, batch.len);
    assert_int_equal(records_count(fetch_row(r, 0, 1)->records.bytes), 5);
    harness_fini(&h);
}

static void the_broker_s_own_limit(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "fetch.max.bytes", "5000");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_builder_plain();
    for (u32 i = 0; i < 10; i++) {
        produce_ok(c, &t, 0, batch_with(&h, &o, 1, 1000));
    }
    struct fetch_wish wish = from_start;
    wish.partition_max_bytes = INT32_MAX;
    struct fetch_request *q = fetch_of(&h, &t, &wish, 1);
    q->max_bytes = INT32_MAX;
    assert_int_equal(records_count(fetch_row(fetch_in(c, 12, q), 0, 0)->records.bytes), 4);
    harness_fini(&h);
}

static void every_offset_reads_its_batch(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    i64 bases[12];
    i64 next = 0;
    for (u32 i = 0; i < ARRAY_LEN(bases); i++) {
        bases[i] = produce_ok(c, &t, 0, batch_plain(&h, i % 4 + 1));
        assert_int_equal(bases[i], next);
        next += i % 4 + 1;
    }
    for (i64 offset = 0; offset < next; offset++) {
        struct batch_view b;
        assert_int_equal(batch_view_parse(fetch(c, &t, 0, offset)->records.bytes, &b), OK);
        assert_true(b.base_offset <= offset && offset < batch_next_offset(&b));
        assert_int_equal(records_count(fetch(c, &t, 0, offset)->records.bytes),
                         next - b.base_offset);
    }
    harness_fini(&h);
}

/* ---- errors
 * ---------------------------------------------------------------------------------------------- */

static void offsets_out_of_range(void **state)
{
    static const struct {
        i64 offset;
        i16 kerr;
    } cases[] = {{-1, KERR_OFFSET_OUT_OF_RANGE},
                 {-2, KERR_OFFSET_OUT_OF_RANGE},
                 {INT64_MIN, KERR_OFFSET_OUT_OF_RANGE},
                 {0, KERR_NONE},
                 {3, KERR_NONE},
                 {4, KERR_OFFSET_OUT_OF_RANGE},
                 {INT64_MAX, KERR_OFFSET_OUT_OF_RANGE}};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 3));
    for (i16 version = 4; version <= 18; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            struct fetch_wish wish = wish_at(0, cases[i].offset);
            struct fetch_request *q = fetch_of(&h, &t, &wish, 1);
            q->max_wait_ms = cases[i].kerr == KERR_NONE ? 0 : 60000; /* an error is told at once */
            const struct fetch_response_partition_data *p =
                fetch_row(fetch_in(c, version, q), 0, 0);
            assert_int_equal(p->error_code, cases[i].kerr);
            assert_int_equal(p->high_watermark, cases[i].kerr == KERR_NONE ? 3 : -1);
            assert_int_equal(p->records.bytes.len > 0, cases[i].offset == 0);
        }
    }
    harness_fini(&h);
}

static void unknown_topics_and_partitions(void **state)
{
    static const i32 partitions[] = {-1, 1, INT32_MAX, INT32_MIN};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    struct topic absent = {.name = "absent", .id = {{9}}};
    struct topic nameless = {.name = ""};
    for (i16 version = 4; version <= 18; version++) {
        for (u32 i = 0; i < ARRAY_LEN(partitions); i++) {
            struct fetch_wish wishes[] = {wish_at(partitions[i], 0), wish_at(0, 0)};
            struct fetch_request *q = fetch_of(&h, &t, wishes, 2);
            q->max_wait_ms = 60000;
            struct fetch_response *r = fetch_in(c, version, q);
            assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
            assert_int_equal(fetch_row(r, 0, 0)->partition_index, partitions[i]);
            assert_int_equal(fetch_row(r, 0, 1)->error_code, KERR_NONE);
            assert_int_equal(records_count(fetch_row(r, 0, 1)->records.bytes), 1);
        }
        i16 expected = version >= 13 ? KERR_UNKNOWN_TOPIC_ID : KERR_UNKNOWN_TOPIC_OR_PARTITION;
        struct topic topics[] = {absent, nameless};
        for (u32 i = 0; i < 2; i++) {
            struct fetch_response *r =
                fetch_in(c, version, fetch_of(&h, &topics[i], &from_start, 1));
            assert_int_equal(r->error_code, KERR_NONE);
            assert_int_equal(fetch_row(r, 0, 0)->error_code, expected);
            assert_int_equal(fetch_row(r, 0, 0)->high_watermark, -1);
        }
    }
    harness_fini(&h);
}

static void leader_epochs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 2));
    for (i32 restart = 0; restart < 2; restart++) { /* the epoch is 0, then 1 */
        for (i16 version = 9; version <= 18; version++) {
            for (i32 asked = -1; asked <= 3; asked++) {
                struct fetch_wish wish = from_start;
                wish.leader_epoch = asked;
                struct fetch_request *q = fetch_of(&h, &t, &wish, 1);
                q->max_wait_ms = 60000;
                struct fetch_response *r = fetch_in(c, version, q);
                i16 expected = asked == -1 || asked == restart ? KERR_NONE
                               : asked < restart               ? KERR_FENCED_LEADER_EPOCH
                                                               : KERR_UNKNOWN_LEADER_EPOCH;
                assert_int_equal(fetch_row(r, 0, 0)->error_code, expected);
                bool told = version >= 16 && expected == KERR_FENCED_LEADER_EPOCH;
                assert_int_equal(fetch_row(r, 0, 0)->current_leader.leader_id,
                                 told ? BROKER_NODE_ID : -1);
                assert_int_equal(fetch_row(r, 0, 0)->current_leader.leader_epoch,
                                 told ? restart : -1);
                assert_int_equal(r->node_endpoints.count, told);
                if (told) {
                    assert_int_equal(r->node_endpoints.items[0].node_id, BROKER_NODE_ID);
                    assert_int_equal(r->node_endpoints.items[0].port, h.address.port);
                }
            }
        }
        harness_stop(&h);
        harness_start(&h);
        c = client_open(&h);
    }
    harness_fini(&h);
}

/* Batches of epochs 0 and 2; a client that read something else is told where to go back to. */
static void diverging_epochs(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 4)); /* epoch 0: 0-3 */
    harness_stop(&h);
    harness_start(&h);
    harness_stop(&h);
    harness_start(&h);
    c = client_open(&h);
    produce_ok(c, &t, 0, batch_plain(&h, 3)); /* epoch 2: 4-6 */
    static const struct {
        i32 last_fetched;
        i64 offset;
        i16 kerr;
        i32 epoch; /* -1: no divergence */
        i64 end;
    } cases[] = {
        {-1, 0, KERR_NONE, -1, 0},
        {0, 4, KERR_NONE, -1, 0},
        {0, 2, KERR_NONE, -1, 0},
        {0, 5, KERR_NONE, 0, 4}, /* epoch 0 ends at 4 here */
        {2, 7, KERR_NONE, -1, 0},
        {2, 5, KERR_NONE, -1, 0},
        {3, 7, KERR_OFFSET_OUT_OF_RANGE, -1, 0}, /* an epoch that never was */
    };
    for (i16 version = 12; version <= 18; version++) {
        for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
            struct fetch_wish wish = wish_at(0, cases[i].offset);
            wish.last_fetched_epoch = cases[i].last_fetched;
            struct fetch_request *q = fetch_of(&h, &t, &wish, 1);
            q->max_wait_ms = cases[i].epoch >= 0 || cases[i].kerr != KERR_NONE ? 60000 : 0;
            const struct fetch_response_partition_data *p =
                fetch_row(fetch_in(c, version, q), 0, 0);
            assert_int_equal(p->error_code, cases[i].kerr);
            assert_int_equal(p->diverging_epoch.epoch, cases[i].epoch);
            if (cases[i].epoch >= 0) {
                assert_int_equal(p->diverging_epoch.end_offset, cases[i].end);
                assert_int_equal(p->records.bytes.len, 0);
                assert_int_equal(p->high_watermark, 7);
            }
        }
    }
    harness_fini(&h);
}

static void replicas_are_refused(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    for (i16 version = 4; version <= 18; version++) {
        static const i32 replicas[] = {0, 1, 1000, INT32_MAX};
        for (u32 i = 0; i < ARRAY_LEN(replicas); i++) {
            struct fetch_request *q = fetch_of(&h, &t, &from_start, 1);
            q->replica_id = version <= 14 ? replicas[i] : -1;
            q->replica_state.replica_id = version >= 15 ? replicas[i] : -1;
            q->replica_state.replica_epoch = -1;
            struct fetch_response *r = fetch_in(c, version, q);
            if (version >= 7) {
                assert_int_equal(r->error_code, KERR_CLUSTER_AUTHORIZATION_FAILED);
            }
            assert_int_equal(r->responses.count, version < 13);
            if (version < 13) {
                assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_CLUSTER_AUTHORIZATION_FAILED);
                assert_int_equal(fetch_row(r, 0, 0)->records.bytes.len, 0);
            }
        }
        /* Debugging consumers call themselves -2. */
        struct fetch_request *q = fetch_of(&h, &t, &from_start, 1);
        q->replica_id = version <= 14 ? -2 : -1;
        assert_int_equal(records_count(fetch_row(fetch_in(c, version, q), 0, 0)->records.bytes), 1);
    }
    harness_fini(&h);
}

/* ---- waiting
 * -----------------------------------------------------------------------------------------------
 */

static i32 park(struct client *c, const struct topic *t, const struct fetch_wish *wishes, u32 count,
                i32 wait_ms, i32 min_bytes)
{
    struct fetch_request *q = fetch_of(c->h, t, wishes, count);
    q->max_wait_ms = wait_ms;
    q->min_bytes = min_bytes;
    return client_send(c, API_fetch, 12, q);
}

static void waits_for_data_or_time(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct client *producer = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0)};
    /* Nothing comes: the answer is empty, when the time is over and not before. */
    i32 id = park(c, &t, wishes, 2, 5000, 1);
    client_expect_silence(c);
    assert_false(list_empty(&h.broker->parked_fetches));
    assert_int_equal(h.broker->receive_pool.live_count, 0); /* who waits holds no receive buffer */
    harness_skip_ms(&h, 4000);
    client_expect_silence(c);
    harness_skip_ms(&h, 1100);
    struct fetch_response *r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(r->responses.items[0].partitions.count, 2);
    assert_int_equal(fetch_row(r, 0, 0)->records.bytes.len, 0);
    assert_int_equal(fetch_row(r, 0, 1)->high_watermark, 0);
    /* Data in one of them wakes it. */
    id = park(c, &t, wishes, 2, 60000, 1);
    client_expect_silence(c);
    produce_ok(producer, &t, 1, batch_plain(&h, 2));
    r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(fetch_row(r, 0, 0)->records.bytes.len, 0);
    assert_int_equal(records_count(fetch_row(r, 0, 1)->records.bytes), 2);
    assert_true(list_empty(&h.broker->parked_fetches));
    harness_fini(&h);
}

static void waits_for_enough(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct client *producer = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    struct slice batch = batch_plain(&h, 1);
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0)};
    i32 id = park(c, &t, wishes, 2, 60000, (i32)batch.len * 3);
    produce_ok(producer, &t, 0, batch);
    client_expect_silence(c);
    produce_ok(producer, &t, 1, batch);
    client_expect_silence(c);
    produce_ok(producer, &t, 0, batch);
    struct fetch_response *r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 2);
    assert_int_equal(records_count(fetch_row(r, 0, 1)->records.bytes), 1);
    /* Time is over first: what there is. */
    id = park(c, &t, wishes, 2, 3000, 1 << 20);
    client_expect_silence(c);
    harness_skip_ms(&h, 3100);
    r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 2);
    /* Nobody has to gather more than he may be given. */
    struct fetch_request *q = fetch_of(&h, &t, wishes, 2);
    q->max_wait_ms = 60000;
    q->min_bytes = INT32_MAX;
    q->max_bytes = (i32)batch.len;
    assert_int_equal(records_count(fetch_row(CALL(c, fetch, 12, q), 0, 0)->records.bytes), 1);
    harness_fini(&h);
}

static void answers_at_once_when_asked_to(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    static const struct {
        i32 wait_ms, min_bytes;
    } cases[] = {{0, 1},     {-1, 1},     {INT32_MIN, INT32_MAX},
                 {60000, 0}, {60000, -1}, {60000, INT32_MIN}};
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct fetch_request *q = fetch_of(&h, &t, &from_start, 1);
        q->max_wait_ms = cases[i].wait_ms;
        q->min_bytes = cases[i].min_bytes;
        assert_int_equal(fetch_row(fetch_in(c, 12, q), 0, 0)->records.bytes.len, 0);
    }
    struct fetch_request *none = fetch_of(&h, &t, &from_start, 0);
    none->topics.count = 0;
    none->max_wait_ms = 60000;
    assert_int_equal(fetch_in(c, 12, none)->responses.count, 0);
    harness_fini(&h);
}

static void many_wait_for_one_partition(void **state)
{
    enum { COUNT = 100 };
    struct harness h;
    harness_up(&h);
    struct client *producer = client_open(&h);
    struct topic t = topic_make(producer, "t", 1);
    struct client *all[COUNT];
    i32 ids[COUNT];
    for (u32 i = 0; i < COUNT; i++) {
        all[i] = client_open(&h);
        ids[i] = park(all[i], &t, &from_start, 1, 60000, 1);
    }
    harness_turns(&h, 10);
    produce_ok(producer, &t, 0, batch_plain(&h, 1));
    for (u32 i = 0; i < COUNT; i++) {
        struct fetch_response *r = client_recv(all[i], API_fetch, 12, ids[i]);
        assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 1);
    }
    harness_fini(&h);
}

static void ends_of_waiting(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *admin = client_open(&h);
    struct topic t = topic_make(admin, "t", 3);
    struct topic kept = topic_make(admin, "kept", 1);
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(1, 0), wish_at(2, 0)};

    /* The client goes. */
    struct client *gone = client_open(&h);
    park(gone, &t, wishes, 3, INT32_MAX, INT32_MAX);
    harness_turns(&h, 5);
    assert_false(list_empty(&h.broker->parked_fetches));
    client_reset(gone);
    harness_turns(&h, 5);
    assert_true(list_empty(&h.broker->parked_fetches));

    /* It only says that it will not ask again: it is still answered. */
    struct client *shut = client_open(&h);
    i32 shut_id = park(shut, &t, wishes, 3, 60000, 1);
    harness_turns(&h, 3);
    client_shut(shut);
    harness_turns(&h, 3);
    produce_ok(admin, &t, 2, batch_plain(&h, 1));
    struct fetch_response *r = client_recv(shut, API_fetch, 12, shut_id);
    assert_int_equal(records_count(fetch_row(r, 0, 2)->records.bytes), 1);
    client_expect_end(shut);

    /* The topic goes: told at once, by name and by id. */
    struct client *by_name = client_open(&h);
    struct client *by_id = client_open(&h);
    struct client *other = client_open(&h);
    i32 name_id = park(by_name, &t, wishes, 2, 60000, 1);
    struct fetch_request *q = fetch_of(&h, &t, wishes, 2);
    q->max_wait_ms = 60000;
    i32 id_id = client_send(by_id, API_fetch, 17, q);
    i32 other_id = park(other, &kept, wishes, 1, 60000, 1);
    harness_turns(&h, 5);
    topic_delete(admin, &t);
    r = client_recv(by_name, API_fetch, 12, name_id);
    assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(fetch_row(r, 0, 1)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
    r = client_recv(by_id, API_fetch, 17, id_id);
    assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_ID);
    client_expect_silence(other);

    /* The broker stops: what waits is answered before it goes. */
    broker_stop(h.broker);
    r = client_recv(other, API_fetch, 12, other_id);
    assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_NONE);
    for (u32 i = 0; i < 500 && !h.stopped; i++) {
        harness_turn(&h);
    }
    assert_true(h.stopped);
    harness_fini(&h);
}

static void waiting_longest(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    i32 id = park(c, &t, &from_start, 1, INT32_MAX, 1);
    client_expect_silence(c);
    harness_skip_ms(&h, 200000);
    client_expect_silence(c);
    harness_skip_ms(&h, 101000); /* nobody waits longer than five minutes */
    struct fetch_response *r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(fetch_row(r, 0, 0)->error_code, KERR_NONE);
    harness_fini(&h);
}

/* ---- size
 * -----------------------------------------------------------------------------------------------------
 */

static void many_partitions(void **state)
{
    enum { COUNT = 5000 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", COUNT);
    struct fetch_wish *wishes = arena_array(&h.arena, COUNT, sizeof *wishes);
    for (i32 i = 0; i < COUNT; i++) {
        wishes[i] = wish_at(i, 0);
        if (i % 50 == 0) {
            produce_ok(c, &t, i, batch_plain(&h, 1));
        }
    }
    struct fetch_response *r = fetch_in(c, 12, fetch_of(&h, &t, wishes, COUNT));
    assert_int_equal(r->responses.items[0].partitions.count, COUNT);
    for (u32 i = 0; i < COUNT; i++) {
        assert_int_equal(fetch_row(r, 0, i)->partition_index, i);
        assert_int_equal(records_count(fetch_row(r, 0, i)->records.bytes), i % 50 == 0);
    }
    /* And all of them waited for. */
    for (u32 i = 0; i < COUNT; i++) {
        wishes[i].offset = i % 50 == 0;
    }
    i32 id = park(c, &t, wishes, COUNT, 60000, 1);
    client_expect_silence(c);
    struct client *producer = client_open(&h);
    produce_ok(producer, &t, COUNT - 1, batch_plain(&h, 1));
    r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(records_count(fetch_row(r, 0, COUNT - 1)->records.bytes), 1);
    harness_fini(&h);
}

/* 200,000 partitions nobody has: an answer or an end, in time, and the broker lives. */
static void absurdly_many_partitions(void **state)
{
    enum { COUNT = 200000 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct fetch_wish *wishes = arena_array(&h.arena, COUNT, sizeof *wishes);
    for (i32 i = 0; i < COUNT; i++) {
        wishes[i] = wish_at(i, 0);
    }
    u64 before = io_clock_ns();
    client_send(c, API_fetch, 12, fetch_of(&h, &t, wishes, COUNT));
    while (!client_has_frame(c) && !c->ended) {
        harness_turn(&h);
    }
    assert_true(io_clock_ns() - before < 10ull * 1000 * 1000 * 1000);
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    client_expect_alive(client_open(&h));
    harness_fini(&h);
}

static void one_partition_wanted_twice(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    struct fetch_wish wishes[] = {wish_at(0, 0), wish_at(0, 1)};
    struct fetch_response *r = fetch_in(c, 12, fetch_of(&h, &t, wishes, 2));
    assert_int_equal(records_count(fetch_row(r, 0, 0)->records.bytes), 2);
    assert_int_equal(records_count(fetch_row(r, 0, 1)->records.bytes), 1);
    i32 id = park(c, &t, (struct fetch_wish[]){wish_at(0, 2), wish_at(0, 2)}, 2, 60000, 1);
    produce_ok(client_open(&h), &t, 0, batch_plain(&h, 1));
    r = client_recv(c, API_fetch, 12, id);
    assert_int_equal(records_count(fetch_row(r, 0, 1)->records.bytes), 1);
    harness_fini(&h);
}

static void unknown_isolation_levels(void **state)
{
    static const i8 levels[] = {7, -1, INT8_MAX, INT8_MIN};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 1));
    for (u32 i = 0; i < ARRAY_LEN(levels); i++) {
        struct fetch_request *q = fetch_of(&h, &t, &from_start, 1);
        q->isolation_level = levels[i];
        assert_int_equal(records_count(fetch_row(fetch_in(c, 12, q), 0, 0)->records.bytes), 1);
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_version),
        cmocka_unit_test(byte_limits),
        cmocka_unit_test(a_batch_larger_than_every_limit_is_given_whole),
        cmocka_unit_test(the_broker_s_own_limit),
        cmocka_unit_test(every_offset_reads_its_batch),
        cmocka_unit_test(offsets_out_of_range),
        cmocka_unit_test(unknown_topics_and_partitions),
        cmocka_unit_test(leader_epochs),
        cmocka_unit_test(diverging_epochs),
        cmocka_unit_test(replicas_are_refused),
        cmocka_unit_test(waits_for_data_or_time),
        cmocka_unit_test(waits_for_enough),
        cmocka_unit_test(answers_at_once_when_asked_to),
        cmocka_unit_test(many_wait_for_one_partition),
        cmocka_unit_test(ends_of_waiting),
        cmocka_unit_test(waiting_longest),
        cmocka_unit_test(many_partitions),
        cmocka_unit_test(absurdly_many_partitions),
        cmocka_unit_test(one_partition_wanted_twice),
        cmocka_unit_test(unknown_isolation_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
