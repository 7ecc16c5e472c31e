/* What the metadata would know of packs and filed WALs, for the tests of filing, rewriting and
   compaction, and what they do with it. */
#pragma once

#include "fake_io.h"
#include "fixture.h"

#include "home/home_private.h"

enum { PARTITIONS = 7, PACKS_MAX = 256, WALS_MAX = 16 };
/* What the metadata would know. */
struct book {
    struct fixture *f;
    struct home_pack packs[PACKS_MAX];
    u32 pack_count;
    u64 trim[WALS_MAX];
    u32 filed;
    u32 repacked;
    bool hold; /* commits are not answered */
    bool no_space;
    bool waiting;
    struct log_filed held;
    bool hold_burials; /* commits of dead packs are not answered ... */
    bool hold_repacks; /* ... and of none at all */
    bool repack_waits;
    struct log_repacked held_repack;
    u64 log_start[PARTITIONS];
    bool gone[PARTITIONS]; /* deleted */
    u32 packs_refused;     /* no space for so many of the next ones */
    /* The home has files of so many slots, the first of them a multiple of it; complete ones may be
       kept as packs. 0: it has none. */
    u32 keep_slots;
    err_t keep_error;    /* how giving such a pack its name ends */
    u32 keeps;           /* files that filing began to keep ... */
    u32 unkeeps;         /* ... and did not keep after all */
    u32 keep_frames_end; /* of the last pack: what is behind it was copied */
    struct home_ops ops;
    const struct home_ops *usual_ops;
};
extern struct book book;

/* A log whose packs go into the book; home verbs may be told to fail. */
void book_begin(struct fixture *f);
/* The same, but that fixture_start is the test's to call: parameters may be set before it. */
void book_prepare(struct fixture *f);
/* The log's calls, when a test starts one itself. */
void book_file(void *user, const struct log_filed *filed);
void book_repack(void *user, const struct log_repacked *r);
/* Until nothing is filed or rewritten any more. */
void book_rest(struct fixture *f);
/* Everything there is, after the minute that a little of it may wait. */
void book_file_all(struct fixture *f);
bool book_pack_there(struct fixture *f, u64 id);
/* Is it a WAL file that was kept as it is? */
bool book_pack_in_place(struct fixture *f, struct home_pack pack);
/* Another life, from what the book has. */
void book_restart(struct fixture *f);
void book_restart_in_part(struct fixture *f); /* the log is not whole yet */
void book_turn_until_whole(struct fixture *f);
/* What a start reads, into a log that is not started. The log before it is dead, destroyed or not.
 */
void book_recover(struct fixture *f, struct log *l);
/* Appends `bytes` in batches of that size to partitions 0 .. count-1 in turn. */
void book_fill(struct fixture *f, u64 bytes, u32 batch_bytes, u32 count);
/* Reads a partition from its start to its end: offsets abut, every batch is good. Its end. */
u64 book_read_all(struct fixture *f, u32 id);
