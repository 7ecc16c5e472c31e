/* File operations through io_uring.

   Happy path of an operation:
     1. it waits in io_linux.queued until the turn ends;
     2. ring_submit writes its entry, one system call submits all entries of the turn;
     3. the ring's descriptor becomes readable in epoll; ring_collect takes the result;
     4. the operation moves to io_linux.finished, poll delivers it.
   Failures: the ring is full - the operation stays in the list and leaves in a later turn; a short
   transfer goes back to the head of the list, a read to those that wait (io_linux_reads.c);
   io_uring is missing or forbidden - ring_init says so and the threads do the work.

   Never more operations are in the kernel than RING_ENTRIES, and the completion ring has twice as
   many places, so that cancellations fit too and it never overflows. */
#include "io/io_linux.h"

#include <errno.h>

/* Results are posted when the loop enters the kernel next, or end its sleep; they do not interrupt
   it while it computes. Older kernels know less. DEFER_TASKRUN was tried: with it the ring's
   descriptor does not wake epoll, and an eventfd would be a third system call a write. */
static const u32 setup_flags[] = {
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    0,
};

static void ring_ready(struct io_linux *l, struct source *s, u32 epoll_events)
{
    /* poll collects the ring in every turn; the event only ended the sleep. */
}

/* A filter may allow the setup and forbid the rest, an old kernel may lack an operation. */
static int ring_try(struct io_uring *ring)
{
    static const u8 needed[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                IORING_OP_ASYNC_CANCEL};
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool complete = probe != NULL;
    for (size_t i = 0; complete && i < ARRAY_LEN(needed); i++) {
        complete = io_uring_opcode_supported(probe, needed[i]) != 0;
    }
    io_uring_free_probe(probe);
    if (!complete) {
        return -ENOSYS;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    assert(sqe != NULL);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, NULL);
    int result = io_uring_submit_and_wait(ring, 1);
    if (result < 0) {
        return result;
    }
    struct io_uring_cqe *cqe = NULL;
    result = io_uring_peek_cqe(ring, &cqe);
    if (result == 0) {
        io_uring_cqe_seen(ring, cqe);
    }
    return result;
}

err_t ring_init(struct io_linux *l)
{
    int result = -EINVAL;
    for (size_t i = 0; result == -EINVAL && i < ARRAY_LEN(setup_flags); i++) {
        struct io_uring_params params = {.flags = setup_flags[i]};
        result = io_uring_queue_init_params(RING_ENTRIES, &l->ring, &params);
    }
    if (result < 0) {
        return err_of_errno(-result);
    }
    result = ring_try(&l->ring);
    err_t err = result < 0 ? err_of_errno(-result) : OK;
    if (err == OK) {
        l->ring_source.ready = ring_ready;
        err = source_add(l, l->ring.ring_fd, &l->ring_source, EPOLLIN);
    }
    if (err != OK) {
        io_uring_queue_exit(&l->ring);
    }
    return err;
}

void ring_fini(struct io_linux *l)
{
    /* The kernel may still write into buffers: wait for it. The operations are not looked at, their
       owners may have forgotten them. */
    while (l->ring_in_flight > 0) {
        struct io_uring_cqe *cqe = NULL;
        int result = io_uring_wait_cqe(&l->ring, &cqe);
        if (result == -EINTR) {
            continue;
        }
        if (result < 0) {
            break;
        }
        l->ring_in_flight -= io_uring_cqe_get_data(cqe) != NULL;
        io_uring_cqe_seen(&l->ring, cqe);
    }
    io_uring_queue_exit(&l->ring);
}

/* Hands the entries written so far to the kernel. EBUSY and EAGAIN leave them for the next turn. */
static void ring_enter(struct io_linux *l)
{
    int result;
    do {
        result = io_uring_submit(&l->ring);
    } while (result == -EINTR);
    assert(result >= 0 || result == -EBUSY || result == -EAGAIN);
}

static struct io_uring_sqe *ring_entry(struct io_linux *l)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);
    if (sqe == NULL) {
        ring_enter(l);
        sqe = io_uring_get_sqe(&l->ring);
    }
    return sqe;
}

static void ring_write_entry(struct io_linux *l, struct io_uring_sqe *sqe, struct io_op *op)
{
    op_choose_stage(l, op);
    if (op->kind == OP_SYNC || op->private_[OP_STAGE] == STAGE_SYNC) {
        io_uring_prep_fsync(sqe, op->file->fd, IORING_FSYNC_DATASYNC);
    } else {
        u32 count = 0;
        const struct iovec *rest = op_rest(op, &count);
        u64 at = op->offset + op->moved;
        bool flagged = op->durable && op->private_[OP_STAGE] == STAGE_FLAGGED;
        if (op->kind == OP_READ) {
            io_uring_prep_readv(sqe, op->file->fd, rest, count, at);
        } else {
            io_uring_prep_writev2(sqe, op->file->fd, rest, count, at, flagged ? RWF_DSYNC : 0);
        }
    }
    io_uring_sqe_set_data(sqe, op);
}

void ring_submit(struct io_linux *l)
{
    while (!list_empty(&l->queued) && l->ring_in_flight < RING_ENTRIES) {
        struct io_uring_sqe *sqe = ring_entry(l);
        if (sqe == NULL) {
            break;
        }
        struct io_op *op = CONTAINER_OF(list_pop_front(&l->queued), struct io_op, node);
        assert(op->state == OP_QUEUED);
        ring_write_entry(l, sqe, op);
        op->state = OP_RUNNING;
        l->ring_in_flight++;
    }
    if (io_uring_sq_ready(&l->ring) > 0) {
        ring_enter(l);
    }
}

static bool ring_holds_back(const struct io_linux *l)
{
    unsigned flags = __atomic_load_n(l->ring.sq.kflags, __ATOMIC_ACQUIRE);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool ring_has_results(const struct io_linux *l)
{
    return io_uring_cq_ready(&l->ring) > 0 || ring_holds_back(l);
}

void ring_collect(struct io_linux *l)
{
    if (ring_holds_back(l)) {
        int result = io_uring_get_events(&l->ring);
        assert(result >= 0 || result == -EINTR || result == -EBUSY);
    }
    unsigned head;
    unsigned count = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&l->ring, head, cqe)
    {
        count++;
        struct io_op *op = io_uring_cqe_get_data(cqe);
        if (op == NULL) {
            continue; /* the answer to a cancellation; the operation itself answers too */
        }
        assert(op->state == OP_RUNNING);
        assert(l->ring_in_flight > 0);
        l->ring_in_flight--;
        if (op_advance(l, op, cqe->res)) {
            op_finish(l, op, op->result);
        } else if (op->kind == OP_READ) {
            reads_came(&l->reads, op);
            reads_add_rest(&l->reads, op);
        } else {
            op->state = OP_QUEUED;
            list_push_front(&l->queued, &op->node);
        }
    }
    io_uring_cq_advance(&l->ring, count);
}

void ring_cancel(struct io_linux *l, struct io_op *op)
{
    assert(op->state == OP_RUNNING);
    op->private_[OP_MARK] = MARK_CANCEL_ASKED;
    struct io_uring_sqe *sqe = ring_entry(l);
    if (sqe == NULL) {
        return; /* it ends by itself */
    }
    io_uring_prep_cancel(sqe, op, 0);
    io_uring_sqe_set_data(sqe, NULL);
}
