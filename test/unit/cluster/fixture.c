/* See fixture.h. */
#include "fixture.h"

#include <dirent.h>
#include <ftw.h>
#include <unistd.h>

/* ---- the border, with faults ----------------------------------------------------------------- */

static struct {
    struct io_backend table;
    const struct io_backend *real;
    enum fault fault;
    u32 after;
    u64 writes;
    u32 now_error; /* err_t; workers read it */
    u32 now_after;
    u32 allocate_error;
    err_t sync_dir_error; /* on the loop, at start */
    u32 sync_dir_after;
    struct {
        struct io_op *op;
        io_done_fn done;
    } inflight[64]; /* writes and work that the real one has */
    u32 inflight_count;
} border;

static void border_done(struct io_op *op, i64 result)
{
    u32 at = 0;
    while (border.inflight[at].op != op) {
        at++;
        assert_true(at < border.inflight_count);
    }
    op->done = border.inflight[at].done;
    border.inflight_count--;
    border.inflight[at] = border.inflight[border.inflight_count];
    op->done(op, result);
}

static void border_follow(struct io_op *op)
{
    assert_true(border.inflight_count < ARRAY_LEN(border.inflight));
    border.inflight[border.inflight_count].op = op;
    border.inflight[border.inflight_count].done = op->done;
    border.inflight_count++;
    op->done = border_done;
}

static void border_work(struct io *io, struct io_op *op)
{
    border_follow(op);
    border.real->work(io, op);
}

struct failing {
    struct io_timer timer;
    struct io_op *op;
};
static void failing_fired(struct io_timer *t)
{
    struct failing *failing = CONTAINER_OF(t, struct failing, timer);
    struct io_op *op = failing->op;
    mem_free(failing);
    op->done(op, -(i64)ERR_IO);
}

static void keep_write(struct io *io, const struct io_op *op)
{
    u64 offset = op->offset;
    for (u32 i = 0; i < op->vec_count; i++) {
        err_t e =
            border.real->file_write_now(io, op->file, op->vecs[i].data, op->vecs[i].len, offset);
        assert_int_equal(e, OK);
        offset += op->vecs[i].len;
    }
}

static void border_writev(struct io *io, struct io_op *op)
{
    border.writes += op->durable;
    bool now = op->durable && border.fault != FAULT_NONE && border.after == 0;
    border.after -= op->durable && border.fault != FAULT_NONE && border.after > 0;
    if (!now) {
        border_follow(op);
        border.real->file_writev(io, op);
    } else if (border.fault == FAULT_KEEP) {
        keep_write(io, op);
    } else if (border.fault == FAULT_FAIL) {
        struct failing *failing = mem_alloc(sizeof(*failing));
        failing->timer.fired = failing_fired;
        failing->op = op;
        io_timer_start(io, &failing->timer, io_now_ns(io));
    }
}

/* Asked by workers too. */
static err_t verb_error(void)
{
    err_t e = (err_t)__atomic_load_n(&border.now_error, __ATOMIC_RELAXED);
    if (e == OK) {
        return OK;
    }
    if (__atomic_load_n(&border.now_after, __ATOMIC_RELAXED) == 0) {
        return e;
    }
    __atomic_fetch_sub(&border.now_after, 1, __ATOMIC_RELAXED);
    return OK;
}

static err_t border_write_now(struct io *io, struct io_file *f, const void *buf, size_t len,
                              u64 offset)
{
    err_t e = verb_error();
    return e != OK ? e : border.real->file_write_now(io, f, buf, len, offset);
}

static err_t border_sync_now(struct io *io, struct io_file *f)
{
    err_t e = verb_error();
    return e != OK ? e : border.real->file_sync_now(io, f);
}

static err_t border_allocate(struct io *io, struct io_file *f, u64 bytes)
{
    err_t e = (err_t)__atomic_load_n(&border.allocate_error, __ATOMIC_RELAXED);
    e = e != OK ? e : verb_error();
    return e != OK ? e : border.real->file_allocate(io, f, bytes);
}

static err_t border_sync_dir(struct io *io, const char *path)
{
    if (border.sync_dir_error != OK && border.sync_dir_after-- == 0) {
        return border.sync_dir_error;
    }
    return border.real->sync_dir(io, path);
}

static void border_install(struct io *io)
{
    border.real = io->backend;
    border.table = *io->backend;
    border.table.work = border_work;
    border.table.file_writev = border_writev;
    border.table.file_write_now = border_write_now;
    border.table.file_sync_now = border_sync_now;
    border.table.file_allocate = border_allocate;
    border.table.sync_dir = border_sync_dir;
    io->backend = &border.table;
}

void fault_set(enum fault fault, u32 after)
{
    border.fault = fault;
    border.after = after;
}

void fault_now_set(err_t error, u32 after)
{
    __atomic_store_n(&border.now_after, after, __ATOMIC_RELAXED);
    __atomic_store_n(&border.now_error, (u32)error, __ATOMIC_RELAXED);
}

void fault_sync_dir_set(err_t error, u32 after)
{
    border.sync_dir_error = error;
    border.sync_dir_after = after;
}

void fault_allocate_set(err_t error)
{
    __atomic_store_n(&border.allocate_error, (u32)error, __ATOMIC_RELAXED);
}

u64 durable_writes(void)
{
    return border.writes;
}

/* ---- lives ----------------------------------------------------------------------------------- */

void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    memset(&border, 0, sizeof(border));
    f->rng = unit_rng();
    f->log_quota_bytes = 256 * MIB;
    f->extent_bytes = 4 * MIB;
    snprintf(f->base, sizeof(f->base), "/tmp/odradek-test-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    snprintf(f->dir, sizeof(f->dir), "%.40s/data", f->base);
}

static int tree_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void fixture_fini(struct fixture *f)
{
    if (f->io != NULL) {
        fixture_crash(f);
    }
    nftw(f->base, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void fixture_fenced(void *user, err_t why)
{
    struct fixture *f = user;
    assert_int_equal(why, ERR_IO);
    f->fenced_calls++;
}

static void log_fenced(void *user, err_t why)
{
    (void)user;
    (void)why;
}

static void create_home(struct fixture *f)
{
    quota_init(&f->quota, "test", NULL, f->log_quota_bytes);
    struct io_linux_params params = {0};
    assert_int_equal(io_linux_create(&params, &f->io), OK);
    border_install(f->io);
    struct home_disk_params disk = {
        .directory = f->dir,
        .extent_bytes = f->extent_bytes,
        .quota = NULL,
    };
    f->home = home_disk_create(f->io, &disk);
}

void fixture_create(struct fixture *f)
{
    assert_null(f->io);
    create_home(f);
    struct log_params log = {
        .io = f->io,
        .home = f->home,
        .quota = &f->quota,
        .hot_bytes = f->log_quota_bytes / 2,
        .cold_bytes = 8 * MIB,
        .inflight_max = FRAME_INFLIGHT_MAX,
        .producer_expiry_ms = 86400000,
        .fenced = log_fenced,
        .user = f,
    };
    f->log = log_create(&log);
    struct cluster_params cluster = {
        .io = f->io,
        .home = f->home,
        .log = f->log,
        .node_id = 1,
        .snapshot_every = f->snapshot_every,
        .fenced = fixture_fenced,
        .user = f,
    };
    f->cluster = cluster_create(&cluster);
}

void fixture_start(struct fixture *f)
{
    fixture_create(f);
    err_t e = cluster_start(f->cluster);
    if (e != OK) {
        fail_msg("start: %s: %s", err_name(e), cluster_reason(f->cluster));
    }
}

/* Nothing more is begun, and what kernel and workers have comes back: their memory goes now, and
   their files must be closed before the next life locks them. The home goes first: it forgets the
   writes that log and cluster own. */
void fixture_crash(struct fixture *f)
{
    fault_set(FAULT_LOSE, 0);
    while (border.inflight_count > 0) {
        io_turn(f->io, true);
    }
    home_destroy(f->home);
    cluster_destroy(f->cluster);
    log_destroy(f->log);
    assert_int_equal(border.inflight_count, 0);
    io_destroy(f->io);
    fault_set(FAULT_NONE, 0);
    fault_now_set(OK, 0);
    fault_allocate_set(OK);
    f->io = NULL;
    f->home = NULL;
    f->log = NULL;
    f->cluster = NULL;
}

static void drained(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

void fixture_stop(struct fixture *f)
{
    bool done = false;
    cluster_drain(f->cluster, drained, &done);
    turns_until(f, &done);
    fixture_crash(f);
}

void fixture_restart(struct fixture *f)
{
    fixture_crash(f);
    fixture_start(f);
}

static void too_late(struct io_timer *t)
{
    (void)t;
    fail_msg("nothing came within 20 seconds");
}

void turns_until(struct fixture *f, const bool *flag)
{
    struct io_timer guard = {.fired = too_late};
    io_timer_start(f->io, &guard, io_now_ns(f->io) + 20ull * 1000000000);
    io_turn(f->io, false); /* what was begun outside a turn may wake nobody */
    while (!*flag) {
        io_turn(f->io, true);
    }
    io_timer_stop(f->io, &guard);
}

void turns(struct fixture *f, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        io_turn(f->io, false);
    }
}

void settle(struct fixture *f)
{
    do {
        io_turn(f->io, false);
        while (border.inflight_count > 0) {
            io_turn(f->io, true);
        }
        io_turn(f->io, false);
    } while (border.inflight_count > 0);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void append_done(struct metalog_append *append, err_t result,
                        const struct meta_outcome *outcomes)
{
    struct appended *a = CONTAINER_OF(append, struct appended, append);
    assert_false(a->done);
    assert_int_equal(result != OK, outcomes == NULL);
    a->done = true;
    a->result = result;
    for (u32 i = 0; result == OK && i < MIN(a->count, (u32)ARRAY_LEN(a->outcomes)); i++) {
        a->outcomes[i] = outcomes[i];
    }
}

void append_start(struct fixture *f, struct appended *a, const struct meta_command *commands,
                  u32 count)
{
    memset(a, 0, sizeof(*a));
    a->count = count;
    a->append.done = append_done;
    a->append.commands = commands;
    a->append.command_count = count;
    metalog_append(f->cluster, &a->append);
    assert_false(a->done);
}

void append_wait(struct fixture *f, struct appended *a, const struct meta_command *commands,
                 u32 count)
{
    append_start(f, a, commands, count);
    turns_until(f, &a->done);
    assert_int_equal(a->result, OK);
}

i16 apply_one(struct fixture *f, const struct meta_command *c)
{
    static struct appended a;
    append_wait(f, &a, c, 1);
    return a.outcomes[0].kerr;
}

struct meta_command create_command(struct fixture *f, const char *name, u32 partitions)
{
    struct meta_command c = {
        .kind = META_CREATE_TOPIC,
        .create_topic = {.name = slice_cstr(name), .partition_count = partitions},
    };
    io_random(f->io, c.create_topic.id.bytes, sizeof(c.create_topic.id.bytes));
    return c;
}

const struct meta_topic *find_topic(struct fixture *f, const char *name)
{
    return meta_topic_by_name(cluster_meta(f->cluster), slice_cstr(name));
}

const struct meta_topic *make_topic(struct fixture *f, const char *name, u32 partitions)
{
    struct meta_command c = create_command(f, name, partitions);
    assert_int_equal(apply_one(f, &c), KERR_NONE);
    return find_topic(f, name);
}

void delete_topic(struct fixture *f, const char *name)
{
    struct meta_command c = {.kind = META_DELETE_TOPIC,
                             .delete_topic = {.id = find_topic(f, name)->id}};
    assert_int_equal(apply_one(f, &c), KERR_NONE);
    assert_null(find_topic(f, name));
}

/* ---- records --------------------------------------------------------------------------------- */

static struct partition *partition_at(struct fixture *f, const char *topic, i32 partition)
{
    const struct meta_topic *t = find_topic(f, topic);
    assert_non_null(t);
    struct partition *p = cluster_partition(f->cluster, t, partition);
    assert_non_null(p);
    return p;
}

void produce(struct fixture *f, const char *topic, i32 partition, u64 *slot)
{
    struct batch_builder_options options = batch_builder_plain();
    struct batch_builder builder;
    batch_builder_init(&builder, &options);
    f->batches++;
    assert_int_equal(batch_builder_add(&builder, (i64)f->batches, (struct slice){0},
                                       slice_of(&f->batches, sizeof(f->batches)), NULL, 0),
                     OK);
    struct slice bytes;
    assert_int_equal(batch_builder_finish(&builder, &bytes), OK);
    struct batch_view view;
    assert_int_equal(batch_view_parse(bytes, &view), OK);
    assert_true(log_room(f->log, bytes.len));
    struct append_result result;
    partition_append(partition_at(f, topic, partition), &view, false, &result);
    assert_int_equal(result.kerr, KERR_NONE);
    if (slot != NULL) {
        *slot = result.slot;
    }
    batch_builder_fini(&builder);
}

struct produced {
    struct log_waiter waiter;
    bool done;
};
static void produced_done(struct log_waiter *w, err_t result)
{
    assert_int_equal(result, OK);
    CONTAINER_OF(w, struct produced, waiter)->done = true;
}

void produce_wait(struct fixture *f, const char *topic, i32 partition)
{
    u64 slot;
    produce(f, topic, partition, &slot);
    struct produced p = {.waiter = {.done = produced_done}};
    log_wait(f->log, &p.waiter, slot);
    turns_until(f, &p.done);
}

u64 end_offset(struct fixture *f, const char *topic, i32 partition)
{
    struct partition_info info;
    partition_info(partition_at(f, topic, partition), &info);
    return info.log_end_offset;
}

/* ---- files ------------------------------------------------------------------------- */

u32 count_files(struct fixture *f, const char *folder, const char *prefix)
{
    char path[128];
    snprintf(path, sizeof(path), "%.60s/%.20s", f->dir, folder);
    DIR *d = opendir(path);
    assert_non_null(d);
    u32 count = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        count += e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    }
    closedir(d);
    return count;
}

static err_t ignore_payload(void *user, u64 slot, struct slice payload)
{
    (void)user;
    (void)slot;
    (void)payload;
    return OK;
}

void write_slot_by_hand(struct fixture *f, struct slice payload)
{
    assert_null(f->io);
    create_home(f);
    struct uuid id;
    assert_int_equal(home_open(f->home, &id), OK);
    const struct home_meta_visitor visitor = {.snapshot = ignore_payload, .slot = ignore_payload};
    u64 slot;
    assert_int_equal(home_meta_replay(f->home, &visitor, &slot), OK);
    assert_int_equal(home_meta_write_now(f->home, slot, payload), OK);
    home_destroy(f->home);
    io_destroy(f->io);
    f->home = NULL;
    f->io = NULL;
}

struct slice payload_of(const struct meta_command *commands, u32 count)
{
    size_t size = sizeof(u32);
    for (u32 i = 0; i < count; i++) {
        size += meta_command_size(&commands[i]);
    }
    u8 *bytes = mem_alloc(size);
    struct writer w = writer_of(bytes, size);
    write_le32(&w, count);
    for (u32 i = 0; i < count; i++) {
        meta_command_encode(&commands[i], &w);
    }
    assert_false(w.failed);
    return slice_of(bytes, size);
}

void payload_free(struct slice s)
{
    mem_free((void *)(uintptr_t)s.ptr);
}
