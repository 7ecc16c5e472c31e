/* A committed offset is there after a restart, whichever read of that start fails: then either the
   start does, or the groups are loaded a little later. The broker runs on the simulated border. */
#include "../unit.h"

#include "broker/broker.h"
#include "sim/client.h"
#include "sim/sim_io.h"

enum { READS = 40, OFFSET = 42, TURNS_MAX = 200000 };

struct fixture {
    struct world world;
    struct rng rng;
    struct sim_disk *disk;
    struct sim_net *net;
    struct io *io;
    struct config *config;
    struct broker *broker;
    struct client client;
    struct call call;
    struct arena arena;
    bool connected;
    bool answered;
    i16 kerr;
    i64 offset;
};

static void stopped(void *user, err_t result)
{
    (void)user;
    (void)result;
}

static void on_connected(void *user)
{
    struct fixture *f = user;
    f->connected = true;
}

static err_t life_begin(struct fixture *f, i32 read_fails_in)
{
    const struct sim_io_params io = {
        .world = &f->world,
        .disk = f->disk,
        .net = f->net,
        .disk_usual_ns = 100 * SIM_US,
        .disk_rare_ns = 1 * SIM_MS,
        .faults = {.write_fails_in = SIM_NEVER,
                   .read_fails_in = read_fails_in,
                   .full_in = SIM_NEVER},
        .end = {.in_wal_write = SIM_NEVER, .in_meta_write = SIM_NEVER},
    };
    f->io = sim_io_create(&io);
    f->config = config_create();
    const struct broker_params params = {
        .io = f->io,
        .config = f->config,
        .data_directory = "data",
        .listen_host = "127.0.0.1",
        .listen_port = 9092,
        .memory_bytes = 32 * MIB,
        .extent_bytes = LOG_CHUNK_BYTES,
        .stopped = stopped,
        .user = f,
    };
    f->broker = broker_create(&params);
    f->connected = false;
    return broker_start(f->broker);
}

static void life_end(struct fixture *f)
{
    sim_io_die(f->io);
    broker_destroy(f->broker);
    sim_net_broker_gone(f->net);
    io_destroy(f->io);
    config_destroy(f->config);
    (void)sim_disk_process_end(f->disk);
    sim_disk_late_arrive(f->disk);
    world_run(&f->world, 1 * SIM_S); /* the client learns it */
}

static void turn_until(struct fixture *f, const bool *done)
{
    for (u32 turns = 0; !*done; turns++) {
        assert_true(turns < TURNS_MAX);
        io_turn(f->io, true);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void decode(struct call *call, struct slice body, struct arena *arena, void *out)
{
    assert_int_equal(wire_decode(call->api->response, call->version, body, arena, out, NULL), OK);
}

static void find_done(struct call *call, err_t result, struct slice body)
{
    struct fixture *f = CONTAINER_OF(call, struct fixture, call);
    struct find_coordinator_response r;
    assert_int_equal(result, OK);
    decode(call, body, &f->arena, &r);
    f->kerr = r.error_code;
    f->answered = true;
}

static void find(struct fixture *f)
{
    struct find_coordinator_request r;
    wire_init(find_coordinator_request_def.body, &r);
    r.key = slice_cstr("g");
    f->answered = false;
    client_send(&f->client, &f->call, API_find_coordinator, 3, &r, find_done);
    turn_until(f, &f->answered);
    assert_int_equal(f->kerr, KERR_NONE);
}

static void create_done(struct call *call, err_t result, struct slice body)
{
    struct fixture *f = CONTAINER_OF(call, struct fixture, call);
    struct metadata_response r;
    assert_int_equal(result, OK);
    decode(call, body, &f->arena, &r);
    assert_int_equal(r.topics.count, 1);
    f->kerr = r.topics.items[0].error_code;
    f->answered = true;
}

static void topic_create(struct fixture *f)
{
    struct metadata_request_topic topic = {.name = slice_cstr("t")};
    struct metadata_request r;
    wire_init(metadata_request_def.body, &r);
    r.topics.items = &topic;
    r.topics.count = 1;
    r.allow_auto_topic_creation = true;
    do {
        f->answered = false;
        client_send(&f->client, &f->call, API_metadata, 8, &r, create_done);
        turn_until(f, &f->answered);
    } while (f->kerr == KERR_LEADER_NOT_AVAILABLE);
    assert_int_equal(f->kerr, KERR_NONE);
}

static void commit_done(struct call *call, err_t result, struct slice body)
{
    struct fixture *f = CONTAINER_OF(call, struct fixture, call);
    struct offset_commit_response r;
    assert_int_equal(result, OK);
    decode(call, body, &f->arena, &r);
    assert_int_equal(r.topics.count, 1);
    f->kerr = r.topics.items[0].partitions.items[0].error_code;
    f->answered = true;
}

static void commit(struct fixture *f)
{
    struct offset_commit_request_partition partition;
    wire_init(&offset_commit_request_partition_struct, &partition);
    partition.committed_offset = OFFSET;
    struct offset_commit_request_topic topic = {.name = slice_cstr("t")};
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct offset_commit_request r;
    wire_init(offset_commit_request_def.body, &r);
    r.group_id = slice_cstr("g");
    r.topics.items = &topic;
    r.topics.count = 1;
    f->answered = false;
    client_send(&f->client, &f->call, API_offset_commit, 5, &r, commit_done);
    turn_until(f, &f->answered);
    assert_int_equal(f->kerr, KERR_NONE);
}

static void fetch_done(struct call *call, err_t result, struct slice body)
{
    struct fixture *f = CONTAINER_OF(call, struct fixture, call);
    struct offset_fetch_response r;
    assert_int_equal(result, OK);
    decode(call, body, &f->arena, &r);
    f->kerr = r.error_code;
    f->offset = f->kerr == KERR_NONE ? r.topics.items[0].partitions.items[0].committed_offset : -1;
    f->answered = true;
}

/* Asks until the groups are loaded. */
static void fetch(struct fixture *f)
{
    i32 index = 0;
    struct offset_fetch_request_topic topic = {.name = slice_cstr("t")};
    topic.partition_indexes.items = &index;
    topic.partition_indexes.count = 1;
    struct offset_fetch_request r;
    wire_init(offset_fetch_request_def.body, &r);
    r.group_id = slice_cstr("g");
    r.topics.items = &topic;
    r.topics.count = 1;
    do {
        f->answered = false;
        client_send(&f->client, &f->call, API_offset_fetch, 5, &r, fetch_done);
        turn_until(f, &f->answered);
    } while (f->kerr == KERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(f->kerr, KERR_NONE);
}

/* ---- test ------------------------------------------------------------------------------------ */

static void test_offsets_outlive_a_failed_read(void **state)
{
    (void)state;
    struct fixture f = {0};
    world_init(&f.world, 1, false);
    rng_seed(&f.rng, 1);
    f.disk = sim_disk_create(&f.rng);
    const struct sim_net_knobs knobs = {
        .pipe_bytes = 64 * KIB, .delay_ns = 50 * SIM_US, .delay_rare_ns = 1 * SIM_MS};
    f.net = sim_net_create(&f.world, &knobs);
    arena_init(&f.arena, NULL, 16 * KIB, 0);
    assert_int_equal(life_begin(&f, SIM_NEVER), OK);
    const struct client_handler handler = {.connected = on_connected, .user = &f};
    client_init(&f.client, &f.world, f.net, "test", 60 * SIM_S, &handler);
    turn_until(&f, &f.connected);
    find(&f);
    topic_create(&f);
    commit(&f);
    life_end(&f);
    u32 after_the_start = 0;
    for (i32 read = 0; read < READS; read++) {
        err_t e = life_begin(&f, read);
        if (e == OK) {
            turn_until(&f, &f.connected);
            fetch(&f);
            assert_int_equal(f.offset, OFFSET);
            after_the_start += sim_io_faulted(f.io);
        } else {
            assert_int_equal(e, ERR_IO);
        }
        life_end(&f);
    }
    assert_true(after_the_start > 0); /* one of them was a read of the offsets */
    client_fini(&f.client);
    arena_fini(&f.arena);
    sim_net_destroy(f.net);
    sim_disk_destroy(f.disk);
    world_fini(&f.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_outlive_a_failed_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
