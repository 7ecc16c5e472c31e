/* A classic consumer group (KIP-62, 345, 394, 800, 814) with its committed offsets, as a pure state
   machine: no clock, no file, no socket, no randomness but what the event brings. The broker's
   coordinator (broker/coordinator.c) owns the groups, makes events of requests and timers, and does
   what a step says:

     group_step(g, &event, &out, arena)
       out.records   to be appended to the group's partition of __consumer_offsets, in order
       out.replies   to be sent when everything appended for this group so far is durable (at
                     once when nothing is in flight)
       out.deadline  when the group wants a GROUP_TIMER event

   The caller has made sure that the append cannot be refused before it steps, so a step's effects
   need no undo. Slices of an event are valid during the call; everything in out lives in the arena
   (replies may be sent much later).

   Restart: group_replay with every record of the group, in log order, then group_loaded(now):
   members get a fresh session, their timers start.

   Times are milliseconds of a monotonic clock (now_ms), except wall_ms, which stamps commits and
   drives offset expiry. */
#pragma once

#include "wire/wire.h"

struct group;

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
    GROUP_DEAD
};
/* "Empty", "PreparingRebalance", ..., as Kafka prints them. */
const char *group_state_name(enum group_state s);

enum group_canary { /* simulator only */
                    GROUP_CANARY_OLD_GENERATION = 1,
                    GROUP_CANARY_FORGET_OFFSETS = 2,
                    GROUP_CANARY_ANSWER_EARLY = 4, /* broker/coordinator.c */
                    GROUP_CANARY_KEEP_MEMBERS = 8,
};

struct group_limits {
    i32 session_timeout_min_ms; /* group.min.session.timeout.ms */
    i32 session_timeout_max_ms; /* group.max.session.timeout.ms */
    i32 initial_rebalance_delay_ms;
    u32 size_max;             /* group.max.size */
    u32 metadata_units_max;   /* offset.metadata.max.bytes, UTF-16 code units */
    i64 offsets_retention_ms; /* offsets.retention.minutes */
    u32 canaries;             /* enum group_canary */
};

/* id is copied. limits must outlive the group. */
MUST_USE struct group *group_create(struct slice id, const struct group_limits *limits);
void group_destroy(struct group *g);

/* ---- events -------------------------------------------------------------------------------- */

enum group_event_kind {
    GROUP_JOIN,
    GROUP_SYNC,
    GROUP_HEARTBEAT,
    GROUP_LEAVE,
    GROUP_COMMIT,
    GROUP_DELETE_OFFSETS,
    GROUP_DELETE,
    GROUP_TOPIC_DELETED, /* its offsets go */
    GROUP_CLIENT_GONE,   /* the connection behind a parked ticket closed: forget the ticket */
    GROUP_TIMER,
};

struct group_protocol {
    struct slice name;
    struct slice metadata; /* opaque */
};
struct group_assignment {
    struct slice member_id;
    struct slice assignment;
};
struct group_leaver {
    struct slice member_id;   /* empty: by instance only (admin) */
    struct slice instance_id; /* ptr NULL: none */
};
struct group_offset {
    struct slice topic;
    struct uuid topic_id; /* of the topic when it was committed */
    i32 partition;
    i64 offset;
    i32 leader_epoch;      /* -1: none */
    struct slice metadata; /* empty, never null */
    i64 commit_wall_ms;
    i64 expire_wall_ms; /* of a commit with its own retention (versions 2-4); 0: as all others */
    i16 kerr;           /* in: not NONE = refused already, the group skips it; out: per partition */
};

/* What a member cannot know of the outside: the broker has checked topics and partitions. A ticket
   is answered exactly once, by this step or a later one, unless GROUP_CLIENT_GONE takes it back. */
struct group_event {
    enum group_event_kind kind;
    i64 now_ms;
    i64 wall_ms;
    u64 ticket;  /* of the request; comes back in the reply. 0: nobody waits */
    i16 version; /* of the request's API */
    struct slice member_id;
    struct slice instance_id; /* ptr NULL: none */
    i32 generation;
    union {
        struct {
            struct slice fresh_member_id; /* to be used if one is needed: client id, '-', uuid */
            struct slice client_id;
            struct slice client_host; /* "/127.0.0.1" */
            struct slice protocol_type;
            const struct group_protocol *protocols;
            u32 protocol_count;
            i32 session_timeout_ms;
            i32 rebalance_timeout_ms; /* v0: = session timeout */
        } join;
        struct {
            struct slice protocol_type; /* ptr NULL below v5 */
            struct slice protocol_name;
            const struct group_assignment *assignments;
            u32 assignment_count;
        } sync;
        struct {
            const struct group_leaver *leavers;
            u32 leaver_count;
        } leave;
        struct {
            struct group_offset *offsets; /* kerr is filled in */
            u32 offset_count;
        } commit; /* DELETE_OFFSETS too: topic and partition count */
        struct {
            struct slice topic;
            struct uuid topic_id;
        } topic_deleted;
    };
};

/* ---- what a step says ---------------------------------------------------------------------- */

struct group_record {
    struct slice key;   /* as in wire/schema/group_records.def, behind its int16 */
    struct slice value; /* likewise; ptr NULL: tombstone */
};
struct group_reply_member {
    struct slice member_id;
    struct slice instance_id;
    struct slice metadata; /* of the chosen protocol */
};
struct group_reply {
    u64 ticket;
    enum group_event_kind kind;
    i16 kerr;
    i32 generation;
    struct slice protocol_type; /* ptr NULL: none */
    struct slice protocol_name; /* ptr NULL: none */
    struct slice member_id;
    struct slice leader_id;
    bool skip_assignment;
    const struct group_reply_member *members; /* of a join's leader; of a leave: with kerr_of */
    u32 member_count;
    const i16 *member_kerrs; /* of a leave, one per leaver, in order */
    struct slice assignment; /* of a sync */
};
struct group_out {
    struct group_record *records;
    u32 record_count;
    struct group_reply *replies;
    u32 reply_count;
    i64 deadline_ms; /* INT64_MAX: none */
    bool dead; /* nothing is left of it: the owner may destroy it after the records are durable */
};

/* ERR_NO_MEMORY: the arena was full; nothing has changed. */
MUST_USE err_t group_step(struct group *g, const struct group_event *ev, struct group_out *out,
                          struct arena *arena);

/* At most so many bytes of records (keys, values, what a batch adds) come out of that step: to be
   asked for before it, when the log may be short of room. Events that only ask take nothing worth
   mentioning. */
u64 group_step_bytes(const struct group *g, const struct group_event *ev);

/* ---- restart ------------------------------------------------------------------------------- */

/* Which group a record belongs to; false: not a group's record we know (skip it). */
bool group_record_owner(struct slice key, struct slice *group_id);
/* value.ptr NULL: tombstone. ERR_INVALID: the record makes no sense, nothing has changed. Session
   timers start with the group_loaded that follows. */
MUST_USE err_t group_replay(struct group *g, struct slice key, struct slice value,
                            i64 record_wall_ms);
void group_loaded(struct group *g, i64 now_ms, i64 wall_ms, struct group_out *out);
/* No members, no pending ids, no offsets, no record, and no commit since the last restart: not
   worth keeping. */
bool group_is_void(const struct group *g);

/* ---- looking ------------------------------------------------------------------------------- */

struct slice group_id(const struct group *g);
enum group_state group_state_of(const struct group *g);
i32 group_generation(const struct group *g);
struct slice group_protocol_type(const struct group *g); /* "" of a simple group */
struct slice group_protocol_name(const struct group *g); /* "" when not stable */
struct group_member_view {
    struct slice member_id;
    struct slice instance_id; /* ptr NULL: none */
    struct slice client_id;
    struct slice client_host;
    struct slice metadata;   /* of the chosen protocol, empty when there is none */
    struct slice assignment; /* the last one, also while a new one is made */
};
u32 group_member_count(const struct group *g);
void group_member_at(const struct group *g, u32 index, struct group_member_view *out);
/* NULL: nothing committed. topic_id zero: not compared; otherwise an offset of another topic of
   that name does not show. */
const struct group_offset *group_offset_find(const struct group *g, struct slice topic,
                                             struct uuid topic_id, i32 partition);
/* All, in order of topic and partition. */
u32 group_offset_count(const struct group *g);
const struct group_offset *group_offset_at(const struct group *g, u32 index);
/* Is there a member that subscribes to the topic (consumer protocol), so that its offsets may not
   be deleted? Members whose metadata cannot be read count as subscribing. */
bool group_subscribes(const struct group *g, struct slice topic);
u64 group_bytes(const struct group *g); /* memory it holds, for metrics and the budget */
