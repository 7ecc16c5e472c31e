/* JoinGroup and the join phase: ids, the initial delay, later rebalances, protocols, limits. Each
   test is a script of events and what they say (script.h). */
#include "script.h"

/* ---- ids ---------------------------------------------------------------------------------------
 */

SCRIPT(test_id_is_required, {
                                STABLE_ONE,
                                {"look", "Stable g1 consumer/range a(app)=A/1 in 10000"},
                            })

SCRIPT(test_no_id_required_below_4,
       {
           {"join 1 f=a v=3 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A]; | CompletingRebalance"},
       })

SCRIPT(test_id_is_required_from_4,
       {
           {"join 1 f=a v=4", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"join 2 f=b v=0", "| PreparingRebalance"},
       })

SCRIPT(test_id_is_required_in_a_stable_group, {
                                                  STABLE_ONE,
                                                  {"join 4 f=b", "4:MEMBER_ID_REQUIRED me=b"},
                                                  {"beat 5 m=a g=1", "5:NONE"},
                                                  {"join 6 m=b", "| PreparingRebalance"},
                                                  {"beat 7 m=a g=1", "7:REBALANCE_IN_PROGRESS"},
                                              })

SCRIPT(test_id_lives_one_session,
       {
           {"join 1 f=a s=6000", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"look", "Empty g0 / in 6000"},
           {"time 6000", ""},
           {"join 2 m=a", "2:UNKNOWN_MEMBER_ID me=a"},
       })

SCRIPT(test_id_used_in_time, {
                                 {"join 1 f=a s=6000", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
                                 {"time 5999", ""},
                                 {"join 2 m=a", "| PreparingRebalance"},
                                 {"time 1", ""},
                                 {"look", "PreparingRebalance g0 consumer/ a(app)=/ in 2999"},
                             })

SCRIPT(test_id_of_nobody, {
                              {"join 1 m=x", "1:UNKNOWN_MEMBER_ID me=x"},
                              {"look", "Empty g0 / dead"},
                              STABLE_ONE,
                              {"join 1 m=x p=range:", "1:UNKNOWN_MEMBER_ID me=x"},
                          })

SCRIPT(test_id_with_instance_is_refused,
       {
           {"join 1 f=a", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"join 2 m=a i=x", "2:UNKNOWN_SERVER_ERROR me=a"},
       })

SCRIPT(test_id_pending_holds_up_a_rebalance,
       {
           STABLE_ONE,
           {"join 4 f=b s=6000", "4:MEMBER_ID_REQUIRED me=b"},
           {"join 5 m=a p=range:A", "| PreparingRebalance"},
           {"time 6000", "5:NONE g2 range me=a lead=a [a=A]; | CompletingRebalance"},
       })

SCRIPT(test_id_pending_leaves,
       {
           STABLE_ONE,
           {"join 4 f=b s=6000", "4:MEMBER_ID_REQUIRED me=b"},
           {"join 5 m=a p=range:A", "| PreparingRebalance"},
           {"leave 6 l=b", "5:NONE g2 range me=a lead=a [a=A]; 6:NONE NONE; | CompletingRebalance"},
       })

/* ---- the initial delay --------------------------------------------------------------------- */

SCRIPT(test_delay_is_prolonged_by_each_new_member,
       {
           {"join 1 f=a v=3 r=60000 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"time 2000", ""},
           {"join 2 f=b v=3 p=range:B", ""},
           {"look", "PreparingRebalance g0 consumer/ a(app)=/ b(app)=/ in 1000"},
           {"time 1000", ""},
           {"look", "PreparingRebalance g0 consumer/ a(app)=/ b(app)=/ in 3000"},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
       })

SCRIPT(test_delay_ends_at_the_rebalance_timeout,
       {
           {"join 1 f=a v=3 r=7000 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b v=3 r=7000 p=range:B", ""},
           {"time 3000", ""},
           {"join 3 f=c v=3 r=7000 p=range:C", ""},
           {"time 3000", ""},
           {"look", "PreparingRebalance g0 consumer/ a(app)=/ b(app)=/ c(app)=/ in 1000"},
           {"join 4 f=d v=3 r=7000 p=range:D", ""},
           {"time 1000",
            "1:NONE g1 range me=a lead=a [a=A b=B c=C d=D]; 2:NONE g1 range me=b lead=a; "
            "3:NONE g1 range me=c lead=a; 4:NONE g1 range me=d lead=a; "
            "| CompletingRebalance"},
       })

static void test_delay_of_zero(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"join 1 f=a v=3 p=range:A",
         "1:NONE g1 range me=a lead=a [a=A]; +G g0 / lead=; | CompletingRebalance"},
        {"join 2 f=b v=3 p=range:B", "| PreparingRebalance"},
        {"join 3 m=a p=range:A",
         "3:NONE g2 range me=a lead=a [a=A b=B]; 2:NONE g2 range me=b lead=a; "
         "| CompletingRebalance"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    w->limits.initial_rebalance_delay_ms = 0;
    script_run_with(w, lines, ARRAY_LEN(lines));
    world_fini(w);
    mem_free(w);
}

SCRIPT(test_delay_again_when_the_group_was_empty,
       {
           STABLE_ONE,
           {"leave 4 l=a", "4:NONE NONE; +G g2 consumer/ lead=; | Empty"},
           {"join 5 f=b v=3 p=rr:B", "| PreparingRebalance"},
           {"look", "PreparingRebalance g2 consumer/ b(app)=/ in 3000"},
           {"time 3000", "5:NONE g3 rr me=b lead=b [b=B]; | CompletingRebalance"},
       })

SCRIPT(test_delay_all_leave,
       {
           {"join 1 f=a v=3 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"leave 2 l=a", "1:UNKNOWN_MEMBER_ID me=; 2:NONE NONE"},
           {"time 3000", "+G g1 consumer/ lead=; | Empty"},
       })

SCRIPT(test_new_member_waits_at_most_5_minutes,
       {
           STABLE_TWO,
           {"join 5 f=c v=3 r=1000000 p=range:C", "| PreparingRebalance"},
           {"time 9999", ""},
           {"beat 6 m=a g=1", "6:REBALANCE_IN_PROGRESS"},
           {"beat 7 m=b g=1", "7:REBALANCE_IN_PROGRESS"},
           {"later 290000", ""},
           {"beat 6 m=a g=1", "6:REBALANCE_IN_PROGRESS"},
           {"beat 7 m=b g=1", "7:REBALANCE_IN_PROGRESS"},
           {"time 1", "5:UNKNOWN_MEMBER_ID me="},
           {"look", "PreparingRebalance g1 consumer/ a(app)=/1 b(app)=/2 in 9999"},
       })

/* ---- later rebalances ---------------------------------------------------------------------- */

SCRIPT(test_rebalance_ends_when_all_are_back,
       {
           STABLE_TWO,
           {"join 5 f=c v=3 p=range:C", "| PreparingRebalance"},
           {"join 6 m=b p=range:B", ""},
           {"join 7 m=a p=range:A",
            "7:NONE g2 range me=a lead=a [a=A b=B c=C]; 6:NONE g2 range me=b lead=a; "
            "5:NONE g2 range me=c lead=a; | CompletingRebalance"},
       })

SCRIPT(test_rebalance_ends_at_the_longest_timeout,
       {
           {"join 1 f=a p=range:A v=3 r=20000 s=30000", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b p=range:B v=3 r=10000 s=30000", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
           {"sync 3 m=b g=1", ""},
           {"sync 4 m=a g=1 a=a:1,b:2", "4:NONE range '1'; 3:NONE range '2'; "
                                        "+G g1 consumer/range lead=a a=A/1 b=B/2; | Stable"},
           {"join 5 m=b p=range:BB r=10000 s=30000", "| PreparingRebalance"},
           {"look", "PreparingRebalance g1 consumer/ a(app)=/1 b(app)=/2 in 20000"},
           {"time 19999", ""},
           {"time 1", "5:NONE g2 range me=b lead=b [b=BB]; | CompletingRebalance"},
       })

SCRIPT(test_laggards_are_dropped_by_their_session_first,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:BB", "| PreparingRebalance"},
           {"time 10000", "5:NONE g2 range me=b lead=b [b=BB]; | CompletingRebalance"},
       })

SCRIPT(test_waiting_is_a_sign_of_life,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:BB", "| PreparingRebalance"},
           {"time 9000", ""},
           {"beat 6 m=a g=1", "6:REBALANCE_IN_PROGRESS"},
           {"time 9000", ""},
           {"beat 7 m=a g=1", "7:REBALANCE_IN_PROGRESS"},
           {"join 8 m=a p=range:A",
            "8:NONE g2 range me=a lead=a [a=A b=BB]; 5:NONE g2 range me=b lead=a; "
            "| CompletingRebalance"},
           {"look", "CompletingRebalance g2 consumer/ a(app)=/1 b(app)=/2 in 10000"},
       })

SCRIPT(test_leader_rejoins,
       {
           STABLE_ONE,
           {"join 4 m=a p=range:A", "4:NONE g2 range me=a lead=a [a=A]; | CompletingRebalance"},
       })

SCRIPT(test_follower_rejoins_unchanged,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:B,rr:b", "5:NONE g1 range me=b lead=a"},
       })

SCRIPT(test_follower_rejoins_in_another_order,
       {
           STABLE_TWO,
           {"join 5 m=b p=rr:b,range:B", "| PreparingRebalance"},
       })

SCRIPT(test_follower_rejoins_changed,
       {
           STABLE_TWO,
           {"join 5 m=b p=range:B,rr:c", "| PreparingRebalance"},
           {"join 6 m=a p=range:A", "6:NONE g2 range me=a lead=a [a=A b=B]; 5:NONE g2 range me=b "
                                    "lead=a; | CompletingRebalance"},
       })

SCRIPT(test_lost_answer_is_repeated,
       {
           {"join 1 f=a p=range:A v=3", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b p=range:B v=3", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
           {"join 3 m=a p=range:A", "3:NONE g1 range me=a lead=a [a=A b=B]"},
           {"join 4 m=b p=range:B", "4:NONE g1 range me=b lead=a"},
           {"join 5 m=b p=range:X", "| PreparingRebalance"},
       })

SCRIPT(test_second_join_replaces_the_first,
       {
           {"join 1 f=a p=range:A", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"join 2 m=a p=range:A", "| PreparingRebalance"},
           {"join 3 m=a p=range:AA", "2:REBALANCE_IN_PROGRESS me=a"},
           {"time 3000", "3:NONE g1 range me=a lead=a [a=AA]; | CompletingRebalance"},
       })

SCRIPT(test_leader_stays_away, {
                                   STABLE_TWO,
                                   {"leave 5 l=a", "5:NONE NONE; | PreparingRebalance"},
                                   {"join 6 m=b p=range:B,rr:b",
                                    "6:NONE g2 range me=b lead=b [b=B]; | CompletingRebalance"},
                               })

/* ---- protocols ----------------------------------------------------------------------------- */

SCRIPT(test_protocol_with_most_votes,
       {
           {"join 1 f=a v=3 p=x:1,y:2", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b v=3 p=y:3,x:4", ""},
           {"join 3 f=c v=3 p=z:5,y:6,x:7", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 y me=a lead=a [a=2 b=3 c=6]; 2:NONE g1 y me=b lead=a; "
                         "3:NONE g1 y me=c lead=a; | CompletingRebalance"},
       })

SCRIPT(test_protocol_that_one_lacks_does_not_count,
       {
           {"join 1 f=a v=3 p=x:1,y:2", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b v=3 p=x:3,y:4", ""},
           {"join 3 f=c v=3 p=y:5", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 y me=a lead=a [a=2 b=4 c=5]; 2:NONE g1 y me=b lead=a; "
                         "3:NONE g1 y me=c lead=a; | CompletingRebalance"},
       })

SCRIPT(test_protocol_in_common_with_nobody,
       {
           STABLE_TWO,
           {"join 5 f=c p=sticky:", "5:INCONSISTENT_GROUP_PROTOCOL me="},
           {"join 5 f=c v=3 p=sticky:", "5:INCONSISTENT_GROUP_PROTOCOL me="},
           {"join 6 f=c p=range: t=connect", "6:INCONSISTENT_GROUP_PROTOCOL me="},
           {"join 7 m=a p=sticky:", "7:INCONSISTENT_GROUP_PROTOCOL me=a"},
           {"beat 8 m=a g=1", "8:NONE"},
       })

SCRIPT(test_protocol_list_empty,
       {
           {"join 1 f=a p=", "1:INCONSISTENT_GROUP_PROTOCOL me=; +G g0 / lead="},
           {"join 2 f=a t=", "2:INCONSISTENT_GROUP_PROTOCOL me="},
       })

SCRIPT(test_protocol_twice_counts_once,
       {
           {"join 1 f=a v=3 p=x:1,x:2,y:3", "+G g0 / lead=; | PreparingRebalance"},
           {"time 3000", "1:NONE g1 x me=a lead=a [a=1]; | CompletingRebalance"},
           {"join 2 m=a p=x:1,x:9,y:3", "2:NONE g1 x me=a lead=a [a=1]"},
       })

SCRIPT(test_protocol_type_changes_when_empty,
       {
           STABLE_ONE,
           {"leave 4 l=a", "4:NONE NONE; +G g2 consumer/ lead=; | Empty"},
           {"join 5 f=a v=3 t=connect p=compatible:", "| PreparingRebalance"},
           {"look", "PreparingRebalance g2 connect/ a(app)=/ in 3000"},
       })

/* ---- limits -------------------------------------------------------------------------------- */

SCRIPT(test_session_timeout_bounds,
       {
           {"join 1 f=a s=5999", "1:INVALID_SESSION_TIMEOUT me="},
           {"join 2 m=x s=1800001", "2:INVALID_SESSION_TIMEOUT me=x"},
           {"look", "Empty g0 / dead"},
           {"join 3 f=a s=6000", "3:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},
           {"join 4 f=b s=1800000", "4:MEMBER_ID_REQUIRED me=b"},
       })

SCRIPT(test_size_max,
       {
           {"join 1 f=a v=3 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b v=3 p=range:B", ""},
           {"join 3 f=c v=3 p=range:C", ""},
           {"join 4 f=d v=3 p=range:D", ""},
           {"join 5 f=e v=3 p=range:E", "5:GROUP_MAX_SIZE_REACHED me="},
           {"join 6 m=a p=range:AA", "1:REBALANCE_IN_PROGRESS me=a"},
           {"time 3000", ""},
           {"time 3000",
            "6:NONE g1 range me=a lead=a [a=AA b=B c=C d=D]; 2:NONE g1 range me=b lead=a; "
            "3:NONE g1 range me=c lead=a; 4:NONE g1 range me=d lead=a; "
            "| CompletingRebalance"},
           {"join 7 f=e", "7:GROUP_MAX_SIZE_REACHED me="},
           {"join 8 m=b p=range:B", "8:NONE g1 range me=b lead=a"},
       })

SCRIPT(test_size_max_last_pending_is_refused,
       {
           {"join 1 f=p", "1:MEMBER_ID_REQUIRED me=p; +G g0 / lead="},
           {"join 1 f=a v=3 p=range:A", "| PreparingRebalance"},
           {"join 2 f=b v=3 p=range:B", ""},
           {"join 3 f=c v=3 p=range:C", ""},
           {"join 4 f=d v=3 p=range:D", ""},
           {"join 5 m=p", "5:GROUP_MAX_SIZE_REACHED me="},
           {"join 6 m=p", "6:GROUP_MAX_SIZE_REACHED me="},
       })

/* Four members came back from the log, three are allowed now: who joins again last goes. */
static void test_size_max_became_smaller(void **state)
{
    (void)state;
    static const struct line before[] = {
        {"join 1 f=a v=3 p=range:A", "+G g0 / lead=; | PreparingRebalance"},
        {"join 2 f=b v=3 p=range:B", ""},
        {"time 3000", ""},
        {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; "
                      "| CompletingRebalance"},
        {"sync 4 m=a g=1 a=a:1,b:2", "4:NONE range '1'; "
                                     "+G g1 consumer/range lead=a a=A/1 b=B/2; | Stable"},
    };
    static const struct line after[] = {
        {"restart", ""},
        {"look", "PreparingRebalance g1 consumer/ a(app)=/1 b(app)=/2 in 10000"},
        {"join 5 m=b p=range:B", ""},
        {"join 6 m=a p=range:A", "6:GROUP_MAX_SIZE_REACHED me="},
        {"time 60000", "5:NONE g2 range me=b lead=b [b=B]; | CompletingRebalance"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    script_run_with(w, before, ARRAY_LEN(before));
    w->limits.size_max = 1;
    script_run_with(w, after, ARRAY_LEN(after));
    world_fini(w);
    mem_free(w);
}

/* Ids that no record could hold, metadata that would not fit into one. */
static void test_bytes_max(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    u8 *big = mem_alloc(7 << 20);
    struct group_protocol protocol = {SLICE_LIT("range"), slice_of(big, 7 << 20)};
    struct group_event ev = {.kind = GROUP_JOIN,
                             .ticket = 1,
                             .version = 3,
                             .join = {.fresh_member_id = SLICE_LIT("a"),
                                      .client_id = slice_of(big, 40000),
                                      .client_host = SLICE_LIT("/"),
                                      .protocol_type = SLICE_LIT("consumer"),
                                      .protocols = &protocol,
                                      .protocol_count = 1,
                                      .session_timeout_ms = 10000,
                                      .rebalance_timeout_ms = 10000}};
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.replies[0].kerr, KERR_INVALID_REQUEST);
    ev.join.client_id = SLICE_LIT("app");
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.reply_count, 0);
    ev.ticket = 2;
    ev.join.fresh_member_id = SLICE_LIT("b");
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.reply_count, 1);
    assert_int_equal(w->out.replies[0].kerr, KERR_GROUP_MAX_SIZE_REACHED);
    mem_free(big);
    world_fini(w);
    mem_free(w);
}

/* A member whose new metadata does not fit any more goes; the others go on. */
static void test_bytes_max_of_a_member(void **state)
{
    (void)state;
    static const struct line before[] = {STABLE_TWO};
    static const struct line after[] = {
        {"look", "PreparingRebalance g1 consumer/ a(app)=/1 in 10000"},
        {"join 6 m=a p=range:A", "6:NONE g2 range me=a lead=a [a=A]; | CompletingRebalance"},
    };
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    script_run_with(w, before, ARRAY_LEN(before));
    u8 *big = mem_alloc(13 << 20);
    struct group_protocol protocol = {SLICE_LIT("range"), slice_of(big, 13 << 20)};
    struct group_event ev = {.kind = GROUP_JOIN,
                             .ticket = 5,
                             .version = 5,
                             .member_id = SLICE_LIT("b"),
                             .join = {.fresh_member_id = SLICE_LIT("z"),
                                      .client_id = SLICE_LIT("app"),
                                      .client_host = SLICE_LIT("/"),
                                      .protocol_type = SLICE_LIT("consumer"),
                                      .protocols = &protocol,
                                      .protocol_count = 1,
                                      .session_timeout_ms = 10000,
                                      .rebalance_timeout_ms = 10000}};
    assert_int_equal(world_step(w, &ev), OK);
    assert_int_equal(w->out.reply_count, 1);
    assert_int_equal(w->out.replies[0].kerr, KERR_GROUP_MAX_SIZE_REACHED);
    script_run_with(w, after, ARRAY_LEN(after));
    mem_free(big);
    world_fini(w);
    mem_free(w);
}

/* Ids that are never used are bounded too. */
static void test_pending_max(void **state)
{
    (void)state;
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    for (u32 i = 0; i < PENDING_MAX; i++) {
        char join[32];
        snprintf(join, sizeof(join), "join 1 f=p%u", i);
        (void)world_run(w, join);
    }
    assert_string_equal(world_run(w, "join 1 f=a"), "1:COORDINATOR_NOT_AVAILABLE me=");
    world_fini(w);
    mem_free(w);
}

/* ---- clients that vanish ------------------------------------------------------------------- */

SCRIPT(test_gone_before_it_knew_its_id,
       {
           STABLE_ONE,
           {"join 4 f=b v=3 p=range:B", "| PreparingRebalance"},
           {"gone t=4", ""},
           {"join 5 m=a p=range:A", "5:NONE g2 range me=a lead=a [a=A]; | CompletingRebalance"},
       })

SCRIPT(test_gone_and_still_a_member,
       {
           STABLE_ONE,
           {"join 4 f=b", "4:MEMBER_ID_REQUIRED me=b"},
           {"join 5 m=b p=range:B", "| PreparingRebalance"},
           {"gone t=5", ""},
           {"join 6 m=a p=range:A", "6:NONE g2 range me=a lead=a [a=A b=B]; | CompletingRebalance"},
       })

SCRIPT(test_gone_last_of_a_rebalance,
       {
           STABLE_ONE,
           {"join 4 f=b v=3 p=range:B", "| PreparingRebalance"},
           {"join 5 m=a p=range:A",
            "5:NONE g2 range me=a lead=a [a=A b=B]; 4:NONE g2 range me=b lead=a; "
            "| CompletingRebalance"},
           {"gone t=4", ""},
           {"gone t=99", ""},
       })

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_is_required),
        cmocka_unit_test(test_no_id_required_below_4),
        cmocka_unit_test(test_id_is_required_from_4),
        cmocka_unit_test(test_id_is_required_in_a_stable_group),
        cmocka_unit_test(test_id_lives_one_session),
        cmocka_unit_test(test_id_used_in_time),
        cmocka_unit_test(test_id_of_nobody),
        cmocka_unit_test(test_id_with_instance_is_refused),
        cmocka_unit_test(test_id_pending_holds_up_a_rebalance),
        cmocka_unit_test(test_id_pending_leaves),
        cmocka_unit_test(test_delay_is_prolonged_by_each_new_member),
        cmocka_unit_test(test_delay_ends_at_the_rebalance_timeout),
        cmocka_unit_test(test_delay_of_zero),
        cmocka_unit_test(test_delay_again_when_the_group_was_empty),
        cmocka_unit_test(test_delay_all_leave),
        cmocka_unit_test(test_new_member_waits_at_most_5_minutes),
        cmocka_unit_test(test_rebalance_ends_when_all_are_back),
        cmocka_unit_test(test_rebalance_ends_at_the_longest_timeout),
        cmocka_unit_test(test_laggards_are_dropped_by_their_session_first),
        cmocka_unit_test(test_waiting_is_a_sign_of_life),
        cmocka_unit_test(test_leader_rejoins),
        cmocka_unit_test(test_follower_rejoins_unchanged),
        cmocka_unit_test(test_follower_rejoins_in_another_order),
        cmocka_unit_test(test_follower_rejoins_changed),
        cmocka_unit_test(test_lost_answer_is_repeated),
        cmocka_unit_test(test_second_join_replaces_the_first),
        cmocka_unit_test(test_leader_stays_away),
        cmocka_unit_test(test_protocol_with_most_votes),
        cmocka_unit_test(test_protocol_that_one_lacks_does_not_count),
        cmocka_unit_test(test_protocol_in_common_with_nobody),
        cmocka_unit_test(test_protocol_list_empty),
        cmocka_unit_test(test_protocol_twice_counts_once),
        cmocka_unit_test(test_protocol_type_changes_when_empty),
        cmocka_unit_test(test_session_timeout_bounds),
        cmocka_unit_test(test_size_max),
        cmocka_unit_test(test_size_max_last_pending_is_refused),
        cmocka_unit_test(test_size_max_became_smaller),
        cmocka_unit_test(test_bytes_max),
        cmocka_unit_test(test_bytes_max_of_a_member),
        cmocka_unit_test(test_pending_max),
        cmocka_unit_test(test_gone_before_it_knew_its_id),
        cmocka_unit_test(test_gone_and_still_a_member),
        cmocka_unit_test(test_gone_last_of_a_rebalance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
