/* CreatePartitions (API key 37): raises the number of partitions of topics
   [ReplicationControlManager]. `count` is the new total. */
#include "broker/change.h"
#include "broker/conn.h"
#include "broker/repeats.h"
#include "broker/topics.h"

struct create_partitions {
    struct change change;
    struct request *r;
    struct create_partitions_response response;
    u8 *repeats; /* of the topics' names */
    u32 planned; /* partitions of the topics that passed */
};

static void refuse(struct create_partitions_response_topic_result *row, i16 kerr,
                   const char *message)
{
    row->error_code = kerr;
    row->error_message = slice_cstr(message);
}

static bool assignments_ok(const struct create_partitions_request_topic *q, u32 added,
                           struct create_partitions_response_topic_result *row)
{
    if (q->assignments.is_null) {
        return true;
    }
    if (q->assignments.count != added) {
        refuse(row, KERR_INVALID_REPLICA_ASSIGNMENT,
               "Every added partition needs one replica list, and no other.");
        return false;
    }
    for (u32 i = 0; i < q->assignments.count; i++) {
        const struct i32_array *ids = &q->assignments.items[i].broker_ids;
        if (ids->count != 1 || ids->items[0] != BROKER_NODE_ID) {
            refuse(row, KERR_INVALID_REPLICA_ASSIGNMENT,
                   "The replica list must name the one broker there is.");
            return false;
        }
    }
    return true;
}

static void raise_one(struct create_partitions *c, const struct create_partitions_request *q,
                      u32 index)
{
    struct request *r = c->r;
    const struct create_partitions_request_topic *in = &q->topics.items[index];
    struct create_partitions_response_topic_result *row = &c->response.results.items[index];
    row->name = in->name;
    if (c->repeats[index] != REPEAT_NONE) {
        refuse(row, KERR_INVALID_REQUEST, "Duplicate topic name.");
        return;
    }
    i16 kerr;
    const struct meta_topic *t = request_topic(r, in->name, (struct uuid){{0}}, false, &kerr);
    if (t == NULL) {
        refuse(row, kerr,
               topic_unknown(r, in->name, "This server does not host this topic-partition.",
                             q->topics.count));
        return;
    }
    if (in->count == (i32)t->partition_count) {
        row->error_code = KERR_INVALID_PARTITIONS;
        row->error_message = slice_cstr(
            arena_printf(&r->arena, "Topic already has %u partition(s).", t->partition_count));
        return;
    }
    if (in->count < (i32)t->partition_count) {
        row->error_code = KERR_INVALID_PARTITIONS;
        row->error_message = slice_cstr(arena_printf(
            &r->arena, "The topic currently has %u partition(s); %d would not be an increase.",
            t->partition_count, in->count));
        return;
    }
    u32 added = (u32)in->count - t->partition_count;
    const char *problem = partitions_problem(r, (u32)in->count, added, c->planned);
    if (problem != NULL) {
        refuse(row, KERR_INVALID_PARTITIONS, problem);
        return;
    }
    if (!assignments_ok(in, added, row) || q->validate_only) {
        return;
    }
    struct meta_command *m = change_add(&c->change, META_CREATE_PARTITIONS, index);
    m->create_partitions.id = t->id;
    m->create_partitions.partition_count = (u32)in->count;
    c->planned += added;
}

static void raise_outcome(struct change *change, u32 row, i16 kerr)
{
    CONTAINER_OF(change, struct create_partitions, change)->response.results.items[row].error_code =
        kerr;
}

static void raise_answer(struct change *change)
{
    struct create_partitions *c = CONTAINER_OF(change, struct create_partitions, change);
    request_reply_explained(c->r, &c->response);
}

void handle_create_partitions(struct request *r)
{
    const struct create_partitions_request *q = r->body;
    u32 count = q->topics.count;
    struct create_partitions *c = request_alloc(r, sizeof *c);
    if (c == NULL) {
        request_fail(r);
        return;
    }
    c->r = r;
    wire_init(&create_partitions_response_struct, &c->response);
    c->response.results.items =
        wire_new(&create_partitions_response_topic_result_struct, &r->arena, count);
    c->response.results.count = count;
    c->repeats = REPEATS_OF_NAMES(&r->arena, q->topics, name);
    if (!change_init(&c->change, r, count) || r->arena.exhausted) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        raise_one(c, q, i);
    }
    c->change.outcome = raise_outcome;
    c->change.answer = raise_answer;
    change_commit(&c->change);
}
