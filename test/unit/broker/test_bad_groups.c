/* What a group's clients must not send, end to end [reliability.md, bad-input catalogue 75-79].
   What the state machine makes of it in all detail is test/unit/coord; here: that the broker says
   so, that its memory has an end however many groups and however large members there are, and that
   whoever was there before is served. */
#include "broker/conn.h"
#include "broker/coordinator.h"
#include "harness.h"

/* The coordinator is found, and with that the offsets topic made. */
static void coordinator_ready(struct client *c)
{
    struct find_coordinator_request *q = NEW(c->h, find_coordinator_request, 1);
    q->key = text("any");
    i16 kerr;
    do {
        kerr = CALL(c, find_coordinator, 3, q)->error_code;
        harness_turns(c->h, 1);
    } while (kerr == KERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(kerr, KERR_NONE);
}

static struct join_group_request *join_of(struct harness *h, struct slice group,
                                          struct slice metadata)
{
    struct join_group_request *q = NEW(h, join_group_request, 1);
    q->group_id = group;
    q->session_timeout_ms = 30000;
    q->rebalance_timeout_ms = 30000;
    q->member_id = text("");
    q->group_instance_id = (struct slice){0};
    q->protocol_type = text("consumer");
    q->protocols.count = 1;
    q->protocols.items = NEW(h, join_group_request_protocol, 1);
    q->protocols.items[0].name = text("range");
    q->protocols.items[0].metadata = metadata;
    return q;
}

static i16 join_kerr(struct client *c, struct join_group_request *q)
{
    return CALL(c, join_group, 3, q)->error_code;
}

static i16 heartbeat_kerr(struct client *c, struct slice group, struct slice member, i32 generation)
{
    struct heartbeat_request q = {
        .group_id = group, .member_id = member, .generation_id = generation};
    return CALL(c, heartbeat, 2, &q)->error_code;
}

static i16 sync_kerr(struct client *c, struct slice group, struct slice member)
{
    struct sync_group_request q = {.group_id = group, .member_id = member, .generation_id = 1};
    return CALL(c, sync_group, 2, &q)->error_code;
}

/* Alone in its group: joined at once when the first delay is over. */
static struct join_group_response *join_alone(struct client *c, struct join_group_request *q,
                                              i16 version)
{
    i32 id = client_send(c, API_join_group, version, q);
    harness_turns(c->h, 10);
    harness_skip_ms(c->h, 3100);
    struct join_group_response *r = client_recv(c, API_join_group, version, id);
    return r;
}

static i16 commit(struct client *c, struct slice group, const struct topic *t, i64 offset,
                  struct slice metadata)
{
    struct offset_commit_request *q = NEW(c->h, offset_commit_request, 1);
    q->group_id = group;
    q->generation_id_or_member_epoch = -1;
    q->topics.count = 1;
    q->topics.items = NEW(c->h, offset_commit_request_topic, 1);
    q->topics.items[0].name = text(t->name);
    q->topics.items[0].partitions.count = 1;
    q->topics.items[0].partitions.items = NEW(c->h, offset_commit_request_partition, 1);
    q->topics.items[0].partitions.items[0].committed_offset = offset;
    q->topics.items[0].partitions.items[0].committed_metadata = metadata;
    const struct offset_commit_response *r = CALL(c, offset_commit, 3, q);
    return r->topics.items[0].partitions.items[0].error_code;
}

static i64 committed(struct client *c, struct slice group, const struct topic *t)
{
    struct offset_fetch_request *q = NEW(c->h, offset_fetch_request, 1);
    q->group_id = group;
    q->topics.count = 1;
    q->topics.items = NEW(c->h, offset_fetch_request_topic, 1);
    q->topics.items[0].name = text(t->name);
    i32 *index = arena_array(&c->h->arena, 1, sizeof *index);
    *index = 0;
    q->topics.items[0].partition_indexes.count = 1;
    q->topics.items[0].partition_indexes.items = index;
    const struct offset_fetch_response *r;
    do {
        r = CALL(c, offset_fetch, 3, q);
        harness_turns(c->h, 1);
    } while (r->error_code == KERR_COORDINATOR_LOAD_IN_PROGRESS); /* after a restart */
    assert_int_equal(r->error_code, KERR_NONE);
    return r->topics.items[0].partitions.items[0].committed_offset;
}

/* ---- who may do what (75, 77) ---------------------------------------------------------------- */

static void an_empty_group_id_has_no_members(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    assert_int_equal(join_kerr(c, join_of(&h, text(""), text("m"))), KERR_INVALID_GROUP_ID);
    assert_int_equal(heartbeat_kerr(c, text(""), text("m"), 1), KERR_INVALID_GROUP_ID);
    assert_int_equal(sync_kerr(c, text(""), text("m")), KERR_INVALID_GROUP_ID);
    struct leave_group_request leave = {.group_id = text(""), .member_id = text("m")};
    assert_int_equal(CALL(c, leave_group, 2, &leave)->error_code, KERR_INVALID_GROUP_ID);
    harness_fini(&h);
}

static void session_timeouts_have_bounds(void **state)
{
    static const i32 bad[] = {0, -1, 5999, 1800001, INT32_MIN, INT32_MAX};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
        struct join_group_request *q = join_of(&h, text("g"), text("m"));
        q->session_timeout_ms = bad[i];
        assert_int_equal(join_kerr(c, q), KERR_INVALID_SESSION_TIMEOUT);
    }
    harness_fini(&h);
}

static void strangers_are_told_so(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    assert_int_equal(heartbeat_kerr(c, text("nobody's"), text("m"), 1), KERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(sync_kerr(c, text("nobody's"), text("m")), KERR_UNKNOWN_MEMBER_ID);
    struct join_group_request *q = join_of(&h, text("nobody's"), text("m"));
    q->member_id = text("made-up");
    assert_int_equal(join_kerr(c, q), KERR_UNKNOWN_MEMBER_ID);

    struct client *member = client_open(&h);
    struct join_group_response *joined = join_alone(member, join_of(&h, text("g"), text("m")), 3);
    assert_int_equal(joined->error_code, KERR_NONE);
    assert_int_equal(heartbeat_kerr(c, text("g"), text("other"), joined->generation_id),
                     KERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(heartbeat_kerr(c, text("g"), joined->member_id, joined->generation_id + 1),
                     KERR_ILLEGAL_GENERATION);
    /* Another type of protocol, none in common, none at all. */
    q = join_of(&h, text("g"), text("m"));
    q->protocol_type = text("connect");
    assert_int_equal(join_kerr(c, q), KERR_INCONSISTENT_GROUP_PROTOCOL);
    q = join_of(&h, text("g"), text("m"));
    q->protocols.items[0].name = text("mine");
    assert_int_equal(join_kerr(c, q), KERR_INCONSISTENT_GROUP_PROTOCOL);
    q->protocols.count = 0;
    assert_int_equal(join_kerr(c, q), KERR_INCONSISTENT_GROUP_PROTOCOL);
    harness_fini(&h);
}

static void the_old_of_two_instances_is_fenced(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *first = client_open(&h);
    coordinator_ready(first);
    struct join_group_request *q = join_of(&h, text("g"), text("m"));
    q->group_instance_id = text("only");
    struct join_group_response *joined = join_alone(first, q, 5);
    assert_int_equal(joined->error_code, KERR_NONE);
    struct client *second = client_open(&h);
    i32 id = client_send(second, API_join_group, 5, q);
    harness_turns(&h, 10);
    struct heartbeat_request beat = {.group_id = text("g"),
                                     .member_id = joined->member_id,
                                     .generation_id = joined->generation_id,
                                     .group_instance_id = text("only")};
    assert_int_equal(CALL(first, heartbeat, 3, &beat)->error_code, KERR_FENCED_INSTANCE_ID);
    harness_skip_ms(&h, 31000);
    assert_int_equal(
        ((struct join_group_response *)client_recv(second, API_join_group, 5, id))->error_code,
        KERR_NONE);
    harness_fini(&h);
}

/* ---- offsets (78) ---------------------------------------------------------------------------- */

static void commits_of_every_kind(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    struct topic t = topic_make(c, "t", 1);
    u8 *long_text = arena_alloc(&h.arena, 4097);
    memset(long_text, 'x', 4097);
    assert_int_equal(commit(c, text("g"), &t, 7, slice_of(long_text, 4097)),
                     KERR_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(committed(c, text("g"), &t), -1);
    assert_int_equal(commit(c, text("g"), &t, 7, slice_of(long_text, 4096)), KERR_NONE);
    assert_int_equal(committed(c, text("g"), &t), 7);
    /* Kafka keeps any offset. */
    static const i64 odd[] = {-2, INT64_MIN, INT64_MAX, 0};
    for (u32 i = 0; i < ARRAY_LEN(odd); i++) {
        assert_int_equal(commit(c, text("g"), &t, odd[i], (struct slice){0}), KERR_NONE);
        assert_int_equal(committed(c, text("g"), &t), odd[i]);
    }
    struct topic absent = {.name = "absent"};
    assert_int_equal(commit(c, text("g"), &absent, 1, (struct slice){0}),
                     KERR_UNKNOWN_TOPIC_OR_PARTITION);
    harness_fini(&h);
}

/* Any bytes are a group id: kept, found again, also over a restart. */
static void group_ids_of_every_kind(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    struct topic t = topic_make(c, "t", 1);
    u8 *longest = arena_alloc(&h.arena, 32767);
    memset(longest, 'g', 32767);
    const struct slice ids[] = {
        SLICE_LIT("a\0b"),         SLICE_LIT("a"),         SLICE_LIT("\xc0\x80"),
        SLICE_LIT("\xed\xa0\x80"), SLICE_LIT("\x1b[2J\n"), SLICE_LIT("../../etc"),
        slice_of(longest, 32767),
    };
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        assert_int_equal(commit(c, ids[i], &t, 100 + i, (struct slice){0}), KERR_NONE);
    }
    harness_stop(&h);
    harness_start(&h);
    c = client_open(&h);
    coordinator_ready(c);
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        assert_int_equal(committed(c, ids[i], &t), 100 + i);
    }
    harness_fini(&h);
}

/* The topic that groups live in may be deleted like any other: the groups are gone, who waits in
   one is told, and the next who looks for the coordinator makes it anew. (Found by fuzz_conn.c.) */
static void the_offsets_topic_is_deleted(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    struct topic t = topic_make(c, "t", 1);
    assert_int_equal(commit(c, text("other"), &t, 9, (struct slice){0}), KERR_NONE);
    struct client *member = client_open(&h);
    struct join_group_response *joined = join_alone(member, join_of(&h, text("g"), text("m")), 3);
    assert_int_equal(joined->error_code, KERR_NONE);
    struct client *second = client_open(&h);
    i32 waits = client_send(second, API_join_group, 3, join_of(&h, text("g"), text("m")));
    harness_turns(&h, 10);
    assert_false(client_has_frame(second));

    struct slice name = text("__consumer_offsets");
    struct delete_topics_request gone = {.topic_names = {.items = &name, .count = 1},
                                         .timeout_ms = 10000};
    assert_int_equal(CALL(c, delete_topics, 3, &gone)->responses.items[0].error_code, KERR_NONE);
    assert_int_equal(
        ((struct join_group_response *)client_recv(second, API_join_group, 3, waits))->error_code,
        KERR_NOT_COORDINATOR);
    harness_skip_ms(&h, 60000); /* no timer of theirs is left */
    client_expect_alive(c);
    assert_int_equal(join_kerr(c, join_of(&h, text("g"), text("m"))),
                     KERR_COORDINATOR_NOT_AVAILABLE);
    coordinator_ready(c);
    assert_int_equal(heartbeat_kerr(c, text("g"), joined->member_id, joined->generation_id),
                     KERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(committed(c, text("other"), &t), -1);
    assert_int_equal(join_alone(member, join_of(&h, text("g"), text("m")), 3)->error_code,
                     KERR_NONE);
    harness_fini(&h);
}

/* ---- too many, too large (76, 79) ------------------------------------------------------------ */

/* New groups until there is no memory for more: the next is refused, those there are go on. */
static void groups_without_end(void **state)
{
    enum { TRIES = 40000 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *c = client_open(&h);
    coordinator_ready(c);
    struct topic t = topic_make(c, "t", 1);
    u32 made = 0;
    i16 kerr = KERR_NONE;
    for (; made < TRIES && kerr == KERR_NONE; made++) {
        kerr = commit(c, harness_printf(&h, "group-%u", made), &t, made, (struct slice){0});
    }
    assert_int_equal(kerr, KERR_COORDINATOR_NOT_AVAILABLE);
    assert_true(made > 1000);
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    assert_int_equal(commit(c, text("group-5"), &t, 55, (struct slice){0}), KERR_NONE);
    assert_int_equal(committed(c, text("group-5"), &t), 55);
    harness_fini(&h);
}

/* Members with a megabyte of metadata each, in one group and then in many: refused when the groups'
   share of the memory is used up, with one error or the other. */
static void members_of_a_megabyte(void **state)
{
    enum { MEMBERS = 24, BYTES = 1 << 20 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 32 * MIB;
    harness_start(&h);
    struct client *keeper = client_open(&h);
    coordinator_ready(keeper);
    struct topic t = topic_make(keeper, "t", 1);
    struct slice large = slice_of(arena_alloc(&h.arena, BYTES), BYTES);
    assert_int_equal(commit(keeper, text("small"), &t, 1, (struct slice){0}), KERR_NONE);
    u32 refused = 0;
    for (u32 spread = 0; spread < 2; spread++) {
        for (u32 i = 0; i < MEMBERS; i++) {
            struct client *c = client_open(&h);
            struct slice group = harness_printf(&h, "large-%u-%u", spread, spread == 0 ? 0 : i);
            i32 id = client_send(c, API_join_group, 3, join_of(&h, group, large));
            for (u32 turn = 0; turn < 40 && !client_has_frame(c); turn++) {
                harness_turn(&h);
            }
            if (client_has_frame(c)) {
                i16 kerr = ((struct join_group_response *)client_recv(c, API_join_group, 3, id))
                               ->error_code;
                assert_true(kerr == KERR_GROUP_MAX_SIZE_REACHED ||
                            kerr == KERR_COORDINATOR_NOT_AVAILABLE);
                refused++;
            }
        }
    }
    assert_true(refused > MEMBERS);
    u64 held = 0;
    u32 cursor = 0;
    const struct group *g;
    while ((g = coordinator_next_group(h.broker->coordinator, &cursor)) != NULL) {
        held += group_bytes(g);
    }
    assert_true(held > 2 * MIB && held < 6 * MIB); /* an eighth of the budget, and a little */
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    assert_int_equal(commit(keeper, text("small"), &t, 2, (struct slice){0}), KERR_NONE);
    assert_int_equal(committed(keeper, text("small"), &t), 2);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_group_id_has_no_members),
        cmocka_unit_test(session_timeouts_have_bounds),
        cmocka_unit_test(strangers_are_told_so),
        cmocka_unit_test(the_old_of_two_instances_is_fenced),
        cmocka_unit_test(commits_of_every_kind),
        cmocka_unit_test(group_ids_of_every_kind),
        cmocka_unit_test(the_offsets_topic_is_deleted),
        cmocka_unit_test(groups_without_end),
        cmocka_unit_test(members_of_a_megabyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
