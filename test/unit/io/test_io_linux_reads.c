/* Reads give way to durable writes: what is allowed at which moment, as a table of moments; and on
   real files, through the ring and through threads, that reads which are let go in pieces, held and
   cancelled have the bytes they should and leave nothing behind. */
#include "io/io_linux.h"
#include "io_unit.h"

#define MS         (1000u * 1000u)
#define PIECE      ((u64)(128 * KIB))
#define EVERYTHING UINT64_MAX

struct moment {
    const char *name;
    u32 writes;
    u64 written_ago_ms; /* 1000: never */
    u64 bytes;
    u64 left_ago_ms;
    u64 allowed;
};

static const struct moment moments[] = {
    {"nobody ever wrote", 0, 1000, 0, 500, EVERYTHING},
    {"nor does it matter how much is read then", 0, 1000, 8 * MIB, 0, EVERYTHING},
    {"written long ago", 0, 50, 8 * MIB, 0, EVERYTHING},
    {"written a moment ago", 0, 49, 0, 0, PIECE},
    {"a second piece beside the first", 0, 49, 128 * KIB, 0, PIECE},
    {"no third", 0, 49, 256 * KIB, 0, 0},
    {"a write is under way", 1, 0, 0, 0, 0},
    {"it stays for long", 1, 200, 0, 0, 0},
    {"readers have waited for long", 1, 0, 0, 1, PIECE},
    {"two writes are no more than one", 2, 0, 0, 1, PIECE},
    {"one piece, and not the next", 1, 0, 4096, 1, 0},
};

static void what_is_allowed(void **state)
{
    u64 now_ns = 1000ull * MS;
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        const struct moment *m = &moments[i];
        struct reads r;
        reads_init(&r);
        r.writes = m->writes;
        r.written = m->written_ago_ms < 1000;
        r.written_ns = now_ns - m->written_ago_ms * MS;
        r.bytes = m->bytes;
        r.left_ns = now_ns - m->left_ago_ms * MS;
        if (reads_allowed(&r, now_ns) != m->allowed) {
            fail_msg("%s: %llu bytes", m->name, (unsigned long long)reads_allowed(&r, now_ns));
        }
    }
}

/* ---- on files -------------------------------------------------------------------------------- */

#define FILE_BYTES (1 * MIB + 4096u)
enum { READS = 3, ROUNDS = 40 };

struct scene {
    struct io *io;
    struct io_file *file;
    u8 *content;
    u8 *in[READS];
    struct unit_op read[READS];
    struct io_vec vecs[READS][3];
    struct unit_op write;
    u8 written[512];
    struct io_vec write_vec;
};

static void scene_begin(struct scene *s, struct io *io)
{
    *s = (struct scene){.io = io, .content = mem_alloc(FILE_BYTES)};
    u32 flags = IO_OPEN_WRITE | IO_OPEN_CREATE;
    assert_int_equal(io_file_open(io, unit_path("f"), flags, &s->file), OK);
    for (u32 i = 0; i < FILE_BYTES; i++) {
        s->content[i] = (u8)(i / 1000 + i);
    }
    assert_int_equal(io_file_write_now(io, s->file, s->content, FILE_BYTES, 0), OK);
    for (u32 i = 0; i < READS; i++) {
        s->in[i] = mem_alloc(FILE_BYTES);
    }
    s->write_vec = (struct io_vec){s->written, sizeof(s->written)};
}

static void scene_end(struct scene *s)
{
    const struct reads *r = &linux_of(s->io)->reads;
    assert_int_equal(r->bytes, 0);
    assert_int_equal(r->writes, 0);
    assert_true(list_empty(&r->waiting));
    io_file_close(s->io, s->file);
    for (u32 i = 0; i < READS; i++) {
        mem_free(s->in[i]);
    }
    mem_free(s->content);
}

/* Behind all that is read. */
static void write_start(struct scene *s)
{
    s->write = unit_op();
    io_file_writev(s->io, &s->write.op, s->file, &s->write_vec, 1, FILE_BYTES, true);
}

/* All of the file, into vecs in which no piece ends where a vec does. */
static void read_start(struct scene *s, u32 i)
{
    u8 *in = s->in[i];
    memset(in, 0, FILE_BYTES);
    s->vecs[i][0] = (struct io_vec){in, 100};
    s->vecs[i][1] = (struct io_vec){in + 100, 200000};
    s->vecs[i][2] = (struct io_vec){in + 200100, FILE_BYTES - 200100};
    s->read[i] = unit_op();
    io_file_readv(s->io, &s->read[i].op, s->file, s->vecs[i], 3, 0);
}

static void pieces_make_a_whole(void **state)
{
    NEED_IO(state);
    struct scene s;
    scene_begin(&s, *state);
    write_start(&s);
    for (u32 i = 0; i < READS; i++) {
        read_start(&s, i);
    }
    const struct reads *r = &linux_of(s.io)->reads;
    assert_int_equal(r->writes, 1);
    s.io->backend->submit(s.io);
    assert_int_equal(r->bytes, PIECE); /* of the first, which had to wait for nobody */
    assert_false(list_empty(&r->waiting));
    /* A writer that never pauses, as long as anything is to be read. */
    u32 done = 0;
    while (done < READS) {
        io_turn(s.io, true);
        if (s.write.done_count == 1) {
            assert_int_equal(s.write.result, sizeof(s.written));
            write_start(&s);
        }
        done = s.read[0].done_count + s.read[1].done_count + s.read[2].done_count;
    }
    unit_await(s.io, &s.write);
    for (u32 i = 0; i < READS; i++) {
        assert_int_equal(s.read[i].done_count, 1);
        assert_int_equal(s.read[i].result, FILE_BYTES);
        assert_memory_equal(s.in[i], s.content, FILE_BYTES);
    }
    scene_end(&s);
}

/* Nobody writes: everything leaves at once. */
static void whole_while_nobody_writes(void **state)
{
    NEED_IO(state);
    struct scene s;
    scene_begin(&s, *state);
    for (u32 i = 0; i < READS; i++) {
        read_start(&s, i);
    }
    s.io->backend->submit(s.io);
    const struct reads *r = &linux_of(s.io)->reads;
    assert_int_equal(r->bytes, READS * FILE_BYTES);
    assert_true(list_empty(&r->waiting));
    for (u32 i = 0; i < READS; i++) {
        assert_int_equal(unit_await(s.io, &s.read[i]), FILE_BYTES);
        assert_memory_equal(s.in[i], s.content, FILE_BYTES);
    }
    scene_end(&s);
}

/* Whether it was held, had begun or was over: done() comes once, and the others go on. */
static void held_reads_are_cancelled(void **state)
{
    NEED_IO(state);
    struct scene s;
    scene_begin(&s, *state);
    for (u32 round = 0; round < ROUNDS; round++) {
        write_start(&s);
        for (u32 i = 0; i < READS; i++) {
            read_start(&s, i);
        }
        s.io->backend->submit(s.io);
        for (u32 turns = 0; turns < round / 2; turns++) {
            io_turn(s.io, false);
        }
        struct unit_op *last = &s.read[READS - 1];
        struct unit_op *first = &s.read[0];
        if (last->done_count == 0) {
            io_cancel(s.io, &last->op);
        }
        if (round % 2 == 1 && first->done_count == 0) {
            io_cancel(s.io, &first->op);
        }
        unit_await(s.io, &s.write);
        assert_int_equal(unit_await(s.io, &s.read[1]), FILE_BYTES);
        assert_memory_equal(s.in[1], s.content, FILE_BYTES);
        i64 result = unit_await(s.io, last);
        assert_true(result == FILE_BYTES || result == -(i64)ERR_CANCELLED);
        assert_true(round > 0 || result == -(i64)ERR_CANCELLED); /* it was held */
        result = unit_await(s.io, first);
        assert_true(result == FILE_BYTES || (round % 2 == 1 && result == -(i64)ERR_CANCELLED));
    }
    scene_end(&s);
}

/* The last piece meets the end of the file. */
static void a_piece_ends_with_the_file(void **state)
{
    NEED_IO(state);
    struct scene s;
    scene_begin(&s, *state);
    write_start(&s);
    u8 *in = mem_alloc(2 * FILE_BYTES);
    struct io_vec vec = {in, 2 * FILE_BYTES};
    struct unit_op read = unit_op();
    io_file_readv(s.io, &read.op, s.file, &vec, 1, 0);
    i64 result = unit_await(s.io, &read);
    assert_true(result == FILE_BYTES || result == FILE_BYTES + (i64)sizeof(s.written));
    assert_memory_equal(in, s.content, FILE_BYTES);
    unit_await(s.io, &s.write);
    mem_free(in);
    scene_end(&s);
}

#define BOTH_WAYS(test)                                             \
    {"ring: " #test, test, setup_ring, unit_teardown, NULL},        \
    {                                                               \
        "threads: " #test, test, setup_threads, unit_teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_allowed),     BOTH_WAYS(pieces_make_a_whole),
        BOTH_WAYS(whole_while_nobody_writes),  BOTH_WAYS(held_reads_are_cancelled),
        BOTH_WAYS(a_piece_ends_with_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
