/* ListTransactions (API key 66) and DescribeTransactions (65) while there are no transactions. */
#include "broker/conn.h"
#include "broker/repeats.h"

void handle_list_transactions(struct request *r)
{
    static const char *const states[] = {"Empty",        "Ongoing",          "PrepareCommit",
                                         "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                         "Dead",         "PrepareEpochFence"};
    const struct list_transactions_request *q = r->body;
    struct list_transactions_response response;
    wire_init(&list_transactions_response_struct, &response);
    struct slice *unknown = arena_array(&r->arena, q->state_filters.count, sizeof *unknown);
    const u8 *repeats = repeats_of_names(&r->arena, q->state_filters.items, 0,
                                         sizeof *q->state_filters.items, q->state_filters.count);
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->state_filters.count; i++) {
        bool known = repeats[i] == REPEAT_LATER; /* told once */
        for (u32 k = 0; k < ARRAY_LEN(states); k++) {
            known = known || slice_eq_cstr(q->state_filters.items[i], states[k]);
        }
        if (!known) {
            unknown[response.unknown_state_filters.count++] = q->state_filters.items[i];
        }
    }
    response.unknown_state_filters.items = unknown;
    request_reply(r, &response);
}

void handle_describe_transactions(struct request *r)
{
    const struct describe_transactions_request *q = r->body;
    struct describe_transactions_response response;
    wire_init(&describe_transactions_response_struct, &response);
    u32 count = q->transactional_ids.count;
    response.transaction_states.items =
        wire_new(&describe_transactions_response_transaction_state_struct, &r->arena, count);
    response.transaction_states.count = count;
    if (response.transaction_states.items == NULL && count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        response.transaction_states.items[i].transactional_id = q->transactional_ids.items[i];
        response.transaction_states.items[i].error_code = q->transactional_ids.items[i].len == 0
                                                              ? KERR_INVALID_REQUEST
                                                              : KERR_TRANSACTIONAL_ID_NOT_FOUND;
    }
    request_reply(r, &response);
}
