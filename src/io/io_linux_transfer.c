/* One file operation as a series of system calls. The ring makes them without waiting, a thread one
   after the other; both ask op_rest what to move next and tell op_advance what came of it.

   Happy path: one call moves everything.
   Otherwise: a short transfer is continued where it stopped; a read ends at the end of the file;
   an interrupted call is made again; where RWF_DSYNC is unknown the bytes are written plainly and
   an fdatasync follows; an error ends the operation. */
#include "io/io_linux.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* The kernel reads our vecs as its own. */
static_assert(sizeof(struct io_vec) == sizeof(struct iovec), "io_vec is an iovec");
static_assert(offsetof(struct io_vec, data) == offsetof(struct iovec, iov_base), "the same start");
static_assert(offsetof(struct io_vec, len) == offsetof(struct iovec, iov_len), "the same length");

err_t err_of_errno(int number)
{
    static const struct {
        int number;
        err_t err;
    } rows[] = {
        {ENOSPC, ERR_NO_SPACE},        {EDQUOT, ERR_NO_SPACE},    {ENOENT, ERR_NOT_FOUND},
        {ENOTDIR, ERR_NOT_FOUND},      {EEXIST, ERR_EXISTS},      {ENOTEMPTY, ERR_EXISTS},
        {EACCES, ERR_DENIED},          {EPERM, ERR_DENIED},       {EAGAIN, ERR_AGAIN},
        {EMFILE, ERR_LIMIT},           {ENFILE, ERR_LIMIT},       {EFBIG, ERR_LIMIT},
        {ENOMEM, ERR_NO_MEMORY},       {ENOBUFS, ERR_NO_MEMORY},  {ECANCELED, ERR_CANCELLED},
        {EOPNOTSUPP, ERR_UNSUPPORTED}, {ENOSYS, ERR_UNSUPPORTED}, {EINVAL, ERR_INVALID},
        {ENAMETOOLONG, ERR_INVALID},   {EADDRINUSE, ERR_ADDRESS}, {EADDRNOTAVAIL, ERR_ADDRESS},
        {EAFNOSUPPORT, ERR_ADDRESS},   {ECONNRESET, ERR_CLOSED},  {EPIPE, ERR_CLOSED},
        {ECONNREFUSED, ERR_CLOSED},    {ETIMEDOUT, ERR_CLOSED},   {ENETUNREACH, ERR_CLOSED},
        {EHOSTUNREACH, ERR_CLOSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].number == number) {
            return rows[i].err;
        }
    }
    return ERR_IO; /* EIO, EROFS, ENXIO, and whatever a device invents */
}

void op_begin(struct io_op *op, enum op_kind kind)
{
    assert(op->state == OP_IDLE); /* zeroed, or its done() was entered */
    u64 total = 0;
    for (u32 i = 0; kind != OP_WORK && i < op->vec_count; i++) {
        total += op->vecs[i].len;
    }
    op->kind = kind;
    op->node = (struct list_node){0};
    op->private_[OP_VEC_COPY] = 0;
    op->private_[OP_TOTAL_BYTES] = total;
    op->private_[OP_STAGE] = STAGE_FLAGGED;
    op->private_[OP_MARK] = MARK_NONE;
    op->private_[OP_PIECE] = 0;
    op->private_[OP_MORE] = false;
    op->state = OP_QUEUED;
    if (kind == OP_READ || kind == OP_WRITE) {
        assert(!op->file->direct || op->offset % op->file->block_bytes == 0);
        assert(!op->file->direct || total % op->file->block_bytes == 0);
    }
}

void op_choose_stage(struct io_linux *l, struct io_op *op)
{
    if (op->durable && op->private_[OP_STAGE] == STAGE_FLAGGED &&
        __atomic_load_n(&l->dsync_refused, __ATOMIC_RELAXED)) {
        op->private_[OP_STAGE] = STAGE_PLAIN;
    }
}

/* The first of `count` vecs that hold `bytes`, the last of them cut there. */
static u32 vecs_cut(struct iovec *vecs, u32 count, u64 bytes)
{
    for (u32 i = 0; i < count; i++) {
        if (vecs[i].iov_len >= bytes) {
            vecs[i].iov_len = bytes;
            return i + 1;
        }
        bytes -= vecs[i].iov_len;
    }
    return count;
}

const struct iovec *op_rest(struct io_op *op, u32 *count)
{
    u64 piece = op->private_[OP_PIECE];
    bool whole = piece == 0 || op->moved + piece == op->private_[OP_TOTAL_BYTES];
    u64 skip = op->moved;
    u32 index = 0;
    while (index < op->vec_count && skip >= op->vecs[index].len) {
        skip -= op->vecs[index].len;
        index++;
    }
    assert(index < op->vec_count);
    *count = MIN(op->vec_count - index, (u32)IOV_MAX);
    const struct iovec *rest = (const struct iovec *)&op->vecs[index];
    if (skip == 0 && whole) {
        return rest;
    }
    /* Not from the beginning of a vec to the end of the last: the caller's are not ours to change,
       so cut a copy. */
    struct iovec *copy = (struct iovec *)(uintptr_t)op->private_[OP_VEC_COPY];
    if (copy == NULL) {
        copy = mem_alloc(op->vec_count * sizeof(copy[0]));
        op->private_[OP_VEC_COPY] = (u64)(uintptr_t)copy;
    }
    for (u32 i = 0; i < *count; i++) {
        copy[i] = rest[i];
    }
    copy[0].iov_base = (u8 *)copy[0].iov_base + skip;
    copy[0].iov_len -= skip;
    if (!whole) {
        *count = vecs_cut(copy, *count, piece);
    }
    return copy;
}

void op_drop(struct io_op *op)
{
    mem_free((void *)(uintptr_t)op->private_[OP_VEC_COPY]);
    op->private_[OP_VEC_COPY] = 0;
}

static bool op_over(struct io_op *op, i64 result)
{
    op->result = result;
    op_drop(op);
    return true;
}

/* A short transfer of a direct file may have stopped inside a block, where no direct call can go
   on. A read has met the end of the file there; a write does that block again. */
static bool moved_part_of_block(struct io_op *op, u64 moved_before)
{
    u64 inside = op->moved % op->file->block_bytes;
    if (!op->file->direct || inside == 0) {
        return false;
    }
    if (op->kind == OP_READ) {
        return op_over(op, (i64)op->moved);
    }
    op->moved -= inside;
    return op->moved <= moved_before ? op_over(op, -(i64)ERR_IO) : false;
}

static bool cancel_asked(const struct io_op *op)
{
    return op->private_[OP_MARK] == MARK_CANCEL_ASKED;
}

bool op_advance(struct io_linux *l, struct io_op *op, i64 result)
{
    assert(op->kind == OP_READ || op->kind == OP_WRITE || op->kind == OP_SYNC);
    if (result == -EINTR || result == -EAGAIN) {
        return cancel_asked(op) ? op_over(op, -(i64)ERR_CANCELLED) : false;
    }
    if (result == -EOPNOTSUPP && op->durable && op->private_[OP_STAGE] == STAGE_FLAGGED) {
        __atomic_store_n(&l->dsync_refused, true, __ATOMIC_RELAXED);
        return false;
    }
    if (result < 0) {
        return op_over(op, -(i64)err_of_errno((int)-result));
    }
    if (op->kind == OP_SYNC || op->private_[OP_STAGE] == STAGE_SYNC) {
        return op_over(op, (i64)op->moved);
    }
    u64 total = op->private_[OP_TOTAL_BYTES];
    u64 moved_before = op->moved;
    op->moved += (u64)result;
    assert(op->moved <= total);
    if (op->moved == total && op->private_[OP_STAGE] == STAGE_PLAIN) {
        op->private_[OP_STAGE] = STAGE_SYNC;
        return false;
    }
    if (op->moved == total) {
        return op_over(op, (i64)total);
    }
    if (result == 0) {
        return op_over(op, op->kind == OP_READ ? (i64)op->moved : -(i64)ERR_IO);
    }
    if (moved_part_of_block(op, moved_before)) {
        return true;
    }
    return cancel_asked(op) ? op_over(op, -(i64)ERR_CANCELLED) : false;
}

static i64 call_once(struct io_linux *l, struct io_op *op)
{
    op_choose_stage(l, op);
    ssize_t result;
    if (op->kind == OP_SYNC || op->private_[OP_STAGE] == STAGE_SYNC) {
        result = fdatasync(op->file->fd);
    } else {
        u32 count = 0;
        const struct iovec *rest = op_rest(op, &count);
        off_t at = (off_t)(op->offset + op->moved);
        bool flagged = op->durable && op->private_[OP_STAGE] == STAGE_FLAGGED;
        result = op->kind == OP_READ
                     ? preadv(op->file->fd, rest, (int)count, at)
                     : pwritev2(op->file->fd, rest, (int)count, at, flagged ? RWF_DSYNC : 0);
    }
    return result < 0 ? -(i64)errno : (i64)result;
}

bool op_run_once(struct io_linux *l, struct io_op *op)
{
    return op_advance(l, op, call_once(l, op));
}

void op_run_blocking(struct io_linux *l, struct io_op *op)
{
    while (!op_run_once(l, op)) {
    }
}
