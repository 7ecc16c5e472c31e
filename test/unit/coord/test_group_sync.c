/* SyncGroup, Heartbeat, LeaveGroup, sessions that end. Each test is a script (script.h). */
#include "script.h"

/* ---- SyncGroup ----------------------------------------------------------------------------- */

SCRIPT(test_followers_wait_for_the_leader,
       {
           STABLE_TWO,
           {"look", "Stable g1 consumer/range a(app)=A/1 b(app)=B/2 in 10000"},
           {"sync 5 m=b g=1", "5:NONE range '2'"},
           {"sync 6 m=a g=1 a=a:9,b:9", "6:NONE range '1'"},
       })

#define COMPLETING_TWO                                                                      \
    {"join 1 f=a p=range:A v=3", "+G g0 / lead=; | PreparingRebalance"},                    \
        {"join 2 f=b p=range:B v=3", ""}, {"time 3000", ""},                                \
    {                                                                                       \
        "time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; " \
                     "| CompletingRebalance"                                                \
    }

SCRIPT(test_leader_before_followers,
       {
           COMPLETING_TWO,
           {"sync 3 m=a g=1 a=a:1,b:2", "3:NONE range '1'; "
                                        "+G g1 consumer/range lead=a a=A/1 b=B/2; | Stable"},
           {"sync 4 m=b g=1", "4:NONE range '2'"},
       })

SCRIPT(test_missing_assignment_is_empty,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1", ""},
           {"sync 4 m=a g=1 a=b:2,x:9,b:3", "4:NONE range ''; 3:NONE range '3'; "
                                            "+G g1 consumer/range lead=a a=A/ b=B/3; | Stable"},
       })

SCRIPT(test_follower_does_not_assign,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1 a=a:1,b:2", ""},
           {"sync 4 m=a g=1", "4:NONE range ''; 3:NONE range ''; "
                              "+G g1 consumer/range lead=a a=A/ b=B/; | Stable"},
       })

SCRIPT(test_sync_errors,
       {
           {"sync 1 m=a g=0", "1:UNKNOWN_MEMBER_ID"},
           COMPLETING_TWO,
           {"sync 3 m=x g=1", "3:UNKNOWN_MEMBER_ID"},
           {"sync 3 m= g=1", "3:UNKNOWN_MEMBER_ID"},
           {"sync 4 m=a g=0", "4:ILLEGAL_GENERATION"},
           {"sync 5 m=a g=2", "5:ILLEGAL_GENERATION"},
           {"sync 6 m=a g=1 t=connect", "6:INCONSISTENT_GROUP_PROTOCOL"},
           {"sync 7 m=a g=1 p=rr", "7:INCONSISTENT_GROUP_PROTOCOL"},
           {"sync 8 m=a i=x g=1", "8:UNKNOWN_MEMBER_ID"},
           {"sync 9 m=b g=1 t=consumer p=range", ""},
           {"join 10 m=b p=range:X", "9:REBALANCE_IN_PROGRESS; | PreparingRebalance"},
           {"sync 11 m=a g=1", "11:REBALANCE_IN_PROGRESS"},
       })

SCRIPT(test_second_sync_replaces_the_first,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1", ""},
           {"sync 4 m=b g=1", "3:REBALANCE_IN_PROGRESS"},
           {"sync 5 m=a g=1 a=b:2", "5:NONE range ''; 4:NONE range '2'; "
                                    "+G g1 consumer/range lead=a a=A/ b=B/2; | Stable"},
       })

SCRIPT(test_member_comes_while_others_wait,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1", ""},
           {"join 4 f=c v=3 p=range:C", "3:REBALANCE_IN_PROGRESS; | PreparingRebalance"},
           {"look", "PreparingRebalance g1 consumer/ a(app)=/ b(app)=/ c(app)=/ in 10000"},
       })

SCRIPT(test_who_never_syncs_goes,
       {
           {"join 1 f=a p=range:A v=3 r=8000", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b p=range:B v=3 r=8000", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
           {"look", "CompletingRebalance g1 consumer/ a(app)=/ b(app)=/ in 8000"},
           {"sync 3 m=b g=1", ""},
           {"later 7999", ""},
           {"beat 4 m=a g=1", "4:NONE"},
           {"time 1", "3:REBALANCE_IN_PROGRESS; | PreparingRebalance"},
           {"look", "PreparingRebalance g1 consumer/ b(app)=/ in 8000"},
           {"join 5 m=b p=range:B", "5:NONE g2 range me=b lead=b [b=B]; | CompletingRebalance"},
       })

SCRIPT(test_who_never_syncs_goes_from_stable_too,
       {
           COMPLETING_TWO,
           {"sync 3 m=a g=1 a=a:1,b:2", "3:NONE range '1'; "
                                        "+G g1 consumer/range lead=a a=A/1 b=B/2; | Stable"},
           {"later 59999", ""},
           {"beat 4 m=a g=1", "4:NONE"},
           {"beat 5 m=b g=1", "5:NONE"},
           {"time 1", "| PreparingRebalance"},
           {"look", "PreparingRebalance g1 consumer/ a(app)=/1 in 9999"},
       })

SCRIPT(test_nobody_syncs,
       {
           {"join 1 f=a p=range:A v=3 r=6000", "+G g0 / lead=; | PreparingRebalance"},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A]; | CompletingRebalance"},
           {"time 6000", "+G g2 consumer/ lead=; | Empty"},
       })

SCRIPT(test_waiting_for_the_leader_is_a_sign_of_life,
       {
           {"join 1 f=a p=range:A v=3 s=30000", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b p=range:B v=3 s=6000", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
           {"sync 3 m=b g=1", ""},
           {"time 20000", ""},
           {"sync 4 m=a g=1 a=b:2", "4:NONE range ''; 3:NONE range '2'; "
                                    "+G g1 consumer/range lead=a a=A/ b=B/2; | Stable"},
           {"look", "Stable g1 consumer/range a(app)=A/ b(app)=B/2 in 6000"},
       })

SCRIPT(test_sync_gone,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1", ""},
           {"gone t=3", ""},
           {"sync 4 m=a g=1 a=b:2", "4:NONE range ''; "
                                    "+G g1 consumer/range lead=a a=A/ b=B/2; | Stable"},
           {"sync 5 m=b g=1", "5:NONE range '2'"},
       })

/* A record would not hold them: everybody is told, and the group tries again. */
static void test_assignments_too_large(void **state)
{
    (void)state;
    static const struct line lines[] = {COMPLETING_TWO, {"sync 3 m=b g=1", ""}};
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    script_run_with(w, lines, ARRAY_LEN(lines));
    u8 *big = mem_alloc(13 << 20);
    struct group_assignment a = {SLICE_LIT("a"), slice_of(big, 13 << 20)};
    struct group_event ev = {.kind = GROUP_SYNC,
                             .ticket = 4,
                             .member_id = SLICE_LIT("a"),
                             .generation = 1,
                             .sync = {.assignments = &a, .assignment_count = 1}};
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.reply_count, 2);
    assert_int_equal(w->out.replies[0].kerr, KERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(w->out.replies[1].kerr, KERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(w->out.record_count, 0);
    assert_int_equal(group_state_of(w->g), GROUP_PREPARING_REBALANCE);
    mem_free(big);
    world_fini(w);
    mem_free(w);
}

/* ---- Heartbeat ----------------------------------------------------------------------------- */

SCRIPT(test_heartbeat, {
                           {"beat 1 m=a g=0", "1:UNKNOWN_MEMBER_ID"},
                           COMPLETING_TWO,
                           {"beat 3 m=a g=1", "3:NONE"},
                           {"beat 4 m=a g=0", "4:ILLEGAL_GENERATION"},
                           {"beat 5 m=x g=1", "5:UNKNOWN_MEMBER_ID"},
                           {"beat 6 m=a i=x g=1", "6:UNKNOWN_MEMBER_ID"},
                           {"join 7 m=b p=range:X", "| PreparingRebalance"},
                           {"beat 8 m=a g=1", "8:REBALANCE_IN_PROGRESS"},
                           {"beat 9 m=a g=2", "9:ILLEGAL_GENERATION"},
                       })

SCRIPT(test_heartbeat_keeps_the_session, {
                                             STABLE_ONE,
                                             {"time 9999", ""},
                                             {"beat 4 m=a g=1", "4:NONE"},
                                             {"time 9999", ""},
                                             {"time 1", "+G g2 consumer/ lead=; | Empty"},
                                             {"beat 5 m=a g=1", "5:UNKNOWN_MEMBER_ID"},
                                         })

SCRIPT(test_wrong_heartbeat_keeps_nothing, {
                                               STABLE_ONE,
                                               {"time 9999", ""},
                                               {"beat 4 m=a g=0", "4:ILLEGAL_GENERATION"},
                                               {"time 1", "+G g2 consumer/ lead=; | Empty"},
                                           })

SCRIPT(test_pending_member_has_no_heartbeat,
       {
           {"join 1 f=a", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"beat 2 m=a g=0", "2:UNKNOWN_MEMBER_ID"},
       })

/* ---- sessions ------------------------------------------------------------------------------ */

SCRIPT(test_session_ends_in_stable,
       {
           STABLE_TWO,
           {"time 9000", ""},
           {"beat 5 m=a g=1", "5:NONE"},
           {"time 1000", "| PreparingRebalance"},
           {"join 6 m=a p=range:A", "6:NONE g2 range me=a lead=a [a=A]; | CompletingRebalance"},
       })

SCRIPT(test_all_sessions_end_at_once, {
                                          STABLE_TWO,
                                          {"time 100000", "+G g2 consumer/ lead=; | Empty"},
                                          {"look", "Empty g2 consumer/ in 600000"},
                                      })

SCRIPT(test_session_ends_while_completing,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1", ""},
           {"time 10000", "3:REBALANCE_IN_PROGRESS; | PreparingRebalance"},
           {"look", "PreparingRebalance g1 consumer/ b(app)=/ in 10000"},
       })

SCRIPT(test_event_before_a_late_timer, {
                                           STABLE_ONE,
                                           {"later 20000", ""},
                                           {"beat 4 m=a g=1", "4:NONE"},
                                           {"time 0", ""},
                                           {"look", "Stable g1 consumer/range a(app)=A/1 in 10000"},
                                       })

/* ---- LeaveGroup ---------------------------------------------------------------------------- */

SCRIPT(test_leave, {
                       {"leave 1 l=a", "1:NONE UNKNOWN_MEMBER_ID"},
                       STABLE_TWO,
                       {"leave 5 l=x", "5:NONE UNKNOWN_MEMBER_ID"},
                       {"leave 5 l=b", "5:NONE NONE; | PreparingRebalance"},
                       {"leave 6 l=a", "6:NONE NONE; +G g2 consumer/ lead=; | Empty"},
                       {"leave 7 l=a", "7:NONE UNKNOWN_MEMBER_ID"},
                   })

SCRIPT(test_leave_many,
       {
           STABLE_TWO,
           {"join 5 f=c", "5:MEMBER_ID_REQUIRED me=c"},
           {"leave 6 l=x,a,b,c,a,@z",
            "6:NONE UNKNOWN_MEMBER_ID NONE NONE NONE UNKNOWN_MEMBER_ID UNKNOWN_MEMBER_ID; "
            "+G g2 consumer/ lead=; | Empty"},
       })

SCRIPT(test_leave_none, {
                            STABLE_ONE,
                            {"leave 4", "4:NONE"},
                        })

SCRIPT(test_leave_while_joining,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:BB", "| PreparingRebalance"},
           {"leave 6 l=a",
            "5:NONE g2 range me=b lead=b [b=BB]; 6:NONE NONE; | CompletingRebalance"},
           {"leave 7 l=b", "7:NONE NONE; +G g3 consumer/ lead=; | Empty"},
       })

SCRIPT(test_leave_with_a_join_under_way,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:BB", "| PreparingRebalance"},
           {"leave 6 l=b", "5:UNKNOWN_MEMBER_ID me=; 6:NONE NONE"},
           {"join 7 m=a p=range:A", "7:NONE g2 range me=a lead=a [a=A]; | CompletingRebalance"},
       })

SCRIPT(test_leave_with_a_sync_under_way,
       {
           COMPLETING_TWO,
           {"sync 3 m=b g=1", ""},
           {"leave 4 l=b", "3:UNKNOWN_MEMBER_ID; 4:NONE NONE; | PreparingRebalance"},
       })

SCRIPT(test_leave_in_the_initial_delay,
       {
           {"join 1 f=a v=3 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b v=3 p=range:B", ""},
           {"leave 3 l=a", "1:UNKNOWN_MEMBER_ID me=; 3:NONE NONE"},
           {"time 3000", ""},
           {"time 3000", "2:NONE g1 range me=b lead=b [b=B]; | CompletingRebalance"},
       })

/* ---- the generation's end ------------------------------------------------------------------ */

static void test_generation_wraps(void **state)
{
    (void)state;
    static const struct line lines[] = {
        STABLE_ONE,
    };
    static const struct line after[] = {
        {"join 4 m=a p=range:A", "4:NONE g1 range me=a lead=a [a=A]; | CompletingRebalance"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    script_run_with(w, lines, ARRAY_LEN(lines));
    w->g->generation = INT32_MAX;
    script_run_with(w, after, ARRAY_LEN(after));
    world_fini(w);
    mem_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_followers_wait_for_the_leader),
        cmocka_unit_test(test_leader_before_followers),
        cmocka_unit_test(test_missing_assignment_is_empty),
        cmocka_unit_test(test_follower_does_not_assign),
        cmocka_unit_test(test_sync_errors),
        cmocka_unit_test(test_second_sync_replaces_the_first),
        cmocka_unit_test(test_member_comes_while_others_wait),
        cmocka_unit_test(test_who_never_syncs_goes),
        cmocka_unit_test(test_who_never_syncs_goes_from_stable_too),
        cmocka_unit_test(test_nobody_syncs),
        cmocka_unit_test(test_waiting_for_the_leader_is_a_sign_of_life),
        cmocka_unit_test(test_sync_gone),
        cmocka_unit_test(test_assignments_too_large),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_heartbeat_keeps_the_session),
        cmocka_unit_test(test_wrong_heartbeat_keeps_nothing),
        cmocka_unit_test(test_pending_member_has_no_heartbeat),
        cmocka_unit_test(test_session_ends_in_stable),
        cmocka_unit_test(test_all_sessions_end_at_once),
        cmocka_unit_test(test_session_ends_while_completing),
        cmocka_unit_test(test_event_before_a_late_timer),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_leave_many),
        cmocka_unit_test(test_leave_none),
        cmocka_unit_test(test_leave_while_joining),
        cmocka_unit_test(test_leave_with_a_join_under_way),
        cmocka_unit_test(test_leave_with_a_sync_under_way),
        cmocka_unit_test(test_leave_in_the_initial_delay),
        cmocka_unit_test(test_generation_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
