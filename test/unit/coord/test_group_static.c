/* Static members (KIP-345, KIP-814): they come back under their instance id. Each test is a script
   (script.h). */
#include "script.h"

/* a@x leads, b@y follows, stable. */
#define STABLE_STATIC                                                                            \
    {"join 1 f=a i=x p=range:A,rr:a", "+G g0 / lead=; | PreparingRebalance"},                    \
        {"join 2 f=b i=y p=range:B,rr:b", ""}, {"time 3000", ""},                                \
        {"time 3000", "1:NONE g1 range me=a lead=a [a@x=A b@y=B]; 2:NONE g1 range me=b lead=a; " \
                      "| CompletingRebalance"},                                                  \
        {"sync 3 m=b i=y g=1", ""},                                                              \
    {                                                                                            \
        "sync 4 m=a i=x g=1 a=a:1,b:2", "4:NONE range '1'; 3:NONE range '2'; "                   \
                                        "+G g1 consumer/range lead=a a@x=A/1 b@y=B/2; | Stable"  \
    }

SCRIPT(test_joins_at_once,
       {
           STABLE_STATIC,
           {"look", "Stable g1 consumer/range a@x(app)=A/1 b@y(app)=B/2 in 10000"},
       })

SCRIPT(test_follower_returns,
       {
           STABLE_STATIC,
           {"join 5 f=c i=y p=range:B2 c=other v=9",
            "5:NONE g1 range me=c lead=a; +G g1 consumer/range lead=a a@x=A/1 c@y=B2/2"},
           {"sync 6 m=c i=y g=1", "6:NONE range '2'"},
           {"look", "Stable g1 consumer/range a@x(app)=A/1 c@y(other)=B2/2 in 10000"},
           {"restart", ""},
           {"look", "Stable g1 consumer/range a@x(app)=A/1 c@y(other)=B2/2 in 10000"},
       })

SCRIPT(test_leader_returns_skips_the_assignment,
       {
           STABLE_STATIC,
           {"join 5 f=c i=x p=range:A v=9", "5:NONE g1 range me=c lead=c [c@x=A b@y=B] skip; "
                                            "+G g1 consumer/range lead=c c@x=A/1 b@y=B/2"},
           {"sync 6 m=c i=x g=1", "6:NONE range '1'"},
       })

SCRIPT(test_leader_returns_below_9_thinks_it_follows,
       {
           STABLE_STATIC,
           {"join 5 f=c i=x p=range:A v=8",
            "5:NONE g1 range me=c lead=a; +G g1 consumer/range lead=c c@x=A/1 b@y=B/2"},
           {"sync 6 m=c i=x g=1", "6:NONE range '1'"},
           {"join 7 m=c i=x p=range:A v=8", "| PreparingRebalance"},
       })

SCRIPT(
    test_return_that_changes_the_protocol,
    {
        STABLE_STATIC,
        {"join 5 f=c i=y p=rr:b", "| PreparingRebalance"},
        {"join 6 m=a i=x p=range:A,rr:a",
         "6:NONE g2 rr me=a lead=a [a@x=a c@y=b]; 5:NONE g2 rr me=c lead=a; | CompletingRebalance"},
    })

SCRIPT(test_return_without_a_common_protocol,
       {
           STABLE_STATIC,
           {"join 5 f=c i=y p=sticky:", "5:INCONSISTENT_GROUP_PROTOCOL me="},
           {"beat 6 m=b i=y g=1", "6:NONE"},
       })

SCRIPT(test_old_id_is_fenced,
       {
           STABLE_STATIC,
           {"join 5 f=c i=y p=range:B v=9",
            "5:NONE g1 range me=c lead=a; +G g1 consumer/range lead=a a@x=A/1 c@y=B/2"},
           {"beat 6 m=b i=y g=1", "6:FENCED_INSTANCE_ID"},
           {"sync 7 m=b i=y g=1", "7:FENCED_INSTANCE_ID"},
           {"join 8 m=b i=y p=range:B", "8:FENCED_INSTANCE_ID me=b"},
           {"commit 9 m=b i=y g=1 o=t/0:1", "9:FENCED_INSTANCE_ID"},
           {"leave 10 l=b@y", "10:NONE FENCED_INSTANCE_ID"},
           {"beat 11 m=b g=1", "11:UNKNOWN_MEMBER_ID"},
           {"beat 12 m=c i=y g=1", "12:NONE"},
       })

SCRIPT(test_fenced_while_it_joins,
       {
           STABLE_STATIC,
           {"join 5 m=b i=y p=range:BB", "| PreparingRebalance"},
           {"join 6 f=c i=y p=range:B", "5:FENCED_INSTANCE_ID me=b"},
           {"join 7 m=a i=x p=range:A",
            "7:NONE g2 range me=a lead=a [a@x=A c@y=B]; 6:NONE g2 range me=c lead=a; "
            "| CompletingRebalance"},
       })

SCRIPT(test_fenced_while_it_syncs,
       {
           {"join 1 f=a i=x p=range:A", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b i=y p=range:B", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a@x=A b@y=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
           {"sync 3 m=b i=y g=1", ""},
           {"join 4 f=c i=y p=range:B", "3:FENCED_INSTANCE_ID; | PreparingRebalance"},
       })

SCRIPT(test_known_id_rejoins_as_everybody,
       {
           STABLE_STATIC,
           {"join 5 m=b i=y p=range:B,rr:b", "5:NONE g1 range me=b lead=a"},
           {"join 6 m=b i=z p=range:B,rr:b", "6:UNKNOWN_MEMBER_ID me=b"},
           {"join 7 m=zz i=y p=range:B,rr:b", "7:FENCED_INSTANCE_ID me=zz"},
       })

SCRIPT(test_laggard_is_kept,
       {
           {"join 1 f=a i=x p=range:A r=20000 s=100000", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=b i=y p=range:B r=20000 s=100000", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a@x=A b@y=B]; 2:NONE g1 range me=b lead=a; "
                         "| CompletingRebalance"},
           {"sync 3 m=b i=y g=1", ""},
           {"sync 4 m=a i=x g=1 a=a:1,b:2",
            "4:NONE range '1'; 3:NONE range '2'; "
            "+G g1 consumer/range lead=a a@x=A/1 b@y=B/2; | Stable"},
           {"join 5 m=b i=y p=range:BB r=20000 s=100000", "| PreparingRebalance"},
           {"time 20000", "5:NONE g2 range me=b lead=b [a@x=A b@y=BB]; | CompletingRebalance"},
           {"sync 6 m=b i=y g=2 a=a:3,b:4",
            "6:NONE range '4'; +G g2 consumer/range lead=b a@x=A/3 b@y=BB/4; | Stable"},
           {"beat 7 m=a i=x g=2", "7:NONE"},
           {"later 20000", ""},
           {"time 0", "| PreparingRebalance"},
           {"look", "PreparingRebalance g2 consumer/ b@y(app)=/4 in 20000"},
       })

SCRIPT(test_nobody_comes_back,
       {
           {"join 1 f=a i=x p=range:A r=20000 s=60000", "+G g0 / lead=; | PreparingRebalance"},
           {"join 2 f=d v=3 p=range:D r=20000 s=60000", ""},
           {"time 3000", ""},
           {"time 3000", "1:NONE g1 range me=a lead=a [a@x=A d=D]; 2:NONE g1 range me=d lead=a; "
                         "| CompletingRebalance"},
           {"sync 3 m=d g=1", ""},
           {"sync 4 m=a i=x g=1", "4:NONE range ''; 3:NONE range ''; "
                                  "+G g1 consumer/range lead=a a@x=A/ d=D/; | Stable"},
           {"leave 5 l=d", "5:NONE NONE; | PreparingRebalance"},
           {"time 20000", ""},
           {"look", "PreparingRebalance g1 consumer/ a@x(app)=/ in 20000"},
           {"time 20000", ""},
           {"time 20000", "+G g2 consumer/ lead=; | Empty"},
       })

SCRIPT(test_administrator_removes,
       {
           STABLE_STATIC,
           {"leave 5 l=@z,@y", "5:NONE UNKNOWN_MEMBER_ID NONE; | PreparingRebalance"},
           {"look", "PreparingRebalance g1 consumer/ a@x(app)=/1 in 10000"},
           {"join 6 f=c i=y p=range:B", ""},
           {"look", "PreparingRebalance g1 consumer/ a@x(app)=/1 c@y(app)=/ in 10000"},
       })

SCRIPT(test_leaves_by_both_ids, {
                                    STABLE_STATIC,
                                    {"leave 5 l=b@x", "5:NONE FENCED_INSTANCE_ID"},
                                    {"leave 6 l=b@q", "6:NONE UNKNOWN_MEMBER_ID"},
                                    {"leave 7 l=b@y", "7:NONE NONE; | PreparingRebalance"},
                                })

SCRIPT(test_gone_and_returns,
       {
           {"join 1 f=a i=x p=range:A v=3", "+G g0 / lead=; | PreparingRebalance"},
           {"gone t=1", ""},
           {"join 2 f=b i=x p=range:B v=3", ""},
           {"time 3000", "2:NONE g1 range me=b lead=b [b@x=B]; | CompletingRebalance"},
       })

SCRIPT(test_returns_after_a_restart,
       {
           STABLE_STATIC,
           {"restart", ""},
           {"join 5 f=c i=y p=range:B,rr:b v=9",
            "5:NONE g1 range me=c lead=a; +G g1 consumer/range lead=a a@x=A/1 c@y=B/2"},
           {"beat 6 m=a i=x g=1", "6:NONE"},
       })

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joins_at_once),
        cmocka_unit_test(test_follower_returns),
        cmocka_unit_test(test_leader_returns_skips_the_assignment),
        cmocka_unit_test(test_leader_returns_below_9_thinks_it_follows),
        cmocka_unit_test(test_return_that_changes_the_protocol),
        cmocka_unit_test(test_return_without_a_common_protocol),
        cmocka_unit_test(test_old_id_is_fenced),
        cmocka_unit_test(test_fenced_while_it_joins),
        cmocka_unit_test(test_fenced_while_it_syncs),
        cmocka_unit_test(test_known_id_rejoins_as_everybody),
        cmocka_unit_test(test_laggard_is_kept),
        cmocka_unit_test(test_nobody_comes_back),
        cmocka_unit_test(test_administrator_removes),
        cmocka_unit_test(test_leaves_by_both_ids),
        cmocka_unit_test(test_gone_and_returns),
        cmocka_unit_test(test_returns_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
