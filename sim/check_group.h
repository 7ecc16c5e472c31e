/* The ledger of one consumer group, and the promises it is held against (check_group.c): what
   members and the admin were told about generations, owners and committed offsets.

   Members commit in order: where a partition's new owner begins is what OffsetFetch says, so what
   was acknowledged is a floor for whatever is said later. Every commit carries its number as
   metadata: whatever OffsetFetch says is known by the request it came from. Only a request that was
   never answered may come after a later one of the same member, over another connection: Kafka
   promises nothing else.

   A group may be deleted. From the question until its answer, and a while after an answer that
   never came, nothing is sure (ledger_group_doubt). */
#pragma once

#include "sim/check.h"

enum {
    GROUP_PARTITIONS_MAX = 24,
    GROUP_WHO_BYTES = 80, /* an owner: an instance id or a member id */
    GROUP_METADATA_BYTES = 16,
};

/* So long after a lost answer the request may still take effect. */
#define GROUP_DOUBT_NS (2 * SIM_S)

enum commit_outcome { COMMIT_SENT, COMMIT_ACKED, COMMIT_REFUSED, COMMIT_LOST };

/* One partition of one OffsetCommit. */
struct ledger_commit {
    u32 partition; /* of the group */
    u32 epoch;     /* of the partition when it was sent */
    u32 life;      /* of the broker when it was sent */
    u64 sent_ns;
    u64 over_ns; /* when its outcome was told */
    i64 offset;
    i32 generation;
    bool stale; /* it comes from a generation that is over: it may not take effect */
    enum commit_outcome outcome;
};

struct ledger_group_partition {
    struct ledger_partition *at;
    u32 epoch;        /* counts deletions of its offset */
    i64 floor;        /* of the committed offset; -1: none */
    u32 floor_commit; /* the commit that made it */
    u8 *processed;
    u64 processed_cap;
    u64 processed_below; /* all records below were processed */
};

struct ledger_generation {
    i32 number;
    char owners[GROUP_PARTITIONS_MAX][GROUP_WHO_BYTES]; /* "": not told */
};

struct ledger_group {
    struct world *world;
    char name[24];
    u32 partition_count;
    struct ledger_group_partition partitions[GROUP_PARTITIONS_MAX];
    u32 life;        /* of the broker */
    u32 incarnation; /* counts deletions */
    u64 doubt_until_ns;
    i32 delivered; /* the newest generation of which anybody has its assignment: durable */
    i32 joined;    /* the newest one that anybody was told in this life of the broker */
    struct ledger_generation *generations;
    u32 generation_count;
    struct ledger_commit *commits;
    u32 commit_count;
    u32 commit_cap;
    u64 acked_commits;
    u64 refused_commits;
    u64 stale_commits;
};

/* What was known when a question was sent. */
struct ledger_question {
    u32 incarnation;
    u32 life;
    i32 delivered;
};

void ledger_group_init(struct ledger_group *g, struct world *w, const char *name);
void ledger_group_fini(struct ledger_group *g);
void ledger_group_add(struct ledger_group *g, struct ledger_topic *t);
/* -1: not one of the group's. */
i32 ledger_group_find(const struct ledger_group *g, const struct ledger_topic *t, i32 partition);
void ledger_group_broker_began(struct ledger_group *g);
struct ledger_question ledger_group_ask(const struct ledger_group *g);

/* A JoinGroup, a SyncGroup was answered. who: the member's instance id, or its member id. */
void ledger_group_joined(struct ledger_group *g, const struct ledger_question *asked,
                         i32 generation, const char *who);
void ledger_group_assigned(struct ledger_group *g, const struct ledger_question *asked,
                           i32 generation, const char *who, const u32 *partitions, u32 count);

/* evicted: the member's session is over for sure. Returns the commit's number; metadata: what it
   must carry. */
u32 ledger_group_commit(struct ledger_group *g, u32 partition, i64 offset, i32 generation,
                        bool evicted, char metadata[GROUP_METADATA_BYTES]);
void ledger_group_committed(struct ledger_group *g, u32 number, enum commit_outcome outcome);
/* OffsetFetch said so. floor, epoch: the partition's when the question was sent. */
void ledger_group_told(struct ledger_group *g, u32 partition, i64 floor, u32 epoch, i64 offset,
                       struct slice metadata, const char *who);
/* A member has taken in the records from..to - 1. */
void ledger_group_processed(struct ledger_group *g, u32 partition, u64 from, u64 to);

/* Somebody asks for the group, or one of its offsets, to be deleted; and it is over: refused, or
   done, or nobody knows. partition -1: all. */
void ledger_group_doubt(struct ledger_group *g);
void ledger_group_doubt_over(struct ledger_group *g);
void ledger_group_deleted(struct ledger_group *g, i32 partition, bool sure);
bool ledger_group_in_doubt(const struct ledger_group *g);

/* Is everything that was acknowledged processed and committed? */
bool ledger_group_done(const struct ledger_group *g);
u64 ledger_group_progress(const struct ledger_group *g);
