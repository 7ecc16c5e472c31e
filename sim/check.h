/* The promises, and the ledger they are held against: everything the clients of a run have been
   told, by topic, partition, offset and record. One file per promise (check_*.c) and one row per
   promise in check.c.

   A record is known by its author (a producer on one partition) and its number there, counted from
   0; key, value, headers and time follow from these two (check_content.c), so whatever is read can
   be compared with what was sent. */
#pragma once

#include "sim/world.h"
#include "wire/wire.h"

#define LEDGER_UNKNOWN UINT64_MAX

enum topic_life {
    TOPIC_PLANNED, /* nobody was asked for it */
    TOPIC_ASKED,   /* perhaps it is there */
    TOPIC_THERE,   /* its creation was acknowledged */
    TOPIC_DOOMED,  /* perhaps it is gone */
    TOPIC_GONE,    /* its deletion was acknowledged */
};

struct ledger_topic {
    struct list_node node; /* in the ledger */
    char name[24];
    struct uuid id; /* zero: not told yet */
    enum topic_life life;
    bool log_append_time;
    bool trimmed;        /* its records may be deleted, by DeleteRecords or by limits */
    bool limited;        /* it has retention limits: any record may have gone */
    i64 retention_bytes; /* -1: none */
    i64 retention_ms;    /* -1: none */
    u32 partition_count;
    struct ledger_partition *partitions;
};

struct ledger_slot {
    struct author *author; /* NULL: not known what is there */
    u32 record;
    i64 timestamp; /* as read; -1: only acknowledged so far */
};

struct ledger_partition {
    struct ledger *ledger;
    struct ledger_topic *topic;
    i32 index;
    struct ledger_slot *slots; /* by offset */
    u64 slot_count;
    u64 slot_cap;
    u64 floor;     /* everything below was acknowledged, or below a high watermark that somebody was
                      told */
    u64 start;     /* the highest log start that somebody was told; what is below stays away */
    u64 start_max; /* the log may start there at the latest: what was asked for, in vain or not */
};

struct ledger_record {
    u64 first_offset; /* where it was seen or acknowledged; LEDGER_UNKNOWN */
    i64 timestamp;    /* given by the producer */
    u32 attempts;
    u32 occurrences; /* counted at the end */
    bool acked;
};

struct author {
    struct list_node node; /* in the ledger */
    u32 number;
    struct ledger_partition *partition;
    bool idempotent;
    bool one_at_a_time; /* never more than one request in flight */
    struct ledger_record *records;
    u32 count;
    u32 cap;
    u64 walk_next; /* check_order.c, at the end */
    bool walking;  /* ... its first record was met */
};

/* What a record looks like. key and value live in `room` until its next use. */
enum { CONTENT_VALUE_MAX = 256 * 1024, CONTENT_HEADERS_MAX = 2 };
struct content {
    struct slice key;
    struct slice value;
    struct record_header headers[CONTENT_HEADERS_MAX];
    u32 header_count;
    u8 *room;
};

struct ledger {
    struct world *world;
    struct list topics;
    struct list authors;
    struct author **authors_by_number;
    u32 author_count;
    bool big_values; /* some values of up to CONTENT_VALUE_MAX */
    u64 acked_batches;
    u64 acked_records;
    u64 read_records;
    struct decompressor scratch;
    struct content made;     /* by clients */
    struct content expected; /* by content_check */
};

void ledger_init(struct ledger *l, struct world *w);
void ledger_fini(struct ledger *l);
struct ledger_topic *ledger_topic_add(struct ledger *l, const char *name, u32 partition_count);
struct author *ledger_author_add(struct ledger *l, struct ledger_partition *p, bool idempotent,
                                 bool one_at_a_time);
struct ledger_slot *ledger_slot(struct ledger_partition *p, u64 offset); /* made if need be */

/* ---- what happens, told by the clients ------------------------------------------------------- */

/* A new record of this time; its number. */
u32 ledger_record_add(struct author *w, i64 timestamp);
void ledger_sent(struct author *w, u32 first, u32 count);
void ledger_acked(struct author *w, u32 first, u32 count, i64 base_offset);
/* floor_when_asked: p->floor when the question was sent: the answer may not be below it. */
void ledger_watermark(struct ledger_partition *p, u64 floor_when_asked, i64 high_watermark,
                      const char *who);
/* Records of one partition in a Fetch answer. *next_offset: in: the offset asked for, out: after
 * the last batch. */
void ledger_read(struct ledger_partition *p, struct slice records, i64 high_watermark,
                 u64 *next_offset, const char *who);
/* An answer named this log start; start_when_asked: p->start when the question was sent. */
void ledger_start_told(struct ledger_partition *p, u64 start_when_asked, i64 start,
                       const char *who);
/* May the log start behind this offset by now? */
bool ledger_may_be_gone(const struct ledger_partition *p, u64 offset);
/* Everything was read from `start` to `end` by one reader after the last fault. */
void ledger_final(struct ledger_partition *p, u64 start, u64 end);

/* ---- promises -------------------------------------------------------------------------------- */

struct check_row {
    const char *name;
    const char *promise;
    void (*acked)(struct author *w, u32 record, u64 offset);
    void (*read)(struct ledger_partition *p, u64 offset, struct author *w, u32 record);
    void (*told)(struct ledger_partition *p, u64 floor_when_asked, i64 high_watermark,
                 const char *who);
    void (*started)(struct ledger_partition *p, u64 start_when_asked, i64 start, const char *who);
    void (*final)(struct ledger_partition *p, u64 start, u64 end);
};
extern const struct check_row check_lost;
extern const struct check_row check_twice;
extern const struct check_row check_order;
extern const struct check_row check_watermark;
extern const struct check_row check_start;

/* check_content.c */
void content_init(struct content *c);
void content_fini(struct content *c);
void content_make(const struct author *w, u32 record, struct content *out);
/* Who wrote this, and is it exactly what was written? False (and the promise broken) if not. */
bool content_check(struct ledger_partition *p, const struct record *r, const char *who,
                   struct author **author, u32 *record);
