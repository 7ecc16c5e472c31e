/* Files of the simulated world, the blocking verbs: names, sizes, locks, reads and writes at once,
   folders. Called through the border by workers, at starts and at stops (sim_io.c has the table);
   each takes a little of the world's time. The disk itself is sim_disk.c's. */
#include "sim/sim_io_private.h"

#include <stdio.h>
#include <string.h>

err_t sim_open(struct io *io, const char *path, u32 flags, struct io_file **out)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_OPEN, sim_path_hash(path), flags)) {
        return ERR_CANCELLED;
    }
    sim_blocking_takes(s, 20 * SIM_US);
    struct sim_inode *inode = NULL;
    bool direct = (flags & IO_OPEN_DIRECT) != 0;
    err_t e = OK;
    if (direct && s->faults.refuse_direct) {
        e = ERR_UNSUPPORTED;
    }
    bool creates = (flags & IO_OPEN_CREATE) != 0;
    if (creates && !sim_touch(s, CALL_OPEN, path)) {
        return ERR_CANCELLED;
    }
    if (e == OK && creates && sim_room_is_out(s)) {
        e = ERR_NO_SPACE;
    }
    if (e == OK) {
        e = sim_disk_open(s->disk, path, creates, (flags & IO_OPEN_EXCLUSIVE) != 0, &inode);
    }
    e = sim_leave_err(s, CALL_OPEN, path, e);
    if (e != OK) {
        return e;
    }
    struct io_file *f = mem_alloc(sizeof *f);
    f->io = io;
    f->inode = inode;
    f->writable = (flags & IO_OPEN_WRITE) != 0;
    f->direct = direct;
    f->wal = strstr(path, "/wal/") != NULL;
    f->meta = strstr(path, "/meta/") != NULL;
    sim_inode_set_kind(inode, f->wal                            ? SIM_INODE_WAL
                              : f->meta                         ? SIM_INODE_MIRRORED
                              : strstr(path, "/packs/") != NULL ? SIM_INODE_PACK
                                                                : SIM_INODE_OTHER);
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    list_push_back(&s->files, &f->node);
    *out = f;
    return OK;
}

void sim_close(struct io *io, struct io_file *f)
{
    struct sim_io *s = sim_of(io);
    if (sim_enter(s, CALL_CLOSE, sim_inode_number(f->inode), 0)) {
        sim_disk_unlock(f->inode, f);
        (void)sim_leave(s, 0);
    }
    list_remove(&f->node);
    mem_free(f);
}

err_t sim_size(struct io *io, struct io_file *f, u64 *bytes)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_SIZE, sim_inode_number(f->inode), 0)) {
        return ERR_CANCELLED;
    }
    *bytes = sim_inode_size(f->inode);
    trace_number(s->world, *bytes);
    return sim_leave_err(s, CALL_SIZE, f->path, OK);
}

err_t sim_named(struct io *io, struct io_file *f, bool *named)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_NAMED, sim_inode_number(f->inode), 0)) {
        return ERR_CANCELLED;
    }
    *named = sim_disk_named(s->disk, f->inode);
    return sim_leave_err(s, CALL_NAMED, f->path, OK);
}

u32 sim_block_bytes(struct io *io, struct io_file *f)
{
    (void)io;
    (void)f;
    return BLOB_ALIGN;
}

err_t sim_allocate(struct io *io, struct io_file *f, u64 bytes)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_ALLOCATE, sim_inode_number(f->inode), bytes) ||
        !sim_touch(s, CALL_ALLOCATE, f->path)) {
        return ERR_CANCELLED;
    }
    sim_blocking_takes(s, 100 * SIM_US);
    assert(f->writable);
    err_t e = bytes > sim_inode_size(f->inode) && sim_room_is_out(s) ? ERR_NO_SPACE : OK;
    if (e == OK && bytes > sim_inode_size(f->inode)) {
        sim_disk_resize(s->disk, f->inode, bytes);
    }
    return sim_leave_err(s, CALL_ALLOCATE, f->path, e);
}

err_t sim_truncate(struct io *io, struct io_file *f, u64 bytes)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_TRUNCATE, sim_inode_number(f->inode), bytes) ||
        !sim_touch(s, CALL_TRUNCATE, f->path)) {
        return ERR_CANCELLED;
    }
    sim_blocking_takes(s, 50 * SIM_US);
    assert(f->writable);
    sim_disk_resize(s->disk, f->inode, bytes);
    return sim_leave_err(s, CALL_TRUNCATE, f->path, OK);
}

err_t sim_lock(struct io *io, struct io_file *f)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_LOCK, sim_inode_number(f->inode), 0)) {
        return ERR_CANCELLED;
    }
    return sim_leave_err(s, CALL_LOCK, f->path, sim_disk_lock(f->inode, f));
}

err_t sim_read_now(struct io *io, struct io_file *f, void *buf, size_t len, u64 offset,
                   size_t *moved)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_READ_NOW, sim_inode_number(f->inode), offset)) {
        return ERR_CANCELLED;
    }
    sim_blocking_takes(s, 100 * SIM_US);
    if (sim_fault_comes(s, &s->faults.read_fails_in)) {
        return sim_leave_err(s, CALL_READ_NOW, f->path, ERR_IO);
    }
    sim_disk_read(f->inode, buf, len, offset, moved);
    trace_bytes(s->world, buf, *moved);
    return sim_leave_err(s, CALL_READ_NOW, f->path, OK);
}

err_t sim_write_now(struct io *io, struct io_file *f, const void *buf, size_t len, u64 offset)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_WRITE_NOW, sim_inode_number(f->inode), offset) ||
        !sim_touch(s, CALL_WRITE_NOW, f->path)) {
        return ERR_CANCELLED;
    }
    trace_bytes(s->world, buf, len);
    sim_blocking_takes(s, 100 * SIM_US);
    assert(f->writable);
    bool grows = offset + len > sim_inode_size(f->inode);
    err_t e = OK;
    if (sim_fault_comes(s, &s->faults.write_fails_in)) {
        e = ERR_IO;
        sim_disk_write_fail(s->disk, sim_disk_write_begin(s->disk, f->inode, buf, len, offset));
    } else if (grows && sim_room_is_out(s)) {
        e = ERR_NO_SPACE;
    } else {
        sim_disk_write(s->disk, f->inode, buf, len, offset);
    }
    return sim_leave_err(s, CALL_WRITE_NOW, f->path, e);
}

err_t sim_sync_now(struct io *io, struct io_file *f)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_SYNC_NOW, sim_inode_number(f->inode), 0) ||
        !sim_touch(s, CALL_SYNC_NOW, f->path)) {
        return ERR_CANCELLED;
    }
    sim_blocking_takes(s, 500 * SIM_US);
    err_t e = sim_fault_comes(s, &s->faults.write_fails_in) ? ERR_IO : OK;
    if (e == OK) {
        sim_disk_sync(s->disk, f->inode);
    }
    return sim_leave_err(s, CALL_SYNC_NOW, f->path, e);
}

err_t sim_mkdir(struct io *io, const char *path)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_MKDIR, sim_path_hash(path), 0) || !sim_touch(s, CALL_MKDIR, path)) {
        return ERR_CANCELLED;
    }
    return sim_leave_err(s, CALL_MKDIR, path, sim_disk_mkdir(s->disk, path));
}

err_t sim_rename(struct io *io, const char *from, const char *to)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_RENAME, sim_path_hash(from), sim_path_hash(to)) ||
        !sim_touch(s, CALL_RENAME, to)) {
        return ERR_CANCELLED;
    }
    return sim_leave_err(s, CALL_RENAME, to, sim_disk_rename(s->disk, from, to));
}

err_t sim_link(struct io *io, const char *from, const char *to)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_LINK, sim_path_hash(from), sim_path_hash(to)) ||
        !sim_touch(s, CALL_LINK, to)) {
        return ERR_CANCELLED;
    }
    return sim_leave_err(s, CALL_LINK, to, sim_disk_link(s->disk, from, to));
}

err_t sim_unlink(struct io *io, const char *path)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_UNLINK, sim_path_hash(path), 0) || !sim_touch(s, CALL_UNLINK, path)) {
        return ERR_CANCELLED;
    }
    return sim_leave_err(s, CALL_UNLINK, path, sim_disk_unlink(s->disk, path));
}

err_t sim_sync_dir(struct io *io, const char *path)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_SYNC_DIR, sim_path_hash(path), 0) ||
        !sim_touch(s, CALL_SYNC_DIR, path)) {
        return ERR_CANCELLED;
    }
    sim_blocking_takes(s, 500 * SIM_US);
    err_t e =
        sim_fault_comes(s, &s->faults.write_fails_in) ? ERR_IO : sim_disk_sync_dir(s->disk, path);
    return sim_leave_err(s, CALL_SYNC_DIR, path, e);
}

struct listing {
    struct world *world;
    void (*each)(void *user, const char *name);
    void *user;
};

static void listing_name(void *user, const char *name)
{
    struct listing *l = user;
    trace_number(l->world, sim_path_hash(name));
    l->each(l->user, name);
}

err_t sim_list(struct io *io, const char *path, void (*each)(void *, const char *), void *user)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_LIST, sim_path_hash(path), 0)) {
        return ERR_CANCELLED;
    }
    struct listing l = {.world = s->world, .each = each, .user = user};
    return sim_leave_err(s, CALL_LIST, path, sim_disk_list(s->disk, path, listing_name, &l));
}

err_t sim_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes)
{
    struct sim_io *s = sim_of(io);
    if (!sim_enter(s, CALL_SPACE, sim_path_hash(path), 0)) {
        return ERR_CANCELLED;
    }
    *total_bytes = 64 * GIB;
    bool full = s->faults.full_in == 0 && s->faults.full_calls > 0;
    if (full) {
        s->faults.full_calls--; /* who only looks does not look in vain for ever */
    }
    *free_bytes = full ? 0 : 32 * GIB;
    return sim_leave_err(s, CALL_SPACE, path, OK);
}
