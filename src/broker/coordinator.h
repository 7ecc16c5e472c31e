/* The group coordinator: owns the groups (coord/group, pure), gives them events, appends their
   records to __consumer_offsets, sends replies when these are durable, and keeps their timers. One
   broker coordinates every group.

   Happy path of an event
     coordinator_call -> the group is found or made -> group_step -> records appended as one batch
       -> the slot is durable
     -> call->done with the group's reply

   At start the partitions of __consumer_offsets are replayed; until then calls are answered with
   COORDINATOR_LOAD_IN_PROGRESS. */
#pragma once

#include "broker/request.h"
#include "coord/group/group.h"

struct coordinator;

MUST_USE struct coordinator *coordinator_create(struct broker *b);
void coordinator_destroy(struct coordinator *c);
/* Begins to replay what is there; returns at once. */
void coordinator_start(struct coordinator *c);
bool coordinator_is_loaded(const struct coordinator *c);

/* One event under way. Embedded in what waits for the reply. */
struct coordinator_call {
    /* reply is valid during the call. Runs exactly once unless cancelled; perhaps inside
       coordinator_call. */
    void (*done)(struct coordinator_call *call, const struct group_reply *reply);
    u64 ticket;
    struct coordinator *coordinator;
    struct slice group_id; /* the coordinator's copy while under way */
    struct owned_group *group;
};
/* event: everything but now, wall and ticket is filled in by the caller. may_create: a group that
   is not there is made. Returns an error instead of calling done(): INVALID_GROUP_ID,
   COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, or GROUP_ID_NOT_FOUND when it is not
   there and may not be made. */
MUST_USE i16 coordinator_call(struct coordinator *c, struct coordinator_call *call,
                              struct slice group_id, struct group_event *event, bool may_create);
void coordinator_cancel(struct coordinator_call *call); /* no-op when not under way */

/* To look at: NULL with *kerr NONE = no such group. */
const struct group *coordinator_group(struct coordinator *c, struct slice group_id, i16 *kerr);
/* All groups in an order that stays the same while none is added: start with *cursor = 0; NULL at
 * the end. */
const struct group *coordinator_next_group(const struct coordinator *c, u32 *cursor);
/* Is something of this group appended but not durable yet? *slot is then what to wait for
   (log_wait). */
bool coordinator_pending_slot(const struct coordinator *c, struct slice group_id, u64 *slot);

/* A topic is gone: offsets committed for it go too. */
void coordinator_topic_deleted(struct coordinator *c, struct slice topic, struct uuid id);

/* The internal topic, NULL when it was not made yet; and the command that makes it. */
#define OFFSETS_TOPIC "__consumer_offsets"
const struct meta_topic *coordinator_topic(const struct coordinator *c);
void coordinator_topic_command(const struct coordinator *c, struct meta_command *command);
/* abs(Java's String.hashCode of the UTF-16 units) mod count. */
u32 coordinator_partition_of(struct slice id, u32 count);
