/* What the handlers of group APIs share: a request that makes one event and waits for one reply. */
#pragma once

#include "broker/coordinator.h"

struct group_request {
    struct coordinator_call call;
    struct request *r;
    /* Answers; reply NULL: the error is kerr. */
    void (*answer)(struct request *r, i16 kerr, const struct group_reply *reply);
};
void group_request_start(struct request *r, struct slice group_id, struct group_event *event,
                         bool may_create,
                         void (*answer)(struct request *r, i16 kerr,
                                        const struct group_reply *reply));

/* A slice for a response field that must not be null. */
static inline struct slice not_null(struct slice s)
{
    return s.ptr == NULL ? WIRE_EMPTY : s;
}
