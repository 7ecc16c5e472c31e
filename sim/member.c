/* A member of a consumer group (crew.h): two connections, one to the coordinator and one for
   records, as real clients have them.

     FIND -> JOIN -> SYNC -> OFFSETS -> RUN: fetch, process, commit, heartbeat
              ^                          |
              '--- a rebalance, or the place is lost

   Accidents: LEAVE says good-bye; a crash does not (the connections die, a new process begins later
   under another member id, a static one under the same instance id); a sleeper says nothing and
   hears nothing, and when it wakes it commits first, as its old generation. And some have a last
   commit for what they owned before when they are in the next generation already. */
#include "sim/member_private.h"

#include <stdio.h>
#include <string.h>

void member_step_soon(struct member *m, u64 about_ns)
{
    world_start(m->world, &m->step, chance_between(m->world, about_ns / 4, about_ns));
}

void member_fetch_soon(struct member *m, u64 about_ns)
{
    world_start(m->world, &m->fetch, chance_between(m->world, about_ns / 4, about_ns));
}

u64 member_session_ns(const struct member *m)
{
    return m->crew->session_timeout_ms * SIM_MS;
}

struct ledger_group *member_ledger(const struct member *m)
{
    return &m->crew->ledger;
}

bool member_is_static(const struct member *m)
{
    return m->instance[0] != 0;
}

struct slice member_instance(const struct member *m)
{
    return member_is_static(m) ? slice_cstr(m->instance) : (struct slice){0};
}

const char *member_owner_name(const struct member *m)
{
    return member_is_static(m) ? m->instance : m->id;
}

i16 member_version(struct member *m, i16 low, i16 from_static, i16 high)
{
    return (i16)chance_between(m->world, (u64)(member_is_static(m) ? from_static : low), (u64)high);
}

void member_ask(struct member *m, i16 api, i16 v, const void *request,
                void (*done)(struct call *call, err_t result, struct slice body))
{
    m->coord_waiting = true;
    m->asked = ledger_group_ask(member_ledger(m));
    client_send(&m->coord, &m->coord_call, api, v, request, done);
    arena_reset(&m->arena);
}

bool member_answered(struct member *m, err_t result, struct slice body, void *out)
{
    m->coord_waiting = false;
    if (result != OK) {
        return false;
    }
    const struct call *call = &m->coord_call;
    err_t e = wire_decode(call->api->response, call->version, body, &m->arena, out, NULL);
    if (e != OK) {
        world_fail(m->world, "answers can be read", "%s v%d: %s", call->api->kafka_name,
                   call->version, err_name(e));
    }
    return e == OK;
}

void member_enter(struct member *m, enum member_state state)
{
    if (state == MEMBER_JOIN || state == MEMBER_AWAY) {
        bool late = state == MEMBER_JOIN && m->state == MEMBER_RUN && !m->quiet;
        m->late = late && chance(m->world, 1, 3) ? m->owned : 0;
        m->late_generation = m->generation;
        m->owned = 0;
        m->round++;
        m->woken = false;
        m->rejoin = false;
    }
    m->state = state;
    member_step_soon(m, 2 * SIM_MS);
}

/* A sign of life keeps a member for so long; the coordinator counts whole milliseconds. */
static u64 surely_keeps_ns(const struct member *m)
{
    return (MIN(m->crew->session_timeout_ms, m->crew->rebalance_timeout_ms) - 1) * SIM_MS;
}

static void place_lost(struct member *m)
{
    bool deleted = m->asked.incarnation != member_ledger(m)->incarnation;
    u64 keeps_ns = surely_keeps_ns(m);
    if (m->state == MEMBER_RUN && m->world->now_ns < m->good_ns + keeps_ns && !deleted &&
        !ledger_group_in_doubt(member_ledger(m))) {
        world_fail(m->world, "a live member keeps its place",
                   "%s: %s (%s) is unknown %llu ms after it was a member, its session is of %u ms",
                   member_ledger(m)->name, m->coord.name, m->id,
                   (unsigned long long)((m->world->now_ns - m->good_ns) / SIM_MS),
                   m->crew->session_timeout_ms);
    }
    m->crew->evictions++;
    m->id[0] = 0;
    member_enter(m, MEMBER_JOIN);
}

void member_refused(struct member *m, i16 kerr)
{
    world_say(m->world, "%-6s %s: %s", m->coord.name, m->coord_call.api->kafka_name,
              kerr_name(kerr));
    switch (kerr) {
    case KERR_REBALANCE_IN_PROGRESS:
        if (m->state == MEMBER_RUN && !m->rejoin && chance(m->world, 1, 2)) {
            m->rejoin = true; /* commits before */
            member_step_soon(m, 2 * SIM_MS);
        } else {
            member_enter(m, MEMBER_JOIN);
        }
        break;
    case KERR_ILLEGAL_GENERATION:
        member_enter(m, MEMBER_JOIN);
        break;
    case KERR_UNKNOWN_MEMBER_ID:
    case KERR_GROUP_ID_NOT_FOUND:
        place_lost(m);
        break;
    case KERR_FENCED_INSTANCE_ID:
        /* A join of the same instance that was given up arrived after the one that was answered:
           for a client this is the end, and somebody starts it again. */
        member_crash(m, member_session_ns(m));
        break;
    case KERR_COORDINATOR_LOAD_IN_PROGRESS:
    case KERR_COORDINATOR_NOT_AVAILABLE:
        m->wl->storage_errors += kerr == KERR_COORDINATOR_NOT_AVAILABLE;
        member_step_soon(m, RETRY_NS);
        break;
    default:
        world_fail(m->world, "errors make sense", "%s: %s to %s", m->coord_call.api->kafka_name,
                   kerr_name(kerr), m->coord.name);
    }
}

/* ---- accidents ------------------------------------------------------------------------------- */

static void process_begin(struct member *m)
{
    m->id[0] = 0;
    m->generation = 0;
    client_restart(&m->coord);
    client_restart(&m->data);
    member_enter(m, MEMBER_FIND);
}

void member_crash(struct member *m, u64 away_ns)
{
    if (m->id[0] != 0) {
        crew_ghost_add(m->crew, m->id);
    }
    m->asleep = false;
    member_enter(m, MEMBER_AWAY);
    client_drop(&m->coord, true);
    client_drop(&m->data, true);
    m->id[0] = 0;
    world_stop(m->world, &m->step);
    world_stop(m->world, &m->wake);
    if (!m->doomed && !m->never_again) {
        u64 usual_ns = m->quiet ? 10 * SIM_MS : away_ns;
        world_start(m->world, &m->wake, chance_between(m->world, usual_ns / 8, usual_ns));
    }
}

static void nap(struct member *m)
{
    u64 over_ns = 2 * m->crew->rebalance_timeout_ms * SIM_MS + 2 * SIM_S;
    u64 duration_ns =
        chance(m->world, 1, 8)
            ? member_session_ns(m) + chance_between(m->world, 0, over_ns)
            : chance_between(m->world, member_session_ns(m) / 2, 2 * member_session_ns(m));
    world_say(m->world, "%-6s sleeps for %llu ms", m->coord.name,
              (unsigned long long)(duration_ns / SIM_MS));
    m->asleep = true;
    m->asleep_since_ns = m->world->now_ns;
    m->crew->naps += duration_ns > member_session_ns(m);
    client_stall(&m->coord, duration_ns);
    client_stall(&m->data, duration_ns);
    world_start(m->world, &m->wake, duration_ns);
}

static void wake_run(struct world_event *e)
{
    struct member *m = CONTAINER_OF(e, struct member, wake);
    if (m->state == MEMBER_AWAY) {
        process_begin(m);
        return;
    }
    world_say(m->world, "%-6s wakes", m->coord.name);
    m->asleep = false;
    m->woken = true;
    member_step_soon(m, 1 * SIM_MS);
    member_fetch_soon(m, 5 * SIM_MS);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool accident(struct member *m)
{
    if (m->quiet || m->woken || m->rejoin || !chance(m->world, 1, 12)) {
        return false;
    }
    switch (chance_between(m->world, 0, 3)) {
    case 0:
        world_say(m->world, "%-6s crashes", m->coord.name);
        m->crew->crashes++;
        member_crash(m, 2 * member_session_ns(m));
        return true;
    case 1:
        if (member_is_static(m) && chance(m->world, 3, 4)) {
            return false;
        }
        member_enter(m, MEMBER_LEAVE);
        return true;
    default:
        nap(m);
        return true;
    }
}

static void run_step(struct member *m)
{
    if (accident(m)) {
        return;
    }
    bool due = member_has_to_commit(m);
    if (m->woken && m->owned != 0) {
        member_ask_commit(m, m->owned, m->generation, true);
    } else if (due && (m->rejoin || m->quiet || chance(m->world, 2, 3))) {
        member_ask_commit(m, m->owned, m->generation, false);
    } else if (m->rejoin) {
        member_enter(m, MEMBER_JOIN);
    } else {
        m->woken = false;
        member_ask_heartbeat(m);
    }
}

static void step_run(struct world_event *e)
{
    struct member *m = CONTAINER_OF(e, struct member, step);
    if (m->asleep || m->coord_waiting || !client_up(&m->coord) || m->world->failed) {
        return;
    }
    if (m->wants == 0) { /* the topics are not there yet */
        m->wants = crew_wants(m->crew, m->number);
        member_step_soon(m, 20 * SIM_MS);
        return;
    }
    switch (m->state) {
    case MEMBER_AWAY:
        break;
    case MEMBER_FIND:
        member_ask_find(m);
        break;
    case MEMBER_JOIN:
        member_ask_join(m);
        break;
    case MEMBER_SYNC:
        if (!m->quiet && chance(m->world, 1, 24)) {
            member_crash(m, 2 * member_session_ns(m));
        } else if (m->late != 0) {
            member_ask_commit(m, m->late, m->late_generation, true);
            m->late = 0;
        } else {
            member_ask_sync(m);
        }
        break;
    case MEMBER_OFFSETS:
        member_ask_offsets(m);
        break;
    case MEMBER_RUN:
        run_step(m);
        break;
    case MEMBER_LEAVE:
        member_ask_leave(m);
        break;
    }
}

static void on_coord_connected(void *user)
{
    member_step_soon(user, 2 * SIM_MS);
}

static void on_data_connected(void *user)
{
    member_fetch_soon(user, 2 * SIM_MS);
}

/* ---- life ------------------------------------------------------------------------------------ */

void member_quiet(struct member *m, bool doomed)
{
    m->quiet = true;
    m->doomed = doomed;
    if (m->asleep) {
        world_start(m->world, &m->wake, chance_between(m->world, 0, member_session_ns(m)));
    }
    m->coord.timeout_ns = WORKLOAD_PATIENCE_NS;
    m->data.timeout_ns = WORKLOAD_PATIENCE_NS;
    if (doomed) {
        world_say(m->world, "%-6s crashes for good", m->coord.name);
        member_crash(m, 0);
    }
}

void member_stop(struct member *m)
{
    m->never_again = true;
    member_crash(m, 0);
}

bool member_is_there(const struct member *m)
{
    return !m->doomed;
}

bool member_is_running(const struct member *m, i32 *generation, u32 *partitions)
{
    *generation = m->generation;
    *partitions = m->owned;
    return m->state == MEMBER_RUN && !m->asleep;
}

const char *member_id(const struct member *m)
{
    return m->id;
}

bool member_surely_there(const struct member *m, u64 since_ns, u64 until_ns)
{
    u64 keeps_ns = surely_keeps_ns(m);
    return m->state == MEMBER_RUN && m->since_ns <= since_ns && m->good_ns + keeps_ns > until_ns;
}

struct member *member_create(struct crew *crew, u32 number)
{
    struct world *w = crew->world;
    struct member *m = mem_alloc(sizeof *m);
    m->crew = crew;
    m->wl = crew->wl;
    m->world = w;
    m->number = number;
    if (chance(w, 1, 2)) {
        (void)snprintf(m->instance, sizeof m->instance, "static-%u-%u", crew->number, number);
    }
    m->state = MEMBER_FIND;
    m->fetch_version = (i16)chance_between(w, 4, 18);
    m->step.run = step_run;
    m->fetch.run = member_fetch_run;
    m->wake.run = wake_run;
    arena_init(&m->arena, NULL, 16 * KIB, 0);
    /* A join is answered when everybody has come; some do not wait for that. */
    u64 timeout_ns = 2 * (u64)crew->rebalance_timeout_ms * SIM_MS + 1 * SIM_S;
    timeout_ns = chance(w, 1, 4) ? m->wl->knobs.timeout_ns : timeout_ns;
    char name[32];
    (void)snprintf(name, sizeof name, "mem%u.%u", crew->number, number);
    const struct client_handler coord = {.connected = on_coord_connected, .user = m};
    client_init(&m->coord, w, m->wl->net, name, timeout_ns, &coord);
    (void)snprintf(name, sizeof name, "mem%u.%u data", crew->number, number);
    const struct client_handler data = {.connected = on_data_connected, .user = m};
    client_init(&m->data, w, m->wl->net, name, 4 * m->wl->knobs.timeout_ns, &data);
    return m;
}

void member_destroy(struct member *m)
{
    m->never_again = true;
    client_fini(&m->coord);
    client_fini(&m->data);
    world_stop(m->world, &m->step);
    world_stop(m->world, &m->fetch);
    world_stop(m->world, &m->wake);
    arena_fini(&m->arena);
    mem_free(m);
}
