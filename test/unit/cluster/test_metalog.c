/* The metadata log: what is given in one turn is one durable write of each copy, authors hear in
   order and after their own commands, whoever forgets is not told, no room is no harm, a failed
   write ends it, and snapshots keep the log short without a difference to the state. */
#include "fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

/* ---- batching and order ---------------------------------------------------------------------- */

static void test_one_turn_one_slot(void **state)
{
    (void)state;
    enum { AUTHORS = 200 };
    fixture_start(&f);
    struct appended *appends = mem_alloc(AUTHORS * sizeof(*appends));
    u64 before = durable_writes();
    for (u32 i = 0; i < AUTHORS; i++) {
        char name[24];
        snprintf(name, sizeof(name), "t%u", i);
        struct meta_command c = create_command(&f, name, 1);
        append_start(&f, &appends[i], &c, 1); /* the command is copied: name and c go */
    }
    turns_until(&f, &appends[AUTHORS - 1].done);
    assert_int_equal(durable_writes() - before, 2); /* copies a and b */
    for (u32 i = 0; i < AUTHORS; i++) {
        assert_true(appends[i].done);
        assert_int_equal(appends[i].result, OK);
        assert_int_equal(appends[i].outcomes[0].kerr, KERR_NONE);
    }
    assert_int_equal(meta_topic_count(cluster_meta(f.cluster)), AUTHORS);
    mem_free(appends);
}

/* What comes while a slot is in flight waits, and shares the next one. */
static void test_while_in_flight(void **state)
{
    (void)state;
    fixture_start(&f);
    struct meta_command c[3] = {create_command(&f, "a", 1), create_command(&f, "b", 1),
                                create_command(&f, "c", 1)};
    static struct appended a[3];
    u64 before = durable_writes();
    append_start(&f, &a[0], &c[0], 1);
    turns(&f, 1);
    append_start(&f, &a[1], &c[1], 1);
    append_start(&f, &a[2], &c[2], 1);
    turns_until(&f, &a[0].done);
    turns_until(&f, &a[2].done);
    assert_true(a[1].done);
    assert_int_equal(durable_writes() - before, 4);
}

/* Commands that exclude each other in one slot: the first wins. */
static void test_order_in_a_slot(void **state)
{
    (void)state;
    fixture_start(&f);
    struct meta_command create = create_command(&f, "t", 1);
    struct meta_command again = create_command(&f, "t", 5);
    struct meta_command collides = create_command(&f, "x.y", 1);
    struct meta_command collided = create_command(&f, "x_y", 1);
    struct meta_command delete = {.kind = META_DELETE_TOPIC,
                                  .delete_topic = {.id = create.create_topic.id}};
    static struct appended a[4];
    append_start(&f, &a[0], &create, 1);
    append_start(&f, &a[1], &again, 1);
    struct meta_command both[] = {collides, collided};
    append_start(&f, &a[2], both, 2);
    struct meta_command more[] = {delete, again, delete};
    append_start(&f, &a[3], more, 3);
    turns_until(&f, &a[3].done);
    assert_int_equal(a[0].outcomes[0].kerr, KERR_NONE);
    assert_int_equal(a[1].outcomes[0].kerr, KERR_TOPIC_ALREADY_EXISTS);
    assert_int_equal(a[2].outcomes[0].kerr, KERR_NONE);
    assert_int_equal(a[2].outcomes[1].kerr, KERR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(a[3].outcomes[0].kerr, KERR_NONE);
    assert_int_equal(a[3].outcomes[1].kerr, KERR_NONE);
    assert_int_equal(a[3].outcomes[2].kerr, KERR_UNKNOWN_TOPIC_ID);
    assert_int_equal(find_topic(&f, "t")->partition_count, 5);
}

/* A topic that the same author deletes is not named in his outcomes. */
static void test_deleted_in_the_same_breath(void **state)
{
    (void)state;
    fixture_start(&f);
    struct meta_command commands[] = {
        create_command(&f, "t", 1), create_command(&f, "kept", 1), {.kind = META_DELETE_TOPIC}};
    commands[2].delete_topic.id = commands[0].create_topic.id;
    static struct appended a;
    append_wait(&f, &a, commands, 3);
    assert_int_equal(a.outcomes[0].kerr, KERR_NONE);
    assert_null(a.outcomes[0].topic);
    assert_ptr_equal(a.outcomes[1].topic, find_topic(&f, "kept"));
    assert_int_equal(a.outcomes[2].kerr, KERR_NONE);
    assert_int_equal(a.outcomes[2].deleted_range_count, 1);
}

/* More than a slot takes goes into several, in order; one author's commands stay together. */
static void test_large_appends(void **state)
{
    (void)state;
    enum { AUTHORS = 30, COMMANDS = 60 };
    fixture_start(&f);
    char *value = mem_alloc(2000);
    memset(value, 'v', 2000);
    struct meta_config config = {SLICE_LIT("k"), slice_of(value, 2000)};
    struct appended *appends = mem_alloc(AUTHORS * sizeof(*appends));
    u64 before = durable_writes();
    for (u32 i = 0; i < AUTHORS; i++) {
        struct meta_command commands[COMMANDS];
        char names[COMMANDS][16];
        for (u32 k = 0; k < COMMANDS; k++) {
            snprintf(names[k], sizeof(names[k]), "t%u-%u", i, k);
            commands[k] = create_command(&f, names[k], 1);
            commands[k].create_topic.configs = &config;
            commands[k].create_topic.config_count = 1;
        }
        append_start(&f, &appends[i], commands, COMMANDS);
    }
    turns_until(&f, &appends[AUTHORS - 1].done);
    u64 bytes = (u64)AUTHORS * COMMANDS * 2000;
    assert_int_equal(durable_writes() - before, 2 * (bytes / MIB + 1));
    assert_int_equal(meta_topic_count(cluster_meta(f.cluster)), AUTHORS * COMMANDS);
    fixture_restart(&f);
    assert_int_equal(meta_topic_count(cluster_meta(f.cluster)), AUTHORS * COMMANDS);
    const struct meta_topic *t = find_topic(&f, "t29-59");
    assert_int_equal(t->configs[0].value.len, 2000);
    mem_free(appends);
    mem_free(value);
}

/* From outside a turn, as from a hook that runs after ours: the loop does not go to sleep over it.
 */
static void test_append_wakes_the_loop(void **state)
{
    (void)state;
    fixture_start(&f);
    turns(&f, 5);
    struct meta_command c = create_command(&f, "t", 1);
    static struct appended a;
    append_start(&f, &a, &c, 1);
    while (!a.done) {
        io_turn(f.io, true);
    }
    assert_int_equal(a.result, OK);
}

/* ---- authors that come and go ---------------------------------------------------------------- */

struct chain {
    struct metalog_append append;
    struct meta_command command;
    struct metalog_append *forgets; /* inside done() */
    u32 left;
    bool done;
};
static void chain_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct chain *c = CONTAINER_OF(a, struct chain, append);
    assert_int_equal(result, OK);
    assert_int_equal(outcomes[0].kerr, KERR_NONE);
    if (c->forgets != NULL) {
        metalog_forget(c->forgets);
    }
    c->left--;
    if (c->left == 0) {
        c->done = true;
        return;
    }
    metalog_append(f.cluster, a);
}

static struct chain chain_of(u32 count)
{
    return (struct chain){
        .append = {.done = chain_done, .command_count = 1},
        .command = {.kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {.count = 10}},
        .left = count,
    };
}

static void test_append_inside_done(void **state)
{
    (void)state;
    fixture_start(&f);
    struct chain chain = chain_of(20);
    chain.append.commands = &chain.command;
    metalog_append(f.cluster, &chain.append);
    turns_until(&f, &chain.done);
    struct meta_command probe = {.kind = META_ALLOC_PRODUCER_IDS,
                                 .alloc_producer_ids = {.count = 1}};
    static struct appended a;
    append_wait(&f, &a, &probe, 1);
    assert_int_equal(a.outcomes[0].first_producer_id, 200);
}

/* Queued, in flight, and while somebody of the same slot is told: the commands happen all the same.
 */
static void test_forget(void **state)
{
    (void)state;
    fixture_start(&f);
    static struct appended never;
    metalog_forget(&never.append); /* nothing under way */

    struct meta_command c = create_command(&f, "queued", 1);
    static struct appended queued;
    append_start(&f, &queued, &c, 1);
    metalog_forget(&queued.append);
    turns(&f, 1);

    c = create_command(&f, "behind", 1);
    static struct appended behind;
    append_start(&f, &behind, &c, 1);
    metalog_forget(&behind.append);

    struct chain teller = chain_of(1);
    teller.append.commands = &teller.command;
    c = create_command(&f, "neighbour", 1);
    static struct appended neighbour;
    metalog_append(f.cluster, &teller.append);
    append_start(&f, &neighbour, &c, 1);
    teller.forgets = &neighbour.append;
    turns_until(&f, &teller.done);

    c = create_command(&f, "in-flight", 1);
    static struct appended in_flight;
    append_start(&f, &in_flight, &c, 1);
    turns(&f, 1);
    metalog_forget(&in_flight.append);

    make_topic(&f, "last", 1);
    assert_false(queued.done);
    assert_false(behind.done);
    assert_false(neighbour.done);
    assert_false(in_flight.done);
    assert_non_null(find_topic(&f, "queued"));
    assert_non_null(find_topic(&f, "behind"));
    assert_non_null(find_topic(&f, "neighbour"));
    assert_non_null(find_topic(&f, "in-flight"));
}

/* Its owner may still forget when the cluster is gone. */
static void test_destroyed_under_way(void **state)
{
    (void)state;
    fixture_start(&f);
    struct meta_command c = create_command(&f, "t", 1);
    static struct appended in_flight;
    static struct appended queued;
    append_start(&f, &in_flight, &c, 1);
    fault_set(FAULT_LOSE, 0);
    turns(&f, 2);
    append_start(&f, &queued, &c, 1);
    fixture_crash(&f);
    metalog_forget(&in_flight.append);
    metalog_forget(&queued.append);
    assert_false(in_flight.done);
    assert_false(queued.done);
    fixture_start(&f);
}

/* ---- deletion -------------------------------------------------------------------------------- */

struct watcher {
    struct partition_watch watch;
    u32 told;
    err_t why;
    bool topic_was_gone;
};
static void watcher_moved(struct partition_watch *w, err_t why)
{
    struct watcher *watcher = CONTAINER_OF(w, struct watcher, watch);
    watcher->told++;
    watcher->why = why;
    watcher->topic_was_gone = find_topic(&f, "a") == NULL;
}

static void test_deletion_leaves_the_log(void **state)
{
    (void)state;
    enum { RUNS = 20 };
    fixture_start(&f);
    make_topic(&f, "a", 1);
    make_topic(&f, "b", 1);
    for (u32 i = 2; i <= RUNS; i++) {
        struct meta_command grow[] = {
            {.kind = META_CREATE_PARTITIONS, .create_partitions = {find_topic(&f, "a")->id, i}},
            {.kind = META_CREATE_PARTITIONS, .create_partitions = {find_topic(&f, "b")->id, i}},
        };
        static struct appended a;
        append_wait(&f, &a, grow, 2);
    }
    assert_int_equal(find_topic(&f, "a")->range_count, RUNS);
    for (i32 i = 0; i < RUNS; i++) {
        produce(&f, "a", i, NULL);
        produce(&f, "b", i, NULL);
    }
    produce_wait(&f, "a", 0);
    struct watcher watcher = {.watch = {.moved = watcher_moved}};
    partition_watch(cluster_partition(f.cluster, find_topic(&f, "a"), RUNS - 1), &watcher.watch);
    delete_topic(&f, "a");
    assert_int_equal(watcher.told, 1);
    assert_int_equal(watcher.why, ERR_NOT_FOUND);
    assert_true(watcher.topic_was_gone);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, RUNS);
    for (i32 i = 0; i < RUNS; i++) {
        assert_int_equal(end_offset(&f, "b", i), 1);
    }
    fixture_restart(&f);
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, RUNS);
}

/* A topic of many partitions: a turn forgets some thousands of them, and in the end all are gone.
 */
static void test_a_large_topic_goes_in_pieces(void **state)
{
    (void)state;
    enum { PARTITIONS = 20000 };
    fixture_start(&f);
    const struct meta_topic *t = make_topic(&f, "large", PARTITIONS);
    for (i32 i = 0; i < PARTITIONS; i++) {
        cluster_partition(f.cluster, t, i);
    }
    make_topic(&f, "kept", 1);
    produce_wait(&f, "kept", 0);
    struct watcher first = {.watch = {.moved = watcher_moved}};
    struct watcher last = {.watch = {.moved = watcher_moved}};
    partition_watch(cluster_partition(f.cluster, t, 0), &first.watch);
    partition_watch(cluster_partition(f.cluster, t, PARTITIONS - 1), &last.watch);
    struct meta_command c = {.kind = META_DELETE_TOPIC, .delete_topic = {.id = t->id}};
    static struct appended a;
    append_wait(&f, &a, &c, 1);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_in_range(stats.partitions, PARTITIONS / 4, PARTITIONS);
    assert_null(find_topic(&f, "large"));
    assert_int_equal(last.told, 0);
    for (u32 i = 0; i < 100 && stats.partitions > 1; i++) {
        u64 before = stats.partitions;
        turns(&f, 1);
        log_stats(f.log, &stats);
        assert_true(before > stats.partitions);
        assert_true(before - stats.partitions <= 4096);
    }
    assert_int_equal(stats.partitions, 1);
    assert_int_equal(first.told, 1);
    assert_int_equal(last.told, 1);
    assert_int_equal(last.why, ERR_NOT_FOUND);
    assert_int_equal(end_offset(&f, "kept", 0), 1);
}

/* As many again, and the process ends before all are forgotten. */
static void test_destroyed_while_partitions_go(void **state)
{
    (void)state;
    fixture_start(&f);
    const struct meta_topic *t = make_topic(&f, "large", 20000);
    for (i32 i = 0; i < 20000; i++) {
        cluster_partition(f.cluster, t, i);
    }
    produce_wait(&f, "large", 19999);
    delete_topic(&f, "large");
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_true(stats.partitions > 0);
    fixture_restart(&f);
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 0);
}

/* Many starts at once, one of a topic that the command before deletes: the others move, in the
   state and in the log, when the slot is durable. */
static void test_log_starts_reach_the_log(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "a", 3);
    make_topic(&f, "b", 1);
    for (u32 i = 0; i < 4; i++) {
        produce(&f, "a", 0, NULL);
        produce_wait(&f, "a", 2);
        produce_wait(&f, "b", 0);
    }
    const struct meta_topic *a = find_topic(&f, "a");
    struct watcher watcher = {.watch = {.moved = watcher_moved}, .why = ERR_IO};
    partition_watch(cluster_partition(f.cluster, a, 2), &watcher.watch);
    const struct meta_log_start starts[] = {{meta_partition_id(a, 2), 3},
                                            {meta_partition_id(find_topic(&f, "b"), 0), 4},
                                            {meta_partition_id(a, 0), 1},
                                            {meta_partition_id(a, 2), 2}};
    struct meta_command commands[] = {
        {.kind = META_DELETE_TOPIC, .delete_topic = {find_topic(&f, "b")->id}},
        {.kind = META_SET_LOG_STARTS, .set_log_starts = {starts, 4}},
        {.kind = META_SET_LOG_STARTS, .set_log_starts = {starts, 0}},
    };
    static struct appended all;
    append_start(&f, &all, commands, 3);
    struct partition_info info;
    partition_info(cluster_partition(f.cluster, a, 2), &info);
    assert_int_equal(info.log_start_offset, 0);
    turns_until(&f, &all.done);
    assert_int_equal(all.outcomes[1].kerr, KERR_NONE);
    assert_int_equal(all.outcomes[2].kerr, KERR_INVALID_REQUEST);
    const u64 expected[] = {1, 0, 3};
    for (u32 i = 0; i < 3; i++) {
        partition_info(cluster_partition(f.cluster, a, (i32)i), &info);
        assert_int_equal(info.log_start_offset, expected[i]);
    }
    turns(&f, 2);
    assert_int_equal(watcher.told, 1);
    assert_int_equal(watcher.why, OK);
    partition_unwatch(&watcher.watch);
}

/* ---- failure --------------------------------------------------------------------------------- */

static void test_no_space(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    fault_allocate_set(ERR_NO_SPACE);
    static struct appended a;
    u32 written = 0;
    struct meta_command c = {.kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {.count = 1}};
    do {
        append_start(&f, &a, &c, 1);
        turns_until(&f, &a.done);
        written += a.result == OK;
        assert_true(written < 100);
    } while (a.result == OK);
    assert_int_equal(a.result, ERR_NO_SPACE);
    assert_int_equal(f.fenced_calls, 0);
    for (u32 i = 0; i < 3; i++) {
        append_start(&f, &a, &c, 1);
        turns_until(&f, &a.done);
        assert_int_equal(a.result, ERR_NO_SPACE);
    }
    fault_allocate_set(OK);
    append_wait(&f, &a, &c, 1);
    assert_int_equal(a.outcomes[0].first_producer_id, written);
    fixture_restart(&f);
    append_wait(&f, &a, &c, 1);
    assert_int_equal(a.outcomes[0].first_producer_id, written + 1);
}

static void test_failed_write(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "before", 1);
    fault_set(FAULT_FAIL, 1); /* copy a is written, b fails */
    struct meta_command c[2] = {create_command(&f, "t", 1), create_command(&f, "u", 1)};
    static struct appended a[2];
    append_start(&f, &a[0], &c[0], 1);
    turns(&f, 1);
    append_start(&f, &a[1], &c[1], 1);
    turns_until(&f, &a[1].done);
    assert_true(a[0].done);
    assert_int_equal(a[0].result, ERR_IO);
    assert_int_equal(a[1].result, ERR_IO);
    assert_int_equal(f.fenced_calls, 1);
    assert_null(find_topic(&f, "t"));
    fixture_restart(&f);
    assert_non_null(find_topic(&f, "before"));
    assert_null(find_topic(&f, "u"));
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void make_topics(u32 from, u32 to)
{
    for (u32 i = from; i < to; i++) {
        char name[24];
        snprintf(name, sizeof(name), "topic-%u", i);
        make_topic(&f, name, 1 + i % 3);
    }
}

/* All but the sessions is the same after a restart. */
static void assert_topics(u32 count)
{
    const struct meta *m = cluster_meta(f.cluster);
    assert_int_equal(meta_topic_count(m), count);
    u32 ids = 0;
    for (u32 i = 0; i < count; i++) {
        char name[24];
        snprintf(name, sizeof(name), "topic-%u", i);
        const struct meta_topic *t = find_topic(&f, name);
        assert_non_null(t);
        assert_int_equal(t->partition_count, 1 + i % 3);
        assert_int_equal(meta_partition_id(t, 0), 1 + ids);
        ids += t->partition_count;
    }
}

static void test_snapshots(void **state)
{
    (void)state;
    f.snapshot_every = 4;
    fixture_start(&f);
    make_topics(0, 30);
    assert_int_equal(count_files(&f, "meta", ""), 2);
    assert_int_equal(count_files(&f, "meta", "0000000000000000."), 0);
    fixture_restart(&f);
    assert_topics(30);
    for (u32 life = 0; life < 5; life++) {
        make_topics(30 + 3 * life, 33 + 3 * life);
        if (life % 2 == 0) {
            fixture_stop(&f);
            fixture_start(&f);
        } else {
            fixture_restart(&f);
        }
        assert_topics(33 + 3 * life);
    }
    assert_int_equal(count_files(&f, "meta", ""), 2);
}

/* Each start writes one slot: starts alone come to a snapshot too. */
static void test_snapshot_after_starts(void **state)
{
    (void)state;
    f.snapshot_every = 5;
    fixture_start(&f);
    for (u32 i = 1; i < 5; i++) {
        assert_int_equal(count_files(&f, "meta", "0000000000000000."), 2);
        fixture_restart(&f);
    }
    settle(&f);
    assert_int_equal(count_files(&f, "meta", "0000000000000005."), 2);
    assert_int_equal(count_files(&f, "meta", ""), 2);
    fixture_restart(&f);
    assert_int_equal(meta_next_wal(cluster_meta(f.cluster)), 7);
}

/* A crash at every step of the snapshots that many slots make. */
static void test_crash_in_a_snapshot(void **state)
{
    (void)state;
    f.snapshot_every = 3;
    fixture_start(&f);
    u32 topics = 0;
    for (u32 after = 0; after < 14; after++) {
        make_topics(topics, topics + 2);
        topics += 2;
        /* The worker's blocking writes and syncs fail from here on. */
        fault_now_set(ERR_IO, after);
        char name[24];
        snprintf(name, sizeof(name), "topic-%u", topics);
        struct meta_command c = create_command(&f, name, 1 + topics % 3);
        static struct appended a;
        append_start(&f, &a, &c, 1);
        turns_until(&f, &a.done);
        turns(&f, 2);
        fixture_restart(&f);
        topics += find_topic(&f, name) != NULL;
        assert_topics(topics);
    }
}

static void test_snapshot_without_room(void **state)
{
    (void)state;
    f.snapshot_every = 8;
    fixture_start(&f);
    make_topics(0, 6);
    fault_now_set(ERR_NO_SPACE, 0);
    make_topics(6, 10);
    assert_int_equal(f.fenced_calls, 0);
    assert_int_equal(count_files(&f, "meta", "0000000000000000."), 2);
    fault_now_set(OK, 0);
    make_topics(10, 20);
    fixture_restart(&f);
    assert_topics(20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_turn_one_slot),
        TEST(test_while_in_flight),
        TEST(test_order_in_a_slot),
        TEST(test_deleted_in_the_same_breath),
        TEST(test_large_appends),
        TEST(test_append_wakes_the_loop),
        TEST(test_append_inside_done),
        TEST(test_forget),
        TEST(test_destroyed_under_way),
        TEST(test_deletion_leaves_the_log),
        TEST(test_a_large_topic_goes_in_pieces),
        TEST(test_destroyed_while_partitions_go),
        TEST(test_log_starts_reach_the_log),
        TEST(test_no_space),
        TEST(test_failed_write),
        TEST(test_snapshots),
        TEST(test_snapshot_after_starts),
        TEST(test_crash_in_a_snapshot),
        TEST(test_snapshot_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
