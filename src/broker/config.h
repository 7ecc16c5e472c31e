/* Configuration. Every key is a row of config.def: broker keys (Kafka's and our own odradek.*) and
   topic keys. A row says type, default, bounds, how it may change, and its sentence of
   documentation; DescribeConfigs, --help and docs/config.md are printed from the rows.

   Values of broker keys come in layers, best first: the command line, the environment, this
   broker's dynamic ones and the cluster's from the metadata state, the configuration file, the
   default. Who reads files and the environment is config_sources.h. Values of topic keys: the
   topic's own, else the broker's synonym. */
#pragma once

#include "meta/meta.h"

struct config;

enum config_source { /* numbers as in DescribeConfigs */
                     CONFIG_SOURCE_TOPIC = 1,
                     CONFIG_SOURCE_DYNAMIC_BROKER = 2,
                     CONFIG_SOURCE_DYNAMIC_DEFAULT = 3,
                     CONFIG_SOURCE_STATIC = 4,
                     CONFIG_SOURCE_DEFAULT = 5,
                     CONFIG_SOURCE_LOGGER = 6,
                     CONFIG_SOURCE_GROUP = 8,
};

/* Where a broker key may be set, best first. */
enum config_layer {
    CONFIG_LAYER_FLAG,
    CONFIG_LAYER_ENVIRONMENT,
    CONFIG_LAYER_BROKER,
    CONFIG_LAYER_CLUSTER,
    CONFIG_LAYER_FILE,
    CONFIG_LAYERS
};

MUST_USE struct config *config_create(void); /* all defaults */
void config_destroy(struct config *c);
/* A static value as a configuration file gives it: dynamic ones come before it. On failure reason
   (at least 256 bytes) holds one sentence with the value, the bounds and, for an unknown key
   (ERR_NOT_FOUND), the nearest name. */
MUST_USE err_t config_set(struct config *c, struct slice key, struct slice value, char *reason,
                          size_t reason_bytes);

/* Dynamic broker values are whatever the metadata state says: call this at start and after every
   change of them. */
void config_refresh(struct config *c, const struct meta *meta);
/* May a dynamic broker config be set so? KERR_NONE or INVALID_REQUEST with a reason. */
MUST_USE i16 broker_config_check(struct slice key, struct slice value, bool cluster_default,
                                 char *reason, size_t reason_bytes);

/* Broker keys by row: CONFIG_message_max_bytes for "message.max.bytes" (dots and dashes become
   underscores). These read the value in force: this broker's dynamic, the cluster's dynamic, the
   static one, the default. Strings stay valid until the next change. */
enum config_key {
#define OPT(scope, ident, ...) CONFIG_##ident,
#include "broker/config.def"
#undef OPT
    CONFIG_KEY_COUNT
};
i64 config_i64(const struct config *c, enum config_key key); /* int, long, bool (0/1) */
struct slice config_str(const struct config *c, enum config_key key);
/* Where the value in force was set: "server.properties:12", "--set", "environment
   KAFKA_LOG_DIRS", "a dynamic config of this broker", "the default". Until the next change. */
const char *config_origin(const struct config *c, enum config_key key);

/* A topic's configs resolved: own value, else broker synonym, else default. What the data path
   needs. */
struct topic_config {
    i64 retention_ms;
    i64 retention_bytes;
    i64 max_message_bytes;
    i64 segment_bytes;
    i64 timestamp_before_max_ms;
    i64 timestamp_after_max_ms;
    bool log_append_time;
    bool compacted;
    bool delete_policy;
};
void topic_config_resolve(const struct config *c, const struct meta_topic *t,
                          struct topic_config *out);

/* Is key=value acceptable as a topic config? KERR_NONE or INVALID_CONFIG with a reason. */
MUST_USE i16 topic_config_check(const struct config *c, struct slice key, struct slice value,
                                char *reason, size_t reason_bytes);

/* Do the configs a topic would have (each of which passed topic_config_check) go together?
   KERR_NONE or INVALID_CONFIG with a reason. */
MUST_USE i16 topic_configs_check(const struct config *c, const struct meta_config *configs,
                                 u32 count, char *reason, size_t reason_bytes);

/* The same two questions about a group's configs (config_group.c). */
MUST_USE i16 group_config_check(struct slice key, struct slice value, char *reason,
                                size_t reason_bytes);
MUST_USE i16 group_configs_check(const struct config *c, const struct meta_config *configs,
                                 u32 count, char *reason, size_t reason_bytes);

/* One config of a resource, resolved, for DescribeConfigs and CreateTopics (config_describe.c). */
struct config_synonym {
    struct slice name;  /* the broker's name */
    struct slice value; /* ptr NULL: null */
    enum config_source source;
};
struct config_entry {
    struct slice name;
    struct slice value; /* ptr NULL: null (no value, or sensitive) */
    enum config_source source;
    i8 type; /* ConfigType: 1 boolean 2 string 3 int 4 short 5 long 6 double 7 list 8 class 9
                password */
    bool read_only;
    bool sensitive;
    struct slice doc;
    const struct config_synonym *synonyms; /* best first */
    u32 synonym_count;
};
/* Every config of a topic or group with these own values, or of the broker, in order of name: with
   OK at least one. ERR_NO_MEMORY: the arena is full. meta: for dynamic broker configs. */
MUST_USE err_t config_describe_topic(const struct config *c, const struct meta *meta,
                                     const struct meta_config *own, u32 own_count,
                                     struct arena *arena, struct config_entry **entries,
                                     u32 *count);
MUST_USE err_t config_describe_group(const struct config *c, const struct meta_config *own,
                                     u32 own_count, struct arena *arena,
                                     struct config_entry **entries, u32 *count);
MUST_USE err_t config_describe_cluster(const struct config *c, struct arena *arena,
                                       struct config_entry **entries, u32 *count);
MUST_USE err_t config_describe_broker(const struct config *c, const struct meta *meta,
                                      struct arena *arena, struct config_entry **entries,
                                      u32 *count);
