/* What the files of a simulated member share: member.c has its life, accidents and steps,
   member_group.c what it asks the coordinator about its place in the group, member_offsets.c its
   offsets and records. */
#pragma once

#include "sim/crew.h"

enum member_state {
    MEMBER_AWAY, /* no process */
    MEMBER_FIND,
    MEMBER_JOIN,
    MEMBER_SYNC,
    MEMBER_OFFSETS,
    MEMBER_RUN,
    MEMBER_LEAVE,
};

enum { SHARES_MAX = 64, RETRY_NS = 20 * 1000 * 1000 };

struct position {
    u64 next;
    i64 committed;
    i64 floor; /* of the ledger when offsets were asked for */
    u32 epoch;
    u32 commit; /* under way: its number */
};

/* What the leader gives to a member. */
struct share {
    char id[GROUP_WHO_BYTES];
    u32 wants; /* sets of the crew's partitions */
    u32 gets;
};

struct member {
    struct crew *crew;
    struct workload *wl;
    struct world *world;
    u32 number;
    char instance[24]; /* "": dynamic */
    u32 wants;         /* a set of the crew's partitions */
    enum member_state state;
    bool quiet;
    bool doomed; /* crashed for good */
    bool asleep;
    bool woken;       /* commits first */
    bool rejoin;      /* once it has committed */
    bool never_again; /* the run's last part: says nothing */
    u64 asleep_since_ns;
    char id[GROUP_WHO_BYTES];
    i32 generation;
    char protocol[16];
    bool leads;
    u32 share_count;
    struct share shares[SHARES_MAX];
    u32 owned;
    u32 late; /* what it owned before, and has not committed for the last time */
    i32 late_generation;
    u32 round; /* counts assignments: answers to questions of an older one are late */
    struct position positions[GROUP_PARTITIONS_MAX];
    u64 good_ns;  /* the newest request that showed that it is a member was sent then */
    u64 since_ns; /* in this generation */
    struct client coord;
    struct call coord_call;
    bool coord_waiting;
    struct ledger_question asked;
    u32 committing; /* a set of partitions */
    struct client data;
    struct call data_call;
    bool data_waiting;
    u32 data_round;
    i16 fetch_version;
    struct world_event step;
    struct world_event fetch;
    struct world_event wake; /* from sleep, or a new process */
    struct arena arena;
};

/* member.c */
void member_step_soon(struct member *m, u64 about_ns);
void member_fetch_soon(struct member *m, u64 about_ns);
u64 member_session_ns(const struct member *m);
struct ledger_group *member_ledger(const struct member *m);
bool member_is_static(const struct member *m);
struct slice member_instance(const struct member *m);
/* The owner of partitions: who comes back under an instance id keeps them. */
const char *member_owner_name(const struct member *m);
/* Any version that the member may speak; a static one from from_static on. */
i16 member_version(struct member *m, i16 low, i16 from_static, i16 high);
/* Of the coordinator. The arena is free again afterwards. */
void member_ask(struct member *m, i16 api, i16 v, const void *request,
                void (*done)(struct call *call, err_t result, struct slice body));
/* The answer decoded; false: there is none. */
bool member_answered(struct member *m, err_t result, struct slice body, void *out);
void member_enter(struct member *m, enum member_state state);
/* What a member does about an error of the group's. */
void member_refused(struct member *m, i16 kerr);
void member_crash(struct member *m, u64 away_ns);

/* member_group.c */
void member_ask_find(struct member *m);
void member_ask_join(struct member *m);
void member_ask_sync(struct member *m);
void member_ask_heartbeat(struct member *m);
void member_ask_leave(struct member *m);

/* member_offsets.c */
void member_ask_offsets(struct member *m);
bool member_has_to_commit(const struct member *m);
void member_ask_commit(struct member *m, u32 owned, i32 generation, bool again);
void member_fetch_run(struct world_event *e);
