/* A home on disk in a directory of its own under /tmp, over the real border, with a table of border
   verbs that can be told to fail. What tests of the home on disk share. */
#pragma once

#include "../unit.h"

#include "frames.h"
#include "home/home.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXTENT_BYTES = 64 * KIB, FRAMES_MAX = 512, META_SLOTS_MAX = 600, META_BYTES_MAX = 300 };

/* ---- failing on purpose -----------------------------------------------------------------------
 */

enum fault_verb {
    FAULT_NONE,
    FAULT_WRITE, /* durable writes on the loop */
    FAULT_ALLOCATE,
    FAULT_SYNC_DIR,
    FAULT_SYNC,
    FAULT_WRITE_NOW,
    FAULT_HOLD,        /* one durable write on the loop takes until fault_release */
    FAULT_OPEN_DIRECT, /* refused as by a file system without O_DIRECT */
    FAULT_OPEN,
    FAULT_READ_NOW,
    FAULT_SIZE,
    FAULT_LOCK,
    FAULT_RENAME,
    FAULT_LINK,
    FAULT_UNLINK,
    FAULT_LIST,
    FAULT_READ,      /* reads on the loop */
    FAULT_HOLD_READ, /* one read on the loop takes until fault_release_read */
    FAULT_TRUNCATE,
    FAULT_NAMED,
    FAULT_SPACE, /* not an error: nothing is free */
};
static struct {
    struct io_backend table; /* what the io really uses */
    const struct io_backend *real;
    /* Set by the test, looked at by workers too. */
    _Atomic enum fault_verb verb;
    _Atomic u32 after; /* calls that still go well */
    _Atomic err_t error;
    _Atomic u32 hits;
    _Atomic u64 read_now_bytes; /* that blocking reads have moved */
    _Atomic u32 truncates;
    _Atomic u64 truncate_gap; /* the most that one of them took off */
    struct io_op *held;
    struct io_op *held_read;
} fault;

static inline bool fault_now(enum fault_verb verb)
{
    if (fault.verb != verb) {
        return false;
    }
    if (fault.after > 0) {
        fault.after--;
        return false;
    }
    fault.hits++;
    return true;
}

/* A transfer that ends with an error, in a later turn, and never reaches the file. */
struct fault_transfer {
    struct io_timer timer;
    struct io_op *op;
    err_t error;
};
static inline void fault_transfer_fired(struct io_timer *t)
{
    struct fault_transfer *w = CONTAINER_OF(t, struct fault_transfer, timer);
    struct io_op *op = w->op;
    i64 result = -(i64)w->error;
    mem_free(w);
    op->done(op, result);
}
static inline void fault_transfer_start(struct io *io, struct io_op *op)
{
    struct fault_transfer *w = mem_alloc(sizeof(*w));
    w->op = op;
    w->error = fault.error;
    w->timer.fired = fault_transfer_fired;
    io_timer_start(io, &w->timer, io_now_ns(io));
}
static inline void fault_writev(struct io *io, struct io_op *op)
{
    if (fault.held == NULL && fault_now(FAULT_HOLD)) {
        fault.held = op;
        return;
    }
    if (fault_now(FAULT_WRITE)) {
        fault_transfer_start(io, op);
        return;
    }
    fault.real->file_writev(io, op);
}
static inline void fault_release(struct io *io)
{
    assert_non_null(fault.held);
    struct io_op *op = fault.held;
    fault.verb = FAULT_NONE;
    fault.held = NULL;
    fault.real->file_writev(io, op);
}
static inline err_t fault_allocate(struct io *io, struct io_file *f, u64 bytes)
{
    return fault_now(FAULT_ALLOCATE) ? fault.error : fault.real->file_allocate(io, f, bytes);
}
static inline err_t fault_sync_dir(struct io *io, const char *path)
{
    return fault_now(FAULT_SYNC_DIR) ? fault.error : fault.real->sync_dir(io, path);
}
static inline err_t fault_sync_now(struct io *io, struct io_file *f)
{
    return fault_now(FAULT_SYNC) ? fault.error : fault.real->file_sync_now(io, f);
}
static inline err_t fault_write_now(struct io *io, struct io_file *f, const void *buf, size_t len,
                                    u64 offset)
{
    return fault_now(FAULT_WRITE_NOW) ? fault.error
                                      : fault.real->file_write_now(io, f, buf, len, offset);
}
static inline err_t fault_open(struct io *io, const char *path, u32 flags, struct io_file **out)
{
    if ((flags & IO_OPEN_DIRECT) && fault_now(FAULT_OPEN_DIRECT)) {
        return ERR_UNSUPPORTED;
    }
    if (fault_now(FAULT_OPEN)) {
        return fault.error;
    }
    return fault.real->file_open(io, path, flags, out);
}
static inline err_t fault_read_now(struct io *io, struct io_file *f, void *buf, size_t len,
                                   u64 offset, size_t *moved)
{
    if (fault_now(FAULT_READ_NOW)) {
        return fault.error;
    }
    err_t e = fault.real->file_read_now(io, f, buf, len, offset, moved);
    fault.read_now_bytes += e == OK ? *moved : 0;
    return e;
}
static inline err_t fault_size(struct io *io, struct io_file *f, u64 *bytes)
{
    return fault_now(FAULT_SIZE) ? fault.error : fault.real->file_size(io, f, bytes);
}
static inline err_t fault_named(struct io *io, struct io_file *f, bool *named)
{
    return fault_now(FAULT_NAMED) ? fault.error : fault.real->file_named(io, f, named);
}
static inline err_t fault_truncate(struct io *io, struct io_file *f, u64 bytes)
{
    u64 before;
    if (fault_now(FAULT_TRUNCATE)) {
        return fault.error;
    }
    if (fault.real->file_size(io, f, &before) == OK && before > bytes) {
        fault.truncates++;
        fault.truncate_gap = MAX(fault.truncate_gap, before - bytes);
    }
    return fault.real->file_truncate(io, f, bytes);
}
static inline err_t fault_space(struct io *io, const char *path, u64 *free_bytes, u64 *total_bytes)
{
    err_t e = fault.real->space(io, path, free_bytes, total_bytes);
    if (e == OK && fault_now(FAULT_SPACE)) {
        *free_bytes = 0;
    }
    return e;
}
static inline err_t fault_lock(struct io *io, struct io_file *f)
{
    return fault_now(FAULT_LOCK) ? fault.error : fault.real->file_lock(io, f);
}
static inline err_t fault_rename(struct io *io, const char *from, const char *to)
{
    return fault_now(FAULT_RENAME) ? fault.error : fault.real->rename(io, from, to);
}
static inline err_t fault_link(struct io *io, const char *from, const char *to)
{
    return fault_now(FAULT_LINK) ? fault.error : fault.real->link(io, from, to);
}
static inline err_t fault_unlink(struct io *io, const char *path)
{
    return fault_now(FAULT_UNLINK) ? fault.error : fault.real->unlink(io, path);
}
static inline err_t fault_list(struct io *io, const char *path,
                               void (*each)(void *user, const char *name), void *user)
{
    return fault_now(FAULT_LIST) ? fault.error : fault.real->list(io, path, each, user);
}
static inline void fault_readv(struct io *io, struct io_op *op)
{
    if (fault.held_read == NULL && fault_now(FAULT_HOLD_READ)) {
        fault.held_read = op;
        return;
    }
    if (fault_now(FAULT_READ)) {
        fault_transfer_start(io, op);
        return;
    }
    fault.real->file_readv(io, op);
}
static inline void fault_release_read(struct io *io)
{
    assert_non_null(fault.held_read);
    struct io_op *op = fault.held_read;
    fault.verb = FAULT_NONE;
    fault.held_read = NULL;
    fault.real->file_readv(io, op);
}
static inline void fault_install(struct io *io)
{
    memset(&fault, 0, sizeof(fault));
    fault.real = io->backend;
    fault.table = *io->backend;
    fault.table.file_writev = fault_writev;
    fault.table.file_allocate = fault_allocate;
    fault.table.sync_dir = fault_sync_dir;
    fault.table.file_sync_now = fault_sync_now;
    fault.table.file_write_now = fault_write_now;
    fault.table.file_open = fault_open;
    fault.table.file_read_now = fault_read_now;
    fault.table.file_size = fault_size;
    fault.table.file_named = fault_named;
    fault.table.file_truncate = fault_truncate;
    fault.table.space = fault_space;
    fault.table.file_lock = fault_lock;
    fault.table.rename = fault_rename;
    fault.table.link = fault_link;
    fault.table.unlink = fault_unlink;
    fault.table.list = fault_list;
    fault.table.file_readv = fault_readv;
    io->backend = &fault.table;
}
static inline void fault_set(enum fault_verb verb, u32 after, err_t error)
{
    fault.verb = verb;
    fault.after = after;
    fault.error = error;
    fault.hits = 0;
}

/* ---- the fixture -------------------------------------------------------------------------------
 */

struct fixture {
    struct rng rng;
    char dir[64]; /* the data directory, inside a temporary one */
    char base[64];
    struct io *io;
    struct quota quota;
    struct home *home;
    u64 spare_ns; /* of the homes to be opened */
    struct uuid cluster;
    /* what a replay delivered */
    bool snapshot_seen;
    u64 snapshot_slot;
    u64 meta_first;
    u64 meta_next;
    u32 meta_bytes[META_SLOTS_MAX];
    u8 meta_payload[META_SLOTS_MAX][META_BYTES_MAX];
    /* what a scan delivered */
    u64 scanned;
    u64 entries;
    u32 damaged;
    u64 damaged_slot;
    struct frame_header headers[FRAMES_MAX];
    /* what was written */
    bool wal_begun; /* in this session: an extent may be in the making */
    u64 wal;
    u64 nonce;
    u64 chain;
    u64 next_slot;
    u64 next_offset;
    u64 durable;
    u32 inflight;
    err_t last_result;
    u32 failures;
    struct made_frame frames[FRAMES_MAX];
    struct home_write writes[FRAMES_MAX];
    bool written[FRAMES_MAX];
};

static inline int tree_remove_one(const char *path, const struct stat *st, int kind,
                                  struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->rng = unit_rng();
    snprintf(f->base, sizeof(f->base), "/tmp/odradek-test-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    snprintf(f->dir, sizeof(f->dir), "%.40s/data", f->base);
    quota_init(&f->quota, "test", NULL, 64 * MIB);
    struct io_linux_params params = {0};
    assert_int_equal(io_linux_create(&params, &f->io), OK);
    fault_install(f->io);
}

static inline void fixture_frames_free(struct fixture *f)
{
    for (u32 i = 0; i < FRAMES_MAX; i++) {
        if (f->frames[i].memory != NULL) {
            made_frame_free(&f->frames[i]);
        }
    }
}

static inline void fixture_fini(struct fixture *f)
{
    fixture_frames_free(f);
    while (io_linux_busy(f->io)) { /* what the home left behind */
        io_turn(f->io, true);
    }
    io_destroy(f->io);
    assert_int_equal(f->quota.used, 0);
    nftw(f->base, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline err_t fixture_snapshot(void *user, u64 next_slot, struct slice payload)
{
    struct fixture *f = user;
    (void)payload;
    assert_false(f->snapshot_seen);
    f->snapshot_seen = true;
    f->snapshot_slot = next_slot;
    f->meta_first = next_slot;
    f->meta_next = next_slot;
    return OK;
}

static inline err_t fixture_slot(void *user, u64 slot, struct slice payload)
{
    struct fixture *f = user;
    assert_int_equal(slot, f->meta_next);
    assert_true(slot < META_SLOTS_MAX);
    assert_int_equal(payload.len, f->meta_bytes[slot]);
    assert_memory_equal(payload.ptr, f->meta_payload[slot], payload.len);
    f->meta_next++;
    return OK;
}

static inline err_t fixture_open_only(struct fixture *f, u32 canaries)
{
    struct home_disk_params params = {.directory = f->dir,
                                      .extent_bytes = EXTENT_BYTES,
                                      .spare_ns = f->spare_ns,
                                      .quota = &f->quota,
                                      .canaries = canaries};
    f->home = home_disk_create(f->io, &params);
    return home_open(f->home, &f->cluster);
}

static inline err_t fixture_replay(struct fixture *f)
{
    struct home_meta_visitor v = {.user = f, .snapshot = fixture_snapshot, .slot = fixture_slot};
    f->snapshot_seen = false;
    f->meta_next = 0;
    u64 next = 0;
    err_t e = home_meta_replay(f->home, &v, &next);
    if (e == OK) {
        assert_int_equal(next, f->meta_next);
    }
    return e;
}

static inline void fixture_open(struct fixture *f)
{
    err_t e = fixture_open_only(f, 0);
    if (e != OK) {
        print_message("home_open: %s\n", home_reason(f->home));
    }
    assert_int_equal(e, OK);
    e = fixture_replay(f);
    if (e != OK) {
        print_message("home_meta_replay: %s\n", home_reason(f->home));
    }
    assert_int_equal(e, OK);
}

/* The same over a home in memory. */
static inline void fixture_init_mem(struct fixture *f)
{
    fixture_init(f);
    f->home = home_mem_create(f->io);
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    assert_int_equal(fixture_replay(f), OK);
}

static inline void fixture_turns(struct fixture *f, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        io_turn(f->io, false);
    }
}

/* Ends the session without any farewell; work off the loop is waited for. */
static inline void fixture_close(struct fixture *f)
{
    for (u32 i = 0; i < (f->wal_begun ? 150 : 3); i++) {
        io_turn(f->io, false);
        usleep(200);
    }
    f->wal_begun = false;
    home_destroy(f->home);
    f->home = NULL;
    fixture_turns(f, 10);
}

/* ---- metadata ----------------------------------------------------------------------------------
 */

static inline struct slice meta_payload_make(struct fixture *f, u64 slot)
{
    assert_true(slot < META_SLOTS_MAX);
    f->meta_bytes[slot] = (u32)rng_below(&f->rng, META_BYTES_MAX + 1);
    rng_fill(&f->rng, f->meta_payload[slot], f->meta_bytes[slot]);
    return slice_of(f->meta_payload[slot], f->meta_bytes[slot]);
}

struct meta_wait {
    struct home_meta_write write;
    bool done;
    err_t result;
};
static inline void meta_wait_done(struct home_meta_write *w, err_t result)
{
    struct meta_wait *wait = CONTAINER_OF(w, struct meta_wait, write);
    assert_false(wait->done);
    wait->done = true;
    wait->result = result;
}

static inline err_t meta_write(struct fixture *f, u64 slot, struct slice payload, bool snapshot)
{
    struct meta_wait wait = {
        .write = {.done = meta_wait_done, .payload = payload, .slot = slot, .snapshot = snapshot}};
    home_meta_write(f->home, &wait.write);
    assert_false(wait.done); /* never inside the starting call */
    io_turn(f->io, false);   /* submits what was started outside of a turn */
    while (!wait.done) {
        io_turn(f->io, true);
    }
    return wait.result;
}

/* Writes slots [from, to), by turns blocking and not. */
static inline void meta_write_many(struct fixture *f, u64 from, u64 to)
{
    for (u64 slot = from; slot < to; slot++) {
        struct slice payload = meta_payload_make(f, slot);
        err_t e = slot % 2 == 0 ? home_meta_write_now(f->home, slot, payload)
                                : meta_write(f, slot, payload, false);
        assert_int_equal(e, OK);
    }
}

/* A directory of one session, for a cmocka test of which it is all. */
static inline int fixture_setup(struct fixture *f, void **state)
{
    fixture_init(f);
    fixture_open(f);
    meta_write_many(f, 0, 1);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fault_set(FAULT_NONE, 0, OK);
    fixture_close(f);
    fixture_fini(f);
    return 0;
}

/* ---- the WAL -----------------------------------------------------------------------------------
 */

static inline void fixture_written(struct home_write *w, err_t result)
{
    struct fixture *f = (struct fixture *)(uintptr_t)w->private_[3];
    f->inflight--;
    f->last_result = result;
    if (result != OK) {
        f->failures++;
        return;
    }
    f->written[w->slot] = true;
    while (f->durable < f->next_slot && f->written[f->durable]) {
        f->durable++;
    }
}

static inline void wal_begin(struct fixture *f, u64 wal)
{
    f->wal = wal;
    f->nonce = rng_next(&f->rng);
    f->chain = 0;
    f->next_slot = 0;
    f->durable = 0;
    memset(f->written, 0, sizeof(f->written));
    fixture_frames_free(f);
    assert_int_equal(home_wal_start(f->home, wal, f->nonce), OK);
    f->wal_begun = true;
}

/* Cuts the next slot: batches of up to batch_bytes_max bytes, or a MARK when there are none. */
static inline void wal_make_frame(struct fixture *f, u32 batches, u32 batch_bytes_max)
{
    assert_true(f->next_slot < FRAMES_MAX);
    struct frame_spec spec = {
        .kind = batches == 0 ? FRAME_MARK : FRAME_DATA,
        .cluster = f->cluster,
        .wal = f->wal,
        .slot = f->next_slot,
        .nonce = f->nonce,
        .chain = f->chain,
        .durable_slot = f->durable,
        .batch_count = batches,
        .batch_bytes_max = batch_bytes_max,
        .first_offset = f->next_offset,
    };
    struct made_frame *frame = &f->frames[f->next_slot];
    made_frame_make(&f->rng, &spec, frame);
    f->next_offset = frame->next_offset;
    f->chain = frame_header_hash(frame->data);
    f->next_slot++;
}

static inline void wal_submit(struct fixture *f, u64 slot)
{
    struct home_write *w = &f->writes[slot];
    *w = (struct home_write){.done = fixture_written,
                             .slot = slot,
                             .frame = f->frames[slot].data,
                             .bytes = f->frames[slot].bytes};
    w->private_[3] = (u64)(uintptr_t)f;
    f->inflight++;
    u32 before = f->inflight;
    home_wal_write(f->home, w);
    assert_int_equal(f->inflight, before);
}

static inline void wal_wait(struct fixture *f, u32 inflight)
{
    io_turn(f->io, false);
    while (f->inflight > inflight) {
        io_turn(f->io, true);
    }
}

static inline void wal_write_many(struct fixture *f, u32 count, u32 batches_max,
                                  u32 batch_bytes_max)
{
    for (u32 i = 0; i < count; i++) {
        wal_wait(f, FRAME_INFLIGHT_MAX - 1);
        wal_make_frame(f, (u32)rng_below(&f->rng, batches_max + 1), batch_bytes_max);
        wal_submit(f, f->next_slot - 1);
    }
    wal_wait(f, 0);
}

static inline err_t fixture_scan_slot(void *user, const struct frame_header *h,
                                      const struct frame_entry *entries, u32 count)
{
    struct fixture *f = user;
    assert_int_equal(h->slot, f->scanned);
    assert_true(f->scanned < FRAMES_MAX);
    assert_int_equal(h->index_count, count);
    f->headers[f->scanned] = *h;
    const struct made_frame *made = &f->frames[h->slot];
    if (made->memory != NULL && made->header.nonce == h->nonce) {
        assert_int_equal(made->header.index_count, count);
        assert_int_equal(made->header.total_bytes, h->total_bytes);
        assert_memory_equal(made->entries, entries, count * sizeof(*entries));
    }
    f->scanned++;
    f->entries += count;
    return OK;
}

static inline void fixture_scan_damaged(void *user, u64 wal, u64 slot,
                                        const struct frame_entry *entry)
{
    struct fixture *f = user;
    assert_int_equal(wal, f->wal);
    assert_int_equal(slot, f->scanned); /* before its slot is visited */
    assert_non_null(entry);
    f->damaged++;
    f->damaged_slot = slot;
}

/* f->scanned is then one behind the last slot delivered. */
static inline err_t wal_scan_from(struct fixture *f, u64 trim, u64 sealed_length, u64 *length)
{
    struct home_wal_visitor v = {
        .user = f, .slot = fixture_scan_slot, .damaged = fixture_scan_damaged};
    f->scanned = trim;
    f->entries = 0;
    f->damaged = 0;
    return home_wal_scan(f->home, f->wal, f->nonce, trim, sealed_length, &v, length);
}

static inline err_t wal_scan(struct fixture *f, u64 sealed_length, u64 *length)
{
    return wal_scan_from(f, 0, sealed_length, length);
}

struct read_wait {
    struct home_read read;
    bool done;
    err_t result;
};
static inline void read_wait_done(struct home_read *r, err_t result)
{
    struct read_wait *wait = CONTAINER_OF(r, struct read_wait, read);
    wait->done = true;
    wait->result = result;
}

static inline err_t wal_read(struct fixture *f, struct read_wait *wait)
{
    wait->done = false;
    wait->read.done = read_wait_done;
    home_wal_read(f->home, &wait->read);
    assert_false(wait->done);
    io_turn(f->io, false);
    while (!wait->done) {
        io_turn(f->io, true);
    }
    return wait->result;
}

/* ---- the files, behind the home's back ---------------------------------------------------------
 */

static inline void file_path(const struct fixture *f, const char *name, char out[200])
{
    snprintf(out, 200, "%s/%s", f->dir, name);
}

static inline void extent_name(const struct fixture *f, u32 number, char out[200])
{
    snprintf(out, 200, "%s/wal/%016llx-%08x", f->dir, (unsigned long long)f->wal, number);
}

static inline size_t file_get(const char *path, u8 **out)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    *out = mem_alloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
    close(fd);
    return (size_t)st.st_size;
}

static inline void file_put(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    close(fd);
}

static inline void file_poke(const char *path, u64 at, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, bytes, (off_t)at), bytes);
    close(fd);
}

static inline void file_flip(const char *path, u64 at)
{
    u8 byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x04;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static inline bool file_there(const char *path)
{
    return access(path, F_OK) == 0;
}
