/* DescribeAcls (API key 29), DescribeUserScramCredentials (50) and DescribeClientQuotas (48), as a
   broker without authorizer, users and quotas answers them [kafka-semantics.md 9]. */
#include "broker/conn.h"

void handle_describe_acls(struct request *r)
{
    struct describe_acls_response response;
    wire_init(&describe_acls_response_struct, &response);
    response.error_code = KERR_SECURITY_DISABLED;
    response.error_message = slice_cstr("No Authorizer is configured on the broker");
    request_reply(r, &response);
}

static bool named_before(const struct describe_user_scram_credentials_request *q, u32 index)
{
    for (u32 i = 0; i < q->users.count; i++) {
        if (i != index && slice_eq(q->users.items[i].name, q->users.items[index].name)) {
            return true;
        }
    }
    return false;
}

void handle_describe_user_scram_credentials(struct request *r)
{
    const struct describe_user_scram_credentials_request *q = r->body;
    struct describe_user_scram_credentials_response response;
    wire_init(&describe_user_scram_credentials_response_struct, &response);
    response.results.items = wire_new(&describe_user_scram_credentials_response_result_struct,
                                      &r->arena, q->users.count);
    response.results.count = q->users.count;
    if (response.results.items == NULL && q->users.count > 0) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->users.count; i++) {
        struct describe_user_scram_credentials_response_result *row = &response.results.items[i];
        struct slice user = q->users.items[i].name;
        bool twice = named_before(q, i);
        row->user = user;
        row->error_code = twice ? KERR_DUPLICATE_RESOURCE : KERR_RESOURCE_NOT_FOUND;
        row->error_message = slice_cstr(
            arena_printf(&r->arena,
                         twice ? "Cannot describe SCRAM credentials for the same user twice in a "
                                 "single request: %.*s"
                               : "Attempt to describe a user credential that does not exist: %.*s",
                         (int)user.len, (const char *)user.ptr));
    }
    request_reply(r, &response);
}

void handle_describe_client_quotas(struct request *r)
{
    struct describe_client_quotas_response response;
    wire_init(&describe_client_quotas_response_struct, &response);
    response.entries = (struct describe_client_quotas_response_entry_data_array){0};
    request_reply(r, &response);
}
