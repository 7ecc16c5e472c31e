/* DescribeQuorum (API key 55) and UpdateFeatures (57): a quorum of one, and no features that could
   be changed. */
#include "broker/conn.h"

/* ---- DescribeQuorum -------------------------------------------------------------------------- */

static bool fill_voter(struct request *r, struct describe_quorum_response_partition_data *out,
                       u64 end)
{
    out->current_voters.items =
        wire_new(&describe_quorum_response_replica_state_struct, &r->arena, 1);
    if (out->current_voters.items == NULL) {
        return false;
    }
    out->current_voters.count = 1;
    out->current_voters.items[0].replica_id = BROKER_NODE_ID;
    out->current_voters.items[0].log_end_offset = (i64)end;
    if (r->version >= 1) {
        out->current_voters.items[0].last_fetch_timestamp = io_wall_ms(r->broker->io);
        out->current_voters.items[0].last_caught_up_timestamp = io_wall_ms(r->broker->io);
    }
    return true;
}

/* There is one thing to ask for; together with anything else it is refused too, as in Kafka. */
static bool asks_for_the_quorum(const struct describe_quorum_request *q)
{
    return q->topics.count == 1 && q->topics.items[0].partitions.count == 1 &&
           slice_eq_cstr(q->topics.items[0].topic_name, "__cluster_metadata") &&
           q->topics.items[0].partitions.items[0].partition_index == 0;
}

static bool fill_topic(struct request *r, const struct describe_quorum_request_topic_data *q,
                       struct describe_quorum_response_topic_data *out)
{
    out->topic_name = q->topic_name;
    out->partitions.items =
        wire_new(&describe_quorum_response_partition_data_struct, &r->arena, q->partitions.count);
    if (out->partitions.items == NULL && q->partitions.count > 0) {
        return false;
    }
    out->partitions.count = q->partitions.count;
    u64 end = cluster_metadata_end(r->broker->cluster);
    for (u32 i = 0; i < q->partitions.count; i++) {
        struct describe_quorum_response_partition_data *row = &out->partitions.items[i];
        row->partition_index = q->partitions.items[i].partition_index;
        if (!asks_for_the_quorum(r->body)) {
            row->error_code = KERR_UNKNOWN_TOPIC_OR_PARTITION;
            row->error_message = slice_cstr("This server does not host this topic-partition.");
            continue;
        }
        row->leader_id = BROKER_NODE_ID;
        row->leader_epoch = (i32)meta_session_count(cluster_meta(r->broker->cluster));
        row->high_watermark = (i64)end;
        if (!fill_voter(r, row, end)) {
            return false;
        }
    }
    return true;
}

static bool fill_nodes(struct request *r, struct describe_quorum_response *response)
{
    response->nodes.items = wire_new(&describe_quorum_response_node_struct, &r->arena, 1);
    struct describe_quorum_response_listener *listener =
        wire_new(&describe_quorum_response_listener_struct, &r->arena, 1);
    if (response->nodes.items == NULL || listener == NULL) {
        return false;
    }
    i32 port;
    request_advertised(r, &listener->host, &port);
    listener->name = slice_cstr("PLAINTEXT");
    listener->port = (u16)port;
    response->nodes.count = 1;
    response->nodes.items[0].node_id = BROKER_NODE_ID;
    response->nodes.items[0].listeners.items = listener;
    response->nodes.items[0].listeners.count = 1;
    return true;
}

void handle_describe_quorum(struct request *r)
{
    const struct describe_quorum_request *q = r->body;
    struct describe_quorum_response response;
    wire_init(&describe_quorum_response_struct, &response);
    response.topics.items =
        wire_new(&describe_quorum_response_topic_data_struct, &r->arena, q->topics.count);
    response.topics.count = q->topics.count;
    bool good = response.topics.items != NULL || q->topics.count == 0;
    for (u32 i = 0; good && i < q->topics.count; i++) {
        good = fill_topic(r, &q->topics.items[i], &response.topics.items[i]);
    }
    if (!good || (r->version >= 2 && !fill_nodes(r, &response))) {
        request_fail(r);
        return;
    }
    request_reply_explained(r, &response);
}

/* ---- UpdateFeatures -------------------------------------------------------------------------- */

void handle_update_features(struct request *r)
{
    const struct update_features_request *q = r->body;
    struct update_features_response response;
    wire_init(&update_features_response_struct, &response);
    u32 count = q->feature_updates.count;
    const char *why = "The broker does not support this feature.";
    if (r->version >= 2) {
        /* One bad feature fails all, and rows are given for none. */
        response.error_code = count > 0 ? KERR_FEATURE_UPDATE_FAILED : KERR_NONE;
        response.error_message = count > 0 ? slice_cstr(why) : (struct slice){0};
        request_reply_explained(r, &response);
        return;
    }
    response.results.items =
        wire_new(&update_features_response_updatable_feature_result_struct, &r->arena, count);
    response.results.count = count;
    if (response.results.items == NULL && count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        response.results.items[i].feature = q->feature_updates.items[i].feature;
        response.results.items[i].error_code = KERR_FEATURE_UPDATE_FAILED;
        response.results.items[i].error_message = slice_cstr(why);
    }
    request_reply_explained(r, &response);
}
