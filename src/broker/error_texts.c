/* The catalogue's codes in the ErrorMessage fields of answers: whoever reads one in a client's log
   finds it in docs/messages.md. The sentence stays as it is, the code stands behind it; where Kafka
   has no sentence there is none. */
#include "broker/conn.h"

#include <string.h>

/* Who is refused more often than this in one request has been told. */
#define TEXTS_MAX 64

static const struct {
    i16 kerr;
    enum diag_code code;
} codes[] = {
    {KERR_GROUP_ID_NOT_FOUND, MSG_group_not_found},
    {KERR_COORDINATOR_NOT_AVAILABLE, MSG_coordinator_not_available},
    {KERR_COORDINATOR_LOAD_IN_PROGRESS, MSG_coordinator_loading},
    {KERR_INVALID_GROUP_ID, MSG_group_id_invalid},
    {KERR_TOPIC_ALREADY_EXISTS, MSG_topic_exists},
    {KERR_INVALID_TOPIC_EXCEPTION, MSG_topic_name_invalid},
    {KERR_INVALID_PARTITIONS, MSG_partitions_invalid},
    {KERR_INVALID_REPLICATION_FACTOR, MSG_replication_factor_invalid},
    {KERR_INVALID_REPLICA_ASSIGNMENT, MSG_assignment_invalid},
    {KERR_INVALID_CONFIG, MSG_config_refused},
    {KERR_UNKNOWN_TOPIC_OR_PARTITION, MSG_topic_not_found},
    {KERR_UNKNOWN_TOPIC_ID, MSG_topic_not_found},
    {KERR_INVALID_REQUEST, MSG_request_invalid},
    {KERR_POLICY_VIOLATION, MSG_policy_violated},
    {KERR_TOPIC_DELETION_DISABLED, MSG_deletion_disabled},
    {KERR_REQUEST_TIMED_OUT, MSG_request_timed_out},
    {KERR_UNSUPPORTED_VERSION, MSG_not_supported},
    {KERR_FEATURE_UPDATE_FAILED, MSG_not_supported},
    {KERR_SECURITY_DISABLED, MSG_no_security},
    {KERR_KAFKA_STORAGE_ERROR, MSG_change_not_stored},
    {KERR_RESOURCE_NOT_FOUND, MSG_no_security}, /* of users there are none */
    {KERR_DUPLICATE_RESOURCE, MSG_request_invalid},
    {KERR_MISMATCHED_ENDPOINT_TYPE, MSG_no_controller},
    {KERR_UNSUPPORTED_ENDPOINT_TYPE, MSG_no_controller},
    {KERR_UNKNOWN_SERVER_ERROR, MSG_request_no_memory},
    {KERR_CORRUPT_MESSAGE, MSG_batch_corrupt},
    {KERR_INVALID_RECORD, MSG_record_invalid},
    {KERR_MESSAGE_TOO_LARGE, MSG_batch_too_large},
    {KERR_RECORD_LIST_TOO_LARGE, MSG_batch_too_large},
    {KERR_INVALID_TIMESTAMP, MSG_timestamp_invalid},
    {KERR_UNSUPPORTED_COMPRESSION_TYPE, MSG_compression_unsupported},
    {KERR_INVALID_REQUIRED_ACKS, MSG_acks_invalid},
    {KERR_OUT_OF_ORDER_SEQUENCE_NUMBER, MSG_sequence_out_of_order},
    {KERR_INVALID_PRODUCER_EPOCH, MSG_producer_fenced},
    {KERR_INVALID_TXN_STATE, MSG_no_transactions},
    {KERR_NOT_LEADER_OR_FOLLOWER, MSG_leader_stopping},
};

static enum diag_code code_of(i16 kerr)
{
    for (u32 i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i].kerr == kerr) {
            return codes[i].code;
        }
    }
    return 0;
}

struct texts {
    struct request *r;
    u32 count;
};

static void text_explain(void *user, i16 error_code, struct slice *message)
{
    struct texts *t = user;
    enum diag_code code = message->len > 0 ? code_of(error_code) : 0;
    if (code == 0 || t->count == TEXTS_MAX ||
        memmem(message->ptr, message->len, "ODK-", 4) != NULL) {
        return;
    }
    t->count++;
    const char *text = arena_printf(&t->r->arena, "%.*s (ODK-%04d)", (int)message->len,
                                    (const char *)message->ptr, (int)code);
    if (text != NULL) {
        *message = slice_cstr(text);
    }
}

void request_reply_explained(struct request *r, void *response)
{
    struct texts t = {.r = r};
    wire_each_error(r->api->response, r->version, response, text_explain, &t);
    request_reply(r, response);
}
