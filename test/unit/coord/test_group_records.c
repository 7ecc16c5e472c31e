/* Records: the very bytes that the coordinator of Apache Kafka 4.4.0 writes, older versions read,
   what makes no sense refused without a trace, and subscriptions of all kinds read. */
#include "script.h"

#define OFFSET_KEY  "0001000367727000017400000001"
#define GROUP_KEY   "00020003677270"
#define EMPTY_GROUP "0003000000000000ffffffff0000018bcfe5680000000000"
#define OFFSET_WITH_ID                                                                   \
    "00040000000000000005ffffffff0368690000018bcfe5680001001000000000000000000000000000" \
    "000001"
#define OFFSET_WITHOUT_ID  "0004000000000000000500000007010000018bcfe5680000"
#define OFFSET_WITH_EXPIRY "0001000000000000000500000000018bcfe568000000018bcfe57b88"
/* no rebalance timeout, no time, no instance */
#define GROUP_OF_VERSION_0                                                         \
    "00000008636f6e73756d657200000001000572616e6765000161000000010001610003617070" \
    "000a2f3132372e302e302e310000271000000001410000000131"
#define GROUP_OF_ONE                                                                       \
    "00030008636f6e73756d657200000001000572616e67650001610000018bcfe573b80000000100016100" \
    "01780003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"

static u8 nibble(char c)
{
    return (u8)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Memory of its own, so that a read past the end is seen. */
static struct slice bytes_of(const char *hex)
{
    size_t len = strlen(hex) / 2;
    u8 *bytes = mem_alloc(len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (u8)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    }
    return slice_of(bytes, len);
}

static void release(struct slice s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}

static void assert_bytes(struct slice s, const char *hex)
{
    if (hex == NULL) {
        assert_null(s.ptr);
        return;
    }
    struct slice expected = bytes_of(hex);
    assert_int_equal(s.len, expected.len);
    assert_memory_equal(s.ptr, expected.ptr, s.len);
    release(expected);
}

/* ---- written ------------------------------------------------------------------------------- */

static void test_bytes_as_kafka(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        const char *key; /* of the first record, NULL: none */
        const char *value;
    } steps[] = {
        {"join 1 f=a i=x p=range:A", GROUP_KEY, EMPTY_GROUP},
        {"time 3000", NULL, NULL},
        {"sync 2 m=a i=x g=1 a=a:1", GROUP_KEY, GROUP_OF_ONE},
        {"topicgone o=t", NULL, NULL},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    for (u32 i = 0; i < ARRAY_LEN(steps); i++) {
        (void)world_run(w, steps[i].event);
        assert_int_equal(w->out.record_count, steps[i].key != NULL);
        if (steps[i].key != NULL) {
            assert_bytes(w->out.records[0].key, steps[i].key);
            assert_bytes(w->out.records[0].value, steps[i].value);
        }
    }
    world_fini(w);
    mem_free(w);
}

static void commit(struct world *w, const struct group_offset *offset)
{
    struct group_offset copy = *offset;
    struct group_event ev = {
        .kind = GROUP_COMMIT, .generation = -1, .commit = {.offsets = &copy, .offset_count = 1}};
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.record_count, 1);
    assert_bytes(w->out.records[0].key, OFFSET_KEY);
}

static void test_offset_bytes_as_kafka(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    struct group_offset o = {.topic = SLICE_LIT("t"),
                             .topic_id = {{[15] = 1}},
                             .partition = 1,
                             .offset = 5,
                             .leader_epoch = -1,
                             .metadata = SLICE_LIT("hi")};
    commit(w, &o);
    assert_bytes(w->out.records[0].value, OFFSET_WITH_ID);
    o.topic_id = (struct uuid){{0}};
    o.leader_epoch = 7;
    o.metadata = WIRE_EMPTY;
    commit(w, &o);
    assert_bytes(w->out.records[0].value, OFFSET_WITHOUT_ID);
    o.expire_wall_ms = 1700000005000;
    commit(w, &o);
    assert_bytes(w->out.records[0].value, OFFSET_WITH_EXPIRY);
    assert_string_equal(world_run(w, "delete 9"), "9:NONE; -O t/1; -G; | Dead");
    assert_bytes(w->out.records[0].key, OFFSET_KEY);
    assert_bytes(w->out.records[1].key, GROUP_KEY);
    world_fini(w);
    mem_free(w);
}

/* ---- read ---------------------------------------------------------------------------------- */

static err_t replay(struct world *w, const char *key, const char *value)
{
    struct slice k = bytes_of(key);
    struct slice v = value == NULL ? (struct slice){0} : bytes_of(value);
    err_t e = group_replay(w->g, k, v, 0);
    release(k);
    release(v);
    return e;
}

/* Every version there ever was. */
static void test_versions_read(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *look;
    } groups[] = {
        {GROUP_OF_VERSION_0, "Stable g1 consumer/range a(app)=A/1"},
        {"00010008636f6e73756d657200000001000572616e67650001610000000100016100036170"
         "70000a2f3132372e302e302e310000ea60000027100000000141000000"
         "0131",
         "Stable g1 consumer/range a(app)=A/1"},
        {"00020008636f6e73756d657200000001000572616e67650001610000018bcfe573b800000001"
         "00016100036170"
         "70000a2f3132372e302e302e310000ea60000027100000000141000000"
         "0131",
         "Stable g1 consumer/range a(app)=A/1"},
        {GROUP_OF_ONE, "Stable g1 consumer/range a@x(app)=A/1"},
        /* version 4, flexible */
        {"000409636f6e73756d6572000000010672616e676502610000018bcfe573b80202610278046170700b2f"
         "3132372e302e302e310000ea60000027100241023100"
         "00",
         "Stable g1 consumer/range a@x(app)=A/1"},
        {EMPTY_GROUP, "Empty g0 /"},
        {NULL, "Empty g0 / dead"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    for (u32 i = 0; i < ARRAY_LEN(groups); i++) {
        assert_int_equal(replay(w, GROUP_KEY, groups[i].value), OK);
        w->out = (struct group_out){.deadline_ms = INT64_MAX, .dead = group_is_void(w->g)};
        assert_string_equal(world_run(w, "look"), groups[i].look);
    }
    world_fini(w);
    mem_free(w);
}

/* Of a record without rebalance timeouts the session timeouts count. */
static void test_rebalance_timeout_of_version_0(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"join 1 f=b v=3 r=1 p=range:B", "| PreparingRebalance"},
        {"later 1", ""},
        {"beat 2 m=a g=1", "2:REBALANCE_IN_PROGRESS"},
        {"look", "PreparingRebalance g1 consumer/ a(app)=/1 b(app)=/ in 9999"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    assert_int_equal(replay(w, GROUP_KEY, GROUP_OF_VERSION_0), OK);
    group_loaded(w->g, w->now_ms, w->wall_ms, &w->out);
    script_run_with(w, lines, ARRAY_LEN(lines));
    world_fini(w);
    mem_free(w);
}

static void test_offset_versions_read(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *value;
        i32 epoch;
        i64 expire;
        u8 id;
    } offsets[] = {
        {"0000000367727000017400000001",
         "000000000000000000050002686900"
         "00018bcfe56800",
         -1, 0, 0},
        {OFFSET_KEY,
         "000000000000000000050002686900"
         "00018bcfe56800",
         -1, 0, 0},
        {OFFSET_KEY,
         "0001000000000000000500026869000"
         "0018bcfe56800ffffffffffffffff",
         -1, 0, 0},
        {OFFSET_KEY,
         "0001000000000000000500026869000"
         "0018bcfe568000000018bcfe57b88",
         -1, 1700000005000, 0},
        {OFFSET_KEY,
         "000200000000000000050002686900"
         "00018bcfe56800",
         -1, 0, 0},
        {OFFSET_KEY,
         "000300000000000000050000000700026869"
         "0000018bcfe56800",
         7, 0, 0},
        {OFFSET_KEY, OFFSET_WITH_ID, -1, 0, 1},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    for (u32 i = 0; i < ARRAY_LEN(offsets); i++) {
        assert_int_equal(replay(w, OFFSET_KEY, NULL), OK);
        assert_int_equal(group_offset_count(w->g), 0);
        assert_int_equal(replay(w, offsets[i].key, offsets[i].value), OK);
        const struct group_offset *o =
            group_offset_find(w->g, SLICE_LIT("t"), (struct uuid){{0}}, 1);
        assert_non_null(o);
        assert_int_equal(o->offset, 5);
        assert_int_equal(o->leader_epoch, offsets[i].epoch);
        assert_int_equal(o->commit_wall_ms, 1700000000000);
        assert_int_equal(o->expire_wall_ms, offsets[i].expire);
        assert_int_equal(o->topic_id.bytes[15], offsets[i].id);
        assert_true(slice_eq_cstr(o->metadata, "hi"));
    }
    world_fini(w);
    mem_free(w);
}

static void test_owner(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *owner; /* NULL: not ours */
    } keys[] = {
        {OFFSET_KEY, "grp"},
        {GROUP_KEY, "grp"},
        {"0000000367727000017400000001", "grp"},
        {"00030003677270", NULL},
        {"ffff0003677270", NULL},
        {"000200", NULL},
        {"0002000467727000", "grp\0"},
        {"0002ffff", NULL},
        {"00020004677270", NULL},
        {"", NULL},
        {"00020000", ""},
    };
    for (u32 i = 0; i < ARRAY_LEN(keys); i++) {
        struct slice key = bytes_of(keys[i].key);
        struct slice owner;
        assert_int_equal(group_record_owner(key, &owner), keys[i].owner != NULL);
        if (keys[i].owner != NULL) {
            assert_memory_equal(owner.ptr, keys[i].owner, owner.len);
            assert_true(owner.len >= strlen(keys[i].owner));
        }
        release(key);
    }
}

/* Refused, and what was there stays. */
static void test_nonsense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *value;
    } records[] = {
        {"00020003677271", EMPTY_GROUP},            /* another group's */
        {"0001000367727000017400", OFFSET_WITH_ID}, /* half a partition */
        {OFFSET_KEY, "0005"},                       /* a version to come */
        {OFFSET_KEY, "ffff"},
        {OFFSET_KEY, ""},
        {OFFSET_KEY, "0004000000000000000500000007"}, /* cut off */
        {GROUP_KEY, "0005"},
        {GROUP_KEY, ""},
        {GROUP_KEY, "0003000000000000ffffffff0000018bcfe568007fffffff"}, /* 2^31 members */
        {GROUP_KEY, "00030000ffffffffffffffff0000018bcfe5680000000000"}, /* generation -1 */
        /* a member without a protocol */
        {GROUP_KEY, "00030008636f6e73756d657200000001ffff0001610000018bcfe573b8000000010001610001"
                    "780003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"},
        /* a member without an id */
        {GROUP_KEY,
         "00030008636f6e73756d657200000001000572616e67650001610000018bcfe573b8000000010000"
         "0001780003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"},
        /* a@x twice; a@x and b@x */
        {GROUP_KEY,
         "00030008636f6e73756d657200000001000572616e67650001610000018bcfe573b800000002"
         "0001610001780003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"
         "000161ffff0003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"},
        {GROUP_KEY,
         "00030008636f6e73756d657200000001000572616e67650001610000018bcfe573b800000002"
         "0001610001780003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"
         "0001620001780003617070000a2f3132372e302e302e310000ea600000271000000001410000000131"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    assert_int_equal(replay(w, GROUP_KEY, GROUP_OF_ONE), OK);
    assert_int_equal(replay(w, OFFSET_KEY, OFFSET_WITH_ID), OK);
    char *before = group_dump(w->g);
    for (u32 i = 0; i < ARRAY_LEN(records); i++) {
        assert_int_equal(replay(w, records[i].key, records[i].value), ERR_INVALID);
        char *after = group_dump(w->g);
        assert_string_equal(before, after);
        mem_free(after);
    }
    mem_free(before);
    world_fini(w);
    mem_free(w);
}

/* Cut anywhere, any bit turned: refused or read, never past the end. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const keys[] = {GROUP_KEY, OFFSET_KEY, OFFSET_KEY};
    static const char *const values[] = {GROUP_OF_ONE, OFFSET_WITH_ID, OFFSET_WITH_EXPIRY};
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    for (u32 i = 0; i < ARRAY_LEN(values); i++) {
        struct slice key = bytes_of(keys[i]);
        struct slice value = bytes_of(values[i]);
        for (size_t bit = 0; bit < 8 * value.len; bit++) {
            u8 *copy = mem_alloc(value.len);
            memcpy(copy, value.ptr, value.len);
            copy[bit / 8] = (u8)(copy[bit / 8] ^ 1 << bit % 8);
            err_t e = group_replay(w->g, key, slice_of(copy, value.len), 0);
            assert_true(e == OK || e == ERR_INVALID);
            e = group_replay(w->g, key, slice_of(copy, bit / 8), 0);
            assert_true(e == OK || e == ERR_INVALID);
            mem_free(copy);
        }
        release(key);
        release(value);
    }
    group_loaded(w->g, w->now_ms, w->wall_ms, &w->out);
    world_fini(w);
    mem_free(w);
}

/* A leader that is none of them, odd timeouts: the group comes up and can go on. */
static void test_odd_members(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    assert_int_equal(
        replay(w, GROUP_KEY,
               "00030008636f6e73756d657200000001000572616e67650001710000018bcfe573b8000000010001"
               "610001780003617070000a2f3132372e302e302e318000000080000000000000014100"
               "00000131"),
        OK);
    group_loaded(w->g, w->now_ms, w->wall_ms, &w->out);
    assert_string_equal(world_run(w, "look"), "Stable g1 consumer/range a@x(app)=A/1 in 1");
    assert_string_equal(world_run(w, "time 1"), "+G g2 consumer/ lead=; | Empty");
    world_fini(w);
    mem_free(w);
}

SCRIPT(test_restart_keeps_what_is_written,
       {
           STABLE_TWO,
           {"commit 5 m=a g=1 o=t/0:5:note id=1", "5:NONE NONE; +O t/0=5"},
           {"join 6 f=c", "6:MEMBER_ID_REQUIRED me=c"},
           {"restart", ""},
           {"look", "Stable g1 consumer/range a(app)=A/1 b(app)=B/2 t/0=5'note' in 10000"},
           {"join 7 m=c", "7:UNKNOWN_MEMBER_ID me=c"},
           {"beat 8 m=b g=1", "8:NONE"},
           {"sync 9 m=b g=1", "9:NONE range '2'"},
           {"join 10 m=a p=range:A,rr:a", "| PreparingRebalance"},
           {"restart", ""},
           {"look", "Stable g1 consumer/range a(app)=A/1 b(app)=B/2 t/0=5'note' in 10000"},
       })

/* After a restart only the chosen protocol of each member is known. */
SCRIPT(test_restart_forgets_other_protocols,
       {
           STABLE_TWO,
           {"restart", ""},
           {"join 5 f=c v=3 p=rr:", "5:INCONSISTENT_GROUP_PROTOCOL me="},
           {"join 6 f=c v=3 p=rr:,range:C", "| PreparingRebalance"},
       })

/* ---- subscriptions ------------------------------------------------------------------------- */

static void count_topic(void *context, struct slice topic)
{
    (void)topic;
    ++*(u32 *)context;
}

static void test_subscriptions(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        i32 topics; /* -1: not readable */
    } rows[] = {
        {"", -1},
        {"00", -1},
        {"000000000000ffffffff", 0},
        {"000000000001000174ffffffff", 1},
        {"0000000000020001740001750000000209", -1},
        {"00000000000200017400017500000001"
         "09",
         2},
        {"000100000001000174ffffffff0000000100017400000001"
         "00000000",
         1},
        {"7fff00000001000174ffffffff"
         "cafe",
         1},
        {"ffff00000001000174ffffffff", -1},
        {"000000000001000174", -1},
        {"0000ffffffffffffffff", -1},
        {"00007fffffff000174ffffffff", -1},
        {"000000000001ffffffffffff", -1},
        {"000000000001000574ffffffff", -1},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice bytes = bytes_of(rows[i].hex);
        u32 count = 0;
        assert_int_equal(subscription_topics(bytes, count_topic, &count), rows[i].topics >= 0);
        assert_true(rows[i].topics < 0 || count == (u32)rows[i].topics);
        release(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_as_kafka),
        cmocka_unit_test(test_offset_bytes_as_kafka),
        cmocka_unit_test(test_versions_read),
        cmocka_unit_test(test_rebalance_timeout_of_version_0),
        cmocka_unit_test(test_offset_versions_read),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_odd_members),
        cmocka_unit_test(test_restart_keeps_what_is_written),
        cmocka_unit_test(test_restart_forgets_other_protocols),
        cmocka_unit_test(test_subscriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
