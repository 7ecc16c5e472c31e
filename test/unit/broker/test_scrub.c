/* Scrubbing as the broker's owner sees it: off, turned on and changed while it runs
   (odradek.scrub.period.ms); a flipped bit of a pack is told with file, byte, topic, partition and
   offsets, and those offsets alone are refused; a pack without its index is told, and served. */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

enum { BATCHES = 40, FILE_DELAY_MS = 61000, PERIOD_MS = 4000 };

static i16 period_set(struct client *c, const char *value)
{
    struct incremental_alter_configs_request_alterable_config config = {
        .name = text("odradek.scrub.period.ms"), .value = text(value)};
    struct incremental_alter_configs_request_resource resource = {
        .resource_type = 4, /* this one's default for all brokers */
        .resource_name = text(""),
        .configs = {.items = &config, .count = 1}};
    struct incremental_alter_configs_request q = {.resources = {.items = &resource, .count = 1}};
    struct incremental_alter_configs_response *r = CALL(c, incremental_alter_configs, 1, &q);
    return r->responses.items[0].error_code;
}

/* The only pack; false: there is none. */
static bool pack_find(const struct harness *h, char path[200])
{
    char folder[100];
    (void)snprintf(folder, sizeof folder, "%s/packs", h->directory);
    DIR *d = opendir(folder);
    assert_non_null(d);
    bool found = false;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(path, 200, "%.90s/%.90s", folder, e->d_name);
            found = true;
        }
    }
    (void)closedir(d);
    return found;
}

static void pass(struct harness *h, i64 ms)
{
    for (i64 done = 0; done < ms; done += 200) {
        harness_skip_ms(h, 200);
    }
}

/* What has begun ends in its own time: a worker is at it. */
static void expect_said(struct harness *h, const char *what)
{
    for (u32 i = 0; i < 2000 && !harness_said(what); i++) {
        harness_turn(h);
    }
    assert_true(harness_said(what));
}

/* Both partitions have batches, and all of them are in one pack. */
static struct topic filed(struct harness *h, char path[200])
{
    struct client *c = client_open(h);
    struct topic t = topic_make(c, "filed", 2);
    for (u32 i = 0; i < BATCHES; i++) {
        produce_ok(c, &t, (i32)(i % 2), batch_plain(h, 10));
    }
    u64 before = metric_slots[METRIC_log_filed_bytes_total];
    harness_skip_ms(h, FILE_DELAY_MS);
    while (metric_slots[METRIC_log_filed_bytes_total] == before) {
        harness_turn(h);
    }
    harness_turns(h, 3);
    assert_true(pack_find(h, path));
    return t;
}

/* at < 0: from the end. */
static void file_flip(const char *path, i64 at)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t where = at < 0 ? lseek(fd, 0, SEEK_END) + at : at;
    u8 byte;
    assert_int_equal(pread(fd, &byte, 1, where), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, where), 1);
    assert_int_equal(close(fd), 0);
}

static void damage_is_told_with_its_names(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "odradek.scrub.period.ms", "0");
    harness_start(&h);
    char path[200];
    struct topic t = filed(&h, path);
    file_flip(path, 4096 + 100); /* in the first batch of partition 0 */
    struct client *c = client_open(&h);
    pass(&h, PERIOD_MS);
    assert_false(harness_said("damaged")); /* it is off */
    harness_crash(&h);
    harness_start(&h); /* nothing is in memory: who reads finds it, also from inside the run */
    c = client_open(&h);
    assert_int_equal(fetch(c, &t, 0, 155)->error_code, KERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(fetch(c, &t, 1, 155)->error_code, KERR_NONE);
    harness_crash(&h);
    harness_start(&h);
    c = client_open(&h);
    assert_int_equal(period_set(c, "-1"), KERR_INVALID_REQUEST);
    assert_int_equal(period_set(c, "4000"), KERR_NONE);
    pass(&h, PERIOD_MS);
    expect_said(&h, "\"event\":\"batches_damaged\"");
    assert_true(harness_said(path));
    assert_true(harness_said("\"byte\":4096,\"topic\":\"filed\",\"partition\":0,\"first_offset\":0,"
                             "\"last_offset\":199,\"error\":\"corrupt\""));
    assert_int_equal(fetch(c, &t, 0, 0)->error_code, KERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(fetch(c, &t, 0, 199)->error_code, KERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(fetch(c, &t, 1, 0)->error_code, KERR_NONE);
    harness_fini(&h);
}

static void a_pack_without_its_index_is_told_and_served(void **state)
{
    struct harness h;
    u64 passes = metric_slots[METRIC_log_scrub_passes_total];
    harness_init(&h);
    harness_set(&h, "odradek.scrub.period.ms", "4000");
    harness_start(&h);
    char path[200];
    struct topic t = filed(&h, path);
    pass(&h, PERIOD_MS);
    while (metric_slots[METRIC_log_scrub_passes_total] == passes) {
        harness_turn(&h);
    }
    assert_false(harness_said("damaged"));
    file_flip(path, -20);
    pass(&h, 2 * PERIOD_MS);
    expect_said(&h, "\"event\":\"pack_index_damaged\"");
    assert_true(harness_said(path));
    assert_true(harness_said("\"part\":\"the trailer\",\"error\":\"corrupt\""));
    struct client *c = client_open(&h);
    for (i32 i = 0; i < 2; i++) {
        assert_int_equal(fetch(c, &t, i, 0)->error_code, KERR_NONE);
    }
    assert_int_equal(period_set(c, "0"), KERR_NONE);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_told_with_its_names),
        cmocka_unit_test(a_pack_without_its_index_is_told_and_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
