/* bench_recover DIR: how long a start takes over the WAL that bench_log left in DIR (wal 1, nonce
   42), from home_open to the last partition rebuilt. What a start costs besides is the broker's. */
#include "io/io.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

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

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- catching up ----------------------------------------------------------------------------- */

struct readers {
    struct log *log;
    u32 next_partition;
    u32 partition_count;
    u32 running;
    u64 bytes;
    u64 loads;
};

struct reader_state {
    struct log_load load;
    struct readers *all;
    struct partition *partition;
    struct partition_read read;
    u32 range; /* of read, the one being loaded */
    u32 taken; /* bytes of it */
};

static void reader_step(struct reader_state *r);

static void reader_loaded(struct log_load *load, err_t result)
{
    struct reader_state *r = CONTAINER_OF(load, struct reader_state, load);
    must(result, "a load");
    r->all->bytes += load->bytes;
    r->all->loads++;
    r->taken += load->bytes;
    log_load_release(load);
    if (r->taken == r->read.ranges[r->range].bytes) {
        r->taken = 0;
        r->range++;
    }
    reader_step(r);
}

/* The next ranges of its partition, or of the next partition. false: nothing is left. */
static bool reader_fill(struct reader_state *r)
{
    for (;;) {
        r->range = 0;
        if (r->partition != NULL) {
            r->read.offset = r->read.next_offset;
            must(partition_read(r->partition, &r->read), "a read");
            if (r->read.range_count > 0) {
                return true;
            }
        }
        if (r->all->next_partition == r->all->partition_count) {
            return false;
        }
        r->partition = log_partition(r->all->log, r->all->next_partition, 1);
        r->all->next_partition++;
        r->read = (struct partition_read){
            .limit_offset = UINT64_MAX, .bytes_max = 1024 * 1024, .one_batch = true};
    }
}

static void reader_step(struct reader_state *r)
{
    if (r->range == r->read.range_count && !reader_fill(r)) {
        r->all->running--;
        return;
    }
    r->load.done = reader_loaded;
    r->load.range = r->read.ranges[r->range];
    r->load.range.pos += r->taken;
    r->load.range.bytes -= r->taken;
    log_load(r->all->log, &r->load);
}

static void catch_up(struct io *io, struct log *log, u32 partitions, u32 reader_count)
{
    struct readers all = {.log = log, .partition_count = partitions, .running = reader_count};
    struct reader_state *readers = mem_alloc(reader_count * sizeof(readers[0]));
    u64 start_ns = io_clock_ns();
    double cpu = cpu_seconds();
    for (u32 i = 0; i < reader_count; i++) {
        readers[i].all = &all;
        reader_step(&readers[i]);
    }
    while (all.running > 0) {
        io_turn(io, true);
    }
    cpu = cpu_seconds() - cpu;
    double gigabytes = (double)all.bytes / 1e9;
    printf("%u readers: %.2f GB at %.2f GB/s, %.3f cpu-s/GB; %llu loads, %.2f GB read\n",
           reader_count, gigabytes, (double)all.bytes / (double)(io_clock_ns() - start_ns),
           cpu / gigabytes, (unsigned long long)all.loads,
           (double)metric_slots[METRIC_io_file_read_bytes_total] / 1e9);
    mem_free(readers);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "bench_recover DIR [READERS]\n");
        return 2;
    }
    u32 reader_count = argc > 2 ? (u32)strtoul(argv[2], NULL, 0) : 8;
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
    const struct log_wal wal = {.id = 1, .nonce = 42, .sealed_length = UINT64_MAX};
    err_t e = log_recover_wal(log, &wal, NULL, &length);
    must(e, home_reason(home));
    struct log_stats stats;
    log_stats(log, &stats);
    printf("%llu slots, %llu partitions, %llu runs (%.1f MiB): open %.1f ms, recovery %.1f ms\n",
           (unsigned long long)length, (unsigned long long)stats.partitions,
           (unsigned long long)stats.index_entries, (double)stats.index_bytes / (double)MIB,
           open_ms, ms_since(start_ns) - open_ms);
    if (length > 0 && reader_count > 0) {
        catch_up(io, log, (u32)stats.partitions, reader_count);
    }
    log_destroy(log);
    home_destroy(home);
    io_destroy(io);
    return 0;
}
