/* The knobs of a run: sizes, limits, delays and faults, all of them from the seed or from the
   script. Called by run.c before the first life, and before each one. */
#include "sim/run_private.h"

static u64 pick(struct world *w, const u64 *of, u32 count)
{
    return of[chance_between(w, 0, count - 1)];
}

void knobs_choose(struct run *r, struct sim_net_knobs *net, struct workload_knobs *load)
{
    struct world *w = &r->world;
    static const u64 disk_usual[] = {100 * SIM_US, 300 * SIM_US, 2 * SIM_MS};
    static const u64 disk_rare[] = {5 * SIM_MS, 50 * SIM_MS, 400 * SIM_MS};
    static const u64 memory[] = {8 * MIB, 12 * MIB, 16 * MIB, MEMORY_MAX};
    static const u64 extents[] = {LOG_CHUNK_BYTES, 2 * LOG_CHUNK_BYTES}; /* a slot fits one */
    static const u64 pipes[] = {2 * KIB, 8 * KIB, 64 * KIB, 64 * KIB};
    static const u64 net_usual[] = {50 * SIM_US, 200 * SIM_US, 2 * SIM_MS};
    static const u64 net_rare[] = {2 * SIM_MS, 20 * SIM_MS, 200 * SIM_MS};
    static const u64 lifetimes[] = {0, 200 * SIM_MS, 1 * SIM_S, 5 * SIM_S};
    static const u64 thinks[] = {500 * SIM_US, 2 * SIM_MS, 5 * SIM_MS};
    static const u64 timeouts[] = {300 * SIM_MS, 1 * SIM_S, 5 * SIM_S};
    r->disk_usual_ns = pick(w, disk_usual, ARRAY_LEN(disk_usual));
    r->disk_rare_ns = pick(w, disk_rare, ARRAY_LEN(disk_rare));
    r->memory_bytes = pick(w, memory, ARRAY_LEN(memory));
    r->extent_bytes = pick(w, extents, ARRAY_LEN(extents));
    r->snapshot_every = chance(w, 1, 4) ? 0 : (u32)chance_between(w, 1, 20);
    if (chance(w, 2, 3)) {
        r->wal_bytes_max = 64 * KIB << chance_between(w, 0, 5);
        r->stretch_bytes = 16 * KIB << chance_between(w, 0, 5);
        r->file_delay_ms = (i64)chance_between(w, 10, 2000);
        r->keep_always = chance(w, 1, 2);
        r->keep_run_bytes = 1u << chance_between(w, 0, 12);
    }
    r->refuse_direct = chance(w, 1, 8);
    r->ends_planned = (u32)chance_between(w, 3, 7);
    *net = (struct sim_net_knobs){
        .pipe_bytes = pick(w, pipes, ARRAY_LEN(pipes)),
        .delay_ns = pick(w, net_usual, ARRAY_LEN(net_usual)),
        .delay_rare_ns = pick(w, net_rare, ARRAY_LEN(net_rare)),
        .split_per_256 = (u32)chance_between(w, 0, 64),
        .lifetime_ns = pick(w, lifetimes, ARRAY_LEN(lifetimes)),
    };
    *load = (struct workload_knobs){
        .producer_count = (u32)chance_between(w, 3, 6),
        .consumer_count = (u32)chance_between(w, 1, 3),
        .topic_count = (u32)chance_between(w, 1, TOPICS_MAX),
        .partitions_max = (u32)chance_between(w, 1, 4),
        .think_ns = pick(w, thinks, ARRAY_LEN(thinks)),
        .timeout_ns = pick(w, timeouts, ARRAY_LEN(timeouts)),
        .batch_records_max = (u32)chance_between(w, 1, 10),
        .stall_per_1024 = chance(w, 1, 2) ? 0 : 8,
        .trims = chance(w, 1, 2),
    };
    /* What is large has to get through before the connection is lost or somebody gives up. */
    bool wide = net->pipe_bytes >= 64 * KIB && net->delay_ns <= 200 * SIM_US &&
                (net->lifetime_ns == 0 || net->lifetime_ns >= 1 * SIM_S) &&
                load->timeout_ns >= 1 * SIM_S;
    load->big_values = wide && chance(w, 1, 2);
    if (load->big_values) {
        r->memory_bytes = MEMORY_MAX; /* what a compressed batch may expand to depends on it */
    }
    static const u64 offsets_partitions[] = {1, 3, 10};
    static const u64 rebalance_delays[] = {0, 20, 200};
    load->crew_count = chance(w, 1, 2) ? (u32)chance_between(w, 1, CREWS_MAX) : 0;
    r->offsets_partitions = (u32)pick(w, offsets_partitions, ARRAY_LEN(offsets_partitions));
    r->initial_rebalance_delay_ms = (u32)pick(w, rebalance_delays, ARRAY_LEN(rebalance_delays));
    r->scrub_period_ms = chance(w, 1, 2) ? 0 : 100u << chance_between(w, 0, 8);
    r->start_packs = (u32)(r->options->seed % 4); /* 0: usual */
}

/* Small enough to be played often, and busy with everything that changes files: stretches and
   extents are short for what is written, and whatever is filed soon dies. */
void knobs_script(struct run *r, struct sim_net_knobs *net, struct workload_knobs *load)
{
    r->disk_usual_ns = 2 * SIM_MS; /* workers overtake durable writes */
    r->disk_rare_ns = 20 * SIM_MS;
    r->memory_bytes = MEMORY_MAX;
    r->extent_bytes = 64 * KIB; /* no slot is larger: values are small */
    r->snapshot_every = 8;
    r->wal_bytes_max = 128 * KIB;
    r->stretch_bytes = 16 * KIB;
    r->file_delay_ms = 20;
    r->keep_always = r->options->seed % 2 == 0; /* else every stretch is moved */
    r->keep_run_bytes = 400;
    r->refuse_direct = false;
    r->start_packs = 1;
    *net = (struct sim_net_knobs){
        .pipe_bytes = 64 * KIB, .delay_ns = 50 * SIM_US, .delay_rare_ns = 2 * SIM_MS};
    *load = (struct workload_knobs){
        .producer_count = 3,
        .consumer_count = 1,
        .topic_count = 4,
        .partitions_max = 2,
        .think_ns = 2 * SIM_MS,
        .timeout_ns = 5 * SIM_S,
        .batch_records_max = 4,
        .trims = true,
        .clears = r->keep_always, /* what was kept is whole extents: none dies by halves */
    };
}

struct sim_faults no_faults(const struct run *r)
{
    return (struct sim_faults){
        .write_fails_in = SIM_NEVER,
        .read_fails_in = SIM_NEVER,
        .full_in = SIM_NEVER,
        .refuse_direct = r->refuse_direct,
    };
}

struct sim_faults faults_choose(struct run *r)
{
    struct world *w = &r->world;
    struct sim_faults f = no_faults(r);
    if (r->phase != PHASE_CHAOS || r->options->script != NULL) {
        return f;
    }
    switch (chance_between(w, 0, 11)) {
    case 0:
        f.write_fails_in = (i32)chance_between(w, 0, chance(w, 1, 4) ? 10 : 400);
        break;
    case 1:
        f.read_fails_in = (i32)chance_between(w, 0, 100);
        break;
    case 2:
    case 3:
        f.full_in = (i32)chance_between(w, 0, 12);
        f.full_calls = (i32)chance_between(w, 1, 20);
        break;
    default:
        break;
    }
    return f;
}
