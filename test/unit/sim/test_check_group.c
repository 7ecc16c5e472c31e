/* Each promise about groups is broken on purpose, once, and the ledger must say so; histories that
 * keep them pass, also those that only look broken. */
#include "../unit.h"

#include "sim/check_group.h"

struct fixture {
    struct world world;
    struct ledger ledger;
    struct ledger_group group;
    struct ledger_question asked;
    char metadata[GROUP_METADATA_BYTES];
};

static void fixture_init(struct fixture *f)
{
    world_init(&f->world, 1, false);
    ledger_init(&f->ledger, &f->world);
    ledger_group_init(&f->group, &f->world, "g");
    ledger_group_add(&f->group, ledger_topic_add(&f->ledger, "t", 2));
    ledger_group_broker_began(&f->group);
    f->asked = ledger_group_ask(&f->group);
}

static void fixture_fini(struct fixture *f)
{
    ledger_group_fini(&f->group);
    ledger_fini(&f->ledger);
    world_fini(&f->world);
}

static void kept(struct fixture *f)
{
    assert_false(f->world.failed);
    fixture_fini(f);
}

static void broken(struct fixture *f, const char *promise)
{
    assert_true(f->world.failed);
    assert_int_equal(strncmp(f->world.failure, promise, strlen(promise)), 0);
    fixture_fini(f);
}

static void assigned(struct fixture *f, i32 generation, const char *who, u32 partition)
{
    ledger_group_assigned(&f->group, &f->asked, generation, who, &partition, 1);
}

static u32 sent(struct fixture *f, i64 offset, i32 generation)
{
    return ledger_group_commit(&f->group, 0, offset, generation, false, f->metadata);
}

static void acked(struct fixture *f, i64 offset, i32 generation)
{
    ledger_group_processed(&f->group, 0, 0, (u64)offset);
    ledger_group_committed(&f->group, sent(f, offset, generation), COMMIT_ACKED);
}

/* With the metadata of the last commit, and the floor of now. */
static void told(struct fixture *f, i64 offset)
{
    const struct ledger_group_partition *p = &f->group.partitions[0];
    ledger_group_told(&f->group, 0, p->floor, p->epoch, offset,
                      offset < 0 ? WIRE_EMPTY : slice_cstr(f->metadata), "test");
}

static void test_a_good_history(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.group.partitions[0].at->floor = 7;
    ledger_group_joined(&f.group, &f.asked, 1, "a");
    assigned(&f, 1, "a", 0);
    assigned(&f, 1, "b", 1);
    told(&f, -1);
    acked(&f, 5, 1);
    told(&f, 5);
    f.asked = ledger_group_ask(&f.group);
    ledger_group_joined(&f.group, &f.asked, 2, "b");
    assigned(&f, 2, "b", 0);
    told(&f, 5);
    assert_false(ledger_group_done(&f.group));
    acked(&f, 7, 2);
    assert_true(ledger_group_done(&f.group));
    assert_int_equal(ledger_group_progress(&f.group), 7 + 8);
    kept(&f);
}

static void test_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    acked(&f, 5, 1);
    told(&f, -1);
    broken(&f, "a committed offset never goes back");
}

static void test_an_older_commit_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    acked(&f, 3, 1);
    char older[GROUP_METADATA_BYTES];
    memcpy(older, f.metadata, sizeof older);
    acked(&f, 5, 1);
    memcpy(f.metadata, older, sizeof older);
    told(&f, 3);
    broken(&f, "a committed offset never goes back");
}

/* A commit was given up, its connection too, and it arrived after the next one. */
static void test_an_unanswered_commit_may_come_late(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    u32 lost = sent(&f, 3, 1);
    char late[GROUP_METADATA_BYTES];
    memcpy(late, f.metadata, sizeof late);
    ledger_group_committed(&f.group, lost, COMMIT_LOST);
    acked(&f, 5, 1);
    memcpy(f.metadata, late, sizeof late);
    told(&f, 3);
    assert_int_equal(f.group.partitions[0].floor, 3);
    kept(&f);
}

static void test_but_not_over_a_restart(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    u32 lost = sent(&f, 3, 1);
    char late[GROUP_METADATA_BYTES];
    memcpy(late, f.metadata, sizeof late);
    ledger_group_committed(&f.group, lost, COMMIT_LOST);
    ledger_group_broker_began(&f.group);
    acked(&f, 5, 1);
    memcpy(f.metadata, late, sizeof late);
    told(&f, 3);
    broken(&f, "a committed offset never goes back");
}

static void test_two_owners(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assigned(&f, 1, "a", 0);
    assigned(&f, 1, "b", 0);
    broken(&f, "a partition has one owner in a generation");
}

static void test_an_owner_is_told_twice(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assigned(&f, 1, "static", 0);
    assigned(&f, 2, "b", 0);
    assigned(&f, 1, "static", 0);
    kept(&f);
}

static void test_an_old_commit_is_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assigned(&f, 2, "b", 0);
    acked(&f, 5, 1);
    broken(&f, "a commit of an old generation takes no effect");
}

static void test_an_old_commit_stands(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    ledger_group_processed(&f.group, 0, 0, 5);
    ledger_group_joined(&f.group, &f.asked, 2, "b");
    ledger_group_committed(&f.group, sent(&f, 5, 1), COMMIT_LOST);
    told(&f, 5);
    broken(&f, "a commit of an old generation takes no effect");
}

/* That others have joined is not durable: after a restart the generation before may be the newest.
 */
static void test_a_join_is_forgotten_at_a_restart(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    ledger_group_joined(&f.group, &f.asked, 2, "b");
    ledger_group_broker_began(&f.group);
    acked(&f, 5, 1);
    told(&f, 5);
    kept(&f);
}

static void test_a_sleeper_is_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assigned(&f, 1, "a", 0);
    u32 number = ledger_group_commit(&f.group, 0, 5, 1, true, f.metadata);
    ledger_group_committed(&f.group, number, COMMIT_ACKED);
    broken(&f, "a commit of an old generation takes no effect");
}

static void test_a_refused_commit_stands(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    ledger_group_processed(&f.group, 0, 0, 5);
    ledger_group_committed(&f.group, sent(&f, 5, 1), COMMIT_REFUSED);
    told(&f, 5);
    broken(&f, "what is committed was committed by a member");
}

static void test_nobody_committed_that(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    acked(&f, 5, 1);
    told(&f, 6);
    broken(&f, "what is committed was committed by a member");
}

static void test_records_are_passed_over(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    ledger_group_processed(&f.group, 0, 0, 2);
    ledger_group_processed(&f.group, 0, 3, 5);
    ledger_group_committed(&f.group, sent(&f, 5, 1), COMMIT_ACKED);
    told(&f, 5);
    broken(&f, "every record is processed at least once");
}

static void test_generations_go_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assigned(&f, 3, "a", 0);
    f.asked = ledger_group_ask(&f.group);
    ledger_group_joined(&f.group, &f.asked, 2, "b");
    broken(&f, "generations never go back");
}

static void test_a_deleted_group_begins_anew(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assigned(&f, 3, "a", 0);
    acked(&f, 5, 3);
    u32 under_way = sent(&f, 6, 3);
    ledger_group_doubt(&f.group);
    told(&f, -1); /* it may be gone already */
    ledger_group_deleted(&f.group, -1, true);
    assert_false(ledger_group_in_doubt(&f.group));
    ledger_group_committed(&f.group, under_way, COMMIT_ACKED); /* before it was deleted */
    told(&f, -1);
    f.asked = ledger_group_ask(&f.group);
    ledger_group_joined(&f.group, &f.asked, 1, "b");
    assigned(&f, 1, "b", 0);
    acked(&f, 2, 1);
    told(&f, 2);
    kept(&f);
}

static void test_a_deletion_that_was_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    acked(&f, 5, 3);
    ledger_group_doubt(&f.group);
    ledger_group_doubt_over(&f.group);
    told(&f, -1);
    broken(&f, "a committed offset never goes back");
}

static void test_one_offset_is_deleted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    acked(&f, 5, 1);
    ledger_group_doubt(&f.group);
    ledger_group_deleted(&f.group, 1, true);
    told(&f, -1);
    broken(&f, "a committed offset never goes back");
}

static void test_nobody_knows_whether_it_was_deleted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    acked(&f, 5, 1);
    ledger_group_doubt(&f.group);
    ledger_group_deleted(&f.group, 0, false);
    assert_true(ledger_group_in_doubt(&f.group));
    acked(&f, 6, 1);
    told(&f, -1); /* the deletion came after that commit */
    f.world.now_ns += GROUP_DOUBT_NS;
    assert_false(ledger_group_in_doubt(&f.group));
    acked(&f, 7, 1);
    told(&f, -1);
    broken(&f, "a committed offset never goes back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_history),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_an_older_commit_again),
        cmocka_unit_test(test_an_unanswered_commit_may_come_late),
        cmocka_unit_test(test_but_not_over_a_restart),
        cmocka_unit_test(test_two_owners),
        cmocka_unit_test(test_an_owner_is_told_twice),
        cmocka_unit_test(test_an_old_commit_is_acknowledged),
        cmocka_unit_test(test_an_old_commit_stands),
        cmocka_unit_test(test_a_join_is_forgotten_at_a_restart),
        cmocka_unit_test(test_a_sleeper_is_acknowledged),
        cmocka_unit_test(test_a_refused_commit_stands),
        cmocka_unit_test(test_nobody_committed_that),
        cmocka_unit_test(test_records_are_passed_over),
        cmocka_unit_test(test_generations_go_back),
        cmocka_unit_test(test_a_deleted_group_begins_anew),
        cmocka_unit_test(test_a_deletion_that_was_refused),
        cmocka_unit_test(test_one_offset_is_deleted),
        cmocka_unit_test(test_nobody_knows_whether_it_was_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
