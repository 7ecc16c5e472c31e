/* `odradek serve`, from options to exit code: configuration, io, broker, the Ready line,
   signals. */
#include "broker/serve.h"

#include "broker/config_rows.h"
#include "broker/monitor.h"
#include "broker/notify.h"
#include "broker/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_DIRECTORY "./odradek-data"
#define MEMORY_MAX     (1 * GIB)
#define MEMORY_MIN     (16 * MIB)

struct serve {
    struct io *io;
    struct broker *broker;
    struct notify notify;
    struct monitor *monitor; /* NULL: no HTTP port */
    int exit_code;
};

/* Three lines: what, why, what next. */
static int serve_refuse(const char *what, const char *why)
{
    fprintf(stderr, "error: %s\n%s\n", what, why);
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
        break; /* nothing is read from files yet */
    }
}

/* "HOST:PORT" or "[v6]:PORT" or ":PORT". */
static bool parse_listen(const char *text, char *host, size_t host_bytes, u16 *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] < '0' || colon[1] > '9') {
        return false;
    }
    char *end;
    unsigned long value = strtoul(colon + 1, &end, 10);
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (*end != 0 || value > UINT16_MAX || len >= host_bytes) {
        return false;
    }
    memcpy(host, text + bracketed, len - 2 * (size_t)bracketed);
    host[len - 2 * (size_t)bracketed] = 0;
    *port = (u16)value;
    return true;
}

/* All problems at once, one line each. */
static bool apply_sets(struct config *config, const struct serve_options *o)
{
    bool good = true;
    for (u32 i = 0; i < o->set_count; i++) {
        char reason[512];
        if (config_set(config, o->sets[i].key, o->sets[i].value, reason, sizeof reason) != OK) {
            fprintf(stderr, "error: --set: %s\n", reason);
            good = false;
        }
    }
    return good;
}

static enum io_files_mode files_mode(const struct config *config)
{
    struct slice mode = config_str(config, CONFIG_odradek_io);
    return slice_eq_cstr(mode, "uring")     ? IO_FILES_URING
           : slice_eq_cstr(mode, "threads") ? IO_FILES_THREADS
                                            : IO_FILES_AUTO;
}

/* The words of odradek.log.format and odradek.log.level, as the rows list them. */
static void configure_diagnostics(const struct config *config)
{
    static const char *const formats[] = {
        [DIAG_AUTO] = "auto", [DIAG_TEXT] = "text", [DIAG_JSON] = "json"};
    static const char *const levels[] = {
        [DIAG_DEBUG] = "debug", [DIAG_INFO] = "info", [DIAG_WARN] = "warn", [DIAG_ERROR] = "error"};
    enum diag_format format = DIAG_AUTO;
    enum diag_level level = DIAG_INFO;
    for (u32 i = 0; i < ARRAY_LEN(formats); i++) {
        bool is = slice_eq_cstr(config_str(config, CONFIG_odradek_log_format), formats[i]);
        format = is ? (enum diag_format)i : format;
    }
    for (u32 i = 0; i < ARRAY_LEN(levels); i++) {
        bool is = slice_eq_cstr(config_str(config, CONFIG_odradek_log_level), levels[i]);
        level = is ? (enum diag_level)i : level;
    }
    diag_configure(format, level);
}

static u64 memory_bytes(const struct serve_options *o, const struct config *config)
{
    u64 asked =
        o->memory_bytes != 0 ? o->memory_bytes : (u64)config_i64(config, CONFIG_odradek_memory);
    return asked != 0 ? asked : MIN(io_machine_memory() / 4, MEMORY_MAX);
}

static void print_ready(const struct broker *b, const struct monitor *m, const char *version,
                        const char *directory, u64 started_ns)
{
    struct io_address at;
    broker_address(b, &at);
    bool v6 = strchr(at.host, ':') != NULL;
    char address[80];
    snprintf(address, sizeof address, "%s%s%s:%u", v6 ? "[" : "", at.host, v6 ? "]" : "", at.port);
    unsigned long long ms = (unsigned long long)((io_clock_ns() - started_ns + 500000) / 1000000);
    printf("odradek %s  data %s  durability %s  files %s%s\n", version, directory,
           "every acknowledgement", io_files_mode_name(b->io),
           home_is_direct(b->home) ? "" : ", buffered: the file system refuses O_DIRECT");
    if (m != NULL) {
        char http[80];
        monitor_address(m, http, sizeof http);
        printf(" HTTP http://%s/  with /metrics, /livez, /readyz, /healthz\n", http);
    }
    printf("Ready in %llu ms on %s. Try:  odradek pub -b %s demo 'hello'   then   odradek tail -b "
           "%s demo\n",
           ms, address, address, address);
    fflush(stdout);
    diag(MSG_ready, D_STR("address", address), D_UINT("ms", ms));
}

static int serve_loop(struct serve *s, const struct serve_options *o,
                      const struct broker_params *params, u64 started_ns)
{
    char reason[512];
    err_t e = monitor_create(s->io, params->config, reason, sizeof reason, &s->monitor);
    if (e != OK) {
        fprintf(stderr, "error: %s\n", reason);
        return SERVE_EXIT_FAILED;
    }
    s->broker = broker_create(params);
    e = broker_start(s->broker);
    if (e != OK) {
        fprintf(stderr, "error: %s\n", broker_reason(s->broker));
        monitor_destroy(s->monitor);
        broker_destroy(s->broker);
        return SERVE_EXIT_FAILED;
    }
    io_signals(s->io, serve_signal, s);
    if (s->monitor != NULL) {
        monitor_open(s->monitor, s->broker);
    }
    print_ready(s->broker, s->monitor, o->version, params->data_directory, started_ns);
    notify_ready(&s->notify, s->io, s->broker);
    io_run(s->io);
    notify_stop(&s->notify);
    broker_print_stats(s->broker);
    if (s->exit_code == SERVE_EXIT_STORAGE) {
        return s->exit_code; /* fenced: nothing more is touched */
    }
    monitor_destroy(s->monitor);
    broker_destroy(s->broker);
    diag0(MSG_stopped);
    return s->exit_code;
}

int serve_run(const struct serve_options *o)
{
    u64 started_ns = io_clock_ns();
    const char *directory = o->data_directory != NULL ? o->data_directory : DATA_DIRECTORY;
    const char *listen = o->listen != NULL ? o->listen : "127.0.0.1:9092";
    char host[256];
    u16 port;
    if (!parse_listen(listen, host, sizeof host, &port)) {
        fprintf(stderr,
                "error: --listen %s is not HOST:PORT\na port is a number from 0 to 65535, 0 picks "
                "a free one; "
                "an IPv6 host stands in brackets\ntry --listen 127.0.0.1:9092\n",
                listen);
        return SERVE_EXIT_USAGE;
    }
    struct config *config = config_create();
    if (!apply_sets(config, o)) {
        config_destroy(config);
        return SERVE_EXIT_USAGE;
    }
    configure_diagnostics(config);
    u64 memory = memory_bytes(o, config);
    if (memory < MEMORY_MIN) {
        config_destroy(config);
        return serve_refuse("the memory budget is too small",
                            "a broker needs at least 16 MiB of buffers\ntry --memory 64MiB");
    }
    struct serve s = {0};
    struct io_linux_params io_params = {
        .files = files_mode(config),
        .refuse_direct = config_i64(config, CONFIG_odradek_test_refuse_direct) != 0,
    };
    if (io_linux_create(&io_params, &s.io) != OK) {
        config_destroy(config);
        return serve_refuse("the operating system refuses what the event loop needs",
                            "epoll, eventfd and signalfd, and io_uring with odradek.io=uring\ntry "
                            "--set odradek.io=threads");
    }
    struct broker_params params = {
        .io = s.io,
        .config = config,
        .data_directory = directory,
        .listen_host = host,
        .listen_port = port,
        .memory_bytes = memory,
        .stopped = serve_stopped,
        .user = &s,
    };
    if (config_i64(config, CONFIG_odradek_test_hold_filing) != 0) {
        params.stretch_bytes = UINT64_MAX / 2;
        params.wal_bytes_max = UINT64_MAX / 2;
        params.file_delay_ms = UINT32_MAX;
    }
    int code = serve_loop(&s, o, &params, started_ns);
    if (code != SERVE_EXIT_STORAGE) {
        io_destroy(s.io);
        config_destroy(config);
    }
    return code;
}
