/* From the outside into struct config: a file of properties, the environment, the command line, and
   what is wrong with any of them or with all together. serve.c, `config check` and SIGHUP use it;
   config_load may run on a worker, for it touches nothing but what it is given. */
#pragma once

#include "broker/config_listeners.h"

struct config_flag {
    struct slice key;
    struct slice value;
    const char *option; /* the option that gave it: "--set", "--data" */
};
struct config_sources {
    const struct config_flag *defaults; /* instead of the rows' own; a file comes before them */
    u32 default_count;
    const char *file;               /* NULL: none */
    const char *const *environment; /* as environ; NULL: none */
    const struct config_flag *flags;
    u32 flag_count;
};

enum { CONFIG_FILE_BYTES_MAX = 1 << 20, CONFIG_MEMORY_BYTES_MIN = 16 << 20 };

/* Reads all sources into c, which has its defaults only, and checks each value. */
void config_load(struct config *c, const struct config_sources *sources,
                 struct config_problems *problems);
/* Do the values in force go together, and can a broker be started with them? (config_check.c) */
void config_check(const struct config *c, struct config_problems *problems);

/* The image rule [Apache Kafka's container image]: KAFKA_LOG_DIRS is log.dirs; _ is a dot, __ an
   underscore, ___ a dash. false: not a variable of ours, or one of Kafka's own scripts. */
MUST_USE bool config_environment_key(struct slice name, char *key, size_t key_bytes);

/* The directory that log.dirs or log.dir names. */
struct slice config_data_directory(const struct config *c);

/* A key of older Kafkas (config_retired.def): what there is instead, or NULL. */
const char *config_retired(struct slice key);
struct config_retired_row {
    const char *key;
    const char *note;
};
extern const struct config_retired_row config_retired_rows[];
extern const u32 config_retired_count;

/* Takes the file values of `fresh` over into c, where a key may change while the broker runs.
   changed and kept are told about each key that differs. */
struct config_change_fns {
    void (*changed)(void *user, enum config_key key);
    void (*needs_restart)(void *user, enum config_key key, struct slice wanted);
    void *user;
};
void config_adopt(struct config *c, const struct config *fresh,
                  const struct config_change_fns *fns);

/* `odradek config explain KEY`, on stdout. false: no such key; near names it or is NULL. */
MUST_USE bool config_explain(const struct config *c, struct slice key, const char **near);
