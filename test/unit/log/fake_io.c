/* See fake_io.h. Only what log/ and home_mem call is there; the rest of the table is empty. */
#include "fake_io.h"

struct fake_io {
    struct io io;
    struct list works; /* io_op.node: run in the next turn */
    struct rng rng;
};

static void fake_poll(struct io *io, u64 deadline_ns)
{
    (void)deadline_ns;
    io->now_ns += 1000; /* no two turns at the same time */
    struct list works;
    list_init(&works);
    list_splice(&works, &CONTAINER_OF(io, struct fake_io, io)->works);
    for (struct list_node *n = list_pop_front(&works); n != NULL; n = list_pop_front(&works)) {
        struct io_op *op = CONTAINER_OF(n, struct io_op, node);
        op->work(op->arg);
        op->done(op, 0);
    }
}

static void fake_work(struct io *io, struct io_op *op)
{
    list_push_back(&CONTAINER_OF(io, struct fake_io, io)->works, &op->node);
}

static void fake_submit(struct io *io)
{
    (void)io;
}

static void fake_destroy(struct io *io)
{
    heap_fini(&io->timers);
    mem_free(CONTAINER_OF(io, struct fake_io, io));
}

static void fake_random(struct io *io, void *buf, size_t len)
{
    rng_fill(&CONTAINER_OF(io, struct fake_io, io)->rng, buf, len);
}

static const struct io_backend fake_backend = {
    .poll = fake_poll,
    .submit = fake_submit,
    .destroy = fake_destroy,
    .random = fake_random,
    .work = fake_work,
};

struct io *fake_io_create(void)
{
    struct fake_io *f = mem_alloc(sizeof(*f));
    io_init_base(&f->io, &fake_backend);
    f->io.now_ns = 1000000000;
    f->io.wall_ms = 1700000000000;
    rng_seed(&f->rng, 1);
    list_init(&f->works);
    return &f->io;
}

void fake_io_forget(struct io *io)
{
    list_init(&CONTAINER_OF(io, struct fake_io, io)->works);
}

void fake_io_advance(struct io *io, u64 ns)
{
    io->now_ns += ns;
    io->wall_ms += (i64)(ns / 1000000);
}

void fake_io_jump_wall(struct io *io, i64 ms)
{
    io->wall_ms += ms;
}

u64 fake_io_timers(const struct io *io)
{
    return io->timers.count;
}
