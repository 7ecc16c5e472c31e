/* Configurations of topics, brokers and groups: reading them, and changing them with the command
   that changes them back. For config.c, topic.c and bundle.c. */
#pragma once

#include "cli/change.h"
#include "cli/kafka.h"

/* Numbers of the protocol. */
enum settings_resource { SETTINGS_TOPIC = 2, SETTINGS_BROKER = 4, SETTINGS_GROUP = 32 };
enum settings_source {
    SETTINGS_SOURCE_TOPIC = 1,
    SETTINGS_SOURCE_DYNAMIC_BROKER = 2,
    SETTINGS_SOURCE_DYNAMIC_CLUSTER = 3,
    SETTINGS_SOURCE_STATIC = 4,
    SETTINGS_SOURCE_DEFAULT = 5,
    SETTINGS_SOURCE_GROUP = 8
};
struct setting {
    struct slice key;
    struct slice value; /* ptr NULL: back to the default */
};
struct settings {
    struct setting *items;
    u32 count;
};
/* --config KEY=VALUE and --unset KEY, in the order given. False: told why. */
bool settings_of_options(const struct cli_args *a, const char *set_option, struct settings *out);
/* KEY=VALUE into parts; false: there is no =. */
bool setting_parse(const char *text, struct setting *out);

/* Every configuration of a resource; name "" is the default of all brokers. */
MUST_USE int settings_read(struct kafka *k, enum settings_resource resource, const char *name,
                           struct describe_configs_response_result *out);
/* Changes them, or with --dry-run has the broker check them. where is how the undo command names
   the resource: "topic/orders". */
MUST_USE int settings_change(struct kafka *k, struct change *change, const char *where,
                             enum settings_resource resource, const char *name,
                             const struct settings *settings);
/* Adds each to a list: key, value, source, type. all: also those that have their default. */
void settings_add(struct node *list, const struct describe_configs_response_result *configs,
                  bool all);
void settings_add_one(struct node *list, const struct describe_configs_response_resource_result *c);
const char *settings_source_name(i8 source);
