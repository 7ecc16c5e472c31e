/* odradek group ls, info, rm, and what they share with rewind.c: see group.h. */
#include "cli/group.h"

#include "cli/change.h"
#include "cli/commands.h"
#include "cli/near.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

int group_list(struct kafka *k, struct list_groups_response *out)
{
    struct list_groups_request request = {0};
    int code = kafka_ask(k, API_list_groups, 5, &request, out);
    return code == CLI_OK && out->error_code != KERR_NONE
               ? problem_of_kafka(kafka_args(k), "groups cannot be listed", out->error_code,
                                  (struct slice){0})
               : code;
}

int group_unknown(struct kafka *k, const char *id)
{
    const struct cli_args *a = kafka_args(k);
    struct list_groups_response groups;
    int code = group_list(k, &groups);
    if (code != CLI_OK) {
        return code;
    }
    struct near near = near_to(slice_cstr(id));
    for (u32 i = 0; i < groups.groups.count; i++) {
        near_try(&near, groups.groups.items[i].group_id);
    }
    struct slice nearest = near_found(&near);
    return problem(CLI_NOT_FOUND,
                   nearest.ptr == NULL
                       ? cli_text(a, "group \"%s\" not found", id)
                       : cli_text(a, "group \"%s\" not found; did you mean \"%.*s\"?", id,
                                  (int)nearest.len, (const char *)nearest.ptr),
                   cli_text(a, "the broker has %u group%s", groups.groups.count,
                            groups.groups.count == 1 ? "" : "s"),
                   "odradek group ls   shows them");
}

bool group_is_active(const struct group *g)
{
    return g->exists && !slice_eq_cstr(g->state, "Empty") && !slice_eq_cstr(g->state, "Dead");
}

int group_refuse_active(struct kafka *k, const struct group *g, const char *what)
{
    const struct cli_args *a = kafka_args(k);
    return problem(
        CLI_CONFLICT, cli_text(a, "group \"%s\" cannot be %s: it is in use", g->id, what),
        cli_text(a, "it is %.*s with %u member%s, who commit offsets of their own",
                 (int)g->state.len, (const char *)g->state.ptr, g->member_count,
                 g->member_count == 1 ? "" : "s"),
        cli_text(a, "stop its members, then again; odradek group info %s   names them", g->id));
}

void group_assignment_visit(struct kafka *k,
                            const struct describe_groups_response_described_group_member *member,
                            void (*visit)(void *user, struct slice topic, i32 partition),
                            void *user)
{
    struct slice bytes = member->member_assignment;
    if (bytes.len < 2) {
        return;
    }
    i16 version = (i16)MIN(load_be16(bytes.ptr), (u16)3);
    struct consumer_protocol_assignment assignment;
    if (wire_decode(&consumer_protocol_assignment_def, version,
                    slice_of(bytes.ptr + 2, bytes.len - 2), kafka_args(k)->arena, &assignment,
                    NULL) != OK) {
        return; /* of another kind of group: its members alone can read it */
    }
    for (u32 t = 0; t < assignment.assigned_partitions.count; t++) {
        const struct consumer_protocol_assignment_topic_partition *of =
            &assignment.assigned_partitions.items[t];
        for (u32 p = 0; p < of->partitions.count; p++) {
            visit(user, of->topic, of->partitions.items[p]);
        }
    }
}

struct collect {
    struct group *group;
    u32 cap;
    const char *owner;
};

static struct group_offset *offset_of(struct collect *c, struct slice topic, i32 partition)
{
    struct group *g = c->group;
    for (u32 i = 0; i < g->offset_count; i++) {
        if (g->offsets[i].partition == partition && slice_eq(g->offsets[i].topic, topic)) {
            return &g->offsets[i];
        }
    }
    if (g->offset_count == c->cap) {
        c->cap = c->cap == 0 ? 64 : 2 * c->cap;
        g->offsets = mem_resize(g->offsets, c->cap * sizeof *g->offsets);
    }
    g->offsets[g->offset_count] = (struct group_offset){
        .topic = topic, .partition = partition, .committed = -1, .start = -1, .end = -1};
    return &g->offsets[g->offset_count++];
}

static void note_owner(void *user, struct slice topic, i32 partition)
{
    struct collect *c = user;
    offset_of(c, topic, partition)->owner = c->owner;
}

static int collect_committed(struct kafka *k, struct collect *c)
{
    const struct cli_args *a = kafka_args(k);
    struct offset_fetch_request request = {.group_id = slice_cstr(c->group->id),
                                           .topics.is_null = true};
    struct offset_fetch_response response;
    int code = kafka_ask(k, API_offset_fetch, 7, &request, &response);
    if (code != CLI_OK) {
        return code;
    }
    if (response.error_code != KERR_NONE) {
        return problem_of_kafka(a,
                                cli_text(a, "offsets of group \"%s\" cannot be read", c->group->id),
                                response.error_code, (struct slice){0});
    }
    for (u32 t = 0; t < response.topics.count; t++) {
        const struct offset_fetch_response_topic *of = &response.topics.items[t];
        for (u32 p = 0; p < of->partitions.count; p++) {
            const struct offset_fetch_response_partition *one = &of->partitions.items[p];
            offset_of(c, of->name, one->partition_index)->committed = one->committed_offset;
        }
    }
    return CLI_OK;
}

static int by_place(const void *left, const void *right)
{
    const struct group_offset *a = left;
    const struct group_offset *b = right;
    int order = slice_cmp(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

/* Starts and ends, a topic at a time; a topic that is gone keeps -1. */
static int collect_ends(struct kafka *k, struct group *g)
{
    struct metadata_response topics;
    int code = g->offset_count == 0 ? CLI_OK : kafka_topics(k, NULL, &topics);
    for (u32 i = 0; code == CLI_OK && i < g->offset_count;) {
        struct slice name = g->offsets[i].topic;
        const struct metadata_response_topic *topic = NULL;
        for (u32 t = 0; t < topics.topics.count; t++) {
            topic = slice_eq(topics.topics.items[t].name, name) ? &topics.topics.items[t] : topic;
        }
        u32 count = topic == NULL ? 0 : topic->partitions.count;
        i64 *starts = arena_array(kafka_args(k)->arena, count + 1, sizeof *starts);
        i64 *ends = arena_array(kafka_args(k)->arena, count + 1, sizeof *ends);
        code = kafka_offsets(k, name, KAFKA_START, starts, count);
        code = code != CLI_OK ? code : kafka_offsets(k, name, KAFKA_END, ends, count);
        for (; code == CLI_OK && i < g->offset_count && slice_eq(g->offsets[i].topic, name); i++) {
            u32 partition = (u32)g->offsets[i].partition;
            g->offsets[i].start = partition < count ? starts[partition] : -1;
            g->offsets[i].end = partition < count ? ends[partition] : -1;
        }
    }
    return code;
}

static int describe(struct kafka *k, struct group *g)
{
    const struct cli_args *a = kafka_args(k);
    struct slice id = slice_cstr(g->id);
    struct describe_groups_request request = {.groups = {.items = &id, .count = 1}};
    struct describe_groups_response response;
    int code = kafka_ask(k, API_describe_groups, 6, &request, &response);
    if (code != CLI_OK) {
        return code;
    }
    const struct describe_groups_response_described_group *d = response.groups.items;
    if (response.groups.count != 1 ||
        (d->error_code != KERR_NONE && d->error_code != KERR_GROUP_ID_NOT_FOUND)) {
        return problem_of_kafka(a, cli_text(a, "group \"%s\" cannot be described", g->id),
                                response.groups.count == 1 ? d->error_code
                                                           : (i16)KERR_UNKNOWN_SERVER_ERROR,
                                response.groups.count == 1 ? d->error_message : (struct slice){0});
    }
    g->exists = d->error_code == KERR_NONE && !slice_eq_cstr(d->group_state, "Dead");
    g->state = d->group_state;
    g->assignor = d->protocol_data;
    g->members = d->members.items;
    g->member_count = d->members.count;
    return CLI_OK;
}

/* What nobody has committed yet in the topics that the group reads. */
static int collect_uncommitted(struct kafka *k, struct collect *c)
{
    struct metadata_response topics;
    u32 known = c->group->offset_count;
    int code = known == 0 ? CLI_OK : kafka_topics(k, NULL, &topics);
    for (u32 t = 0; code == CLI_OK && known > 0 && t < topics.topics.count; t++) {
        const struct metadata_response_topic *topic = &topics.topics.items[t];
        bool read = false;
        for (u32 i = 0; i < known && !read; i++) {
            read = slice_eq(c->group->offsets[i].topic, topic->name);
        }
        for (u32 p = 0; read && p < topic->partitions.count; p++) {
            (void)offset_of(c, topic->name, topic->partitions.items[p].partition_index);
        }
    }
    return code;
}

int group_read(struct kafka *k, const char *id, enum group_extent extent, struct group *out)
{
    const struct cli_args *a = kafka_args(k);
    *out = (struct group){.id = id};
    int code = describe(k, out);
    if (code != CLI_OK || !out->exists) {
        return code;
    }
    struct collect c = {.group = out};
    code = collect_committed(k, &c);
    for (u32 m = 0; code == CLI_OK && m < out->member_count; m++) {
        struct slice client = out->members[m].client_id;
        c.owner = cli_text(a, "%.*s", (int)client.len, (const char *)client.ptr);
        group_assignment_visit(k, &out->members[m], note_owner, &c);
    }
    if (code == CLI_OK && extent == GROUP_ALL_PARTITIONS) {
        code = collect_uncommitted(k, &c);
    }
    if (code == CLI_OK && out->offset_count > 0) {
        qsort(out->offsets, out->offset_count, sizeof *out->offsets, by_place);
        code = collect_ends(k, out);
    }
    /* Into the arena, so that nobody has to free it. */
    struct group_offset *kept = arena_array(a->arena, out->offset_count + 1, sizeof *kept);
    if (out->offset_count > 0) {
        memcpy(kept, out->offsets, out->offset_count * sizeof *kept);
    }
    mem_free(out->offsets);
    out->offsets = kept;
    return code;
}

i64 group_offset_lag(const struct group_offset *o)
{
    return o->committed < 0 || o->end < 0 ? -1 : MAX(o->end - MAX(o->committed, o->start), 0);
}

int group_offset_wait(struct kafka *k, const struct group_offset *o, i64 *wait_ms)
{
    i64 lag = group_offset_lag(o);
    *wait_ms = lag == 0 ? 0 : -1;
    if (lag <= 0) {
        return CLI_OK;
    }
    i64 time_ms;
    int code = kafka_record_time(k, o->topic, o->partition, MAX(o->committed, o->start), &time_ms);
    *wait_ms = code == CLI_OK && time_ms >= 0 ? MAX(wall_ms() - time_ms, 0) : -1;
    return code;
}

const char *group_offsets_text(const struct cli_args *a, const struct group *g)
{
    const char *text = "";
    for (u32 i = 0; i < g->offset_count; i++) {
        const struct group_offset *o = &g->offsets[i];
        const char *comma = text[0] == 0 ? "" : ",";
        text = o->committed < 0
                   ? cli_text(a, "%s%s%.*s:%d=none", text, comma, (int)o->topic.len,
                              (const char *)o->topic.ptr, o->partition)
                   : cli_text(a, "%s%s%.*s:%d=%lld", text, comma, (int)o->topic.len,
                              (const char *)o->topic.ptr, o->partition, (long long)o->committed);
    }
    return text;
}

/* ---- ls -------------------------------------------------------------------------------------- */

static const struct column ls_columns[] = {{"group", "GROUP", COLUMN_NAME},
                                           {"state", "STATE", 0},
                                           {"type", "TYPE", COLUMN_WIDE},
                                           {"protocol", "PROTOCOL", COLUMN_WIDE},
                                           {0}};
static const struct view ls_view = {.columns = ls_columns, .listing = true};

int command_group_ls(const struct cli_args *a)
{
    int code;
    struct kafka *k = kafka_open(a, &code);
    struct list_groups_response groups;
    code = k == NULL ? code : group_list(k, &groups);
    kafka_close(k);
    if (code != CLI_OK) {
        return code;
    }
    struct node *list = node_list(a->arena);
    for (u32 i = 0; i < groups.groups.count; i++) {
        const struct list_groups_response_listed_group *g = &groups.groups.items[i];
        struct node *one = node_add_object(list, NULL);
        node_add_text(one, "group", g->group_id);
        node_add_text(one, "state", g->group_state);
        node_add_text(one, "type", g->group_type);
        node_add_text(one, "protocol", g->protocol_type);
    }
    node_sort(list, "group");
    return out_print(a, list, &ls_view);
}

/* ---- info ------------------------------------------------------------------------------------ */

static const struct column info_columns[] = {{"group", "GROUP", COLUMN_NAME},
                                             {"state", "STATE", 0},
                                             {"assignor", "ASSIGNOR", 0},
                                             {"member_count", "MEMBERS", 0},
                                             {"lag", "LAG", 0},
                                             {"lag_seconds", "SECONDS", 0},
                                             {0}};
static const struct column offset_columns[] = {{"topic", "TOPIC", 0},
                                               {"partition", "PARTITION", 0},
                                               {"start", "START", COLUMN_WIDE},
                                               {"committed", "COMMITTED", 0},
                                               {"end", "END", 0},
                                               {"lag", "LAG", 0},
                                               {"lag_seconds", "SECONDS", 0},
                                               {"client", "CLIENT", 0},
                                               {0}};
static const struct column member_columns[] = {{"member", "MEMBER", 0},
                                               {"client", "CLIENT", 0},
                                               {"host", "HOST", 0},
                                               {"instance", "INSTANCE", COLUMN_WIDE},
                                               {"partition_count", "PARTITIONS", 0},
                                               {0}};
static const struct view info_view = {
    .columns = info_columns,
    .tables = {{"partitions", offset_columns}, {"members", member_columns}}};

static void add_number_or_null(struct node *to, const char *key, i64 value)
{
    if (value < 0) {
        node_add_null(to, key);
    } else {
        node_add_number(to, key, value);
    }
}

static void add_seconds(struct node *to, i64 wait_ms)
{
    if (wait_ms < 0) {
        node_add_null(to, "lag_seconds");
    } else {
        node_add_real(to, "lag_seconds", (f64)wait_ms / 1000);
    }
}

static void count_partition(void *user, struct slice topic, i32 partition)
{
    (void)topic;
    (void)partition;
    u32 *count = user;
    ++*count;
}

static void add_members(struct kafka *k, struct node *list, const struct group *g)
{
    for (u32 i = 0; i < g->member_count; i++) {
        struct node *one = node_add_object(list, NULL);
        u32 partitions = 0;
        group_assignment_visit(k, &g->members[i], count_partition, &partitions);
        node_add_text(one, "member", g->members[i].member_id);
        node_add_text(one, "client", g->members[i].client_id);
        node_add_text(one, "host", g->members[i].client_host);
        node_add_text(one, "instance", g->members[i].group_instance_id);
        node_add_number(one, "partition_count", partitions);
    }
}

int group_add_info(struct kafka *k, struct node *list, const char *id)
{
    struct group g;
    int code = group_read(k, id, GROUP_ALL_PARTITIONS, &g);
    if (code != CLI_OK || !g.exists) {
        return code != CLI_OK ? code : group_unknown(k, id);
    }
    i64 *waits = arena_array(kafka_args(k)->arena, g.offset_count + 1, sizeof *waits);
    i64 lag = 0;
    i64 wait_ms = 0;
    for (u32 i = 0; i < g.offset_count && code == CLI_OK; i++) {
        code = group_offset_wait(k, &g.offsets[i], &waits[i]);
        lag += MAX(group_offset_lag(&g.offsets[i]), 0);
        wait_ms = MAX(wait_ms, waits[i]);
    }
    if (code != CLI_OK) {
        return code;
    }
    struct node *one = node_add_object(list, NULL);
    node_add_cstr(one, "group", id);
    node_add_text(one, "state", g.state);
    node_add_text(one, "assignor", g.assignor.len > 0 ? g.assignor : (struct slice){0});
    node_add_number(one, "member_count", g.member_count);
    node_add_number(one, "lag", lag);
    add_seconds(one, wait_ms);
    struct node *offsets = node_add_list(one, "partitions");
    for (u32 i = 0; i < g.offset_count; i++) {
        const struct group_offset *o = &g.offsets[i];
        struct node *row = node_add_object(offsets, NULL);
        node_add_text(row, "topic", o->topic);
        node_add_number(row, "partition", o->partition);
        add_number_or_null(row, "start", o->start);
        add_number_or_null(row, "committed", o->committed);
        add_number_or_null(row, "end", o->end);
        add_number_or_null(row, "lag", group_offset_lag(o));
        add_seconds(row, waits[i]);
        node_add_cstr(row, "client", o->owner);
    }
    add_members(k, node_add_list(one, "members"), &g);
    return CLI_OK;
}

static int need_groups(const struct cli_args *a)
{
    return a->operand_count > 0
               ? CLI_OK
               : problem(CLI_USAGE, cli_text(a, "odradek %s needs the name of a group", a->words),
                         NULL, cli_text(a, "odradek help %s   explains it", a->words));
}

int command_group_info(const struct cli_args *a)
{
    int code = need_groups(a);
    struct kafka *k = code == CLI_OK ? kafka_open(a, &code) : NULL;
    struct node *list = node_list(a->arena);
    for (u32 i = 0; i < a->operand_count && code == CLI_OK; i++) {
        code = group_add_info(k, list, a->operands[i]);
    }
    kafka_close(k);
    return code != CLI_OK ? code : out_print(a, list, &info_view);
}

/* ---- rm -------------------------------------------------------------------------------------- */

static int delete_group(struct kafka *k, struct change *change, const char *id)
{
    const struct cli_args *a = kafka_args(k);
    struct group g;
    int code = group_read(k, id, GROUP_COMMITTED, &g);
    if (code != CLI_OK || !g.exists) {
        return code != CLI_OK ? code : group_unknown(k, id);
    }
    if (group_is_active(&g)) {
        return group_refuse_active(k, &g, "deleted");
    }
    if (!change->dry) {
        struct slice name = slice_cstr(id);
        struct delete_groups_request request = {.groups_names = {.items = &name, .count = 1}};
        struct delete_groups_response response;
        code = kafka_ask(k, API_delete_groups, 3, &request, &response);
        if (code != CLI_OK) {
            return code;
        }
        if (response.results.count != 1 || response.results.items[0].error_code != KERR_NONE) {
            bool told = response.results.count == 1;
            return problem_of_kafka(
                a, cli_text(a, "cannot delete group \"%s\"", id),
                told ? response.results.items[0].error_code : (i16)KERR_UNKNOWN_SERVER_ERROR,
                told ? response.results.items[0].error_message : (struct slice){0});
        }
    }
    const char *undo =
        g.offset_count == 0
            ? NULL
            : cli_text(a, "odradek group rewind %s --offsets %s", change_quoted(a, slice_cstr(id)),
                       change_quoted(a, slice_cstr(group_offsets_text(a, &g))));
    change_done(change, "delete", "group", id, undo);
    return CLI_OK;
}

int command_group_rm(const struct cli_args *a)
{
    int code = need_groups(a);
    if (code != CLI_OK) {
        return code;
    }
    struct change change = change_begin(a);
    for (u32 i = 0; i < a->operand_count && change.code == CLI_OK; i++) {
        const char *id = a->operands[i];
        if (!change_confirmed(a, cli_text(a, "deletes group \"%s\" and its offsets", id), id)) {
            return CLI_USAGE;
        }
    }
    struct kafka *k = change.code == CLI_OK ? kafka_open(a, &change.code) : NULL;
    for (u32 i = 0; k != NULL && i < a->operand_count; i++) {
        change_failed(&change, delete_group(k, &change, a->operands[i]));
    }
    kafka_close(k);
    return change_end(&change);
}
