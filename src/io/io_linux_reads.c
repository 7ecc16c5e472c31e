/* Reads give way to durable writes. A producer waits for its write, and one that stands behind
   megabytes of somebody's catch-up waits for all of them: a device serves in the order it was
   asked. Called by io_linux.c at the end of a turn, by whoever collects results, and by the tests.

   Happy path of a read
     1. it waits in `waiting` until the turn ends
     2. reads_release lets it go to the kernel or the threads: whole while nobody writes, otherwise
   a piece of READ_PIECE_BYTES, READ_AHEAD_BYTES of all reads at a time, and none while a durable
        write is under way
     3. reads_came: a piece was read; the rest stands first in `waiting`, until all is there

   Writers that never pause do not stop readers: after READ_HOLD_NS without a read one piece goes
   all the same. With it in the queue of a device a write of 32 KiB takes 0.28 ms instead of 0.11,
   with four reads of 1 MiB 20 ms (docs/performance.md). */
#include "io/io_linux.h"

enum { READ_PIECE_BYTES = 128 * 1024, READ_AHEAD_BYTES = 256 * 1024 };
static const u64 WRITTEN_NS =
    50u * 1000u * 1000u; /* so long after a durable write somebody writes */
static const u64 READ_HOLD_NS = 1000u * 1000u;

static void reads_hold_over(struct io_timer *t)
{
    /* The turn's end looks whether one may go; the timer only made the turn. */
}

void reads_init(struct reads *r)
{
    *r = (struct reads){.hold.fired = reads_hold_over};
    list_init(&r->waiting);
}

void reads_add(struct reads *r, struct io_op *op)
{
    list_push_back(&r->waiting, &op->node);
}

void reads_write_begins(struct reads *r, u64 now_ns)
{
    r->writes++;
    r->written_ns = now_ns;
    r->written = true;
}

void reads_write_ends(struct reads *r, u64 now_ns)
{
    assert(r->writes > 0);
    r->writes--;
    r->written_ns = now_ns;
}

static bool somebody_writes(const struct reads *r, u64 now_ns)
{
    return r->writes > 0 || (r->written && now_ns - r->written_ns < WRITTEN_NS);
}

u64 reads_allowed(const struct reads *r, u64 now_ns)
{
    if (!somebody_writes(r, now_ns)) {
        return UINT64_MAX;
    }
    if (r->writes > 0) {
        bool held_long = r->bytes == 0 && now_ns - r->left_ns >= READ_HOLD_NS;
        return held_long ? READ_PIECE_BYTES : 0;
    }
    return r->bytes < READ_AHEAD_BYTES ? READ_PIECE_BYTES : 0;
}

/* Moves what may go to `queued`; a timer when nothing else would make a turn. */
void reads_release(struct io_linux *l)
{
    struct reads *r = &l->reads;
    u64 now_ns = l->io.now_ns;
    u64 allowed = 0;
    while (!list_empty(&r->waiting) && (allowed = reads_allowed(r, now_ns)) > 0) {
        struct io_op *op = CONTAINER_OF(list_pop_front(&r->waiting), struct io_op, node);
        u64 piece = MIN(allowed, op->private_[OP_TOTAL_BYTES] - op->moved);
        op->private_[OP_PIECE] = piece;
        r->bytes += piece;
        r->left_ns = now_ns;
        list_push_back(&l->queued, &op->node);
    }
    if (!list_empty(&r->waiting) && r->bytes == 0 && !heap_linked(&r->hold.node)) {
        io_timer_start(&l->io, &r->hold, r->left_ns + READ_HOLD_NS);
    }
}

/* A read that had been let go is back: over, or with a piece of it. */
void reads_came(struct reads *r, struct io_op *op)
{
    assert(r->bytes >= op->private_[OP_PIECE]);
    r->bytes -= op->private_[OP_PIECE];
    op->private_[OP_PIECE] = 0;
}

void reads_add_rest(struct reads *r, struct io_op *op)
{
    op->state = OP_QUEUED;
    list_push_front(&r->waiting, &op->node);
}
