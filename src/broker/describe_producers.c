/* DescribeProducers (API key 61): who writes to partitions with a producer id: last epoch, sequence
   and timestamp of each producer that is remembered [KafkaApis, Partition, UnifiedLog]. Without
   transactions there is neither a coordinator epoch nor an open transaction: -1. In order of
   producer ids; Kafka has them in its map's. */
#include "broker/conn.h"
#include "broker/topics.h"

#include <stdlib.h>

enum { NO_COORDINATOR_EPOCH = -1 };

static int producer_order(const void *a, const void *b)
{
    i64 left = ((const struct describe_producers_response_producer_state *)a)->producer_id;
    i64 right = ((const struct describe_producers_response_producer_state *)b)->producer_id;
    return left < right ? -1 : left > right;
}

/* false: the arena is full. */
static bool producers_list(struct arena *arena, const struct partition *p,
                           struct describe_producers_response_partition *row)
{
    struct partition_producer producer;
    u32 count = 0;
    for (u32 cursor = 0; partition_producer_next(p, &cursor, &producer);) {
        count++;
    }
    if (count == 0) {
        return true;
    }
    row->active_producers.items =
        wire_new(&describe_producers_response_producer_state_struct, arena, count);
    if (row->active_producers.items == NULL) {
        return false;
    }
    for (u32 cursor = 0; partition_producer_next(p, &cursor, &producer);) {
        struct describe_producers_response_producer_state *out =
            &row->active_producers.items[row->active_producers.count++];
        out->producer_id = producer.id;
        out->producer_epoch = producer.epoch;
        out->last_sequence = producer.last_sequence;
        out->last_timestamp = producer.last_timestamp;
        out->coordinator_epoch = NO_COORDINATOR_EPOCH;
    }
    assert(row->active_producers.count == count); /* the clock stands still within a turn */
    qsort(row->active_producers.items, count, sizeof *row->active_producers.items, producer_order);
    return true;
}

/* What all partitions of a topic are told instead; KERR_NONE: it is there. */
static i16 topic_problem(struct request *r, struct slice name, u32 named,
                         const struct meta_topic **topic, const char **message)
{
    i16 kerr = KERR_NONE;
    *topic = NULL;
    *message = topic_name_problem(name);
    if (*message != NULL) {
        return KERR_INVALID_TOPIC_EXCEPTION;
    }
    *topic = request_topic(r, name, (struct uuid){{0}}, false, &kerr);
    if (*topic == NULL) {
        *message = topic_unknown(r, name, "This server does not host this topic-partition.", named);
        return kerr;
    }
    return KERR_NONE;
}

static bool describe_topic(struct request *r, const struct describe_producers_request_topic *q,
                           u32 named, struct describe_producers_response_topic *out)
{
    const struct meta_topic *topic;
    const char *message;
    i16 kerr = topic_problem(r, q->name, named, &topic, &message);
    out->name = q->name;
    out->partitions.items = wire_new(&describe_producers_response_partition_struct, &r->arena,
                                     q->partition_indexes.count);
    if (out->partitions.items == NULL && q->partition_indexes.count > 0) {
        return false;
    }
    out->partitions.count = q->partition_indexes.count;
    for (u32 i = 0; i < out->partitions.count; i++) {
        struct describe_producers_response_partition *row = &out->partitions.items[i];
        row->partition_index = q->partition_indexes.items[i];
        if (kerr != KERR_NONE) {
            row->error_code = kerr;
            row->error_message = slice_cstr(message);
            continue;
        }
        struct partition *p = cluster_partition(r->broker->cluster, topic, row->partition_index);
        if (p == NULL) {
            row->error_code = KERR_UNKNOWN_TOPIC_OR_PARTITION; /* without a message, as Kafka */
        } else if (!producers_list(&r->arena, p, row)) {
            return false;
        }
    }
    return true;
}

void handle_describe_producers(struct request *r)
{
    const struct describe_producers_request *q = r->body;
    struct describe_producers_response response;
    wire_init(&describe_producers_response_struct, &response);
    response.topics.items =
        wire_new(&describe_producers_response_topic_struct, &r->arena, q->topics.count);
    if (response.topics.items == NULL && q->topics.count > 0) {
        request_fail(r);
        return;
    }
    response.topics.count = q->topics.count;
    for (u32 i = 0; i < q->topics.count; i++) {
        if (!describe_topic(r, &q->topics.items[i], q->topics.count, &response.topics.items[i])) {
            request_fail(r);
            return;
        }
    }
    request_reply_explained(r, &response);
}
