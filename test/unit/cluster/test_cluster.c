/* The cluster as a whole: draining, and many random lives. A life creates, grows and deletes
   topics, appends to them, and ends in one of several ways; the next one must find exactly what was
   told to be durable, and of what was under way either all or nothing. */
#include "fixture.h"

enum { LIVES = 25, NAMES = 12 };

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

static void drain_done(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

/* What was appended before is told before. */
static void test_drain(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    produce(&f, "t", 0, NULL);
    struct meta_command c[2] = {create_command(&f, "a", 1), create_command(&f, "b", 1)};
    static struct appended a[2];
    append_start(&f, &a[0], &c[0], 1);
    turns(&f, 1);
    append_start(&f, &a[1], &c[1], 1);
    bool done = false;
    cluster_drain(f.cluster, drain_done, &done);
    assert_false(done);
    turns_until(&f, &done);
    assert_true(a[0].done);
    assert_true(a[1].done);
    fixture_restart(&f);
    assert_non_null(find_topic(&f, "b"));
    assert_int_equal(end_offset(&f, "t", 0), 1);
}

static void test_drain_of_nothing(void **state)
{
    (void)state;
    fixture_start(&f);
    u64 before = durable_writes();
    bool done = false;
    cluster_drain(f.cluster, drain_done, &done);
    turns_until(&f, &done);
    assert_int_equal(durable_writes(), before);
}

/* A partition that nobody asked for costs nothing. */
static void test_partitions_are_made_when_asked_for(void **state)
{
    (void)state;
    fixture_start(&f);
    const struct meta_topic *t = make_topic(&f, "t", 100000);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 0);
    struct partition *p = cluster_partition(f.cluster, t, 99999);
    assert_ptr_equal(p, cluster_partition(f.cluster, t, 99999));
    assert_null(cluster_partition(f.cluster, t, 100000));
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 1);
    fixture_restart(&f);
    struct partition_info info;
    partition_info(cluster_partition(f.cluster, find_topic(&f, "t"), 0), &info);
    assert_int_equal(info.leader_epoch, 1);
    assert_int_equal(info.log_end_offset, 0);
}

/* ---- random lives ---------------------------------------------------------------------------- */

/* What must be found again. */
static struct {
    u32 partitions[NAMES]; /* 0: no such topic */
    u32 made_in[NAMES];    /* the life */
    u64 offsets[NAMES][8]; /* durable */
} promised;

static const char *name_of(u32 i)
{
    static char name[16];
    snprintf(name, sizeof(name), "topic-%u", i);
    return name;
}

static void check_promises(u32 life)
{
    u32 topics = 0;
    for (u32 i = 0; i < NAMES; i++) {
        const struct meta_topic *t = find_topic(&f, name_of(i));
        assert_int_equal(t != NULL, promised.partitions[i] > 0);
        if (t == NULL) {
            continue;
        }
        topics++;
        assert_int_equal(t->partition_count, promised.partitions[i]);
        assert_int_equal(meta_leader_epoch(cluster_meta(f.cluster), t), life - promised.made_in[i]);
        for (u32 k = 0; k < t->partition_count; k++) {
            assert_int_equal(end_offset(&f, name_of(i), (i32)k), promised.offsets[i][k]);
        }
    }
    assert_int_equal(meta_topic_count(cluster_meta(f.cluster)), topics);
}

static void random_step(u32 life)
{
    u32 i = (u32)rng_below(&f.rng, NAMES);
    u32 partitions = promised.partitions[i];
    if (partitions == 0) {
        partitions = 1 + (u32)rng_below(&f.rng, 4);
        make_topic(&f, name_of(i), partitions);
        promised.partitions[i] = partitions;
        promised.made_in[i] = life;
        memset(promised.offsets[i], 0, sizeof(promised.offsets[i]));
    } else if (rng_chance(&f.rng, 1, 6)) {
        delete_topic(&f, name_of(i));
        promised.partitions[i] = 0;
    } else if (partitions < 8 && rng_chance(&f.rng, 1, 4)) {
        struct meta_command c = {
            .kind = META_CREATE_PARTITIONS,
            .create_partitions = {find_topic(&f, name_of(i))->id, partitions + 1}};
        assert_int_equal(apply_one(&f, &c), KERR_NONE);
        promised.partitions[i]++;
    } else {
        u32 k = (u32)rng_below(&f.rng, partitions);
        produce_wait(&f, name_of(i), (i32)k);
        promised.offsets[i][k]++;
    }
}

/* A command that nobody hears about: it is there or it is not, and then it stays that way. */
static void unheard_command(void)
{
    u32 i = (u32)rng_below(&f.rng, NAMES);
    if (promised.partitions[i] > 0) {
        return;
    }
    fault_set(rng_chance(&f.rng, 1, 2) ? FAULT_LOSE : FAULT_KEEP, (u32)rng_below(&f.rng, 2));
    struct meta_command c = create_command(&f, name_of(i), 2);
    static struct appended a;
    append_start(&f, &a, &c, 1);
    for (u32 k = 0; k < 20; k++) {
        turns(&f, 1);
        usleep(100);
    }
    assert_false(a.done);
}

static void adopt_unheard(u32 life)
{
    for (u32 i = 0; i < NAMES; i++) {
        if (promised.partitions[i] == 0 && find_topic(&f, name_of(i)) != NULL) {
            promised.partitions[i] = 2;
            promised.made_in[i] = life;
            memset(promised.offsets[i], 0, sizeof(promised.offsets[i]));
        }
    }
}

static void test_lives(void **state)
{
    (void)state;
    memset(&promised, 0, sizeof(promised));
    f.snapshot_every = 7;
    fixture_start(&f);
    for (u32 life = 0; life < LIVES; life++) {
        u32 steps = (u32)rng_below(&f.rng, 25);
        for (u32 i = 0; i < steps; i++) {
            random_step(life);
        }
        check_promises(life);
        switch (rng_below(&f.rng, 3)) {
        case 0:
            fixture_stop(&f);
            break;
        case 1:
            unheard_command();
            fixture_crash(&f);
            break;
        default:
            fixture_crash(&f);
            break;
        }
        fixture_start(&f);
        adopt_unheard(life);
        check_promises(life + 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_drain),
        TEST(test_drain_of_nothing),
        TEST(test_partitions_are_made_when_asked_for),
        TEST(test_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
