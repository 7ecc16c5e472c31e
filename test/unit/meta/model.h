/* A second metadata state, as simple as can be: fixed arrays, searched from the front. And commands
   drawn from small sets of names, ids and keys, so that they meet each other often. What the tests
   of meta/ compare the real one with. */
#pragma once

#include "../unit.h"

#include "meta/meta.h"

enum {
    MODEL_NAMES = 24,
    MODEL_TOPICS = MODEL_NAMES,
    MODEL_PARTITIONS_MAX = 400, /* of a topic */
    MODEL_KEYS = 5,
    MODEL_VALUES = 4,
    MODEL_RESOURCES = 3,
    MODEL_SESSIONS_MAX = 4000,
    MODEL_SETS_MAX = 4,
    MODEL_PACKS_MAX = 8000,
    MODEL_INPUTS_MAX = 4,
    MODEL_STARTS_MAX = 6,
};

struct model_topic {
    bool there;
    struct uuid id;
    u32 name; /* index of model_name */
    bool internal;
    i16 replication_factor;
    u32 created_seals;
    u32 count;
    u32 ids[MODEL_PARTITIONS_MAX];
    u64 log_starts[MODEL_PARTITIONS_MAX];
    u32 values[MODEL_KEYS]; /* value + 1, 0: not set */
};
struct model_session {
    struct meta_session s;
    u64 next_wal_when_retired;
};
struct model_pack {
    bool there;
    u64 rank; /* the list is in order of it */
    struct meta_pack pack;
};
struct model {
    struct model_topic topics[MODEL_TOPICS];
    u32 resources[MODEL_RESOURCES][MODEL_KEYS];
    struct model_session sessions[MODEL_SESSIONS_MAX];
    u32 session_count;
    struct model_pack packs[MODEL_PACKS_MAX];
    u32 pack_count; /* ever */
    u64 next_pack;
    u32 next_partition_id;
    u64 next_producer_id;
    u64 next_wal;
    u32 seals;
};

struct slice model_name(u32 index);
struct slice model_resource_name(u32 index);
struct slice model_key(u32 index);
struct slice model_value(u32 index);
struct uuid model_id(u32 index); /* index 0 is the zero id */

void model_init(struct model *m);
/* What the outcome must be; the model moves on. */
i16 model_apply(struct model *m, const struct meta_command *c);
/* Fails the test where they differ, through every look-up there is. */
void model_compare(const struct model *m, const struct meta *meta);

/* A command, and what it points to. */
struct drawn {
    struct meta_command c;
    struct meta_config configs[MODEL_SETS_MAX];
    struct meta_log_start starts[MODEL_STARTS_MAX];
    u64 inputs[MODEL_INPUTS_MAX];
};
void draw_command(struct rng *rng, const struct model *m, struct drawn *out);
