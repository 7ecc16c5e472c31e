/* What the tests of the border share: a real io in a wanted mode, a folder of its own that is empty
   again afterwards, operations that remember their result, and turns until something holds. A test
   that waits for ever is ended by the alarm. */
#pragma once

#include "../unit.h"
#include "io/io.h"

#include <ftw.h>
#include <sys/wait.h>
#include <unistd.h>

static char unit_dir[128];

static inline UNUSED const char *unit_path(const char *name)
{
    static char paths[8][192];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", unit_dir, name);
    return path;
}

static inline int unit_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *where)
{
    return remove(path);
}

static inline UNUSED struct io *unit_create(enum io_files_mode mode, bool refuse_direct)
{
    struct io_linux_params params = {.files = mode, .refuse_direct = refuse_direct};
    struct io *io = NULL;
    assert_int_equal(io_linux_create(&params, &io), OK);
    return io;
}

static inline UNUSED void unit_open_dir(void)
{
    const char *root = getenv("TMPDIR");
    snprintf(unit_dir, sizeof(unit_dir), "%s/odradek-io-XXXXXX", root != NULL ? root : "/tmp");
    assert_non_null(mkdtemp(unit_dir));
    alarm(120);
}

static inline UNUSED void unit_close_dir(void)
{
    nftw(unit_dir, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    alarm(0);
}

static inline int unit_setup(void **state, enum io_files_mode mode)
{
    unit_open_dir();
    struct io_linux_params params = {.files = mode};
    struct io *io = NULL;
    err_t err = io_linux_create(&params, &io);
    if (mode == IO_FILES_URING && (err == ERR_DENIED || err == ERR_UNSUPPORTED)) {
        unit_close_dir();
        printf("[  NOTE    ] io_uring is forbidden on this machine\n");
        *state = NULL;
        return 0;
    }
    assert_int_equal(err, OK);
    *state = io;
    return 0;
}
static inline UNUSED int setup_ring(void **state)
{
    return unit_setup(state, IO_FILES_URING);
}
static inline UNUSED int setup_threads(void **state)
{
    return unit_setup(state, IO_FILES_THREADS);
}
static inline UNUSED int unit_teardown(void **state)
{
    if (*state != NULL) {
        io_destroy(*state);
        unit_close_dir();
    }
    return 0;
}
/* At the head of a test that a machine without io_uring cannot run. */
#define NEED_IO(state)    \
    if (*state == NULL) { \
        skip();           \
    }

/* Bytes to write, from a literal that nobody changes. */
static inline UNUSED struct io_vec unit_vec(const char *text)
{
    return (struct io_vec){(void *)(uintptr_t)text, strlen(text)};
}

/* An operation that remembers. */
struct unit_op {
    struct io_op op;
    i64 result;
    u32 done_count;
};

static inline void unit_op_done(struct io_op *op, i64 result)
{
    struct unit_op *o = CONTAINER_OF(op, struct unit_op, op);
    o->result = result;
    o->done_count++;
}

static inline UNUSED struct unit_op unit_op(void)
{
    return (struct unit_op){.op = {.done = unit_op_done}};
}

static inline UNUSED i64 unit_await(struct io *io, struct unit_op *o)
{
    while (o->done_count == 0) {
        io_turn(io, true);
    }
    assert_int_equal(o->done_count, 1);
    return o->result;
}

#define TURN_UNTIL(io, condition) \
    while (!(condition)) {        \
        io_turn((io), true);      \
    }

/* Runs body in a child and passes on whether its assertions held: for limits and filters that
   cannot be taken back. Exit 77 is a skip. */
static inline UNUSED void unit_in_child(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        _exit(body());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
/* In a child cmocka's own assertions cannot report: leave with the line instead. */
#define CHILD_CHECK(condition)                                              \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                       \
        }                                                                   \
    } while (0)
