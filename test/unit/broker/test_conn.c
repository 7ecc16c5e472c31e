/* Connections: frames of every shape and at every speed, the order of answers, the ends a
   connection can come to, and how little memory a peer can hold with them [reliability.md,
   bad-input catalogue: Framing]. */
#include "broker/conn.h"
#include "harness.h"

static void put_length(u8 out[4], i32 length)
{
    store_be32(out, (u32)length);
}

/* An ApiVersions request in version 0, which has no body: 4 + 14 bytes. */
enum { SMALL_BYTES = 18 };
static void put_small(u8 out[SMALL_BYTES], i32 correlation_id)
{
    struct writer w = writer_of(out, SMALL_BYTES);
    write_be32(&w, SMALL_BYTES - 4);
    write_be16(&w, API_api_versions);
    write_be16(&w, 0);
    write_be32(&w, (u32)correlation_id);
    write_be16(&w, 4);
    write_bytes(&w, "unit", 4);
}

static void recv_small(struct client *c, i32 correlation_id)
{
    struct api_versions_response *r = client_recv(c, API_api_versions, 0, correlation_id);
    assert_int_equal(r->error_code, KERR_NONE);
}

/* ---- lengths
 * ------------------------------------------------------------------------------------- */

static void impossible_lengths_end_the_connection(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "socket.request.max.bytes", "100000");
    harness_start(&h);
    static const i32 lengths[] = {0, -1, INT32_MIN, INT32_MAX, 100001};
    for (u32 i = 0; i < ARRAY_LEN(lengths); i++) {
        struct client *c = client_open(&h);
        u64 before = h.broker->memory.receive.used;
        u8 bytes[4];
        put_length(bytes, lengths[i]);
        client_send_bytes(c, bytes, sizeof bytes);
        client_expect_end(c);
        assert_true(h.broker->memory.receive.used <= before + CONN_RECEIVE_BYTES);
    }
    assert_true(harness_said("bad_frame") || harness_said("impossible frame"));
    harness_fini(&h);
}

static void the_largest_frame_is_served(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "socket.request.max.bytes", "1000000");
    harness_start(&h);
    struct client *c = client_open(&h);
    u8 *frame = arena_alloc(&h.arena, 4 + 1000000); /* what follows a message is not looked at */
    put_small(frame, 7);
    put_length(frame, 1000000);
    client_send_bytes(c, frame, 4 + 1000000);
    recv_small(c, 7);
    harness_fini(&h);
}

static void the_budget_limits_frames_too(void **state)
{
    struct harness h;
    harness_up(&h);
    assert_true(h.broker->request_bytes_max < 104857600);
    assert_true(h.broker->request_bytes_max > 6 << 20);
    size_t bytes = 4 + (size_t)h.broker->request_bytes_max;
    u8 *frame = arena_alloc(&h.arena, bytes);
    put_small(frame, 7);
    put_length(frame, h.broker->request_bytes_max);
    struct client *c = client_open(&h);
    client_send_bytes(c, frame, bytes);
    recv_small(c, 7);
    put_length(frame, h.broker->request_bytes_max + 1);
    client_send_bytes(c, frame, 1000);
    client_expect_end(c);
    harness_fini(&h);
}

/* ---- other protocols
 * -------------------------------------------------------------------------------- */

static void tls_is_told_apart(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    client_send_bytes(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    client_expect_end(c);
    assert_true(harness_said("TLS client hello"));
    assert_true(harness_said("\"peer\":\"127.0.0.1\""));
    assert_true(harness_said("\"listener\":\"PLAINTEXT\""));
    harness_fini(&h);
}

static void http_gets_a_page(void **state)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /topics HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n", "DELETE /topics/x HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    struct harness h;
    harness_up(&h);
    broker_note_http(h.broker, "127.0.0.1:8080");
    for (u32 i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *c = client_open(&h);
        client_send_bytes(c, requests[i], strlen(requests[i]));
        while (!c->ended) {
            harness_turn(&h);
            (void)client_has_frame(c);
        }
        struct slice page = slice_of(c->buffer + c->start, c->len);
        assert_true(page.len > 30 && memcmp(page.ptr, "HTTP/1.1 400 ", 13) == 0);
        assert_non_null(memmem(page.ptr, page.len, "(ODK-1103)", 10));
        assert_non_null(memmem(page.ptr, page.len, "Kafka", 5));
        assert_non_null(memmem(page.ptr, page.len, "http://127.0.0.1:8080/", 22));
    }
    assert_true(harness_said("HTTP request arrived"));
    assert_true(harness_said("\"http\":\"127.0.0.1:8080\""));
    harness_fini(&h);
}

/* ---- pieces and pace
 * ---------------------------------------------------------------------------------- */

static void frames_may_come_in_any_pieces(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    u8 bytes[3 * SMALL_BYTES];
    for (i32 i = 0; i < 3; i++) {
        put_small(bytes + i * SMALL_BYTES, i);
    }
    for (u32 cut = 0; cut <= sizeof bytes; cut++) {
        client_send_bytes(c, bytes, cut);
        harness_turns(&h, 3);
        client_send_bytes(c, bytes + cut, sizeof bytes - cut);
        for (i32 i = 0; i < 3; i++) {
            recv_small(c, i);
        }
    }
    for (u32 i = 0; i < sizeof bytes; i++) {
        client_send_bytes(c, bytes + i, 1);
        harness_turns(&h, 2);
    }
    for (i32 i = 0; i < 3; i++) {
        recv_small(c, i);
    }
    harness_fini(&h);
}

static void a_frame_that_stops_is_given_up(void **state)
{
    struct harness h;
    harness_up(&h);
    u8 small[SMALL_BYTES];
    put_small(small, 1);
    for (u32 have = 1; have < SMALL_BYTES; have++) { /* parts of the length, of the header */
        struct client *c = client_open(&h);
        client_send_bytes(c, small, have);
        harness_turns(&h, 3);
        harness_skip_ms(&h, 5000);
        client_expect_silence(c);
        harness_skip_ms(&h, 7000);
        harness_skip_ms(&h, 1000);
        client_expect_end(c);
        client_close(c);
    }
    /* Who says nothing at all is only idle. */
    struct client *idle = client_open(&h);
    harness_turns(&h, 3);
    harness_skip_ms(&h, 60000);
    client_expect_alive(idle);
    harness_fini(&h);
}

static void a_byte_a_second_is_no_progress(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    u8 length[4];
    put_length(length, 1 << 20);
    client_send_bytes(c, length, 4);
    harness_turns(&h, 3);
    for (u32 i = 0; i < 14 && !c->ended; i++) {
        u8 byte = 0;
        (void)client_send_some(c, &byte, 1);
        harness_turns(&h, 2);
        harness_skip_ms(&h, 1000);
        (void)client_has_frame(c);
    }
    client_expect_end(c);

    /* 16 KiB in ten seconds are. */
    struct client *slow = client_open(&h);
    u8 *frame = arena_alloc(&h.arena, 4 + 100000);
    put_small(frame, 7);
    put_length(frame, 100000);
    for (u32 at = 0; at < 100004; at += 20000) {
        client_send_bytes(slow, frame + at, MIN(20000u, 100004 - at));
        harness_turns(&h, 3);
        if (at + 20000 < 100004) {
            harness_skip_ms(&h, 9000);
        }
    }
    recv_small(slow, 7);
    harness_fini(&h);
}

/* Half a frame, and then the broker does not read for a while, since what came before it waits. It
   has its time from when it is read again, also when memory is short just then. */
static void time_in_which_nobody_reads_does_not_count(void **state)
{
    (void)state;
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    client_send_bytes(c, "\0\0\1\0\0\0", 6);
    harness_turns(&h, 3);
    struct conn *conn = CONTAINER_OF(list_first(&h.broker->conns), struct conn, node);
    conn->blocked = true;
    client_send_bytes(c, "\0", 1); /* seen, and not read */
    harness_turns(&h, 3);
    assert_false((conn->events & IO_READABLE) != 0);
    harness_skip_ms(&h, 900);
    conn->blocked = false;
    conn_resume(conn);
    h.broker->grower = conn; /* others wait for memory */
    harness_turns(&h, 3);
    harness_skip_ms(&h, 150);
    harness_turns(&h, 3);
    assert_int_equal(h.broker->conn_count, 1);
    harness_skip_ms(&h, 600);
    client_expect_end(c);
    harness_fini(&h);
}

static void memory_follows_the_bytes_received(void **state)
{
    enum { COUNT = 300 };
    struct harness h;
    harness_up(&h);
    u64 before = h.broker->memory.receive.used;
    u8 begin[104];
    memset(begin, 0, sizeof begin);
    put_length(begin, h.broker->request_bytes_max);
    for (u32 i = 0; i < COUNT; i++) {
        struct client *c = client_open(&h);
        client_send_bytes(c, begin, sizeof begin);
    }
    harness_turns(&h, 20);
    assert_int_equal(h.broker->conn_count, COUNT);
    /* Nothing of 300 * 8 MiB; nor a blob for each: those kept for reuse at most. */
    assert_true(h.broker->memory.receive.used <= before + 8 * CONN_RECEIVE_BYTES);
    client_expect_alive(client_open(&h));

    /* One of them goes on: its buffer grows with it. */
    struct client *c = CONTAINER_OF(list_first(&h.clients), struct client, node);
    u8 *more = arena_alloc(&h.arena, 1 << 20);
    client_send_bytes(c, more, 1 << 20);
    harness_turns(&h, 20);
    assert_true(h.broker->memory.receive.used <= before + 8 * CONN_RECEIVE_BYTES + (3 << 20));
    harness_fini(&h);
}

/* Half frames hold all the memory that everybody may use; who sends whole ones is served all the
   same, and the half ones are given up before long. */
static void half_frames_hold_up_nobody(void **state)
{
    enum { COUNT = 60, FRAME = 400000, HALF = 120000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 32 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    u8 *half = arena_alloc(&h.arena, HALF);
    put_length(half, FRAME);
    for (u32 i = 0; i < COUNT; i++) {
        (void)client_send_some(client_open(&h), half, HALF);
    }
    harness_turns(&h, 50);
    assert_true(h.broker->memory.receive.used >=
                h.broker->receive_ordinary_bytes - CONN_RECEIVE_BYTES);
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_with(&h, &o, 5, 80000);
    u64 before = io_clock_ns();
    for (u32 i = 0; i < 5; i++) {
        client_expect_alive(c);
        produce_ok(c, &t, 0, batch);
    }
    assert_true(io_clock_ns() - before < 5ull * 1000 * 1000 * 1000);
    for (u32 i = 0; i < 70 && h.broker->conn_count > 1; i++) {
        harness_skip_ms(&h, 1000);
    }
    assert_int_equal(h.broker->conn_count, 1);
    client_expect_alive(c);
    harness_fini(&h);
}

static void an_idle_connection_holds_no_buffer(void **state)
{
    struct harness h;
    harness_up(&h);
    for (u32 i = 0; i < 50; i++) {
        client_expect_alive(client_open(&h));
    }
    harness_turns(&h, 3);
    assert_int_equal(h.broker->receive_pool.live_count, 0);
    harness_fini(&h);
}

/* Of the same turn, too: a crowd that sends at once needs no more memory than one. */
static void one_buffer_serves_one_connection_after_the_other(void **state)
{
    enum { COUNT = 30 };
    struct harness h;
    harness_up(&h);
    struct client *clients[COUNT];
    i32 asked[COUNT];
    for (u32 i = 0; i < COUNT; i++) {
        clients[i] = client_open(&h);
    }
    harness_turns(&h, 50);
    assert_int_equal(h.broker->conn_count, COUNT);
    for (u32 i = 0; i < COUNT; i++) {
        asked[i] = client_send(clients[i], API_api_versions, 0, NEW(&h, api_versions_request, 1));
    }
    for (u32 i = 0; i < COUNT; i++) {
        client_recv(clients[i], API_api_versions, 0, asked[i]);
    }
    assert_int_equal(h.broker->receive_pool.live_count, 0);
    assert_int_equal(h.broker->receive_pool.free_count, 1);
    harness_fini(&h);
}

/* To be mapped and touched anew for each frame would cost more than the frames. They give way to a
   large frame, as far as it needs, and go some at a time when there has been no crowd for a while.
 */
static void blobs_of_a_crowd_are_kept_a_while(void **state)
{
    enum { CROWD = 100, FRAME = 1000000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 256 * MIB;
    harness_start(&h);
    struct blob_pool *pool = &h.broker->receive_pool;
    struct quota *receive = &h.broker->memory.receive;
    assert_int_equal(h.broker->receive_kept, 8);
    harness_crowd(&h, CROWD);
    u32 kept = pool->free_count;
    u64 used = receive->used;
    harness_crowd(&h, CROWD);
    assert_int_equal(pool->free_count, kept);
    assert_int_equal(receive->used, used);

    u64 rest = h.broker->receive_ordinary_bytes - receive->used;
    assert_true(quota_charge(receive, rest)); /* somebody else has all there is */
    struct client *c = client_open(&h);
    u8 *frame = arena_alloc(&h.arena, 4 + FRAME);
    put_small(frame, 7);
    put_length(frame, FRAME);
    client_send_bytes(c, frame, 4 + FRAME);
    recv_small(c, 7);
    assert_true(pool->free_count < kept);
    assert_true(pool->free_count > kept / 2);
    quota_release(receive, rest);

    u32 steps = 0;
    for (u32 i = 0; i < 20 && pool->free_count > h.broker->receive_kept; i++) {
        u32 before = pool->free_count;
        harness_skip_ms(&h, 1000);
        assert_true(i > 2 || pool->free_count == before);
        steps += pool->free_count < before;
    }
    assert_int_equal(pool->free_count, h.broker->receive_kept);
    assert_true(steps > 1);
    harness_fini(&h);
}

/* The blob of a large frame is used for the next one, gives way to others when memory is short, and
 * goes when no large frame has come for a while. */
static void blobs_of_large_frames_are_kept_a_while(void **state)
{
    enum { FRAME = 1000000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 512 * MIB;
    harness_start(&h);
    struct blob_pool *large = &h.broker->large_pool;
    struct quota *receive = &h.broker->memory.receive;
    struct client *c = client_open(&h);
    u8 *frame = arena_alloc(&h.arena, 4 + FRAME); /* what follows a message is not looked at */
    for (i32 i = 0; i < 3; i++) {
        put_small(frame, i);
        put_length(frame, FRAME);
        client_send_bytes(c, frame, 4 + FRAME);
        recv_small(c, i);
    }
    harness_turns(&h, 3);
    assert_int_equal(large->live_count, 0);
    assert_int_equal(large->free_count, 1);
    u64 kept = receive->used;

    for (u32 i = 0; i < 10 && large->free_count > 0; i++) {
        harness_skip_ms(&h, 1000);
    }
    assert_int_equal(large->free_count, 0);
    assert_int_equal(receive->used, kept - CONN_LARGE_BYTES);

    client_send_bytes(c, frame, 4 + FRAME);
    recv_small(c, 2);
    harness_turns(&h, 3);
    assert_int_equal(large->free_count, 1);
    blob_pool_trim(&h.broker->receive_pool);
    u64 rest = h.broker->receive_ordinary_bytes - receive->used;
    assert_true(quota_charge(receive, rest)); /* somebody else has all there is */
    client_expect_alive(c);
    assert_int_equal(large->free_count, 0);
    quota_release(receive, rest);
    harness_fini(&h);
}

/* ---- pipelines
 * ------------------------------------------------------------------------------------------ */

static void a_hundred_thousand_requests_unread(void **state)
{
    enum { COUNT = 100000 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open_narrow(&h);
    u8 *all = arena_alloc(&h.arena, (size_t)COUNT * SMALL_BYTES);
    for (i32 i = 0; i < COUNT; i++) {
        put_small(all + (size_t)i * SMALL_BYTES, i);
    }
    size_t sent = 0;
    for (u32 i = 0; i < 200; i++) {
        sent += client_send_some(c, all + sent, (size_t)COUNT * SMALL_BYTES - sent);
        harness_turns(&h, 5);
    }
    assert_int_equal(h.broker->conn_count, 1);
    struct conn *conn = CONTAINER_OF(list_first(&h.broker->conns), struct conn, node);
    assert_true(conn->request_count <= CONN_REQUESTS_MAX);
    assert_true(h.broker->memory.requests.used < 1 * MIB);
    assert_int_equal(conn->events & IO_READABLE, 0); /* it is not read any more */
    client_expect_alive(client_open(&h));            /* others are */

    client_send_bytes(c, all + sent, (size_t)COUNT * SMALL_BYTES - sent);
    for (i32 i = 0; i < COUNT; i++) {
        recv_small(c, i);
        if (i % 1000 == 0) {
            arena_reset(&h.arena); /* `all` has been sent */
        }
    }
    harness_fini(&h);
}

static void large_answers_unread_stop_the_reading(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open_narrow(&h);
    struct describe_configs_request_resource broker = {
        .resource_type = 4, .resource_name = text("1"), .configuration_keys = {.is_null = true}};
    struct describe_configs_request q = {.resources = {.items = &broker, .count = 1},
                                         .include_documentation = true};
    i32 ids[200];
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        struct slice frame;
        ids[i] = (i32)i;
        assert_int_equal(request_frame_build(api_find(API_describe_configs), 4, ids[i],
                                             SLICE_LIT("unit"), &q, &h.arena, &frame),
                         OK);
        assert_int_equal(client_send_some(c, frame.ptr, frame.len), frame.len);
        harness_turns(&h, 2);
    }
    struct conn *conn = CONTAINER_OF(list_first(&h.broker->conns), struct conn, node);
    assert_true(conn->unsent_bytes >= CONN_UNSENT_BYTES_MAX);
    assert_true(h.broker->memory.requests.used < 3 * MIB);
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        struct describe_configs_response *r = client_recv(c, API_describe_configs, 4, ids[i]);
        assert_true(r->results.items[0].configs.count > 100);
    }
    harness_fini(&h);
}

static void correlation_ids_are_echoed(void **state)
{
    static const i32 ids[] = {-1, 0, 5, 5, 5, INT32_MAX, INT32_MIN, -1};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        u8 small[SMALL_BYTES];
        put_small(small, ids[i]);
        client_send_bytes(c, small, sizeof small);
    }
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        recv_small(c, ids[i]);
    }
    harness_fini(&h);
}

static void answers_keep_the_order_of_requests(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "order", 1);
    /* A fetch that parks for a second, a produce that has to reach the disk, and one that is
     * answered at once. */
    struct fetch_wish wish = {.offset = 5, .leader_epoch = -1, .last_fetched_epoch = -1};
    for (u32 i = 0; i < 5; i++) {
        produce_ok(c, &t, 0, batch_plain(&h, 1));
    }
    struct fetch_request *fetch_request = fetch_of(&h, &t, &wish, 1);
    fetch_request->max_wait_ms = 60000;
    i32 fetch_id = client_send(c, API_fetch, 12, fetch_request);
    i32 produce_id = client_send(c, API_produce, 9, produce_of(&h, &t, 0, batch_plain(&h, 3), -1));
    u8 small[SMALL_BYTES];
    put_small(small, 99);
    client_send_bytes(c, small, sizeof small);
    struct fetch_response *fetched = client_recv(c, API_fetch, 12, fetch_id);
    assert_int_equal(records_count(fetch_row(fetched, 0, 0)->records.bytes), 3);
    struct produce_response *produced = client_recv(c, API_produce, 9, produce_id);
    assert_int_equal(produce_row(produced, 0, 0)->base_offset, 5);
    recv_small(c, 99);
    harness_fini(&h);
}

/* ---- ends
 * -----------------------------------------------------------------------------------------------
 */

static void everything_sent_before_a_fin_is_answered(void **state)
{
    enum { COUNT = 1000 };
    struct harness h;
    harness_up(&h);
    for (u32 round = 0; round < 2; round++) {
        struct client *c = client_open(&h);
        u8 all[COUNT * SMALL_BYTES];
        for (i32 i = 0; i < COUNT; i++) {
            put_small(all + i * SMALL_BYTES, i);
        }
        client_send_bytes(c, all, sizeof all);
        if (round == 1) {
            client_send_bytes(c, "\0\0", 2); /* and the beginning of one that will never come */
        }
        client_shut(c);
        for (i32 i = 0; i < COUNT; i++) {
            recv_small(c, i);
        }
        client_expect_end(c);
    }
    harness_fini(&h);
}

static void unacknowledged_produces_before_a_close_arrive(void **state)
{
    enum { COUNT = 500 };
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "fire", 1);
    struct client *producer = client_open(&h);
    struct slice batch = batch_plain(&h, 1);
    for (u32 i = 0; i < COUNT; i++) {
        struct slice frame;
        assert_int_equal(request_frame_build(api_find(API_produce), 9, (i32)i, SLICE_LIT("unit"),
                                             produce_of(&h, &t, 0, batch, 0), &h.arena, &frame),
                         OK);
        assert_int_equal(client_send_some(producer, frame.ptr, frame.len), frame.len);
    }
    client_close(producer);
    for (u32 i = 0; i < 200 && high_watermark(c, &t, 0) < COUNT; i++) {
        harness_turn(&h);
    }
    assert_int_equal(high_watermark(c, &t, 0), COUNT);
    harness_fini(&h);
}

static void an_impossible_length_behind_a_full_list(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    u8 all[CONN_REQUESTS_MAX * SMALL_BYTES + 4];
    for (i32 i = 0; i < CONN_REQUESTS_MAX; i++) {
        put_small(all + i * SMALL_BYTES, i);
    }
    put_length(all + CONN_REQUESTS_MAX * SMALL_BYTES, INT32_MAX);
    client_send_bytes(c, all, sizeof all);
    for (i32 i = 0; i < CONN_REQUESTS_MAX; i++) {
        recv_small(c, i);
    }
    client_expect_end(c);
    harness_fini(&h);
}

static void what_was_asked_before_nonsense_is_answered(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    u8 bytes[2 * SMALL_BYTES + 8];
    put_small(bytes, 1);
    put_small(bytes + SMALL_BYTES, 2);
    memcpy(bytes + 2 * SMALL_BYTES, "\0\0\0\4\x03\xe7\0\0", 8); /* API key 999 */
    client_send_bytes(c, bytes, sizeof bytes);
    recv_small(c, 1);
    recv_small(c, 2);
    client_expect_end(c);
    harness_fini(&h);
}

static void resets_at_any_time(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *keeper = client_open(&h);
    struct topic t = topic_make(keeper, "resets", 1);
    struct batch_builder_options o = batch_builder_plain();
    struct slice large = batch_with(&h, &o, 10, 80000);
    for (u32 i = 0; i < 5; i++) {
        produce_ok(keeper, &t, 0, large);
    }
    for (u32 turns = 0; turns < 8; turns++) {
        struct client *half = client_open(&h); /* in the middle of a request */
        client_send_bytes(half, "\0\0\1\0\0\0", 6);
        struct client *reader = client_open_narrow(&h); /* in the middle of an answer */
        struct fetch_wish wish = {
            .leader_epoch = -1, .last_fetched_epoch = -1, .partition_max_bytes = 10 << 20};
        client_send(reader, API_fetch, 12, fetch_of(&h, &t, &wish, 1));
        struct client *parked = client_open(&h);
        struct fetch_wish end = {.offset = 50, .leader_epoch = -1, .last_fetched_epoch = -1};
        struct fetch_request *q = fetch_of(&h, &t, &end, 1);
        q->max_wait_ms = 60000;
        client_send(parked, API_fetch, 12, q);
        struct client *producer = client_open(&h); /* between the append and its answer */
        client_send(producer, API_produce, 9, produce_of(&h, &t, 0, batch_plain(&h, 1), -1));
        harness_turns(&h, turns);
        client_reset(half);
        client_reset(reader);
        client_reset(parked);
        client_reset(producer);
        harness_turns(&h, 10);
        client_expect_alive(keeper);
    }
    harness_fini(&h);
}

static void many_connections_come_and_go(void **state)
{
    struct harness h;
    harness_up(&h);
    for (u32 round = 0; round < 5; round++) {
        struct client *all[200];
        for (u32 i = 0; i < ARRAY_LEN(all); i++) {
            all[i] = client_open(&h);
        }
        for (u32 i = 0; i < ARRAY_LEN(all); i++) {
            client_expect_alive(all[i]);
        }
        assert_int_equal(h.broker->conn_count, ARRAY_LEN(all));
        for (u32 i = 0; i < ARRAY_LEN(all); i++) {
            client_close(all[i]);
        }
        for (u32 i = 0; i < 100 && h.broker->conn_count > 0; i++) {
            harness_turn(&h);
        }
        assert_int_equal(h.broker->conn_count, 0);
    }
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_lengths_end_the_connection),
        cmocka_unit_test(the_largest_frame_is_served),
        cmocka_unit_test(the_budget_limits_frames_too),
        cmocka_unit_test(tls_is_told_apart),
        cmocka_unit_test(http_gets_a_page),
        cmocka_unit_test(frames_may_come_in_any_pieces),
        cmocka_unit_test(a_frame_that_stops_is_given_up),
        cmocka_unit_test(a_byte_a_second_is_no_progress),
        cmocka_unit_test(memory_follows_the_bytes_received),
        cmocka_unit_test(time_in_which_nobody_reads_does_not_count),
        cmocka_unit_test(half_frames_hold_up_nobody),
        cmocka_unit_test(an_idle_connection_holds_no_buffer),
        cmocka_unit_test(one_buffer_serves_one_connection_after_the_other),
        cmocka_unit_test(blobs_of_a_crowd_are_kept_a_while),
        cmocka_unit_test(blobs_of_large_frames_are_kept_a_while),
        cmocka_unit_test(a_hundred_thousand_requests_unread),
        cmocka_unit_test(large_answers_unread_stop_the_reading),
        cmocka_unit_test(correlation_ids_are_echoed),
        cmocka_unit_test(answers_keep_the_order_of_requests),
        cmocka_unit_test(everything_sent_before_a_fin_is_answered),
        cmocka_unit_test(unacknowledged_produces_before_a_close_arrive),
        cmocka_unit_test(an_impossible_length_behind_a_full_list),
        cmocka_unit_test(what_was_asked_before_nonsense_is_answered),
        cmocka_unit_test(resets_at_any_time),
        cmocka_unit_test(many_connections_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
