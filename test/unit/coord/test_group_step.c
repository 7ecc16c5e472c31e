/* Steps without room: every event of a long script is tried with each size of arena until it fits,
   and as long as it does not the group stays as it was, to the last byte. And what a step says
   lives on when the group is gone. */
#include "script.h"

static const char *const story[] = {
    "join 1 f=a p=range:A,rr:a",
    "join 2 m=a p=range:A,rr:a",
    "join 3 f=b i=x p=range:B,rr:b",
    "join 4 f=c v=3 p=range:C,rr:c",
    "join 5 m=a p=range:A2,rr:a",
    "join 6 m=zz p=range:",
    "join 7 f=q p=sticky:",
    "time 3000",
    "time 3000",
    "join 8 m=b i=x p=range:B,rr:b",
    "sync 9 m=b i=x g=1",
    "sync 10 m=b i=x g=1",
    "beat 11 m=a g=1",
    "commit 12 m=a g=1 o=t/0:1",
    "join 13 f=b2 i=x p=range:B,rr:b v=9",
    "join 14 m=a p=range:A,rr:a",
    "join 15 m=c p=range:C,rr:c",
    "sync 16 m=c g=2 a=a:1",
    "sync 17 m=b2 i=x g=2",
    "sync 18 m=a g=2 a=a:1,b2:2,c:3",
    "commit 19 m=a g=2 o=t/0:1:note,t/1:2,u/0:3",
    "commit 20 m=c g=2 o=t/0:4:longernot",
    "deloff 21 o=t/0,u/0",
    "join 22 f=b3 i=x p=range:B,rr:b v=9",
    "join 23 f=b4 i=x p=range:B,rr:b v=8",
    "join 24 f=b5 i=x p=rr:b v=9",
    "gone t=24",
    "leave 25 l=c,@x,nobody",
    "restart",
    "join 26 f=d v=2 p=range:D",
    "gone t=26",
    "delete 27",
    "beat 28 m=a g=2",
    "time 5000",
    "time 5000",
    "time 60000",
    "delete 29",
};

/* The event once more on a twin that was led the same way, with room for `bytes`. */
static void run_story(u32 until, size_t bytes, u32 *refused)
{
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    w->limits.size_max = 8;
    for (u32 i = 0; i < until; i++) {
        (void)world_run(w, story[i]);
    }
    w->room = bytes;
    char *before = group_dump(w->g);
    i64 now_ms = w->now_ms;
    i64 wall_ms = w->wall_ms;
    const char *said = world_run(w, story[until]);
    if (w->no_room) {
        w->now_ms = now_ms;
        w->wall_ms = wall_ms;
        char *after = group_dump(w->g);
        assert_string_equal(before, after);
        mem_free(after);
        ++*refused;
    }
    w->room = 0;
    char *plain = mem_strndup(slice_cstr(w->no_room ? world_run(w, story[until]) : said));
    char *with_room = group_dump(w->g);
    world_fini(w);

    world_init(w);
    w->limits.size_max = 8;
    for (u32 i = 0; i < until; i++) {
        (void)world_run(w, story[i]);
    }
    assert_string_equal(plain, world_run(w, story[until]));
    char *twin = group_dump(w->g);
    assert_string_equal(with_room, twin);
    mem_free(twin);
    mem_free(with_room);
    mem_free(before);
    mem_free(plain);
    world_fini(w);
    mem_free(w);
}

static void test_every_size(void **state)
{
    (void)state;
    u32 refused = 0;
    for (u32 i = 0; i < ARRAY_LEN(story); i++) {
        for (size_t bytes = 64; bytes < 4096; bytes += 128) {
            run_story(i, bytes, &refused);
        }
    }
    printf("%u steps without room\n", refused);
    assert_true(refused > 50);
}

/* What was said does not point into the group. */
static void test_said_outlives_the_group(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    (void)world_run(w, "join 1 f=a i=x v=3 p=range:A");
    (void)world_run(w, "time 3000");
    const struct group_reply *r = &w->out.replies[0];
    group_destroy(w->g);
    w->g = group_create(SLICE_LIT("grp"), &w->limits);
    assert_true(slice_eq_cstr(r->protocol_type, "consumer"));
    assert_true(slice_eq_cstr(r->protocol_name, "range"));
    assert_true(slice_eq_cstr(r->member_id, "a"));
    assert_true(slice_eq_cstr(r->leader_id, "a"));
    assert_int_equal(r->member_count, 1);
    assert_true(slice_eq_cstr(r->members[0].member_id, "a"));
    assert_true(slice_eq_cstr(r->members[0].instance_id, "x"));
    assert_true(slice_eq_cstr(r->members[0].metadata, "A"));
    world_fini(w);
    mem_free(w);
}

static void test_nobody_waits(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"join f=a v=3 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
        {"time 3000", "| CompletingRebalance"},
        {"sync m=a g=1 a=a:1", "+G g1 consumer/range lead=a a=A/1; | Stable"},
        {"beat m=a g=1", ""},
        {"commit m=a g=1 o=t/0:1", "+O t/0=1"},
        {"leave l=a", "+G g2 consumer/ lead=; | Empty"},
        {"delete", "-O t/0; -G; | Dead"},
    };
    script_run(lines, ARRAY_LEN(lines));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(group_state_name(GROUP_EMPTY), "Empty");
    assert_string_equal(group_state_name(GROUP_PREPARING_REBALANCE), "PreparingRebalance");
    assert_string_equal(group_state_name(GROUP_COMPLETING_REBALANCE), "CompletingRebalance");
    assert_string_equal(group_state_name(GROUP_STABLE), "Stable");
    assert_string_equal(group_state_name(GROUP_DEAD), "Dead");
    group_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_said_outlives_the_group),
        cmocka_unit_test(test_nobody_waits),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
