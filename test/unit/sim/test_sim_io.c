/* The simulated border keeps the contract of io.h: completions come later and once, durable writes
   are durable, work runs in a later turn, time jumps to timers; faults come when asked for; after
   the end nothing happens any more; and the same seed gives the same hash. */
#include "../unit.h"

#include "sim/sim_io.h"

enum { BLOCK = 4096 };

struct fixture {
    struct world world;
    struct rng disk_rng;
    struct sim_disk *disk;
    struct sim_net *net;
    struct io *io;
    struct io_op op;
    struct io_op other;
    struct io_vec vec;
    u32 done;
    i64 result;
    u32 worked;
    u8 *block;
};

static struct sim_watch watch; /* of the fixtures made from now on */

static struct fixture *fixture_create(u64 seed, const struct sim_faults *faults,
                                      const struct sim_end_plan *end)
{
    struct fixture *f = mem_alloc(sizeof *f);
    world_init(&f->world, seed, false);
    rng_seed(&f->disk_rng, seed);
    f->disk = sim_disk_create(&f->disk_rng);
    const struct sim_net_knobs net = {
        .pipe_bytes = 4096, .delay_ns = SIM_MS, .delay_rare_ns = SIM_MS};
    f->net = sim_net_create(&f->world, &net);
    const struct sim_io_params params = {
        .watch = watch,
        .world = &f->world,
        .disk = f->disk,
        .net = f->net,
        .disk_usual_ns = 100 * SIM_US,
        .disk_rare_ns = 10 * SIM_MS,
        .faults = *faults,
        .end = *end,
    };
    f->io = sim_io_create(&params);
    f->block = mem_alloc(2 * BLOCK);
    f->vec = (struct io_vec){f->block + BLOCK - (uintptr_t)f->block % BLOCK, BLOCK};
    memset(f->vec.data, 0x5a, BLOCK);
    return f;
}

static const struct sim_faults no_faults = {
    .write_fails_in = SIM_NEVER, .read_fails_in = SIM_NEVER, .full_in = SIM_NEVER};
static const struct sim_end_plan no_end = {.in_wal_write = SIM_NEVER, .in_meta_write = SIM_NEVER};

static struct fixture *fixture_plain(u64 seed)
{
    return fixture_create(seed, &no_faults, &no_end);
}

static void fixture_destroy(struct fixture *f)
{
    io_destroy(f->io);
    sim_net_destroy(f->net);
    sim_disk_destroy(f->disk);
    world_fini(&f->world);
    mem_free(f->block);
    mem_free(f);
}

static struct fixture *of(struct io_op *op)
{
    return CONTAINER_OF(op, struct fixture, op);
}

static void on_done(struct io_op *op, i64 result)
{
    of(op)->done++;
    of(op)->result = result;
}

static struct io_file *file_make(struct fixture *f)
{
    struct io_file *file;
    assert_int_equal(io_mkdir(f->io, "data"), OK);
    assert_int_equal(io_mkdir(f->io, "data/wal"), OK);
    assert_int_equal(
        io_file_open(f->io, "data/wal/0", IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, &file),
        OK);
    assert_int_equal(io_file_allocate(f->io, file, 4 * BLOCK), OK);
    assert_int_equal(io_file_sync_now(f->io, file), OK);
    assert_int_equal(io_sync_dir(f->io, "."), OK);
    assert_int_equal(io_sync_dir(f->io, "data"), OK);
    assert_int_equal(io_sync_dir(f->io, "data/wal"), OK);
    return file;
}

static void write_start(struct fixture *f, struct io_file *file)
{
    f->op.done = on_done;
    io_file_writev(f->io, &f->op, file, &f->vec, 1, BLOCK, true);
    assert_int_equal(f->done, 0); /* never inside the call that starts it */
}

static void turns_until_done(struct fixture *f)
{
    for (u32 i = 0; i < 100 && f->done == 0; i++) {
        io_turn(f->io, true);
    }
}

static void test_write_is_durable_when_done(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < 50; seed++) {
        struct fixture *f = fixture_plain(seed);
        write_start(f, file_make(f));
        turns_until_done(f);
        assert_int_equal(f->done, 1);
        assert_int_equal(f->result, BLOCK);
        sim_io_die(f->io);
        sim_disk_power_cut(f->disk);
        struct sim_inode *n;
        assert_int_equal(sim_disk_open(f->disk, "data/wal/0", false, false, &n), OK);
        u8 found[BLOCK];
        size_t moved;
        sim_disk_read(n, found, BLOCK, BLOCK, &moved);
        assert_memory_equal(found, f->vec.data, BLOCK);
        fixture_destroy(f);
    }
}

static void work(void *arg)
{
    struct fixture *f = arg;
    assert_int_equal(f->done, 0);
    f->worked++;
}

static void test_work_runs_later(void **state)
{
    (void)state;
    struct fixture *f = fixture_plain(3);
    f->op.done = on_done;
    io_work(f->io, &f->op, work, f);
    assert_int_equal(f->worked, 0);
    turns_until_done(f);
    assert_int_equal(f->worked, 1);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->result, 0);
    fixture_destroy(f);
}

static u64 fired_ns;
static void on_fired(struct io_timer *t)
{
    (void)t;
    fired_ns++;
}

static void test_time_jumps_to_timers(void **state)
{
    (void)state;
    struct fixture *f = fixture_plain(3);
    struct io_timer t = {.fired = on_fired};
    u64 hour_ns = 3600 * SIM_S;
    u64 start_ns = io_now_ns(f->io);
    i64 start_ms = io_wall_ms(f->io);
    io_timer_start(f->io, &t, start_ns + hour_ns);
    fired_ns = 0;
    io_turn(f->io, true);
    assert_int_equal(fired_ns, 1);
    assert_true(io_now_ns(f->io) >= start_ns + hour_ns);
    assert_true(io_wall_ms(f->io) >= start_ms + 3600000);
    fixture_destroy(f);
}

static void test_faults(void **state)
{
    (void)state;
    struct sim_faults faults = no_faults;
    faults.read_fails_in = 1;
    faults.full_in = 2;
    faults.full_calls = 1;
    struct fixture *f = fixture_create(3, &faults, &no_end);
    struct io_file *file = file_make(f); /* makes a file and allocates: two calls for room */
    u8 byte;
    size_t moved;
    assert_int_equal(io_file_read_now(f->io, file, &byte, 1, 0, &moved), OK);
    assert_false(sim_io_faulted(f->io));
    assert_int_equal(io_file_read_now(f->io, file, &byte, 1, 0, &moved), ERR_IO);
    assert_true(sim_io_faulted(f->io));
    assert_int_equal(io_file_read_now(f->io, file, &byte, 1, 0, &moved), OK);
    assert_int_equal(io_file_allocate(f->io, file, 8 * BLOCK), ERR_NO_SPACE);
    assert_int_equal(io_file_allocate(f->io, file, 8 * BLOCK), OK);
    struct sim_faults next = no_faults;
    next.write_fails_in = 0;
    sim_io_faults(f->io, &next);
    write_start(f, file);
    turns_until_done(f);
    assert_int_equal(f->result, -(i64)ERR_IO);
    fixture_destroy(f);
}

static void test_refused_direct(void **state)
{
    (void)state;
    struct sim_faults faults = no_faults;
    faults.refuse_direct = true;
    struct fixture *f = fixture_create(3, &faults, &no_end);
    struct io_file *file;
    assert_int_equal(
        io_file_open(f->io, "f", IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT, &file),
        ERR_UNSUPPORTED);
    assert_int_equal(io_file_open(f->io, "f", IO_OPEN_WRITE | IO_OPEN_CREATE, &file), OK);
    fixture_destroy(f);
}

static void test_end_at_call(void **state)
{
    (void)state;
    struct sim_end_plan end = no_end;
    end.at_call = 3;
    struct fixture *f = fixture_create(3, &no_faults, &end);
    struct io_file *file = NULL;
    assert_int_equal(io_mkdir(f->io, "a"), OK);
    assert_int_equal(io_mkdir(f->io, "b"), OK);
    assert_int_equal(io_file_open(f->io, "f", IO_OPEN_WRITE | IO_OPEN_CREATE, &file),
                     ERR_CANCELLED);
    assert_null(file);
    assert_true(sim_io_dead(f->io));
    assert_int_equal(io_mkdir(f->io, "c"), ERR_CANCELLED);
    assert_int_equal(sim_disk_mkdir(f->disk, "c"), OK); /* it had no effect */
    fixture_destroy(f);
}

/* The write is neither told nor whole for sure, and nothing runs any more. */
static void test_end_in_a_wal_write(void **state)
{
    (void)state;
    u32 torn = 0;
    for (u64 seed = 0; seed < 100; seed++) {
        struct sim_end_plan end = no_end;
        end.in_wal_write = 0;
        struct fixture *f = fixture_create(seed, &no_faults, &end);
        write_start(f, file_make(f));
        for (u32 i = 0; i < 10; i++) {
            io_turn(f->io, true);
        }
        assert_true(sim_io_dead(f->io));
        assert_true(sim_io_died_in_wal_write(f->io));
        assert_int_equal(f->done, 0);
        sim_disk_power_cut(f->disk);
        struct sim_inode *n;
        assert_int_equal(sim_disk_open(f->disk, "data/wal/0", false, false, &n), OK);
        u8 found[BLOCK];
        size_t moved;
        sim_disk_read(n, found, BLOCK, BLOCK, &moved);
        torn += memcmp(found, f->vec.data, BLOCK) != 0;
        fixture_destroy(f);
    }
    assert_true(torn > 10);
    assert_true(torn < 100);
}

static u64 hash_of_a_run(u64 seed)
{
    struct fixture *f = fixture_plain(seed);
    struct io_file *file = file_make(f);
    write_start(f, file);
    turns_until_done(f);
    u8 bytes[16];
    io_random(f->io, bytes, sizeof bytes);
    (void)!io_file_write_now(f->io, file, bytes, sizeof bytes, 0);
    u64 hash = f->world.hash;
    fixture_destroy(f);
    return hash;
}

static void test_same_seed_same_hash(void **state)
{
    (void)state;
    assert_int_equal(hash_of_a_run(5), hash_of_a_run(5));
    assert_int_not_equal(hash_of_a_run(5), hash_of_a_run(6));
}

struct watched {
    u32 moments;
    u32 die_at;
    char calls[1024];
};

static bool on_moment(void *user, const struct sim_moment *m)
{
    struct watched *w = user;
    size_t len = strlen(w->calls);
    (void)snprintf(w->calls + len, sizeof w->calls - len, "%s%s %s,", m->after ? "" : "> ", m->call,
                   m->path);
    return ++w->moments == w->die_at;
}

static void watched_run(struct watched *w)
{
    watch = (struct sim_watch){.moment = on_moment, .user = w};
    struct fixture *f = fixture_plain(3);
    watch = (struct sim_watch){0};
    struct io_file *file = NULL;
    u64 size;
    err_t e = io_mkdir(f->io, "wal");
    e = e == OK ? io_file_open(f->io, "wal/0", IO_OPEN_WRITE | IO_OPEN_CREATE, &file) : e;
    e = e == OK ? io_file_size(f->io, file, &size) : e;
    e = e == OK ? io_rename(f->io, "wal/0", "wal/1") : e;
    if (e == OK) {
        write_start(f, file);
        turns_until_done(f);
    }
    assert_int_equal(sim_io_dead(f->io), w->moments == w->die_at);
    assert_int_equal(f->done, !sim_io_dead(f->io));
    struct sim_inode *n;
    bool made = sim_disk_open(f->disk, "wal/0", false, false, &n) == OK;
    bool renamed = sim_disk_open(f->disk, "wal/1", false, false, &n) == OK;
    if (w->die_at > 0) { /* before the call nothing of it, after it all of it */
        assert_int_equal(made, w->die_at == 4 || w->die_at == 5);
        assert_int_equal(renamed, w->die_at >= 6);
    }
    if (renamed) {
        assert_int_equal(sim_inode_size(n), w->die_at == 0 || w->die_at >= 10 ? 2 * BLOCK : 0);
    }
    fixture_destroy(f);
}

/* Every call that changes the disk is announced and told, no other is; and the io can die at each.
 */
static void test_watch(void **state)
{
    (void)state;
    struct watched whole = {0};
    watched_run(&whole);
    assert_string_equal(whole.calls, "> mkdir wal,mkdir wal,> open wal/0,open wal/0,> rename wal/1,"
                                     "rename wal/1,> writev wal/0,writev wal/0,> writev wal/0,"
                                     "writev wal/0,");
    for (u32 at = 1; at <= whole.moments; at++) {
        struct watched w = {.die_at = at};
        watched_run(&w);
        assert_int_equal(w.moments, at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_is_durable_when_done),
        cmocka_unit_test(test_work_runs_later),
        cmocka_unit_test(test_time_jumps_to_timers),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_refused_direct),
        cmocka_unit_test(test_end_at_call),
        cmocka_unit_test(test_end_in_a_wal_write),
        cmocka_unit_test(test_same_seed_same_hash),
        cmocka_unit_test(test_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
