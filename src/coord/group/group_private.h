/* The inside of a group, shared by the files of this folder:

     group.c          life, looking, the step: events and timers
     group_join.c     JoinGroup, the join phase of a rebalance, static members
     group_sync.c     SyncGroup, Heartbeat, LeaveGroup, sessions that end
     group_offsets.c  committed offsets: kept, committed, deleted, expired
     group_records.c  records written and replayed
     group_members.c  members and pending ids in memory; subscriptions
     group_step.c     what a step says, and how it is taken back

   A step may run out of arena in the middle. What it says is built in the arena; what it changes is
   written down first (the group, its members, the blocks it made and let go), so that it can be
   taken back. Offsets are changed only when everything has been said. */
#pragma once

#include "coord/group/group.h"

#include <string.h>

enum {
    NEW_MEMBER_JOIN_MS =
        5 * 60 * 1000,                 /* a new member that waits in a join for longer is dropped */
    EXPIRY_CHECK_MS = 10 * 60 * 1000,  /* an empty group without offsets goes after this */
    EXPIRY_EARLIEST_MS = 1000,         /* from one look at the offsets to the next */
    EXPIRY_LATEST_MS = 60 * 60 * 1000, /* ... */
    PROTOCOLS_MAX = 64,                /* of a member */
    SUBSCRIBED_MAX = 1 << 17,          /* topics of all members; more count as any topic */
    PENDING_MAX = 16384,               /* member ids given out and not used yet */
    TEXT_BYTES_MAX = INT16_MAX,        /* of an id: what a record can carry */
    MEMBERS_BYTES_MAX = 12 << 20,      /* ids and metadata of all members of a group */
    ASSIGNMENTS_BYTES_MAX = 12 << 20,  /* of all members of a group */
    STEP_RECORD_BYTES_MAX = 24 << 20,  /* of all records of a step: they are one batch */
    MEMBER_ID_FROM = 4,                /* JoinGroup: the client is told its id first (KIP-394) */
    SKIP_ASSIGNMENT_FROM = 9,          /* JoinGroup (KIP-814) */
};

static_assert(MEMBERS_BYTES_MAX + ASSIGNMENTS_BYTES_MAX <= STEP_RECORD_BYTES_MAX,
              "a group's record fits into a step");

/* One allocation that belongs to a group. */
struct block {
    size_t size;
    u8 bytes[];
};

struct member {
    struct block *identity; /* the four slices point into it */
    struct slice id;
    struct slice instance_id; /* ptr NULL: a dynamic member */
    struct slice client_id;
    struct slice client_host;
    struct block *supported;                /* protocols and what they point to */
    const struct group_protocol *protocols; /* in order of preference, no name twice */
    u32 protocol_count;
    u32 id_hash;
    struct block *assignment; /* NULL: empty */
    i32 session_timeout_ms;
    i32 rebalance_timeout_ms;
    i64 session_deadline_ms; /* INT64_MAX: lapsed while it waited; set again when it is answered */
    u64 join_ticket;         /* 0: nobody waits (any more) */
    u64 sync_ticket;
    bool awaiting_join; /* has joined this rebalance and is not answered yet */
    bool awaiting_sync;
    bool pending_sync; /* has been answered its join and has not asked for its assignment yet */
    bool is_new;       /* in its first join: a session does not keep it alive */
    bool id_untold;    /* its client does not know the id, and could not find it again */
};

/* A member id given out with MEMBER_ID_REQUIRED. */
struct pending {
    struct block *id;
    i64 deadline_ms;
};

/* An offset in one allocation with its metadata; the topic's name is shared with its neighbours. */
struct stored_offset {
    struct group_offset view;
    struct topic_name *name;
    u32 metadata_cap;
    u8 metadata[];
};
struct topic_name {
    u32 refs;
    u32 size;
    u8 bytes[];
};

struct group {
    const struct group_limits *limits;
    struct slice id;
    enum group_state state;
    i32 generation;
    i64 state_wall_ms; /* since when it is in this state; -1: not known */
    bool has_record;   /* a GroupMetadata record of it stands in the log */
    bool committed;    /* since the last restart: it goes by deletion or expiry only */
    bool initial;      /* this rebalance began in Empty */
    bool new_member_added;
    struct block *protocol_type; /* NULL: none */
    struct block *protocol_name; /* NULL: none */
    i32 leader;                  /* index, -1: none */

    struct member *members;
    u32 member_count;
    u32 member_cap;
    u64 members_bytes; /* of identity and supported */
    struct pending *pendings;
    u32 pending_count;
    u32 pending_cap;

    i64 join_deadline_ms; /* the end of the join phase, or of a part of the initial delay */
    i64 initial_delay_ms; /* the part under way */
    i64 initial_remaining_ms;
    i64 sync_deadline_ms;
    i64 expiry_due_ms; /* when to look for expired offsets */

    struct stored_offset **offsets; /* by topic and partition */
    u32 offset_count;
    u32 offset_cap;
    u64 bytes; /* of all allocations */
};

enum { ALLOCATION_OVERHEAD = 16 };

static inline u64 array_bytes(u32 cap, size_t element_bytes)
{
    return cap == 0 ? 0 : cap * element_bytes + ALLOCATION_OVERHEAD;
}

static inline struct slice block_slice(const struct block *b)
{
    return b == NULL ? (struct slice){0} : slice_of(b->bytes, b->size);
}
static inline struct slice or_empty(struct slice s)
{
    return s.ptr == NULL ? WIRE_EMPTY : s;
}

/* ---- group_step.c -------------------------------------------------------------------------- */

struct step {
    struct group *g;
    const struct group_event *ev;
    i64 now_ms;
    i64 wall_ms;
    struct group_out *out;
    struct arena *arena;
    bool exhausted; /* the arena was full: the step is to be taken back */
    u32 record_cap;
    u32 reply_cap;
    u64 record_bytes;
    struct group_reply nobody; /* where replies go that nobody waits for */
    bool journaled;
    struct group before;
    struct member *members_before;
    struct pending *pendings_before;
    struct block **made;
    u32 made_count;
    u32 made_cap;
    struct block **released;
    u32 released_count;
    u32 released_cap;
};

void step_begin(struct step *s, bool journaled);
/* Keeps what was changed, or takes it back when the arena was full. */
MUST_USE err_t step_end(struct step *s);

/* Blocks of the group. A journaled step lets them go at its end. */
MUST_USE struct block *block_make(struct step *s, size_t size);
MUST_USE struct block *block_copy(struct step *s, struct slice bytes);
void block_release(struct step *s, struct block *b); /* NULL is allowed */

/* Never NULL: a reply that cannot be sent or that nobody waits for goes nowhere. */
struct group_reply *reply_add(struct step *s, enum group_event_kind kind, u64 ticket, i16 kerr);
/* To the event. */
struct group_reply *reply(struct step *s, i16 kerr);
/* A copy that lives as long as the reply; null stays null. */
struct slice say(struct step *s, struct slice text);
/* The key is type and message; value NULL: a tombstone. */
void record_add(struct step *s, const struct message_def *key_def, const void *key,
                const struct message_def *value_def, i16 version, const void *value);

/* ---- group_members.c ----------------------------------------------------------------------------
 */

/* -1: none. */
i32 member_find(const struct group *g, struct slice id);
i32 member_by_instance(const struct group *g, struct slice instance_id);
/* NONE, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID. */
i16 member_check(const struct group *g, struct slice id, struct slice instance_id);
struct member *member_add(struct step *s, struct slice id, struct slice instance_id,
                          struct slice client_id, struct slice client_host);
void member_rename(struct step *s, struct member *m, struct slice id, struct slice client_id,
                   struct slice client_host);
void member_set_protocols(struct step *s, struct member *m, const struct group_protocol *protocols,
                          u32 count);
bool member_has_protocols(const struct member *m, const struct group_protocol *protocols,
                          u32 count);
void member_set_assignment(struct step *s, struct member *m, struct slice bytes);
/* Bytes a member of such an event adds to members_bytes. */
u64 member_bytes_of(const struct group_event *ev, struct slice id);
void member_remove(struct step *s, u32 index);
void members_clear(struct step *s);
void member_session_restart(const struct step *s, struct member *m);
/* Of the chosen protocol; empty if the member, joining anew, does not have it any more. */
struct slice member_metadata(const struct group *g, const struct member *m);
i32 pending_find(const struct group *g, struct slice id);
void pending_add(struct step *s, struct slice id, i64 deadline_ms);
void pending_remove(struct step *s, u32 index);
void group_set_text(struct step *s, struct block **place, struct slice text);
bool group_supports(const struct group *g, struct slice type,
                    const struct group_protocol *protocols, u32 count);
/* The protocol that all members have and most prefer. */
struct slice group_vote(const struct group *g);
i32 group_rebalance_timeout(const struct group *g);
bool group_is_consumer(const struct group *g);

/* ---- group_join.c -------------------------------------------------------------------------- */

void group_join(struct step *s);
void group_prepare_rebalance(struct step *s);
void group_prepare_or_complete(struct step *s); /* what a change of members leads to */
void group_maybe_complete(struct step *s);
void group_complete_join(struct step *s);
void group_join_timeout(struct step *s);
bool group_all_joined(const struct group *g);
void group_set_state(struct step *s, enum group_state state);

/* ---- group_sync.c -------------------------------------------------------------------------- */

void group_sync(struct step *s);
void group_sync_fail_all(struct step *s,
                         i16 kerr); /* assignments are forgotten, who waits is told */
void group_sync_timeout(struct step *s);
void group_heartbeat(struct step *s);
void group_leave(struct step *s);
void group_session_timeout(struct step *s, u32 member);
void group_pending_timeout(struct step *s, u32 pending);
void group_client_gone(struct step *s);

/* ---- group_offsets.c ----------------------------------------------------------------------- */

void group_commit(struct step *s);
void group_delete_offsets(struct step *s);
void group_delete(struct step *s);
void group_topic_deleted(struct step *s);
void group_expire(struct step *s);
void group_expiry_schedule(struct group *g, i64 now_ms, i64 wall_ms);
void offset_store(struct group *g, const struct group_offset *offset);
void offset_remove(struct group *g, struct slice topic, i32 partition);
void offsets_clear(struct group *g);

/* ---- group_records.c ----------------------------------------------------------------------- */

void record_group(struct step *s);       /* its state, with members and assignments */
void record_empty_group(struct step *s); /* of a group that begins */
void record_group_gone(struct step *s);
void record_offset(struct step *s, const struct group_offset *offset);
void record_offset_gone(struct step *s, const struct group_offset *offset);

/* ---- subscriptions (group_members.c) ------------------------------------------------------- */

/* The topics of a consumer protocol subscription, any version: calls found() for each. False: not
   a subscription. */
bool subscription_topics(struct slice metadata, void (*found)(void *context, struct slice topic),
                         void *context);

/* What the members of a group subscribe to. It points into the members: to be used at once. */
struct subscriptions {
    struct slice *topics; /* sorted, perhaps more than once */
    u32 count;
    bool to_anything; /* a member's metadata cannot be read */
};
void subscriptions_init(struct subscriptions *all, const struct group *g);
void subscriptions_fini(struct subscriptions *all);
bool subscriptions_have(const struct subscriptions *all, struct slice topic);
