/* Names and drafts of topics; see topics.h. */
#include "broker/topics.h"

#include "broker/config_rows.h"
#include "broker/conn.h"

/* What a partition in use takes of memory that nobody charges, rounded up. */
#define PARTITION_MEMORY_BYTES 1024u

static bool name_byte_ok(u8 c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

const char *topic_name_problem(struct slice name)
{
    if (name.len == 0) {
        return "Topic name is invalid: the empty string is not allowed";
    }
    if (slice_eq_cstr(name, ".") || slice_eq_cstr(name, "..")) {
        return "Topic name is invalid: it cannot be \".\" or \"..\"";
    }
    if (name.len > TOPIC_NAME_BYTES_MAX) {
        return "Topic name is invalid: it is longer than 249 characters";
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!name_byte_ok(name.ptr[i])) {
            return "Topic name is invalid: it contains one or more characters other than ASCII "
                   "alphanumerics, '.', "
                   "'_' and '-'";
        }
    }
    return NULL;
}

/* Names that people mistype are short and few: longer lists are not worth the loop's time. */
enum { NAMED_MAX = 16, LOOKED_AT_MAX = 2000, DISTANCE_MAX = 3 };

/* The topic whose name is the fewest edits away, one in four characters at most; NULL: none. */
static const struct meta_topic *topic_nearest(const struct meta *meta, struct slice name)
{
    u32 best = MIN((u32)name.len / 4 + 1, (u32)DISTANCE_MAX) + 1;
    const struct meta_topic *nearest = NULL;
    u32 count = MIN(meta_topic_count(meta), (u32)LOOKED_AT_MAX);
    for (u32 i = 0; i < count; i++) {
        const struct meta_topic *t = meta_topic_at(meta, i);
        size_t longer = MAX(t->name.len, name.len) - MIN(t->name.len, name.len);
        u32 distance = longer < best ? edit_distance(name, t->name) : UINT32_MAX;
        if (distance < best) {
            best = distance;
            nearest = t;
        }
    }
    return nearest;
}

const char *topic_unknown(struct request *r, struct slice name, const char *sentence, u32 named)
{
    const struct meta_topic *t = named <= NAMED_MAX && topic_name_problem(name) == NULL
                                     ? topic_nearest(cluster_meta(r->broker->cluster), name)
                                     : NULL;
    if (t == NULL) {
        return sentence;
    }
    const char *text = arena_printf(
        &r->arena, "%s%sODK-%04d: topic \"%.*s\" not found; did you mean \"%.*s\"?",
        sentence != NULL ? sentence : "", sentence != NULL ? " " : "", MSG_topic_not_found,
        (int)name.len, (const char *)name.ptr, (int)t->name.len, (const char *)t->name.ptr);
    return text != NULL ? text : sentence;
}

static void refuse(struct topic_draft *d, i16 kerr, const char *message)
{
    d->kerr = kerr;
    d->message = message;
}

void topic_draft_check(struct request *r, struct topic_draft *d)
{
    const struct meta *meta = cluster_meta(r->broker->cluster);
    const char *problem = topic_name_problem(d->name);
    if (problem != NULL) {
        refuse(d, KERR_INVALID_TOPIC_EXCEPTION, problem);
        return;
    }
    int name_len = (int)d->name.len;
    const char *name = (const char *)d->name.ptr;
    if (meta_topic_by_name(meta, d->name) != NULL) {
        refuse(d, KERR_TOPIC_ALREADY_EXISTS,
               arena_printf(&r->arena, "Topic '%.*s' already exists.", name_len, name));
        return;
    }
    const struct meta_topic *clash = meta_topic_collision(meta, d->name);
    if (clash != NULL) {
        refuse(d, KERR_INVALID_TOPIC_EXCEPTION,
               arena_printf(&r->arena, "Topic '%.*s' collides with existing topic: %.*s", name_len,
                            name, (int)clash->name.len, (const char *)clash->name.ptr));
        return;
    }
    problem = partitions_problem(r, d->partition_count, d->partition_count, d->planned);
    if (problem != NULL) {
        refuse(d, KERR_INVALID_PARTITIONS, problem);
    }
}

const char *partitions_problem(struct request *r, u32 total, u32 added, u32 planned)
{
    if (total > PARTITIONS_PER_TOPIC_MAX) {
        return arena_printf(&r->arena, "A topic can have at most %u partitions; %u were asked for.",
                            PARTITIONS_PER_TOPIC_MAX, total);
    }
    u64 all = (u64)meta_partition_total(cluster_meta(r->broker->cluster)) + planned;
    u64 max = r->broker->params.memory_bytes / PARTITION_MEMORY_BYTES;
    if (all + added > max) {
        return arena_printf(
            &r->arena,
            "The broker has memory for %llu partitions, and %llu are there; it needs "
            "a larger memory budget for %u more.",
            (unsigned long long)max, (unsigned long long)all, added);
    }
    return NULL;
}

struct i32_array topic_replicas(void)
{
    static i32 only[] = {BROKER_NODE_ID};
    return (struct i32_array){.items = only, .count = 1};
}
