/* Starts: each takes over from the one before. That sessions seal, retire and are forgotten as they
   should, that what was durable is there and what was not is not, that what was deleted stays away,
   whatever the moment of the crash; and that a start that cannot be says why. */
#include "fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static const struct meta_session *session(u32 index)
{
    return meta_session_at(cluster_meta(f.cluster), index);
}

/* Slots of this session's WAL. */
static u64 wal_length(void)
{
    return log_durable_slot(f.log) - 1;
}

static u32 session_count(void)
{
    return meta_session_count(cluster_meta(f.cluster));
}

static void test_first_start(void **state)
{
    (void)state;
    fixture_start(&f);
    assert_string_equal(cluster_reason(f.cluster), "");
    assert_false(uuid_is_zero(cluster_id(f.cluster)));
    assert_int_equal(meta_topic_count(cluster_meta(f.cluster)), 0);
    assert_int_equal(session_count(), 1);
    assert_int_equal(session(0)->wal, 1);
    assert_int_equal(session(0)->node, 1);
    assert_false(session(0)->sealed);
    struct uuid id = cluster_id(f.cluster);
    fixture_restart(&f);
    assert_true(uuid_eq(id, cluster_id(f.cluster)));
}

/* Twenty starts without a record leave no trail. */
static void test_sessions_without_data(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 2);
    assert_int_equal(meta_leader_epoch(cluster_meta(f.cluster), find_topic(&f, "t")), 0);
    for (i32 i = 1; i <= 20; i++) {
        if (i % 2 == 0) {
            fixture_stop(&f);
            fixture_start(&f);
        } else {
            fixture_restart(&f);
        }
        assert_int_equal(meta_leader_epoch(cluster_meta(f.cluster), find_topic(&f, "t")), i);
        assert_int_equal(session_count(), 2);
        assert_true(session(0)->retired);
        assert_false(session(1)->sealed);
        assert_int_equal(session(1)->wal, i + 1);
    }
    assert_int_equal(count_files(&f, "wal", ""), 0);
}

static void test_sealed_lengths(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "a", 2);
    make_topic(&f, "b", 1);
    u64 expected_a0 = 0;
    for (u32 life = 0; life < 6; life++) {
        u32 batches = life == 2 ? 0 : 3 + life;
        for (u32 i = 0; i < batches; i++) {
            produce_wait(&f, "a", 0);
            produce_wait(&f, "b", 0);
        }
        expected_a0 += batches;
        u64 length = wal_length();
        fixture_restart(&f);
        assert_int_equal(end_offset(&f, "a", 0), expected_a0);
        assert_int_equal(end_offset(&f, "b", 0), expected_a0);
        assert_int_equal(end_offset(&f, "a", 1), 0);
        struct partition_info info;
        partition_info(cluster_partition(f.cluster, find_topic(&f, "a"), 0), &info);
        assert_int_equal(info.high_watermark, expected_a0);
        assert_int_equal(info.leader_epoch, life + 1);
        const struct meta_session *sealed = session(session_count() - 2);
        assert_int_equal(sealed->wal, life + 1);
        assert_true(sealed->sealed);
        assert_int_equal(sealed->retired, batches == 0);
        /* On a slow machine a MARK may have come in between. */
        assert_in_range(sealed->length, length, length + 1);
    }
    /* They stay as they were sealed; the one without data is forgotten. */
    fixture_restart(&f);
    assert_int_equal(end_offset(&f, "a", 0), expected_a0);
    const u64 wals[] = {1, 2, 4, 5, 6, 7, 8};
    assert_int_equal(session_count(), ARRAY_LEN(wals));
    for (u32 i = 0; i < ARRAY_LEN(wals); i++) {
        assert_int_equal(session(i)->wal, wals[i]);
    }
    assert_int_equal(cluster_partition(f.cluster, find_topic(&f, "a"), 0) != NULL, true);
    assert_null(cluster_partition(f.cluster, find_topic(&f, "a"), 2));
    assert_null(cluster_partition(f.cluster, find_topic(&f, "a"), -1));
}

/* Epochs in the log: one per life that appended, each with its first offset. */
static void test_epochs(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    for (u32 life = 0; life < 4; life++) {
        produce_wait(&f, "t", 0);
        produce_wait(&f, "t", 0);
        fixture_restart(&f);
    }
    const struct partition *p = cluster_partition(f.cluster, find_topic(&f, "t"), 0);
    for (u64 offset = 0; offset < 8; offset++) {
        assert_int_equal(partition_epoch_at(p, offset), offset / 2);
    }
    i32 epoch;
    i64 end;
    partition_end_offset_for_epoch(p, 1, &epoch, &end);
    assert_int_equal(epoch, 1);
    assert_int_equal(end, 4);
}

static void test_deleted_topics_are_not_replayed(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "kept", 1);
    make_topic(&f, "gone", 3);
    for (i32 i = 0; i < 3; i++) {
        produce_wait(&f, "gone", i);
    }
    produce_wait(&f, "kept", 0);
    delete_topic(&f, "gone");
    make_topic(&f, "gone", 3);
    fixture_restart(&f);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.partitions, 1);
    assert_int_equal(end_offset(&f, "kept", 0), 1);
    for (i32 i = 0; i < 3; i++) {
        assert_int_equal(end_offset(&f, "gone", i), 0);
    }
}

/* ---- log starts ------------------------------------------------------------------------------ */

static u32 partition_id(const char *topic, u32 index)
{
    return meta_partition_id(find_topic(&f, topic), index);
}

static struct meta_command start_command(struct meta_log_start *s, const char *topic, u64 offset)
{
    *s = (struct meta_log_start){partition_id(topic, 0), offset};
    return (struct meta_command){.kind = META_SET_LOG_STARTS, .set_log_starts = {s, 1}};
}

/* What a reader of partition 0 finds: nothing below, the record itself from there on. */
static void expect_start(const char *topic, u64 start, u64 end)
{
    struct partition *p = cluster_partition(f.cluster, find_topic(&f, topic), 0);
    struct partition_info info;
    partition_info(p, &info);
    assert_int_equal(info.log_start_offset, start);
    assert_int_equal(info.high_watermark, end);
    assert_int_equal(meta_log_start(cluster_meta(f.cluster), partition_id(topic, 0)), start);
    for (u64 offset = 0; offset < end; offset++) {
        struct partition_read read = {
            .offset = offset, .limit_offset = UINT64_MAX, .bytes_max = 1 << 20, .one_batch = true};
        assert_int_equal(partition_read(p, &read), offset < start ? ERR_NOT_FOUND : OK);
        assert_int_equal(read.next_offset, offset < start ? offset : end);
    }
}

/* Through crashes, stops and snapshots, with records before and after, and in a topic's grave. */
static void test_what_is_deleted_stays_deleted(void **state)
{
    (void)state;
    f.snapshot_every = 3;
    fixture_start(&f);
    make_topic(&f, "t", 2);
    make_topic(&f, "other", 1);
    u64 start = 0;
    u64 end = 0;
    for (u32 life = 0; life < 8; life++) {
        for (u32 i = 0; i < 4; i++) {
            produce_wait(&f, "t", 0);
            produce_wait(&f, "other", 0);
        }
        end += 4;
        if (life != 5) {
            start = life == 3 ? end : start + 3;
            struct meta_log_start s;
            struct meta_command c = start_command(&s, "t", start);
            assert_int_equal(apply_one(&f, &c), KERR_NONE);
        }
        expect_start("t", start, end);
        if (life % 2 == 0) {
            fixture_stop(&f);
            fixture_start(&f);
        } else {
            fixture_restart(&f);
        }
        expect_start("t", start, end);
        expect_start("other", 0, end);
        assert_int_equal(end_offset(&f, "t", 1), 0);
    }
    delete_topic(&f, "t");
    make_topic(&f, "t", 2);
    expect_start("t", 0, 0);
    fixture_restart(&f);
    expect_start("t", 0, 0);
    produce_wait(&f, "t", 0);
    expect_start("t", 0, 1);
}

/* A power cut before the command is durable brings the records back; after it, it does not, though
   nobody was told. */
static void test_power_cut_while_deleting(void **state)
{
    (void)state;
    static const struct {
        enum fault fault;
        u32 after;
        bool deleted;
    } rows[] = {
        {FAULT_LOSE, 0, false},
        {FAULT_KEEP, 0, true},
        {FAULT_LOSE, 1, true},
        {FAULT_KEEP, 1, true},
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        fixture_start(&f);
        make_topic(&f, "t", 1);
        for (u32 k = 0; k < 5; k++) {
            produce_wait(&f, "t", 0);
        }
        struct meta_log_start s;
        struct meta_command c = start_command(&s, "t", 3);
        fault_set(rows[i].fault, rows[i].after);
        struct appended a;
        append_start(&f, &a, &c, 1);
        for (u32 k = 0; k < 50; k++) {
            turns(&f, 1);
            usleep(200);
        }
        assert_false(a.done);
        expect_start("t", 0, 5); /* not before it is durable */
        for (u32 life = 0; life < 2; life++) {
            fixture_restart(&f);
            expect_start("t", rows[i].deleted ? 3 : 0, 5);
        }
        delete_topic(&f, "t");
        fixture_crash(&f);
    }
}

/* The metadata starts a partition where its records no longer reach (a WAL was lost and repaired):
   it goes on there. */
static void test_a_start_above_the_records(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    make_topic(&f, "empty", 1);
    for (u32 k = 0; k < 5; k++) {
        produce_wait(&f, "t", 0);
    }
    const struct meta_log_start starts[] = {
        {partition_id("t", 0), 100}, {partition_id("empty", 0), 7}, {999, 1}};
    const struct meta_command c = {.kind = META_SET_LOG_STARTS, .set_log_starts = {starts, 3}};
    fixture_crash(&f);
    struct slice payload = payload_of(&c, 1);
    write_slot_by_hand(&f, payload);
    payload_free(payload);
    fixture_start(&f);
    expect_start("t", 100, 100);
    expect_start("empty", 7, 7);
    produce_wait(&f, "t", 0);
    expect_start("t", 100, 101);
}

/* ---- crashes --------------------------------------------------------------------------------- */

/* The command is durable in both copies, in one, or in none, and nobody was told. */
static void test_crash_while_writing(void **state)
{
    (void)state;
    static const struct {
        enum fault fault;
        u32 after;
        bool there;
    } rows[] = {
        {FAULT_LOSE, 0, false}, /* nothing was written */
        {FAULT_KEEP, 0, true},  /* copy a was, b never begun: it counts */
        {FAULT_LOSE, 1, true},  /* the same */
        {FAULT_KEEP, 1, true},  /* both were, but it was not applied */
    };
    for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
        fixture_start(&f);
        make_topic(&f, "before", 1);
        fault_set(rows[i].fault, rows[i].after);
        struct meta_command c = create_command(&f, "t", 3);
        struct appended a;
        append_start(&f, &a, &c, 1);
        for (u32 k = 0; k < 50; k++) {
            turns(&f, 1);
            usleep(200);
        }
        assert_false(a.done);
        assert_null(find_topic(&f, "t"));
        fixture_restart(&f);
        assert_non_null(find_topic(&f, "before"));
        assert_int_equal(find_topic(&f, "t") != NULL, rows[i].there);
        fixture_crash(&f);
        fixture_start(&f);
        /* A state that was found once is found again: only the sessions moved on. */
        assert_int_equal(find_topic(&f, "t") != NULL, rows[i].there);
        if (rows[i].there) {
            delete_topic(&f, "t");
        }
        delete_topic(&f, "before");
        fixture_crash(&f);
    }
}

/* A start dies at each of its blocking writes and syncs in turn; the next one is none the worse. */
static void test_crash_while_starting(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    for (u32 life = 0; life < 3; life++) {
        produce_wait(&f, "t", 0);
        fixture_crash(&f);
        bool up = false;
        for (u32 after = 0; !up; after++) {
            assert_true(after < 100);
            fixture_create(&f);
            fault_now_set(ERR_IO, after);
            err_t e = cluster_start(f.cluster);
            up = e == OK;
            if (!up) {
                assert_int_equal(e, ERR_IO);
                assert_true(strlen(cluster_reason(f.cluster)) > 20);
            }
            fault_now_set(OK, 0);
            fixture_crash(&f);
        }
        fixture_start(&f);
        assert_int_equal(end_offset(&f, "t", 0), life + 1);
    }
}

/* Sealed and registered, but not a slot of its own: the next start seals it at 0. */
static void test_crash_before_the_first_slot(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    produce_wait(&f, "t", 0);
    u64 length = wal_length();
    fixture_crash(&f);
    const struct meta_command commands[] = {
        {.kind = META_SEAL_WAL, .seal = {.wal = 1, .length = length}},
        {.kind = META_REGISTER, .reg = {.node = 1, .wal = 2, .nonce = 1234}},
    };
    struct slice payload = payload_of(commands, 2);
    write_slot_by_hand(&f, payload);
    payload_free(payload);
    fixture_start(&f);
    assert_int_equal(session_count(), 3);
    assert_int_equal(session(0)->length, length);
    assert_true(session(1)->retired);
    assert_int_equal(session(1)->nonce, 1234);
    assert_int_equal(end_offset(&f, "t", 0), 1);
}

/* All of a session is in packs when it crashes: the start that seals it takes its files away, and
   if that start ends before they are gone, the next one does. */
static void test_files_of_a_filed_session_go_when_it_is_sealed(void **state)
{
    (void)state;
    for (u32 crashes = 0; crashes < 2; crashes++) {
        fixture_start(&f);
        make_topic(&f, crashes == 0 ? "t" : "u", 1);
        produce_wait(&f, crashes == 0 ? "t" : "u", 0);
        const struct meta_command filed = {
            .kind = META_FILE_WAL,
            .file_wal = {.wal = session(session_count() - 1)->wal, .to = wal_length()},
        };
        char files[20];
        snprintf(files, sizeof(files), "%016llx-", (unsigned long long)filed.file_wal.wal);
        fixture_crash(&f);
        assert_true(count_files(&f, "wal", files) > 0);
        struct slice payload = payload_of(&filed, 1);
        write_slot_by_hand(&f, payload);
        payload_free(payload);
        fixture_start(&f);
        const struct meta_session *sealed = session(session_count() - 2);
        assert_int_equal(sealed->wal, filed.file_wal.wal);
        assert_int_equal(sealed->length, filed.file_wal.to);
        assert_true(sealed->retired);
        if (crashes > 0) {
            fixture_crash(&f);
            fixture_start(&f);
        }
        for (u32 i = 0; i < 1000000 && count_files(&f, "wal", files) > 0; i++) {
            turns(&f, 1);
        }
        assert_int_equal(count_files(&f, "wal", files), 0);
        fixture_stop(&f);
    }
}

/* ---- what a power cut brings back -------------------------------------------------------------
 */

static void file_make(const char *name)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", f.dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs("what was removed", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static u32 lines_seen;
static void line_seen(void *user, const char *line, size_t len)
{
    (void)user;
    bool sweeping = memmem(line, len, "ODK-3009", 8) != NULL;
    lines_seen += sweeping;
    if (sweeping) {
        assert_non_null(memmem(line, len, "wal_files=2", 11));
        assert_non_null(memmem(line, len, "packs=1", 7));
    }
}

/* The removal of extents and packs was undone after the metadata had forgotten them. */
static void test_forgotten_files_are_swept(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    fixture_restart(&f); /* 1 had no data and retires */
    produce_wait(&f, "t", 0);
    fixture_restart(&f);
    assert_int_equal(session(0)->wal, 2);
    fixture_crash(&f);
    u32 files = count_files(&f, "wal", "");
    file_make("wal/0000000000000001-00000000");
    file_make("wal/0000000000000001-00000003");
    file_make("packs/0000000000000007");
    lines_seen = 0;
    diag_configure(DIAG_TEXT, DIAG_INFO);
    diag_redirect(line_seen, NULL);
    fixture_start(&f);
    diag_redirect(NULL, NULL);
    assert_int_equal(lines_seen, 1);
    assert_int_equal(count_files(&f, "wal", ""), files);
    assert_int_equal(count_files(&f, "packs", ""), 0);
    assert_int_equal(end_offset(&f, "t", 0), 1);
    diag_redirect(line_seen, NULL);
    fixture_restart(&f); /* nothing to tell */
    diag_redirect(NULL, NULL);
    assert_int_equal(lines_seen, 1);
}

static void test_sweeping_fails(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 1);
    produce_wait(&f, "t", 0);
    fixture_crash(&f);
    bool failed = false;
    for (u32 after = 0; !failed; after++) {
        fixture_create(&f);
        fault_sync_dir_set(ERR_IO, after);
        err_t e = cluster_start(f.cluster);
        fault_sync_dir_set(OK, 0);
        failed =
            strstr(cluster_reason(f.cluster), "The folder of the WAL cannot be synced") != NULL;
        assert_int_equal(e == OK, false);
        fixture_crash(&f);
    }
    fixture_start(&f);
    assert_int_equal(end_offset(&f, "t", 0), 1);
}

/* ---- starts that cannot be ------------------------------------------------------------------- */

static void assert_refused(err_t expected, const char *words)
{
    fixture_create(&f);
    assert_int_equal(cluster_start(f.cluster), expected);
    if (strstr(cluster_reason(f.cluster), words) == NULL) {
        fail_msg("the reason does not say '%s': %s", words, cluster_reason(f.cluster));
    }
    fixture_crash(&f);
}

static void test_newer_metadata(void **state)
{
    (void)state;
    fixture_start(&f);
    fixture_crash(&f);
    const u8 newer[] = {1, 0, 0, 0, 99, 1, 7, 7, 7};
    write_slot_by_hand(&f, slice_of(newer, sizeof(newer)));
    assert_refused(ERR_VERSION, "newer Odradek");
    assert_refused(ERR_VERSION, "slot 1 ");
}

static void test_senseless_metadata(void **state)
{
    (void)state;
    fixture_start(&f);
    fixture_crash(&f);
    const u8 cut[] = {2, 0, 0, 0, 7, 1, 232, 3, 0, 0, 7, 1, 5};
    write_slot_by_hand(&f, slice_of(cut, sizeof(cut)));
    assert_refused(ERR_CORRUPT, "slot 1 ");
    assert_refused(ERR_CORRUPT, "command 2 of 2");
}

static void test_bytes_behind_the_last_command(void **state)
{
    (void)state;
    fixture_start(&f);
    fixture_crash(&f);
    const u8 more[] = {1, 0, 0, 0, 7, 1, 232, 3, 0, 0, 0};
    write_slot_by_hand(&f, slice_of(more, sizeof(more)));
    assert_refused(ERR_CORRUPT, "makes no sense");
}

/* Metadata from a backup, with today's data beside it: what it does not name is not swept. */
static void test_older_metadata(void **state)
{
    (void)state;
    fixture_start(&f);
    fixture_crash(&f);
    file_make("wal/0000000000000002-00000000");
    file_make("packs/0000000000000007");
    assert_refused(ERR_CORRUPT, "the metadata is older than the data");
    assert_int_equal(count_files(&f, "wal", "0000000000000002-00000000"), 1);
    assert_int_equal(count_files(&f, "packs", "0000000000000007"), 1);
}

static void test_in_use(void **state)
{
    (void)state;
    fixture_start(&f);
    struct home *other_home = home_disk_create(
        f.io, &(struct home_disk_params){.directory = f.dir, .extent_bytes = 4 * MIB});
    struct cluster *other = cluster_create(
        &(struct cluster_params){.io = f.io, .home = other_home, .log = f.log, .node_id = 1});
    assert_int_equal(cluster_start(other), ERR_LOCKED);
    char pid[32];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_non_null(strstr(cluster_reason(other), pid));
    home_destroy(other_home);
    cluster_destroy(other);
}

/* With less memory than the index needs it comes up all the same, and nothing is missing. */
static void test_small_budget(void **state)
{
    (void)state;
    fixture_start(&f);
    make_topic(&f, "t", 20000);
    u64 slot = 0;
    for (i32 i = 0; i < 20000; i++) {
        produce(&f, "t", i, &slot);
    }
    produce_wait(&f, "t", 0);
    fixture_crash(&f);
    f.log_quota_bytes = 1 * MIB;
    fixture_start(&f);
    assert_int_equal(end_offset(&f, "t", 0), 2);
    assert_int_equal(end_offset(&f, "t", 19999), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_start),
        TEST(test_sessions_without_data),
        TEST(test_sealed_lengths),
        TEST(test_epochs),
        TEST(test_deleted_topics_are_not_replayed),
        TEST(test_what_is_deleted_stays_deleted),
        TEST(test_power_cut_while_deleting),
        TEST(test_a_start_above_the_records),
        TEST(test_crash_while_writing),
        TEST(test_crash_while_starting),
        TEST(test_crash_before_the_first_slot),
        TEST(test_files_of_a_filed_session_go_when_it_is_sealed),
        TEST(test_forgotten_files_are_swept),
        TEST(test_sweeping_fails),
        TEST(test_newer_metadata),
        TEST(test_senseless_metadata),
        TEST(test_bytes_behind_the_last_command),
        TEST(test_older_metadata),
        TEST(test_in_use),
        TEST(test_small_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
