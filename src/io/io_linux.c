/* The real world for one loop: epoll for sockets, io_uring or threads for files, a signalfd, the
   clocks. serve creates it, main destroys it; create it on the thread that will run it.

   poll, the first step of a turn:
     1. what was asked for since the last turn leaves (nothing may sleep on a request that is still
        here);
     2. one epoll call, which sleeps until the deadline if nothing is ready;
     3. the clocks are sampled;
     4. results of the ring and of the threads are collected and delivered, each done() once;
     5. socket events are delivered to what is still open and still wants them.
   submit, the last step: epoll is told which interests changed, closed sockets are freed, queued
   file operations leave together, of reads as many as may (io_linux_reads.c). An idle loop holds
   one sleeping thread, no periodic timer. */
#include "io/io_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const struct io_backend linux_backend;

/* ---- create and destroy -------------------------------------------------------------------- */

err_t source_add(struct io_linux *l, int fd, struct source *s, u32 epoll_events)
{
    assert(s->ready != NULL);
    struct epoll_event event = {.events = epoll_events, .data.ptr = s};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? OK : err_of_errno(errno);
}

static u32 worker_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors <= 2 ? 2 : (u32)MIN(processors - 1, (long)THREADS_MAX);
}

static err_t open_descriptors(struct io_linux *l)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        return err_of_errno(errno);
    }
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    l->back_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->back_fd < 0) {
        return err_of_errno(errno);
    }
    l->back_source.ready = threads_collect;
    return source_add(l, l->back_fd, &l->back_source, EPOLLIN);
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void sample_clocks(struct io_linux *l)
{
    struct timespec mono;
    struct timespec wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    l->io.now_ns = (u64)mono.tv_sec * 1000000000u + (u64)mono.tv_nsec;
    l->io.wall_ms = (i64)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    diag_set_now(l->io.now_ns, l->io.wall_ms);
}

static void linux_destroy(struct io *io)
{
    struct io_linux *l = linux_of(io);
    threads_fini(&l->writer);
    threads_fini(&l->files);
    threads_fini(&l->workers);
    pthread_mutex_destroy(&l->back_lock);
    pthread_cond_destroy(&l->came);
    if (l->uses_ring) {
        ring_fini(l);
    }
    struct list_node *n;
    while ((n = list_pop_front(&l->closed_files)) != NULL) {
        file_destroy(CONTAINER_OF(n, struct io_file, node));
    }
    sockets_fini(l);
    close_if_open(l->signal_fd);
    close_if_open(l->back_fd);
    close_if_open(l->spare_fd);
    close_if_open(l->epoll_fd);
    mem_free(l);
}

err_t io_linux_create(const struct io_linux_params *params, struct io **out)
{
    struct io_linux *l = mem_alloc(sizeof(*l));
    io_init_base(&l->io, &linux_backend);
    l->refuse_direct = params->refuse_direct;
    l->epoll_fd = l->spare_fd = l->back_fd = l->signal_fd = -1;
    reads_init(&l->reads);
    list_init(&l->queued);
    list_init(&l->finished);
    list_init(&l->closed_files);
    list_init(&l->back);
    list_init(&l->rung);
    list_init(&l->sockets);
    list_init(&l->changed);
    list_init(&l->dead);
    list_init(&l->listeners);
    list_init(&l->dead_listeners);
    pthread_mutex_init(&l->back_lock, NULL);
    pthread_cond_init(&l->came, NULL);
    threads_init(&l->writer, l, 1);
    threads_init(&l->files, l, FILE_THREADS);
    threads_init(&l->workers, l, worker_count());
    loop_slices_shorten();
    signal(SIGPIPE, SIG_IGN); /* a peer that is gone is a result of send, not a signal */
    sample_clocks(l);
    err_t err = open_descriptors(l);
    if (err == OK && params->files != IO_FILES_THREADS) {
        err_t ring_err = ring_init(l);
        l->uses_ring = ring_err == OK;
        if (params->files == IO_FILES_URING) {
            err = ring_err;
        }
    }
    if (err != OK) {
        linux_destroy(&l->io);
        return err;
    }
    *out = &l->io;
    return OK;
}

bool io_linux_busy(const struct io *io)
{
    assert(io->backend->destroy == linux_destroy);
    const struct io_linux *l = (const struct io_linux *)(const void *)io;
    return l->op_count > 0;
}

const char *io_files_mode_name(const struct io *io)
{
    if (io->backend != &linux_backend) {
        return "simulated";
    }
    const struct io_linux *l = (const struct io_linux *)(const void *)io;
    return l->uses_ring ? "io_uring" : "threads";
}

/* ---- operations ---------------------------------------------------------------------------- */

void op_finish(struct io_linux *l, struct io_op *op, i64 result)
{
    assert(op->state == OP_QUEUED || op->state == OP_RUNNING);
    op->result = result;
    op->state = OP_FINISHED;
    list_push_back(&l->finished, &op->node);
    if (op->kind == OP_WORK) {
        return;
    }
    if (op->kind == OP_READ) {
        reads_came(&l->reads, op);
    } else if (op->durable) {
        reads_write_ends(&l->reads, l->io.now_ns);
    }
    struct io_file *f = op->file;
    assert(f->op_count > 0);
    f->op_count--;
    if (f->closed && f->op_count == 0) {
        list_remove(&f->node);
        file_destroy(f);
    }
}

static void deliver_finished(struct io_linux *l)
{
    /* What a done() finishes by cancelling it comes in the next turn. */
    struct list to_deliver;
    list_init(&to_deliver);
    list_splice(&to_deliver, &l->finished);
    struct list_node *n;
    while ((n = list_pop_front(&to_deliver)) != NULL) {
        struct io_op *op = CONTAINER_OF(n, struct io_op, node);
        assert(op->state == OP_FINISHED);
        op->state = OP_IDLE;
        l->op_count--;
        if (op->kind == OP_READ && op->result > 0) {
            metric_add_shared(METRIC_io_file_read_bytes_total, (u64)op->result);
        }
        op->done(op, op->result);
    }
}

static void begin_transfer(struct io *io, struct io_op *op, enum op_kind kind)
{
    struct io_linux *l = linux_of(io);
    op_begin(op, kind);
    l->op_count++;
    assert(!op->file->closed);
    op->file->op_count++;
    if (op->durable) {
        reads_write_begins(&l->reads, l->io.now_ns);
    }
    if (kind != OP_SYNC && op->private_[OP_TOTAL_BYTES] == 0) {
        op_finish(l, op, 0);
        return;
    }
    if (kind == OP_READ) {
        reads_add(&l->reads, op);
    } else {
        list_push_back(&l->queued, &op->node);
    }
}

static void linux_file_readv(struct io *io, struct io_op *op)
{
    begin_transfer(io, op, OP_READ);
}

static void linux_file_writev(struct io *io, struct io_op *op)
{
    begin_transfer(io, op, OP_WRITE);
}

static void linux_file_sync(struct io *io, struct io_op *op)
{
    begin_transfer(io, op, OP_SYNC);
}

static void linux_work(struct io *io, struct io_op *op)
{
    struct io_linux *l = linux_of(io);
    op_begin(op, OP_WORK);
    l->op_count++;
    threads_give(&l->workers, op);
}

static void linux_work_end(struct io *io, struct io_op *op)
{
    struct io_linux *l = linux_of(io);
    assert(op->kind == OP_WORK);
    assert(op->state == OP_RUNNING || op->state == OP_FINISHED);
    if (op->state == OP_FINISHED) {
        list_remove(&op->node);
    } else if (!threads_take_back(&l->workers, op)) {
        threads_wait(l, op);
    }
    op->state = OP_IDLE;
    l->op_count--;
}

static void linux_cancel(struct io *io, struct io_op *op)
{
    struct io_linux *l = linux_of(io);
    bool begun = true;
    if (op->state == OP_QUEUED) {
        list_remove(&op->node);
        begun = false;
    } else if (op->state == OP_RUNNING && (op->kind == OP_WORK || !l->uses_ring)) {
        begun = !threads_take_back(threads_of(l, op), op);
    } else if (op->state == OP_RUNNING) {
        ring_cancel(l, op);
    }
    if (!begun) {
        op_drop(op);
        op_finish(l, op, -(i64)ERR_CANCELLED);
    }
}

/* ---- a turn -------------------------------------------------------------------------------- */

static int wait_for_events(struct io_linux *l, u64 deadline_ns)
{
    u64 wait_ns = deadline_ns;
    if (!list_empty(&l->finished) || (l->uses_ring && ring_has_results(l))) {
        wait_ns = 0;
    } else if (deadline_ns != 0 && deadline_ns != UINT64_MAX) {
        u64 now_ns = io_clock_ns();
        wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
    if (!l->no_pwait2) {
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                                .tv_nsec = (long)(wait_ns % 1000000000u)};
        int count = epoll_pwait2(l->epoll_fd, l->events, (int)EVENTS_MAX,
                                 wait_ns == UINT64_MAX ? NULL : &wait, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        l->no_pwait2 = true;
    }
    /* Whole milliseconds, rounded up: a timer may be late, never early. */
    u64 wait_ms = wait_ns == UINT64_MAX ? 0 : MIN((wait_ns + 999999) / 1000000, (u64)INT32_MAX);
    return epoll_wait(l->epoll_fd, l->events, (int)EVENTS_MAX,
                      wait_ns == UINT64_MAX ? -1 : (int)wait_ms);
}

static void linux_submit(struct io *io)
{
    struct io_linux *l = linux_of(io);
    sockets_settle(l);
    reads_release(l);
    if (l->uses_ring) {
        ring_submit(l);
    } else {
        threads_submit(l);
    }
}

static void linux_poll(struct io *io, u64 deadline_ns)
{
    struct io_linux *l = linux_of(io);
    linux_submit(io);
    int count = wait_for_events(l, deadline_ns);
    assert(count >= 0 || errno == EINTR);
    sample_clocks(l);
    if (l->uses_ring) {
        ring_collect(l);
    }
    for (int i = 0; i < count; i++) {
        struct source *s = l->events[i].data.ptr;
        if (s == &l->back_source) {
            s->ready(l, s, l->events[i].events);
        }
    }
    deliver_finished(l);
    for (int i = 0; i < count; i++) {
        struct source *s = l->events[i].data.ptr;
        if (s != &l->back_source) {
            s->ready(l, s, l->events[i].events);
        }
    }
}

/* ---- chance and signals -------------------------------------------------------------------- */

static void linux_random(struct io *io, void *buf, size_t len)
{
    u8 *at = buf;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        assert(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}

static const struct {
    int number;
    enum io_signal signal;
} signal_rows[] = {
    {SIGTERM, IO_SIGNAL_STOP},
    {SIGINT, IO_SIGNAL_STOP},
    {SIGHUP, IO_SIGNAL_RELOAD},
    {SIGUSR1, IO_SIGNAL_STATS},
};

static void signals_ready(struct io_linux *l, struct source *s, u32 epoll_events)
{
    struct signalfd_siginfo info;
    while (read(l->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        for (size_t i = 0; i < ARRAY_LEN(signal_rows); i++) {
            if (signal_rows[i].number == (int)info.ssi_signo) {
                l->on_signal(l->signal_user, signal_rows[i].signal);
            }
        }
    }
}

static void linux_signals(struct io *io, void (*on_signal)(void *user, enum io_signal s),
                          void *user)
{
    struct io_linux *l = linux_of(io);
    assert(l->signal_fd < 0); /* once */
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(signal_rows); i++) {
        sigaddset(&set, signal_rows[i].number);
    }
    l->on_signal = on_signal;
    l->signal_user = user;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    l->signal_source.ready = signals_ready;
    if (fd < 0 || source_add(l, fd, &l->signal_source, EPOLLIN) != OK) {
        close_if_open(fd);
        return; /* out of descriptors at start: signals keep their default, they end the process */
    }
    l->signal_fd = fd;
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* for good, see io.h */
}

static const struct io_backend linux_backend = {
    .poll = linux_poll,
    .submit = linux_submit,
    .destroy = linux_destroy,
    .random = linux_random,
    .work = linux_work,
    .work_end = linux_work_end,
    .cancel = linux_cancel,
    .signals = linux_signals,
    .bell_ring = linux_bell_ring,
    .bell_remove = linux_bell_remove,
    .file_open = linux_file_open,
    .file_close = linux_file_close,
    .file_size = linux_file_size,
    .file_named = linux_file_named,
    .file_block_bytes = linux_file_block_bytes,
    .file_allocate = linux_file_allocate,
    .file_truncate = linux_file_truncate,
    .file_lock = linux_file_lock,
    .file_read_now = linux_file_read_now,
    .file_write_now = linux_file_write_now,
    .file_sync_now = linux_file_sync_now,
    .mkdir = linux_mkdir,
    .rename = linux_rename,
    .link = linux_link,
    .unlink = linux_unlink,
    .sync_dir = linux_sync_dir,
    .list = linux_list,
    .space = linux_space,
    .file_readv = linux_file_readv,
    .file_writev = linux_file_writev,
    .file_sync = linux_file_sync,
    .listen = linux_listen,
    .listener_address = linux_listener_address,
    .listener_close = linux_listener_close,
    .listener_want = linux_listener_want,
    .connect = linux_connect,
    .sock_handle = linux_sock_handle,
    .sock_want = linux_sock_want,
    .recv = linux_recv,
    .send = linux_send,
    .sock_shutdown = linux_sock_shutdown,
    .sock_close = linux_sock_close,
    .sock_local = linux_sock_local,
    .sock_peer = linux_sock_peer,
};
