/* CreateTopics (API key 19): every check of kafka-semantics.md 9, then one metadata slot for all
   that passed. The answer leaves when the topics are durable, and a Produce to them succeeds from
   then on. [ReplicationControlManager] */
#include "broker/change.h"
#include "broker/config_rows.h"
#include "broker/conn.h"
#include "broker/repeats.h"
#include "broker/topics.h"

enum { CONFIGS_FROM = 5, DEFAULTS_FROM = 4 };

struct create_topics {
    struct change change;
    struct request *r;
    const struct create_topics_request *q;
    struct create_topics_response response;
    struct topic_draft *drafts;
    u8 *repeats; /* of the topics' names */
    u32 planned; /* partitions of the topics that passed */
};

static void refuse(struct topic_draft *d, i16 kerr, const char *message)
{
    d->kerr = kerr;
    d->message = message;
}

/* Replica lists given by hand: partitions 0..n-1 once each, lists of one size, without repeats, of
   brokers that exist: which leaves {1}. */
static void check_assignments(struct request *r,
                              const struct create_topics_request_creatable_topic *t,
                              struct topic_draft *d)
{
    if (t->num_partitions != -1) {
        refuse(d, KERR_INVALID_REQUEST,
               "A manual partition assignment was specified, but numPartitions was not set to -1.");
        return;
    }
    if (t->replication_factor != -1) {
        refuse(d, KERR_INVALID_REQUEST,
               "A manual partition assignment was specified, but replication factor was not set to "
               "-1.");
        return;
    }
    u32 count = t->assignments.count;
    bool *seen_index = arena_alloc(&r->arena, count);
    if (seen_index == NULL) {
        refuse(d, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    u32 factor = t->assignments.items[0].broker_ids.count;
    for (u32 i = 0; i < count; i++) {
        const struct create_topics_request_creatable_replica_assignment *a =
            &t->assignments.items[i];
        if (a->partition_index < 0 || (u32)a->partition_index >= count ||
            seen_index[a->partition_index]) {
            refuse(d, KERR_INVALID_REPLICA_ASSIGNMENT,
                   "partitions should be a consecutive 0-based integer sequence, each named once.");
            return;
        }
        seen_index[a->partition_index] = true;
        if (a->broker_ids.count == 0 || a->broker_ids.count != factor) {
            refuse(d, KERR_INVALID_REPLICA_ASSIGNMENT,
                   "Every partition needs a replica list, all of the same size.");
            return;
        }
        for (u32 k = 0; k < factor; k++) {
            if (k > 0) {
                refuse(d, KERR_INVALID_REPLICA_ASSIGNMENT,
                       "The manual partition assignment names more brokers than there are.");
                return;
            }
            if (a->broker_ids.items[k] != BROKER_NODE_ID) {
                refuse(d, KERR_INVALID_REPLICA_ASSIGNMENT,
                       arena_printf(&r->arena,
                                    "The manual partition assignment names broker %d, but there is "
                                    "no such broker.",
                                    a->broker_ids.items[k]));
                return;
            }
        }
    }
    d->partition_count = count;
    d->replication_factor = (i16)factor;
}

static void check_counts(struct request *r, const struct create_topics_request_creatable_topic *t,
                         struct topic_draft *d)
{
    const struct config *config = r->broker->config;
    if (t->replication_factor == -1) {
        d->replication_factor = (i16)config_i64(config, CONFIG_default_replication_factor);
    } else if (t->replication_factor <= 0) {
        refuse(d, KERR_INVALID_REPLICATION_FACTOR,
               "Replication factor must be larger than 0, or -1 to use the default.");
        return;
    } else {
        d->replication_factor = t->replication_factor;
    }
    if (t->num_partitions == -1) {
        d->partition_count = (u32)config_i64(config, CONFIG_num_partitions);
    } else if (t->num_partitions <= 0) {
        refuse(d, KERR_INVALID_PARTITIONS,
               "Number of partitions was set to an invalid non-positive value.");
        return;
    } else {
        d->partition_count = (u32)t->num_partitions;
    }
}

static void check_configs(struct request *r, const struct create_topics_request_creatable_topic *t,
                          struct topic_draft *d)
{
    struct meta_config *configs = arena_array(&r->arena, t->configs.count, sizeof *configs);
    char *reason = arena_alloc(&r->arena, 512);
    if ((configs == NULL && t->configs.count > 0) || reason == NULL) {
        refuse(d, KERR_UNKNOWN_SERVER_ERROR, "Out of memory for this request.");
        return;
    }
    u32 count = 0;
    for (u32 i = 0; i < t->configs.count; i++) {
        struct slice name = t->configs.items[i].name;
        if (t->configs.items[i].value.ptr == NULL) {
            refuse(d, KERR_INVALID_CONFIG,
                   arena_printf(&r->arena, "Null value not supported for topic configs: %.*s",
                                (int)MIN(name.len, (size_t)128), (const char *)name.ptr));
            return;
        }
        if (config_row_find(CONFIG_SCOPE_TOPIC, name) < 0) {
            refuse(d, topic_config_check(r->broker->config, name, WIRE_EMPTY, reason, 512), reason);
            return;
        }
        u32 at = 0; /* a key given twice: the last value counts */
        while (at < count && !slice_eq(configs[at].key, name)) {
            at++;
        }
        configs[at] = (struct meta_config){.key = name, .value = t->configs.items[i].value};
        count = MAX(count, at + 1);
    }
    for (u32 i = 0; i < count; i++) {
        i16 kerr =
            topic_config_check(r->broker->config, configs[i].key, configs[i].value, reason, 512);
        if (kerr != KERR_NONE) {
            refuse(d, kerr, reason);
            return;
        }
    }
    i16 kerr = topic_configs_check(r->broker->config, configs, count, reason, 512);
    if (kerr != KERR_NONE) {
        refuse(d, kerr, reason);
        return;
    }
    d->configs = configs;
    d->config_count = count;
}

static void draft(struct create_topics *c, u32 index)
{
    struct request *r = c->r;
    const struct create_topics_request_creatable_topic *t = &c->q->topics.items[index];
    struct topic_draft *d = &c->drafts[index];
    d->name = t->name;
    d->planned = c->planned;
    if (c->repeats[index] != REPEAT_NONE) {
        refuse(d, KERR_INVALID_REQUEST, "Duplicate topic name.");
        return;
    }
    if (slice_eq_cstr(t->name, "__cluster_metadata")) {
        refuse(d, KERR_INVALID_REQUEST,
               "Creation of internal topic __cluster_metadata is prohibited.");
        return;
    }
    topic_draft_check(
        r, d); /* the name comes first: an existing topic is told as such whatever else is wrong */
    if (d->kerr == KERR_NONE) {
        check_configs(r, t, d);
    }
    if (d->kerr == KERR_NONE && t->assignments.count > 0) {
        check_assignments(r, t, d);
    } else if (d->kerr == KERR_NONE) {
        check_counts(r, t, d);
    }
    if (d->kerr == KERR_NONE) {
        topic_draft_check(r, d);
    }
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* The topic's own values as they were typed: here Kafka does not print what it has understood. */
static struct slice as_given(const struct topic_draft *d, const struct config_entry *entry)
{
    for (u32 i = 0; i < d->config_count && entry->source == CONFIG_SOURCE_TOPIC; i++) {
        if (slice_eq(d->configs[i].key, entry->name)) {
            return d->configs[i].value;
        }
    }
    return entry->value;
}

static bool fill_configs(struct request *r, const struct topic_draft *d,
                         struct create_topics_response_creatable_topic_result *row)
{
    struct config_entry *entries;
    u32 count;
    if (config_describe_topic(r->broker->config, cluster_meta(r->broker->cluster), d->configs,
                              d->config_count, &r->arena, &entries, &count) != OK) {
        return false;
    }
    row->configs.items =
        wire_new(&create_topics_response_creatable_topic_configs_struct, &r->arena, count);
    if (row->configs.items == NULL) {
        return false;
    }
    row->configs.count = count;
    row->configs.is_null = false;
    for (u32 i = 0; i < count; i++) {
        row->configs.items[i].name = entries[i].name;
        row->configs.items[i].value = as_given(d, &entries[i]);
        row->configs.items[i].read_only = entries[i].read_only;
        row->configs.items[i].config_source = (i8)entries[i].source;
        row->configs.items[i].is_sensitive = entries[i].sensitive;
    }
    return true;
}

static void create_answer(struct change *change)
{
    struct create_topics *c = CONTAINER_OF(change, struct create_topics, change);
    struct request *r = c->r;
    for (u32 i = 0; i < c->q->topics.count; i++) {
        struct topic_draft *d = &c->drafts[i];
        struct create_topics_response_creatable_topic_result *row = &c->response.topics.items[i];
        row->error_code = d->kerr;
        row->error_message = d->message != NULL ? slice_cstr(d->message) : (struct slice){0};
        if (d->kerr != KERR_NONE) {
            row->configs.is_null = false;
            row->topic_id = (struct uuid){{0}};
            continue;
        }
        row->num_partitions = (i32)d->partition_count;
        row->replication_factor = d->replication_factor;
        if (r->version >= CONFIGS_FROM && !fill_configs(r, d, row)) {
            request_fail(r);
            return;
        }
    }
    request_reply_explained(r, &c->response);
}

static void create_outcome(struct change *change, u32 row, i16 kerr)
{
    struct topic_draft *d = &CONTAINER_OF(change, struct create_topics, change)->drafts[row];
    d->kerr = kerr;
    d->message = kerr == KERR_KAFKA_STORAGE_ERROR ? "The metadata log could not be written." : NULL;
}

static void add_command(struct create_topics *c, u32 index)
{
    const struct topic_draft *d = &c->drafts[index];
    struct meta_command *m = change_add(&c->change, META_CREATE_TOPIC, index);
    io_random(c->r->broker->io, &m->create_topic.id, sizeof m->create_topic.id);
    m->create_topic.name = d->name;
    m->create_topic.partition_count = d->partition_count;
    m->create_topic.replication_factor = d->replication_factor;
    m->create_topic.configs = d->configs;
    m->create_topic.config_count = d->config_count;
    c->response.topics.items[index].topic_id = m->create_topic.id;
}

void handle_create_topics(struct request *r)
{
    const struct create_topics_request *q = r->body;
    u32 count = q->topics.count;
    struct create_topics *c = request_alloc(r, sizeof *c);
    if (c == NULL) {
        request_fail(r);
        return;
    }
    c->r = r;
    c->q = q;
    wire_init(&create_topics_response_struct, &c->response);
    c->drafts = arena_array(&r->arena, count, sizeof *c->drafts);
    c->response.topics.items =
        wire_new(&create_topics_response_creatable_topic_result_struct, &r->arena, count);
    c->response.topics.count = count;
    c->repeats = REPEATS_OF_NAMES(&r->arena, q->topics, name);
    if (!change_init(&c->change, r, count) || r->arena.exhausted) {
        request_fail(r);
        return;
    }
    for (u32 i = 0; i < count; i++) {
        c->response.topics.items[i].name = q->topics.items[i].name;
        c->response.topics.items[i].configs.is_null = true;
        draft(c, i);
        if (c->drafts[i].kerr != KERR_NONE) {
            continue;
        }
        c->planned += c->drafts[i].partition_count;
        if (!q->validate_only) {
            add_command(c, i);
        }
    }
    c->change.outcome = create_outcome;
    c->change.answer = create_answer;
    change_commit(&c->change);
}
