/* ApiVersions (API key 18): the APIs of handlers.def with the versions of wire/apis.def
   [kafka-semantics.md 1; KIP-511, KIP-1242].

   Two entries differ from the table. Produce is listed from version 0, because librdkafka decides
   by that whether we speak message format 2, though 0 to 2 are refused. InitProducerId ends at
   5. */
#include "broker/conn.h"

static i16 advertised_min(const struct api_row *api)
{
    return api->key == API_produce ? 0 : api->min;
}

static i16 advertised_max(const struct api_row *api)
{
    return api->key == API_init_producer_id ? INIT_PRODUCER_ID_VERSION_MAX : api->max;
}

static bool is_alphanumeric(u8 c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool software_name_ok(struct slice s)
{
    if (s.len == 0 || !is_alphanumeric(s.ptr[0]) || !is_alphanumeric(s.ptr[s.len - 1])) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alphanumeric(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '.') {
            return false;
        }
    }
    return true;
}

static i16 check_request(const struct request *r, const struct api_versions_request *q)
{
    if (r->version >= 3 && (!software_name_ok(q->client_software_name) ||
                            !software_name_ok(q->client_software_version))) {
        return KERR_INVALID_REQUEST;
    }
    bool has_cluster = q->cluster_id.ptr != NULL;
    bool has_node = q->node_id != -1;
    if (has_cluster != has_node) {
        return KERR_INVALID_REQUEST;
    }
    if (has_cluster) {
        char id[23];
        uuid_print(cluster_id(r->broker->cluster), id);
        if (!slice_eq_cstr(q->cluster_id, id) || q->node_id != BROKER_NODE_ID) {
            return KERR_REBOOTSTRAP_REQUIRED;
        }
    }
    return KERR_NONE;
}

static bool fill_keys(struct request *r, struct api_versions_response *response, bool only_self)
{
    struct api_versions_response_version *rows =
        wire_new(&api_versions_response_version_struct, &r->arena, api_row_count);
    if (rows == NULL) {
        return false;
    }
    u32 count = 0;
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        if (!broker_serves(api->key) || (only_self && api->key != API_api_versions)) {
            continue;
        }
        rows[count].api_key = api->key;
        rows[count].min_version = advertised_min(api);
        rows[count].max_version = advertised_max(api);
        count++;
    }
    response->api_keys.items = rows;
    response->api_keys.count = count;
    return true;
}

void handle_api_versions(struct request *r)
{
    struct api_versions_response response;
    wire_init(&api_versions_response_struct, &response);
    /* A version we do not know: its body was not parsed, the answer is in version 0 and lists only
     * ourselves. */
    bool unknown = r->body == NULL;
    response.error_code = unknown ? KERR_UNSUPPORTED_VERSION : check_request(r, r->body);
    bool refused =
        response.error_code != KERR_NONE && !unknown; /* then nothing is listed, as in Kafka */
    if (!refused && !fill_keys(r, &response, unknown)) {
        request_fail(r);
        return;
    }
    if (unknown) {
        request_reply_version(r, 0, &response);
    } else {
        request_reply(r, &response);
    }
}
