/* Proves that this build starts on the data directory of version 1 in test/golden/data-v1: real
   metadata commands, a snapshot, sealed and unsealed WALs, as a broker left them that was killed.
   The first argument is that directory; it is copied, since a start writes. With a second argument
   "write" the program makes such a directory instead, at the first argument: how the golden one was
   made, and how one for the next version will be. */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
    EXTENT_BYTES = 64 * KIB,
    SNAPSHOT_EVERY = 6,
    LIVES = 4, /* the last one was killed */
    BATCHES_PER_LIFE = 5,
    PRODUCER_IDS = 1000, /* taken by the golden directory: the next one is above */
};

static const char *golden;
static struct fixture f;

/* ---- copying --------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    static u8 buffer[64 * KIB];
    int in = open(from, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(in >= 0 && out >= 0);
    ssize_t n;
    while ((n = read(in, buffer, sizeof(buffer))) > 0) {
        assert_int_equal(write(out, buffer, (size_t)n), n);
    }
    close(in);
    close(out);
}

static void copy_tree(const char *from, const char *to)
{
    assert_int_equal(mkdir(to, 0755), 0);
    DIR *d = opendir(from);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "lock") == 0) {
            continue;
        }
        char a[600];
        char b[600];
        snprintf(a, sizeof(a), "%.300s/%.200s", from, e->d_name);
        snprintf(b, sizeof(b), "%.300s/%.200s", to, e->d_name);
        struct stat st;
        assert_int_equal(stat(a, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            copy_tree(a, b);
        } else {
            copy_file(a, b);
        }
    }
    closedir(d);
}

/* ---- what is in it --------------------------------------------------------------------------- */

static const struct meta_config policy = {{(const u8 *)"cleanup.policy", 14},
                                          {(const u8 *)"compact", 7}};

static struct meta_command create(u8 id, const char *name, u32 partitions)
{
    return (struct meta_command){
        .kind = META_CREATE_TOPIC,
        .create_topic = {.id = {{0xaa, id}},
                         .name = slice_cstr(name),
                         .replication_factor = 1,
                         .partition_count = partitions},
    };
}

static void apply(const struct meta_command *c)
{
    assert_int_equal(apply_one(&f, c), KERR_NONE);
}

static void first_life(void)
{
    struct meta_command c = create(1, "orders", 3);
    c.create_topic.configs = &policy;
    c.create_topic.config_count = 1;
    apply(&c);
    c = create(2, "__internal.one", 1);
    c.create_topic.internal = true;
    apply(&c);
    c = create(3, "deleted", 2);
    apply(&c);
    produce_wait(&f, "deleted", 1);
    c = (struct meta_command){.kind = META_DELETE_TOPIC, .delete_topic = {.id = {{0xaa, 3}}}};
    apply(&c);
    c = (struct meta_command){.kind = META_CREATE_PARTITIONS,
                              .create_partitions = {{{0xaa, 1}}, 5}};
    apply(&c);
    c = (struct meta_command){
        .kind = META_ALTER_CONFIGS,
        .alter_configs = {
            .resource_type = 4, .name = SLICE_LIT(""), .sets = &policy, .set_count = 1}};
    apply(&c);
    c = (struct meta_command){.kind = META_ALLOC_PRODUCER_IDS,
                              .alloc_producer_ids = {PRODUCER_IDS}};
    apply(&c);
}

static void write_golden(void)
{
    for (u32 life = 0; life < LIVES; life++) {
        fixture_start(&f);
        if (life == 0) {
            first_life();
        }
        for (u32 i = 0; i < BATCHES_PER_LIFE && life != 1; i++) { /* life 1 retires */
            produce_wait(&f, "orders", (i32)(i % 5));
            produce_wait(&f, "orders", 0);
        }
        settle(&f);
        fixture_crash(&f);
    }
    copy_tree(f.dir, golden);
}

static void assert_policy(const struct meta_config *configs, u32 count)
{
    assert_int_equal(count, 1);
    assert_true(slice_eq(configs[0].key, policy.key));
    assert_true(slice_eq(configs[0].value, policy.value));
}

static void test_metadata(void **state)
{
    (void)state;
    const struct meta *m = cluster_meta(f.cluster);
    assert_string_equal(cluster_reason(f.cluster), "");
    assert_int_equal(meta_topic_count(m), 2);
    assert_int_equal(meta_partition_total(m), 6);
    const struct meta_topic *orders = find_topic(&f, "orders");
    assert_non_null(orders);
    assert_true(uuid_eq(orders->id, (struct uuid){{0xaa, 1}}));
    assert_false(orders->internal);
    assert_int_equal(orders->replication_factor, 1);
    assert_policy(orders->configs, orders->config_count);
    assert_int_equal(orders->partition_count, 5);
    const u32 ids[] = {1, 2, 3, 7, 8};
    for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
        assert_int_equal(meta_partition_id(orders, i), ids[i]);
    }
    assert_int_equal(meta_leader_epoch(m, orders), LIVES);
    const struct meta_topic *internal = find_topic(&f, "__internal.one");
    assert_true(internal->internal);
    assert_int_equal(meta_partition_id(internal, 0), 4);
    const struct meta_config *configs;
    u32 count = meta_configs(m, 4, SLICE_LIT(""), &configs);
    assert_policy(configs, count);
    struct meta_command more = {.kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {1}};
    static struct appended a;
    append_wait(&f, &a, &more, 1);
    assert_int_equal(a.outcomes[0].first_producer_id, PRODUCER_IDS);
}

static void test_sessions(void **state)
{
    (void)state;
    const struct meta *m = cluster_meta(f.cluster);
    const struct {
        u64 wal;
        u64 length;
    } rows[] = {
        {1, 2 * BATCHES_PER_LIFE + 1}, {3, 2 * BATCHES_PER_LIFE}, {4, 2 * BATCHES_PER_LIFE}};
    assert_int_equal(meta_session_count(m), ARRAY_LEN(rows) + 1);
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        const struct meta_session *s = meta_session_at(m, i);
        assert_int_equal(s->wal, rows[i].wal);
        assert_true(s->sealed);
        assert_int_equal(s->length, rows[i].length);
    }
    assert_int_equal(meta_session_at(m, ARRAY_LEN(rows))->wal, LIVES + 1);
}

static void test_records(void **state)
{
    (void)state;
    const u64 lives = LIVES - 1; /* with records */
    assert_int_equal(end_offset(&f, "orders", 0), lives * (BATCHES_PER_LIFE + 1));
    for (i32 i = 1; i < 5; i++) {
        assert_int_equal(end_offset(&f, "orders", i), lives);
    }
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 5);
    const struct partition *p = cluster_partition(f.cluster, find_topic(&f, "orders"), 1);
    const i32 epochs[] = {0, 2, 3};
    for (u32 i = 0; i < ARRAY_LEN(epochs); i++) {
        assert_int_equal(partition_epoch_at(p, i), epochs[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_records),
    };
    if (argc < 2) {
        fprintf(stderr, "usage: %s GOLDEN_DIRECTORY [write]\n", argv[0]);
        return 2;
    }
    golden = argv[1];
    fixture_init(&f);
    f.extent_bytes = EXTENT_BYTES;
    f.snapshot_every = SNAPSHOT_EVERY;
    if (argc == 3 && strcmp(argv[2], "write") == 0) {
        write_golden();
        fixture_fini(&f);
        return 0;
    }
    copy_tree(golden, f.dir);
    char packs[128];
    snprintf(packs, sizeof(packs), "%.60s/packs", f.dir); /* git keeps no empty directory */
    assert_true(mkdir(packs, 0755) == 0 || errno == EEXIST);
    fixture_start(&f);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_fini(&f);
    return failures;
}
