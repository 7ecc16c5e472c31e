/* A crew: a consumer group of simulated members (member.c) with its ledger (check_group.h), and the
   admin of groups (group_admin.c) that looks at crews and keeps groups of its own.

   Members are clients like any other: they find the coordinator, join, hand out partitions when
   they lead, read, commit, leave, crash without a word, or sleep through their session and go on as
   if nothing had happened. */
#pragma once

#include "sim/check_group.h"
#include "sim/workload.h"

struct member;

enum {
    CREW_MEMBERS_MAX = 4,
    GHOSTS_MAX = 64,
};

/* What is left behind in the group by a member that crashed. */
struct ghost {
    char id[GROUP_WHO_BYTES];
    u64 since_ns;
};

struct crew {
    struct workload *wl;
    struct world *world;
    struct ledger_group ledger;
    u32 number;
    bool planned; /* its topics are known */
    u32 member_count;
    struct member *members[CREW_MEMBERS_MAX];
    u32 session_timeout_ms;
    u32 rebalance_timeout_ms;
    struct ghost ghosts[GHOSTS_MAX]; /* a ring */
    u32 ghost_count;
    bool seen_stable; /* since it was quiet: all there, nobody else, every partition owned */
    u64 evictions;    /* members that found their place lost */
    u64 naps;         /* members that slept through their session */
    u64 crashes;
};

struct crew *crew_create(struct workload *wl, u32 number);
void crew_destroy(struct crew *c);
void crew_broker_began(struct crew *c);
void crew_quiet(struct crew *c);
/* Nobody says anything any more. */
void crew_stop(struct crew *c);
bool crew_settled(const struct crew *c);
u64 crew_progress(const struct crew *c);
/* After so long nothing is left in the group of a member that is silent since then. */
bool crew_surely_over(const struct crew *c, u64 since_ns, u64 now_ns);
/* The set of the crew's partitions that a member wants; 0: the topics are not there yet. */
u32 crew_wants(struct crew *c, u32 member);
/* The set of the crew's partitions in an assignment. */
u32 crew_assignment_read(struct crew *c, struct arena *arena, struct slice bytes);
void crew_ghost_add(struct crew *c, const char *member_id);

struct member *member_create(struct crew *crew, u32 number);
void member_destroy(struct member *m);
/* No more accidents; a doomed one crashes for good. */
void member_quiet(struct member *m, bool doomed);
void member_stop(struct member *m);
bool member_is_there(const struct member *m); /* not crashed for good */
/* With what it was given: a set of the crew's partitions. */
bool member_is_running(const struct member *m, i32 *generation, u32 *partitions);
const char *member_id(const struct member *m);
/* A member since `since_ns` or earlier that cannot have lost its place before `until_ns`. */
bool member_surely_there(const struct member *m, u64 since_ns, u64 until_ns);

/* OffsetFetch of any version; arrays live in the arena. */
void offsets_request_fill(struct arena *arena, struct offset_fetch_request *r, i16 version,
                          const char *group, struct ledger_partition *const *partitions, u32 count);
i16 offsets_response_error(const struct offset_fetch_response *r, i16 version);
void offsets_response_each(struct workload *wl, const struct offset_fetch_response *r,
                           void (*each)(void *user, const struct ledger_topic *t, i32 partition,
                                        i64 offset, struct slice metadata, i16 kerr),
                           void *user);

struct group_admin *group_admin_create(struct workload *wl);
void group_admin_destroy(struct group_admin *a);
void group_admin_broker_began(struct group_admin *a);
void group_admin_quiet(struct group_admin *a);
void group_admin_stop(struct group_admin *a);
/* Looks once more at every committed offset. */
void group_admin_verify(struct group_admin *a);
bool group_admin_verified(const struct group_admin *a);
