/* THE border. Time, randomness, files, sockets, signals and threads enter the program only here.
   Two implementations: io_linux (epoll for sockets; io_uring for files, or threads where it is
   forbidden) and the simulated one (sim/). One struct io is one loop; it is single-threaded: all
   calls except those marked "any thread" come from the loop's thread.

   One turn, in this order (loop.c):
     1. wait for and deliver completions and socket events (now is sampled once, first)
     2. due timers
     3. turn-end hooks, in their order: cut WAL slots; release waiters; one send per connection
     4. submit what was queued

   Rules every caller may rely on
   - An io_op is embedded in the object that waits. Its done() runs exactly once, on the loop, never
     inside the call that started it, also after io_cancel (then with -ERR_CANCELLED, or with the
     real result if it was too late). The op's memory stays valid until done() is entered; done()
     may reuse or free it.
   - Results are i64: >= 0 a byte count (or 0), < 0 the negated err_t.
   - Blocking file verbs (io_file_open ... io_file_write_now) are for start-up, shutdown and
     workers: they may be called from any thread; never call them on the loop while serving.
   - In the simulator a crash makes the io "dead": every later call fails with ERR_CANCELLED and has
     no effect, pending ops are forgotten. Every module's destroy function must therefore work
     without io, at any time. */
#pragma once

#include "base/base.h"

struct io;
struct io_op;
struct io_file;
struct io_sock;
struct io_listener;

typedef void (*io_done_fn)(struct io_op *op, i64 result);

struct io_vec {
    void *data;
    size_t len;
};

struct io_op {
    io_done_fn done;
    /* Below: the implementation's. */
    struct list_node node;
    i64 result;
    u32 kind;
    u32 state;
    struct io_file *file;
    const struct io_vec *vecs;
    u32 vec_count;
    bool durable;
    u64 offset;
    u64 moved; /* bytes done so far: short reads and writes are continued below the border */
    void (*work)(void *arg);
    void *arg;
    u64 private_[6];
};

/* ---- the loop ------------------------------------------------------------------------------ */

/* Runs turns until io_stop. io_turn runs one; with may_wait false it does not sleep. */
void io_run(struct io *io);
void io_turn(struct io *io, bool may_wait);
void io_stop(struct io *io);
void io_destroy(struct io *io);

/* Sampled once per turn. */
u64 io_now_ns(const struct io *io);  /* monotonic */
i64 io_wall_ms(const struct io *io); /* since 1970, may jump */
/* Cryptographic quality in io_linux; from the seed in the simulator. */
void io_random(struct io *io, void *buf, size_t len);

struct io_timer {
    struct heap_node node;
    void (*fired)(struct io_timer *t);
};
/* Starting a running timer moves it. deadline_ns is on io_now_ns's clock. */
void io_timer_start(struct io *io, struct io_timer *t, u64 deadline_ns);
void io_timer_stop(struct io *io, struct io_timer *t); /* no-op when not running */

/* Turn-end hooks run every turn, lowest order first; they must be cheap when there is nothing to
 * do. */
enum io_hook_order { IO_HOOK_LOG = 10, IO_HOOK_META = 20, IO_HOOK_WAITERS = 30, IO_HOOK_CONN = 40 };
struct io_hook {
    struct list_node node;
    void (*run)(struct io_hook *h);
    u32 order;
};
void io_hook_add(struct io *io, struct io_hook *h, u32 order);
void io_hook_remove(struct io_hook *h);

/* Runs fn(arg) off the loop (simulated: at a later, random turn, on the loop), then op->done(op,
 * 0). */
void io_work(struct io *io, struct io_op *op, void (*fn)(void *arg), void *arg);
/* For who goes away while it is under way: afterwards fn is not running and will not run, and
   done() does not come. It may have run. Waits as long as fn takes: not while serving. In a dead io
   too. */
void io_work_end(struct io *io, struct io_op *op);
/* Asks for an op to end early; done() still comes, in a later turn. */
void io_cancel(struct io *io, struct io_op *op);

/* A bell that other threads ring and the loop hears: rang() runs on the loop, in a later turn, at
   least once after the last ring; several rings may be heard as one. This is how a thread that is
   not the border's own (http/) says that it wants something. */
struct io_bell {
    void (*rang)(struct io_bell *b);
    struct list_node node; /* the implementation's */
};
void io_bell_ring(struct io *io, struct io_bell *b); /* any thread; not in the simulator */
/* On the loop, when nobody rings any more: what was not heard yet is forgotten. */
void io_bell_remove(struct io *io, struct io_bell *b);

enum io_signal { IO_SIGNAL_STOP, IO_SIGNAL_RELOAD, IO_SIGNAL_STATS }; /* TERM or INT; HUP; USR1 */
/* They stay blocked in this thread after io_destroy(): a process that was told to stop once more,
   when it no longer listens, ends by its own exit code and not by the signal. */
void io_signals(struct io *io, void (*on_signal)(void *user, enum io_signal s), void *user);

/* ---- files ---------------------------------------------------------------------------------- */

enum io_open_flags {
    IO_OPEN_READ = 1,
    IO_OPEN_WRITE = 2,     /* read and write */
    IO_OPEN_CREATE = 4,    /* create when absent */
    IO_OPEN_EXCLUSIVE = 8, /* with CREATE: ERR_EXISTS when present */
    IO_OPEN_DIRECT = 16,   /* O_DIRECT; ERR_UNSUPPORTED where refused: open again without */
};
/* Blocking, any thread. Paths are relative to the working directory or absolute. */
MUST_USE err_t io_file_open(struct io *io, const char *path, u32 flags, struct io_file **out);
void io_file_close(struct io *io, struct io_file *f);
MUST_USE err_t io_file_size(struct io *io, struct io_file *f, u64 *bytes);
/* Has it a name still? What is open stays, without one, until it is closed. */
MUST_USE err_t io_file_named(struct io *io, struct io_file *f, bool *named);
/* What offset, length and memory of DIRECT I/O must be multiples of (statx DIOALIGN); 4096 at
 * least. */
u32 io_file_block_bytes(struct io *io, struct io_file *f);
MUST_USE err_t io_file_allocate(struct io *io, struct io_file *f, u64 bytes); /* extends the size */
MUST_USE err_t io_file_truncate(struct io *io, struct io_file *f, u64 bytes);
/* Exclusive, held until close; ERR_LOCKED when another open file description has it. */
MUST_USE err_t io_file_lock(struct io *io, struct io_file *f);
/* Full transfers or an error; a read past the end is short (*moved says). */
MUST_USE err_t io_file_read_now(struct io *io, struct io_file *f, void *buf, size_t len, u64 offset,
                                size_t *moved);
MUST_USE err_t io_file_write_now(struct io *io, struct io_file *f, const void *buf, size_t len,
                                 u64 offset);
MUST_USE err_t io_file_sync_now(struct io *io,
                                struct io_file *f);       /* fdatasync; a failure is final */
MUST_USE err_t io_mkdir(struct io *io, const char *path); /* ERR_EXISTS when there */
MUST_USE err_t io_rename(struct io *io, const char *from, const char *to);
/* A second name for the same file, in the same file system. ERR_EXISTS: `to` is there.
   ERR_UNSUPPORTED: the file system has no such thing. */
MUST_USE err_t io_link(struct io *io, const char *from, const char *to);
MUST_USE err_t io_unlink(struct io *io, const char *path);
MUST_USE err_t io_sync_dir(struct io *io, const char *path);
/* Names in no promised order, without "." and ".."; ERR_NOT_FOUND when the directory is absent. */
MUST_USE err_t io_list(struct io *io, const char *path, void (*each)(void *user, const char *name),
                       void *user);
/* Free bytes of the file system that holds path. */
MUST_USE err_t io_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes);

/* Asynchronous, loop only. vecs must stay valid until done. Buffers of a DIRECT file are aligned by
   the caller. durable: the bytes and the metadata needed to read them are on stable storage when
   done reports success (RWF_DSYNC, or fdatasync by a thread). Result: bytes, fewer only at the end
   of the file. */
void io_file_readv(struct io *io, struct io_op *op, struct io_file *f, const struct io_vec *vecs,
                   u32 count, u64 offset);
void io_file_writev(struct io *io, struct io_op *op, struct io_file *f, const struct io_vec *vecs,
                    u32 count, u64 offset, bool durable);
void io_file_sync(struct io *io, struct io_op *op, struct io_file *f);

/* ---- sockets -------------------------------------------------------------------------------- */

enum io_events { IO_READABLE = 1, IO_WRITABLE = 2, IO_HANGUP = 4 };
/* Level-triggered: called once per turn at most while a wanted event holds. HANGUP (error or both
   sides closed) is always reported; the handler answers by io_sock_close. */
typedef void (*io_sock_fn)(void *user, u32 events);

struct io_address {
    char host[64]; /* numeric, v6 without brackets */
    u16 port;
};

/* host: numeric or a name; port 0 picks a free one (io_listener_address tells). accepted() hands
   over a socket that has no handler yet: call io_sock_handle at once, or close it. */
MUST_USE err_t io_listen(struct io *io, const char *host, u16 port,
                         void (*accepted)(void *user, struct io_sock *s), void *user,
                         struct io_listener **out);
void io_listener_address(struct io_listener *l, struct io_address *out);
void io_listener_close(struct io *io, struct io_listener *l);
/* Off: nobody is accepted, who connects waits in the kernel's queue. On at first. */
void io_listener_want(struct io *io, struct io_listener *l, bool on);
/* Starts connecting; the handler gets WRITABLE when connected, HANGUP when refused. */
MUST_USE err_t io_connect(struct io *io, const char *host, u16 port, struct io_sock **out);

void io_sock_handle(struct io *io, struct io_sock *s, io_sock_fn fn, void *user);
void io_sock_want(struct io *io, struct io_sock *s,
                  u32 events); /* IO_READABLE | IO_WRITABLE, or 0 */
/* > 0 bytes, 0 end of stream, -ERR_AGAIN, -ERR_CLOSED. */
i64 io_recv(struct io *io, struct io_sock *s, void *buf, size_t len);
/* Sends a prefix of the vecs; > 0 bytes taken, -ERR_AGAIN, -ERR_CLOSED. */
i64 io_send(struct io *io, struct io_sock *s, const struct io_vec *vecs, u32 count);
void io_sock_shutdown(struct io *io, struct io_sock *s); /* no more sends from us */
/* The handler is not called again; s is gone. Allowed inside the handler. */
void io_sock_close(struct io *io, struct io_sock *s);
void io_sock_local(struct io_sock *s, struct io_address *out);
void io_sock_peer(struct io_sock *s, struct io_address *out);

/* ---- the real implementation ----------------------------------------------------------------- */

enum io_files_mode { IO_FILES_AUTO, IO_FILES_URING, IO_FILES_THREADS };
struct io_linux_params {
    enum io_files_mode files; /* AUTO: io_uring, or threads when the kernel forbids it */
    bool refuse_direct;       /* tests: behave as a file system without O_DIRECT */
};
MUST_USE err_t io_linux_create(const struct io_linux_params *params, struct io **out);
/* Operations are under way: whoever owns them may not be destroyed yet. */
bool io_linux_busy(const struct io *io);
const char *io_files_mode_name(const struct io *io); /* "io_uring" or "threads" */

/* machine.c: for start-up messages and defaults, outside any loop. */
u64 io_clock_ns(void);       /* the clock of io_now_ns, read now */
u64 io_machine_memory(void); /* bytes of RAM, or of the cgroup when that is less */
/* What the cgroups allow that a file as /proc/self/cgroup names, under a root as /sys/fs/cgroup;
   UINT64_MAX: no limit. */
u64 io_cgroup_memory(const char *self, const char *root);
/* A small regular file as a whole; *out is the caller's (mem_free). Any thread. ERR_INVALID: it is
   something else than a regular file; ERR_LIMIT: larger than bytes_max. */
MUST_USE err_t io_read_whole(const char *path, size_t bytes_max, u8 **out, size_t *len);
/* Descriptors 0, 1 and 2 that are closed become /dev/null: or the next file opened were printed to.
 */
void io_standard_files(void);
u32 io_parent(void);           /* the process id of who started this one; 1 when that is gone */
bool io_process_gone(u32 pid); /* ended, or never there; one that nobody waits for has ended too */
/* Has standard input ended? Takes what came meanwhile and does not wait. */
bool io_input_ended(void);
/* Can the name be resolved? Waits for the resolver: for workers. */
bool io_resolves(const char *host);
/* Who listens on a TCP port of this machine, as "nginx (pid 17)"; false when /proc does not tell
   this user. For the message of a start that failed. */
bool io_port_owner(u16 port, char *out, size_t out_bytes);

/* notify.c: the service manager, when one has started us. lines: "READY=1\nSTATUS=..."; never
   waits. ERR_NOT_FOUND: nobody asks; ERR_INVALID: NOTIFY_SOCKET is no socket name; ERR_AGAIN: the
   manager does not read; ERR_CLOSED: it is gone; ERR_LIMIT: no descriptor is left. */
MUST_USE err_t io_notify(const char *lines);
/* Without a word from us for so long the manager ends this process; 0: it does not watch. */
u64 io_notify_watchdog_ns(void);
u64 io_thread_cpu_ns(void); /* processor time of the calling thread */
/* What /proc says of this process; any thread, takes some system calls. What cannot be read is 0.
 */
struct io_process {
    f64 cpu_seconds;
    f64 start_time_seconds; /* since 1970 */
    u64 resident_bytes;
    u64 virtual_bytes;
    u64 open_fds;
    u64 max_fds;
    u64 threads;
    u64 disk_read_bytes; /* that reached the storage layer */
    u64 disk_write_bytes;
};
void io_process_read(struct io_process *out);

/* ---- for implementations: what struct io is -------------------------------------------------- */

/* Every function above is a thin call through this table (loop.c); timers, hooks and turn order are
   shared and live in loop.c, so the simulator runs the same ones. Same contracts as above. */
struct io_backend {
    /* Delivers completions and events. Sleeps at most until deadline_ns (UINT64_MAX: no limit; 0:
       do not sleep) and samples the clocks into io before it calls anybody. */
    void (*poll)(struct io *io, u64 deadline_ns);
    void (*submit)(struct io *io); /* end of the turn */
    void (*destroy)(struct io *io);
    void (*random)(struct io *io, void *buf, size_t len);
    void (*work)(struct io *io, struct io_op *op);
    void (*work_end)(struct io *io, struct io_op *op);
    void (*cancel)(struct io *io, struct io_op *op);
    void (*signals)(struct io *io, void (*on_signal)(void *, enum io_signal), void *user);
    void (*bell_ring)(struct io *io, struct io_bell *b); /* NULL: no other threads here */
    void (*bell_remove)(struct io *io, struct io_bell *b);
    err_t (*file_open)(struct io *, const char *, u32, struct io_file **);
    void (*file_close)(struct io *, struct io_file *);
    err_t (*file_size)(struct io *, struct io_file *, u64 *);
    err_t (*file_named)(struct io *, struct io_file *, bool *);
    u32 (*file_block_bytes)(struct io *, struct io_file *);
    err_t (*file_allocate)(struct io *, struct io_file *, u64);
    err_t (*file_truncate)(struct io *, struct io_file *, u64);
    err_t (*file_lock)(struct io *, struct io_file *);
    err_t (*file_read_now)(struct io *, struct io_file *, void *, size_t, u64, size_t *);
    err_t (*file_write_now)(struct io *, struct io_file *, const void *, size_t, u64);
    err_t (*file_sync_now)(struct io *, struct io_file *);
    err_t (*mkdir)(struct io *, const char *);
    err_t (*rename)(struct io *, const char *, const char *);
    err_t (*link)(struct io *, const char *, const char *);
    err_t (*unlink)(struct io *, const char *);
    err_t (*sync_dir)(struct io *, const char *);
    err_t (*list)(struct io *, const char *, void (*)(void *, const char *), void *);
    err_t (*space)(struct io *, const char *, u64 *, u64 *);
    void (*file_readv)(struct io *, struct io_op *); /* parameters are in the op */
    void (*file_writev)(struct io *, struct io_op *);
    void (*file_sync)(struct io *, struct io_op *);
    err_t (*listen)(struct io *, const char *, u16, void (*)(void *, struct io_sock *), void *,
                    struct io_listener **);
    void (*listener_address)(struct io_listener *, struct io_address *);
    void (*listener_close)(struct io *, struct io_listener *);
    void (*listener_want)(struct io *, struct io_listener *, bool);
    err_t (*connect)(struct io *, const char *, u16, struct io_sock **);
    void (*sock_handle)(struct io *, struct io_sock *, io_sock_fn, void *);
    void (*sock_want)(struct io *, struct io_sock *, u32);
    i64 (*recv)(struct io *, struct io_sock *, void *, size_t);
    i64 (*send)(struct io *, struct io_sock *, const struct io_vec *, u32);
    void (*sock_shutdown)(struct io *, struct io_sock *);
    void (*sock_close)(struct io *, struct io_sock *);
    void (*sock_local)(struct io_sock *, struct io_address *);
    void (*sock_peer)(struct io_sock *, struct io_address *);
};
/* The head of every implementation's own struct. io_listener, io_sock and io_file are the
   implementation's; their first member is `struct io *io`, so that calls without an io argument
   find the table. */
struct io {
    const struct io_backend *backend;
    u64 now_ns;
    i64 wall_ms;
    struct heap timers;
    struct list hooks;
    bool stopping;
};
void io_init_base(struct io *io, const struct io_backend *backend);
