/* Key compaction of batches that are filed: of several records with one key the last one stays, a
   tombstone like any other. Offsets stay: a batch keeps its first and its last one, and what is
   left of batches without records are empty batches, as Kafka's log cleaner leaves them. Called by
   filing_build.c on a worker; pure. */
#pragma once

#include "wire/wire.h"

/* key -> its last record; keys point into the batches that were learned. */
struct compaction {
    struct map_slice last;
};
void compaction_init(struct compaction *c);
void compaction_fini(struct compaction *c);

/* Is it one whose records may go: verified, plain, nobody's but the broker's own? */
bool compaction_takes(const struct batch_view *batch);
/* Batches in order of offset; only such that compaction_takes. */
void compaction_learn(struct compaction *c, const struct batch_view *batch);
/* How many of its records stay. Records without a key do. */
u32 compaction_count(const struct compaction *c, const struct batch_view *batch);
/* What stays, in room for the whole batch; its bytes. */
u32 compaction_filter(const struct compaction *c, const struct batch_view *batch, u8 *out);
/* A batch without records for offsets [base, base + last_offset_delta], COMPACTION_EMPTY_BYTES. */
void compaction_empty(u64 base_offset, i32 last_offset_delta, i32 leader_epoch, i64 max_timestamp,
                      u8 *out);
enum { COMPACTION_EMPTY_BYTES = BATCH_HEADER_BYTES };
