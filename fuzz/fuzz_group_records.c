/* Records of __consumer_offsets, as a damaged or foreign log might hold them: any run of keys and
   values is replayed into the group that owns the first key. What was taken can be looked at; the
   group comes up, lives on without its members, and dies; every record it writes on the way can be
   replayed, and then there are two equal groups. */
#include "coord/group/group.h"
#include "fuzz.h"

enum { TOMBSTONE = 0xffff, STEPS_MAX = 256 };

static const struct group_limits limits = {.session_timeout_min_ms = 6000,
                                           .session_timeout_max_ms = 1800000,
                                           .initial_rebalance_delay_ms = 3000,
                                           .size_max = 3,
                                           .metadata_units_max = 4096,
                                           .offsets_retention_ms = 604800000};

static void look(const struct group *g)
{
    u64 bytes = group_protocol_type(g).len + group_protocol_name(g).len;
    for (u32 i = 0; i < group_member_count(g); i++) {
        struct group_member_view v;
        group_member_at(g, i, &v);
        bytes += v.member_id.len + v.client_id.len + v.metadata.len + v.assignment.len;
    }
    for (u32 i = 0; i < group_offset_count(g); i++) {
        const struct group_offset *o = group_offset_at(g, i);
        PROPERTY(group_offset_find(g, o->topic, o->topic_id, o->partition) == o);
        PROPERTY(group_subscribes(g, o->topic) || !group_subscribes(g, o->topic));
        bytes += o->topic.len + o->metadata.len;
    }
    PROPERTY(bytes <= group_bytes(g));
}

static void same(const struct group *a, const struct group *b)
{
    PROPERTY(group_state_of(a) == group_state_of(b));
    PROPERTY(group_generation(a) == group_generation(b));
    PROPERTY(group_member_count(a) == group_member_count(b));
    PROPERTY(group_offset_count(a) == group_offset_count(b));
    for (u32 i = 0; i < group_offset_count(a); i++) {
        PROPERTY(group_offset_at(a, i)->offset == group_offset_at(b, i)->offset);
        PROPERTY(slice_eq(group_offset_at(a, i)->topic, group_offset_at(b, i)->topic));
    }
}

static void replay_out(struct group *twin, const struct group_out *out)
{
    for (u32 i = 0; i < out->record_count; i++) {
        PROPERTY(group_replay(twin, out->records[i].key, out->records[i].value, 0) == OK);
    }
}

/* Until nothing is left of it. */
static void live(struct group *g, struct group *twin)
{
    struct arena arena;
    arena_init(&arena, NULL, 4096, 0);
    struct group_out out;
    i64 wall_ms = 1700000000000;
    group_loaded(g, 1000, wall_ms, &out);
    for (u32 i = 0; i < STEPS_MAX && !out.dead && out.deadline_ms != INT64_MAX; i++) {
        struct group_event ev = {.kind = GROUP_TIMER,
                                 .now_ms = out.deadline_ms,
                                 .wall_ms = wall_ms + out.deadline_ms,
                                 .generation = -1};
        PROPERTY(group_step(g, &ev, &out, &arena) == OK);
        PROPERTY(out.deadline_ms > ev.now_ms);
        replay_out(twin, &out);
        enum group_state state = group_state_of(g);
        if (state == GROUP_EMPTY && !out.dead) {
            same(g, twin);
        }
        PROPERTY(state != GROUP_DEAD || group_is_void(twin));
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

/* A length of key and value each (0xffff: a tombstone), then both, again and again. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct reader r = reader_of(slice_of(data, size));
    struct group *g = NULL;
    struct group *twin = NULL;
    while (reader_left(&r) > 0) {
        u16 key_len = read_be16(&r);
        u16 value_len = read_be16(&r);
        struct slice key = read_bytes(&r, key_len);
        struct slice value = value_len == TOMBSTONE ? (struct slice){0} : read_bytes(&r, value_len);
        struct slice owner;
        if (r.failed || !group_record_owner(key, &owner)) {
            break;
        }
        if (g == NULL) {
            g = group_create(owner, &limits);
            twin = group_create(owner, &limits);
        }
        err_t e = group_replay(g, key, value, 0);
        PROPERTY(e == OK || e == ERR_INVALID);
        PROPERTY(group_replay(twin, key, value, 0) == e);
    }
    if (g != NULL) {
        look(g);
        same(g, twin);
        live(g, twin);
    }
    group_destroy(g);
    group_destroy(twin);
    return 0;
}
