/* Random events from clients that mostly do what clients do, with vanishing clients, full arenas,
   restarts and passing time. After every step:

     every ticket is answered exactly once, or waits in a member, or was forgotten
     who is answered in one phase is told one generation and one leader, and one of them leads
     no id and no instance id is there twice
     offsets are those of the records; in Stable and Empty so is everything that can be looked at
     a step for which the arena is too small changes nothing

   In the end everybody stays away, and the group must die by itself. */
#include "script.h"

enum {
    RUNS = 60,
    EVENTS = 1500,
    CLIENTS = 7,
    TICKETS_MAX = 4 * EVENTS,
};

enum ticket_state { TICKET_UNUSED, TICKET_OPEN, TICKET_ANSWERED, TICKET_FORGOTTEN };

struct client {
    char id[32]; /* "": not known */
    char instance[8];
    i16 version;
    i32 generation;
    u64 join_ticket;
    u64 sync_ticket;
    bool leads;
    bool joined;
};

struct run {
    struct world w;
    struct rng *rng;
    struct client clients[CLIENTS];
    u8 tickets[TICKETS_MAX];
    u8 owner[TICKETS_MAX]; /* client + 1 */
    u64 next_ticket;
    u32 next_id;
    u32 answered;
    u32 in_state[GROUP_DEAD + 1];
    i32 generation;
    bool calm; /* clients change their minds less often */
};

static u64 chance(struct run *r, u64 bound)
{
    return rng_below(r->rng, bound);
}

/* ---- what must hold ------------------------------------------------------------------------ */

static void check_members(const struct run *r)
{
    const struct group *g = r->w.g;
    for (u32 i = 0; i < g->member_count; i++) {
        const struct member *m = &g->members[i];
        for (u32 k = 0; k < i; k++) {
            assert_false(slice_eq(m->id, g->members[k].id));
            assert_false(m->instance_id.ptr != NULL && g->members[k].instance_id.ptr != NULL &&
                         slice_eq(m->instance_id, g->members[k].instance_id));
        }
        assert_true(m->join_ticket == 0 || r->tickets[m->join_ticket] == TICKET_OPEN);
        assert_true(m->sync_ticket == 0 || r->tickets[m->sync_ticket] == TICKET_OPEN);
        assert_true(m->join_ticket == 0 || m->awaiting_join);
        assert_true(m->sync_ticket == 0 || m->awaiting_sync);
        assert_true(pending_find(g, m->id) < 0);
    }
    assert_true(g->state == GROUP_EMPTY || g->state == GROUP_DEAD || g->leader >= 0 ||
                g->member_count == 0);
}

static void check_open_tickets(const struct run *r)
{
    u32 open = 0;
    for (u64 t = 1; t < r->next_ticket; t++) {
        open += r->tickets[t] == TICKET_OPEN;
    }
    u32 waiting = 0;
    for (u32 i = 0; i < r->w.g->member_count; i++) {
        waiting += r->w.g->members[i].join_ticket != 0;
        waiting += r->w.g->members[i].sync_ticket != 0;
    }
    assert_int_equal(open, waiting);
}

static void check_replay(const struct run *r)
{
    struct group *g = world_replayed(&r->w);
    enum group_state state = group_state_of(r->w.g);
    if (state == GROUP_STABLE || state == GROUP_EMPTY) {
        assert_same_group(r->w.g, g);
    } else if (state == GROUP_DEAD) {
        assert_true(group_is_void(g));
    } else {
        assert_int_equal(group_offset_count(r->w.g), group_offset_count(g));
        for (u32 i = 0; i < group_offset_count(g); i++) {
            const struct group_offset *o = group_offset_at(g, i);
            const struct group_offset *live =
                group_offset_find(r->w.g, o->topic, o->topic_id, o->partition);
            assert_non_null(live);
            assert_int_equal(live->offset, o->offset);
        }
    }
    group_destroy(g);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void take_join(struct client *c, const struct group_reply *a)
{
    c->join_ticket = 0;
    c->joined = false;
    switch (a->kerr) {
    case KERR_NONE:
        assert_true(a->generation > 0);
        snprintf(c->id, sizeof(c->id), "%.*s", (int)a->member_id.len,
                 (const char *)a->member_id.ptr);
        c->generation = a->generation;
        c->leads = slice_eq(a->member_id, a->leader_id);
        c->joined = true;
        assert_true(a->member_count == 0 || c->leads);
        break;
    case KERR_MEMBER_ID_REQUIRED:
        snprintf(c->id, sizeof(c->id), "%.*s", (int)a->member_id.len,
                 (const char *)a->member_id.ptr);
        break;
    case KERR_REBALANCE_IN_PROGRESS:
        break;
    default:
        c->id[0] = '\0';
    }
}

static void take_answers(struct run *r)
{
    const struct group_reply *phase = NULL;
    u32 leaders = 0;
    for (u32 i = 0; i < r->w.out.reply_count; i++) {
        const struct group_reply *a = &r->w.out.replies[i];
        assert_true(a->ticket > 0 && a->ticket < r->next_ticket);
        assert_int_equal(r->tickets[a->ticket], TICKET_OPEN);
        r->tickets[a->ticket] = TICKET_ANSWERED;
        r->answered++;
        struct client *c = &r->clients[r->owner[a->ticket] - 1];
        if (a->kind == GROUP_JOIN && a->kerr == KERR_NONE) {
            assert_true(phase == NULL || (phase->generation == a->generation &&
                                          slice_eq(phase->leader_id, a->leader_id) &&
                                          slice_eq(phase->protocol_name, a->protocol_name)));
            phase = a;
            leaders += slice_eq(a->member_id, a->leader_id);
            assert_true(leaders <= 1);
            assert_true(a->generation >= r->generation);
            r->generation = a->generation;
        }
        if (a->kind == GROUP_JOIN && a->ticket == c->join_ticket) {
            take_join(c, a);
        }
        if ((a->kind == GROUP_HEARTBEAT || a->kind == GROUP_SYNC) && a->kerr != KERR_NONE) {
            c->joined = false;
            c->id[0] = a->kerr == KERR_UNKNOWN_MEMBER_ID ? '\0' : c->id[0];
        }
        if (a->kind == GROUP_SYNC) {
            c->sync_ticket = c->sync_ticket == a->ticket ? 0 : c->sync_ticket;
            if (a->kerr == KERR_NONE && a->assignment.len > 0) {
                char expected[16];
                int len = snprintf(expected, sizeof(expected), "%d/", r->w.g->generation);
                assert_true(a->assignment.len > (size_t)len);
                assert_memory_equal(a->assignment.ptr, expected, (size_t)len);
            }
        }
    }
}

/* ---- a step -------------------------------------------------------------------------------- */

static void step(struct run *r, struct client *c, struct group_event *ev)
{
    if (ev->kind != GROUP_TIMER && ev->kind != GROUP_CLIENT_GONE &&
        ev->kind != GROUP_TOPIC_DELETED) {
        ev->ticket = r->next_ticket++;
        r->tickets[ev->ticket] = TICKET_OPEN;
        r->owner[ev->ticket] = (u8)(c - r->clients + 1);
    }
    if (ev->kind == GROUP_JOIN) {
        c->join_ticket = ev->ticket;
    } else if (ev->kind == GROUP_SYNC) {
        c->sync_ticket = ev->ticket;
    }
    assert_int_equal(world_step(&r->w, ev), OK);
    r->in_state[group_state_of(r->w.g)]++;
    take_answers(r);
    check_members(r);
    check_open_tickets(r);
}

/* ---- what clients do ----------------------------------------------------------------------- */

static struct slice text_of(const char *s)
{
    return s[0] == '\0' ? WIRE_EMPTY : slice_cstr(s);
}

static struct slice instance_of(const struct client *c)
{
    return c->instance[0] == '\0' ? (struct slice){0} : slice_cstr(c->instance);
}

static void do_join(struct run *r, struct client *c)
{
    static const char *const names[] = {"range", "rr", "sticky"};
    char fresh[32];
    snprintf(fresh, sizeof(fresh), "m%u", r->next_id++);
    char metadata[3][16];
    struct group_protocol protocols[3];
    u32 count = r->calm ? 3 : 1 + (u32)chance(r, 3);
    u32 first = chance(r, r->calm ? 50 : 4) == 0 ? (u32)chance(r, 3) : 0;
    for (u32 i = 0; i < count; i++) {
        snprintf(metadata[i], sizeof(metadata[i]), "x%u", chance(r, r->calm ? 50 : 2) == 0);
        protocols[i] =
            (struct group_protocol){slice_cstr(names[(first + i) % 3]), slice_cstr(metadata[i])};
    }
    struct group_event ev = {
        .kind = GROUP_JOIN,
        .version = c->version,
        .member_id = text_of(c->id),
        .instance_id = instance_of(c),
        .generation = -1,
        .join = {.fresh_member_id = slice_cstr(fresh),
                 .client_id = SLICE_LIT("app"),
                 .client_host = SLICE_LIT("/"),
                 .protocol_type = chance(r, 30) == 0 ? SLICE_LIT("connect") : SLICE_LIT("consumer"),
                 .protocols = protocols,
                 .protocol_count = chance(r, 40) == 0 ? 0 : count,
                 .session_timeout_ms = chance(r, 40) == 0 ? 1 : 6000 + (i32)chance(r, 10000),
                 .rebalance_timeout_ms = (i32)chance(r, 20000)},
    };
    step(r, c, &ev);
}

static void do_sync(struct run *r, struct client *c)
{
    struct group_assignment list[CLIENTS + 2];
    char texts[CLIENTS + 2][24];
    char ids[CLIENTS + 2][32];
    u32 count = 0;
    for (u32 i = 0; i < r->w.g->member_count && count < CLIENTS; i++) {
        if (chance(r, 8) == 0) {
            continue;
        }
        struct slice id = r->w.g->members[i].id;
        snprintf(ids[count], sizeof(ids[count]), "%.*s", (int)id.len, (const char *)id.ptr);
        snprintf(texts[count], sizeof(texts[count]), "%d/%u", c->generation, count);
        list[count] = (struct group_assignment){slice_cstr(ids[count]), slice_cstr(texts[count])};
        count++;
    }
    struct group_event ev = {
        .kind = GROUP_SYNC,
        .version = c->version,
        .member_id = text_of(c->id),
        .instance_id = instance_of(c),
        .generation = c->generation - (chance(r, 20) == 0),
        .sync = {.assignments = list, .assignment_count = count},
    };
    step(r, c, &ev);
}

static void do_simple(struct run *r, struct client *c, enum group_event_kind kind)
{
    struct group_event ev = {.kind = kind,
                             .version = c->version,
                             .member_id = text_of(c->id),
                             .instance_id = instance_of(c),
                             .generation = c->generation - (chance(r, 20) == 0)};
    step(r, c, &ev);
}

static void do_commit(struct run *r, struct client *c, enum group_event_kind kind)
{
    static const char *const topics[] = {"t", "u", "v.w"};
    struct group_offset offsets[4];
    u32 count = (u32)chance(r, 4);
    for (u32 i = 0; i < count; i++) {
        offsets[i] = (struct group_offset){
            .topic = slice_cstr(topics[chance(r, 3)]),
            .topic_id = {{(u8)chance(r, 2)}},
            .partition = (i32)chance(r, 4),
            .offset = (i64)chance(r, 1000),
            .leader_epoch = (i32)chance(r, 3) - 1,
            .metadata = chance(r, 2) == 0 ? WIRE_EMPTY : SLICE_LIT("note"),
            .kerr = chance(r, 10) == 0 ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE,
        };
    }
    bool outside = chance(r, 3) == 0;
    struct group_event ev = {.kind = kind,
                             .version = c->version,
                             .member_id = outside ? WIRE_EMPTY : text_of(c->id),
                             .instance_id = outside ? (struct slice){0} : instance_of(c),
                             .generation = outside ? -1 : c->generation,
                             .commit = {.offsets = offsets, .offset_count = count}};
    step(r, c, &ev);
}

static void do_leave(struct run *r, struct client *c)
{
    struct client *other = &r->clients[chance(r, CLIENTS)];
    struct group_leaver leavers[] = {
        {text_of(c->id), instance_of(c)},
        {chance(r, 2) == 0 ? WIRE_EMPTY : text_of(other->id), instance_of(other)},
    };
    struct group_event ev = {.kind = GROUP_LEAVE,
                             .version = c->version,
                             .generation = -1,
                             .leave = {.leavers = leavers, .leaver_count = 1 + (u32)chance(r, 2)}};
    step(r, c, &ev);
    if (chance(r, 2) == 0) {
        c->id[0] = '\0';
    }
}

static void forget(struct run *r, struct client *c, u64 *ticket)
{
    if (*ticket == 0 || r->tickets[*ticket] != TICKET_OPEN) {
        return;
    }
    r->tickets[*ticket] = TICKET_FORGOTTEN;
    struct group_event ev = {.kind = GROUP_CLIENT_GONE, .generation = -1, .ticket = *ticket};
    *ticket = 0;
    step(r, c, &ev);
}

static void do_gone(struct run *r, struct client *c)
{
    forget(r, c, &c->join_ticket);
    forget(r, c, &c->sync_ticket);
    if (chance(r, 2) == 0) {
        c->id[0] = '\0';
    }
}

static void do_time(struct run *r, struct client *c)
{
    i64 ms = (i64)chance(r, r->calm ? 1500 : 4000);
    if (chance(r, r->calm ? 20 : 3) == 0 && r->w.out.deadline_ms != INT64_MAX) {
        ms = r->w.out.deadline_ms - r->w.now_ms;
    }
    ms = MAX(ms, 0);
    r->w.now_ms += ms;
    r->w.wall_ms += ms;
    struct group_event ev = {.kind = GROUP_TIMER, .generation = -1};
    step(r, c, &ev);
}

/* All clients are cut off, the broker starts anew. */
static void do_restart(struct run *r)
{
    for (u64 t = 1; t < r->next_ticket; t++) {
        if (r->tickets[t] == TICKET_OPEN) {
            r->tickets[t] = TICKET_FORGOTTEN;
        }
    }
    for (u32 i = 0; i < CLIENTS; i++) {
        r->clients[i].join_ticket = 0;
        r->clients[i].sync_ticket = 0;
    }
    world_restart(&r->w);
    r->generation = group_generation(r->w.g);
}

static void new_group_if_dead(struct run *r)
{
    if (r->w.out.dead) {
        do_restart(r);
        assert_true(group_is_void(r->w.g));
    }
}

static void act(struct run *r)
{
    struct client *c = &r->clients[chance(r, CLIENTS)];
    u64 dice = chance(r, 100);
    if (r->calm && c->joined && (dice < 30 || (dice >= 78 && dice < 86) || dice >= 97)) {
        dice = chance(r, 20) == 0 ? dice : 50;
    }
    if (dice < 30) {
        if (c->join_ticket == 0 || chance(r, r->calm ? 50 : 5) == 0) {
            do_join(r, c);
        }
    } else if (dice < 50) {
        if (c->joined && (c->sync_ticket == 0 || chance(r, r->calm ? 50 : 5) == 0)) {
            do_sync(r, c);
        }
    } else if (dice < 65) {
        do_simple(r, c, GROUP_HEARTBEAT);
    } else if (dice < 78) {
        do_commit(r, c, chance(r, 6) == 0 ? GROUP_DELETE_OFFSETS : GROUP_COMMIT);
    } else if (dice < 82) {
        do_leave(r, c);
    } else if (dice < 86) {
        do_gone(r, c);
    } else if (dice < 97) {
        do_time(r, c);
    } else if (dice < 98) {
        do_simple(r, c, GROUP_DELETE);
    } else if (dice < 99) {
        struct group_event ev = {.kind = GROUP_TOPIC_DELETED,
                                 .generation = -1,
                                 .topic_deleted = {SLICE_LIT("t"), {{(u8)chance(r, 2)}}}};
        step(r, c, &ev);
    } else {
        do_restart(r);
    }
}

static void run_out(struct run *r)
{
    struct client *c = &r->clients[0];
    for (u32 i = 0; i < CLIENTS; i++) {
        forget(r, &r->clients[i], &r->clients[i].join_ticket);
        forget(r, &r->clients[i], &r->clients[i].sync_ticket);
    }
    for (u32 i = 0; i < 2000 && !r->w.out.dead; i++) {
        assert_int_not_equal(r->w.out.deadline_ms, INT64_MAX);
        i64 ms = r->w.out.deadline_ms - r->w.now_ms;
        r->w.now_ms += ms;
        r->w.wall_ms += ms;
        struct group_event ev = {.kind = GROUP_TIMER, .generation = -1};
        step(r, c, &ev);
    }
    assert_true(r->w.out.dead);
    check_replay(r);
}

static void run_init(struct run *r, struct rng *rng)
{
    memset(r, 0, sizeof(*r));
    world_init(&r->w);
    r->w.limits.initial_rebalance_delay_ms = rng_chance(rng, 1, 2) ? 0 : 3000;
    r->w.limits.size_max = 5;
    r->rng = rng;
    r->w.rng = rng;
    r->next_ticket = 1;
    for (u32 i = 0; i < CLIENTS; i++) {
        r->clients[i].version = (i16)chance(r, 10);
        if (i >= CLIENTS - 3) {
            snprintf(r->clients[i].instance, sizeof(r->clients[i].instance), "i%u",
                     i == CLIENTS - 1 ? CLIENTS - 2 : i); /* two share one */
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct run *r = mem_alloc(sizeof(*r));
    u32 answered = 0;
    u32 refused = 0;
    u32 in_state[GROUP_DEAD + 1] = {0};
    for (u32 run = 0; run < RUNS; run++) {
        run_init(r, &rng);
        r->calm = run % 2 == 1;
        for (u32 i = 0; i < EVENTS; i++) {
            act(r);
            if (i % 8 == 0) {
                check_replay(r);
            }
            new_group_if_dead(r);
        }
        run_out(r);
        answered += r->answered;
        for (u32 i = 0; i <= GROUP_DEAD; i++) {
            in_state[i] += r->in_state[i];
        }
        refused += r->w.refused;
        world_fini(&r->w);
    }
    printf("%u answers, %u steps without room\n", answered, refused);
    for (u32 i = 0; i <= GROUP_DEAD; i++) {
        printf("%u steps that ended in %s\n", in_state[i], group_state_name(i));
        assert_true(in_state[i] > RUNS);
    }
    assert_true(answered > RUNS * EVENTS / 2);
    assert_true(refused > RUNS * EVENTS / 50);
    mem_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
