/* DescribeCluster (API key 60) and ListPartitionReassignments (46): a cluster of one, with nothing
   on the move. */
#include "broker/conn.h"
#include "broker/topics.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

void handle_describe_cluster(struct request *r)
{
    const struct describe_cluster_request *q = r->body;
    struct describe_cluster_response response;
    wire_init(&describe_cluster_response_struct, &response);
    response.cluster_id = WIRE_EMPTY;
    response.endpoint_type = ENDPOINT_BROKERS; /* what answers, whatever was asked for */
    if (r->version >= 1 && q->endpoint_type != ENDPOINT_BROKERS) {
        bool controllers = q->endpoint_type == ENDPOINT_CONTROLLERS;
        response.error_code =
            controllers ? KERR_MISMATCHED_ENDPOINT_TYPE : KERR_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message =
            slice_cstr(controllers ? "The request was sent to an endpoint of type BROKER, but an "
                                     "endpoint of type CONTROLLER is wanted."
                                   : "Unsupported endpoint type.");
        request_reply_explained(r, &response);
        return;
    }
    struct describe_cluster_response_broker *broker =
        wire_new(&describe_cluster_response_broker_struct, &r->arena, 1);
    char *id = arena_alloc(&r->arena, 23);
    if (broker == NULL || id == NULL) {
        request_fail(r);
        return;
    }
    uuid_print(cluster_id(r->broker->cluster), id);
    response.cluster_id = slice_cstr(id);
    response.controller_id = BROKER_NODE_ID;
    broker->broker_id = BROKER_NODE_ID;
    request_advertised(r, &broker->host, &broker->port);
    response.brokers.items = broker;
    response.brokers.count = 1;
    if (q->include_cluster_authorized_operations) {
        response.cluster_authorized_operations = AUTHORIZED_ON_CLUSTER;
    }
    request_reply(r, &response);
}

void handle_list_partition_reassignments(struct request *r)
{
    struct list_partition_reassignments_response response;
    wire_init(&list_partition_reassignments_response_struct, &response);
    response.error_message = (struct slice){0};
    request_reply(r, &response);
}
