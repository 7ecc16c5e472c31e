/* The inside of io_linux, for its own files and their tests; everybody else comes through io/io.h.

   io_linux.c           the loop's side: create, poll, submit, cancel, signals, clocks
   io_linux_transfer.c  one read or write as a series of system calls, whoever makes them; errno
   io_linux_reads.c     when reads may go: not beside durable writes
   io_linux_ring.c      file operations through io_uring
   io_linux_threads.c   threads: io_work, and file operations where io_uring is forbidden
   io_linux_file.c      the blocking file verbs
   io_linux_socket.c    listeners and sockets

   The life of an io_op: IDLE -> QUEUED (in the loop's list until the turn ends) -> RUNNING (the
   kernel's, or the threads') -> back to QUEUED when a transfer in the ring was short or a piece of
   a read has come, or FINISHED (in the list of what the next poll delivers) -> IDLE, done()
   entered. Only the loop moves it. */
#pragma once

#include "io/io.h"

#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#define EVENTS_MAX      512u /* socket events taken in one turn */
#define RING_ENTRIES    256u /* operations in the kernel at a time; more wait in our list */
#define THREADS_MAX     8u
#define FILE_THREADS    4u
#define THREAD_STACK    (256 * KIB)
#define BLOCK_BYTES_MIN 4096u

struct io_linux;

/* Whatever epoll reports: its data points here. */
struct source {
    void (*ready)(struct io_linux *l, struct source *s, u32 epoll_events);
};

enum op_kind { OP_READ = 1, OP_WRITE, OP_SYNC, OP_WORK };
enum op_state { OP_IDLE, OP_QUEUED, OP_RUNNING, OP_FINISHED };
/* How a write becomes durable: by its flag, or, where that is unknown, plain and then fdatasync. */
enum op_stage { STAGE_FLAGGED, STAGE_PLAIN, STAGE_SYNC };
/* What happened to it while it ran. The loop marks what the ring runs; a thread marks what it
   takes, under the lock of its queue. */
enum op_mark { MARK_NONE, MARK_CANCEL_ASKED, MARK_BEGUN };
/* The places of io_op.private_. OP_PIECE: how much of a read was let go, 0: it was not. OP_MORE: a
   thread has done that, and more is left. */
enum op_private { OP_VEC_COPY, OP_TOTAL_BYTES, OP_STAGE, OP_MARK, OP_PIECE, OP_MORE };

struct io_file {
    struct io *io;
    int fd;
    bool direct;
    u32 block_bytes;
    u32 op_count;          /* asynchronous operations under way */
    bool closed;           /* the last of them closes it */
    struct list_node node; /* in io_linux.closed_files while closed */
};

struct io_sock {
    struct io *io;
    struct source source;
    struct list_node node;    /* in io_linux.sockets, or .dead */
    struct list_node changed; /* in io_linux.changed while epoll must be told */
    io_sock_fn handler;
    void *user;
    int fd;          /* -1: closed, and freed when the turn ends */
    u8 wanted;       /* IO_READABLE, IO_WRITABLE */
    u8 armed;        /* what epoll was told */
    bool registered; /* epoll knows it at all */
};

struct io_listener {
    struct io *io;
    struct source source;
    struct list_node node; /* in io_linux.listeners, or .dead_listeners */
    struct io_timer retry; /* runs while it rests */
    int fd;                /* -1: closed, and freed when the turn ends */
    bool resting;          /* out of descriptors or memory: epoll does not report it */
    bool unwanted;         /* nor does it then: io_listener_want */
    void (*accepted)(void *user, struct io_sock *s);
    void *user;
};

/* Threads that take operations from one queue. None exists before its first operation. */
struct threads {
    struct io_linux *l;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct list queue; /* of io_op; with all below, under the lock */
    u32 queued;
    u32 idle;
    u32 count;
    u32 count_max;
    bool stopping;
    pthread_t thread[THREADS_MAX];
};

/* Reads, and what they give way to. */
struct reads {
    struct list waiting;  /* of io_op */
    u64 bytes;            /* of reads that were let go and are not back */
    u64 left_ns;          /* when the last one was let go */
    u32 writes;           /* durable ones under way */
    u64 written_ns;       /* when the last of them began or ended */
    bool written;         /* there was one */
    struct io_timer hold; /* while a durable write holds reads */
};

struct io_linux {
    struct io io; /* first */
    bool refuse_direct;
    bool uses_ring;
    bool dsync_refused; /* RWF_DSYNC is unknown here; any thread, atomic */
    bool no_pwait2;     /* the kernel lacks epoll_pwait2 */
    int epoll_fd;
    int spare_fd; /* given up to accept and close a connection when descriptors are out */

    u32 op_count;             /* begun and not delivered */
    struct reads reads;       /* which reads leave at the end of the turn */
    struct list queued;       /* file operations that do */
    struct list finished;     /* operations that the next poll delivers */
    struct list closed_files; /* files whose operations are not over */

    struct io_uring ring;
    struct source ring_source;
    u32 ring_in_flight;

    struct threads writer; /* one: durable writes, in the order they were submitted */
    struct threads files;
    struct threads workers;
    pthread_mutex_t back_lock;
    pthread_cond_t came; /* something more is in `back` */
    struct list back;    /* operations the threads are done with, under back_lock */
    struct list rung;    /* bells that were not heard yet, under back_lock */
    bool back_told;      /* back_fd is readable, under back_lock */
    int back_fd;
    struct source back_source;

    int signal_fd; /* -1 until io_signals */
    struct source signal_source;
    void (*on_signal)(void *user, enum io_signal s);
    void *signal_user;

    struct list sockets;
    struct list changed;
    struct list dead;
    struct list listeners;
    struct list dead_listeners;

    struct epoll_event events[EVENTS_MAX];
};

static inline struct io_linux *linux_of(struct io *io)
{
    return (struct io_linux *)(void *)io;
}

MUST_USE err_t source_add(struct io_linux *l, int fd, struct source *s, u32 epoll_events);
/* On the loop: the operation's result is `result`, the next poll delivers it. */
void op_finish(struct io_linux *l, struct io_op *op, i64 result);

/* io_linux_transfer.c */
MUST_USE err_t err_of_errno(int number);
void op_begin(struct io_op *op, enum op_kind kind);
/* Decides how the next system call of a durable write asks for durability. */
void op_choose_stage(struct io_linux *l, struct io_op *op);
/* What is left to move, of a read as much as was let go, at most IOV_MAX vecs, from op->offset +
   op->moved. */
const struct iovec *op_rest(struct io_op *op, u32 *count);
/* Takes the result of one system call (bytes or -errno). False: another call is needed. True: the
   operation is over and op->result says how. */
MUST_USE bool op_advance(struct io_linux *l, struct io_op *op, i64 result);
void op_drop(struct io_op *op); /* frees what op_rest cut */
/* Makes one system call. False: another is needed. */
MUST_USE bool op_run_once(struct io_linux *l, struct io_op *op);
void op_run_blocking(struct io_linux *l, struct io_op *op);

/* io_linux_reads.c */
void reads_init(struct reads *r);
void reads_add(struct reads *r, struct io_op *op);
void reads_write_begins(struct reads *r, u64 now_ns);
void reads_write_ends(struct reads *r, u64 now_ns);
/* How many bytes of the next read may go now; UINT64_MAX: all of it. */
u64 reads_allowed(const struct reads *r, u64 now_ns);
void reads_release(struct io_linux *l);
void reads_came(struct reads *r, struct io_op *op);
void reads_add_rest(struct reads *r, struct io_op *op);

/* io_linux_ring.c */
MUST_USE err_t ring_init(struct io_linux *l);
void ring_fini(struct io_linux *l);
void ring_submit(struct io_linux *l); /* moves queued operations into the kernel */
bool ring_has_results(const struct io_linux *l);
void ring_collect(struct io_linux *l);
void ring_cancel(struct io_linux *l, struct io_op *op);

/* io_linux_threads.c */
void loop_slices_shorten(void); /* of the calling thread, which is going to run the loop */
void threads_init(struct threads *t, struct io_linux *l, u32 count_max);
void threads_fini(struct threads *t);
void threads_give(struct threads *t, struct io_op *op);
/* True when the operation had not begun, and is the caller's again. */
bool threads_take_back(struct threads *t, struct io_op *op);
void threads_wait(struct io_linux *l, struct io_op *op); /* it had; then it is the caller's, too */
void threads_submit(struct io_linux *l);
struct threads *threads_of(struct io_linux *l, const struct io_op *op);
void threads_collect(struct io_linux *l, struct source *s, u32 epoll_events);
void linux_bell_ring(struct io *io, struct io_bell *b);
void linux_bell_remove(struct io *io, struct io_bell *b);

/* io_linux_socket.c */
void sockets_settle(struct io_linux *l); /* tells epoll what changed, frees what was closed */
void sockets_fini(struct io_linux *l);

/* io_linux_file.c */
void file_destroy(struct io_file *f);

/* The rows of the table that the other files bring. */
err_t linux_file_open(struct io *io, const char *path, u32 flags, struct io_file **out);
void linux_file_close(struct io *io, struct io_file *f);
err_t linux_file_size(struct io *io, struct io_file *f, u64 *bytes);
err_t linux_file_named(struct io *io, struct io_file *f, bool *named);
u32 linux_file_block_bytes(struct io *io, struct io_file *f);
err_t linux_file_allocate(struct io *io, struct io_file *f, u64 bytes);
err_t linux_file_truncate(struct io *io, struct io_file *f, u64 bytes);
err_t linux_file_lock(struct io *io, struct io_file *f);
err_t linux_file_read_now(struct io *io, struct io_file *f, void *buf, size_t len, u64 offset,
                          size_t *moved);
err_t linux_file_write_now(struct io *io, struct io_file *f, const void *buf, size_t len,
                           u64 offset);
err_t linux_file_sync_now(struct io *io, struct io_file *f);
err_t linux_mkdir(struct io *io, const char *path);
err_t linux_rename(struct io *io, const char *from, const char *to);
err_t linux_link(struct io *io, const char *from, const char *to);
err_t linux_unlink(struct io *io, const char *path);
err_t linux_sync_dir(struct io *io, const char *path);
err_t linux_list(struct io *io, const char *path, void (*each)(void *user, const char *name),
                 void *user);
err_t linux_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes);

err_t linux_listen(struct io *io, const char *host, u16 port,
                   void (*accepted)(void *user, struct io_sock *s), void *user,
                   struct io_listener **out);
void linux_listener_address(struct io_listener *listener, struct io_address *out);
void linux_listener_close(struct io *io, struct io_listener *listener);
void linux_listener_want(struct io *io, struct io_listener *listener, bool on);
err_t linux_connect(struct io *io, const char *host, u16 port, struct io_sock **out);
void linux_sock_handle(struct io *io, struct io_sock *s, io_sock_fn fn, void *user);
void linux_sock_want(struct io *io, struct io_sock *s, u32 events);
i64 linux_recv(struct io *io, struct io_sock *s, void *buf, size_t len);
i64 linux_send(struct io *io, struct io_sock *s, const struct io_vec *vecs, u32 count);
void linux_sock_shutdown(struct io *io, struct io_sock *s);
void linux_sock_close(struct io *io, struct io_sock *s);
void linux_sock_local(struct io_sock *s, struct io_address *out);
void linux_sock_peer(struct io_sock *s, struct io_address *out);
