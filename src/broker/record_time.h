/* When the record at an offset was written, by its batch: the timestamp of that record, or of the
   next one of the batch when it is gone. Never an estimate. facts_collect.c asks.

     LogAppendTime                the batch says it
     the first of a whole batch   its time is the batch's
     else                         the records are walked: here when they are few, on a worker when
                                  that would hold up the loop (record_time_start) */
#pragma once

#include "base/base.h"
#include "wire/wire.h"

struct broker;

/* False: too much for the loop. *ms BATCH_NO_TIMESTAMP: the record has none, or there is none at or
   behind the offset, or the batch cannot be read. */
MUST_USE bool record_time_now(const struct batch_view *batch, u64 offset,
                              struct decompressor *scratch, i64 *ms);

/* The same on a worker. The batch is copied: record_time_add takes its bytes in order, in as many
   pieces as it takes, and with the last of them the worker begins. done() comes in a later turn,
   and then the struct is gone. ERR_CORRUPT: it is no whole batch; ERR_NO_MEMORY: it expands beyond
   what there is. NULL: no memory now. */
struct record_time;
MUST_USE struct record_time *record_time_start(struct broker *b, u32 batch_bytes, bool compressed,
                                               u64 offset,
                                               void (*done)(void *user, err_t result, i64 ms),
                                               void *user);
/* How many bytes are still to come. Never 0 when it is asked: the worker has begun then. */
u32 record_time_wants(const struct record_time *t);
void record_time_add(struct record_time *t, struct slice bytes);
void record_time_cancel(struct record_time *t); /* done() does not come any more */
