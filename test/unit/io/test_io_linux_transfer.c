/* One operation as a series of system calls, without any: each test plays the kernel, an array of
   results, and looks at what is asked for next and how it ends. */
#include "../unit.h"
#include "io/io_linux.h"

#include <errno.h>

static u8 memory[64 * 1024];

/* What the kernel says to each call in turn, and how it all ends. */
struct play {
    const char *name;
    enum op_kind kind;
    bool durable;
    bool direct;
    i64 says[6];
    u32 say_count;
    i64 result;
};

static const struct play plays[] = {
    {"all at once", OP_READ, false, false, {16384}, 1, 16384},
    {"in three parts", OP_READ, false, false, {100, 16000, 284}, 3, 16384},
    {"a read ends at the end of the file", OP_READ, false, false, {100, 0}, 2, 100},
    {"an empty file", OP_READ, false, false, {0}, 1, 0},
    {"interrupted", OP_READ, false, false, {-EINTR, 16384}, 2, 16384},
    {"told to come again", OP_WRITE, false, false, {-EAGAIN, 16384}, 2, 16384},
    {"a broken medium", OP_READ, false, false, {-EIO}, 1, -(i64)ERR_IO},
    {"broken in the middle", OP_WRITE, true, false, {8192, -EIO}, 2, -(i64)ERR_IO},
    {"full in the middle", OP_WRITE, true, false, {8192, -ENOSPC}, 2, -(i64)ERR_NO_SPACE},
    {"over quota", OP_WRITE, true, false, {-EDQUOT}, 1, -(i64)ERR_NO_SPACE},
    {"read only", OP_WRITE, true, false, {-EROFS}, 1, -(i64)ERR_IO},
    {"a write that moves nothing", OP_WRITE, false, false, {0}, 1, -(i64)ERR_IO},
    {"durable by its flag", OP_WRITE, true, false, {16384}, 1, 16384},
    {"durable in two parts", OP_WRITE, true, false, {4096, 12288}, 2, 16384},
    {"flag unknown: plain, then sync", OP_WRITE, true, false, {-EOPNOTSUPP, 16384, 0}, 3, 16384},
    {"plain and short, then sync",
     OP_WRITE,
     true,
     false,
     {-EOPNOTSUPP, 4096, 12288, -EINTR, 0},
     5,
     16384},
    {"the sync fails", OP_WRITE, true, false, {-EOPNOTSUPP, 16384, -EIO}, 3, -(i64)ERR_IO},
    {"direct, short at a block", OP_READ, false, true, {8192, 0}, 2, 8192},
    {"direct, the file ends inside a block", OP_READ, false, true, {8292}, 1, 8292},
    {"a direct write stops inside a block", OP_WRITE, true, true, {4196, 12288}, 2, 16384},
    {"a direct write makes no way", OP_WRITE, true, true, {512}, 1, -(i64)ERR_IO},
    {"a sync", OP_SYNC, false, false, {0}, 1, 0},
    {"a sync that fails", OP_SYNC, false, false, {-EIO}, 1, -(i64)ERR_IO},
};

static void plays_end_as_they_should(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(plays); i++) {
        const struct play *p = &plays[i];
        struct io_linux l = {0};
        struct io_file f = {.direct = p->direct, .block_bytes = 4096};
        const struct io_vec vecs[] = {{memory, 100}, {memory + 100, 0}, {memory + 100, 16284}};
        struct io_op op = {
            .file = &f, .vecs = vecs, .vec_count = 3, .durable = p->durable, .offset = 4096};
        op_begin(&op, p->kind);
        bool over = false;
        for (u32 n = 0; n < p->say_count; n++) {
            assert_false(over);
            op_choose_stage(&l, &op);
            if (p->kind != OP_SYNC && op.private_[OP_STAGE] != STAGE_SYNC) {
                u32 count = 0;
                const struct iovec *rest = op_rest(&op, &count);
                assert_true((u8 *)rest[0].iov_base == memory + op.moved);
                u64 asked = 0;
                for (u32 v = 0; v < count; v++) {
                    asked += rest[v].iov_len;
                }
                assert_int_equal(asked, 16384 - op.moved);
            }
            over = op_advance(&l, &op, p->says[n]);
        }
        if (!over || op.result != p->result) {
            fail_msg("%s: over %d, result %lld", p->name, over, (long long)op.result);
        }
        assert_int_equal(op.private_[OP_VEC_COPY], 0); /* freed */
    }
}

static void a_refused_flag_is_remembered(void **state)
{
    struct io_linux l = {0};
    struct io_file f = {.block_bytes = 4096};
    const struct io_vec vec = {memory, 4096};
    struct io_op op = {.file = &f, .vecs = &vec, .vec_count = 1, .durable = true};
    op_begin(&op, OP_WRITE);
    op_choose_stage(&l, &op);
    assert_false(op_advance(&l, &op, -EOPNOTSUPP));
    struct io_op next = {.file = &f, .vecs = &vec, .vec_count = 1, .durable = true};
    op_begin(&next, OP_WRITE);
    op_choose_stage(&l, &next);
    assert_int_equal(next.private_[OP_STAGE], STAGE_PLAIN);
    /* A write that is not durable asks for nothing. */
    struct io_op plain = {.file = &f, .vecs = &vec, .vec_count = 1};
    op_begin(&plain, OP_WRITE);
    op_choose_stage(&l, &plain);
    assert_true(op_advance(&l, &plain, 4096));
    assert_int_equal(plain.result, 4096);
}

static void a_cancelled_transfer_is_not_continued(void **state)
{
    struct io_linux l = {0};
    struct io_file f = {.block_bytes = 4096};
    const struct io_vec vec = {memory, 8192};
    for (int interrupted = 0; interrupted < 2; interrupted++) {
        struct io_op op = {.file = &f, .vecs = &vec, .vec_count = 1};
        op_begin(&op, OP_READ);
        op.private_[OP_MARK] = MARK_CANCEL_ASKED;
        assert_true(op_advance(&l, &op, interrupted ? -EINTR : 4096));
        assert_int_equal(op.result, -(i64)ERR_CANCELLED);
    }
}

static void more_pieces_than_a_call_takes_are_several_calls(void **state)
{
    enum { COUNT = 2500, PIECE = 8 };
    struct io_linux l = {0};
    struct io_file f = {.block_bytes = 4096};
    struct io_vec vecs[COUNT];
    for (u32 i = 0; i < COUNT; i++) {
        vecs[i] = (struct io_vec){memory + i * PIECE, PIECE};
    }
    struct io_op op = {.file = &f, .vecs = vecs, .vec_count = COUNT};
    op_begin(&op, OP_WRITE);
    u32 calls = 0;
    bool over = false;
    while (!over) {
        u32 count = 0;
        const struct iovec *rest = op_rest(&op, &count);
        assert_in_range(count, 1, 1024);
        assert_true(rest[0].iov_base == vecs[calls * 1024].data);
        over = op_advance(&l, &op, (i64)count * PIECE);
        calls++;
    }
    assert_int_equal(calls, 3);
    assert_int_equal(op.result, COUNT * PIECE);
}

static void errno_has_a_meaning(void **state)
{
    assert_int_equal(err_of_errno(ENOSPC), ERR_NO_SPACE);
    assert_int_equal(err_of_errno(EDQUOT), ERR_NO_SPACE);
    assert_int_equal(err_of_errno(EIO), ERR_IO);
    assert_int_equal(err_of_errno(EROFS), ERR_IO);
    assert_int_equal(err_of_errno(ENOENT), ERR_NOT_FOUND);
    assert_int_equal(err_of_errno(EMFILE), ERR_LIMIT);
    assert_int_equal(err_of_errno(ECANCELED), ERR_CANCELLED);
    assert_int_equal(err_of_errno(EADDRINUSE), ERR_ADDRESS);
    assert_int_equal(err_of_errno(12345), ERR_IO); /* unheard of */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plays_end_as_they_should),
        cmocka_unit_test(a_refused_flag_is_remembered),
        cmocka_unit_test(a_cancelled_transfer_is_not_continued),
        cmocka_unit_test(more_pieces_than_a_call_takes_are_several_calls),
        cmocka_unit_test(errno_has_a_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
