/* A request that changes metadata: rows of the answer are checked first, those that pass become
   commands of one metadata slot, and the answer leaves when that is durable. CreateTopics,
   DeleteTopics, CreatePartitions and Metadata (automatic creation) use it. */
#pragma once

#include "broker/request.h"

struct change {
    struct request *r;
    struct metalog_append append;
    struct meta_command *commands;
    u32 *rows; /* the row of the answer that a command belongs to */
    u32 count;
    bool under_way;
    /* One call per command with its row, then answer(). kerr: the outcome, or KAFKA_STORAGE_ERROR
       for all. */
    void (*outcome)(struct change *c, u32 row, i16 kerr);
    void (*answer)(struct change *c);
};
/* false: the arena is full. count_max: rows. */
MUST_USE bool change_init(struct change *c, struct request *r, u32 count_max);
struct meta_command *change_add(struct change *c, enum meta_command_kind kind, u32 row);
/* Without commands: answers at once. */
void change_commit(struct change *c);
