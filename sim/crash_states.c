/* Crash states (crash_states.h).

     1. a scripted run goes on in this process, from the first file of a new directory to the last
        reading
     2. before and after every call that changes the disk a child is forked for each way the disk
        may lose what it does not have on the medium. There the power goes; the broker is started
        again, what was in flight is finished, everything is read, the promises are held against
        it, and no file may be left that the metadata do not name
     3. the run itself goes on as if nothing had been

   What is the same is walked once: where nothing can be lost there is one way to lose it. States
   have numbers; the same seed gives the same states, and one of them alone can be walked again. */
#include "sim/crash_states.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CRASH_JOBS_MAX = 64,
    CHILD_SECONDS_MAX = 60, /* of CPU; it takes a hundredth of one */
};

/* The ways to lose it. */
static const struct way {
    const char *name;
    enum sim_cut how;
    bool again;
} ways[] = {
    {"nothing arrives", SIM_CUT_NONE, false},
    {"everything arrives", SIM_CUT_ALL, false},
    {"some files arrive", SIM_CUT_FILES, false},
    {"some writes arrive", SIM_CUT_RANDOM, false},
    {"some writes arrive, and it is cut again in the start", SIM_CUT_RANDOM, true},
};

/* What the run did, by its calls: a script that does not do it proves nothing. */
struct deeds {
    u64 packs_made;
    u64 packs_kept;
    u64 packs_removed;
    u64 extents_made;
    u64 extents_reused;
    u64 extents_removed;
    u64 meta_slots;
    u64 snapshots;
};

struct child {
    pid_t pid; /* 0: free */
    u64 state;
};

struct walk {
    const struct crash_options *options;
    u64 moments;
    u64 states; /* that there are */
    u64 walked;
    u64 failed;
    struct deeds deeds;
    u32 running;
    struct child children[CRASH_JOBS_MAX];
    /* in a child */
    u64 state; /* 0: this is the run itself */
    char where[192];
};

static bool on(const struct sim_moment *m, const char *call, const char *folder)
{
    return strcmp(m->call, call) == 0 && strstr(m->path, folder) != NULL;
}

static void deeds_note(struct deeds *d, const struct sim_moment *m)
{
    if (!m->after) {
        return;
    }
    d->packs_made += on(m, "open", "/packs/");
    d->packs_kept += on(m, "link", "/packs/");
    d->packs_removed += on(m, "unlink", "/packs/");
    d->extents_made += on(m, "open", "/wal/");
    d->extents_reused += on(m, "rename", "/wal/") + on(m, "link", "/wal/");
    d->extents_removed += on(m, "unlink", "/wal/");
    d->meta_slots += on(m, "writev", "/meta/");
    d->snapshots += on(m, "unlink", "/meta/");
}

/* ---- children -------------------------------------------------------------------------------- */

static void child_wait(struct walk *w)
{
    int status;
    pid_t pid = wait(&status);
    for (u32 i = 0; i < w->options->jobs; i++) {
        struct child *child = &w->children[i];
        if (child->pid != pid) {
            continue;
        }
        if (WIFSIGNALED(status)) {
            printf("state %" PRIu64 " FAIL ended by signal %d (%s)\n", child->state,
                   WTERMSIG(status), strsignal(WTERMSIG(status)));
        }
        w->failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        w->running--;
        child->pid = 0;
        return;
    }
}

/* True in the child. */
static bool child_start(struct walk *w, u64 state)
{
    while (w->running == w->options->jobs) {
        child_wait(w);
    }
    struct child *child = w->children;
    while (child->pid != 0) {
        child++;
    }
    fflush(stdout);
    child->state = state;
    child->pid = fork();
    if (child->pid == 0) {
        const struct rlimit cpu = {.rlim_cur = CHILD_SECONDS_MAX, .rlim_max = CHILD_SECONDS_MAX};
        (void)setrlimit(RLIMIT_CPU, &cpu);
        return true;
    }
    if (child->pid < 0) {
        perror("fork");
        _exit(2);
    }
    w->running++;
    w->walked++;
    return false;
}

/* ---- moments --------------------------------------------------------------------------------- */

/* Appends to the WAL are most of all calls and all alike: with a share only some of them. */
static bool wanted(const struct walk *w, const struct sim_moment *m, u64 state)
{
    const struct crash_options *o = w->options;
    if (o->only != 0) {
        return state == o->only;
    }
    if (o->stop && w->failed > 0) {
        return false;
    }
    bool append = o->share > 1 && on(m, "writev", "/wal/");
    u64 share = append ? (u64)8 * o->share : o->share;
    return crc32c(&state, sizeof state) % share == 0;
}

static bool moment(void *user, const struct sim_moment *m, bool unsynced, struct run_cut *cut)
{
    struct walk *w = user;
    u64 number = w->moments++;
    deeds_note(&w->deeds, m);
    for (u32 i = 0; i < (unsynced ? ARRAY_LEN(ways) : 1); i++) {
        u64 state = number * ARRAY_LEN(ways) + i + 1;
        w->states++;
        if (!wanted(w, m, state) || (w->options->only == 0 && !child_start(w, state))) {
            continue;
        }
        w->state = state;
        *cut = (struct run_cut){.how = ways[i].how, .draw = state, .again = ways[i].again};
        (void)snprintf(w->where, sizeof w->where, "cut %s %s %s; of what is unsynced %s",
                       m->after ? "after" : "before", m->call, m->path, ways[i].name);
        return true;
    }
    return false;
}

/* ---- everything ------------------------------------------------------------------------------ */

static int summary_print(const struct walk *w, const struct run_result *r)
{
    const struct deeds *d = &w->deeds;
    bool ok = r->ok && w->failed == 0;
    if (!r->ok) {
        printf("the run itself: %s\n", r->failure);
    }
    printf("crash-states %" PRIu64 " %s hash %016" PRIx64 " moments %" PRIu64 " states %" PRIu64
           " walked %" PRIu64 " failed %" PRIu64 " acked %" PRIu64 " packs-made %" PRIu64
           " packs-kept %" PRIu64 " packs-removed %" PRIu64 " extents-made %" PRIu64
           " extents-reused %" PRIu64 " extents-removed %" PRIu64 " meta-slots %" PRIu64
           " snapshots %" PRIu64 " topics-deleted %u records-deleted %" PRIu64 "\n",
           w->options->seed, ok ? "ok" : "FAIL", r->hash, w->moments, w->states, w->walked,
           w->failed, r->acked_produces, d->packs_made, d->packs_kept, d->packs_removed,
           d->extents_made, d->extents_reused, d->extents_removed, d->meta_slots, d->snapshots,
           r->topics_deleted, r->records_deleted);
    return ok ? 0 : 1;
}

int crash_states_run(const struct crash_options *options)
{
    assert(options->jobs >= 1 && options->jobs <= CRASH_JOBS_MAX);
    assert(options->share >= 1);
    struct walk w = {.options = options};
    const struct run_script script = {.moment = moment, .user = &w};
    const struct run_options run = {
        .seed = options->seed,
        .verbose = options->verbose,
        .script = &script,
        .home_canaries = options->home_canaries,
        .log_canaries = options->log_canaries,
    };
    struct run_result r;
    run_seed(&run, &r);
    if (w.state != 0) {
        if (!r.ok) {
            printf("state %" PRIu64 " FAIL %s: %s\n", w.state, w.where, r.failure);
        } else if (options->only != 0) {
            printf("state %" PRIu64 " ok %s\n", w.state, w.where);
        }
        fflush(stdout);
        if (options->only == 0) {
            _exit(r.ok ? 0 : 1);
        }
        return r.ok ? 0 : 1;
    }
    while (w.running > 0) {
        child_wait(&w);
    }
    return summary_print(&w, &r);
}
