/* The differential judge: the same requests to Odradek and to Apache Kafka, answers compared field
   by field. judge.c asks and counts, generate.c makes the requests, compare.c reads the answers,
   pairs.c knows what the two call differently. Test only; blocking sockets, one connection each.

   Values a server chooses (topic ids, member ids, producer ids, fetch sessions) differ between the
   two and mean the same. They are kept as pairs: learned where an answer shows them, written into
   later requests each side in its own words, and equal in a comparison if they are of one pair. */
#pragma once

#include "wire/wire.h"

#include <netinet/in.h>

enum side { OURS, KAFKA, SIDES };

/* ---- pairs.c --------------------------------------------------------------------------------- */

enum pair_kind {
    PAIR_TOPIC_ID,
    PAIR_MEMBER,
    PAIR_PRODUCER,
    PAIR_SESSION,
    PAIR_INVENTED, /* ids of topics that nobody has: the same on both sides */
    PAIR_KINDS
};

#define PAIR_NONE UINT32_MAX

/* The pair that holds this value on this side, or PAIR_NONE. */
u32 pair_find(enum pair_kind kind, enum side side, struct slice value);
/* Are the two of one pair? Two values that are both new become one. */
bool pair_equal(enum pair_kind kind, struct slice ours, struct slice kafka);
struct slice pair_value(enum pair_kind kind, u32 pair, enum side side);
u32 pair_count(enum pair_kind kind);

/* ---- generate.c ------------------------------------------------------------------------------ */

/* A member of the request that is written anew for each side. */
struct patch {
    enum pair_kind kind;
    u32 pair;
    void *at;                   /* struct uuid, struct slice, i64 or i32, after the kind */
    const struct recipe *batch; /* not NULL: at is a struct wire_records, built from this */
};

#define PATCHES_MAX 256
struct generated {
    void *request;
    u32 patch_count;
    struct patch patches[PATCHES_MAX];
    bool wrong; /* made with something wrong in it, as far as its maker knows */
};

struct generator {
    struct rng rng;
    struct arena *arena;
    struct generated *out;
    const struct api_row *api;
    i16 version;
    u32 wrong;       /* chance in 100 that a value is a bad one */
    u32 start;       /* where the elements of arrays begin to count, so that they differ */
    u32 element;     /* number of the array's element being made */
    u32 name_index;  /* of the topic last chosen */
    i32 partition;   /* last chosen */
    u32 group;       /* of the groups below */
    u32 episode;     /* groups live for one episode: no session ends in it */
    u32 topic_names; /* made up so far */
};

/* The topics that test/differential/run makes on both sides. */
extern const char *const base_topics[];
extern const u32 base_topic_count;

void generate_sensible(struct generator *g);
/* wire_random, tamed where a number would make a server wait or work for minutes. */
MUST_USE err_t generate_random(struct generator *g);
/* Write the patches of one side into the request. */
void generated_for(struct generator *g, enum side side);
/* A new set of groups. */
void generator_next_episode(struct generator *g);
/* A JoinGroup was answered: later requests may use its member and generation. */
void generator_joined(struct generator *g, u32 member_pair, i32 generation);

/* ---- compare.c ------------------------------------------------------------------------------- */

/* Intended differences, from differences.tsv. False: the file cannot be used; it says why. */
bool differences_load(const char *path);
/* Rows no answer has needed; printed at the end of a long run. */
void differences_print_unused(void);

struct difference {
    char path[160];
    char keys[160]; /* which elements of the arrays on the path */
    char ours[120];
    char kafka[120];
};
#define DIFFERENCES_MAX 8
struct comparison {
    u32 count;
    struct difference items[DIFFERENCES_MAX];
};
void compare_answers(const struct api_row *api, i16 version, const void *ours, const void *kafka,
                     struct comparison *out);
/* Outcomes other than two answers. */
void compare_outcomes(const struct api_row *api, i16 version, const char *ours, const char *kafka,
                      struct comparison *out);
/* Is there an error code other than 0 anywhere in it? */
bool answer_has_error(const struct struct_def *def, i16 version, const void *answer);
bool answer_has(const struct struct_def *def, i16 version, const void *answer, i16 code);

/* ---- judge.c --------------------------------------------------------------------------------- */

/* One connection to a broker; fd -1: not open. */
struct peer {
    const char *name;
    struct sockaddr_in address;
    int fd;
    i16 max[128]; /* advertised, -1: not */
    i16 min[128];
};
extern struct peer peers[SIDES];
void peer_close(struct peer *peer);

enum outcome { ANSWERED, CLOSED, SILENT, LATE, UNREADABLE };
extern const char *const outcome_names[];

/* A request to both and what came of it. */
struct exchange {
    const struct api_row *api;
    struct peer *lines[SIDES]; /* NULL: the connections all requests share */
    const void *request;       /* to be printed, in our words */
    i16 version;
    struct slice frames[SIDES];
    bool broken; /* its bytes are not those of the request that would be printed */
    bool probe;  /* a request behind it, since it may not be answered */
    enum outcome outcomes[SIDES];
    void *answers[SIDES];
    i16 answer_version;
};

/* ptr NULL: this version cannot carry it. */
struct slice frame_of(struct arena *arena, const struct api_row *api, i16 version, i32 correlation,
                      const void *request);
void exchange_send(struct exchange *x, struct arena *arena);
/* Waits for one side's answer. */
void exchange_receive(struct exchange *x, enum side side, struct arena *arena);
void exchange_compare(const struct exchange *x, struct comparison *out);
/* Counts and notes it. */
void exchange_judge(const struct exchange *x, const struct comparison *result);
extern u64 case_number;

/* ---- crew.c ---------------------------------------------------------------------------------- */

/* Two members of one group, with requests that wait for each other. */
void crew_run(struct rng *rng);
