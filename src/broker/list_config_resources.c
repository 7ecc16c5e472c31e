/* ListConfigResources (API key 74): what has, or could have, configs of its own. Version 0 lists
   client-metrics subscriptions only, of which there are none; from 1 on types may be named, and
   none means all (KIP-1142). */
#include "broker/config_rows.h"
#include "broker/conn.h"

static bool wants(const struct request *r, const struct list_config_resources_request *q, i8 type)
{
    if (r->version == 0) {
        return type == CONFIG_RESOURCE_CLIENT_METRICS;
    }
    for (u32 i = 0; i < q->resource_types.count; i++) {
        if (q->resource_types.items[i] == type) {
            return true;
        }
    }
    return q->resource_types.count == 0;
}

static bool type_known(i8 type)
{
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER ||
           type == CONFIG_RESOURCE_LOGGER || type == CONFIG_RESOURCE_CLIENT_METRICS ||
           type == CONFIG_RESOURCE_GROUP;
}

void handle_list_config_resources(struct request *r)
{
    const struct list_config_resources_request *q = r->body;
    const struct meta *meta = cluster_meta(r->broker->cluster);
    struct list_config_resources_response response;
    wire_init(&list_config_resources_response_struct, &response);
    for (u32 i = 0; i < q->resource_types.count; i++) {
        if (!type_known(q->resource_types.items[i])) {
            response.error_code = KERR_UNSUPPORTED_VERSION;
            request_reply(r, &response);
            return;
        }
    }
    u32 topics = wants(r, q, CONFIG_RESOURCE_TOPIC) ? meta_topic_count(meta) : 0;
    u32 groups = wants(r, q, CONFIG_RESOURCE_GROUP) ? meta_group_config_count(meta) : 0;
    response.config_resources.items =
        wire_new(&list_config_resources_response_resource_struct, &r->arena, topics + groups + 2);
    char *id = (char *)(uintptr_t)arena_printf(&r->arena, "%d", BROKER_NODE_ID);
    if (response.config_resources.items == NULL || id == NULL) {
        request_fail(r);
        return;
    }
    struct list_config_resources_response_resource *rows = response.config_resources.items;
    u32 count = 0;
    for (u32 i = 0; i < topics; i++) {
        rows[count].resource_type = CONFIG_RESOURCE_TOPIC;
        rows[count++].resource_name = meta_topic_at(meta, i)->name;
    }
    for (u32 i = 0; i < groups; i++) {
        rows[count].resource_type = CONFIG_RESOURCE_GROUP;
        rows[count++].resource_name = meta_group_config_at(meta, i);
    }
    if (wants(r, q, CONFIG_RESOURCE_BROKER)) {
        rows[count].resource_type = CONFIG_RESOURCE_BROKER;
        rows[count++].resource_name = slice_cstr(id);
    }
    if (wants(r, q, CONFIG_RESOURCE_LOGGER)) {
        rows[count].resource_type = CONFIG_RESOURCE_LOGGER;
        rows[count++].resource_name = slice_cstr(id);
    }
    response.config_resources.count = count;
    request_reply(r, &response);
}
