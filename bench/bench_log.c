/* bench_log DIR [BATCH_BYTES PARTITIONS SECONDS HOT_MIB BURST]: what the log alone costs, on
   home_disk and the real io.

   BURST batches are appended per turn, round robin over the partitions, for as long as there is
   room; without room the loop waits like a stalled connection would. Printed: durable bytes per
   second, CPU (all threads), durable writes and their size, batches per write, time from append to
   durable. Batches are made once, with a good CRC; the log copies, sorts, seals and writes
   them, and nothing else happens in this process. */
#include "io/io.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct bench {
    struct io *io;
    struct home *home;
    struct log *log;
    struct batch_view view;
    u32 partition_count;
    u32 next;
    u32 burst;
    struct log_room_waiter room;
    bool stalled;
    bool sampling; /* one append at a time is timed */
    struct log_waiter waiter;
    u64 sample_start_ns;
    u64 *samples;
    u32 sample_count;
    u32 sample_cap;
};

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void must(err_t e, const char *what)
{
    if (e != OK) {
        fprintf(stderr, "bench_log: %s: %s\n", what, err_name(e));
        exit(1);
    }
}

static void fenced(void *user, err_t why)
{
    (void)user;
    must(why, "the home was fenced");
}

static err_t nothing(void *user, u64 slot, struct slice payload)
{
    (void)user, (void)slot, (void)payload;
    return OK;
}

static void granted(struct log_room_waiter *w)
{
    CONTAINER_OF(w, struct bench, room)->stalled = false;
}

static void sampled(struct log_waiter *w, err_t result)
{
    struct bench *b = CONTAINER_OF(w, struct bench, waiter);
    must(result, "a write");
    b->sampling = false;
    if (b->sample_count < b->sample_cap) {
        b->samples[b->sample_count] = io_clock_ns() - b->sample_start_ns;
        b->sample_count++;
    }
}

static void append_some(struct bench *b)
{
    for (u32 i = 0; i < b->burst; i++) {
        if (!log_room(b->log, b->view.whole.len)) {
            b->stalled = true;
            b->room.granted = granted;
            b->room.bytes = b->view.whole.len;
            log_room_wait(b->log, &b->room);
            return;
        }
        struct append_result r;
        partition_append(log_partition(b->log, b->next, 0), &b->view, false, &r);
        if (r.kerr != KERR_NONE) {
            fprintf(stderr, "bench_log: append: %s\n", kerr_name(r.kerr));
            exit(1);
        }
        b->next = (b->next + 1) % b->partition_count;
        if (!b->sampling) {
            b->sampling = true;
            b->sample_start_ns = io_clock_ns();
            b->waiter.done = sampled;
            log_wait(b->log, &b->waiter, r.slot);
        }
    }
}

static int compare_u64(const void *a, const void *b)
{
    u64 x = *(const u64 *)a;
    u64 y = *(const u64 *)b;
    return x < y ? -1 : x > y;
}

static double sample_us(const struct bench *b, double fraction)
{
    if (b->sample_count == 0) {
        return 0;
    }
    return (double)b->samples[(u32)((double)(b->sample_count - 1) * fraction)] / 1e3;
}

static u64 argument(int argc, char **argv, int index, u64 usual)
{
    return argc > index ? strtoull(argv[index], NULL, 0) : usual;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "bench_log DIR [BATCH_BYTES PARTITIONS SECONDS HOT_MIB BURST]\n");
        return 2;
    }
    u64 batch_bytes = argument(argc, argv, 2, 64 * KIB);
    struct bench b = {
        .partition_count = (u32)argument(argc, argv, 3, 1000),
        .burst = (u32)argument(argc, argv, 6, 16),
        .sample_cap = 1000000,
    };
    double seconds = argc > 4 ? strtod(argv[4], NULL) : 5;
    struct quota quota;
    quota_init(&quota, "bench", NULL, 4 * GIB);
    const struct io_linux_params io_params = {.files = IO_FILES_AUTO};
    must(io_linux_create(&io_params, &b.io), "io");
    const struct home_disk_params home_params = {.directory = argv[1], .quota = &quota};
    b.home = home_disk_create(b.io, &home_params);
    struct uuid cluster;
    must(home_open(b.home, &cluster), home_reason(b.home));
    const struct home_meta_visitor visitor = {.snapshot = nothing, .slot = nothing};
    u64 next_slot;
    must(home_meta_replay(b.home, &visitor, &next_slot), "replay");
    must(home_meta_write_now(b.home, next_slot, SLICE_LIT("a session")), "metadata");
    const struct log_params params = {
        .io = b.io,
        .home = b.home,
        .quota = &quota,
        .hot_bytes = argument(argc, argv, 5, 64) * MIB,
        .cold_bytes = 16 * MIB,
        .inflight_max = FRAME_INFLIGHT_MAX,
        .producer_expiry_ms = 86400000,
        .fenced = fenced,
    };
    b.log = log_create(&params);
    must(log_start_wal(b.log, cluster, 1, 42), "start");
    b.samples = mem_alloc(b.sample_cap * sizeof(b.samples[0]));

    const struct batch_builder_options options = batch_builder_plain();
    struct batch_builder builder;
    batch_builder_init(&builder, &options);
    u8 *value = mem_alloc(batch_bytes);
    u64 value_bytes = batch_bytes > 80 ? batch_bytes - 80 : 1;
    must(batch_builder_add(&builder, 1, (struct slice){0}, slice_of(value, value_bytes), NULL, 0),
         "batch");
    struct slice bytes;
    must(batch_builder_finish(&builder, &bytes), "batch");
    must(batch_view_parse(bytes, &b.view), "batch");

    u64 start_ns = io_clock_ns();
    double cpu = cpu_seconds();
    while ((double)(io_clock_ns() - start_ns) < seconds * 1e9) {
        if (!b.stalled) {
            append_some(&b);
        }
        io_turn(b.io, b.stalled);
    }
    cpu = cpu_seconds() - cpu;
    double elapsed = (double)(io_clock_ns() - start_ns) / 1e9;
    double gigabytes = (double)metric_slots[METRIC_log_append_bytes_total] / 1e9;
    u64 slots = metric_slots[METRIC_wal_slots_total];
    u64 appends = metric_slots[METRIC_log_appends_total];
    qsort(b.samples, b.sample_count, sizeof(b.samples[0]), compare_u64);
    struct log_stats stats;
    log_stats(b.log, &stats);
    printf("%llu B x %u partitions, %s, burst %u: %.2f GB/s, %.3f cpu-s/GB, %.2f us cpu/append\n",
           (unsigned long long)b.view.whole.len, b.partition_count, io_files_mode_name(b.io),
           b.burst, gigabytes / elapsed, cpu / gigabytes, cpu * 1e6 / (double)appends);
    printf(
        "  %.0f writes/s of %.0f KiB, %.1f batches each; append to durable p50 %.0f p99 %.0f us; "
        "index %.2f MiB in %llu runs\n",
        (double)slots / elapsed,
        (double)metric_slots[METRIC_wal_write_bytes_total] / (double)slots / 1024,
        (double)appends / (double)slots, sample_us(&b, 0.5), sample_us(&b, 0.99),
        (double)stats.index_bytes / (double)MIB, (unsigned long long)stats.index_entries);
    /* In flight writes are abandoned with the process: the kernel still has our buffers. */
    return 0;
}
