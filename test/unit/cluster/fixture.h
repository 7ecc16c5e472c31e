/* A cluster over a log and a home on disk, in a directory of its own under /tmp, over the real
   border. Between the border and the home stands a table of verbs that can lose, keep or fail
   writes: so a crash is what it is in life, a process that never hears of its last writes. */
#pragma once

#include "../unit.h"

#include "cluster/cluster.h"

#include <unistd.h>

enum fault {
    FAULT_NONE,
    FAULT_LOSE, /* durable writes never reach the file, and are never answered */
    FAULT_KEEP, /* they reach it, but are never answered */
    FAULT_FAIL, /* they end with an error */
};

struct fixture {
    struct rng rng;
    char base[64];
    char dir[64];
    struct quota quota;
    u64 log_quota_bytes;
    u64 extent_bytes; /* the largest frame must fit */
    u32 snapshot_every;
    struct io *io;
    struct home *home;
    struct log *log;
    struct cluster *cluster;
    u32 fenced_calls;
    u64 batches; /* appended, ever */
};

void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f);
/* A process: from io to cluster. start asserts that it comes up. */
void fixture_create(struct fixture *f);
void fixture_start(struct fixture *f);
/* Ends as kill -9 would end it: nothing is drained, what is in flight is never told. */
void fixture_crash(struct fixture *f);
/* Drains first. */
void fixture_stop(struct fixture *f);
void fixture_restart(struct fixture *f); /* crash and start */

/* From the `after`th durable write on the loop from now. */
void fault_set(enum fault fault, u32 after);
/* Blocking writes, syncs and allocations of any thread: the `after`th and all later ones fail. */
void fault_now_set(err_t error, u32 after);
void fault_allocate_set(err_t error); /* OK: no more */
/* The one after `after` others, while no worker syncs a directory. */
void fault_sync_dir_set(err_t error, u32 after);
u64 durable_writes(void); /* on the loop, since the fixture was made */

/* Turns until *flag; fails the test when nothing comes of it. */
void turns_until(struct fixture *f, const bool *flag);
void turns(struct fixture *f, u32 count); /* without sleeping */
void settle(struct fixture *f);           /* until nothing is in flight */

/* Appends `count` commands and waits. Fails the test unless the result is as expected. */
struct appended {
    struct metalog_append append;
    bool done;
    err_t result;
    u32 count;
    struct meta_outcome outcomes[64];
};
void append_start(struct fixture *f, struct appended *a, const struct meta_command *commands,
                  u32 count);
void append_wait(struct fixture *f, struct appended *a, const struct meta_command *commands,
                 u32 count);
i16 apply_one(struct fixture *f, const struct meta_command *c); /* durable; its outcome */

struct meta_command create_command(struct fixture *f, const char *name, u32 partitions);
const struct meta_topic *make_topic(struct fixture *f, const char *name, u32 partitions);
const struct meta_topic *find_topic(struct fixture *f, const char *name);
void delete_topic(struct fixture *f, const char *name);

/* One small batch of a partition; *slot may be NULL. */
void produce(struct fixture *f, const char *topic, i32 partition, u64 *slot);
void produce_wait(struct fixture *f, const char *topic, i32 partition); /* durable */
u64 end_offset(struct fixture *f, const char *topic, i32 partition);

/* The names in a folder of the data directory. */
u32 count_files(struct fixture *f, const char *folder, const char *prefix);
/* A metadata slot that no cluster of ours wrote. Between two lives. */
void write_slot_by_hand(struct fixture *f, struct slice payload);
struct slice payload_of(const struct meta_command *commands, u32 count);
void payload_free(struct slice s);
