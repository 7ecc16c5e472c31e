/* One seed from beginning to end: knobs, lives of the broker, crashes between them, the last
   reading. */
#pragma once

#include "base/base.h"
#include "sim/sim_disk.h"
#include "sim/sim_io.h"

/* A scripted run (crash_states.c): a small broker that files, rewrites and deletes a lot, in three
   lives without a fault; the first is stopped, the second killed. When `moment` answers true the
   power goes there and then, the disk keeps what *cut says, and what is left to do is as ever: what
   is in flight is finished, and everything is read once more. */
struct run_cut {
    enum sim_cut how;
    u64 draw;   /* of what is left to chance from here on */
    bool again; /* and once more during the start after it */
};
struct run_script {
    bool (*moment)(void *user, const struct sim_moment *m, bool unsynced, struct run_cut *cut);
    void *user;
};

struct run_options {
    u64 seed;
    bool verbose;
    const struct run_script *script; /* NULL: a random run */
    u32 home_canaries;               /* broken on purpose: enum home_canary, enum log_canary */
    u32 log_canaries;                /* ... */
    u32 group_canaries;
};

struct run_result {
    bool ok;
    u64 hash;
    u64 calls;   /* through the border */
    f64 seconds; /* simulated */
    u64 acked_produces;
    u64 acked_records;
    u64 read_records;
    u32 lives;
    u32 crashes;       /* kill -9 or power cut */
    u32 write_crashes; /* ... in the middle of a WAL write */
    u32 start_crashes; /* ... before the broker was up */
    u32 faults;        /* lives with an injected error of the disk */
    u32 starved;       /* lives whose memory budget was too small for the log */
    u32 rotten_starts; /* with a bit of the data directory changed */
    u32 rot_refused;  /* ... that were refused, as they should be when the log's structure is hit */
    u64 unreadable;   /* offsets refused after rot */
    u32 rotten_packs; /* bits of packs that stayed as they were, for a broker that started */
    u32 damages_told; /* by the scrubber, of them */
    u64 torn_writes;
    u64 group_commits;
    u64 group_refused; /* commits */
    u64 group_stale;   /* ... of generations that were over */
    u64 group_naps;
    u64 group_crashes;
    u64 group_evictions;
    u64 group_generations;
    u64 planted_frames;
    u32 topics_deleted;
    u64 records_deleted; /* offsets below the starts that somebody was told */
    char failure[768];   /* what promise was broken, and where */
};

void run_seed(const struct run_options *options, struct run_result *out);
