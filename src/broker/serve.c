/* `odradek serve` and `odradek dev`, from options to exit code: configuration, io, broker, the
   Ready line, signals. */
#include "broker/serve.h"

#include "broker/config_live.h"
#include "broker/config_rows.h"
#include "broker/loggers.h"
#include "broker/monitor.h"
#include "broker/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX    (1 * GIB)
#define WATCH_NS      (100ull * 1000 * 1000)
#define MEMORY_NAME   "(memory)"
#define ADDRESS_BYTES 80

struct serve {
    const struct serve_options *options;
    struct io *io;
    struct broker *broker;
    struct config_live live;
    struct notify notify;
    struct monitor *monitor;     /* NULL: no HTTP port */
    struct io_timer watch_timer; /* runs when an end outside is waited for */
    u32 parent;
    int exit_code;
};

static int serve_refuse(enum diag_code code, const char *what, const char *why, const char *next)
{
    diag_problem_print(&(struct diag_problem){code, what, why, next});
    return SERVE_EXIT_FAILED;
}

static void serve_stopped(void *user, err_t result)
{
    struct serve *s = user;
    s->exit_code = result == OK ? SERVE_EXIT_OK : SERVE_EXIT_STORAGE;
    io_stop(s->io);
}

static void serve_signal(void *user, enum io_signal signal)
{
    struct serve *s = user;
    switch (signal) {
    case IO_SIGNAL_STOP:
        notify_stopping(&s->notify);
        broker_stop(s->broker);
        break;
    case IO_SIGNAL_STATS:
        broker_print_stats(s->broker);
        break;
    case IO_SIGNAL_RELOAD:
        config_live_reload(&s->live);
        break;
    }
}

/* Looks whether who it was started for is still there. */
static void watch_fired(struct io_timer *t)
{
    struct serve *s = CONTAINER_OF(t, struct serve, watch_timer);
    bool orphaned = s->options->with_parent && io_parent() != s->parent;
    orphaned |= s->options->parent != 0 && io_process_gone(s->options->parent);
    bool ended = s->options->until_eof && io_input_ended();
    if (orphaned || ended) {
        serve_signal(s, IO_SIGNAL_STOP);
        return;
    }
    io_timer_start(s->io, t, io_now_ns(s->io) + WATCH_NS);
}

static enum io_files_mode files_mode(const struct config *config)
{
    struct slice mode = config_str(config, CONFIG_odradek_io);
    return slice_eq_cstr(mode, "uring")     ? IO_FILES_URING
           : slice_eq_cstr(mode, "threads") ? IO_FILES_THREADS
                                            : IO_FILES_AUTO;
}

/* The words of odradek.log.format, as the row lists them. */
static void configure_diagnostics(const struct config *config)
{
    static const char *const formats[] = {
        [DIAG_AUTO] = "auto", [DIAG_TEXT] = "text", [DIAG_JSON] = "json"};
    enum diag_format format = DIAG_AUTO;
    for (u32 i = 0; i < ARRAY_LEN(formats); i++) {
        bool is = slice_eq_cstr(config_str(config, CONFIG_odradek_log_format), formats[i]);
        format = is ? (enum diag_format)i : format;
    }
    diag_configure(format, log_level_of(config));
}

/* What nobody has set is taken from what there is. 0: that is too little. */
static u64 memory_bytes(const struct config *config)
{
    u64 asked = (u64)config_i64(config, CONFIG_odradek_memory);
    u64 machine = io_machine_memory();
    if (asked != 0 || machine / 2 < CONFIG_MEMORY_BYTES_MIN) {
        return asked;
    }
    return MIN(MAX(machine / 4, (u64)CONFIG_MEMORY_BYTES_MIN), MEMORY_MAX);
}

static int memory_refuse(void)
{
    char why[160];
    snprintf(why, sizeof why,
             "this machine or cgroup has %llu MiB; a broker needs at least 16 MiB of buffers, and "
             "as much beside them",
             (unsigned long long)(io_machine_memory() >> 20));
    return serve_refuse(MSG_start_memory, "there is too little memory for a broker", why,
                        "raise the limit of the cgroup to 64 MiB, or set --memory yourself");
}

static void print_address(const struct io_address *at, char *out)
{
    bool v6 = strchr(at->host, ':') != NULL;
    snprintf(out, ADDRESS_BYTES, "%s%s%s:%u", v6 ? "[" : "", at->host, v6 ? "]" : "", at->port);
}

static void print_ready(const struct serve *s, u64 started_ns)
{
    const struct broker *b = s->broker;
    struct io_address at;
    char address[ADDRESS_BYTES];
    unsigned long long ms = (unsigned long long)((io_clock_ns() - started_ns + 500000) / 1000000);
    printf("odradek %s  data %s  durability %s  files %s%s\n", s->options->version,
           s->options->in_memory ? "in memory" : b->params.data_directory,
           s->options->in_memory ? "none: records go with this process" : "every acknowledgement",
           io_files_mode_name(b->io),
           home_is_direct(b->home) ? "" : ", buffered: the file system refuses O_DIRECT");
    if (s->monitor != NULL) {
        char http[ADDRESS_BYTES];
        monitor_address(s->monitor, http, sizeof http);
        printf(" HTTP http://%s/  with /metrics, /livez, /readyz, /healthz\n", http);
    }
    for (u32 i = 0; i < broker_listener_count(b) && broker_listener_count(b) > 1; i++) {
        const char *name = broker_listener(b, i, &at);
        print_address(&at, address);
        printf(" Kafka %s  (%s, plaintext)\n", address, name);
    }
    broker_address(b, &at);
    print_address(&at, address);
    printf("Ready in %llu ms on %s. Try:  odradek pub -b %s demo 'hello'   then   odradek tail -b "
           "%s demo\n",
           ms, address, address, address);
    fflush(stdout);
    diag(MSG_ready, D_STR("address", address), D_UINT("ms", ms));
}

/* Whole or not at all: a script may look at any time. */
static bool port_file_write(const struct serve *s)
{
    const char *path = s->options->port_file;
    if (path == NULL) {
        return true;
    }
    char address[ADDRESS_BYTES];
    char other[4096];
    struct io_address at;
    broker_address(s->broker, &at);
    print_address(&at, address);
    int len = snprintf(other, sizeof other, "%s.new", path);
    FILE *f = len < (int)sizeof other ? fopen(other, "we") : NULL;
    bool written = f != NULL && fprintf(f, "%s\n", address) > 0;
    written = (f == NULL || fclose(f) == 0) && written;
    return written && io_rename(s->io, other, path) == OK;
}

static int serve_loop(struct serve *s, const struct broker_params *params, u64 started_ns)
{
    struct monitor_problem problem;
    if (monitor_create(s->io, params->config, &problem, &s->monitor) != OK) {
        return serve_refuse(problem.code, problem.what, problem.why, problem.next);
    }
    s->broker = broker_create(params);
    if (broker_start(s->broker) != OK) {
        struct diag_problem of_broker = broker_problem(s->broker);
        diag_problem_print(&of_broker);
        monitor_destroy(s->monitor);
        broker_destroy(s->broker);
        return SERVE_EXIT_FAILED;
    }
    io_signals(s->io, serve_signal, s);
    if (s->monitor != NULL) {
        char http[ADDRESS_BYTES];
        monitor_address(s->monitor, http, sizeof http);
        broker_note_http(s->broker, http);
        monitor_open(s->monitor, s->broker);
    }
    print_ready(s, started_ns);
    config_live_start(&s->live, s->io, s->broker, &s->notify);
    notify_ready(&s->notify, s->io, s->broker);
    if (s->options->with_parent || s->options->parent != 0 || s->options->until_eof) {
        s->watch_timer.fired = watch_fired;
        io_timer_start(s->io, &s->watch_timer, io_now_ns(s->io));
    }
    if (!port_file_write(s)) {
        serve_refuse(MSG_start_usage, "the port file cannot be written", s->options->port_file,
                     "name a file in a directory where this user may write");
        s->exit_code = SERVE_EXIT_FAILED;
        broker_stop(s->broker);
    }
    int wanted = s->exit_code;
    io_run(s->io);
    io_timer_stop(s->io, &s->watch_timer);
    notify_stop(&s->notify);
    broker_print_stats(s->broker);
    if (s->exit_code == SERVE_EXIT_STORAGE) {
        struct diag_problem of_broker = broker_problem(s->broker);
        if (of_broker.what != NULL) {
            diag_problem_print(&of_broker); /* found only after the start */
        }
        return s->exit_code; /* fenced: nothing more is touched */
    }
    monitor_destroy(s->monitor);
    broker_destroy(s->broker);
    diag_settle();
    diag0(MSG_stopped);
    return wanted != SERVE_EXIT_OK ? wanted : s->exit_code;
}

static int serve_with_io(struct serve *s, u64 started_ns)
{
    const struct config *config = s->live.config;
    struct slice directory = config_data_directory(config);
    char *data = mem_strndup(s->options->in_memory ? SLICE_LIT(MEMORY_NAME) : directory);
    struct broker_params params = {
        .io = s->io,
        .config = s->live.config,
        .data_directory = data,
        .home = s->options->in_memory ? home_mem_create(s->io) : NULL,
        .listeners = &s->live.listeners,
        .memory_bytes = memory_bytes(config),
        .spare_ns = (u64)config_i64(config, CONFIG_odradek_space_reuse_ms) * 1000000,
        .keep_always = config_i64(config, CONFIG_odradek_test_keep_extents) != 0,
        .stopped = serve_stopped,
        .user = s,
    };
    if (config_i64(config, CONFIG_odradek_test_hold_filing) != 0) {
        params.stretch_bytes = UINT64_MAX / 2;
        params.wal_bytes_max = UINT64_MAX / 2;
        params.file_delay_ms = UINT32_MAX;
    }
    int code = serve_loop(s, &params, started_ns);
    if (code != SERVE_EXIT_STORAGE) {
        io_destroy(s->io);
        mem_free(data);
    }
    return code;
}

int serve_run(const struct serve_options *o)
{
    u64 started_ns = io_clock_ns();
    io_standard_files();
    struct serve s = {.options = o, .parent = io_parent()};
    if (!config_live_load(&s.live, &o->sources)) {
        config_live_fini(&s.live);
        return SERVE_EXIT_USAGE;
    }
    const struct config *config = s.live.config;
    configure_diagnostics(config);
    if (memory_bytes(config) == 0) {
        config_live_fini(&s.live);
        return memory_refuse();
    }
    struct io_linux_params io_params = {
        .files = files_mode(config),
        .refuse_direct = config_i64(config, CONFIG_odradek_test_refuse_direct) != 0,
    };
    if (io_linux_create(&io_params, &s.io) != OK) {
        config_live_fini(&s.live);
        return serve_refuse(MSG_start_system,
                            "the operating system refuses what the event loop needs",
                            "epoll, eventfd and signalfd, and io_uring with odradek.io=uring",
                            "try --set odradek.io=threads, and raise the limit of descriptors");
    }
    int code = serve_with_io(&s, started_ns);
    if (code != SERVE_EXIT_STORAGE) {
        config_live_fini(&s.live);
    }
    return code;
}
