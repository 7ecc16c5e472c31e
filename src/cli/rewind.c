/* odradek group rewind: moves the committed offsets of a group that nobody is a member of. The
   happy path: read the group, choose its partitions, find where each goes, commit, print the moves
   and the command that moves them back. */
#include "cli/change.h"
#include "cli/commands.h"
#include "cli/group.h"
#include "cli/out.h"
#include "cli/parse.h"
#include "cli/problem.h"

#include <poll.h>
#include <string.h>

enum target { TO_START, TO_END, TO_OFFSET, TO_TIME, BY, OFFSETS };
enum { NONE = -1 }; /* no committed offset */
enum { RETRY_MS = 50 };

struct move {
    struct slice topic;
    i32 partition;
    i64 from; /* NONE: nothing is committed */
    i64 to;   /* NONE: forget what is committed */
    i64 start;
    i64 end;
};
struct rewind {
    const struct cli_args *args;
    struct kafka *k;
    enum target target;
    i64 value; /* offset, time in ms, or difference */
    const char *topic;
    i64 partition; /* -1: all */
    struct group group;
    struct move *moves;
    u32 count;
};

/* ---- what is asked for ----------------------------------------------------------------------- */

static const struct {
    const char *option;
    enum target target;
} target_rows[] = {{"to-start", TO_START}, {"to-end", TO_END}, {"to", TO_OFFSET},
                   {"to-time", TO_TIME},   {"by", BY},         {"offsets", OFFSETS}};

static int parse_target(struct rewind *r, const char *option, const char *text)
{
    const struct cli_args *a = r->args;
    if (r->target == TO_OFFSET && !parse_number(text, 0, INT64_MAX, &r->value)) {
        return problem_of_value(a, option, text, "an offset");
    }
    if (r->target == BY &&
        !parse_number(text[0] == '+' ? text + 1 : text, INT64_MIN / 2, INT64_MAX / 2, &r->value)) {
        return problem_of_value(a, option, text, "a number of records, as -100 or 5");
    }
    if (r->target == TO_TIME && !parse_time(text, wall_ms(), &r->value)) {
        return problem_of_value(a, option, text,
                                "a time as -1h, 2026-11-22T10:00 (UTC) or @1795341600000");
    }
    return CLI_OK;
}

static int parse_request(struct rewind *r)
{
    const struct cli_args *a = r->args;
    u32 found = 0;
    int code = CLI_OK;
    for (u32 i = 0; i < ARRAY_LEN(target_rows); i++) {
        if (cli_flag(a, target_rows[i].option)) {
            found++;
            r->target = target_rows[i].target;
            code = parse_target(r, target_rows[i].option, cli_value(a, target_rows[i].option));
        }
    }
    if (a->operand_count != 1 || found != 1) {
        return problem(
            CLI_USAGE, "odradek group rewind needs one group and one place to go to", NULL,
            "--to-start, --to-end, --to OFFSET, --to-time TIME, --by N or --offsets LIST");
    }
    r->topic = cli_value(a, "topic");
    r->partition = -1;
    const char *text = cli_value(a, "partition");
    if (text != NULL && !parse_number(text, 0, INT32_MAX, &r->partition)) {
        return problem_of_value(a, "partition", text, "the number of a partition");
    }
    if (text != NULL && r->topic == NULL) {
        return problem(CLI_USAGE, "--partition needs --topic: the partition of which topic?", NULL,
                       NULL);
    }
    if (r->target == OFFSETS && (r->topic != NULL || text != NULL)) {
        return problem(CLI_USAGE, "--offsets names its topics and partitions itself", NULL, NULL);
    }
    return code;
}

/* ---- which partitions ------------------------------------------------------------------------ */

static i64 committed_of(const struct rewind *r, struct slice topic, i32 partition)
{
    for (u32 i = 0; i < r->group.offset_count; i++) {
        const struct group_offset *o = &r->group.offsets[i];
        if (o->partition == partition && slice_eq(o->topic, topic)) {
            return o->committed;
        }
    }
    return NONE;
}

/* Those of one topic, whether committed or not. */
static int choose_topic(struct rewind *r)
{
    struct metadata_response topics;
    int code = kafka_topics(r->k, r->topic, &topics);
    if (code != CLI_OK) {
        return code;
    }
    u32 count = topics.topics.items[0].partitions.count;
    if (r->partition >= (i64)count) {
        return problem(CLI_NOT_FOUND,
                       cli_text(r->args, "topic \"%s\" has no partition %lld", r->topic,
                                (long long)r->partition),
                       cli_text(r->args, "it has %u, from 0", count), NULL);
    }
    r->moves = arena_array(r->args->arena, count + 1, sizeof *r->moves);
    for (u32 p = 0; p < count; p++) {
        if (r->partition < 0 || r->partition == (i64)p) {
            struct slice topic = slice_cstr(r->topic);
            r->moves[r->count++] = (struct move){
                .topic = topic, .partition = (i32)p, .from = committed_of(r, topic, (i32)p)};
        }
    }
    return CLI_OK;
}

static int choose_committed(struct rewind *r)
{
    const struct group *g = &r->group;
    r->moves = arena_array(r->args->arena, g->offset_count + 1, sizeof *r->moves);
    for (u32 i = 0; i < g->offset_count; i++) {
        if (g->offsets[i].end >= 0) {
            r->moves[r->count++] = (struct move){.topic = g->offsets[i].topic,
                                                 .partition = g->offsets[i].partition,
                                                 .from = g->offsets[i].committed};
        }
    }
    return r->count > 0 ? CLI_OK
                        : problem(CLI_NOT_FOUND,
                                  cli_text(r->args, "group \"%s\" has committed nothing", g->id),
                                  NULL, "--topic says which topic's offsets are to be set");
}

/* "orders:0=5,orders:1=none". A topic's name has no colon. */
static int choose_listed(struct rewind *r, const char *text)
{
    u32 cap = 1;
    for (const char *at = text; *at != 0; at++) {
        cap += *at == ',';
    }
    r->moves = arena_array(r->args->arena, cap, sizeof *r->moves);
    while (*text != 0) {
        size_t len = strcspn(text, ",");
        const char *one = cli_text(r->args, "%.*s", (int)len, text);
        const char *colon = strchr(one, ':');
        const char *equals = colon != NULL ? strchr(colon, '=') : NULL;
        i64 partition = -1;
        i64 to = NONE;
        bool good =
            equals != NULL && colon > one &&
            parse_number(cli_text(r->args, "%.*s", (int)(equals - colon - 1), colon + 1), 0,
                         INT32_MAX, &partition) &&
            (strcmp(equals + 1, "none") == 0 || parse_number(equals + 1, 0, INT64_MAX, &to));
        if (!good) {
            return problem_of_value(r->args, "offsets", one, "TOPIC:PARTITION=OFFSET or =none");
        }
        struct slice topic = slice_of(one, (size_t)(colon - one));
        r->moves[r->count++] = (struct move){.topic = topic,
                                             .partition = (i32)partition,
                                             .from = committed_of(r, topic, (i32)partition),
                                             .to = to};
        text += len + (text[len] == ',');
    }
    return CLI_OK;
}

/* ---- where they go --------------------------------------------------------------------------- */

static int find_place(struct rewind *r, struct move *m)
{
    i64 at = -1;
    int code = kafka_offset(r->k, m->topic, m->partition, KAFKA_START, &m->start);
    code = code != CLI_OK ? code : kafka_offset(r->k, m->topic, m->partition, KAFKA_END, &m->end);
    if (code == CLI_OK && r->target == TO_TIME) {
        code = kafka_offset(r->k, m->topic, m->partition, MAX(r->value, 0), &at);
    }
    if (code != CLI_OK || (r->target == OFFSETS && m->to == NONE)) {
        return code;
    }
    if (r->target == BY && m->from == NONE) {
        return problem(CLI_FAILED,
                       cli_text(r->args,
                                "there is nothing to move by %lld in topic \"%.*s\", partition %d",
                                (long long)r->value, (int)m->topic.len, (const char *)m->topic.ptr,
                                m->partition),
                       "the group has committed no offset there", "--to OFFSET sets one");
    }
    i64 wanted = r->target == TO_START    ? m->start
                 : r->target == TO_END    ? m->end
                 : r->target == TO_TIME   ? (at < 0 ? m->end : at)
                 : r->target == BY        ? m->from + r->value
                 : r->target == TO_OFFSET ? r->value
                                          : m->to;
    m->to = MIN(MAX(wanted, m->start), m->end); /* what is not there cannot be read */
    return CLI_OK;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static int check_each(struct rewind *r, struct slice topic, i32 partition, i16 error)
{
    return error == KERR_NONE
               ? CLI_OK
               : problem_of_kafka(
                     r->args,
                     cli_text(r->args, "the offset of topic \"%.*s\", partition %d, did not move",
                              (int)topic.len, (const char *)topic.ptr, partition),
                     error, (struct slice){0});
}

/* The first group of a new cluster, and any of a broker that has just started, have no coordinator
   for a moment: asking for it is what makes it. */
static int await_coordinator(struct rewind *r)
{
    i64 end_ms = wall_ms() + r->args->timeout_ms;
    struct find_coordinator_request request = {.key = slice_cstr(r->group.id)};
    struct find_coordinator_response response = {0};
    for (;;) {
        int code = kafka_ask(r->k, API_find_coordinator, 3, &request, &response);
        bool soon = response.error_code == KERR_COORDINATOR_NOT_AVAILABLE ||
                    response.error_code == KERR_COORDINATOR_LOAD_IN_PROGRESS;
        if (code != CLI_OK || response.error_code == KERR_NONE) {
            return code;
        }
        if (!soon || wall_ms() >= end_ms) {
            return problem_of_kafka(r->args, "the group has no coordinator", response.error_code,
                                    response.error_message);
        }
        poll(NULL, 0, RETRY_MS);
    }
}

static int commit_offsets(struct rewind *r)
{
    struct arena *arena = r->args->arena;
    struct offset_commit_request request;
    wire_init(&offset_commit_request_struct, &request);
    request.group_id = slice_cstr(r->group.id);
    request.member_id = WIRE_EMPTY;
    request.topics.items = wire_new(&offset_commit_request_topic_struct, arena, r->count + 1);
    for (u32 i = 0; i < r->count; i++) {
        if (r->moves[i].to == NONE) {
            continue;
        }
        struct offset_commit_request_partition *p =
            wire_new(&offset_commit_request_partition_struct, arena, 1);
        p->partition_index = r->moves[i].partition;
        p->committed_offset = r->moves[i].to;
        p->committed_metadata = WIRE_EMPTY;
        struct offset_commit_request_topic *t = &request.topics.items[request.topics.count++];
        t->name = r->moves[i].topic;
        t->partitions.items = p;
        t->partitions.count = 1;
    }
    struct offset_commit_response response = {0};
    int code = request.topics.count == 0
                   ? CLI_OK
                   : kafka_ask(r->k, API_offset_commit, 9, &request, &response);
    for (u32 t = 0; code == CLI_OK && t < response.topics.count; t++) {
        for (u32 p = 0; p < response.topics.items[t].partitions.count && code == CLI_OK; p++) {
            code = check_each(r, response.topics.items[t].name,
                              response.topics.items[t].partitions.items[p].partition_index,
                              response.topics.items[t].partitions.items[p].error_code);
        }
    }
    return code;
}

static int forget_offsets(struct rewind *r)
{
    struct arena *arena = r->args->arena;
    struct offset_delete_request request = {.group_id = slice_cstr(r->group.id)};
    request.topics.items = wire_new(&offset_delete_request_topic_struct, arena, r->count + 1);
    for (u32 i = 0; i < r->count; i++) {
        if (r->moves[i].to != NONE || r->moves[i].from == NONE) {
            continue;
        }
        struct offset_delete_request_partition *p =
            wire_new(&offset_delete_request_partition_struct, arena, 1);
        p->partition_index = r->moves[i].partition;
        struct offset_delete_request_topic *t = &request.topics.items[request.topics.count++];
        t->name = r->moves[i].topic;
        t->partitions.items = p;
        t->partitions.count = 1;
    }
    struct offset_delete_response response = {0};
    int code = request.topics.count == 0
                   ? CLI_OK
                   : kafka_ask(r->k, API_offset_delete, 0, &request, &response);
    if (code == CLI_OK && response.error_code != KERR_NONE) {
        code = problem_of_kafka(r->args, "offsets could not be forgotten", response.error_code,
                                (struct slice){0});
    }
    for (u32 t = 0; code == CLI_OK && t < response.topics.count; t++) {
        for (u32 p = 0; p < response.topics.items[t].partitions.count && code == CLI_OK; p++) {
            code = check_each(r, response.topics.items[t].name,
                              response.topics.items[t].partitions.items[p].partition_index,
                              response.topics.items[t].partitions.items[p].error_code);
        }
    }
    return code;
}

/* ---- saying so ------------------------------------------------------------------------------- */

static const struct column rewind_columns[] = {
    {"group", "GROUP", COLUMN_NAME}, {"result", "RESULT", 0}, {0}};
static const struct column move_columns[] = {{"topic", "TOPIC", 0},
                                             {"partition", "PARTITION", 0},
                                             {"from", "FROM", 0},
                                             {"to", "TO", 0},
                                             {"start", "START", COLUMN_WIDE},
                                             {"end", "END", 0},
                                             {0}};
static const struct view rewind_view = {.columns = rewind_columns,
                                        .tables = {{"partitions", move_columns}}};

static void add_offset(struct node *to, const char *key, i64 offset)
{
    if (offset == NONE) {
        node_add_null(to, key);
    } else {
        node_add_number(to, key, offset);
    }
}

static int print_moves(struct rewind *r, bool dry)
{
    const struct cli_args *a = r->args;
    struct group before = {.id = r->group.id,
                           .offsets = arena_array(a->arena, r->count + 1, sizeof *before.offsets),
                           .offset_count = r->count};
    struct node *one = node_object(a->arena);
    node_add_cstr(one, "group", r->group.id);
    node_add_cstr(one, "result", dry ? "would rewind" : "rewound");
    struct node *list = node_add_list(one, "partitions");
    for (u32 i = 0; i < r->count; i++) {
        const struct move *m = &r->moves[i];
        struct node *row = node_add_object(list, NULL);
        node_add_text(row, "topic", m->topic);
        node_add_number(row, "partition", m->partition);
        add_offset(row, "from", m->from);
        add_offset(row, "to", m->to);
        node_add_number(row, "start", m->start);
        node_add_number(row, "end", m->end);
        before.offsets[i] = (struct group_offset){
            .topic = m->topic, .partition = m->partition, .committed = m->from};
    }
    const char *undo = cli_text(a, "odradek group rewind %s --offsets %s",
                                change_quoted(a, slice_cstr(r->group.id)),
                                change_quoted(a, slice_cstr(group_offsets_text(a, &before))));
    node_add_cstr(one, "undo", undo);
    int code = out_print(a, one, &rewind_view);
    enum out_format format;
    if (code == CLI_OK && !dry && out_format_parse(a, &format) && format <= OUT_WIDE) {
        fflush(stdout);
        fprintf(stderr, "  undo: %s\n", undo);
    }
    return code;
}

static int rewind_group(struct rewind *r)
{
    const char *id = r->args->operands[0];
    int code = group_read(r->k, id, GROUP_COMMITTED, &r->group);
    if (code != CLI_OK) {
        return code;
    }
    if (!r->group.exists && r->topic == NULL && r->target != OFFSETS) {
        return group_unknown(r->k, id);
    }
    bool dry = cli_flag(r->args, "dry-run");
    if (group_is_active(&r->group)) {
        return group_refuse_active(r->k, &r->group, "rewound");
    }
    code = r->target == OFFSETS ? choose_listed(r, cli_value(r->args, "offsets"))
           : r->topic != NULL   ? choose_topic(r)
                                : choose_committed(r);
    for (u32 i = 0; i < r->count && code == CLI_OK; i++) {
        code = find_place(r, &r->moves[i]);
    }
    if (code == CLI_OK && !dry) {
        code = await_coordinator(r);
        code = code != CLI_OK ? code : commit_offsets(r);
        code = code != CLI_OK ? code : forget_offsets(r);
    }
    return code != CLI_OK ? code : print_moves(r, dry);
}

int command_group_rewind(const struct cli_args *a)
{
    struct rewind r = {.args = a};
    enum out_format format;
    int code = parse_request(&r);
    if (code != CLI_OK || !out_format_parse(a, &format)) {
        return CLI_USAGE;
    }
    r.k = kafka_open(a, &code);
    code = r.k == NULL ? code : rewind_group(&r);
    kafka_close(r.k);
    return code;
}
