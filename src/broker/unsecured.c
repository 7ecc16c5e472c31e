/* DescribeAcls (API key 29), DescribeUserScramCredentials (50) and DescribeClientQuotas (48), as a
   broker without authorizer, users and quotas answers them [kafka-semantics.md 9]. */
#include "broker/conn.h"
#include "broker/repeats.h"

/* A filter field that says UNKNOWN (0) closes the connection, as with any request Kafka cannot
   read; numbers nobody knows do not. */
static bool acl_filter_known(const struct describe_acls_request *q)
{
    return q->resource_type_filter != 0 && q->pattern_type_filter != 0 && q->operation != 0 &&
           q->permission_type != 0;
}

void handle_describe_acls(struct request *r)
{
    if (!acl_filter_known(r->body)) {
        request_fail(r);
        return;
    }
    struct describe_acls_response response;
    wire_init(&describe_acls_response_struct, &response);
    response.error_code = KERR_SECURITY_DISABLED;
    response.error_message = slice_cstr("No Authorizer is configured on the broker");
    request_reply_explained(r, &response);
}

void handle_describe_user_scram_credentials(struct request *r)
{
    const struct describe_user_scram_credentials_request *q = r->body;
    struct describe_user_scram_credentials_response response;
    wire_init(&describe_user_scram_credentials_response_struct, &response);
    response.results.items = wire_new(&describe_user_scram_credentials_response_result_struct,
                                      &r->arena, q->users.count);
    response.results.count = q->users.count;
    const u8 *repeats = REPEATS_OF_NAMES(&r->arena, q->users, name);
    if (repeats == NULL || (response.results.items == NULL && q->users.count > 0)) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < q->users.count; i++) {
        struct describe_user_scram_credentials_response_result *row = &response.results.items[i];
        struct slice user = q->users.items[i].name;
        bool twice = repeats[i] != REPEAT_NONE;
        row->user = user;
        row->error_code = twice ? KERR_DUPLICATE_RESOURCE : KERR_RESOURCE_NOT_FOUND;
        row->error_message = slice_cstr(
            arena_printf(&r->arena,
                         twice ? "Cannot describe SCRAM credentials for the same user twice in a "
                                 "single request: %.*s"
                               : "Attempt to describe a user credential that does not exist: %.*s",
                         (int)user.len, (const char *)user.ptr));
    }
    request_reply_explained(r, &response);
}

enum quota_match { QUOTA_EXACT = 0, QUOTA_DEFAULT = 1, QUOTA_ANY = 2 };

/* KIP-546: what Kafka refuses before it looks for a quota. */
static i16 quota_filter_problem(const struct describe_client_quotas_request *q, const char **why)
{
    bool ip = false;
    for (u32 i = 0; i < q->components.count; i++) {
        const struct describe_client_quotas_request_component_data *c = &q->components.items[i];
        struct slice type = c->entity_type;
        *why = "The entity type is empty.";
        if (type.len == 0) {
            return KERR_INVALID_REQUEST;
        }
        *why = "The entity type is not user, client-id or ip.";
        if (!slice_eq_cstr(type, "user") && !slice_eq_cstr(type, "client-id") &&
            !slice_eq_cstr(type, "ip")) {
            return KERR_UNSUPPORTED_VERSION;
        }
        ip |= slice_eq_cstr(type, "ip");
        *why = "A match is wanted for an exact match type, and only then.";
        bool exact = c->match_type == QUOTA_EXACT;
        if (c->match_type < QUOTA_EXACT || c->match_type > QUOTA_ANY ||
            exact != (c->match.ptr != NULL)) {
            return KERR_INVALID_REQUEST;
        }
        *why = "An entity type appears twice.";
        for (u32 k = 0; k < i; k++) {
            if (slice_eq(type, q->components.items[k].entity_type)) {
                return KERR_INVALID_REQUEST;
            }
        }
    }
    *why = "An ip stands alone.";
    return ip && q->components.count > 1 ? KERR_INVALID_REQUEST : KERR_NONE;
}

void handle_describe_client_quotas(struct request *r)
{
    struct describe_client_quotas_response response;
    wire_init(&describe_client_quotas_response_struct, &response);
    const char *why;
    response.error_code = quota_filter_problem(r->body, &why);
    if (response.error_code != KERR_NONE) {
        response.error_message = slice_cstr(why);
        response.entries.is_null = true;
        request_reply_explained(r, &response);
        return;
    }
    response.entries = (struct describe_client_quotas_response_entry_data_array){0};
    request_reply_explained(r, &response);
}
