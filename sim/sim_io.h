/* The simulated struct io: one per life of the broker, on a disk and a network that outlive it.

   Time: a turn takes a little, a blocking call too; when nothing is ready the clock jumps to the
   next timer or event. Chance: file operations end after random times, in any order; work runs in a
   later turn and is reported in a still later one. Faults: as struct sim_faults asks. The end: at a
   call or a moment of the plan the io dies. From then on every call fails with ERR_CANCELLED and
   does nothing, and no completion comes; the run then destroys the broker, lets the disk lose what
   it may, and starts another one. */
#pragma once

#include "io/io.h"
#include "sim/sim_disk.h"
#include "sim/sim_net.h"
#include "sim/world.h"

enum { SIM_NEVER = INT32_MAX };

/* One-shot faults count calls down: 0 = the next one. */
struct sim_faults {
    i32 write_fails_in; /* a write or sync ends with ERR_IO */
    i32 read_fails_in;  /* a read ends with ERR_IO */
    i32 full_in;        /* from this call for room on there is no space ... */
    i32 full_calls;     /* ... for so many calls for room */
    bool refuse_direct; /* all the time: no O_DIRECT */
};

/* When the io dies. */
struct sim_end_plan {
    u64 at_call;       /* of this life; 0: not so */
    i32 in_wal_write;  /* in the middle of a durable write to wal/, after so many others; SIM_NEVER:
                          not so */
    u32 wal_writes;    /* ... and when at least so many are under way at once, */
    u32 wal_patience;  /* ... which is waited for during so many writes */
    i32 in_meta_write; /* in the middle of one to meta/ */
};

/* Around every call that changes the disk: an open that creates, a write (its beginning and its
   end), a sync, a change of size or of names. */
struct sim_moment {
    const char *call;
    const char *path;
    bool after; /* it has happened, and the caller does not know yet */
};
struct sim_watch {
    bool (*moment)(void *user, const struct sim_moment *m); /* true: the io dies now. Or NULL */
    void *user;
};

struct sim_io_params {
    struct world *world;
    struct sim_disk *disk;
    struct sim_net *net;
    u64 disk_usual_ns;
    u64 disk_rare_ns;
    struct sim_faults faults;
    struct sim_end_plan end;
    struct sim_watch watch;
};

struct io *sim_io_create(const struct sim_io_params *params);
/* The plan may change on the way. */
void sim_io_end_plan(struct io *io, const struct sim_end_plan *plan);
void sim_io_faults(struct io *io, const struct sim_faults *faults);
void sim_io_die(struct io *io);
bool sim_io_dead(const struct io *io);
u64 sim_io_calls(const struct io *io);
bool sim_io_died_in_wal_write(const struct io *io); /* one was under way */
bool sim_io_faulted(const struct io *io);           /* a fault was injected */
u32 sim_io_work_count(const struct io *io);         /* operations that have not ended */
