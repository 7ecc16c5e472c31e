/* The list of connections: what it says of a client, of a group's member, of nobody yet; that a
   walk over several turns meets everybody who stays once, whoever comes and goes meanwhile; that it
   may be dropped; that what a client says of itself cannot break the JSON. */
#include "broker/connections.h"
#include "harness.h"

static struct connections *found;

static void listed(void *user, struct connections *list)
{
    assert_null(found);
    found = list;
}

static void drop(void)
{
    connections_destroy(found);
    found = NULL;
}

static void list_now(struct harness *h, struct connections_walk *w)
{
    connections_list(w, listed, NULL);
    assert_null(found); /* never at once */
    while (found == NULL) {
        harness_turn(h);
    }
}

static void what_is_said_of_one(void **state)
{
    struct harness h;
    harness_up(&h);
    struct connections_walk *w = connections_walk_create(h.broker, 0);
    list_now(&h, w);
    assert_int_equal(found->count, 0);
    size_t len;
    char *json = connections_text(found, &len);
    assert_non_null(memmem(json, len, "\"connections\":0,\"left_out\":0,\"clients\":[\n]}", 43));
    mem_free(json);
    drop();

    struct client *c = client_open(&h);
    harness_turns(&h, 3);
    list_now(&h, w);
    assert_int_equal(found->count, 1);
    assert_null(found->first->last_api); /* it has asked for nothing */
    assert_int_equal(found->first->client_id.len, 0);
    assert_int_equal(found->first->bytes_in, 0);
    assert_true(slice_eq_cstr(found->first->host, "127.0.0.1"));
    drop();

    struct api_versions_request q = {.client_software_name = text("our-client"),
                                     .client_software_version = text("1.2"),
                                     .node_id = -1};
    (void)CALL(c, api_versions, 3, &q);
    (void)topic_make(c, "t", 1);
    harness_skip_ms(&h, 5000);
    list_now(&h, w);
    const struct connection_row *row = found->first;
    assert_true(slice_eq_cstr(row->software, "our-client"));
    assert_true(slice_eq_cstr(row->version, "1.2"));
    assert_true(row->client_id.len > 0);
    assert_int_equal(row->group.len, 0);
    assert_true(row->requests >= 2 && row->bytes_in > 0 && row->bytes_out > row->bytes_in / 4);
    assert_int_equal(row->unanswered, 0);
    assert_true(row->idle_ms >= 5000 && row->since_ms <= harness_wall_ms(&h) - 5000);
    assert_non_null(row->last_api);
    drop();
    connections_walk_destroy(w);
    harness_fini(&h);
}

static void a_member_has_a_group_until_it_leaves(void **state)
{
    struct harness h;
    harness_up(&h);
    struct connections_walk *w = connections_walk_create(h.broker, 0);
    struct client *c = client_open(&h);
    struct heartbeat_request beat = {.group_id = text("billing"), .member_id = text("m")};
    (void)CALL(c, heartbeat, 4, &beat); /* refused: who asks is shown all the same */
    list_now(&h, w);
    assert_true(slice_eq_cstr(found->first->group, "billing"));
    drop();
    struct leave_group_request leave = {.group_id = text("billing"), .member_id = text("m")};
    (void)CALL(c, leave_group, 2, &leave);
    list_now(&h, w);
    assert_int_equal(found->first->group.len, 0);
    drop();
    connections_walk_destroy(w);
    harness_fini(&h);
}

/* Client n says that it is number n. */
static void say_number(struct client *c, u32 n)
{
    struct api_versions_request q = {
        .client_software_name = text("n"),
        .client_software_version = harness_printf(c->h, "%u", n),
        .node_id = -1,
    };
    (void)CALL(c, api_versions, 3, &q);
}

static void they_come_and_go_meanwhile(void **state)
{
    enum { CLIENTS = 120 };
    struct harness h;
    harness_up(&h);
    struct connections_walk *w = connections_walk_create(h.broker, 0);
    struct client *clients[CLIENTS];
    for (u32 i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(&h);
        say_number(clients[i], i);
    }
    for (u32 round = 0; round < CLIENTS - 2; round++) {
        connections_list(w, listed, NULL);
        /* The first that is left goes while the walk stands at it; now and then one from the end.
         */
        client_reset(clients[round]);
        if (round % 10 == 0) {
            client_open(&h);
        }
        u32 turns = 0;
        for (; found == NULL; turns++) {
            harness_turn(&h);
        }
        assert_true(turns >= found->count / 32);
        u32 seen[CLIENTS] = {0};
        for (const struct connection_row *row = found->first; row != NULL; row = row->next) {
            char number[8] = {0};
            if (row->version.len > 0) {
                memcpy(number, row->version.ptr, MIN(row->version.len, sizeof number - 1));
            }
            seen[row->version.len > 0 ? strtoul(number, NULL, 10) : round]++;
        }
        for (u32 i = round + 1; i < CLIENTS; i++) {
            assert_int_equal(seen[i], 1);
        }
        drop();
    }
    connections_list(w, listed, NULL);
    connections_walk_destroy(w); /* what is under way is dropped */
    harness_turns(&h, 5);
    assert_null(found);
    harness_fini(&h);
}

static void whatever_they_say(void **state)
{
    static const u8 odd[] = "a\"b\\c\x1b[31m\n\xff\xc3\xa9\xe2\x80";
    struct api_row api = {.kafka_name = "Fetch"};
    struct connection_row row = {.host = text("::1"),
                                 .port = 9,
                                 .client_id = slice_of(odd, sizeof odd - 1),
                                 .last_api = &api,
                                 .requests = UINT64_MAX,
                                 .since_ms = -1};
    struct connections list = {.first = &row, .last = &row, .count = 1, .left_out = 7};
    size_t len;
    char *json = connections_text(&list, &len);
    assert_non_null(memmem(json, len, "\"connections\":8,\"left_out\":7", 28));
    assert_non_null(memmem(json, len, "{\"address\":\"[::1]:9\",\"client_id\":", 33));
    const char *escaped = "\"a\\\"b\\\\c\\u001b[31m\\u000a\\ufffd\xc3\xa9\\ufffd\\ufffd\"";
    assert_non_null(memmem(json, len, escaped, strlen(escaped)));
    assert_non_null(memmem(json, len, "\"last_api\":\"Fetch\",\"since_ms\":-1,", 33));
    assert_non_null(memmem(json, len, "\"software\":null", 15));
    mem_free(json);
}

/* A long name is cut, and does not grow with what is sent again. */
static void long_names_are_cut(void **state)
{
    struct harness h;
    harness_up(&h);
    struct connections_walk *w = connections_walk_create(h.broker, 0);
    struct client *c = client_open(&h);
    u8 *name = arena_alloc(&h.arena, 5000);
    memset(name, 'x', 5000);
    struct api_versions_request q = {.client_software_name = slice_of(name, 5000),
                                     .client_software_version = slice_of(name, 300),
                                     .node_id = -1};
    struct heartbeat_request beat = {.group_id = slice_of(name, 4000), .member_id = text("m")};
    for (u32 i = 0; i < 3; i++) {
        (void)CALL(c, api_versions, 3, &q);
        (void)CALL(c, heartbeat, 4, &beat);
    }
    list_now(&h, w);
    assert_int_equal(found->first->software.len, CLIENT_TEXT_BYTES_MAX);
    assert_int_equal(found->first->version.len, CLIENT_TEXT_BYTES_MAX);
    assert_int_equal(found->first->group.len, CLIENT_TEXT_BYTES_MAX);
    assert_int_equal(found->first->group.ptr[CLIENT_TEXT_BYTES_MAX - 1], 'x');
    drop();
    connections_walk_destroy(w);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_of_one),
        cmocka_unit_test(a_member_has_a_group_until_it_leaves),
        cmocka_unit_test(they_come_and_go_meanwhile),
        cmocka_unit_test(whatever_they_say),
        cmocka_unit_test(long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
