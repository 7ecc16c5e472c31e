/* Facts of a broker that runs: topics, partitions and committed offsets with their lag and age;
   that it is collected a piece a turn while topics come and go; that it ends at its cap and says
   so; that what is under way may be dropped. (test/http compares all of it with what clients see.)
 */
#include "broker/facts.h"
#include "broker/server.h"
#include "harness.h"

static struct facts *found;

static void collected(void *user, struct facts *f)
{
    assert_null(found);
    found = f;
}

/* "t07" */
static const char *name_of(char letter, u32 number)
{
    static char names[64][8];
    static u32 next;
    char *name = names[next++ % ARRAY_LEN(names)];
    snprintf(name, sizeof names[0], "%c%02u", letter, number % 100);
    return name;
}

/* How many turns it took. */
static u32 collect(struct harness *h, struct facts_collector *c)
{
    u32 turns = 0;
    facts_collect(c, collected, NULL);
    assert_null(found); /* never at once */
    for (; found == NULL; turns++) {
        harness_turn(h);
    }
    return turns;
}

static void drop(void)
{
    facts_destroy(found);
    found = NULL;
}

static void commit(struct client *c, const char *group, const char *topic, i32 partition,
                   i64 offset)
{
    struct harness *h = c->h;
    struct find_coordinator_request where = {.key = text(group)};
    struct offset_commit_request *q = NEW(h, offset_commit_request, 1);
    q->group_id = text(group);
    q->topics.count = 1;
    q->topics.items = NEW(h, offset_commit_request_topic, 1);
    q->topics.items[0].name = text(topic);
    q->topics.items[0].partitions.count = 1;
    q->topics.items[0].partitions.items = NEW(h, offset_commit_request_partition, 1);
    q->topics.items[0].partitions.items[0].partition_index = partition;
    q->topics.items[0].partitions.items[0].committed_offset = offset;
    i16 kerr;
    do {
        const struct offset_commit_response *r = CALL(c, offset_commit, 3, q);
        kerr = r->topics.items[0].partitions.items[0].error_code;
        if (kerr != KERR_NONE) {
            (void)CALL(c, find_coordinator, 0, &where);
        }
    } while (kerr == KERR_NOT_COORDINATOR || kerr == KERR_COORDINATOR_NOT_AVAILABLE ||
             kerr == KERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(kerr, KERR_NONE);
}

static const struct facts_offset *offset_of(const char *group, const char *topic, i32 partition)
{
    for (u32 i = 0; i < found->offsets.count; i++) {
        const struct facts_offset *o = &found->offsets.items[i];
        if (slice_eq_cstr(facts_name_of(found, found->groups.items[o->group].name), group) &&
            slice_eq_cstr(facts_name_of(found, o->topic), topic) && o->partition == partition) {
            return o;
        }
    }
    return NULL;
}

static void partitions_groups_and_ages(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct facts_collector *collector = facts_collector_create(h.broker);
    struct topic a = topic_make(c, "a", 2);
    struct topic b = topic_make(c, "b", 1);
    i64 now = harness_wall_ms(&h);
    struct batch_builder_options o = batch_builder_plain();
    produce_ok(c, &a, 1, batch_timed(&h, &o, (i64[]){now - 9000, now - 5000, now - 1000}, 3));
    produce_ok(c, &b, 0, batch_timed(&h, &o, (i64[]){now - 3000}, 1));
    commit(c, "g", "a", 1, 1);
    commit(c, "g", "b", 0, 1);
    commit(c, "h", "b", 0, 0);
    collect(&h, collector);
    assert_int_equal(found->topics.count, 3); /* __consumer_offsets too */
    assert_int_equal(found->partition_total, found->partitions.count);
    assert_int_equal(found->group_total, 2);
    assert_int_equal(found->left_out, 0);
    const struct facts_offset *at = offset_of("g", "a", 1);
    assert_int_equal(at->offset, 1);
    assert_int_equal(at->lag, 2);
    assert_int_equal(at->oldest_ms, now - 5000);
    assert_int_equal(offset_of("g", "b", 0)->lag, 0);
    assert_int_equal(offset_of("g", "b", 0)->oldest_ms, found->wall_ms);
    assert_int_equal(offset_of("h", "b", 0)->oldest_ms, now - 3000);
    assert_int_equal(found->traffic.messages_in, 4);
    assert_int_equal(found->traffic.produce_requests, 2);
    drop();

    /* Another topic of that name is not the one that was committed for. */
    topic_delete(c, &b);
    topic_make(c, "b", 1);
    collect(&h, collector);
    assert_null(offset_of("g", "b", 0));
    assert_non_null(offset_of("g", "a", 1));
    drop();
    facts_collector_destroy(collector);
    harness_fini(&h);
}

/* LARGE records a second apart, too many for the loop to walk. */
enum { LARGE = 6000 };
static i64 large_ms(struct harness *h, u32 i)
{
    return harness_wall_ms(h) / 10000000 * 10000000 - (i64)(LARGE - i) * 1000;
}

static struct slice batch_large(struct harness *h)
{
    static i64 times[LARGE];
    for (u32 i = 0; i < LARGE; i++) {
        times[i] = large_ms(h, i);
    }
    struct batch_builder_options o = batch_builder_plain();
    return batch_timed(h, &o, times, LARGE);
}

static void ages_that_a_worker_finds(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct facts_collector *collector = facts_collector_create(h.broker);
    struct topic t = topic_make(c, "t", 1);
    struct slice batch = batch_large(&h);
    struct batch_view view;
    assert_int_equal(batch_view_parse(batch, &view), OK);
    produce_ok(c, &t, 0, batch);
    commit(c, "first", "t", 0, 0);
    commit(c, "middle", "t", 0, LARGE / 2);
    commit(c, "last", "t", 0, LARGE - 1);
    u64 rest = h.broker->memory.root.cap - h.broker->memory.root.used;
    assert_true(quota_charge(&h.broker->memory.root, rest));
    collect(&h, collector); /* no memory for the worker: not known, not remembered */
    assert_int_equal(offset_of("first", "t", 0)->oldest_ms, view.base_timestamp);
    assert_int_equal(offset_of("middle", "t", 0)->oldest_ms, FACTS_UNKNOWN);
    drop();
    quota_release(&h.broker->memory.root, rest);
    collect(&h, collector);
    i64 first_ms = view.base_timestamp;
    assert_int_equal(offset_of("middle", "t", 0)->oldest_ms, first_ms + LARGE / 2 * 1000);
    assert_int_equal(offset_of("last", "t", 0)->oldest_ms, first_ms + (LARGE - 1) * 1000);
    drop();
    facts_collector_destroy(collector);
    harness_fini(&h);
}

static void topics_that_come_and_go_meanwhile(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "odradek.http.series.max", "100000");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct facts_collector *collector = facts_collector_create(h.broker);
    struct topic topics[20];
    for (u32 i = 0; i < ARRAY_LEN(topics); i++) {
        topics[i] = topic_make(c, name_of('t', i), 200);
    }
    for (u32 round = 0; round < ARRAY_LEN(topics); round++) {
        facts_collect(collector, collected, NULL);
        topic_delete(c, &topics[(round * 7) % ARRAY_LEN(topics)]);
        while (found == NULL) {
            harness_turn(&h);
        }
        /* In order, each once, with as many partitions as its row says or fewer. */
        for (u32 i = 1; i < found->topics.count; i++) {
            assert_true(slice_cmp(facts_name_of(found, found->topics.items[i - 1].name),
                                  facts_name_of(found, found->topics.items[i].name)) < 0);
        }
        for (u32 i = 1; i < found->partitions.count; i++) {
            const struct facts_partition *p = &found->partitions.items[i];
            assert_true(p->topic == p[-1].topic ? p->index == p[-1].index + 1 : p->index == 0);
            assert_true(p->index < found->topics.items[p->topic].partition_count);
        }
        assert_true(found->partitions.count >= 200 * (ARRAY_LEN(topics) - round - 1));
        drop();
    }
    facts_collector_destroy(collector);
    harness_fini(&h);
}

static void it_ends_at_its_cap(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "odradek.http.series.max", "3");
    harness_start(&h);
    struct client *c = client_open(&h);
    struct facts_collector *collector = facts_collector_create(h.broker);
    for (u32 i = 0; i < 5; i++) {
        struct topic t = topic_make(c, name_of('t', i), 2);
        produce_ok(c, &t, 0, batch_plain(&h, 2));
    }
    collect(&h, collector);
    assert_int_equal(found->topics.count, 3);
    assert_int_equal(found->partitions.count, 3);
    assert_int_equal(found->topic_total, 5);
    assert_int_equal(found->partition_total, 10);
    assert_int_equal(found->left_out, 2 + 7);
    drop();
    for (u32 i = 0; i < 5; i++) {
        for (i32 partition = 0; partition < 2; partition++) {
            commit(c, name_of('g', i), "t04", partition, 0);
        }
    }
    collect(&h, collector);
    assert_int_equal(found->group_total, 5);
    assert_int_equal(found->groups.count, 3);
    assert_int_equal(found->offsets.count, 3);
    assert_int_equal(found->group_topics.count, 3);
    for (u32 i = 0; i < 3; i++) { /* sums are of all */
        assert_int_equal(found->group_topics.items[i].lag_sum, 2);
    }
    drop();
    facts_collector_destroy(collector);
    harness_fini(&h);
}

static void what_is_under_way_may_be_dropped(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    produce_ok(c, &t, 0, batch_plain(&h, 10));
    produce_ok(c, &t, 0, batch_large(&h));
    commit(c, "g", "t", 0, 3);
    commit(c, "h", "t", 0, 10 + LARGE / 2); /* a worker looks */
    for (u32 turns = 0; turns < 6; turns++) {
        struct facts_collector *collector = facts_collector_create(h.broker);
        facts_collect(collector, collected, NULL);
        harness_turns(&h, turns);
        facts_collector_destroy(collector);
        if (found != NULL) {
            drop();
        }
    }
    harness_turns(&h, 5); /* nothing comes after */
    assert_null(found);
    harness_fini(&h);
}

/* After a restart nothing is in memory: the record is loaded. */
static void ages_from_the_disk(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    i64 now = harness_wall_ms(&h);
    struct batch_builder_options o = batch_builder_plain();
    o.codec = CODEC_LZ4;
    produce_ok(c, &t, 0, batch_timed(&h, &o, (i64[]){now - 9000, now - 5000, now - 1000}, 3));
    commit(c, "g", "t", 0, 1);
    client_close(c);
    harness_stop(&h);
    harness_start(&h);
    struct facts_collector *collector = facts_collector_create(h.broker);
    const struct facts_offset *at;
    u64 read_bytes = metric_read(METRIC_io_file_read_bytes_total);
    do { /* groups are loaded from the log first */
        if (found != NULL) {
            drop();
        }
        collect(&h, collector);
        at = offset_of("g", "t", 0);
    } while (at == NULL);
    assert_int_equal(at->lag, 2);
    assert_int_equal(at->oldest_ms, now - 5000);
    assert_true(metric_read(METRIC_io_file_read_bytes_total) > read_bytes);
    drop();
    facts_collector_destroy(collector);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_groups_and_ages),
        cmocka_unit_test(ages_that_a_worker_finds),
        cmocka_unit_test(topics_that_come_and_go_meanwhile),
        cmocka_unit_test(it_ends_at_its_cap),
        cmocka_unit_test(what_is_under_way_may_be_dropped),
        cmocka_unit_test(ages_from_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
