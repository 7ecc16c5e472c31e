/* Committed offsets: who may commit, what is kept, deleted, expired. Most tests are scripts
   (script.h); the last ones look at order, size and memory. */
#include "script.h"

#define HOUR  "3600000"
#define WEEK  "604800000"
#define CHECK "600000" /* a group without offsets and members goes after this */

/* "consumer" subscriptions of version 1: to t, to t and u. */
static const u8 to_t[] = {0, 1, 0, 0, 0, 1, 0, 1, 't', 255, 255, 255, 255, 0, 0, 0, 0};
static const u8 to_tu[] = {0, 1, 0, 0, 0, 2, 0, 1, 't', 0, 1, 'u', 0, 0, 0, 1, 9, 0, 0, 0, 0};

/* ---- OffsetCommit -------------------------------------------------------------------------- */

SCRIPT(test_simple_commit,
       {
           {"commit 1 o=t/0:5:hello,t/1:6", "1:NONE NONE NONE; +O t/0=5; +O t/1=6"},
           {"look", "Empty g0 / t/0=5'hello' t/1=6'' in " HOUR},
           {"commit 2 o=t/0:4", "2:NONE NONE; +O t/0=4"},
           {"look", "Empty g0 / t/0=4'' t/1=6'' in " HOUR},
           {"restart", ""},
           {"look", "Empty g0 / t/0=4'' t/1=6'' in " HOUR},
       })

SCRIPT(test_simple_commit_of_a_member_id, {
                                              {"commit 1 m=x o=t/0:5", "1:NONE NONE; +O t/0=5"},
                                          })

SCRIPT(test_commit_of_a_generation_into_an_empty_group,
       {
           {"commit 1 o=t/0:5", "1:NONE NONE; +O t/0=5"},
           {"commit 2 m=a g=0 o=t/0:6", "2:UNKNOWN_MEMBER_ID"},
           {"commit 3 g=0 o=t/0:6", "3:UNKNOWN_MEMBER_ID"},
       })

SCRIPT(test_member_commits, {
                                STABLE_ONE,
                                {"commit 4 m=a g=1 o=t/0:5", "4:NONE NONE; +O t/0=5"},
                                {"commit 5 m=a g=0 o=t/0:6", "5:ILLEGAL_GENERATION"},
                                {"commit 6 m=a g=2 o=t/0:6", "6:ILLEGAL_GENERATION"},
                                {"commit 7 m=x g=1 o=t/0:6", "7:UNKNOWN_MEMBER_ID"},
                                {"commit 8 m=a g=-1 o=t/0:6", "8:ILLEGAL_GENERATION"},
                                {"commit 9 o=t/0:6", "9:UNKNOWN_MEMBER_ID"},
                                {"commit 10 m=a i=x g=1 o=t/0:6", "10:UNKNOWN_MEMBER_ID"},
                                {"look", "Stable g1 consumer/range a(app)=A/1 t/0=5'' in 10000"},
                            })

SCRIPT(test_commit_in_a_rebalance,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:BB", "| PreparingRebalance"},
           {"commit 6 m=a g=1 o=t/0:5", "6:NONE NONE; +O t/0=5"},
           {"join 7 m=a p=range:A",
            "7:NONE g2 range me=a lead=a [a=A b=BB]; 5:NONE g2 range me=b lead=a; "
            "| CompletingRebalance"},
           {"commit 8 m=a g=2 o=t/0:6", "8:REBALANCE_IN_PROGRESS"},
           {"commit 9 m=a g=1 o=t/0:6", "9:ILLEGAL_GENERATION"},
       })

SCRIPT(test_commit_is_a_heartbeat, {
                                       STABLE_ONE,
                                       {"time 9999", ""},
                                       {"commit 4 m=a g=1 o=t/0:5", "4:NONE NONE; +O t/0=5"},
                                       {"time 9999", ""},
                                       {"look", "Stable g1 consumer/range a(app)=A/1 t/0=5'' in 1"},
                                       {"commit 5 m=a g=0 o=t/0:5", "5:ILLEGAL_GENERATION"},
                                       {"time 1", "+G g2 consumer/ lead=; | Empty"},
                                   })

/* The limit is 8 UTF-16 units: letters of two and three bytes are one, of four bytes two. */
SCRIPT(test_metadata_limit,
       {
           {"commit 1 o=t/0:1:12345678,t/1:1:123456789,t/2:1",
            "1:NONE NONE OFFSET_METADATA_TOO_LARGE NONE; +O t/0=1; +O t/2=1"},
           {"commit 2 o=t/0:2:\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4",
            "2:NONE NONE; +O t/0=2"},
           {"commit 3 o=t/0:3:\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac",
            "3:NONE NONE; +O t/0=3"},
           {"commit 4 o=t/0:4:\U0001F600\U0001F600\U0001F600\U0001F600", "4:NONE NONE; +O t/0=4"},
           {"commit 5 o=t/0:5:\U0001F600\U0001F600\U0001F600\U0001F600a",
            "5:NONE OFFSET_METADATA_TOO_LARGE"},
           {"commit 6 o=t/0:6:\xff\xfe\xc3\xa4\xe2\x82\x80\x80\x80\x80", "6:NONE NONE; +O t/0=6"},
           {"commit 7 o=t/0:7:\xf0\x9f\x98\xf0\x9f\x98\xf0\x9f\x98",
            "7:NONE OFFSET_METADATA_TOO_LARGE"},
       })

SCRIPT(test_refused_partitions_are_skipped,
       {
           {"commit 1 o=t/0!:1,t/1:2", "1:NONE UNKNOWN_TOPIC_OR_PARTITION NONE; +O t/1=2"},
           {"commit 2 o=", "2:NONE"},
           {"look", "Empty g0 / t/1=2'' in " HOUR},
       })

SCRIPT(test_one_partition_twice,
       {
           {"commit 1 o=t/0:1,t/0:2", "1:NONE NONE NONE; +O t/0=1; +O t/0=2"},
           {"look", "Empty g0 / t/0=2'' in " HOUR},
       })

/* As in Kafka the commit makes the group, even if none of it is kept. */
SCRIPT(test_commit_that_keeps_nothing_makes_the_group,
       {
           {"commit 1 o=t/0:1:123456789", "1:NONE OFFSET_METADATA_TOO_LARGE"},
           {"look", "Empty g0 / in " CHECK},
           {"commit 2 g=0 o=t/0:1", "2:UNKNOWN_MEMBER_ID"},
           {"deloff 3 o=t/0", "3:NONE NONE"},
           {"time " CHECK, "| Dead"},
           {"look", "Dead g0 / dead"},
       })

SCRIPT(test_refused_commit_makes_no_group, {
                                               {"commit 1 o=t/0!:1", "1:NONE "
                                                                     "UNKNOWN_TOPIC_OR_PARTITION"},
                                               {"look", "Empty g0 / dead"},
                                           })

SCRIPT(test_odd_offsets,
       {
           {"commit 1 o=t/0:-2,t/1:9223372036854775807", "1:NONE NONE NONE; +O t/0=-2; "
                                                         "+O t/1=9223372036854775807"},
       })

static void test_commit_too_large(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    w->limits.metadata_units_max = UINT32_MAX;
    u8 *big = mem_alloc(25 << 20);
    struct group_offset o = {
        .topic = SLICE_LIT("t"), .leader_epoch = -1, .metadata = slice_of(big, 25 << 20)};
    struct group_event ev = {.kind = GROUP_COMMIT,
                             .ticket = 1,
                             .generation = -1,
                             .commit = {.offsets = &o, .offset_count = 1}};
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.replies[0].kerr, KERR_INVALID_COMMIT_OFFSET_SIZE);
    assert_int_equal(w->out.record_count, 0);
    assert_true(w->out.dead);
    mem_free(big);
    world_fini(w);
    mem_free(w);
}

/* ---- topics: deleted, made again ----------------------------------------------------------- */

static struct uuid topic_id(u8 n)
{
    struct uuid id = {{0}};
    id.bytes[15] = n;
    return id;
}

static void test_offset_of_another_topic_of_that_name(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    assert_string_equal(world_run(w, "commit 1 o=t/0:5 id=1"), "1:NONE NONE; +O t/0=5");
    struct uuid none = {{0}};
    assert_non_null(group_offset_find(w->g, SLICE_LIT("t"), none, 0));
    assert_non_null(group_offset_find(w->g, SLICE_LIT("t"), topic_id(1), 0));
    assert_null(group_offset_find(w->g, SLICE_LIT("t"), topic_id(2), 0));
    assert_null(group_offset_find(w->g, SLICE_LIT("t"), none, 1));
    assert_null(group_offset_find(w->g, SLICE_LIT("u"), none, 0));
    world_fini(w);
    mem_free(w);
}

SCRIPT(test_topic_deleted, {
                               STABLE_ONE,
                               {"commit 4 m=a g=1 o=t/0:5,t/1:6,u/0:7 id=1",
                                "4:NONE NONE NONE NONE; +O t/0=5; +O t/1=6; "
                                "+O u/0=7"},
                               {"topicgone o=t id=2", ""},
                               {"topicgone o=t id=1", "-O t/0; -O t/1"},
                               {"look", "Stable g1 consumer/range a(app)=A/1 u/0=7'' in 10000"},
                               {"topicgone o=u", "-O u/0"},
                               {"restart", ""},
                               {"look", "Stable g1 consumer/range a(app)=A/1 in 10000"},
                           })

SCRIPT(test_topic_deleted_was_all, {
                                       {"commit 1 o=t/0:5", "1:NONE NONE; +O t/0=5"},
                                       {"topicgone o=t id=1", "-O t/0"},
                                       {"look", "Empty g0 / in " CHECK},
                                       {"restart", ""},
                                       {"look", "Empty g0 / dead"},
                                   })

/* ---- OffsetDelete, DeleteGroups ------------------------------------------------------------ */

SCRIPT(test_offset_delete,
       {
           {"commit 1 o=t/0:5,t/1:6,u/0:7", "1:NONE NONE NONE NONE; +O t/0=5; +O t/1=6; +O u/0=7"},
           {"deloff 2 o=t/0,t/9,u/0!", "2:NONE NONE NONE UNKNOWN_TOPIC_OR_PARTITION; -O t/0"},
           {"look", "Empty g0 / t/1=6'' u/0=7'' in " HOUR},
       })

SCRIPT(test_group_outlives_its_last_offset, {
                                                {"commit 1 o=t/0:5", "1:NONE NONE; +O t/0=5"},
                                                {"deloff 2 o=t/0", "2:NONE NONE; -O t/0"},
                                                {"look", "Empty g0 / in " CHECK},
                                                {"later 599999", ""},
                                                {"commit 3 o=t/0:6", "3:NONE NONE; +O t/0=6"},
                                                {"time 1", ""},
                                                {"look", "Empty g0 / t/0=6'' in " HOUR},
                                                {"deloff 4 o=t/0", "4:NONE NONE; -O t/0"},
                                                {"time " CHECK, "| Dead"},
                                            })

SCRIPT(test_offset_delete_with_members_of_another_kind,
       {
           {"join 1 f=a v=3 t=connect p=x:", "+G g0 / lead=; | PreparingRebalance"},
           {"deloff 2 o=t/0", "2:NON_EMPTY_GROUP"},
       })

/* Metadata that is no subscription: it might be to anything. */
SCRIPT(test_offset_delete_with_unreadable_members,
       {
           STABLE_ONE,
           {"commit 4 m=a g=1 o=t/0:5", "4:NONE NONE; +O t/0=5"},
           {"deloff 5 o=t/0", "5:NONE GROUP_SUBSCRIBED_TO_TOPIC"},
           {"leave 6 l=a", "6:NONE NONE; +G g2 consumer/ lead=; | Empty"},
           {"deloff 7 o=t/0", "7:NONE NONE; -O t/0"},
       })

static void join_subscribed(struct world *w, struct slice metadata)
{
    struct group_protocol protocol = {SLICE_LIT("range"), metadata};
    struct group_event join = {.kind = GROUP_JOIN,
                               .ticket = 1,
                               .version = 3,
                               .join = {.fresh_member_id = SLICE_LIT("a"),
                                        .client_id = SLICE_LIT("app"),
                                        .client_host = SLICE_LIT("/"),
                                        .protocol_type = SLICE_LIT("consumer"),
                                        .protocols = &protocol,
                                        .protocol_count = 1,
                                        .session_timeout_ms = 1800000,
                                        .rebalance_timeout_ms = 10000}};
    assert_int_equal(world_step(w, &join), OK);
    (void)world_run(w, "time 3000");
    (void)world_run(w, "sync 2 m=a g=1");
    assert_int_equal(group_state_of(w->g), GROUP_STABLE);
}

static void test_offset_delete_of_subscribed_topics(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"commit 4 m=a g=1 o=t/0:5,u/0:6,v/0:7", "4:NONE NONE NONE NONE; +O t/0=5; +O u/0=6; "
                                                 "+O v/0=7"},
        {"deloff 5 o=t/0,u/0,v/0", "5:NONE GROUP_SUBSCRIBED_TO_TOPIC GROUP_SUBSCRIBED_TO_TOPIC "
                                   "NONE; -O v/0"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    join_subscribed(w, slice_of(to_tu, sizeof(to_tu)));
    assert_true(group_subscribes(w->g, SLICE_LIT("t")));
    assert_true(group_subscribes(w->g, SLICE_LIT("u")));
    assert_false(group_subscribes(w->g, SLICE_LIT("v")));
    script_run_with(w, lines, ARRAY_LEN(lines));
    world_fini(w);
    mem_free(w);
}

SCRIPT(test_delete_group,
       {
           STABLE_ONE,
           {"commit 4 m=a g=1 o=t/0:5,u/0:6", "4:NONE NONE NONE; +O t/0=5; +O u/0=6"},
           {"delete 5", "5:NON_EMPTY_GROUP"},
           {"join 6 m=a p=range:X", "6:NONE g2 range me=a lead=a [a=X]; | CompletingRebalance"},
           {"delete 7", "7:NON_EMPTY_GROUP"},
           {"leave 8 l=a", "8:NONE NONE; +G g3 consumer/ lead=; | Empty"},
           {"delete 9", "9:NONE; -O t/0; -O u/0; -G; | Dead"},
           {"look", "Dead g3 consumer/ dead"},
           {"join 10 f=b", "10:COORDINATOR_NOT_AVAILABLE me="},
           {"sync 11 m=a g=1", "11:COORDINATOR_NOT_AVAILABLE"},
           {"beat 12 m=a g=1", "12:COORDINATOR_NOT_AVAILABLE"},
           {"leave 13 l=a", "13:COORDINATOR_NOT_AVAILABLE"},
           {"commit 14 o=t/0:1", "14:COORDINATOR_NOT_AVAILABLE"},
           {"deloff 15 o=t/0", "15:GROUP_ID_NOT_FOUND"},
           {"delete 16", "16:GROUP_ID_NOT_FOUND"},
           {"topicgone o=t", ""},
           {"time 0", ""},
           {"restart", ""},
           {"look", "Empty g0 / dead"},
       })

SCRIPT(test_delete_group_with_pending_ids,
       {
           {"join 1 f=a", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"delete 2", "2:NONE; -G; | Dead"},
       })

SCRIPT(test_delete_simple_group, {
                                     {"commit 1 o=t/0:5", "1:NONE NONE; +O t/0=5"},
                                     {"delete 2", "2:NONE; -O t/0; -G; | Dead"},
                                 })

/* ---- expiry -------------------------------------------------------------------------------- */

SCRIPT(test_simple_offsets_expire_by_commit, {
                                                 {"commit 1 o=t/0:5", "1:NONE NONE; +O t/0=5"},
                                                 {"time 1000", ""},
                                                 {"commit 2 o=t/1:6", "2:NONE NONE; +O t/1=6"},
                                                 {"time 604798999", ""},
                                                 {"look", "Empty g0 / t/0=5'' t/1=6'' in 1000"},
                                                 {"time 1000", "-O t/0"},
                                                 {"time 1000", "-O t/1; | Dead"},
                                                 {"look", "Dead g0 / dead"},
                                             })

SCRIPT(test_group_offsets_expire_since_empty,
       {
           STABLE_ONE,
           {"commit 4 m=a g=1 o=t/0:5,u/0:5", "4:NONE NONE NONE; +O t/0=5; +O u/0=5"},
           {"later " WEEK, ""},
           {"leave 5 l=a", "5:NONE NONE; +G g2 consumer/ lead=; | Empty"},
           {"look", "Empty g2 consumer/ t/0=5'' u/0=5'' in " HOUR},
           {"time 604799999", ""},
           {"look", "Empty g2 consumer/ t/0=5'' u/0=5'' in 1000"},
           {"restart", ""},
           {"time 1000", "-O t/0; -O u/0; -G; | Dead"},
       })

SCRIPT(test_members_keep_unreadable_subscriptions,
       {
           STABLE_ONE,
           {"commit 4 m=a g=1 o=t/0:5", "4:NONE NONE; +O t/0=5"},
           {"later " WEEK, ""},
           {"later " WEEK, ""},
           {"beat 5 m=a g=1", "5:NONE"},
           {"time 1", ""},
           {"look", "Stable g1 consumer/range a(app)=A/1 t/0=5'' in 9999"},
       })

static void test_unsubscribed_topics_expire(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"commit 4 m=a g=1 o=t/0:5,u/0:6", "4:NONE NONE NONE; +O t/0=5; +O u/0=6"},
        {"later " WEEK, ""},
        {"beat 5 m=a g=1", "5:NONE"},
        {"time 0", "-O u/0"},
        {"later " WEEK, ""},
        {"beat 5 m=a g=1", "5:NONE"},
        {"time 0", ""},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    join_subscribed(w, slice_of(to_t, sizeof(to_t)));
    script_run_with(w, lines, ARRAY_LEN(lines));
    world_fini(w);
    mem_free(w);
}

SCRIPT(test_nothing_expires_in_a_rebalance,
       {
           STABLE_TWO,
           {"commit 5 m=a g=1 o=t/0:5", "5:NONE NONE; +O t/0=5"},
           {"later " WEEK, ""},
           {"beat 6 m=b g=1", "6:NONE"},
           {"join 7 m=a p=range:X r=7000000 s=1800000", "| PreparingRebalance"},
           {"time 0", ""},
           {"look", "PreparingRebalance g1 consumer/ a(app)=/1 b(app)=/2 t/0=5'' in 10000"},
       })

SCRIPT(test_retention_of_the_commit_itself,
       {
           {"commit 1 o=t/0:5 x=1700000005000", "1:NONE NONE; +O t/0=5 v1"},
           {"restart", ""},
           {"look", "Empty g0 / t/0=5'' in 5000"},
           {"time 5000", "-O t/0; | Dead"},
       })

SCRIPT(test_empty_group_without_offsets_goes,
       {
           {"join 1 f=a s=1800000", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"look", "Empty g0 / in 600000"},
           {"time 600000", ""},
           {"look", "Empty g0 / in 600000"},
           {"time 600000", ""},
           {"time 600000", "-G; | Dead"},
       })

static void test_short_retention(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"commit 1 o=t/0:5", "1:NONE NONE; +O t/0=5"},
        {"look", "Empty g0 / t/0=5'' in 60000"},
        {"time 60000", "-O t/0; | Dead"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    w->limits.offsets_retention_ms = 60000;
    script_run_with(w, lines, ARRAY_LEN(lines));
    world_fini(w);
    mem_free(w);
}

/* Times that a record can hold and arithmetic cannot. */
static void test_times_at_the_edge(void **state)
{
    (void)state;
    static const i64 times[] = {INT64_MIN, -1, 0, INT64_MAX - 1, INT64_MAX};
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    for (u32 i = 0; i < ARRAY_LEN(times); i++) {
        struct group_offset o = {.topic = SLICE_LIT("t"),
                                 .partition = (i32)i,
                                 .metadata = WIRE_EMPTY,
                                 .commit_wall_ms = times[i]};
        offset_store(w->g, &o);
    }
    group_loaded(w->g, w->now_ms, w->wall_ms, &w->out);
    assert_int_equal(w->out.deadline_ms, w->now_ms + 1000);
    assert_string_equal(world_run(w, "time 1000"), "-O t/0; -O t/1; -O t/2");
    assert_int_equal(group_offset_count(w->g), 2);
    world_fini(w);
    mem_free(w);
}

/* ---- many ---------------------------------------------------------------------------------- */

enum { TOPICS = 100, PARTITIONS = 100 };

/* Ten thousand, committed in no order: they stand in order, and each is found. */
static void test_many(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    w->limits.metadata_units_max = 100;
    for (u32 i = 0; i < TOPICS * PARTITIONS; i++) {
        u32 k = (u32)((u64)i * 7919 % (TOPICS * PARTITIONS));
        char topic[16];
        snprintf(topic, sizeof(topic), "topic%u", k / PARTITIONS);
        struct group_offset o = {.topic = slice_cstr(topic),
                                 .partition = (i32)(k % PARTITIONS),
                                 .offset = k,
                                 .leader_epoch = -1,
                                 .metadata = SLICE_LIT("some words")};
        struct group_event ev = {
            .kind = GROUP_COMMIT, .generation = -1, .commit = {.offsets = &o, .offset_count = 1}};
        assert_int_equal(world_step(w, &ev), OK);
    }
    assert_int_equal(group_offset_count(w->g), TOPICS * PARTITIONS);
    for (u32 i = 0; i < TOPICS * PARTITIONS; i++) {
        const struct group_offset *o = group_offset_at(w->g, i);
        assert_ptr_equal(group_offset_find(w->g, o->topic, (struct uuid){{0}}, o->partition), o);
        const struct group_offset *before = i == 0 ? NULL : group_offset_at(w->g, i - 1);
        assert_true(before == NULL || slice_cmp(before->topic, o->topic) < 0 ||
                    (slice_eq(before->topic, o->topic) && before->partition < o->partition));
    }
    assert_true(group_bytes(w->g) < TOPICS * PARTITIONS * 200);
    world_restart(w);
    assert_int_equal(group_offset_count(w->g), TOPICS * PARTITIONS);
    (void)world_run(w, "topicgone o=topic7");
    assert_int_equal(group_offset_count(w->g), (TOPICS - 1) * PARTITIONS);
    world_fini(w);
    mem_free(w);
}

/* A group id so long that the tombstones of its offsets do not fit into one step: as many as do. */
static void test_tombstones_too_large(void **state)
{
    (void)state;
    enum { OFFSETS = 1200, ID_BYTES = 32000 };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    u8 *id = mem_alloc(ID_BYTES);
    struct group *small = w->g;
    w->g = group_create(slice_of(id, ID_BYTES), &w->limits);
    struct group_offset *all = mem_alloc(OFFSETS * sizeof(*all));
    for (i32 i = 0; i < OFFSETS; i++) {
        all[i] =
            (struct group_offset){.topic = SLICE_LIT("t"), .partition = i, .metadata = WIRE_EMPTY};
        offset_store(w->g, &all[i]);
    }
    struct group_event delete_offsets = {.kind = GROUP_DELETE_OFFSETS,
                                         .ticket = 1,
                                         .generation = -1,
                                         .commit = {.offsets = all, .offset_count = OFFSETS}};
    assert_int_equal(world_step(w, &delete_offsets), OK);
    assert_int_equal(w->out.replies[0].kerr, KERR_NONE);
    assert_int_equal(all[0].kerr, KERR_NONE);
    assert_int_equal(all[OFFSETS - 1].kerr, KERR_UNKNOWN_SERVER_ERROR);
    u32 left = group_offset_count(w->g);
    assert_int_equal(left, OFFSETS - w->out.record_count);
    for (i32 i = 0; i < OFFSETS; i++) {
        all[i].kerr = KERR_NONE;
        offset_store(w->g, &all[i]);
    }
    struct group_event delete = {.kind = GROUP_DELETE, .ticket = 2, .generation = -1};
    assert_int_equal(world_step(w, &delete), OK);
    assert_int_equal(w->out.replies[0].kerr, KERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(group_state_of(w->g), GROUP_EMPTY);
    assert_int_equal(group_offset_count(w->g), OFFSETS - w->out.record_count);
    assert_int_equal(world_step(w, &delete), OK);
    assert_int_equal(w->out.replies[0].kerr, KERR_NONE);
    assert_true(w->out.dead);
    mem_free(all);
    mem_free(id);
    group_destroy(small);
    world_fini(w);
    mem_free(w);
}

/* An idle group with one committed offset: at most 2 KiB. */
static void test_memory_of_an_idle_group(void **state)
{
    (void)state;
    static const struct line lines[] = {
        STABLE_ONE,
        {"commit 4 m=a g=1 o=a-topic-with-a-name/0:5:meta",
         "4:NONE NONE; +O a-topic-with-a-name/0=5"},
        {"leave 5 l=a", "5:NONE NONE; +G g2 consumer/ lead=; | Empty"},
        {"restart", ""},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    script_run_with(w, lines, ARRAY_LEN(lines));
    printf("an idle group with one offset takes %llu bytes\n",
           (unsigned long long)group_bytes(w->g));
    assert_true(group_bytes(w->g) <= 1024);
    world_fini(w);
    mem_free(w);
}

/* What is counted comes back when it is let go. */
static void test_bytes_are_counted(void **state)
{
    (void)state;
    static const struct line lines[] = {
        STABLE_TWO,
        {"join 5 m=b p=range:BB", "| PreparingRebalance"},
        {"leave 6 l=a,b", "5:UNKNOWN_MEMBER_ID me=; 6:NONE NONE NONE; "
                          "+G g2 consumer/ lead=; | Empty"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    u64 before = group_bytes(w->g);
    script_run_with(w, lines, ARRAY_LEN(lines));
    u64 type = sizeof(struct block) + 8 + 16;
    assert_int_equal(group_bytes(w->g), before + type);
    assert_int_equal(w->g->members_bytes, 0);
    (void)world_run(w, "commit 7 o=t/0:1:x,t/1:2,u/0:3");
    (void)world_run(w, "commit 8 o=t/0:1:longer");
    (void)world_run(w, "deloff 9 o=t/0,t/1,u/0");
    assert_int_equal(group_bytes(w->g), before + type + w->g->offset_cap * sizeof(void *) + 16);
    world_fini(w);
    mem_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple_commit),
        cmocka_unit_test(test_simple_commit_of_a_member_id),
        cmocka_unit_test(test_commit_of_a_generation_into_an_empty_group),
        cmocka_unit_test(test_member_commits),
        cmocka_unit_test(test_commit_in_a_rebalance),
        cmocka_unit_test(test_commit_is_a_heartbeat),
        cmocka_unit_test(test_metadata_limit),
        cmocka_unit_test(test_refused_partitions_are_skipped),
        cmocka_unit_test(test_one_partition_twice),
        cmocka_unit_test(test_commit_that_keeps_nothing_makes_the_group),
        cmocka_unit_test(test_refused_commit_makes_no_group),
        cmocka_unit_test(test_odd_offsets),
        cmocka_unit_test(test_commit_too_large),
        cmocka_unit_test(test_offset_of_another_topic_of_that_name),
        cmocka_unit_test(test_topic_deleted),
        cmocka_unit_test(test_topic_deleted_was_all),
        cmocka_unit_test(test_offset_delete),
        cmocka_unit_test(test_group_outlives_its_last_offset),
        cmocka_unit_test(test_offset_delete_with_members_of_another_kind),
        cmocka_unit_test(test_offset_delete_with_unreadable_members),
        cmocka_unit_test(test_offset_delete_of_subscribed_topics),
        cmocka_unit_test(test_delete_group),
        cmocka_unit_test(test_delete_group_with_pending_ids),
        cmocka_unit_test(test_delete_simple_group),
        cmocka_unit_test(test_simple_offsets_expire_by_commit),
        cmocka_unit_test(test_group_offsets_expire_since_empty),
        cmocka_unit_test(test_members_keep_unreadable_subscriptions),
        cmocka_unit_test(test_unsubscribed_topics_expire),
        cmocka_unit_test(test_nothing_expires_in_a_rebalance),
        cmocka_unit_test(test_retention_of_the_commit_itself),
        cmocka_unit_test(test_empty_group_without_offsets_goes),
        cmocka_unit_test(test_short_retention),
        cmocka_unit_test(test_times_at_the_edge),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_tombstones_too_large),
        cmocka_unit_test(test_memory_of_an_idle_group),
        cmocka_unit_test(test_bytes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
