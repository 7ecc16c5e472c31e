/* What the files of the simulated io share. Only they include this.

     sim_io.c        the end, the passing of every call, turns, operations, sockets, life
     sim_io_files.c  the blocking verbs: files by name, and what is in them */
#pragma once

#include "sim/sim_io.h"

enum call {
    CALL_RANDOM,
    CALL_WORK,
    CALL_CANCEL,
    CALL_SIGNALS,
    CALL_OPEN,
    CALL_CLOSE,
    CALL_SIZE,
    CALL_NAMED,
    CALL_BLOCK_BYTES,
    CALL_ALLOCATE,
    CALL_TRUNCATE,
    CALL_LOCK,
    CALL_READ_NOW,
    CALL_WRITE_NOW,
    CALL_SYNC_NOW,
    CALL_MKDIR,
    CALL_RENAME,
    CALL_LINK,
    CALL_UNLINK,
    CALL_SYNC_DIR,
    CALL_LIST,
    CALL_SPACE,
    CALL_READV,
    CALL_WRITEV,
    CALL_SYNC,
    CALL_LISTEN,
    CALL_LISTENER_CLOSE,
    CALL_HANDLE,
    CALL_WANT,
    CALL_RECV,
    CALL_SEND,
    CALL_SHUTDOWN,
    CALL_SOCK_CLOSE,
    CALL_COUNT
};
struct io_file {
    struct io *io;
    struct list_node node; /* in sim_io.files */
    struct sim_inode *inode;
    bool writable;
    bool direct;
    bool wal;
    bool meta;
    char path[128];
};

struct io_listener {
    struct io *io;
};

enum op_kind { OP_READ, OP_WRITE, OP_SYNC, OP_WORK, OP_WORK_DONE };

/* An io_op on its way. io_op.private_[0] points here. */
struct sim_op {
    struct world_event event;
    struct list_node node; /* in sim_io.ops */
    struct sim_io *io;
    struct io_op *op;
    enum op_kind kind;
    bool cancelled;
    bool fails;
    bool wal;
    struct sim_inode *inode;
    struct sim_write *write;
    u64 bytes;
    u32 crc; /* of a write's bytes when it began: nobody may change them before it ends */
    u64 mark;
};

struct sim_io {
    struct io base;
    struct world *world;
    struct sim_disk *disk;
    struct sim_net *net;
    u64 disk_usual_ns;
    u64 disk_rare_ns;
    struct sim_faults faults;
    struct sim_end_plan end;
    struct sim_watch watch;
    struct sim_moment touching; /* the call under way that changes the disk; .call NULL: none */
    struct world_event end_event;
    bool dead;
    bool died_in_wal_write;
    bool faulted;
    u64 calls;
    struct list files;
    struct list ops;
    u32 op_count;
    struct io_listener listener;
    struct rng rng; /* what io_random gives */
};

static inline struct sim_io *sim_of(const struct io *io)
{
    return CONTAINER_OF(io, struct sim_io, base);
}

/* Every verb begins with it: counted and hashed. false: the io is dead, nothing happens. */
bool sim_enter(struct sim_io *s, enum call call, u64 a, u64 b);
/* The disk is about to be changed; false: it is not, the end has come. */
bool sim_touch(struct sim_io *s, enum call call, const char *path);
/* Every verb ends with it: its answer, unless the end comes in between. */
i64 sim_leave(struct sim_io *s, i64 result);
err_t sim_leave_err(struct sim_io *s, enum call call, const char *path, err_t e);
void sim_blocking_takes(struct sim_io *s, u64 usual_ns);
bool sim_fault_comes(struct sim_io *s, i32 *countdown);
bool sim_room_is_out(struct sim_io *s); /* for this call, which needs some */
u64 sim_path_hash(const char *path);

/* sim_io_files.c */
err_t sim_open(struct io *io, const char *path, u32 flags, struct io_file **out);
void sim_close(struct io *io, struct io_file *f);
err_t sim_size(struct io *io, struct io_file *f, u64 *bytes);
err_t sim_named(struct io *io, struct io_file *f, bool *named);
u32 sim_block_bytes(struct io *io, struct io_file *f);
err_t sim_allocate(struct io *io, struct io_file *f, u64 bytes);
err_t sim_truncate(struct io *io, struct io_file *f, u64 bytes);
err_t sim_lock(struct io *io, struct io_file *f);
err_t sim_read_now(struct io *io, struct io_file *f, void *buf, size_t len, u64 offset,
                   size_t *moved);
err_t sim_write_now(struct io *io, struct io_file *f, const void *buf, size_t len, u64 offset);
err_t sim_sync_now(struct io *io, struct io_file *f);
err_t sim_mkdir(struct io *io, const char *path);
err_t sim_rename(struct io *io, const char *from, const char *to);
err_t sim_link(struct io *io, const char *from, const char *to);
err_t sim_unlink(struct io *io, const char *path);
err_t sim_sync_dir(struct io *io, const char *path);
err_t sim_list(struct io *io, const char *path, void (*each)(void *, const char *), void *user);
err_t sim_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes);
