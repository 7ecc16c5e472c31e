/* What the files of a run share. Only they include this.

     run.c        lives, their ends, what is left on the disk, bit rot
     run_knobs.c  what the seed chooses before a run and before each life */
#pragma once

#include "sim/run.h"

#include "broker/broker.h"
#include "sim/sim_disk.h"
#include "sim/sim_io.h"
#include "sim/sim_net.h"
#include "sim/workload.h"

enum {
    ACKED_PRODUCES_MIN = 1000,
    SCRIPT_ACKED = 240,
    SCRIPT_LIVES = 3,
    SCRIPT_IDLE_LIVES = 4,
    ROT_UNREADABLE_MAX = 2500, /* records in a run of 64 KiB, or in one batch */
    LIVES_MAX = 60,            /* with ends during start: more means that it never gets up */
};
#define MEMORY_MAX        (32 * MIB)
#define CLOCK_JUMP_MAX_MS (25 * 60 * 1000) /* a batch of before the jump is still accepted */
#define STARVED_NS        (10 * SIM_S)     /* the same, when the log has no memory left */
#define FILES_NS          (300 * SIM_S)    /* the same, when files stay that nobody names */
#define TELLING_NS        (15 * SIM_S)     /* from the start: the scrubber has read everything */
#define SCRUB_MS          500              /* ... when it is asked to do so in that time */
#define BURIAL_NS         (5 * SIM_S)      /* all is filed, and what is dead has gone */
#define STUCK_NS          (30 * SIM_S)     /* so long without any progress: something is stuck */

enum phase {
    PHASE_CHAOS,
    PHASE_SETTLE,
    PHASE_BURY,
    PHASE_VERIFY,
    PHASE_ROT,
    PHASE_PACK_ROT,
};
enum end_kind { END_POWER_CUT, END_KILL, END_STOP };
enum moment { MOMENT_ANY_CALL, MOMENT_START, MOMENT_WAL_WRITE, MOMENT_META_WRITE, MOMENT_COUNT };

struct run {
    const struct run_options *options;
    struct run_result *result;
    struct world world;
    struct rng disk_rng;
    struct sim_disk *disk;
    struct sim_net *net;
    struct workload workload;
    enum phase phase;
    /* knobs */
    u64 disk_usual_ns;
    u64 disk_rare_ns;
    u64 memory_bytes;
    u64 extent_bytes;
    u32 snapshot_every;
    u64 wal_bytes_max;
    u64 stretch_bytes;
    u32 keep_run_bytes;
    bool keep_always;
    u32 start_packs;
    i64 file_delay_ms;
    bool refuse_direct;
    u32 offsets_partitions; /* of __consumer_offsets */
    u32 initial_rebalance_delay_ms;
    u32 scrub_period_ms; /* 0: off */
    u32 ends_planned;
    /* a script's end */
    bool cut_came;
    bool cut_due; /* the disk has not lost anything yet */
    struct run_cut cut;
    u64 version_seen; /* at the last moment */
    u64 told_seen;
    /* this life */
    struct io *io;
    struct config *config;
    struct broker *broker;
    enum end_kind end_kind;
    enum moment moment;
    bool reads_fail;
    bool damage_told; /* by the scrubber */
    bool armed;
    bool stopping;
    bool stopped;
    err_t stop_result;
    u64 arm_at_acked; /* the end is armed when so much has been acknowledged in all */
    u64 progress;     /* workload_progress */
    u64 progress_ns;
    u64 dead_ns;             /* since when there is not a record; 0: there is */
    struct world_event late; /* a write of the life before arrives */
};

/* run_knobs.c */
void knobs_choose(struct run *r, struct sim_net_knobs *net, struct workload_knobs *load);
void knobs_script(struct run *r, struct sim_net_knobs *net, struct workload_knobs *load);
struct sim_faults no_faults(const struct run *r);
struct sim_faults faults_choose(struct run *r);
