/* ElectLeaders (API key 43): every partition has the one leader it can have, so no election is ever
   needed [KIP-460]. */
#include "broker/conn.h"

/* 0 preferred, 1 unclean; version 0 knows only the first. */
static bool election_unknown(const struct request *r)
{
    const struct elect_leaders_request *q = r->body;
    return r->version >= 1 && q->election_type != 0 && q->election_type != 1;
}

static void answer_topic(struct request *r, const struct elect_leaders_request_topic_partitions *q,
                         struct elect_leaders_response_replica_election_result *out)
{
    out->topic = q->topic;
    out->partition_result.items =
        wire_new(&elect_leaders_response_partition_result_struct, &r->arena, q->partitions.count);
    out->partition_result.count = out->partition_result.items == NULL ? 0 : q->partitions.count;
    i16 kerr;
    const struct meta_topic *t = request_topic(r, q->topic, (struct uuid){{0}}, false, &kerr);
    for (u32 i = 0; i < out->partition_result.count; i++) {
        struct elect_leaders_response_partition_result *row = &out->partition_result.items[i];
        i32 partition = q->partitions.items[i];
        bool there = t != NULL && partition >= 0 && (u32)partition < t->partition_count;
        row->partition_id = partition;
        if (election_unknown(r)) {
            row->error_code = KERR_INVALID_REQUEST;
            row->error_message = slice_cstr("Unknown election type.");
            continue;
        }
        row->error_code = there ? KERR_ELECTION_NOT_NEEDED : KERR_UNKNOWN_TOPIC_OR_PARTITION;
        row->error_message = slice_cstr(there ? "Leader election not needed for topic partition."
                                              : "No such topic or partition.");
    }
}

void handle_elect_leaders(struct request *r)
{
    const struct elect_leaders_request *q = r->body;
    struct elect_leaders_response response;
    wire_init(&elect_leaders_response_struct, &response);
    bool for_none = !q->topic_partitions.is_null && q->topic_partitions.count == 0;
    response.error_code = election_unknown(r) && !for_none ? KERR_INVALID_REQUEST : KERR_NONE;
    /* Null means all partitions that need one: none. */
    u32 count = q->topic_partitions.is_null ? 0 : q->topic_partitions.count;
    response.replica_election_results.items =
        wire_new(&elect_leaders_response_replica_election_result_struct, &r->arena, count);
    response.replica_election_results.count = count;
    if (response.replica_election_results.items == NULL && count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        answer_topic(r, &q->topic_partitions.items[i], &response.replica_election_results.items[i]);
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    request_reply_explained(r, &response);
}
