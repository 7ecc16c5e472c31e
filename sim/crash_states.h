/* Crash states, call by call: a scripted run (run.h) is played once, and at every moment at which a
   call changes the disk, power is cut in a copy of it, in several ways. */
#pragma once

#include "sim/run.h"

struct crash_options {
    u64 seed;
    u32 jobs;
    u32 share; /* of the states one in so many is walked, of appends to the WAL fewer; 1: all */
    u64 only;  /* this one, in this process; 0: all */
    bool verbose;
    bool stop; /* at the first one that fails */
    u32 home_canaries;
    u32 log_canaries;
};

/* Prints what fails and a summary. 0: every state was recovered from. */
int crash_states_run(const struct crash_options *options);
