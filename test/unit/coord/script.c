/* See script.h. */
#include "script.h"

enum {
    ITEMS_MAX = 32,
    START_MS = 1000000,
    BATCH_ADDS = 32 /* bytes of a record around key and value */
};

static const i64 start_wall_ms = 1700000000000;

void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->limits = (struct group_limits){.session_timeout_min_ms = 6000,
                                      .session_timeout_max_ms = 1800000,
                                      .initial_rebalance_delay_ms = 3000,
                                      .size_max = 4,
                                      .metadata_units_max = 8,
                                      .offsets_retention_ms = 7ll * 24 * 3600 * 1000};
    w->now_ms = START_MS;
    w->wall_ms = start_wall_ms;
    w->g = group_create(SLICE_LIT("grp"), &w->limits);
    arena_init(&w->arena, NULL, 4096, 0);
}

static void release(struct slice s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}

void world_fini(struct world *w)
{
    for (u32 i = 0; i < w->record_count; i++) {
        release(w->records[i].key);
        release(w->records[i].value);
    }
    mem_free(w->records);
    group_destroy(w->g);
    arena_fini(&w->arena);
}

static struct slice copy_of(struct slice s)
{
    if (s.ptr == NULL) {
        return (struct slice){0};
    }
    u8 *copy = mem_alloc(s.len + 1);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return slice_of(copy, s.len);
}

static void keep_records(struct world *w)
{
    for (u32 i = 0; i < w->out.record_count; i++) {
        if (w->record_count == w->record_cap) {
            w->record_cap = MAX(2 * w->record_cap, 16u);
            w->records = mem_resize(w->records, w->record_cap * sizeof(*w->records));
        }
        w->records[w->record_count++] =
            (struct kept_record){copy_of(w->out.records[i].key), copy_of(w->out.records[i].value)};
    }
}

/* With so little room that the step may fail; then nothing may have changed. */
static err_t step_small(struct world *w, const struct group_event *ev)
{
    struct group_event copy = *ev;
    struct group_offset *offsets = NULL;
    if (ev->kind == GROUP_COMMIT || ev->kind == GROUP_DELETE_OFFSETS) {
        size_t bytes = ev->commit.offset_count * sizeof(*offsets);
        offsets = mem_alloc(bytes);
        memcpy(offsets, ev->commit.offsets, bytes);
        copy.commit.offsets = offsets;
    }
    arena_fini(&w->arena);
    arena_init(&w->arena, NULL, 64, 64 + rng_below(w->rng, 3000));
    char *before = group_dump(w->g);
    err_t e = group_step(w->g, &copy, &w->out, &w->arena);
    if (e == OK && offsets != NULL) {
        memcpy(ev->commit.offsets, offsets, ev->commit.offset_count * sizeof(*offsets));
    }
    if (e != OK) {
        assert_int_equal(e, ERR_NO_MEMORY);
        assert_int_equal(w->out.reply_count + w->out.record_count, 0);
        char *after = group_dump(w->g);
        assert_string_equal(before, after);
        mem_free(after);
        w->refused++;
        arena_fini(&w->arena);
        arena_init(&w->arena, NULL, 4096, 0);
    }
    mem_free(before);
    mem_free(offsets);
    return e;
}

err_t world_step(struct world *w, struct group_event *ev)
{
    ev->now_ms = w->now_ms;
    ev->wall_ms = w->wall_ms;
    arena_fini(&w->arena);
    arena_init(&w->arena, NULL, w->room == 0 ? 4096 : 64, w->room);
    w->before = group_state_of(w->g);
    u64 foretold = group_step_bytes(w->g, ev);
    bool small = w->rng != NULL && rng_chance(w->rng, 1, 3);
    err_t e = small ? step_small(w, ev) : ERR_NO_MEMORY;
    e = e == OK ? OK : group_step(w->g, ev, &w->out, &w->arena);
    if (e == OK) {
        u64 bytes = 0;
        for (u32 i = 0; i < w->out.record_count; i++) {
            bytes += w->out.records[i].key.len + w->out.records[i].value.len + BATCH_ADDS;
        }
        assert_true(bytes <= foretold);
        w->arena.cap_bytes = 0; /* what follows looks at what was said */
        keep_records(w);
        assert_true(w->out.deadline_ms > w->now_ms);
    }
    w->no_room = e == ERR_NO_MEMORY && w->room > 0;
    return w->no_room ? OK : e;
}

struct group *world_replayed(const struct world *w)
{
    struct group *g = group_create(group_id(w->g), &w->limits);
    for (u32 i = 0; i < w->record_count; i++) {
        struct slice owner;
        assert_true(group_record_owner(w->records[i].key, &owner));
        assert_true(slice_eq(owner, group_id(w->g)));
        assert_int_equal(group_replay(g, w->records[i].key, w->records[i].value, 0), OK);
    }
    return g;
}

void world_restart(struct world *w)
{
    struct group *g = world_replayed(w);
    group_destroy(w->g);
    w->g = g;
    w->before = group_state_of(g);
    group_loaded(g, w->now_ms, w->wall_ms, &w->out);
    assert_true(w->out.deadline_ms > w->now_ms);
}

/* ---- words --------------------------------------------------------------------------------- */

static struct slice next_word(struct slice *text, char end)
{
    while (text->len > 0 && text->ptr[0] == (u8)end) {
        *text = slice_of(text->ptr + 1, text->len - 1);
    }
    size_t len = 0;
    while (len < text->len && text->ptr[len] != (u8)end) {
        len++;
    }
    struct slice word = slice_of(text->ptr, len);
    *text = slice_of(text->ptr + len, text->len - len);
    return word;
}

/* The part before the mark; *rest what follows it, ptr NULL when it is not there. */
static struct slice split(struct slice text, char mark, struct slice *rest)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == (u8)mark) {
            *rest = slice_of(text.ptr + i + 1, text.len - i - 1);
            return slice_of(text.ptr, i);
        }
    }
    *rest = (struct slice){0};
    return text;
}

static i64 number(struct slice text)
{
    char digits[32] = {0};
    assert_true(text.len > 0 && text.len < sizeof(digits));
    memcpy(digits, text.ptr, text.len);
    return strtoll(digits, NULL, 10);
}

struct words {
    struct slice verb;
    struct slice number; /* the word that is no KEY=VALUE */
    struct slice value[128];
};

static void words_read(struct words *words, const char *event)
{
    struct slice text = slice_cstr(event);
    memset(words, 0, sizeof(*words));
    words->verb = next_word(&text, ' ');
    while (text.len > 0) {
        struct slice rest;
        struct slice key = split(next_word(&text, ' '), '=', &rest);
        if (rest.ptr == NULL) {
            words->number = key;
        } else {
            u8 slot = key.len == 2 ? 'I' : key.ptr[0]; /* id= */
            words->value[slot & 127] = rest;
        }
    }
}

static struct slice text_or(const struct words *words, char key, const char *otherwise)
{
    return words->value[(u8)key & 127].ptr != NULL ? words->value[(u8)key & 127]
                                                   : slice_cstr(otherwise);
}

static i64 number_or(const struct words *words, char key, i64 otherwise)
{
    return words->value[(u8)key & 127].ptr != NULL ? number(words->value[(u8)key & 127])
                                                   : otherwise;
}

/* ---- what is said -------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3)
static void tell(struct world *w, const char *format, ...)
{
    size_t len = strlen(w->said);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(w->said + len, sizeof(w->said) - len, format, args);
    va_end(args);
    assert_true(more >= 0 && (size_t)more < sizeof(w->said) - len);
}

#define TEXT(s) (int)(s).len, (const char *)(s).ptr

static void part(struct world *w)
{
    tell(w, "%s", w->said[0] == '\0' ? "" : "; ");
}

static void tell_join(struct world *w, const struct group_reply *r)
{
    if (r->kerr != KERR_NONE) {
        tell(w, " me=%.*s", TEXT(r->member_id));
        assert_int_equal(r->generation, -1);
        assert_int_equal(r->member_count, 0);
        return;
    }
    assert_true(slice_eq_cstr(r->protocol_type, "consumer"));
    tell(w, " g%d %.*s me=%.*s lead=%.*s", r->generation, TEXT(r->protocol_name),
         TEXT(r->member_id), TEXT(r->leader_id));
    for (u32 i = 0; i < r->member_count; i++) {
        const struct group_reply_member *m = &r->members[i];
        tell(w, "%s%.*s", i == 0 ? " [" : " ", TEXT(m->member_id));
        if (m->instance_id.ptr != NULL) {
            tell(w, "@%.*s", TEXT(m->instance_id));
        }
        tell(w, "=%.*s%s", TEXT(m->metadata), i + 1 == r->member_count ? "]" : "");
    }
    tell(w, "%s", r->skip_assignment ? " skip" : "");
}

static void tell_reply(struct world *w, const struct group_event *ev, const struct group_reply *r)
{
    part(w);
    tell(w, "%llu:%s", (unsigned long long)r->ticket, kerr_name(r->kerr));
    if (r->kind == GROUP_JOIN) {
        tell_join(w, r);
    } else if (r->kind == GROUP_SYNC && r->kerr == KERR_NONE) {
        assert_true(slice_eq_cstr(r->protocol_type, "consumer"));
        tell(w, " %.*s '%.*s'", TEXT(r->protocol_name), TEXT(r->assignment));
    } else if (r->kind == GROUP_LEAVE) {
        for (u32 i = 0; i < r->member_count; i++) {
            tell(w, " %s", kerr_name(r->member_kerrs[i]));
        }
    } else if ((r->kind == GROUP_COMMIT || r->kind == GROUP_DELETE_OFFSETS) &&
               r->kerr == KERR_NONE) {
        for (u32 i = 0; i < ev->commit.offset_count; i++) {
            tell(w, " %s", kerr_name(ev->commit.offsets[i].kerr));
        }
    }
}

static void tell_group_record(struct world *w, struct slice bytes)
{
    if (bytes.ptr == NULL) {
        tell(w, "-G");
        return;
    }
    assert_int_equal(load_be16(bytes.ptr), 3);
    struct group_metadata_value v;
    assert_int_equal(wire_decode(&group_metadata_value_def, 3,
                                 slice_of(bytes.ptr + 2, bytes.len - 2), &w->arena, &v, NULL),
                     OK);
    tell(w, "+G g%d %.*s/%.*s lead=%.*s", v.generation, TEXT(v.protocol_type), TEXT(v.protocol),
         TEXT(v.leader));
    for (u32 i = 0; i < v.members.count; i++) {
        const struct group_metadata_value_member *m = &v.members.items[i];
        tell(w, " %.*s", TEXT(m->member_id));
        if (m->group_instance_id.ptr != NULL) {
            tell(w, "@%.*s", TEXT(m->group_instance_id));
        }
        tell(w, "=%.*s/%.*s", TEXT(m->subscription), TEXT(m->assignment));
    }
}

static void tell_offset_record(struct world *w, const struct group_record *r)
{
    struct offset_commit_key key;
    struct offset_commit_value v;
    assert_int_equal(wire_decode(&offset_commit_key_def, 0,
                                 slice_of(r->key.ptr + 2, r->key.len - 2), &w->arena, &key, NULL),
                     OK);
    tell(w, "%cO %.*s/%d", r->value.ptr == NULL ? '-' : '+', TEXT(key.topic), key.partition);
    if (r->value.ptr == NULL) {
        return;
    }
    i16 version = (i16)load_be16(r->value.ptr);
    assert_int_equal(wire_decode(&offset_commit_value_def, version,
                                 slice_of(r->value.ptr + 2, r->value.len - 2), &w->arena, &v, NULL),
                     OK);
    assert_int_equal(v.commit_timestamp, w->wall_ms);
    tell(w, "=%lld%s", (long long)v.offset, version == 4 ? "" : " v1");
}

static void tell_out(struct world *w, const struct group_event *ev)
{
    for (u32 i = 0; i < w->out.reply_count; i++) {
        tell_reply(w, ev, &w->out.replies[i]);
    }
    for (u32 i = 0; i < w->out.record_count; i++) {
        const struct group_record *r = &w->out.records[i];
        part(w);
        if (load_be16(r->key.ptr) == 2) {
            tell_group_record(w, r->value);
        } else {
            assert_int_equal(load_be16(r->key.ptr), 1);
            tell_offset_record(w, r);
        }
    }
    if (group_state_of(w->g) != w->before) {
        part(w);
        tell(w, "| %s", group_state_name(group_state_of(w->g)));
    }
}

static void tell_look(struct world *w)
{
    const struct group *g = w->g;
    tell(w, "%s g%d", group_state_name(group_state_of(g)), group_generation(g));
    tell(w, " %.*s/%.*s", TEXT(group_protocol_type(g)), TEXT(group_protocol_name(g)));
    for (u32 i = 0; i < group_member_count(g); i++) {
        struct group_member_view v;
        group_member_at(g, i, &v);
        tell(w, " %.*s", TEXT(v.member_id));
        if (v.instance_id.ptr != NULL) {
            tell(w, "@%.*s", TEXT(v.instance_id));
        }
        tell(w, "(%.*s)=%.*s/%.*s", TEXT(v.client_id), TEXT(v.metadata), TEXT(v.assignment));
    }
    for (u32 i = 0; i < group_offset_count(g); i++) {
        const struct group_offset *o = group_offset_at(g, i);
        tell(w, " %.*s/%d=%lld'%.*s'", TEXT(o->topic), o->partition, (long long)o->offset,
             TEXT(o->metadata));
    }
    if (w->out.deadline_ms != INT64_MAX) {
        tell(w, " in %lld", (long long)(w->out.deadline_ms - w->now_ms));
    }
    tell(w, "%s", w->out.dead ? " dead" : "");
}

/* ---- events -------------------------------------------------------------------------------- */

static void read_join(const struct words *words, struct group_event *ev,
                      struct group_protocol *protocols)
{
    static char fresh[32];
    snprintf(fresh, sizeof(fresh), "f%llu", (unsigned long long)ev->ticket);
    ev->kind = GROUP_JOIN;
    ev->version = (i16)number_or(words, 'v', 5);
    ev->join.fresh_member_id = text_or(words, 'f', fresh);
    ev->join.client_id = text_or(words, 'c', "app");
    ev->join.client_host = SLICE_LIT("/127.0.0.1");
    ev->join.protocol_type = text_or(words, 't', "consumer");
    ev->join.session_timeout_ms = (i32)number_or(words, 's', 10000);
    ev->join.rebalance_timeout_ms = (i32)number_or(words, 'r', 60000);
    ev->join.protocols = protocols;
    struct slice list = text_or(words, 'p', "range:");
    while (list.len > 0) {
        struct slice metadata;
        struct slice name = split(next_word(&list, ','), ':', &metadata);
        protocols[ev->join.protocol_count++] =
            (struct group_protocol){name, metadata.ptr == NULL ? WIRE_EMPTY : metadata};
    }
}

static void read_sync(const struct words *words, struct group_event *ev,
                      struct group_assignment *assignments)
{
    ev->kind = GROUP_SYNC;
    ev->sync.protocol_type = words->value['t'];
    ev->sync.protocol_name = words->value['p'];
    ev->sync.assignments = assignments;
    struct slice list = words->value['a'];
    while (list.len > 0) {
        struct slice bytes;
        struct slice id = split(next_word(&list, ','), ':', &bytes);
        assignments[ev->sync.assignment_count++] = (struct group_assignment){id, bytes};
    }
}

static void read_leave(const struct words *words, struct group_event *ev,
                       struct group_leaver *leavers)
{
    ev->kind = GROUP_LEAVE;
    ev->leave.leavers = leavers;
    struct slice list = words->value['l'];
    while (list.len > 0) {
        struct slice instance;
        struct slice id = split(next_word(&list, ','), '@', &instance);
        leavers[ev->leave.leaver_count++] = (struct group_leaver){id, instance};
    }
}

static struct uuid id_of(i64 n)
{
    struct uuid id = {{0}};
    id.bytes[15] = (u8)n;
    return id;
}

static void read_offsets(const struct words *words, struct group_event *ev,
                         struct group_offset *offsets)
{
    ev->commit.offsets = offsets;
    struct slice list = words->value['o'];
    while (list.len > 0) {
        struct slice rest;
        struct slice place = split(next_word(&list, ','), ':', &rest);
        struct slice partition;
        struct slice topic = split(place, '/', &partition);
        struct slice metadata = {0};
        struct slice offset = rest.ptr == NULL ? SLICE_LIT("0") : split(rest, ':', &metadata);
        bool refused = partition.ptr[partition.len - 1] == '!';
        partition.len -= refused;
        offsets[ev->commit.offset_count++] = (struct group_offset){
            .topic = topic,
            .topic_id = id_of(number_or(words, 'I', 0)),
            .partition = (i32)number(partition),
            .offset = number(offset),
            .leader_epoch = -1,
            .metadata = metadata.ptr == NULL ? WIRE_EMPTY : metadata,
            .expire_wall_ms = number_or(words, 'x', 0),
            .kerr = refused ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE,
        };
    }
}

static bool pass_time(struct world *w, const struct words *words)
{
    bool timer = slice_eq_cstr(words->verb, "time");
    if (!timer && !slice_eq_cstr(words->verb, "later")) {
        return false;
    }
    w->now_ms += number(words->number);
    w->wall_ms += number(words->number);
    if (timer) {
        struct group_event ev = {.kind = GROUP_TIMER, .generation = -1};
        assert_int_equal(world_step(w, &ev), OK);
        tell_out(w, &ev);
    }
    return true;
}

const char *world_run(struct world *w, const char *event)
{
    struct words words;
    words_read(&words, event);
    w->said[0] = '\0';
    if (slice_eq_cstr(words.verb, "look")) {
        tell_look(w);
        return w->said;
    }
    if (slice_eq_cstr(words.verb, "restart")) {
        world_restart(w);
        return w->said;
    }
    if (pass_time(w, &words)) {
        return w->said;
    }
    struct group_protocol protocols[ITEMS_MAX];
    struct group_assignment assignments[ITEMS_MAX];
    struct group_leaver leavers[ITEMS_MAX];
    struct group_offset offsets[ITEMS_MAX];
    struct group_event ev = {
        .ticket = words.number.ptr == NULL ? 0 : (u64)number(words.number),
        .member_id = text_or(&words, 'm', ""),
        .instance_id = words.value['i'],
        .generation = (i32)number_or(&words, 'g', -1),
    };
    if (slice_eq_cstr(words.verb, "join")) {
        read_join(&words, &ev, protocols);
    } else if (slice_eq_cstr(words.verb, "sync")) {
        read_sync(&words, &ev, assignments);
    } else if (slice_eq_cstr(words.verb, "beat")) {
        ev.kind = GROUP_HEARTBEAT;
    } else if (slice_eq_cstr(words.verb, "leave")) {
        read_leave(&words, &ev, leavers);
    } else if (slice_eq_cstr(words.verb, "commit") || slice_eq_cstr(words.verb, "deloff")) {
        ev.kind = words.verb.ptr[0] == 'c' ? GROUP_COMMIT : GROUP_DELETE_OFFSETS;
        read_offsets(&words, &ev, offsets);
    } else if (slice_eq_cstr(words.verb, "delete")) {
        ev.kind = GROUP_DELETE;
    } else if (slice_eq_cstr(words.verb, "topicgone")) {
        ev.kind = GROUP_TOPIC_DELETED;
        ev.topic_deleted.topic = words.value['o'];
        ev.topic_deleted.topic_id = id_of(number_or(&words, 'I', 0));
    } else {
        assert_true(slice_eq_cstr(words.verb, "gone"));
        ev.kind = GROUP_CLIENT_GONE;
        ev.ticket = (u64)number_or(&words, 't', 0);
    }
    assert_int_equal(world_step(w, &ev), OK);
    tell_out(w, &ev);
    return w->said;
}

void script_run_with(struct world *w, const struct line *lines, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const char *said = world_run(w, lines[i].event);
        if (strcmp(said, lines[i].said) != 0) {
            fail_msg("line %u: %s\n  should say: %s\n  says:       %s", i + 1, lines[i].event,
                     lines[i].said, said);
        }
    }
}

void script_run(const struct line *lines, u32 count)
{
    struct world *w = mem_alloc(sizeof(*w));
    world_init(w);
    script_run_with(w, lines, count);
    world_fini(w);
    mem_free(w);
}

/* ---- two groups ---------------------------------------------------------------------------- */

static void assert_same_text(struct slice a, struct slice b)
{
    assert_int_equal(a.ptr == NULL, b.ptr == NULL);
    assert_true(slice_eq(a, b));
}

void assert_same_group(const struct group *a, const struct group *b)
{
    assert_int_equal(group_state_of(a), group_state_of(b));
    assert_int_equal(group_generation(a), group_generation(b));
    assert_same_text(group_protocol_type(a), group_protocol_type(b));
    assert_same_text(group_protocol_name(a), group_protocol_name(b));
    assert_int_equal(group_member_count(a), group_member_count(b));
    for (u32 i = 0; i < group_member_count(a); i++) {
        struct group_member_view va;
        struct group_member_view vb;
        group_member_at(a, i, &va);
        group_member_at(b, i, &vb);
        assert_same_text(va.member_id, vb.member_id);
        assert_same_text(va.instance_id, vb.instance_id);
        assert_same_text(va.client_id, vb.client_id);
        assert_same_text(va.client_host, vb.client_host);
        assert_same_text(va.metadata, vb.metadata);
        assert_same_text(va.assignment, vb.assignment);
        assert_int_equal(a->members[i].session_timeout_ms, b->members[i].session_timeout_ms);
        assert_int_equal(a->members[i].rebalance_timeout_ms, b->members[i].rebalance_timeout_ms);
    }
    assert_int_equal(a->leader, b->leader);
    assert_int_equal(group_offset_count(a), group_offset_count(b));
    for (u32 i = 0; i < group_offset_count(a); i++) {
        const struct group_offset *oa = group_offset_at(a, i);
        const struct group_offset *ob = group_offset_at(b, i);
        assert_same_text(oa->topic, ob->topic);
        assert_true(uuid_eq(oa->topic_id, ob->topic_id));
        assert_int_equal(oa->partition, ob->partition);
        assert_int_equal(oa->offset, ob->offset);
        assert_int_equal(oa->leader_epoch, ob->leader_epoch);
        assert_int_equal(oa->commit_wall_ms, ob->commit_wall_ms);
        assert_int_equal(oa->expire_wall_ms, ob->expire_wall_ms);
        assert_same_text(oa->metadata, ob->metadata);
    }
}

/* ---- the whole inside ---------------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t len;
    size_t cap;
};

PRINTF_LIKE(2, 3)
static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    size_t more = (size_t)vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (t->len + more + 1 > t->cap) {
        t->cap = 2 * (t->len + more + 1);
        t->bytes = mem_resize(t->bytes, t->cap);
    }
    vsnprintf(t->bytes + t->len, t->cap - t->len, format, args);
    va_end(args);
    t->len += more;
}

static void add_member(struct text *t, const struct member *m)
{
    add(t, "member %.*s i %.*s c %.*s h %.*s", TEXT(m->id), TEXT(m->instance_id),
        TEXT(m->client_id), TEXT(m->client_host));
    for (u32 i = 0; i < m->protocol_count; i++) {
        add(t, " %.*s=%.*s", TEXT(m->protocols[i].name), TEXT(m->protocols[i].metadata));
    }
    add(t, " / %.*s s %d r %d at %lld j %llu y %llu %d%d%d%d%d\n", TEXT(block_slice(m->assignment)),
        m->session_timeout_ms, m->rebalance_timeout_ms, (long long)m->session_deadline_ms,
        (unsigned long long)m->join_ticket, (unsigned long long)m->sync_ticket, m->awaiting_join,
        m->awaiting_sync, m->pending_sync, m->is_new, m->id_untold);
}

char *group_dump(const struct group *g)
{
    struct text t = {0};
    add(&t, "%s g%d since %lld record %d initial %d new %d type %.*s name %.*s lead %d\n",
        group_state_name(g->state), g->generation, (long long)g->state_wall_ms, g->has_record,
        g->initial, g->new_member_added, TEXT(block_slice(g->protocol_type)),
        TEXT(block_slice(g->protocol_name)), g->leader);
    add(&t, "join %lld delay %lld left %lld sync %lld expiry %lld\n",
        (long long)g->join_deadline_ms, (long long)g->initial_delay_ms,
        (long long)g->initial_remaining_ms, (long long)g->sync_deadline_ms,
        (long long)g->expiry_due_ms);
    add(&t, "bytes %llu %llu\n", (unsigned long long)g->members_bytes,
        (unsigned long long)(g->bytes - array_bytes(g->member_cap, sizeof(struct member)) -
                             array_bytes(g->pending_cap, sizeof(struct pending))));
    for (u32 i = 0; i < g->member_count; i++) {
        add_member(&t, &g->members[i]);
    }
    for (u32 i = 0; i < g->pending_count; i++) {
        add(&t, "pending %.*s at %lld\n", TEXT(block_slice(g->pendings[i].id)),
            (long long)g->pendings[i].deadline_ms);
    }
    for (u32 i = 0; i < g->offset_count; i++) {
        const struct group_offset *o = group_offset_at(g, i);
        add(&t, "offset %.*s/%d %lld %d %.*s %lld %lld %d\n", TEXT(o->topic), o->partition,
            (long long)o->offset, o->leader_epoch, TEXT(o->metadata), (long long)o->commit_wall_ms,
            (long long)o->expire_wall_ms, o->kerr);
    }
    return t.bytes;
}
