/* Heartbeat (API key 12) and LeaveGroup (13): a member is alive, or goes [kafka-semantics.md 6]. */
#include "broker/conn.h"
#include "broker/groups.h"

enum { LEAVE_LIST_FROM = 3 };

static i16 no_member(i16 kerr)
{
    return kerr == KERR_GROUP_ID_NOT_FOUND ? KERR_UNKNOWN_MEMBER_ID : kerr;
}

static void heartbeat_answer(struct request *r, i16 kerr, const struct group_reply *reply)
{
    (void)reply;
    struct heartbeat_response response;
    wire_init(&heartbeat_response_struct, &response);
    /* While groups are being replayed a member that is there must not be told to join again. */
    response.error_code = kerr == KERR_COORDINATOR_LOAD_IN_PROGRESS ? KERR_NONE : no_member(kerr);
    request_reply(r, &response);
}

void handle_heartbeat(struct request *r)
{
    const struct heartbeat_request *q = r->body;
    struct group_event event = {
        .kind = GROUP_HEARTBEAT,
        .version = r->version,
        .member_id = q->member_id,
        .instance_id = q->group_instance_id,
        .generation = q->generation_id,
    };
    group_request_start(r, q->group_id, &event, false, heartbeat_answer);
}

/* From version 3 on every leaver has its own row; before, the one leaver's error is the
   answer's. */
static void leave_answer(struct request *r, i16 kerr, const struct group_reply *reply)
{
    const struct leave_group_request *q = r->body;
    struct leave_group_response response;
    wire_init(&leave_group_response_struct, &response);
    if (r->version < LEAVE_LIST_FROM) {
        bool row = reply != NULL && kerr == KERR_NONE && reply->member_count == 1;
        response.error_code = no_member(row ? reply->member_kerrs[0] : kerr);
        request_reply(r, &response);
        return;
    }
    u32 count = q->members.count;
    bool unknown_group = kerr == KERR_GROUP_ID_NOT_FOUND;
    response.error_code = unknown_group ? KERR_NONE : kerr;
    if (response.error_code == KERR_NONE) {
        response.members.items = wire_new(&leave_group_response_member_struct, &r->arena, count);
        response.members.count = count;
        if (response.members.items == NULL && count > 0) {
            request_fail(r);
            return;
        }
        for (u32 i = 0; i < count; i++) {
            response.members.items[i].member_id = q->members.items[i].member_id;
            response.members.items[i].group_instance_id = q->members.items[i].group_instance_id;
            response.members.items[i].error_code = unknown_group ? KERR_UNKNOWN_MEMBER_ID
                                                   : i < reply->member_count
                                                       ? reply->member_kerrs[i]
                                                       : KERR_NONE;
        }
    }
    request_reply(r, &response);
}

void handle_leave_group(struct request *r)
{
    const struct leave_group_request *q = r->body;
    u32 count = r->version >= LEAVE_LIST_FROM ? q->members.count : 1;
    struct group_leaver *leavers = arena_array(&r->arena, count, sizeof *leavers);
    if (leavers == NULL && count > 0) {
        request_fail(r);
        return;
    }
    if (r->version < LEAVE_LIST_FROM) {
        leavers[0] = (struct group_leaver){.member_id = q->member_id};
    }
    for (u32 i = 0; r->version >= LEAVE_LIST_FROM && i < count; i++) {
        leavers[i] = (struct group_leaver){q->members.items[i].member_id,
                                           q->members.items[i].group_instance_id};
    }
    struct group_event event = {
        .kind = GROUP_LEAVE,
        .version = r->version,
        .generation = -1,
        .leave = {.leavers = leavers, .leaver_count = count},
    };
    group_request_start(r, q->group_id, &event, false, leave_answer);
}
