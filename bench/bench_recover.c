/* bench_recover DIR: how long a start takes over the WAL that bench_log left in DIR (wal 1, nonce
   42), from home_open to the last partition rebuilt. What a start costs besides is the broker's. */
#include "io/io.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>

static void must(err_t e, const char *what)
{
    if (e != OK) {
        fprintf(stderr, "bench_recover: %s: %s\n", what, err_name(e));
        exit(1);
    }
}

static err_t nothing(void *user, u64 slot, struct slice payload)
{
    (void)user, (void)slot, (void)payload;
    return OK;
}

static double ms_since(u64 start_ns)
{
    return (double)(io_clock_ns() - start_ns) / 1e6;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "bench_recover DIR\n");
        return 2;
    }
    struct io *io;
    struct quota quota;
    quota_init(&quota, "bench", NULL, 4 * GIB);
    const struct io_linux_params io_params = {.files = IO_FILES_AUTO};
    must(io_linux_create(&io_params, &io), "io");
    u64 start_ns = io_clock_ns();
    const struct home_disk_params home_params = {.directory = argv[1], .quota = &quota};
    struct home *home = home_disk_create(io, &home_params);
    struct uuid cluster;
    must(home_open(home, &cluster), home_reason(home));
    const struct home_meta_visitor visitor = {.snapshot = nothing, .slot = nothing};
    u64 next_slot;
    err_t e0 = home_meta_replay(home, &visitor, &next_slot);
    must(e0, home_reason(home));
    const struct log_params params = {
        .io = io,
        .home = home,
        .quota = &quota,
        .hot_bytes = 64 * MIB,
        .cold_bytes = 16 * MIB,
        .inflight_max = FRAME_INFLIGHT_MAX,
        .producer_expiry_ms = 86400000,
    };
    struct log *log = log_create(&params);
    double open_ms = ms_since(start_ns);
    u64 length;
    err_t e = log_recover_wal(log, 1, 42, UINT64_MAX, NULL, NULL, &length);
    must(e, home_reason(home));
    struct log_stats stats;
    log_stats(log, &stats);
    printf("%llu slots, %llu partitions, %llu runs (%.1f MiB): open %.1f ms, recovery %.1f ms\n",
           (unsigned long long)length, (unsigned long long)stats.partitions,
           (unsigned long long)stats.index_entries, (double)stats.index_bytes / (double)MIB,
           open_ms, ms_since(start_ns) - open_ms);
    log_destroy(log);
    home_destroy(home);
    io_destroy(io);
    return 0;
}
