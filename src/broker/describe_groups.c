/* DescribeGroups (API key 15), ListGroups (16) and DeleteGroups (42) [kafka-semantics.md 6]. */
#include "broker/conn.h"
#include "broker/groups.h"
#include "broker/topics.h"

enum { NOT_FOUND_FROM = 6, TYPES_FROM = 5 };

/* ---- describe -------------------------------------------------------------------------------- */

static void describe_members(struct request *r, const struct group *g,
                             struct describe_groups_response_described_group *out)
{
    u32 count = group_member_count(g);
    out->members.items =
        wire_new(&describe_groups_response_described_group_member_struct, &r->arena, count);
    out->members.count = out->members.items == NULL ? 0 : count;
    for (u32 i = 0; i < out->members.count; i++) {
        struct group_member_view view;
        group_member_at(g, i, &view);
        out->members.items[i].member_id = view.member_id;
        out->members.items[i].group_instance_id = view.instance_id;
        out->members.items[i].client_id = view.client_id;
        out->members.items[i].client_host = view.client_host;
        out->members.items[i].member_metadata = view.metadata;
        out->members.items[i].member_assignment = view.assignment;
    }
}

void handle_describe_groups(struct request *r)
{
    const struct describe_groups_request *q = r->body;
    struct describe_groups_response response;
    wire_init(&describe_groups_response_struct, &response);
    response.groups.items =
        wire_new(&describe_groups_response_described_group_struct, &r->arena, q->groups.count);
    response.groups.count = response.groups.items == NULL ? 0 : q->groups.count;
    for (u32 i = 0; i < response.groups.count; i++) {
        struct describe_groups_response_described_group *out = &response.groups.items[i];
        out->group_id = q->groups.items[i];
        out->group_state = WIRE_EMPTY;
        const struct group *g =
            coordinator_group(r->broker->coordinator, out->group_id, &out->error_code);
        bool told = g != NULL || (out->error_code == KERR_NONE && r->version < NOT_FOUND_FROM);
        if (told && q->include_authorized_operations) {
            out->authorized_operations = AUTHORIZED_ON_GROUP;
        }
        if (g != NULL) {
            out->group_state = slice_cstr(group_state_name(group_state_of(g)));
            out->protocol_type = group_protocol_type(g);
            out->protocol_data = group_protocol_name(g);
            describe_members(r, g, out);
        } else if (out->error_code == KERR_NONE) {
            out->group_state = slice_cstr(group_state_name(GROUP_DEAD));
            if (r->version >= NOT_FOUND_FROM) {
                out->error_code = KERR_GROUP_ID_NOT_FOUND;
                out->error_message = slice_cstr(arena_printf(&r->arena, "Group %.*s not found.",
                                                             (int)out->group_id.len,
                                                             (const char *)out->group_id.ptr));
            }
        }
    }
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    request_reply_explained(r, &response);
}

/* ---- list ------------------------------------------------------------------------------------ */

static bool same_word(struct slice a, const char *b)
{
    for (size_t i = 0; i < a.len; i++) {
        u8 low = (u8)(a.ptr[i] >= 'A' && a.ptr[i] <= 'Z' ? a.ptr[i] + 32 : a.ptr[i]);
        u8 other = (u8)(b[i] >= 'A' && b[i] <= 'Z' ? b[i] + 32 : b[i]);
        if (b[i] == 0 || low != other) {
            return false;
        }
    }
    return b[a.len] == 0;
}

static bool passes(const struct string_array *filter, const char *word)
{
    for (u32 i = 0; i < filter->count; i++) {
        if (same_word(filter->items[i], word)) {
            return true;
        }
    }
    return filter->count == 0;
}

static bool is_listed(const struct list_groups_request *q, const struct group *g)
{
    return passes(&q->states_filter, group_state_name(group_state_of(g))) &&
           passes(&q->types_filter, "classic");
}

void handle_list_groups(struct request *r)
{
    const struct list_groups_request *q = r->body;
    const struct coordinator *c = r->broker->coordinator;
    struct list_groups_response response;
    wire_init(&list_groups_response_struct, &response);
    response.error_code = coordinator_is_loaded(c) ? KERR_NONE : KERR_COORDINATOR_LOAD_IN_PROGRESS;
    u32 count = 0;
    u32 cursor = 0;
    const struct group *g;
    while (response.error_code == KERR_NONE && (g = coordinator_next_group(c, &cursor)) != NULL) {
        count += is_listed(q, g);
    }
    response.groups.items = wire_new(&list_groups_response_listed_group_struct, &r->arena, count);
    if (response.groups.items == NULL && count > 0) {
        request_fail(r);
        return;
    }
    cursor = 0;
    while (response.groups.count < count && (g = coordinator_next_group(c, &cursor)) != NULL) {
        if (!is_listed(q, g)) {
            continue;
        }
        struct list_groups_response_listed_group *row =
            &response.groups.items[response.groups.count++];
        row->group_id = group_id(g);
        row->protocol_type = group_protocol_type(g);
        row->group_state = slice_cstr(group_state_name(group_state_of(g)));
        row->group_type = slice_cstr("classic");
    }
    request_reply_explained(r, &response);
}

/* ---- delete ---------------------------------------------------------------------------------- */

struct delete_groups {
    struct request *r;
    struct delete_groups_response response;
    struct delete_call {
        struct coordinator_call call;
        struct delete_groups *all;
        u32 row;
    } * calls;
    u32 count;
    u32 left;
};

static void delete_one_done(struct delete_groups *d, u32 row, i16 kerr)
{
    d->response.results.items[row].error_code = kerr;
    if (--d->left == 0) {
        request_reply_explained(d->r, &d->response);
    }
}

static void delete_replied(struct coordinator_call *call, const struct group_reply *reply)
{
    struct delete_call *one = CONTAINER_OF(call, struct delete_call, call);
    delete_one_done(one->all, one->row, reply->kerr);
}

static void delete_cancelled(struct request *r)
{
    struct delete_groups *d = r->state_of_handler;
    for (u32 i = 0; i < d->count; i++) {
        coordinator_cancel(&d->calls[i].call);
    }
}

void handle_delete_groups(struct request *r)
{
    const struct delete_groups_request *q = r->body;
    struct delete_groups *d = request_alloc(r, sizeof *d);
    if (d == NULL) {
        request_fail(r);
        return;
    }
    d->r = r;
    d->count = q->groups_names.count;
    wire_init(&delete_groups_response_struct, &d->response);
    d->response.results.items =
        wire_new(&delete_groups_response_deletable_group_result_struct, &r->arena, d->count);
    d->response.results.count = d->count;
    d->calls = arena_array(&r->arena, d->count, sizeof *d->calls);
    if (r->arena.exhausted) {
        request_fail(r);
        return;
    }
    r->state_of_handler = d;
    r->cancelled = delete_cancelled;
    d->left = d->count + 1;
    for (u32 i = 0; i < d->count; i++) {
        d->response.results.items[i].group_id = q->groups_names.items[i];
        d->calls[i].all = d;
        d->calls[i].row = i;
        d->calls[i].call.done = delete_replied;
        struct group_event event = {.kind = GROUP_DELETE, .version = r->version, .generation = -1};
        i16 kerr = coordinator_call(r->broker->coordinator, &d->calls[i].call,
                                    q->groups_names.items[i], &event, false);
        if (kerr != KERR_NONE) {
            delete_one_done(d, i, kerr);
        }
    }
    if (--d->left == 0) {
        request_reply_explained(r, &d->response);
    }
}
