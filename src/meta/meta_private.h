/* What the state machine is made of, for the files of meta/ only.

   topics    pointers, sorted by name; maps by name, by id and by folded name beside it
   runs      partition ids back to their topics, sorted by first id; ids only grow, so a new run is
             always the last one
   starts    of the partitions that start above 0, sorted by partition id: a topic's are neighbours,
             run by run
   sessions  sorted by wal, since wal ids only grow
   resources dynamic configs of everything that is not a topic, sorted by (type, name)

   Everything is owned by the meta. A topic, once made, stays where it is until it is deleted. */
#pragma once

#include "meta/meta.h"

enum { META_RESOURCE_TOPIC = 2, META_RESOURCE_BROKER = 4, META_RESOURCE_GROUP = 32 };

/* What one resource may have; a command above it is refused. */
enum {
    META_NAME_BYTES_MAX = 249,
    META_GROUP_CONFIGS_MAX =
        10000, /* groups with configs: the state is in memory, and in every snapshot */
    META_CONFIGS_MAX = 512,
    META_CONFIG_KEY_BYTES_MAX = 255,
    META_CONFIG_VALUE_BYTES_MAX = 64 * 1024,
};

struct topic {
    struct meta_topic t;
    struct slice folded; /* the name with '_' for '.': names equal there collide */
    u8 names[];          /* name, then folded if it differs */
};
struct run {
    struct meta_range range;
    struct topic *topic;
    u32 first_index; /* of the partition with range.first_id */
};
struct session {
    struct meta_session s;
    u64 retired_at; /* next_wal when it retired; 0: it has not */
};
/* Keys, values and the array itself are one block of memory: items is its start. */
struct configs {
    struct meta_config *items; /* sorted by key */
    u32 count;
};
struct resource {
    i8 type;
    struct slice name;
    struct configs configs;
};
struct meta {
    struct map_slice by_name;
    struct map_slice by_id;
    struct map_slice by_folded;
    struct topic **topics;
    u32 topic_count;
    u32 topic_cap;
    struct run *runs;
    u32 run_count;
    u32 run_cap;
    struct meta_pack *packs;
    u32 pack_count;
    u32 pack_cap;
    u64 next_pack; /* from 1 */
    struct meta_log_start *log_starts;
    u32 log_start_count;
    u32 log_start_cap;
    struct session *sessions;
    u32 session_count;
    u32 session_cap;
    struct resource *resources;
    u32 resource_count;
    u32 partition_total;
    u32 next_partition_id; /* from 1: 0 is no partition */
    u32 seals;             /* SealWal commands applied, see meta_leader_epoch */
    u64 next_wal;          /* from 1: 0 is the metadata log */
    u64 next_producer_id;
};

/* meta.c */
void meta_clear(struct meta *m); /* to the state of meta_create */
struct topic *topic_create(struct slice name);
void topic_destroy(struct topic *t);
struct topic *topic_find(const struct meta *m, struct uuid id);
u32 run_find(const struct meta *m,
             u32 partition_id); /* index of the run that holds it, or run_count */
/* Where the start of that partition, or of a later one, is or would be. */
u32 log_start_lower_bound(const struct meta *m, u64 partition_id);
u32 session_find(const struct meta *m, u64 wal); /* index or session_count */
/* Where (type, name) is or would be. */
/* A broker (or, with the empty name, all of them) or a group. */
bool resource_name_fits(i8 type, struct slice name);
u32 resource_lower_bound(const struct meta *m, i8 type, struct slice name);
bool resource_is(const struct meta *m, u32 index, i8 type, struct slice name);

/* meta_apply.c: also for loading. */
void topic_insert(struct meta *m, struct topic *t, u32 at);
void run_push(struct meta *m, struct run run);
void log_starts_reserve(struct meta *m, u32 more);

/* meta_filing.c */
#define META_PACK_ID_MAX (1ull << 62) /* log/ has use for the top bits */
void packs_reserve(struct meta *m, u32 more);
bool session_is_filed(const struct session *s);
i16 check_file_wal(const struct meta *m, const struct meta_command *c);
void apply_file_wal(struct meta *m, const struct meta_command *c);
i16 check_replace_packs(const struct meta *m, const struct meta_command *c);
void apply_replace_packs(struct meta *m, const struct meta_command *c);
void session_push(struct meta *m, struct session s);
void resource_insert(struct meta *m, u32 at, i8 type, struct slice name);

/* meta_config.c */
/* `old` with the sets on top; a set whose value.ptr is NULL removes. Frees nothing of `old`. */
struct configs configs_merge(struct configs old, const struct meta_config *sets, u32 set_count);
/* KERR_NONE, or why these sets may not be applied to `old`. */
i16 configs_check(struct configs old, const struct meta_config *sets, u32 set_count,
                  bool may_remove);
void configs_destroy(struct configs *c);

/* meta_command.c: what commands and snapshots are written with. A string is u32 length and bytes; a
   value that is not there has length 2^32 - 1. */
void write_string(struct writer *w, struct slice s);
void write_configs(struct writer *w, const struct meta_config *configs, u32 count);
size_t configs_size(const struct meta_config *configs, u32 count);
struct uuid read_uuid(struct reader *r);
struct slice read_string(struct reader *r);
void write_pack(struct writer *w, struct meta_pack pack);
struct meta_pack read_pack(struct reader *r);
/* The array comes from the arena, slices point into the reader's bytes. */
MUST_USE err_t read_configs(struct reader *r, struct arena *arena,
                            const struct meta_config **configs, u32 *count);
