/* The metadata state machine: topics, their partitions and configs, where partitions start, broker
   configs, sessions (WALs), producer-id blocks. Pure: commands in, state out; no io, no clock.
   cluster/metalog makes commands durable and applies them in order; a restart replays them (or
   loads a snapshot) into the same state. Reading is free for everybody on the loop.

   Command: checked and applied in one step, by meta_apply. An invalid command changes nothing and
   says why (the author sees it). Commands and snapshots as bytes:
   docs/internals/formats-metadata.md.

   A meta_topic stays where it is, with its name, until its topic is deleted; its configs and ranges
   are replaced by the commands that change them. */
#pragma once

#include "wire/wire.h"

struct meta;

struct meta_config {
    struct slice key;
    struct slice value;
};
/* A run of partition ids. Ids are u32, from a counter in the state, never reused. */
struct meta_range {
    u32 first_id;
    u32 count;
};
struct meta_topic {
    struct uuid id;
    struct slice name;
    bool internal;
    i16 replication_factor; /* as asked for (RF fiction) */
    u32 partition_count;
    u32 range_count;
    struct meta_range *ranges;
    u32 config_count;
    struct meta_config *configs; /* sorted by key */
    u32 created_seals;           /* seals applied before it was made: gives the leader epoch */
    u32 index;                   /* in name order, see meta_topic_at */
};
struct meta_session {
    u64 wal;
    u64 nonce;
    i32 node;
    bool sealed;
    bool retired; /* sealed and without unfiled data: its files go, what a crash leaves of them at
                     the next start, and then it is forgotten */
    u64 length;   /* slots, when sealed */
    u64 trim;     /* slots below it have been filed into packs */
};
/* A pack, see home/pack.h. */
struct meta_pack {
    u64 id;
    u64 bytes; /* of the file; 0: none */
};

MUST_USE struct meta *meta_create(void);
void meta_destroy(struct meta *m);

u32 meta_topic_count(const struct meta *m);
u32 meta_partition_total(const struct meta *m);
const struct meta_topic *meta_topic_by_name(const struct meta *m, struct slice name);
const struct meta_topic *meta_topic_by_id(const struct meta *m, struct uuid id);
/* Topics in order of their names, 0 .. count-1. meta_topic_lower_bound: index of the first name >=
 * name. */
const struct meta_topic *meta_topic_at(const struct meta *m, u32 index);
u32 meta_topic_lower_bound(const struct meta *m, struct slice name);
u32 meta_partition_id(const struct meta_topic *t, u32 partition_index);
/* Which topic and index a partition id belongs to; false: none (deleted). */
bool meta_partition_owner(const struct meta *m, u32 partition_id, const struct meta_topic **topic,
                          u32 *partition_index);
/* The first offset that readers may see; 0: nothing was ever deleted, or no such partition. */
u64 meta_log_start(const struct meta *m, u32 partition_id);
struct meta_log_start {
    u32 partition_id;
    u64 offset;
};
/* The next partition above s->partition_id whose start is not 0, into *s; false: none. Begin with a
   zeroed one. */
bool meta_log_start_next(const struct meta *m, struct meta_log_start *s);
/* 0 for a topic made in this session; one more for every restart since. */
i32 meta_leader_epoch(const struct meta *m, const struct meta_topic *t);

/* Dynamic configs of a resource: type 4 = broker (name "" = cluster default, "1" = that broker),
 * 32 = group; topics keep their own. */
u32 meta_configs(const struct meta *m, i8 resource_type, struct slice name,
                 const struct meta_config **configs);
/* The groups that have configs, in order of name. At most META_GROUP_CONFIGS_MAX. */
u32 meta_group_config_count(const struct meta *m);
struct slice meta_group_config_at(const struct meta *m, u32 index);

u32 meta_session_count(const struct meta *m);
const struct meta_session *meta_session_at(const struct meta *m, u32 index); /* by wal id */
u64 meta_next_wal(const struct meta *m);

/* In the order in which the offsets of a partition ascend. */
const struct meta_pack *meta_packs(const struct meta *m, u32 *count);
u64 meta_next_pack(const struct meta *m); /* above all ids that were ever in the list */

/* A topic whose name collides with `name` when '.' and '_' are the same, or NULL. */
const struct meta_topic *meta_topic_collision(const struct meta *m, struct slice name);

enum meta_command_kind {
    META_REGISTER = 1,
    META_SEAL_WAL = 2,
    META_CREATE_TOPIC = 3,
    META_DELETE_TOPIC = 4,
    META_CREATE_PARTITIONS = 5,
    META_ALTER_CONFIGS = 6,
    META_ALLOC_PRODUCER_IDS = 7,
    META_SET_LOG_STARTS = 8,
    META_FILE_WAL = 9,
    META_REPLACE_PACKS = 10,
};
struct meta_command {
    enum meta_command_kind kind;
    union {
        struct {
            i32 node;
            u64 wal; /* must be meta_next_wal */
            u64 nonce;
        } reg;
        struct {
            u64 wal;
            u64 length;
        } seal;
        struct {
            struct uuid id;
            struct slice name;
            bool internal;
            i16 replication_factor;
            u32 partition_count;
            const struct meta_config *configs;
            u32 config_count;
        } create_topic;
        struct {
            struct uuid id;
        } delete_topic;
        struct {
            struct uuid id;
            u32 partition_count; /* new total */
        } create_partitions;
        struct {
            i8 resource_type; /* 2 topic, 4 broker, 32 group */
            struct slice name;
            const struct meta_config *sets; /* value.ptr NULL = remove the key */
            u32 set_count;
        } alter_configs;
        struct {
            u32 count;
        } alloc_producer_ids;
        struct {
            const struct meta_log_start *starts;
            u32 count;
        } set_log_starts;
        struct {
            u64 wal;
            u64 from; /* its trim */
            u64 to;
            struct meta_pack pack; /* has slots [from, to); none: there was nothing in them */
        } file_wal;
        struct {
            const u64 *inputs; /* ids, neighbours in the list */
            u32 input_count;
            struct meta_pack output; /* takes their place; none: nothing in them lived */
        } replace_packs;
    };
};
struct meta_outcome {
    i16 kerr;                       /* KERR_NONE or why it was refused */
    u64 first_producer_id;          /* META_ALLOC_PRODUCER_IDS */
    const struct meta_topic *topic; /* create or change of a topic */
    struct meta_range
        deleted_ranges[16]; /* META_DELETE_TOPIC: ids that are gone (the first 16 runs of them) */
    u32 deleted_range_count;
};

size_t meta_command_size(const struct meta_command *c);
void meta_command_encode(const struct meta_command *c, struct writer *w);
/* Slices of *out point into in; arrays come from the arena. ERR_TRUNCATED, ERR_INVALID,
   ERR_NO_MEMORY (the arena is full), ERR_VERSION (a kind or version of a newer Odradek). */
MUST_USE err_t meta_command_decode(struct reader *in, struct arena *arena,
                                   struct meta_command *out);

/* Would it be accepted now? KERR_NONE or the reason. */
i16 meta_check(const struct meta *m, const struct meta_command *c);
void meta_apply(struct meta *m, const struct meta_command *c, struct meta_outcome *out);

/* The whole state as bytes, and back. Equal states give equal bytes. */
size_t meta_snapshot_size(const struct meta *m);
void meta_snapshot_write(const struct meta *m, struct writer *w);
/* m is empty, and stays so on failure: ERR_CORRUPT, ERR_VERSION (written by a newer Odradek). */
MUST_USE err_t meta_snapshot_load(struct meta *m, struct slice bytes);
