/* A run (run.h). The plan of a run, all of it from the seed:

     1. several lives of the broker, each ended by a power cut, kill -9, an orderly stop, or an
        error of its disk; where in its life the end comes is random: at any call of the border,
        also during start, or in the middle of a WAL write (once at least) or of a metadata write
     2. when enough was acknowledged and all planned ends have come, faults cease, and what is in
        flight is finished
     3. one more end, and the last reading by a broker that has only the disk; when it has come to
   rest, the directory has the files that the metadata name and no others
     4. in some runs every record is deleted and every pack that has one buried; the broker that is
   started then still knows every idempotent producer
     5. in others bits of packs rot and stay so: the broker refuses to start, or refuses what is
   hit to readers and nothing else, life after life, whatever is rewritten; the scrubber says so
     6. in others a bit of the data directory rots, several times: the broker refuses to start,
   or serves everything but what the bit belongs to, and never anything wrong; turned back,
   everything is there again

   A broker that refuses to start, or stops by itself, without an injected fault breaks a promise
   too. */
#include "sim/run_private.h"

#include <stdio.h>
#include <string.h>

/* ---- the end of a life ----------------------------------------------------------------------- */

/* A third of the produces for each life; the last one with any ends when they are read. */
static void end_plan_script(struct run *r)
{
    static const enum end_kind kinds[SCRIPT_LIVES + 1] = {END_STOP, END_KILL, END_POWER_CUT,
                                                          END_KILL};
    u32 life = MIN(r->result->lives, (u32)SCRIPT_LIVES + 1);
    r->end_kind = kinds[life - 1];
    r->moment = MOMENT_ANY_CALL;
    r->arm_at_acked =
        life < SCRIPT_LIVES ? (u64)life * SCRIPT_ACKED / SCRIPT_LIVES : (u64)UINT64_MAX;
    r->armed = false;
}

static void end_plan(struct run *r)
{
    if (r->options->script != NULL) {
        end_plan_script(r);
        return;
    }
    struct world *w = &r->world;
    u64 already = r->workload.acked_produces;
    u32 left = r->ends_planned > r->result->crashes ? r->ends_planned - r->result->crashes : 1;
    u64 to_go = already < ACKED_PRODUCES_MIN ? ACKED_PRODUCES_MIN - already : 60;
    r->end_kind = chance(w, 1, 2) ? END_POWER_CUT : chance(w, 3, 4) ? END_KILL : END_STOP;
    r->moment = (enum moment)chance_between(w, 0, MOMENT_COUNT - 1);
    if (r->result->write_crashes == 0 && chance(w, 1, 2)) {
        r->moment = MOMENT_WAL_WRITE;
    }
    if (r->phase != PHASE_CHAOS && r->moment == MOMENT_START) {
        r->moment = MOMENT_ANY_CALL;
    }
    r->arm_at_acked = already + chance_between(w, 0, 2 * to_go / left);
    r->armed = false;
    world_say(w, "PLAN   %s, moment %d, after %llu produces",
              r->end_kind == END_POWER_CUT ? "power cut"
              : r->end_kind == END_KILL    ? "kill"
                                           : "stop",
              (int)r->moment, (unsigned long long)r->arm_at_acked);
}

static struct sim_end_plan never(void)
{
    return (struct sim_end_plan){.in_wal_write = SIM_NEVER, .in_meta_write = SIM_NEVER};
}

static struct sim_end_plan start_plan(struct run *r)
{
    struct sim_end_plan plan = never();
    bool again = r->cut_came && r->cut.again;
    r->cut.again = false;
    if (again || (r->phase == PHASE_CHAOS && r->moment == MOMENT_START)) {
        plan.at_call = chance_between(&r->world, 1, 150);
    }
    return plan;
}

/* The broker is up and has acknowledged what it should: now the end is near. */
static void end_arm(struct run *r)
{
    struct world *w = &r->world;
    r->armed = true;
    if (r->end_kind == END_STOP) {
        world_say(w, "STOP   the broker is asked to stop");
        r->stopping = true;
        broker_stop(r->broker);
        return;
    }
    struct sim_end_plan plan = never();
    switch (r->moment) {
    case MOMENT_WAL_WRITE:
        plan.in_wal_write = (i32)chance_between(w, 0, 20);
        plan.wal_writes = (u32)chance_between(w, 1, FRAME_INFLIGHT_MAX);
        plan.wal_patience = 200;
        break;
    case MOMENT_META_WRITE:
        plan.in_meta_write = (i32)chance_between(w, 0, 4);
        break;
    case MOMENT_ANY_CALL:
    case MOMENT_START:
    case MOMENT_COUNT:
        plan.at_call = sim_io_calls(r->io) + chance_between(w, 1, 400);
        break;
    }
    sim_io_end_plan(r->io, &plan);
}

/* Another sum whenever clients know more. */
static u64 told(const struct run *r)
{
    const struct ledger *l = &r->workload.ledger;
    u64 sum = l->acked_batches + l->read_records;
    for (const struct list_node *n = l->topics.head.next; n != &l->topics.head; n = n->next) {
        const struct ledger_topic *t = CONTAINER_OF(n, const struct ledger_topic, node);
        sum += (u64)t->life;
        for (u32 i = 0; i < t->partition_count; i++) {
            sum += t->partitions[i].floor + t->partitions[i].start;
        }
    }
    return sum;
}

/* Before a call all is as it was after the one before it, unless somebody was told something in
   between; and a sync may find nothing to do. */
static bool moment_is_new(struct run *r)
{
    u64 version = sim_disk_version(r->disk);
    u64 sum = told(r);
    bool is_new = version != r->version_seen || sum != r->told_seen;
    r->version_seen = version;
    r->told_seen = sum;
    return is_new;
}

static bool script_moment(void *user, const struct sim_moment *m)
{
    struct run *r = user;
    const struct run_script *script = r->options->script;
    if (r->cut_came || !moment_is_new(r) ||
        !script->moment(script->user, m, sim_disk_unsynced(r->disk), &r->cut)) {
        return false;
    }
    world_say(&r->world, "CUT    %s %s %s", m->after ? "after" : "before", m->call, m->path);
    r->cut_came = true;
    r->cut_due = true;
    rng_seed(&r->disk_rng, r->cut.draw);
    return true;
}

/* From here on nothing new is done. */
static void script_cut(struct run *r)
{
    r->cut_due = false;
    sim_disk_power_cut_as(r->disk, r->cut.how);
    sim_net_heal(r->net);
    workload_quiet(&r->workload);
    r->workload.burying = false;
    if (r->workload.verifier != NULL) {
        workload_verify_again(&r->workload);
    }
    r->phase = PHASE_SETTLE;
}

static void broker_stopped(void *user, err_t result)
{
    struct run *r = user;
    r->stopped = true;
    r->stop_result = result;
    world_say(&r->world, "STOP   the broker has stopped: %s", err_name(result));
}

/* ---- a life ---------------------------------------------------------------------------------- */

static void config_number(struct config *config, const char *key, u32 value)
{
    char text[16];
    char reason[256];
    (void)snprintf(text, sizeof text, "%u", value);
    err_t e = config_set(config, slice_cstr(key), slice_cstr(text), reason, sizeof reason);
    assert(e == OK);
    (void)e;
}

static err_t life_begin(struct run *r)
{
    struct world *w = &r->world;
    r->result->lives++;
    r->stopping = false;
    r->stopped = false;
    end_plan(r);
    const struct sim_io_params io = {
        .world = w,
        .disk = r->disk,
        .net = r->net,
        .disk_usual_ns = r->disk_usual_ns,
        .disk_rare_ns = r->disk_rare_ns,
        .faults = faults_choose(r),
        .end = start_plan(r),
        .watch = {.moment = r->options->script != NULL ? script_moment : NULL, .user = r},
    };
    r->io = sim_io_create(&io);
    r->config = config_create();
    config_number(r->config, "group.min.session.timeout.ms", 1);
    config_number(r->config, "group.initial.rebalance.delay.ms", r->initial_rebalance_delay_ms);
    config_number(r->config, "offsets.topic.num.partitions", r->offsets_partitions);
    config_number(r->config, "odradek.scrub.period.ms",
                  r->phase == PHASE_PACK_ROT ? SCRUB_MS : r->scrub_period_ms);
    r->damage_told = false;
    r->reads_fail = io.faults.read_fails_in != SIM_NEVER;
    const struct broker_params params = {
        .io = r->io,
        .config = r->config,
        .data_directory = "odradek-data",
        .listen_host = "127.0.0.1",
        .listen_port = 9092,
        .memory_bytes = r->memory_bytes,
        .extent_bytes = r->extent_bytes,
        .snapshot_every = r->snapshot_every,
        /* A bit of the WAL that is turned back later must not have been filed meanwhile. */
        .wal_bytes_max = r->phase == PHASE_ROT ? 0 : r->wal_bytes_max,
        .stretch_bytes = r->stretch_bytes,
        .keep_run_bytes = r->keep_run_bytes,
        .keep_always = r->keep_always,
        .start_packs = r->start_packs,
        .file_delay_ms = r->phase == PHASE_ROT ? 0 : r->file_delay_ms,
        .home_canaries = r->options->home_canaries,
        .log_canaries = r->options->log_canaries,
        .group_canaries = r->options->group_canaries,
        .stopped = broker_stopped,
        .user = r,
    };
    r->progress_ns = w->now_ns;
    r->dead_ns = 0;
    workload_broker_began(&r->workload,
                          io.faults.full_in != SIM_NEVER || io.faults.write_fails_in != SIM_NEVER);
    r->broker = broker_create(&params);
    err_t e = broker_start(r->broker);
    world_say(w, "START  life %u: %s %s", r->result->lives, err_name(e),
              e == OK ? "" : broker_reason(r->broker));
    return e;
}

static bool burial_over(struct run *r)
{
    if (r->dead_ns == 0 && workload_buried(&r->workload)) {
        r->dead_ns = r->world.now_ns;
    }
    return r->dead_ns > 0 && r->world.now_ns - r->dead_ns >= BURIAL_NS;
}

/* Has this life done what the phase is for? */
static bool phase_over(struct run *r)
{
    struct run_result *result = r->result;
    switch (r->phase) {
    case PHASE_CHAOS:
        if (r->options->script != NULL) {
            return r->workload.acked_produces >= SCRIPT_ACKED && result->lives >= SCRIPT_LIVES;
        }
        return r->workload.acked_produces >= ACKED_PRODUCES_MIN &&
               result->crashes >= r->ends_planned && result->write_crashes > 0;
    case PHASE_SETTLE:
        return workload_settled(&r->workload);
    case PHASE_BURY:
        return burial_over(r);
    case PHASE_VERIFY:
    case PHASE_ROT:
    case PHASE_PACK_ROT:
        return workload_verified(&r->workload);
    }
    return false;
}

/* The index of the log only grows, and a small budget ends: produces are refused until somebody
   restarts the broker with a larger one. */
static bool life_starves(const struct run *r)
{
    return r->memory_bytes < MEMORY_MAX && r->workload.storage_errors > 0 && !r->stopping &&
           !r->armed && r->world.now_ns - r->progress_ns > STARVED_NS;
}

static void life_relieve(struct run *r)
{
    world_say(&r->world, "STARVE the broker is restarted with more memory");
    r->result->starved++;
    r->memory_bytes = MEMORY_MAX;
    r->stopping = true;
    broker_stop(r->broker);
}

static void life_check_stuck(struct run *r)
{
    u64 progress = workload_progress(&r->workload);
    if (progress != r->progress) {
        r->progress = progress;
        r->progress_ns = r->world.now_ns;
    } else if (life_starves(r)) {
        life_relieve(r);
    } else if (r->world.now_ns - r->progress_ns > STUCK_NS) {
        world_fail(&r->world, "liveness",
                   "nothing has come nearer to its end in %llu simulated seconds: phase %d, %llu "
                   "produces acknowledged",
                   (unsigned long long)(STUCK_NS / SIM_S), (int)r->phase,
                   (unsigned long long)r->workload.acked_produces);
    }
}

/* The wall clock only; nothing may depend on it but times in records. */
static void clock_jump(struct world *w)
{
    i64 jump_ms = (i64)chance_between(w, 0, 2 * CLOCK_JUMP_MAX_MS) - CLOCK_JUMP_MAX_MS;
    w->wall_start_ms = WORLD_WALL_START_MS + jump_ms;
}

static void life_run(struct run *r)
{
    while (!r->world.failed && !sim_io_dead(r->io) && !r->stopped) {
        if (r->phase == PHASE_CHAOS && !r->armed && r->workload.acked_produces >= r->arm_at_acked) {
            end_arm(r);
        }
        if (phase_over(r)) {
            return;
        }
        if (chance(&r->world, 1, 4096)) {
            clock_jump(&r->world);
        }
        io_turn(r->io, true);
        life_check_stuck(r);
    }
}

/* ---- what is left on the disk ---------------------------------------------------------------- */

struct files_check {
    const struct meta *meta;
    u32 packs;      /* found, that the metadata name */
    char other[80]; /* found, that it does not; "": none */
};

static bool hex_read(const char *text, u64 *out)
{
    *out = 0;
    for (u32 i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = text[i] == 0 ? NULL : strchr(digits, text[i]);
        if (at == NULL) {
            return false;
        }
        *out = *out << 4 | (u64)(at - digits);
    }
    return true;
}

static void pack_found(void *user, const char *name)
{
    struct files_check *c = user;
    u64 id;
    bool named = false;
    u32 count;
    const struct meta_pack *packs = meta_packs(c->meta, &count);
    bool readable = hex_read(name, &id);
    for (u32 i = 0; i < count && readable; i++) {
        named = named || packs[i].id == id;
    }
    c->packs += named;
    if (!named) {
        (void)snprintf(c->other, sizeof c->other, "packs/%s", name);
    }
}

static void extent_found(void *user, const char *name)
{
    struct files_check *c = user;
    u64 wal;
    bool named = false;
    bool readable = hex_read(name, &wal);
    for (u32 i = 0; i < meta_session_count(c->meta) && readable; i++) {
        const struct meta_session *s = meta_session_at(c->meta, i);
        named = named || s->wal == wal;
    }
    if (!named) {
        (void)snprintf(c->other, sizeof c->other, "wal/%s", name);
    }
}

/* packs/ has the packs that the metadata name, wal/ has extents of WALs that the metadata know
   (those of one that was found filed go at the next start), and nothing else is there. */
static bool files_fit(struct run *r, struct files_check *c)
{
    *c = (struct files_check){.meta = cluster_meta(broker_cluster(r->broker))};
    u32 count;
    (void)meta_packs(c->meta, &count);
    return sim_disk_list(r->disk, "odradek-data/packs", pack_found, c) == OK &&
           sim_disk_list(r->disk, "odradek-data/wal", extent_found, c) == OK && c->packs == count &&
           c->other[0] == 0;
}

/* Filing and rewriting may be at it; they come to rest, and dead packs that wait for a WAL that
   does not come go. */
static void life_check_files(struct run *r)
{
    u64 until_ns = r->world.now_ns + FILES_NS;
    struct files_check c;
    while (!files_fit(r, &c) && !sim_io_dead(r->io)) {
        if (r->world.now_ns > until_ns) {
            world_fail(&r->world, "no file is left behind",
                       "%u packs that the metadata name are there, and %s", c.packs, c.other);
            return;
        }
        io_turn(r->io, true);
    }
}

/* A pack that was read after the start has rotted: the start is refused then. */
static bool refused_late(const struct run *r)
{
    return r->phase == PHASE_PACK_ROT && r->stopped && r->stop_result == ERR_CORRUPT;
}

static void life_end(struct run *r)
{
    struct world *w = &r->world;
    struct run_result *result = r->result;
    bool by_itself = r->stopped && !(r->stopping && r->stop_result == OK);
    if (by_itself && !refused_late(r) && !sim_io_faulted(r->io) && !sim_io_dead(r->io)) {
        world_fail(w, "the broker runs on", "it stopped by itself: %s", err_name(r->stop_result));
    }
    bool orderly = r->stopped && r->stopping && r->stop_result == OK && !sim_io_dead(r->io);
    if (!orderly) {
        sim_io_die(r->io);
        result->crashes++;
        result->write_crashes += sim_io_died_in_wal_write(r->io);
    }
    result->faults += sim_io_faulted(r->io);
    broker_destroy(r->broker);
    r->broker = NULL;
    if (orderly) {
        /* What was still on its way finishes, as it would before the process ends. */
        for (u32 turns = 0; sim_io_work_count(r->io) > 0 && !sim_io_dead(r->io) && turns < 10000;
             turns++) {
            io_turn(r->io, true);
        }
    }
    sim_net_broker_gone(r->net);
    io_destroy(r->io);
    r->io = NULL;
    config_destroy(r->config);
    r->config = NULL;
    world_stop(w, &r->late);
    sim_disk_late_arrive(r->disk); /* at the latest now */
    if (r->cut_due) {
        script_cut(r);
    } else if (r->end_kind == END_POWER_CUT || (r->options->script == NULL && chance(w, 1, 4))) {
        sim_disk_power_cut(r->disk);
        world_say(w, "CUT    the power is gone");
    } else if (sim_disk_process_end(r->disk)) {
        world_say(w, "LATE   a write is still on its way");
        world_start(w, &r->late, chance_between(w, 0, 400 * SIM_MS));
    }
    clock_jump(w);
    world_run(w, chance_between(w, 1 * SIM_MS, 500 * SIM_MS));
}

static void late_run(struct world_event *e)
{
    struct run *r = CONTAINER_OF(e, struct run, late);
    world_say(&r->world, "LATE   it has arrived");
    sim_disk_late_arrive(r->disk);
}

/* A start may fail when the end came, or a fault; else it may not. */
static bool start_failure_fits(struct run *r, err_t e)
{
    bool waits_for_late_write = e == ERR_LOCKED && heap_linked(&r->late.node);
    return sim_io_dead(r->io) || sim_io_faulted(r->io) || waits_for_late_write;
}

static void phase_next(struct run *r)
{
    if (r->phase == PHASE_CHAOS) {
        world_say(&r->world, "PHASE  no more faults, nothing new");
        r->phase = PHASE_SETTLE;
        sim_net_heal(r->net);
        workload_quiet(&r->workload);
        struct sim_faults none = no_faults(r);
        struct sim_end_plan plan = never();
        sim_io_faults(r->io, &none);
        sim_io_end_plan(r->io, &plan);
    } else {
        world_say(&r->world, "PHASE  the last reading");
        r->phase = PHASE_VERIFY;
    }
}

static void lives_run(struct run *r)
{
    while (!r->world.failed && !(r->phase == PHASE_VERIFY && workload_verified(&r->workload))) {
        if (r->result->lives == LIVES_MAX) {
            world_fail(&r->world, "liveness", "%d lives were not enough", LIVES_MAX);
            return;
        }
        err_t e = life_begin(r);
        if (e != OK && !start_failure_fits(r, e)) {
            world_fail(&r->world, "the broker starts", "%s: %s", err_name(e),
                       broker_reason(r->broker));
        }
        r->result->start_crashes += sim_io_dead(r->io);
        if (e == OK && !sim_io_dead(r->io)) {
            if (r->phase == PHASE_VERIFY && r->workload.verifier == NULL) {
                workload_verify(&r->workload);
            }
            life_run(r);
            if (r->phase == PHASE_CHAOS && phase_over(r) && !sim_io_dead(r->io) && !r->stopped &&
                !r->stopping) {
                phase_next(r);
                life_run(r);
            }
            if (r->phase == PHASE_VERIFY && phase_over(r) && !sim_io_dead(r->io) &&
                !r->world.failed) {
                life_check_files(r);
            }
            bool ends = r->phase == PHASE_SETTLE || r->phase == PHASE_BURY;
            if (ends && phase_over(r) && !sim_io_dead(r->io) && !r->world.failed) {
                phase_next(r);
            }
        }
        life_end(r);
    }
}

/* No record is left. What the packs say of producers stays: each asks once more. */
static void burial_run(struct run *r)
{
    workload_verify_again(&r->workload);
    workload_bury(&r->workload);
    r->phase = PHASE_BURY;
    lives_run(r);
}

/* Nothing is written any more: sessions retire, their files go, they are forgotten, and as nobody
   makes an extent nobody else makes the removals durable. */
static void script_idle(struct run *r)
{
    for (u32 i = 0; i < SCRIPT_IDLE_LIVES && !r->cut_came && !r->world.failed; i++) {
        workload_verify_again(&r->workload);
        lives_run(r);
    }
}

/* ---- bit rot --------------------------------------------------------------------------------- */

static const char *const rot_promise = "bit rot is told, and nothing else suffers";

/* One life with that bit wrong. */
static void rot_life(struct run *r, const struct sim_rot *rot)
{
    struct world *w = &r->world;
    bool wal = rot->kind == SIM_INODE_WAL;
    world_say(w, "ROT    file %u of %s, byte %llu, bit %02x", rot->inode, wal ? "wal" : "meta",
              (unsigned long long)rot->offset, rot->bit);
    r->result->rotten_starts++;
    err_t e = life_begin(r);
    r->end_kind = END_POWER_CUT;
    if (e == OK) {
        workload_reread(&r->workload, false);
        life_run(r);
        u64 unreadable = workload_unreadable(&r->workload, false);
        r->result->unreadable += unreadable;
        if (unreadable > ROT_UNREADABLE_MAX || (unreadable > 0 && !wal)) {
            world_fail(w, rot_promise, "%llu offsets cannot be read after one bit of %s",
                       (unsigned long long)unreadable,
                       wal ? "a WAL extent" : "one copy of the metadata");
        }
    } else if (e == ERR_CORRUPT && wal) {
        r->result->rot_refused++;
    } else {
        world_fail(w, rot_promise, "one bit of %s, byte %llu, and the start ends with: %s: %s",
                   wal ? "a WAL extent" : "one copy of the metadata",
                   (unsigned long long)rot->offset, err_name(e), broker_reason(r->broker));
    }
    life_end(r);
}

static void rot_run(struct run *r)
{
    struct world *w = &r->world;
    u32 lives = (u32)chance_between(w, 1, 4);
    workload_groups_stop(&r->workload);
    for (u32 i = 0; i < lives && !w->failed; i++) {
        struct sim_rot rot;
        if (!sim_disk_rot(r->disk, false, &rot)) {
            return;
        }
        r->phase = PHASE_ROT;
        rot_life(r, &rot);
        if (rot.kind == SIM_INODE_WAL) {
            sim_disk_unrot(r->disk, &rot); /* metadata was repaired from its other copy */
        }
    }
    if (w->failed) {
        return;
    }
    r->phase = PHASE_VERIFY;
    workload_verify_again(&r->workload);
    lives_run(r);
}

/* The broker is up, everything is read, and the scrubber has been through. */
static void pack_rot_read(struct run *r, u32 bits)
{
    struct world *w = &r->world;
    u64 until_ns = w->now_ns + TELLING_NS;
    workload_reread(&r->workload, true);
    life_run(r);
    if (refused_late(r)) {
        return;
    }
    u64 unreadable = workload_unreadable(&r->workload, false);
    u64 lasting = workload_unreadable(&r->workload, true);
    r->result->unreadable += unreadable;
    if (unreadable > (u64)bits * ROT_UNREADABLE_MAX) {
        world_fail(w, rot_promise, "%llu offsets cannot be read after %u bits of packs",
                   (unsigned long long)unreadable, bits);
    }
    while (!w->failed && !r->damage_told && w->now_ns < until_ns) {
        io_turn(r->io, true);
    }
    r->result->damages_told += r->damage_told;
    if (lasting > 0 && !r->damage_told) {
        world_fail(w, rot_promise,
                   "%llu offsets cannot be read, and the scrubber has found nothing",
                   (unsigned long long)lasting);
    }
}

/* One life with so many bits of packs wrong; the last one is new. false: it was refused. */
static bool pack_rot_life(struct run *r, u32 bits, bool is_new)
{
    err_t e = life_begin(r);
    r->end_kind = chance(&r->world, 1, 2) ? END_POWER_CUT : END_KILL;
    if (e == OK) {
        pack_rot_read(r, bits);
        e = refused_late(r) ? ERR_CORRUPT : OK;
    }
    if (e != OK && (e != ERR_CORRUPT || !is_new)) {
        world_fail(&r->world, rot_promise, "%u bits of packs, and the start ends with: %s: %s",
                   bits, err_name(e), broker_reason(r->broker));
    }
    life_end(r);
    return e == OK;
}

static void pack_rot_run(struct run *r)
{
    struct world *w = &r->world;
    u32 bits = (u32)chance_between(w, 1, 4);
    u32 stay = 0;
    workload_groups_stop(&r->workload);
    r->phase = PHASE_PACK_ROT;
    for (u32 i = 0; i < bits && !w->failed; i++) {
        struct sim_rot rot;
        if (!sim_disk_rot(r->disk, true, &rot)) {
            return;
        }
        world_say(w, "ROT    pack, file %u, byte %llu, bit %02x", rot.inode,
                  (unsigned long long)rot.offset, rot.bit);
        r->result->rotten_starts++;
        if (pack_rot_life(r, stay + 1, true)) {
            stay++;
        } else {
            r->result->rot_refused++;
            sim_disk_unrot(r->disk, &rot);
        }
    }
    r->result->rotten_packs += stay;
    if (stay > 0 && !w->failed) {
        (void)pack_rot_life(r, stay, false);
    }
}

/* ---- everything ------------------------------------------------------------------------------ */

static void diag_line(void *user, const char *line, size_t len)
{
    struct run *r = user;
    world_say(&r->world, "diag   %.*s", (int)len, line);
    bool damage =
        memmem(line, len, "ODK-3010", 8) != NULL || memmem(line, len, "ODK-3011", 8) != NULL;
    r->damage_told = r->damage_told || damage;
    if (memmem(line, len, "ODK-3012", 8) != NULL) {
        world_fail(&r->world, "no crash shortens a file of the WAL", "%.*s", (int)len, line);
    }
    if (damage && !r->reads_fail && r->phase != PHASE_ROT && r->phase != PHASE_PACK_ROT) {
        world_fail(&r->world, "the scrubber finds no damage where there is none", "%.*s", (int)len,
                   line);
    }
}

static void deletions_count(struct run *r)
{
    LIST_EACH (&r->workload.ledger.topics, n) {
        const struct ledger_topic *t = CONTAINER_OF(n, struct ledger_topic, node);
        r->result->topics_deleted += t->life == TOPIC_GONE;
        for (u32 i = 0; i < t->partition_count; i++) {
            r->result->records_deleted += t->partitions[i].start;
        }
    }
}

static void result_fill(struct run *r)
{
    struct run_result *result = r->result;
    struct sim_disk_stats disk;
    sim_disk_stats(r->disk, &disk);
    result->ok = !r->world.failed;
    result->hash = r->world.hash;
    result->calls = r->world.calls;
    result->seconds = (f64)r->world.now_ns / (f64)SIM_S;
    result->acked_produces = r->workload.acked_produces;
    result->acked_records = r->workload.ledger.acked_records;
    result->read_records = r->workload.ledger.read_records;
    result->torn_writes = disk.writes_torn;
    struct workload_group_numbers groups;
    workload_group_numbers(&r->workload, &groups);
    result->group_commits = groups.commits;
    result->group_refused = groups.refused;
    result->group_stale = groups.stale;
    result->group_naps = groups.naps;
    result->group_crashes = groups.crashes;
    result->group_evictions = groups.evictions;
    result->group_generations = groups.generations;
    result->planted_frames = disk.frames_planted;
    deletions_count(r);
    (void)snprintf(result->failure, sizeof result->failure, "%s", r->world.failure);
}

void run_seed(const struct run_options *options, struct run_result *out)
{
    *out = (struct run_result){0};
    struct run *r = mem_alloc(sizeof *r);
    r->options = options;
    r->result = out;
    world_init(&r->world, options->seed, options->verbose);
    r->late.run = late_run;
    diag_configure(DIAG_TEXT, DIAG_DEBUG);
    diag_redirect(diag_line, r);
    struct sim_net_knobs net;
    struct workload_knobs load;
    knobs_choose(r, &net, &load);
    if (options->script != NULL) {
        knobs_script(r, &net, &load);
    }
    rng_seed(&r->disk_rng, rng_next(&r->world.rng));
    r->disk = sim_disk_create(&r->disk_rng);
    /* Not in a script: a frame planted at the beginning of one of its short extents may be of the
       same WAL and have a slot that no earlier life of the extent can have had. */
    sim_disk_plant(r->disk, chance(&r->world, 1, 2) && options->script == NULL);
    r->net = sim_net_create(&r->world, &net);
    workload_init(&r->workload, &r->world, r->net, &load);

    lives_run(r);
    bool script = options->script != NULL;
    bool rots = !script && chance(&r->world, 1, 6);
    bool files = !script && !rots && r->file_delay_ms > 0;
    bool dies = script || (files && chance(&r->world, 1, 3));
    bool packs_rot = files && !dies && chance(&r->world, 1, 4);
    if (rots && !r->world.failed) {
        rot_run(r);
    }
    if (packs_rot && !r->world.failed) {
        pack_rot_run(r);
    }
    if (dies && !r->cut_came && !r->world.failed) {
        burial_run(r);
    }
    if (script) {
        script_idle(r);
    }

    result_fill(r);
    workload_fini(&r->workload);
    sim_net_destroy(r->net);
    sim_disk_destroy(r->disk);
    diag_redirect(NULL, NULL);
    world_fini(&r->world);
    mem_free(r);
}
