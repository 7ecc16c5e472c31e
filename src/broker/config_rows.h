/* The rows of config.def as data: for config.c, the describing code and the printed
   documentation. */
#pragma once

#include "broker/config.h"

enum config_scope { CONFIG_SCOPE_TOPIC, CONFIG_SCOPE_BROKER, CONFIG_SCOPE_GROUP };
enum config_type { /* numbers of DescribeConfigs' ConfigType */
                   CONFIG_TYPE_BOOLEAN = 1,
                   CONFIG_TYPE_STRING = 2,
                   CONFIG_TYPE_INT = 3,
                   CONFIG_TYPE_SHORT = 4,
                   CONFIG_TYPE_LONG = 5,
                   CONFIG_TYPE_DOUBLE = 6,
                   CONFIG_TYPE_LIST = 7,
                   CONFIG_TYPE_CLASS = 8,
                   CONFIG_TYPE_PASSWORD = 9,
};
enum config_update {
    CONFIG_UPDATE_READ_ONLY,
    CONFIG_UPDATE_PER_BROKER,
    CONFIG_UPDATE_CLUSTER_WIDE
};
enum config_resource { /* numbers of ConfigResource.Type */
                       CONFIG_RESOURCE_TOPIC = 2,
                       CONFIG_RESOURCE_BROKER = 4,
                       CONFIG_RESOURCE_LOGGER = 8,
                       CONFIG_RESOURCE_CLIENT_METRICS = 16, /* no subscriptions here: nothing yet */
                       CONFIG_RESOURCE_GROUP = 32
};
#define CONFIG_BROKER_NAME "1" /* resource name of this broker: its id */

enum config_status { CONFIG_WORKS, CONFIG_SHOWN, CONFIG_IGNORED };

struct config_row {
    enum config_scope scope;
    const char *key;
    enum config_type type;
    const char *initial; /* NULL: none */
    const char *valid;
    enum config_update update;
    enum config_status status;
    const char *synonyms;
    const char *doc;
};
extern const struct config_row config_rows[CONFIG_KEY_COUNT];

#define NONE        NULL
#define IGNORED_DOC "Accepted so that existing configurations load; it has no effect in Odradek."

const char *config_type_name(enum config_type type);
i32 config_row_find(enum config_scope scope, struct slice key);        /* -1: unknown */
const char *config_nearest(enum config_scope scope, struct slice key); /* NULL: nothing like it */
/* Edits from a to b; UINT32_MAX when one is longer than 127 bytes. */
u32 edit_distance(struct slice a, struct slice b);
/* ptr NULL: not set there. */
struct slice config_layer_str(const struct config *c, enum config_key key, enum config_layer layer);
/* Who set it there; NULL: not known. */
const char *config_layer_origin(const struct config *c, enum config_key key,
                                enum config_layer layer);
bool config_is_set(const struct config *c, enum config_key key);
/* The layer in force; CONFIG_LAYERS: the default. */
enum config_layer config_layer_in_force(const struct config *c, enum config_key key);
/* value.ptr NULL: the layer says nothing any more. The value has passed config_value_check. */
void config_layer_set(struct config *c, enum config_key key, enum config_layer layer,
                      struct slice value, const char *origin);
/* ERR_INVALID with a sentence when the value does not fit the row. Of a boolean 0 or 1. */
MUST_USE err_t config_value_check(const struct config_row *row, struct slice value, i64 *number,
                                  char *reason, size_t reason_bytes);
/* The next word of "a, b,c", trimmed; false at the end. */
bool config_next_word(struct slice *list, struct slice *word);
/* Of a value that has passed its check; of a boolean 0 or 1. */
i64 config_number(enum config_key key, struct slice text);
/* Walks "a b*60000": *at starts at the row's synonyms; false at the end. */
bool config_synonym_next(const char **at, struct slice *key, i64 *factor);
