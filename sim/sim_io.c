/* struct io on the simulated world (sim_io.h): every call, turns, asynchronous operations, sockets,
   life. Every verb of the border passes sim_enter(), where it is counted and hashed, and where the
   end may come; whatever a verb answers passes sim_leave(). Files are in sim_io_files.c. */
#include "sim/sim_io_private.h"

#include <stdio.h>
#include <string.h>

static const char *const call_names[CALL_COUNT] = {
    "random",   "work",        "cancel",   "signals",  "open",       "close",          "size",
    "named",    "block_bytes", "allocate", "truncate", "lock",       "read_now",       "write_now",
    "sync_now", "mkdir",       "rename",   "link",     "unlink",     "sync_dir",       "list",
    "space",    "readv",       "writev",   "sync",     "listen",     "listener_close", "handle",
    "want",     "recv",        "send",     "shutdown", "sock_close",
};

/* ---- the end --------------------------------------------------------------------------------- */

void sim_io_die(struct io *io)
{
    struct sim_io *s = sim_of(io);
    if (s->dead) {
        return;
    }
    s->dead = true;
    LIST_EACH (&s->ops, n) {
        struct sim_op *op = CONTAINER_OF(n, struct sim_op, node);
        world_stop(s->world, &op->event);
        s->died_in_wal_write = s->died_in_wal_write || (op->kind == OP_WRITE && op->wal);
    }
    world_stop(s->world, &s->end_event);
    trace_number(s->world, 0xdead);
    world_say(s->world, "END    at call %llu of this life%s", (unsigned long long)s->calls,
              s->died_in_wal_write ? ", in the middle of a WAL write" : "");
}

static void end_event_run(struct world_event *e)
{
    sim_io_die(&CONTAINER_OF(e, struct sim_io, end_event)->base);
}

bool sim_io_dead(const struct io *io)
{
    return sim_of(io)->dead;
}

bool sim_io_died_in_wal_write(const struct io *io)
{
    return sim_of(io)->died_in_wal_write;
}

bool sim_io_faulted(const struct io *io)
{
    return sim_of(io)->faulted;
}

u64 sim_io_calls(const struct io *io)
{
    return sim_of(io)->calls;
}

u32 sim_io_work_count(const struct io *io)
{
    return sim_of(io)->op_count;
}

void sim_io_end_plan(struct io *io, const struct sim_end_plan *plan)
{
    sim_of(io)->end = *plan;
}

void sim_io_faults(struct io *io, const struct sim_faults *faults)
{
    sim_of(io)->faults = *faults;
}

/* ---- every call ------------------------------------------------------------------------------ */

bool sim_enter(struct sim_io *s, enum call call, u64 a, u64 b)
{
    if (s->dead) {
        return false;
    }
    s->calls++;
    s->world->calls++;
    trace_number(s->world, (u64)call << 56 ^ a);
    trace_number(s->world, b);
    return true;
}

static void moment_pass(struct sim_io *s)
{
    if (s->watch.moment != NULL && s->watch.moment(s->watch.user, &s->touching)) {
        sim_io_die(&s->base);
    }
}

/* The disk is about to be changed; false: it is not, the end has come. */
bool sim_touch(struct sim_io *s, enum call call, const char *path)
{
    s->touching = (struct sim_moment){.call = call_names[call], .path = path};
    moment_pass(s);
    return !s->dead;
}

/* ... and it was. */
static bool touched(struct sim_io *s)
{
    if (s->touching.call != NULL) {
        s->touching.after = true;
        moment_pass(s);
        s->touching.call = NULL;
    }
    return !s->dead;
}

i64 sim_leave(struct sim_io *s, i64 result)
{
    trace_number(s->world, (u64)result);
    if (!touched(s)) {
        return -(i64)ERR_CANCELLED;
    }
    if (s->end.at_call != 0 && s->calls >= s->end.at_call) {
        /* The call has happened; the caller never learns. */
        sim_io_die(&s->base);
        return -(i64)ERR_CANCELLED;
    }
    return result;
}

err_t sim_leave_err(struct sim_io *s, enum call call, const char *path, err_t e)
{
    world_say(s->world, "disk   %s %s%s%s", call_names[call], path, e == OK ? "" : ": ",
              e == OK ? "" : err_name(e));
    return (err_t) - (sim_leave(s, -(i64)e));
}

void sim_blocking_takes(struct sim_io *s, u64 usual_ns)
{
    s->world->now_ns += chance_between(s->world, usual_ns / 8, usual_ns);
}

bool sim_fault_comes(struct sim_io *s, i32 *countdown)
{
    if (*countdown == SIM_NEVER) {
        return false;
    }
    if (*countdown > 0) {
        (*countdown)--;
        return false;
    }
    *countdown = SIM_NEVER;
    s->faulted = true;
    return true;
}

bool sim_room_is_out(struct sim_io *s)
{
    if (s->faults.full_in == SIM_NEVER) {
        return false;
    }
    if (s->faults.full_in > 0) {
        s->faults.full_in--;
        return false;
    }
    if (s->faults.full_calls <= 0) {
        return false;
    }
    s->faults.full_calls--;
    s->faulted = true;
    return true;
}

u64 sim_path_hash(const char *path)
{
    return crc32c(path, strlen(path));
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void sim_poll(struct io *io, u64 deadline_ns)
{
    struct sim_io *s = sim_of(io);
    struct world *w = s->world;
    if (s->dead) {
        return;
    }
    u64 until_ns = deadline_ns;
    struct heap_node *first = heap_min(&w->events);
    if (first != NULL) {
        until_ns = MIN(until_ns, first->key);
    }
    if (sim_net_ready(s->net)) {
        until_ns = 0;
    }
    if (until_ns == UINT64_MAX) {
        world_fail(w, "liveness", "nothing will ever happen again");
        sim_io_die(io);
        return;
    }
    w->now_ns = MAX(w->now_ns, until_ns) + chance_between(w, 1 * SIM_US, 20 * SIM_US);
    io->now_ns = w->now_ns;
    io->wall_ms = world_wall_ms(w);
    diag_set_now(io->now_ns, io->wall_ms);
    world_run_due(w);
    sim_net_dispatch(s->net, &s->dead);
}

static void sim_submit(struct io *io)
{
    (void)io;
}

static void sim_random(struct io *io, void *buf, size_t len)
{
    struct sim_io *s = sim_of(io);
    rng_fill(&s->rng, buf, len);
    if (sim_enter(s, CALL_RANDOM, len, 0)) {
        (void)sim_leave(s, 0);
    }
}

static void sim_signals(struct io *io, void (*on_signal)(void *, enum io_signal), void *user)
{
    struct sim_io *s = sim_of(io);
    (void)on_signal;
    (void)user;
    if (sim_enter(s, CALL_SIGNALS, 0, 0)) {
        (void)sim_leave(s, 0);
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

static void op_free(struct sim_op *o)
{
    list_remove(&o->node);
    o->io->op_count--;
    mem_free(o);
}

static void op_end(struct sim_op *o, i64 result)
{
    struct sim_io *s = o->io;
    struct io_op *op = o->op;
    trace_number(s->world, 0x0d0e);
    trace_number(s->world, (u64)result);
    op_free(o);
    op->done(op, result);
}

static u32 vecs_crc(const struct io_vec *vecs, u32 count)
{
    u32 crc = 0;
    for (u32 i = 0; i < count; i++) {
        crc = crc32c_extend(crc, vecs[i].data, vecs[i].len);
    }
    return crc;
}

static i64 read_end(struct sim_op *o)
{
    struct io_op *op = o->op;
    if (o->cancelled) {
        return -(i64)ERR_CANCELLED;
    }
    if (o->fails) {
        return -(i64)ERR_IO;
    }
    u64 offset = op->offset;
    i64 total = 0;
    for (u32 i = 0; i < op->vec_count; i++) {
        size_t moved;
        sim_disk_read(o->inode, op->vecs[i].data, op->vecs[i].len, offset, &moved);
        trace_bytes(o->io->world, op->vecs[i].data, moved);
        offset += moved;
        total += (i64)moved;
        if (moved < op->vecs[i].len) {
            break;
        }
    }
    return total;
}

static i64 write_end(struct sim_op *o)
{
    /* What is handed to the disk must stay as it is until the disk has it. */
    assert(vecs_crc(o->op->vecs, o->op->vec_count) == o->crc);
    if (o->fails) {
        sim_disk_write_fail(o->io->disk, o->write);
        return -(i64)ERR_IO;
    }
    sim_disk_write_end(o->io->disk, o->write, o->op->durable);
    return (i64)o->bytes;
}

static void write_ends(struct sim_op *o)
{
    if (sim_touch(o->io, CALL_WRITEV, o->op->file->path)) {
        i64 result = write_end(o);
        if (touched(o->io)) {
            op_end(o, result);
        }
    }
}

static void sync_ends(struct sim_op *o)
{
    struct sim_io *s = o->io;
    if (!sim_touch(s, CALL_SYNC, o->op->file->path)) {
        return;
    }
    if (!o->fails) {
        sim_disk_sync_up_to(s->disk, o->inode, o->mark);
    }
    if (touched(s)) {
        op_end(o, o->fails ? -(i64)ERR_IO : 0);
    }
}

static void op_run(struct world_event *e)
{
    struct sim_op *o = CONTAINER_OF(e, struct sim_op, event);
    struct sim_io *s = o->io;
    assert(!s->dead);
    switch (o->kind) {
    case OP_READ:
        op_end(o, read_end(o));
        return;
    case OP_WRITE:
        write_ends(o);
        return;
    case OP_SYNC:
        sync_ends(o);
        return;
    case OP_WORK:
        o->op->work(o->op->arg);
        if (!s->dead) {
            o->kind = OP_WORK_DONE;
            world_start(s->world, &o->event, chance_delay(s->world, 200 * SIM_US, 20 * SIM_MS));
        }
        return;
    case OP_WORK_DONE:
        op_end(o, 0);
        return;
    }
}

static struct sim_op *op_start(struct sim_io *s, struct io_op *op, enum op_kind kind, u64 delay_ns)
{
    struct sim_op *o = mem_alloc(sizeof *o);
    o->io = s;
    o->op = op;
    o->kind = kind;
    o->event.run = op_run;
    op->private_[0] = (u64)(uintptr_t)o;
    list_push_back(&s->ops, &o->node);
    s->op_count++;
    world_start(s->world, &o->event, delay_ns);
    return o;
}

static u64 disk_delay(struct sim_io *s)
{
    return chance_delay(s->world, s->disk_usual_ns, s->disk_rare_ns);
}

static void sim_work(struct io *io, struct io_op *op)
{
    struct sim_io *s = sim_of(io);
    if (sim_enter(s, CALL_WORK, 0, 0)) {
        (void)op_start(s, op, OP_WORK, chance_delay(s->world, 200 * SIM_US, 20 * SIM_MS));
        (void)sim_leave(s, 0);
    }
}

/* Not a call of its own: nothing happens to the disk. */
static void sim_work_end(struct io *io, struct io_op *op)
{
    struct sim_io *s = sim_of(io);
    if (s->dead) {
        return;
    }
    struct sim_op *o = (struct sim_op *)(uintptr_t)op->private_[0];
    assert(o->op == op);
    assert(o->kind == OP_WORK || o->kind == OP_WORK_DONE);
    world_stop(s->world, &o->event);
    op_free(o);
}

static void sim_cancel(struct io *io, struct io_op *op)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_CANCEL, 0, 0)) {
        return;
    }
    LIST_EACH (&s->ops, n) {
        struct sim_op *o = CONTAINER_OF(n, struct sim_op, node);
        if (o->op == op && o->kind == OP_READ && chance(s->world, 1, 2)) {
            o->cancelled = true;
            world_start(s->world, &o->event, 0);
        }
    }
    (void)sim_leave(s, 0);
}

static bool buffers_aligned(const struct io_op *op)
{
    for (u32 i = 0; i < op->vec_count; i++) {
        if ((uintptr_t)op->vecs[i].data % BLOB_ALIGN != 0 || op->vecs[i].len % BLOB_ALIGN != 0) {
            return false;
        }
    }
    return op->offset % BLOB_ALIGN == 0;
}

static void sim_readv(struct io *io, struct io_op *op)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_READV, sim_inode_number(op->file->inode), op->offset)) {
        return;
    }
    assert(!op->file->direct || buffers_aligned(op));
    struct sim_op *o = op_start(s, op, OP_READ, disk_delay(s));
    o->inode = op->file->inode;
    o->fails = sim_fault_comes(s, &s->faults.read_fails_in);
    world_say(s->world, "disk   readv %s at %llu%s", op->file->path, (unsigned long long)op->offset,
              o->fails ? ": will fail" : "");
    (void)sim_leave(s, 0);
}

/* The end comes while this write is under way; so are all others then that are now. */
static void end_in_write(struct sim_io *s, u64 delay_ns)
{
    u64 end_ns = chance_between(s->world, 0, delay_ns);
    LIST_EACH (&s->ops, n) {
        struct sim_op *o = CONTAINER_OF(n, struct sim_op, node);
        if (o->kind == OP_WRITE) {
            world_start(s->world, &o->event, end_ns + 50 * SIM_US);
        }
    }
    world_start(s->world, &s->end_event, end_ns);
}

static bool counted_down(i32 *countdown)
{
    if (*countdown == SIM_NEVER) {
        return false;
    }
    if (*countdown > 0) {
        (*countdown)--;
        return false;
    }
    return true;
}

static u32 wal_writes_under_way(const struct sim_io *s)
{
    u32 count = 0;
    for (const struct list_node *n = s->ops.head.next; n != &s->ops.head; n = n->next) {
        const struct sim_op *o = CONTAINER_OF(n, const struct sim_op, node);
        count += o->kind == OP_WRITE && o->wal;
    }
    return count;
}

static void end_in_wal_write(struct sim_io *s, u64 delay_ns)
{
    if (!counted_down(&s->end.in_wal_write)) {
        return;
    }
    if (wal_writes_under_way(s) < s->end.wal_writes && s->end.wal_patience > 0) {
        s->end.wal_patience--;
        return;
    }
    s->end.in_wal_write = SIM_NEVER;
    end_in_write(s, delay_ns);
}

static void end_in_meta_write(struct sim_io *s, u64 delay_ns)
{
    if (counted_down(&s->end.in_meta_write)) {
        s->end.in_meta_write = SIM_NEVER;
        end_in_write(s, delay_ns);
    }
}

static void sim_writev(struct io *io, struct io_op *op)
{
    struct sim_io *s = sim_of(io);
    struct io_file *f = op->file;
    if (!sim_enter(s, CALL_WRITEV, sim_inode_number(f->inode), op->offset)) {
        return;
    }
    if (!sim_touch(s, CALL_WRITEV, f->path)) {
        return;
    }
    assert(f->writable);
    assert(!f->direct || buffers_aligned(op));
    u64 bytes = 0;
    for (u32 i = 0; i < op->vec_count; i++) {
        bytes += op->vecs[i].len;
    }
    u8 *flat = mem_alloc(bytes);
    for (u32 i = 0, at = 0; i < op->vec_count; at += (u32)op->vecs[i].len, i++) {
        memcpy(flat + at, op->vecs[i].data, op->vecs[i].len);
    }
    u64 delay_ns = disk_delay(s);
    struct sim_op *o = op_start(s, op, OP_WRITE, delay_ns);
    o->inode = f->inode;
    o->bytes = bytes;
    o->crc = vecs_crc(op->vecs, op->vec_count);
    o->write = sim_disk_write_begin(s->disk, f->inode, flat, bytes, op->offset);
    o->fails = sim_fault_comes(s, &s->faults.write_fails_in);
    o->wal = f->wal;
    mem_free(flat);
    trace_number(s->world, o->crc);
    world_say(s->world, "disk   writev %s at %llu, %llu bytes%s%s", f->path,
              (unsigned long long)op->offset, (unsigned long long)bytes,
              op->durable ? ", durable" : "", o->fails ? ": will fail" : "");
    if (op->durable && f->wal) {
        end_in_wal_write(s, delay_ns);
    } else if (op->durable && f->meta) {
        end_in_meta_write(s, delay_ns);
    }
    (void)sim_leave(s, 0);
}

static void sim_sync(struct io *io, struct io_op *op)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_SYNC, sim_inode_number(op->file->inode), 0)) {
        return;
    }
    struct sim_op *o = op_start(s, op, OP_SYNC, disk_delay(s));
    o->inode = op->file->inode;
    o->mark = sim_disk_mark(s->disk);
    o->fails = sim_fault_comes(s, &s->faults.write_fails_in);
    (void)sim_leave(s, 0);
}

/* ---- sockets --------------------------------------------------------------------------------- */

static err_t sim_listen(struct io *io, const char *host, u16 port,
                        void (*accepted)(void *, struct io_sock *), void *user,
                        struct io_listener **out)
{
    struct sim_io *s = sim_of(io);
    (void)host;
    if (!sim_enter(s, CALL_LISTEN, port, 0)) {
        return ERR_CANCELLED;
    }
    s->listener.io = io;
    sim_net_listen(s->net, io, accepted, user);
    *out = &s->listener;
    world_say(s->world, "net    the broker listens");
    return (err_t) - (sim_leave(s, 0));
}

static void sim_listener_address(struct io_listener *l, struct io_address *out)
{
    (void)l;
    *out = (struct io_address){.host = "127.0.0.1", .port = 9092};
}

static void sim_listener_close(struct io *io, struct io_listener *l)
{
    struct sim_io *s = sim_of(io);
    (void)l;
    if (sim_enter(s, CALL_LISTENER_CLOSE, 0, 0)) {
        sim_net_unlisten(s->net);
        (void)sim_leave(s, 0);
    }
}

/* No call of its own in the trace: it touches nothing but the clients' fortune. */
static void sim_listener_want(struct io *io, struct io_listener *l, bool on)
{
    (void)l;
    sim_net_listener_want(sim_of(io)->net, on);
}

static err_t sim_connect(struct io *io, const char *host, u16 port, struct io_sock **out)
{
    (void)io;
    (void)host;
    (void)port;
    (void)out;
    return ERR_UNSUPPORTED; /* a broker alone calls nobody */
}

static void sim_sock_handle(struct io *io, struct io_sock *sock, io_sock_fn fn, void *user)
{
    struct sim_io *s = sim_of(io);
    if (sim_enter(s, CALL_HANDLE, sim_net_sock_number(sock), 0)) {
        sim_net_sock_handle(sock, fn, user);
        (void)sim_leave(s, 0);
    }
}

static void sim_sock_want(struct io *io, struct io_sock *sock, u32 events)
{
    struct sim_io *s = sim_of(io);
    if (sim_enter(s, CALL_WANT, sim_net_sock_number(sock), events)) {
        sim_net_sock_want(sock, events);
        (void)sim_leave(s, 0);
    }
}

static i64 sim_recv(struct io *io, struct io_sock *sock, void *buf, size_t len)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_RECV, sim_net_sock_number(sock), len)) {
        return -(i64)ERR_CANCELLED;
    }
    i64 result = sim_net_sock_recv(sock, buf, len);
    if (result > 0) {
        trace_bytes(s->world, buf, (size_t)result);
    }
    return sim_leave(s, result);
}

static i64 sim_send(struct io *io, struct io_sock *sock, const struct io_vec *vecs, u32 count)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_SEND, sim_net_sock_number(sock), count)) {
        return -(i64)ERR_CANCELLED;
    }
    trace_number(s->world, vecs_crc(vecs, count));
    return sim_leave(s, sim_net_sock_send(sock, vecs, count));
}

static void sim_sock_shutdown(struct io *io, struct io_sock *sock)
{
    struct sim_io *s = sim_of(io);
    if (sim_enter(s, CALL_SHUTDOWN, sim_net_sock_number(sock), 0)) {
        sim_net_sock_shutdown(sock);
        (void)sim_leave(s, 0);
    }
}

static void sim_sock_close(struct io *io, struct io_sock *sock)
{
    struct sim_io *s = sim_of(io);
    if (sim_enter(s, CALL_SOCK_CLOSE, sim_net_sock_number(sock), 0)) {
        world_say(s->world, "net    the broker closes connection %u", sim_net_sock_number(sock));
        sim_net_sock_close(sock);
        (void)sim_leave(s, 0);
    }
}

static void sim_sock_address(struct io_sock *sock, struct io_address *out)
{
    (void)sock;
    *out = (struct io_address){.host = "127.0.0.1", .port = 9092};
}

/* ---- life ------------------------------------------------------------------------------------ */

static void sim_destroy(struct io *io)
{
    struct sim_io *s = sim_of(io);
    sim_io_die(io);
    LIST_EACH (&s->ops, n) {
        op_free(CONTAINER_OF(n, struct sim_op, node));
    }
    LIST_EACH (&s->files, n) {
        struct io_file *f = CONTAINER_OF(n, struct io_file, node);
        list_remove(n);
        mem_free(f);
    }
    mem_free(s);
}

static const struct io_backend sim_backend = {
    .poll = sim_poll,
    .submit = sim_submit,
    .destroy = sim_destroy,
    .random = sim_random,
    .work = sim_work,
    .work_end = sim_work_end,
    .cancel = sim_cancel,
    .signals = sim_signals,
    .file_open = sim_open,
    .file_close = sim_close,
    .file_size = sim_size,
    .file_named = sim_named,
    .file_block_bytes = sim_block_bytes,
    .file_allocate = sim_allocate,
    .file_truncate = sim_truncate,
    .file_lock = sim_lock,
    .file_read_now = sim_read_now,
    .file_write_now = sim_write_now,
    .file_sync_now = sim_sync_now,
    .mkdir = sim_mkdir,
    .rename = sim_rename,
    .link = sim_link,
    .unlink = sim_unlink,
    .sync_dir = sim_sync_dir,
    .list = sim_list,
    .space = sim_space,
    .file_readv = sim_readv,
    .file_writev = sim_writev,
    .file_sync = sim_sync,
    .listen = sim_listen,
    .listener_address = sim_listener_address,
    .listener_close = sim_listener_close,
    .listener_want = sim_listener_want,
    .connect = sim_connect,
    .sock_handle = sim_sock_handle,
    .sock_want = sim_sock_want,
    .recv = sim_recv,
    .send = sim_send,
    .sock_shutdown = sim_sock_shutdown,
    .sock_close = sim_sock_close,
    .sock_local = sim_sock_address,
    .sock_peer = sim_sock_address,
};

struct io *sim_io_create(const struct sim_io_params *params)
{
    struct sim_io *s = mem_alloc(sizeof *s);
    io_init_base(&s->base, &sim_backend);
    s->world = params->world;
    s->disk = params->disk;
    s->net = params->net;
    s->disk_usual_ns = params->disk_usual_ns;
    s->disk_rare_ns = params->disk_rare_ns;
    s->faults = params->faults;
    s->end = params->end;
    s->watch = params->watch;
    s->end_event.run = end_event_run;
    list_init(&s->files);
    list_init(&s->ops);
    rng_seed(&s->rng, rng_next(&s->world->rng));
    s->base.now_ns = s->world->now_ns;
    s->base.wall_ms = world_wall_ms(s->world);
    return &s->base;
}
