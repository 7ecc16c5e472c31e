/* SyncGroup (API key 14): the leader hands in the assignment, everybody gets a share of it once it
   is durable. */
#include "broker/conn.h"
#include "broker/groups.h"

static void sync_answer(struct request *r, i16 kerr, const struct group_reply *reply)
{
    struct sync_group_response response;
    wire_init(&sync_group_response_struct, &response);
    response.error_code = kerr == KERR_GROUP_ID_NOT_FOUND ? KERR_UNKNOWN_MEMBER_ID : kerr;
    if (reply != NULL) {
        response.protocol_type = reply->protocol_type;
        response.protocol_name = reply->protocol_name;
        response.assignment = reply->assignment;
    }
    request_reply(r, &response);
}

enum { PROTOCOL_FROM = 5 };

void handle_sync_group(struct request *r)
{
    const struct sync_group_request *q = r->body;
    /* Before anything is looked up, as in Kafka (KIP-559). */
    if (r->version >= PROTOCOL_FROM &&
        (q->protocol_type.ptr == NULL || q->protocol_name.ptr == NULL)) {
        sync_answer(r, KERR_INCONSISTENT_GROUP_PROTOCOL, NULL);
        return;
    }
    struct group_assignment *assignments =
        arena_array(&r->arena, q->assignments.count, sizeof *assignments);
    if (assignments == NULL && q->assignments.count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->assignments.count; i++) {
        assignments[i] = (struct group_assignment){q->assignments.items[i].member_id,
                                                   q->assignments.items[i].assignment};
    }
    struct group_event event = {
        .kind = GROUP_SYNC,
        .version = r->version,
        .member_id = q->member_id,
        .instance_id = q->group_instance_id,
        .generation = q->generation_id,
        .sync =
            {
                .protocol_type = q->protocol_type,
                .protocol_name = q->protocol_name,
                .assignments = assignments,
                .assignment_count = q->assignments.count,
            },
    };
    group_request_start(r, q->group_id, &event, false, sync_answer);
}
