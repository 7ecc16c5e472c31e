/* JoinGroup (API key 11): makes a client a member and waits until the group has come together
   [kafka-semantics.md 6]. */
#include "broker/conn.h"
#include "broker/groups.h"

static void join_answer(struct request *r, i16 kerr, const struct group_reply *reply)
{
    struct join_group_response response;
    wire_init(&join_group_response_struct, &response);
    response.error_code = kerr;
    response.protocol_name = r->version >= 7 ? (struct slice){0} : WIRE_EMPTY;
    if (reply == NULL) {
        const struct join_group_request *q = r->body;
        response.member_id = q == NULL ? WIRE_EMPTY : q->member_id;
        request_reply(r, &response);
        return;
    }
    response.generation_id = reply->generation;
    response.protocol_type = reply->protocol_type;
    if (reply->protocol_name.ptr != NULL) {
        response.protocol_name = reply->protocol_name;
    }
    response.leader = reply->leader_id;
    response.skip_assignment = r->version >= 9 && reply->skip_assignment;
    response.member_id = reply->member_id;
    response.members.items =
        wire_new(&join_group_response_member_struct, &r->arena, reply->member_count);
    response.members.count = reply->member_count;
    if (response.members.items == NULL && reply->member_count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < reply->member_count; i++) {
        response.members.items[i].member_id = reply->members[i].member_id;
        response.members.items[i].group_instance_id = reply->members[i].instance_id;
        response.members.items[i].metadata = reply->members[i].metadata;
    }
    request_reply(r, &response);
}

/* Client id (or instance id) and a random uuid, as Kafka names members. */
static struct slice fresh_member_id(struct request *r, struct slice prefix)
{
    u8 u[16];
    io_random(r->broker->io, u, sizeof u);
    u[6] = (u8)((u[6] & 0x0f) | 0x40);
    u[8] = (u8)((u[8] & 0x3f) | 0x80);
    const char *id = arena_printf(
        &r->arena, "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        (int)prefix.len, (const char *)prefix.ptr, u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7],
        u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    return id == NULL ? (struct slice){0} : slice_cstr(id);
}

void handle_join_group(struct request *r)
{
    const struct join_group_request *q = r->body;
    struct group_protocol *protocols =
        arena_array(&r->arena, q->protocols.count, sizeof *protocols);
    struct io_address peer;
    io_sock_peer(r->conn->sock, &peer);
    bool is_static = q->group_instance_id.ptr != NULL;
    struct slice fresh = fresh_member_id(r, is_static ? q->group_instance_id : r->client_id);
    const char *host = arena_printf(&r->arena, "/%s", peer.host);
    if ((protocols == NULL && q->protocols.count > 0) || fresh.ptr == NULL || host == NULL) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->protocols.count; i++) {
        protocols[i] =
            (struct group_protocol){q->protocols.items[i].name, q->protocols.items[i].metadata};
    }
    struct group_event event = {
        .kind = GROUP_JOIN,
        .version = r->version,
        .member_id = q->member_id,
        .instance_id = q->group_instance_id,
        .generation = -1,
        .join =
            {
                .fresh_member_id = fresh,
                .client_id = not_null(r->client_id),
                .client_host = slice_cstr(host),
                .protocol_type = q->protocol_type,
                .protocols = protocols,
                .protocol_count = q->protocols.count,
                .session_timeout_ms = q->session_timeout_ms,
                .rebalance_timeout_ms =
                    r->version >= 1 ? q->rebalance_timeout_ms : q->session_timeout_ms,
            },
    };
    group_request_start(r, q->group_id, &event, true, join_answer);
}
