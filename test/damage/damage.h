/* What the files of test/damage share: a small data directory whose every record is known, copies
   of it that are damaged in one way each, and the judgement of what a start makes of them.

     image.c     a directory in memory: read, write, compare
     build.c     the directory that is damaged, as it was at several times, and the model of it
     damage.c    one random mutation
     judge.c     a start on a mutated directory: every partition read, everything judged
     mutate.c    the loop, the doctor, the counts

   Everything is single-threaded; who fills a struct frees it with the function of that name. */
#pragma once

#include "cluster/cluster.h"

#include <stdio.h>

enum {
    EXTENT_BYTES = 32 * KIB,
    PATH_BYTES = 512,
    NAME_BYTES = 64,
    IMAGE_FILES_MAX = 64,
    STAGES = 4,
    TOPICS = 3,
    PARTITIONS_MAX = 6,
    BATCHES_MAX = 512,
    SPOTS_MAX = 2048,
    REGIONS_MAX = 512,
    WHY_BYTES = 1024,
};

/* ---- image.c --------------------------------------------------------------------------------- */

struct image_file {
    char name[NAME_BYTES]; /* "wal/..." */
    u8 *bytes;
    u64 size;
};
struct image {
    struct image_file files[IMAGE_FILES_MAX]; /* sorted by name */
    u32 count;
};
void image_load(struct image *i, const char *directory);
void image_copy(struct image *to, const struct image *from);
void image_free(struct image *i);
/* The directory has exactly these files afterwards. */
void image_store(const struct image *i, const char *directory);
void directory_remove(const char *directory);
struct image_file *image_find(struct image *i, const char *name);
void image_put(struct image *i, const char *name, const u8 *bytes, u64 size);
void image_drop(struct image *i, const char *name);
/* Is a byte of [from, to) of this file of `a` another one in `b`, or not there? */
bool image_differs(const struct image *a, const struct image *b, const char *name, u64 from,
                   u64 to);
PRINTF_LIKE(1, 2) _Noreturn void die(const char *fmt, ...);

/* ---- build.c --------------------------------------------------------------------------------- */

/* A batch that was acknowledged, as it must be served. */
struct model_batch {
    u64 base;
    u64 next;
    u32 bytes;
    u8 *data;
};
struct model_partition {
    u32 topic;
    i32 index;
    u32 id;
    u64 log_start;
    struct model_batch batches[BATCHES_MAX];
    u32 count;
};
/* Where batches are. */
enum spot_kind { SPOT_RUN, SPOT_ENTRY };
struct spot {
    enum spot_kind kind;
    char file[NAME_BYTES];
    u64 from;
    u64 to;
    u32 partition; /* id */
    u64 base;
    u64 next;
    bool last_wal; /* in the WAL that was not sealed */
    u64 slot;
};
/* Everything that a start relies on: frames, packs, the file of the format. */
struct region {
    char file[NAME_BYTES];
    u64 from;
    u64 to;
    bool last_wal;
    u64 slot;
};
struct model {
    struct image stages[STAGES]; /* the last one is what is damaged */
    struct model_partition partitions[PARTITIONS_MAX];
    struct spot spots[SPOTS_MAX];
    u32 spot_count;
    struct region regions[REGIONS_MAX];
    u32 region_count;
    u64 last_wal;
    u64 last_slots; /* of it */
    bool drained;   /* the last session ended with a MARK */
    u32 kept;       /* packs that are a WAL's extent */
};
extern const char *const topic_names[TOPICS];
void model_build(struct model *m, const char *directory, struct rng *rng);
void model_free(struct model *m);

/* A process: from io to cluster, as the broker makes them. */
struct life {
    struct io *io;
    struct home *home;
    struct log *log;
    struct cluster *cluster;
    struct quota quota;
    u32 packs_allowed; /* more are refused for lack of room; 0: nothing is filed */
    u32 packs;
    bool keeps; /* nothing is filed before life_keep; then extents become packs as they are, and the
                   metadata never hear of one more than is allowed */
    bool one_more;
};
/* packs_allowed is the caller's. */
MUST_USE err_t life_start(struct life *l, const char *directory);
void life_drain(struct life *l);
void life_end(struct life *l);

/* ---- damage.c -------------------------------------------------------------------------------- */

enum mutation_kind {
    MUTATION_FLIP,
    MUTATION_ZERO,
    MUTATION_TRUNCATE,
    MUTATION_SWAP_SECTORS,
    MUTATION_SWAP_FILES,
    MUTATION_STALE,
    MUTATION_MISSING,
    MUTATION_EXTRA,
    MUTATION_KINDS
};
extern const char *const mutation_names[MUTATION_KINDS];
struct mutation {
    enum mutation_kind kind;
    char files[2][NAME_BYTES];
    char text[256];
    bool cut; /* the doctor was allowed to cut the last WAL since */
};
/* *out is a copy of the last stage with one thing changed. */
void mutation_make(const struct model *m, struct rng *rng, struct image *out,
                   struct mutation *mutation);

/* ---- judge.c --------------------------------------------------------------------------------- */

enum outcome {
    OUTCOME_WHOLE,    /* everything is served */
    OUTCOME_REPAIRED, /* the same, and the start said what it repaired */
    OUTCOME_ERRORS,   /* some offsets are answered with an error, all others are served */
    OUTCOME_TAIL,     /* the last slots before a crash look like a write that was torn */
    OUTCOME_REFUSED,  /* no start, and the reason names the place */
    OUTCOME_WRONG,    /* the broker must not do this */
    OUTCOMES
};
extern const char *const outcome_names[OUTCOMES];
struct verdict {
    enum outcome outcome;
    u32 lost;     /* batches */
    bool cut_off; /* the start found an extent that is shorter than it was made */
    char why[WHY_BYTES];
};
/* Opens `directory`, which has `mutated`, reads everything, and closes it. */
void judge(const struct model *m, const struct image *mutated, const struct mutation *mutation,
           const char *directory, struct verdict *v);
