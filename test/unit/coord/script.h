/* Groups driven by scripts: every line is an event and what must come of it, as text.

     join TICKET [m=MEMBER] [i=INSTANCE] [f=FRESH] [v=VERSION] [p=NAME:METADATA,...] [t=TYPE]
                 [s=SESSION_MS] [r=REBALANCE_MS] [c=CLIENT]
     sync TICKET m=MEMBER g=GENERATION [i=INSTANCE] [a=MEMBER:ASSIGNMENT,...] [t=TYPE] [p=PROTOCOL]
     beat TICKET m=MEMBER g=GENERATION [i=INSTANCE]
     leave TICKET l=MEMBER,MEMBER@INSTANCE,@INSTANCE,...
     commit TICKET [m=MEMBER] [g=GENERATION] [i=INSTANCE] o=TOPIC/PARTITION:OFFSET[:METADATA],...
                 [id=TOPIC_ID] [x=EXPIRE_WALL_MS]
     deloff TICKET o=TOPIC/PARTITION,...      (a ! after the partition: the broker refused it)
     delete TICKET
     topicgone o=TOPIC [id=TOPIC_ID]
     gone t=TICKET
     time MS       that much passes, and the timer fires
     later MS      that much passes
     restart       from the records so far
     look          the group, its members and offsets, and when it wants to wake up

   What is said: replies in order, then records (+G a group, -G its end, +O an offset, -O its end),
   then the state if it is another than before:

     1:NONE g1 range me=a lead=a [a=A b=B]; +G g1 consumer/range lead=a a=A/1; | Stable

   Errors are named as kerr_name names them. */
#pragma once

#include "../unit.h"

#include "coord/group/group.h"
#include "coord/group/group_private.h"

struct line {
    const char *event;
    const char *said;
};

struct kept_record {
    struct slice key;
    struct slice value; /* ptr NULL: tombstone */
};

struct world {
    struct group_limits limits;
    struct group *g;
    i64 now_ms;
    i64 wall_ms;
    struct group_out out;
    struct arena arena;
    struct kept_record *records;
    u32 record_count;
    u32 record_cap;
    enum group_state before;
    struct rng *rng; /* NULL, or: now and then a step is tried with too little room first */
    u32 refused;     /* times that it was too little */
    size_t room;     /* not 0: as much room has a step, and it may fail */
    bool no_room;    /* the last one did */
    char said[1 << 14];
};

void world_init(struct world *w);
void world_fini(struct world *w);
/* Runs an event at w->now_ms; its records are kept. */
err_t world_step(struct world *w, struct group_event *ev);
/* A group made of the records so far. */
struct group *world_replayed(const struct world *w);
void world_restart(struct world *w);
const char *world_run(struct world *w, const char *event); /* what is said */
void script_run(const struct line *lines, u32 count);
void script_run_with(struct world *w, const struct line *lines, u32 count);
/* Both look the same, as far as records tell. */
void assert_same_group(const struct group *a, const struct group *b);

/* A test of one script. */
#define SCRIPT(name, ...)                               \
    static void name(void **state)                      \
    {                                                   \
        (void)state;                                    \
        static const struct line lines[] = __VA_ARGS__; \
        script_run(lines, ARRAY_LEN(lines));            \
    }

/* One member: a, stable in generation 1. */
#define STABLE_ONE                                                                              \
    {"join 1 f=a p=range:A", "1:MEMBER_ID_REQUIRED me=a; +G g0 / lead="},                       \
        {"join 2 m=a p=range:A", "| PreparingRebalance"},                                       \
        {"time 3000", "2:NONE g1 range me=a lead=a [a=A]; | CompletingRebalance"},              \
    {                                                                                           \
        "sync 3 m=a g=1 a=a:1", "3:NONE range '1'; +G g1 consumer/range lead=a a=A/1; | Stable" \
    }

/* Two: a leads, b follows. Both know round robin too. */
#define STABLE_TWO                                                                           \
    {"join 1 f=a p=range:A,rr:a v=3", "+G g0 / lead=; | PreparingRebalance"},                \
        {"join 2 f=b p=range:B,rr:b v=3", ""}, {"time 3000", ""},                            \
        {"time 3000", "1:NONE g1 range me=a lead=a [a=A b=B]; 2:NONE g1 range me=b lead=a; " \
                      "| CompletingRebalance"},                                              \
        {"sync 3 m=b g=1", ""},                                                              \
    {                                                                                        \
        "sync 4 m=a g=1 a=a:1,b:2", "4:NONE range '1'; 3:NONE range '2'; "                   \
                                    "+G g1 consumer/range lead=a a=A/1 b=B/2; | Stable"      \
    }

/* Everything there is about a group, as text, to see that it is as before. From mem_alloc. */
char *group_dump(const struct group *g);
