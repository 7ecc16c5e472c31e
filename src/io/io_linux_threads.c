/* Threads below the border: io_work always, file operations where io_uring is forbidden.

   Happy path of an operation:
     1. threads_give appends it to the queue of its group, wakes or creates a thread;
     2. the thread runs it without holding the lock;
     3. it appends it to io_linux.back and, when the loop was not told yet, writes the eventfd;
     4. the loop moves all of io_linux.back to io_linux.finished, poll delivers; a read of which a
        piece has come waits for its next (io_linux_reads.c).
   Failure: no thread can be created - if the group has none at all, the loop does the work itself:
   slow, but nothing is lost.

   Bells (io_bell_ring) come the same way: a list under the same lock, told by the same eventfd.

   The groups: `writer` has one thread, so that durable writes reach the disk in the order they were
   submitted; `files` reads and does the rest; `workers` runs io_work. A thread is created when an
   operation finds nobody idle, has every signal blocked, and stays. */
#include "io/io_linux.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const u64 LOOP_SLICE_NS = 200 * 1000;
static const u64 WORKER_SLICE_NS = 100 * 1000 * 1000; /* the longest the kernel grants */

void threads_init(struct threads *t, struct io_linux *l, u32 count_max)
{
    assert(count_max >= 1 && count_max <= THREADS_MAX);
    *t = (struct threads){.l = l, .count_max = count_max};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->ready, NULL);
    list_init(&t->queue);
}

/* Operations that did not begin are forgotten; one that runs is waited for. */
void threads_fini(struct threads *t)
{
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_broadcast(&t->ready);
    pthread_mutex_unlock(&t->lock);
    for (u32 i = 0; i < t->count; i++) {
        pthread_join(t->thread[i], NULL);
    }
    pthread_cond_destroy(&t->ready);
    pthread_mutex_destroy(&t->lock);
}

static void run_op(struct io_linux *l, struct io_op *op)
{
    op->private_[OP_MORE] = false;
    if (op->kind == OP_WORK) {
        op->work(op->arg);
        op->result = 0;
    } else if (op->private_[OP_PIECE] != 0) {
        op->private_[OP_MORE] = !op_run_once(l, op);
    } else {
        op_run_blocking(l, op);
    }
}

/* A thread, or the loop in its place, is done with it. */
static void op_came_back(struct io_linux *l, struct io_op *op)
{
    if (op->private_[OP_MORE] != 0) {
        op->private_[OP_MARK] = MARK_NONE;
        reads_came(&l->reads, op);
        reads_add_rest(&l->reads, op);
    } else {
        op_finish(l, op, op->result);
    }
}

/* Under back_lock, which it gives up. */
static void tell_loop(struct io_linux *l)
{
    bool must_tell = !l->back_told;
    l->back_told = true;
    pthread_mutex_unlock(&l->back_lock);
    if (must_tell) {
        u64 one = 1;
        ssize_t written = write(l->back_fd, &one, sizeof(one));
        assert(written == sizeof(one));
    }
}

static void give_back(struct io_linux *l, struct io_op *op)
{
    pthread_mutex_lock(&l->back_lock);
    list_push_back(&l->back, &op->node);
    pthread_cond_signal(&l->came);
    tell_loop(l);
}

/* Only the loop waits, and it moves nothing out of `back` meanwhile. */
void threads_wait(struct io_linux *l, struct io_op *op)
{
    pthread_mutex_lock(&l->back_lock);
    while (!list_linked(&op->node)) {
        pthread_cond_wait(&l->came, &l->back_lock);
    }
    list_remove(&op->node);
    pthread_mutex_unlock(&l->back_lock);
}

/* Asks the kernel for slices of this length. Nobody's share of the cores changes by it: who wishes
   for less goes first when he wakes. Kernels before 6.12 take no wish, and let a sleeper go first
   who wakes. A policy that the broker was started with (chrt, systemd) stays. */
static void slices_ask(u32 policy, u64 slice_ns)
{
    if (sched_getscheduler(0) != SCHED_OTHER) {
        return;
    }
    struct sched_attr_slice {
        u32 size, policy;
        u64 flags;
        i32 nice;
        u32 priority;
        u64 runtime, deadline, period;
    } attr = {
        .size = 48, .policy = policy, .nice = getpriority(PRIO_PROCESS, 0), .runtime = slice_ns};
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

/* The loop has an acknowledgement or an answer to send whenever it wakes. Threads it creates
   inherit its slices. See docs/decisions/0026-short-slices-for-the-loop.md. */
void loop_slices_shorten(void)
{
    slices_ask(SCHED_OTHER, LOOP_SLICE_NS);
}

/* What works for milliseconds gives the core up as soon as somebody wakes who needs it for
   microseconds: the loop, and the kernel's ordinary thread that completes durable writes. Of equals
   one durable write in a hundred waited 3 ms for a worker to use up its slice. */
static void worker_slices_lengthen(void)
{
    slices_ask(SCHED_BATCH, WORKER_SLICE_NS);
}

static void *thread_main(void *arg)
{
    struct threads *t = arg;
    if (t == &t->l->workers) {
        worker_slices_lengthen();
    }
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (t->queued == 0 && !t->stopping) {
            t->idle++;
            pthread_cond_wait(&t->ready, &t->lock);
            t->idle--;
        }
        if (t->stopping) {
            break;
        }
        struct io_op *op = CONTAINER_OF(list_pop_front(&t->queue), struct io_op, node);
        t->queued--;
        op->private_[OP_MARK] = MARK_BEGUN;
        pthread_mutex_unlock(&t->lock);
        run_op(t->l, op);
        give_back(t->l, op);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void thread_create(struct threads *t)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread inherits the mask */
    if (pthread_create(&t->thread[t->count], &attr, thread_main, t) == 0) {
        t->count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

void threads_give(struct threads *t, struct io_op *op)
{
    assert(op->state == OP_QUEUED);
    op->state = OP_RUNNING;
    pthread_mutex_lock(&t->lock);
    list_push_back(&t->queue, &op->node);
    t->queued++;
    if (t->queued > t->idle && t->count < t->count_max) {
        thread_create(t);
    }
    bool nobody = t->count == 0;
    if (nobody) {
        list_remove(&op->node);
        t->queued--;
    }
    pthread_cond_signal(&t->ready);
    pthread_mutex_unlock(&t->lock);
    if (nobody) {
        run_op(t->l, op);
        op_came_back(t->l, op);
    }
}

bool threads_take_back(struct threads *t, struct io_op *op)
{
    pthread_mutex_lock(&t->lock);
    bool waits = op->private_[OP_MARK] != MARK_BEGUN;
    if (waits) {
        list_remove(&op->node);
        t->queued--;
    }
    pthread_mutex_unlock(&t->lock);
    return waits;
}

struct threads *threads_of(struct io_linux *l, const struct io_op *op)
{
    if (op->kind == OP_WORK) {
        return &l->workers;
    }
    return op->kind == OP_WRITE && op->durable ? &l->writer : &l->files;
}

void threads_submit(struct io_linux *l)
{
    struct list_node *n;
    while ((n = list_pop_front(&l->queued)) != NULL) {
        struct io_op *op = CONTAINER_OF(n, struct io_op, node);
        threads_give(threads_of(l, op), op);
    }
}

/* ---- bells ----------------------------------------------------------------------------------- */

void linux_bell_ring(struct io *io, struct io_bell *b)
{
    struct io_linux *l = linux_of(io);
    pthread_mutex_lock(&l->back_lock);
    if (!list_linked(&b->node)) {
        list_push_back(&l->rung, &b->node);
    }
    tell_loop(l);
}

void linux_bell_remove(struct io *io, struct io_bell *b)
{
    struct io_linux *l = linux_of(io);
    pthread_mutex_lock(&l->back_lock);
    if (list_linked(&b->node)) {
        list_remove(&b->node);
    }
    pthread_mutex_unlock(&l->back_lock);
}

/* One at a time: a bell that rings while it is heard is heard again, in the next turn, and one that
   another's rang() removes is not. */
static void bells_hear(struct io_linux *l)
{
    pthread_mutex_lock(&l->back_lock);
    u32 count = 0;
    LIST_EACH (&l->rung, n) {
        (void)n;
        count++;
    }
    while (count > 0 && !list_empty(&l->rung)) {
        struct io_bell *b = CONTAINER_OF(list_pop_front(&l->rung), struct io_bell, node);
        count--;
        pthread_mutex_unlock(&l->back_lock);
        b->rang(b);
        pthread_mutex_lock(&l->back_lock);
    }
    pthread_mutex_unlock(&l->back_lock);
}

void threads_collect(struct io_linux *l, struct source *s, u32 epoll_events)
{
    u64 count;
    ssize_t got = read(l->back_fd, &count, sizeof(count));
    assert(got == sizeof(count) || errno == EAGAIN || errno == EINTR);
    struct list back;
    list_init(&back);
    pthread_mutex_lock(&l->back_lock);
    list_splice(&back, &l->back);
    l->back_told = false;
    pthread_mutex_unlock(&l->back_lock);
    struct list_node *n;
    while ((n = list_pop_front(&back)) != NULL) {
        op_came_back(l, CONTAINER_OF(n, struct io_op, node));
    }
    bells_hear(l);
}
