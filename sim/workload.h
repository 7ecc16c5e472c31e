/* What the clients of a run do: an admin makes topics, producers write, consumers read, all at once
   and against whatever the disk, the network and the crashes do to them. Everything they are told
   goes into the ledger (check.h). Consumer groups are crews (crew.h).

     producer.c  idempotent and plain producers; retries as real clients do them
     consumer.c  Fetch with and without sessions; the last reading
     admin.c     topics, Metadata, ListOffsets */
#pragma once

#include "sim/check.h"
#include "sim/client.h"

struct producer;
struct consumer;
struct admin;
struct crew;
struct group_admin;

enum {
    PRODUCERS_MAX = 12,
    CONSUMERS_MAX = 6,
    TOPICS_MAX = 5,
    CREWS_MAX = 3,
};

/* How long clients wait once nothing fails any more. */
#define WORKLOAD_PATIENCE_NS (20 * SIM_S)

struct workload_knobs {
    u32 producer_count;
    u32 consumer_count;
    u32 topic_count;
    u32 partitions_max;
    u64 think_ns;   /* between two requests of a producer, about */
    u64 timeout_ns; /* a client gives up waiting */
    u32 batch_records_max;
    bool big_values;
    u32 crew_count;
    bool trims;         /* DeleteRecords, and topics with retention limits */
    bool clears;        /* ... now and then of everything there is */
    u32 stall_per_1024; /* how often a consumer stops reading for a while */
};

struct workload {
    struct world *world;
    struct sim_net *net;
    struct ledger ledger;
    struct workload_knobs knobs;
    bool quiet;   /* nothing new is produced */
    bool asking;  /* idempotent producers ask again what they were told last, once each */
    bool burying; /* every record of the topics that last is to be deleted */
    bool rotten;  /* something may be unreadable, and so not be found by its time */
    struct producer *producers[PRODUCERS_MAX];
    struct consumer *consumers[CONSUMERS_MAX];
    struct consumer *verifier; /* of the last reading */
    struct admin *admin;
    struct crew *crews[CREWS_MAX]; /* consumer groups */
    u32 crew_count;
    struct group_admin *group_admin; /* NULL: no groups in this run */
    u64 life_began_ns;               /* of the broker */
    bool groups_loaded;              /* somebody heard that they are, in this life */
    bool life_faulty;                /* its disk may fail or be full */
    u64 storage_errors;              /* answers that say so, in this life of the broker */
    u64 acked_produces;              /* answers with at least one batch acknowledged */
};

void workload_init(struct workload *wl, struct world *w, struct sim_net *net,
                   const struct workload_knobs *knobs);
void workload_fini(struct workload *wl);
void workload_broker_began(struct workload *wl, bool faulty);
void workload_quiet(struct workload *wl);
/* Has everything that was sent been answered? */
bool workload_settled(const struct workload *wl);
/* Grows with whatever brings the run nearer to its end: nobody is stuck as long as it does. */
u64 workload_progress(const struct workload *wl);
/* Reads every partition from 0 to its end; then the promises are held against what was read. And
   every idempotent producer sends again what was acknowledged last: it is recognized. */
void workload_verify(struct workload *wl);
bool workload_verified(const struct workload *wl);
/* Forgets that it was: the next life reads once more. */
void workload_verify_again(struct workload *wl);
/* DeleteRecords of everything; workload_buried: all of it was acknowledged. */
void workload_bury(struct workload *wl);
bool workload_buried(const struct workload *wl);
/* The same again after a bit has rotted: what cannot be read (that is, is refused) is passed over
   and counted, what is read must be right. workload_verified tells when it is through. asks: and
   idempotent producers ask again all the same. */
void workload_reread(struct workload *wl, bool asks);
/* Members and their admin say nothing more; workload_verify wakes the admin. */
void workload_groups_stop(struct workload *wl);
struct workload_group_numbers {
    u64 commits; /* acknowledged, of a partition */
    u64 refused;
    u64 stale; /* sent by members of a generation that was over */
    u64 naps;  /* of members, through their sessions */
    u64 crashes;
    u64 evictions;
    u64 generations; /* of which some assignment was told */
};
void workload_group_numbers(const struct workload *wl, struct workload_group_numbers *out);
/* lasting: of topics without retention limits alone, whose records do not go by themselves. */
u64 workload_unreadable(const struct workload *wl, bool lasting);

/* ---- shared by the clients ------------------------------------------------------------------- */

struct ledger_topic *workload_topic(struct workload *wl, struct slice name, struct uuid id);
/* All topics of the plan are there, and their ids are known. */
bool workload_topics_there(const struct workload *wl);
/* Topics that last, for whoever wants partitions; NULL: past the end. */
struct ledger_partition *workload_partition(const struct workload *wl, u32 i);
u32 workload_partition_count(const struct workload *wl);
/* May a client see this error in a run, and try again? Anything else breaks a promise. */
bool workload_retriable(const struct ledger_topic *t, i16 kerr);

struct producer *producer_create(struct workload *wl, u32 number);
void producer_destroy(struct producer *p);
void producer_quiet(struct producer *p);
bool producer_settled(const struct producer *p);
void producer_ask_again(struct producer *p); /* as wl->asking begins */
bool producer_asked(const struct producer *p);

struct consumer *consumer_create(struct workload *wl, u32 number, bool verifier);
/* A verifier that passes over what is refused. */
void consumer_pass_over(struct consumer *c);
u64 consumer_passed_over(const struct consumer *c, bool lasting);
void consumer_destroy(struct consumer *c);
void consumer_quiet(struct consumer *c);
bool consumer_verified(const struct consumer *c);
u64 consumer_progress(const struct consumer *c);

struct admin *admin_create(struct workload *wl);
void admin_destroy(struct admin *a);
void admin_quiet(struct admin *a);
bool admin_settled(const struct admin *a);
bool admin_buried(const struct admin *a);
