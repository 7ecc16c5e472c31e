/* OffsetForLeaderEpoch (API key 23): where an epoch ends, so that a client can tell whether the log
   it read is still the log [kafka-semantics.md 4; LeaderEpochFileCache, KIP-320]. */
#include "broker/conn.h"

static void answer_partition(struct request *r, const struct meta_topic *topic,
                             const struct offset_for_leader_epoch_request_partition *q,
                             struct offset_for_leader_epoch_response_end *row)
{
    row->partition = q->partition;
    struct partition *p =
        topic == NULL ? NULL : cluster_partition(r->broker->cluster, topic, q->partition);
    if (p == NULL) {
        row->error_code = KERR_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    row->error_code = request_check_epoch(r, topic, q->current_leader_epoch);
    if (row->error_code == KERR_NONE) {
        partition_end_offset_for_epoch(p, q->leader_epoch, &row->leader_epoch, &row->end_offset);
    }
}

void handle_offset_for_leader_epoch(struct request *r)
{
    const struct offset_for_leader_epoch_request *q = r->body;
    struct offset_for_leader_epoch_response response;
    wire_init(&offset_for_leader_epoch_response_struct, &response);
    response.topics.count = q->topics.count;
    response.topics.items =
        wire_new(&offset_for_leader_epoch_response_topic_result_struct, &r->arena, q->topics.count);
    if (response.topics.items == NULL && q->topics.count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->topics.count; i++) {
        const struct offset_for_leader_epoch_request_topic *t = &q->topics.items[i];
        struct offset_for_leader_epoch_response_topic_result *out = &response.topics.items[i];
        out->topic = t->topic;
        out->partitions.count = t->partitions.count;
        out->partitions.items =
            wire_new(&offset_for_leader_epoch_response_end_struct, &r->arena, t->partitions.count);
        if (out->partitions.items == NULL && t->partitions.count > 0) {
            request_fail(r);
            return;
        }
        i16 kerr;
        const struct meta_topic *topic =
            request_topic(r, t->topic, (struct uuid){{0}}, false, &kerr);
        for (u32 k = 0; k < t->partitions.count; k++) {
            answer_partition(r, topic, &t->partitions.items[k], &out->partitions.items[k]);
        }
    }
    request_reply(r, &response);
}
