/* What every struct io shares, real or simulated: the order of a turn, timers, turn-end hooks, and
   the thin calls from the door through the table of the implementation.

   One turn:
     1. poll: the implementation samples the clocks, then delivers completions and socket events;
     2. timers whose deadline has come, earliest first, equal ones in the order they were started;
     3. turn-end hooks, lowest order first;
     4. submit: what all of these queued leaves for the kernel.
   A timer or hook added during its own step runs in the next turn at the earliest, so a step ends.
 */
#include "io/io.h"

/* ---- the loop ------------------------------------------------------------------------------ */

void io_init_base(struct io *io, const struct io_backend *backend)
{
    assert(backend != NULL);
    *io = (struct io){.backend = backend};
    heap_init(&io->timers);
    list_init(&io->hooks);
}

static void run_due_timers(struct io *io)
{
    /* io_timer_start never accepts a deadline before now: what is started from here on comes after
       everything that was due, and is told apart by its sequence number. */
    u64 first_new_seq = io->timers.next_seq;
    for (;;) {
        struct heap_node *first = heap_min(&io->timers);
        if (first == NULL || first->key > io->now_ns || first->seq >= first_new_seq) {
            return;
        }
        struct io_timer *t = CONTAINER_OF(first, struct io_timer, node);
        heap_remove(&io->timers, first);
        t->fired(t);
    }
}

static void insert_hook(struct list *hooks, struct io_hook *h)
{
    struct list_node *before = hooks->head.prev;
    while (before != &hooks->head && CONTAINER_OF(before, struct io_hook, node)->order > h->order) {
        before = before->prev;
    }
    list_insert_between_(&h->node, before, before->next);
}

/* Each hook moves back before it runs, so that it may remove itself or any other. */
static void run_hooks(struct io *io)
{
    struct list to_run;
    list_init(&to_run);
    list_splice(&to_run, &io->hooks);
    struct list_node *n;
    while ((n = list_pop_front(&to_run)) != NULL) {
        struct io_hook *h = CONTAINER_OF(n, struct io_hook, node);
        insert_hook(&io->hooks, h);
        h->run(h);
    }
}

void io_turn(struct io *io, bool may_wait)
{
    u64 deadline_ns = 0;
    if (may_wait && !io->stopping) {
        struct heap_node *first = heap_min(&io->timers);
        deadline_ns = first != NULL ? first->key : UINT64_MAX;
    }
    io->backend->poll(io, deadline_ns);
    run_due_timers(io);
    run_hooks(io);
    io->backend->submit(io);
}

void io_run(struct io *io)
{
    while (!io->stopping) {
        io_turn(io, true);
    }
    io->stopping = false;
}

void io_stop(struct io *io)
{
    io->stopping = true;
}

void io_destroy(struct io *io)
{
    /* Timers that still run belong to objects that may be gone: forget them without a look. */
    io->timers.count = 0;
    heap_fini(&io->timers);
    io->backend->destroy(io);
}

u64 io_now_ns(const struct io *io)
{
    return io->now_ns;
}

i64 io_wall_ms(const struct io *io)
{
    return io->wall_ms;
}

void io_random(struct io *io, void *buf, size_t len)
{
    assert(buf != NULL || len == 0);
    io->backend->random(io, buf, len);
}

void io_timer_start(struct io *io, struct io_timer *t, u64 deadline_ns)
{
    assert(t->fired != NULL);
    io_timer_stop(io, t);
    heap_insert(&io->timers, &t->node, MAX(deadline_ns, io->now_ns));
}

void io_timer_stop(struct io *io, struct io_timer *t)
{
    if (heap_linked(&t->node)) {
        heap_remove(&io->timers, &t->node);
    }
}

void io_hook_add(struct io *io, struct io_hook *h, u32 order)
{
    assert(h->run != NULL);
    h->order = order;
    insert_hook(&io->hooks, h);
}

void io_hook_remove(struct io_hook *h)
{
    list_remove(&h->node);
}

void io_work(struct io *io, struct io_op *op, void (*fn)(void *arg), void *arg)
{
    assert(op->done != NULL);
    assert(fn != NULL);
    op->work = fn;
    op->arg = arg;
    io->backend->work(io, op);
}

void io_work_end(struct io *io, struct io_op *op)
{
    io->backend->work_end(io, op);
}

void io_cancel(struct io *io, struct io_op *op)
{
    io->backend->cancel(io, op);
}

void io_bell_ring(struct io *io, struct io_bell *b)
{
    assert(io->backend->bell_ring != NULL);
    assert(b->rang != NULL);
    io->backend->bell_ring(io, b);
}

void io_bell_remove(struct io *io, struct io_bell *b)
{
    if (io->backend->bell_remove != NULL) {
        io->backend->bell_remove(io, b);
    }
}

void io_signals(struct io *io, void (*on_signal)(void *user, enum io_signal s), void *user)
{
    assert(on_signal != NULL);
    io->backend->signals(io, on_signal, user);
}

/* ---- files --------------------------------------------------------------------------------- */

/* Files, sockets and listeners begin with their struct io. */
static const struct io_backend *backend_of(const void *object)
{
    const struct io *io = *(struct io *const *)object;
    return io->backend;
}

err_t io_file_open(struct io *io, const char *path, u32 flags, struct io_file **out)
{
    assert(path[0] != '\0');
    assert((flags & (IO_OPEN_READ | IO_OPEN_WRITE)) != 0);
    assert((flags & IO_OPEN_EXCLUSIVE) == 0 || (flags & IO_OPEN_CREATE) != 0);
    return io->backend->file_open(io, path, flags, out);
}

void io_file_close(struct io *io, struct io_file *f)
{
    assert(f != NULL);
    io->backend->file_close(io, f);
}

err_t io_file_size(struct io *io, struct io_file *f, u64 *bytes)
{
    return io->backend->file_size(io, f, bytes);
}

err_t io_file_named(struct io *io, struct io_file *f, bool *named)
{
    return io->backend->file_named(io, f, named);
}

u32 io_file_block_bytes(struct io *io, struct io_file *f)
{
    return io->backend->file_block_bytes(io, f);
}

err_t io_file_allocate(struct io *io, struct io_file *f, u64 bytes)
{
    assert(bytes <= INT64_MAX);
    return io->backend->file_allocate(io, f, bytes);
}

err_t io_file_truncate(struct io *io, struct io_file *f, u64 bytes)
{
    assert(bytes <= INT64_MAX);
    return io->backend->file_truncate(io, f, bytes);
}

err_t io_file_lock(struct io *io, struct io_file *f)
{
    return io->backend->file_lock(io, f);
}

err_t io_file_read_now(struct io *io, struct io_file *f, void *buf, size_t len, u64 offset,
                       size_t *moved)
{
    size_t bytes = 0;
    TRY(io->backend->file_read_now(io, f, buf, len, offset, &bytes));
    assert(bytes <= len);
    metric_add_shared(METRIC_io_file_read_bytes_total, bytes);
    *moved = bytes;
    return OK;
}

err_t io_file_write_now(struct io *io, struct io_file *f, const void *buf, size_t len, u64 offset)
{
    return io->backend->file_write_now(io, f, buf, len, offset);
}

err_t io_file_sync_now(struct io *io, struct io_file *f)
{
    return io->backend->file_sync_now(io, f);
}

err_t io_mkdir(struct io *io, const char *path)
{
    return io->backend->mkdir(io, path);
}

err_t io_rename(struct io *io, const char *from, const char *to)
{
    return io->backend->rename(io, from, to);
}

err_t io_link(struct io *io, const char *from, const char *to)
{
    return io->backend->link(io, from, to);
}

err_t io_unlink(struct io *io, const char *path)
{
    return io->backend->unlink(io, path);
}

err_t io_sync_dir(struct io *io, const char *path)
{
    return io->backend->sync_dir(io, path);
}

err_t io_list(struct io *io, const char *path, void (*each)(void *user, const char *name),
              void *user)
{
    assert(each != NULL);
    return io->backend->list(io, path, each, user);
}

err_t io_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes)
{
    return io->backend->space(io, path, free_bytes, total_bytes);
}

static void fill_transfer(struct io_op *op, struct io_file *f, const struct io_vec *vecs, u32 count,
                          u64 offset, bool durable)
{
    assert(op->done != NULL);
    assert(f != NULL);
    assert(vecs != NULL || count == 0);
    assert(offset <= INT64_MAX);
    op->file = f;
    op->vecs = vecs;
    op->vec_count = count;
    op->offset = offset;
    op->durable = durable;
    op->moved = 0;
    op->result = 0;
}

void io_file_readv(struct io *io, struct io_op *op, struct io_file *f, const struct io_vec *vecs,
                   u32 count, u64 offset)
{
    fill_transfer(op, f, vecs, count, offset, false);
    io->backend->file_readv(io, op);
}

void io_file_writev(struct io *io, struct io_op *op, struct io_file *f, const struct io_vec *vecs,
                    u32 count, u64 offset, bool durable)
{
    fill_transfer(op, f, vecs, count, offset, durable);
    if (durable) {
        metric_add(METRIC_io_durable_writes_total, 1);
    }
    io->backend->file_writev(io, op);
}

void io_file_sync(struct io *io, struct io_op *op, struct io_file *f)
{
    fill_transfer(op, f, NULL, 0, 0, false);
    io->backend->file_sync(io, op);
}

/* ---- sockets ------------------------------------------------------------------------------- */

err_t io_listen(struct io *io, const char *host, u16 port,
                void (*accepted)(void *user, struct io_sock *s), void *user,
                struct io_listener **out)
{
    assert(accepted != NULL);
    return io->backend->listen(io, host, port, accepted, user, out);
}

void io_listener_address(struct io_listener *l, struct io_address *out)
{
    backend_of(l)->listener_address(l, out);
}

void io_listener_close(struct io *io, struct io_listener *l)
{
    io->backend->listener_close(io, l);
}

void io_listener_want(struct io *io, struct io_listener *l, bool on)
{
    io->backend->listener_want(io, l, on);
}

err_t io_connect(struct io *io, const char *host, u16 port, struct io_sock **out)
{
    return io->backend->connect(io, host, port, out);
}

void io_sock_handle(struct io *io, struct io_sock *s, io_sock_fn fn, void *user)
{
    assert(fn != NULL);
    io->backend->sock_handle(io, s, fn, user);
}

void io_sock_want(struct io *io, struct io_sock *s, u32 events)
{
    assert((events & ~(u32)(IO_READABLE | IO_WRITABLE)) == 0);
    io->backend->sock_want(io, s, events);
}

i64 io_recv(struct io *io, struct io_sock *s, void *buf, size_t len)
{
    assert(len > 0); /* else 0 would be taken for the end of the stream */
    return io->backend->recv(io, s, buf, len);
}

i64 io_send(struct io *io, struct io_sock *s, const struct io_vec *vecs, u32 count)
{
    assert(count > 0);
    return io->backend->send(io, s, vecs, count);
}

void io_sock_shutdown(struct io *io, struct io_sock *s)
{
    io->backend->sock_shutdown(io, s);
}

void io_sock_close(struct io *io, struct io_sock *s)
{
    io->backend->sock_close(io, s);
}

void io_sock_local(struct io_sock *s, struct io_address *out)
{
    backend_of(s)->sock_local(s, out);
}

void io_sock_peer(struct io_sock *s, struct io_address *out)
{
    backend_of(s)->sock_peer(s, out);
}
