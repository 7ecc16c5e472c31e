/* The broker as a whole: parts, memory budget, start and stop.

   Start: home -> log -> cluster_start (metadata replay, takeover of the predecessor's WAL) ->
   listener. Stop: listener closed, parked requests answered or their connections closed, the rest
   of the log filed, drained and sealed, stopped(). */
#include "broker/conn.h"
#include "broker/coordinator.h"
#include "broker/loggers.h"
#include "broker/retention.h"
#include "broker/scrub.h"
#include "broker/traffic.h"

#include <stdio.h>
#include <string.h>

#define DRAIN_POLL_NS (20ull * 1000 * 1000)
#define DRAIN_MAX_NS  (5ull * 1000 * 1000 * 1000)

static void log_fenced(void *user, err_t why);
static void log_unreadable(void *user, err_t why, bool home_knows);
static void topic_deleted(void *user, const struct meta_topic *topic);

struct broker *broker_create(const struct broker_params *params)
{
    struct broker *b = mem_alloc(sizeof *b);
    b->params = *params;
    b->io = params->io;
    b->config = params->config;
    b->log_level = log_level_of(b->config);
    list_init(&b->conns);
    list_init(&b->active_conns);
    map_slice_init(&b->peers);
    list_init(&b->dirty_conns);
    list_init(&b->starved_conns);
    list_init(&b->ready_waiters);
    list_init(&b->parked_fetches);
    list_init(&b->jobs);
    b->go_on_timer.fired = conns_go_on;
    b->resume_timer.fired = conns_resume;
    b->sweep_timer.fired = conns_sweep;
    b->idle_timer.fired = conns_expire_idle;
    b->accept_timer.fired = conns_accept_again;

    u64 sixteenth = params->memory_bytes / 16;
    quota_init(&b->memory.root, "memory", NULL, params->memory_bytes);
    quota_init(&b->memory.log, "log", &b->memory.root, 11 * sixteenth);
    quota_init(&b->memory.receive, "receive", &b->memory.root, 3 * sixteenth);
    quota_init(&b->memory.requests, "requests", &b->memory.root, 2 * sixteenth);
    b->memory.hot_bytes = 7 * sixteenth;
    b->memory.cold_bytes = 2 * sixteenth;
    /* The reserve holds the largest frame, and what its connection had when it got there. */
    u64 reserve = b->memory.receive.cap / 16 * 9;
    b->receive_ordinary_bytes = b->memory.receive.cap - reserve;
    i64 configured = config_i64(b->config, CONFIG_socket_request_max_bytes);
    b->request_bytes_max = (i32)MIN((u64)configured, reserve - 2 * CONN_RECEIVE_BYTES);

    decompressor_init(&b->scratch, &b->memory.requests);
    u32 crowd = (u32)(b->receive_ordinary_bytes / CONN_RECEIVE_BYTES);
    b->receive_kept = MIN(crowd / 16, 8u);
    blob_pool_init(&b->receive_pool, "receive", &b->memory.receive, CONN_RECEIVE_BYTES, crowd);
    u32 keep_large = (u32)MIN(b->receive_ordinary_bytes / (4 * CONN_LARGE_BYTES), 16u);
    blob_pool_init(&b->large_pool, "receive, large", &b->memory.receive, CONN_LARGE_BYTES,
                   keep_large);
    pool_init(&b->request_pool, "requests", &b->memory.requests, sizeof(struct request), 65536);
    pool_init(&b->conn_pool, "connections", &b->memory.requests, sizeof(struct conn), 65536);
    pool_init(&b->peer_pool, "peers", &b->memory.requests, sizeof(struct conn_peer), 65536);
    b->traffic = traffic_create();
    return b;
}

static void conn_hook_run(struct io_hook *h)
{
    conns_flush(CONTAINER_OF(h, struct broker, conn_hook));
}

static void waiter_hook_run(struct io_hook *h)
{
    fetch_waiters_run(CONTAINER_OF(h, struct broker, waiter_hook));
}

static void stretch_filed(void *user, const struct log_filed *filed)
{
    struct broker *b = user;
    if ((b->params.log_canaries & LOG_CANARY_TRIM_EARLY) != 0) {
        home_wal_trim(b->home, filed->wal, filed->to);
    }
    cluster_file(b->cluster, filed);
}

static void packs_rewritten(void *user, const struct log_repacked *repacked)
{
    struct broker *b = user;
    cluster_repack(b->cluster, repacked);
}

/* The home says in its own words why; what and next come from the kind of failure. */
static void storage_failed(struct broker *b, err_t e)
{
    static const struct {
        err_t e;
        enum diag_code code;
        const char *what;
        const char *next;
    } kinds[] = {
        {ERR_LOCKED, MSG_data_locked, "the data directory is in use by another broker", ""},
        {ERR_VERSION, MSG_data_foreign, "the data directory is not one that this program reads",
         ""},
        {ERR_CORRUPT, MSG_data_damaged, "the data directory is damaged",
         "odradek doctor --data DIR tells the whole extent, and what a repair would cost"},
        {ERR_DENIED, MSG_data_unusable, "the data directory cannot be used",
         "give this user the right to write there, or name another with --data DIR"},
        {ERR_NO_SPACE, MSG_data_unusable, "the data directory cannot be used",
         "make space on its file system, or name another with --data DIR"},
        {OK, MSG_data_unusable, "the data directory cannot be used",
         "look at the path and at the disk, or name another with --data DIR"},
    };
    u32 i = 0;
    while (kinds[i].e != OK && kinds[i].e != e) {
        i++;
    }
    snprintf(b->reason, sizeof b->reason, "%s", cluster_reason(b->cluster));
    b->reason_code = kinds[i].code;
    b->reason_what = kinds[i].what;
    b->reason_next = kinds[i].next;
}

static err_t broker_start_storage(struct broker *b)
{
    struct home_disk_params disk = {
        .directory = b->params.data_directory,
        .extent_bytes = b->params.extent_bytes,
        .spare_ns = b->params.spare_ns,
        .quota = &b->memory.log,
        .canaries = b->params.home_canaries,
    };
    b->home = b->params.home != NULL ? b->params.home : home_disk_create(b->io, &disk);
    struct log_params log = {
        .io = b->io,
        .home = b->home,
        .quota = &b->memory.log,
        .hot_bytes = b->memory.hot_bytes,
        .cold_bytes = b->memory.cold_bytes,
        .inflight_max = FRAME_INFLIGHT_MAX,
        .producer_expiry_ms = config_i64(b->config, CONFIG_producer_id_expiration_ms),
        .wal_bytes_max = b->params.wal_bytes_max,
        .stretch_bytes = b->params.stretch_bytes,
        .keep_run_bytes = b->params.keep_run_bytes,
        .keep_always = b->params.keep_always,
        .file_delay_ms = b->params.file_delay_ms,
        .file = stretch_filed,
        .repack = packs_rewritten,
        .damaged = scrub_damaged,
        .start_packs = b->params.start_packs,
        .unreadable = log_unreadable,
        .canaries = b->params.log_canaries,
        .fenced = log_fenced,
        .user = b,
    };
    b->log = log_create(&log);
    struct cluster_params cluster = {
        .io = b->io,
        .home = b->home,
        .log = b->log,
        .node_id = BROKER_NODE_ID,
        .snapshot_every = b->params.snapshot_every,
        .fenced = log_fenced,
        .topic_deleted = topic_deleted,
        .user = b,
    };
    b->cluster = cluster_create(&cluster);
    err_t e = cluster_start(b->cluster);
    if (e != OK) {
        storage_failed(b, e);
    }
    return e;
}

static void topic_deleted(void *user, const struct meta_topic *topic)
{
    struct broker *b = user;
    traffic_topic_gone(b->traffic, topic->id);
    if (b->coordinator != NULL) {
        coordinator_topic_deleted(b->coordinator, topic->name, topic->id);
    }
}

/* ---- listeners ------------------------------------------------------------------------------- */

/* Without a host: every interface, of both families where the machine has both. */
static MUST_USE err_t listen_at(struct broker *b, struct broker_listener *l)
{
    const struct config_listener *at = &l->config;
    if (at->host[0] == 0 &&
        io_listen(b->io, "::", at->port, conn_accepted, l, &l->listener) == OK) {
        return OK;
    }
    const char *host = at->host[0] == 0 ? "0.0.0.0" : at->host;
    return io_listen(b->io, host, at->port, conn_accepted, l, &l->listener);
}

static void listen_failed(struct broker *b, const struct config_listener *at, err_t e)
{
    char owner[96];
    bool v6 = strchr(at->host, ':') != NULL;
    bool taken = e == ERR_ADDRESS && io_port_owner(at->port, owner, sizeof owner);
    snprintf(b->reason, sizeof b->reason, "cannot listen on %s%s%s:%u (%s): %s%s", v6 ? "[" : "",
             at->host, v6 ? "]" : "", at->port, at->name,
             taken              ? "the port is taken by "
             : e == ERR_ADDRESS ? "the address is taken by another program, cannot be resolved, or "
                                  "is not one of this machine"
             : e == ERR_DENIED  ? "this user may not; ports below 1024 need a right of their own"
                                : err_name(e),
             taken ? owner : "");
    b->reason_code = MSG_start_listen;
    b->reason_what = "the broker cannot listen where it should";
    b->reason_next = "choose another address with --listen HOST:PORT (port 0 picks a free one), or "
                     "stop who has it";
}

static void listeners_close(struct broker *b)
{
    for (u32 i = 0; i < b->listener_count; i++) {
        io_listener_close(b->io, b->listeners[i].listener);
        b->listeners[i].listener = NULL;
    }
    b->listener_count = 0;
}

/* The one listener of tests and of the simulator, with what advertised.listeners says of it. */
static void listener_alone(const struct broker *b, struct config_listeners *out)
{
    struct config_problems problems;
    config_problems_init(&problems);
    config_listeners_read(b->config, out, &problems);
    config_problems_fini(&problems);
    out->count = 1;
    out->items[0].port = b->params.listen_port;
    snprintf(out->items[0].host, sizeof out->items[0].host, "%s", b->params.listen_host);
}

/* All or none. */
static MUST_USE err_t listeners_open(struct broker *b)
{
    struct config_listeners alone;
    const struct config_listeners *wanted = b->params.listeners;
    if (wanted == NULL) {
        listener_alone(b, &alone);
        wanted = &alone;
    }
    for (u32 i = 0; i < wanted->count; i++) {
        struct broker_listener *l = &b->listeners[i];
        *l = (struct broker_listener){.broker = b, .config = wanted->items[i]};
        err_t e = listen_at(b, l);
        if (e != OK) {
            listen_failed(b, &l->config, e);
            listeners_close(b);
            return e;
        }
        io_listener_address(l->listener, &l->address);
        b->listener_count = i + 1;
    }
    b->address = b->listeners[0].address;
    return OK;
}

err_t broker_start(struct broker *b)
{
    TRY(broker_start_storage(b));
    config_refresh(b->config, cluster_meta(b->cluster));
    b->fetch_sessions = fetch_sessions_create(b);
    b->coordinator = coordinator_create(b);
    b->conn_hook.run = conn_hook_run;
    io_hook_add(b->io, &b->conn_hook, IO_HOOK_CONN);
    b->waiter_hook.run = waiter_hook_run;
    io_hook_add(b->io, &b->waiter_hook, IO_HOOK_WAITERS);
    TRY(listeners_open(b));
    coordinator_start(b->coordinator);
    retention_start(b);
    settings_follow(b);
    return OK;
}

const char *broker_reason(const struct broker *b)
{
    return b->reason;
}

struct diag_problem broker_problem(const struct broker *b)
{
    return (struct diag_problem){b->reason_code, b->reason_what, b->reason, b->reason_next};
}

void settings_follow(struct broker *b)
{
    scrub_configure(b);
    log_level_follow(b);
}

void broker_configured(struct broker *b)
{
    settings_follow(b);
    conns_limit_turn(b);
}

void broker_address(const struct broker *b, struct io_address *out)
{
    *out = b->address;
}

void broker_note_http(struct broker *b, const char *address)
{
    snprintf(b->http_address, sizeof b->http_address, "%s", address);
}

u32 broker_listener_count(const struct broker *b)
{
    return b->listener_count;
}

const char *broker_listener(const struct broker *b, u32 index, struct io_address *out)
{
    *out = b->listeners[index].address;
    return b->listeners[index].config.name;
}

struct log *broker_log(struct broker *b)
{
    return b->log;
}

struct cluster *broker_cluster(struct broker *b)
{
    return b->cluster;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* A durable write failed: nothing of it was acknowledged and nothing more will be (reliability.md
 * R9). */
static void log_fenced(void *user, err_t why)
{
    struct broker *b = user;
    if (b->fenced) {
        return;
    }
    b->fenced = true;
    diag(MSG_home_fenced, D_STR("directory", b->params.data_directory),
         D_STR("error", err_name(why)));
    b->params.stopped(b->params.user, ERR_IO);
}

/* The start was right to begin with what was good; now it is refused all the same. Nothing was
   answered that depends on what is bad. */
static void log_unreadable(void *user, err_t why, bool home_knows)
{
    struct broker *b = user;
    if (b->fenced) {
        return;
    }
    b->fenced = true;
    storage_failed(b, cluster_explain_packs(b->cluster, why, home_knows));
    b->reason_next = "keep this directory: records that were acknowledged since this start are in "
                     "it too, and in no backup; odradek doctor --data DIR tells the whole extent, "
                     "and what a repair would cost";
    const struct diag_field fields[] = {D_STR("why", b->reason), D_STR("next", b->reason_next)};
    diag_event_(b->reason_code, fields, ARRAY_LEN(fields));
    b->params.stopped(b->params.user, why);
}

static void log_drain_done(void *user, err_t result)
{
    struct broker *b = user;
    b->log_drained = true;
    conns_close_all(b);
    if (!b->fenced) {
        b->params.stopped(b->params.user, result);
    }
}

/* Requests in flight get their answers; those still parked when nothing moves any more are closed
   with their connections. Then what is in the WAL is filed, so that the next start finds it in
   packs. */
static void drain_step(struct io_timer *t)
{
    struct broker *b = CONTAINER_OF(t, struct broker, drain_timer);
    u64 now = io_now_ns(b->io);
    if (conns_busy(b) > 0 && now < b->drain_deadline_ns) {
        io_timer_start(b->io, t, now + DRAIN_POLL_NS);
        return;
    }
    bool lasts = b->params.home == NULL; /* what is in memory goes with us */
    if (lasts && !log_rest_is_filed(b->log) && now < b->drain_deadline_ns) {
        log_file_rest(b->log);
        io_timer_start(b->io, t, now + DRAIN_POLL_NS);
        return;
    }
    cluster_drain(b->cluster, log_drain_done, b);
}

u64 broker_decompress_bytes(const struct broker *b)
{
    return MIN(b->memory.root.cap / 8 + DECOMPRESS_CONTEXT_BYTES_MAX, b->memory.root.cap / 4);
}

void broker_stop(struct broker *b)
{
    if (b->stopping) {
        return;
    }
    b->stopping = true;
    diag0(MSG_stopping);
    listeners_close(b);
    conns_stop_reading(b);
    fetch_waiters_expire(b);
    retention_stop(b);
    b->drain_timer.fired = drain_step;
    b->drain_deadline_ns = io_now_ns(b->io) + DRAIN_MAX_NS;
    io_timer_start(b->io, &b->drain_timer, io_now_ns(b->io));
}

void broker_destroy(struct broker *b)
{
    conns_close_all(b);
    listeners_close(b);
    io_timer_stop(b->io, &b->go_on_timer);
    io_timer_stop(b->io, &b->resume_timer);
    io_timer_stop(b->io, &b->sweep_timer);
    io_timer_stop(b->io, &b->idle_timer);
    io_timer_stop(b->io, &b->accept_timer);
    io_timer_stop(b->io, &b->drain_timer);
    if (list_linked(&b->conn_hook.node)) {
        io_hook_remove(&b->conn_hook);
        io_hook_remove(&b->waiter_hook);
    }
    retention_stop(b);
    if (b->coordinator != NULL) {
        coordinator_destroy(b->coordinator);
    }
    if (b->fetch_sessions != NULL) {
        fetch_sessions_destroy(b->fetch_sessions);
    }
    if (b->cluster != NULL) {
        cluster_destroy(b->cluster);
    }
    if (b->log != NULL) {
        log_destroy(b->log);
    }
    if (b->home != NULL) {
        home_destroy(b->home);
    }
    while (!list_empty(&b->jobs)) {
        struct broker_job *job = CONTAINER_OF(list_first(&b->jobs), struct broker_job, node);
        job->drop(job);
    }
    decompressor_fini(&b->scratch);
    pool_fini(&b->request_pool);
    pool_fini(&b->conn_pool);
    pool_fini(&b->peer_pool);
    map_slice_fini(&b->peers);
    blob_pool_fini(&b->receive_pool);
    blob_pool_fini(&b->large_pool);
    traffic_destroy(b->traffic);
    mem_free(b);
}

void broker_print_stats(struct broker *b)
{
    metric_set(METRIC_memory_used_bytes, b->memory.root.used);
    struct diag_field fields[METRIC_COUNT];
    for (u32 i = 0; i < METRIC_COUNT; i++) {
        fields[i] = D_UINT(metric_rows[i].name, metric_read((enum metric)i));
    }
    diag_event_(MSG_stats, fields, METRIC_COUNT);
}
