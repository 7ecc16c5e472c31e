/* Requests that make sense, or nearly. The fields of a request are filled along its tables; what a
   field may hold is a row below, good values and bad ones, so that a new API needs a few rows and
   no code. Words in braces stand for what was agreed or learned before:

     {topic} {new} {topic_id}   a topic of `run`; one that comes and goes; the id of a topic
     {group} {member} {generation}   of the groups of this episode
     {config} {value}           a config's name, and a value for it
     {resource}                 a name that fits the resource type just chosen
     {batch} {producer}         a record batch; a producer id
     {session}                  a fetch session
     {null} {empty} {long}      null; empty; 300 letters

   A name with # in front is an array of structs, its values are counts. */
#include "judge.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const base_topics[] = {"plain", "codecs", "compact", "appendtime", "small", "empty"};
const u32 base_topic_count = ARRAY_LEN(base_topics);

struct rule {
    const char *where; /* pattern for the struct's name */
    const char *field; /* pattern */
    const char *good;
    const char *bad;
};

#define TOPIC_BAD "nowhere|{empty}|a b|.|{long}|t1"

static const struct rule rules[] = {
    /* Topics that are made, changed and deleted. Not more replicas than one, which we accept and do
       not have, and not more partitions than Kafka takes in one request: then the two would not
       have the same topics any more. */
    {"create_topics_request_creatable_topic", "name", "{new}", TOPIC_BAD "|plain|..|a/b"},
    {"create_topics_request_creatable_topic", "num_partitions", "1|2|3|-1", "0|-2"},
    {"create_topics_request_creatable_topic", "replication_factor", "1|-1", "0|-2"},
    {"create_topics_request_creatable_topic", "#assignments", "0", "1|2"},
    {"create_topics_request_creatable_topic", "#configs", "0|1|2", "1|2"},
    {"create_topics_request_creatable_replica_assignment", "partition_index", "0|1", "5|-1"},
    {"*", "broker_ids", "1", "2|-1"},
    {"create_topics_request", "#topics", "1|2|3", "0|1|2"},
    {"delete_topics_request*", "*name*", "{new}", TOPIC_BAD},
    {"delete_topics_request_topic_state", "topic_id", "{topic_id}", "{random}|{zero}"},
    {"create_partitions_request_topic", "name", "{new}", TOPIC_BAD},
    {"create_partitions_request_topic", "count", "2|3|4|5", "0|-1|1"},
    {"create_partitions_request_topic", "#assignments", "{null}", "0|1|2"},
    /* Configs. */
    {"*configs_request_resource", "resource_type", "2|2|2|4|32", "0|8|16|1|99|-1"},
    {"*configs_request_resource", "resource_name", "{resource}", "nowhere|{empty}|7|x"},
    {"*alter_configs_request_resource", "#configs", "1|1|2", "0|1"},
    {"*", "config_operation", "0|1", "2|3|4|-1"},
    {"*", "configuration_keys", "{config}", "nowhere|{empty}|{long}"},
    {"*config*", "name", "{config}", "nowhere|{empty}"},
    {"*config*", "value", "{value}", "{null}|x|-5|{empty}"},
    {"list_config_resources_request", "resource_types", "2|4|16|32", "0|8|1|99"},
    /* Produce and Fetch. */
    {"produce_request", "transactional_id", "{null}", "{null}|txn|{empty}"},
    {"produce_request", "acks", "-1|1|-1|0", "2|-2|100"},
    {"*", "records", "{batch}", "{batch}"},
    {"produce_request*", "*index", "0|1|2", "3|-1"},
    {"fetch_request", "replica_id", "-1", "-1"},
    {"fetch_request*", "replica_epoch", "-1", "-1"},
    {"fetch_request_replica_state", "replica_id", "-1", "-1"},
    {"fetch_request", "max_wait_ms", "0|0|10", "-1|0"},
    {"fetch_request", "min_bytes", "0|1", "-1|1000000"},
    {"fetch_request", "max_bytes", "1048576|200|1", "-1|0"},
    {"fetch_request", "session_epoch", "-1|-1|-1|-1|0", "1|5|-2"},
    {"fetch_request", "session_id", "0|0|0|{session}", "2147480077|-1"},
    {"fetch_request", "#forgotten_topics_data", "0", "1"},
    {"fetch_request_partition", "fetch_offset", "0|1|3|7", "-1|1000000|9223372036854775807"},
    {"fetch_request_partition", "partition_max_bytes", "1048576|100|1", "-1|0"},
    {"fetch_request_partition", "last_fetched_epoch", "-1", "-1"},
    {"fetch_request_partition", "high_watermark", "9223372036854775807|0", "-1"},
    {"fetch_request_partition", "log_start_offset", "-1|0", "5"},
    {"*", "current_leader_epoch", "-1|-1|0", "1|7|-2"},
    {"offset_for_leader_epoch_request*", "leader_epoch", "0|-1", "1|7|-2|2147483647"},
    {"offset_for_leader_epoch_request", "replica_id", "-1", "-1"},
    {"*", "committed_leader_epoch", "-1|0|3", "-2"},
    {"*", "isolation_level", "0|1", "2|-1"},
    {"list_offsets_request_partition", "timestamp",
     "-1|-2|-3|1700000000000|1700000000003|1800000000000|-4|-5", "-6|-7|0|-9223372036854775808"},
    {"list_offsets_request", "replica_id", "-1", "-1"},
    {"init_producer_id_request", "transactional_id", "{null}", "{empty}"},
    {"init_producer_id_request", "transaction_timeout_ms", "60000|2147483647", "0|-1"},
    {"init_producer_id_request", "producer_id", "-1", "{producer}|-2|5"},
    {"init_producer_id_request", "producer_epoch", "-1", "0|-2|3"},
    /* Groups. */
    /* No member expires while a run lasts: the two brokers would not do it in the same moment. A
       rebalance timeout of 0 or -1 is one too: it ends the time a member has to ask for its
       assignment. */
    {"join_group_request", "session_timeout_ms", "1700000|1800000", "5|0|-1|2147483647"},
    {"join_group_request", "rebalance_timeout_ms", "2000|3000", "2000|3000"},
    {"join_group_request", "protocol_type", "consumer", "connect|{empty}"},
    {"join_group_request_protocol", "name", "range|roundrobin|sticky", "{empty}|other"},
    {"join_group_request", "#protocols", "1|2|3", "0|1"},
    {"sync_group_request", "protocol_type", "consumer|{null}", "connect|{empty}"},
    {"sync_group_request", "protocol_name", "{null}|range", "other|{empty}"},
    {"*", "group_instance_id", "{null}|{null}|{null}|{null}|still", "gone|{empty}"},
    {"leave_group_request_member_identity", "member_id", "{member}", "nobody|{empty}"},
    {"*", "member_id", "{member}|{member}|{member}|{empty}", "nobody"},
    {"*", "generation_id*", "{generation}|{generation}|{generation}|-1", "0|99|-2"},
    {"offset_fetch_request_group", "member_id", "{null}|{empty}", "nobody"},
    {"offset_fetch_request_group", "member_epoch", "-1", "3"},
    {"offset_fetch_request*", "#topics", "1|2|{null}", "0|{null}"},
    {"offset_fetch_request_group", "group_id", "{groups}", "no-such-group|{empty}"},
    {"*", "group_id", "{group}", "no-such-group|{empty}"},
    {"*", "groups*", "{groups}", "no-such-group|{empty}"},
    {"list_groups_request", "states_filter", "Stable|Empty|stable|Dead", "nothing|{empty}"},
    {"list_groups_request", "types_filter", "classic|Classic|consumer", "nothing|{empty}"},
    /* Not 1 and 2, nor transactional ids: Kafka then makes topics that we do not have yet. */
    {"find_coordinator_request", "key_type", "0", "3|-1"},
    {"find_coordinator_request", "key", "{groups}", "{empty}"},
    {"find_coordinator_request", "coordinator_keys", "{groups}", "{empty}"},
    {"*", "committed_metadata", "{null}|{empty}|note", "{long}|{huge}"},
    {"*", "committed_offset", "0|1|5|100", "-1|-2|9223372036854775807"},
    {"*", "retention_time_ms", "-1|1000000000", "999999999"}, /* not to end in a run */
    {"*", "metadata", "{blob}", "{empty}"},
    {"*", "assignment", "{blob}", "{empty}"},
    {"*", "reason", "{null}|because", "{long}"},
    /* Describing. */
    {"api_versions_request", "client_software_*", "odradek-judge|1.0", "{empty}|a b|-x"},
    {"api_versions_request", "cluster_id", "{null}", "elsewhere"},
    {"api_versions_request", "node_id", "-1", "3|1"},
    {"metadata_request", "#topics", "1|2|{null}", "0|1"},
    {"metadata_request_topic", "name", "{topic}|{topic}|{null}", TOPIC_BAD},
    {"metadata_request_topic", "topic_id", "{zero}|{zero}|{topic_id}", "{random}"},
    {"metadata_request", "allow_auto_topic_creation", "0", "0"},
    {"describe_acls_request", "resource_type_filter", "1|2", "0|99|-1"},
    {"describe_acls_request", "pattern_type_filter", "1|3", "0|99"},
    {"describe_acls_request", "operation", "1|3", "0|99"},
    {"describe_acls_request", "permission_type", "1|3", "0|99"},
    {"describe_acls_request", "*_filter", "{null}|User:a|*", "{empty}"},
    {"describe_client_quotas_request_component_data", "entity_type", "user|client-id|ip",
     "{empty}|other"},
    {"describe_client_quotas_request_component_data", "match_type", "0|1|2", "3|-1"},
    {"describe_client_quotas_request_component_data", "match", "a|{null}|127.0.0.1", "{empty}"},
    {"describe_user_scram_credentials_request*", "name", "alice|bob|carol", "{empty}"},
    {"describe_quorum_request*", "topic_name", "__cluster_metadata", "plain|{empty}"},
    {"describe_quorum_request*", "partition_index", "0", "1|-1"},
    {"update_features_request_feature_key", "feature", "group.version|metadata.version",
     "nothing|{empty}"},
    {"update_features_request_feature_key", "max_version_level", "1|2", "99|-1"},
    {"update_features_request_feature_key", "upgrade_type", "1", "0|2|9"},
    {"update_features_request", "validate_only", "1", "1"},
    {"describe_cluster_request", "endpoint_type", "1", "0|2|9"},
    {"describe_topic_partitions_request_cursor", "partition_index", "0|1|2", "3|-1"},
    {"describe_topic_partitions_request", "response_partition_limit", "2000|2", "0|-1"},
    {"elect_leaders_request", "election_type", "0|1", "2|-1"},
    {"elect_leaders_request", "#topic_partitions", "1|2|{null}", "0"},
    {"list_transactions_request", "state_filters", "Ongoing|Empty|Dead", "nothing|{empty}"},
    {"list_transactions_request", "transactional_id_pattern", "{null}|a.*", "[|{empty}"},
    {"list_transactions_request", "duration_filter", "-1|0|1000", "-5"},
    {"*", "producer_id_filters", "-1|5", "7"},
    {"describe_transactions_request", "transactional_ids", "nothing|other", "{empty}"},
    /* Anywhere. */
    {"*", "timeout_ms", "5000|30000", "60000"},
    {"*", "#topics", "1|1|2|{null}", "0|1|3"},
    {"*", "#*", "1|1|2", "0|1|3"},
    {"*", "topic_names", "{new}", TOPIC_BAD},
    {"*", "topic_id", "{topic_id}", "{random}|{zero}"},
    {"*topic*", "name", "{topic}", TOPIC_BAD},
    {"*", "topic*", "{topic}", TOPIC_BAD},
    {"*", "partition*", "0|1|2", "3|7|-1|2147483647"},
};

struct config_values {
    const char *name;
    const char *good;
    const char *bad;
};
static const struct config_values configs[] = {
    {"retention.ms", "-1|86400000", "-2|x|9999999999999999999"},
    {"retention.bytes", "-1|1000000", "x|1.5"},
    {"cleanup.policy", "delete|compact|compact, delete|", "other|delete,other"},
    {"max.message.bytes", "1048588|2000", "-1|x|0"},
    {"segment.bytes", "1073741824|1048576", "13|-1|x"},
    {"compression.type", "producer|gzip|zstd", "other"},
    {"min.insync.replicas", "1|2", "0|-1"},
    {"message.timestamp.type", "CreateTime|LogAppendTime", "other|createtime"},
    {"delete.retention.ms", "86400000|0", "-1"},
    {"unclean.leader.election.enable", "false|true", "maybe"},
    {"min.cleanable.dirty.ratio", "0.5|1|0.0001|1e-1|0.1234567890123", "2|-0.1|x"},
    {"flush.messages", "1|9223372036854775807", "0"},
    {"min.compaction.lag.ms", "0|1000| 5|+7", "-1|9223372036854775807"},
    {"max.compaction.lag.ms", "9223372036854775807|100|2000", "0"},
    {"remote.storage.enable", "false|FALSE", "true|1"},
    {"segment.ms", "604800000|1", "0|1e3"},
    {"preallocate", "true|False", "yes"},
    {"compression.gzip.level", "-1|9", "0|10"},
    {"message.timestamp.after.max.ms", "3600000|9223372036854775807", "-1"},
    {"file.delete.delay.ms", "60000|0", "-1"},
    {"local.retention.ms", "-2|1000", "-3"},
};
static const struct config_values broker_configs[] = {
    {"message.max.bytes", "1048588", "-1|x"},
    {"log.cleaner.delete.retention.ms", "86400000", "-1|x"},
    {"min.insync.replicas", "1", "0|x"},
    {"broker.id", "1", "2"},
    {"log.retention.bytes", "-1", "x"},
};
static const struct config_values group_configs[] = {
    {"consumer.session.timeout.ms", "45000|60000", "44999|60001|0|x"},
    {"consumer.heartbeat.interval.ms", "5000|15000", "4999|15001|-1"},
    {"consumer.assignment.interval.ms", "0|15000", "15001|-1"},
    {"consumer.assignor.offload.enable", "true|false", "yes"},
    {"share.session.timeout.ms", "45000|60000", "60001"},
    {"share.heartbeat.interval.ms", "5000|15000", "4999"},
    {"share.record.lock.duration.ms", "15000|60000", "14999|60001|999"},
    {"share.delivery.count.limit", "2|10", "1|11"},
    {"share.partition.max.record.locks", "100|4000", "99|4001"},
    {"share.auto.offset.reset", "earliest|latest|by_duration:PT1H|by_duration:P1DT2H3M4.5S",
     "other|by_duration:|by_duration:P1M|by_duration:PT"},
    {"share.isolation.level", "read_committed|read_uncommitted", "other"},
    {"streams.num.standby.replicas", "0|2", "3|-1"},
    {"streams.task.offset.interval.ms", "15000|60000", "14999|0"},
    {"streams.num.warmup.replicas", "0|20", "21"},
    {"streams.acceptable.recovery.lag", "0|10000", "-1|x"},
    {"streams.rack.aware.assignment.tags", "zone|zone,rack", "zone,zone"},
    {"streams.assignor.name", "sticky", "other"},
    {"errors.deadletterqueue.topic.name", "failed", "__failed"},
    {"errors.deadletterqueue.copy.record.enable", "true", "x"},
};

#define GROUPS 3
static struct {
    char name[32];
    u32 member; /* pair last joined, or PAIR_NONE */
    i32 generation;
} groups[GROUPS];

/* What the makers of correlated values remember within one request. */
static i32 last_resource_type;
static const struct config_values *last_config;
static char new_topic[16];
static char long_text[301];
static char huge_text[5000];

/* ---- record batches -------------------------------------------------------------------------- */

enum flaw {
    FLAW_NONE,
    FLAW_CRC,
    FLAW_MAGIC_1,
    FLAW_COUNT,
    FLAW_LAST_DELTA,
    FLAW_CONTROL,
    FLAW_BASE_OFFSET,
    FLAW_TRUNCATED,
    FLAW_TWICE,
    FLAW_NOTHING,
    FLAW_FUTURE,
    FLAW_NO_SEQUENCE,
    FLAW_LARGE,
    FLAW_NO_KEY,
    FLAW_MAX
};

struct recipe {
    enum codec codec;
    u32 count;
    i64 timestamp;
    u32 producer; /* pair, or PAIR_NONE */
    i16 epoch;
    i32 sequence;
    enum flaw flaw;
    u64 salt;
};

#define FIRST_TIMESTAMP 1700000000000ll

static const struct recipe *choose_recipe(struct generator *g, bool bad)
{
    struct recipe *r = arena_alloc(g->arena, sizeof(*r));
    assert(r != NULL);
    r->codec = (enum codec)rng_below(&g->rng, CODEC_MAX);
    r->count = 1 + (u32)rng_below(&g->rng, 4);
    r->timestamp = FIRST_TIMESTAMP + (i64)rng_below(&g->rng, 20);
    r->producer = PAIR_NONE;
    r->epoch = -1;
    r->sequence = -1;
    r->salt = rng_next(&g->rng);
    if (pair_count(PAIR_PRODUCER) > 0 && rng_chance(&g->rng, 1, 3)) {
        r->producer = (u32)rng_below(&g->rng, pair_count(PAIR_PRODUCER));
        r->epoch = (i16)(rng_chance(&g->rng, 1, 10) ? 1 : 0);
        r->sequence = (i32)rng_below(&g->rng, 4);
    }
    if (bad) {
        r->flaw = (enum flaw)rng_between(&g->rng, 1, FLAW_MAX - 1);
    }
    return r;
}

static struct slice bake(struct generator *g, const struct recipe *r, enum side side)
{
    if (r->flaw == FLAW_NOTHING) {
        return WIRE_EMPTY;
    }
    struct batch_builder_options options = batch_builder_plain();
    options.codec = r->codec;
    if (r->producer != PAIR_NONE) {
        memcpy(&options.producer_id, pair_value(PAIR_PRODUCER, r->producer, side).ptr, 8);
        options.producer_epoch = r->epoch;
        options.base_sequence = r->flaw == FLAW_NO_SEQUENCE ? -1 : r->sequence;
    }
    struct batch_builder builder;
    batch_builder_init(&builder, &options);
    for (u32 i = 0; i < r->count; i++) {
        char key[16];
        char value[2100];
        snprintf(key, sizeof(key), "key-%u", (u32)((r->salt + i) % 10));
        size_t bytes = r->flaw == FLAW_LARGE ? sizeof(value) - 1 : 10 + r->salt % 60;
        struct rng rng;
        rng_seed(&rng, r->salt + i);
        for (size_t at = 0; at < bytes; at++) {
            value[at] = (char)rng_between(&rng, ' ', '~');
        }
        struct slice no_key = {NULL, 0};
        i64 at_ms = r->flaw == FLAW_FUTURE ? 4000000000000ll : r->timestamp + (i64)i;
        err_t err =
            batch_builder_add(&builder, at_ms, r->flaw == FLAW_NO_KEY ? no_key : slice_cstr(key),
                              slice_of(value, bytes), NULL, 0);
        assert(err == OK);
    }
    struct slice batch;
    err_t err = batch_builder_finish(&builder, &batch);
    assert(err == OK);
    u8 *bytes = arena_alloc(g->arena, batch.len * 2);
    assert(bytes != NULL);
    memcpy(bytes, batch.ptr, batch.len);
    size_t len = batch.len;
    batch_builder_fini(&builder);
    bool seal = true;
    switch (r->flaw) {
    case FLAW_CRC:
        bytes[BATCH_AT_CRC] ^= 1;
        seal = false;
        break;
    case FLAW_MAGIC_1:
        bytes[BATCH_AT_MAGIC] = 1;
        break;
    case FLAW_COUNT:
        store_be32(bytes + BATCH_AT_RECORD_COUNT, r->count + 1);
        break;
    case FLAW_LAST_DELTA:
        store_be32(bytes + BATCH_AT_LAST_OFFSET_DELTA, r->count + 3);
        break;
    case FLAW_CONTROL:
        bytes[BATCH_AT_ATTRIBUTES + 1] |= BATCH_ATTRIBUTE_CONTROL;
        break;
    case FLAW_BASE_OFFSET:
        store_be64(bytes + BATCH_AT_BASE_OFFSET, 5);
        break;
    case FLAW_TRUNCATED:
        len -= 3;
        break;
    case FLAW_TWICE:
        memcpy(bytes + len, bytes, len);
        len *= 2;
        seal = false;
        break;
    default:
        seal = false;
        break;
    }
    if (seal && len == batch.len) {
        store_be32(bytes + BATCH_AT_CRC,
                   crc32c(bytes + BATCH_AT_ATTRIBUTES, len - BATCH_AT_ATTRIBUTES));
    }
    return (struct slice){bytes, len};
}

/* ---- values ---------------------------------------------------------------------------------- */

static u32 count_values(const char *list)
{
    u32 count = 1;
    for (const char *c = list; *c != '\0'; c++) {
        count += *c == '|';
    }
    return count;
}

static void nth_value(const char *list, u32 n, char *out, size_t size)
{
    while (n > 0) {
        n -= *list++ == '|';
    }
    snprintf(out, size, "%.*s", (int)strcspn(list, "|"), list);
}

static const struct rule *find_rule(const struct struct_def *def, const struct field_def *field)
{
    char name[80];
    bool counted = field->kind == WIRE_STRUCT;
    snprintf(name, sizeof(name), "%s%s", counted ? "#" : "", field->name);
    for (u32 i = 0; i < ARRAY_LEN(rules); i++) {
        if ((rules[i].field[0] == '#') == counted && fnmatch(rules[i].field, name, 0) == 0 &&
            fnmatch(rules[i].where, def->name, 0) == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

/* Bad ones now and then, and only if this request is to have any. */
static bool choose_bad(struct generator *g)
{
    bool bad = rng_below(&g->rng, 100) < g->wrong;
    g->out->wrong |= bad;
    return bad;
}

static void choose_value(struct generator *g, const struct rule *rule, bool bad, char *out,
                         size_t size)
{
    const char *list = bad ? rule->bad : rule->good;
    u32 count = count_values(list);
    u32 n = g->element > 0 && !bad ? g->start + g->element : (u32)rng_below(&g->rng, count);
    nth_value(list, n % count, out, size);
}

static void add_patch(struct generator *g, enum pair_kind kind, u32 pair, void *at,
                      const struct recipe *batch)
{
    if (g->out->patch_count < PATCHES_MAX) {
        g->out->patches[g->out->patch_count++] = (struct patch){kind, pair, at, batch};
    }
}

static struct slice copy_text(struct generator *g, const char *text)
{
    return text[0] == '\0' ? WIRE_EMPTY : arena_copy(g->arena, slice_cstr(text));
}

static const char *pick_config(struct generator *g)
{
    last_config =
        last_resource_type == 4    ? &broker_configs[rng_below(&g->rng, ARRAY_LEN(broker_configs))]
        : last_resource_type == 32 ? &group_configs[rng_below(&g->rng, ARRAY_LEN(group_configs))]
                                   : &configs[rng_below(&g->rng, ARRAY_LEN(configs))];
    return last_config->name;
}

static void fill_text(struct generator *g, const struct field_def *field, const char *word,
                      struct slice *out)
{
    bool nullable = field->nullable >> g->version & 1;
    if (strcmp(word, "{null}") == 0) {
        *out = nullable ? (struct slice){NULL, 0} : WIRE_EMPTY;
    } else if (strcmp(word, "{empty}") == 0) {
        *out = WIRE_EMPTY;
    } else if (strcmp(word, "{topic}") == 0) {
        u32 n = g->element > 0 ? g->start + g->element : (u32)rng_below(&g->rng, 64);
        *out = copy_text(g, base_topics[n % base_topic_count]);
    } else if (strcmp(word, "{new}") == 0) {
        u32 n = g->element > 0 ? g->start + g->element : (u32)rng_below(&g->rng, 64);
        snprintf(new_topic, sizeof(new_topic), "t%u", n % 8);
        *out = copy_text(g, new_topic);
    } else if (strcmp(word, "{group}") == 0) {
        *out = copy_text(g, groups[g->group].name);
    } else if (strcmp(word, "{groups}") == 0) {
        *out = copy_text(g, groups[(g->group + g->element) % GROUPS].name);
    } else if (strcmp(word, "{member}") == 0) {
        *out = WIRE_EMPTY;
        if (groups[g->group].member != PAIR_NONE) {
            add_patch(g, PAIR_MEMBER, groups[g->group].member, out, NULL);
        }
    } else if (strcmp(word, "{config}") == 0) {
        *out = copy_text(g, pick_config(g));
    } else if (strcmp(word, "{value}") == 0) {
        const struct config_values *c = last_config != NULL ? last_config : &configs[0];
        char text[64];
        const char *list = choose_bad(g) ? c->bad : c->good;
        nth_value(list, (u32)rng_below(&g->rng, count_values(list)), text, sizeof(text));
        *out = copy_text(g, text);
    } else if (strcmp(word, "{resource}") == 0) {
        *out = last_resource_type == 4    ? copy_text(g, rng_chance(&g->rng, 1, 2) ? "1" : "")
               : last_resource_type == 32 ? copy_text(g, groups[g->group].name)
               : last_resource_type == 2  ? WIRE_EMPTY
                                          : copy_text(g, "x");
        if (last_resource_type == 2) {
            bool reads = g->api->key == API_describe_configs && rng_chance(&g->rng, 1, 2);
            fill_text(g, field, reads ? "{topic}" : "{new}", out);
        }
    } else if (strcmp(word, "{long}") == 0) {
        *out = slice_of(long_text, sizeof(long_text) - 1);
    } else if (strcmp(word, "{huge}") == 0) {
        *out = slice_of(huge_text, sizeof(huge_text) - 1);
    } else if (strcmp(word, "{blob}") == 0) {
        *out = copy_text(g, rng_chance(&g->rng, 1, 3) ? "blob-a" : "blob-b");
    } else {
        *out = copy_text(g, word);
    }
}

static i64 number_of(struct generator *g, const char *word, void *at)
{
    if (strcmp(word, "{generation}") == 0) {
        return groups[g->group].generation;
    }
    enum pair_kind kind = strcmp(word, "{producer}") == 0 ? PAIR_PRODUCER : PAIR_SESSION;
    if (word[0] == '{') {
        if (pair_count(kind) > 0) {
            add_patch(g, kind, (u32)rng_below(&g->rng, pair_count(kind)), at, NULL);
        }
        return kind == PAIR_PRODUCER ? -1 : 0;
    }
    return strtoll(word, NULL, 10);
}

static void fill_uuid(struct generator *g, const char *word, struct uuid *out)
{
    *out = (struct uuid){{0}};
    if (strcmp(word, "{random}") == 0) {
        rng_fill(&g->rng, out, sizeof(*out));
        (void)pair_equal(PAIR_INVENTED, slice_of(out, sizeof(*out)), slice_of(out, sizeof(*out)));
    } else if (strcmp(word, "{topic_id}") == 0 && pair_count(PAIR_TOPIC_ID) > 0) {
        u32 count = pair_count(PAIR_TOPIC_ID);
        /* The first are the base topics; those that come and go are the last. */
        u32 n = g->api->key == API_delete_topics
                    ? count - 1 - (u32)rng_below(&g->rng, MIN(count - MIN(count, 6u) + 1, 8u))
                    : (g->element > 0 ? g->start + g->element : (u32)rng_below(&g->rng, 6)) %
                          MIN(count, 6u);
        if (g->api->key == API_delete_topics && n < 7) {
            return;
        }
        add_patch(g, PAIR_TOPIC_ID, n, out, NULL);
    }
}

static void fill_value(struct generator *g, const struct struct_def *def,
                       const struct field_def *field, void *at)
{
    const struct rule *rule = find_rule(def, field);
    char word[128];
    bool bad = choose_bad(g);
    if (rule == NULL) {
        snprintf(word, sizeof(word), "%s", field->kind == WIRE_STRING ? "{empty}" : "0");
        if (field->kind == WIRE_BOOL) {
            snprintf(word, sizeof(word), "%u", (u32)rng_below(&g->rng, 2));
        }
    } else {
        choose_value(g, rule, bad, word, sizeof(word));
    }
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
    case WIRE_BYTES:
        fill_text(g, field, word, at);
        break;
    case WIRE_UUID:
        fill_uuid(g, word, at);
        break;
    case WIRE_RECORDS:
        add_patch(g, PAIR_KINDS, 0, at, choose_recipe(g, bad || g->wrong > 30));
        break;
    case WIRE_BOOL:
        *(bool *)at = number_of(g, word, at) != 0;
        break;
    case WIRE_I8:
        *(i8 *)at = (i8)number_of(g, word, at);
        break;
    case WIRE_I16:
    case WIRE_U16:
        *(i16 *)at = (i16)number_of(g, word, at);
        break;
    case WIRE_I32:
    case WIRE_U32:
        *(i32 *)at = (i32)number_of(g, word, at);
        break;
    case WIRE_I64:
        *(i64 *)at = number_of(g, word, at);
        break;
    case WIRE_F64:
        *(f64 *)at = (f64)number_of(g, word, at);
        break;
    case WIRE_STRUCT:
    case WIRE_KIND_COUNT:
        assert(false);
        break;
    }
    if (strcmp(field->name, "resource_type") == 0) {
        last_resource_type = *(i8 *)at;
    }
}

static void fill_struct(struct generator *g, const struct struct_def *def, u8 *out);

static size_t value_bytes(const struct field_def *field)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
    case WIRE_I8:
        return 1;
    case WIRE_I16:
    case WIRE_U16:
        return 2;
    case WIRE_I32:
    case WIRE_U32:
        return 4;
    case WIRE_I64:
    case WIRE_F64:
        return 8;
    case WIRE_UUID:
        return sizeof(struct uuid);
    case WIRE_STRING:
    case WIRE_BYTES:
        return sizeof(struct slice);
    case WIRE_RECORDS:
        return sizeof(struct wire_records);
    case WIRE_STRUCT:
        return field->type->bytes;
    case WIRE_KIND_COUNT:
        break;
    }
    assert(false);
    return 0;
}

static void fill_array(struct generator *g, const struct struct_def *def,
                       const struct field_def *field, void *at)
{
    struct i8_array *array = at; /* all arrays are {items, count, is_null} */
    u32 count = rng_chance(&g->rng, 3, 4) ? 1 : (u32)rng_below(&g->rng, 4);
    if (field->kind == WIRE_STRUCT) {
        const struct rule *rule = find_rule(def, field);
        char word[128] = "1";
        if (rule != NULL) {
            choose_value(g, rule, choose_bad(g), word, sizeof(word));
        }
        count = (u32)strtoul(word, NULL, 10);
        if (strcmp(word, "{null}") == 0) {
            count = field->nullable >> g->version & 1 ? 0 : 1;
            array->is_null = count == 0;
        }
    } else if ((field->nullable >> g->version & 1) && rng_chance(&g->rng, 1, 3)) {
        array->is_null = true;
        return;
    }
    if (count == 0) {
        return;
    }
    size_t bytes = value_bytes(field);
    array->items = arena_array(g->arena, count, bytes);
    array->count = count;
    assert(array->items != NULL);
    u32 outer_start = g->start;
    u32 outer_element = g->element;
    g->start = (u32)rng_below(&g->rng, 60);
    for (u32 i = 0; i < count; i++) {
        u8 *element = (u8 *)array->items + i * bytes;
        g->element = i + 1;
        if (field->kind == WIRE_STRUCT) {
            wire_init(field->type, element);
            fill_struct(g, field->type, element);
        } else {
            fill_value(g, def, field, element);
        }
    }
    g->start = outer_start;
    g->element = outer_element;
}

static void fill_struct(struct generator *g, const struct struct_def *def, u8 *out)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (!(field->versions >> g->version & 1)) {
            continue;
        }
        void *at = out + field->offset;
        if (field->shape == WIRE_MANY) {
            fill_array(g, def, field, at);
        } else if (field->shape == WIRE_OPTIONAL) {
            if (rng_chance(&g->rng, 1, 4)) {
                void *element = arena_alloc(g->arena, field->type->bytes);
                assert(element != NULL);
                wire_init(field->type, element);
                fill_struct(g, field->type, element);
                *(void **)at = element;
            }
        } else if (field->kind == WIRE_STRUCT) {
            fill_struct(g, field->type, at);
        } else {
            fill_value(g, def, field, at);
        }
    }
}

/* ---- the door -------------------------------------------------------------------------------- */

static void begin(struct generator *g)
{
    memset(long_text, 'x', sizeof(long_text) - 1);
    memset(huge_text, 'y', sizeof(huge_text) - 1);
    if (groups[0].name[0] == '\0') {
        generator_next_episode(g);
    }
    const struct struct_def *body = g->api->request->body;
    g->out->request = arena_alloc(g->arena, body->bytes);
    assert(g->out->request != NULL);
    g->out->patch_count = 0;
    g->out->wrong = false;
    g->start = 0;
    g->element = 0;
    g->group = (u32)rng_below(&g->rng, GROUPS);
    last_resource_type = 2;
    last_config = NULL;
    wire_init(body, g->out->request);
}

static bool is_broker_config(struct slice name)
{
    for (u32 i = 0; i < ARRAY_LEN(broker_configs); i++) {
        if (slice_eq_cstr(name, broker_configs[i].name)) {
            return true;
        }
    }
    return false;
}

/* Of AlterConfigs and IncrementalAlterConfigs. Two resources of types it does not know, and one
   resource twice in AlterConfigs, may leave Kafka without an answer. A broker config that nobody
   knows is kept by Kafka and refused by us (differences.tsv), after which the two would not have
   the same configs: only to be validated. */
static void agree_on_configs(struct generator *g)
{
    bool unknown_type = false;
    if (g->api->key == API_alter_configs) {
        struct alter_configs_request *request = g->out->request;
        for (u32 i = 0; i < request->resources.count; i++) {
            struct alter_configs_request_resource *r = &request->resources.items[i];
            bool unknown = r->resource_type < 2 || (r->resource_type & (r->resource_type - 1)) != 0;
            r->resource_type = unknown && unknown_type ? 2 : r->resource_type;
            unknown_type |= unknown;
            for (u32 k = 0; k < r->configs.count && r->resource_type == 4; k++) {
                request->validate_only |= !is_broker_config(r->configs.items[k].name);
            }
            for (u32 k = 0; k < i; k++) {
                if (slice_eq(request->resources.items[k].resource_name, r->resource_name)) {
                    request->resources.count = i;
                }
            }
        }
    } else {
        struct incremental_alter_configs_request *request = g->out->request;
        for (u32 i = 0; i < request->resources.count; i++) {
            struct incremental_alter_configs_request_resource *r = &request->resources.items[i];
            bool unknown = r->resource_type < 2 || (r->resource_type & (r->resource_type - 1)) != 0;
            r->resource_type = unknown && unknown_type ? 2 : r->resource_type;
            unknown_type |= unknown;
            for (u32 k = 0; k < r->configs.count && r->resource_type != 4; k++) {
                i8 operation = r->configs.items[k].config_operation;
                if (operation < 0 || operation > 3) {
                    /* Which one Kafka sees first is luck, and it may throw with nothing done. */
                    r->configs.count = 1;
                    request->validate_only = true;
                }
            }
            for (u32 k = 0; k < r->configs.count && r->resource_type == 4; k++) {
                request->validate_only |= !is_broker_config(r->configs.items[k].name);
            }
        }
    }
}

/* A protocol named twice may leave Kafka without an answer. */
static void make_protocols_differ(struct join_group_request *request)
{
    for (u32 i = 1; i < request->protocols.count; i++) {
        for (u32 k = 0; k < i; k++) {
            if (slice_eq(request->protocols.items[i].name, request->protocols.items[k].name)) {
                request->protocols.count = i;
                return;
            }
        }
    }
}

/* It gets its value when the request is sent. */
static bool is_patched(const struct generator *g, const void *field)
{
    for (u32 i = 0; i < g->out->patch_count; i++) {
        if (g->out->patches[i].at == field) {
            return true;
        }
    }
    return false;
}

/* Of two partitions whose topic id is zero Kafka's handler throws: it answers UNKNOWN_SERVER_ERROR,
   or nothing any more on that connection. */
static void ask_zero_id_once(const struct generator *g, struct fetch_request *request)
{
    u32 left = 1;
    for (u32 i = 0; i < request->topics.count; i++) {
        struct fetch_request_topic *topic = &request->topics.items[i];
        if (uuid_is_zero(topic->topic_id) && !is_patched(g, &topic->topic_id)) {
            topic->partitions.count = MIN(topic->partitions.count, left);
            left -= topic->partitions.count;
        }
    }
}

/* Fields that only make sense together. */
static void agree(struct generator *g)
{
    if (g->api->key == API_alter_configs || g->api->key == API_incremental_alter_configs) {
        agree_on_configs(g);
    }
    if (g->api->key == API_join_group) {
        make_protocols_differ(g->out->request);
    }
    if (g->api->key == API_fetch && g->version >= 13) {
        ask_zero_id_once(g, g->out->request);
    }
    if (g->api->key == API_metadata) {
        struct metadata_request *request = g->out->request;
        for (u32 i = 0; i < request->topics.count; i++) {
            struct metadata_request_topic *topic = &request->topics.items[i];
            if (g->wrong == 0 && topic->name.ptr == NULL && g->version < 12) {
                topic->name = SLICE_LIT("plain");
            }
        }
    }
    if (g->api->key == API_delete_topics && g->version >= 6 && g->wrong == 0) {
        struct delete_topics_request *request = g->out->request;
        for (u32 i = 0; i < request->topics.count; i++) {
            request->topics.items[i].topic_id = (struct uuid){{0}};
        }
        g->out->patch_count = 0;
    }
    if (g->api->key == API_join_group && g->version == 0) {
        /* Version 0 waits a whole session for members that do not rejoin: have none. */
        struct join_group_request *request = g->out->request;
        char name[32];
        snprintf(name, sizeof(name), "old-%u-%u", g->episode, (u32)rng_below(&g->rng, 1u << 30));
        request->group_id = copy_text(g, name);
    } else if (g->api->key == API_join_group && groups[g->group].member != PAIR_NONE) {
        /* A second member would wait for the first, which nobody would send: be the first. */
        struct join_group_request *request = g->out->request;
        if (request->member_id.len == 0 && g->out->patch_count == 0) {
            add_patch(g, PAIR_MEMBER, groups[g->group].member, &request->member_id, NULL);
        }
    }
}

void generate_sensible(struct generator *g)
{
    begin(g);
    fill_struct(g, g->api->request->body, g->out->request);
    agree(g);
}

static void tame(struct generator *g, const struct struct_def *def, u8 *out)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        void *at = out + field->offset;
        if (field->shape == WIRE_MANY && field->kind == WIRE_STRUCT) {
            struct i8_array *array = at;
            for (u32 k = 0; k < array->count; k++) {
                tame(g, field->type, (u8 *)array->items + (size_t)k * field->type->bytes);
            }
        }
        if (field->shape == WIRE_ONE && field->kind == WIRE_STRUCT) {
            tame(g, field->type, at);
            continue;
        }
        if (!(field->versions >> g->version & 1) || field->shape != WIRE_ONE) {
            continue;
        }
        if (field->kind == WIRE_RECORDS && ((struct wire_records *)at)->bytes.ptr == NULL) {
            ((struct wire_records *)at)->bytes = WIRE_EMPTY; /* Kafka never answers to null */
        } else if (strcmp(field->name, "transactional_id") == 0) {
            *(struct slice *)at =
                g->api->key == API_init_producer_id ? WIRE_EMPTY : (struct slice){NULL, 0};
        } else if (strcmp(field->name, "key_type") == 0) {
            *(i8 *)at = 9;
        }
        if (strcmp(field->name, "acks") == 0 && *(i16 *)at == 0) {
            *(i16 *)at = -1; /* Kafka answers some of these never, and closes neither */
        }
        if (field->kind != WIRE_I32) {
            continue;
        }
        if (strcmp(field->name, "timeout_ms") == 0) {
            *(i32 *)at = 30000; /* "too late" would be a matter of luck */
        } else if (strstr(field->name, "timeout_ms") != NULL ||
                   strcmp(field->name, "max_wait_ms") == 0) {
            *(i32 *)at = (i32)rng_below(&g->rng, 100);
        } else if (strcmp(field->name, "num_partitions") == 0 ||
                   strcmp(field->name, "count") == 0) {
            *(i32 *)at = -5;
        } else if (strcmp(field->name, "replica_id") == 0) {
            *(i32 *)at = -1; /* a single node has no followers that could ask */
        }
    }
}

err_t generate_random(struct generator *g)
{
    begin(g);
    g->out->wrong = true;
    TRY(wire_random(g->api->request, g->version, &g->rng, g->arena, g->out->request));
    tame(g, g->api->request->body, g->out->request);
    if (g->api->key == API_alter_configs || g->api->key == API_incremental_alter_configs) {
        agree_on_configs(g);
    }
    if (g->api->key == API_join_group) {
        make_protocols_differ(g->out->request);
    }
    if (g->api->key == API_update_features && g->version >= 1) {
        ((struct update_features_request *)g->out->request)->validate_only = true;
    }
    return OK;
}

void generated_for(struct generator *g, enum side side)
{
    for (u32 i = 0; i < g->out->patch_count; i++) {
        const struct patch *p = &g->out->patches[i];
        if (p->batch != NULL) {
            ((struct wire_records *)p->at)->bytes = bake(g, p->batch, side);
            continue;
        }
        struct slice value = pair_value(p->kind, p->pair, side);
        if (p->kind == PAIR_MEMBER) {
            *(struct slice *)p->at = value;
        } else {
            memcpy(p->at, value.ptr, value.len);
        }
    }
}

void generator_next_episode(struct generator *g)
{
    g->episode++;
    for (u32 i = 0; i < GROUPS; i++) {
        snprintf(groups[i].name, sizeof(groups[i].name), "group-%u-%u", g->episode, i);
        groups[i].member = PAIR_NONE;
        groups[i].generation = 0;
    }
}

void generator_joined(struct generator *g, u32 member_pair, i32 generation)
{
    groups[g->group].member = member_pair;
    if (generation > 0) {
        groups[g->group].generation = generation;
    }
}
