/* odradek-sim: replays seeds. Every seed runs in a process of its own when there are several, so
   that one that ends by an assertion is a failed seed and no more, and none can see what another
   left behind.

     odradek-sim SEED [--verbose] [--canary NAME] [--seen]
     odradek-sim --seeds FROM-TO [--jobs N] [--canary NAME] [--stop]
     odradek-sim --crash-states SEED [--share N] [--jobs N] [--canary NAME] [--stop]
     odradek-sim --crash-states SEED --state NUMBER [--verbose]

   Last line of a seed: "seed N ok|FAIL hash H ..."; exit status 0, or 1 when a seed failed, 2 when
   the command makes no sense. */
#include "broker/broker.h"
#include "coord/group/group.h"
#include "sim/crash_states.h"
#include "sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    JOBS_MAX = 64,
    SEED_SECONDS_MAX = 60, /* of CPU; a seed takes a fraction of one */
};

static const struct canary {
    const char *name;
    u32 home;
    u32 log;
    u32 group;
    const char *doc;
} canaries[] = {
    {"ack-early", 0, LOG_CANARY_ACK_EARLY, 0, "acknowledge before the write completes"},
    {"skip-crc", HOME_CANARY_SKIP_CRC, 0, 0, "skip the CRC at recovery"},
    {"forget-producers", 0, LOG_CANARY_FORGET_PRODUCERS, 0, "forget producer state at recovery"},
    {"believe-stale", HOME_CANARY_BELIEVE_STALE, 0, 0, "believe a stale frame"},
    {"unsynced-pack", HOME_CANARY_UNSYNCED_PACK, 0, 0, "commit a pack that is not synced"},
    {"reuse-kept", HOME_CANARY_REUSE_KEPT, 0, 0, "write to an extent that was kept as a pack"},
    {"leave-forgotten", HOME_CANARY_LEAVE_FORGOTTEN, 0, 0,
     "leave the files of WALs that the metadata forgot"},
    {"trim-early", 0, LOG_CANARY_TRIM_EARLY, 0, "trim the WAL before the metadata know the pack"},
    {"forget-pack-producers", 0, LOG_CANARY_FORGET_PACK_PRODUCERS, 0,
     "leave producers out of packs"},
    {"forget-buried-producers", 0, LOG_CANARY_FORGET_BURIED_PRODUCERS, 0,
     "forget what a pack says of producers when its records are gone"},
    {"believe-part", 0, LOG_CANARY_BELIEVE_PART, 0,
     "take batches of producers before the packs with their last ones are read"},
    {"old-generation", 0, 0, GROUP_CANARY_OLD_GENERATION, "accept commits of an old generation"},
    {"forget-offsets", 0, 0, GROUP_CANARY_FORGET_OFFSETS, "forget committed offsets at restart"},
    {"answer-early", 0, 0, GROUP_CANARY_ANSWER_EARLY, "answer members before it is durable"},
    {"keep-members", 0, 0, GROUP_CANARY_KEEP_MEMBERS, "sessions of silent members never end"},
};

struct command {
    u64 from;
    u64 to;
    u32 jobs;
    bool verbose;
    bool seen;
    bool stop; /* at the first seed that fails */
    bool crash_states;
    u32 share; /* of them one in so many */
    u64 state; /* only this one; 0: all */
    const struct canary *canary;
};

static int usage(void)
{
    fprintf(stderr, "usage: odradek-sim SEED [--verbose] [--canary NAME] [--seen]\n"
                    "       odradek-sim --seeds FROM-TO [--jobs N] [--canary NAME] [--stop]\n"
                    "       odradek-sim --crash-states SEED [--share N] [--jobs N] [--canary NAME] "
                    "[--stop]\n"
                    "       odradek-sim --crash-states SEED --state NUMBER [--verbose]\n"
                    "canaries (faults built in on purpose, to be caught):\n");
    for (u32 i = 0; i < ARRAY_LEN(canaries); i++) {
        fprintf(stderr, "  %-24s %s\n", canaries[i].name, canaries[i].doc);
    }
    return 2;
}

static bool number_parse(const char *text, u64 *out, char end)
{
    char *stop;
    *out = strtoull(text, &stop, 10);
    return stop != text && *stop == end;
}

static bool command_parse(int argc, char **argv, struct command *c)
{
    *c = (struct command){.jobs = 1, .from = 1, .to = 0, .share = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        u64 number;
        if (strcmp(argv[i], "--verbose") == 0) {
            c->verbose = true;
        } else if (strcmp(argv[i], "--seen") == 0) {
            c->seen = true;
        } else if (strcmp(argv[i], "--stop") == 0) {
            c->stop = true;
        } else if (strcmp(argv[i], "--canary") == 0) {
            for (u32 k = 0; k < ARRAY_LEN(canaries); k++) {
                c->canary = strcmp(value, canaries[k].name) == 0 ? &canaries[k] : c->canary;
            }
            if (c->canary == NULL) {
                return false;
            }
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            const char *dash = strchr(value, '-');
            if (dash == NULL || !number_parse(value, &c->from, '-') ||
                !number_parse(dash + 1, &c->to, '\0')) {
                return false;
            }
            i++;
        } else if (strcmp(argv[i], "--jobs") == 0) {
            if (!number_parse(value, &number, '\0') || number < 1 || number > JOBS_MAX) {
                return false;
            }
            c->jobs = (u32)number;
            i++;
        } else if (strcmp(argv[i], "--crash-states") == 0) {
            if (!number_parse(value, &c->from, '\0')) {
                return false;
            }
            c->crash_states = true;
            c->to = c->from;
            i++;
        } else if (strcmp(argv[i], "--share") == 0) {
            if (!number_parse(value, &number, '\0') || number < 1 || number > UINT32_MAX / 8) {
                return false;
            }
            c->share = (u32)number;
            i++;
        } else if (strcmp(argv[i], "--state") == 0) {
            if (!number_parse(value, &c->state, '\0')) {
                return false;
            }
            i++;
        } else if (number_parse(argv[i], &number, '\0')) {
            c->from = number;
            c->to = number;
        } else {
            return false;
        }
    }
    return c->to >= c->from;
}

/* ---- one seed -------------------------------------------------------------------------------- */

static void seen_print(void)
{
    for (unsigned i = 0; i < seen_table_count; i++) {
        printf("seen %10llu  %s\n", seen_table[i].count, seen_table[i].name);
    }
}

static int seed_run(const struct command *c, u64 seed)
{
    const struct run_options options = {
        .seed = seed,
        .verbose = c->verbose,
        .home_canaries = c->canary != NULL ? c->canary->home : 0,
        .log_canaries = c->canary != NULL ? c->canary->log : 0,
        .group_canaries = c->canary != NULL ? c->canary->group : 0,
    };
    struct run_result r;
    run_seed(&options, &r);
    if (c->seen) {
        seen_print();
    }
    if (!r.ok) {
        printf("seed %" PRIu64 ": %s\n", seed, r.failure);
    }
    printf("seed %" PRIu64 " %s hash %016" PRIx64 " acked %" PRIu64 " records %" PRIu64
           " read %" PRIu64
           " lives %u crashes %u in-write %u in-start %u faulty %u starved %u torn %" PRIu64
           " planted %" PRIu64 " rotten %u refused %u unreadable %" PRIu64
           " packs-rotten %u damages-told %u commits %" PRIu64 " commits-refused %" PRIu64
           " commits-stale %" PRIu64 " generations %" PRIu64 " naps %" PRIu64
           " member-crashes %" PRIu64 " evictions %" PRIu64 " calls %" PRIu64 " simulated %.1f s\n",
           seed, r.ok ? "ok" : "FAIL", r.hash, r.acked_produces, r.acked_records, r.read_records,
           r.lives, r.crashes, r.write_crashes, r.start_crashes, r.faults, r.starved, r.torn_writes,
           r.planted_frames, r.rotten_starts, r.rot_refused, r.unreadable, r.rotten_packs,
           r.damages_told, r.group_commits, r.group_refused, r.group_stale, r.group_generations,
           r.group_naps, r.group_crashes, r.group_evictions, r.calls, r.seconds);
    fflush(stdout);
    return r.ok ? 0 : 1;
}

/* ---- many ------------------------------------------------------------------------------------ */

struct child {
    pid_t pid; /* 0: free */
    u64 seed;
};

static void child_start(const struct command *c, struct child *child, u64 seed)
{
    fflush(stdout);
    child->seed = seed;
    child->pid = fork();
    if (child->pid == 0) {
        const struct rlimit cpu = {.rlim_cur = SEED_SECONDS_MAX, .rlim_max = SEED_SECONDS_MAX};
        (void)setrlimit(RLIMIT_CPU, &cpu);
        exit(seed_run(c, seed));
    }
    if (child->pid < 0) {
        perror("fork");
        exit(2);
    }
}

/* Waits for one; true if its seed was good. */
static bool child_wait(struct child *children, u32 count)
{
    int status;
    pid_t pid = wait(&status);
    for (u32 i = 0; i < count; i++) {
        if (children[i].pid != pid) {
            continue;
        }
        children[i].pid = 0;
        if (WIFSIGNALED(status)) {
            printf("seed %" PRIu64 " FAIL hash - ended by signal %d (%s)\n", children[i].seed,
                   WTERMSIG(status), strsignal(WTERMSIG(status)));
        }
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return false;
}

static int seeds_run(const struct command *c)
{
    struct child children[JOBS_MAX] = {0};
    u64 next = c->from;
    u64 failed = 0;
    u32 running = 0;
    while (running > 0 || (next <= c->to && !(c->stop && failed > 0))) {
        bool start = running < c->jobs && next <= c->to && !(c->stop && failed > 0);
        if (start) {
            struct child *child = children;
            while (child->pid != 0) {
                child++;
            }
            child_start(c, child, next++);
            running++;
            continue;
        }
        failed += !child_wait(children, c->jobs);
        running--;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " failed\n", next - c->from, failed);
    return failed == 0 ? 0 : 1;
}

static int crash_states(const struct command *c)
{
    const struct crash_options options = {
        .seed = c->from,
        .jobs = c->jobs,
        .share = c->share,
        .only = c->state,
        .verbose = c->verbose,
        .stop = c->stop,
        .home_canaries = c->canary != NULL ? c->canary->home : 0,
        .log_canaries = c->canary != NULL ? c->canary->log : 0,
    };
    int status = crash_states_run(&options);
    if (c->seen) {
        seen_print();
    }
    return status;
}

int main(int argc, char **argv)
{
    struct command c;
    if (!command_parse(argc, argv, &c)) {
        return usage();
    }
    if (c.crash_states) {
        return crash_states(&c);
    }
    return c.from == c.to ? seed_run(&c, c.from) : seeds_run(&c);
}
