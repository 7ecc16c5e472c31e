/* What CreateTopics, Metadata (automatic creation), DeleteTopics and the describing APIs share
   about topics. */
#pragma once

#include "broker/request.h"

#define TOPIC_NAME_BYTES_MAX     249
#define PARTITIONS_PER_TOPIC_MAX 100000u /* a topic of a million partitions is a typo */

/* 1-249 of [a-zA-Z0-9._-], not "." or "..": NULL when fine, else one sentence. */
const char *topic_name_problem(struct slice name);

/* The sentence about a topic that is not there, and which one was probably meant when one is named
   nearly the same; NULL for a sentence that is NULL when none is. named: topics in the request; of
   many nobody is looked for. */
const char *topic_unknown(struct request *r, struct slice name, const char *sentence, u32 named);

/* One topic to be made, as far as it is checked. */
struct topic_draft {
    struct slice name;
    u32 partition_count;
    u32 planned; /* partitions that the same request makes besides */
    i16 replication_factor;
    const struct meta_config *configs;
    u32 config_count;
    i16 kerr;
    const char *message; /* NULL, or one sentence (arena or static) */
};
/* Name free, not clashing modulo '.' and '_', not too many partitions; sets kerr and message. */
void topic_draft_check(struct request *r, struct topic_draft *d);

/* Bits of the operations a client may do (KIP-430): all there are for the kind of resource, since
   nobody is refused anything without an authorizer. */
enum {
    AUTHORIZED_ON_TOPIC =
        3576, /* read write create delete alter describe, (describe, alter)_configs */
    AUTHORIZED_ON_CLUSTER =
        8096, /* create alter describe cluster_action, both _configs, idempotent_write */
    AUTHORIZED_ON_GROUP = 3400, /* read delete describe, both _configs */
};

/* May a topic have `total` partitions, `added` of them new, when `planned` more are about to be
   made? NULL, or one sentence in the arena. A partition takes memory from its first use on, so the
   budget limits how many there are. */
const char *partitions_problem(struct request *r, u32 total, u32 added, u32 planned);

/* The one replica there is, for every partition: {1}. */
struct i32_array topic_replicas(void);
