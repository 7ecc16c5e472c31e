/* mutate DIR COUNT [FIRST]: damages a data directory in COUNT random ways, one at a time, and
   judges what a start makes of each (judge.c) and what the doctor says of it. DIR is made, worked
   in, and removed. ODRADEK_SEED repeats a run; with FIRST and COUNT 1 it is one mutation of it.
   After a failure DIR/kept has the directory as it was before the start. */
#include "damage.h"

#include "doctor/doctor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HANG_SECONDS = 30, FAILURES_MAX = 10, DOCTOR_EVERY = 8, AGAIN_EVERY = 16 };

static char now[512]; /* what to print if the process dies */

static void died(int signal_number)
{
    static const char text[] = "FAIL damage the process died or hung, at ";
    (void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
    (void)!write(STDOUT_FILENO, now, strlen(now));
    signal(signal_number, SIG_DFL);
    raise(signal_number == SIGALRM ? SIGKILL : signal_number);
}

static void line_drop(void *user, const char *line, size_t len)
{
    (void)user;
    (void)line;
    (void)len;
}

static u64 seed_choose(void)
{
    const char *given = getenv("ODRADEK_SEED");
    u64 seed = (u64)time(NULL) << 20 ^ (u64)getpid();
    return given != NULL ? strtoull(given, NULL, 0) : seed;
}

/* ---- the doctor ------------------------------------------------------------------------------ */

struct opinion {
    bool asked;
    int code;
    char *report;
    size_t bytes;
};

static void doctor_ask(const char *directory, bool repair, struct opinion *o)
{
    FILE *out = open_memstream(&o->report, &o->bytes);
    if (out == NULL) {
        die("no memory for a report");
    }
    o->asked = true;
    o->code = doctor_run(&(struct doctor_options){.directory = directory,
                                                  .extent_bytes = EXTENT_BYTES,
                                                  .repair = repair,
                                                  .accept_loss = repair,
                                                  .out = out,
                                                  .err = out});
    fclose(out);
}

/* It may be more careful than the broker, never less. */
static void doctor_judge(const struct opinion *o, struct verdict *v)
{
    bool hurt = v->outcome == OUTCOME_ERRORS || v->outcome == OUTCOME_REFUSED;
    bool known = o->code == DOCTOR_HEALTHY || o->code == DOCTOR_DAMAGED ||
                 o->code == DOCTOR_FAILED || o->code == DOCTOR_NOT_OURS;
    if (v->outcome == OUTCOME_WRONG || (known && !(hurt && o->code == DOCTOR_HEALTHY))) {
        return;
    }
    char why[WHY_BYTES];
    (void)snprintf(why, sizeof(why), "the doctor ends with %d, but %s: %.700s", o->code,
                   outcome_names[v->outcome], v->why);
    v->outcome = OUTCOME_WRONG;
    memcpy(v->why, why, sizeof(why));
}

/* ---- the run --------------------------------------------------------------------------------- */

struct run {
    struct model model;
    char work[PATH_BYTES];
    char kept[PATH_BYTES];
    u64 seed;
    u64 counts[MUTATION_KINDS][OUTCOMES];
    u64 lost;
    u64 asked;
    u64 again;
    u64 repaired; /* refused, repaired by the doctor, and served again */
    u32 failures;
};

static void failed(struct run *r, u64 number, const struct mutation *mu, const struct verdict *v,
                   const struct image *mutated)
{
    printf("FAIL damage seed %llu, mutation %llu: %s: %s\n", (unsigned long long)r->seed,
           (unsigned long long)number, mu->text, v->why);
    if (r->failures++ == 0) {
        (void)mkdir(r->kept, 0755);
        image_store(mutated, r->kept);
        printf("  the directory as it was before the start: %s\n", r->kept);
    }
}

/* What was refused: where the doctor says that it has repaired everything, a broker must start and
   serve all that the cut has left. */
static void repair_judge(struct run *r, const struct image *mutated, struct mutation *mu,
                         struct verdict *v)
{
    struct opinion o = {0};
    struct verdict after;
    image_store(mutated, r->work);
    doctor_ask(r->work, true, &o);
    if (o.code == DOCTOR_HEALTHY) {
        mu->cut = true;
        judge(&r->model, mutated, mu, r->work, &after);
        r->repaired++;
        if (after.outcome == OUTCOME_WRONG || after.outcome == OUTCOME_REFUSED) {
            (void)snprintf(v->why, sizeof(v->why), "after the doctor's repair: %s: %.800s",
                           outcome_names[after.outcome], after.why);
            v->outcome = OUTCOME_WRONG;
            printf("%s", o.report);
        }
    }
    free(o.report);
}

/* A torn tail that is none: the extent is shorter than it was made, and has a frame to tell whose
   it is. The start warns, and the doctor says so. */
static void cut_off_judge(const struct image *mutated, const struct mutation *mu,
                          const struct opinion *o, struct verdict *v)
{
    const struct image_file *f = image_find((struct image *)(uintptr_t)mutated, mu->files[0]);
    bool told = v->cut_off && (!o->asked || o->code == DOCTOR_DAMAGED);
    if (v->outcome == OUTCOME_TAIL && mu->kind == MUTATION_TRUNCATE &&
        f->size >= FRAME_HEADER_BYTES && !told) {
        (void)snprintf(v->why, sizeof(v->why), "%s is shorter, %u batches are lost, and %s",
                       mu->files[0], v->lost,
                       v->cut_off ? "the doctor does not say so" : "the start does not warn");
        v->outcome = OUTCOME_WRONG;
    }
}

static void mutation_run(struct run *r, u64 number)
{
    struct rng rng;
    struct image mutated;
    struct mutation mu;
    struct verdict v;
    struct opinion o = {0};
    rng_seed(&rng, r->seed + number * 0x9e3779b97f4a7c15ull);
    mutation_make(&r->model, &rng, &mutated, &mu);
    (void)snprintf(now, sizeof(now), "seed %llu, mutation %llu: %s\n", (unsigned long long)r->seed,
                   (unsigned long long)number, mu.text);
    alarm(HANG_SECONDS);
    image_store(&mutated, r->work);
    if (number % DOCTOR_EVERY == 0) {
        doctor_ask(r->work, false, &o);
        r->asked++;
    }
    judge(&r->model, &mutated, &mu, r->work, &v);
    cut_off_judge(&mutated, &mu, &o, &v);
    if (o.asked) {
        doctor_judge(&o, &v);
    }
    if (o.asked && v.outcome == OUTCOME_REFUSED) {
        repair_judge(r, &mutated, &mu, &v);
    }
    bool again =
        v.outcome != OUTCOME_REFUSED && number % AGAIN_EVERY == 0 && v.outcome != OUTCOME_WRONG;
    if (again) { /* the start has changed nothing for the worse */
        struct verdict second;
        judge(&r->model, &mutated, &mu, r->work, &second);
        r->again++;
        if (second.outcome == OUTCOME_WRONG || second.lost != v.lost) {
            (void)snprintf(v.why, sizeof(v.why), "the second start: %u lost instead of %u; %.900s",
                           second.lost, v.lost, second.why);
            v.outcome = OUTCOME_WRONG;
        }
    }
    r->counts[mu.kind][v.outcome]++;
    r->lost += v.lost;
    if (v.outcome == OUTCOME_WRONG) {
        failed(r, number, &mu, &v, &mutated);
        if (o.asked) {
            printf("%s", o.report);
        }
    }
    free(o.report);
    image_free(&mutated);
}

static void counts_print(const struct run *r)
{
    printf("%-16s", "");
    for (u32 o = 0; o < OUTCOMES; o++) {
        printf("%10s", outcome_names[o]);
    }
    putchar('\n');
    for (u32 k = 0; k < MUTATION_KINDS; k++) {
        printf("%-16s", mutation_names[k]);
        for (u32 o = 0; o < OUTCOMES; o++) {
            printf("%10llu", (unsigned long long)r->counts[k][o]);
        }
        putchar('\n');
    }
    printf("%llu batches not served in all; the doctor was asked %llu times and repaired %llu that "
           "were refused; %llu second starts\n",
           (unsigned long long)r->lost, (unsigned long long)r->asked,
           (unsigned long long)r->repaired, (unsigned long long)r->again);
}

static void path_set(char out[PATH_BYTES], const char *base, const char *name)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", base, name);
    if (n < 0 || n >= PATH_BYTES - NAME_BYTES) {
        die("the name of the directory is too long: %s", base);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "mutate DIR COUNT [FIRST]\n");
        return 2;
    }
    static struct run r;
    u64 count = strtoull(argv[2], NULL, 0);
    u64 first = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    path_set(r.work, argv[1], "work");
    path_set(r.kept, argv[1], "kept");
    if (mkdir(argv[1], 0755) != 0 && errno != EEXIST) {
        die("%s: %s", argv[1], strerror(errno));
    }
    static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (u32 i = 0; i < ARRAY_LEN(signals); i++) {
        signal(signals[i], died);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    diag_redirect(line_drop, NULL);
    struct rng rng;
    r.seed = seed_choose();
    rng_seed(&rng, r.seed);
    model_build(&r.model, r.work, &rng);
    printf("seed %llu: %u files, %llu slots in the last WAL, which was %s\n",
           (unsigned long long)r.seed, r.model.stages[STAGES - 1].count,
           (unsigned long long)r.model.last_slots, r.model.drained ? "drained" : "killed");
    for (u64 i = first; i < first + count && r.failures < FAILURES_MAX; i++) {
        mutation_run(&r, i);
    }
    counts_print(&r);
    model_free(&r.model);
    directory_remove(r.work);
    if (r.failures == 0) {
        (void)rmdir(argv[1]);
        printf("ok damage %llu mutations, seed %llu\n", (unsigned long long)count,
               (unsigned long long)r.seed);
    }
    return r.failures > 0;
}
